/*
 * 'run-core <plugin> [action]' and 'run-core run <job>': one run in the foreground. Reads the
 * configuration, hands the run to the guard and prints its final object.
 */
#include <cli/cli.h>

#include <api/server.h>
#include <cli/output.h>
#include <config/config.h>
#include <os/clock.h>
#include <runtime/guard.h>
#include <runtime/output.h>

#include <base/nearest.h>

#include <run-core/str.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RESULTS_LIMIT = 64 * 1024 * 1024 };

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
    struct core_output_labels labels;
    struct core_run run;
    struct core_outcome outcome;
};

static int usage_error(const char *message)
{
    core_output_log(RC_LOG_ERROR, NULL, 0, "%s", message);
    return CORE_EXIT_USAGE;
}

static int find_job(struct foreground *front)
{
    const char *name = front->asked->job;
    const struct core_config *config = front->config;
    const char **names;
    const char *nearest;
    RC_STR_AUTO message = NULL;

    if (!name)
        return CORE_EXIT_OK;
    front->request.job = core_config_job(config, name);
    if (front->request.job)
        return CORE_EXIT_OK;

    names = core_arena_alloc(&front->arena, (config->job_count + 1) * sizeof(*names));
    for (size_t i = 0; i < config->job_count; i++)
        names[i] = config->jobs[i].name;
    nearest = core_nearest(name, names, config->job_count);
    message = rc_strf(
        "there is no job '%s' in %s%s%s%s", name,
        front->asked->config_path ? front->asked->config_path : "the configuration: none was found",
        nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return usage_error(message);
}

static int report_problems(struct foreground *front)
{
    core_problems_sort(&front->problems);
    for (const struct core_problem *p = front->problems.first; p; p = p->next)
        core_output_log(RC_LOG_ERROR, NULL, 0, "%s", core_problem_text(&front->problems, p));
    return CORE_EXIT_USAGE;
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
        .dry_run = asked->dry_run,
        .json = asked->json,
        .force = asked->force,
        .log_level = asked->has_log_level ? asked->log_level : front->config->settings.log_level,
    };
    if (front->problems.count > 0)
        return report_problems(front);
    status = find_job(front);
    if (status == CORE_EXIT_OK && request->job) {
        if (request->plugin && strcmp(request->plugin, request->job->plugin) != 0) {
            RC_STR_AUTO message =
                rc_strf("the job '%s' is of the plugin '%s', not of '%s'", request->job->name,
                        request->job->plugin, request->plugin);
            return usage_error(message);
        }
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

/* The lines of the file, each a JSON value, as an array. */
static void add_results(struct rc_buf *out, int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    off_t done = 0;

    rc_buf_addc(out, '[');
    while (done < size) {
        char part[65536];
        ssize_t len = pread(fd, part, sizeof(part), done);

        if (len <= 0)
            break;
        done += len;
        /* A newline ends a value, since none stands inside one; the last ends the array. */
        for (ssize_t i = 0; i < len; i++) {
            if (part[i] == '\n')
                part[i] = ',';
        }
        if (done == size && part[len - 1] == ',')
            len--;
        rc_buf_add(out, part, (size_t)len);
    }
    rc_buf_addc(out, ']');
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
    for (size_t i = 0; i < core_status_counters(status); i++) {
        const struct core_counter *counter = &status->counters[i];
        rc_buf_adds(out, i > 0 ? "," : "");
        rc_buf_add_json(out, counter->name, strlen(counter->name));
        rc_buf_addf(out, ":%lld", (long long)atomic_load(&counter->value));
    }
    rc_buf_adds(out, "},");
}

static void print_final_object(const struct foreground *front)
{
    RC_BUF_AUTO(out, RESULTS_LIMIT);
    const struct core_outcome *outcome = &front->outcome;
    size_t done = 0;

    rc_buf_addc(&out, '{');
    add_text(&out, "run", front->run.id);
    add_text(&out, "plugin", front->request.plugin);
    add_text(&out, "action", front->run.status->action);
    add_text(&out, "job", front->request.job ? front->request.job->name : NULL);
    add_text(&out, "status", outcome->status);
    add_text(&out, "reason", outcome->reason);
    add_text(&out, "error", outcome->message);
    add_counters(&out, front->run.status);
    rc_buf_addf(&out, "\"seconds\":%.3f,\"results\":", outcome->seconds);
    add_results(&out, front->run.result_fd);
    rc_buf_adds(&out, "}\n");
    while (done < out.len) {
        ssize_t wrote = write(STDOUT_FILENO, out.data + done, out.len - done);
        if (wrote <= 0)
            return;
        done += (size_t)wrote;
    }
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

static void forget(void *server)
{
    core_api_server_forget(server);
}

static int open_server(struct foreground *front)
{
    struct rc_error err = RC_ERROR_INIT;

    if (!front->asked->listen)
        return CORE_EXIT_OK;
    if (core_api_server_open(front->asked->listen, view, front, &front->server, &err)) {
        rc_context(&err, "serve health and metrics at '%s'", front->asked->listen);
        return core_cli_complain(&err);
    }
    if (front->request.log_level >= RC_LOG_INFO)
        core_output_log(RC_LOG_INFO, NULL, 0, "serving health and metrics at %s",
                        core_api_server_url(front->server));
    return CORE_EXIT_OK;
}

static int run(struct foreground *front)
{
    struct core_run *this_run = &front->run;
    struct core_guard_service service;

    *this_run = (struct core_run){
        .request = &front->request,
        .status = core_status_new(),
        .result_fd = open_results(front->request.json),
        .opening = PTHREAD_MUTEX_INITIALIZER,
    };
    if (this_run->result_fd < 0)
        return usage_error("cannot open the place for results; is stdout closed?");
    front->started_unix_ms = core_clock_now_unix_ms();
    core_run_make_id(this_run->id, front->started_unix_ms);
    front->labels = (struct core_output_labels){
        .run = this_run->id,
        .plugin = front->request.plugin,
        .action = this_run->status->action,
        .job = front->request.job ? front->request.job->name : NULL,
    };
    if (open_server(front))
        return CORE_EXIT_USAGE;
    if (front->server)
        service = (struct core_guard_service){ .fd = core_api_server_fd(front->server),
                                               .serve = core_api_server_serve,
                                               .forget = forget,
                                               .context = front->server };
    core_guard_run(this_run, front->server ? &service : NULL, &front->outcome);
    core_api_server_close(front->server);
    if (front->request.json)
        print_final_object(front);
    close(this_run->result_fd);
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
    core_config_free(front.config);
    core_problems_clear(&front.problems);
    core_arena_clear(&front.arena);
    return status;
}
