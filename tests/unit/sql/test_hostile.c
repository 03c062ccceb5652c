/*
 * Names and values that want to be more than text, rows that are larger than anyone expects, and
 * files that are damaged: what was written is what is read back, or the error says why not.
 */
#include "sql_fixture.h"

#include <os/file.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum rc_code try_write(struct fixture *f, struct rc_sql_output output)
{
    struct rc_sql_written written;

    return f->sql->ops->write(f->sql, &output, &written, &f->err);
}

static void must_write(struct fixture *f, struct rc_sql_output output)
{
    if (try_write(f, output))
        fail_msg("%s: %s", f->err.context, f->err.cause);
}

/* Attaches the files at one location as 't'. */
static enum rc_code try_attach(struct fixture *f, const char *location,
                               const struct rc_sql_column *columns, size_t count,
                               const struct rc_sql_column *partition)
{
    struct rc_sql_table table = {
        .name = "t",
        .locations = &location,
        .location_count = 1,
        .columns = columns,
        .column_count = count,
        .partitions = partition,
        .partition_count = partition ? 1 : 0,
    };

    return f->sql->ops->attach(f->sql, &table, &f->err);
}

static void must_attach(struct fixture *f, const char *location,
                        const struct rc_sql_column *columns, size_t count,
                        const struct rc_sql_column *partition)
{
    if (try_attach(f, location, columns, count, partition))
        fail_msg("%s: %s", f->err.context, f->err.cause);
}

/* Special to SQL, to paths, to patterns, to percent-encoding or to Hive's layout. */
static const char hostile_values[] =
    "VALUES (1, ''), (2, NULL), (3, 'a/b'), (4, 'a=b'), (5, '100%'), (6, 'a%2Fb'), (7, 'x+y z'), "
    "(8, 'it''s'), (9, '..'), (10, '.'), (11, 'ž€😀'), (12, '*?[a]'), (13, '\\'), "
    "(14, 'a' || chr(10) || 'b'), (15, '\"'), (16, ' '), (17, 'NULL'), (18, '{1}'), (19, '_x'), "
    "(20, '#'), (21, '%'), (22, '-'), (23, '''; DROP TABLE x; --')";

static void test_partition_values(void **state)
{
    struct fixture *f = *state;
    const char *key = "p";
    RC_STR_AUTO location = rc_strdup(fixture_uri(f, "values/"));
    RC_STR_AUTO query = rc_strf("SELECT * FROM (%s) t(i, p) ORDER BY i", hostile_values);
    RC_STR_AUTO missing =
        rc_strf("SELECT i, p FROM (%s) t(i, p) EXCEPT SELECT i, p FROM t", hostile_values);
    const struct rc_sql_column column = { "i", "integer" };
    const struct rc_sql_column partition = { "p", "varchar" };

    must_write(f, (struct rc_sql_output){ .query = query,
                                          .location = location,
                                          .format = "parquet",
                                          .partition_by = &key,
                                          .partition_count = 1 });
    must_attach(f, location, &column, 1, &partition);
    assert_rows(f, missing, "");
    assert_rows(f, "SELECT count(*) FROM t", "23\n");
}

/*
 * A name that would not be found again, or would lead elsewhere, is refused before anything runs.
 */
static void test_partition_names(void **state)
{
    static const char *const good[] = { "_hidden", "select", "a-b.c~d", "P2" };
    static const char *const bad[] = { "a\"b", "k'ey", "a=b", "../../up", ".x", "a b",
                                       "%",    "*",    "ž",   "a\\b",     "",   "a/b" };
    struct fixture *f = *state;
    RC_STR_AUTO location = rc_strdup(fixture_uri(f, "names/"));
    const struct rc_sql_column column = { "i", "integer" };

    for (size_t i = 0; i < RC_ARRAY_LEN(good); i++) {
        const struct rc_sql_column partition = { good[i], "varchar" };
        RC_STR_AUTO query = rc_strf("SELECT 1 AS i, 'v' AS \"%s\"", good[i]);
        RC_STR_AUTO back = rc_strf("SELECT i, \"%s\" FROM t", good[i]);

        must_write(f, (struct rc_sql_output){ .query = query,
                                              .location = location,
                                              .format = "parquet",
                                              .partition_by = &good[i],
                                              .partition_count = 1 });
        must_attach(f, location, &column, 1, &partition);
        assert_rows(f, back, "1|'v'\n");
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++) {
        assert_int_equal(try_write(f, (struct rc_sql_output){ .query = "SELECT 1 AS i",
                                                              .location = location,
                                                              .format = "parquet",
                                                              .partition_by = &bad[i],
                                                              .partition_count = 1 }),
                         RC_INVALID);
        assert_error(f, RC_INVALID, "cannot name folders");
    }
}

static void test_column_names(void **state)
{
    static const char *const formats[] = { "parquet", "csv" };
    static const struct rc_sql_column columns[] = {
        { "a\"b", "integer" },     { "k'ey", "varchar" },   { "x,y", "varchar" },
        { "ž", "varchar" },        { " ", "varchar" },      { "}", "varchar" },
        { "filename", "varchar" }, { "select", "varchar" }, { "a\\b", "varchar" },
    };
    struct fixture *f = *state;
    RC_BUF_AUTO(query, 1024);

    rc_buf_adds(&query, "SELECT 1 AS ");
    for (size_t i = 0; i < RC_ARRAY_LEN(columns); i++) {
        if (i > 0)
            rc_buf_addf(&query, ", '%zu' AS ", i);
        rc_buf_add_ident(&query, columns[i].name);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(formats); i++) {
        RC_STR_AUTO location = rc_strdup(fixture_uri(f, "columns/%s/", formats[i]));

        must_write(f, (struct rc_sql_output){ .query = query.data,
                                              .location = location,
                                              .format = formats[i],
                                              .header = true });
        must_attach(f, location, columns, RC_ARRAY_LEN(columns), NULL);
        assert_rows(f, "SELECT * FROM t", "1|'1'|'2'|'3'|'4'|'5'|'6'|'7'|'8'\n");
    }
}

static void test_file_names(void **state)
{
    static const char *const names[] = { "new\nline", "quo'te", "star*", "wh?t",  "br[a]ck",
                                         "back\\",    "per%41", "a=b",   "{a,b}", "tab\t" };
    static const struct rc_sql_column column = { "i", "integer" };
    struct fixture *f = *state;
    RC_STR_AUTO location = rc_strdup(fixture_uri(f, "files/"));

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        RC_STR_AUTO name = rc_strf("files/%s.csv", names[i]);
        fixture_file(f, name, "i\n1\n");
    }
    must_attach(f, location, &column, 1, NULL);
    assert_rows(f, "SELECT sum(i) FROM t", "10\n");

    fixture_file(f, "files/\xff\xfe.csv", "i\n1\n");
    assert_int_equal(try_attach(f, location, &column, 1, NULL), RC_UNSUPPORTED);
    assert_error(f, RC_UNSUPPORTED, "is not UTF-8; rename it");
}

/* Neither many bytes in a row nor line breaks inside of quotes are a reason to fail. */
static void test_csv_values(void **state)
{
    static const char *const queries[] = {
        "SELECT 0 AS i, NULL::varchar AS v FROM range(5)",
        "SELECT i, chr(13) || chr(10) AS v FROM range(50) t(i)",
        "SELECT i, '\\\"' || chr(13) || '#' AS v FROM range(50) t(i)",
        "SELECT i, repeat('ab\"' || chr(10) || 'cd,', 1 + (i % 100)::integer) AS v "
        "FROM range(150000) t(i)",
        "SELECT i, repeat(chr(10) || '1,2' || chr(10) || '\"', 1 + (i % 100)::integer) AS v "
        "FROM range(150000) t(i)",
        "SELECT i, repeat('x', 20000000) AS v FROM range(3) t(i)",
    };
    static const struct rc_sql_column columns[] = { { "i", "integer" }, { "v", "varchar" } };
    struct fixture *f = *state;
    RC_STR_AUTO location = rc_strdup(fixture_uri(f, "x.csv"));

    for (size_t i = 0; i < RC_ARRAY_LEN(queries); i++) {
        struct rc_sql_output output = {
            .query = queries[i], .location = location, .format = "csv", .compression = "none"
        };
        RC_STR_AUTO missing = rc_strf("SELECT i, md5(v) FROM (%s) EXCEPT ALL "
                                      "SELECT i, md5(v) FROM t",
                                      queries[i]);

        must_write(f, output);
        output.header = true;
        must_write(f, output);
        must_attach(f, location, columns, RC_ARRAY_LEN(columns), NULL);
        assert_rows(f, missing, "");
    }
}

/* Each file's own header says where its columns are; a byte order mark is no part of a name. */
static void test_csv_headers(void **state)
{
    static const struct rc_sql_column columns[] = { { "a", "varchar" }, { "b", "varchar" } };
    struct fixture *f = *state;
    RC_STR_AUTO location = rc_strdup(fixture_uri(f, "h/"));

    fixture_file(f, "h/1.csv", "a,b\n1,2\n");
    fixture_file(f, "h/2.csv", "b,a\n2,1\n");
    fixture_file(f, "h/3.csv",
                 "\xef\xbb\xbf"
                 "a,b\r\n1,2\r\n");
    fixture_file(f, "h/4.csv", "b,extra,a\n2,x,1\n");
    fixture_file(f, "h/5.csv", "1,2\n");
    fixture_file(f, "h/6.csv", "a\n1\n");
    must_attach(f, location, columns, RC_ARRAY_LEN(columns), NULL);
    assert_rows(f, "SELECT a, b, count(*) FROM t GROUP BY ALL ORDER BY ALL",
                "'1'|'2'|5\n'1'|-|1\n");
}

/* The message names the file, the line and what is wrong, and nothing of the row. */
static void test_csv_errors(void **state)
{
    static const struct rc_sql_column columns[] = { { "a", "varchar" }, { "b", "varchar" } };
    struct fixture *f = *state;
    RC_STR_AUTO location = rc_strdup(fixture_uri(f, "bad.csv"));

    fixture_file(f, "bad.csv", "a,b\n1,2\nsecret\n");
    must_attach(f, location, columns, RC_ARRAY_LEN(columns), NULL);
    assert_fails(f, "SELECT count(a) FROM t", RC_CORRUPT, "bad.csv: Expected Number of Columns");
    assert_null(strstr(f->err.cause, "secret"));
    fixture_file(f, "bad.csv", "a,b\n1,2\n\xff\xfe,3\n");
    must_attach(f, location, columns, RC_ARRAY_LEN(columns), NULL);
    assert_fails(f, "SELECT count(a) FROM t", RC_CORRUPT, "not utf-8");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_partition_values), TEST(test_partition_names), TEST(test_column_names),
        TEST(test_file_names),       TEST(test_csv_values),      TEST(test_csv_headers),
        TEST(test_csv_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
