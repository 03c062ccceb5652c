/*
 * Reads credentials and failures in JSON and XML.
 */
#include <cloud/aws_reply.h>

#include <cloud/xml.h>
#include <config/json.h>
#include <config/secrets.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

enum { SKEW_MS = 4 * 60 * 1000 /* beyond which a clock is worth a word */ };

/* ---- JSON ------------------------------------------------------------------------------------ */

const char *core_aws_json_text(const struct core_node *map, const char *name)
{
    const char *text = core_node_text(map, name);

    return text && *text ? text : NULL;
}

bool core_aws_parse_time(const char *text, int64_t *out_unix_ms)
{
    RC_STR_AUTO as_now = NULL;

    if (rc_parse_time(text, out_unix_ms))
        return true;
    if (!rc_str_ends(text, "UTC"))
        return false;
    as_now = rc_strf("%.*sZ", (int)(strlen(text) - strlen("UTC")), text);
    return rc_parse_time(as_now, out_unix_ms);
}

static const struct {
    const char *id, *secret, *token, *end;
} members[] = {
    [CORE_AWS_REPLY_METADATA] = { "AccessKeyId", "SecretAccessKey", "Token", "Expiration" },
    [CORE_AWS_REPLY_PROCESS] = { "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration" },
    [CORE_AWS_REPLY_SSO] = { "accessKeyId", "secretAccessKey", "sessionToken", "expiration" },
};

/* What goes into headers has to be able to stand there. */
static bool is_clean(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
            return false;
    return true;
}

/* Takes what was found over to 'out'. */
static enum rc_code make_keys(const char *id, const char *secret, const char *token,
                              struct core_aws_keys *out, struct rc_error *err)
{
    if (!is_clean(id) || (token && !is_clean(token)))
        return rc_fail(err, RC_CORRUPT,
                       "the reply has credentials with characters that they "
                       "cannot have");
    core_secret_add(secret);
    core_secret_add(token);
    out->access_key_id = rc_strdup(id);
    out->secret_access_key = rc_strdup(secret);
    out->session_token = rc_strdup(token);
    return RC_OK;
}

static enum rc_code read_end(enum core_aws_reply kind, const char *text, int64_t *out_unix_ms,
                             struct rc_error *err)
{
    if (!text && kind == CORE_AWS_REPLY_PROCESS)
        return RC_OK;
    if (!text || !(kind == CORE_AWS_REPLY_SSO ? rc_parse_int(text, out_unix_ms)
                                              : core_aws_parse_time(text, out_unix_ms)))
        return rc_fail(err, RC_CORRUPT, "the reply's '%s' is no point in time", members[kind].end);
    return RC_OK;
}

enum rc_code core_aws_keys_from_json(enum core_aws_reply kind, const char *text, size_t len,
                                     struct core_aws_keys *out, struct rc_error *err)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *map = core_json_read_reply(&arena, text, len);
    int64_t end = INT64_MAX;

    if (!map)
        return rc_fail(err, RC_CORRUPT, "the reply is no JSON object");
    if (kind == CORE_AWS_REPLY_PROCESS && !rc_str_eq(core_aws_json_text(map, "Version"), "1"))
        return rc_fail(err, RC_CORRUPT, "its output has no \"Version\": 1");
    if (kind == CORE_AWS_REPLY_SSO)
        map = core_node_get(map, "roleCredentials");

    const char *id = core_aws_json_text(map, members[kind].id);
    const char *secret = core_aws_json_text(map, members[kind].secret);
    const char *token = core_aws_json_text(map, members[kind].token);
    const char *message = core_aws_json_text(map, "Message");
    char shown[CORE_SHOWN_TEXT];
    if (!id || !secret)
        return rc_fail(err, RC_CORRUPT, "the reply has no '%s'%s%s",
                       id ? members[kind].secret : members[kind].id, message ? ", but says: " : "",
                       message ? core_shown(message, shown) : "");
    if (!token && kind != CORE_AWS_REPLY_PROCESS)
        return rc_fail(err, RC_CORRUPT, "the reply has no '%s'", members[kind].token);
    if (read_end(kind, core_aws_json_text(map, members[kind].end), &end, err))
        return err->code;
    out->expires_unix_ms = end;
    return make_keys(id, secret, token, out, err);
}

/* ---- XML ------------------------------------------------------------------------------------- */

/* What is kept of a document: the elements with these names, wherever they stand. */
struct wanted {
    const char *name;
    char *text;
};

struct elements {
    struct wanted *items;
    size_t count;
};

static enum rc_code keep(void *context, const char *path, const char *text, size_t len,
                         struct rc_error *err)
{
    struct elements *elements = context;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    (void)err;
    for (size_t i = 0; i < elements->count; i++)
        if (strcmp(elements->items[i].name, name) == 0 && !elements->items[i].text && len > 0)
            elements->items[i].text = rc_strndup(text, len);
    return RC_OK;
}

static enum rc_code read_elements(const char *text, size_t len, struct wanted *items, size_t count,
                                  struct rc_error *err)
{
    struct elements elements = { .items = items, .count = count };
    const struct core_xml_events events = { .end = keep, .context = &elements };

    return core_xml_read(text, len, &events, err);
}

static void forget(struct wanted *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].text)
            explicit_bzero(items[i].text, strlen(items[i].text));
        free(items[i].text);
    }
}

enum rc_code core_aws_keys_from_xml(const char *text, size_t len, struct core_aws_keys *out,
                                    struct rc_error *err)
{
    struct wanted items[] = { { .name = "AccessKeyId" },
                              { .name = "SecretAccessKey" },
                              { .name = "SessionToken" },
                              { .name = "Expiration" } };
    enum rc_code code = read_elements(text, len, items, RC_ARRAY_LEN(items), err);

    for (size_t i = 0; code == RC_OK && i < RC_ARRAY_LEN(items); i++)
        if (!items[i].text)
            code = rc_fail(err, RC_CORRUPT, "the reply has no <%s>", items[i].name);
    if (code == RC_OK && !core_aws_parse_time(items[3].text, &out->expires_unix_ms))
        code = rc_fail(err, RC_CORRUPT, "the reply's <Expiration> is no point in time");
    if (code == RC_OK)
        code = make_keys(items[0].text, items[1].text, items[2].text, out, err);
    forget(items, RC_ARRAY_LEN(items));
    return code;
}

/* ---- failures -------------------------------------------------------------------------------- */

/* One line of what a server says, without secrets. */
static void show(char *out, size_t size, const char *text)
{
    RC_BUF_AUTO(masked, 64 * 1024);
    size_t len;

    out[0] = '\0';
    if (!text)
        return;
    core_secret_add_masked(&masked, text, strlen(text));
    len = masked.len < size - 1 ? masked.len : size - 1;
    memcpy(out, masked.data, len);
    out[len] = '\0';
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
}

static void read_json_failure(const struct core_http_answer *answer, struct core_aws_failure *out)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    static const char *const code_names[] = { "__type", "code", "Code", "error" };
    static const char *const message_names[] = { "message", "Message", "error_description" };
    const struct core_node *map = core_json_read_reply(&arena, answer->body.data, answer->body.len);
    const char *kind = core_http_answer_header(answer, "x-amzn-errortype"), *message = NULL;

    for (size_t i = 0; !kind && i < RC_ARRAY_LEN(code_names); i++)
        kind = core_aws_json_text(map, code_names[i]);
    for (size_t i = 0; !message && i < RC_ARRAY_LEN(message_names); i++)
        message = core_aws_json_text(map, message_names[i]);
    if (kind && strchr(kind, '#')) /* "namespace#Code" */
        kind = strchr(kind, '#') + 1;
    show(out->code, sizeof(out->code), kind);
    out->code[strcspn(out->code, ":")] = '\0'; /* "Code:http://..." */
    show(out->message, sizeof(out->message), message);
}

void core_aws_read_failure(const struct core_http_answer *answer, struct core_aws_failure *out)
{
    const char *id = core_http_answer_header(answer, "x-amzn-requestid");
    const char *body = answer->body.data;

    *out = (struct core_aws_failure){ .code = "" };
    if (body[strspn(body, " \t\r\n")] == '<') {
        struct wanted items[] = { { .name = "Code" },
                                  { .name = "Message" },
                                  { .name = "RequestId" } };
        struct rc_error unused = RC_ERROR_INIT;

        /* What was read before a mistake is better than nothing. */
        if (read_elements(body, answer->body.len, items, RC_ARRAY_LEN(items), &unused) == RC_OK ||
            items[0].text) {
            show(out->code, sizeof(out->code), items[0].text);
            show(out->message, sizeof(out->message), items[1].text);
            show(out->request_id, sizeof(out->request_id), items[2].text);
        }
        forget(items, RC_ARRAY_LEN(items));
    } else {
        read_json_failure(answer, out);
    }
    if (!out->request_id[0])
        show(out->request_id, sizeof(out->request_id), id);
}

/* Too much to do, or an identity provider that does not answer. */
static bool passes(unsigned status, const struct core_aws_failure *failure)
{
    static const char *const codes[] = { "IDPCommunicationError",   "RequestTimeout",
                                         "RequestTimeoutException", "TooManyRequestsException",
                                         "RequestLimitExceeded",    "SlowDown" };

    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++)
        if (strcmp(failure->code, codes[i]) == 0)
            return true;
    return status >= 500 || status == 429 || status == 408 ||
           rc_str_starts(failure->code, "Throttl");
}

enum core_http_verdict core_aws_judge(void *context, const struct core_http_answer *answer)
{
    struct core_aws_failure failure;

    (void)context;
    if (answer->status == 200)
        return CORE_HTTP_ACCEPT;
    core_aws_read_failure(answer, &failure);
    if (!passes(answer->status, &failure))
        return CORE_HTTP_ACCEPT;
    return answer->status < 500 ? CORE_HTTP_SLOWER : CORE_HTTP_AGAIN;
}

static bool is_mistake(const char *code)
{
    static const char *const codes[] = { "ValidationError",       "MalformedPolicyDocument",
                                         "PackedPolicyTooLarge",  "InvalidAction",
                                         "InvalidParameterValue", "InvalidRequestException" };

    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++)
        if (strcmp(code, codes[i]) == 0)
            return true;
    return false;
}

/* "; this machine's clock is ..." where the server's says something else. */
static void add_clock(struct rc_buf *out, const struct core_http_answer *answer,
                      int64_t now_unix_ms)
{
    int64_t server_unix_ms = core_http_answer_time_unix_ms(answer, "date");
    int64_t ahead_ms = server_unix_ms ? now_unix_ms - server_unix_ms : 0;
    char shown[RC_AMOUNT_TEXT];

    if (ahead_ms > SKEW_MS || ahead_ms < -SKEW_MS)
        rc_buf_addf(out, "; this machine's clock is %s %s the server's: set it",
                    rc_format_duration(llabs(ahead_ms) / 60000 * 60000, shown),
                    ahead_ms > 0 ? "ahead of" : "behind");
}

enum rc_code core_aws_fail(const struct core_http_answer *answer, int64_t now_unix_ms,
                           struct rc_error *err)
{
    struct core_aws_failure failure;
    RC_BUF_AUTO(text, RC_ERROR_TEXT);
    enum rc_code code = RC_DENIED;

    core_aws_read_failure(answer, &failure);
    if (passes(answer->status, &failure))
        code = RC_UNAVAILABLE;
    else if (is_mistake(failure.code))
        code = RC_INVALID;
    else if (answer->status < 400)
        code = RC_FAILED;
    rc_buf_addf(&text, "it answers HTTP %u", answer->status);
    if (failure.code[0])
        rc_buf_addf(&text, " %s", failure.code);
    if (failure.message[0])
        rc_buf_addf(&text, ": %s", failure.message);
    if (failure.request_id[0])
        rc_buf_addf(&text, " (request %s)", failure.request_id);
    add_clock(&text, answer, now_unix_ms);
    return rc_fail(err, code, "%s", text.data);
}
