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

#define COMMON                                                                                     \
    "sourceEventsTable=events", "tables.events=s3://lake/events/", "targetS3Bucket=out",           \
        "dailyAggregationsS3Path=1d", "historyStartDay=2026-01-13", "expected_partitions=1",       \
        "secondaryAggregations[0].aggregationWindowDays=2",                                        \
        "secondaryAggregations[0].targetFolder=2d",                                                \
        "secondaryAggregations[1].aggregationWindowDays=36500",                                    \
        "secondaryAggregations[1].targetFolder=total",                                             \
        "secondaryAggregations[1].targetTable=ads_total", "csvOutputBucket=csv",                   \
        "csvOutputFolder=/ads/", "csvTablePrefix=ads"

static const char *const settings[] = { COMMON, "importToUserDb=false", NULL };
static const char *const rebuild_settings[] = { COMMON, "importToUserDb=false", "from=2026-01-13",
                                                "to=2026-01-13", NULL };
static const char *const distinct_settings[] = { COMMON,
                                                 "importToUserDb=false",
                                                 "values[0].column=kinds",
                                                 "values[0].aggregate=distinct",
                                                 "values[1].column=mean",
                                                 "values[1].aggregate=avg",
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

static void torture(const char *action, const char *const *with)
{
    struct rc_error err = RC_ERROR_INIT;
    int calls = 0;

    if (rc_fake_host_torture(aggregator, action, with, prepare, NULL, &calls, &err)) {
        print_error("%s: %s\n", err.context, err.cause);
        fail();
    }
    assert_true(calls > 30);
}

static void test_every_host_call_may_fail(void **state)
{
    (void)state;
    torture("aggregate", settings);
    torture("rebuild", rebuild_settings);
    torture("aggregate", distinct_settings);
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

static void test_the_next_run_heals_every_failure(void **state)
{
    (void)state;
    RC_BUF_AUTO(clean, 1 << 20);
    RC_BUF_AUTO(healed, 1 << 20);
    bool failed = true;

    for (int n = 0; failed; n++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        prepare(host, NULL);
        rc_fake_host_fail_at(host, n, RC_UNAVAILABLE);
        failed = rc_fake_host_run(host, aggregator, NULL, settings, &err) != RC_OK || n == 0;
        rc_fake_host_fail_at(host, 0, RC_UNAVAILABLE);
        assert_int_equal(rc_fake_host_run(host, aggregator, NULL, settings, &err), RC_OK);
        rc_buf_reset(&healed);
        add_lake(host, n ? &healed : &clean);
        if (n)
            assert_string_equal(healed.data, clean.data);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_host_call_may_fail),
        cmocka_unit_test(test_the_next_run_heals_every_failure),
        cmocka_unit_test(test_a_second_run_has_nothing_to_do),
        cmocka_unit_test(test_another_run_at_work_skips),
        cmocka_unit_test(test_a_lost_lease_publishes_nothing_more),
        cmocka_unit_test(test_a_dry_run_shows_its_plan_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
