/*
 * Reads jobs out of the store. A job has as many rows as it has different values, which is one but
 * for data that is broken: rows of the same job are made one.
 */
#include "reading.h"
#include "sparql/term.h"
#include "statements.h"
#include "vocabulary.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { LIST_LIMIT = 1000000, TURNS = 3 };

/* ---- lists ----------------------------------------------------------------------------------- */

void delta_list_clear(struct delta_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].uri);
    free(list->items);
    *list = (struct delta_list){ 0 };
}

enum rc_code delta_list_add(struct delta_list *list, const struct delta_job *job,
                            struct rc_error *err)
{
    if (list->count == LIST_LIMIT)
        return rc_fail(err, RC_TOO_LARGE, "there are more than %d jobs", (int)LIST_LIMIT);
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 8;
        list->items = rc_realloc(list->items, list->capacity * sizeof(*list->items));
    }
    list->items[list->count] = *job;
    list->items[list->count++].uri = rc_strdup(job->uri);
    return RC_OK;
}

void delta_list_remove(struct delta_list *list, size_t at)
{
    free(list->items[at].uri);
    list->count--;
    memmove(&list->items[at], &list->items[at + 1], (list->count - at) * sizeof(*list->items));
}

static int by_uri(const void *a, const void *b)
{
    const struct delta_job *left = a, *right = b;
    int order = strcmp(left->uri, right->uri);

    return order ? order : (int)left->kind - (int)right->kind;
}

static int uri_to_job(const void *uri, const void *job)
{
    return strcmp(uri, ((const struct delta_job *)job)->uri);
}

struct delta_job *delta_list_find(const struct delta_list *list, const char *uri)
{
    return list->count ? bsearch(uri, list->items, list->count, sizeof(*list->items), uri_to_job)
                       : NULL;
}

bool delta_job_is_named(const struct delta_job *job)
{
    return sparql_iri_is_valid(job->uri);
}

/* ---- rows ------------------------------------------------------------------------------------ */

bool delta_kind_of(const struct delta_entry *entry, const char *operation, enum delta_kind *out)
{
    for (int kind = 0; kind < DELTA_KIND_COUNT; kind++)
        if (operation && rc_str_eq(operation, entry->job_operation[kind])) {
            *out = (enum delta_kind)kind;
            return true;
        }
    return false;
}

enum delta_status delta_status_of(const struct sparql_term *term)
{
    static const size_t prefix_len = sizeof(DELTA_STATUS_PREFIX) - 1;

    if (term->kind == SPARQL_IRI && rc_str_starts(term->value, DELTA_STATUS_PREFIX))
        for (int status = 0; status < DELTA_STATUS_COUNT; status++)
            if (rc_str_eq(term->value + prefix_len, delta_status_name((enum delta_status)status)))
                return (enum delta_status)status;
    return DELTA_OTHER_STATUS;
}

/* A time without a zone is one of UTC. */
static int64_t time_of(const struct sparql_term *term)
{
    int64_t unix_ms = DELTA_TIME_UNKNOWN;

    if (term->kind == SPARQL_LITERAL && !rc_parse_time(term->value, &unix_ms)) {
        RC_STR_AUTO zoned = rc_strf("%sZ", term->value);

        (void)rc_parse_time(zoned, &unix_ms);
    }
    return unix_ms;
}

static enum rc_code job_of(const struct delta_entry *entry, const struct sparql_term *row,
                           struct delta_job *out, struct rc_error *err)
{
    const struct sparql_term *job = &row[DELTA_COLUMN_JOB];
    const struct sparql_term *operation = &row[DELTA_COLUMN_OPERATION];

    if ((job->kind != SPARQL_IRI && job->kind != SPARQL_BLANK) ||
        strlen(job->value) != job->value_len)
        return rc_fail(err, RC_CORRUPT, "a row of the store's answer names no job");
    if (!delta_kind_of(entry, operation->value, &out->kind))
        return rc_fail(err, RC_CORRUPT,
                       "the store's answer has the job '%s' with the operation '%s', which was "
                       "not asked for",
                       job->value, operation->value ? operation->value : "");
    out->uri = rc_strf("%s%s", job->kind == SPARQL_BLANK ? "_:" : "", job->value);
    out->status = delta_status_of(&row[DELTA_COLUMN_STATUS]);
    out->created_unix_ms = time_of(&row[DELTA_COLUMN_CREATED]);
    out->modified_unix_ms = time_of(&row[DELTA_COLUMN_MODIFIED]);
    return RC_OK;
}

/* The higher one counts, as the conditions in statements.c have it. */
static int weight(enum delta_status status)
{
    static const int weights[] = {
        [DELTA_BUSY] = 5,     [DELTA_SCHEDULED] = 4,    [DELTA_SUCCESS] = 3,
        [DELTA_CANCELED] = 2, [DELTA_OTHER_STATUS] = 1, [DELTA_FAILED] = 0,
    };

    return weights[status];
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void merge(struct delta_list *list)
{
    size_t kept = 0;

    if (list->count)
        qsort(list->items, list->count, sizeof(*list->items), by_uri);
    for (size_t i = 0; i < list->count; i++) {
        struct delta_job *job = &list->items[i], *same = kept ? &list->items[kept - 1] : NULL;

        if (!same || by_uri(same, job) != 0) {
            list->items[kept++] = *job;
            continue;
        }
        if (weight(job->status) > weight(same->status))
            same->status = job->status;
        same->created_unix_ms = later(same->created_unix_ms, job->created_unix_ms);
        same->modified_unix_ms = later(same->modified_unix_ms, job->modified_unix_ms);
        free(job->uri);
    }
    list->count = kept;
}

static enum rc_code read_rows(const struct delta_entry *entry, const char *what,
                              struct sparql_rows *rows, struct delta_list *out,
                              struct rc_error *err)
{
    const struct sparql_term *row;

    for (;;) {
        struct delta_job job = { 0 };
        enum rc_code code;

        if (sparql_rows_next(rows, delta_job_columns, DELTA_COLUMNS, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        if (job_of(entry, row, &job, err))
            return rc_context(err, "read %s", what);
        code = delta_list_add(out, &job, err);
        free(job.uri);
        if (code)
            return rc_context(err, "read %s", what);
    }
}

enum rc_code delta_read(struct delta_session *session, const struct delta_entry *entry,
                        const char *what, const struct rc_buf *query, struct delta_list *out,
                        struct rc_error *err)
{
    struct sparql_rows *rows;
    enum rc_code code;

    if (rc_buf_check(query, err))
        return rc_context(err, "ask for %s", what);
    for (unsigned turn = 1;; turn++) {
        if (sparql_query(session->job, &session->store, what, query->data, &rows, err))
            return err->code;
        code = read_rows(entry, what, rows, out, err);
        sparql_rows_close(rows);
        if (code == RC_OK)
            break;
        delta_list_clear(out);
        /* The client repeats what fails before the first row; what breaks off later is ours. */
        if (!rc_retryable(code) || turn >= TURNS || turn >= session->store.attempts)
            return code;
    }
    out->row_count = out->count;
    merge(out);
    return RC_OK;
}

enum rc_code delta_read_jobs(struct delta_session *session, const struct delta_entry *entry,
                             const char *own_uri, struct delta_list *out, struct rc_error *err)
{
    RC_STR_AUTO what = rc_strf("the jobs of the graph <%s>", entry->jobs_graph);
    RC_BUF_AUTO(query, DELTA_STATEMENT_BYTES);

    delta_add_jobs(&query, entry, own_uri);
    return delta_read(session, entry, what, &query, out, err);
}
