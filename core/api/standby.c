/*
 * The server of a daemon that cannot begin. It answers probes as the daemon does, so that nobody
 * ends a process that only waits, and everything else with 503 and the reason, which comes from the
 * daemon by a socket, a message each.
 */
#include <api/standby.h>

#include <api/call.h>
#include <api/health.h>
#include <runtime/output.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REASON_BYTES = 2 * RC_ERROR_TEXT };

struct core_standby {
    struct core_child child;
    bool is_over; /* the child has ended by itself */
    int fd;       /* reasons go there */
};

/* ---- the process that answers ---------------------------------------------------------------- */

struct answering {
    const struct core_config *config;
    int fd; /* reasons come from there */
    struct core_http_server *http;
    char reason[REASON_BYTES];
};

static void handle(void *context, struct core_http_exchange *exchange)
{
    const struct answering *answering = context;
    const char *path = core_http_path(exchange);

    if (strcmp(path, CORE_API_ALIVE) == 0)
        core_api_probe(exchange, true, NULL);
    else if (strcmp(path, CORE_API_READY) == 0)
        core_api_probe(exchange, false, answering->reason);
    else
        core_http_reply_error(exchange, 503, "the daemon has not begun yet: %s", answering->reason);
}

static void warn(const struct rc_error *err)
{
    core_output_log(RC_LOG_WARN, NULL, 0, "who asks meanwhile has no answer: %s%s%s", err->context,
                    err->context[0] ? ": " : "", err->cause);
}

/* False: the daemon has closed its end. */
static bool take_reason(struct answering *answering)
{
    ssize_t len = recv(answering->fd, answering->reason, sizeof(answering->reason) - 1, 0);

    if (len < 0 && errno == EINTR)
        return true;
    answering->reason[len > 0 ? len : 0] = '\0';
    return len > 0;
}

static int answer(void *context)
{
    struct answering *answering = context;
    struct rc_error err = RC_ERROR_INIT;

    if (core_http_server_new(handle, answering, NULL, &answering->http, &err)) {
        warn(&err);
        return 1;
    }
    if (core_api_listen(answering->http, answering->config, &err))
        warn(&err);
    if (core_api_listen_unix(answering->http, answering->config, &err))
        warn(&err);
    for (;;) {
        struct pollfd ready[2] = {
            { .fd = answering->fd, .events = POLLIN },
            { .fd = core_http_server_fd(answering->http), .events = POLLIN },
        };

        if (poll(ready, RC_ARRAY_LEN(ready), -1) < 0)
            continue;
        if (ready[0].revents && !take_reason(answering))
            return 0;
        core_http_server_serve(answering->http);
    }
}

/* ---- the daemon's side ----------------------------------------------------------------------- */

static void on_end(void *context)
{
    struct core_standby *standby = context;

    (void)core_child_end(&standby->child, /* kill = */ false);
    standby->is_over = true;
}

enum rc_code core_standby_open(const struct core_nursery *nursery, const struct core_config *config,
                               struct core_standby **out, struct rc_error *err)
{
    struct core_standby *standby = rc_calloc(1, sizeof(*standby));
    struct answering answering = { .config = config };
    enum rc_code code;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        free(standby);
        return rc_fail_errno(err, errno, "make a pair of sockets");
    }
    standby->fd = ends[0];
    answering.fd = ends[1];
    code = core_child_start(nursery, answer, &answering, ends[1], on_end, standby, &standby->child,
                            err);
    (void)close(ends[1]);
    if (code) {
        (void)close(ends[0]);
        free(standby);
        return code;
    }
    *out = standby;
    return RC_OK;
}

void core_standby_say(struct core_standby *standby, const char *reason)
{
    /* Where it has not read those before, one of them is shown. */
    (void)send(standby->fd, reason, strlen(reason), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void core_standby_close(struct core_standby *standby)
{
    if (!standby)
        return;
    if (!standby->is_over)
        (void)core_child_end(&standby->child, /* kill = */ true);
    (void)close(standby->fd);
    free(standby);
}
