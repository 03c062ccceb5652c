/*
 * Who may connect, how many, and for how long they may keep the server waiting. Connections are
 * accepted here and handed to libmicrohttpd, whose own limits know neither who waits longest nor
 * how long a request takes that never falls silent.
 */
#include <http/server_internal.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ACCEPTS_AT_A_TIME = 64, /* then those that are connected have their turn */
    PAUSE_MS = 100,         /* with no descriptor left at all */
};

/* ---- who it is ------------------------------------------------------------------------------- */

static void describe_unix(int fd, struct core_http_peer *out)
{
    struct ucred credentials = { .uid = (uid_t)-1, .pid = 0 };
    socklen_t len = sizeof(credentials);

    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len);
    *out = (struct core_http_peer){
        .is_unix = true,
        .is_loopback = true,
        .uid = credentials.uid,
        .pid = credentials.pid,
        .address = "unix",
    };
}

static void describe_tcp(const struct sockaddr_storage *address, struct core_http_peer *out)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    struct in_addr v4 = ((const struct sockaddr_in *)(const void *)address)->sin_addr;
    bool is_v4 = address->ss_family == AF_INET;

    *out = (struct core_http_peer){ .uid = (uid_t)-1 };
    if (!is_v4 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        memcpy(&v4, &v6->sin6_addr.s6_addr[12], sizeof(v4));
        is_v4 = true;
    }
    if (is_v4) {
        (void)inet_ntop(AF_INET, &v4, out->address, sizeof(out->address));
        out->is_loopback = ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    } else {
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, out->address, sizeof(out->address));
        out->is_loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    }
}

/* ---- the list -------------------------------------------------------------------------------- */

static void link_connection(struct connection *connection)
{
    struct core_http_server *server = connection->server;

    connection->next = server->connections;
    if (connection->next)
        connection->next->previous = connection;
    server->connections = connection;
    server->connection_count++;
}

static void free_connection(struct connection *connection)
{
    struct core_http_server *server = connection->server;

    if (connection->previous)
        connection->previous->next = connection->next;
    else
        server->connections = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    server->connection_count--;
    free(connection);
}

static struct connection *find_connection(const struct core_http_server *server, int fd)
{
    struct connection *connection = server->connections;

    while (connection && connection->fd != fd)
        connection = connection->next;
    return connection;
}

void core_http_on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                             enum MHD_ConnectionNotificationCode code)
{
    struct core_http_server *server = context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            server->mhd.get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

        *socket_context = info ? find_connection(server, info->connect_fd) : NULL;
    } else if (*socket_context) {
        free_connection(*socket_context);
        *socket_context = NULL;
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

void core_http_set_deadline(struct connection *connection, int64_t at_mono_ms)
{
    connection->deadline_mono_ms = at_mono_ms;
    if (at_mono_ms < connection->server->sweep_mono_ms)
        connection->server->sweep_mono_ms = at_mono_ms;
}

void core_http_begin_receiving(struct connection *connection)
{
    connection->receiving = true;
    connection->since_mono_ms = core_clock_mono_ms();
    core_http_set_deadline(connection,
                           connection->since_mono_ms + connection->server->limits.request_ms);
}

void core_http_shut(struct connection *connection)
{
    connection->ending = true;
    connection->deadline_mono_ms = INT64_MAX;
    (void)shutdown(connection->fd, SHUT_RDWR);
}

/* ---- watching what libmicrohttpd does not ---------------------------------------------------- */

bool core_http_watch(struct core_http_server *server, int fd, struct poll_item *item)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = item };

    return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void client_ended(struct poll_item *item, uint32_t events)
{
    struct connection *connection = (struct connection *)(void *)item;

    (void)events;
    (void)pthread_mutex_lock(&connection->server->mutex); /* who watches has done it by then */
    core_http_unwatch_client(connection);
    (void)pthread_mutex_unlock(&connection->server->mutex);
    if (connection->exchange)
        core_http_abandon(connection->exchange);
}

void core_http_watch_client(struct connection *connection, uint32_t events)
{
    /* The end of both sides is reported without being asked for. */
    struct epoll_event event = { .events = events, .data.ptr = &connection->item };

    connection->item.ready = client_ended;
    connection->watched =
        epoll_ctl(connection->server->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) == 0;
}

void core_http_unwatch_client(struct connection *connection)
{
    if (connection->watched)
        (void)epoll_ctl(connection->server->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    connection->watched = false;
}

/* ---- accepting ------------------------------------------------------------------------------- */

static void pause_listeners(struct core_http_server *server, bool pause)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        struct listener *listener = &server->listeners[i];

        if (pause)
            (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, listener->socket.fd, NULL);
        else
            (void)core_http_watch(server, listener->socket.fd, &listener->item);
    }
    server->paused = pause;
    if (pause && server->sweep_mono_ms > core_clock_mono_ms() + PAUSE_MS)
        server->sweep_mono_ms = core_clock_mono_ms() + PAUSE_MS;
}

void core_http_sweep(struct core_http_server *server)
{
    int64_t now_mono_ms = core_clock_mono_ms();

    if (now_mono_ms < server->sweep_mono_ms)
        return;
    server->sweep_mono_ms = INT64_MAX;
    for (struct connection *at = server->connections; at; at = at->next) {
        if (at->deadline_mono_ms <= now_mono_ms)
            core_http_shut(at);
        else if (at->deadline_mono_ms < server->sweep_mono_ms)
            server->sweep_mono_ms = at->deadline_mono_ms;
    }
    if (server->paused && !server->draining)
        pause_listeners(server, false);
}

/*
 * The answer to one client too many, as far as it can be had without waiting: what has arrived of
 * the request is read, or closing would take the answer back.
 */
static void refuse(int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Content-Type: application/json\r\n"
                                 "Content-Length: 49\r\n"
                                 "Retry-After: 1\r\n"
                                 "Connection: close\r\n\r\n"
                                 "{\"error\":\"too many connections; try again later\"}";
    char dropped[4096];

    (void)recv(fd, dropped, sizeof(dropped), MSG_DONTWAIT);
    (void)send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
}

/* Ends the connection that has waited longest to complete a request. */
static bool evict(struct core_http_server *server, const char *address)
{
    struct connection *oldest = NULL;

    for (struct connection *at = server->connections; at; at = at->next)
        if (at->receiving && !at->ending && (!address || strcmp(address, at->peer.address) == 0) &&
            (!oldest || at->since_mono_ms <= oldest->since_mono_ms))
            oldest = at;
    if (oldest)
        core_http_shut(oldest);
    return oldest != NULL;
}

static bool has_room(struct core_http_server *server, const struct core_http_peer *peer)
{
    unsigned all = 0, same = 0;

    /* Mostly there is, and then nothing needs to be counted. */
    if (server->connection_count < server->limits.connections &&
        server->connection_count < server->limits.connections_per_address)
        return true;
    for (const struct connection *at = server->connections; at; at = at->next) {
        all += !at->ending;
        same += !at->ending && !peer->is_unix && strcmp(at->peer.address, peer->address) == 0;
    }
    if (same >= server->limits.connections_per_address)
        return evict(server, peer->address);
    return all < server->limits.connections || evict(server, NULL);
}

static void admit(struct listener *listener, int fd, const struct sockaddr_storage *address,
                  socklen_t address_len)
{
    struct core_http_server *server = listener->server;
    struct connection *connection;
    struct core_http_peer peer;

    if (listener->socket.is_unix)
        describe_unix(fd, &peer);
    else
        describe_tcp(address, &peer);
    if (!has_room(server, &peer)) {
        refuse(fd);
        return;
    }
    connection = rc_calloc(1, sizeof(*connection));
    connection->server = server;
    connection->fd = fd;
    connection->on_loopback = listener->socket.loopback;
    connection->peer = peer;
    link_connection(connection);
    core_http_begin_receiving(connection);
    /* On failure it closes the socket, and has or has not told of the connection by then. */
    if (server->mhd.add_connection(server->daemon, fd, (const struct sockaddr *)address,
                                   address_len) != MHD_YES &&
        server->connections == connection)
        free_connection(connection);
}

/* Without a descriptor for a client, one is lent to it for as long as it takes to refuse it. */
static bool refuse_with_spare(struct core_http_server *server, int listener_fd)
{
    int fd;

    if (server->spare_fd >= 0)
        (void)close(server->spare_fd);
    fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        refuse(fd);
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

void core_http_accept(struct poll_item *item, uint32_t events)
{
    struct listener *listener = (struct listener *)(void *)item;
    struct core_http_server *server = listener->server;

    (void)events;
    for (int i = 0; i < ACCEPTS_AT_A_TIME; i++) {
        struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
        socklen_t len = sizeof(address);
        int fd = accept4(listener->socket.fd, (struct sockaddr *)&address, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            admit(listener, fd, &address, len);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            if (!refuse_with_spare(server, listener->socket.fd)) {
                pause_listeners(server, true);
                return;
            }
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        }
    }
}
