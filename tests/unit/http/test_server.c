/*
 * The server in a thread, and clients that say exactly what they mean to: replies at once, late, in
 * pieces and never, and what is left when either side goes away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <http_fixture.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const tcp[] = { "127.0.0.1:0", NULL };

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

/* ---- a handler with one path for each way to reply ------------------------------------------- */

struct site {
    pthread_mutex_t mutex;
    struct core_http_exchange *waiting; /* deferred, or a stream with nothing to say */
    atomic_int deferred, gone, opened, closed, running, most;
    atomic_int has_begun; /* 1: a handler that takes a while */
    size_t pieces;        /* that the stream still has to say */
    bool breaks;          /* in place of its end */
    bool stays;           /* without an end */
};

#define SITE_INIT                                                                                  \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER                                                         \
    }

static void forget_waiting(void *context)
{
    struct site *site = context;

    (void)pthread_mutex_lock(&site->mutex);
    site->waiting = NULL;
    (void)pthread_mutex_unlock(&site->mutex);
    atomic_fetch_add(&site->gone, 1);
}

static ssize_t read_piece(void *context, char *data, size_t capacity)
{
    struct site *site = context;
    ssize_t len = 0;

    assert_int_equal(capacity, CORE_HTTP_CHUNK_BYTES);
    (void)pthread_mutex_lock(&site->mutex);
    if (site->pieces > 0) {
        memcpy(data, "piece\n", 6);
        site->pieces--;
        len = 6;
    } else if (site->breaks) {
        len = CORE_HTTP_BREAK;
    } else if (!site->stays) {
        len = CORE_HTTP_END;
    }
    (void)pthread_mutex_unlock(&site->mutex);
    return len;
}

static void close_stream(void *context)
{
    struct site *site = context;

    (void)pthread_mutex_lock(&site->mutex);
    site->waiting = NULL;
    (void)pthread_mutex_unlock(&site->mutex);
    atomic_fetch_add(&site->closed, 1);
}

static void show_request(struct core_http_exchange *exchange)
{
    const struct core_http_peer *peer = core_http_peer(exchange);
    struct rc_buf out = RC_BUF_INIT(1 << 20);
    const char *name, *value;
    size_t len;
    const char *body = core_http_body(exchange, &len);

    rc_buf_addf(&out, "%s %s?%s\n", core_http_method(exchange), core_http_path(exchange),
                core_http_query(exchange));
    for (size_t i = 0; core_http_parameter_at(exchange, i, &name, &value); i++)
        rc_buf_addf(&out, "[%s]=[%s]\n", name, value);
    for (size_t i = 0; core_http_header_at(exchange, i, &name, &value); i++)
        rc_buf_addf(&out, "%s: %s\n", name, value);
    rc_buf_addf(&out, "peer %s unix %d loopback %d uid %d pid %d\n", peer->address, peer->is_unix,
                peer->is_loopback, (int)peer->uid, (int)peer->pid);
    rc_buf_addf(&out, "x-test %s\n", core_http_header(exchange, "x-TEST"));
    rc_buf_addf(&out, "body %zu ", len);
    rc_buf_add(&out, body, len);
    core_http_add_header(exchange, "X-Extra", "value");
    core_http_add_header(exchange, "X-Split", "a\r\nX-Evil: b");
    core_http_add_header(exchange, "cache-control", "max-age=60");
    core_http_reply(exchange, 200, "text/plain", &out);
}

/* Counts how many handlers run at a time. */
static void take_a_while(struct site *site, struct core_http_exchange *exchange)
{
    int running = atomic_fetch_add(&site->running, 1) + 1;
    int most = atomic_load(&site->most);

    while (running > most && !atomic_compare_exchange_weak(&site->most, &most, running))
        ;
    atomic_store(&site->has_begun, 1);
    core_clock_sleep_ms(50);
    atomic_fetch_sub(&site->running, 1);
    core_http_reply_error(exchange, 418, "took %s", "a while");
}

static void handle(void *context, struct core_http_exchange *exchange)
{
    struct site *site = context;
    const char *path = core_http_path(exchange);
    const char *foreign = core_http_foreign(exchange);

    if (foreign) {
        core_http_reply_error(exchange, 403, "%s", foreign);
    } else if (strcmp(path, "/defer") == 0) {
        (void)pthread_mutex_lock(&site->mutex);
        site->waiting = exchange;
        core_http_defer(exchange, forget_waiting, site);
        (void)pthread_mutex_unlock(&site->mutex);
        atomic_fetch_add(&site->deferred, 1);
    } else if (strcmp(path, "/stream") == 0) {
        const struct core_http_source source = { site, read_piece, close_stream };

        (void)pthread_mutex_lock(&site->mutex);
        site->waiting = exchange;
        (void)pthread_mutex_unlock(&site->mutex);
        core_http_reply_stream(exchange, 200, "text/plain", &source);
        atomic_fetch_add(&site->opened, 1);
    } else if (strcmp(path, "/while") == 0) {
        take_a_while(site, exchange);
    } else if (strcmp(path, "/overflow") == 0) {
        struct rc_buf small = RC_BUF_INIT(4);

        rc_buf_adds(&small, "too much");
        core_http_reply(exchange, 200, "text/plain", &small);
    } else {
        show_request(exchange);
    }
}

/* ---- replies --------------------------------------------------------------------------------- */

static void shows_the_handler_what_was_asked(void **state)
{
    struct site site = SITE_INIT;
    struct pump pump = { .proxy = NULL };
    RC_BUF_AUTO(answer, ANSWER_BYTES);

    (void)state;
    pump_start(&pump, handle, &site, NULL, tcp);
    talk(core_http_server_url(pump.server, 0),
         "POST /a%20b/c?x=1&y=%41+b&x=2&z HTTP/1.1\r\nHost: localhost\r\nX-Test: yes\r\n"
         "Content-Length: 5\r\nConnection: close\r\n\r\nhello",
         &answer);
    assert_non_null(strstr(answer.data, "POST /a b/c?x=1&y=%41+b&x=2&z\n"
                                        "[x]=[1]\n[y]=[A b]\n[x]=[2]\n[z]=[]\n"));
    assert_non_null(strstr(answer.data, "X-Test: yes\n"));
    assert_non_null(strstr(answer.data, "x-test yes\n"));
    assert_non_null(strstr(answer.data, "peer 127.0.0.1 unix 0 loopback 1 uid -1 pid 0\n"));
    assert_non_null(strstr(answer.data, "body 5 hello"));
    assert_non_null(strstr(answer.data, "\r\nX-Extra: value\r\n"));
    assert_non_null(strstr(answer.data, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(answer.data, "\r\nX-Frame-Options: DENY\r\n"));
    assert_non_null(strstr(answer.data, "\r\ncache-control: max-age=60\r\n"));
    assert_null(strstr(answer.data, "no-store"));
    assert_null(strstr(answer.data, "X-Evil"));
    talk(core_http_server_url(pump.server, 0), GET("/overflow"), &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 500 "));
    assert_non_null(strstr(answer.data, "no-store"));
    pump_stop(&pump);
}

static void knows_who_is_at_a_unix_socket(void **state)
{
    static const char *const addresses[] = { "unix", "127.0.0.1:0", NULL };
    struct site site = SITE_INIT;
    struct pump pump = { .proxy = NULL };
    RC_STR_AUTO expected =
        rc_strf("peer unix unix 1 loopback 1 uid %d pid %d\n", (int)getuid(), (int)getpid());
    RC_BUF_AUTO(answer, ANSWER_BYTES);

    (void)state;
    pump_start(&pump, handle, &site, NULL, addresses);
    assert_true(core_http_server_is_loopback(pump.server));
    assert_null(core_http_server_url(pump.server, 2));
    /* No browser gets here, so no name is foreign. */
    talk(core_http_server_url(pump.server, 0),
         "GET / HTTP/1.1\r\nHost: evil.example\r\nOrigin: null\r\nConnection: close\r\n\r\n",
         &answer);
    assert_non_null(strstr(answer.data, expected));
    talk(core_http_server_url(pump.server, 1),
         "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 403 "));
    pump_stop(&pump);
}

static void replies_later(void **state)
{
    struct site site = SITE_INIT;
    struct pump pump = { .proxy = NULL };
    struct rc_buf body = RC_BUF_INIT(100);
    RC_BUF_AUTO(answer, ANSWER_BYTES);
    int fd;

    (void)state;
    pump_start(&pump, handle, &site, NULL, tcp);
    fd = dial(core_http_server_url(pump.server, 0));
    say(fd, GET("/defer"));
    assert_true(becomes(&site.deferred, 1));
    /* Others are served meanwhile. */
    talk(core_http_server_url(pump.server, 0), GET("/"), &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 200 "));
    rc_buf_adds(&body, "late");
    core_http_reply(site.waiting, 202, "text/plain", &body);
    rc_buf_reset(&answer);
    hear(fd, &answer, NULL);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 202 "));
    assert_true(rc_str_ends(answer.data, "\r\n\r\nlate"));
    assert_int_equal(close(fd), 0);
    assert_int_equal(atomic_load(&site.gone), 0);
    pump_stop(&pump);
}

static void tells_who_deferred_that_the_client_has_gone(void **state)
{
    static const char *const addresses[] = { "unix", NULL };
    struct site site = SITE_INIT;
    struct pump pump = { .proxy = NULL };
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    int fd;

    (void)state;
    pump_start(&pump, handle, &site, NULL, addresses);
    fd = dial(core_http_server_url(pump.server, 0));
    say(fd, GET("/defer"));
    assert_true(becomes(&site.deferred, 1));
    assert_int_equal(close(fd), 0);
    assert_true(becomes(&site.gone, 1));
    pump_stop(&pump);

    pump_start(&pump, handle, &site, NULL, tcp);
    fd = dial(core_http_server_url(pump.server, 0));
    say(fd, GET("/defer"));
    assert_true(becomes(&site.deferred, 2));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    assert_int_equal(close(fd), 0);
    assert_true(becomes(&site.gone, 2));
    pump_stop(&pump);
}

static void streams_what_comes(void **state)
{
    struct site site = SITE_INIT;
    struct pump pump = { .proxy = NULL };
    RC_BUF_AUTO(answer, ANSWER_BYTES);
    int fd;

    (void)state;
    site.pieces = 1;
    site.stays = true;
    pump_start(&pump, handle, &site, NULL, tcp);
    fd = dial(core_http_server_url(pump.server, 0));
    say(fd, GET("/stream"));
    hear(fd, &answer, "piece\n");
    for (int i = 0; i < 100; i++) { /* each wake-up with the client in another state */
        struct core_http_exchange *exchange;

        rc_buf_reset(&answer);
        (void)pthread_mutex_lock(&site.mutex);
        site.pieces = 1;
        exchange = site.waiting;
        (void)pthread_mutex_unlock(&site.mutex);
        core_http_wake(exchange);
        hear(fd, &answer, "piece\n");
    }
    (void)pthread_mutex_lock(&site.mutex);
    site.stays = false;
    (void)pthread_mutex_unlock(&site.mutex);
    core_http_wake(site.waiting);
    rc_buf_reset(&answer);
    hear(fd, &answer, NULL);
    assert_true(rc_str_ends(answer.data, "0\r\n\r\n"));
    assert_int_equal(close(fd), 0);
    assert_true(becomes(&site.closed, 1));
    pump_stop(&pump);
    assert_int_equal(atomic_load(&site.closed), 1);
}

static void ends_streams_in_every_way(void **state)
{
    struct site site = SITE_INIT;
    struct pump pump = { .proxy = NULL };
    RC_BUF_AUTO(answer, ANSWER_BYTES);
    int fd;

    (void)state;
    pump_start(&pump, handle, &site, NULL, tcp);
    site.pieces = 3;
    site.breaks = true; /* the client can tell: the last chunk is missing */
    talk(core_http_server_url(pump.server, 0), GET("/stream"), &answer);
    assert_non_null(strstr(answer.data, "piece\n"));
    assert_null(strstr(answer.data, "\r\n0\r\n\r\n"));
    assert_true(becomes(&site.closed, 1));
    site.breaks = false;

    /* HEAD asks nothing of the source. */
    site.pieces = 3;
    talk(core_http_server_url(pump.server, 0),
         "HEAD /stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 200 "));
    assert_true(rc_str_ends(answer.data, "\r\n\r\n"));
    assert_null(strstr(answer.data, "piece"));
    assert_true(becomes(&site.closed, 2));

    /* HTTP/1.0 knows no chunks: the end of the connection is the end. */
    site.pieces = 2;
    talk(core_http_server_url(pump.server, 0), "GET /stream HTTP/1.0\r\n\r\n", &answer);
    assert_true(rc_str_ends(answer.data, "\r\n\r\npiece\npiece\n"));
    assert_true(becomes(&site.closed, 3));

    /* A client that leaves while there is nothing to say. */
    site.pieces = 1;
    site.stays = true;
    fd = dial(core_http_server_url(pump.server, 0));
    say(fd, GET("/stream"));
    rc_buf_reset(&answer);
    hear(fd, &answer, "piece\n");
    assert_int_equal(close(fd), 0);
    assert_true(becomes(&site.closed, 4));

    /* And a server that closes. */
    site.pieces = 1;
    fd = dial(core_http_server_url(pump.server, 0));
    say(fd, GET("/stream"));
    rc_buf_reset(&answer);
    hear(fd, &answer, "piece\n");
    pump_stop(&pump);
    assert_int_equal(atomic_load(&site.closed), 5);
    hear(fd, &answer, NULL);
    assert_null(strstr(answer.data, "\r\n0\r\n\r\n"));
    assert_int_equal(close(fd), 0);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void closes_with_clients_in_every_state(void **state)
{
    struct site site = SITE_INIT;
    struct pump pump = { .proxy = NULL };
    int fds[4];

    (void)state;
    pump_start(&pump, handle, &site, NULL, tcp);
    for (size_t i = 0; i < RC_ARRAY_LEN(fds); i++)
        fds[i] = dial(core_http_server_url(pump.server, 0));
    say(fds[0], GET("/defer"));
    say(fds[1], "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf");
    say(fds[2], "GET / HT");
    assert_true(becomes(&site.deferred, 1));
    pump_stop(&pump);
    assert_int_equal(atomic_load(&site.gone), 1);
    for (size_t i = 0; i < RC_ARRAY_LEN(fds); i++) {
        RC_BUF_AUTO(answer, ANSWER_BYTES);

        hear(fds[i], &answer, NULL); /* returns: the connection has ended */
        assert_int_equal(close(fds[i]), 0);
    }
}

static void drains(void **state)
{
    struct site site = SITE_INIT;
    struct pump pump = { .proxy = NULL };
    struct rc_buf body = RC_BUF_INIT(100);
    RC_BUF_AUTO(answer, ANSWER_BYTES);
    int idle, waiting;

    (void)state;
    pump_start(&pump, handle, &site, NULL, tcp);
    idle = dial(core_http_server_url(pump.server, 0));
    waiting = dial(core_http_server_url(pump.server, 0));
    say(waiting, "GET /defer HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_true(becomes(&site.deferred, 1));
    pump_halt(&pump);
    core_http_server_drain(pump.server);
    core_http_server_serve(pump.server);
    core_http_server_serve(pump.server);
    hear(idle, &answer, NULL);
    assert_int_equal(answer.len, 0);
    assert_int_equal(core_http_server_connections(pump.server), 1);
    core_http_reply(site.waiting, 200, NULL, &body);
    for (int i = 0; core_http_server_connections(pump.server) > 0 && i < 1000; i++) {
        core_http_server_serve(pump.server);
        core_clock_sleep_ms(1);
    }
    hear(waiting, &answer, NULL);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 200 "));
    assert_non_null(strstr(answer.data, "Connection: close"));
    assert_int_equal(core_http_server_connections(pump.server), 0);
    core_http_server_close(pump.server);
    assert_int_equal(close(idle), 0);
    assert_int_equal(close(waiting), 0);
}

/*
 * What a forked child does with its copy is nothing to the parent's clients; and the child keeps
 * none of them connected.
 */
static void is_forgotten_by_a_child(void **state)
{
    static const char *const addresses[] = { "unix", NULL };
    struct site site = SITE_INIT;
    struct pump pump = { .proxy = NULL };
    RC_BUF_AUTO(answer, ANSWER_BYTES);
    int fd, go[2];
    pid_t child;

    (void)state;
    assert_int_equal(pipe(go), 0);
    pump_start(&pump, handle, &site, NULL, addresses);
    fd = dial(core_http_server_url(pump.server, 0));
    say(fd, "GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n");
    hear(fd, &answer, "body 0 ");
    pump_halt(&pump);
    child = fork();
    if (child == 0) {
        char c;

        (void)close(go[1]);
        core_http_server_forget(pump.server);
        (void)!read(go[0], &c, 1); /* stays until the parent has done */
        _exit(0);
    }
    (void)close(go[0]);
    atomic_store(&pump.stop, false);
    say(fd, "GET /two HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (int i = 0; i < 1000 && !strstr(answer.data, "GET /two"); i++) {
        char chunk[4096];
        ssize_t got;

        core_http_server_serve(pump.server);
        got = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (got > 0)
            rc_buf_add(&answer, chunk, (size_t)got);
        core_clock_sleep_ms(1);
    }
    assert_non_null(strstr(answer.data, "GET /two"));
    core_http_server_close(pump.server);
    hear(fd, &answer, NULL); /* would wait for a minute if the child still had it */
    assert_int_equal(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT), 0);
    assert_int_equal(close(fd), 0);
    (void)close(go[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(rmdir(pump.folder), 0);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *ask_a_while(void *url)
{
    RC_BUF_AUTO(answer, ANSWER_BYTES);

    for (int i = 0; i < 4; i++) {
        talk(url, GET("/while"), &answer);
        if (!rc_str_starts(answer.data, "HTTP/1.1 418 "))
            return "no answer";
    }
    return NULL;
}

static void calls_handlers_in_threads(void **state)
{
    const struct core_http_options options = { .handler_threads = 4 };
    struct site site = SITE_INIT;
    struct pump pump = { .proxy = NULL };
    pthread_t clients[8];
    RC_BUF_AUTO(answer, ANSWER_BYTES);
    char url[128];
    int fd;

    (void)state;
    pump_start(&pump, handle, &site, &options, tcp);
    (void)snprintf(url, sizeof(url), "%s", core_http_server_url(pump.server, 0));
    for (size_t i = 0; i < RC_ARRAY_LEN(clients); i++)
        assert_int_equal(pthread_create(&clients[i], NULL, ask_a_while, url), 0);
    for (size_t i = 0; i < RC_ARRAY_LEN(clients); i++) {
        void *failed = NULL;

        assert_int_equal(pthread_join(clients[i], &failed), 0);
        assert_null(failed);
    }
    assert_in_range(atomic_load(&site.most), 2, 4);
    /* Deferred and streamed replies as well. */
    site.pieces = 2;
    talk(url, GET("/stream"), &answer);
    assert_true(rc_str_ends(answer.data, "0\r\n\r\n"));
    fd = dial(url);
    say(fd, GET("/defer"));
    assert_true(becomes(&site.deferred, 1));
    (void)pthread_mutex_lock(&site.mutex);
    core_http_reply_error(site.waiting, 404, "late");
    (void)pthread_mutex_unlock(&site.mutex);
    rc_buf_reset(&answer);
    hear(fd, &answer, NULL);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 404 "));
    assert_int_equal(close(fd), 0);
    /* One that is running when the server closes comes to its end, those that wait do not. */
    atomic_store(&site.has_begun, 0);
    fd = dial(url);
    for (int i = 0; i < 3; i++)
        say(fd, "GET /while HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_true(becomes(&site.has_begun, 1));
    pump_stop(&pump);
    assert_int_equal(atomic_load(&site.running), 0);
    assert_int_equal(close(fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_the_handler_what_was_asked),
        cmocka_unit_test(knows_who_is_at_a_unix_socket),
        cmocka_unit_test(replies_later),
        cmocka_unit_test(tells_who_deferred_that_the_client_has_gone),
        cmocka_unit_test(streams_what_comes),
        cmocka_unit_test(ends_streams_in_every_way),
        cmocka_unit_test(closes_with_clients_in_every_state),
        cmocka_unit_test(drains),
        cmocka_unit_test(is_forgotten_by_a_child),
        cmocka_unit_test(calls_handlers_in_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
