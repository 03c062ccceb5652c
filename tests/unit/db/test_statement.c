/*
 * SQL text without a server: where statements end, what they change, what a plugin may use.
 */
#include <db/statement.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define expect_statements(script, ...)                                                             \
    do {                                                                                           \
        static const char *const expected[] = { __VA_ARGS__ };                                     \
        check_statements(script, expected, RC_ARRAY_LEN(expected));                                \
    } while (0)

static void check_statements(const char *script, const char *const *expected, size_t count)
{
    const char *start;
    size_t len;

    for (size_t i = 0; i < count; i++) {
        assert_true(core_statement_next(&script, &start, &len));
        assert_int_equal(len, strlen(expected[i]));
        assert_memory_equal(start, expected[i], len);
    }
    assert_false(core_statement_next(&script, &start, &len));
}

static void scripts_are_split_where_statements_end(void **state)
{
    const char *script = " ;; -- nothing\n/* ; /* ; */ ; */", *start;
    size_t len;

    (void)state;
    assert_false(core_statement_next(&script, &start, &len));
    expect_statements("SELECT 1", "SELECT 1");
    expect_statements(";SELECT 1 ; -- a; b\nSELECT 2;", "SELECT 1", "SELECT 2");
    expect_statements("SELECT ';', \";\", 'it''s;'; x", "SELECT ';', \";\", 'it''s;'", "x");
    expect_statements("SELECT E'\\';' ; x", "SELECT E'\\';'", "x");
    expect_statements("SELECT '\\'; x", "SELECT '\\'", "x");
    expect_statements("DO $$ a; b $$; DO $t$ $$;$$ $t$; x", "DO $$ a; b $$", "DO $t$ $$;$$ $t$",
                      "x");
    expect_statements("SELECT a$b$c; x", "SELECT a$b$c", "x");
    expect_statements("SELECT U&\"a;\" , U&';' ; x", "SELECT U&\"a;\" , U&';'", "x");
    /* What is not closed takes the rest. */
    expect_statements("SELECT 'a; b", "SELECT 'a; b");
    expect_statements("SELECT $$a; b", "SELECT $$a; b");
    expect_statements("SELECT \"a; b", "SELECT \"a; b");
}

static void parameters_are_counted(void **state)
{
    (void)state;
    assert_int_equal(core_statement_parameters("SELECT 1"), 0);
    assert_int_equal(core_statement_parameters("SELECT $1, $12 , $2"), 12);
    assert_int_equal(core_statement_parameters("SELECT '$3', \"$4\", $$ $5 $$ -- $6\n, $1"), 1);
    assert_int_equal(core_statement_parameters("SELECT a$2 FROM t"), 0);
    assert_true(core_statement_parameters("SELECT $99999999999999999999999999") > 65535);
}

static void statements_that_change_are_known(void **state)
{
    static const char *const reads[] = {
        "SELECT 1",
        "(SELECT 1) UNION (SELECT 2)",
        "select substring(a for 3) from t",
        "VALUES (1)",
        "TABLE t",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "/* insert */ SELECT 'delete', \"update\"",
        "EXPLAIN SELECT 1",
    };
    static const char *const changes[] = {
        "INSERT INTO t VALUES (1)",
        "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
        "SELECT * INTO copy FROM t",
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM t FOR NO KEY UPDATE",
        "SELECT * FROM t FOR SHARE",
        "SELECT * FROM t FOR KEY SHARE",
        "EXPLAIN ANALYZE DELETE FROM t",
        "CREATE TABLE t (x INTEGER)",
        "DO $$ $$",
        "",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(reads); i++)
        if (!core_statement_is_read(reads[i]))
            fail_msg("'%s' only reads", reads[i]);
    for (size_t i = 0; i < RC_ARRAY_LEN(changes); i++)
        if (core_statement_is_read(changes[i]))
            fail_msg("'%s' may change something", changes[i]);
}

static void plugins_keep_to_their_tables(void **state)
{
    static const char *const denied[] = {
        "BEGIN",
        " /* x */ commit",
        "SET search_path = public",
        "COPY t TO PROGRAM 'sh'",
        "CREATE SCHEMA x",
        "DROP OWNED BY x",
        "ALTER ROLE x SUPERUSER",
        "SELECT * FROM run_core.runs",
        "SELECT * FROM \"run_core\".runs",
        "DELETE FROM RUN_CORE_SCHEMA",
        "SELECT * FROM U&\"\\0072un_core\".runs",
        "WITH x AS (SELECT 1) INSERT INTO run_core_other.t SELECT * FROM x",
    };
    static const char *const fine[] = {
        "SELECT * FROM t WHERE name = 'run_core'",
        "SELECT $$ run_core $$",
        "UPDATE t SET x = 1",
        "(SELECT 1)",
        "",
    };
    struct rc_error err;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(denied); i++)
        if (core_statement_check(denied[i], &err) != RC_DENIED)
            fail_msg("'%s' was let through", denied[i]);
    for (size_t i = 0; i < RC_ARRAY_LEN(fine); i++)
        if (core_statement_check(fine[i], &err))
            fail_msg("'%s': %s", fine[i], err.cause);
    /* A name that only begins like ours is kept away from, too. */
    assert_int_equal(core_statement_check("SELECT run_corer FROM t", &err), RC_DENIED);
    assert_int_equal(core_statement_check("SELEKT 1", &err), RC_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_are_split_where_statements_end),
        cmocka_unit_test(parameters_are_counted),
        cmocka_unit_test(statements_that_change_are_known),
        cmocka_unit_test(plugins_keep_to_their_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
