/*
 * Connections: how they are made and refused, what they say and what they keep to themselves, and
 * that a run that is asked to stop waits for nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "postgres.h"

#include <connect.h>

#include <run-core/fake_host.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOON_MS = 8000 /* on a busy machine */ };

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define DATABASE_AUTO RC_CLEANUP(egress_database_close) struct egress_database *

static enum rc_code open_with(struct rc_fake_host *host, const char *const *settings,
                              struct egress_database **out, struct rc_error *err)
{
    return egress_database_open(rc_fake_host_job(host), config_of(host, settings), out, err);
}

static enum rc_code open_at(struct rc_fake_host *host, const char *database,
                            struct egress_database **out, struct rc_error *err)
{
    RC_STR_AUTO setting = rc_strf("database=%s", database);
    const char *const settings[] = { setting, "connect_for=0", "connect_timeout=1s", NULL };

    return open_with(host, settings, out, err);
}

static int port_of_server(void)
{
    return (int)strtol(strrchr(admin_url(), ':') + 1, NULL, 10);
}

/* The value of one column of one row. */
static char *value(struct egress_database *database, const char *sql)
{
    struct rc_error err = RC_ERROR_INIT;
    PGresult *result;
    char *text;

    expect_ok(egress_database_query(database, "ask", sql, NULL, 0, &result, &err), err);
    text = rc_strdup(PQgetvalue(result, 0, 0));
    PQclear(result);
    return text;
}

#define assert_value(database, sql, expected)                                                      \
    do {                                                                                           \
        RC_STR_AUTO got = value(database, sql);                                                    \
        assert_string_equal(got, expected);                                                        \
    } while (0)

/* ---- connecting --------------------------------------------------------------------------- */

static void test_it_connects(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(open_at(host, admin_url(), &database, &err), err);
    RC_STR_AUTO place =
        rc_strf("database 'postgres' at 127.0.0.1:%d as role 'postgres'", port_of_server());
    assert_string_equal(database->place, place);
    assert_true(database->version >= 90600);
    assert_false(database->in_recovery);
    assert_true(egress_database_alive(database));
    assert_value(database, "SHOW client_encoding", "UTF8");
    assert_value(database, "SHOW application_name", "run-core egress");
}

/* 'database' says where, the other options who; and the other way round. */
static void test_what_the_database_leaves_open(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO server = rc_strf("database=host=127.0.0.1 port=%d", port_of_server());
    const char *const first[] = { server,
                                  "host=nowhere.invalid",
                                  "port=1",
                                  "user=part",
                                  "password=p'art w/ord",
                                  "dbname=template1",
                                  "connect_for=0",
                                  NULL };

    expect_ok(open_with(host, first, &database, &err), err);
    assert_value(database, "SELECT current_user || ' ' || current_database()", "part template1");
    egress_database_close(&database);

    RC_STR_AUTO port = rc_strf("port=%d", port_of_server());
    const char *const second[] = { "database=postgresql://part:p'art%20w%2Ford@/postgres",
                                   "host=127.0.0.1",
                                   port,
                                   "user=nobody",
                                   "password=wrong",
                                   "dbname=none",
                                   "connect_for=0",
                                   NULL };
    expect_ok(open_with(host, second, &database, &err), err);
    assert_value(database, "SELECT current_user || ' ' || current_database()", "part postgres");
}

static void test_nothing_says_which_host(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(open_at(host, "user=a dbname=b", &database, &err), RC_UNAVAILABLE);
    expect_text(err.context, "database 'b' at postgresql:5432 as role 'a'");
    expect_text(err.cause, "set 'host', PGHOST or 'database'");
}

static void test_refusals_name_all_but_the_password(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO wrong = url_as("postgres", "hunter2-hunter2");
    RC_STR_AUTO unknown =
        rc_strf("%.*s/nodb", (int)(strrchr(admin_url(), '/') - admin_url()), admin_url());
    const struct {
        const char *url;
        enum rc_code code;
        const char *part, *advice;
    } cases[] = {
        { wrong, RC_DENIED, "role 'postgres'", "look at the role and its password" },
        { unknown, RC_NOT_FOUND, "database 'nodb'", "look at the name of the database" },
        { "postgresql://u:hunter2/x@host/db", RC_INVALID, "", "no connection string" },
        { "postgresql://u:hunter2@x@host/db", RC_INVALID, "", "no connection string" },
        { "host=x hunter2", RC_INVALID, "", "no connection string" },
        { "password=hunter2-hunter2 sslmode=hunter2-hunter2", RC_INVALID, "", "sslmode" },
        { "service=none-such", RC_INVALID, "", "service" },
        { "host=127.0.0.1 port=1 user=u dbname=d password=hunter2", RC_UNAVAILABLE,
          "database 'd' at 127.0.0.1:1 as role 'u'", "refused" },
        { "host=/nowhere user=u dbname=d", RC_UNAVAILABLE, "at /nowhere:5432", "No such file" },
        { "host=/****/x user=u dbname=d password=****", RC_UNAVAILABLE, "", "No such file" },
        { "dbname=postgresql://u:hunter2@host/db", RC_INVALID, "", "'dbname' is" },
        { "dbname='host=x password=hunter2'", RC_INVALID, "", "'dbname' is" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        err = (struct rc_error)RC_ERROR_INIT;
        enum rc_code code = open_at(host, cases[i].url, &database, &err);

        if (code != cases[i].code)
            print_error("%s: %s: %s\n", cases[i].url, err.context, err.cause);
        assert_int_equal(code, cases[i].code);
        expect_text(err.context, cases[i].part);
        expect_text(err.cause, cases[i].advice);
        assert_null(strstr(err.context, "hunter2"));
        assert_null(strstr(err.cause, "hunter2"));
        assert_null(strstr(err.cause, "LOCATION"));
    }
    assert_null(strstr(rc_fake_host_log(host), "hunter2"));
}

static void test_no_password(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO url = rc_strf("host=127.0.0.1 port=%d user=postgres dbname=postgres "
                              "passfile=/nowhere",
                              port_of_server());

    assert_int_equal(open_at(host, url, &database, &err), RC_DENIED);
    expect_text(err.cause, "no password supplied");
}

/* What is not there yet may come. */
static void test_it_is_tried_again(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;
    const char *const settings[] = { "database=host=127.0.0.1 port=1 user=u dbname=d",
                                     "connect_for=1s", NULL };
    int64_t start_ms = mono_ms();

    assert_int_equal(open_with(host, settings, &database, &err), RC_UNAVAILABLE);
    assert_true(mono_ms() - start_ms >= 200 && mono_ms() - start_ms < SOON_MS);
    expect_text(err.context, ", in attempt ");
    expect_text(rc_fake_host_log(host), "warn: connect to database 'd'");
    expect_text(rc_fake_host_log(host), "trying again in");
}

static void test_too_many_clients_may_pass(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO first = NULL;
    DATABASE_AUTO second = NULL;
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO url = url_as("lonely", "lonely");

    expect_ok(open_at(host, url, &first, &err), err);
    assert_int_equal(open_at(host, url, &second, &err), RC_UNAVAILABLE);
    expect_text(err.cause, "53300");
}

/* Takes connections up to its backlog of one, and answers none. */
static int silent_socket(int fillers[3], int *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    for (int i = 0; i < 3; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, len);
    }
    return fd;
}

static void test_a_silent_address_gives_way_to_the_next(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;
    int fillers[3], port;
    int fd = silent_socket(fillers, &port);
    RC_STR_AUTO url = rc_strf("postgresql://part:p'art%%20w%%2Ford@127.0.0.1:%d,127.0.0.1:%d/"
                              "postgres",
                              port, port_of_server());

    expect_ok(open_at(host, url, &database, &err), err);
    assert_int_equal(strtol(PQport(database->connection), NULL, 10), port_of_server());
    assert_string_equal(PQpass(database->connection), "p'art w/ord");
    egress_database_close(&database);

    RC_STR_AUTO alone = rc_strf("postgresql://part@127.0.0.1:%d/postgres", port);
    int64_t start_ms = mono_ms();
    assert_int_equal(open_at(host, alone, &database, &err), RC_UNAVAILABLE);
    assert_true(mono_ms() - start_ms < SOON_MS);

    /* The second question whether to go on is answered with no. */
    rc_fake_host_cancel_at(host, 2);
    start_ms = mono_ms();
    const char *const settings[] = { "database=host=127.0.0.1 port=1 user=u", "connect_for=1d",
                                     NULL };
    assert_int_equal(open_with(host, settings, &database, &err), RC_CANCELLED);
    assert_true(mono_ms() - start_ms < SOON_MS);
    for (int i = 0; i < 3; i++)
        (void)close(fillers[i]);
    (void)close(fd);
}

/* ---- statements --------------------------------------------------------------------------- */

static void test_what_the_text_depends_on(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO url = url_as("odd", "odd");

    expect_ok(open_at(host, url, &database, &err), err);
    assert_value(database, "SELECT '2026-01-02 03:04:05+00'::timestamptz::text",
                 "02/01/2026 13:04:05 AEST");
    expect_ok(egress_database_begin(database, NULL, &err), err);
    assert_value(database, "SELECT '2026-01-02 03:04:05+00'::timestamptz::text",
                 "2026-01-02 03:04:05+00");
    assert_value(database, "SELECT interval '1 day 02:03'::text", "1 day 02:03:00");
    assert_value(database, "SELECT '\\x41'::bytea::text", "\\x41");
    assert_value(database, "SELECT (1::float8 / 3)::text", "0.3333333333333333");
    assert_value(database, "SHOW lock_timeout", "1min");
    assert_value(database, "SHOW statement_timeout", "0");
    assert_value(database, "SHOW row_security", "off");
    assert_value(database, "SHOW jit", "off");
    assert_value(database, "SHOW idle_in_transaction_session_timeout", "0");
    assert_value(database, "SHOW search_path", "elsewhere, public");
    assert_value(database, "SHOW transaction_isolation", "repeatable read");
    assert_int_equal(egress_database_exec(database, "write", "CREATE TABLE t ()", &err), RC_FAILED);
    expect_text(err.cause, "SQLSTATE 25006");
    expect_text(err.context, "write in database 'postgres'");
    /* A transaction that failed does not stand in the way of the next one. */
    expect_ok(egress_database_begin(database, NULL, &err), err);
    assert_value(database, "SELECT 1", "1");
}

/* What stands for another code than its class, or is made out of no statement here. */
static void test_states(void **state)
{
    (void)state;
    assert_int_equal(egress_code_of("72000"), RC_CONFLICT); /* the snapshot is too old */
    assert_int_equal(egress_code_of("57014"), RC_TIMEOUT);
    assert_int_equal(egress_code_of("57P01"), RC_UNAVAILABLE);
    assert_int_equal(egress_code_of("40001"), RC_UNAVAILABLE);
    assert_int_equal(egress_code_of("22012"), RC_FAILED);
}

static void test_codes(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        enum rc_code code;
    } cases[] = {
        { "SELECT * FROM nothing_there", RC_NOT_FOUND },
        { "SELECT nothing_there FROM pg_class", RC_CONFLICT },
        { "SELECT 1/0", RC_FAILED },
        { "SELEC 1", RC_FAILED },
        { "SELECT * FROM pg_authid", RC_DENIED },
        { "SET LOCAL lock_timeout = 50; LOCK TABLE locked IN ACCESS SHARE MODE", RC_TIMEOUT },
    };
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO url = url_as("odd", "odd");

    admin("BEGIN; LOCK TABLE elsewhere.locked");
    expect_ok(open_at(host, url, &database, &err), err);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        expect_ok(egress_database_begin(database, NULL, &err), err);
        assert_int_equal(egress_database_exec(database, "try", cases[i].sql, &err), cases[i].code);
    }
    admin("ROLLBACK");
    expect_text(err.cause, "'lock_timeout' says how long");
}

static void test_notices_are_for_the_log(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_job(host)->log_level = RC_LOG_DEBUG;
    expect_ok(open_at(host, admin_url(), &database, &err), err);
    expect_ok(
        egress_database_exec(database, "tell", "DO $$BEGIN RAISE NOTICE 'by the way'; END$$", &err),
        err);
    expect_text(rc_fake_host_log(host), "PostgreSQL: NOTICE: by the way");
}

static void test_a_silent_statement_is_cancelled(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;
    int64_t start_ms = mono_ms();

    expect_ok(open_at(host, admin_url(), &database, &err), err);
    rc_fake_host_cancel_at(host, 4);
    assert_int_equal(
        egress_database_exec(database, "sleep", "SELECT pg_sleep(60) /* mine */", &err),
        RC_CANCELLED);
    assert_true(mono_ms() - start_ms < SOON_MS);
    admin_expect("SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%%/* mine%%' AND "
                 "state = 'active' AND pid <> pg_backend_pid()");
    /* It may be used again. */
    rc_fake_host_cancel_at(host, 0);
    expect_ok(egress_database_begin(database, NULL, &err), err);
    assert_value(database, "SELECT 1", "1");
}

static void test_a_lost_connection(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    DATABASE_AUTO database = NULL;
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(open_at(host, admin_url(), &database, &err), err);
    int pid = PQbackendPID(database->connection);
    assert_int_equal(egress_database_exec(database, "end it",
                                          "SELECT pg_terminate_backend("
                                          "pg_backend_pid())",
                                          &err),
                     RC_UNAVAILABLE);
    expect_text(err.cause, "57P01");
    admin_expect("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %d", pid);
    assert_false(egress_database_alive(database));
    assert_int_equal(egress_database_exec(database, "go on", "SELECT 1", &err), RC_UNAVAILABLE);
    assert_int_equal(egress_database_begin(database, NULL, &err), RC_UNAVAILABLE);
}

static int prepare(void **state)
{
    (void)state;
    unsetenv("PGHOST");
    admin("CREATE ROLE part LOGIN PASSWORD 'p''art w/ord'");
    admin("CREATE ROLE lonely LOGIN PASSWORD 'lonely' CONNECTION LIMIT 1");
    admin("CREATE ROLE odd LOGIN PASSWORD 'odd'");
    admin("ALTER ROLE odd SET DateStyle = 'SQL, DMY'");
    admin("ALTER ROLE odd SET TimeZone = 'Australia/Brisbane'");
    admin("ALTER ROLE odd SET IntervalStyle = iso_8601");
    admin("ALTER ROLE odd SET bytea_output = escape");
    admin("ALTER ROLE odd SET extra_float_digits = -10");
    admin("ALTER ROLE odd SET statement_timeout = '1h'");
    admin("ALTER ROLE odd SET idle_in_transaction_session_timeout = '1h'");
    admin("ALTER ROLE odd SET search_path = elsewhere, public");
    admin("CREATE SCHEMA elsewhere; GRANT USAGE ON SCHEMA elsewhere TO odd; "
          "CREATE TABLE elsewhere.locked (); GRANT SELECT ON elsewhere.locked TO odd");
    return 0;
}

static int clear(void **state)
{
    (void)state;
    admin("DROP SCHEMA elsewhere CASCADE; DROP ROLE part, lonely, odd");
    admin_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_connects),
        cmocka_unit_test(test_what_the_database_leaves_open),
        cmocka_unit_test(test_nothing_says_which_host),
        cmocka_unit_test(test_refusals_name_all_but_the_password),
        cmocka_unit_test(test_no_password),
        cmocka_unit_test(test_it_is_tried_again),
        cmocka_unit_test(test_too_many_clients_may_pass),
        cmocka_unit_test(test_a_silent_address_gives_way_to_the_next),
        cmocka_unit_test(test_what_the_text_depends_on),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_notices_are_for_the_log),
        cmocka_unit_test(test_a_silent_statement_is_cancelled),
        cmocka_unit_test(test_a_lost_connection),
    };

    return cmocka_run_group_tests(tests, prepare, clear);
}
