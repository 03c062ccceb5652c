/*
 * One JSON web token: its parts, and what it claims. Where keys come from is keys.h's matter.
 *
 * Pure. All that a token may be refused for is RC_DENIED, with a message that has none of it.
 */
#ifndef SDRS_TOKEN_H
#define SDRS_TOKEN_H

#include "jwks.h"

#include <run-core/buf.h>

#include <stdint.h>

enum { SDRS_TOKEN_BYTES = 16 * 1024, SDRS_EMAIL_TEXT = 256 };

/* A token whose header has been read: nothing else of it may be believed yet. */
struct sdrs_token {
    char *kid;        /* "": it names no key */
    const char *text; /* borrowed; its first 'signed_len' bytes are what is signed */
    size_t signed_len;
    struct rc_buf payload, signature;
};

/*
 * Splits a token in the compact form and reads its header. That has to say RS256, to want nothing
 * that has to be understood ("crit"), and, if it has a type, to be an ordinary or an access token.
 * 'out' is to be cleared whatever comes back.
 */
RC_MUST_CHECK enum rc_code sdrs_token_open(const char *text, struct sdrs_token *out,
                                           struct rc_error *err);
void sdrs_token_clear(struct sdrs_token *token);

/* What a token has to claim. */
struct sdrs_expectation {
    const char *issuer, *audience; /* NULL: whichever */
    int64_t now_unix_ms, skew_ms;
};

struct sdrs_claims {
    char email[SDRS_EMAIL_TEXT]; /* "unknown" where there is none, or one that is not verified */
};

/* Verifies the signature by the keys, then the claims. */
RC_MUST_CHECK enum rc_code sdrs_token_check(const struct sdrs_token *token,
                                            const struct sdrs_jwks *keys,
                                            const struct sdrs_expectation *expected,
                                            struct sdrs_claims *out, struct rc_error *err);

#endif
