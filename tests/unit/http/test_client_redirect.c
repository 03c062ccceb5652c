/*
 * Where requests are led, what is told there, and what the log says of all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <client_fixture.h>

#include <stdlib.h>
#include <string.h>

/* Redirects "/STATUS/..." to 'to' and what comes after that; shows any other request. */
static bool lead(const struct scene *scene, void *context)
{
    const char *path = strchr(scene->text, ' ') + 1;
    unsigned status = (unsigned)strtoul(path + 1, NULL, 10);
    const char *rest = strchr(path + 1, '/');
    RC_STR_AUTO headers = NULL;

    if (status == 0) {
        reply(scene, 200, NULL, scene->text);
        return true;
    }
    headers = rc_strf("Location: %s%.*s\r\n", context ? (const char *)context : "",
                      (int)strcspn(rest, " "), rest);
    reply(scene, status, headers, "moved");
    return true;
}

static enum rc_code sign(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    (void)err;
    rc_buf_add(&draft->headers, "Authorization", sizeof("Authorization"));
    rc_buf_addf(&draft->headers, "signed-secret %s", draft->url);
    rc_buf_addc(&draft->headers, '\0');
    (*(int *)context)++;
    return RC_OK;
}

static const struct core_http_header headers[] = {
    { "Accept", "text/x-test" },
    { "X-Api-Key", "secret-key" },
    { "Cookie", "secret-cookie" },
    { "Content-Type", "text/x-body" },
};

struct road {
    struct stage here, there;
    struct core_http_client *client;
    int signatures;
    struct outcome got;
};

static void open_road(struct road *road)
{
    road->signatures = 0;
    stage_start(&road->there, lead, NULL);
    stage_start(&road->here, lead, NULL);
    road->client = quick_client(NULL);
}

static void close_road(struct road *road)
{
    core_http_client_free(road->client);
    stage_stop(&road->here);
    stage_stop(&road->there);
}

static const char *walk(struct road *road, const char *method, const char *path)
{
    RC_STR_AUTO url = rc_strf("%s%s", road->here.listener.url, path);
    bool has_body = strcmp(method, "GET") != 0;

    ask((struct core_http_call){ .client = road->client,
                                 .name = "the road",
                                 .method = method,
                                 .url = url,
                                 .headers = headers,
                                 .header_count = RC_ARRAY_LEN(headers),
                                 .body = "the body",
                                 .body_len = has_body ? 8 : 0,
                                 .redirects = 3,
                                 .prepare = sign,
                                 .context = &road->signatures },
        &road->got);
    return road->got.answer.body.data;
}

static void changes_the_method_by_rule(void **state)
{
    static const struct {
        const char *method;
        int status;
        const char *then;
        bool has_body;
    } cases[] = {
        { "GET", 301, "GET", false },  { "POST", 301, "GET", false }, { "PUT", 301, "PUT", true },
        { "POST", 302, "GET", false }, { "POST", 303, "GET", false }, { "PUT", 303, "GET", false },
        { "POST", 307, "POST", true }, { "POST", 308, "POST", true }, { "PUT", 307, "PUT", true },
    };
    struct road road;

    (void)state;
    open_road(&road);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO path = rc_strf("/%d/end?q=1", cases[i].status);
        RC_STR_AUTO line = rc_strf("%s /end?q=1 HTTP/1.1\r\n", cases[i].then);
        const char *seen = walk(&road, cases[i].method, path);

        assert_int_equal(road.got.code, RC_OK);
        assert_memory_equal(seen, line, strlen(line));
        assert_int_equal(strstr(seen, "the body") != NULL, cases[i].has_body);
        assert_int_equal(strstr(seen, "Content-Type: text/x-body") != NULL,
                         strcmp(cases[i].then, "GET") != 0 || strcmp(cases[i].method, "GET") == 0);
        /* The same server: signed anew for the new place. */
        assert_non_null(strstr(seen, "secret-key"));
        assert_non_null(strstr(seen, "/end?q=1\r\n"));
        core_http_answer_clear(&road.got.answer);
    }
    close_road(&road);
}

static void tells_another_server_no_secrets(void **state)
{
    static const char *const ways[] = { "/307/end", "/307/307/end", "/303/end" };
    struct road road;

    (void)state;
    open_road(&road);
    road.here.context = road.there.listener.url;
    for (size_t i = 0; i < RC_ARRAY_LEN(ways); i++) {
        const char *seen = walk(&road, "GET", ways[i]);

        assert_int_equal(road.got.code, RC_OK);
        assert_non_null(strstr(seen, "Accept: text/x-test\r\n"));
        assert_null(strstr(seen, "secret"));
        assert_null(strstr(seen, "Authorization"));
        assert_int_equal(road.signatures, i + 1);
        core_http_answer_clear(&road.got.answer);
    }
    assert_int_equal(atomic_load(&road.there.requests), 4);
    close_road(&road);
}

static void goes_no_further_than_it_may(void **state)
{
    static const struct {
        const char *to, *path;
        enum rc_code code;
        const char *says;
    } cases[] = {
        { NULL, "/307/307/307/end", RC_OK, "" },
        { NULL, "/307/307/307/307/end", RC_FAILED, "the road: more than 3 redirections" },
        { "ftp://127.0.0.1", "/307/end", RC_INVALID, "something other than HTTP" },
        { "file://", "/307/etc/passwd", RC_INVALID, "something other than HTTP" },
        { "http://[::1", "/307/end", RC_INVALID, "no URL" },
    };
    struct road road;

    (void)state;
    open_road(&road);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        road.here.context = (char *)cases[i].to;
        (void)walk(&road, "GET", cases[i].path);
        assert_int_equal(road.got.code, cases[i].code);
        if (road.got.code)
            assert_non_null(strstr(road.got.err.cause, cases[i].says));
        core_http_answer_clear(&road.got.answer);
    }
    close_road(&road);
}

/* ---- the log --------------------------------------------------------------------------------- */

static void note(void *context, const struct core_http_record *record)
{
    struct rc_buf *log = context;

    rc_buf_addf(log, "[%s] ", record->name);
    core_http_record_text(record, log);
    rc_buf_addc(log, '\n');
}

static bool fail_once(const struct scene *scene, void *context)
{
    (void)context;
    reply(scene, scene->nth == 1 ? 503 : 200, NULL, "hello");
    return true;
}

static void logs_each_attempt_without_secrets(void **state)
{
    RC_BUF_AUTO(log, 10000);
    struct core_http_client_settings settings = { .record = note, .record_context = &log };
    struct core_http_client *client = quick_client(&settings);
    struct core_http_call call = { .client = client, .name = "the log" };
    struct core_http_stream *stream;
    RC_STR_AUTO url = NULL;
    struct stage stage;
    struct outcome got;
    char piece[100];
    size_t len;

    (void)state;
    stage_start(&stage, fail_once, NULL);
    url = rc_strf("http://user:secret1@%s/path?token=secret2#secret3",
                  stage.listener.url + strlen("http://"));
    call.url = url;
    ask(call, &got);
    assert_int_equal(got.code, RC_OK);
    assert_non_null(strstr(log.data, "[the log] GET http://127.0.0.1:"));
    assert_non_null(strstr(log.data, "/path: 503 after "));
    assert_non_null(strstr(log.data, ", 5 bytes received; again in "));
    assert_non_null(strstr(log.data, "/path: 200 after "));
    assert_non_null(strstr(log.data, ", 5 bytes received, attempt 2\n"));
    core_http_answer_clear(&got.answer);
    call.secret_url = true;
    call.body = "four";
    call.body_len = 4;
    ask(call, &got);
    assert_non_null(strstr(log.data, "/...: 200 after "));
    assert_non_null(strstr(log.data, ", 4 bytes sent, 5 bytes received\n"));
    core_http_answer_clear(&got.answer);
    rc_buf_reset(&log);
    call.body_len = 0;
    core_http_answer_init(&got.answer, 100);
    assert_int_equal(core_http_open(&call, &got.answer, &stream, &got.err), RC_OK);
    assert_int_equal(log.len, 0); /* it has not ended */
    assert_int_equal(core_http_read(stream, piece, sizeof(piece), &len, &got.err), RC_OK);
    core_http_close(stream);
    assert_non_null(strstr(log.data, "/...: 200 after "));
    core_http_answer_clear(&got.answer);
    stage_stop(&stage);
    call.repeat = CORE_HTTP_REPEAT_NEVER;
    ask(call, &got);
    assert_int_equal(got.code, RC_UNAVAILABLE);
    assert_non_null(strstr(log.data, "/...: no answer after "));
    assert_null(strstr(log.data, "secret"));
    assert_null(strstr(log.data, "again"));
    core_http_answer_clear(&got.answer);
    core_http_client_free(client);
}

/* Of each attempt what was sent, not what it led to. */
static void logs_the_way(void **state)
{
    RC_BUF_AUTO(log, 10000);
    struct core_http_client_settings settings = { .record = note, .record_context = &log };
    struct core_http_call call = { .name = "", .redirects = 2, .body = "x", .body_len = 1 };
    static const struct {
        const char *method, *rest;
    } ways[] = {
        { "POST", "/307/303/end: 307 after " },
        { "POST", "/303/end: 303 after " },
        { "GET", "/end: 200 after " },
    };
    struct outcome got;
    struct stage stage;

    (void)state;
    call.client = quick_client(&settings);
    stage_start(&stage, lead, NULL);
    RC_STR_AUTO url = rc_strf("%s/307/303/end", stage.listener.url);
    RC_STR_AUTO bad = rc_strf("%s/307/307/307/end", stage.listener.url);
    call.url = url;
    for (int i = 0; i < 2; i++) {
        call.user = i == 0 ? NULL : "who";
        rc_buf_reset(&log);
        ask(call, &got);
        assert_int_equal(got.code, RC_OK);
        for (size_t w = 0; w < RC_ARRAY_LEN(ways); w++) {
            RC_STR_AUTO line = rc_strf("%s %s%s", ways[w].method, stage.listener.url, ways[w].rest);

            assert_non_null(strstr(log.data, line));
        }
        core_http_answer_clear(&got.answer);
    }
    /* The last one, too, which leads too far. */
    call.url = bad;
    rc_buf_reset(&log);
    ask(call, &got);
    assert_int_equal(got.code, RC_FAILED);
    assert_non_null(strstr(log.data, "/307/end: 307 after "));
    assert_non_null(strstr(log.data, "more than 2 redirections\n"));
    core_http_answer_clear(&got.answer);
    core_http_client_free(call.client);
    stage_stop(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_the_method_by_rule),
        cmocka_unit_test(tells_another_server_no_secrets),
        cmocka_unit_test(goes_no_further_than_it_may),
        cmocka_unit_test(logs_the_way),
        cmocka_unit_test(logs_each_attempt_without_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
