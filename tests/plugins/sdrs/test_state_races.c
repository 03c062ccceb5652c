/*
 * Several processes on one state, as replicas on several machines have it: of what there is to be
 * one of there is one, and what is handed out is handed out once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state/executions.h"
#include "state/jobs.h"
#include "state/markers.h"
#include "state/outbox.h"
#include "state/pool.h"
#include "state/rules.h"
#include "state_world.h"

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>

enum { PROCESSES = 8, ROUNDS = 20, MESSAGES = 60 };

/* In the processes, where no test may fail: says what went wrong, and ends. */
static void require(bool holds, const struct rc_error *err)
{
    if (holds)
        return;
    fprintf(stderr, "%s: %s\n", err->context, err->cause);
    abort();
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool open_anew(struct state_world *world, int index)
{
    (void)index;
    return state_number(world, "SELECT count(*) FROM rules") == 0;
}

/* The schema is made by whoever comes first. */
static void test_all_open_at_once(void **state)
{
    state_begin_anew(*state);
    assert_int_equal(state_race(PROCESSES, open_anew), PROCESSES);
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* Whether this process was the one that made it; another one's may be in the way, nothing else. */
static bool create(struct state_world *world, const char *storage)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_rule_clear)
    struct sdrs_rule rule = {
        .type = SDRS_DATASET,
        .project = rc_strdup("p"),
        .storage = rc_strdup(storage),
        .user = rc_strdup("ann"),
    };
    enum rc_code code = sdrs_rules_create(&world->state, &rule, &err);

    require(!code || code == RC_CONFLICT, &err);
    return !code;
}

static bool create_the_same(struct state_world *world, int index)
{
    (void)index;
    for (int i = 0; i < ROUNDS; i++) {
        RC_STR_AUTO name = rc_strf("gs://b/%d", i);

        (void)create(world, name);
    }
    return true;
}

static void test_a_rule_is_made_once(void **state)
{
    struct state_world *world = *state;

    assert_int_equal(state_race(PROCESSES, create_the_same), PROCESSES);
    assert_int_equal(state_number(world, "SELECT count(*) FROM rules"), ROUNDS);
    assert_int_equal(state_number(world, "SELECT count(*) FROM rule_versions WHERE version = 1"),
                     ROUNDS);
    assert_int_equal(state_number(world, "SELECT count(*) FROM rule_versions"), ROUNDS);
    assert_int_equal(state_number(world, "SELECT max(id) FROM rules"), ROUNDS);
}

/* Half of them want the datasets, the other half what is in them. */
static bool create_nested(struct state_world *world, int index)
{
    for (int i = 0; i < ROUNDS; i++) {
        RC_STR_AUTO name = rc_strf(index % 2 ? "gs://b/%d/x" : "gs://b/%d", i);

        (void)create(world, name);
    }
    return true;
}

static void test_datasets_never_nest(void **state)
{
    struct state_world *world = *state;

    assert_int_equal(state_race(PROCESSES, create_nested), PROCESSES);
    assert_int_equal(state_number(world, "SELECT count(*) FROM rules"), ROUNDS);
}

static bool change_and_delete(struct state_world *world, int index)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t id;

    for (int i = 0; i < ROUNDS; i++) {
        struct sdrs_rule rule = { 0 };
        enum rc_code code =
            index % 4 == 0
                ? sdrs_rules_delete(&world->state, SDRS_DATASET, "p", "gs://b/d", "u", &id, &err)
                : sdrs_rules_update(&world->state, 1, i, SDRS_DAY, "u", &rule, &err);

        require(!code || code == RC_NOT_FOUND, &err);
        sdrs_rule_clear(&rule);
        (void)create(world, "gs://b/d");
    }
    return true;
}

/* No two changes make the same version, and none is left out. */
static void test_versions_follow_each_other(void **state)
{
    struct state_world *world = *state;

    assert_true(create(world, "gs://b/d"));
    assert_int_equal(state_race(PROCESSES, change_and_delete), PROCESSES);
    assert_int_equal(state_number(world, "SELECT count(*) FROM rules"), 1);
    assert_int_equal(state_number(world, "SELECT version FROM rules"),
                     state_number(world, "SELECT count(*) FROM rule_versions"));
}

static bool configure(struct state_world *world, int index)
{
    static const char *const settings[] = { "rules[0].type=DATASET",
                                            "rules[0].projectId=p",
                                            "rules[0].dataStorageName=gs://b/a",
                                            "rules[0].retentionPeriod=1",
                                            "rules[1].type=GLOBAL",
                                            "rules[1].retentionPeriod=9",
                                            NULL };
    struct rc_error err = RC_ERROR_INIT;

    (void)index;
    require(!sdrs_rules_configure(&world->state, state_config(world, settings), &err), &err);
    return true;
}

static void test_the_configuration_is_made_once(void **state)
{
    struct state_world *world = *state;

    assert_int_equal(state_race(PROCESSES, configure), PROCESSES);
    assert_int_equal(state_number(world, "SELECT count(*) FROM rule_versions"), 2);
}

/* ---- the queue ------------------------------------------------------------------------------- */

static bool add_markers(struct state_world *world, int index)
{
    (void)index;
    for (int i = 0; i < ROUNDS; i++) {
        struct rc_error err = RC_ERROR_INIT;
        RC_CLEANUP(sdrs_marker_clear)
        struct sdrs_marker marker = {
            .project = rc_strdup("p"),
            .target = rc_strf("gs://b/%d", i),
            .bucket = rc_strdup("gs://b/"),
            .prefix = rc_strf("%d/", i),
        };
        enum rc_code code = sdrs_markers_add(&world->state, &marker, &err);

        require(!code || code == RC_CONFLICT, &err);
    }
    return true;
}

static bool schedule_markers(struct state_world *world, int index)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_markers_clear) struct sdrs_markers markers = { 0 };
    enum rc_code code;

    require(!sdrs_markers_due(&world->state, 0, &markers, &err), &err);
    if (markers.count == 0)
        return false;
    code = sdrs_markers_schedule(&world->state, &markers, index + 1, &err);
    require(!code || code == RC_CONFLICT, &err);
    return !code;
}

static void test_a_target_is_queued_and_scheduled_once(void **state)
{
    struct state_world *world = *state;

    assert_int_equal(state_race(PROCESSES, add_markers), PROCESSES);
    assert_int_equal(state_number(world, "SELECT count(*) FROM markers"), ROUNDS);
    assert_int_equal(state_race(PROCESSES, schedule_markers), 1);
    assert_int_equal(state_number(world, "SELECT count(DISTINCT job) FROM markers"), 1);
}

static char execution[SDRS_UUID_TEXT];

static bool begin(struct state_world *world, int index)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO run = rc_strf("run-%d", index);
    bool ours;

    require(!sdrs_executions_begin(&world->state, execution, run, &ours, &err), &err);
    return ours;
}

static void test_an_execution_is_begun_once(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_execution_clear)
    struct sdrs_execution made = { .type = rc_strdup("POLICY") };

    expect_ok(sdrs_executions_add(&world->state, &made, &err));
    (void)snprintf(execution, sizeof(execution), "%s", made.id);
    assert_int_equal(state_race(PROCESSES, begin), 1);
}

/* ---- jobs and the pool ----------------------------------------------------------------------- */

static bool add_jobs(struct state_world *world, int index)
{
    (void)index;
    for (int i = 0; i < ROUNDS; i++) {
        struct rc_error err = RC_ERROR_INIT;
        struct sdrs_record record = { .type = (char *)"USER", .bucket = (char *)"gs://b/" };

        require(!sdrs_jobs_add(&world->state, &record, &err), &err);
    }
    return true;
}

static void test_jobs_have_numbers_of_their_own(void **state)
{
    struct state_world *world = *state;

    assert_int_equal(state_race(PROCESSES, add_jobs), PROCESSES);
    assert_int_equal(state_number(world, "SELECT count(*) FROM jobs"), PROCESSES * ROUNDS);
    assert_int_equal(state_number(world, "SELECT max(id) FROM jobs"), PROCESSES * ROUNDS);
}

static bool add_pool(struct state_world *world, int index)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_pool_job jobs[2] = { 0 };
    struct sdrs_pool pool = { jobs, RC_ARRAY_LEN(jobs) };
    enum rc_code code;

    for (int i = 0; i < 2; i++) {
        jobs[i].name = rc_strf("%d-%d", index, i);
        jobs[i].project = rc_strdup("p");
        jobs[i].schedule = rc_strdup("12:00:00");
        jobs[i].type = rc_strdup("user");
    }
    code = sdrs_pool_add(&world->state, "b", "p", &pool, &err);
    require(!code || code == RC_CONFLICT, &err);
    sdrs_pool_job_clear(&jobs[0]);
    sdrs_pool_job_clear(&jobs[1]);
    return !code;
}

static void test_a_bucket_has_one_pool(void **state)
{
    struct state_world *world = *state;

    assert_int_equal(state_race(PROCESSES, add_pool), 1);
    assert_int_equal(state_number(world, "SELECT count(*) FROM pool"), 2);
}

/* ---- the outbox ------------------------------------------------------------------------------ */

static bool add_events(struct state_world *world, int index)
{
    (void)index;
    for (int i = 0; i < MESSAGES; i++) {
        struct rc_error err = RC_ERROR_INIT;
        RC_STR_AUTO prefix = rc_strf("d/%d/", i);
        const struct sdrs_event event = { .directory = prefix, .once = prefix };

        require(!sdrs_outbox_add(&world->state, &event, &err), &err);
    }
    return true;
}

/* Delivers to a table, in which each has to be once. */
static bool deliver(struct state_world *world, int index)
{
    struct sdrs_message message;
    struct rc_error err = RC_ERROR_INIT;

    (void)index;
    for (;;) {
        require(!sdrs_outbox_take(&world->state, &message, &err), &err);
        if (message.id == 0)
            return true;
        RC_STR_AUTO statement =
            rc_strf("INSERT INTO settings (name, value) VALUES ('%s', '')", message.uuid);

        require(!rc_db_exec(world->job, world->state.db, statement, NULL, 0, NULL, &err), &err);
        require(!sdrs_outbox_delivered(&world->state, message.id, &err), &err);
        sdrs_message_clear(&message);
    }
}

static void test_a_message_is_made_and_delivered_once(void **state)
{
    struct state_world *world = *state;

    assert_int_equal(state_race(4, add_events), 4);
    assert_int_equal(state_number(world, "SELECT count(*) FROM outbox"), MESSAGES);
    assert_int_equal(state_race(PROCESSES, deliver), PROCESSES);
    assert_int_equal(state_number(world, "SELECT count(*) FROM outbox"), 0);
    assert_int_equal(state_number(world, "SELECT count(*) FROM settings"), MESSAGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_SHARED(test_all_open_at_once),
        EACH_SHARED(test_a_rule_is_made_once),
        EACH_SHARED(test_datasets_never_nest),
        EACH_SHARED(test_versions_follow_each_other),
        EACH_SHARED(test_the_configuration_is_made_once),
        EACH_SHARED(test_a_target_is_queued_and_scheduled_once),
        EACH_SHARED(test_an_execution_is_begun_once),
        EACH_SHARED(test_jobs_have_numbers_of_their_own),
        EACH_SHARED(test_a_bucket_has_one_pool),
        EACH_SHARED(test_a_message_is_made_and_delivered_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
