/*
 * The mover 'sts': which transfer jobs of its own a record gets, what is kept of them before they
 * are asked for, and what became of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sts_world.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 4 << 20 };

/* ---- jobs of its own ------------------------------------------------------------------------- */

static void test_one_job(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    SDRS_JSON_AUTO body = NULL;
    RC_STR_AUTO line = NULL;

    make(world, &moving, "DATASET", "d/2018/\nd/2019/01/\n", "d/2018/07/\n");
    google_answer(world, "POST", 1, 200, "{}");
    move(world, &moving);
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
    assert_int_equal(google_asked(world), 1);
    body = google_asked_body(world, 0);
    line = rc_strf("%s 0 0 2 analytics\n", sdrs_json_text(body, "name"));
    assert_string_equal(moving.record.transfers, line);
    assert_true(rc_str_starts(line, "transferJobs/sdrs-1-1-"));
    assert_true(strlen(sdrs_json_text(body, "name")) <= SDRS_TRANSFER_NAME);
    assert_string_equal(sdrs_json_text(body, "projectId"), "analytics");
    assert_string_equal(sdrs_json_text(body, "description"),
                        "run-core sdrs: DATASET rule 7 version 2, job 1, batch batch-1");
    expect_json(condition(world, 0, "includePrefixes"), "[\"d/2018/\",\"d/2019/01/\"]");
    expect_json(condition(world, 0, "excludePrefixes"), "[\"d/2018/07/\"]");
}

static void test_a_whole_bucket(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    make(world, &moving, "GLOBAL", "\n", "clicks/\nviews/\n");
    moving.record.modified_before_unix_ms = INT64_C(1552195800000);
    google_answer(world, "POST", 1, 200, "{}");
    move(world, &moving);
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
    assert_int_equal(condition_count(world, 0, "includePrefixes"), 0);
    expect_json(condition(world, 0, "excludePrefixes"), "[\"clicks/\",\"views/\"]");
    expect_json(condition(world, 0, "lastModifiedBefore"), "\"2019-03-10T05:30:00Z\"");
}

static void test_what_is_there_already(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    make(world, &moving, "DATASET", "d/\n", "");
    google_refuse(world, "POST", 1, 409, "ALREADY_EXISTS", "There is one.");
    move(world, &moving);
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
}

/* The number of a record comes again where the state was lost; its transfer job must not. */
static void test_names_of_other_records(void **state)
{
    struct google_world *world = *state;
    RC_STR_AUTO first = NULL;

    for (size_t i = 0; i < 4; i++) {
        MOVING_AUTO(moving);
        SDRS_JSON_AUTO body = NULL;

        make(world, &moving, "DATASET", i == 3 ? "e/\n" : "d/\n", "");
        moving.record.created_unix_ms = 1000 + (i == 1);
        free(moving.record.batch);
        moving.record.batch = rc_strdup(i == 2 ? "batch-2" : "batch-1");
        google_answer(world, "POST", 1, 200, "{}");
        move(world, &moving);
        body = google_asked_body(world, i);
        if (first)
            assert_string_not_equal(strrchr(sdrs_json_text(body, "name"), '-'), first);
        else
            first = rc_strdup(strrchr(sdrs_json_text(body, "name"), '-'));
    }
}

static void test_more_prefixes_than_a_job_takes(void **state)
{
    static const size_t counts[] = { 1000, 1000, 500 };
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    RC_STR_AUTO includes = numbered(2500);
    RC_CLEANUP(sts_parts_clear) struct sts_parts parts = { .items = NULL };
    struct rc_error err = RC_ERROR_INIT;
    size_t next = 0;

    make(world, &moving, "DATASET", includes, "p0999/x/\np1000/x/\np2499/x/\n");
    google_answer(world, "POST", 3, 200, "{}");
    move(world, &moving);
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
    expect_ok(sts_parts_read(moving.record.transfers, &parts, &err));
    assert_int_equal(parts.count, 3);
    for (size_t i = 0; i < 3; i++) {
        SDRS_JSON_AUTO body = google_asked_body(world, i);

        assert_string_equal(sdrs_json_text(body, "name"), parts.items[i].name);
        assert_int_equal(condition_count(world, i, "includePrefixes"), counts[i]);
        assert_int_equal(condition_count(world, i, "excludePrefixes"), 1);
        assert_int_equal(parts.items[i].first, next);
        assert_int_equal(parts.items[i].count, counts[i]);
        next += counts[i];
    }
    assert_string_not_equal(parts.items[0].name, parts.items[1].name);
}

/* An exclude is no use where its include is not, so fewer includes have fewer of them. */
static void test_more_excludes_than_a_job_takes(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    RC_BUF_AUTO(excludes, TEXT_BYTES);

    for (int i = 0; i < 1500; i++)
        rc_buf_addf(&excludes, "p%04d/%d/\n", i % 3, i / 3);
    make(world, &moving, "DATASET", "p0000/\np0001/\np0002/\n", excludes.data);
    google_answer(world, "POST", 3, 200, "{}");
    move(world, &moving);
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
    assert_int_equal(google_asked(world), 2);
    assert_int_equal(condition_count(world, 0, "includePrefixes"), 1);
    assert_int_equal(condition_count(world, 1, "excludePrefixes"), 1000);
}

static void test_more_excludes_than_can_be(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    RC_STR_AUTO excludes = numbered(1001);

    make(world, &moving, "DEFAULT", "\n", excludes);
    expect_error(world, &moving,
                 "'gs://events/' has more than 1000 prefixes that are to be left alone");
    assert_int_equal(google_asked(world), 0);
}

static void expect_refused(struct google_world *world, const char *prefix, const char *message)
{
    MOVING_AUTO(includes);
    MOVING_AUTO(excludes);

    make(world, &includes, "DATASET", prefix, "");
    expect_error(world, &includes, message);
    make(world, &excludes, "DEFAULT", "\n", prefix);
    expect_error(world, &excludes, message);
}

static void test_prefixes_that_are_none(void **state)
{
    struct google_world *world = *state;
    RC_BUF_AUTO(longest, TEXT_BYTES);

    for (int i = 0; i < SDRS_PREFIX_BYTES; i++)
        rc_buf_addc(&longest, 'x');
    rc_buf_adds(&longest, "x\n");
    expect_refused(world, "/d/\n", "is none for Storage Transfer Service");
    expect_refused(world, "d/\r/\n", "is none for Storage Transfer Service");
    expect_refused(world, "caf\xE9/\n", "is none for Storage Transfer Service");
    expect_refused(world, longest.data, "has more than the 1024 bytes");
    assert_int_equal(google_asked(world), 0);
}

static void test_what_the_service_does_not_move(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(elsewhere);
    MOVING_AUTO(nobody_s);

    make(world, &elsewhere, "DATASET", "d/\n", "");
    free(elsewhere.record.bucket);
    elsewhere.record.bucket = rc_strdup("s3://events/");
    expect_error(world, &elsewhere, "moves between gs:// buckets alone, not from 's3://events/'");
    make(world, &nobody_s, "DATASET", "d/\n", "");
    free(nobody_s.record.project);
    nobody_s.record.project = NULL;
    expect_error(world, &nobody_s, "needs a project for 'gs://events/'");
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

static void test_a_job_that_is_refused(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    RC_STR_AUTO includes = numbered(1500);

    make(world, &moving, "DATASET", includes, "");
    google_answer(world, "POST", 1, 200, "{}");
    google_refuse(world, "POST", 1, 403, "PERMISSION_DENIED", "No longer.");
    expect_error(world, &moving, "No longer.; grant roles/storagetransfer.user");
}

static void test_a_run_that_is_to_stop(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    struct rc_error err = RC_ERROR_INIT;

    make(world, &moving, "DATASET", "d/\n", "");
    rc_fake_host_fail_on(world->host, "http.call", NULL, 1, RC_CANCELLED);
    assert_int_equal(sdrs_move_sts(world->job, &moving.move, &err), RC_CANCELLED);
    assert_int_equal(moving.record.status, SDRS_JOB_RUNNING);
    rc_fake_host_set_remaining_ms(world->host, 0);
    assert_int_equal(sdrs_move_sts(world->job, &moving.move, &err), RC_TIMEOUT);
    assert_int_equal(moving.record.status, SDRS_JOB_RUNNING);
    rc_fake_host_set_remaining_ms(world->host, INT64_MAX);
}

/* That is not the record's fault. */
static void test_a_state_that_fails(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    struct rc_error err = RC_ERROR_INIT;

    make(world, &moving, "DATASET", "d/\n", "");
    rc_fake_host_fail_on(world->host, "db.exec", "UPDATE", 1, RC_FAILED);
    assert_int_equal(sdrs_move_sts(world->job, &moving.move, &err), RC_FAILED);
    expect_in(err.context, "keep which transfer jobs are asked for");
    assert_int_equal(google_asked(world), 0);
}

/* Whatever was asked for before the process died is in the record that it has left. */
static void test_a_process_that_dies(void **state)
{
    RC_STR_AUTO includes = numbered(2500);
    bool died = true;

    (void)state;
    for (int n = 1; died; n++) {
        struct google_world *world;
        MOVING_AUTO(moving);
        struct rc_error err = RC_ERROR_INIT;
        RC_CLEANUP(sdrs_record_clear) struct sdrs_record left = { .id = 0 };
        char *names[3];
        size_t count;

        (void)google_set_up((void **)&world);
        make(world, &moving, "DATASET", includes, "");
        google_answer(world, "POST", 3, 200, "{}");
        rc_fake_host_die_at(world->host, rc_fake_host_calls(world->host) + n, n % 2 == 0);
        died = sdrs_move_sts(world->job, &moving.move, &err) != RC_OK ||
               moving.record.status != SDRS_JOB_PENDING;
        assert_int_equal(died, rc_fake_host_is_dead(world->host));
        count = google_asked(world);
        for (size_t i = 0; i < count; i++) {
            SDRS_JSON_AUTO body = google_asked_body(world, i);

            names[i] = rc_strf("%s ", sdrs_json_text(body, "name"));
        }
        google_next_run(world);
        assert_true(find_running(world, &left));
        for (size_t i = 0; i < count; i++) {
            expect_in(left.transfers, names[i]);
            free(names[i]);
        }
        (void)google_tear_down((void **)&world);
    }
}

/* ---- what became of it ----------------------------------------------------------------------- */

static void validate(struct google_world *world, struct sdrs_record *record)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(sdrs_validate_sts(world->job, &world->config, &world->state, record, &err));
}

/* A record with the parts that 'transfers' has, of three prefixes. */
static void pend(struct google_world *world, struct moving *out, const char *transfers)
{
    make(world, out, "DATASET", "a/\nb/\nc/\n", "");
    out->record.transfers = rc_strdup(transfers);
    out->record.status = SDRS_JOB_PENDING;
}

static void answer_operations(struct google_world *world, const char *operations)
{
    RC_STR_AUTO body = rc_strf("{\"operations\":[%s]}", operations);

    google_answer(world, "/v1/transferOperations?", 1, 200, body);
}

#define DONE(name, start, status, counters, includes)                                              \
    "{\"name\":\"transferOperations/" name "\",\"done\":true,\"response\":{},\"metadata\":{"       \
    "\"startTime\":\"" start "\",\"status\":\"" status "\",\"counters\":{" counters "},"           \
    "\"transferSpec\":{\"objectConditions\":{\"includePrefixes\":[" includes "]}}}}"
#define MOVED(objects, bytes)                                                                      \
    "\"objectsDeletedFromSource\":\"" objects "\",\"bytesDeletedFromSource\":\"" bytes "\""
#define ALL "\"a/\",\"b/\",\"c/\""
#define STARTED "2026-01-15T12:00:00Z"
#define POOLED "transferJobs/18 1768478400000 0 3 pools\n"
#define EARLIER "2026-01-15T11:59:59Z"
#define LATER "2026-01-15T18:00:00Z"

static void expect_record(const struct sdrs_record *record, enum sdrs_job_status status,
                          int64_t objects, int64_t bytes, int64_t failed)
{
    if (record->status != status)
        fail_msg("%s, not %s: %s", sdrs_job_status_name(record->status),
                 sdrs_job_status_name(status), record->message);
    assert_int_equal(record->objects, objects);
    assert_int_equal(record->bytes, bytes);
    assert_int_equal(record->failed, failed);
}

static void test_all_parts_are_done(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    pend(world, &moving, "transferJobs/1 0 0 2 p\ntransferJobs/2 0 2 1 p\n");
    answer_operations(world, DONE("1", STARTED, "SUCCESS", MOVED("5", "50"), "\"a/\",\"b/\""));
    answer_operations(world, DONE("2", STARTED, "SUCCESS", MOVED("7", "70"), "\"c/\""));
    validate(world, &moving.record);
    expect_record(&moving.record, SDRS_JOB_SUCCESS, 12, 120, 0);
    assert_null(moving.record.message);
    assert_int_equal(google_asked(world), 2);
}

static void test_a_part_runs(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    pend(world, &moving, "transferJobs/1 0 0 2 p\ntransferJobs/2 0 2 1 p\n");
    answer_operations(
        world, DONE("1", STARTED, "FAILED", "\"objectsFromSourceFailed\":\"3\"", "\"a/\",\"b/\""));
    answer_operations(world, "{\"name\":\"transferOperations/2\",\"metadata\":{\"status\":"
                             "\"IN_PROGRESS\",\"startTime\":\"" STARTED "\"}}");
    validate(world, &moving.record);
    expect_record(&moving.record, SDRS_JOB_PENDING, 0, 0, 3);
    expect_in(moving.record.message, "the operation 'transferOperations/2' runs");
}

static void test_a_part_failed(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    pend(world, &moving, "transferJobs/1 0 0 2 p\ntransferJobs/2 0 2 1 p\n");
    answer_operations(world,
                      DONE("1", STARTED, "FAILED",
                           MOVED("1", "10") ",\"objectsFromSourceFailed\":\"3\"", "\"a/\",\"b/\""));
    answer_operations(world, DONE("2", STARTED, "SUCCESS", MOVED("7", "70"), "\"c/\""));
    validate(world, &moving.record);
    expect_record(&moving.record, SDRS_JOB_ERROR, 8, 80, 3);
    expect_in(moving.record.message, "the operation 'transferOperations/1' failed: FAILED");
}

/* Nothing is listed yet: what the job says decides. */
static void test_no_operation_yet(void **state)
{
    static const struct {
        const char *job;
        enum sdrs_job_status status;
        const char *message;
    } cases[] = {
        { "{\"status\":\"ENABLED\"}", SDRS_JOB_PENDING, "has not begun to run" },
        { "{\"status\":\"ENABLED\",\"transferSpec\":{\"objectConditions\":{\"includePrefixes\":["
          "\"a/\",\"b/\",\"c/\",\"d/\"]}}}",
          SDRS_JOB_PENDING, "has not begun to run" },
        { "{\"status\":\"ENABLED\",\"transferSpec\":{\"objectConditions\":{\"includePrefixes\":["
          "\"a/\",\"b/\",\"d/\"]}}}",
          SDRS_JOB_ERROR, "was changed before it ran" },
        { "{\"status\":\"DISABLED\"}", SDRS_JOB_ERROR, "is DISABLED and has not run" },
        { "{\"status\":\"DELETED\"}", SDRS_JOB_ERROR, "is DELETED and has not run" },
    };
    struct google_world *world = *state;
    MOVING_AUTO(gone);

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        MOVING_AUTO(moving);

        pend(world, &moving, "transferJobs/1 0 0 3 p\n");
        google_answer(world, "/v1/transferOperations?", 1, 200, "{}");
        google_answer(world, "/v1/transferJobs/1?", 1, 200, cases[i].job);
        validate(world, &moving.record);
        expect_record(&moving.record, cases[i].status, 0, 0, 0);
        expect_in(moving.record.message, cases[i].message);
    }
    pend(world, &gone, "transferJobs/1 0 0 3 p\n");
    google_answer(world, "/v1/transferOperations?", 1, 200, "{}");
    google_refuse(world, "/v1/transferJobs/1?", 1, 404, "NOT_FOUND", "Gone.");
    validate(world, &gone.record);
    expect_record(&gone.record, SDRS_JOB_ERROR, 0, 0, 0);
    expect_in(gone.record.message, "was never made, or is gone");
}

/* The listing is behind what the job knows. */
static void test_an_operation_that_is_not_listed(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    MOVING_AUTO(earlier);
    MOVING_AUTO(other);

    pend(world, &moving, "transferJobs/1 0 0 3 p\n");
    google_answer(world, "/v1/transferOperations?", 1, 200, "{}");
    answer_job(world, "transferJobs/1", "DISABLED", STARTED, "transferOperations/1", "{}");
    google_answer(world, "/v1/transferOperations/1", 1, 200,
                  DONE("1", STARTED, "SUCCESS", MOVED("5", "50"), ALL));
    validate(world, &moving.record);
    expect_record(&moving.record, SDRS_JOB_SUCCESS, 5, 50, 0);
    /* One from before the job was told is none, ... */
    pend(world, &earlier, POOLED);
    google_answer(world, "/v1/transferOperations?", 1, 200, "{}");
    answer_job(world, "transferJobs/18", "ENABLED", STARTED, "transferOperations/1", "{}");
    answer_operation(world, EARLIER, "[" ALL "]");
    validate(world, &earlier.record);
    expect_record(&earlier.record, SDRS_JOB_PENDING, 0, 0, 0);
    /* ... nor is one that was not told. */
    pend(world, &other, "transferJobs/1 0 0 3 p\n");
    google_answer(world, "/v1/transferOperations?", 1, 200, "{}");
    answer_job(world, "transferJobs/1", "ENABLED", STARTED, "transferOperations/1", "{}");
    answer_operation(world, STARTED, "[\"a/\"]");
    validate(world, &other.record);
    expect_record(&other.record, SDRS_JOB_PENDING, 0, 0, 0);
}

static void test_a_record_without_parts(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    make(world, &moving, "DATASET", "a/\n", "");
    validate(world, &moving.record);
    expect_record(&moving.record, SDRS_JOB_ERROR, 0, 0, 0);
    expect_in(moving.record.message, "the run ended before it asked for a transfer job");
}

static void test_what_cannot_be_found_out(void **state)
{
    static const char *const corrupt[] = {
        "transferJobs/1\n",
        "transferJobs/1 0 0\n",
        "transferJobs/1 x 0 1 p\n",
        "transferJobs/1 0 -1 1 p\n",
        "transferJobs/1 0 2 2 p\n",
        "transferJobs/1 0 4 0 p\n",
        "\n",
    };
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    struct rc_error err = RC_ERROR_INIT;

    pend(world, &moving, "transferJobs/1 0 0 3 p\n");
    google_refuse(world, NULL, 1, 503, "UNAVAILABLE", "Later.");
    assert_int_equal(
        sdrs_validate_sts(world->job, &world->config, &world->state, &moving.record, &err),
        RC_UNAVAILABLE);
    expect_record(&moving.record, SDRS_JOB_PENDING, 0, 0, 0);
    expect_in(err.context, "validate the job 1 of 'gs://events/'");
    for (size_t i = 0; i < RC_ARRAY_LEN(corrupt); i++) {
        MOVING_AUTO(other);

        pend(world, &other, corrupt[i]);
        assert_int_equal(
            sdrs_validate_sts(world->job, &world->config, &world->state, &other.record, &err),
            RC_CORRUPT);
    }
}

/* It runs every day: the run that counts is the first since it was told. */
static void test_a_job_of_the_pool(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    pend(world, &moving, POOLED);
    answer_operations(world, DONE("3", "2026-01-16T18:00:00Z", "FAILED", "", ALL) "," DONE(
                                 "2", LATER, "SUCCESS", MOVED("9", "90"),
                                 ALL ",\"x/\"") "," DONE("1", EARLIER, "FAILED", "", ALL));
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T12:00:00Z", "transferOperations/1",
               "{\"includePrefixes\":[" ALL ",\"x/\"]}");
    answer_operation(world, LATER, "[" ALL ",\"x/\"]");
    google_answer(world, "PATCH", 1, 200, "{}");
    validate(world, &moving.record);
    expect_record(&moving.record, SDRS_JOB_SUCCESS, 9, 90, 0);
    expect_in(moving.record.message,
              "the counts are those of the whole operation 'transferOperations/2'");
    /* And it rests, as it would move once more what somebody brings back. */
    expect_json(google_asked_body(world, google_asked(world) - 1),
                "{\"projectId\":\"pools\",\"updateTransferJobFieldMask\":\"status\","
                "\"transferJob\":{\"status\":\"DISABLED\"}}");
}

static void test_a_job_of_the_pool_that_has_more_to_do(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    pend(world, &moving, POOLED);
    answer_operations(world, DONE("2", LATER, "SUCCESS", MOVED("9", "90"), ALL));
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T20:00:00Z", "transferOperations/1",
               "{\"includePrefixes\":[\"x/\"]}");
    answer_operation(world, LATER, "[" ALL "]");
    validate(world, &moving.record);
    expect_record(&moving.record, SDRS_JOB_SUCCESS, 9, 90, 0);
    assert_null(moving.record.message);
    assert_int_equal(google_count(world, "PATCH"), 0);
}

static void test_a_job_of_the_pool_that_cannot_rest(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    pend(world, &moving, POOLED);
    answer_operations(world, DONE("2", LATER, "SUCCESS", MOVED("9", "90"), ALL));
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T12:00:00Z", "transferOperations/1",
               "{\"includePrefixes\":[" ALL "]}");
    answer_operation(world, LATER, "[" ALL "]");
    google_refuse(world, "PATCH", 1, 403, "PERMISSION_DENIED", "Not you.");
    validate(world, &moving.record);
    expect_record(&moving.record, SDRS_JOB_SUCCESS, 9, 90, 0);
    expect_in(rc_fake_host_log(world->host), "cannot be disabled: Storage Transfer Service "
                                             "answered with the status 403 PERMISSION_DENIED: Not "
                                             "you.");
}

/* An operation from before the record, or that was told less, is none of this record's. */
static void test_operations_of_others(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    pend(world, &moving, POOLED);
    answer_operations(world, DONE("2", LATER, "SUCCESS", "",
                                  "\"a/\",\"b/\"") "," DONE("1", EARLIER, "SUCCESS", "", ALL));
    answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T12:00:00Z", "",
               "{\"includePrefixes\":[" ALL "]}");
    validate(world, &moving.record);
    expect_record(&moving.record, SDRS_JOB_PENDING, 0, 0, 0);
}

/* ---- every call ------------------------------------------------------------------------------ */

/* What fails is the record's error or the run's, and leaves nothing open. */
static void test_each_call_fails_once(void **state)
{
    RC_STR_AUTO includes = numbered(1500);
    bool failed = true;

    (void)state;
    for (int n = 1; failed; n++) {
        struct google_world *world;
        MOVING_AUTO(moving);
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code;

        (void)google_set_up((void **)&world);
        make(world, &moving, "DATASET", includes, "");
        google_answer(world, "POST", 2, 200, "{}");
        rc_fake_host_fail_at(world->host, n, RC_UNAVAILABLE);
        code = sdrs_move_sts(world->job, &moving.move, &err);
        failed = code || moving.record.status == SDRS_JOB_ERROR;
        if (!code)
            assert_int_equal(moving.record.message != NULL, failed);
        else
            assert_true(*err.context != '\0');
        if (!failed)
            assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
        assert_true(n < 100);
        (void)google_tear_down((void **)&world);
    }
}

static void test_each_call_of_a_validation_fails_once(void **state)
{
    bool failed = true;

    (void)state;
    for (int n = 1; failed; n++) {
        struct google_world *world;
        MOVING_AUTO(moving);
        struct rc_error err = RC_ERROR_INIT;

        (void)google_set_up((void **)&world);
        pend(world, &moving, POOLED);
        answer_operations(world, DONE("2", LATER, "SUCCESS", MOVED("9", "90"), ALL));
        answer_job(world, "transferJobs/18", "ENABLED", "2026-01-15T12:00:00Z",
                   "transferOperations/1", "{\"includePrefixes\":[" ALL "]}");
        answer_operation(world, LATER, "[" ALL "]");
        google_answer(world, "PATCH", 1, 200, "{}");
        rc_fake_host_fail_at(world->host, n, RC_UNAVAILABLE);
        if (sdrs_validate_sts(world->job, &world->config, &world->state, &moving.record, &err))
            expect_record(&moving.record, SDRS_JOB_PENDING, 0, 0, 0);
        else
            expect_record(&moving.record, SDRS_JOB_SUCCESS, 9, 90, 0);
        failed = google_count(world, "PATCH") == 0;
        assert_true(n < 100);
        (void)google_tear_down((void **)&world);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, google_set_up, google_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_one_job),
        TEST(test_a_whole_bucket),
        TEST(test_what_is_there_already),
        TEST(test_names_of_other_records),
        TEST(test_more_prefixes_than_a_job_takes),
        TEST(test_more_excludes_than_a_job_takes),
        TEST(test_more_excludes_than_can_be),
        TEST(test_prefixes_that_are_none),
        TEST(test_what_the_service_does_not_move),
        TEST(test_a_job_that_is_refused),
        TEST(test_a_run_that_is_to_stop),
        TEST(test_a_state_that_fails),
        cmocka_unit_test(test_a_process_that_dies),
        TEST(test_all_parts_are_done),
        TEST(test_a_part_runs),
        TEST(test_a_part_failed),
        TEST(test_no_operation_yet),
        TEST(test_an_operation_that_is_not_listed),
        TEST(test_a_record_without_parts),
        TEST(test_what_cannot_be_found_out),
        TEST(test_a_job_of_the_pool),
        TEST(test_a_job_of_the_pool_that_has_more_to_do),
        TEST(test_a_job_of_the_pool_that_cannot_rest),
        TEST(test_operations_of_others),
        cmocka_unit_test(test_each_call_fails_once),
        cmocka_unit_test(test_each_call_of_a_validation_fails_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
