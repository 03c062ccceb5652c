/*
 * Calls to a server of this process, and to sockets that behave badly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <http_fixture.h>

#include <http/address.h>
#include <http/client.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHORT_MS = 300, LONG_MS = 10 * 1000 };

static const char *const addresses[] = { "127.0.0.1:0", "unix", NULL };

static void handle(void *context, struct core_http_exchange *exchange)
{
    struct rc_buf out = RC_BUF_INIT(ANSWER_BYTES);
    const char *path = core_http_path(exchange);
    const char *bytes = core_http_parameter(exchange, "bytes");
    size_t len;
    const char *body = core_http_body(exchange, &len);

    (void)context;
    if (strcmp(path, "/redirect") == 0) {
        core_http_add_header(exchange, "Location", core_http_parameter(exchange, "to"));
        core_http_reply(exchange, 307, NULL, NULL);
        return;
    }
    if (strcmp(path, "/busy") == 0) {
        core_http_add_header(exchange, "Retry-After", core_http_parameter(exchange, "after"));
        core_http_reply_error(exchange, 429, "busy");
        return;
    }
    for (long i = bytes ? strtol(bytes, NULL, 10) : 0; i > 0; i--)
        rc_buf_addc(&out, 'x');
    if (!bytes) {
        rc_buf_addf(&out, "%s %s %s ", core_http_method(exchange), path,
                    core_http_header(exchange, "X-Test") ? core_http_header(exchange, "X-Test")
                                                         : "-");
        rc_buf_add(&out, body, len);
    }
    core_http_reply(exchange, 200, "text/plain", &out);
}

struct bench {
    struct pump pump;
    struct core_http_answer answer;
    struct rc_error err;
};

static int open_bench(void **state)
{
    struct bench *bench = rc_calloc(1, sizeof(*bench));

    pump_start(&bench->pump, handle, NULL, NULL, addresses);
    core_http_answer_init(&bench->answer, ANSWER_BYTES);
    *state = bench;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *bench = *state;

    core_http_answer_clear(&bench->answer);
    pump_stop(&bench->pump);
    free(bench);
    return 0;
}

static char *url_of(const struct bench *bench, const char *path)
{
    return rc_strf("%s%s", core_http_server_url(bench->pump.server, 0), path);
}

static enum rc_code get(struct bench *bench, const char *path)
{
    RC_STR_AUTO url = url_of(bench, path);

    return core_http_call(&(struct core_http_call){ .name = "the test", .url = url },
                          &bench->answer, &bench->err);
}

static void gets_and_posts(void **state)
{
    const struct core_http_header headers[] = { { "X-Test", "yes" }, { "X-Empty", "" } };
    struct bench *bench = *state;
    RC_STR_AUTO url = url_of(bench, "/a?b=c");
    struct core_http_call call = { .url = url, .headers = headers, .header_count = 2 };

    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
    assert_int_equal(bench->answer.status, 200);
    assert_string_equal(bench->answer.body.data, "GET /a yes ");
    assert_string_equal(core_http_answer_header(&bench->answer, "content-TYPE"), "text/plain");
    assert_null(core_http_answer_header(&bench->answer, "X-None"));
    call.body = "hello";
    call.body_len = 5;
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
    assert_string_equal(bench->answer.body.data, "POST /a yes hello");
    call.method = "PUT";
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
    assert_string_equal(bench->answer.body.data, "PUT /a yes hello");
    call = (struct core_http_call){ .url = url, .method = "DELETE" };
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
    assert_string_equal(bench->answer.body.data, "DELETE /a - ");
    call.method = "HEAD";
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
    assert_int_equal(bench->answer.body.len, 0);
    assert_string_equal(core_http_answer_header(&bench->answer, "content-length"), "10");
}

static void goes_over_a_unix_socket(void **state)
{
    struct bench *bench = *state;
    RC_STR_AUTO path = rc_strf("%s/socket", bench->pump.folder);
    struct core_http_call call = { .name = "the daemon",
                                   .url = "http://localhost/over",
                                   .socket_path = path };
    RC_STR_AUTO missing = rc_strf("%s/none", bench->pump.folder);

    /* A proxy for the network is none for a socket. */
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
    assert_string_equal(bench->answer.body.data, "GET /over - ");
    assert_int_equal(get(bench, "/a"), RC_UNAVAILABLE);
    assert_int_equal(unsetenv("http_proxy"), 0);
    call.socket_path = missing;
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_UNAVAILABLE);
    assert_non_null(strstr(bench->err.cause, "the daemon: cannot connect"));
}

static enum rc_code count_pieces(void *context, const char *data, size_t len, struct rc_error *err)
{
    size_t *left = context;

    (void)data;
    if (len > *left)
        return rc_fail(err, RC_CORRUPT, "too many pieces");
    *left -= len;
    return RC_OK;
}

static void hands_over_the_body_or_limits_it(void **state)
{
    struct bench *bench = *state;
    RC_STR_AUTO url = url_of(bench, "/?bytes=1000000");
    size_t left = 1000000;
    struct core_http_call call = {
        .name = "the pieces", .url = url, .on_body = count_pieces, .context = &left
    };
    struct core_http_answer small;

    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
    assert_int_equal(left, 0);
    left = 100000;
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_CORRUPT);
    assert_string_equal(bench->err.cause, "too many pieces");
    assert_string_equal(bench->err.context, "the pieces");
    core_http_answer_init(&small, 999999);
    call.on_body = NULL;
    assert_int_equal(core_http_call(&call, &small, &bench->err), RC_TOO_LARGE);
    core_http_answer_clear(&small);
}

static enum rc_code break_a_pipe(void *context, const char *data, size_t len, struct rc_error *err)
{
    int ends[2];

    (void)data;
    (void)len;
    (void)err;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(close(ends[0]), 0);
    *(bool *)context = write(ends[1], "x", 1) < 0;
    assert_int_equal(close(ends[1]), 0);
    return RC_OK;
}

static void outlives_a_broken_pipe(void **state)
{
    struct bench *bench = *state;
    RC_STR_AUTO url = url_of(bench, "/");
    bool broke = false;
    struct core_http_call call = { .url = url, .on_body = break_a_pipe, .context = &broke };
    sigset_t mask;

    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
    assert_true(broke);
    /* And nothing is left of it. */
    assert_int_equal(sigpending(&mask), 0);
    assert_int_equal(sigismember(&mask, SIGPIPE), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    assert_int_equal(sigismember(&mask, SIGPIPE), 0);
}

static void follows_only_as_told(void **state)
{
    struct bench *bench = *state;
    RC_STR_AUTO url = url_of(bench, "/redirect?to=/redirect%3fto=/end");
    struct core_http_call call = { .url = url };

    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
    assert_int_equal(bench->answer.status, 307);
    assert_non_null(core_http_answer_header(&bench->answer, "Location"));
    call.redirects = 1;
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_FAILED);
    call.redirects = 2;
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
    assert_string_equal(bench->answer.body.data, "GET /end - ");
    assert_null(core_http_answer_header(&bench->answer, "Location"));
    assert_int_equal(get(bench, "/redirect?to=file:///etc/passwd"), RC_OK);
    {
        RC_STR_AUTO away = url_of(bench, "/redirect?to=file:///etc/passwd");

        call.url = away;
        assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_INVALID);
    }
}

static void reads_retry_after(void **state)
{
    static const struct {
        const char *after;
        int64_t wait_ms;
    } cases[] = {
        { "7", 7000 },
        { "0", 0 },
        { "Sun,+06+Nov+1994+08:49:37+GMT", 37000 },
        { "Sun,+06+Nov+1994+08:48:37+GMT", 0 },
        { "soon", -1 },
        { "-1", -1 },
        { "99999999999999999999", -1 },
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO path = rc_strf("/busy?after=%s", cases[i].after);

        assert_int_equal(get(bench, path), RC_OK);
        assert_int_equal(bench->answer.status, 429);
        assert_int_equal(core_http_answer_retry_ms(&bench->answer, INT64_C(784111740000)),
                         cases[i].wait_ms);
    }
    assert_int_equal(get(bench, "/"), RC_OK);
    assert_int_equal(core_http_answer_retry_ms(&bench->answer, 0), -1);
}

/* ---- servers that behave badly --------------------------------------------------------------- */

static void gives_up_in_time(void **state)
{
    struct bench *bench = *state;
    struct core_listener deaf; /* connects, and never says a word */
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct core_http_call call = { .name = "the deaf", .idle_ms = SHORT_MS };
    RC_STR_AUTO url = NULL;
    int64_t began_mono_ms = core_clock_mono_ms();

    assert_int_equal(core_listener_open("127.0.0.1:0", &deaf, &bench->err), RC_OK);
    url = rc_strf("%s/?token=secret", deaf.url);
    call.url = url;
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_TIMEOUT);
    assert_non_null(strstr(bench->err.cause, "the deaf: nothing was heard for 300ms"));
    assert_null(strstr(bench->err.cause, "secret"));
    call.idle_ms = -1;
    call.total_ms = SHORT_MS;
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_TIMEOUT);
    assert_null(strstr(bench->err.cause, "secret"));
    call.total_ms = 0;
    core_cancel_request(&cancel, RC_CANCELLED);
    call.cancel = &cancel;
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_CANCELLED);
    core_listener_close(&deaf);
    /* The port is closed by now. */
    call = (struct core_http_call){ .name = "the absent", .url = url };
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_UNAVAILABLE);
    assert_non_null(strstr(bench->err.cause, "the absent: cannot connect"));
    assert_null(strstr(bench->err.cause, "secret"));
    assert_true(core_clock_mono_ms() - began_mono_ms < LONG_MS);
}

static void *cancel_soon(void *cancel)
{
    core_clock_sleep_ms(SHORT_MS);
    core_cancel_request(cancel, RC_CANCELLED);
    return NULL;
}

static void stops_when_it_is_asked_to(void **state)
{
    struct bench *bench = *state;
    struct core_listener deaf;
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct core_http_call call = { .cancel = &cancel };
    int64_t began_mono_ms = core_clock_mono_ms();
    pthread_t thread;

    assert_int_equal(core_listener_open("127.0.0.1:0", &deaf, &bench->err), RC_OK);
    call.url = deaf.url;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(core_clock_mono_ms() - began_mono_ms < LONG_MS);
    core_listener_close(&deaf);
}

struct liar {
    struct core_listener listener;
    const char *answer;
};

static void *lie(void *context)
{
    const struct liar *liar = context;
    char request[4096];
    int fd = -1;

    while (fd < 0) {
        fd = accept(liar->listener.fd, NULL, NULL);
        core_clock_sleep_ms(1);
    }
    (void)!recv(fd, request, sizeof(request), 0);
    say(fd, liar->answer);
    (void)close(fd);
    return NULL;
}

static void tells_broken_answers_from_answers(void **state)
{
    static const struct {
        const char *answer;
        enum rc_code code;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", RC_OK },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", RC_OK },
        { "", RC_UNAVAILABLE },
        { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", RC_UNAVAILABLE },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha", RC_UNAVAILABLE },
        { "SSH-2.0-OpenSSH\r\n", RC_INVALID }, /* somebody else's port */
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct liar liar = { .answer = cases[i].answer };
        struct core_http_call call = { .url = liar.listener.url };
        pthread_t thread;

        assert_int_equal(core_listener_open("127.0.0.1:0", &liar.listener, &bench->err), RC_OK);
        assert_int_equal(pthread_create(&thread, NULL, lie, &liar), 0);
        assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), cases[i].code);
        assert_int_equal(pthread_join(thread, NULL), 0);
        core_listener_close(&liar.listener);
    }
}

static void refuses_what_is_no_call(void **state)
{
    const struct core_http_header split = { "X-A", "b\r\nX-C: d" };
    struct bench *bench = *state;
    char path[200];
    struct core_http_call call = { .url = "file:///etc/passwd" };

    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_INVALID);
    call.url = "http://user:secret@[bad/";
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_INVALID);
    assert_null(strstr(bench->err.cause, "secret"));
    call.url = "http://localhost/";
    call.headers = &split;
    call.header_count = 1;
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_INVALID);
    call.header_count = 0;
    call.method = "GET / HTTP/1.1\r\n";
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_INVALID);
    call.method = NULL;
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    call.socket_path = path;
    assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_INVALID);
}

/* libcurl takes "name:" and a blank for the wish to leave a header out. */
static void sends_values_that_are_blank(void **state)
{
    static const char *const values[] = { "", " ", "\t \t" };
    struct bench *bench = *state;
    RC_STR_AUTO url = url_of(bench, "/");

    for (size_t i = 0; i < RC_ARRAY_LEN(values); i++) {
        const struct core_http_header header = { "X-Test", values[i] };
        const struct core_http_call call = { .url = url, .headers = &header, .header_count = 1 };

        assert_int_equal(core_http_call(&call, &bench->answer, &bench->err), RC_OK);
        assert_string_equal(bench->answer.body.data, "GET /  "); /* "-" if there were none */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_and_posts),
        cmocka_unit_test(goes_over_a_unix_socket),
        cmocka_unit_test(hands_over_the_body_or_limits_it),
        cmocka_unit_test(outlives_a_broken_pipe),
        cmocka_unit_test(follows_only_as_told),
        cmocka_unit_test(reads_retry_after),
        cmocka_unit_test(gives_up_in_time),
        cmocka_unit_test(stops_when_it_is_asked_to),
        cmocka_unit_test(tells_broken_answers_from_answers),
        cmocka_unit_test(refuses_what_is_no_call),
        cmocka_unit_test(sends_values_that_are_blank),
    };

    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
