/*
 * The worker's side of a run: load, bind, take the job's lock, call the action, report. It runs
 * in a process of its own, forked by the guard, and leaves timeouts and signals to that.
 */
#include <runtime/worker.h>

#include <base/nearest.h>
#include <config/secrets.h>
#include <db/ledger.h>
#include <os/clock.h>
#include <runtime/attempt.h>
#include <runtime/config_fetch.h>
#include <runtime/exit.h>
#include <runtime/host.h>
#include <runtime/output.h>
#include <runtime/plugin.h>
#include <runtime/submit.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longer than anybody waits; the run's own timeout ends it sooner. */
#define QUEUE_WAIT_MS (INT64_C(365) * RC_DAY_MS)
/* Between two looks at runs of a daemon that are waited for. */
#define OTHERS_LOOK_MS INT64_C(200)

/*
 * All that a worker has at hand; freed before it ends, so that leak checkers see only the
 * plugin's leaks.
 */
struct worker {
    struct core_run *run;
    struct core_plugin *plugin;
    const struct core_action *action;
    struct core_arena arena;
    struct core_binding binding;
    struct core_job job;
    struct rc_lock *lock; /* of the configured job */
};

static enum rc_code choose_action(struct worker *worker, struct rc_error *err)
{
    const struct core_request *request = worker->run->request;
    const char *wanted = request->action ? request->action
                         : request->job  ? request->job->action
                                         : NULL;
    const char *names[64];
    const char *nearest;
    size_t count = 0;

    worker->action = core_plugin_action(worker->plugin, wanted);
    if (worker->action) {
        snprintf(worker->run->status->action, CORE_STATUS_NAME, "%s", worker->action->name);
        return RC_OK;
    }
    while (count < worker->plugin->action_count && count < RC_ARRAY_LEN(names)) {
        names[count] = worker->plugin->actions[count].name;
        count++;
    }
    nearest = core_nearest(wanted, names, count);
    return rc_fail(err, RC_INVALID,
                   "the plugin '%s' has no action '%s'%s%s%s; 'run-core describe %s' lists them",
                   worker->plugin->name, wanted, nearest ? "; did you mean '" : "",
                   nearest ? nearest : "", nearest ? "'?" : "", worker->plugin->name);
}

static enum rc_code load(struct worker *worker, struct rc_error *err)
{
    const struct core_request *request = worker->run->request;
    RC_STR_AUTO path = NULL;

    if (core_plugin_find(request->config, request->plugin, &path, err))
        return err->code;
    if (core_plugin_load(path, &worker->plugin, err))
        return err->code;
    worker->run->plugin = worker->plugin;
    return choose_action(worker, err);
}

/* Each mistake is a message of its own; the error only says how many there were. */
static enum rc_code report_problems(struct core_problems *problems, struct rc_error *err)
{
    core_problems_sort(problems);
    for (const struct core_problem *p = problems->first; p; p = p->next)
        core_output_log(RC_LOG_ERROR, NULL, 0, "%s", core_problem_text(problems, p));
    return rc_fail(err, RC_INVALID, "the configuration has %zu mistake%s", problems->count,
                   problems->count == 1 ? "" : "s");
}

static enum rc_code bind(struct worker *worker, struct rc_error *err)
{
    const struct core_request *request = worker->run->request;
    const struct core_submission *submission = request->submission;
    RC_CLEANUP(core_fetched_clear) struct core_fetched fetched = { .texts = { NULL, 0 } };
    const struct core_binding_source source = {
        .config = request->config,
        .set = request->set,
        .job = submission ? submission->like : request->job,
        .plugin = request->config ? core_config_plugin(request->config, request->plugin) : NULL,
        .texts = &fetched.texts,
        .params = submission ? submission->params : NULL,
    };
    struct core_problems problems;
    enum rc_code code = RC_OK;

    if (core_config_fetch(&source, core_remote_http(worker->run->remote, NULL),
                          &worker->run->status->cancel, &fetched, err))
        return err->code;
    core_problems_init(&problems);
    if (!core_binding_make(worker->plugin, worker->action, &source, &worker->arena,
                           &worker->binding, &problems))
        code = report_problems(&problems, err);
    core_problems_clear(&problems);
    return code;
}

/* What is known of the daemons' runs of a job, for a run in the foreground. */
struct others {
    bool go_on;
    char id[CORE_RUN_ID_TEXT];
};

/*
 * Whether a daemon's run goes on, as its guard's file says: it may outlive the daemon. One that is
 * only about to be forked, or of another machine, goes on as long as its daemon does.
 */
static void look_at_other(void *context, const struct core_started_run *other)
{
    struct others *others = context;
    RC_STR_AUTO folder = rc_strf("%s/runs/%s", other->spool ? other->spool : "", other->id);
    enum core_attempt_state state = CORE_ATTEMPT_NEVER;
    struct core_attempt attempt = { .pidfd = -1 };
    struct rc_error ignored = RC_ERROR_INIT;
    bool goes_on = other->daemon == CORE_PROCESS_ELSEWHERE ? other->is_leased
                                                           : other->daemon != CORE_PROCESS_DEAD;

    if (core_attempt_find(folder, other->attempt, &attempt, &state, &ignored) == RC_OK &&
        state != CORE_ATTEMPT_NEVER) {
        goes_on = state == CORE_ATTEMPT_ALIVE;
        core_attempt_close(&attempt, /* settled = */ false);
    }
    if (!goes_on)
        return;
    others->go_on = true;
    (void)snprintf(others->id, sizeof(others->id), "%s", other->id);
}

/*
 * With the job's lock, which keeps daemons from starting another: waits for those that go on, where
 * the rule says so.
 */
static enum rc_code wait_for_daemons(struct worker *worker, struct core_db *db,
                                     struct rc_error *err)
{
    const struct core_job_settings *job = worker->run->request->job;

    for (;;) {
        struct others others = { .go_on = false, .id = "" };

        if (core_ledger_started_runs(db, job->name, look_at_other, &others, err))
            return err->code;
        if (!others.go_on)
            return RC_OK;
        if (job->concurrency != CORE_QUEUE)
            return rc_fail(err, RC_CONFLICT, "the daemon's run '%s' of it is under way", others.id);
        core_clock_sleep_ms(OTHERS_LOOK_MS);
        if (core_cancel_check(&worker->run->status->cancel, err))
            return err->code;
    }
}

/*
 * The overlap rule of a configured job in the foreground. The daemon keeps its own runs apart, and
 * looks at this lock before it starts one.
 */
static enum rc_code lock_job(struct worker *worker, struct rc_error *err)
{
    const struct core_request *request = worker->run->request;
    const struct core_job_settings *job = request->job;
    RC_STR_AUTO name = job ? rc_strf("job:%s", job->name) : NULL;
    struct core_db *db;

    if (!job || request->supervised || request->dry_run || request->force ||
        job->concurrency == CORE_ALLOW)
        return RC_OK;
    if (core_run_db(worker->run, &db, err))
        return err->code;
    if (core_lock_acquire(db, name, worker->run->id,
                          job->concurrency == CORE_QUEUE ? QUEUE_WAIT_MS : 0,
                          &worker->run->status->cancel, &worker->run->status->cancel, &worker->lock,
                          err) == RC_OK &&
        wait_for_daemons(worker, db, err) == RC_OK)
        return RC_OK;
    if (err->code == RC_CONFLICT) {
        err->code = RC_SKIPPED;
        snprintf(worker->run->status->reason, CORE_STATUS_NAME, "locked");
    }
    return rc_context(err, "start the job '%s'", job->name);
}

static void make_job(struct worker *worker, const char *working_dir)
{
    struct core_run *run = worker->run;
    const struct core_request *request = run->request;

    worker->job = (struct core_job){
        .job = {
            .host = &core_host, .log_level = request->log_level, .dry_run = request->dry_run,
            .attempt = (int)request->attempt, .run_id = run->id, .plugin = request->plugin,
            .action = worker->action->name, .name = request->job ? request->job->name : NULL,
            .params = worker->binding.params, .now_unix_ms = request->now_unix_ms,
            .slot_unix_ms = request->slot_unix_ms,
            .time_zone = request->job && request->job->time_zone ? request->job->time_zone
                                                                 : "UTC",
            .working_dir = working_dir,
            .by_daemon = request->supervised,
        },
        .run = run,
        .cancel = &run->status->cancel,
        .storage = core_run_storage(run, &run->status->cancel),
    };
}

static void report_leaks(struct worker *worker)
{
    int open = core_host_open_handles();

    if (open > 0)
        rc_warn(&worker->job.job,
                "the action '%s' of the plugin '%s' ended without closing %d of the handles that "
                "it had opened (listings, readers, writers, sessions, databases, locks): a leak "
                "in the plugin",
                worker->action->name, worker->plugin->name, open);
}

static enum rc_code act(struct worker *worker, struct rc_error *err)
{
    RC_STR_AUTO working_dir = getcwd(NULL, 0);
    enum rc_code code;

    if (!working_dir)
        return rc_fail(err, RC_FAILED, "the working directory is gone; change to one that exists");
    make_job(worker, working_dir);
    atomic_store(&worker->run->status->phase, CORE_PHASE_RUNNING);
    code = worker->action->run(&worker->job.job, worker->binding.config, err);
    core_output_progress_end();
    report_leaks(worker);
    core_storage_free(worker->job.storage);

    /* An action that returned a code without an error behind it still gets a proper word. */
    if (code != RC_OK && err->code != code)
        code =
            rc_fail(err, code, "the action returned '%s' without saying why", rc_code_name(code));
    if (code == RC_OK && atomic_load(&worker->run->result_errno))
        code = rc_fail_errno(err, atomic_load(&worker->run->result_errno),
                             "the action was done, but run-core cannot write the results to "
                             "stdout");
    return code;
}

static void finish(struct worker *worker)
{
    core_lock_release(worker->lock);
    core_submits_clear(&worker->run->submits);
    core_remote_free(worker->run->remote);
    core_db_close(worker->run->db);
    core_time_zone_free(worker->run->zone);
    free(worker->run->temp_dir);
    core_arena_clear(&worker->arena);
    core_plugin_free(worker->plugin);
}

int core_worker_main(struct core_run *run)
{
    struct worker worker = { .run = run, .arena = CORE_ARENA_INIT };
    struct core_status *status = run->status;
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;

    /* Only here: connections are not for a process that forks. */
    run->remote = core_host_remote_new(run);
    code = load(&worker, &err);
    if (code == RC_OK)
        code = bind(&worker, &err);
    if (code == RC_OK)
        code = lock_job(&worker, &err);
    if (code == RC_OK)
        code = act(&worker, &err);
    /* What could not be found or loaded before the action began is a mistake of the user. */
    if ((code == RC_NOT_FOUND || code == RC_DENIED) && !worker.action)
        code = RC_INVALID;
    finish(&worker);

    /* The guard does not know the secrets that only this process has read. */
    core_secret_mask(err.cause);
    core_secret_mask(err.context);
    /* An action that succeeds may have handled errors on its way; they are nobody's concern. */
    if (code != RC_OK)
        status->error = err;
    status->code = code;
    atomic_store(&status->phase, CORE_PHASE_ENDED);
    return code == RC_OK ? CORE_EXIT_OK : CORE_EXIT_FAILED;
}
