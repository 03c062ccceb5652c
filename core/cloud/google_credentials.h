/*
 * Google access tokens: a given one, the key file of a service account or an authorised user
 * (GOOGLE_APPLICATION_CREDENTIALS, gcloud's own file), the metadata server. Fetched when first
 * wanted, renewed before they run out, once for all threads. Thread-safe.
 */
#ifndef CORE_CLOUD_GOOGLE_CREDENTIALS_H
#define CORE_CLOUD_GOOGLE_CREDENTIALS_H

#include <http/client.h>

struct core_google_credentials;

/* NULL has no say. The texts are copied, the client is borrowed. */
struct core_google_credentials_settings {
    bool anonymous;
    const char *access_token;
    const char *file;  /* JSON of a service account or an authorised user */
    const char *scope; /* cloud-platform */
    struct core_http_client *http;
};

struct core_google_credentials *
core_google_credentials_new(const struct core_google_credentials_settings *settings);
void core_google_credentials_free(struct core_google_credentials *credentials);

/*
 * Appends the value of the header Authorization ("Bearer ..."), nothing where anonymous.
 * RC_NOT_FOUND: no credentials; the error names every place that was looked at. RC_DENIED: refused.
 * RC_INVALID: a file that makes no sense. RC_UNAVAILABLE.
 */
RC_MUST_CHECK enum rc_code core_google_credentials_get(struct core_google_credentials *credentials,
                                                       const struct core_cancel *cancel,
                                                       struct rc_buf *out, struct rc_error *err);
/*
 * The project in whose name something is made: GOOGLE_CLOUD_PROJECT, else that of the file that the
 * credentials come from. The caller frees it; NULL: neither says one.
 */
RC_MUST_CHECK enum rc_code
core_google_credentials_project(const struct core_google_credentials *credentials, char **out,
                                struct rc_error *err);
/* As of AWS: a server has refused this header. */
bool core_google_credentials_refuse(struct core_google_credentials *credentials,
                                    const char *authorization);

#endif
