/*
 * What a file's rows are, as one number a column. Repetition levels, definition levels and values
 * are three streams, each hashed as it comes, and a column's digest is that of the three: where a
 * page ends, and how its values were encoded, is in none of them.
 *
 * What a digest is to show are mistakes and accidents, in files that are both here: of the hashes
 * that are long enough for it this is the fastest.
 */
#include "rewrite_out.h"
#include "rewrite_rows.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PIECE_BYTES = 32 << 10, LENGTH_BYTES = 4, LEVEL_BYTES = 2 };

/* A hash, and bytes gathered for it, as there is a price on each call. */
struct stream {
    XXH3_state_t *hash;
    size_t len;
    uint8_t piece[PIECE_BYTES];
};

struct digest {
    struct stream repetition, definition, values;
};

/* Nothing but memory can be wanting: the hash is begun and fed with what is there. */
static void stream_begin(struct stream *stream)
{
    stream->hash = XXH3_createState();
    RC_ASSERT(stream->hash && XXH3_128bits_reset(stream->hash) == XXH_OK);
}

static void stream_hash(struct stream *stream, const void *data, size_t len)
{
    RC_ASSERT(XXH3_128bits_update(stream->hash, data, len) == XXH_OK);
}

static void stream_flush(struct stream *stream)
{
    stream_hash(stream, stream->piece, stream->len);
    stream->len = 0;
}

/* Room for a few bytes, at most PIECE_BYTES; they count as added. */
static uint8_t *stream_take(struct stream *stream, size_t len)
{
    if (PIECE_BYTES - stream->len < len)
        stream_flush(stream);
    stream->len += len;
    return stream->piece + stream->len - len;
}

static void stream_add(struct stream *stream, const void *data, size_t len)
{
    if (len == 0)
        return;
    if (len <= PIECE_BYTES / 4) {
        memcpy(stream_take(stream, len), data, len);
        return;
    }
    stream_flush(stream);
    stream_hash(stream, data, len);
}

static void stream_add_number(struct stream *stream, uint64_t number, size_t bytes)
{
    uint8_t *at = stream_take(stream, bytes);

    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> 8 * i);
}

static void stream_end(struct stream *stream, uint8_t out[PQ_DIGEST])
{
    XXH128_canonical_t sum;

    stream_flush(stream);
    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(stream->hash));
    memcpy(out, sum.digest, PQ_DIGEST);
}

static void digest_free(struct digest **digest)
{
    if (!*digest)
        return;
    (void)XXH3_freeState((*digest)->repetition.hash);
    (void)XXH3_freeState((*digest)->definition.hash);
    (void)XXH3_freeState((*digest)->values.hash);
    free(*digest);
}

static void add_levels(struct stream *stream, const uint32_t *levels, size_t count)
{
    enum { AT_ONCE = PIECE_BYTES / LEVEL_BYTES };

    while (levels && count > 0) {
        size_t some = count < AT_ONCE ? count : AT_ONCE;
        uint8_t *at = stream_take(stream, some * LEVEL_BYTES);

        for (size_t i = 0; i < some; i++) {
            at[LEVEL_BYTES * i] = (uint8_t)levels[i];
            at[LEVEL_BYTES * i + 1] = (uint8_t)(levels[i] >> 8);
        }
        levels += some;
        count -= some;
    }
}

/* A value whose width the column does not tell stands behind its length. */
static void add_value(struct stream *stream, struct pq_slice value, bool has_length)
{
    if (has_length)
        stream_add_number(stream, value.len, LENGTH_BYTES);
    stream_add(stream, value.data, value.len);
}

static void add_span(struct digest *digest, const struct pq_page *page,
                     const struct pq_values *dictionary, const struct pq_span *span)
{
    const struct pq_values *values = page->has_indices ? dictionary : &page->values;
    size_t width;

    if (page->repetition)
        add_levels(&digest->repetition, page->repetition + span->level, span->level_count);
    if (page->definition)
        add_levels(&digest->definition, page->definition + span->level, span->level_count);
    if (span->value_count == 0) /* and then there may be no dictionary either */
        return;
    width = (size_t)values->width;
    if (width > 0 && !page->has_indices) {
        stream_add(&digest->values, values->fixed + span->value * width, span->value_count * width);
        return;
    }
    for (size_t i = span->value; i < span->value + span->value_count; i++)
        add_value(&digest->values, pq_value_at(values, page->has_indices ? page->indices[i] : i),
                  width == 0);
}

static enum rc_code add_chunk(struct digest *digest, const struct pq_file *file, size_t group,
                              size_t column, struct pq_spans *spans, struct rc_error *err)
{
    RC_CLEANUP(pq_pages_drop) struct pq_pages *pages = NULL;
    const struct pq_page *page;

    if (pq_out_check_chunk(file, group, column, err) ||
        pq_pages_open(file, group, column, &pages, err))
        return err->code;
    for (;;) {
        if (pq_pages_next(pages, &page, err))
            return err->code;
        if (!page)
            return RC_OK;
        pq_spans_of(spans, &file->columns[column], page);
        for (size_t i = 0; i < spans->len; i++)
            add_span(digest, page, pq_pages_dictionary(pages), &spans->items[i]);
    }
}

static enum rc_code finish(struct digest *digest, const struct pq_column *column,
                           struct rc_buf *out, struct rc_error *err)
{
    uint8_t sum[PQ_DIGEST], levels[2][PQ_DIGEST], values[PQ_DIGEST];
    struct stream *whole = &digest->values; /* once its own sum is taken, it serves again */

    stream_end(&digest->repetition, levels[0]);
    stream_end(&digest->definition, levels[1]);
    stream_end(whole, values);
    RC_ASSERT(XXH3_128bits_reset(whole->hash) == XXH_OK);
    stream_add_number(whole, (uint64_t)column->type, LEVEL_BYTES);
    stream_add_number(whole, (uint64_t)column->width, LENGTH_BYTES);
    stream_add_number(whole, (uint64_t)column->max_repetition, LEVEL_BYTES);
    stream_add_number(whole, (uint64_t)column->max_definition, LEVEL_BYTES);
    stream_add(whole, levels, sizeof(levels));
    stream_add(whole, values, sizeof(values));
    stream_end(whole, sum);
    rc_buf_add(out, sum, sizeof(sum));
    return rc_buf_check(out, err);
}

static enum rc_code digest_column(const struct pq_file *file, size_t column,
                                  const struct pq_rows *without, struct rc_buf *out,
                                  struct rc_error *err)
{
    RC_CLEANUP(digest_free) struct digest *digest = rc_calloc(1, sizeof(*digest));
    int64_t first_row = 0;

    stream_begin(&digest->repetition);
    stream_begin(&digest->definition);
    stream_begin(&digest->values);
    for (size_t group = 0; group < file->group_count; group++) {
        int64_t rows = file->groups[group].row_count;
        RC_CLEANUP(pq_spans_clear) struct pq_spans spans;

        pq_spans_init(&spans, pq_rows_within(without, first_row, rows), first_row);
        if (add_chunk(digest, file, group, column, &spans, err))
            return rc_context(err, "row group %zu, column '%s'", group, file->columns[column].path);
        first_row += rows;
    }
    return finish(digest, &file->columns[column], out, err);
}

enum rc_code pq_digest(const struct pq_file *file, const struct pq_rows *without,
                       struct rc_buf *out, struct rc_error *err)
{
    for (size_t column = 0; column < file->column_count; column++)
        if (digest_column(file, column, without, out, err))
            return rc_context(err, "take the digest of '%s'", file->source.name);
    return RC_OK;
}
