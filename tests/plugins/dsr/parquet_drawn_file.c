/*
 * Writes the file of drawn rows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parquet_drawn.h"

#include "parquet/bloom.h"
#include "parquet/statistics.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES_LIMIT = 64 << 20, TREE_LIMIT = 256 << 20, BLOOM_BITS = 256 };

/* ---- metadata ---- */

static struct pq_node *set_list(struct pq_tree *tree, struct pq_node *record, int16_t id,
                                enum pq_kind kind, size_t len)
{
    struct pq_node *list = pq_set(tree, record, id, PQ_KIND_LIST);

    list->value_kind = (uint8_t)kind;
    list->list.len = len;
    list->list.items = pq_tree_alloc(tree, len * sizeof(struct pq_node));
    for (size_t i = 0; i < len; i++)
        list->list.items[i].kind = (uint8_t)kind;
    return list->list.items;
}

static void set_number(struct pq_tree *tree, struct pq_node *record, int16_t id, enum pq_kind kind,
                       int64_t value)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(pq_set_int(tree, record, id, kind, value, &err), RC_OK);
}

static void set_text(struct pq_tree *tree, struct pq_node *record, int16_t id, const char *text,
                     size_t len)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(pq_set_bytes(tree, record, id, text, len, &err), RC_OK);
}

static size_t depth_of(const struct drawn_column *column)
{
    return strlen(column->levels);
}

static struct pq_slice name_at(const struct drawn_column *column, size_t i)
{
    const char *at = column->path;

    for (; i > 0; i--)
        at = strchr(at, '.') + 1;
    return (struct pq_slice){ (const uint8_t *)at, (uint32_t)strcspn(at, ".") };
}

static void make_schema(const struct drawn *drawn, struct pq_tree *tree, struct pq_node *root)
{
    size_t len = 1;
    struct pq_node *element;

    for (size_t c = 0; c < drawn->column_count; c++)
        len += depth_of(&drawn->columns[c]);
    element = set_list(tree, root, 2, PQ_KIND_STRUCT, len);
    set_text(tree, element, 4, "schema", 6);
    set_number(tree, element++, 5, PQ_KIND_I32, (int64_t)drawn->column_count);
    for (size_t c = 0; c < drawn->column_count; c++) {
        const struct drawn_column *column = &drawn->columns[c];

        for (size_t i = 0; i < depth_of(column); i++, element++) {
            struct pq_slice name = name_at(column, i);
            const char *level = strchr("ro*", column->levels[i]);

            set_number(tree, element, 3, PQ_KIND_I32, level - strchr("ro*", 'r'));
            set_text(tree, element, 4, (const char *)name.data, name.len);
            if (i + 1 < depth_of(column)) {
                set_number(tree, element, 5, PQ_KIND_I32, 1);
                continue;
            }
            set_number(tree, element, 1, PQ_KIND_I32, column->type);
            if (column->type == PQ_FIXED)
                set_number(tree, element, 2, PQ_KIND_I32, column->width);
            if (column->is_text)
                set_number(tree, element, 6, PQ_KIND_I32, 0);
        }
    }
}

/* ---- chunks ---- */

struct chunk {
    const struct drawn_column *column;
    struct pq_column as; /* as the library knows it */
    const struct drawn_cell *cells;
    size_t len;
    struct rc_buf *out;
    struct pq_coder *coder;
    struct pq_tree *tree;

    uint32_t *entries; /* of the dictionary, as the numbers of values */
    uint32_t *indices; /* of each value */
    size_t entry_count;
    uint32_t *definition, *repetition, *page_indices;
    struct pq_values values;
    uint8_t *texts;

    int64_t start, dictionary, data, uncompressed, rows;
    struct pq_statistics statistics, page_statistics;
    struct {
        int64_t offset, len, first_row, nulls;
        bool is_null;
        struct rc_buf least, greatest;
    } pages[4096];
    size_t page_count, dictionary_pages;
};

static bool has_dictionary(const struct drawn_column *column)
{
    return column->encoding == PQ_RLE_DICTIONARY || column->encoding == PQ_PLAIN_DICTIONARY;
}

static size_t dictionary_cells(const struct chunk *chunk)
{
    size_t fallback = chunk->column->fallback_levels;

    if (!has_dictionary(chunk->column))
        return 0;
    return fallback > 0 && fallback < chunk->len ? fallback : chunk->len;
}

static void put_value(struct chunk *chunk, uint32_t value)
{
    struct pq_values *values = &chunk->values;
    uint8_t *at = values->width ? values->fixed + values->len * (size_t)values->width
                                : chunk->texts + values->len * DRAWN_VALUE_BYTES;
    uint8_t bytes[DRAWN_VALUE_BYTES];
    size_t len = drawn_value(chunk->column, value, bytes);

    memcpy(at, bytes, len);
    if (!values->width)
        values->slices[values->len] = (struct pq_slice){ at, (uint32_t)len };
    values->len++;
}

static struct pq_node page_header(struct chunk *chunk, int64_t kind, int16_t about, bool has_crc)
{
    struct pq_node header = { .kind = PQ_KIND_STRUCT };

    set_number(chunk->tree, &header, 1, PQ_KIND_I32, kind);
    set_number(chunk->tree, &header, 2, PQ_KIND_I32, 0);
    set_number(chunk->tree, &header, 3, PQ_KIND_I32, 0);
    if (has_crc)
        set_number(chunk->tree, &header, 4, PQ_KIND_I32, 0);
    pq_set(chunk->tree, &header, about, PQ_KIND_STRUCT);
    return header;
}

/* Every value as far as the dictionary goes, in the order in which they come. */
static void make_dictionary(struct chunk *chunk)
{
    struct rc_error err = RC_ERROR_INIT;
    struct pq_node header = page_header(chunk, 2, 7, chunk->column->has_crc);
    struct pq_node *about = pq_field(&header, 7, PQ_KIND_STRUCT);
    bool is_old = chunk->column->encoding == PQ_PLAIN_DICTIONARY;
    size_t uncompressed;

    while (chunk->column->has_whole_dictionary && chunk->entry_count < chunk->column->distinct) {
        chunk->entries[chunk->entry_count] = (uint32_t)chunk->entry_count;
        chunk->entry_count++;
    }
    for (size_t i = 0; i < dictionary_cells(chunk); i++) {
        size_t e = 0;

        if (!chunk->cells[i].is_there)
            continue;
        while (e < chunk->entry_count && chunk->entries[e] != chunk->cells[i].value)
            e++;
        if (e == chunk->entry_count)
            chunk->entries[chunk->entry_count++] = chunk->cells[i].value;
        chunk->indices[i] = (uint32_t)e;
    }
    chunk->values.len = 0;
    for (size_t e = 0; e < chunk->entry_count; e++)
        put_value(chunk, chunk->entries[e]);
    set_number(chunk->tree, about, 1, PQ_KIND_I32, (int64_t)chunk->entry_count);
    set_number(chunk->tree, about, 2, PQ_KIND_I32, is_old ? PQ_PLAIN_DICTIONARY : PQ_PLAIN);
    chunk->dictionary = (int64_t)chunk->out->len;
    assert_int_equal(pq_dictionary_write(chunk->coder, chunk->column->codec, chunk->column->type,
                                         &header, &chunk->values, chunk->out, &uncompressed, &err),
                     RC_OK);
    chunk->uncompressed += (int64_t)uncompressed;
}

static void note_page(struct chunk *chunk, int64_t offset, int64_t rows)
{
    struct pq_bounds bounds;
    size_t i = chunk->page_count++;

    assert_true(i < RC_ARRAY_LEN(chunk->pages));
    chunk->pages[i].offset = offset;
    chunk->pages[i].len = (int64_t)chunk->out->len - offset;
    chunk->pages[i].first_row = chunk->rows;
    chunk->pages[i].nulls = chunk->page_statistics.null_count;
    chunk->pages[i].is_null = chunk->page_statistics.value_count == 0;
    rc_buf_init(&chunk->pages[i].least, BYTES_LIMIT);
    rc_buf_init(&chunk->pages[i].greatest, BYTES_LIMIT);
    if (chunk->as.order != PQ_ORDER_NONE &&
        pq_statistics_bounds(&chunk->page_statistics, &bounds)) {
        rc_buf_add(&chunk->pages[i].least, bounds.least.data, bounds.least.len);
        rc_buf_add(&chunk->pages[i].greatest, bounds.greatest.data, bounds.greatest.len);
    }
    chunk->rows += rows;
    pq_statistics_merge(&chunk->statistics, &chunk->page_statistics);
}

static void make_page(struct chunk *chunk, size_t from, size_t to, bool has_indices)
{
    struct rc_error err = RC_ERROR_INIT;
    bool is_v2 = chunk->column->kind == PQ_PAGE_DATA_V2;
    size_t uncompressed;
    int64_t offset = (int64_t)chunk->out->len;
    struct pq_page page = {
        .kind = chunk->column->kind,
        .header = page_header(chunk, is_v2 ? 3 : 0, is_v2 ? 8 : 5, chunk->column->has_crc),
        .level_count = to - from,
        .definition = chunk->as.max_definition ? chunk->definition : NULL,
        .repetition = chunk->as.max_repetition ? chunk->repetition : NULL,
        .has_indices = has_indices,
        .encoding =
            has_indices || !has_dictionary(chunk->column) ? chunk->column->encoding : PQ_PLAIN,
        .indices = chunk->page_indices,
        .has_crc = chunk->column->has_crc,
        .is_compressed = true,
    };

    if (!is_v2) {
        struct pq_node *about = pq_field(&page.header, 5, PQ_KIND_STRUCT);

        set_number(chunk->tree, about, 3, PQ_KIND_I32, PQ_RLE);
        set_number(chunk->tree, about, 4, PQ_KIND_I32, PQ_RLE);
    }
    chunk->values.len = 0;
    pq_statistics_reset(&chunk->page_statistics);
    for (size_t i = from; i < to; i++) {
        const struct drawn_cell *cell = &chunk->cells[i];

        chunk->definition[i - from] = cell->definition;
        chunk->repetition[i - from] = cell->repetition;
        page.row_count += cell->repetition == 0;
        if (!cell->is_there)
            continue;
        chunk->page_indices[page.value_count++] = chunk->indices[i];
        put_value(chunk, cell->value);
    }
    page.values = chunk->values;
    pq_statistics_add_nulls(&chunk->page_statistics, (int64_t)(to - from - page.value_count));
    pq_statistics_add(&chunk->page_statistics, &chunk->values);
    assert_int_equal(
        pq_page_write(chunk->coder, chunk->column->codec, &chunk->as, &page,
                      chunk->entry_count > 1 ? pq_bits_of((uint32_t)chunk->entry_count - 1) : 1,
                      chunk->out, &uncompressed, &err),
        RC_OK);
    chunk->uncompressed += (int64_t)uncompressed;
    if (chunk->data < 0)
        chunk->data = offset;
    note_page(chunk, offset, (int64_t)page.row_count);
}

static void make_pages(struct chunk *chunk)
{
    size_t indexed = dictionary_cells(chunk), from = 0;

    while (from < chunk->len) {
        size_t to = chunk->column->page_levels ? from + chunk->column->page_levels : chunk->len;

        if (from < indexed && to > indexed)
            to = indexed;
        while (to < chunk->len && !chunk->column->splits_rows && chunk->cells[to].repetition != 0)
            to++;
        if (to > chunk->len)
            to = chunk->len;
        chunk->dictionary_pages += to <= indexed;
        make_page(chunk, from, to, to <= indexed);
        from = to;
    }
}

static void prepare(struct chunk *chunk)
{
    static const int32_t widths[] = { 1, 4, 8, 12, 4, 8, 0, 0 };
    struct rc_error err = RC_ERROR_INIT;
    const struct drawn_column *column = chunk->column;
    size_t room = chunk->len + column->distinct + 1;

    chunk->as = (struct pq_column){
        .path = column->path,
        .type = column->type,
        .width = column->type == PQ_FIXED ? column->width : widths[column->type],
        .has_order = true,
        .max_definition = (int16_t)drawn_definition(column),
        .max_repetition = (int16_t)drawn_repetition(column),
        .order = column->type == PQ_INT96        ? PQ_ORDER_NONE
                 : column->type >= PQ_BYTE_ARRAY ? PQ_ORDER_BYTES
                 : column->type >= PQ_FLOAT      ? PQ_ORDER_FLOAT
                 : column->type == PQ_BOOLEAN    ? PQ_ORDER_UNSIGNED
                                                 : PQ_ORDER_SIGNED,
    };
    chunk->start = (int64_t)chunk->out->len;
    chunk->dictionary = chunk->data = -1;
    chunk->entries = rc_calloc(room, sizeof(uint32_t));
    chunk->indices = rc_calloc(room, sizeof(uint32_t));
    chunk->definition = rc_calloc(room, sizeof(uint32_t));
    chunk->repetition = rc_calloc(room, sizeof(uint32_t));
    chunk->page_indices = rc_calloc(room, sizeof(uint32_t));
    chunk->texts = rc_calloc(room, DRAWN_VALUE_BYTES);
    pq_values_init(&chunk->values, chunk->as.width);
    assert_int_equal(pq_values_reserve(&chunk->values, room, &err), RC_OK);
    pq_statistics_init(&chunk->statistics, &chunk->as);
    pq_statistics_init(&chunk->page_statistics, &chunk->as);
}

static void chunk_free(struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->page_count; i++) {
        rc_buf_clear(&chunk->pages[i].least);
        rc_buf_clear(&chunk->pages[i].greatest);
    }
    free(chunk->entries);
    free(chunk->indices);
    free(chunk->definition);
    free(chunk->repetition);
    free(chunk->page_indices);
    free(chunk->texts);
    pq_values_clear(&chunk->values);
    pq_statistics_clear(&chunk->statistics);
    pq_statistics_clear(&chunk->page_statistics);
    free(chunk);
}

/* ---- what the footer says of a chunk ---- */

static void set_sizes(struct chunk *chunk, struct pq_node *meta)
{
    struct pq_node *sizes = pq_set(chunk->tree, meta, 16, PQ_KIND_STRUCT);
    size_t repetitions = (size_t)chunk->as.max_repetition + 1;
    size_t definitions = (size_t)chunk->as.max_definition + 1;
    struct pq_node *repetition = set_list(chunk->tree, sizes, 2, PQ_KIND_I64, repetitions);
    struct pq_node *definition = set_list(chunk->tree, sizes, 3, PQ_KIND_I64, definitions);
    uint8_t bytes[DRAWN_VALUE_BYTES];
    int64_t text_bytes = 0;

    for (size_t i = 0; i < chunk->len; i++) {
        repetition[chunk->cells[i].repetition].integer++;
        definition[chunk->cells[i].definition].integer++;
        if (chunk->cells[i].is_there)
            text_bytes += (int64_t)drawn_value(chunk->column, chunk->cells[i].value, bytes);
    }
    if (chunk->column->type == PQ_BYTE_ARRAY)
        set_number(chunk->tree, sizes, 1, PQ_KIND_I64, text_bytes);
}

static void set_encoding_stats(struct chunk *chunk, struct pq_node *meta)
{
    bool is_v2 = chunk->column->kind == PQ_PAGE_DATA_V2;
    bool is_old = chunk->column->encoding == PQ_PLAIN_DICTIONARY;
    const int64_t all[3][3] = {
        { 2, is_old ? PQ_PLAIN_DICTIONARY : PQ_PLAIN, chunk->dictionary >= 0 },
        { is_v2 ? 3 : 0, chunk->column->encoding, (int64_t)chunk->dictionary_pages },
        { is_v2 ? 3 : 0, has_dictionary(chunk->column) ? PQ_PLAIN : chunk->column->encoding,
          (int64_t)(chunk->page_count - chunk->dictionary_pages) },
    };
    struct pq_node *list = set_list(chunk->tree, meta, 13, PQ_KIND_STRUCT, 3);
    size_t len = 0;

    for (size_t i = 0; i < 3; i++)
        for (int16_t k = 0; k < 3 && all[i][2] > 0; k++, len += k == 3)
            set_number(chunk->tree, &list[len], (int16_t)(k + 1), PQ_KIND_I32, all[i][k]);
    pq_field(meta, 13, PQ_KIND_LIST)->list.len = len;
}

static void set_meta(struct chunk *chunk, struct pq_node *meta)
{
    const struct drawn_column *column = chunk->column;
    struct rc_error err = RC_ERROR_INIT;
    struct pq_node *list;

    set_number(chunk->tree, meta, 1, PQ_KIND_I32, column->type);
    list = set_list(chunk->tree, meta, 2, PQ_KIND_I32, 3);
    list[0].integer = column->encoding;
    list[1].integer = PQ_RLE;
    list[2].integer = PQ_PLAIN;
    list = set_list(chunk->tree, meta, 3, PQ_KIND_BINARY, depth_of(column));
    for (size_t i = 0; i < depth_of(column); i++) {
        struct pq_slice name = name_at(column, i);

        list[i].bytes.data = name.data;
        list[i].bytes.len = name.len;
    }
    set_number(chunk->tree, meta, 4, PQ_KIND_I32, column->codec);
    set_number(chunk->tree, meta, 5, PQ_KIND_I64, (int64_t)chunk->len);
    set_number(chunk->tree, meta, 6, PQ_KIND_I64, chunk->uncompressed);
    set_number(chunk->tree, meta, 7, PQ_KIND_I64, (int64_t)chunk->out->len - chunk->start);
    set_number(chunk->tree, meta, 9, PQ_KIND_I64, chunk->data < 0 ? chunk->start : chunk->data);
    if (chunk->dictionary >= 0)
        set_number(chunk->tree, meta, 11, PQ_KIND_I64, chunk->dictionary);
    if (column->has_statistics) {
        struct pq_node *statistics = pq_set(chunk->tree, meta, 12, PQ_KIND_STRUCT);

        set_number(chunk->tree, statistics, 3, PQ_KIND_I64, 0);
        set_text(chunk->tree, statistics, 5, "", 0);
        set_text(chunk->tree, statistics, 6, "", 0);
        assert_int_equal(pq_statistics_write(&chunk->statistics, chunk->tree, statistics, &err),
                         RC_OK);
    }
    set_encoding_stats(chunk, meta);
    if (column->has_sizes)
        set_sizes(chunk, meta);
}

static void make_bloom(struct chunk *chunk, struct pq_node *meta)
{
    RC_CLEANUP(pq_bloom_clear)
    struct pq_bloom bloom = { .bits = rc_calloc(1, BLOOM_BITS), .len = BLOOM_BITS };
    uint8_t bytes[DRAWN_VALUE_BYTES];
    size_t at = chunk->out->len;

    pq_tree_init(&bloom.tree, TREE_LIMIT);
    bloom.header.kind = PQ_KIND_STRUCT;
    set_number(&bloom.tree, &bloom.header, 1, PQ_KIND_I32, BLOOM_BITS);
    for (int16_t id = 2; id <= 4; id++)
        pq_set(&bloom.tree, pq_set(&bloom.tree, &bloom.header, id, PQ_KIND_STRUCT), 1,
               PQ_KIND_STRUCT);
    for (size_t i = 0; i < chunk->len; i++)
        if (chunk->cells[i].is_there)
            pq_bloom_add(&bloom, (struct pq_slice){
                                     bytes, (uint32_t)drawn_value(chunk->column,
                                                                  chunk->cells[i].value, bytes) });
    pq_bloom_write(&bloom, chunk->out);
    set_number(chunk->tree, meta, 14, PQ_KIND_I64, (int64_t)at);
    set_number(chunk->tree, meta, 15, PQ_KIND_I32, (int64_t)(chunk->out->len - at));
}

static void make_index(struct chunk *chunk, struct pq_node *node)
{
    struct pq_node offsets = { .kind = PQ_KIND_STRUCT }, columns = { .kind = PQ_KIND_STRUCT };
    size_t len = chunk->page_count, at = chunk->out->len;
    struct pq_node *locations = set_list(chunk->tree, &offsets, 1, PQ_KIND_STRUCT, len);
    struct pq_node *nulls = set_list(chunk->tree, &columns, 1, PQ_KIND_TRUE, len);
    struct pq_node *least = set_list(chunk->tree, &columns, 2, PQ_KIND_BINARY, len);
    struct pq_node *greatest = set_list(chunk->tree, &columns, 3, PQ_KIND_BINARY, len);
    struct pq_node *counts;

    set_number(chunk->tree, &columns, 4, PQ_KIND_I32, 0);
    counts = set_list(chunk->tree, &columns, 5, PQ_KIND_I64, len);
    for (size_t i = 0; i < len; i++) {
        set_number(chunk->tree, &locations[i], 1, PQ_KIND_I64, chunk->pages[i].offset);
        set_number(chunk->tree, &locations[i], 2, PQ_KIND_I32, chunk->pages[i].len);
        set_number(chunk->tree, &locations[i], 3, PQ_KIND_I64, chunk->pages[i].first_row);
        nulls[i].kind = chunk->pages[i].is_null ? PQ_KIND_TRUE : PQ_KIND_FALSE;
        least[i].bytes.data = (const uint8_t *)chunk->pages[i].least.data;
        least[i].bytes.len = chunk->pages[i].least.len;
        greatest[i].bytes.data = (const uint8_t *)chunk->pages[i].greatest.data;
        greatest[i].bytes.len = chunk->pages[i].greatest.len;
        counts[i].integer = chunk->pages[i].nulls;
    }
    pq_thrift_write(chunk->out, &columns);
    set_number(chunk->tree, node, 6, PQ_KIND_I64, (int64_t)at);
    set_number(chunk->tree, node, 7, PQ_KIND_I32, (int64_t)(chunk->out->len - at));
    at = chunk->out->len;
    pq_thrift_write(chunk->out, &offsets);
    set_number(chunk->tree, node, 4, PQ_KIND_I64, (int64_t)at);
    set_number(chunk->tree, node, 5, PQ_KIND_I32, (int64_t)(chunk->out->len - at));
}

/* Returns the bytes of its pages, uncompressed. */
static int64_t make_chunk(struct drawn *drawn, size_t c, size_t from, size_t to,
                          struct pq_coder *coder, struct pq_tree *tree, struct pq_node *node)
{
    struct chunk *chunk = rc_calloc(1, sizeof(*chunk));
    struct pq_node *meta;
    int64_t uncompressed;

    chunk->column = &drawn->columns[c];
    chunk->cells = to > from ? drawn->cells[c].cells + from : NULL;
    chunk->len = to - from;
    chunk->out = &drawn->bytes;
    chunk->coder = coder;
    chunk->tree = tree;
    prepare(chunk);
    if (has_dictionary(chunk->column))
        make_dictionary(chunk);
    make_pages(chunk);

    set_number(tree, node, 2, PQ_KIND_I64, chunk->start);
    meta = pq_set(tree, node, 3, PQ_KIND_STRUCT);
    set_meta(chunk, meta);
    set_text(tree, meta, 18, "of a later version", 18);
    if (chunk->column->has_bloom)
        make_bloom(chunk, meta);
    if (chunk->column->has_index)
        make_index(chunk, node);
    if (chunk->column->is_encrypted)
        pq_set(tree, node, 8, PQ_KIND_STRUCT);
    if (chunk->column->lies_elsewhere)
        set_text(tree, node, 1, "part-0.parquet", 14);
    set_number(tree, node, 10, PQ_KIND_I64, chunk->start); /* likewise */
    uncompressed = chunk->uncompressed;
    chunk_free(chunk);
    return uncompressed;
}

/* ---- the file ---- */

static size_t row_end(const struct drawn *drawn, size_t c, size_t from, int64_t rows)
{
    while (from < drawn->cells[c].len && (rows > 0 || drawn->cells[c].cells[from].repetition != 0))
        rows -= drawn->cells[c].cells[from++].repetition == 0;
    return from;
}

static void make_group(struct drawn *drawn, size_t group, size_t *from, struct pq_coder *coder,
                       struct pq_tree *tree, struct pq_node *node)
{
    struct pq_node *chunks = set_list(tree, node, 1, PQ_KIND_STRUCT, drawn->column_count);
    int64_t start = (int64_t)drawn->bytes.len, uncompressed = 0;

    for (size_t c = 0; c < drawn->column_count; c++) {
        size_t to = row_end(drawn, c, from[c], drawn->group_rows[group]);

        uncompressed += make_chunk(drawn, c, from[c], to, coder, tree, &chunks[c]);
        from[c] = to;
    }
    set_number(tree, node, 2, PQ_KIND_I64, uncompressed);
    set_number(tree, node, 3, PQ_KIND_I64, drawn->group_rows[group]);
    set_number(tree, node, 5, PQ_KIND_I64, start);
    set_number(tree, node, 6, PQ_KIND_I64, 0);
    set_number(tree, node, 7, PQ_KIND_I16, (int64_t)group);
}

static void make_footer(struct drawn *drawn, struct pq_tree *tree, struct pq_node *root)
{
    size_t at = drawn->bytes.len;
    uint32_t len;
    struct pq_node *list = set_list(tree, root, 5, PQ_KIND_STRUCT, 1);

    set_text(tree, list, 1, "who", 3);
    set_text(tree, list, 2, "made", 4);
    set_text(tree, root, 6, "made for tests", 14);
    list = set_list(tree, root, 7, PQ_KIND_STRUCT, drawn->column_count);
    for (size_t c = 0; c < drawn->column_count; c++)
        pq_set(tree, &list[c], 1, PQ_KIND_STRUCT);
    if (drawn->is_signed)
        pq_set(tree, root, 8, PQ_KIND_STRUCT);
    set_text(tree, root, 99, "of a later version", 18);
    pq_thrift_write(&drawn->bytes, root);
    len = (uint32_t)(drawn->bytes.len - at);
    for (unsigned shift = 0; shift < 32; shift += 8)
        rc_buf_addc(&drawn->bytes, (char)(len >> shift));
    rc_buf_adds(&drawn->bytes, "PAR1");
}

void drawn_write(struct drawn *drawn)
{
    RC_CLEANUP(pq_tree_clear) struct pq_tree tree;
    struct rc_error err = RC_ERROR_INIT;
    struct pq_node root = { .kind = PQ_KIND_STRUCT }, *groups;
    struct pq_coder *coder = NULL;
    size_t from[DRAWN_COLUMNS] = { 0 };
    int64_t rows = 0;

    assert_int_equal(pq_coder_new(&coder, &err), RC_OK);
    pq_tree_init(&tree, TREE_LIMIT);
    rc_buf_reset(&drawn->bytes);
    rc_buf_adds(&drawn->bytes, "PAR1");
    for (size_t group = 0; group < drawn->group_count; group++)
        rows += drawn->group_rows[group];
    set_number(&tree, &root, 1, PQ_KIND_I32, 1);
    make_schema(drawn, &tree, &root);
    set_number(&tree, &root, 3, PQ_KIND_I64, rows);
    groups = set_list(&tree, &root, 4, PQ_KIND_STRUCT, drawn->group_count);
    for (size_t group = 0; group < drawn->group_count; group++)
        make_group(drawn, group, from, coder, &tree, &groups[group]);
    make_footer(drawn, &tree, &root);
    pq_coder_free(coder);
}
