/*
 * Tables over files in the catalogue of an engine elsewhere: which ones some folders take, what is
 * asked of them, and that nothing is left of them when something fails.
 */
#include "presto_fixture.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

static const struct rc_sql_column columns[] = { { "userid", "varchar" }, { "amount", "bigint" } };
static const struct rc_sql_column by_day[] = { { "day", "date" } };
static const struct rc_sql_column by_both[] = { { "day", "varchar" }, { "part", "integer" } };

static enum rc_code attach(struct presto_fixture *f, const char *const *names, size_t count,
                           const struct rc_sql_column *partitions, size_t partition_count)
{
    const char **locations = rc_calloc(count + 1, sizeof(*locations));
    char **owned = rc_calloc(count + 1, sizeof(*owned));
    enum rc_code code;

    for (size_t i = 0; i < count; i++)
        locations[i] = owned[i] = rc_strdup(presto_uri(f, names[i]));
    code = f->session.base.ops->attach(&f->session.base,
                                       &(struct rc_sql_table){
                                           .name = "Events!",
                                           .locations = locations,
                                           .location_count = count,
                                           .columns = columns,
                                           .column_count = RC_ARRAY_LEN(columns),
                                           .partitions = partitions,
                                           .partition_count = partition_count,
                                       },
                                       &f->err);
    for (size_t i = 0; i < count; i++)
        free(owned[i]);
    free(owned);
    free(locations);
    return code;
}

#define must_attach(f, names, partitions, partition_count)                                         \
    do {                                                                                           \
        if (attach(f, names, RC_ARRAY_LEN(names), partitions, partition_count))                    \
            fail_msg("%s: %s", (f)->err.context, (f)->err.cause);                                  \
    } while (0)

static void assert_paths(struct presto_fixture *f, const char *expected)
{
    const struct core_presto_table *table = core_presto_find(&f->session, "events!");

    assert_non_null(table);
    assert_string_equal(table->from_paths, expected);
}

/* A table right over the folder is all that is needed. */
static void test_one_folder(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/" };

    presto_file(f, "t/a.parquet", "x");
    presto_file(f, "t/b.parquet", "x");
    must_attach(f, names, NULL, 0);
    assert_log(f, "ddl BEGIN\n"
                  "ddl CREATE <rc_me_1.events__1> (userid varchar, amount bigint) OVER parquet "
                  "file://DIR/t/\n");
    assert_from(f, "Events!", "\"cat\".\"rc_me_1\".\"events__1\"");
    assert_paths(f, "\"cat\".\"rc_me_1\".\"events__1\"");
    assert_true(presto_has_file(f, "work/rc_me_1/_session"));

    presto_close(f);
    assert_log(f, "ddl DROP TABLE IF EXISTS <rc_me_1.events__1>\nddl END rc_me_1\n");
    assert_true(presto_has_file(f, "t/a.parquet"));
    assert_false(presto_has_file(f, "work/rc_me_1/_session"));
}

/* Few folders have a table each, with their keys as constants. */
static void test_few(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/day=2026-01-01/", "t/day=2026-01-02/" };

    presto_file(f, "t/day=2026-01-01/a.parquet", "x");
    presto_file(f, "t/day=2026-01-02/a.parquet", "x");
    presto_file(f, "t/day=2026-01-03/a.parquet", "x");
    must_attach(f, names, by_day, 1);
    assert_log(f, "ddl BEGIN\n"
                  "ddl CREATE <rc_me_1.events__1> (userid varchar, amount bigint) OVER parquet "
                  "file://DIR/t/day=2026-01-01/\n"
                  "ddl CREATE <rc_me_1.events__2> (userid varchar, amount bigint) OVER parquet "
                  "file://DIR/t/day=2026-01-02/\n");
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", DATE '2026-01-01' AS \"day\" FROM "
                "\"cat\".\"rc_me_1\".\"events__1\" UNION ALL "
                "SELECT \"userid\", \"amount\", DATE '2026-01-02' AS \"day\" FROM "
                "\"cat\".\"rc_me_1\".\"events__2\")");
    assert_paths(f, "(SELECT \"userid\", \"amount\", DATE '2026-01-01' AS \"day\", \"$path\" FROM "
                    "\"cat\".\"rc_me_1\".\"events__1\" UNION ALL "
                    "SELECT \"userid\", \"amount\", DATE '2026-01-02' AS \"day\", \"$path\" FROM "
                    "\"cat\".\"rc_me_1\".\"events__2\")");
}

/* A run of days is a range, and what lies beside it is left out. */
static void test_run_of_days(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/day=2026-01-01/", "t/day=2026-01-02/",
                                         "t/day=2026-01-03/", "t/day=2026-01-04/" };

    presto_file(f, "t/day=2025-12-31/a.parquet", "x");
    presto_file(f, "t/day=2026-01-01/a.parquet", "x");
    presto_file(f, "t/day=2026-01-02/a.parquet", "x");
    presto_file(f, "t/day=2026-01-03/a.parquet", "x");
    must_attach(f, names, by_day, 1);
    assert_log(f, "ddl BEGIN\n"
                  "ddl CREATE <rc_me_1.events__1> (userid varchar, amount bigint) BY day date days "
                  "20454..20456 2026-01-01,2026-01-02,2026-01-03 OVER parquet file://DIR/t/\n"
                  "ddl FIND rc_me_1.events__1\n");
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", \"day\" FROM \"cat\".\"rc_me_1\".\"events__1\" "
                "WHERE \"day\" BETWEEN DATE '2026-01-01' AND DATE '2026-01-03')");
}

/* Days with a gap, and days that are texts, are named one by one. */
static void test_chosen_days(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/day=2026-01-01/", "t/day=2026-01-02/",
                                         "t/day=2026-01-04/" };

    presto_file(f, "t/day=2026-01-01/part=1/a.parquet", "x");
    presto_file(f, "t/day=2026-01-02/part=1/a.parquet", "x");
    presto_file(f, "t/day=2026-01-02/part=2/a.parquet", "x");
    presto_file(f, "t/day=2026-01-04/part=7/a.parquet", "x");
    must_attach(f, names, by_both, 2);
    assert_log(f, "ddl BEGIN\n"
                  "ddl CREATE <rc_me_1.events__1> (userid varchar, amount bigint) BY day varchar "
                  "days 20454..20457 2026-01-01,2026-01-02,2026-01-04 BY part integer numbers 1..7 "
                  "1,2,7 OVER parquet file://DIR/t/\n"
                  "ddl FIND rc_me_1.events__1\n");
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", \"day\", \"part\" FROM "
                "\"cat\".\"rc_me_1\".\"events__1\" "
                "WHERE \"day\" IN ('2026-01-01', '2026-01-02', '2026-01-04'))");
}

/* A server that looks for partitions does so among few days only, and passes over what is none. */
static void test_days_among_many(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/day=2026-01-01/", "t/day=2026-01-02/",
                                         "t/day=2026-01-03/" };

    for (int day = 1; day <= 5; day++) {
        RC_STR_AUTO name = rc_strf("t/day=2026-01-%02d/part=1/a.parquet", day);
        presto_file(f, name, "x");
    }
    presto_file(f, "t/day=2026-01-01_bak/part=1/a.parquet", "x");
    presto_file(f, "t/day=2026-01-02/part=2/a.parquet", "x");
    must_attach(f, names, by_both, 2);
    assert_int_equal(f->session.tables->name_count, 1);

    presto_file(f, "t/day=2026-01-06/part=1/a.parquet", "x");
    rc_buf_reset(&f->log);
    must_attach(f, names, by_both, 2);
    assert_log(f, "ddl CREATE <rc_me_1.events__2> (userid varchar, amount bigint) OVER parquet "
                  "file://DIR/t/day=2026-01-01/part=1/\n"
                  "ddl CREATE <rc_me_1.events__3> (userid varchar, amount bigint) BY part integer "
                  "numbers 1..2 1,2 OVER parquet file://DIR/t/day=2026-01-02/\n"
                  "ddl FIND rc_me_1.events__3\n"
                  "ddl CREATE <rc_me_1.events__4> (userid varchar, amount bigint) OVER parquet "
                  "file://DIR/t/day=2026-01-03/part=1/\n"
                  "ddl DROP TABLE IF EXISTS <rc_me_1.events__1>\n");
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", CAST('2026-01-01' AS varchar) AS \"day\", 1 AS "
                "\"part\" FROM \"cat\".\"rc_me_1\".\"events__2\" UNION ALL "
                "SELECT \"userid\", \"amount\", CAST('2026-01-02' AS varchar) AS \"day\", "
                "\"part\" FROM \"cat\".\"rc_me_1\".\"events__3\" UNION ALL "
                "SELECT \"userid\", \"amount\", CAST('2026-01-03' AS varchar) AS \"day\", 1 AS "
                "\"part\" FROM \"cat\".\"rc_me_1\".\"events__4\")");

    /* One that makes up partitions from values takes them as they are. */
    f->dialect.add_find_partitions = NULL;
    must_attach(f, names, by_both, 2);
    assert_int_equal(f->session.tables->name_count, 1);
}

/* All of a location is read: no condition, and the table of the catalogue is the session's. */
static void test_whole_location(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/" };

    for (int day = 1; day <= 3; day++) {
        RC_STR_AUTO name = rc_strf("t/day=2026-01-%02d/part=%d/a.parquet", day, day);
        presto_file(f, name, "x");
    }
    must_attach(f, names, by_both, 2);
    assert_from(f, "Events!", "\"cat\".\"rc_me_1\".\"events__1\"");
    rc_buf_reset(&f->log);

    /* One day of it: the key that all have in common is a constant. */
    static const char *const day[] = { "t/day=2026-01-01/" };
    presto_file(f, "t/day=2026-01-01/part=5/a.parquet", "x");
    presto_file(f, "t/day=2026-01-01/part=6/a.parquet", "x");
    must_attach(f, day, by_both, 2);
    assert_log(f, "ddl CREATE <rc_me_1.events__2> (userid varchar, amount bigint) BY part integer "
                  "numbers 1..6 1,5,6 OVER parquet file://DIR/t/day=2026-01-01/\n"
                  "ddl FIND rc_me_1.events__2\n"
                  "ddl DROP TABLE IF EXISTS <rc_me_1.events__1>\n");
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", CAST('2026-01-01' AS varchar) AS \"day\", "
                "\"part\" FROM \"cat\".\"rc_me_1\".\"events__2\")");
}

/* Locations that say several keys. */
static void test_tuples(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/day=a/part=1/", "t/day=a/part=2/", "t/day=a/part=3/",
                                         "t/day=b/part=1/", "t/day=c/part=4/" };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        RC_STR_AUTO name = rc_strf("%sa.parquet", names[i]);
        presto_file(f, name, "x");
    }
    must_attach(f, names, by_both, 2);
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", \"day\", \"part\" FROM "
                "\"cat\".\"rc_me_1\".\"events__1\" WHERE ((\"day\" = 'a' AND \"part\" BETWEEN 1 "
                "AND 3) OR (\"day\" = 'b' AND \"part\" = 1) OR (\"day\" = 'c' AND \"part\" = 4)))");
}

/* Several bases and formats; JSON is taken apart line by line. */
static void test_union(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "x/", "y/" };

    presto_file(f, "x/a.parquet", "x");
    presto_file(f, "y/b.jsonl.gz", "x");
    must_attach(f, names, NULL, 0);
    assert_log(f, "ddl BEGIN\n"
                  "ddl CREATE <rc_me_1.events__1> (userid varchar, amount bigint) OVER parquet "
                  "file://DIR/x/\n"
                  "ddl CREATE <rc_me_1.events__2> (line varchar) OVER lines file://DIR/y/\n");
    RC_BUF_AUTO(from, 1 << 20);
    core_presto_add_table(&f->session.base, &from, "Events!");
    assert_true(rc_str_starts(from.data, "(SELECT \"userid\", \"amount\" FROM "
                                         "\"cat\".\"rc_me_1\".\"events__1\" UNION ALL "
                                         "SELECT \"c0\" AS \"userid\", coalesce("));
    assert_non_null(strstr(from.data, ", CAST(\"c1\" AS bigint)) AS \"amount\" FROM (SELECT "));
    assert_true(rc_str_ends(from.data,
                            "\"$path\" AS \"p\" FROM \"cat\".\"rc_me_1\".\"events__2\" WHERE CASE "
                            "WHEN regexp_like(\"line\", '\\S') THEN CASE WHEN CASE WHEN "
                            "\"line\" IS NOT NULL THEN coalesce((json_array_length(concat('[', "
                            "\"line\", ']')) = 1 AND json_array_length(concat('[', \"line\", "
                            "',0]')) = 2), FALSE) END THEN TRUE ELSE CAST(fail('Cannot convert "
                            "value to JSON') AS boolean) END ELSE FALSE END))"));
}

static void test_empty(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "none/", "other/" };

    presto_file(f, "other/_SUCCESS", "");
    must_attach(f, names, by_day, 1);
    assert_log(f, "");
    assert_from(f, "Events!",
                "(SELECT CAST(NULL AS varchar) AS \"userid\", CAST(NULL AS bigint) AS \"amount\", "
                "CAST(NULL AS date) AS \"day\" WHERE FALSE)");
    assert_paths(f, "(SELECT CAST(NULL AS varchar) AS \"userid\", CAST(NULL AS bigint) AS "
                    "\"amount\", CAST(NULL AS date) AS \"day\", CAST(NULL AS varchar) AS "
                    "\"$path\" WHERE FALSE)");
    assert_false(presto_has_file(f, "work"));
}

static void test_hidden(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/" };

    presto_file(f, "t/a.parquet", "x");
    presto_file(f, "t/_SUCCESS", "");
    presto_file(f, "t/.hidden.parquet", "x");
    presto_file(f, "t/_temporary/0/b.parquet", "x");
    must_attach(f, names, NULL, 0);
    assert_from(f, "Events!", "\"cat\".\"rc_me_1\".\"events__1\"");

    presto_file(f, "t/notes.txt", "x");
    assert_int_equal(attach(f, names, 1, NULL, 0), RC_INVALID);
    assert_presto_error(f, RC_INVALID, "notes.txt");
}

/* A folder in a folder has a table of its own, unless the server reads it with the other. */
static void test_nested(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/" };

    presto_file(f, "t/a.parquet", "x");
    presto_file(f, "t/b/c/d.parquet", "x");
    presto_file(f, "t/z.parquet", "x");
    must_attach(f, names, NULL, 0);
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\" FROM \"cat\".\"rc_me_1\".\"events__1\" WHERE "
                "cardinality(filter(split(\"$path\", '/'), part -> part <> '')) = 5 UNION ALL "
                "SELECT \"userid\", \"amount\" FROM \"cat\".\"rc_me_1\".\"events__2\")");
    rc_buf_reset(&f->log);

    f->dialect.reads_nested = true;
    must_attach(f, names, NULL, 0);
    assert_from(f, "Events!", "\"cat\".\"rc_me_1\".\"events__3\"");
    presto_file(f, "t/b/e.jsonl", "x");
    assert_int_equal(attach(f, names, 1, NULL, 0), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "files of two formats, parquet and json, lie in");

    static const char *const both[] = { "u/", "u/b/" };
    presto_file(f, "u/a.parquet", "x");
    presto_file(f, "u/b/c/d.json", "x");
    assert_int_equal(attach(f, both + 1, 1, NULL, 0), RC_OK);
    assert_int_equal(attach(f, both, 2, NULL, 0), RC_UNSUPPORTED);
    f->err = (struct rc_error)RC_ERROR_INIT;
}

/* A day whose files lie deeper than those of the others: none is read twice. */
static void test_nested_days(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/" };

    presto_file(f, "t/day=2026-01-01/a.parquet", "x");
    presto_file(f, "t/day=2026-01-02/b/c.parquet", "x");
    presto_file(f, "t/day=2026-01-03/a.parquet", "x");
    presto_file(f, "t/day=2026-01-04/a.parquet", "x");
    f->dialect.reads_nested = true;
    must_attach(f, names, by_day, 1);
    assert_from(f, "Events!", "\"cat\".\"rc_me_1\".\"events__1\"");
    assert_log(f, "ddl BEGIN\n"
                  "ddl CREATE <rc_me_1.events__1> (userid varchar, amount bigint) BY day date days "
                  "20454..20457 2026-01-01,2026-01-02,2026-01-03,2026-01-04 OVER parquet "
                  "file://DIR/t/\n"
                  "ddl FIND rc_me_1.events__1\n");

    f->dialect.reads_nested = false;
    must_attach(f, names, by_day, 1);
    assert_from(
        f, "Events!",
        "(SELECT \"userid\", \"amount\", \"day\" FROM \"cat\".\"rc_me_1\".\"events__2\" "
        "WHERE cardinality(filter(split(\"$path\", '/'), part -> part <> '')) = 6 UNION ALL "
        "SELECT \"userid\", \"amount\", DATE '2026-01-02' AS \"day\" FROM "
        "\"cat\".\"rc_me_1\".\"events__3\")");
}

/* So many files below one location are no more than a table where the server finds them itself. */
static void test_many_nested(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/" };

    for (int hour = 0; hour < 70; hour++) {
        RC_STR_AUTO name = rc_strf("t/2026/%02d/a.parquet", hour);
        presto_file(f, name, "x");
    }
    assert_int_equal(attach(f, names, 1, NULL, 0), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "more than 64 folders");
    f->dialect.reads_nested = true;
    must_attach(f, names, NULL, 0);
    assert_from(f, "Events!", "\"cat\".\"rc_me_1\".\"events__1\"");
}

/* Two formats below one base: each table looks at its own folders only. */
static void test_shared_base(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/" };
    RC_BUF_AUTO(from, 1 << 20);

    for (int day = 1; day <= 6; day++) {
        RC_STR_AUTO name = rc_strf("t/day=2026-01-%02d/a.%s", day, day % 2 ? "parquet" : "json");
        presto_file(f, name, "x");
    }
    must_attach(f, names, by_day, 1);
    core_presto_add_table(&f->session.base, &from, "Events!");
    assert_non_null(strstr(from.data, "\"events__1\" WHERE \"day\" IN (DATE '2026-01-01', DATE "
                                      "'2026-01-03', DATE '2026-01-05') UNION ALL "));
    assert_non_null(strstr(from.data, "\"events__2\" WHERE \"day\" IN (DATE '2026-01-02', DATE "
                                      "'2026-01-04', DATE '2026-01-06') AND CASE "));
}

/* Values that are not what they say: Hive's NULL, escapes, and what a catalogue cannot have. */
static void test_values(void **state)
{
    struct presto_fixture *f = *state;
    static const struct rc_sql_column key[] = { { "k", "varchar" } };
    static const char *const names[] = { "t/k=it's/", "t/k=a%2Fb/",
                                         "t/k=__HIVE_DEFAULT_PARTITION__/" };
    static const char *const odd[] = { "u/k=\xc3\xa9/", "u/k=x/", "u/k=y/" };

    for (size_t i = 0; i < 3; i++) {
        RC_STR_AUTO name = rc_strf("%sa.parquet", names[i]);
        RC_STR_AUTO other = rc_strf("%sa.parquet", odd[i]);
        presto_file(f, name, "x");
        presto_file(f, other, "x");
    }
    must_attach(f, names, key, 1);
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", \"k\" FROM \"cat\".\"rc_me_1\".\"events__1\" "
                "WHERE (\"k\" IS NULL OR \"k\" IN ('a/b', 'it''s')))");

    must_attach(f, odd, key, 1);
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", CAST('x' AS varchar) AS \"k\" FROM "
                "\"cat\".\"rc_me_1\".\"events__2\" UNION ALL "
                "SELECT \"userid\", \"amount\", CAST('y' AS varchar) AS \"k\" FROM "
                "\"cat\".\"rc_me_1\".\"events__3\" UNION ALL "
                "SELECT \"userid\", \"amount\", CAST('\xc3\xa9' AS varchar) AS \"k\" FROM "
                "\"cat\".\"rc_me_1\".\"events__4\")");
    rc_buf_reset(&f->log);

    /* Who makes up folders from values is told none that would not lead back to them. */
    f->dialect.add_find_partitions = NULL;
    must_attach(f, names, key, 1);
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", CAST(NULL AS varchar) AS \"k\" FROM "
                "\"cat\".\"rc_me_1\".\"events__5\" UNION ALL "
                "SELECT \"userid\", \"amount\", CAST('a/b' AS varchar) AS \"k\" FROM "
                "\"cat\".\"rc_me_1\".\"events__6\" UNION ALL "
                "SELECT \"userid\", \"amount\", CAST('it''s' AS varchar) AS \"k\" FROM "
                "\"cat\".\"rc_me_1\".\"events__7\")");
}

/* A character of several bytes, each of which a server takes for one. */
static void test_encoded_values(void **state)
{
    struct presto_fixture *f = *state;
    static const struct rc_sql_column key[] = { { "k", "varchar" } };
    static const char *const names[] = { "t/k=%C5%BE/", "t/k=a%20b/", "t/k=y/" };

    for (size_t i = 0; i < 3; i++) {
        RC_STR_AUTO name = rc_strf("%sa.parquet", names[i]);
        presto_file(f, name, "x");
    }
    must_attach(f, names, key, 1);
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", CAST('\xc5\xbe' AS varchar) AS \"k\" FROM "
                "\"cat\".\"rc_me_1\".\"events__1\" UNION ALL "
                "SELECT \"userid\", \"amount\", CAST('a b' AS varchar) AS \"k\" FROM "
                "\"cat\".\"rc_me_1\".\"events__2\" UNION ALL "
                "SELECT \"userid\", \"amount\", CAST('y' AS varchar) AS \"k\" FROM "
                "\"cat\".\"rc_me_1\".\"events__3\")");
}

/* Numbers as far apart as can be. */
static void test_far_numbers(void **state)
{
    struct presto_fixture *f = *state;
    static const struct rc_sql_column key[] = { { "k", "bigint" } };
    static const char *const names[] = { "t/k=-9223372036854775808/", "t/k=9223372036854775807/",
                                         "t/k=0/" };

    for (size_t i = 0; i < 3; i++) {
        RC_STR_AUTO name = rc_strf("%sa.parquet", names[i]);
        presto_file(f, name, "x");
    }
    must_attach(f, names, key, 1);
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", \"k\" FROM \"cat\".\"rc_me_1\".\"events__1\" "
                "WHERE \"k\" IN (-9223372036854775808, 0, 9223372036854775807))");
}

static void test_too_many_odd(void **state)
{
    struct presto_fixture *f = *state;
    static const struct rc_sql_column key[] = { { "k", "varchar" } };
    static const char *const names[] = { "t/" };

    for (int i = 0; i < 65; i++) {
        RC_STR_AUTO name = rc_strf("t/k=\xc3\xa9%d/a.parquet", i);
        presto_file(f, name, "x");
    }
    assert_int_equal(attach(f, names, 1, key, 1), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "more than 64 folders");
    assert_log(f, "");
}

/* Of folders of one key the innermost counts; keys above the files' own folder are constants. */
static void test_where_keys_stand(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/" };

    presto_file(f, "t/part=1/day=a/x/f.parquet", "x");
    must_attach(f, names, by_both, 2);
    assert_log(f, "ddl BEGIN\n"
                  "ddl CREATE <rc_me_1.events__1> (userid varchar, amount bigint) OVER parquet "
                  "file://DIR/t/part=1/day=a/x/\n");
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", CAST('a' AS varchar) AS \"day\", 1 AS \"part\" "
                "FROM \"cat\".\"rc_me_1\".\"events__1\")");

    /* Keys in another order than declared: the columns are as they were declared. */
    static const char *const others[] = { "u/" };
    presto_file(f, "u/part=1/day=a/f.parquet", "x");
    presto_file(f, "u/part=2/day=b/f.parquet", "x");
    presto_file(f, "u/part=3/day=c/f.parquet", "x");
    rc_buf_reset(&f->log);
    must_attach(f, others, by_both, 2);
    assert_log(f, "ddl CREATE <rc_me_1.events__2> (userid varchar, amount bigint) BY part integer "
                  "numbers 1..3 1,2,3 BY day varchar values a,b,c OVER parquet file://DIR/u/\n"
                  "ddl FIND rc_me_1.events__2\n"
                  "ddl DROP TABLE IF EXISTS <rc_me_1.events__1>\n");
    assert_from(f, "Events!",
                "(SELECT \"userid\", \"amount\", \"day\", \"part\" FROM "
                "\"cat\".\"rc_me_1\".\"events__2\")");

    static const char *const missing[] = { "t/part=1/" };
    presto_file(f, "t/part=1/f.parquet", "x");
    assert_int_equal(attach(f, missing, 1, by_both, 2), RC_INVALID);
    assert_presto_error(f, RC_INVALID, "no folder 'day=...'");
}

static void test_refusals(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const names[] = { "t/" };
    static const char *const object[] = { "t/a.parquet" };
    static const char *const unreachable[] = { "unreachable/" };
    static const struct rc_sql_column bad[] = { { "k", "varchar) --" } };

    assert_int_equal(attach(f, unreachable, 1, NULL, 0), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED,
                        "attach table 'Events!': the SQL engine 'lake' (fake) does not reach");
    assert_int_equal(attach(f, object, 1, NULL, 0), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "is a single object");
    assert_int_equal(attach(f, names, 1, bad, 1), RC_INVALID);
    assert_presto_error(f, RC_INVALID, "column 'k' has the type");
    presto_file(f, "t/a.csv", "x");
    assert_int_equal(attach(f, names, 1, NULL, 0), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "CSV");
    presto_file(f, "u/a.parquet", "x");
    presto_file(f, "u/b.json", "x");
    static const char *const mixed[] = { "u/" };
    assert_int_equal(attach(f, mixed, 1, NULL, 0), RC_UNSUPPORTED);
    assert_presto_error(f, RC_UNSUPPORTED, "two formats");
    assert_log(f, "");
}

/* Whatever statement fails: what was made goes, and an older table of the name stays. */
static void test_failures(void **state)
{
    struct presto_fixture *f = *state;
    static const char *const older[] = { "older/" };
    static const char *const names[] = { "t/" };
    static const char *const expected[] = {
        "ddl CREATE <rc_me_1.events__2> (userid varchar, amount bigint) BY day date days "
        "20454..20456 2026-01-01,2026-01-02,2026-01-03 OVER parquet file://DIR/t/\n",
        "ddl FIND rc_me_1.events__2\n",
        "ddl CREATE <rc_me_1.events__3> (line varchar) BY day date days 20484..20486 "
        "2026-01-31,2026-02-01,2026-02-02 OVER lines file://DIR/t/\n",
        "ddl FIND rc_me_1.events__3\n",
    };

    presto_file(f, "older/a.parquet", "x");
    for (int day = 1; day <= 3; day++) {
        RC_STR_AUTO name = rc_strf("t/day=2026-01-%02d/a.parquet", day);
        presto_file(f, name, "x");
    }
    presto_file(f, "t/day=2026-01-31/a.json", "x");
    presto_file(f, "t/day=2026-02-01/a.json", "x");
    presto_file(f, "t/day=2026-02-02/a.json", "x");
    for (int at = 0; at < 4; at++)
        for (int cancels = 0; cancels < 2; cancels++) {
            RC_BUF_AUTO(log, 1 << 20);

            presto_close(f);
            presto_open(f);
            must_attach(f, older, NULL, 0);
            rc_buf_reset(&f->log);
            f->statements = 0;
            *(cancels ? &f->cancel_at : &f->fail_at) = at + 1;
            assert_int_equal(attach(f, names, 1, by_day, 1), cancels ? RC_CANCELLED : RC_FAILED);
            assert_presto_error(f, cancels ? RC_CANCELLED : RC_FAILED, "attach table 'Events!'");
            for (int i = 0; i <= at; i++)
                rc_buf_adds(&log, expected[i]);
            rc_buf_adds(&log, at >= 2 ? "ddl DROP TABLE IF EXISTS <rc_me_1.events__3>\n" : "");
            rc_buf_adds(&log, "ddl DROP TABLE IF EXISTS <rc_me_1.events__2>\n");
            assert_log(f, log.data);
            assert_from(f, "Events!", "\"cat\".\"rc_me_1\".\"events__1\"");
            f->cancel_at = f->fail_at = 0;
            atomic_store(&f->cancel.code, RC_OK);
        }
    presto_close(f);
    assert_string_equal(f->said.data, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, presto_setup, presto_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_folder),
        TEST(test_few),
        TEST(test_run_of_days),
        TEST(test_chosen_days),
        TEST(test_days_among_many),
        TEST(test_whole_location),
        TEST(test_tuples),
        TEST(test_union),
        TEST(test_empty),
        TEST(test_hidden),
        TEST(test_nested),
        TEST(test_shared_base),
        TEST(test_values),
        TEST(test_too_many_odd),
        TEST(test_where_keys_stand),
        TEST(test_refusals),
        TEST(test_failures),
        TEST(test_nested_days),
        TEST(test_many_nested),
        TEST(test_encoded_values),
        TEST(test_far_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
