/*
 * Page indexes: an OffsetIndex says where the pages of a chunk are, a ColumnIndex what is in them.
 * Those of a chunk that was copied are copied, with the pages' new places; those of a chunk that
 * lost rows are made of its pages.
 */
#include "rewrite_internal.h"

#include <stdlib.h>

enum {
    TREE_BYTES = 1 << 30, /* of one chunk's indexes */
    BYTES_LIMIT = 1 << 30,
};

enum { UNORDERED, ASCENDING, DESCENDING };

/* A page, and where in 'bounds' its least and its greatest value stand, one behind the other. */
struct pq_index_page {
    int64_t offset, len, first_row, text_bytes, null_count, nan_count;
    bool is_null;
    size_t bounds_at, least_len, greatest_len;
};

static bool is_damage(enum rc_code code)
{
    return code == RC_INVALID || code == RC_UNSUPPORTED;
}

/* '*is_there' is false of one that is not there, or that is damaged. */
static enum rc_code read_index(struct pq_tree *tree, const struct pq_file *file, int64_t offset,
                               int32_t len, struct rc_buf *bytes, struct pq_node *out,
                               bool *is_there, struct rc_error *err)
{
    size_t used;

    *is_there = false;
    if (offset < 0)
        return RC_OK;
    if (pq_out_read(file, offset, (size_t)len, bytes, err))
        return rc_context(err, "read its page index");
    if (pq_thrift_read(tree, bytes->data, bytes->len, out, &used, err))
        return is_damage(err->code) ? RC_OK : rc_context(err, "read its page index");
    *is_there = true;
    return RC_OK;
}

static void drop_places(struct pq_node *node)
{
    pq_drop(node, PQ_CHUNK_OFFSET_INDEX);
    pq_drop(node, PQ_CHUNK_OFFSET_INDEX_BYTES);
    pq_drop(node, PQ_CHUNK_COLUMN_INDEX);
    pq_drop(node, PQ_CHUNK_COLUMN_INDEX_BYTES);
}

/* Notes that the last bytes of 'indexes', from 'at' on, are an index of the chunk. */
static enum rc_code set_place(struct pq_tree *tree, struct pq_node *node, int16_t place_id,
                              int16_t len_id, const struct rc_buf *indexes, size_t at,
                              struct rc_error *err)
{
    if (rc_buf_check(indexes, err))
        return rc_context(err, "keep its page index");
    if (pq_set_int(tree, node, place_id, PQ_KIND_I64, (int64_t)at, err))
        return err->code;
    return pq_set_int(tree, node, len_id, PQ_KIND_I32, (int64_t)(indexes->len - at), err);
}

/* ---- of a chunk that was copied ---- */

/* false: the index tells of places where the chunk's pages are not. */
static bool move_pages(struct pq_node *index, const struct pq_chunk *chunk, int64_t start)
{
    struct pq_node *pages = pq_field(index, PQ_OFFSET_INDEX_PAGES, PQ_KIND_LIST);

    for (size_t i = 0; pages && i < pages->list.len; i++) {
        struct pq_node *page = &pages->list.items[i], *offset;

        if (page->kind != PQ_KIND_STRUCT)
            return false;
        offset = pq_field(page, PQ_LOCATION_OFFSET, PQ_KIND_I64);
        if (!offset || offset->integer < chunk->start ||
            offset->integer >= chunk->start + chunk->len)
            return false;
        offset->integer += start - chunk->start;
    }
    return pages;
}

enum rc_code pq_index_copy(struct pq_rewrite *rewrite, const struct pq_chunk *chunk, int64_t start,
                           struct pq_node *node, struct rc_error *err)
{
    RC_CLEANUP(pq_tree_clear) struct pq_tree tree;
    RC_BUF_AUTO(bytes, BYTES_LIMIT);
    size_t column_at = rewrite->column_indexes.len, offset_at = rewrite->offset_indexes.len;
    struct pq_node index;
    bool is_there;

    pq_tree_init(&tree, TREE_BYTES);
    drop_places(node);
    if (read_index(&tree, rewrite->file, chunk->offset_index_offset, chunk->offset_index_len,
                   &bytes, &index, &is_there, err))
        return err->code;
    if (!is_there || !move_pages(&index, chunk, start))
        return RC_OK;
    pq_thrift_write(&rewrite->offset_indexes, &index);
    if (set_place(&rewrite->tree, node, PQ_CHUNK_OFFSET_INDEX, PQ_CHUNK_OFFSET_INDEX_BYTES,
                  &rewrite->offset_indexes, offset_at, err))
        return err->code;
    if (chunk->column_index_offset < 0)
        return RC_OK;
    if (pq_out_read(rewrite->file, chunk->column_index_offset, (size_t)chunk->column_index_len,
                    &rewrite->column_indexes, err))
        return rc_context(err, "copy its page index");
    return set_place(&rewrite->tree, node, PQ_CHUNK_COLUMN_INDEX, PQ_CHUNK_COLUMN_INDEX_BYTES,
                     &rewrite->column_indexes, column_at, err);
}

/* ---- of a chunk that lost rows ---- */

static size_t longest_bound(const struct pq_node *columns)
{
    static const int16_t lists[] = { PQ_COLUMN_INDEX_LEAST, PQ_COLUMN_INDEX_GREATEST };
    size_t longest = 0;

    for (size_t i = 0; i < RC_ARRAY_LEN(lists); i++) {
        const struct pq_node *list = pq_field(columns, lists[i], PQ_KIND_LIST);

        if (!list || list->value_kind != PQ_KIND_BINARY)
            continue;
        for (size_t k = 0; k < list->list.len; k++)
            if (list->list.items[k].bytes.len > longest)
                longest = list->list.items[k].bytes.len;
    }
    return longest;
}

enum rc_code pq_index_init(struct pq_index *index, const struct pq_file *file,
                           const struct pq_column *column, const struct pq_chunk *chunk,
                           struct rc_error *err)
{
    RC_CLEANUP(pq_tree_clear) struct pq_tree tree;
    RC_BUF_AUTO(offset_bytes, BYTES_LIMIT);
    RC_BUF_AUTO(column_bytes, BYTES_LIMIT);
    struct pq_node offsets, columns;

    *index = (struct pq_index){ .column = column };
    rc_buf_init(&index->bounds, BYTES_LIMIT);
    rc_buf_init(&index->repetition, BYTES_LIMIT);
    rc_buf_init(&index->definition, BYTES_LIMIT);
    pq_tree_init(&tree, TREE_BYTES);
    if (read_index(&tree, file, chunk->offset_index_offset, chunk->offset_index_len, &offset_bytes,
                   &offsets, &index->has_offsets, err))
        return err->code;
    if (!index->has_offsets)
        return RC_OK;
    index->has_text_bytes = pq_field(&offsets, PQ_OFFSET_INDEX_BYTES, PQ_KIND_LIST);
    if (column->order == PQ_ORDER_NONE)
        return RC_OK;
    if (read_index(&tree, file, chunk->column_index_offset, chunk->column_index_len, &column_bytes,
                   &columns, &index->has_columns, err))
        return err->code;
    if (!index->has_columns)
        return RC_OK;
    index->has_nulls = pq_field(&columns, PQ_COLUMN_INDEX_NULLS, PQ_KIND_LIST);
    index->has_repetition = pq_field(&columns, PQ_COLUMN_INDEX_REPETITION, PQ_KIND_LIST);
    index->has_definition = pq_field(&columns, PQ_COLUMN_INDEX_DEFINITION, PQ_KIND_LIST);
    index->has_nans = pq_field(&columns, PQ_COLUMN_INDEX_NANS, PQ_KIND_LIST);
    index->longest_bound = longest_bound(&columns);
    return RC_OK;
}

void pq_index_clear(struct pq_index *index)
{
    free(index->pages);
    rc_buf_clear(&index->bounds);
    rc_buf_clear(&index->repetition);
    rc_buf_clear(&index->definition);
    *index = (struct pq_index){ .pages = NULL };
}

static void add_bounds(struct pq_index *index, struct pq_index_page *page,
                       struct pq_statistics *statistics)
{
    struct pq_bounds bounds;

    page->null_count = statistics->null_count;
    page->nan_count = statistics->nan_count;
    page->is_null = statistics->value_count == 0;
    page->bounds_at = index->bounds.len;
    if (page->is_null)
        return;
    if (!pq_statistics_bounds(statistics, &bounds)) {
        /* Only NaN, or a text that cannot be cut: then no page may have bounds. */
        index->has_columns = false;
        return;
    }
    page->least_len = bounds.least.len;
    page->greatest_len = bounds.greatest.len;
    rc_buf_add(&index->bounds, bounds.least.data, bounds.least.len);
    rc_buf_add(&index->bounds, bounds.greatest.data, bounds.greatest.len);
}

void pq_index_add(struct pq_index *index, const struct pq_page *page, int64_t offset, int64_t len,
                  int64_t first_row, struct pq_statistics *statistics, const struct pq_sizes *sizes)
{
    struct pq_index_page *added;

    if (!index->has_offsets)
        return;
    if (page->repetition && page->repetition[0] != 0) {
        /* A row that goes on in a second page: such pages cannot be told of. */
        index->has_offsets = index->has_columns = false;
        return;
    }
    if (index->len == index->capacity) {
        index->capacity = index->capacity ? 2 * index->capacity : 16;
        index->pages = rc_realloc(index->pages, index->capacity * sizeof(index->pages[0]));
    }
    added = &index->pages[index->len++];
    *added = (struct pq_index_page){
        .offset = offset, .len = len, .first_row = first_row, .text_bytes = sizes->text_bytes
    };
    if (index->has_repetition)
        rc_buf_add(&index->repetition, sizes->repetition,
                   ((size_t)index->column->max_repetition + 1) * sizeof(int64_t));
    if (index->has_definition)
        rc_buf_add(&index->definition, sizes->definition,
                   ((size_t)index->column->max_definition + 1) * sizeof(int64_t));
    if (index->has_columns)
        add_bounds(index, added, statistics);
}

/* A list of as many items as there are pages, to be filled. */
static struct pq_node *add_list(struct pq_tree *tree, struct pq_node *record, int16_t id,
                                enum pq_kind kind, size_t len)
{
    struct pq_node *list = pq_set(tree, record, id, PQ_KIND_LIST);
    struct pq_node *items = pq_tree_alloc(tree, len * sizeof(*items));

    if (!list || !items)
        return NULL;
    for (size_t i = 0; i < len; i++)
        items[i].kind = (uint8_t)kind;
    list->value_kind = (uint8_t)kind;
    list->list.items = items;
    list->list.len = len;
    return items;
}

static enum rc_code make_offsets(const struct pq_index *index, struct pq_tree *tree,
                                 struct pq_node *out, struct rc_error *err)
{
    struct pq_node *pages, *bytes = NULL;

    *out = (struct pq_node){ .kind = PQ_KIND_STRUCT };
    pages = add_list(tree, out, PQ_OFFSET_INDEX_PAGES, PQ_KIND_STRUCT, index->len);
    if (index->has_text_bytes)
        bytes = add_list(tree, out, PQ_OFFSET_INDEX_BYTES, PQ_KIND_I64, index->len);
    if (!pages || (index->has_text_bytes && !bytes))
        return pq_tree_full(tree, err);
    for (size_t i = 0; i < index->len; i++) {
        const struct pq_index_page *page = &index->pages[i];

        if (bytes)
            bytes[i].integer = page->text_bytes;
        if (pq_set_int(tree, &pages[i], PQ_LOCATION_OFFSET, PQ_KIND_I64, page->offset, err) ||
            pq_set_int(tree, &pages[i], PQ_LOCATION_BYTES, PQ_KIND_I32, page->len, err) ||
            pq_set_int(tree, &pages[i], PQ_LOCATION_FIRST_ROW, PQ_KIND_I64, page->first_row, err))
            return err->code;
    }
    return RC_OK;
}

static struct pq_slice least_of(const struct pq_index *index, const struct pq_index_page *page)
{
    return (struct pq_slice){ (const uint8_t *)index->bounds.data + page->bounds_at,
                              (uint32_t)page->least_len };
}

static struct pq_slice greatest_of(const struct pq_index *index, const struct pq_index_page *page)
{
    return (struct pq_slice){ least_of(index, page).data + page->least_len,
                              (uint32_t)page->greatest_len };
}

/* Both lists of bounds have to rise or fall; pages of nulls are passed over. */
static int64_t boundary_order(const struct pq_index *index)
{
    const struct pq_index_page *last = NULL;
    bool rises = true, falls = true;

    for (size_t i = 0; i < index->len; i++) {
        const struct pq_index_page *page = &index->pages[i];

        if (page->is_null)
            continue;
        if (last) {
            enum pq_order order = index->column->order;
            int least = pq_compare(order, least_of(index, last), least_of(index, page));
            int greatest = pq_compare(order, greatest_of(index, last), greatest_of(index, page));

            rises = rises && least <= 0 && greatest <= 0;
            falls = falls && least >= 0 && greatest >= 0;
        }
        last = page;
    }
    if (rises)
        return ASCENDING;
    return falls ? DESCENDING : UNORDERED;
}

static enum rc_code make_bounds(const struct pq_index *index, struct pq_tree *tree,
                                struct pq_node *out, struct rc_error *err)
{
    struct pq_node *nulls =
        add_list(tree, out, PQ_COLUMN_INDEX_NULL_PAGES, PQ_KIND_TRUE, index->len);
    struct pq_node *least = add_list(tree, out, PQ_COLUMN_INDEX_LEAST, PQ_KIND_BINARY, index->len);
    struct pq_node *greatest =
        add_list(tree, out, PQ_COLUMN_INDEX_GREATEST, PQ_KIND_BINARY, index->len);

    if (!nulls || !least || !greatest)
        return pq_tree_full(tree, err);
    for (size_t i = 0; i < index->len; i++) {
        const struct pq_index_page *page = &index->pages[i];
        struct pq_slice low = least_of(index, page), high = greatest_of(index, page);

        nulls[i].kind = page->is_null ? PQ_KIND_TRUE : PQ_KIND_FALSE;
        least[i].bytes.data = low.data;
        least[i].bytes.len = low.len;
        greatest[i].bytes.data = high.data;
        greatest[i].bytes.len = high.len;
    }
    return pq_set_int(tree, out, PQ_COLUMN_INDEX_ORDER, PQ_KIND_I32, boundary_order(index), err);
}

static enum rc_code make_columns(const struct pq_index *index, struct pq_tree *tree,
                                 struct pq_node *out, struct rc_error *err)
{
    struct pq_node *nulls = NULL, *nans = NULL;

    *out = (struct pq_node){ .kind = PQ_KIND_STRUCT };
    if (make_bounds(index, tree, out, err))
        return err->code;
    if (index->has_nulls)
        nulls = add_list(tree, out, PQ_COLUMN_INDEX_NULLS, PQ_KIND_I64, index->len);
    if (index->has_nans)
        nans = add_list(tree, out, PQ_COLUMN_INDEX_NANS, PQ_KIND_I64, index->len);
    if ((index->has_nulls && !nulls) || (index->has_nans && !nans))
        return pq_tree_full(tree, err);
    for (size_t i = 0; i < index->len; i++) {
        if (nulls)
            nulls[i].integer = index->pages[i].null_count;
        if (nans)
            nans[i].integer = index->pages[i].nan_count;
    }
    if (index->has_repetition &&
        pq_set_numbers(tree, out, PQ_COLUMN_INDEX_REPETITION,
                       (const int64_t *)(const void *)index->repetition.data,
                       index->repetition.len / sizeof(int64_t), err))
        return err->code;
    if (index->has_definition &&
        pq_set_numbers(tree, out, PQ_COLUMN_INDEX_DEFINITION,
                       (const int64_t *)(const void *)index->definition.data,
                       index->definition.len / sizeof(int64_t), err))
        return err->code;
    return RC_OK;
}

enum rc_code pq_index_write(struct pq_index *index, struct pq_rewrite *rewrite,
                            struct pq_node *node, struct rc_error *err)
{
    RC_CLEANUP(pq_tree_clear) struct pq_tree tree;
    size_t offset_at = rewrite->offset_indexes.len, column_at = rewrite->column_indexes.len;
    struct pq_node offsets, columns;

    pq_tree_init(&tree, TREE_BYTES);
    drop_places(node);
    if (!index->has_offsets)
        return RC_OK;
    if (rc_buf_check(&index->bounds, err) || rc_buf_check(&index->repetition, err) ||
        rc_buf_check(&index->definition, err) || make_offsets(index, &tree, &offsets, err))
        return rc_context(err, "make its page index");
    pq_thrift_write(&rewrite->offset_indexes, &offsets);
    if (set_place(&rewrite->tree, node, PQ_CHUNK_OFFSET_INDEX, PQ_CHUNK_OFFSET_INDEX_BYTES,
                  &rewrite->offset_indexes, offset_at, err))
        return err->code;
    if (!index->has_columns)
        return RC_OK;
    if (make_columns(index, &tree, &columns, err))
        return rc_context(err, "make its page index");
    pq_thrift_write(&rewrite->column_indexes, &columns);
    return set_place(&rewrite->tree, node, PQ_CHUNK_COLUMN_INDEX, PQ_CHUNK_COLUMN_INDEX_BYTES,
                     &rewrite->column_indexes, column_at, err);
}
