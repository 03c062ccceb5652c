/*
 * How egress cuts tables into COPY statements, and which of them make up which object.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plan.h>

#include <stdio.h>
#include <string.h>

enum { GIB_PAGES = 131072, PAGE = 8192 };

static struct egress_column columns[] = { { .name = "id" }, { .name = "odd \"name\"" } };

static const struct egress_config plain = {
    .compression = "gzip", .delimiter = ",", .null_string = "", .encoding = "UTF8"
};

struct world {
    struct egress_config config;
    struct egress_table tables[8];
    struct egress_catalog catalog;
    struct egress_plan plan;
    char text[65536];
};

static void clear(struct world *world)
{
    egress_plan_clear(&world->plan);
}

/* Named for what the test is about to do with it. */
#define WORLD(name)                                                                                \
    RC_CLEANUP(clear) struct world name = { .config = plain };                                     \
    name.catalog.tables = name.tables

static struct egress_table *add(struct world *world, struct egress_table table)
{
    table.schema = "public";
    table.relation = table.name;
    table.columns = columns;
    table.column_count = RC_ARRAY_LEN(columns);
    world->tables[world->catalog.count] = table;
    return &world->tables[world->catalog.count++];
}

static struct egress_leaf leaf_of(char *schema, char *relation, int64_t pages, double rows,
                                  bool has_ctids)
{
    return (struct egress_leaf){
        .schema = schema, .relation = relation, .pages = pages, .rows = rows, .has_ctids = has_ctids
    };
}

/* A plain table of so many pages, with one row on each. */
static struct egress_table *add_heap(struct world *world, char *name, struct egress_leaf *leaf,
                                     int64_t pages)
{
    *leaf = leaf_of("public", name, pages, (double)pages, true);
    return add(world, (struct egress_table){ .name = name,
                                             .leaves = leaf,
                                             .leaf_count = 1,
                                             .rows = leaf->rows,
                                             .bytes = pages * PAGE });
}

static enum rc_code make(struct world *world, struct rc_error *err)
{
    struct egress_layout layout;

    assert_int_equal(egress_layout_read("{date}/{table}", &layout, err), RC_OK);
    return egress_plan_make(&world->catalog, &world->config, &layout, &world->plan, err);
}

/* The plan as lines: "key: relation[from-to]* relation ...", a '*' where a header is. */
static const char *plan(struct world *world)
{
    struct rc_error err = RC_ERROR_INIT;
    size_t next = 0, len = 0;

    assert_int_equal(make(world, &err), RC_OK);
    for (size_t i = 0; i < world->plan.object_count; i++) {
        const struct egress_object *object = &world->plan.objects[i];

        assert_int_equal(object->first, next);
        next += object->count;
        len += (size_t)snprintf(world->text + len, sizeof(world->text) - len, "%s:", object->key);
        for (size_t j = object->first; j < next; j++) {
            const struct egress_piece *piece = &world->plan.pieces[j];
            char range[64] = "";

            if (piece->first_page != EGRESS_NO_PAGE && piece->end_page != EGRESS_NO_PAGE)
                (void)snprintf(range, sizeof(range), "[%d-%d]", (int)piece->first_page,
                               (int)piece->end_page);
            else if (piece->first_page != EGRESS_NO_PAGE)
                (void)snprintf(range, sizeof(range), "[%d-]", (int)piece->first_page);
            len += (size_t)snprintf(world->text + len, sizeof(world->text) - len, " %s%s%s",
                                    piece->leaf ? piece->leaf->relation : "all", range,
                                    piece->header ? "*" : "");
        }
        len += (size_t)snprintf(world->text + len, sizeof(world->text) - len, "\n");
        assert_true(len < sizeof(world->text));
    }
    assert_int_equal(next, world->plan.piece_count);
    return world->text;
}

static const char *sql(struct world *world, size_t piece)
{
    RC_BUF_AUTO(text, sizeof(world->text) - 1);

    egress_plan_sql(&world->plan.pieces[piece], &world->config, &text);
    memcpy(world->text, text.data, text.len + 1);
    return world->text;
}

/* ---- pieces ---- */

static void test_a_small_table_is_one_piece(void **state)
{
    (void)state;
    WORLD(world);
    struct egress_leaf leaves[2];
    add_heap(&world, "empty", &leaves[0], 0);
    add_heap(&world, "small", &leaves[1], 2048);
    assert_string_equal(plan(&world), "small.csv.gz: small\nempty.csv.gz: empty\n");
}

static void test_a_large_table_is_read_in_ranges_of_which_the_last_has_no_end(void **state)
{
    (void)state;
    WORLD(world);
    struct egress_leaf leaf;
    add_heap(&world, "t", &leaf, 5000);
    assert_string_equal(plan(&world), "t.csv.gz: t[0-1666] t[1666-3333] t[3333-]\n");
    assert_true(world.plan.objects[0].rows > 4999 && world.plan.objects[0].rows < 5001);
    assert_int_equal(world.plan.objects[0].bytes, 5000 * PAGE);
}

/* Neither gaps nor overlaps, whatever the size. */
static void test_ranges_cover_every_page_once(void **state)
{
    (void)state;
    static const int64_t sizes[] = { 2049, 4097, 65535, 1000003, GIB_PAGES * INT64_C(4096) };

    for (size_t i = 0; i < RC_ARRAY_LEN(sizes); i++) {
        WORLD(world);
        struct egress_leaf leaf;
        struct rc_error err = RC_ERROR_INIT;
        int64_t page = 0;

        add_heap(&world, "t", &leaf, sizes[i]);
        assert_int_equal(make(&world, &err), RC_OK);
        for (size_t j = 0; j < world.plan.piece_count; j++) {
            assert_int_equal(world.plan.pieces[j].first_page, page);
            page = world.plan.pieces[j].end_page;
            if (j + 1 < world.plan.piece_count)
                assert_in_range(page - world.plan.pieces[j].first_page, 1024, 2048);
        }
        assert_int_equal(page, EGRESS_NO_PAGE);
    }
}

/* A hundred pages that hold a gigabyte of long values are not one piece. */
static void test_long_values_make_ranges_smaller(void **state)
{
    (void)state;
    WORLD(world);
    struct egress_leaf leaf;
    add_heap(&world, "t", &leaf, 4)->bytes = INT64_C(1) << 30;
    assert_string_equal(plan(&world), "t.csv.gz: t[0-1] t[1-2] t[2-3] t[3-]\n");
    assert_int_equal(world.plan.objects[0].bytes, INT64_C(1) << 30);
}

static void test_a_heap_without_ranges_is_one_piece(void **state)
{
    (void)state;
    WORLD(world);
    struct egress_leaf leaf;
    add_heap(&world, "t", &leaf, GIB_PAGES);
    leaf.has_ctids = false; /* a server before 14 */
    assert_string_equal(plan(&world), "t.csv.gz: t\n");
}

static void test_a_partitioned_table_is_read_leaf_by_leaf(void **state)
{
    (void)state;
    WORLD(world);
    struct egress_leaf leaves[3] = {
        leaf_of("public", "p1", 100, 100, true),
        leaf_of("other", "p2", 3000, -1, true),
        leaf_of("public", "foreign", 0, -1, false),
    };
    add(&world, (struct egress_table){
                    .name = "p", .leaves = leaves, .leaf_count = 3, .rows = 100, .bytes = -1 });
    world.config.header = true;
    assert_string_equal(plan(&world), "p.csv.gz: p1* p2[0-1500] p2[1500-] foreign\n");
    assert_true(world.plan.objects[0].rows < 0);
    assert_string_equal(sql(&world, 2),
                        "COPY (SELECT \"id\", \"odd \"\"name\"\"\" FROM ONLY \"other\".\"p2\" "
                        "WHERE ctid >= '(1500,0)'::pg_catalog.tid) TO STDOUT WITH (FORMAT csv, "
                        "HEADER false, DELIMITER ',', NULL '', ENCODING 'UTF8')");
}

/* ---- objects ---- */

static void test_the_largest_table_comes_first_and_the_unknown_before_it(void **state)
{
    (void)state;
    WORLD(world);
    struct egress_leaf leaves[3];
    add_heap(&world, "small", &leaves[0], 1);
    add_heap(&world, "large", &leaves[1], 9);
    add(&world, (struct egress_table){ .name = "view", .rows = -1, .bytes = -1 });
    add_heap(&world, "other", &leaves[2], 1);
    assert_string_equal(plan(&world), "view.csv.gz: all\nlarge.csv.gz: large\n"
                                      "small.csv.gz: small\nother.csv.gz: other\n");
}

static void test_a_table_with_a_failure_is_left_out(void **state)
{
    (void)state;
    WORLD(world);
    struct egress_leaf leaves[2];
    struct rc_error failure = { .code = RC_DENIED };
    add_heap(&world, "a", &leaves[0], 1)->failure = &failure;
    add_heap(&world, "b", &leaves[1], 1);
    assert_string_equal(plan(&world), "b.csv.gz: b\n");
}

static void test_nothing_to_dump_is_an_empty_plan(void **state)
{
    (void)state;
    WORLD(world);
    assert_string_equal(plan(&world), "");
}

static void test_split_objects_are_leaves_and_groups_of_ranges(void **state)
{
    (void)state;
    WORLD(world);
    struct egress_leaf leaves[2] = {
        leaf_of("public", "p1", 10, 1000, true),
        leaf_of("public", "p2", GIB_PAGES / 2, 2000, true),
    };
    struct egress_leaf small;
    struct rc_error err = RC_ERROR_INIT;
    add(&world, (struct egress_table){
                    .name = "p", .leaves = leaves, .leaf_count = 2, .rows = 3000, .bytes = -1 });
    add_heap(&world, "s", &small, 1);
    world.config.split_objects = world.config.header = true;

    assert_int_equal(make(&world, &err), RC_OK);
    assert_int_equal(world.plan.object_count, 4);
    assert_string_equal(world.plan.objects[0].key, "p/part-00000.csv.gz");
    assert_int_equal(world.plan.objects[0].count, 1);
    assert_string_equal(world.plan.objects[2].key, "p/part-00002.csv.gz");
    assert_int_equal(world.plan.objects[2].first, 17); /* 256 MiB in ranges of 16 before it */
    assert_int_equal(world.plan.objects[2].count, 16);
    assert_string_equal(world.plan.objects[3].key, "s/part-00000.csv.gz");
    for (size_t i = 0; i < world.plan.piece_count; i++)
        assert_int_equal(world.plan.pieces[i].header, i == 0 || i == 1 || i == 17 || i == 33);
}

static void test_a_query_may_be_split_too(void **state)
{
    (void)state;
    WORLD(world);
    add(&world, (struct egress_table){ .name = "q", .query = "SELECT 1", .rows = -1, .bytes = -1 });
    world.config.split_objects = true;
    assert_string_equal(plan(&world), "q/part-00000.csv.gz: all\n");
}

static void test_two_tables_of_one_key_are_refused(void **state)
{
    (void)state;
    WORLD(world);
    struct egress_leaf leaves[2];
    struct rc_error err = RC_ERROR_INIT;
    add_heap(&world, "a", &leaves[0], 1);
    add_heap(&world, "a", &leaves[1], 2);
    assert_int_equal(make(&world, &err), RC_CONFLICT);
    assert_non_null(strstr(err.cause, "'a.csv.gz'"));
}

static void test_the_ending_says_the_compression(void **state)
{
    (void)state;
    static const char *const cases[][2] = { { "gzip:9", "t.csv.gz: all\n" },
                                            { "zstd", "t.csv.zst: all\n" },
                                            { "none", "t.csv: all\n" } };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        WORLD(world);
        add(&world, (struct egress_table){ .name = "t", .rows = -1, .bytes = -1 });
        world.config.compression = cases[i][0];
        assert_string_equal(plan(&world), cases[i][1]);
    }
    WORLD(world);
    struct rc_error err = RC_ERROR_INIT;
    world.config.compression = "lzma";
    assert_int_equal(make(&world, &err), RC_INVALID);
    assert_non_null(strstr(err.context, "'compression'"));
}

/* ---- statements ---- */

static void test_options_are_quoted(void **state)
{
    (void)state;
    WORLD(world);
    add(&world, (struct egress_table){ .name = "V \"x\"", .rows = -1, .bytes = -1 });
    world.config.header = world.config.force_quote = true;
    world.config.delimiter = "'";
    world.config.null_string = "it's \\N";
    world.config.encoding = "LATIN1";
    (void)plan(&world);
    assert_string_equal(
        sql(&world, 0),
        "COPY (SELECT \"id\", \"odd \"\"name\"\"\" FROM \"public\".\"V \"\"x\"\"\") "
        "TO STDOUT WITH (FORMAT csv, HEADER true, DELIMITER '''', NULL 'it''s \\N', "
        "ENCODING 'LATIN1', FORCE_QUOTE *)");
}

static void test_a_table_without_columns_has_rows_all_the_same(void **state)
{
    (void)state;
    WORLD(world);
    struct egress_leaf leaf;
    add_heap(&world, "none", &leaf, 1)->column_count = 0;
    (void)plan(&world);
    assert_string_equal(sql(&world, 0),
                        "COPY (SELECT FROM ONLY \"public\".\"none\") TO STDOUT WITH (FORMAT csv, "
                        "HEADER false, DELIMITER ',', NULL '', ENCODING 'UTF8')");
}

static void test_a_query_stands_as_it_is(void **state)
{
    (void)state;
    WORLD(world);
    add(&world,
        (struct egress_table){ .name = "q", .query = "SELECT 1 -- all", .rows = -1, .bytes = -1 });
    (void)plan(&world);
    assert_string_equal(sql(&world, 0),
                        "COPY (SELECT 1 -- all\n) TO STDOUT WITH (FORMAT csv, HEADER false, "
                        "DELIMITER ',', NULL '', ENCODING 'UTF8')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_table_is_one_piece),
        cmocka_unit_test(test_a_large_table_is_read_in_ranges_of_which_the_last_has_no_end),
        cmocka_unit_test(test_ranges_cover_every_page_once),
        cmocka_unit_test(test_long_values_make_ranges_smaller),
        cmocka_unit_test(test_a_heap_without_ranges_is_one_piece),
        cmocka_unit_test(test_a_partitioned_table_is_read_leaf_by_leaf),
        cmocka_unit_test(test_the_largest_table_comes_first_and_the_unknown_before_it),
        cmocka_unit_test(test_a_table_with_a_failure_is_left_out),
        cmocka_unit_test(test_nothing_to_dump_is_an_empty_plan),
        cmocka_unit_test(test_split_objects_are_leaves_and_groups_of_ranges),
        cmocka_unit_test(test_a_query_may_be_split_too),
        cmocka_unit_test(test_two_tables_of_one_key_are_refused),
        cmocka_unit_test(test_the_ending_says_the_compression),
        cmocka_unit_test(test_options_are_quoted),
        cmocka_unit_test(test_a_table_without_columns_has_rows_all_the_same),
        cmocka_unit_test(test_a_query_stands_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
