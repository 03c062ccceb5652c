/*
 * Tokens and keys: whatever is sent, nothing is believed that was not signed; and whatever is
 * signed, its claims are taken or refused with a reason. The first byte says what the rest is.
 */
#include <auth/token.h>

#include <run-core/str.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

static EVP_PKEY *key;
static struct sdrs_jwks *keys; /* those of 'key' */

static void make_key(void)
{
    struct rc_error err = RC_ERROR_INIT;
    BIO *memory = BIO_new(BIO_s_mem());
    char *pem;

    key = EVP_RSA_gen(2048);
    RC_ASSERT(key && PEM_write_bio_PUBKEY(memory, key) == 1);
    long len = BIO_get_mem_data(memory, &pem);
    RC_ASSERT(sdrs_jwks_from_pem(pem, (size_t)len, &keys, &err) == RC_OK);
    BIO_free(memory);
}

static void add_encoded(struct rc_buf *out, const void *data, size_t len)
{
    RC_STR_AUTO text = rc_malloc((len + 2) / 3 * 4 + 1);
    size_t end = (size_t)EVP_EncodeBlock((unsigned char *)text, data, (int)len);

    while (end > 0 && text[end - 1] == '=')
        end--;
    for (size_t i = 0; i < end; i++)
        rc_buf_addc(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
}

static void add_signature(struct rc_buf *token)
{
    unsigned char signature[256];
    size_t len = sizeof(signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    RC_ASSERT(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(context, signature, &len, (const unsigned char *)token->data,
                             token->len) == 1);
    EVP_MD_CTX_free(context);
    rc_buf_addc(token, '.');
    add_encoded(token, signature, len);
}

static enum rc_code check(const char *text, struct sdrs_claims *claims, struct rc_error *err)
{
    const struct sdrs_expectation expected = {
        .issuer = "i", .audience = "a", .now_unix_ms = 1000000, .skew_ms = 1000
    };
    struct sdrs_token token;
    enum rc_code code = sdrs_token_open(text, &token, err);

    if (!code)
        code = sdrs_token_check(&token, keys, &expected, claims, err);
    sdrs_token_clear(&token);
    RC_ASSERT(!code || (code == RC_DENIED && err->cause[0] != '\0'));
    return code;
}

/* A token as somebody sends it. */
static void check_sent(const char *text)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_claims claims;

    RC_ASSERT(check(text, &claims, &err) == RC_DENIED);
}

/* Header or payload of a token that is signed. */
static void check_signed(const void *header, size_t header_len, const void *payload,
                         size_t payload_len)
{
    RC_BUF_AUTO(token, 4 * SDRS_TOKEN_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_claims claims;

    add_encoded(&token, header, header_len);
    rc_buf_addc(&token, '.');
    add_encoded(&token, payload, payload_len);
    add_signature(&token);
    if (check(token.data, &claims, &err) == RC_OK)
        RC_ASSERT(claims.email[0] != '\0' && strlen(claims.email) < SDRS_EMAIL_TEXT);
}

static void check_keys(enum rc_code code, struct sdrs_jwks *found, const struct rc_error *err)
{
    if (code) {
        RC_ASSERT(code == RC_INVALID && err->cause[0] != '\0');
        return;
    }
    RC_ASSERT(sdrs_jwks_count(found) > 0);
    sdrs_jwks_free(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char header[] = "{\"alg\":\"RS256\"}";
    static const char payload[] = "{\"iss\":\"i\",\"aud\":\"a\",\"exp\":2000}";
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_jwks *found = NULL;
    enum rc_code code;

    if (!key)
        make_key();
    if (size == 0 || size > SDRS_TOKEN_BYTES)
        return 0;
    RC_STR_AUTO text = rc_strndup((const char *)data + 1, size - 1);
    if (*data == 't')
        check_sent(text);
    else if (*data == 'h')
        check_signed(text, strlen(text), payload, sizeof(payload) - 1);
    else if (*data == 'c')
        check_signed(header, sizeof(header) - 1, text, strlen(text));
    else if (*data == 'j') {
        code = sdrs_jwks_parse(text, strlen(text), &found, &err);
        check_keys(code, found, &err);
    } else if (*data == 'p') {
        code = sdrs_jwks_from_pem(text, strlen(text), &found, &err);
        check_keys(code, found, &err);
    }
    return 0;
}
