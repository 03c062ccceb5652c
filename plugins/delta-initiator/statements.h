/*
 * The queries and updates, as text. Each update is complete in itself and may be sent twice: it
 * names what it makes by an IRI that was chosen before, and makes nothing where that IRI is
 * known; what it changes or removes it finds no more the second time.
 *
 * All of it stays in the graph of the stream. Written so that Virtuoso 7.2 understands it as the
 * standard does, which was tried of each of them:
 *   - a group of nothing but FILTER NOT EXISTS holds always, so VALUES stands before it;
 *   - within a branch of a UNION an OPTIONAL loses what other branches bind, so there is none;
 *   - ">=" holds between a string and a time, so the datatype is asked for as well.
 */
#ifndef DELTA_STATEMENTS_H
#define DELTA_STATEMENTS_H

#include "rules.h"
#include "uuid.h"

#include <run-core/buf.h>
#include <run-core/time.h>

enum { DELTA_STATEMENT_BYTES = 256 * 1024 };

/* ---- creating -------------------------------------------------------------------------------- */

/* What is to be created: a job and its task. */
struct delta_creation {
    const struct delta_entry *entry;
    enum delta_kind kind;
    const struct delta_rules *rules;
    const char *job_uuid, *task_uuid;
    int64_t now_unix_ms;
};

/*
 * One conditional update: inserts both where the rules hold in the graph, and neither elsewhere.
 * The condition is within the update, so that of two at once only one is made wherever the store
 * runs updates one after the other. How long ago a job failed is no part of it, for it delays and
 * excludes nothing, and stores differ in how they compare times: that is judged beforehand, by what
 * was read.
 */
void delta_add_create(struct rc_buf *out, const struct delta_creation *creation);

/*
 * The UUID of the error that a job of 'kind' was blocked by the job 'blocking_uri' (NULL: by none)
 * on the day (UTC) of 'now'. It follows from these, so that there is one error for them, whichever
 * replica records it and however often.
 */
void delta_error_uuid(const struct delta_entry *entry, enum delta_kind kind,
                      const char *blocking_uri, int64_t now_unix_ms, char out[DELTA_UUID_TEXT]);

void delta_add_error(struct rc_buf *out, const struct delta_entry *entry, const char *blocking_uri,
                     const char *message, const char *error_uuid, int64_t now_unix_ms);

/* Asks whether it is there. */
void delta_add_ask_error(struct rc_buf *out, const struct delta_entry *entry,
                         const char *error_uuid);

/* ---- reading --------------------------------------------------------------------------------- */

/* Columns of the queries for jobs, in this order. All but the first two may be unbound. */
enum {
    DELTA_COLUMN_JOB,
    DELTA_COLUMN_OPERATION,
    DELTA_COLUMN_STATUS,
    DELTA_COLUMN_CREATED,
    DELTA_COLUMN_MODIFIED,
    DELTA_COLUMNS
};
extern const char *const delta_job_columns[DELTA_COLUMNS];

/*
 * The jobs of the stream that rules look at: all that are active, and every initial sync; beside
 * them, whatever its status, the one at 'own_uri' (NULL: none). A job may have several rows.
 */
void delta_add_jobs(struct rc_buf *out, const struct delta_entry *entry, const char *own_uri);

/*
 * The jobs of a kind in the order of their IRIs, of which those behind 'behind' (NULL: all); at
 * most so many rows, as stores have limits of their own. Blank nodes come before all IRIs.
 */
enum { DELTA_PAGE_ROWS = 500 };
void delta_add_jobs_of(struct rc_buf *out, const struct delta_entry *entry, enum delta_kind kind,
                       const char *behind);

/* The one of a kind that was created last, among those that say when. */
void delta_add_newest(struct rc_buf *out, const struct delta_entry *entry, enum delta_kind kind);

/* Columns of delta_add_counts(). */
enum { DELTA_COUNT_OPERATION, DELTA_COUNT_STATUS, DELTA_COUNT_JOBS, DELTA_COUNT_COLUMNS };
extern const char *const delta_count_columns[DELTA_COUNT_COLUMNS];

/* How many jobs there are with each operation of the stream and each status, which may be none. */
void delta_add_counts(struct rc_buf *out, const struct delta_entry *entry);

/* ---- changing -------------------------------------------------------------------------------- */

/*
 * Marks a job as failed, and its active tasks, if it is active and was not modified after
 * 'deadline'. Only a time in UTC keeps it from that: without a zone they compare in no good way.
 */
void delta_add_fail(struct rc_buf *out, const struct delta_entry *entry, const char *job_uri,
                    int64_t deadline_unix_ms, int64_t now_unix_ms);

/* Removes a job with its tasks; unless forced, only if it is not active. */
void delta_add_remove(struct rc_buf *out, const struct delta_entry *entry, const char *job_uri,
                      bool force);

#endif
