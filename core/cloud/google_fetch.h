/*
 * Fetches access tokens: by a key file, or from the metadata server of a machine at Google. Keeps
 * nothing.
 */
#ifndef CORE_CLOUD_GOOGLE_FETCH_H
#define CORE_CLOUD_GOOGLE_FETCH_H

#include <cloud/google_key.h>
#include <cloud/google_reply.h>

struct core_google_fetch {
    const char *scope; /* NULL: all of the cloud platform */
    struct core_http_client *http;
    const struct core_cancel *cancel;
};

/* *out is empty before. RC_DENIED: the token server refuses the key. */
RC_MUST_CHECK enum rc_code core_google_fetch_by_key(const struct core_google_fetch *fetch,
                                                    const struct core_google_key *key,
                                                    struct core_google_token *out,
                                                    struct rc_error *err);
/* RC_NOT_FOUND: there is no such server here, or it has no service account. */
RC_MUST_CHECK enum rc_code core_google_fetch_from_machine(const struct core_google_fetch *fetch,
                                                          struct core_google_token *out,
                                                          struct rc_error *err);

#endif
