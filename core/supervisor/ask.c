/*
 * What the supervisor may be asked for: to run, to stop, to pause and to resume.
 */
#include <supervisor/internal.h>

#include <base/nearest.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest time for recording what is due before a job is paused or resumed. */
#define SETTLE_MS INT64_C(5000)

enum rc_code core_supervisor_no_job(const struct core_supervisor *supervisor, const char *name,
                                    struct rc_error *err)
{
    const struct core_jobs *jobs = supervisor->jobs;
    const char **names = rc_calloc(jobs->count + 1, sizeof(*names));
    const char *nearest;

    for (size_t i = 0; i < jobs->count; i++)
        names[i] = jobs->items[i].settings->name;
    nearest = core_nearest(name, names, jobs->count);
    free(names);
    return rc_fail(err, RC_NOT_FOUND, "there is no job '%s'%s%s%s", name,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static enum rc_code find_job(const struct core_supervisor *supervisor, const char *name,
                             struct core_job_state **out, struct rc_error *err)
{
    *out = core_jobs_find(supervisor->jobs, name);
    if (!*out)
        return core_supervisor_no_job(supervisor, name, err);
    return core_supervisor_check_database(supervisor, err);
}

/* ---- trigger ------------------------------------------------------------------------------ */

struct triggering {
    const struct core_trigger *trigger;
    struct core_job_state *job;
    const char *id;
    enum core_claimed claimed;
};

static enum rc_code claim(struct core_supervisor *supervisor, struct core_plan *plan, void *context,
                          struct rc_error *err)
{
    struct triggering *triggering = context;

    return core_supervisor_claim_trigger(supervisor, plan, triggering->job, triggering->trigger,
                                         triggering->id, &triggering->claimed, err);
}

enum rc_code core_supervisor_trigger(struct core_supervisor *supervisor,
                                     const struct core_trigger *trigger,
                                     char run_id[CORE_RUN_ID_TEXT], struct rc_error *err)
{
    struct triggering triggering = { .trigger = trigger, .id = run_id };

    if (find_job(supervisor, trigger->job, &triggering.job, err))
        return err->code;
    if (supervisor->stop_calls)
        return rc_fail(err, RC_UNAVAILABLE, "the daemon is ending, and starts nothing more");
    core_supervisor_make_run_id(supervisor, run_id, core_supervisor_look_at_clock(supervisor));
    core_supervisor_log(supervisor, RC_LOG_INFO, NULL, "%s triggers the job '%s': run %s",
                        trigger->by ? trigger->by : "somebody", trigger->job, run_id);
    if (core_supervisor_write(supervisor, claim, &triggering, err))
        return err->code;
    core_supervisor_arm(supervisor);
    if (triggering.claimed != CORE_CLAIM_SKIPPED)
        return RC_OK;
    core_job_counts_of(triggering.job)->ended[CORE_RUN_SKIPPED]++;
    return rc_fail(err, RC_SKIPPED,
                   "another run of the job '%s' goes on, or is to be tried again; 'run-core runs "
                   "--job %s' shows it, 'run-core cancel RUN' ends it, and with --force this one "
                   "runs all the same",
                   trigger->job, trigger->job);
}

/* ---- cancel ------------------------------------------------------------------------------- */

static void look_at_status(void *context, const struct core_run_record *record)
{
    *(enum core_run_status *)context = record->status;
}

/* One that is not of this daemon: its own looks for the wish. */
static enum rc_code cancel_elsewhere(struct core_supervisor *supervisor, const char *run,
                                     struct rc_error *err)
{
    enum core_run_status status = CORE_RUN_LOST;
    bool found = false;

    if (core_ledger_run(supervisor->ledger, run, look_at_status, &status, err))
        return err->code;
    if (core_ledger_cancel(supervisor->ledger, run, "cancelled", &found, err))
        return err->code;
    if (found)
        return RC_OK;
    return rc_fail(err, RC_CONFLICT, "the run '%s' has ended already: %s", run,
                   core_run_status_name(status));
}

static enum rc_code write_cancel(struct core_supervisor *supervisor, struct core_plan *plan,
                                 void *context, struct rc_error *err)
{
    const char *run = context;
    bool found;

    (void)plan;
    return core_ledger_cancel(supervisor->ledger, run, "cancelled", &found, err);
}

/*
 * Its guard is told at once. The ledger is for whoever takes the run over when this daemon, and
 * perhaps the machine of the guard, is gone before that has ended it: it is not tried again.
 */
static enum rc_code cancel_running(struct core_supervisor *supervisor, struct core_active *active,
                                   struct rc_error *err)
{
    char run[CORE_RUN_ID_TEXT];

    core_supervisor_stop_run(supervisor, active, "cancelled");
    if (core_supervisor_check_database(supervisor, err))
        return err->code;
    (void)snprintf(run, sizeof(run), "%s", active->id);
    return core_supervisor_write(supervisor, write_cancel, run, err);
}

enum rc_code core_supervisor_cancel(struct core_supervisor *supervisor, const char *run,
                                    const char *by, struct rc_error *err)
{
    struct core_active *active = core_runs_find(&supervisor->runs, run);

    if (!active || active->state == CORE_ACTIVE_ENDED) {
        if (core_supervisor_check_database(supervisor, err))
            return err->code;
        if (active)
            return rc_fail(err, RC_CONFLICT, "the run '%s' has ended already", run);
        return cancel_elsewhere(supervisor, run, err);
    }
    if (active->state != CORE_ACTIVE_RUNS && core_supervisor_check_database(supervisor, err))
        return err->code;
    core_supervisor_log(supervisor, RC_LOG_INFO, active, "%s cancels the run",
                        by ? by : "somebody");
    if (active->state == CORE_ACTIVE_RUNS || active->unsure_folder)
        return cancel_running(supervisor, active, err);
    core_supervisor_stop_run(supervisor, active, "cancelled");
    core_supervisor_turn(supervisor); /* so that it is recorded when this returns */
    return core_supervisor_check_database(supervisor, err);
}

/* ---- pause and resume --------------------------------------------------------------------- */

static enum rc_code claim_job(struct core_supervisor *supervisor, struct core_plan *plan,
                              void *context, struct rc_error *err)
{
    struct core_job_state *job = context;

    if (!job->due.place) /* beginning the transaction found that it is not for this daemon now */
        return RC_OK;
    core_plan_begin_step(plan);
    core_heap_take(&job->due); /* back after the commit */
    return core_supervisor_claim_job(supervisor, plan, job, err);
}

/*
 * Records what became of the job's slots up to now, as long as the present state of it holds. What
 * is due of others keeps to the pace.
 */
static enum rc_code settle(struct core_supervisor *supervisor, struct core_job_state *job,
                           struct rc_error *err)
{
    int64_t until_mono_ms = core_clock_mono_ms() + SETTLE_MS;

    core_supervisor_turn(supervisor);
    if (core_supervisor_check_database(supervisor, err))
        return err->code;
    while (core_clock_mono_ms() < until_mono_ms) {
        if (!job->due.place || job->due.key > supervisor->seen_unix_ms)
            return RC_OK;
        if (supervisor->stop_calls)
            return rc_fail(
                err, RC_UNAVAILABLE,
                "the daemon is ending, and leaves what is due to the next one; ask that");
        if (core_supervisor_write(supervisor, claim_job, job, err))
            return err->code;
        core_supervisor_arm(supervisor);
    }
    return rc_fail(err, RC_UNAVAILABLE,
                   "slots of the job '%s' that were missed are still being recorded; try again in "
                   "a moment",
                   job->settings->name);
}

struct pausing {
    const char *job, *by;
    bool *changed;
};

static enum rc_code write_pause(struct core_supervisor *supervisor, struct core_plan *plan,
                                void *context, struct rc_error *err)
{
    const struct pausing *pausing = context;

    return core_ledger_pause(supervisor->ledger, pausing->job, plan->now_unix_ms, pausing->by,
                             pausing->changed, err);
}

static enum rc_code write_resume(struct core_supervisor *supervisor, struct core_plan *plan,
                                 void *context, struct rc_error *err)
{
    const struct pausing *pausing = context;

    (void)plan;
    return core_ledger_resume(supervisor->ledger, pausing->job, pausing->changed, err);
}

/* The ledger has it; so has memory now. */
static void take_pause(struct core_supervisor *supervisor, struct core_job_state *job,
                       int64_t since_unix_ms, const char *by)
{
    core_job_set_pause(job, since_unix_ms, by);
    supervisor->pauses = core_ledger_pauses(supervisor->ledger);
    core_supervisor_log(supervisor, RC_LOG_INFO, NULL, "%s %s the job '%s'", by ? by : "somebody",
                        since_unix_ms ? "pauses" : "resumes", job->settings->name);
    core_supervisor_schedule_job(supervisor, job);
    core_supervisor_arm(supervisor);
}

/* Whether it changes anything the ledger knows: another daemon may have been asked before. */
enum rc_code core_supervisor_pause(struct core_supervisor *supervisor, const char *name,
                                   const char *by, bool *changed, struct rc_error *err)
{
    struct pausing pausing = { name, by, changed };
    struct core_job_state *job;

    if (find_job(supervisor, name, &job, err) || settle(supervisor, job, err) ||
        core_supervisor_write(supervisor, write_pause, &pausing, err))
        return err->code;
    if (*changed)
        take_pause(supervisor, job, supervisor->seen_unix_ms, by);
    return RC_OK;
}

enum rc_code core_supervisor_resume(struct core_supervisor *supervisor, const char *name,
                                    const char *by, bool *changed, struct rc_error *err)
{
    struct pausing pausing = { name, by, changed };
    struct core_job_state *job;

    if (find_job(supervisor, name, &job, err) || settle(supervisor, job, err) ||
        core_supervisor_write(supervisor, write_resume, &pausing, err))
        return err->code;
    if (*changed)
        take_pause(supervisor, job, 0, by);
    return RC_OK;
}
