/*
 * Files of some columns alone: their values as they were, and nothing by which a reader could skip
 * any of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parquet_drawn.h"

#include <string.h>

enum { LIMIT = 64 << 20 };

static const struct drawn_column columns[] = {
    { .path = "id",
      .levels = "o",
      .type = PQ_BYTE_ARRAY,
      .encoding = PQ_RLE_DICTIONARY,
      .distinct = 50,
      .codec = PQ_SNAPPY,
      .page_levels = 30,
      .is_text = true,
      .has_statistics = true,
      .has_sizes = true,
      .has_index = true,
      .has_bloom = true },
    { .path = "big",
      .levels = "r",
      .type = PQ_INT64,
      .encoding = PQ_PLAIN,
      .distinct = 1000,
      .has_index = true },
    { .path = "user.account.id",
      .levels = "oro",
      .type = PQ_INT64,
      .encoding = PQ_DELTA_BINARY_PACKED,
      .distinct = 1000,
      .codec = PQ_ZSTD,
      .has_statistics = true,
      .has_bloom = true },
    { .path = "list.item", .levels = "o*", .type = PQ_FIXED, .width = 5, .distinct = 100 },
};

static void project(struct drawn *drawn, const size_t *which, size_t count, struct rc_buf *out)
{
    struct memory memory = { .bytes = &drawn->bytes }, to = { .bytes = out };
    struct pq_sink sink = memory_sink(&to);
    struct rc_error err = RC_ERROR_INIT;
    FILE_AUTO file;

    memory_open(&memory, &file);
    if (pq_project(&file, which, count, &sink, &err))
        fail_msg("%s: %s", err.context, err.cause);
}

/* What the columns that stay are in the drawn rows, so that the file can be compared with them. */
static void check_columns(const struct drawn *drawn, const size_t *which, size_t count,
                          const struct pq_file *file)
{
    const struct pq_rows none = { .len = 0 };
    struct drawn_column kept[DRAWN_COLUMNS];
    struct drawn part = { .columns = kept, .column_count = count };

    assert_int_equal(file->column_count, count);
    for (size_t i = 0; i < count; i++) {
        kept[i] = drawn->columns[which[i]];
        part.cells[i].cells = drawn->cells[which[i]].cells;
        part.cells[i].len = drawn->cells[which[i]].len;
        assert_string_equal(file->columns[i].path, kept[i].path);
    }
    drawn_check(&part, &none, file);
}

static void test_the_columns_are_the_same(void **state)
{
    (void)state;
    static const struct {
        size_t which[4], count;
    } cases[] = {
        { { 0 }, 1 }, { { 2 }, 1 }, { { 3 }, 1 }, { { 0, 2 }, 2 }, { { 0, 1, 2, 3 }, 4 }
    };
    struct chance chance = { 1 };
    DRAWN_AUTO drawn = {
        .columns = columns, .column_count = 4, .group_count = 2, .group_rows = { 100, 20 }
    };

    drawn_file(&drawn, &chance);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_BUF_AUTO(bytes, LIMIT);
        struct memory memory = { .bytes = &bytes };
        FILE_AUTO file;

        project(&drawn, cases[i].which, cases[i].count, &bytes);
        memory_open(&memory, &file);
        assert_int_equal(file.group_count, 2);
        assert_int_equal(file.groups[0].row_count, 100);
        check_columns(&drawn, cases[i].which, cases[i].count, &file);
    }
}

static void assert_fields(const struct pq_node *record, int16_t last, const char *which)
{
    for (int16_t id = 1; id <= last; id++) {
        bool is_there = false;

        for (size_t i = 0; i < record->list.len; i++)
            is_there = is_there || record->list.items[i].id == id;
        assert_int_equal(is_there, which[id - 1] == '+');
    }
}

/*
 * Fields that are there by their number: neither annotations nor what would let a reader skip, but
 * of a chunk without rows, too, the place of its data, without which readers refuse it.
 */
static void test_nothing_lets_a_reader_skip(void **state)
{
    (void)state;
    static const size_t which[] = { 0, 2 };
    struct chance chance = { 1 };
    DRAWN_AUTO drawn = {
        .columns = columns, .column_count = 4, .group_count = 2, .group_rows = { 100, 0 }
    };
    RC_BUF_AUTO(bytes, LIMIT);
    struct memory memory = { .bytes = &bytes };
    FILE_AUTO file;
    const struct pq_node *schema;

    drawn_file(&drawn, &chance);
    project(&drawn, which, 2, &bytes);
    memory_open(&memory, &file);
    assert_fields(&file.root, 9, "++++-+---");
    for (size_t group = 0; group < 2; group++) {
        const struct pq_group *at = &file.groups[group];

        assert_fields(at->node, 7, "+++----");
        assert_fields(at->chunks[0].node, 10, "-++-------");
        assert_fields(at->chunks[1].node, 10, "-++-------");
        assert_fields(at->chunks[0].meta, 18, "+++++++-+-+-------");
        assert_fields(at->chunks[1].meta, 18, "+++++++-+---------");
    }
    schema = pq_field(&file.root, 2, PQ_KIND_LIST);
    assert_int_equal(schema->list.len, 5);
    assert_fields(&schema->list.items[0], 10, "---++-----"); /* the root: its name, its members */
    assert_fields(&schema->list.items[1], 10, "+-++------");
    assert_fields(&schema->list.items[2], 10, "--+++-----");
    assert_fields(&schema->list.items[4], 10, "+-++------");
    assert_int_equal(pq_field_int(&schema->list.items[0], 5, -1), 2);
}

static void test_a_column_that_cannot_be_read_is_refused(void **state)
{
    (void)state;
    static const size_t first = 0, second = 1;
    struct drawn_column two[] = { columns[0], columns[1] };
    struct chance chance = { 1 };
    DRAWN_AUTO drawn = {
        .columns = two, .column_count = 2, .group_count = 1, .group_rows = { 10 }
    };
    struct memory memory = { .bytes = &drawn.bytes };
    RC_BUF_AUTO(bytes, LIMIT);
    struct memory to = { .bytes = &bytes };
    struct pq_sink sink = memory_sink(&to);
    struct rc_error err = RC_ERROR_INIT;
    FILE_AUTO file;

    two[0].is_encrypted = true;
    drawn_file(&drawn, &chance);
    memory_open(&memory, &file);
    assert_int_equal(pq_project(&file, &first, 1, &sink, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "the column 'id' is encrypted"));
    assert_int_equal(pq_project(&file, &second, 1, &sink, &err), RC_OK);
}

static void test_a_failing_source_or_sink_is_told(void **state)
{
    (void)state;
    static const size_t which = 2;
    struct chance chance = { 1 };
    DRAWN_AUTO drawn = {
        .columns = columns, .column_count = 3, .group_count = 2, .group_rows = { 10, 10 }
    };
    struct memory memory = { .bytes = &drawn.bytes };
    RC_BUF_AUTO(bytes, LIMIT);
    FILE_AUTO file;

    drawn_file(&drawn, &chance);
    memory_open(&memory, &file);
    for (int side = 0; side < 2; side++) {
        int n = 1;

        for (;; n++) {
            struct memory to = { .bytes = &bytes, .fails_at = side ? n : 0 };
            struct pq_sink sink = memory_sink(&to);
            struct rc_error err = RC_ERROR_INIT;

            memory.calls = 0;
            memory.fails_at = side ? 0 : n;
            if (pq_project(&file, &which, 1, &sink, &err) == RC_OK)
                break;
            assert_int_equal(err.code, RC_UNAVAILABLE);
            assert_non_null(strstr(err.context, "project 'memory'"));
        }
        assert_int_equal(n, side ? 5 : 3); /* the head, two chunks, the footer; two chunks */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_columns_are_the_same),
        cmocka_unit_test(test_nothing_lets_a_reader_skip),
        cmocka_unit_test(test_a_column_that_cannot_be_read_is_refused),
        cmocka_unit_test(test_a_failing_source_or_sink_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
