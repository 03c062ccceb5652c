/*
 * What of a server's messages is shown: as Trino 368 and Athena write them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sql/presto.h>

#include <run-core/str.h>

#include <string.h>

#define CAST "INVALID_CAST_ARGUMENT: "
#define ARGUMENT "INVALID_FUNCTION_ARGUMENT: "
#define RANGE "NUMERIC_VALUE_OUT_OF_RANGE: "

static void hides_values(void **state)
{
    static const char *const cases[][2] = {
        { CAST "Cannot cast '5551234' to BIGINT", CAST "Cannot cast '...' to BIGINT" },
        { CAST "Cannot cast '' to DOUBLE", CAST "Cannot cast '...' to DOUBLE" },
        { CAST "Cannot cast 'it's' to 'ann' to INT", CAST "Cannot cast '...' to INT" },
        { CAST "Cannot cast 'ann: x\nann' to INT", CAST "Cannot cast '...' to INT" },
        { CAST "line 1:8: Cannot cast 'ann' to INT", CAST "line 1:8: Cannot cast '...' to INT" },
        { CAST "Cannot cast VARCHAR '5551234' to DECIMAL(10, 2). Value is not a number.",
          CAST "Cannot cast VARCHAR '...' to DECIMAL(10, 2). Value is not a number." },
        { CAST "Value cannot be cast to date: ann", CAST "Value cannot be cast to date: ..." },
        { CAST "Value cannot be cast to timestamp: it's 'ann' to be",
          CAST "Value cannot be cast to timestamp: ..." },
        { CAST "Cannot cast to array(bigint). Cannot cast 'ann' to BIGINT\n[\"it's\", 5551234]",
          CAST "Cannot cast to array(bigint). Cannot cast '..." },
        { CAST "Cannot cast to array(bigint). Cannot cast 'ann' to BIGINT\n[\"ann\", 5551234]",
          CAST "Cannot cast to array(bigint). Cannot cast '...' to BIGINT..." },
        { CAST "Cannot cast to bigint.\n[5551234]", CAST "Cannot cast to bigint...." },
        { CAST "Cannot cast to row(a bigint). Unexpected token when cast to bigint: ann\n{}",
          CAST "Cannot cast to row(a bigint). Unexpected token when cast to bigint: ..." },
        { CAST "Value 5551234 cannot be represented as varchar(3)",
          CAST "Value ... cannot be represented as varchar(3)" },
        { CAST "Unable to cast 5.551234E20 to bigint", CAST "Unable to cast ... to bigint" },
        { CAST "Cannot cast double NaN to integer", CAST "Cannot cast double NaN to integer" },
        { CAST "Cannot cast 'ann' to BIGINT. If a data manifest file was generated at 's3://b/k', "
               "you may need to clean it",
          CAST "Cannot cast '..." },
        { ARGUMENT "Cannot convert value to JSON: '{\"user\": \"ann\", it's'",
          ARGUMENT "Cannot convert value to JSON: ..." },
        { ARGUMENT "Invalid format: \"ann\" is malformed at \"nn\"",
          ARGUMENT "Invalid format: ..." },
        { ARGUMENT "Duplicate map keys (ann (it's)) are not allowed",
          ARGUMENT "Duplicate map keys (...) are not allowed" },
        { ARGUMENT "Key not present in map: ann", ARGUMENT "Key not present in map: ..." },
        { RANGE "bigint addition overflow: 5551234 + 5551234",
          RANGE "bigint addition overflow: ..." },
        { RANGE "Out of range for integer: 5551234", RANGE "Out of range for integer: ..." },
        { "HIVE_BAD_DATA: Error parsing field value '5551234' for field 3: For input string: "
          "\"555\"",
          "HIVE_BAD_DATA: Error parsing field value '...' for field 3: ..." },
        { "HIVE_CURSOR_ERROR: Failed to read file: s3://b/k: Unrecognized token 'ann': was "
          "expecting at [Source: (String)\"ann\"; line: 1]",
          "HIVE_CURSOR_ERROR: Failed to read file: s3://b/k: Unrecognized token '..." },
        { "Query failed: Cannot cast 'ann' to BIGINT",
          "Query failed: Cannot cast '...' to BIGINT" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_BUF_AUTO(out, 1000);

        core_presto_hide_values(&out, cases[i][0]);
        assert_string_equal(out.data, cases[i][1]);
    }
}

static void shows_the_rest(void **state)
{
    static const char *const cases[] = {
        "",
        "no reason is given",
        "INVALID_CAST_ARGUMENT",
        "SYNTAX_ERROR: line 1:8: mismatched input 'x'. Expecting: 'y'",
        "TYPE_MISMATCH: line 1:8: Cannot cast varchar to row(a bigint)",
        "INVALID_LITERAL: line 1:8: '2021-99' is not a valid DATE literal",
        "HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://b/k (offset=0, length=9)",
        "HIVE_BAD_DATA: Malformed Parquet file. Expected magic number: PAR1 got: abcd",
        "GENERIC_USER_ERROR: on 'purpose': 7",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_BUF_AUTO(out, 1000);

        core_presto_hide_values(&out, cases[i]);
        assert_string_equal(out.data, cases[i]);
    }
}

static void knows_names(void **state)
{
    (void)state;
    assert_true(core_presto_has_name("NOT_FOUND: x", "NOT_FOUND"));
    assert_true(core_presto_has_name("NOT_FOUND", "NOT_FOUND"));
    assert_false(core_presto_has_name("NOT_FOUND_2: x", "NOT_FOUND"));
    assert_false(core_presto_has_name("NOT_FOUNDED: x", "NOT_FOUND"));
    assert_false(core_presto_has_name("TABLE_NOT_FOUND: x", "NOT_FOUND"));
    assert_false(core_presto_has_name("NOT", "NOT_FOUND"));
}

static void cuts_the_reason_alone(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    char text[2 * RC_ERROR_TEXT];

    (void)state;
    assert_int_equal(core_presto_fail(&err, RC_FAILED, "a: ", "b\nc", "; d"), RC_FAILED);
    assert_string_equal(err.cause, "a: b c; d");
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)core_presto_fail(&err, RC_FAILED, "a: ", text, "; d");
    assert_int_equal(strlen(err.cause), RC_ERROR_TEXT - 1);
    assert_true(rc_str_starts(err.cause, "a: xxx") && rc_str_ends(err.cause, "xxx...; d"));
    (void)core_presto_fail(&err, RC_FAILED, text, "b", "; d");
    assert_int_equal(strlen(err.cause), RC_ERROR_TEXT - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hides_values),
        cmocka_unit_test(shows_the_rest),
        cmocka_unit_test(knows_names),
        cmocka_unit_test(cuts_the_reason_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
