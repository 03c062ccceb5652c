/*
 * The names of a session on an engine elsewhere: made, loaded, referred to, dropped; what
 * is left when something fails or a run is to stop; and what is not written at all.
 */
#include "presto_fixture.h"

#include <run-core/str.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const struct rc_sql_column columns[] = { { "userid", "varchar" }, { "amount", "bigint" } };

static const struct core_engine_ops *ops(struct presto_fixture *f)
{
    return f->session.base.ops;
}

#define must(f, call)                                                                              \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", (f)->err.context, (f)->err.cause);                                  \
    } while (0)

/* ---- sessions ------------------------------------------------------------------------------- */

static void test_statements(void **state)
{
    struct presto_fixture *f = *state;
    const struct rc_value params[] = { rc_value_text("it's") };
    int64_t changed = 7;

    f->updated = 3;
    must(f,
         ops(f)->exec(&f->session.base, "INSERT INTO t SELECT $1", params, 1, &changed, &f->err));
    assert_int_equal(changed, 3);
    f->updated = -1;
    must(f, ops(f)->exec(&f->session.base, " drop table t", NULL, 0, &changed, &f->err));
    assert_int_equal(changed, -1); /* the server does not say */
    f->updated = 0;
    must(f, ops(f)->exec(&f->session.base, "DELETE FROM t", NULL, 0, &changed, &f->err));
    assert_int_equal(changed, 0);
    assert_log(f, "dml INSERT INTO t SELECT 'it''s'\nddl drop table t\ndml DELETE FROM t\n");
    assert_int_equal(ops(f)->exec(&f->session.base, "SELECT $2", params, 1, NULL, &f->err),
                     RC_INVALID);
    assert_log(f, "");
    /* Nothing was left on the server, so nothing is looked at. */
    presto_close(f);
    assert_log(f, "");
}

static void test_rows_keep_the_session(void **state)
{
    struct presto_fixture *f = *state;
    const struct rc_value *row = NULL;
    struct rc_rows *rows = NULL;

    presto_answer(f, "SELECT x", "one\n2\n");
    must(f, ops(f)->query(&f->session.base, "SELECT x", NULL, 0, &rows, &f->err));
    assert_int_equal(rc_rows_columns(rows, NULL), 1);
    must(f, rc_rows_next(rows, &row, &f->err));
    assert_string_equal(row[0].text, "one");
    assert_int_equal(ops(f)->exec(&f->session.base, "DROP TABLE t", NULL, 0, NULL, &f->err),
                     RC_INVALID);
    assert_presto_error(f, RC_INVALID, "rows of an earlier query are still open");
    must(f, rc_rows_next(rows, &row, &f->err));
    assert_int_equal(row[0].integer, 2);
    must(f, rc_rows_next(rows, &row, &f->err));
    assert_null(row);
    rc_rows_close(&rows);
    must(f, ops(f)->exec(&f->session.base, "DROP TABLE t", NULL, 0, NULL, &f->err));
}

static void test_cancel(void **state)
{
    struct presto_fixture *f = *state;
    const struct rc_value *row = NULL;
    struct rc_rows *rows = NULL;

    /* Nothing is under way, so nothing is ended. */
    ops(f)->cancel(&f->session.base);
    presto_answer(f, "SELECT x", "one\n2\n");
    must(f, ops(f)->query(&f->session.base, "SELECT x", NULL, 0, &rows, &f->err));
    assert_log(f, "ask SELECT x\n");
    ops(f)->cancel(&f->session.base);
    assert_int_equal(rc_rows_next(rows, &row, &f->err), RC_CANCELLED);
    rc_rows_close(&rows);
    assert_presto_error(f, RC_CANCELLED, "the statement was cancelled");

    /* The session stays usable, until the run is to stop. */
    must(f, ops(f)->exec(&f->session.base, "DROP TABLE t", NULL, 0, NULL, &f->err));
    core_cancel_request(&f->cancel, RC_TIMEOUT);
    assert_int_equal(ops(f)->exec(&f->session.base, "DROP TABLE t", NULL, 0, NULL, &f->err),
                     RC_TIMEOUT);
}

/* A second wish does not end the tidying up that the first has led to. */
static void test_cancel_while_tidying(void **state)
{
    struct presto_fixture *f = *state;

    f->fail_at = 2;
    f->fail_code = RC_UNAVAILABLE;
    f->wish_at = 3;
    assert_int_equal(ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err),
                     RC_UNAVAILABLE);
    assert_log(f, "ddl BEGIN\n"
                  "dml MAKE <rc_me_1.t_1> parquet snappy IN file://DIR/work/rc_me_1/t_1/ AS SELECT "
                  "1\n"
                  "ddl DROP TABLE IF EXISTS <rc_me_1.t_1>\n");
    assert_string_equal(f->said.data, "");
    /* One that comes too late counts for nothing that follows. */
    f->wish_at = f->fail_at = 0;
    must(f, ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err));
}

struct wishing {
    struct presto_fixture *f;
    atomic_bool ended;
};

static void *wish_again_and_again(void *context)
{
    struct wishing *wishing = context;

    while (!atomic_load(&wishing->ended))
        core_presto_cancel(&wishing->f->session.base);
    return NULL;
}

/* From another thread, at any time: each verb ends as a whole or not at all. */
static void test_cancel_from_a_thread(void **state)
{
    struct presto_fixture *f = *state;
    struct wishing wishing = { .f = f };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, wish_again_and_again, &wishing), 0);
    for (int i = 0; i < 200; i++) {
        enum rc_code code = ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err);

        assert_true(code == RC_OK || code == RC_CANCELLED);
    }
    atomic_store(&wishing.ended, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_null(strstr(f->said.data, "it is tried again"));
}

/* Making a table of a query is work, which is no change that may simply be made again. */
static void test_kinds(void **state)
{
    static const struct {
        const char *statement;
        enum core_presto_kind kind;
    } cases[] = {
        { "INSERT INTO t SELECT 1", CORE_PRESTO_DML },
        { "/* x */ drop TABLE t", CORE_PRESTO_DDL },
        { "CREATE TABLE t (a bigint)", CORE_PRESTO_DDL },
        { "CREATE EXTERNAL TABLE t (`as` bigint) STORED AS PARQUET", CORE_PRESTO_DDL },
        { "CREATE OR REPLACE VIEW v AS SELECT 1", CORE_PRESTO_DDL },
        { "create table t as select 1", CORE_PRESTO_DML },
        { "CREATE TABLE t WITH (format = 'CSV') AS\n(SELECT 1)", CORE_PRESTO_DML },
        { "CREATE TABLE t AS WITH x AS (SELECT 1) SELECT * FROM x", CORE_PRESTO_DML },
        { "SHOW TABLES", CORE_PRESTO_DDL },
        { "CREATE TABLE 'no end", CORE_PRESTO_DDL },
        { "", CORE_PRESTO_DML },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++)
        if (core_presto_kind_of(cases[i].statement) != cases[i].kind)
            fail_msg("%s", cases[i].statement);
}

static void test_too_long(void **state)
{
    struct presto_fixture *f = *state;

    f->dialect.statement_limit_bytes = 16;
    assert_int_equal(
        ops(f)->exec(&f->session.base, "DELETE FROM t WHERE true", NULL, 0, NULL, &f->err),
        RC_TOO_LARGE);
    assert_presto_error(f, RC_TOO_LARGE, "the server takes no more than 16 B");
    assert_log(f, "");
}

static void test_place_of_work(void **state)
{
    struct presto_fixture *f = *state;
    struct core_engine_settings settings = f->settings;
    struct core_sql_context context = f->context;
    struct core_presto session = { .made = 0 };
    RC_STR_AUTO unreachable = rc_strf("file://%s/unreachable/", f->dir);
    RC_STR_AUTO results = rc_strf("file://%s/results", f->dir);

    context.settings = &settings;
    settings.work = NULL;
    assert_int_equal(core_presto_init(&session, &context, &f->dialect, NULL, &f->err), RC_INVALID);
    assert_presto_error(f, RC_INVALID, "say one as 'work' under 'sql:'");
    settings.work = unreachable;
    assert_int_equal(core_presto_init(&session, &context, &f->dialect, NULL, &f->err), RC_INVALID);
    assert_presto_error(f, RC_INVALID, "'work' of the SQL engine 'lake': the SQL engine 'lake'");
    settings.work = NULL;
    must(f, core_presto_init(&session, &context, &f->dialect, results, &f->err));
    assert_string_equal(strstr(session.work, "/results"), "/results/run-core/rc_me_1/");
    core_presto_end(&session);
}

/* ---- make ----------------------------------------------------------------------------------- */

static void test_make(void **state)
{
    struct presto_fixture *f = *state;
    const struct rc_value params[] = { rc_value_int(5) };
    int64_t rows = 0;

    f->updated = 12;
    must(f, ops(f)->make(&f->session.base, "Day", "SELECT $1 AS x", params, 1, &rows, &f->err));
    assert_int_equal(rows, 12);
    assert_log(f, "ddl BEGIN\n"
                  "dml MAKE <rc_me_1.day_1> parquet snappy IN file://DIR/work/rc_me_1/day_1/ AS "
                  "SELECT BIGINT '5' AS x\n");
    assert_from(f, "day", "\"cat\".\"rc_me_1\".\"day_1\"");

    /* Another of the name may be made of it; the server does not say how many rows. */
    f->updated = -1;
    presto_answer(f, "count(*)", "8\n");
    presto_file(f, "work/rc_me_1/day_1/part", "x");
    must(f, ops(f)->make(&f->session.base, "day", "SELECT 1 AS x", NULL, 0, &rows, &f->err));
    assert_int_equal(rows, 8);
    assert_log(f, "dml MAKE <rc_me_1.day_2> parquet snappy IN file://DIR/work/rc_me_1/day_2/ AS "
                  "SELECT 1 AS x\n"
                  "ask SELECT count(*) FROM \"cat\".\"rc_me_1\".\"day_2\"\n"
                  "ddl DROP TABLE IF EXISTS <rc_me_1.day_1>\n");
    assert_false(presto_has_file(f, "work/rc_me_1/day_1/part"));

    presto_file(f, "work/rc_me_1/day_2/part", "x");
    must(f, ops(f)->drop(&f->session.base, "DAY", &f->err));
    assert_log(f, "ddl DROP TABLE IF EXISTS <rc_me_1.day_2>\n");
    assert_false(presto_has_file(f, "work/rc_me_1/day_2/part"));
    must(f, ops(f)->drop(&f->session.base, "day", &f->err));
    assert_from(f, "day", "\"day\"");
    assert_log(f, "");
}

/* Tables of a database that is not the session's own carry its name. */
static void test_shared_database(void **state)
{
    struct presto_fixture *f = *state;

    presto_close(f);
    f->dialect.makes_schema = false;
    f->dialect.begin_work = NULL;
    f->settings.database = "shared";
    f->settings.catalog = NULL;
    presto_open(f);
    must(f, ops(f)->make(&f->session.base, "d\xc3\xa9 \"j\"", "SELECT 1 AS x", NULL, 0, NULL,
                         &f->err));
    assert_log(f, "dml MAKE <shared.rc_me_1_d____j__1> parquet snappy IN "
                  "file://DIR/work/rc_me_1/rc_me_1_d____j__1/ AS SELECT 1 AS x\n");
    assert_from(f, "d\xc3\xa9 \"j\"", "\"shared\".\"rc_me_1_d____j__1\"");
}

static void test_make_fails(void **state)
{
    struct presto_fixture *f = *state;

    f->fail_at = 1;
    assert_int_equal(ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err),
                     RC_FAILED);
    assert_presto_error(f, RC_FAILED, "make table 't': make a place for the session's tables");
    assert_log(f, "ddl BEGIN\n");

    /* What is not known to have failed wholly is tidied up, even when the run is to stop. */
    f->fail_at = 0;
    f->cancel_at = 3;
    assert_int_equal(ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err),
                     RC_CANCELLED);
    assert_log(f, "ddl BEGIN\n"
                  "dml MAKE <rc_me_1.t_1> parquet snappy IN file://DIR/work/rc_me_1/t_1/ AS SELECT "
                  "1\n"
                  "ddl DROP TABLE IF EXISTS <rc_me_1.t_1>\n");
    presto_close(f);
    assert_log(f, "ddl END rc_me_1\n");
    assert_string_equal(f->said.data, "");
}

/* What cannot be removed at the end stays with its mark, for a later session. */
static void test_end_fails(void **state)
{
    struct presto_fixture *f = *state;

    must(f, ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err));
    must(f, ops(f)->make(&f->session.base, "u", "SELECT 1", NULL, 0, NULL, &f->err));
    rc_buf_reset(&f->log);
    f->fail_at = 6; /* END, behind two DROPs */
    presto_close(f);
    assert_log(f, "ddl DROP TABLE IF EXISTS <rc_me_1.u_2>\n"
                  "ddl DROP TABLE IF EXISTS <rc_me_1.t_1>\nddl END rc_me_1\n");
    assert_string_equal(f->said.data,
                        "1 what the session 'rc_me_1' has left on the SQL engine 'lake' stays for "
                        "a later one to remove: the server says no\n");
    assert_true(presto_has_file(f, "work/rc_me_1/_session"));

    f->fail_at = 0;
    f->context.session = "rc_me_2";
    presto_open(f);
    must(f, ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err));
    assert_log(f, "ddl END rc_me_1\nddl BEGIN\n"
                  "dml MAKE <rc_me_2.t_1> parquet snappy IN file://DIR/work/rc_me_2/t_1/ AS SELECT "
                  "1\n");
    assert_false(presto_has_file(f, "work/rc_me_1"));
}

/* ---- load ----------------------------------------------------------------------------------- */

struct supply {
    const struct rc_value (*rows)[4];
    size_t count, next;
    int64_t copies; /* of the only row, instead */
    enum rc_code code;
};

static enum rc_code next_row(void *context, const struct rc_value **row, struct rc_error *err)
{
    struct supply *supply = context;

    *row = NULL;
    if (supply->copies > 0) {
        supply->copies--;
        *row = supply->rows[0];
    } else if (supply->next < supply->count) {
        *row = supply->rows[supply->next++];
    } else if (supply->code) {
        return rc_fail(err, supply->code, "no more rows");
    }
    return RC_OK;
}

static const struct rc_sql_column loaded[] = {
    { "id", "varchar" }, { "n", "bigint" }, { "x \"y\"", "double" }, { "b", "boolean" }
};

static enum rc_code load(struct presto_fixture *f, struct supply *supply)
{
    return ops(f)->load(&f->session.base, "ids", loaded, RC_ARRAY_LEN(loaded),
                        &(struct rc_sql_rows){ .next = next_row, .context = supply }, &f->err);
}

static void test_load(void **state)
{
    struct presto_fixture *f = *state;
    const struct rc_value rows[][4] = {
        { rc_value_text("a\"\n\\"), rc_value_int(INT64_MIN), rc_value_float(0.1),
          rc_value_bool(true) },
        { rc_value_text(""), rc_value_null(), rc_value_float(NAN), rc_value_bool(false) },
        { rc_value_null(), rc_value_int(7), rc_value_float(-INFINITY), rc_value_null() },
    };
    struct supply supply = { .rows = rows, .count = RC_ARRAY_LEN(rows) };
    RC_BUF_AUTO(body, 1 << 20);

    must(f, load(f, &supply));
    assert_log(f, "ddl BEGIN\n"
                  "ddl CREATE <rc_me_1.ids_1> (c0 varchar, c1 varchar, c2 varchar, c3 varchar) "
                  "OVER json file://DIR/work/rc_me_1/ids_1/\n");
    assert_from(f, "ids",
                "(SELECT \"c0\" AS \"id\", CAST(\"c1\" AS bigint) AS \"n\", CAST(\"c2\" AS double) "
                "AS \"x \"\"y\"\"\", CAST(\"c3\" AS boolean) AS \"b\" FROM "
                "\"cat\".\"rc_me_1\".\"ids_1\")");
    must(f,
         core_storage_get(f->store, presto_uri(f, "work/rc_me_1/ids_1/rows.json"), &body, &f->err));
    assert_string_equal(body.data, "{\"c0\":\"a\\\"\\n\\\\\",\"c1\":\"-9223372036854775808\","
                                   "\"c2\":\"0.10000000000000001\",\"c3\":\"true\"}\n"
                                   "{\"c0\":\"\",\"c1\":null,\"c2\":\"NaN\",\"c3\":\"false\"}\n"
                                   "{\"c0\":null,\"c1\":\"7\",\"c2\":\"-Infinity\",\"c3\":null}\n");

    rc_buf_reset(&f->log);
    must(f, ops(f)->drop(&f->session.base, "ids", &f->err));
    assert_log(f, "ddl DROP TABLE IF EXISTS <rc_me_1.ids_1>\n");
    assert_false(presto_has_file(f, "work/rc_me_1/ids_1"));
    presto_close(f);
    assert_false(presto_has_file(f, "work/rc_me_1"));
    presto_open(f);
}

static void test_load_many(void **state)
{
    struct presto_fixture *f = *state;
    const struct rc_value row[1][4] = { { rc_value_text("0123456789abcdef"), rc_value_int(1),
                                          rc_value_float(1), rc_value_bool(true) } };
    struct supply supply = { .rows = row, .copies = 300000 };
    struct rc_stat stat;

    must(f, load(f, &supply));
    must(f, core_storage_stat(f->store, presto_uri(f, "work/rc_me_1/ids_1/rows.json"), &stat,
                              &f->err));
    assert_int_equal(stat.size_bytes % 300000, 0);
    assert_true(stat.size_bytes > 300000 * 40);
}

static void test_load_fails(void **state)
{
    struct presto_fixture *f = *state;
    const struct rc_value broken[1][4] = { { rc_value_text("a\xff"), rc_value_int(1),
                                             rc_value_float(1), rc_value_bool(true) } };
    const struct rc_value bytes[1][4] = { { rc_value_bytes("a", 1), rc_value_int(1),
                                            rc_value_float(1), rc_value_bool(true) } };
    const struct rc_value other[1][4] = { { rc_value_text("a"), rc_value_bool(true),
                                            rc_value_float(1), rc_value_bool(true) } };
    struct supply supplies[] = { { .rows = broken, .count = 1 },
                                 { .rows = bytes, .count = 1 },
                                 { .rows = other, .count = 1 },
                                 { .rows = bytes, .count = 0, .code = RC_UNAVAILABLE } };
    static const char *const words[] = { "load table 'ids': write the rows to 'file://",
                                         "of the column 'id' is not of its type, varchar",
                                         "of the column 'n' is not of its type, bigint",
                                         "no more rows" };
    static const struct rc_sql_column date[] = { { "d", "date" } };

    for (size_t i = 0; i < RC_ARRAY_LEN(supplies); i++) {
        enum rc_code code = supplies[i].code ? supplies[i].code : RC_INVALID;

        assert_int_equal(load(f, &supplies[i]), code);
        assert_presto_error(f, code, words[i]);
        assert_null(core_presto_find(&f->session, "ids"));
    }
    assert_int_equal(ops(f)->load(&f->session.base, "t", date, 1,
                                  &(struct rc_sql_rows){ .next = next_row, .context = supplies },
                                  &f->err),
                     RC_INVALID);
    assert_presto_error(f, RC_INVALID, "the column 'd' has the type 'date'");
}

/* ---- refer ---------------------------------------------------------------------------------- */

static void test_refer(void **state)
{
    struct presto_fixture *f = *state;

    presto_answer(f, "information_schema.columns", "3\n");
    must(f, ops(f)->refer(&f->session.base, "e", "Air", "Events's", &f->err));
    assert_log(f, "ask SELECT count(*) FROM \"cat\".information_schema.columns WHERE table_schema "
                  "= 'air' AND table_name = 'events''s'\n");
    assert_from(f, "e", "\"cat\".\"Air\".\"Events's\"");
    must(f, ops(f)->refer(&f->session.base, "e", "other.Air", "t", &f->err));
    assert_log(f, "ask SELECT count(*) FROM \"other\".information_schema.columns WHERE "
                  "table_schema = 'air' AND table_name = 't'\n");
    assert_from(f, "e", "\"other\".\"Air\".\"t\"");
    must(f, ops(f)->refer(&f->session.base, "e", NULL, "t", &f->err));
    assert_from(f, "e", "\"cat\".\"default\".\"t\"");

    presto_answer(f, "information_schema.columns", "0\n");
    assert_int_equal(ops(f)->refer(&f->session.base, "e", "air", "none", &f->err), RC_NOT_FOUND);
    assert_presto_error(f, RC_NOT_FOUND, "no table \"cat\".\"air\".\"none\"");
    /* Nobody's table is dropped. */
    rc_buf_reset(&f->log);
    must(f, ops(f)->drop(&f->session.base, "e", &f->err));
    assert_log(f, "");
}

/* ---- what is not written -------------------------------------------------------------------- */

static void test_write_refuses(void **state)
{
    static const char *const bad = "../x";
    static const struct {
        struct rc_sql_output output;
        enum rc_code code;
        const char *words;
    } cases[] = {
        { { .location = "s3://out/t/", .format = "orc" }, RC_INVALID, "cannot write format 'orc'" },
        { { .location = "s3://out/t/" }, RC_INVALID, "cannot write format ''" },
        { { .location = "s3://out/t.csv", .format = "csv", .compression = "zstd" },
          RC_INVALID,
          "csv takes gzip and none" },
        { { .location = "s3://out/t.parquet", .format = "parquet" },
          RC_UNSUPPORTED,
          "writes Parquet into a folder only" },
        { { .location = "s3://out/t/", .format = "csv" },
          RC_UNSUPPORTED,
          "writes CSV as a single object only" },
        { { .location = "s3://out/t/",
            .format = "parquet",
            .partition_by = &bad,
            .partition_count = 1 },
          RC_INVALID,
          "cannot name folders" },
        { { .location = "s3://out/t.csv",
            .format = "csv",
            .partition_by = &columns[0].name,
            .partition_count = 1 },
          RC_INVALID,
          "needs a location that ends with '/'" },
        { { .location = "file:///", .format = "parquet" },
          RC_INVALID,
          "the engine's work folder lies below it" },
        { { .location = "s3://out/t/", .format = "parquet", .query = "SELECT 1; SELECT 2" },
          RC_INVALID,
          "more than one statement" },
    };
    struct presto_fixture *f = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct rc_sql_output output = cases[i].output;
        struct rc_sql_written written;

        output.query = output.query ? output.query : "SELECT 1";
        (void)core_presto_write(&f->session.base, &output, &written, &f->err);
        assert_presto_error(f, cases[i].code, cases[i].words);
    }
    assert_log(f, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, presto_setup, presto_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_statements),
        TEST(test_rows_keep_the_session),
        TEST(test_cancel),
        TEST(test_cancel_while_tidying),
        TEST(test_cancel_from_a_thread),
        TEST(test_kinds),
        TEST(test_too_long),
        TEST(test_place_of_work),
        TEST(test_make),
        TEST(test_shared_database),
        TEST(test_make_fails),
        TEST(test_end_fails),
        TEST(test_load),
        TEST(test_load_many),
        TEST(test_load_fails),
        TEST(test_refer),
        TEST(test_write_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
