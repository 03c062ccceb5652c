/*
 * Reads public RSA keys by jansson and libcrypto, and asks them who signed. Which tokens are
 * believed is token.c's matter.
 */
#include "jwks.h"

#include "base64url.h"

#include <run-core/str.h>

#include <jansson.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_BITS = 2048,
    MOST_BITS = 8192, /* what a larger one takes is taken by whoever sends tokens */
    MOST_EXPONENT_BITS = 64,
    MOST_KEYS = 256,
};

struct key {
    char *kid; /* NULL: it has no name */
    EVP_PKEY *rsa;
};

struct sdrs_jwks {
    atomic_uint users;
    bool is_for_all; /* the one key is for every "kid" */
    struct key *items;
    size_t count;
};

static struct sdrs_jwks *keys_new(size_t capacity)
{
    struct sdrs_jwks *keys = rc_calloc(1, sizeof(*keys));

    atomic_init(&keys->users, 1);
    keys->items = rc_calloc(capacity, sizeof(*keys->items));
    return keys;
}

static void add(struct sdrs_jwks *keys, const char *kid, EVP_PKEY *rsa)
{
    keys->items[keys->count++] = (struct key){ .kid = rc_strdup(kid), .rsa = rsa };
}

struct sdrs_jwks *sdrs_jwks_share(struct sdrs_jwks *keys)
{
    (void)atomic_fetch_add(&keys->users, 1);
    return keys;
}

void sdrs_jwks_free(struct sdrs_jwks *keys)
{
    if (!keys || atomic_fetch_sub(&keys->users, 1) > 1)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        free(keys->items[i].kid);
        EVP_PKEY_free(keys->items[i].rsa);
    }
    free(keys->items);
    free(keys);
}

/* ---- numbers into a key ---------------------------------------------------------------------- */

/* Whether it can be verified by, at a bearable cost, and is no number that somebody made up. */
static bool is_good(EVP_PKEY *key)
{
    BIGNUM *exponent = NULL;
    EVP_PKEY_CTX *context;
    bool good;

    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) < LEAST_BITS ||
        EVP_PKEY_get_bits(key) > MOST_BITS)
        return false;
    good = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
           BN_num_bits(exponent) <= MOST_EXPONENT_BITS;
    BN_free(exponent);
    context = good ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    good = context && EVP_PKEY_public_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    return good;
}

static EVP_PKEY *key_of_params(OSSL_PARAM *params)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;

    if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *key_of_numbers(const BIGNUM *modulus, const BIGNUM *exponent)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        params = OSSL_PARAM_BLD_to_param(builder);
    if (params)
        key = key_of_params(params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

/* A member of a JWK that is a number: base64url of its bytes (RFC 7518, section 2). */
static BIGNUM *number_of(const json_t *jwk, const char *name)
{
    const json_t *member = json_object_get(jwk, name);
    RC_BUF_AUTO(bytes, MOST_BITS / 8 + 1); /* some write a zero before a number */

    if (!json_is_string(member) ||
        !sdrs_base64url_decode(json_string_value(member), json_string_length(member), &bytes))
        return NULL;
    return BN_bin2bn((const unsigned char *)bytes.data, (int)bytes.len, NULL);
}

/* ---- PEM ------------------------------------------------------------------------------------- */

static EVP_PKEY *key_of_certificate(const unsigned char **at, long len)
{
    X509 *certificate = d2i_X509(NULL, at, len);
    EVP_PKEY *key = X509_get_pubkey(certificate);

    X509_free(certificate);
    return key;
}

/* The key of one block; NULL: it has none. */
static EVP_PKEY *key_of_block(const char *name, const unsigned char *data, long len)
{
    const unsigned char *at = data;
    EVP_PKEY *key = NULL;

    if (strcmp(name, PEM_STRING_PUBLIC) == 0)
        key = d2i_PUBKEY(NULL, &at, len);
    else if (strcmp(name, PEM_STRING_RSA_PUBLIC) == 0)
        key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, len);
    else if (strcmp(name, PEM_STRING_X509) == 0)
        key = key_of_certificate(&at, len);
    if (key && at == data + len)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

struct block {
    char *name, *header;
    unsigned char *data;
    long len;
};

static bool read_block(BIO *text, struct block *out)
{
    *out = (struct block){ .name = NULL };
    return PEM_read_bio(text, &out->name, &out->header, &out->data, &out->len) == 1;
}

static void block_clear(struct block *block)
{
    OPENSSL_free(block->name);
    OPENSSL_free(block->header);
    OPENSSL_free(block->data);
}

/* RC_INVALID: not exactly one block, or none that has a key. */
static enum rc_code key_of_pem(BIO *text, EVP_PKEY **out, struct rc_error *err)
{
    struct block first, second;
    bool has_first = read_block(text, &first);
    bool has_second = has_first && read_block(text, &second);
    enum rc_code code = RC_OK;

    if (!has_first)
        return rc_fail(err, RC_INVALID,
                       "there is no PEM block '-----BEGIN PUBLIC KEY-----' or "
                       "'-----BEGIN CERTIFICATE-----'");
    *out = key_of_block(first.name, first.data, first.len);
    if (has_second)
        code = rc_fail(err, RC_INVALID,
                       "there is more than one PEM block; to believe several "
                       "keys takes a JWKS document");
    else if (!*out)
        code = rc_fail(err, RC_INVALID, "the PEM block '%.40s' is no public key and no certificate",
                       first.name);
    if (has_second)
        block_clear(&second);
    block_clear(&first);
    return code;
}

/* The key of a text; NULL: RC_INVALID, or RC_TOO_LARGE. */
static EVP_PKEY *key_of_text(const char *pem, size_t len, struct rc_error *err)
{
    BIO *text = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *key = NULL;
    enum rc_code code = text ? key_of_pem(text, &key, err)
                             : rc_fail(err, RC_TOO_LARGE, "the PEM text has %zu bytes", len);

    BIO_free(text);
    if (!code && !is_good(key))
        code = rc_fail(err, RC_INVALID, "the key is no RSA key of %d to %d bits", LEAST_BITS,
                       MOST_BITS);
    ERR_clear_error();
    if (!code)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

enum rc_code sdrs_jwks_from_pem(const char *pem, size_t len, struct sdrs_jwks **out,
                                struct rc_error *err)
{
    EVP_PKEY *key = key_of_text(pem, len, err);

    if (!key)
        return err->code;
    *out = keys_new(1);
    (*out)->is_for_all = true;
    add(*out, NULL, key);
    return RC_OK;
}

/* ---- JWKS ------------------------------------------------------------------------------------ */

/* Whether a member that may be away has that value. */
static bool allows(const json_t *jwk, const char *name, const char *value)
{
    const json_t *member = json_object_get(jwk, name);

    return !member || (json_is_string(member) && strcmp(json_string_value(member), value) == 0);
}

static bool allows_to_verify(const json_t *jwk)
{
    const json_t *operations = json_object_get(jwk, "key_ops"), *one;
    size_t i;

    if (!operations)
        return true;
    json_array_foreach(operations, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), "verify") == 0)
            return true;
    }
    return false;
}

/* NULL: it is for something else, or no key that is good enough. */
static EVP_PKEY *key_of_jwk(const json_t *jwk)
{
    const json_t *kid = json_object_get(jwk, "kid");
    BIGNUM *modulus, *exponent;
    EVP_PKEY *key = NULL;

    if (!json_object_get(jwk, "kty") || !allows(jwk, "kty", "RSA") || !allows(jwk, "use", "sig") ||
        !allows(jwk, "alg", "RS256") || !allows_to_verify(jwk) || (kid && !json_is_string(kid)))
        return NULL;
    modulus = number_of(jwk, "n");
    exponent = number_of(jwk, "e");
    if (modulus && exponent)
        key = key_of_numbers(modulus, exponent);
    BN_free(modulus);
    BN_free(exponent);
    if (key && !is_good(key)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

static enum rc_code take_all(const json_t *list, struct sdrs_jwks *keys, struct rc_error *err)
{
    size_t i;
    const json_t *jwk;

    json_array_foreach(list, i, jwk)
    {
        EVP_PKEY *key = key_of_jwk(jwk);

        if (key)
            add(keys, json_string_value(json_object_get(jwk, "kid")), key);
    }
    ERR_clear_error();
    if (keys->count > 0)
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "none of the %zu keys in the JWKS document is an RSA key for RS256 signatures, "
                   "of %d to %d bits",
                   json_array_size(list), LEAST_BITS, MOST_BITS);
}

/* In place of a JWKS document Google has certificates by the names of their keys, too. */
static enum rc_code take_certificates(json_t *document, struct sdrs_jwks *keys,
                                      struct rc_error *err)
{
    const char *kid;
    json_t *pem;

    json_object_foreach(document, kid, pem)
    {
        struct rc_error unfit = RC_ERROR_INIT;
        EVP_PKEY *key = json_is_string(pem)
                            ? key_of_text(json_string_value(pem), json_string_length(pem), &unfit)
                            : NULL;

        if (key)
            add(keys, kid, key);
    }
    if (keys->count > 0)
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "the JWKS document has no list 'keys', and no certificates of RSA keys by their "
                   "names in its place");
}

static enum rc_code take(json_t *document, struct sdrs_jwks **out, struct rc_error *err)
{
    const json_t *list = json_object_get(document, "keys");
    size_t count = list ? json_array_size(list) : json_object_size(document);
    struct sdrs_jwks *keys;
    enum rc_code code;

    if (!json_is_object(document) || (list && !json_is_array(list)))
        return rc_fail(err, RC_INVALID, "the JWKS document has no list 'keys'");
    if (count > MOST_KEYS)
        return rc_fail(err, RC_INVALID, "the JWKS document has %zu keys; at most %d are read",
                       count, MOST_KEYS);
    keys = keys_new(count + 1);
    code = list ? take_all(list, keys, err) : take_certificates(document, keys, err);
    if (!code)
        *out = keys;
    else
        sdrs_jwks_free(keys);
    return code;
}

enum rc_code sdrs_jwks_parse(const char *json, size_t len, struct sdrs_jwks **out,
                             struct rc_error *err)
{
    json_error_t why;
    json_t *document = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
    enum rc_code code = document
                            ? take(document, out, err)
                            : rc_fail(err, RC_INVALID, "the JWKS document is no JSON: line %d: %s",
                                      why.line, why.text);

    json_decref(document);
    return code;
}

/* ---- asking ---------------------------------------------------------------------------------- */

size_t sdrs_jwks_count(const struct sdrs_jwks *keys)
{
    return keys->count;
}

static bool is_named(const struct sdrs_jwks *keys, const struct key *key, const char *kid)
{
    if (keys->is_for_all)
        return true;
    return *kid ? rc_str_eq(key->kid, kid) : keys->count == 1;
}

bool sdrs_jwks_has(const struct sdrs_jwks *keys, const char *kid)
{
    for (size_t i = 0; i < keys->count; i++)
        if (is_named(keys, &keys->items[i], kid))
            return true;
    return false;
}

static bool signed_by(EVP_PKEY *key, const void *data, size_t len, const unsigned char *signature,
                      size_t signature_len)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(context, signature, signature_len, data, len) == 1;

    EVP_MD_CTX_free(context);
    return good;
}

bool sdrs_jwks_verifies(const struct sdrs_jwks *keys, const char *kid, const void *data, size_t len,
                        const unsigned char *signature, size_t signature_len)
{
    bool good = false;

    /* Names should be unique, and need not be. */
    for (size_t i = 0; i < keys->count && !good; i++)
        good = is_named(keys, &keys->items[i], kid) &&
               signed_by(keys->items[i].rsa, data, len, signature, signature_len);
    ERR_clear_error();
    return good;
}
