/*
 * Parameters as literals, and what statements are, in the words of Presto's grammar.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sql/presto.h>

#include <run-core/str.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void assert_bound(const char *statement, const struct rc_value *params, size_t count,
                         const char *expected)
{
    RC_BUF_AUTO(out, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    if (core_presto_bind(statement, params, count, &out, &err))
        fail_msg("%s: %s", statement, err.cause);
    assert_string_equal(out.data, expected);
}

static void assert_not_bound(const char *statement, const struct rc_value *params, size_t count,
                             const char *words)
{
    RC_BUF_AUTO(out, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_presto_bind(statement, params, count, &out, &err), RC_INVALID);
    if (!strstr(err.cause, words))
        fail_msg("'%s' is not in: %s", words, err.cause);
}

static void values_become_literals(void **state)
{
    const struct rc_value params[] = {
        rc_value_null(),           rc_value_bool(true),        rc_value_bool(false),
        rc_value_int(5),           rc_value_int(INT64_MIN),    rc_value_float(0.1),
        rc_value_float(-INFINITY), rc_value_float(NAN),        rc_value_text("it's é"),
        rc_value_text(""),         rc_value_bytes("\0\xff", 2)
    };

    (void)state;
    assert_bound("SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11", params,
                 RC_ARRAY_LEN(params),
                 "SELECT NULL, TRUE, FALSE, BIGINT '5', BIGINT '-9223372036854775808', "
                 "DOUBLE '0.10000000000000001', DOUBLE '-Infinity', DOUBLE 'NaN', 'it''s é', "
                 "CAST('' AS varchar), X'00FF'");
}

static void doubles_are_exact(void **state)
{
    static const double numbers[] = {
        0.1, 1.0 / 3.0, 5e-324, 1.7976931348623157e308, -0.0, 1e21, 123456789.123456789, -1e-300
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(numbers); i++) {
        const struct rc_value param = rc_value_float(numbers[i]);
        RC_BUF_AUTO(out, 1024);
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(core_presto_bind("$1", &param, 1, &out, &err), RC_OK);
        double back = strtod(out.data + strlen("DOUBLE '"), NULL);
        assert_memory_equal(&back, &numbers[i], sizeof(back));
    }
}

static void quotes_comments_and_names_are_left_alone(void **state)
{
    const struct rc_value param = rc_value_int(7);

    (void)state;
    assert_bound("SELECT '$1', 'a''$1', \"$1\", \"a\"\"$1\", a$1, `$1` -- $1\n, $1 /* $1 */",
                 &param, 1,
                 "SELECT '$1', 'a''$1', \"$1\", \"a\"\"$1\", a$1, `$1` -- $1\n, BIGINT '7'");
    assert_bound("SELECT \"t$partitions\".x, U&'\\0024$1', X'00', '\\' || $1", &param, 1,
                 "SELECT \"t$partitions\".x, U&'\\0024$1', X'00', '\\' || BIGINT '7'");
    assert_bound("SELECT 1 -- ' \r, $1", &param, 1, "SELECT 1 -- ' \r, BIGINT '7'");
    /* Comments do not nest. */
    assert_bound("SELECT /* /* $1 */ $1", &param, 1, "SELECT /* /* $1 */ BIGINT '7'");
}

static void texts_do_not_leave_their_quotes(void **state)
{
    const struct rc_value nasty[] = { rc_value_text("'; DROP TABLE t; --"),
                                      rc_value_text("\\' OR 1=1 /*"), rc_value_text("$2 $1"),
                                      rc_value_text("a\n\r\t\x01"), rc_value_text("''") };
    const struct rc_value nul = { .type = RC_VALUE_TEXT, .text = "a\0'\\b", .len = 5 };
    const struct rc_value broken = rc_value_text("a\xff");

    (void)state;
    assert_bound("SELECT $1, $2, $3, $4, $5", nasty, RC_ARRAY_LEN(nasty),
                 "SELECT '''; DROP TABLE t; --', '\\'' OR 1=1 /*', '$2 $1', 'a\n\r\t\x01', "
                 "''''''");
    assert_bound("SELECT $1", &nul, 1, "SELECT U&'a\\0000''\\\\b'");
    assert_not_bound("SELECT $1", &broken, 1, "$1 cannot be bound; a text has to be UTF-8");
}

static void long_texts_have_no_length_in_their_type(void **state)
{
    char *text = rc_malloc(65537);
    struct rc_value param;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    memset(text, 'x', 65536);
    text[65536] = '\0';
    param = rc_value_text(text);
    for (int over = 1; over >= 0; over--) {
        RC_BUF_AUTO(out, 1 << 20);
        param.len = 65535 + (size_t)over;
        text[param.len] = '\0';
        assert_int_equal(core_presto_bind("$1", &param, 1, &out, &err), RC_OK);
        assert_int_equal(rc_str_starts(out.data, "CAST('xxx"), over);
    }
    free(text);
}

static void literals_stay_apart(void **state)
{
    const struct rc_value minus = rc_value_int(-5), text = rc_value_text("t"),
                          yes = rc_value_bool(true);

    (void)state;
    assert_bound("SELECT -$1", &minus, 1, "SELECT -BIGINT '-5'");
    assert_bound("SELECT 'a'$1'b'", &text, 1, "SELECT 'a' 't' 'b'");
    assert_bound("SELECT U&$1", &text, 1, "SELECT U& 't'");
    assert_bound("SELECT ($1)AND $1and x=$1", &yes, 1, "SELECT (TRUE)AND TRUE and x=TRUE");
    assert_bound("$1", &yes, 1, "TRUE");
}

static void rows_are_counted_in_bare_digits(void **state)
{
    const struct rc_value five = rc_value_int(5), minus = rc_value_int(-5);

    (void)state;
    assert_bound("SELECT $1 OFFSET $1 LIMIT $1", &five, 1, "SELECT BIGINT '5' OFFSET 5 LIMIT 5");
    assert_bound("SELECT 1 FETCH FIRST /* x */ $1 ROWS ONLY", &five, 1,
                 "SELECT 1 FETCH FIRST /* x */ 5 ROWS ONLY");
    assert_bound("SELECT 1 LIMIT $1", &minus, 1, "SELECT 1 LIMIT BIGINT '-5'");
}

static void numbers_of_parameters_are_checked(void **state)
{
    const struct rc_value params[] = { rc_value_int(1), rc_value_int(2) };

    (void)state;
    assert_bound("SELECT $2, $1, $2", params, 2, "SELECT BIGINT '2', BIGINT '1', BIGINT '2'");
    assert_not_bound("SELECT $2", params, 1, "has 2 parameters, 1 were given");
    assert_not_bound("SELECT $1", params, 2, "has 1 parameters, 2 were given");
    assert_not_bound("SELECT '$1'", params, 1, "has 0 parameters, 1 were given");
    assert_not_bound("SELECT $0", params, 0, "has a parameter $0");
    assert_not_bound("SELECT $99999999999999999999999999", params, 2, "2 were given");
}

static void only_one_statement_is_taken(void **state)
{
    (void)state;
    assert_bound(" -- first\n ;; SELECT 1 ; -- done\n;/* x */ ", NULL, 0, "SELECT 1");
    assert_bound("SELECT ';', \";\" -- ;\n+ 1", NULL, 0, "SELECT ';', \";\" -- ;\n+ 1");
    assert_not_bound("SELECT 1; DROP TABLE t", NULL, 0, "more than one statement");
    assert_not_bound("", NULL, 0, "no statement");
    assert_not_bound(" ; -- SELECT\n", NULL, 0, "no statement");
    assert_not_bound("SELECT 'a", NULL, 0, "has no end");
    assert_not_bound("SELECT \"a''", NULL, 0, "has no end");
    assert_not_bound("SELECT 1 /* a", NULL, 0, "has no end");
    assert_not_bound("SELECT 1 /*/", NULL, 0, "has no end");
}

static void reads_are_told_from_writes(void **state)
{
    static const char *const reading[] = {
        "SELECT 1",
        "select 1;",
        " -- DROP\n(\n(SELECT 1) UNION SELECT 2)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "VALUES 1",
        "TABLE t",
        "SHOW TABLES",
        "DESCRIBE t",
        "desc t",
        "EXPLAIN DELETE FROM t",
        "EXPLAIN (TYPE IO) SELECT 1",
        "SELECT 'DROP'",
    };
    static const char *const writing[] = {
        "EXPLAIN ANALYZE SELECT 1",
        "explain /* x */ analyze VERBOSE DELETE FROM t",
        "INSERT INTO t SELECT 1",
        "CREATE TABLE t AS SELECT 1",
        "DROP TABLE t",
        "DELETE FROM t",
        "UPDATE t SET a = 1",
        "MERGE INTO t USING u ON 1 = 1",
        "CALL system.f()",
        "GRANT x TO y",
        "SET SESSION a = 1",
        "USE a.b",
        "TRUNCATE TABLE t",
        "selectx",
        "\"select\"",
        "ANALYZE t",
        "MSCK REPAIR TABLE t",
        "EXECUTE x",
        "PREPARE p FROM SELECT 1",
        "REFRESH MATERIALIZED VIEW v",
    };
    struct rc_error err = RC_ERROR_INIT;
    bool reads;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(reading); i++)
        if (core_presto_reads(reading[i], &reads, &err) || !reads)
            fail_msg("does not read: %s", reading[i]);
    for (size_t i = 0; i < RC_ARRAY_LEN(writing); i++)
        if (core_presto_reads(writing[i], &reads, &err) || reads)
            fail_msg("reads: %s", writing[i]);
    assert_int_equal(core_presto_reads("SELECT 1; DROP TABLE t", &reads, &err), RC_INVALID);
    assert_int_equal(core_presto_reads("/* */", &reads, &err), RC_INVALID);
}

static void a_statement_beyond_the_limit_is_told(void **state)
{
    const struct rc_value param = rc_value_text("0123456789");
    RC_BUF_AUTO(out, 16);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_presto_bind("SELECT $1", &param, 1, &out, &err), RC_TOO_LARGE);
}

static void the_same_statement_is_known(void **state)
{
    static const char *const same[][2] = {
        { "", " -- nothing\n" },
        { "CREATE TABLE \"Cat\".t (a varchar)", "create table cat.\"T\" (\n   a varchar\n)\n" },
        { "decimal(10, 2)", "decimal(10,2)" },
        { "WITH (a = 's3://b/d/')", "WITH (\n   a = 's3://b/d'\n)" },
        { "ARRAY['a', 'it''s']", "ARRAY['a','it''s']" },
    };
    static const char *const others[][2] = {
        { "a", "" },
        { "", "a" },
        { "a b", "ab" },
        { "\"a b\"", "a b" },
        { "'a'", "a" },
        { "'a'", "\"a\"" },
        { "'a'", "'A'" },
        { "'a//'", "'a'" },
        { "'/a'", "'a'" },
        { "(a)", "[a]" },
        { "(a", "(a)" },
        { "\"(\"", "(" },
        { "a varchar, b varchar", "\"a varchar, b\" varchar" },
        { "'a", "'a" },
        { "\"a\"\"b\"", "\"a\"\"b\"" }, /* not looked into */
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(same); i++)
        if (!core_presto_is_same(same[i][0], same[i][1]) ||
            !core_presto_is_same(same[i][1], same[i][0]))
            fail_msg("%s", same[i][0]);
    for (size_t i = 0; i < RC_ARRAY_LEN(others); i++)
        if (core_presto_is_same(others[i][0], others[i][1]) ||
            core_presto_is_same(others[i][1], others[i][0]))
            fail_msg("%s", others[i][0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_statement_is_known),
        cmocka_unit_test(values_become_literals),
        cmocka_unit_test(doubles_are_exact),
        cmocka_unit_test(quotes_comments_and_names_are_left_alone),
        cmocka_unit_test(texts_do_not_leave_their_quotes),
        cmocka_unit_test(long_texts_have_no_length_in_their_type),
        cmocka_unit_test(literals_stay_apart),
        cmocka_unit_test(rows_are_counted_in_bare_digits),
        cmocka_unit_test(numbers_of_parameters_are_checked),
        cmocka_unit_test(only_one_statement_is_taken),
        cmocka_unit_test(reads_are_told_from_writes),
        cmocka_unit_test(a_statement_beyond_the_limit_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
