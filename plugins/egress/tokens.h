/*
 * Where a sync was, in the plugin's own tables: the token of its transfer, under what it copies
 * from where to where.
 */
#ifndef EGRESS_TOKENS_H
#define EGRESS_TOKENS_H

#include <run-core/plugin.h>

enum { EGRESS_TOKEN_KEY = 65 }; /* SHA-256 in hex */

struct egress_tokens {
    struct rc_job *job;
    struct rc_db *db;
    char key[EGRESS_TOKEN_KEY];
};

/* 'what' is any text that says which transfer it is. */
RC_MUST_CHECK enum rc_code egress_tokens_open(struct rc_job *job, const char *what,
                                              struct egress_tokens *out, struct rc_error *err);
void egress_tokens_close(struct egress_tokens *tokens);

/* The token that an earlier run has left is added to 'out'; nothing, where there is none. */
RC_MUST_CHECK enum rc_code egress_tokens_load(struct egress_tokens *tokens, struct rc_buf *out,
                                              struct rc_error *err);
RC_MUST_CHECK enum rc_code egress_tokens_save(struct egress_tokens *tokens, const char *token,
                                              struct rc_error *err);
RC_MUST_CHECK enum rc_code egress_tokens_drop(struct egress_tokens *tokens, struct rc_error *err);

/* SHA-256 of a text, in hex. */
void egress_digest_text(const char *text, char out[EGRESS_TOKEN_KEY]);

#endif
