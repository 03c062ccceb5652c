/*
 * Requests to Google's services: what is sent, and what each answer means.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "google_world.h"

#include <run-core/str.h>

#include <string.h>

static const struct sdrs_google service = {
    .endpoint = "https://service.example/",
    .credentials = "gs://lake",
    .name = "The Service",
};

static enum rc_code call(struct google_world *world, const char *method, json_t *body,
                         bool repeatable, json_t **reply, struct rc_error *err)
{
    struct sdrs_google google = service;

    google.job = world->job;
    return sdrs_google_call(&google, method, "v1/things?a=b%2Fc", body, repeatable, reply, err);
}

static void test_what_is_sent(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    SDRS_JSON_AUTO body = json_pack("{s:s}", "name", "caf\xC3\xA9");
    json_t *reply = NULL;
    struct rc_fake_http_request request;

    google_answer(world, NULL, -1, 200, "{\"a\": 1}");
    expect_ok(call(world, "POST", body, true, &reply, &err));
    expect_json(reply, "{\"a\": 1}");
    request = rc_fake_host_http_request(world->host, 0);
    assert_string_equal(request.method, "POST");
    assert_string_equal(request.url, "https://service.example/v1/things?a=b%2Fc");
    assert_string_equal(request.body, "{\"name\":\"caf\xC3\xA9\"}");
    assert_int_equal(request.auth, RC_HTTP_AUTH_GOOGLE);
    assert_string_equal(request.credentials, "gs://lake");
    assert_int_equal(request.flags, RC_HTTP_SAFE_TO_REPEAT);
    expect_in(request.headers, "Content-Type: application/json; charset=UTF-8\n");
    expect_in(request.headers, "Accept: application/json\n");

    expect_ok(call(world, "GET", NULL, false, &reply, &err));
    json_decref(reply);
    request = rc_fake_host_http_request(world->host, 1);
    assert_int_equal(request.body_len, 0);
    assert_int_equal(request.flags, 0);
    assert_null(strstr(request.headers, "Content-Type"));
}

/* What is no UTF-8 has no place in JSON, and jansson makes nothing of it. */
static void test_a_body_that_cannot_be_made(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    SDRS_JSON_AUTO body = json_pack("{s:s}", "name", "caf\xE9");
    json_t *reply;

    assert_null(body);
    assert_int_equal(call(world, "POST", body, true, &reply, &err), RC_INVALID);
    expect_in(err.cause, "UTF-8");
    assert_int_equal(google_asked(world), 0);
}

static void test_refusals(void **state)
{
    static const struct {
        unsigned status;
        const char *word;
        enum rc_code code;
    } cases[] = {
        { 400, "INVALID_ARGUMENT", RC_INVALID },
        { 400, "FAILED_PRECONDITION", RC_FAILED },
        { 400, "OUT_OF_RANGE", RC_INVALID },
        { 400, "", RC_INVALID },
        { 401, "UNAUTHENTICATED", RC_DENIED },
        { 401, "", RC_DENIED },
        { 403, "PERMISSION_DENIED", RC_DENIED },
        { 403, "", RC_DENIED },
        { 404, "NOT_FOUND", RC_NOT_FOUND },
        { 404, "", RC_NOT_FOUND },
        { 409, "ALREADY_EXISTS", RC_CONFLICT },
        { 409, "ABORTED", RC_UNAVAILABLE },
        { 409, "", RC_CONFLICT },
        { 413, "", RC_TOO_LARGE },
        { 408, "", RC_UNAVAILABLE },
        { 418, "", RC_FAILED },
        { 302, "", RC_FAILED },
        { 429, "RESOURCE_EXHAUSTED", RC_UNAVAILABLE },
        { 429, "", RC_UNAVAILABLE },
        { 500, "INTERNAL", RC_UNAVAILABLE },
        { 501, "UNIMPLEMENTED", RC_UNSUPPORTED },
        { 501, "", RC_UNSUPPORTED },
        { 503, "UNAVAILABLE", RC_UNAVAILABLE },
        { 504, "DEADLINE_EXCEEDED", RC_UNAVAILABLE },
        { 500, "A_WORD_OF_TOMORROW", RC_UNAVAILABLE },
    };
    struct google_world *world = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct rc_error err = RC_ERROR_INIT;
        RC_STR_AUTO start = rc_strf("The Service answered with the status %u", cases[i].status);
        json_t *reply;

        google_refuse(world, NULL, 1, cases[i].status, cases[i].word, "because");
        assert_int_equal(call(world, "GET", NULL, true, &reply, &err), cases[i].code);
        assert_null(reply);
        assert_true(rc_str_starts(err.cause, start));
        expect_in(err.cause, cases[i].word);
        assert_true(rc_str_ends(err.cause, ": because"));
    }
}

static void test_a_refusal_that_is_no_json(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    json_t *reply;

    google_answer(world, NULL, 1, 502, "<html>no upstream</html>");
    assert_int_equal(call(world, "GET", NULL, true, &reply, &err), RC_UNAVAILABLE);
    assert_string_equal(err.cause,
                        "The Service answered with the status 502: <html>no upstream</html>");
    google_answer(world, NULL, 1, 403, "{\"error\": \"no object\"}");
    assert_int_equal(call(world, "GET", NULL, true, &reply, &err), RC_DENIED);
    google_answer(world, NULL, 1, 403, "{\"error\": {\"message\": 5, \"status\": []}}");
    assert_int_equal(call(world, "GET", NULL, true, &reply, &err), RC_DENIED);
}

static void test_replies_that_are_none(void **state)
{
    static const char *const bodies[] = {
        " ", "{\"a\":", "[]", "{} {}", "\"text\"", "{\"\xFF\":1}"
    };
    struct google_world *world = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(bodies); i++) {
        struct rc_error err = RC_ERROR_INIT;
        json_t *reply;

        google_answer(world, NULL, 1, 200, bodies[i]);
        assert_int_equal(call(world, "GET", NULL, true, &reply, &err), RC_CORRUPT);
        assert_null(reply);
        expect_in(err.cause, "The Service answered with");
    }
}

static void test_a_dry_run(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    SDRS_JSON_AUTO body = json_object();
    json_t *reply;

    world->job->dry_run = true;
    expect_ok(call(world, "POST", body, true, &reply, &err));
    expect_json(reply, "{}");
    assert_int_equal(google_asked(world), 0);
    assert_int_equal(rc_fake_host_held_back(world->host), 1);
    google_answer(world, NULL, 1, 200, "{\"a\": 1}");
    expect_ok(call(world, "GET", NULL, true, &reply, &err));
    expect_json(reply, "{\"a\": 1}");
    world->job->dry_run = false;
}

static void test_a_server_that_is_away(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    json_t *reply;

    rc_fake_host_fail_on(world->host, "http.call", NULL, 1, RC_TIMEOUT);
    assert_int_equal(call(world, "GET", NULL, true, &reply, &err), RC_TIMEOUT);
    assert_null(reply);
}

static void test_members(void **state)
{
    SDRS_JSON_AUTO object =
        json_loads("{\"text\": \"a\", \"int\": \"9007199254740993\", \"small\": 7,"
                   " \"time\": \"2019-03-10T05:30:00.25Z\", \"null\": null}",
                   0, NULL);

    (void)state;
    assert_string_equal(sdrs_json_text(object, "text"), "a");
    assert_string_equal(sdrs_json_text(object, "small"), "");
    assert_string_equal(sdrs_json_text(object, "null"), "");
    assert_string_equal(sdrs_json_text(NULL, "text"), "");
    assert_int_equal(sdrs_json_int(object, "int"), INT64_C(9007199254740993));
    assert_int_equal(sdrs_json_int(object, "small"), 7);
    assert_int_equal(sdrs_json_int(object, "text"), 0);
    assert_int_equal(sdrs_json_time(object, "time"), INT64_C(1552195800250));
    assert_int_equal(sdrs_json_time(object, "text"), 0);
    assert_int_equal(sdrs_json_time(object, "missing"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, google_set_up, google_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_what_is_sent),
        TEST(test_a_body_that_cannot_be_made),
        TEST(test_refusals),
        TEST(test_a_refusal_that_is_no_json),
        TEST(test_replies_that_are_none),
        TEST(test_a_dry_run),
        TEST(test_a_server_that_is_away),
        cmocka_unit_test(test_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
