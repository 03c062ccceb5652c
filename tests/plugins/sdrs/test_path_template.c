/*
 * Templates of paths: which are any, the prefixes of each level, and what paths say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <path_template.h>

#include <chance.h>
#include <run-core/time.h>

#include <string.h>

enum { TEXT_LIMIT = 4096, ROUNDS = 20000 };

static const char *const texts[] = {
    "{yyyy}/{mm}/{dd}/{hh}", "dt={yyyy}-{mm}-{dd}",     "year={yyyy}/month={mm}", "{yyyy}",
    "{yyyy}{mm}{dd}{hh}",    "{yyyy}/a/b-{mm}-{dd}/c/",
};

static struct sdrs_template template_of(const char *text)
{
    struct sdrs_template template;
    struct rc_error err = RC_ERROR_INIT;

    if (sdrs_template_parse(text, &template, &err))
        fail_msg("%s", err.cause);
    return template;
}

/* The prefixes of all levels that the template has. */
static void test_levels(void **state)
{
    (void)state;
    static const char *const want[RC_ARRAY_LEN(texts)][SDRS_LEVELS] = {
        { "2019/", "2019/02/", "2019/02/08/", "2019/02/08/04/" },
        { "dt=2019-", "dt=2019-02-", "dt=2019-02-08/" },
        { "year=2019/", "year=2019/month=02/" },
        { "2019/" },
        { "2019", "201902", "20190208", "2019020804/" },
        { "2019/a/", "2019/a/b-02-", "2019/a/b-02-08/c/" },
    };
    const struct sdrs_hour hour = { 2019, 2, 8, 4 };

    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++) {
        struct sdrs_template template = template_of(texts[i]);

        for (int level = 0; level < SDRS_LEVELS && want[i][level]; level++) {
            RC_BUF_AUTO(have, TEXT_LIMIT);

            assert_true((int)template.finest >= level);
            sdrs_template_add(&template, (enum sdrs_level)level, &hour, &have);
            assert_string_equal(have.data, want[i][level]);
        }
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "", "has no {yyyy}" },
        { "data", "has no {yyyy}" },
        { "/{yyyy}", "begins with a slash" },
        { "{mm}", "{mm} without {yyyy}" },
        { "{yyyy}/{dd}", "{dd} without {mm}" },
        { "{yyyy}/{mm}/{hh}", "{hh} without {dd}" },
        { "{yyyy}/{yyyy}", "{yyyy} twice" },
        { "{yyyy}/{mm}/{yyyy}", "{yyyy} twice or behind" },
        { "{yyyy}/{mm}/{dd}/{hh}/{dd}", "{dd} twice or behind" },
        { "{mm}/{yyyy}", "{mm} without {yyyy}" },
        { "{year}/{mm}", "'{year}'" },
        { "{yyyy}/{mm}/{dd}/{hh}/{mi}", "'{mi}'" },
        { "{YYYY}", "'{YYYY}'" },
        { "{yyyy", "'{yyyy'" },
        { "{yyyy}}", "'}'" },
        { "{}", "'{}'" },
        { "data/{yyyy}", "folder before the year" },
        { "{yyyy}\n", "control character" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct sdrs_template template;
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(sdrs_template_parse(cases[i].text, &template, &err), RC_INVALID);
        if (!strstr(err.cause, cases[i].why))
            fail_msg("'%s' does not say '%s'", err.cause, cases[i].why);
    }
}

static void test_end_of(void **state)
{
    (void)state;
    static const struct {
        const char *template, *path, *end; /* or NULL */
    } cases[] = {
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/02/08/04/x", "2019-02-08T05:00:00Z" },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/02/08/04/", "2019-02-08T05:00:00Z" },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/12/31/23/a/b", "2020-01-01T00:00:00Z" },
        { "{yyyy}/{mm}/{dd}/{hh}", "2020/02/29/23/x", "2020-03-01T00:00:00Z" },
        { "{yyyy}/{mm}/{dd}/{hh}", "2000/02/29/00/x", "2000-02-29T01:00:00Z" },
        { "{yyyy}/{mm}/{dd}/{hh}", "1969/12/31/22/x", "1969-12-31T23:00:00Z" },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/02/29/04/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "1900/02/29/04/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/02/30/04/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/04/31/04/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/13/01/04/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/00/01/04/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/01/00/04/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/01/01/24/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "0000/01/01/00/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/02/08/04", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/02/08/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/2/8/4/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/02/08/04x/y", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "02019/02/08/04/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "/2019/02/08/04/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "+201/02/08/04/x", NULL },
        { "{yyyy}/{mm}/{dd}/{hh}", "", NULL },
        { "dt={yyyy}-{mm}-{dd}", "dt=2019-02-28/x", "2019-03-01T00:00:00Z" },
        { "dt={yyyy}-{mm}-{dd}", "dt=2019-02-28T01/x", NULL },
        { "dt={yyyy}-{mm}-{dd}", "2019-02-28/x", NULL },
        { "year={yyyy}/month={mm}", "year=2019/month=12/day=31/x", "2020-01-01T00:00:00Z" },
        { "year={yyyy}/month={mm}", "year=2019/_SUCCESS", NULL },
        { "{yyyy}", "2019/x", "2020-01-01T00:00:00Z" },
        { "{yyyy}", "20190/x", NULL },
        { "{yyyy}/{mm}/data", "2019/11/data/x", "2019-12-01T00:00:00Z" },
        { "{yyyy}/{mm}/data", "2019/11/other/x", NULL },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct sdrs_template template = template_of(cases[i].template);
        int64_t have = -1, want = -1;

        if (cases[i].end)
            assert_true(rc_parse_time(cases[i].end, &want));
        assert_int_equal(sdrs_template_end_of(&template, cases[i].path, &have),
                         cases[i].end != NULL);
        assert_int_equal(have, want);
    }
}

static void test_year_of(void **state)
{
    (void)state;
    static const struct {
        const char *template, *path;
        int year; /* 0: none */
    } cases[] = {
        { "{yyyy}/{mm}/{dd}/{hh}", "2019/", 2019 },
        { "{yyyy}/{mm}/{dd}/{hh}", "0001/", 1 },
        { "{yyyy}/{mm}/{dd}/{hh}", "0000/", 0 },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019", 0 },
        { "{yyyy}/{mm}/{dd}/{hh}", "2019-old/", 0 },
        { "{yyyy}/{mm}/{dd}/{hh}", "archive/", 0 },
        { "dt={yyyy}-{mm}-{dd}", "dt=2019-02-08/", 2019 },
        { "dt={yyyy}-{mm}-{dd}", "dt=20190208/", 0 },
        { "year={yyyy}/month={mm}", "year=2019/", 2019 },
        { "{yyyy}{mm}{dd}", "20190208/", 2019 },
        { "{yyyy}", "2019/", 2019 },
        { "{yyyy}", "2019x/", 0 },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct sdrs_template template = template_of(cases[i].template);
        int year = 0;

        assert_int_equal(sdrs_template_year_of(&template, cases[i].path, &year),
                         cases[i].year != 0);
        assert_int_equal(year, cases[i].year);
    }
}

/* What is written of an hour is read back as its end, and says its year. */
static void test_both_ways(void **state)
{
    (void)state;
    struct chance chance = chance_new("test_both_ways");
    int64_t first = rc_day_from_date(1, 1, 1) * RC_DAY_MS;
    int64_t last = rc_day_from_date(10000, 1, 1) * RC_DAY_MS;

    for (int round = 0; round < ROUNDS; round++) {
        struct sdrs_template template =
            template_of(texts[chance_below(&chance, RC_ARRAY_LEN(texts))]);
        int64_t unix_ms = first + (int64_t)chance_below(&chance, (uint64_t)(last - first)), end;
        struct sdrs_hour hour = sdrs_hour_of(unix_ms), begin;
        RC_BUF_AUTO(path, TEXT_LIMIT);
        int year;

        assert_true(sdrs_hour_unix_ms(&hour) <= unix_ms &&
                    unix_ms < sdrs_hour_unix_ms(&hour) + 3600000);
        sdrs_template_add(&template, template.finest, &hour, &path);
        assert_true(sdrs_template_end_of(&template, path.data, &end));
        assert_true(end > unix_ms);
        /* The last moment before the end is of the same hour, or day, or month. */
        begin = sdrs_hour_of(end - 1);
        for (int level = 0; level <= (int)template.finest; level++)
            assert_int_equal(*sdrs_hour_part(&begin, (enum sdrs_level)level),
                             *sdrs_hour_part(&hour, (enum sdrs_level)level));
        assert_true(sdrs_template_year_of(&template, path.data, &year));
        assert_int_equal(year, hour.year);
    }
}

static void test_far_times(void **state)
{
    (void)state;
    struct sdrs_hour first = sdrs_hour_of(INT64_MIN), last = sdrs_hour_of(INT64_MAX);

    assert_memory_equal(&first, (&(struct sdrs_hour){ 1, 1, 1, 0 }), sizeof(first));
    assert_memory_equal(&last, (&(struct sdrs_hour){ 9999, 12, 31, 23 }), sizeof(last));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_end_of),    cmocka_unit_test(test_year_of),
        cmocka_unit_test(test_both_ways), cmocka_unit_test(test_far_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
