/*
 * What is repeated, how often and when; and what is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <client_fixture.h>

#include <os/clock.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONG_MS = 20 * 1000 };

/* ---- answers that may pass ------------------------------------------------------------------- */

/* So many times that status, then 200. */
struct storm {
    unsigned status;
    int times;
    const char *headers;
};

static bool blow(const struct scene *scene, void *context)
{
    const struct storm *storm = context;

    if (scene->nth <= storm->times)
        reply(scene, storm->status, storm->headers, "storm");
    else
        reply(scene, 200, NULL, scene->body);
    return true;
}

struct weather {
    struct core_http_client *client;
    struct stage stage;
    struct storm storm;
    struct outcome got;
};

static void begin(struct weather *weather, struct storm storm)
{
    weather->storm = storm;
    weather->client = quick_client(NULL);
    stage_start(&weather->stage, blow, &weather->storm);
}

static void try(struct weather *weather, struct core_http_call call)
{
    call.client = weather->client;
    call.url = weather->stage.listener.url;
    ask(call, &weather->got);
    core_http_answer_clear(&weather->got.answer);
}

static void end(struct weather *weather)
{
    core_http_client_free(weather->client);
    stage_stop(&weather->stage);
}

static void repeats_what_is_safe(void **state)
{
    static const struct {
        const char *method;
        enum core_http_repeat repeat;
        unsigned status, attempts;
        int expected, storms;
    } cases[] = {
        { "GET", CORE_HTTP_REPEAT_BY_METHOD, 503, 3, 200, 2 },
        { "HEAD", CORE_HTTP_REPEAT_BY_METHOD, 500, 3, 200, 2 },
        { "PUT", CORE_HTTP_REPEAT_BY_METHOD, 502, 3, 200, 2 },
        { "DELETE", CORE_HTTP_REPEAT_BY_METHOD, 504, 3, 200, 2 },
        { "OPTIONS", CORE_HTTP_REPEAT_BY_METHOD, 408, 2, 200, 1 },
        { "GET", CORE_HTTP_REPEAT_BY_METHOD, 429, 3, 200, 2 },
        { "GET", CORE_HTTP_REPEAT_BY_METHOD, 501, 1, 501, 2 },
        { "GET", CORE_HTTP_REPEAT_BY_METHOD, 404, 1, 404, 2 },
        { "GET", CORE_HTTP_REPEAT_NEVER, 503, 1, 503, 2 },
        { "GET", CORE_HTTP_REPEAT_BY_METHOD, 503, 5, 503, 9 },
        { "POST", CORE_HTTP_REPEAT_BY_METHOD, 503, 1, 503, 2 },
        { "PATCH", CORE_HTTP_REPEAT_BY_METHOD, 429, 1, 429, 2 },
        { "POST", CORE_HTTP_REPEAT_SAFE, 503, 3, 200, 2 },
        { "POST", CORE_HTTP_REPEAT_NEVER, 503, 1, 503, 2 },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct weather weather;

        begin(&weather, (struct storm){ cases[i].status, cases[i].storms, NULL });
        try(&weather,
            (struct core_http_call){ .method = cases[i].method, .repeat = cases[i].repeat });
        assert_int_equal(weather.got.code, RC_OK);
        assert_int_equal(weather.got.answer.status, cases[i].expected);
        assert_int_equal(weather.got.answer.attempts, cases[i].attempts);
        assert_int_equal(atomic_load(&weather.stage.requests), cases[i].attempts);
        end(&weather);
    }
}

static void makes_one_attempt_without_a_client(void **state)
{
    struct weather weather;

    (void)state;
    begin(&weather, (struct storm){ 503, 1, NULL });
    core_http_client_free(weather.client);
    weather.client = NULL;
    try(&weather, (struct core_http_call){ .method = "GET" });
    assert_int_equal(weather.got.answer.status, 503);
    try(&weather, (struct core_http_call){ .method = "GET" });
    assert_int_equal(weather.got.answer.status, 200);
    end(&weather);
}

static void makes_as_many_attempts_as_the_call_says(void **state)
{
    struct weather weather;

    (void)state;
    begin(&weather, (struct storm){ 503, 9, NULL });
    try(&weather, (struct core_http_call){ .attempts = 2 });
    assert_int_equal(weather.got.answer.attempts, 2);
    try(&weather, (struct core_http_call){ .attempts = 8 });
    assert_int_equal(weather.got.answer.status, 200);
    assert_int_equal(weather.got.answer.attempts, 8);
    end(&weather);
}

static void waits_as_long_as_the_server_asks(void **state)
{
    struct weather weather;
    int64_t began_mono_ms = core_clock_mono_ms();

    (void)state;
    begin(&weather, (struct storm){ 503, 1, "Retry-After: 1\r\n" });
    try(&weather, (struct core_http_call){ .method = "GET" });
    assert_int_equal(weather.got.answer.status, 200);
    assert_in_range(core_clock_mono_ms() - began_mono_ms, 1000, LONG_MS);
    end(&weather);
    /* But not for an hour: then it is the caller's turn to decide. */
    began_mono_ms = core_clock_mono_ms();
    begin(&weather, (struct storm){ 429, 1, "Retry-After: 3600\r\n" });
    try(&weather, (struct core_http_call){ .method = "GET" });
    assert_int_equal(weather.got.answer.status, 429);
    assert_int_equal(weather.got.answer.attempts, 1);
    assert_in_range(core_clock_mono_ms() - began_mono_ms, 0, LONG_MS);
    end(&weather);
}

static void makes_others_wait_too(void **state)
{
    struct weather weather;
    int64_t began_mono_ms = core_clock_mono_ms();

    (void)state;
    begin(&weather, (struct storm){ 429, 1, "Retry-After: 1\r\n" });
    try(&weather, (struct core_http_call){ .attempts = 1 });
    assert_int_equal(weather.got.answer.status, 429);
    try(&weather, (struct core_http_call){ .method = "GET" });
    assert_int_equal(weather.got.answer.status, 200);
    assert_in_range(core_clock_mono_ms() - began_mono_ms, 1000, LONG_MS);
    end(&weather);
}

static void has_a_budget_for_each_host(void **state)
{
    struct weather down, up;
    int made;

    (void)state;
    begin(&down, (struct storm){ 500, 100000, NULL });
    begin(&up, (struct storm){ 500, 1, NULL });
    for (int i = 0; i < 100; i++)
        try(&down, (struct core_http_call){ .method = "GET" });
    /* Five hundred tokens, five for each repetition. */
    made = atomic_load(&down.stage.requests);
    assert_int_equal(made, 100 + 100);
    assert_int_equal(down.got.answer.attempts, 1);
    core_http_client_free(up.client);
    up.client = down.client;
    try(&up, (struct core_http_call){ .method = "GET" });
    assert_int_equal(up.got.answer.attempts, 2);
    stage_stop(&up.stage);
    end(&down);
}

/* ---- what the caller has to say -------------------------------------------------------------- */

struct signer {
    unsigned prepared;
    enum core_http_verdict verdict;
    unsigned judged;
};

static enum rc_code sign(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    struct signer *signer = context;

    (void)err;
    signer->prepared++;
    assert_int_equal(draft->attempt, signer->prepared);
    rc_buf_add(&draft->headers, "X-Signed", sizeof("X-Signed"));
    rc_buf_addf(&draft->headers, "%u", signer->prepared);
    rc_buf_addc(&draft->headers, '\0');
    return RC_OK;
}

static bool show_signature(const struct scene *scene, void *context)
{
    const char *found = strstr(scene->text, "X-Signed: ");

    (void)context;
    reply(scene, 403, NULL, found ? (char[]){ found[strlen("X-Signed: ")], '\0' } : "-");
    return true;
}

static enum core_http_verdict decide(void *context, const struct core_http_answer *answer)
{
    struct signer *signer = context;

    assert_int_equal(answer->status, 403);
    assert_int_equal(answer->body.len, 1);
    signer->judged++;
    return signer->verdict;
}

static void prepares_and_judges_each_attempt(void **state)
{
    static const struct {
        enum core_http_verdict verdict;
        const char *last;
    } cases[] = {
        { CORE_HTTP_ACCEPT, "1" },
        { CORE_HTTP_PREPARE, "3" },
        { CORE_HTTP_AGAIN, "5" },
        { CORE_HTTP_SLOWER, "5" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct core_http_client *client = quick_client(NULL);
        struct signer signer = { .verdict = cases[i].verdict };
        struct stage stage;
        struct outcome got;

        stage_start(&stage, show_signature, NULL);
        ask((struct core_http_call){ .client = client,
                                     .url = stage.listener.url,
                                     .prepare = sign,
                                     .judge = decide,
                                     .context = &signer },
            &got);
        assert_int_equal(got.code, RC_OK);
        assert_string_equal(got.answer.body.data, cases[i].last);
        assert_int_equal(signer.judged, signer.prepared);
        core_http_answer_clear(&got.answer);
        core_http_client_free(client);
        stage_stop(&stage);
    }
}

static enum rc_code refuse(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    (void)context;
    (void)draft;
    return rc_fail(err, RC_DENIED, "no credentials");
}

static enum rc_code split(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    static const char lines[] = "X-A\0b\r\nX-C: d";

    (void)context;
    (void)err;
    rc_buf_add(&draft->headers, lines, sizeof(lines));
    return RC_OK;
}

static enum rc_code elsewhere(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    (void)err;
    draft->url = context;
    return RC_OK;
}

static void takes_what_prepare_says(void **state)
{
    struct weather weather;
    struct core_http_call call = { .name = "the store", .prepare = refuse };
    struct outcome got;

    (void)state;
    begin(&weather, (struct storm){ .times = 0 });
    try(&weather, call);
    assert_int_equal(weather.got.code, RC_DENIED);
    assert_string_equal(weather.got.err.cause, "no credentials");
    assert_string_equal(weather.got.err.context, "the store");
    call.prepare = split;
    try(&weather, call);
    assert_int_equal(weather.got.code, RC_INVALID);
    assert_int_equal(atomic_load(&weather.stage.requests), 0);
    call.prepare = elsewhere;
    call.context = weather.stage.listener.url;
    call.client = weather.client;
    call.url = "http://127.0.0.1:1/";
    ask(call, &got);
    assert_int_equal(got.code, RC_OK);
    core_http_answer_clear(&got.answer);
    end(&weather);
}

/* ---- broken connections ---------------------------------------------------------------------- */

#define BODY "0123456789abcdef"
static const char whole[] = "HTTP/1.1 200 Said\r\nX-A: b\r\nContent-Length: 16\r\n\r\n" BODY;

struct cut {
    size_t at;
    bool reset;
    int good_from; /* the first request that is answered whole */
};

static bool cut_short(const struct scene *scene, void *context)
{
    const struct cut *cut = context;
    bool whole_one = scene->nth >= cut->good_from;

    say_bytes(scene->fd, whole, whole_one ? sizeof(whole) - 1 : cut->at);
    if (!whole_one && cut->reset)
        slam(scene->fd);
    return whole_one;
}

static void survives_a_cut_at_any_byte_of_an_answer(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct core_http_client *client = quick_client(NULL);

        for (size_t at = 0; at < sizeof(whole) - 1; at++) {
            struct cut cut = { .at = at, .reset = reset, .good_from = 3 };
            struct core_http_call call = { .client = client };
            struct stage stage;
            struct outcome got;

            stage_start(&stage, cut_short, &cut);
            call.url = stage.listener.url;
            ask(call, &got);
            if (got.code)
                fail_msg("cut at %zu: %s", at, got.err.cause);
            assert_int_equal(got.answer.status, 200);
            assert_int_equal(got.answer.attempts, 3);
            assert_string_equal(got.answer.body.data, BODY);
            core_http_answer_clear(&got.answer);
            /* And says so if it does not pass, or if it must not be repeated. */
            cut.good_from = 100;
            call.method = "POST";
            atomic_store(&stage.requests, 0);
            ask(call, &got);
            assert_int_equal(got.code, RC_UNAVAILABLE);
            assert_int_equal(atomic_load(&stage.requests), 1);
            core_http_answer_clear(&got.answer);
            stage_stop(&stage);
        }
        core_http_client_free(client);
    }
}

/* A body of which each byte tells where it stands. */
struct source {
    int64_t len_bytes, ends_at, next;
    int rewinds;
    enum rc_code failure;
};

static enum rc_code read_source(void *context, int64_t offset_bytes, char *data, size_t capacity,
                                size_t *len, struct rc_error *err)
{
    struct source *source = context;
    int64_t left = source->ends_at - offset_bytes;

    if (offset_bytes == 0)
        source->rewinds++;
    else
        assert_int_equal(offset_bytes, source->next);
    if (source->failure && offset_bytes > 0)
        return rc_fail(err, source->failure, "the disk is gone");
    *len = left < (int64_t)capacity ? (size_t)left : capacity;
    *len = *len < 1000 ? *len : 1000;
    for (size_t i = 0; i < *len; i++)
        data[i] = (char)('a' + (offset_bytes + (int64_t)i) % 23);
    source->next = offset_bytes + (int64_t)*len;
    return RC_OK;
}

struct sink {
    int64_t len_bytes;  /* of the whole */
    size_t hangs_up_at; /* of the body; then closes, for as many requests */
    int times;
    bool reset;
};

static bool take_in(const struct scene *scene, void *context)
{
    const struct sink *sink = context;

    if (scene->nth <= sink->times) {
        if (sink->reset)
            slam(scene->fd);
        if (scene->nth == sink->times)
            atomic_store(&scene->stage->body_bytes, SIZE_MAX);
        return false;
    }
    reply(scene, 200, NULL, scene->body);
    return true;
}

static void sends_content_again_after_a_cut(void **state)
{
    static const size_t cuts[] = { 0, 1, 999, 1000, 1001, 65535, 65536, 150000, 299999 };

    (void)state;
    for (size_t i = 0; i < 2 * RC_ARRAY_LEN(cuts); i++) {
        struct core_http_client *client = quick_client(NULL);
        struct source source = { .len_bytes = 300000, .ends_at = 300000 };
        struct core_http_content content = { 300000, read_source, &source };
        struct sink sink = { .times = 2, .reset = i % 2 };
        struct stage stage;
        struct outcome got;

        stage_start(&stage, take_in, &sink);
        atomic_store(&stage.body_bytes, cuts[i / 2]);
        ask((struct core_http_call){ .client = client,
                                     .url = stage.listener.url,
                                     .method = "PUT",
                                     .attempts = 3,
                                     .content = &content },
            &got);
        if (got.code)
            fail_msg("cut at %zu: %s", cuts[i / 2], got.err.cause);
        assert_int_equal(got.answer.status, 200);
        assert_int_equal(got.answer.attempts, 3);
        assert_in_range(source.rewinds, 1, 3); /* the server may be gone before a byte is read */
        assert_int_equal(got.answer.body.len, 300000);
        core_http_answer_clear(&got.answer);
        core_http_client_free(client);
        stage_stop(&stage);
    }
}

static void sends_content_of_any_length(void **state)
{
    static const int64_t lengths[] = { 0, 1, 1000, 70000, 3000000 };

    (void)state;
    for (size_t i = 0; i < 3 * RC_ARRAY_LEN(lengths); i++) {
        int64_t len = lengths[i / 3];
        struct core_http_client *client = quick_client(NULL);
        struct source source = { .len_bytes = len, .ends_at = len };
        struct core_http_content content = { i % 3 == 2 ? -1 : len, read_source, &source };
        struct sink sink = { .times = 0 };
        struct stage stage;
        struct outcome got;

        stage_start(&stage, take_in, &sink);
        for (int round = 0; round < 2; round++) {
            ask((struct core_http_call){ .client = client,
                                         .url = stage.listener.url,
                                         .method = "PUT",
                                         .content = &content,
                                         .ask_first = i % 3 == 1 },
                &got);
            assert_int_equal(got.code, RC_OK);
            if (content.len_bytes >= 0)
                assert_int_equal(got.answer.body.len, len);
            for (size_t at = 0; content.len_bytes >= 0 && at < got.answer.body.len; at++)
                assert_int_equal(got.answer.body.data[at], 'a' + at % 23);
            core_http_answer_clear(&got.answer);
        }
        assert_int_equal(atomic_load(&stage.connections), 1);
        core_http_client_free(client);
        stage_stop(&stage);
    }
}

static void tells_what_is_wrong_with_the_content(void **state)
{
    struct source source = { .ends_at = 5000 };
    struct core_http_content content = { 300000, read_source, &source };
    struct core_http_call call = { .name = "the upload", .method = "PUT", .content = &content };
    struct weather weather;

    (void)state;
    begin(&weather, (struct storm){ .times = 0 });
    try(&weather, call);
    assert_int_equal(weather.got.code, RC_CORRUPT);
    assert_string_equal(weather.got.err.cause, "the content ends after 5000 bytes; it should have "
                                               "300000");
    source.failure = RC_FAILED;
    try(&weather, call);
    assert_int_equal(weather.got.code, RC_FAILED);
    assert_string_equal(weather.got.err.cause, "the disk is gone");
    assert_string_equal(weather.got.err.context, "the upload");
    end(&weather);
}

/* Says no before it has read the body, and reads no more. */
static bool refuse_early(const struct scene *scene, void *context)
{
    reply(scene, *(const unsigned *)context, "Location: /there\r\nX-Why: early\r\n", "");
    /* What comes in after the end of a connection would end the answer too. */
    while (!atomic_load(&scene->stage->stop))
        core_clock_sleep_ms(1);
    return false;
}

static void takes_an_answer_that_comes_before_the_body_is_sent(void **state)
{
    static const unsigned statuses[] = { 307, 400, 403, 413 };

    (void)state;
    for (size_t i = 0; i < 2 * RC_ARRAY_LEN(statuses); i++) {
        struct core_http_client *client = quick_client(NULL);
        struct source source = { .ends_at = 50000000 };
        struct core_http_content content = { 50000000, read_source, &source };
        unsigned status = statuses[i / 2];
        struct stage stage;
        struct outcome got;

        stage_start(&stage, refuse_early, &status);
        atomic_store(&stage.body_bytes, 0);
        ask((struct core_http_call){ .client = client,
                                     .url = stage.listener.url,
                                     .method = "PUT",
                                     .content = &content,
                                     .ask_first = i % 2 },
            &got);
        if (got.code)
            fail_msg("%u: %s", status, got.err.cause);
        assert_int_equal(got.answer.status, status);
        assert_string_equal(core_http_answer_header(&got.answer, "X-Why"), "early");
        assert_true(source.next < 40000000);
        if (i % 2)
            assert_int_equal(source.next, 0);
        core_http_answer_clear(&got.answer);
        core_http_client_free(client);
        stage_stop(&stage);
    }
}

static void repeats_what_nobody_has_seen(void **state)
{
    static const struct {
        enum core_http_repeat repeat;
        unsigned attempts;
    } cases[] = {
        { CORE_HTTP_REPEAT_BY_METHOD, 5 },
        { CORE_HTTP_REPEAT_SAFE, 5 },
        { CORE_HTTP_REPEAT_NEVER, 1 },
    };
    struct core_listener listener;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_listener_open("127.0.0.1:0", &listener, &err), RC_OK);
    core_listener_close(&listener);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct core_http_client *client = quick_client(NULL);
        struct outcome got;

        ask((struct core_http_call){ .client = client,
                                     .url = listener.url,
                                     .method = "POST",
                                     .repeat = cases[i].repeat },
            &got);
        assert_int_equal(got.code, RC_UNAVAILABLE);
        assert_int_equal(got.answer.attempts, cases[i].attempts);
        core_http_answer_clear(&got.answer);
        core_http_client_free(client);
    }
}

static void *cancel_soon(void *cancel)
{
    core_clock_sleep_ms(100);
    core_cancel_request(cancel, RC_CANCELLED);
    return NULL;
}

static void stops_in_the_middle_of_a_pause(void **state)
{
    struct weather weather;
    struct core_cancel cancel = CORE_CANCEL_INIT;
    int64_t began_mono_ms = core_clock_mono_ms();
    pthread_t thread;

    (void)state;
    begin(&weather, (struct storm){ 503, 1, "Retry-After: 200\r\n" });
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
    try(&weather, (struct core_http_call){ .cancel = &cancel });
    assert_int_equal(weather.got.code, RC_CANCELLED);
    assert_in_range(core_clock_mono_ms() - began_mono_ms, 0, LONG_MS);
    assert_int_equal(pthread_join(thread, NULL), 0);
    end(&weather);
}

static int64_t backed_off_ms(struct core_http_client *client, int64_t failures, int64_t at_least_ms,
                             const struct core_cancel *cancel, enum rc_code expected)
{
    int64_t began_mono_ms = core_clock_mono_ms();
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_http_back_off(client, failures, at_least_ms, cancel, &err), expected);
    return core_clock_mono_ms() - began_mono_ms;
}

static void backs_off_as_the_settings_say(void **state)
{
    const struct core_http_client_settings short_ones = { .backoff_ms = 20, .max_backoff_ms = 90 };
    const struct core_http_client_settings long_ones = { .backoff_ms = LONG_MS,
                                                         .max_backoff_ms = 2 * LONG_MS };
    struct core_http_client *client = quick_client(&short_ones);
    struct core_cancel cancel = CORE_CANCEL_INIT;

    (void)state;
    assert_in_range(backed_off_ms(client, 1, 0, &cancel, RC_OK), 10, LONG_MS);
    assert_in_range(backed_off_ms(client, 3, 0, &cancel, RC_OK), 40, LONG_MS);
    /* However often: no longer than the longest, unless the server asks for it. */
    assert_in_range(backed_off_ms(client, 1000, 0, &cancel, RC_OK), 45, LONG_MS);
    assert_in_range(backed_off_ms(client, 1, 150, &cancel, RC_OK), 150, LONG_MS);
    core_http_client_free(client);

    client = quick_client(&long_ones);
    core_cancel_request(&cancel, RC_CANCELLED);
    assert_in_range(backed_off_ms(client, 1, 0, &cancel, RC_CANCELLED), 0, LONG_MS);
    core_http_client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_what_is_safe),
        cmocka_unit_test(makes_one_attempt_without_a_client),
        cmocka_unit_test(makes_as_many_attempts_as_the_call_says),
        cmocka_unit_test(waits_as_long_as_the_server_asks),
        cmocka_unit_test(makes_others_wait_too),
        cmocka_unit_test(has_a_budget_for_each_host),
        cmocka_unit_test(prepares_and_judges_each_attempt),
        cmocka_unit_test(takes_what_prepare_says),
        cmocka_unit_test(survives_a_cut_at_any_byte_of_an_answer),
        cmocka_unit_test(sends_content_again_after_a_cut),
        cmocka_unit_test(sends_content_of_any_length),
        cmocka_unit_test(tells_what_is_wrong_with_the_content),
        cmocka_unit_test(takes_an_answer_that_comes_before_the_body_is_sent),
        cmocka_unit_test(repeats_what_nobody_has_seen),
        cmocka_unit_test(stops_in_the_middle_of_a_pause),
        cmocka_unit_test(backs_off_as_the_settings_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
