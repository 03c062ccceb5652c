/*
 * Wraps libmicrohttpd in external polling: its epoll descriptor and a timer for its timeouts stand
 * in one epoll set, which is what callers wait for. Which paths there are is the handler's
 * business.
 */
#include <http/server.h>

#include <http/address.h>
#include <os/library.h>

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 64,
    CONNECTION_BYTES = 32 * 1024, /* memory of one, which the head of a request has to fit into */
    SILENCE_S = 15,
    REQUEST_BYTES = 1024 * 1024,
    REPLY_BYTES = 16 * 1024 * 1024,
};

/* The functions in use, as their own header declares them. */
struct microhttpd {
    __typeof__(&MHD_start_daemon) start_daemon;
    __typeof__(&MHD_stop_daemon) stop_daemon;
    __typeof__(&MHD_run) run;
    __typeof__(&MHD_get_daemon_info) get_daemon_info;
    __typeof__(&MHD_get_timeout) get_timeout;
    __typeof__(&MHD_lookup_connection_value) lookup_connection_value;
    __typeof__(&MHD_create_response_from_buffer) create_response_from_buffer;
    __typeof__(&MHD_add_response_header) add_response_header;
    __typeof__(&MHD_queue_response) queue_response;
    __typeof__(&MHD_destroy_response) destroy_response;
};

#define SYMBOL(name)                                                                               \
    {                                                                                              \
        "MHD_" #name, offsetof(struct microhttpd, name)                                            \
    }

static const struct core_library_symbol symbols[] = {
    SYMBOL(start_daemon),
    SYMBOL(stop_daemon),
    SYMBOL(run),
    SYMBOL(get_daemon_info),
    SYMBOL(get_timeout),
    SYMBOL(lookup_connection_value),
    SYMBOL(create_response_from_buffer),
    SYMBOL(add_response_header),
    SYMBOL(queue_response),
    SYMBOL(destroy_response),
};

struct core_http_server {
    struct microhttpd mhd;
    struct MHD_Daemon *daemon;
    struct core_listener listener;
    int epoll_fd, timer_fd;
    core_http_handler *handler;
    void *context;
};

/* ---- one request ----------------------------------------------------------------------------- */

static enum MHD_Result send_reply(const struct core_http_server *server,
                                  struct MHD_Connection *connection,
                                  const struct core_http_reply *reply)
{
    const struct microhttpd *mhd = &server->mhd;
    struct MHD_Response *response =
        mhd->create_response_from_buffer(reply->body.len, reply->body.data, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    if (reply->content_type)
        (void)mhd->add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    if (reply->allow)
        (void)mhd->add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
    (void)mhd->add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    result = mhd->queue_response(connection, reply->status, response);
    mhd->destroy_response(response);
    return result;
}

static enum MHD_Result answer(const struct core_http_server *server,
                              struct MHD_Connection *connection, const char *method,
                              const char *path, const struct rc_buf *body)
{
    struct core_http_request request = {
        .method = method,
        .path = path,
        .authorization = server->mhd.lookup_connection_value(connection, MHD_HEADER_KIND,
                                                             MHD_HTTP_HEADER_AUTHORIZATION),
        .body = body->data,
        .body_len = body->len,
    };
    struct core_http_reply reply = {
        .status = MHD_HTTP_OK,
        .content_type = "text/plain; charset=utf-8",
        .body = RC_BUF_INIT(REPLY_BYTES),
    };
    enum MHD_Result result;

    if (body->overflow) {
        reply.status = MHD_HTTP_CONTENT_TOO_LARGE;
        rc_buf_addf(&reply.body, "a request may have at most %d bytes\n", REQUEST_BYTES);
    } else {
        server->handler(server->context, &request, &reply);
    }
    result = send_reply(server, connection, &reply);
    rc_buf_clear(&reply.body);
    return result;
}

/*
 * Called with the head, then with each part of the body, then with nothing more: only then is the
 * request complete. What does not fit is read and dropped, so that the client gets to read the
 * answer.
 */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *data, size_t *data_len, void **state)
{
    const struct core_http_server *server = context;
    struct rc_buf *body = *state;

    (void)version;
    if (!body) {
        body = rc_malloc(sizeof(*body));
        rc_buf_init(body, REQUEST_BYTES);
        *state = body;
        return MHD_YES;
    }
    if (*data_len > 0) {
        rc_buf_add(body, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    return answer(server, connection, method, path, body);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how)
{
    struct rc_buf *body = *state;

    (void)context;
    (void)connection;
    (void)how;
    if (body)
        rc_buf_clear(body);
    free(body);
    *state = NULL;
}

/* ---- the server ------------------------------------------------------------------------------ */

static bool watch(int epoll_fd, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Wakes the caller when libmicrohttpd wants to end a silent connection. */
static void set_timer(const struct core_http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    struct itimerspec when = { .it_value = { 0, 0 } };

    if (server->mhd.get_timeout(server->daemon, &wait_ms) == MHD_YES) {
        when.it_value.tv_sec = (time_t)(wait_ms / 1000);
        when.it_value.tv_nsec = (long)(wait_ms % 1000) * 1000000 + 1; /* 0 would disarm it */
    }
    (void)timerfd_settime(server->timer_fd, 0, &when, NULL);
}

static enum rc_code start(struct core_http_server *server, struct rc_error *err)
{
    const union MHD_DaemonInfo *info;

    server->daemon = server->mhd.start_daemon(
        MHD_USE_EPOLL, /* port = */ 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET,
        server->listener.fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)SILENCE_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (!server->daemon)
        return rc_fail(err, RC_FAILED, "libmicrohttpd cannot serve on %s", server->listener.url);
    info = server->mhd.get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (!info || server->epoll_fd < 0 || server->timer_fd < 0 ||
        !watch(server->epoll_fd, info->epoll_fd) || !watch(server->epoll_fd, server->timer_fd))
        return rc_fail_errno(err, errno, "cannot wait for requests on %s", server->listener.url);
    set_timer(server);
    return RC_OK;
}

enum rc_code core_http_server_open(const char *address, core_http_handler *handler, void *context,
                                   struct core_http_server **out, struct rc_error *err)
{
    struct core_http_server *server = rc_calloc(1, sizeof(*server));

    *server = (struct core_http_server){
        .handler = handler,
        .context = context,
        .listener = { .fd = -1 },
        .epoll_fd = -1,
        .timer_fd = -1,
    };
    if (core_library_load("libmicrohttpd.so.12", symbols, RC_ARRAY_LEN(symbols), &server->mhd,
                          err)) {
        (void)rc_context(err, "serve HTTP (install the package libmicrohttpd12)");
    } else if (core_listener_open(address, &server->listener, err) == RC_OK &&
               start(server, err) == RC_OK) {
        *out = server;
        return RC_OK;
    }
    core_http_server_close(server);
    return err->code;
}

int core_http_server_fd(const struct core_http_server *server)
{
    return server->epoll_fd;
}

void core_http_server_serve(struct core_http_server *server)
{
    (void)server->mhd.run(server->daemon);
    set_timer(server); /* which also takes back what it had to say */
}

const char *core_http_server_url(const struct core_http_server *server)
{
    return server->listener.url;
}

bool core_http_server_is_loopback(const struct core_http_server *server)
{
    return server->listener.loopback;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void core_http_server_close(struct core_http_server *server)
{
    if (!server)
        return;
    if (server->daemon)
        server->mhd.stop_daemon(server->daemon); /* closes the listening socket */
    else
        close_fd(server->listener.fd);
    close_fd(server->epoll_fd);
    close_fd(server->timer_fd);
    free(server);
}

void core_http_server_forget(struct core_http_server *server)
{
    const union MHD_DaemonInfo *info =
        server->mhd.get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);

    if (info)
        close_fd(info->epoll_fd);
    close_fd(server->listener.fd);
    close_fd(server->epoll_fd);
    close_fd(server->timer_fd);
}
