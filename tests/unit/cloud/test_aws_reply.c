/*
 * What those who hand out AWS credentials reply: good, bad and hostile.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <cloud/aws_reply.h>
#include <cloud/aws_source.h>

#include <config/secrets.h>

#include <run-core/str.h>

#include <string.h>

#define STS(inner)                                                                                 \
    "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>"   \
    "<Credentials>" inner "</Credentials></AssumeRoleResult></AssumeRoleResponse>"

enum { XML = -1 };

/* Good replies and the end that they give; INT64_MAX: none. */
static const struct {
    int kind; /* enum core_aws_reply, or XML */
    const char *text;
    int64_t end;
} good[] = {
    { CORE_AWS_REPLY_METADATA,
      "{\"Code\":\"Success\",\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"secret\","
      "\"Token\":\"token\",\"Expiration\":\"2026-01-01T00:00:00Z\"}",
      1767225600000 },
    { CORE_AWS_REPLY_METADATA,
      "{\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"secret\",\"Token\":\"token\",\"Expiration\":"
      "\"2026-01-01T02:00:00+02:00\"}",
      1767225600000 },
    { CORE_AWS_REPLY_PROCESS,
      "{\"Version\": 1, \"AccessKeyId\": \"ID\", \"SecretAccessKey\": \"secret\", "
      "\"SessionToken\": \"token\", \"Expiration\": \"2026-01-01T00:00:00UTC\"}",
      1767225600000 },
    { CORE_AWS_REPLY_PROCESS,
      "{\"Version\":1,\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"secret\","
      "\"SessionToken\":\"token\",\"Expiration\":null}",
      INT64_MAX },
    { CORE_AWS_REPLY_SSO,
      "{\"roleCredentials\":{\"accessKeyId\":\"ID\",\"secretAccessKey\":\"secret\","
      "\"sessionToken\":\"token\",\"expiration\":1767225600000}}",
      1767225600000 },
    { XML,
      STS("<AccessKeyId>ID</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>"
          "<SessionToken>token</SessionToken><Expiration>2026-01-01T00:00:00Z</Expiration>"),
      1767225600000 },
};

static enum rc_code read_reply(int kind, const char *text, struct core_aws_keys *out,
                               struct rc_error *err)
{
    if (kind == XML)
        return core_aws_keys_from_xml(text, strlen(text), out, err);
    return core_aws_keys_from_json((enum core_aws_reply)kind, text, strlen(text), out, err);
}

static void reads_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(good); i++) {
        CORE_AWS_KEYS_AUTO(keys);
        struct rc_error err = RC_ERROR_INIT;

        if (read_reply(good[i].kind, good[i].text, &keys, &err))
            fail_msg("%s: %s", good[i].text, err.cause);
        assert_string_equal(keys.access_key_id, "ID");
        assert_string_equal(keys.secret_access_key, "secret");
        assert_string_equal(keys.session_token, "token");
        assert_true(keys.expires_unix_ms == good[i].end);
    }
}

static void takes_a_process_without_token(void **state)
{
    CORE_AWS_KEYS_AUTO(keys);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(
        read_reply(CORE_AWS_REPLY_PROCESS,
                   "{\"Version\":1,\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"s s\"}", &keys,
                   &err),
        RC_OK);
    assert_null(keys.session_token);
}

/* Each good reply cut anywhere, and with each of its members under another name. */
static void says_what_is_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(good); i++) {
        RC_STR_AUTO text = rc_strdup(good[i].text);

        for (size_t len = 0; len < strlen(good[i].text); len++) {
            RC_STR_AUTO cut = rc_strndup(good[i].text, len);
            CORE_AWS_KEYS_AUTO(keys);
            struct rc_error err = RC_ERROR_INIT;

            assert_int_equal(read_reply(good[i].kind, cut, &keys, &err), RC_CORRUPT);
            assert_null(keys.access_key_id);
        }
        for (char *at = text; (at = strstr(at, good[i].kind == XML ? "><" : "\":")) != NULL; at++) {
            char old = at[-1];
            CORE_AWS_KEYS_AUTO(keys);
            struct rc_error err = RC_ERROR_INIT;

            at[-1] = '_';
            if (read_reply(good[i].kind, text, &keys, &err) != RC_OK)
                assert_int_equal(err.code, RC_CORRUPT);
            else /* what is not looked at, or need not be there */
                assert_string_equal(keys.access_key_id, "ID");
            at[-1] = old;
        }
    }
}

static void refuses_nonsense(void **state)
{
    static const struct {
        int kind;
        const char *text, *says;
    } bad[] = {
        { CORE_AWS_REPLY_METADATA, "[]", "no JSON object" },
        { CORE_AWS_REPLY_METADATA, "{\"AccessKeyId\":{},\"SecretAccessKey\":\"s\"}",
          "no 'AccessKeyId'" },
        { CORE_AWS_REPLY_METADATA,
          "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"may not\"}",
          "no 'AccessKeyId', but says: may not" },
        { CORE_AWS_REPLY_METADATA,
          "{\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"s\",\"Token\":\"\",\"Expiration\":\"2026-"
          "01-01T00:00:00Z\"}",
          "no 'Token'" },
        { CORE_AWS_REPLY_METADATA,
          "{\"AccessKeyId\":\"I\\r\\nD: "
          "x\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\""
          ":\"2026-01-01T00:00:00Z\"}",
          "characters that they cannot have" },
        { CORE_AWS_REPLY_METADATA,
          "{\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":"
          "\"tomorrow\"}",
          "'Expiration' is no point in time" },
        { CORE_AWS_REPLY_PROCESS, "{\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"s\"}",
          "\"Version\": 1" },
        { CORE_AWS_REPLY_PROCESS,
          "{\"Version\":2,\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"s\"}", "\"Version\": 1" },
        { CORE_AWS_REPLY_SSO, "{\"roleCredentials\":[]}", "no 'accessKeyId'" },
        { XML, "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "document type" },
        { XML, STS(""), "no <AccessKeyId>" },
        { XML,
          STS("<AccessKeyId>ID</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>a b"
              "</SessionToken><Expiration>2026-01-01T00:00:00Z</Expiration>"),
          "characters that they cannot have" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++) {
        CORE_AWS_KEYS_AUTO(keys);
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(read_reply(bad[i].kind, bad[i].text, &keys, &err), RC_CORRUPT);
        if (!strstr(err.cause, bad[i].says))
            fail_msg("'%s' does not say '%s'", err.cause, bad[i].says);
        assert_null(keys.access_key_id);
    }
}

static void fail_by(unsigned status, const char *body, const char *header, struct rc_error *err)
{
    struct core_http_answer answer;

    core_http_answer_init(&answer, 10000);
    answer.status = status;
    rc_buf_adds(&answer.body, body);
    if (header) {
        rc_buf_add(&answer.headers, "x-amzn-errortype", sizeof("x-amzn-errortype"));
        rc_buf_add(&answer.headers, header, strlen(header) + 1);
    }
    (void)core_aws_fail(&answer, 0, err);
    core_http_answer_clear(&answer);
}

static void words_failures(void **state)
{
    static const struct {
        unsigned status;
        const char *body, *header;
        enum rc_code code;
        const char *cause;
    } failures[] = {
        { 403,
          "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>"
          "User: a is not\nauthorized</Message></Error><RequestId>r-1</RequestId></ErrorResponse>",
          NULL, RC_DENIED,
          "it answers HTTP 403 AccessDenied: User: a is not authorized (request r-1)" },
        { 400, "<ErrorResponse><Error><Code>ValidationError</Code></Error></ErrorResponse>", NULL,
          RC_INVALID, "it answers HTTP 400 ValidationError" },
        { 400, "<ErrorResponse><Error><Code>IDPCommunicationError</Code></Error></ErrorResponse>",
          NULL, RC_UNAVAILABLE, "it answers HTTP 400 IDPCommunicationError" },
        { 400, "{\"__type\":\"a.b#ThrottlingException\",\"message\":\"Rate exceeded\"}", NULL,
          RC_UNAVAILABLE, "it answers HTTP 400 ThrottlingException: Rate exceeded" },
        { 401, "{\"message\":\"no\"}", "UnauthorizedException:http://x", RC_DENIED,
          "it answers HTTP 401 UnauthorizedException: no" },
        { 400, "{\"error\":\"invalid_grant\",\"error_description\":\"gone\"}", NULL, RC_DENIED,
          "it answers HTTP 400 invalid_grant: gone" },
        { 500, "oops", NULL, RC_UNAVAILABLE, "it answers HTTP 500" },
        { 302, "", NULL, RC_FAILED, "it answers HTTP 302" },
        { 404, "<a><b", NULL, RC_DENIED, "it answers HTTP 404" },
        { 403, "{\"Code\":\"x\",\"Message\":\"with unspeakable in it\"}", NULL, RC_DENIED,
          "it answers HTTP 403 x: with ******** in it" },
    };

    (void)state;
    core_secret_add("unspeakable");
    for (size_t i = 0; i < RC_ARRAY_LEN(failures); i++) {
        struct rc_error err = RC_ERROR_INIT;

        fail_by(failures[i].status, failures[i].body, failures[i].header, &err);
        assert_string_equal(err.cause, failures[i].cause);
        assert_int_equal(err.code, failures[i].code);
    }
}

static void survives_long_words(void **state)
{
    RC_BUF_AUTO(body, 9000);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_buf_adds(&body, "{\"__type\":\"");
    for (int i = 0; i < 2000; i++)
        rc_buf_addc(&body, 'c');
    rc_buf_adds(&body, "\",\"message\":\"");
    for (int i = 0; i < 2000; i++)
        rc_buf_addc(&body, 'm');
    rc_buf_adds(&body, "\"}");
    fail_by(400, body.data, NULL, &err);
    assert_int_equal(err.code, RC_DENIED);
    assert_true(rc_str_starts(err.cause, "it answers HTTP 400 cccc"));
    assert_non_null(strstr(err.cause, ": mmmm"));
}

static void asks_no_stranger_for_a_containers_keys(void **state)
{
    static const char *const allowed[] = {
        "https://anywhere.example/x", "http://localhost/x",
        "http://LOCALHOST:80/x",      "http://127.0.0.1:8080/creds",
        "http://127.255.0.3",         "http://[::1]/x",
        "http://[::1]:99/x",          "http://169.254.170.2/creds",
        "http://169.254.170.23/v1",   "http://[fd00:ec2::23]/v1/creds",
        "HTTP://[FD00:EC2::23]:80",
    };
    static const char *const refused[] = {
        "http://192.0.2.1/x",
        "http://example.com",
        "http://localhost.example.com/",
        "http://127.0.0.1.example/",
        "http://127.0.0.1@192.0.2.1/",
        "http://127.evil/",
        "http://169.254.170.22/",
        "http://169.254.169.254/",
        "http://[::2]/",
        "http://[::1].example/",
        "ftp://localhost/",
        "localhost",
        "",
        "http://",
        "http://[::1",
        "http://x:y@localhost/",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(allowed); i++)
        if (core_aws_container_url_wrong(allowed[i]))
            fail_msg("%s", allowed[i]);
    for (size_t i = 0; i < RC_ARRAY_LEN(refused); i++)
        if (!core_aws_container_url_wrong(refused[i]))
            fail_msg("%s", refused[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_keys),
        cmocka_unit_test(takes_a_process_without_token),
        cmocka_unit_test(says_what_is_missing),
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(words_failures),
        cmocka_unit_test(survives_long_words),
        cmocka_unit_test(asks_no_stranger_for_a_containers_keys),
    };

    return cmocka_run_group_tests_name("aws_reply", tests, NULL, NULL);
}
