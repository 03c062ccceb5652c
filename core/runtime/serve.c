/*
 * Serves a plugin's routes. The HTTP server calls handle() in its threads; each call makes a job of
 * its own, finds the route, and turns what the handler returns into a reply if it gave none.
 */
#include <runtime/serve.h>

#include <config/secrets.h>
#include <http/proxy.h>
#include <os/clock.h>
#include <os/loop.h>
#include <os/path.h>
#include <runtime/config_fetch.h>
#include <runtime/exchange.h>
#include <runtime/exit.h>
#include <runtime/host.h>
#include <runtime/output.h>
#include <runtime/plugin.h>
#include <runtime/scratch.h>
#include <runtime/submit.h>

#include <run-core/str.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HANDLER_THREADS = 8,
    DRAIN_MS = 10000, /* for what has begun */
    CANCEL_MS = 2000, /* for what was then cancelled */
    DRAIN_LOOK_MS = 50,
    ALLOW_BYTES = 256,
};

static const char alive_path[] = "/healthcheck/is-alive", ready_path[] = "/healthcheck/is-ready";

struct server {
    const struct core_serve_request *request;
    struct core_plugin *plugin;
    struct core_arena arena;
    struct core_binding binding;
    struct core_request run_request;
    struct core_run run;
    char *working_dir;

    struct core_loop *loop;
    struct core_http_server *http;
    struct core_watch *http_watch, *term, *interrupt;
    struct core_timer drain;
    int64_t drain_until_mono_ms; /* once it was asked to stop */
    atomic_bool stopping;
    atomic_uint handling; /* how many handlers run */
};

/* ---- one request ----------------------------------------------------------------------------- */

static bool takes_any_method(const struct rc_route *route)
{
    return strcmp(route->method, "*") == 0;
}

/* HEAD is answered by what answers GET. */
static bool takes_method(const struct rc_route *route, const char *method)
{
    return takes_any_method(route) || strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static bool is_listed(const char *list, const char *method)
{
    size_t len = strlen(method);

    for (const char *at = list; (at = strstr(at, method)); at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

static void allow_method(struct rc_buf *allow, const char *method)
{
    if (!is_listed(allow->data, method))
        rc_buf_addf(allow, "%s%s", allow->len ? ", " : "", method);
}

/*
 * The route for a request, or NULL, with the methods that its path has in 'allow'. Where several
 * fit, the plainer path goes first.
 */
static const struct rc_route *find_route(const struct server *server, const char *method,
                                         const char *path, struct core_path_values *values,
                                         struct rc_buf *allow)
{
    const struct rc_route *found = NULL;
    struct core_path_values these;

    for (size_t i = 0; i < server->plugin->route_count; i++) {
        const struct rc_route *route = &server->plugin->routes[i];

        if (!core_path_match(route->path, path, &these))
            continue;
        if (!takes_any_method(route))
            allow_method(allow, route->method);
        if (strcmp(route->method, "GET") == 0)
            allow_method(allow, "HEAD");
        if (takes_method(route, method) &&
            (!found || core_path_goes_before(route->path, found->path))) {
            found = route;
            *values = these;
        }
    }
    return found;
}

/* The status for what a handler returned without having replied. */
static unsigned status_of(enum rc_code code)
{
    switch (code) {
    case RC_OK:
        return 204;
    case RC_INVALID:
        return 400;
    case RC_DENIED:
        return 403;
    case RC_NOT_FOUND:
        return 404;
    case RC_CONFLICT:
        return 409;
    case RC_TOO_LARGE:
        return 413;
    case RC_UNSUPPORTED:
        return 501;
    case RC_UNAVAILABLE:
    case RC_SKIPPED:
    case RC_CANCELLED:
        return 503;
    case RC_TIMEOUT:
        return 504;
    default:
        return 500;
    }
}

static void conclude(struct rc_exchange *exchange, const struct rc_route *route, enum rc_code code,
                     struct rc_error *err)
{
    unsigned status = status_of(code);

    if (code != RC_OK && err->code != code)
        (void)rc_fail(err, code, "the route returned '%s' without saying why", rc_code_name(code));
    core_secret_mask(err->cause);
    core_secret_mask(err->context);
    if (code != RC_OK && (status >= 500 || exchange->replied))
        core_output_log(RC_LOG_ERROR, NULL, 0, "%s %s: %s%s%s", route->method, route->path,
                        err->context, err->context[0] ? ": " : "", err->cause);
    if (exchange->replied)
        return;
    if (code == RC_OK)
        core_http_reply(exchange->http, status, NULL, NULL);
    else if (status == 500)
        core_http_reply_error(exchange->http, status,
                              "the plugin failed; its log says what happened");
    else
        core_http_reply_error(exchange->http, status, "%s%s%s", err->context,
                              err->context[0] ? ": " : "", err->cause);
}

/* Names and values as texts of their own. */
static void own_values(struct rc_exchange *exchange)
{
    for (size_t i = 0; i < exchange->values.count; i++) {
        struct core_path_value *item = &exchange->values.items[i];

        item->name = core_arena_strndup(&exchange->arena, item->name, item->name_len);
        item->value = core_arena_strndup(&exchange->arena, item->value, item->value_len);
    }
}

static void call_route(struct server *server, const struct rc_route *route,
                       const struct core_path_values *values, struct core_http_exchange *http)
{
    struct core_cancel cancel = { .parent = &server->run.status->cancel };
    int64_t now_unix_ms = core_clock_now_unix_ms();
    struct core_job job = {
        .job = { .host = &core_host,
                 .log_level = server->request->log_level,
                 .dry_run = server->request->dry_run,
                 .attempt = 1,
                 .run_id = server->run.id,
                 .plugin = server->request->plugin,
                 .action = "serve",
                 .now_unix_ms = now_unix_ms,
                 .slot_unix_ms = now_unix_ms,
                 .time_zone = "UTC",
                 .working_dir = server->working_dir },
        .run = &server->run,
        .cancel = &cancel,
        .storage = core_run_storage(&server->run, &cancel),
    };
    struct rc_exchange exchange = {
        .http = http,
        .job = &job,
        .arena = CORE_ARENA_INIT,
        .values = *values,
        .admitted = server->request->behind_daemon && core_http_header(http, CORE_HTTP_ADMITTED),
    };
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;

    own_values(&exchange);
    atomic_fetch_add(&server->handling, 1);
    code = route->handle(&job.job, server->binding.config, &exchange, &err);
    conclude(&exchange, route, code, &err);
    core_storage_free(job.storage);
    core_arena_clear(&exchange.arena);
    atomic_fetch_sub(&server->handling, 1);
}

static void answer_health(const struct server *server, struct core_http_exchange *http)
{
    bool good = !atomic_load(&server->stopping) || strcmp(core_http_path(http), alive_path) == 0;
    struct rc_buf body = RC_BUF_INIT(1024);

    rc_buf_addf(&body, "{\"status\":\"%s\"}\n", good ? "ok" : "stopping");
    core_http_reply(http, good ? 200 : 503, "application/json", &body);
}

static void handle(void *context, struct core_http_exchange *http)
{
    struct server *server = context;
    const char *method = core_http_method(http), *path = core_http_path(http);
    const char *foreign = core_http_foreign(http);
    RC_BUF_AUTO(allow, ALLOW_BYTES);
    struct core_path_values values;
    const struct rc_route *route;

    if (strcmp(path, alive_path) == 0 || strcmp(path, ready_path) == 0) {
        answer_health(server, http);
        return;
    }
    if (foreign) {
        core_http_reply_error(http, 403, "%s", foreign);
        return;
    }
    route = find_route(server, method, path, &values, &allow);
    if (route) {
        call_route(server, route, &values, http);
    } else if (allow.len) {
        core_http_add_header(http, "Allow", allow.data);
        core_http_reply_error(http, 405, "here only %s is answered", allow.data);
    } else {
        core_http_reply_error(http, 404, "the plugin '%s' has no route for this path",
                              server->request->plugin);
    }
}

/* ---- the process ----------------------------------------------------------------------------- */

static void serve_http(void *context)
{
    core_http_server_serve(((struct server *)context)->http);
}

/* What goes on is asked to end, which is up to the plugin, and so has a bound. */
static void hurry(struct server *server)
{
    core_cancel_request(&server->run.status->cancel, RC_CANCELLED);
    server->drain_until_mono_ms = core_clock_mono_ms() + CANCEL_MS;
}

static void look_whether_drained(void *context)
{
    struct server *server = context;
    bool late = core_clock_mono_ms() >= server->drain_until_mono_ms;
    bool cancelled = core_cancel_code(&server->run.status->cancel) != RC_OK;

    if (core_http_server_connections(server->http) == 0 || (late && cancelled)) {
        core_loop_stop(server->loop);
        return;
    }
    if (late)
        hurry(server);
    core_timer_set(server->loop, &server->drain, core_clock_mono_ms() + DRAIN_LOOK_MS);
}

static void stop(void *context)
{
    struct server *server = context;

    if (core_cancel_code(&server->run.status->cancel) != RC_OK) {
        core_loop_stop(server->loop);
    } else if (atomic_exchange(&server->stopping, true)) {
        hurry(server);
    } else {
        server->drain_until_mono_ms = core_clock_mono_ms() + DRAIN_MS;
        core_http_server_drain(server->http);
        core_timer_set(server->loop, &server->drain, core_clock_mono_ms());
    }
}

static enum rc_code load(struct server *server, struct rc_error *err)
{
    const struct core_serve_request *request = server->request;
    RC_STR_AUTO path = NULL;

    if (core_plugin_find(request->config, request->plugin, &path, err))
        return err->code;
    if (core_plugin_load(path, &server->plugin, err))
        return err->code;
    if (server->plugin->route_count == 0)
        return rc_fail(err, RC_INVALID, "the plugin '%s' has no routes to serve", request->plugin);
    server->run.plugin = server->plugin;
    return RC_OK;
}

/* The options of the plugin; parameters of actions have no place here. */
static enum rc_code bind(struct server *server, struct rc_error *err)
{
    static const struct core_action action = { .name = "serve" };
    const struct core_serve_request *request = server->request;
    RC_CLEANUP(core_fetched_clear) struct core_fetched fetched = { .texts = { NULL, 0 } };
    const struct core_binding_source source = {
        .config = request->config,
        .set = request->set,
        .plugin = request->config ? core_config_plugin(request->config, request->plugin) : NULL,
        .texts = &fetched.texts,
    };
    CORE_PROBLEMS_AUTO(problems);

    if (core_config_fetch(&source, core_remote_http(server->run.remote, NULL),
                          &server->run.status->cancel, &fetched, err))
        return err->code;
    if (core_binding_make(server->plugin, &action, &source, &server->arena, &server->binding,
                          &problems))
        return RC_OK;
    core_problems_sort(&problems);
    for (const struct core_problem *p = problems.first; p; p = p->next)
        core_output_log(RC_LOG_ERROR, NULL, 0, "%s", core_problem_text(&problems, p));
    return rc_fail(err, RC_INVALID, "the configuration has %zu mistake%s", problems.count,
                   problems.count == 1 ? "" : "s");
}

/* Whoever waits there may have gone. */
static void tell_ready(const struct server *server)
{
    int fd = server->request->ready_fd;

    if (fd <= 0)
        return;
    (void)core_fd_write(fd, "\n", 1);
    (void)close(fd);
}

static enum rc_code listen_and_loop(struct server *server, struct rc_error *err)
{
    const struct core_http_options options = { .handler_threads = HANDLER_THREADS };

    if (core_loop_new(&server->loop, err) ||
        core_http_server_new(handle, server, &options, &server->http, err) ||
        core_http_server_listen(server->http, server->request->listen, err) ||
        core_loop_watch(server->loop, core_http_server_fd(server->http), serve_http, server,
                        &server->http_watch, err) ||
        core_loop_watch_signal(server->loop, SIGTERM, stop, server, &server->term, err) ||
        core_loop_watch_signal(server->loop, SIGINT, stop, server, &server->interrupt, err))
        return err->code;
    server->drain = (struct core_timer){ .clock = CORE_TIMER_MONO,
                                         .fn = look_whether_drained,
                                         .context = server };
    tell_ready(server);
    core_output_log(RC_LOG_INFO, NULL, 0, "serving %zu routes of the plugin '%s' at %s",
                    server->plugin->route_count, server->request->plugin,
                    core_http_server_url(server->http, 0));
    if (!core_http_server_is_loopback(server->http))
        core_output_log(RC_LOG_WARN, NULL, 0,
                        "whoever reaches this address may use the plugin's routes, as far as the "
                        "plugin itself lets them; put it behind the daemon to ask for tokens");
    core_loop_run(server->loop);
    return RC_OK;
}

/* A handler that does not return cannot be ended, and uses all that there is: _exit() is left. */
static void leave_if_stuck(const struct server *server)
{
    unsigned handling = atomic_load(&server->handling);

    if (handling == 0)
        return;
    core_output_log(RC_LOG_ERROR, NULL, 0,
                    "%u request%s to the plugin '%s' did not end when cancelled; the process ends "
                    "without them",
                    handling, handling == 1 ? "" : "s", server->request->plugin);
    core_scratch_remove(server->run.id);
    _exit(CORE_EXIT_FAILED);
}

static void finish(struct server *server)
{
    leave_if_stuck(server);
    core_http_server_close(server->http);
    core_loop_free(server->loop);
    core_submits_clear(&server->run.submits);
    core_remote_free(server->run.remote);
    core_db_close(server->run.db);
    core_time_zone_free(server->run.zone);
    if (server->run.temp_dir)
        core_scratch_remove(server->run.id);
    free(server->run.temp_dir);
    core_arena_clear(&server->arena);
    core_plugin_free(server->plugin);
    free(server->working_dir);
}

int core_serve_main(const struct core_serve_request *request)
{
    struct server server = { .request = request, .arena = CORE_ARENA_INIT };
    const struct core_output_labels labels = { .run = server.run.id, .plugin = request->plugin };
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;

    server.run_request = (struct core_request){
        .config = request->config,
        .plugin = request->plugin,
        .set = request->set,
        .now_unix_ms = core_clock_now_unix_ms(),
        .dry_run = request->dry_run,
        .log_level = request->log_level,
    };
    server.run = (struct core_run){
        .request = &server.run_request,
        .status = core_status_new(),
        .result_fd = STDERR_FILENO,
        .opening = PTHREAD_MUTEX_INITIALIZER,
    };
    server.run.remote = core_host_remote_new(&server.run);
    core_run_make_id(server.run.id, server.run_request.now_unix_ms);
    core_output_init(&labels);
    server.working_dir = getcwd(NULL, 0);
    code = server.working_dir
               ? load(&server, &err)
               : rc_fail(&err, RC_FAILED, "the working directory is gone; change to another");
    if (code == RC_OK)
        code = bind(&server, &err);
    if (code == RC_OK)
        code = listen_and_loop(&server, &err);
    if (code != RC_OK)
        core_output_log(RC_LOG_ERROR, NULL, 0, "serve the plugin '%s': %s%s%s", request->plugin,
                        err.context, err.context[0] ? ": " : "", err.cause);
    finish(&server);
    return code == RC_OK                                ? CORE_EXIT_OK
           : code == RC_INVALID || code == RC_NOT_FOUND ? CORE_EXIT_USAGE
                                                        : CORE_EXIT_FAILED;
}
