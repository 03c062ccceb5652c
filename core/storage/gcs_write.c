/*
 * Writing to Google Cloud Storage: gathers what is written into chunks, one of which is in memory.
 * What ends within the first goes up at once, anything longer in a session.
 */
#include <storage/gcs_upload.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 8 * 1024 * 1024 };

struct gcs_writer {
    struct rc_writer base;
    struct core_place_in_store place; /* its texts are copies */
    char *uri, *bucket, *key, *if_match;
    struct core_object_detail copies; /* of the attributes */
    struct core_gcs_upload upload;
    struct core_gcs_session *session; /* from the first full chunk on */
    struct rc_buf chunk;
    bool failed, committed;
};

static size_t chunk_bytes(const struct core_store_settings *settings)
{
    int64_t wanted = settings && settings->part_bytes > 0 ? settings->part_bytes : CHUNK_BYTES;

    return (size_t)((wanted + CORE_GCS_QUANTUM - 1) / CORE_GCS_QUANTUM) * CORE_GCS_QUANTUM;
}

static enum rc_code writer_check(const struct gcs_writer *writer, struct rc_error *err)
{
    if (writer->failed)
        return rc_fail(err, RC_FAILED, "'%s': an earlier write of it failed", writer->uri);
    if (writer->committed)
        return rc_fail(err, RC_INVALID, "'%s' has been committed already", writer->uri);
    return core_cancel_check(writer->place.cancel, err);
}

static enum rc_code send_chunk(struct gcs_writer *writer, struct rc_error *err)
{
    if (!writer->session && core_gcs_session_begin(&writer->upload, &writer->session, err))
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
        code = core_gcs_upload_whole(&writer->upload, chunk->data, chunk->len, &base->stat, err);
    writer->committed = code == RC_OK;
    writer->failed = !writer->committed;
    return code;
}

static void writer_close(struct rc_writer *base)
{
    struct gcs_writer *writer = (struct gcs_writer *)base;

    core_gcs_session_free(writer->session);
    core_object_detail_clear(&writer->copies);
    rc_buf_clear(&writer->chunk);
    free(writer->uri);
    free(writer->bucket);
    free(writer->key);
    free(writer->if_match);
    free(writer);
}

static const struct core_writer_ops writer_ops = {
    .write = writer_write,
    .commit = writer_commit,
    .close = writer_close,
};

static const struct rc_attributes *copy_attributes(struct core_object_detail *to,
                                                   const struct rc_attributes *from)
{
    if (!from)
        return NULL;
    to->attributes = core_attributes_copy(&to->arena, from);
    return &to->attributes;
}

enum rc_code core_gcs_create(const struct core_place_in_store *place,
                             const struct rc_put_options *options, struct rc_writer **out,
                             struct rc_error *err)
{
    struct gcs_writer *writer = rc_malloc(sizeof(*writer));

    *writer = (struct gcs_writer){
        .base = { .ops = &writer_ops },
        .place = *place,
        .uri = rc_strdup(place->uri),
        .bucket = rc_strdup(place->bucket),
        .key = rc_strdup(place->key),
        .if_match = rc_strdup(options->if_match),
        .copies = CORE_OBJECT_DETAIL_INIT,
        .chunk = RC_BUF_INIT(chunk_bytes(place->settings)),
    };
    writer->place.uri = writer->uri;
    writer->place.bucket = writer->bucket;
    writer->place.key = writer->key;
    writer->upload = (struct core_gcs_upload){
        .place = &writer->place,
        .if_match = writer->if_match,
        .attributes = copy_attributes(&writer->copies, options->attributes),
    };
    if (core_gcs_check_upload(&writer->upload, err)) {
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
    const struct core_gcs_upload upload = {
        .place = place,
        .if_match = options->if_match,
        .attributes = options->attributes,
    };
    struct rc_stat stat;

    if (core_gcs_check_upload(&upload, err))
        return err->code;
    return core_gcs_upload_whole(&upload, data, len, written ? written : &stat, err);
}
