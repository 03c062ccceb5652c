/*
 * A request: its attempts and the redirections between them. What an attempt does is that of
 * client_transfer.c; whether there is another is decided in client_retry.c.
 */
#include <http/client_internal.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

/* ---- what is asked --------------------------------------------------------------------------- */

static enum rc_code check_call(const struct core_http_call *call, const char *name,
                               const char *method, struct rc_error *err)
{
    size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);

    if (call->socket_path && strlen(call->socket_path) >= room)
        return rc_fail(
            err, RC_INVALID,
            "%s: the path of a socket has at most %zu bytes, '%s' has %zu; choose a shorter one",
            name, room - 1, call->socket_path, strlen(call->socket_path));
    if (!*method || strpbrk(method, " \t\r\n"))
        return rc_fail(err, RC_INVALID, "%s: the method is not one word", name);
    if (call->user && strpbrk(call->user, "\r\n"))
        return rc_fail(err, RC_INVALID, "%s: the name of the user has a line break", name);
    if (call->user && call->auth == CORE_HTTP_AUTH_BASIC && strchr(call->user, ':'))
        return rc_fail(err, RC_INVALID,
                       "%s: the user '%s' cannot be told in the clear, where a colon begins the "
                       "password",
                       name, call->user);
    return RC_OK;
}

static enum rc_code check_url(const struct request *request, struct rc_error *err)
{
    const char *url = request->asked_url;

    if (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0)
        return RC_OK;
    return rc_fail(err, RC_INVALID, "%s: the URL does not begin with http:// or https://",
                   request->name);
}

enum rc_code core_http_request_init(struct request *out, const struct core_http_call *call,
                                    struct core_http_answer *answer, struct rc_error *err)
{
    bool has_body = call->content || call->body_len > 0;

    *out = (struct request){
        .call = call,
        .client = call->client,
        .answer = answer,
        .name = call->name ? call->name : "an HTTP request",
        .method = call->method ? call->method
                  : has_body   ? "POST"
                               : "GET",
        .url = call->url,
        .draft = { .headers = RC_BUF_INIT(HEAD_BYTES) },
    };
    if (call->user) /* libcurl would prefer the URL's */
        out->url = out->moved = core_http_without_user(call->url);
    core_http_answer_reset(answer);
    answer->attempts = 0;
    return check_call(call, out->name, out->method, err);
}

void core_http_request_clear(struct request *request)
{
    rc_buf_clear(&request->draft.headers);
    free(request->moved);
}

/* ---- attempts -------------------------------------------------------------------------------- */

/* Another server gets nothing of what was made for this one. */
static enum rc_code prepare(struct request *request, struct rc_error *err)
{
    const struct core_http_call *call = request->call;

    core_http_answer_reset(request->answer);
    request->answer->attempts++;
    rc_buf_reset(&request->draft.headers);
    request->draft.attempt = request->answer->attempts;
    request->draft.url = request->url;
    if (call->prepare && !request->foreign &&
        (call->prepare(call->context, &request->draft, err) ||
         rc_buf_check(&request->draft.headers, err)))
        return rc_context(err, "%s", request->name);
    request->asked_url = request->draft.url;
    return check_url(request, err);
}

static bool has_head(const struct transfer *transfer)
{
    return transfer->head_done && core_http_is_success(transfer->status);
}

/* Of a stream: its body has begun, and the reader gets what came before it broke. */
static bool has_begun(const struct transfer *transfer)
{
    return has_head(transfer) && transfer->spare.len > 0;
}

static void leave(struct transfer *transfer, struct place *place)
{
    core_http_transfer_end(transfer);
    core_http_place_leave(place);
}

/* Up to the end of an attempt, which still has its lane. */
static enum rc_code attempt(struct request *request, struct transfer *transfer, struct place *place,
                            bool *began, struct rc_error *err)
{
    *began = false;
    if (prepare(request, err))
        return err->code;
    if (core_http_place_enter(request->call, request->asked_url, place, err))
        return rc_context(err, "%s", request->name);
    request->began_mono_ms = core_clock_mono_ms();
    if (core_http_transfer_begin(transfer, request, place->lane, err))
        return err->code;
    *began = true;
    return core_http_transfer_drive(transfer, request->streaming ? has_head : NULL, err);
}

/* The log is of the request that was sent, so it comes before that is another. */
static enum rc_code follow(struct request *request, const struct transfer *transfer,
                           struct rc_error *err)
{
    char *url = NULL;
    enum rc_code code = core_http_redirect_target(request, &url, err);

    core_http_log(request, transfer, code ? err->cause : NULL, code ? -1 : 0);
    if (code == RC_OK)
        core_http_follow(request, url);
    return code;
}

enum rc_code core_http_request_run(struct request *request, struct transfer *transfer,
                                   struct place *place, struct rc_error *err)
{
    for (;;) {
        bool began, streams;
        enum rc_code code = core_cancel_check(request->call->cancel, err);
        int64_t next_ms;

        if (code)
            return rc_context(err, "%s", request->name);
        code = attempt(request, transfer, place, &began, err);
        if (!began)
            return code;
        if (code == RC_OK && core_http_is_redirect(request)) {
            if (follow(request, transfer, err))
                return err->code;
            leave(transfer, place);
            continue;
        }
        streams = request->streaming && (code ? has_begun(transfer) : has_head(transfer));
        next_ms = core_http_next_in_ms(request, transfer, place->host, streams ? RC_OK : code);
        if (next_ms < 0 && streams)
            return code; /* its log comes at its end */
        core_http_log(request, transfer, code ? err->cause : request->gave_up, next_ms);
        if (next_ms < 0)
            return code;
        leave(transfer, place);
        if (next_ms > 0 && core_http_pause(request->call->cancel, next_ms, err))
            return rc_context(err, "%s", request->name);
    }
}

enum rc_code core_http_call(const struct core_http_call *call, struct core_http_answer *answer,
                            struct rc_error *err)
{
    struct request request;
    struct transfer transfer = { .lane = NULL };
    struct place place = { .lane = NULL };
    enum rc_code code;

    code = core_http_request_init(&request, call, answer, err);
    if (!code)
        code = core_http_request_run(&request, &transfer, &place, err);
    leave(&transfer, &place);
    core_http_request_clear(&request);
    return code;
}
