/*
 * The server of a daemon that cannot begin. It answers probes as the daemon does, so that nobody
 * ends a process that only waits, and everything else with 503 and the reason.
 */
#include <api/standby.h>

#include <api/call.h>
#include <api/health.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

struct core_standby {
    struct core_http_server *http;
    struct core_watch *watch;
    char *reason;
};

static void handle(void *context, struct core_http_exchange *exchange)
{
    const struct core_standby *standby = context;
    const char *path = core_http_path(exchange);

    if (strcmp(path, CORE_API_ALIVE) == 0)
        core_api_probe(exchange, true, NULL);
    else if (strcmp(path, CORE_API_READY) == 0)
        core_api_probe(exchange, false, standby->reason);
    else
        core_http_reply_error(exchange, 503, "the daemon has not begun yet: %s", standby->reason);
}

static void serve(void *context)
{
    core_http_server_serve(((struct core_standby *)context)->http);
}

enum rc_code core_standby_open(struct core_loop *loop, const struct core_config *config,
                               struct core_standby **out, struct rc_error *err)
{
    struct core_standby *standby = rc_calloc(1, sizeof(*standby));

    core_standby_say(standby, "");
    if (core_http_server_new(handle, standby, NULL, &standby->http, err) ||
        core_api_listen(standby->http, config, err) ||
        core_loop_watch(loop, core_http_server_fd(standby->http), serve, standby, &standby->watch,
                        err)) {
        core_standby_close(standby);
        return err->code;
    }
    *out = standby;
    return RC_OK;
}

void core_standby_say(struct core_standby *standby, const char *reason)
{
    free(standby->reason);
    standby->reason = rc_strdup(reason);
}

void core_standby_close(struct core_standby *standby)
{
    if (!standby)
        return;
    core_watch_end(standby->watch);
    core_http_server_close(standby->http);
    free(standby->reason);
    free(standby);
}
