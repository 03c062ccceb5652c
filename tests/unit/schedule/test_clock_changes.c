/*
 * Slots around clock changes, against a reading of the rule that walks second by second on the C
 * library's local time and shares no code with the schedule: random expressions, in all
 * combinations of the options, around every change of 24 zones in some years.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <run-core/str.h>
#include <run-core/time.h>
#include <schedule/schedule.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOUR_S = 3600, BEFORE_S = 4 * HOUR_S, WINDOW_S = 8 * HOUR_S, QUIET_H = 60, TRIES = 8 };

/* Half hours, midnights, skipped days, changes within Ramadan, rules far ahead. */
static const char *const zones[] = {
    "Europe/Prague",    "Europe/London",    "Europe/Dublin",        "Europe/Chisinau",
    "America/New_York", "America/St_Johns", "America/Havana",       "America/Sao_Paulo",
    "America/Asuncion", "America/Santiago", "America/Scoresbysund", "Asia/Amman",
    "Asia/Beirut",      "Asia/Gaza",        "Asia/Tehran",          "Africa/Casablanca",
    "Africa/Cairo",     "Atlantic/Azores",  "Australia/Lord_Howe",  "Australia/Sydney",
    "Pacific/Apia",     "Pacific/Auckland", "Pacific/Chatham",      "Antarctica/Troll",
};

static const int years[] = { 2009, 2011, 2018, 2026, 2044 };

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t chance = UINT64_C(0x9e3779b97f4a7c15);

static int below(int limit)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (int)(chance % (uint64_t)limit);
}

/* ---- random expressions ---------------------------------------------------------------------- */

/* An expression as text, and as what each field takes. */
struct expression {
    char text[256];
    bool takes[6][64]; /* second, minute, hour, day, month, weekday */
    bool interval, day_restricted, weekday_restricted;
};

static void take_range(bool *takes, int low, int high, int step)
{
    for (int value = low; value <= high; value += step)
        takes[value] = true;
}

static void add_field(struct expression *out, int field, int low, int high, int stars)
{
    char part[64];
    int a = low + below(high - low + 1);
    int b = low + below(high - low + 1);
    int step = 1 + below(high);

    if (b < a) {
        int swapped = a;

        a = b;
        b = swapped;
    }
    if (below(100) < stars) {
        (void)snprintf(part, sizeof(part), "*");
        take_range(out->takes[field], low, high, 1);
    } else {
        switch (below(5)) {
        case 0:
            (void)snprintf(part, sizeof(part), "%d-%d", a, b);
            take_range(out->takes[field], a, b, 1);
            break;
        case 1:
            (void)snprintf(part, sizeof(part), "*/%d", step);
            take_range(out->takes[field], low, high, step);
            break;
        case 2:
            (void)snprintf(part, sizeof(part), "%d-%d/%d,%d", a, b, step, a);
            take_range(out->takes[field], a, b, step);
            break;
        default:
            (void)snprintf(part, sizeof(part), "%d,%d", a, b);
            out->takes[field][a] = out->takes[field][b] = true;
            break;
        }
        out->day_restricted |= field == 3;
        out->weekday_restricted |= field == 5;
    }
    if (field <= 2 && strpbrk(part, "*-/"))
        out->interval = true;
    size_t len = strlen(out->text);
    (void)snprintf(out->text + len, sizeof(out->text) - len, "%s%s", len ? " " : "", part);
}

static void make_expression(struct expression *out)
{
    bool seconds = below(4) == 0;

    *out = (struct expression){ .interval = false };
    if (seconds)
        add_field(out, 0, 0, 59, 5);
    else
        out->takes[0][0] = true;
    add_field(out, 1, 0, 59, 15);
    add_field(out, 2, 0, 23, 40);
    add_field(out, 3, 1, 31, 70);
    add_field(out, 4, 1, 12, 90);
    add_field(out, 5, 0, 6, 80);
}

/* ---- the rule, second by second -------------------------------------------------------------- */

static bool matches(const struct expression *expression, int64_t wall_s)
{
    time_t wall = (time_t)wall_s;
    struct tm tm;

    /* The time of the day first, which seldom matches. */
    if (!expression->takes[0][wall_s % 60] || !expression->takes[1][wall_s / 60 % 60] ||
        !expression->takes[2][wall_s / HOUR_S % 24])
        return false;
    (void)gmtime_r(&wall, &tm);
    bool day = expression->takes[3][tm.tm_mday];
    bool weekday = expression->takes[5][tm.tm_wday];
    bool either = expression->day_restricted && expression->weekday_restricted;

    return expression->takes[4][tm.tm_mon + 1] && (either ? day || weekday : day && weekday);
}

static int64_t local(int64_t unix_s)
{
    time_t at = (time_t)unix_s;
    struct tm tm;

    (void)localtime_r(&at, &tm);
    return unix_s + tm.tm_gmtoff;
}

/* The wall times of a window, from 'start' on. */
struct window {
    int64_t start, walls[WINDOW_S];
    int64_t shown; /* the latest wall time before it */
};

/* Whether the rule makes the instant number 'i' of the window a slot. */
static bool is_slot(const struct expression *expression, const struct window *window, int i,
                    int64_t shown, bool run_after, bool both)
{
    int64_t wall = window->walls[i];

    if ((both || wall > shown) && matches(expression, wall))
        return true;
    if (run_after)
        for (int64_t skipped = shown + 1; skipped < wall; skipped++)
            if (matches(expression, skipped))
                return true;
    return false;
}

static void check_expression(const struct expression *expression, const struct window *window,
                             const struct core_schedule *schedule, bool run_after, bool both,
                             const char *zone)
{
    int64_t shown = window->shown;
    int64_t next_ms = 0;
    bool any = core_schedule_next(schedule, (window->start - 1) * 1000, &next_ms);

    for (int i = 0; i < WINDOW_S; i++) {
        int64_t at = window->start + i;
        bool expected = is_slot(expression, window, i, shown, run_after, both);
        bool found = any && next_ms == at * 1000;

        if (expected != found)
            fail_msg("'%s' in %s, run_after %d, both %d: at %lld (local %lld) %s", expression->text,
                     zone, run_after, both, (long long)at, (long long)window->walls[i],
                     expected ? "a slot is missing" : "there is a slot too many");
        if (found) {
            any = core_schedule_next(schedule, next_ms, &next_ms);
            assert_true(!any || next_ms > at * 1000);
        }
        if (window->walls[i] > shown)
            shown = window->walls[i];
    }
    assert_true(!any || next_ms >= (window->start + WINDOW_S) * 1000);
}

static void check_window(const struct window *window, const struct core_time_zone *zone)
{
    struct expression expression;
    struct core_schedule *schedule = NULL;
    struct rc_error err = RC_ERROR_INIT;

    for (int i = 0; i < TRIES; i++) {
        make_expression(&expression);
        struct core_schedule_options options = {
            .zone = zone,
            .gap = (enum core_schedule_gap)below(3),
            .overlap = (enum core_schedule_overlap)below(3),
        };
        if (core_schedule_parse(expression.text, &options, &schedule, &err)) {
            assert_non_null(strstr(err.cause, "never comes")); /* 30,31 2 */
            continue;
        }
        check_expression(
            &expression, window, schedule,
            options.gap == CORE_GAP_AUTO ? !expression.interval : options.gap == CORE_GAP_RUN_AFTER,
            options.overlap == CORE_OVERLAP_AUTO ? expression.interval
                                                 : options.overlap == CORE_OVERLAP_BOTH,
            core_time_zone_name(zone));
        core_schedule_free(schedule);
    }
}

/* ---- the changes of a year ------------------------------------------------------------------- */

static int64_t offset(int64_t unix_s)
{
    return local(unix_s) - unix_s;
}

/* The instant of a change within the hour behind 'at'. */
static int64_t change_within(int64_t at)
{
    int64_t change = at + 1;

    while (offset(change) == offset(at))
        change++;
    return change;
}

/* Fills the window around a change, unless there was another shortly before. */
static bool open_window(struct window *window, int64_t change)
{
    window->start = change - BEFORE_S;
    for (int hour = 0; hour < QUIET_H; hour++)
        if (offset(window->start - hour * (int64_t)HOUR_S) != offset(window->start))
            return false;
    window->shown = local(window->start - 1);
    for (int i = 0; i < WINDOW_S; i++)
        window->walls[i] = local(window->start + i);
    return true;
}

static int check_year(const struct core_time_zone *zone, int year)
{
    static struct window window;
    int64_t start = (int64_t)rc_day_from_date(year, 1, 1) * 86400;
    int windows = 0;

    for (int64_t at = start; at < start + (int64_t)365 * 86400; at += HOUR_S)
        if (offset(at) != offset(at + HOUR_S) && open_window(&window, change_within(at))) {
            check_window(&window, zone);
            windows++;
        }
    return windows;
}

static void slots_agree_with_the_rule(void **state)
{
    int windows = 0;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(zones); i++) {
        struct core_time_zone *zone = NULL;
        struct rc_error err = RC_ERROR_INIT;

        if (core_time_zone_load(zones[i], &zone, &err))
            fail_msg("%s", err.cause);
        assert_int_equal(setenv("TZ", zones[i], 1), 0);
        tzset();
        for (size_t j = 0; j < RC_ARRAY_LEN(years); j++)
            windows += check_year(zone, years[j]);
        core_time_zone_free(zone);
    }
    print_message("%d clock changes\n", windows);
    assert_true(windows > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_agree_with_the_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
