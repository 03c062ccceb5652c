/*
 * Statements, parameters, typed rows, errors, cancellation, progress and expressions.
 */
#include "sql_fixture.h"

#include <os/clock.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_types(void **state)
{
    struct fixture *f = *state;

    assert_rows(f, "SELECT true, false, NULL, NULL::bigint, NULL::varchar", "true|false|-|-|-\n");
    assert_rows(f,
                "SELECT (-128)::tinyint, 127::tinyint, (-32768)::smallint, 2147483647::integer, "
                "255::utinyint, 65535::usmallint, 4294967295::uinteger",
                "-128|127|-32768|2147483647|255|65535|4294967295\n");
    assert_rows(f, "SELECT (-9223372036854775808)::bigint, 9223372036854775807::bigint",
                "-9223372036854775808|9223372036854775807\n");
    assert_rows(f, "SELECT 9223372036854775807::ubigint, 18446744073709551615::ubigint",
                "9223372036854775807|'18446744073709551615'\n");
    assert_rows(f,
                "SELECT 5::hugeint, (-5)::hugeint, (-9223372036854775808)::hugeint, "
                "9223372036854775808::hugeint, (-9223372036854775809)::hugeint, "
                "(-170141183460469231731687303715884105728)::hugeint, "
                "170141183460469231731687303715884105727::hugeint",
                "5|-5|-9223372036854775808|'9223372036854775808'|'-9223372036854775809'|"
                "'-170141183460469231731687303715884105728'|"
                "'170141183460469231731687303715884105727'\n");
    assert_rows(f, "SELECT 7::uhugeint, 340282366920938463463374607431768211455::uhugeint",
                "7|'340282366920938463463374607431768211455'\n");
    assert_rows(f, "SELECT sum(x) FROM (VALUES (1::bigint), (2)) t(x)", "3\n");
    assert_rows(f, "SELECT 1.5::double, 0.25::float, 'nan'::double, 'inf'::double, '-inf'::float",
                "1.5|0.25|nan|inf|-inf\n");
    assert_rows(f, "SELECT 'short', 'exactly 12 b', 'one byte more', '', 'd\xc3\xa9j\xc3\xa0'",
                "'short'|'exactly 12 b'|'one byte more'|''|'d\xc3\xa9j\xc3\xa0'\n");
    assert_rows(f, "SELECT '\\xAA\\x00b'::blob, ''::blob", "x'aa0062'|x''\n");
    assert_rows(f,
                "SELECT 1.50::decimal(10,2), (-0.001)::decimal(18,3), "
                "'123456789012345678901234567890.12'::decimal(38,2)",
                "'1.50'|'-0.001'|'123456789012345678901234567890.12'\n");
    assert_rows(f,
                "SELECT date '2021-02-03', time '10:11:12.5', timestamp '2021-02-03 04:05:06.789', "
                "timestamptz '2021-02-03 04:05:06+02', interval '1 month 2 days 03:04:05'",
                "'2021-02-03'|'10:11:12.5'|'2021-02-03 04:05:06.789'|'2021-02-03 02:05:06+00'|"
                "'1 month 2 days 03:04:05'\n");
    assert_rows(f, "SELECT '5a1f0c4e-0000-4000-8000-00000000000a'::uuid, '1011'::bit",
                "'5a1f0c4e-0000-4000-8000-00000000000a'|'1011'\n");
    assert_rows(f, "SELECT 'b'::enum('a','b'), [1,NULL,3], {'a': 1, 'b': 'x'}, map {'k': 1.5}",
                "'b'|'[1, NULL, 3]'|'{'a': 1, 'b': x}'|'{k=1.5}'\n");
    assert_rows(f, "SELECT [1,2]::integer[2], NULL::date, '{\"a\": 1}'::json",
                "'[1, 2]'|-|'{\"a\": 1}'\n");
    /* No more digits than it takes. */
    assert_rows(f,
                "SELECT timestamp '2021-02-03 04:05:06.500', timestamp '2021-02-03 04:05:06.000', "
                "timestamp '2021-02-03 04:05:06.120000'",
                "'2021-02-03 04:05:06.5'|'2021-02-03 04:05:06'|'2021-02-03 04:05:06.12'\n");
    assert_rows(f, "SELECT timestamp_ns '2021-02-03 00:00:00.123456789', timestamp_s '2021-02-03'",
                "'2021-02-03 00:00:00.123456789'|'2021-02-03 00:00:00'\n");
}

static void test_statement_ends(void **state)
{
    struct fixture *f = *state;

    assert_rows(f, "SELECT date '2021-02-03' AS d; ", "'2021-02-03'\n");
    assert_rows(f, "SELECT date '2021-02-03' AS d -- ; a comment", "'2021-02-03'\n");
    assert_rows(f, "SELECT date '2021-02-03' AS d; -- a comment", "'2021-02-03'\n");
    assert_rows(f,
                "SELECT date '2021-02-03', ';', \"a;b\", $$;$$, $x$;$$;$x$ /* ; /* ; */ ; */"
                "FROM (SELECT 1 AS \"a;b\");;",
                "'2021-02-03'|';'|1|';'|';$$;'\n");
    assert_rows(f, "SELECT date '2021-02-03', e'\\';', 'it''s;'", "'2021-02-03'|'';'|'it's;'\n");
    assert_rows(f, "SELECT d, d FROM (SELECT date '2021-02-03' AS d, 2 AS x) ORDER BY x;",
                "'2021-02-03'|'2021-02-03'\n");
    assert_fails(f, "", RC_INVALID, "exactly one");
    assert_fails(f, " -- nothing", RC_INVALID, "exactly one");
    assert_fails(f, "SELECT 1; SELECT 2", RC_INVALID,
                 "exactly one SQL statement is expected, not 2");
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    const char *const *names = NULL;
    RC_ROWS_AUTO(rows);

    assert_int_equal(f->sql->ops->query(f->sql,
                                        "SELECT 1 AS a, date '2020-01-01' AS \"B \"\"c\", "
                                        "2 AS a",
                                        NULL, 0, &rows, &f->err),
                     RC_OK);
    assert_int_equal(rc_rows_columns(rows, &names), 3);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "B \"c");
    assert_string_equal(names[2], "a");
}

static void test_many_rows(void **state)
{
    struct fixture *f = *state;
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);
    int64_t count = 0;

    assert_int_equal(f->sql->ops->query(f->sql,
                                        "SELECT i, 'row number ' || i, CASE WHEN i % 3 = 0 "
                                        "THEN NULL ELSE i END FROM range(100000) t(i)",
                                        NULL, 0, &rows, &f->err),
                     RC_OK);
    for (;;) {
        char text[40];
        assert_int_equal(rc_rows_next(rows, &row, &f->err), RC_OK);
        if (!row)
            break;
        snprintf(text, sizeof(text), "row number %d", (int)count);
        assert_int_equal(row[0].integer, count);
        assert_string_equal(row[1].text, text);
        assert_int_equal(row[2].type, count % 3 ? RC_VALUE_INT : RC_VALUE_NULL);
        count++;
    }
    assert_int_equal(count, 100000);
    assert_int_equal(rc_rows_next(rows, &row, &f->err), RC_OK);
    assert_null(row);
}

static void test_open_rows(void **state)
{
    struct fixture *f = *state;
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);

    assert_int_equal(
        f->sql->ops->query(f->sql, "SELECT * FROM range(10000000)", NULL, 0, &rows, &f->err),
        RC_OK);
    assert_int_equal(rc_rows_next(rows, &row, &f->err), RC_OK);
    assert_fails(f, "SELECT 1", RC_INVALID, "rows of an earlier query are still open");
    rc_rows_close(&rows);
    assert_rows(f, "SELECT 1", "1\n");
}

static void test_parameters(void **state)
{
    struct fixture *f = *state;
    struct rc_value params[] = {
        rc_value_int(INT64_MIN),        rc_value_float(0.5),          rc_value_bool(true),
        rc_value_text("it's; -- DROP"), rc_value_bytes("a\0\xff", 3), rc_value_null(),
    };
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);

    assert_int_equal(f->sql->ops->query(f->sql, "SELECT $1, $2, $3, $4, $5, $6, $1 < 0, typeof($5)",
                                        params, RC_ARRAY_LEN(params), &rows, &f->err),
                     RC_OK);
    assert_int_equal(rc_rows_next(rows, &row, &f->err), RC_OK);
    assert_int_equal(row[0].integer, INT64_MIN);
    assert_true(row[1].type == RC_VALUE_FLOAT && row[1].number == 0.5);
    assert_true(row[2].type == RC_VALUE_BOOL && row[2].boolean);
    assert_string_equal(row[3].text, "it's; -- DROP");
    assert_true(row[4].type == RC_VALUE_BYTES && row[4].len == 3);
    assert_memory_equal(row[4].text, "a\0\xff", 3);
    assert_int_equal(row[5].type, RC_VALUE_NULL);
    assert_true(row[6].boolean);
    assert_string_equal(row[7].text, "BLOB");
    rc_rows_close(&rows);

    assert_int_equal(f->sql->ops->query(f->sql, "SELECT date '2021-01-01' + $1::integer",
                                        (struct rc_value[]){ rc_value_int(1) }, 1, &rows, &f->err),
                     RC_OK);
    assert_int_equal(rc_rows_next(rows, &row, &f->err), RC_OK);
    assert_string_equal(row[0].text, "2021-01-02");
    rc_rows_close(&rows);

    assert_int_equal(f->sql->ops->exec(f->sql, "SELECT $1", NULL, 0, NULL, &f->err), RC_INVALID);
    assert_error(f, RC_INVALID, "1 parameters, 0 were given");
    assert_int_equal(f->sql->ops->exec(f->sql, "SELECT 1", params, 1, NULL, &f->err), RC_INVALID);
    params[3] = rc_value_text("not utf-8 \xff");
    assert_int_equal(f->sql->ops->exec(f->sql, "SELECT $1::varchar", &params[3], 1, NULL, &f->err),
                     RC_INVALID);
}

static void test_changed(void **state)
{
    struct fixture *f = *state;
    int64_t changed = -1;

    assert_int_equal(f->sql->ops->exec(f->sql, "CREATE TABLE t AS SELECT * FROM range(10) x(i)",
                                       NULL, 0, &changed, &f->err),
                     RC_OK);
    assert_int_equal(changed, 10);
    assert_int_equal(
        f->sql->ops->exec(f->sql, "DELETE FROM t WHERE i < 3", NULL, 0, &changed, &f->err), RC_OK);
    assert_int_equal(changed, 3);
    assert_rows(f, "SELECT count(*) FROM t", "7\n");
}

static void test_errors(void **state)
{
    struct fixture *f = *state;

    assert_fails(f, "SELEC 1", RC_INVALID, "syntax error");
    assert_fails(f, "SELECT * FROM no_such_table", RC_INVALID, "no_such_table");
    assert_fails(f, "SELECT no_such_column FROM (SELECT 1 AS x)", RC_INVALID, "no_such_column");
    assert_fails(f, "SELECT 'x'::bigint", RC_FAILED, "x");
    assert_fails(f, "SELECT 'a\nb\x1b[31m'::bigint", RC_FAILED, "");
    assert_null(strchr(f->err.cause, '\n'));
    assert_null(strchr(f->err.cause, '\x1b'));
    assert_fails(f, "SELECT * FROM read_parquet('/no/such/file')", RC_NOT_FOUND, "/no/such/file");
    assert_fails(f, "SELECT error('on purpose')", RC_FAILED, "on purpose");
    assert_fails(f, "INSTALL httpfs", RC_FAILED, "");
    assert_fails(f, "SELECT * FROM read_parquet('s3://bucket/x.parquet')", RC_UNSUPPORTED,
                 "httpfs");
    assert_fails(f, "COPY (SELECT 1) TO '/no/such/directory/x.csv'", RC_NOT_FOUND, "/no/such");
    fixture_file(f, "broken.parquet", "PAR1 this is no parquet file PAR1");
    const char *path = fixture_path(f, "broken.parquet");
    char statement[256];
    snprintf(statement, sizeof(statement), "SELECT * FROM read_parquet('%s')", path);
    assert_fails(f, statement, RC_CORRUPT, "broken.parquet");
    assert_rows(f, "SELECT 'still usable'", "'still usable'\n");
}

static void test_memory_limit(void **state)
{
    struct fixture *f = *state;

    f->settings.memory_limit_bytes = 32 << 20;
    f->settings.temp_limit_bytes = 1 << 20;
    fixture_reopen(f);
    assert_rows(f, "SELECT current_setting('memory_limit'), current_setting('threads')",
                "'20.4 MiB'|2\n"); /* the rest is for what DuckDB does not count */
    assert_fails(f, "CREATE TEMP TABLE big AS SELECT md5(i::varchar) h FROM range(3000000) t(i)",
                 RC_TOO_LARGE, "of the engine");
    assert_rows(f, "SELECT 'usable'", "'usable'\n");
    f->settings.temp_limit_bytes = 0;
    fixture_reopen(f);
    fixture_exec(f, "CREATE TEMP TABLE big AS SELECT md5(i::varchar) h FROM range(3000000) t(i)");
    assert_rows(f, "SELECT count(*) FROM big", "3000000\n");
}

static void test_settings(void **state)
{
    struct fixture *f = *state;

    assert_rows(f,
                "SELECT current_setting('TimeZone'), current_setting('threads'), "
                "current_setting('autoinstall_known_extensions'), "
                "current_setting('autoload_known_extensions'), "
                "current_setting('allow_community_extensions'), "
                "current_setting('enable_external_access')",
                "'UTC'|2|false|false|false|true\n");
    f->settings.threads = 0;
    fixture_reopen(f);
    char expected[32];
    snprintf(expected, sizeof(expected), "%ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    assert_rows(f, "SELECT current_setting('threads')", expected);
    f->settings.engine = "oracle";
    struct rc_sql *none = NULL;
    assert_int_equal(core_sql_open(&f->context, &none, &f->err), RC_INVALID);
    assert_error(f, RC_INVALID, "there is no SQL engine 'oracle'");
    f->settings.engine = "duckdb";
}

static void test_is_read(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *statement;
        bool reads;
    } cases[] = {
        { "SELECT 1", true },
        { "WITH x AS (SELECT 1) SELECT * FROM x", true },
        { "FROM range(3)", true },
        { "VALUES (1)", true },
        { "SELECT $1", true },
        { "EXPLAIN SELECT 1", true },
        { "EXPLAIN ANALYZE SELECT 1", false },
        { "explain /* */ analyze COPY (SELECT 1) TO '/tmp/rc-never'", false },
        { "CREATE TABLE t (a integer)", false },
        { "CREATE TEMP VIEW v AS SELECT 1", false },
        { "COPY (SELECT 1) TO '/tmp/rc-never'", false },
        { "ATTACH '/tmp/rc-never.db' AS x", false },
        { "SET threads = 1", false },
        { "PRAGMA threads = 1", false },
        { "INSERT INTO d VALUES (1)", false },
        { "DELETE FROM d", false },
        { "DROP TABLE d", false },
        { "BEGIN", false },
    };

    fixture_exec(f, "CREATE TABLE d (a integer)");
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        bool reads = !cases[i].reads;
        if (f->sql->ops->is_read(f->sql, cases[i].statement, &reads, &f->err))
            fail_msg("%s: %s", cases[i].statement, f->err.cause);
        if (reads != cases[i].reads)
            fail_msg("%s", cases[i].statement);
    }
    bool reads;
    assert_int_equal(f->sql->ops->is_read(f->sql, "SELEC", &reads, &f->err), RC_INVALID);
    assert_int_equal(f->sql->ops->is_read(f->sql, "SELECT 1; DROP TABLE d", &reads, &f->err),
                     RC_INVALID);
    assert_int_equal(access("/tmp/rc-never", F_OK), -1);
}

/* ---- stopping ------------------------------------------------------------------------------- */

struct stopper {
    struct fixture *f;
    int64_t after_ms;
    enum rc_code code; /* RC_OK: through the session */
    _Atomic int64_t asked_ms;
};

static void *stop_later(void *argument)
{
    struct stopper *stopper = argument;

    core_clock_sleep_ms(stopper->after_ms);
    atomic_store(&stopper->asked_ms, fixture_now_ms());
    if (stopper->code)
        core_cancel_request(&stopper->f->cancel, stopper->code);
    else
        stopper->f->sql->ops->cancel(stopper->f->sql);
    return NULL;
}

static const char *const long_statements[] = {
    "SELECT count(*) FROM range(100000000000)",
    "SELECT sum(hash(i)) FROM range(30000000000) t(i)",
    "SELECT count(*) FROM (SELECT hash(i) % 1000000 h FROM range(20000000000) t(i) GROUP BY h)",
    "SELECT a.i, b.i FROM range(1000000) a(i), range(1000000) b(i) WHERE a.i + b.i = -1",
    "CREATE TEMP TABLE sorted AS SELECT md5(i::varchar) h FROM range(500000000) t(i) ORDER BY h",
};

static int64_t stop_one(struct fixture *f, const char *statement, int64_t after_ms,
                        enum rc_code code)
{
    struct stopper stopper = { .f = f, .after_ms = after_ms, .code = code };
    enum rc_code expected = code ? code : RC_CANCELLED;
    enum rc_code found;
    int64_t took_ms;
    pthread_t thread;

    pthread_create(&thread, NULL, stop_later, &stopper);
    found = f->sql->ops->exec(f->sql, statement, NULL, 0, NULL, &f->err);
    took_ms = fixture_now_ms() - atomic_load(&stopper.asked_ms);
    pthread_join(thread, NULL);
    if (found != expected)
        fail_msg("%s: %s: %s", statement, rc_code_name(found), f->err.cause);
    f->cancel = (struct core_cancel)CORE_CANCEL_INIT;
    assert_rows(f, "SELECT 'usable'", "'usable'\n");
    return took_ms;
}

/* 200 ms is the aim; the machine of the test may be busy, though hardly each time. */
static void stop_soon(struct fixture *f, const char *statement, int64_t after_ms, enum rc_code code)
{
    enum { TRIES = 10, SOON_MS = 1000 };
    int64_t took_ms = SOON_MS;

    for (int i = 0; i < TRIES && took_ms >= SOON_MS; i++) {
        took_ms = stop_one(f, statement, after_ms, code);
        print_message("stopped after %d ms: %.60s\n", (int)took_ms, statement);
    }
    assert_true(took_ms < SOON_MS);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(long_statements); i++)
        stop_soon(f, long_statements[i], 300,
                  i % 3 == 0   ? RC_TIMEOUT
                  : i % 3 == 1 ? RC_CANCELLED
                               : RC_OK);
    stop_soon(f, long_statements[0], 0, RC_TIMEOUT);
    assert_error(f, RC_TIMEOUT, "");
}

static void test_cancel_before(void **state)
{
    struct fixture *f = *state;
    struct rc_rows *rows = NULL;

    f->sql->ops->cancel(f->sql);
    assert_rows(f, "SELECT 1", "1\n");
    core_cancel_request(&f->cancel, RC_TIMEOUT);
    assert_int_equal(f->sql->ops->exec(f->sql, "SELECT 1", NULL, 0, NULL, &f->err), RC_TIMEOUT);
    assert_int_equal(f->sql->ops->query(f->sql, "SELECT 1", NULL, 0, &rows, &f->err), RC_TIMEOUT);
    assert_null(rows);
    f->cancel = (struct core_cancel)CORE_CANCEL_INIT;
}

static void test_cancel_rows(void **state)
{
    struct fixture *f = *state;
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);
    enum rc_code code;

    assert_int_equal(
        f->sql->ops->query(f->sql, "SELECT * FROM range(100000000)", NULL, 0, &rows, &f->err),
        RC_OK);
    assert_int_equal(rc_rows_next(rows, &row, &f->err), RC_OK);
    f->sql->ops->cancel(f->sql);
    while (!(code = rc_rows_next(rows, &row, &f->err)) && row)
        ;
    assert_int_equal(code, RC_CANCELLED);
    rc_rows_close(&rows);
    assert_rows(f, "SELECT 1", "1\n");
}

struct progress {
    _Atomic int calls;
    double last;
    bool sane;
};

static void on_progress(void *context, double fraction)
{
    struct progress *progress = context;

    progress->sane = progress->sane && fraction >= 0 && fraction <= 1;
    progress->last = fraction;
    atomic_fetch_add(&progress->calls, 1);
}

static void test_progress(void **state)
{
    struct fixture *f = *state;
    struct progress progress = { .sane = true };

    f->context.on_progress = on_progress;
    f->context.progress_context = &progress;
    fixture_reopen(f);
    fixture_exec(f, "CREATE TEMP TABLE t AS SELECT i FROM range(8000000) t(i)");
    fixture_exec(f, "SELECT sum(length(md5(i::varchar) || sha256(i::varchar))) FROM t");
    assert_true(progress.sane);
    assert_true(atomic_load(&progress.calls) > 0);
    print_message("progress was told %d times, last %.2f\n", atomic_load(&progress.calls),
                  progress.last);
    f->sql->ops->close(f->sql);
    f->sql = NULL;
    f->context.on_progress = NULL;
    fixture_reopen(f);
}

static void *use_session(void *argument)
{
    struct fixture f = *(struct fixture *)argument;

    f.sql = NULL;
    for (int i = 0; i < 5; i++) {
        fixture_reopen(&f);
        assert_rows(&f, "SELECT sum(i) FROM range(100000) t(i)", "4999950000\n");
    }
    f.sql->ops->close(f.sql);
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[4];

    for (size_t i = 0; i < RC_ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, use_session, *state);
    for (size_t i = 0; i < RC_ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
}

static void test_open_close(void **state)
{
    struct fixture *f = *state;
    enum { ROUNDS = 200 }; /* a leak of one session shows as well as one of a thousand */
    int64_t start_ms = fixture_now_ms();

    for (int i = 0; i < ROUNDS; i++) {
        fixture_reopen(f);
        if (i % 10 == 0)
            fixture_exec(f, "SELECT 1");
    }
    print_message("a session opens and closes in %.2f ms\n",
                  (double)(fixture_now_ms() - start_ms) / ROUNDS);
}

/* ---- expressions ---------------------------------------------------------------------------- */

static void json_case(struct fixture *f, const char *json, const char *path, const char *expected)
{
    RC_BUF_AUTO(sql, 4096);
    RC_BUF_AUTO(literal, 4096);
    RC_BUF_AUTO(row, 4096);

    if (json)
        rc_buf_add_literal(&literal, json);
    else
        rc_buf_adds(&literal, "NULL::varchar");
    rc_buf_adds(&sql, "SELECT ");
    f->sql->ops->add_json_text(f->sql, &sql, literal.data, path);
    rc_buf_addf(&row, "%s\n", expected);
    assert_rows(f, sql.data, row.data);
}

static void test_json(void **state)
{
    struct fixture *f = *state;

    json_case(f, "{\"a\":{\"b\":1.5}}", "$.a.b", "'1.5'");
    json_case(f, "{\"a\":{\"b\":\"text\"}}", "$.a.b", "'text'");
    json_case(f, "{\"a\":{\"b\":\"it's\\u0041\"}}", "$.a.b", "'it'sA'");
    json_case(f, "{\"a\":[5,6]}", "$.a[1]", "'6'");
    json_case(f, "{\"a\":true}", "$.a", "'true'");
    json_case(f, "{\"a\":null}", "$.a", "-");
    json_case(f, "{\"a\":1}", "$.b", "-");
    json_case(f, "{\"a\":{\"x\": [1, 2]}}", "$.a", "'{\"x\":[1,2]}'");
    json_case(f, "{\"a\":[1, 2]}", "$.a", "'[1,2]'");
    json_case(f, "{\"it's\":1}", "$.it's", "'1'");
    json_case(f, "[7]", "$[0]", "'7'");
    json_case(f, "{broken", "$.a", "-");
    json_case(f, "", "$.a", "-");
    json_case(f, NULL, "$.a", "-");
    fixture_exec(f, "CREATE TEMP TABLE j AS SELECT CASE WHEN i %% 7 = 0 THEN '{bad' ELSE "
                    "'{\"a\":' || i || '}' END AS e FROM range(10000) t(i)");
    assert_rows(f, "SELECT count(try(json_extract_string(e, '$.a'))), count(*) FROM j",
                "8571|10000\n");
}

static void cast_case(struct fixture *f, const char *literal, const char *type,
                      const char *expected)
{
    RC_BUF_AUTO(sql, 4096);
    RC_BUF_AUTO(row, 4096);

    rc_buf_adds(&sql, "SELECT ");
    f->sql->ops->add_try_cast(f->sql, &sql, literal, type);
    rc_buf_addf(&row, "%s\n", expected);
    assert_rows(f, sql.data, row.data);
}

static void test_casts(void **state)
{
    struct fixture *f = *state;

    cast_case(f, "'12'", "bigint", "12");
    cast_case(f, "'-12'", "integer", "-12");
    cast_case(f, "'x'", "bigint", "-");
    cast_case(f, "''", "bigint", "-");
    cast_case(f, "NULL", "bigint", "-");
    cast_case(f, "'9223372036854775808'", "bigint", "-");
    cast_case(f, "'1.5'", "double", "1.5");
    cast_case(f, "'{\"x\":1}'", "double", "-");
    cast_case(f, "'1.239'", "decimal(10, 2)", "'1.24'");
    cast_case(f, "'2021-02-30'", "date", "-");
    cast_case(f, "'2021-02-28'", "DATE", "'2021-02-28'");
    cast_case(f, "'maybe'", "boolean", "-");

    RC_BUF_AUTO(sql, 4096);
    rc_buf_adds(&sql, "SELECT ");
    f->sql->ops->add_try_cast(f->sql, &sql, "'1'", "bigint); DROP TABLE x; --");
    assert_fails(f, sql.data, RC_FAILED, "not a column type");

    rc_buf_reset(&sql);
    rc_buf_adds(&sql, "SELECT ");
    f->sql->ops->add_json_valid(f->sql, &sql, "e");
    rc_buf_adds(&sql, " FROM (VALUES ('{}'), ('{bad'), (NULL)) t(e)");
    assert_rows(f, sql.data, "true\nfalse\n-\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_types),         TEST(test_statement_ends), TEST(test_names),
        TEST(test_many_rows),     TEST(test_open_rows),      TEST(test_parameters),
        TEST(test_changed),       TEST(test_errors),         TEST(test_memory_limit),
        TEST(test_settings),      TEST(test_is_read),        TEST(test_cancel),
        TEST(test_cancel_before), TEST(test_cancel_rows),    TEST(test_progress),
        TEST(test_threads),       TEST(test_open_close),     TEST(test_json),
        TEST(test_casts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
