/*
 * What requests of one client share: connections, and the limits of a host.
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

enum { THREADS = 32, LONG_MS = 60 * 1000 };

static bool echo(const struct scene *scene, void *context)
{
    RC_STR_AUTO text = rc_strndup(scene->text, strcspn(scene->text, "\r"));

    (void)context;
    reply(scene, 200, NULL, text);
    return true;
}

static bool take_time(const struct scene *scene, void *context)
{
    core_clock_sleep_ms(*(const int *)context);
    reply(scene, 200, NULL, "done");
    return true;
}

/* ---- many threads ---------------------------------------------------------------------------- */

struct crowd {
    struct core_http_client *client;
    const char *url;
    int each;
    pthread_t threads[THREADS];
    atomic_int good;
};

static void *call_often(void *context)
{
    struct crowd *crowd = context;

    for (int i = 0; i < crowd->each; i++) {
        struct outcome got;

        ask((struct core_http_call){ .client = crowd->client, .url = crowd->url }, &got);
        if (got.code == RC_OK && got.answer.status == 200 && got.answer.attempts == 1)
            (void)atomic_fetch_add(&crowd->good, 1);
        core_http_answer_clear(&got.answer);
    }
    return NULL;
}

static void run_crowd(struct crowd *crowd, int threads)
{
    atomic_store(&crowd->good, 0);
    for (int i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&crowd->threads[i], NULL, call_often, crowd), 0);
    for (int i = 0; i < threads; i++)
        assert_int_equal(pthread_join(crowd->threads[i], NULL), 0);
    assert_int_equal(atomic_load(&crowd->good), threads * crowd->each);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void uses_one_connection_for_one_thread(void **state)
{
    static const char *const methods[] = { "GET", "PUT", "HEAD", "POST", "DELETE", "GET", "PATCH" };
    static const bool bodies[] = { true, true, false, true, true, false, true };
    struct core_http_client *client = quick_client(NULL);
    struct stage stage;

    (void)state;
    stage_start(&stage, echo, NULL);
    for (size_t i = 0; i < 70; i++) {
        const char *method = methods[i % RC_ARRAY_LEN(methods)];
        bool has_body = bodies[i % RC_ARRAY_LEN(bodies)];
        RC_STR_AUTO url = rc_strf("%s/a/../%zu?q", stage.listener.url, i);
        RC_STR_AUTO line = rc_strf("%s /a/../%zu?q HTTP/1.1", method, i);
        struct outcome got;

        ask((struct core_http_call){ .client = client,
                                     .url = url,
                                     .method = method,
                                     .body = has_body ? "body" : NULL,
                                     .body_len = has_body ? 4 : 0 },
            &got);
        if (method[0] == 'H') { /* the body that this server sends after all ends the connection */
            core_http_answer_clear(&got.answer);
            continue;
        }
        assert_int_equal(got.code, RC_OK);
        assert_string_equal(got.answer.body.data, line);
        core_http_answer_clear(&got.answer);
    }
    assert_in_range(atomic_load(&stage.connections), 1, 11);
    core_http_client_free(client);
    stage_stop(&stage);
}

static void uses_as_many_connections_as_threads(void **state)
{
    struct crowd crowd = { .client = quick_client(NULL), .each = 50 };
    struct stage stage;

    (void)state;
    stage_start(&stage, echo, NULL);
    crowd.url = stage.listener.url;
    run_crowd(&crowd, THREADS);
    assert_in_range(atomic_load(&stage.connections), 1, THREADS);
    core_http_client_free(crowd.client);
    stage_stop(&stage);
}

static void leaks_no_descriptors(void **state)
{
    int before = count_descriptors();
    struct crowd crowd = { .client = quick_client(NULL), .each = 1250 };
    struct stage stage;

    (void)state;
    stage_start(&stage, echo, NULL);
    crowd.url = stage.listener.url;
    run_crowd(&crowd, 8);
    assert_in_range(atomic_load(&stage.connections), 1, 8);
    core_http_client_free(crowd.client);
    stage_stop(&stage);
    assert_int_equal(count_descriptors(), before);
}

static void keeps_hosts_apart(void **state)
{
    struct core_http_client *client = quick_client(NULL);
    struct stage stages[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        stage_start(&stages[i], echo, NULL);
    for (int i = 0; i < 20; i++) {
        RC_STR_AUTO url = rc_strf("%s/%d", stages[i % 2].listener.url, i);
        RC_STR_AUTO line = rc_strf("GET /%d HTTP/1.1", i);
        struct outcome got;

        ask((struct core_http_call){ .client = client, .url = url }, &got);
        assert_string_equal(got.answer.body.data, line);
        core_http_answer_clear(&got.answer);
    }
    core_http_client_free(client);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(atomic_load(&stages[i].connections), 1);
        assert_int_equal(atomic_load(&stages[i].requests), 10);
        stage_stop(&stages[i]);
    }
}

/* Each file of certificates makes a host of its own. */
static void keeps_no_more_connections_than_it_may_have(void **state)
{
    int before = count_descriptors(), after_few = 0;
    struct core_http_client *client = quick_client(NULL);
    struct stage stage;

    (void)state;
    stage_start(&stage, echo, NULL);
    for (int i = 0; i < 200; i++) {
        RC_STR_AUTO file = rc_strf("/nowhere/%d.pem", i);
        struct outcome got;

        ask((struct core_http_call){ .client = client, .url = stage.listener.url, .ca_file = file },
            &got);
        assert_int_equal(got.code, RC_OK);
        core_http_answer_clear(&got.answer);
        if (i == 63)
            after_few = count_descriptors();
    }
    assert_int_equal(atomic_load(&stage.connections), 200);
    /* The server hears later of connections that were closed. */
    for (int waited_ms = 0; count_descriptors() > after_few + 20; waited_ms += 10) {
        assert_true(waited_ms < LONG_MS);
        core_clock_sleep_ms(10);
    }
    assert_true(count_descriptors() >= before);
    core_http_client_free(client);
    stage_stop(&stage);
    assert_int_equal(count_descriptors(), before);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void never_has_more_requests_than_it_may(void **state)
{
    int pause_ms = 20;
    struct core_http_client_settings settings = { .connections = 3 };
    struct crowd crowd = { .client = quick_client(&settings), .each = 3 };
    struct stage stage;

    (void)state;
    stage_start(&stage, take_time, &pause_ms);
    crowd.url = stage.listener.url;
    run_crowd(&crowd, 12);
    assert_int_equal(atomic_load(&stage.most_at_once), 3);
    assert_int_equal(atomic_load(&stage.connections), 3);
    core_http_client_free(crowd.client);
    stage_stop(&stage);
}

static void keeps_to_a_rate(void **state)
{
    struct core_http_client_settings settings = { .requests_per_s = 100 };
    struct crowd crowd = { .client = quick_client(&settings), .each = 10 };
    struct stage stage;
    int64_t began_mono_ms;

    (void)state;
    stage_start(&stage, echo, NULL);
    crowd.url = stage.listener.url;
    began_mono_ms = core_clock_mono_ms();
    run_crowd(&crowd, 4);
    /* Ten may come at once, thirty wait for their hundredth of a second. */
    assert_in_range(core_clock_mono_ms() - began_mono_ms, 280, LONG_MS);
    core_http_client_free(crowd.client);
    stage_stop(&stage);
}

struct waiter {
    struct core_http_call call;
    struct outcome got;
};

static void *wait_for_a_turn(void *context)
{
    struct waiter *waiter = context;

    ask(waiter->call, &waiter->got);
    return NULL;
}

static void gives_up_its_turn_when_asked_to_stop(void **state)
{
    int pause_ms = 1000;
    struct core_http_client_settings settings = { .connections = 1 };
    struct core_http_client *client = quick_client(&settings);
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct waiter first, second;
    pthread_t threads[2];
    struct stage stage;
    struct outcome got;

    (void)state;
    stage_start(&stage, take_time, &pause_ms);
    first.call = second.call =
        (struct core_http_call){ .client = client, .url = stage.listener.url };
    second.call.cancel = &cancel;
    assert_int_equal(pthread_create(&threads[0], NULL, wait_for_a_turn, &first), 0);
    while (atomic_load(&stage.at_once) == 0)
        core_clock_sleep_ms(1);
    assert_int_equal(pthread_create(&threads[1], NULL, wait_for_a_turn, &second), 0);
    core_clock_sleep_ms(50);
    core_cancel_request(&cancel, RC_CANCELLED);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    assert_int_equal(second.got.code, RC_CANCELLED);
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(first.got.code, RC_OK);
    /* The place is free again. */
    pause_ms = 0;
    ask((struct core_http_call){ .client = client, .url = stage.listener.url }, &got);
    assert_int_equal(got.code, RC_OK);
    assert_int_equal(atomic_load(&stage.requests), 2);
    core_http_answer_clear(&got.answer);
    core_http_answer_clear(&first.got.answer);
    core_http_answer_clear(&second.got.answer);
    core_http_client_free(client);
    stage_stop(&stage);
}

/* ---- connections that the server closes ------------------------------------------------------ */

static bool close_after_each(const struct scene *scene, void *context)
{
    (void)context;
    reply(scene, 200, NULL, "done");
    return false;
}

static void outlives_a_server_that_closes_connections(void **state)
{
    struct crowd crowd = { .client = quick_client(NULL), .each = 100 };
    struct stage stage;

    (void)state;
    stage_start(&stage, close_after_each, NULL);
    crowd.url = stage.listener.url;
    /* Whether the end of the connection or the next request comes first is a matter of chance. */
    run_crowd(&crowd, 4);
    core_http_client_free(crowd.client);
    stage_stop(&stage);
}

/* Hears the second request of each connection, and closes. */
static bool close_at_second(const struct scene *scene, void *context)
{
    (void)context;
    if (scene->on_connection == 2)
        return false;
    reply(scene, 200, NULL, "done");
    return true;
}

static enum rc_code count_attempt(void *context, struct core_http_draft *draft,
                                  struct rc_error *err)
{
    int *count = context;

    (void)draft;
    (void)err;
    (*count)++;
    return RC_OK;
}

static void repeats_at_once_on_a_new_connection_what_may_come_twice(void **state)
{
    static const struct {
        const char *method, *body;
        enum core_http_repeat repeat;
        enum rc_code code;
        int requests; /* seen by the server, the first one of the connection included */
    } cases[] = {
        { "GET", "", CORE_HTTP_REPEAT_BY_METHOD, RC_OK, 3 },
        { "PUT", "body", CORE_HTTP_REPEAT_BY_METHOD, RC_OK, 3 },
        { "POST", "body", CORE_HTTP_REPEAT_SAFE, RC_OK, 3 },
        { "POST", "body", CORE_HTTP_REPEAT_BY_METHOD, RC_UNAVAILABLE, 2 },
        { "GET", "", CORE_HTTP_REPEAT_NEVER, RC_OK, 2 },      /* not on a kept connection */
        { "POST", "", CORE_HTTP_REPEAT_BY_METHOD, RC_OK, 2 }, /* nor this */
        { "PUT", "body", CORE_HTTP_REPEAT_NEVER, RC_UNAVAILABLE, 2 },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct core_http_client *client = quick_client(NULL);
        struct stage stage;
        struct outcome got;
        int prepared = 0;
        struct core_http_call call = {
            .client = client,
            .prepare = count_attempt,
            .context = &prepared,
        };

        stage_start(&stage, close_at_second, NULL);
        call.url = stage.listener.url;
        ask(call, &got);
        core_http_answer_clear(&got.answer);
        call.method = cases[i].method;
        call.body = cases[i].body;
        call.body_len = strlen(cases[i].body);
        call.repeat = cases[i].repeat;
        ask(call, &got);
        assert_int_equal(got.code, cases[i].code);
        assert_int_equal(atomic_load(&stage.requests), cases[i].requests);
        /* Each of them is signed, and who signs knows how often it was sent. */
        assert_int_equal(prepared, cases[i].requests);
        core_http_answer_clear(&got.answer);
        core_http_client_free(client);
        stage_stop(&stage);
    }
}

/* A small body before must not keep libcurl from beginning a large one anew. */
static void sends_a_large_body_again_with_its_head(void **state)
{
    enum { LEN = 300 * 1000 };
    const struct core_http_client_settings impatient = { .idle_ms = 20 * 1000 };
    struct core_http_client *client = quick_client(&impatient);
    RC_STR_AUTO body = rc_calloc(LEN, 1);
    struct core_http_call call = { .client = client };
    int64_t begin_mono_ms = core_clock_mono_ms();
    struct stage stage;
    struct outcome got;

    (void)state;
    stage_start(&stage, close_at_second, NULL);
    atomic_store(&stage.body_bytes, SIZE_MAX);
    call.url = stage.listener.url;
    call.method = "PUT";
    call.body = "small, so it goes another way than the next";
    call.body_len = strlen(call.body);
    ask(call, &got);
    core_http_answer_clear(&got.answer);
    call.body = body;
    call.body_len = LEN;
    ask(call, &got);
    assert_int_equal(got.code, RC_OK);
    assert_int_equal(atomic_load(&stage.requests), 3);
    assert_true(core_clock_mono_ms() - begin_mono_ms < impatient.idle_ms);
    core_http_answer_clear(&got.answer);
    core_http_client_free(client);
    stage_stop(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uses_one_connection_for_one_thread),
        cmocka_unit_test(uses_as_many_connections_as_threads),
        cmocka_unit_test(leaks_no_descriptors),
        cmocka_unit_test(keeps_hosts_apart),
        cmocka_unit_test(keeps_no_more_connections_than_it_may_have),
        cmocka_unit_test(never_has_more_requests_than_it_may),
        cmocka_unit_test(keeps_to_a_rate),
        cmocka_unit_test(gives_up_its_turn_when_asked_to_stop),
        cmocka_unit_test(outlives_a_server_that_closes_connections),
        cmocka_unit_test(repeats_at_once_on_a_new_connection_what_may_come_twice),
        cmocka_unit_test(sends_a_large_body_again_with_its_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
