/*
 * Writing to Google Cloud Storage: gathers what is written into chunks, one of which is in memory.
 * What ends within the first goes up at once, anything longer in a session. Parts are the chunks of
 * a session, too, so that they come in order.
 */
#include <storage/gcs_upload.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 8 * 1024 * 1024 };

/* Where something is written, and how; for longer than the call. */
struct aim {
    struct core_place_in_store place; /* its texts are copies */
    char *uri, *bucket, *key, *if_match;
    struct core_object_detail copies; /* of the attributes */
    struct core_gcs_upload upload;
};

struct gcs_writer {
    struct rc_writer base;
    struct aim aim;
    struct core_gcs_session *session; /* from the first full chunk on */
    struct rc_buf chunk;
    bool failed, committed;
};

/* Of an error the aim is to be cleared, too. */
static enum rc_code aim_at(struct aim *aim, const struct core_place_in_store *place,
                           const struct rc_put_options *options, struct rc_error *err)
{
    *aim = (struct aim){
        .place = *place,
        .uri = rc_strdup(place->uri),
        .bucket = rc_strdup(place->bucket),
        .key = rc_strdup(place->key),
        .if_match = rc_strdup(options->if_match),
        .copies = CORE_OBJECT_DETAIL_INIT,
    };
    aim->place.uri = aim->uri;
    aim->place.bucket = aim->bucket;
    aim->place.key = aim->key;
    aim->upload = (struct core_gcs_upload){ .place = &aim->place, .if_match = aim->if_match };
    if (options->attributes) {
        aim->copies.attributes = core_attributes_copy(&aim->copies.arena, options->attributes);
        aim->upload.attributes = &aim->copies.attributes;
    }
    if (core_gcs_check_upload(&aim->upload, err))
        return err->code;
    return options->keep_attributes ? core_gcs_keep(&aim->upload, &aim->copies, err) : RC_OK;
}

static void aim_clear(struct aim *aim)
{
    core_object_detail_clear(&aim->copies);
    free(aim->uri);
    free(aim->bucket);
    free(aim->key);
    free(aim->if_match);
}

static size_t chunk_bytes(const struct core_store_settings *settings)
{
    int64_t wanted = settings && settings->part_bytes > 0 ? settings->part_bytes : CHUNK_BYTES;

    return (size_t)((wanted + CORE_GCS_QUANTUM - 1) / CORE_GCS_QUANTUM) * CORE_GCS_QUANTUM;
}

static enum rc_code writer_check(const struct gcs_writer *writer, struct rc_error *err)
{
    if (writer->failed)
        return rc_fail(err, RC_FAILED, "'%s': an earlier write of it failed", writer->aim.uri);
    if (writer->committed)
        return rc_fail(err, RC_INVALID, "'%s' has been committed already", writer->aim.uri);
    return core_cancel_check(writer->aim.place.cancel, err);
}

static enum rc_code send_chunk(struct gcs_writer *writer, struct rc_error *err)
{
    if (!writer->session && core_gcs_session_begin(&writer->aim.upload, &writer->session, err))
        return err->code;
    if (core_gcs_session_add(writer->session, writer->chunk.data, writer->chunk.len, err))
        return err->code;
    rc_buf_reset(&writer->chunk);
    return RC_OK;
}

static enum rc_code writer_write(struct rc_writer *base, const void *data, size_t len,
                                 struct rc_error *err)
{
    struct gcs_writer *writer = (struct gcs_writer *)base;

    if (writer_check(writer, err))
        return err->code;
    for (size_t done = 0; done < len;) {
        size_t room = writer->chunk.limit - writer->chunk.len;
        size_t part = len - done < room ? len - done : room;

        /* A full chunk waits until there is more: the last one ends the upload. */
        if (room == 0 && send_chunk(writer, err)) {
            writer->failed = true;
            return err->code;
        }
        rc_buf_add(&writer->chunk, (const char *)data + done, part);
        done += part;
    }
    return RC_OK;
}

static enum rc_code writer_commit(struct rc_writer *base, struct rc_error *err)
{
    struct gcs_writer *writer = (struct gcs_writer *)base;
    const struct rc_buf *chunk = &writer->chunk;
    enum rc_code code;

    if (writer_check(writer, err))
        return err->code;
    if (writer->session)
        code = core_gcs_session_end(writer->session, chunk->data, chunk->len, &base->stat, err);
    else
        code =
            core_gcs_upload_whole(&writer->aim.upload, chunk->data, chunk->len, &base->stat, err);
    writer->committed = code == RC_OK;
    writer->failed = !writer->committed;
    return code;
}

static void writer_close(struct rc_writer *base)
{
    struct gcs_writer *writer = (struct gcs_writer *)base;

    core_gcs_session_free(writer->session);
    aim_clear(&writer->aim);
    rc_buf_clear(&writer->chunk);
    free(writer);
}

static const struct core_writer_ops writer_ops = {
    .write = writer_write,
    .commit = writer_commit,
    .close = writer_close,
};

enum rc_code core_gcs_create(const struct core_place_in_store *place,
                             const struct rc_put_options *options, struct rc_writer **out,
                             struct rc_error *err)
{
    struct gcs_writer *writer = rc_malloc(sizeof(*writer));

    *writer = (struct gcs_writer){
        .base = { .ops = &writer_ops },
        .chunk = RC_BUF_INIT(chunk_bytes(place->settings)),
    };
    if (aim_at(&writer->aim, place, options, err)) {
        writer_close(&writer->base);
        return err->code;
    }
    /* At once as much as it will take, rather than by doubling. */
    if (options->size_bytes > 0)
        (void)rc_buf_reserve(&writer->chunk, (uint64_t)options->size_bytes < writer->chunk.limit
                                                 ? (size_t)options->size_bytes
                                                 : writer->chunk.limit);
    *out = &writer->base;
    return RC_OK;
}

enum rc_code core_gcs_put(const struct core_place_in_store *place, const void *data, size_t len,
                          const struct rc_put_options *options, struct rc_stat *written,
                          struct rc_error *err)
{
    CORE_OBJECT_DETAIL_AUTO(kept);
    struct core_gcs_upload upload = {
        .place = place,
        .if_match = options->if_match,
        .attributes = options->attributes,
    };
    struct rc_stat stat;

    if (core_gcs_check_upload(&upload, err) ||
        (options->keep_attributes && core_gcs_keep(&upload, &kept, err)))
        return err->code;
    return core_gcs_upload_whole(&upload, data, len, written ? written : &stat, err);
}

/* ---- in parts -------------------------------------------------------------------------------- */

struct gcs_parts {
    struct core_parts base;
    struct aim aim;
    struct core_gcs_session *session;
    struct rc_buf last; /* the last part, with which the session ends */
    int64_t size_bytes, put_bytes;
    struct rc_error err; /* the first: what the server has of it is not known any more */
};

static enum rc_code read_part(struct gcs_parts *parts, const struct core_http_content *content,
                              struct rc_buf *out, struct rc_error *err)
{
    size_t len, want = (size_t)content->len_bytes;
    char *at = rc_buf_reserve(out, want);

    if (!at)
        return rc_fail(err, RC_INVALID, "'%s': a part of %zu bytes is too long", parts->aim.uri,
                       want);
    do {
        if (content->read(content->context, (int64_t)out->len, at, want - out->len, &len, err))
            return err->code;
        rc_buf_added(out, len);
        at += len;
    } while (len > 0 && out->len < want);
    return out->len == want ? RC_OK
                            : rc_fail(err, RC_UNAVAILABLE, "'%s': of %zu bytes only %zu came",
                                      parts->aim.uri, want, out->len);
}

static enum rc_code parts_put(struct core_parts *base, int64_t offset_bytes,
                              const struct core_http_content *content, struct rc_error *err)
{
    struct gcs_parts *parts = (struct gcs_parts *)base;
    RC_BUF_AUTO(chunk, (size_t)base->part_bytes + 1);

    if (parts->err.code) {
        *err = parts->err;
        return err->code;
    }
    RC_ASSERT(offset_bytes == parts->put_bytes);
    if (read_part(parts, content, &chunk, err))
        return err->code;
    if (offset_bytes + content->len_bytes == parts->size_bytes) {
        rc_buf_clear(&parts->last);
        parts->last = chunk;
        chunk = (struct rc_buf)RC_BUF_INIT(1);
        return RC_OK;
    }
    if (core_gcs_session_add(parts->session, chunk.data, chunk.len, err)) {
        parts->err = *err;
        return err->code;
    }
    parts->put_bytes += content->len_bytes;
    return RC_OK;
}

static enum rc_code parts_commit(struct core_parts *base, struct rc_error *err)
{
    struct gcs_parts *parts = (struct gcs_parts *)base;

    return core_gcs_session_end(parts->session, parts->last.data, parts->last.len, &base->stat,
                                err);
}

static void parts_free(struct gcs_parts *parts)
{
    rc_buf_clear(&parts->last);
    aim_clear(&parts->aim);
    free(parts);
}

static void parts_close(struct core_parts *base)
{
    struct gcs_parts *parts = (struct gcs_parts *)base;

    core_gcs_session_free(parts->session);
    parts_free(parts);
}

static void parts_leave(struct core_parts *base)
{
    struct gcs_parts *parts = (struct gcs_parts *)base;

    core_gcs_session_leave(parts->session);
    parts_free(parts);
}

static const struct core_parts_ops parts_ops = {
    .put = parts_put,
    .commit = parts_commit,
    .close = parts_close,
    .leave = parts_leave,
};

/* Begins a session, or goes on with that of the name. */
static enum rc_code open_parts(const struct core_place_in_store *place,
                               const struct rc_put_options *options, int64_t part_bytes,
                               const char *name, struct core_parts **out, struct rc_error *err)
{
    struct gcs_parts *parts = rc_malloc(sizeof(*parts));
    enum rc_code code;

    *parts = (struct gcs_parts){
        .base = { .ops = &parts_ops, .part_bytes = part_bytes },
        .last = RC_BUF_INIT(1),
        .size_bytes = options->size_bytes,
        .err = RC_ERROR_INIT,
    };
    code = aim_at(&parts->aim, place, options, err);
    if (!code && name)
        code = core_gcs_session_resume(&parts->aim.upload, name, &parts->session, err);
    else if (!code)
        code = core_gcs_session_begin(&parts->aim.upload, &parts->session, err);
    if (code) {
        parts_free(parts);
        return code;
    }
    parts->base.id = core_gcs_session_name(parts->session);
    *out = &parts->base;
    return RC_OK;
}

enum rc_code core_gcs_begin_parts(const struct core_place_in_store *place,
                                  const struct rc_put_options *options, struct core_parts **out,
                                  struct rc_error *err)
{
    return open_parts(place, options, (int64_t)chunk_bytes(place->settings), NULL, out, err);
}

enum rc_code core_gcs_resume_parts(const struct core_place_in_store *place,
                                   const struct rc_put_options *options,
                                   const struct core_left_parts *left, struct core_parts **out,
                                   struct rc_error *err)
{
    return open_parts(place, options, (int64_t)chunk_bytes(place->settings), left->id, out, err);
}

/* Sessions that nobody knows show nothing, and expire by themselves. */
enum rc_code core_gcs_give_up_parts(const struct core_place_in_store *place,
                                    const struct core_left_parts *left, struct rc_error *err)
{
    (void)err;
    if (left->id)
        core_gcs_session_give_up(place, left->id);
    return RC_OK;
}
