/*
 * One request to Athena: signed anew for each attempt, sent when the limits allow it, and judged. A
 * wrong clock and credentials that have run out are corrected on the way. What requests mean is
 * left to others.
 */
#include <sql/athena.h>

#include <base/url.h>
#include <cloud/aws_credentials.h>
#include <os/clock.h>
#include <os/digest.h>
#include <storage/s3.h>

#include <run-core/str.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    ATTEMPTS = 16,
    FIRST_ATTEMPTS = 8, /* about half a minute, while nothing says that this is Athena */
    BACKOFF_MS = 100,
    QUOTA_MS = 15 * 60 * 1000,
    LAST_WORD_MS = 5 * 1000,
    LAST_ATTEMPTS = 3,
    CLOCK_SLACK_MS = 2000, /* a Date is of whole seconds, and takes its time */
};

struct core_athena {
    const struct core_sql_context *context;
    struct core_http_client *http;
    struct core_aws_credentials *credentials;
    struct core_athena_limits *limits;
    struct core_athena_patience patience;
    char *region, *url, *host;
    const char *path;               /* in 'url' */
    char *name;                     /* for errors */
    _Atomic int64_t clock_ahead_ms; /* of the server's clock, as far as known */
    atomic_bool was_heard;          /* Athena has answered something */
};

/* ---- opening --------------------------------------------------------------------------------- */

static enum rc_code find_region(struct core_athena *athena, struct rc_error *err)
{
    const struct core_engine_settings *settings = athena->context->settings;

    if (settings->region)
        athena->region = rc_strdup(settings->region);
    else if (core_aws_region(settings->profile, &athena->region, err))
        return err->code;
    if (!athena->region)
        return rc_fail(err, RC_INVALID,
                       "no region is named for Athena: set 'region' of the engine, or AWS_REGION");
    /* It becomes a part of the address that gets the statements. */
    if (!core_s3_is_region(athena->region))
        return rc_fail(err, RC_INVALID, "'%s' is no region of AWS", athena->region);
    return RC_OK;
}

/* The host as it is in the request's header: without a port that is the scheme's own. */
static void split_url(struct core_athena *athena)
{
    const char *usual = rc_str_starts(athena->url, "https:") ? ":443" : ":80";
    const char *host = strstr(athena->url, "://");
    size_t len, usual_len = strlen(usual);

    host = host ? host + strlen("://") : athena->url;
    len = strcspn(host, "/?");
    athena->path = host[len] == '/' ? host + len : "/";
    if (len > usual_len && memcmp(host + len - usual_len, usual, usual_len) == 0)
        len -= usual_len;
    athena->host = rc_strndup(host, len);
}

static enum rc_code find_endpoint(struct core_athena *athena, struct rc_error *err)
{
    const struct core_engine_settings *settings = athena->context->settings;
    bool is_usual;

    if (settings->endpoint)
        athena->url = rc_strdup(settings->endpoint);
    else if (core_aws_endpoint(settings->profile, "athena", &athena->url, err))
        return err->code;
    is_usual = !athena->url;
    if (is_usual)
        athena->url = rc_strf("https://athena.%s.amazonaws.com%s/", athena->region,
                              rc_str_starts(athena->region, "cn-") ? ".cn" : "");
    split_url(athena);
    RC_STR_AUTO shown = core_url_public(athena->url);
    athena->name =
        is_usual ? rc_strf("Athena in %s", athena->region) : rc_strf("Athena at '%s'", shown);
    return RC_OK;
}

static void take_patience(struct core_athena *athena, const struct core_athena_patience *given)
{
    struct core_athena_patience *patience = &athena->patience;

    if (given)
        *patience = *given;
    patience->attempts = patience->attempts ? patience->attempts : ATTEMPTS;
    patience->backoff_ms = patience->backoff_ms ? patience->backoff_ms : BACKOFF_MS;
    patience->quota_ms = patience->quota_ms ? patience->quota_ms : QUOTA_MS;
}

static void make_client(struct core_athena *athena)
{
    const struct core_sql_context *context = athena->context;
    const struct core_engine_settings *settings = context->settings;
    const struct core_http_client_settings http = {
        .ca_file = settings->ca_file,
        .proxy = settings->proxy,
        .backoff_ms = athena->patience.backoff_ms,
        .record = context->record,
        .record_context = context->record_context,
    };

    athena->http = core_http_client_new(&http);
    athena->credentials = core_aws_credentials_new(&(struct core_aws_credentials_settings){
        .access_key_id = settings->access_key_id,
        .secret_access_key = settings->secret_access_key,
        .session_token = settings->session_token,
        .profile = settings->profile,
        .role_arn = settings->role_arn,
        .external_id = settings->external_id,
        .role_session_name = settings->role_session_name,
        .region = athena->region,
        .http = athena->http,
    });
}

/* Whose quotas are used up: as far as the settings tell accounts apart. */
static char *account_of(const struct core_athena *athena)
{
    const struct core_engine_settings *settings = athena->context->settings;
    const char *profile = settings->profile, *role = settings->role_arn;
    const char *key = settings->access_key_id;

    return rc_strf("%s\n%s\n%s\n%s", athena->url, profile ? profile : "", role ? role : "",
                   key ? key : "");
}

enum rc_code core_athena_open(const struct core_sql_context *context,
                              const struct core_athena_patience *patience, struct core_athena **out,
                              struct rc_error *err)
{
    struct core_athena *athena = rc_calloc(1, sizeof(*athena));
    RC_STR_AUTO account = NULL;

    *out = NULL;
    athena->context = context;
    if (core_digest_load(err) || find_region(athena, err) || find_endpoint(athena, err)) {
        core_athena_close(athena);
        return err->code;
    }
    take_patience(athena, patience);
    make_client(athena);
    account = account_of(athena);
    athena->limits = core_athena_limits_get(account, context->settings);
    *out = athena;
    return RC_OK;
}

void core_athena_close(struct core_athena *athena)
{
    if (!athena)
        return;
    core_athena_limits_put(athena->limits);
    core_aws_credentials_free(athena->credentials);
    core_http_client_free(athena->http);
    free(athena->region);
    free(athena->url);
    free(athena->host);
    free(athena->name);
    free(athena);
}

const struct core_sql_context *core_athena_context(const struct core_athena *athena)
{
    return athena->context;
}

void core_athena_add_place(const struct core_athena *athena, struct rc_buf *out)
{
    RC_STR_AUTO url = core_url_public(athena->url);
    size_t len = strlen(url);

    while (len > 0 && url[len - 1] == '/')
        len--;
    rc_buf_addf(out, "region: %s\nserver: %.*s\n", athena->region, (int)len, url);
}

struct core_athena_limits *core_athena_limits_of(const struct core_athena *athena)
{
    return athena->limits;
}

const struct core_athena_patience *core_athena_patience_of(const struct core_athena *athena)
{
    return &athena->patience;
}

/* ---- an attempt ------------------------------------------------------------------------------ */

struct sending {
    struct core_athena *athena;
    struct core_athena_call *call;
    const struct core_cancel *cancel;
    struct core_http_header headers[2];
    char payload[CORE_DIGEST_HEX]; /* of the body */

    /* Of the present attempt. */
    struct core_aws_keys keys;
    int64_t clock_ahead_ms;
    bool is_open;     /* it was sent, and is not answered yet */
    bool was_refused; /* these credentials, already */

    /* Of the one before: why it was no success; the status is 0 where none came. */
    unsigned status;
    struct core_aws_failure failure;
};

/* For whom time runs out among faults, the last of them is what there is to tell. */
static enum rc_code fail_late(const struct sending *sending, struct rc_error *err)
{
    const struct core_aws_failure *failure = &sending->failure;

    if (!sending->status)
        return rc_fail(err, RC_TIMEOUT, "there is no time left for it");
    return rc_fail(err, RC_TIMEOUT,
                   "there is no time left for another attempt; the last was answered by HTTP "
                   "%u%s%s%s%s",
                   sending->status, *failure->code ? " " : "", failure->code,
                   *failure->message ? ": " : "", failure->message);
}

static enum rc_code prepare(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    struct sending *sending = context;
    struct core_athena *athena = sending->athena;
    struct core_sigv4 request = {
        .service = "athena",
        .region = athena->region,
        .method = "POST",
        .host = athena->host,
        .path = athena->path,
        .headers = sending->headers,
        .header_count = RC_ARRAY_LEN(sending->headers),
        .payload = sending->payload,
    };

    if (sending->call->until_mono_ms && core_clock_mono_ms() >= sending->call->until_mono_ms)
        return fail_late(sending, err);
    core_aws_keys_clear(&sending->keys);
    if (core_aws_credentials_get(athena->credentials, sending->cancel, &sending->keys, err) ||
        core_athena_limits_wait(athena->limits, sending->call->flow, sending->cancel,
                                sending->call->until_mono_ms, err))
        return err->code;
    sending->call->is_doubtful |= sending->is_open;
    sending->is_open = true;
    sending->clock_ahead_ms = atomic_load(&athena->clock_ahead_ms);
    request.now_unix_ms = core_clock_real_unix_ms() + sending->clock_ahead_ms;
    core_sigv4_sign(&request, &sending->keys, &draft->headers);
    return RC_OK;
}

static bool is_one_of(const char *code, const char *const *codes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rc_str_eq(code, codes[i]))
            return true;
    return false;
}

/* Whether the clocks differ so much that the signature was refused for it. */
static bool learn_clock(struct sending *sending, const struct core_aws_failure *failure,
                        const struct core_http_answer *answer)
{
    static const char *const codes[] = { "InvalidSignatureException", "SignatureDoesNotMatch",
                                         "RequestExpired", "RequestTimeTooSkewed" };
    int64_t server_unix_ms = core_http_answer_time_unix_ms(answer, "date");
    int64_t ahead_ms, off_ms;

    if (!server_unix_ms || !is_one_of(failure->code, codes, RC_ARRAY_LEN(codes)))
        return false;
    ahead_ms = server_unix_ms - core_clock_real_unix_ms();
    off_ms = ahead_ms - sending->clock_ahead_ms;
    if (off_ms < CLOCK_SLACK_MS && off_ms > -CLOCK_SLACK_MS)
        return false;
    atomic_store(&sending->athena->clock_ahead_ms, ahead_ms);
    return true;
}

static bool renew_credentials(struct sending *sending, const struct core_aws_failure *failure)
{
    static const char *const codes[] = { "ExpiredToken", "ExpiredTokenException",
                                         "InvalidClientTokenId", "UnrecognizedClientException" };

    if (sending->was_refused || !is_one_of(failure->code, codes, RC_ARRAY_LEN(codes)))
        return false;
    sending->was_refused = true;
    return core_aws_credentials_refuse(sending->athena->credentials, &sending->keys);
}

static enum core_http_verdict judge(void *context, const struct core_http_answer *answer)
{
    struct sending *sending = context;
    struct core_athena_call *call = sending->call;
    struct core_aws_failure *failure = &sending->failure;

    sending->is_open = false;
    sending->status = answer->status;
    if (answer->body.len > 0 && answer->body.data[0] == '{')
        atomic_store(&sending->athena->was_heard, true);
    call->is_doubtful |= answer->status >= 500 || answer->status == 200;
    /* What is on the way may call its own page a success. */
    if (answer->status == 200)
        return answer->body.len > 0 && answer->body.data[0] == '{' ? CORE_HTTP_ACCEPT
                                                                   : CORE_HTTP_AGAIN;
    core_aws_read_failure(answer, failure);
    if (learn_clock(sending, failure, answer) || renew_credentials(sending, failure))
        return CORE_HTTP_PREPARE;
    if (rc_str_eq(failure->code, "TooManyRequestsException")) {
        /* Of a start it says how many queries there are, of all else how many requests. */
        call->is_full = call->flow == CORE_ATHENA_STARTS;
        return call->is_full ? CORE_HTTP_ACCEPT : CORE_HTTP_SLOWER;
    }
    return core_athena_judge(answer->status, failure);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* An outage is waited out in the middle of a run; a wrong endpoint is to be told soon. */
static unsigned attempts(const struct core_athena *athena, const struct core_athena_call *call)
{
    unsigned most = athena->patience.attempts;

    if (call->is_last)
        return LAST_ATTEMPTS;
    return atomic_load(&athena->was_heard) || most < FIRST_ATTEMPTS ? most : FIRST_ATTEMPTS;
}

static enum rc_code check_answer(const struct core_http_answer *answer, struct rc_error *err)
{
    struct core_aws_failure failure;

    if (answer->status == 200) {
        if (answer->body.len > 0 && answer->body.data[0] == '{')
            return RC_OK;
        return rc_fail(err, RC_UNAVAILABLE,
                       "what answers is not Athena: the reply is no JSON object; check 'endpoint' "
                       "and 'proxy' of the engine");
    }
    core_aws_read_failure(answer, &failure);
    return core_athena_fail_refused(answer->status, &failure, &answer->body, err);
}

/* What is left for one attempt; 0: there is no limit. */
static int64_t remaining_ms(const struct core_athena_call *call)
{
    int64_t left_ms = call->until_mono_ms - core_clock_mono_ms();

    if (call->until_mono_ms == 0)
        return 0;
    return left_ms > 1 ? left_ms : 1;
}

enum rc_code core_athena_send(struct core_athena *athena, struct core_athena_call *call,
                              struct core_http_answer *answer, struct rc_error *err)
{
    RC_STR_AUTO target = rc_strf("AmazonAthena.%s", call->operation);
    RC_BUF_AUTO(payload, CORE_DIGEST_HEX);
    unsigned char digest[CORE_DIGEST_BYTES];

    if (call->is_last)
        call->until_mono_ms = core_clock_mono_ms() + LAST_WORD_MS;
    struct sending sending = {
        .athena = athena,
        .call = call,
        .cancel = call->is_last ? NULL : call->cancel,
        .headers = { { "content-type", "application/x-amz-json-1.1" }, { "x-amz-target", target } },
        .keys = CORE_AWS_KEYS_INIT,
    };
    const struct core_http_call request = {
        .name = athena->name,
        .method = "POST",
        .url = athena->url,
        .headers = sending.headers,
        .header_count = RC_ARRAY_LEN(sending.headers),
        .body = call->body->data,
        .body_len = call->body->len,
        .total_ms = remaining_ms(call),
        .cancel = sending.cancel,
        .client = athena->http,
        /* A start has its token, the others change nothing. */
        .repeat = CORE_HTTP_REPEAT_SAFE,
        .attempts = attempts(athena, call),
        .prepare = prepare,
        .judge = judge,
        .context = &sending,
    };
    enum rc_code code;

    call->is_doubtful = call->is_full = false;
    if (rc_buf_check(call->body, err))
        return err->code;
    core_digest(CORE_SHA256, call->body->data, call->body->len, digest);
    core_add_hex(&payload, digest, sizeof(digest));
    memcpy(sending.payload, payload.data, payload.len + 1);
    code = core_http_call(&request, answer, err);
    call->is_doubtful |= sending.is_open;
    if (!code)
        code = check_answer(answer, err);
    if (code)
        code = rc_context(err, "%s at %s", call->operation, athena->name);
    core_aws_keys_clear(&sending.keys);
    return code;
}
