/*
 * Uploads in parts: begun, put by many threads, put together, or given up until the server knows
 * nothing of them. The ETag of each part is compared with the MD5 of what was sent before the
 * object comes to be, so that nothing damaged ever does.
 */
#include <storage/s3.h>

#include <cloud/xml.h>
#include <os/clock.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOKS = 5,             /* whether an upload is gone, before it counts as not completed */
    ABORT_ROUNDS = 5,      /* an abort may come before a part that is still on its way */
    PART_ROUNDS = 3,       /* for one that arrives damaged */
    STRAY_SLACK_MS = 2000, /* servers tell when an upload was begun by seconds or milliseconds */
    XML_LIMIT = 4 << 20,   /* of 10,000 parts some 100 bytes each */
    TAGS_LIMIT = 1 << 16,
};

struct part {
    char etag[RC_ETAG_TEXT]; /* empty: not there yet */
    unsigned char md5[16];
    bool has_md5;
    int64_t len_bytes;
};

struct core_s3_upload {
    struct core_s3_place place;
    char *if_match;               /* or NULL */
    char mark[CORE_S3_MARK_TEXT]; /* with a condition */
    char *id;
    bool is_left;          /* to be gone on with */
    struct rc_buf tagging; /* XML, for servers that forget the tags of uploads; or empty */
    bool is_complete, may_have_strays;
    int64_t asked_unix_ms, answered_unix_ms; /* by the server's clock: while it was begun */

    pthread_mutex_t mutex;       /* over what follows */
    struct core_s3_place source; /* of parts that were copied; without a URI: of none */
    char *source_if_match;
    struct part *parts; /* that of number 1 is the first */
    size_t count;
};

/* ---- beginning ------------------------------------------------------------------------------- */

static enum rc_code on_begun(void *context, const char *path, const char *text, size_t len,
                             struct rc_error *err)
{
    struct core_s3_upload *upload = context;

    (void)err;
    if (rc_str_eq(path, "InitiateMultipartUploadResult/UploadId") && !upload->id && len > 0)
        upload->id = rc_strndup(text, len);
    return RC_OK;
}

static enum rc_code initiate(struct core_s3_upload *upload, const struct rc_put_options *options,
                             const struct core_object_detail *kept, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, &upload->place.at, "begin to write", "POST");
    CORE_S3_ANSWER_AUTO(answer);
    const struct core_xml_events events = { .end = on_begun, .context = upload };
    int64_t asked_mono_ms = core_clock_mono_ms();
    enum rc_code code;

    if (core_s3_add_attributes(&request, options->attributes, err))
        return err->code;
    core_s3_add_kept(&request, kept);
    if (upload->if_match)
        core_s3_add_mark(&request, upload->mark);
    core_s3_add_query(&request.query, "uploads", NULL);
    request.answers_xml = true;
    request.root = "InitiateMultipartUploadResult";
    request.repeats = true;
    code = core_s3_send(&request, &answer, err);
    upload->answered_unix_ms = request.sent_unix_ms;
    upload->asked_unix_ms = request.sent_unix_ms - (core_clock_mono_ms() - asked_mono_ms);
    /* One that was begun, but of which the answer was lost. */
    upload->may_have_strays = request.sends > 1 || (code && rc_retryable(code));
    if (code || core_xml_read(answer.body.data, answer.body.len, &events, err))
        return err->code;
    if (!upload->id)
        return rc_fail(err, RC_CORRUPT, "begin to write '%s': the answer names no upload",
                       upload->place.uri);
    return RC_OK;
}

static void add_tagging(struct rc_buf *xml, const struct rc_map *tags)
{
    rc_buf_adds(xml, "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>");
    for (size_t i = 0; i < tags->len; i++) {
        rc_buf_adds(xml, "<Tag>");
        core_s3_add_element(xml, "Key", tags->items[i].key);
        core_s3_add_element(xml, "Value", tags->items[i].value);
        rc_buf_adds(xml, "</Tag>");
    }
    rc_buf_adds(xml, "</TagSet></Tagging>");
}

static struct core_s3_upload *upload_new(const struct core_place_in_store *place,
                                         const struct rc_put_options *options)
{
    struct core_s3_upload *upload = rc_malloc(sizeof(*upload));

    *upload = (struct core_s3_upload){
        .if_match = rc_strdup(options->if_match),
        .tagging = RC_BUF_INIT(TAGS_LIMIT),
    };
    if (options->attributes && options->attributes->tags.len > 0)
        add_tagging(&upload->tagging, &options->attributes->tags);
    core_s3_place_copy(&upload->place, place);
    (void)pthread_mutex_init(&upload->mutex, NULL);
    return upload;
}

enum rc_code core_s3_upload_begin(const struct core_place_in_store *place,
                                  const struct rc_put_options *options, struct core_s3_upload **out,
                                  struct rc_error *err)
{
    CORE_OBJECT_DETAIL_AUTO(kept);
    struct rc_put_options settled;
    struct core_s3_upload *upload;

    *out = NULL;
    if (core_s3_settle_options(place, options, &settled, &kept, err))
        return err->code;
    upload = upload_new(place, &settled);
    if (initiate(upload, &settled, &kept, err)) {
        const struct rc_error first = *err;

        core_s3_upload_free(upload);
        *err = first;
        return err->code;
    }
    *out = upload;
    return RC_OK;
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* The MD5 of what an attempt sends; one that begins anew begins a new one. */
struct hashed {
    const struct core_http_content *inner;
    struct core_running_digest *md5;
    int64_t hashed_bytes;
};

static enum rc_code read_hashed(void *context, int64_t offset_bytes, char *data, size_t capacity,
                                size_t *len, struct rc_error *err)
{
    struct hashed *hashed = context;
    unsigned char unused[CORE_DIGEST_BYTES];

    if (hashed->inner->read(hashed->inner->context, offset_bytes, data, capacity, len, err))
        return err->code;
    if (offset_bytes == 0 && hashed->hashed_bytes > 0) {
        core_running_digest_end(hashed->md5, unused);
        hashed->hashed_bytes = 0;
    }
    core_running_digest_add(hashed->md5, data, *len);
    hashed->hashed_bytes += (int64_t)*len;
    return RC_OK;
}

static void store_part(struct core_s3_upload *upload, int number, const struct part *part)
{
    size_t index = (size_t)number - 1;

    (void)pthread_mutex_lock(&upload->mutex);
    if (index >= upload->count) {
        size_t count = upload->count * 2 > index ? upload->count * 2 : index + 16;

        upload->parts = rc_realloc(upload->parts, count * sizeof(*upload->parts));
        memset(upload->parts + upload->count, 0, (count - upload->count) * sizeof(*upload->parts));
        upload->count = count;
    }
    upload->parts[index] = *part;
    (void)pthread_mutex_unlock(&upload->mutex);
}

static enum rc_code begin_part(const struct core_s3_upload *upload, int number,
                               struct core_s3_request *request, struct rc_error *err)
{
    RC_STR_AUTO text = rc_strf("%d", number);

    if (number < 1 || number > CORE_S3_PARTS)
        return rc_fail(err, RC_FAILED,
                       "write '%s': it has more than %d parts: raise 'part_size' of the store",
                       upload->place.uri, CORE_S3_PARTS);
    core_s3_add_query(&request->query, "partNumber", text);
    core_s3_add_query(&request->query, "uploadId", upload->id);
    if (core_s3_add_customer_key(request, upload->place.at.settings, "x-amz-", err))
        return rc_context(err, "write '%s'", upload->place.uri);
    return RC_OK;
}

static enum rc_code check_part(const struct core_s3_upload *upload, int number,
                               const struct core_http_answer *answer, const struct part *part,
                               struct rc_error *err)
{
    RC_BUF_AUTO(hex, CORE_DIGEST_HEX);

    if (part->etag[0] == '\0')
        return rc_fail(err, RC_FAILED, "write '%s': the answer to part %d has no ETag",
                       upload->place.uri, number);
    core_add_hex(&hex, part->md5, sizeof(part->md5));
    if (part->has_md5 && core_s3_etag_is_md5(answer, part->etag) &&
        !rc_str_eq(hex.data, part->etag))
        return rc_fail(err, RC_CORRUPT,
                       "write '%s': part %d arrived damaged: its MD5 is %s there and %s here",
                       upload->place.uri, number, part->etag, hex.data);
    return RC_OK;
}

static enum rc_code send_part(struct core_s3_upload *upload, int number,
                              struct core_s3_request *request, struct part *part,
                              struct core_running_digest *md5, struct rc_error *err)
{
    CORE_S3_ANSWER_AUTO(answer);
    struct rc_stat stat = { .size_bytes = 0 };
    unsigned char digest[CORE_DIGEST_BYTES];

    if (begin_part(upload, number, request, err) || core_s3_send(request, &answer, err))
        return err->code;
    if (md5) {
        core_running_digest_end(md5, digest);
        memcpy(part->md5, digest, sizeof(part->md5));
        part->has_md5 = true;
    }
    core_s3_set_etag(&stat, core_http_answer_header(&answer, "etag"));
    memcpy(part->etag, stat.etag, sizeof(part->etag));
    if (check_part(upload, number, &answer, part, err))
        return err->code;
    store_part(upload, number, part);
    return RC_OK;
}

static enum rc_code put_once(struct core_s3_upload *upload, int number,
                             const struct core_http_content *content,
                             struct core_running_digest *md5, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, &upload->place.at, "write", "PUT");
    struct hashed hashed = { .inner = content, .md5 = md5 };
    const struct core_http_content sent = { content->len_bytes, read_hashed, &hashed };
    struct part part = { .len_bytes = content->len_bytes };

    request.content = &sent;
    request.answers_etag = true;
    return send_part(upload, number, &request, &part, md5, err);
}

enum rc_code core_s3_upload_put(struct core_s3_upload *upload, int number,
                                const struct core_http_content *content, struct rc_error *err)
{
    struct core_running_digest *md5;
    enum rc_code code = RC_CORRUPT;

    if (core_digest_load(err))
        return err->code;
    md5 = core_running_digest_new(CORE_MD5);
    for (int round = 0; round < PART_ROUNDS && code == RC_CORRUPT; round++)
        code = put_once(upload, number, content, md5, err);
    core_running_digest_free(md5);
    return code;
}

enum rc_code core_s3_upload_put_data(struct core_s3_upload *upload, int number, const void *data,
                                     size_t len, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, &upload->place.at, "write", "PUT");
    struct part part = { .len_bytes = (int64_t)len, .has_md5 = true };
    unsigned char md5[CORE_DIGEST_BYTES];

    if (core_digest_load(err))
        return err->code;
    core_digest(CORE_MD5, data, len, md5);
    memcpy(part.md5, md5, sizeof(part.md5));
    request.body = data;
    request.body_len = len;
    request.answers_etag = true;
    return send_part(upload, number, &request, &part, NULL, err);
}

static enum rc_code on_copied(void *context, const char *path, const char *text, size_t len,
                              struct rc_error *err)
{
    struct rc_stat *stat = context;

    (void)len;
    (void)err;
    if (rc_str_eq(path, "CopyPartResult/ETag"))
        core_s3_set_etag(stat, text);
    return RC_OK;
}

static void note_source(struct core_s3_upload *upload, const struct core_place_in_store *source,
                        const char *if_match)
{
    (void)pthread_mutex_lock(&upload->mutex);
    if (!upload->source.uri) {
        core_s3_place_copy(&upload->source, source);
        upload->source_if_match = rc_strdup(if_match);
    }
    (void)pthread_mutex_unlock(&upload->mutex);
}

/* RC_CONFLICT unless the source of copied parts is as it was. */
static enum rc_code look_at_source(const struct core_s3_upload *upload, struct rc_error *err)
{
    struct rc_stat stat;

    if (core_s3_stat(&upload->source.at, &stat, NULL, err))
        return err->code;
    if (rc_str_eq(stat.etag, upload->source_if_match))
        return RC_OK;
    return rc_fail(err, RC_CONFLICT,
                   "copy '%s': it was replaced meanwhile: its entity tag is '%s', not '%s'",
                   upload->source.uri, stat.etag, upload->source_if_match);
}

/* For servers that copy parts without a look at the condition. */
static enum rc_code check_source(const struct core_s3_upload *upload, struct rc_error *err)
{
    bool honours;

    if (!upload->source.uri)
        return RC_OK;
    if (core_s3_honours(&upload->source.at, &honours, err))
        return err->code;
    return honours ? RC_OK : look_at_source(upload, err);
}

/*
 * Whether a server has refused a condition that holds. Swift compares with an entity tag that it
 * shows nobody, where the source has parts; then the look at the source in the end has to do.
 */
static bool is_condition_misread(const struct core_s3_upload *upload)
{
    struct rc_error ignored = RC_ERROR_INIT;
    bool honours;

    return upload->source.uri && !core_s3_honours(&upload->source.at, &honours, &ignored) &&
           !honours && !look_at_source(upload, &ignored);
}

static enum rc_code copy_once(struct core_s3_upload *upload, int number,
                              const struct core_place_in_store *source, const char *if_match,
                              const char *range, struct part *part, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, &upload->place.at, "copy to", "PUT");
    CORE_S3_ANSWER_AUTO(answer);
    struct rc_stat stat = { .size_bytes = 0 };
    const struct core_xml_events events = { .end = on_copied, .context = &stat };

    core_s3_add_source(&request, source, if_match);
    core_s3_add_header(&request, "x-amz-copy-source-range", range);
    request.answers_xml = true;
    request.root = "CopyPartResult";
    request.idle_ms = CORE_S3_SLOW_MS;
    if (core_s3_add_customer_key(&request, source->settings, "x-amz-copy-source-", err) ||
        begin_part(upload, number, &request, err) || core_s3_send(&request, &answer, err))
        return rc_context(err, "from '%s'", source->uri);
    if (core_xml_read(answer.body.data, answer.body.len, &events, err))
        return rc_context(err, "copy to '%s'", upload->place.uri);
    memcpy(part->etag, stat.etag, sizeof(part->etag));
    return check_part(upload, number, &answer, part, err);
}

enum rc_code core_s3_upload_copy(struct core_s3_upload *upload, int number,
                                 const struct core_place_in_store *source,
                                 const char *source_if_match, int64_t offset_bytes,
                                 int64_t len_bytes, struct rc_error *err)
{
    RC_STR_AUTO range = rc_strf("bytes=%lld-%lld", (long long)offset_bytes,
                                (long long)(offset_bytes + len_bytes - 1));
    struct part part = { .len_bytes = len_bytes };
    enum rc_code code;

    if (source_if_match)
        note_source(upload, source, source_if_match);
    code = copy_once(upload, number, source, source_if_match, range, &part, err);
    if (code == RC_CONFLICT && source_if_match && is_condition_misread(upload))
        code = copy_once(upload, number, source, NULL, range, &part, err);
    if (code)
        return err->code;
    store_part(upload, number, &part);
    return RC_OK;
}

/* ---- going on -------------------------------------------------------------------------------- */

struct resumed {
    struct core_s3_upload *upload;
    int64_t size_bytes, part_bytes;
};

/* By its looks; what is encrypted with a key has another that nobody's content agrees with. */
static bool read_md5(const char *etag, unsigned char md5[16])
{
    for (int i = 0; i < 16; i++) {
        int high = core_hex_value(etag[2 * i]);
        int low = high < 0 ? -1 : core_hex_value(etag[2 * i + 1]);

        if (low < 0)
            return false;
        md5[i] = (unsigned char)(high << 4 | low);
    }
    return etag[32] == '\0';
}

/* What is not as it would be put now is put again. */
static enum rc_code take_part(void *context, const struct core_s3_part *listed,
                              struct rc_error *err)
{
    const struct resumed *resumed = context;
    int64_t left = resumed->size_bytes - resumed->part_bytes * (listed->number - 1);
    struct part part = { .len_bytes = listed->size_bytes };

    (void)err;
    if (left <= 0 || part.len_bytes != (left < resumed->part_bytes ? left : resumed->part_bytes))
        return RC_OK;
    memcpy(part.etag, listed->etag, sizeof(part.etag));
    part.has_md5 = read_md5(part.etag, part.md5);
    if (part.has_md5)
        store_part(resumed->upload, listed->number, &part);
    return RC_OK;
}

enum rc_code core_s3_upload_resume(const struct core_place_in_store *place,
                                   const struct rc_put_options *options,
                                   const struct core_left_parts *left, struct core_s3_upload **out,
                                   struct rc_error *err)
{
    struct core_s3_upload *upload = upload_new(place, options);
    struct resumed resumed = { upload, options->size_bytes, left->part_bytes };

    *out = NULL;
    upload->id = rc_strdup(left->id);
    upload->asked_unix_ms = left->begun_unix_ms;
    if (core_s3_each_part(place, left->id, take_part, &resumed, err)) {
        core_s3_upload_leave(upload);
        return err->code;
    }
    *out = upload;
    return RC_OK;
}

const char *core_s3_upload_id(const struct core_s3_upload *upload)
{
    return upload->id;
}

bool core_s3_upload_has(struct core_s3_upload *upload, int number, int64_t len_bytes,
                        unsigned char md5[16])
{
    const struct part *part;
    bool is_known = false;

    (void)pthread_mutex_lock(&upload->mutex);
    if (number > 0 && (size_t)number <= upload->count) {
        part = &upload->parts[number - 1];
        is_known = part->etag[0] != '\0' && part->has_md5 && part->len_bytes == len_bytes;
        memcpy(md5, part->md5, sizeof(part->md5));
    }
    (void)pthread_mutex_unlock(&upload->mutex);
    return is_known;
}

/* ---- putting together ------------------------------------------------------------------------ */

static enum rc_code add_parts(const struct core_s3_upload *upload, struct rc_buf *xml,
                              int64_t *size_bytes, struct rc_error *err)
{
    size_t count = upload->count;

    while (count > 0 && upload->parts[count - 1].etag[0] == '\0')
        count--;
    *size_bytes = 0;
    rc_buf_adds(xml, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < count; i++) {
        const struct part *part = &upload->parts[i];

        if (part->etag[0] == '\0')
            return rc_fail(err, RC_INVALID, "write '%s': part %zu of %zu was not written",
                           upload->place.uri, i + 1, count);
        rc_buf_addf(xml, "<Part><PartNumber>%zu</PartNumber><ETag>&quot;%s&quot;</ETag></Part>",
                    i + 1, part->etag);
        *size_bytes += part->len_bytes;
    }
    rc_buf_adds(xml, "</CompleteMultipartUpload>");
    return rc_buf_check(xml, err);
}

/*
 * The ETag that S3 gives an object of these parts: the MD5 of their MD5s. NULL: not known, as where
 * a key of KMS or of the customer encrypts them, so that their own ETags are something else.
 */
static char *expected_etag(const struct core_s3_upload *upload)
{
    RC_BUF_AUTO(digests, CORE_S3_PARTS * 16 + 1);
    RC_BUF_AUTO(hex, CORE_DIGEST_HEX);
    unsigned char md5[CORE_DIGEST_BYTES];
    size_t count = 0;

    for (; count < upload->count && upload->parts[count].etag[0]; count++) {
        const struct part *part = &upload->parts[count];
        RC_BUF_AUTO(tag, CORE_DIGEST_HEX);

        core_add_hex(&tag, part->md5, sizeof(part->md5));
        if (!part->has_md5 || !rc_str_eq(tag.data, part->etag))
            return NULL;
        rc_buf_add(&digests, part->md5, sizeof(part->md5));
    }
    core_digest(CORE_MD5, digests.data, digests.len, md5);
    core_add_hex(&hex, md5, core_digest_len(CORE_MD5));
    return rc_strf("%s-%zu", hex.data, count);
}

/* Whether the object looks as if it was the one that was uploaded. */
static bool looks_like_ours(const struct core_s3_upload *upload, int64_t size_bytes,
                            struct rc_stat *stat, char **version)
{
    RC_STR_AUTO expected = expected_etag(upload);
    struct core_place_in_store place = upload->place.at;
    struct rc_error ignored = RC_ERROR_INIT;

    if (upload->mark[0] != '\0')
        return core_s3_has_mark(&place, upload->mark, stat, version);
    if (core_s3_stat(&place, stat, NULL, &ignored) || stat->size_bytes != size_bytes)
        return false;
    if (expected && strchr(stat->etag, '-'))
        return rc_str_eq(expected, stat->etag);
    return stat->modified_unix_ms >= upload->asked_unix_ms - STRAY_SLACK_MS;
}

/* Whether the server still knows of the upload, and whether it has parts. */
static enum rc_code look_at_upload(const struct core_place_in_store *place, const char *upload_id,
                                   bool ignore_cancel, bool *is_there, bool *has_parts,
                                   struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "look at the upload to", "GET");
    CORE_S3_ANSWER_AUTO(answer);

    *is_there = *has_parts = false;
    core_s3_add_query(&request.query, "max-parts", "1");
    core_s3_add_query(&request.query, "uploadId", upload_id);
    request.answers_xml = true;
    request.ignore_cancel = ignore_cancel;
    if (core_s3_send(&request, &answer, err))
        return request.refusal.status == 404 ? RC_OK : err->code;
    *is_there = true;
    *has_parts = strstr(answer.body.data, "<PartNumber>") != NULL;
    return RC_OK;
}

/*
 * Whether the object is the one that was uploaded, for a completion whose answer was lost: asked
 * again, the server knows the upload no more. An older object of the same content looks alike, but
 * then the upload is still there; for a moment it may be so, too, while the server clears up.
 */
static bool is_ours(const struct core_s3_upload *upload, int64_t size_bytes, struct rc_stat *stat,
                    char **version)
{
    struct rc_error ignored = RC_ERROR_INIT;
    bool is_there = true, has_parts;

    if (!looks_like_ours(upload, size_bytes, stat, version))
        return false;
    for (int round = 0; is_there && round < LOOKS; round++) {
        if (round > 0)
            core_clock_sleep_ms(50 << round);
        /* Who may not ask has only the looks. */
        if (look_at_upload(&upload->place.at, upload->id, /* ignore_cancel = */ false, &is_there,
                           &has_parts, &ignored))
            return ignored.code == RC_DENIED;
    }
    return !is_there;
}

static enum rc_code on_completed(void *context, const char *path, const char *text, size_t len,
                                 struct rc_error *err)
{
    struct rc_stat *stat = context;

    (void)len;
    (void)err;
    if (rc_str_eq(path, "CompleteMultipartUploadResult/ETag"))
        core_s3_set_etag(stat, text);
    return RC_OK;
}

static enum rc_code read_completion(const struct core_s3_upload *upload,
                                    const struct core_http_answer *answer, int64_t size_bytes,
                                    struct rc_stat *out, struct rc_error *err)
{
    const struct core_xml_events events = { .end = on_completed, .context = out };
    struct core_place_in_store place = upload->place.at;

    *out = (struct rc_stat){ .size_bytes = size_bytes };
    if (core_xml_read(answer->body.data, answer->body.len, &events, err))
        return rc_context(err, "write '%s'", upload->place.uri);
    out->modified_unix_ms = core_http_answer_time_unix_ms(answer, "date");
    /* Ceph does not tell the ETag here. */
    place.version = core_http_answer_header(answer, "x-amz-version-id");
    if (out->etag[0] == '\0' && core_s3_stat(&place, out, NULL, err))
        return err->code;
    if (out->size_bytes != size_bytes)
        return rc_fail(err, RC_CONFLICT,
                       "write '%s': it has %lld bytes, %lld were written: somebody has replaced it",
                       upload->place.uri, (long long)out->size_bytes, (long long)size_bytes);
    return RC_OK;
}

/* Ceph takes no tags for an upload, and tells nobody. */
static enum rc_code put_tags(const struct core_s3_upload *upload, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, &upload->place.at, "tag", "PUT");
    CORE_S3_ANSWER_AUTO(answer);
    bool honours;

    if (upload->tagging.len == 0)
        return RC_OK;
    if (rc_buf_check(&upload->tagging, err) || core_s3_honours(&upload->place.at, &honours, err))
        return rc_context(err, "tag '%s'", upload->place.uri);
    if (honours)
        return RC_OK;
    core_s3_add_query(&request.query, "tagging", NULL);
    core_s3_add_header(&request, "content-type", "application/xml");
    request.body = upload->tagging.data;
    request.body_len = upload->tagging.len;
    return core_s3_send(&request, &answer, err);
}

/*
 * One that was refused, or of which nothing was heard: an upload that is not known any more, or a
 * condition that fails, may be so for our own object. '*again': it is to be sent without one.
 */
static enum rc_code find_object(struct core_s3_upload *upload, struct core_s3_condition *condition,
                                const struct core_s3_request *request, struct rc_stat *stat,
                                bool *again, struct rc_error *err)
{
    struct core_s3_made made = { .mark = upload->mark, .size_bytes = stat->size_bytes };
    RC_STR_AUTO version = NULL;

    /* An entity tag is wanted, and there is no object. */
    if (upload->if_match && rc_str_eq(request->refusal.code, "NoSuchKey"))
        err->code = RC_CONFLICT;
    if (err->code != RC_CONFLICT && !rc_retryable(err->code))
        return err->code;
    if (is_ours(upload, made.size_bytes, stat, &version)) {
        upload->is_complete = true;
        made.version = version;
        made.sends = request->sends;
        *err = (struct rc_error)RC_ERROR_INIT;
        return core_s3_condition_settle(condition, &made, /* stat = */ NULL, err);
    }
    if (err->code == RC_CONFLICT)
        *again = !core_s3_condition_refused(condition, request, err);
    return err->code;
}

static enum rc_code complete_once(struct core_s3_upload *upload,
                                  struct core_s3_condition *condition, const struct rc_buf *xml,
                                  struct rc_stat *stat, bool *again, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, &upload->place.at, "write", "POST");
    CORE_S3_ANSWER_AUTO(answer);

    *again = false;
    core_s3_add_query(&request.query, "uploadId", upload->id);
    core_s3_add_header(&request, "content-type", "application/xml");
    core_s3_add_condition(&request, condition->is_sent ? condition->if_match : NULL);
    request.body = xml->data;
    request.body_len = xml->len;
    request.answers_xml = true;
    request.root = "CompleteMultipartUploadResult";
    request.repeats = true;
    request.idle_ms = CORE_S3_SLOW_MS;
    if (core_s3_send(&request, &answer, err))
        return find_object(upload, condition, &request, stat, again, err);

    const struct core_s3_made made = {
        .version = core_http_answer_header(&answer, "x-amz-version-id"),
        .mark = upload->mark,
        .size_bytes = stat->size_bytes,
        .sends = request.sends,
    };
    upload->is_complete = true;
    if (core_s3_condition_settle(condition, &made, /* stat = */ NULL, err))
        return err->code;
    return read_completion(upload, &answer, made.size_bytes, stat, err);
}

enum rc_code core_s3_upload_complete(struct core_s3_upload *upload, struct rc_stat *out,
                                     struct rc_error *err)
{
    RC_BUF_AUTO(xml, XML_LIMIT);
    struct core_s3_condition condition;
    struct rc_stat stat = { .size_bytes = 0 };
    bool again = true;

    /* There is no upload without a part, but one of nothing is one. */
    if (!upload->parts && core_s3_upload_put_data(upload, 1, "", 0, err))
        return err->code;
    if (add_parts(upload, &xml, &stat.size_bytes, err) || check_source(upload, err) ||
        core_s3_condition_begin(&condition, &upload->place.at, upload->if_match, err))
        return err->code;
    while (again)
        if (complete_once(upload, &condition, &xml, &stat, &again, err))
            return err->code;
    if (out)
        *out = stat;
    return put_tags(upload, err);
}

/* ---- giving up ------------------------------------------------------------------------------- */

enum rc_code core_s3_abort(const struct core_place_in_store *place, const char *upload_id,
                           bool ignore_cancel, struct rc_error *err)
{
    for (int round = 0; round < ABORT_ROUNDS; round++) {
        CORE_S3_REQUEST_AUTO(request, place, "abort the upload to", "DELETE");
        CORE_S3_ANSWER_AUTO(answer);
        bool is_there, has_parts;

        core_s3_add_query(&request.query, "uploadId", upload_id);
        request.ignore_cancel = ignore_cancel;
        if (core_s3_send(&request, &answer, err))
            return request.refusal.status == 404 ? RC_OK : err->code;
        if (look_at_upload(place, upload_id, ignore_cancel, &is_there, &has_parts, err))
            return err->code;
        if (!is_there)
            return RC_OK;
        core_clock_sleep_ms(100 << round);
    }
    return rc_fail(err, RC_FAILED, "abort the upload to '%s': it is still there after %d times",
                   place->uri, ABORT_ROUNDS);
}

static enum rc_code remove_stray(void *context, const struct core_s3_pending *pending,
                                 struct rc_error *err)
{
    struct core_s3_upload *upload = context;
    bool is_there, has_parts;

    if (!rc_str_eq(pending->key, upload->place.key) || rc_str_eq(pending->upload_id, upload->id) ||
        pending->begun_unix_ms < upload->asked_unix_ms - STRAY_SLACK_MS ||
        pending->begun_unix_ms > upload->answered_unix_ms + STRAY_SLACK_MS)
        return RC_OK;
    /* Another writer's would have parts by now. */
    if (look_at_upload(&upload->place.at, pending->upload_id, true, &is_there, &has_parts, err))
        return err->code;
    if (!is_there || has_parts)
        return RC_OK;
    return core_s3_abort(&upload->place.at, pending->upload_id, true, err);
}

void core_s3_upload_free(struct core_s3_upload *upload)
{
    struct rc_error ignored = RC_ERROR_INIT;

    if (!upload)
        return;
    if (upload->id && !upload->is_complete && !upload->is_left)
        (void)!core_s3_abort(&upload->place.at, upload->id, /* ignore_cancel = */ true, &ignored);
    if (upload->may_have_strays) {
        ignored = (struct rc_error)RC_ERROR_INIT;
        (void)!core_s3_each_pending(&upload->place.at, /* ignore_cancel = */ true, remove_stray,
                                    upload, &ignored);
    }
    core_s3_place_clear(&upload->place);
    core_s3_place_clear(&upload->source);
    free(upload->source_if_match);
    rc_buf_clear(&upload->tagging);
    (void)pthread_mutex_destroy(&upload->mutex);
    free(upload->if_match);
    free(upload->id);
    free(upload->parts);
    free(upload);
}

void core_s3_upload_leave(struct core_s3_upload *upload)
{
    upload->is_left = true;
    core_s3_upload_free(upload);
}
