/*
 * What others left, or this daemon itself before the database went away: rows that are ours in the
 * ledger but not in memory. Those that are due wait on; of those that are started the files in the
 * spool tell whether they were forked, live, or have ended.
 */
#include <supervisor/internal.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A row, kept beyond the callback that showed it. */
struct found {
    struct core_active *active;
    bool is_started;
    bool is_here;     /* its latest attempt began on this machine, or it is nobody else's */
    const char *wish; /* core_supervisor_wish_of() */
    char *spool;
};

struct findings {
    struct core_supervisor *supervisor;
    struct found *items;
    size_t count, capacity;
    bool only_ours; /* of the rows that are shown */
};

static void keep(void *context, const struct core_run_record *record)
{
    struct findings *findings = context;
    const struct core_supervisor *supervisor = findings->supervisor;
    struct core_active *active;
    struct core_job_state *job;

    if (findings->only_ours && !rc_str_eq(record->executor, supervisor->self.id))
        return;
    if (findings->count == findings->capacity) {
        findings->capacity = findings->capacity ? 2 * findings->capacity : 16;
        findings->items =
            rc_realloc(findings->items, findings->capacity * sizeof(*findings->items));
    }
    active = core_active_new(record->id, record->job);
    job = core_jobs_find(supervisor->jobs, active->job_name);
    active->trigger = rc_strdup(record->trigger);
    active->set = rc_strdup(record->set);
    active->has_slot = record->has_slot;
    active->slot_unix_ms = record->slot_unix_ms;
    active->due_unix_ms = record->due_unix_ms;
    active->not_before_unix_ms = record->not_before_unix_ms;
    active->attempt = record->attempt;
    active->attempts = record->attempts;
    active->force = record->force;
    active->made_up = true; /* its lateness is not of its slot */
    active->overlap = job ? core_overlap_of(job->settings) : CORE_OVERLAP_FORBID;
    findings->items[findings->count++] = (struct found){
        .active = active,
        .is_started = record->status == CORE_RUN_STARTED,
        .wish = core_supervisor_wish_of(record),
        .is_here = !core_ledger_is_shared(supervisor->ledger) ||
                   rc_str_eq(record->host, supervisor->self.process.host),
        .spool = rc_strdup(record->spool),
    };
}

static void clear(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        core_active_free(findings->items[i].active);
        free(findings->items[i].spool);
    }
    free(findings->items);
}

/* Nobody can say how it ended. */
static void settle_as_lost(struct core_supervisor *supervisor, struct core_active *active)
{
    active->result = (struct core_attempt_result){
        .status = rc_strdup("lost"),
        .reason = rc_strdup("daemon_lost"),
        .message = rc_strdup("the daemon that had started it is gone, and left nothing on this "
                             "machine that tells how it ended"),
        .exit_status = -1,
        .finished_unix_ms = core_clock_now_unix_ms(),
    };
    core_runs_set_state(&supervisor->runs, active, CORE_ACTIVE_ENDED);
    core_runs_list(&supervisor->runs, active);
}

/* What it goes on with once its state is known. */
static void resume_as(struct core_supervisor *supervisor, struct core_active *active,
                      struct core_attempt *attempt, enum core_attempt_state state)
{
    const char *stop = active->stop;

    active->stop = NULL;
    if (state == CORE_ATTEMPT_ALIVE && !active->is_here) { /* a folder that machines share */
        core_attempt_close(attempt, /* settled = */ false);
        settle_as_lost(supervisor, active);
    } else if (state != CORE_ATTEMPT_NEVER) {
        core_supervisor_take_attempt(supervisor, active, attempt, state == CORE_ATTEMPT_ALIVE);
    } else if (!active->is_here) {
        settle_as_lost(supervisor, active);
    } else if (!stop) {
        core_supervisor_fork(supervisor, active);
    }
    if (stop) /* asked for while nobody knew */
        core_supervisor_stop_run(supervisor, active, stop);
}

/*
 * Without a guard's file nothing was forked, if it was to be forked on this machine: then it begins
 * now. If it was elsewhere, it may go on there, and is lost to us. While the files cannot be looked
 * at for want of a descriptor or memory, it may live, and nothing is concluded.
 */
void core_supervisor_look_at_attempt(struct core_supervisor *supervisor, struct core_active *active)
{
    enum core_attempt_state state = CORE_ATTEMPT_NEVER;
    char text[2 * RC_ERROR_TEXT + 4];
    struct rc_error err = RC_ERROR_INIT;
    struct core_attempt attempt;

    if (supervisor->fork_timer.loop) /* its next turn looks again */
        return;
    if (core_attempt_find(active->unsure_folder, active->attempt, &attempt, &state, &err) &&
        rc_retryable(err.code)) {
        core_supervisor_put_off(supervisor, active, &err);
        return;
    }
    free(active->unsure_folder);
    active->unsure_folder = NULL;
    if (err.code == RC_OK) {
        resume_as(supervisor, active, &attempt, state);
        return;
    }
    core_supervisor_log(supervisor, RC_LOG_WARN, active, "cannot tell what became of it: %s",
                        core_error_text(&err, text, sizeof(text)));
    settle_as_lost(supervisor, active);
}

static void resume_started(struct core_supervisor *supervisor, const struct found *found,
                           struct core_active *active)
{
    active->is_here = found->is_here;
    active->stop = found->wish;
    active->unsure_folder =
        rc_strf("%s/runs/%s", found->spool ? found->spool : supervisor->spool, active->id);
    core_supervisor_look_at_attempt(supervisor, active);
}

/* A slot that was claimed, but so long ago that it would not be made up for, does not run now. */
static bool is_too_old(const struct core_supervisor *supervisor, const struct core_active *active)
{
    return active->has_slot && active->attempt == 0 &&
           active->slot_unix_ms + active->job->settings->catchup_window_ms <
               supervisor->awake_since_unix_ms;
}

static void resume(struct core_supervisor *supervisor, struct found *found)
{
    struct core_active *active = found->active;
    struct core_job_state *job = core_jobs_find(supervisor->jobs, active->job_name);

    found->active = NULL; /* the table has it */
    active->owner = supervisor;
    active->state = found->is_started ? CORE_ACTIVE_CLAIMED : CORE_ACTIVE_WAITS;
    core_runs_add(&supervisor->runs, job, active);
    if (found->is_started)
        resume_started(supervisor, found, active);
    else if (!job)
        core_supervisor_stop_run(supervisor, active, "removed");
    else if (found->wish)
        core_supervisor_stop_run(supervisor, active, found->wish);
    else if (is_too_old(supervisor, active))
        core_supervisor_stop_run(supervisor, active, "misfire");
    else
        core_runs_place(&supervisor->runs, active, core_clock_now_unix_ms());
}

enum rc_code core_supervisor_take_over(struct core_supervisor *supervisor, struct rc_error *err)
{
    struct findings findings = { .supervisor = supervisor };
    enum rc_code code = core_supervisor_begin(supervisor, err);

    if (code == RC_OK) {
        code = core_ledger_take_over(supervisor->ledger, core_clock_now_unix_ms(), keep, &findings,
                                     err);
        if (code == RC_OK)
            code = core_ledger_commit(supervisor->ledger, err);
        else
            core_ledger_rollback(supervisor->ledger);
    }
    /* Without a commit somebody finds them again: another one, or core_supervisor_resync(). */
    for (size_t i = 0; i < findings.count && code == RC_OK; i++) {
        if (core_runs_find(&supervisor->runs, findings.items[i].active->id))
            continue; /* it was ours before we had been taken for dead */
        resume(supervisor, &findings.items[i]);
        supervisor->totals.taken_over++;
    }
    clear(&findings);
    return code ? rc_context(err, "take over what other daemons left") : RC_OK;
}

/* A row that memory has too. It may differ where a commit took effect of which nobody knew. */
static void compare(struct core_supervisor *supervisor, struct core_active *active,
                    struct found *found)
{
    if (active->state != CORE_ACTIVE_WAITS || active->stop)
        return;
    if (!found->is_started) {
        core_runs_place(&supervisor->runs, active, core_clock_now_unix_ms());
        return;
    }
    active->attempt = found->active->attempt;
    active->claimed_mono_ms = 0;
    core_runs_set_state(&supervisor->runs, active, CORE_ACTIVE_CLAIMED);
    core_supervisor_fork(supervisor, active);
}

enum rc_code core_supervisor_resync(struct core_supervisor *supervisor, struct rc_error *err)
{
    struct findings findings = { .supervisor = supervisor, .only_ours = true };
    const struct core_run_filter filter = {
        .statuses = 1u << CORE_RUN_DUE | 1u << CORE_RUN_STARTED,
    };
    enum rc_code code = core_ledger_runs(supervisor->ledger, &filter, keep, &findings, err);

    for (size_t i = 0; i < findings.count && code == RC_OK; i++) {
        struct found *found = &findings.items[i];
        struct core_active *known = core_runs_find(&supervisor->runs, found->active->id);

        if (known)
            compare(supervisor, known, found);
        else if (!supervisor->stop_calls)
            resume(supervisor, found);
    }
    clear(&findings);
    return code ? rc_context(err, "compare with the ledger") : RC_OK;
}
