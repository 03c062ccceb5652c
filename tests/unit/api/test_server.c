/*
 * The server of a run, spoken to over real sockets from a second thread while the first polls it,
 * as the guard does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <api/server.h>

#include <os/clock.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES = 1024 * 1024, WAIT_MS = 60000 };

static void show_run(void *context, struct core_run_view *out)
{
    *out = (struct core_run_view){ .run_id = "r-1",
                                   .plugin = "copy",
                                   .version = "0",
                                   .state = "running",
                                   .ready = *(const bool *)context };
}

/*
 * ---- a client in its own thread
 * -------------------------------------------------------------------
 */

struct client {
    uint16_t port;
    const char *request;
    size_t request_len;
    struct rc_buf answer;
    atomic_bool done;
};

static void *talk(void *context)
{
    struct client *client = context;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(client->port),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char chunk[4096];
    ssize_t got;

    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        for (size_t done = 0; done < client->request_len;) {
            ssize_t sent =
                send(fd, client->request + done, client->request_len - done, MSG_NOSIGNAL);

            if (sent <= 0)
                break;
            done += (size_t)sent;
        }
        while ((got = recv(fd, chunk, sizeof(chunk), 0)) > 0)
            rc_buf_add(&client->answer, chunk, (size_t)got);
    }
    (void)close(fd);
    atomic_store(&client->done, true);
    return NULL;
}

/* Sends bytes and serves until the connection is closed. */
static void exchange(struct core_api_server *server, const char *request, size_t len,
                     struct rc_buf *answer)
{
    struct client client = { .request = request,
                             .request_len = len,
                             .answer = RC_BUF_INIT(ANSWER_BYTES) };
    const char *colon = strrchr(core_api_server_url(server), ':');
    int64_t port, until_mono_ms;
    pthread_t thread;

    assert_true(rc_parse_int(colon + 1, &port));
    client.port = (uint16_t)port;
    assert_int_equal(pthread_create(&thread, NULL, talk, &client), 0);
    until_mono_ms = core_clock_mono_ms() + WAIT_MS;
    while (!atomic_load(&client.done) && core_clock_mono_ms() < until_mono_ms) {
        struct pollfd poll_fd = { .fd = core_api_server_fd(server), .events = POLLIN };

        if (poll(&poll_fd, 1, 10) > 0)
            core_api_server_serve(server);
    }
    assert_true(atomic_load(&client.done));
    assert_int_equal(pthread_join(thread, NULL), 0);
    rc_buf_reset(answer);
    rc_buf_add(answer, client.answer.data, client.answer.len);
    rc_buf_clear(&client.answer);
}

static void ask(struct core_api_server *server, const char *line, struct rc_buf *answer)
{
    RC_STR_AUTO request = rc_strf("%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", line);

    exchange(server, request, strlen(request), answer);
}

static struct core_api_server *open_at(const char *address, bool *ready)
{
    struct core_api_server *server = NULL;
    struct rc_error err = RC_ERROR_INIT;

    if (core_api_server_open(address, show_run, ready, &server, &err))
        fail_msg("%s: %s", err.context, err.cause);
    return server;
}

/*
 * ---- tests
 * ----------------------------------------------------------------------------------------
 */

static void answers_probes_and_metrics(void **state)
{
    bool ready = false;
    struct core_api_server *server = open_at("127.0.0.1:0", &ready);
    RC_BUF_AUTO(answer, ANSWER_BYTES);

    (void)state;
    ask(server, "GET /healthcheck/is-alive", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 200 "));
    ask(server, "GET /healthcheck/is-ready", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 503 "));
    ready = true;
    ask(server, "GET /healthcheck/is-ready", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 200 "));
    ask(server, "GET /metrics?x=1", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 200 "));
    assert_non_null(strstr(answer.data, "text/plain; version=0.0.4"));
    assert_non_null(strstr(answer.data, "run_core_run_info{plugin=\"copy\""));
    core_api_server_close(server);
}

static void refuses_what_it_does_not_have(void **state)
{
    bool ready = true;
    struct core_api_server *server = open_at("127.0.0.1:0", &ready);
    RC_BUF_AUTO(answer, ANSWER_BYTES);

    (void)state;
    ask(server, "GET /", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 404 "));
    ask(server, "POST /metrics", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 405 "));
    assert_non_null(strstr(answer.data, "Allow: GET, HEAD"));
    ask(server, "HEAD /metrics", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 200 "));
    assert_null(strstr(answer.data, "run_core_run_info"));
    core_api_server_close(server);
}

static void limits_what_clients_send(void **state)
{
    static const char head[] = "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                               "Content-Length: 1500000\r\n\r\n";
    bool ready = true;
    struct core_api_server *server = open_at("127.0.0.1:0", &ready);
    RC_BUF_AUTO(answer, ANSWER_BYTES);
    RC_BUF_AUTO(request, 4 * 1024 * 1024);

    (void)state;
    rc_buf_adds(&request, head);
    for (int i = 0; i < 1500000; i++)
        rc_buf_addc(&request, 'x');
    exchange(server, request.data, request.len, &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 413 "));

    rc_buf_reset(&request);
    rc_buf_adds(&request, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: ");
    for (int i = 0; i < 100000; i++)
        rc_buf_addc(&request, 'x');
    rc_buf_adds(&request, "\r\n\r\n");
    exchange(server, request.data, request.len, &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 431 "));

    exchange(server, "\x16\x03\x01 not HTTP\r\n\r\n", 15, &answer);
    ask(server, "GET /healthcheck/is-alive", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 200 "));
    core_api_server_close(server);
}

static void shows_strangers_only_its_health(void **state)
{
    bool ready = true;
    struct core_api_server *server = open_at(":0", &ready);
    RC_BUF_AUTO(answer, ANSWER_BYTES);

    (void)state;
    ask(server, "GET /healthcheck/is-ready", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 200 "));
    ask(server, "GET /metrics", &answer);
    assert_true(rc_str_starts(answer.data, "HTTP/1.1 403 "));
    core_api_server_close(server);
}

static void refuses_bad_addresses(void **state)
{
    static const char *const addresses[] = {
        "",       "8081",    "host:",         "host:port", "x:70000",        "x:-1",
        "::1:80", "[::1:80", "127.0.0.1:+80", "x:80 ",     "no such host:80"
    };
    bool ready = true;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(addresses); i++) {
        struct core_api_server *server = NULL;
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(core_api_server_open(addresses[i], show_run, &ready, &server, &err),
                         RC_INVALID);
        assert_non_null(strstr(err.cause, "listen on"));
    }
}

static void says_that_a_port_is_taken(void **state)
{
    bool ready = true;
    struct core_api_server *server = open_at("127.0.0.1:0", &ready), *second = NULL;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_true(rc_str_starts(core_api_server_url(server), "http://127.0.0.1:"));
    assert_int_equal(core_api_server_open(core_api_server_url(server) + strlen("http://"), show_run,
                                          &ready, &second, &err),
                     RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, "another process"));
    core_api_server_close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_probes_and_metrics),
        cmocka_unit_test(refuses_what_it_does_not_have),
        cmocka_unit_test(limits_what_clients_send),
        cmocka_unit_test(shows_strangers_only_its_health),
        cmocka_unit_test(refuses_bad_addresses),
        cmocka_unit_test(says_that_a_port_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
