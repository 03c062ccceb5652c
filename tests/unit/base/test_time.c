/*
 * The calendar and RFC 3339, against known dates, the C library and themselves.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <run-core/time.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void knows_days(void **state)
{
    static const struct {
        int year, month, day;
        int32_t number;
    } table[] = {
        { 1970, 1, 1, 0 },           { 1969, 12, 31, -1 },      { 2000, 2, 29, 11016 },
        { 2000, 3, 1, 11017 },       { 1, 1, 1, -719162 },      { 0, 12, 31, -719163 },
        { 0, 2, 29, -719469 },       { 9999, 12, 31, 2932896 }, { 1582, 10, 15, -141427 },
        { -4713, 11, 24, -2440588 },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(table); i++) {
        int year = 0;
        int month = 0;
        int day = 0;

        assert_int_equal(rc_day_from_date(table[i].year, table[i].month, table[i].day),
                         table[i].number);
        rc_day_to_date(table[i].number, &year, &month, &day);
        assert_int_equal(year, table[i].year);
        assert_int_equal(month, table[i].month);
        assert_int_equal(day, table[i].day);
    }
}

/* Every day of two whole cycles, counted on by hand, and the ends of what is representable. */
static void days_round_trip(void **state)
{
    static const int32_t ends[] = { INT32_MIN, INT32_MIN + 1, INT32_MAX - 1, INT32_MAX };
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int y = 1600;
    int m = 1;
    int d = 1;

    (void)state;
    for (int32_t number = rc_day_from_date(1600, 1, 1); y < 2400; number++) {
        int year = 0;
        int month = 0;
        int day = 0;

        rc_day_to_date(number, &year, &month, &day);
        if (year != y || month != m || day != d || rc_day_from_date(y, m, d) != number)
            fail_msg("day %d gave %d-%d-%d", number, year, month, day);

        bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
        if (++d > lengths[m - 1] + (m == 2 && leap)) {
            d = 1;
            y += m == 12;
            m = m % 12 + 1;
        }
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(ends); i++) {
        int year = 0;
        int month = 0;
        int day = 0;
        char text[RC_DAY_TEXT];

        rc_day_to_date(ends[i], &year, &month, &day);
        assert_int_equal(rc_day_from_date(year, month, day), ends[i]);
        assert_true(strlen(rc_format_day(ends[i], text)) < RC_DAY_TEXT);
    }
}

static void parses_days(void **state)
{
    static const char *const good[] = { "0001-01-01", "1970-01-01", "2024-02-29",
                                        "9999-12-31", "2000-02-29", "1900-02-28" };
    static const char *const bad[] = {
        "",           "2024-2-29",   "2024-02-30",  "2023-02-29",  "1900-02-29",  "2024-13-01",
        "2024-00-01", "2024-01-00",  "2024-04-31",  "0000-01-01",  "12024-01-01", "2024/01/01",
        "20240101",   " 2024-01-01", "2024-01-01 ", "2024-01-01T", "-001-01-01",  "2024-01",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(good); i++) {
        int32_t day = 0;
        char text[RC_DAY_TEXT];

        assert_true(rc_parse_day(good[i], &day));
        assert_string_equal(rc_format_day(day, text), good[i]);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++) {
        int32_t day = 77;

        if (rc_parse_day(bad[i], &day) || day != 77)
            fail_msg("'%s' was accepted", bad[i]);
    }
}

static void parses_times(void **state)
{
    static const struct {
        const char *text;
        int64_t unix_ms;
    } good[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01 00:00:00Z", 0 },
        { "1970-01-01t00:00:00z", 0 },
        { "1970-01-01T01:00:00+01:00", 0 },
        { "1969-12-31T18:30:00-05:30", 0 },
        { "1970-01-01T00:00:00-00:00", 0 },
        { "1970-01-01T00:00:00.5Z", 500 },
        { "1970-01-01T00:00:00.001Z", 1 },
        { "1970-01-01T00:00:00.0019999999999999999999Z", 1 },
        { "1969-12-31T23:59:59.999Z", -1 },
        { "2026-01-31T23:59:59.250Z", INT64_C(1769903999250) },
        { "1985-04-12T23:20:50.52Z", INT64_C(482196050520) },
        { "1996-12-19T16:39:57-08:00", INT64_C(851042397000) },
        { "1937-01-01T12:00:27.87+00:20", INT64_C(-1041337172130) },
        { "1990-12-31T23:59:60Z", INT64_C(662688000000) },
        { "1990-12-31T15:59:60-08:00", INT64_C(662688000000) },
        { "0001-01-01T00:00:00Z", INT64_C(-62135596800000) },
        { "9999-12-31T23:59:59.999Z", INT64_C(253402300799999) },
    };
    static const char *const bad[] = {
        "",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T12:00:60Z",
        "1970-01-01T00:00:00+1:00",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+01:60",
        "1970-01-01T00:00:00Z ",
        " 1970-01-01T00:00:00Z",
        "1970-01-01_00:00:00Z",
        "1970-01-01T0:00:00Z",
        "1970-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1970-01-01T00:00:00.5",
        "0",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(good); i++) {
        int64_t unix_ms = -77;

        if (!rc_parse_time(good[i].text, &unix_ms) || unix_ms != good[i].unix_ms)
            fail_msg("'%s' gave %lld", good[i].text, (long long)unix_ms);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++) {
        int64_t unix_ms = -77;

        if (rc_parse_time(bad[i], &unix_ms) || unix_ms != -77)
            fail_msg("'%s' was accepted", bad[i]);
    }
}

static void formats_times(void **state)
{
    char text[RC_TIME_TEXT];

    (void)state;
    assert_string_equal(rc_format_time(0, text), "1970-01-01T00:00:00Z");
    assert_string_equal(rc_format_time(-1, text), "1969-12-31T23:59:59.999Z");
    assert_string_equal(rc_format_time(INT64_C(1769903999250), text), "2026-01-31T23:59:59.250Z");
    assert_true(strlen(rc_format_time(INT64_MAX, text)) < RC_TIME_TEXT);
    assert_string_equal(rc_format_time(INT64_MIN, text), "-292275055-05-16T16:47:04.192Z");
}

/* A step that hits all hours and months; the C library says the same. */
static void agrees_with_the_c_library(void **state)
{
    const int64_t first = INT64_C(-62135596800); /* 0001-01-01 */
    const int64_t last = INT64_C(253402300799);  /* 9999-12-31 */

    (void)state;
    for (int64_t unix_s = first; unix_s <= last; unix_s += 7654321) {
        time_t seconds = (time_t)unix_s;
        struct tm parts;
        char expected[64];
        char text[RC_TIME_TEXT];
        int64_t read_ms = 0;

        assert_non_null(gmtime_r(&seconds, &parts));
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900,
                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
        assert_string_equal(rc_format_time(unix_s * 1000, text), expected);
        assert_true(rc_parse_time(text, &read_ms));
        assert_true(read_ms == unix_s * 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_days),    cmocka_unit_test(days_round_trip),
        cmocka_unit_test(parses_days),   cmocka_unit_test(parses_times),
        cmocka_unit_test(formats_times), cmocka_unit_test(agrees_with_the_c_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
