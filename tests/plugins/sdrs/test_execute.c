/*
 * Executions: what they move and record, that one bucket does not hinder another, what is refused,
 * which events they carry out, and that nothing is lost or left undone whenever they are killed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run_world.h"

#include <state/outbox.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CLICKS(index) RULE(index, "DATASET", "events/clicks")
#define REST(index) RULE(index, "DEFAULT", "events")
#define LOGS(index) RULE(index, "DATASET", "logs/web")

enum { TEXT_LIMIT = 1 << 20 };

/* ---- what is moved --------------------------------------------------------------------------- */

static void put_clicks(struct run_world *w)
{
    run_put(w, "events/clicks/2018/05/06/07/a");
    run_put(w, "events/clicks/2019/02/08/04/a");
    run_put(w, "events/clicks/2019/02/08/05/a");
    run_put(w, "events/clicks/readme");
}

static void test_moves_what_has_passed(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    put_clicks(&w);
    run_put_at(&w, "events/clicks/2019/02/08/05/old", "2018-01-01T00:00:00Z");
    run_put_at(&w, "events/other", "2018-01-01T00:00:00Z");
    run_put(&w, "events/young");
    run_put(&w, "logs/web/2019/01/01/00/a");
    run_must(&w, "execute", CLICKS(0), REST(1), LOGS(2));

    assert_string_equal(run_objects(&w, "events", &text),
                        "clicks/2019/02/08/05/a\n"
                        "clicks/2019/02/08/05/old\n" /* what a dataset rule has is not the rest's */
                        "clicks/readme\n"
                        "young\n");
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "clicks/2018/05/06/07/a\n"
                                                                "clicks/2019/02/08/04/a\n"
                                                                "other\n");
    assert_string_equal(run_objects(&w, "logsshadow", &text), "web/2019/01/01/00/a\n");
    assert_int_equal(rc_fake_host_counter(w.host, "objects_moved"), 4);
    assert_int_equal(rc_fake_host_counter(w.host, "jobs_succeeded"), 3);
    assert_int_equal(rc_fake_host_open_handles(w.host), 0);
}

static void test_records_each_job(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    struct sdrs_records jobs;

    put_clicks(&w);
    run_put_at(&w, "events/other", "2018-01-01T00:00:00Z");
    run_must(&w, "execute", CLICKS(0), REST(1));
    jobs = run_jobs(&w);
    assert_int_equal(jobs.count, 2);
    assert_string_equal(jobs.items[0].type, "DATASET");
    assert_string_equal(jobs.items[0].project, "p");
    assert_string_equal(jobs.items[0].bucket, LAKE "events/");
    assert_string_equal(jobs.items[0].shadow, LAKE "eventsshadow/");
    assert_has(jobs.items[0].prefixes, "clicks/2019/02/08/04/\n");
    assert_has(jobs.items[0].prefixes, "clicks/2018/\n");
    assert_int_equal(jobs.items[0].objects, 2);
    assert_int_equal(jobs.items[0].status, SDRS_JOB_SUCCESS);
    assert_string_equal(jobs.items[1].type, "DEFAULT");
    assert_string_equal(jobs.items[1].excludes, ".run-core/\nclicks/\n");
    assert_int_equal(jobs.items[1].objects, 1);
    assert_true(jobs.items[1].modified_before_unix_ms > 0);
    assert_string_equal(jobs.items[0].batch, jobs.items[1].batch);
    sdrs_records_clear(&jobs);
}

static void test_global_is_recorded_under_the_buckets_project(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    struct sdrs_records jobs;

    run_put_at(&w, "events/other", "2018-01-01T00:00:00Z");
    run_put_at(&w, "logs/other", "2018-01-01T00:00:00Z");
    run_must(&w, "execute", CLICKS(0), REST(1), LOGS(2), "rules[3].type=GLOBAL",
             "rules[3].retentionPeriod=400");
    jobs = run_jobs(&w);
    assert_int_equal(jobs.count, 4);
    assert_string_equal(jobs.items[3].type, "GLOBAL");
    assert_string_equal(jobs.items[3].project, "p");
    assert_string_equal(jobs.items[3].bucket, LAKE "logs/");
    assert_string_equal(run_objects(&w, "logsshadow", &text), "other\n");
    sdrs_records_clear(&jobs);
}

static void test_without_rules_there_is_nothing_to_do(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);

    assert_int_equal(run_with(&w, "execute", "mover=auto"), RC_OK);
    assert_has(rc_fake_host_said(w.host), "no rule names a bucket: nothing to move");
}

static void test_dry_run_changes_nothing(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    struct sdrs_records jobs;

    put_clicks(&w);
    w.job->dry_run = true;
    run_must(&w, "execute", CLICKS(0), WEBHOOK);
    w.job->dry_run = false;
    assert_has(rc_fake_host_shown(w.host), "What would move");
    assert_has(rc_fake_host_said(w.host), "Would move 2 objects");
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "");
    jobs = run_jobs(&w);
    assert_int_equal(jobs.count, 0);
    assert_int_equal(run_waiting(&w), 0);
}

/* ---- holds and limits ------------------------------------------------------------------------ */

static void test_holds_stay(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    struct sdrs_records jobs;

    put_clicks(&w);
    run_must(&w, "execute", CLICKS(0), "legal_holds=" LAKE "events/clicks/2018/05/");
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "clicks/2019/02/08/04/a\n");
    run_must(&w, "execute", CLICKS(0), "legal_holds=" LAKE "events/cli");
    jobs = run_jobs(&w);
    assert_string_equal(jobs.items[0].excludes, "clicks/2018/05/\n");
    assert_int_equal(jobs.items[1].status, SDRS_JOB_SUCCESS);
    assert_int_equal(jobs.items[1].objects, 0);
    assert_has(jobs.items[1].message, "held");
    sdrs_records_clear(&jobs);
}

static void test_too_much_is_refused_until_it_is_confirmed(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    struct sdrs_records jobs;

    put_clicks(&w);
    run_put(&w, "logs/web/2019/01/01/00/a");
    assert_int_equal(run_with(&w, "execute", CLICKS(0), LOGS(1), "max_delete_objects=1"),
                     RC_FAILED);
    assert_has(w.err.cause, "1 of 2 rules failed; the first, of '" LAKE
                            "events/clicks': refused: it would move 2 objects, and "
                            "'max_delete_objects' is 1");
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "");
    assert_string_equal(run_objects(&w, "logsshadow", &text), "web/2019/01/01/00/a\n");
    jobs = run_jobs(&w);
    assert_int_equal(jobs.items[0].status, SDRS_JOB_ERROR);
    assert_has(jobs.items[0].message, "refused");
    sdrs_records_clear(&jobs);

    assert_int_equal(run_with(&w, "execute", CLICKS(0), "max_delete_share=0.4"), RC_FAILED);
    assert_has(w.err.cause, "2 of 4 objects, a share of 0.5");
    assert_int_equal(run_with(&w, "execute", CLICKS(0), "max_delete_share=0.4", "confirm=true"),
                     RC_OK);
    assert_string_equal(run_objects(&w, "eventsshadow", &text),
                        "clicks/2018/05/06/07/a\nclicks/2019/02/08/04/a\n");
}

/* ---- one bucket apart from the others -------------------------------------------------------- */

static void test_a_bad_bucket_does_not_stop_others(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    run_bucket(&w, "bare", /* has_shadow = */ false);
    put_clicks(&w);
    run_put(&w, "bare/web/2019/01/01/00/a");
    assert_int_equal(run_with(&w, "execute", RULE(0, "DATASET", "bare/web"),
                              RULE(1, "DATASET", "events/clicks")),
                     RC_FAILED);
    assert_has(w.err.cause, "1 of 2 rules failed");
    assert_has(w.err.cause, "bareshadow");
    assert_string_equal(run_objects(&w, "bare", &text), "web/2019/01/01/00/a\n");
    assert_string_equal(run_objects(&w, "eventsshadow", &text),
                        "clicks/2018/05/06/07/a\nclicks/2019/02/08/04/a\n");
    assert_int_equal(rc_fake_host_counter(w.host, "jobs_failed"), 1);
}

static void test_a_bucket_that_is_not_there_is_an_error(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);

    assert_int_equal(run_with(&w, "execute", RULE(0, "DATASET", "evnts/clicks"), LOGS(1)),
                     RC_FAILED);
    assert_has(w.err.cause, "the bucket '" LAKE "evnts/' does not exist");
}

static void test_a_locked_bucket_is_left_to_the_next_run(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    put_clicks(&w);
    run_put(&w, "logs/web/2019/01/01/00/a");
    rc_fake_host_hold_lock(w.host, "sdrs " LAKE "events/", true);
    assert_int_equal(run_with(&w, "execute", CLICKS(0), LOGS(1)), RC_SKIPPED);
    assert_has(w.err.cause, "1 of 2 rules are left to the next run");
    assert_has(rc_fake_host_shown(w.host), "busy");
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "");
    assert_string_equal(run_objects(&w, "logsshadow", &text), "web/2019/01/01/00/a\n");

    /* A failure of another one is told before that. */
    run_bucket(&w, "bare", /* has_shadow = */ false);
    run_put(&w, "bare/web/2019/01/01/00/a");
    rc_fake_host_remove(w.host, LAKE "logsshadow/web/2019/01/01/00/a");
    assert_int_equal(run_with(&w, "execute", CLICKS(0), RULE(1, "DATASET", "bare/web")), RC_FAILED);

    rc_fake_host_hold_lock(w.host, "sdrs " LAKE "events/", false);
    run_must(&w, "execute", CLICKS(0), LOGS(1));
    assert_string_equal(run_objects(&w, "eventsshadow", &text),
                        "clicks/2018/05/06/07/a\nclicks/2019/02/08/04/a\n");
}

/* As the first list is kept, nothing has moved. */
static void lose_lock(void *context, struct rc_fake_host *host, int n, const char *service,
                      const char *subject)
{
    (void)context;
    (void)n;
    if (strcmp(service, "storage.put") == 0 && strstr(subject, "/.run-core/sdrs/"))
        rc_fake_host_lose_locks(host);
}

static void test_a_lock_that_is_lost(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    struct sdrs_records jobs;

    put_clicks(&w);
    rc_fake_host_on_call(w.host, lose_lock, NULL);
    assert_int_equal(run_with(&w, "execute", CLICKS(0)), RC_FAILED);
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "");
    jobs = run_jobs(&w);
    assert_int_equal(jobs.items[0].status, SDRS_JOB_ERROR);
    sdrs_records_clear(&jobs);
}

/* ---- scopes ---------------------------------------------------------------------------------- */

static void test_a_scope_narrows(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);

    put_clicks(&w);
    run_put(&w, "logs/web/2019/01/01/00/a");
    run_must(&w, "execute", CLICKS(0), LOGS(1), "storage=" LAKE "/logs/web/");
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "");
    assert_string_equal(run_objects(&w, "logsshadow", &text), "web/2019/01/01/00/a\n");
    assert_int_equal(run_with(&w, "execute", CLICKS(0), LOGS(1), "project=nobody"), RC_NOT_FOUND);
    assert_string_equal(w.err.cause, "there is no active rule of projectId 'nobody'");
    run_must(&w, "execute", CLICKS(0), LOGS(1), "rule=1");
    assert_string_equal(run_objects(&w, "eventsshadow", &text),
                        "clicks/2018/05/06/07/a\nclicks/2019/02/08/04/a\n");
}

/* ---- events ---------------------------------------------------------------------------------- */

static char *add_event(struct run_world *w, const char *type, const char *target)
{
    char batch[] = "batch", project[] = "p";
    RC_STR_AUTO kind = rc_strdup(type);
    RC_STR_AUTO storage = rc_strdup(target);
    struct sdrs_execution event = {
        .batch = batch, .type = kind, .project = project, .target = storage
    };
    struct sdrs_state state;
    char *id;

    assert_int_equal(sdrs_state_open(w->job, &state, &w->err), RC_OK);
    assert_int_equal(sdrs_executions_add(&state, &event, &w->err), RC_OK);
    id = rc_strdup(event.id);
    free(event.id);
    sdrs_state_close(&state);
    return id;
}

static void expect_event(struct run_world *w, const char *id, enum sdrs_execution_status status,
                         const char *message)
{
    struct sdrs_execution event = { 0 };
    struct sdrs_state state;

    assert_int_equal(sdrs_state_open(w->job, &state, &w->err), RC_OK);
    assert_int_equal(sdrs_executions_find(&state, id, &event, &w->err), RC_OK);
    assert_string_equal(sdrs_execution_status_name(event.status),
                        sdrs_execution_status_name(status));
    if (message)
        assert_has(event.message, message);
    sdrs_execution_clear(&event);
    sdrs_state_close(&state);
}

static void set_event(struct run_world *w, const char *id, enum sdrs_execution_status status)
{
    struct sdrs_state state;

    assert_int_equal(sdrs_state_open(w->job, &state, &w->err), RC_OK);
    assert_int_equal(sdrs_executions_set(&state, id, status, "run", NULL, &w->err), RC_OK);
    sdrs_state_close(&state);
}

static void test_an_event_is_carried_out_once(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_STR_AUTO id = add_event(&w, "POLICY", LAKE "logs/web");
    RC_STR_AUTO execution = rc_strf("execution=%s", id);
    RC_STR_AUTO lock = sdrs_execution_lock(id);
    struct sdrs_records jobs;

    put_clicks(&w);
    run_put(&w, "logs/web/2019/01/01/00/a");
    rc_fake_host_hold_lock(w.host, lock, true);
    assert_int_equal(run_with(&w, "execute", CLICKS(0), LOGS(1), execution), RC_SKIPPED);
    rc_fake_host_hold_lock(w.host, lock, false);
    run_must(&w, "execute", CLICKS(0), LOGS(1), execution);
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "");
    assert_string_equal(run_objects(&w, "logsshadow", &text), "web/2019/01/01/00/a\n");
    expect_event(&w, id, SDRS_EXECUTION_SUCCESS, NULL);
    jobs = run_jobs(&w);
    assert_string_equal(jobs.items[0].execution, id);
    assert_string_equal(jobs.items[0].batch, "batch");
    sdrs_records_clear(&jobs);
    assert_int_equal(run_with(&w, "execute", CLICKS(0), LOGS(1), execution), RC_SKIPPED);
    assert_has(w.err.cause, "is 'success' already");
}

static void test_an_event_says_what_failed(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_STR_AUTO id = add_event(&w, "POLICY", LAKE "nothing/here");
    RC_STR_AUTO execution = rc_strf("execution=%s", id);
    RC_STR_AUTO of_user = add_event(&w, "USER", LAKE "logs/web/.delete_this_folder");
    RC_STR_AUTO other = rc_strf("execution=%s", of_user);

    assert_int_equal(run_with(&w, "execute", CLICKS(0), execution), RC_NOT_FOUND);
    expect_event(&w, id, SDRS_EXECUTION_ERROR, "there is no active rule");
    assert_int_equal(run_with(&w, "execute", CLICKS(0), other), RC_INVALID);
    expect_event(&w, of_user, SDRS_EXECUTION_RECEIVED, NULL);
    assert_int_equal(run_with(&w, "execute", CLICKS(0), "execution=none"), RC_NOT_FOUND);
}

/* A job of an event whose process died: by then nothing of it had moved. */
static void add_left_job(struct run_world *w, char *execution)
{
    char batch[] = "batch", type[] = "DATASET", project[] = "p", bucket[] = LAKE "logs/";
    char shadow[] = LAKE "logsshadow/", prefixes[] = "web/2019/01/\n";
    struct sdrs_record record = {
        .execution = execution,
        .batch = batch,
        .type = type,
        .rule = 2,
        .rule_version = 1,
        .project = project,
        .bucket = bucket,
        .shadow = shadow,
        .prefixes = prefixes,
        .mover = SDRS_MOVER_DIRECT,
    };
    struct sdrs_state state;

    assert_int_equal(sdrs_state_open(w->job, &state, &w->err), RC_OK);
    assert_int_equal(sdrs_jobs_add(&state, &record, &w->err), RC_OK);
    sdrs_state_close(&state);
}

/* It is settled as a failure, and what it left is of another job of the same event. */
static void test_what_an_event_left_is_made_up_for(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_STR_AUTO died = add_event(&w, "POLICY", LAKE "logs/web");
    struct sdrs_records jobs;

    run_put(&w, "logs/web/2019/01/01/00/a");
    set_event(&w, died, SDRS_EXECUTION_RUNNING);
    add_left_job(&w, died);
    w.job->now_unix_ms += 2 * SDRS_LOST_AFTER_MS;
    run_must(&w, "execute", CLICKS(0), LOGS(1), "rule=1");
    expect_event(&w, died, SDRS_EXECUTION_SUCCESS, NULL);
    jobs = run_jobs(&w);
    assert_int_equal(jobs.items[0].status, SDRS_JOB_ERROR);
    assert_has(jobs.items[0].message, "1 is still in");
    sdrs_records_clear(&jobs);
}

static void test_lost_events_are_carried_out_by_the_next_run(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_STR_AUTO received = add_event(&w, "POLICY", LAKE "logs/web");
    RC_STR_AUTO died = add_event(&w, "POLICY", LAKE "logs/web");
    RC_STR_AUTO at_work = add_event(&w, "POLICY", LAKE "logs/web");
    RC_STR_AUTO lock = sdrs_execution_lock(at_work);

    run_put(&w, "logs/web/2019/01/01/00/a");
    set_event(&w, died, SDRS_EXECUTION_RUNNING);
    set_event(&w, at_work, SDRS_EXECUTION_RUNNING);
    run_must(&w, "execute", CLICKS(0), LOGS(1), "rule=1");
    expect_event(&w, received, SDRS_EXECUTION_RECEIVED, NULL);
    expect_event(&w, died, SDRS_EXECUTION_RUNNING, NULL);

    w.job->now_unix_ms += 2 * SDRS_LOST_AFTER_MS;
    rc_fake_host_hold_lock(w.host, lock, true);
    run_must(&w, "execute", CLICKS(0), LOGS(1), "rule=1");
    expect_event(&w, received, SDRS_EXECUTION_SUCCESS, NULL);
    expect_event(&w, died, SDRS_EXECUTION_SUCCESS, NULL);
    expect_event(&w, at_work, SDRS_EXECUTION_RUNNING, NULL);
    assert_string_equal(run_objects(&w, "logsshadow", &text), "web/2019/01/01/00/a\n");
}

static void test_an_event_waits_for_who_is_in_the_way(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_STR_AUTO id = add_event(&w, "POLICY", LAKE "logs/web");
    RC_STR_AUTO execution = rc_strf("execution=%s", id);

    run_put(&w, "logs/web/2019/01/01/00/a");
    rc_fake_host_hold_lock(w.host, "sdrs " LAKE "logs/", true);
    assert_int_equal(run_with(&w, "execute", CLICKS(0), LOGS(1), execution), RC_SKIPPED);
    expect_event(&w, id, SDRS_EXECUTION_RECEIVED, "1 of 1 rules are left to the next run");
    rc_fake_host_hold_lock(w.host, "sdrs " LAKE "logs/", false);

    w.job->now_unix_ms += 2 * SDRS_LOST_AFTER_MS;
    run_must(&w, "execute", CLICKS(0), LOGS(1), "rule=1");
    expect_event(&w, id, SDRS_EXECUTION_SUCCESS, "");
    assert_string_equal(run_objects(&w, "logsshadow", &text), "web/2019/01/01/00/a\n");
}

static void test_validate_begins_lost_events(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_STR_AUTO id = add_event(&w, "POLICY", NULL);
    RC_STR_AUTO at_work = add_event(&w, "POLICY", NULL);
    RC_STR_AUTO lock = sdrs_execution_lock(at_work);

    w.job->now_unix_ms += 2 * SDRS_LOST_AFTER_MS;
    rc_fake_host_hold_lock(w.host, lock, true);
    run_must(&w, "validate", CLICKS(0));
    assert_int_equal(rc_fake_host_submits(w.host), 1);
    assert_string_equal(rc_fake_host_submitted(w.host, 0).action, "execute");
    assert_string_equal(rc_fake_host_submitted(w.host, 0).params[0].key, "execution");
    assert_string_equal(rc_fake_host_submitted(w.host, 0).params[0].value, id);
}

/* ---- who is told ----------------------------------------------------------------------------- */

static void test_each_prefix_is_told_once(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    int64_t first;

    put_clicks(&w);
    run_must(&w, "execute", CLICKS(0), REST(1), WEBHOOK);
    first = run_waiting(&w);
    assert_int_equal(first, 2 * 14); /* of 14 prefixes: that they are inactive, and gone */
    run_put(&w, "events/clicks/2019/02/08/04/late");
    run_must(&w, "execute", CLICKS(0), REST(1), WEBHOOK);
    assert_int_equal(run_waiting(&w), first);

    /* The hours that have passed meanwhile. */
    w.job->now_unix_ms += INT64_C(7200000);
    run_must(&w, "execute", CLICKS(0), REST(1), WEBHOOK);
    assert_int_equal(run_waiting(&w), first + 2 + 2);
}

/* What was told of a prefix is remembered as long as its rule comes by, moving or not. */
static void test_what_was_told_is_forgotten(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    struct sdrs_state state;
    int64_t first, forgotten;

    run_put(&w, "events/clicks/2019/02/08/04/a");
    run_put(&w, "events/clicks/2019/03/09/04/young");
    run_must(&w, "execute", CLICKS(0), WEBHOOK);
    first = run_waiting(&w);
    w.job->now_unix_ms += 5 * RC_DAY_MS;
    run_must(&w, "execute", CLICKS(0), WEBHOOK);
    run_must(&w, "dm-cleanup", CLICKS(0), "keep_days=3"); /* five hours of the first day */
    run_put(&w, "events/clicks/2019/02/13/04/a");
    run_must(&w, "execute", CLICKS(0), WEBHOOK);
    assert_int_equal(run_waiting(&w), first + 2 * (5 + 5)); /* five days, five hours of the last */
    assert_int_equal(sdrs_state_open(w.job, &state, &w.err), RC_OK);
    assert_int_equal(sdrs_outbox_forget(&state, INT64_MAX, &forgotten, &w.err), RC_OK);
    sdrs_state_close(&state);
    assert_int_equal(forgotten, first + 2 * (5 + 5) - 2 * 5);
}

/* ---- whatever happens ------------------------------------------------------------------------ */

static void put_all(struct run_world *w)
{
    put_clicks(w);
    run_put_at(w, "events/other", "2018-01-01T00:00:00Z");
    run_put(w, "logs/web/2019/01/01/00/a");
}

/* After a further run all is done, each object is in one place, and no job is left. */
static void expect_recovery(struct run_world *w)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);
    struct sdrs_records jobs;
    int64_t waiting;

    run_must(w, "execute", CLICKS(0), REST(1), LOGS(2), WEBHOOK);
    assert_string_equal(run_objects(w, "events", &text), "clicks/2019/02/08/05/a\nclicks/readme\n");
    assert_string_equal(run_objects(w, "eventsshadow", &text),
                        "clicks/2018/05/06/07/a\nclicks/2019/02/08/04/a\nother\n");
    assert_string_equal(run_objects(w, "logsshadow", &text), "web/2019/01/01/00/a\n");
    jobs = run_jobs(w);
    for (size_t i = 0; i < jobs.count; i++)
        assert_true(jobs.items[i].status == SDRS_JOB_SUCCESS ||
                    jobs.items[i].status == SDRS_JOB_ERROR);
    sdrs_records_clear(&jobs);
    /* Once inactive, and once deleted at most: of a dataset whose job ended before it told, all was
       moved by nobody who could say so. */
    waiting = run_waiting(w);
    assert_true(waiting >= 14 + 13 && waiting <= 2 * (14 + 13));
}

static void test_killed_at_any_call_nothing_is_lost(void **unused)
{
    (void)unused;
    int calls, step;

    {
        RUN_WORLD_AUTO(w);

        put_all(&w);
        run_must(&w, "execute", CLICKS(0), REST(1), LOGS(2), WEBHOOK);
        calls = rc_fake_host_calls(w.host);
    }
    step = calls / 25 + 1; /* a different phase for each of the two kinds of death */
    for (int n = 1; n <= calls; n += step) {
        for (int after = 0; after < 2; after++) {
            RUN_WORLD_AUTO(w);

            put_all(&w);
            rc_fake_host_die_at(w.host, n + (after ? step / 2 : 0), after);
            (void)run_with(&w, "execute", CLICKS(0), REST(1), LOGS(2), WEBHOOK);
            rc_fake_host_revive(w.host);
            expect_recovery(&w);
        }
    }
}

static void test_any_call_may_fail(void **unused)
{
    (void)unused;

    for (int n = 1;; n += 7) {
        RUN_WORLD_AUTO(w);
        enum rc_code code;

        put_all(&w);
        rc_fake_host_fail_at(w.host, n, RC_UNAVAILABLE);
        code = run_with(&w, "execute", CLICKS(0), REST(1), LOGS(2), WEBHOOK);
        assert_int_equal(rc_fake_host_open_handles(w.host), 0);
        if (code)
            assert_true(w.err.cause[0] != '\0');
        if (rc_fake_host_calls(w.host) < n)
            break;
        rc_fake_host_fail_at(w.host, 0, RC_OK);
        expect_recovery(&w);
    }
}

static void test_a_cancelled_run_says_so(void **unused)
{
    (void)unused;

    for (int n = 1;; n += 11) {
        RUN_WORLD_AUTO(w);
        enum rc_code code;

        put_all(&w);
        rc_fake_host_cancel_at(w.host, n);
        code = run_with(&w, "execute", CLICKS(0), REST(1), LOGS(2), WEBHOOK);
        assert_int_equal(rc_fake_host_open_handles(w.host), 0);
        if (rc_fake_host_calls(w.host) < n)
            break;
        assert_true(code == RC_CANCELLED || code == RC_OK);
        rc_fake_host_revive(w.host);
        expect_recovery(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_what_has_passed),
        cmocka_unit_test(test_records_each_job),
        cmocka_unit_test(test_global_is_recorded_under_the_buckets_project),
        cmocka_unit_test(test_without_rules_there_is_nothing_to_do),
        cmocka_unit_test(test_dry_run_changes_nothing),
        cmocka_unit_test(test_holds_stay),
        cmocka_unit_test(test_too_much_is_refused_until_it_is_confirmed),
        cmocka_unit_test(test_a_bad_bucket_does_not_stop_others),
        cmocka_unit_test(test_a_bucket_that_is_not_there_is_an_error),
        cmocka_unit_test(test_a_locked_bucket_is_left_to_the_next_run),
        cmocka_unit_test(test_a_lock_that_is_lost),
        cmocka_unit_test(test_a_scope_narrows),
        cmocka_unit_test(test_an_event_is_carried_out_once),
        cmocka_unit_test(test_an_event_says_what_failed),
        cmocka_unit_test(test_what_an_event_left_is_made_up_for),
        cmocka_unit_test(test_lost_events_are_carried_out_by_the_next_run),
        cmocka_unit_test(test_an_event_waits_for_who_is_in_the_way),
        cmocka_unit_test(test_validate_begins_lost_events),
        cmocka_unit_test(test_each_prefix_is_told_once),
        cmocka_unit_test(test_what_was_told_is_forgotten),
        cmocka_unit_test(test_killed_at_any_call_nothing_is_lost),
        cmocka_unit_test(test_any_call_may_fail),
        cmocka_unit_test(test_a_cancelled_run_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
