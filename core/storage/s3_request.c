/*
 * One S3 request: aimed at the region of its bucket and signed anew for each attempt, sent, and
 * judged. A wrong region, a wrong clock and credentials that have run out are corrected on the way.
 */
#include <storage/s3.h>
#include <storage/s3_bucket.h>

#include <base/url.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define GOOGLE "https://storage.googleapis.com"

enum {
    HEADERS_MAX = 128,
    OWN_HEADERS = 8,       /* of those at most, that are added at last */
    CLOCK_SLACK_MS = 2000, /* a Date is of whole seconds, and takes its time */
};

void core_s3_request_clear(struct core_s3_request *request)
{
    rc_buf_clear(&request->query);
    rc_buf_clear(&request->headers);
}

void core_s3_add_header(struct core_s3_request *request, const char *name, const char *value)
{
    rc_buf_add(&request->headers, name, strlen(name) + 1);
    rc_buf_add(&request->headers, value, strlen(value) + 1);
}

void core_s3_add_etag(struct core_s3_request *request, const char *name, const char *etag)
{
    if (etag) {
        RC_STR_AUTO quoted = rc_strf("\"%s\"", etag);

        core_s3_add_header(request, name, quoted);
    }
}

void core_s3_add_condition(struct core_s3_request *request, const char *if_match)
{
    if (if_match && *if_match == '\0')
        core_s3_add_header(request, "if-none-match", "*");
    else if (if_match)
        /* AWS takes it with quotes or without, Ceph compares it byte by byte as it stands. */
        core_s3_add_header(request, "if-match", if_match);
}

/* ---- which server ---------------------------------------------------------------------------- */

static bool is_google(const struct core_place_in_store *place)
{
    return rc_str_starts(place->uri, "gs://");
}

/* The endpoint that is given for a place; NULL: AWS's own of the region. */
static const char *given_endpoint(const struct core_place_in_store *place,
                                  const struct core_remote_s3 *s3)
{
    if (place->settings && place->settings->endpoint)
        return place->settings->endpoint;
    return is_google(place) ? GOOGLE : s3->endpoint;
}

static enum rc_code find_server(const struct core_place_in_store *place, struct core_remote_s3 **s3,
                                struct rc_error *err)
{
    if (!place->remote)
        return rc_fail(err, RC_UNSUPPORTED, "stores on other machines are not reached from here");
    return core_remote_s3(place->remote, place->settings, s3, err);
}

enum rc_code core_s3_honours(const struct core_place_in_store *place, bool *out,
                             struct rc_error *err)
{
    struct core_remote_s3 *s3;
    const char *given;

    *out = false;
    if (find_server(place, &s3, err))
        return err->code;
    given = given_endpoint(place, s3);
    *out = !given || core_s3_is_aws(given);
    return RC_OK;
}

/* The settings' region, else what the endpoint's name says, else that of the environment. */
static char *configured_region(const struct core_place_in_store *place,
                               const struct core_remote_s3 *s3, const char *given)
{
    bool is_set = place->settings && place->settings->region;
    char *region = NULL;

    if (is_google(place) && !is_set)
        return rc_strdup("auto");
    if (!is_set && given)
        region = core_s3_region_of(given);
    if (!region)
        region = rc_strdup(s3->region);
    return region ? region : rc_strdup("us-east-1");
}

enum rc_code core_s3_location(const struct core_place_in_store *place, char **out,
                              struct rc_error *err)
{
    struct core_remote_s3 *s3;
    const char *given;

    *out = NULL;
    if (find_server(place, &s3, err))
        return err->code;
    given = given_endpoint(place, s3);
    if (given && !core_s3_is_aws(given))
        return RC_OK;
    *out = configured_region(place, s3, given);
    if (rc_str_eq(*out, "us-east-1")) {
        free(*out);
        *out = NULL;
    }
    return RC_OK;
}

void core_s3_add_source(struct core_s3_request *request, const struct core_place_in_store *source,
                        const char *if_match)
{
    RC_BUF_AUTO(path, 1 << 14);
    struct rc_error ignored = RC_ERROR_INIT;
    bool honours;

    rc_buf_addc(&path, '/');
    core_s3_add_path(&path, source->bucket);
    rc_buf_addc(&path, '/');
    core_s3_add_path(&path, source->key);
    if (source->version) {
        rc_buf_adds(&path, "?versionId=");
        rc_buf_add_url(&path, source->version, strlen(source->version));
    }
    core_s3_add_header(request, "x-amz-copy-source", path.data);
    core_s3_add_etag(request, "x-amz-copy-source-if-match", if_match);
    /* Ceph reads this name, and no condition at all where a part is copied. */
    if (!core_s3_honours(request->place, &honours, &ignored) && !honours)
        core_s3_add_etag(request, "x-amz-copy-if-match", if_match);
}

static bool is_same_account(const struct core_store_settings *a,
                            const struct core_store_settings *b)
{
    static const struct core_store_settings none;

    a = a ? a : &none;
    b = b ? b : &none;
    return a->anonymous == b->anonymous && rc_str_eq(a->access_key_id, b->access_key_id) &&
           rc_str_eq(a->session_token, b->session_token) && rc_str_eq(a->profile, b->profile) &&
           rc_str_eq(a->role_arn, b->role_arn);
}

bool core_s3_is_same_store(const struct core_place_in_store *a, const struct core_place_in_store *b)
{
    struct core_remote_s3 *of_a, *of_b;
    struct rc_error err = RC_ERROR_INIT;

    if (find_server(a, &of_a, &err) || find_server(b, &of_b, &err))
        return false;
    return is_same_account(a->settings, b->settings) &&
           rc_str_eq(given_endpoint(a, of_a), given_endpoint(b, of_b));
}

static bool is_same_address(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);

    while (a_len > 0 && a[a_len - 1] == '/')
        a_len--;
    while (b_len > 0 && b[b_len - 1] == '/')
        b_len--;
    return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

bool core_s3_is_same_server(const struct core_place_in_store *a,
                            const struct core_place_in_store *b)
{
    struct core_remote_s3 *of_a, *of_b;
    struct rc_error err = RC_ERROR_INIT;
    const char *at_a, *at_b;

    if (find_server(a, &of_a, &err) || find_server(b, &of_b, &err))
        return false;
    at_a = given_endpoint(a, of_a);
    at_b = given_endpoint(b, of_b);
    if ((!at_a || core_s3_is_aws(at_a)) && (!at_b || core_s3_is_aws(at_b)))
        return true;
    return at_a && at_b && is_same_address(at_a, at_b);
}

/* ---- an attempt ------------------------------------------------------------------------------ */

struct sending {
    struct core_s3_request *request;
    const struct core_store_settings *settings; /* never NULL */
    struct core_remote_s3 *s3;
    struct core_aws_credentials *credentials;
    const char *given;
    const struct core_cancel *cancel;

    /* Of the present attempt. */
    char *region;
    struct core_aws_keys keys;
    struct core_s3_target target;
    int64_t clock_ahead_ms;
    bool was_refused; /* these credentials, already */
};

static void sending_clear(struct sending *sending)
{
    free(sending->region);
    core_aws_keys_clear(&sending->keys);
    core_s3_target_clear(&sending->target);
}

static const char *note_key(const struct sending *sending)
{
    return sending->given ? sending->given : "";
}

static bool is_aws(const struct sending *sending)
{
    return !sending->given || core_s3_is_aws(sending->given);
}

/* What was learnt of the bucket, else what is configured. */
static char *find_region(const struct sending *sending)
{
    const struct core_place_in_store *place = sending->request->place;
    char *region = core_remote_recall(place->remote, note_key(sending), place->bucket);

    return region ? region : configured_region(place, sending->s3, sending->given);
}

static enum rc_code aim(struct sending *sending, struct rc_error *err)
{
    const struct core_s3_request *request = sending->request;
    const struct core_place_in_store *place = request->place;
    RC_BUF_AUTO(own, 256);

    free(sending->region);
    sending->region = find_region(sending);
    if (is_aws(sending)) {
        char *named = sending->given ? core_s3_region_of(sending->given) : NULL;

        /* An address that names the region may be dual-stack; one of another region is wrong. */
        if (!rc_str_eq(named, sending->region))
            core_s3_aws_endpoint(&own, sending->region);
        free(named);
    }
    return core_s3_aim(&sending->target, own.len > 0 ? own.data : sending->given,
                       sending->settings->addressing, place->bucket,
                       request->of_bucket ? NULL : place->key,
                       request->query.len > 0 ? request->query.data + 1 : "", err);
}

static bool is_signed(const char *name)
{
    return rc_str_starts(name, "x-amz-") || rc_str_starts(name, "content-");
}

static size_t count_headers(const struct rc_buf *headers)
{
    size_t texts = 0;

    for (size_t i = 0; i < headers->len; i++)
        texts += headers->data[i] == '\0';
    return texts / 2;
}

static size_t split_headers(const struct rc_buf *headers, bool only_signed,
                            struct core_http_header out[HEADERS_MAX])
{
    const char *end = headers->data + headers->len;
    size_t count = 0;

    for (const char *name = headers->data, *value; name < end && count < HEADERS_MAX;
         name = value + strlen(value) + 1) {
        value = name + strlen(name) + 1;
        if (!only_signed || is_signed(name))
            out[count++] = (struct core_http_header){ name, value };
    }
    return count;
}

static enum rc_code prepare(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    struct sending *sending = context;
    const struct core_s3_request *request = sending->request;
    struct core_http_header headers[HEADERS_MAX];
    bool has_body = request->body_len > 0 || request->content;

    core_aws_keys_clear(&sending->keys);
    if (core_aws_credentials_get(sending->credentials, sending->cancel, &sending->keys, err) ||
        aim(sending, err))
        return err->code;
    sending->clock_ahead_ms = atomic_load(&sending->s3->clock_ahead_ms);
    sending->request->sends++;
    sending->request->clock_ahead_ms = sending->clock_ahead_ms;
    sending->request->sent_unix_ms = core_clock_real_unix_ms() + sending->clock_ahead_ms;
    const struct core_sigv4 unsigned_request = {
        .service = "s3",
        .region = sending->region,
        .now_unix_ms = request->sent_unix_ms,
        .method = request->method,
        .host = sending->target.host.data,
        .path = sending->target.path.data,
        .query = request->query.len > 0 ? request->query.data + 1 : NULL,
        .headers = headers,
        .header_count = split_headers(&request->headers, /* only_signed = */ true, headers),
        .payload = has_body ? CORE_SIGV4_UNSIGNED : CORE_SIGV4_EMPTY,
        .plain_path = true,
        .add_payload = true,
    };
    core_sigv4_sign(&unsigned_request, &sending->keys, &draft->headers);
    draft->url = sending->target.url.data;
    return RC_OK;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* Whether the server has named another region, which is used from now on. */
static bool learn_region(struct sending *sending, const struct core_s3_refusal *refusal)
{
    const struct core_place_in_store *place = sending->request->place;
    unsigned status = refusal->status;
    char *region = NULL;
    bool is_news;

    if (status != 301 && status != 307 && status != 400)
        return false;
    if (refusal->region[0])
        region = rc_strdup(refusal->region);
    else if (status != 400)
        region = core_s3_region_of(refusal->endpoint);
    /* At AWS it becomes a part of the address that gets the content. */
    is_news = region && !rc_str_eq(region, sending->region) &&
              (!is_aws(sending) || core_s3_is_region(region));
    if (is_news)
        core_remote_note(place->remote, note_key(sending), place->bucket, region);
    free(region);
    return is_news;
}

static int64_t server_clock_ahead_ms(const struct core_http_answer *answer)
{
    int64_t server_unix_ms = core_http_answer_time_unix_ms(answer, "date");

    return server_unix_ms ? server_unix_ms - core_clock_real_unix_ms() : 0;
}

static bool learn_clock(struct sending *sending, const struct core_s3_refusal *refusal,
                        const struct core_http_answer *answer)
{
    int64_t ahead_ms, off_ms;

    if (!rc_str_eq(refusal->code, "RequestTimeTooSkewed") &&
        !rc_str_eq(refusal->code, "RequestExpired"))
        return false;
    ahead_ms = server_clock_ahead_ms(answer);
    off_ms = ahead_ms - sending->clock_ahead_ms;
    if (ahead_ms == 0 || (off_ms < CLOCK_SLACK_MS && off_ms > -CLOCK_SLACK_MS))
        return false;
    atomic_store(&sending->s3->clock_ahead_ms, ahead_ms);
    return true;
}

static bool renew_credentials(struct sending *sending, const struct core_s3_refusal *refusal)
{
    if (sending->was_refused ||
        (!rc_str_eq(refusal->code, "ExpiredToken") && !rc_str_eq(refusal->code, "InvalidToken") &&
         !rc_str_eq(refusal->code, "TokenRefreshRequired") &&
         !rc_str_eq(refusal->code, "InvalidAccessKeyId")))
        return false;
    sending->was_refused = true;
    return core_aws_credentials_refuse(sending->credentials, &sending->keys);
}

/*
 * Whether an S3 server has answered, and not something on the way to it that calls everything a
 * success. Who believes that has written, copied or removed nothing.
 */
static bool is_of_s3(const struct core_s3_request *request, const struct core_http_answer *answer)
{
    if (request->answers_xml)
        return answer->body.len > 0 &&
               (!request->root || core_s3_has_root(&answer->body, request->root));
    if (request->answers_etag)
        return core_http_answer_header(answer, "etag") != NULL;
    return answer->body.len == 0;
}

static enum core_http_verdict judge(void *context, const struct core_http_answer *answer)
{
    struct sending *sending = context;
    const struct core_s3_request *request = sending->request;
    struct core_s3_refusal refusal;

    if (!core_s3_refusal_read(&refusal, answer, request->answers_xml))
        return is_of_s3(request, answer) ? CORE_HTTP_ACCEPT : CORE_HTTP_AGAIN;
    if (learn_region(sending, &refusal) || learn_clock(sending, &refusal, answer) ||
        renew_credentials(sending, &refusal))
        return CORE_HTTP_PREPARE;
    return core_s3_refusal_judge(&refusal);
}

/* ---- sending --------------------------------------------------------------------------------- */

static enum rc_code check_request(const struct core_s3_request *request, struct rc_error *err)
{
    /* Without its key a request would be one to the bucket: to make it, or to remove it. */
    if (!request->of_bucket && request->place->key[0] == '\0')
        return rc_fail(err, RC_INVALID, "the URI names a bucket, not an object in it");
    if (rc_buf_check(&request->headers, err) || rc_buf_check(&request->query, err))
        return err->code;
    if (count_headers(&request->headers) > HEADERS_MAX - OWN_HEADERS)
        return rc_fail(err, RC_INVALID, "the object has more than %d headers, metadata included",
                       HEADERS_MAX - OWN_HEADERS);
    return RC_OK;
}

static enum rc_code start(struct core_s3_request *request, struct sending *sending,
                          struct rc_error *err)
{
    static const struct core_store_settings none;
    const struct core_place_in_store *place = request->place;

    if (core_digest_load(err) || check_request(request, err) ||
        find_server(place, &sending->s3, err))
        return err->code;
    sending->request = request;
    sending->settings = place->settings ? place->settings : &none;
    sending->credentials = core_remote_aws(place->remote, place->settings);
    sending->given = given_endpoint(place, sending->s3);
    sending->cancel = request->ignore_cancel ? NULL : place->cancel;
    if (sending->settings->request_payer)
        core_s3_add_header(request, "x-amz-request-payer", "requester");
    /* Without this, Google unpacks what is stored packed. */
    if (sending->given && strstr(sending->given, "storage.googleapis.com"))
        core_s3_add_header(request, "accept-encoding", "gzip");
    if (request->body_len > 0) {
        unsigned char md5[CORE_DIGEST_BYTES];
        RC_BUF_AUTO(text, 64);

        core_digest(CORE_MD5, request->body, request->body_len, md5);
        core_add_base64(&text, md5, core_digest_len(CORE_MD5));
        core_s3_add_header(request, "content-md5", text.data);
    }
    return RC_OK;
}

/* Whether the endpoint has a path, which becomes a part of every URL. */
static bool has_path(const char *endpoint)
{
    const char *scheme_end = endpoint ? strstr(endpoint, "://") : NULL;
    const char *path = scheme_end ? strchr(scheme_end + strlen("://"), '/') : NULL;

    return path && path[strspn(path, "/")] != '\0';
}

/* Where in the configuration the reason may lie. */
static enum rc_code refused(const struct core_s3_request *request, const struct sending *sending,
                            const struct core_http_answer *answer, struct rc_error *err)
{
    const struct core_store_settings *store = request->place->settings;
    enum rc_code code = core_s3_refusal_fail(&request->refusal, !sending->keys.access_key_id,
                                             server_clock_ahead_ms(answer), err);

    if (code == RC_NOT_FOUND && has_path(sending->given)) {
        RC_STR_AUTO shown = core_url_public(sending->given);
        return rc_fail(err, code,
                       "%s; the endpoint '%s' has a path, behind which the bucket is looked for: "
                       "check 'endpoint' of the store",
                       err->cause, shown);
    }
    if (code == RC_DENIED && store && store->name)
        return rc_fail(err, code, "%s (storage: %s)", err->cause, store->name);
    return code;
}

static enum rc_code transmit(struct core_s3_request *request, struct sending *sending,
                             struct core_http_answer *answer, struct core_http_stream **stream,
                             struct rc_error *err)
{
    struct core_http_header headers[HEADERS_MAX];

    if (start(request, sending, err))
        return err->code;
    const struct core_http_call call = {
        .name = is_google(request->place) ? "the S3 interface of Google" : sending->s3->name,
        .method = request->method,
        .url = sending->given ? sending->given : "https://s3.amazonaws.com",
        .headers = headers,
        .header_count = split_headers(&request->headers, /* only_signed = */ false, headers),
        .body = request->body,
        .body_len = request->body_len,
        .content = request->content,
        .idle_ms = request->idle_ms,
        .cancel = sending->cancel,
        .client = core_remote_http(request->place->remote, request->place->settings),
        .repeat = request->repeats ? CORE_HTTP_REPEAT_SAFE : CORE_HTTP_REPEAT_BY_METHOD,
        .attempts = request->attempts,
        .prepare = prepare,
        .judge = judge,
        .context = sending,
    };
    if (stream ? core_http_open(&call, answer, stream, err) : core_http_call(&call, answer, err))
        return err->code;
    if (!core_s3_refusal_read(&request->refusal, answer, request->answers_xml)) {
        if (is_of_s3(request, answer))
            return RC_OK;
        if (stream) {
            core_http_close(*stream);
            *stream = NULL;
        }
        return rc_fail(err, RC_UNAVAILABLE,
                       "HTTP %u, but %s, as no S3 server answers; look at 'endpoint' and 'proxy' "
                       "of the store",
                       answer->status,
                       request->answers_etag   ? "no ETag"
                       : answer->body.len == 0 ? "the answer is empty"
                                               : "the answer is something else");
    }
    return refused(request, sending, answer, err);
}

static enum rc_code perform(struct core_s3_request *request, struct core_http_answer *answer,
                            struct core_http_stream **stream, struct rc_error *err)
{
    struct sending sending = { .keys = CORE_AWS_KEYS_INIT };
    enum rc_code code;

    request->refusal = (struct core_s3_refusal){ .status = 0 };
    core_s3_target_init(&sending.target);
    code = transmit(request, &sending, answer, stream, err);
    if (code)
        code = rc_context(err, "%s '%s'", request->verb, request->place->uri);
    sending_clear(&sending);
    return code;
}

enum rc_code core_s3_send(struct core_s3_request *request, struct core_http_answer *answer,
                          struct rc_error *err)
{
    return perform(request, answer, NULL, err);
}

enum rc_code core_s3_open(struct core_s3_request *request, struct core_http_answer *answer,
                          struct core_http_stream **stream, struct rc_error *err)
{
    *stream = NULL;
    return perform(request, answer, stream, err);
}

/* ---- places that live on --------------------------------------------------------------------- */

void core_s3_place_copy(struct core_s3_place *out, const struct core_place_in_store *place)
{
    *out = (struct core_s3_place){
        .at = *place,
        .uri = rc_strdup(place->uri),
        .bucket = rc_strdup(place->bucket),
        .key = rc_strdup(place->key),
        .version = rc_strdup(place->version),
    };
    out->at.uri = out->uri;
    out->at.bucket = out->bucket;
    out->at.key = out->key;
    out->at.version = out->version;
    out->at.remove_if_match = NULL;
}

void core_s3_place_clear(struct core_s3_place *place)
{
    free(place->uri);
    free(place->bucket);
    free(place->key);
    free(place->version);
    *place = (struct core_s3_place){ .uri = NULL };
}
