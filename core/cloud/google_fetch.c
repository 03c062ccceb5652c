/*
 * Requests for access tokens, one function for each kind of key. See google.aip.dev/auth/4112 and
 * the following for what each kind asks, and RFC 7523, 6749 and 8693 for the grants.
 */
#include <cloud/google_fetch.h>

#include <cloud/jwt.h>
#include <config/json.h>
#include <config/secrets.h>
#include <os/clock.h>
#include <os/file.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SCOPE "https://www.googleapis.com/auth/cloud-platform"
#define METADATA_HOST "169.254.169.254"
#define METADATA_PATH "/computeMetadata/v1/instance/service-accounts/default/token"
#define FORM "application/x-www-form-urlencoded"

enum {
    REQUEST_BYTES = 256 * 1024,
    REPLY_BYTES = 256 * 1024,
    ATTEMPT_MS = 30 * 1000,
    LIFETIME_S = 3600,          /* of an assertion: the longest that is taken */
    SKEW_MS = 60 * 1000,        /* from which on a clock is said to be wrong */
    PROBE_MS = 1000,            /* a metadata server is next door, or nowhere */
    PROBE_TOTAL_MS = 10 * 1000, /* but may have to ask for the token first */
    PROBES_AT_HOME = 4,         /* where it has to be there, as while a pod starts */
};

struct request {
    const char *name; /* for errors */
    const char *url;
    const char *content_type;
    const char *authorization; /* or NULL */
    struct rc_buf body;
};

static void wipe(struct rc_buf *buf)
{
    explicit_bzero(buf->data, buf->len);
    rc_buf_clear(buf);
}

static void add_field(struct rc_buf *form, const char *name, const char *value)
{
    rc_buf_addf(form, "%s%s=", form->len > 0 ? "&" : "", name);
    rc_buf_add_url(form, value, strlen(value));
}

static const char *scope_of(const struct core_google_fetch *fetch)
{
    return fetch->scope ? fetch->scope : SCOPE;
}

/* Makes the request. A token that is fetched and not used harms nobody, so it may be repeated. */
static enum rc_code post(const struct core_google_fetch *fetch, struct request *request,
                         struct core_http_answer *answer, struct rc_error *err)
{
    const struct core_http_header headers[] = {
        { "Content-Type", request->content_type },
        { "Accept", "application/json" },
        { "Authorization", request->authorization },
    };

    if (rc_buf_check(&request->body, err))
        return rc_context(err, "%s", request->name);
    return core_http_call(
        &(const struct core_http_call){
            .name = request->name,
            .method = "POST",
            .url = request->url,
            .headers = headers,
            .header_count = RC_ARRAY_LEN(headers) - (request->authorization ? 0 : 1),
            .body = request->body.data,
            .body_len = request->body.len,
            .total_ms = ATTEMPT_MS,
            .cancel = fetch->cancel,
            .client = fetch->http,
            .repeat = CORE_HTTP_REPEAT_SAFE,
        },
        answer, err);
}

/* A refusal of a token server is one of the key, whatever status it comes with. */
static enum rc_code take_token(const char *name, const struct core_http_answer *answer,
                               struct core_google_token *out, struct rc_error *err)
{
    if (answer->status / 100 == 2) {
        if (core_google_token_parse(answer->body.data, answer->body.len, core_clock_real_unix_ms(),
                                    out, err))
            return rc_context(err, "%s", name);
        return RC_OK;
    }
    if (core_google_fail(answer, err) == RC_INVALID)
        err->code = RC_DENIED;
    return rc_context(err, "%s", name);
}

static enum rc_code post_for_token(const struct core_google_fetch *fetch, struct request *request,
                                   struct core_google_token *out, struct rc_error *err)
{
    struct core_http_answer answer;
    enum rc_code code;

    core_http_answer_init(&answer, REPLY_BYTES);
    code = post(fetch, request, &answer, err);
    if (!code)
        code = take_token(request->name, &answer, out, err);
    wipe(&answer.body);
    core_http_answer_clear(&answer);
    return code;
}

/* ---- service accounts ------------------------------------------------------------------------ */

static enum rc_code write_assertion(const struct core_google_fetch *fetch,
                                    const struct core_google_key *key, int64_t now_unix_ms,
                                    struct rc_buf *form, struct rc_error *err)
{
    RC_BUF_AUTO(header, REQUEST_BYTES);
    RC_BUF_AUTO(claims, REQUEST_BYTES);
    RC_BUF_AUTO(token, REQUEST_BYTES);
    const char *scope = scope_of(fetch);
    int64_t now_unix_s = now_unix_ms / 1000;

    rc_buf_adds(&header, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
    if (key->private_key_id) {
        rc_buf_adds(&header, ",\"kid\":");
        rc_buf_add_json(&header, key->private_key_id, strlen(key->private_key_id));
    }
    rc_buf_adds(&header, "}");

    rc_buf_adds(&claims, "{\"iss\":");
    rc_buf_add_json(&claims, key->client_email, strlen(key->client_email));
    rc_buf_adds(&claims, ",\"scope\":");
    rc_buf_add_json(&claims, scope, strlen(scope));
    rc_buf_adds(&claims, ",\"aud\":");
    rc_buf_add_json(&claims, key->token_url, strlen(key->token_url));
    rc_buf_addf(&claims, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", now_unix_s,
                now_unix_s + LIFETIME_S);

    if (rc_buf_check(&header, err) || rc_buf_check(&claims, err) ||
        core_jwt_sign(header.data, claims.data, key->private_key, &token, err))
        return rc_context(err, "sign for '%s'", key->client_email);
    add_field(form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    add_field(form, "assertion", token.data);
    return RC_OK;
}

/* What a server's clock shows by its header Date, less ours; 0: no date. */
static int64_t skew_of(const struct core_http_answer *answer, int64_t now_unix_ms)
{
    int64_t server_unix_ms = core_http_answer_time_unix_ms(answer, "date");

    return server_unix_ms ? server_unix_ms - now_unix_ms : 0;
}

static enum rc_code say_skew(int64_t skew_ms, struct rc_error *err)
{
    char amount[RC_AMOUNT_TEXT];

    (void)rc_format_duration(skew_ms < 0 ? -skew_ms : skew_ms, amount);
    return rc_context(err, "this machine's clock is %s %s that of the server: set it", amount,
                      skew_ms < 0 ? "ahead of" : "behind");
}

/*
 * An assertion holds for a time around now. Where the server's clock shows another time than ours
 * and it refuses, the assertion is made once more by its clock.
 */
static enum rc_code try_service_account(const struct core_google_fetch *fetch,
                                        const struct core_google_key *key, struct request *request,
                                        struct core_google_token *out, struct rc_error *err)
{
    int64_t skew_ms = 0;

    for (bool again = false;; again = true) {
        struct core_http_answer answer;
        int64_t now_unix_ms = core_clock_real_unix_ms();
        enum rc_code code;

        wipe(&request->body);
        core_http_answer_init(&answer, REPLY_BYTES);
        code = write_assertion(fetch, key, now_unix_ms + skew_ms, &request->body, err);
        if (!code)
            code = post(fetch, request, &answer, err);
        if (!code) {
            code = take_token(request->name, &answer, out, err);
            skew_ms = skew_of(&answer, core_clock_real_unix_ms());
        }
        wipe(&answer.body);
        core_http_answer_clear(&answer);
        if (code != RC_DENIED || (skew_ms > -SKEW_MS && skew_ms < SKEW_MS))
            return code;
        if (again)
            return say_skew(skew_ms, err);
    }
}

static enum rc_code by_service_account(const struct core_google_fetch *fetch,
                                       const struct core_google_key *key,
                                       struct core_google_token *out, struct rc_error *err)
{
    RC_STR_AUTO name = rc_strf("get an access token for '%s'", key->client_email);
    struct request request = {
        .name = name,
        .url = key->token_url,
        .content_type = FORM,
        .body = RC_BUF_INIT(REQUEST_BYTES),
    };
    enum rc_code code;

    core_secret_add(key->private_key);
    code = try_service_account(fetch, key, &request, out, err);
    wipe(&request.body);
    return code;
}

/* ---- users ----------------------------------------------------------------------------------- */

static enum rc_code by_user(const struct core_google_fetch *fetch,
                            const struct core_google_key *key, struct core_google_token *out,
                            struct rc_error *err)
{
    struct request request = {
        .name = "renew the access token of a Google user",
        .url = key->token_url,
        .content_type = FORM,
        .body = RC_BUF_INIT(REQUEST_BYTES),
    };
    enum rc_code code;

    core_secret_add(key->refresh_token);
    core_secret_add(key->client_secret);
    add_field(&request.body, "grant_type", "refresh_token");
    add_field(&request.body, "client_id", key->client_id);
    add_field(&request.body, "client_secret", key->client_secret);
    add_field(&request.body, "refresh_token", key->refresh_token);
    code = post_for_token(fetch, &request, out, err);
    wipe(&request.body);
    if (code == RC_DENIED)
        return rc_context(err, "log in again with 'gcloud auth application-default login'");
    return code;
}

/* ---- impersonation --------------------------------------------------------------------------- */

static void add_json_list(struct rc_buf *out, const char *name, const char *const *items,
                          size_t count)
{
    rc_buf_addf(out, "\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            rc_buf_addc(out, ',');
        rc_buf_add_json(out, items[i], strlen(items[i]));
    }
    rc_buf_addc(out, ']');
}

/* Exchanges a token for one of the service account whose URL the key gives. */
static enum rc_code impersonate(const struct core_google_fetch *fetch,
                                const struct core_google_key *key,
                                const struct core_google_token *token,
                                struct core_google_token *out, struct rc_error *err)
{
    RC_STR_AUTO authorization = rc_strf("Bearer %s", token->text);
    const char *scope = scope_of(fetch);
    struct request request = {
        .name = "get an access token by impersonation",
        .url = key->impersonation_url,
        .content_type = "application/json",
        .authorization = authorization,
        .body = RC_BUF_INIT(REQUEST_BYTES),
    };
    enum rc_code code;

    core_secret_add(token->text);
    rc_buf_addc(&request.body, '{');
    add_json_list(&request.body, "delegates", key->delegates, key->delegate_count);
    rc_buf_addc(&request.body, ',');
    add_json_list(&request.body, "scope", &scope, 1);
    rc_buf_addf(&request.body, ",\"lifetime\":\"%ds\"}", LIFETIME_S);
    code = post_for_token(fetch, &request, out, err);
    rc_buf_clear(&request.body);
    explicit_bzero(authorization, strlen(authorization));
    return code;
}

static enum rc_code by_impersonation(const struct core_google_fetch *fetch,
                                     const struct core_google_key *key,
                                     struct core_google_token *out, struct rc_error *err)
{
    CORE_GOOGLE_TOKEN_AUTO(own);
    const struct core_google_fetch wide = { .http = fetch->http, .cancel = fetch->cancel };

    if (core_google_fetch_by_key(&wide, key->source, &own, err))
        return rc_context(err, "the source credentials");
    return impersonate(fetch, key, &own, out, err);
}

/* ---- workload identity federation ----------------------------------------------------------- */

static enum rc_code get_subject(const struct core_google_fetch *fetch,
                                const struct core_google_key *key, struct rc_buf *out,
                                struct rc_error *err)
{
    struct core_http_answer answer;
    const struct core_http_call call = {
        .name = "get the token of an external account",
        .url = key->subject.url,
        .headers = key->subject.headers,
        .header_count = key->subject.header_count,
        .total_ms = ATTEMPT_MS,
        .cancel = fetch->cancel,
        .client = fetch->http,
        .secret_url = true,
    };
    enum rc_code code;

    if (key->subject.file)
        return core_file_read(key->subject.file, out, err);
    core_http_answer_init(&answer, REPLY_BYTES);
    code = core_http_call(&call, &answer, err);
    if (!code && answer.status / 100 != 2) {
        (void)core_google_fail(&answer, err);
        code = rc_context(err, "%s", call.name);
    }
    if (!code)
        rc_buf_add(out, answer.body.data, answer.body.len);
    wipe(&answer.body);
    core_http_answer_clear(&answer);
    return code ? code : rc_buf_check(out, err);
}

/* The token of the other party: the whole text, or a field of it. Freed by the caller. */
static char *subject_token(const struct core_google_key *key, const struct rc_buf *text)
{
    struct core_arena arena = CORE_ARENA_INIT;
    char *token = NULL;

    if (key->subject.field) {
        token = rc_strdup(core_node_text(core_json_read_reply(&arena, text->data, text->len),
                                         key->subject.field));
    } else {
        size_t len = text->len;

        while (len > 0 && (unsigned char)text->data[len - 1] <= ' ')
            len--;
        token = len > 0 ? rc_strndup(text->data, len) : NULL;
    }
    core_arena_clear(&arena);
    return token;
}

static enum rc_code exchange_subject(const struct core_google_fetch *fetch,
                                     const struct core_google_key *key, const char *subject,
                                     struct core_google_token *out, struct rc_error *err)
{
    struct request request = {
        .name = "exchange the token of an external account",
        .url = key->token_url,
        .content_type = FORM,
        .body = RC_BUF_INIT(REQUEST_BYTES),
    };
    enum rc_code code;

    core_secret_add(subject);
    add_field(&request.body, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    add_field(&request.body, "audience", key->subject.audience);
    add_field(&request.body, "scope", key->impersonation_url ? SCOPE : scope_of(fetch));
    add_field(&request.body, "requested_token_type",
              "urn:ietf:params:oauth:token-type:access_token");
    add_field(&request.body, "subject_token_type", key->subject.token_type);
    add_field(&request.body, "subject_token", subject);
    code = post_for_token(fetch, &request, out, err);
    wipe(&request.body);
    return code;
}

static enum rc_code by_external_account(const struct core_google_fetch *fetch,
                                        const struct core_google_key *key,
                                        struct core_google_token *out, struct rc_error *err)
{
    CORE_GOOGLE_TOKEN_AUTO(own);
    RC_BUF_AUTO(text, REPLY_BYTES);
    RC_STR_AUTO subject = NULL;

    if (get_subject(fetch, key, &text, err))
        return err->code;
    subject = subject_token(key, &text);
    if (!subject)
        return rc_fail(err, RC_CORRUPT, "'%s' has no token%s%s",
                       key->subject.file ? key->subject.file : "the credential source's URL",
                       key->subject.field ? " in its field " : "",
                       key->subject.field ? key->subject.field : "");
    if (exchange_subject(fetch, key, subject, &own, err))
        return err->code;
    if (key->impersonation_url)
        return impersonate(fetch, key, &own, out, err);
    *out = own;
    own = (struct core_google_token){ .text = NULL };
    return RC_OK;
}

enum rc_code core_google_fetch_by_key(const struct core_google_fetch *fetch,
                                      const struct core_google_key *key,
                                      struct core_google_token *out, struct rc_error *err)
{
    switch (key->kind) {
    case CORE_GOOGLE_SERVICE_ACCOUNT:
        return by_service_account(fetch, key, out, err);
    case CORE_GOOGLE_AUTHORIZED_USER:
        return by_user(fetch, key, out, err);
    case CORE_GOOGLE_EXTERNAL_ACCOUNT:
        return by_external_account(fetch, key, out, err);
    case CORE_GOOGLE_IMPERSONATED:
        return by_impersonation(fetch, key, out, err);
    }
    return rc_fail(err, RC_UNSUPPORTED, "this kind of key is not known");
}

/* ---- the metadata server --------------------------------------------------------------------- */

/* Whether this machine says by itself that it is one of Google's, or was told of a server. */
static bool is_at_home(void)
{
    RC_BUF_AUTO(product, 256);
    struct rc_error err = RC_ERROR_INIT;

    if (getenv("GCE_METADATA_HOST") || getenv("KUBERNETES_SERVICE_HOST"))
        return true;
    return core_file_read("/sys/class/dmi/id/product_name", &product, &err) == RC_OK &&
           rc_str_starts(product.data, "Google");
}

/* Only a metadata server answers with the header that it asks for. */
static enum rc_code check_server(const struct core_http_answer *answer, struct rc_error *err)
{
    const char *flavor = core_http_answer_header(answer, "metadata-flavor");

    if (!flavor || !rc_str_eq(flavor, "Google"))
        return rc_fail(err, RC_NOT_FOUND, "what answers there is no metadata server of Google");
    if (answer->status == 404)
        return rc_fail(err, RC_NOT_FOUND,
                       "the metadata server has no service account for this machine");
    return RC_OK;
}

enum rc_code core_google_fetch_from_machine(const struct core_google_fetch *fetch,
                                            struct core_google_token *out, struct rc_error *err)
{
    static const struct core_http_header flavor = { "Metadata-Flavor", "Google" };
    static const char name[] = "ask the metadata server for an access token";
    const char *host = getenv("GCE_METADATA_HOST");
    RC_BUF_AUTO(url, 8 * 1024);
    struct core_http_client *direct;
    struct core_http_answer answer;
    enum rc_code code;

    rc_buf_addf(&url, "http://%s" METADATA_PATH, host && *host ? host : METADATA_HOST);
    if (fetch->scope) {
        rc_buf_adds(&url, "?scopes=");
        rc_buf_add_url(&url, fetch->scope, strlen(fetch->scope));
    }
    if (rc_buf_check(&url, err))
        return err->code;

    /* Next door: never through a proxy, which would give the token of its own machine. */
    direct = core_http_client_new(&(const struct core_http_client_settings){
        .proxy = "",
        .attempts = is_at_home() ? PROBES_AT_HOME : 1,
    });
    core_http_answer_init(&answer, REPLY_BYTES);
    code = core_http_call(
        &(const struct core_http_call){
            .name = name,
            .url = url.data,
            .headers = &flavor,
            .header_count = 1,
            .connect_ms = PROBE_MS,
            .total_ms = PROBE_TOTAL_MS,
            .cancel = fetch->cancel,
            .client = direct,
        },
        &answer, err);
    if (!code && check_server(&answer, err))
        code = err->code;
    else if (!code)
        code = take_token(name, &answer, out, err);
    else if (code == RC_UNAVAILABLE && !is_at_home())
        err->code = code = RC_NOT_FOUND;
    wipe(&answer.body);
    core_http_answer_clear(&answer);
    core_http_client_free(direct);
    return code;
}
