/*
 * The wall clock, as the supervisor sees it: whether it was set, since when the daemon has been
 * continuously awake, and what follows for every job's next slot.
 *
 * A leap second is nothing special: the kernel repeats or smears it, and slots are of the clock
 * that it shows.
 */
#include <supervisor/internal.h>

#include <os/clock.h>

/* Of the wall clock against the monotonic one: less is drift, or the steps of a time daemon. */
#define JUMP_MS INT64_C(1000)
/* So late is a loop only if its process was stopped: frozen, traced, or with its machine. */
#define LATE_MS INT64_C(60000)

void core_supervisor_wake_up(struct core_supervisor *supervisor, int64_t now_unix_ms)
{
    supervisor->awake_since_unix_ms = now_unix_ms;
    core_supervisor_schedule_all(supervisor);
}

void core_supervisor_note_rewind(struct core_supervisor *supervisor, int64_t from_unix_ms,
                                 int64_t to_unix_ms)
{
    bool first = !supervisor->rewind.is_unwritten;

    /* Of two that the ledger does not know both hold: what is settled too early costs a look. */
    supervisor->rewind.is_unwritten = true;
    if (first || from_unix_ms < supervisor->rewind.from_unix_ms)
        supervisor->rewind.from_unix_ms = from_unix_ms;
    if (first || to_unix_ms < supervisor->rewind.to_unix_ms)
        supervisor->rewind.to_unix_ms = to_unix_ms;
}

/* Only what is left of a leap counts, if anything. */
static void shorten_leap(struct core_supervisor *supervisor, int64_t now_unix_ms)
{
    if (now_unix_ms >= supervisor->leap.to_unix_ms)
        return;
    supervisor->leap.to_unix_ms = now_unix_ms;
    if (now_unix_ms - supervisor->leap.from_unix_ms <= supervisor->config->settings.history.keep_ms)
        supervisor->leap.to_unix_ms = 0;
}

/*
 * The clock went back: slots are again those of the time that it shows. Those that have a row will
 * not run again; those that have none, since the clock had been wrong, will. If it had been wrong
 * by more than what history records, what was due meanwhile was missed.
 */
static void rewind_to(struct core_supervisor *supervisor, int64_t now_unix_ms)
{
    int64_t trusted_unix_ms = supervisor->trusted_unix_ms;
    int64_t cursor_unix_ms =
        trusted_unix_ms && trusted_unix_ms < now_unix_ms ? trusted_unix_ms : now_unix_ms - 1;

    supervisor->trusted_unix_ms = 0;
    shorten_leap(supervisor, now_unix_ms);
    for (size_t i = 0; i < supervisor->jobs->count; i++) {
        struct core_job_state *job = &supervisor->jobs->items[i];

        if (job->schedule && job->cursor_unix_ms >= now_unix_ms)
            core_job_set_cursor(job, cursor_unix_ms);
    }
    core_supervisor_note_rewind(supervisor, now_unix_ms, cursor_unix_ms);
    if (supervisor->awake_since_unix_ms > now_unix_ms)
        supervisor->awake_since_unix_ms = now_unix_ms;
    core_supervisor_schedule_all(supervisor);
}

/* It was set forward by more than what history records: by a mistake, or to end one. */
static void leap(struct core_supervisor *supervisor, int64_t from_unix_ms, int64_t to_unix_ms)
{
    if (supervisor->leap.to_unix_ms == 0) /* else it goes on from there */
        supervisor->leap.from_unix_ms = from_unix_ms;
    supervisor->leap.to_unix_ms = to_unix_ms;
    if (!supervisor->trusted_unix_ms)
        supervisor->trusted_unix_ms = from_unix_ms;
}

/* Pauses before further attempts are of real time: they move along with the clock. */
struct shift {
    struct core_supervisor *supervisor;
    int64_t by_ms, now_unix_ms;
};

static void shift_pause(void *context, struct core_active *active)
{
    const struct shift *shift = context;

    if (active->state != CORE_ACTIVE_WAITS || !active->not_before_unix_ms)
        return;
    active->not_before_unix_ms += shift->by_ms;
    core_runs_place(&shift->supervisor->runs, active, shift->now_unix_ms);
}

int64_t core_supervisor_look_at_clock(struct core_supervisor *supervisor)
{
    int64_t now_unix_ms = core_clock_now_unix_ms();
    int64_t now_mono_ms = core_clock_mono_ms();
    int64_t speed = core_clock_speed();
    int64_t jump_ms =
        now_unix_ms - supervisor->seen_unix_ms - (now_mono_ms - supervisor->seen_mono_ms) * speed;
    int64_t late_ms = supervisor->expected_unix_ms ? now_unix_ms - supervisor->expected_unix_ms : 0;
    struct shift shift = { supervisor, jump_ms, now_unix_ms };

    supervisor->seen_unix_ms = now_unix_ms;
    supervisor->seen_mono_ms = now_mono_ms;
    if (jump_ms > JUMP_MS * speed || jump_ms < -JUMP_MS * speed) {
        supervisor->totals.clock_jumps++;
        core_supervisor_log(supervisor, RC_LOG_WARN, NULL,
                            "the clock went %s by %.1f seconds: it was set, or the machine slept",
                            jump_ms > 0 ? "forward" : "back",
                            (double)(jump_ms > 0 ? jump_ms : -jump_ms) / 1000.0);
        core_runs_each(&supervisor->runs, shift_pause, &shift);
        if (jump_ms > supervisor->config->settings.history.keep_ms)
            leap(supervisor, now_unix_ms - jump_ms, now_unix_ms);
        if (jump_ms > 0)
            core_supervisor_wake_up(supervisor, now_unix_ms);
        else
            rewind_to(supervisor, now_unix_ms);
    } else if (late_ms > LATE_MS * speed) {
        core_supervisor_log(supervisor, RC_LOG_WARN, NULL,
                            "the daemon was stopped for %.1f seconds; what was due meanwhile was "
                            "missed",
                            (double)late_ms / 1000.0);
        core_supervisor_wake_up(supervisor, now_unix_ms);
    }
    supervisor->expected_unix_ms = 0;
    return now_unix_ms;
}

struct core_slot_rule core_supervisor_slot_rule(const struct core_supervisor *supervisor,
                                                const struct core_job_state *job)
{
    return (struct core_slot_rule){
        .misfire = (enum core_misfire)job->settings->misfire,
        .window_ms = job->settings->catchup_window_ms,
        .keep_ms = supervisor->config->settings.history.keep_ms,
        .awake_since_unix_ms = supervisor->awake_since_unix_ms,
        .paused_unix_ms = job->pause ? job->pause->since_unix_ms : 0,
    };
}

/* Not where there is no later: what a paused job skips does not wait, and what is recorded before
 * the job changes is skipped beyond the limit. */
bool core_supervisor_is_full(const struct core_supervisor *supervisor,
                             const struct core_job_state *job, int64_t waiting)
{
    if (waiting < CORE_JOB_WAITING_MAX || job->pause)
        return false;
    return !supervisor->next_jobs || core_jobs_keep(supervisor->next_jobs, job);
}

/* Not at all while it is full, nor while another daemon may be about to claim what this one has
 * missed. */
void core_supervisor_schedule_job(struct core_supervisor *supervisor, struct core_job_state *job)
{
    bool held = supervisor->hold_mono_ms && !job->pause &&
                job->next_unix_ms < supervisor->awake_since_unix_ms;

    if (job->startup_due)
        core_heap_put(&supervisor->jobs->due, &job->due, supervisor->started_unix_ms);
    else if (job->next_unix_ms == CORE_NEVER_UNIX_MS || held ||
             core_supervisor_is_full(supervisor, job, job->waiting))
        core_heap_take(&job->due);
    else
        core_heap_put(&supervisor->jobs->due, &job->due, job->next_unix_ms);
}

void core_supervisor_schedule_all(struct core_supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->jobs->count; i++)
        core_supervisor_schedule_job(supervisor, &supervisor->jobs->items[i]);
}
