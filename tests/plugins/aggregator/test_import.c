/*
 * The hand-off to Airlock: what is asked for, what its answers lead to, and that each failure is
 * healed by a later run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <stdlib.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define SESSION "POST https://airlock.example/api/admin/authentication/startSessionFromKey"
#define IMPORTS "https://airlock.example/api/admin/airlytics/products/prod%20uct/dataimport"
#define MARKER "s3://out/1d/_IMPORT_2026-01-14"

#define COMMON                                                                                     \
    "sourceEventsTable=s3://lake/events/", "targetS3Bucket=out", "dailyAggregationsS3Path=1d",     \
        "historyStartDay=2026-01-14", "checkDataForLastDay=false",                                 \
        "secondaryAggregations[0].aggregationWindowDays=7",                                        \
        "secondaryAggregations[0].targetFolder=7d",                                                \
        "secondaryAggregations[1].aggregationWindowDays=36500",                                    \
        "secondaryAggregations[1].targetFolder=total", "csvOutputBucket=csv",                      \
        "csvOutputFolder=/ads/", "csvTablePrefix=ads", "aggregation=LTV", "product=HelloWorld",    \
        "environment=PROD", "airlockApiBaseUrl=https://airlock.example/api/",                      \
        "airlockProductId=prod uct", "importTargetTable=ads"

static const struct rc_plugin *aggregator;
static const char *const open_settings[] = { COMMON, NULL };
static const char *const settings[] = { COMMON, "airlock_key=the-key", "airlock_password=the\"word",
                                        "devUsers=true", NULL };

static int load(void **state)
{
    (void)state;
    struct rc_error err;
    RC_STR_AUTO path = rc_strf("%s/plugins/aggregator.so", getenv("RUN_CORE_BUILD"));

    if (rc_fake_host_load(path, &aggregator, &err)) {
        print_error("%s\n", err.cause);
        return -1;
    }
    return 0;
}

static void answer(struct rc_fake_host *host, const char *text, int times, unsigned status,
                   const char *body)
{
    rc_fake_host_answer_http(host, text, times,
                             &(struct rc_fake_http_answer){ .status = status, .body = body });
}

static void prepare(struct rc_fake_host *host, void *context)
{
    (void)context;
    answer(host, SESSION, -1, 200, "to.ke.n\n");
    answer(host, "POST " IMPORTS, -1, 200, "{\"uniqueId\":\"1\"}");
    answer(host, "GET " IMPORTS, -1, 200, "{\"jobs\":[]}");
}

static enum rc_code run(struct rc_fake_host *host, struct rc_error *err)
{
    return rc_fake_host_run(host, aggregator, NULL, settings, err);
}

static const char *marker(struct rc_fake_host *host)
{
    return rc_fake_host_object(host, MARKER, NULL);
}

/* The requests that were made, "METHOD /last-part " each. */
static void add_requests(const struct rc_fake_host *host, struct rc_buf *out)
{
    rc_buf_reset(out);
    for (size_t i = 0; i < rc_fake_host_http_requests(host); i++) {
        struct rc_fake_http_request request = rc_fake_host_http_request(host, i);

        rc_buf_addf(out, "%s %s ", request.method, strrchr(request.url, '/'));
    }
}

static void test_what_is_asked_for(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    prepare(host, NULL);
    assert_int_equal(run(host, &err), RC_OK);
    assert_int_equal(rc_fake_host_http_requests(host), 2);
    struct rc_fake_http_request request = rc_fake_host_http_request(host, 0);
    assert_string_equal(request.body, "{\"key\":\"the-key\",\"keyPassword\":\"the\\\"word\"}");
    assert_true(request.flags & RC_HTTP_SAFE_TO_REPEAT);

    request = rc_fake_host_http_request(host, 1);
    assert_string_equal(request.url, IMPORTS);
    assert_non_null(strstr(request.headers, "sessionToken: to.ke.n\n"));
    assert_non_null(strstr(request.headers, "Idempotency-Key: "));
    assert_non_null(strstr(request.body, "\"name\":\"LTV HelloWorld PROD 20260114\","
                                         "\"creator\":\"LTV Aggregator\",\"description\":\""));
    assert_non_null(
        strstr(request.body,
               "\"s3File\":\"s3://csv/ads/ads_20260114/ads_20260114.csv.gz\","
               "\"targetTable\":\"ads\",\"devUsers\":true,\"overwrite\":true,"
               "\"affectedColumns\":[\"shard\",\"revenue_d1\",\"cnt_d1\",\"revenue_d7\",\"cnt_d7\","
               "\"revenue_total\",\"cnt_total\"]}"));
    assert_null(strstr(rc_fake_host_log(host), "to.ke.n"));

    assert_int_equal(run(host, &err), RC_OK);
    assert_int_equal(rc_fake_host_http_requests(host), 2);
    assert_non_null(strstr(marker(host), "\"step\": \"import\""));
}

static void test_no_key_no_session(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    prepare(host, NULL);
    assert_int_equal(rc_fake_host_run(host, aggregator, NULL, open_settings, &err), RC_OK);
    assert_int_equal(rc_fake_host_http_requests(host), 1);
    struct rc_fake_http_request request = rc_fake_host_http_request(host, 0);
    assert_string_equal(request.url, IMPORTS);
    assert_null(strstr(request.headers, "sessionToken"));
    assert_non_null(strstr(request.body, "\"devUsers\":false"));
}

static void test_a_session_that_is_not_taken_any_more(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(requests, 4096);

    answer(host, SESSION, 1, 200, "old");
    answer(host, "POST " IMPORTS, 1, 400, "{\"error\":\"session\"}");
    prepare(host, NULL);
    assert_int_equal(run(host, &err), RC_OK);
    add_requests(host, &requests);
    assert_string_equal(requests.data, "POST /startSessionFromKey POST /dataimport "
                                       "POST /startSessionFromKey POST /dataimport ");
    assert_non_null(strstr(rc_fake_host_http_request(host, 3).headers, "sessionToken: to.ke.n\n"));
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
        enum rc_code code;
        const char *said;
    } cases[] = {
        { "POST " IMPORTS, 400, RC_FAILED, "Airlock refuses it with status 400: no column 'x'" },
        { "POST " IMPORTS, 403, RC_DENIED, "Airlock denies it with status 403" },
        { "POST " IMPORTS, 404, RC_NOT_FOUND, "check airlockProductId" },
        { "POST " IMPORTS, 503, RC_UNAVAILABLE, "status 503" },
        { SESSION, 400, RC_FAILED, "Airlock refuses it with status 400: no column 'x'" },
        { SESSION, 204, RC_FAILED, "status 204" },
        { SESSION, 200, RC_FAILED, "not a session token" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        answer(host, cases[i].text, -1, cases[i].status, "{\"error\": \"no column 'x'\"}");
        prepare(host, NULL);
        assert_int_equal(run(host, &err), cases[i].code);
        assert_non_null(strstr(err.cause, cases[i].said));
        assert_non_null(strstr(err.context, "a later run does only it"));
        assert_non_null(strstr(err.context, "'s3://csv/ads/ads_20260114/ads_20260114.csv.gz'"));
        assert_non_null(strstr(marker(host), "import begun"));
        assert_int_equal(rc_fake_host_counter(host, "steps"), 4);
    }
}

static void test_the_servers_words_do_not_give_the_token_away(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    answer(host, "POST " IMPORTS, -1, 400, "bad token to.ke.n");
    prepare(host, NULL);
    assert_int_equal(run(host, &err), RC_FAILED);
    assert_null(strstr(err.cause, "to.ke.n"));
}

/* Nobody knows whether a request has arrived whose answer was lost: the list tells. */
static void test_a_request_that_had_arrived_is_not_made_again(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(requests, 4096);

    rc_fake_host_fail_on(host, "http.call", "POST " IMPORTS, 1, RC_TIMEOUT);
    answer(host, SESSION, -1, 200, "to.ke.n");
    assert_int_equal(run(host, &err), RC_TIMEOUT);
    size_t statements = rc_fake_host_statements(host);

    const char *inputs = strstr(marker(host), "\"inputs\": \"");
    assert_non_null(inputs);
    RC_STR_AUTO key = rc_strndup(inputs + strlen("\"inputs\": \""), 16);
    RC_STR_AUTO list =
        rc_strf("{\"jobs\":[{\"name\":\"x\"},{\"description\":\"run-core %s\"}]}", key);
    answer(host, "GET " IMPORTS, -1, 200, list);
    assert_int_equal(run(host, &err), RC_OK);
    add_requests(host, &requests);
    assert_string_equal(requests.data,
                        "POST /startSessionFromKey POST /startSessionFromKey GET /dataimport ");
    assert_int_equal(rc_fake_host_statements(host), statements);
    assert_non_null(strstr(rc_fake_host_log(host), "had reached Airlock already"));
    assert_non_null(strstr(marker(host), "\"step\": \"import\""));
}

static void test_a_server_without_a_list(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_fail_on(host, "http.call", "POST " IMPORTS, 1, RC_UNAVAILABLE);
    answer(host, "GET " IMPORTS, -1, 405, "");
    prepare(host, NULL);
    assert_int_equal(run(host, &err), RC_UNAVAILABLE);
    assert_int_equal(run(host, &err), RC_OK);
    assert_non_null(strstr(marker(host), "\"step\": \"import\""));
}

static void test_every_host_call_may_fail(void **state)
{
    (void)state;
    struct rc_error err = RC_ERROR_INIT;
    int calls = 0;

    if (rc_fake_host_torture(aggregator, NULL, settings, prepare, NULL, &calls, &err)) {
        print_error("%s: %s\n", err.context, err.cause);
        fail();
    }
    assert_true(calls > 30);
}

static void test_the_next_run_heals_every_failure(void **state)
{
    (void)state;
    bool failed = true;

    for (int n = 1; failed; n++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        prepare(host, NULL);
        rc_fake_host_fail_at(host, n, RC_UNAVAILABLE);
        failed = run(host, &err) != RC_OK;
        rc_fake_host_fail_at(host, 0, RC_UNAVAILABLE);
        assert_int_equal(run(host, &err), RC_OK);
        assert_non_null(strstr(marker(host), "\"step\": \"import\""));
    }
}

static void test_a_dry_run_asks_nobody(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_job(host)->dry_run = true;
    assert_int_equal(run(host, &err), RC_OK);
    assert_int_equal(rc_fake_host_http_requests(host), 0);
    assert_non_null(strstr(rc_fake_host_said(host), "would do import: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_asked_for),
        cmocka_unit_test(test_no_key_no_session),
        cmocka_unit_test(test_a_session_that_is_not_taken_any_more),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_the_servers_words_do_not_give_the_token_away),
        cmocka_unit_test(test_a_request_that_had_arrived_is_not_made_again),
        cmocka_unit_test(test_a_server_without_a_list),
        cmocka_unit_test(test_every_host_call_may_fail),
        cmocka_unit_test(test_the_next_run_heals_every_failure),
        cmocka_unit_test(test_a_dry_run_asks_nobody),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
