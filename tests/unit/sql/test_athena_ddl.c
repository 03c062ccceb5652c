/*
 * What Athena is told to make tables: in Hive's words, and in those of a query.
 */
#include <sql/athena.h>

#include <run-core/time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_BYTES = 1 << 20 };

#define assert_text(out, expected)                                                                 \
    do {                                                                                           \
        assert_string_equal((out).data, expected);                                                 \
        rc_buf_reset(&(out));                                                                      \
    } while (0)

static const struct rc_sql_column columns[] = {
    { "user_id", "VARCHAR" }, { "revenue", "bigint" },      { "n", "integer" },
    { "price", "double" },    { "premium", "boolean" },     { "born", "date" },
    { "at", "timestamp" },    { "exact", "decimal(10,2)" },
};

static void test_names(void **state)
{
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_athena_add_name(&out, "plain");
    assert_text(out, "`plain`");
    core_athena_add_name(&out, "a`b``c\"d'e");
    assert_text(out, "`a``b````c\"d'e`");
    core_athena_add_name(&out, "gr\xc3\xb6\xc3\x9f"
                               "e");
    assert_text(out, "`gr\xc3\xb6\xc3\x9f"
                     "e`");
}

static void test_texts(void **state)
{
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_athena_add_text(&out, "s3://bucket/a b/");
    assert_text(out, "'s3://bucket/a b/'");
    core_athena_add_text(&out, "it's");
    assert_text(out, "'it\\'s'");
    core_athena_add_text(&out, "a\\'; DROP TABLE t; --");
    assert_text(out, "'a\\\\\\'\\u003b DROP TABLE t\\u003b --'");
    core_athena_add_text(&out, "a\nb\tc\x7f");
    assert_text(out, "'a\\u000ab\\u0009c\\u007f'");
    core_athena_add_text(&out, "\xe2\x98\x83\xf0\x9f\x98\x80");
    assert_text(out, "'\xe2\x98\x83\xf0\x9f\x98\x80'");
}

static void test_a_table_over_files(void **state)
{
    struct core_presto_external table = {
        .table = "`lake`.`t`",
        .columns = columns,
        .column_count = RC_ARRAY_LEN(columns),
        .location = "s3://bucket/events/",
        .format = "parquet",
    };
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_athena_add_create(&table, &out);
    assert_text(out, "CREATE EXTERNAL TABLE `lake`.`t` (`user_id` string, `revenue` bigint, "
                     "`n` int, `price` double, `premium` boolean, `born` date, `at` timestamp, "
                     "`exact` decimal(10,2)) STORED AS PARQUET LOCATION 's3://bucket/events/'");
    table.column_count = 1;
    table.format = "json";
    core_athena_add_create(&table, &out);
    assert_text(out, "CREATE EXTERNAL TABLE `lake`.`t` (`user_id` string) ROW FORMAT SERDE "
                     "'org.apache.hive.hcatalog.data.JsonSerDe' LOCATION 's3://bucket/events/'");
    table.format = "csv";
    core_athena_add_create(&table, &out);
    assert_text(out, "CREATE EXTERNAL TABLE `lake`.`t` (`user_id` string) ROW FORMAT SERDE "
                     "'org.apache.hadoop.hive.serde2.OpenCSVSerde' LOCATION "
                     "'s3://bucket/events/'");
    table.format = "lines";
    core_athena_add_create(&table, &out);
    assert_text(out, "CREATE EXTERNAL TABLE `lake`.`t` (`user_id` string) STORED AS TEXTFILE "
                     "LOCATION 's3://bucket/events/'");
}

static void test_partitions(void **state)
{
    const char *kinds[] = { "web", "app; \\'" };
    const struct core_presto_partition partitions[] = {
        { .name = "day",
          .type = "date",
          .range = CORE_PARTITION_DAYS,
          .least = rc_day_from_date(2026, 1, 30),
          .greatest = rc_day_from_date(2026, 2, 2) },
        { .name = "shard",
          .type = "integer",
          .range = CORE_PARTITION_NUMBERS,
          .least = -1,
          .greatest = 12 },
        { .name = "kind",
          .type = "varchar",
          .range = CORE_PARTITION_VALUES,
          .values = { .len = 2, .items = kinds } },
    };
    const struct core_presto_external table = {
        .table = "`lake`.`t`",
        .columns = columns,
        .column_count = 1,
        .partitions = partitions,
        .partition_count = RC_ARRAY_LEN(partitions),
        .location = "s3://bucket/it's/",
        .format = "parquet",
    };
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_athena_add_create(&table, &out);
    assert_text(
        out,
        "CREATE EXTERNAL TABLE `lake`.`t` (`user_id` string) PARTITIONED BY (`day` date, "
        "`shard` int, `kind` string) STORED AS PARQUET LOCATION 's3://bucket/it\\'s/' "
        "TBLPROPERTIES ('projection.enabled'='true', 'projection.day.type'='date', "
        "'projection.day.format'='yyyy-MM-dd', 'projection.day.range'='2026-01-30,2026-02-02', "
        "'projection.day.interval'='1', 'projection.day.interval.unit'='DAYS', "
        "'projection.shard.type'='integer', 'projection.shard.range'='-1,12', "
        "'projection.kind.type'='enum', 'projection.kind.values'='web,app\\u003b \\\\\\'', "
        "'storage.location.template'="
        "'s3://bucket/it\\'s/day=${day}/shard=${shard}/kind=${kind}/')");
}

static void test_partitions_that_grow(void **state)
{
    const struct core_presto_partition day = {
        .name = "day",
        .type = "date",
        .range = CORE_PARTITION_DAYS,
        .least = rc_day_from_date(2021, 6, 1),
        .greatest = rc_day_from_date(2026, 2, 2),
        .grows = true,
    };
    const struct core_presto_external table = {
        .table = "`lake`.`t`",
        .columns = columns,
        .column_count = 1,
        .partitions = &day,
        .partition_count = 1,
        .location = "s3://bucket/t/",
        .format = "parquet",
    };
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_athena_add_create(&table, &out);
    assert_non_null(strstr(out.data, "'projection.day.range'='2021-06-01,NOW'"));
}

static void test_partitions_with_steps(void **state)
{
    const struct core_presto_partition hour = {
        .name = "hour",
        .type = "bigint",
        .range = CORE_PARTITION_NUMBERS,
        .least = 1700000000,
        .greatest = 1700360000,
        .step = 3600,
    };
    const struct core_presto_external table = {
        .table = "`lake`.`t`",
        .columns = columns,
        .column_count = 1,
        .partitions = &hour,
        .partition_count = 1,
        .location = "s3://bucket/t/",
        .format = "parquet",
    };
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_athena_add_create(&table, &out);
    assert_non_null(strstr(out.data, "'projection.hour.type'='integer', "
                                     "'projection.hour.range'='1700000000,1700360000', "
                                     "'projection.hour.interval'='3600', "));
}

/* Values that a list cannot hold are left to what the query says of them. */
static void test_partitions_that_no_list_holds(void **state)
{
    static const char *const values[] = { "a,b", "", " a", "a " };
    struct core_presto_partition kind = { .name = "kind",
                                          .type = "varchar",
                                          .range = CORE_PARTITION_VALUES };
    const struct core_presto_external table = {
        .table = "`lake`.`t`",
        .columns = columns,
        .column_count = 1,
        .partitions = &kind,
        .partition_count = 1,
        .location = "s3://bucket/t/",
        .format = "parquet",
    };
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    for (size_t i = 0; i <= RC_ARRAY_LEN(values); i++) {
        const char *both[] = { "web", i < RC_ARRAY_LEN(values) ? values[i] : NULL };

        kind.values = (struct rc_strs){ .len = i < RC_ARRAY_LEN(values) ? 2 : 0, .items = both };
        core_athena_add_create(&table, &out);
        assert_non_null(strstr(out.data, "('projection.enabled'='true', "
                                         "'projection.kind.type'='injected', "
                                         "'storage.location.template'="));
        rc_buf_reset(&out);
    }
}

static void test_a_table_of_a_query(void **state)
{
    static const char *const keys[] = { "shard", "it's" };
    struct core_presto_made made = {
        .table = "`lake`.`t`",
        .query = "SELECT 1 AS a",
        .location = "s3://bucket/it's/",
        .format = "parquet",
        .compression = "zstd",
    };
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_athena_add_make(&made, &out);
    assert_text(out, "CREATE TABLE \"lake\".\"t\" WITH (format = 'PARQUET', write_compression = "
                     "'ZSTD', external_location = 's3://bucket/it''s/') AS SELECT 1 AS a");
    made.table = "\"awsdatacatalog\".\"lake\".\"t\"";
    made.compression = "none";
    made.partition_by = keys;
    made.partition_count = 2;
    core_athena_add_make(&made, &out);
    assert_text(out, "CREATE TABLE \"awsdatacatalog\".\"lake\".\"t\" WITH (format = 'PARQUET', "
                     "write_compression = 'NONE', external_location = 's3://bucket/it''s/', "
                     "partitioned_by = ARRAY['shard', 'it''s']) AS SELECT 1 AS a");
    made.format = "csv";
    made.compression = "gzip";
    made.partition_count = 0;
    core_athena_add_make(&made, &out);
    assert_text(out, "CREATE TABLE \"awsdatacatalog\".\"lake\".\"t\" WITH (format = 'TEXTFILE', "
                     "field_delimiter = ',', write_compression = 'GZIP', external_location = "
                     "'s3://bucket/it''s/') AS SELECT 1 AS a");
}

static void test_tables_of_a_session(void **state)
{
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_athena_add_show_tables(&out, "lake", "rc_00_ab_");
    assert_text(out, "SHOW TABLES IN `lake` 'rc_00_ab_*'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_a_table_over_files),
        cmocka_unit_test(test_partitions),
        cmocka_unit_test(test_partitions_that_grow),
        cmocka_unit_test(test_partitions_with_steps),
        cmocka_unit_test(test_partitions_that_no_list_holds),
        cmocka_unit_test(test_a_table_of_a_query),
        cmocka_unit_test(test_tables_of_a_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
