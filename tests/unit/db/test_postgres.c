/*
 * PostgreSQL as it can be: unreachable, silent, restarted, wrongly addressed. Nothing waits for
 * longer than it may, and everything goes on when the server is back.
 */
#include "places.h"
#include "proxy.h"

#include <db/internal.h>
#include <db/postgres.h>

#include <os/clock.h>
#include <run-core/str.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    LIMIT_MS = 120000,   /* for a statement, here: none takes so long */
    SILENCE_MS = 400,    /* the same, where no answer can come */
    SLOWEST_MS = 60000,  /* of anything that is bounded, on a busy machine */
    RECOVERY_MS = 60000, /* until the server is back */
};

static struct proxy *proxy;
static char through[256]; /* the URL of the server behind the proxy */
static struct core_db *db;
static struct core_session *session;

/* The URL with another port, and without what is behind it. */
static void set_port(char *out, size_t size, const char *url, int port)
{
    const char *colon = strrchr(url, ':');

    (void)snprintf(out, size, "%.*s:%d%s", (int)(colon - url), url, port, strchr(colon, '/'));
}

static void set_limit(int64_t limit_ms)
{
    ((struct core_postgres *)session)->limit_ms = limit_ms;
}

static int on_postgres(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    if (place_make(/* postgres = */ true))
        return -1;
    proxy = proxy_start(atoi(strrchr(place_url, ':') + 1));
    if (!proxy)
        return -1;
    set_port(through, sizeof(through), place_url, proxy_port(proxy));
    if (core_db_open_durable(through, &db, &err)) {
        print_error("%s\n", err.cause);
        return -1;
    }
    session = db->core;
    set_limit(LIMIT_MS);
    return core_session_exec(session, "CREATE TABLE things (name TEXT)", NULL, 0, NULL, &err) ? -1
                                                                                              : 0;
}

static int tear_down(void **state)
{
    (void)state;
    core_db_close(db);
    proxy_stop(proxy);
    return place_clear();
}

static enum rc_code add(struct rc_error *err)
{
    return core_session_exec(session, "INSERT INTO things VALUES ('x')", NULL, 0, NULL, err);
}

static void expect_things(int64_t expected)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;

    expect_ok(core_session_query(session, "SELECT count(*) FROM things", NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_int_equal(row[0].integer, expected);
}

static void recover(void)
{
    int64_t start_ms = core_clock_mono_ms();
    struct rc_error err = RC_ERROR_INIT;
    bool ready = false;

    while (!ready && core_clock_mono_ms() - start_ms < RECOVERY_MS) {
        if (core_session_recover(session, &ready, &err)) {
            assert_int_equal(err.code, RC_UNAVAILABLE);
            ready = false;
        }
        core_clock_sleep_ms(5);
    }
    assert_true(ready);
}

/* ---- networks ----------------------------------------------------------------------------- */

static void a_silent_network_ends_a_statement(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t start_ms = core_clock_mono_ms(), quickest_ms = INT64_MAX;
    bool ready;

    (void)state;
    proxy_set(proxy, PROXY_SWALLOWS);
    set_limit(SILENCE_MS);
    assert_int_equal(add(&err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, "did not answer"));
    /* It stays broken, and says so at once. */
    set_limit(LIMIT_MS);
    assert_int_equal(add(&err), RC_UNAVAILABLE);
    assert_int_equal(core_session_begin(session, &err), RC_UNAVAILABLE);
    assert_true(core_clock_mono_ms() - start_ms < SLOWEST_MS);
    /* To recover is never to wait, be it for the limit of connecting. */
    ((struct core_postgres *)session)->connect_limit_ms = LIMIT_MS;
    start_ms = core_clock_mono_ms();
    for (int i = 0; i < 100; i++) {
        int64_t begin_ms = core_clock_mono_ms(), took_ms;

        expect_ok(core_session_recover(session, &ready, &err));
        assert_false(ready);
        took_ms = core_clock_mono_ms() - begin_ms;
        quickest_ms = took_ms < quickest_ms ? took_ms : quickest_ms;
    }
    assert_true(quickest_ms < 20);
    assert_true(core_clock_mono_ms() - start_ms < SLOWEST_MS);
    proxy_set(proxy, PROXY_PASSES);
    recover();
    expect_ok(add(&err));
    expect_things(1);
}

static void a_cut_within_a_transaction_undoes_it(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(core_session_begin(session, &err));
    expect_ok(add(&err));
    proxy_set(proxy, PROXY_CUTS);
    assert_int_equal(add(&err), RC_UNAVAILABLE);
    assert_int_equal(core_session_commit(session, &err), RC_UNAVAILABLE);
    core_session_rollback(session);
    proxy_set(proxy, PROXY_PASSES);
    recover();
    expect_things(0);
    expect_ok(core_session_begin(session, &err));
    expect_ok(add(&err));
    expect_ok(core_session_commit(session, &err));
    expect_things(1);
}

static void a_commit_without_its_answer_is_not_known(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(core_session_begin(session, &err));
    expect_ok(add(&err));
    proxy_set(proxy, PROXY_SWALLOWS_ANSWERS);
    set_limit(SILENCE_MS);
    assert_int_equal(core_session_commit(session, &err), RC_UNAVAILABLE);
    set_limit(LIMIT_MS);
    assert_non_null(strstr(err.cause, "is not known"));
    assert_false(session->ops->in_transaction(session));
    proxy_set(proxy, PROXY_PASSES);
    recover();
    expect_things(1); /* which it did, here */
}

static void a_transaction_that_stands_still_is_ended(void **state)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;

    (void)state;
    expect_ok(core_session_begin(session, &err));
    expect_ok(core_session_exec(session, "SET LOCAL idle_in_transaction_session_timeout = 200",
                                NULL, 0, NULL, &err));
    proxy_set(proxy, PROXY_SWALLOWS); /* as that of a daemon whose network is gone */
    struct core_db *other;
    expect_ok(core_db_open(place_url, &other, &err));
    expect_ok(core_session_begin(other->core, &err));
    expect_ok(core_session_query(other->core, "SHOW idle_in_transaction_session_timeout", NULL, 0,
                                 &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_string_equal(row[0].text, "10s");
    rc_rows_close(&rows);
    core_db_close(other);
    proxy_set(proxy, PROXY_PASSES);
    assert_int_equal(add(&err), RC_UNAVAILABLE);
    core_session_rollback(session);
    recover();
    expect_things(0);
}

/* Texts that are too long to be kept are told apart all the same. */
static void statements_may_be_long(void **state)
{
    enum { LONG = 1200000, END = 64 };
    char *text = rc_malloc(LONG + END);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    memset(text, ' ', LONG);
    for (int i = 1; i < 4; i++) {
        RC_ROWS_AUTO(rows);
        const struct rc_value *row;

        (void)snprintf(text + LONG, END, "SELECT %d", i);
        expect_ok(core_session_query(session, text, NULL, 0, &rows, &err));
        expect_ok(rc_rows_next(rows, &row, &err));
        assert_int_equal(row[0].integer, i);
    }
    free(text);
}

static void codes_follow_from_the_state_of_an_error(void **state)
{
    static const struct {
        const char *state;
        enum rc_code code;
    } errors[] = {
        { "53100", RC_UNAVAILABLE }, /* the server's disk is full */
        { "53300", RC_UNAVAILABLE }, { "40001", RC_CONFLICT },    { "40P01", RC_CONFLICT },
        { "23505", RC_CONFLICT },    { "42501", RC_DENIED },      { "28000", RC_DENIED },
        { "25006", RC_DENIED },      { "55P03", RC_UNAVAILABLE }, { "57P03", RC_UNAVAILABLE },
        { "58030", RC_UNAVAILABLE }, { "54000", RC_TOO_LARGE },   { "0A000", RC_UNSUPPORTED },
        { "XX001", RC_CORRUPT },     { "22012", RC_INVALID },     { "P0001", RC_FAILED },
    };
    const struct rc_value broken[] = { rc_value_text("\xff\xfe") };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(errors); i++) {
        RC_STR_AUTO statement = rc_strf("DO $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = "
                                        "'%s'; END $$",
                                        errors[i].state);

        assert_int_equal(core_session_exec(session, statement, NULL, 0, NULL, &err),
                         errors[i].code);
        assert_non_null(strstr(err.cause, "as told"));
        expect_ok(add(&err));
    }
    assert_int_equal(
        core_session_exec(session, "INSERT INTO things VALUES ($1)", broken, 1, NULL, &err),
        RC_INVALID);
    expect_things(RC_ARRAY_LEN(errors));
}

/* The server ends the statement itself, so that its effect is known: none. */
static void a_slow_statement_is_ended_by_the_server(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_postgres *quick;
    bool ready;

    (void)state;
    expect_ok(core_postgres_open(place_url, "run_core", 1000, false, NULL, &quick, &err));
    quick->limit_ms = LIMIT_MS; /* the server knows the other one */
    assert_int_equal(core_session_exec(&quick->session, "SELECT pg_sleep(30)", NULL, 0, NULL, &err),
                     RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, "statement timeout"));
    expect_ok(core_session_recover(&quick->session, &ready, &err));
    assert_true(ready);
    core_session_close(&quick->session);
}

static void who_holds_the_schema_is_not_waited_for_for_ever(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t start_ms = core_clock_mono_ms();
    struct core_db *other;
    bool ready;

    (void)state;
    expect_ok(core_db_open(place_url, &other, &err));
    expect_ok(core_session_begin(other->core, &err));
    assert_int_equal(core_session_begin(session, &err), RC_UNAVAILABLE);
    assert_true(core_clock_mono_ms() - start_ms < SLOWEST_MS);
    /* The connection was not lost by that. */
    expect_ok(core_session_recover(session, &ready, &err));
    assert_true(ready);
    core_session_rollback(other->core);
    core_db_close(other);
    expect_ok(core_session_begin(session, &err));
    expect_ok(core_session_commit(session, &err));
}

/* ---- servers ------------------------------------------------------------------------------ */

static void a_server_that_was_killed_comes_back(void **state)
{
    struct core_cancel lost = CORE_CANCEL_INIT;
    struct rc_error err = RC_ERROR_INIT;
    struct core_db *other;
    struct rc_lock *lock;
    bool ready;

    (void)state;
    expect_ok(core_db_open(place_url, &other, &err));
    other->renew_ms = 100;
    expect_ok(core_lock_acquire(other, "l", "run 1", 0, NULL, &lost, &lock, &err));
    expect_ok(add(&err));
    place_control("kill");
    assert_int_equal(add(&err), RC_UNAVAILABLE);
    while (core_session_recover(session, &ready, &err) == RC_OK)
        assert_false(ready);
    assert_int_equal(err.code, RC_UNAVAILABLE);
    core_clock_sleep_ms(300);
    place_control("start");
    recover();
    expect_things(1);
    /* The lock is still held, and goes on being renewed. */
    expect_ok(core_lock_check(lock, &err));
    core_clock_sleep_ms(300);
    assert_int_equal(core_cancel_code(&lost), RC_OK);
    core_lock_release(lock);
    expect_ok(core_lock_acquire(other, "l", "run 2", 0, NULL, NULL, &lock, &err));
    core_lock_release(lock);
    core_db_close(other);
}

static void a_server_that_shuts_down_says_so(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    place_control("stop");
    assert_int_equal(add(&err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, "terminating connection"));
    place_control("start");
    recover();
    expect_things(0);
}

/* For how long the loss of a lock is not told once the server has gone. */
static int64_t lose_a_lock(const char *name)
{
    struct core_cancel lost = CORE_CANCEL_INIT;
    struct rc_error err = RC_ERROR_INIT;
    int64_t start_ms, took_ms;
    struct rc_lock *lock;

    start_ms = core_clock_mono_ms();
    while (core_lock_acquire(db, name, "run 1", 0, NULL, &lost, &lock, &err)) {
        assert_int_equal(err.code, RC_UNAVAILABLE); /* as yet, after the time before */
        assert_true(core_clock_mono_ms() - start_ms < RECOVERY_MS);
        core_clock_sleep_ms(5);
    }
    core_clock_sleep_ms(500);
    assert_int_equal(core_cancel_code(&lost), RC_OK);
    proxy_set(proxy, PROXY_CUTS);
    start_ms = core_clock_mono_ms();
    while (!core_cancel_code(&lost) && core_clock_mono_ms() - start_ms < SLOWEST_MS)
        core_clock_sleep_ms(10);
    took_ms = core_clock_mono_ms() - start_ms;
    assert_int_equal(core_cancel_code(&lost), RC_CANCELLED);
    assert_int_equal(core_lock_check(lock, &err), RC_CONFLICT);
    proxy_set(proxy, PROXY_PASSES);
    core_lock_release(lock);
    return took_ms;
}

static void a_lock_is_lost_before_others_may_have_it(void **state)
{
    static const char *const names[] = { "l1", "l2", "l3", "l4", "l5" };
    bool in_time = false;

    (void)state;
    db->lease_ms = 2000;
    db->renew_ms = 200;
    /* A machine that stands still for a moment tells it late; it does not do so every time. */
    for (size_t i = 0; i < RC_ARRAY_LEN(names) && !in_time; i++)
        in_time = lose_a_lock(names[i]) < db->lease_ms;
    assert_true(in_time);
}

/* ---- addresses ---------------------------------------------------------------------------- */

static enum rc_code open_at(const char *url, struct rc_error *err)
{
    struct core_db *other;
    enum rc_code code = core_db_open(url, &other, err);

    core_db_close(other);
    return code;
}

static void wrong_addresses_are_told_apart(void **state)
{
    RC_STR_AUTO host = rc_strdup(strchr(place_url, '@'));
    char *end = strrchr(host, '/');
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    *end = '\0';
    RC_STR_AUTO password = rc_strf("postgresql://postgres:wrong-one%s/postgres", host);
    assert_int_equal(open_at(password, &err), RC_DENIED);
    assert_null(strstr(err.cause, "wrong-one"));
    assert_non_null(strstr(err.cause, "core.state"));

    RC_STR_AUTO nowhere = rc_strdup(place_url);
    memcpy(strrchr(nowhere, '/'), "/postgrey", strlen("/postgrey"));
    assert_int_equal(open_at(nowhere, &err), RC_NOT_FOUND);

    assert_int_equal(open_at("postgresql://u:secret@127.0.0.1:1/x", &err), RC_UNAVAILABLE);
    assert_null(strstr(err.cause, "secret"));
    static const char *const careless[] = {
        "postgresql://u:se/cret@h/x", "postgresql://u:se@cret@h/x", "postgresql://u:cret%@h/x",
        "postgresql://u:cret@[::1/x", "postgresql://u:1/cret@h",    "postgresql://u:cret",
    };
    for (size_t i = 0; i < RC_ARRAY_LEN(careless); i++) {
        assert_int_equal(open_at(careless[i], &err), RC_INVALID);
        assert_null(strstr(err.cause, "cret"));
    }
    assert_int_equal(open_at("postgresql://u:secret@h/x?colour=blue", &err), RC_INVALID);
    assert_null(strstr(err.cause, "secret"));
}

static void a_silent_server_is_not_waited_for(void **state)
{
    RC_STR_AUTO url = rc_strf("%s?connect_timeout=1&sslmode=disable", through);
    struct rc_error err = RC_ERROR_INIT;
    int64_t start_ms = core_clock_mono_ms();

    (void)state;
    proxy_set(proxy, PROXY_SWALLOWS);
    assert_int_equal(open_at(url, &err), RC_UNAVAILABLE);
    assert_true(core_clock_mono_ms() - start_ms < SLOWEST_MS);
    proxy_set(proxy, PROXY_PASSES);
}

/* What the URL says of the session counts, but for the schema. */
static void the_url_may_set_options(void **state)
{
    RC_STR_AUTO url = rc_strf("%s?options=-c%%20search_path%%3Dpublic%%20-c%%20work_mem%%3D123kB"
                              "&application_name=mine",
                              place_url);
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;
    struct core_db *other;

    (void)state;
    expect_ok(core_db_open(url, &other, &err));
    expect_ok(core_session_query(other->core,
                                 "SELECT current_setting('work_mem'), current_schema(), "
                                 "current_setting('application_name')",
                                 NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_string_equal(row[0].text, "123kB");
    assert_string_equal(row[1].text, "run_core");
    assert_string_equal(row[2].text, "mine");
    rc_rows_close(&rows);
    core_db_close(other);
}

static void a_socket_is_an_address_too(void **state)
{
    const char *folder = getenv("RUN_CORE_POSTGRES_FOLDER");
    RC_STR_AUTO host = rc_strdup(strchr(place_url, '@'));
    char *port = strchr(host, ':') + 1;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_non_null(folder);
    *strchr(port, '/') = '\0';
    RC_STR_AUTO url =
        rc_strf("%.*s/postgres?host=%s&port=%s", (int)(strchr(place_url, '@') + 1 - place_url),
                place_url, folder, port);
    expect_ok(open_at(url, &err));
    expect_ok(core_db_check(url, &err));
}

/* ---- plugins ------------------------------------------------------------------------------ */

static const struct rc_migration notes[] = { { 1, "CREATE TABLE notes (text TEXT)" } };

static struct rc_db *open_notes(struct core_db *in, const char *plugin)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *opened;

    expect_ok(core_db_open_plugin(in, plugin, notes, 1, NULL, &opened, &err));
    return opened;
}

static enum rc_code note(struct rc_db *plugin, struct rc_error *err)
{
    return core_db_exec(plugin, "INSERT INTO notes VALUES ('x')", NULL, 0, NULL, err);
}

static int64_t count_notes(struct rc_db *plugin)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;

    expect_ok(core_db_query(plugin, "SELECT count(*) FROM notes", NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    return row[0].integer;
}

/* A plugin knows of no recovery: what was lost with a transaction is told, all else goes on. */
static void a_plugin_connects_again_by_itself(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes(db, "notes");

    (void)state;
    expect_ok(note(plugin, &err));
    expect_ok(core_db_begin(plugin, &err));
    expect_ok(note(plugin, &err));
    proxy_set(proxy, PROXY_CUTS);
    assert_int_equal(note(plugin, &err), RC_UNAVAILABLE);
    proxy_set(proxy, PROXY_PASSES);
    /* Not half of it. */
    assert_int_equal(note(plugin, &err), RC_UNAVAILABLE);
    assert_int_equal(core_db_commit(plugin, &err), RC_UNAVAILABLE);
    expect_ok(note(plugin, &err));
    assert_int_equal(count_notes(plugin), 2);
    proxy_set(proxy, PROXY_CUTS);
    assert_int_equal(note(plugin, &err), RC_UNAVAILABLE);
    proxy_set(proxy, PROXY_PASSES);
    expect_ok(core_db_begin(plugin, &err));
    expect_ok(note(plugin, &err));
    expect_ok(core_db_commit(plugin, &err));
    assert_int_equal(count_notes(plugin), 3);
    core_db_close_plugin(plugin);
}

/* Nobody has said anything since the server was started again. */
static void what_cannot_have_been_done_is_said_again(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes(db, "notes");

    (void)state;
    expect_ok(note(plugin, &err));
    proxy_set(proxy, PROXY_CUTS);
    proxy_set(proxy, PROXY_PASSES);
    assert_int_equal(count_notes(plugin), 1);
    proxy_set(proxy, PROXY_CUTS);
    proxy_set(proxy, PROXY_PASSES);
    expect_ok(core_db_begin(plugin, &err));
    expect_ok(note(plugin, &err));
    expect_ok(core_db_commit(plugin, &err));
    assert_int_equal(count_notes(plugin), 2);

    /* A write by itself may have been; and what stays away is told. */
    proxy_set(proxy, PROXY_CUTS);
    proxy_set(proxy, PROXY_PASSES);
    assert_int_equal(note(plugin, &err), RC_UNAVAILABLE);
    assert_int_equal(count_notes(plugin), 2);
    proxy_set(proxy, PROXY_CUTS);
    assert_int_equal(core_db_begin(plugin, &err), RC_UNAVAILABLE);
    assert_int_equal(core_db_begin(plugin, &err), RC_UNAVAILABLE);
    proxy_set(proxy, PROXY_PASSES);
    core_db_close_plugin(plugin);
}

/* Once a statement is under way. */
static void *ask_to_stop(void *cancel)
{
    proxy_wait_for_client(proxy);
    core_cancel_request(cancel, RC_CANCELLED);
    return NULL;
}

/* Neither the statement is answered nor the request to end it. */
static void a_silent_server_is_not_waited_for_to_cancel(void **state)
{
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct rc_error err = RC_ERROR_INIT;
    int64_t start_ms = core_clock_mono_ms();
    struct rc_db *plugin;
    pthread_t thread;

    (void)state;
    expect_ok(core_db_open_plugin(db, "notes", notes, 1, &cancel, &plugin, &err));
    proxy_set(proxy, PROXY_SWALLOWS);
    assert_int_equal(pthread_create(&thread, NULL, ask_to_stop, &cancel), 0);
    assert_int_equal(core_db_begin(plugin, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, "did not answer within"));
    assert_true(core_clock_mono_ms() - start_ms < SLOWEST_MS);
    assert_int_equal(pthread_join(thread, NULL), 0);
    proxy_set(proxy, PROXY_PASSES);
    core_db_close_plugin(plugin);
}

static void plugins_have_schemas_of_their_own(void **state)
{
    static const char *const names[] = {
        "notes",  "Notes",  "no-tes",
        "no_tes", "select", "a23456789-123456789-123456789-123456789-123456789-1234"
    };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        plugin = open_notes(db, names[i]);
        assert_int_equal(count_notes(plugin), 0);
        expect_ok(note(plugin, &err));
        core_db_close_plugin(plugin);
    }
    RC_STR_AUTO longer = rc_strf("%sx", names[RC_ARRAY_LEN(names) - 1]);
    assert_int_equal(core_db_open_plugin(db, longer, notes, 1, NULL, &plugin, &err), RC_INVALID);
    assert_int_equal(
        core_db_open_plugin(db, "x\"; DROP SCHEMA run_core", notes, 1, NULL, &plugin, &err),
        RC_INVALID);
    assert_int_equal(core_db_open_plugin(db, "x -c work_mem=1MB", notes, 1, NULL, &plugin, &err),
                     RC_INVALID);
}

static void types_that_are_not_ours_come_as_text(void **state)
{
    RC_ROWS_AUTO(rows);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *plugin = open_notes(db, "notes");
    const struct rc_value *row;

    (void)state;
    expect_ok(core_db_query(plugin,
                            "SELECT CAST(1.50 AS NUMERIC), CAST('infinity' AS FLOAT8), CAST(7 AS "
                            "SMALLINT), CAST('2026-01-02' AS DATE), CAST(0.5 AS REAL)",
                            NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_string_equal(row[0].text, "1.50");
    assert_true(row[1].type == RC_VALUE_FLOAT && row[1].number > 1e308);
    assert_true(row[2].type == RC_VALUE_INT && row[2].integer == 7);
    assert_string_equal(row[3].text, "2026-01-02");
    assert_true(row[4].type == RC_VALUE_FLOAT && row[4].number > 0.49 && row[4].number < 0.51);
    rc_rows_close(&rows);
    core_db_close_plugin(plugin);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, on_postgres, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_silent_network_ends_a_statement),
        TEST(a_cut_within_a_transaction_undoes_it),
        TEST(a_commit_without_its_answer_is_not_known),
        TEST(a_transaction_that_stands_still_is_ended),
        TEST(statements_may_be_long),
        TEST(codes_follow_from_the_state_of_an_error),
        TEST(a_slow_statement_is_ended_by_the_server),
        TEST(who_holds_the_schema_is_not_waited_for_for_ever),
        TEST(a_server_that_was_killed_comes_back),
        TEST(a_server_that_shuts_down_says_so),
        TEST(a_lock_is_lost_before_others_may_have_it),
        TEST(wrong_addresses_are_told_apart),
        TEST(a_silent_server_is_not_waited_for),
        TEST(the_url_may_set_options),
        TEST(a_socket_is_an_address_too),
        TEST(a_plugin_connects_again_by_itself),
        TEST(what_cannot_have_been_done_is_said_again),
        TEST(a_silent_server_is_not_waited_for_to_cancel),
        TEST(plugins_have_schemas_of_their_own),
        TEST(types_that_are_not_ours_come_as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
