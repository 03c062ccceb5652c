/*
 * Signs JSON web tokens. What they claim, and to whom they go, is the caller's matter.
 */
#include <cloud/jwt.h>

#include <os/digest.h>
#include <os/library.h>

#include <run-core/str.h>

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <string.h>

enum { SIGNATURE_BYTES = 2048 }; /* of a key of 16384 bits, the largest that libcrypto takes */

struct crypto {
    __typeof__(&BIO_new_mem_buf) text_open;
    __typeof__(&BIO_free) text_close;
    __typeof__(&PEM_read_bio_PrivateKey) read_key;
    __typeof__(&EVP_PKEY_get_base_id) key_kind;
    __typeof__(&EVP_PKEY_free) key_free;
    __typeof__(&EVP_MD_CTX_new) context_new;
    __typeof__(&EVP_MD_CTX_free) context_free;
    __typeof__(&EVP_sha256) sha256;
    __typeof__(&EVP_DigestSignInit) sign_begin;
    __typeof__(&EVP_DigestSign) sign;
    __typeof__(&ERR_clear_error) forget_errors;
};

static const struct core_library_symbol symbols[] = {
    { "BIO_new_mem_buf", offsetof(struct crypto, text_open) },
    { "BIO_free", offsetof(struct crypto, text_close) },
    { "PEM_read_bio_PrivateKey", offsetof(struct crypto, read_key) },
    { "EVP_PKEY_get_base_id", offsetof(struct crypto, key_kind) },
    { "EVP_PKEY_free", offsetof(struct crypto, key_free) },
    { "EVP_MD_CTX_new", offsetof(struct crypto, context_new) },
    { "EVP_MD_CTX_free", offsetof(struct crypto, context_free) },
    { "EVP_sha256", offsetof(struct crypto, sha256) },
    { "EVP_DigestSignInit", offsetof(struct crypto, sign_begin) },
    { "EVP_DigestSign", offsetof(struct crypto, sign) },
    { "ERR_clear_error", offsetof(struct crypto, forget_errors) },
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct crypto loaded;

static enum rc_code load(const struct crypto **out, struct rc_error *err)
{
    enum rc_code code = RC_OK;

    (void)pthread_mutex_lock(&mutex);
    if (!loaded.text_open) {
        struct crypto fresh = { .text_open = NULL };

        code = core_library_load("libcrypto.so.3", symbols, RC_ARRAY_LEN(symbols), &fresh, err);
        if (code)
            (void)rc_context(err, "load the library that signs tokens (Debian: libssl3)");
        else
            loaded = fresh;
    }
    (void)pthread_mutex_unlock(&mutex);
    *out = &loaded;
    return code;
}

/* In place of libcrypto's own, which would ask on the terminal. */
static int no_passphrase(char *text, int capacity, int writing, void *context)
{
    (void)text;
    (void)capacity;
    (void)writing;
    (void)context;
    return -1;
}

static EVP_PKEY *read_key(const struct crypto *crypto, const char *pem)
{
    size_t len = strlen(pem);
    BIO *text = len <= INT_MAX ? crypto->text_open(pem, (int)len) : NULL;
    EVP_PKEY *key = text ? crypto->read_key(text, NULL, no_passphrase, NULL) : NULL;

    if (text)
        (void)crypto->text_close(text);
    if (key && crypto->key_kind(key) != EVP_PKEY_RSA) {
        crypto->key_free(key);
        key = NULL;
    }
    return key;
}

static bool sign(const struct crypto *crypto, EVP_PKEY *key, const char *data, size_t len,
                 unsigned char *signature, size_t *signature_len)
{
    EVP_MD_CTX *context = crypto->context_new();
    bool good;

    if (!context)
        rc_out_of_memory(1);
    *signature_len = SIGNATURE_BYTES;
    good = crypto->sign_begin(context, NULL, crypto->sha256(), NULL, key) == 1 &&
           crypto->sign(context, signature, signature_len, (const unsigned char *)data, len) == 1;
    crypto->context_free(context);
    return good;
}

enum rc_code core_jwt_sign(const char *header, const char *claims, const char *private_key,
                           struct rc_buf *out, struct rc_error *err)
{
    unsigned char signature[SIGNATURE_BYTES];
    const struct crypto *crypto;
    size_t begin = out->len, signature_len;
    enum rc_code code;

    if (load(&crypto, err))
        return err->code;
    EVP_PKEY *key = read_key(crypto, private_key);
    if (!key) {
        crypto->forget_errors();
        return rc_fail(err, RC_INVALID,
                       "the private key is not an RSA key in PEM without a passphrase");
    }

    core_add_base64url(out, header, strlen(header));
    rc_buf_addc(out, '.');
    core_add_base64url(out, claims, strlen(claims));
    code = rc_buf_check(out, err);
    if (!code && !sign(crypto, key, out->data + begin, out->len - begin, signature, &signature_len))
        code = rc_fail(err, RC_INVALID, "libcrypto does not sign with the private key");
    crypto->key_free(key);
    crypto->forget_errors();
    if (code)
        return code;

    rc_buf_addc(out, '.');
    core_add_base64url(out, signature, signature_len);
    return rc_buf_check(out, err);
}
