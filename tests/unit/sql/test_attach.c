/*
 * External tables over files of all formats, in folders with all kinds of names.
 */
#include "sql_fixture.h"

#include <os/file.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct rc_sql_column columns[] = {
    { "userid", "varchar" },
    { "amount", "bigint" },
    { "event", "varchar" },
};
static const struct rc_sql_column partitions[] = { { "day", "date" }, { "part", "bigint" } };

static enum rc_code attach(struct fixture *f, const char *location, const char *format,
                           size_t column_count, size_t partition_count)
{
    const char *locations[] = { location };
    struct rc_sql_table table = {
        .name = "t",
        .locations = locations,
        .location_count = 1,
        .format = format,
        .columns = columns,
        .column_count = column_count,
        .partitions = partitions,
        .partition_count = partition_count,
    };

    return f->sql->ops->attach(f->sql, &table, &f->err);
}

static void must_attach(struct fixture *f, const char *location, const char *format,
                        size_t column_count, size_t partition_count)
{
    if (attach(f, location, format, column_count, partition_count))
        fail_msg("%s: %s", f->err.context, f->err.cause);
}

/* A Parquet file with the rows of a query. */
static void make_parquet(struct fixture *f, const char *name, const char *query)
{
    RC_BUF_AUTO(path, 1024);

    fixture_file(f, name, "");
    rc_buf_add_literal(&path, fixture_path(f, "%s", name));
    fixture_exec(f, "COPY (%s) TO %s (FORMAT parquet)", query, path.data);
}

static void test_parquet(void **state)
{
    struct fixture *f = *state;

    make_parquet(f, "t/day=2021-01-02/part=7/a.parquet", "SELECT 'u1' AS userid, 5 AS amount");
    make_parquet(f, "t/day=2021-01-02/part=8/a.parquet",
                 "SELECT '6' AS amount, 'u2' AS userid, 'x' AS event, 99 AS day");
    make_parquet(f, "t/day=2021-01-03/part=7/deeper/b.parquet", "SELECT 'only' AS other");
    must_attach(f, fixture_uri(f, "t/"), NULL, 3, 2);
    assert_rows(f, "SELECT * FROM t ORDER BY day, part",
                "'u1'|5|-|'2021-01-02'|7\n'u2'|6|'x'|'2021-01-02'|8\n-|-|-|'2021-01-03'|7\n");
    assert_rows(f, "SELECT userid FROM t WHERE day = date '2021-01-02' AND part = 8", "'u2'\n");
    assert_rows(f, "SELECT column_name, column_type FROM (DESCRIBE t)",
                "'userid'|'VARCHAR'\n'amount'|'BIGINT'\n'event'|'VARCHAR'\n'day'|'DATE'\n"
                "'part'|'BIGINT'\n");

    /* Without declared columns the files say what there is, and the folders still win. */
    must_attach(f, fixture_uri(f, "t/"), NULL, 0, 2);
    assert_rows(f, "SELECT userid, amount, event, other, day, part FROM t ORDER BY day, part",
                "'u1'|'5'|-|-|'2021-01-02'|7\n'u2'|'6'|'x'|-|'2021-01-02'|8\n"
                "-|-|-|'only'|'2021-01-03'|7\n");
}

/* A condition on a key opens no file of another folder: a broken one there does not matter. */
static void test_pruning(void **state)
{
    struct fixture *f = *state;

    make_parquet(f, "t/day=2021-01-02/part=7/a.parquet", "SELECT 'u1' AS userid");
    fixture_file(f, "t/day=2021-01-02/part=8/a.parquet", "not parquet at all, but long enough");
    must_attach(f, fixture_uri(f, "t/"), NULL, 3, 2);
    assert_rows(f, "SELECT userid, part FROM t WHERE part = 7", "'u1'|7\n");
    assert_rows(f,
                "SELECT userid FROM t WHERE day BETWEEN date '2021-01-01' AND date '2021-01-02' "
                "AND part < 8",
                "'u1'\n");
    assert_fails(f, "SELECT userid FROM t", RC_CORRUPT, "part=8/a.parquet");
}

/* Of folders of one key the innermost counts; a file's own name is no folder. */
static void test_repeated_keys(void **state)
{
    struct fixture *f = *state;
    static const struct rc_sql_column key = { "k", "varchar" };
    RC_STR_AUTO location = rc_strdup(fixture_uri(f, "d\xc3\xa9j\xc3\xa0/"));
    const char *locations[] = { location };
    const struct rc_sql_table table = { .name = "t",
                                        .locations = locations,
                                        .location_count = 1,
                                        .columns = columns,
                                        .column_count = 1,
                                        .partitions = &key,
                                        .partition_count = 1 };

    make_parquet(f, "d\xc3\xa9j\xc3\xa0/k=\xc3\xa9t\xc3\xa9/xk=3/a.parquet",
                 "SELECT 'a' AS userid");
    make_parquet(f, "d\xc3\xa9j\xc3\xa0/k=/xk=3/a.parquet", "SELECT 'b' AS userid");
    if (f->sql->ops->attach(f->sql, &table, &f->err))
        fail_msg("%s", f->err.cause);
    assert_rows(f, "SELECT * FROM t ORDER BY userid", "'a'|'\xc3\xa9t\xc3\xa9'\n'b'|''\n");

    make_parquet(f, "d\xc3\xa9j\xc3\xa0/k=1/k=2/a.parquet", "SELECT 'c' AS userid");
    make_parquet(f, "d\xc3\xa9j\xc3\xa0/k=3/k=4.parquet", "SELECT 'd' AS userid");
    if (f->sql->ops->attach(f->sql, &table, &f->err))
        fail_msg("%s", f->err.cause);
    assert_rows(f, "SELECT * FROM t ORDER BY userid",
                "'a'|'\xc3\xa9t\xc3\xa9'\n'b'|''\n'c'|'2'\n'd'|'3'\n");
}

static void test_ignored(void **state)
{
    struct fixture *f = *state;

    make_parquet(f, "t/a.parquet", "SELECT 'u1' AS userid");
    fixture_file(f, "t/_SUCCESS", "");
    fixture_file(f, "t/.hidden.parquet", "x");
    fixture_file(f, "t/_temporary/0/b.parquet", "x");
    fixture_file(f, "t/.rc-tmp.x.1/c.parquet", "x");
    fixture_file(f, "t/sub/.rc-tmp.d.parquet.2", "x");
    must_attach(f, fixture_uri(f, "t/"), NULL, 3, 0);
    assert_rows(f, "SELECT userid FROM t", "'u1'\n");

    fixture_file(f, "t/notes.txt", "x");
    assert_int_equal(attach(f, fixture_uri(f, "t/"), NULL, 3, 0), RC_INVALID);
    assert_error(f, RC_INVALID, "notes.txt");
}

static void test_empty(void **state)
{
    struct fixture *f = *state;

    must_attach(f, fixture_uri(f, "none/"), NULL, 3, 2);
    assert_rows(f, "SELECT count(*), sum(amount), min(day) FROM t", "0|-|-\n");
    must_attach(f, fixture_uri(f, "none/x.parquet"), NULL, 3, 0);
    assert_rows(f, "SELECT * FROM t", "");
    assert_int_equal(attach(f, fixture_uri(f, "none/"), NULL, 0, 2), RC_INVALID);
    assert_error(f, RC_INVALID, "no columns are declared");
}

static void test_json(void **state)
{
    struct fixture *f = *state;

    fixture_file(f, "t/day=2021-01-02/part=1/a.jsonl",
                 "{\"userid\":\"u1\",\"amount\":5,\"event\":{\"x\":[1,2],\"y\":\"z\"},\"more\":1}\n"
                 "{\"userid\":\"u2\",\"event\":\"text\"}\n\n{\"amount\":\"7\"}\n");
    fixture_file(f, "t/day=2021-01-02/part=2/b.ndjson", "{\"userid\":\"u3\"}");
    fixture_file(f, "t/day=2021-01-02/part=3/c.json", "");
    fixture_exec(
        f, "COPY (SELECT 'u4' AS userid, 8 AS amount) TO '%s' (FORMAT json, COMPRESSION gzip)",
        fixture_path(f, "t/day=2021-01-02/part=2/d.json.gz"));
    fixture_exec(
        f, "COPY (SELECT 'u5' AS userid, 9 AS amount) TO '%s' (FORMAT json, COMPRESSION zstd)",
        fixture_path(f, "t/day=2021-01-02/part=2/e.jsonl.zst"));
    must_attach(f, fixture_uri(f, "t/"), NULL, 3, 2);
    assert_rows(f, "SELECT userid, amount, event, part FROM t ORDER BY userid",
                "'u1'|5|'{\"x\":[1,2],\"y\":\"z\"}'|1\n'u2'|-|'text'|1\n'u3'|-|-|2\n'u4'|8|-|2\n"
                "'u5'|9|-|2\n-|7|-|1\n");
    fixture_file(f, "t/day=2021-01-02/part=3/c.json", "{broken\n");
    must_attach(f, fixture_uri(f, "t/"), NULL, 3, 2);
    assert_fails(f, "SELECT * FROM t", RC_CORRUPT, "c.json");
}

static void test_csv(void **state)
{
    struct fixture *f = *state;

    fixture_file(f, "plain/a.csv", "u1,5,\"a,\"\"b\"\"\"\nu2,,\"\"\n");
    must_attach(f, fixture_uri(f, "plain/"), NULL, 3, 0);
    assert_rows(f, "SELECT * FROM t ORDER BY userid", "'u1'|5|'a,\"b\"'\n'u2'|-|''\n");

    fixture_file(f, "headed/a.csv", "Event,\"userid\",other\n\"multi\nline\",u1,7\n");
    must_attach(f, fixture_uri(f, "headed/"), NULL, 3, 0);
    assert_rows(f, "SELECT * FROM t", "'u1'|-|'multi\nline'\n");

    fixture_exec(f,
                 "COPY (SELECT 'u3' AS userid, 1 AS amount, 'e' AS event) TO '%s' "
                 "(FORMAT csv, COMPRESSION gzip, HEADER)",
                 fixture_path(f, "headed/b.csv.gz"));
    must_attach(f, fixture_uri(f, "headed/b.csv.gz"), NULL, 3, 0);
    assert_rows(f, "SELECT * FROM t", "'u3'|1|'e'\n");

    fixture_file(f, "bad/a.csv", "u1,notanumber,x\n");
    must_attach(f, fixture_uri(f, "bad/"), NULL, 3, 0);
    assert_fails(f, "SELECT * FROM t", RC_FAILED, "notanumber");
    fixture_file(f, "empty/a.csv", "");
    must_attach(f, fixture_uri(f, "empty/"), NULL, 3, 0);
    assert_rows(f, "SELECT * FROM t", "");
}

static void test_mixture(void **state)
{
    struct fixture *f = *state;

    make_parquet(f, "t/day=2021-01-01/part=1/a.parquet", "SELECT 'u1' AS userid, 1 AS amount");
    fixture_file(f, "t/day=2021-01-01/part=2/b.jsonl", "{\"userid\":\"u2\",\"amount\":2}\n");
    fixture_file(f, "t/day=2021-01-01/part=3/c.csv", "u3,3,x\n");
    fixture_file(f, "t/extra/day=2021-01-01/part=4/d.csv", "amount,userid\n4,u4\n");
    must_attach(f, fixture_uri(f, "t/"), NULL, 3, 2);
    assert_rows(f, "SELECT * FROM t ORDER BY userid",
                "'u1'|1|-|'2021-01-01'|1\n'u2'|2|-|'2021-01-01'|2\n'u3'|3|'x'|'2021-01-01'|3\n"
                "'u4'|4|-|'2021-01-01'|4\n");
    assert_rows(f, "SELECT sum(amount) FROM t WHERE part > 2", "7\n");
}

/* Characters that are patterns, quotes or escapes elsewhere are only characters here. */
static void test_names(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {
        "a*b",       "aXb",     "q?",         "[x]",   "x]",        "it's",       "blank name",
        "per%20c",   "semi;--", "d\xc3\xa9j", "{a,b}", "dollar$x$", "\"quoted\"", "hash#",
        "new\nline", "k=v",     "~",          "**",    "tab\t",
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        RC_BUF_AUTO(name, 256);
        RC_BUF_AUTO(expected, 256);
        RC_BUF_AUTO(query, 256);

        rc_buf_addf(&name, "%s/%s.parquet", names[i], names[i]);
        rc_buf_addf(&query, "SELECT 'u%zu' AS userid", i);
        rc_buf_addf(&expected, "'u%zu'\n", i);
        make_parquet(f, name.data, query.data);
        rc_buf_reset(&name);
        rc_buf_addf(&name, "%s/", names[i]);
        must_attach(f, fixture_uri(f, "%s", name.data), NULL, 3, 0);
        assert_rows(f, "SELECT userid FROM t", expected.data);
    }
    make_parquet(f, "values/day=2021-01-01/part=1/x.parquet", "SELECT 'u' AS userid");
    struct rc_sql_column key = { "sp ecial", "varchar" };
    make_parquet(f, "keys/sp ecial=a%20b%2Fc/x.parquet", "SELECT 'u' AS userid");
    make_parquet(f, "keys/sp ecial=__HIVE_DEFAULT_PARTITION__/x.parquet", "SELECT 'v' AS userid");
    make_parquet(f, "keys/sp ecial=it's/x.parquet", "SELECT 'w' AS userid");
    const char *locations[] = { fixture_uri(f, "keys/") };
    struct rc_sql_table table = { .name = "odd \"name\"; --",
                                  .locations = locations,
                                  .location_count = 1,
                                  .columns = columns,
                                  .column_count = 1,
                                  .partitions = &key,
                                  .partition_count = 1 };
    if (f->sql->ops->attach(f->sql, &table, &f->err))
        fail_msg("%s", f->err.cause);
    assert_rows(f, "SELECT * FROM \"odd \"\"name\"\"; --\" ORDER BY userid",
                "'u'|'a b/c'\n'v'|-\n'w'|'it's'\n");
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    struct rc_sql_column bad = { "x", "bigint) --" };
    const char *locations[] = { fixture_uri(f, "t/") };
    struct rc_sql_table table = {
        .name = "t", .locations = locations, .location_count = 1, .columns = &bad, .column_count = 1
    };

    assert_int_equal(f->sql->ops->attach(f->sql, &table, &f->err), RC_INVALID);
    assert_error(f, RC_INVALID, "column 'x' has the type");
    fixture_file(f, "t/nokey.csv", "x\n");
    assert_int_equal(attach(f, fixture_uri(f, "t/"), NULL, 3, 2), RC_INVALID);
    assert_error(f, RC_INVALID, "no folder 'day=...' is on the way");
    assert_int_equal(attach(f, fixture_uri(f, "t/"), "avro", 3, 0), RC_INVALID);
    assert_error(f, RC_INVALID, "format 'avro'");
    assert_int_equal(attach(f, "s3://bucket/t/", NULL, 3, 0), RC_UNSUPPORTED);
}

static void test_replace_and_drop(void **state)
{
    struct fixture *f = *state;

    fixture_exec(f, "CREATE TABLE t AS SELECT 1 AS x");
    fixture_file(f, "a/a.csv", "u1,1,x\n");
    fixture_file(f, "b/b.csv", "u2,2,y\n");
    must_attach(f, fixture_uri(f, "a/"), NULL, 3, 0);
    must_attach(f, fixture_uri(f, "b/"), NULL, 3, 0);
    assert_rows(f, "SELECT userid FROM t", "'u2'\n");
    assert_int_equal(f->sql->ops->drop(f->sql, "t", &f->err), RC_OK);
    assert_int_equal(f->sql->ops->drop(f->sql, "t", &f->err), RC_OK);
    assert_fails(f, "SELECT * FROM t", RC_INVALID, "t");
}

static void test_many_files(void **state)
{
    struct fixture *f = *state;
    enum { FILES = 10000 };
    int64_t start_ms;

    make_parquet(f, "one.parquet", "SELECT 'u' AS userid, 1 AS amount");
    RC_STR_AUTO one = rc_strdup(fixture_path(f, "one.parquet"));
    assert_int_equal(mkdir(fixture_path(f, "t"), 0755), 0);
    for (int i = 0; i < FILES; i++) {
        int year = 1600 + i / 100, part = i / 10 % 10;

        if (i % 100 == 0)
            assert_int_equal(mkdir(fixture_path(f, "t/day=%d-01-01", year), 0755), 0);
        if (i % 10 == 0)
            assert_int_equal(mkdir(fixture_path(f, "t/day=%d-01-01/part=%d", year, part), 0755), 0);
        assert_int_equal(
            link(one, fixture_path(f, "t/day=%d-01-01/part=%d/%d.parquet", year, part, i)), 0);
    }
    start_ms = fixture_now_ms();
    must_attach(f, fixture_uri(f, "t/"), NULL, 3, 2);
    print_message("%d files: attached in %d ms", FILES, (int)(fixture_now_ms() - start_ms));
    start_ms = fixture_now_ms();
    assert_rows(f, "SELECT count(*) FROM t WHERE day = date '1650-01-01'", "100\n");
    print_message(", one day read in %d ms", (int)(fixture_now_ms() - start_ms));
    start_ms = fixture_now_ms();
    assert_rows(f, "SELECT sum(amount) FROM t", "10000\n");
    print_message(", all in %d ms\n", (int)(fixture_now_ms() - start_ms));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_parquet),
        TEST(test_pruning),
        TEST(test_repeated_keys),
        TEST(test_ignored),
        TEST(test_empty),
        TEST(test_json),
        TEST(test_csv),
        TEST(test_mixture),
        TEST(test_names),
        TEST(test_refusals),
        TEST(test_replace_and_drop),
        TEST(test_many_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
