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
    unsigned attempts;       /* of each request; 0: as the host is configured */
    int64_t total_ms;        /* of each attempt; 0: a minute */
};

/*
 * Calls METHOD endpoint/path with a JSON body (may be NULL) and gives the reply (owned, an object;
 * under --dry-run an empty one where nothing was sent). The host tries again what failed and may
 * pass, after growing pauses or those that the service asks for: GET and DELETE, and others as
 * 'repeatable' says.
 *
 * RC_CONFLICT: there is one of that name already (ALREADY_EXISTS). RC_NOT_FOUND, RC_DENIED,
 * RC_INVALID, RC_UNAVAILABLE: as the service's status says. RC_FAILED: another refusal, such as
 * FAILED_PRECONDITION. The message has the service's words.
 */
RC_MUST_CHECK enum rc_code sdrs_google_call(const struct sdrs_google *google, const char *method,
                                            const char *path, json_t *body, bool repeatable,
                                            json_t **reply, struct rc_error *err);

/*
 * Appends "v1/" and a name of the service's as "transferJobs/123", so that whatever stands in it is
 * part of the path: a project's name comes from whoever made a rule.
 */
void sdrs_google_path(struct rc_buf *out, const char *name);

/* Whether it is the service that has refused, and not the host that could not ask it. */
bool sdrs_google_has_refused(const struct sdrs_google *google, const struct rc_error *err);

/* For RC_CLEANUP. */
static inline void sdrs_json_drop(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}
#define SDRS_JSON_AUTO RC_CLEANUP(sdrs_json_drop) json_t *

/* A member that is a text, "" where it is none; a time, or a number that is sent as a text, 0. */
const char *sdrs_json_text(const json_t *object, const char *name);
int64_t sdrs_json_time(const json_t *object, const char *name);
int64_t sdrs_json_int(const json_t *object, const char *name);

#endif
