/*
 * The JSON files by which Google's tools hold credentials, taken apart. Pure: what they are good
 * for is in google_fetch.h.
 */
#ifndef CORE_CLOUD_GOOGLE_KEY_H
#define CORE_CLOUD_GOOGLE_KEY_H

#include <base/arena.h>
#include <http/client.h>

enum core_google_key_kind {
    CORE_GOOGLE_SERVICE_ACCOUNT,
    CORE_GOOGLE_AUTHORIZED_USER,
    CORE_GOOGLE_EXTERNAL_ACCOUNT, /* workload identity federation */
    CORE_GOOGLE_IMPERSONATED,     /* a service account on behalf of another key */
};

/* Only the members of its kind are set. All texts belong to the arena. */
struct core_google_key {
    struct core_arena arena;
    enum core_google_key_kind kind;

    const char *client_email, *private_key, *private_key_id; /* the last may be NULL */
    const char *client_id, *client_secret, *refresh_token;
    const char *token_url; /* where it is exchanged for an access token */
    const char *project;   /* that it belongs to, or that pays for what it does; NULL: not said */

    struct {
        const char *audience, *token_type;
        const char *file, *url;           /* one of them: where the token of the other party is */
        struct core_http_header *headers; /* of the request to 'url' */
        size_t header_count;
        const char *field; /* of JSON, that holds the token; NULL: it is the whole text */
    } subject;

    const char *impersonation_url; /* of any external account, or NULL; of an impersonated one */
    const char **delegates;
    size_t delegate_count;
    struct core_google_key *source; /* of an impersonated one */
};

#define CORE_GOOGLE_KEY_AUTO(name)                                                                 \
    RC_CLEANUP(core_google_key_clear)                                                              \
    struct core_google_key name = { .arena = CORE_ARENA_INIT }

void core_google_key_clear(struct core_google_key *key);

/* RC_INVALID: it is none, and why. RC_UNSUPPORTED: of a kind that is not known here. */
RC_MUST_CHECK enum rc_code core_google_key_parse(const char *text, size_t len,
                                                 struct core_google_key *out, struct rc_error *err);

#endif
