/*
 * Claims: from slots that are due, and from triggers, to rows of the ledger. All of it is in a
 * transaction; what follows from it in memory is only planned here (turn.c).
 */
#include <supervisor/internal.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void core_supervisor_make_run_id(struct core_supervisor *supervisor, char id[CORE_RUN_ID_TEXT],
                                 int64_t unix_ms)
{
    static const uint64_t mask = (UINT64_C(1) << 48) - 1;

    core_run_make_id(id, unix_ms);
    if (!supervisor->run_number)
        supervisor->run_number = (uint64_t)core_random_below(INT64_MAX) | 1u;
    /* Multiplied by an odd number modulo a power of two, each number becomes another one. */
    (void)snprintf(strrchr(id, '-'), 14, "-%012" PRIx64,
                   (supervisor->run_number++ * UINT64_C(0x9e3779b97f4a7c15)) & mask);
}

void core_plan_begin_step(struct core_plan *plan)
{
    plan->step.began_mono_ms = core_clock_mono_ms();
    plan->step.rows = 0;
}

bool core_plan_has_room(const struct core_plan *plan)
{
    return plan->step.rows == 0 || (plan->step.rows < CORE_STEP_ROWS &&
                                    core_clock_mono_ms() - plan->step.began_mono_ms < CORE_STEP_MS);
}

bool core_plan_may_fork(const struct core_plan *plan)
{
    return plan->starting < plan->may_fork;
}

void core_plan_add(struct core_plan *plan, struct core_active *active, enum core_planned what)
{
    active->plan = what;
    active->next_planned = NULL;
    *plan->last = active;
    plan->last = &active->next_planned;
}

enum core_overlap_rule core_overlap_of(const struct core_job_settings *job)
{
    switch ((enum core_concurrency)job->concurrency) {
    case CORE_ALLOW:
        return CORE_OVERLAP_ALLOW;
    case CORE_REPLACE:
        return CORE_OVERLAP_REPLACE;
    case CORE_QUEUE:
        return CORE_OVERLAP_QUEUE;
    case CORE_FORBID:
        break;
    }
    return CORE_OVERLAP_FORBID;
}

bool core_supervisor_may_start(const struct core_supervisor *supervisor,
                               const struct core_plan *plan)
{
    const struct core_runs *runs = &supervisor->runs;
    int64_t begun = runs->workers + runs->claimed + plan->starting;

    return !supervisor->stop_calls && supervisor->fork_failures == 0 &&
           begun < supervisor->config->settings.max_workers;
}

static struct core_touched *touch(struct core_plan *plan, struct core_job_state *job)
{
    if (plan->touched_count == plan->touched_capacity) {
        plan->touched_capacity = plan->touched_capacity ? 2 * plan->touched_capacity : 16;
        plan->touched = rc_realloc(plan->touched, plan->touched_capacity * sizeof(*plan->touched));
    }
    plan->touched[plan->touched_count] = (struct core_touched){
        .job = job,
        .cursor_unix_ms = job->cursor_unix_ms,
        .next_unix_ms = job->next_unix_ms,
        .startup_due = job->startup_due,
    };
    return &plan->touched[plan->touched_count++];
}

enum rc_code core_plan_notice(struct core_supervisor *supervisor, struct core_plan *plan,
                              struct core_ended_run *ended, struct rc_error *err)
{
    if (ended->job->notify.len == 0)
        return RC_OK;
    plan->has_notices = true;
    return core_notices_add(supervisor->ledger, ended, err);
}

/* The claim decided: plans what is ours, and returns how many rows now wait because of it. */
static void take_claim(struct core_plan *plan, const struct core_claim *claim,
                       enum core_claimed claimed, bool made_up, struct core_touched *touched)
{
    struct core_active *active;

    plan->step.rows++;
    if (claimed == CORE_CLAIM_SKIPPED && touched)
        touched->skipped++;
    if (claimed != CORE_CLAIM_STARTED && claimed != CORE_CLAIM_WAITS)
        return;
    active = core_active_new(claim->id, claim->job);
    active->trigger = rc_strdup(claim->trigger);
    active->set = rc_strdup(claim->set);
    active->has_slot = claim->has_slot;
    active->slot_unix_ms = claim->slot_unix_ms;
    active->due_unix_ms = claim->now_unix_ms;
    active->force = claim->force;
    active->overlap = claim->overlap;
    active->attempts = claim->attempts;
    active->made_up = made_up;
    if (claimed == CORE_CLAIM_STARTED) {
        active->state = CORE_ACTIVE_CLAIMED;
        active->attempt = 1;
        plan->starting++;
    }
    core_plan_add(plan, active, CORE_PLAN_ADD);
}

static struct core_claim claim_of(const struct core_job_state *job, const char *id,
                                  const struct core_plan *plan)
{
    const struct core_job_settings *settings = job->settings;

    return (struct core_claim){
        .id = id,
        .job = settings->name,
        .plugin = settings->plugin,
        .action = settings->action,
        .now_unix_ms = plan->now_unix_ms,
        .overlap = core_overlap_of(settings),
        .attempts = settings->retry.attempts,
    };
}

/* Slots of one job that a turn skipped for the same reason: one notice is enough for them. */
struct skipped {
    struct core_ended_run ended; /* the latest of them */
    char run[CORE_RUN_ID_TEXT];
};

static void note_skip(struct skipped *skipped, const struct core_job_state *job,
                      const struct core_claim *claim)
{
    int64_t slots = skipped->ended.slots;

    (void)snprintf(skipped->run, sizeof(skipped->run), "%s", claim->id);
    skipped->ended = (struct core_ended_run){
        .job = job->settings,
        .run = skipped->run,
        .trigger = claim->trigger,
        .action = claim->action,
        .status = CORE_RUN_SKIPPED,
        .reason = claim->skip ? claim->skip : "overlap",
        .has_slot = true,
        .slot_unix_ms = claim->slot_unix_ms,
        .finished_unix_ms = claim->now_unix_ms,
        .slots = slots + 1,
    };
}

/* What one look at a job came to. */
struct claiming {
    struct core_touched *touched;
    struct skipped missed, overlapped;
    bool waits; /* the latest slot */
};

static enum rc_code tell_of_skips(struct core_supervisor *supervisor, struct core_plan *plan,
                                  struct claiming *claiming, struct rc_error *err)
{
    struct core_ended_run *missed = &claiming->missed.ended;
    struct core_ended_run *overlapped = &claiming->overlapped.ended;

    if (missed->slots && core_plan_notice(supervisor, plan, missed, err))
        return err->code;
    return overlapped->slots ? core_plan_notice(supervisor, plan, overlapped, err) : RC_OK;
}

/*
 * One slot. Where all missed slots are made up for in order, those of a job that forbids overlap
 * wait for each other: otherwise the first of them would make all others be skipped.
 */
static enum rc_code claim_slot(struct core_supervisor *supervisor, struct core_plan *plan,
                               struct claiming *claiming, int64_t slot_unix_ms,
                               enum core_slot_verdict verdict, struct rc_error *err)
{
    const struct core_job_state *job = claiming->touched->job;
    char id[CORE_RUN_ID_TEXT] = "";
    struct core_claim claim = claim_of(job, id, plan);
    enum core_claimed claimed;

    core_supervisor_make_run_id(supervisor, id, plan->now_unix_ms);
    claim.trigger = job->startup_due ? "startup" : "schedule";
    claim.has_slot = true;
    claim.slot_unix_ms = slot_unix_ms;
    claim.may_start = core_plan_may_fork(plan) && core_supervisor_may_start(supervisor, plan);
    claim.skip = verdict == CORE_SLOT_PAUSED   ? "paused"
                 : verdict == CORE_SLOT_MISSED ? "misfire"
                                               : NULL;
    if (verdict == CORE_SLOT_MADE_UP && job->settings->misfire == CORE_MISFIRE_ALL &&
        claim.overlap == CORE_OVERLAP_FORBID)
        claim.overlap = CORE_OVERLAP_QUEUE;
    if (core_ledger_claim(supervisor->ledger, &claim, &claimed, err))
        return rc_context(err, "claim a slot of the job '%s'", job->settings->name);
    take_claim(plan, &claim, claimed, verdict == CORE_SLOT_MADE_UP, claiming->touched);
    if (claimed == CORE_CLAIM_SKIPPED && verdict != CORE_SLOT_PAUSED)
        note_skip(claim.skip ? &claiming->missed : &claiming->overlapped, job, &claim);
    claiming->waits = claimed == CORE_CLAIM_WAITS;
    return RC_OK;
}

static enum rc_code claim_startup(struct core_supervisor *supervisor, struct core_plan *plan,
                                  struct claiming *claiming, struct rc_error *err)
{
    struct core_job_state *job = claiming->touched->job;

    if (claim_slot(supervisor, plan, claiming, supervisor->started_unix_ms,
                   job->pause ? CORE_SLOT_PAUSED : CORE_SLOT_PUNCTUAL, err))
        return err->code;
    job->startup_due = false;
    return RC_OK;
}

/* Whether a slot that is due may be claimed now: forked at once, or recorded to wait. */
static bool may_claim(const struct core_plan *plan)
{
    return core_plan_may_fork(plan) || !plan->at_pace;
}

enum rc_code core_supervisor_claim_job(struct core_supervisor *supervisor, struct core_plan *plan,
                                       struct core_job_state *job, struct rc_error *err)
{
    struct core_slot_rule rule = core_supervisor_slot_rule(supervisor, job);
    struct claiming claiming = { .touched = touch(plan, job) };
    int64_t after_unix_ms = core_slots_after(&rule, job->cursor_unix_ms);
    int64_t waiting = job->waiting;

    if (job->startup_due)
        return claim_startup(supervisor, plan, &claiming, err);
    if (after_unix_ms > job->cursor_unix_ms)
        core_job_set_cursor(job, after_unix_ms);
    while (job->next_unix_ms <= plan->now_unix_ms && core_plan_has_room(plan) && may_claim(plan) &&
           !core_supervisor_is_full(supervisor, job, waiting)) {
        int64_t slot_unix_ms = job->next_unix_ms;
        int64_t next_unix_ms = core_job_slot_after(job, slot_unix_ms);

        rule.is_full = waiting >= CORE_JOB_WAITING_MAX;
        if (claim_slot(supervisor, plan, &claiming, slot_unix_ms,
                       core_slot_judge(&rule, slot_unix_ms, next_unix_ms), err))
            return err->code;
        waiting += claiming.waits;
        job->cursor_unix_ms = slot_unix_ms;
        job->next_unix_ms = next_unix_ms;
    }
    if (tell_of_skips(supervisor, plan, &claiming, err))
        return err->code;
    return core_ledger_settle(supervisor->ledger, job->settings->name, job->cursor_unix_ms, err);
}

enum rc_code core_supervisor_claim_due(struct core_supervisor *supervisor, struct core_plan *plan,
                                       struct rc_error *err)
{
    struct core_heap *due = &supervisor->jobs->due;
    struct core_heap_item *first;

    core_plan_begin_step(plan);
    while (core_plan_has_room(plan) && may_claim(plan) && (first = core_heap_first(due)) &&
           first->key <= plan->now_unix_ms) {
        struct core_job_state *job =
            (struct core_job_state *)(void *)((char *)first - offsetof(struct core_job_state, due));

        core_heap_take(first); /* back after the commit */
        if (core_supervisor_claim_job(supervisor, plan, job, err))
            return err->code;
    }
    return RC_OK;
}

enum rc_code core_supervisor_claim_trigger(struct core_supervisor *supervisor,
                                           struct core_plan *plan, struct core_job_state *job,
                                           const struct core_trigger *trigger, const char *id,
                                           enum core_claimed *claimed, struct rc_error *err)
{
    struct core_claim claim = claim_of(job, id, plan);

    claim.trigger = "manual";
    claim.set = trigger->set;
    claim.force = trigger->force;
    claim.may_start = core_supervisor_may_start(supervisor, plan);
    if (core_ledger_claim(supervisor->ledger, &claim, claimed, err))
        return rc_context(err, "record the run");
    take_claim(plan, &claim, *claimed, /* made_up = */ false, NULL);
    return RC_OK;
}
