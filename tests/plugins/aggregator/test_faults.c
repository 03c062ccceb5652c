/*
 * The aggregator against a host of which every call fails once: it says what it was doing, leaks
 * nothing, and the next run ends with the same objects as a run that never failed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <stdlib.h>

static const struct rc_plugin *aggregator;

#define EVENTS "sourceEventsTable=events", "tables.events=s3://lake/events/"
#define COMMON                                                                                     \
    "targetS3Bucket=out", "dailyAggregationsS3Path=1d", "historyStartDay=2026-01-13",              \
        "expected_partitions=1", "secondaryAggregations[0].aggregationWindowDays=2",               \
        "secondaryAggregations[0].targetFolder=2d",                                                \
        "secondaryAggregations[1].aggregationWindowDays=36500",                                    \
        "secondaryAggregations[1].targetFolder=total",                                             \
        "secondaryAggregations[1].targetTable=ads_total", "csvOutputBucket=csv",                   \
        "csvOutputFolder=/ads/", "csvTablePrefix=ads"

static const char *const settings[] = { EVENTS, COMMON, "importToUserDb=false", NULL };
static const char *const rebuild_settings[] = {
    EVENTS, COMMON, "importToUserDb=false", "from=2026-01-13", "to=2026-01-13", NULL
};
static const char *const distinct_settings[] = { EVENTS,
                                                 COMMON,
                                                 "importToUserDb=false",
                                                 "values[0].column=kinds",
                                                 "values[0].aggregate=distinct",
                                                 "values[1].column=mean",
                                                 "values[1].aggregate=avg",
                                                 NULL };

/* The seed's own: no location is told of the events, and every output has a table. */
static const char *const catalogue_settings[] = { COMMON,
                                                  "sourceEventsTable=rawevents",
                                                  "sourceAthenaDb=raw",
                                                  "destAthenaDb=results",
                                                  "dailyAggregationsTable=ads_1d",
                                                  "athenaRegion=eu-west-1",
                                                  "importToUserDb=false",
                                                  "engine=athena",
                                                  NULL };

static int load(void **state)
{
    (void)state;
    struct rc_error err;
    RC_STR_AUTO path = rc_strf("%s/plugins/aggregator.so", getenv("RUN_CORE_BUILD"));

    if (rc_fake_host_load(path, &aggregator, &err)) {
        print_error("%s\n", err.cause);
        return -1;
    }
    return 0;
}

/* A lake with all partitions of yesterday, and two rejected events a day. */
static void prepare(struct rc_fake_host *host, void *context)
{
    static struct rc_value counts[4], sample[3];
    static const char *const columns[] = { "a", "b", "c", "d" };

    (void)context;
    counts[0] = counts[1] = rc_value_int(10);
    counts[2] = rc_value_int(20);
    counts[3] = rc_value_int(2);
    sample[0] = rc_value_text("somebody");
    sample[1] = rc_value_int(2);
    sample[2] = rc_value_text("{\"broken");
    rc_fake_host_put(host, "s3://lake/events/day=2026-01-14/partition=0/a.json", "{}", 2);
    rc_fake_host_answer_rows(host, "SELECT count(DISTINCT userid)", columns, 4, counts, 1);
    rc_fake_host_answer_rows(host, "WHERE agg_rejected", columns, 3, sample, 1);
}

/* The same on an engine with a catalogue, which has the events. */
static void prepare_elsewhere(struct rc_fake_host *host, void *context)
{
    static struct rc_value partitions[1];
    static const char *const columns[] = { "count" };

    prepare(host, context);
    partitions[0] = rc_value_int(1);
    rc_fake_host_answer_rows(host, "SELECT count(DISTINCT \"partition\")", columns, 1, partitions,
                             1);
    rc_fake_host_set_engine_features(host, RC_SQL_IN_PLACE | RC_SQL_CATALOGUE);
}

static void torture_on(void (*before)(struct rc_fake_host *host, void *context), const char *action,
                       const char *const *with)
{
    struct rc_error err = RC_ERROR_INIT;
    int calls = 0;

    if (rc_fake_host_torture(aggregator, action, with, before, NULL, &calls, &err)) {
        print_error("%s: %s\n", err.context, err.cause);
        fail();
    }
    assert_true(calls > 30);
}

static void torture(const char *action, const char *const *with)
{
    torture_on(prepare, action, with);
}

static void test_every_host_call_may_fail(void **state)
{
    (void)state;
    torture("aggregate", settings);
    torture("rebuild", rebuild_settings);
    torture("aggregate", distinct_settings);
    torture_on(prepare_elsewhere, "aggregate", catalogue_settings);
}

/* URIs and contents of all objects. */
static void add_lake(struct rc_fake_host *host, struct rc_buf *out)
{
    RC_STR_AUTO uris = rc_strdup(rc_fake_host_objects(host, "s3://"));

    for (char *uri = uris, *end; (end = strchr(uri, '\n')) != NULL; uri = end + 1) {
        *end = '\0';
        rc_buf_addf(out, "%s: %s\n", uri, rc_fake_host_object(host, uri, NULL));
    }
}

static void heal(void (*before)(struct rc_fake_host *host, void *context), const char *const *with)
{
    RC_BUF_AUTO(clean, 1 << 20);
    RC_BUF_AUTO(healed, 1 << 20);
    bool failed = true;

    for (int n = 0; failed; n++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        before(host, NULL);
        rc_fake_host_fail_at(host, n, RC_UNAVAILABLE);
        failed = rc_fake_host_run(host, aggregator, NULL, with, &err) != RC_OK || n == 0;
        rc_fake_host_fail_at(host, 0, RC_UNAVAILABLE);
        assert_int_equal(rc_fake_host_run(host, aggregator, NULL, with, &err), RC_OK);
        rc_buf_reset(&healed);
        add_lake(host, n ? &healed : &clean);
        if (n)
            assert_string_equal(healed.data, clean.data);
    }
}

static void test_the_next_run_heals_every_failure(void **state)
{
    (void)state;
    heal(prepare, settings);
    heal(prepare_elsewhere, catalogue_settings);
}

static void test_a_second_run_has_nothing_to_do(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    prepare(host, NULL);
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, settings, &err), RC_OK);
    assert_int_equal(rc_fake_host_counter(host, "days"), 2);
    assert_int_equal(rc_fake_host_counter(host, "windows"), 4);
    assert_int_equal(rc_fake_host_counter(host, "rejected"), 4);
    assert_int_equal(rc_fake_host_counter(host, "steps"), 7);
    size_t statements = rc_fake_host_statements(host);
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, settings, &err), RC_OK);
    assert_int_equal(rc_fake_host_statements(host), statements);
    assert_non_null(strstr(rc_fake_host_said(host),
                           "nothing to do: every day from 2026-01-13 to 2026-01-14 is aggregated"));
}

static void test_another_run_at_work_skips(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    prepare(host, NULL);
    rc_fake_host_fail_on(host, "lock.acquire", NULL, 1, RC_CONFLICT);
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, settings, &err), RC_SKIPPED);
    assert_non_null(strstr(err.cause, "another run works on 's3://out/1d/'"));
    assert_string_equal(rc_fake_host_objects(host, "s3://out/"), "");
}

static void test_a_lost_lease_publishes_nothing_more(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    prepare(host, NULL);
    rc_fake_host_fail_on(host, "lock.check", NULL, 1, RC_CONFLICT);
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, settings, &err), RC_CONFLICT);
    assert_string_equal(rc_fake_host_objects(host, "s3://out/"), "");
}

static void test_a_dry_run_shows_its_plan_and_changes_nothing(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    prepare(host, NULL);
    rc_fake_host_job(host)->dry_run = true;
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, settings, &err), RC_OK);
    const char *said = rc_fake_host_said(host);
    assert_non_null(strstr(said, "would do daily: 's3://lake/events/day=2026-01-13/' into "
                                 "'s3://out/1d/day=2026-01-13/'"));
    assert_non_null(strstr(said, "would do window: days 2026-01-13 to 2026-01-14 into "
                                 "'s3://out/2d/day=2026-01-14/'"));
    assert_non_null(strstr(said, "CREATE TABLE aggregator_day AS SELECT userid"));
    assert_non_null(strstr(said, "would do csv: 's3://csv/ads/ads_20260114/"));
    assert_string_equal(rc_fake_host_objects(host, "s3://out/"), "");
    assert_int_equal(rc_fake_host_held_back(host), 0);
}

/* How many statements of the verb there are whose text and place are these. */
static int count(const struct rc_fake_host *host, const char *verb, const char *text,
                 const char *place)
{
    int found = 0;

    for (size_t i = 0; i < rc_fake_host_statements(host); i++) {
        const struct rc_fake_statement statement = rc_fake_host_statement(host, i);

        found += rc_str_eq(statement.verb, verb) && strstr(statement.text, text) &&
                 (!place || rc_str_eq(statement.location, place));
    }
    return found;
}

static void test_events_and_results_in_a_catalogue(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    prepare_elsewhere(host, NULL);
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, catalogue_settings, &err), RC_OK);
    assert_int_equal(count(host, "refer", "aggregator_events", "raw.rawevents"), 3);
    assert_int_equal(count(host, "attach", "aggregator_events", NULL), 0);
    assert_int_equal(count(host, "query", "WHERE \"day\" = '2026-01-14'", NULL), 1);
    assert_int_equal(count(host, "make", "AND \"day\" = '2026-01-13'", "aggregator_day"), 1);
    assert_int_equal(count(host, "make", "AND \"day\" = '2026-01-14'", "aggregator_day"), 1);
    assert_int_equal(count(host, "publish", "results.ads_1d", "s3://out/1d/"), 1);
    assert_int_equal(count(host, "publish", "results.ads_total", "s3://out/total/day=2026-01-14/"),
                     1);
    assert_int_equal(rc_fake_host_counter(host, "tables"), 2);
    assert_non_null(rc_fake_host_object(host, "s3://out/1d/_TABLES", NULL));
    /* Files have no order there, so that none is asked for; the CSV file has one. */
    assert_int_equal(count(host, "write", "ORDER BY \"partition\", userid", NULL), 0);
    assert_int_equal(count(host, "write", "ORDER BY userid, shard", NULL), 1);
}

static void test_tables_are_made_again_when_what_they_are_over_has_changed(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;
    const char *const marker = "s3://out/1d/_TABLES";

    prepare_elsewhere(host, NULL);
    rc_fake_host_fail_on(host, "sql.publish", "ads_total", 1, RC_UNAVAILABLE);
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, catalogue_settings, &err),
                     RC_UNAVAILABLE);
    assert_null(rc_fake_host_object(host, marker, NULL));
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, catalogue_settings, &err), RC_OK);
    assert_non_null(rc_fake_host_object(host, marker, NULL));
    size_t statements = rc_fake_host_statements(host);
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, catalogue_settings, &err), RC_OK);
    assert_int_equal(rc_fake_host_statements(host), statements);
    /* Another day. */
    int tables = count(host, "publish", "results.", NULL);
    rc_fake_host_job(host)->now_unix_ms += INT64_C(86400000);
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, catalogue_settings, &err), RC_OK);
    assert_int_equal(count(host, "publish", "results.", NULL), tables + 2);
    assert_int_equal(count(host, "publish", "results.ads_total", "s3://out/total/day=2026-01-15/"),
                     1);
}

static void test_a_dry_run_with_a_catalogue_only_looks(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    prepare_elsewhere(host, NULL);
    rc_fake_host_job(host)->dry_run = true;
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, catalogue_settings, &err), RC_OK);
    const char *said = rc_fake_host_said(host);
    assert_non_null(strstr(said, "would do daily: 'raw.rawevents' into 's3://out/1d/day=2026-"));
    assert_non_null(strstr(said, " AND \"day\" = '2026-01-13'"));
    assert_non_null(strstr(said, "would do tables: 2 in 'results'"));
    assert_int_equal(count(host, "publish", "", NULL) + count(host, "attach", "", NULL), 0);
    assert_string_equal(rc_fake_host_objects(host, "s3://out/"), "");
}

static void test_the_embedded_engine_makes_no_tables_for_others(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    prepare(host, NULL);
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, settings, &err), RC_OK);
    assert_int_equal(count(host, "publish", "", NULL), 0);
    assert_null(rc_fake_host_object(host, "s3://out/1d/_TABLES", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_host_call_may_fail),
        cmocka_unit_test(test_the_next_run_heals_every_failure),
        cmocka_unit_test(test_a_second_run_has_nothing_to_do),
        cmocka_unit_test(test_another_run_at_work_skips),
        cmocka_unit_test(test_a_lost_lease_publishes_nothing_more),
        cmocka_unit_test(test_a_dry_run_shows_its_plan_and_changes_nothing),
        cmocka_unit_test(test_events_and_results_in_a_catalogue),
        cmocka_unit_test(test_tables_are_made_again_when_what_they_are_over_has_changed),
        cmocka_unit_test(test_a_dry_run_with_a_catalogue_only_looks),
        cmocka_unit_test(test_the_embedded_engine_makes_no_tables_for_others),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
