/*
 * 'run-core daemon': reads and checks the configuration, opens the loop, the supervisor and the
 * API, and answers signals: SIGHUP reloads, SIGTERM and SIGINT end it, and asked again sooner.
 */
#include <cli/arguments.h>
#include <cli/output.h>

#include <api/daemon.h>
#include <os/clock.h>
#include <os/notify.h>
#include <os/process.h>
#include <runtime/config_check.h>
#include <runtime/control_group.h>
#include <runtime/output.h>
#include <supervisor/supervisor.h>

#include <signal.h>
#include <stdlib.h>

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
    bool ended;
};

/* "context: cause", and nothing in front where there is no context. */
static void log_error(const struct rc_error *err)
{
    core_output_log(RC_LOG_ERROR, NULL, 0, "%s%s%s", err->context, err->context[0] ? ": " : "",
                    err->cause);
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
    core_supervisor_stop(daemon->supervisor, on_stopped, daemon);
}

static void reload(struct daemon *daemon)
{
    CORE_PROBLEMS_AUTO(problems);
    struct rc_error err = RC_ERROR_INIT;

    if (core_supervisor_reload(daemon->supervisor, "SIGHUP", &problems, &err) == RC_OK)
        return;
    core_problems_sort(&problems);
    for (const struct core_problem *p = problems.first; p; p = p->next)
        core_output_log(RC_LOG_ERROR, NULL, 0, "%s", core_problem_text(&problems, p));
    (void)rc_context(&err, "the configuration stays as it was");
    log_error(&err);
}

static void on_reload(void *context)
{
    tell_manager(CORE_NOTIFY_RELOADING);
    reload(context);
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

/* ---- the command -------------------------------------------------------------------------- */

static int check(struct daemon *daemon)
{
    CORE_PROBLEMS_AUTO(problems);
    struct rc_error err = RC_ERROR_INIT;

    daemon->config = core_config_load(daemon->config_path, &problems);
    if (core_config_check_apart(daemon->config, CHECK_MS, &problems, &err)) {
        (void)core_cli_report(&problems);
        return core_cli_complain(&err);
    }
    return core_cli_report(&problems);
}

static enum rc_code open_daemon(struct daemon *daemon, struct rc_error *err)
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
    struct core_api_options api = { .loop = daemon->loop, .version = RUN_CORE_VERSION };

    daemon->config = NULL;
    /* Signals that come from here on wait for the loop, in which there is somebody to hear them. */
    if (watch_signals(daemon, err) || core_supervisor_open(&options, &daemon->supervisor, err))
        return err->code;
    api.supervisor = daemon->supervisor;
    return core_api_open(&api, &daemon->api, err);
}

/* What refuses to start is a matter of the user's, but a database that is away passes. */
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

static int serve(struct daemon *daemon)
{
    static const struct core_output_labels labels = { .run = NULL };
    struct rc_error err = RC_ERROR_INIT;
    int status = CORE_EXIT_OK;

    core_output_init(&labels);
    /* Each run, connection and log that is followed takes some. */
    core_process_raise_descriptors();
    core_control_group_prepare();
    if (core_loop_new(&daemon->loop, &err) || open_daemon(daemon, &err)) {
        status = refuse(&err);
    } else {
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
        tell_manager(CORE_NOTIFY_READY);
        start_watchdog(daemon);
        core_loop_run(daemon->loop);
        core_timer_cancel(&daemon->watchdog);
        core_output_log(RC_LOG_INFO, NULL, 0, "the daemon has ended");
    }
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
               "Work that outlives a daemon that was killed is adopted by the next one.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_LOG_LEVEL | CORE_FLAG_VERBOSE | CORE_FLAG_QUIET,
    .run = run_daemon,
};
