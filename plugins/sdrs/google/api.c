/*
 * Requests to Google's JSON services: what is sent, and what a refusal means. Credentials and
 * repetitions are the host's.
 */
#include "api.h"

#include <run-core/str.h>

#include <string.h>

enum {
    REPLY_BYTES = 64 << 20,
    TOTAL_MS = 60 * 1000,
    EXCERPT_BYTES = 200, /* of a refusal that is no JSON, as a proxy answers */
};

const char *sdrs_json_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

int64_t sdrs_json_time(const json_t *object, const char *name)
{
    int64_t unix_ms = 0;

    (void)rc_parse_time(sdrs_json_text(object, name), &unix_ms);
    return unix_ms;
}

/* Google sends 64 bits as a text, as JavaScript has no such numbers. */
int64_t sdrs_json_int(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    int64_t number = 0;

    if (json_is_integer(member))
        return json_integer_value(member);
    (void)rc_parse_int(sdrs_json_text(object, name), &number);
    return number;
}

/* ---- refusals -------------------------------------------------------------------------------- */

static enum rc_code code_of_word(const char *word)
{
    static const struct {
        const char *word;
        enum rc_code code;
    } codes[] = {
        { "ALREADY_EXISTS", RC_CONFLICT },
        { "NOT_FOUND", RC_NOT_FOUND },
        { "PERMISSION_DENIED", RC_DENIED },
        { "UNAUTHENTICATED", RC_DENIED },
        { "INVALID_ARGUMENT", RC_INVALID },
        { "OUT_OF_RANGE", RC_INVALID },
        { "FAILED_PRECONDITION", RC_FAILED },
        { "UNIMPLEMENTED", RC_UNSUPPORTED },
        { "RESOURCE_EXHAUSTED", RC_UNAVAILABLE },
        { "UNAVAILABLE", RC_UNAVAILABLE },
        { "ABORTED", RC_UNAVAILABLE },
        { "INTERNAL", RC_UNAVAILABLE },
        { "UNKNOWN", RC_UNAVAILABLE },
        { "DEADLINE_EXCEEDED", RC_UNAVAILABLE },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++)
        if (strcmp(codes[i].word, word) == 0)
            return codes[i].code;
    return RC_OK;
}

static enum rc_code code_of_status(unsigned status)
{
    switch (status) {
    case 400:
        return RC_INVALID;
    case 401:
    case 403:
        return RC_DENIED;
    case 404:
        return RC_NOT_FOUND;
    case 408:
    case 429:
        return RC_UNAVAILABLE;
    case 409:
        return RC_CONFLICT;
    case 413:
        return RC_TOO_LARGE;
    case 501:
        return RC_UNSUPPORTED;
    default:
        return status >= 500 ? RC_UNAVAILABLE : RC_FAILED;
    }
}

#define REFUSED "%s answered with the status "

bool sdrs_google_has_refused(const struct sdrs_google *google, const struct rc_error *err)
{
    RC_STR_AUTO start = rc_strf(REFUSED, google->name);

    return rc_str_starts(err->cause, start);
}

static enum rc_code refuse(const struct sdrs_google *google, const struct rc_http_answer *answer,
                           struct rc_error *err)
{
    SDRS_JSON_AUTO reply = json_loadb(answer->body.data, answer->body.len, 0, NULL);
    const json_t *error = json_object_get(reply, "error");
    const char *word = sdrs_json_text(error, "status");
    const char *message = sdrs_json_text(error, "message");
    enum rc_code code = code_of_word(word);

    if (!code)
        code = code_of_status(answer->status);
    if (!*message)
        return rc_fail(err, code, REFUSED "%u: %.*s", google->name, answer->status, EXCERPT_BYTES,
                       answer->body.data);
    return rc_fail(err, code, REFUSED "%u%s%s: %s", google->name, answer->status, *word ? " " : "",
                   word, message);
}

/* ---- a request ------------------------------------------------------------------------------- */

void sdrs_google_path(struct rc_buf *out, const char *name)
{
    rc_buf_adds(out, "v1");
    for (const char *at = name; at; at = strchr(at, '/')) {
        at += *at == '/';
        rc_buf_addc(out, '/');
        rc_buf_add_url(out, at, strcspn(at, "/"));
    }
}

static enum rc_code send_request(const struct sdrs_google *google, const char *method,
                                 const char *url, const char *body, bool repeatable,
                                 struct rc_http_answer *answer, struct rc_error *err)
{
    static const struct rc_http_header headers[] = {
        { "Accept", "application/json" },
        { "Content-Type", "application/json; charset=UTF-8" },
    };
    const struct rc_http_request request = {
        .struct_bytes = sizeof(request),
        .name = google->name,
        .method = method,
        .url = url,
        .headers = headers,
        .header_count = body ? 2 : 1,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .flags = repeatable ? RC_HTTP_SAFE_TO_REPEAT : 0,
        .attempts = google->attempts,
        .total_ms = google->total_ms ? google->total_ms : TOTAL_MS,
        .auth = RC_HTTP_AUTH_GOOGLE,
        .credentials = google->credentials,
    };

    return rc_http_call(google->job, &request, answer, err);
}

static enum rc_code read_reply(const struct sdrs_google *google,
                               const struct rc_http_answer *answer, json_t **reply,
                               struct rc_error *err)
{
    json_error_t mistake;

    *reply = json_loadb(answer->body.data, answer->body.len, 0, &mistake);
    if (!*reply)
        return rc_fail(err, RC_CORRUPT, "%s answered with what is no JSON: %s, at byte %d",
                       google->name, mistake.text, mistake.position);
    if (json_is_object(*reply))
        return RC_OK;
    sdrs_json_drop(reply);
    return rc_fail(err, RC_CORRUPT, "%s answered with JSON that is no object", google->name);
}

enum rc_code sdrs_google_call(const struct sdrs_google *google, const char *method,
                              const char *path, json_t *body, bool repeatable, json_t **reply,
                              struct rc_error *err)
{
    RC_HTTP_ANSWER_AUTO(answer, REPLY_BYTES);
    RC_BUF_AUTO(url, SIZE_MAX);
    RC_STR_AUTO text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    *reply = NULL;
    if (!text && strcmp(method, "GET") != 0)
        return rc_fail(err, RC_INVALID,
                       "%s takes UTF-8 alone, and a name that it was to be told is none",
                       google->name);
    rc_uri_join(&url, google->endpoint, path);
    if (send_request(google, method, url.data, text, repeatable, &answer, err))
        return err->code;
    if (answer.status == 0) { /* under --dry-run */
        *reply = json_object();
        return RC_OK;
    }
    if (answer.status / 100 != 2)
        return refuse(google, &answer, err);
    return read_reply(google, &answer, reply, err);
}
