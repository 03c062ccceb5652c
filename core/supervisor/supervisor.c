/*
 * The supervisor as a whole: how it is opened, looked at, stopped and closed.
 */
#include <supervisor/internal.h>

#include <os/clock.h>
#include <os/file.h>
#include <os/process.h>
#include <runtime/spool.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often servers that end are looked at. */
#define SERVERS_MS INT64_C(20)

/* ---- opening ------------------------------------------------------------------------------ */

static void on_turn(void *context)
{
    core_supervisor_turn(context);
}

static void on_grace(void *context)
{
    core_supervisor_stop(context, NULL, NULL);
}

static void on_look(void *context)
{
    core_supervisor_look_at_stop(context);
}

static void make_timers(struct core_supervisor *supervisor)
{
    struct {
        struct core_timer *timer;
        enum core_timer_clock clock;
        void (*fn)(void *context);
    } const timers[] = {
        { &supervisor->slot_timer, CORE_TIMER_WALL, on_turn },
        { &supervisor->turn_timer, CORE_TIMER_MONO, on_turn },
        { &supervisor->fork_timer, CORE_TIMER_MONO, core_supervisor_fork_again },
        { &supervisor->hold_timer, CORE_TIMER_MONO, core_supervisor_end_hold },
        { &supervisor->recover_timer, CORE_TIMER_MONO, core_supervisor_recover },
        { &supervisor->beat_timer, CORE_TIMER_MONO, core_supervisor_beat },
        { &supervisor->retention_timer, CORE_TIMER_MONO, core_supervisor_retain },
        { &supervisor->grace_timer, CORE_TIMER_MONO, on_grace },
        { &supervisor->servers_timer, CORE_TIMER_MONO, on_look },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(timers); i++)
        *timers[i].timer = (struct core_timer){
            .clock = timers[i].clock,
            .fn = timers[i].fn,
            .context = supervisor,
        };
}

static enum rc_code make_spool(struct core_supervisor *supervisor, struct rc_error *err)
{
    if (core_spool_folder(supervisor->config, &supervisor->spool, err))
        return err->code;
    supervisor->runs_folder = rc_strf("%s/runs", supervisor->spool);
    if (core_dir_make(supervisor->runs_folder, 0700, err))
        return rc_context(err, "make the folder of runs");
    return RC_OK;
}

static enum rc_code join(struct core_supervisor *supervisor, struct rc_error *err)
{
    struct core_executor *self = &supervisor->self;

    if (core_state_url(supervisor->config, &supervisor->state_url, err))
        return err->code;
    self->kind = "daemon";
    self->spool = supervisor->spool;
    self->lease_ms = supervisor->config->settings.lease_ms;
    core_process_self(&self->process);
    core_supervisor_make_id(self);
    supervisor->renewed_boot_ms = core_clock_boot_ms();
    if (core_ledger_open(supervisor->state_url, self, &supervisor->ledger, err))
        return rc_context(err, "open the state database at '%s'", supervisor->state_url);
    return RC_OK;
}

static const struct core_job_settings *find_settings(void *context, const char *name)
{
    const struct core_supervisor *supervisor = context;
    const struct core_job_state *job = core_jobs_find(supervisor->jobs, name);

    return job ? job->settings : NULL;
}

static void on_lost_database(void *context, const struct rc_error *err)
{
    core_supervisor_lost_database(context, err);
}

static void forget_all(void *context)
{
    core_supervisor_forget(context);
}

static void start_helpers(struct core_supervisor *supervisor)
{
    const struct core_notices_options options = {
        .nursery = { supervisor->loop, forget_all, supervisor },
        .ledger = supervisor->ledger,
        .find_job = find_settings,
        .lost_database = on_lost_database,
        .context = supervisor,
        .sent = &supervisor->totals.notices_sent,
        .failed = &supervisor->totals.notices_failed,
    };

    supervisor->notices = core_notices_new(&options);
    core_notices_wake(supervisor->notices);
    supervisor->servers = core_servers_new(&options.nursery, supervisor->spool);
    core_servers_configure(supervisor->servers, supervisor->config);
}

static void note_settings(struct core_supervisor *supervisor)
{
    const struct core_settings *settings = &supervisor->config->settings;

    supervisor->as_started.state = rc_strdup(settings->state);
    supervisor->as_started.spool = rc_strdup(settings->spool);
    supervisor->as_started.socket = rc_strdup(settings->socket);
    supervisor->as_started.listen = rc_strdup(settings->listen);
}

static enum rc_code begin(struct core_supervisor *supervisor, struct rc_error *err)
{
    if (make_spool(supervisor, err) || core_jobs_make(supervisor->config, &supervisor->jobs, err) ||
        join(supervisor, err) || core_supervisor_settle_jobs(supervisor, err) ||
        core_count_from_ledger(supervisor, err))
        return err->code;
    core_supervisor_wake_up(supervisor, supervisor->seen_unix_ms);
    core_supervisor_hold(supervisor);
    start_helpers(supervisor);
    if (core_supervisor_take_over(supervisor, err))
        return err->code;
    return core_loop_watch_clock(supervisor->loop, on_turn, supervisor, err);
}

/* All but the configuration. */
static void dismantle(struct core_supervisor *supervisor)
{
    struct core_timer *timers[] = {
        &supervisor->slot_timer,      &supervisor->turn_timer,  &supervisor->fork_timer,
        &supervisor->hold_timer,      &supervisor->beat_timer,  &supervisor->recover_timer,
        &supervisor->retention_timer, &supervisor->grace_timer, &supervisor->servers_timer,
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(timers); i++)
        core_timer_cancel(timers[i]);
    if (supervisor->orphans)
        closedir(supervisor->orphans);
    core_notices_close(supervisor->notices);
    core_servers_close(supervisor->servers);
    core_runs_clear(&supervisor->runs);
    core_ledger_close(supervisor->ledger);
    core_jobs_free(supervisor->jobs);
    free(supervisor->state_url);
    free(supervisor->spool);
    free(supervisor->runs_folder);
    free(supervisor->as_started.state);
    free(supervisor->as_started.spool);
    free(supervisor->as_started.socket);
    free(supervisor->as_started.listen);
    free(supervisor->last_reload_error);
    free(supervisor);
}

enum rc_code core_supervisor_open(const struct core_supervisor_options *options,
                                  struct core_supervisor **out, struct rc_error *err)
{
    struct core_supervisor *supervisor = rc_calloc(1, sizeof(*supervisor));

    supervisor->options = *options;
    supervisor->loop = options->loop;
    supervisor->config = options->config;
    if (options->has_log_level)
        supervisor->config->settings.log_level = options->log_level;
    supervisor->seen_unix_ms = supervisor->started_unix_ms = core_clock_now_unix_ms();
    supervisor->seen_mono_ms = core_clock_mono_ms();
    core_runs_init(&supervisor->runs);
    note_settings(supervisor);
    make_timers(supervisor);
    if (begin(supervisor, err)) {
        dismantle(supervisor);
        return err->code;
    }
    core_supervisor_start_beating(supervisor);
    core_supervisor_start_retention(supervisor);
    core_supervisor_arm(supervisor);
    core_process_join_pages(); /* from now on it is forked often */
    *out = supervisor;
    return RC_OK;
}

void core_supervisor_close(struct core_supervisor *supervisor)
{
    struct core_config *config = supervisor->config;

    dismantle(supervisor);
    core_config_free(config);
}

static void forget_attempt(void *context, struct core_active *active)
{
    (void)context;
    if (active->tried.pidfd >= 0)
        close(active->tried.pidfd);
    active->tried.pidfd = -1;
}

void core_supervisor_forget(struct core_supervisor *supervisor)
{
    core_ledger_forget(supervisor->ledger);
    core_runs_each(&supervisor->runs, forget_attempt, NULL);
    core_loop_forget(supervisor->loop);
    if (supervisor->orphans)
        close(dirfd(supervisor->orphans));
    if (supervisor->options.forget)
        supervisor->options.forget(supervisor->options.context);
}

/* ---- stopping ----------------------------------------------------------------------------- */

struct stopping {
    struct core_supervisor *supervisor;
    int64_t running;
    bool kill;
};

static void count_running(void *context, struct core_active *active)
{
    struct stopping *stopping = context;

    stopping->running += active->state == CORE_ACTIVE_RUNS;
}

static void stop_running(void *context, struct core_active *active)
{
    struct stopping *stopping = context;

    if (active->state != CORE_ACTIVE_RUNS)
        return;
    if (stopping->kill) {
        core_attempt_kill(&active->tried);
        return;
    }
    core_supervisor_log(stopping->supervisor, RC_LOG_WARN, active,
                        "stopping attempt %lld, which was not done when the daemon ended",
                        (long long)active->attempt);
    core_supervisor_stop_run(stopping->supervisor, active, "shutdown");
}

void core_supervisor_look_at_stop(struct core_supervisor *supervisor)
{
    struct stopping stopping = { .supervisor = supervisor };
    void (*stopped)(void *context) = supervisor->stopped;

    if (!supervisor->stop_calls || !stopped)
        return;
    core_runs_each(&supervisor->runs, count_running, &stopping);
    /* Ends that cannot be written now stay in their files, where the next daemon finds them. */
    if (stopping.running > 0 || (supervisor->runs.to_write && !supervisor->away))
        return;
    if (core_servers_count(supervisor->servers) > 0) {
        core_timer_set(supervisor->loop, &supervisor->servers_timer,
                       core_clock_mono_ms() + SERVERS_MS);
        return;
    }
    supervisor->stopped = NULL;
    core_timer_cancel(&supervisor->grace_timer);
    stopped(supervisor->stopped_context);
}

void core_supervisor_stop(struct core_supervisor *supervisor, void (*done)(void *context),
                          void *context)
{
    struct stopping stopping = { .supervisor = supervisor };
    int64_t grace_ms = supervisor->config->settings.shutdown_grace_ms;

    if (done) {
        supervisor->stopped = done;
        supervisor->stopped_context = context;
    }
    supervisor->stop_calls++;
    core_runs_each(&supervisor->runs, count_running, &stopping);
    if (supervisor->stop_calls == 1) {
        core_timer_cancel(&supervisor->slot_timer);
        core_servers_stop(supervisor->servers);
        core_supervisor_log(supervisor, RC_LOG_INFO, NULL,
                            "ending: starting nothing more, waiting up to %lld seconds for %lld "
                            "run%s",
                            (long long)grace_ms / 1000, (long long)stopping.running,
                            stopping.running == 1 ? "" : "s");
        core_timer_set(supervisor->loop, &supervisor->grace_timer, core_clock_mono_ms() + grace_ms);
    } else {
        stopping.kill = supervisor->stop_calls > 2;
        core_runs_each(&supervisor->runs, stop_running, &stopping);
    }
    core_supervisor_arm(supervisor); /* which also looks whether that was all */
}

/* ---- what is ------------------------------------------------------------------------------ */

const struct core_config *core_supervisor_config(const struct core_supervisor *supervisor)
{
    return supervisor->config;
}

struct core_ledger *core_supervisor_ledger(struct core_supervisor *supervisor)
{
    return supervisor->ledger;
}

const char *core_supervisor_runs_folder(const struct core_supervisor *supervisor)
{
    return supervisor->runs_folder;
}

static const char *why_not_ready(const struct core_supervisor *supervisor)
{
    if (supervisor->away)
        return supervisor->away_error.cause;
    if (supervisor->stop_calls)
        return "the daemon is ending";
    return supervisor->fork_failures > 0 ? supervisor->fork_error.cause : NULL;
}

void core_supervisor_health(const struct core_supervisor *supervisor,
                            struct core_supervisor_health *out)
{
    const struct core_heap *due = &supervisor->jobs->due;
    const char *why_not = why_not_ready(supervisor);

    *out = (struct core_supervisor_health){
        .ready = !why_not,
        .why_not = why_not,
        .stopping = supervisor->stop_calls > 0,
        .started_unix_ms = supervisor->started_unix_ms,
        .jobs = (int64_t)supervisor->jobs->count,
        .workers = supervisor->runs.workers,
        .waiting = supervisor->runs.waiting + supervisor->runs.claimed +
                   (int64_t)core_heap_count_until(due, supervisor->seen_unix_ms),
        .reloads = supervisor->reloads,
        .last_reload_unix_ms = supervisor->last_reload_unix_ms,
        .last_reload_error = supervisor->last_reload_error,
    };
}

size_t core_supervisor_job_count(const struct core_supervisor *supervisor)
{
    return supervisor->jobs->count;
}

static void view_job(const struct core_job_state *job, struct core_job_view *out)
{
    *out = (struct core_job_view){
        .settings = job->settings,
        .has_next = job->next_unix_ms != CORE_NEVER_UNIX_MS,
        .next_unix_ms = job->next_unix_ms != CORE_NEVER_UNIX_MS ? job->next_unix_ms : 0,
        .paused_unix_ms = job->pause ? job->pause->since_unix_ms : 0,
        .paused_by = job->pause ? job->pause->by : NULL,
        .workers = job->busy,
        .waiting = job->waiting,
    };
}

void core_supervisor_job(const struct core_supervisor *supervisor, size_t index,
                         struct core_job_view *out)
{
    view_job(&supervisor->jobs->items[index], out);
}

bool core_supervisor_find_job(const struct core_supervisor *supervisor, const char *name,
                              struct core_job_view *out)
{
    const struct core_job_state *job = core_jobs_find(supervisor->jobs, name);

    if (job)
        view_job(job, out);
    return job != NULL;
}

size_t core_supervisor_next(const struct core_supervisor *supervisor, const char *name,
                            int64_t *slots_unix_ms, size_t count)
{
    const struct core_job_state *job = core_jobs_find(supervisor->jobs, name);
    int64_t slot_unix_ms = job ? job->next_unix_ms : CORE_NEVER_UNIX_MS;
    size_t found = 0;

    for (; found < count && slot_unix_ms != CORE_NEVER_UNIX_MS; found++) {
        slots_unix_ms[found] = slot_unix_ms;
        slot_unix_ms = core_job_slot_after(job, slot_unix_ms);
    }
    return found;
}

struct core_status *core_supervisor_status(struct core_supervisor *supervisor, const char *run)
{
    struct core_active *active = core_runs_find(&supervisor->runs, run);

    if (!active || active->state != CORE_ACTIVE_RUNS)
        return NULL;
    core_status_seal(active->tried.status);
    return active->tried.status;
}

struct visit {
    core_supervisor_run_fn *fn;
    void *context;
};

static void visit_run(void *context, struct core_active *active)
{
    const struct visit *visit = context;

    if (active->state != CORE_ACTIVE_RUNS)
        return;
    core_status_seal(active->tried.status);
    visit->fn(visit->context, active->id, active->job_name, active->tried.status);
}

void core_supervisor_each_run(struct core_supervisor *supervisor, core_supervisor_run_fn *fn,
                              void *context)
{
    struct visit visit = { fn, context };

    core_runs_each(&supervisor->runs, visit_run, &visit);
}

const char *core_supervisor_serve_socket(const struct core_supervisor *supervisor,
                                         const char *plugin, const char **why_not)
{
    return core_servers_socket(supervisor->servers, plugin, why_not);
}

const struct core_job_counts *core_supervisor_counts(const struct core_supervisor *supervisor,
                                                     size_t index)
{
    return supervisor->jobs->items[index].counts;
}

const struct core_supervisor_totals *
core_supervisor_totals(const struct core_supervisor *supervisor)
{
    return &supervisor->totals;
}
