/*
 * HTTP of the fake host: requests are recorded, and answered by what the test has put up. What is
 * put up stands for the end of the host's own retries.
 */
#include "fake_internal.h"

#include <stdlib.h>

struct rc_http_stream {
    struct fake_job *job;
    struct rc_http_stream *base;
    char *subject, *body;
    size_t len, next;
};

static const char *method_of(const struct rc_http_request *request)
{
    return request->method ? request->method : request->body_len > 0 ? "POST" : "GET";
}

static bool only_reads(const struct rc_http_request *request)
{
    const char *method = method_of(request);

    return rc_str_eq(method, "GET") || rc_str_eq(method, "HEAD") || rc_str_eq(method, "OPTIONS") ||
           (request->flags & RC_HTTP_READS_ONLY);
}

static void record(struct rc_fake_host *fake, const struct rc_http_request *request)
{
    RC_BUF_AUTO(headers, FAKE_TEXT_LIMIT);
    struct fake_http_request *kept;

    for (size_t i = 0; i < request->header_count; i++)
        rc_buf_addf(&headers, "%s: %s\n", request->headers[i].name, request->headers[i].value);
    fake->http_requests =
        fake_grow(fake->http_requests, &fake->http_request_count, sizeof *fake->http_requests);
    kept = &fake->http_requests[fake->http_request_count - 1];
    kept->name = rc_strdup(request->name);
    kept->method = rc_strdup(method_of(request));
    kept->url = rc_strdup(request->url);
    kept->headers = rc_strdup(headers.data);
    kept->body = rc_malloc(request->body_len + 1);
    if (request->body_len)
        memcpy(kept->body, request->body, request->body_len);
    kept->body[request->body_len] = '\0';
    kept->body_len = request->body_len;
    kept->flags = request->flags;
    kept->user = rc_strdup(request->user);
    kept->password = rc_strdup(request->password);
    kept->auth = request->auth;
    /* A plugin of an older version has a shorter struct. */
    if (request->struct_bytes > offsetof(struct rc_http_request, credentials))
        kept->credentials = rc_strdup(request->credentials);
}

/* The oldest that fits and has not been used up. */
static struct fake_http_answer *choose(struct rc_fake_host *fake, const char *subject)
{
    for (size_t i = 0; i < fake->http_answer_count; i++) {
        struct fake_http_answer *answer = &fake->http_answers[i];

        if (answer->times == 0 || (answer->text && !strstr(subject, answer->text)))
            continue;
        if (answer->times > 0)
            answer->times--;
        return answer;
    }
    return NULL;
}

static enum rc_code answer_own(struct rc_fake_host *fake, const struct rc_http_request *request,
                               const char *subject, struct rc_http_answer *answer,
                               struct rc_error *err)
{
    const struct fake_http_answer *found;
    enum rc_code code = RC_OK;

    pthread_mutex_lock(&fake->mutex);
    record(fake, request);
    found = choose(fake, subject);
    if (found) {
        answer->status = found->status;
        answer->attempts = 1;
        rc_buf_add(&answer->headers, found->headers.data, found->headers.len);
        rc_buf_add(&answer->body, found->body, found->body_len);
        if (rc_buf_check(&answer->headers, err) || rc_buf_check(&answer->body, err))
            code = err->code;
    } else {
        code = rc_fail(err, RC_UNAVAILABLE, "%s: no answer is put up for '%s'",
                       request->name ? request->name : "the request", subject);
    }
    pthread_mutex_unlock(&fake->mutex);
    return code;
}

/* '*made' is false if the dry run holds the request back. */
static enum rc_code begin(struct fake_job *self, const char *service,
                          const struct rc_http_request *request, const char *subject,
                          struct rc_http_answer *answer, bool *made, struct rc_error *err)
{
    RC_ASSERT(request->struct_bytes > 0 && request->url);
    answer->status = 0;
    answer->attempts = 0;
    rc_buf_reset(&answer->headers);
    rc_buf_reset(&answer->body);
    *made = false;
    if (fake_call(self, service, subject, err))
        return err->code;
    *made = FAKE_BASE(self, http) || only_reads(request) || !fake_held_back(self, "send", subject);
    return RC_OK;
}

static enum rc_code call(struct rc_job *job, const struct rc_http_request *request,
                         struct rc_http_answer *answer, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    RC_STR_AUTO subject = rc_strf("%s %s", method_of(request), request->url);
    bool made;

    if (begin(self, "http.call", request, subject, answer, &made, err))
        return err->code;
    if (!made)
        return RC_OK;
    if (FAKE_BASE(self, http))
        return self->base->host->http->call(self->base, request, answer, err);
    return answer_own(self->fake, request, subject, answer, err);
}

static enum rc_code open_stream(struct rc_job *job, const struct rc_http_request *request,
                                struct rc_http_answer *answer, struct rc_http_stream **out,
                                struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    RC_STR_AUTO subject = rc_strf("%s %s", method_of(request), request->url);
    struct rc_http_stream *base = NULL, *stream;
    /* The body goes into the stream, so that its length is not the answer's concern. */
    struct rc_http_answer whole = RC_HTTP_ANSWER_INIT(FAKE_TEXT_LIMIT);
    bool made;
    enum rc_code code;

    *out = NULL;
    code = begin(self, "http.open", request, subject, answer, &made, err);
    if (code || !made)
        return code;
    if (FAKE_BASE(self, http)) {
        code = self->base->host->http->open(self->base, request, answer, &base, err);
    } else {
        code = answer_own(self->fake, request, subject, &whole, err);
        answer->status = whole.status;
        answer->attempts = whole.attempts;
        rc_buf_add(&answer->headers, whole.headers.data, whole.headers.len);
    }
    if (code == RC_OK && (base || whole.status / 100 == 2)) {
        stream = rc_calloc(1, sizeof *stream);
        stream->job = self;
        stream->base = base;
        stream->subject = rc_strdup(subject);
        stream->len = whole.body.len;
        stream->body = rc_buf_take(&whole.body);
        fake_opened(self->fake);
        *out = stream;
    } else if (code == RC_OK) {
        rc_buf_add(&answer->body, whole.body.data, whole.body.len);
        code = rc_buf_check(&answer->body, err);
    }
    rc_http_answer_clear(&whole);
    return code;
}

static enum rc_code read_stream(struct rc_http_stream *stream, void *data, size_t capacity,
                                size_t *len, struct rc_error *err)
{
    size_t rest = stream->len - stream->next;

    if (fake_call(stream->job, "http.read", stream->subject, err))
        return err->code;
    if (stream->base)
        return stream->job->base->host->http->read(stream->base, data, capacity, len, err);
    *len = rest < capacity ? rest : capacity;
    if (*len)
        memcpy(data, stream->body + stream->next, *len);
    stream->next += *len;
    return RC_OK;
}

static void close_stream(struct rc_http_stream *stream)
{
    fake_closed(stream->job->fake);
    if (stream->base)
        stream->job->base->host->http->close(stream->base);
    free(stream->subject);
    free(stream->body);
    free(stream);
}

const struct rc_http_api fake_http_api = {
    .call = call,
    .open = open_stream,
    .read = read_stream,
    .close = close_stream,
};

/* ---- for the test --------------------------------------------------------------------------- */

/* "Name: value" as the answer has it: the name in lower case, each with a NUL behind. */
static void add_header(struct rc_buf *out, const char *line)
{
    const char *colon = strchr(line, ':');

    RC_ASSERT(colon != NULL);
    for (const char *at = line; at < colon; at++)
        rc_buf_addc(out, (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at));
    rc_buf_addc(out, '\0');
    for (colon++; *colon == ' ';)
        colon++;
    rc_buf_add(out, colon, strlen(colon) + 1);
}

void rc_fake_host_answer_http(struct rc_fake_host *host, const char *text, int times,
                              const struct rc_fake_http_answer *answer)
{
    const char *body = answer->body ? answer->body : "";
    size_t body_len = answer->body_len ? answer->body_len : strlen(body);
    struct fake_http_answer *kept;

    pthread_mutex_lock(&host->mutex);
    host->http_answers =
        fake_grow(host->http_answers, &host->http_answer_count, sizeof *host->http_answers);
    kept = &host->http_answers[host->http_answer_count - 1];
    *kept = (struct fake_http_answer){
        .text = rc_strdup(text),
        .times = times,
        .status = answer->status,
        .headers = RC_BUF_INIT(FAKE_TEXT_LIMIT),
        .body = rc_malloc(body_len + 1),
        .body_len = body_len,
    };
    memcpy(kept->body, body, body_len);
    for (size_t i = 0; answer->headers && answer->headers[i]; i++)
        add_header(&kept->headers, answer->headers[i]);
    pthread_mutex_unlock(&host->mutex);
}

size_t rc_fake_host_http_requests(const struct rc_fake_host *host)
{
    return host->http_request_count;
}

struct rc_fake_http_request rc_fake_host_http_request(const struct rc_fake_host *host, size_t index)
{
    RC_ASSERT(index < host->http_request_count);
    const struct fake_http_request *kept = &host->http_requests[index];

    return (struct rc_fake_http_request){
        .name = kept->name,
        .method = kept->method,
        .url = kept->url,
        .headers = kept->headers,
        .body = kept->body,
        .body_len = kept->body_len,
        .flags = kept->flags,
        .user = kept->user,
        .password = kept->password,
        .auth = kept->auth,
        .credentials = kept->credentials,
    };
}

void fake_http_clear(struct rc_fake_host *fake)
{
    for (size_t i = 0; i < fake->http_answer_count; i++) {
        free(fake->http_answers[i].text);
        free(fake->http_answers[i].body);
        rc_buf_clear(&fake->http_answers[i].headers);
    }
    for (size_t i = 0; i < fake->http_request_count; i++) {
        free(fake->http_requests[i].name);
        free(fake->http_requests[i].method);
        free(fake->http_requests[i].url);
        free(fake->http_requests[i].headers);
        free(fake->http_requests[i].body);
        free(fake->http_requests[i].user);
        free(fake->http_requests[i].password);
        free(fake->http_requests[i].credentials);
    }
    free(fake->http_answers);
    free(fake->http_requests);
}
