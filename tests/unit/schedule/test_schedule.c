/*
 * Schedules: the forms of a field, messages about mistakes, H, days of every kind against a slow
 * reading of the rule, the ends of time, and what is said in words.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <run-core/str.h>
#include <run-core/time.h>
#include <schedule/schedule.h>
#include <schedule/time_zones.h>

#include <stdio.h>
#include <string.h>

enum { DAY_S = 86400 };

static struct core_time_zones *shared_zones;

static struct core_schedule *make_with(const char *text, const char *zone,
                                       struct core_schedule_options options)
{
    struct core_schedule *schedule = NULL;
    struct rc_error err = RC_ERROR_INIT;

    if (core_time_zones_get(shared_zones, zone, &options.zone, &err) ||
        core_schedule_parse(text, &options, &schedule, &err))
        fail_msg("'%s': %s: %s", text, err.context, err.cause);
    return schedule;
}

static struct core_schedule *make(const char *text, const char *zone)
{
    return make_with(text, zone, (struct core_schedule_options){ .name = NULL });
}

static int64_t unix_ms(const char *text)
{
    int64_t value = 0;

    assert_true(rc_parse_time(text, &value));
    return value;
}

/* The slots behind 'from' up to the number of those expected, in UTC. Frees the schedule. */
static void expect_slots(struct core_schedule *schedule, const char *from, const char *expected)
{
    RC_BUF_AUTO(found, 4096);
    int64_t slot = unix_ms(from);

    while (found.len < strlen(expected) && core_schedule_next(schedule, slot, &slot)) {
        char text[RC_TIME_TEXT];

        rc_buf_addf(&found, "%s%s", found.len ? " " : "", rc_format_time(slot, text));
    }
    assert_string_equal(found.data, expected);
    core_schedule_free(schedule);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void expect_mistake(const char *text, const char *cause)
{
    struct core_schedule_options options = { .name = NULL };
    struct core_schedule *schedule = NULL;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_schedule_parse(text, &options, &schedule, &err), RC_INVALID);
    assert_true(rc_str_starts(err.context, "schedule '"));
    if (!strstr(err.cause, cause))
        fail_msg("'%s': '%s' is not in '%s'", text, cause, err.cause);
}

static void mistakes_name_field_place_and_remedy(void **state)
{
    (void)state;
    expect_mistake("61 * * * *", "minute '61' at character 1: the minute is 0 to 59, not 61");
    expect_mistake("0 60 * * * *", "minute '60' at character 3: the minute is 0 to 59, not 60");
    expect_mistake("  0 0,24 * * *", "hour '24' at character 5: the hour is 0 to 23, not 24");
    expect_mistake("0 0 0 * *", "day of month '0' at character 5: the day of month is 1 to 31");
    expect_mistake("0 0 * 13 *", "month '13' at character 7: the month is 1 to 12 or JAN to DEC");
    expect_mistake("0 0 * jam *", "there is no month 'jam'; did you mean JAN?");
    expect_mistake("0 0 * * 8", "weekday '8' at character 9: the weekday is 0 to 7");
    expect_mistake("0 0 * * MON,Friday", "weekday 'Friday' at character 13: there is no weekday "
                                         "'Friday'; did you mean FRI?");
    expect_mistake("* * * * XYZ", "the weekday is 0 to 7 (0 and 7 are Sunday) or SUN to SAT, not");
    expect_mistake("20-10 * * * *", "runs backwards; write it as two, 20-59,0-10");
    expect_mistake("0 0 * * FRI-MON", "runs backwards; write it as two, 5-6,0-1");
    expect_mistake("0 0 * * 7-2", "runs backwards; write it as 0-2");
    expect_mistake("*/0 * * * *", "a step of 0 never moves on");
    expect_mistake("*/ * * * *", "a number is missing behind '/'");
    expect_mistake("1,,2 * * * *", "at character 3: a value is missing before or behind a comma");
    expect_mistake("1, * * * *", "a value is missing before or behind a comma");
    expect_mistake("10- * * * *", "a value is missing at its end");
    expect_mistake("1.5 * * * *", "'.5' does not belong there");
    expect_mistake("99999999999 * * * *", "the number is too large");
    expect_mistake("0 0 ? * ?,1", "'?' stands alone");
    expect_mistake("? * * * *", "'?' stands alone");
    expect_mistake("0 0 * * L", "L stands behind a weekday, as in 5L");
    expect_mistake("L * * * *", "only in the day of month, and behind a weekday");
    expect_mistake("0 0 L-31 * *", "no month has 31 days before its last");
    expect_mistake("0 0 * * 1#6", "a first to fifth weekday");
    expect_mistake("0 0 * * 1#", "a number from 1 to 5 is missing behind '#'");
    expect_mistake("H(9) * * * *", "H takes a range, such as H(0-59)");
    expect_mistake("H(9-5) * * * *", "the range of H runs backwards");
    expect_mistake("H(1-70) * * * *", "the minute is 0 to 59, not 70");
    expect_mistake("0 0 0 \xef\xbc\x91 * *", "day of month '\xef\xbc\x91' at character 7");
    expect_mistake("", "it is empty");
    expect_mistake(" \t", "it is empty");
    expect_mistake("* * * *", "it has 4 fields, not 5");
    expect_mistake("0 0 1 1 * 2030 *", "there is none for the year");
    expect_mistake("TZ=UTC 0 0 * * *", "beside it, as 'time_zone'");
    expect_mistake("CRON_TZ=Europe/Prague 0 0 0 * * *", "beside it, as 'time_zone'");
    expect_mistake("@reboot", "did you mean @startup?");
    expect_mistake("@dailly", "did you mean @daily?");
    expect_mistake("@daily 5", "nothing stands behind @daily");
    expect_mistake("@every", "behind @every stands a duration");
    expect_mistake("@every 0s", "from 1s to 3660d");
    expect_mistake("@every 1500ms", "whole seconds");
    expect_mistake("@every 4000d", "from 1s to 3660d");
}

static void long_and_wild_texts_are_shown_short(void **state)
{
    struct core_schedule_options options = { .name = NULL };
    struct core_schedule *schedule = NULL;
    struct rc_error err = RC_ERROR_INIT;
    char text[3001];

    (void)state;
    memset(text, '9', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(core_schedule_parse(text, &options, &schedule, &err), RC_INVALID);
    assert_string_equal(err.cause, "it is longer than 2000 bytes");
    assert_true(strlen(err.context) < 120);
    assert_int_equal(core_schedule_parse("1\x1b[31m * * * *", &options, &schedule, &err),
                     RC_INVALID);
    assert_null(strchr(err.cause, '\x1b'));
    assert_null(strchr(err.context, '\x1b'));
}

static void dates_that_never_come_are_refused(void **state)
{
    static const char *const never[] = {
        "0 0 30 2 *",  "0 0 31 4,6,9,11 *", "0 0 30,31 2 ?",
        "0 0 30W 2 *", "0 0 L-29 2 *",      "0 0 31 2,4 ?",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(never); i++)
        expect_mistake(never[i], "it never comes: the day of month '");
    expect_slots(make("0 0 29 2 *", NULL), "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z");
    expect_slots(make("0 0 29 2 */8", NULL), "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    expect_slots(make("0 0 31 2 1", NULL), "2026-01-01T00:00:00Z",
                 "2026-02-02T00:00:00Z 2026-02-09T00:00:00Z");
    expect_slots(make("0 0 L-28 2 ?", NULL), "2026-01-01T00:00:00Z", "2028-02-01T00:00:00Z");
    expect_slots(make("0 0 ? 2 TUE#5", NULL), "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z");
    expect_slots(make("0 0 ? 2 MON#5", NULL), "2026-01-01T00:00:00Z", "2044-02-29T00:00:00Z");
}

/* ---- forms ----------------------------------------------------------------------------------- */

static void fields_take_all_forms(void **state)
{
    (void)state;
    expect_slots(make("5/20 */6 * * *", NULL), "2026-01-01T00:30:00Z",
                 "2026-01-01T00:45:00Z 2026-01-01T06:05:00Z");
    expect_slots(make("\t0  0\n* jan-MAR,12 fri-SUN\r\n", NULL), "2026-03-27T00:00:00Z",
                 "2026-03-28T00:00:00Z 2026-03-29T00:00:00Z 2026-12-04T00:00:00Z");
    expect_slots(make("0 0 * * 5-7", NULL), "2026-03-27T00:00:00Z",
                 "2026-03-28T00:00:00Z 2026-03-29T00:00:00Z 2026-04-03T00:00:00Z");
    expect_slots(make("0 0 * * 7-7", NULL), "2026-03-27T00:00:00Z",
                 "2026-03-29T00:00:00Z 2026-04-05T00:00:00Z");
    expect_slots(make("0 0 * * 1/2", NULL), "2026-03-28T00:00:00Z",
                 "2026-03-30T00:00:00Z 2026-04-01T00:00:00Z 2026-04-03T00:00:00Z");
    expect_slots(make("*/100 * * * *", NULL), "2026-01-01T00:30:00Z",
                 "2026-01-01T01:00:00Z 2026-01-01T02:00:00Z");
    expect_slots(make("58-59 59 23 31 12 ?", NULL), "2026-01-01T00:00:00Z",
                 "2026-12-31T23:59:58Z 2026-12-31T23:59:59Z 2027-12-31T23:59:58Z");
    expect_slots(make("@Weekly", NULL), "2026-03-27T00:00:00Z", "2026-03-29T00:00:00Z");
    expect_slots(make("@annually", NULL), "2026-03-27T00:00:00Z", "2027-01-01T00:00:00Z");
}

static void last_and_working_days(void **state)
{
    (void)state;
    expect_slots(make("0 0 L * *", NULL), "2028-01-31T00:00:00Z",
                 "2028-02-29T00:00:00Z 2028-03-31T00:00:00Z");
    expect_slots(make("0 0 l-3,1 * *", NULL), "2026-02-01T00:00:00Z",
                 "2026-02-25T00:00:00Z 2026-03-01T00:00:00Z 2026-03-28T00:00:00Z");
    expect_slots(make("0 0 LW * *", NULL), "2026-01-01T00:00:00Z",
                 "2026-01-30T00:00:00Z 2026-02-27T00:00:00Z 2026-03-31T00:00:00Z");
    /* The 1st a Sunday, the 1st a Saturday, the 31st a Sunday: never into another month. */
    expect_slots(make("0 0 1W * *", NULL), "2026-01-31T00:00:00Z",
                 "2026-02-02T00:00:00Z 2026-03-02T00:00:00Z 2026-04-01T00:00:00Z");
    expect_slots(make("0 0 1W 8 *", NULL), "2026-01-31T00:00:00Z", "2026-08-03T00:00:00Z");
    expect_slots(make("0 0 31W * *", NULL), "2026-05-01T00:00:00Z",
                 "2026-05-29T00:00:00Z 2026-07-31T00:00:00Z");
    expect_slots(make("0 0 ? * FRIL", NULL), "2026-01-01T00:00:00Z",
                 "2026-01-30T00:00:00Z 2026-02-27T00:00:00Z");
    expect_slots(make("0 0 ? * 7L,sun#1", NULL), "2026-01-01T00:00:00Z",
                 "2026-01-04T00:00:00Z 2026-01-25T00:00:00Z 2026-02-01T00:00:00Z");
    expect_slots(make("0 0 15W * 1#2", NULL), "2026-01-01T00:00:00Z",
                 "2026-01-12T00:00:00Z 2026-01-15T00:00:00Z 2026-02-09T00:00:00Z "
                 "2026-02-16T00:00:00Z");
}

/* ---- days against a slow reading of the rule ------------------------------------------------- */

struct day {
    int number, last, weekday; /* of the month; 0 is Sunday */
};

static bool is_weekend(int weekday)
{
    return weekday == 0 || weekday == 6;
}

/* "nW": no other working day of the month is nearer; of two, the one across no weekend counts. */
static bool is_nearest_working(const struct day *day, int wanted)
{
    int weekday = ((day->weekday + wanted - day->number) % 7 + 7) % 7;
    int to = wanted;

    if (wanted > day->last)
        return false;
    if (weekday == 6)
        to = wanted == 1 ? 3 : wanted - 1;
    if (weekday == 0)
        to = wanted == day->last ? wanted - 2 : wanted + 1;
    return day->number == to;
}

static bool is_last_working(const struct day *day)
{
    if (is_weekend(day->weekday))
        return false;
    for (int later = 1; day->number + later <= day->last; later++)
        if (!is_weekend((day->weekday + later) % 7))
            return false;
    return true;
}

static bool third_tuesday(const struct day *day)
{
    return day->weekday == 2 && day->number >= 15 && day->number <= 21;
}

static bool last_friday_or_13th(const struct day *day)
{
    return (day->weekday == 5 && day->number + 7 > day->last) || day->number == 13;
}

static bool nearest_to_15_or_31(const struct day *day)
{
    return is_nearest_working(day, 15) || is_nearest_working(day, 31);
}

static bool nearest_to_1(const struct day *day)
{
    return is_nearest_working(day, 1);
}

static bool fifth_before_last_even(const struct day *day)
{
    return day->last - day->number == 5;
}

static bool every_third_or_weekend(const struct day *day)
{
    return day->number % 3 == 1 || is_weekend(day->weekday);
}

static bool fifth_saturday(const struct day *day)
{
    return day->weekday == 6 && day->number > 28;
}

static void days_agree_with_the_rule(void **state)
{
    static const struct {
        const char *text;
        bool (*matches)(const struct day *day);
    } cases[] = {
        { "0 0 ? * TUE#3", third_tuesday },
        { "0 0 13 * 5L", last_friday_or_13th },
        { "0 0 15W,31W * *", nearest_to_15_or_31 },
        { "0 0 1W * *", nearest_to_1 },
        { "0 0 LW * *", is_last_working },
        { "0 0 L-5 * *", fifth_before_last_even },
        { "0 0 */3 * SAT,SUN", every_third_or_weekend },
        { "0 0 * * 6#5", fifth_saturday },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct core_schedule *schedule = make(cases[i].text, NULL);
        int32_t first = rc_day_from_date(1890, 1, 1);
        int64_t slot = 0;

        assert_true(core_schedule_next(schedule, ((int64_t)first * DAY_S - 1) * 1000, &slot));
        for (int32_t number = first; number < first + 300 * 365; number++) {
            struct day day = { .weekday = ((number + 4) % 7 + 7) % 7 };
            int year = 0;
            int month = 0;

            rc_day_to_date(number, &year, &month, &day.number);
            day.last = month == 12 ? 31
                                   : rc_day_from_date(year, month + 1, 1) -
                                         rc_day_from_date(year, month, 1);
            bool found = slot == (int64_t)number * DAY_S * 1000;
            if (found != cases[i].matches(&day))
                fail_msg("'%s' %s %d-%d-%d", cases[i].text, found ? "takes" : "leaves out", year,
                         month, day.number);
            if (found)
                assert_true(core_schedule_next(schedule, slot, &slot));
        }
        core_schedule_free(schedule);
    }
}

/* ---- H --------------------------------------------------------------------------------------- */

static const struct core_cron *hashed(const char *text, const char *name,
                                      struct core_schedule **schedule)
{
    *schedule = make_with(text, NULL, (struct core_schedule_options){ .name = name });
    return core_schedule_cron(*schedule);
}

/* Worked out by another program from the description of the hash: they may never move. */
static void hash_is_stable(void **state)
{
    struct core_schedule *schedule;
    const struct core_cron *cron = hashed("H H H H H H", "nightly-dump", &schedule);

    (void)state;
    assert_int_equal(cron->second, UINT64_C(1) << 36);
    assert_int_equal(cron->minute, UINT64_C(1) << 17);
    assert_int_equal(cron->hour, UINT64_C(1) << 9);
    assert_int_equal(cron->day, UINT64_C(1) << 16);
    assert_int_equal(cron->month, UINT64_C(1) << 12);
    assert_int_equal(cron->weekday, UINT64_C(1) << 4);
    assert_false(cron->interval);
    core_schedule_free(schedule);
}

static void hash_keeps_to_its_range(void **state)
{
    uint64_t minutes = 0;
    uint32_t days = 0;
    uint32_t hours = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        RC_STR_AUTO name = rc_strf("job-%d", i);
        struct core_schedule *schedule;
        const struct core_cron *cron = hashed("H/15 H(1-5) H * H(1-5)", name, &schedule);

        assert_int_equal(__builtin_popcountll(cron->minute), 4);
        assert_true(cron->interval && cron->day_restricted);
        assert_int_equal(__builtin_popcount(cron->weekday), 1);
        assert_int_equal(cron->weekday & ~0x3e, 0);
        minutes |= cron->minute;
        days |= cron->day;
        hours |= cron->hour;
        core_schedule_free(schedule);

        cron = hashed("H(0-29)/10 H(22-22) * * *", name, &schedule);
        assert_int_equal(__builtin_popcountll(cron->minute), 3);
        assert_true(cron->minute < UINT64_C(1) << 30);
        assert_int_equal(cron->hour, 1 << 22);
        core_schedule_free(schedule);
    }
    assert_int_equal(minutes, (UINT64_C(1) << 60) - 1);
    assert_int_equal(hours, 0x3e);
    assert_int_equal(days, 0x1ffffffe); /* 1 to 28 */
}

static void hash_spreads(void **state)
{
    int counts[60] = { 0 };

    (void)state;
    for (int i = 0; i < 6000; i++) {
        RC_STR_AUTO name = rc_strf("tenant-%d", i);
        struct core_schedule *schedule;

        counts[__builtin_ctzll(hashed("H * * * *", name, &schedule)->minute)]++;
        core_schedule_free(schedule);
    }
    for (int minute = 0; minute < 60; minute++) /* 100 each are expected; 5 deviations */
        assert_in_range(counts[minute], 50, 150);
}

/* ---- other kinds and the ends of time -------------------------------------------------------- */

static void every_counts_from_1970(void **state)
{
    struct core_schedule *schedule = make("@every 1h30m", "Europe/Prague");

    (void)state;
    assert_int_equal(core_schedule_kind(schedule), CORE_SCHEDULE_EVERY);
    assert_int_equal(core_schedule_every_ms(schedule), 5400 * 1000);
    expect_slots(schedule, "1970-01-01T00:00:00Z", "1970-01-01T01:30:00Z 1970-01-01T03:00:00Z");
    expect_slots(make("@every 1d", NULL), "1969-12-30T12:00:00Z",
                 "1969-12-31T00:00:00Z 1970-01-01T00:00:00Z 1970-01-02T00:00:00Z");
    expect_slots(make("@every 7s", NULL), "2026-03-29T01:00:00Z",
                 "2026-03-29T01:00:01Z 2026-03-29T01:00:08Z");
}

static void startup_is_never_due_by_the_clock(void **state)
{
    struct core_schedule *schedule = make(" @startup ", NULL);
    int64_t slot = 0;

    (void)state;
    assert_int_equal(core_schedule_kind(schedule), CORE_SCHEDULE_STARTUP);
    assert_false(core_schedule_next(schedule, 0, &slot));
    core_schedule_free(schedule);
}

static void slots_are_strictly_behind(void **state)
{
    struct core_schedule *schedule = make("* * * * * *", "Europe/Prague");
    int64_t slot = 0;

    (void)state;
    assert_true(core_schedule_next(schedule, 1000, &slot) && slot == 2000);
    assert_true(core_schedule_next(schedule, 1001, &slot) && slot == 2000);
    assert_true(core_schedule_next(schedule, 999, &slot) && slot == 1000);
    assert_true(core_schedule_next(schedule, -1, &slot) && slot == 0);
    assert_true(core_schedule_next(schedule, -1001, &slot) && slot == -1000);
    core_schedule_free(schedule);
}

static void time_has_ends(void **state)
{
    static const char *const zones[] = { "UTC", "Pacific/Apia", "Pacific/Midway", "Etc/GMT+12" };
    static const char *const texts[] = { "0 0 * * *", "*/7 * * * *", "0 0 29 2 ?", "@every 1d" };
    const int64_t last_ms = unix_ms("9999-12-31T23:59:59Z");

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(zones); i++)
        for (size_t j = 0; j < RC_ARRAY_LEN(texts); j++) {
            struct core_schedule *schedule = make(texts[j], zones[i]);
            int64_t slot = 0;
            int64_t again = 0;

            assert_false(core_schedule_next(schedule, INT64_MAX, &slot));
            assert_false(core_schedule_next(schedule, last_ms, &slot));
            assert_true(core_schedule_next(schedule, INT64_MIN, &slot));
            assert_true(core_schedule_next(schedule, slot, &again) && again > slot);
            slot = unix_ms("9990-01-01T00:00:00Z");
            while (core_schedule_next(schedule, slot, &again) && j != 1) {
                assert_true(again > slot && again <= last_ms);
                slot = again;
            }
            core_schedule_free(schedule);
        }
}

static void options_override_the_kind(void **state)
{
    static const struct {
        const char *text;
        enum core_schedule_gap gap;
        enum core_schedule_overlap overlap;
        const char *spring, *autumn;
    } cases[] = {
        { "30 2 * * *", CORE_GAP_AUTO, CORE_OVERLAP_AUTO, "2026-03-29T01:00:00Z",
          "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z" },
        { "30 2 * * *", CORE_GAP_SKIP, CORE_OVERLAP_BOTH, "2026-03-30T00:30:00Z",
          "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z" },
        { "30 2 * * *", CORE_GAP_RUN_AFTER, CORE_OVERLAP_BOTH, "2026-03-29T01:00:00Z",
          "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z" },
        { "30 */2 * * *", CORE_GAP_AUTO, CORE_OVERLAP_AUTO, "2026-03-29T02:30:00Z",
          "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z" },
        { "30 */2 * * *", CORE_GAP_RUN_AFTER, CORE_OVERLAP_FIRST, "2026-03-29T01:00:00Z",
          "2026-10-25T00:30:00Z 2026-10-25T03:30:00Z" },
        { "30 */2 * * *", CORE_GAP_SKIP, CORE_OVERLAP_FIRST, "2026-03-29T02:30:00Z",
          "2026-10-25T00:30:00Z 2026-10-25T03:30:00Z" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct core_schedule_options options = { .gap = cases[i].gap, .overlap = cases[i].overlap };

        expect_slots(make_with(cases[i].text, "Europe/Prague", options), "2026-03-29T00:00:00Z",
                     cases[i].spring);
        expect_slots(make_with(cases[i].text, "Europe/Prague", options), "2026-10-24T23:00:00Z",
                     cases[i].autumn);
    }
}

/* ---- words ----------------------------------------------------------------------------------- */

static void expect_words(const char *text, const char *zone, const char *expected)
{
    RC_BUF_AUTO(words, 8192);
    struct core_schedule *schedule = make(text, zone);

    core_schedule_explain(schedule, &words);
    if (!strstr(words.data, expected))
        fail_msg("'%s' is not in\n%s", expected, words.data);
    core_schedule_free(schedule);
}

static void schedules_are_explained(void **state)
{
    (void)state;
    expect_words("*/5 8-18 1,15 * *", NULL,
                 "'*/5 8-18 1,15 * *' in UTC\n"
                 "  second         0\n"
                 "  minute         0 to 55 by 5\n"
                 "  hour           8 to 18\n"
                 "  day of month   1, 15\n"
                 "  month          every\n"
                 "  weekday        every\n");
    expect_words("0 0 L-2,LW,7W JAN-MAR FRIL,2#1,MON", "UTC", "2 before the last, the working day");
    expect_words("0 0 L JAN-MAR FRIL,2#1,MON", "UTC",
                 "  month          January to March\n"
                 "  weekday        Monday, the last Friday of the month, the first Tuesday of the "
                 "month\n"
                 "                 either is enough");
    expect_words("30 2 * * *", "Europe/Prague",
                 "a fixed time: a local time that the clock skips is due right behind the gap, one "
                 "that it shows twice is due the first time only");
    expect_words("30 * * * *", "Europe/Prague",
                 "an interval: a local time that the clock skips is "
                 "left out, one that it shows twice is due both");
    expect_words("@every 90m", NULL, "the multiples of 1h30m since 1970-01-01T00:00:00Z");
    expect_words("@startup", NULL, "whenever the daemon starts");
    expect_words("H * * * THU", NULL, "values that follow from the job's name");
}

static void expect_reason_of(struct core_schedule *schedule, const char *slot, const char *reason)
{
    RC_BUF_AUTO(words, 512);
    int64_t found = 0;

    assert_true(core_schedule_next(schedule, unix_ms(slot) - 1, &found));
    assert_int_equal(found, unix_ms(slot));
    core_schedule_explain_slot(schedule, found, &words);
    assert_string_equal(words.data, reason);
    core_schedule_free(schedule);
}

static void expect_reason(const char *text, const char *zone, const char *slot, const char *reason)
{
    expect_reason_of(make(text, zone), slot, reason);
}

static void slots_are_explained(void **state)
{
    (void)state;
    expect_reason("30 2 * * *", "Europe/Prague", "2026-03-28T01:30:00Z", "");
    expect_reason("30 2 * * *", "Europe/Prague", "2026-03-29T01:00:00Z",
                  "the clock goes from 02:00:00 to 03:00:00 and skips 02:30:00, which is due right "
                  "behind that");
    expect_reason("0 3 * * *", "Europe/Prague", "2026-03-29T01:00:00Z", "");
    expect_reason("*/30 * * * *", "Europe/Prague", "2026-03-29T01:00:00Z",
                  "the clock goes from 02:00:00 to 03:00:00 and skips 02:00:00, which is left "
                  "out");
    expect_reason("*/30 * * * *", "Europe/Prague", "2026-03-29T01:30:00Z", "");
    expect_reason_of(make_with("30 2 * * *", "Europe/Prague",
                               (struct core_schedule_options){ .gap = CORE_GAP_SKIP }),
                     "2026-03-30T00:30:00Z",
                     "the clock goes from 2026-03-29 02:00:00 to 2026-03-29 03:00:00 and skips "
                     "2026-03-29 02:30:00, which is left out");
    expect_reason("30 */2 * * *", "Europe/Prague", "2026-03-29T02:30:00Z",
                  "the clock goes from 02:00:00 to 03:00:00 and skips 02:30:00, which is left "
                  "out");
    expect_reason("30 2 * * *", "Europe/Prague", "2026-10-25T00:30:00Z",
                  "the first time that the clock shows 02:30:00; it is not due the second time");
    expect_reason("*/30 * * * *", "Europe/Prague", "2026-10-25T01:30:00Z",
                  "the second time that the clock shows 02:30:00");
    expect_reason("0 12 30 12 *", "Pacific/Apia", "2011-12-30T10:00:00Z",
                  "the clock goes from 2011-12-30 00:00:00 to 2011-12-31 00:00:00 and skips "
                  "2011-12-30 12:00:00, which is due right behind that");
}

/* ---- zones ----------------------------------------------------------------------------------- */

static void wrong_zones_name_the_nearest(void **state)
{
    static const char *const wrong[][2] = {
        { "europe/prague", "'Europe/Prague'" },
        { "Europe/Prag", "'Europe/Prague'" },
        { "Kolkata", "'Asia/Kolkata'" },
        { "Amerika/New_York", "'America/New_York'" },
    };
    const struct core_time_zone *zone = NULL;
    const struct core_time_zone *again = NULL;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++)
        for (int round = 0; round < 2; round++) { /* the second is remembered */
            assert_int_equal(core_time_zones_get(shared_zones, wrong[i][0], &zone, &err),
                             RC_INVALID);
            if (!strstr(err.cause, wrong[i][1]))
                fail_msg("%s", err.cause);
        }
    assert_int_equal(core_time_zones_get(shared_zones, "Asia/Tokyo", &zone, &err), RC_OK);
    assert_int_equal(core_time_zones_get(shared_zones, "Asia/Tokyo", &again, &err), RC_OK);
    assert_ptr_equal(zone, again);
    assert_string_equal(core_time_zone_name(zone), "Asia/Tokyo");
}

static int open_zones(void **state)
{
    (void)state;
    shared_zones = core_time_zones_new();
    return 0;
}

static int close_zones(void **state)
{
    (void)state;
    core_time_zones_free(shared_zones);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_name_field_place_and_remedy),
        cmocka_unit_test(long_and_wild_texts_are_shown_short),
        cmocka_unit_test(dates_that_never_come_are_refused),
        cmocka_unit_test(fields_take_all_forms),
        cmocka_unit_test(last_and_working_days),
        cmocka_unit_test(days_agree_with_the_rule),
        cmocka_unit_test(hash_is_stable),
        cmocka_unit_test(hash_keeps_to_its_range),
        cmocka_unit_test(hash_spreads),
        cmocka_unit_test(every_counts_from_1970),
        cmocka_unit_test(startup_is_never_due_by_the_clock),
        cmocka_unit_test(slots_are_strictly_behind),
        cmocka_unit_test(time_has_ends),
        cmocka_unit_test(options_override_the_kind),
        cmocka_unit_test(schedules_are_explained),
        cmocka_unit_test(slots_are_explained),
        cmocka_unit_test(wrong_zones_name_the_nearest),
    };

    return cmocka_run_group_tests(tests, open_zones, close_zones);
}
