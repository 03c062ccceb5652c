/*
 * The paths that a single run answers, and who may ask which. The daemon's stand in routes.c.
 */
#include <api/server.h>

#include <api/health.h>
#include <api/metrics.h>
#include <http/server.h>

#include <stdlib.h>
#include <string.h>

enum { REPLY_BYTES = 16 * 1024 * 1024 };

/* Of a run, probes and a monitor ask a few times a minute. */
static const struct core_http_options limits = { .connections = 64 };

struct core_api_server {
    struct core_http_server *http;
    core_run_view_fn *view;
    void *context;
};

static void metrics(const struct core_run_view *view, struct core_http_reply *reply)
{
    reply->content_type = CORE_API_METRICS_TYPE;
    core_api_add_metrics(view, &reply->body);
}

struct path {
    const char *path;
    bool open; /* to everybody, not only to this machine */
    void (*answer)(const struct core_run_view *view, struct core_http_reply *reply);
};

static const struct path paths[] = {
    { CORE_API_ALIVE, true, core_api_is_alive },
    { CORE_API_READY, true, core_api_is_ready },
    { CORE_API_METRICS, false, metrics },
};

static const struct path *find_path(const char *name)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(paths); i++)
        if (strcmp(paths[i].path, name) == 0)
            return &paths[i];
    return NULL;
}

static void refuse(struct core_http_reply *reply, unsigned status, const char *reason)
{
    reply->status = status;
    reply->content_type = "application/json";
    rc_buf_adds(&reply->body, "{\"error\":");
    rc_buf_add_json(&reply->body, reason, strlen(reason));
    rc_buf_adds(&reply->body, "}\n");
}

static void answer(const struct core_api_server *server, struct core_http_exchange *exchange,
                   struct core_http_reply *reply)
{
    const struct path *path = find_path(core_http_path(exchange));
    const char *method = core_http_method(exchange);
    struct core_run_view view = { .state = "" };

    if (!path) {
        refuse(reply, 404,
               "there is nothing here; a run answers " CORE_API_ALIVE ", " CORE_API_READY
               " and " CORE_API_METRICS);
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        core_http_add_header(exchange, "Allow", "GET, HEAD");
        refuse(reply, 405, "only GET and HEAD are answered here");
    } else if (!path->open && !core_http_server_is_loopback(server->http)) {
        refuse(reply, 403,
               "metrics of a single run are shown to its own machine only; let it listen on "
               "127.0.0.1 or [::1]");
    } else {
        server->view(server->context, &view);
        path->answer(&view, reply);
    }
}

static void handle(void *context, struct core_http_exchange *exchange)
{
    struct core_http_reply reply = {
        .status = 200,
        .content_type = "text/plain; charset=utf-8",
        .body = RC_BUF_INIT(REPLY_BYTES),
    };

    answer(context, exchange, &reply);
    core_http_reply(exchange, reply.status, reply.content_type, &reply.body);
}

enum rc_code core_api_server_open(const char *listen, core_run_view_fn *view, void *context,
                                  struct core_api_server **out, struct rc_error *err)
{
    struct core_api_server *server = rc_calloc(1, sizeof(*server));

    *server = (struct core_api_server){ .view = view, .context = context };
    if (core_http_server_new(handle, server, &limits, &server->http, err) ||
        core_http_server_listen(server->http, listen, err)) {
        core_api_server_close(server);
        return err->code;
    }
    *out = server;
    return RC_OK;
}

int core_api_server_fd(const struct core_api_server *server)
{
    return core_http_server_fd(server->http);
}

void core_api_server_serve(void *server)
{
    core_http_server_serve(((struct core_api_server *)server)->http);
}

const char *core_api_server_url(const struct core_api_server *server)
{
    return core_http_server_url(server->http, 0);
}

void core_api_server_close(struct core_api_server *server)
{
    if (server)
        core_http_server_close(server->http);
    free(server);
}

void core_api_server_forget(struct core_api_server *server)
{
    core_http_server_forget(server->http);
}
