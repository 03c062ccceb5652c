/*
 * Digests: the same for the same rows however they are written, and another one for any other; and
 * what a new file is held against when it is read again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parquet_drawn.h"

#include <string.h>

enum { LIMIT = 64 << 20 };

static const struct pq_rows none = { .len = 0 };

static void digest(const struct drawn *drawn, const struct pq_rows *without, struct rc_buf *out)
{
    struct memory memory = { .bytes = (struct rc_buf *)&drawn->bytes };
    struct rc_error err = RC_ERROR_INIT;
    FILE_AUTO file;

    memory_open(&memory, &file);
    rc_buf_reset(out);
    if (pq_digest(&file, without, out, &err))
        fail_msg("%s: %s", err.context, err.cause);
    assert_int_equal(out->len, drawn->column_count * PQ_DIGEST);
}

static bool is_same(const struct rc_buf *a, const struct rc_buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* ---- the same rows ---- */

static const enum pq_encoding any_encoding[] = { PQ_PLAIN, PQ_RLE_DICTIONARY },
                              text_encodings[] = { PQ_PLAIN, PQ_RLE_DICTIONARY,
                                                   PQ_DELTA_LENGTH_BYTE_ARRAY,
                                                   PQ_DELTA_BYTE_ARRAY },
                              number_encodings[] = { PQ_PLAIN, PQ_PLAIN_DICTIONARY,
                                                     PQ_DELTA_BINARY_PACKED, PQ_BYTE_STREAM_SPLIT };

static void write_otherwise(struct drawn_column *column, struct chance *chance)
{
    static const enum pq_codec codecs[] = { PQ_UNCOMPRESSED, PQ_SNAPPY, PQ_GZIP, PQ_ZSTD,
                                            PQ_LZ4_RAW };

    if (column->type == PQ_BYTE_ARRAY)
        column->encoding = text_encodings[chance_below(chance, RC_ARRAY_LEN(text_encodings))];
    else if (column->type == PQ_INT64)
        column->encoding = number_encodings[chance_below(chance, RC_ARRAY_LEN(number_encodings))];
    else
        column->encoding = any_encoding[chance_below(chance, RC_ARRAY_LEN(any_encoding))];
    column->codec = codecs[chance_below(chance, RC_ARRAY_LEN(codecs))];
    column->kind = chance_below(chance, 2) ? PQ_PAGE_DATA_V1 : PQ_PAGE_DATA_V2;
    column->page_levels = 1 + chance_below(chance, 100);
    column->fallback_levels = chance_below(chance, 100);
    column->splits_rows = column->kind == PQ_PAGE_DATA_V1 && chance_below(chance, 2);
}

static void test_the_same_rows_give_the_same(void **state)
{
    (void)state;
    struct chance chance = chance_new("the same rows give the same");
    struct drawn_column columns[] = {
        { .path = "number", .levels = "o", .type = PQ_INT64, .distinct = 90 },
        { .path = "required", .levels = "r", .type = PQ_INT64, .distinct = 90 },
        { .path = "text", .levels = "o", .type = PQ_BYTE_ARRAY, .distinct = 90 },
        { .path = "list.item", .levels = "o*", .type = PQ_BYTE_ARRAY, .distinct = 90 },
        { .path = "deep.list.item", .levels = "*o*", .type = PQ_FIXED, .width = 3, .distinct = 90 },
    };
    DRAWN_AUTO drawn = { .columns = columns,
                         .column_count = RC_ARRAY_LEN(columns),
                         .group_count = 1,
                         .group_rows = { 200 } };
    RC_BUF_AUTO(first, LIMIT);
    RC_BUF_AUTO(again, LIMIT);

    drawn_file(&drawn, &chance);
    digest(&drawn, &none, &first);
    for (size_t i = 0; i < 20; i++) {
        for (size_t c = 0; c < RC_ARRAY_LEN(columns); c++)
            write_otherwise(&columns[c], &chance);
        drawn.group_count = 3;
        drawn.group_rows[0] = 1 + (int64_t)chance_below(&chance, 100);
        drawn.group_rows[1] = 1 + (int64_t)chance_below(&chance, 98);
        drawn.group_rows[2] = 200 - drawn.group_rows[0] - drawn.group_rows[1];
        drawn_write(&drawn);
        digest(&drawn, &none, &again);
        assert_true(is_same(&first, &again));
    }
}

/* ---- other rows ---- */

static void draw(struct drawn *drawn, const struct drawn_column *column,
                 const struct drawn_cell *cells, size_t count)
{
    struct chance chance = { 1 };

    drawn->columns = column;
    drawn->column_count = 1;
    drawn->group_count = 1;
    drawn->group_rows[0] = 0;
    drawn_file(drawn, &chance);
    drawn->cells[0].cells = rc_calloc(count, sizeof(cells[0]));
    drawn->cells[0].len = count;
    memcpy(drawn->cells[0].cells, cells, count * sizeof(cells[0]));
    for (size_t i = 0; i < count; i++)
        drawn->group_rows[0] += cells[i].repetition == 0;
    drawn_write(drawn);
}

static bool are_alike(const struct drawn_column *column, const struct drawn_cell *a, size_t a_count,
                      const struct drawn_cell *b, size_t b_count)
{
    DRAWN_AUTO left = { .columns = NULL };
    DRAWN_AUTO right = { .columns = NULL };
    RC_BUF_AUTO(left_digest, LIMIT);
    RC_BUF_AUTO(right_digest, LIMIT);

    draw(&left, column, a, a_count);
    draw(&right, column, b, b_count);
    digest(&left, &none, &left_digest);
    digest(&right, &none, &right_digest);
    return is_same(&left_digest, &right_digest);
}

static void test_other_values_give_another(void **state)
{
    (void)state;
    static const struct drawn_column text = {
        .path = "t", .levels = "o", .type = PQ_BYTE_ARRAY, .encoding = PQ_PLAIN, .distinct = 9
    };
    /* repetition, definition, value, whether there is one */
    static const struct drawn_cell rows[][3] = {
        { { 0, 1, 1, true }, { 0, 0, 0, false }, { 0, 1, 2, true } },
        { { 0, 1, 1, true }, { 0, 1, 2, true }, { 0, 0, 0, false } }, /* a null elsewhere */
        { { 0, 1, 2, true }, { 0, 0, 0, false }, { 0, 1, 1, true } }, /* another order */
        { { 0, 1, 1, true }, { 0, 0, 0, false }, { 0, 1, 3, true } }, /* another value */
        { { 0, 1, 1, true }, { 0, 1, 1, true }, { 0, 1, 2, true } },  /* one for a null */
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(rows); i++)
        for (size_t k = 0; k < RC_ARRAY_LEN(rows); k++)
            assert_int_equal(are_alike(&text, rows[i], 3, rows[k], 3), i == k);
    assert_false(are_alike(&text, rows[0], 3, rows[0], 2)); /* a row less, and that a null */
}

static void test_other_lists_of_the_same_values_give_another(void **state)
{
    (void)state;
    static const struct drawn_column list = {
        .path = "l.i", .levels = "o*", .type = PQ_BYTE_ARRAY, .encoding = PQ_PLAIN, .distinct = 9
    };
    static const struct drawn_cell rows[][3] = {
        { { 0, 2, 1, true }, { 1, 2, 2, true }, { 0, 2, 3, true } },  /* [1, 2], [3] */
        { { 0, 2, 1, true }, { 0, 2, 2, true }, { 1, 2, 3, true } },  /* [1], [2, 3] */
        { { 0, 2, 1, true }, { 1, 2, 2, true }, { 0, 1, 0, false } }, /* [1, 2], [] */
        { { 0, 2, 1, true }, { 1, 2, 2, true }, { 0, 0, 0, false } }, /* [1, 2], null */
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(rows); i++)
        for (size_t k = 0; k < RC_ARRAY_LEN(rows); k++)
            assert_int_equal(are_alike(&list, rows[i], 3, rows[k], 3), i == k);
}

/* Only what stays counts, so that rows left out and rows that never were are the same. */
static void test_rows_left_out_do_not_count(void **state)
{
    (void)state;
    static const struct drawn_column text = {
        .path = "t", .levels = "o", .type = PQ_BYTE_ARRAY, .encoding = PQ_PLAIN, .distinct = 9
    };
    static const struct drawn_cell cells[] = {
        { 0, 1, 1, true }, { 0, 1, 2, true }, { 0, 0, 0, false }, { 0, 1, 3, true }
    };
    static const int64_t rows[] = { 0, 1 };
    const struct pq_rows without = { .rows = rows, .len = 2 };
    DRAWN_AUTO whole = { .columns = NULL };
    DRAWN_AUTO rest = { .columns = NULL };
    RC_BUF_AUTO(whole_digest, LIMIT);
    RC_BUF_AUTO(rest_digest, LIMIT);

    draw(&whole, &text, cells, 4);
    draw(&rest, &text, cells + 2, 2);
    digest(&whole, &without, &whole_digest);
    digest(&rest, &none, &rest_digest);
    assert_true(is_same(&whole_digest, &rest_digest));
    digest(&whole, &none, &whole_digest);
    assert_false(is_same(&whole_digest, &rest_digest));
}

/*
 * A byte of the new file is another one when it is read again. Whatever byte it is of a chunk that
 * was copied, that is noticed; of one that was rewritten, whatever value it changes.
 */
static void test_what_differs_when_read_again_is_noticed(void **state)
{
    (void)state;
    static const struct drawn_column columns[] = {
        { .path = "number", .levels = "r", .type = PQ_INT64, .distinct = 1000, .page_levels = 5 },
        { .path = "text",
          .levels = "o",
          .type = PQ_BYTE_ARRAY,
          .distinct = 90,
          .codec = PQ_SNAPPY },
    };
    static const int64_t row = 3;
    const struct pq_rows without = { .rows = &row, .len = 1 };
    struct chance chance = { 13 };
    DRAWN_AUTO drawn = {
        .columns = columns, .column_count = 2, .group_count = 2, .group_rows = { 12, 9 }
    };
    RC_BUF_AUTO(bytes, LIMIT);
    RC_BUF_AUTO(seen, LIMIT);
    struct memory old_memory = { .bytes = &drawn.bytes }, memory = { .bytes = &bytes };
    struct pq_sink sink = memory_sink(&memory);
    struct rc_error err = RC_ERROR_INIT;
    struct pq_rewritten done;
    size_t differing;
    FILE_AUTO old;
    FILE_AUTO file;

    drawn_file(&drawn, &chance);
    memory_open(&old_memory, &old);
    assert_int_equal(pq_rewrite(&old, &without, &sink, &seen, &done, &err), RC_OK);
    memory_open(&memory, &file);
    for (size_t column = 0; column < 2; column++) {
        const struct pq_chunk *cut = &file.groups[0].chunks[column],
                              *copied = &file.groups[1].chunks[column];

        for (int64_t at = copied->start; at < copied->start + copied->len; at++) {
            bytes.data[at] ^= 1;
            assert_int_equal(pq_reread(&old, &without, &seen, &file, &differing, &err), RC_OK);
            assert_int_equal(differing, column);
            bytes.data[at] ^= 1;
        }
        bytes.data[cut->start + cut->len - 1] ^= 1; /* of the last value */
        assert_int_equal(pq_reread(&old, &without, &seen, &file, &differing, &err), RC_OK);
        assert_int_equal(differing, column);
        bytes.data[cut->start + cut->len - 1] ^= 1;
    }
    assert_int_equal(pq_reread(&old, &without, &seen, &file, &differing, &err), RC_OK);
    assert_int_equal(differing, 2);
    /* A file of other row groups than were seen. */
    assert_int_equal(pq_reread(&old, &without, &seen, &old, &differing, &err), RC_OK);
    assert_int_equal(differing, 0);
    rc_buf_truncate(&seen, seen.len / 2);
    assert_int_equal(pq_reread(&old, &without, &seen, &file, &differing, &err), RC_INVALID);
}

static void test_a_failing_source_is_told(void **state)
{
    (void)state;
    static const struct drawn_column column = {
        .path = "l.i", .levels = "o*", .type = PQ_INT32, .encoding = PQ_PLAIN, .distinct = 9
    };
    struct chance chance = { 3 };
    DRAWN_AUTO drawn = {
        .columns = &column, .column_count = 1, .group_count = 2, .group_rows = { 9, 9 }
    };
    struct memory memory = { .bytes = &drawn.bytes };
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(out, LIMIT);
    FILE_AUTO file;

    drawn_file(&drawn, &chance);
    memory_open(&memory, &file);
    for (int n = 1; n <= 2; n++) {
        memory.calls = 0;
        memory.fails_at = n;
        assert_int_equal(pq_digest(&file, &none, &out, &err), RC_UNAVAILABLE);
        assert_non_null(strstr(err.context, "take the digest of 'memory': row group "));
    }
    memory.calls = 0;
    memory.fails_at = 3;
    assert_int_equal(pq_digest(&file, &none, &out, &err), RC_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_rows_give_the_same),
        cmocka_unit_test(test_other_values_give_another),
        cmocka_unit_test(test_other_lists_of_the_same_values_give_another),
        cmocka_unit_test(test_rows_left_out_do_not_count),
        cmocka_unit_test(test_what_differs_when_read_again_is_noticed),
        cmocka_unit_test(test_a_failing_source_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
