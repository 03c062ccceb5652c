/*
 * Google's key files and replies, as text.
 */
#include <cloud/google_key.h>
#include <cloud/google_reply.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

/* ---- key files ------------------------------------------------------------------------------- */

static void says_what_is_wrong_with_a_key_file(void **state)
{
    static const struct {
        const char *text;
        enum rc_code code;
        const char *cause;
    } cases[] = {
        { "", RC_INVALID, "it is no JSON" },
        { "{\n\"private_key\": SECRET", RC_INVALID, "see line 2" },
        { "[]", RC_INVALID, "no JSON object with a text 'type'" },
        { "{\"type\": 5}", RC_INVALID, "no JSON object with a text 'type'" },
        { "{\"type\": \"gdch_service_account\"}", RC_UNSUPPORTED, "'gdch_service_account'" },
        { "{\"type\": \"service_account\"}", RC_INVALID, "no text 'client_email'" },
        { "{\"type\": \"service_account\", \"client_email\": \"a\", \"private_key\": \"\"}",
          RC_INVALID, "no text 'private_key'" },
        { "{\"type\": \"service_account\", \"client_email\": \"a\", \"private_key\": \"b\", "
          "\"token_uri\": \"file:///etc/passwd\"}",
          RC_INVALID, "'token_uri' is no URL" },
        { "{\"type\": \"authorized_user\", \"client_id\": \"a\", \"client_secret\": \"b\"}",
          RC_INVALID, "no text 'refresh_token'" },
        { "{\"type\": \"external_account\", \"audience\": \"a\", \"subject_token_type\": \"b\", "
          "\"credential_source\": {\"environment_id\": \"aws1\", \"url\": \"http://x\"}}",
          RC_UNSUPPORTED, "from a file or a URL only" },
        { "{\"type\": \"external_account\", \"audience\": \"a\", \"subject_token_type\": \"b\", "
          "\"credential_source\": {\"executable\": {\"command\": \"x\"}}}",
          RC_UNSUPPORTED, "from a file or a URL only" },
        { "{\"type\": \"external_account\", \"audience\": \"a\", \"subject_token_type\": \"b\", "
          "\"credential_source\": {\"file\": \"x\", \"format\": {\"type\": \"json\"}}}",
          RC_INVALID, "'subject_token_field_name'" },
        { "{\"type\": \"impersonated_service_account\", \"service_account_impersonation_url\": "
          "\"https://x\"}",
          RC_INVALID, "no 'source_credentials'" },
        { "{\"type\": \"impersonated_service_account\", \"service_account_impersonation_url\": "
          "\"https://x\", \"source_credentials\": {\"type\": \"authorized_user\"}}",
          RC_INVALID, "no text 'client_id'" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        CORE_GOOGLE_KEY_AUTO(key);
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(core_google_key_parse(cases[i].text, strlen(cases[i].text), &key, &err),
                         cases[i].code);
        expect_in(err.cause, cases[i].cause);
        assert_null(strstr(err.cause, "SECRET"));
    }
}

static void takes_a_key_apart(void **state)
{
    static const char text[] =
        "{\"type\": \"external_account\", \"audience\": \"//iam\", \"subject_token_type\": \"jwt\","
        "\"service_account_impersonation_url\": \"https://iam/x:generateAccessToken\","
        "\"credential_source\": {\"url\": \"http://169.254.1.1/t\", \"headers\": {\"Metadata\": "
        "\"True\"}, \"format\": {\"type\": \"json\", \"subject_token_field_name\": \"tok\"}}}";
    CORE_GOOGLE_KEY_AUTO(key);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_google_key_parse(text, strlen(text), &key, &err), RC_OK);
    assert_int_equal(key.kind, CORE_GOOGLE_EXTERNAL_ACCOUNT);
    assert_string_equal(key.token_url, "https://sts.googleapis.com/v1/token");
    assert_string_equal(key.subject.url, "http://169.254.1.1/t");
    assert_null(key.subject.file);
    assert_int_equal(key.subject.header_count, 1);
    assert_string_equal(key.subject.headers[0].name, "Metadata");
    assert_string_equal(key.subject.headers[0].value, "True");
    assert_string_equal(key.subject.field, "tok");
}

static void knows_the_project_of_a_key_file(void **state)
{
    static const struct {
        const char *members, *project;
    } cases[] = {
        { "", NULL },
        { ", \"project_id\": \"mine\"", "mine" },
        { ", \"quota_project_id\": \"pays\"", "pays" },
        { ", \"quota_project_id\": \"pays\", \"project_id\": \"mine\"", "mine" },
        { ", \"project_id\": \"\"", NULL },
        { ", \"project_id\": 5", NULL },
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO text = rc_strf("{\"type\": \"authorized_user\", \"client_id\": \"a\", "
                                   "\"client_secret\": \"b\", \"refresh_token\": \"c\"%s}",
                                   cases[i].members);
        CORE_GOOGLE_KEY_AUTO(key);

        assert_int_equal(core_google_key_parse(text, strlen(text), &key, &err), RC_OK);
        assert_true(rc_str_eq(key.project, cases[i].project));
    }
}

static void follows_no_endless_chain_of_keys(void **state)
{
    RC_BUF_AUTO(text, 1 << 20);
    CORE_GOOGLE_KEY_AUTO(key);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (int i = 0; i < 20; i++)
        rc_buf_adds(&text, "{\"type\": \"impersonated_service_account\", "
                           "\"service_account_impersonation_url\": \"https://x\", "
                           "\"source_credentials\": ");
    rc_buf_adds(&text, "{}");
    for (int i = 0; i < 20; i++)
        rc_buf_addc(&text, '}');
    assert_int_equal(core_google_key_parse(text.data, text.len, &key, &err), RC_INVALID);
    expect_in(err.cause, "through more than");
}

/* ---- failures -------------------------------------------------------------------------------- */

static void reads_failures_in_every_shape(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
        enum rc_code code;
        const char *cause;
    } cases[] = {
        { 404,
          "{\"error\":{\"errors\":[{\"domain\":\"global\",\"reason\":\"notFound\",\"message\":"
          "\"x\"}"
          "],\"code\":404,\"message\":\"No such object: b/k\"}}",
          RC_NOT_FOUND, "HTTP 404 notFound: No such object: b/k" },
        { 403,
          "{\"error\":{\"code\":403,\"message\":\"no\",\"status\":\"PERMISSION_DENIED\","
          "\"details\":"
          "[{\"@type\":\"x\"},{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":"
          "\"SERVICE_DISABLED\"}]}}",
          RC_DENIED, "HTTP 403 SERVICE_DISABLED: no" },
        { 400, "{\"error\":{\"code\":400,\"message\":\"no\",\"status\":\"INVALID_ARGUMENT\"}}",
          RC_INVALID, "HTTP 400 INVALID_ARGUMENT: no" },
        { 400, "{\"error\":\"invalid_grant\",\"error_description\":\"Bad Request\"}", RC_INVALID,
          "HTTP 400 invalid_grant: Bad Request" },
        { 400, "{\"error\":\"invalid_grant\"}", RC_INVALID, "HTTP 400 invalid_grant" },
        { 412, "\n  Precondition\x01 failed\nand more", RC_CONFLICT, "HTTP 412: Precondition" },
        { 503, "", RC_UNAVAILABLE, "HTTP 503" },
        { 429, "{\"error\":{}}", RC_UNAVAILABLE, "HTTP 429" },
        { 501, "{}", RC_UNSUPPORTED, "HTTP 501" },
        { 418, "{\"error\":[]}", RC_FAILED, "HTTP 418" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(core_google_fail_with(cases[i].status, cases[i].body,
                                               strlen(cases[i].body), "id-1", &err),
                         cases[i].code);
        expect_in(err.cause, cases[i].cause);
        expect_in(err.cause, " (request id-1)");
        assert_null(strpbrk(err.cause, "\x01\n"));
    }
}

static void tells_what_may_pass(void **state)
{
    static const char busy[] = "{\"error\":{\"errors\":[{\"reason\":\"userRateLimitExceeded\"}]}}";
    static const char denied[] = "{\"error\":{\"errors\":[{\"reason\":\"forbidden\"}]}}";

    (void)state;
    assert_int_equal(core_google_judge(200, "", 0), CORE_HTTP_ACCEPT);
    assert_int_equal(core_google_judge(404, "", 0), CORE_HTTP_ACCEPT);
    assert_int_equal(core_google_judge(408, "", 0), CORE_HTTP_AGAIN);
    assert_int_equal(core_google_judge(429, "", 0), CORE_HTTP_SLOWER);
    assert_int_equal(core_google_judge(500, "", 0), CORE_HTTP_AGAIN);
    assert_int_equal(core_google_judge(501, "", 0), CORE_HTTP_ACCEPT);
    assert_int_equal(core_google_judge(503, "", 0), CORE_HTTP_AGAIN);
    assert_int_equal(core_google_judge(403, busy, strlen(busy)), CORE_HTTP_SLOWER);
    assert_int_equal(core_google_judge(403, denied, strlen(denied)), CORE_HTTP_ACCEPT);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void reads_tokens_of_all_servers(void **state)
{
    static const struct {
        const char *body;
        int64_t expires_unix_ms; /* -1: no token */
    } cases[] = {
        { "{\"access_token\":\"t\",\"expires_in\":3599,\"token_type\":\"Bearer\"}",
          3599000 + 5000 },
        { "{\"access_token\":\"t\",\"expires_in\":\"60\"}", 65000 },
        { "{\"access_token\":\"t\"}", 3605000 },
        { "{\"access_token\":\"t\",\"expires_in\":-1}", 3605000 },
        { "{\"accessToken\":\"t\",\"expireTime\":\"1970-01-01T00:10:00Z\"}", 600000 },
        { "{\"accessToken\":\"t\",\"expireTime\":\"soon\"}", -1 },
        { "{\"access_token\":\"t t\"}", -1 },
        { "{\"access_token\":\"\"}", -1 },
        { "{\"access_token\":[]}", -1 },
        { "{\"id_token\":\"t\"}", -1 },
        { "<html>", -1 },
        { "", -1 },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        CORE_GOOGLE_TOKEN_AUTO(token);
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code =
            core_google_token_parse(cases[i].body, strlen(cases[i].body), 5000, &token, &err);

        assert_int_equal(code, cases[i].expires_unix_ms < 0 ? RC_CORRUPT : RC_OK);
        if (code)
            continue;
        assert_string_equal(token.text, "t");
        assert_int_equal(token.expires_unix_ms, cases[i].expires_unix_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_wrong_with_a_key_file),
        cmocka_unit_test(takes_a_key_apart),
        cmocka_unit_test(knows_the_project_of_a_key_file),
        cmocka_unit_test(follows_no_endless_chain_of_keys),
        cmocka_unit_test(reads_failures_in_every_shape),
        cmocka_unit_test(tells_what_may_pass),
        cmocka_unit_test(reads_tokens_of_all_servers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
