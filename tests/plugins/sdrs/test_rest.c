/*
 * The REST API on the fake host: each host call of each request fails in turn, and what the client
 * is told then; who may ask; and what Pub/Sub is asked for the status. What the API means is tested
 * over HTTP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

extern const struct rc_plugin *const rc_plugin_descriptor;

static const char *const json_headers[] = { "Content-Type: application/json", NULL };
static const char internal[] = "\"message\":\"Internal server error\"}";
static const char unavailable[] = "\"message\":\"Service unavailable, try again later\"}";

#define RULE(path)                                                                                 \
    "{\"type\":\"DATASET\",\"dataStorageName\":\"gs://events/" path                                \
    "\",\"projectId\":\"p\",\"retentionPeriod\":30}"
#define KEY "?type=DATASET&projectId=p&dataStorageName=gs://events/clicks"
#define POOL "?sourceBucket=events&sourceProject=p"
#define POOL_JOB(name)                                                                             \
    "[{\"name\":\"transferJobs/" name                                                              \
    "\",\"projectId\":\"p\",\"schedule\":\"01:00:00\",\"type\":\"dataset\"}]"

static unsigned ask(struct rc_fake_host *host, const struct rc_fake_request *asked)
{
    struct rc_fake_request request = *asked;
    struct rc_error err = RC_ERROR_INIT;

    request.body_len = request.body ? strlen(request.body) : 0;
    /* It answers by itself, whatever happens. */
    if (rc_fake_host_request(host, rc_plugin_descriptor, &request, &err))
        fail_msg("%s %s: %s: %s", request.method, request.path, err.context, err.cause);
    return rc_fake_host_reply_status(host);
}

static void assert_says(struct rc_fake_host *host, const char *text)
{
    const char *body = rc_fake_host_reply(host, NULL);

    if (!strstr(body, text))
        fail_msg("'%s' does not say '%s'", body, text);
}

/* A bucket with a rule and a pool. */
static struct rc_fake_host *new_host(void)
{
    static const struct rc_fake_request requests[] = {
        { .method = "POST",
          .path = "/retentionrules",
          .headers = json_headers,
          .body = RULE("clicks") },
        { .method = "POST",
          .path = "/stsjobpool" POOL,
          .headers = json_headers,
          .body = POOL_JOB("1") },
    };
    struct rc_fake_host *host = rc_fake_host_new(NULL);
    const struct rc_fake_http_answer found = {
        .status = 200,
        .body = "{\"name\":\"transferJobs/1\",\"projectId\":\"p\",\"status\":\"ENABLED\"}",
    };

    rc_fake_host_bucket(host, "gs://events/")->exists = RC_ANSWER_YES;
    rc_fake_host_answer_http(host, "/transferJobs/", -1, &found);
    for (size_t i = 0; i < RC_ARRAY_LEN(requests); i++)
        if (ask(host, &requests[i]) != 200)
            fail_msg("%s", rc_fake_host_reply(host, NULL));
    return host;
}

/* ---- faults ---------------------------------------------------------------------------------- */

/*
 * What the store answers about a bucket is told to the client, and what the transfer service does
 * is his pool's; nothing of the database is.
 */
static void check_failed(struct rc_fake_host *host, enum rc_code code)
{
    unsigned status = rc_fake_host_reply_status(host);

    if (status == 200)
        return; /* it was tried again, or not needed */
    if (status == 503)
        assert_says(host, unavailable);
    else if (status == 500)
        assert_says(host, internal);
    else if (status != 400 || code == RC_UNAVAILABLE)
        fail_msg("%u: %s", status, rc_fake_host_reply(host, NULL));
    else if (!strstr(rc_fake_host_reply(host, NULL), "Bucket events of project p") &&
             !strstr(rc_fake_host_reply(host, NULL), "Transfer job transferJobs/"))
        fail_msg("%s", rc_fake_host_reply(host, NULL));
}

static void ask_at_every_failure(const struct rc_fake_request *request, enum rc_code code)
{
    int last = INT_MAX;

    for (int n = 0; n <= last; n++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_host();
        int before = rc_fake_host_calls(host);
        unsigned status;

        rc_fake_host_fail_at(host, n, code);
        status = ask(host, request);
        if (n == 0) {
            assert_int_equal(status, 200);
            last = rc_fake_host_calls(host) - before;
        } else {
            check_failed(host, code);
        }
        assert_non_null(strstr(rc_fake_host_reply_headers(host), "correlation-uuid: "));
        assert_int_equal(rc_fake_host_open_handles(host), 0);
    }
    assert_true(last > 0);
}

static void test_a_host_that_fails_is_no_mistake_of_the_client(void **state)
{
    static const enum rc_code codes[] = { RC_UNAVAILABLE, RC_FAILED, RC_DENIED, RC_CORRUPT };
    static const struct rc_fake_request requests[] = {
        { .method = "POST",
          .path = "/retentionrules",
          .headers = json_headers,
          .body = RULE("views") },
        { .method = "GET", .path = "/retentionrules" },
        { .method = "GET", .path = "/retentionrules" KEY },
        { .method = "DELETE", .path = "/retentionrules" KEY },
        { .method = "PUT",
          .path = "/retentionrules/1",
          .headers = json_headers,
          .body = "{\"retentionPeriod\":5}" },
        { .method = "GET", .path = "/retentionrules/1/history" },
        { .method = "POST",
          .path = "/stsjobpool?sourceBucket=other&sourceProject=p",
          .headers = json_headers,
          .body = POOL_JOB("2") },
        { .method = "GET", .path = "/stsjobpool" POOL },
        { .method = "DELETE", .path = "/stsjobpool" POOL },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(requests); i++)
        for (size_t j = 0; j < RC_ARRAY_LEN(codes); j++)
            ask_at_every_failure(&requests[i], codes[j]);
}

static void test_what_fails_is_logged_once(void **state)
{
    const struct rc_fake_request request = {
        .method = "GET",
        .path = "/retentionrules",
        .headers = (const char *const[]){ "correlation-uuid: batch-1", NULL },
    };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_host();
    const char *line;

    (void)state;
    rc_fake_host_fail_on(host, "db.query", NULL, -1, RC_CORRUPT);
    assert_int_equal(ask(host, &request), 500);
    line = strstr(rc_fake_host_log(host), "error: GET /retentionrules: 500");
    assert_non_null(line);
    assert_non_null(strstr(line, "batch=batch-1"));
    assert_null(strstr(line + 1, "error: "));
}

/* ---- who may ask ----------------------------------------------------------------------------- */

static void test_others_are_not_served_without_keys(void **state)
{
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_host();
    struct rc_fake_request request = { .from_elsewhere = true, .method = "GET" };
    int before;

    (void)state;
    for (const struct rc_route *route = rc_plugin_descriptor->routes; route->method; route++) {
        request.method = route->method;
        request.path = route->path;
        before = rc_fake_host_calls(host);
        if (strcmp(route->path, "/status") == 0) {
            assert_int_equal(ask(host, &request), 200);
            continue;
        }
        if (strcmp(route->method, "*") == 0) { /* what is nowhere is no secret */
            request.method = "PATCH";
            request.path = "/nowhere/at/all";
            assert_int_equal(ask(host, &request), 404);
        } else {
            assert_int_equal(ask(host, &request), 403);
            assert_says(host, "jwt_jwks");
            assert_says(host, "jwt_public_key_file");
        }
        assert_int_equal(rc_fake_host_calls(host), before); /* nothing was looked at for them */
    }
}

/* Of the description nothing is kept, and no service is needed. */
static void test_the_description_needs_no_state(void **state)
{
    const struct rc_fake_request request = { .method = "GET", .path = "/openapi.json" };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);

    (void)state;
    assert_int_equal(ask(host, &request), 200);
    for (const struct rc_route *route = rc_plugin_descriptor->routes; route->method; route++)
        if (strcmp(route->method, "*") != 0) /* the rest of the paths */
            assert_says(host, route->summary);
    assert_int_equal(rc_fake_host_calls(host), 0);
}

/* ---- the status ------------------------------------------------------------------------------ */

static void test_pubsub_is_asked_now_and_then(void **state)
{
    const char *const settings[] = { "pubsub.topic=projects/p/topics/t", NULL };
    const struct rc_fake_request request = { .method = "GET",
                                             .path = "/status",
                                             .settings = settings };
    const struct rc_fake_http_answer found = { .status = 200,
                                               .body = "{\"name\":\"projects/p/topics/t\"}" };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);

    (void)state;
    rc_fake_host_answer_http(host, "topics/t", 1, &found);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(host, &request), 200);
        assert_string_equal(rc_fake_host_reply(host, NULL),
                            "Web server is UP\nDatabase is UP\nPubSub is UP\n");
        job->now_unix_ms += 3000;
    }
    assert_int_equal(rc_fake_host_http_requests(host), 1);
    job->now_unix_ms += 3000; /* no answer is left */
    assert_int_equal(ask(host, &request), 200);
    assert_says(host, "PubSub is DOWN\n");
    rc_fake_host_fail_on(host, "db.open", NULL, 1, RC_UNAVAILABLE);
    assert_int_equal(ask(host, &request), 503);
    assert_says(host, "Web server is UP\nDatabase is DOWN\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_host_that_fails_is_no_mistake_of_the_client),
        cmocka_unit_test(test_what_fails_is_logged_once),
        cmocka_unit_test(test_others_are_not_served_without_keys),
        cmocka_unit_test(test_the_description_needs_no_state),
        cmocka_unit_test(test_pubsub_is_asked_now_and_then),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
