/*
 * The network that can be cut: one thread that carries bytes between pairs of sockets.
 */
#include "proxy.h"

#include <run-core/attr.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS = 32, PAUSE_MS = 5, STEP_US = 1000 };

struct proxy {
    int listener, target;
    atomic_int mode;
    atomic_uint rounds; /* of the thread */
    atomic_bool holds;  /* something that a client sent and that is swallowed */
    atomic_bool stopping;
    pthread_t thread;
    int pairs[PAIRS][2]; /* client, server; -1: free */
};

static struct sockaddr_in address_of(int port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void drop(int pair[2])
{
    for (int side = 0; side < 2; side++) {
        if (pair[side] >= 0)
            (void)close(pair[side]);
        pair[side] = -1;
    }
}

static void admit(struct proxy *proxy)
{
    struct sockaddr_in address = address_of(proxy->target);
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int pair[2] = { client, server };

    for (int i = 0; i < PAIRS; i++) {
        if (proxy->pairs[i][0] >= 0)
            continue;
        if (client < 0 || connect(server, (struct sockaddr *)&address, sizeof(address)) != 0)
            break;
        proxy->pairs[i][0] = client;
        proxy->pairs[i][1] = server;
        return;
    }
    drop(pair);
}

/* Carries what one side has sent to the other. */
static void carry(struct proxy *proxy, int pair[2], int from)
{
    char bytes[65536];
    struct pollfd fd = { .fd = pair[from], .events = POLLIN };
    int mode = atomic_load(&proxy->mode);
    int unread = 0;
    ssize_t len;

    if (fd.fd < 0 || poll(&fd, 1, 0) <= 0)
        return;
    if (mode == PROXY_SWALLOWS || (mode == PROXY_SWALLOWS_ANSWERS && from == 1)) {
        if (from == 0 && ioctl(fd.fd, FIONREAD, &unread) == 0 && unread > 0)
            atomic_store(&proxy->holds, true);
        return;
    }
    len = read(pair[from], bytes, sizeof(bytes));
    if (len <= 0 || send(pair[!from], bytes, (size_t)len, MSG_NOSIGNAL) != len)
        drop(pair);
}

static void *serve(void *context)
{
    struct proxy *proxy = context;

    while (!atomic_load(&proxy->stopping)) {
        struct pollfd fd = { .fd = proxy->listener, .events = POLLIN };

        if (poll(&fd, 1, PAUSE_MS) > 0)
            admit(proxy);
        for (int i = 0; i < PAIRS; i++) {
            if (atomic_load(&proxy->mode) == PROXY_CUTS)
                drop(proxy->pairs[i]);
            carry(proxy, proxy->pairs[i], 0);
            carry(proxy, proxy->pairs[i], 1);
        }
        atomic_fetch_add(&proxy->rounds, 1);
    }
    return NULL;
}

struct proxy *proxy_start(int port)
{
    struct proxy *proxy = rc_calloc(1, sizeof(*proxy));
    struct sockaddr_in address = address_of(0);

    proxy->target = port;
    for (int i = 0; i < PAIRS; i++)
        proxy->pairs[i][0] = proxy->pairs[i][1] = -1;
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(proxy->listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(proxy->listener, PAIRS) == 0 &&
        pthread_create(&proxy->thread, NULL, serve, proxy) == 0)
        return proxy;
    (void)close(proxy->listener);
    free(proxy);
    return NULL;
}

int proxy_port(const struct proxy *proxy)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);

    if (getsockname(proxy->listener, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return ntohs(address.sin_port);
}

void proxy_set(struct proxy *proxy, enum proxy_mode mode)
{
    unsigned before;

    atomic_store(&proxy->mode, (int)mode);
    before = atomic_load(&proxy->rounds);
    /* One round may be under way with the old mode; the next is whole. */
    while (atomic_load(&proxy->rounds) - before < 2)
        (void)usleep(STEP_US);
}

void proxy_wait_for_client(struct proxy *proxy)
{
    atomic_store(&proxy->holds, false);
    while (!atomic_load(&proxy->holds))
        (void)usleep(STEP_US);
}

void proxy_stop(struct proxy *proxy)
{
    if (!proxy)
        return;
    atomic_store(&proxy->stopping, true);
    (void)pthread_join(proxy->thread, NULL);
    for (int i = 0; i < PAIRS; i++)
        drop(proxy->pairs[i]);
    (void)close(proxy->listener);
    free(proxy);
}
