#include <scripted_server.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEP_MS = 5 };

static const size_t limit_bytes = (size_t)16 << 20;

/* ---- hearing --------------------------------------------------------------------------------- */

static bool receive(struct scripted_server *server, int fd, struct rc_buf *in)
{
    struct pollfd readable = { .fd = fd, .events = POLLIN };
    char bytes[4096];
    ssize_t got;

    while (poll(&readable, 1, STEP_MS) == 0)
        if (atomic_load(&server->stop))
            return false;
    got = recv(fd, bytes, sizeof(bytes), 0);
    if (got > 0)
        rc_buf_add(in, bytes, (size_t)got);
    return got > 0;
}

static bool hear(struct scripted_server *server, int fd, struct rc_buf *in)
{
    const char *end, *length;
    size_t whole;

    while (!(end = strstr(in->data, "\r\n\r\n")))
        if (!receive(server, fd, in))
            return false;
    length = strcasestr(in->data, "\r\nContent-Length: ");
    whole = (size_t)(end - in->data) + 4 +
            (length && length < end ? strtoul(strchr(length, ':') + 1, NULL, 10) : 0);
    while (in->len < whole)
        if (!receive(server, fd, in))
            return false;
    return true;
}

/* ---- saying ---------------------------------------------------------------------------------- */

static void add(const struct scripted_server *server, struct rc_buf *out, const char *text)
{
    static const char mark[] = "{url}";

    for (const char *at; (at = strstr(text, mark)) != NULL; text = at + sizeof(mark) - 1) {
        rc_buf_add(out, text, (size_t)(at - text));
        rc_buf_adds(out, server->listener.url);
    }
    rc_buf_adds(out, text);
}

/* False: the other side has hung up meanwhile, or the test is over. */
static bool wait_out(struct scripted_server *server, int fd, int delay_ms)
{
    struct pollfd end = { .fd = fd, .events = POLLRDHUP };

    for (int waited_ms = 0; waited_ms < delay_ms; waited_ms += STEP_MS)
        if (atomic_load(&server->stop) || poll(&end, 1, STEP_MS) != 0)
            return false;
    return true;
}

/* False: the connection is over. */
static bool say(struct scripted_server *server, int fd, const struct script_line *line)
{
    RC_BUF_AUTO(body, limit_bytes);
    RC_BUF_AUTO(all, limit_bytes);
    size_t len;

    if (!wait_out(server, fd, line->delay_ms) || line->status == 0)
        return false;
    add(server, &body, line->body ? line->body : "");
    rc_buf_addf(&all, "HTTP/1.1 %u Scripted\r\nContent-Length: %zu\r\n", line->status, body.len);
    add(server, &all, line->headers ? line->headers : "");
    rc_buf_adds(&all, "\r\n");
    rc_buf_add(&all, body.data, body.len);
    len = line->cut && line->cut < all.len ? line->cut : all.len;
    for (size_t at = 0; at < len;) {
        ssize_t sent = send(fd, all.data + at, len - at, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        at += (size_t)sent;
    }
    return len == all.len;
}

static void serve_one(struct scripted_server *server, int fd)
{
    static const struct script_line no_more = { .status = 410, .body = "no more of the script" };
    bool goes_on = true;

    while (goes_on) {
        RC_BUF_AUTO(in, limit_bytes);
        size_t nth = atomic_load(&server->heard_count);

        if (!hear(server, fd, &in))
            return;
        if (nth < SCRIPT_HEARD) {
            server->heard[nth] = rc_buf_take(&in);
            atomic_store(&server->heard_count, nth + 1);
        }
        goes_on = say(server, fd, nth < server->line_count ? &server->lines[nth] : &no_more);
    }
}

static void *serve(void *context)
{
    struct scripted_server *server = context;

    while (!atomic_load(&server->stop)) {
        struct pollfd readable = { .fd = server->listener.fd, .events = POLLIN };
        int fd;

        if (poll(&readable, 1, STEP_MS) <= 0)
            continue;
        fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        serve_one(server, fd);
        (void)close(fd);
    }
    return NULL;
}

void scripted_start(struct scripted_server *server, const struct script_line *lines, size_t count)
{
    struct rc_error err = RC_ERROR_INIT;

    memset(server, 0, sizeof(*server));
    server->lines = lines;
    server->line_count = count;
    if (core_listener_open("127.0.0.1:0", &server->listener, &err))
        fail_msg("%s", err.cause);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

void scripted_stop(struct scripted_server *server)
{
    atomic_store(&server->stop, true);
    (void)pthread_join(server->thread, NULL);
    core_listener_close(&server->listener);
    for (size_t i = 0; i < SCRIPT_HEARD; i++)
        free(server->heard[i]);
}

/* ---- what was heard -------------------------------------------------------------------------- */

const char *scripted_header(const struct scripted_server *server, size_t request, const char *name)
{
    static char values[4][1024];
    static size_t turn;
    RC_STR_AUTO mark = rc_strf("\r\n%s: ", name);
    const char *at;
    char *value;
    size_t len;

    assert_true(request < atomic_load(&server->heard_count));
    at = strcasestr(server->heard[request], mark);
    if (!at || at > strstr(server->heard[request], "\r\n\r\n"))
        return NULL;
    at += strlen(mark);
    len = strcspn(at, "\r");
    value = values[turn++ % RC_ARRAY_LEN(values)];
    assert_true(len < sizeof(values[0]));
    memcpy(value, at, len);
    value[len] = '\0';
    return value;
}

bool scripted_asks(const struct scripted_server *server, size_t request, const char *line)
{
    assert_true(request < atomic_load(&server->heard_count));
    return rc_str_starts(server->heard[request], line);
}
