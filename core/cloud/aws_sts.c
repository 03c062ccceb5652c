/*
 * Roles: AssumeRole, which is signed, and AssumeRoleWithWebIdentity, which is not, of the token
 * service (STS).
 */
#include <cloud/aws_reply.h>
#include <cloud/aws_source.h>

#include <config/problems.h>
#include <config/secrets.h>
#include <os/clock.h>
#include <os/digest.h>
#include <os/file.h>

#include <run-core/str.h>

#include <string.h>

#define FALLBACK_REGION "us-east-1"
#define FORM "application/x-www-form-urlencoded; charset=utf-8"

enum {
    REPLY_BYTES = 256 * 1024,
    FORM_BYTES = 128 * 1024,
    TOKEN_BYTES = 64 * 1024,
    ATTEMPT_MS = 30 * 1000,
};

struct request {
    struct core_http_call call;
    struct core_sigv4 to_sign;
    struct core_http_header content_type;
    const struct core_aws_keys *keys; /* NULL: unsigned */
    char payload[CORE_DIGEST_HEX];
    char *url, *host;
    struct rc_buf body;
};

static void request_clear(struct request *request)
{
    rc_str_free(&request->url);
    rc_str_free(&request->host);
    if (request->body.len > 0) {
        explicit_bzero(request->body.data, request->body.len);
        rc_buf_clear(&request->body);
    }
}

static enum rc_code sign(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    struct request *request = context;

    (void)err;
    if (request->keys) {
        request->to_sign.now_unix_ms = core_clock_real_unix_ms();
        core_sigv4_sign(&request->to_sign, request->keys, &draft->headers);
    }
    return RC_OK;
}

/* The host as it is in the request's header: without a port that is the scheme's own. */
static char *host_of(const char *url, const char **path)
{
    const char *host = strstr(url, "://"), *usual = rc_str_starts(url, "https:") ? ":443" : ":80";
    size_t len, usual_len = strlen(usual);

    host = host ? host + 3 : url;
    len = strcspn(host, "/?");
    *path = host[len] == '/' ? host + len : "/";
    if (len > usual_len && memcmp(host + len - usual_len, usual, usual_len) == 0)
        len -= usual_len;
    return rc_strndup(host, len);
}

static void add_field(struct rc_buf *body, const char *name, const char *value)
{
    if (!value)
        return;
    rc_buf_addf(body, "&%s=", name);
    rc_buf_add_url(body, value, strlen(value));
}

static void begin(struct core_aws_lookup *lookup, const char *action,
                  const struct core_aws_role *role, const char *session_name,
                  struct request *request)
{
    const char *region = core_aws_lookup_region(lookup);

    region = region ? region : FALLBACK_REGION;
    *request = (struct request){
        .to_sign = { .service = "sts",
                     .region = region,
                     .method = "POST",
                     .headers = &request->content_type,
                     .header_count = 1,
                     .payload = request->payload },
        .content_type = { .name = "content-type", .value = FORM },
        .url = core_aws_service_url(lookup, "sts", "sts", region),
        .body = RC_BUF_INIT(FORM_BYTES),
    };
    request->host = host_of(request->url, &request->to_sign.path);
    request->to_sign.host = request->host;
    rc_buf_addf(&request->body, "Action=%s&Version=2011-06-15", action);
    add_field(&request->body, "RoleArn", role->arn);
    add_field(&request->body, "RoleSessionName", session_name);
    add_field(&request->body, "DurationSeconds", role->duration_s);
    add_field(&request->body, "ExternalId", role->external_id);
}

static enum rc_code make(struct core_aws_lookup *lookup, struct request *request,
                         struct core_aws_keys *out, struct rc_error *err)
{
    RC_STR_AUTO name = rc_strf("the token service of AWS at '%s'", request->host);
    struct core_http_answer answer;
    unsigned char digest[CORE_DIGEST_BYTES];
    RC_BUF_AUTO(hex, CORE_DIGEST_HEX);
    enum rc_code code;

    if (rc_buf_check(&request->body, err))
        return err->code;
    core_digest(CORE_SHA256, request->body.data, request->body.len, digest);
    core_add_hex(&hex, digest, sizeof(digest));
    memcpy(request->payload, hex.data, hex.len + 1);
    request->call = (struct core_http_call){
        .name = name,
        .method = "POST",
        .url = request->url,
        .headers = &request->content_type,
        .header_count = 1,
        .body = request->body.data,
        .body_len = request->body.len,
        .total_ms = ATTEMPT_MS,
        .cancel = lookup->cancel,
        .client = lookup->settings->http,
        .repeat = CORE_HTTP_REPEAT_SAFE,
        .prepare = sign,
        .judge = core_aws_judge,
        .context = request,
    };
    core_http_answer_init(&answer, REPLY_BYTES);
    code = core_http_call(&request->call, &answer, err);
    if (code == RC_OK && answer.status != 200)
        code = core_aws_fail(&answer, core_clock_real_unix_ms(), err);
    else if (code == RC_OK)
        code = core_aws_keys_from_xml(answer.body.data, answer.body.len, out, err);
    if (answer.body.len > 0)
        explicit_bzero(answer.body.data, answer.body.len);
    core_http_answer_clear(&answer);
    return code ? rc_context(err, "ask %s", name) : RC_OK;
}

static const char *session_name_of(const struct core_aws_role *role)
{
    return role->session_name ? role->session_name : "run-core";
}

enum rc_code core_aws_assume_role(struct core_aws_lookup *lookup, const struct core_aws_role *role,
                                  const struct core_aws_keys *source, struct core_aws_keys *out,
                                  struct rc_error *err)
{
    RC_CLEANUP(request_clear) struct request request = { .url = NULL };
    char shown[CORE_SHOWN_TEXT];

    begin(lookup, "AssumeRole", role, session_name_of(role), &request);
    request.keys = source;
    if (make(lookup, &request, out, err))
        return rc_context(err, "assume the role '%s'", core_shown(role->arn, shown));
    return RC_OK;
}

enum rc_code core_aws_assume_role_with_token(struct core_aws_lookup *lookup,
                                             const struct core_aws_role *role,
                                             const char *token_file, struct core_aws_keys *out,
                                             struct rc_error *err)
{
    RC_CLEANUP(request_clear) struct request request = { .url = NULL };
    RC_BUF_AUTO(token, TOKEN_BYTES);
    char shown[CORE_SHOWN_TEXT];
    enum rc_code code = core_file_read(token_file, &token, err);

    if (code) {
        (void)rc_context(err, "read the web identity's token");
        /* The file was named, so this is no "there are none": the search ends. */
        return err->code = code == RC_NOT_FOUND ? RC_INVALID : code;
    }
    while (token.len > 0 &&
           (token.data[token.len - 1] == '\n' || token.data[token.len - 1] == '\r'))
        rc_buf_truncate(&token, token.len - 1);
    core_secret_add(token.data);
    begin(lookup, "AssumeRoleWithWebIdentity", role, session_name_of(role), &request);
    add_field(&request.body, "WebIdentityToken", token.data);
    explicit_bzero(token.data, token.len);
    if (make(lookup, &request, out, err))
        return rc_context(err, "assume the role '%s' by web identity",
                          core_shown(role->arn, shown));
    return RC_OK;
}
