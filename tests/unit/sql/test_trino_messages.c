/*
 * What a Trino server says, byte by byte: JSON without a tree, pages, rows, failures; and what it
 * is told to make.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sql/trino_client.h>
#include <sql/trino_text.h>

#include <run-core/str.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct core_engine_settings of_hive = { .catalog = NULL };
static const struct core_engine_settings of_lake = { .catalog = "lake", .work_catalog = "files" };

/* ---- JSON ------------------------------------------------------------------------------------ */

static bool is_json(const char *text)
{
    struct core_trino_json json;
    struct core_trino_span all;

    core_trino_json_init(&json, text, strlen(text));
    return core_trino_json_value(&json, &all) && core_trino_json_is_over(&json);
}

static void tells_json_from_other_texts(void **state)
{
    static const char *const good[] = {
        "null",
        " true ",
        "false",
        "0",
        "-0",
        "12.50",
        "1e5",
        "1E-05",
        "-1.5e+3",
        "\"\"",
        "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00E9\"",
        "[]",
        "[ ]",
        "{}",
        "[1,[2,{\"a\":[null]}],\"x\"]",
        "{\"a\":1,\"b\":{}}",
        "\r\n\t[1 , 2]\n",
        "\"\xc3\xa9\"",
    };
    static const char *const bad[] = {
        "",          " ",
        "nul",       "nulll",
        "True",      "+1",
        "01",        "1.",
        ".5",        "1e",
        "1e+",       "--1",
        "\"",        "\"a",
        "\"\\x\"",   "\"\\u12g4\"",
        "\"\\u12\"", "\"\n\"",
        "[",         "[1",
        "[1,",       "[1,]",
        "[,1]",      "[1 2]",
        "]",         "{",
        "{\"a\"",    "{\"a\":",
        "{\"a\":}",  "{\"a\":1,}",
        "{a:1}",     "{1:1}",
        "{\"a\" 1}", "{\"a\":1 \"b\":2}",
        "[1}",       "{\"a\":1]",
        "1 2",       "[] []",
        "NaN",       "'a'",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(good); i++)
        if (!is_json(good[i]))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++)
        if (is_json(bad[i]))
            fail_msg("%s", bad[i]);
}

static void goes_only_so_deep(void **state)
{
    RC_BUF_AUTO(text, 1 << 20);

    (void)state;
    for (int i = 0; i < 200; i++)
        rc_buf_addc(&text, '[');
    for (int i = 0; i < 200; i++)
        rc_buf_addc(&text, ']');
    assert_true(is_json(text.data));
    rc_buf_reset(&text);
    for (int i = 0; i < 500000; i++)
        rc_buf_addc(&text, '[');
    assert_false(is_json(text.data));
}

static void reads_strings(void **state)
{
    static const struct {
        const char *json, *text;
        size_t len;
    } cases[] = {
        { "\"\"", "", 0 },
        { "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "a\"\\/\b\f\n\r\t", 9 },
        { "\"\\u00e9\\u6f22\"", "é漢", 5 },
        { "\"\\uD83D\\uDE00\"", "😀", 4 },
        { "\"x\\ud83d\"", "x\xef\xbf\xbd", 4 },
        { "\"\\ude00y\"", "\xef\xbf\xbdy", 4 },
        { "\"\\ud83d\\u0041\"",
          "\xef\xbf\xbd"
          "A",
          4 },
        { "\"\\ud83d\\n\"", "\xef\xbf\xbd\n", 4 },
        { "\"a\\u0000b\"", "a\0b", 3 },
        { "\"é😀\"", "é😀", 6 },
    };
    RC_BUF_AUTO(out, 1024);

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        const struct core_trino_span span = { cases[i].json, strlen(cases[i].json) };

        rc_buf_reset(&out);
        assert_true(is_json(cases[i].json));
        assert_true(core_trino_span_add(&out, span));
        assert_int_equal(out.len, cases[i].len);
        assert_memory_equal(out.data, cases[i].text, out.len);
    }
    rc_buf_reset(&out);
    assert_true(
        core_trino_span_add(&out, (struct core_trino_span){ "\"a\xff\xc3\\n\xe2\x82\"", 9 }));
    assert_string_equal(out.data, "a\xef\xbf\xbd\xef\xbf\xbd\n\xef\xbf\xbd");
    assert_false(core_trino_span_add(&out, (struct core_trino_span){ "12", 2 }));
}

/* ---- pages ----------------------------------------------------------------------------------- */

static const char page[] =
    "{\"id\":\"20260101_1\",\"infoUri\":\"http://h/ui?1\",\"partialCancelUri\":\"http://h/p\","
    "\"nextUri\":\"http://h/v1/statement/1\",\"columns\":[{\"name\":\"a\",\"type\":\"bigint\","
    "\"typeSignature\":{\"rawType\":\"bigint\",\"arguments\":[]}},{\"type\":\"row(x varchar)\","
    "\"name\":\"b c\"}],\"data\":[[1,[\"x\"]]],\"stats\":{\"state\":\"RUNNING\",\"queued\":false,"
    "\"totalSplits\":8,\"completedSplits\":2,\"processedBytes\":77,\"rootStage\":{\"stageId\":"
    "\"0\"}"
    "},\"warnings\":[{\"warningCode\":{\"code\":1},\"message\":\"w1\"},{\"message\":\"w2\"}],"
    "\"updateType\":\"INSERT\",\"updateCount\":5}\n";

static void reads_a_page(void **state)
{
    struct core_arena arena = CORE_ARENA_INIT;
    struct rc_error err = RC_ERROR_INIT;
    struct core_trino_page got;

    (void)state;
    assert_int_equal(core_trino_page_read(&arena, page, strlen(page), &got, &err), RC_OK);
    assert_string_equal(got.id, "20260101_1");
    assert_string_equal(got.info_uri, "http://h/ui?1");
    assert_string_equal(got.next_uri, "http://h/v1/statement/1");
    assert_true(got.has_columns);
    assert_int_equal(got.column_count, 2);
    assert_string_equal(got.columns[1].name, "b c");
    assert_string_equal(got.columns[1].type, "row(x varchar)");
    assert_true(core_trino_span_is(got.data, "[[1,[\"x\"]]]"));
    assert_string_equal(got.state, "RUNNING");
    assert_true(got.progress == 0.25);
    assert_int_equal(got.processed_bytes, 77);
    assert_int_equal(got.warning_count, 2);
    assert_string_equal(got.warnings[1], "w2");
    assert_string_equal(got.update_type, "INSERT");
    assert_int_equal(got.update_count, 5);
    assert_false(got.failed);
    core_arena_clear(&arena);
}

/* Nothing that is less than a page is one. */
static void refuses_every_part_of_a_page(void **state)
{
    (void)state;
    for (size_t len = 0; len + 1 < strlen(page); len++) {
        struct core_arena arena = CORE_ARENA_INIT;
        struct rc_error err = RC_ERROR_INIT;
        struct core_trino_page got;
        char *part = rc_strndup(page, len);

        if (core_trino_page_read(&arena, part, len, &got, &err) != RC_CORRUPT)
            fail_msg("%s", part);
        core_arena_clear(&arena);
        free(part);
    }
}

static void takes_null_for_nothing(void **state)
{
    static const char text[] =
        "{\"id\":\"1\",\"nextUri\":null,\"columns\":null,\"data\":null,\"stats\":null,\"error\":"
        "null,"
        "\"warnings\":null,\"updateType\":null,\"updateCount\":null,\"infoUri\":null}";
    struct core_arena arena = CORE_ARENA_INIT;
    struct rc_error err = RC_ERROR_INIT;
    struct core_trino_page got;

    (void)state;
    assert_int_equal(core_trino_page_read(&arena, text, strlen(text), &got, &err), RC_OK);
    assert_null(got.next_uri);
    assert_false(got.has_columns);
    assert_int_equal(got.data.len, 0);
    assert_false(got.failed);
    assert_int_equal(got.update_count, -1);
    assert_true(got.progress < 0);
    core_arena_clear(&arena);
}

/* The reason of a failure may quote any value, and be as long as one. */
static void reads_any_reason(void **state)
{
    RC_STR_AUTO much = rc_strf("%0*d", 3 << 20, 7);
    RC_STR_AUTO text = rc_strf("{\"id\":\"1\",\"error\":{\"message\":\"Cannot cast 'a\\u0000b'\","
                               "\"errorName\":\"INVALID_CAST_ARGUMENT\"},\"warnings\":"
                               "[{\"message\":\"\\u0000%s\"}]}",
                               much);
    static const char bad[] = "{\"id\":\"1\",\"nextUri\":\"http://h/\\u0000\"}";
    struct core_arena arena = CORE_ARENA_INIT;
    struct rc_error err = RC_ERROR_INIT;
    struct core_trino_page got;

    (void)state;
    assert_int_equal(core_trino_page_read(&arena, text, strlen(text), &got, &err), RC_OK);
    assert_true(got.failed);
    assert_string_equal(got.failure.message, "Cannot cast 'a b'");
    assert_int_equal(strlen(got.warnings[0]), 1 + (3 << 20));
    assert_int_equal(core_trino_page_read(&arena, bad, strlen(bad), &got, &err), RC_CORRUPT);
    core_arena_clear(&arena);
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct read {
    struct rc_value values[2];
    struct rc_buf texts;
    struct rc_error err;
    bool row;
};

/* A row of one value and one that follows it. */
static enum rc_code read_cell(const char *type, const char *json, struct read *out)
{
    const struct core_trino_cell cells[] = {
        { core_presto_value_type(type), strcmp(type, "real") == 0, core_presto_is_timestamp(type) },
        { RC_VALUE_TEXT, false, false },
    };
    RC_STR_AUTO text = rc_strf("[[%s,\"next\"]]", json);
    struct core_trino_json cursor;

    rc_buf_clear(&out->texts);
    rc_buf_init(&out->texts, 1024);
    core_trino_json_init(&cursor, text, strlen(text));
    assert_true(core_trino_json_enter(&cursor, CORE_TRINO_LIST));
    return core_trino_row_read(&cursor, cells, 2, &out->texts, out->values, &out->row, &out->err);
}

static void expect(const char *type, const char *json, struct rc_value expected)
{
    struct read got = { .texts = RC_BUF_INIT(1024) };
    const struct rc_value *value = &got.values[0];
    bool same = read_cell(type, json, &got) == RC_OK && got.row && value->type == expected.type &&
                strcmp(got.values[1].text, "next") == 0;

    if (same && (value->type == RC_VALUE_TEXT || value->type == RC_VALUE_BYTES))
        same = value->len == expected.len && memcmp(value->text, expected.text, value->len) == 0 &&
               value->text[value->len] == '\0';
    else if (same && value->type == RC_VALUE_FLOAT)
        same = isnan(expected.number) ? isnan(value->number)
                                      : memcmp(&value->number, &expected.number, 8) == 0;
    else if (same)
        same = value->integer == expected.integer && value->boolean == expected.boolean;
    if (!same)
        fail_msg("%s %s", type, json);
    rc_buf_clear(&got.texts);
}

static void reads_values_as_their_types(void **state)
{
    (void)state;
    expect("boolean", "true", rc_value_bool(true));
    expect("boolean", "null", rc_value_null());
    expect("tinyint", "-128", rc_value_int(-128));
    expect("bigint", "9223372036854775807", rc_value_int(INT64_MAX));
    expect("bigint", "-9223372036854775808", rc_value_int(INT64_MIN));
    expect("bigint", "9007199254740993", rc_value_int(9007199254740993));
    expect("double", "0.1", rc_value_float(0.1));
    expect("double", "-0.0", rc_value_float(-0.0));
    expect("double", "1.7976931348623157E308", rc_value_float(1.7976931348623157e308));
    expect("double", "4.9E-324", rc_value_float(4.9e-324));
    expect("double", "\"NaN\"", rc_value_float(NAN));
    expect("double", "\"Infinity\"", rc_value_float(INFINITY));
    expect("real", "\"-Infinity\"", rc_value_float(-INFINITY));
    expect("real", "0.1", rc_value_float((double)0.1F));
    expect("real", "3.4028235E38", rc_value_float((double)3.4028235e38F));
    expect("decimal(3, 2)", "\"1.50\"", rc_value_text("1.50"));
    expect("varchar(2)", "\"\\u00e9\"", rc_value_text("é"));
    expect("char(3)", "\"a  \"", rc_value_text("a  "));
    expect("varbinary", "\"AP8=\"", rc_value_bytes("\0\xff", 2));
    expect("varbinary", "\"\"", rc_value_bytes("", 0));
    expect("timestamp(6)", "\"2020-01-02 03:04:05.123456\"",
           rc_value_text("2020-01-02 03:04:05.123456"));
    expect("timestamp(6)", "\"2020-01-02 03:04:00.120000\"",
           rc_value_text("2020-01-02 03:04:00.12"));
    expect("timestamp(6)", "\"2020-01-02 03:04:00.000000\"", rc_value_text("2020-01-02 03:04:00"));
    expect("timestamp(0)", "\"2020-01-02 03:04:00\"", rc_value_text("2020-01-02 03:04:00"));
    expect("timestamp", "\"2020-01-02 03:04:00.100\"", rc_value_text("2020-01-02 03:04:00.1"));
    expect("timestamp(3)", "\"\"", rc_value_text(""));
    expect("timestamp(3)", "null", rc_value_null());
    expect("timestamp(3) with time zone", "\"2020-01-02 03:04:00.000 UTC\"",
           rc_value_text("2020-01-02 03:04:00.000 UTC"));
    expect("varchar(9)", "\"1.00\"", rc_value_text("1.00"));
    expect("array(integer)", "[1, null]", rc_value_text("[1, null]"));
    expect("map(varchar(1), integer)", "{\"a\":2}", rc_value_text("{\"a\":2}"));
    expect("row(a integer)", "[1]", rc_value_text("[1]"));
    expect("json", "\"{\\\"a\\\":1}\"", rc_value_text("{\"a\":1}"));
    expect("unknown", "null", rc_value_null());
}

static void refuses_values_of_other_types(void **state)
{
    static const char *const cases[][2] = {
        { "boolean", "1" },      { "bigint", "\"1\"" },   { "bigint", "1.5" },
        { "bigint", "true" },    { "bigint", "[]" },      { "bigint", "9223372036854775808" },
        { "double", "\"1.0\"" }, { "double", "{}" },      { "varbinary", "\"A\"" },
        { "varbinary", "1" },    { "bigint", "\"NaN\"" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct read got = { .texts = RC_BUF_INIT(1024), .err = RC_ERROR_INIT };

        if (read_cell(cases[i][0], cases[i][1], &got) != RC_CORRUPT)
            fail_msg("%s %s", cases[i][0], cases[i][1]);
        rc_buf_clear(&got.texts);
    }
}

/* ---- failures -------------------------------------------------------------------------------- */

static void judges_failures(void **state)
{
    static const struct {
        const char *name, *type;
        enum rc_code code;
    } cases[] = {
        { "SYNTAX_ERROR", "USER_ERROR", RC_INVALID },
        { "TABLE_NOT_FOUND", "USER_ERROR", RC_NOT_FOUND },
        { "PERMISSION_DENIED", "USER_ERROR", RC_DENIED },
        { "DIVISION_BY_ZERO", "USER_ERROR", RC_FAILED },
        { "EXCEEDED_TIME_LIMIT", "INSUFFICIENT_RESOURCES", RC_TIMEOUT },
        { "QUERY_QUEUE_FULL", "INSUFFICIENT_RESOURCES", RC_UNAVAILABLE },
        { "CLUSTER_OUT_OF_MEMORY", "INSUFFICIENT_RESOURCES", RC_UNAVAILABLE },
        { "EXCEEDED_GLOBAL_MEMORY_LIMIT", "INSUFFICIENT_RESOURCES", RC_FAILED },
        { "REMOTE_TASK_ERROR", "INTERNAL_ERROR", RC_UNAVAILABLE },
        { "SERVER_STARTING_UP", "INTERNAL_ERROR", RC_UNAVAILABLE },
        { "GENERIC_INTERNAL_ERROR", "INTERNAL_ERROR", RC_UNSUPPORTED },
        { "HIVE_CANNOT_OPEN_SPLIT", "EXTERNAL", RC_UNSUPPORTED },
        { "HIVE_INVALID_PARTITION_VALUE", "EXTERNAL", RC_UNSUPPORTED },
        { "HIVE_METASTORE_ERROR", "EXTERNAL", RC_UNAVAILABLE },
        { NULL, NULL, RC_FAILED },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        const struct core_trino_failure failure = { cases[i].name, cases[i].type, "no" };
        struct rc_error err = RC_ERROR_INIT;

        if (core_trino_fail(&failure, &of_hive, &err) != cases[i].code)
            fail_msg("%s", cases[i].name);
    }
}

static void says_what_to_do(void **state)
{
    static const struct {
        struct core_trino_failure failure;
        enum rc_code code;
        const char *cause;
    } cases[] = {
        { { "SYNTAX_ERROR", "USER_ERROR", "line 1:1: no" },
          RC_INVALID,
          "Trino: SYNTAX_ERROR: line 1:1: no" },
        { { "PERMISSION_DENIED", "USER_ERROR", "Access Denied: no" },
          RC_DENIED,
          "Trino: PERMISSION_DENIED: Access Denied: no; grant it to the user there, or use "
          "another 'user'" },
        { { "INVALID_TABLE_PROPERTY", "USER_ERROR", "no" },
          RC_INVALID,
          "Trino: INVALID_TABLE_PROPERTY: no; name one of the Hive connector as 'catalog' "
          "of the engine, or as its 'work_catalog': others have no tables over files" },
        { { "INVALID_SESSION_PROPERTY", "USER_ERROR", "no" },
          RC_INVALID,
          "Trino: INVALID_SESSION_PROPERTY: no; look at 'session' of the engine" },
        { { "CATALOG_NOT_FOUND", "USER_ERROR", "line 1:15: Catalog 'lake' does not exist" },
          RC_INVALID,
          "Trino: CATALOG_NOT_FOUND: line 1:15: Catalog 'lake' does not exist; correct 'catalog' "
          "of the engine" },
        { { "CATALOG_NOT_FOUND", "USER_ERROR", "line 1:15: Catalog 'files' does not exist" },
          RC_INVALID,
          "Trino: CATALOG_NOT_FOUND: line 1:15: Catalog 'files' does not exist; correct "
          "'work_catalog' of the engine" },
        { { "CATALOG_NOT_FOUND", "USER_ERROR", "line 1:15: Catalog 'lakes' does not exist" },
          RC_NOT_FOUND,
          "Trino: CATALOG_NOT_FOUND: line 1:15: Catalog 'lakes' does not exist" },
        { { "NOT_FOUND", "USER_ERROR", "Session property catalog does not exist: lake" },
          RC_INVALID,
          "Trino: NOT_FOUND: Session property catalog does not exist: lake; correct 'catalog' of "
          "the engine" },
        { { "NOT_FOUND", "USER_ERROR", "Session property catalog does not exist: lakes" },
          RC_INVALID,
          "Trino: NOT_FOUND: Session property catalog does not exist: lakes; look at 'session' of "
          "the engine" },
        { { "NOT_FOUND", "USER_ERROR", "Catalog for role does not exist: x" },
          RC_INVALID,
          "Trino: NOT_FOUND: Catalog for role does not exist: x; look at 'roles' of the engine" },
        { { "NOT_FOUND", "USER_ERROR", "Catalog does not exist: x" },
          RC_NOT_FOUND,
          "Trino: NOT_FOUND: Catalog does not exist: x" },
        { { "INVALID_CAST_ARGUMENT", "USER_ERROR", "Cannot cast 'ann' to BIGINT" },
          RC_FAILED,
          "Trino: INVALID_CAST_ARGUMENT: Cannot cast '...' to BIGINT" },
        { { "INVALID_FUNCTION_ARGUMENT", "USER_ERROR", "'ann' is not a valid DATE field" },
          RC_FAILED,
          "Trino: INVALID_FUNCTION_ARGUMENT: '...' is not a valid DATE field" },
        { { "INVALID_FUNCTION_ARGUMENT", "USER_ERROR", "Cannot convert value to JSON: 'ann\n'" },
          RC_CORRUPT,
          "Trino: INVALID_FUNCTION_ARGUMENT: Cannot convert value to JSON: ..." },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(core_trino_fail(&cases[i].failure, &of_lake, &err), cases[i].code);
        assert_string_equal(err.cause, cases[i].cause);
    }
}

static void leaves_room_for_advice(void **state)
{
    char message[4000];
    const struct core_trino_failure failure = { "PERMISSION_DENIED", "USER_ERROR", message };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    memset(message, 'x', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    assert_int_equal(core_trino_fail(&failure, &of_lake, &err), RC_DENIED);
    assert_true(
        rc_str_ends(err.cause, "xxx...; grant it to the user there, or use another 'user'"));
    assert_int_equal(strlen(err.cause), RC_ERROR_TEXT - 1);
}

static void shows_texts_on_one_line(void **state)
{
    RC_BUF_AUTO(out, 4096);
    char text[2000];

    (void)state;
    core_trino_add_shown(&out, "a\r\nb\tc\x7f", 7);
    assert_string_equal(out.data, "a  b c ");
    rc_buf_reset(&out);
    for (size_t i = 0; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "é", 2);
    text[0] = 'x';
    text[1] = 'y';
    core_trino_add_shown(&out, text, sizeof(text));
    assert_int_equal(out.len, 503);
    assert_string_equal(out.data + 498, "é...");
}

/* ---- statements ------------------------------------------------------------------------------ */

static const struct core_engine_settings settings = { .catalog = NULL };
static const struct core_presto session = { .context = { .settings = &settings } };

static void writes_definitions(void **state)
{
    static const struct rc_sql_column columns[] = { { "userId", "varchar" }, { "n", "bigint" } };
    static const struct core_presto_partition partitions[] = { { .name = "Day", .type = "date" },
                                                               { .name = "h", .type = "integer" } };
    static const struct core_presto_external flat = {
        .table = "\"hive\".\"s\".\"t\"",
        .columns = columns,
        .column_count = 2,
        .location = "s3://b/it's/",
        .format = "lines",
    };
    struct core_presto_external keyed = flat;
    RC_BUF_AUTO(out, 4096);

    (void)state;
    core_trino_add_create(&flat, &out);
    assert_string_equal(out.data,
                        "CREATE TABLE \"hive\".\"s\".\"t\" (\"userId\" varchar, \"n\" bigint)"
                        " WITH (external_location = 's3://b/it''s/', format = 'TEXTFILE')");
    keyed.partitions = partitions;
    keyed.partition_count = 2;
    keyed.format = "parquet";
    rc_buf_reset(&out);
    core_trino_add_create(&keyed, &out);
    assert_string_equal(out.data,
                        "CREATE TABLE \"hive\".\"s\".\"t\" (\"userId\" varchar, \"n\" bigint, "
                        "\"Day\" date, \"h\" integer) WITH (external_location = "
                        "'s3://b/it''s/', format = 'PARQUET', partitioned_by = ARRAY['day', 'h'])");
}

static void writes_tables_of_queries(void **state)
{
    static const char *const keys[] = { "Day" };
    struct core_presto_made made = {
        .table = "t",
        .query = "SELECT 1 AS a",
        .location = "s3://b/w/t/",
        .format = "parquet",
    };
    RC_BUF_AUTO(out, 4096);

    (void)state;
    core_trino_add_make_over(&made, &out);
    assert_string_equal(out.data, "CREATE TABLE t WITH (format = 'PARQUET') AS SELECT 1 AS a");
    made.in_place = true;
    made.partition_by = keys;
    made.partition_count = 1;
    rc_buf_reset(&out);
    core_trino_add_make(&made, &out);
    assert_string_equal(out.data, "CREATE TABLE t WITH (format = 'PARQUET', partitioned_by = "
                                  "ARRAY['day']) AS SELECT 1 AS a");
    rc_buf_reset(&out);
    core_trino_add_make_over(&made, &out);
    assert_string_equal(out.data, "CREATE TABLE t WITH (format = 'PARQUET', external_location = "
                                  "'s3://b/w/t/', partitioned_by = ARRAY['day']) AS SELECT 1 AS a");
}

static void writes_the_rest(void **state)
{
    RC_BUF_AUTO(out, 4096);

    (void)state;
    core_trino_add_create_schema(&session, &out, "rc\"1", "s3://b/w/");
    assert_string_equal(out.data,
                        "CREATE SCHEMA \"hive\".\"rc\"\"1\" WITH (location = 's3://b/w/')");
    rc_buf_reset(&out);
    core_trino_add_create_schema(&session, &out, "rc", NULL);
    assert_string_equal(out.data, "CREATE SCHEMA \"hive\".\"rc\"");
    rc_buf_reset(&out);
    core_trino_add_find_partitions(&session, "Db", "it's", &out);
    assert_string_equal(out.data,
                        "CALL \"hive\".system.sync_partition_metadata('db', 'it''s', 'FULL')");
    rc_buf_reset(&out);
    core_trino_add_ddl_name(&session, &out, "db", "t");
    assert_string_equal(out.data, "\"hive\".\"db\".\"t\"");
    assert_string_equal(core_trino_codec("gzip"), "GZIP");
    assert_string_equal(core_trino_codec("none"), "NONE");
    assert_string_equal(core_trino_codec(NULL), "ZSTD");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_json_from_other_texts),
        cmocka_unit_test(goes_only_so_deep),
        cmocka_unit_test(reads_strings),
        cmocka_unit_test(reads_a_page),
        cmocka_unit_test(refuses_every_part_of_a_page),
        cmocka_unit_test(takes_null_for_nothing),
        cmocka_unit_test(reads_any_reason),
        cmocka_unit_test(reads_values_as_their_types),
        cmocka_unit_test(refuses_values_of_other_types),
        cmocka_unit_test(judges_failures),
        cmocka_unit_test(says_what_to_do),
        cmocka_unit_test(leaves_room_for_advice),
        cmocka_unit_test(shows_texts_on_one_line),
        cmocka_unit_test(writes_definitions),
        cmocka_unit_test(writes_tables_of_queries),
        cmocka_unit_test(writes_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
