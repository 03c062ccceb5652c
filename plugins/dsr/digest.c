/*
 * SHA-256 by OpenSSL. Hashes that have a key are the journal's.
 */
#include "digest.h"

#include <run-core/str.h>

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct dsr_digest {
    EVP_MD_CTX *context;
};

static enum rc_code failed(struct rc_error *err)
{
    return rc_fail(err, RC_FAILED, "OpenSSL gives no SHA-256");
}

enum rc_code dsr_digest_new(struct dsr_digest **out, struct rc_error *err)
{
    struct dsr_digest *digest = rc_calloc(1, sizeof(*digest));

    digest->context = EVP_MD_CTX_new();
    if (!digest->context || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1) {
        dsr_digest_free(digest);
        return failed(err);
    }
    *out = digest;
    return RC_OK;
}

void dsr_digest_free(struct dsr_digest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

enum rc_code dsr_digest_add(struct dsr_digest *digest, const void *data, size_t len,
                            struct rc_error *err)
{
    return EVP_DigestUpdate(digest->context, data, len) == 1 ? RC_OK : failed(err);
}

enum rc_code dsr_digest_end(struct dsr_digest *digest, char out[DSR_HASH_TEXT],
                            struct rc_error *err)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (EVP_DigestFinal_ex(digest->context, bytes, &len) != 1)
        return failed(err);
    RC_ASSERT(2 * (size_t)len + 1 == DSR_HASH_TEXT);
    dsr_hex(out, bytes, len);
    return RC_OK;
}

/* SHA-256 cannot fail for a text in memory. */
void dsr_digest_text(const char *text, char out[DSR_HASH_TEXT])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    RC_ASSERT(EVP_Digest(text, strlen(text), bytes, &len, EVP_sha256(), NULL) == 1);
    RC_ASSERT(2 * (size_t)len + 1 == DSR_HASH_TEXT);
    dsr_hex(out, bytes, len);
}

void dsr_hex(char *out, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[from[i] >> 4];
        out[2 * i + 1] = digits[from[i] & 15];
    }
    out[2 * len] = '\0';
}
