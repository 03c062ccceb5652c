/*
 * Sessions of plugins that are used again: by whom, for how long, and what is left of their former
 * owners, which is nothing.
 */
#include "places.h"

#include <db/internal.h>

#include <os/clock.h>
#include <run-core/str.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

static struct core_db *db;

static const struct rc_migration notes[] = {
    { 1, "CREATE TABLE notes (text TEXT NOT NULL)" },
    { 2, "CREATE TABLE marks (text TEXT NOT NULL)" },
};

static int on_sqlite(void **state)
{
    (void)state;
    return place_open(/* postgres = */ false, &db);
}

static int on_postgres(void **state)
{
    (void)state;
    return place_open(/* postgres = */ true, &db);
}

static int tear_down(void **state)
{
    (void)state;
    core_db_close(db);
    return place_clear();
}

static struct rc_db *open_notes(void)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;

    expect_ok(core_db_open_plugin(db, "notes", notes, 1, NULL, &plugin, &err));
    return plugin;
}

static enum rc_code run(struct rc_db *plugin, const char *statement, struct rc_error *err)
{
    return core_db_exec(plugin, statement, NULL, 0, NULL, err);
}

static enum rc_code note(struct rc_db *plugin, struct rc_error *err)
{
    return run(plugin, "INSERT INTO notes VALUES ('x')", err);
}

/* The first column of the only row. */
static int64_t number(struct rc_db *plugin, const char *statement)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;

    expect_ok(core_db_query(plugin, statement, NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_non_null(row);
    assert_int_equal(row[0].type, RC_VALUE_INT);
    return row[0].integer;
}

static int64_t count_notes(void)
{
    struct rc_db *plugin = open_notes();
    int64_t count = number(plugin, "SELECT count(*) FROM notes");

    core_db_close_plugin(plugin);
    return count;
}

static size_t waiting(void)
{
    size_t count;

    (void)pthread_mutex_lock(&db->pool.mutex);
    count = db->pool.count;
    (void)pthread_mutex_unlock(&db->pool.mutex);
    return count;
}

static void rest_one(void)
{
    core_db_close_plugin(open_notes());
    assert_int_equal(waiting(), 1);
}

/* ---- who gets one --------------------------------------------------------------------------- */

static void a_session_is_used_again(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *first, *second;

    (void)state;
    rest_one();
    first = open_notes();
    assert_int_equal(waiting(), 0);
    second = open_notes(); /* of its own */
    expect_ok(core_db_begin(first, &err));
    expect_ok(note(first, &err));
    assert_int_equal(number(second, "SELECT count(*) FROM notes"), 0);
    expect_ok(core_db_commit(first, &err));
    assert_int_equal(number(second, "SELECT count(*) FROM notes"), 1);
    core_db_close_plugin(first);
    core_db_close_plugin(second);
    assert_int_equal(waiting(), 2);
}

static void only_who_has_the_same_schema_gets_one(void **state)
{
    static const struct rc_migration edited[] = { { 1, "CREATE TABLE other (text TEXT)" } };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;

    (void)state;
    rest_one();
    assert_int_equal(core_db_open_plugin(db, "notes", edited, 1, NULL, &plugin, &err), RC_INVALID);
    expect_ok(core_db_open_plugin(db, "other", notes, 1, NULL, &plugin, &err));
    expect_ok(note(plugin, &err));
    core_db_close_plugin(plugin);
    assert_int_equal(count_notes(), 0);
    expect_ok(core_db_open_plugin(db, "notes", notes, 2, NULL, &plugin, &err));
    expect_ok(run(plugin, "INSERT INTO marks VALUES ('x')", &err));
    core_db_close_plugin(plugin);
    assert_int_equal(waiting(), 3);
}

/* ---- what former owners leave ---------------------------------------------------------------- */

static void what_is_left_open_is_not_passed_on(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();
    const struct rc_value *row;
    struct rc_rows *rows;

    (void)state;
    expect_ok(core_db_begin(plugin, &err));
    expect_ok(note(plugin, &err));
    core_db_close_plugin(plugin);
    assert_int_equal(waiting(), 0);
    assert_int_equal(count_notes(), 0);

    plugin = open_notes();
    expect_ok(note(plugin, &err));
    expect_ok(core_db_query(plugin, "SELECT text FROM notes", NULL, 0, &rows, &err));
    core_db_close_plugin(plugin);
    assert_int_equal(waiting(), 0);
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_string_equal(row[0].text, "x");
    rc_rows_close(&rows);
}

static void temporary_tables_go_with_their_owner(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();

    (void)state;
    expect_ok(run(plugin, "CREATE TEMPORARY TABLE mine (x BIGINT)", &err));
    expect_ok(run(plugin, "INSERT INTO mine VALUES (1)", &err));
    core_db_close_plugin(plugin);
    plugin = open_notes();
    assert_int_equal(run(plugin, "INSERT INTO mine VALUES (1)", &err), RC_INVALID);
    core_db_close_plugin(plugin);
}

static void a_servers_settings_and_locks_go_too(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes(), *other;

    (void)state;
    expect_ok(run(plugin, "SELECT set_config('search_path', 'public', false)", &err));
    expect_ok(run(plugin, "SELECT set_config('statement_timeout', '1', false)", &err));
    expect_ok(run(plugin, "SELECT pg_advisory_lock(7)", &err));
    core_db_close_plugin(plugin);
    assert_int_equal(waiting(), 1);
    plugin = open_notes();
    other = open_notes();
    expect_ok(note(plugin, &err));
    assert_int_equal(number(plugin, "SELECT count(*) FROM notes, pg_sleep(0.05)"), 1);
    assert_int_equal(number(other, "SELECT CAST(pg_try_advisory_lock(7) AS INT)"), 1);
    core_db_close_plugin(plugin);
    core_db_close_plugin(other);
}

static void *ask_to_stop(void *cancel)
{
    (void)usleep(50000);
    core_cancel_request(cancel, RC_CANCELLED);
    return NULL;
}

static void each_owner_has_its_own_cancellation(void **state)
{
    static const char endless[] =
        "WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n) "
        "SELECT count(*) FROM n";
    struct rc_error err = RC_ERROR_INIT;
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct rc_db *plugin;
    pthread_t thread;

    (void)state;
    expect_ok(core_db_open_plugin(db, "notes", notes, 1, &cancel, &plugin, &err));
    core_cancel_request(&cancel, RC_TIMEOUT);
    assert_int_equal(note(plugin, &err), RC_TIMEOUT);
    core_db_close_plugin(plugin);
    assert_int_equal(waiting(), 1);
    assert_int_equal(core_db_open_plugin(db, "notes", notes, 1, &cancel, &plugin, &err),
                     RC_TIMEOUT);

    cancel = (struct core_cancel)CORE_CANCEL_INIT;
    expect_ok(core_db_open_plugin(db, "notes", notes, 1, &cancel, &plugin, &err));
    assert_int_equal(waiting(), 0);
    assert_int_equal(pthread_create(&thread, NULL, ask_to_stop, &cancel), 0);
    assert_int_equal(run(plugin, endless, &err), RC_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    core_db_close_plugin(plugin);
    assert_int_equal(count_notes(), 0);
}

/* ---- what a session keeps ------------------------------------------------------------------- */

static size_t columns_of_notes(struct rc_db *plugin)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;

    expect_ok(core_db_query(plugin, "SELECT * FROM notes", NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_string_equal(row[0].text, "x");
    return rc_rows_columns(rows, NULL);
}

/* Whose statements are kept sees all the same what others do to the tables. */
static void statements_follow_the_schema(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes(), *other = open_notes();

    (void)state;
    expect_ok(note(plugin, &err));
    for (int i = 0; i < 3; i++)
        assert_int_equal(columns_of_notes(plugin), 1);
    expect_ok(run(other, "ALTER TABLE notes ADD COLUMN size BIGINT", &err));
    assert_int_equal(columns_of_notes(plugin), 2);
    core_db_close_plugin(plugin);
    assert_int_equal(columns_of_notes(other), 2);
    expect_ok(run(other, "DROP TABLE notes", &err));
    core_db_close_plugin(other);
    plugin = open_notes();
    assert_int_equal(note(plugin, &err), RC_INVALID);
    core_db_close_plugin(plugin);
}

/* The texts are those that were run for it when the migrations were looked at. */
static void what_the_core_compiled_is_not_for_the_plugin(void **state)
{
    static const char *const texts[] = {
        "SELECT number, fingerprint FROM run_core_schema ORDER BY number",
        "INSERT INTO run_core_schema VALUES ($1, $2, $3)",
    };
    const struct rc_value params[] = { rc_value_int(9), rc_value_text("x"), rc_value_int(9) };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();

    (void)state;
    assert_int_equal(core_db_exec(plugin, texts[0], NULL, 0, NULL, &err), RC_DENIED);
    assert_int_equal(core_db_exec(plugin, texts[1], params, 3, NULL, &err), RC_DENIED);
    core_db_close_plugin(plugin);
}

/* ---- how many, for how long ------------------------------------------------------------------ */

static void only_some_wait_and_not_for_long(void **state)
{
    enum { OPENED = 20, KEPT = 8 };
    struct rc_db *plugins[OPENED];
    int64_t end_mono_ms = core_clock_mono_ms() + PATIENCE_MS;

    (void)state;
    for (int i = 0; i < OPENED; i++)
        plugins[i] = open_notes();
    for (int i = 0; i < OPENED; i++)
        core_db_close_plugin(plugins[i]);
    assert_int_equal(waiting(), KEPT);
    core_pool_clear(&db->pool);
    core_pool_init(&db->pool);
    db->pool.idle_ms = 100;
    for (int round = 0; round < 2; round++) {
        core_db_close_plugin(open_notes());
        while (waiting() > 0 && core_clock_mono_ms() < end_mono_ms)
            core_clock_sleep_ms(5);
        assert_int_equal(waiting(), 0);
    }
}

static void *open_and_note(void *context)
{
    enum { TIMES = 15 };
    struct rc_error *err = context;

    for (int i = 0; i < TIMES; i++) {
        struct rc_db *plugin;

        if (core_db_open_plugin(db, "notes", notes, 1, NULL, &plugin, err))
            return err;
        if (i % 5 == 0 ? note(plugin, err) : run(plugin, "SELECT * FROM notes", err))
            return err;
        core_db_close_plugin(plugin);
    }
    return NULL;
}

static void many_threads_share_them(void **state)
{
    enum { THREADS = 32 };
    struct rc_error errors[THREADS];
    pthread_t threads[THREADS];

    (void)state;
    db->pool.idle_ms = 1; /* so that the sweeper is among them */
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_note, &errors[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        if (failed)
            fail_msg("%s: %s", errors[i].context, errors[i].cause);
    }
    assert_int_equal(count_notes(), THREADS * 3);
}

/* ---- what happens meanwhile ------------------------------------------------------------------ */

static void a_child_leaves_them_to_its_parent(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;
    int status = 0;
    pid_t child;

    (void)state;
    rest_one();
    (void)pthread_mutex_lock(&db->pool.mutex); /* as one of its threads may have */
    child = fork();
    if (child == 0) {
        plugin = open_notes();
        _exit(note(plugin, &err) == RC_OK && waiting() == 0 ? 0 : 1);
    }
    (void)pthread_mutex_unlock(&db->pool.mutex);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    child = fork();
    if (child == 0) {
        core_db_forget(db);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(waiting(), 1);
    plugin = open_notes();
    assert_int_equal(waiting(), 0);
    expect_ok(note(plugin, &err));
    assert_int_equal(number(plugin, "SELECT count(*) FROM notes"), 2);
    core_db_close_plugin(plugin);
    assert_int_equal(waiting(), 1);
}

static void another_file_is_seen(void **state)
{
    RC_STR_AUTO file = rc_strf("%s/state/plugins/notes.db", place_folder);
    RC_STR_AUTO aside = rc_strf("%s.aside", file);
    RC_STR_AUTO log = rc_strf("%s-wal", file);
    RC_STR_AUTO index = rc_strf("%s-shm", file);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes();

    (void)state;
    expect_ok(note(plugin, &err));
    core_db_close_plugin(plugin);
    assert_int_equal(rename(file, aside), 0);
    assert_int_equal(unlink(log), 0);
    assert_int_equal(unlink(index), 0);
    assert_int_equal(count_notes(), 0);
    assert_int_equal(waiting(), 1);
}

static void lost_connections_are_not_passed_on(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin, *other;

    (void)state;
    plugin = open_notes();
    other = open_notes();
    core_db_close_plugin(plugin);
    core_db_close_plugin(other);
    assert_int_equal(waiting(), 2);
    place_tamper("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                 "WHERE application_name = 'run-core' AND pid <> pg_backend_pid()");
    plugin = open_notes();
    assert_int_equal(waiting(), 0); /* the other neither */
    expect_ok(note(plugin, &err));
    core_db_close_plugin(plugin);

    assert_int_equal(waiting(), 1);
    place_control("stop");
    assert_int_equal(core_db_open_plugin(db, "notes", notes, 1, NULL, &plugin, &err),
                     RC_UNAVAILABLE);
    place_control("start");
    assert_int_equal(count_notes(), 1);
    place_control("stop");
    place_control("start");
    plugin = open_notes();
    expect_ok(core_db_begin(plugin, &err));
    expect_ok(note(plugin, &err));
    expect_ok(core_db_commit(plugin, &err));
    core_db_close_plugin(plugin);
    assert_int_equal(count_notes(), 2);
}

/* The session does not see that by itself; but what fails on it is not passed on. */
static void a_dropped_schema_is_made_again(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;

    (void)state;
    rest_one();
    place_tamper("DROP SCHEMA run_core_notes CASCADE");
    plugin = open_notes();
    assert_int_equal(note(plugin, &err), RC_INVALID);
    core_db_close_plugin(plugin);
    assert_int_equal(waiting(), 0);
    assert_int_equal(count_notes(), 0);
}

int main(void)
{
#define ON_SQLITE(test) cmocka_unit_test_setup_teardown(test, on_sqlite, tear_down)
#define ON_POSTGRES(test) cmocka_unit_test_setup_teardown(test, on_postgres, tear_down)
    const struct CMUnitTest tests[] = {
        BOTH(a_session_is_used_again),
        BOTH(only_who_has_the_same_schema_gets_one),
        BOTH(what_is_left_open_is_not_passed_on),
        BOTH(temporary_tables_go_with_their_owner),
        ON_POSTGRES(a_servers_settings_and_locks_go_too),
        BOTH(each_owner_has_its_own_cancellation),
        BOTH(statements_follow_the_schema),
        BOTH(what_the_core_compiled_is_not_for_the_plugin),
        BOTH(only_some_wait_and_not_for_long),
        BOTH(many_threads_share_them),
        BOTH(a_child_leaves_them_to_its_parent),
        ON_SQLITE(another_file_is_seen),
        ON_POSTGRES(lost_connections_are_not_passed_on),
        ON_POSTGRES(a_dropped_schema_is_made_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
