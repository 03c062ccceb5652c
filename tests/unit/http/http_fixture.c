#include <http_fixture.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STEP_MS = 10, PATIENCE_MS = 60 * 1000 };

static void *serve(void *context)
{
    struct pump *pump = context;

    while (!atomic_load(&pump->stop)) {
        struct pollfd fds[2] = { { .fd = core_http_server_fd(pump->server), .events = POLLIN },
                                 { .fd = pump->proxy ? core_http_proxy_fd(pump->proxy) : -1,
                                   .events = POLLIN } };

        (void)poll(fds, 2, STEP_MS);
        if (fds[0].revents)
            core_http_server_serve(pump->server);
        if (fds[1].revents)
            core_http_proxy_serve(pump->proxy);
    }
    return NULL;
}

void pump_start(struct pump *pump, core_http_handler *handler, void *context,
                const struct core_http_options *options, const char *const *addresses)
{
    struct rc_error err = RC_ERROR_INIT;

    pump->folder[0] = '\0';
    atomic_store(&pump->stop, false);
    if (core_http_server_new(handler, context, options, &pump->server, &err))
        fail_msg("%s: %s", err.context, err.cause);
    for (; *addresses; addresses++) {
        RC_STR_AUTO address = NULL;

        if (strcmp(*addresses, "unix") == 0) {
            memcpy(pump->folder, "/tmp/rc-http-XXXXXX", sizeof("/tmp/rc-http-XXXXXX"));
            assert_non_null(mkdtemp(pump->folder));
            address = rc_strf("unix:%s/socket", pump->folder);
        } else {
            address = rc_strdup(*addresses);
        }
        if (core_http_server_listen(pump->server, address, &err))
            fail_msg("%s: %s", err.context, err.cause);
    }
    assert_int_equal(pthread_create(&pump->thread, NULL, serve, pump), 0);
}

void pump_halt(struct pump *pump)
{
    atomic_store(&pump->stop, true);
    assert_int_equal(pthread_join(pump->thread, NULL), 0);
}

void pump_stop(struct pump *pump)
{
    pump_halt(pump);
    core_http_server_close(pump->server);
    core_http_proxy_close(pump->proxy);
    if (pump->folder[0])
        assert_int_equal(rmdir(pump->folder), 0);
}

static int dial_unix(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

int dial(const char *url)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
    int fd;

    if (rc_str_starts(url, "unix:")) {
        fd = dial_unix(url + strlen("unix:"));
    } else {
        address.sin_port = htons((uint16_t)strtol(strrchr(url, ':') + 1, NULL, 10));
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    }
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

void say(int fd, const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        text += sent;
        len -= (size_t)sent;
    }
}

void hear(int fd, struct rc_buf *out, const char *enough)
{
    char chunk[4096];

    while (!enough || !strstr(out->data, enough)) {
        ssize_t got = recv(fd, chunk, sizeof(chunk), 0);

        if (got < 0 && errno == EINTR) /* by the patience, when it was stopped and goes on */
            continue;
        if (got <= 0)
            return;
        rc_buf_add(out, chunk, (size_t)got);
    }
}

void talk(const char *url, const char *request, struct rc_buf *out)
{
    int fd = dial(url);

    rc_buf_reset(out);
    say(fd, request);
    hear(fd, out, NULL);
    (void)close(fd);
}

bool becomes(const atomic_int *number, int wanted)
{
    for (int waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
        if (atomic_load(number) == wanted)
            return true;
        core_clock_sleep_ms(STEP_MS);
    }
    return false;
}
