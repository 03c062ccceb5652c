/*
 * 'run-core daemon': reads and checks the configuration, opens the loop, the supervisor and the
 * API, and answers signals: SIGHUP reloads, SIGTERM and SIGINT end it, and asked again sooner.
 * Where it cannot begin for a reason that passes, as a state database that is not up yet, it waits.
 */
#include <cli/arguments.h>
#include <cli/output.h>

#include <api/daemon.h>
#include <api/standby.h>
#include <config/secrets.h>
#include <os/backoff.h>
#include <os/clock.h>
#include <os/notify.h>
#include <os/process.h>
#include <runtime/config_check.h>
#include <runtime/control_group.h>
#include <runtime/output.h>
#include <supervisor/supervisor.h>

#include <run-core/str.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Longest time for the check of the configuration; only a plugin that hangs takes it. */
#define CHECK_MS INT64_C(60000)

struct daemon {
    const char *config_path;
    struct core_config *config; /* until the supervisor has it */
    struct core_loop *loop;
    struct core_supervisor *supervisor;
    struct core_api *api;
    struct core_flag_level log_level; /* of the command line */
    struct core_timer watchdog;
    struct core_standby *standby; /* while it waits for its beginning */
    struct rc_error why_standby;
    struct core_timer again;
    bool ended;
};

/* "context: cause", and nothing in front where there is no context. */
static void log_error(const struct rc_error *err)
{
    core_output_log(RC_LOG_ERROR, NULL, 0, "%s%s%s", err->context, err->context[0] ? ": " : "",
                    err->cause);
}

/* ---- the configuration --------------------------------------------------------------------- */

/* Mistakes go to 'problems'; an error is of the check itself. */
static enum rc_code load(const struct daemon *daemon, struct core_config **out,
                         struct core_problems *problems, struct rc_error *err)
{
    *out = core_config_load(daemon->config_path, problems);
    return core_config_check_apart(*out, CHECK_MS, problems, err);
}

/* For the start: in words for whoever waits at the terminal. */
static int check(struct daemon *daemon)
{
    CORE_PROBLEMS_AUTO(problems);
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = load(daemon, &daemon->config, &problems, &err);
    int status = core_cli_report(&problems);

    return code ? core_cli_complain(&err) : status;
}

/* ---- the service manager ------------------------------------------------------------------- */

/* Where it does not listen, the daemon works all the same. */
static void tell_manager(const char *state)
{
    struct rc_error err = RC_ERROR_INIT;

    if (core_notify(state, &err))
        core_output_log(RC_LOG_DEBUG, NULL, 0, "the service manager was not told: %s", err.cause);
}

/* From the loop's own timer: whoever is stuck in a callback does not get here. */
static void feed_watchdog(void *context)
{
    struct daemon *daemon = context;

    tell_manager(CORE_NOTIFY_WATCHDOG);
    core_timer_set(daemon->loop, &daemon->watchdog,
                   core_clock_mono_ms() + core_notify_watchdog_ms() / 2);
}

static void start_watchdog(struct daemon *daemon)
{
    daemon->watchdog = (struct core_timer){
        .clock = CORE_TIMER_MONO,
        .fn = feed_watchdog,
        .context = daemon,
    };
    if (core_notify_watchdog_ms() > 0)
        feed_watchdog(daemon);
}

/* ---- signals ------------------------------------------------------------------------------ */

static void on_stopped(void *context)
{
    struct daemon *daemon = context;

    daemon->ended = true;
    core_loop_stop(daemon->loop);
}

static void on_stop(void *context)
{
    struct daemon *daemon = context;

    tell_manager(CORE_NOTIFY_STOPPING);
    if (daemon->supervisor)
        core_supervisor_stop(daemon->supervisor, on_stopped, daemon);
    else
        on_stopped(daemon);
}

static void log_mistakes(struct core_problems *problems, struct rc_error *err)
{
    core_problems_sort(problems);
    for (const struct core_problem *p = problems->first; p; p = p->next)
        core_output_log(RC_LOG_ERROR, NULL, 0, "%s", core_problem_text(problems, p));
    (void)rc_context(err, "the configuration stays as it was");
    log_error(err);
}

static void reload(struct daemon *daemon)
{
    CORE_PROBLEMS_AUTO(problems);
    struct rc_error err = RC_ERROR_INIT;

    if (core_supervisor_reload(daemon->supervisor, "SIGHUP", &problems, &err))
        log_mistakes(&problems, &err);
}

/* Before it has begun: takes all or nothing, too, and tries to begin at once. */
static void read_again(struct daemon *daemon)
{
    CORE_PROBLEMS_AUTO(problems);
    struct rc_error err = RC_ERROR_INIT;
    struct core_config *config = NULL;

    if (load(daemon, &config, &problems, &err) == RC_OK && problems.count > 0)
        (void)rc_fail(&err, RC_INVALID, "the new one has mistakes");
    if (err.code) {
        core_config_free(config);
        log_mistakes(&problems, &err);
        return;
    }
    core_config_free(daemon->config);
    daemon->config = config;
    core_standby_close(daemon->standby); /* it may be to listen elsewhere */
    daemon->standby = NULL;
    core_timer_set(daemon->loop, &daemon->again, core_clock_mono_ms());
}

static void on_reload(void *context)
{
    struct daemon *daemon = context;

    if (!daemon->supervisor) {
        read_again(daemon);
        return;
    }
    tell_manager(CORE_NOTIFY_RELOADING);
    reload(daemon);
    tell_manager(CORE_NOTIFY_READY);
}

static enum rc_code watch_signals(struct daemon *daemon, struct rc_error *err)
{
    static const struct {
        int number;
        core_watch_fn *fn;
    } signals[] = { { SIGTERM, on_stop }, { SIGINT, on_stop }, { SIGHUP, on_reload } };
    struct core_watch *watch; /* ended with the loop */

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < RC_ARRAY_LEN(signals); i++)
        if (core_loop_watch_signal(daemon->loop, signals[i].number, signals[i].fn, daemon, &watch,
                                   err))
            return rc_context(err, "watch for signals");
    return RC_OK;
}

/* ---- processes ----------------------------------------------------------------------------- */

/* In each forked child. */
static void forget(void *context)
{
    struct daemon *daemon = context;

    core_api_forget(daemon->api);
    /* What a run starts is not the service that the manager waits for. */
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    core_process_restore_descriptors();
    signal(SIGPIPE, SIG_DFL);
}

/* ---- the beginning ------------------------------------------------------------------------- */

static enum rc_code open_supervisor(struct daemon *daemon, struct rc_error *err)
{
    const struct core_supervisor_options options = {
        .loop = daemon->loop,
        .config_path = daemon->config_path,
        .config = daemon->config,
        .has_log_level = daemon->log_level.given,
        .log_level = daemon->log_level.level,
        .check = core_api_check,
        .forget = forget,
        .context = daemon,
    };

    if (core_supervisor_open(&options, &daemon->supervisor, err))
        return err->code;
    daemon->config = NULL;
    return RC_OK;
}

static enum rc_code open_api(struct daemon *daemon, struct rc_error *err)
{
    const struct core_api_options options = {
        .loop = daemon->loop,
        .supervisor = daemon->supervisor,
        .version = RUN_CORE_VERSION,
    };

    return core_api_open(&options, &daemon->api, err);
}

/* What refuses to start is a matter of the user's. */
static int refuse(const struct rc_error *err)
{
    log_error(err);
    switch (err->code) {
    case RC_INVALID:
    case RC_UNSUPPORTED:
        return CORE_EXIT_USAGE;
    case RC_CONFLICT:
        return CORE_EXIT_SKIPPED;
    default:
        return CORE_EXIT_FAILED;
    }
}

/* A reason is logged when it is another than that before. */
static void say_why(struct daemon *daemon, const struct rc_error *why)
{
    RC_STR_AUTO cause = rc_strdup(why->cause);

    core_secret_mask(cause);
    if (daemon->standby)
        core_standby_say(daemon->standby, cause);
    if (strcmp(daemon->why_standby.cause, why->cause) == 0)
        return;
    daemon->why_standby = *why;
    core_output_log(RC_LOG_ERROR, NULL, 0,
                    "the daemon cannot begin, and tries again until it can: %s%s%s", why->context,
                    why->context[0] ? ": " : "", why->cause);
}

static void open_standby(struct daemon *daemon)
{
    const struct core_nursery nursery = { daemon->loop, forget, daemon };
    struct rc_error err = RC_ERROR_INIT;

    if (!daemon->standby && core_standby_open(&nursery, daemon->config, &daemon->standby, &err))
        core_output_log(RC_LOG_WARN, NULL, 0, "probes are not answered meanwhile: %s", err.cause);
}

static void on_again(void *context)
{
    core_loop_stop(((struct daemon *)context)->loop);
}

static void pause_for(struct daemon *daemon, int64_t pause_ms)
{
    daemon->again = (struct core_timer){
        .clock = CORE_TIMER_MONO,
        .fn = on_again,
        .context = daemon,
    };
    tell_manager(CORE_NOTIFY_WAITING);
    core_timer_set(daemon->loop, &daemon->again, core_clock_mono_ms() + pause_ms);
    core_loop_run(daemon->loop);
    core_timer_cancel(&daemon->again);
}

/*
 * The status of the command. Where it is CORE_EXIT_OK, and nobody ended the daemon meanwhile, all
 * is open.
 */
static int begin(struct daemon *daemon)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t failures = 0;

    /* Signals that come from here on wait for the loop, in which there is somebody to hear them. */
    if (core_loop_new(&daemon->loop, &err) || watch_signals(daemon, &err))
        return refuse(&err);
    while (open_supervisor(daemon, &err)) {
        if (err.code != RC_UNAVAILABLE)
            return refuse(&err);
        open_standby(daemon);
        say_why(daemon, &err);
        pause_for(daemon, core_backoff_ms(&core_backoff_near, ++failures));
        if (daemon->ended)
            return CORE_EXIT_OK;
    }
    core_standby_close(daemon->standby);
    daemon->standby = NULL;
    return open_api(daemon, &err) ? refuse(&err) : CORE_EXIT_OK;
}

/* ---- the command -------------------------------------------------------------------------- */

static void keep_the_schedule(struct daemon *daemon)
{
    size_t jobs = core_supervisor_job_count(daemon->supervisor);

    for (size_t i = 0; core_api_url(daemon->api, i); i++)
        core_output_log(RC_LOG_INFO, NULL, 0, "serving the API at %s",
                        core_api_url(daemon->api, i));
    if (!daemon->config_path)
        core_output_log(RC_LOG_WARN, NULL, 0,
                        "there is no configuration, so there are no jobs; name it with "
                        "--config FILE|DIR, or put it into /etc/run-core/conf.d");
    core_output_log(RC_LOG_INFO, NULL, 0, "the daemon keeps the schedule of %zu %s", jobs,
                    jobs == 1 ? "job" : "jobs");
    tell_manager(CORE_NOTIFY_READY "\nSTATUS="); /* it may have waited */
    start_watchdog(daemon);
    core_loop_run(daemon->loop);
    core_timer_cancel(&daemon->watchdog);
    core_output_log(RC_LOG_INFO, NULL, 0, "the daemon has ended");
}

static int serve(struct daemon *daemon)
{
    static const struct core_output_labels labels = { .run = NULL };
    int status;

    core_output_init(&labels);
    /* Each run, connection and log that is followed takes some. */
    core_process_raise_descriptors();
    core_control_group_prepare();
    status = begin(daemon);
    if (status == CORE_EXIT_OK && !daemon->ended)
        keep_the_schedule(daemon);
    core_standby_close(daemon->standby);
    core_api_close(daemon->api);
    if (daemon->supervisor)
        core_supervisor_close(daemon->supervisor);
    /* The loop gives its signals back: a reload that came too late is none, and shall not kill. */
    signal(SIGHUP, SIG_IGN);
    core_loop_free(daemon->loop);
    return status;
}

static int run_daemon(const struct core_arguments *arguments)
{
    struct daemon daemon = {
        .config_path = core_arguments_config_path(arguments),
        .log_level = arguments->log_level,
    };
    int status = check(&daemon);

    if (status == CORE_EXIT_OK)
        status = serve(&daemon);
    core_config_free(daemon.config);
    return status;
}

const struct core_command core_command_daemon = {
    .name = "daemon",
    .summary = "Keeps the schedule: runs every job when it is due, and records what became of it.",
    .details = "Stays in the foreground and logs to stderr. SIGHUP reads the configuration again; "
               "SIGTERM or SIGINT ends it after the running work, at most core.shutdown_grace "
               "later; sent a second time it stops that work at once, and a third time kills it. "
               "Work that outlives a daemon that was killed is adopted by the next one. A state "
               "database that is not up yet is waited for: the log and the probe of readiness say "
               "so.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_LOG_LEVEL | CORE_FLAG_VERBOSE | CORE_FLAG_QUIET,
    .run = run_daemon,
};
