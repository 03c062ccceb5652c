/*
 * The service 'http' of the host, on the client that the run has for all but its named stores.
 */
#include <runtime/host.h>
#include <runtime/http_google.h>

#include <base/url.h>
#include <config/secrets.h>
#include <os/digest.h>
#include <runtime/output.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

struct rc_http_stream {
    struct core_http_stream *stream;
    char *name; /* for the messages of the stream */
};

/* A request in the terms of the client, with what it needs beside the plugin's own memory. */
struct made {
    struct rc_http_request request; /* as much of it as the plugin knows of */
    struct core_http_header *headers;
    struct core_http_google google;
    struct core_http_call call;
};

void core_host_record(void *context, const struct core_http_record *attempt)
{
    const struct core_run *run = context;
    RC_BUF_AUTO(text, 64 * 1024);

    core_status_count(run->status, "http_requests", 1);
    if (attempt->attempt > 1)
        core_status_count(run->status, "http_retries", 1);
    if (run->request->log_level < RC_LOG_DEBUG)
        return;
    core_http_record_text(attempt, &text);
    core_output_log(RC_LOG_DEBUG, NULL, 0, "%s: %s", attempt->name, text.data);
}

struct core_remote *core_host_remote_new(struct core_run *run)
{
    const struct core_config *config = run->request->config;

    return core_remote_new(config ? &config->settings : NULL, core_host_record, run);
}

static const char *method_of(const struct rc_http_request *request)
{
    return request->method ? request->method : request->body_len > 0 ? "POST" : "GET";
}

static bool only_reads(const struct rc_http_request *request)
{
    const char *method = method_of(request);

    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
           strcmp(method, "OPTIONS") == 0 || (request->flags & RC_HTTP_READS_ONLY);
}

static enum rc_code say_instead(struct core_job *job, const struct rc_http_request *request,
                                struct rc_error *err)
{
    RC_STR_AUTO url = core_url_public(request->url);
    const char *name = request->name ? request->name : "the request";

    if (request->flags & RC_HTTP_SECRET_URL)
        return core_host_would(job, err, "send %s (%s)", name, method_of(request));
    return core_host_would(job, err, "send %s (%s %s)", name, method_of(request), url);
}

/* The password, and what it looks like where it goes in the clear: servers may quote a header. */
static void hide_proof(const struct rc_http_request *request)
{
    RC_STR_AUTO both = NULL;
    size_t len;

    core_secret_add(request->password);
    if (!request->user || !request->password || !*request->password)
        return;
    both = rc_strf("%s:%s", request->user, request->password);
    len = strlen(both);
    RC_BUF_AUTO(proof, 4 * len);
    core_add_base64(&proof, both, len);
    core_secret_add(proof.data);
}

static void make_clear(struct made *made)
{
    core_http_google_clear(&made->google);
    free(made->headers);
}

static enum rc_code check_auth(const struct rc_http_request *request, struct rc_error *err)
{
    const char *name = request->name ? request->name : "the request";

    if (request->auth < RC_HTTP_AUTH_ANY || request->auth > RC_HTTP_AUTH_GOOGLE)
        return rc_fail(err, RC_INVALID, "%s: there is no way %d for a user to prove who he is",
                       name, request->auth);
    return request->auth == RC_HTTP_AUTH_GOOGLE ? core_http_google_check(request, err) : RC_OK;
}

/* *wanted is false if the dry run only says it. */
static enum rc_code make(struct rc_job *job, const struct rc_http_request *given,
                         struct rc_http_answer *answer, struct made *made, bool *wanted,
                         struct rc_error *err)
{
    struct core_job *core = core_job_of(job);
    const struct rc_http_request *request = &made->request;

    *wanted = false;
    answer->status = 0;
    answer->attempts = 0;
    rc_buf_reset(&answer->headers);
    rc_buf_reset(&answer->body);
    if (core_host_take(&made->request, sizeof(made->request), given, err))
        return err->code;
    if (!request->url)
        return rc_fail(err, RC_INVALID, "a request without a URL");
    if (check_auth(request, err))
        return err->code;
    if (job->dry_run && !only_reads(request))
        return say_instead(core, request, err);

    hide_proof(request);
    made->headers = rc_calloc(request->header_count + 1, sizeof(*made->headers));
    for (size_t i = 0; i < request->header_count; i++)
        made->headers[i] =
            (struct core_http_header){ request->headers[i].name, request->headers[i].value };
    made->call = (struct core_http_call){
        .name = request->name,
        .method = request->method,
        .url = request->url,
        .headers = made->headers,
        .header_count = request->header_count,
        .body = request->body,
        .body_len = request->body_len,
        .connect_ms = request->connect_ms,
        .idle_ms = request->idle_ms,
        .total_ms = request->total_ms,
        .redirects = request->redirects,
        .attempts = request->attempts,
        .repeat = request->flags & RC_HTTP_NEVER_REPEAT     ? CORE_HTTP_REPEAT_NEVER
                  : request->flags & RC_HTTP_SAFE_TO_REPEAT ? CORE_HTTP_REPEAT_SAFE
                                                            : CORE_HTTP_REPEAT_BY_METHOD,
        .user = request->user,
        .password = request->password,
        .auth = request->auth == RC_HTTP_AUTH_GOOGLE ? CORE_HTTP_AUTH_ANY
                                                     : (enum core_http_auth)request->auth,
        .secret_url = (request->flags & RC_HTTP_SECRET_URL) != 0,
        .cancel = core->cancel,
        .client = core_remote_http(core->run->remote, NULL),
    };
    *wanted = true;
    return request->auth == RC_HTTP_AUTH_GOOGLE
               ? core_http_google_begin(&made->google, core, request, &made->call, err)
               : RC_OK;
}

/* The plugin's answer has the same parts, which are lent to the client meanwhile. */
static struct core_http_answer lend(const struct rc_http_answer *answer)
{
    return (struct core_http_answer){ .headers = answer->headers, .body = answer->body };
}

static void give_back(const struct core_http_answer *lent, struct rc_http_answer *answer)
{
    answer->status = lent->status;
    answer->attempts = lent->attempts;
    answer->headers = lent->headers;
    answer->body = lent->body;
}

static enum rc_code http_call(struct rc_job *job, const struct rc_http_request *request,
                              struct rc_http_answer *answer, struct rc_error *err)
{
    RC_CLEANUP(make_clear) struct made made = { .headers = NULL };
    struct core_http_answer lent;
    enum rc_code code;
    bool wanted;

    code = make(job, request, answer, &made, &wanted, err);
    if (code || !wanted)
        return code;
    lent = lend(answer);
    code = core_http_call(&made.call, &lent, err);
    give_back(&lent, answer);
    return code;
}

static enum rc_code http_open(struct rc_job *job, const struct rc_http_request *request,
                              struct rc_http_answer *answer, struct rc_http_stream **out,
                              struct rc_error *err)
{
    RC_CLEANUP(make_clear) struct made made = { .headers = NULL };
    struct core_http_stream *inner = NULL;
    struct core_http_answer lent;
    RC_STR_AUTO name = NULL;
    enum rc_code code;
    bool wanted;

    *out = NULL;
    code = make(job, request, answer, &made, &wanted, err);
    if (code || !wanted)
        return code;
    name = rc_strdup(made.call.name);
    made.call.name = name;
    lent = lend(answer);
    code = core_http_open(&made.call, &lent, &inner, err);
    give_back(&lent, answer);
    if (code || !inner)
        return code;
    *out = rc_malloc(sizeof(**out));
    **out = (struct rc_http_stream){ .stream = inner, .name = name };
    name = NULL;
    core_host_opened();
    return RC_OK;
}

static enum rc_code http_read(struct rc_http_stream *stream, void *data, size_t capacity,
                              size_t *len, struct rc_error *err)
{
    return core_http_read(stream->stream, data, capacity, len, err);
}

static void http_close(struct rc_http_stream *stream)
{
    core_http_close(stream->stream);
    free(stream->name);
    free(stream);
    core_host_closed();
}

const struct rc_http_api core_host_http = {
    .call = http_call,
    .open = http_open,
    .read = http_read,
    .close = http_close,
};
