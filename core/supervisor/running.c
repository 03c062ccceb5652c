/*
 * Runs: their guards are forked, their ends are heard and written, they are stopped and tried
 * again. What a guard does by itself, such as timeouts and logs, stands in runtime/attempt.h.
 */
#include <supervisor/internal.h>

#include <config/json.h>
#include <os/clock.h>
#include <runtime/exit.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How soon a run is looked at again that waits for one of another daemon. */
#define ELSEWHERE_MS INT64_C(1000)

/* ---- beginning ---------------------------------------------------------------------------- */

static void on_end(void *context)
{
    struct core_active *active = context;
    struct core_supervisor *supervisor = active->owner;

    core_watch_end(active->watch);
    active->watch = NULL;
    core_attempt_result(&active->tried, &active->result);
    core_runs_set_state(&supervisor->runs, active, CORE_ACTIVE_ENDED);
    core_runs_list(&supervisor->runs, active);
    core_supervisor_arm(supervisor);
    core_supervisor_look_at_stop(supervisor);
}

void core_supervisor_put_off(struct core_supervisor *supervisor, const struct core_active *active,
                             const struct rc_error *err)
{
    char text[2 * RC_ERROR_TEXT + 4];

    supervisor->fork_error = *err;
    if (supervisor->fork_failures == 0)
        core_supervisor_log(supervisor, RC_LOG_ERROR, active,
                            "cannot start a run, and tries again until it can: %s",
                            core_error_text(err, text, sizeof(text)));
    core_timer_set(supervisor->loop, &supervisor->fork_timer,
                   core_clock_mono_ms() +
                       core_backoff_ms(&core_backoff_near, ++supervisor->fork_failures));
}

static void watch(struct core_supervisor *supervisor, struct core_active *active)
{
    struct rc_error err = RC_ERROR_INIT;

    if (core_loop_watch_process(supervisor->loop, active->tried.pidfd, on_end, active,
                                &active->watch, &err)) {
        active->watch = NULL;
        core_supervisor_put_off(supervisor, active, &err);
    }
}

static void forget_all(void *context)
{
    core_supervisor_forget(context);
}

/* The parameters of a trigger. Mistakes in them were found when it was made. */
static const struct core_node *read_set(struct core_active *active, struct core_arena *arena)
{
    CORE_PROBLEMS_AUTO(problems);

    if (!active->set)
        return NULL;
    return core_json_read_set(arena, active->set, strlen(active->set), &problems);
}

static enum rc_code start_attempt(struct core_supervisor *supervisor, struct core_active *active,
                                  struct rc_error *err)
{
    const struct core_job_settings *job = active->job->settings;
    RC_STR_AUTO folder = rc_strf("%s/%s", supervisor->runs_folder, active->id);
    struct core_arena arena = CORE_ARENA_INIT;
    int64_t now_unix_ms = core_clock_now_unix_ms();
    struct core_attempt_request request = {
        .request = { .config = supervisor->config,
                     .job = job,
                     .plugin = job->plugin,
                     .action = job->action,
                     .set = read_set(active, &arena),
                     .now_unix_ms = now_unix_ms,
                     .force = active->force,
                     .log_level = supervisor->config->settings.log_level },
        .run_id = active->id,
        .folder = folder,
        .number = active->attempt,
        .slot_unix_ms = active->has_slot ? active->slot_unix_ms : now_unix_ms,
        .lease_boot_ms = core_supervisor_lease_end_boot_ms(supervisor),
        .forget = forget_all,
        .context = supervisor,
    };
    enum rc_code code = core_attempt_start(&request, &active->tried, err);

    core_arena_clear(&arena);
    return code;
}

void core_supervisor_fork(struct core_supervisor *supervisor, struct core_active *active)
{
    struct rc_error err = RC_ERROR_INIT;

    if (active->unsure_folder) {
        core_supervisor_look_at_attempt(supervisor, active);
        return;
    }
    if (!active->job) { /* removed from the configuration meanwhile */
        core_supervisor_stop_run(supervisor, active, "removed");
        return;
    }
    if (supervisor->fork_timer.loop) /* the next attempt at forking takes it along */
        return;
    if (start_attempt(supervisor, active, &err)) {
        active->tried.pidfd = -1;
        core_supervisor_put_off(supervisor, active, &err);
        return;
    }
    core_runs_set_state(&supervisor->runs, active, CORE_ACTIVE_RUNS);
    core_pace_add(&supervisor->runs.pace, active);
    core_count_start(supervisor, active);
    core_supervisor_log(supervisor, RC_LOG_INFO, active, "started attempt %lld of %lld, %s",
                        (long long)active->attempt, (long long)active->attempts,
                        active->trigger ? active->trigger : "taken over");
    watch(supervisor, active);
}

void core_supervisor_take_attempt(struct core_supervisor *supervisor, struct core_active *active,
                                  const struct core_attempt *attempt, bool alive)
{
    active->tried = *attempt;
    active->adopted = true;
    core_runs_set_state(&supervisor->runs, active, CORE_ACTIVE_RUNS);
    if (!alive) {
        on_end(active);
        return;
    }
    supervisor->totals.adopted++;
    core_attempt_extend(&active->tried, core_supervisor_lease_end_boot_ms(supervisor));
    core_supervisor_log(supervisor, RC_LOG_INFO, active,
                        "adopted attempt %lld, which outlived the daemon that had started it",
                        (long long)active->attempt);
    watch(supervisor, active);
}

struct forking {
    struct core_supervisor *supervisor;
    bool has_started;
};

static void fork_again(void *context, struct core_active *active)
{
    struct forking *forking = context;
    struct core_supervisor *supervisor = forking->supervisor;

    if (supervisor->fork_timer.loop)
        return; /* it failed again */
    if (active->state == CORE_ACTIVE_RUNS && !active->watch)
        watch(supervisor, active);
    else if (active->state == CORE_ACTIVE_CLAIMED && !supervisor->stop_calls &&
             (!active->stop || active->unsure_folder))
        core_supervisor_fork(supervisor, active);
    else
        return;
    forking->has_started = true;
}

void core_supervisor_fork_again(void *context)
{
    struct core_supervisor *supervisor = context;
    struct forking forking = { .supervisor = supervisor };

    core_runs_each(&supervisor->runs, fork_again, &forking);
    if (supervisor->fork_timer.loop)
        return;
    supervisor->fork_failures = 0;
    if (forking.has_started)
        core_supervisor_log(supervisor, RC_LOG_INFO, NULL, "runs can be started again");
    core_supervisor_arm(supervisor);
}

/* In a transaction: one whose turn it is. That it may not start is no failure of the turn. */
static enum rc_code start_one(struct core_supervisor *supervisor, struct core_plan *plan,
                              struct core_active *active, struct rc_error *err)
{
    struct rc_error refusal = RC_ERROR_INIT;

    plan->step.rows++;
    switch (core_ledger_start(supervisor->ledger, active->id, active->overlap, active->attempt + 1,
                              plan->now_unix_ms, &refusal)) {
    case RC_OK:
        plan->starting++;
        core_plan_add(plan, active, CORE_PLAN_START);
        return RC_OK;
    case RC_SKIPPED: /* another daemon has a run of the job */
        active->not_before_unix_ms = plan->now_unix_ms + ELSEWHERE_MS * core_clock_speed();
        core_runs_place(&supervisor->runs, active, plan->now_unix_ms);
        return RC_OK;
    case RC_CANCELLED:
        core_supervisor_stop_run(supervisor, active, "cancelled");
        return RC_OK;
    case RC_CONFLICT:
        core_plan_add(plan, active, CORE_PLAN_FORGET);
        return RC_OK;
    default:
        core_runs_place(&supervisor->runs, active, plan->now_unix_ms);
        *err = refusal;
        return rc_context(err, "start the run '%s'", active->id);
    }
}

enum rc_code core_supervisor_start_waiting(struct core_supervisor *supervisor,
                                           struct core_plan *plan, struct rc_error *err)
{
    struct core_heap_item *first;

    core_plan_begin_step(plan);
    while (core_plan_has_room(plan) && core_plan_may_fork(plan) &&
           core_supervisor_may_start(supervisor, plan) &&
           (first = core_heap_first(&supervisor->runs.ready))) {
        core_heap_take(first);
        if (start_one(
                supervisor, plan,
                (struct core_active *)(void *)((char *)first - offsetof(struct core_active, place)),
                err))
            return err->code;
    }
    return RC_OK;
}

/* ---- ending ------------------------------------------------------------------------------- */

void core_supervisor_stop_run(struct core_supervisor *supervisor, struct core_active *active,
                              const char *reason)
{
    if (active->stop && active->state != CORE_ACTIVE_RUNS)
        return;
    active->stop = reason;
    if (active->unsure_folder) /* once it is known whether there is something to stop */
        return;
    switch (active->state) {
    case CORE_ACTIVE_RUNS:
        core_attempt_stop(&active->tried, reason);
        break;
    case CORE_ACTIVE_WAITS:
    case CORE_ACTIVE_CLAIMED:
        core_heap_take(&active->place);
        core_runs_list(&supervisor->runs, active);
        core_supervisor_arm(supervisor);
        break;
    case CORE_ACTIVE_ENDED:
        break;
    }
}

static enum core_run_status status_of(const struct core_active *active)
{
    enum core_run_status status;

    if (active->state == CORE_ACTIVE_ENDED)
        return core_run_status_parse(active->result.status ? active->result.status : "lost",
                                     &status)
                   ? status
                   : CORE_RUN_LOST;
    /* It never began, or waited for a further attempt: whoever asked for its end is the reason. */
    return active->attempt > 0 || strcmp(active->stop, "cancelled") == 0 ? CORE_RUN_CANCELLED
                                                                         : CORE_RUN_SKIPPED;
}

/* Whether how an attempt ended may be otherwise later; a mistake in the configuration stays one. */
static bool may_pass(const struct core_active *active)
{
    switch (status_of(active)) {
    case CORE_RUN_TIMED_OUT:
    case CORE_RUN_LOST:
        return true;
    case CORE_RUN_FAILED:
        return active->result.exit_status != CORE_EXIT_USAGE;
    case CORE_RUN_SKIPPED: /* by the action itself: whatever else skips a run starts none */
        return active->job->settings->retry.skipped;
    default:
        return false;
    }
}

/* Not what somebody stopped. */
static bool is_tried_again(const struct core_active *active)
{
    return active->state == CORE_ACTIVE_ENDED && active->job && !active->stop &&
           active->attempt < active->attempts && may_pass(active);
}

static int64_t retry_pause_ms(const struct core_active *active)
{
    const struct core_job_settings *job = active->job->settings;
    const struct core_backoff backoff = { .first_ms = job->retry.backoff_ms,
                                          .longest_ms = job->retry.max_backoff_ms };

    return core_backoff_ms(&backoff, active->attempt) * core_clock_speed();
}

static enum rc_code tell(struct core_supervisor *supervisor, struct core_plan *plan,
                         const struct core_active *active, const struct core_attempt_end *end,
                         struct rc_error *err)
{
    struct core_ended_run ended = {
        .job = active->job ? active->job->settings : NULL,
        .run = active->id,
        .trigger = active->trigger,
        .action = end->action   ? end->action
                  : active->job ? active->job->settings->action
                                : NULL,
        .status = end->status,
        .reason = end->reason,
        .message = end->message,
        .attempt = active->attempt,
        .gave_up = active->attempt > 1 && end->status == CORE_RUN_SKIPPED,
        .has_slot = active->has_slot,
        .slot_unix_ms = active->slot_unix_ms,
        .started_unix_ms = end->started_unix_ms,
        .finished_unix_ms = end->finished_unix_ms,
    };

    return ended.job && !end->retry_unix_ms ? core_plan_notice(supervisor, plan, &ended, err)
                                            : RC_OK;
}

/* In a transaction. */
static enum rc_code write_end(struct core_supervisor *supervisor, struct core_plan *plan,
                              struct core_active *active, struct rc_error *err)
{
    int64_t now_unix_ms = plan->now_unix_ms;
    const struct core_attempt_result *result = &active->result;
    bool ended = active->state == CORE_ACTIVE_ENDED;
    struct core_attempt_end end = {
        .status = status_of(active),
        .reason = ended ? result->reason : active->stop,
        .message = ended ? result->message : NULL,
        .counters = ended ? result->counters : NULL,
        .action = ended ? result->action : NULL,
        .exit_status = ended ? result->exit_status : -1,
        .started_unix_ms = ended ? result->started_unix_ms : 0,
        .finished_unix_ms =
            ended && result->finished_unix_ms ? result->finished_unix_ms : now_unix_ms,
    };

    enum rc_code code;

    if (is_tried_again(active))
        end.retry_unix_ms = now_unix_ms + retry_pause_ms(active);
    active->not_before_unix_ms = end.retry_unix_ms;
    if (active->state == CORE_ACTIVE_WAITS)
        code = core_ledger_drop(supervisor->ledger, active->id, end.status, active->stop,
                                now_unix_ms, err);
    else
        code = core_ledger_finish(supervisor->ledger, active->id, active->attempt, &end, err);
    return code ? code : tell(supervisor, plan, active, &end, err);
}

struct state_of_row {
    const char *self;
    bool is_ours_and_due;
    int64_t attempt, not_before_unix_ms;
};

static void look_at_row(void *context, const struct core_run_record *record)
{
    struct state_of_row *row = context;

    row->is_ours_and_due = record->status == CORE_RUN_DUE && rc_str_eq(record->executor, row->self);
    row->attempt = record->attempt;
    row->not_before_unix_ms = record->not_before_unix_ms;
}

/*
 * The ledger did not take the end: it has it already, from a commit of which nobody knew, or the
 * run is another's by now. In the first case it may wait for its next attempt here.
 */
static enum rc_code settle_refused(struct core_supervisor *supervisor, struct core_plan *plan,
                                   struct core_active *active, struct rc_error *err)
{
    struct state_of_row row = { .self = supervisor->self.id };
    enum rc_code code = core_ledger_run(supervisor->ledger, active->id, look_at_row, &row, err);

    if (code != RC_OK && code != RC_NOT_FOUND)
        return code;
    *err = (struct rc_error)RC_ERROR_INIT;
    if (row.is_ours_and_due && row.attempt == active->attempt && !active->stop) {
        active->not_before_unix_ms = row.not_before_unix_ms ? row.not_before_unix_ms : 1;
        core_plan_add(plan, active, CORE_PLAN_END);
    } else {
        core_plan_add(plan, active, CORE_PLAN_FORGET);
    }
    return RC_OK;
}

enum rc_code core_supervisor_write_ends(struct core_supervisor *supervisor, struct core_plan *plan,
                                        struct rc_error *err)
{
    core_plan_begin_step(plan);
    while (core_plan_has_room(plan)) {
        struct core_active *active = core_runs_unlist(&supervisor->runs);
        enum rc_code code;

        if (!active)
            return RC_OK;
        plan->step.rows++;
        code = write_end(supervisor, plan, active, err);
        if (code == RC_OK)
            core_plan_add(plan, active, CORE_PLAN_END);
        else if (code == RC_CONFLICT)
            code = settle_refused(supervisor, plan, active, err);
        if (code != RC_OK) {
            core_runs_list(&supervisor->runs, active);
            return rc_context(err, "record the end of the run '%s'", active->id);
        }
    }
    return RC_OK;
}

/* Empty where nobody knows when it began, or the clock was set back. */
static char *duration_text(const struct core_attempt_result *result)
{
    int64_t took_ms = result->finished_unix_ms - result->started_unix_ms;

    if (result->started_unix_ms == 0 || took_ms < 0)
        return rc_strdup("");
    return rc_strf(" after %.1f seconds", (double)took_ms / 1000.0);
}

static void log_end(const struct core_supervisor *supervisor, const struct core_active *active,
                    int64_t now_unix_ms)
{
    const struct core_attempt_result *result = &active->result;
    const char *status = core_run_status_name(status_of(active));
    RC_STR_AUTO took = duration_text(result);

    if (active->state != CORE_ACTIVE_ENDED) {
        core_supervisor_log(supervisor, RC_LOG_INFO, active, "%s before it began: %s", status,
                            active->stop);
        return;
    }
    core_supervisor_log(supervisor, RC_LOG_INFO, active, "attempt %lld %s%s%s%s",
                        (long long)active->attempt, status, took,
                        result->message && result->message[0] ? ": " : "",
                        result->message ? result->message : "");
    if (active->not_before_unix_ms)
        core_supervisor_log(supervisor, RC_LOG_INFO, active, "tries again in %.1f seconds",
                            (double)(active->not_before_unix_ms - now_unix_ms) / 1000.0);
}

void core_supervisor_apply_end(struct core_supervisor *supervisor, struct core_active *active,
                               int64_t now_unix_ms)
{
    struct core_runs *runs = &supervisor->runs;
    struct core_job_state *job = active->job;
    bool again = active->not_before_unix_ms != 0;

    log_end(supervisor, active, now_unix_ms);
    core_count_end(supervisor, job, status_of(active),
                   active->state == CORE_ACTIVE_ENDED ? &active->result : NULL, again);
    if (active->state == CORE_ACTIVE_ENDED) {
        core_attempt_close(&active->tried, /* settled = */ true);
        active->tried = (struct core_attempt){ .pidfd = -1 };
        core_attempt_result_clear(&active->result);
    }
    core_runs_set_state(runs, active, CORE_ACTIVE_WAITS);
    if (again)
        core_runs_place(runs, active, now_unix_ms);
    else
        core_runs_remove(runs, active);
    core_runs_wake(runs, job, now_unix_ms);
    if (job && !job->due.place)
        core_supervisor_schedule_job(supervisor, job);
}
