/*
 * 'run-core <plugin> [action]' and 'run-core run <job>': one run in the foreground. Reads the
 * configuration, hands the run to the guard and prints its final object. A run that a plugin has
 * begun goes the same way, but that its messages and results go into its log.
 */
#include <cli/cli.h>

#include <api/server.h>
#include <cli/output.h>
#include <config/config.h>
#include <config/secrets.h>
#include <os/clock.h>
#include <os/file.h>
#include <os/path.h>
#include <runtime/attempt.h>
#include <runtime/guard.h>
#include <runtime/history.h>
#include <runtime/output.h>
#include <runtime/spool.h>
#include <runtime/submit.h>

#include <base/nearest.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEAD_LIMIT = 1024 * 1024, LOG_FOLDER_MODE = 0700 };

/* Everything a run in the foreground needs around it. */
struct foreground {
    int64_t started_unix_ms;
    struct core_api_server *server;                         /* or NULL */
    struct core_run_counter counters[CORE_STATUS_COUNTERS]; /* as last looked at */
    const struct core_run_request *asked;
    struct core_arena arena;
    struct core_problems problems;
    struct core_config *config;
    struct core_request request;
    struct core_submission submission;
    struct core_run_log *log; /* of what a plugin has begun; or NULL */
    struct core_output_labels labels;
    struct core_run run;
    struct core_history history;
    struct core_outcome outcome;
};

/* The run cannot begin: says why, once, and keeps it for the final object. */
RC_PRINTF(4, 5)
static int refuse(struct foreground *front, int exit_status, enum rc_code code, const char *format,
                  ...)
{
    struct core_outcome *outcome = &front->outcome;
    va_list arguments;

    *outcome = (struct core_outcome){
        .status = "failed",
        .exit_status = exit_status,
    };
    (void)snprintf(outcome->reason, sizeof(outcome->reason), "%s", rc_code_name(code));
    va_start(arguments, format);
    (void)vsnprintf(outcome->message, sizeof(outcome->message), format, arguments);
    va_end(arguments);
    core_secret_mask(outcome->message);
    core_output_log(RC_LOG_ERROR, NULL, 0, "%s", outcome->message);
    if (front->asked->submitted) {
        struct rc_error err;

        /* What is wrong is the configuration by now, not what the plugin has asked for. */
        (void)rc_fail(&err, code == RC_INVALID ? RC_FAILED : code, "%s", outcome->message);
        (void)core_submitted_tell(&err);
    }
    return exit_status;
}

static int find_job(struct foreground *front)
{
    const char *name = front->asked->job;
    const struct core_config *config = front->config;
    const char **names;
    const char *nearest;

    if (!name)
        return CORE_EXIT_OK;
    front->request.job = core_config_job(config, name);
    if (front->request.job)
        return CORE_EXIT_OK;

    names = core_arena_alloc(&front->arena, (config->job_count + 1) * sizeof(*names));
    for (size_t i = 0; i < config->job_count; i++)
        names[i] = config->jobs[i].name;
    nearest = core_nearest(name, names, config->job_count);
    return refuse(front, CORE_EXIT_USAGE, RC_INVALID, "there is no job '%s' in %s%s%s%s", name,
                  front->asked->config_path ? front->asked->config_path
                                            : "the configuration: none was found",
                  nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static int report_problems(struct foreground *front)
{
    core_problems_sort(&front->problems);
    for (const struct core_problem *p = front->problems.first; p; p = p->next)
        core_output_log(RC_LOG_ERROR, NULL, 0, "%s", core_problem_text(&front->problems, p));
    return refuse(front, CORE_EXIT_USAGE, RC_INVALID, "the configuration has %zu mistake%s",
                  front->problems.count, front->problems.count == 1 ? "" : "s");
}

/* What a plugin has asked for, by the configuration as it is by now. */
static void take_submitted(struct foreground *front)
{
    const struct core_submitted *submitted = front->asked->submitted;

    front->submission = (struct core_submission){
        .like = submitted->job ? core_config_job(front->config, submitted->job) : NULL,
        .params = submitted->params,
    };
    front->request.submission = &front->submission;
    front->request.set = submitted->set;
    front->request.json = true; /* results are lines of the log */
}

/* From the words of the command line to a request that can be run. */
static int prepare(struct foreground *front)
{
    const struct core_run_request *asked = front->asked;
    struct core_request *request = &front->request;
    int status;

    front->config = core_config_load(asked->config_path, &front->problems);
    *request = (struct core_request){
        .config = front->config,
        .set = core_config_parse_set(&front->arena, asked->set, asked->set_count, &front->problems),
        .plugin = asked->plugin,
        .action = asked->action,
        .now_unix_ms = asked->has_now ? asked->now_unix_ms : core_clock_now_unix_ms(),
        .attempt = 1,
        .dry_run = asked->dry_run,
        .json = asked->json,
        .force = asked->force,
        .log_level = asked->has_log_level ? asked->log_level : front->config->settings.log_level,
    };
    request->slot_unix_ms = request->now_unix_ms;
    if (asked->submitted)
        take_submitted(front);
    if (front->problems.count > 0)
        return report_problems(front);
    status = find_job(front);
    if (status == CORE_EXIT_OK && request->job) {
        if (request->plugin && strcmp(request->plugin, request->job->plugin) != 0)
            return refuse(front, CORE_EXIT_USAGE, RC_INVALID,
                          "the job '%s' is of the plugin '%s', not of '%s'", request->job->name,
                          request->job->plugin, request->plugin);
        request->plugin = request->job->plugin;
    }
    return status;
}

/* Under --json results wait in memory for the final object; else they go straight to stdout. */
static int open_results(bool json)
{
    return json ? memfd_create("run-core-results", MFD_CLOEXEC)
                : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

/* Where the last whole line of the file ends; a worker that was killed may have left half a one. */
static off_t end_of_lines(int fd)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char last;

    while (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n')
        end--;
    return end;
}

/*
 * Writes the lines of the file, each a JSON value, as the members of an array. Returns 0 or the
 * error's number.
 */
static int write_results(int fd)
{
    off_t end = end_of_lines(fd), done = 0;
    int failed = 0;

    while (done < end && !failed) {
        char part[65536];
        off_t left = end - done;
        ssize_t len =
            pread(fd, part, left < (off_t)sizeof(part) ? (size_t)left : sizeof(part), done);

        if (len <= 0)
            return len < 0 ? errno : EIO;
        done += len;
        /* A newline ends a value, since none stands inside one; the last ends the array. */
        for (ssize_t i = 0; i < len; i++)
            if (part[i] == '\n')
                part[i] = ',';
        failed = core_fd_write(STDOUT_FILENO, part, (size_t)(done == end ? len - 1 : len));
    }
    return failed;
}

static void add_text(struct rc_buf *out, const char *key, const char *text)
{
    rc_buf_addf(out, "\"%s\":", key);
    if (text && text[0])
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
    rc_buf_addc(out, ',');
}

static void add_counters(struct rc_buf *out, const struct core_status *status)
{
    rc_buf_adds(out, "\"counters\":{");
    for (size_t i = 0; status && i < core_status_counters(status); i++) {
        const struct core_counter *counter = &status->counters[i];
        rc_buf_adds(out, i > 0 ? "," : "");
        rc_buf_add_json(out, counter->name, strlen(counter->name));
        rc_buf_addf(out, ":%lld", (long long)atomic_load(&counter->value));
    }
    rc_buf_adds(out, "},");
}

/* Its results may be larger than the memory: they go from the file straight to stdout. */
static int print_final_object(const struct foreground *front)
{
    static const char end[] = "]}\n";
    RC_BUF_AUTO(out, HEAD_LIMIT);
    const struct core_outcome *outcome = &front->outcome;
    const struct core_status *status = front->run.status; /* NULL: the run did not begin */
    int failed;

    rc_buf_addc(&out, '{');
    add_text(&out, "run", front->run.id);
    add_text(&out, "plugin", front->request.plugin);
    add_text(&out, "action", status ? status->action : front->request.action);
    add_text(&out, "job", front->request.job ? front->request.job->name : NULL);
    add_text(&out, "status", outcome->status);
    add_text(&out, "reason", outcome->reason);
    add_text(&out, "error", outcome->message);
    add_counters(&out, status);
    rc_buf_addf(&out, "\"seconds\":%.3f,\"results\":[", outcome->seconds);
    failed = core_fd_write(STDOUT_FILENO, out.data, out.len);
    if (!failed && status)
        failed = write_results(front->run.result_fd);
    if (!failed)
        failed = core_fd_write(STDOUT_FILENO, end, sizeof(end) - 1);
    if (!failed || failed == EPIPE) /* a reader that goes has read enough */
        return outcome->exit_status;
    core_output_log(RC_LOG_ERROR, NULL, 0, "run-core cannot write the results to stdout: %s",
                    strerror(failed));
    return outcome->exit_status == CORE_EXIT_OK ? CORE_EXIT_FAILED : outcome->exit_status;
}

/* ---- health and metrics while it runs ------------------------------------------------------- */

static void view(void *context, struct core_run_view *out)
{
    struct foreground *front = context;
    struct core_status *status = front->run.status;
    int phase = atomic_load(&status->phase);
    bool stopping = core_cancel_code(&status->cancel) != RC_OK;

    core_status_seal(status);
    *out = (struct core_run_view){
        .run_id = front->run.id,
        .plugin = front->request.plugin,
        .action = status->action,
        .job = front->labels.job,
        .version = RUN_CORE_VERSION,
        .state = phase == CORE_PHASE_LOADING ? "loading"
                 : phase == CORE_PHASE_ENDED ? "ended"
                 : stopping                  ? "stopping"
                                             : "running",
        .ready = phase == CORE_PHASE_RUNNING && !stopping,
        .dry_run = front->request.dry_run,
        .started_unix_ms = front->started_unix_ms,
        .progress_done = atomic_load(&status->progress_done),
        .progress_total = atomic_load(&status->progress_total),
        .progress_unit = status->progress_unit,
        .counters = front->counters,
        .counter_count = core_status_counters(status),
    };
    for (size_t i = 0; i < out->counter_count; i++)
        front->counters[i] = (struct core_run_counter){ status->counters[i].name,
                                                        atomic_load(&status->counters[i].value) };
}

/* The worker has no part in it. */
static void forget(void *context)
{
    struct foreground *front = context;

    core_history_forget(&front->history);
    if (front->server)
        core_api_server_forget(front->server);
    if (front->asked->submitted)
        core_submitted_forget();
}

static int open_server(struct foreground *front)
{
    struct rc_error err = RC_ERROR_INIT;

    if (!front->asked->listen)
        return CORE_EXIT_OK;
    if (core_api_server_open(front->asked->listen, view, front, &front->server, &err)) {
        return refuse(front, CORE_EXIT_USAGE, RC_INVALID, "serve health and metrics at '%s': %s",
                      front->asked->listen, err.cause);
    }
    if (front->request.log_level >= RC_LOG_INFO)
        core_output_log(RC_LOG_INFO, NULL, 0, "serving health and metrics at %s",
                        core_api_server_url(front->server));
    return CORE_EXIT_OK;
}

/* ---- what a plugin has begun ----------------------------------------------------------------- */

/* In the same place as the logs of a daemon's runs. Without one, messages go where they went. */
static void open_log(struct foreground *front)
{
    RC_STR_AUTO spool = NULL;
    RC_STR_AUTO folder = NULL;
    RC_BUF_AUTO(path, PATH_MAX);
    struct rc_error err = RC_ERROR_INIT;

    if (core_spool_folder(front->config, &spool, &err) == RC_OK) {
        folder = rc_strf("%s/runs/%s", spool, front->run.id);
        core_attempt_log_path(folder, /* number = */ 1, /* older = */ false, &path);
        if (core_dir_make(folder, LOG_FOLDER_MODE, &err) == RC_OK) {
            front->log = core_run_log_open(path.data, front->config->settings.history.log_bytes,
                                           STDERR_FILENO);
            core_output_init(&front->labels);
            return;
        }
    }
    core_output_log(RC_LOG_WARN, NULL, 0, "the run '%s' has no log: %s%s%s", front->run.id,
                    err.context, err.context[0] ? ": " : "", err.cause);
}

/* Who asked for it may have stopped waiting; then nobody knows of it. */
static void abandon(struct foreground *front)
{
    core_outcome_set(&front->outcome, "cancelled", CORE_EXIT_FAILED, "abandoned");
    (void)snprintf(front->outcome.message, sizeof(front->outcome.message),
                   "who began it has stopped waiting for its beginning");
    core_output_log(RC_LOG_WARN, NULL, 0, "%s", front->outcome.message);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void name_run(struct foreground *front)
{
    const struct core_submitted *submitted = front->asked->submitted;

    front->started_unix_ms = core_clock_now_unix_ms();
    if (submitted)
        (void)snprintf(front->run.id, sizeof(front->run.id), "%s", submitted->run_id);
    else
        core_run_make_id(front->run.id, front->started_unix_ms);
    front->labels = (struct core_output_labels){
        .run = front->run.id,
        .plugin = front->request.plugin,
        .action = front->run.status->action,
        .job = front->request.job ? front->request.job->name : NULL,
    };
}

static int run(struct foreground *front)
{
    const struct core_submitted *submitted = front->asked->submitted;
    struct core_run *this_run = &front->run;
    struct core_guard_options options = { .forget = forget, .context = front };
    struct core_guard_service service;

    *this_run = (struct core_run){
        .request = &front->request,
        .status = core_status_new(),
        .result_fd = submitted ? STDERR_FILENO : open_results(front->request.json),
        .opening = PTHREAD_MUTEX_INITIALIZER,
    };
    if (this_run->result_fd < 0)
        return refuse(front, CORE_EXIT_FAILED, RC_UNAVAILABLE,
                      "cannot keep the results apart from the messages: %s", strerror(errno));
    name_run(front);
    if (open_server(front))
        return CORE_EXIT_USAGE;
    if (front->server)
        service = (struct core_guard_service){ .fd = core_api_server_fd(front->server),
                                               .serve = core_api_server_serve,
                                               .context = front->server };
    options.service = front->server ? &service : NULL;
    if (submitted)
        open_log(front);
    options.log = front->log;
    core_history_begin(&front->history, this_run);
    if (submitted && !core_submitted_tell(NULL))
        abandon(front);
    else
        core_guard_run(this_run, &options, &front->outcome);
    core_history_end(&front->history, this_run, &front->outcome);
    core_api_server_close(front->server);
    core_run_log_free(front->log);
    return front->outcome.exit_status;
}

int core_cli_run(const struct core_run_request *asked)
{
    struct foreground front = { .asked = asked, .arena = CORE_ARENA_INIT };
    int status;

    core_output_init(&front.labels);
    core_problems_init(&front.problems);
    status = prepare(&front);
    if (status == CORE_EXIT_OK)
        status = run(&front);
    if (asked->json)
        status = print_final_object(&front);
    if (front.run.status && !asked->submitted)
        core_fd_close(&front.run.result_fd);
    core_config_free(front.config);
    core_problems_clear(&front.problems);
    core_arena_clear(&front.arena);
    return status;
}
