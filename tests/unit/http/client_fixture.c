#include <client_fixture.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <os/clock.h>

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEP_MS = 10 };

/* ---- the server ------------------------------------------------------------------------------ */

struct guest {
    struct stage *stage;
    int fd;
};

static bool receive(const struct stage *stage, int fd, struct rc_buf *in)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    char *room;
    ssize_t got;

    while (poll(&poll_fd, 1, STEP_MS) == 0)
        if (atomic_load(&stage->stop))
            return false;
    room = rc_buf_reserve(in, 64 * 1024);
    assert_non_null(room);
    got = recv(fd, room, 64 * 1024, 0);
    if (got <= 0)
        return false;
    rc_buf_added(in, (size_t)got);
    return true;
}

static size_t wanted_body(const struct stage *stage, const char *head)
{
    const char *length = strcasestr(head, "\r\nContent-Length: ");
    size_t bytes = length ? strtoul(length + strlen("\r\nContent-Length: "), NULL, 10) : 0;

    return bytes < atomic_load(&stage->body_bytes) ? bytes : atomic_load(&stage->body_bytes);
}

static bool read_request(const struct stage *stage, int fd, struct rc_buf *in, size_t *body_at)
{
    const char *end;
    size_t body_len;
    bool chunked;

    while (!(end = memmem(in->data, in->len, "\r\n\r\n", 4)))
        if (!receive(stage, fd, in))
            return false;
    *body_at = (size_t)(end - in->data) + 4;
    body_len = wanted_body(stage, in->data);
    chunked = strcasestr(in->data, "\r\nTransfer-Encoding: chunked") != NULL;
    if (body_len > 0 && strcasestr(in->data, "\r\nExpect: 100-continue"))
        say_bytes(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    while (in->len - *body_at < body_len ||
           (chunked && !memmem(in->data, in->len, "\r\n0\r\n\r\n", 7)))
        if (!receive(stage, fd, in))
            return false;
    return true;
}

static bool act(struct guest *guest, struct rc_buf *in, int on_connection)
{
    struct stage *stage = guest->stage;
    struct scene scene = { .stage = stage, .fd = guest->fd, .on_connection = on_connection };
    size_t body_at;
    int now, most;
    bool goes_on;

    if (!read_request(stage, guest->fd, in, &body_at))
        return false;
    scene.nth = atomic_fetch_add(&stage->requests, 1) + 1;
    scene.text = in->data;
    scene.body = in->data + body_at;
    scene.body_len = in->len - body_at;
    now = atomic_fetch_add(&stage->at_once, 1) + 1;
    most = atomic_load(&stage->most_at_once);
    while (now > most && !atomic_compare_exchange_weak(&stage->most_at_once, &most, now))
        ;
    goes_on = stage->act(&scene, stage->context);
    (void)atomic_fetch_sub(&stage->at_once, 1);
    return goes_on;
}

static void *serve_guest(void *context)
{
    struct guest *guest = context;
    int on_connection = 1;
    RC_BUF_AUTO(in, REQUEST_BYTES);

    while (act(guest, &in, on_connection++))
        rc_buf_reset(&in);
    (void)close(guest->fd);
    free(guest);
    return NULL;
}

static void *serve(void *context)
{
    struct stage *stage = context;

    while (!atomic_load(&stage->stop)) {
        struct pollfd fd = { .fd = stage->listener.fd, .events = POLLIN };
        struct guest *guest;
        int accepted, count;

        if (poll(&fd, 1, STEP_MS) <= 0)
            continue;
        accepted = accept4(stage->listener.fd, NULL, NULL, SOCK_CLOEXEC);
        if (accepted < 0)
            continue;
        count = atomic_load(&stage->connections);
        assert_true(count < STAGE_THREADS);
        guest = rc_calloc(1, sizeof(*guest));
        *guest = (struct guest){ .stage = stage, .fd = accepted };
        /* Counted first: whoever has an answer finds its connection counted. */
        atomic_store(&stage->connections, count + 1);
        assert_int_equal(pthread_create(&stage->threads[count], NULL, serve_guest, guest), 0);
    }
    return NULL;
}

void stage_start(struct stage *stage, bool (*script)(const struct scene *scene, void *context),
                 void *context)
{
    struct rc_error err = RC_ERROR_INIT;

    memset(stage, 0, sizeof(*stage));
    stage->act = script;
    stage->context = context;
    atomic_store(&stage->body_bytes, SIZE_MAX);
    if (core_listener_open("127.0.0.1:0", &stage->listener, &err))
        fail_msg("%s", err.cause);
    assert_int_equal(pthread_create(&stage->thread, NULL, serve, stage), 0);
}

void stage_stop(struct stage *stage)
{
    atomic_store(&stage->stop, true);
    assert_int_equal(pthread_join(stage->thread, NULL), 0);
    for (int i = 0; i < atomic_load(&stage->connections); i++)
        assert_int_equal(pthread_join(stage->threads[i], NULL), 0);
    core_listener_close(&stage->listener);
}

void say_bytes(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        data += sent;
        len -= (size_t)sent;
    }
}

void reply(const struct scene *scene, unsigned status, const char *headers, const char *body)
{
    RC_STR_AUTO text = rc_strf("HTTP/1.1 %u Said\r\nContent-Length: %zu\r\n%s\r\n%s", status,
                               strlen(body), headers ? headers : "", body);

    say_bytes(scene->fd, text, strlen(text));
}

void slam(int fd)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
}

/* ---- the client ------------------------------------------------------------------------------ */

struct core_http_client *quick_client(const struct core_http_client_settings *settings)
{
    struct core_http_client_settings own = { .backoff_ms = 1, .max_backoff_ms = 5 };

    if (settings) {
        own = *settings;
        own.backoff_ms = own.backoff_ms ? own.backoff_ms : 1;
        own.max_backoff_ms = own.max_backoff_ms ? own.max_backoff_ms : 5;
    }
    return core_http_client_new(&own);
}

void ask(struct core_http_call call, struct outcome *out)
{
    *out = (struct outcome){ .err = RC_ERROR_INIT };
    core_http_answer_init(&out->answer, REQUEST_BYTES);
    out->code = core_http_call(&call, &out->answer, &out->err);
}

int count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    assert_int_equal(closedir(folder), 0);
    return count;
}
