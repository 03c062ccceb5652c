/*
 * JSON web tokens: whether one is genuine, and whose it is.
 *
 * RFC 7519, RFC 7515 and RFC 7518 section 3.3 (RS256 alone), RFC 7517 (JWKS), RFC 8725. Any thread
 * may call.
 */
#ifndef SDRS_JWT_H
#define SDRS_JWT_H

#include "../config.h"
#include "token.h"

/* Whether tokens are asked for at all: one of the two options for keys is set. */
bool sdrs_jwt_needed(const struct sdrs_config *config);

/*
 * Verifies the token of an Authorization header ("Bearer TOKEN"; NULL: there is none) by the
 * configured keys, issuer, audience and by the clock. Keys are read again when they are old, and
 * when a token names one that is not known, but not more often than every ten seconds.
 *
 * RC_DENIED: it is not genuine, or there is none; the message says why and never the token.
 * RC_UNAVAILABLE: the keys cannot be had; why is in the log alone.
 */
RC_MUST_CHECK enum rc_code sdrs_jwt_verify(struct rc_job *job, const struct sdrs_config *config,
                                           const char *authorization, struct sdrs_claims *out,
                                           struct rc_error *err);

/* The WWW-Authenticate header for a request that was refused (RFC 6750, section 3). A constant. */
const char *sdrs_jwt_challenge(const char *authorization);

#endif
