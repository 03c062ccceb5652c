/*
 * Writes the SPARQL of every step. Sends nothing.
 */
#include "statements.h"
#include "sparql/term.h"
#include "vocabulary.h"

#include <run-core/str.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char prefixes[] = "PREFIX adms: <" DELTA_ADMS ">\n"
                               "PREFIX dct: <" DELTA_DCT ">\n"
                               "PREFIX mu: <" DELTA_MU ">\n"
                               "PREFIX oslc: <" DELTA_OSLC ">\n"
                               "PREFIX status: <" DELTA_STATUS_PREFIX ">\n"
                               "PREFIX task: <" DELTA_TASK ">\n"
                               "PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>\n";

/* What stands for a job's status while it is active. */
#define ACTIVE "(status:scheduled, status:busy)"

const char *const delta_job_columns[DELTA_COLUMNS] = {
    [DELTA_COLUMN_JOB] = "job",           [DELTA_COLUMN_OPERATION] = "operation",
    [DELTA_COLUMN_STATUS] = "status",     [DELTA_COLUMN_CREATED] = "created",
    [DELTA_COLUMN_MODIFIED] = "modified",
};

const char *const delta_count_columns[DELTA_COUNT_COLUMNS] = {
    [DELTA_COUNT_OPERATION] = "operation",
    [DELTA_COUNT_STATUS] = "status",
    [DELTA_COUNT_JOBS] = "jobs",
};

/*
 * Adds 'text', in which $i stands for the next argument as an IRI, $s as a string (both const char
 * *) and $t as a time (int64_t, Unix milliseconds).
 */
static void add(struct rc_buf *out, const char *text, ...)
{
    va_list arguments;
    const char *value;

    va_start(arguments, text);
    for (const char *mark; (mark = strchr(text, '$')) != NULL; text = mark + 2) {
        rc_buf_add(out, text, (size_t)(mark - text));
        switch (mark[1]) {
        case 'i':
            sparql_add_iri(out, va_arg(arguments, const char *));
            break;
        case 's':
            value = va_arg(arguments, const char *);
            sparql_add_string(out, value, strlen(value));
            break;
        default:
            RC_ASSERT(mark[1] == 't');
            sparql_add_time(out, va_arg(arguments, int64_t));
        }
    }
    va_end(arguments);
    rc_buf_adds(out, text);
}

/* ---- creating -------------------------------------------------------------------------------- */

/* There is no job of the kind that makes another one needless, or that is never tried again. */
static void add_once(struct rc_buf *out, const struct delta_creation *creation)
{
    const char *graph = creation->entry->jobs_graph;
    const char *operation = creation->entry->job_operation[creation->kind];

    if (creation->rules->failed_before_unix_ms == INT64_MIN)
        add(out, "  FILTER NOT EXISTS { GRAPH $i { ?other a $i ; task:operation $i } }\n", graph,
            DELTA_JOB_TYPE, operation);
    else
        add(out,
            "  FILTER NOT EXISTS { GRAPH $i {\n"
            "    ?other a $i ; task:operation $i . OPTIONAL { ?other adms:status ?is }\n"
            "    FILTER(!BOUND(?is) || ?is != status:failed) } }\n",
            graph, DELTA_JOB_TYPE, operation);
}

static void add_blocked_by(struct rc_buf *out, const struct delta_creation *creation)
{
    static const char *const variables[DELTA_KIND_COUNT] = { "sync", "healing", "dump" };
    const struct delta_entry *entry = creation->entry;

    for (int kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        if (!creation->rules->blocked_by[kind] || !entry->job_operation[kind])
            continue;
        add(out, "  FILTER NOT EXISTS { GRAPH $i {\n", entry->jobs_graph);
        rc_buf_addf(out, "    ?%s ", variables[kind]);
        add(out, "a $i ; task:operation $i ; ", DELTA_JOB_TYPE, entry->job_operation[kind]);
        rc_buf_addf(out, "adms:status ?%s_is .\n    FILTER(?%s_is IN " ACTIVE ") } }\n",
                    variables[kind], variables[kind]);
    }
}

static void add_needs_initial_sync(struct rc_buf *out, const struct delta_entry *entry)
{
    const char *operation = entry->job_operation[DELTA_INITIAL_SYNC];

    if (operation)
        add(out,
            "  FILTER EXISTS { GRAPH $i { ?done a $i ; task:operation $i ; adms:status "
            "status:success } }\n",
            entry->jobs_graph, DELTA_JOB_TYPE, operation);
    else
        rc_buf_adds(out, "  FILTER(false)\n"); /* a stream without them never has one */
}

void delta_add_create(struct rc_buf *out, const struct delta_creation *creation)
{
    const struct delta_entry *entry = creation->entry;
    enum delta_kind kind = creation->kind;
    int64_t now_unix_ms = creation->now_unix_ms;
    RC_STR_AUTO job = rc_strf(DELTA_JOB_PREFIX "%s", creation->job_uuid);
    RC_STR_AUTO task = rc_strf(DELTA_TASK_PREFIX "%s", creation->task_uuid);

    rc_buf_adds(out, prefixes);
    add(out,
        "INSERT { GRAPH $i {\n"
        "  $i a $i ; mu:uuid $s ; dct:creator $i ; adms:status status:busy ;\n"
        "    dct:created $t ; dct:modified $t ; task:operation $i .\n",
        entry->jobs_graph, job, DELTA_JOB_TYPE, creation->job_uuid, DELTA_CREATOR, now_unix_ms,
        now_unix_ms, entry->job_operation[kind]);
    add(out,
        "  $i a $i ; mu:uuid $s ; adms:status status:scheduled ;\n"
        "    dct:created $t ; dct:modified $t ; task:operation $i ; task:index \"0\" ;\n"
        "    dct:isPartOf $i .\n"
        "} }\n",
        task, DELTA_TASK_TYPE, creation->task_uuid, now_unix_ms, now_unix_ms,
        entry->task_operation[kind], job);
    add(out,
        "WHERE {\n"
        "  VALUES ?x { 1 }\n"
        "  FILTER NOT EXISTS { GRAPH $i { $i ?p ?o } }\n",
        entry->jobs_graph, job);
    if (creation->rules->once)
        add_once(out, creation);
    if (creation->rules->needs_initial_sync)
        add_needs_initial_sync(out, entry);
    add_blocked_by(out, creation);
    rc_buf_adds(out, "}\n");
}

/* ---- errors ---------------------------------------------------------------------------------- */

void delta_error_uuid(const struct delta_entry *entry, enum delta_kind kind,
                      const char *blocking_uri, int64_t now_unix_ms, char out[DELTA_UUID_TEXT])
{
    int64_t day = now_unix_ms / RC_DAY_MS - (now_unix_ms % RC_DAY_MS < 0);
    RC_STR_AUTO text = rc_strf("%s %s %s %lld", entry->jobs_graph, entry->job_operation[kind],
                               blocking_uri ? blocking_uri : "", (long long)day);

    delta_uuid_of(text, strlen(text), out);
}

void delta_add_error(struct rc_buf *out, const struct delta_entry *entry, const char *blocking_uri,
                     const char *message, const char *error_uuid, int64_t now_unix_ms)
{
    RC_STR_AUTO error = rc_strf(DELTA_ERROR_PREFIX "%s", error_uuid);

    rc_buf_adds(out, prefixes);
    add(out,
        "INSERT { GRAPH $i {\n"
        "  $i a $i , $i ; mu:uuid $s ; dct:subject $s ; oslc:message $s ;\n"
        "    dct:created $t ; dct:creator $i",
        entry->jobs_graph, error, DELTA_ERROR_TYPE, DELTA_DELTA_ERROR_TYPE, error_uuid,
        DELTA_ERROR_SUBJECT, message, now_unix_ms, entry->error_creator);
    if (blocking_uri)
        add(out, " ; dct:references $i", blocking_uri);
    add(out,
        " .\n"
        "} }\n"
        "WHERE {\n"
        "  VALUES ?x { 1 }\n"
        "  FILTER NOT EXISTS { GRAPH $i { $i ?p ?o } }\n"
        "}\n",
        entry->jobs_graph, error);
}

void delta_add_ask_error(struct rc_buf *out, const struct delta_entry *entry,
                         const char *error_uuid)
{
    RC_STR_AUTO error = rc_strf(DELTA_ERROR_PREFIX "%s", error_uuid);

    add(out, "ASK { GRAPH $i { $i ?p ?o } }\n", entry->jobs_graph, error);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* "(<a>, <b>)": the operations of a stream. */
static void add_operations(struct rc_buf *out, const struct delta_entry *entry)
{
    const char *before = "";

    rc_buf_addc(out, '(');
    for (int kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        if (!entry->job_operation[kind])
            continue;
        rc_buf_adds(out, before);
        sparql_add_iri(out, entry->job_operation[kind]);
        before = ", ";
    }
    rc_buf_addc(out, ')');
}

static void add_select(struct rc_buf *out, const struct delta_entry *entry)
{
    rc_buf_adds(out, prefixes);
    add(out,
        "SELECT ?job ?operation ?status ?created ?modified\n"
        "WHERE { GRAPH $i {\n"
        "  ?job a $i ; task:operation ?operation .\n",
        entry->jobs_graph, DELTA_JOB_TYPE);
}

static const char optional_columns[] = "  OPTIONAL { ?job adms:status ?status }\n"
                                       "  OPTIONAL { ?job dct:created ?created }\n"
                                       "  OPTIONAL { ?job dct:modified ?modified }\n";

void delta_add_jobs(struct rc_buf *out, const struct delta_entry *entry, const char *own_uri)
{
    const char *initial_sync = entry->job_operation[DELTA_INITIAL_SYNC];

    add_select(out, entry);
    rc_buf_adds(out, "  FILTER(?operation IN ");
    add_operations(out, entry);
    rc_buf_adds(out, ")\n");
    rc_buf_adds(out, optional_columns);
    rc_buf_adds(out, "  FILTER(");
    if (initial_sync)
        add(out, "?operation = $i || ", initial_sync);
    if (own_uri)
        add(out, "?job = $i || ", own_uri);
    rc_buf_adds(out, "?status IN " ACTIVE ")\n} }\n");
}

void delta_add_jobs_of(struct rc_buf *out, const struct delta_entry *entry, enum delta_kind kind,
                       const char *behind)
{
    add_select(out, entry);
    add(out, "  FILTER(?operation = $i)\n", entry->job_operation[kind]);
    if (behind)
        add(out, "  FILTER(STR(?job) > $s)\n", behind);
    rc_buf_adds(out, optional_columns);
    rc_buf_addf(out, "} }\nORDER BY STR(?job)\nLIMIT %d\n", (int)DELTA_PAGE_ROWS);
}

void delta_add_newest(struct rc_buf *out, const struct delta_entry *entry, enum delta_kind kind)
{
    add_select(out, entry);
    add(out,
        "  ?job dct:created ?created .\n"
        "  FILTER(?operation = $i)\n"
        "  OPTIONAL { ?job adms:status ?status }\n"
        "  OPTIONAL { ?job dct:modified ?modified }\n"
        "} }\n"
        "ORDER BY DESC(?created)\n"
        "LIMIT 1\n",
        entry->job_operation[kind]);
}

void delta_add_counts(struct rc_buf *out, const struct delta_entry *entry)
{
    rc_buf_adds(out, prefixes);
    add(out,
        "SELECT ?operation ?status (COUNT(DISTINCT ?job) AS ?jobs)\n"
        "WHERE { GRAPH $i {\n"
        "  ?job a $i ; task:operation ?operation .\n"
        "  FILTER(?operation IN ",
        entry->jobs_graph, DELTA_JOB_TYPE);
    add_operations(out, entry);
    rc_buf_adds(out, ")\n"
                     "  OPTIONAL { ?job adms:status ?status }\n"
                     "} }\n"
                     "GROUP BY ?operation ?status\n");
}

/* ---- changing -------------------------------------------------------------------------------- */

/* ?part is the job or one of its tasks. */
static void add_parts(struct rc_buf *out, const char *job_uri)
{
    add(out, "  { ?part a $i . FILTER(?part = $i) } UNION { ?part dct:isPartOf $i }\n",
        DELTA_JOB_TYPE, job_uri, job_uri);
}

void delta_add_fail(struct rc_buf *out, const struct delta_entry *entry, const char *job_uri,
                    int64_t deadline_unix_ms, int64_t now_unix_ms)
{
    rc_buf_adds(out, prefixes);
    add(out,
        "DELETE { GRAPH $i { ?part adms:status ?status . ?part dct:modified ?modified } }\n"
        "INSERT { GRAPH $i { ?part adms:status status:failed . ?part dct:modified $t } }\n"
        "WHERE {\n"
        "  GRAPH $i {\n"
        "  $i a $i ; adms:status ?was . FILTER(?was IN " ACTIVE ")\n",
        entry->jobs_graph, entry->jobs_graph, now_unix_ms, entry->jobs_graph, job_uri,
        DELTA_JOB_TYPE);
    add_parts(out, job_uri);
    add(out,
        "  ?part adms:status ?status . FILTER(?status IN " ACTIVE ")\n"
        "  OPTIONAL { ?part dct:modified ?modified }\n"
        "  }\n"
        "  FILTER NOT EXISTS { GRAPH $i {\n"
        "    $i dct:modified ?at .\n"
        "    FILTER(DATATYPE(?at) = xsd:dateTime && STRENDS(STR(?at), \"Z\") && ?at > $t) } }\n"
        "}\n",
        entry->jobs_graph, job_uri, deadline_unix_ms);
}

void delta_add_remove(struct rc_buf *out, const struct delta_entry *entry, const char *job_uri,
                      bool force)
{
    rc_buf_adds(out, prefixes);
    add(out,
        "DELETE { GRAPH $i { ?part ?property ?value } }\n"
        "WHERE {\n"
        "  GRAPH $i {\n",
        entry->jobs_graph, entry->jobs_graph);
    add_parts(out, job_uri);
    rc_buf_adds(out, "  ?part ?property ?value\n  }\n");
    if (!force)
        add(out,
            "  FILTER NOT EXISTS { GRAPH $i {\n"
            "    $i adms:status ?is . FILTER(?is IN " ACTIVE ") } }\n",
            entry->jobs_graph, job_uri);
    rc_buf_adds(out, "}\n");
}
