/*
 * Footers: columns and what their values are, row groups and chunks, and everything that a footer
 * may not say.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "parquet_maker.h"

#include <stdlib.h>
#include <string.h>

enum { FOOTER_LIMIT = 1 << 20, PAGE = 100 };

static enum rc_code finish(struct made *setting)
{
    struct pq_source source = maker_finish(&setting->maker);

    return pq_file_open(&setting->file, &source, FOOTER_LIMIT, &setting->err);
}

static void assert_refused(struct made *setting, enum rc_code code, const char *why)
{
    assert_int_equal(finish(setting), code);
    if (!strstr(setting->err.cause, why))
        fail_msg("'%s' does not say '%s'", setting->err.cause, why);
    assert_non_null(strstr(setting->err.context, "made.parquet"));
    assert_null(setting->file.footer);
}

/* One column of INT64 and one group of 10 rows; the chunk, which may then be spoilt. */
static struct pq_node *make_simple(struct made *setting)
{
    struct maker *maker = &setting->maker;
    RC_BUF_AUTO(pages, PAGE);

    memset(rc_buf_reserve(&pages, PAGE), 0, PAGE);
    rc_buf_added(&pages, PAGE);
    maker_element(maker, "schema", MAKER_GROUP, MAKER_REQUIRED, 1);
    maker_element(maker, "id", PQ_INT64, MAKER_OPTIONAL, 0);
    maker_group(maker, 10);
    return maker_chunk(maker, PQ_INT64, 10, &pages, 0);
}

static struct pq_node *element_of(struct made *setting, size_t index)
{
    return &pq_field(&setting->maker.root, 2, PQ_KIND_LIST)->list.items[index];
}

static void opens_a_simple_file(void **state)
{
    struct made *setting = *state;

    make_simple(setting);
    assert_int_equal(finish(setting), RC_OK);
    assert_int_equal(setting->file.column_count, 1);
    assert_int_equal(setting->file.group_count, 1);
    assert_int_equal(setting->file.row_count, 10);
    assert_false(setting->file.is_encrypted);
    assert_int_equal(setting->file.groups[0].row_count, 10);
    assert_int_equal(setting->maker.reads, 1);

    const struct pq_chunk *chunk = setting->file.groups[0].chunks;
    assert_int_equal(chunk->start, 4);
    assert_int_equal(chunk->len, PAGE);
    assert_int_equal(chunk->dictionary_len, 0);
    assert_int_equal(chunk->value_count, 10);
    assert_int_equal(chunk->bloom_offset, -1);
    assert_int_equal(chunk->bloom_len, -1);
    assert_int_equal(chunk->column_index_offset, -1);
    assert_int_equal(chunk->offset_index_offset, -1);
    assert_false(chunk->lies_elsewhere || chunk->is_encrypted);
    assert_int_equal(setting->file.data_end, 4 + PAGE);
}

static void accepts_a_file_of_nothing(void **state)
{
    struct made *setting = *state;
    struct pq_node *groups;

    maker_element(&setting->maker, "schema", MAKER_GROUP, MAKER_REQUIRED, 0);
    groups = pq_set(&setting->maker.tree, &setting->maker.root, 4, PQ_KIND_LIST);
    groups->value_kind = PQ_KIND_STRUCT;
    assert_int_equal(finish(setting), RC_OK);
    assert_int_equal(setting->file.column_count, 0);
    assert_int_equal(setting->file.group_count, 0);
    assert_int_equal(pq_file_column(&setting->file, ""), PQ_NO_COLUMN);
}

static void flattens_the_schema(void **state)
{
    static const struct {
        const char *path;
        int depth, definition, repetition;
    } expected[] = {
        { "plain", 1, 0, 0 },
        { "user.id", 2, 1, 0 },
        { "tags.list.element", 3, 3, 1 },
        { "map.key_value.key", 3, 2, 1 },
        { "map.key_value.value.a.b", 5, 5, 2 },
        { "old", 1, 1, 1 },
    };
    struct made *setting = *state;
    struct maker *maker = &setting->maker;
    RC_BUF_AUTO(pages, 1);

    maker_element(maker, "schema", MAKER_GROUP, MAKER_REQUIRED, 5);
    maker_element(maker, "plain", PQ_INT32, MAKER_REQUIRED, 0);
    maker_element(maker, "user", MAKER_GROUP, MAKER_OPTIONAL, 1);
    maker_element(maker, "id", PQ_BYTE_ARRAY, MAKER_REQUIRED, 0);
    maker_element(maker, "tags", MAKER_GROUP, MAKER_OPTIONAL, 1);
    maker_element(maker, "list", MAKER_GROUP, MAKER_REPEATED, 1);
    maker_element(maker, "element", PQ_BYTE_ARRAY, MAKER_OPTIONAL, 0);
    maker_element(maker, "map", MAKER_GROUP, MAKER_OPTIONAL, 1);
    maker_element(maker, "key_value", MAKER_GROUP, MAKER_REPEATED, 2);
    maker_element(maker, "key", PQ_BYTE_ARRAY, MAKER_REQUIRED, 0);
    maker_element(maker, "value", MAKER_GROUP, MAKER_OPTIONAL, 1);
    maker_element(maker, "a", MAKER_GROUP, MAKER_REPEATED, 1);
    maker_element(maker, "b", PQ_DOUBLE, MAKER_OPTIONAL, 0);
    maker_element(maker, "old", PQ_INT32, MAKER_REPEATED, 0);
    maker_group(maker, 0);
    for (size_t i = 0; i < RC_ARRAY_LEN(expected); i++) {
        static const enum pq_type types[] = { PQ_INT32,      PQ_BYTE_ARRAY, PQ_BYTE_ARRAY,
                                              PQ_BYTE_ARRAY, PQ_DOUBLE,     PQ_INT32 };
        maker_chunk(maker, types[i], 0, &pages, 0);
    }

    assert_int_equal(finish(setting), RC_OK);
    assert_int_equal(setting->file.column_count, RC_ARRAY_LEN(expected));
    for (size_t i = 0; i < RC_ARRAY_LEN(expected); i++) {
        const struct pq_column *column = &setting->file.columns[i];

        assert_string_equal(column->path, expected[i].path);
        assert_int_equal(column->depth, expected[i].depth);
        assert_int_equal(column->max_definition, expected[i].definition);
        assert_int_equal(column->max_repetition, expected[i].repetition);
        assert_int_equal(pq_file_column(&setting->file, expected[i].path), i);
    }
    assert_string_equal(setting->file.columns[4].names[3], "a");
    assert_int_equal(pq_file_column(&setting->file, "user"), PQ_NO_COLUMN);
}

static void finds_columns_as_engines_do(void **state)
{
    struct made *setting = *state;
    struct maker *maker = &setting->maker;
    static const char *const names[] = { "userId", "a.b", "Twice", "TWICE", "id", "ID" };
    RC_BUF_AUTO(pages, 1);

    maker_element(maker, "schema", MAKER_GROUP, MAKER_REQUIRED, 8);
    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        maker_element(maker, names[i], PQ_INT64, MAKER_OPTIONAL, 0);
    maker_element(maker, "c", MAKER_GROUP, MAKER_OPTIONAL, 1);
    maker_element(maker, "d", PQ_INT64, MAKER_OPTIONAL, 0);
    maker_element(maker, "c.d", PQ_INT64, MAKER_OPTIONAL, 0);
    maker_group(maker, 0);
    for (size_t i = 0; i < RC_ARRAY_LEN(names) + 2; i++)
        maker_chunk(maker, PQ_INT64, 0, &pages, 0);

    assert_int_equal(finish(setting), RC_OK);
    assert_int_equal(pq_file_column(&setting->file, "userId"), 0);
    assert_int_equal(pq_file_column(&setting->file, "userid"), 0);
    assert_int_equal(pq_file_column(&setting->file, "a.b"), 1);
    assert_int_equal(pq_file_column(&setting->file, "Twice"), 2);
    assert_int_equal(pq_file_column(&setting->file, "twice"), PQ_MANY_COLUMNS);
    assert_int_equal(pq_file_column(&setting->file, "ID"), 5);
    assert_int_equal(pq_file_column(&setting->file, "c.d"), PQ_MANY_COLUMNS);
    assert_int_equal(pq_file_column(&setting->file, "c"), PQ_NO_COLUMN);
}

struct annotated {
    enum pq_type type;
    int length;    /* of PQ_FIXED */
    int converted; /* -1: none */
    int logical;   /* 0: none */
    enum pq_order order;
    enum pq_meaning meaning;
    int width;
};

static const struct annotated annotated[] = {
    { PQ_BOOLEAN, 0, -1, 0, PQ_ORDER_UNSIGNED, PQ_MEANS_OTHER, 1 },
    { PQ_INT32, 0, -1, 0, PQ_ORDER_SIGNED, PQ_MEANS_INTEGER, 4 },
    { PQ_INT64, 0, 18, 0, PQ_ORDER_SIGNED, PQ_MEANS_INTEGER, 8 },
    { PQ_INT64, 0, 14, 0, PQ_ORDER_UNSIGNED, PQ_MEANS_INTEGER, 8 },
    { PQ_INT32, 0, 11, 10, PQ_ORDER_UNSIGNED, PQ_MEANS_INTEGER, 4 },
    { PQ_INT32, 0, 6, 6, PQ_ORDER_SIGNED, PQ_MEANS_OTHER, 4 },
    { PQ_INT64, 0, 10, 0, PQ_ORDER_SIGNED, PQ_MEANS_OTHER, 8 },
    { PQ_INT64, 0, -1, 8, PQ_ORDER_SIGNED, PQ_MEANS_OTHER, 8 },
    { PQ_INT32, 0, 5, 0, PQ_ORDER_SIGNED, PQ_MEANS_OTHER, 4 },
    { PQ_INT32, 0, -1, 99, PQ_ORDER_NONE, PQ_MEANS_OTHER, 4 },
    { PQ_INT32, 0, 0, 0, PQ_ORDER_NONE, PQ_MEANS_OTHER, 4 },
    { PQ_INT96, 0, -1, 0, PQ_ORDER_NONE, PQ_MEANS_OTHER, 12 },
    { PQ_FLOAT, 0, -1, 0, PQ_ORDER_FLOAT, PQ_MEANS_OTHER, 4 },
    { PQ_DOUBLE, 0, -1, 0, PQ_ORDER_FLOAT, PQ_MEANS_OTHER, 8 },
    { PQ_BYTE_ARRAY, 0, -1, 0, PQ_ORDER_BYTES, PQ_MEANS_BYTES, 0 },
    { PQ_BYTE_ARRAY, 0, 0, 1, PQ_ORDER_BYTES, PQ_MEANS_BYTES, 0 },
    { PQ_BYTE_ARRAY, 0, 4, 0, PQ_ORDER_BYTES, PQ_MEANS_BYTES, 0 },
    { PQ_BYTE_ARRAY, 0, 19, 0, PQ_ORDER_BYTES, PQ_MEANS_BYTES, 0 },
    { PQ_BYTE_ARRAY, 0, 5, 0, PQ_ORDER_DECIMAL, PQ_MEANS_OTHER, 0 },
    { PQ_BYTE_ARRAY, 0, -1, 17, PQ_ORDER_NONE, PQ_MEANS_OTHER, 0 },
    { PQ_BYTE_ARRAY, 0, 3, 3, PQ_ORDER_NONE, PQ_MEANS_OTHER, 0 },
    { PQ_FIXED, 16, -1, 14, PQ_ORDER_BYTES, PQ_MEANS_UUID, 16 },
    { PQ_FIXED, 8, -1, 14, PQ_ORDER_NONE, PQ_MEANS_OTHER, 8 },
    { PQ_FIXED, 5, -1, 0, PQ_ORDER_BYTES, PQ_MEANS_BYTES, 5 },
    { PQ_FIXED, 2, -1, 15, PQ_ORDER_FLOAT16, PQ_MEANS_OTHER, 2 },
    { PQ_FIXED, 12, 21, 0, PQ_ORDER_NONE, PQ_MEANS_OTHER, 12 },
    { PQ_FIXED, 9, 5, 5, PQ_ORDER_DECIMAL, PQ_MEANS_OTHER, 9 },
};

static void make_annotated(struct made *setting)
{
    struct maker *maker = &setting->maker;
    RC_BUF_AUTO(pages, 1);

    maker_element(maker, "schema", MAKER_GROUP, MAKER_REQUIRED, RC_ARRAY_LEN(annotated));
    for (size_t i = 0; i < RC_ARRAY_LEN(annotated); i++) {
        const struct annotated *one = &annotated[i];
        struct pq_node *element = maker_element(maker, "c", (int)one->type, MAKER_OPTIONAL, 0);

        if (one->length)
            maker_int(maker, element, 2, PQ_KIND_I32, one->length);
        if (one->converted >= 0)
            maker_int(maker, element, 6, PQ_KIND_I32, one->converted);
        if (one->logical) {
            struct pq_node *logical = maker_struct(maker, element, 10);
            struct pq_node *kind = maker_struct(maker, logical, (int16_t)one->logical);

            if (one->logical == 10)
                assert_non_null(pq_set(&maker->tree, kind, 2, PQ_KIND_FALSE));
        }
    }
    maker_group(maker, 0);
    for (size_t i = 0; i < RC_ARRAY_LEN(annotated); i++)
        maker_chunk(maker, annotated[i].type, 0, &pages, 0);
}

static void knows_what_values_are(void **state)
{
    struct made *setting = *state;

    make_annotated(setting);
    assert_int_equal(finish(setting), RC_OK);
    for (size_t i = 0; i < RC_ARRAY_LEN(annotated); i++) {
        const struct pq_column *column = &setting->file.columns[i];

        if (column->order != annotated[i].order || column->meaning != annotated[i].meaning ||
            column->width != annotated[i].width || column->has_order)
            fail_msg("column %zu: order %d, meaning %d, width %d", i, (int)column->order,
                     (int)column->meaning, (int)column->width);
        if (column->meaning == PQ_MEANS_INTEGER)
            assert_int_equal(column->is_signed, column->order == PQ_ORDER_SIGNED);
    }
}

static void takes_orders_from_the_footer(void **state)
{
    struct made *setting = *state;

    make_annotated(setting);
    /* The first two by their types, the next in another order; the others are not told of. */
    for (int i = 0; i < 3; i++)
        maker_struct(&setting->maker, maker_append(&setting->maker, &setting->maker.root, 7),
                     i < 2 ? 1 : 2);
    assert_int_equal(finish(setting), RC_OK);
    for (size_t i = 0; i < RC_ARRAY_LEN(annotated); i++) {
        const struct pq_column *column = &setting->file.columns[i];

        assert_int_equal(column->has_order, i < 2);
        assert_int_equal(column->order, i == 2 ? PQ_ORDER_NONE : annotated[i].order);
    }
}

static void places_dictionaries(void **state)
{
    /* Offsets of the data and of the dictionary, and where the chunk begins by them. */
    static const struct {
        int64_t data, dictionary, start, dictionary_len;
    } cases[] = {
        { 30, 4, 4, 26 }, { 4, 0, 4, 0 },    { 4, 4, 4, 0 },       { 4, 70, 4, 0 },
        { 4, -3, 4, 0 },  { 0, 4, 4, PAGE }, { 4, 1 << 20, 4, 0 },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        assert_int_equal(made_set_up(state), 0);
        struct made *setting = *state;
        struct pq_node *meta = maker_meta(make_simple(setting));

        maker_int(&setting->maker, meta, 9, PQ_KIND_I64, cases[i].data);
        maker_int(&setting->maker, meta, 11, PQ_KIND_I64, cases[i].dictionary);
        assert_int_equal(finish(setting), RC_OK);
        assert_int_equal(setting->file.groups[0].chunks[0].start, cases[i].start);
        assert_int_equal(setting->file.groups[0].chunks[0].dictionary_len, cases[i].dictionary_len);
        assert_int_equal(made_tear_down(state), 0);
    }
}

static void knows_which_writer_tells_too_short_chunks(void **state)
{
    /* The chunk is followed by 30 bytes, or by many. */
    static const struct {
        const char *created_by;
        size_t behind;
        int64_t slack;
    } cases[] = {
        { "parquet-mr version 1.2.8 (build x)", 30, 30 },
        { "parquet-mr version 1.2.8 (build x)", 1000, 100 },
        { "parquet-mr version 1.1.0", 1000, 100 },
        { "parquet-mr", 1000, 100 },
        { "parquet-mr version 1.2.9", 1000, 0 },
        { "parquet-mr version 1.13.1 (build x)", 1000, 0 },
        { "parquet-mr version 2.0.0", 1000, 0 },
        { "parquet-cpp-arrow version 1.0.0", 1000, 0 },
        { "", 1000, 0 },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        const char *by = cases[i].created_by;

        assert_int_equal(made_set_up(state), 0);
        struct made *setting = *state;
        make_simple(setting);
        maker_text(&setting->maker, &setting->maker.root, 6, by, strlen(by));
        memset(rc_buf_reserve(&setting->maker.bytes, cases[i].behind), 0, cases[i].behind);
        rc_buf_added(&setting->maker.bytes, cases[i].behind);
        assert_int_equal(finish(setting), RC_OK);
        assert_int_equal(setting->file.groups[0].chunks[0].len, PAGE);
        assert_int_equal(setting->file.groups[0].chunks[0].slack, cases[i].slack);
        assert_int_equal(made_tear_down(state), 0);
    }
}

static void tells_filters_and_indexes(void **state)
{
    struct made *setting = *state;
    struct pq_node *chunk = make_simple(setting);

    maker_int(&setting->maker, maker_meta(chunk), 14, PQ_KIND_I64, 40);
    maker_int(&setting->maker, maker_meta(chunk), 15, PQ_KIND_I32, 47);
    maker_int(&setting->maker, chunk, 4, PQ_KIND_I64, 50);
    maker_int(&setting->maker, chunk, 5, PQ_KIND_I32, 6);
    maker_int(&setting->maker, chunk, 6, PQ_KIND_I64, 60);
    maker_int(&setting->maker, chunk, 7, PQ_KIND_I32, 44);
    assert_int_equal(finish(setting), RC_OK);

    const struct pq_chunk *read = setting->file.groups[0].chunks;
    assert_int_equal(read->bloom_offset, 40);
    assert_int_equal(read->bloom_len, 47);
    assert_int_equal(read->offset_index_offset, 50);
    assert_int_equal(read->offset_index_len, 6);
    assert_int_equal(read->column_index_offset, 60);
    assert_int_equal(read->column_index_len, 44);
}

static void tells_what_is_encrypted_or_elsewhere(void **state)
{
    struct made *setting = *state;
    struct maker *maker = &setting->maker;
    struct pq_node *first = make_simple(setting);
    RC_BUF_AUTO(pages, PAGE);

    maker_text(maker, first, 9, "secret", 6);
    pq_drop(first, 3);
    maker_group(maker, 5);
    struct pq_node *second = maker_chunk(maker, PQ_INT64, 5, &pages, 0);
    maker_text(maker, second, 1, "part-0.parquet", 14);
    maker_int(maker, maker_meta(second), 9, PQ_KIND_I64, 1 << 30);
    maker_struct(maker, &maker->root, 8);
    maker_text(maker, &maker->root, 9, "k", 1);

    assert_int_equal(finish(setting), RC_OK);
    assert_true(setting->file.is_encrypted);
    assert_true(setting->file.groups[0].chunks[0].is_encrypted);
    assert_null(setting->file.groups[0].chunks[0].meta);
    assert_true(setting->file.groups[1].chunks[0].lies_elsewhere);
}

static void reads_a_long_footer_in_two(void **state)
{
    enum { LONG = 100000 };
    struct made *setting = *state;
    char *text = malloc(LONG);

    assert_non_null(text);
    memset(text, 'x', LONG);
    make_simple(setting);
    maker_text(&setting->maker, &setting->maker.root, 6, text, LONG);
    free(text);
    assert_int_equal(finish(setting), RC_OK);
    assert_int_equal(setting->maker.reads, 3); /* the end, the first four bytes, the rest */
    assert_true(setting->maker.read_bytes <= (int64_t)setting->maker.bytes.len + 4);
}

static void keeps_to_its_limit(void **state)
{
    struct made *setting = *state;

    make_simple(setting);
    struct pq_source source = maker_finish(&setting->maker);
    size_t footer_len = setting->maker.bytes.len - 12 - PAGE;

    assert_int_equal(pq_file_open(&setting->file, &source, footer_len - 1, &setting->err),
                     RC_TOO_LARGE);
    assert_int_equal(pq_file_open(&setting->file, &source, SIZE_MAX, &setting->err), RC_OK);
}

static void refuses_what_is_no_parquet_file(void **state)
{
    struct made *setting = *state;
    char *bytes;

    make_simple(setting);
    struct pq_source source = maker_finish(&setting->maker);
    size_t len = setting->maker.bytes.len;

    bytes = setting->maker.bytes.data;
    for (source.size_bytes = 0; source.size_bytes < (int64_t)len; source.size_bytes++)
        assert_int_equal(pq_file_open(&setting->file, &source, FOOTER_LIMIT, &setting->err),
                         RC_INVALID);
    bytes[3] = '2';
    assert_int_equal(pq_file_open(&setting->file, &source, FOOTER_LIMIT, &setting->err),
                     RC_INVALID);
    bytes[3] = '1';
    bytes[len - 1] = 'E';
    assert_int_equal(pq_file_open(&setting->file, &source, FOOTER_LIMIT, &setting->err),
                     RC_UNSUPPORTED);
    bytes[len - 1] = '1';
    bytes[len - 5] = '\x01'; /* the footer's length */
    assert_int_equal(pq_file_open(&setting->file, &source, FOOTER_LIMIT, &setting->err),
                     RC_INVALID);
    assert_true(pq_is_parquet((const uint8_t *)"PAR1", (const uint8_t *)"PAR1"));
    assert_true(pq_is_parquet((const uint8_t *)"PARE", (const uint8_t *)"PARE"));
    assert_false(pq_is_parquet((const uint8_t *)"PAR1", (const uint8_t *)"PARE"));
    assert_false(pq_is_parquet((const uint8_t *)"\0AR1", (const uint8_t *)"PAR1"));
}

/* ---- schemas that cannot be ------------------------------------------------------------------ */

static void no_schema(struct made *setting)
{
    pq_drop(&setting->maker.root, 2);
}

static void too_many_children(struct made *setting)
{
    maker_int(&setting->maker, element_of(setting, 0), 5, PQ_KIND_I32, 2);
}

static void too_few_children(struct made *setting)
{
    maker_int(&setting->maker, element_of(setting, 0), 5, PQ_KIND_I32, 0);
}

static void no_repetition(struct made *setting)
{
    pq_drop(element_of(setting, 1), 3);
}

static void no_name(struct made *setting)
{
    pq_drop(element_of(setting, 1), 4);
}

static void leaf_with_children(struct made *setting)
{
    maker_int(&setting->maker, element_of(setting, 1), 5, PQ_KIND_I32, 1);
}

static void unsaid_length(struct made *setting)
{
    maker_int(&setting->maker, element_of(setting, 1), 1, PQ_KIND_I32, PQ_FIXED);
}

static void new_type(struct made *setting)
{
    maker_int(&setting->maker, element_of(setting, 1), 1, PQ_KIND_I32, 8);
}

static void nul_in_name(struct made *setting)
{
    maker_text(&setting->maker, element_of(setting, 1), 4, "a\0b", 3);
}

static void only_groups(struct made *setting)
{
    pq_drop(element_of(setting, 1), 1);
}

static void refuses_schemas(void **state)
{
    static const struct {
        void (*spoil)(struct made *setting);
        enum rc_code code;
        const char *why;
    } cases[] = {
        { no_schema, RC_INVALID, "has no schema" },
        { too_many_children, RC_INVALID, "element 2 of the schema is missing" },
        { too_few_children, RC_INVALID, "element 1 of the schema is in no group" },
        { no_repetition, RC_INVALID, "neither required, optional nor repeated" },
        { no_name, RC_INVALID, "has no name" },
        { leaf_with_children, RC_INVALID, "both a type and members" },
        { unsaid_length, RC_INVALID, "a fixed length that is not said" },
        { new_type, RC_UNSUPPORTED, "of an unknown type" },
        { nul_in_name, RC_UNSUPPORTED, "a NUL byte in its name" },
        { only_groups, RC_INVALID, "it has 1 columns, the schema 0" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        assert_int_equal(made_set_up(state), 0);
        make_simple(*state);
        cases[i].spoil(*state);
        assert_refused(*state, cases[i].code, cases[i].why);
        assert_int_equal(made_tear_down(state), 0);
    }
}

static void refuses_a_schema_that_is_too_deep(void **state)
{
    enum { DEEP = 60, ROUNDS = 3 };
    struct made *setting = *state;
    struct pq_node *schema, *items;

    make_simple(setting);
    schema = pq_field(&setting->maker.root, 2, PQ_KIND_LIST);
    items = pq_tree_alloc(&setting->maker.tree, (DEEP * ROUNDS + 1) * sizeof(*items));
    assert_non_null(items);
    for (size_t i = 0; i < DEEP * ROUNDS; i++) {
        items[i] = schema->list.items[0]; /* a group of one */
    }
    items[DEEP * ROUNDS] = schema->list.items[1];
    schema->list.items = items;
    schema->list.len = DEEP * ROUNDS + 1;
    assert_refused(setting, RC_UNSUPPORTED, "nested too deep");
}

/* ---- row groups that cannot be --------------------------------------------------------------- */

static void refuses_row_groups(void **state)
{
    static const struct {
        bool of_chunk; /* else of its metadata */
        int16_t id;
        enum pq_kind kind;
        int64_t value;
        const char *why;
    } cases[] = {
        { false, 1, PQ_KIND_I32, PQ_INT32, "another type than in the schema" },
        { false, 4, PQ_KIND_I32, -1, "no codec" },
        { false, 5, PQ_KIND_I64, 9, "another number of values" },
        { false, 5, PQ_KIND_I64, 11, "another number of values" },
        { false, 5, PQ_KIND_I64, -1, "another number of values" },
        { false, 7, PQ_KIND_I64, -1, "pages outside" },
        { false, 7, PQ_KIND_I64, PAGE + 1, "pages outside" },
        { false, 7, PQ_KIND_I64, INT64_MAX, "pages outside" },
        { false, 9, PQ_KIND_I64, 3, "pages outside" },
        { false, 9, PQ_KIND_I64, 5, "pages outside" },
        { false, 9, PQ_KIND_I64, INT64_MAX, "pages outside" },
        { false, 9, PQ_KIND_I64, INT64_MIN, "pages outside" },
        { false, 14, PQ_KIND_I64, 1000, "a filter outside" },
        { true, 4, PQ_KIND_I64, 1000, "an index or" },
        { true, 6, PQ_KIND_I64, 1000, "an index or" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        assert_int_equal(made_set_up(state), 0);
        struct made *setting = *state;
        struct pq_node *chunk = make_simple(setting);

        if (cases[i].of_chunk)
            maker_int(&setting->maker, chunk, (int16_t)(cases[i].id + 1), PQ_KIND_I32, 10);
        maker_int(&setting->maker, cases[i].of_chunk ? chunk : maker_meta(chunk), cases[i].id,
                  cases[i].kind, cases[i].value);
        assert_refused(setting, RC_INVALID, cases[i].why);
        assert_non_null(strstr(setting->err.context, "row group 0"));
        assert_non_null(strstr(setting->err.cause, "'id'"));
        assert_int_equal(made_tear_down(state), 0);
    }
}

/*
 * Two groups, of which the second one's chunk begins so many bytes behind the first one's, or,
 * 'turned', the other way round; or it has no length at all.
 */
static void refuses_chunks_that_overlap(void **state)
{
    static const struct {
        int64_t apart, len;
        bool turned, fits;
    } cases[] = {
        { PAGE, PAGE, false, true },
        { PAGE, PAGE, true, true },
        { PAGE - 1, PAGE, false, false },
        { PAGE - 1, PAGE, true, false },
        { 0, PAGE, false, false },
        { 0, 0, false, true },
        { 1, 0, true, true },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        assert_int_equal(made_set_up(state), 0);
        struct made *setting = *state;
        struct maker *maker = &setting->maker;
        struct pq_node *meta[2] = { maker_meta(make_simple(setting)) };
        RC_BUF_AUTO(pages, PAGE);

        memset(rc_buf_reserve(&pages, PAGE), 0, PAGE);
        rc_buf_added(&pages, PAGE);
        maker_group(maker, 10);
        meta[1] = maker_meta(maker_chunk(maker, PQ_INT64, 10, &pages, 0));
        maker_int(maker, meta[cases[i].turned], 9, PQ_KIND_I64, 4);
        maker_int(maker, meta[!cases[i].turned], 9, PQ_KIND_I64, 4 + cases[i].apart);
        maker_int(maker, meta[!cases[i].turned], 7, PQ_KIND_I64, cases[i].len);
        if (cases[i].fits)
            assert_int_equal(finish(setting), RC_OK);
        else
            assert_refused(setting, RC_INVALID, "in common");
        assert_int_equal(made_tear_down(state), 0);
    }
}

static void refuses_dictionaries_longer_than_their_chunk(void **state)
{
    struct made *setting = *state;
    struct pq_node *meta = maker_meta(make_simple(setting));

    maker_int(&setting->maker, meta, 11, PQ_KIND_I64, 4);
    maker_int(&setting->maker, meta, 9, PQ_KIND_I64, 4 + PAGE + 1);
    assert_refused(setting, RC_INVALID, "pages outside");
}

static void refuses_counts_that_do_not_add_up(void **state)
{
    struct made *setting = *state;

    make_simple(setting);
    maker_int(&setting->maker, &setting->maker.root, 3, PQ_KIND_I64, 11);
    assert_refused(setting, RC_INVALID, "tells of 11 rows, its row groups of 10");
}

static void refuses_sums_beyond_all_numbers(void **state)
{
    struct made *setting = *state;
    struct maker *maker = &setting->maker;
    RC_BUF_AUTO(pages, 1);

    maker_element(maker, "schema", MAKER_GROUP, MAKER_REQUIRED, 1);
    maker_element(maker, "id", PQ_INT64, MAKER_OPTIONAL, 0);
    for (int i = 0; i < 2; i++) {
        struct pq_node *group = maker_group(maker, 0);

        maker_int(maker, group, 3, PQ_KIND_I64, INT64_MAX);
        maker_chunk(maker, PQ_INT64, INT64_MAX, &pages, 0);
    }
    assert_refused(setting, RC_INVALID, "number of rows cannot be");
}

static void refuses_groups_without_columns(void **state)
{
    struct made *setting = *state;

    make_simple(setting);
    maker_group(&setting->maker, 1);
    assert_refused(setting, RC_INVALID, "it has 0 columns, the schema 1");
}

static void passes_on_what_the_source_says(void **state)
{
    struct made *setting = *state;

    make_simple(setting);
    struct pq_source source = maker_finish(&setting->maker);

    setting->maker.bytes.len -= 1; /* the file became shorter meanwhile */
    assert_int_equal(pq_file_open(&setting->file, &source, FOOTER_LIMIT, &setting->err), RC_FAILED);
    assert_string_equal(setting->err.cause, "a read outside of the file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_MADE(opens_a_simple_file),
        IN_MADE(accepts_a_file_of_nothing),
        IN_MADE(flattens_the_schema),
        IN_MADE(finds_columns_as_engines_do),
        IN_MADE(knows_what_values_are),
        IN_MADE(takes_orders_from_the_footer),
        cmocka_unit_test(places_dictionaries),
        cmocka_unit_test(knows_which_writer_tells_too_short_chunks),
        IN_MADE(tells_filters_and_indexes),
        IN_MADE(tells_what_is_encrypted_or_elsewhere),
        IN_MADE(reads_a_long_footer_in_two),
        IN_MADE(keeps_to_its_limit),
        IN_MADE(refuses_what_is_no_parquet_file),
        cmocka_unit_test(refuses_schemas),
        IN_MADE(refuses_a_schema_that_is_too_deep),
        cmocka_unit_test(refuses_row_groups),
        cmocka_unit_test(refuses_chunks_that_overlap),
        IN_MADE(refuses_dictionaries_longer_than_their_chunk),
        IN_MADE(refuses_counts_that_do_not_add_up),
        IN_MADE(refuses_sums_beyond_all_numbers),
        IN_MADE(refuses_groups_without_columns),
        IN_MADE(passes_on_what_the_source_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
