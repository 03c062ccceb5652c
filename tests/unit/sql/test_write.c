/*
 * Files that queries write: formats, partitions, replacement, determinism, and what killed
 * writers leave.
 */
#include "sql_fixture.h"

#include <os/file.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct target {
    const char *location, *format, *compression, *partition;
    bool header;
};

static enum rc_code write_query(struct fixture *f, const char *query, struct target target,
                                struct rc_sql_written *written)
{
    struct rc_sql_output output = {
        .query = query,
        .location = target.location,
        .format = target.format,
        .compression = target.compression,
        .partition_by = &target.partition,
        .partition_count = target.partition ? 1 : 0,
        .header = target.header,
    };

    return f->sql->ops->write(f->sql, &output, written, &f->err);
}

static struct rc_sql_written must_write(struct fixture *f, const char *query, struct target target)
{
    struct rc_sql_written written = { 0, 0, 0 };

    if (write_query(f, query, target, &written))
        fail_msg("%s: %s", f->err.context, f->err.cause);
    return written;
}

static void assert_content(struct fixture *f, const char *name, const char *expected)
{
    RC_BUF_AUTO(content, 1 << 20);

    assert_int_equal(core_file_read(fixture_path(f, "%s", name), &content, &f->err), RC_OK);
    assert_string_equal(content.data, expected);
}

static void test_partitions(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(query, 1024);
    struct rc_sql_written written = must_write(
        f, "SELECT i AS userid, i % 100 AS part, i * 2 AS v FROM range(10000) t(i) ORDER BY i",
        (struct target){ fixture_uri(f, "out/day=2021-01-02/"), "parquet", NULL, "part", false });

    assert_int_equal(written.rows, 10000);
    assert_int_equal(written.files, 100);
    assert_true(written.bytes > 100);
    assert_int_equal(access(fixture_path(f, "out/day=2021-01-02/part=7/data_0.parquet"), F_OK), 0);
    rc_buf_addf(&query, "SELECT count(*), sum(v), min(part), max(part) FROM read_parquet('%s')",
                fixture_path(f, "out/*/*/*.parquet"));
    assert_rows(f, query.data, "10000|99990000|0|99\n");

    /* The second write replaces the first: no file of it stays. */
    written = must_write(f, "SELECT 1 AS userid, 'a b/c' AS part",
                         (struct target){ fixture_uri(f, "out/day=2021-01-02/"), "parquet",
                                          "snappy", "part", false });
    assert_int_equal(written.files, 1);
    size_t files;
    fixture_hash_tree(fixture_path(f, "out"), &files);
    assert_int_equal(files, 1);
}

/* More folders than DuckDB keeps open still get one file each. */
static void test_many_partitions(void **state)
{
    struct fixture *f = *state;
    struct rc_sql_written written =
        must_write(f, "SELECT hash(i) AS h, i % 700 AS part FROM range(300000) t(i) ORDER BY h",
                   (struct target){ fixture_uri(f, "many/"), "parquet", NULL, "part", false });

    assert_int_equal(written.rows, 300000);
    assert_int_equal(written.files, 700);
}

static void test_folder(void **state)
{
    struct fixture *f = *state;
    struct rc_sql_written written =
        must_write(f, "SELECT 1 AS a, 'x' AS b",
                   (struct target){ fixture_uri(f, "folder/"), "csv", "none", NULL, true });

    assert_int_equal(written.files, 1);
    assert_content(f, "folder/data_0.csv", "a,b\n1,x\n");
    written = must_write(f, "SELECT 1 AS a WHERE false",
                         (struct target){ fixture_uri(f, "folder/"), "csv", "none", NULL, true });
    assert_int_equal(written.files, 0);
    assert_int_equal(access(fixture_path(f, "folder/data_0.csv"), F_OK), -1);
    assert_int_equal(access(fixture_path(f, "folder"), F_OK), 0);
}

static void test_file(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(query, 1024);
    struct rc_sql_written written;

    written =
        must_write(f, "VALUES (1, 'a,b', NULL), (2, 'say \"x\"', ''), (3, 'two\nlines', 'z')",
                   (struct target){ fixture_uri(f, "csv/x.csv"), "csv", "none", NULL, false });
    assert_int_equal(written.rows, 3);
    assert_content(f, "csv/x.csv", "1,\"a,b\",\n2,\"say \"\"x\"\"\",\"\"\n3,\"two\nlines\",z\n");
    must_write(f, "SELECT 1 AS \"a,b\" WHERE false",
               (struct target){ fixture_uri(f, "csv/x.csv"), "csv", "none", NULL, true });
    assert_content(f, "csv/x.csv", "\"a,b\"\n");
    must_write(f, "SELECT 1 AS a WHERE false",
               (struct target){ fixture_uri(f, "csv/x.csv"), "csv", "none", NULL, false });
    assert_content(f, "csv/x.csv", "");

    written =
        must_write(f, "SELECT i, 'u' || i FROM range(1000) t(i)",
                   (struct target){ fixture_uri(f, "csv/x.csv.gz"), "csv", NULL, NULL, false });
    assert_int_equal(written.rows, 1000);
    rc_buf_addf(&query, "SELECT count(*), sum(column0) FROM read_csv('%s')",
                fixture_path(f, "csv/x.csv.gz"));
    assert_rows(f, query.data, "1000|499500\n");
    written =
        must_write(f, "SELECT 1 AS a WHERE false",
                   (struct target){ fixture_uri(f, "csv/empty.csv.gz"), "csv", NULL, NULL, false });
    assert_int_equal(written.rows, 0);
    assert_int_equal(written.files, 1);
    assert_true(written.bytes > 0);
    written =
        must_write(f, "SELECT NULL AS a UNION ALL SELECT NULL",
                   (struct target){ fixture_uri(f, "csv/nulls.csv"), "csv", "none", NULL, false });
    assert_int_equal(written.rows, 2);

    written = must_write(
        f, "SELECT 1::bigint AS a, NULL::date AS b WHERE false",
        (struct target){ fixture_uri(f, "p/x.parquet"), "parquet", "gzip", NULL, false });
    assert_int_equal(written.rows, 0);
    rc_buf_reset(&query);
    rc_buf_addf(&query, "SELECT column_type FROM (DESCRIBE FROM read_parquet('%s'))",
                fixture_path(f, "p/x.parquet"));
    assert_rows(f, query.data, "'BIGINT'\n'DATE'\n");
}

static void test_parameters(void **state)
{
    struct fixture *f = *state;
    struct rc_value params[] = { rc_value_text("it's"), rc_value_int(3) };
    struct rc_sql_written written;
    struct rc_sql_output output = {
        .query = "SELECT $1 AS a, i FROM range($2) t(i); -- the end",
        .params = params,
        .param_count = 2,
        .location = fixture_uri(f, "o'd[d] *?/x y.csv"),
        .format = "csv",
        .compression = "none",
    };

    if (f->sql->ops->write(f->sql, &output, &written, &f->err))
        fail_msg("%s", f->err.cause);
    assert_content(f, "o'd[d] *?/x y.csv", "it's,0\nit's,1\nit's,2\n");
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    struct rc_sql_written written;
    const char *file = fixture_uri(f, "x.parquet");
    const struct {
        const char *query;
        struct target target;
        enum rc_code code;
    } cases[] = {
        { "SELECT 1 AS a", { file, "avro", NULL, NULL, false }, RC_INVALID },
        { "SELECT 1 AS a", { file, "csv", "snappy", NULL, false }, RC_INVALID },
        { "SELECT 1 AS a", { file, "parquet", "lzma", NULL, false }, RC_INVALID },
        { "SELECT 1 AS a", { file, "parquet", NULL, "a", false }, RC_INVALID },
        { "SELECT 1 AS a", { fixture_uri(f, "d/"), "parquet", NULL, "nope", false }, RC_INVALID },
        { "SELECT 1 AS a", { fixture_uri(f, "d/"), "parquet", NULL, "a", false }, RC_UNSUPPORTED },
        { "SELECT 1 AS a; DROP TABLE x", { file, "parquet", NULL, NULL, false }, RC_INVALID },
        { "DROP TABLE x", { file, "parquet", NULL, NULL, false }, RC_INVALID },
        { "SELECT 'x'::bigint AS a", { file, "parquet", NULL, NULL, false }, RC_FAILED },
        { "SELECT 1 AS a",
          { "s3://bucket/x.parquet", "parquet", NULL, NULL, false },
          RC_UNSUPPORTED },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        enum rc_code code = write_query(f, cases[i].query, cases[i].target, &written);
        if (code != cases[i].code)
            fail_msg("%zu: %s: %s", i, rc_code_name(code), code ? f->err.cause : "");
    }
    assert_int_equal(access(fixture_path(f, "x.parquet"), F_OK), -1);
    assert_int_equal(access(fixture_path(f, "d/data_0.parquet"), F_OK), -1);
    assert_rows(f, "SELECT count(*) FROM duckdb_tables()", "0\n");
}

/* What failed or was stopped changes nothing and leaves nothing. */
static void test_failure_keeps_target(void **state)
{
    struct fixture *f = *state;
    struct target target = { fixture_uri(f, "keep/"), "parquet", NULL, "p", false };
    struct rc_sql_written written;
    size_t files;

    must_write(f, "SELECT i, i % 3 AS p FROM range(10) t(i) ORDER BY i", target);
    uint64_t before = fixture_hash_tree(fixture_path(f, "keep"), &files);
    assert_int_equal(
        write_query(f, "SELECT error('late') AS i, 1 AS p FROM range(10)", target, &written),
        RC_FAILED);
    core_cancel_request(&f->cancel, RC_CANCELLED);
    assert_int_equal(write_query(f, "SELECT 1 AS i, 2 AS p", target, &written), RC_CANCELLED);
    f->cancel = (struct core_cancel)CORE_CANCEL_INIT;
    assert_true(before == fixture_hash_tree(fixture_path(f, "keep"), &files));
    assert_int_equal(files, 3);
    fixture_hash_tree(f->dir, &files);
    assert_int_equal(files, 3);
}

/* A sorted query gives the same bytes on any number of threads, run after run. */
static void test_deterministic(void **state)
{
    struct fixture *f = *state;
    static const char query[] =
        "SELECT h % 50000 AS userid, h % 7 AS shard, h % 50000 % 100 AS part, sum(v) AS revenue, "
        "count(*) AS cnt FROM (SELECT hash(i) AS h, i % 1000 AS v FROM range(1500000) t(i)) "
        "GROUP BY ALL ORDER BY part, userid, shard";
    uint64_t folders[6], single[6], csv[6];
    size_t files;

    for (int i = 0; i < 6; i++) {
        f->settings.threads = i % 3 == 0 ? 1 : i % 3 == 1 ? 2 : 4;
        fixture_reopen(f);
        must_write(f, query,
                   (struct target){ fixture_uri(f, "a/"), "parquet", NULL, "part", false });
        folders[i] = fixture_hash_tree(fixture_path(f, "a"), &files);
        assert_int_equal(files, 100);
        must_write(f, query,
                   (struct target){ fixture_uri(f, "b.parquet"), "parquet", NULL, NULL, false });
        single[i] = fixture_hash_tree(fixture_path(f, "b.parquet"), &files);
        must_write(f, query,
                   (struct target){ fixture_uri(f, "c.csv.gz"), "csv", NULL, NULL, false });
        csv[i] = fixture_hash_tree(fixture_path(f, "c.csv.gz"), &files);
        assert_true(folders[i] == folders[0] && single[i] == single[0] && csv[i] == csv[0]);
        char expected[16];
        snprintf(expected, sizeof(expected), "%d\n", (int)f->settings.threads);
        assert_rows(f, "SELECT current_setting('threads')", expected);
    }
}

/* Inside a transaction other connections see nothing of the rows; the files are the same. */
static void test_transaction(void **state)
{
    struct fixture *f = *state;
    static const char query[] = "SELECT i AS v, i // 3000 AS p FROM range(270000) t(i) ORDER BY p";
    uint64_t hashes[2];
    size_t files;

    for (int i = 0; i < 2; i++) {
        fixture_exec(f, i ? "BEGIN" : "SELECT 1");
        must_write(f, query, (struct target){ fixture_uri(f, "t/"), "parquet", NULL, "p", false });
        hashes[i] = fixture_hash_tree(fixture_path(f, "t"), &files);
        assert_int_equal(files, 90);
    }
    fixture_exec(f, "COMMIT");
    assert_true(hashes[0] == hashes[1]);
}

static const char endless_query[] =
    "SELECT hash(i) % 1000 AS a, i, i % 20 AS p FROM range(200000) t(i) ORDER BY i";

/* What a child of the following test does until it is killed. */
static int write_endlessly(const char *dir)
{
    struct fixture f = { .settings = { .engine = "duckdb", .threads = 2 } };
    struct target target = { NULL, "parquet", NULL, "p", false };
    struct rc_sql_written written;

    snprintf(f.dir, sizeof(f.dir), "%s", dir);
    snprintf(f.temp, sizeof(f.temp), "%s/child", dir);
    f.storage = core_storage_new(NULL, 0, NULL, NULL);
    f.context = (struct core_sql_context){ .settings = &f.settings,
                                           .storage = f.storage,
                                           .temp_dir = f.temp };
    target.location = fixture_uri(&f, "k/day=1/");
    if (core_sql_open(&f.context, &f.sql, &f.err))
        return 3;
    while (!write_query(&f, endless_query, target, &written))
        ;
    print_error("%s: %s\n", f.err.context, f.err.cause);
    return 4;
}

/*
 * Writers that are killed at any moment leave the old files or the new; the next write tidies up.
 */
static void test_killed(void **state)
{
    struct fixture *f = *state;
    RC_STR_AUTO location = rc_strdup(fixture_uri(f, "k/day=1/"));
    struct target target = { location, "parquet", NULL, "p", false };
    size_t files;
    int status;

    must_write(f, endless_query, target);
    uint64_t clean = fixture_hash_tree(fixture_path(f, "k/day=1"), &files);
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", "test_write", "write-endlessly", f->dir, (char *)NULL);
            _exit(5);
        }
        usleep((useconds_t)(300000 + i * 41000));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        assert_true(clean == fixture_hash_tree(fixture_path(f, "k/day=1"), &files));
        assert_int_equal(files, 20);
    }
    must_write(f, endless_query, target);
    assert_true(clean == fixture_hash_tree(fixture_path(f, "k/day=1"), &files));
    fixture_hash_tree(fixture_path(f, "k"), &files);
    assert_int_equal(files, 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write-endlessly") == 0)
        return write_endlessly(argv[2]);

    const struct CMUnitTest tests[] = {
        TEST(test_partitions),
        TEST(test_many_partitions),
        TEST(test_folder),
        TEST(test_file),
        TEST(test_parameters),
        TEST(test_refusals),
        TEST(test_failure_keeps_target),
        TEST(test_deterministic),
        TEST(test_transaction),
        TEST(test_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
