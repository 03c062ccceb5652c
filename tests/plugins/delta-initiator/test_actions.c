/*
 * The actions that read and remove, and the endpoints, on a store that fails at any request: what
 * they return, what they answer, and that they leave nothing open.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include "run.h"

extern const struct rc_plugin *const rc_plugin_descriptor;

/* A request fails at once, so that the failure is seen. */
#define STORE                                                                                      \
    "sparql_endpoint=http://db/sparql", "update_endpoint=http://db/update", "attempts=1",          \
        "store_timeout=0s"
#define ONE_STREAM                                                                                 \
    STORE, "initialPublicationGraphSyncJobOperation=http://op/initial",                            \
        "healingJobOperation=http://op/heal", "dumpFileCreationJobOperation=http://op/dump"
#define SETTINGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* One job, whatever is asked: a dump that is over. */
static const char rows[] =
    "{\"head\":{\"vars\":[\"job\",\"operation\",\"status\",\"created\",\"modified\",\"s\"]},"
    "\"results\":{\"bindings\":[{"
    "\"s\":{\"type\":\"uri\",\"value\":\"http://job/1\"},"
    "\"job\":{\"type\":\"uri\",\"value\":\"http://job/1\"},"
    "\"operation\":{\"type\":\"uri\",\"value\":\"http://op/dump\"},"
    "\"status\":{\"type\":\"uri\",\"value\":"
    "\"http://redpencil.data.gift/id/concept/JobStatus/success\"},"
    "\"created\":{\"type\":\"literal\",\"value\":\"2026-01-15T09:00:00.000Z\"},"
    "\"modified\":{\"type\":\"literal\",\"value\":\"2026-01-15T10:00:00.000Z\"}}]}}";

static const char nothing[] = "{\"head\":{\"vars\":[\"job\"]},\"results\":{\"bindings\":[]}}";

/* 'context' is the answer to every query. */
static void prepare(struct rc_fake_host *host, void *context)
{
    const char *answer = context;
    static const char *const json[] = { "Content-Type: application/sparql-results+json", NULL };
    static const char *const html[] = { "Content-Type: text/plain", NULL };

    rc_fake_host_answer_http(
        host, "POST http://db/sparql", -1,
        &(struct rc_fake_http_answer){ .status = 200, .headers = json, .body = answer });
    rc_fake_host_answer_http(
        host, "POST http://db/update", -1,
        &(struct rc_fake_http_answer){ .status = 200, .headers = html, .body = "ok" });
}

/*
 * Fails each host call of a run in turn. An answer that breaks off is asked for again, so the run
 * may also come to its end.
 */
static void torture(const char *action, const char *answer, const char *const *settings)
{
    static const enum rc_code codes[] = { RC_UNAVAILABLE, RC_DENIED, RC_FAILED, RC_CANCELLED };
    int failed = 0, last = INT_MAX;

    /* Without a failure, 0, first: that says how many calls there are. */
    for (int n = 0; n <= last; n++)
        for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++) {
            RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
            struct rc_error err = RC_ERROR_INIT;

            prepare(host, (void *)(uintptr_t)answer);
            rc_fake_host_fail_at(host, n, codes[i]);
            enum rc_code code =
                rc_fake_host_run(host, rc_plugin_descriptor, action, settings, &err);
            assert_int_equal(rc_fake_host_open_handles(host), 0);
            assert_true(code == codes[i] || code == RC_OK);
            assert_true(code == RC_OK || *err.context != '\0');
            failed += code != RC_OK;
            if (n == 0)
                last = rc_fake_host_calls(host);
        }
    assert_true(last > 4 && failed > last);
}

static void test_status_at_every_failure(void **state)
{
    (void)state;
    torture("status", rows, SETTINGS(ONE_STREAM));
}

static void test_clean_at_every_failure(void **state)
{
    (void)state;
    torture("clean", nothing, SETTINGS(ONE_STREAM, "kind=healing"));
}

static void test_status_shows_a_row_for_each_kind(void **state)
{
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    prepare(host, (void *)(uintptr_t)rows);
    assert_int_equal(rc_fake_host_run(host, rc_plugin_descriptor, NULL, SETTINGS(ONE_STREAM), &err),
                     RC_OK);
    assert_non_null(strstr(rc_fake_host_shown(host), "success 2h ago\tfree\n"));
    assert_non_null(strstr(rc_fake_host_said(host), "no healing now: a healing waits"));
    assert_int_equal(rc_fake_host_held_back(host), 0);
}

#define TWO_STREAMS                                                                                \
    STORE, "entries[0].name=a", "entries[0].healingJobOperation=http://op/heal/a",                 \
        "entries[1].name=b", "entries[1].healingJobOperation=http://op/heal/b"

/* What one stream comes to does not end the work on the others. */
static void test_a_failure_in_one_of_several_streams(void **state)
{
    /* The last one is the time of a request, and not that of the run. */
    static const enum rc_code codes[] = { RC_DENIED, RC_UNAVAILABLE, RC_TIMEOUT };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        prepare(host, (void *)(uintptr_t)nothing);
        /* Behind the question whether the store is there, and the two reads of its answer. */
        rc_fake_host_fail_at(host, 4, codes[i]);
        assert_int_equal(
            rc_fake_host_run(host, rc_plugin_descriptor, "status", SETTINGS(TWO_STREAMS), &err),
            codes[i]);
        assert_non_null(strstr(err.cause, "1 of 2 streams failed: a: "));
        assert_non_null(strstr(rc_fake_host_log(host), "error: a: "));
        assert_non_null(strstr(rc_fake_host_shown(host), "b\thealing\t"));
    }
}

/* The configuration says so, so it is no failure, and nothing that a later attempt would change. */
static void test_what_is_not_wanted_is_nothing_to_do(void **state)
{
    const struct {
        const char *action, *said;
        const char *const *settings;
    } cases[] = {
        { "healing", "nothing to do: healings are disabled\n",
          SETTINGS(ONE_STREAM, "enableHealingJobOperation=false") },
        { "dump", "nothing to do: dumps are disabled\n",
          SETTINGS(ONE_STREAM, "enableDumpFileCreation=false", "force=true") },
        { "initial-sync", "nothing to do: no initial sync is begun at the start, as ",
          SETTINGS(ONE_STREAM, "at_start=true") },
        { "healing", "b: nothing to do: healings are disabled\n",
          SETTINGS(TWO_STREAMS, "entries[1].disableHealingJobOperation=true", "entry=b") },
        { "dump", "nothing to do: no stream has such jobs: ", SETTINGS(TWO_STREAMS) },
        { "initial-sync", "nothing to do: no stream begins an initial sync at the start",
          SETTINGS(TWO_STREAMS, "at_start=true") },
        { "clean", "nothing to do: no stream has an operation for such jobs\n",
          SETTINGS(TWO_STREAMS, "kind=dump") },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        prepare(host, (void *)(uintptr_t)nothing);
        assert_int_equal(
            rc_fake_host_run(host, rc_plugin_descriptor, cases[i].action, cases[i].settings, &err),
            RC_OK);
        assert_ptr_equal(strstr(rc_fake_host_said(host), cases[i].said), rc_fake_host_said(host));
        assert_int_equal(rc_fake_host_http_requests(host), 1); /* whether the store is there */
    }
}

/* ---- endpoints ------------------------------------------------------------------------------- */

static enum rc_code ask(struct rc_fake_host *host, const char *method, const char *path,
                        struct rc_error *err)
{
    const struct rc_fake_request request = {
        .method = method,
        .path = path,
        .settings = SETTINGS(ONE_STREAM),
    };

    return rc_fake_host_request(host, rc_plugin_descriptor, &request, err);
}

/* The client is told, or the core tells him. */
static void ask_at_every_failure(const char *method, const char *path, enum rc_code code)
{
    int last = INT_MAX;

    for (int n = 0; n <= last; n++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        prepare(host, (void *)(uintptr_t)nothing);
        rc_fake_host_fail_at(host, n, code);
        enum rc_code came = ask(host, method, path, &err);
        assert_int_equal(rc_fake_host_open_handles(host), 0);
        assert_true(came == RC_OK ? n != 1 : n > 0 && came == code);
        assert_int_equal(rc_fake_host_reply_status(host), came == RC_OK            ? 200
                                                          : code == RC_UNAVAILABLE ? 0
                                                                                   : 502);
        if (n == 0)
            last = rc_fake_host_calls(host);
    }
    assert_true(last > 4);
}

static void test_endpoints_at_every_failure(void **state)
{
    static const enum rc_code codes[] = { RC_UNAVAILABLE, RC_DENIED, RC_FAILED };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++) {
        ask_at_every_failure("GET", "/status", codes[i]);
        ask_at_every_failure("DELETE", "/healing-jobs", codes[i]);
    }
}

static void test_what_is_no_stream_is_told_without_the_store(void **state)
{
    static const char *const paths[] = { "/x/healing-jobs", "/x/dump-publication-graph-jobs",
                                         "/x/initial-sync-jobs" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(paths); i++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(ask(host, "POST", paths[i], &err), RC_NOT_FOUND);
        assert_int_equal(ask(host, "DELETE", paths[i], &err), RC_NOT_FOUND);
        assert_int_equal(rc_fake_host_http_requests(host), 0);
    }
}

static void test_the_greeting_needs_no_store(void **state)
{
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(ask(host, "GET", "/", &err), RC_OK);
    assert_string_equal(rc_fake_host_reply(host, NULL),
                        "Hello from delta-producer-background-jobs-initiator :)\n");
    assert_int_equal(rc_fake_host_http_requests(host), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_at_every_failure),
        cmocka_unit_test(test_clean_at_every_failure),
        cmocka_unit_test(test_status_shows_a_row_for_each_kind),
        cmocka_unit_test(test_a_failure_in_one_of_several_streams),
        cmocka_unit_test(test_what_is_not_wanted_is_nothing_to_do),
        cmocka_unit_test(test_endpoints_at_every_failure),
        cmocka_unit_test(test_what_is_no_stream_is_told_without_the_store),
        cmocka_unit_test(test_the_greeting_needs_no_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
