/*
 * The keys that tokens are verified by: which are taken, when they are read again, by how many
 * threads; and what an Authorization header is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <auth/jwt.h>
#include <auth/keys.h>

#include "jwt_signer.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define JWKS_URL "https://login.example/keys"

/* ---- keys ------------------------------------------------------------------------------------ */

static void expect_no_keys(const char *json, const char *reason)
{
    struct sdrs_jwks *keys = NULL;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(sdrs_jwks_parse(json, strlen(json), &keys, &err), RC_INVALID);
    if (!strstr(err.cause, reason))
        fail_msg("'%s' instead of '%s'", err.cause, reason);
}

static void test_keys_that_are_not_taken(void **state)
{
    static const char *const unfit[] = {
        "\"kty\":\"EC\",\"kid\":\"a\"",
        "\"kid\":\"a\"",
        "\"kty\":\"RSA\",\"use\":\"enc\"",
        "\"kty\":\"RSA\",\"alg\":\"RS512\"",
        "\"kty\":\"RSA\",\"alg\":7",
        "\"kty\":\"RSA\",\"key_ops\":[\"encrypt\"]",
        "\"kty\":\"RSA\",\"key_ops\":\"verify\"",
        "\"kty\":\"RSA\",\"kid\":7",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(unfit); i++) {
        RC_STR_AUTO jwk = jwk_of(first_key, unfit[i]);
        RC_STR_AUTO json = rc_strf("{\"keys\":[%s]}", jwk);
        expect_no_keys(json, "none of the 1 keys");
    }
    RC_STR_AUTO small = jwks_of(small_key, "a", NULL, NULL);
    expect_no_keys(small, "2048");
    RC_STR_AUTO n = number_text(first_key, OSSL_PKEY_PARAM_RSA_N);
    static const char *const exponents[] = {
        "", "AQ", "Ag", "AQAA", "AQAB=", "AQABAQABAQABAQABAQAB"
    };
    for (size_t i = 0; i < RC_ARRAY_LEN(exponents); i++) {
        RC_STR_AUTO json =
            rc_strf("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}]}", n, exponents[i]);
        expect_no_keys(json, "none of the 1 keys");
    }
    n[strlen(n) - 2] = n[strlen(n) - 2] == 'A' ? 'g' : 'A'; /* an even number, at the latest now */
    n[strlen(n) - 1] = 'A';
    RC_STR_AUTO even = rc_strf("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}]}", n);
    expect_no_keys(even, "none of the 1 keys");
    expect_no_keys("", "no JSON");
    expect_no_keys("{\"keys\":[]", "no JSON");
    expect_no_keys("{\"keys\":[],\"keys\":[]}", "no JSON");
    expect_no_keys("[]", "'keys'");
    expect_no_keys("{\"keys\":{}}", "'keys'");
    expect_no_keys("{\"keys\":[]}", "none of the 0 keys");
    expect_no_keys("{\"keys\":[7,null,\"a\",[]]}", "none of the 4 keys");
}

static void test_keys_among_others(void **state)
{
    (void)state;
    RC_STR_AUTO good = jwk_of(first_key, "\"kty\":\"RSA\",\"kid\":\"a\",\"key_ops\":[\"verify\"]");
    RC_STR_AUTO same = jwk_of(second_key, "\"kty\":\"RSA\",\"kid\":\"a\"");
    RC_STR_AUTO small = jwk_of(small_key, "\"kty\":\"RSA\",\"kid\":\"s\"");
    RC_STR_AUTO json = rc_strf(
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"o\"},%s,%s,%s]}", small, good, same);
    JWKS_AUTO keys = parse(json);

    assert_int_equal(sdrs_jwks_count(keys), 2);
    assert_true(sdrs_jwks_has(keys, "a"));
    assert_false(sdrs_jwks_has(keys, "o"));
    assert_false(sdrs_jwks_has(keys, "s"));
    assert_false(sdrs_jwks_has(keys, ""));
    RC_STR_AUTO by_first = sign(first_key, HEADER, CLAIMS);
    RC_STR_AUTO by_second = sign(second_key, HEADER, CLAIMS);
    expect(by_first, keys, NULL);
    expect(by_second, keys, NULL);
}

/* "{"a": pem, ...}" */
static char *named_pems(const char *first, const char *second)
{
    json_t *json = json_pack("{s:s, s:s, s:i}", "a", first, "b", second, "c", 7);
    char *text = json_dumps(json, 0);

    json_decref(json);
    return text;
}

static void test_certificates_by_their_names(void **state)
{
    (void)state;
    RC_STR_AUTO first = certificate_of(first_key);
    RC_STR_AUTO small = certificate_of(small_key);
    RC_STR_AUTO json = named_pems(first, small);
    JWKS_AUTO keys = parse(json);
    RC_STR_AUTO genuine = sign(first_key, HEADER, CLAIMS);
    RC_STR_AUTO forged = sign(second_key, HEADER, CLAIMS);

    assert_int_equal(sdrs_jwks_count(keys), 1);
    assert_true(sdrs_jwks_has(keys, "a"));
    assert_false(sdrs_jwks_has(keys, "b"));
    expect(genuine, keys, NULL);
    expect(forged, keys, "signature");
    RC_STR_AUTO unfit = named_pems(small, "no certificate");
    expect_no_keys(unfit, "no certificates of RSA keys");
    expect_no_keys("{}", "no certificates of RSA keys");
}

static void expect_pem(const char *pem, const char *reason)
{
    struct sdrs_jwks *keys = NULL;
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = sdrs_jwks_from_pem(pem, strlen(pem), &keys, &err);

    if (reason) {
        assert_int_equal(code, RC_INVALID);
        if (!strstr(err.cause, reason))
            fail_msg("'%s' instead of '%s'", err.cause, reason);
        return;
    }
    assert_int_equal(code, RC_OK);
    RC_STR_AUTO named = sign(first_key, HEADER, CLAIMS);
    RC_STR_AUTO nameless = sign(first_key, "{\"alg\":\"RS256\"}", CLAIMS);
    RC_STR_AUTO other = sign(second_key, HEADER, CLAIMS);
    expect(named, keys, NULL);
    expect(nameless, keys, NULL);
    expect(other, keys, "signature");
    sdrs_jwks_free(keys);
}

static void test_a_pem_file(void **state)
{
    (void)state;
    RC_STR_AUTO public_text = public_pem(first_key);
    RC_STR_AUTO old = old_pem(first_key);
    RC_STR_AUTO certificate = certificate_of(first_key);
    RC_STR_AUTO remark = rc_strf("# our key\n%s\n", public_text);
    RC_STR_AUTO private_text = private_pem(first_key);
    RC_STR_AUTO small = public_pem(small_key);
    RC_STR_AUTO curve = public_pem(curve_key);
    RC_STR_AUTO two = rc_strf("%s%s", public_text, certificate);

    expect_pem(public_text, NULL);
    expect_pem(old, NULL);
    expect_pem(certificate, NULL);
    expect_pem(remark, NULL);
    expect_pem(private_text, "'PRIVATE KEY' is no public key");
    expect_pem(small, "2048");
    expect_pem(curve, "no RSA key");
    expect_pem(two, "more than one");
    expect_pem("", "no PEM block");
    expect_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key");
    public_text[strlen(public_text) / 2] = '!';
    expect_pem(public_text, "no PEM block");
}

/* ---- where keys come from -------------------------------------------------------------------- */

static const struct sdrs_config by_http = { .jwks = JWKS_URL,
                                            .audience = "sdrs",
                                            .jwks_refresh_ms = 600000 };

static void clear_keys(struct sdrs_keys *keys)
{
    sdrs_keys_clear(keys);
}
#define KEYS_AUTO RC_CLEANUP(clear_keys) struct sdrs_keys

static void answer(struct rc_fake_host *host, int times, unsigned status, const char *body)
{
    rc_fake_host_answer_http(host, JWKS_URL, times,
                             &(struct rc_fake_http_answer){ .status = status, .body = body });
}

/* Whether a key of that name is there at that time. */
static bool has(struct sdrs_keys *keys, struct rc_fake_host *host, const char *kid, int64_t now_ms)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_jwks *found;

    if (sdrs_keys_get(keys, rc_fake_host_job(host), &by_http, kid, now_ms, &found, &err)) {
        assert_int_equal(err.code, RC_UNAVAILABLE);
        assert_null(strstr(err.cause, "login.example"));
        return false;
    }
    bool result = sdrs_jwks_has(found, kid);
    sdrs_jwks_free(found);
    return result;
}

static void test_keys_are_read_once_and_again_when_one_is_missed(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    KEYS_AUTO keys = SDRS_KEYS_INIT;
    RC_STR_AUTO before = jwks_of(first_key, "a", NULL, NULL);
    RC_STR_AUTO after = jwks_of(first_key, "a", second_key, "b");

    (void)state;
    answer(host, 1, 200, before);
    answer(host, -1, 200, after);
    for (int i = 0; i < 3; i++)
        assert_true(has(&keys, host, "a", 5000 + i));
    assert_int_equal(rc_fake_host_http_requests(host), 1);
    /* Not more often than every ten seconds, whatever tokens name. */
    for (int i = 0; i < 100; i++)
        assert_false(has(&keys, host, i % 2 ? "b" : "c", 5003 + 50 * i));
    assert_int_equal(rc_fake_host_http_requests(host), 1);
    assert_true(has(&keys, host, "b", 16001));
    assert_true(has(&keys, host, "a", 16002));
    assert_int_equal(rc_fake_host_http_requests(host), 2);
    struct rc_fake_http_request request = rc_fake_host_http_request(host, 0);
    assert_string_equal(request.method, "GET");
    assert_string_equal(request.url, JWKS_URL);
}

static void test_a_key_that_was_taken_back(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    KEYS_AUTO keys = SDRS_KEYS_INIT;
    RC_STR_AUTO before = jwks_of(first_key, "a", second_key, "b");
    RC_STR_AUTO after = jwks_of(second_key, "b", NULL, NULL);

    (void)state;
    answer(host, 1, 200, before);
    answer(host, -1, 200, after);
    assert_true(has(&keys, host, "a", 0));
    assert_true(has(&keys, host, "a", 599999));
    assert_false(has(&keys, host, "a", 600000));
    assert_true(has(&keys, host, "b", 600001));
    assert_int_equal(rc_fake_host_http_requests(host), 2);
}

static void test_old_keys_stay_where_there_are_no_new_ones(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    KEYS_AUTO keys = SDRS_KEYS_INIT;
    RC_STR_AUTO before = jwks_of(first_key, "a", NULL, NULL);
    RC_STR_AUTO after = jwks_of(second_key, "b", NULL, NULL);

    (void)state;
    answer(host, 1, 200, before);
    answer(host, 1, 500, "down");
    answer(host, 1, 200, "<html>");
    answer(host, 1, 302, "");
    answer(host, 1, 200, after);
    assert_true(has(&keys, host, "a", 0));
    for (int i = 0; i < 3; i++) {
        assert_true(has(&keys, host, "a", 600000 + 11000 * i));
        assert_true(has(&keys, host, "a", 609999 + 11000 * i));
    }
    assert_int_equal(rc_fake_host_http_requests(host), 4);
    const char *log = rc_fake_host_log(host);
    assert_non_null(strstr(log, "500"));
    assert_non_null(strstr(log, "no JSON"));
    assert_non_null(strstr(log, "302"));
    assert_non_null(strstr(log, "the keys from before stay"));
    assert_false(has(&keys, host, "a", 633000));
    assert_true(has(&keys, host, "b", 633001));
}

static void test_keys_that_cannot_be_had(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    KEYS_AUTO keys = SDRS_KEYS_INIT;
    RC_STR_AUTO late = jwks_of(first_key, "a", NULL, NULL);

    (void)state;
    rc_fake_host_fail_on(host, "http.call", NULL, 1, RC_UNAVAILABLE);
    answer(host, -1, 200, late);
    for (int i = 0; i < 5; i++)
        assert_false(has(&keys, host, "a", 100 + i));
    assert_non_null(strstr(rc_fake_host_log(host), "every token is refused until then"));
    assert_null(strstr(strstr(rc_fake_host_log(host), "refused until") + 1, "refused until"));
    assert_true(has(&keys, host, "a", 11100));
}

/* A server that hangs. */
static void take_time(void *context, struct rc_fake_host *host, int n, const char *service,
                      const char *subject)
{
    static const struct timespec pause = { .tv_nsec = 200 * 1000000L };

    (void)context;
    (void)host;
    (void)n;
    (void)subject;
    if (strcmp(service, "http.call") == 0)
        (void)nanosleep(&pause, NULL);
}

static void test_the_pause_begins_when_the_server_has_answered(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    KEYS_AUTO keys = SDRS_KEYS_INIT;
    RC_STR_AUTO json = jwks_of(first_key, "a", NULL, NULL);

    (void)state;
    answer(host, -1, 200, json);
    rc_fake_host_on_call(host, take_time, NULL);
    assert_true(has(&keys, host, "a", 0));
    assert_false(has(&keys, host, "b", SDRS_KEYS_PAUSE_MS + 190));
    assert_int_equal(rc_fake_host_http_requests(host), 1);
    assert_false(has(&keys, host, "b", SDRS_KEYS_PAUSE_MS + 60000));
    assert_int_equal(rc_fake_host_http_requests(host), 2);
}

static bool warns_of(const char *place)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    KEYS_AUTO keys = SDRS_KEYS_INIT;
    RC_STR_AUTO json = jwks_of(first_key, "a", NULL, NULL);
    const struct sdrs_config config = { .jwks = place, .audience = "sdrs" };
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_jwks *found;

    rc_fake_host_answer_http(host, NULL, -1,
                             &(struct rc_fake_http_answer){ .status = 200, .body = json });
    assert_int_equal(sdrs_keys_get(&keys, rc_fake_host_job(host), &config, "a", 0, &found, &err),
                     RC_OK);
    sdrs_jwks_free(found);
    return strstr(rc_fake_host_log(host), "keys of their own") != NULL;
}

static void test_keys_that_others_may_put_there(void **state)
{
    static const struct {
        const char *place;
        bool warns;
    } cases[] = {
        { "https://login.example/keys", false },
        { "http://localhost:8080/keys", false },
        { "http://127.0.0.1/keys", false },
        { "http://[::1]:80", false },
        { "http://localhost", false },
        { "http://login.example/keys", true },
        { "http://localhost.example/keys", true },
        { "http://localhost:x@login.example/keys", true },
        { "http://127.0.0.1@login.example/keys", true },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++)
        if (warns_of(cases[i].place) != cases[i].warns)
            fail_msg("%s", cases[i].place);
}

/* The keys of another place than before are no reason to believe those of the old one. */
static void test_another_source(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    KEYS_AUTO keys = SDRS_KEYS_INIT;
    RC_STR_AUTO http = jwks_of(first_key, "a", NULL, NULL);
    RC_STR_AUTO pem = public_pem(second_key);
    struct sdrs_config by_file = { .public_key_file = "/etc/keys/public.pem",
                                   .jwks_refresh_ms = 600000 };
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_jwks *found;

    (void)state;
    answer(host, 1, 200, http);
    assert_true(has(&keys, host, "a", 0));
    assert_int_equal(sdrs_keys_get(&keys, rc_fake_host_job(host), &by_file, "a", 1, &found, &err),
                     RC_UNAVAILABLE);
    rc_fake_host_put(host, "file:///etc/keys/public.pem", pem, strlen(pem));
    assert_int_equal(
        sdrs_keys_get(&keys, rc_fake_host_job(host), &by_file, "a", 11001, &found, &err), RC_OK);
    RC_STR_AUTO token = sign(second_key, HEADER, CLAIMS);
    expect(token, found, NULL);
    sdrs_jwks_free(found);
    assert_non_null(strstr(rc_fake_host_log(host), "set 'jwt_audience'"));
}

/* ---- many threads ---------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 200 };

struct crowd {
    struct rc_fake_host *host;
    struct sdrs_keys *keys;
    const char *token;
    atomic_int refused;
};

/* Time goes on so that keys are old again and again, and now and then one is missed. */
static void *verify_often(void *context)
{
    struct crowd *crowd = context;

    for (int i = 0; i < ROUNDS; i++) {
        const char *kid = i % 20 == 0 ? "b" : "a";
        struct rc_error err = RC_ERROR_INIT;
        struct sdrs_claims claims;
        struct sdrs_token token;
        struct sdrs_jwks *found;

        if (sdrs_keys_get(crowd->keys, rc_fake_host_job(crowd->host), &by_http, kid,
                          i * INT64_C(100000), &found, &err)) {
            (void)atomic_fetch_add(&crowd->refused, 1);
            continue;
        }
        if (sdrs_token_open(crowd->token, &token, &err) ||
            sdrs_token_check(&token, found, &usual, &claims, &err))
            (void)atomic_fetch_add(&crowd->refused, 1);
        sdrs_token_clear(&token);
        sdrs_jwks_free(found);
    }
    return NULL;
}

static void test_many_threads_share_the_keys(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    KEYS_AUTO keys = SDRS_KEYS_INIT;
    RC_STR_AUTO json = jwks_of(first_key, "a", NULL, NULL);
    RC_STR_AUTO token = sign(first_key, HEADER, CLAIMS);
    struct crowd crowd = { .host = host, .keys = &keys, .token = token };
    pthread_t threads[THREADS];

    (void)state;
    answer(host, -1, 200, json);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &crowd), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&crowd.refused), 0);
    assert_true(rc_fake_host_http_requests(host) <= ROUNDS);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void expect_header(struct rc_fake_host *host, const struct sdrs_config *config,
                          const char *authorization, const char *reason)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_claims claims;
    enum rc_code code =
        sdrs_jwt_verify(rc_fake_host_job(host), config, authorization, &claims, &err);

    assert_int_equal(code, reason ? RC_DENIED : RC_OK);
    if (reason && !strstr(err.cause, reason))
        fail_msg("'%s' instead of '%s'", err.cause, reason);
    if (!reason)
        assert_string_equal(claims.email, "ada@example.org");
}

static void test_the_authorization_header(void **state)
{
    static const struct {
        const char *before, *behind, *reason;
    } cases[] = {
        { "Bearer ", "", NULL },       { "bearer ", "", NULL },
        { "BEARER   ", "", NULL },     { "Bearer", "", "is needed" },
        { "Basic ", "", "is needed" }, { "", "", "is needed" },
        { "Bearer ", " ", "refused" }, { "Bearer ", ", Bearer x", "refused" },
        { "Bearer x", "", "refused" },
    };
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sdrs_config config = { .jwks = "keys.json",
                                  .issuer = usual.issuer,
                                  .audience = usual.audience,
                                  .jwks_refresh_ms = 600000,
                                  .clock_skew_ms = 30000 };
    RC_STR_AUTO json = jwks_of(first_key, "a", NULL, NULL);
    RC_STR_AUTO uri = rc_strf("file://%s/keys.json", rc_fake_host_job(host)->working_dir);
    RC_STR_AUTO claims =
        rc_strf("{" CLAIMS_WITHOUT_EXP ",\"exp\":%" PRId64 "}", (int64_t)time(NULL) + 600);
    RC_STR_AUTO token = sign(first_key, HEADER, claims);

    (void)state;
    assert_true(sdrs_jwt_needed(&config));
    assert_false(sdrs_jwt_needed(&(struct sdrs_config){ .issuer = "x" }));
    rc_fake_host_put(host, uri, json, strlen(json));
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO header = rc_strf("%s%s%s", cases[i].before, token, cases[i].behind);

        expect_header(host, &config, header, cases[i].reason);
    }
    expect_header(host, &config, NULL, "is needed");
    expect_header(host, &config, "", "is needed");
    expect_header(host, &config, "Bearer", "is needed");
    expect_header(host, &config, "Bearer ", "is needed");
    RC_STR_AUTO expired = sign(first_key, HEADER, "{" CLAIMS_WITHOUT_EXP ",\"exp\":1300000000}");
    RC_STR_AUTO with_expired = rc_strf("Bearer %s", expired);
    expect_header(host, &config, with_expired, "expired");
    assert_null(strstr(rc_fake_host_log(host), "eyJ"));
    assert_null(strstr(sdrs_jwt_challenge(NULL), "error"));
    assert_non_null(strstr(sdrs_jwt_challenge("Bearer x"), "invalid_token"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_that_are_not_taken),
        cmocka_unit_test(test_keys_among_others),
        cmocka_unit_test(test_certificates_by_their_names),
        cmocka_unit_test(test_a_pem_file),
        cmocka_unit_test(test_keys_are_read_once_and_again_when_one_is_missed),
        cmocka_unit_test(test_a_key_that_was_taken_back),
        cmocka_unit_test(test_old_keys_stay_where_there_are_no_new_ones),
        cmocka_unit_test(test_keys_that_cannot_be_had),
        cmocka_unit_test(test_the_pause_begins_when_the_server_has_answered),
        cmocka_unit_test(test_keys_that_others_may_put_there),
        cmocka_unit_test(test_another_source),
        cmocka_unit_test(test_many_threads_share_the_keys),
        cmocka_unit_test(test_the_authorization_header),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
