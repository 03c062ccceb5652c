/*
 * Digests and the texts they travel as. On libcrypto, which is loaded at the first use. Thread-
 * safe; a running digest belongs to one thread.
 */
#ifndef CORE_OS_DIGEST_H
#define CORE_OS_DIGEST_H

#include <run-core/buf.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum core_digest_kind { CORE_MD5, CORE_SHA1, CORE_SHA256 };
enum { CORE_DIGEST_BYTES = 32, CORE_DIGEST_HEX = 2 * CORE_DIGEST_BYTES + 1 };

/* RC_NOT_FOUND, RC_UNSUPPORTED: no libcrypto. Those below need it to be OK. */
RC_MUST_CHECK enum rc_code core_digest_load(struct rc_error *err);

size_t core_digest_len(enum core_digest_kind kind);
void core_digest(enum core_digest_kind kind, const void *data, size_t len,
                 unsigned char out[CORE_DIGEST_BYTES]);
void core_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                      unsigned char out[CORE_DIGEST_BYTES]);
/* Whether both are equal, in a time that does not depend on where they differ. */
bool core_digest_equal(const void *a, const void *b, size_t len);

struct core_running_digest;
struct core_running_digest *core_running_digest_new(enum core_digest_kind kind);
void core_running_digest_add(struct core_running_digest *digest, const void *data, size_t len);
/* Of all that was added; begins anew. */
void core_running_digest_end(struct core_running_digest *digest,
                             unsigned char out[CORE_DIGEST_BYTES]);
void core_running_digest_free(struct core_running_digest *digest);

/* CRC-32C (Castagnoli) going on from 'crc', 0 at the begin. Needs no library. */
uint32_t core_crc32c(uint32_t crc, const void *data, size_t len);
/* The same as a processor without an instruction for it does it, for tests. */
uint32_t core_crc32c_by_tables(uint32_t crc, const void *data, size_t len);

/* Of a hexadecimal digit in either case; -1: it is none. */
int core_hex_value(char digit);
void core_add_hex(struct rc_buf *out, const void *data, size_t len);
void core_add_base64(struct rc_buf *out, const void *data, size_t len);
/* RFC 4648 section 5, without padding, as JSON web tokens want it. */
void core_add_base64url(struct rc_buf *out, const void *data, size_t len);
/* False, nothing added: it is not base64 (padding is required). */
RC_MUST_CHECK bool core_add_decoded_base64(struct rc_buf *out, const char *text, size_t len);

#endif
