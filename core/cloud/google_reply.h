/*
 * What Google's services reply: failures in their several shapes, and access tokens. Pure.
 */
#ifndef CORE_CLOUD_GOOGLE_REPLY_H
#define CORE_CLOUD_GOOGLE_REPLY_H

#include <base/arena.h>
#include <http/client.h>

#include <stdbool.h>

struct core_node;

/* A whole number, which Google writes as a text or as a number. */
bool core_google_int(const struct core_node *map, const char *name, int64_t *out);

/* What a reply says of a failure. NULL: not said. The texts belong to the arena. */
struct core_google_failure {
    const char *status;  /* "PERMISSION_DENIED", "invalid_grant" */
    const char *reason;  /* "rateLimitExceeded" */
    const char *message; /* for people; of a reply that is not JSON, its first line */
};

void core_google_read_failure(struct core_arena *arena, const char *body, size_t len,
                              struct core_google_failure *out);

/*
 * Makes the error of a reply whose status is not 2xx: its code by the status, its cause with
 * status, reason, message and the request's id. Returns the code.
 */
enum rc_code core_google_fail(const struct core_http_answer *answer, struct rc_error *err);
/* The same of a status and a body without headers, as in a batch. */
enum rc_code core_google_fail_with(unsigned status, const char *body, size_t len,
                                   const char *request_id, struct rc_error *err);

/* The judge for Google's APIs, but for credentials: 403 means "slower" for some reasons. */
enum core_http_verdict core_google_judge(unsigned status, const char *body, size_t len);

struct core_google_token {
    char *text;
    int64_t expires_unix_ms;
};

#define CORE_GOOGLE_TOKEN_AUTO(name)                                                               \
    RC_CLEANUP(core_google_token_clear) struct core_google_token name = { .text = NULL }

/* Overwrites it before it is freed. */
void core_google_token_clear(struct core_google_token *token);

/*
 * The token of a reply of a token server, the metadata server or the impersonation of a service
 * account. RC_CORRUPT: there is none in it.
 */
RC_MUST_CHECK enum rc_code core_google_token_parse(const char *body, size_t len,
                                                   int64_t now_unix_ms,
                                                   struct core_google_token *out,
                                                   struct rc_error *err);

#endif
