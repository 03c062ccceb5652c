/*
 * The queries and updates, as text. Each update is complete in itself and may be sent twice: it
 * names what it makes by an IRI that was chosen before, and makes nothing where that IRI is
 * known.
 */
#ifndef DELTA_STATEMENTS_H
#define DELTA_STATEMENTS_H

#include "rules.h"

#include <run-core/buf.h>

enum { DELTA_UUID_TEXT = 37, DELTA_STATEMENT_BYTES = 256 * 1024 };

/* A random UUID (RFC 9562, version 4) as text. RC_FAILED: the system gives no random bytes. */
RC_MUST_CHECK enum rc_code delta_uuid(char out[DELTA_UUID_TEXT], struct rc_error *err);

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
 * runs updates one after the other. Virtuoso takes a group of nothing but FILTER NOT EXISTS for
 * true, so VALUES stands before it.
 */
void delta_add_create(struct rc_buf *out, const struct delta_creation *creation);

/* Columns of delta_add_jobs(), in this order. */
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
 * The jobs of the stream that rules look at: all that are active, and every initial sync; with
 * 'all', every job of its operations.
 */
void delta_add_jobs(struct rc_buf *out, const struct delta_entry *entry, bool all);

/* Marks an active job as failed, and its active tasks, if it was not modified since it was read. */
void delta_add_fail(struct rc_buf *out, const struct delta_entry *entry,
                    const struct delta_job *job, int64_t now_unix_ms);

/*
 * Records that 'kind' was blocked by 'blocking' (NULL: by no job), once for the kind, the job and
 * the day (UTC) of 'now'.
 */
void delta_add_error(struct rc_buf *out, const struct delta_entry *entry, enum delta_kind kind,
                     const struct delta_job *blocking, const char *message, const char *error_uuid,
                     int64_t now_unix_ms);

/* Removes a job with its tasks; unless forced, only if it is not active. */
void delta_add_remove(struct rc_buf *out, const struct delta_entry *entry, const char *job_uri,
                      bool force);

#endif
