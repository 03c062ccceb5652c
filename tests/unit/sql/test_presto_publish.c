/*
 * Tables that stay in the catalogue: made, replaced, refused; whatever fails on the way, or asks
 * for the run's end, readers find the older table or the new one.
 */
#include "presto_fixture.h"

#include <os/clock.h>
#include <sql/trino_text.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <string.h>

static const struct rc_sql_column columns[] = { { "userid", "varchar" }, { "amount", "bigint" } };
static const struct rc_sql_column by_both[] = { { "day", "varchar" }, { "part", "integer" } };

static const struct core_engine_ops *ops(struct presto_fixture *f)
{
    return f->session.base.ops;
}

#define must(f, call)                                                                              \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", (f)->err.context, (f)->err.cause);                                  \
    } while (0)

static enum rc_code publish(struct presto_fixture *f, const char *database, const char *location)
{
    RC_STR_AUTO uri = rc_strdup(presto_uri(f, location));
    const char *const locations[] = { uri };

    return ops(f)->publish(&f->session.base, database,
                           &(struct rc_sql_table){
                               .name = "Daily",
                               .locations = locations,
                               .location_count = 1,
                               .columns = columns,
                               .column_count = RC_ARRAY_LEN(columns),
                               .partitions = by_both,
                               .partition_count = RC_ARRAY_LEN(by_both),
                           },
                           &f->err);
}

#define LOOK_FOR_DATABASE                                                                          \
    "ask SELECT count(*) FROM \"cat\".information_schema.schemata WHERE schema_name = 'dest'\n"
#define LOOK_FOR_TABLE                                                                             \
    "ask SELECT table_type FROM \"cat\".information_schema.tables WHERE table_schema = 'dest' "    \
    "AND table_name = 'daily'\n"
#define CREATE_DAILY                                                                               \
    "ddl CREATE <dest.Daily> (userid varchar, amount bigint) BY day varchar days 20454..20455 "    \
    "2026-01-01,2026-01-02 grows BY part integer numbers 0..1 0,1 OVER parquet file://DIR/d/\n"    \
    "ddl FIND dest.Daily\n"

static void add_daily_files(struct presto_fixture *f)
{
    presto_file(f, "d/day=2026-01-01/part=0/a.parquet", "x");
    presto_file(f, "d/day=2026-01-02/part=1/a.parquet", "x");
}

static void test_publish(void **state)
{
    struct presto_fixture *f = *state;

    add_daily_files(f);
    presto_answer(f, "information_schema.schemata", "1\n");
    must(f, publish(f, "dest", "d/"));
    assert_log(f, LOOK_FOR_DATABASE LOOK_FOR_TABLE CREATE_DAILY);

    /* It is no table of the session, and stays. */
    assert_null(core_presto_find(&f->session, "Daily"));
    presto_close(f);
    assert_log(f, "");
}

static void test_publish_replaces(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const over_files[] = {
        "CREATE TABLE hive.dest.daily (\n   a bigint\n)\nWITH (\n   external_location = "
        "'s3://b/d/',\n   format = 'PARQUET'\n)\n",
        "CREATE EXTERNAL TABLE `dest.daily`(\n",
    };
    static const char *const others[] = {
        "CREATE TABLE hive.dest.daily (\n   a bigint COMMENT 'external_location = '\n)\n",
        "CREATE TABLE dest.daily (\n",
    };

    add_daily_files(f);
    presto_answer(f, "information_schema.schemata", "1\n");
    presto_answer(f, "information_schema.tables", "BASE TABLE\n");
    for (size_t i = 0; i < RC_ARRAY_LEN(over_files); i++) {
        presto_answer(f, "SHOW CREATE TABLE", over_files[i]);
        must(f, publish(f, "cat.dest", "d/"));
        assert_log(f, LOOK_FOR_DATABASE LOOK_FOR_TABLE
                   "ask SHOW CREATE TABLE <dest.Daily>\n"
                   "ddl DROP TABLE IF EXISTS <dest.Daily>\n" CREATE_DAILY);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(others); i++) {
        presto_answer(f, "SHOW CREATE TABLE", others[i]);
        assert_int_equal(publish(f, "dest", "d/"), RC_CONFLICT);
        assert_presto_error(f, RC_CONFLICT, "has a table of the name <dest.Daily>");
    }
    presto_answer(f, "information_schema.tables", "VIEW\n");
    rc_buf_reset(&f->log);
    assert_int_equal(publish(f, "dest", "d/"), RC_CONFLICT);
    assert_presto_error(f, RC_CONFLICT, "has a view of the name");
    assert_log(f, LOOK_FOR_DATABASE LOOK_FOR_TABLE);
}

#define OLDER "CREATE EXTERNAL TABLE `dest.daily`(...) partitioned_by\n"
#define DROP_DAILY "ddl DROP TABLE IF EXISTS <dest.Daily>\n"
#define RESTORE DROP_DAILY RESTORE_DROPPED
#define RESTORE_DROPPED "ddl " OLDER "\nddl FIND dest.Daily\n"

/* There is one already: the fourth statement drops it, the fifth makes the new one. */
static void add_older(struct presto_fixture *f)
{
    add_daily_files(f);
    presto_answer(f, "information_schema.schemata", "1\n");
    presto_answer(f, "information_schema.tables", "BASE TABLE\n");
    presto_answer(f, "SHOW CREATE TABLE", OLDER);
}

static void begin_again(struct presto_fixture *f)
{
    f->statements = f->fail_at = f->cancel_at = f->wish_at = f->expire_at = 0;
    atomic_store(&f->cancel.code, RC_OK);
    rc_buf_reset(&f->log);
    rc_buf_reset(&f->said);
}

#define assert_log_ends(f, end)                                                                    \
    do {                                                                                           \
        if (!rc_str_ends((f)->log.data, end))                                                      \
            fail_msg("logged\n%s", (f)->log.data);                                                 \
    } while (0)

static void test_older_comes_back(void **state)
{
    struct presto_fixture *f = *state;

    add_older(f);
    /* The new one is not made, or without its partitions. */
    for (int at = 5; at <= 6; at++) {
        begin_again(f);
        f->fail_at = at;
        assert_int_equal(publish(f, "dest", "d/"), RC_FAILED);
        assert_presto_error(f, RC_FAILED, "the older table was put back: ");
        assert_log_ends(f, RESTORE);
    }
}

/* The server may have done what it did not tell. */
static void test_older_is_not_dropped(void **state)
{
    struct presto_fixture *f = *state;

    add_older(f);
    f->fail_at = 4;
    assert_int_equal(publish(f, "dest", "d/"), RC_FAILED);
    assert_presto_error(f, RC_FAILED, "publish table 'Daily': drop the older table: the server");
    assert_log_ends(f, DROP_DAILY LOOK_FOR_TABLE);

    begin_again(f);
    f->fail_at = 4;
    presto_answer_until(f, 3, "information_schema.tables", "BASE TABLE\n");
    assert_int_equal(publish(f, "dest", "d/"), RC_FAILED);
    assert_presto_error(f, RC_FAILED, "the older table was put back: drop the older table");
    assert_log_ends(f, DROP_DAILY LOOK_FOR_TABLE RESTORE_DROPPED);

    begin_again(f);
    f->fail_at = 4;
    f->expire_at = 5;
    assert_int_equal(publish(f, "dest", "d/"), RC_FAILED);
    assert_presto_error(f, RC_FAILED, "the older table may have gone: drop the older table");
    assert_log_ends(f, DROP_DAILY LOOK_FOR_TABLE);
    assert_non_null(strstr(f->said.data, "may have gone (tidying up takes too long); this "
                                         "statement makes it: " OLDER));
}

/* To find partitions takes as long as it takes; what readers wait for does not. */
static void test_time_for_publishing(void **state)
{
    struct presto_fixture *f = *state;

    add_older(f);
    f->expire_at = 6;
    must(f, publish(f, "dest", "d/"));
    assert_log_ends(f, DROP_DAILY CREATE_DAILY);

    /* The older one has a time of its own. */
    for (int at = 4; at <= 5; at++) {
        begin_again(f);
        f->expire_at = at;
        presto_answer_until(f, 3, "information_schema.tables", "BASE TABLE\n");
        assert_int_equal(publish(f, "dest", "d/"), RC_TIMEOUT);
        assert_presto_error(f, RC_TIMEOUT, "the older table was put back: ");
        assert_log_ends(f, RESTORE_DROPPED);
    }
    presto_answer(f, "information_schema.tables", "BASE TABLE\n");
    begin_again(f);
    f->fail_at = 5;
    f->expire_at = 7;
    assert_int_equal(publish(f, "dest", "d/"), RC_FAILED);
    assert_presto_error(f, RC_FAILED, "the older table has gone: make a table over");
    assert_non_null(strstr(f->said.data, "<dest.Daily> has gone (tidying up takes too long); this "
                                         "statement makes it: " OLDER));
    begin_again(f);
    f->fail_at = 5;
    f->expire_at = 8;
    assert_int_equal(publish(f, "dest", "d/"), RC_FAILED);
    assert_presto_error(f, RC_FAILED, "the older table was put back without all its partitions: ");
}

static void test_a_run_that_is_to_stop(void **state)
{
    struct presto_fixture *f = *state;

    add_older(f);
    for (int at = 4; at <= 6; at++) {
        begin_again(f);
        f->cancel_at = at;
        assert_int_equal(publish(f, "dest", "d/"), RC_CANCELLED);
        assert_presto_error(f, RC_CANCELLED, "the older table was put back: look for the part");
        assert_log_ends(f, RESTORE);
    }
    begin_again(f);
    f->wish_at = 6;
    assert_int_equal(publish(f, "dest", "d/"), RC_CANCELLED);
    assert_log_ends(f, CREATE_DAILY RESTORE);

    /* Where the server finds partitions by itself all is done by then. */
    f->dialect.add_find_partitions = NULL;
    for (int at = 4; at <= 5; at++) {
        begin_again(f);
        f->cancel_at = at;
        must(f, publish(f, "dest", "d/"));
        assert_null(strstr(f->log.data, OLDER));
    }
}

/* Nothing is left of what was not there before, but another's of that name is not touched. */
static void test_first_fails(void **state)
{
    struct presto_fixture *f = *state;

    add_daily_files(f);
    presto_answer(f, "information_schema.schemata", "1\n");
    f->fail_at = 3;
    assert_int_equal(publish(f, "dest", "d/"), RC_FAILED);
    assert_presto_error(f, RC_FAILED, "publish table 'Daily': make a table over");
    assert_null(strstr(f->log.data, "DROP"));

    begin_again(f);
    f->fail_at = 4;
    assert_int_equal(publish(f, "dest", "d/"), RC_FAILED);
    assert_presto_error(f, RC_FAILED, "publish table 'Daily': look for the partitions in");
    assert_log(f, LOOK_FOR_DATABASE LOOK_FOR_TABLE CREATE_DAILY DROP_DAILY);

    begin_again(f);
    f->cancel_at = 3;
    assert_int_equal(publish(f, "dest", "d/"), RC_CANCELLED);
    assert_log_ends(f, DROP_DAILY);

    begin_again(f);
    f->fail_at = 4;
    f->expire_at = 5;
    assert_int_equal(publish(f, "dest", "d/"), RC_FAILED);
    assert_presto_error(f, RC_FAILED, "the new table stays without all its partitions: look for");
}

/* The table as Trino tells of it. */
static char *definition(const struct presto_fixture *f)
{
    return rc_strf("CREATE TABLE cat.dest.daily (\n   userid varchar,\n   amount bigint,"
                   "\n   day varchar,\n   part integer\n)\nWITH (\n   external_location = "
                   "'file://%s/d',\n   format = 'PARQUET',\n   partitioned_by = "
                   "ARRAY['day','part']\n)\n",
                   f->dir);
}

static void use_trino_words(struct presto_fixture *f)
{
    f->dialect.add_create = core_trino_add_create;
    f->dialect.add_ddl_name = core_trino_add_ddl_name;
}

/* There is nothing to replace: readers find a table all the time, and may still read it. */
static void test_the_same_again(void **state)
{
    struct presto_fixture *f = *state;
    RC_STR_AUTO same = definition(f);
    RC_STR_AUTO other = rc_strf("%.*s, more = 1\n)\n", (int)strlen(same) - 3, same);

    use_trino_words(f);
    add_older(f);
    presto_answer(f, "SHOW CREATE TABLE", same);
    must(f, publish(f, "dest", "d/"));
    assert_log(f, LOOK_FOR_DATABASE LOOK_FOR_TABLE
               "ask SHOW CREATE TABLE \"cat\".\"dest\".\"Daily\"\nddl FIND dest.Daily\n");

    begin_again(f);
    f->fail_at = 4;
    assert_int_equal(publish(f, "dest", "d/"), RC_FAILED);
    assert_presto_error(f, RC_FAILED, "publish table 'Daily': look for the partitions");
    assert_null(strstr(f->log.data, "DROP"));

    begin_again(f);
    presto_answer(f, "SHOW CREATE TABLE", other);
    must(f, publish(f, "dest", "d/"));
    assert_non_null(strstr(f->log.data, "ddl DROP TABLE IF EXISTS"));
}

/* The server fails to look where nothing lies; what it knows of partitions that have gone goes. */
static void test_nothing_there(void **state)
{
    struct presto_fixture *f = *state;
    RC_STR_AUTO same = definition(f);

    use_trino_words(f);
    presto_answer(f, "information_schema.schemata", "1\n");
    must(f, publish(f, "dest", "d/"));
    assert_null(strstr(f->log.data, "FIND"));

    presto_answer(f, "information_schema.tables", "BASE TABLE\n");
    presto_answer(f, "SHOW CREATE TABLE", same);
    begin_again(f);
    must(f, publish(f, "dest", "d/"));
    assert_non_null(strstr(f->log.data, "\nddl DROP TABLE IF EXISTS"));
    assert_non_null(strstr(f->log.data, "\nddl CREATE TABLE"));
    assert_null(strstr(f->log.data, "FIND"));

    /* Where the server finds partitions by itself the older table will do. */
    f->dialect.add_find_partitions = NULL;
    begin_again(f);
    must(f, publish(f, "dest", "d/"));
    assert_null(strstr(f->log.data, "ddl "));
}

/* A range that ends with the present day would not have what lies in a later one. */
static void test_days_to_come(void **state)
{
    struct presto_fixture *f = *state;
    int64_t today = core_clock_real_unix_ms() / RC_DAY_MS;
    char day[RC_DAY_TEXT];

    presto_answer(f, "information_schema.schemata", "1\n");
    presto_file(f, "d/day=2026-01-01/part=0/a.parquet", "x");
    for (int ahead = 0; ahead <= 2; ahead += 2) {
        RC_STR_AUTO name =
            rc_strf("d/day=%s/part=0/a.parquet", rc_format_day((int32_t)today + ahead, day));

        presto_file(f, name, "x");
        must(f, publish(f, "dest", "d/"));
        RC_STR_AUTO range = rc_strf("BY day varchar days 20454..%ld ", (long)today + ahead);
        assert_non_null(strstr(f->log.data, range));
        assert_int_equal(ahead == 0, strstr(f->log.data, " grows BY part") != NULL);
        begin_again(f);
    }
}

static void test_publish_refuses(void **state)
{
    struct presto_fixture *f = *state;

    add_daily_files(f);
    presto_answer(f, "information_schema.schemata", "0\n");
    assert_int_equal(publish(f, "dest", "d/"), RC_NOT_FOUND);
    assert_presto_error(f, RC_NOT_FOUND, "the catalogue 'cat' has no database 'dest'");
    assert_int_equal(publish(f, "other.dest", "d/"), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "over files 'cat' only, not in 'other'");

    presto_file(f, "deep/day=a/part=1/x/a.parquet", "x");
    assert_int_equal(publish(f, "dest", "deep/"), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "lie deeper");
    presto_file(f, "orders/day=a/part=1/a.parquet", "x");
    presto_file(f, "orders/part=1/day=a/a.parquet", "x");
    assert_int_equal(publish(f, "dest", "orders/"), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "have different orders");
    presto_file(f, "formats/day=a/part=1/a.parquet", "x");
    presto_file(f, "formats/day=b/part=1/a.json", "x");
    assert_int_equal(publish(f, "dest", "formats/"), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "have different formats");
    presto_file(f, "odd/day=\xc3\xa9/part=1/a.parquet", "x");
    assert_int_equal(publish(f, "dest", "odd/"), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "cannot have the folder");

    static const struct rc_sql_column capital[] = { { "Day", "date" } };
    const char *const none[] = { presto_uri(f, "none/") };
    struct rc_sql_table table = {
        .name = "t",
        .locations = none,
        .location_count = 1,
        .columns = columns,
        .column_count = RC_ARRAY_LEN(columns),
        .partitions = capital,
        .partition_count = 1,
    };
    assert_int_equal(ops(f)->publish(&f->session.base, "dest", &table, &f->err), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "finds no folders 'Day=...'");
    table.partition_count = 0;
    table.format = "csv";
    assert_int_equal(ops(f)->publish(&f->session.base, "dest", &table, &f->err), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "CSV is read by the embedded engine only");
    table.format = "orc";
    assert_int_equal(ops(f)->publish(&f->session.base, "dest", &table, &f->err), RC_INVALID);
    assert_presto_error(f, RC_INVALID, "format 'orc'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, presto_setup, presto_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_publish),
        TEST(test_publish_replaces),
        TEST(test_older_comes_back),
        TEST(test_older_is_not_dropped),
        TEST(test_time_for_publishing),
        TEST(test_a_run_that_is_to_stop),
        TEST(test_first_fails),
        TEST(test_the_same_again),
        TEST(test_nothing_there),
        TEST(test_days_to_come),
        TEST(test_publish_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
