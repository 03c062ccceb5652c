/*
 * Reading from Google Cloud Storage. What is read is pinned to one generation: where the connection
 * breaks, the rest is asked for anew, of the same content. A whole object is held against its
 * CRC-32C before its last byte is handed over.
 */
#include <storage/gcs.h>

#include <os/digest.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    ERROR_BYTES = 256 * 1024,
    RETRIES = 5, /* one after the other without a byte in between */
};

struct gcs_reader {
    struct rc_reader base;
    struct core_place_in_store place; /* its texts are copies */
    char *uri, *bucket, *key, *version;
    char *name; /* of the stream in use */
    struct core_http_stream *stream;
    int64_t offset_bytes, left_bytes;
    uint32_t crc, expected_crc;
    bool is_checked; /* against 'expected_crc' at the end */
    bool is_broken;
    unsigned failures; /* since the last byte */
};

static enum rc_code missing_header(const struct core_gcs_request *request, const char *header,
                                   struct rc_error *err)
{
    return rc_fail(err, RC_CORRUPT, "%s: the answer has no %s that makes sense", request->name,
                   header);
}

/* What the head of an answer says of the whole object. */
static enum rc_code read_head(const struct core_gcs_request *request,
                              const struct core_http_answer *answer, struct rc_stat *out,
                              struct rc_error *err)
{
    const char *generation = core_http_answer_header(answer, "x-goog-generation");
    const char *stored = core_http_answer_header(answer, "x-goog-stored-content-length");
    int64_t size = core_gcs_whole_bytes(core_http_answer_header(answer, "content-range"));

    if (!generation || !core_gcs_is_generation(generation))
        return missing_header(request, "x-goog-generation", err);
    if (size < 0 && (!stored || !rc_parse_int(stored, &size)))
        stored = core_http_answer_header(answer, "content-length");
    if (size < 0 && (!stored || !rc_parse_int(stored, &size) || size < 0))
        return missing_header(request, "x-goog-stored-content-length", err);
    *out = (struct rc_stat){ .size_bytes = size,
                             .modified_unix_ms =
                                 core_http_answer_time_unix_ms(answer, "last-modified") };
    memcpy(out->etag, generation, strlen(generation) + 1);
    return RC_OK;
}

/*
 * Opens the stream for what is still to come. *out has the size and the entity tag of the whole.
 * *behind: the range begins at the end of the object or after it, and there is no stream.
 */
static enum rc_code open_stream(struct gcs_reader *reader, const char *if_match, bool *behind,
                                struct core_http_answer *answer, struct rc_stat *out,
                                struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);

    *behind = false;
    if (core_gcs_begin_object(&request, &reader->place, "read", err))
        return err->code;
    core_gcs_add_query(&request, "alt", "media");
    if (core_gcs_add_condition(&request, "ifGenerationMatch", if_match, err))
        return err->code;
    /* Else an object of Content-Encoding gzip would be unpacked on the way. */
    core_gcs_add_header(&request, "Accept-Encoding", "gzip");
    if (reader->left_bytes >= 0)
        core_gcs_take_header(&request, "Range",
                             rc_strf("bytes=%" PRId64 "-%" PRId64, reader->offset_bytes,
                                     reader->offset_bytes + reader->left_bytes - 1));
    else if (reader->offset_bytes > 0)
        core_gcs_take_header(&request, "Range",
                             rc_strf("bytes=%" PRId64 "-", reader->offset_bytes));
    if (core_gcs_complete(&request, err))
        return err->code;
    free(reader->name); /* of the stream before; this one borrows it */
    reader->name = rc_strdup(request.name);
    request.call.name = reader->name;
    if (core_http_open(&request.call, answer, &reader->stream, err))
        return err->code;

    *behind = answer->status == 416;
    if (*behind)
        return RC_OK;
    if (!reader->stream)
        return core_gcs_fail(&request, answer, err);
    if (answer->status != 206 && reader->offset_bytes > 0)
        return rc_fail(err, RC_CORRUPT, "%s: a range was asked for, and the whole came",
                       request.name);
    return read_head(&request, answer, out, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void drop_stream(struct gcs_reader *reader)
{
    core_http_close(reader->stream);
    reader->stream = NULL;
}

/* Opens the stream anew where it broke, of the same generation. */
static enum rc_code go_on(struct gcs_reader *reader, struct rc_error *err)
{
    struct core_http_answer answer;
    struct rc_stat found;
    enum rc_code code;
    bool behind;

    if (core_gcs_pause(&reader->place, reader->failures + 1, 0, err))
        return err->code;
    core_http_answer_init(&answer, ERROR_BYTES);
    code = open_stream(reader, reader->base.stat.etag, &behind, &answer, &found, err);
    core_http_answer_clear(&answer);
    if (code == RC_CONFLICT || code == RC_NOT_FOUND)
        return rc_fail(err, RC_CONFLICT, "'%s' was replaced or removed while it was read",
                       reader->uri);
    if (code)
        return code;
    if (behind || !rc_str_eq(found.etag, reader->base.stat.etag))
        return rc_fail(err, RC_CORRUPT, "'%s': the server gives another object than before",
                       reader->uri);
    return RC_OK;
}

/* One read of the stream; *len 0: nothing came, because it broke. */
static enum rc_code read_some(struct gcs_reader *reader, void *data, size_t capacity, size_t *len,
                              struct rc_error *err)
{
    enum rc_code code;

    *len = 0;
    if (!reader->stream && go_on(reader, err))
        return err->code;
    code = core_http_read(reader->stream, data, capacity, len, err);
    if (!code && *len == 0)
        code = rc_fail(err, RC_UNAVAILABLE, "'%s': the answer ends %" PRId64 " bytes too early",
                       reader->uri, reader->left_bytes);
    if (!code) {
        reader->failures = 0;
        return RC_OK;
    }
    *len = 0;
    drop_stream(reader);
    if (core_cancel_code(reader->place.cancel) || !rc_retryable(code) ||
        ++reader->failures > RETRIES)
        return code;
    return RC_OK;
}

static enum rc_code check_content(struct gcs_reader *reader, struct rc_error *err)
{
    if (!reader->is_checked || reader->left_bytes > 0 || reader->crc == reader->expected_crc)
        return RC_OK;
    return rc_fail(err, RC_CORRUPT,
                   "'%s': what came is not what is stored (CRC-32C %08" PRIx32 ", not %08" PRIx32
                   ")",
                   reader->uri, reader->crc, reader->expected_crc);
}

static enum rc_code reader_read(struct rc_reader *base, void *data, size_t capacity, size_t *len,
                                struct rc_error *err)
{
    struct gcs_reader *reader = (struct gcs_reader *)base;

    *len = 0;
    if (reader->is_broken)
        return rc_fail(err, RC_FAILED, "'%s': an earlier read of it failed", reader->uri);
    if ((uint64_t)reader->left_bytes < capacity)
        capacity = (size_t)reader->left_bytes;
    while (capacity > 0 && *len == 0)
        if (read_some(reader, data, capacity, len, err)) {
            reader->is_broken = true;
            return err->code;
        }
    reader->offset_bytes += (int64_t)*len;
    reader->left_bytes -= (int64_t)*len;
    if (*len > 0 && reader->is_checked) {
        reader->crc = core_crc32c(reader->crc, data, *len);
        reader->is_broken = check_content(reader, err) != RC_OK;
    }
    if (!reader->is_broken)
        return RC_OK;
    *len = 0;
    return err->code;
}

static void reader_close(struct rc_reader *base)
{
    struct gcs_reader *reader = (struct gcs_reader *)base;

    drop_stream(reader);
    free(reader->uri);
    free(reader->bucket);
    free(reader->key);
    free(reader->version);
    free(reader->name);
    free(reader);
}

static const struct core_reader_ops reader_ops = {
    .read = reader_read,
    .close = reader_close,
};

/* ---- opening --------------------------------------------------------------------------------- */

static struct gcs_reader *new_reader(const struct core_place_in_store *place,
                                     const struct core_range *range)
{
    struct gcs_reader *reader = rc_malloc(sizeof(*reader));

    *reader = (struct gcs_reader){
        .base = { .ops = &reader_ops },
        .place = *place,
        .uri = rc_strdup(place->uri),
        .bucket = rc_strdup(place->bucket),
        .key = rc_strdup(place->key),
        .version = rc_strdup(place->version),
        .offset_bytes = range->offset_bytes,
        .left_bytes = range->len_bytes,
    };
    reader->place.uri = reader->uri;
    reader->place.bucket = reader->bucket;
    reader->place.key = reader->key;
    reader->place.version = reader->version;
    return reader;
}

/* Nothing is to be read, but the object has to be there, and be the one that was meant. */
static enum rc_code open_empty(struct gcs_reader *reader, const char *if_match,
                               struct rc_error *err)
{
    reader->left_bytes = 0;
    if (core_gcs_stat(&reader->place, &reader->base.stat, NULL, err))
        return err->code;
    if (if_match && !rc_str_eq(if_match, reader->base.stat.etag))
        return rc_fail(err, RC_CONFLICT, "'%s' was replaced meanwhile (entity tag %s, not %s)",
                       reader->uri, reader->base.stat.etag, if_match);
    return RC_OK;
}

/* Knows the object now: clips the range to it, and what to check of it. */
static void take_head(struct gcs_reader *reader, const struct core_http_answer *answer)
{
    int64_t size = reader->base.stat.size_bytes;

    if (reader->left_bytes < 0 || reader->left_bytes > size - reader->offset_bytes)
        reader->left_bytes = size - reader->offset_bytes;
    reader->is_checked =
        reader->offset_bytes == 0 && reader->left_bytes == size &&
        core_gcs_find_crc32c(core_http_answer_header(answer, "x-goog-hash"), &reader->expected_crc);
}

static enum rc_code open_range(struct gcs_reader *reader, const char *if_match,
                               struct rc_error *err)
{
    struct core_http_answer answer;
    enum rc_code code;
    bool behind;

    core_http_answer_init(&answer, ERROR_BYTES);
    code = open_stream(reader, if_match, &behind, &answer, &reader->base.stat, err);
    if (!code && behind)
        code = open_empty(reader, if_match, err);
    else if (!code)
        take_head(reader, &answer);
    core_http_answer_clear(&answer);
    return code;
}

enum rc_code core_gcs_open(const struct core_place_in_store *place, const struct core_range *range,
                           struct rc_reader **out, struct rc_error *err)
{
    struct gcs_reader *reader = new_reader(place, range);
    enum rc_code code;

    if (range->len_bytes == 0)
        code = open_empty(reader, range->if_match, err);
    else
        code = open_range(reader, range->if_match, err);
    if (code) {
        reader_close(&reader->base);
        return code;
    }
    *out = &reader->base;
    return RC_OK;
}
