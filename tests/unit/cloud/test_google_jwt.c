/*
 * Signed tokens, verified by libcrypto with the public half of a key that is made here.
 */
#include <cloud/jwt.h>
#include <os/digest.h>
#include <os/library.h>

#include <run-core/str.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What makes keys and looks at signatures, which the product does not do. */
static struct crypto {
    __typeof__(&EVP_PKEY_Q_keygen) make;
    __typeof__(&EVP_PKEY_free) release;
    __typeof__(&BIO_new) text_new;
    __typeof__(&BIO_s_mem) in_memory;
    __typeof__(&BIO_read) text_read;
    __typeof__(&BIO_free) text_free;
    __typeof__(&PEM_write_bio_PrivateKey) write;
    __typeof__(&PEM_write_bio_PrivateKey_traditional) write_traditional;
    __typeof__(&EVP_MD_CTX_new) context_new;
    __typeof__(&EVP_MD_CTX_free) context_free;
    __typeof__(&EVP_sha256) sha256;
    __typeof__(&EVP_aes_128_cbc) cipher;
    __typeof__(&EVP_DigestVerifyInit) verify_begin;
    __typeof__(&EVP_DigestVerify) verify;
} crypto;

static const struct core_library_symbol symbols[] = {
    { "EVP_PKEY_Q_keygen", offsetof(struct crypto, make) },
    { "EVP_PKEY_free", offsetof(struct crypto, release) },
    { "BIO_new", offsetof(struct crypto, text_new) },
    { "BIO_s_mem", offsetof(struct crypto, in_memory) },
    { "BIO_read", offsetof(struct crypto, text_read) },
    { "BIO_free", offsetof(struct crypto, text_free) },
    { "PEM_write_bio_PrivateKey", offsetof(struct crypto, write) },
    { "PEM_write_bio_PrivateKey_traditional", offsetof(struct crypto, write_traditional) },
    { "EVP_MD_CTX_new", offsetof(struct crypto, context_new) },
    { "EVP_MD_CTX_free", offsetof(struct crypto, context_free) },
    { "EVP_sha256", offsetof(struct crypto, sha256) },
    { "EVP_aes_128_cbc", offsetof(struct crypto, cipher) },
    { "EVP_DigestVerifyInit", offsetof(struct crypto, verify_begin) },
    { "EVP_DigestVerify", offsetof(struct crypto, verify) },
};

static EVP_PKEY *key;

static int make_key(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    if (core_library_load("libcrypto.so.3", symbols, RC_ARRAY_LEN(symbols), &crypto, &err))
        return -1;
    key = crypto.make(NULL, NULL, "RSA", (size_t)2048);
    return key ? 0 : -1;
}

static int drop_key(void **state)
{
    (void)state;
    crypto.release(key);
    return 0;
}

enum form { PKCS8, PKCS1, WITH_PASSPHRASE };

static char *pem_of(EVP_PKEY *of, enum form form)
{
    char text[8192];
    BIO *bio = crypto.text_new(crypto.in_memory());
    const EVP_CIPHER *cipher = form == WITH_PASSPHRASE ? crypto.cipher() : NULL;
    char *phrase = form == WITH_PASSPHRASE ? "secret" : NULL;
    int len;

    if (form == PKCS1)
        assert_int_equal(crypto.write_traditional(bio, of, NULL, NULL, 0, NULL, NULL), 1);
    else
        assert_int_equal(crypto.write(bio, of, cipher, NULL, 0, NULL, phrase), 1);
    len = crypto.text_read(bio, text, sizeof(text));
    assert_true(len > 0);
    crypto.text_free(bio);
    return rc_strndup(text, (size_t)len);
}

/* Padding and the usual alphabet in place of those of URLs. */
static void decode(const char *text, size_t len, struct rc_buf *out)
{
    RC_BUF_AUTO(usual, 8192);

    for (size_t i = 0; i < len; i++)
        rc_buf_addc(&usual, (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]));
    while (usual.len % 4)
        rc_buf_addc(&usual, '=');
    assert_true(core_add_decoded_base64(out, usual.data, usual.len));
}

static void expect_signed(const char *token, const char *header, const char *claims)
{
    const char *first = strchr(token, '.');
    const char *second = first ? strchr(first + 1, '.') : NULL;
    EVP_MD_CTX *context = crypto.context_new();
    RC_BUF_AUTO(text, 8192);
    RC_BUF_AUTO(signature, 8192);

    assert_non_null(second);
    decode(token, (size_t)(first - token), &text);
    assert_string_equal(text.data, header);
    rc_buf_reset(&text);
    decode(first + 1, (size_t)(second - first - 1), &text);
    assert_string_equal(text.data, claims);
    decode(second + 1, strlen(second + 1), &signature);
    assert_int_equal(crypto.verify_begin(context, NULL, crypto.sha256(), NULL, key), 1);
    assert_int_equal(crypto.verify(context, (const unsigned char *)signature.data, signature.len,
                                   (const unsigned char *)token, (size_t)(second - token)),
                     1);
    crypto.context_free(context);
}

static void signs_with_either_form_of_a_key(void **state)
{
    static const char header[] = "{\"alg\":\"RS256\"}",
                      claims[] = "{\"iss\":\"joe\",\"a\":\"?>~\"}";

    (void)state;
    for (enum form form = PKCS8; form <= PKCS1; form++) {
        RC_STR_AUTO pem = pem_of(key, form);
        RC_BUF_AUTO(token, 8192);
        struct rc_error err = { .code = RC_DENIED }; /* of something else, before */

        assert_non_null(strstr(pem, form == PKCS1 ? "BEGIN RSA PRIVATE" : "BEGIN PRIVATE"));
        assert_int_equal(core_jwt_sign(header, claims, pem, &token, &err), RC_OK);
        expect_signed(token.data, header, claims);
    }
}

static void refuses_what_is_no_such_key(void **state)
{
    EVP_PKEY *curve = crypto.make(NULL, NULL, "EC", "P-256");
    RC_STR_AUTO elliptic = pem_of(curve, PKCS8);
    RC_STR_AUTO locked = pem_of(key, WITH_PASSPHRASE);
    RC_STR_AUTO cut = pem_of(key, PKCS8);
    const char *const pems[] = { "", "x", elliptic, locked, cut };

    (void)state;
    cut[strlen(cut) / 2] = '\0';
    for (size_t i = 0; i < RC_ARRAY_LEN(pems); i++) {
        RC_BUF_AUTO(token, 8192);
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(core_jwt_sign("{}", "{}", pems[i], &token, &err), RC_INVALID);
        assert_non_null(strstr(err.cause, "not an RSA key in PEM without a passphrase"));
        assert_int_equal(token.len, 0);
    }
    crypto.release(curve);
}

static void heeds_the_limit_of_the_buffer(void **state)
{
    RC_STR_AUTO pem = pem_of(key, PKCS8);
    RC_BUF_AUTO(token, 100);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_jwt_sign("{}", "{}", pem, &token, &err), RC_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_with_either_form_of_a_key),
        cmocka_unit_test(refuses_what_is_no_such_key),
        cmocka_unit_test(heeds_the_limit_of_the_buffer),
    };

    return cmocka_run_group_tests(tests, make_key, drop_key);
}
