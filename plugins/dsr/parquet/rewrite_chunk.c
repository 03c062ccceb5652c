/*
 * A chunk that loses rows: its pages are read, cut and written again, one at a time. A chunk with
 * a dictionary is read twice, first to know which entries the rows that stay refer to. A page that
 * loses nothing, of a chunk whose dictionary stays too, is copied as it is.
 */
#include "rewrite_internal.h"

#include "bloom.h"
#include "page_internal.h"

enum {
    PAGE_BYTES = INT32_MAX,
    BLOOM_BYTES = 1 << 30,
    KIND_COUNT = 4, /* of pages, as the format numbers them */
    ENCODING_COUNT = 16,
};

struct chunk {
    struct pq_rewrite *rewrite;
    size_t group, index;
    const struct pq_column *column;
    const struct pq_chunk *old;
    struct pq_spans spans;
    struct pq_remap remap;
    struct pq_cut cut;
    struct rc_buf bytes; /* of the page at hand */

    /* What was written so far. */
    int64_t start, dictionary_offset, data_offset; /* the latter two are -1 before there is one */
    int64_t level_count, row_count, uncompressed_bytes;
    int64_t pages[KIND_COUNT][ENCODING_COUNT];

    /* What is known of the values in it. */
    struct pq_statistics statistics, page_statistics;
    struct pq_sizes sizes, page_sizes;
    struct pq_index page_index;
    struct pq_bloom bloom;
    bool has_statistics, has_sizes, has_bloom;
    bool looks_at_pages; /* each value, and not each of a dictionary */
};

static void clear(struct chunk *chunk)
{
    pq_spans_clear(&chunk->spans);
    pq_remap_clear(&chunk->remap);
    pq_cut_clear(&chunk->cut);
    rc_buf_clear(&chunk->bytes);
    pq_statistics_clear(&chunk->statistics);
    pq_statistics_clear(&chunk->page_statistics);
    pq_sizes_clear(&chunk->sizes);
    pq_sizes_clear(&chunk->page_sizes);
    pq_index_clear(&chunk->page_index);
    pq_bloom_clear(&chunk->bloom);
}

/* Only what the old chunk told is found out for the new one. */
static enum rc_code prepare(struct chunk *chunk, const struct pq_file *file,
                            const struct pq_rows *erased, int64_t first_row, struct rc_error *err)
{
    const struct pq_node *statistics;

    chunk->column = &file->columns[chunk->index];
    chunk->old = &file->groups[chunk->group].chunks[chunk->index];
    chunk->start = chunk->rewrite->out.bytes;
    chunk->dictionary_offset = chunk->data_offset = -1;
    pq_spans_init(&chunk->spans, *erased, first_row);
    pq_cut_init(&chunk->cut, chunk->column);
    rc_buf_init(&chunk->bytes, PAGE_BYTES);
    pq_statistics_init(&chunk->statistics, chunk->column);
    pq_statistics_init(&chunk->page_statistics, chunk->column);
    pq_sizes_init(&chunk->sizes, chunk->column);
    pq_sizes_init(&chunk->page_sizes, chunk->column);
    statistics = pq_field(chunk->old->meta, PQ_META_STATISTICS, PQ_KIND_STRUCT);
    chunk->has_statistics = statistics;
    if (statistics)
        pq_statistics_limit(&chunk->statistics, pq_longest_bound(statistics));
    chunk->has_sizes = pq_field(chunk->old->meta, PQ_META_SIZE_STATISTICS, PQ_KIND_STRUCT);
    if (pq_index_init(&chunk->page_index, file, chunk->column, chunk->old, err))
        return err->code;
    pq_statistics_limit(&chunk->page_statistics, chunk->page_index.longest_bound);
    /* A page index has bounds of each page, and NaN is counted as often as it is there. */
    chunk->looks_at_pages =
        chunk->page_index.has_columns || (statistics && pq_counts_nans(statistics));
    if (chunk->old->bloom_offset < 0)
        return RC_OK;
    if (pq_bloom_read(&chunk->bloom, file, chunk->old, BLOOM_BYTES, err))
        return err->code == RC_INVALID || err->code == RC_UNSUPPORTED
                   ? RC_OK /* readers do without it */
                   : rc_context(err, "read its bloom filter");
    pq_bloom_empty(&chunk->bloom);
    chunk->has_bloom = true;
    return RC_OK;
}

/* Values of a page, or all that a dictionary has, once for as often as they are referred to. */
static void note_values(struct chunk *chunk, const struct pq_values *values)
{
    if (chunk->has_statistics && !chunk->looks_at_pages)
        pq_statistics_add(&chunk->statistics, values);
    for (size_t i = 0; chunk->has_bloom && i < values->len; i++)
        pq_bloom_add(&chunk->bloom, pq_value_at(values, i));
}

static void note_page_statistics(struct chunk *chunk, const struct pq_page *page,
                                 const struct pq_values *dictionary)
{
    struct pq_statistics *statistics = &chunk->page_statistics;

    pq_statistics_reset(statistics);
    pq_statistics_add_nulls(statistics, (int64_t)(page->level_count - page->value_count));
    if (!page->has_indices)
        pq_statistics_add(statistics, &page->values);
    else if (page->value_count > 0)
        pq_statistics_add_indexed(statistics, dictionary, page->indices, page->value_count);
    pq_statistics_merge(&chunk->statistics, statistics);
}

/* Takes account of a page that was written at 'offset'; the dictionary is the new one. */
static void note_page(struct chunk *chunk, const struct pq_page *page,
                      const struct pq_values *dictionary, int64_t offset)
{
    if (!page->has_indices)
        note_values(chunk, &page->values);
    if (chunk->looks_at_pages)
        note_page_statistics(chunk, page, dictionary);
    else
        pq_statistics_add_nulls(&chunk->statistics,
                                (int64_t)(page->level_count - page->value_count));
    if (chunk->has_sizes || chunk->page_index.has_offsets) {
        pq_sizes_reset(&chunk->page_sizes);
        pq_sizes_add(&chunk->page_sizes, page, dictionary);
        pq_sizes_merge(&chunk->sizes, &chunk->page_sizes);
    }
    pq_index_add(&chunk->page_index, page, offset, chunk->rewrite->out.bytes - offset,
                 chunk->row_count, &chunk->page_statistics, &chunk->page_sizes);
    chunk->level_count += (int64_t)page->level_count;
    chunk->row_count += (int64_t)page->row_count;
    if (chunk->data_offset < 0)
        chunk->data_offset = offset;
}

static void count_page(struct chunk *chunk, const struct pq_node *header, int64_t encoding)
{
    int64_t kind = pq_field_int(header, PAGE_TYPE, 0);

    if (kind >= 0 && kind < KIND_COUNT && encoding >= 0 && encoding < ENCODING_COUNT)
        chunk->pages[kind][encoding]++;
}

static enum rc_code write_bytes(struct chunk *chunk, size_t uncompressed_len, struct rc_error *err)
{
    if (rc_buf_check(&chunk->bytes, err) ||
        pq_out_write(&chunk->rewrite->out, chunk->bytes.data, chunk->bytes.len, err))
        return err->code;
    rc_buf_reset(&chunk->bytes);
    chunk->uncompressed_bytes += (int64_t)uncompressed_len;
    return RC_OK;
}

/* '*out' is the dictionary that pages are written with; NULL: the chunk needs none. */
static enum rc_code write_dictionary(struct chunk *chunk, const struct pq_pages *pages,
                                     const struct pq_values **out, struct rc_error *err)
{
    const struct pq_values *dictionary = pq_pages_dictionary(pages);
    const struct pq_node *header = pq_pages_dictionary_header(pages);
    const struct pq_node *about;
    size_t uncompressed_len;

    *out = NULL;
    if (!dictionary)
        return RC_OK;
    if (pq_remap_find(&chunk->remap, chunk->rewrite->file, chunk->group, chunk->index,
                      chunk->spans.erased, chunk->spans.next_row, err))
        return err->code;
    if (chunk->remap.len != dictionary->len)
        return rc_fail(err, RC_INVALID, "its dictionary has changed while it was read");
    if (!chunk->remap.is_needed)
        return RC_OK;
    if (chunk->remap.is_shorter) {
        if (pq_remap_entries(&chunk->remap, dictionary, err))
            return err->code;
        dictionary = &chunk->remap.entries;
    }
    chunk->dictionary_offset = chunk->rewrite->out.bytes;
    if (pq_dictionary_write(chunk->rewrite->coder, chunk->old->codec, chunk->column->type, header,
                            dictionary, &chunk->bytes, &uncompressed_len, err) ||
        write_bytes(chunk, uncompressed_len, err))
        return rc_context(err, "write its dictionary");
    about = pq_field(header, PAGE_DICTIONARY, PQ_KIND_STRUCT);
    count_page(chunk, header, about ? pq_field_int(about, DICTIONARY_ENCODING, 0) : PQ_PLAIN);
    note_values(chunk, dictionary);
    *out = dictionary;
    return RC_OK;
}

/* An index has at least one bit: there are readers that take 0 for a mistake. */
static unsigned index_bits(const struct pq_remap *remap)
{
    return remap->used > 2 ? pq_bits_of((uint32_t)remap->used - 1) : 1;
}

/* 'dictionary' is the new one, 'old' that of the page as it was read. */
static enum rc_code write_page(struct chunk *chunk, const struct pq_page *page,
                               const struct pq_values *old, const struct pq_values *dictionary,
                               struct rc_error *err)
{
    const struct pq_file *file = chunk->rewrite->file;
    const struct pq_page *kept = page;
    int64_t offset = chunk->rewrite->out.bytes;
    bool is_remapped = page->has_indices && chunk->remap.is_shorter;
    size_t uncompressed_len;

    pq_spans_of(&chunk->spans, chunk->column, page);
    if (chunk->spans.level_count == 0)
        return RC_OK;
    if (page->has_indices && page->value_count > 0 && !dictionary)
        return rc_fail(err, RC_INVALID, "its pages refer to a dictionary that comes behind them");
    if (chunk->rewrite->digester)
        pq_digester_add(chunk->rewrite->digester, page, old, &chunk->spans);
    if (chunk->spans.level_count == page->level_count && !is_remapped) {
        if (pq_out_copy(&chunk->rewrite->out, file, page->offset, page->len, err))
            return err->code;
        chunk->uncompressed_bytes +=
            (int64_t)page->header_len + pq_field_int(&page->header, PAGE_UNCOMPRESSED_LEN, 0);
    } else if (pq_cut_page(&chunk->cut, page, &chunk->spans,
                           is_remapped ? chunk->remap.places : NULL, &kept, err) ||
               pq_page_write(chunk->rewrite->coder, chunk->old->codec, chunk->column, kept,
                             index_bits(&chunk->remap), &chunk->bytes, &uncompressed_len, err) ||
               write_bytes(chunk, uncompressed_len, err)) {
        return err->code;
    }
    count_page(chunk, &page->header, (int64_t)page->encoding);
    note_page(chunk, kept, dictionary, offset);
    return RC_OK;
}

static enum rc_code write_pages(struct chunk *chunk, struct rc_error *err)
{
    RC_CLEANUP(pq_pages_drop) struct pq_pages *pages = NULL;
    const struct pq_values *dictionary = NULL;
    const struct pq_page *page;

    if (pq_pages_open(chunk->rewrite->file, chunk->group, chunk->index, &pages, err) ||
        pq_pages_next(pages, &page, err) || write_dictionary(chunk, pages, &dictionary, err))
        return err->code;
    while (page) {
        if (write_page(chunk, page, pq_pages_dictionary(pages), dictionary, err) ||
            pq_pages_next(pages, &page, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- what the footer says of it ---- */

static enum rc_code set_encoding_stats(const struct chunk *chunk, struct pq_tree *tree,
                                       struct pq_node *meta, struct rc_error *err)
{
    static const int kinds[] = { TYPE_DICTIONARY, TYPE_DATA_V1, TYPE_DATA_V2 };
    struct pq_node *list = pq_field(meta, PQ_META_ENCODING_STATS, PQ_KIND_LIST);
    struct pq_node *items;
    size_t len = 0;

    if (!list)
        return RC_OK;
    items = pq_tree_alloc(tree, (size_t)KIND_COUNT * ENCODING_COUNT * sizeof(*items));
    if (!items)
        return pq_tree_full(tree, err);
    for (size_t i = 0; i < RC_ARRAY_LEN(kinds); i++) {
        for (int encoding = 0; encoding < ENCODING_COUNT; encoding++) {
            int64_t count = chunk->pages[kinds[i]][encoding];
            struct pq_node *item = &items[len];

            if (count == 0)
                continue;
            item->kind = PQ_KIND_STRUCT;
            if (pq_set_int(tree, item, PQ_ENCODING_STATS_KIND, PQ_KIND_I32, kinds[i], err) ||
                pq_set_int(tree, item, PQ_ENCODING_STATS_ENCODING, PQ_KIND_I32, encoding, err) ||
                pq_set_int(tree, item, PQ_ENCODING_STATS_PAGES, PQ_KIND_I32, count, err))
                return err->code;
            len++;
        }
    }
    list->value_kind = PQ_KIND_STRUCT;
    list->list.items = items;
    list->list.len = len;
    return RC_OK;
}

static enum rc_code set_places(const struct chunk *chunk, struct pq_tree *tree,
                               struct pq_node *meta, struct rc_error *err)
{
    int64_t len = chunk->rewrite->out.bytes - chunk->start;
    int64_t data = chunk->data_offset < 0 ? chunk->start + len : chunk->data_offset;

    pq_drop(meta, PQ_META_INDEX_OFFSET);
    pq_drop(meta, PQ_META_DICTIONARY_OFFSET);
    if (chunk->dictionary_offset >= 0 && pq_set_int(tree, meta, PQ_META_DICTIONARY_OFFSET,
                                                    PQ_KIND_I64, chunk->dictionary_offset, err))
        return err->code;
    if (pq_set_int(tree, meta, PQ_META_DATA_OFFSET, PQ_KIND_I64, data, err) ||
        pq_set_int(tree, meta, PQ_META_VALUES, PQ_KIND_I64, chunk->level_count, err) ||
        pq_set_int(tree, meta, PQ_META_COMPRESSED_BYTES, PQ_KIND_I64, len, err))
        return err->code;
    return pq_set_int(tree, meta, PQ_META_UNCOMPRESSED_BYTES, PQ_KIND_I64,
                      chunk->uncompressed_bytes, err);
}

static enum rc_code set_bloom(struct chunk *chunk, struct pq_tree *tree, struct pq_node *meta,
                              struct rc_error *err)
{
    struct rc_buf *blooms = &chunk->rewrite->blooms;
    size_t at = blooms->len;

    pq_drop(meta, PQ_META_BLOOM_OFFSET);
    if (!chunk->has_bloom) {
        pq_drop(meta, PQ_META_BLOOM_BYTES);
        return RC_OK;
    }
    pq_bloom_write(&chunk->bloom, blooms);
    if (rc_buf_check(blooms, err))
        return rc_context(err, "keep its bloom filter");
    if (pq_set_int(tree, meta, PQ_META_BLOOM_OFFSET, PQ_KIND_I64, (int64_t)at, err))
        return err->code;
    return pq_set_int(tree, meta, PQ_META_BLOOM_BYTES, PQ_KIND_I32, (int64_t)(blooms->len - at),
                      err);
}

static enum rc_code set_meta(struct chunk *chunk, struct pq_node *node, struct rc_error *err)
{
    struct pq_tree *tree = &chunk->rewrite->tree;
    bool has_offset = pq_out_file_offset(node, chunk->old) > 0;
    struct pq_node *meta;

    if (pq_set_int(tree, node, PQ_CHUNK_FILE_OFFSET, PQ_KIND_I64, has_offset ? chunk->start : 0,
                   err) ||
        pq_index_write(&chunk->page_index, chunk->rewrite, node, err))
        return err->code;
    pq_out_drop_unknown(node);
    meta = pq_field(node, PQ_CHUNK_META, PQ_KIND_STRUCT);
    pq_drop(meta, PQ_META_GEOSPATIAL_STATISTICS);
    if (set_places(chunk, tree, meta, err) || set_encoding_stats(chunk, tree, meta, err) ||
        set_bloom(chunk, tree, meta, err))
        return err->code;
    if (chunk->has_statistics &&
        pq_statistics_write(&chunk->statistics, tree,
                            pq_field(meta, PQ_META_STATISTICS, PQ_KIND_STRUCT), err))
        return err->code;
    if (chunk->has_sizes &&
        pq_sizes_write(&chunk->sizes, tree, pq_field(meta, PQ_META_SIZE_STATISTICS, PQ_KIND_STRUCT),
                       err))
        return err->code;
    return RC_OK;
}

static void note_seen(struct chunk *chunk)
{
    struct pq_seen seen = { .is_copied = false };

    pq_digester_end(chunk->rewrite->digester, chunk->column, seen.digest);
    rc_buf_add(chunk->rewrite->seen, &seen, sizeof(seen));
}

enum rc_code pq_rewrite_chunk(struct pq_rewrite *rewrite, size_t group, size_t column,
                              const struct pq_rows *erased, int64_t first_row, struct pq_node *node,
                              struct rc_error *err)
{
    RC_CLEANUP(clear) struct chunk chunk = { .rewrite = rewrite, .group = group, .index = column };

    if (rewrite->digester)
        pq_digester_begin(rewrite->digester);
    if (prepare(&chunk, rewrite->file, erased, first_row, err) || write_pages(&chunk, err))
        return err->code;
    if (rewrite->digester)
        note_seen(&chunk);
    if (chunk.row_count != rewrite->file->groups[group].row_count - (int64_t)erased->len)
        return rc_fail(err, RC_INVALID, "its pages have another number of rows than the footer");
    return set_meta(&chunk, node, err);
}
