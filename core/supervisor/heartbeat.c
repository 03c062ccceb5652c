/*
 * The heartbeat: on a shared state it renews the lease, and with it the time that running guards
 * have; it looks for what other processes asked for, and takes over what dead daemons left. On a
 * state of one machine it only does the last, once a minute.
 */
#include <supervisor/internal.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALONE_MS INT64_C(60000)
/* At most so long until a stop that was asked for elsewhere is seen here. */
#define LISTEN_MS INT64_C(5000)
/* So long what was missed here is left to daemons that were awake. */
#define HOLD_MS INT64_C(5000)

void core_supervisor_make_id(struct core_executor *self)
{
    char host[33] = "";

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(self->id, sizeof(self->id), "%s-%ld-%08llx", host[0] ? host : "daemon",
                   (long)getpid(), (unsigned long long)core_random_below(INT64_C(1) << 32));
}

int64_t core_supervisor_lease_end_boot_ms(const struct core_supervisor *supervisor)
{
    if (!supervisor->ledger || !core_ledger_is_shared(supervisor->ledger))
        return 0;
    return supervisor->renewed_boot_ms + supervisor->self.lease_ms * 2 / 3;
}

static void extend(void *context, struct core_active *active)
{
    struct core_supervisor *supervisor = context;

    if (active->state == CORE_ACTIVE_RUNS)
        core_attempt_extend(&active->tried, core_supervisor_lease_end_boot_ms(supervisor));
}

enum rc_code core_supervisor_renew(struct core_supervisor *supervisor, struct rc_error *err)
{
    int64_t before_boot_ms = core_clock_boot_ms();

    if (!core_ledger_is_shared(supervisor->ledger))
        return RC_OK;
    if (core_ledger_renew(supervisor->ledger, err))
        return err->code;
    /* The lease was renewed after that: a guard is never given more time than others see. */
    supervisor->renewed_boot_ms = before_boot_ms;
    core_runs_each(&supervisor->runs, extend, supervisor);
    return RC_OK;
}

enum rc_code core_supervisor_renew_if_due(struct core_supervisor *supervisor, struct rc_error *err)
{
    int64_t age_ms = core_clock_boot_ms() - supervisor->renewed_boot_ms;

    return age_ms > supervisor->self.lease_ms / 4 ? core_supervisor_renew(supervisor, err) : RC_OK;
}

/* ---- the lease was lost ------------------------------------------------------------------- */

/* What has become of a run that others took over. */
struct taken {
    const struct core_supervisor *supervisor;
    bool ours, went_on; /* went_on: a daemon that finds the guard on this machine has it */
};

static void look_at_taken(void *context, const struct core_run_record *record)
{
    struct taken *taken = context;
    const struct core_supervisor *supervisor = taken->supervisor;

    taken->ours = rc_str_eq(record->executor, supervisor->self.id);
    taken->went_on = record->status == CORE_RUN_STARTED &&
                     rc_str_eq(record->host, supervisor->self.process.host) &&
                     rc_str_eq(record->spool, supervisor->spool);
}

struct looking {
    struct core_supervisor *supervisor;
    struct core_active **items;
    size_t count;
};

static void collect(void *context, struct core_active *active)
{
    struct looking *looking = context;

    looking->items[looking->count++] = active;
}

/*
 * An attempt that its new owner adopted here is let go; one that it holds for lost is stopped, so
 * that it does not run beside its successor. Its true end is written if it still counts.
 */
static enum rc_code look_at_runs(struct core_supervisor *supervisor, struct rc_error *err)
{
    struct looking looking = {
        .supervisor = supervisor,
        .items = rc_calloc(supervisor->runs.count + 1, sizeof(struct core_active *)),
    };
    enum rc_code code = RC_OK;

    core_runs_each(&supervisor->runs, collect, &looking);
    for (size_t i = 0; i < looking.count && code == RC_OK; i++) {
        struct core_active *active = looking.items[i];
        struct taken taken = { .supervisor = supervisor };

        code = core_ledger_run(supervisor->ledger, active->id, look_at_taken, &taken, err);
        if (code == RC_NOT_FOUND)
            code = RC_OK;
        if (code != RC_OK || taken.ours)
            continue;
        if (active->state == CORE_ACTIVE_RUNS && !taken.went_on)
            core_supervisor_stop_run(supervisor, active, "lost");
        else if (active->state != CORE_ACTIVE_ENDED)
            core_runs_remove(&supervisor->runs, active);
    }
    free(looking.items);
    return code;
}

enum rc_code core_supervisor_rejoin(struct core_supervisor *supervisor, struct rc_error *err)
{
    int64_t before_boot_ms = core_clock_boot_ms();

    core_supervisor_log(supervisor, RC_LOG_WARN, NULL,
                        "this daemon had been silent for longer than its lease, so that others "
                        "took over its runs; it joins anew");
    core_supervisor_make_id(&supervisor->self);
    if (core_ledger_rejoin(supervisor->ledger, supervisor->self.id, err))
        return rc_context(err, "join anew");
    supervisor->renewed_boot_ms = before_boot_ms;
    supervisor->is_rejoining = true;
    return core_supervisor_finish_rejoin(supervisor, err);
}

enum rc_code core_supervisor_finish_rejoin(struct core_supervisor *supervisor, struct rc_error *err)
{
    if (!supervisor->is_rejoining)
        return RC_OK;
    if (look_at_runs(supervisor, err))
        return err->code;
    supervisor->is_rejoining = false;
    core_runs_each(&supervisor->runs, extend, supervisor);
    core_supervisor_wake_up(supervisor, core_clock_now_unix_ms());
    core_supervisor_hold(supervisor);
    return RC_OK;
}

/* ---- missed slots and other daemons ------------------------------------------------------- */

void core_supervisor_end_hold(void *context)
{
    struct core_supervisor *supervisor = context;

    supervisor->hold_mono_ms = 0;
    core_supervisor_schedule_all(supervisor);
    core_supervisor_arm(supervisor);
}

void core_supervisor_hold(struct core_supervisor *supervisor)
{
    if (!core_ledger_is_shared(supervisor->ledger))
        return;
    supervisor->hold_mono_ms = core_clock_mono_ms() + HOLD_MS;
    core_timer_set(supervisor->loop, &supervisor->hold_timer, supervisor->hold_mono_ms);
    core_supervisor_schedule_all(supervisor);
}

/* ---- pauses ------------------------------------------------------------------------------- */

static void read_pause(void *context, const struct core_job_record *record)
{
    struct core_supervisor *supervisor = context;
    struct core_job_state *job = core_jobs_find(supervisor->jobs, record->name);

    if (job && (job->pause ? job->pause->since_unix_ms : 0) != record->paused_unix_ms) {
        core_job_set_pause(job, record->paused_unix_ms, record->paused_by);
        core_supervisor_schedule_job(supervisor, job);
    }
}

enum rc_code core_supervisor_hear_of_pauses(struct core_supervisor *supervisor,
                                            struct rc_error *err)
{
    int64_t pauses = core_ledger_pauses(supervisor->ledger);

    if (!core_ledger_is_shared(supervisor->ledger) || pauses == supervisor->pauses)
        return RC_OK;
    if (core_ledger_jobs(supervisor->ledger, read_pause, supervisor, err))
        return rc_context(err, "read which jobs are paused");
    supervisor->pauses = pauses;
    return RC_OK;
}

/* ---- the beat ----------------------------------------------------------------------------- */

/* Ids of runs that somebody asked to be stopped. */
struct wishes {
    char (*ids)[CORE_RUN_ID_TEXT];
    const char **reasons;
    size_t count, capacity;
};

const char *core_supervisor_wish_of(const struct core_run_record *record)
{
    if (!record->cancel)
        return NULL;
    return rc_str_eq(record->cancel, "replaced") ? "replaced" : "cancelled";
}

static void add_wish(void *context, const struct core_run_record *record)
{
    struct wishes *wishes = context;

    if (wishes->count == wishes->capacity) {
        wishes->capacity = wishes->capacity ? 2 * wishes->capacity : 16;
        wishes->ids = rc_realloc(wishes->ids, wishes->capacity * sizeof(*wishes->ids));
        wishes->reasons = rc_realloc(wishes->reasons, wishes->capacity * sizeof(char *));
    }
    (void)snprintf(wishes->ids[wishes->count], CORE_RUN_ID_TEXT, "%s", record->id);
    wishes->reasons[wishes->count++] = core_supervisor_wish_of(record);
}

static enum rc_code listen_to_others(struct core_supervisor *supervisor, struct rc_error *err)
{
    struct wishes wishes = { .count = 0 };
    enum rc_code code = core_ledger_cancelled(supervisor->ledger, add_wish, &wishes, err);

    for (size_t i = 0; i < wishes.count && code == RC_OK; i++) {
        struct core_active *active = core_runs_find(&supervisor->runs, wishes.ids[i]);
        if (active && !active->stop)
            core_supervisor_stop_run(supervisor, active, wishes.reasons[i]);
    }
    free(wishes.ids);
    free(wishes.reasons);
    return code;
}

static enum rc_code beat(struct core_supervisor *supervisor, struct rc_error *err)
{
    enum rc_code code = core_supervisor_renew(supervisor, err);

    if (code == RC_CONFLICT)
        code = core_supervisor_rejoin(supervisor, err);
    if (code == RC_OK && core_ledger_is_shared(supervisor->ledger))
        code = listen_to_others(supervisor, err);
    if (code == RC_OK && !supervisor->stop_calls)
        code = core_supervisor_take_over(supervisor, err);
    if (code == RC_OK && core_ledger_is_shared(supervisor->ledger))
        core_notices_wake(supervisor->notices);
    return code;
}

static void set_beat(struct core_supervisor *supervisor)
{
    int64_t pause_ms = ALONE_MS;

    if (core_ledger_is_shared(supervisor->ledger)) {
        pause_ms = supervisor->self.lease_ms / 4;
        pause_ms = pause_ms < LISTEN_MS ? pause_ms : LISTEN_MS;
    }
    core_timer_set(supervisor->loop, &supervisor->beat_timer, core_clock_mono_ms() + pause_ms);
}

void core_supervisor_beat(void *context)
{
    struct core_supervisor *supervisor = context;
    struct rc_error err = RC_ERROR_INIT;

    if (!supervisor->away && beat(supervisor, &err))
        core_supervisor_lost_database(supervisor, &err);
    core_supervisor_arm(supervisor);
    set_beat(supervisor);
}

void core_supervisor_start_beating(struct core_supervisor *supervisor)
{
    set_beat(supervisor);
}
