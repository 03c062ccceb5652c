/*
 * Google's credentials, of every kind, against a stand-in that checks signatures, grants and
 * headers as Google does.
 */
#include "gcs_fixture.h"

#include <cloud/google_credentials.h>
#include <config/json.h>
#include <config/secrets.h>
#include <os/clock.h>
#include <os/file.h>

#include <run-core/str.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define EMAIL "mover@project-1.iam.gserviceaccount.com"
#define USER                                                                                       \
    "{\"type\":\"authorized_user\",\"client_id\":\"client-1.apps.googleusercontent.com\","         \
    "\"client_secret\":\"client secret/1\",\"refresh_token\":\"%s\",\"token_uri\":\"%s/token\"}"

static char folder[] = "/tmp/run-core-credentials.XXXXXX";
static const char *endpoint, *service_account;
static struct core_http_client *http;

static char *file_of(const char *name)
{
    return rc_strf("%s/%s", folder, name);
}

static char *write_file(const char *name, const char *format, ...) RC_PRINTF(2, 3);
static char *write_file(const char *name, const char *format, ...)
{
    char *path = file_of(name);
    RC_BUF_AUTO(text, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;
    va_list arguments;

    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    expect_ok(core_file_write(path, text.data, text.len, 0600, &err));
    return path;
}

static char *read_service_account(void)
{
    RC_BUF_AUTO(text, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_file_read(service_account, &text, &err));
    return rc_buf_take(&text);
}

static int set_up(void **state)
{
    const struct core_http_client_settings quick = { .backoff_ms = 5, .max_backoff_ms = 50 };

    (void)state;
    endpoint = getenv("RUN_CORE_TEST_GCS_ENDPOINT");
    service_account = getenv("RUN_CORE_TEST_GCS_CREDENTIALS");
    if (!endpoint || !service_account) {
        print_message("run this with tests/support/with-gcs\n");
        exit(77);
    }
    if (!mkdtemp(folder))
        return -1;
    http = core_http_client_new(&quick);
    return 0;
}

static int tear_down(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    core_http_client_free(http);
    return core_tree_remove(folder, &err) ? -1 : 0;
}

/* An environment without any credentials. */
static int clean(void **state)
{
    (void)state;
    (void)unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
    (void)unsetenv("GCE_METADATA_HOST");
    (void)unsetenv("KUBERNETES_SERVICE_HOST");
    (void)setenv("NO_GCE_CHECK", "true", 1);
    (void)setenv("CLOUDSDK_CONFIG", folder, 1);
    gcs_control("{\"clear\": true, \"settings\": {\"token_lifetime_s\": 3599}}");
    return 0;
}

static struct core_google_credentials *by_file(const char *path)
{
    return core_google_credentials_new(
        &(const struct core_google_credentials_settings){ .file = path, .http = http });
}

/* Asks the stand-in whether it takes the header. */
static bool is_taken(const char *authorization)
{
    RC_STR_AUTO url = rc_strf("%s/storage/v1/b/run-core-test", endpoint);
    const struct core_http_header header = { "Authorization", authorization };
    struct core_http_answer answer;
    struct rc_error err = RC_ERROR_INIT;
    unsigned status;

    core_http_answer_init(&answer, 1 << 20);
    expect_ok(core_http_call(
        &(const struct core_http_call){
            .name = "a look at the bucket",
            .url = url,
            .headers = &header,
            .header_count = 1,
        },
        &answer, &err));
    status = answer.status;
    core_http_answer_clear(&answer);
    return status == 200;
}

static void expect_good(struct core_google_credentials *credentials)
{
    RC_BUF_AUTO(header, 10000);
    RC_BUF_AUTO(again, 10000);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_google_credentials_get(credentials, NULL, &header, &err));
    assert_true(is_taken(header.data));
    /* It is kept. */
    expect_ok(core_google_credentials_get(credentials, NULL, &again, &err));
    assert_string_equal(header.data, again.data);
    core_google_credentials_free(credentials);

    /* And never shown. */
    RC_STR_AUTO shown = rc_strf("said %s.", header.data);
    core_secret_mask(shown);
    assert_string_equal(shown, "said Bearer " CORE_SECRET_MASK ".");
}

static enum rc_code fail_to_get(struct core_google_credentials *credentials, struct rc_error *err)
{
    RC_BUF_AUTO(header, 10000);
    enum rc_code code = core_google_credentials_get(credentials, NULL, &header, err);

    assert_int_equal(header.len, 0);
    core_google_credentials_free(credentials);
    return code;
}

static void expect_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

/* ---- where they come from -------------------------------------------------------------------- */

static void takes_a_given_token(void **state)
{
    struct core_google_credentials *credentials = core_google_credentials_new(
        &(const struct core_google_credentials_settings){ .access_token = "given-token" });
    RC_BUF_AUTO(header, 100);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(core_google_credentials_get(credentials, NULL, &header, &err));
    assert_string_equal(header.data, "Bearer given-token");
    assert_false(core_google_credentials_refuse(credentials, header.data));
    core_google_credentials_free(credentials);
}

static void says_nothing_where_anonymous(void **state)
{
    struct core_google_credentials *credentials = core_google_credentials_new(
        &(const struct core_google_credentials_settings){ .anonymous = true });
    RC_BUF_AUTO(header, 100);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    (void)setenv("GOOGLE_APPLICATION_CREDENTIALS", service_account, 1);
    expect_ok(core_google_credentials_get(credentials, NULL, &header, &err));
    assert_int_equal(header.len, 0);
    assert_false(core_google_credentials_refuse(credentials, ""));
    core_google_credentials_free(credentials);
}

static void signs_for_a_service_account(void **state)
{
    (void)state;
    expect_good(by_file(service_account));
    assert_int_equal(gcs_calls("POST", "/token"), 1);
}

static void finds_the_file_of_the_environment(void **state)
{
    (void)state;
    (void)setenv("GOOGLE_APPLICATION_CREDENTIALS", service_account, 1);
    expect_good(by_file(NULL));
}

static void finds_the_file_of_gcloud(void **state)
{
    RC_STR_AUTO path =
        write_file("application_default_credentials.json", USER, "1//refresh-token", endpoint);

    (void)state;
    expect_good(by_file(NULL));
    (void)unlink(path);
}

static void asks_the_metadata_server(void **state)
{
    (void)state;
    (void)unsetenv("NO_GCE_CHECK");
    (void)setenv("GCE_METADATA_HOST", strstr(endpoint, "://") + 3, 1);
    /* Which is next door: no proxy is asked, be it there or not. */
    (void)setenv("http_proxy", "http://127.0.0.1:9", 1);
    struct core_google_credentials *credentials = by_file(NULL);
    RC_BUF_AUTO(header, 10000);
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = core_google_credentials_get(credentials, NULL, &header, &err);
    (void)unsetenv("http_proxy");
    expect_ok(code);
    expect_good(credentials);
    assert_int_equal(gcs_calls("GET", "/computeMetadata/v1/"), 1);
}

static void takes_no_token_of_who_is_no_metadata_server(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    (void)unsetenv("NO_GCE_CHECK");
    (void)setenv("GCE_METADATA_HOST", strstr(endpoint, "://") + 3, 1);
    gcs_control("{\"rules\": [{\"target\": \"/computeMetadata/\", \"status\": 200, "
                "\"body\": \"{\\\"access_token\\\": \\\"x\\\"}\"}]}");
    assert_int_equal(fail_to_get(by_file(NULL), &err), RC_NOT_FOUND);
    expect_in(err.cause, "no metadata server of Google");
}

static void tells_all_places_where_there_was_nothing(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(fail_to_get(by_file(NULL), &err), RC_NOT_FOUND);
    expect_in(err.cause, "service_account_file");
    expect_in(err.cause, "GOOGLE_APPLICATION_CREDENTIALS");
    expect_in(err.cause, "application_default_credentials.json");
    expect_in(err.cause, "metadata server");
    expect_in(err.cause, "anonymous: true");
}

static void exchanges_the_token_of_an_external_account(void **state)
{
    static const char account[] =
        "{\"type\":\"external_account\",\"audience\":\"//iam.googleapis.com/projects/1/locations/"
        "global/workloadIdentityPools/pool/providers/provider\",\"subject_token_type\":"
        "\"urn:ietf:params:oauth:token-type:jwt\",\"token_url\":\"%s/v1/token\",%s"
        "\"credential_source\":{\"file\":\"%s\"%s}}";
    RC_STR_AUTO impersonation = rc_strf("\"service_account_impersonation_url\":\"%s/v1/projects/-/"
                                        "serviceAccounts/" EMAIL ":generateAccessToken\",",
                                        endpoint);
    RC_STR_AUTO text = write_file("subject", "header.claims.signature\n");
    RC_STR_AUTO json = write_file("subject.json", "{\"id\": \"header.claims.signature\"}");
    RC_STR_AUTO plain = write_file("plain", account, endpoint, "", text, "");
    RC_STR_AUTO by_field =
        write_file("by_field", account, endpoint, impersonation, json,
                   ",\"format\":{\"type\":\"json\",\"subject_token_field_name\":\"id\"}");
    RC_STR_AUTO no_field =
        write_file("no_field", account, endpoint, "", json,
                   ",\"format\":{\"type\":\"json\",\"subject_token_field_name\":\"token\"}");
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_good(by_file(plain));
    expect_good(by_file(by_field));
    assert_int_equal(fail_to_get(by_file(no_field), &err), RC_CORRUPT);
    expect_in(err.cause, "has no token in its field token");
}

static void impersonates(void **state)
{
    RC_STR_AUTO source = read_service_account();
    RC_STR_AUTO path = write_file(
        "impersonated",
        "{\"type\":\"impersonated_service_account\",\"source_credentials\":%s,\"delegates\":[],"
        "\"service_account_impersonation_url\":\"%s/v1/projects/-/serviceAccounts/" EMAIL
        ":generateAccessToken\"}",
        source, endpoint);

    (void)state;
    expect_good(by_file(path));
    assert_int_equal(gcs_calls("POST", ":generateAccessToken"), 1);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void tells_what_a_token_server_refuses(void **state)
{
    RC_STR_AUTO path = write_file("revoked", USER, "1//another", endpoint);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(fail_to_get(by_file(path), &err), RC_DENIED);
    expect_in(err.cause, "invalid_grant: Token has been expired or revoked.");
    expect_in(err.context, "gcloud auth application-default login");
    expect_in(err.context, path);
    assert_null(strstr(err.cause, "another"));
}

static void signs_anew_by_the_server_s_clock(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t ahead_s = core_clock_real_unix_ms() / 1000 + 7200;
    struct tm tm;
    time_t at = (time_t)ahead_s;
    char date[64];

    (void)state;
    assert_non_null(gmtime_r(&at, &tm));
    assert_true(strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
    RC_STR_AUTO rules = rc_strf("{\"rules\": [{\"target\": \"^/token\", \"times\": null, "
                                "\"set_headers\": {\"Date\": \"%s\"}}]}",
                                date);
    RC_STR_AUTO refuses = rc_strf("{\"rules\": [{\"target\": \"^/token\", \"status\": 400, "
                                  "\"headers\": {\"Date\": \"%s\"}, \"body\": "
                                  "\"{\\\"error\\\": \\\"invalid_grant\\\"}\"}]}",
                                  date);

    /* It takes what is signed by our clock: there is nothing to mend. */
    gcs_control(rules);
    expect_good(by_file(service_account));
    assert_int_equal(gcs_calls("POST", "/token"), 1);

    /* It refuses that and shows another time; this one then refuses the other time too. */
    gcs_control("{\"clear\": true}");
    gcs_control(refuses);
    gcs_control(rules);
    assert_int_equal(fail_to_get(by_file(service_account), &err), RC_DENIED);
    expect_in(err.context, "this machine's clock is");
    expect_in(err.context, "behind that of the server");
    assert_int_equal(gcs_calls("POST", "/token"), 2);
}

static void waits_out_what_passes(void **state)
{
    (void)state;
    gcs_control("{\"rules\": [{\"target\": \"^/token\", \"status\": 503, \"times\": 2}, "
                "{\"target\": \"^/token\", \"cut_reply_bytes\": 20}]}");
    expect_good(by_file(service_account));
    assert_int_equal(gcs_calls("POST", "/token"), 4);
}

static void takes_no_reply_without_a_token(void **state)
{
    static const char *const bodies[] = { "{}", "nonsense", "[]",
                                          "{\\\"access_token\\\": \\\"\\\"}",
                                          "{\\\"access_token\\\": \\\"a\\\\r\\\\nb: c\\\"}" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(bodies); i++) {
        RC_STR_AUTO rule =
            rc_strf("{\"rules\": [{\"target\": \"^/token\", \"status\": 200, \"body\": \"%s\"}]}",
                    bodies[i]);
        struct rc_error err = RC_ERROR_INIT;

        gcs_control(rule);
        assert_int_equal(fail_to_get(by_file(service_account), &err), RC_CORRUPT);
        expect_in(err.cause, "no access token");
    }
}

/* ---- keeping --------------------------------------------------------------------------------- */

static void fetches_anew_what_was_refused(void **state)
{
    struct core_google_credentials *credentials = by_file(service_account);
    RC_BUF_AUTO(first, 10000);
    RC_BUF_AUTO(second, 10000);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(core_google_credentials_get(credentials, NULL, &first, &err));
    gcs_control("{\"settings\": {\"expire_tokens\": true}}");
    assert_true(core_google_credentials_refuse(credentials, first.data));
    /* Another thread was refused the same, and has nothing to add. */
    expect_ok(core_google_credentials_get(credentials, NULL, &second, &err));
    assert_true(core_google_credentials_refuse(credentials, first.data));
    rc_buf_reset(&first);
    expect_ok(core_google_credentials_get(credentials, NULL, &first, &err));
    assert_string_equal(first.data, second.data);
    assert_true(is_taken(first.data));
    assert_int_equal(gcs_calls("POST", "/token"), 2);
    core_google_credentials_free(credentials);
}

static void renews_what_runs_out(void **state)
{
    struct core_google_credentials *credentials;
    RC_BUF_AUTO(first, 10000);
    RC_BUF_AUTO(second, 10000);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    /* Too short a life to be kept at all. */
    gcs_control("{\"settings\": {\"token_lifetime_s\": 5}}");
    credentials = by_file(service_account);
    expect_ok(core_google_credentials_get(credentials, NULL, &first, &err));
    expect_ok(core_google_credentials_get(credentials, NULL, &second, &err));
    assert_string_not_equal(first.data, second.data);
    core_google_credentials_free(credentials);

    /* Short, but enough: not renewed at every request. */
    gcs_control("{\"clear\": true, \"settings\": {\"token_lifetime_s\": 120}}");
    expect_good(by_file(service_account));
    assert_int_equal(gcs_calls("POST", "/token"), 1);
}

enum { THREADS = 16 };

static void *get_one(void *context)
{
    RC_BUF_AUTO(header, 10000);
    struct rc_error err = RC_ERROR_INIT;

    return core_google_credentials_get(context, NULL, &header, &err) ? rc_strdup(err.cause)
                                                                     : rc_strdup(header.data);
}

/* What all threads got; freed by the caller. */
static char *get_in_threads(struct core_google_credentials *credentials)
{
    pthread_t threads[THREADS];
    void *first = NULL, *result;

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_one, credentials), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        if (first) {
            assert_string_equal(result, first);
            free(result);
        } else {
            first = result;
        }
    }
    return first;
}

static void fetches_once_for_all_threads(void **state)
{
    struct core_google_credentials *credentials = by_file(service_account);

    (void)state;
    gcs_control("{\"rules\": [{\"target\": \"^/token\", \"delay_ms\": 500}]}");
    RC_STR_AUTO header = get_in_threads(credentials);
    assert_true(rc_str_starts(header, "Bearer "));
    assert_int_equal(gcs_calls("POST", "/token"), 1);
    core_google_credentials_free(credentials);
}

static void fails_once_for_all_threads(void **state)
{
    struct core_google_credentials *credentials = by_file(service_account);

    (void)state;
    gcs_control("{\"rules\": [{\"target\": \"^/token\", \"delay_ms\": 1000, \"status\": 403, "
                "\"times\": null, \"body\": \"no\"}]}");
    RC_STR_AUTO cause = get_in_threads(credentials);
    expect_in(cause, "HTTP 403: no");
    assert_true(gcs_calls("POST", "/token") < THREADS);
    core_google_credentials_free(credentials);
}

/* Not one after the other, each as long as it takes to give up. */
static void waits_once_for_a_server_that_is_silent(void **state)
{
    const struct core_http_client_settings impatient = { .attempts = 1, .idle_ms = 1000 };
    struct core_http_client *client = core_http_client_new(&impatient);
    struct core_google_credentials *credentials = core_google_credentials_new(&(
        const struct core_google_credentials_settings){ .file = service_account, .http = client });

    (void)state;
    gcs_control("{\"rules\": [{\"target\": \"^/token\", \"stall_reply_bytes\": 0, "
                "\"times\": null}]}");
    RC_STR_AUTO cause = get_in_threads(credentials);
    expect_in(cause, "nothing was heard for 1s");
    assert_true(gcs_calls("POST", "/token") < THREADS / 2);
    core_google_credentials_free(credentials);
    core_http_client_free(client);
}

static void heeds_a_wish_to_stop(void **state)
{
    struct core_google_credentials *credentials = by_file(service_account);
    struct core_cancel cancel = CORE_CANCEL_INIT;
    RC_BUF_AUTO(header, 10000);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    core_cancel_request(&cancel, RC_CANCELLED);
    assert_int_equal(core_google_credentials_get(credentials, &cancel, &header, &err),
                     RC_CANCELLED);
    /* It was of that thread only. */
    expect_ok(core_google_credentials_get(credentials, NULL, &header, &err));
    core_google_credentials_free(credentials);
}

static void takes_up_a_key_that_was_changed(void **state)
{
    RC_STR_AUTO path = write_file("rotated", USER, "1//another", endpoint);
    struct core_google_credentials *credentials = by_file(path);
    RC_BUF_AUTO(header, 10000);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_google_credentials_get(credentials, NULL, &header, &err), RC_DENIED);
    free(write_file("rotated", USER, "1//refresh-token", endpoint));
    expect_ok(core_google_credentials_get(credentials, NULL, &header, &err));
    core_google_credentials_free(credentials);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(takes_a_given_token, clean),
        cmocka_unit_test_setup(says_nothing_where_anonymous, clean),
        cmocka_unit_test_setup(signs_for_a_service_account, clean),
        cmocka_unit_test_setup(finds_the_file_of_the_environment, clean),
        cmocka_unit_test_setup(finds_the_file_of_gcloud, clean),
        cmocka_unit_test_setup(asks_the_metadata_server, clean),
        cmocka_unit_test_setup(takes_no_token_of_who_is_no_metadata_server, clean),
        cmocka_unit_test_setup(tells_all_places_where_there_was_nothing, clean),
        cmocka_unit_test_setup(exchanges_the_token_of_an_external_account, clean),
        cmocka_unit_test_setup(impersonates, clean),
        cmocka_unit_test_setup(tells_what_a_token_server_refuses, clean),
        cmocka_unit_test_setup(signs_anew_by_the_server_s_clock, clean),
        cmocka_unit_test_setup(waits_out_what_passes, clean),
        cmocka_unit_test_setup(takes_no_reply_without_a_token, clean),
        cmocka_unit_test_setup(fetches_anew_what_was_refused, clean),
        cmocka_unit_test_setup(renews_what_runs_out, clean),
        cmocka_unit_test_setup(fetches_once_for_all_threads, clean),
        cmocka_unit_test_setup(fails_once_for_all_threads, clean),
        cmocka_unit_test_setup(waits_once_for_a_server_that_is_silent, clean),
        cmocka_unit_test_setup(heeds_a_wish_to_stop, clean),
        cmocka_unit_test_setup(takes_up_a_key_that_was_changed, clean),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
