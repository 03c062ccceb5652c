/*
 * What a file's rows are, as one number a column. Repetition levels, definition levels and values
 * are three streams, each hashed as it comes, and a column's digest is that of the three: where a
 * page ends, and how its values were encoded, is in none of them.
 *
 * What a digest is to show are mistakes and accidents, in files that are both here: of the hashes
 * that are long enough for it this is the fastest.
 */
#include "rewrite_internal.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PIECE_BYTES = 32 << 10, LENGTH_BYTES = 4, LEVEL_BYTES = 2, COMPARED_BYTES = 256 << 10 };

/* A hash, and bytes gathered for it, as there is a price on each call. */
struct stream {
    XXH3_state_t *hash;
    size_t len;
    uint8_t piece[PIECE_BYTES];
};

struct pq_digester {
    struct stream repetition, definition, values;
};

/* Nothing but memory can be wanting. */
static void stream_begin(struct stream *stream)
{
    if (!stream->hash)
        stream->hash = XXH3_createState();
    RC_ASSERT(stream->hash && XXH3_128bits_reset(stream->hash) == XXH_OK);
    stream->len = 0;
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

struct pq_digester *pq_digester_new(void)
{
    return rc_calloc(1, sizeof(struct pq_digester));
}

void pq_digester_drop(struct pq_digester **digester)
{
    if (!*digester)
        return;
    (void)XXH3_freeState((*digester)->repetition.hash);
    (void)XXH3_freeState((*digester)->definition.hash);
    (void)XXH3_freeState((*digester)->values.hash);
    free(*digester);
    *digester = NULL;
}

void pq_digester_begin(struct pq_digester *digester)
{
    stream_begin(&digester->repetition);
    stream_begin(&digester->definition);
    stream_begin(&digester->values);
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

static void add_span(struct pq_digester *digest, const struct pq_page *page,
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

void pq_digester_add(struct pq_digester *digester, const struct pq_page *page,
                     const struct pq_values *dictionary, const struct pq_spans *spans)
{
    for (size_t i = 0; i < spans->len; i++)
        add_span(digester, page, dictionary, &spans->items[i]);
}

void pq_digester_end(struct pq_digester *digester, const struct pq_column *column,
                     uint8_t out[PQ_DIGEST])
{
    uint8_t levels[2][PQ_DIGEST], values[PQ_DIGEST];
    struct stream *whole = &digester->values; /* once its own sum is taken, it serves again */

    stream_end(&digester->repetition, levels[0]);
    stream_end(&digester->definition, levels[1]);
    stream_end(whole, values);
    stream_begin(whole);
    stream_add_number(whole, (uint64_t)column->type, LEVEL_BYTES);
    stream_add_number(whole, (uint64_t)column->width, LENGTH_BYTES);
    stream_add_number(whole, (uint64_t)column->max_repetition, LEVEL_BYTES);
    stream_add_number(whole, (uint64_t)column->max_definition, LEVEL_BYTES);
    stream_add(whole, levels, sizeof(levels));
    stream_add(whole, values, sizeof(values));
    stream_end(whole, out);
}

/* ---- of a file ---- */

static enum rc_code add_chunk(struct pq_digester *digester, const struct pq_file *file,
                              size_t group, size_t column, struct pq_rows without,
                              int64_t first_row, struct rc_error *err)
{
    RC_CLEANUP(pq_pages_drop) struct pq_pages *pages = NULL;
    RC_CLEANUP(pq_spans_clear) struct pq_spans spans;
    const struct pq_page *page;

    pq_spans_init(&spans, without, first_row);
    if (pq_out_check_chunk(file, group, column, err) ||
        pq_pages_open(file, group, column, &pages, err))
        return err->code;
    for (;;) {
        if (pq_pages_next(pages, &page, err))
            return err->code;
        if (!page)
            return RC_OK;
        pq_spans_of(&spans, &file->columns[column], page);
        pq_digester_add(digester, page, pq_pages_dictionary(pages), &spans);
    }
}

static enum rc_code digest_column(struct pq_digester *digester, const struct pq_file *file,
                                  size_t column, const struct pq_rows *without, struct rc_buf *out,
                                  struct rc_error *err)
{
    uint8_t sum[PQ_DIGEST];
    int64_t first_row = 0;

    pq_digester_begin(digester);
    for (size_t group = 0; group < file->group_count; group++) {
        int64_t rows = file->groups[group].row_count;

        if (add_chunk(digester, file, group, column, pq_rows_within(without, first_row, rows),
                      first_row, err))
            return rc_context(err, "row group %zu, column '%s'", group, file->columns[column].path);
        first_row += rows;
    }
    pq_digester_end(digester, &file->columns[column], sum);
    rc_buf_add(out, sum, sizeof(sum));
    return rc_buf_check(out, err);
}

enum rc_code pq_digest(const struct pq_file *file, const struct pq_rows *without,
                       struct rc_buf *out, struct rc_error *err)
{
    RC_CLEANUP(pq_digester_drop) struct pq_digester *digester = pq_digester_new();

    for (size_t column = 0; column < file->column_count; column++)
        if (digest_column(digester, file, column, without, out, err))
            return rc_context(err, "take the digest of '%s'", file->source.name);
    return RC_OK;
}

/* ---- of a file that was written ---- */

static enum rc_code compare_bytes(const struct pq_file *before, const struct pq_chunk *old,
                                  const struct pq_file *after, const struct pq_chunk *new,
                                  bool *is_same, struct rc_error *err)
{
    RC_BUF_AUTO(one, 2 * COMPARED_BYTES);
    RC_BUF_AUTO(other, 2 * COMPARED_BYTES);

    *is_same =
        old->len == new->len && old->value_count == new->value_count && old->codec == new->codec;
    for (int64_t at = 0; *is_same && at < old->len; at += COMPARED_BYTES) {
        size_t len = old->len - at < COMPARED_BYTES ? (size_t)(old->len - at) : COMPARED_BYTES;

        rc_buf_reset(&one);
        rc_buf_reset(&other);
        if (pq_out_read(before, old->start + at, len, &one, err) ||
            pq_out_read(after, new->start + at, len, &other, err))
            return err->code;
        *is_same = memcmp(one.data, other.data, len) == 0;
    }
    return RC_OK;
}

static enum rc_code compare_digest(struct pq_digester *digester, const struct pq_file *after,
                                   size_t group, size_t column, const uint8_t digest[PQ_DIGEST],
                                   bool *is_same, struct rc_error *err)
{
    const struct pq_rows none = { .len = 0 };
    uint8_t found[PQ_DIGEST];

    pq_digester_begin(digester);
    if (add_chunk(digester, after, group, column, none, 0, err))
        return err->code;
    pq_digester_end(digester, &after->columns[column], found);
    *is_same = memcmp(found, digest, PQ_DIGEST) == 0;
    return RC_OK;
}

/* A row group, which is the 'kept'-th of the new file. */
static enum rc_code reread_group(struct pq_digester *digester, const struct pq_file *before,
                                 size_t group, const struct pq_seen *seen,
                                 const struct pq_file *after, size_t kept, size_t *differing,
                                 struct rc_error *err)
{
    for (size_t column = 0; column < before->column_count; column++) {
        bool is_same;
        enum rc_code code =
            seen[column].is_copied
                ? compare_bytes(before, &before->groups[group].chunks[column], after,
                                &after->groups[kept].chunks[column], &is_same, err)
                : compare_digest(digester, after, kept, column, seen[column].digest, &is_same, err);

        if (code)
            return rc_context(err, "row group %zu, column '%s'", kept, after->columns[column].path);
        if (!is_same && column < *differing)
            *differing = column;
    }
    return RC_OK;
}

static enum rc_code other_groups(const struct pq_file *after, struct rc_error *err)
{
    return rc_fail(err, RC_INVALID, "'%s' has other row groups or columns than were written",
                   after->source.name);
}

enum rc_code pq_reread(const struct pq_file *before, const struct pq_rows *without,
                       const struct rc_buf *seen, const struct pq_file *after, size_t *differing,
                       struct rc_error *err)
{
    RC_CLEANUP(pq_digester_drop) struct pq_digester *digester = pq_digester_new();
    const struct pq_seen *chunks = (const struct pq_seen *)(const void *)seen->data;
    int64_t first_row = 0;
    size_t kept = 0;

    *differing = before->column_count;
    if (after->column_count != before->column_count ||
        seen->len != after->group_count * after->column_count * sizeof(*chunks))
        return other_groups(after, err);
    for (size_t group = 0; group < before->group_count; group++) {
        int64_t rows = before->groups[group].row_count;
        size_t erased = pq_rows_within(without, first_row, rows).len;

        first_row += rows;
        if (erased > 0 && (int64_t)erased == rows)
            continue;
        if (kept == after->group_count)
            return other_groups(after, err);
        if (reread_group(digester, before, group, chunks + kept * before->column_count, after, kept,
                         differing, err))
            return rc_context(err, "read '%s' again", after->source.name);
        kept++;
    }
    return kept == after->group_count ? RC_OK : other_groups(after, err);
}
