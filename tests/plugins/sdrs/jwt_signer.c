/*
 * By the EVP functions that sign and write; those that verify and read are the plugin's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jwt_signer.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

EVP_PKEY *first_key, *second_key, *small_key, *curve_key;

int make_keys(void **state)
{
    (void)state;
    first_key = EVP_RSA_gen(2048);
    second_key = EVP_RSA_gen(2048);
    small_key = EVP_RSA_gen(2040);
    curve_key = EVP_EC_gen("P-256");
    return first_key && second_key && small_key && curve_key ? 0 : -1;
}

int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(first_key);
    EVP_PKEY_free(second_key);
    EVP_PKEY_free(small_key);
    EVP_PKEY_free(curve_key);
    return 0;
}

/* ---- a signer -------------------------------------------------------------------------------- */

char *encode(const void *data, size_t len)
{
    char *text = rc_malloc((len + 2) / 3 * 4 + 1);
    size_t end = (size_t)EVP_EncodeBlock((unsigned char *)text, data, (int)len);

    for (char *at = text; *at; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    while (end > 0 && text[end - 1] == '=')
        text[--end] = '\0';
    return text;
}

char *join(const char *header, const char *claims)
{
    RC_STR_AUTO a = encode(header, strlen(header));
    RC_STR_AUTO b = encode(claims, strlen(claims));

    return rc_strf("%s.%s", a, b);
}

char *sign_with(EVP_PKEY *key, const EVP_MD *hash, const char *header, const char *claims)
{
    RC_STR_AUTO data = join(header, claims);
    unsigned char signature[1024];
    size_t len = sizeof(signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    assert_int_equal(EVP_DigestSignInit(context, NULL, hash, NULL, key), 1);
    assert_int_equal(
        EVP_DigestSign(context, signature, &len, (const unsigned char *)data, strlen(data)), 1);
    EVP_MD_CTX_free(context);
    RC_STR_AUTO text = encode(signature, len);
    return rc_strf("%s.%s", data, text);
}

char *sign(EVP_PKEY *key, const char *header, const char *claims)
{
    return sign_with(key, EVP_sha256(), header, claims);
}

char *number_text(EVP_PKEY *key, const char *name)
{
    unsigned char bytes[1024];
    BIGNUM *number = NULL;

    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &number), 1);
    size_t len = (size_t)BN_bn2bin(number, bytes);
    BN_free(number);
    return encode(bytes, len);
}

char *jwk_of(EVP_PKEY *key, const char *more)
{
    RC_STR_AUTO n = number_text(key, OSSL_PKEY_PARAM_RSA_N);
    RC_STR_AUTO e = number_text(key, OSSL_PKEY_PARAM_RSA_E);

    return rc_strf("{%s,\"n\":\"%s\",\"e\":\"%s\"}", more, n, e);
}

char *jwks_of(EVP_PKEY *a, const char *a_kid, EVP_PKEY *b, const char *b_kid)
{
    RC_STR_AUTO a_more = rc_strf("\"kty\":\"RSA\",\"use\":\"sig\",\"kid\":\"%s\"", a_kid);
    RC_STR_AUTO b_more = rc_strf("\"kty\":\"RSA\",\"alg\":\"RS256\",\"kid\":\"%s\"", b_kid);
    RC_STR_AUTO a_jwk = jwk_of(a, a_more);
    RC_STR_AUTO b_jwk = b ? jwk_of(b, b_more) : NULL;

    return rc_strf("{\"keys\":[%s%s%s]}", a_jwk, b ? "," : "", b ? b_jwk : "");
}

void free_jwks(struct sdrs_jwks **keys)
{
    sdrs_jwks_free(*keys);
}

struct sdrs_jwks *parse(const char *json)
{
    struct sdrs_jwks *keys = NULL;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(sdrs_jwks_parse(json, strlen(json), &keys, &err), RC_OK);
    return keys;
}

/* ---- PEM -------------------- */

/* What PEM_write_bio_... has written. */
static char *pem_text(BIO *memory)
{
    char *data;
    long len = BIO_get_mem_data(memory, &data);
    char *text = rc_strndup(data, (size_t)len);

    BIO_free(memory);
    return text;
}

char *certificate_of(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    BIO *memory = BIO_new(BIO_s_mem());

    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(memory, certificate), 1);
    X509_free(certificate);
    return pem_text(memory);
}

char *public_pem(EVP_PKEY *key)
{
    BIO *memory = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PUBKEY(memory, key), 1);
    return pem_text(memory);
}

char *private_pem(EVP_PKEY *key)
{
    BIO *memory = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PrivateKey(memory, key, NULL, NULL, 0, NULL, NULL), 1);
    return pem_text(memory);
}

char *old_pem(EVP_PKEY *key)
{
    BIO *memory = BIO_new(BIO_s_mem());
    unsigned char *der = NULL;
    int len = i2d_PublicKey(key, &der);

    assert_true(len > 0);
    assert_true(PEM_write_bio(memory, PEM_STRING_RSA_PUBLIC, "", der, len) > 0);
    OPENSSL_free(der);
    return pem_text(memory);
}

/* ---- judging --------------------------------------------------------------------------------- */

const struct sdrs_expectation usual = {
    .issuer = "https://login.example",
    .audience = "sdrs",
    .now_unix_ms = INT64_C(1800000000000),
    .skew_ms = 30000,
};

enum rc_code judge(const char *token, const struct sdrs_jwks *keys,
                   const struct sdrs_expectation *expected, struct sdrs_claims *claims,
                   struct rc_error *err)
{
    struct sdrs_token opened;
    enum rc_code code = sdrs_token_open(token, &opened, err);

    if (!code)
        code = sdrs_token_check(&opened, keys, expected, claims, err);
    sdrs_token_clear(&opened);
    if (code) {
        assert_int_equal(code, RC_DENIED);
        assert_true(rc_str_starts(err->cause, "the token is refused: "));
    }
    return code;
}

void expect(const char *token, const struct sdrs_jwks *keys, const char *reason)
{
    struct sdrs_claims claims;
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = judge(token, keys, &usual, &claims, &err);

    if (!reason && code)
        fail_msg("refused: %s", err.cause);
    if (reason && (!code || !strstr(err.cause, reason)))
        fail_msg("'%s' instead of '%s'", code ? err.cause : "believed", reason);
}
