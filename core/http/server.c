/*
 * Wraps libmicrohttpd in external polling: its epoll descriptor stands in one epoll set with the
 * listening sockets, a timer and what wakes replies; that set is what callers wait for.
 */
#include <http/server_internal.h>

#include <os/clock.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    CONNECTIONS = 512,
    HEAD_BYTES = 16 * 1024,
    BODY_BYTES = 1024 * 1024,
    ALL_BODIES_BYTES = 64 * 1024 * 1024,
    SILENCE_MS = 15 * 1000,
    REQUEST_MS = 30 * 1000,
    OTHER_FILES = 192,           /* descriptors that are not for clients */
    REPLY_HEAD_BYTES = 8 * 1024, /* of a connection's memory, beside the head of a request */
    EVENTS_AT_A_TIME = 64,
};

/* ---- start ----------------------------------------------------------------------------------- */

static unsigned affordable_connections(unsigned wanted)
{
    struct rlimit files = { .rlim_cur = 1024 };

    (void)getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur > OTHER_FILES * 4 / 3)
        files.rlim_cur -= OTHER_FILES;
    else
        files.rlim_cur /= 4;
    return files.rlim_cur < wanted ? (unsigned)files.rlim_cur : wanted;
}

static struct core_http_options with_defaults(const struct core_http_options *options)
{
    struct core_http_options out = options ? *options : (struct core_http_options){ .hosts = NULL };

    out.connections = affordable_connections(out.connections ? out.connections : CONNECTIONS);
    if (out.connections_per_address == 0)
        out.connections_per_address = out.connections;
    if (out.head_bytes == 0)
        out.head_bytes = HEAD_BYTES;
    if (out.body_bytes == 0)
        out.body_bytes = BODY_BYTES;
    if (out.all_bodies_bytes == 0)
        out.all_bodies_bytes = ALL_BODIES_BYTES;
    if (out.silence_ms == 0)
        out.silence_ms = SILENCE_MS;
    if (out.request_ms == 0)
        out.request_ms = REQUEST_MS;
    if (out.request_ms < out.silence_ms)
        out.request_ms = out.silence_ms;
    return out;
}

/* What is decoded, and how strictly, is for uri.c to say. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static enum rc_code start(struct core_http_server *server, struct rc_error *err)
{
    const union MHD_DaemonInfo *info;

    server->daemon = server->mhd.start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, /* port = */ 0, NULL,
        NULL, core_http_on_request, server, MHD_OPTION_CONNECTION_LIMIT,
        server->limits.connections + EVENTS_AT_A_TIME * MAX_LISTENERS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, server->limits.head_bytes + REPLY_HEAD_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((server->limits.silence_ms + 999) / 1000),
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, core_http_on_target, server, MHD_OPTION_NOTIFY_CONNECTION,
        core_http_on_connection, server, MHD_OPTION_NOTIFY_COMPLETED, core_http_on_completed,
        server, MHD_OPTION_END);
    if (!server->daemon)
        return rc_fail(err, RC_FAILED, "libmicrohttpd cannot be started");
    info = server->mhd.get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    server->mhd_fd = info ? info->epoll_fd : -1;
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    server->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (server->epoll_fd < 0 || server->timer_fd < 0 || server->event_fd < 0 ||
        server->spare_fd < 0 || !core_http_watch(server, server->mhd_fd, &server->mhd_item) ||
        !core_http_watch(server, server->timer_fd, &server->timer_item) ||
        !core_http_watch(server, server->event_fd, &server->event_item))
        return rc_fail_errno(err, errno, "cannot wait for requests");
    return core_http_handlers_start(server, err);
}

/* libmicrohttpd and the timer have their turn after every wait, whatever ended it. */
static void nothing(struct poll_item *item, uint32_t events)
{
    (void)item;
    (void)events;
}

enum rc_code core_http_server_new(core_http_handler *handler, void *context,
                                  const struct core_http_options *options,
                                  struct core_http_server **out, struct rc_error *err)
{
    struct core_http_server *server = rc_calloc(1, sizeof(*server));

    *server = (struct core_http_server){
        .handler = handler,
        .context = context,
        .limits = with_defaults(options),
        .epoll_fd = -1,
        .timer_fd = -1,
        .event_fd = -1,
        .mhd_fd = -1,
        .spare_fd = -1,
        .mhd_item = { nothing },
        .timer_item = { nothing },
        .event_item = { nothing },
        .sweep_mono_ms = INT64_MAX,
    };
    (void)pthread_mutex_init(&server->mutex, NULL);
    (void)pthread_cond_init(&server->work, NULL);
    if (core_microhttpd_load(&server->mhd, err) == RC_OK && start(server, err) == RC_OK) {
        *out = server;
        return RC_OK;
    }
    core_http_server_close(server);
    return err->code;
}

enum rc_code core_http_server_listen(struct core_http_server *server, const char *address,
                                     struct rc_error *err)
{
    struct listener *listener = &server->listeners[server->listener_count];

    if (server->listener_count == MAX_LISTENERS)
        return rc_fail(err, RC_INVALID, "cannot listen on '%s': at most %d addresses", address,
                       MAX_LISTENERS);
    *listener = (struct listener){ .item = { core_http_accept }, .server = server };
    if (core_listener_open(address, &listener->socket, err))
        return err->code;
    if (!core_http_watch(server, listener->socket.fd, &listener->item)) {
        (void)rc_fail_errno(err, errno, "cannot wait for requests on '%s'", address);
        core_listener_close(&listener->socket);
        return err->code;
    }
    server->listener_count++;
    return RC_OK;
}

/* ---- serving --------------------------------------------------------------------------------- */

/* Wakes the caller when a connection's time is up, or libmicrohttpd wants its turn. */
static void set_timer(const struct core_http_server *server)
{
    MHD_UNSIGNED_LONG_LONG mhd_ms = 0;
    struct itimerspec when = { .it_value = { 0, 0 } };
    int64_t wait_ms = INT64_MAX;

    if (server->sweep_mono_ms != INT64_MAX) {
        wait_ms = server->sweep_mono_ms - core_clock_mono_ms();
        wait_ms = wait_ms > 0 ? wait_ms + 1 : 0;
    }
    if (server->mhd.get_timeout(server->daemon, &mhd_ms) == MHD_YES && (int64_t)mhd_ms < wait_ms)
        wait_ms = (int64_t)mhd_ms;
    if (wait_ms != INT64_MAX) {
        when.it_value.tv_sec = (time_t)(wait_ms / 1000);
        when.it_value.tv_nsec = (long)(wait_ms % 1000) * 1000000 + 1; /* 0 would disarm it */
    }
    (void)timerfd_settime(server->timer_fd, 0, &when, NULL);
}

/* Goes on with the exchanges for which there is a reply, or more of it. */
static void resume_ready(struct core_http_server *server)
{
    struct core_http_exchange *ready;
    eventfd_t count;

    (void)eventfd_read(server->event_fd, &count);
    (void)pthread_mutex_lock(&server->mutex);
    ready = server->ready;
    server->ready = NULL;
    for (; ready; ready = ready->next_ready) {
        ready->queued = false;
        ready->parked = false;
        core_http_unwatch_client(ready->connection);
        server->mhd.resume_connection(ready->mhd);
    }
    (void)pthread_mutex_unlock(&server->mutex);
}

int core_http_server_fd(const struct core_http_server *server)
{
    return server->epoll_fd;
}

void core_http_server_serve(struct core_http_server *server)
{
    struct epoll_event events[EVENTS_AT_A_TIME];
    int count = epoll_wait(server->epoll_fd, events, EVENTS_AT_A_TIME, 0);

    for (int i = 0; i < count; i++) {
        struct poll_item *item = events[i].data.ptr;

        item->ready(item, events[i].events);
    }
    resume_ready(server);
    core_http_sweep(server);
    (void)server->mhd.run(server->daemon);
    set_timer(server); /* which also takes back what it had to say */
}

const char *core_http_server_url(const struct core_http_server *server, size_t index)
{
    return index < server->listener_count ? server->listeners[index].socket.url : NULL;
}

bool core_http_server_is_loopback(const struct core_http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        if (!server->listeners[i].socket.loopback)
            return false;
    return true;
}

size_t core_http_server_connections(const struct core_http_server *server)
{
    return server->connection_count;
}

/* ---- end ------------------------------------------------------------------------------------- */

static void close_listeners(struct core_http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        core_listener_close(&server->listeners[i].socket);
}

void core_http_server_drain(struct core_http_server *server)
{
    server->draining = true;
    close_listeners(server);
    for (struct connection *at = server->connections; at; at = at->next)
        if (at->receiving && !at->exchange)
            core_http_shut(at);
    server->sweep_mono_ms = 0; /* has the server served once, which notices */
    set_timer(server);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

static void close_own_fds(struct core_http_server *server)
{
    close_fd(server->epoll_fd);
    close_fd(server->timer_fd);
    close_fd(server->event_fd);
    close_fd(server->spare_fd);
}

/* libmicrohttpd is not stopped while a connection is suspended. */
static void end_exchanges(struct core_http_server *server)
{
    for (struct connection *at = server->connections; at; at = at->next)
        if (at->exchange && at->exchange->parked)
            core_http_abandon(at->exchange);
    resume_ready(server);
}

void core_http_server_close(struct core_http_server *server)
{
    if (!server)
        return;
    core_http_handlers_stop(server);
    close_listeners(server);
    if (server->daemon) {
        end_exchanges(server);
        server->mhd.stop_daemon(server->daemon);
    }
    close_own_fds(server);
    (void)pthread_cond_destroy(&server->work);
    (void)pthread_mutex_destroy(&server->mutex);
    free(server);
}

void core_http_server_forget(struct core_http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        close_fd(server->listeners[i].socket.fd);
    for (const struct connection *at = server->connections; at; at = at->next)
        close_fd(at->fd);
    close_fd(server->mhd_fd);
    close_own_fds(server);
}
