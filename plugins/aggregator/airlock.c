/*
 * Requests to Airlock's admin API and what its answers mean. Which import is asked for, and
 * whether at all, is decided in import.c.
 */
#include "airlock.h"

#include <jansson.h>
#include <stdlib.h>

enum {
    ANSWER_LIMIT = 16 << 20, /* the list of imports grows with the years */
    URL_LIMIT = 16 << 10,
    SHOWN_BYTES = 300, /* of a text of the server in a message */
    CONNECT_MS = 30 * 1000,
    TOTAL_MS = 2 * 60 * 1000,
};

void agg_airlock_clear(struct agg_airlock *airlock)
{
    rc_str_free(&airlock->token);
}

/* ---- what an answer means ---- */

/* The server's own words: "error" of its JSON, or what there is; on one line and not too long. */
static void add_words(const struct agg_airlock *airlock, const struct rc_http_answer *answer,
                      struct rc_buf *out)
{
    json_t *root = json_loadb(answer->body.data, answer->body.len, 0, NULL);
    const char *error = json_string_value(json_object_get(root, "error"));
    const char *text = error ? error : answer->body.data;
    size_t before = out->len;

    /* What repeats the token is for nobody's eyes. */
    if (*text && !(airlock->token && strstr(text, airlock->token))) {
        rc_buf_adds(out, ": ");
        for (; *text && out->len - before < SHOWN_BYTES; text++)
            rc_buf_addc(out, (unsigned char)*text < ' ' ? ' ' : *text);
    }
    json_decref(root);
}

/* Not a matter of the request; the host has waited and tried again before. */
static bool is_busy(unsigned status)
{
    return status == 408 || status == 429 || status >= 500;
}

static enum rc_code refused(const struct agg_airlock *airlock, const struct rc_http_answer *answer,
                            struct rc_error *err)
{
    RC_BUF_AUTO(words, 4 * SHOWN_BYTES);
    unsigned status = answer->status;

    add_words(airlock, answer, &words);
    if (status == 401 || status == 403)
        return rc_fail(err, RC_DENIED, "Airlock denies it with status %u%s", status, words.data);
    if (status == 404)
        return rc_fail(err, RC_NOT_FOUND,
                       "Airlock knows no such product (status %u%s); check airlockProductId and "
                       "airlockApiBaseUrl",
                       status, words.data);
    if (is_busy(status))
        return rc_fail(err, RC_UNAVAILABLE, "Airlock is not able to now, it says with status %u%s",
                       status, words.data);
    return rc_fail(err, RC_FAILED, "Airlock refuses it with status %u%s", status, words.data);
}

/* ---- the session ---- */

static bool needs_session(const struct agg_airlock *airlock)
{
    return airlock->config->airlock_key && airlock->config->airlock_key[0];
}

static void add_url(const struct agg_config *config, const char *path, struct rc_buf *out)
{
    rc_buf_adds(out, config->airlock_url);
    while (out->len > 0 && out->data[out->len - 1] == '/')
        rc_buf_truncate(out, out->len - 1);
    rc_buf_adds(out, path);
}

/* The answer is the token as plain text. */
static enum rc_code take_token(struct agg_airlock *airlock, const struct rc_http_answer *answer,
                               struct rc_error *err)
{
    static const char blanks[] = " \t\r\n";
    const char *text = answer->body.data + strspn(answer->body.data, blanks);
    size_t len = strcspn(text, blanks);

    if (len == 0 || text[len + strspn(text + len, blanks)] != '\0')
        return rc_fail(
            err, RC_FAILED,
            "the answer is not a session token; check that airlockApiBaseUrl is the base "
            "of Airlock's admin API");
    agg_airlock_clear(airlock);
    airlock->token = rc_strndup(text, len);
    return RC_OK;
}

static enum rc_code begin_session(struct agg_airlock *airlock, struct rc_error *err)
{
    static const struct rc_http_header headers[] = { { "Content-Type", "application/json" },
                                                     { "Accept", "text/plain" } };
    const struct agg_config *config = airlock->config;
    RC_HTTP_ANSWER_AUTO(answer, 64 << 10);
    RC_BUF_AUTO(url, URL_LIMIT);
    RC_BUF_AUTO(body, URL_LIMIT);
    enum rc_code code;

    add_url(config, "/admin/authentication/startSessionFromKey", &url);
    rc_buf_adds(&body, "{\"key\":");
    rc_buf_add_json(&body, config->airlock_key, strlen(config->airlock_key));
    rc_buf_adds(&body, ",\"keyPassword\":");
    rc_buf_add_json(&body, config->airlock_password, strlen(config->airlock_password));
    rc_buf_addc(&body, '}');
    if (rc_buf_check(&url, err) || rc_buf_check(&body, err))
        return err->code;
    const struct rc_http_request request = {
        .struct_bytes = sizeof(request),
        .name = "Airlock's authentication",
        .url = url.data,
        .headers = headers,
        .header_count = RC_ARRAY_LEN(headers),
        .body = body.data,
        .body_len = body.len,
        .flags = RC_HTTP_SAFE_TO_REPEAT,
        .connect_ms = CONNECT_MS,
        .total_ms = TOTAL_MS,
    };
    code = rc_http_call(airlock->job, &request, &answer, err);
    if (code == RC_OK && answer.status == 200)
        code = take_token(airlock, &answer, err);
    else if (code == RC_OK)
        code = refused(airlock, &answer, err);
    /* It says 400 where key or password are wrong. */
    if (code == RC_OK)
        return RC_OK;
    return answer.status / 100 == 4
               ? rc_context(err, "begin a session with airlock_key and airlock_password")
               : rc_context(err, "begin a session");
}

/* ---- requests within the session ---- */

static enum rc_code call_once(struct agg_airlock *airlock, const struct rc_http_request *request,
                              struct rc_http_answer *answer, struct rc_error *err)
{
    struct rc_http_header headers[8];
    struct rc_http_request made = *request;

    RC_ASSERT(request->header_count < RC_ARRAY_LEN(headers));
    for (size_t i = 0; i < request->header_count; i++)
        headers[i] = request->headers[i];
    if (airlock->token)
        headers[made.header_count++] = (struct rc_http_header){ "sessionToken", airlock->token };
    made.headers = headers;
    return rc_http_call(airlock->job, &made, answer, err);
}

/*
 * What Airlock does not take may be the session's fault, of which it does not tell: such a request
 * is made once more, in a new one.
 */
static enum rc_code call(struct agg_airlock *airlock, const struct rc_http_request *request,
                         struct rc_http_answer *answer, struct rc_error *err)
{
    bool is_fresh = airlock->token == NULL;

    if (needs_session(airlock) && !airlock->token && begin_session(airlock, err))
        return err->code;
    if (call_once(airlock, request, answer, err))
        return err->code;
    if (answer->status / 100 != 4 || is_busy(answer->status) || !needs_session(airlock))
        return RC_OK;
    rc_debug(airlock->job, "status %u in a %s session; trying in another", answer->status,
             is_fresh ? "new" : "used");
    if (begin_session(airlock, err))
        return err->code;
    return call_once(airlock, request, answer, err);
}

static void add_imports_url(const struct agg_config *config, struct rc_buf *out)
{
    add_url(config, "/admin/airlytics/products/", out);
    rc_buf_add_url(out, config->airlock_product_id, strlen(config->airlock_product_id));
    rc_buf_adds(out, "/dataimport");
}

enum rc_code agg_airlock_import(struct agg_airlock *airlock, const char *body, size_t len,
                                const char *key, struct rc_error *err)
{
    const struct rc_http_header headers[] = { { "Content-Type", "application/json" },
                                              { "Accept", "application/json" },
                                              { "Idempotency-Key", key } };
    RC_HTTP_ANSWER_AUTO(answer, ANSWER_LIMIT);
    RC_BUF_AUTO(url, URL_LIMIT);

    add_imports_url(airlock->config, &url);
    if (rc_buf_check(&url, err))
        return err->code;
    const struct rc_http_request request = {
        .struct_bytes = sizeof(request),
        .name = "Airlock's data import",
        .url = url.data,
        .headers = headers,
        .header_count = RC_ARRAY_LEN(headers),
        .body = body,
        .body_len = len,
        /* An import that is asked for twice overwrites the table by the same file. */
        .flags = RC_HTTP_SAFE_TO_REPEAT,
        .connect_ms = CONNECT_MS,
        .total_ms = TOTAL_MS,
    };
    if (call(airlock, &request, &answer, err))
        return err->code;
    return answer.status / 100 == 2 ? RC_OK : refused(airlock, &answer, err);
}

/* An answer that is no list is like one without imports. */
static bool is_listed(const struct rc_http_answer *answer, const char *text)
{
    json_t *root = json_loadb(answer->body.data, answer->body.len, 0, NULL);
    bool found = false;
    size_t index;
    const json_t *item;

    json_array_foreach(json_object_get(root, "jobs"), index, item)
    {
        const char *description = json_string_value(json_object_get(item, "description"));

        found |= description && strstr(description, text);
    }
    json_decref(root);
    return found;
}

enum rc_code agg_airlock_lists(struct agg_airlock *airlock, const char *text, bool *found,
                               struct rc_error *err)
{
    static const struct rc_http_header header = { "Accept", "application/json" };
    RC_HTTP_ANSWER_AUTO(answer, ANSWER_LIMIT);
    RC_BUF_AUTO(url, URL_LIMIT);

    *found = false;
    add_imports_url(airlock->config, &url);
    if (rc_buf_check(&url, err))
        return err->code;
    const struct rc_http_request request = {
        .struct_bytes = sizeof(request),
        .name = "Airlock's list of imports",
        .url = url.data,
        .headers = &header,
        .header_count = 1,
        .connect_ms = CONNECT_MS,
        .total_ms = TOTAL_MS,
    };
    if (call(airlock, &request, &answer, err))
        return err->code;
    *found = answer.status == 200 && is_listed(&answer, text);
    return RC_OK;
}
