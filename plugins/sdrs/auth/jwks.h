/*
 * Public RSA keys, of a JWKS document or a PEM file.
 *
 * They do not change once they are read, so that threads may share them.
 */
#ifndef SDRS_JWKS_H
#define SDRS_JWKS_H

#include <run-core/error.h>

#include <stdbool.h>
#include <stddef.h>

struct sdrs_jwks;

/*
 * Keys of the document that are for something else, or not understood, are passed over (RFC 7517,
 * section 5). In its place may be an object of certificates, in PEM, by the names of their keys.
 * RC_INVALID: neither, or none of its keys is an RSA key for RS256 of 2048 bits at least.
 */
RC_MUST_CHECK enum rc_code sdrs_jwks_parse(const char *json, size_t len, struct sdrs_jwks **out,
                                           struct rc_error *err);
/*
 * Of one key or certificate, which then is for every "kid". A certificate is only what the key is
 * in: who signed it and until when is not asked.
 */
RC_MUST_CHECK enum rc_code sdrs_jwks_from_pem(const char *pem, size_t len, struct sdrs_jwks **out,
                                              struct rc_error *err);

/* One more who has them; each frees them once. Returns 'keys'. */
struct sdrs_jwks *sdrs_jwks_share(struct sdrs_jwks *keys);
void sdrs_jwks_free(struct sdrs_jwks *keys);

size_t sdrs_jwks_count(const struct sdrs_jwks *keys);
/* Whether there is a key of that name ("": the token names none, and there is exactly one). */
bool sdrs_jwks_has(const struct sdrs_jwks *keys, const char *kid);
/* Whether such a key signed the data, by RS256. */
bool sdrs_jwks_verifies(const struct sdrs_jwks *keys, const char *kid, const void *data, size_t len,
                        const unsigned char *signature, size_t signature_len);

#endif
