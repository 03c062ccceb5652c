/*
 * Looking at S3 objects and reading them. A body that was cut is taken up where it ended, while
 * the object is still the same, and a whole one is compared with its MD5 at the end.
 */
#include <storage/s3.h>

#include <cloud/xml.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum {
    RESUMES = 6,           /* in a row, with less than PROGRESS between */
    PROGRESS = 256 * 1024, /* bytes that count as such */
};

/* ---- looking --------------------------------------------------------------------------------- */

static void add_version(struct core_s3_request *request)
{
    if (request->place->version)
        core_s3_add_query(&request->query, "versionId", request->place->version);
}

static enum rc_code ask(struct core_s3_request *request, bool detailed,
                        struct core_http_answer *answer, struct rc_error *err)
{
    add_version(request);
    request->answers_etag = true;
    if (detailed)
        core_s3_add_header(request, "x-amz-checksum-mode", "ENABLED");
    if (core_s3_add_customer_key(request, request->place->settings, "x-amz-", err))
        return rc_context(err, "%s '%s'", request->verb, request->place->uri);
    return core_s3_send(request, answer, err);
}

/*
 * An answer to HEAD has no body, so a refusal has no name. What can be put right, such as a wrong
 * region, needs it: one byte is asked for instead. That of an empty object is refused, too, but
 * then its headers have come.
 */
static enum rc_code ask_for_a_byte(const struct core_place_in_store *place, bool detailed,
                                   struct core_http_answer *answer, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "look at", "GET");
    struct rc_stat stat;

    core_s3_add_header(&request, "range", "bytes=0-0");
    if (!ask(&request, detailed, answer, err))
        return RC_OK;
    if (request.refusal.status == 416 &&
        (!core_s3_read_stat(answer, &stat) || stat.size_bytes == 0))
        return RC_OK;
    return err->code;
}

static bool is_worth_a_byte(unsigned status)
{
    return status == 301 || status == 307 || status == 400 || status == 403;
}

enum rc_code core_s3_stat(const struct core_place_in_store *place, struct rc_stat *out,
                          struct core_object_detail *detail, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "look at", "HEAD");
    CORE_S3_ANSWER_AUTO(answer);
    CORE_S3_ANSWER_AUTO(second);
    const struct core_http_answer *told = &answer;

    if (ask(&request, detail != NULL, &answer, err)) {
        if (!is_worth_a_byte(request.refusal.status))
            return err->code;
        if (ask_for_a_byte(place, detail != NULL, &second, err))
            return err->code;
        told = &second;
    }
    if (!core_s3_read_stat(told, out)) {
        if (told->status != 416)
            return rc_fail(err, RC_CORRUPT, "look at '%s': the answer does not tell the size",
                           place->uri);
        out->size_bytes = 0;
    }
    if (detail) {
        core_object_detail_clear(detail);
        core_s3_read_detail(told, detail);
    }
    return RC_OK;
}

struct tag_reader {
    struct core_object_detail *detail;
    struct rc_pair *pairs;
    size_t count;
    char *key;
};

static enum rc_code on_tag(void *context, const char *path, const char *text, size_t len,
                           struct rc_error *err)
{
    struct tag_reader *reader = context;
    struct core_arena *arena = &reader->detail->arena;

    (void)err;
    if (rc_str_eq(path, "Tagging/TagSet/Tag/Key")) {
        reader->key = core_arena_strndup(arena, text, len);
    } else if (rc_str_eq(path, "Tagging/TagSet/Tag/Value")) {
        reader->pairs = rc_realloc(reader->pairs, (reader->count + 1) * sizeof(*reader->pairs));
        reader->pairs[reader->count++] =
            (struct rc_pair){ .key = reader->key ? reader->key : "",
                              .value = core_arena_strndup(arena, text, len) };
    }
    return RC_OK;
}

enum rc_code core_s3_tags(const struct core_place_in_store *place,
                          struct core_object_detail *detail, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "look at the tags of", "GET");
    CORE_S3_ANSWER_AUTO(answer);
    struct tag_reader reader = { .detail = detail };
    const struct core_xml_events events = { .end = on_tag, .context = &reader };
    enum rc_code code;

    core_s3_add_query(&request.query, "tagging", NULL);
    add_version(&request);
    request.answers_xml = true;
    request.root = "Tagging";
    if (core_s3_send(&request, &answer, err))
        return err->code;
    code = core_xml_read(answer.body.data, answer.body.len, &events, err);
    if (code) {
        (void)rc_context(err, "look at the tags of '%s'", place->uri);
    } else {
        struct rc_pair *kept = core_arena_alloc(&detail->arena, reader.count * sizeof(*kept));

        if (reader.count > 0)
            memcpy(kept, reader.pairs, reader.count * sizeof(*kept));
        detail->attributes.tags = (struct rc_map){ .len = reader.count, .items = kept };
        detail->has_tags = false;
    }
    free(reader.pairs);
    return code;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct s3_reader {
    struct rc_reader base;
    struct core_s3_place place;
    struct core_http_stream *stream; /* NULL: nothing is left to read */
    struct core_http_answer head;
    int64_t offset_bytes; /* of what is read next */
    int64_t end_bytes;    /* of the range; -1: that of the object, whose size is not known */
    bool is_whole;
    struct core_running_digest *md5; /* while the whole object is read and has an MD5 */
    int resumes;
    int64_t resumed_at_bytes;
};

/*
 * Whether the answer is what was asked for: some servers, and caches on the way to them, know no
 * ranges, or no conditions, and what they send must not be put behind what came before.
 */
static enum rc_code check_answer(const struct s3_reader *reader, bool is_range,
                                 const char *if_match, struct rc_error *err)
{
    const struct core_http_answer *answer = &reader->head;
    const char *range = core_http_answer_header(answer, "content-range");
    RC_STR_AUTO begin = rc_strf("bytes %lld-", (long long)reader->offset_bytes);
    struct rc_stat stat = { .size_bytes = -1 };

    if (is_range && answer->status != 206)
        return rc_fail(err, RC_UNSUPPORTED,
                       "read '%s': the server ignores ranges: HTTP %u instead of 206",
                       reader->place.uri, answer->status);
    if (is_range && (!range || !rc_str_starts(range, begin)))
        return rc_fail(err, RC_CORRUPT,
                       "read '%s': the answer is the range '%s', but was to begin at byte %lld",
                       reader->place.uri, range ? range : "", (long long)reader->offset_bytes);
    core_s3_set_etag(&stat, core_http_answer_header(answer, "etag"));
    if (if_match && !rc_str_eq(stat.etag, if_match))
        return rc_fail(err, RC_CONFLICT,
                       "read '%s': it was replaced: its entity tag is '%s', not '%s'",
                       reader->place.uri, stat.etag, if_match);
    return RC_OK;
}

/* Asks for what is still to be read. With 'if_match' only of the object that has it. */
static enum rc_code open_stream(struct s3_reader *reader, const char *if_match,
                                struct core_s3_refusal *refusal, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, &reader->place.at, "read", "GET");
    RC_BUF_AUTO(range, 80);
    enum rc_code code;

    add_version(&request);
    request.answers_etag = true;
    core_s3_add_etag(&request, "if-match", if_match);
    if (!reader->is_whole || reader->offset_bytes > 0) {
        rc_buf_addf(&range, "bytes=%lld-", (long long)reader->offset_bytes);
        if (reader->end_bytes >= 0)
            rc_buf_addf(&range, "%lld", (long long)reader->end_bytes - 1);
        core_s3_add_header(&request, "range", range.data);
    }
    if (core_s3_add_customer_key(&request, reader->place.at.settings, "x-amz-", err))
        return rc_context(err, "read '%s'", reader->place.uri);
    core_http_answer_clear(&reader->head);
    core_http_answer_init(&reader->head, CORE_S3_REPLY_LIMIT);
    code = core_s3_open(&request, &reader->head, &reader->stream, err);
    *refusal = request.refusal;
    if (!code)
        code = check_answer(reader, range.len > 0, if_match, err);
    if (code) {
        core_http_close(reader->stream);
        reader->stream = NULL;
    }
    return code;
}

static enum rc_code check_match(const struct s3_reader *reader, const char *if_match,
                                struct rc_error *err)
{
    if (!if_match || rc_str_eq(if_match, reader->base.stat.etag))
        return RC_OK;
    return rc_fail(err, RC_CONFLICT, "read '%s': it was replaced: its entity tag is '%s', not '%s'",
                   reader->place.uri, reader->base.stat.etag, if_match);
}

/* A range that is empty, or begins behind the end: there is only the object to look at. */
static enum rc_code open_nothing(struct s3_reader *reader, const char *if_match,
                                 struct rc_error *err)
{
    if (core_s3_stat(&reader->place.at, &reader->base.stat, NULL, err))
        return err->code;
    return check_match(reader, if_match, err);
}

static enum rc_code begin(struct s3_reader *reader, const struct core_range *range,
                          struct rc_error *err)
{
    struct core_s3_refusal refusal;

    reader->is_whole = range->offset_bytes == 0 && range->len_bytes < 0;
    reader->offset_bytes = range->offset_bytes;
    reader->end_bytes = -1;
    if (range->len_bytes >= 0 && range->len_bytes <= INT64_MAX - range->offset_bytes)
        reader->end_bytes = range->offset_bytes + range->len_bytes;
    if (range->len_bytes == 0)
        return open_nothing(reader, range->if_match, err);
    if (open_stream(reader, range->if_match, &refusal, err))
        return refusal.status == 416 && !reader->is_whole
                   ? open_nothing(reader, range->if_match, err)
                   : err->code;

    if (core_s3_read_stat(&reader->head, &reader->base.stat)) {
        if (reader->end_bytes < 0 || reader->end_bytes > reader->base.stat.size_bytes)
            reader->end_bytes = reader->base.stat.size_bytes;
    } else if (!reader->is_whole) {
        return rc_fail(err, RC_CORRUPT, "read '%s': the answer does not tell which range it is",
                       reader->place.uri);
    }
    if (reader->is_whole && core_s3_etag_is_md5(&reader->head, reader->base.stat.etag))
        reader->md5 = core_running_digest_new(CORE_MD5);
    return RC_OK;
}

static enum rc_code check_md5(struct s3_reader *reader, struct rc_error *err)
{
    unsigned char md5[CORE_DIGEST_BYTES];
    RC_BUF_AUTO(hex, CORE_DIGEST_HEX);

    if (!reader->md5)
        return RC_OK;
    core_running_digest_end(reader->md5, md5);
    core_running_digest_free(reader->md5);
    reader->md5 = NULL;
    core_add_hex(&hex, md5, core_digest_len(CORE_MD5));
    if (rc_str_eq(hex.data, reader->base.stat.etag))
        return RC_OK;
    return rc_fail(err, RC_CORRUPT,
                   "read '%s': what came has the MD5 %s, but the object has %s: it was damaged on "
                   "its way or in the store",
                   reader->place.uri, hex.data, reader->base.stat.etag);
}

static enum rc_code at_end(struct s3_reader *reader, struct rc_error *err)
{
    core_http_close(reader->stream);
    reader->stream = NULL;
    if (reader->end_bytes >= 0 && reader->offset_bytes != reader->end_bytes)
        return rc_fail(
            err, RC_UNAVAILABLE, "read '%s': the answer ended at byte %lld, %lld were to come",
            reader->place.uri, (long long)reader->offset_bytes, (long long)reader->end_bytes);
    return check_md5(reader, err);
}

/* The first time at once. */
static enum rc_code pause_before_resume(const struct s3_reader *reader, struct rc_error *err)
{
    const struct core_place_in_store *at = &reader->place.at;

    return core_http_back_off(core_remote_http(at->remote, at->settings), reader->resumes - 1, 0,
                              at->cancel, err);
}

/* After a cut. 'err' has what happened, and keeps it where nothing can be done. */
static enum rc_code resume(struct s3_reader *reader, struct rc_error *err)
{
    struct core_s3_refusal refusal;

    core_http_close(reader->stream);
    reader->stream = NULL;
    if (reader->offset_bytes - reader->resumed_at_bytes >= PROGRESS)
        reader->resumes = 0;
    if (!rc_retryable(err->code) || reader->base.stat.etag[0] == '\0' || reader->end_bytes < 0 ||
        reader->resumes >= RESUMES)
        return rc_context(err, "read '%s'", reader->place.uri);
    reader->resumes++;
    reader->resumed_at_bytes = reader->offset_bytes;
    if (reader->offset_bytes == reader->end_bytes)
        return RC_OK;
    if (pause_before_resume(reader, err))
        return rc_context(err, "read '%s'", reader->place.uri);
    return open_stream(reader, reader->base.stat.etag, &refusal, err);
}

static enum rc_code reader_read(struct rc_reader *base, void *data, size_t capacity, size_t *len,
                                struct rc_error *err)
{
    struct s3_reader *reader = (struct s3_reader *)base;

    *len = 0;
    while (reader->stream) {
        if (core_http_read(reader->stream, data, capacity, len, err)) {
            *len = 0;
            if (err->code == RC_CANCELLED || resume(reader, err))
                return err->code;
            if (reader->stream)
                continue;
        }
        if (*len == 0)
            return capacity == 0 && reader->stream ? RC_OK : at_end(reader, err);
        if (reader->md5)
            core_running_digest_add(reader->md5, data, *len);
        reader->offset_bytes += (int64_t)*len;
        /* At once, since who knows the size need not come back for the end. */
        return reader->offset_bytes == reader->end_bytes ? check_md5(reader, err) : RC_OK;
    }
    return RC_OK;
}

static enum rc_code reader_detail(struct rc_reader *base, struct core_object_detail *detail,
                                  struct rc_error *err)
{
    struct s3_reader *reader = (struct s3_reader *)base;
    struct rc_stat stat;

    if (reader->head.headers.len == 0)
        return core_s3_stat(&reader->place.at, &stat, detail, err);
    core_object_detail_clear(detail);
    core_s3_read_detail(&reader->head, detail);
    return RC_OK;
}

static void reader_close(struct rc_reader *base)
{
    struct s3_reader *reader = (struct s3_reader *)base;

    core_http_close(reader->stream);
    core_http_answer_clear(&reader->head);
    core_running_digest_free(reader->md5);
    core_s3_place_clear(&reader->place);
    free(reader);
}

static const struct core_reader_ops reader_ops = {
    .read = reader_read,
    .close = reader_close,
    .detail = reader_detail,
};

enum rc_code core_s3_read(const struct core_place_in_store *place, const struct core_range *range,
                          struct rc_reader **out, struct rc_error *err)
{
    struct s3_reader *reader = rc_malloc(sizeof(*reader));

    *out = NULL;
    *reader = (struct s3_reader){ .base = { .ops = &reader_ops } };
    core_http_answer_init(&reader->head, CORE_S3_REPLY_LIMIT);
    core_s3_place_copy(&reader->place, place);
    if (begin(reader, range, err))
        reader_close(&reader->base);
    else
        *out = &reader->base;
    return *out ? RC_OK : err->code;
}
