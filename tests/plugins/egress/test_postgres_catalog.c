/*
 * The catalogue: what names and patterns find, what the tables consist of, and why some of them
 * cannot be dumped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "postgres.h"

#include <catalog.h>
#include <copy.h>

#include <run-core/fake_host.h>

#include <stdlib.h>
#include <string.h>

enum { SETTINGS = 16, TEXT_LIMIT = 1 << 20 };

/* A catalogue, read in a transaction by a role that is not the owner of all. */
struct reading {
    struct rc_fake_host *host;
    const struct egress_config *config;
    struct egress_database *database;
    struct egress_catalog catalog;
};

static enum rc_code reading_open(struct reading *reading, const char *user,
                                 const char *const *settings, struct rc_error *err)
{
    RC_STR_AUTO url = user ? url_as(user, user) : rc_strdup(admin_url());
    RC_STR_AUTO database = rc_strf("database=%s", url);
    const char *all[SETTINGS] = { database };

    for (size_t i = 0; settings && settings[i]; i++) {
        assert_true(i + 2 < SETTINGS);
        all[i + 1] = settings[i];
    }
    memset(reading, 0, sizeof(*reading));
    reading->host = rc_fake_host_new(NULL);
    rc_fake_host_job(reading->host)->log_level = RC_LOG_DEBUG;
    reading->config = config_of(reading->host, all);
    if (egress_database_open(rc_fake_host_job(reading->host), reading->config, &reading->database,
                             err) ||
        egress_database_begin(reading->database, NULL, err))
        return err->code;
    return egress_catalog_read(reading->database, reading->config, &reading->catalog, err);
}

static void reading_close(struct reading *reading)
{
    egress_catalog_clear(&reading->catalog);
    egress_database_close(&reading->database);
    rc_fake_host_clear(&reading->host);
}

static void read_as(struct reading *reading, const char *user, const char *const *settings)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(reading_open(reading, user, settings, &err), err);
    /* Whatever was found, the transaction goes on. */
    expect_ok(egress_database_exec(reading->database, "go on", "SELECT 1", &err), err);
}

static const struct egress_table *find(const struct reading *reading, const char *name)
{
    for (size_t i = 0; i < reading->catalog.count; i++)
        if (strcmp(reading->catalog.tables[i].name, name) == 0)
            return &reading->catalog.tables[i];
    fail_msg("no '%s' in the catalogue", name);
    return NULL;
}

/* "a, b, c" of the tables that may be dumped, and "!x" of the others. */
static char *names_of(const struct reading *reading)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);

    for (size_t i = 0; i < reading->catalog.count; i++)
        rc_buf_addf(&text, "%s%s%s", i ? ", " : "", reading->catalog.tables[i].failure ? "!" : "",
                    reading->catalog.tables[i].name);
    return rc_buf_take(&text);
}

/* "name type, name type" */
static char *columns_of(const struct egress_table *table)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);

    for (size_t i = 0; i < table->column_count; i++)
        rc_buf_addf(&text, "%s%s %s", i ? ", " : "", table->columns[i].name,
                    table->columns[i].type);
    return rc_buf_take(&text);
}

static char *leaves_of(const struct egress_table *table)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);

    for (size_t i = 0; i < table->leaf_count; i++)
        rc_buf_addf(&text, "%s%s.%s%s%s", i ? ", " : "", table->leaves[i].schema,
                    table->leaves[i].relation, table->leaves[i].has_ctids ? "#" : "",
                    table->leaves[i].needs_select ? "?" : "");
    return rc_buf_take(&text);
}

#define assert_texts(call, expected)                                                               \
    do {                                                                                           \
        RC_STR_AUTO got = call;                                                                    \
        assert_string_equal(got, expected);                                                        \
    } while (0)

static void expect_failure(const struct egress_table *table, enum rc_code code, const char *part)
{
    if (!table->failure)
        fail_msg("'%s' has no failure", table->name);
    expect_text(table->failure->cause, part);
    assert_int_equal(table->failure->code, code);
}

/* ---- names and patterns ------------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "tables=[Plain other.Hosts, '\"Odd name\" \"wi\"\"th\".\"Ünï.cödé\"']",
        "queries.one=SELECT 1", NULL
    };
    struct reading reading;

    read_as(&reading, NULL, settings);
    assert_texts(names_of(&reading), "Plain, other.Hosts, Odd name, wi\"th.Ünï.cödé, one");
    assert_string_equal(find(&reading, "Plain")->schema, "public");
    assert_string_equal(find(&reading, "Plain")->relation, "plain");
    assert_string_equal(find(&reading, "wi\"th.Ünï.cödé")->relation, "Ünï.cödé");
    assert_texts(columns_of(find(&reading, "Odd name")), "a \"b\" integer, Ü text");
    reading_close(&reading);
}

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *settings[5];
        const char *names;
    } cases[] = {
        { { "tables=*" },
          "other.hosts, Odd name, days, empty, heir, none, partly, plain, secret, under_policy, "
          "wi\"th.Ünï.cödé" },
        { { "tables=other.* pl*" }, "other.hosts, plain" },
        { { "tables=plain h*" }, "plain, other.hosts, heir" },
        { { "tables=p*n plain" }, "plain" },
        { { "tables=*", "include=o* p*", "exclude=other.*" }, "partly, plain" },
        { { "tables=days_*" }, "!days_*" },
        { { "tables=zz*", "queries.q=VALUES (1)" }, "!zz*, q" },
        { { "tables=pl*", "exclude=plain" }, "!pl*" },
        { { "tables=information_schema.sql_f*" }, "information_schema.sql_features" },
        { { "tables=pg_catalog.pg_clas*" }, "pg_class" },
        { { "tables=pg_clas*" }, "!pg_clas*" },
        { { "tables=['\"*\"']" }, "!*" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct reading reading;

        read_as(&reading, NULL, cases[i].settings);
        assert_texts(names_of(&reading), cases[i].names);
        reading_close(&reading);
    }
}

static void test_one_name_for_two(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        { "tables=plain other.hosts plain" },
        { "tables=plain", "queries.plain=SELECT 1" },
        { "tables=\"plain\" plain" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct reading reading;
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(reading_open(&reading, NULL, cases[i], &err), RC_INVALID);
        expect_text(err.cause, "'plain' is named twice");
        assert_int_equal(reading.catalog.count, 0);
        reading_close(&reading);
    }
}

/* ---- what cannot be dumped ---------------------------------------------------------------- */

static void test_what_is_missing_or_forbidden(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "tables=plain secret partly other.hosts under_policy numbers plain_pkey pair unfilled "
        "plane hosts odd_name nothing.here shown",
        NULL
    };
    struct reading reading;

    read_as(&reading, "reader", settings);
    assert_texts(
        names_of(&reading),
        "plain, !secret, !partly, !other.hosts, !under_policy, !numbers, !plain_pkey, !pair, "
        "!unfilled, !plane, !hosts, !odd_name, !nothing.here, shown");
    expect_failure(find(&reading, "secret"), RC_DENIED,
                   "permission denied for table 'public.secret'; GRANT SELECT ON "
                   "\"public\".\"secret\" TO \"reader\"");
    expect_failure(find(&reading, "partly"), RC_DENIED, "permission denied for column 'b', 'c' of");
    expect_failure(find(&reading, "other.hosts"), RC_DENIED,
                   "permission denied for schema 'other'; GRANT USAGE ON SCHEMA \"other\"");
    expect_failure(find(&reading, "under_policy"), RC_DENIED, "'row_security: true'");
    expect_failure(find(&reading, "numbers"), RC_INVALID, "a sequence");
    expect_failure(find(&reading, "plain_pkey"), RC_INVALID, "an index");
    expect_failure(find(&reading, "pair"), RC_INVALID, "a composite type");
    expect_failure(find(&reading, "unfilled"), RC_INVALID, "REFRESH MATERIALIZED");
    expect_failure(find(&reading, "plane"), RC_NOT_FOUND, "did you mean 'plain'?");
    expect_failure(find(&reading, "hosts"), RC_NOT_FOUND,
                   "no table 'hosts' on its search path; did you mean 'other.hosts'?");
    expect_failure(find(&reading, "odd_name"), RC_NOT_FOUND, "did you mean '\"Odd name\"'?");
    expect_failure(find(&reading, "nothing.here"), RC_NOT_FOUND, "no table 'nothing.here'");
    assert_null(strstr(find(&reading, "nothing.here")->failure->cause, "did you mean"));
    reading_close(&reading);
}

static void test_row_security_on_demand(void **state)
{
    (void)state;
    static const char *const settings[] = { "tables=under_policy", "row_security=true", NULL };
    struct reading reading;

    read_as(&reading, "reader", settings);
    assert_null(find(&reading, "under_policy")->failure);
    reading_close(&reading);
}

/* ---- what tables consist of --------------------------------------------------------------- */

static void test_columns(void **state)
{
    (void)state;
    static const char *const settings[] = { "tables=plain none shown", NULL };
    struct reading reading;

    read_as(&reading, NULL, settings);
    const struct egress_table *plain = find(&reading, "plain");
    assert_texts(columns_of(plain), "id bigint, amount numeric(10,2), tags text[], small tiny, "
                                    "at timestamp with time zone");
    assert_int_equal(plain->columns[0].oid, 20);
    assert_int_equal(plain->columns[1].modifier, ((10 << 16) | 2) + 4);
    /* A domain over a domain over numeric(5,1). */
    assert_int_equal(plain->columns[3].oid, 1700);
    assert_int_equal(plain->columns[3].modifier, ((5 << 16) | 1) + 4);
    assert_int_equal(find(&reading, "none")->column_count, 0);
    assert_texts(columns_of(find(&reading, "shown")), "id bigint, doubled bigint");
    reading_close(&reading);
}

static void test_leaves(void **state)
{
    (void)state;
    static const char *const settings[] = { "tables=plain days heir shown filled far days_2 empty",
                                            NULL };
    struct reading reading;
    bool has_ctids;

    read_as(&reading, NULL, settings);
    has_ctids = reading.database->version >= 140000;
    if (has_ctids) {
        assert_texts(leaves_of(find(&reading, "plain")), "public.plain#");
        assert_texts(leaves_of(find(&reading, "days")),
                     "public.days_1#, other.days_2a#, public.days_2b#, public.days_2z#, "
                     "public.days_9?, public.days_10#, public.days_rest#");
        assert_texts(leaves_of(find(&reading, "days_2")),
                     "other.days_2a#, public.days_2b#, public.days_2z#");
        assert_texts(leaves_of(find(&reading, "filled")), "public.filled#?");
    }
    assert_texts(leaves_of(find(&reading, "far")), "public.far?");
    assert_texts(leaves_of(find(&reading, "shown")), "");
    assert_texts(leaves_of(find(&reading, "empty")), "");
    assert_int_equal(find(&reading, "heir")->leaf_count, 1);
    reading_close(&reading);
}

static void test_estimates(void **state)
{
    (void)state;
    static const char *const settings[] = { "tables=plain days_1 none filled shown far new",
                                            "queries.q=SELECT * FROM ONLY plain WHERE id > 500;\n",
                                            NULL };
    struct reading reading;

    admin(
        "CREATE TABLE new AS SELECT * FROM plain; ALTER TABLE new SET (autovacuum_enabled = off)");
    read_as(&reading, NULL, settings);
    admin("DROP TABLE new");
    const struct egress_table *plain = find(&reading, "plain");
    assert_true(plain->rows > 900 && plain->rows < 1100);
    assert_true(plain->leaves[0].pages > 0);
    assert_true(plain->bytes >= plain->leaves[0].pages * 8192);
    assert_true(find(&reading, "days_1")->rows == 0); /* no page */
    assert_true(find(&reading, "new")->rows < 0);
    assert_true(find(&reading, "shown")->rows > 900);
    assert_int_equal(find(&reading, "shown")->bytes, -1);
    assert_true(find(&reading, "far")->rows < 0);
    assert_true(find(&reading, "q")->rows > 400 && find(&reading, "q")->rows < 600);
    reading_close(&reading);
}

/* What somebody has locked is in nobody else's way, nor in that of the run. */
static void test_locked_tables(void **state)
{
    (void)state;
    static const char *const settings[] = { "tables=plain days", "lock_timeout=1m", NULL };
    struct reading reading;
    int64_t start_ms = mono_ms();

    admin("BEGIN; LOCK TABLE plain, days");
    read_as(&reading, NULL, settings);
    admin("ROLLBACK");
    assert_true(mono_ms() - start_ms < 20000);
    assert_null(find(&reading, "plain")->failure);
    assert_true(find(&reading, "plain")->rows > 900);
    assert_int_equal(find(&reading, "plain")->bytes, -1);
    assert_int_equal(find(&reading, "days")->leaf_count, 7);
    reading_close(&reading);
}

/* Privileges of the root hold for what is read through it, and so do its policies. */
static void test_partitions_by_privilege(void **state)
{
    (void)state;
    static const char *const settings[] = { "tables=days", NULL };
    static const char *const secured[] = { "tables=days", "row_security=true", NULL };
    struct reading reading;

    admin("GRANT SELECT ON days TO reader");
    read_as(&reading, "reader", settings);
    assert_texts(names_of(&reading), "days");
    assert_int_equal(find(&reading, "days")->leaf_count, 0);
    assert_int_equal(find(&reading, "days")->column_count, 2);
    reading_close(&reading);

    admin("GRANT USAGE ON SCHEMA other TO reader; "
          "GRANT SELECT ON days_1, days_2, other.days_2a, days_2b, days_2z, days_9, days_10, "
          "days_rest TO reader");
    read_as(&reading, "reader", settings);
    assert_int_equal(find(&reading, "days")->leaf_count, 7);
    reading_close(&reading);

    admin("ALTER TABLE days ENABLE ROW LEVEL SECURITY");
    read_as(&reading, "reader", secured);
    assert_int_equal(find(&reading, "days")->leaf_count, 0);
    reading_close(&reading);
    admin("ALTER TABLE days DISABLE ROW LEVEL SECURITY; ALTER TABLE days_1 ENABLE ROW LEVEL "
          "SECURITY");
    read_as(&reading, "reader", settings);
    assert_null(find(&reading, "days")->failure);
    assert_int_equal(find(&reading, "days")->leaf_count, 0);
    reading_close(&reading);
    admin(
        "ALTER TABLE days_1 DISABLE ROW LEVEL SECURITY; REVOKE USAGE ON SCHEMA other FROM reader");
}

/* ---- queries ------------------------------------------------------------------------------ */

static void test_queries(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "queries.a=SELECT id, amount::numeric(4,1) AS \"a \"\"b\"\"\", 'x' AS c, small FROM plain "
        "ORDER BY id -- ; all of them",
        "queries.b= WITH x AS (VALUES (1)) TABLE x ; ;\n",
        "queries.two=SELECT 1; SELECT 2",
        "queries.open=SELECT 1) AS q; DELETE FROM plain; SELECT * FROM (SELECT 2",
        "queries.writes=DELETE FROM plain RETURNING id",
        "queries.hides=WITH x AS (DELETE FROM plain RETURNING id) SELECT * FROM x",
        "queries.shows=SHOW search_path",
        "queries.param=SELECT $1::int",
        "queries.wrong=SELEC 1",
        "queries.missing=SELECT * FROM nothing_there",
        "queries.denied=SELECT * FROM secret",
        "queries.empty=;",
        NULL,
    };
    struct reading reading;

    read_as(&reading, "reader", settings);
    assert_texts(names_of(&reading), "a, b, !two, !open, !writes, !hides, !shows, !param, !wrong, "
                                     "!missing, !denied, !empty");
    const struct egress_table *a = find(&reading, "a");
    assert_texts(columns_of(a), "id bigint, a \"b\" numeric(4,1), c text, small numeric(5,1)");
    assert_int_equal(a->columns[3].oid, 1700);
    assert_null(a->schema);
    assert_string_equal(find(&reading, "b")->query, " WITH x AS (VALUES (1)) TABLE x");
    expect_failure(find(&reading, "missing"), RC_NOT_FOUND, "nothing_there");
    expect_failure(find(&reading, "denied"), RC_DENIED, "secret");
    expect_failure(find(&reading, "wrong"), RC_FAILED, "syntax error");
    reading_close(&reading);
    assert_string_equal(admin_value("SELECT count(*) FROM plain"), "1000");
}

/* ---- the database ------------------------------------------------------------------------- */

static int prepare(void **state)
{
    (void)state;
    admin("CREATE ROLE reader LOGIN PASSWORD 'reader'");
    admin("CREATE DOMAIN small AS numeric(5,1); CREATE DOMAIN tiny AS small CHECK (VALUE < 10)");
    admin("CREATE TABLE plain (id bigserial PRIMARY KEY, gone int, amount numeric(10,2), "
          "tags text[], small tiny, at timestamptz)");
    admin("ALTER TABLE plain DROP COLUMN gone");
    if (strtol(admin_value("SHOW server_version_num"), NULL, 10) >= 120000)
        admin("ALTER TABLE plain ADD COLUMN twice bigint GENERATED ALWAYS AS (id * 2) STORED");
    admin("INSERT INTO plain (amount) SELECT n FROM generate_series(1, 1000) AS n");
    admin("CREATE SCHEMA other; CREATE TABLE other.hosts (n int)");
    admin("CREATE TABLE \"Odd name\" (\"a \"\"b\"\"\" int, \"Ü\" text)");
    admin("CREATE SCHEMA \"wi\"\"th\"; CREATE TABLE \"wi\"\"th\".\"Ünï.cödé\" (n int)");
    admin("CREATE TABLE none ()");
    admin("CREATE TABLE heir () INHERITS (plain)");
    admin("CREATE TABLE secret (n int)");
    admin("CREATE TABLE partly (a int, b int, c int); GRANT SELECT (a) ON partly TO reader");
    admin("CREATE TABLE under_policy (n int); ALTER TABLE under_policy ENABLE ROW LEVEL SECURITY");
    admin("CREATE SEQUENCE numbers; CREATE TYPE pair AS (a int, b int)");
    admin("CREATE VIEW shown AS SELECT id, id * 2 AS doubled FROM plain");
    admin("CREATE MATERIALIZED VIEW filled AS SELECT id FROM plain");
    admin("CREATE MATERIALIZED VIEW unfilled AS SELECT id FROM plain WITH NO DATA");
    admin(
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere");
    admin("CREATE FOREIGN TABLE far (n int) SERVER nowhere");
    admin("CREATE TABLE empty (n int) PARTITION BY LIST (n)");
    admin("CREATE TABLE days (day int, name text) PARTITION BY RANGE (day)");
    admin("CREATE TABLE days_rest PARTITION OF days DEFAULT");
    admin("CREATE TABLE days_10 PARTITION OF days FOR VALUES FROM (100) TO (101)");
    admin("CREATE FOREIGN TABLE days_9 PARTITION OF days FOR VALUES FROM (99) TO (100) "
          "SERVER nowhere");
    admin("CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (MINVALUE) TO (1)");
    admin("CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (1) TO (99) "
          "PARTITION BY LIST (name)");
    admin("CREATE TABLE days_2z PARTITION OF days_2 FOR VALUES IN ('z', NULL)");
    admin("CREATE TABLE days_2b PARTITION OF days_2 FOR VALUES IN ('b', 'y')");
    /* With its columns in another order. */
    admin("CREATE TABLE other.days_2a (name text, day int); "
          "ALTER TABLE days_2 ATTACH PARTITION other.days_2a FOR VALUES IN ('a')");
    admin("GRANT SELECT ON plain, numbers, shown, under_policy, unfilled, other.hosts TO reader");
    admin("ANALYZE plain; ANALYZE filled; ANALYZE days_1");
    return 0;
}

static int clear(void **state)
{
    (void)state;
    admin("SET client_min_messages = error");
    admin("DROP SCHEMA public, other, \"wi\"\"th\" CASCADE; CREATE SCHEMA public; "
          "DROP FOREIGN DATA WRAPPER nowhere CASCADE; DROP ROLE reader");
    admin_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_one_name_for_two),
        cmocka_unit_test(test_what_is_missing_or_forbidden),
        cmocka_unit_test(test_row_security_on_demand),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_estimates),
        cmocka_unit_test(test_locked_tables),
        cmocka_unit_test(test_partitions_by_privilege),
        cmocka_unit_test(test_queries),
    };

    return cmocka_run_group_tests(tests, prepare, clear);
}
