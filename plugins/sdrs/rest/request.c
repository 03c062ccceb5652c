/*
 * All around a handler: who asks, by which UUIDs, with which state; and the reply to what went
 * wrong. What a client can help it is told, whatever else is logged once.
 */
#include "request.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_LIMIT = 2 * RC_ERROR_TEXT + 4, REPLY_LIMIT = 8 * MESSAGE_LIMIT };

/* ---- log ------------------------------------------------------------------------------------- */

void sdrs_request_write(const struct sdrs_request *request, enum rc_log_level level,
                        const char *format, ...)
{
    const struct rc_log_field fields[] = {
        { "batch", request->correlation },
        { "request", request->uuid },
        { "user", request->user.email },
    };
    RC_BUF_AUTO(text, MESSAGE_LIMIT + RC_ERROR_TEXT);
    va_list arguments;

    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    rc_log_with(request->job, level, fields, RC_ARRAY_LEN(fields), "%s", text.data);
}

/* A line for each request; what only reads is no news. */
static void log_request(const struct sdrs_request *request, unsigned status, const char *message)
{
    const char *method = rc_exchange_method(request->job, request->exchange);
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    enum rc_log_level level = status >= 500            ? RC_LOG_ERROR
                              : reads && status == 200 ? RC_LOG_DEBUG
                                                       : RC_LOG_INFO;

    sdrs_request_log(request, level, "%s %s: %u%s%s", method,
                     rc_exchange_path(request->job, request->exchange), status,
                     *message ? ", " : "", message);
}

/* ---- replies --------------------------------------------------------------------------------- */

void sdrs_set_json(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value);
}

json_t *sdrs_text_json(const char *text)
{
    json_t *json = json_string(text);
    RC_BUF_AUTO(quoted, SDRS_TEXT_LIMIT);

    if (json)
        return json;
    rc_buf_add_json(&quoted, text, strlen(text));
    return json_loadb(quoted.data, quoted.len, JSON_DECODE_ANY, NULL);
}

void sdrs_set_text(json_t *object, const char *name, const char *text)
{
    sdrs_set_json(object, name, text ? sdrs_text_json(text) : json_null());
}

void sdrs_set_number(json_t *object, const char *name, int64_t number)
{
    sdrs_set_json(object, name, json_integer(number));
}

void sdrs_set_time(json_t *object, const char *name, int64_t unix_ms)
{
    char text[RC_TIME_TEXT];

    sdrs_set_text(object, name, unix_ms ? rc_format_time(unix_ms, text) : NULL);
}

static enum rc_code send_json(struct sdrs_request *request, json_t *body, struct rc_error *err)
{
    char *text = json_dumps(body, JSON_COMPACT);

    json_decref(body);
    if (!text)
        return rc_fail(err, RC_FAILED, "the reply cannot be written as JSON");
    rc_exchange_reply(request->job, request->exchange, 200, "application/json", text, strlen(text));
    free(text);
    log_request(request, 200, "");
    return RC_OK;
}

enum rc_code sdrs_reply(struct sdrs_request *request, json_t *body, struct rc_error *err)
{
    sdrs_set_text(body, "requestUuid", request->uuid);
    return send_json(request, body, err);
}

enum rc_code sdrs_reply_list(struct sdrs_request *request, json_t *list, struct rc_error *err)
{
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        sdrs_set_text(item, "requestUuid", request->uuid);
    }
    return send_json(request, list, err);
}

enum rc_code sdrs_query(struct sdrs_request *request, const char *name, const char **out,
                        struct rc_error *err)
{
    const char *text = rc_exchange_query(request->job, request->exchange, name);
    json_t *json = text ? json_string(text) : NULL;
    bool is_utf8 = json != NULL;

    json_decref(json);
    *out = text && *text ? text : NULL;
    if (text && !is_utf8)
        return rc_fail(err, RC_INVALID, "Invalid input: %s is not UTF-8", name);
    return RC_OK;
}

enum rc_code sdrs_refuse(const struct rc_buf *mistakes, struct rc_error *err)
{
    if (mistakes->overflow)
        return rc_fail(err, RC_INVALID, "Invalid input: it is too long");
    if (mistakes->len == 0)
        return RC_OK;
    return rc_fail(err, RC_INVALID, "Invalid input: %s", mistakes->data);
}

const char *sdrs_bucket_trouble(struct sdrs_request *request, const char *uri,
                                const struct rc_error *err)
{
    if (err->code == RC_INVALID)
        return err->cause;
    sdrs_request_log(request, RC_LOG_WARN, "look for bucket '%s': %s%s%s", uri, err->context,
                     err->context[0] ? ": " : "", err->cause);
    return "the server has no access to it, and its log says why";
}

/*
 * What a client did wrong is told without a context; what went wrong while the server worked for it
 * has one, and is the server's, whatever the code says.
 */
static unsigned status_of(const struct rc_error *err)
{
    if (*err->context)
        return rc_retryable(err->code) || err->code == RC_CONFLICT || err->code == RC_CANCELLED
                   ? 503
                   : 500;
    switch (err->code) {
    case RC_INVALID:
    case RC_CONFLICT:
        return 400;
    case RC_DENIED:
        return 403;
    case RC_NOT_FOUND:
        return 404;
    case RC_TOO_LARGE:
        return 413;
    case RC_UNSUPPORTED:
        return 415;
    case RC_UNAVAILABLE:
    case RC_TIMEOUT:
    case RC_CANCELLED:
    case RC_SKIPPED:
        return 503;
    default:
        return 500;
    }
}

/* The text may hold whatever the client sent, so it is not handed to a JSON library. */
static void reply_error(struct sdrs_request *request, unsigned status, const char *message)
{
    RC_BUF_AUTO(body, REPLY_LIMIT);

    rc_buf_adds(&body, "{\"requestUuid\":");
    rc_buf_add_json(&body, request->uuid, strlen(request->uuid));
    rc_buf_adds(&body, ",\"message\":");
    rc_buf_add_json(&body, message, strlen(message));
    rc_buf_addc(&body, '}');
    rc_exchange_reply(request->job, request->exchange, status, "application/json", body.data,
                      body.len);
}

static void conclude(struct sdrs_request *request, unsigned status, const struct rc_error *err)
{
    RC_BUF_AUTO(text, MESSAGE_LIMIT);

    rc_buf_addf(&text, "%s%s%s", err->context, *err->context ? ": " : "", err->cause);
    log_request(request, status, text.data);
    if (status == 503)
        rc_exchange_add_header(request->job, request->exchange, "Retry-After", "5");
    reply_error(request, status,
                status == 500   ? "Internal server error"
                : status == 503 ? "Service unavailable, try again later"
                                : err->cause);
}

/* ---- who asks -------------------------------------------------------------------------------- */

/* What goes into logs, headers and the state as it is. */
static bool is_sane_token(const char *text)
{
    size_t len = strlen(text);

    for (const char *at = text; *at; at++)
        if (*at <= ' ' || *at > '~')
            return false;
    return len > 0 && len < SDRS_CORRELATION_TEXT;
}

static enum rc_code identify(struct sdrs_request *request, struct rc_error *err)
{
    const char *given = rc_exchange_header(request->job, request->exchange, "correlation-uuid");
    char made[SDRS_UUID_TEXT];

    if (sdrs_uuid_make(request->uuid, err))
        return err->code;
    if (!given || !is_sane_token(given)) {
        if (sdrs_uuid_make(made, err))
            return err->code;
        given = made;
    }
    (void)snprintf(request->correlation, sizeof(request->correlation), "%s", given);
    rc_exchange_add_header(request->job, request->exchange, "correlation-uuid",
                           request->correlation);
    return RC_OK;
}

/* Fills 'status', too, where it refuses. */
static enum rc_code authenticate(struct sdrs_request *request, unsigned *status,
                                 struct rc_error *err)
{
    const char *token = rc_exchange_header(request->job, request->exchange, "Authorization");
    enum rc_code code;

    if (!sdrs_jwt_needed(request->config)) {
        if (rc_exchange_is_local(request->job, request->exchange))
            return RC_OK;
        return rc_fail(err, RC_DENIED,
                       "Only clients on this machine are served without tokens: for others set "
                       "'jwt_jwks' or 'jwt_public_key_file'");
    }
    code = sdrs_jwt_verify(request->job, request->config, token, &request->user, err);
    if (code == RC_DENIED) {
        *status = 401;
        rc_exchange_add_header(request->job, request->exchange, "WWW-Authenticate",
                               sdrs_jwt_challenge(token));
    }
    return code;
}

/*
 * The rules of the configuration are made so once in a process: it does not change while it runs.
 * Whatever fails is none of the client's, and may be over when somebody has seen to it.
 */
static enum rc_code open_state(struct sdrs_request *request, unsigned *status, struct rc_error *err)
{
    static atomic_bool is_configured;

    *status = 503;
    if (atomic_load(&is_configured))
        return sdrs_state_open(request->job, &request->state, err);
    if (sdrs_open(request->job, request->config, &request->state, err))
        return err->code;
    atomic_store(&is_configured, true);
    return RC_OK;
}

/* ---- a request ------------------------------------------------------------------------------- */

enum need { NEEDS_NOTHING, NEEDS_USER, NEEDS_STATE };

static enum rc_code handle(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                           sdrs_request_fn *work, enum need need, struct rc_error *err)
{
    struct sdrs_request request = {
        .job = job, .config = config, .exchange = exchange, .user = { .email = "unknown" }
    };
    enum rc_code code;

    if (identify(&request, err))
        return err->code;
    code = need >= NEEDS_USER ? authenticate(&request, &request.status, err) : RC_OK;
    if (!code && need >= NEEDS_STATE)
        code = open_state(&request, &request.status, err);
    if (!code) {
        request.status = 0;
        code = work(&request, err);
    }
    sdrs_state_close(&request.state);
    if (code)
        conclude(&request, request.status ? request.status : status_of(err), err);
    return RC_OK;
}

enum rc_code sdrs_handle(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                         sdrs_request_fn *work, struct rc_error *err)
{
    return handle(job, config, exchange, work, NEEDS_STATE, err);
}

enum rc_code sdrs_handle_stateless(struct rc_job *job, const void *config,
                                   struct rc_exchange *exchange, sdrs_request_fn *work,
                                   struct rc_error *err)
{
    return handle(job, config, exchange, work, NEEDS_USER, err);
}

enum rc_code sdrs_handle_open(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                              sdrs_request_fn *work, struct rc_error *err)
{
    return handle(job, config, exchange, work, NEEDS_NOTHING, err);
}
