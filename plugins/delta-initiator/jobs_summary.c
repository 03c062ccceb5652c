/*
 * How many jobs there are, counted by the store, and the newest of each kind.
 */
#include "reading.h"
#include "statements.h"

#include <run-core/str.h>

#include <stdlib.h>

/* Under another operation than those of the stream, or none, a count is nobody's. */
static void add_count(const struct delta_entry *entry, const struct sparql_term *row,
                      struct delta_summary out[DELTA_KIND_COUNT])
{
    const struct sparql_term *jobs = &row[DELTA_COUNT_JOBS];
    enum delta_kind kind;
    int64_t count;

    if (delta_kind_of(entry, row[DELTA_COUNT_OPERATION].value, &kind) &&
        jobs->kind == SPARQL_LITERAL && rc_parse_int(jobs->value, &count))
        out[kind].count[delta_status_of(&row[DELTA_COUNT_STATUS])] += count;
}

static enum rc_code count_jobs(struct delta_session *session, const struct delta_entry *entry,
                               struct delta_summary out[DELTA_KIND_COUNT], struct rc_error *err)
{
    RC_STR_AUTO what = rc_strf("the number of jobs in the graph <%s>", entry->jobs_graph);
    RC_BUF_AUTO(query, DELTA_STATEMENT_BYTES);
    const struct sparql_term *row = NULL;
    struct sparql_rows *rows;
    enum rc_code code;

    delta_add_counts(&query, entry);
    if (rc_buf_check(&query, err))
        return rc_context(err, "ask for %s", what);
    if (sparql_query(session->job, &session->store, what, query.data, &rows, err))
        return err->code;
    do {
        code = sparql_rows_next(rows, delta_count_columns, DELTA_COUNT_COLUMNS, &row, err);
        if (code == RC_OK && row)
            add_count(entry, row, out);
    } while (code == RC_OK && row);
    sparql_rows_close(rows);
    return code ? rc_context(err, "read %s", what) : RC_OK;
}

static enum rc_code read_newest(struct delta_session *session, const struct delta_entry *entry,
                                enum delta_kind kind, struct delta_job *out, struct rc_error *err)
{
    RC_STR_AUTO what =
        rc_strf("the newest %s job of the graph <%s>", delta_kind_text(kind), entry->jobs_graph);
    RC_BUF_AUTO(query, DELTA_STATEMENT_BYTES);
    struct delta_list jobs = { 0 };
    enum rc_code code;

    delta_add_newest(&query, entry, kind);
    code = delta_read(session, entry, what, &query, &jobs, err);
    if (code == RC_OK && jobs.count) {
        *out = jobs.items[0];
        jobs.items[0].uri = NULL; /* is the caller's */
    }
    delta_list_clear(&jobs);
    return code;
}

void delta_summaries_clear(struct delta_summary summaries[DELTA_KIND_COUNT])
{
    for (int kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        free(summaries[kind].newest.uri);
        summaries[kind] = (struct delta_summary){ 0 };
    }
}

enum rc_code delta_summarise(struct delta_session *session, const struct delta_entry *entry,
                             struct delta_summary out[DELTA_KIND_COUNT], struct rc_error *err)
{
    enum rc_code code = RC_OK;
    bool has_any = false;

    for (int kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        out[kind] = (struct delta_summary){ 0 };
        has_any |= entry->job_operation[kind] != NULL;
    }
    if (has_any)
        code = count_jobs(session, entry, out, err);
    for (int kind = 0; kind < DELTA_KIND_COUNT && code == RC_OK; kind++)
        if (entry->job_operation[kind])
            code = read_newest(session, entry, (enum delta_kind)kind, &out[kind].newest, err);
    if (code)
        delta_summaries_clear(out);
    return code;
}
