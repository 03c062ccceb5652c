/*
 * What the aggregator's configuration check refuses, and with which words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <model.h>

static bool reaches_all(const struct rc_sql_engine *engine, const char *uri)
{
    return engine && uri;
}

static bool reaches_s3(const struct rc_sql_engine *engine, const char *uri)
{
    return engine && rc_str_starts(uri, "s3://");
}

static const struct rc_sql_engine embedded = {
    .name = "local", .kind = "duckdb", .features = RC_SQL_FILES | RC_SQL_CSV, .reaches = reaches_all
};
static const struct rc_sql_engine elsewhere = {
    .name = "lake", .kind = "athena", .features = RC_SQL_CATALOGUE, .reaches = reaches_s3
};

/* Binds the good settings with some more, and checks them. */
static enum rc_code check(const char *const *more, const struct rc_sql_engine *engine,
                          struct rc_error *err)
{
    static const char *const good[] = {
        "sourceEventsTable=events",
        "tables.events=s3://lake/events/",
        "dailyAggregationsS3Path=/1d/",
        "targetS3Bucket=out",
        "secondaryAggregations[0].aggregationWindowDays=7",
        "secondaryAggregations[0].targetFolder=7d",
        "secondaryAggregations[1].aggregationWindowDays=36500",
        "secondaryAggregations[1].targetFolder=total",
        "csvOutputFolder=csv",
        "csvTablePrefix=ads",
        "importTargetTable=ads",
        "airlockApiBaseUrl=http://airlock",
        "airlockProductId=1",
    };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    const char *settings[RC_ARRAY_LEN(good) + 16];
    struct agg_config config;
    size_t count = 0;

    memset(&config, 0, sizeof(config));
    /* A later setting replaces an earlier one of the same name. */
    for (size_t i = 0; i < RC_ARRAY_LEN(good); i++) {
        size_t name_len = strcspn(good[i], "=") + 1;
        bool replaced = false;

        for (size_t j = 0; more[j]; j++)
            replaced |= strncmp(good[i], more[j], name_len) == 0;
        if (!replaced)
            settings[count++] = good[i];
    }
    for (size_t j = 0; more[j]; j++)
        settings[count++] = more[j];
    settings[count] = NULL;
    if (rc_fake_host_bind(host, agg_options, &config, settings, err) || agg_check(&config, err))
        return err->code;
    return agg_check_engine(&config, engine, err);
}

#define SETTINGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void assert_refused_on(const struct rc_sql_engine *engine, const char *const *more,
                              const char *words)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(check(more, engine, &err), RC_INVALID);
    RC_STR_AUTO message = rc_strf("%s: %s", err.context, err.cause);
    if (!strstr(message, words))
        print_error("'%s' is not in '%s'\n", words, message);
    assert_non_null(strstr(message, words));
}

static void assert_refused(const char *const *more, const char *words)
{
    assert_refused_on(&embedded, more, words);
}

static void assert_accepted_on(const struct rc_sql_engine *engine, const char *const *more)
{
    struct rc_error err = RC_ERROR_INIT;

    if (check(more, engine, &err)) {
        print_error("%s: %s\n", err.context, err.cause);
        fail();
    }
}

static void assert_accepted(const char *const *more)
{
    assert_accepted_on(&embedded, more);
}

static void test_good_settings_are_accepted(void **state)
{
    (void)state;
    assert_accepted(SETTINGS("max_rejected=1.5%"));
    assert_accepted(SETTINGS("max_rejected=0"));
    assert_accepted(SETTINGS("sourceEventsTable=/data/events"));
    assert_accepted(SETTINGS("aggregatedValueType=DECIMAL(10,2)"));
    assert_accepted(SETTINGS("airlock_key=k", "airlock_password=p"));
    assert_accepted(SETTINGS("exportToCsv=false", "csvOutputFolder="));
    assert_accepted(SETTINGS("importToUserDb=false", "airlockApiBaseUrl="));
    assert_accepted(SETTINGS("values[0].column=kinds", "values[0].aggregate=distinct",
                             "values[0].type=varchar", "group_by[0].column=country",
                             "group_by[0].path=$.country", "filter[0].path=$.a",
                             "filter[0].values=1"));
}

static void test_contradictions_are_refused(void **state)
{
    (void)state;
    assert_refused(SETTINGS("max_rejected=many"), "max_rejected 'many' is neither");
    assert_refused(SETTINGS("max_rejected=101%"), "max_rejected '101%' is neither");
    assert_refused(SETTINGS("secondaryAggregations[1].aggregationWindowDays=3650"),
                   "exportToCsv needs a window over everything");
    assert_refused(SETTINGS("secondaryAggregations[1].aggregationWindowDays=7"),
                   "two windows have the same aggregationWindowDays");
    assert_refused(SETTINGS("secondaryAggregations[1].targetFolder=/7d//"),
                   "two windows have the targetFolder '/7d//'");
    assert_refused(SETTINGS("secondaryAggregations[1].targetFolder=1d"),
                   "the targetFolder '1d' is dailyAggregationsS3Path too");
    assert_refused(SETTINGS("csvTablePrefix="), "exportToCsv needs csvTablePrefix");
    assert_refused(SETTINGS("csvTablePrefix=a/b"), "holds no '/'");
    assert_refused(SETTINGS("airlockApiBaseUrl="), "importToUserDb needs airlockApiBaseUrl");
    assert_refused(SETTINGS("airlock_key=k"), "both or neither");
    assert_refused(SETTINGS("windows_from=2020-12-31"), "windows_from lies before");
}

static void test_values_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    assert_refused(SETTINGS("aggregatedValueType=money"), "'money' is not a type");
    assert_refused(SETTINGS("aggregatedValueType=decimal(39,1)"), "is not a type");
    assert_refused(SETTINGS("aggregatedValueType=varchar"), "cannot be summed");
    assert_refused(SETTINGS("aggregatedValueJsonPath=attributes.revenue"), "is not a JSON path");
    assert_refused(SETTINGS("targetColumn=shard"), "every output has one");
    assert_refused(SETTINGS("targetColumn=a b"), "cannot name a column");
    assert_refused(SETTINGS("targetColumn=agg_x"), "the plugin's own");
    assert_refused(SETTINGS("values[0].column=a", "values[1].column=A"), "is given twice");
    assert_refused(
        SETTINGS("values[0].column=a_sum", "values[1].column=a", "values[1].aggregate=avg"),
        "an average also writes its sum");
    assert_refused(SETTINGS("filter[0].path=$.a"), "needs exactly one of 'values'");
    assert_refused(SETTINGS("filter[0].path=$.a", "filter[0].operator=in"), "need values");
    assert_refused(
        SETTINGS("filter[0].path=$.a", "filter[0].operator=present", "filter[0].values=1"),
        "take no values");
    assert_refused(SETTINGS("filter[0].path=$.a", "filter[0].type=bigint", "filter[0].values=many"),
                   "'many' is not a value of the type bigint");
    assert_refused(SETTINGS("filter[0].path=$.a", "filter[0].type=boolean", "filter[0].values=yes"),
                   "'yes' is not a value of the type boolean");
    assert_refused(
        SETTINGS("filter[0].path=$.a", "filter[0].type=timestamp", "filter[0].values=noon"),
        "'noon' is not a value of the type timestamp");
    assert_accepted(SETTINGS("filter[0].path=$.a", "filter[0].type=date",
                             "filter[0].operator=at_least", "filter[0].values=2026-01-31"));
    assert_accepted(SETTINGS("filter[0].path=$.a", "filter[0].type=timestamp",
                             "filter[0].values=2026-01-31 10:00:00"));
    assert_accepted(
        SETTINGS("filter[0].path=$.a", "filter[0].type=boolean", "filter[0].values=true"));
    assert_accepted(
        SETTINGS("filter[0].path=$.a", "filter[0].type=decimal(9,2)", "filter[0].values=-1.25"));
}

/* No event would pass them, and nothing would say why. */
static void test_filters_that_nothing_can_pass_are_refused(void **state)
{
    static const struct {
        const char *type, *value;
        bool good;
    } cases[] = {
        { "integer", "2147483647", true },
        { "integer", "2147483648", false },
        { "bigint", "9223372036854775807", true },
        { "bigint", "-9223372036854775808", true },
        { "bigint", "9223372036854775808", false },
        { "bigint", "1e3", true },
        { "bigint", "1e30", false },
        { "decimal(5,2)", "999.99", true },
        { "decimal(5,2)", "999.996", false },
        { "decimal(5,2)", "-1000", false },
        { "double", "1e300", true },
        { "double", "1e400", false },
        { "timestamp", "2026-01-31", true },
        { "timestamp", "2026-01-31T10:00:00.5Z", true },
        { "timestamp", "2026-01-31 10:00:00+02:00", true },
        { "timestamp", "2026-01-31 25:00:00", false },
        { "timestamp", "2026-01-31, noon", false },
        { "date", "2026-02-30", false },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO type = rc_strf("filter[0].type=%s", cases[i].type);
        RC_STR_AUTO value = rc_strf("filter[0].values=%s", cases[i].value);

        if (cases[i].good)
            assert_accepted(SETTINGS("filter[0].path=$.a", type, value));
        else
            assert_refused(SETTINGS("filter[0].path=$.a", type, value), "is not a value of");
    }
}

static void test_what_the_engine_does_not_reach_is_refused(void **state)
{
    (void)state;
    assert_accepted_on(&elsewhere, SETTINGS("max_rejected=1"));
    assert_accepted_on(&embedded, SETTINGS("sourceEventsTable=/data/events", "targetS3Bucket="));
    assert_refused_on(&elsewhere, SETTINGS("sourceEventsTable=/data/events"),
                      "the engine 'lake' (athena) does not reach 'file:///data/events/', where "
                      "sourceEventsTable lies");
    assert_refused_on(&elsewhere, SETTINGS("targetS3Bucket="),
                      "where dailyAggregationsS3Path lies");
    assert_refused_on(&elsewhere, SETTINGS("secondaryAggregations[1].targetFolder=gs://b/total"),
                      "does not reach 'gs://b/total/'");
    /* The plugin's host writes the CSV file, wherever the engine is. */
    assert_accepted_on(&elsewhere, SETTINGS("csvOutputFolder=/data/csv"));
}

static void test_a_table_without_a_location_needs_a_catalogue(void **state)
{
    (void)state;
    assert_accepted_on(&elsewhere, SETTINGS("sourceEventsTable=other"));
    assert_refused_on(&embedded, SETTINGS("sourceEventsTable=other"),
                      "'other' has no location: name it in 'tables', as the engine 'local' "
                      "(duckdb) has no catalogue");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_settings_are_accepted),
        cmocka_unit_test(test_contradictions_are_refused),
        cmocka_unit_test(test_values_that_make_no_sense_are_refused),
        cmocka_unit_test(test_filters_that_nothing_can_pass_are_refused),
        cmocka_unit_test(test_what_the_engine_does_not_reach_is_refused),
        cmocka_unit_test(test_a_table_without_a_location_needs_a_catalogue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
