/*
 * SHA-256 of what comes piece by piece, and bytes in hexadecimal. Pure.
 */
#ifndef DSR_DIGEST_H
#define DSR_DIGEST_H

#include <run-core/error.h>

#include <stddef.h>

enum { DSR_HASH_TEXT = 65 }; /* SHA-256 in hex */

struct dsr_digest; /* belongs to one thread */

RC_MUST_CHECK enum rc_code dsr_digest_new(struct dsr_digest **out, struct rc_error *err);
void dsr_digest_free(struct dsr_digest *digest);
RC_MUST_CHECK enum rc_code dsr_digest_add(struct dsr_digest *digest, const void *data, size_t len,
                                          struct rc_error *err);
/* Of all that was added; nothing can be added any more. */
RC_MUST_CHECK enum rc_code dsr_digest_end(struct dsr_digest *digest, char out[DSR_HASH_TEXT],
                                          struct rc_error *err);

/* Of one text; for what nobody has to keep secret. */
void dsr_digest_text(const char *text, char out[DSR_HASH_TEXT]);

/* In lower case, of 2 * len + 1 bytes. */
void dsr_hex(char *out, const void *bytes, size_t len);

#endif
