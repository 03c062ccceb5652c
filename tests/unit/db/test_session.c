/*
 * What every session promises, on both servers: rows, changes, transactions, time, forked children,
 * and what a dry run finds of a plugin's schema.
 */
#include "places.h"

#include <db/session.h>

#include <os/clock.h>
#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct core_db *db;
static struct core_session *session;

static int set_up(bool postgres)
{
    struct rc_error err = RC_ERROR_INIT;

    if (place_make(postgres) || core_db_open_durable(place_url, &db, &err)) {
        print_error("%s\n", err.cause);
        return -1;
    }
    session = core_db_session(db);
    if (core_session_exec(session, "CREATE TABLE things (name TEXT PRIMARY KEY, size BIGINT)", NULL,
                          0, NULL, &err))
        return -1;
    return 0;
}

static int on_sqlite(void **state)
{
    (void)state;
    return set_up(/* postgres = */ false);
}

static int on_postgres(void **state)
{
    (void)state;
    return set_up(/* postgres = */ true);
}

static int tear_down(void **state)
{
    (void)state;
    core_db_close(db);
    return place_clear();
}

static enum rc_code add(struct core_session *to, const char *name, int64_t size, int64_t *changed,
                        struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(name), rc_value_int(size) };

    return core_session_exec(to,
                             "INSERT INTO things (name, size) VALUES ($1, $2) "
                             "ON CONFLICT (name) DO NOTHING",
                             params, RC_ARRAY_LEN(params), changed, err);
}

/* The first column of the only row. */
static int64_t number_of(struct core_session *from, const char *statement)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;

    expect_ok(core_session_query(from, statement, NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_non_null(row);
    assert_int_equal(row[0].type, RC_VALUE_INT);
    return row[0].integer;
}

static void changes_are_counted(void **state)
{
    const struct rc_value size[] = { rc_value_int(2) };
    struct rc_error err = RC_ERROR_INIT;
    int64_t changed;

    (void)state;
    expect_ok(add(session, "a", 1, &changed, &err));
    assert_int_equal(changed, 1);
    expect_ok(add(session, "a", 2, &changed, &err));
    assert_int_equal(changed, 0);
    expect_ok(add(session, "b", 2, &changed, &err));
    expect_ok(
        core_session_exec(session, "UPDATE things SET size = size + $1", size, 1, &changed, &err));
    assert_int_equal(changed, 2);
    expect_ok(core_session_exec(session, "SELECT * FROM things", NULL, 0, &changed, &err));
    assert_int_equal(changed, 0);
    expect_ok(core_session_exec(session, "CREATE TABLE more (x BIGINT)", NULL, 0, &changed, &err));
    assert_int_equal(changed, 0);
    assert_int_equal(number_of(session, "SELECT CAST(sum(size) AS BIGINT) FROM things"), 7);
    assert_int_equal(session->ops->shared, place_is_postgres);
}

static void a_null_may_stand_for_any_type(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_value params[] = { rc_value_text("x"), rc_value_null() };

    (void)state;
    for (int i = 0; i < 4; i++) {
        params[1] = i % 2 ? rc_value_int(i) : rc_value_null();
        expect_ok(core_session_exec(session,
                                    "INSERT INTO things (name, size) VALUES ($1, $2) "
                                    "ON CONFLICT (name) DO UPDATE SET size = excluded.size",
                                    params, 2, NULL, &err));
    }
    assert_int_equal(number_of(session, "SELECT size FROM things"), 3);
}

static void more_statements_than_are_kept(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 300; i++) {
            RC_STR_AUTO statement = rc_strf("SELECT CAST(%d AS BIGINT)", i);

            assert_int_equal(number_of(session, statement), i);
        }
    }
}

static void a_failed_transaction_leaves_nothing(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(core_session_begin(session, &err));
    expect_ok(add(session, "a", 1, NULL, &err));
    assert_int_equal(
        core_session_exec(session, "INSERT INTO things (name) VALUES ('a')", NULL, 0, NULL, &err),
        RC_CONFLICT);
    core_session_rollback(session);
    core_session_rollback(session);
    assert_int_equal(number_of(session, "SELECT count(*) FROM things"), 0);

    expect_ok(core_session_begin(session, &err));
    expect_ok(add(session, "b", 1, NULL, &err));
    expect_ok(core_session_commit(session, &err));
    assert_int_equal(number_of(session, "SELECT count(*) FROM things"), 1);
}

/* Each of several processes reads a number and writes the next: none may be lost. */
static void writers_follow_each_other(void **state)
{
    enum { PROCESSES = 4, ROUNDS = 50 };
    struct rc_error err = RC_ERROR_INIT;
    pid_t pids[PROCESSES];
    int status;

    (void)state;
    expect_ok(add(session, "count", 0, NULL, &err));
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0)
            continue;
        core_db_forget(db);
        if (core_db_open_durable(place_url, &db, &err))
            _exit(1);
        session = core_db_session(db);
        for (int round = 0; round < ROUNDS; round++) {
            if (core_session_begin(session, &err))
                _exit(2);
            const struct rc_value next[] = { rc_value_int(
                1 + number_of(session, "SELECT size FROM things WHERE name = 'count'")) };
            if (core_session_exec(session, "UPDATE things SET size = $1 WHERE name = 'count'", next,
                                  1, NULL, &err) ||
                core_session_commit(session, &err))
                _exit(3);
        }
        core_db_close(db);
        _exit(0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(number_of(session, "SELECT size FROM things"), PROCESSES * ROUNDS);
}

static void a_child_leaves_the_session_to_its_parent(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    int status;

    (void)state;
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            core_db_forget(db);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        expect_ok(add(session, "a", 1, NULL, &err));
    }
    assert_int_equal(number_of(session, "SELECT count(*) FROM things"), 1);
}

static void the_time_is_now(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t now_unix_ms;

    (void)state;
    expect_ok(core_session_now_unix_ms(session, &now_unix_ms, &err));
    assert_true(now_unix_ms > core_clock_real_unix_ms() - 60000);
    assert_true(now_unix_ms < core_clock_real_unix_ms() + 60000);
}

/* ---- rows of plugins ---------------------------------------------------------------------- */

static const struct rc_migration many[] = {
    { 1, "CREATE TABLE many (i BIGINT PRIMARY KEY, text TEXT);"
         "INSERT INTO many WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL "
         "SELECT i + 1 FROM n WHERE i < 5000) SELECT i, 'row ' || i FROM n;" },
    { 2, "CREATE TABLE few (i BIGINT)" },
};

static struct rc_db *open_many(struct core_db *in, size_t migrations)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;

    expect_ok(core_db_open_plugin(in, "many", many, migrations, NULL, &plugin, &err));
    return plugin;
}

static enum rc_code run(struct rc_db *plugin, const char *statement, struct rc_error *err)
{
    return core_db_exec(plugin, statement, NULL, 0, NULL, err);
}

static int64_t count_in(struct rc_db *plugin, const char *table)
{
    RC_STR_AUTO statement = rc_strf("SELECT count(*) FROM %s", table);
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;

    expect_ok(core_db_query(plugin, statement, NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    return row[0].integer;
}

static void other_statements_run_between_rows(void **state)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_many(db, 2);
    const struct rc_value *row;
    int64_t seen = 0;

    (void)state;
    expect_ok(core_db_query(plugin, "SELECT i, text FROM many ORDER BY i", NULL, 0, &rows, &err));
    for (;;) {
        expect_ok(rc_rows_next(rows, &row, &err));
        if (!row)
            break;
        assert_int_equal(row[0].integer, ++seen);
        RC_STR_AUTO text = rc_strf("row %lld", (long long)seen);
        assert_string_equal(row[1].text, text);
        if (seen % 1000 == 1)
            expect_ok(run(plugin, "INSERT INTO few VALUES (1)", &err));
    }
    assert_int_equal(seen, 5000);
    assert_int_equal(count_in(plugin, "few"), 5);
    core_db_close_plugin(plugin);
}

static void rows_may_be_left_early(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_many(db, 2);
    const struct rc_value *row;

    (void)state;
    for (int in_transaction = 0; in_transaction < 2; in_transaction++) {
        RC_ROWS_AUTO(rows);

        if (in_transaction)
            expect_ok(core_db_begin(plugin, &err));
        expect_ok(core_db_query(plugin, "SELECT a.i FROM many a, many b WHERE b.i <= 40", NULL, 0,
                                &rows, &err));
        expect_ok(rc_rows_next(rows, &row, &err));
        assert_non_null(row);
        rc_rows_close(&rows);
        expect_ok(run(plugin, "INSERT INTO few VALUES (1)", &err));
        if (in_transaction)
            expect_ok(core_db_commit(plugin, &err));
    }
    assert_int_equal(count_in(plugin, "few"), 2);
    core_db_close_plugin(plugin);
}

/* An error that comes after rows were given out is not swallowed. */
static void an_error_among_rows_is_told(void **state)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_many(db, 2);
    const struct rc_value *row;
    enum rc_code code;

    (void)state;
    code = core_db_query(plugin,
                         place_is_postgres ? "SELECT 1 / (4000 - i) FROM many"
                                           : "SELECT abs(-9223372036854775807 - (i > 4000)) "
                                             "FROM many",
                         NULL, 0, &rows, &err);
    row = NULL;
    while (!code) {
        code = rc_rows_next(rows, &row, &err);
        if (!row)
            break;
    }
    assert_int_equal(code, RC_INVALID);
    assert_int_equal(count_in(plugin, "many"), 5000);
    core_db_close_plugin(plugin);
}

/* ---- dry runs ----------------------------------------------------------------------------- */

static struct core_db *rehearse(void)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_db *copy;

    expect_ok(core_db_copy_plugin(place_url, "many", place_folder, &copy, &err));
    return copy;
}

static void a_dry_run_makes_a_schema_for_itself(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_db *copy = rehearse();
    struct rc_db *plugin = open_many(copy, 2);

    (void)state;
    assert_int_equal(count_in(plugin, "many"), 5000);
    core_db_close_plugin(plugin);
    core_db_close(copy);
    /* Of which nothing is left: here the table is not there yet. */
    expect_ok(core_db_open_plugin(db, "many", NULL, 0, NULL, &plugin, &err));
    assert_int_equal(run(plugin, "SELECT * FROM many", &err), RC_INVALID);
    core_db_close_plugin(plugin);
}

static void a_dry_run_migrates_copies(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *real = open_many(db, 1);
    struct core_db *copy = rehearse();
    struct rc_db *plugin;

    (void)state;
    /* While another has the tables in its hands. */
    expect_ok(core_db_begin(real, &err));
    plugin = open_many(copy, 2);
    assert_int_equal(count_in(plugin, "many"), 5000);
    assert_int_equal(count_in(plugin, "few"), 0);
    core_db_close_plugin(plugin);
    core_db_close(copy);
    expect_ok(core_db_commit(real, &err));
    assert_int_equal(run(real, "SELECT * FROM few", &err), RC_INVALID);
    core_db_close_plugin(real);
    real = open_many(db, 2);
    assert_int_equal(count_in(real, "few"), 0);
    core_db_close_plugin(real);
}

static void a_dry_run_reads_what_is_there(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *real = open_many(db, 2), *plugin;
    struct core_db *copy;
    bool reads;

    (void)state;
    expect_ok(run(real, "INSERT INTO few VALUES (7)", &err));
    copy = rehearse();
    plugin = open_many(copy, 2);
    assert_int_equal(count_in(plugin, "few"), 1);
    expect_ok(core_db_is_read(plugin, "SELECT * FROM few", &reads, &err));
    assert_true(reads);
    expect_ok(core_db_begin(plugin, &err));
    assert_int_equal(count_in(plugin, "few"), 1);
    /* The server keeps to it even where the statement was taken for one that reads. */
    if (place_is_postgres)
        assert_int_equal(run(plugin, "INSERT INTO few VALUES (8)", &err), RC_DENIED);
    core_db_rollback(plugin);
    core_db_close_plugin(plugin);
    core_db_close(copy);
    assert_int_equal(count_in(real, "few"), 1);
    core_db_close_plugin(real);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(changes_are_counted),
        BOTH(a_null_may_stand_for_any_type),
        BOTH(more_statements_than_are_kept),
        BOTH(a_failed_transaction_leaves_nothing),
        BOTH(writers_follow_each_other),
        BOTH(a_child_leaves_the_session_to_its_parent),
        BOTH(the_time_is_now),
        BOTH(other_statements_run_between_rows),
        BOTH(rows_may_be_left_early),
        BOTH(an_error_among_rows_is_told),
        BOTH(a_dry_run_makes_a_schema_for_itself),
        BOTH(a_dry_run_migrates_copies),
        BOTH(a_dry_run_reads_what_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
