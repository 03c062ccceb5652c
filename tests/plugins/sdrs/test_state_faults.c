/*
 * Every call of the host fails, loses its answer, or is the last one before the process dies: what
 * the state then holds is what it held before, or what it was to hold, and never half of it.
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

#include <run-core/buf.h>
#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { DUMP_LIMIT = 1 << 20, MOST_CALLS = 200 };

static char execution_id[SDRS_UUID_TEXT];

/* ---- what there is --------------------------------------------------------------------------- */

static enum rc_code make_rule(struct state_world *world, const char *storage, struct rc_error *err)
{
    RC_CLEANUP(sdrs_rule_clear)
    struct sdrs_rule rule = {
        .type = SDRS_DATASET,
        .project = rc_strdup("p"),
        .storage = rc_strdup(storage),
        .user = rc_strdup("ann"),
    };

    return sdrs_rules_create(&world->state, &rule, err);
}

static enum rc_code make_marker(struct state_world *world, const char *target, struct rc_error *err)
{
    RC_CLEANUP(sdrs_marker_clear)
    struct sdrs_marker marker = {
        .project = rc_strdup("p"),
        .target = rc_strdup(target),
        .bucket = rc_strdup("gs://b/"),
        .prefix = rc_strdup("d/"),
    };

    return sdrs_markers_add(&world->state, &marker, err);
}

static enum rc_code make_job(struct state_world *world, struct rc_error *err)
{
    struct sdrs_record record = { .type = (char *)"USER", .bucket = (char *)"gs://b/" };

    return sdrs_jobs_add(&world->state, &record, err);
}

static enum rc_code make_event(struct state_world *world, const char *once, struct rc_error *err)
{
    const struct sdrs_event event = { .directory = "d/", .once = once };

    return sdrs_outbox_add(&world->state, &event, err);
}

static enum rc_code make_pool(struct state_world *world, const char *bucket, struct rc_error *err)
{
    struct sdrs_pool_job jobs[] = {
        { .name = rc_strf("%s-1", bucket),
          .project = (char *)"p",
          .schedule = (char *)"01:00:00",
          .type = (char *)"user" },
        { .name = rc_strf("%s-2", bucket),
          .project = (char *)"p",
          .schedule = (char *)"02:00:00",
          .type = (char *)"user" },
    };
    struct sdrs_pool pool = { jobs, RC_ARRAY_LEN(jobs) };
    enum rc_code code = sdrs_pool_add(&world->state, bucket, "p", &pool, err);

    free(jobs[0].name);
    free(jobs[1].name);
    return code;
}

static enum rc_code make_execution(struct state_world *world, struct rc_error *err)
{
    struct sdrs_execution made = { .type = rc_strdup("POLICY") };
    enum rc_code code = sdrs_executions_add(&world->state, &made, err);

    if (!code)
        (void)snprintf(execution_id, sizeof(execution_id), "%s", made.id);
    sdrs_execution_clear(&made);
    return code;
}

/* Something in each table: rules 1 and 2 (which is deleted), markers 1 and 2, job 1, ... */
static struct state_world *prepared(void)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_marker first = { .id = 1 };
    const struct sdrs_markers one = { &first, 1 };
    void *world;
    int64_t id;

    assert_int_equal(state_in_memory(&world), 0);
    struct sdrs_state *state = &((struct state_world *)world)->state;
    expect_ok(make_rule(world, "gs://b/d", &err));
    expect_ok(make_rule(world, "gs://b/old", &err));
    expect_ok(sdrs_rules_delete(state, SDRS_DATASET, "p", "gs://b/old", "u", &id, &err));
    expect_ok(make_marker(world, "gs://b/1", &err));
    expect_ok(make_marker(world, "gs://b/2", &err));
    expect_ok(make_job(world, &err));
    expect_ok(sdrs_markers_schedule(state, &one, 1, &err));
    expect_ok(make_event(world, "made", &err));
    expect_ok(make_pool(world, "b", &err));
    expect_ok(make_execution(world, &err));
    return world;
}

/* All that the state holds but for times and what is random. */
static void dump(struct state_world *world, struct rc_buf *out)
{
    static const char *const queries[] = {
        "SELECT name, value FROM series ORDER BY name",
        "SELECT name FROM settings ORDER BY name",
        "SELECT id, version, storage, period, is_active, user_name FROM rules ORDER BY id",
        "SELECT id, version, period, is_active FROM rule_versions ORDER BY id, version",
        "SELECT type, status, run FROM executions ORDER BY type",
        "SELECT id, status, objects, message FROM jobs ORDER BY id",
        "SELECT id, target, status, retries, job FROM markers ORDER BY id",
        "SELECT id, name FROM pool ORDER BY id",
        "SELECT id, attempts, message FROM outbox ORDER BY id",
        "SELECT key FROM outbox_once ORDER BY key",
    };
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;

    for (size_t i = 0; i < RC_ARRAY_LEN(queries); i++) {
        RC_ROWS_AUTO(rows);

        expect_ok(rc_db_query(world->job, world->state.db, queries[i], NULL, 0, &rows, &err));
        rc_buf_addf(out, "%s\n", queries[i]);
        for (;;) {
            expect_ok(rc_rows_next(rows, &row, &err));
            if (!row)
                break;
            for (size_t k = 0; k < rc_rows_columns(rows, NULL); k++)
                rc_buf_addf(out, "%" PRId64 "%.*s|", row[k].integer, (int)row[k].len,
                            row[k].text ? row[k].text : "");
            rc_buf_addc(out, '\n');
        }
    }
    assert_false(out->overflow);
}

/* ---- what is done ---------------------------------------------------------------------------- */

static enum rc_code create_rule(struct state_world *world, struct rc_error *err)
{
    return make_rule(world, "gs://b/new", err);
}

static enum rc_code revive_rule(struct state_world *world, struct rc_error *err)
{
    return make_rule(world, "gs://b/old", err);
}

static enum rc_code update_rule(struct state_world *world, struct rc_error *err)
{
    struct sdrs_rule rule;
    enum rc_code code = sdrs_rules_update(&world->state, 1, 9, SDRS_DAY, "u", &rule, err);

    sdrs_rule_clear(&rule);
    return code;
}

static enum rc_code delete_rule(struct state_world *world, struct rc_error *err)
{
    int64_t id;

    return sdrs_rules_delete(&world->state, SDRS_DATASET, "p", "gs://b/d", "u", &id, err);
}

static enum rc_code read_rules(struct state_world *world, struct rc_error *err)
{
    struct sdrs_state *state = &world->state;
    struct sdrs_rule rule = { 0 };
    struct sdrs_rules rules = { 0 };
    enum rc_code code = sdrs_rules_find(state, SDRS_DATASET, "p", "gs://b/d", &rule, err);

    sdrs_rule_clear(&rule);
    if (!code)
        code = sdrs_rules_by_id(state, 1, &rule, err);
    sdrs_rule_clear(&rule);
    if (!code)
        code = sdrs_rules_list(state, 0, 0, &rules, err);
    sdrs_rules_clear(&rules);
    if (!code)
        code = sdrs_rules_history(state, 2, &rules, err);
    sdrs_rules_clear(&rules);
    return code;
}

static enum rc_code configure_rules(struct state_world *world, struct rc_error *err)
{
    static const char *const settings[] = { "rules[0].type=DATASET",
                                            "rules[0].projectId=p",
                                            "rules[0].dataStorageName=gs://b/old/part",
                                            "rules[0].retentionPeriod=1",
                                            "rules[1].type=DATASET",
                                            "rules[1].projectId=p",
                                            "rules[1].dataStorageName=gs://b/d",
                                            "rules[1].retentionPeriod=8",
                                            NULL };
    static struct sdrs_config config;

    config = (struct sdrs_config){ 0 };
    if (rc_fake_host_bind(world->host, sdrs_options, &config, settings, err))
        return err->code;
    return sdrs_rules_configure(&world->state, &config, err);
}

static enum rc_code begin_execution(struct state_world *world, struct rc_error *err)
{
    bool ours;

    return sdrs_executions_begin(&world->state, execution_id, "run", &ours, err);
}

static enum rc_code set_execution(struct state_world *world, struct rc_error *err)
{
    return sdrs_executions_set(&world->state, execution_id, SDRS_EXECUTION_ERROR, NULL, "no", err);
}

static enum rc_code read_executions(struct state_world *world, struct rc_error *err)
{
    struct sdrs_execution found;
    char **ids = NULL;
    size_t count = 0;
    enum rc_code code = sdrs_executions_find(&world->state, execution_id, &found, err);

    sdrs_execution_clear(&found);
    if (!code)
        code = sdrs_executions_lost(&world->state, INT64_MAX, &ids, &count, err);
    for (size_t i = 0; i < count; i++)
        free(ids[i]);
    free(ids);
    return code;
}

static enum rc_code keep_job(struct state_world *world, struct rc_error *err)
{
    const struct sdrs_record record = { .id = 1, .status = SDRS_JOB_SUCCESS, .objects = 7 };

    return sdrs_jobs_keep(&world->state, &record, err);
}

static enum rc_code read_jobs(struct state_world *world, struct rc_error *err)
{
    const struct sdrs_jobs_query query = { .bucket = "gs://b/" };
    struct sdrs_records records;
    enum rc_code code = sdrs_jobs_list(&world->state, &query, &records, err);

    sdrs_records_clear(&records);
    return code;
}

static enum rc_code add_marker(struct state_world *world, struct rc_error *err)
{
    return make_marker(world, "gs://b/3", err);
}

static enum rc_code schedule_markers(struct state_world *world, struct rc_error *err)
{
    struct sdrs_markers markers;
    enum rc_code code = sdrs_markers_due(&world->state, 0, &markers, err);

    if (!code)
        code = sdrs_markers_schedule(&world->state, &markers, 1, err);
    sdrs_markers_clear(&markers);
    return code;
}

static enum rc_code settle_markers(struct state_world *world, struct rc_error *err)
{
    return sdrs_markers_settle(&world->state, 1, false, 5, "no", err);
}

static enum rc_code give_up_marker(struct state_world *world, struct rc_error *err)
{
    return sdrs_markers_give_up(&world->state, 1, err);
}

static enum rc_code read_markers(struct state_world *world, struct rc_error *err)
{
    struct sdrs_markers markers;
    enum rc_code code = sdrs_markers_of(&world->state, 1, NULL, &markers, err);

    sdrs_markers_clear(&markers);
    if (!code)
        code = sdrs_markers_scheduled(&world->state, &markers, err);
    sdrs_markers_clear(&markers);
    return code;
}

static enum rc_code add_pool(struct state_world *world, struct rc_error *err)
{
    return make_pool(world, "c", err);
}

static enum rc_code delete_pool(struct state_world *world, struct rc_error *err)
{
    int64_t deleted;

    return sdrs_pool_delete(&world->state, "b", "p", &deleted, err);
}

static enum rc_code read_pool(struct state_world *world, struct rc_error *err)
{
    struct sdrs_pool pool;
    enum rc_code code = sdrs_pool_find(&world->state, "b", "p", NULL, &pool, err);

    sdrs_pool_clear(&pool);
    return code;
}

static enum rc_code add_event(struct state_world *world, struct rc_error *err)
{
    return make_event(world, "new", err);
}

static enum rc_code take_message(struct state_world *world, struct rc_error *err)
{
    struct sdrs_message message;
    enum rc_code code = sdrs_outbox_take(&world->state, &message, err);

    sdrs_message_clear(&message);
    return code;
}

static enum rc_code deliver_message(struct state_world *world, struct rc_error *err)
{
    return sdrs_outbox_delivered(&world->state, 1, err);
}

static enum rc_code postpone_message(struct state_world *world, struct rc_error *err)
{
    return sdrs_outbox_failed(&world->state, 1, "no", err);
}

static enum rc_code count_messages(struct state_world *world, struct rc_error *err)
{
    int64_t count;

    return sdrs_outbox_waiting(&world->state, &count, err);
}

/* Of each table on its own: what is forgotten in one stays so. */
static enum rc_code forget_jobs(struct state_world *world, struct rc_error *err)
{
    int64_t forgotten;

    return sdrs_jobs_forget(&world->state, INT64_MAX, &forgotten, err);
}

static enum rc_code forget_executions(struct state_world *world, struct rc_error *err)
{
    int64_t forgotten;

    return sdrs_executions_forget(&world->state, INT64_MAX, &forgotten, err);
}

static enum rc_code forget_markers(struct state_world *world, struct rc_error *err)
{
    int64_t forgotten;

    return sdrs_markers_forget(&world->state, INT64_MAX, &forgotten, err);
}

static enum rc_code remember_event(struct state_world *world, struct rc_error *err)
{
    return sdrs_outbox_remember(&world->state, "key", err);
}

static enum rc_code forget_events(struct state_world *world, struct rc_error *err)
{
    int64_t forgotten;

    return sdrs_outbox_forget(&world->state, INT64_MAX, &forgotten, err);
}

/* What an action does in one transaction of its own. */
static enum rc_code work(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct state_world *world = context;

    (void)state;
    if (make_job(world, err) || schedule_markers(world, err) || make_event(world, "of it", err))
        return err->code;
    return RC_OK;
}

static enum rc_code several(struct state_world *world, struct rc_error *err)
{
    return sdrs_state_transact(&world->state, work, world, err);
}

struct operation {
    const char *name;
    enum rc_code (*run)(struct state_world *world, struct rc_error *err);
    bool retries; /* all of it, where somebody else was first */
};

static const struct operation operations[] = {
    { "create a rule", create_rule, true },
    { "revive a rule", revive_rule, true },
    { "update a rule", update_rule, true },
    { "delete a rule", delete_rule, true },
    { "read rules", read_rules, false },
    { "configure rules", configure_rules, false },
    { "add an execution", make_execution, false },
    { "begin an execution", begin_execution, false },
    { "set an execution", set_execution, false },
    { "read executions", read_executions, false },
    { "add a job", make_job, true },
    { "keep a job", keep_job, false },
    { "read jobs", read_jobs, false },
    { "add a marker", add_marker, true },
    { "schedule markers", schedule_markers, false },
    { "settle markers", settle_markers, false },
    { "give up a marker", give_up_marker, false },
    { "read markers", read_markers, false },
    { "add a pool", add_pool, true },
    { "delete a pool", delete_pool, false },
    { "read the pool", read_pool, false },
    { "add an event", add_event, true },
    { "take a message", take_message, true },
    { "deliver a message", deliver_message, false },
    { "postpone a message", postpone_message, true },
    { "count messages", count_messages, false },
    { "forget jobs", forget_jobs, false },
    { "forget executions", forget_executions, false },
    { "forget markers", forget_markers, false },
    { "remember an event", remember_event, false },
    { "forget events", forget_events, false },
    { "several at once", several, true },
};

/* ---- faults ---------------------------------------------------------------------------------- */

enum fault { FAIL, LOSE, DIE_BEFORE, DIE_AFTER, CONFLICT, FAULTS };

static void arm(struct state_world *world, enum fault fault, int n)
{
    if (fault == FAIL)
        rc_fake_host_fail_at(world->host, n, RC_UNAVAILABLE);
    else if (fault == CONFLICT)
        rc_fake_host_fail_at(world->host, n, RC_CONFLICT);
    else if (fault == LOSE)
        rc_fake_host_lose_at(world->host, n, RC_UNAVAILABLE);
    else
        rc_fake_host_die_at(world->host, n, fault == DIE_AFTER);
}

static void free_world(struct state_world *world)
{
    void *state = world;

    assert_int_equal(state_tear_down(&state), 0);
}

/* One run with its n-th call so; false: there was none, and it went well. */
static bool disturbed(const struct operation *operation, enum fault fault, int n,
                      const char *before, const char *after)
{
    struct state_world *world = prepared();
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(now, DUMP_LIMIT);
    int calls = rc_fake_host_calls(world->host);
    enum rc_code code;
    bool reached;

    arm(world, fault, n);
    code = operation->run(world, &err);
    reached = rc_fake_host_calls(world->host) - calls >= n;
    if (rc_fake_host_is_dead(world->host))
        state_next_run(world, world->job->now_unix_ms);
    else
        arm(world, fault, 0);
    assert_int_equal(rc_fake_host_open_handles(world->host), 1);
    dump(world, &now);
    free_world(world);

    if (!reached)
        assert_int_equal(code, RC_OK);
    if (code) {
        assert_int_equal(code, fault == CONFLICT ? RC_CONFLICT : RC_UNAVAILABLE);
        assert_true(err.context[0] != '\0' || operation->run == several);
    }
    if (fault == CONFLICT && operation->retries)
        assert_int_equal(code, RC_OK);
    if (strcmp(now.data, code && (fault == FAIL || fault == CONFLICT || fault == DIE_BEFORE)
                             ? before
                             : after) != 0 &&
        (code == RC_OK || strcmp(now.data, before) != 0))
        fail_msg("%s, fault %d at call %d: %s", operation->name, (int)fault, n, now.data);
    return reached;
}

static void test_nothing_is_done_by_halves(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(operations); i++) {
        struct state_world *world = prepared();
        struct rc_error err = RC_ERROR_INIT;
        RC_BUF_AUTO(before, DUMP_LIMIT);
        RC_BUF_AUTO(after, DUMP_LIMIT);

        dump(world, &before);
        expect_ok(operations[i].run(world, &err));
        dump(world, &after);
        free_world(world);
        for (int fault = 0; fault < FAULTS; fault++) {
            int n = 1;

            while (disturbed(&operations[i], (enum fault)fault, n, before.data, after.data))
                assert_true(++n < MOST_CALLS);
            assert_true(n > 1);
        }
    }
}

static void test_a_state_that_does_not_open_says_so(void **state)
{
    struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_state opened = { 0 };

    (void)state;
    sdrs_state_close(&opened);
    rc_fake_host_fail_at(host, 1, RC_UNAVAILABLE);
    assert_int_equal(sdrs_state_open(rc_fake_host_job(host), &opened, &err), RC_UNAVAILABLE);
    assert_string_equal(err.context, "open the rules and jobs in the state database");
    sdrs_state_close(&opened);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
    rc_fake_host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_done_by_halves),
        cmocka_unit_test(test_a_state_that_does_not_open_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
