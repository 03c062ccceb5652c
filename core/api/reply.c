/*
 * Replies and the JSON in them. One table says which status stands for which error.
 */
#include <api/call.h>

#include <config/secrets.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RETRY_AFTER_S = 5 };

static const unsigned statuses[] = {
    [RC_OK] = 200,       [RC_FAILED] = 500,      [RC_INVALID] = 400,   [RC_NOT_FOUND] = 404,
    [RC_CONFLICT] = 409, [RC_DENIED] = 403,      [RC_TOO_LARGE] = 413, [RC_UNSUPPORTED] = 409,
    [RC_CORRUPT] = 500,  [RC_UNAVAILABLE] = 503, [RC_TIMEOUT] = 504,   [RC_CANCELLED] = 503,
    [RC_SKIPPED] = 409,
};

unsigned core_api_status_of(enum rc_code code)
{
    return (size_t)code < RC_ARRAY_LEN(statuses) ? statuses[code] : 500;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

void core_json_comma(struct rc_buf *out)
{
    char last = out->len ? out->data[out->len - 1] : '{';

    if (last != '{' && last != '[' && last != ':')
        rc_buf_addc(out, ',');
}

void core_json_key(struct rc_buf *out, const char *key)
{
    core_json_comma(out);
    rc_buf_addf(out, "\"%s\":", key);
}

void core_json_text(struct rc_buf *out, const char *key, const char *text)
{
    core_json_key(out, key);
    if (text)
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
}

void core_json_int(struct rc_buf *out, const char *key, int64_t value)
{
    core_json_key(out, key);
    rc_buf_addf(out, "%" PRId64, value);
}

void core_json_bool(struct rc_buf *out, const char *key, bool value)
{
    core_json_key(out, key);
    rc_buf_adds(out, value ? "true" : "false");
}

void core_json_time(struct rc_buf *out, const char *key, int64_t unix_ms)
{
    char text[RC_TIME_TEXT];

    core_json_text(out, key, unix_ms ? rc_format_time(unix_ms, text) : NULL);
}

/* ---- replies --------------------------------------------------------------------------------- */

static void send(struct core_api_call *call, unsigned status, struct rc_buf *body)
{
    rc_buf_addc(body, '\n');
    core_http_reply(call->exchange, status, "application/json", body);
}

void core_api_reply(struct core_api_call *call, struct rc_buf *body)
{
    send(call, call->route->status, body);
}

static void begin_error(struct rc_buf *body, const char *error, enum rc_code code)
{
    rc_buf_addc(body, '{');
    core_json_text(body, "error", error);
    core_json_text(body, "code", rc_code_name(code));
}

static void fail(struct core_api_call *call, enum rc_code code, char *text)
{
    RC_BUF_AUTO(body, CORE_API_REPLY_BYTES);
    char seconds[16];

    core_secret_mask(text);
    begin_error(&body, text, code);
    rc_buf_addc(&body, '}');
    if (code == RC_UNAVAILABLE) {
        (void)snprintf(seconds, sizeof(seconds), "%d", RETRY_AFTER_S);
        core_http_add_header(call->exchange, "Retry-After", seconds);
    }
    send(call, core_api_status_of(code), &body);
}

void core_api_fail(struct core_api_call *call, const struct rc_error *err)
{
    RC_STR_AUTO text = rc_strf("%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);

    fail(call, err->code, text);
}

void core_api_refuse(struct core_api_call *call, enum rc_code code, const char *format, ...)
{
    struct rc_error err = RC_ERROR_INIT;
    va_list arguments;
    RC_BUF_AUTO(text, 4 * RC_ERROR_TEXT);

    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    (void)rc_fail(&err, code, "%s", text.data);
    core_api_fail(call, &err);
}

static void add_problem(struct rc_buf *out, const struct core_problem *problem)
{
    bool has_line = problem->place.line > 0;

    core_json_comma(out);
    rc_buf_addc(out, '{');
    core_json_text(out, "file", problem->place.file);
    if (has_line) {
        core_json_int(out, "line", problem->place.line);
        core_json_int(out, "column", problem->place.column);
    } else {
        core_json_text(out, "line", NULL);
        core_json_text(out, "column", NULL);
    }
    core_json_text(out, "message", problem->message);
    rc_buf_addc(out, '}');
}

void core_api_fail_problems(struct core_api_call *call, unsigned status, const char *error,
                            struct core_problems *problems)
{
    RC_BUF_AUTO(body, CORE_API_REPLY_BYTES);

    core_problems_sort(problems);
    begin_error(&body, error, RC_INVALID);
    core_json_key(&body, "problems");
    rc_buf_addc(&body, '[');
    for (const struct core_problem *problem = problems->first; problem; problem = problem->next)
        add_problem(&body, problem);
    rc_buf_adds(&body, "]}");
    send(call, status, &body);
}
