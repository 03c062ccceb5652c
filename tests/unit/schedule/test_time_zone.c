/*
 * Time zones: against the C library over 130 years, days without midnight, the rule in
 * the footer, and damaged files.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <os/file.h>
#include <run-core/buf.h>
#include <run-core/str.h>
#include <run-core/time.h>
#include <schedule/posix_tz.h>
#include <schedule/time_zone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct core_time_zone *load(const char *name)
{
    struct core_time_zone *zone = NULL;
    struct rc_error err = RC_ERROR_INIT;

    if (core_time_zone_load(name, &zone, &err))
        fail_msg("%s", err.cause);
    return zone;
}

static int64_t unix_s(const char *text)
{
    int64_t unix_ms = 0;

    assert_true(rc_parse_time(text, &unix_ms));
    return unix_ms / 1000;
}

static int32_t day(const char *text)
{
    int32_t number = 0;

    assert_true(rc_parse_day(text, &number));
    return number;
}

/* Europe, the Americas, both hemispheres, odd offsets, rules that end, negative daylight time. */
static const char *const zones[] = {
    "UTC",
    "Europe/Prague",
    "Europe/London",
    "Europe/Dublin",
    "Europe/Moscow",
    "Europe/Istanbul",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "America/Nuuk",
    "America/Asuncion",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Asia/Gaza",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "Etc/GMT+12",
    "EST5EDT",
};

/* The C library's offset in the process's zone; checks that of 'zone', and the local day. */
static long expect_same(const struct core_time_zone *zone, const char *name, int64_t at)
{
    time_t seconds = (time_t)at;
    struct tm parts;

    localtime_r(&seconds, &parts);
    int32_t local_day = rc_day_from_date(parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
    if (core_time_zone_offset_s(zone, at) != (int32_t)parts.tm_gmtoff ||
        core_time_zone_day_of(zone, at) != local_day) {
        fprintf(stderr, "%s at %lld: offset %d, C library %ld\n", name, (long long)at,
                core_time_zone_offset_s(zone, at), parts.tm_gmtoff);
        _exit(1);
    }
    return parts.tm_gmtoff;
}

/*
 * Runs in a process of its own, whose TZ it may change: four looks a day and, wherever the
 * offset changes, the seconds before and at the change.
 */
static void compare_with_c_library(const char *name)
{
    const int64_t last = unix_s("2100-12-31T23:59:59Z");
    struct core_time_zone *zone = load(name);
    int64_t before = unix_s("1970-01-01T00:00:00Z");

    setenv("TZ", name, 1);
    tzset();
    long offset = expect_same(zone, name, before);
    for (int64_t at = before; at <= last; before = at, at += 21599) {
        long changed = expect_same(zone, name, at);

        if (changed == offset)
            continue;
        for (int64_t low = before, high = at; high - low > 1;) {
            int64_t middle = low + (high - low) / 2;

            if (expect_same(zone, name, middle) == offset)
                low = middle;
            else
                high = middle;
        }
        offset = changed;
    }
    core_time_zone_free(zone);
    _exit(0);
}

static void agrees_with_the_c_library(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(zones); i++) {
        int status = 0;
        pid_t child = fork();

        if (child == 0)
            compare_with_c_library(zones[i]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

/* What defines the start of a day: the first instant whose local day is that one or later. */
static void days_begin_at_their_first_instant(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(zones); i++) {
        struct core_time_zone *zone = load(zones[i]);
        int64_t previous = INT64_MIN;

        for (int32_t number = day("1970-01-02"); number <= day("2055-12-31"); number++) {
            int64_t start = core_time_zone_day_start_s(zone, number);

            if (core_time_zone_day_of(zone, start) < number ||
                core_time_zone_day_of(zone, start - 1) >= number || start < previous)
                fail_msg("%s, day %d: %lld", zones[i], number, (long long)start);
            previous = start;
        }
        core_time_zone_free(zone);
    }
}

static void midnights_that_are_skipped_or_repeated(void **state)
{
    static const struct {
        const char *zone, *day, *start;
    } table[] = {
        { "UTC", "2026-01-31", "2026-01-31T00:00:00Z" },
        { "Europe/Prague", "2026-03-29", "2026-03-29T00:00:00+01:00" },
        { "Europe/Prague", "2026-03-30", "2026-03-30T00:00:00+02:00" },
        { "America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00:00-02:00" }, /* 00:00 skipped */
        { "America/Sao_Paulo", "2018-02-18",
          "2018-02-18T00:00:00-03:00" }, /* 00:00 went to 23:00 */
        { "Africa/Cairo", "2014-05-16", "2014-05-16T01:00:00+03:00" },
        { "Africa/Cairo", "2023-04-28", "2023-04-28T01:00:00+03:00" },
        { "Africa/Cairo", "2050-04-29", "2050-04-29T01:00:00+03:00" }, /* from the footer */
        { "America/Havana", "2026-03-08", "2026-03-08T01:00:00-04:00" },
        { "America/Havana", "2026-11-01", "2026-11-01T00:00:00-04:00" },   /* 01:00 went to 00:00 */
        { "America/St_Johns", "2006-10-29", "2006-10-29T00:00:00-02:30" }, /* 00:01 went to 23:01 */
        { "Pacific/Apia", "2011-12-30", "2011-12-31T00:00:00+14:00" },     /* a day left out */
        { "Pacific/Apia", "2011-12-31", "2011-12-31T00:00:00+14:00" },
        { "Asia/Kathmandu", "2026-01-01", "2026-01-01T00:00:00+05:45" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(table); i++) {
        struct core_time_zone *zone = load(table[i].zone);
        int64_t start = core_time_zone_day_start_s(zone, day(table[i].day));
        char text[RC_TIME_TEXT];

        if (start != unix_s(table[i].start))
            fail_msg("%s, %s: %s", table[i].zone, table[i].day, rc_format_time(start * 1000, text));
        core_time_zone_free(zone);
    }
}

static void far_instants_are_harmless(void **state)
{
    static const int64_t far[] = { INT64_MIN,        INT64_MIN + 1, -(INT64_C(1) << 40),
                                   INT64_C(1) << 40, INT64_MAX - 1, INT64_MAX };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(zones); i++) {
        struct core_time_zone *zone = load(zones[i]);

        for (size_t k = 0; k < RC_ARRAY_LEN(far); k++) {
            int32_t offset_s = core_time_zone_offset_s(zone, far[k]);

            assert_true(offset_s > -86400 && offset_s < 86400);
            core_time_zone_day_of(zone, far[k]);
        }
        assert_int_equal(core_time_zone_day_of(zone, INT64_MIN), INT32_MIN);
        assert_int_equal(core_time_zone_day_of(zone, INT64_MAX), INT32_MAX);
        assert_true(core_time_zone_day_start_s(zone, INT32_MIN) <
                    core_time_zone_day_start_s(zone, INT32_MAX));
        core_time_zone_free(zone);
    }
}

static void bad_names_are_refused(void **state)
{
    static const char *const names[] = {
        "",
        "/etc/passwd",
        "..",
        "../zoneinfo/UTC",
        "Europe/../UTC",
        "Europe/./Prague",
        "./UTC",
        "Europe//Prague",
        "Europe/",
        "Europe",
        "Europe/Praha",
        "zone.tab",
        "Europe/Pra gue",
        "Europe/Prague\n",
        ":UTC",
        "right/Europe/Prague", /* counts leap seconds */
        "UTC/Prague",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        struct core_time_zone *zone = NULL;
        struct rc_error err = RC_ERROR_INIT;

        if (core_time_zone_load(names[i], &zone, &err) != RC_INVALID)
            fail_msg("'%s' was accepted", names[i]);
        assert_string_not_equal(err.cause, "");
    }
}

static void reads_rules(void **state)
{
    static const struct {
        const char *rule, *at;
        int32_t offset_s;
    } table[] = {
        { "CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T00:59:59Z", 3600 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T01:00:00Z", 7200 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T00:59:59Z", 7200 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T01:00:00Z", 3600 },
        { "<+0545>-5:45", "2026-01-01T00:00:00Z", 20700 },
        { "<-03>3:00:30", "2026-01-01T00:00:00Z", -10830 },
        /* The southern half: summer over the turn of the year. */
        { "AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-01-01T00:00:00Z", 39600 },
        { "AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-06-01T00:00:00Z", 36000 },
        /* Daylight time behind standard time. */
        { "IST-1GMT0,M10.5.0,M3.5.0/1", "2026-01-01T00:00:00Z", 0 },
        { "IST-1GMT0,M10.5.0,M3.5.0/1", "2026-07-01T00:00:00Z", 3600 },
        /* Hours before the day and far behind it. */
        { "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T00:59:59Z", -7200 },
        { "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", -3600 },
        { "EET-2EEST,M3.4.4/50,M10.4.4/50", "2026-03-27T23:59:59Z", 7200 },
        { "EET-2EEST,M3.4.4/50,M10.4.4/50", "2026-03-28T00:00:00Z", 10800 },
        /* J60 is 1 March in every year, 59 is 29 February where there is one. */
        { "AAA0BBB,J60/0,J300/0", "2024-02-29T23:59:59Z", 0 },
        { "AAA0BBB,J60/0,J300/0", "2024-03-01T00:00:00Z", 3600 },
        { "AAA0BBB,J60/0,J300/0", "2025-03-01T00:00:00Z", 3600 },
        { "AAA0BBB,J60/0,J300/0", "2025-02-28T23:59:59Z", 0 },
        { "AAA0BBB,59/0,300/0", "2024-02-29T00:00:00Z", 3600 },
        { "AAA0BBB,59/0,300/0", "2025-02-28T23:59:59Z", 0 },
        { "AAA0BBB,59/0,300/0", "2025-03-01T00:00:00Z", 3600 },
        /* All the year (RFC 8536, section 3.3.1). */
        { "EST5EDT,0/0,J365/25", "2026-01-01T04:59:59Z", -14400 },
        { "EST5EDT,0/0,J365/25", "2026-01-01T05:00:00Z", -14400 },
        { "EST5EDT,0/0,J365/25", "2026-07-01T00:00:00Z", -14400 },
        /* The same in another cycle of the calendar. */
        { "CET-1CEST,M3.5.0,M10.5.0/3", "1626-03-29T00:59:59Z", 3600 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", "1626-03-29T01:00:00Z", 7200 },
        { "CET-1CEST,M3.5.0,M10.5.0/3", "9626-03-29T01:00:00Z", 7200 },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(table); i++) {
        struct core_tz_rule rule;

        assert_true(core_tz_rule_parse(table[i].rule, &rule));
        int64_t at = unix_s(table[i].at);
        struct core_tz_span span = core_tz_rule_at(&rule, at);
        if (span.offset_s != table[i].offset_s)
            fail_msg("%s at %s: %d", table[i].rule, table[i].at, span.offset_s);
        assert_true(span.until_s > at);
    }
}

static void refuses_rules(void **state)
{
    static const char *const bad[] = {
        "",
        "CE",
        "CET",
        "CET-",
        "CET-25",
        "CET-1:60",
        "<CET-1",
        "<>-1",
        "CET-1CE",
        "CET-1CEST",
        "CET-1CEST,",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,M10.5.0/3,",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J300",
        "CET-1CEST,J366,J300",
        "CET-1CEST,366,300",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-99999999999999999999",
        "CET-1 ",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++) {
        struct core_tz_rule rule;

        if (core_tz_rule_parse(bad[i], &rule))
            fail_msg("'%s' was accepted", bad[i]);
    }
}

/* Loads the bytes as a zone, from a directory of its own, and uses what was accepted. */
static enum rc_code load_bytes(const char *directory, const char *bytes, size_t len)
{
    RC_STR_AUTO path = rc_strf("%s/Damaged", directory);
    struct core_time_zone *zone = NULL;
    struct rc_error err = RC_ERROR_INIT;
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fwrite(bytes, 1, len, file);
    fclose(file);
    enum rc_code code = core_time_zone_load("Damaged", &zone, &err);
    if (!code) {
        for (int32_t number = -40000; number < 50000; number += 9001)
            core_time_zone_day_of(zone, core_time_zone_day_start_s(zone, number));
        core_time_zone_free(zone);
    }
    return code;
}

/* Every beginning, and thousands of flipped bytes: an error or a zone, but never a crash. */
static void damaged_files_are_errors(void **state)
{
    char directory[] = "/tmp/rc-unit-XXXXXX";
    RC_BUF_AUTO(file, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;
    unsigned random = 1;

    (void)state;
    assert_int_equal(core_file_read("/usr/share/zoneinfo/Europe/Dublin", &file, &err), RC_OK);
    assert_non_null(mkdtemp(directory));
    setenv("TZDIR", directory, 1);

    assert_int_equal(load_bytes(directory, file.data, file.len), RC_OK);
    for (size_t len = 0; len < file.len; len++)
        assert_int_equal(load_bytes(directory, file.data, len), RC_INVALID);
    for (int round = 0; round < 1500; round++) {
        random = random * 1103515245u + 12345u;
        size_t at = round < 200 ? (size_t)round : (random >> 8) % file.len;
        char kept = file.data[at];

        file.data[at] = (char)(random >> 24);
        enum rc_code code = load_bytes(directory, file.data, file.len);
        assert_true(code == RC_OK || code == RC_INVALID);
        file.data[at] = kept;
    }
    unsetenv("TZDIR");
    assert_int_equal(core_tree_remove(directory, &err), RC_OK);
}

/* Version 1 has 32 bits and no footer; built here by hand: +1h at 1000, +2h at 2000. */
static void version_1_files_are_read(void **state)
{
    static const char bytes[] = "TZif\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "\0\0\0\0\0\0\0\0\0\0\0\0" /* isut, isstd, leap */
                                "\0\0\0\x02\0\0\0\x02\0\0\0\x04"
                                "\0\0\x03\xE8\0\0\x07\xD0" /* times */
                                "\x00\x01"                 /* types of them */
                                "\0\0\x0E\x10\0\0"
                                "\0\0\x1C\x20\x01\0" /* offsets */
                                "ABC";
    char directory[] = "/tmp/rc-unit-XXXXXX";
    struct core_time_zone *zone = NULL;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_non_null(mkdtemp(directory));
    setenv("TZDIR", directory, 1);
    assert_int_equal(load_bytes(directory, bytes, sizeof(bytes)), RC_OK);
    assert_int_equal(core_time_zone_load("Damaged", &zone, &err), RC_OK);
    assert_int_equal(core_time_zone_offset_s(zone, 0), 3600);
    assert_int_equal(core_time_zone_offset_s(zone, 1999), 3600);
    assert_int_equal(core_time_zone_offset_s(zone, 2000), 7200);
    assert_int_equal(core_time_zone_offset_s(zone, INT64_C(1) << 40), 7200);
    core_time_zone_free(zone);

    /* UTC needs no file. */
    assert_int_equal(core_time_zone_load("UTC", &zone, &err), RC_OK);
    core_time_zone_free(zone);
    core_time_zone_free(NULL);
    assert_int_equal(core_time_zone_load("Europe/Prague", &zone, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "tzdata"));
    unsetenv("TZDIR");
    assert_int_equal(core_tree_remove(directory, &err), RC_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_c_library),
        cmocka_unit_test(days_begin_at_their_first_instant),
        cmocka_unit_test(midnights_that_are_skipped_or_repeated),
        cmocka_unit_test(far_instants_are_harmless),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(reads_rules),
        cmocka_unit_test(refuses_rules),
        cmocka_unit_test(damaged_files_are_errors),
        cmocka_unit_test(version_1_files_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
