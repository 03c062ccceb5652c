/*
 * One turn: everything that is to be written now goes into one transaction, and what follows from
 * it is done when that is committed. Where the commit fails nothing has happened in memory, and
 * nothing was forked.
 */
#include <supervisor/internal.h>

#include <os/clock.h>

#include <stdlib.h>
#include <string.h>

void core_supervisor_arm(struct core_supervisor *supervisor)
{
    if (!supervisor->turn_timer.loop)
        core_timer_set(supervisor->loop, &supervisor->turn_timer, core_clock_mono_ms());
}

/* Those whose time has come: their turn may have too. */
static void wake_later(struct core_supervisor *supervisor, int64_t now_unix_ms)
{
    struct core_heap *later = &supervisor->runs.later;
    struct core_heap_item *first;

    while ((first = core_heap_first(later)) && first->key <= now_unix_ms)
        core_runs_place(
            &supervisor->runs,
            (struct core_active *)(void *)((char *)first - offsetof(struct core_active, place)),
            now_unix_ms);
}

static bool may_start_any(const struct core_supervisor *supervisor)
{
    const struct core_plan none = { .starting = 0 };

    return core_supervisor_may_start(supervisor, &none);
}

/* What waits and may begin, but for the pace. */
static bool has_ready(const struct core_supervisor *supervisor)
{
    return core_heap_first(&supervisor->runs.ready) && may_start_any(supervisor);
}

static bool has_due(const struct core_supervisor *supervisor, int64_t now_unix_ms)
{
    const struct core_heap_item *due = core_heap_first(&supervisor->jobs->due);

    return due && due->key <= now_unix_ms;
}

/*
 * Whether what is due is claimed only when it can be forked at once. Otherwise it is recorded to
 * wait: where many runs wait before it, or other limits hold it up, or the configuration is to
 * change.
 */
static bool claims_at_pace(const struct core_supervisor *supervisor)
{
    return !supervisor->next_jobs && supervisor->runs.ready.count < CORE_PACE_BEFORE &&
           may_start_any(supervisor);
}

static bool has_work(struct core_supervisor *supervisor, int64_t now_unix_ms)
{
    bool has_room = core_pace_has_room(&supervisor->runs.pace);

    if (supervisor->runs.to_write || supervisor->rewind.is_unwritten)
        return true;
    if (supervisor->stop_calls)
        return false;
    return (has_due(supervisor, now_unix_ms) && (has_room || !claims_at_pace(supervisor))) ||
           (has_ready(supervisor) && has_room);
}

/* Nobody tells that what was forked is at work, so that it is looked at again. */
static void look_for_room(struct core_supervisor *supervisor)
{
    if (!supervisor->turn_timer.loop)
        core_timer_set(supervisor->loop, &supervisor->turn_timer,
                       core_clock_mono_ms() + CORE_PACE_LOOK_MS);
}

static void set_timers(struct core_supervisor *supervisor)
{
    const struct core_heap_item *due = core_heap_first(&supervisor->jobs->due);
    const struct core_heap_item *later = core_heap_first(&supervisor->runs.later);
    int64_t at_unix_ms = due ? due->key : CORE_NEVER_UNIX_MS;
    int64_t seen_unix_ms = supervisor->seen_unix_ms;

    if (later && later->key < at_unix_ms)
        at_unix_ms = later->key;
    if (has_work(supervisor, seen_unix_ms))
        core_supervisor_arm(supervisor);
    else if (!supervisor->stop_calls &&
             (has_ready(supervisor) || has_due(supervisor, seen_unix_ms)))
        look_for_room(supervisor);
    if (supervisor->stop_calls || at_unix_ms == CORE_NEVER_UNIX_MS || at_unix_ms <= seen_unix_ms)
        core_timer_cancel(&supervisor->slot_timer); /* the turn's timer is set for what is due */
    else
        core_timer_set(supervisor->loop, &supervisor->slot_timer, at_unix_ms);
    if (!supervisor->stop_calls && at_unix_ms != CORE_NEVER_UNIX_MS)
        supervisor->expected_unix_ms = at_unix_ms > seen_unix_ms ? at_unix_ms : seen_unix_ms;
}

/* ---- after the transaction ---------------------------------------------------------------- */

/* A new run replaces those of its job that are there already: the newest stays. */
static void replace_others(struct core_supervisor *supervisor, struct core_active *active)
{
    struct core_active *later;

    for (struct core_active *other = active->job->first; other; other = later) {
        later = other->later;
        if (other != active)
            core_supervisor_stop_run(supervisor, other, "replaced");
    }
}

static void apply_add(struct core_supervisor *supervisor, struct core_active *active,
                      const struct core_plan *plan)
{
    struct core_runs *runs = &supervisor->runs;
    struct core_job_state *job = core_jobs_find(supervisor->jobs, active->job_name);

    active->owner = supervisor;
    core_runs_add(runs, job, active);
    if (active->state == CORE_ACTIVE_CLAIMED) {
        active->claimed_mono_ms = plan->began_mono_ms;
        core_supervisor_fork(supervisor, active);
        return;
    }
    if (active->overlap == CORE_OVERLAP_REPLACE && !active->force)
        replace_others(supervisor, active);
    core_runs_place(runs, active, plan->now_unix_ms);
}

static void apply_one(struct core_supervisor *supervisor, struct core_active *active,
                      const struct core_plan *plan)
{
    enum core_planned what = active->plan;
    struct core_job_state *job = active->job;

    active->plan = CORE_PLAN_NONE;
    switch (what) {
    case CORE_PLAN_ADD:
        apply_add(supervisor, active, plan);
        break;
    case CORE_PLAN_START:
        active->attempt++;
        active->claimed_mono_ms = plan->began_mono_ms;
        core_runs_set_state(&supervisor->runs, active, CORE_ACTIVE_CLAIMED);
        core_supervisor_fork(supervisor, active);
        break;
    case CORE_PLAN_END:
        core_supervisor_apply_end(supervisor, active, plan->now_unix_ms);
        break;
    case CORE_PLAN_FORGET:
        core_runs_remove(&supervisor->runs, active);
        core_runs_wake(&supervisor->runs, job, plan->now_unix_ms);
        if (job && !job->due.place) /* one more may wait */
            core_supervisor_schedule_job(supervisor, job);
        break;
    case CORE_PLAN_NONE:
        break;
    }
}

/*
 * What is left of a backlog comes behind all that is due by now: however many missed slots are to
 * be recorded, no other job is late because of them.
 */
static void schedule_rest(struct core_supervisor *supervisor, struct core_job_state *job)
{
    core_supervisor_schedule_job(supervisor, job);
    if (job->due.place && job->due.key < supervisor->seen_unix_ms)
        core_heap_put(&supervisor->jobs->due, &job->due, supervisor->seen_unix_ms);
}

static void apply(struct core_supervisor *supervisor, struct core_plan *plan)
{
    struct core_active *next;

    for (size_t i = 0; i < plan->touched_count; i++) {
        struct core_touched *touched = &plan->touched[i];
        if (touched->skipped)
            core_job_counts_of(touched->job)->ended[CORE_RUN_SKIPPED] += touched->skipped;
    }
    for (struct core_active *active = plan->first; active; active = next) {
        next = active->next_planned;
        apply_one(supervisor, active, plan);
    }
    for (size_t i = 0; i < plan->touched_count; i++)
        schedule_rest(supervisor, plan->touched[i].job);
    if (plan->has_notices)
        core_notices_wake(supervisor->notices);
}

/* Everything is as before the turn. */
static void undo(struct core_supervisor *supervisor, struct core_plan *plan)
{
    struct core_active *next;

    for (struct core_active *active = plan->first; active; active = next) {
        enum core_planned what = active->plan;

        next = active->next_planned;
        active->plan = CORE_PLAN_NONE;
        if (what == CORE_PLAN_ADD)
            core_active_free(active);
        else if (active->state == CORE_ACTIVE_ENDED || active->stop)
            core_runs_list(&supervisor->runs, active);
        else
            core_runs_place(&supervisor->runs, active, plan->now_unix_ms);
    }
    for (size_t i = 0; i < plan->touched_count; i++) {
        const struct core_touched *touched = &plan->touched[i];

        touched->job->cursor_unix_ms = touched->cursor_unix_ms;
        touched->job->next_unix_ms = touched->next_unix_ms;
        touched->job->startup_due = touched->startup_due;
        core_supervisor_schedule_job(supervisor, touched->job);
    }
}

/* Before all else: what else is written is of the time that the clock shows now. */
static enum rc_code write_rewind(struct core_supervisor *supervisor, struct rc_error *err)
{
    if (!supervisor->rewind.is_unwritten)
        return RC_OK;
    return core_ledger_rewind(supervisor->ledger, supervisor->rewind.from_unix_ms,
                              supervisor->rewind.to_unix_ms, err);
}

enum rc_code core_supervisor_write(struct core_supervisor *supervisor, core_plan_fn *fn,
                                   void *context, struct rc_error *err)
{
    struct core_plan plan = {
        .now_unix_ms = supervisor->seen_unix_ms,
        .began_mono_ms = core_clock_mono_ms(),
        .may_fork = core_pace_left(&supervisor->runs.pace),
    };
    enum rc_code code;

    plan.last = &plan.first;
    code = core_supervisor_begin(supervisor, err);
    if (code == RC_OK) {
        code = write_rewind(supervisor, err);
        if (code == RC_OK)
            code = fn(supervisor, &plan, context, err);
        if (code == RC_OK)
            code = core_ledger_commit(supervisor->ledger, err);
        else
            core_ledger_rollback(supervisor->ledger);
    }
    if (code == RC_OK) {
        supervisor->away_failures = 0;
        supervisor->rewind.is_unwritten = false;
        apply(supervisor, &plan);
    } else {
        undo(supervisor, &plan);
        core_supervisor_lost_database(supervisor, err);
        code = RC_UNAVAILABLE;
        err->code = code;
    }
    free(plan.touched);
    return code;
}

/* ---- the turn ----------------------------------------------------------------------------- */

/* Where both what waits and what is due want the same room, they take turns in being the first. */
static enum rc_code write_all(struct core_supervisor *supervisor, struct core_plan *plan,
                              void *context, struct rc_error *err)
{
    bool due_first;

    (void)context;
    plan->at_pace = claims_at_pace(supervisor);
    if (core_supervisor_write_ends(supervisor, plan, err))
        return err->code;
    if (supervisor->stop_calls)
        return RC_OK;
    supervisor->due_first = !supervisor->due_first;
    due_first = supervisor->due_first && plan->at_pace;
    if (due_first && core_supervisor_claim_due(supervisor, plan, err))
        return err->code;
    if (core_supervisor_start_waiting(supervisor, plan, err))
        return err->code;
    return due_first ? RC_OK : core_supervisor_claim_due(supervisor, plan, err);
}

void core_supervisor_turn(struct core_supervisor *supervisor)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t now_unix_ms;

    if (supervisor->away) {
        core_supervisor_look_at_stop(supervisor); /* which does not wait for the database */
        return;
    }
    now_unix_ms = core_supervisor_look_at_clock(supervisor);
    wake_later(supervisor, now_unix_ms);
    if (has_work(supervisor, now_unix_ms) &&
        core_supervisor_write(supervisor, write_all, NULL, &err))
        return; /* the database is away; recovery takes it from here */
    set_timers(supervisor);
    core_supervisor_look_at_stop(supervisor);
}
