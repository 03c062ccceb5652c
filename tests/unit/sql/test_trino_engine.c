/*
 * A session on Trino against a server that follows a script: what it asks when it begins, where its
 * tables lie, and what it leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <scripted_server.h>

#include <sql/presto.h>
#include <sql/trino_text.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD "{\"id\":\"q1\",\"infoUri\":\"{url}/ui?q1\","
#define NAMES(rows)                                                                                \
    HEAD "\"columns\":[{\"name\":\"Name\",\"type\":\"varchar\"}],\"data\":[" rows "]}"
#define DONE                                                                                       \
    HEAD "\"columns\":[{\"name\":\"result\",\"type\":\"boolean\"}],\"data\":[[true]],"             \
         "\"updateType\":\"DROP\"}"
#define WROTE(n)                                                                                   \
    HEAD "\"columns\":[{\"name\":\"rows\",\"type\":\"bigint\"}],\"data\":[[" n "]],"               \
         "\"updateType\":\"CREATE TABLE\",\"updateCount\":" n "}"
#define FAILED(name, type, message)                                                                \
    HEAD "\"error\":{\"message\":\"" message "\",\"errorName\":\"" name "\",\"errorType\":\"" type \
         "\"}}"
#define OK(text)                                                                                   \
    {                                                                                              \
        .status = 200, .body = text                                                                \
    }
#define PROPERTIES                                                                                 \
    NAMES("[\"hive.compression_codec\"],[\"hive.timestamp_precision\"],[\"hive.other\"],"          \
          "[\"hive.parquet_use_column_names\"],[\"hivex.timestamp_precision\"]")

struct world {
    struct scripted_server server;
    char dir[64];
    char *work; /* URI of a folder in it */
    struct core_engine_settings settings;
    struct core_cancel cancel;
    struct core_storage *storage;
    struct core_sql_context context;
    struct rc_sql *sql;
    struct rc_error err;
};

static void prepare(struct world *w, const struct script_line *lines, size_t count)
{
    static const char pattern[] = "/tmp/run-core-trino-XXXXXX";

    scripted_start(&w->server, lines, count);
    memcpy(w->dir, pattern, sizeof(pattern));
    assert_non_null(mkdtemp(w->dir));
    w->work = rc_strf("file://%s/left/", w->dir);
    w->storage = core_storage_new(NULL, 0, NULL, &w->cancel);
    w->settings.url = w->server.listener.url;
    w->settings.work = w->work;
    w->settings.shares_files = true;
    w->context = (struct core_sql_context){
        .settings = &w->settings,
        .storage = w->storage,
        .cancel = &w->cancel,
        .temp_dir = w->dir,
        .session = "rc_me_1",
    };
}

static void begin(struct world *w, const struct script_line *lines, size_t count)
{
    prepare(w, lines, count);
    if (core_engine_trino.open(&w->context, &w->sql, &w->err))
        fail_msg("%s: %s", w->err.context, w->err.cause);
}

/* What was said to the server has to be as many statements as the script has. */
static void end(struct world *w)
{
    RC_STR_AUTO mine = rc_strf("%s/left/rc_me_1", w->dir);
    RC_STR_AUTO work = rc_strf("%s/left", w->dir);
    RC_STR_AUTO out = rc_strf("%s/out", w->dir);

    if (w->sql)
        core_engine_trino.close(w->sql);
    assert_int_equal(atomic_load(&w->server.heard_count), w->server.line_count);
    scripted_stop(&w->server);
    core_storage_free(w->storage);
    (void)rmdir(mine);
    (void)rmdir(work);
    (void)rmdir(out);
    assert_int_equal(rmdir(w->dir), 0); /* nothing was left in it */
    free(w->work);
}

/* The statement of a request; "{work}" in 'expected' is the session's folder. */
static void assert_asked(const struct world *w, size_t request, const char *expected)
{
    const char *statement = strstr(w->server.heard[request], "\r\n\r\n") + 4;
    const char *mark = strstr(expected, "{work}");
    RC_STR_AUTO with_work = mark ? rc_strf("%.*s%src_me_1/%s", (int)(mark - expected), expected,
                                           w->work, mark + strlen("{work}"))
                                 : rc_strdup(expected);

    assert_string_equal(statement, with_work);
}

/* The mark of the session says whose it is. */
static void assert_mark(struct world *w)
{
    RC_STR_AUTO uri = rc_strf("%src_me_1/" CORE_PRESTO_MARK, w->work);
    RC_STR_AUTO expected =
        rc_strf("run-core\nengine: trino\nserver: %s\ncatalog: hive\n", w->server.listener.url);
    RC_BUF_AUTO(found, 4096);

    if (core_storage_get(w->storage, uri, &found, &w->err))
        fail_msg("%s", w->err.cause);
    assert_string_equal(found.data, expected);
}

static enum rc_code run(struct world *w, enum core_presto_kind kind, const char *text,
                        int64_t *updated)
{
    struct core_presto *session = (struct core_presto *)w->sql;

    return session->dialect->run(session, kind, text, updated, &w->err);
}

/* ---- opening --------------------------------------------------------------------------------- */

#define NO_PROPERTY FAILED("INVALID_SESSION_PROPERTY", "USER_ERROR", "there is no such property")
#define MEANING "hive.timestamp_precision=MICROSECONDS,hive.parquet_use_column_names=true"

static void sets_what_results_depend_on(void **state)
{
    const struct script_line lines[] = { OK(DONE), OK(DONE) };
    struct world w = { .dir = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    assert_asked(&w, 0, "SELECT 1");
    assert_string_equal(scripted_header(&w.server, 0, "X-Trino-Session"),
                        MEANING ",hive.compression_codec=ZSTD");
    ((struct core_presto *)w.sql)->dialect->set_compression((struct core_presto *)w.sql, "gzip");
    assert_int_equal(run(&w, CORE_PRESTO_DDL, "DROP TABLE b", NULL), RC_OK);
    assert_string_equal(scripted_header(&w.server, 1, "X-Trino-Session"),
                        MEANING ",hive.compression_codec=GZIP");
    end(&w);
}

static void asks_which_properties_there_are(void **state)
{
    const struct script_line lines[] = { OK(NO_PROPERTY), OK(PROPERTIES), OK(DONE), OK(DONE) };
    struct world w = { .dir = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    assert_asked(&w, 1, "SHOW SESSION LIKE 'hive.%'");
    assert_null(scripted_header(&w.server, 1, "X-Trino-Session"));
    assert_int_equal(run(&w, CORE_PRESTO_DDL, "DROP TABLE a", NULL), RC_OK);
    assert_non_null(strstr(scripted_header(&w.server, 2, "X-Trino-Session"), MEANING));
    ((struct core_presto *)w.sql)->dialect->set_compression((struct core_presto *)w.sql, "gzip");
    assert_int_equal(run(&w, CORE_PRESTO_DDL, "DROP TABLE b", NULL), RC_OK);
    assert_non_null(
        strstr(scripted_header(&w.server, 3, "X-Trino-Session"), "hive.compression_codec=GZIP"));
    end(&w);
}

static void sets_nothing_that_there_is_not(void **state)
{
    static const struct rc_pair session[] = { { "lake.timestamp_precision", "NANOSECONDS" } };
    const struct script_line lines[] = { OK(NO_PROPERTY),
                                         OK(NAMES("[\"lake.timestamp_precision\"]")), OK(DONE) };
    struct world w = { .settings = { .catalog = "lake", .session = { 1, session } } };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    ((struct core_presto *)w.sql)->dialect->set_compression((struct core_presto *)w.sql, "gzip");
    assert_int_equal(run(&w, CORE_PRESTO_DDL, "DROP TABLE b", NULL), RC_OK);
    assert_string_equal(scripted_header(&w.server, 2, "X-Trino-Session"),
                        "lake.timestamp_precision=NANOSECONDS");
    end(&w);
}

static void fails_to_open(void **state)
{
    const struct script_line refused[] = { { .status = 401, .body = "who?" } };
    const struct script_line no_catalog[] = { OK(
        FAILED("NOT_FOUND", "USER_ERROR", "Session property catalog does not exist: nowhere")) };
    const struct script_line missing[] = { OK(FAILED("NOT_FOUND", "USER_ERROR", "no")) };
    struct world w = { .dir = "" };

    (void)state;
    prepare(&w, refused, 1);
    assert_int_equal(core_engine_trino.open(&w.context, &w.sql, &w.err), RC_DENIED);
    assert_string_equal(w.err.context, "open a session on Trino");
    assert_null(w.sql);
    end(&w);

    w = (struct world){ .settings = { .catalog = "nowhere" } };
    prepare(&w, no_catalog, 1);
    assert_int_equal(core_engine_trino.open(&w.context, &w.sql, &w.err), RC_INVALID);
    assert_non_null(strstr(w.err.cause, "; correct 'catalog' of the engine"));
    assert_non_null(strstr(w.err.context, "query q1"));
    end(&w);

    w = (struct world){ .settings = { .catalog = "nowhere" } };
    prepare(&w, missing, 1);
    assert_int_equal(core_engine_trino.open(&w.context, &w.sql, &w.err), RC_INVALID);
    end(&w);

    w = (struct world){ .settings = { .password = "without a user" } };
    prepare(&w, NULL, 0);
    assert_int_equal(core_engine_trino.open(&w.context, &w.sql, &w.err), RC_INVALID);
    w.settings.password = NULL;
    w.settings.work = NULL;
    assert_int_equal(core_engine_trino.open(&w.context, &w.sql, &w.err), RC_INVALID);
    w.settings.work = "s3://bucket/left/";
    w.settings.url = NULL;
    assert_int_equal(core_engine_trino.check(&w.settings, &w.err), RC_INVALID);
    end(&w);
}

/* ---- the session's schema -------------------------------------------------------------------- */

static void has_its_tables_in_its_folder(void **state)
{
    const struct script_line lines[] = {
        OK(PROPERTIES), OK(DONE), OK(DONE),      OK(DONE),
        OK(WROTE("3")), OK(DONE), OK(NAMES("")), OK(DONE),
    };
    struct world w = { .dir = "" };
    int64_t rows = 0;

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    if (core_engine_trino.make(w.sql, "t", "SELECT 1 AS a", NULL, 0, &rows, &w.err))
        fail_msg("%s", w.err.cause);
    assert_int_equal(rows, 3);
    assert_mark(&w);
    core_engine_trino.close(w.sql);
    w.sql = NULL;
    assert_asked(&w, 1, "CREATE SCHEMA \"hive\".\"rc_me_1\" WITH (location = '{work}')");
    assert_asked(&w, 2, "CREATE TABLE \"hive\".\"rc_me_1\".\"first\" (a integer)");
    assert_asked(&w, 3, "DROP TABLE \"hive\".\"rc_me_1\".\"first\"");
    assert_asked(&w, 4,
                 "CREATE TABLE \"hive\".\"rc_me_1\".\"t_1\" WITH (format = 'PARQUET') AS "
                 "SELECT 1 AS a");
    assert_asked(&w, 5, "DROP TABLE IF EXISTS \"hive\".\"rc_me_1\".\"t_1\"");
    assert_asked(&w, 6, "SHOW TABLES FROM \"hive\".\"rc_me_1\"");
    assert_asked(&w, 7, "DROP SCHEMA IF EXISTS \"hive\".\"rc_me_1\"");
    end(&w);
}

/* The metastore lets the schema have a place, and no table lie there. */
static void does_without_a_place_for_tables(void **state)
{
    const struct script_line lines[] = {
        OK(PROPERTIES),
        OK(DONE),
        OK(FAILED("HIVE_METASTORE_ERROR", "EXTERNAL", "Table directory must be elsewhere")),
        OK(DONE),
        OK(DONE),
        OK(WROTE("3")),
        OK(DONE),
        OK(NAMES("")),
        OK(DONE),
    };
    struct world w = { .dir = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    if (core_engine_trino.make(w.sql, "t", "SELECT 1 AS a", NULL, 0, NULL, &w.err))
        fail_msg("%s", w.err.cause);
    core_engine_trino.close(w.sql);
    w.sql = NULL;
    assert_asked(&w, 3, "DROP SCHEMA IF EXISTS \"hive\".\"rc_me_1\"");
    assert_asked(&w, 4, "CREATE SCHEMA \"hive\".\"rc_me_1\"");
    assert_asked(&w, 5,
                 "CREATE TABLE \"hive\".\"rc_me_1\".\"t_1\" WITH (format = 'PARQUET') AS "
                 "SELECT 1 AS a");
    end(&w);
}

static void does_without_a_place_for_the_schema(void **state)
{
    const struct script_line lines[] = {
        OK(PROPERTIES),
        OK(FAILED("HIVE_METASTORE_ERROR", "EXTERNAL",
                  "Database cannot be created "
                  "with a location set")),
        OK(DONE),
        OK(WROTE("3")),
        OK(DONE),
        OK(NAMES("[\"left\"],[\"it\\\"s\"]")),
        OK(DONE),
        OK(DONE),
        OK(DONE),
    };
    const struct core_presto_made made = {
        .table = "t", .query = "q", .location = "l", .format = "parquet", .in_place = true
    };
    struct world w = { .dir = "" };
    RC_BUF_AUTO(text, 1024);

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    if (core_engine_trino.make(w.sql, "t", "SELECT 1 AS a", NULL, 0, NULL, &w.err))
        fail_msg("%s", w.err.cause);
    ((struct core_presto *)w.sql)->dialect->add_make(&made, &text);
    assert_string_equal(text.data,
                        "CREATE TABLE t WITH (format = 'PARQUET', external_location = 'l') AS q");
    core_engine_trino.close(w.sql);
    w.sql = NULL;
    assert_asked(&w, 2, "CREATE SCHEMA \"hive\".\"rc_me_1\"");
    assert_asked(&w, 3,
                 "CREATE TABLE \"hive\".\"rc_me_1\".\"t_1\" WITH (format = 'PARQUET') AS "
                 "SELECT 1 AS a");
    assert_asked(&w, 6, "DROP TABLE IF EXISTS \"hive\".\"rc_me_1\".\"left\"");
    assert_asked(&w, 7, "DROP TABLE IF EXISTS \"hive\".\"rc_me_1\".\"it\"\"s\"");
    assert_asked(&w, 8, "DROP SCHEMA IF EXISTS \"hive\".\"rc_me_1\"");
    end(&w);
}

static void says_why_there_is_no_schema(void **state)
{
    const struct script_line lines[] = {
        OK(PROPERTIES),
        OK(FAILED("PERMISSION_DENIED", "USER_ERROR", "Cannot create schema")),
        OK(FAILED("SCHEMA_NOT_FOUND", "USER_ERROR", "Schema 'rc_me_1' does not exist")),
    };
    struct world w = { .dir = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    assert_int_equal(core_engine_trino.make(w.sql, "t", "SELECT 1", NULL, 0, NULL, &w.err),
                     RC_DENIED);
    assert_non_null(strstr(w.err.cause, "Cannot create schema"));
    end(&w);
}

static void ends_the_work_of_another(void **state)
{
    const struct script_line lines[] = {
        OK(PROPERTIES),
        OK(NAMES("[\"a\"]")),
        OK(DONE),
        OK(DONE),
        OK(FAILED("SCHEMA_NOT_FOUND", "USER_ERROR", "Schema 'rc_dead' does not exist")),
        OK(FAILED("PERMISSION_DENIED", "USER_ERROR", "no")),
    };
    struct world w = { .dir = "" };
    struct core_presto *session;

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    session = (struct core_presto *)w.sql;
    assert_int_equal(session->dialect->end_work(session, "rc_dead", &w.err), RC_OK);
    assert_asked(&w, 2, "DROP TABLE IF EXISTS \"hive\".\"rc_dead\".\"a\"");
    assert_asked(&w, 3, "DROP SCHEMA IF EXISTS \"hive\".\"rc_dead\"");
    assert_int_equal(session->dialect->end_work(session, "rc_dead", &w.err), RC_OK);
    assert_int_equal(session->dialect->end_work(session, "rc_dead", &w.err), RC_DENIED);
    end(&w);
}

/* ---- statements ------------------------------------------------------------------------------ */

#define NOT_THERE                                                                                  \
    FAILED("HIVE_METASTORE_ERROR", "EXTERNAL", "External table location does not exist")

static void tells_what_was_written(void **state)
{
    const struct script_line lines[] = {
        OK(PROPERTIES),
        OK(WROTE("12")),
        OK(DONE),
        OK(NOT_THERE),
        OK(NOT_THERE),
        OK(FAILED("HIVE_TOO_MANY_OPEN_PARTITIONS", "USER_ERROR", "Exceeded limit of 100")),
    };
    struct world w = { .dir = "" };
    int64_t updated = 7;

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    assert_int_equal(run(&w, CORE_PRESTO_DML, "CREATE TABLE a AS ...", &updated), RC_OK);
    assert_int_equal(updated, 12);
    assert_int_equal(run(&w, CORE_PRESTO_DDL, "DROP TABLE a", &updated), RC_OK);
    assert_int_equal(updated, -1);
    assert_int_equal(run(&w, CORE_PRESTO_DML, "CREATE TABLE a AS ...", &updated), RC_UNAVAILABLE);
    assert_int_equal(run(&w, CORE_PRESTO_DDL, "CREATE TABLE a (...)", &updated), RC_UNAVAILABLE);
    assert_int_equal(run(&w, CORE_PRESTO_DML, "CREATE TABLE a AS ...", &updated), RC_TOO_LARGE);
    end(&w);
}

/* A metastore in files takes no table without a folder: one that the server sees. */
#define OVER_A_FOLDER                                                                              \
    OK(DONE), OK(FAILED("HIVE_METASTORE_ERROR", "EXTERNAL", "no location")), OK(DONE), OK(NOT_THERE)

static enum rc_code write_rows(struct world *w)
{
    RC_STR_AUTO location = rc_strf("file://%s/out/", w->dir);
    const struct rc_sql_output output = { .query = "SELECT a",
                                          .location = location,
                                          .format = "parquet" };
    struct rc_sql_written written;

    return core_engine_trino.write(w->sql, &output, &written, &w->err);
}

static void put_old_rows(struct world *w, struct rc_buf *uri)
{
    rc_buf_addf(uri, "file://%s/out/old.parquet", w->dir);
    assert_int_equal(core_storage_put(w->storage, uri->data, "old", 3, NULL, &w->err), RC_OK);
}

static void writes_no_rows_where_there_are_none(void **state)
{
    const struct script_line lines[] = { OVER_A_FOLDER, OK(NAMES("")), OK(DONE), OK(NAMES("")),
                                         OK(DONE) };
    struct world w = { .dir = "" };
    RC_BUF_AUTO(old, 256);
    RC_BUF_AUTO(found, 256);

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    put_old_rows(&w, &old);
    if (write_rows(&w))
        fail_msg("%s: %s", w.err.context, w.err.cause);
    assert_asked(&w, 4, "SELECT 1 AS one FROM (\nSELECT a\n) AS q LIMIT 1");
    assert_int_equal(core_storage_get(w.storage, old.data, &found, &w.err), RC_NOT_FOUND);
    end(&w);
}

/* Its rows went to a machine that has not the same files. */
static void keeps_what_was_there_where_rows_went_elsewhere(void **state)
{
    const struct script_line lines[] = { OVER_A_FOLDER, OK(NAMES("[\"1\"]")), OK(DONE),
                                         OK(NAMES("")), OK(DONE) };
    struct world w = { .dir = "" };
    RC_BUF_AUTO(old, 256);
    RC_BUF_AUTO(found, 256);

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    put_old_rows(&w, &old);
    assert_int_equal(write_rows(&w), RC_UNAVAILABLE);
    assert_non_null(strstr(w.err.cause, "External table location does not exist"));
    assert_int_equal(core_storage_get(w.storage, old.data, &found, &w.err), RC_OK);
    assert_string_equal(found.data, "old");
    assert_int_equal(core_storage_remove(w.storage, (const char *const[]){ old.data }, 1, &w.err),
                     RC_OK);
    end(&w);
}

static void reaches_what_both_do(void **state)
{
    struct core_engine_settings settings = { .shares_files = false };

    (void)state;
    assert_true(core_engine_trino.reaches(&settings, "s3://b/k"));
    assert_true(core_engine_trino.reaches(&settings, "gs://b/k"));
    assert_false(core_engine_trino.reaches(&settings, "file:///k"));
    settings.shares_files = true;
    assert_true(core_engine_trino.reaches(&settings, "file:///k"));
    assert_ptr_equal(core_engine_find("trino"), &core_engine_trino);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_what_results_depend_on),
        cmocka_unit_test(asks_which_properties_there_are),
        cmocka_unit_test(sets_nothing_that_there_is_not),
        cmocka_unit_test(fails_to_open),
        cmocka_unit_test(has_its_tables_in_its_folder),
        cmocka_unit_test(does_without_a_place_for_the_schema),
        cmocka_unit_test(does_without_a_place_for_tables),
        cmocka_unit_test(says_why_there_is_no_schema),
        cmocka_unit_test(ends_the_work_of_another),
        cmocka_unit_test(tells_what_was_written),
        cmocka_unit_test(writes_no_rows_where_there_are_none),
        cmocka_unit_test(keeps_what_was_there_where_rows_went_elsewhere),
        cmocka_unit_test(reaches_what_both_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
