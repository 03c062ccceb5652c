/*
 * Strings, numbers, durations and sizes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <locale.h>
#include <run-core/str.h>
#include <stdlib.h>
#include <string.h>

static void compares(void **state)
{
    (void)state;
    assert_true(rc_str_eq("a", "a"));
    assert_false(rc_str_eq("a", "b"));
    assert_false(rc_str_eq("a", NULL));
    assert_false(rc_str_eq(NULL, ""));
    assert_true(rc_str_eq(NULL, NULL));
    assert_true(rc_str_starts("abc", "ab"));
    assert_true(rc_str_starts("abc", ""));
    assert_false(rc_str_starts("ab", "abc"));
    assert_true(rc_str_ends("abc", "bc"));
    assert_true(rc_str_ends("abc", ""));
    assert_false(rc_str_ends("bc", "abc"));
}

static void copies(void **state)
{
    (void)state;
    RC_STR_AUTO whole = rc_strdup("text");
    RC_STR_AUTO part = rc_strndup("text", 2);
    RC_STR_AUTO none = rc_strndup(NULL, 0);
    RC_STR_AUTO made = rc_strf("%s-%d", "n", 4);

    assert_string_equal(whole, "text");
    assert_string_equal(part, "te");
    assert_string_equal(none, "");
    assert_string_equal(made, "n-4");
    assert_null(rc_strdup(NULL));
    rc_str_free(&whole);
    assert_null(whole);
}

static void allocates_even_nothing(void **state)
{
    (void)state;
    void *a = rc_malloc(0);
    void *b = rc_calloc(0, 8);
    void *c = rc_realloc(NULL, 0);

    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    free(a);
    free(b);
    free(c);
}

static void parses_integers(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        { "0", 0 },
        { "-0", 0 },
        { "+7", 7 },
        { "007", 7 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
    };
    static const char *const bad[] = {
        "",
        "-",
        "+",
        " 1",
        "1 ",
        "1.0",
        "0x10",
        "1e3",
        "--1",
        "+-1",
        "1\n",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(good); i++) {
        int64_t value = 12345;

        assert_true(rc_parse_int(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++) {
        int64_t value = 12345;

        assert_false(rc_parse_int(bad[i], &value));
        assert_true(value == 12345);
    }
}

static void parses_floats(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {
        { "0", 0.0 },      { "1.5", 1.5 },
        { "-1.5", -1.5 },  { "+.5", 0.5 },
        { "5.", 5.0 },     { "1e3", 1000.0 },
        { "1E-3", 0.001 }, { "2.5e+2", 250.0 },
        { "1e-999", 0.0 }, { "1.7976931348623157e308", 1.7976931348623157e308 },
    };
    static const char *const bad[] = {
        "",    ".",   "-",    "e3",    "1e",       "1e+", "1,5",   " 1",    "1 ",
        "nan", "inf", "-inf", "1e999", "infinity", "0x1", "0x1p3", "1.2.3", "1f",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(good); i++) {
        double value = -77.0;

        assert_true(rc_parse_float(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++) {
        double value = -77.0;

        assert_false(rc_parse_float(bad[i], &value));
        assert_true(value == -77.0);
    }
}

/* Where the machine has a locale with a decimal comma, it changes nothing. */
static void floats_know_no_locale(void **state)
{
    double value = 0.0;

    (void)state;
    setlocale(LC_ALL, "de_DE.UTF-8");
    assert_true(rc_parse_float("1.5", &value));
    assert_true(value == 1.5);
    assert_false(rc_parse_float("1,5", &value));
    setlocale(LC_ALL, "C");
}

static void parses_booleans(void **state)
{
    static const char *const yes[] = { "true", "TRUE", "Yes", "on", "oN", "1" };
    static const char *const no[] = { "false", "False", "no", "OFF", "0" };
    static const char *const bad[] = { "", "t", "y", "2", "true ", " true", "truee", "01" };
    bool value = false;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(yes); i++) {
        value = false;
        assert_true(rc_parse_bool(yes[i], &value));
        assert_true(value);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(no); i++) {
        value = true;
        assert_true(rc_parse_bool(no[i], &value));
        assert_false(value);
    }
    value = true;
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++)
        assert_false(rc_parse_bool(bad[i], &value));
    assert_true(value);
}

struct amount {
    const char *text;
    int64_t value;
};

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define WEEK (7 * DAY)

static void check_amounts(bool (*parse)(const char *, int64_t *), const struct amount *good,
                          size_t good_count, const char *const *bad, size_t bad_count)
{
    for (size_t i = 0; i < good_count; i++) {
        int64_t value = -5;

        if (!parse(good[i].text, &value) || value != good[i].value)
            fail_msg("'%s' gave %lld", good[i].text, (long long)value);
    }
    for (size_t i = 0; i < bad_count; i++) {
        int64_t value = -5;

        if (parse(bad[i], &value) || value != -5)
            fail_msg("'%s' was accepted as %lld", bad[i], (long long)value);
    }
}

static void parses_durations(void **state)
{
    static const struct amount good[] = {
        { "0", 0 },
        { "0s", 0 },
        { "250ms", 250 },
        { "30s", 30 * SECOND },
        { "15m", 15 * MINUTE },
        { "2h", 2 * HOUR },
        { "1d", DAY },
        { "2w", 2 * WEEK },
        { "036h", 36 * HOUR },
        { "90m", 90 * MINUTE },
        { "1h30m", HOUR + 30 * MINUTE },
        { "1m500ms", MINUTE + 500 },
        { "1w2d3h4m5s6ms", WEEK + 2 * DAY + 3 * HOUR + 4 * MINUTE + 5 * SECOND + 6 },
        { "9223372036854775807ms", INT64_MAX },
        { "106751991167d7h12m55s807ms", INT64_MAX },
    };
    static const char *const bad[] = {
        "",
        "1",
        "30",
        "00",
        "s",
        "-1s",
        "+1s",
        "1.5h",
        "1 s",
        " 1s",
        "1s ",
        "1S",
        "1M",
        "1min",
        "1y",
        "1us",
        "1h30",
        "30m1h",
        "1h1h",
        "1s1s",
        "1ms1s",
        "1hm",
        "1h,30m",
        "0x1s",
        "9223372036854775808ms",
        "106751991167d7h12m55s808ms",
        "106751991168d",
        "15250284453w",
        "99999999999999999999s",
    };

    (void)state;
    check_amounts(rc_parse_duration, good, RC_ARRAY_LEN(good), bad, RC_ARRAY_LEN(bad));
}

static void parses_sizes(void **state)
{
    static const struct amount good[] = {
        { "0", 0 },
        { "512", 512 },
        { "64KiB", INT64_C(64) << 10 },
        { "64MiB", INT64_C(64) << 20 },
        { "1GiB", INT64_C(1) << 30 },
        { "1TiB", INT64_C(1) << 40 },
        { "3kB", 3000 },
        { "3MB", 3000000 },
        { "3GB", INT64_C(3000000000) },
        { "3TB", INT64_C(3000000000000) },
        { "0KiB", 0 },
        { "9223372036854775807", INT64_MAX },
        { "8388607TiB", INT64_C(8388607) << 40 },
    };
    static const char *const bad[] = {
        "",           "KiB",       "-1",   "+1",   "1.5GiB", "1 GiB",
        " 1",         "1 ",        "1K",   "1k",   "1KB",    "1kib",
        "1Mib",       "1G",        "1PiB", "0x10", "1e6",    "9223372036854775808",
        "8388608TiB", "9223373TB",
    };

    (void)state;
    check_amounts(rc_parse_size, good, RC_ARRAY_LEN(good), bad, RC_ARRAY_LEN(bad));
}

static void formats_durations(void **state)
{
    static const struct amount table[] = {
        { "0s", 0 },
        { "1ms", 1 },
        { "1s", SECOND },
        { "1h30m", HOUR + 30 * MINUTE },
        { "1d1ms", DAY + 1 },
        { "14d", 2 * WEEK },
        { "-1m1s", -MINUTE - SECOND },
        { "106751991167d7h12m55s807ms", INT64_MAX },
        { "-106751991167d7h12m55s808ms", INT64_MIN },
    };
    char text[RC_AMOUNT_TEXT];

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(table); i++)
        assert_string_equal(rc_format_duration(table[i].value, text), table[i].text);

    /* What is written is read as the same. */
    for (int64_t ms = 1; ms < INT64_MAX / 7; ms = ms * 5 + 3) {
        int64_t read = 0;

        assert_true(rc_parse_duration(rc_format_duration(ms, text), &read));
        assert_true(read == ms);
    }
}

static void formats_sizes(void **state)
{
    static const struct amount table[] = {
        { "0 B", 0 },
        { "1023 B", 1023 },
        { "1 KiB", 1024 },
        { "1.5 KiB", 1536 },
        { "64 MiB", INT64_C(64) << 20 },
        { "1.5 GiB", INT64_C(3) << 29 },
        { "1023.9 KiB", 1023 * 1024 + 970 },
        { "1 MiB", 1024 * 1024 - 1 },
        { "1 GiB", (INT64_C(1) << 30) - 1 },
        { "8 EiB", INT64_MAX },
        { "-8 EiB", INT64_MIN },
        { "-2 KiB", -2048 },
    };
    char text[RC_AMOUNT_TEXT];

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(table); i++)
        assert_string_equal(rc_format_size(table[i].value, text), table[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),
        cmocka_unit_test(copies),
        cmocka_unit_test(allocates_even_nothing),
        cmocka_unit_test(parses_integers),
        cmocka_unit_test(parses_floats),
        cmocka_unit_test(floats_know_no_locale),
        cmocka_unit_test(parses_booleans),
        cmocka_unit_test(parses_durations),
        cmocka_unit_test(parses_sizes),
        cmocka_unit_test(formats_durations),
        cmocka_unit_test(formats_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
