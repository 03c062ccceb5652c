/*
 * Writes the frame of a Parquet file and what is copied into it. What the file says of itself is
 * made by rewrite.c and project.c.
 */
#include "rewrite_out.h"
#include "fields.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    PIECE_BYTES = 1 << 20,
    FOOTER_BYTES = INT32_MAX, /* as many as its length can tell */
};

static const char magic[4] = { 'P', 'A', 'R', '1' };

enum rc_code pq_out_begin(struct pq_out *out, const struct pq_sink *sink, struct rc_error *err)
{
    *out = (struct pq_out){ .sink = sink, .piece = rc_malloc(PIECE_BYTES) };
    return pq_out_write(out, magic, sizeof(magic), err);
}

void pq_out_clear(struct pq_out *out)
{
    free(out->piece);
    *out = (struct pq_out){ .sink = NULL };
}

enum rc_code pq_out_write(struct pq_out *out, const void *data, size_t len, struct rc_error *err)
{
    if (out->sink->write(out->sink->context, data, len, err))
        return rc_context(err, "write %zu bytes behind byte %" PRId64, len, out->bytes);
    out->bytes += (int64_t)len;
    return RC_OK;
}

enum rc_code pq_out_copy(struct pq_out *out, const struct pq_file *file, int64_t offset,
                         int64_t len, struct rc_error *err)
{
    while (len > 0) {
        size_t piece = len < PIECE_BYTES ? (size_t)len : PIECE_BYTES;

        if (file->source.read(file->source.context, offset, out->piece, piece, err) ||
            pq_out_write(out, out->piece, piece, err))
            return err->code;
        offset += (int64_t)piece;
        len -= (int64_t)piece;
    }
    return RC_OK;
}

enum rc_code pq_out_read(const struct pq_file *file, int64_t offset, size_t len, struct rc_buf *out,
                         struct rc_error *err)
{
    char *room = rc_buf_reserve(out, len);

    if (!room)
        return rc_buf_check(out, err);
    if (file->source.read(file->source.context, offset, room, len, err))
        return err->code;
    rc_buf_added(out, len);
    return RC_OK;
}

enum rc_code pq_out_end(struct pq_out *out, const struct pq_node *metadata, struct rc_error *err)
{
    RC_BUF_AUTO(footer, FOOTER_BYTES);
    uint32_t len;

    pq_thrift_write(&footer, metadata);
    len = (uint32_t)footer.len;
    for (unsigned shift = 0; shift < 32; shift += 8)
        rc_buf_addc(&footer, (char)(len >> shift & 0xff));
    rc_buf_add(&footer, magic, sizeof(magic));
    if (rc_buf_check(&footer, err))
        return rc_context(err, "write the footer");
    return pq_out_write(out, footer.data, footer.len, err);
}

size_t pq_out_tree_limit(const struct pq_file *file)
{
    enum { SHARE = 8, LEAST = 1 << 20 };

    return LEAST + SHARE * file->tree.bytes;
}

/*
 * A place that is named 0 is none, which old writers have said in this way; one outside of the
 * chunk is none either. That of the data may be the chunk's end, where no rows have any pages.
 */
static enum rc_code move(struct pq_tree *tree, struct pq_node *record, int16_t id,
                         const struct pq_chunk *chunk, int64_t start, struct rc_error *err)
{
    int64_t place = pq_field_int(record, id, 0);
    bool is_inside = place >= chunk->start && place < chunk->start + chunk->len;

    if (place == 0)
        return RC_OK;
    if (is_inside)
        return pq_set_int(tree, record, id, PQ_KIND_I64, place - chunk->start + start, err);
    if (id == PQ_META_DATA_OFFSET) /* readers refuse a chunk without this field */
        return pq_set_int(tree, record, id, PQ_KIND_I64, start + chunk->len, err);
    pq_drop(record, id);
    return RC_OK;
}

/* Fields stand in the order of their numbers. */
static void drop_behind(struct pq_node *record, int16_t last)
{
    while (record->list.len > 0 && record->list.items[record->list.len - 1].id > last)
        record->list.len--;
}

void pq_out_drop_unknown(struct pq_node *node)
{
    drop_behind(node, PQ_CHUNK_LAST);
    drop_behind(pq_field(node, PQ_CHUNK_META, PQ_KIND_STRUCT), PQ_META_LAST);
}

int64_t pq_out_file_offset(const struct pq_node *node, const struct pq_chunk *chunk)
{
    int64_t place = pq_field_int(node, PQ_CHUNK_FILE_OFFSET, 0);

    return place >= chunk->start && place < chunk->start + chunk->len ? place : 0;
}

enum rc_code pq_out_move_chunk(struct pq_tree *tree, struct pq_node *node,
                               const struct pq_chunk *chunk, int64_t start, struct rc_error *err)
{
    int64_t place = pq_out_file_offset(node, chunk);
    struct pq_node *meta;

    if (pq_set_int(tree, node, PQ_CHUNK_FILE_OFFSET, PQ_KIND_I64,
                   place > 0 ? place - chunk->start + start : 0, err))
        return err->code;
    pq_out_drop_unknown(node);
    meta = pq_field(node, PQ_CHUNK_META, PQ_KIND_STRUCT);
    if (move(tree, meta, PQ_META_DATA_OFFSET, chunk, start, err) ||
        move(tree, meta, PQ_META_INDEX_OFFSET, chunk, start, err) ||
        move(tree, meta, PQ_META_DICTIONARY_OFFSET, chunk, start, err))
        return err->code;
    return RC_OK;
}

enum rc_code pq_out_check_chunk(const struct pq_file *file, size_t group, size_t column,
                                struct rc_error *err)
{
    const struct pq_chunk *chunk = &file->groups[group].chunks[column];
    const char *path = file->columns[column].path;

    if (chunk->is_encrypted)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the column '%s' is encrypted, and there is no key to read it with", path);
    if (chunk->lies_elsewhere)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the column '%s' lies in another file than its footer, as of a summary",
                       path);
    return RC_OK;
}
