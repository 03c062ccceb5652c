/*
 * Records what is sent as words, and writes the answers that a test has put down as lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jobs_world.h"
#include "vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const world_operations[DELTA_KIND_COUNT] = {
    "http://example.org/op/sync",
    "http://example.org/op/heal",
    "http://example.org/op/dump",
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

void world_add_trace(const struct world *world, struct rc_buf *out)
{
    for (size_t i = 0; i < rc_fake_host_http_requests(world->host); i++) {
        struct rc_fake_http_request request = rc_fake_host_http_request(world->host, i);

        rc_buf_addf(out, "%s%s", out->len ? " " : "", verb_of(&request));
    }
}

void world_expect_trace(const struct world *world, const char *expected)
{
    RC_BUF_AUTO(trace, TEXT_LIMIT);

    world_add_trace(world, &trace);
    assert_string_equal(trace.data, expected);
}

int world_count_sent(const struct world *world, const char *verb)
{
    int count = 0;

    for (size_t i = 0; i < rc_fake_host_http_requests(world->host); i++) {
        struct rc_fake_http_request request = rc_fake_host_http_request(world->host, i);

        count += rc_str_eq(verb_of(&request), verb);
    }
    return count;
}

void world_find_uuid(const struct world *world, const char *verb, const char *kind, char out[37])
{
    RC_STR_AUTO before = rc_strf("id%%2F%s%%2F", kind);

    out[0] = '\0';
    for (size_t i = rc_fake_host_http_requests(world->host); i-- > 0;) {
        struct rc_fake_http_request request = rc_fake_host_http_request(world->host, i);
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

static void add_row(struct rc_buf *out, const struct world *world, const char *line)
{
    char kind[16], status[16], name[64], uuid[37], text[RC_TIME_TEXT];
    double hours = 0;
    int fields = sscanf(line, "%15s %15s %63s %lf", kind, status, name, &hours);
    char *uri, *iri;

    assert_true(fields >= 3);
    world_find_uuid(world, "create", "job", uuid);
    uri = rc_str_eq(name, "own") ? rc_strf(DELTA_JOB_PREFIX "%s", uuid)
                                 : rc_strf("http://example.org/%s", name);
    iri = rc_strf(DELTA_STATUS_PREFIX "%s", status);
    rc_buf_addc(out, '{');
    add_term(out, "job", name[0] == '_' ? "bnode" : "uri", name[0] == '_' ? name + 2 : uri);
    for (int i = 0; i < DELTA_KIND_COUNT; i++)
        if (rc_str_eq(kind, delta_kind_name((enum delta_kind)i))) {
            rc_buf_addc(out, ',');
            add_term(out, "operation", "uri", world_operations[i]);
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

static void add_answer(struct rc_buf *out, const struct world *world, const char *step)
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
        add_row(out, world, row);
    }
    rc_buf_adds(out, "]}}");
}

static const char *next_answer(struct world *world)
{
    const char *step = world->steps[world->next_step];

    if (world->by_updates)
        return world->steps[world_count_sent(world, "create") ? 2
                            : world_count_sent(world, "fail") ? 1
                                                              : 0];
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
    add_answer(&body, world, next_answer(world));
    put.body = body.data;
    rc_fake_host_answer_http(host, QUERY_URL, 1, &put);
}

/* ---- the world ------------------------------------------------------------------------------- */

void world_clear(struct world *world)
{
    delta_outcome_clear(&world->outcome);
    rc_fake_host_free(world->host);
}

void world_init(struct world *world)
{
    static const struct rc_fake_http_answer done = { .status = 200, .body = "" };

    *world = (struct world){
        .host = rc_fake_host_new(NULL),
        .config = { .retry_failed_initial_sync = true, .initial_sync_retry_after_ms = HOUR_MS },
        .entry = { .name = "",
                   .jobs_graph = "http://example.org/jobs",
                   .error_creator = "http://example.org/creator",
                   .job_operation = { world_operations[0], world_operations[1],
                                      world_operations[2] },
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

enum rc_code world_create(struct world *world, enum delta_kind kind, bool force)
{
    enum rc_code code;

    world->err = (struct rc_error)RC_ERROR_INIT;
    code = delta_create(&world->session, &world->entry, kind, force, &world->outcome, &world->err);
    assert_int_equal(rc_fake_host_open_handles(world->host), 0);
    return code;
}

void world_expect(struct world *world, enum delta_kind kind, bool force, enum delta_verdict verdict,
                  const char *trace)
{
    if (world_create(world, kind, force))
        fail_msg("%s: %s", world->err.context, world->err.cause);
    assert_int_equal(world->outcome.verdict, verdict);
    world_expect_trace(world, trace);
    assert_int_equal(rc_fake_host_counter(world->host, "jobs_created"),
                     verdict == DELTA_FREE && !world->session.job->dry_run);
    assert_int_equal(rc_fake_host_counter(world->host, "jobs_blocked"),
                     verdict != DELTA_FREE && verdict != DELTA_DONE);
}
