/*
 * Schedules in words: what each field takes, what clock changes do, and why a slot is where it
 * is. For people; programs read the times.
 */
#include <schedule/internal.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <string.h>

enum { DAY_S = 86400 };

/* ---- sets of values -------------------------------------------------------------------------- */

static const char *const months[13] = {
    NULL,   "January", "February",  "March",   "April",    "May",      "June",
    "July", "August",  "September", "October", "November", "December",
};

static const char *const weekdays[7] = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
};

/* Separates the parts of a list; *any says whether there was one before. */
static void next_part(struct rc_buf *out, bool *any)
{
    rc_buf_adds(out, *any ? ", " : "");
    *any = true;
}

static void add_value(struct rc_buf *out, int value, const char *const *names)
{
    if (names)
        rc_buf_adds(out, names[value]);
    else
        rc_buf_addf(out, "%d", value);
}

static int lowest(uint64_t set)
{
    return __builtin_ctzll(set);
}

static int highest(uint64_t set)
{
    return 63 - __builtin_clzll(set);
}

/* The step of five values or more that lie equally far apart, but not side by side; else 0. */
static int step_of(uint64_t set)
{
    int first = lowest(set);
    int last = highest(set);
    int step = __builtin_popcountll(set) >= 5 ? lowest(set & (set - 1)) - first : 0;

    if (step < 2)
        return 0;
    for (int value = first; value <= last; value += step)
        set ^= UINT64_C(1) << value;
    return set ? 0 : step;
}

/* "0, 15, 30, 45", "8 to 18", "5 to 55 by 5", "Monday to Friday"; 'set' is not empty. */
static void add_set(struct rc_buf *out, uint64_t set, const char *const *names, bool *any)
{
    int step = step_of(set);

    if (step) {
        next_part(out, any);
        add_value(out, lowest(set), names);
        rc_buf_adds(out, " to ");
        add_value(out, highest(set), names);
        rc_buf_addf(out, " by %d", step);
        return;
    }
    while (set) {
        int first = lowest(set);
        int last = first;

        while (last < 63 && set >> (last + 1) & 1)
            last++;
        if (last < first + 2)
            last = first;
        next_part(out, any);
        add_value(out, first, names);
        if (last > first) {
            rc_buf_adds(out, " to ");
            add_value(out, last, names);
        }
        set &= last < 63 ? UINT64_MAX << (last + 1) : 0;
    }
}

static void add_field(struct rc_buf *out, const char *label, uint64_t set, uint64_t all,
                      const char *const *names)
{
    bool any = false;

    rc_buf_addf(out, "  %-14s ", label);
    if (set == all)
        rc_buf_adds(out, "every");
    else
        add_set(out, set, names, &any);
    rc_buf_addc(out, '\n');
}

/* ---- days ------------------------------------------------------------------------------------ */

static void add_days(struct rc_buf *out, const struct core_cron *cron)
{
    bool any = false;

    rc_buf_addf(out, "  %-14s ", core_cron_field_names[CORE_CRON_DAY]);
    if (!cron->day_restricted)
        rc_buf_adds(out, "every");
    else if (cron->day)
        add_set(out, cron->day, NULL, &any);
    for (uint32_t rest = cron->from_last; rest; rest &= rest - 1) {
        int before = lowest(rest);

        next_part(out, &any);
        if (before == 0)
            rc_buf_adds(out, "the last");
        else
            rc_buf_addf(out, "%d before the last", before);
    }
    for (uint32_t rest = cron->working; rest; rest &= rest - 1) {
        next_part(out, &any);
        rc_buf_addf(out, "the working day (Monday to Friday) nearest to %d", lowest(rest));
    }
    if (cron->last_working) {
        next_part(out, &any);
        rc_buf_adds(out, "the last working day (Monday to Friday)");
    }
    rc_buf_addc(out, '\n');
}

static void add_weekdays(struct rc_buf *out, const struct core_cron *cron)
{
    static const char *const ordinals[6] = {
        "last", "first", "second", "third", "fourth", "fifth"
    };
    bool any = false;

    rc_buf_addf(out, "  %-14s ", core_cron_field_names[CORE_CRON_WEEKDAY]);
    if (!cron->weekday_restricted)
        rc_buf_adds(out, "every");
    else if (cron->weekday)
        add_set(out, cron->weekday, weekdays, &any);
    for (size_t nth = 0; nth < RC_ARRAY_LEN(ordinals); nth++)
        for (uint32_t rest = cron->nth_weekday[nth]; rest; rest &= rest - 1) {
            next_part(out, &any);
            rc_buf_addf(out, "the %s %s of the month", ordinals[nth], weekdays[lowest(rest)]);
        }
    rc_buf_addc(out, '\n');
    if (cron->day_restricted && cron->weekday_restricted)
        rc_buf_adds(out, "                 either is enough: the day of month or the weekday\n");
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void add_clock_changes(const struct core_schedule *schedule, struct rc_buf *out)
{
    rc_buf_addf(out,
                "  %-14s %s: a local time that the clock skips %s, one that it shows twice is due "
                "%s\n",
                "clock changes", schedule->cron.interval ? "an interval" : "a fixed time",
                schedule->skip_gap ? "is left out" : "is due right behind the gap",
                schedule->both_passes ? "both times" : "the first time only");
}

/* Whether a field has a value from the hash of a name. */
static bool has_hash(const char *text)
{
    for (const char *at = text; text[0] != '@' && *at != '\0'; at++)
        if ((*at == 'H' || *at == 'h') && (at == text || strchr(" \t\r\n\v\f,", at[-1])))
            return true;
    return false;
}

/* Whether the clocks of the zone ever change: before 1970, or after that. */
static bool changes(const struct core_time_zone *zone)
{
    struct core_tz_span span = core_time_zone_span(zone, 0);

    return span.from_s > INT64_MIN || span.until_s < INT64_MAX;
}

static void explain_cron(const struct core_schedule *schedule, struct rc_buf *out)
{
    const struct core_cron *cron = &schedule->cron;
    const uint64_t sixty = (UINT64_C(1) << 60) - 1;

    add_field(out, "second", cron->second, sixty, NULL);
    add_field(out, "minute", cron->minute, sixty, NULL);
    add_field(out, "hour", cron->hour, 0xffffff, NULL);
    add_days(out, cron);
    add_field(out, "month", cron->month, 0x1ffe, months);
    add_weekdays(out, cron);
    if (has_hash(schedule->text))
        rc_buf_addf(out, "  %-14s values that follow from the job's name\n", "H");
    if (schedule->zone && changes(schedule->zone))
        add_clock_changes(schedule, out);
}

void core_schedule_explain(const struct core_schedule *schedule, struct rc_buf *out)
{
    char every[RC_AMOUNT_TEXT];

    rc_buf_addf(out, "'%s'", schedule->text);
    switch (schedule->kind) {
    case CORE_SCHEDULE_CRON:
        rc_buf_addf(out, " in %s\n", schedule->zone ? core_time_zone_name(schedule->zone) : "UTC");
        explain_cron(schedule, out);
        break;
    case CORE_SCHEDULE_EVERY:
        rc_buf_addf(out, ": the multiples of %s since 1970-01-01T00:00:00Z, in all time zones\n",
                    rc_format_duration(schedule->every_ms, every));
        break;
    case CORE_SCHEDULE_STARTUP:
        rc_buf_adds(out, ": once, whenever the daemon starts\n");
        break;
    }
}

/* ---- a slot ---------------------------------------------------------------------------------- */

static int64_t day_of(int64_t wall_s)
{
    return wall_s / DAY_S - (wall_s % DAY_S < 0 ? 1 : 0);
}

/* "02:30:00", or with its day. */
static void add_wall(struct rc_buf *out, int64_t wall_s, bool with_day)
{
    char text[RC_TIME_TEXT];

    (void)rc_format_time(wall_s * 1000, text);
    text[10] = ' '; /* "2026-03-29T02:30:00Z" without what belongs to UTC */
    text[19] = '\0';
    rc_buf_adds(out, with_day ? text : text + 11);
}

/* Wall times that the clock skips at a change, and the first of the schedule among them. */
struct gap {
    int64_t from_s, to_s, due_s;
};

static bool find_gap(const struct core_schedule *schedule, int64_t change_s, struct gap *out)
{
    out->from_s = core_time_zone_shown_s(schedule->zone, change_s - 1) + 1;
    out->to_s = change_s + core_time_zone_offset_s(schedule->zone, change_s);
    return core_cron_next_wall(&schedule->cron, out->from_s, &out->due_s) && out->due_s < out->to_s;
}

/* For the first slot at or behind a gap: what became of those that fell into it. */
static bool explain_gap(const struct core_schedule *schedule, const struct core_tz_span *span,
                        int64_t slot_s, struct rc_buf *out)
{
    int64_t wall_s = slot_s + span->offset_s;
    int64_t first_s = 0;
    struct gap gap;

    if (span->from_s == INT64_MIN || !find_gap(schedule, span->from_s, &gap))
        return false;
    if (schedule->skip_gap
            ? !core_cron_next_wall(&schedule->cron, gap.to_s, &first_s) || first_s != wall_s
            : slot_s != span->from_s)
        return false;

    bool with_day = day_of(gap.from_s) != day_of(wall_s);
    rc_buf_adds(out, "the clock goes from ");
    add_wall(out, gap.from_s, with_day);
    rc_buf_adds(out, " to ");
    add_wall(out, gap.to_s, with_day);
    rc_buf_adds(out, " and skips ");
    add_wall(out, gap.due_s, with_day);
    rc_buf_adds(out,
                schedule->skip_gap ? ", which is left out" : ", which is due right behind that");
    return true;
}

void core_schedule_explain_slot(const struct core_schedule *schedule, int64_t slot_unix_ms,
                                struct rc_buf *out)
{
    const struct core_time_zone *zone = schedule->zone;
    int64_t slot_s = slot_unix_ms / 1000;
    struct core_tz_span span;
    int64_t wall_s;
    int64_t before_s;

    if (schedule->kind != CORE_SCHEDULE_CRON || !zone)
        return;
    span = core_time_zone_span(zone, slot_s);
    wall_s = slot_s + span.offset_s;
    before_s = core_time_zone_shown_s(zone, slot_s - 1);
    if (wall_s > before_s && explain_gap(schedule, &span, slot_s, out))
        return;
    if (wall_s <= before_s) {
        rc_buf_adds(out, "the second time that the clock shows ");
        add_wall(out, wall_s, /* with_day = */ false);
    } else if (span.until_s < slot_s + CORE_TIME_ZONE_NEAR_S &&
               span.until_s + core_time_zone_offset_s(zone, span.until_s) <= wall_s) {
        rc_buf_adds(out, "the first time that the clock shows ");
        add_wall(out, wall_s, /* with_day = */ false);
        rc_buf_adds(out, schedule->both_passes ? "; it is due the second time too"
                                               : "; it is not due the second time");
    }
}
