/*
 * Reads the replies of Google's services. A failure comes as {"error": {...}} with a status, with a
 * list of reasons or with both, as {"error": "...", "error_description": "..."} from token servers,
 * or as plain text from whatever stands in front of them.
 */
#include <cloud/google_reply.h>

#include <config/json.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

enum {
    LIFETIME_MS = 3600 * 1000, /* of a token that does not say */
    SHOWN_BYTES = 300,         /* of a message */
};

/* ---- JSON ------------------------------------------------------------------------------------ */

bool core_google_int(const struct core_node *map, const char *name, int64_t *out)
{
    const char *text = core_node_text(map, name);

    return text && rc_parse_int(text, out);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* The first item of the list 'errors' or 'details' that has a reason. */
static const char *first_reason(const struct core_node *error)
{
    static const char *const lists[] = { "errors", "details" };

    for (size_t i = 0; i < RC_ARRAY_LEN(lists); i++) {
        const struct core_node *list = core_node_get(error, lists[i]);

        for (size_t j = 0; list && list->kind == CORE_NODE_LIST && j < list->len; j++) {
            const char *reason = core_node_text(list->items[j], "reason");

            if (reason)
                return reason;
        }
    }
    return NULL;
}

/* A text on one line, as of a proxy's page: what comes before the first line break that follows
 * something. */
static const char *first_line(struct core_arena *arena, const char *body, size_t len)
{
    size_t begin = 0, end;

    while (begin < len && (unsigned char)body[begin] <= ' ')
        begin++;
    for (end = begin; end < len && (unsigned char)body[end] >= ' ' && end - begin < SHOWN_BYTES;)
        end++;
    return end > begin ? core_arena_strndup(arena, body + begin, end - begin) : NULL;
}

void core_google_read_failure(struct core_arena *arena, const char *body, size_t len,
                              struct core_google_failure *out)
{
    const struct core_node *reply = core_json_read_reply(arena, body, len);
    const struct core_node *error = core_node_get(reply, "error");

    *out = (struct core_google_failure){ .status = NULL };
    if (error && error->kind == CORE_NODE_MAP) {
        out->status = core_node_text(error, "status");
        out->message = core_node_text(error, "message");
        out->reason = first_reason(error);
    } else if (error) {
        out->status = core_node_text(reply, "error");
        out->message = core_node_text(reply, "error_description");
    } else {
        out->message = first_line(arena, body, len);
    }
}

static enum rc_code code_of(unsigned status)
{
    switch (status) {
    case 400:
    case 416:
        return RC_INVALID;
    case 401:
    case 403:
        return RC_DENIED;
    case 404:
    case 410:
        return RC_NOT_FOUND;
    case 409:
    case 412:
        return RC_CONFLICT;
    case 413:
        return RC_TOO_LARGE;
    case 501:
        return RC_UNSUPPORTED;
    case 408:
    case 429:
        return RC_UNAVAILABLE;
    default:
        return status >= 500 ? RC_UNAVAILABLE : RC_FAILED;
    }
}

/* One line of a text from outside, without control characters. */
static void add_shown(struct rc_buf *out, const char *text)
{
    size_t len = strnlen(text, SHOWN_BYTES);

    for (size_t i = 0; i < len; i++)
        rc_buf_addc(out, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
    if (text[len])
        rc_buf_adds(out, "...");
}

enum rc_code core_google_fail_with(unsigned status, const char *body, size_t len,
                                   const char *request_id, struct rc_error *err)
{
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_google_failure failure;
    RC_BUF_AUTO(text, 8 * 1024);

    core_google_read_failure(&arena, body, len, &failure);
    rc_buf_addf(&text, "HTTP %u", status);
    if (failure.reason || failure.status) {
        rc_buf_adds(&text, " ");
        add_shown(&text, failure.reason ? failure.reason : failure.status);
    }
    if (failure.message) {
        rc_buf_adds(&text, ": ");
        add_shown(&text, failure.message);
    }
    if (request_id) {
        rc_buf_adds(&text, " (request ");
        add_shown(&text, request_id);
        rc_buf_adds(&text, ")");
    }
    core_arena_clear(&arena);
    return rc_fail(err, code_of(status), "%s", text.data);
}

enum rc_code core_google_fail(const struct core_http_answer *answer, struct rc_error *err)
{
    const char *id = core_http_answer_header(answer, "x-guploader-uploadid");

    return core_google_fail_with(answer->status, answer->body.data, answer->body.len, id, err);
}

enum core_http_verdict core_google_judge(unsigned status, const char *body, size_t len)
{
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_google_failure failure;
    bool busy;

    if (status == 429)
        return CORE_HTTP_SLOWER;
    if (status == 408 || (status >= 500 && status != 501 && status != 505))
        return CORE_HTTP_AGAIN;
    if (status != 403)
        return CORE_HTTP_ACCEPT;
    core_google_read_failure(&arena, body, len, &failure);
    busy = rc_str_eq(failure.reason, "rateLimitExceeded") ||
           rc_str_eq(failure.reason, "userRateLimitExceeded");
    core_arena_clear(&arena);
    return busy ? CORE_HTTP_SLOWER : CORE_HTTP_ACCEPT;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

void core_google_token_clear(struct core_google_token *token)
{
    if (token->text)
        explicit_bzero(token->text, strlen(token->text));
    free(token->text);
    *token = (struct core_google_token){ .text = NULL };
}

/* It goes into a header: printable characters without blanks (RFC 6750, section 2.1). */
static bool is_token(const char *text)
{
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f)
            return false;
    return text[0] != '\0';
}

enum rc_code core_google_token_parse(const char *body, size_t len, int64_t now_unix_ms,
                                     struct core_google_token *out, struct rc_error *err)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *reply = core_json_read_reply(&arena, body, len);
    const char *text = core_node_text(reply, "access_token");
    const char *expires = core_node_text(reply, "expireTime");
    int64_t seconds, expires_unix_ms = now_unix_ms + LIFETIME_MS;

    if (!text)
        text = core_node_text(reply, "accessToken");
    if (core_google_int(reply, "expires_in", &seconds) && seconds >= 0 && seconds < 1000 * 86400)
        expires_unix_ms = now_unix_ms + seconds * 1000;
    else if (expires && !rc_parse_time(expires, &expires_unix_ms))
        text = NULL;
    if (text && is_token(text))
        *out = (struct core_google_token){ .text = rc_strdup(text),
                                           .expires_unix_ms = expires_unix_ms };
    else
        (void)rc_fail(err, RC_CORRUPT, "the reply of %zu bytes has no access token", len);
    core_arena_clear(&arena);
    return out->text ? RC_OK : err->code;
}
