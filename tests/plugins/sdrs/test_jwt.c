/*
 * Tokens: that exactly the genuine ones are believed. They are signed here by libcrypto itself, and
 * one was published, with its key (RFC 7515, appendix A.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <auth/base64url.h>

#include "jwt_signer.h"

#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 4096 };

/* ---- the published token --------------------------------------------------------------------- */

static const char rfc_jwks[] =
    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddx"
    "HmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGz"
    "jb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3"
    "qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp"
    "oQ\",\"e\":\"AQAB\"}]}";
static const char rfc_token[] =
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNv"
    "bS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4"
    "Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xB"
    "ArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1"
    "phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

static struct sdrs_expectation rfc_expectation(int64_t now_s)
{
    return (struct sdrs_expectation){ .issuer = "joe", .now_unix_ms = now_s * 1000 };
}

static void test_the_published_token(void **state)
{
    struct sdrs_expectation in_time = rfc_expectation(1300819379);
    struct sdrs_expectation late = rfc_expectation(1300819380);
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_claims claims;

    (void)state;
    JWKS_AUTO keys = parse(rfc_jwks);
    assert_int_equal(judge(rfc_token, keys, &in_time, &claims, &err), RC_OK);
    assert_string_equal(claims.email, "unknown");
    assert_int_equal(judge(rfc_token, keys, &late, &claims, &err), RC_DENIED);
    assert_non_null(strstr(err.cause, "expired"));
}

/* Every character, replaced by every other one of the alphabet and some that are none of it. */
static void test_a_token_that_was_changed_anywhere(void **state)
{
    static const char others[] = "AQgw048-_zZ.=+/ \n\x80";
    struct sdrs_expectation in_time = rfc_expectation(1300819379);
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_claims claims;
    char changed[sizeof(rfc_token) + 1];

    (void)state;
    JWKS_AUTO keys = parse(rfc_jwks);
    for (size_t i = 0; i + 1 < sizeof(rfc_token); i++) {
        memcpy(changed, rfc_token, sizeof(rfc_token));
        for (size_t j = 0; j + 1 < sizeof(others); j++) {
            changed[i] = others[j];
            if (changed[i] != rfc_token[i])
                assert_int_equal(judge(changed, keys, &in_time, &claims, &err), RC_DENIED);
        }
        changed[i] = '\0'; /* and cut off */
        assert_int_equal(judge(changed, keys, &in_time, &claims, &err), RC_DENIED);
    }
    (void)snprintf(changed, sizeof(changed), "%sA", rfc_token);
    assert_int_equal(judge(changed, keys, &in_time, &claims, &err), RC_DENIED);
}

/* Each single bit of the signature and of what is signed. */
static void test_a_signature_with_a_wrong_bit(void **state)
{
    RC_BUF_AUTO(signature, TEXT_LIMIT);
    const char *dot = strrchr(rfc_token, '.');
    size_t len = (size_t)(dot - rfc_token);
    RC_STR_AUTO data = rc_strndup(rfc_token, len);

    (void)state;
    JWKS_AUTO keys = parse(rfc_jwks);
    assert_true(sdrs_base64url_decode(dot + 1, strlen(dot + 1), &signature));
    unsigned char *bytes = (unsigned char *)signature.data;
    assert_true(sdrs_jwks_verifies(keys, "", data, len, bytes, signature.len));
    for (size_t bit = 0; bit < 8 * signature.len; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_false(sdrs_jwks_verifies(keys, "", data, len, bytes, signature.len));
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * len; bit++) {
        data[bit / 8] = (char)(data[bit / 8] ^ (1 << bit % 8));
        assert_false(sdrs_jwks_verifies(keys, "", data, len, bytes, signature.len));
        data[bit / 8] = (char)(data[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t cut = 0; cut < signature.len; cut++)
        assert_false(sdrs_jwks_verifies(keys, "", data, len, bytes, cut));
}

/* ---- headers --------------------------------------------------------------------------------- */

static void test_headers(void **state)
{
    static const struct {
        const char *header, *reason;
    } cases[] = {
        { HEADER, NULL },
        { "{\"alg\":\"RS256\",\"kid\":\"b\"}", NULL },
        { "{\"alg\":\"RS256\",\"kid\":\"a\",\"typ\":\"application/at+JWT\"}", NULL },
        { "{\"alg\":\"RS256\",\"kid\":\"a\",\"jku\":\"https://evil.example\",\"x5c\":[]}", NULL },
        { "{\"alg\":\"none\",\"kid\":\"a\"}", "'alg'" },
        { "{\"alg\":\"HS256\",\"kid\":\"a\"}", "'alg'" },
        { "{\"alg\":\"RS384\",\"kid\":\"a\"}", "'alg'" },
        { "{\"alg\":\"PS256\",\"kid\":\"a\"}", "'alg'" },
        { "{\"alg\":\"rs256\",\"kid\":\"a\"}", "'alg'" },
        { "{\"alg\":\"RS256\\u0000\",\"kid\":\"a\"}", "header" },
        { "{\"alg\":[\"RS256\"],\"kid\":\"a\"}", "'alg'" },
        { "{\"kid\":\"a\"}", "'alg'" },
        { "{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"a\"}", "twice" },
        { "{\"alg\":\"RS256\",\"kid\":\"a\",\"typ\":\"logout+jwt\"}", "'typ'" },
        { "{\"alg\":\"RS256\",\"kid\":\"a\",\"typ\":7}", "'typ'" },
        { "{\"alg\":\"RS256\",\"kid\":\"a\",\"crit\":[\"exp\"],\"exp\":1}", "'crit'" },
        { "{\"alg\":\"RS256\",\"kid\":\"a\",\"crit\":[]}", "'crit'" },
        { "{\"alg\":\"RS256\",\"kid\":7}", "'kid' is no text" },
        { "{\"alg\":\"RS256\",\"kid\":\"c\"}", "no key" },
        { "{\"alg\":\"RS256\",\"kid\":\"\"}", "several keys" },
        { "{\"alg\":\"RS256\"}", "several keys" },
        { "[]", "header" },
        { "\"RS256\"", "header" },
        { "{\"alg\":\"RS256\",\"kid\":\"a\"} x", "header" },
        { "{\"alg\":\"RS256\",\"kid\":\"a\xff\"}", "header" },
        { " ", "header" },
    };

    (void)state;
    RC_STR_AUTO text = jwks_of(first_key, "a", second_key, "b");
    JWKS_AUTO keys = parse(text);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO token = sign(i == 1 ? second_key : first_key, cases[i].header, CLAIMS);

        expect(token, keys, cases[i].reason);
    }
}

static void test_who_signed(void **state)
{
    (void)state;
    RC_STR_AUTO text = jwks_of(first_key, "a", second_key, "b");
    JWKS_AUTO keys = parse(text);

    RC_STR_AUTO other = sign(second_key, HEADER, CLAIMS);
    expect(other, keys, "signature");
    RC_STR_AUTO hash = sign_with(first_key, EVP_sha384(), HEADER, CLAIMS);
    expect(hash, keys, "signature");
    RC_STR_AUTO curve = sign(curve_key, HEADER, CLAIMS);
    expect(curve, keys, "signature");
    RC_STR_AUTO data = join(HEADER, CLAIMS);
    RC_STR_AUTO bare = rc_strf("%s.", data);
    expect(bare, keys, "signed");
    expect(data, keys, "compact");
    RC_STR_AUTO four = rc_strf("%s.AAAA.AAAA", data);
    expect(four, keys, "signed");
    RC_STR_AUTO none = join("{\"alg\":\"none\"}", CLAIMS);
    RC_STR_AUTO unsigned_token = rc_strf("%s.", none);
    expect(unsigned_token, keys, "refused");
    expect("", keys, "compact");
    expect("..", keys, "compact");
    expect("a.b.c", keys, "compact");
}

/* The key is public: whoever has it signs by HMAC what a careless verifier believes. */
static void test_the_public_key_as_a_secret(void **state)
{
    static const char *const headers[] = { "{\"alg\":\"HS256\",\"kid\":\"a\"}", HEADER };
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len;
    char *pem;

    (void)state;
    RC_STR_AUTO text = jwks_of(first_key, "a", NULL, NULL);
    JWKS_AUTO keys = parse(text);
    BIO *memory = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(memory, first_key), 1);
    long len = BIO_get_mem_data(memory, &pem);
    for (size_t i = 0; i < RC_ARRAY_LEN(headers); i++) {
        RC_STR_AUTO data = join(headers[i], CLAIMS);

        assert_non_null(HMAC(EVP_sha256(), pem, (int)len, (const unsigned char *)data, strlen(data),
                             mac, &mac_len));
        RC_STR_AUTO signature = encode(mac, mac_len);
        RC_STR_AUTO token = rc_strf("%s.%s", data, signature);
        expect(token, keys, i == 0 ? "'alg'" : "signature");
    }
    BIO_free(memory);
}

static void test_a_long_token(void **state)
{
    (void)state;
    RC_STR_AUTO text = jwks_of(first_key, "a", NULL, NULL);
    JWKS_AUTO keys = parse(text);
    RC_STR_AUTO padding = rc_malloc(SDRS_TOKEN_BYTES);
    memset(padding, 'x', SDRS_TOKEN_BYTES);
    padding[SDRS_TOKEN_BYTES - 1] = '\0';
    RC_STR_AUTO claims =
        rc_strf("{" CLAIMS_WITHOUT_EXP ",\"exp\":1800000600,\"x\":\"%s\"}", padding);
    RC_STR_AUTO token = sign(first_key, HEADER, claims);
    expect(token, keys, "too long");
}

/* ---- claims ---------------------------------------------------------------------------------- */

static void test_claims(void **state)
{
    static const struct {
        const char *claims, *reason;
    } cases[] = {
        { CLAIMS, NULL },
        { "{" CLAIMS_WITHOUT_EXP "}", "never expire" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1799999971}", NULL }, /* the clocks may differ */
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1799999970}", "expired" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1799999970.5}", NULL },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":-1}", "'exp' is no time" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":\"1800000600\"}", "'exp' is no time" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":null}", "'exp' is no time" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":true}", "'exp' is no time" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1e300}", "'exp' is no time" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":9223372036854775807}", "'exp' is no time" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":99999999999999999999}", "payload" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1,\"exp\":1800000600}", "twice" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1800000600,\"nbf\":1800000030}", NULL },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1800000600,\"nbf\":1800000031}", "not valid yet" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1800000600,\"nbf\":\"0\"}", "'nbf' is no time" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1800000600,\"iat\":1800000030}", NULL },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1800000600,\"iat\":1800000031}", "future" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1800000600,\"iat\":[]}", "'iat' is no time" },
        { "{\"aud\":\"sdrs\",\"exp\":1800000600}", "'iss'" },
        { "{\"iss\":\"https://login.example/\",\"aud\":\"sdrs\",\"exp\":1800000600}", "'iss'" },
        { "{\"iss\":[\"https://login.example\"],\"aud\":\"sdrs\",\"exp\":1800000600}", "'iss'" },
        { "{\"iss\":\"https://login.example\",\"exp\":1800000600}", "'aud'" },
        { "{\"iss\":\"https://login.example\",\"aud\":\"sdrs2\",\"exp\":1800000600}", "'aud'" },
        { "{\"iss\":\"https://login.example\",\"aud\":[],\"exp\":1800000600}", "'aud'" },
        { "{\"iss\":\"https://login.example\",\"aud\":[\"x\",\"sdrs\"],\"exp\":1800000600}", NULL },
        { "{\"iss\":\"https://login.example\",\"aud\":[\"sdrs\",7],\"exp\":1800000600}", "'aud'" },
        { "{\"iss\":\"https://login.example\",\"aud\":{\"sdrs\":1},\"exp\":1800000600}", "'aud'" },
        { "[" CLAIMS "]", "payload" },
        { CLAIMS CLAIMS, "payload" },
        { "{" CLAIMS_WITHOUT_EXP ",\"exp\":1800000600,\"a\\u0000\":1}", "payload" },
    };

    (void)state;
    RC_STR_AUTO text = jwks_of(first_key, "a", NULL, NULL);
    JWKS_AUTO keys = parse(text);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO token = sign(first_key, HEADER, cases[i].claims);

        expect(token, keys, cases[i].reason);
    }
}

static void test_what_is_not_configured_is_not_asked(void **state)
{
    const struct sdrs_expectation any = { .now_unix_ms = usual.now_unix_ms };
    struct sdrs_claims claims;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    RC_STR_AUTO text = jwks_of(first_key, "a", NULL, NULL);
    JWKS_AUTO keys = parse(text);
    RC_STR_AUTO token = sign(first_key, HEADER, "{\"aud\":7,\"exp\":1800000001}");
    assert_int_equal(judge(token, keys, &any, &claims, &err), RC_OK);
    RC_STR_AUTO late = sign(first_key, HEADER, "{\"exp\":1800000000}");
    assert_int_equal(judge(late, keys, &any, &claims, &err), RC_DENIED);
}

static void test_whose_a_token_is(void **state)
{
    static const struct {
        const char *members, *email;
    } cases[] = {
        { "\"email\":\"ada@example.org\"", "ada@example.org" },
        { "\"email\":\"ada@example.org\",\"email_verified\":true", "ada@example.org" },
        { "\"email\":\"ada@example.org\",\"email_verified\":false", "unknown" },
        { "\"email\":\"ada@example.org\",\"email_verified\":\"true\"", "ada@example.org" },
        { "\"email\":\"ada@example.org\",\"email_verified\":\"false\"", "unknown" },
        { "\"email\":\"ada@example.org\",\"email_verified\":null", "unknown" },
        { "\"email\":\"\xC3\xA4@example.org\"", "\xC3\xA4@example.org" },
        { "\"email\":\"ada\\nINFO: forged\"", "unknown" },
        { "\"email\":\"\"", "unknown" },
        { "\"email\":[\"ada@example.org\"]", "unknown" },
        { "\"sub\":\"ada\"", "unknown" },
    };
    const struct sdrs_expectation any = { .now_unix_ms = usual.now_unix_ms };
    struct sdrs_claims claims;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    RC_STR_AUTO text = jwks_of(first_key, "a", NULL, NULL);
    JWKS_AUTO keys = parse(text);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO payload = rc_strf("{\"exp\":1800000600,%s}", cases[i].members);
        RC_STR_AUTO token = sign(first_key, HEADER, payload);

        assert_int_equal(judge(token, keys, &any, &claims, &err), RC_OK);
        assert_string_equal(claims.email, cases[i].email);
    }
    for (size_t len = SDRS_EMAIL_TEXT - 1; len <= SDRS_EMAIL_TEXT; len++) {
        char email[SDRS_EMAIL_TEXT + 1];

        memset(email, 'a', len);
        email[len] = '\0';
        RC_STR_AUTO payload = rc_strf("{\"exp\":1800000600,\"email\":\"%s\"}", email);
        RC_STR_AUTO token = sign(first_key, HEADER, payload);
        assert_int_equal(judge(token, keys, &any, &claims, &err), RC_OK);
        assert_string_equal(claims.email, len < SDRS_EMAIL_TEXT ? email : "unknown");
    }
}

/* ---- base64url ------------------------------------------------------------------------------- */

/* Of all texts of two to four characters exactly one is each sequence of one to three bytes. */
static void test_base64url_is_exact(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    RC_BUF_AUTO(bytes, 16);
    int good = 0;

    (void)state;
    for (unsigned i = 0; i < 64 * 64 * 64; i++) {
        const char text[] = { alphabet[i / 4096], alphabet[i / 64 % 64], alphabet[i % 64], '\0' };

        rc_buf_reset(&bytes);
        if (!sdrs_base64url_decode(text, 3, &bytes))
            continue;
        RC_STR_AUTO again = encode(bytes.data, bytes.len);
        assert_string_equal(again, text);
        good++;
    }
    assert_int_equal(good, 65536);
    for (unsigned c = 0; c < 256; c++) {
        const char text[] = { 'A', (char)(unsigned char)c, 'A', 'A' };
        bool wanted = c && strchr(alphabet, (int)c);

        rc_buf_reset(&bytes);
        assert_int_equal(sdrs_base64url_decode(text, sizeof(text), &bytes), wanted);
    }
    rc_buf_reset(&bytes);
    assert_true(sdrs_base64url_decode("", 0, &bytes) && bytes.len == 0);
    assert_false(sdrs_base64url_decode("A", 1, &bytes));
    assert_false(sdrs_base64url_decode("AAAAA", 5, &bytes));
    assert_false(sdrs_base64url_decode("AA==", 4, &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_published_token),
        cmocka_unit_test(test_a_token_that_was_changed_anywhere),
        cmocka_unit_test(test_a_signature_with_a_wrong_bit),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_who_signed),
        cmocka_unit_test(test_the_public_key_as_a_secret),
        cmocka_unit_test(test_a_long_token),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_what_is_not_configured_is_not_asked),
        cmocka_unit_test(test_whose_a_token_is),
        cmocka_unit_test(test_base64url_is_exact),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
