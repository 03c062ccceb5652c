/*
 * The second opinion by the real SQL engine: that it finds users whatever kind of column their ids
 * are in, and that it notices whatever could differ between an old file and a new one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include "engine_internal.h"

#include "duckdb_sql.h"

#include <string.h>
#include <unistd.h>

#define T(...) ((const char *const[]){ __VA_ARGS__ })

enum { FOOTER_LIMIT = 1 << 20, EXIT_SKIPPED = 77, SCRATCH_BYTES = 1 << 20 };

struct fixture {
    struct rc_fake_host *host;
    struct rc_job *job;
    struct dsr_config config;
    struct dsr_scratch *scratch;
    struct dsr_engines *engines;
    struct dsr_engine *engine;
    struct rc_error err;
};

/* Has the session look for these users. */
static void know(struct fixture *f, const char *const *ids)
{
    struct dsr_users *users = dsr_users_new();

    for (size_t i = 0; ids[i]; i++)
        assert_int_equal(dsr_users_add(users, ids[i], strlen(ids[i]), &f->err), RC_OK);
    assert_int_equal(dsr_users_freeze(users, &f->err), RC_OK);
    dsr_engines_drop(&f->engine);
    if (dsr_engines_borrow(f->job, f->engines, users, &f->engine, &f->err))
        fail_msg("%s: %s", f->err.context, f->err.cause);
    dsr_users_free(users);
}

static void begin(struct fixture *f)
{
    static struct rc_host base_host;
    static struct rc_job base = { .host = &base_host, .run_id = "engine-1", .time_zone = "UTC" };

    memset(f, 0, sizeof(*f));
    base_host.sql = duckdb_sql_api();
    f->host = rc_fake_host_new(&base);
    f->job = rc_fake_host_job(f->host);
    f->config.memory_bytes = (int64_t)1 << 30;
    assert_int_equal(dsr_scratch_new(f->job, SCRATCH_BYTES, &f->scratch, &f->err), RC_OK);
    if (dsr_engines_new(f->job, &f->config, f->scratch, 2, &f->engines, &f->err))
        fail_msg("%s: %s", f->err.context, f->err.cause);
    know(f, T(NULL));
}

static void end(struct fixture *f)
{
    dsr_engines_drop(&f->engine);
    dsr_engines_free(f->engines);
    dsr_scratch_free(f->scratch);
    assert_int_equal(rc_fake_host_open_handles(f->host), 0);
    rc_fake_host_free(f->host);
}

/* A file that the engine itself has written, of what a query gives. */
struct made {
    struct dsr_scratch_file scratch;
    struct pq_source source;
    struct pq_file file;
};

static void make(struct fixture *f, struct made *made, const char *query)
{
    RC_STR_AUTO copy = NULL;

    assert_int_equal(dsr_scratch_open(f->job, f->scratch, &made->scratch, &f->err), RC_OK);
    copy = rc_strf("COPY (%s) TO '%s' (FORMAT parquet, use_tmp_file false)", query,
                   made->scratch.path);
    if (rc_sql_exec(f->job, f->engine->sql, copy, NULL, 0, NULL, &f->err))
        fail_msg("%s: %s", query, f->err.cause);
    made->scratch.bytes = lseek(made->scratch.fd, 0, SEEK_END);
    made->source = dsr_scratch_source(&made->scratch, "made");
    if (pq_file_open(&made->file, &made->source, FOOTER_LIMIT, &f->err))
        fail_msg("%s: %s", f->err.context, f->err.cause);
}

static void unmake(struct made *made)
{
    pq_file_close(&made->file);
    dsr_scratch_close(&made->scratch);
}

/* ---- counting ------------------------------------------------------------------------------- */

/* A file of the ids alone, made of what a query gives: every column is one of them. */
struct ids {
    const struct pq_column *columns[4];
    struct dsr_engine_columns asked;
    struct made made;
    struct dsr_scratch_file alone;
};

static void make_ids(struct fixture *f, struct ids *ids, const char *query, const char *separator)
{
    size_t all[RC_ARRAY_LEN(ids->columns)];
    struct pq_sink sink;

    ids->asked = (struct dsr_engine_columns){ ids->columns, 0, separator };
    make(f, &ids->made, query);
    for (; ids->asked.count < ids->made.file.column_count; ids->asked.count++) {
        assert_true(ids->asked.count < RC_ARRAY_LEN(all));
        all[ids->asked.count] = ids->asked.count;
        ids->columns[ids->asked.count] = &ids->made.file.columns[ids->asked.count];
    }
    assert_int_equal(dsr_scratch_open(f->job, f->scratch, &ids->alone, &f->err), RC_OK);
    sink = dsr_scratch_sink(&ids->alone);
    assert_int_equal(pq_project(&ids->made.file, all, ids->asked.count, &sink, &f->err), RC_OK);
}

static void unmake_ids(struct ids *ids)
{
    dsr_scratch_close(&ids->alone);
    unmake(&ids->made);
}

/* Rows of the users. */
static int64_t count(struct fixture *f, const char *query, const char *separator)
{
    struct ids ids;
    int64_t rows = -1;

    make_ids(f, &ids, query, separator);
    /* The same file twice, as one of many. */
    if (dsr_engine_count(f->engine, (const char *const[]){ ids.alone.path, ids.alone.path }, 2,
                         &ids.asked, &rows, &f->err))
        fail_msg("%s: %s", f->err.context, f->err.cause);
    unmake_ids(&ids);
    assert_int_equal(rows % 2, 0);
    return rows / 2;
}

static void test_ids_of_any_bytes(void **state)
{
    static const char texts[] = "SELECT unnest(['it''s', NULL, 'ada', E'two\nlines', 'Ada', 'a,b', "
                                "'', 'ada ']) AS id";
    static const char blobs[] = "SELECT unnest(['\\xFF\\xFE'::BLOB, '\\xFF'::BLOB, NULL]) AS id";
    struct fixture f;

    (void)state;
    begin(&f);
    know(&f, T("it's", "\xff\xfe", "two\nlines", "a,b", "nobody", NULL));
    assert_int_equal(count(&f, texts, NULL), 3);
    assert_int_equal(count(&f, blobs, NULL), 1);
    know(&f, T("ada", NULL)); /* the former ones are forgotten */
    assert_int_equal(count(&f, texts, NULL), 1);
    assert_int_equal(count(&f, blobs, NULL), 0);
    end(&f);
}

static void test_ids_that_are_numbers(void **state)
{
    static const char of_64[] =
        "SELECT unnest([7, -7, NULL, 0, 9223372036854775807])::BIGINT AS id";
    static const char of_32[] = "SELECT unnest([7, -7, NULL, 0, 2147483647])::INTEGER AS id";
    static const char of_8[] = "SELECT unnest([7, -7, NULL, 0, 127])::TINYINT AS id";
    static const char unsigned_64[] =
        "SELECT unnest([7, 18446744073709551609, NULL, 0, 18446744073709551615])::UBIGINT AS id";
    static const char unsigned_32[] =
        "SELECT unnest([7, 4294967289, NULL, 0, 4294967295])::UINTEGER AS id";
    struct fixture f;

    (void)state;
    begin(&f);
    know(&f, T("7", "9223372036854775807", "9223372036854775808", "4294967295",
               "18446744073709551615", "18446744073709551616", "99999999999999999999", "x", NULL));
    assert_int_equal(count(&f, of_64, NULL), 2);
    assert_int_equal(count(&f, of_32, NULL), 1);
    assert_int_equal(count(&f, of_8, NULL), 1);
    assert_int_equal(count(&f, unsigned_64, NULL), 2);
    assert_int_equal(count(&f, unsigned_32, NULL), 2);
    know(&f, T("007", "-0", "+7", " 7", "7.0", "-1", NULL));
    assert_int_equal(count(&f, of_64, NULL), 0);
    assert_int_equal(count(&f, unsigned_64, NULL), 0);
    assert_int_equal(count(&f, unsigned_32, NULL), 0);
    know(&f, T("-7", "0", NULL));
    assert_int_equal(count(&f, of_64, NULL), 2);
    assert_int_equal(count(&f, of_8, NULL), 2);
    assert_int_equal(count(&f, unsigned_64, NULL), 1);
    end(&f);
}

static void test_ids_that_are_uuids(void **state)
{
    static const char uuids[] =
        "SELECT unnest(['6f9619ff-8b86-d011-b42d-00c04fc964ff'::UUID, NULL, "
        "'00000000-0000-0000-0000-000000000000'::UUID]) AS id";
    struct fixture f;

    (void)state;
    begin(&f);
    know(&f, T("6F9619FF-8B86-D011-B42D-00C04FC964FF", "6f9619ff", NULL));
    assert_int_equal(count(&f, uuids, NULL), 1);
    end(&f);
}

static void test_several_columns(void **state)
{
    static const char two[] =
        "SELECT {'id': a} AS user, b AS \"no id\" FROM (VALUES ('a', 1), ('b', 2), (NULL, 3), "
        "('a', NULL), ('a#1', 2)) v(a, b)";
    static const char one_struct[] =
        "SELECT {'one': a, 'other': b} AS ids, c AS third FROM (VALUES ('a', 'b', 'c'), "
        "('b', 'a', 'c'), ('x', 'y', 'z')) v(a, b, c)";
    struct fixture f;

    (void)state;
    begin(&f);
    know(&f, T("a", "3", NULL));
    assert_int_equal(count(&f, two, NULL), 3);
    know(&f, T("a#1", NULL));
    assert_int_equal(count(&f, two, NULL), 1);
    assert_int_equal(count(&f, two, "#"), 1);
    know(&f, T("a#1#2", "b#02", "a#", "#3", NULL));
    assert_int_equal(count(&f, two, "#"), 1);
    know(&f, T("b'a'c", "z", NULL));
    assert_int_equal(count(&f, one_struct, "'"), 1);
    assert_int_equal(count(&f, one_struct, NULL), 1);
    end(&f);
}

static void test_parts_of_an_id(void **state)
{
    static const char query[] = "SELECT '6f9619ff-8b86-d011-b42d-00c04fc964ff'::UUID AS a, "
                                "unnest([1, 4294967295])::UINTEGER "
                                "AS b";
    struct fixture f;

    (void)state;
    begin(&f);
    know(&f, T("6f9619ff-8b86-d011-b42d-00c04fc964ff/4294967295", NULL));
    assert_int_equal(count(&f, query, "/"), 1);
    /* A UUID is one however it is written; a text is not. */
    know(&f, T("6F9619FF-8B86-D011-B42D-00C04fc964ff/4294967295", NULL));
    assert_int_equal(count(&f, query, "/"), 1);
    assert_int_equal(
        count(&f, "SELECT '6f9619ff-8b86-d011-b42d-00c04fc964ff' AS a, 4294967295 AS b", "/"), 0);
    end(&f);
}

/* The rows that are named are held against those that are the users', wherever they are. */
static void test_matching_rows(void **state)
{
    static const char query[] =
        "SELECT CASE WHEN i IN (3, 4999, 5000, 9999) THEN 'ada' "
        "WHEN i % 7 = 0 THEN NULL ELSE 'kim' END AS id FROM range(10000) r(i)";
    static const struct {
        int64_t rows[5];
        size_t count;
        int64_t matching;
    } cases[] = {
        { { 3, 4999, 5000, 9999 }, 4, 4 },    { { 4, 4999, 5000, 9999 }, 4, 3 },
        { { 3, 4999, 5000 }, 3, 3 },          { { 0, 3, 4999, 5000, 9999 }, 5, 4 },
        { { 2, 4, 4998, 5001, 9998 }, 5, 0 },
    };
    struct fixture f;
    struct ids ids;

    (void)state;
    begin(&f);
    know(&f, T("ada", NULL));
    make_ids(&f, &ids, query, NULL);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        const struct pq_rows named = { cases[i].rows, cases[i].count };
        int64_t rows, matching;

        assert_int_equal(dsr_engine_rows(f.engine, &named, &f.err), RC_OK);
        assert_int_equal(
            dsr_engine_match(f.engine, ids.alone.path, &ids.asked, &rows, &matching, &f.err),
            RC_OK);
        assert_int_equal(rows, 4);
        assert_int_equal(matching, cases[i].matching);
    }
    unmake_ids(&ids);
    end(&f);
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* Rows 1 and 5 go. A column may be named as anything. */
static const char whole[] =
    "SELECT * FROM (VALUES (1, 'a', [1, 2], {'x': 1, 'y': NULL}), (2, NULL, [], NULL), "
    "(3, 'c', [NULL], {'x': NULL, 'y': 'b'}), (4, 'd', NULL, NULL), (5, 'e', [5], NULL), "
    "(6, 'e', [], NULL), (7, 'g', [], NULL), (8, 'h', [8], NULL)) v(p, h, f, gone)";

static enum rc_code compare(struct fixture *f, const char *query)
{
    static const int64_t gone[] = { 1, 5 };
    const struct pq_rows without = { gone, RC_ARRAY_LEN(gone) };
    struct made before, after;
    enum rc_code code;

    f->err = (struct rc_error)RC_ERROR_INIT;
    make(f, &before, whole);
    make(f, &after, query);
    code = dsr_engine_rows(f->engine, &without, &f->err);
    if (!code)
        code = dsr_engine_compare(f->engine, before.scratch.path, after.scratch.path, &f->err);
    unmake(&before);
    unmake(&after);
    return code;
}

static void assert_differs(struct fixture *f, const char *query, const char *what)
{
    assert_int_equal(compare(f, query), RC_FAILED);
    if (!strstr(f->err.cause, what))
        fail_msg("%s: '%s' does not say '%s'", query, f->err.cause, what);
}

/* What is left of the rows after a change of them. */
static void assert_change_differs(struct fixture *f, const char *change, const char *what)
{
    RC_STR_AUTO query = rc_strf(
        "SELECT * REPLACE (%s) FROM (%s) v WHERE p NOT IN (2, 6) ORDER BY v.p", change, whole);

    assert_differs(f, query, what);
}

static void test_comparing_files(void **state)
{
    RC_STR_AUTO same = rc_strf("SELECT * FROM (%s) WHERE p NOT IN (2, 6) ORDER BY p", whole);
    RC_STR_AUTO fewer = rc_strf("SELECT * FROM (%s) WHERE p NOT IN (2, 6, 7) ORDER BY p", whole);
    RC_STR_AUTO others = rc_strf("SELECT * FROM (%s) WHERE p NOT IN (2, 7) ORDER BY p", whole);
    RC_STR_AUTO moved = rc_strf("SELECT * FROM (%s) WHERE p NOT IN (2, 6) ORDER BY p DESC", whole);
    RC_STR_AUTO renamed = rc_strf(
        "SELECT p AS P, * EXCLUDE p FROM (%s) v WHERE v.p NOT IN (2, 6) ORDER BY v.p", whole);
    struct fixture f;

    (void)state;
    begin(&f);
    if (compare(&f, same))
        fail_msg("%s: %s", f.err.context, f.err.cause);
    assert_differs(&f, fewer, "has 5 rows, 6 were to stay");
    assert_differs(&f, others, "column 'p'");
    assert_differs(&f, moved, "column 'p'");
    assert_differs(&f, renamed, "other columns");
    assert_change_differs(&f, "CAST(p AS BIGINT) AS p", "other columns");
    assert_change_differs(&f, "CASE WHEN p = 7 THEN 'G' ELSE h END AS h", "column 'h'");
    assert_change_differs(&f, "CASE WHEN p = 7 THEN NULL ELSE h END AS h", "column 'h'");
    end(&f);
}

/* Which the engine's own hash does not tell apart. */
static void test_comparing_nested_values(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_change_differs(&f, "CASE WHEN p = 3 THEN [] ELSE f END AS f", "column 'f'");
    assert_change_differs(&f, "CASE WHEN p = 4 THEN [] ELSE f END AS f", "column 'f'");
    assert_change_differs(&f, "CASE WHEN p = 1 THEN [2, 1] ELSE f END AS f", "column 'f'");
    assert_change_differs(&f, "CASE WHEN p = 4 THEN {'x': NULL, 'y': NULL} ELSE gone END AS gone",
                          "column 'gone'");
    end(&f);
}

static void test_files_that_the_engine_cannot_read(void **state)
{
    const struct pq_rows none = { .len = 0 };
    struct dsr_scratch_file broken;
    struct pq_sink sink;
    struct made made;
    struct fixture f;

    (void)state;
    begin(&f);
    make(&f, &made, whole);
    assert_int_equal(dsr_scratch_open(f.job, f.scratch, &broken, &f.err), RC_OK);
    sink = dsr_scratch_sink(&broken);
    assert_int_equal(sink.write(sink.context, "PAR1 this is none PAR1", 22, &f.err), RC_OK);
    assert_int_equal(dsr_engine_rows(f.engine, &none, &f.err), RC_OK);
    assert_int_equal(dsr_engine_compare(f.engine, broken.path, made.scratch.path, &f.err),
                     RC_UNSUPPORTED);
    assert_int_equal(dsr_engine_compare(f.engine, made.scratch.path, broken.path, &f.err),
                     RC_FAILED);
    assert_non_null(strstr(f.err.cause, "the new file"));
    /* It is as good as new after that. */
    assert_int_equal(dsr_engine_compare(f.engine, made.scratch.path, made.scratch.path, &f.err),
                     RC_OK);
    dsr_scratch_close(&broken);
    unmake(&made);
    end(&f);
}

/* ---- lending -------------------------------------------------------------------------------- */

static void test_sessions_are_lent_to_one_at_a_time(void **state)
{
    struct dsr_engine *second = NULL, *third = NULL;
    struct dsr_users *users = dsr_users_new();
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(dsr_users_freeze(users, &f.err), RC_OK);
    assert_int_equal(dsr_engines_borrow(f.job, f.engines, users, &second, &f.err), RC_OK);
    assert_ptr_not_equal(f.engine, second);
    /* Who waits for a third one sees that the run is to stop. */
    rc_fake_host_cancel_at(f.host, 1);
    assert_int_equal(dsr_engines_borrow(f.job, f.engines, users, &third, &f.err), RC_CANCELLED);
    assert_null(third);
    dsr_engines_drop(&second);
    assert_null(second);
    dsr_users_free(users);
    end(&f);
}

/* Users are handed over once, and those who ask for them get the session that has them. */
static void test_a_session_that_knows_the_users_is_taken(void **state)
{
    struct dsr_users *some = dsr_users_new(), *others = dsr_users_new();
    struct dsr_engine *first = NULL, *second = NULL, *again = NULL;
    struct fixture f;

    (void)state;
    begin(&f);
    dsr_engines_drop(&f.engine);
    assert_int_equal(dsr_users_freeze(some, &f.err), RC_OK);
    assert_int_equal(dsr_users_freeze(others, &f.err), RC_OK);
    assert_int_equal(dsr_engines_borrow(f.job, f.engines, some, &first, &f.err), RC_OK);
    assert_int_equal(dsr_engines_borrow(f.job, f.engines, others, &second, &f.err), RC_OK);
    f.engine = first;
    dsr_engines_drop(&f.engine);
    f.engine = second;
    dsr_engines_drop(&f.engine);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dsr_engines_borrow(f.job, f.engines, i ? some : others, &again, &f.err),
                         RC_OK);
        assert_ptr_equal(again, i ? first : second);
        dsr_engines_drop(&again);
    }
    dsr_users_free(some);
    dsr_users_free(others);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_of_any_bytes),
        cmocka_unit_test(test_ids_that_are_numbers),
        cmocka_unit_test(test_ids_that_are_uuids),
        cmocka_unit_test(test_several_columns),
        cmocka_unit_test(test_parts_of_an_id),
        cmocka_unit_test(test_matching_rows),
        cmocka_unit_test(test_comparing_files),
        cmocka_unit_test(test_comparing_nested_values),
        cmocka_unit_test(test_files_that_the_engine_cannot_read),
        cmocka_unit_test(test_sessions_are_lent_to_one_at_a_time),
        cmocka_unit_test(test_a_session_that_knows_the_users_is_taken),
    };

    if (!duckdb_sql_api())
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
