/*
 * The statements, run by engines that others made: what an update does to a graph is what the
 * chronology says, for every rule and many sets of jobs; so are the queries' rows. The engine is
 * that of rdflib, and the store at RUN_CORE_TEST_SPARQL_QUERY and _UPDATE if there is one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sparql/term.h"
#include "statements.h"
#include "vocabulary.h"

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRAPH "http://example.org/graphs/jobs-of-statements"
#define NOW_UNIX_MS INT64_C(1768478400250) /* 2026-01-15T12:00:00.250Z */
#define NOW "2026-01-15T12:00:00.250Z"
#define OWN_UUID "11111111-1111-4111-8111-111111111111"
#define OWN_TASK_UUID "22222222-2222-4222-8222-222222222222"
#define HARD_TEXT "a \"quoted\" text, \\ and\na line more, \xc3\xa9"

enum { TEXT_LIMIT = 1 << 20, NO_STATUS = DELTA_STATUS_COUNT + 1, STATUSES };

static const struct delta_entry stream = {
    .name = "",
    .jobs_graph = GRAPH,
    .error_creator = "http://example.org/creator",
    .job_operation = { "http://example.org/op/sync", "http://example.org/op/heal",
                       "http://example.org/op/dump" },
    .task_operation = { DELTA_INITIAL_SYNC_TASK, DELTA_HEALING_TASK, DELTA_DUMP_TASK },
};

/* ---- cases ----------------------------------------------------------------------------------- */

/* They read cases from their stdin, of all tests; the last test has them tell. */
static struct {
    FILE *at[2];
    int count;
    int asked; /* the first so many, at present */
} judges;

static FILE *judge(const char *urls)
{
    const char *source = getenv("RUN_CORE_SOURCE");
    RC_STR_AUTO command =
        rc_strf("/usr/bin/python3 '%s/tests/plugins/delta-initiator/statements_judge.py' %s",
                source ? source : ".", urls);
    FILE *pipe = popen(command, "w");

    assert_non_null(pipe);
    return pipe;
}

static int call_judges(void **state)
{
    const char *query_url = getenv("RUN_CORE_TEST_SPARQL_QUERY");
    const char *update_url = getenv("RUN_CORE_TEST_SPARQL_UPDATE");

    (void)state;
    (void)fflush(stdout);
    judges.at[judges.count++] = judge("");
    if (query_url && update_url) {
        RC_STR_AUTO urls = rc_strf("'%s' '%s'", query_url, update_url);

        judges.at[judges.count++] = judge(urls);
    }
    judges.asked = judges.count;
    return 0;
}

static void test_the_engines_agree(void **state)
{
    (void)state;
    for (int i = 0; i < judges.count; i++)
        assert_int_equal(pclose(judges.at[i]), 0);
}

static void add_member(struct rc_buf *out, const char *key, const char *text)
{
    rc_buf_addf(out, "\"%s\":", key);
    rc_buf_add_json(out, text, strlen(text));
    rc_buf_addc(out, ',');
}

/* 'expected' is JSON: "after": "..." or "rows": [...]. */
static void put(const char *name, const char *given, const struct rc_buf *text,
                const char *expected)
{
    RC_BUF_AUTO(line, TEXT_LIMIT);
    struct rc_error err;

    assert_int_equal(rc_buf_check(text, &err), RC_OK);
    rc_buf_addc(&line, '{');
    add_member(&line, "name", name);
    add_member(&line, "graph", GRAPH);
    add_member(&line, "given", given);
    add_member(&line, "text", text->data);
    rc_buf_addf(&line, "%s}\n", expected);
    assert_int_equal(rc_buf_check(&line, &err), RC_OK);
    for (int i = 0; i < judges.asked; i++)
        assert_true(fputs(line.data, judges.at[i]) >= 0);
}

static void put_update(const char *name, const char *given, const struct rc_buf *text,
                       const char *after)
{
    RC_BUF_AUTO(expected, TEXT_LIMIT);

    rc_buf_adds(&expected, "\"after\":");
    rc_buf_add_json(&expected, after, strlen(after));
    put(name, given, text, expected.data);
}

static void put_query(const char *name, const char *given, const struct rc_buf *text,
                      const char *rows)
{
    RC_STR_AUTO expected = rc_strf("\"rows\":%s", rows);

    put(name, given, text, expected);
}

/* ---- graphs ---------------------------------------------------------------------------------- */

#define TIME(text) "\"" text "\"^^<http://www.w3.org/2001/XMLSchema#dateTime>"

static void add_triple(struct rc_buf *out, const char *subject, const char *property,
                       const char *object)
{
    rc_buf_addf(out, "<%s> <%s> %s .\n", subject, property, object);
}

static void add_iri_triple(struct rc_buf *out, const char *subject, const char *property,
                           const char *object)
{
    RC_STR_AUTO iri = rc_strf("<%s>", object);

    add_triple(out, subject, property, iri);
}

static void add_status(struct rc_buf *out, const char *subject, int status)
{
    RC_STR_AUTO iri =
        rc_strf(DELTA_STATUS_PREFIX "%s",
                status < NO_STATUS ? delta_status_name((enum delta_status)status) : "");

    if (status < NO_STATUS)
        add_iri_triple(out, subject, DELTA_ADMS "status", iri);
}

static void add_job(struct rc_buf *out, const char *uri, int kind, int status, const char *time)
{
    add_iri_triple(out, uri, DELTA_RDF "type", DELTA_JOB_TYPE);
    add_iri_triple(out, uri, DELTA_TASK "operation", stream.job_operation[kind]);
    add_status(out, uri, status);
    if (time) {
        add_triple(out, uri, DELTA_DCT "created", time);
        add_triple(out, uri, DELTA_DCT "modified", time);
    }
}

static void add_task(struct rc_buf *out, const char *uri, const char *job, int status,
                     const char *time)
{
    add_iri_triple(out, uri, DELTA_RDF "type", DELTA_TASK_TYPE);
    add_iri_triple(out, uri, DELTA_DCT "isPartOf", job);
    add_status(out, uri, status);
    if (time)
        add_triple(out, uri, DELTA_DCT "modified", time);
}

/* What the older system writes of a job and its task; see tests/data/delta-initiator. */
static void add_created(struct rc_buf *out, enum delta_kind kind)
{
    static const char job[] = DELTA_JOB_PREFIX OWN_UUID, task[] = DELTA_TASK_PREFIX OWN_TASK_UUID;

    add_job(out, job, (int)kind, DELTA_BUSY, TIME(NOW));
    add_triple(out, job, DELTA_MU "uuid", "\"" OWN_UUID "\"");
    add_iri_triple(out, job, DELTA_DCT "creator", DELTA_CREATOR);
    add_task(out, task, job, DELTA_SCHEDULED, TIME(NOW));
    add_triple(out, task, DELTA_MU "uuid", "\"" OWN_TASK_UUID "\"");
    add_triple(out, task, DELTA_DCT "created", TIME(NOW));
    add_iri_triple(out, task, DELTA_TASK "operation", stream.task_operation[kind]);
    add_triple(out, task, DELTA_TASK "index", "\"0\"");
}

/* ---- creating -------------------------------------------------------------------------------- */

struct combination {
    const char *name;
    enum delta_kind kind;
    bool force, retries, heals_at_once, dump_disabled, healing_disabled;
};

static const struct combination combinations[] = {
    { .name = "dump", .kind = DELTA_DUMP },
    { .name = "forced dump", .kind = DELTA_DUMP, .force = true },
    { .name = "healing", .kind = DELTA_HEALING },
    { .name = "forced healing", .kind = DELTA_HEALING, .force = true },
    { .name = "healing at once", .kind = DELTA_HEALING, .heals_at_once = true },
    { .name = "initial sync", .kind = DELTA_INITIAL_SYNC, .retries = true },
    { .name = "forced initial sync", .kind = DELTA_INITIAL_SYNC, .force = true },
    { .name = "initial sync, never again", .kind = DELTA_INITIAL_SYNC },
    { .name = "initial sync without dumps",
      .kind = DELTA_INITIAL_SYNC,
      .retries = true,
      .dump_disabled = true },
    { .name = "initial sync without healings",
      .kind = DELTA_INITIAL_SYNC,
      .retries = true,
      .healing_disabled = true },
    { .name = "initial sync alone",
      .kind = DELTA_INITIAL_SYNC,
      .dump_disabled = true,
      .healing_disabled = true },
};

struct there {
    int kind, status;
};

/* The rules, as they are with these options, of jobs that failed long ago. */
static void put_creation(const struct combination *combination, const struct there *there,
                         size_t count)
{
    struct delta_config config = { .retry_failed_initial_sync = combination->retries,
                                   .initial_sync_retry_after_ms = 3600000 };
    struct delta_entry entry = stream;
    struct delta_rules rules;
    struct delta_creation creation = { .entry = &entry,
                                       .kind = combination->kind,
                                       .rules = &rules,
                                       .job_uuid = OWN_UUID,
                                       .task_uuid = OWN_TASK_UUID,
                                       .now_unix_ms = NOW_UNIX_MS };
    struct delta_job jobs[2] = { { 0 } };
    RC_STR_AUTO name = rc_strf("%s beside", combination->name);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_BUF_AUTO(graph, TEXT_LIMIT);
    RC_BUF_AUTO(after, TEXT_LIMIT);

    entry.heal_without_initial_sync = combination->heals_at_once;
    entry.disabled[DELTA_DUMP] = combination->dump_disabled;
    entry.disabled[DELTA_HEALING] = combination->healing_disabled;
    delta_rules_make(&config, &entry, creation.kind, combination->force, NOW_UNIX_MS, &rules);
    for (size_t i = 0; i < count; i++) {
        RC_STR_AUTO uri = rc_strf("http://example.org/there/%zu", i);
        char *before = name;

        name = rc_strf("%s [%d %s]", before, there[i].kind,
                       there[i].status == NO_STATUS
                           ? "no status"
                           : delta_status_name((enum delta_status)there[i].status));
        free(before);
        add_job(&graph, uri, there[i].kind, there[i].status, TIME("2026-01-01T00:00:00.000Z"));
        jobs[i] = (struct delta_job){ .kind = (enum delta_kind)there[i].kind,
                                      .status = there[i].status == NO_STATUS
                                                    ? DELTA_OTHER_STATUS
                                                    : (enum delta_status)there[i].status };
    }
    rc_buf_adds(&after, graph.data);
    if (delta_rules_judge(&rules, creation.kind, jobs, count) == DELTA_FREE)
        add_created(&after, creation.kind);
    delta_add_create(&text, &creation);
    put_update(name, graph.data, &text, after.data);
}

/* Those that differ to a rule. */
static bool is_telling(int status)
{
    return status == DELTA_BUSY || status == DELTA_SUCCESS || status == DELTA_FAILED ||
           status == NO_STATUS;
}

/* Of the same kind only initial syncs tell more together than alone. */
static bool are_telling(const struct there pair[2])
{
    return is_telling(pair[0].status) && is_telling(pair[1].status) &&
           (pair[0].kind != pair[1].kind ||
            (pair[0].kind == DELTA_INITIAL_SYNC && pair[0].status != pair[1].status));
}

static void put_creations(const struct combination *combination)
{
    enum { ATOMS = DELTA_KIND_COUNT * STATUSES };
    struct there pair[2];

    put_creation(combination, NULL, 0);
    for (int a = 0; a < ATOMS; a++) {
        pair[0] = (struct there){ a % DELTA_KIND_COUNT, a / DELTA_KIND_COUNT };
        put_creation(combination, pair, 1);
        for (int b = a + 1; b < ATOMS; b++) {
            pair[1] = (struct there){ b % DELTA_KIND_COUNT, b / DELTA_KIND_COUNT };
            judges.asked = 1; /* a store takes longer, and no longer surprises here */
            if (are_telling(pair))
                put_creation(combination, pair, 2);
            judges.asked = judges.count;
        }
    }
}

static void test_a_job_is_made_where_the_rules_let_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(combinations); i++)
        put_creations(&combinations[i]);
}

/* Not even a forced one is made twice, nor once it has been worked off. */
static void test_a_job_that_is_known_is_not_made(void **state)
{
    struct delta_rules rules = { .blocked_by = { false } };
    struct delta_creation creation = { .entry = &stream,
                                       .kind = DELTA_DUMP,
                                       .rules = &rules,
                                       .job_uuid = OWN_UUID,
                                       .task_uuid = OWN_TASK_UUID,
                                       .now_unix_ms = NOW_UNIX_MS };
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_BUF_AUTO(graph, TEXT_LIMIT);

    (void)state;
    delta_add_create(&text, &creation);
    add_job(&graph, DELTA_JOB_PREFIX OWN_UUID, DELTA_DUMP, DELTA_SUCCESS,
            TIME("2026-01-16T00:00:00.000Z"));
    put_update("a job that is known", graph.data, &text, graph.data);
}

/* A stream without initial syncs that healings wait for has no healings. */
static void test_what_has_no_operation(void **state)
{
    struct delta_config config = { 0 };
    struct delta_entry entry = stream;
    struct delta_rules rules;
    struct delta_creation creation = { .entry = &entry,
                                       .kind = DELTA_HEALING,
                                       .rules = &rules,
                                       .job_uuid = OWN_UUID,
                                       .task_uuid = OWN_TASK_UUID,
                                       .now_unix_ms = NOW_UNIX_MS };
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_BUF_AUTO(free_text, TEXT_LIMIT);
    RC_BUF_AUTO(query, TEXT_LIMIT);
    RC_BUF_AUTO(after, TEXT_LIMIT);

    (void)state;
    entry.job_operation[DELTA_INITIAL_SYNC] = NULL;
    delta_rules_make(&config, &entry, DELTA_HEALING, /* force = */ false, NOW_UNIX_MS, &rules);
    delta_add_create(&text, &creation);
    put_update("a healing that waits for ever", "", &text, "");
    delta_rules_make(&config, &entry, DELTA_HEALING, /* force = */ true, NOW_UNIX_MS, &rules);
    delta_add_create(&free_text, &creation);
    add_created(&after, DELTA_HEALING);
    put_update("a healing by force", "", &free_text, after.data);
    entry = (struct delta_entry){ .jobs_graph = GRAPH };
    delta_add_jobs(&query, &entry, NULL);
    put_query("a stream with nothing", after.data, &query, "[]");
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void test_an_error_is_recorded_once(void **state)
{
    static const char uri[] = DELTA_ERROR_PREFIX OWN_UUID;
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_BUF_AUTO(ask, TEXT_LIMIT);
    RC_BUF_AUTO(after, TEXT_LIMIT);

    (void)state;
    delta_add_error(&text, &stream, "http://example.org/there/0", HARD_TEXT, OWN_UUID, NOW_UNIX_MS);
    add_iri_triple(&after, uri, DELTA_RDF "type", DELTA_ERROR_TYPE);
    add_iri_triple(&after, uri, DELTA_RDF "type", DELTA_DELTA_ERROR_TYPE);
    add_triple(&after, uri, DELTA_MU "uuid", "\"" OWN_UUID "\"");
    add_triple(&after, uri, DELTA_DCT "subject", "\"" DELTA_ERROR_SUBJECT "\"");
    add_triple(&after, uri, DELTA_OSLC "message",
               "\"a \\\"quoted\\\" text, \\\\ and\\na line more, \xc3\xa9\"");
    add_triple(&after, uri, DELTA_DCT "created", TIME(NOW));
    add_iri_triple(&after, uri, DELTA_DCT "creator", stream.error_creator);
    add_iri_triple(&after, uri, DELTA_DCT "references", "http://example.org/there/0");
    put_update("an error", "", &text, after.data);

    delta_add_ask_error(&ask, &stream, OWN_UUID);
    put_query("an error that is there", after.data, &ask, "true");
    put_query("an error that is not there", "", &ask, "false");

    rc_buf_reset(&text);
    delta_add_error(&text, &stream, NULL, "another day", OWN_UUID, NOW_UNIX_MS + 1);
    put_update("an error that is known", after.data, &text, after.data);
}

static void test_errors_are_told_apart(void **state)
{
    enum { COUNT = 7 };
    struct delta_entry other = stream;
    char uuids[COUNT][DELTA_UUID_TEXT], same[DELTA_UUID_TEXT];

    (void)state;
    other.jobs_graph = "http://example.org/graphs/other";
    delta_error_uuid(&stream, DELTA_DUMP, "http://example.org/a", NOW_UNIX_MS, uuids[0]);
    delta_error_uuid(&stream, DELTA_HEALING, "http://example.org/a", NOW_UNIX_MS, uuids[1]);
    delta_error_uuid(&stream, DELTA_DUMP, "http://example.org/b", NOW_UNIX_MS, uuids[2]);
    delta_error_uuid(&stream, DELTA_DUMP, NULL, NOW_UNIX_MS, uuids[3]);
    delta_error_uuid(&stream, DELTA_DUMP, "http://example.org/a", NOW_UNIX_MS + RC_DAY_MS,
                     uuids[4]);
    delta_error_uuid(&other, DELTA_DUMP, "http://example.org/a", NOW_UNIX_MS, uuids[5]);
    delta_error_uuid(&stream, DELTA_DUMP, "http://example.org/a", -1, uuids[6]);
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(uuids[i], uuids[j]);
    /* The first and the last millisecond of the day. */
    delta_error_uuid(&stream, DELTA_DUMP, "http://example.org/a", INT64_C(1768435200000), same);
    assert_string_equal(same, uuids[0]);
    delta_error_uuid(&stream, DELTA_DUMP, "http://example.org/a", INT64_C(1768521599999), same);
    assert_string_equal(same, uuids[0]);
}

/* The values are those that the authors of the hash publish. */
static void test_uuids(void **state)
{
    char a[DELTA_UUID_TEXT], b[DELTA_UUID_TEXT];
    struct rc_error err;

    (void)state;
    delta_uuid_of("", 0, a);
    assert_string_equal(a, "6c62272e-07bb-8142-a2b8-21756295c58d");
    delta_uuid_of("a", 1, a);
    assert_string_equal(a, "d228cb69-6f1a-8caf-b891-2b704e4a8964");
    delta_uuid_of("foobar", 6, a);
    assert_string_equal(a, "343e1662-793c-84bf-af0d-3597ba446f18");

    assert_int_equal(delta_uuid(a, &err), RC_OK);
    assert_int_equal(delta_uuid(b, &err), RC_OK);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
}

/* ---- reading --------------------------------------------------------------------------------- */

static void add_every_job(struct rc_buf *out)
{
    for (int kind = 0; kind < DELTA_KIND_COUNT; kind++)
        for (int status = 0; status < STATUSES; status++) {
            RC_STR_AUTO uri = rc_strf("http://example.org/j/%d%d", kind, status);
            RC_STR_AUTO time = rc_strf(TIME("2026-01-0%dT00:00:00.250Z"), status + 1);

            add_job(out, uri, kind, status, status == DELTA_SUCCESS ? NULL : time);
        }
    add_iri_triple(out, "http://example.org/j/x", DELTA_RDF "type", DELTA_JOB_TYPE);
    add_iri_triple(out, "http://example.org/j/x", DELTA_TASK "operation", "http://example.org/x");
    add_status(out, "http://example.org/j/x", DELTA_BUSY);
    add_iri_triple(out, "http://example.org/j/y", DELTA_TASK "operation", stream.job_operation[0]);
    add_status(out, "http://example.org/j/y", DELTA_BUSY);
}

/* The row of a job, as the judge writes terms. */
static void add_row(struct rc_buf *out, int kind, int status)
{
    RC_STR_AUTO time = rc_strf("\"\\\"2026-01-0%dT00:00:00.250000+00:00\\\"^^time\"", status + 1);
    const char *shown = status == DELTA_SUCCESS ? "null" : time;

    rc_buf_addf(out, "%s[\"<http://example.org/j/%d%d>\",\"<%s>\",", out->len > 1 ? "," : "", kind,
                status, stream.job_operation[kind]);
    if (status < NO_STATUS)
        rc_buf_addf(out, "\"<" DELTA_STATUS_PREFIX "%s>\"",
                    delta_status_name((enum delta_status)status));
    else
        rc_buf_adds(out, "null");
    rc_buf_addf(out, ",%s,%s]", shown, shown);
}

static void test_queries_find_what_they_name(void **state)
{
    RC_BUF_AUTO(graph, TEXT_LIMIT);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_BUF_AUTO(rows, TEXT_LIMIT);
    RC_BUF_AUTO(own_rows, TEXT_LIMIT);
    RC_BUF_AUTO(kind_rows, TEXT_LIMIT);
    RC_BUF_AUTO(newest, TEXT_LIMIT);

    (void)state;
    add_every_job(&graph);
    rc_buf_addc(&rows, '[');
    for (int kind = 0; kind < DELTA_KIND_COUNT; kind++)
        for (int status = 0; status < STATUSES; status++)
            if (kind == DELTA_INITIAL_SYNC || status == DELTA_SCHEDULED || status == DELTA_BUSY)
                add_row(&rows, kind, status);
    rc_buf_adds(&own_rows, rows.data);
    add_row(&own_rows, DELTA_DUMP, DELTA_SUCCESS);
    rc_buf_addc(&rows, ']');
    rc_buf_addc(&own_rows, ']');
    delta_add_jobs(&text, &stream, NULL);
    put_query("the jobs of the rules", graph.data, &text, rows.data);
    rc_buf_reset(&text);
    delta_add_jobs(&text, &stream, "http://example.org/j/22");
    put_query("those and one's own", graph.data, &text, own_rows.data);

    rc_buf_addc(&kind_rows, '[');
    for (int status = 0; status < STATUSES; status++)
        add_row(&kind_rows, DELTA_HEALING, status);
    rc_buf_addc(&kind_rows, ']');
    rc_buf_reset(&text);
    delta_add_jobs_of(&text, &stream, DELTA_HEALING, /* behind = */ NULL);
    put_query("the jobs of a kind", graph.data, &text, kind_rows.data);

    rc_buf_reset(&kind_rows);
    rc_buf_addc(&kind_rows, '[');
    for (int status = DELTA_SUCCESS + 1; status < STATUSES; status++)
        add_row(&kind_rows, DELTA_HEALING, status);
    rc_buf_addc(&kind_rows, ']');
    rc_buf_reset(&text);
    delta_add_jobs_of(&text, &stream, DELTA_HEALING, "http://example.org/j/12");
    put_query("those behind one of them", graph.data, &text, kind_rows.data);

    rc_buf_addc(&newest, '[');
    add_row(&newest, DELTA_HEALING, NO_STATUS);
    rc_buf_addc(&newest, ']');
    rc_buf_reset(&text);
    delta_add_newest(&text, &stream, DELTA_HEALING);
    put_query("the newest job", graph.data, &text, newest.data);
}

static void test_counts(void **state)
{
    RC_BUF_AUTO(graph, TEXT_LIMIT);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_BUF_AUTO(rows, TEXT_LIMIT);

    (void)state;
    add_every_job(&graph);
    add_job(&graph, "http://example.org/j/more", DELTA_DUMP, DELTA_SUCCESS, NULL);
    add_status(&graph, "http://example.org/j/more", DELTA_CANCELED);
    rc_buf_addc(&rows, '[');
    for (int kind = 0; kind < DELTA_KIND_COUNT; kind++)
        for (int status = 0; status < STATUSES; status++) {
            bool more = kind == DELTA_DUMP && (status == DELTA_SUCCESS || status == DELTA_CANCELED);

            rc_buf_addf(&rows, "%s[\"<%s>\",", rows.len > 1 ? "," : "", stream.job_operation[kind]);
            if (status < NO_STATUS)
                rc_buf_addf(&rows, "\"<" DELTA_STATUS_PREFIX "%s>\"",
                            delta_status_name((enum delta_status)status));
            else
                rc_buf_adds(&rows, "null");
            rc_buf_addf(&rows, ",\"%d\"]", more ? 2 : 1);
        }
    rc_buf_addc(&rows, ']');
    delta_add_counts(&text, &stream);
    put_query("how many jobs there are", graph.data, &text, rows.data);
}

/* ---- changing -------------------------------------------------------------------------------- */

#define JOB "http://example.org/job"

/* A job with tasks of several states, and another job with a task. */
static void add_family(struct rc_buf *out, int status, const char *modified, bool failed)
{
    const char *changed = failed ? TIME(NOW) : modified;
    const char *old = TIME("2026-01-15T09:00:00.000Z");

    add_iri_triple(out, JOB, DELTA_RDF "type", DELTA_JOB_TYPE);
    add_iri_triple(out, JOB, DELTA_TASK "operation", stream.job_operation[DELTA_DUMP]);
    add_status(out, JOB, failed ? DELTA_FAILED : status);
    if (changed)
        add_triple(out, JOB, DELTA_DCT "modified", changed);
    add_task(out, "http://example.org/task/0", JOB, DELTA_SUCCESS, old);
    add_task(out, "http://example.org/task/1", JOB, failed ? DELTA_FAILED : DELTA_BUSY,
             failed ? TIME(NOW) : old);
    add_task(out, "http://example.org/task/2", JOB, failed ? DELTA_FAILED : DELTA_SCHEDULED,
             failed ? TIME(NOW) : NULL);
}

static void add_bystanders(struct rc_buf *out)
{
    add_job(out, "http://example.org/bystander", DELTA_DUMP, DELTA_BUSY, NULL);
    add_task(out, "http://example.org/task/9", "http://example.org/bystander", DELTA_BUSY, NULL);
}

static void put_failing(const char *name, int status, const char *modified, bool fails)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_BUF_AUTO(graph, TEXT_LIMIT);
    RC_BUF_AUTO(after, TEXT_LIMIT);

    delta_add_fail(&text, &stream, JOB, NOW_UNIX_MS - 3600000, NOW_UNIX_MS);
    add_family(&graph, status, modified, false);
    add_bystanders(&graph);
    add_family(&after, status, modified, fails);
    add_bystanders(&after);
    put_update(name, graph.data, &text, after.data);
}

static void test_a_job_fails_with_its_tasks(void **state)
{
    static const struct {
        const char *name, *modified;
        int status;
        bool fails;
    } cases[] = {
        { "busy for long", TIME("2026-01-15T10:00:00.000Z"), DELTA_BUSY, true },
        { "scheduled for long", TIME("2026-01-15T10:00:00.000Z"), DELTA_SCHEDULED, true },
        { "to the millisecond", TIME("2026-01-15T11:00:00.250Z"), DELTA_BUSY, true },
        { "a millisecond less", TIME("2026-01-15T11:00:00.251Z"), DELTA_BUSY, false },
        { "a moment ago", TIME("2026-01-15T12:00:00Z"), DELTA_BUSY, false },
        { "elsewhere", TIME("2026-01-15T10:00:00.000+01:00"), DELTA_BUSY, true },
        { "nowhere", TIME("2026-01-15T10:00:00.000"), DELTA_BUSY, true },
        { "nowhere, lately", TIME("2026-01-15T11:00:00.000"), DELTA_BUSY, true },
        { "a text", "\"2030\"", DELTA_BUSY, true },
        { "no time", NULL, DELTA_BUSY, true },
        { "done", TIME("2026-01-15T10:00:00.000Z"), DELTA_SUCCESS, false },
        { "canceled", TIME("2026-01-15T10:00:00.000Z"), DELTA_CANCELED, false },
        { "without a status", TIME("2026-01-15T10:00:00.000Z"), NO_STATUS, false },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++)
        put_failing(cases[i].name, cases[i].status, cases[i].modified, cases[i].fails);
}

static void test_a_job_is_removed_with_its_tasks(void **state)
{
    (void)state;
    for (int status = 0; status < STATUSES; status++)
        for (int force = 0; force < 2; force++) {
            RC_STR_AUTO name = rc_strf("removal of status %d, force %d", status, force);
            bool goes = force || (status != DELTA_SCHEDULED && status != DELTA_BUSY);
            RC_BUF_AUTO(text, TEXT_LIMIT);
            RC_BUF_AUTO(graph, TEXT_LIMIT);
            RC_BUF_AUTO(after, TEXT_LIMIT);

            delta_add_remove(&text, &stream, JOB, force);
            add_family(&graph, status, TIME(NOW), false);
            add_bystanders(&graph);
            if (!goes)
                add_family(&after, status, TIME(NOW), false);
            add_bystanders(&after);
            put_update(name, graph.data, &text, after.data);
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_is_made_where_the_rules_let_it),
        cmocka_unit_test(test_a_job_that_is_known_is_not_made),
        cmocka_unit_test(test_what_has_no_operation),
        cmocka_unit_test(test_an_error_is_recorded_once),
        cmocka_unit_test(test_errors_are_told_apart),
        cmocka_unit_test(test_uuids),
        cmocka_unit_test(test_queries_find_what_they_name),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_a_job_fails_with_its_tasks),
        cmocka_unit_test(test_a_job_is_removed_with_its_tasks),
        cmocka_unit_test(test_the_engines_agree),
    };

    return cmocka_run_group_tests(tests, call_judges, NULL);
}
