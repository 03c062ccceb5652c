/*
 * Tokens of Google's in the requests of plugins. A plugin never sees one: it names a bucket, and
 * the host sends what it would send there itself.
 */
#include <runtime/http_google.h>

#include <base/url.h>
#include <cloud/google_reply.h>
#include <storage/storage.h>

#include <run-core/str.h>

#include <string.h>
#include <strings.h>

enum { AUTHORIZATION_BYTES = 64 * 1024 };

static const char header_name[] = "Authorization";

enum rc_code core_http_google_check(const struct rc_http_request *request, struct rc_error *err)
{
    const char *name = request->name ? request->name : "the request";
    bool loopback;

    if (!request->credentials || !rc_str_starts(request->credentials, "gs://"))
        return rc_fail(err, RC_INVALID,
                       "%s: Google's credentials are those of a bucket, as 'gs://bucket', which "
                       "'%s' is not",
                       name, request->credentials ? request->credentials : "");
    if (!core_url_is_private(request->url, &loopback))
        return rc_fail(err, RC_INVALID,
                       "%s: a token goes by https or to this machine alone; correct the address",
                       name);
    if (request->user)
        return rc_fail(err, RC_INVALID, "%s: it has a user beside Google's credentials", name);
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, header_name) == 0)
            return rc_fail(err, RC_INVALID, "%s: it has a header '%s' beside Google's credentials",
                           name, header_name);
    return RC_OK;
}

static enum rc_code prepare(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    struct core_http_google *google = context;

    rc_buf_reset(&google->authorization);
    if (!google->credentials)
        return RC_OK;
    if (core_google_credentials_get(google->credentials, google->cancel, &google->authorization,
                                    err)) {
        if (err->code == RC_NOT_FOUND)
            err->code = RC_DENIED; /* it is not the thing asked for that is not there */
        return err->code;
    }
    if (google->authorization.len == 0)
        return RC_OK;
    rc_buf_add(&draft->headers, header_name, sizeof(header_name));
    rc_buf_add(&draft->headers, google->authorization.data, google->authorization.len + 1);
    return RC_OK;
}

static enum core_http_verdict judge(void *context, const struct core_http_answer *answer)
{
    struct core_http_google *google = context;

    if (answer->status != 401)
        return core_google_judge(answer->status, answer->body.data, answer->body.len);
    if (!google->credentials || google->authorization.len == 0 || google->renewed)
        return CORE_HTTP_ACCEPT;
    google->renewed = true;
    return core_google_credentials_refuse(google->credentials, google->authorization.data)
               ? CORE_HTTP_PREPARE
               : CORE_HTTP_ACCEPT;
}

enum rc_code core_http_google_begin(struct core_http_google *google, const struct core_job *job,
                                    const struct rc_http_request *request,
                                    struct core_http_call *call, struct rc_error *err)
{
    bool loopback;

    if (core_storage_google(job->storage, request->credentials, &google->credentials, err))
        return rc_context(err, "%s: Google's credentials",
                          request->name ? request->name : "the request");
    google->cancel = job->cancel;
    rc_buf_init(&google->authorization, AUTHORIZATION_BYTES);
    (void)core_url_is_private(request->url, &loopback);
    call->direct = loopback; /* a proxy is another machine */
    call->prepare = prepare;
    call->judge = judge;
    call->context = google;
    return RC_OK;
}

void core_http_google_clear(struct core_http_google *google)
{
    if (google->authorization.len > 0)
        explicit_bzero(google->authorization.data, google->authorization.len);
    rc_buf_clear(&google->authorization);
}
