/*
 * Storage Transfer Service: its jobs and their operations.
 *
 * https://cloud.google.com/storage-transfer/docs/reference/rest/v1
 */
#ifndef SDRS_GOOGLE_TRANSFER_H
#define SDRS_GOOGLE_TRANSFER_H

#include "../prefixes.h"
#include "api.h"

/* What a job moves. Borrowed. */
struct sdrs_transfer_spec {
    const char *source, *sink; /* names of buckets */
    const struct sdrs_prefixes *includes, *excludes;
    int64_t min_age_s;               /* since the last modification; 0: any */
    int64_t modified_before_unix_ms; /* 0: any */
    bool keep_existing;              /* what is in the sink is not replaced */
};

/* What became known of a job. Owned. */
struct sdrs_transfer_job {
    char *name, *latest_operation; /* "" if it never ran */
    char *status;
    int64_t changed_unix_ms;
    int start_seconds; /* of its day, in UTC */
    struct sdrs_prefixes includes;
};
void sdrs_transfer_job_clear(struct sdrs_transfer_job *job);

/* Makes a job that runs once, at once. The name is ours, so that a repetition makes no second. */
RC_MUST_CHECK enum rc_code sdrs_transfer_create(const struct sdrs_google *google,
                                                const char *project, const char *name,
                                                const char *description,
                                                const struct sdrs_transfer_spec *spec,
                                                int64_t now_unix_ms, struct rc_error *err);
/* Makes one that runs every day at so many seconds after midnight; 'spec' has no includes yet: it
   is disabled until it is changed. */
RC_MUST_CHECK enum rc_code
sdrs_transfer_create_daily(const struct sdrs_google *google, const char *project, const char *name,
                           const char *description, const struct sdrs_transfer_spec *spec,
                           int64_t now_unix_ms, int start_seconds, struct rc_error *err);
/* RC_NOT_FOUND. */
RC_MUST_CHECK enum rc_code sdrs_transfer_get(const struct sdrs_google *google, const char *project,
                                             const char *name, struct sdrs_transfer_job *out,
                                             struct rc_error *err);
/* Changes what it moves, and enables it. */
RC_MUST_CHECK enum rc_code
sdrs_transfer_change(const struct sdrs_google *google, const char *project, const char *name,
                     const char *description, const struct sdrs_transfer_spec *spec,
                     struct sdrs_transfer_job *out, struct rc_error *err);

/* How an operation stands. */
enum sdrs_operation_state { SDRS_OPERATION_RUNS, SDRS_OPERATION_SUCCEEDED, SDRS_OPERATION_FAILED };
struct sdrs_operation {
    char *name; /* owned */
    enum sdrs_operation_state state;
    int64_t begin_unix_ms, objects, bytes, failed;
    char *message; /* owned: its first errors, with their objects */
};
void sdrs_operation_clear(struct sdrs_operation *operation);

/*
 * The first operation of a job that began at or after a time, however old; false: none yet. All
 * pages are read.
 */
RC_MUST_CHECK enum rc_code sdrs_operation_since(const struct sdrs_google *google,
                                                const char *project, const char *job,
                                                int64_t since_unix_ms, bool *found,
                                                struct sdrs_operation *out, struct rc_error *err);

#endif
