/*
 * IAM Identity Center (SSO): the token that 'aws sso login' has left in ~/.aws/sso/cache, renewed
 * where a session allows it, and the credentials of a role for it.
 */
#include <cloud/aws_reply.h>
#include <cloud/aws_source.h>

#include <config/json.h>
#include <config/problems.h>
#include <config/secrets.h>
#include <os/clock.h>
#include <os/digest.h>
#include <os/file.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <string.h>

enum {
    REPLY_BYTES = 256 * 1024,
    CACHE_BYTES = 256 * 1024,
    ATTEMPT_MS = 30 * 1000,
    RENEW_MS = 15 * 60 * 1000, /* before a token's end */
    MOST_LIFETIME_S = 366 * 24 * 3600,
};

/* What a profile says of its access. */
struct access {
    const char *profile;
    const char *account, *role, *session; /* the session may be NULL */
    const char *start_url, *region;
    char *path; /* of the token's file */
};

static void access_clear(struct access *access)
{
    rc_str_free(&access->path);
}

/* ---- the profile ----------------------------------------------------------------------------- */

/* Of the profile and its session, which have to agree. */
static enum rc_code read_key(const struct core_aws_lookup *lookup, const struct access *access,
                             const char *key, const char **out, struct rc_error *err)
{
    const struct core_aws_value *own =
        core_aws_profiles_get(&lookup->profiles, CORE_AWS_PROFILE, access->profile, key);
    const struct core_aws_value *of_session =
        access->session
            ? core_aws_profiles_get(&lookup->profiles, CORE_AWS_SSO_SESSION, access->session, key)
            : NULL;
    const struct core_aws_value *value = of_session ? of_session : own;
    char shown[CORE_SHOWN_TEXT];

    if (!value)
        return rc_fail(err, RC_INVALID, "the profile '%s' uses SSO, but has no '%s'%s",
                       core_shown(access->profile, shown), key,
                       access->session ? ", nor has its sso-session" : "");
    if (own && of_session && strcmp(own->text, of_session->text) != 0)
        return rc_fail(err, RC_INVALID, "%s:%d: '%s' is another than in the sso-session (%s:%d)",
                       own->file, own->line, key, of_session->file, of_session->line);
    *out = value->text;
    return RC_OK;
}

static enum rc_code read_access(struct core_aws_lookup *lookup, struct access *access,
                                struct rc_error *err)
{
    const struct core_aws_value *session =
        core_aws_profiles_get(&lookup->profiles, CORE_AWS_PROFILE, access->profile, "sso_session");
    unsigned char digest[CORE_DIGEST_BYTES];
    RC_BUF_AUTO(name, CORE_DIGEST_HEX);

    if (session) {
        access->session = session->text;
        if (!core_aws_profiles_has(&lookup->profiles, CORE_AWS_SSO_SESSION, session->text)) {
            RC_STR_AUTO place = rc_strf("%s:%d", session->file, session->line);

            return core_aws_profiles_fail_missing(&lookup->profiles, CORE_AWS_SSO_SESSION,
                                                  session->text, place, err);
        }
    }
    if (read_key(lookup, access, "sso_account_id", &access->account, err) ||
        read_key(lookup, access, "sso_role_name", &access->role, err) ||
        read_key(lookup, access, "sso_start_url", &access->start_url, err) ||
        read_key(lookup, access, "sso_region", &access->region, err))
        return err->code;

    const char *key = access->session ? access->session : access->start_url;
    core_digest(CORE_SHA1, key, strlen(key), digest);
    core_add_hex(&name, digest, core_digest_len(CORE_SHA1));
    RC_STR_AUTO rest = rc_strf(".aws/sso/cache/%s.json", name.data);
    access->path = core_aws_home_path(rest);
    return RC_OK;
}

/* ---- the token ------------------------------------------------------------------------------- */

struct token {
    struct core_arena arena; /* of the texts */
    const char *text;
    int64_t expires_unix_ms;
    const char *refresh, *client_id, *client_secret, *registration_end;
};

static enum rc_code fail_login(const struct access *access, const char *why, struct rc_error *err)
{
    char shown[CORE_SHOWN_TEXT];

    return rc_fail(err, RC_DENIED, "%s; run 'aws sso login --profile %s'", why,
                   core_shown(access->profile, shown));
}

static enum rc_code read_token(const struct access *access, struct token *out, struct rc_error *err)
{
    RC_BUF_AUTO(text, CACHE_BYTES);
    enum rc_code code = core_file_read(access->path, &text, err);
    const struct core_node *map;

    if (code == RC_NOT_FOUND) {
        RC_STR_AUTO why = rc_strf("there is no token, as '%s' does not exist", access->path);

        return fail_login(access, why, err);
    }
    if (code)
        return rc_context(err, "read the token");
    map = core_json_read_reply(&out->arena, text.data, text.len);
    out->text = core_aws_json_text(map, "accessToken");
    out->refresh = core_aws_json_text(map, "refreshToken");
    out->client_id = core_aws_json_text(map, "clientId");
    out->client_secret = core_aws_json_text(map, "clientSecret");
    out->registration_end = core_aws_json_text(map, "registrationExpiresAt");

    const char *end = core_aws_json_text(map, "expiresAt");
    if (!out->text || !end || !core_aws_parse_time(end, &out->expires_unix_ms)) {
        RC_STR_AUTO why = rc_strf("'%s' has no token that makes sense", access->path);

        return fail_login(access, why, err);
    }
    core_secret_add(out->text);
    core_secret_add(out->refresh);
    core_secret_add(out->client_secret);
    return RC_OK;
}

static void add_member(struct rc_buf *out, const char *name, const char *value)
{
    rc_buf_addc(out, out->len == 0 ? '{' : ',');
    rc_buf_add_json(out, name, strlen(name));
    rc_buf_addc(out, ':');
    rc_buf_add_json(out, value, strlen(value));
}

/*
 * Keeps a renewed token for the tools and the next run, in the form of the AWS tools. Where that
 * cannot be, this run has it all the same.
 */
static void save_token(const struct access *access, const struct token *token)
{
    RC_BUF_AUTO(text, CACHE_BYTES);
    struct rc_error unused = RC_ERROR_INIT;
    char end[RC_TIME_TEXT];

    add_member(&text, "startUrl", access->start_url);
    add_member(&text, "region", access->region);
    add_member(&text, "accessToken", token->text);
    add_member(&text, "expiresAt", rc_format_time(token->expires_unix_ms / 1000 * 1000, end));
    add_member(&text, "clientId", token->client_id);
    add_member(&text, "clientSecret", token->client_secret);
    add_member(&text, "registrationExpiresAt", token->registration_end);
    if (token->refresh)
        add_member(&text, "refreshToken", token->refresh);
    rc_buf_adds(&text, "}\n");
    if (rc_buf_check(&text, &unused) == RC_OK)
        (void)!core_file_write(access->path, text.data, text.len, 0600, &unused);
    explicit_bzero(text.data, text.len);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* The renewed token of an answer. */
static enum rc_code take_token(struct token *token, const struct core_http_answer *answer,
                               struct rc_error *err)
{
    const struct core_node *map =
        core_json_read_reply(&token->arena, answer->body.data, answer->body.len);
    const char *text = core_aws_json_text(map, "accessToken");
    const char *lifetime = core_aws_json_text(map, "expiresIn");
    int64_t lifetime_s;

    if (!text || !lifetime || !rc_parse_int(lifetime, &lifetime_s) || lifetime_s < 0 ||
        lifetime_s > MOST_LIFETIME_S)
        return rc_fail(err, RC_CORRUPT, "the token service of SSO has answered no token");
    token->text = text;
    token->refresh = core_aws_json_text(map, "refreshToken");
    token->expires_unix_ms = core_clock_real_unix_ms() + lifetime_s * 1000;
    core_secret_add(token->text);
    core_secret_add(token->refresh);
    return RC_OK;
}

/* RC_OK: a token that is better is in 'token'; else it is as it was. */
static enum rc_code renew_token(struct core_aws_lookup *lookup, const struct access *access,
                                struct token *token, struct rc_error *err)
{
    const struct core_http_header type = { .name = "content-type", .value = "application/json" };
    RC_STR_AUTO base = core_aws_service_url(lookup, "sso_oidc", "oidc", access->region);
    RC_STR_AUTO url = rc_strf("%s/token", base);
    RC_BUF_AUTO(body, CACHE_BYTES);
    struct core_http_answer answer;
    enum rc_code code;

    add_member(&body, "grantType", "refresh_token");
    add_member(&body, "clientId", token->client_id);
    add_member(&body, "clientSecret", token->client_secret);
    add_member(&body, "refreshToken", token->refresh);
    rc_buf_addc(&body, '}');
    const struct core_http_call call = {
        .name = "the token service of SSO",
        .method = "POST",
        .url = url,
        .headers = &type,
        .header_count = 1,
        .body = body.data,
        .body_len = body.len,
        .total_ms = ATTEMPT_MS,
        .cancel = lookup->cancel,
        .client = lookup->settings->http,
        .repeat = CORE_HTTP_REPEAT_SAFE,
        .judge = core_aws_judge,
    };
    core_http_answer_init(&answer, REPLY_BYTES);
    code = core_http_call(&call, &answer, err);
    if (code == RC_OK && answer.status != 200)
        code = core_aws_fail(&answer, core_clock_real_unix_ms(), err);
    if (code == RC_OK)
        code = take_token(token, &answer, err);
    explicit_bzero(body.data, body.len);
    if (answer.body.len > 0)
        explicit_bzero(answer.body.data, answer.body.len);
    core_http_answer_clear(&answer);
    return code;
}

static enum rc_code get_token(struct core_aws_lookup *lookup, const struct access *access,
                              struct token *token, struct rc_error *err)
{
    int64_t now_unix_ms = core_clock_real_unix_ms(), registered_until;
    struct rc_error why = RC_ERROR_INIT;
    char end[RC_TIME_TEXT];

    if (read_token(access, token, err))
        return err->code;
    if (access->session && token->expires_unix_ms - now_unix_ms < RENEW_MS && token->refresh &&
        token->client_id && token->client_secret && token->registration_end &&
        core_aws_parse_time(token->registration_end, &registered_until) &&
        registered_until > now_unix_ms) {
        enum rc_code code = renew_token(lookup, access, token, &why);

        if (code == RC_OK)
            save_token(access, token);
        else if (core_cancel_check(lookup->cancel, err))
            return err->code;
        else if (rc_retryable(code) && token->expires_unix_ms <= now_unix_ms) {
            *err = why;
            return rc_context(err, "renew the SSO token, which has expired");
        }
        /* Refused, but good for some minutes more: it is used as long as that. */
    }
    if (token->expires_unix_ms <= now_unix_ms) {
        RC_STR_AUTO text = rc_strf("the SSO token has expired at %s%s%s",
                                   rc_format_time(token->expires_unix_ms, end),
                                   why.code ? " and cannot be renewed: " : "", why.cause);

        return fail_login(access, text, err);
    }
    return RC_OK;
}

static enum rc_code get_role(struct core_aws_lookup *lookup, const struct access *access,
                             const struct token *token, struct core_aws_keys *out,
                             struct rc_error *err)
{
    const struct core_http_header bearer = { .name = "x-amz-sso_bearer_token",
                                             .value = token->text };
    RC_STR_AUTO base = core_aws_service_url(lookup, "sso", "portal.sso", access->region);
    RC_BUF_AUTO(url, CACHE_BYTES);
    struct core_http_answer answer;
    enum rc_code code;

    rc_buf_addf(&url, "%s/federation/credentials?role_name=", base);
    rc_buf_add_url(&url, access->role, strlen(access->role));
    rc_buf_adds(&url, "&account_id=");
    rc_buf_add_url(&url, access->account, strlen(access->account));
    const struct core_http_call call = {
        .name = "the SSO portal",
        .url = url.data,
        .headers = &bearer,
        .header_count = 1,
        .total_ms = ATTEMPT_MS,
        .cancel = lookup->cancel,
        .client = lookup->settings->http,
        .judge = core_aws_judge,
    };
    core_http_answer_init(&answer, REPLY_BYTES);
    code = core_http_call(&call, &answer, err);
    if (code == RC_OK && answer.status == 401)
        code = fail_login(access, "the SSO portal does not take the token", err);
    else if (code == RC_OK && answer.status != 200)
        code = core_aws_fail(&answer, core_clock_real_unix_ms(), err);
    else if (code == RC_OK)
        code = core_aws_keys_from_json(CORE_AWS_REPLY_SSO, answer.body.data, answer.body.len, out,
                                       err);
    if (answer.body.len > 0)
        explicit_bzero(answer.body.data, answer.body.len);
    core_http_answer_clear(&answer);
    return code;
}

enum rc_code core_aws_from_sso(struct core_aws_lookup *lookup, const char *profile,
                               struct core_aws_keys *out, struct rc_error *err)
{
    RC_CLEANUP(access_clear) struct access access = { .profile = profile };
    struct token token = { .arena = CORE_ARENA_INIT };
    char role[CORE_SHOWN_TEXT], account[CORE_SHOWN_TEXT];
    enum rc_code code;

    if (!core_aws_profiles_get(&lookup->profiles, CORE_AWS_PROFILE, profile, "sso_role_name") &&
        !core_aws_profiles_get(&lookup->profiles, CORE_AWS_PROFILE, profile, "sso_account_id"))
        return RC_OK;
    if (read_access(lookup, &access, err))
        return err->code;
    code = get_token(lookup, &access, &token, err);
    if (code == RC_OK)
        code = get_role(lookup, &access, &token, out, err);
    core_arena_clear(&token.arena);
    return code ? rc_context(err, "get credentials from SSO for the role '%s' in the account '%s'",
                             core_shown(access.role, role), core_shown(access.account, account))
                : RC_OK;
}
