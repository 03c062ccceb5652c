/*
 * The statement protocol of Trino against a server that follows a script: what it is told,
 * what is taken from it, and how a statement ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <trino_world.h>

#include <config/secrets.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what is said ---------------------------------------------------------------------------- */

static const struct rc_pair properties[] = { { "query_max_run_time", "2h" },
                                             { "hive.x", "a,b=c" } };
static const struct rc_pair roles[] = { { "hive", "admin" }, { "system", "none" } };
static const struct rc_pair credentials[] = { { "key", "a b" } };
static const char *const tags[] = { "one", "two" };

static void goes_from_page_to_page(void **state)
{
    const struct script_line lines[] = {
        OK(QUEUED),
        OK(PAGE(2, "[[1,\"x\"],[2,null]]")),
        OK(HEAD COLUMNS NEXT(3) STATS "}"),
        OK(LAST("[[9223372036854775807,\"\\u00e9\\n\"]]")),
    };
    struct world w = { .progress = -1 };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_gets(&w, "1|x;2|-;9223372036854775807|é\n;");
    assert_int_equal(heard(&w), 4);
    assert_true(scripted_asks(&w.server, 0, "POST /v1/statement HTTP"));
    assert_non_null(strstr(w.server.heard[0], "\r\n\r\nSELECT 1"));
    assert_true(scripted_asks(&w.server, 3, "GET /v1/statement/executing/q1/y/3 HTTP"));
    assert_true(w.progress > 0.24 && w.progress < 0.26);
    assert_non_null(strstr(w.said, "3 Trino runs query q1: http://"));
    end(&w);
}

static void says_who_asks_and_how(void **state)
{
    const struct script_line lines[] = { OK(QUEUED), OK(LAST("[]")) };
    struct world w = { .settings = { .user = "ann",
                                     .password = "s:é",
                                     .source = "src",
                                     .catalog = "lake",
                                     .database = "db",
                                     .session = { 2, properties },
                                     .roles = { 2, roles },
                                     .extra_credentials = { 1, credentials },
                                     .client_tags = { 2, tags } } };
    static const char *const expected[][2] = {
        { "X-Trino-User", "ann" },
        { "X-Trino-Source", "src" },
        { "X-Trino-Catalog", "lake" },
        { "X-Trino-Schema", "db" },
        { "X-Trino-Time-Zone", "UTC" },
        { "X-Trino-Session", "query_max_run_time=2h,hive.x=a%2Cb%3Dc" },
        { "X-Trino-Role", "hive=ROLE%7Badmin%7D,system=NONE" },
        { "X-Trino-Extra-Credential", "key=a%20b" },
        { "X-Trino-Client-Tags", "one,two" },
        { "X-Trino-Client-Info", "run-core" },
        { "X-Trino-Trace-Token", "rc_test_1" },
        { "X-Trino-Client-Capabilities", "PARAMETRIC_DATETIME,PATH,SESSION_AUTHORIZATION" },
        { "X-Trino-Transaction-Id", "NONE" },
        { "Authorization", "Basic YW5uOnM6w6k=" },
        { "Content-Type", "text/plain; charset=utf-8" },
    };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_gets(&w, "");
    for (size_t i = 0; i < RC_ARRAY_LEN(expected); i++) {
        const char *value = scripted_header(&w.server, 0, expected[i][0]);

        if (!rc_str_eq(value, expected[i][1]))
            fail_msg("%s: %s", expected[i][0], value ? value : "(none)");
    }
    assert_string_equal(scripted_header(&w.server, 1, "Authorization"), "Basic YW5uOnM6w6k=");
    assert_string_equal(scripted_header(&w.server, 1, "X-Trino-User"), "ann");
    assert_null(scripted_header(&w.server, 1, "X-Trino-Session"));
    end(&w);
}

/* What the client of Trino for Node.js (trino-client) sends with a statement, and with a poll. */
static void says_all_that_another_client_says(void **state)
{
    static const char *const its[][2] = {
        { "X-Trino-User", "user" },
        { "X-Trino-Source", "s" },
        { "X-Trino-Catalog", "hive" },
        { "X-Trino-Schema", "default" },
        { "Authorization", "Basic dXNlcjo=" },
        { "Content-Length", "8" },
    };
    const struct script_line lines[] = { OK(QUEUED), OK(LAST("[]")) };
    struct world w = { .settings = { .user = "user", .password = "", .source = "s" } };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_gets(&w, "");
    for (size_t i = 0; i < RC_ARRAY_LEN(its); i++)
        assert_string_equal(scripted_header(&w.server, 0, its[i][0]), its[i][1]);
    assert_string_equal(scripted_header(&w.server, 1, "Authorization"), "Basic dXNlcjo=");
    assert_string_equal(scripted_header(&w.server, 1, "X-Trino-User"), "user");
    end(&w);
}

static void says_little_by_default(void **state)
{
    const struct script_line lines[] = { OK(LAST("[]")), OK(LAST("[]")) };
    struct world w = { .said = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_gets(&w, "");
    assert_string_equal(scripted_header(&w.server, 0, "X-Trino-User"), "run-core");
    assert_string_equal(scripted_header(&w.server, 0, "X-Trino-Source"), "run-core");
    assert_string_equal(scripted_header(&w.server, 0, "X-Trino-Catalog"), "hive");
    assert_string_equal(scripted_header(&w.server, 0, "X-Trino-Schema"), "default");
    assert_null(scripted_header(&w.server, 0, "Authorization"));
    assert_null(scripted_header(&w.server, 0, "X-Trino-Session"));
    assert_null(scripted_header(&w.server, 0, "X-Trino-Role"));
    end(&w);
}

static void leaves_the_user_to_a_token(void **state)
{
    const struct script_line lines[] = { OK(LAST("[]")) };
    struct world w = { .settings = { .token = "a.b.c" } };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_gets(&w, "");
    assert_string_equal(scripted_header(&w.server, 0, "Authorization"), "Bearer a.b.c");
    assert_null(scripted_header(&w.server, 0, "X-Trino-User"));
    end(&w);
}

static void says_again_what_it_was_told(void **state)
{
    const struct script_line lines[] = {
        { 200,
          "X-Trino-Set-Session: a=1%2C2\r\nX-Trino-Set-Session: b=2\r\nX-Trino-Set-Catalog: "
          "c\r\nX-Trino-Set-Schema: s\r\nX-Trino-Set-Path: p\r\n",
          LAST("[]"), 0, 0 },
        { 200,
          "x-trino-clear-session: b\r\nX-Trino-Set-Role: hive=ROLE%7Bx%7D\r\n"
          "X-Trino-Added-Prepare: q=SELECT+1\r\nX-Trino-Started-Transaction-Id: t1\r\n"
          "X-Trino-Set-Authorization-User: bob\r\n",
          LAST("[]"), 0, 0 },
        { 200,
          "X-Trino-Deallocated-Prepare: q\r\nX-Trino-Clear-Transaction-Id: true\r\n"
          "X-Trino-Reset-Authorization-User: true\r\nX-Trino-Set-Session: a=3\r\n",
          LAST("[]"), 0, 0 },
        OK(LAST("[]")),
    };
    struct world w = { .settings = { .user = "ann" } };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    for (int i = 0; i < 4; i++)
        asks_and_gets(&w, "");
    assert_string_equal(scripted_header(&w.server, 1, "X-Trino-Session"), "a=1%2C2,b=2");
    assert_string_equal(scripted_header(&w.server, 1, "X-Trino-Catalog"), "c");
    assert_string_equal(scripted_header(&w.server, 1, "X-Trino-Schema"), "s");
    assert_string_equal(scripted_header(&w.server, 1, "X-Trino-Path"), "p");
    assert_string_equal(scripted_header(&w.server, 2, "X-Trino-Session"), "a=1%2C2");
    assert_string_equal(scripted_header(&w.server, 2, "X-Trino-Role"), "hive=ROLE%7Bx%7D");
    assert_string_equal(scripted_header(&w.server, 2, "X-Trino-Prepared-Statement"), "q=SELECT+1");
    assert_string_equal(scripted_header(&w.server, 2, "X-Trino-Transaction-Id"), "t1");
    assert_string_equal(scripted_header(&w.server, 2, "X-Trino-User"), "bob");
    assert_string_equal(scripted_header(&w.server, 2, "X-Trino-Original-User"), "ann");
    assert_null(scripted_header(&w.server, 3, "X-Trino-Prepared-Statement"));
    assert_string_equal(scripted_header(&w.server, 3, "X-Trino-Session"), "a=3");
    assert_string_equal(scripted_header(&w.server, 3, "X-Trino-Transaction-Id"), "NONE");
    assert_string_equal(scripted_header(&w.server, 3, "X-Trino-User"), "ann");
    assert_null(scripted_header(&w.server, 3, "X-Trino-Original-User"));
    end(&w);
}

/* ---- what is short of time or room ----------------------------------------------------------- */

/* Of what tidies up no answer is awaited longer than there is time for that. */
static void ends_with_the_time_to_tidy_up(void **state)
{
    const struct script_line lines[] = { OK(QUEUED), { 200, NULL, LAST("[]"), 0, 3000 } };
    const struct script_line busy[] = { { 503, "Retry-After: 4\r\n", "later", 0, 0 },
                                        OK(LAST("[]")) };
    struct world w = { .said = "" };
    int64_t began_mono_ms = core_clock_mono_ms();

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    w.session.until_mono_ms = core_clock_mono_ms() + 300;
    asks_and_fails(&w, RC_TIMEOUT, "tidying up takes too long");
    end(&w);

    w = (struct world){ .said = "" };
    begin(&w, busy, RC_ARRAY_LEN(busy));
    began_mono_ms = core_clock_mono_ms();
    w.session.until_mono_ms = began_mono_ms + 2000;
    asks_and_fails(&w, RC_UNAVAILABLE, "HTTP 503: later");
    assert_true(core_clock_mono_ms() - began_mono_ms < 3500);
    end(&w);
}

/* An end that is refused for a while is said again; one that is not taken is told of. */
static void ends_a_query_as_well_as_it_can(void **state)
{
    const struct script_line lines[] = {
        OK(QUEUED), { .status = 400, .body = "no" }, { .status = 503 }, { .status = 204 }
    };
    const struct script_line never[] = { OK(QUEUED),
                                         { .status = 400, .body = "no" },
                                         { .status = 500 },
                                         { .status = 500 },
                                         { .status = 500 } };
    struct world w = { .said = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_fails(&w, RC_INVALID, "HTTP 400: no");
    assert_int_equal(heard(&w), RC_ARRAY_LEN(lines));
    assert_true(scripted_asks(&w.server, 3, "DELETE /v1/statement/executing/q1/y/1"));
    assert_null(strstr(w.said, "could not be ended"));
    end(&w);

    w = (struct world){ .said = "" };
    begin(&w, never, RC_ARRAY_LEN(never));
    asks_and_fails(&w, RC_INVALID, "HTTP 400: no");
    assert_non_null(strstr(w.said, "could not be ended: HTTP 500"));
    end(&w);
}

/* In the form that a server may repeat. */
static void hides_a_password_as_it_is_sent(void **state)
{
    const struct script_line lines[] = { { .status = 400, .body = "Basic bWU6Z2VoZWltLTc=?" } };
    struct world w = { .said = "", .settings = { .user = "me", .password = "geheim-7" } };
    RC_BUF_AUTO(shown, 1024);

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_fails(&w, RC_INVALID, "HTTP 400");
    assert_string_equal(scripted_header(&w.server, 0, "Authorization"), "Basic bWU6Z2VoZWltLTc=");
    core_secret_add_masked(&shown, w.err.cause, strlen(w.err.cause));
    assert_null(strstr(shown.data, "bWU6"));
    end(&w);
}

/* Credentials that do not fit are not left out, or sent in part. */
static void sends_all_headers_or_nothing(void **state)
{
    const struct script_line lines[] = { OK(LAST("[]")) };
    RC_STR_AUTO token = rc_strf("%0*d", 100 * 1024, 1);
    struct world w = { .said = "", .settings = { .token = token } };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_fails(&w, RC_TOO_LARGE, "");
    assert_non_null(strstr(w.err.context, "'token'"));
    assert_int_equal(heard(&w), 0);
    end(&w);
}

/* ---- what is not taken ----------------------------------------------------------------------- */

static void refuses_answers(void **state)
{
    static const struct {
        struct script_line line;
        enum rc_code code;
        const char *words;
    } cases[] = {
        { { .status = 401, .body = "Invalid credentials" },
          RC_DENIED,
          "HTTP 401: Invalid credentials; look at 'user', 'password' and 'token'" },
        { { .status = 403, .body = "Access Denied\nno" }, RC_DENIED, "HTTP 403: Access Denied no" },
        { { .status = 404, .body = "<html>" }, RC_INVALID, "is 'url' that of a coordinator?" },
        { { .status = 400, .body = "SQL statement is empty" },
          RC_INVALID,
          "HTTP 400: SQL statement is empty" },
        { { .status = 500, .body = "oops" }, RC_UNAVAILABLE, "HTTP 500: oops" },
        { { .status = 302, .headers = "Location: https://u:p@elsewhere/x?secret\r\n" },
          RC_INVALID,
          "it redirects to 'https://elsewhere/x?...'" },
        { OK("<html>hello"), RC_CORRUPT, "it begins with '<html>hello'" },
        { OK("{\"id\":\"q1\"} x"), RC_CORRUPT, "no page" },
        { OK("{\"id\":7}"), RC_CORRUPT, "no page" },
        { OK("{\"infoUri\":\"x\"}"), RC_CORRUPT, "no page" },
        { OK(HEAD COLUMNS "\"data\":[[1]]}"), RC_CORRUPT, "cut short after column 1 of 2" },
        { OK(HEAD COLUMNS "\"data\":[[1,\"a\",2]]}"), RC_CORRUPT, "a row's column 3" },
        { OK(HEAD COLUMNS "\"data\":[[\"1\",\"a\"]]}"), RC_CORRUPT, "a row's column 1" },
        { OK(HEAD COLUMNS "\"data\":[7]}"), RC_CORRUPT, "a row" },
        { OK(HEAD COLUMNS "\"data\":7}"), RC_CORRUPT, "no page" },
        { OK(HEAD "\"nextUri\":\"http://elsewhere.example.org/v1/statement/q1/1\"}"), RC_INVALID,
          "which is another server" },
        { OK(HEAD "\"nextUri\":\"http://127.0.0.1:1/v1/statement/q1/1\"}"), RC_INVALID,
          "which is another server" },
        { OK(HEAD "\"nextUri\":\"/v1/statement/q1/1\"}"), RC_INVALID, "which is another server" },
        { OK(HEAD "\"nextUri\":\"{url}@elsewhere/q1/1\"}"), RC_INVALID, "which is another server" },
        { OK(HEAD "\"nextUri\":\"https://127.0.0.1/q1\"}"), RC_INVALID, "which is another server" },
        { OK(FAILED("SYNTAX_ERROR", "USER_ERROR", "line 1:1: mismatched")), RC_INVALID,
          "Trino: SYNTAX_ERROR: line 1:1: mismatched" },
        { OK(FAILED("PERMISSION_DENIED", "USER_ERROR", "Access Denied")), RC_DENIED, "grant it" },
        { OK(FAILED("HIVE_TOO_MANY_OPEN_PARTITIONS", "USER_ERROR", "100")), RC_TOO_LARGE, "100" },
        { OK(FAILED("HIVE_BAD_DATA", "EXTERNAL", "Malformed ORC")), RC_UNSUPPORTED, "Malformed" },
        { OK(FAILED("HIVE_FILESYSTEM_ERROR", "EXTERNAL", "no")), RC_UNAVAILABLE, "no" },
        { OK(FAILED("NEW_ONE", "INSUFFICIENT_RESOURCES", "no")), RC_UNAVAILABLE, "NEW_ONE" },
        { OK(FAILED("NEW_ONE", "INTERNAL_ERROR", "no")), RC_FAILED, "NEW_ONE" },
        { OK(HEAD "\"error\":{}}"), RC_FAILED, "no reason is given" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct world w = { .settings = { .user = "ann", .password = "secret" } };

        begin(&w, &cases[i].line, 1);
        asks_and_fails(&w, cases[i].code, cases[i].words);
        assert_int_equal(heard(&w), 1);
        assert_null(strstr(w.err.cause, "secret"));
        end(&w);
    }
}

/* A later page that leads elsewhere: the statement is ended where it runs. */
static void ends_what_is_led_astray(void **state)
{
    const struct script_line lines[] = {
        OK(QUEUED),
        OK(HEAD "\"nextUri\":\"http://elsewhere.example.org/q1/1\"}"),
        { .status = 204 },
    };
    struct world w = { .said = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_fails(&w, RC_INVALID, "which is another server");
    assert_int_equal(heard(&w), 3);
    assert_true(scripted_asks(&w.server, 2, "DELETE /v1/statement/executing/q1/y/1 HTTP"));
    assert_non_null(strstr(w.err.context, "query q1 (http://127.0.0.1"));
    end(&w);
}

static void knows_that_a_server_started_anew(void **state)
{
    const struct script_line lines[] = { OK(QUEUED), { .status = 404, .body = "Query not found" } };
    struct world w = { .said = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_fails(&w, RC_UNAVAILABLE, "does not know the statement any more");
    end(&w);
}

static void takes_pages_up_to_a_size(void **state)
{
    const struct script_line lines[] = { OK(QUEUED),
                                         OK(PAGE(2, "[[1,\"xxxxxxxxxxxxxxxxxxxx\"]]")) };
    struct world w = { .limits = { .page_bytes = 300 } };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_fails(&w, RC_TOO_LARGE, "Trino at");
    assert_true(scripted_asks(&w.server, heard(&w) - 1, "DELETE "));
    end(&w);
}

/* ---- how a statement ends -------------------------------------------------------------------- */

static void ends_what_nobody_reads_on(void **state)
{
    const struct script_line lines[] = { OK(QUEUED),
                                         OK(PAGE(2, "[[1,\"x\"],[2,\"y\"]]")),
                                         { .status = 204 } };
    struct core_trino_statement *statement = NULL;
    const struct rc_value *row = NULL;
    struct world w = { .settings = { .user = "ann", .password = "p" } };
    RC_ROWS_AUTO(rows);

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    assert_int_equal(core_trino_start(w.client, "SELECT 1", &statement, &w.err), RC_OK);
    assert_int_equal(core_trino_rows(statement, &rows, &w.err), RC_OK);
    assert_int_equal(rc_rows_next(rows, &row, &w.err), RC_OK);
    assert_non_null(row);
    rc_rows_close(&rows);
    assert_int_equal(heard(&w), 3);
    assert_true(scripted_asks(&w.server, 2, "DELETE /v1/statement/executing/q1/y/2 HTTP"));
    assert_string_equal(scripted_header(&w.server, 2, "Authorization"), "Basic YW5uOnA=");
    end(&w);
}

static void *wish(void *context)
{
    struct world *w = context;

    while (heard(w) < 2)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 5 * 1000 * 1000 }, NULL);
    core_cancel_request(&w->run, RC_CANCELLED);
    return NULL;
}

static void ends_what_is_cancelled(void **state)
{
    const struct script_line lines[] = { OK(QUEUED),
                                         { 200, NULL, LAST("[]"), 0, 60000 },
                                         { .status = 204 } };
    struct world w = { .said = "" };
    pthread_t thread;

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    assert_int_equal(pthread_create(&thread, NULL, wish, &w), 0);
    asks_and_fails(&w, RC_CANCELLED, "the run was asked to stop");
    (void)pthread_join(thread, NULL);
    assert_int_equal(heard(&w), 3);
    assert_true(scripted_asks(&w.server, 2, "DELETE /v1/statement/executing/q1/y/1 HTTP"));
    end(&w);
}

static void keeps_to_the_time_for_a_statement(void **state)
{
    const struct script_line lines[] = { OK(QUEUED),
                                         OK(QUEUED),
                                         { 200, NULL, LAST("[]"), 0, 60000 } };
    struct world w = { .settings = { .query_timeout_ms = 300 } };
    int64_t began_mono_ms = core_clock_mono_ms();

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_fails(&w, RC_TIMEOUT, "the statement was not done within 300ms, its 'query_timeout'");
    assert_true(core_clock_mono_ms() - began_mono_ms < 10 * 1000);
    end(&w);
}

static void counts_what_was_read(void **state)
{
    const struct script_line lines[] = {
        OK(HEAD NEXT(1) "\"stats\":{\"processedBytes\":10,\"progressPercentage\":50.5}}"),
        OK(HEAD COLUMNS "\"updateType\":\"CREATE TABLE\",\"updateCount\":7,\"data\":[[7,\"x\"]],"
                        "\"stats\":{\"processedBytes\":123,\"progressPercentage\":100.0},"
                        "\"warnings\":[{\"warningCode\":{\"code\":1,\"name\":\"X\"},"
                        "\"message\":\"look out\"}]}"),
    };
    struct core_trino_statement *statement = NULL;
    struct world w = { .said = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    assert_int_equal(core_trino_start(w.client, "CREATE ...", &statement, &w.err), RC_OK);
    assert_int_equal(statement->page.update_count, -1);
    assert_true(w.progress == 0.505);
    assert_int_equal(core_trino_next(statement, &w.err), RC_OK);
    assert_null(statement->next_uri);
    assert_int_equal(statement->page.update_count, 7);
    assert_string_equal(statement->page.update_type, "CREATE TABLE");
    core_trino_end(statement);
    assert_int_equal(w.scanned_bytes, 123);
    assert_non_null(strstr(w.said, "1 Trino: look out\n"));
    end(&w);
}

/* ---- settings -------------------------------------------------------------------------------- */

static void finds_faults_of_settings(void **state)
{
    static const struct rc_pair bad_name[] = { { "a,b", "1" } };
    static const struct rc_pair no_value[] = { { "a", "" } };
    static const char *const bad_tag[] = { "a,b" };
    static const struct {
        struct core_engine_settings settings;
        const char *words; /* NULL: there is none */
    } cases[] = {
        { { .url = "https://trino:8443" }, NULL },
        { { .url = "http://trino:8080", .user = "ann" }, NULL },
        { { .url = "http://localhost:8080", .user = "ann", .password = "p" }, NULL },
        { { .url = "https://trino/gate/", .token = "a.b.c" }, NULL },
        { { .user = "ann" }, "'url' is missing" },
        { { .url = "trino:8080" }, "no http or https URL" },
        { { .url = "https://ann:p@trino" }, "without user" },
        { { .url = "https://trino/?a=b" }, "without user" },
        { { .url = "http://trino:8080", .user = "ann", .password = "p" }, "by https alone" },
        { { .url = "http://trino:8080", .token = "t" }, "by https alone" },
        { { .url = "http://trino:8080", .extra_credentials = { 1, credentials } },
          "by https alone" },
        { { .url = "http://127.0.0.1.example.org", .token = "t" }, "by https alone" },
        { { .url = "https://trino", .user = "a", .password = "p", .token = "t" }, "both" },
        { { .url = "https://trino", .password = "p" }, "without 'user'" },
        { { .url = "https://trino", .user = "a:b", .password = "p" }, "has a ':'" },
        { { .url = "https://trino", .user = "a\r\nb" }, "control" },
        { { .url = "https://trino", .catalog = "" }, "not empty" },
        { { .url = "https://trino", .database = "" }, "not empty" },
        { { .url = "https://trino", .user = "" }, "not empty" },
        { { .url = "https://trino", .token = "a b" }, "'token'" },
        { { .url = "https://trino", .session = { 1, bad_name } }, "'session'" },
        { { .url = "https://trino", .session = { 1, no_value } }, "'session'" },
        { { .url = "https://trino", .roles = { 1, bad_name } }, "'roles'" },
        { { .url = "https://trino", .extra_credentials = { 1, bad_name } }, "'extra_credentials'" },
        { { .url = "https://trino", .client_tags = { 1, bad_tag } }, "'client_tags'" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        const char *fault = core_trino_settings_fault(&cases[i].settings);

        if (cases[i].words ? !fault || !strstr(fault, cases[i].words) : fault != NULL)
            fail_msg("case %zu: %s", i, fault ? fault : "no fault");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_from_page_to_page),
        cmocka_unit_test(says_who_asks_and_how),
        cmocka_unit_test(says_all_that_another_client_says),
        cmocka_unit_test(says_little_by_default),
        cmocka_unit_test(leaves_the_user_to_a_token),
        cmocka_unit_test(says_again_what_it_was_told),
        cmocka_unit_test(ends_with_the_time_to_tidy_up),
        cmocka_unit_test(ends_a_query_as_well_as_it_can),
        cmocka_unit_test(hides_a_password_as_it_is_sent),
        cmocka_unit_test(sends_all_headers_or_nothing),
        cmocka_unit_test(refuses_answers),
        cmocka_unit_test(ends_what_is_led_astray),
        cmocka_unit_test(knows_that_a_server_started_anew),
        cmocka_unit_test(takes_pages_up_to_a_size),
        cmocka_unit_test(ends_what_nobody_reads_on),
        cmocka_unit_test(ends_what_is_cancelled),
        cmocka_unit_test(keeps_to_the_time_for_a_statement),
        cmocka_unit_test(counts_what_was_read),
        cmocka_unit_test(finds_faults_of_settings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
