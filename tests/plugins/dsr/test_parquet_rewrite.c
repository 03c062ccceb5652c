/*
 * Files without some of their rows: the others stay as they were, in any shape that a column can
 * have, and what the file says of itself is true of what is left in it, and of nothing else.
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

#define TREE_AUTO RC_CLEANUP(pq_tree_clear) struct pq_tree

enum { LIMIT = 64 << 20, ROWS = 4096 };

static const struct drawn_column shapes[] = {
    { .path = "id",
      .levels = "r",
      .type = PQ_INT64,
      .encoding = PQ_PLAIN,
      .distinct = 1000,
      .codec = PQ_SNAPPY,
      .page_levels = 50,
      .has_crc = true,
      .has_statistics = true,
      .has_sizes = true,
      .has_index = true,
      .has_bloom = true },
    { .path = "name",
      .levels = "o",
      .type = PQ_BYTE_ARRAY,
      .encoding = PQ_RLE_DICTIONARY,
      .distinct = 90,
      .codec = PQ_ZSTD,
      .page_levels = 40,
      .is_text = true,
      .has_statistics = true,
      .has_sizes = true,
      .has_index = true,
      .has_bloom = true },
    { .path = "kind",
      .levels = "o",
      .type = PQ_INT32,
      .encoding = PQ_PLAIN_DICTIONARY,
      .distinct = 3,
      .codec = PQ_GZIP,
      .page_levels = 30,
      .has_statistics = true },
    { .path = "fallen",
      .levels = "r",
      .type = PQ_BYTE_ARRAY,
      .encoding = PQ_RLE_DICTIONARY,
      .distinct = 300,
      .codec = PQ_LZ4_RAW,
      .page_levels = 25,
      .fallback_levels = 60,
      .kind = PQ_PAGE_DATA_V2,
      .has_statistics = true,
      .has_index = true },
    { .path = "list.element",
      .levels = "*o",
      .type = PQ_INT32,
      .encoding = PQ_DELTA_BINARY_PACKED,
      .distinct = 500,
      .codec = PQ_UNCOMPRESSED,
      .page_levels = 20,
      .kind = PQ_PAGE_DATA_V2,
      .has_statistics = true,
      .has_sizes = true,
      .has_index = true },
    { .path = "split.list.element",
      .levels = "o*r",
      .type = PQ_BYTE_ARRAY,
      .encoding = PQ_DELTA_BYTE_ARRAY,
      .distinct = 500,
      .codec = PQ_SNAPPY,
      .page_levels = 7,
      .splits_rows = true,
      .has_crc = true },
    { .path = "deep.a.b.c",
      .levels = "o*o*",
      .type = PQ_DOUBLE,
      .encoding = PQ_BYTE_STREAM_SPLIT,
      .distinct = 500,
      .codec = PQ_BROTLI,
      .page_levels = 64,
      .has_statistics = true,
      .has_sizes = true,
      .has_index = true },
    { .path = "words.word",
      .levels = "o*",
      .type = PQ_BYTE_ARRAY,
      .encoding = PQ_RLE_DICTIONARY,
      .distinct = 60,
      .codec = PQ_LZ4,
      .page_levels = 33,
      .has_sizes = true,
      .has_index = true },
    { .path = "flag",
      .levels = "o",
      .type = PQ_BOOLEAN,
      .encoding = PQ_RLE,
      .distinct = 2,
      .codec = PQ_SNAPPY,
      .kind = PQ_PAGE_DATA_V2,
      .has_statistics = true },
    { .path = "when",
      .levels = "r",
      .type = PQ_INT96,
      .encoding = PQ_PLAIN,
      .distinct = 400,
      .codec = PQ_SNAPPY,
      .page_levels = 128,
      .has_bloom = true },
    { .path = "fixed",
      .levels = "o",
      .type = PQ_FIXED,
      .width = 7,
      .encoding = PQ_PLAIN,
      .distinct = 400,
      .codec = PQ_GZIP,
      .page_levels = 128,
      .has_statistics = true },
    { .path = "empty",
      .levels = "o",
      .type = PQ_BYTE_ARRAY,
      .encoding = PQ_DELTA_LENGTH_BYTE_ARRAY,
      .distinct = 1,
      .codec = PQ_SNAPPY,
      .page_levels = 1,
      .has_statistics = true,
      .has_index = true },
};

/* ---- rewriting ---- */

static struct pq_rewritten rewrite_seen(const struct pq_file *file, const struct pq_rows *without,
                                        struct rc_buf *out, struct rc_buf *seen)
{
    struct memory to = { .bytes = out };
    struct pq_sink sink = memory_sink(&to);
    struct rc_error err = RC_ERROR_INIT;
    struct pq_rewritten done;

    rc_buf_reset(out);
    if (pq_rewrite(file, without, &sink, seen, &done, &err))
        fail_msg("%s: %s", err.context, err.cause);
    assert_int_equal(done.bytes, out->len);
    assert_memory_equal(out->data, "PAR1", 4);
    assert_memory_equal(out->data + out->len - 4, "PAR1", 4);
    return done;
}

static struct pq_rewritten rewrite(const struct pq_file *file, const struct pq_rows *without,
                                   struct rc_buf *out)
{
    return rewrite_seen(file, without, out, NULL);
}

/* Rows out of a file of 'count', each with a chance of 'of' in 'in'. */
static struct pq_rows draw_rows(struct chance *chance, int64_t count, uint64_t of, uint64_t in,
                                int64_t rows[ROWS])
{
    size_t len = 0;

    for (int64_t row = 0; row < count; row++)
        if (chance_below(chance, in) < of)
            rows[len++] = row;
    return (struct pq_rows){ .rows = rows, .len = len };
}

/* Which is another way than cells to ask for the same. */
static void check_again(const struct pq_file *old, const struct pq_rows *without,
                        const struct rc_buf *seen, const struct pq_file *new)
{
    struct rc_error err = RC_ERROR_INIT;
    size_t differing;

    if (pq_reread(old, without, seen, new, &differing, &err))
        fail_msg("%s: %s", err.context, err.cause);
    assert_int_equal(differing, old->column_count);
}

/* ---- what a file says of itself ---- */

static int64_t least_of(const int64_t *numbers, size_t count)
{
    int64_t least = INT64_MAX;

    for (size_t i = 0; i < count; i++)
        if (numbers[i] < least)
            least = numbers[i];
    return least;
}

/* Gathered from the pages of a chunk. */
struct seen {
    struct pq_statistics statistics;
    int64_t page_offsets[ROWS], page_rows[ROWS], page_nulls[ROWS];
    size_t page_count;
    int64_t levels[2][8], text_bytes;
    int64_t counts[4][16];
};

static void see_value(const struct pq_bloom *bloom, struct seen *seen, struct pq_slice value)
{
    seen->text_bytes += value.len;
    if (bloom)
        assert_true(pq_bloom_may_hold(bloom, value));
}

static void see_page(struct seen *seen, const struct pq_bloom *bloom, const struct pq_page *page,
                     const struct pq_values *dictionary)
{
    seen->page_offsets[seen->page_count] = page->offset;
    seen->page_rows[seen->page_count] = page->first_row;
    seen->page_nulls[seen->page_count++] = (int64_t)(page->level_count - page->value_count);
    pq_statistics_add_nulls(&seen->statistics, (int64_t)(page->level_count - page->value_count));
    if (page->has_indices)
        pq_statistics_add_indexed(&seen->statistics, dictionary, page->indices, page->value_count);
    else
        pq_statistics_add(&seen->statistics, &page->values);
    for (size_t i = 0; i < page->value_count; i++)
        see_value(bloom, seen,
                  page->has_indices ? pq_value_at(dictionary, page->indices[i])
                                    : pq_value_at(&page->values, i));
    for (size_t i = 0; i < page->level_count; i++) {
        seen->levels[0][page->repetition ? page->repetition[i] : 0]++;
        seen->levels[1][page->definition ? page->definition[i] : 0]++;
    }
    seen->counts[pq_field_int(&page->header, 1, 0)][page->encoding]++;
}

static void check_statistics(struct seen *seen, const struct pq_node *meta)
{
    const struct pq_node *statistics = pq_field(meta, 12, PQ_KIND_STRUCT);
    const struct pq_node *least, *greatest;
    struct pq_bounds bounds;

    if (!statistics)
        return;
    least = pq_field(statistics, 6, PQ_KIND_BINARY);
    greatest = pq_field(statistics, 5, PQ_KIND_BINARY);
    assert_int_equal(pq_field_int(statistics, 3, -1), seen->statistics.null_count);
    if (!pq_statistics_bounds(&seen->statistics, &bounds)) {
        assert_null(least);
        assert_null(greatest);
        return;
    }
    assert_int_equal(least->bytes.len, bounds.least.len);
    assert_memory_equal(least->bytes.data, bounds.least.data, bounds.least.len);
    assert_int_equal(greatest->bytes.len, bounds.greatest.len);
    assert_memory_equal(greatest->bytes.data, bounds.greatest.data, bounds.greatest.len);
}

static void check_counts(const struct pq_node *list, const int64_t *counts, size_t len)
{
    assert_int_equal(list->list.len, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(list->list.items[i].integer, counts[i]);
}

static void check_sizes(const struct seen *seen, const struct pq_column *column,
                        const struct pq_node *meta)
{
    const struct pq_node *sizes = pq_field(meta, 16, PQ_KIND_STRUCT);

    if (!sizes)
        return;
    if (column->type == PQ_BYTE_ARRAY)
        assert_int_equal(pq_field_int(sizes, 1, -1), seen->text_bytes);
    else
        assert_null(pq_field(sizes, 1, PQ_KIND_I64));
    check_counts(pq_field(sizes, 2, PQ_KIND_LIST), seen->levels[0],
                 (size_t)column->max_repetition + 1);
    check_counts(pq_field(sizes, 3, PQ_KIND_LIST), seen->levels[1],
                 (size_t)column->max_definition + 1);
}

static void check_encodings(struct seen *seen, const struct pq_node *meta, bool has_dictionary)
{
    const struct pq_node *list = pq_field(meta, 13, PQ_KIND_LIST);
    int64_t dictionaries = 0;

    assert_non_null(list);
    for (size_t i = 0; i < list->list.len; i++) {
        int64_t kind = pq_field_int(&list->list.items[i], 1, -1);
        int64_t encoding = pq_field_int(&list->list.items[i], 2, -1);
        int64_t count = pq_field_int(&list->list.items[i], 3, -1);

        assert_true(count > 0);
        if (kind == 2) {
            dictionaries += count;
            continue;
        }
        assert_int_equal(count, seen->counts[kind][encoding]);
        seen->counts[kind][encoding] = 0;
    }
    assert_int_equal(dictionaries, has_dictionary);
    for (size_t kind = 0; kind < 4; kind++)
        for (size_t encoding = 0; encoding < 16; encoding++)
            assert_int_equal(seen->counts[kind][encoding], 0);
}

static void read_part(const struct pq_file *file, int64_t offset, int64_t len, struct pq_tree *tree,
                      struct pq_node *out)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct memory *memory = file->source.context;
    size_t used;

    assert_true(offset > 0 && len > 0 && offset + len <= file->data_end);
    assert_int_equal(
        pq_thrift_read(tree, memory->bytes->data + offset, (size_t)len, out, &used, &err), RC_OK);
    assert_int_equal(used, len);
}

static void check_index(const struct seen *seen, const struct pq_file *file,
                        const struct pq_column *column, const struct pq_chunk *chunk)
{
    TREE_AUTO tree;
    struct pq_node offsets, columns;
    const struct pq_node *pages, *nulls;

    pq_tree_init(&tree, LIMIT);
    if (chunk->offset_index_offset < 0)
        return;
    read_part(file, chunk->offset_index_offset, chunk->offset_index_len, &tree, &offsets);
    pages = pq_field(&offsets, 1, PQ_KIND_LIST);
    assert_int_equal(pages->list.len, seen->page_count);
    for (size_t i = 0; i < seen->page_count; i++) {
        assert_int_equal(pq_field_int(&pages->list.items[i], 1, -1), seen->page_offsets[i]);
        assert_int_equal(pq_field_int(&pages->list.items[i], 3, -1), seen->page_rows[i]);
    }
    if (column->order == PQ_ORDER_NONE || chunk->column_index_offset < 0)
        return;
    read_part(file, chunk->column_index_offset, chunk->column_index_len, &tree, &columns);
    nulls = pq_field(&columns, 5, PQ_KIND_LIST);
    check_counts(nulls, seen->page_nulls, seen->page_count);
    for (int16_t id = 1; id <= 3; id++)
        assert_int_equal(pq_field(&columns, id, PQ_KIND_LIST)->list.len, seen->page_count);
}

static void check_chunk(const struct pq_file *file, size_t group, size_t column)
{
    const struct pq_chunk *chunk = &file->groups[group].chunks[column];
    struct seen *seen = rc_calloc(1, sizeof(*seen));
    RC_CLEANUP(pq_pages_drop) struct pq_pages *pages = NULL;
    RC_CLEANUP(pq_bloom_clear) struct pq_bloom bloom = { .bits = NULL };
    struct rc_error err = RC_ERROR_INIT;
    const struct pq_page *page;
    int64_t dictionary = pq_field_int(chunk->meta, 11, -1);
    int64_t data = pq_field_int(chunk->meta, 9, -1);

    pq_statistics_init(&seen->statistics, &file->columns[column]);
    if (chunk->bloom_offset >= 0)
        assert_int_equal(pq_bloom_read(&bloom, file, chunk, LIMIT, &err), RC_OK);
    assert_int_equal(pq_pages_open(file, group, column, &pages, &err), RC_OK);
    for (;;) {
        assert_int_equal(pq_pages_next(pages, &page, &err), RC_OK);
        if (!page)
            break;
        see_page(seen, bloom.bits ? &bloom : NULL, page, pq_pages_dictionary(pages));
    }
    if (seen->page_count > 0)
        assert_int_equal(data, least_of(seen->page_offsets, seen->page_count));
    assert_int_equal(dictionary >= 0, pq_pages_dictionary(pages) != NULL);
    if (dictionary >= 0)
        assert_true(dictionary < data);
    if (chunk->len > 0)
        assert_int_equal(pq_field_int(chunk->node, 2, -1), chunk->start);
    assert_null(pq_field(chunk->node, 10, PQ_KIND_I64));
    assert_null(pq_field(chunk->meta, 18, PQ_KIND_BINARY));
    check_statistics(seen, chunk->meta);
    check_sizes(seen, &file->columns[column], chunk->meta);
    check_encodings(seen, chunk->meta, dictionary >= 0);
    check_index(seen, file, &file->columns[column], chunk);
    pq_statistics_clear(&seen->statistics);
    free(seen);
}

static void check_itself(const struct pq_file *file)
{
    for (size_t group = 0; group < file->group_count; group++) {
        const struct pq_group *at = &file->groups[group];
        int64_t compressed = 0, uncompressed = 0;

        for (size_t column = 0; column < file->column_count; column++) {
            check_chunk(file, group, column);
            compressed += pq_field_int(at->chunks[column].meta, 7, -1);
            uncompressed += pq_field_int(at->chunks[column].meta, 6, -1);
        }
        assert_int_equal(pq_field_int(at->node, 2, -1), uncompressed);
        if (pq_field_int(at->node, 6, -1) > 0)
            assert_int_equal(pq_field_int(at->node, 6, -1), compressed);
        if (at->row_count > 0)
            assert_int_equal(pq_field_int(at->node, 5, -1), at->chunks[0].start);
        assert_int_equal(pq_field_int(at->node, 7, -1), group);
    }
}

static void assert_same_node(const struct pq_node *a, const struct pq_node *b)
{
    RC_BUF_AUTO(before, LIMIT);
    RC_BUF_AUTO(after, LIMIT);
    struct pq_node left = { .kind = PQ_KIND_STRUCT, .list = { (struct pq_node *)a, 1 } };
    struct pq_node right = { .kind = PQ_KIND_STRUCT, .list = { (struct pq_node *)b, 1 } };

    assert_non_null(a);
    assert_non_null(b);
    pq_thrift_write(&before, &left);
    pq_thrift_write(&after, &right);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
}

/* Version, schema, key-value metadata, writer, orders, and what a later version may have. */
static void check_footer(const struct pq_file *old, const struct pq_file *new)
{
    static const struct {
        int16_t id;
        enum pq_kind kind;
    } kept[] = { { 1, PQ_KIND_I32 },    { 2, PQ_KIND_LIST }, { 5, PQ_KIND_LIST },
                 { 6, PQ_KIND_BINARY }, { 7, PQ_KIND_LIST }, { 99, PQ_KIND_BINARY } };

    for (size_t i = 0; i < RC_ARRAY_LEN(kept); i++)
        assert_same_node(pq_field(&old->root, kept[i].id, kept[i].kind),
                         pq_field(&new->root, kept[i].id, kept[i].kind));
    assert_int_equal(old->root.list.len, new->root.list.len);
}

/* Everything that is to be true of a file without some of its rows. */
static void check_rewrite(const struct drawn *drawn, const struct pq_rows *without)
{
    struct memory old_memory = { .bytes = (struct rc_buf *)&drawn->bytes };
    RC_BUF_AUTO(bytes, LIMIT);
    RC_BUF_AUTO(seen, LIMIT);
    struct memory memory = { .bytes = &bytes };
    FILE_AUTO old;
    FILE_AUTO file;
    struct pq_rewritten done;

    memory_open(&old_memory, &old);
    done = rewrite_seen(&old, without, &bytes, &seen);
    assert_int_equal(done.rows, old.row_count - (int64_t)without->len);
    memory_open(&memory, &file);
    assert_int_equal(file.row_count, done.rows);
    assert_int_equal(file.group_count, done.groups_copied + done.groups_rewritten);
    assert_int_equal(old.group_count, done.groups_dropped + (int64_t)file.group_count);
    drawn_check(drawn, without, &file);
    check_again(&old, without, &seen, &file);
    check_itself(&file);
    check_footer(&old, &file);
}

/* ---- tests ---- */

static void test_the_other_rows_stay(void **state)
{
    (void)state;
    struct chance chance = chance_new("the other rows stay");
    static const struct {
        uint64_t of, in;
    } shares[] = { { 0, 1 }, { 1, 1 }, { 1, 100 }, { 1, 2 }, { 19, 20 } };

    for (size_t i = 0; i < 20; i++) {
        DRAWN_AUTO drawn = { .columns = shapes, .column_count = RC_ARRAY_LEN(shapes) };
        int64_t rows[ROWS], count = 0;

        drawn.group_count = 1 + (size_t)chance_below(&chance, 4);
        for (size_t group = 0; group < drawn.group_count; group++)
            count += drawn.group_rows[group] = 1 + (int64_t)chance_below(&chance, 150);
        drawn_file(&drawn, &chance);
        for (size_t k = 0; k < RC_ARRAY_LEN(shares); k++) {
            struct pq_rows without = draw_rows(&chance, count, shares[k].of, shares[k].in, rows);

            check_rewrite(&drawn, &without);
        }
    }
}

static void test_a_group_is_copied_rewritten_or_dropped(void **state)
{
    (void)state;
    struct chance chance = { 7 };
    DRAWN_AUTO drawn = {
        .columns = shapes, .column_count = 5, .group_count = 3, .group_rows = { 10, 20, 30 }
    };
    int64_t rows[ROWS];
    size_t len = 0;
    RC_BUF_AUTO(bytes, LIMIT);
    struct memory memory = { .bytes = &drawn.bytes };
    FILE_AUTO file;
    struct pq_rewritten done;
    struct pq_rows without;

    drawn_file(&drawn, &chance);
    memory_open(&memory, &file);
    for (int64_t row = 0; row < 10; row++)
        rows[len++] = row;
    rows[len++] = 35;
    without = (struct pq_rows){ .rows = rows, .len = len };
    done = rewrite(&file, &without, &bytes);
    assert_int_equal(done.groups_dropped, 1);
    assert_int_equal(done.groups_copied, 1);
    assert_int_equal(done.groups_rewritten, 1);
    assert_int_equal(done.rows, 49);
    check_rewrite(&drawn, &without);
}

static void test_a_file_that_loses_nothing_has_the_same_chunks(void **state)
{
    (void)state;
    struct chance chance = { 11 };
    const struct pq_rows none = { .len = 0 };
    DRAWN_AUTO drawn = { .columns = shapes,
                         .column_count = RC_ARRAY_LEN(shapes),
                         .group_count = 2,
                         .group_rows = { 100, 50 } };
    RC_BUF_AUTO(bytes, LIMIT);
    struct memory old_memory = { .bytes = &drawn.bytes }, memory = { .bytes = &bytes };
    FILE_AUTO old;
    FILE_AUTO file;

    drawn_file(&drawn, &chance);
    memory_open(&old_memory, &old);
    rewrite(&old, &none, &bytes);
    memory_open(&memory, &file);
    for (size_t group = 0; group < 2; group++) {
        for (size_t column = 0; column < file.column_count; column++) {
            const struct pq_chunk *a = &old.groups[group].chunks[column];
            const struct pq_chunk *b = &file.groups[group].chunks[column];

            assert_int_equal(a->len, b->len);
            assert_memory_equal(drawn.bytes.data + a->start, bytes.data + b->start, (size_t)a->len);
            assert_int_equal(a->bloom_offset >= 0, b->bloom_offset >= 0);
            assert_int_equal(a->column_index_offset >= 0, b->column_index_offset >= 0);
            if (a->column_index_offset >= 0)
                assert_memory_equal(drawn.bytes.data + a->column_index_offset,
                                    bytes.data + b->column_index_offset,
                                    (size_t)a->column_index_len);
            if (a->bloom_offset >= 0)
                assert_memory_equal(drawn.bytes.data + a->bloom_offset,
                                    bytes.data + b->bloom_offset, (size_t)a->bloom_len);
        }
    }
}

/* Readers refuse a chunk that does not say where its data is, be it of no rows and of no bytes. */
static void test_a_group_without_rows_stays(void **state)
{
    (void)state;
    struct chance chance = { 13 };
    static const int64_t row = 4;
    const struct pq_rows without = { .rows = &row, .len = 1 };
    DRAWN_AUTO drawn = {
        .columns = shapes, .column_count = 3, .group_count = 3, .group_rows = { 10, 0, 20 }
    };
    RC_BUF_AUTO(bytes, LIMIT);
    struct memory old_memory = { .bytes = &drawn.bytes }, memory = { .bytes = &bytes };
    FILE_AUTO old;
    FILE_AUTO file;

    drawn_file(&drawn, &chance);
    check_rewrite(&drawn, &without);
    memory_open(&old_memory, &old);
    rewrite(&old, &without, &bytes);
    memory_open(&memory, &file);
    assert_int_equal(file.groups[1].row_count, 0);
    for (size_t c = 0; c < file.column_count; c++)
        assert_in_range(pq_field_int(file.groups[1].chunks[c].meta, 9, -1),
                        file.groups[0].chunks[c].start, file.data_end);
}

static bool holds(const struct rc_buf *bytes, const char *text)
{
    return memmem(bytes->data, bytes->len, text, strlen(text)) != NULL;
}

/*
 * Values of an erased row are nowhere: not in a dictionary, be it that of another row group, since
 * some writers have all values in each; not in bounds, and not in an index.
 */
static void test_nothing_tells_of_the_rows_that_are_gone(void **state)
{
    (void)state;
    enum { DISTINCT = 400, COUNT = 120 };
    static const struct drawn_column columns[] = {
        { .path = "d",
          .levels = "o",
          .type = PQ_BYTE_ARRAY,
          .encoding = PQ_RLE_DICTIONARY,
          .distinct = DISTINCT,
          .page_levels = 20,
          .has_statistics = true,
          .has_index = true,
          .has_bloom = true },
        { .path = "w",
          .levels = "r",
          .type = PQ_BYTE_ARRAY,
          .encoding = PQ_RLE_DICTIONARY,
          .distinct = DISTINCT,
          .page_levels = 20,
          .fallback_levels = 45,
          .has_whole_dictionary = true },
        { .path = "p",
          .levels = "r",
          .type = PQ_BYTE_ARRAY,
          .encoding = PQ_PLAIN,
          .distinct = DISTINCT,
          .page_levels = 20,
          .has_statistics = true,
          .has_index = true },
    };
    struct chance chance = chance_new("nothing tells");
    DRAWN_AUTO drawn = { .columns = columns,
                         .column_count = RC_ARRAY_LEN(columns),
                         .group_count = 4,
                         .group_rows = { 70, 40, 0, 10 } };
    int64_t rows[ROWS];
    RC_BUF_AUTO(bytes, LIMIT);
    struct memory memory = { .bytes = &drawn.bytes };
    FILE_AUTO file;
    struct pq_rows without;

    drawn_file(&drawn, &chance);
    memory_open(&memory, &file);
    without = draw_rows(&chance, 70, 1, 3, rows); /* all of the first group */
    rewrite(&file, &without, &bytes);
    for (size_t c = 0; c < RC_ARRAY_LEN(columns); c++) {
        bool is_left[DISTINCT] = { false };

        for (size_t i = 0, next = 0; i < drawn.cells[c].len; i++) {
            bool goes = next < without.len && rows[next] == (int64_t)i;

            next += goes;
            if (!goes && drawn.cells[c].cells[i].is_there)
                is_left[drawn.cells[c].cells[i].value] = true;
        }
        for (uint32_t value = 0; value < DISTINCT; value++) {
            char text[DRAWN_VALUE_BYTES + 1] = "";

            drawn_value(&columns[c], value, (uint8_t *)text);
            /* One that others begin with would be found in them. */
            if (text[strlen(text) - 1] != 'f')
                continue;
            assert_int_equal(holds(&bytes, text), is_left[value]);
        }
    }
    check_rewrite(&drawn, &without);
}

/* A dictionary that all of its entries stay in stays, and so do the pages that lose nothing. */
static void test_pages_that_lose_nothing_are_copied(void **state)
{
    (void)state;
    static const struct drawn_column column = { .path = "kind",
                                                .levels = "o",
                                                .type = PQ_INT32,
                                                .encoding = PQ_RLE_DICTIONARY,
                                                .distinct = 2,
                                                .page_levels = 100,
                                                .codec = PQ_ZSTD };
    struct chance chance = { 3 };
    static const int64_t row = 150;
    const struct pq_rows without = { .rows = &row, .len = 1 };
    DRAWN_AUTO drawn = {
        .columns = &column, .column_count = 1, .group_count = 1, .group_rows = { 300 }
    };
    RC_BUF_AUTO(bytes, LIMIT);
    struct memory memory = { .bytes = &drawn.bytes };
    struct rc_error err = RC_ERROR_INIT;
    FILE_AUTO file;
    RC_CLEANUP(pq_pages_drop) struct pq_pages *pages = NULL;
    const struct pq_page *page;

    drawn_file(&drawn, &chance);
    memory_open(&memory, &file);
    rewrite(&file, &without, &bytes);
    assert_int_equal(pq_pages_open(&file, 0, 0, &pages, &err), RC_OK);
    for (int64_t i = 0; i < 3; i++) {
        assert_int_equal(pq_pages_next(pages, &page, &err), RC_OK);
        assert_int_equal(memmem(bytes.data, bytes.len, drawn.bytes.data + page->offset,
                                (size_t)page->len) != NULL,
                         i != 1);
    }
    check_rewrite(&drawn, &without);
}

static void assert_refused(struct drawn *drawn, const struct pq_rows *without, enum rc_code code,
                           const char *why)
{
    struct chance chance = { 1 };
    struct memory memory = { .bytes = &drawn->bytes };
    RC_BUF_AUTO(bytes, LIMIT);
    struct memory to = { .bytes = &bytes };
    struct pq_sink sink = memory_sink(&to);
    struct rc_error err = RC_ERROR_INIT;
    struct pq_rewritten done;
    FILE_AUTO file;

    drawn_file(drawn, &chance);
    memory_open(&memory, &file);
    assert_int_equal(pq_rewrite(&file, without, &sink, NULL, &done, &err), code);
    assert_non_null(strstr(err.cause, why));
    assert_string_equal(err.context, "rewrite 'memory'");
    assert_int_equal(bytes.len, 0);
}

static void test_what_cannot_be_rewritten_is_refused(void **state)
{
    (void)state;
    static const int64_t row = 9, far = 10;
    const struct pq_rows without = { .rows = &row, .len = 1 }, beyond = { .rows = &far, .len = 1 };
    struct drawn_column column = shapes[0];
    DRAWN_AUTO elsewhere = {
        .columns = &column, .column_count = 1, .group_count = 1, .group_rows = { 10 }
    };
    DRAWN_AUTO encrypted = elsewhere;
    DRAWN_AUTO sealed = elsewhere;
    DRAWN_AUTO small = elsewhere;

    column.lies_elsewhere = true;
    assert_refused(&elsewhere, &without, RC_UNSUPPORTED, "column 'id' lies in another file");
    column.lies_elsewhere = false;
    column.is_encrypted = true;
    assert_refused(&encrypted, &without, RC_UNSUPPORTED, "column 'id' is encrypted");
    column.is_encrypted = false;
    sealed.is_signed = true;
    assert_refused(&sealed, &without, RC_UNSUPPORTED, "signed");
    assert_refused(&small, &beyond, RC_INVALID, "there is no row 10: it has 10");
}

/* Every read and every write fails in turn: the error is that one, and nothing is left behind. */
static void test_a_failing_source_or_sink_is_told(void **state)
{
    (void)state;
    struct chance chance = { 5 };
    static const int64_t row = 15;
    const struct pq_rows without = { .rows = &row, .len = 1 };
    DRAWN_AUTO drawn = {
        .columns = shapes, .column_count = 4, .group_count = 2, .group_rows = { 100, 10 }
    };
    struct memory memory = { .bytes = &drawn.bytes };
    RC_BUF_AUTO(bytes, LIMIT);
    FILE_AUTO file;

    drawn_file(&drawn, &chance);
    memory_open(&memory, &file);
    for (int side = 0; side < 2; side++) {
        enum rc_code code = RC_UNAVAILABLE;

        for (int n = 1; code != RC_OK; n++) {
            struct memory to = { .bytes = &bytes, .fails_at = side ? n : 0 };
            struct pq_sink sink = memory_sink(&to);
            struct rc_error err = RC_ERROR_INIT;
            struct pq_rewritten done;

            rc_buf_reset(&bytes);
            memory.calls = 0;
            memory.fails_at = side ? 0 : n;
            code = pq_rewrite(&file, &without, &sink, NULL, &done, &err);
            if (code == RC_OK) {
                assert_true(n > 10);
                break;
            }
            assert_int_equal(code, RC_UNAVAILABLE);
            assert_string_equal(err.cause, "it was to fail");
            assert_non_null(strstr(err.context, "rewrite 'memory'"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_other_rows_stay),
        cmocka_unit_test(test_a_group_is_copied_rewritten_or_dropped),
        cmocka_unit_test(test_a_file_that_loses_nothing_has_the_same_chunks),
        cmocka_unit_test(test_a_group_without_rows_stays),
        cmocka_unit_test(test_nothing_tells_of_the_rows_that_are_gone),
        cmocka_unit_test(test_pages_that_lose_nothing_are_copied),
        cmocka_unit_test(test_what_cannot_be_rewritten_is_refused),
        cmocka_unit_test(test_a_failing_source_or_sink_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
