/*
 * The mover 'sts' and the pool: which of its jobs gets what, and when one is made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sts_world.h"

#include "state/pool.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 4 << 20 };

/* ---- the pool -------------------------------------------------------------------------------- */

/* Jobs of the pool "transferJobs/HH", at those hours. */
static void add_pool(struct google_world *world, const char *type, const int *hours, size_t count)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_pool pool = { .items = rc_calloc(count, sizeof(*pool.items)), .count = count };

    for (size_t i = 0; i < count; i++)
        pool.items[i] = (struct sdrs_pool_job){
            .name = rc_strf("transferJobs/%02d", hours[i]),
            .project = rc_strdup("pools"),
            .schedule = rc_strf("%02d:00:00", hours[i]),
            .type = rc_strdup(type),
            .target_bucket = rc_strdup("eventsshadow"),
            .status = rc_strdup("DISABLED"),
        };
    expect_ok(sdrs_pool_add(&world->state, "events", "analytics", &pool, &err));
    sdrs_pool_clear(&pool);
}

#define EVERY_SIX_HOURS (const int[]){ 0, 6, 12, 18 }, 4

#define CHANGED "{\"lastModificationTime\":\"2026-01-15T12:00:01Z\"}"
#define CHANGED_MS "1768478401000"

static void at(struct google_world *world, const char *time)
{
    assert_true(rc_parse_time(time, &world->job->now_unix_ms));
}

static void test_the_job_that_runs_next(void **state)
{
    static const struct {
        const char *now, *name;
    } cases[] = {
        { "2026-01-15T00:00:00Z", "transferJobs/06" },
        { "2026-01-15T05:59:59Z", "transferJobs/06" },
        { "2026-01-15T06:00:00Z", "transferJobs/12" },
        { "2026-01-15T12:30:00Z", "transferJobs/18" },
        { "2026-01-15T18:00:00Z", "transferJobs/00" },
        { "2026-01-15T23:59:59Z", "transferJobs/00" },
    };
    struct google_world *world = *state;

    add_pool(world, "dataset", EVERY_SIX_HOURS);
    google_answer(world, "PATCH", -1, 200, CHANGED);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        MOVING_AUTO(moving);
        RC_STR_AUTO line = rc_strf("%s " CHANGED_MS " 0 1 pools\n", cases[i].name);
        RC_STR_AUTO patch =
            rc_strf("PATCH https://storagetransfer.googleapis.com/v1/%s", cases[i].name);

        at(world, cases[i].now);
        make(world, &moving, "DATASET", "d/\n", "");
        answer_job(world, cases[i].name, "DISABLED", "2026-01-14T00:00:00Z", "", "{}");
        move(world, &moving);
        assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
        assert_string_equal(google_asked_what(world, google_asked(world) - 1), patch);
        assert_string_equal(moving.record.transfers, line);
    }
}

/* Moves what 'type' has into the one job of the pool, as it is now, and gives what it gets. */
static json_t *load(struct google_world *world, const char *includes, const char *list)
{
    MOVING_AUTO(moving);

    make(world, &moving, "DATASET", includes, "");
    google_answer(world, "PATCH", 1, 200, CHANGED);
    move(world, &moving);
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
    return condition(world, google_asked(world) - 1, list);
}

static void test_what_waits_is_added_to(void **state)
{
    struct google_world *world = *state;

    add_pool(world, "dataset", (const int[]){ 18 }, 1);
    /* It was never run. */
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T08:00:00Z", "",
               "{\"includePrefixes\":[\"b/\",\"d/1/\"],\"excludePrefixes\":[\"b/x/\"]}");
    expect_json(load(world, "a/\nd/\n", "includePrefixes"), "[\"a/\",\"b/\",\"d/\"]");
    expect_json(condition(world, google_asked(world) - 1, "excludePrefixes"), "[\"b/x/\"]");
    /* It has run, but before it was changed. */
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T08:00:00Z", "transferOperations/1",
               "{\"includePrefixes\":[\"b/\"]}");
    answer_operation(world, "2026-01-14T18:00:00Z", "[\"b/\"]");
    expect_json(load(world, "a/\n", "includePrefixes"), "[\"a/\",\"b/\"]");
    /* It began when it was changed, and was not told. */
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T08:00:00Z", "transferOperations/1",
               "{\"includePrefixes\":[\"b/\",\"c/\"]}");
    answer_operation(world, "2026-01-15T08:00:00Z", "[\"b/\"]");
    expect_json(load(world, "a/\n", "includePrefixes"), "[\"a/\",\"b/\",\"c/\"]");
}

static void test_what_has_run_is_replaced(void **state)
{
    struct google_world *world = *state;

    add_pool(world, "dataset", (const int[]){ 18 }, 1);
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-14T08:00:00Z", "transferOperations/1",
               "{\"includePrefixes\":[\"b/\"],\"excludePrefixes\":[\"b/x/\"]}");
    answer_operation(world, "2026-01-14T18:00:00Z", "[\"b/\"]");
    expect_json(load(world, "a/\n", "includePrefixes"), "[\"a/\"]");
    assert_int_equal(condition_count(world, google_asked(world) - 1, "excludePrefixes"), 0);
    /* Somebody has disabled it. */
    answer_job(world, "transferJobs/18", "DISABLED", "2026-01-15T08:00:00Z", "",
               "{\"includePrefixes\":[\"b/\"]}");
    expect_json(load(world, "a/\n", "includePrefixes"), "[\"a/\"]");
    /* Conditions on times hold for all of a job. */
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T08:00:00Z", "",
               "{\"includePrefixes\":[\"b/\"],\"lastModifiedBefore\":\"2020-01-01T00:00:00Z\"}");
    expect_json(load(world, "a/\n", "includePrefixes"), "[\"a/\"]");
    /* It would move the whole bucket. */
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T08:00:00Z", "", "{}");
    expect_json(load(world, "a/\n", "includePrefixes"), "[\"a/\"]");
}

/* What is held now counts, for all that a job moves; what was held before does not. */
static void test_excludes_of_both(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    add_pool(world, "dataset", (const int[]){ 18 }, 1);
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T08:00:00Z", "",
               "{\"includePrefixes\":[\"a/\",\"b/\",\"c/1/\"],"
               "\"excludePrefixes\":[\"a/old/\",\"b/x/\"]}");
    google_answer(world, "PATCH", 1, 200, CHANGED);
    make(world, &moving, "DATASET", "a/old/1/\nc/\n", "c/1/\n");
    move(world, &moving);
    expect_json(condition(world, 1, "includePrefixes"), "[\"a/\",\"b/\",\"c/\"]");
    expect_json(condition(world, 1, "excludePrefixes"), "[\"b/x/\",\"c/1/\"]");
}

static void test_a_default_rule_in_the_pool(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    add_pool(world, "DEFAULT", (const int[]){ 23 }, 1);
    answer_job(world, "transferJobs/23", "ENABLED", "2026-01-15T08:00:00Z", "",
               "{\"excludePrefixes\":[\"old/\"],\"lastModifiedBefore\":\"2020-01-01T00:00:00Z\"}");
    google_answer(world, "PATCH", 1, 200, CHANGED);
    make(world, &moving, "GLOBAL", "\n", "clicks/\n");
    moving.record.modified_before_unix_ms = INT64_C(1552195800000);
    move(world, &moving);
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
    assert_int_equal(condition_count(world, 1, "includePrefixes"), 0);
    expect_json(condition(world, 1, "excludePrefixes"), "[\"clicks/\"]");
    expect_json(condition(world, 1, "lastModifiedBefore"), "\"2019-03-10T05:30:00Z\"");
}

/* "{"includePrefixes":[...]}" of so many that are none of numbered(). */
static char *full(int count)
{
    RC_BUF_AUTO(text, TEXT_BYTES);

    rc_buf_adds(&text, "{\"includePrefixes\":[");
    for (int i = 0; i < count; i++)
        rc_buf_addf(&text, "%s\"q%04d/\"", i ? "," : "", i);
    rc_buf_adds(&text, "]}");
    return rc_buf_take(&text);
}

static void answer_full_pool(struct google_world *world)
{
    RC_STR_AUTO nearly = full(990);
    RC_STR_AUTO wholly = full(1000);

    add_pool(world, "dataset", EVERY_SIX_HOURS);
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T08:00:00Z", "", nearly);
    answer_job(world, "transferJobs/00", "ENABLED", "2026-01-15T08:00:00Z", "", wholly);
    answer_job(world, "transferJobs/06", "ENABLED", "2026-01-15T08:00:00Z", "", nearly);
    google_refuse(world, "/v1/transferJobs/12?", 1, 404, "NOT_FOUND", "Gone.");
    google_answer(world, "PATCH", -1, 200, CHANGED);
}

static void test_the_next_job_where_one_is_full(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    RC_STR_AUTO includes = numbered(20);

    answer_full_pool(world);
    make(world, &moving, "DATASET", includes, "");
    move(world, &moving);
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
    assert_string_equal(moving.record.transfers, "transferJobs/18 " CHANGED_MS " 0 10 pools\n"
                                                 "transferJobs/06 " CHANGED_MS " 10 10 pools\n");
    assert_int_equal(condition_count(world, 1, "includePrefixes"), 1000);
    assert_int_equal(google_count(world, "POST"), 0);
}

static void test_the_rest_has_a_job_of_its_own(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    RC_STR_AUTO includes = numbered(50);
    SDRS_JSON_AUTO body = NULL;
    RC_STR_AUTO line = NULL;

    answer_full_pool(world);
    google_answer(world, "POST", 1, 200, "{}");
    make(world, &moving, "DATASET", includes, "");
    move(world, &moving);
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
    assert_int_equal(condition_count(world, google_asked(world) - 1, "includePrefixes"), 30);
    body = google_asked_body(world, google_asked(world) - 1);
    line = rc_strf("%s 0 20 30 analytics\n", sdrs_json_text(body, "name"));
    expect_in(moving.record.transfers, line);
    expect_in(rc_fake_host_log(world->host),
              "ignoring the transfer job 'transferJobs/12' of the pool of 'gs://events': it is "
              "deleted");
}

static void test_the_pool_alone(void **state)
{
    static const char *const settings[] = { "sts.jobPoolOnly=true", NULL };
    struct google_world *world = *state;
    MOVING_AUTO(without);
    MOVING_AUTO(moving);
    RC_STR_AUTO includes = numbered(50);

    google_configure(world, settings);
    make(world, &without, "DATASET", "d/\n", "");
    expect_error(world, &without,
                 "no job of the pool has room for 'gs://events/' in the project "
                 "'analytics', and 'sts.jobPoolOnly' allows no others");
    assert_int_equal(google_asked(world), 0);
    answer_full_pool(world);
    make(world, &moving, "DATASET", includes, "");
    expect_error(world, &moving,
                 "are full until they have run: 30 of 50 prefixes wait for the next "
                 "execution");
    assert_int_equal(google_count(world, "POST"), 0);
}

static void test_jobs_that_are_no_use(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    add_pool(world, "dataset", EVERY_SIX_HOURS);
    answer_job(world, "transferJobs/18", "DELETED", "2026-01-15T08:00:00Z", "", "{}");
    google_answer(world, "/v1/transferJobs/00?", 1, 200,
                  "{\"status\":\"ENABLED\",\"transferSpec\":{\"gcsDataSource\":{\"bucketName\":"
                  "\"others\"},\"gcsDataSink\":{\"bucketName\":\"othersshadow\"}}}");
    answer_job(world, "transferJobs/06", "DISABLED", "2026-01-15T08:00:00Z", "", "{}");
    google_answer(world, "PATCH", 1, 200, CHANGED);
    make(world, &moving, "DATASET", "d/\n", "");
    move(world, &moving);
    assert_string_equal(moving.record.transfers, "transferJobs/06 " CHANGED_MS " 0 1 pools\n");
    expect_in(rc_fake_host_log(world->host), "'transferJobs/18' of the pool of 'gs://events': it "
                                             "is deleted");
    expect_in(rc_fake_host_log(world->host), "'transferJobs/00' of the pool of 'gs://events': it "
                                             "moves from 'gs://others' to 'gs://othersshadow'");
}

/* A part is kept before the job is told, with the time since when its runs count. */
static void test_a_change_that_is_refused(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    add_pool(world, "dataset", (const int[]){ 18 }, 1);
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-14T08:00:00Z", "transferOperations/1",
               "{\"includePrefixes\":[\"b/\"]}");
    answer_operation(world, "2026-01-14T18:00:00Z", "[\"b/\"]");
    google_refuse(world, "PATCH", 1, 503, "UNAVAILABLE", "Later.");
    make(world, &moving, "DATASET", "a/\n", "");
    expect_error(world, &moving, "Later.");
    /* One millisecond behind the run that was not told. */
    assert_string_equal(moving.record.transfers, "transferJobs/18 1768413600001 0 1 pools\n");
}

/* ---- a pool on demand ------------------------------------------------------------------------ */

static const char *const on_demand[] = { "sts.jobPoolOnDemand.user=4", NULL };

static void find_pool(struct google_world *world, struct sdrs_pool *out)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(sdrs_pool_find(&world->state, "events", "analytics", "USER", out, &err));
}

static int seconds_of(const char *schedule)
{
    RC_STR_AUTO time = rc_strf("1970-01-01T%sZ", schedule);
    int64_t unix_ms;

    assert_true(rc_parse_time(time, &unix_ms));
    return (int)(unix_ms / 1000);
}

static void test_a_pool_on_demand(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(dataset);
    MOVING_AUTO(moving);
    struct sdrs_pool pool;

    google_configure(world, on_demand);
    add_pool(world, "default", (const int[]){ 23 }, 1);
    google_answer(world, "POST", -1, 200, "{}");
    make(world, &dataset, "DATASET", "d/\n", "");
    move(world, &dataset);
    assert_int_equal(google_asked(world), 1);

    make(world, &moving, "USER", "d/2019/\n", "");
    google_answer(world, "GET", 1, 200,
                  "{\"status\":\"DISABLED\",\"transferSpec\":{\"gcsDataSource\":{\"bucketName\":"
                  "\"events\"},\"gcsDataSink\":{\"bucketName\":\"eventsshadow\"}}}");
    google_answer(world, "PATCH", 1, 200, CHANGED);
    move(world, &moving);
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
    find_pool(world, &pool);
    assert_int_equal(pool.count, 4);
    for (size_t i = 0; i < 4; i++) {
        SDRS_JSON_AUTO body = google_asked_body(world, 1 + i);

        assert_string_equal(sdrs_json_text(body, "name"), pool.items[i].name);
        assert_string_equal(sdrs_json_text(body, "status"), "DISABLED");
        assert_string_equal(pool.items[i].type, "user");
        assert_string_equal(pool.items[i].target_bucket, "eventsshadow");
        if (i > 0)
            assert_int_equal(seconds_of(pool.items[i].schedule) -
                                 seconds_of(pool.items[i - 1].schedule),
                             6 * 3600);
    }
    assert_int_equal(google_count(world, "POST"), 5);
    sdrs_pool_clear(&pool);
}

/* A killed run has made some of them; somebody has deleted one, whose name stays taken. */
static void test_jobs_that_were_made_before(void **state)
{
    struct google_world *world = *state;
    RC_CLEANUP(sdrs_pool_clear) struct sdrs_pool first = { .items = NULL };
    RC_CLEANUP(sdrs_pool_clear) struct sdrs_pool second = { .items = NULL };
    struct rc_error err = RC_ERROR_INIT;
    int64_t deleted;

    google_configure(world, on_demand);
    for (int round = 0; round < 2; round++) {
        MOVING_AUTO(moving);

        make(world, &moving, "USER", "d/2019/\n", "");
        for (size_t i = 0; i < first.count; i++) {
            int start = seconds_of(first.items[i].schedule);
            RC_STR_AUTO body =
                rc_strf("{\"status\":\"%s\",\"schedule\":{\"startTimeOfDay\":{\"hours\":%d,"
                        "\"minutes\":%d,\"seconds\":%d}},\"transferSpec\":{\"gcsDataSource\":{"
                        "\"bucketName\":\"events\"}}}",
                        i == 1 ? "DELETED" : "DISABLED", start / 3600, start / 60 % 60, start % 60);

            google_refuse(world, "POST", 1, 409, "ALREADY_EXISTS", "There is one.");
            google_answer(world, first.items[i].name, 1, 200, body);
            if (i == 1)
                google_answer(world, "POST", 1, 200, "{}");
        }
        google_answer(world, "POST", round == 0 ? 4 : 0, 200, "{}");
        google_answer(world, "GET", 1, 200,
                      "{\"status\":\"DISABLED\",\"transferSpec\":{\"gcsDataSource\":{"
                      "\"bucketName\":\"events\"},\"gcsDataSink\":{\"bucketName\":"
                      "\"eventsshadow\"}}}");
        google_answer(world, "PATCH", 1, 200, CHANGED);
        move(world, &moving);
        assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
        find_pool(world, round == 0 ? &first : &second);
        expect_ok(sdrs_pool_delete(&world->state, "events", "analytics", &deleted, &err));
        if (round == 0)
            google_next_run(world);
    }
    for (size_t i = 0; i < 4; i++) {
        if (i == 1)
            assert_string_not_equal(second.items[i].name, first.items[i].name);
        else
            assert_string_equal(second.items[i].name, first.items[i].name);
    }
}

/* ---- every call ------------------------------------------------------------------------------ */

static void answer_all(struct google_world *world)
{
    google_configure(world, on_demand);
    google_answer(world, "POST", -1, 200, "{}");
    google_answer(world, "PATCH", -1, 200, CHANGED);
    google_answer(world, "GET", -1, 200,
                  "{\"status\":\"DISABLED\",\"transferSpec\":{\"gcsDataSource\":{\"bucketName\":"
                  "\"events\"},\"gcsDataSink\":{\"bucketName\":\"eventsshadow\"}}}");
}

/* The name of the job that a request changes; NULL: it changes none. */
static const char *changed_job(struct google_world *world, size_t request)
{
    const char *subject = google_asked_what(world, request);

    return rc_str_starts(subject, "PATCH ") ? strstr(subject, "transferJobs/") : NULL;
}

/* What was told before the process died is in the record, and the pool is made of the same jobs. */
static void test_a_process_that_dies(void **state)
{
    bool died = true;

    (void)state;
    for (int n = 1; died; n++) {
        struct google_world *world;
        MOVING_AUTO(moving);
        MOVING_AUTO(again);
        struct rc_error err = RC_ERROR_INIT;
        RC_CLEANUP(sdrs_record_clear) struct sdrs_record left = { .id = 0 };
        RC_CLEANUP(sdrs_pool_clear) struct sdrs_pool pool = { .items = NULL };
        RC_STR_AUTO first = NULL;
        RC_STR_AUTO told = NULL;

        (void)google_set_up((void **)&world);
        answer_all(world);
        make(world, &moving, "USER", "d/2019/\n", "");
        rc_fake_host_die_at(world->host, rc_fake_host_calls(world->host) + n, n % 2 == 0);
        died = sdrs_move_sts(world->job, &moving.move, &err) != RC_OK ||
               moving.record.status != SDRS_JOB_PENDING;
        for (size_t i = 0; i < google_asked(world); i++) {
            SDRS_JSON_AUTO body = google_asked_body(world, i);

            if (!first && *sdrs_json_text(body, "name"))
                first = rc_strdup(sdrs_json_text(body, "name"));
            if (changed_job(world, i))
                told = rc_strdup(changed_job(world, i));
        }
        google_next_run(world);
        assert_true(find_running(world, &left));
        if (told)
            expect_in(left.transfers, told);
        make(world, &again, "USER", "d/2019/\n", "");
        move(world, &again);
        assert_int_equal(again.record.status, SDRS_JOB_PENDING);
        find_pool(world, &pool);
        assert_int_equal(pool.count, 4);
        if (first)
            assert_string_equal(pool.items[0].name, first);
        assert_true(n < 200);
        (void)google_tear_down((void **)&world);
    }
}

static void test_each_call_fails_once(void **state)
{
    bool failed = true;

    (void)state;
    for (int n = 1; failed; n++) {
        struct google_world *world;
        MOVING_AUTO(moving);
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code;

        (void)google_set_up((void **)&world);
        answer_all(world);
        make(world, &moving, "USER", "d/2019/\n", "");
        rc_fake_host_fail_at(world->host, n, RC_FAILED);
        code = sdrs_move_sts(world->job, &moving.move, &err);
        failed = code || moving.record.status == SDRS_JOB_ERROR;
        if (!code)
            assert_int_equal(moving.record.message != NULL, failed);
        assert_true(n < 200);
        (void)google_tear_down((void **)&world);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, google_set_up, google_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_the_job_that_runs_next),
        TEST(test_what_waits_is_added_to),
        TEST(test_what_has_run_is_replaced),
        TEST(test_excludes_of_both),
        TEST(test_a_default_rule_in_the_pool),
        TEST(test_the_next_job_where_one_is_full),
        TEST(test_the_rest_has_a_job_of_its_own),
        TEST(test_the_pool_alone),
        TEST(test_jobs_that_are_no_use),
        TEST(test_a_change_that_is_refused),
        TEST(test_a_pool_on_demand),
        TEST(test_jobs_that_were_made_before),
        cmocka_unit_test(test_a_process_that_dies),
        cmocka_unit_test(test_each_call_fails_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
