/*
 * Snapshots and COPY: what is read is what the snapshot saw, whole or not at all, and a stream that
 * breaks off says why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "postgres.h"

#include <copy.h>
#include <snapshot.h>

#include <run-core/fake_host.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { SOON_MS = 8000, ROWS = 200000 };

#define BIG "COPY big TO STDOUT (FORMAT csv)"

/* A snapshot and a reader of it. */
struct pair {
    struct rc_fake_host *host;
    const struct egress_config *config;
    struct egress_snapshot snapshot;
    struct egress_database *reader;
};

static void pair_open(struct pair *pair, const char *const *settings)
{
    struct rc_error err = RC_ERROR_INIT;

    memset(pair, 0, sizeof(*pair));
    pair->host = rc_fake_host_new(NULL);
    pair->config = config_of(pair->host, settings);
    struct rc_job *job = rc_fake_host_job(pair->host);

    expect_ok(egress_snapshot_take(job, pair->config, &pair->snapshot, &err), err);
    expect_ok(egress_database_open(job, pair->config, &pair->reader, &err), err);
    expect_ok(egress_snapshot_join(&pair->snapshot, pair->reader, &err), err);
}

static void pair_close(struct pair *pair)
{
    egress_database_close(&pair->reader);
    egress_snapshot_clear(&pair->snapshot);
    rc_fake_host_clear(&pair->host);
}

/* Reads all of it in steps of 'step' bytes. 'out' may be NULL. */
static enum rc_code read_all(struct egress_database *database, const char *sql, size_t step,
                             struct rc_buf *out, int64_t *rows, struct rc_error *err)
{
    struct egress_copy *copy;
    char *buffer = malloc(step);
    size_t len = step;
    enum rc_code code = egress_copy_open(database, sql, &copy, err);

    if (code == RC_OK) {
        while (len == step && (code = egress_copy_read(copy, buffer, step, &len, err)) == RC_OK)
            if (out)
                rc_buf_add(out, buffer, len);
        *rows = egress_copy_rows(copy);
        egress_copy_close(copy);
    }
    free(buffer);
    return code;
}

static int pid_of(const struct egress_database *database)
{
    return PQbackendPID(database->connection);
}

static void terminate(const struct egress_database *database)
{
    int pid = pid_of(database);

    (void)admin_value("SELECT pg_terminate_backend(%d)", pid);
    admin_expect("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %d", pid);
}

/* ---- streams ------------------------------------------------------------------------------ */

static void test_any_cut_gives_the_same_bytes(void **state)
{
    (void)state;
    static const size_t steps[] = { 1, 2, 7, 4096, 1 << 20 };
    static const char expected[] = "1,\"a,\"\"b\"\"\nc\",\n2,,\"\"\n3,Ünïcode \\.,x\n";
    static const char sql[] =
        "COPY (VALUES (1, E'a,\"b\"\\nc', NULL), (2, NULL, ''), (3, 'Ünïcode \\.', 'x')) "
        "TO STDOUT (FORMAT csv)";
    struct pair pair;
    struct rc_error err = RC_ERROR_INIT;

    pair_open(&pair, NULL);
    for (size_t i = 0; i < RC_ARRAY_LEN(steps); i++) {
        RC_BUF_AUTO(out, 1 << 20);
        int64_t rows;

        expect_ok(read_all(pair.reader, sql, steps[i], &out, &rows, &err), err);
        assert_string_equal(out.data, expected);
        assert_int_equal(rows, 3);
    }
    RC_BUF_AUTO(out, 1 << 20);
    int64_t rows = -1;
    expect_ok(
        read_all(pair.reader, "COPY (SELECT 1 WHERE false) TO STDOUT", 100, &out, &rows, &err),
        err);
    assert_int_equal(out.len, 0);
    assert_int_equal(rows, 0);
    /* The length of the text is a multiple of the step: the end is asked for once more. */
    expect_ok(read_all(pair.reader, "COPY (SELECT 'abcdefg') TO STDOUT", 4, &out, &rows, &err),
              err);
    assert_string_equal(out.data, "abcdefg\n");
    pair_close(&pair);
}

static void test_large_values(void **state)
{
    (void)state;
    struct pair pair;
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows, bytes = 0;
    struct egress_copy *copy;
    static char buffer[1 << 16];
    size_t len = sizeof(buffer);

    pair_open(&pair, NULL);
    expect_ok(egress_copy_open(pair.reader,
                               "COPY (SELECT repeat('0123456789', 3000000) FROM "
                               "generate_series(1, 2)) TO STDOUT",
                               &copy, &err),
              err);
    while (len == sizeof(buffer)) {
        expect_ok(egress_copy_read(copy, buffer, sizeof(buffer), &len, &err), err);
        bytes += (int64_t)len;
    }
    rows = egress_copy_rows(copy);
    egress_copy_close(copy);
    assert_int_equal(rows, 2);
    assert_int_equal(bytes, 2 * 30000001);
    pair_close(&pair);
}

/* ---- the snapshot ------------------------------------------------------------------------- */

static void test_readers_see_what_the_snapshot_saw(void **state)
{
    (void)state;
    struct pair pair;
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(out, 1 << 20);
    int64_t rows;

    admin("TRUNCATE changing; INSERT INTO changing VALUES (1), (2)");
    pair_open(&pair, NULL);
    admin("INSERT INTO changing VALUES (3); DELETE FROM changing WHERE n = 1");
    expect_ok(read_all(pair.reader, "COPY changing TO STDOUT", 100, &out, &rows, &err), err);
    assert_string_equal(out.data, "1\n2\n");

    struct egress_database *other;
    expect_ok(egress_database_open(rc_fake_host_job(pair.host), pair.config, &other, &err), err);
    expect_ok(egress_snapshot_join(&pair.snapshot, other, &err), err);
    admin("UPDATE changing SET n = 4");
    rc_buf_reset(&out);
    expect_ok(read_all(other, "COPY changing TO STDOUT", 100, &out, &rows, &err), err);
    assert_string_equal(out.data, "1\n2\n");
    egress_database_close(&other);
    pair_close(&pair);
}

static void test_what_is_known_of_a_snapshot(void **state)
{
    (void)state;
    struct pair pair;
    const struct egress_snapshot *snapshot = &pair.snapshot;

    pair_open(&pair, NULL);
    assert_string_equal(snapshot->database, "postgres");
    assert_string_equal(snapshot->system_identifier,
                        admin_value("SELECT system_identifier FROM pg_control_system()"));
    assert_string_equal(snapshot->server_version, admin_value("SHOW server_version"));
    assert_string_equal(admin_value("SELECT '%s'::pg_lsn <= pg_current_wal_lsn()", snapshot->lsn),
                        "t");
    assert_string_equal(admin_value("SELECT %s <= %s AND %s <= "
                                    "txid_snapshot_xmax(txid_current_snapshot())",
                                    snapshot->xmin, snapshot->xmax, snapshot->xmax),
                        "t");
    assert_string_equal(admin_value("SELECT abs(%lld - extract(epoch FROM now()) * 1000) < 60000",
                                    (long long)snapshot->taken_unix_ms),
                        "t");
    pair_close(&pair);
}

/* What the role may not do is not the end of the transaction. */
static void test_a_system_without_identifier(void **state)
{
    (void)state;
    RC_STR_AUTO url = url_as("reader", "reader");
    RC_STR_AUTO database = rc_strf("database=%s", url);
    const char *const settings[] = { database, NULL };
    struct pair pair;

    admin("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
    pair_open(&pair, settings);
    admin("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC");
    assert_null(pair.snapshot.system_identifier);
    assert_non_null(pair.snapshot.lsn);
    pair_close(&pair);
}

static void test_a_keeper_that_is_gone(void **state)
{
    (void)state;
    struct pair pair;
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows;

    pair_open(&pair, NULL);
    terminate(pair.snapshot.keeper);
    assert_false(egress_database_alive(pair.snapshot.keeper));
    /* Who has taken the snapshot over goes on with it. */
    expect_ok(read_all(pair.reader, BIG, 1 << 16, NULL, &rows, &err), err);
    assert_int_equal(rows, ROWS);
    assert_int_equal(egress_snapshot_join(&pair.snapshot, pair.reader, &err), RC_UNAVAILABLE);
    expect_text(err.cause, "the connection that keeps the snapshot was lost");
    assert_true(egress_database_alive(pair.reader));
    pair_close(&pair);
}

/* ---- faults ------------------------------------------------------------------------------- */

static void test_a_reader_that_is_cut_off(void **state)
{
    (void)state;
    static char buffer[1000];
    struct pair pair;
    struct rc_error err = RC_ERROR_INIT;
    struct egress_copy *copy;
    size_t len = sizeof(buffer);
    enum rc_code code = RC_OK;
    int64_t rows;

    pair_open(&pair, NULL);
    expect_ok(egress_copy_open(pair.reader, BIG, &copy, &err), err);
    expect_ok(egress_copy_read(copy, buffer, sizeof(buffer), &len, &err), err);
    (void)admin_value("SELECT pg_terminate_backend(%d)", pid_of(pair.reader));
    while (code == RC_OK && len == sizeof(buffer))
        code = egress_copy_read(copy, buffer, sizeof(buffer), &len, &err);
    assert_int_equal(code, RC_UNAVAILABLE);
    egress_copy_close(copy);
    assert_false(egress_database_alive(pair.reader));

    /* A new one takes the same snapshot over. */
    egress_database_close(&pair.reader);
    expect_ok(egress_database_open(rc_fake_host_job(pair.host), pair.config, &pair.reader, &err),
              err);
    expect_ok(egress_snapshot_join(&pair.snapshot, pair.reader, &err), err);
    expect_ok(read_all(pair.reader, BIG, 1 << 16, NULL, &rows, &err), err);
    assert_int_equal(rows, ROWS);
    pair_close(&pair);
}

static void test_failures_of_a_table(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        enum rc_code code;
        const char *part;
    } cases[] = {
        { "COPY nothing_there TO STDOUT", RC_NOT_FOUND, "42P01" },
        { "COPY big (nothing_there) TO STDOUT", RC_CONFLICT, "42703" },
        { "COPY (SELECT 10000 / (5000 - n) FROM big) TO STDOUT", RC_FAILED, "division by zero" },
        { "COPY hidden TO STDOUT", RC_DENIED, "row-level security" },
        { "COPY secret TO STDOUT", RC_DENIED, "permission denied" },
        { "COPY locked TO STDOUT", RC_TIMEOUT, "'lock_timeout' says" },
        { "COPY (SELECT pg_sleep(60)) TO STDOUT", RC_TIMEOUT, "'statement_timeout' says" },
        { "COPY (INSERT INTO changing VALUES (1) RETURNING n) TO STDOUT", RC_FAILED, "25006" },
        { "SELECT 1", RC_FAILED, "no COPY" },
        { "COPY big FROM STDIN", RC_DENIED, "42501" },
        { "", RC_FAILED, "no COPY" },
    };
    RC_STR_AUTO url = url_as("reader", "reader");
    RC_STR_AUTO database = rc_strf("database=%s", url);
    const char *const settings[] = { database, "lock_timeout=100ms", "statement_timeout=1s", NULL };
    struct pair pair;
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows;

    pair_open(&pair, settings);
    admin("BEGIN; LOCK TABLE locked");
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        /* The reader may be used again each time. */
        expect_ok(egress_snapshot_join(&pair.snapshot, pair.reader, &err), err);
        enum rc_code code = read_all(pair.reader, cases[i].sql, 1000, NULL, &rows, &err);

        if (code != cases[i].code)
            print_error("%s: %d, %s\n", cases[i].sql, (int)code, err.cause);
        assert_int_equal(code, cases[i].code);
        expect_text(err.cause, cases[i].part);
    }
    admin("ROLLBACK");
    assert_true(egress_database_alive(pair.reader));
    pair_close(&pair);
}

/* Without a timeout of our own it was somebody's will. */
static void test_somebody_cancels_a_copy(void **state)
{
    (void)state;
    static char buffer[1000];
    struct pair pair;
    struct rc_error err = RC_ERROR_INIT;
    struct egress_copy *copy;
    size_t len = sizeof(buffer);
    enum rc_code code = RC_OK;

    pair_open(&pair, NULL);
    expect_ok(
        egress_copy_open(pair.reader, "COPY (SELECT * FROM big, big AS b) TO STDOUT", &copy, &err),
        err);
    (void)admin_value("SELECT pg_cancel_backend(%d)", pid_of(pair.reader));
    while (code == RC_OK && len == sizeof(buffer))
        code = egress_copy_read(copy, buffer, sizeof(buffer), &len, &err);
    assert_int_equal(code, RC_FAILED);
    expect_text(err.cause, "57014");
    egress_copy_close(copy);
    pair_close(&pair);
}

static void expect_idle(int pid)
{
    admin_expect("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %d AND state = 'active'",
                 pid);
}

/* Half-read, the statement would give rows for a very long time. */
static void test_a_copy_that_is_closed_early(void **state)
{
    (void)state;
    static char buffer[100000];
    struct pair pair;
    struct rc_error err = RC_ERROR_INIT;
    struct egress_copy *copy;
    size_t len;
    int64_t rows, start_ms = mono_ms();

    pair_open(&pair, NULL);
    expect_ok(
        egress_copy_open(pair.reader, "COPY (SELECT * FROM big, big AS b) TO STDOUT", &copy, &err),
        err);
    expect_ok(egress_copy_read(copy, buffer, sizeof(buffer), &len, &err), err);
    egress_copy_close(copy);
    expect_idle(pid_of(pair.reader));
    expect_ok(egress_snapshot_join(&pair.snapshot, pair.reader, &err), err);
    expect_ok(read_all(pair.reader, BIG, 1 << 16, NULL, &rows, &err), err);
    assert_int_equal(rows, ROWS);
    assert_true(mono_ms() - start_ms < SOON_MS);
    pair_close(&pair);
}

/* The run is asked to stop: while a statement is silent, and while it gives rows without an end. */
static void test_a_run_that_is_to_stop(void **state)
{
    (void)state;
    static const char *const statements[] = {
        "COPY (SELECT pg_sleep(60)) TO STDOUT",
        "COPY (SELECT * FROM big, big AS b) TO STDOUT",
        "COPY (SELECT sum(big.n) FROM big, big AS b WHERE big.n <> b.n) TO STDOUT",
        "COPY locked TO STDOUT",
    };

    admin("BEGIN; LOCK TABLE locked");
    for (size_t i = 0; i < RC_ARRAY_LEN(statements); i++) {
        struct pair pair;
        struct rc_error err = RC_ERROR_INIT;
        int64_t rows, start_ms;

        pair_open(&pair, NULL);
        start_ms = mono_ms();
        rc_fake_host_cancel_at(pair.host, 4);
        assert_int_equal(read_all(pair.reader, statements[i], 1 << 16, NULL, &rows, &err),
                         RC_CANCELLED);
        assert_true(mono_ms() - start_ms < SOON_MS);
        int pid = pid_of(pair.reader);
        expect_idle(pid);
        pair_close(&pair);
    }
    admin("ROLLBACK");
}

static pid_t postmaster(void)
{
    RC_STR_AUTO path = rc_strf("%s/data/postmaster.pid", getenv("RUN_CORE_POSTGRES_FOLDER"));
    FILE *file = fopen(path, "re");
    char line[64] = "";

    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    (void)fclose(file);
    return (pid_t)strtol(line, NULL, 10);
}

/* Neither the statement nor its cancellation is answered, as on a network that is silent. */
static void test_a_server_that_stands_still(void **state)
{
    (void)state;
    struct pair pair;
    struct rc_error err = RC_ERROR_INIT;
    struct egress_copy *copy;
    static char buffer[1 << 16];
    size_t len = sizeof(buffer);
    enum rc_code code = RC_OK;
    int64_t start_ms = mono_ms();
    pid_t main_pid = postmaster();

    pair_open(&pair, NULL);
    int pid = pid_of(pair.reader);

    expect_ok(
        egress_copy_open(pair.reader, "COPY (SELECT * FROM big, big AS b) TO STDOUT", &copy, &err),
        err);
    assert_int_equal(kill(main_pid, SIGSTOP), 0);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    rc_fake_host_cancel_at(pair.host, 3);
    while (code == RC_OK)
        code = egress_copy_read(copy, buffer, sizeof(buffer), &len, &err);
    egress_copy_close(copy);
    bool is_alive = egress_database_alive(pair.reader);
    (void)kill(pid, SIGCONT);
    (void)kill(main_pid, SIGCONT);
    assert_int_equal(code, RC_CANCELLED);
    assert_false(is_alive);
    rc_fake_host_cancel_at(pair.host, 0);
    assert_int_equal(egress_snapshot_join(&pair.snapshot, pair.reader, &err), RC_UNAVAILABLE);
    assert_true(mono_ms() - start_ms < 2 * SOON_MS);
    pair_close(&pair);
}

/*
 * The cancellation of one statement must not hit the next: a connection over which nobody knows
 * when the server will hear of it is not used again.
 */
static void test_a_cancellation_that_comes_late(void **state)
{
    (void)state;
    struct pair pair;
    struct rc_error err = RC_ERROR_INIT;
    struct egress_copy *copy;
    static char buffer[1 << 10];
    size_t len;
    pid_t main_pid = postmaster();

    pair_open(&pair, NULL);
    expect_ok(egress_copy_open(pair.reader, BIG, &copy, &err), err);
    expect_ok(egress_copy_read(copy, buffer, sizeof(buffer), &len, &err), err);
    /* No new connection is answered, and so no cancellation; the statement goes on to its end. */
    assert_int_equal(kill(main_pid, SIGSTOP), 0);
    egress_copy_close(copy);
    bool is_alive = egress_database_alive(pair.reader);
    (void)kill(main_pid, SIGCONT);
    assert_false(is_alive);
    pair_close(&pair);
}

/*
 * Who may create operators in a schema of the search path could have the role of the dump call
 * them, where no operator of the system has just those types.
 */
static void test_operators_of_others_are_not_called(void **state)
{
    (void)state;
    static const char *const types[][3] = { { "*", "numeric", "int" }, { "*", "float8", "int" } };
    struct pair pair;

    for (size_t i = 0; i < RC_ARRAY_LEN(types); i++) {
        admin("CREATE FUNCTION public.trap(%s, %s) RETURNS numeric LANGUAGE plpgsql AS "
              "'BEGIN RAISE EXCEPTION ''trapped''; END'",
              types[i][1], types[i][2]);
        admin("CREATE OPERATOR public.%s (PROCEDURE = public.trap, LEFTARG = %s, RIGHTARG = %s)",
              types[i][0], types[i][1], types[i][2]);
    }
    pair_open(&pair, NULL);
    pair_close(&pair);
    for (size_t i = 0; i < RC_ARRAY_LEN(types); i++)
        admin("DROP FUNCTION public.trap(%s, %s) CASCADE", types[i][1], types[i][2]);
}

static int prepare(void **state)
{
    (void)state;
    admin("CREATE TABLE big AS SELECT n, 'row ' || n AS text FROM generate_series(1, %d) AS n",
          ROWS);
    admin("CREATE TABLE changing (n int); CREATE TABLE secret (n int); CREATE TABLE locked ()");
    admin("CREATE TABLE hidden (n int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY");
    admin("CREATE ROLE reader LOGIN PASSWORD 'reader'");
    admin("GRANT SELECT ON big, changing, locked, hidden TO reader");
    return 0;
}

static int clear(void **state)
{
    (void)state;
    admin("DROP TABLE big, changing, secret, locked, hidden; DROP ROLE reader");
    admin_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_cut_gives_the_same_bytes),
        cmocka_unit_test(test_large_values),
        cmocka_unit_test(test_readers_see_what_the_snapshot_saw),
        cmocka_unit_test(test_what_is_known_of_a_snapshot),
        cmocka_unit_test(test_a_system_without_identifier),
        cmocka_unit_test(test_a_keeper_that_is_gone),
        cmocka_unit_test(test_a_reader_that_is_cut_off),
        cmocka_unit_test(test_failures_of_a_table),
        cmocka_unit_test(test_somebody_cancels_a_copy),
        cmocka_unit_test(test_a_copy_that_is_closed_early),
        cmocka_unit_test(test_a_run_that_is_to_stop),
        cmocka_unit_test(test_a_server_that_stands_still),
        cmocka_unit_test(test_a_cancellation_that_comes_late),
        cmocka_unit_test(test_operators_of_others_are_not_called),
    };

    return cmocka_run_group_tests(tests, prepare, clear);
}
