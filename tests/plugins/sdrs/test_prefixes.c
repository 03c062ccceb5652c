/*
 * Prefixes: the published vector, ends of months and years, templates, versions, sets; and random
 * ones against what each hour, or each key, says by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <prefixes.h>

#include <chance.h>
#include <run-core/time.h>

#include <string.h>

#define HOUR_MS INT64_C(3600000)

enum { TEXT_LIMIT = 1 << 20, ROUNDS = 300 };

static const char *const templates[] = {
    "{yyyy}/{mm}/{dd}/{hh}",  "dt={yyyy}-{mm}-{dd}",
    "year={yyyy}/month={mm}", "{yyyy}",
    "{yyyy}{mm}{dd}{hh}",     "y{yyyy}/m{mm}/day={dd}/hour={hh}/data",
    "{yyyy}/{mm}/{dd}T{hh}",
};

static int64_t at(const char *text)
{
    int64_t unix_ms;

    assert_true(rc_parse_time(text, &unix_ms));
    return unix_ms;
}

static struct sdrs_template template_of(const char *text)
{
    struct sdrs_template template;
    struct rc_error err = RC_ERROR_INIT;

    if (sdrs_template_parse(text, &template, &err))
        fail_msg("%s", err.cause);
    return template;
}

/* The prefixes from 'oldest' to 'limit', each with a line feed. */
static void check_time(const char *text, const char *limit, const char *oldest, const char *want)
{
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes prefixes = { .items = NULL };
    struct sdrs_template template = template_of(text);
    RC_BUF_AUTO(have, TEXT_LIMIT);

    sdrs_time_prefixes(&template, "d/", at(limit), at(oldest), &prefixes);
    sdrs_prefixes_write(&prefixes, &have);
    assert_string_equal(have.data, want);
}

/* 2019-03-10T05:30Z less 30 days, 365 days back: as published with the older system. */
static void test_published(void **state)
{
    (void)state;
    check_time("{yyyy}/{mm}/{dd}/{hh}", "2019-02-08T05:30:00Z", "2018-02-08T05:30:00Z",
               "d/2019/02/08/04/\nd/2019/02/08/03/\nd/2019/02/08/02/\nd/2019/02/08/01/\n"
               "d/2019/02/08/00/\nd/2019/02/07/\nd/2019/02/06/\nd/2019/02/05/\nd/2019/02/04/\n"
               "d/2019/02/03/\nd/2019/02/02/\nd/2019/02/01/\nd/2019/01/\nd/2018/\n");
}

static void test_turns(void **state)
{
    (void)state;
    static const char hours[] = "{yyyy}/{mm}/{dd}/{hh}";

    /* The turn of the year: the year before goes whole, and is not left out. */
    check_time(hours, "2020-01-01T00:59:59Z", "2018-06-01T00:00:00Z", "d/2019/\nd/2018/\n");
    check_time(hours, "2020-01-01T01:00:00Z", "2019-01-01T00:00:00Z",
               "d/2020/01/01/00/\nd/2019/\n");
    check_time(hours, "2019-12-31T23:59:59Z", "2019-12-31T22:00:00Z", "d/2019/12/31/22/\n");
    /* Months' ends and leap days. */
    check_time(hours, "2020-03-01T00:00:00Z", "2020-01-01T00:00:00Z", "d/2020/02/\nd/2020/01/\n");
    check_time(hours, "2020-02-29T01:00:00Z", "2020-02-28T00:00:00Z",
               "d/2020/02/29/00/\nd/2020/02/28/\n");
    check_time(hours, "2100-03-01T00:00:00Z", "2100-02-28T12:00:00Z", "d/2100/02/\n");
    /* 365 days of retention and more, whatever the lookback. */
    check_time(hours, "2017-01-01T00:00:00Z", "2014-05-05T00:00:00Z",
               "d/2016/\nd/2015/\nd/2014/\n");
    /* Only what was asked for, when that ends within the day, the month or the year. */
    check_time(hours, "2019-02-08T05:30:00Z", "2019-02-08T03:59:59Z",
               "d/2019/02/08/04/\nd/2019/02/08/03/\n");
    check_time(hours, "2019-02-08T05:30:00Z", "2019-02-08T05:00:00Z", "");
    check_time(hours, "2019-02-08T05:30:00Z", "2020-02-08T05:00:00Z", "");
    check_time(hours, "2019-02-03T00:30:00Z", "2019-02-01T23:00:00Z",
               "d/2019/02/02/\nd/2019/02/01/\n");
    check_time(hours, "0003-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "d/0002/\nd/0001/\n");
}

static void test_coarse(void **state)
{
    (void)state;
    /* A day that is not over stays, and a month, and a year. */
    check_time("dt={yyyy}-{mm}-{dd}", "2019-02-03T23:59:59Z", "2017-05-05T00:00:00Z",
               "d/dt=2019-02-02/\nd/dt=2019-02-01/\nd/dt=2019-01-\nd/dt=2018-\nd/dt=2017-\n");
    check_time("year={yyyy}/month={mm}", "2019-02-28T23:59:59Z", "2018-05-05T00:00:00Z",
               "d/year=2019/month=01/\nd/year=2018/\n");
    check_time("{yyyy}", "2019-12-31T23:59:59Z", "2018-05-05T00:00:00Z", "d/2018/\n");
}

static bool covered(const struct sdrs_prefixes *prefixes, const char *key)
{
    for (size_t i = 0; i < prefixes->count; i++)
        if (strncmp(key, prefixes->items[i], strlen(prefixes->items[i])) == 0)
            return true;
    return false;
}

/* A key of the hour, below the finest folder that the template has. */
static char *key_of(const struct sdrs_template *template, int64_t hour_unix_ms)
{
    RC_BUF_AUTO(key, TEXT_LIMIT);
    struct sdrs_hour hour = sdrs_hour_of(hour_unix_ms);

    rc_buf_adds(&key, "d/");
    sdrs_template_add(template, template->finest, &hour, &key);
    rc_buf_adds(&key, "part-0");
    return rc_buf_take(&key);
}

static void check_hour(const struct sdrs_template *template, const struct sdrs_prefixes *prefixes,
                       int64_t hour_unix_ms, int64_t limit_unix_ms, int64_t oldest_unix_ms)
{
    RC_STR_AUTO key = key_of(template, hour_unix_ms);
    bool is_covered = covered(prefixes, key);
    int64_t end_unix_ms;

    assert_true(sdrs_template_end_of(template, key + strlen("d/"), &end_unix_ms));
    assert_true(end_unix_ms >= hour_unix_ms + HOUR_MS);
    if (end_unix_ms > limit_unix_ms)
        assert_false(is_covered);
    else if (end_unix_ms > oldest_unix_ms)
        assert_true(is_covered);
}

/* None lies within another one: each is needed. */
static void check_fewest(struct sdrs_prefixes *prefixes)
{
    size_t count = prefixes->count;

    sdrs_prefixes_merge(prefixes);
    assert_int_equal(prefixes->count, count);
}

/*
 * Whatever now, retention and lookback are, what is covered is just what has wholly passed; only
 * what is older than the lookback may be, or not be.
 */
static void test_time_by_force(void **state)
{
    (void)state;
    struct chance chance = chance_new("test_time_by_force");

    for (int round = 0; round < ROUNDS; round++) {
        struct sdrs_template template =
            template_of(templates[chance_below(&chance, RC_ARRAY_LEN(templates))]);
        RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes prefixes = { .items = NULL };
        int64_t now = at("2003-01-01T00:00:00Z") +
                      (int64_t)chance_below(&chance, (uint64_t)(40 * 365 * RC_DAY_MS));
        /* Often close to the turn of a year. */
        if (chance_below(&chance, 3) == 0) {
            struct sdrs_hour hour = sdrs_hour_of(now);
            hour = (struct sdrs_hour){ hour.year, 1, 1, 0 };
            now =
                sdrs_hour_unix_ms(&hour) + ((int64_t)chance_below(&chance, 96) - 48) * HOUR_MS / 2;
        }
        int64_t limit = now - (int64_t)chance_below(&chance, 1096) * RC_DAY_MS;
        int64_t oldest = limit - (int64_t)chance_below(&chance, 800 * 24) * HOUR_MS;

        sdrs_time_prefixes(&template, "d/", limit, oldest, &prefixes);
        for (int64_t hour = limit - 900 * RC_DAY_MS - limit % HOUR_MS;
             hour < limit + 40 * RC_DAY_MS;
             hour += HOUR_MS * (1 + (int64_t)chance_below(&chance, 20)))
            check_hour(&template, &prefixes, hour, limit, oldest);
        for (int hours = -30; hours < 30; hours++) {
            check_hour(&template, &prefixes, limit - limit % HOUR_MS + hours * HOUR_MS, limit,
                       oldest);
            check_hour(&template, &prefixes, oldest - oldest % HOUR_MS + hours * HOUR_MS, limit,
                       oldest);
        }
        assert_true(prefixes.count <= 23 + 30 + 11 + 4);
        check_fewest(&prefixes);
    }
}

/* ---- versions ---- */

static void check_versions(const char *directories, int64_t keep, const char *want)
{
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes given = { .items = NULL };
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes made = { .items = NULL };
    RC_BUF_AUTO(have, TEXT_LIMIT);

    sdrs_prefixes_read(directories, &given);
    sdrs_version_prefixes("d/", &given, keep, &made);
    sdrs_prefixes_write(&made, &have);
    assert_string_equal(have.data, want);
}

static void test_versions(void **state)
{
    (void)state;
    check_versions("v10/\nv9/\nv1/\nv2/\n", 2, "d/v1/\nd/v2/\n");
    check_versions("v10/\nv9/\nv1/\n", 3, "");
    check_versions("v10/\nv9/\nv1/\n", 30, "");
    check_versions("v10/\nv9/\nv1/\n", 0, "d/v1/\nd/v9/\nd/v10/\n");
    check_versions("", 0, "");
    check_versions("2019-10-01/\n2019-09-30/\n2020-01-01/\n", 1, "d/2019-09-30/\nd/2019-10-01/\n");
    check_versions("1.10.0/\n1.9.9/\n1.9/\n2/\n", 1, "d/1.9/\nd/1.9.9/\nd/1.10.0/\n");
    /* The shorter name is older, as in a dictionary. */
    check_versions("v1.1/\nv1/\n", 1, "d/v1/\n");
    check_versions("v1-a/\nv1/\n", 1, "d/v1/\n");
    /* No number is too long, and noughts before it count only between equals. */
    check_versions("99999999999999999999999/\n100000000000000000000000/\n", 1,
                   "d/99999999999999999999999/\n");
    check_versions("v1/\nv01/\nv002/\n", 1, "d/v01/\nd/v1/\n");
    check_versions("b/\nB/\na1/\n\xc3\xa4/\n", 1, "d/B/\nd/a1/\nd/b/\n");
}

/* What cannot be kept as a line is neither counted nor moved. */
static void test_version_line_feed(void **state)
{
    (void)state;
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes given = { .items = NULL };
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes made = { .items = NULL };

    sdrs_prefixes_add(&given, "v1\nv2/");
    sdrs_prefixes_add(&given, "v3/");
    sdrs_prefixes_add(&given, "v2/");
    sdrs_version_prefixes("d/", &given, 1, &made);
    assert_int_equal(made.count, 1);
    assert_string_equal(made.items[0], "d/v2/");
}

/* ---- sets ---- */

/* Short words of few letters, many of which begin others. */
static void draw(struct chance *chance, size_t most, struct sdrs_prefixes *out)
{
    size_t count = chance_below(chance, most + 1);

    for (size_t i = 0; i < count; i++) {
        char word[8];
        size_t len = chance_below(chance, sizeof(word));

        for (size_t k = 0; k < len; k++)
            word[k] = "ab/\xff"[chance_below(chance, 4)];
        word[len] = '\0';
        sdrs_prefixes_add(out, word);
    }
}

static void copy(const struct sdrs_prefixes *from, struct sdrs_prefixes *to)
{
    for (size_t i = 0; i < from->count; i++)
        sdrs_prefixes_add(to, from->items[i]);
}

static bool met(const struct sdrs_prefixes *prefixes, const char *prefix)
{
    for (size_t i = 0; i < prefixes->count; i++)
        if (rc_str_starts(prefixes->items[i], prefix))
            return true;
    return covered(prefixes, prefix);
}

static void test_sets_by_force(void **state)
{
    (void)state;
    struct chance chance = chance_new("test_sets_by_force");

    for (int round = 0; round < 20 * ROUNDS; round++) {
        RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes drawn = { .items = NULL };
        RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes merged = { .items = NULL };
        RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes held = { .items = NULL };
        RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes left = { .items = NULL };
        RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes excluded = { .items = NULL };
        RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes keys = { .items = NULL };

        draw(&chance, 8, &drawn);
        draw(&chance, 4, &held);
        draw(&chance, 20, &keys);
        copy(&drawn, &merged);
        sdrs_prefixes_merge(&merged);
        check_fewest(&merged);
        sdrs_prefixes_merge(&held);
        copy(&merged, &left);
        sdrs_prefixes_hold(&left, &held, &excluded);
        for (size_t i = 0; i < keys.count; i++) {
            const char *key = keys.items[i];

            assert_int_equal(sdrs_prefixes_cover(&merged, key), covered(&drawn, key));
            assert_int_equal(sdrs_prefixes_meet(&merged, key), met(&drawn, key));
            assert_int_equal(covered(&left, key) && !covered(&excluded, key),
                             covered(&drawn, key) && !covered(&held, key));
        }
        for (size_t i = 0; i < excluded.count; i++)
            assert_true(covered(&left, excluded.items[i]));
        /* What grows after it has shrunk. */
        draw(&chance, 20, &left);
    }
}

static void test_hold(void **state)
{
    (void)state;
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes prefixes = { .items = NULL };
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes held = { .items = NULL };
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes excluded = { .items = NULL };
    RC_BUF_AUTO(text, TEXT_LIMIT);

    sdrs_prefixes_read("d/2018/\nd/2019/01/\nd/2019/02/01/\n", &prefixes);
    sdrs_prefixes_read("d/2018/03/\nd/2019/02/\ne/\n", &held);
    sdrs_prefixes_hold(&prefixes, &held, &excluded);
    sdrs_prefixes_write(&prefixes, &text);
    rc_buf_adds(&text, "without\n");
    sdrs_prefixes_write(&excluded, &text);
    assert_string_equal(text.data, "d/2018/\nd/2019/01/\nwithout\nd/2018/03/\n");
}

static void test_text(void **state)
{
    (void)state;
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes prefixes = { .items = NULL };
    RC_BUF_AUTO(text, TEXT_LIMIT);

    sdrs_prefixes_read("", &prefixes);
    assert_int_equal(prefixes.count, 0);
    sdrs_prefixes_read("a/\n\nb c/\n", &prefixes);
    assert_int_equal(prefixes.count, 3);
    assert_string_equal(prefixes.items[1], "");
    sdrs_prefixes_write(&prefixes, &text);
    assert_string_equal(text.data, "a/\n\nb c/\n");
    /* The whole bucket covers all. */
    sdrs_prefixes_merge(&prefixes);
    assert_int_equal(prefixes.count, 1);
    assert_true(sdrs_prefixes_cover(&prefixes, "anything"));
    sdrs_prefixes_clear(&prefixes);
    assert_false(sdrs_prefixes_cover(&prefixes, "anything"));
    sdrs_prefixes_merge(&prefixes);
    assert_int_equal(prefixes.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),     cmocka_unit_test(test_turns),
        cmocka_unit_test(test_coarse),        cmocka_unit_test(test_time_by_force),
        cmocka_unit_test(test_versions),      cmocka_unit_test(test_version_line_feed),
        cmocka_unit_test(test_sets_by_force), cmocka_unit_test(test_hold),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
