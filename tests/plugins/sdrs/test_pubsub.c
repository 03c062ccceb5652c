/*
 * Publishing, and the outbox on its way: each message is delivered once, and none is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "google_world.h"

#include "google/pubsub.h"
#include "run.h"
#include "state/outbox.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#define TOPIC "projects/p/topics/events"
#define PUBLISH "POST https://pubsub.googleapis.com/v1/" TOPIC ":publish"

/* ---- one request ----------------------------------------------------------------------------- */

static void test_publishing(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_google google = sdrs_pubsub(world->job, &world->config);
    const struct sdrs_pubsub_message messages[] = {
        { .uuid = "u-1", .json = "{\"a\":1}" },
        { .uuid = "u-2", .json = "\xC3\xA9" },
    };

    google_answer(world, NULL, 1, 200, "{\"messageIds\":[\"1\",\"2\"]}");
    expect_ok(sdrs_pubsub_publish(&google, TOPIC, messages, 2, &err));
    assert_string_equal(google_asked_what(world, 0), PUBLISH);
    expect_json(google_asked_body(world, 0),
                "{\"messages\":[{\"data\":\"eyJhIjoxfQ==\",\"attributes\":{\"uuid\":\"u-1\"}},"
                "{\"data\":\"w6k=\",\"attributes\":{\"uuid\":\"u-2\"}}]}");

    google_answer(world, NULL, 1, 200, "{\"messageIds\":[\"1\"]}");
    assert_int_equal(sdrs_pubsub_publish(&google, TOPIC, messages, 2, &err), RC_CORRUPT);
}

static void test_looking(void **state)
{
    static const struct {
        unsigned status;
        const char *word;
        enum rc_code code;
    } cases[] = {
        { 404, "NOT_FOUND", RC_NOT_FOUND },
        { 403, "PERMISSION_DENIED", RC_DENIED },
        { 503, "UNAVAILABLE", RC_UNAVAILABLE },
    };
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_google google = sdrs_pubsub(world->job, &world->config);

    google_answer(world, NULL, 1, 200, "{\"name\":\"" TOPIC "\"}");
    expect_ok(sdrs_pubsub_look(&google, TOPIC, &err));
    assert_string_equal(google_asked_what(world, 0), "GET https://pubsub.googleapis.com/v1/" TOPIC);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        google_refuse(world, NULL, 1, cases[i].status, cases[i].word, "no");
        assert_int_equal(sdrs_pubsub_look(&google, TOPIC, &err), cases[i].code);
        expect_in(err.context, "reach the topic '" TOPIC "'");
    }
}

static void test_a_host_without_credentials(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_google google = sdrs_pubsub(world->job, &world->config);

    rc_fake_host_fail_on(world->host, "http.call", NULL, 1, RC_DENIED);
    assert_int_equal(sdrs_pubsub_look(&google, TOPIC, &err), RC_DENIED);
    assert_null(strstr(err.cause, "roles/"));
}

/* ---- the outbox ------------------------------------------------------------------------------ */

static const char *const by_topic[] = { "pubsub.topic=" TOPIC, NULL };
static const char *const by_webhook[] = { "webhook_url=https://hook.example/in",
                                          "webhook_token=hunter2", NULL };
static const char *const by_nobody[] = { NULL };

static void add_events(struct google_world *world, int count)
{
    for (int i = 0; i < count; i++) {
        struct rc_error err = RC_ERROR_INIT;
        RC_STR_AUTO directory = rc_strf("gs://events/d/%d/", i);
        const struct sdrs_event event = { .kind = SDRS_EVENT_DELETED,
                                          .batch = "b",
                                          .project = "p",
                                          .bucket = "events",
                                          .directory = directory,
                                          .trigger = "t",
                                          .at_unix_ms = world->job->now_unix_ms };

        expect_ok(sdrs_outbox_add(&world->state, &event, &err));
    }
}

static int64_t waiting(struct google_world *world)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t count;

    expect_ok(sdrs_outbox_waiting(&world->state, &count, &err));
    return count;
}

static void deliver(struct google_world *world)
{
    sdrs_deliver(world->job, &world->config, &world->state);
}

/* How many messages a request had. */
static size_t published(struct google_world *world, size_t request)
{
    SDRS_JSON_AUTO body = google_asked_body(world, request);

    return json_array_size(json_object_get(body, "messages"));
}

static void answer_published(struct google_world *world, size_t count)
{
    SDRS_JSON_AUTO reply = json_object();
    json_t *ids = json_array();
    RC_STR_AUTO text = NULL;

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(ids, json_string("1"));
    (void)json_object_set_new(reply, "messageIds", ids);
    text = json_dumps(reply, 0);
    google_answer(world, PUBLISH, 1, 200, text);
}

static void test_many_in_few_requests(void **state)
{
    struct google_world *world = *state;

    google_configure(world, by_topic);
    add_events(world, 230);
    answer_published(world, 100);
    answer_published(world, 100);
    answer_published(world, 30);
    deliver(world);
    assert_int_equal(google_asked(world), 3);
    assert_int_equal(published(world, 2), 30);
    assert_int_equal(waiting(world), 0);
    assert_int_equal(rc_fake_host_counter(world->host, "notifications_delivered"), 230);
    deliver(world);
    assert_int_equal(google_asked(world), 3);
}

static void test_nobody_is_told(void **state)
{
    struct google_world *world = *state;

    google_configure(world, by_nobody);
    add_events(world, 1);
    deliver(world);
    assert_int_equal(google_asked(world), 0);
    assert_int_equal(waiting(world), 1);
}

/* It is not asked again and again, and they are delivered once it is there. */
static void test_a_topic_that_is_away(void **state)
{
    struct google_world *world = *state;

    google_configure(world, by_topic);
    add_events(world, 150);
    google_refuse(world, NULL, 1, 404, "NOT_FOUND", "No topic.");
    deliver(world);
    assert_int_equal(google_asked(world), 1);
    assert_int_equal(waiting(world), 150);
    expect_in(rc_fake_host_log(world->host),
              "warn: 150 notifications wait to be delivered: reach the topic '" TOPIC "': Pub/Sub "
              "answered with the status 404 NOT_FOUND: No topic.; make the topic, or correct "
              "'pubsub.topic'");
    world->job->now_unix_ms += 2 * 3600 * 1000;
    google_next_run(world);
    answer_published(world, 100);
    answer_published(world, 50);
    deliver(world);
    assert_int_equal(waiting(world), 0);
}

/* One that is refused for itself keeps no other. */
static void test_one_that_is_refused(void **state)
{
    struct google_world *world = *state;

    google_configure(world, by_topic);
    add_events(world, 3);
    google_refuse(world, NULL, 1, 400, "INVALID_ARGUMENT", "One is no good.");
    answer_published(world, 1);
    google_refuse(world, NULL, 1, 400, "INVALID_ARGUMENT", "This one.");
    answer_published(world, 1);
    deliver(world);
    assert_int_equal(google_asked(world), 4);
    assert_int_equal(waiting(world), 1);
    expect_in(rc_fake_host_log(world->host), "This one.");
}

static void test_a_webhook(void **state)
{
    struct google_world *world = *state;
    struct rc_fake_http_request one, other;

    google_configure(world, by_webhook);
    add_events(world, 2);
    google_answer(world, NULL, -1, 204, "");
    deliver(world);
    assert_int_equal(google_asked(world), 2);
    one = rc_fake_host_http_request(world->host, 0);
    other = rc_fake_host_http_request(world->host, 1);
    assert_string_equal(one.url, "https://hook.example/in");
    assert_string_equal(one.method, "POST");
    expect_in(one.headers, "Authorization: Bearer hunter2\n");
    expect_in(one.headers, "Content-Type: application/json\n");
    expect_in(one.headers, "Idempotency-Key: ");
    assert_string_not_equal(one.headers, other.headers);
    assert_int_equal(one.flags, RC_HTTP_SAFE_TO_REPEAT | RC_HTTP_SECRET_URL);
    assert_int_equal(one.auth, RC_HTTP_AUTH_ANY);
    expect_in(one.body, "gs://events/d/0/");
    assert_int_equal(waiting(world), 0);
}

static void test_what_a_webhook_answers(void **state)
{
    static const struct {
        unsigned status;
        size_t asked; /* how many of three it was asked to take */
    } cases[] = { { 200, 3 }, { 202, 3 }, { 301, 1 }, { 400, 3 }, { 401, 1 },
                  { 404, 1 }, { 413, 3 }, { 422, 3 }, { 429, 1 }, { 500, 1 } };
    struct google_world *world = *state;

    google_configure(world, by_webhook);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        bool taken = cases[i].status < 300;
        size_t before;

        add_events(world, 3);
        before = google_asked(world);
        google_answer(world, NULL, (int)cases[i].asked, cases[i].status, "");
        deliver(world);
        assert_int_equal(google_asked(world) - before, cases[i].asked);
        assert_int_equal(waiting(world), taken ? 0 : 3);
        /* Away, so that the next case begins anew. */
        world->job->now_unix_ms += 2 * 3600 * 1000;
        assert_null(strstr(rc_fake_host_log(world->host), "hunter2"));
        google_next_run(world);
        google_answer(world, NULL, taken ? 0 : 3, 200, "");
        deliver(world);
        assert_int_equal(waiting(world), 0);
    }
}

/* Wherever the process dies, the next one delivers what is left, and each message has one UUID. */
static void test_a_process_that_dies(void **state)
{
    struct google_world *world = *state;
    bool died = true;

    google_configure(world, by_webhook);
    for (int n = 1; died; n++) {
        add_events(world, 3);
        google_answer(world, NULL, 6, 200, "");
        rc_fake_host_die_at(world->host, n, n % 2 == 0);
        deliver(world);
        died = rc_fake_host_is_dead(world->host);
        world->job->now_unix_ms += 2 * 60 * 1000; /* until they are nobody's */
        google_next_run(world);
        deliver(world);
        assert_int_equal(waiting(world), 0);
        assert_true(n < 200);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, google_set_up, google_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_publishing),
        TEST(test_looking),
        TEST(test_a_host_without_credentials),
        TEST(test_many_in_few_requests),
        TEST(test_nobody_is_told),
        TEST(test_a_topic_that_is_away),
        TEST(test_one_that_is_refused),
        TEST(test_a_webhook),
        TEST(test_what_a_webhook_answers),
        TEST(test_a_process_that_dies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
