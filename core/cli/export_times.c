/*
 * Reads the schedule of a job for an export: its sets, and how its slots lie. What other systems
 * make of that is left to export_kubernetes_times.c and export_systemd_times.c.
 */
#include <cli/export_times.h>

#include <run-core/buf.h>
#include <run-core/time.h>

enum { SLOTS_COMPARED = 20000, SLOTS_MEASURED = 500 };

#define COMPARED_MS (INT64_C(731) * RC_DAY_MS)

/* The shortest time between two of the slots that come first. */
static int64_t shortest(const struct core_schedule *schedule, int64_t from_unix_ms)
{
    int64_t slot, next, found = INT64_MAX;

    if (!core_schedule_next(schedule, from_unix_ms, &slot))
        return found;
    for (int i = 0; i < SLOTS_MEASURED && core_schedule_next(schedule, slot, &next); i++) {
        if (next - slot < found)
            found = next - slot;
        slot = next;
    }
    return found;
}

/* Whether the two part within two years, which show each change of a clock twice. */
static bool differ(const struct core_schedule *a, const struct core_schedule *b,
                   int64_t from_unix_ms)
{
    int64_t at = from_unix_ms;

    for (int i = 0; i < SLOTS_COMPARED && at < from_unix_ms + COMPARED_MS; i++) {
        int64_t x = 0, y = 0;
        bool has_x = core_schedule_next(a, at, &x), has_y = core_schedule_next(b, at, &y);

        if (has_x != has_y || x != y)
            return true;
        if (!has_x)
            break;
        at = x;
    }
    return false;
}

/* Whether 'schedule' is another than with a gap left out and an overlap as given. */
static enum rc_code compare(const char *text, const struct core_schedule *schedule,
                            const struct core_schedule_options *options,
                            enum core_schedule_overlap overlap, int64_t from_unix_ms, bool *out,
                            struct rc_error *err)
{
    struct core_schedule_options plain = *options;
    struct core_schedule *other;

    plain.gap = CORE_GAP_SKIP;
    plain.overlap = overlap;
    if (core_schedule_parse(text, &plain, &other, err))
        return err->code;
    *out = differ(schedule, other, from_unix_ms);
    core_schedule_free(other);
    return RC_OK;
}

static enum rc_code read_cron(const char *text, const struct core_schedule *schedule,
                              const struct core_schedule_options *options, int64_t from_unix_ms,
                              struct core_times *out, struct rc_error *err)
{
    out->cron = *core_schedule_cron(schedule);
    out->shortest_ms = shortest(schedule, from_unix_ms);
    if (compare(text, schedule, options, CORE_OVERLAP_BOTH, from_unix_ms, &out->unlike_both, err) ||
        compare(text, schedule, options, CORE_OVERLAP_FIRST, from_unix_ms, &out->unlike_first, err))
        return err->code;
    return RC_OK;
}

enum rc_code core_times_read(const struct core_job_settings *job, int64_t from_unix_ms,
                             struct core_times *out, struct rc_error *err)
{
    /* The enumerations of the settings have the order of those of the schedule. */
    struct core_schedule_options options = {
        .name = job->name,
        .gap = (enum core_schedule_gap)job->dst_gap,
        .overlap = (enum core_schedule_overlap)job->dst_overlap,
    };
    struct core_time_zone *zone = NULL;
    struct core_schedule *schedule = NULL;
    enum rc_code code;

    *out = (struct core_times){ .zone = job->time_zone, .shortest_ms = INT64_MAX };
    if (core_time_zone_load(job->time_zone, &zone, err))
        return err->code;
    options.zone = zone;
    code = core_schedule_parse(job->schedule, &options, &schedule, err);
    if (code == RC_OK) {
        out->kind = core_schedule_kind(schedule);
        if (out->kind == CORE_SCHEDULE_CRON)
            code = read_cron(job->schedule, schedule, &options, from_unix_ms, out, err);
        if (out->kind == CORE_SCHEDULE_EVERY) {
            out->every_ms = out->shortest_ms = core_schedule_every_ms(schedule);
            out->zone = "UTC"; /* where its slots are counted from 1970 */
        }
    }
    core_schedule_free(schedule);
    core_time_zone_free(zone);
    return code;
}

_Static_assert((int)CORE_DST_GAP_RUN_AFTER == (int)CORE_GAP_RUN_AFTER &&
                   (int)CORE_DST_GAP_SKIP == (int)CORE_GAP_SKIP &&
                   (int)CORE_DST_OVERLAP_FIRST == (int)CORE_OVERLAP_FIRST &&
                   (int)CORE_DST_OVERLAP_BOTH == (int)CORE_OVERLAP_BOTH,
               "the settings and the schedule say the same in another order");

/* ---- sets as text ---------------------------------------------------------------------------- */

static bool has(uint64_t set, int n)
{
    return (set >> n & 1) != 0;
}

bool core_times_step(uint64_t set, int last, int *start, int *step)
{
    int first, second;
    uint64_t expected = 0;

    if (!set || !(set & (set - 1)))
        return false;
    first = __builtin_ctzll(set);
    second = __builtin_ctzll(set & (set - 1));
    for (int n = first; n <= last; n += second - first)
        expected |= UINT64_C(1) << n;
    if (expected != set || __builtin_popcountll(set) < 3)
        return false;
    *start = first;
    *step = second - first;
    return true;
}

void core_times_add_set(struct rc_buf *out, uint64_t set, int first, int last, const char *dots,
                        int digits)
{
    const char *comma = "";

    for (int n = first; n <= last; n++) {
        int end = n;

        if (!has(set, n))
            continue;
        while (end < last && has(set, end + 1))
            end++;
        if (end - n < 2) /* two numbers are no range */
            end = n;
        rc_buf_addf(out, "%s%0*d", comma, digits, n);
        if (end > n)
            rc_buf_addf(out, "%s%0*d", dots, digits, end);
        comma = ",";
        n = end;
    }
}
