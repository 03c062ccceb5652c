/*
 * Requests to Google's JSON services, with the credentials of the host.
 *
 * https://google.aip.dev/193 (errors), https://cloud.google.com/apis/design/errors
 */
#ifndef SDRS_GOOGLE_API_H
#define SDRS_GOOGLE_API_H

#include <jansson.h>
#include <run-core/plugin.h>

struct sdrs_google {
    struct rc_job *job;
    const char *endpoint;    /* "https://storagetransfer.googleapis.com" */
    const char *credentials; /* a gs:// URI: those of that bucket */
    const char *name;        /* for messages: "Storage Transfer Service" */
};

/*
 * Calls METHOD endpoint/path with a JSON body (may be NULL) and gives the reply (owned, an object).
 * 429 and 5xx are tried again with growing pauses, the body's method as 'repeatable' says.
 *
 * RC_NOT_FOUND, RC_DENIED, RC_CONFLICT (ALREADY_EXISTS, ABORTED, FAILED_PRECONDITION), RC_INVALID,
 * RC_UNAVAILABLE: as the service's status says; the message has its words.
 */
RC_MUST_CHECK enum rc_code sdrs_google_call(const struct sdrs_google *google, const char *method,
                                            const char *path, json_t *body, bool repeatable,
                                            json_t **reply, struct rc_error *err);

#endif
