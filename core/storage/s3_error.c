/*
 * What an S3 server means by a refusal: whether to try again, which code it is for a caller, and
 * what the user can do. Reads answers only; sends nothing.
 */
#include <storage/s3.h>

#include <cloud/xml.h>

#include <run-core/str.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- reading --------------------------------------------------------------------------------- */

void core_s3_take_text(char *out, size_t size, const char *text, size_t len)
{
    size_t used = 0;

    for (size_t i = 0; i < len && used + 1 < size; i++)
        if (used > 0 || !isspace((unsigned char)text[i]))
            out[used++] = iscntrl((unsigned char)text[i]) ? ' ' : text[i];
    while (used > 0 && out[used - 1] == ' ')
        used--;
    out[used] = '\0';
}

static enum rc_code on_element(void *context, const char *path, const char *text, size_t len,
                               struct rc_error *err)
{
    struct core_s3_refusal *out = context;

    (void)err;
    if (rc_str_eq(path, "Error/Code"))
        core_s3_take_text(out->code, sizeof(out->code), text, len);
    else if (rc_str_eq(path, "Error/Message") ||
             (rc_str_eq(path, "Error/Details") && out->message[0] == '\0'))
        core_s3_take_text(out->message, sizeof(out->message), text, len);
    else if (rc_str_eq(path, "Error/RequestId"))
        core_s3_take_text(out->request_id, sizeof(out->request_id), text, len);
    else if (rc_str_eq(path, "Error/Region"))
        core_s3_take_text(out->region, sizeof(out->region), text, len);
    else if (rc_str_eq(path, "Error/Endpoint"))
        core_s3_take_text(out->endpoint, sizeof(out->endpoint), text, len);
    return RC_OK;
}

static void read_body(struct core_s3_refusal *out, const struct rc_buf *body)
{
    const struct core_xml_events events = { .end = on_element, .context = out };
    struct rc_error ignored = RC_ERROR_INIT;
    size_t blanks = strspn(body->data, " \t\r\n");

    if (body->len == blanks)
        return;
    /* What a cut document has told is still worth telling. */
    (void)!core_xml_read(body->data + blanks, body->len - blanks, &events, &ignored);
    if (out->code[0] == '\0' && out->message[0] == '\0' && body->data[blanks] != '<')
        core_s3_take_text(out->message, sizeof(out->message), body->data, body->len);
}

static void read_header(char *out, size_t size, const struct core_http_answer *answer,
                        const char *name)
{
    const char *value = core_http_answer_header(answer, name);

    if (value && out[0] == '\0')
        core_s3_take_text(out, size, value, strlen(value));
}

bool core_s3_has_root(const struct rc_buf *body, const char *name)
{
    const char *at = body->data;

    for (;;) {
        at += strspn(at, " \t\r\n");
        if (!rc_str_starts(at, "<?"))
            break;
        at = strstr(at, "?>");
        if (!at)
            return false;
        at += 2;
    }
    return *at == '<' && rc_str_starts(at + 1, name) && at[1 + strlen(name)] != '\0' &&
           strchr(" \t\r\n>/", at[1 + strlen(name)]);
}

bool core_s3_refusal_read(struct core_s3_refusal *out, const struct core_http_answer *answer,
                          bool body_may_refuse)
{
    bool is_success = answer->status / 100 == 2;

    *out = (struct core_s3_refusal){ .status = answer->status };
    if (is_success && !(body_may_refuse && core_s3_has_root(&answer->body, "Error")))
        return false;
    read_body(out, &answer->body);
    /* What a version that marks a removal is asked for. */
    if (answer->status == 405 &&
        rc_str_eq(core_http_answer_header(answer, "x-amz-delete-marker"), "true"))
        (void)snprintf(out->code, sizeof(out->code), "NoSuchVersion");
    read_header(out->request_id, sizeof(out->request_id), answer, "x-amz-request-id");
    read_header(out->region, sizeof(out->region), answer, "x-amz-bucket-region");
    read_header(out->endpoint, sizeof(out->endpoint), answer, "location");
    return true;
}

/* ---- meaning --------------------------------------------------------------------------------- */

#define NO_ADVICE ""
#define SLOW "it has too much to do: lower 'connections' or 'requests_per_s' of the store"
#define RENEW "renew the credentials"

/* What servers call what. Where a code is not here, its status tells. */
static const struct meaning {
    const char *name;
    enum core_http_verdict verdict;
    enum rc_code code;
    const char *advice;
} meanings[] = {
    { "AccessDenied", CORE_HTTP_ACCEPT, RC_DENIED,
      "these credentials do not allow it, or a policy of the bucket forbids it" },
    { "AllAccessDisabled", CORE_HTTP_ACCEPT, RC_DENIED, NO_ADVICE },
    { "AuthorizationHeaderMalformed", CORE_HTTP_ACCEPT, RC_INVALID,
      "set 'region' of the store to the bucket's" },
    { "BadDigest", CORE_HTTP_AGAIN, RC_CORRUPT, "the data was damaged on its way" },
    { "BucketAlreadyExists", CORE_HTTP_ACCEPT, RC_CONFLICT,
      "the name belongs to somebody else: choose another" },
    { "BucketAlreadyOwnedByYou", CORE_HTTP_ACCEPT, RC_CONFLICT, NO_ADVICE },
    { "BucketNotEmpty", CORE_HTTP_ACCEPT, RC_CONFLICT, "remove what is in it first" },
    { "ConditionalRequestConflict", CORE_HTTP_ACCEPT, RC_CONFLICT, NO_ADVICE },
    { "EntityTooLarge", CORE_HTTP_ACCEPT, RC_FAILED,
      "it is more than the server takes in one request: lower 'part_size' of the store" },
    { "EntityTooSmall", CORE_HTTP_ACCEPT, RC_FAILED, "raise 'part_size' of the store" },
    { "ExpiredToken", CORE_HTTP_ACCEPT, RC_DENIED, RENEW },
    { "IllegalLocationConstraintException", CORE_HTTP_ACCEPT, RC_INVALID,
      "set 'region' of the store to the bucket's" },
    { "IncompleteBody", CORE_HTTP_AGAIN, RC_UNAVAILABLE, NO_ADVICE },
    { "InternalError", CORE_HTTP_AGAIN, RC_UNAVAILABLE, NO_ADVICE },
    { "InvalidAccessKeyId", CORE_HTTP_ACCEPT, RC_DENIED,
      "the server does not know this access key: check 'access_key_id' and 'endpoint' of the store "
      "or where else the credentials come from" },
    { "InvalidBucketName", CORE_HTTP_ACCEPT, RC_INVALID,
      "a bucket's name has 3 to 63 lower-case letters, digits, dots and dashes" },
    { "InvalidLocationConstraint", CORE_HTTP_ACCEPT, RC_INVALID, "correct 'region' of the store" },
    { "InvalidObjectState", CORE_HTTP_ACCEPT, RC_DENIED,
      "the object is archived: restore it first" },
    { "InvalidStorageClass", CORE_HTTP_ACCEPT, RC_INVALID,
      "the server has no such storage class: set 'storage_class' of the store to one that it has" },
    { "InvalidToken", CORE_HTTP_ACCEPT, RC_DENIED, RENEW },
    { "KeyTooLongError", CORE_HTTP_ACCEPT, RC_INVALID, "a key has at most 1024 bytes" },
    { "MetadataTooLarge", CORE_HTTP_ACCEPT, RC_INVALID, "metadata has at most 2 KiB" },
    { "MethodNotAllowed", CORE_HTTP_ACCEPT, RC_UNSUPPORTED, NO_ADVICE },
    { "NoSuchBucket", CORE_HTTP_ACCEPT, RC_NOT_FOUND,
      "there is no such bucket: create it, or check its name and 'endpoint' of the store" },
    { "NoSuchKey", CORE_HTTP_ACCEPT, RC_NOT_FOUND, NO_ADVICE },
    { "NoSuchUpload", CORE_HTTP_ACCEPT, RC_CONFLICT,
      "somebody has aborted the upload, as a lifecycle rule may" },
    { "NoSuchVersion", CORE_HTTP_ACCEPT, RC_NOT_FOUND, NO_ADVICE },
    { "NotImplemented", CORE_HTTP_ACCEPT, RC_UNSUPPORTED, NO_ADVICE },
    { "OperationAborted", CORE_HTTP_AGAIN, RC_UNAVAILABLE, NO_ADVICE },
    { "PermanentRedirect", CORE_HTTP_ACCEPT, RC_INVALID,
      "the bucket lies elsewhere: set 'region' or 'endpoint' of the store" },
    { "PreconditionFailed", CORE_HTTP_ACCEPT, RC_CONFLICT, NO_ADVICE },
    { "QuotaExceeded", CORE_HTTP_ACCEPT, RC_FAILED,
      "the bucket or its owner may hold no more: remove something or have the quota raised" },
    { "RequestTimeTooSkewed", CORE_HTTP_ACCEPT, RC_DENIED, "set the clock of this machine" },
    { "RequestTimeout", CORE_HTTP_AGAIN, RC_UNAVAILABLE, NO_ADVICE },
    { "ServiceUnavailable", CORE_HTTP_SLOWER, RC_UNAVAILABLE, NO_ADVICE },
    { "SignatureDoesNotMatch", CORE_HTTP_ACCEPT, RC_DENIED,
      "check 'secret_access_key' of the store or where else the credentials come from" },
    { "SlowDown", CORE_HTTP_SLOWER, RC_UNAVAILABLE, SLOW },
    { "TemporaryRedirect", CORE_HTTP_ACCEPT, RC_UNAVAILABLE, NO_ADVICE },
    { "Throttling", CORE_HTTP_SLOWER, RC_UNAVAILABLE, SLOW },
    { "TokenRefreshRequired", CORE_HTTP_ACCEPT, RC_DENIED, RENEW },
    { "TooManyRequests", CORE_HTTP_SLOWER, RC_UNAVAILABLE, SLOW },
    { "TooManyBuckets", CORE_HTTP_ACCEPT, RC_FAILED, "remove a bucket, or have the quota raised" },
    { "XAmzContentSHA256Mismatch", CORE_HTTP_AGAIN, RC_CORRUPT, "the data was damaged on its way" },
};

static const struct meaning *find_meaning(const char *name)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(meanings); i++)
        if (strcmp(meanings[i].name, name) == 0)
            return &meanings[i];
    return NULL;
}

enum core_http_verdict core_s3_refusal_judge(const struct core_s3_refusal *refusal)
{
    const struct meaning *meaning = find_meaning(refusal->code);

    switch (refusal->status) {
    case 408:
    case 500:
    case 502:
    case 504:
    case 509:
        return meaning && meaning->verdict == CORE_HTTP_SLOWER ? CORE_HTTP_SLOWER : CORE_HTTP_AGAIN;
    case 429:
    case 503:
        return CORE_HTTP_SLOWER;
    default:
        return meaning ? meaning->verdict : CORE_HTTP_ACCEPT;
    }
}

static enum rc_code code_of_status(unsigned status)
{
    switch (status) {
    case 401:
    case 403:
        return RC_DENIED;
    case 404:
    case 410:
        return RC_NOT_FOUND;
    case 405:
    case 501:
        return RC_UNSUPPORTED;
    case 409:
    case 412:
        return RC_CONFLICT;
    case 408:
    case 429:
        return RC_UNAVAILABLE;
    default:
        if (status >= 500)
            return RC_UNAVAILABLE;
        return status == 400 || status / 100 == 3 ? RC_INVALID : RC_FAILED;
    }
}

/* For answers without a body, as all to HEAD are. */
static const char *advice_of_status(unsigned status)
{
    switch (status) {
    case 301:
    case 307:
        return "the bucket lies elsewhere: set 'region' or 'endpoint' of the store";
    case 401:
    case 403:
        return "the credentials are not known or do not allow it";
    case 404:
        return "there is no such object, or no such bucket";
    case 413:
        return "it is more than the server takes in one request: lower 'part_size' of the store";
    case 429:
    case 503:
        return SLOW;
    default:
        return NO_ADVICE;
    }
}

static void add_advice(struct rc_buf *out, const struct core_s3_refusal *refusal,
                       const struct meaning *meaning, bool anonymous, int64_t clock_ahead_ms)
{
    const char *advice = meaning ? meaning->advice : advice_of_status(refusal->status);
    char amount[RC_AMOUNT_TEXT];

    if (anonymous && (refusal->status == 401 || refusal->status == 403))
        advice = "the request was anonymous: give credentials, such as 'access_key_id' and "
                 "'secret_access_key' of the store";
    if (rc_str_eq(refusal->code, "RequestTimeTooSkewed") && clock_ahead_ms != 0)
        rc_buf_addf(
            out, "; this clock is %s %s",
            rc_format_duration(clock_ahead_ms < 0 ? -clock_ahead_ms : clock_ahead_ms, amount),
            clock_ahead_ms < 0 ? "ahead" : "behind");
    if (*advice)
        rc_buf_addf(out, "; %s", advice);
    if (refusal->region[0] && refusal->status / 100 != 2 && refusal->status != 404)
        rc_buf_addf(out, " (the bucket's region is '%s')", refusal->region);
    else if (refusal->endpoint[0] && refusal->status / 100 == 3)
        rc_buf_addf(out, " (it points to '%s')", refusal->endpoint);
}

enum rc_code core_s3_refusal_fail(const struct core_s3_refusal *refusal, bool anonymous,
                                  int64_t clock_ahead_ms, struct rc_error *err)
{
    const struct meaning *meaning = find_meaning(refusal->code);
    enum rc_code code = meaning ? meaning->code : code_of_status(refusal->status);
    RC_BUF_AUTO(text, RC_ERROR_TEXT * 2);

    rc_buf_addf(&text, "HTTP %u", refusal->status);
    if (refusal->code[0])
        rc_buf_addf(&text, " %s", refusal->code);
    if (refusal->message[0])
        rc_buf_addf(&text, ": %s", refusal->message);
    if (refusal->request_id[0])
        rc_buf_addf(&text, " (request %s)", refusal->request_id);
    add_advice(&text, refusal, meaning, anonymous, clock_ahead_ms);
    return rc_fail(err, code, "%s", text.data);
}
