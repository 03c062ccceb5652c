/*
 * A plugin's request to one of Google's services, with the token by which the host reaches a bucket
 * of its configuration: how RC_HTTP_AUTH_GOOGLE is done. Where the token comes from, and that it is
 * fetched once for all threads, is cloud/google_credentials.h.
 */
#ifndef CORE_RUNTIME_HTTP_GOOGLE_H
#define CORE_RUNTIME_HTTP_GOOGLE_H

#include <cloud/google_credentials.h>
#include <runtime/run.h>

/* For one request; zeroed before its beginning. */
struct core_http_google {
    struct core_google_credentials *credentials; /* NULL: the bucket is reached without any */
    const struct core_cancel *cancel;
    struct rc_buf authorization; /* of the last attempt */
    bool renewed;
};

/* Whether the request may carry a token at all; RC_INVALID says why not. */
RC_MUST_CHECK enum rc_code core_http_google_check(const struct rc_http_request *request,
                                                  struct rc_error *err);
/* Has the call send it. */
RC_MUST_CHECK enum rc_code core_http_google_begin(struct core_http_google *google,
                                                  const struct core_job *job,
                                                  const struct rc_http_request *request,
                                                  struct core_http_call *call,
                                                  struct rc_error *err);
void core_http_google_clear(struct core_http_google *google);

#endif
