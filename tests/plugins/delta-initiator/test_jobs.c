/*
 * What is done with jobs, on scripted answers of a store: which requests are made in which order,
 * what comes of every answer, and that no fault leaves anything half done. Whether the statements
 * mean what they should is test_statements.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include "jobs.h"
#include "vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)
#define NOW_UNIX_MS INT64_C(1768478400000) /* at which the fake host begins */
#define QUERY_URL "http://store.example.org/query"
#define UPDATE_URL "http://store.example.org/update"

enum { TEXT_LIMIT = 1 << 20, MOST_STEPS = 12, NO_VERDICT = -1 };

static const char *const operations[DELTA_KIND_COUNT] = {
    "http://example.org/op/sync",
    "http://example.org/op/heal",
    "http://example.org/op/dump",
};

struct world {
    struct rc_fake_host *host;
    struct delta_config config;
    struct delta_entry entry;
    struct delta_session session;
    struct delta_outcome outcome;
    struct rc_error err;
    /*
     * The answers to queries, in their order; the last one is that of all others. An answer is
     * "true" or "false", or lines "KIND STATUS IRI HOURS", of a job that was modified so long ago;
     * the IRI "own" is that of the last job to be created, IRIs else are completed.
     */
    const char *steps[MOST_STEPS];
    size_t next_step;
    /* Instead: the first until an update is made, the second until one creates, then the third. */
    bool by_updates;
};

/* ---- what was sent --------------------------------------------------------------------------- */

static const char *verb_of(const struct rc_fake_http_request *request)
{
    static const struct {
        const char *fragment, *verb;
    } words[] = {
        { "COUNT", "count" }, { "LIMIT%201%0A", "newest" },  { "ASK", "ask" },
        { "SELECT", "jobs" }, { "oslc%3Amessage", "error" }, { "task%3Aindex", "create" },
        { "was", "fail" },    { "%3Fproperty", "remove" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(words); i++)
        if (strstr(request->body, words[i].fragment))
            return words[i].verb;
    return "other";
}

/* "jobs create jobs" */
static void add_trace(const struct world *world, struct rc_buf *out)
{
    for (size_t i = 0; i < rc_fake_host_http_requests(world->host); i++) {
        struct rc_fake_http_request request = rc_fake_host_http_request(world->host, i);

        rc_buf_addf(out, "%s%s", out->len ? " " : "", verb_of(&request));
    }
}

static void expect_trace(const struct world *world, const char *expected)
{
    RC_BUF_AUTO(trace, TEXT_LIMIT);

    add_trace(world, &trace);
    assert_string_equal(trace.data, expected);
}

static int count_sent(const struct world *world, const char *verb)
{
    int count = 0;

    for (size_t i = 0; i < rc_fake_host_http_requests(world->host); i++) {
        struct rc_fake_http_request request = rc_fake_host_http_request(world->host, i);

        count += rc_str_eq(verb_of(&request), verb);
    }
    return count;
}

/* The UUID behind "/id/KIND/" in the last request of the verb; "" if there was none. */
static void find_uuid(const struct rc_fake_host *host, const char *verb, const char *kind,
                      char out[37])
{
    RC_STR_AUTO before = rc_strf("id%%2F%s%%2F", kind);

    out[0] = '\0';
    for (size_t i = rc_fake_host_http_requests(host); i-- > 0;) {
        struct rc_fake_http_request request = rc_fake_host_http_request(host, i);
        const char *at = strstr(request.body, before);

        if (rc_str_eq(verb_of(&request), verb) && at) {
            (void)snprintf(out, 37, "%.36s", at + strlen(before));
            return;
        }
    }
}

/* ---- what is answered ------------------------------------------------------------------------ */

static void add_term(struct rc_buf *out, const char *name, const char *type, const char *value)
{
    rc_buf_addf(out, "\"%s\":{\"type\":\"%s\",\"value\":", name, type);
    rc_buf_add_json(out, value, strlen(value));
    rc_buf_addc(out, '}');
}

static void add_row(struct rc_buf *out, const struct rc_fake_host *host, const char *line)
{
    char kind[16], status[16], name[64], uuid[37], text[RC_TIME_TEXT];
    double hours = 0;
    int fields = sscanf(line, "%15s %15s %63s %lf", kind, status, name, &hours);
    char *uri, *iri;

    assert_true(fields >= 3);
    find_uuid(host, "create", "job", uuid);
    uri = rc_str_eq(name, "own") ? rc_strf(DELTA_JOB_PREFIX "%s", uuid)
                                 : rc_strf("http://example.org/%s", name);
    iri = rc_strf(DELTA_STATUS_PREFIX "%s", status);
    rc_buf_addc(out, '{');
    add_term(out, "job", name[0] == '_' ? "bnode" : "uri", name[0] == '_' ? name + 2 : uri);
    for (int i = 0; i < DELTA_KIND_COUNT; i++)
        if (rc_str_eq(kind, delta_kind_name((enum delta_kind)i))) {
            rc_buf_addc(out, ',');
            add_term(out, "operation", "uri", operations[i]);
        }
    if (!rc_str_eq(status, "-")) {
        rc_buf_addc(out, ',');
        add_term(out, "status", "uri", iri);
    }
    if (fields == 4) {
        rc_buf_addc(out, ',');
        add_term(out, "modified", "literal",
                 rc_format_time(NOW_UNIX_MS - (int64_t)(hours * (double)HOUR_MS), text));
    }
    rc_buf_addc(out, '}');
    free(uri);
    free(iri);
}

static void add_answer(struct rc_buf *out, const struct rc_fake_host *host, const char *step)
{
    if (rc_str_eq(step, "true") || rc_str_eq(step, "false")) {
        rc_buf_addf(out, "{\"head\":{},\"boolean\":%s}", step);
        return;
    }
    rc_buf_adds(out,
                "{\"head\":{\"vars\":[\"job\",\"operation\",\"status\",\"created\",\"modified\"]},"
                "\"results\":{\"bindings\":[");
    for (const char *line = step, *end; *line; line = end + (*end == '\n')) {
        RC_STR_AUTO row = NULL;

        end = line + strcspn(line, "\n");
        row = rc_strndup(line, (size_t)(end - line));
        rc_buf_adds(out, line == step ? "" : ",");
        add_row(out, host, row);
    }
    rc_buf_adds(out, "]}}");
}

static const char *next_answer(struct world *world)
{
    const char *step = world->steps[world->next_step];

    if (world->by_updates)
        return world->steps[count_sent(world, "create") ? 2 : count_sent(world, "fail") ? 1 : 0];
    if (world->next_step + 1 < MOST_STEPS && world->steps[world->next_step + 1])
        world->next_step++;
    return step;
}

/* Puts up the answer to the query that is about to be made. */
static void answer(void *context, struct rc_fake_host *host, int n, const char *service,
                   const char *subject)
{
    static const char *const headers[] = { "Content-Type: application/sparql-results+json", NULL };
    struct world *world = context;
    RC_BUF_AUTO(body, TEXT_LIMIT);
    struct rc_fake_http_answer put = { .status = 200, .headers = headers };

    (void)n;
    if (!rc_str_eq(service, "http.open") || !strstr(subject, QUERY_URL))
        return;
    add_answer(&body, host, next_answer(world));
    put.body = body.data;
    rc_fake_host_answer_http(host, QUERY_URL, 1, &put);
}

/* ---- the world ------------------------------------------------------------------------------- */

static void world_clear(struct world *world)
{
    delta_outcome_clear(&world->outcome);
    rc_fake_host_free(world->host);
}

static void world_init(struct world *world)
{
    static const struct rc_fake_http_answer done = { .status = 200, .body = "" };

    *world = (struct world){
        .host = rc_fake_host_new(NULL),
        .config = { .retry_failed_initial_sync = true, .initial_sync_retry_after_ms = HOUR_MS },
        .entry = { .name = "",
                   .jobs_graph = "http://example.org/jobs",
                   .error_creator = "http://example.org/creator",
                   .job_operation = { operations[0], operations[1], operations[2] },
                   .task_operation = { DELTA_INITIAL_SYNC_TASK, DELTA_HEALING_TASK,
                                       DELTA_DUMP_TASK } },
        .err = RC_ERROR_INIT,
    };
    world->session = (struct delta_session){
        .job = rc_fake_host_job(world->host),
        .config = &world->config,
        .store = { .query_url = QUERY_URL,
                   .update_url = UPDATE_URL,
                   .request_ms = 60000,
                   .attempts = 1 },
    };
    /* There are milliseconds between this and what is asked; no test is that exact. */
    world->session.opened_mono_ms = delta_session_now_unix_ms(&world->session) - NOW_UNIX_MS;
    rc_fake_host_answer_http(world->host, UPDATE_URL, -1, &done);
    rc_fake_host_on_call(world->host, answer, world);
}

#define WORLD_AUTO(name)                                                                           \
    RC_CLEANUP(world_clear) struct world name;                                                     \
    world_init(&name)

static enum rc_code create(struct world *world, enum delta_kind kind, bool force)
{
    enum rc_code code;

    world->err = (struct rc_error)RC_ERROR_INIT;
    code = delta_create(&world->session, &world->entry, kind, force, &world->outcome, &world->err);
    assert_int_equal(rc_fake_host_open_handles(world->host), 0);
    return code;
}

static void expect(struct world *world, enum delta_kind kind, bool force,
                   enum delta_verdict verdict, const char *trace)
{
    if (create(world, kind, force))
        fail_msg("%s: %s", world->err.context, world->err.cause);
    assert_int_equal(world->outcome.verdict, verdict);
    expect_trace(world, trace);
    assert_int_equal(rc_fake_host_counter(world->host, "jobs_created"),
                     verdict == DELTA_FREE && !world->session.job->dry_run);
    assert_int_equal(rc_fake_host_counter(world->host, "jobs_blocked"),
                     verdict != DELTA_FREE && verdict != DELTA_DONE);
}

static void expect_why(const struct world *world, enum delta_kind kind, const char *why)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);

    delta_outcome_explain(&world->outcome, kind, NOW_UNIX_MS, &text);
    assert_string_equal(text.data, why);
}

/* ---- one job --------------------------------------------------------------------------------- */

static void test_a_job_is_created(void **state)
{
    WORLD_AUTO(world);
    char job[37], task[37];

    (void)state;
    world.steps[0] = "dump busy own 0";
    expect(&world, DELTA_DUMP, false, DELTA_FREE, "create jobs");
    find_uuid(world.host, "create", "job", job);
    find_uuid(world.host, "create", "task", task);
    assert_string_equal(world.outcome.job_uri + strlen(DELTA_JOB_PREFIX), job);
    assert_string_equal(world.outcome.task_uri + strlen(DELTA_TASK_PREFIX), task);
    assert_string_not_equal(job, task);
    assert_int_equal(world.outcome.reasons.count, 0);
}

/* The consumer was quick; what has begun since is nothing that ours is in the way of. */
static void test_a_job_may_be_worked_off_at_once(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump success own 0\nhealing busy a 0";
    expect(&world, DELTA_DUMP, false, DELTA_FREE, "create jobs");
}

static void test_a_blocked_job_leaves_an_error_for_each_reason(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "healing busy a 2.5\ndump scheduled b 0.01\ninitial-sync success c 9";
    world.steps[1] = "false";
    expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, "create jobs ask error ask error");
    assert_int_equal(world.outcome.reasons.count, 2);
    assert_string_equal(world.outcome.reasons.items[1].uri, "http://example.org/b");
    assert_null(world.outcome.job_uri);
    assert_int_equal(rc_fake_host_counter(world.host, "errors_stored"), 2);
    expect_why(&world, DELTA_DUMP,
               "blocked by the healing job <http://example.org/a>, busy for 2h30m; "
               "the dump job <http://example.org/b>, scheduled for 36s");
}

static void test_an_error_is_stored_once(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "healing busy a 2";
    world.steps[1] = "true";
    expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, "create jobs ask");
    assert_int_equal(rc_fake_host_counter(world.host, "errors_stored"), 0);
}

static void test_many_reasons_leave_few_errors(void **state)
{
    WORLD_AUTO(world);
    RC_BUF_AUTO(rows, TEXT_LIMIT);

    (void)state;
    for (int i = 10; i < 40; i++)
        rc_buf_addf(&rows, "%sdump busy j%d 1", i > 10 ? "\n" : "", i);
    world.steps[0] = rows.data;
    world.steps[1] = "false";
    assert_int_equal(create(&world, DELTA_DUMP, false), RC_OK);
    assert_int_equal(world.outcome.reasons.count, 30);
    assert_int_equal(count_sent(&world, "error"), 10);
    rc_buf_reset(&rows);
    delta_outcome_explain(&world.outcome, DELTA_DUMP, NOW_UNIX_MS, &rows);
    assert_true(rc_str_ends(rows.data, "; and 25 more"));
}

static void test_an_error_that_cannot_be_stored_changes_nothing(void **state)
{
    static const char *const fragments[] = { "query", "update" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(fragments); i++) {
        WORLD_AUTO(world);

        world.config.job_timeout_min = 60; /* so that there is no other update before */
        world.steps[0] = "healing busy a 0.5";
        world.steps[1] = "false";
        if (i == 0)
            world.steps[1] = "healing busy a 0"; /* rows where a boolean is due */
        else
            rc_fake_host_fail_on(world.host, "http.open", UPDATE_URL, -1, RC_DENIED);
        if (create(&world, DELTA_DUMP, false))
            fail_msg("%s: %s", world.err.context, world.err.cause);
        assert_int_equal(world.outcome.verdict, DELTA_BLOCKED);
        assert_non_null(strstr(rc_fake_host_log(world.host), "warn: cannot record"));
        assert_int_equal(rc_fake_host_counter(world.host, "errors_stored"), 0);
    }
}

static void test_healing_waits_for_an_initial_sync(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "initial-sync busy a 2\ninitial-sync failed b 3";
    world.steps[1] = "false";
    expect(&world, DELTA_HEALING, false, DELTA_TOO_EARLY, "create jobs ask error");
    expect_why(&world, DELTA_HEALING,
               "a healing waits for an initial sync, and none has succeeded yet: "
               "the initial sync job <http://example.org/a>, busy for 2h");
}

static void test_force_lets_a_job_be_made_beside_others(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "healing busy own 0\ndump busy a 1\ninitial-sync busy b 1";
    expect(&world, DELTA_HEALING, true, DELTA_FREE, "create jobs");
}

/* ---- once ------------------------------------------------------------------------------------ */

static void test_an_initial_sync_is_made_once(void **state)
{
    static const struct {
        const char *there, *trace;
        bool never_again, force;
        enum delta_verdict verdict;
    } cases[] = {
        { "initial-sync success a 9", "jobs", false, false, DELTA_DONE },
        { "initial-sync success a 9", "jobs", false, true, DELTA_DONE },
        { "initial-sync busy a 9", "jobs", false, true, DELTA_DONE },
        { "initial-sync canceled a 9", "jobs", false, false, DELTA_DONE },
        { "initial-sync - a 9", "jobs", false, false, DELTA_DONE },
        { "initial-sync failed a 0.5", "jobs", false, false, DELTA_FAILED_LATELY },
        { "initial-sync failed a 9\ninitial-sync failed b 0.5", "jobs", false, false,
          DELTA_FAILED_LATELY },
        { "initial-sync failed a 9", "jobs", true, false, DELTA_FAILED_FOR_GOOD },
        { "initial-sync failed a 9", "jobs create jobs", false, false, DELTA_FREE },
        { "initial-sync failed a", "jobs create jobs", false, false, DELTA_FREE },
        { "initial-sync failed a 0", "jobs create jobs", true, true, DELTA_FREE },
        { "dump busy a 0", "jobs ask", false, false, DELTA_BLOCKED },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        WORLD_AUTO(world);

        world.config.retry_failed_initial_sync = !cases[i].never_again;
        world.steps[0] = cases[i].there;
        world.steps[1] = cases[i].verdict == DELTA_BLOCKED ? "true" : "initial-sync busy own 0";
        expect(&world, DELTA_INITIAL_SYNC, cases[i].force, cases[i].verdict, cases[i].trace);
    }
}

static void test_why_there_is_no_initial_sync(void **state)
{
    static const struct {
        const char *there, *why;
        bool never_again;
    } cases[] = {
        { "initial-sync success a 9",
          "an initial sync is made once, and there is one: the initial sync job "
          "<http://example.org/a>, success for 9h",
          false },
        { "initial-sync failed a 0.5",
          "the last initial sync failed, and it is too soon to try again: the initial sync job "
          "<http://example.org/a>, failed for 30m",
          false },
        { "initial-sync failed a",
          "an initial sync failed, and is tried again only by force: the initial sync job "
          "<http://example.org/a>, failed",
          true },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        WORLD_AUTO(world);

        world.config.retry_failed_initial_sync = !cases[i].never_again;
        world.steps[0] = cases[i].there;
        assert_int_equal(create(&world, DELTA_INITIAL_SYNC, false), RC_OK);
        expect_why(&world, DELTA_INITIAL_SYNC, cases[i].why);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_jobs_whose_time_is_up_fail_first(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.config.job_timeout_min = 60;
    world.steps[0] = "healing busy a 2\ninitial-sync scheduled b 1\ninitial-sync success c 9";
    world.steps[1] = "dump busy own 0";
    expect(&world, DELTA_DUMP, false, DELTA_FREE, "jobs fail fail create jobs");
    assert_int_equal(rc_fake_host_counter(world.host, "jobs_failed_by_timeout"), 2);
    assert_non_null(strstr(rc_fake_host_log(world.host),
                           "warn: the healing job <http://example.org/a> has been busy for 2h"));
}

static void test_jobs_without_a_time_never_fail(void **state)
{
    static const char *const there[] = { "healing busy a", "healing busy _:b0 2" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(there); i++) {
        WORLD_AUTO(world);

        world.config.job_timeout_min = 60;
        world.steps[0] = there[i];
        world.steps[1] = "true";
        expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, i == 0 ? "jobs ask" : "jobs");
        assert_non_null(strstr(rc_fake_host_log(world.host), "its time is never up"));
    }
}

static void test_jobs_within_their_time_block(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.config.job_timeout_min = 60;
    world.steps[0] = "healing busy a 0.99";
    world.steps[1] = "true";
    expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, "jobs ask");
}

/* ---- others at the same time ----------------------------------------------------------------- */

static void test_a_job_beside_another_one_is_withdrawn(void **state)
{
    WORLD_AUTO(world);
    char withdrawn[37], created[37];

    (void)state;
    world.steps[0] = "dump busy own 0\nhealing busy a 0";
    world.steps[1] = "dump busy own 0";
    expect(&world, DELTA_DUMP, false, DELTA_FREE, "create jobs remove create jobs");
    assert_int_equal(rc_fake_host_counter(world.host, "withdrawn"), 1);
    find_uuid(world.host, "remove", "job", withdrawn);
    find_uuid(world.host, "create", "job", created);
    assert_string_not_equal(withdrawn, created);
    assert_string_equal(world.outcome.job_uri + strlen(DELTA_JOB_PREFIX), created);
}

static void test_the_other_one_stays(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump busy own 0\nhealing busy a 0";
    world.steps[1] = "healing busy a 0";
    world.steps[2] = "true";
    expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, "create jobs remove create jobs ask");
}

static void test_others_get_in_again_and_again(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump busy own 0\nhealing busy a 0";
    assert_int_equal(create(&world, DELTA_DUMP, false), RC_UNAVAILABLE);
    assert_int_equal(count_sent(&world, "create"), count_sent(&world, "remove"));
    assert_null(world.outcome.job_uri);
}

static void test_a_withdrawal_that_fails_is_told(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump busy own 0\nhealing busy a 0";
    /* What fails is the second update, whichever call that is. */
    for (int n = 1;; n++) {
        rc_fake_host_fail_at(world.host, n, RC_DENIED);
        assert_int_not_equal(create(&world, DELTA_DUMP, false), RC_OK);
        if (strstr(world.err.context, "stays there"))
            break;
        assert_true(n < 50);
        world_clear(&world);
        world_init(&world);
        world.steps[0] = "dump busy own 0\nhealing busy a 0";
    }
    assert_int_equal(world.err.code, RC_DENIED);
}

/* What blocked has just ended: it is tried again, as the same job. */
static void test_nothing_in_the_way_and_yet_no_job(void **state)
{
    WORLD_AUTO(world);
    char first[37], last[37];
    struct rc_fake_http_request request;

    (void)state;
    world.steps[0] = "";
    world.steps[1] = "dump busy own 0";
    expect(&world, DELTA_DUMP, false, DELTA_FREE, "create jobs create jobs");
    request = rc_fake_host_http_request(world.host, 0);
    (void)snprintf(first, sizeof(first), "%.36s",
                   strstr(request.body, "id%2Fjob%2F") + strlen("id%2Fjob%2F"));
    find_uuid(world.host, "create", "job", last);
    assert_string_equal(first, last);
}

static void test_a_store_that_drops_what_is_written(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "";
    assert_int_equal(create(&world, DELTA_DUMP, false), RC_UNAVAILABLE);
    assert_non_null(strstr(world.err.cause, "<http://example.org/jobs>"));
}

/* ---- lost answers ---------------------------------------------------------------------------- */

static void test_the_read_decides_what_became_of_a_lost_update(void **state)
{
    static const enum rc_code codes[] = { RC_UNAVAILABLE, RC_TIMEOUT, RC_CORRUPT, RC_FAILED };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++) {
        WORLD_AUTO(there);
        WORLD_AUTO(blocked);
        WORLD_AUTO(nowhere);

        /* The requests that fail are not recorded, so that its IRI is not known: any job will do. */
        rc_fake_host_fail_on(blocked.host, "http.open", UPDATE_URL, 1, codes[i]);
        blocked.steps[0] = "healing busy a 0";
        blocked.steps[1] = "true";
        expect(&blocked, DELTA_DUMP, false, DELTA_BLOCKED, "jobs ask");

        rc_fake_host_fail_on(nowhere.host, "http.open", UPDATE_URL, -1, codes[i]);
        nowhere.steps[0] = "";
        assert_int_equal(create(&nowhere, DELTA_DUMP, false), codes[i]);

        rc_fake_host_fail_on(there.host, "http.read", UPDATE_URL, 1, codes[i]);
        there.steps[0] = "dump busy own 0";
        expect(&there, DELTA_DUMP, false, DELTA_FREE, "create jobs");
    }
}

static void test_what_is_refused_is_not_looked_for(void **state)
{
    static const enum rc_code codes[] = { RC_DENIED, RC_INVALID, RC_CANCELLED };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++) {
        WORLD_AUTO(world);

        rc_fake_host_fail_on(world.host, "http.open", UPDATE_URL, 1, codes[i]);
        assert_int_equal(create(&world, DELTA_DUMP, false), codes[i]);
        expect_trace(&world, "");
        assert_non_null(strstr(world.err.context, operations[DELTA_DUMP]));
    }
}

static void test_a_read_that_is_cut_is_repeated(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump busy own 0";
    rc_fake_host_fail_on(world.host, "http.read", QUERY_URL, 1, RC_UNAVAILABLE);
    if (create(&world, DELTA_DUMP, false) == RC_OK)
        expect_trace(&world, "create jobs jobs");
    else /* it was cut before the first row, where the client's attempts are at their end */
        assert_int_equal(world.err.code, RC_UNAVAILABLE);
}

/* ---- not at all ------------------------------------------------------------------------------ */

static void test_a_dry_run_writes_nothing(void **state)
{
    WORLD_AUTO(world);
    WORLD_AUTO(blocked);

    (void)state;
    world.session.job->dry_run = blocked.session.job->dry_run = true;
    world.config.job_timeout_min = blocked.config.job_timeout_min = 60;
    world.steps[0] = "healing busy a 2";
    expect(&world, DELTA_DUMP, false, DELTA_FREE, "jobs");
    assert_null(world.outcome.job_uri);
    assert_int_equal(rc_fake_host_held_back(world.host), 2);
    assert_int_equal(rc_fake_host_counter(world.host, "jobs_failed_by_timeout"), 0);

    blocked.steps[0] = "healing busy a 0.5";
    blocked.steps[1] = "false";
    expect(&blocked, DELTA_DUMP, false, DELTA_BLOCKED, "jobs ask");
    assert_int_equal(rc_fake_host_held_back(blocked.host), 1);
    assert_int_equal(rc_fake_host_counter(blocked.host, "errors_stored"), 0);
}

static void test_kinds_that_there_are_not(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.entry.disabled[DELTA_DUMP] = true;
    world.entry.job_operation[DELTA_HEALING] = NULL;
    assert_int_equal(create(&world, DELTA_DUMP, true), RC_SKIPPED);
    assert_int_equal(create(&world, DELTA_HEALING, true), RC_INVALID);
    expect_trace(&world, "");
}

/* A job with several statuses or times is one job, and the strictest of them counts. */
static void test_data_that_is_broken(void **state)
{
    WORLD_AUTO(world);
    WORLD_AUTO(strange);

    (void)state;
    world.steps[0] = "healing failed a 5\ndump success z 1\nhealing busy a 2\nhealing success a 9";
    world.steps[1] = "true";
    expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, "create jobs ask");
    assert_int_equal(world.outcome.reasons.count, 1);
    expect_why(&world, DELTA_DUMP,
               "blocked by the healing job <http://example.org/a>, busy for 2h");

    strange.steps[0] = "nothing busy a 2";
    assert_int_equal(create(&strange, DELTA_DUMP, false), RC_CORRUPT);
}

/* ---- removing -------------------------------------------------------------------------------- */

static enum rc_code clean(struct world *world, bool force, struct delta_list *removed,
                          struct delta_list *kept)
{
    return delta_clean(&world->session, &world->entry, DELTA_DUMP, force, removed, kept,
                       &world->err);
}

static void test_jobs_are_removed_but_for_active_ones(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] =
        "dump success a 1\ndump busy b 1\ndump failed c 1\ndump - d 1\ndump failed _:e 1";
    world.steps[1] = "dump busy b 1\ndump failed _:e 1";
    assert_int_equal(clean(&world, false, &removed, &kept), RC_OK);
    expect_trace(&world, "jobs remove remove remove jobs");
    assert_int_equal(removed.count, 3);
    assert_string_equal(removed.items[2].uri, "http://example.org/d");
    assert_int_equal(kept.count, 2);
    assert_int_equal(rc_fake_host_counter(world.host, "jobs_removed"), 3);
    delta_list_clear(&removed);
    delta_list_clear(&kept);
}

static void test_force_removes_active_jobs_too(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump success a 1\ndump busy b 1";
    world.steps[1] = "";
    assert_int_equal(clean(&world, true, &removed, &kept), RC_OK);
    assert_int_equal(removed.count, 2);
    assert_int_equal(kept.count, 0);
    delta_list_clear(&removed);
}

/* What has become active in between is kept; what came in between goes, too. */
static void test_jobs_that_change_while_they_are_removed(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump success a 1\ndump failed b 1";
    world.steps[1] = "dump busy b 0\ndump success c 0";
    world.steps[2] = "dump busy b 0";
    assert_int_equal(clean(&world, false, &removed, &kept), RC_OK);
    expect_trace(&world, "jobs remove remove jobs remove jobs");
    assert_int_equal(removed.count, 2);
    assert_string_equal(removed.items[1].uri, "http://example.org/c");
    assert_int_equal(kept.count, 1);
    assert_string_equal(kept.items[0].uri, "http://example.org/b");
    delta_list_clear(&removed);
    delta_list_clear(&kept);
}

static void test_jobs_that_stay(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump success a 1";
    assert_int_equal(clean(&world, false, &removed, &kept), RC_DENIED);
    assert_non_null(strstr(world.err.cause, "<http://example.org/jobs>"));
    assert_int_equal(removed.count + kept.count, 0);
}

static void test_a_dry_run_removes_nothing(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);

    (void)state;
    world.session.job->dry_run = true;
    world.steps[0] = "dump success a 1\ndump busy b 1";
    assert_int_equal(clean(&world, false, &removed, &kept), RC_OK);
    expect_trace(&world, "jobs");
    assert_int_equal(removed.count, 1);
    assert_int_equal(kept.count, 1);
    assert_int_equal(rc_fake_host_held_back(world.host), 1);
    assert_int_equal(rc_fake_host_counter(world.host, "jobs_removed"), 0);
    delta_list_clear(&removed);
    delta_list_clear(&kept);
}

/* ---- faults ---------------------------------------------------------------------------------- */

/*
 * Any call may fail, be the last before the run is to stop, or have its answer lost: then there was
 * no request that changes anything but those of the steps, in their order, and who is told that a
 * job was created finds it.
 */
static void check_fault(int n, int how, enum rc_code code, bool *reached)
{
    WORLD_AUTO(world);
    RC_BUF_AUTO(trace, TEXT_LIMIT);
    const char *created, *failed;
    enum rc_code result;

    world.config.job_timeout_min = 60;
    world.by_updates = true;
    world.steps[0] = "healing busy a 2";
    world.steps[1] = "healing failed a 0";
    world.steps[2] = "dump busy own 0";
    if (how == 0)
        rc_fake_host_fail_at(world.host, n, code);
    else if (how == 1)
        rc_fake_host_lose_at(world.host, n, code);
    else
        rc_fake_host_cancel_at(world.host, n);
    result = create(&world, DELTA_DUMP, false);
    *reached = rc_fake_host_calls(world.host) >= n;

    add_trace(&world, &trace);
    created = strstr(trace.data, "create");
    failed = strstr(trace.data, "fail");
    assert_true(!created || (failed && failed < created));
    assert_int_equal(count_sent(&world, "remove") + count_sent(&world, "error"), 0);
    if (result == RC_OK) {
        assert_non_null(world.outcome.job_uri);
        assert_non_null(strstr(created, "jobs"));
    } else {
        assert_int_equal(result, how == 2 ? RC_CANCELLED : code);
        assert_true(world.err.context[0] != '\0');
        assert_null(world.outcome.job_uri);
    }
}

static void test_every_call_may_fail(void **state)
{
    static const enum rc_code codes[] = { RC_UNAVAILABLE, RC_DENIED };

    (void)state;
    for (int how = 0; how < 3; how++)
        for (size_t i = 0; i < (how < 2 ? RC_ARRAY_LEN(codes) : 1); i++) {
            bool reached = true;
            int n = 1;

            for (; reached; n++)
                check_fault(n, how, codes[i], &reached);
            assert_true(n > 8);
        }
}

/* ---- the session ----------------------------------------------------------------------------- */

static enum rc_code open_session(struct world *world)
{
    enum rc_code code;

    world->config.sparql_endpoint = QUERY_URL;
    world->config.request_timeout_ms = 1000;
    world->config.attempts = 1;
    world->config.ping_interval_s = 1;
    for (int kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        world->config.stream.job_operation[kind] = operations[kind];
        world->config.task_operation[kind] = world->entry.task_operation[kind];
    }
    world->config.stream.jobs_graph = world->entry.jobs_graph;
    world->config.dump_enabled = world->config.healing_enabled = true;
    world->config.heal_must_wait = true;
    code = delta_session_open(rc_fake_host_job(world->host), &world->config, &world->session,
                              &world->err);
    if (code == RC_OK)
        delta_session_close(&world->session);
    return code;
}

static void test_every_request_has_the_headers(void **state)
{
    static const struct rc_pair more[] = { { "X-Tenant", "north" }, { "MU-AUTH-SUDO", "false" } };
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "";
    world.config.headers = (struct rc_map){ .len = RC_ARRAY_LEN(more), .items = more };
    if (open_session(&world))
        fail_msg("%s: %s", world.err.context, world.err.cause);
    assert_int_equal(rc_fake_host_http_requests(world.host), 1);
    assert_non_null(strstr(rc_fake_host_http_request(world.host, 0).headers,
                           "mu-auth-sudo: true\nX-Tenant: north\n"));
    assert_null(strstr(rc_fake_host_http_request(world.host, 0).headers, "false"));
}

static void test_who_waits_for_the_store(void **state)
{
    WORLD_AUTO(daemon);
    WORLD_AUTO(route);

    (void)state;
    daemon.steps[0] = route.steps[0] = "";
    rc_fake_host_fail_on(daemon.host, "http.open", NULL, 1, RC_UNAVAILABLE);
    rc_fake_host_job(daemon.host)->by_daemon = true;
    assert_int_equal(open_session(&daemon), RC_OK);

    rc_fake_host_fail_on(route.host, "http.open", NULL, 1, RC_UNAVAILABLE);
    rc_fake_host_job(route.host)->by_daemon = true;
    rc_fake_host_job(route.host)->action = "serve";
    assert_int_equal(open_session(&route), RC_UNAVAILABLE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_is_created),
        cmocka_unit_test(test_a_job_may_be_worked_off_at_once),
        cmocka_unit_test(test_a_blocked_job_leaves_an_error_for_each_reason),
        cmocka_unit_test(test_an_error_is_stored_once),
        cmocka_unit_test(test_many_reasons_leave_few_errors),
        cmocka_unit_test(test_an_error_that_cannot_be_stored_changes_nothing),
        cmocka_unit_test(test_healing_waits_for_an_initial_sync),
        cmocka_unit_test(test_force_lets_a_job_be_made_beside_others),
        cmocka_unit_test(test_an_initial_sync_is_made_once),
        cmocka_unit_test(test_why_there_is_no_initial_sync),
        cmocka_unit_test(test_jobs_whose_time_is_up_fail_first),
        cmocka_unit_test(test_jobs_without_a_time_never_fail),
        cmocka_unit_test(test_jobs_within_their_time_block),
        cmocka_unit_test(test_a_job_beside_another_one_is_withdrawn),
        cmocka_unit_test(test_the_other_one_stays),
        cmocka_unit_test(test_others_get_in_again_and_again),
        cmocka_unit_test(test_a_withdrawal_that_fails_is_told),
        cmocka_unit_test(test_nothing_in_the_way_and_yet_no_job),
        cmocka_unit_test(test_a_store_that_drops_what_is_written),
        cmocka_unit_test(test_the_read_decides_what_became_of_a_lost_update),
        cmocka_unit_test(test_what_is_refused_is_not_looked_for),
        cmocka_unit_test(test_a_read_that_is_cut_is_repeated),
        cmocka_unit_test(test_a_dry_run_writes_nothing),
        cmocka_unit_test(test_kinds_that_there_are_not),
        cmocka_unit_test(test_data_that_is_broken),
        cmocka_unit_test(test_jobs_are_removed_but_for_active_ones),
        cmocka_unit_test(test_force_removes_active_jobs_too),
        cmocka_unit_test(test_jobs_that_change_while_they_are_removed),
        cmocka_unit_test(test_jobs_that_stay),
        cmocka_unit_test(test_a_dry_run_removes_nothing),
        cmocka_unit_test(test_every_call_may_fail),
        cmocka_unit_test(test_every_request_has_the_headers),
        cmocka_unit_test(test_who_waits_for_the_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
