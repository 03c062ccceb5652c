/*
 * The file and its row groups: which are copied, which are written anew, which are gone; and what
 * the footer says of them. A chunk's pages are the business of rewrite_chunk.c.
 */
#include "rewrite_internal.h"

#include "bloom.h"

#include <inttypes.h>

enum {
    BLOOM_BYTES = 1 << 30, /* of a row group */
    INDEX_BYTES = 1 << 30, /* of a file */
};

static void clear(struct pq_rewrite *rewrite)
{
    pq_tree_clear(&rewrite->tree);
    pq_coder_free(rewrite->coder);
    pq_digester_drop(&rewrite->digester);
    pq_out_clear(&rewrite->out);
    rc_buf_clear(&rewrite->blooms);
    rc_buf_clear(&rewrite->column_indexes);
    rc_buf_clear(&rewrite->offset_indexes);
}

static enum rc_code check(const struct pq_file *file, const struct pq_rows *without,
                          struct rc_error *err)
{
    for (size_t i = 0; i < without->len; i++) {
        RC_ASSERT(without->rows[i] > (i > 0 ? without->rows[i - 1] : -1));
        if (without->rows[i] >= file->row_count)
            return rc_fail(err, RC_INVALID, "there is no row %" PRId64 ": it has %" PRId64,
                           without->rows[i], file->row_count);
    }
    if (file->is_encrypted)
        return rc_fail(err, RC_UNSUPPORTED,
                       "its footer is signed with a key that is not known here");
    for (size_t group = 0; group < file->group_count; group++)
        for (size_t column = 0; column < file->column_count; column++)
            if (pq_out_check_chunk(file, group, column, err))
                return err->code;
    return RC_OK;
}

/* A filter whose length is not said is read to know it; one that cannot be read is left out. */
static enum rc_code keep_bloom(struct pq_rewrite *rewrite, const struct pq_chunk *chunk,
                               bool *is_kept, struct rc_error *err)
{
    RC_CLEANUP(pq_bloom_clear) struct pq_bloom bloom = { .bits = NULL };

    *is_kept = true;
    if (chunk->bloom_len > 0)
        return pq_out_read(rewrite->file, chunk->bloom_offset, (size_t)chunk->bloom_len,
                           &rewrite->blooms, err);
    if (pq_bloom_read(&bloom, rewrite->file, chunk, BLOOM_BYTES, err)) {
        *is_kept = false;
        return err->code == RC_INVALID || err->code == RC_UNSUPPORTED ? RC_OK : err->code;
    }
    pq_bloom_write(&bloom, &rewrite->blooms);
    return rc_buf_check(&rewrite->blooms, err);
}

static enum rc_code copy_chunk(struct pq_rewrite *rewrite, const struct pq_chunk *chunk,
                               struct pq_node *node, struct rc_error *err)
{
    struct pq_node *meta;
    int64_t start = rewrite->out.bytes, bloom = (int64_t)rewrite->blooms.len;
    bool has_bloom = false;

    if (pq_out_copy(&rewrite->out, rewrite->file, chunk->start, chunk->len, err) ||
        pq_out_move_chunk(&rewrite->tree, node, chunk, start, err) ||
        pq_index_copy(rewrite, chunk, start, node, err))
        return err->code;
    if (chunk->bloom_offset >= 0 && keep_bloom(rewrite, chunk, &has_bloom, err))
        return rc_context(err, "copy its bloom filter");
    meta = pq_field(node, PQ_CHUNK_META, PQ_KIND_STRUCT);
    if (has_bloom)
        return pq_set_int(&rewrite->tree, meta, PQ_META_BLOOM_OFFSET, PQ_KIND_I64, bloom, err);
    pq_drop(meta, PQ_META_BLOOM_OFFSET);
    pq_drop(meta, PQ_META_BLOOM_BYTES);
    return RC_OK;
}

/* Adds to a place that was noted in a buffer where that buffer was written to. */
static void add_base(struct pq_node *record, int16_t id, int64_t base)
{
    struct pq_node *place = pq_field(record, id, PQ_KIND_I64);

    if (place)
        place->integer += base;
}

static enum rc_code write_blooms(struct pq_rewrite *rewrite, struct pq_node *chunks,
                                 struct rc_error *err)
{
    for (size_t i = 0; i < chunks->list.len; i++)
        add_base(pq_field(&chunks->list.items[i], PQ_CHUNK_META, PQ_KIND_STRUCT),
                 PQ_META_BLOOM_OFFSET, rewrite->out.bytes);
    if (pq_out_write(&rewrite->out, rewrite->blooms.data, rewrite->blooms.len, err))
        return err->code;
    rc_buf_reset(&rewrite->blooms);
    return RC_OK;
}

/* What a group says of its size, from what its chunks say. Some of it is only there at times. */
static enum rc_code sum_up(struct pq_rewrite *rewrite, struct pq_node *node, int64_t rows,
                           struct rc_error *err)
{
    const struct pq_node *chunks = pq_field(node, PQ_GROUP_CHUNKS, PQ_KIND_LIST);
    int64_t uncompressed = 0, compressed = 0;

    for (size_t i = 0; i < chunks->list.len; i++) {
        struct pq_node *meta = pq_field(&chunks->list.items[i], PQ_CHUNK_META, PQ_KIND_STRUCT);

        uncompressed += pq_field_int(meta, PQ_META_UNCOMPRESSED_BYTES, 0);
        compressed += pq_field_int(meta, PQ_META_COMPRESSED_BYTES, 0);
    }
    if (pq_field_int(node, PQ_GROUP_COMPRESSED_BYTES, -1) >= 0 &&
        pq_set_int(&rewrite->tree, node, PQ_GROUP_COMPRESSED_BYTES, PQ_KIND_I64, compressed, err))
        return err->code;
    if (pq_set_int(&rewrite->tree, node, PQ_GROUP_UNCOMPRESSED_BYTES, PQ_KIND_I64, uncompressed,
                   err))
        return err->code;
    return pq_set_int(&rewrite->tree, node, PQ_GROUP_ROWS, PQ_KIND_I64, rows, err);
}

/*
 * A chunk that loses nothing is copied, but for two kinds. Some writers have the values of all the
 * file in each dictionary, and with them those of rows that are erased from another group; and
 * where a chunk ends may be known from its pages alone.
 */
static enum rc_code write_chunk(struct pq_rewrite *rewrite, size_t group, size_t column,
                                const struct pq_rows *erased, int64_t first_row,
                                struct pq_node *node, bool *is_same, struct rc_error *err)
{
    const struct pq_chunk *chunk = &rewrite->file->groups[group].chunks[column];
    bool has_strays = false;

    if (erased->len == 0 && rewrite->loses_rows && chunk->slack == 0 &&
        pq_has_strays(rewrite->file, group, column, &has_strays, err))
        return err->code;
    if (erased->len == 0 && !has_strays && chunk->slack == 0) {
        const struct pq_seen copied = { .is_copied = true };

        if (rewrite->seen)
            rc_buf_add(rewrite->seen, &copied, sizeof(copied));
        return copy_chunk(rewrite, chunk, node, err);
    }
    *is_same = false;
    return pq_rewrite_chunk(rewrite, group, column, erased, first_row, node, err);
}

static enum rc_code write_group(struct pq_rewrite *rewrite, size_t group,
                                const struct pq_rows *erased, int64_t first_row,
                                struct pq_node *node, struct rc_error *err)
{
    const struct pq_file *file = rewrite->file;
    struct pq_node *chunks = pq_field(node, PQ_GROUP_CHUNKS, PQ_KIND_LIST);
    int64_t start = rewrite->out.bytes;
    bool is_same = true;

    for (size_t column = 0; column < file->column_count; column++)
        if (write_chunk(rewrite, group, column, erased, first_row, &chunks->list.items[column],
                        &is_same, err))
            return rc_context(err, "row group %zu, column '%s'", group, file->columns[column].path);
    if (write_blooms(rewrite, chunks, err))
        return err->code;
    if (!is_same &&
        sum_up(rewrite, node, file->groups[group].row_count - (int64_t)erased->len, err))
        return err->code;
    if (pq_field_int(node, PQ_GROUP_FILE_OFFSET, 0) == 0)
        return RC_OK;
    return pq_set_int(&rewrite->tree, node, PQ_GROUP_FILE_OFFSET, PQ_KIND_I64, start, err);
}

/* Moves the groups that stay together, and numbers them anew where they are numbered. */
static enum rc_code write_groups(struct pq_rewrite *rewrite, const struct pq_rows *without,
                                 struct pq_node *groups, struct pq_rewritten *out,
                                 struct rc_error *err)
{
    const struct pq_file *file = rewrite->file;
    int64_t first_row = 0;
    size_t kept = 0;

    for (size_t group = 0; group < file->group_count; group++) {
        int64_t rows = file->groups[group].row_count;
        struct pq_rows erased = pq_rows_within(without, first_row, rows);
        struct pq_node *node = &groups->list.items[kept];

        *node = groups->list.items[group];
        if (erased.len > 0 && (int64_t)erased.len == rows) {
            out->groups_dropped++;
        } else {
            if (write_group(rewrite, group, &erased, first_row, node, err))
                return err->code;
            if (pq_field_int(node, PQ_GROUP_ORDINAL, -1) >= 0 &&
                pq_set_int(&rewrite->tree, node, PQ_GROUP_ORDINAL, PQ_KIND_I16, (int64_t)kept, err))
                return err->code;
            out->groups_copied += erased.len == 0;
            out->groups_rewritten += erased.len > 0;
            out->rows += rows - (int64_t)erased.len;
            kept++;
        }
        first_row += rows;
    }
    groups->list.len = kept;
    return RC_OK;
}

static enum rc_code write_indexes(struct pq_rewrite *rewrite, struct pq_node *groups,
                                  struct rc_error *err)
{
    int64_t columns = rewrite->out.bytes;
    int64_t offsets = columns + (int64_t)rewrite->column_indexes.len;

    for (size_t group = 0; group < groups->list.len; group++) {
        struct pq_node *chunks =
            pq_field(&groups->list.items[group], PQ_GROUP_CHUNKS, PQ_KIND_LIST);

        for (size_t i = 0; i < chunks->list.len; i++) {
            add_base(&chunks->list.items[i], PQ_CHUNK_COLUMN_INDEX, columns);
            add_base(&chunks->list.items[i], PQ_CHUNK_OFFSET_INDEX, offsets);
        }
    }
    if (pq_out_write(&rewrite->out, rewrite->column_indexes.data, rewrite->column_indexes.len, err))
        return err->code;
    return pq_out_write(&rewrite->out, rewrite->offset_indexes.data, rewrite->offset_indexes.len,
                        err);
}

static enum rc_code rewrite_file(struct pq_rewrite *rewrite, const struct pq_rows *without,
                                 const struct pq_sink *sink, struct pq_rewritten *out,
                                 struct rc_error *err)
{
    struct pq_node root, *groups;

    if (check(rewrite->file, without, err) || pq_coder_new(&rewrite->coder, err) ||
        pq_copy(&rewrite->tree, &rewrite->file->root, &root, err) ||
        pq_out_begin(&rewrite->out, sink, err))
        return err->code;
    groups = pq_field(&root, PQ_FILE_GROUPS, PQ_KIND_LIST);
    if (write_groups(rewrite, without, groups, out, err) || write_indexes(rewrite, groups, err) ||
        pq_set_int(&rewrite->tree, &root, PQ_FILE_ROWS, PQ_KIND_I64, out->rows, err) ||
        pq_out_end(&rewrite->out, &root, err))
        return err->code;
    out->bytes = rewrite->out.bytes;
    return rewrite->seen ? rc_buf_check(rewrite->seen, err) : RC_OK;
}

enum rc_code pq_rewrite(const struct pq_file *file, const struct pq_rows *without,
                        const struct pq_sink *sink, struct rc_buf *seen, struct pq_rewritten *out,
                        struct rc_error *err)
{
    RC_CLEANUP(clear)
    struct pq_rewrite rewrite = {
        .file = file,
        .loses_rows = without->len > 0,
        .seen = seen,
        .digester = seen ? pq_digester_new() : NULL,
    };

    *out = (struct pq_rewritten){ .rows = 0 };
    pq_tree_init(&rewrite.tree, pq_out_tree_limit(file));
    rc_buf_init(&rewrite.blooms, BLOOM_BYTES);
    rc_buf_init(&rewrite.column_indexes, INDEX_BYTES);
    rc_buf_init(&rewrite.offset_indexes, INDEX_BYTES);
    if (rewrite_file(&rewrite, without, sink, out, err))
        return rc_context(err, "rewrite '%s'", file->source.name);
    return RC_OK;
}
