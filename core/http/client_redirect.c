/*
 * Redirections. They are followed here rather than by libcurl, which would send all headers to
 * whatever server it is led to.
 */
#include <http/client_internal.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool core_http_is_redirect(const struct request *request)
{
    unsigned status = request->answer->status;

    return request->call->redirects > 0 &&
           (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
           core_http_answer_header(request->answer, "location");
}

/* Nothing but what describes the request itself is told to another server. */
bool core_http_may_send(const struct request *request, const char *name)
{
    static const char *const plain[] = {
        "Accept",        "Content-Type",      "If-Match",
        "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
        "Range",         "If-Range",          "User-Agent"
    };

    if (request->bodiless && strncasecmp(name, "Content-", strlen("Content-")) == 0)
        return false;
    if (!request->foreign)
        return true;
    for (size_t i = 0; i < RC_ARRAY_LEN(plain); i++)
        if (strcasecmp(plain[i], name) == 0)
            return true;
    return false;
}

bool core_http_has_user(const struct request *request)
{
    return request->call->user && !request->foreign;
}

/* NULL for what is no URL. */
static char *resolve(const struct core_curl *curl, const char *base, const char *location)
{
    CURLU *url = curl->url();
    char *text = NULL, *copy = NULL;

    if (!url)
        rc_out_of_memory(sizeof(text));
    if (curl->url_set(url, CURLUPART_URL, base, CURLU_PATH_AS_IS) == CURLUE_OK &&
        curl->url_set(url, CURLUPART_URL, location,
                      CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) == CURLUE_OK &&
        curl->url_get(url, CURLUPART_URL, &text, 0) == CURLUE_OK)
        copy = rc_strdup(text);
    curl->free(text);
    curl->url_cleanup(url);
    return copy;
}

static enum rc_code check_target(const struct request *request, const char *url,
                                 struct rc_error *err)
{
    bool is_tls = strncasecmp(url, "https://", 8) == 0;

    if (!is_tls && strncasecmp(url, "http://", 7) != 0)
        return rc_fail(err, RC_INVALID, "%s: the server redirects to something other than HTTP",
                       request->name);
    if (!is_tls && strncasecmp(request->asked_url, "https://", 8) == 0)
        return rc_fail(err, RC_INVALID,
                       "%s: the server redirects from https to http, which would give up privacy",
                       request->name);
    return RC_OK;
}

enum rc_code core_http_redirect_target(const struct request *request, char **out,
                                       struct rc_error *err)
{
    const struct core_curl *curl;

    if (request->redirects == request->call->redirects)
        return rc_fail(err, RC_FAILED, "%s: more than %u redirections", request->name,
                       request->redirects);
    if (core_curl_load(&curl, err))
        return err->code;
    RC_STR_AUTO url =
        resolve(curl, request->asked_url, core_http_answer_header(request->answer, "location"));
    if (!url)
        return rc_fail(err, RC_INVALID, "%s: the server redirects to what is no URL",
                       request->name);
    if (check_target(request, url, err))
        return err->code;
    *out = url;
    url = NULL;
    return RC_OK;
}

void core_http_follow(struct request *request, char *url)
{
    unsigned status = request->answer->status;

    if ((status == 303 && strcmp(request->method, "HEAD") != 0) ||
        (status < 303 && strcmp(request->method, "POST") == 0)) {
        request->method = "GET";
        request->bodiless = true;
    }
    request->foreign = request->foreign || !core_http_same_origin(request->asked_url, url);
    request->redirects++;
    if (core_http_has_user(request)) {
        char *bare = core_http_without_user(url);

        free(url);
        url = bare;
    }
    free(request->moved);
    request->moved = url;
    request->url = url;
    request->asked_url = NULL; /* until it is asked; it may have been in what is freed */
}
