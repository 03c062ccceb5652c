/*
 * Delete markers: in which jobs they go, that one bucket does not hinder another, how they are
 * tried again and given up, and what becomes of them when a run is killed or their job is gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run_world.h"

#include <state/markers.h>

#include <stdlib.h>
#include <string.h>

#define DM_LOCK "dm-batch"
#define RETRIES "scheduler.task.dmBatchProcessing.maxRetry=1"

enum { TEXT_LIMIT = 1 << 20 };

/* ---- the queue ------------------------------------------------------------------------------- */

static void open_state(struct run_world *w, struct sdrs_state *state)
{
    if (sdrs_state_open(w->job, state, &w->err))
        fail_msg("%s: %s", w->err.context, w->err.cause);
}

/* A marker for a folder such as "events/clicks/2019", with an execution of its own. */
static void mark(struct run_world *w, const char *project, const char *folder)
{
    RC_STR_AUTO target = rc_strf(LAKE "%s", folder);
    RC_STR_AUTO bucket = rc_strf(LAKE "%.*s", (int)(strchr(folder, '/') + 1 - folder), folder);
    RC_STR_AUTO prefix = rc_strf("%s/", strchr(folder, '/') + 1);
    RC_STR_AUTO of = rc_strdup(project);
    char batch[] = "batch", type[] = "USER";
    struct sdrs_execution event = { .batch = batch, .type = type, .project = of, .target = target };
    struct sdrs_marker marker = {
        .project = of, .target = target, .bucket = bucket, .prefix = prefix, .batch = batch
    };
    struct sdrs_state state;

    open_state(w, &state);
    assert_int_equal(sdrs_executions_add(&state, &event, &w->err), RC_OK);
    marker.execution = event.id;
    if (sdrs_markers_add(&state, &marker, &w->err))
        fail_msg("%s: %s", w->err.context, w->err.cause);
    free(event.id);
    sdrs_state_close(&state);
}

static void forget_jobs(struct run_world *w)
{
    struct sdrs_state state;
    int64_t changed;

    open_state(w, &state);
    assert_int_equal(rc_db_exec(w->job, state.db, "DELETE FROM jobs", NULL, 0, &changed, &w->err),
                     RC_OK);
    assert_true(changed > 0);
    sdrs_state_close(&state);
}

/* "STATUS RETRIES EXECUTION" of each marker, in their order, a line each. */
static const char *queue(struct run_world *w, struct rc_buf *out)
{
    struct sdrs_state state;
    struct rc_rows *rows = NULL;
    const struct rc_value *row;

    rc_buf_reset(out);
    open_state(w, &state);
    assert_int_equal(rc_db_query(w->job, state.db,
                                 "SELECT m.status, m.retries, e.status FROM markers m"
                                 " JOIN executions e ON e.id = m.execution ORDER BY m.id",
                                 NULL, 0, &rows, &w->err),
                     RC_OK);
    for (;;) {
        assert_int_equal(rc_rows_next(rows, &row, &w->err), RC_OK);
        if (!row)
            break;
        rc_buf_addf(out, "%s %d %s\n", row[0].text, (int)row[1].integer, row[2].text);
    }
    rc_rows_close(&rows);
    sdrs_state_close(&state);
    return out->data;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void test_moves_all_below_the_folder(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    run_put(&w, "events/clicks/2019/03/10/05/young");
    run_put(&w, "events/clicks/2019/.delete_this_folder");
    run_put(&w, "events/clicks/2019x");
    mark(&w, "p", "events/clicks/2019");
    run_must(&w, "dm-batch", WEBHOOK);
    assert_string_equal(run_objects(&w, "eventsshadow", &text),
                        "clicks/2019/.delete_this_folder\nclicks/2019/03/10/05/young\n");
    assert_string_equal(run_objects(&w, "events", &text), "clicks/2019x\n");
    assert_string_equal(queue(&w, &text), "success 0 success\n");
    assert_int_equal(run_waiting(&w), 1); /* that it is deleted */
    run_must(&w, "dm-batch", WEBHOOK);
    assert_has(rc_fake_host_said(w.host), "no delete markers wait");
    assert_int_equal(run_waiting(&w), 1);
    assert_int_equal(rc_fake_host_open_handles(w.host), 0);
}

static void test_nested_targets_are_one(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    struct sdrs_records jobs;

    mark(&w, "p", "events/clicks/2019/03");
    mark(&w, "p", "events/clicks/2019");
    mark(&w, "p", "events/clicks/20");
    mark(&w, "q", "events/of/q");
    run_must(&w, "dm-batch", WEBHOOK);
    jobs = run_jobs(&w);
    assert_int_equal(jobs.count, 2); /* one of each project */
    assert_string_equal(jobs.items[0].prefixes, "clicks/20/\nclicks/2019/\n");
    assert_string_equal(jobs.items[0].type, "USER");
    assert_string_equal(jobs.items[0].batch, "batch");
    assert_null(jobs.items[0].execution);
    assert_string_equal(jobs.items[1].project, "q");
    assert_non_null(jobs.items[1].execution);
    assert_string_equal(queue(&w, &text), "success 0 success\nsuccess 0 success\n"
                                          "success 0 success\nsuccess 0 success\n");
    sdrs_records_clear(&jobs);
}

static void test_at_most_so_many_prefixes(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    struct sdrs_records jobs;

    mark(&w, "p", "events/a/1");
    mark(&w, "p", "events/a");
    mark(&w, "p", "events/b");
    mark(&w, "p", "events/c");
    mark(&w, "p", "events/d");
    run_must(&w, "dm-batch", "sts.maxPrefixCount=2");
    jobs = run_jobs(&w);
    assert_int_equal(jobs.count, 2);
    assert_string_equal(jobs.items[0].prefixes, "a/\nb/\n"); /* 'a' has room for one more */
    assert_string_equal(jobs.items[1].prefixes, "c/\nd/\n");
    sdrs_records_clear(&jobs);
}

static void test_the_longest_waiting_goes_first(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    struct sdrs_records jobs;

    mark(&w, "p", "events/z");
    w.job->now_unix_ms += INT64_C(7) * 3600 * 1000;
    mark(&w, "p", "events/a");
    run_must(&w, "dm-batch", "sts.maxPrefixCount=1");
    jobs = run_jobs(&w);
    assert_string_equal(jobs.items[0].prefixes, "z/\n");
    assert_string_equal(jobs.items[1].prefixes, "a/\n");
    sdrs_records_clear(&jobs);
}

static void test_dry_run_changes_nothing(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    run_put(&w, "events/a/x");
    mark(&w, "p", "events/a");
    w.job->dry_run = true;
    run_must(&w, "dm-batch", WEBHOOK);
    w.job->dry_run = false;
    assert_has(rc_fake_host_shown(w.host), "\t1\t1\t10\tplanned");
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "");
    assert_string_equal(queue(&w, &text), "pending 0 received\n");
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

static void test_a_bad_bucket_does_not_stop_others(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    run_bucket(&w, "bare", /* has_shadow = */ false);
    run_put(&w, "bare/a/x");
    run_put(&w, "events/a/x");
    mark(&w, "p", "bare/a");
    mark(&w, "p", "events/a");
    assert_int_equal(run_with(&w, "dm-batch", RETRIES), RC_FAILED);
    assert_has(w.err.cause, "1 of 2 jobs failed");
    assert_has(w.err.cause, "bareshadow");
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "a/x\n");
    assert_string_equal(queue(&w, &text), "retry 0 running\nsuccess 0 success\n");
}

static void test_tried_again_and_given_up(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    run_bucket(&w, "bare", /* has_shadow = */ false);
    run_put(&w, "bare/a/x");
    mark(&w, "p", "bare/a");
    mark(&w, "p", "bare/b");
    assert_int_equal(run_with(&w, "dm-batch", RETRIES), RC_FAILED);
    assert_string_equal(queue(&w, &text), "retry 0 running\nretry 0 running\n");
    assert_int_equal(run_with(&w, "dm-batch", RETRIES), RC_FAILED);
    assert_string_equal(queue(&w, &text), "fail 1 error\nfail 1 error\n");
    run_must(&w, "dm-batch", RETRIES);

    mark(&w, "p", "bare/a");
    assert_int_equal(run_with(&w, "dm-batch", RETRIES), RC_FAILED);
    run_bucket(&w, "bare", /* has_shadow = */ true);
    run_must(&w, "dm-batch", RETRIES);
    assert_string_equal(queue(&w, &text), "fail 1 error\nfail 1 error\nsuccess 1 success\n");
}

static void test_held_targets_fail_alone(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    run_put(&w, "events/a/x");
    run_put(&w, "events/b/2019/x");
    run_put(&w, "events/b/2020/x");
    mark(&w, "p", "events/a");
    mark(&w, "p", "events/b");
    assert_int_equal(run_with(&w, "dm-batch", "legal_holds=" LAKE "events/a/",
                              "legal_holds=" LAKE "events/b/2019/"),
                     RC_FAILED);
    assert_has(w.err.cause, "legal hold");
    assert_string_equal(run_objects(&w, "events", &text), "a/x\nb/2019/x\n");
    assert_string_equal(queue(&w, &text), "retry 0 running\nsuccess 0 success\n");
}

static void test_locks(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    mark(&w, "p", "events/a");
    mark(&w, "p", "logs/a");
    rc_fake_host_hold_lock(w.host, DM_LOCK, true);
    assert_int_equal(run_with(&w, "dm-batch", "lock.dm.timeout=0"), RC_SKIPPED);
    assert_int_equal(run_with(&w, "dm-cleanup", "lock.dm.timeout=0"), RC_SKIPPED);
    rc_fake_host_hold_lock(w.host, DM_LOCK, false);
    rc_fake_host_hold_lock(w.host, "sdrs " LAKE "events/", true);
    assert_int_equal(run_with(&w, "dm-batch", RETRIES), RC_SKIPPED);
    assert_string_equal(queue(&w, &text), "pending 0 received\nsuccess 0 success\n");
}

/* ---- killed ---------------------------------------------------------------------------------- */

static void expect_recovery(struct run_world *w)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);

    /* What a killed job had is settled first, and then tried again. */
    run_must(w, "dm-batch", WEBHOOK);
    assert_string_equal(run_objects(w, "events", &text), "");
    assert_string_equal(run_objects(w, "eventsshadow", &text), "a/x\na/y\nb/x\n");
    assert_null(strstr(queue(w, &text), "scheduled"));
    assert_null(strstr(text.data, "pending"));
    assert_null(strstr(text.data, "fail"));
}

static void test_killed_at_any_call_nothing_is_lost(void **unused)
{
    (void)unused;

    for (int n = 1;; n += 3) {
        RUN_WORLD_AUTO(w);
        bool died;

        run_put(&w, "events/a/x");
        run_put(&w, "events/a/y");
        run_put(&w, "events/b/x");
        mark(&w, "p", "events/a");
        mark(&w, "p", "events/b");
        rc_fake_host_revive(w.host);
        rc_fake_host_die_at(w.host, n, n % 2);
        (void)run_with(&w, "dm-batch", WEBHOOK);
        died = rc_fake_host_is_dead(w.host);
        rc_fake_host_revive(w.host);
        expect_recovery(&w);
        if (!died)
            break;
    }
}

static void test_any_call_may_fail(void **unused)
{
    (void)unused;

    for (int n = 1;; n += 5) {
        RUN_WORLD_AUTO(w);

        run_put(&w, "events/a/x");
        run_put(&w, "events/a/y");
        run_put(&w, "events/b/x");
        mark(&w, "p", "events/a");
        mark(&w, "p", "events/b");
        rc_fake_host_revive(w.host);
        rc_fake_host_fail_at(w.host, n, RC_UNAVAILABLE);
        if (run_with(&w, "dm-batch", WEBHOOK))
            assert_true(w.err.cause[0] != '\0');
        assert_int_equal(rc_fake_host_open_handles(w.host), 0);
        if (rc_fake_host_calls(w.host) < n)
            break;
        rc_fake_host_fail_at(w.host, 0, RC_OK);
        expect_recovery(&w);
    }
}

/* ---- cleaning up ----------------------------------------------------------------------------- */

/* Gives all that wait to a job, as a run does that dies then. */
static void schedule_all(struct run_world *w)
{
    char type[] = "USER", bucket[] = LAKE "events/", shadow[] = LAKE "eventsshadow/";
    struct sdrs_record record = { .type = type,
                                  .bucket = bucket,
                                  .shadow = shadow,
                                  .mover = SDRS_MOVER_DIRECT,
                                  .status = SDRS_JOB_RUNNING };
    struct sdrs_markers due = { 0 };
    struct sdrs_state state;

    open_state(w, &state);
    assert_int_equal(sdrs_jobs_add(&state, &record, &w->err), RC_OK);
    assert_int_equal(sdrs_markers_due(&state, w->job->now_unix_ms, &due, &w->err), RC_OK);
    assert_int_equal(sdrs_markers_schedule(&state, &due, record.id, &w->err), RC_OK);
    sdrs_markers_clear(&due);
    sdrs_state_close(&state);
}

static void test_cleanup_settles_those_whose_job_is_gone(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    mark(&w, "p", "events/a");
    schedule_all(&w);
    run_must(&w, "dm-cleanup", RETRIES);
    assert_string_equal(queue(&w, &text), "scheduled 0 received\n"); /* for 'validate' to settle */
    forget_jobs(&w);
    run_must(&w, "dm-cleanup", RETRIES);
    assert_string_equal(queue(&w, &text), "retry 0 running\n");
    run_must(&w, "dm-cleanup", RETRIES);
    assert_string_equal(queue(&w, &text), "retry 0 running\n");
    run_must(&w, "dm-cleanup", "scheduler.task.dmBatchProcessing.maxRetry=0");
    assert_string_equal(queue(&w, &text), "fail 0 error\n");
}

static void test_validate_settles_what_a_dead_run_had(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    mark(&w, "p", "events/a");
    schedule_all(&w);
    rc_fake_host_hold_lock(w.host, "sdrs " LAKE "events/", true); /* it is at work */
    run_must(&w, "validate", RETRIES);
    assert_string_equal(queue(&w, &text), "scheduled 0 received\n");
    rc_fake_host_hold_lock(w.host, "sdrs " LAKE "events/", false);
    run_must(&w, "validate", RETRIES);
    assert_string_equal(queue(&w, &text), "success 0 success\n"); /* nothing was left to move */
}

/* Its process ends it just before 'validate' has the lock. */
static void end_job(void *context, struct rc_fake_host *host, int n, const char *service,
                    const char *subject)
{
    struct run_world *w = context;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_record record;
    struct sdrs_state state;

    (void)n;
    if (strcmp(service, "lock.acquire") != 0 || strcmp(subject, "sdrs " LAKE "events/") != 0)
        return;
    rc_fake_host_on_call(host, NULL, NULL);
    open_state(w, &state);
    assert_int_equal(sdrs_jobs_find(&state, 1, &record, &err), RC_OK);
    record.status = SDRS_JOB_SUCCESS;
    record.objects = 7;
    assert_int_equal(sdrs_jobs_keep(&state, &record, &err), RC_OK);
    sdrs_record_clear(&record);
    sdrs_state_close(&state);
}

static void test_validate_looks_again_at_what_was_at_work(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    struct sdrs_records jobs;

    mark(&w, "p", "events/a");
    schedule_all(&w);
    rc_fake_host_on_call(w.host, end_job, &w);
    run_must(&w, "validate", RETRIES);
    jobs = run_jobs(&w);
    assert_int_equal(jobs.items[0].objects, 7);
    sdrs_records_clear(&jobs);
}

/* Of one that cannot be asked about now the next run asks again. */
static void test_validate_tells_what_it_cannot_find_out(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    struct sdrs_records jobs;

    mark(&w, "p", "events/a");
    schedule_all(&w);
    rc_fake_host_fail_on(w.host, "lock.acquire", "sdrs " LAKE "events/", -1, RC_UNAVAILABLE);
    assert_int_equal(run_with(&w, "validate", RETRIES), RC_FAILED);
    assert_has(w.err.cause, "1 of 1 jobs failed");
    assert_has(rc_fake_host_shown(w.host), "\tunknown\t");
    jobs = run_jobs(&w);
    assert_int_equal(jobs.items[0].status, SDRS_JOB_RUNNING);
    sdrs_records_clear(&jobs);
}

static void test_cleanup_forgets_what_is_old(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    struct sdrs_records jobs;

    mark(&w, "p", "events/a");
    run_must(&w, "dm-batch", RETRIES);
    mark(&w, "p", "events/b");
    w.job->now_unix_ms += 11 * RC_DAY_MS;
    run_must(&w, "dm-cleanup", "keep_days=0");
    run_must(&w, "dm-cleanup", "keep_days=12");
    assert_string_equal(queue(&w, &text), "success 0 success\npending 0 received\n");
    run_must(&w, "dm-cleanup", "keep_days=10");
    assert_string_equal(queue(&w, &text), "pending 0 received\n");
    jobs = run_jobs(&w);
    assert_int_equal(jobs.count, 0);
    assert_int_equal(rc_fake_host_counter(w.host, "jobs_forgotten"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_all_below_the_folder),
        cmocka_unit_test(test_nested_targets_are_one),
        cmocka_unit_test(test_at_most_so_many_prefixes),
        cmocka_unit_test(test_the_longest_waiting_goes_first),
        cmocka_unit_test(test_dry_run_changes_nothing),
        cmocka_unit_test(test_a_bad_bucket_does_not_stop_others),
        cmocka_unit_test(test_tried_again_and_given_up),
        cmocka_unit_test(test_held_targets_fail_alone),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_killed_at_any_call_nothing_is_lost),
        cmocka_unit_test(test_any_call_may_fail),
        cmocka_unit_test(test_cleanup_settles_those_whose_job_is_gone),
        cmocka_unit_test(test_validate_settles_what_a_dead_run_had),
        cmocka_unit_test(test_validate_looks_again_at_what_was_at_work),
        cmocka_unit_test(test_validate_tells_what_it_cannot_find_out),
        cmocka_unit_test(test_cleanup_forgets_what_is_old),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
