/*
 * The search: places as servers write them, and how files are left out, many of them in several
 * statements.
 */
#include "presto_fixture.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

static void places_are_known_however_they_are_written(void **state)
{
    static const char *const inside[][3] = {
        { "s3://b/t/", "s3://b/t/x", "x" },
        { "s3://b/t/", "s3a://b/t/day=1/x y%41", "day=1/x y%41" },
        { "s3a://b/", "s3n://b//x", "/x" },
        { "file:///t/", "file:/t/x", "x" },
        { "file:///t/", "file:///t/x", "x" },
        { "file:/t/", "file://t/x", "x" },
        { "gs://b/t/", "gs://b/t/x", "x" },
    };
    static const char *const outside[][2] = {
        { "s3://b/t/", "s3://b/tt/x" }, { "s3://b/t/", "gs://b/t/x" },
        { "s3://b/t/", "file:/b/t/x" }, { "file:///t/", "file:/u/t/x" },
        { "file:///t/", "s3://t/x" },   { "s3://b/t/", "" },
        { "gs://b/t/", "s3a://b/t/x" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(inside); i++)
        assert_string_equal(core_presto_behind(inside[i][0], inside[i][1]), inside[i][2]);
    for (size_t i = 0; i < RC_ARRAY_LEN(outside); i++)
        assert_null(core_presto_behind(outside[i][0], outside[i][1]));
}

/* ---- a server that answers with rows of three columns ---------------------------------------- */

struct found_rows {
    struct rc_rows base;
    struct rc_value row[3];
    const char *const *paths; /* ends with NULL */
    int64_t count;
};

/* What the server has, the same for each statement; and the statements. */
static const char *const *server_paths;
static struct rc_buf statements = RC_BUF_INIT(1 << 20);
static size_t statement_count;
static enum rc_code fails_with;
static const char *fails_as;

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct found_rows *rows = (struct found_rows *)base;

    (void)err;
    *row = NULL;
    if (!*rows->paths)
        return RC_OK;
    rows->row[0] = rc_value_text(*rows->paths++);
    rows->row[1] = rc_value_int(++rows->count * 10);
    rows->row[2] = rc_value_int(rows->count);
    *row = rows->row;
    return RC_OK;
}

static size_t rows_columns(const struct rc_rows *base, const char *const **names)
{
    (void)base;
    (void)names;
    return 3;
}

static void rows_close(struct rc_rows *base)
{
    free(base);
}

static const struct rc_rows_api rows_api = { rows_next, rows_columns, rows_close };

static enum rc_code query(struct core_presto *session, const char *text, struct rc_rows **out,
                          struct rc_error *err)
{
    struct found_rows *rows;

    (void)session;
    rc_buf_addf(&statements, "%s\n", text);
    statement_count++;
    if (fails_with)
        return rc_fail(err, fails_with, "%s", fails_as);
    rows = rc_calloc(1, sizeof(*rows));
    rows->base.api = &rows_api;
    rows->paths = server_paths;
    *out = &rows->base;
    return RC_OK;
}

static void set_location(struct core_presto_location *out, const char *given, const char *there)
{
    out->given = rc_strdup(given);
    out->there = rc_strdup(there);
}

/* A table of two places, one within the other. */
static struct presto_fixture *with_table(void **state, bool has_paths)
{
    struct presto_fixture *f = *state;
    struct core_presto_table *table = rc_calloc(1, sizeof(*table));

    f->dialect.query = query;
    table->name = rc_strdup("t");
    table->from = rc_strdup("t");
    table->from_paths = has_paths ? rc_strdup("(TABLE)") : NULL;
    table->locations = rc_calloc(2, sizeof(*table->locations));
    table->location_count = 2;
    set_location(&table->locations[0], "s3://mine/a/", "s3://theirs/x/a/");
    set_location(&table->locations[1], "s3://mine/a/b/", "s3://theirs/x/a/b/");
    core_presto_keep(&f->session, table);
    rc_buf_reset(&statements);
    statement_count = 0;
    fails_with = RC_OK;
    return f;
}

static enum rc_code search(struct presto_fixture *f, const char *table, const char *const *except,
                           size_t count, struct rc_buf *found)
{
    const struct rc_sql_lookup search = {
        .size = sizeof(search),
        .table = table,
        .condition = "id = 5",
        .except = except,
        .except_count = count,
    };
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);
    enum rc_code code = core_presto_search(&f->session.base, &search, &rows, &f->err);

    while (!code && !(code = rc_rows_next(rows, &row, &f->err)) && row)
        rc_buf_addf(found, "%s %d %d\n", row[0].text, (int)row[1].integer, (int)row[2].integer);
    return code;
}

static void files_come_as_their_locations_were_given(void **state)
{
    static const char *const paths[] = { "s3a://theirs/x/a/1.parquet",
                                         "s3://theirs/x/a/b/day=1/2 %41", NULL };
    static const char *const except[] = { "s3://mine/a/it's", "s3://elsewhere/x" };
    struct presto_fixture *f = with_table(state, true);
    RC_BUF_AUTO(found, 4096);

    server_paths = paths;
    assert_int_equal(search(f, "T", NULL, 0, &found), RC_OK);
    assert_string_equal(found.data, "s3://mine/a/1.parquet 10 1\ns3://mine/a/b/day=1/2 %41 20 2\n");
    assert_string_equal(statements.data, "SELECT \"$path\", count(*), count_if(id = 5) FROM "
                                         "(TABLE) AS t GROUP BY \"$path\"\n");
    rc_buf_reset(&statements);
    assert_int_equal(search(f, "t", except, 2, &found), RC_OK);
    assert_string_equal(statements.data,
                        "SELECT \"$path\", count(*), count_if(id = 5) FROM (TABLE) AS t WHERE "
                        "\"$path\" NOT IN ('s3://theirs/x/a/it''s') GROUP BY \"$path\"\n");
}

static void many_exceptions_take_several_statements(void **state)
{
    static const char *const paths[] = { "s3://theirs/x/a/1", NULL };
    char *except[200];
    struct presto_fixture *f = with_table(state, true);
    RC_BUF_AUTO(found, 4096);

    server_paths = paths;
    for (int i = 0; i < 200; i++)
        except[i] = rc_strf("s3://mine/a/%03d", (i * 7) % 200);
    assert_int_equal(search(f, "t", (const char *const *)except, 200, &found), RC_OK);
    assert_int_equal(statement_count, 3);
    assert_non_null(strstr(statements.data, "WHERE \"$path\" NOT IN ('s3://theirs/x/a/000', 's3"));
    assert_non_null(strstr(statements.data, "'s3://theirs/x/a/079') AND \"$path\" < "
                                            "'s3://theirs/x/a/079' GROUP"));
    assert_non_null(strstr(statements.data, "WHERE \"$path\" > 's3://theirs/x/a/079' AND \"$path\" "
                                            "NOT IN ('s3://theirs/x/a/080', "));
    assert_non_null(strstr(statements.data, "WHERE \"$path\" > 's3://theirs/x/a/159' AND \"$path\" "
                                            "NOT IN ('s3://theirs/x/a/160', "));
    assert_non_null(strstr(statements.data, "'s3://theirs/x/a/199') GROUP BY"));
    for (int i = 0; i < 200; i++)
        free(except[i]);
}

static void what_cannot_be_searched_is_told(void **state)
{
    static const char *const paths[] = { "s3://others/1", NULL };
    struct presto_fixture *f = with_table(state, true);
    RC_BUF_AUTO(found, 4096);

    assert_int_equal(search(f, "u", NULL, 0, &found), RC_NOT_FOUND);
    assert_presto_error(f, RC_NOT_FOUND, "search table 'u': the session has no such table");
    server_paths = paths;
    assert_int_equal(search(f, "t", NULL, 0, &found), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "'s3://others/1', which lies at no location");
    fails_with = RC_UNSUPPORTED;
    fails_as = "HIVE_BAD_DATA: no magic";
    assert_int_equal(search(f, "t", NULL, 0, &found), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "search table 't': HIVE_BAD_DATA");
    fails_with = RC_UNAVAILABLE;
    fails_as = "the query q has failed: GENERIC_INTERNAL_ERROR: Malformed input: offset=190";
    assert_int_equal(search(f, "t", NULL, 0, &found), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "Malformed input");
    fails_as = "HTTP 503: busy";
    assert_int_equal(search(f, "t", NULL, 0, &found), RC_UNAVAILABLE);
    assert_presto_error(f, RC_UNAVAILABLE, "HTTP 503: busy");
    (void)with_table(state, false);
    assert_int_equal(search(f, "t", NULL, 0, &found), RC_INVALID);
    assert_presto_error(f, RC_INVALID, "was not attached");
    /* The session is free again after each. */
    assert_int_equal(core_presto_drop(&f->session.base, "t", &f->err), RC_OK);
}

static int tear_down(void **state)
{
    rc_buf_clear(&statements);
    return presto_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, presto_setup, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_known_however_they_are_written),
        TEST(files_come_as_their_locations_were_given),
        TEST(many_exceptions_take_several_statements),
        TEST(what_cannot_be_searched_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
