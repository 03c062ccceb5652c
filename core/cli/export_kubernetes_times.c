/*
 * Schedules in the words of a CronJob: five fields, whose numbers are written out, so that nothing
 * depends on how another reader takes a step or a name.
 */
#include <cli/export_kubernetes_times.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <inttypes.h>

enum { SHORT_LIST = 4 }; /* is plainer than a step */

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS INT64_C(3600000)

/*
 * 'open' is whether every number may be written as '*', which says more than all numbers do in the
 * fields of days: that the field does not restrict.
 */
static void add_field(struct rc_buf *out, uint64_t set, int first, int last, bool open)
{
    int start, step;

    if (out->len)
        rc_buf_addc(out, ' ');
    if (open && __builtin_popcountll(set) == last - first + 1)
        rc_buf_addc(out, '*');
    else if (open && core_times_step(set, last, &start, &step) && step > 1 && start == first)
        rc_buf_addf(out, "*/%d", step);
    else if (__builtin_popcountll(set) > SHORT_LIST && core_times_step(set, last, &start, &step) &&
             step > 1)
        rc_buf_addf(out, "%d-%d/%d", start, last, step);
    else
        core_times_add_set(out, set, first, last, "-", 1);
}

static enum rc_code add_cron(const struct core_cron *cron, struct rc_buf *out, struct rc_error *err)
{
    bool nth = false;

    for (size_t i = 0; i < RC_ARRAY_LEN(cron->nth_weekday); i++)
        nth = nth || cron->nth_weekday[i];
    if (cron->from_last || cron->working || cron->last_working || nth)
        return rc_fail(err, RC_UNSUPPORTED, "it has no 'L', 'W' and '#'");
    if (cron->second & (cron->second - 1))
        return rc_fail(err, RC_UNSUPPORTED, "it knows no seconds");
    add_field(out, cron->minute, 0, 59, true);
    add_field(out, cron->hour, 0, 23, true);
    if (cron->day_restricted)
        add_field(out, cron->day, 1, 31, false);
    else
        rc_buf_adds(out, " *");
    add_field(out, cron->month, 1, 12, true);
    if (cron->weekday_restricted)
        add_field(out, cron->weekday, 0, 6, false);
    else
        rc_buf_adds(out, " *");
    return RC_OK;
}

/* Slots are the multiples since 1970, a Thursday: so each divides an hour, a day or a week. */
static enum rc_code add_every(int64_t every_ms, struct rc_buf *out, struct rc_error *err)
{
    char text[RC_AMOUNT_TEXT];

    if (every_ms == MINUTE_MS)
        rc_buf_adds(out, "* * * * *");
    else if (every_ms % MINUTE_MS == 0 && HOUR_MS % every_ms == 0 && every_ms < HOUR_MS)
        rc_buf_addf(out, "*/%" PRId64 " * * * *", every_ms / MINUTE_MS);
    else if (every_ms == HOUR_MS)
        rc_buf_adds(out, "0 * * * *");
    else if (every_ms % HOUR_MS == 0 && RC_DAY_MS % every_ms == 0 && every_ms < RC_DAY_MS)
        rc_buf_addf(out, "0 */%" PRId64 " * * *", every_ms / HOUR_MS);
    else if (every_ms == RC_DAY_MS)
        rc_buf_adds(out, "0 0 * * *");
    else if (every_ms == 7 * RC_DAY_MS)
        rc_buf_adds(out, "0 0 * * 4");
    else
        return rc_fail(err, RC_UNSUPPORTED,
                       "its fields cannot count every %s, only what divides an hour into whole "
                       "minutes, or a day into whole hours",
                       rc_format_duration(every_ms, text));
    return RC_OK;
}

enum rc_code core_kubernetes_schedule(const struct core_times *times, struct rc_buf *out,
                                      struct rc_error *err)
{
    switch (times->kind) {
    case CORE_SCHEDULE_CRON:
        return add_cron(&times->cron, out, err);
    case CORE_SCHEDULE_EVERY:
        return add_every(times->every_ms, out, err);
    case CORE_SCHEDULE_STARTUP:
        break;
    }
    return rc_fail(err, RC_UNSUPPORTED, "a CronJob has no @startup");
}
