/*
 * MD5, SHA-1, SHA-256 and HMAC by libcrypto, and the texts that digests travel as. CRC-32C, which
 * libcrypto does not have, is in crc32c.c.
 */
#include <os/digest.h>

#include <os/library.h>

#include <run-core/str.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 }; /* of SHA-256 */

struct crypto {
    __typeof__(&EVP_MD_fetch) fetch;
    __typeof__(&EVP_MD_CTX_new) context_new;
    __typeof__(&EVP_MD_CTX_free) context_free;
    __typeof__(&EVP_DigestInit_ex) begin;
    __typeof__(&EVP_DigestUpdate) update;
    __typeof__(&EVP_DigestFinal_ex) final;
    __typeof__(&CRYPTO_memcmp) compare;
    __typeof__(&OPENSSL_cleanse) cleanse;
    /* Fetched once: to look one up for each digest takes longer than a short digest. */
    EVP_MD *kinds[CORE_SHA256 + 1];
};

static const struct core_library_symbol symbols[] = {
    { "EVP_MD_fetch", offsetof(struct crypto, fetch) },
    { "EVP_MD_CTX_new", offsetof(struct crypto, context_new) },
    { "EVP_MD_CTX_free", offsetof(struct crypto, context_free) },
    { "EVP_DigestInit_ex", offsetof(struct crypto, begin) },
    { "EVP_DigestUpdate", offsetof(struct crypto, update) },
    { "EVP_DigestFinal_ex", offsetof(struct crypto, final) },
    { "CRYPTO_memcmp", offsetof(struct crypto, compare) },
    { "OPENSSL_cleanse", offsetof(struct crypto, cleanse) },
};

static const char *const names[] = {
    [CORE_MD5] = "MD5", [CORE_SHA1] = "SHA1", [CORE_SHA256] = "SHA256"
};
static const size_t lengths[] = { [CORE_MD5] = 16, [CORE_SHA1] = 20, [CORE_SHA256] = 32 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct crypto crypto;
static atomic_bool loaded;

static enum rc_code load(struct rc_error *err)
{
    struct crypto fresh = { .fetch = NULL };

    if (core_library_load("libcrypto.so.3", symbols, RC_ARRAY_LEN(symbols), &fresh, err))
        return rc_context(err, "load the library that makes digests (Debian: libssl3)");
    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        fresh.kinds[i] = fresh.fetch(NULL, names[i], NULL);
        if (!fresh.kinds[i])
            return rc_fail(err, RC_UNSUPPORTED,
                           "libcrypto offers no %s, as this machine's openssl.cnf has it",
                           names[i]);
    }
    crypto = fresh;
    atomic_store(&loaded, true);
    return RC_OK;
}

enum rc_code core_digest_load(struct rc_error *err)
{
    enum rc_code code = RC_OK;

    if (atomic_load(&loaded))
        return RC_OK;
    (void)pthread_mutex_lock(&mutex);
    if (!atomic_load(&loaded))
        code = load(err);
    (void)pthread_mutex_unlock(&mutex);
    return code;
}

/* ---- digests --------------------------------------------------------------------------------- */

struct core_running_digest {
    EVP_MD_CTX *context;
    const EVP_MD *kind;
};

static void begin(struct core_running_digest *digest, enum core_digest_kind kind)
{
    RC_ASSERT(atomic_load(&loaded));
    digest->kind = crypto.kinds[kind];
    digest->context = crypto.context_new();
    if (!digest->context)
        rc_out_of_memory(sizeof(void *));
    RC_ASSERT(crypto.begin(digest->context, digest->kind, NULL) == 1);
}

static void end(struct core_running_digest *digest)
{
    crypto.context_free(digest->context);
}

struct core_running_digest *core_running_digest_new(enum core_digest_kind kind)
{
    struct core_running_digest *digest = rc_malloc(sizeof(*digest));

    begin(digest, kind);
    return digest;
}

void core_running_digest_add(struct core_running_digest *digest, const void *data, size_t len)
{
    RC_ASSERT(crypto.update(digest->context, data, len) == 1);
}

void core_running_digest_end(struct core_running_digest *digest,
                             unsigned char out[CORE_DIGEST_BYTES])
{
    RC_ASSERT(crypto.final(digest->context, out, NULL) == 1);
    RC_ASSERT(crypto.begin(digest->context, digest->kind, NULL) == 1);
}

void core_running_digest_free(struct core_running_digest *digest)
{
    if (digest)
        end(digest);
    free(digest);
}

size_t core_digest_len(enum core_digest_kind kind)
{
    return lengths[kind];
}

void core_digest(enum core_digest_kind kind, const void *data, size_t len,
                 unsigned char out[CORE_DIGEST_BYTES])
{
    struct core_running_digest digest;

    begin(&digest, kind);
    core_running_digest_add(&digest, data, len);
    RC_ASSERT(crypto.final(digest.context, out, NULL) == 1);
    end(&digest);
}

/* RFC 2104, in one context: what libcrypto has for it looks its digest up at every call. */
void core_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                      unsigned char out[CORE_DIGEST_BYTES])
{
    unsigned char block[BLOCK_BYTES] = { 0 };
    struct core_running_digest digest;

    if (key_len > sizeof(block))
        core_digest(CORE_SHA256, key, key_len, block);
    else if (key_len > 0)
        memcpy(block, key, key_len);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36;
    begin(&digest, CORE_SHA256);
    core_running_digest_add(&digest, block, sizeof(block));
    core_running_digest_add(&digest, data, len);
    core_running_digest_end(&digest, out);

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36 ^ 0x5c;
    core_running_digest_add(&digest, block, sizeof(block));
    core_running_digest_add(&digest, out, CORE_DIGEST_BYTES);
    RC_ASSERT(crypto.final(digest.context, out, NULL) == 1);
    end(&digest);
    crypto.cleanse(block, sizeof(block));
}

bool core_digest_equal(const void *a, const void *b, size_t len)
{
    RC_ASSERT(atomic_load(&loaded));
    return crypto.compare(a, b, len) == 0;
}

/* ---- texts ----------------------------------------------------------------------------------- */

int core_hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

void core_add_hex(struct rc_buf *out, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    char *text = rc_buf_reserve(out, 2 * len);

    if (!text)
        return;
    for (size_t i = 0; i < len; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    rc_buf_added(out, 2 * len);
}

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void add_base64(struct rc_buf *out, const unsigned char *bytes, size_t len,
                       const char *digits, bool pad)
{
    size_t text_len = pad ? (len + 2) / 3 * 4 : (len * 4 + 2) / 3;
    char *text = rc_buf_reserve(out, text_len);
    size_t at = 0;

    if (!text)
        return;
    for (size_t i = 0; i < len; i += 3) {
        unsigned group = (unsigned)bytes[i] << 16;

        if (i + 1 < len)
            group |= (unsigned)bytes[i + 1] << 8;
        if (i + 2 < len)
            group |= bytes[i + 2];
        for (unsigned shift = 18; at < text_len && shift <= 18; shift -= 6)
            text[at++] = digits[group >> shift & 63];
    }
    /* What the last group lacked has become digits of zero bits. */
    for (size_t missing = pad && len % 3 != 0 ? 3 - len % 3 : 0; missing > 0; missing--)
        text[text_len - missing] = '=';
    rc_buf_added(out, text_len);
}

void core_add_base64(struct rc_buf *out, const void *data, size_t len)
{
    add_base64(out, data, len, standard, /* pad = */ true);
}

void core_add_base64url(struct rc_buf *out, const void *data, size_t len)
{
    add_base64(out, data, len, for_urls, /* pad = */ false);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four, of which the last 'padding' are '='. False: no digits, or bits left over. */
static bool decode_group(const char *text, unsigned padding, unsigned char out[3])
{
    unsigned group = 0;

    for (unsigned i = 0; i < 4; i++) {
        int value = i < 4 - padding ? value_of(text[i]) : 0;

        if (value < 0)
            return false;
        group = group << 6 | (unsigned)value;
    }
    out[0] = (unsigned char)(group >> 16);
    out[1] = (unsigned char)(group >> 8);
    out[2] = (unsigned char)group;
    return padding == 0 || out[3 - padding] == 0;
}

bool core_add_decoded_base64(struct rc_buf *out, const char *text, size_t len)
{
    size_t before = out->len;

    if (len % 4 != 0)
        return false;
    for (size_t i = 0; i < len; i += 4) {
        bool last = i + 4 == len;
        unsigned padding = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
        unsigned char bytes[3];

        if (!decode_group(text + i, padding, bytes)) {
            rc_buf_truncate(out, before);
            return false;
        }
        rc_buf_add(out, bytes, 3 - padding);
    }
    return true;
}
