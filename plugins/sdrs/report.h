/*
 * What became of the jobs of a run: a row each, a sum, and what the run returns. Threads share a
 * report.
 */
#ifndef SDRS_REPORT_H
#define SDRS_REPORT_H

#include "run.h"

#include <pthread.h>

/*
 * SDRS_ROW_BUSY: another run has the lock of the bucket. SDRS_ROW_PLANNED: of a dry run.
 * SDRS_ROW_UNKNOWN: what became of the job could not be found out, which is a failure of the run.
 */
enum sdrs_row_state { SDRS_ROW_JOB, SDRS_ROW_BUSY, SDRS_ROW_PLANNED, SDRS_ROW_UNKNOWN };

struct sdrs_row {
    enum sdrs_row_state state;
    enum sdrs_job_status status; /* of SDRS_ROW_JOB */
    int64_t job, rule;           /* 0: none */
    const char *type, *name;     /* of what: "gs://events/clicks" */
    const char *message;         /* or NULL */
    size_t prefixes;
    int64_t objects, bytes, failed;
};

struct sdrs_report {
    pthread_mutex_t mutex;
    struct sdrs_row *rows; /* own their text */
    size_t count;
};

void sdrs_report_init(struct sdrs_report *report);
void sdrs_report_clear(struct sdrs_report *report);

/* Copies the row. */
void sdrs_report_add(struct sdrs_report *report, const struct sdrs_row *row);
/* The row of a record. */
struct sdrs_row sdrs_row_of(const struct sdrs_record *record, const char *name,
                            size_t prefix_count);

/* Shows the rows by their names, and counts: only what there is. */
void sdrs_report_show(struct rc_job *job, struct sdrs_report *report, const char *title);

/*
 * RC_FAILED: a job failed; the message has the first one's. RC_SKIPPED: none did, but of some the
 * bucket was locked. 'what' are "rules", ...
 */
RC_MUST_CHECK enum rc_code sdrs_report_conclude(const struct sdrs_report *report, const char *what,
                                                struct rc_error *err);

#endif
