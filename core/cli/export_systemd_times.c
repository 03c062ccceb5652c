/*
 * Schedules in the words of a timer of systemd, systemd.time(7). A timer elapses when one of its
 * lines does, and once where several do at the same time, so a line stands for each thing that
 * either field of days may say.
 */
#include <cli/export_systemd_times.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <inttypes.h>

enum {
    MOST_LINES = 100, /* of one timer */
    LAST_NEAR_DAY = 27,
    WORKING_DAYS = 0x3e, /* Monday to Friday */
    FRIDAY = 1 << 5,
    MONDAY = 1 << 1,
    DAY_S = 86400,
};

static const char *const weekday_names[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

/* What all lines of a schedule have in common. */
struct lines {
    struct rc_buf *out;
    const struct core_times *times;
};

/* ---- parts of a line ------------------------------------------------------------------------- */

static void add_part(struct rc_buf *out, uint64_t set, int first, int last)
{
    int start, step;

    if (__builtin_popcountll(set) == last - first + 1)
        rc_buf_addc(out, '*');
    else if (core_times_step(set, last, &start, &step) && step > 1)
        rc_buf_addf(out, "%02d/%d", start, step);
    else
        core_times_add_set(out, set, first, last, "..", 2);
}

static void add_weekdays(struct rc_buf *out, unsigned set)
{
    const char *comma = "";

    if (set == WORKING_DAYS) {
        rc_buf_adds(out, "Mon..Fri");
        return;
    }
    for (int i = 1; i <= 7; i++) /* from Monday, as it counts */
        if (set >> i % 7 & 1) {
            rc_buf_addf(out, "%s%s", comma, weekday_names[i % 7]);
            comma = ",";
        }
}

/* A line; 'weekdays' 0 is any, 'days' is what stands behind the month, with its '-' or '~'. */
static void add_line(const struct lines *lines, unsigned weekdays, const char *days)
{
    const struct core_cron *cron = &lines->times->cron;
    struct rc_buf *out = lines->out;

    rc_buf_adds(out, "OnCalendar=");
    if (weekdays) {
        add_weekdays(out, weekdays);
        rc_buf_addc(out, ' ');
    }
    rc_buf_adds(out, "*-");
    add_part(out, cron->month, 1, 12);
    rc_buf_addf(out, "%s ", days);
    add_part(out, cron->hour, 0, 23);
    rc_buf_addc(out, ':');
    add_part(out, cron->minute, 0, 59);
    rc_buf_addc(out, ':');
    add_part(out, cron->second, 0, 59);
    rc_buf_addf(out, " %s\n", lines->times->zone);
}

RC_PRINTF(3, 4)
static void add_linef(const struct lines *lines, unsigned weekdays, const char *format, ...)
{
    RC_BUF_AUTO(days, 512);
    va_list arguments;

    va_start(arguments, format);
    rc_buf_addv(&days, format, arguments);
    va_end(arguments);
    add_line(lines, weekdays, days.data);
}

/* ---- days ------------------------------------------------------------------------------------ */

/* The working day that is nearest to the n-th, within the month. */
static void add_near(const struct lines *lines, int n)
{
    add_linef(lines, WORKING_DAYS, "-%02d", n);
    add_linef(lines, MONDAY, "-%02d", n + 1); /* the n-th is a Sunday */
    if (n == 1)
        add_linef(lines, MONDAY, "-03"); /* the first is a Saturday */
    else
        add_linef(lines, FRIDAY, "-%02d", n - 1);
}

static enum rc_code add_days(const struct lines *lines, struct rc_error *err)
{
    const struct core_cron *cron = &lines->times->cron;

    if (cron->working >> (LAST_NEAR_DAY + 1))
        return rc_fail(err, RC_UNSUPPORTED,
                       "it cannot say which working day is nearest to a day behind the %dth, which "
                       "may be the last of its month",
                       LAST_NEAR_DAY);
    if (cron->day) {
        RC_BUF_AUTO(days, 512);

        rc_buf_addc(&days, '-');
        add_part(&days, cron->day, 1, 31);
        add_line(lines, 0, days.data);
    }
    for (int n = 0; n <= 31; n++)
        if (cron->from_last >> n & 1)
            add_linef(lines, 0, "~%02d", n + 1);
    for (int n = 1; n <= LAST_NEAR_DAY; n++)
        if (cron->working >> n & 1)
            add_near(lines, n);
    if (cron->last_working) {
        add_linef(lines, WORKING_DAYS, "~01");
        add_linef(lines, FRIDAY, "~02,03"); /* the last is a Saturday or a Sunday */
    }
    return RC_OK;
}

static void add_days_of_week(const struct lines *lines)
{
    const struct core_cron *cron = &lines->times->cron;

    if (cron->weekday)
        add_line(lines, cron->weekday, "-*");
    if (cron->nth_weekday[0])
        add_line(lines, cron->nth_weekday[0], "~07/1"); /* from the seventh last on */
    for (int n = 1; n <= 5; n++)
        if (cron->nth_weekday[n])
            add_linef(lines, cron->nth_weekday[n], "-%02d..%02d", 7 * n - 6, n < 5 ? 7 * n : 31);
}

static enum rc_code add_cron(const struct lines *lines, struct rc_error *err)
{
    const struct core_cron *cron = &lines->times->cron;

    if (!cron->day_restricted && !cron->weekday_restricted) {
        add_line(lines, 0, "-*");
        return RC_OK;
    }
    if (cron->day_restricted && add_days(lines, err))
        return err->code;
    if (cron->weekday_restricted)
        add_days_of_week(lines);
    return RC_OK;
}

/* ---- intervals ------------------------------------------------------------------------------- */

static enum rc_code no_interval(int64_t every_ms, struct rc_error *err)
{
    char text[RC_AMOUNT_TEXT];

    return rc_fail(err, RC_UNSUPPORTED, "its calendar cannot count every %s",
                   rc_format_duration(every_ms, text));
}

/* A line for each minute and second at which slots are, with all hours of those. */
static enum rc_code add_parts_of_day(int every_s, struct rc_buf *out, struct rc_error *err)
{
    int hour_s = 3600;
    int lines = 0;

    for (int at = 0; at < hour_s; at++) {
        uint32_t hours = 0;

        for (int hour = 0; hour < 24; hour++)
            if ((hour * hour_s + at) % every_s == 0)
                hours |= UINT32_C(1) << hour;
        if (!hours)
            continue;
        if (++lines > MOST_LINES)
            return no_interval(INT64_C(1000) * every_s, err);
        rc_buf_adds(out, "OnCalendar=*-*-* ");
        add_part(out, hours, 0, 23);
        rc_buf_addf(out, ":%02d:%02d UTC\n", at / 60, at % 60);
    }
    return RC_OK;
}

/* Slots are the multiples since 1970, a Thursday. */
static enum rc_code add_every(int64_t every_ms, struct rc_buf *out, struct rc_error *err)
{
    const int64_t every_s = every_ms / 1000;

    if (every_ms == 7 * RC_DAY_MS)
        rc_buf_adds(out, "OnCalendar=Thu *-*-* 00:00:00 UTC\n");
    else if (DAY_S % every_s != 0)
        return no_interval(every_ms, err);
    else if (60 % every_s == 0)
        rc_buf_addf(out, "OnCalendar=*-*-* *:*:00/%d UTC\n", (int)every_s);
    else if (3600 % every_s == 0 && every_s % 60 == 0)
        rc_buf_addf(out, "OnCalendar=*-*-* *:00/%d:00 UTC\n", (int)every_s / 60);
    else
        return add_parts_of_day((int)every_s, out, err);
    return RC_OK;
}

enum rc_code core_systemd_schedule(const struct core_times *times, struct rc_buf *out,
                                   struct rc_error *err)
{
    const struct lines lines = { out, times };

    switch (times->kind) {
    case CORE_SCHEDULE_CRON:
        return add_cron(&lines, err);
    case CORE_SCHEDULE_EVERY:
        return add_every(times->every_ms, out, err);
    case CORE_SCHEDULE_STARTUP:
        rc_buf_adds(out, "OnBootSec=0\n");
        return RC_OK;
    }
    return rc_fail(err, RC_UNSUPPORTED, "it is of a kind that has no timer");
}
