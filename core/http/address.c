/*
 * From the text of an address to a listening socket.
 */
#include <http/address.h>

#include <run-core/str.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64, MAX_PORT = 65535 };

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
        return rc_fail(err, RC_INVALID,
                       "'%s' is not an address to listen on; write HOST:PORT, [IPV6]:PORT or "
                       ":PORT, such as 127.0.0.1:8081",
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

enum rc_code core_listener_open(const char *address, struct core_listener *out,
                                struct rc_error *err)
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
