/*
 * Executions, jobs, delete markers and the pool in the state: what they hold, and the way they go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state/executions.h"
#include "state/jobs.h"
#include "state/markers.h"
#include "state/pool.h"
#include "state_world.h"

#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)
#define ODD "gs://b/\xff\n'\"" /* bytes that are no UTF-8 */

/* ---- executions ------------------------------------------------------------------------------ */

static const char *add_execution(struct state_world *world, const char *type)
{
    static char id[SDRS_UUID_TEXT];
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_execution_clear) struct sdrs_execution execution = { .type = rc_strdup(type) };

    expect_ok(sdrs_executions_add(&world->state, &execution, &err));
    (void)snprintf(id, sizeof(id), "%s", execution.id);
    return id;
}

static void test_an_execution_is_found_as_it_is(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_execution_clear)
    struct sdrs_execution made = {
        .batch = rc_strdup("batch"),
        .type = rc_strdup("POLICY"),
        .target = rc_strdup(ODD),
        .project = rc_strdup("p"),
        .rule = 7,
        .user = rc_strdup("ann"),
    };
    struct sdrs_execution found;

    expect_ok(sdrs_executions_add(&world->state, &made, &err));
    expect_ok(sdrs_executions_find(&world->state, made.id, &found, &err));
    assert_string_equal(found.id, made.id);
    assert_string_equal(found.batch, "batch");
    assert_string_equal(found.type, "POLICY");
    assert_string_equal(found.target, ODD);
    assert_string_equal(found.project, "p");
    assert_int_equal(found.rule, 7);
    assert_string_equal(found.user, "ann");
    assert_null(found.run);
    assert_null(found.message);
    assert_int_equal(found.status, SDRS_EXECUTION_RECEIVED);
    assert_int_equal(found.created_unix_ms, made.created_unix_ms);
    sdrs_execution_clear(&found);

    state_wait(world, HOUR_MS);
    expect_ok(sdrs_executions_set(&world->state, made.id, SDRS_EXECUTION_ERROR, "run", ODD, &err));
    expect_ok(
        sdrs_executions_set(&world->state, made.id, SDRS_EXECUTION_SUCCESS, NULL, NULL, &err));
    expect_ok(sdrs_executions_find(&world->state, made.id, &found, &err));
    assert_int_equal(found.status, SDRS_EXECUTION_SUCCESS);
    assert_string_equal(found.run, "run");
    assert_string_equal(found.message, ODD);
    assert_true(found.changed_unix_ms >= world->job->now_unix_ms);
    sdrs_execution_clear(&found);

    expect_failure(sdrs_executions_find(&world->state, "x", &found, &err), RC_NOT_FOUND,
                   "No execution exists with ID: x");
    expect_failure(sdrs_executions_set(&world->state, "x", SDRS_EXECUTION_ERROR, NULL, NULL, &err),
                   RC_NOT_FOUND, "No execution exists with ID: x");
}

static size_t lost(struct state_world *world, int64_t before_unix_ms, char first[SDRS_UUID_TEXT])
{
    struct rc_error err = RC_ERROR_INIT;
    char **ids;
    size_t count;

    expect_ok(sdrs_executions_lost(&world->state, before_unix_ms, &ids, &count, &err));
    first[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (i == 0)
            (void)snprintf(first, SDRS_UUID_TEXT, "%s", ids[i]);
        free(ids[i]);
    }
    free(ids);
    return count;
}

static void test_an_execution_is_begun_once_and_not_lost(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    char one[SDRS_UUID_TEXT], two[SDRS_UUID_TEXT], first[SDRS_UUID_TEXT];
    int64_t begin_unix_ms = world->job->now_unix_ms, forgotten;
    bool ours;

    (void)snprintf(one, sizeof(one), "%s", add_execution(world, "POLICY"));
    state_wait(world, HOUR_MS);
    (void)snprintf(two, sizeof(two), "%s", add_execution(world, "POLICY"));
    (void)add_execution(world, "USER");
    assert_string_not_equal(one, two);
    assert_int_equal(lost(world, begin_unix_ms, first), 0);
    assert_int_equal(lost(world, begin_unix_ms + HOUR_MS, first), 1);
    assert_string_equal(first, one);
    state_wait(world, HOUR_MS);
    assert_int_equal(lost(world, world->job->now_unix_ms, first), 2);
    assert_string_equal(first, one);

    expect_ok(sdrs_executions_begin(&world->state, one, "run-1", &ours, &err));
    assert_true(ours);
    expect_ok(sdrs_executions_begin(&world->state, one, "run-2", &ours, &err));
    assert_false(ours);
    expect_ok(sdrs_executions_begin(&world->state, "none", "run-2", &ours, &err));
    assert_false(ours);
    assert_int_equal(lost(world, world->job->now_unix_ms, first), 1);
    assert_string_equal(first, two);
    /* One that is under way is among them when it began before. */
    state_wait(world, HOUR_MS);
    assert_int_equal(lost(world, world->job->now_unix_ms, first), 2);

    expect_ok(sdrs_executions_set(&world->state, one, SDRS_EXECUTION_SUCCESS, NULL, NULL, &err));
    state_wait(world, HOUR_MS);
    expect_ok(sdrs_executions_forget(&world->state, world->job->now_unix_ms, &forgotten, &err));
    assert_int_equal(forgotten, 1);
    assert_int_equal(state_number(world, "SELECT count(*) FROM executions"), 2);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static int64_t add_job(struct state_world *world, const char *bucket, int64_t rule,
                       enum sdrs_job_status status)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_record_clear)
    struct sdrs_record record = {
        .execution = rc_strdup("e"),
        .batch = rc_strdup("batch"),
        .type = rc_strdup("DATASET"),
        .rule = rule,
        .rule_version = 3,
        .project = rc_strdup("p"),
        .bucket = rc_strdup(bucket),
        .shadow = rc_strdup(ODD),
        .prefixes = rc_strdup(ODD),
        .excludes = rc_strdup(""),
        .modified_before_unix_ms = 5,
        .mover = SDRS_MOVER_STS,
        .status = status,
    };

    expect_ok(sdrs_jobs_add(&world->state, &record, &err));
    assert_true(record.created_unix_ms >= world->job->now_unix_ms);
    return record.id;
}

/* The ids of the jobs that a query gives: "1 2 ". */
static const char *jobs(struct state_world *world, const struct sdrs_jobs_query *query)
{
    static char text[200];
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_records_clear) struct sdrs_records records = { 0 };
    size_t len = 0;

    expect_ok(sdrs_jobs_list(&world->state, query, &records, &err));
    text[0] = '\0';
    for (size_t i = 0; i < records.count; i++)
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, "%" PRId64 " ", records.items[i].id);
    return text;
}

static void test_a_job_is_found_as_it_is(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    const struct sdrs_jobs_query all = { 0 };
    RC_CLEANUP(sdrs_records_clear) struct sdrs_records records = { 0 };
    struct sdrs_record *record;

    add_job(world, "gs://b/", 7, SDRS_JOB_RUNNING);
    expect_ok(sdrs_jobs_list(&world->state, &all, &records, &err));
    assert_int_equal(records.count, 1);
    record = &records.items[0];
    assert_int_equal(record->id, 1);
    assert_string_equal(record->execution, "e");
    assert_string_equal(record->batch, "batch");
    assert_string_equal(record->type, "DATASET");
    assert_int_equal(record->rule, 7);
    assert_int_equal(record->rule_version, 3);
    assert_string_equal(record->project, "p");
    assert_string_equal(record->bucket, "gs://b/");
    assert_string_equal(record->shadow, ODD);
    assert_string_equal(record->prefixes, ODD);
    assert_string_equal(record->excludes, "");
    assert_int_equal(record->modified_before_unix_ms, 5);
    assert_int_equal(record->mover, SDRS_MOVER_STS);
    assert_int_equal(record->status, SDRS_JOB_RUNNING);
    assert_null(record->transfers);
    assert_null(record->message);

    record->status = SDRS_JOB_PENDING;
    record->transfers = rc_strdup("t 1\n");
    record->objects = INT64_C(1) << 40;
    record->bytes = INT64_MAX;
    record->failed = 2;
    record->message = rc_strdup(ODD);
    state_wait(world, HOUR_MS);
    expect_ok(sdrs_jobs_keep(&world->state, record, &err));
    sdrs_records_clear(&records);
    expect_ok(sdrs_jobs_list(&world->state, &all, &records, &err));
    record = &records.items[0];
    assert_int_equal(record->status, SDRS_JOB_PENDING);
    assert_string_equal(record->transfers, "t 1\n");
    assert_int_equal(record->objects, INT64_C(1) << 40);
    assert_int_equal(record->bytes, INT64_MAX);
    assert_int_equal(record->failed, 2);
    assert_string_equal(record->message, ODD);
    assert_true(record->changed_unix_ms > record->created_unix_ms);
    record->id = 99;
    expect_failure(sdrs_jobs_keep(&world->state, record, &err), RC_NOT_FOUND,
                   "No job exists with ID: 99");
}

static void test_jobs_are_narrowed_down(void **state)
{
    struct state_world *world = *state;

    add_job(world, "gs://b/", 1, SDRS_JOB_SUCCESS);
    add_job(world, "gs://b/", 2, SDRS_JOB_RUNNING);
    add_job(world, "gs://c/", 2, SDRS_JOB_PENDING);
    add_job(world, "gs://c/", 1, SDRS_JOB_ERROR);
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ 0 }), "1 2 3 4 ");
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ .bucket = "gs://b/" }), "1 2 ");
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ .rule = 2 }), "2 3 ");
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ .statuses = "running,pending" }),
                        "2 3 ");
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ .statuses = "error" }), "4 ");
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ .statuses = "err,,') OR 1 = 1" }),
                        "");
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ .batch = "batch", .after = 1 }),
                        "2 3 4 ");
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ .execution = "e", .limit = 2 }),
                        "1 2 ");
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ .execution = "x" }), "");
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ .execution = "e",
                                                               .batch = "batch",
                                                               .bucket = "gs://c/",
                                                               .rule = 2,
                                                               .statuses = "pending",
                                                               .after = 2,
                                                               .limit = 5 }),
                        "3 ");
}

static void test_ended_jobs_are_forgotten(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    int64_t forgotten;

    for (int status = SDRS_JOB_RUNNING; status <= SDRS_JOB_ERROR; status++)
        add_job(world, "gs://b/", 1, (enum sdrs_job_status)status);
    expect_ok(sdrs_jobs_forget(&world->state, world->job->now_unix_ms, &forgotten, &err));
    assert_int_equal(forgotten, 0);
    state_wait(world, HOUR_MS);
    expect_ok(sdrs_jobs_forget(&world->state, world->job->now_unix_ms, &forgotten, &err));
    assert_int_equal(forgotten, 2);
    assert_string_equal(jobs(world, &(struct sdrs_jobs_query){ 0 }), "1 2 ");
    /* A number is never given out twice. */
    assert_int_equal(add_job(world, "gs://b/", 1, SDRS_JOB_RUNNING), 5);
}

/* ---- delete markers -------------------------------------------------------------------------- */

static int64_t add_marker(struct state_world *world, const char *project, const char *folder)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_marker_clear)
    struct sdrs_marker marker = {
        .project = rc_strdup(project),
        .target = rc_strf("gs://b/%s", folder),
        .bucket = rc_strdup("gs://b/"),
        .prefix = rc_strf("%s/", folder),
        .execution = rc_strdup("e"),
        .batch = rc_strdup("batch"),
        .user = rc_strdup("ann"),
    };

    if (sdrs_markers_add(&world->state, &marker, &err)) {
        RC_STR_AUTO text =
            rc_strf("The target gs://b/%s for project %s already exist.", folder, project);

        assert_int_equal(err.code, RC_CONFLICT);
        assert_string_equal(err.cause, text);
        assert_string_equal(err.context, "");
        return 0;
    }
    assert_int_equal(marker.status, SDRS_MARKER_PENDING);
    return marker.id;
}

/* Those that are due, in their order: "PREFIX status retries, ". */
static const char *due(struct state_world *world)
{
    static char text[500];
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_markers_clear) struct sdrs_markers markers = { 0 };
    size_t len = 0;

    expect_ok(sdrs_markers_due(&world->state, world->job->now_unix_ms, &markers, &err));
    text[0] = '\0';
    for (size_t i = 0; i < markers.count; i++)
        len += (size_t)snprintf(
            text + len, sizeof(text) - len, "%s %s %" PRId64 ", ", markers.items[i].prefix,
            sdrs_marker_status_name(markers.items[i].status), markers.items[i].retries);
    return text;
}

/* Gives all that are due to a job, which then ends so. */
static void process(struct state_world *world, int64_t job, bool success)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_markers_clear) struct sdrs_markers markers = { 0 };

    expect_ok(sdrs_markers_due(&world->state, world->job->now_unix_ms, &markers, &err));
    expect_ok(sdrs_markers_schedule(&world->state, &markers, job, &err));
    assert_string_equal(due(world), "");
    expect_ok(sdrs_markers_settle(&world->state, job, success, 2, "it " ODD, &err));
}

static void test_a_target_is_in_the_queue_once(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_markers_clear) struct sdrs_markers markers = { 0 };

    assert_int_equal(add_marker(world, "p", "d/1"), 1);
    assert_int_equal(add_marker(world, "p", "d/1"), 0);
    assert_int_equal(add_marker(world, "q", "d/1"), 2);
    assert_int_equal(add_marker(world, "p", "d/2"), 3);
    /* Scheduled, and to be retried, it is in the queue still. */
    expect_ok(sdrs_markers_due(&world->state, world->job->now_unix_ms, &markers, &err));
    expect_ok(sdrs_markers_schedule(&world->state, &markers, 5, &err));
    assert_int_equal(add_marker(world, "p", "d/1"), 0);
    expect_ok(sdrs_markers_settle(&world->state, 5, false, 9, "why", &err));
    assert_int_equal(add_marker(world, "p", "d/1"), 0);
    process(world, 6, true);
    assert_int_equal(add_marker(world, "p", "d/1"), 4);
}

static void test_a_marker_goes_its_way(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_markers_clear) struct sdrs_markers markers = { 0 };
    int64_t forgotten;

    add_marker(world, "p", "good");
    process(world, 1, true);
    add_marker(world, "p", "bad");
    process(world, 2, false);
    assert_string_equal(due(world), "bad/ retry 0, ");
    process(world, 3, false);
    assert_string_equal(due(world), "bad/ retry 1, ");
    process(world, 4, false);
    assert_string_equal(due(world), ""); /* two retries, and no more */

    expect_ok(sdrs_markers_of(&world->state, 4, NULL, &markers, &err));
    assert_int_equal(markers.count, 1);
    assert_int_equal(markers.items[0].status, SDRS_MARKER_FAIL);
    assert_int_equal(markers.items[0].retries, 2);
    assert_string_equal(markers.items[0].message, "it " ODD);
    assert_string_equal(markers.items[0].target, "gs://b/bad");
    assert_string_equal(markers.items[0].bucket, "gs://b/");
    assert_string_equal(markers.items[0].user, "ann");
    assert_string_equal(markers.items[0].batch, "batch");
    sdrs_markers_clear(&markers);
    expect_ok(sdrs_markers_of(&world->state, 0, "e", &markers, &err));
    assert_int_equal(markers.count, 2);
    assert_int_equal(markers.items[0].status, SDRS_MARKER_SUCCESS);
    assert_null(markers.items[0].message);
    /* What is settled stays so. */
    expect_ok(sdrs_markers_settle(&world->state, 4, true, 2, NULL, &err));
    assert_int_equal(state_number(world, "SELECT count(*) FROM markers WHERE status = 'fail'"), 1);
    expect_failure(sdrs_markers_schedule(&world->state, &markers, 5, &err), RC_CONFLICT,
                   "the delete marker of 'gs://b/good' waits no longer: another run took it");

    add_marker(world, "p", "new");
    state_wait(world, HOUR_MS);
    expect_ok(sdrs_markers_forget(&world->state, world->job->now_unix_ms, &forgotten, &err));
    assert_int_equal(forgotten, 2);
    assert_string_equal(due(world), "new/ pending 0, ");
}

static void test_scheduling_is_all_or_nothing(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_markers_clear) struct sdrs_markers markers = { 0 };

    add_marker(world, "p", "1");
    add_marker(world, "p", "2");
    expect_ok(sdrs_markers_due(&world->state, world->job->now_unix_ms, &markers, &err));
    state_change(world, "UPDATE markers SET status = 'scheduled', job = 8 WHERE id = 2");
    assert_int_equal(sdrs_markers_schedule(&world->state, &markers, 9, &err), RC_CONFLICT);
    assert_string_equal(due(world), "1/ pending 0, ");
    sdrs_markers_clear(&markers);
    expect_ok(sdrs_markers_scheduled(&world->state, &markers, &err));
    assert_int_equal(markers.count, 1);
    assert_int_equal(markers.items[0].job, 8);
}

static void test_a_marker_that_is_given_up(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;

    int64_t id = add_marker(world, "p", "d");
    expect_ok(sdrs_markers_give_up(&world->state, id, &err));
    assert_string_equal(due(world), "d/ pending 0, ");
    process(world, 1, false);
    expect_ok(sdrs_markers_give_up(&world->state, id, &err));
    assert_string_equal(due(world), "");
    assert_int_equal(state_number(world, "SELECT count(*) FROM markers WHERE status = 'fail'"
                                         " AND message IS NOT NULL"),
                     1);
}

static void test_who_waits_longer_comes_first(void **state)
{
    struct state_world *world = *state;

    add_marker(world, "p", "a");
    state_wait(world, 6 * HOUR_MS);
    add_marker(world, "p", "b");
    add_marker(world, "p", "c");
    assert_string_equal(due(world), "a/ pending 0, b/ pending 0, c/ pending 0, ");
    /* A retry counts as six hours, and goes before as many hours. */
    state_change(world, "UPDATE markers SET status = 'retry', retries = 1 WHERE id = 3");
    assert_string_equal(due(world), "c/ retry 1, a/ pending 0, b/ pending 0, ");
    state_wait(world, 6 * HOUR_MS);
    assert_string_equal(due(world), "c/ retry 1, a/ pending 0, b/ pending 0, ");
    /* After a day waiting counts no more. */
    state_wait(world, 12 * HOUR_MS);
    assert_string_equal(due(world), "c/ retry 1, a/ pending 0, b/ pending 0, ");
    state_change(world, "UPDATE markers SET retries = 0, status = 'pending' WHERE id = 3");
    assert_string_equal(due(world), "a/ pending 0, b/ pending 0, c/ pending 0, ");
}

static void test_the_priority_ages(void **state)
{
    struct sdrs_marker marker = { .retries = 2, .created_unix_ms = 1000 };

    (void)state;
    assert_int_equal(sdrs_marker_priority(&marker, 1000), 2);
    assert_int_equal(sdrs_marker_priority(&marker, 1000 - HOUR_MS * 100), 2);
    assert_int_equal(sdrs_marker_priority(&marker, 999 + 6 * HOUR_MS), 2);
    assert_int_equal(sdrs_marker_priority(&marker, 1000 + 6 * HOUR_MS), 3);
    assert_int_equal(sdrs_marker_priority(&marker, 1000 + 24 * HOUR_MS), 6);
    assert_int_equal(sdrs_marker_priority(&marker, 1000 + 2400 * HOUR_MS), 6);
}

/* ---- the pool -------------------------------------------------------------------------------- */

static enum rc_code add_pool(struct state_world *world, const char *bucket, const char *const *jobs,
                             struct rc_error *err)
{
    struct sdrs_pool_job items[4] = { 0 };
    struct sdrs_pool pool = { items, 0 };
    enum rc_code code;

    for (; *jobs; jobs += 3, pool.count++) {
        struct sdrs_pool_job *job = &items[pool.count];

        job->name = rc_strdup(jobs[0]);
        job->schedule = rc_strdup(jobs[1]);
        job->type = rc_strdup(jobs[2]);
        job->project = rc_strdup("p");
        job->target_bucket = rc_strdup("bshadow");
        job->status = rc_strdup("enabled");
    }
    code = sdrs_pool_add(&world->state, bucket, "p", &pool, err);
    if (!code)
        assert_true(pool.count == 0 || (items[0].id > 0 && items[0].created_unix_ms > 0));
    for (size_t i = 0; i < pool.count; i++)
        sdrs_pool_job_clear(&items[i]);
    return code;
}

static const char *pool_of(struct state_world *world, const char *bucket, const char *type)
{
    static char text[500];
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_pool_clear) struct sdrs_pool pool = { 0 };
    size_t len = 0;

    expect_ok(sdrs_pool_find(&world->state, bucket, "p", type, &pool, &err));
    text[0] = '\0';
    for (size_t i = 0; i < pool.count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s@%s ", pool.items[i].name,
                                pool.items[i].schedule);
    return text;
}

static void test_a_pool_is_added_whole_or_not(void **state)
{
    static const char taken[] = "Job pool already exists or jobs in use";
    static const char *const jobs[] = { "j2",      "12:00:00", "Dataset",  "j1",   "06:00:00",
                                        "dataset", "j3",       "00:30:00", "user", NULL };
    static const char *const one[] = { "j9", "01:00:00", "user", NULL };
    static const char *const used[] = { "k1", "01:00:00", "user", "j3", "01:00:00", "user", NULL };
    static const char *const twice[] = { "k1", "01:00:00", "user", "k1", "02:00:00", "user", NULL };
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_pool_clear) struct sdrs_pool pool = { 0 };
    int64_t deleted;

    expect_ok(add_pool(world, "b", jobs, &err));
    expect_failure(add_pool(world, "b", one, &err), RC_CONFLICT, taken);
    expect_failure(add_pool(world, "c", used, &err), RC_CONFLICT, taken);
    expect_failure(add_pool(world, "c", twice, &err), RC_CONFLICT, taken);
    assert_string_equal(err.context, "");
    assert_string_equal(pool_of(world, "c", NULL), "");
    assert_string_equal(pool_of(world, "b", NULL), "j3@00:30:00 j1@06:00:00 j2@12:00:00 ");
    assert_string_equal(pool_of(world, "b", "DATASET"), "j1@06:00:00 j2@12:00:00 ");
    assert_string_equal(pool_of(world, "b", "default"), "");
    expect_ok(sdrs_pool_find(&world->state, "b", "p", "user", &pool, &err));
    assert_string_equal(pool.items[0].source_bucket, "b");
    assert_string_equal(pool.items[0].source_project, "p");
    assert_string_equal(pool.items[0].target_bucket, "bshadow");
    assert_null(pool.items[0].target_project);
    assert_string_equal(pool.items[0].status, "enabled");
    assert_string_equal(pool.items[0].project, "p");

    expect_ok(add_pool(world, "c", one, &err));
    expect_ok(sdrs_pool_delete(&world->state, "b", "q", &deleted, &err));
    assert_int_equal(deleted, 0);
    expect_ok(sdrs_pool_delete(&world->state, "b", "p", &deleted, &err));
    assert_int_equal(deleted, 3);
    assert_string_equal(pool_of(world, "b", NULL), "");
    assert_string_equal(pool_of(world, "c", NULL), "j9@01:00:00 ");
    expect_ok(add_pool(world, "b", jobs, &err));
}

static void test_the_next_job_of_the_pool(void **state)
{
    struct sdrs_pool_job jobs[] = { { .schedule = (char *)"00:30:00" },
                                    { .schedule = (char *)"06:00:00" },
                                    { .schedule = (char *)"23:59:59" } };
    const struct sdrs_pool pool = { jobs, RC_ARRAY_LEN(jobs) }, none = { 0 };
    const int64_t midnight_unix_ms = INT64_C(20000) * 24 * HOUR_MS;

    (void)state;
    assert_int_equal(sdrs_pool_next(&none, midnight_unix_ms), SIZE_MAX);
    assert_int_equal(sdrs_pool_next(&pool, midnight_unix_ms), 0);
    assert_int_equal(sdrs_pool_next(&pool, midnight_unix_ms + HOUR_MS / 2 - 1), 0);
    assert_int_equal(sdrs_pool_next(&pool, midnight_unix_ms + HOUR_MS / 2), 1);
    assert_int_equal(sdrs_pool_next(&pool, midnight_unix_ms + 6 * HOUR_MS), 2);
    assert_int_equal(sdrs_pool_next(&pool, midnight_unix_ms + 24 * HOUR_MS - 1001), 2);
    assert_int_equal(sdrs_pool_next(&pool, midnight_unix_ms + 24 * HOUR_MS - 1000), 0);
    assert_int_equal(sdrs_pool_next(&pool, midnight_unix_ms + 24 * HOUR_MS - 1), 0);
}

/* ---- transactions, numbers, UUIDs ------------------------------------------------------------ */

static enum rc_code add_and_fail(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct sdrs_record record = { .type = (char *)"USER", .bucket = (char *)"gs://b/" };
    int *calls = context;

    ++*calls;
    if (sdrs_jobs_add(state, &record, err))
        return err->code;
    return rc_fail(err, RC_CONFLICT, "somebody was first");
}

static enum rc_code refuse(struct sdrs_state *state, void *context, struct rc_error *err)
{
    ++*(int *)context;
    return sdrs_state_refuse(state, err, RC_CONFLICT, "%s is taken", "it");
}

/* Goes on behind a refusal, and is then in somebody's way. */
static enum rc_code go_on(struct sdrs_state *state, void *context, struct rc_error *err)
{
    if (refuse(state, context, err) == RC_OK)
        return rc_fail(err, RC_FAILED, "it was not refused");
    return add_and_fail(state, context, err);
}

static void test_transactions_are_undone_and_tried_again(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    int calls = 0;

    expect_failure(sdrs_state_transact(&world->state, add_and_fail, &calls, &err), RC_CONFLICT,
                   "somebody was first");
    assert_int_equal(calls, 5);
    assert_int_equal(state_number(world, "SELECT count(*) FROM jobs"), 0);
    calls = 0;
    expect_failure(sdrs_state_transact(&world->state, refuse, &calls, &err), RC_CONFLICT,
                   "it is taken");
    assert_int_equal(calls, 1);
    calls = 0;
    expect_failure(sdrs_state_transact(&world->state, go_on, &calls, &err), RC_CONFLICT,
                   "somebody was first");
    assert_int_equal(calls, 10);
    assert_int_equal(add_job(world, "gs://b/", 1, SDRS_JOB_RUNNING), 1);
}

static void test_uuids_are_random(void **state)
{
    char one[SDRS_UUID_TEXT], other[SDRS_UUID_TEXT];
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (int i = 0; i < 200; i++) {
        expect_ok(sdrs_uuid_make(one, &err));
        expect_ok(sdrs_uuid_make(other, &err));
        assert_string_not_equal(one, other);
        assert_int_equal(strlen(one), SDRS_UUID_TEXT - 1);
        assert_int_equal(strspn(one, "0123456789abcdef-"), SDRS_UUID_TEXT - 1);
        assert_true(one[8] == '-' && one[13] == '-' && one[18] == '-' && one[23] == '-');
        assert_int_equal(one[14], '4');
        assert_non_null(strchr("89ab", one[19]));
    }
}

static void test_the_time_goes_on_from_that_of_the_run(void **state)
{
    struct state_world *world = *state;
    int64_t first_unix_ms = sdrs_now_unix_ms(world->job);

    assert_in_range(first_unix_ms, world->job->now_unix_ms, world->job->now_unix_ms + HOUR_MS);
    assert_true(sdrs_now_unix_ms(world->job) >= first_unix_ms);
    state_wait(world, 50 * HOUR_MS);
    assert_in_range(sdrs_now_unix_ms(world->job), world->job->now_unix_ms,
                    world->job->now_unix_ms + HOUR_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_an_execution_is_found_as_it_is),
        EACH(test_an_execution_is_begun_once_and_not_lost),
        EACH(test_a_job_is_found_as_it_is),
        EACH(test_jobs_are_narrowed_down),
        EACH(test_ended_jobs_are_forgotten),
        EACH(test_a_target_is_in_the_queue_once),
        EACH(test_a_marker_goes_its_way),
        EACH(test_scheduling_is_all_or_nothing),
        EACH(test_a_marker_that_is_given_up),
        EACH(test_who_waits_longer_comes_first),
        cmocka_unit_test(test_the_priority_ages),
        EACH(test_a_pool_is_added_whole_or_not),
        cmocka_unit_test(test_the_next_job_of_the_pool),
        EACH(test_transactions_are_undone_and_tried_again),
        cmocka_unit_test(test_uuids_are_random),
        { "the time goes on", test_the_time_goes_on_from_that_of_the_run, state_in_memory,
          state_tear_down, NULL },
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
