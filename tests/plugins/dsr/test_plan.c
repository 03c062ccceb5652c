/*
 * The plan: each file that holds a user is named with the rows it would lose, nothing is changed,
 * what cannot be searched is told, however large it is its memory is bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <plan.h>
#include <run.h>

#include "users_file.h"

#include <stdio.h>
#include <string.h>

static const struct rc_action actions[] = {
    { .name = "plan",
      .summary = "Plans.",
      .params = dsr_cleanup_params,
      .params_size = sizeof(struct dsr_params),
      .run = dsr_plan_run },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD,         .name = "dsr",
    .version = "1",         .summary = "Plans.",
    .options = dsr_options, .config_size = sizeof(struct dsr_config),
    .actions = actions,     .check = dsr_check_config,
};

static const char *const settings[] = {
    "markersBaseFolder=s3://m/",
    "markersArchiveFolder=s3://a/",
    "cleanupTables[0].piTable=users",
    "cleanupTables[0].userIdColumn=id",
    "cleanupTables[0].sourceS3Folder=users",
    "cleanupTables[0].sourceS3Bucket=lake",
    "cleanupTables[1].piTable=cohorts",
    "cleanupTables[1].userIdColumn=user_id",
    "cleanupTables[1].sourceS3Folder=cohorts",
    "cleanupTables[1].sourceS3Bucket=lake",
    NULL,
};

/* "a b b": a row each. */
static void put_file(struct rc_fake_host *host, const char *uri, const char *column,
                     const char *const *ids, size_t count)
{
    const struct users_column columns[] = { { column, PQ_BYTE_ARRAY, false, ids } };
    struct maker maker;

    users_file(&maker, columns, 1, count, 2);
    rc_fake_host_put(host, uri, maker.bytes.data, maker.bytes.len);
    maker_clear(&maker);
}

static void prepare(struct rc_fake_host *host, void *context)
{
    const char *both[] = { "a", "x", "b", "y", NULL }, *only[] = { "a", "a" }, *none[] = { "x" };

    (void)context;
    rc_fake_host_put(host, "s3://m/shard=7/day=2021-06-01/_user_a_day_2021-06-09", "", 0);
    rc_fake_host_put(host, "s3://m/shard=7/day=2021-06-03/_user_b_day_2021-06-09", "", 0);
    rc_fake_host_put(host, "s3://m/shard=9/day=2021-06-03/_user_x_day_2021-06-09", "", 0);
    rc_fake_host_put(host, "s3://m/shard=9/x", "", 0);
    put_file(host, "s3://lake/users/shard=7/day=2021-06-01/1.parquet", "id", both, 5);
    put_file(host, "s3://lake/users/shard=7/day=2021-06-02/1.parquet", "id", only, 2);
    put_file(host, "s3://lake/users/shard=7/day=2021-06-02/2.parquet", "id", none, 1);
    put_file(host, "s3://lake/users/shard=7/day=2021-06-04/1.parquet", "id", both, 5);
    put_file(host, "s3://lake/users/shard=8/day=2021-06-01/1.parquet", "id", both, 5);
    rc_fake_host_put(host, "s3://lake/users/shard=7/day=2021-06-02/notes.txt", "hello world, hello",
                     18);
    put_file(host, "s3://lake/cohorts/shard=9/day=2021-06-03/1", "user_id", both, 5);
    put_file(host, "s3://lake/cohorts/shard=7/day=2021-06-03/1", "user_id", none, 1);
}

static void test_a_plan(void **state)
{
    (void)state;
    for (int threads = 0; threads < 2; threads++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;
        RC_STR_AUTO before = NULL;

        prepare(host, NULL);
        before = rc_strdup(rc_fake_host_objects(host, "s3://"));
        rc_fake_host_set_threads(host, threads == 1);
        if (rc_fake_host_run(host, &plugin, "plan", settings, &err))
            fail_msg("%s: %s", err.context, err.cause);
        const char *shown = rc_fake_host_shown(host);
        size_t len;
        rc_fake_host_object(host, "s3://lake/users/shard=7/day=2021-06-01/1.parquet", &len);
        RC_STR_AUTO first = rc_strf("users\t7\t2021-06-01\t2\t5\t%zu\trewritten\t"
                                    "s3://lake/users/shard=7/day=2021-06-01/1.parquet\n"
                                    "users\t7\t2021-06-02\t2\t2\t",
                                    len);
        assert_non_null(strstr(shown, first));
        assert_non_null(strstr(shown,
                               "\tremoved\ts3://lake/users/shard=7/day=2021-06-02/1.parquet\n"
                               "cohorts\t9\t2021-06-03\t1\t5\t"));
        assert_null(strstr(shown, "shard=8"));
        assert_null(strstr(shown, "2.parquet"));
        assert_non_null(strstr(shown, "users\t3\t1\t1\t4\t"));
        assert_non_null(strstr(shown, "cohorts\t2\t1\t0\t1\t"));
        assert_non_null(strstr(rc_fake_host_said(host), "5 rows of 3 files"));
        assert_non_null(strstr(rc_fake_host_said(host), "Among the markers 1 object is none"));
        assert_int_equal(rc_fake_host_counter(host, "rows_to_delete"), 5);
        assert_int_equal(rc_fake_host_counter(host, "files_scanned"), 5);
        assert_int_equal(rc_fake_host_counter(host, "users"), 3);
        assert_int_equal(rc_fake_host_counter(host, "markers"), 3);
        assert_int_equal(rc_fake_host_counter(host, "markers_malformed"), 1);
        assert_string_equal(rc_fake_host_objects(host, "s3://"), before);
        assert_int_equal(rc_fake_host_open_handles(host), 0);
    }
}

static void test_some_shards(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    const char *some[RC_ARRAY_LEN(settings) + 1];
    struct rc_error err = RC_ERROR_INIT;

    memcpy(some, settings, sizeof(settings));
    some[RC_ARRAY_LEN(settings) - 1] = "shards=[8-9]";
    some[RC_ARRAY_LEN(settings)] = NULL;
    prepare(host, NULL);
    assert_int_equal(rc_fake_host_run(host, &plugin, "plan", some, &err), RC_OK);
    assert_int_equal(rc_fake_host_counter(host, "rows_to_delete"), 1);
    some[RC_ARRAY_LEN(settings) - 1] = "shards=seven";
    assert_int_equal(rc_fake_host_run(host, &plugin, "plan", some, &err), RC_INVALID);
}

static void test_what_cannot_be_searched_is_told(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    prepare(host, NULL);
    rc_fake_host_put(host, "s3://lake/users/shard=7/day=2021-06-01/0.parquet", "PAR1....PAR1", 12);
    assert_int_equal(rc_fake_host_run(host, &plugin, "plan", settings, &err), RC_FAILED);
    assert_non_null(strstr(rc_fake_host_log(host), "day=2021-06-01/0.parquet"));
    /* The others are planned all the same. */
    assert_int_equal(rc_fake_host_counter(host, "rows_to_delete"), 5);
}

/* A folder that is mistaken is told even by who has no way to the state database. */
static void test_a_table_without_data(void **state)
{
    (void)state;
    static const char *const services[] = { "none", "db.open", "db.query" };

    for (size_t i = 0; i < RC_ARRAY_LEN(services); i++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        const char *log;
        struct rc_error err = RC_ERROR_INIT;

        prepare(host, NULL);
        rc_fake_host_remove(host, "s3://lake/cohorts/shard=9/day=2021-06-03/1");
        rc_fake_host_remove(host, "s3://lake/cohorts/shard=7/day=2021-06-03/1");
        rc_fake_host_fail_on(host, services[i], NULL, -1, RC_UNAVAILABLE);
        assert_int_equal(rc_fake_host_run(host, &plugin, "plan", settings, &err), RC_NOT_FOUND);
        assert_non_null(strstr(err.cause, "the table 'cohorts' has no data"));
        log = rc_fake_host_log(host);
        assert_true(!strstr(log, "whether it was emptied") == (i == 0));
        assert_int_equal(rc_fake_host_open_handles(host), 0);
    }
}

/* ---- somebody else replaces a file again and again ---- */

struct replacing {
    int times;
    bool removes;
};

static void replace(void *context, struct rc_fake_host *host, int n, const char *service,
                    const char *subject)
{
    struct replacing *replacing = context;
    const char *ids[] = { "a", "b", "b", "z" };

    (void)n;
    if (!rc_str_starts(service, "storage.open") || !strstr(subject, "day=2021-06-01/1.parquet") ||
        replacing->times == 0)
        return;
    replacing->times--;
    if (replacing->removes)
        rc_fake_host_remove(host, subject);
    else
        put_file(host, subject, "id", ids, 4);
}

static void test_a_file_that_is_replaced_is_searched_anew(void **state)
{
    (void)state;
    static const struct {
        struct replacing replacing;
        enum rc_code code;
        int64_t rows;
    } cases[] = {
        { { 1, false }, RC_OK, 6 },
        { { 4, false }, RC_OK, 6 },
        { { 100, false }, RC_FAILED, 3 },
        { { 1, true }, RC_OK, 3 },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct replacing replacing = cases[i].replacing;
        struct rc_error err = RC_ERROR_INIT;

        prepare(host, NULL);
        rc_fake_host_on_call(host, replace, &replacing);
        assert_int_equal(rc_fake_host_run(host, &plugin, "plan", settings, &err), cases[i].code);
        assert_int_equal(rc_fake_host_counter(host, "rows_to_delete"), cases[i].rows);
    }
}

static void test_a_cancellation_ends_it(void **state)
{
    (void)state;
    int calls;

    {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        prepare(host, NULL);
        assert_int_equal(rc_fake_host_run(host, &plugin, "plan", settings, &err), RC_OK);
        calls = rc_fake_host_calls(host);
    }
    for (int n = 1; n <= calls; n++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        prepare(host, NULL);
        rc_fake_host_cancel_at(host, n);
        assert_int_equal(rc_fake_host_run(host, &plugin, "plan", settings, &err), RC_CANCELLED);
        assert_int_equal(rc_fake_host_open_handles(host), 0);
    }
}

/* A call that fails is told, be it as the run's error or that of one file. */
static void test_each_call_may_fail(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        prepare(host, NULL);
        rc_fake_host_fail_at(host, n, RC_DENIED);
        if (rc_fake_host_run(host, &plugin, "plan", settings, &err) == RC_OK) {
            if (strstr(rc_fake_host_log(host), "a cleanup could not begin"))
                continue;
            assert_true(n > rc_fake_host_calls(host));
            break;
        }
        assert_true(err.code == RC_DENIED || strstr(rc_fake_host_log(host), "injected fault"));
        assert_int_equal(rc_fake_host_open_handles(host), 0);
    }
}

/* ---- many files ---- */

static void test_many_files_are_summed(void **state)
{
    (void)state;
    enum { FILES = 5000 };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct dsr_table table = { .name = "users" };
    const struct dsr_config config = { .tables = { 1, &table } };
    struct dsr_plan plan;
    size_t lines = 0;

    dsr_plan_init(&plan, 1);
    for (int i = FILES - 1; i >= 0; i--) {
        char uri[32];

        snprintf(uri, sizeof(uri), "s3://lake/%05d", i);
        dsr_plan_add(
            &plan, &(struct dsr_plan_file){
                       .shard = i / 100, .uri = uri, .rows = 1, .row_count = 2, .size_bytes = 10 });
    }
    plan.markers = 1;
    dsr_plan_show(rc_fake_host_job(host), &plan, &config, 1000, 2);
    dsr_plan_clear(&plan);
    const char *shown = rc_fake_host_shown(host);
    for (const char *at = shown; *at != '\0'; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 2 + DSR_PLAN_FILES + 3);
    assert_non_null(strstr(shown, "the first 1000 of 5000"));
    assert_non_null(strstr(shown, "s3://lake/00000\n"));
    assert_non_null(strstr(shown, "s3://lake/00999\n"));
    assert_null(strstr(shown, "s3://lake/01000\n"));
    assert_non_null(strstr(shown, "users\t5000\t5000\t0\t5000\t50000\n"));
}

static void test_nothing_to_erase_is_said(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct dsr_table table = { .name = "users" };
    const struct dsr_config config = { .tables = { 1, &table } };
    struct dsr_plan plan;

    dsr_plan_init(&plan, 1);
    plan.malformed = 1;
    dsr_plan_show(rc_fake_host_job(host), &plan, &config, 1000, 2);
    assert_string_equal(rc_fake_host_shown(host), "");
    assert_string_equal(rc_fake_host_said(host),
                        "no markers: nothing to erase\nAmong the markers 1 object is none, each "
                        "named by a warning: a cleanup would leave them, and end with status 1\n");
    plan.failed = 1; /* there may be some, which could not be read */
    dsr_plan_show(rc_fake_host_job(host), &plan, &config, 1000, 2);
    assert_int_equal(rc_fake_host_counter(host, "markers"), 0);
    assert_non_null(strstr(rc_fake_host_said(host), "Would erase 0 users"));
    dsr_plan_clear(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plan),
        cmocka_unit_test(test_some_shards),
        cmocka_unit_test(test_what_cannot_be_searched_is_told),
        cmocka_unit_test(test_a_table_without_data),
        cmocka_unit_test(test_a_file_that_is_replaced_is_searched_anew),
        cmocka_unit_test(test_a_cancellation_ends_it),
        cmocka_unit_test(test_each_call_may_fail),
        cmocka_unit_test(test_many_files_are_summed),
        cmocka_unit_test(test_nothing_to_erase_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
