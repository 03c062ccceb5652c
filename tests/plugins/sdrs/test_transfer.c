/*
 * Transfer jobs and their operations: each request as it is sent, and what is read of replies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "google_world.h"

#include "google/transfer.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#define JOB "transferJobs/sdrs-1"
#define NOW INT64_C(1552195800000) /* 2019-03-10T05:30:00Z */

static struct sdrs_prefixes prefixes_of(const char *text)
{
    struct sdrs_prefixes prefixes = { .items = NULL };

    sdrs_prefixes_read(text, &prefixes);
    return prefixes;
}

#define PREFIXES_AUTO(name, text)                                                                  \
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes name = prefixes_of(text)

/* ---- making ---------------------------------------------------------------------------------- */

#define SPEC(conditions, when)                                                                     \
    "\"transferSpec\":{\"gcsDataSource\":{\"bucketName\":\"events\"},"                             \
    "\"gcsDataSink\":{\"bucketName\":\"eventsshadow\"},\"objectConditions\":" conditions ","       \
    "\"transferOptions\":{\"deleteObjectsFromSourceAfterTransfer\":true,"                          \
    "\"overwriteWhen\":\"" when "\"}}"
#define YESTERDAY "{\"year\":2019,\"month\":3,\"day\":9}"

static enum rc_code create(struct google_world *world, const struct sdrs_transfer_spec *spec,
                           struct rc_error *err)
{
    struct sdrs_google google = sdrs_transfer_service(world->job, &world->config);

    return sdrs_transfer_create(&google, "analytics", JOB, "rule 7", spec, NOW, err);
}

static void test_a_job_that_runs_once(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    PREFIXES_AUTO(includes, "d/2018/\nd/2019/01/\n");
    PREFIXES_AUTO(excludes, "d/2018/07/\n");
    PREFIXES_AUTO(none, "");
    struct sdrs_transfer_spec spec = {
        .source = "events", .sink = "eventsshadow", .includes = &includes, .excludes = &excludes
    };

    google_answer(world, NULL, -1, 200, "{}");
    expect_ok(create(world, &spec, &err));
    assert_string_equal(google_asked_what(world, 0),
                        "POST https://storagetransfer.googleapis.com/v1/transferJobs");
    expect_json(google_asked_body(world, 0),
                "{\"name\":\"" JOB "\",\"projectId\":\"analytics\",\"description\":\"rule 7\","
                "\"status\":\"ENABLED\",\"schedule\":{\"scheduleStartDate\":" YESTERDAY
                ",\"scheduleEndDate\":" YESTERDAY
                "}," SPEC("{\"includePrefixes\":[\"d/2018/\",\"d/2019/01/\"],"
                          "\"excludePrefixes\":[\"d/2018/07/\"]}",
                          "ALWAYS") "}");
    /* We have named it, so a repetition makes no second one. */
    assert_int_equal(rc_fake_host_http_request(world->host, 0).flags, RC_HTTP_SAFE_TO_REPEAT);

    spec.includes = &none;
    spec.modified_before_unix_ms = NOW;
    spec.keep_existing = true;
    expect_ok(create(world, &spec, &err));
    expect_json(google_asked_body(world, 1),
                "{\"name\":\"" JOB "\",\"projectId\":\"analytics\",\"description\":\"rule 7\","
                "\"status\":\"ENABLED\",\"schedule\":{\"scheduleStartDate\":" YESTERDAY
                ",\"scheduleEndDate\":" YESTERDAY
                "}," SPEC("{\"excludePrefixes\":[\"d/2018/07/\"],"
                          "\"lastModifiedBefore\":\"2019-03-10T05:30:00Z\"}",
                          "NEVER") "}");
}

/* Somebody who enables it by hand is not to move the whole bucket. */
static void test_a_daily_job_moves_nothing_yet(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_google google = sdrs_transfer_service(world->job, &world->config);
    const struct sdrs_transfer_spec spec = { .source = "events", .sink = "eventsshadow" };

    google_answer(world, NULL, -1, 200, "{}");
    expect_ok(sdrs_transfer_create_daily(&google, "analytics", JOB, "pool", &spec, NOW,
                                         23 * 3600 + 59 * 60 + 58, &err));
    expect_json(google_asked_body(world, 0),
                "{\"name\":\"" JOB "\",\"projectId\":\"analytics\",\"description\":\"pool\","
                "\"status\":\"DISABLED\",\"schedule\":{\"scheduleStartDate\":" YESTERDAY
                ",\"startTimeOfDay\":{\"hours\":23,\"minutes\":59,\"seconds\":58}}," SPEC(
                    "{\"includePrefixes\":[\".run-core/nothing-yet/\"]}", "ALWAYS") "}");
}

static void test_changing(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_google google = sdrs_transfer_service(world->job, &world->config);
    PREFIXES_AUTO(includes, "d/2018/\n");
    PREFIXES_AUTO(none, "");
    const struct sdrs_transfer_spec spec = {
        .source = "events", .sink = "eventsshadow", .includes = &includes, .excludes = &none
    };
    int64_t changed_unix_ms = 0;

    google_answer(world, NULL, 1, 200, "{\"lastModificationTime\":\"2019-03-10T05:30:00.25Z\"}");
    expect_ok(
        sdrs_transfer_change(&google, "analytics", JOB, "rule 7", &spec, &changed_unix_ms, &err));
    assert_int_equal(changed_unix_ms, NOW + 250);
    assert_string_equal(google_asked_what(world, 0),
                        "PATCH https://storagetransfer.googleapis.com/v1/" JOB);
    expect_json(
        google_asked_body(world, 0),
        "{\"projectId\":\"analytics\",\"updateTransferJobFieldMask\":"
        "\"description,status,transferSpec\",\"transferJob\":{\"description\":\"rule 7\","
        "\"status\":\"ENABLED\"," SPEC("{\"includePrefixes\":[\"d/2018/\"]}", "ALWAYS") "}}");
    google_answer(world, NULL, 1, 200, "{}");
    expect_ok(
        sdrs_transfer_change(&google, "analytics", JOB, "rule 7", &spec, &changed_unix_ms, &err));
    assert_int_equal(changed_unix_ms, NOW + 250);
    google_answer(world, NULL, 1, 200, "{}");
    expect_ok(sdrs_transfer_disable(&google, "analytics", JOB, &err));
    expect_json(google_asked_body(world, 2),
                "{\"projectId\":\"analytics\",\"updateTransferJobFieldMask\":\"status\","
                "\"transferJob\":{\"status\":\"DISABLED\"}}");
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_what_refusals_ask_for(void **state)
{
    struct google_world *world = *state;
    PREFIXES_AUTO(includes, "d/\n");
    PREFIXES_AUTO(none, "");
    const struct sdrs_transfer_spec spec = {
        .source = "events", .sink = "eventsshadow", .includes = &includes, .excludes = &none
    };
    struct rc_error err = RC_ERROR_INIT;

    google_refuse(world, "POST", 1, 403, "PERMISSION_DENIED", "The caller may not.");
    assert_int_equal(create(world, &spec, &err), RC_DENIED);
    expect_in(err.cause, "The caller may not.; grant roles/storagetransfer.user in the project "
                         "'analytics'");
    expect_in(err.context, "make the transfer job '" JOB "' in the project 'analytics'");

    google_refuse(world, "POST", 1, 404, "NOT_FOUND", "No such bucket.");
    assert_int_equal(create(world, &spec, &err), RC_NOT_FOUND);
    expect_in(err.cause,
              "No such bucket.; both gs://events and gs://eventsshadow have to be there");

    google_refuse(world, "POST", 1, 409, "ALREADY_EXISTS", "There is one.");
    assert_int_equal(create(world, &spec, &err), RC_CONFLICT);
    assert_int_equal(google_asked(world), 3);

    /* The host has no credentials: the service was not asked. */
    rc_fake_host_fail_on(world->host, "http.call", NULL, 1, RC_DENIED);
    assert_int_equal(create(world, &spec, &err), RC_DENIED);
    assert_null(strstr(err.cause, "grant"));
}

static void test_whom_rights_are_to_be_granted(void **state)
{
    static const char roles[] = "grant roles/storage.objectViewer and "
                                "roles/storage.legacyBucketWriter on gs://events and "
                                "gs://eventsshadow to ";
    struct google_world *world = *state;
    PREFIXES_AUTO(includes, "d/\n");
    PREFIXES_AUTO(none, "");
    const struct sdrs_transfer_spec spec = {
        .source = "events", .sink = "eventsshadow", .includes = &includes, .excludes = &none
    };
    struct rc_error err = RC_ERROR_INIT;

    google_refuse(world, "POST", -1, 400, "FAILED_PRECONDITION", "No access.");
    google_answer(world,
                  "GET https://storagetransfer.googleapis.com/v1/googleServiceAccounts/"
                  "analytics",
                  1, 200, "{\"accountEmail\":\"sts@example.com\"}");
    assert_int_equal(create(world, &spec, &err), RC_FAILED);
    expect_in(err.cause, roles);
    assert_true(rc_str_ends(err.cause, " to sts@example.com"));
    /* Nor may that be asked. */
    google_refuse(world, "GET", 1, 403, "PERMISSION_DENIED", "The caller may not.");
    assert_int_equal(create(world, &spec, &err), RC_FAILED);
    assert_true(rc_str_ends(err.cause, " to the service account of Storage Transfer Service"));
}

/* It comes from whoever makes a rule, and must not ask the service for something else. */
static void test_a_project_that_looks_like_more_of_an_address(void **state)
{
    struct google_world *world = *state;
    struct sdrs_google google = sdrs_transfer_service(world->job, &world->config);
    PREFIXES_AUTO(none, "");
    const struct sdrs_transfer_spec spec = {
        .source = "events", .sink = "eventsshadow", .includes = &none, .excludes = &none
    };
    struct rc_error err = RC_ERROR_INIT;

    google_refuse(world, "POST", -1, 400, "FAILED_PRECONDITION", "No access.");
    google_answer(world, "GET", -1, 200, "{}");
    assert_int_equal(sdrs_transfer_create(&google, "a/../b?c=d#e", JOB, "rule 7", &spec, NOW, &err),
                     RC_FAILED);
    assert_string_equal(google_asked_what(world, 1),
                        "GET https://storagetransfer.googleapis.com/v1/googleServiceAccounts/"
                        "a%2F..%2Fb%3Fc%3Dd%23e");
}

/* ---- looking --------------------------------------------------------------------------------- */

static void test_reading_a_job(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_google google = sdrs_transfer_service(world->job, &world->config);
    RC_CLEANUP(sdrs_transfer_job_clear) struct sdrs_transfer_job job = { .name = NULL };

    google_answer(world, NULL, 1, 200,
                  "{\"name\":\"" JOB "\",\"status\":\"ENABLED\",\"projectId\":\"a b\","
                  "\"latestOperationName\":\"transferOperations/1\","
                  "\"lastModificationTime\":\"2019-03-10T05:30:00Z\","
                  "\"schedule\":{\"startTimeOfDay\":{\"hours\":1,\"seconds\":2}},"
                  "\"transferSpec\":{\"gcsDataSource\":{\"bucketName\":\"events\"},"
                  "\"gcsDataSink\":{\"bucketName\":\"shadow\"},\"objectConditions\":{"
                  "\"includePrefixes\":[\"b/\",\"a/\"],\"excludePrefixes\":[\"a/x/\"],"
                  "\"lastModifiedBefore\":\"2019-03-10T05:30:00.001Z\"}}}");
    expect_ok(sdrs_transfer_get(&google, "a b", JOB, &job, &err));
    assert_string_equal(google_asked_what(world, 0), "GET https://storagetransfer.googleapis.com/"
                                                     "v1/" JOB "?projectId=a%20b");
    assert_string_equal(job.name, JOB);
    assert_string_equal(job.status, "ENABLED");
    assert_string_equal(job.latest_operation, "transferOperations/1");
    assert_string_equal(job.source, "events");
    assert_string_equal(job.sink, "shadow");
    assert_int_equal(job.changed_unix_ms, NOW);
    assert_int_equal(job.modified_before_unix_ms, NOW + 1);
    assert_int_equal(job.start_seconds, 3602);
    assert_int_equal(job.includes.count, 2);
    assert_string_equal(job.includes.items[0], "a/");
    assert_int_equal(job.excludes.count, 1);
}

static void test_a_job_of_somebody_else_s(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_google google = sdrs_transfer_service(world->job, &world->config);
    RC_CLEANUP(sdrs_transfer_job_clear) struct sdrs_transfer_job job = { .name = NULL };

    google_answer(world, NULL, 1, 200, "{\"transferSpec\":{\"awsS3DataSource\":{}}}");
    expect_ok(sdrs_transfer_get(&google, "p", JOB, &job, &err));
    assert_string_equal(job.source, "");
    assert_string_equal(job.latest_operation, "");
    assert_int_equal(job.includes.count, 0);

    google_refuse(world, NULL, 1, 404, "NOT_FOUND", "No such job.");
    assert_int_equal(sdrs_transfer_get(&google, "p", JOB, &job, &err), RC_NOT_FOUND);
}

/* ---- operations ------------------------------------------------------------------------------ */

static void read_operation(struct google_world *world, const char *body, struct sdrs_operation *out)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_google google = sdrs_transfer_service(world->job, &world->config);

    google_answer(world, NULL, 1, 200, body);
    expect_ok(sdrs_operation_get(&google, "transferOperations/1", out, &err));
    assert_string_equal(google_asked_what(world, google_asked(world) - 1),
                        "GET https://storagetransfer.googleapis.com/v1/transferOperations/1");
}

static void test_how_operations_stand(void **state)
{
    static const struct {
        const char *body;
        enum sdrs_operation_state state;
    } cases[] = {
        { "{\"metadata\":{\"status\":\"QUEUED\"}}", SDRS_OPERATION_RUNS },
        { "{\"metadata\":{\"status\":\"IN_PROGRESS\"}}", SDRS_OPERATION_RUNS },
        { "{\"metadata\":{\"status\":\"PAUSED\"}}", SDRS_OPERATION_RUNS },
        { "{\"done\":false,\"metadata\":{\"status\":\"SUSPENDING\"}}", SDRS_OPERATION_RUNS },
        { "{\"done\":true,\"response\":{},\"metadata\":{\"status\":\"SUCCESS\"}}",
          SDRS_OPERATION_SUCCEEDED },
        { "{\"done\":true,\"response\":{},\"metadata\":{\"status\":\"FAILED\"}}",
          SDRS_OPERATION_FAILED },
        { "{\"done\":true,\"error\":{\"code\":1},\"metadata\":{\"status\":\"ABORTED\"}}",
          SDRS_OPERATION_FAILED },
        { "{\"done\":true,\"error\":{\"code\":2},\"metadata\":{\"status\":\"SUCCESS\"}}",
          SDRS_OPERATION_FAILED },
        { "{\"done\":true}", SDRS_OPERATION_FAILED },
    };
    struct google_world *world = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_CLEANUP(sdrs_operation_clear) struct sdrs_operation operation = { .name = NULL };

        read_operation(world, cases[i].body, &operation);
        assert_int_equal(operation.state, cases[i].state);
        assert_int_equal(operation.message != NULL, operation.state == SDRS_OPERATION_FAILED);
    }
}

static void test_counts_and_errors(void **state)
{
    struct google_world *world = *state;
    RC_CLEANUP(sdrs_operation_clear) struct sdrs_operation operation = { .name = NULL };

    read_operation(
        world,
        "{\"name\":\"transferOperations/1\",\"done\":true,\"error\":{\"code\":2,"
        "\"message\":\"Some failed.\"},\"metadata\":{\"status\":\"FAILED\","
        "\"startTime\":\"2019-03-10T05:30:00Z\",\"counters\":{\"objectsFoundFromSource\":\"9\","
        "\"objectsCopiedToSink\":\"8\",\"objectsDeletedFromSource\":\"7\","
        "\"bytesDeletedFromSource\":\"70000000000\",\"objectsFromSourceFailed\":\"2\"},"
        "\"errorBreakdowns\":[{\"errorCode\":\"PERMISSION_DENIED\",\"errorCount\":\"2\","
        "\"errorLogEntries\":[{\"url\":\"gs://b/1\",\"errorDetails\":[\"no\",\"more\"]},"
        "{\"url\":\"gs://b/2\"},{\"url\":\"gs://b/3\"},{\"url\":\"gs://b/4\"}]},"
        "{\"errorCode\":\"UNKNOWN\",\"errorCount\":\"1\"}],\"transferSpec\":{"
        "\"objectConditions\":{\"includePrefixes\":[\"d/2\",\"d/1\"]}}}}",
        &operation);
    assert_string_equal(operation.name, "transferOperations/1");
    assert_int_equal(operation.begin_unix_ms, NOW);
    assert_int_equal(operation.objects, 7);
    assert_int_equal(operation.bytes, INT64_C(70000000000));
    assert_int_equal(operation.failed, 2);
    assert_int_equal(operation.includes.count, 2);
    assert_string_equal(operation.message,
                        "Some failed.; PERMISSION_DENIED (2 objects): gs://b/1: no, gs://b/2: , "
                        "gs://b/3: ; UNKNOWN (1 objects)");
}

/* With 'collision: keep' the service is content, and we are not. */
static void test_what_was_kept(void **state)
{
    struct google_world *world = *state;
    RC_CLEANUP(sdrs_operation_clear) struct sdrs_operation kept = { .name = NULL };
    RC_CLEANUP(sdrs_operation_clear) struct sdrs_operation others = { .name = NULL };

    read_operation(world,
                   "{\"done\":true,\"response\":{},\"metadata\":{\"status\":\"SUCCESS\","
                   "\"counters\":{\"objectsFromSourceSkippedBySync\":\"3\"},\"transferSpec\":{"
                   "\"transferOptions\":{\"overwriteWhen\":\"NEVER\"}}}}",
                   &kept);
    assert_int_equal(kept.state, SDRS_OPERATION_FAILED);
    assert_int_equal(kept.failed, 3);
    expect_in(kept.message, "3 objects stay, as the shadow bucket has others of their names");
    read_operation(world,
                   "{\"done\":true,\"response\":{},\"metadata\":{\"status\":\"SUCCESS\","
                   "\"counters\":{\"objectsFromSourceSkippedBySync\":\"3\"},\"transferSpec\":{"
                   "\"transferOptions\":{\"overwriteWhen\":\"ALWAYS\"}}}}",
                   &others);
    assert_int_equal(others.state, SDRS_OPERATION_SUCCEEDED);
}

#define OPERATION(name, start, includes)                                                           \
    "{\"name\":\"transferOperations/" name "\",\"metadata\":{\"startTime\":\"" start "\","         \
    "\"transferSpec\":{\"objectConditions\":{\"includePrefixes\":[" includes "]}}}}"

static const char *since(struct google_world *world, int64_t since_unix_ms, const char *includes,
                         struct sdrs_operation *out)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_google google = sdrs_transfer_service(world->job, &world->config);
    PREFIXES_AUTO(wanted, includes);
    bool found;

    google_answer(world, "pageToken=2%2F3", 1, 200,
                  "{\"operations\":[" OPERATION("a", "2019-03-10T05:00:00Z", "\"d/\"") "]}");
    google_answer(world, "pageToken=1", 1, 200, "{\"nextPageToken\":\"2/3\"}");
    google_answer(
        world, NULL, 1, 200,
        "{\"operations\":[" OPERATION("d", "2019-03-10T08:00:00Z", "\"d/\",\"e/\"") "," OPERATION(
            "c", "2019-03-10T07:00:00Z",
            "\"d/\"") "," OPERATION("b", "2019-03-10T06:00:00Z",
                                    "\"d/1/\"") "],\"nextPageToken\":\"1\"}");
    expect_ok(
        sdrs_operation_since(&google, "analytics", JOB, since_unix_ms, &wanted, &found, out, &err));
    assert_int_equal(found, out->name != NULL);
    return found ? out->name : "";
}

static void test_the_first_operation_since(void **state)
{
    static const int64_t hour_ms = 3600000, five = INT64_C(1552194000000);
    static const struct {
        int64_t since_unix_ms;
        const char *includes, *name;
    } cases[] = {
        { 0, "d/\n", "transferOperations/a" },
        { five, "d/\n", "transferOperations/a" },
        { five + 1, "d/\n", "transferOperations/c" },
        { five + 1, "d/1/2/\n", "transferOperations/b" },
        { five + 1, "d/2/\n", "transferOperations/c" },
        { five + 2 * hour_ms, "d/2/\n", "transferOperations/c" },
        { 0, "d/1/\ne/\n", "transferOperations/d" },
        { 0, "f/\n", "" },
        { 0, "\n", "" }, /* the whole bucket */
        { five + 3 * hour_ms + 1, "d/\n", "" },
    };
    struct google_world *world = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_CLEANUP(sdrs_operation_clear) struct sdrs_operation found = { .name = NULL };

        assert_string_equal(since(world, cases[i].since_unix_ms, cases[i].includes, &found),
                            cases[i].name);
    }
    assert_string_equal(google_asked_what(world, 0),
                        "GET https://storagetransfer.googleapis.com/v1/transferOperations?filter="
                        "%7B%22projectId%22%3A%22analytics%22%2C%22jobNames%22%3A%5B%22"
                        "transferJobs%2Fsdrs-1%22%5D%7D&pageSize=50");
    assert_true(rc_str_ends(google_asked_what(world, 2), "&pageSize=50&pageToken=2%2F3"));
}

static void test_a_page_that_fails(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_google google = sdrs_transfer_service(world->job, &world->config);
    PREFIXES_AUTO(wanted, "d/\n");
    struct sdrs_operation found = { .name = NULL };
    bool is_found;

    google_answer(world, NULL, 1, 200,
                  "{\"operations\":[" OPERATION("a", "2019-03-10T05:00:00Z",
                                                "\"d/\"") "],\"nextPageToken\":\"1\"}");
    google_refuse(world, NULL, 1, 503, "UNAVAILABLE", "Later.");
    assert_int_equal(
        sdrs_operation_since(&google, "analytics", JOB, 0, &wanted, &is_found, &found, &err),
        RC_UNAVAILABLE);
    assert_null(found.name);
    expect_in(err.context, "list the operations of the transfer job '" JOB "'");
}

static void test_covering(void **state)
{
    PREFIXES_AUTO(all, "");
    PREFIXES_AUTO(some, "a/\nb/1/\n");
    PREFIXES_AUTO(within, "a/\na/2/\nb/1/x\n");
    PREFIXES_AUTO(beyond, "a/\nb/\n");

    (void)state;
    assert_true(sdrs_transfer_covers(&all, &some));
    assert_true(sdrs_transfer_covers(&some, &within));
    assert_false(sdrs_transfer_covers(&some, &beyond));
    assert_true(sdrs_transfer_covers(&some, &all));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, google_set_up, google_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_job_that_runs_once),
        TEST(test_a_daily_job_moves_nothing_yet),
        TEST(test_changing),
        TEST(test_what_refusals_ask_for),
        TEST(test_whom_rights_are_to_be_granted),
        TEST(test_a_project_that_looks_like_more_of_an_address),
        TEST(test_reading_a_job),
        TEST(test_a_job_of_somebody_else_s),
        TEST(test_how_operations_stand),
        TEST(test_counts_and_errors),
        TEST(test_what_was_kept),
        TEST(test_the_first_operation_since),
        TEST(test_a_page_that_fails),
        cmocka_unit_test(test_covering),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
