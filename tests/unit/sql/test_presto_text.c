/*
 * Types, and what is written into statements from outside: that it stays what it is. What the
 * expressions mean only a server can tell (tests/system/test_presto_text.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sql/presto.h>

#include <run-core/str.h>

#include <string.h>

static const struct core_presto_dialect dialect = { .timestamp = "timestamp(3)" };
static struct core_presto session = { .dialect = &dialect };

static void types_are_known(void **state)
{
    static const char *const known[][2] = {
        { "varchar", "varchar" },         { "BIGINT", "bigint" },
        { "Integer", "integer" },         { "double", "double" },
        { "boolean", "boolean" },         { "date", "date" },
        { "timestamp", "timestamp(3)" },  { "decimal(10,2)", "decimal(10,2)" },
        { "DECIMAL(9)", "decimal(9,0)" }, { "decimal(38, 10)", "decimal(38,10)" },
    };
    static const char *const unknown[] = {
        "",           "text",           "varchar(10)",    "bigint; DROP",   "decimal",
        "decimal()",  "decimal(1,2,3)", "decimal(100,2)", "decimal(1,2) x", "decimal(1,)",
        "decimal(a)", "decimal(1 ,2)",  "time",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(known); i++) {
        RC_BUF_AUTO(out, 100);

        assert_true(core_presto_add_type(&dialect, &out, known[i][0]));
        assert_string_equal(out.data, known[i][1]);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(unknown); i++) {
        RC_BUF_AUTO(out, 100);

        assert_false(core_presto_add_type(&dialect, &out, unknown[i]));
        assert_string_equal(out.data, "");
    }
}

static void results_have_values_of_their_types(void **state)
{
    (void)state;
    assert_int_equal(core_presto_value_type("boolean"), RC_VALUE_BOOL);
    assert_int_equal(core_presto_value_type("bigint"), RC_VALUE_INT);
    assert_int_equal(core_presto_value_type("tinyint"), RC_VALUE_INT);
    assert_int_equal(core_presto_value_type("INTEGER"), RC_VALUE_INT);
    assert_int_equal(core_presto_value_type("double"), RC_VALUE_FLOAT);
    assert_int_equal(core_presto_value_type("real"), RC_VALUE_FLOAT);
    assert_int_equal(core_presto_value_type("varbinary"), RC_VALUE_BYTES);
    assert_int_equal(core_presto_value_type("decimal(10,2)"), RC_VALUE_TEXT);
    assert_int_equal(core_presto_value_type("varchar(3)"), RC_VALUE_TEXT);
    assert_int_equal(core_presto_value_type("timestamp(3)"), RC_VALUE_TEXT);
    assert_int_equal(core_presto_value_type("array(bigint)"), RC_VALUE_TEXT);
    assert_int_equal(core_presto_value_type("unknown"), RC_VALUE_TEXT);
    assert_true(core_presto_is_timestamp("timestamp") && core_presto_is_timestamp("TIMESTAMP(6)"));
    assert_false(core_presto_is_timestamp("timestamp with time zone") ||
                 core_presto_is_timestamp("timestamp(3) with time zone") ||
                 core_presto_is_timestamp("time(3)") || core_presto_is_timestamp("varchar"));
}

static void a_type_that_is_none_stays_a_text(void **state)
{
    RC_BUF_AUTO(out, 1000);

    (void)state;
    core_presto_add_try_cast(&session.base, &out, "x", "int') ; DROP");
    assert_string_equal(out.data, "fail(concat('not a column type: ', 'int'') ; DROP'))");
}

static void paths_are_written_for_the_servers(void **state)
{
    static const char *const paths[][2] = {
        { "$", "'$'" },
        { "$.a.b", "'$[\"a\"][\"b\"]'" },
        { "$.a[0].b", "'$[\"a\"][0][\"b\"]'" },
        { "$.\"a b\".c-d", "'$[\"a b\"][\"c-d\"]'" },
        { "$.it's", "'$[\"it''s\"]'" },
        { "$.a\\b", "'$[\"a\\\\b\"]'" },
        /* What is no path goes as it is, and the server says so. */
        { "a.b", "'a.b'" },
        { "", "''" },
        { "$.", "'$.'" },
        { "$.a[x]", "'$.a[x]'" },
        { "$.a[1", "'$.a[1'" },
        { "$.\"a", "'$.\"a'" },
        { "$.*", "'$.*'" },
        { "$.a') FROM t --", "'$[\"a'') FROM t --\"]'" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(paths); i++) {
        RC_BUF_AUTO(out, 10000);
        RC_STR_AUTO expected = rc_strf("json_extract_scalar(x, %s) IS NULL", paths[i][1]);

        core_presto_add_json_text(&session.base, &out, "x", paths[i][0]);
        if (!strstr(out.data, expected))
            fail_msg("%s is not in %s", expected, out.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_known),
        cmocka_unit_test(results_have_values_of_their_types),
        cmocka_unit_test(a_type_that_is_none_stays_a_text),
        cmocka_unit_test(paths_are_written_for_the_servers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
