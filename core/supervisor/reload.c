/*
 * A configuration takes effect: at the start, and again at each reload. All of it or nothing: it is
 * read and checked first, then the ledger is told, and only then it takes the place of the former
 * one. What runs goes on as it began.
 */
#include <supervisor/internal.h>

#include <os/clock.h>
#include <os/process.h>
#include <runtime/config_check.h>

#include <run-core/str.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Longest time for the check, while nothing is started; only a plugin that hangs takes it. */
#define CHECK_MS INT64_C(10000)
/* Turns that record what is due by now; with more of a backlog than that nothing is reloaded. */
enum { SETTLE_TURNS = 100 };

/* ---- jobs and the ledger ------------------------------------------------------------------ */

/* What the ledger knows of the jobs, against the table that is to take effect. */
struct comparison {
    struct core_supervisor *supervisor;
    struct core_jobs *jobs;
    int64_t now_unix_ms;
    bool *is_known; /* of each job: the ledger has it with the same fingerprint */
    bool keep_cursors;
    struct core_arena arena;
    const char **gone; /* names of jobs that are no longer configured */
    size_t gone_count, gone_capacity;
};

static void add_gone(struct comparison *comparison, const char *name)
{
    if (comparison->gone_count == comparison->gone_capacity) {
        comparison->gone_capacity = comparison->gone_capacity ? 2 * comparison->gone_capacity : 16;
        comparison->gone = rc_realloc(comparison->gone, comparison->gone_capacity * sizeof(char *));
    }
    comparison->gone[comparison->gone_count++] = core_arena_strdup(&comparison->arena, name);
}

static void compare(void *context, const struct core_job_record *record)
{
    struct comparison *comparison = context;
    struct core_job_state *job = core_jobs_find(comparison->jobs, record->name);
    char fingerprint[CORE_FINGERPRINT_TEXT];
    bool same;

    if (!job) {
        if (record->fingerprint && record->fingerprint[0])
            add_gone(comparison, record->name);
        return;
    }
    same = rc_str_eq(record->fingerprint, core_job_fingerprint(job, fingerprint));
    comparison->is_known[job - comparison->jobs->items] = same;
    /* Also of one that is new to this daemon: it may have been paused before it was gone. */
    core_job_set_pause(job, record->paused_unix_ms, record->paused_by);
    if (comparison->keep_cursors)
        return;
    /* What is settled beyond now was so by a clock that has been set back since. */
    if (same && record->settled_unix_ms > comparison->now_unix_ms)
        core_supervisor_note_rewind(comparison->supervisor, comparison->now_unix_ms,
                                    comparison->now_unix_ms);
    else if (same)
        core_job_set_cursor(job, record->settled_unix_ms);
}

/* In a transaction: jobs that are new or were edited begin now; those that are gone, if they ever
 * come back, will be new. */
static enum rc_code put_jobs(struct core_supervisor *supervisor, struct core_plan *plan,
                             void *context, struct rc_error *err)
{
    const struct comparison *comparison = context;
    char fingerprint[CORE_FINGERPRINT_TEXT];

    (void)plan;
    for (size_t i = 0; i < comparison->jobs->count; i++) {
        const struct core_job_state *job = &comparison->jobs->items[i];

        if (!comparison->is_known[i] && core_ledger_put_job(supervisor->ledger, job->settings->name,
                                                            core_job_fingerprint(job, fingerprint),
                                                            comparison->now_unix_ms, err))
            return rc_context(err, "record the job '%s'", job->settings->name);
    }
    for (size_t i = 0; i < comparison->gone_count; i++)
        if (core_ledger_put_job(supervisor->ledger, comparison->gone[i], "",
                                comparison->now_unix_ms, err))
            return rc_context(err, "record that the job '%s' is gone", comparison->gone[i]);
    return RC_OK;
}

static void clear_comparison(struct comparison *comparison)
{
    free(comparison->is_known);
    free(comparison->gone);
    core_arena_clear(&comparison->arena);
}

static bool has_changes(const struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->jobs->count; i++)
        if (!comparison->is_known[i])
            return true;
    return comparison->gone_count > 0;
}

/* Tells the ledger of the jobs in 'jobs'; at the start it also tells us of them. */
static enum rc_code settle_jobs(struct core_supervisor *supervisor, struct core_jobs *jobs,
                                bool at_start, struct rc_error *err)
{
    struct comparison comparison = {
        .supervisor = supervisor,
        .jobs = jobs,
        .now_unix_ms = supervisor->seen_unix_ms,
        .is_known = rc_calloc(jobs->count + 1, sizeof(bool)),
        .keep_cursors = !at_start,
    };
    enum rc_code code;

    for (size_t i = 0; i < jobs->count; i++)
        core_job_set_cursor(&jobs->items[i], comparison.now_unix_ms);
    code = core_ledger_jobs(supervisor->ledger, compare, &comparison, err);
    if (code == RC_OK && has_changes(&comparison))
        code = core_supervisor_write(supervisor, put_jobs, &comparison, err);
    clear_comparison(&comparison);
    return code ? rc_context(err, "compare the jobs with the ledger") : RC_OK;
}

enum rc_code core_supervisor_settle_jobs(struct core_supervisor *supervisor, struct rc_error *err)
{
    for (size_t i = 0; i < supervisor->jobs->count; i++) {
        struct core_job_state *job = &supervisor->jobs->items[i];
        job->startup_due =
            job->schedule && core_schedule_kind(job->schedule) == CORE_SCHEDULE_STARTUP;
    }
    return settle_jobs(supervisor, supervisor->jobs, /* at_start = */ true, err);
}

/* ---- reload ------------------------------------------------------------------------------- */

/*
 * How long plugins may take over their part of the check. The loop waits meanwhile, and where the
 * state is shared, the lease must not run out over it.
 */
static int64_t check_limit_ms(const struct core_supervisor *supervisor)
{
    int64_t third_ms = supervisor->self.lease_ms / 3;

    return core_ledger_is_shared(supervisor->ledger) && third_ms < CHECK_MS ? third_ms : CHECK_MS;
}

static enum rc_code read_configuration(struct core_supervisor *supervisor,
                                       struct core_problems *problems, struct core_config **config,
                                       struct rc_error *err)
{
    *config = core_config_load(supervisor->options.config_path, problems);
    if (core_config_check_apart(*config, check_limit_ms(supervisor), problems, err))
        return err->code;
    if (supervisor->options.check)
        supervisor->options.check(*config, problems);
    if (problems->count > 0)
        return rc_fail(err, RC_INVALID, "the configuration has %zu mistake%s", problems->count,
                       problems->count == 1 ? "" : "s");
    return RC_OK;
}

/* Everything that is due by now is of the configuration in effect until now. */
static enum rc_code record_the_past(struct core_supervisor *supervisor, struct rc_error *err)
{
    for (int i = 0; i < SETTLE_TURNS; i++) {
        const struct core_heap_item *due;

        core_supervisor_turn(supervisor);
        if (core_supervisor_check_database(supervisor, err))
            return err->code;
        due = core_heap_first(&supervisor->jobs->due);
        if (!due || due->key > supervisor->seen_unix_ms)
            return RC_OK;
    }
    return rc_fail(err, RC_UNAVAILABLE,
                   "slots that were missed are still being recorded; try again in a moment");
}

static enum rc_code settle_the_past(struct core_supervisor *supervisor,
                                    const struct core_jobs *next_jobs, struct rc_error *err)
{
    enum rc_code code;

    supervisor->next_jobs = next_jobs;
    core_supervisor_schedule_all(supervisor);
    code = record_the_past(supervisor, err);
    supervisor->next_jobs = NULL;
    return code;
}

/* A job that is gone: what runs goes on, what waits does not begin. */
static void remove_job(struct core_supervisor *supervisor, struct core_job_state *former)
{
    struct core_active *later;

    for (struct core_active *active = former->first; active; active = later) {
        later = active->later;
        active->job = NULL;
        active->earlier = active->later = NULL;
        if (active->state == CORE_ACTIVE_WAITS ||
            (active->state == CORE_ACTIVE_CLAIMED && !active->unsure_folder))
            core_supervisor_stop_run(supervisor, active, "removed");
    }
    former->first = former->last = NULL;
}

/* Runs of a job that was gone for a while are its runs again. */
static void find_job_again(void *context, struct core_active *active)
{
    struct core_jobs *jobs = context;
    struct core_job_state *job = active->job ? NULL : core_jobs_find(jobs, active->job_name);

    if (job)
        core_runs_join(job, active);
}

/*
 * Some settings are used when the daemon starts, and again by each of its runs: one that had its
 * locks in another database than the daemon its ledger, or another lease, would be kept from
 * nothing.
 */
static void keep_as_started(const struct core_supervisor *supervisor,
                            struct core_settings *settings)
{
    if (!rc_str_eq(supervisor->as_started.state, settings->state) ||
        !rc_str_eq(supervisor->as_started.spool, settings->spool) ||
        !rc_str_eq(supervisor->as_started.socket, settings->socket) ||
        !rc_str_eq(supervisor->as_started.listen, settings->listen) ||
        supervisor->self.lease_ms != settings->lease_ms)
        core_supervisor_log(supervisor, RC_LOG_WARN, NULL,
                            "changes of core.state, spool, socket, listen and lease take effect "
                            "when the daemon starts again");
    settings->state = supervisor->as_started.state;
    settings->spool = supervisor->as_started.spool;
    settings->socket = supervisor->as_started.socket;
    settings->listen = supervisor->as_started.listen;
    settings->lease_ms = supervisor->self.lease_ms;
}

static void take_effect(struct core_supervisor *supervisor, struct core_config *config,
                        struct core_jobs *jobs)
{
    struct core_jobs *former = supervisor->jobs;

    supervisor->trusted_unix_ms = 0; /* what is new now never fires the past */
    keep_as_started(supervisor, &config->settings);
    for (size_t i = 0; i < former->count; i++) {
        struct core_job_state *job = core_jobs_find(jobs, former->items[i].settings->name);

        if (job)
            core_job_inherit(job, &former->items[i]);
        else
            remove_job(supervisor, &former->items[i]);
    }
    core_runs_each(&supervisor->runs, find_job_again, jobs);
    supervisor->jobs = jobs;
    supervisor->pauses = -1; /* others may have paused meanwhile what is new in this one */
    core_jobs_free(former);
    core_servers_configure(supervisor->servers, config);
    core_config_free(supervisor->config);
    supervisor->config = config;
    if (supervisor->options.has_log_level)
        config->settings.log_level = supervisor->options.log_level;
    /* For a moment there were two configurations, which may be large; what is here for months
     * should not keep the room of both, and is to be forked often. */
    (void)malloc_trim(0);
    core_process_join_pages();
    core_supervisor_schedule_all(supervisor);
    core_supervisor_arm(supervisor);
}

static enum rc_code reload(struct core_supervisor *supervisor, struct core_problems *problems,
                           struct rc_error *err)
{
    struct core_config *config = NULL;
    struct core_jobs *jobs = NULL;
    enum rc_code code = core_supervisor_check_database(supervisor, err);

    if (code == RC_OK)
        code = read_configuration(supervisor, problems, &config, err);
    if (code == RC_OK)
        code = core_jobs_make(config, &jobs, err);
    if (code == RC_OK)
        code = settle_the_past(supervisor, jobs, err);
    if (code == RC_OK)
        code = settle_jobs(supervisor, jobs, /* at_start = */ false, err);
    if (code == RC_OK) {
        take_effect(supervisor, config, jobs);
    } else {
        core_jobs_free(jobs);
        core_config_free(config);
    }
    return code;
}

enum rc_code core_supervisor_reload(struct core_supervisor *supervisor, const char *by,
                                    struct core_problems *problems, struct rc_error *err)
{
    int64_t began_mono_ms = core_clock_mono_ms();
    char text[2 * RC_ERROR_TEXT + 4];
    enum rc_code code;

    if (supervisor->stop_calls)
        return rc_fail(err, RC_UNAVAILABLE, "the daemon is ending; the next one reads it");
    code = reload(supervisor, problems, err);
    supervisor->last_reload_unix_ms = core_clock_now_unix_ms();
    free(supervisor->last_reload_error);
    supervisor->last_reload_error = NULL;
    if (code != RC_OK) {
        supervisor->last_reload_error = rc_strdup(core_error_text(err, text, sizeof(text)));
        return code;
    }
    supervisor->reloads++;
    core_supervisor_log(supervisor, RC_LOG_INFO, NULL,
                        "reloaded the configuration, as %s asked: %zu jobs, in %lld ms", by,
                        supervisor->jobs->count, (long long)(core_clock_mono_ms() - began_mono_ms));
    return RC_OK;
}
