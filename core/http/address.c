/*
 * From the text of an address to a listening socket.
 */
#include <http/address.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, MAX_PORT = 65535, LOCK_WAIT_MS = 2000, LOCK_PAUSE_MS = 20 };

#define UNIX_PREFIX "unix:"

/* ---- addresses of TCP ------------------------------------------------------------------------ */

/*
 * Splits at the last colon; brackets around the host are taken off. '*host' is empty for ":port".
 */
static enum rc_code split(const char *address, char **host, const char **port, struct rc_error *err)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    bool bracketed = len >= 2 && address[0] == '[' && address[len - 1] == ']';
    int64_t number;

    if (!colon || !rc_parse_int(colon + 1, &number) || number < 0 || number > MAX_PORT ||
        colon[1] < '0' || colon[1] > '9' || (!bracketed && memchr(address, ':', len)))
        return rc_fail(
            err, RC_INVALID,
            "'%s' is not an address to listen on; write HOST:PORT, [IPV6]:PORT, :PORT or "
            "unix:/PATH, such as 127.0.0.1:8081",
            address);
    *port = colon + 1;
    *host = bracketed ? rc_strndup(address + 1, len - 2) : rc_strndup(address, len);
    return RC_OK;
}

static bool is_loopback(const struct sockaddr *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

    if (address->sa_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int listen_on(const struct addrinfo *info)
{
    int on = 1, off = 0;
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    info->ai_protocol);

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (info->ai_family == AF_INET6) /* every address means those of IPv4 too */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int saved = errno;

        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Asks the socket what it got: the port may have been 0. */
static void describe(struct core_listener *listener)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof(address);
    char host[INET6_ADDRSTRLEN] = "", port[8] = "";

    (void)getsockname(listener->fd, (struct sockaddr *)&address, &len);
    (void)getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
                      NI_NUMERICHOST | NI_NUMERICSERV);
    listener->loopback = is_loopback((struct sockaddr *)&address);
    (void)snprintf(listener->url, sizeof(listener->url),
                   address.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host, port);
}

static enum rc_code open_tcp(const char *address, struct core_listener *out, struct rc_error *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    const char *port = NULL;
    RC_STR_AUTO host = NULL;
    int failed, error = 0;

    if (split(address, &host, &port, err))
        return err->code;
    if (!*host)
        hints.ai_family = AF_INET6; /* one socket for both families, if there is IPv6 here */
    failed = getaddrinfo(*host ? host : NULL, port, &hints, &found);
    if (failed)
        return rc_fail(err, RC_INVALID, "cannot listen on '%s': %s", address,
                       failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
    out->fd = listen_on(found);
    error = errno;
    freeaddrinfo(found);
    if (out->fd < 0 && !*host && error == EAFNOSUPPORT) {
        hints.ai_family = AF_INET;
        if (getaddrinfo(NULL, port, &hints, &found) == 0) {
            out->fd = listen_on(found);
            error = errno;
            freeaddrinfo(found);
        }
    }
    if (out->fd < 0 && error == EADDRINUSE)
        return rc_fail(err, RC_UNAVAILABLE,
                       "cannot listen on '%s': another process does; choose another port, or 0 for "
                       "a free one",
                       address);
    if (out->fd < 0)
        return rc_fail_errno(err, error, "cannot listen on '%s'", address);
    describe(out);
    return RC_OK;
}

/* ---- Unix sockets ---------------------------------------------------------------------------- */

static void close_keeping_errno(int fd)
{
    int saved = errno;

    if (fd >= 0)
        (void)close(fd);
    errno = saved;
}

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/*
 * Of several processes that find the same socket dead, one may replace it at a time: else one could
 * remove what another has just made. The directory serves as their lock. Somebody who holds that
 * for another reason only delays us.
 */
static int lock_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    RC_STR_AUTO directory = rc_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int waited = 0; fd >= 0 && waited < LOCK_WAIT_MS; waited += LOCK_PAUSE_MS) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            break;
        core_clock_sleep_ms(LOCK_PAUSE_MS);
    }
    return fd;
}

/* Makes room for a new socket: removes one to which nobody listens. */
static enum rc_code remove_dead(const struct sockaddr_un *address, struct rc_error *err)
{
    const char *path = address->sun_path;
    struct stat status;
    int fd, error;

    if (lstat(path, &status) != 0)
        return errno == ENOENT ? RC_OK
                               : rc_fail_errno(err, errno, "cannot listen on 'unix:%s'", path);
    if (!S_ISSOCK(status.st_mode))
        return rc_fail(err, RC_INVALID,
                       "cannot listen on 'unix:%s': there is a file that is no socket; choose "
                       "another path, or remove it",
                       path);
    fd = unix_socket();
    error =
        fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
    close_keeping_errno(fd);
    if (error == 0 || error == EAGAIN) /* a full queue has somebody at its end */
        return rc_fail(err, RC_UNAVAILABLE,
                       "cannot listen on 'unix:%s': another process does; end it, or choose "
                       "another path",
                       path);
    if (error != ECONNREFUSED || unlink(path) != 0)
        return rc_fail_errno(err, error != ECONNREFUSED ? error : errno,
                             "cannot listen on 'unix:%s': replace the socket that is there", path);
    return RC_OK;
}

/* Nobody can connect before listen(), by when only the owner may. */
static enum rc_code bind_unix(const struct sockaddr_un *address, struct core_listener *out,
                              struct rc_error *err)
{
    struct stat status;

    out->fd = unix_socket();
    if (out->fd < 0 || bind(out->fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
        chmod(address->sun_path, S_IRUSR | S_IWUSR) != 0 || listen(out->fd, BACKLOG) != 0 ||
        lstat(address->sun_path, &status) != 0) {
        (void)rc_fail_errno(err, errno, "cannot listen on 'unix:%s'", address->sun_path);
        close_keeping_errno(out->fd);
        out->fd = -1;
        return err->code;
    }
    out->device = status.st_dev;
    out->inode = status.st_ino;
    return RC_OK;
}

static enum rc_code open_unix(const char *path, struct core_listener *out, struct rc_error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int lock;

    if (*path != '/')
        return rc_fail(err, RC_INVALID,
                       "'unix:%s' is not an address to listen on; write the whole path, such as "
                       "unix:/run/run-core/run-core.sock",
                       path);
    if (strlen(path) >= sizeof(address.sun_path))
        return rc_fail(err, RC_INVALID,
                       "cannot listen on 'unix:%s': the path of a socket has at most %zu bytes, "
                       "this one has %zu; choose a shorter one",
                       path, sizeof(address.sun_path) - 1, strlen(path));
    memcpy(address.sun_path, path, strlen(path));
    lock = lock_directory(path);
    if (remove_dead(&address, err) == RC_OK && bind_unix(&address, out, err) == RC_OK) {
        out->loopback = true;
        out->is_unix = true;
        (void)snprintf(out->url, sizeof(out->url), UNIX_PREFIX "%s", path);
    }
    close_keeping_errno(lock);
    return out->fd >= 0 ? RC_OK : err->code;
}

enum rc_code core_listener_open(const char *address, struct core_listener *out,
                                struct rc_error *err)
{
    *out = (struct core_listener){ .fd = -1 };
    if (rc_str_starts(address, UNIX_PREFIX))
        return open_unix(address + strlen(UNIX_PREFIX), out, err);
    return open_tcp(address, out, err);
}

void core_listener_close(struct core_listener *listener)
{
    struct stat status;
    const char *path = listener->url + strlen(UNIX_PREFIX);

    if (listener->fd < 0)
        return;
    if (listener->is_unix && lstat(path, &status) == 0 && status.st_dev == listener->device &&
        status.st_ino == listener->inode)
        (void)unlink(path);
    (void)close(listener->fd);
    listener->fd = -1;
}
