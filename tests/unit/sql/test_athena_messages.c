/*
 * The bodies of requests and replies, what failures mean, and what a query costs.
 */
#include <sql/athena.h>

#include <run-core/str.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_BYTES = 1 << 20 };

#define MIB ((int64_t)1 << 20)

/* ---- requests -------------------------------------------------------------------------------- */

static void test_a_start(void **state)
{
    struct core_athena_start start = { .statement = "SELECT 'a\"b\n\xc3\xa4'", .token = "t0k3n" };
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_athena_add_start(&start, &out);
    assert_string_equal(out.data, "{\"QueryString\":\"SELECT 'a\\\"b\\n\xc3\xa4'\","
                                  "\"ClientRequestToken\":\"t0k3n\"}");
    rc_buf_reset(&out);
    start = (struct core_athena_start){
        .statement = "x",
        .token = "t",
        .catalog = "AwsDataCatalog",
        .database = "lake",
        .work_group = "team",
        .output = "s3://b/r/",
        .encryption = CORE_RESULTS_CSE_KMS,
        .kms_key = "key",
        .owner = "123456789012",
    };
    core_athena_add_start(&start, &out);
    assert_string_equal(
        out.data,
        "{\"QueryString\":\"x\",\"ClientRequestToken\":\"t\",\"QueryExecutionContext\":"
        "{\"Database\":\"lake\",\"Catalog\":\"AwsDataCatalog\"},\"ResultConfiguration\":"
        "{\"OutputLocation\":\"s3://b/r/\",\"EncryptionConfiguration\":{\"EncryptionOption\":"
        "\"CSE_KMS\",\"KmsKey\":\"key\"},\"ExpectedBucketOwner\":\"123456789012\"},"
        "\"WorkGroup\":\"team\"}");
}

static void test_other_requests(void **state)
{
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_athena_add_query("q-1", &out);
    core_athena_add_page("q-1", NULL, 1000, &out);
    core_athena_add_page("q-1", "next", 10, &out);
    core_athena_add_work_group("team", &out);
    assert_string_equal(out.data,
                        "{\"QueryExecutionId\":\"q-1\"}"
                        "{\"QueryExecutionId\":\"q-1\",\"MaxResults\":1000}"
                        "{\"QueryExecutionId\":\"q-1\",\"NextToken\":\"next\",\"MaxResults\":10}"
                        "{\"WorkGroup\":\"team\"}");
}

/* ---- replies --------------------------------------------------------------------------------- */

static void test_an_id(void **state)
{
    static const char *const wrong[] = { "",
                                         "[]",
                                         "{}",
                                         "{\"QueryExecutionId\":1",
                                         "{\"QueryExecutionId\":\"\"}",
                                         "{\"QueryExecutionId\":{}}" };
    char id[CORE_ATHENA_ID_TEXT];
    struct rc_error err = RC_ERROR_INIT;
    const char *text = "{\"QueryExecutionId\":\"8c5e\"}";
    RC_STR_AUTO much = rc_strf("{\"QueryExecutionId\":\"%0*d\"}", CORE_ATHENA_ID_TEXT, 1);

    (void)state;
    assert_int_equal(core_athena_read_id(text, strlen(text), id, &err), RC_OK);
    assert_string_equal(id, "8c5e");
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++)
        assert_int_equal(core_athena_read_id(wrong[i], strlen(wrong[i]), id, &err), RC_CORRUPT);
    assert_int_equal(core_athena_read_id(much, strlen(much), id, &err), RC_CORRUPT);
}

static enum rc_code read_execution(struct core_arena *arena, const char *text,
                                   struct core_athena_execution *out)
{
    struct rc_error err = RC_ERROR_INIT;

    return core_athena_read_execution(arena, text, strlen(text), out, &err);
}

static void test_an_execution(void **state)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    struct core_athena_execution execution;

    (void)state;
    assert_int_equal(
        read_execution(&arena,
                       "{\"QueryExecution\":{\"StatementType\":\"DML\",\"Status\":{\"State\":"
                       "\"FAILED\",\"StateChangeReason\":\"SYNTAX_ERROR: x\",\"AthenaError\":"
                       "{\"ErrorCategory\":2,\"Retryable\":true,\"ErrorMessage\":\"m\"}},"
                       "\"Statistics\":{\"DataScannedInBytes\":77}}}",
                       &execution),
        RC_OK);
    assert_int_equal(execution.state, CORE_ATHENA_FAILED);
    assert_int_equal(execution.type, CORE_ATHENA_DML);
    assert_string_equal(execution.reason, "SYNTAX_ERROR: x");
    assert_int_equal(execution.category, 2);
    assert_true(execution.retryable);
    assert_int_equal(execution.scanned_bytes, 77);

    assert_int_equal(read_execution(&arena,
                                    "{\"QueryExecution\":{\"Status\":{\"State\":\"QUEUED\"}}}",
                                    &execution),
                     RC_OK);
    assert_int_equal(execution.state, CORE_ATHENA_QUEUED);
    assert_int_equal(execution.type, CORE_ATHENA_UNKNOWN);
    assert_int_equal(execution.scanned_bytes, 0);
    assert_non_null(execution.reason);
    assert_int_equal(
        read_execution(&arena, "{\"QueryExecution\":{\"Status\":{\"State\":\"?\"}}}", &execution),
        RC_CORRUPT);
}

static void test_a_page(void **state)
{
    static const char text[] =
        "{\"UpdateCount\":0,\"NextToken\":\"n\",\"ResultSet\":{\"Rows\":["
        "{\"Data\":[{\"VarCharValue\":\"a\"},{\"VarCharValue\":\"b\"}]},"
        "{\"Data\":[{\"VarCharValue\":\"\"},{}]},{\"Data\":[{\"VarCharValue\":\"only\"}]}],"
        "\"ResultSetMetadata\":{\"ColumnInfo\":[{\"Name\":\"a\",\"Type\":\"varchar\"},"
        "{\"Name\":\"b\",\"Type\":\"bigint\"}]}}}";
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    struct core_athena_page page;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_athena_read_page(&arena, text, strlen(text), &page, &err), RC_OK);
    assert_int_equal(page.column_count, 2);
    assert_string_equal(page.columns[1].name, "b");
    assert_string_equal(page.columns[1].type, "bigint");
    assert_string_equal(page.next_token, "n");
    assert_int_equal(page.row_count, 3);
    assert_true(core_athena_has_header(&page));
    assert_string_equal(core_athena_cell(&page, 1, 0), "");
    assert_null(core_athena_cell(&page, 1, 1));
    assert_int_equal(core_athena_row_len(&page, 2), 1);
    assert_null(core_athena_cell(&page, 2, 1));
}

static void test_pages_that_are_none(void **state)
{
    static const char *const wrong[] = {
        "[]",
        "{\"ResultSet\":{\"Rows\":[{\"Data\":[{}]}]}}",
        "{\"ResultSet\":{\"Rows\":[{}],\"ResultSetMetadata\":{\"ColumnInfo\":[]}}}",
        "{\"ResultSet\":{\"Rows\":[1],\"ResultSetMetadata\":{\"ColumnInfo\":[]}}}",
        "{\"ResultSet\":{\"ResultSetMetadata\":{\"ColumnInfo\":[{\"Name\":\"a\"}]}}}",
        "{\"ResultSet\":{\"ResultSetMetadata\":{\"ColumnInfo\":[7]}}}",
    };
    static const char nul[] =
        "{\"ResultSet\":{\"Rows\":[{\"Data\":[{\"VarCharValue\":\"a\\u0000b\"}]}],"
        "\"ResultSetMetadata\":{\"ColumnInfo\":[{\"Name\":\"a\",\"Type\":\"varchar\"}]}}}";
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    struct core_athena_page page;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++)
        assert_int_equal(core_athena_read_page(&arena, wrong[i], strlen(wrong[i]), &page, &err),
                         RC_CORRUPT);
    /* What keeps it from being read is said. */
    assert_int_equal(core_athena_read_page(&arena, nul, strlen(nul), &page, &err), RC_CORRUPT);
    assert_non_null(strstr(err.cause, "NUL"));
    assert_int_equal(core_athena_read_page(&arena, "{}", 2, &page, &err), RC_OK);
    assert_int_equal(page.row_count, 0);
    assert_int_equal(page.updated, -1);
}

static void test_a_work_group(void **state)
{
    static const char text[] = "{\"WorkGroup\":{\"Configuration\":{\"ResultConfiguration\":"
                               "{\"OutputLocation\":\"s3://b/r/\"}}}}";
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    struct rc_error err = RC_ERROR_INIT;
    const char *output;

    (void)state;
    assert_int_equal(core_athena_read_work_group(&arena, text, strlen(text), &output, &err), RC_OK);
    assert_string_equal(output, "s3://b/r/");
    assert_int_equal(core_athena_read_work_group(&arena, "{\"WorkGroup\":{}}", 16, &output, &err),
                     RC_OK);
    assert_null(output);
    assert_int_equal(core_athena_read_work_group(&arena, "{}", 2, &output, &err), RC_CORRUPT);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void test_values(void **state)
{
    RC_BUF_AUTO(bytes, TEXT_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_value value;

    (void)state;
    assert_int_equal(core_athena_read_value("bigint", NULL, &bytes, &value, &err), RC_OK);
    assert_int_equal(value.type, RC_VALUE_NULL);
    assert_int_equal(core_athena_read_value("bigint", "-9223372036854775808", &bytes, &value, &err),
                     RC_OK);
    assert_true(value.integer == INT64_MIN);
    assert_int_equal(core_athena_read_value("double", "-Infinity", &bytes, &value, &err), RC_OK);
    assert_true(isinf(value.number) && value.number < 0);
    assert_int_equal(core_athena_read_value("double", "NaN", &bytes, &value, &err), RC_OK);
    assert_true(isnan(value.number));
    assert_int_equal(core_athena_read_value("boolean", "false", &bytes, &value, &err), RC_OK);
    assert_true(value.type == RC_VALUE_BOOL && !value.boolean);
    assert_int_equal(core_athena_read_value("varbinary", "00 ff 10", &bytes, &value, &err), RC_OK);
    assert_true(value.type == RC_VALUE_BYTES && value.len == 3);
    assert_memory_equal(value.text, "\x00\xff\x10", 3);
    /* Eight of them are a group, and 32 a line. */
    assert_int_equal(core_athena_read_value("varbinary",
                                            "00 01 02 03 04 05 06 07   08 09 0a 0b 0c 0d 0e 0f   "
                                            "10 11 12 13 14 15 16 17   18 19 1a 1b 1c 1d 1e 1f\n"
                                            "20 21",
                                            &bytes, &value, &err),
                     RC_OK);
    assert_int_equal(value.len, 34);
    for (size_t i = 0; i < value.len; i++)
        assert_int_equal(value.text[i], i);
    /* A number of 32 bits is that, and not one of 64 that is written alike. */
    assert_int_equal(core_athena_read_value("float", "0.1", &bytes, &value, &err), RC_OK);
    assert_true(value.number == (double)0.1F);
    assert_int_equal(core_athena_read_value("double", "0.1", &bytes, &value, &err), RC_OK);
    assert_true(value.number == 0.1);
    assert_int_equal(core_athena_read_value("decimal", "1.50", &bytes, &value, &err), RC_OK);
    assert_string_equal(value.text, "1.50");
    assert_int_equal(
        core_athena_read_value("timestamp", "2026-01-01 10:00:00.000", &bytes, &value, &err),
        RC_OK);
    assert_string_equal(value.text, "2026-01-01 10:00:00");
    assert_int_equal(value.len, strlen("2026-01-01 10:00:00"));
    assert_int_equal(
        core_athena_read_value("timestamp", "2026-01-01 10:00:00.250", &bytes, &value, &err),
        RC_OK);
    assert_string_equal(value.text, "2026-01-01 10:00:00.25");
    assert_int_equal(core_athena_read_value("timestamp with time zone",
                                            "2026-01-01 10:00:00.000 UTC", &bytes, &value, &err),
                     RC_OK);
    assert_string_equal(value.text, "2026-01-01 10:00:00.000 UTC");
    assert_int_equal(core_athena_read_value("boolean", "True", &bytes, &value, &err), RC_CORRUPT);
    assert_int_equal(core_athena_read_value("varbinary", "00 f", &bytes, &value, &err), RC_CORRUPT);
    assert_int_equal(core_athena_read_value("varbinary", "00 ", &bytes, &value, &err), RC_CORRUPT);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void test_verdicts(void **state)
{
    static const struct {
        unsigned status;
        const char *code;
        enum core_http_verdict verdict;
    } cases[] = {
        { 400, "ThrottlingException", CORE_HTTP_SLOWER },
        { 400, "TooManyRequestsException", CORE_HTTP_ACCEPT },
        { 400, "InvalidRequestException", CORE_HTTP_ACCEPT },
        { 400, "RequestThrottledException", CORE_HTTP_SLOWER },
        { 400, "LimitExceededException", CORE_HTTP_SLOWER },
        { 400, "PriorRequestNotComplete", CORE_HTTP_AGAIN },
        { 500, "InternalServerException", CORE_HTTP_AGAIN },
        { 500, "", CORE_HTTP_AGAIN },
        { 502, "", CORE_HTTP_AGAIN },
        { 503, "", CORE_HTTP_SLOWER },
        { 429, "", CORE_HTTP_SLOWER },
        { 403, "AccessDeniedException", CORE_HTTP_ACCEPT },
        { 404, "", CORE_HTTP_ACCEPT },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct core_aws_failure failure = { .code = "" };

        (void)snprintf(failure.code, sizeof(failure.code), "%s", cases[i].code);
        assert_int_equal(core_athena_judge(cases[i].status, &failure), cases[i].verdict);
    }
}

static void test_refusals(void **state)
{
    const struct core_aws_failure failure = { .code = "TooManyRequestsException",
                                              .message = "too many",
                                              .request_id = "r1" };
    const struct core_aws_failure unknown = { .code = "" };
    const struct core_aws_failure enforced = {
        .code = "InvalidRequestException",
        .message = "it was submitted with an 'external_location' property to an Athena Workgroup "
                   "that enforces a centralized output location",
    };
    RC_BUF_AUTO(reply, TEXT_BYTES);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_buf_adds(&reply, "{\"Reason\":\"CONCURRENT_QUERY_LIMIT_EXCEEDED\"}");
    assert_int_equal(core_athena_fail_refused(400, &failure, &reply, &err), RC_UNAVAILABLE);
    assert_string_equal(err.cause,
                        "HTTP 400 TooManyRequestsException (CONCURRENT_QUERY_LIMIT_EXCEEDED): too "
                        "many (request r1); lower 'queries_at_once', 'ddl_at_once' or "
                        "'reads_per_second' of the engine, or have the quota raised");
    rc_buf_reset(&reply);
    assert_int_equal(core_athena_fail_refused(403, &unknown, &reply, &err), RC_DENIED);
    assert_string_equal(err.cause, "HTTP 403");
    assert_int_equal(core_athena_fail_refused(500, &unknown, &reply, &err), RC_UNAVAILABLE);
    assert_int_equal(core_athena_fail_refused(400, &enforced, &reply, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "'work_group'"));
}

static void test_failed_queries(void **state)
{
    struct core_athena_execution execution = { .state = CORE_ATHENA_FAILED,
                                               .reason = "GENERIC_INTERNAL_ERROR: a\nb" };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_athena_fail_query(&execution, "q1", "lake", &err), RC_FAILED);
    assert_string_equal(err.cause, "the query q1 has failed: GENERIC_INTERNAL_ERROR: a b");
    execution.category = 1;
    assert_int_equal(core_athena_fail_query(&execution, "q1", "lake", &err), RC_UNAVAILABLE);
    execution.category = 2;
    assert_int_equal(core_athena_fail_query(&execution, "q1", "lake", &err), RC_FAILED);
    execution.retryable = true;
    assert_int_equal(core_athena_fail_query(&execution, "q1", "lake", &err), RC_UNAVAILABLE);
    /* What is wrong with the statement stays wrong. */
    execution.reason = "SYNTAX_ERROR: x";
    assert_int_equal(core_athena_fail_query(&execution, "q1", "lake", &err), RC_INVALID);
    execution.reason = "The Amazon Athena query failed: external_location cannot be set as the "
                       "Workgroup enforces a location";
    assert_int_equal(core_athena_fail_query(&execution, "q1", "lake", &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "'work_group'"));
    execution.state = CORE_ATHENA_CANCELLED;
    execution.reason = "Bytes scanned limit was exceeded";
    assert_int_equal(core_athena_fail_query(&execution, "q1", "lake", &err), RC_FAILED);
    assert_non_null(strstr(err.cause, "cancelled the query q1: Bytes scanned limit"));
}

static void test_what_is_wrong_with_data_and_settings(void **state)
{
    static const struct {
        const char *reason, *database;
        enum rc_code code;
    } cases[] = {
        { "INVALID_CAST_ARGUMENT: Cannot cast 'x' to BIGINT", "lake", RC_FAILED },
        { "INVALID_CAST_ARGUMENT: Cannot cast 'Access Denied' to BIGINT", "lake", RC_FAILED },
        { "INVALID_FUNCTION_ARGUMENT: Not a valid base-10 number: x", "lake", RC_FAILED },
        { "INVALID_FUNCTION_ARGUMENT: Cannot convert value to JSON: '{'", "lake", RC_CORRUPT },
        { "INVALID_LITERAL: line 1:8: '2021-99' is not a valid DATE literal", "lake", RC_INVALID },
        { "HIVE_BAD_DATA: Error reading s3://lake/SYNTAX_ERROR/a", "lake", RC_UNSUPPORTED },
        { "HIVE_WRITER_OPEN_ERROR: Error creating s3://lake/invalid_events/", "lake", RC_FAILED },
        { "HIVE_BAD_DATA: Error parsing field value 'Slow Down' for field 0", "lake",
          RC_UNSUPPORTED },
        { "FAILED: SemanticException [Error 10072]: Database does not exist: lake", "Lake",
          RC_INVALID },
        { "FAILED: SemanticException [Error 10072]: Database does not exist: lakes", "lake",
          RC_NOT_FOUND },
        { "SCHEMA_NOT_FOUND: line 1:15: Schema 'lake' does not exist", "lake", RC_INVALID },
        { "SCHEMA_NOT_FOUND: line 1:15: Schema 'lake_2' does not exist", "lake", RC_NOT_FOUND },
        { "SCHEMA_NOT_FOUND: line 1:15: Schema 'lake' does not exist", NULL, RC_NOT_FOUND },
        { "TABLE_NOT_FOUND: line 1:15: Table 'lake' does not exist", "lake", RC_NOT_FOUND },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        const struct core_athena_execution execution = { .state = CORE_ATHENA_FAILED,
                                                         .reason = cases[i].reason };
        struct rc_error err = RC_ERROR_INIT;

        if (core_athena_fail_query(&execution, "q1", cases[i].database, &err) != cases[i].code)
            fail_msg("%s: %s", cases[i].reason, err.cause);
        assert_int_equal(strstr(err.cause, "'database'") != NULL,
                         cases[i].code == RC_INVALID && strstr(cases[i].reason, "not exist"));
    }
}

/* The advice is what a user needs of it. */
static void test_advice_has_room(void **state)
{
    static char reason[4000] = "SCHEMA_NOT_FOUND: Schema 'lake' does not exist ";
    struct core_athena_execution execution = { .state = CORE_ATHENA_FAILED, .reason = reason };
    struct core_aws_failure failure = { .code = "ExpiredTokenException", .request_id = "r1" };
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(reply, TEXT_BYTES);

    (void)state;
    memset(reason + strlen(reason), 'x', sizeof(reason) - 1 - strlen(reason));
    memset(failure.message, 'x', sizeof(failure.message) - 1);
    (void)core_athena_fail_query(&execution, "q1", "lake", &err);
    assert_true(rc_str_ends(err.cause, "xxx...; make the database, or set 'database' of the engine "
                                       "to one that there is"));
    rc_buf_addf(&reply, "{\"Reason\":\"%s\"}", reason);
    (void)core_athena_fail_refused(400, &failure, &reply, &err);
    assert_true(rc_str_ends(err.cause, "xxx (request r1); renew the credentials") ||
                rc_str_ends(err.cause, "xxx... (request r1); renew the credentials"));
}

/* ---- what it costs --------------------------------------------------------------------------- */

static void test_charges(void **state)
{
    static const struct {
        enum core_athena_state state;
        enum core_athena_type type;
        int64_t scanned, charged;
    } cases[] = {
        { CORE_ATHENA_SUCCEEDED, CORE_ATHENA_DML, 0, 10 * MIB },
        { CORE_ATHENA_SUCCEEDED, CORE_ATHENA_DML, 10 * MIB, 10 * MIB },
        { CORE_ATHENA_SUCCEEDED, CORE_ATHENA_DML, 10 * MIB + 1, 11 * MIB },
        { CORE_ATHENA_SUCCEEDED, CORE_ATHENA_UNKNOWN, 1, 10 * MIB },
        { CORE_ATHENA_SUCCEEDED, CORE_ATHENA_UNKNOWN, INT64_MAX, INT64_MAX },
        { CORE_ATHENA_SUCCEEDED, CORE_ATHENA_DDL, 0, 0 },
        { CORE_ATHENA_SUCCEEDED, CORE_ATHENA_UTILITY, 0, 0 },
        /* A CREATE TABLE AS, which the service calls one or the other. */
        { CORE_ATHENA_SUCCEEDED, CORE_ATHENA_DDL, 11 * MIB, 11 * MIB },
        { CORE_ATHENA_CANCELLED, CORE_ATHENA_DDL, 5, 5 },
        { CORE_ATHENA_FAILED, CORE_ATHENA_DML, 50 * MIB, 0 },
        { CORE_ATHENA_CANCELLED, CORE_ATHENA_DML, 5, 5 },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        const struct core_athena_execution execution = { .state = cases[i].state,
                                                         .type = cases[i].type,
                                                         .scanned_bytes = cases[i].scanned };

        assert_int_equal(core_athena_charged_bytes(&execution), cases[i].charged);
    }
    assert_int_equal(core_athena_cost_micros((int64_t)1 << 40, 5), 5000000);
    assert_int_equal(core_athena_cost_micros(10 * MIB, 5), 48);
    assert_int_equal(core_athena_cost_micros(0, 5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_start),
        cmocka_unit_test(test_other_requests),
        cmocka_unit_test(test_an_id),
        cmocka_unit_test(test_an_execution),
        cmocka_unit_test(test_a_page),
        cmocka_unit_test(test_pages_that_are_none),
        cmocka_unit_test(test_a_work_group),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_failed_queries),
        cmocka_unit_test(test_charges),
        cmocka_unit_test(test_what_is_wrong_with_data_and_settings),
        cmocka_unit_test(test_advice_has_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
