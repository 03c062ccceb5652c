/*
 * Connections to PostgreSQL that fail: what stays until somebody mends it is told from what can be
 * waited for.
 */
#include "places.h"

#include <db/postgres.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- libpq's texts ------------------------------------------------------------------------ */

#define AT(host, address, port)                                                                    \
    "connection to server at \"" host "\"" address ", port " port " failed: "
#define REFUSED                                                                                    \
    "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n"
#define CUT                                                                                        \
    "server closed the connection unexpectedly\n\tThis probably means the server terminated "      \
    "abnormally\n\tbefore or while processing the request.\n"
#define WRONG "FATAL:  28P01: password authentication failed for user \"u\"\n"
#define BEGINS "FATAL:  57P03: the database system is starting up\n"
#define NO_ENTRY "FATAL:  28000: no pg_hba.conf entry for host \"h\", no encryption\n"
#define NO_TLS "server does not support SSL, but SSL was required\n"
#define NO_NAME "could not translate host name \"h\" to address: Name or service not known\n"
#define NO_ROOT                                                                                    \
    "root certificate file \"/r\" does not exist\nEither provide the file or change sslmode to "   \
    "disable server certificate verification.\n"

/* Texts of libpq; of several hosts, of one with several addresses, with and without TLS. */
static const struct {
    const char *message;
    enum rc_code code;
} messages[] = {
    { "", RC_UNAVAILABLE },
    { "whatever comes to be said one day\n", RC_UNAVAILABLE },
    { AT("h", "", "1") REFUSED, RC_UNAVAILABLE },
    { AT("h", "", "1") "Connection timed out\n", RC_UNAVAILABLE },
    { AT("h", "", "1") "No route to host\n", RC_UNAVAILABLE },
    { AT("h", "", "1") "timeout expired\n", RC_UNAVAILABLE },
    { AT("h", "", "1") CUT, RC_UNAVAILABLE },
    { AT("h", "", "1") "SSL SYSCALL error: EOF detected\n", RC_UNAVAILABLE },
    { AT("h", "", "1") "SSL error: unexpected eof while reading\n", RC_UNAVAILABLE },
    { AT("h", "", "1") "server is in hot standby mode\n", RC_UNAVAILABLE },
    { AT("certificate file", "", "1") REFUSED, RC_UNAVAILABLE },
    { NO_NAME, RC_UNAVAILABLE },
    { "connection to server on socket \"/s/.s.PGSQL.1\" failed: No such file or directory\n"
      "\tIs the server running locally and accepting connections on that socket?\n",
      RC_UNAVAILABLE },
    { AT("h", "", "1") BEGINS, RC_UNAVAILABLE },

    { AT("h", "", "1") WRONG, RC_DENIED },
    { AT("h", "", "1") NO_ROOT, RC_DENIED },
    { AT("h", "", "1") "could not read root certificate file \"/r\": no start line\n", RC_DENIED },
    { AT("h", "", "1") "SSL error: certificate verify failed\n", RC_DENIED },
    { AT("h", "", "1") "server certificate for \"x\" (and 1 other name) does not match host "
                       "name \"h\"\n",
      RC_DENIED },
    { AT("h", "", "1") "certificate present, but not private key file \"/k\"\n", RC_DENIED },
    { AT("h", "", "1") "SSL error: tlsv1 alert unknown ca\n", RC_DENIED },
    { AT("h", "", "1") "SSL error: sslv3 alert bad certificate\n", RC_DENIED },
    { AT("h", "", "1") "SSL error: tlsv13 alert certificate required\n", RC_DENIED },
    { AT("h", "", "1") "SSL error: tlsv1 alert protocol version\nThis may indicate that\n",
      RC_DENIED },
    { AT("h", "", "1") "channel binding is required, but server did not offer an authentication "
                       "method that supports channel binding\n",
      RC_DENIED },
    { AT("h", "", "1") "server doesn't support GSSAPI encryption, but it was required\n",
      RC_DENIED },
    { "invalid \"ssl_min_protocol_version\" value: \"1\"\n", RC_INVALID },
    { "weak sslmode \"require\" may not be used with sslrootcert=system\n", RC_INVALID },

    /* several hosts: all */
    { AT("a", "", "1") REFUSED AT("b", "", "1") WRONG, RC_UNAVAILABLE },
    { AT("a", "", "1") REFUSED AT("a", "", "12") WRONG, RC_UNAVAILABLE },
    { AT("a", "", "12") REFUSED AT("a", "", "1") WRONG, RC_UNAVAILABLE },
    { AT("a", "", "1") BEGINS AT("b", "", "1") WRONG, RC_UNAVAILABLE },
    { NO_NAME AT("b", "", "1") WRONG, RC_UNAVAILABLE },
    { AT("b", "", "1") REFUSED "could not parse network address \"?\": not known\n",
      RC_UNAVAILABLE },
    { "could not parse network address \"?\": not known\n" AT("b", "", "1") REFUSED,
      RC_UNAVAILABLE },
    { AT("a", "", "1") WRONG AT("b", "", "1") NO_TLS, RC_DENIED },
    { "could not parse network address \"?\": not known\n" AT("b", "", "1") WRONG, RC_DENIED },
    { AT("a", "", "1") NO_ROOT AT("b", "", "1") REFUSED, RC_UNAVAILABLE },

    /* several addresses of one: any */
    { AT("a", " (::1)", "1") REFUSED AT("a", " (127.0.0.1)", "1") WRONG, RC_DENIED },
    { AT("a", " (::1)", "1") REFUSED AT("a", " (127.0.0.1)", "1") NO_TLS, RC_DENIED },
    { AT("a", " (::1)", "1") REFUSED AT("a", " (127.0.0.1)", "1") REFUSED, RC_UNAVAILABLE },
    { AT("a", " (::1)", "1") REFUSED AT("a", " (127.0.0.1)", "1") WRONG AT("b", "", "1") REFUSED,
      RC_UNAVAILABLE },

    /* one address with TLS, then without: both */
    { AT("a", "", "1") NO_ENTRY AT("a", "", "1") NO_ENTRY, RC_DENIED },
    { AT("a", "", "1") CUT AT("a", "", "1") NO_ENTRY, RC_UNAVAILABLE },
    { AT("a", "", "1") NO_ENTRY AT("a", "", "1") REFUSED, RC_UNAVAILABLE },

    /* before libpq 14 */
    { "could not connect to server: Connection refused\n\tIs the server running on host \"h\" "
      "and accepting\n\tTCP/IP connections on port 1?\n",
      RC_UNAVAILABLE },
    { WRONG, RC_DENIED },
    { NO_TLS, RC_DENIED },
};

static void what_passes_is_told_from_what_stays(void **state)
{
    const char *advice;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(messages); i++) {
        enum rc_code code = core_postgres_judge(messages[i].message, &advice);

        if (code != messages[i].code)
            fail_msg("%s is told of: %s", rc_code_name(code), messages[i].message);
    }
}

/* ---- places ------------------------------------------------------------------------------- */

static int on_postgres(void **state)
{
    (void)state;
    return place_make(/* postgres = */ true);
}

static int tear_down(void **state)
{
    (void)state;
    return place_clear();
}

static enum rc_code open_at(const char *url, struct rc_error *err)
{
    struct core_db *db;
    enum rc_code code = core_db_open(url, &db, err);

    core_db_close(db);
    return code;
}

/* Asks nobody: of the names there is no address. */
static void values_that_are_none_are_found_without_a_server(void **state)
{
    static const struct {
        const char *url, *words;
    } wrong[] = {
        { "postgresql://u:secret@no.such.host:99999/x", "invalid port number" },
        { "postgresql://u:secret@a:1,no.such.host:0/x", "invalid port number" },
        { "postgresql://u:secret@no.such.host/x?port=,-1", "invalid port number" },
        { "postgresql://u:secret@no.such.host/x?sslmode=wat", "invalid sslmode value: \"wat\"" },
        { "postgresql://u:secret@a,no.such.host/x?channel_binding=1", "invalid channel_binding" },
        { "postgresql:///x?gssencmode=perhaps&host=/nowhere", "invalid gssencmode value" },
        { "postgresql://no.such.host/x?target_session_attrs=all", "invalid target_session_attrs" },
        { "postgresql://h/x?ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
          "invalid SSL protocol version range" },
    };
    static const char *const right[] = {
        "postgresql://u:secret@no.such.host:65535/x?sslmode=verify-full&sslrootcert=/nowhere",
        "postgresql://a:1,no.such.host/x?channel_binding=require&gssencmode=disable",
        "postgresql://a,b/x?port=1,&hostaddr=127.0.0.1,127.0.0.2&sslmode=require",
        "postgresql:///x?host=/nowhere&service=none",
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++) {
        assert_int_equal(core_db_check(wrong[i].url, &err), RC_INVALID);
        assert_non_null(strstr(err.cause, wrong[i].words));
        assert_null(strstr(err.cause, "secret"));
        assert_int_equal(open_at(wrong[i].url, &err), RC_INVALID);
        assert_non_null(strstr(err.cause, wrong[i].words));
        assert_null(strstr(err.cause, "secret"));
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(right); i++)
        expect_ok(core_db_check(right[i], &err));
}

/* See also test_daemon_rough.py, with certificates. */
static void what_a_server_does_not_have_is_not_waited_for(void **state)
{
    static const struct {
        const char *options;
        enum rc_code code;
        const char *words;
    } wrong[] = {
        { "sslmode=require", RC_DENIED, "server does not support SSL, but SSL was required" },
        { "channel_binding=require", RC_DENIED, "channel binding required" },
        { "gssencmode=require", RC_DENIED, "GSSAPI encryption" },
        { "keepalives_idle=1x", RC_INVALID, "invalid integer value \"1x\"" },
        { "port=1,2", RC_INVALID, "could not match 2 port numbers to 1 hosts" },
        { "hostaddr=999.0.0.1", RC_INVALID, "could not parse network address" },
        { "service=none", RC_NOT_FOUND, "service" },
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++) {
        RC_STR_AUTO url = rc_strf("%s?%s", place_url, wrong[i].options);

        assert_int_equal(open_at(url, &err), wrong[i].code);
        assert_non_null(strstr(err.cause, wrong[i].words));
        assert_null(strstr(err.cause, "core.state"));
    }
    RC_STR_AUTO nobody = rc_strf("postgresql://postgres%s", strchr(place_url, '@'));
    assert_int_equal(open_at(nobody, &err), RC_DENIED);
    assert_non_null(strstr(err.cause, "no password supplied"));
    assert_non_null(strstr(err.cause, "look at the user and the password of 'core.state'"));

    /* The first host may be back at any time, and is asked first then. */
    RC_STR_AUTO first_away =
        rc_strf("postgresql://postgres:wrong-one@127.0.0.1:1,%s", strchr(place_url, '@') + 1);
    assert_int_equal(open_at(first_away, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, "Connection refused"));
    assert_non_null(strstr(err.cause, "password authentication failed"));
    assert_null(strstr(err.cause, "LOCATION"));
    assert_int_equal(open_at("postgresql:///x?host=/nowhere", &err), RC_UNAVAILABLE);
    assert_int_equal(open_at("postgresql://u@nowhere.invalid/x", &err), RC_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_passes_is_told_from_what_stays),
        cmocka_unit_test(values_that_are_none_are_found_without_a_server),
        cmocka_unit_test_setup_teardown(what_a_server_does_not_have_is_not_waited_for, on_postgres,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
