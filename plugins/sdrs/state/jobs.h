/*
 * Jobs: each execution of a rule, or of delete markers, in one bucket.
 */
#ifndef SDRS_STATE_JOBS_H
#define SDRS_STATE_JOBS_H

#include "state.h"

enum sdrs_job_status {
    SDRS_JOB_RUNNING, /* a process works on it, or died */
    SDRS_JOB_PENDING, /* the transfer service has it */
    SDRS_JOB_SUCCESS,
    SDRS_JOB_ERROR,
};
const char *sdrs_job_status_name(enum sdrs_job_status status); /* "running", ... */
const char *sdrs_mover_name(int mover);                        /* "direct", "sts" */

/* Text is owned; what there is not is NULL. */
struct sdrs_record {
    int64_t id;
    char *execution, *batch;
    char *type;                 /* "DATASET", "DEFAULT", "GLOBAL", "USER" */
    int64_t rule, rule_version; /* 0: of delete markers */
    char *project;
    char *bucket, *shadow;           /* as of sdrs_bucket_uri() */
    char *prefixes, *excludes;       /* as of sdrs_prefixes_write() */
    int64_t modified_before_unix_ms; /* of DEFAULT and GLOBAL; 0 otherwise */
    int mover;                       /* enum sdrs_mover_choice */
    enum sdrs_job_status status;
    char *transfers; /* of sts: its transfer jobs, a line each; see mover/sts.h */
    int64_t objects, bytes, failed;
    char *message;
    int64_t created_unix_ms, changed_unix_ms;
};
void sdrs_record_clear(struct sdrs_record *record);

struct sdrs_records {
    struct sdrs_record *items;
    size_t count;
};
void sdrs_records_clear(struct sdrs_records *records);

/* Atomic. Fills id and times. */
RC_MUST_CHECK enum rc_code sdrs_jobs_add(struct sdrs_state *state, struct sdrs_record *record,
                                         struct rc_error *err);
/* Keeps status, transfers, counts and message. RC_NOT_FOUND: it was forgotten. */
RC_MUST_CHECK enum rc_code sdrs_jobs_keep(struct sdrs_state *state,
                                          const struct sdrs_record *record, struct rc_error *err);

/* Which: what is NULL or 0 narrows nothing. The newest last; at most 'limit' (0: all). */
struct sdrs_jobs_query {
    const char *execution, *batch, *bucket;
    int64_t rule;
    const char *statuses; /* "running,pending"; a name that is none fits no job */
    int64_t after;        /* ids above this */
    size_t limit;
};
RC_MUST_CHECK enum rc_code sdrs_jobs_list(struct sdrs_state *state,
                                          const struct sdrs_jobs_query *query,
                                          struct sdrs_records *out, struct rc_error *err);
/* RC_NOT_FOUND: it was forgotten. */
RC_MUST_CHECK enum rc_code sdrs_jobs_find(struct sdrs_state *state, int64_t id,
                                          struct sdrs_record *out, struct rc_error *err);
/* Those that ended before: away. Says how many. */
RC_MUST_CHECK enum rc_code sdrs_jobs_forget(struct sdrs_state *state, int64_t ended_before_unix_ms,
                                            int64_t *forgotten, struct rc_error *err);

#endif
