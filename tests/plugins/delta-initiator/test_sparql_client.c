/*
 * The client, on the fake host: what is sent, what each answer means, what is repeated and what
 * not, and that nothing is left open wherever it fails.
 */
#include "recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <sparql/client.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *

#define ROWS                                                                                       \
    "{\"head\":{\"vars\":[\"s\"]},\"results\":{\"bindings\":["                                     \
    "{\"s\":{\"type\":\"uri\",\"value\":\"http://e/1\"}},"                                         \
    "{\"s\":{\"type\":\"uri\",\"value\":\"http://e/2\"}}]}}"
#define YES "{\"head\":{},\"boolean\":true}"

static const char select_text[] = "SELECT ?s WHERE { ?s ?p \"a&b+c\" }";
static const char update_text[] = "INSERT DATA { <http://e/1> <http://e/p> \"\xC3\xA9\" }";
static const char *const columns[] = { "s" };

static const struct rc_http_header headers[] = { { "mu-auth-sudo", "true" } };

static struct sparql_store store_of(unsigned attempts)
{
    return (struct sparql_store){
        .query_url = "http://reader:secret@db:8890/sparql?timeout=0",
        .update_url = "http://db:8890/update",
        .user = "dba",
        .password = "hunter2",
        .auth = RC_HTTP_AUTH_DIGEST,
        .headers = headers,
        .header_count = RC_ARRAY_LEN(headers),
        .request_ms = 60000,
        .attempts = attempts,
    };
}

static void answer(struct rc_fake_host *host, int times, unsigned status, const char *body)
{
    rc_fake_host_answer_http(host, NULL, times,
                             &(struct rc_fake_http_answer){ .status = status, .body = body });
}

static void answer_with(struct rc_fake_host *host, unsigned status, const char *header,
                        const char *body)
{
    const char *const lines[] = { header, NULL };

    rc_fake_host_answer_http(
        host, NULL, 1,
        &(struct rc_fake_http_answer){ .status = status, .headers = lines, .body = body });
}

/* ---- the three requests ---------------------------------------------------------------------- */

enum verb { QUERY, ASK, UPDATE, VERBS };

/* '*rows' is what was read, or whether the answer was yes. */
static enum rc_code query(struct rc_fake_host *host, const struct sparql_store *store,
                          int64_t *rows, struct rc_error *err)
{
    struct sparql_rows *all;
    const struct sparql_term *row;
    enum rc_code code;

    if (sparql_query(rc_fake_host_job(host), store, "the things", select_text, &all, err))
        return err->code;
    for (*rows = 0;; (*rows)++) {
        code = sparql_rows_next(all, columns, RC_ARRAY_LEN(columns), &row, err);
        if (code || !row)
            break;
        assert_int_equal(row[0].kind, SPARQL_IRI);
    }
    sparql_rows_close(all);
    return code;
}

static enum rc_code perform(struct rc_fake_host *host, enum verb verb,
                            const struct sparql_store *store, int64_t *rows, struct rc_error *err)
{
    struct rc_job *job = rc_fake_host_job(host);
    bool yes;
    enum rc_code code;

    switch (verb) {
    case QUERY:
        return query(host, store, rows, err);
    case ASK:
        code = sparql_ask(job, store, "the question", "ASK {}", &yes, err);
        *rows = yes;
        return code;
    default:
        return sparql_update(job, store, "the change", update_text, err);
    }
}

static const char *body_of(enum verb verb)
{
    return verb == QUERY ? ROWS : verb == ASK ? YES : "";
}

static void test_requests_are_forms(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(1);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_fake_http_request made;
    int64_t rows = 0;

    (void)state;
    answer(host, 1, 200, ROWS);
    assert_int_equal(perform(host, QUERY, &store, &rows, &err), RC_OK);
    assert_int_equal(rows, 2);
    made = rc_fake_host_http_request(host, 0);
    assert_string_equal(made.method, "POST");
    assert_string_equal(made.url, store.query_url);
    assert_string_equal(made.body, "query=SELECT%20%3Fs%20WHERE%20%7B%20%3Fs%20%3Fp%20%22a%26b%2Bc"
                                   "%22%20%7D");
    assert_string_equal(made.headers,
                        "Content-Type: application/x-www-form-urlencoded\n"
                        "Accept: application/sparql-results+json, application/json;q=0.9\n"
                        "mu-auth-sudo: true\n");
    assert_int_equal(made.flags, RC_HTTP_SAFE_TO_REPEAT | RC_HTTP_READS_ONLY);

    answer(host, 1, 200, YES);
    assert_int_equal(perform(host, ASK, &store, &rows, &err), RC_OK);
    assert_int_equal(rows, 1);
    assert_string_equal(rc_fake_host_http_request(host, 1).body, "query=ASK%20%7B%7D");

    answer(host, 1, 204, "");
    assert_int_equal(perform(host, UPDATE, &store, &rows, &err), RC_OK);
    made = rc_fake_host_http_request(host, 2);
    assert_string_equal(made.url, store.update_url);
    assert_true(rc_str_starts(made.body, "update=INSERT%20DATA"));
    assert_non_null(strstr(made.body, "%22%C3%A9%22"));
    assert_non_null(strstr(made.headers, "Accept: application/sparql-results+json, */*;q=0.1\n"));
    assert_int_equal(made.flags, RC_HTTP_SAFE_TO_REPEAT);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void test_the_user_goes_with_each_request(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(1);
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows;

    (void)state;
    for (enum verb verb = QUERY; verb < VERBS; verb++) {
        answer(host, 1, 200, body_of(verb));
        assert_int_equal(perform(host, verb, &store, &rows, &err), RC_OK);
        struct rc_fake_http_request made = rc_fake_host_http_request(host, (size_t)verb);
        assert_string_equal(made.user, "dba");
        assert_string_equal(made.password, "hunter2");
        assert_int_equal(made.auth, RC_HTTP_AUTH_DIGEST);
    }
}

static void test_a_dry_run_asks_and_changes_nothing(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(1);
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows = 0;

    (void)state;
    rc_fake_host_job(host)->dry_run = true;
    answer(host, 1, 200, ROWS);
    assert_int_equal(perform(host, QUERY, &store, &rows, &err), RC_OK);
    assert_int_equal(rows, 2);
    assert_int_equal(perform(host, UPDATE, &store, &rows, &err), RC_OK);
    assert_int_equal(rc_fake_host_http_requests(host), 1);
    assert_int_equal(rc_fake_host_held_back(host), 1);
}

static void test_a_request_has_a_limit(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(1);
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(text, 4 << 20);

    (void)state;
    memset(rc_buf_reserve(&text, 2 << 20), '?', 2 << 20);
    rc_buf_added(&text, 2 << 20);
    assert_int_equal(sparql_update(rc_fake_host_job(host), &store, "the change", text.data, &err),
                     RC_TOO_LARGE);
    assert_non_null(strstr(err.context, "send the change to "));
    assert_int_equal(rc_fake_host_http_requests(host), 0);
}

/* ---- what answers mean ----------------------------------------------------------------------- */

static const struct {
    unsigned status;
    const char *header, *body;
    enum rc_code code;
    bool passing;
    const char *says;
} refusals[] = {
    { 401, NULL, "", RC_DENIED, false, "does not let the user 'dba' in" },
    { 407, NULL, "", RC_DENIED, false, "status 407" },
    { 403, NULL, "<h1>No</h1> entry", RC_DENIED, false, "GRANT SPARQL_UPDATE TO \"dba\"" },
    { 400, NULL, "Parse error:\nline 1\n\nSELEKT", RC_INVALID, false,
      "no SPARQL, with status 400: Parse error: line 1" },
    { 404, NULL, "<html>Not here</html>", RC_INVALID, false, "status 404: Not here; correct " },
    { 404, "Server: Virtuoso/07.20.3229", "", RC_INVALID, true, "_endpoint" },
    { 405, NULL, "", RC_INVALID, false, "is no endpoint for SPARQL" },
    { 406, NULL, "", RC_INVALID, false, "is no endpoint for SPARQL" },
    { 410, NULL, "", RC_INVALID, false, "is no endpoint for SPARQL" },
    { 415, NULL, "", RC_INVALID, false, "is no endpoint for SPARQL" },
    { 301, "Location: https://u:p@db/sparql?x=1", "", RC_INVALID, false,
      "leads on to 'https://db/sparql' with status 301" },
    { 302, NULL, "", RC_INVALID, false, "is no endpoint" },
    { 418, NULL, "teapot", RC_FAILED, false, "status 418: teapot" },
    { 501, NULL, "", RC_FAILED, false, "status 501" },
    { 408, NULL, "", RC_UNAVAILABLE, true, "status 408" },
    { 425, NULL, "", RC_UNAVAILABLE, true, "status 425" },
    { 429, NULL, "slow down", RC_UNAVAILABLE, true, "status 429: slow down" },
    { 502, NULL, "<html><title>Bad\ngateway</title>", RC_UNAVAILABLE, true,
      "status 502: Bad gateway" },
    { 503, NULL, "", RC_UNAVAILABLE, true, "status 503" },
    { 504, NULL, "", RC_UNAVAILABLE, true, "status 504" },
    { 522, NULL, "", RC_UNAVAILABLE, true, "status 522" },
    { 500, NULL, "<html>Oops</html>", RC_FAILED, true, "status 500: Oops" },
    { 500, NULL, "", RC_FAILED, true, "status 500" },
    { 500, NULL, "Virtuoso 40001 Error SR172: Transaction deadlocked\n\nSPARQL query:\nx",
      RC_UNAVAILABLE, true, "SR172: Transaction deadlocked" },
    { 500, NULL, "Virtuoso 40001 Error SR171: Transaction timed out", RC_UNAVAILABLE, true,
      "SR171" },
    { 500, NULL, "Virtuoso 08C01 Error CL...: Cluster could not connect", RC_UNAVAILABLE, true,
      "08C01" },
    { 500, NULL, "Virtuoso 22003 Error SR087: Wrong type", RC_FAILED, false, "SR087" },
    { 500, NULL, "Virtuoso 22003 Error SR087: Wrong type\n\nSPARQL query:\n# deadlock", RC_FAILED,
      false, "Wrong type" },
    { 500, NULL, "Access denied for user", RC_DENIED, false, "Access denied for user" },
    { 200, "X-SQL-State: S1TAT", YES, RC_UNAVAILABLE, true, "'S1TAT'" },
    { 206, NULL, YES, RC_CORRUPT, false, "only a part" },
};

static void put_refusal(struct rc_fake_host *host, size_t index)
{
    if (refusals[index].header)
        answer_with(host, refusals[index].status, refusals[index].header, refusals[index].body);
    else
        answer(host, 1, refusals[index].status, refusals[index].body);
}

static void check_refusal(size_t index, enum verb verb)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(1);
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows;

    put_refusal(host, index);
    if (perform(host, verb, &store, &rows, &err) != refusals[index].code ||
        !strstr(err.cause, refusals[index].says))
        fail_msg("%u '%s': %d, %s", refusals[index].status, refusals[index].body, (int)err.code,
                 err.cause);
    assert_int_equal(rc_fake_host_http_requests(host), 1);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
    assert_non_null(strstr(err.context, verb == UPDATE
                                            ? "send the change to 'http://db:8890/update'"
                                            : "ask 'http://db:8890/sparql' for the "));
    assert_null(strstr(err.context, "secret"));
}

/* With an attempt left the run is asked whether it goes on, and so stops, before any pause. */
static void check_repetition(size_t index, enum verb verb)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(2);
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows;

    put_refusal(host, index);
    rc_fake_host_cancel_at(host, 2);
    assert_int_equal(perform(host, verb, &store, &rows, &err),
                     refusals[index].passing ? RC_CANCELLED : refusals[index].code);
}

static void test_each_refusal_says_what_to_do_and_whether_it_may_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(refusals); i++) {
        for (enum verb verb = QUERY; verb < VERBS; verb++) {
            check_refusal(i, verb);
            check_repetition(i, verb);
        }
    }
}

static void test_after_the_last_attempt_the_count_is_said(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(2);
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows;

    (void)state;
    answer(host, -1, 503, "");
    assert_int_equal(perform(host, QUERY, &store, &rows, &err), RC_UNAVAILABLE);
    assert_int_equal(rc_fake_host_http_requests(host), 2);
    assert_non_null(strstr(err.context, "for the things: attempt 2 of 2"));
    assert_null(strstr(rc_fake_host_log(host), "secret"));
}

static void check_file(const char *name, unsigned status, enum rc_code code, const char *says)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(3);
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(body, 1 << 16);
    int64_t rows;

    recorded_load(name, &body);
    answer(host, 1, status, body.data);
    assert_int_equal(perform(host, UPDATE, &store, &rows, &err), code);
    if (code && !strstr(err.cause, says))
        fail_msg("%s: %s", name, err.cause);
    assert_null(strstr(err.cause, "SPARQL query:"));
    assert_null(strchr(err.cause, '\n'));
}

static void test_virtuosos_own_words_are_understood(void **state)
{
    (void)state;
    check_file("virtuoso/insert.json", 200, RC_OK, "");
    check_file("virtuoso/syntax.txt", 400, RC_INVALID, "syntax error at 'SELEKT'");
    check_file("virtuoso/no_grant.txt", 500, RC_DENIED, "GRANT SPARQL_UPDATE TO \"dba\"");
    check_file("virtuoso/read_only.txt", 500, RC_DENIED, "no write permission on graph http://e/g");
    check_file("virtuoso/not_found.html", 404, RC_INVALID, "URI = '/sparqlx'");
}

static void test_nobody_is_told_to_become_somebody(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(1);
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows;

    (void)state;
    store.user = store.password = NULL;
    answer(host, 1, 401, "");
    assert_int_equal(perform(host, QUERY, &store, &rows, &err), RC_DENIED);
    assert_non_null(strstr(err.cause, "set username and password"));
    answer(host, 1, 403, "");
    assert_int_equal(perform(host, QUERY, &store, &rows, &err), RC_DENIED);
    assert_non_null(strstr(err.cause, "GRANT SPARQL_UPDATE TO \"SPARQL\""));
}

static void test_an_answer_that_the_store_cut_is_none(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(2);
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows;

    (void)state;
    answer_with(host, 200, "X-SPARQL-MaxRows: 2", ROWS);
    assert_int_equal(perform(host, QUERY, &store, &rows, &err), RC_TOO_LARGE);
    assert_non_null(strstr(err.cause, "after 2 rows"));
    assert_non_null(strstr(err.cause, "ResultSetMaxRows"));
    assert_int_equal(rc_fake_host_http_requests(host), 1);
}

static void test_what_is_no_result_is_not_taken_for_one(void **state)
{
    static const char *const bodies[] = { "", "<html>Sign in</html>", "{\"head\":{}}", ROWS "x" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(bodies); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct sparql_store store = store_of(3);
        struct rc_error err = RC_ERROR_INIT;
        int64_t rows;

        answer(host, -1, 200, bodies[i]);
        assert_int_equal(perform(host, QUERY, &store, &rows, &err), RC_CORRUPT);
        assert_int_equal(perform(host, ASK, &store, &rows, &err), RC_CORRUPT);
        assert_non_null(strstr(err.context, "ask 'http://db:8890/sparql' for the question"));
        assert_int_equal(rc_fake_host_http_requests(host), 2);
        /* An update may be answered by anything; only a query proves what it did. */
        assert_int_equal(perform(host, UPDATE, &store, &rows, &err), RC_OK);
        assert_int_equal(rc_fake_host_open_handles(host), 0);
    }
}

/* ---- repeating ------------------------------------------------------------------------------- */

static void test_what_passes_is_repeated_until_it_has_passed(void **state)
{
    (void)state;
    for (enum verb verb = QUERY; verb < VERBS; verb++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct sparql_store store = store_of(3);
        struct rc_error err = RC_ERROR_INIT;
        int64_t rows = 0;

        answer(host, 1, 503, "restarting");
        answer(host, 1, 200, body_of(verb));
        assert_int_equal(perform(host, verb, &store, &rows, &err), RC_OK);
        assert_int_equal(rows, verb == QUERY ? 2 : verb == ASK ? 1 : 0);
        assert_int_equal(rc_fake_host_http_requests(host), 2);
        assert_string_equal(rc_fake_host_http_request(host, 0).body,
                            rc_fake_host_http_request(host, 1).body);
        assert_non_null(strstr(rc_fake_host_log(host), "status 503: restarting; trying again"));
    }
}

static const enum rc_code faults[] = { RC_UNAVAILABLE, RC_TIMEOUT, RC_FAILED, RC_INVALID,
                                       RC_TOO_LARGE };

/* With one attempt, every fault is the outcome, says what was attempted, and leaves nothing. */
static void test_every_fault_at_every_call_is_told(void **state)
{
    (void)state;
    for (enum verb verb = QUERY; verb < VERBS; verb++) {
        for (size_t fault = 0; fault < RC_ARRAY_LEN(faults); fault++) {
            for (int n = 1;; n++) {
                HOST_AUTO host = rc_fake_host_new(NULL);
                struct sparql_store store = store_of(1);
                struct rc_error err = RC_ERROR_INIT;
                int64_t rows;

                answer(host, -1, 200, body_of(verb));
                rc_fake_host_fail_at(host, n, faults[fault]);
                enum rc_code code = perform(host, verb, &store, &rows, &err);
                assert_int_equal(rc_fake_host_open_handles(host), 0);
                if (code == RC_OK) {
                    assert_true(n > 2 && rc_fake_host_calls(host) < n);
                    break;
                }
                assert_int_equal(code, faults[fault]);
                assert_true(rc_str_starts(err.context, verb == UPDATE ? "send " : "ask "));
            }
        }
    }
}

/* A second attempt mends what may pass, wherever it was, but between rows that were given. */
static void test_a_second_attempt_mends_one_fault(void **state)
{
    (void)state;
    for (enum verb verb = QUERY; verb < VERBS; verb++) {
        for (int n = 1; n <= 2; n++) {
            HOST_AUTO host = rc_fake_host_new(NULL);
            struct sparql_store store = store_of(2);
            struct rc_error err = RC_ERROR_INIT;
            int64_t rows = 0;

            answer(host, -1, 200, body_of(verb));
            rc_fake_host_fail_at(host, n, n == 1 ? RC_TIMEOUT : RC_UNAVAILABLE);
            assert_int_equal(perform(host, verb, &store, &rows, &err), RC_OK);
            assert_int_equal(rc_fake_host_open_handles(host), 0);
        }
    }
}

static void test_a_run_that_is_to_stop_does_not_wait(void **state)
{
    (void)state;
    for (enum verb verb = QUERY; verb < VERBS; verb++) {
        for (int n = 1; n <= 4; n++) {
            HOST_AUTO host = rc_fake_host_new(NULL);
            struct sparql_store store = store_of(1000);
            struct rc_error err = RC_ERROR_INIT;
            int64_t rows;

            answer(host, -1, 503, "away");
            rc_fake_host_cancel_at(host, n);
            assert_int_equal(perform(host, verb, &store, &rows, &err), RC_CANCELLED);
            assert_true(rc_str_starts(err.context, verb == UPDATE ? "send " : "ask "));
            assert_true(rc_fake_host_http_requests(host) <= 1);
            if (n > 1)
                assert_non_null(strstr(err.context, "what failed last was 'the store is not able"));
        }
    }
}

static void test_a_run_whose_time_is_up_ends_by_that(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(1000);
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows;

    (void)state;
    rc_fake_host_set_remaining_ms(host, 0);
    assert_int_equal(perform(host, UPDATE, &store, &rows, &err), RC_TIMEOUT);
    assert_true(rc_fake_host_calls(host) < 5);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void test_waiting_ends_when_the_store_answers(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(3);
    struct rc_error err = RC_ERROR_INIT;
    const char *first, *log;

    (void)state;
    answer(host, 1, 502, "no database");
    answer(host, 1, 500, "starting");
    answer(host, 1, 200, "<html>maintenance</html>");
    answer_with(host, 404, "Server: Virtuoso/07.20.3229", "");
    answer(host, 1, 200, ROWS "truncated?");
    answer(host, 1, 200, ROWS);
    assert_int_equal(sparql_wait(rc_fake_host_job(host), &store, 10, -1, &err), RC_OK);
    assert_int_equal(rc_fake_host_http_requests(host), 5);
    assert_string_equal(rc_fake_host_http_request(host, 0).body,
                        "query=SELECT%20%3Fs%20WHERE%20%7B%20GRAPH%20%3Fg%20%7B%20%3Fs%20%3Fp%20"
                        "%3Fo%20%7D%20%7D%20LIMIT%201");
    log = rc_fake_host_log(host);
    first = strstr(log, "waiting for the store 'http://db:8890/sparql': the store is not able to "
                        "now, with status 502: no database");
    assert_non_null(first);
    assert_null(strstr(first + 1, "waiting for"));
    assert_non_null(strstr(log, "answers now"));
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void test_waiting_says_nothing_where_it_need_not_wait(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(3);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    answer(host, 1, 200, "{\"head\":{\"vars\":[\"s\"]},\"results\":{\"bindings\":[]}}");
    assert_int_equal(sparql_wait(rc_fake_host_job(host), &store, 10, 0, &err), RC_OK);
    assert_string_equal(rc_fake_host_log(host), "");
}

static void test_waiting_has_a_limit(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sparql_store store = store_of(3);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(sparql_wait(rc_fake_host_job(host), &store, 10000, 150, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.context, "wait 150ms for the store 'http://db:8890/sparql'"));
    assert_int_equal(rc_fake_host_http_requests(host), 2);
    assert_int_equal(sparql_wait(rc_fake_host_job(host), &store, 10000, 0, &err), RC_UNAVAILABLE);
    assert_int_equal(rc_fake_host_http_requests(host), 3);
}

static void test_waiting_is_not_for_what_it_cannot_mend(void **state)
{
    static const struct {
        unsigned status;
        const char *header;
        enum rc_code code;
        size_t requests;
    } cases[] = {
        { 401, "Server: x", RC_DENIED, 1 },
        { 403, "Server: x", RC_DENIED, 1 },
        { 400, "Server: x", RC_INVALID, 1 },
        { 404, "Server: nginx", RC_INVALID, 1 },
        { 404, "Server: Virtuoso/07.20.3229", RC_INVALID, 3 },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct sparql_store store = store_of(3);
        struct rc_error err = RC_ERROR_INIT;

        for (int j = 0; j < 5; j++)
            answer_with(host, cases[i].status, cases[i].header, "");
        assert_int_equal(sparql_wait(rc_fake_host_job(host), &store, 10, -1, &err), cases[i].code);
        assert_int_equal(rc_fake_host_http_requests(host), cases[i].requests);
        assert_non_null(strstr(err.context, "ask 'http://db:8890/sparql' for any triple"));
    }
}

static void test_waiting_ends_with_the_run(void **state)
{
    (void)state;
    for (int n = 1; n <= 6; n++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct sparql_store store = store_of(3);
        struct rc_error err = RC_ERROR_INIT;

        answer(host, -1, 503, "away");
        rc_fake_host_cancel_at(host, n);
        assert_int_equal(sparql_wait(rc_fake_host_job(host), &store, 60000, -1, &err),
                         RC_CANCELLED);
        assert_int_equal(rc_fake_host_open_handles(host), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_forms),
        cmocka_unit_test(test_the_user_goes_with_each_request),
        cmocka_unit_test(test_a_dry_run_asks_and_changes_nothing),
        cmocka_unit_test(test_a_request_has_a_limit),
        cmocka_unit_test(test_each_refusal_says_what_to_do_and_whether_it_may_pass),
        cmocka_unit_test(test_after_the_last_attempt_the_count_is_said),
        cmocka_unit_test(test_virtuosos_own_words_are_understood),
        cmocka_unit_test(test_nobody_is_told_to_become_somebody),
        cmocka_unit_test(test_an_answer_that_the_store_cut_is_none),
        cmocka_unit_test(test_what_is_no_result_is_not_taken_for_one),
        cmocka_unit_test(test_what_passes_is_repeated_until_it_has_passed),
        cmocka_unit_test(test_every_fault_at_every_call_is_told),
        cmocka_unit_test(test_a_second_attempt_mends_one_fault),
        cmocka_unit_test(test_a_run_that_is_to_stop_does_not_wait),
        cmocka_unit_test(test_a_run_whose_time_is_up_ends_by_that),
        cmocka_unit_test(test_waiting_ends_when_the_store_answers),
        cmocka_unit_test(test_waiting_says_nothing_where_it_need_not_wait),
        cmocka_unit_test(test_waiting_has_a_limit),
        cmocka_unit_test(test_waiting_is_not_for_what_it_cannot_mend),
        cmocka_unit_test(test_waiting_ends_with_the_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
