/*
 * Tables of a session that are no files: of a query, of rows, of a catalogue; and what is told of
 * an engine before a session is opened.
 */
#include "sql_fixture.h"

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdio.h>
#include <string.h>

static int64_t must_make(struct fixture *f, const char *table, const char *query)
{
    int64_t rows = -1;

    if (f->sql->ops->make(f->sql, table, query, NULL, 0, &rows, &f->err))
        fail_msg("%s: %s", f->err.context, f->err.cause);
    return rows;
}

/* ---- rows of a test ------------------------------------------------------------------------- */

struct supply {
    const struct rc_value *cells;
    size_t columns, rows, next;
    size_t repeat;     /* the last row, so many times */
    enum rc_code code; /* at the end */
};

static enum rc_code supply_next(void *context, const struct rc_value **row, struct rc_error *err)
{
    struct supply *supply = context;

    *row = NULL;
    if (supply->next == supply->rows && supply->repeat > 0) {
        supply->repeat--;
        supply->next--;
    }
    if (supply->next < supply->rows) {
        *row = supply->cells + supply->columns * supply->next++;
        return RC_OK;
    }
    return supply->code ? rc_fail(err, supply->code, "the rows broke off") : RC_OK;
}

static const struct rc_sql_column all_types[] = {
    { "t", "varchar" }, { "i \"x\"", "BIGINT" }, { "d", "double" }, { "b", "boolean" }
};

static enum rc_code load(struct fixture *f, const struct rc_sql_column *columns, size_t count,
                         struct supply *supply)
{
    const struct rc_sql_rows rows = { supply_next, supply };

    supply->columns = count;
    return f->sql->ops->load(f->sql, "t", columns, count, &rows, &f->err);
}

/* ---- make ----------------------------------------------------------------------------------- */

static void a_table_is_made_of_a_query_with_parameters(void **state)
{
    struct fixture *f = *state;
    const struct rc_value params[] = { rc_value_int(3), rc_value_text("it's") };
    int64_t rows = 0;

    assert_int_equal(f->sql->ops->make(f->sql, "a \"b\"", "SELECT i, $2 AS t FROM range($1) t(i)",
                                       params, 2, &rows, &f->err),
                     RC_OK);
    assert_int_equal(rows, 3);
    assert_rows(f, "SELECT * FROM \"a \"\"b\"\"\" ORDER BY i", "0|'it's'\n1|'it's'\n2|'it's'\n");
}

static void a_table_replaces_a_table_a_view_and_itself(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(must_make(f, "t", "SELECT 1 AS a"), 1);
    assert_int_equal(must_make(f, "t", "SELECT a + 1 AS a FROM t UNION ALL SELECT 5"), 2);
    assert_rows(f, "SELECT a FROM t ORDER BY a", "2\n5\n");
    fixture_exec(f, "CREATE TEMP VIEW v AS SELECT 7 AS a");
    assert_int_equal(must_make(f, "V", "SELECT a FROM v WHERE false"), 0);
    assert_rows(f, "SELECT count(*) FROM v", "0\n");
    assert_int_equal(f->sql->ops->drop(f->sql, "t", &f->err), RC_OK);
    assert_fails(f, "SELECT * FROM t", RC_INVALID, "t");
}

static void a_query_that_fails_leaves_the_older_table(void **state)
{
    struct fixture *f = *state;

    must_make(f, "t", "SELECT 1 AS a");
    assert_int_equal(
        f->sql->ops->make(f->sql, "t", "SELECT error('no') AS a", NULL, 0, NULL, &f->err),
        RC_FAILED);
    assert_non_null(strstr(f->err.context, "make table 't'"));
    assert_rows(f, "SELECT a FROM t", "1\n");
    assert_rows(f, "SELECT count(*) FROM duckdb_tables() WHERE NOT temporary", "1\n");
}

/* ---- load ----------------------------------------------------------------------------------- */

static void rows_of_all_types_are_loaded(void **state)
{
    struct fixture *f = *state;
    const struct rc_value cells[] = {
        rc_value_text("caf\xc3\xa9, \"quoted\"\n"),
        rc_value_int(INT64_MIN),
        rc_value_float(0.1),
        rc_value_bool(true),
        rc_value_text(""),
        rc_value_int(INT64_MAX),
        rc_value_float(-0.0),
        rc_value_bool(false),
        rc_value_null(),
        rc_value_null(),
        rc_value_null(),
        rc_value_null(),
    };
    struct supply supply = { .cells = cells, .rows = 3 };

    must_make(f, "t", "SELECT 1 AS older");
    assert_int_equal(load(f, all_types, 4, &supply), RC_OK);
    assert_rows(f, "SELECT * FROM t ORDER BY rowid",
                "'caf\xc3\xa9, \"quoted\"\n'|-9223372036854775808|0.10000000000000001|true\n"
                "''|9223372036854775807|-0|false\n-|-|-|-\n");
    assert_rows(f, "SELECT DISTINCT typeof(t), typeof(d), typeof(b) FROM t",
                "'VARCHAR'|'DOUBLE'|'BOOLEAN'\n");
}

static void no_rows_are_a_table_too(void **state)
{
    struct fixture *f = *state;
    struct supply supply = { .rows = 0 };

    assert_int_equal(load(f, all_types, 4, &supply), RC_OK);
    assert_rows(f, "SELECT count(*) FROM t", "0\n");
}

static void many_rows_are_loaded(void **state)
{
    struct fixture *f = *state;
    const struct rc_value cells[] = { rc_value_text("a longer text than fits in place") };
    struct supply supply = { .cells = cells, .rows = 1, .repeat = 499999 };

    assert_int_equal(load(f, all_types, 1, &supply), RC_OK);
    assert_rows(f, "SELECT count(*), count(DISTINCT t) FROM t", "500000|1\n");
}

static void rows_that_break_off_leave_the_older_table(void **state)
{
    struct fixture *f = *state;
    const struct rc_value cells[] = { rc_value_text("x") };
    struct supply supply = { .cells = cells, .rows = 1, .code = RC_UNAVAILABLE };

    must_make(f, "t", "SELECT 1 AS older");
    assert_int_equal(load(f, all_types, 1, &supply), RC_UNAVAILABLE);
    assert_error(f, RC_UNAVAILABLE, "the rows broke off");
    assert_rows(f, "SELECT older FROM t", "1\n");
    assert_rows(f, "SELECT count(*) FROM duckdb_tables() WHERE NOT temporary", "1\n");
}

static void values_that_do_not_fit_their_column_are_refused(void **state)
{
    static const struct rc_sql_column dates[] = { { "d", "date" } };
    struct fixture *f = *state;
    const struct rc_value number[] = { rc_value_int(1) };
    const struct rc_value bytes[] = { rc_value_bytes("x", 1) };
    const struct rc_value broken[] = { rc_value_text("\xff") };
    struct supply supply = { .cells = number, .rows = 1 };

    assert_int_equal(load(f, all_types, 1, &supply), RC_INVALID);
    assert_error(f, RC_INVALID, "'t' is not of its type, varchar");
    supply = (struct supply){ .cells = bytes, .rows = 1 };
    assert_int_equal(load(f, all_types, 1, &supply), RC_INVALID);
    supply = (struct supply){ .cells = broken, .rows = 1 };
    assert_int_equal(load(f, all_types, 1, &supply), RC_INVALID);
    assert_error(f, RC_INVALID, "is not UTF-8");
    supply = (struct supply){ .rows = 0 };
    assert_int_equal(load(f, dates, 1, &supply), RC_INVALID);
    assert_error(f, RC_INVALID, "the column 'd' has the type 'date'");
}

static void loading_ends_when_the_run_is_to_stop(void **state)
{
    struct fixture *f = *state;
    const struct rc_value cells[] = { rc_value_text("x") };
    struct supply supply = { .cells = cells, .rows = 1, .repeat = SIZE_MAX / 2 };

    core_cancel_request(&f->cancel, RC_TIMEOUT);
    assert_int_equal(load(f, all_types, 1, &supply), RC_TIMEOUT);
}

/* ---- catalogue, texts, what the engine is ---------------------------------------------------- */

static void what_takes_a_catalogue_is_not_supported(void **state)
{
    struct fixture *f = *state;
    const struct rc_sql_lookup search = { .size = sizeof(search), .table = "t", .condition = "" };
    struct rc_rows *rows;

    assert_int_equal(f->sql->ops->refer(f->sql, "t", "db", "events", &f->err), RC_UNSUPPORTED);
    assert_error(f, RC_UNSUPPORTED, "'db.events'");
    assert_int_equal(f->sql->ops->search(f->sql, &search, &rows, &f->err), RC_UNSUPPORTED);
    assert_error(f, RC_UNSUPPORTED, "table 't'");
}

static enum rc_code publish(struct fixture *f, const char *location, const char *type)
{
    const struct rc_sql_column columns[] = { { "a", type } };
    const struct rc_sql_column partitions[] = { { "day", "date" } };
    const char *const locations[] = { location };
    const struct rc_sql_table table = {
        .name = "x",
        .locations = locations,
        .location_count = 1,
        .columns = columns,
        .column_count = 1,
        .partitions = partitions,
        .partition_count = 1,
    };

    return f->sql->ops->publish(f->sql, "db", &table, &f->err);
}

static void a_table_for_others_is_looked_at_and_not_left(void **state)
{
    struct fixture *f = *state;

    fixture_file(f, "ok/day=2026-01-01/a.parquet", "x");
    fixture_file(f, "ok/_SUCCESS", "");
    fixture_file(f, "flat/a.parquet", "x");
    fixture_file(f, "odd/day=2026-01-01/a.txt", "x");
    assert_int_equal(publish(f, fixture_uri(f, "ok/"), "bigint"), RC_OK);
    assert_int_equal(publish(f, fixture_uri(f, "none/"), "bigint"), RC_OK);
    assert_rows(f, "SELECT count(*) FROM duckdb_views() WHERE view_name = 'x'", "0\n");
    assert_int_equal(publish(f, fixture_uri(f, "flat/"), "bigint"), RC_INVALID);
    assert_error(f, RC_INVALID, "no folder 'day=...' is on the way");
    assert_non_null(strstr(f->err.context, "publish table 'db.x'"));
    assert_int_equal(publish(f, fixture_uri(f, "odd/"), "bigint"), RC_INVALID);
    assert_int_equal(publish(f, fixture_uri(f, "ok/"), "text"), RC_INVALID);
}

static void texts_of_statements(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(text, 1000);

    must_make(f, "a \"b\"", "SELECT 'caf\xc3\xa9' AS t UNION ALL SELECT NULL");
    rc_buf_adds(&text, "SELECT ");
    f->sql->ops->add_hex(f->sql, &text, "x.t");
    rc_buf_adds(&text, " FROM ");
    f->sql->ops->add_table(f->sql, &text, "a \"b\"");
    rc_buf_adds(&text, " AS x ORDER BY 1");
    assert_rows(f, text.data, "'636166c3a9'\n-\n");
}

static void an_engine_is_known_before_a_session_is_opened(void **state)
{
    struct fixture *f = *state;
    const struct core_store_settings store = { .name = "s", .bucket = "b", .url = "file:///srv/b" };
    struct core_storage *storage = core_storage_new(&store, 1, NULL, NULL);
    struct core_engine_view view;
    const struct rc_sql_engine *engine = &view.engine;

    assert_int_equal(core_engine_look(&f->settings, storage, &view, &f->err), RC_OK);
    assert_string_equal(engine->name, "test");
    assert_string_equal(engine->kind, "duckdb");
    assert_int_equal(engine->features, RC_SQL_FILES | RC_SQL_ORDERED | RC_SQL_CSV);
    assert_true(engine->reaches(engine, "s3://b/x/"));
    assert_true(engine->reaches(engine, "s3://elsewhere/x/"));
    assert_true(engine->reaches(engine, "store://s/x"));
    assert_true(engine->reaches(engine, "file:///tmp/"));
    assert_false(engine->reaches(engine, "hdfs://b/x"));
    assert_false(engine->reaches(engine, "store://nobody/x"));
    assert_false(engine->reaches(engine, "x"));
    core_storage_free(storage);
    f->settings.engine = "none";
    assert_int_equal(core_engine_look(&f->settings, NULL, &view, &f->err), RC_INVALID);
    assert_error(f, RC_INVALID, "there is no SQL engine 'none'; this build has: duckdb");
    f->settings.engine = "duckdb";
}

static void each_feature_has_one_text(void **state)
{
    uint32_t seen = 0;

    (void)state;
    for (const struct core_feature *feature = core_engine_features; feature->text; feature++) {
        assert_int_equal(seen & feature->feature, 0);
        seen |= feature->feature;
    }
    for (size_t i = 0; core_engine_at(i); i++) {
        assert_int_equal(core_engine_at(i)->features & ~seen, 0);
        assert_ptr_equal(core_engine_find(core_engine_at(i)->name), core_engine_at(i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(a_table_is_made_of_a_query_with_parameters),
        TEST(a_table_replaces_a_table_a_view_and_itself),
        TEST(a_query_that_fails_leaves_the_older_table),
        TEST(rows_of_all_types_are_loaded),
        TEST(no_rows_are_a_table_too),
        TEST(many_rows_are_loaded),
        TEST(rows_that_break_off_leave_the_older_table),
        TEST(values_that_do_not_fit_their_column_are_refused),
        TEST(loading_ends_when_the_run_is_to_stop),
        TEST(what_takes_a_catalogue_is_not_supported),
        TEST(a_table_for_others_is_looked_at_and_not_left),
        TEST(texts_of_statements),
        TEST(an_engine_is_known_before_a_session_is_opened),
        cmocka_unit_test(each_feature_has_one_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
