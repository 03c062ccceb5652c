/*
 * The yearly rule of a time zone: its text (POSIX.1, "Environment Variables", with the
 * extensions of RFC 8536, section 3.3.1) and which offset it gives at an instant.
 */
#include <schedule/posix_tz.h>

#include <run-core/time.h>

#include <string.h>

enum { DAY_S = 86400, HOUR_S = 3600 };

/* The calendar with its weekdays repeats after 400 years. */
#define CYCLE_S (INT64_C(146097) * DAY_S)

/* Reads a number of at most 'most' and moves behind it. */
static bool read_number(const char **text, int most, int *out)
{
    int value = 0;
    const char *at = *text;

    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (*at - '0');
        if (value > most)
            return false;
    }
    if (at == *text)
        return false;
    *text = at;
    *out = value;
    return true;
}

static bool read_char(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

/* "CET" or "<+03>". */
static bool skip_name(const char **text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    bool quoted = read_char(text, '<');
    size_t len = strspn(*text, letters);

    if (quoted) {
        len = strcspn(*text, ">");
        if ((*text)[len] != '>')
            return false;
    }
    *text += len;
    return len >= 3 && (!quoted || read_char(text, '>'));
}

/* "[+-]hh[:mm[:ss]]" in seconds. */
static bool read_clock(const char **text, int most_hours, int32_t *out)
{
    int sign = **text == '-' ? -1 : 1;
    int hour = 0;
    int minute = 0;
    int second = 0;

    if (**text == '-' || **text == '+')
        (*text)++;
    if (!read_number(text, most_hours, &hour))
        return false;
    if (read_char(text, ':')) {
        if (!read_number(text, 59, &minute))
            return false;
        if (read_char(text, ':') && !read_number(text, 59, &second))
            return false;
    }
    *out = sign * (hour * HOUR_S + minute * 60 + second);
    return true;
}

/* ",M3.5.0/2" and its like. */
static bool read_change(const char **text, struct core_tz_change *out)
{
    *out = (struct core_tz_change){ .kind = CORE_TZ_DAY_OF_YEAR, .time_s = 2 * HOUR_S };
    if (!read_char(text, ','))
        return false;

    if (read_char(text, 'M')) {
        out->kind = CORE_TZ_WEEKDAY;
        if (!read_number(text, 12, &out->month) || !read_char(text, '.') ||
            !read_number(text, 5, &out->week) || !read_char(text, '.') ||
            !read_number(text, 6, &out->weekday) || out->month < 1 || out->week < 1)
            return false;
    } else if (read_char(text, 'J')) {
        out->kind = CORE_TZ_JULIAN;
        if (!read_number(text, 365, &out->day) || out->day < 1)
            return false;
    } else if (!read_number(text, 365, &out->day)) {
        return false;
    }
    return !read_char(text, '/') || read_clock(text, 167, &out->time_s);
}

bool core_tz_rule_parse(const char *text, struct core_tz_rule *out)
{
    int32_t west_s = 0;

    *out = (struct core_tz_rule){ 0 };
    if (!skip_name(&text) || !read_clock(&text, 24, &west_s))
        return false;
    out->standard_s = -west_s;
    if (*text == '\0')
        return true;

    out->has_daylight = true;
    out->daylight_s = out->standard_s + HOUR_S;
    if (!skip_name(&text))
        return false;
    if (*text != ',' && *text != '\0') {
        if (!read_clock(&text, 24, &west_s))
            return false;
        out->daylight_s = -west_s;
    }
    return read_change(&text, &out->start) && read_change(&text, &out->end) && *text == '\0';
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The day on which the clocks change in 'year'. */
static int32_t day_of_change(const struct core_tz_change *change, int year)
{
    int32_t january = rc_day_from_date(year, 1, 1);

    if (change->kind == CORE_TZ_DAY_OF_YEAR)
        return january + change->day;
    if (change->kind == CORE_TZ_JULIAN)
        return january + change->day - (change->day < 60 || !is_leap(year) ? 1 : 0);

    int32_t first = rc_day_from_date(year, change->month, 1);
    int32_t next_month = change->month == 12 ? rc_day_from_date(year + 1, 1, 1)
                                             : rc_day_from_date(year, change->month + 1, 1);
    int first_weekday = (first + 4) % 7; /* 1970-01-01 was a Thursday; no year here is before it */
    int32_t day = first + (change->weekday - first_weekday + 7) % 7 + (change->week - 1) * 7;

    return day < next_month ? day : day - 7;
}

static int64_t instant_of_change(const struct core_tz_change *change, int year, int32_t before_s)
{
    return (int64_t)day_of_change(change, year) * DAY_S + change->time_s - before_s;
}

/* As core_tz_rule_at(), for instants in the years 2000 to 2399. */
static struct core_tz_span at_reduced(const struct core_tz_rule *rule, int64_t unix_s)
{
    struct core_tz_span span = { rule->standard_s, INT64_MIN, INT64_MAX };
    int year = 0;
    int month = 0;
    int day = 0;

    /* A change may be moved by a week and so lie in the year beside its own. */
    rc_day_to_date((int32_t)(unix_s / DAY_S), &year, &month, &day);
    for (int near = year - 2; near <= year + 2; near++) {
        int64_t start = instant_of_change(&rule->start, near, rule->standard_s);
        int64_t end = instant_of_change(&rule->end, near, rule->daylight_s);

        if (end <= unix_s && end > span.from_s) {
            span.from_s = end;
            span.offset_s = rule->standard_s;
        }
        /* A start at the very end of the last daylight time means that it never stopped. */
        if (start <= unix_s && start >= span.from_s) {
            span.from_s = start;
            span.offset_s = rule->daylight_s;
        }
        if (end > unix_s && end < span.until_s)
            span.until_s = end;
        if (start > unix_s && start < span.until_s)
            span.until_s = start;
    }
    return span;
}

struct core_tz_span core_tz_rule_at(const struct core_tz_rule *rule, int64_t unix_s)
{
    if (!rule->has_daylight)
        return (struct core_tz_span){ rule->standard_s, INT64_MIN, INT64_MAX };

    /* Moved by whole cycles into the one that begins in 2000. */
    const int64_t base = (int64_t)rc_day_from_date(2000, 1, 1) * DAY_S;
    int64_t in_cycle = ((unix_s % CYCLE_S) - base % CYCLE_S + 2 * CYCLE_S) % CYCLE_S;
    int64_t reduced = base + in_cycle;
    struct core_tz_span span = at_reduced(rule, reduced);

    if (__builtin_add_overflow(unix_s, span.until_s - reduced, &span.until_s))
        span.until_s = INT64_MAX;
    if (__builtin_add_overflow(unix_s, span.from_s - reduced, &span.from_s))
        span.from_s = INT64_MIN;
    return span;
}
