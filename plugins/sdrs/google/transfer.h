/*
 * Storage Transfer Service: its jobs and their operations.
 *
 * https://cloud.google.com/storage-transfer/docs/reference/rest/v1
 */
#ifndef SDRS_GOOGLE_TRANSFER_H
#define SDRS_GOOGLE_TRANSFER_H

#include "../config.h"
#include "../prefixes.h"
#include "api.h"

/* The service's own limits. */
enum { SDRS_TRANSFER_PREFIXES = 1000, SDRS_TRANSFER_NAME = 128 };

struct sdrs_google sdrs_transfer_service(struct rc_job *job, const struct sdrs_config *config);

/* What a job moves: the objects that begin with one of the includes (none: all there are) and none
 * of the excludes. Both are merged, and each exclude is within an include. Borrowed. */
struct sdrs_transfer_spec {
    const char *source, *sink; /* names of buckets */
    const struct sdrs_prefixes *includes, *excludes;
    int64_t modified_before_unix_ms; /* 0: any */
    bool keep_existing; /* what is in the sink is not replaced, and stays in the source, too */
};

/* What is known of a job. Owned. */
struct sdrs_transfer_job {
    char *name, *latest_operation; /* "" if it never ran */
    char *status;                  /* "ENABLED", "DISABLED", "DELETED" */
    char *source, *sink;
    int64_t changed_unix_ms; /* by the clock of the service */
    int start_seconds;       /* of its day, in UTC */
    struct sdrs_prefixes includes, excludes;
    int64_t modified_before_unix_ms;
};
void sdrs_transfer_job_clear(struct sdrs_transfer_job *job);

/*
 * Makes a job that runs once, at once. The name is ours, so that a repetition makes no second: it
 * is RC_CONFLICT, as whatever else is called so.
 *
 * The messages of this and of what changes a job say what to grant or to make where the service may
 * not do what it has to.
 */
RC_MUST_CHECK enum rc_code sdrs_transfer_create(const struct sdrs_google *google,
                                                const char *project, const char *name,
                                                const char *description,
                                                const struct sdrs_transfer_spec *spec,
                                                int64_t now_unix_ms, struct rc_error *err);
/*
 * The same of one that runs every day at so many seconds after midnight. It is disabled until it is
 * changed, and moves nothing until then.
 */
RC_MUST_CHECK enum rc_code
sdrs_transfer_create_daily(const struct sdrs_google *google, const char *project, const char *name,
                           const char *description, const struct sdrs_transfer_spec *spec,
                           int64_t now_unix_ms, int start_seconds, struct rc_error *err);
/* RC_NOT_FOUND. 'out' is zeroed. */
RC_MUST_CHECK enum rc_code sdrs_transfer_get(const struct sdrs_google *google, const char *project,
                                             const char *name, struct sdrs_transfer_job *out,
                                             struct rc_error *err);
/*
 * Changes what it moves, and enables it; '*changed_unix_ms' is when, by the service's clock, or as
 * it was if the service does not say.
 */
RC_MUST_CHECK enum rc_code sdrs_transfer_change(const struct sdrs_google *google,
                                                const char *project, const char *name,
                                                const char *description,
                                                const struct sdrs_transfer_spec *spec,
                                                int64_t *changed_unix_ms, struct rc_error *err);
/* It runs no more until it is changed. */
RC_MUST_CHECK enum rc_code sdrs_transfer_disable(const struct sdrs_google *google,
                                                 const char *project, const char *name,
                                                 struct rc_error *err);

/* How an operation stands: one run of a job. */
enum sdrs_operation_state { SDRS_OPERATION_RUNS, SDRS_OPERATION_SUCCEEDED, SDRS_OPERATION_FAILED };
struct sdrs_operation {
    char *name; /* owned */
    enum sdrs_operation_state state;
    int64_t begin_unix_ms;
    int64_t objects, bytes;        /* that have left the source */
    int64_t failed;                /* objects, with those that were kept */
    struct sdrs_prefixes includes; /* merged */
    char *message;                 /* owned: its first errors, with their objects; or NULL */
};
void sdrs_operation_clear(struct sdrs_operation *operation);

/*
 * Whether an operation with these includes, merged, moves all that begins with one of the others.
 */
bool sdrs_transfer_covers(const struct sdrs_prefixes *includes, const struct sdrs_prefixes *others);

/* RC_NOT_FOUND. 'out' is zeroed. */
RC_MUST_CHECK enum rc_code sdrs_operation_get(const struct sdrs_google *google, const char *name,
                                              struct sdrs_operation *out, struct rc_error *err);
/*
 * The first operation of a job that began at or after a time, however old, and was told to move
 * 'includes'; false: none yet. All pages are read. 'out' is zeroed.
 */
RC_MUST_CHECK enum rc_code sdrs_operation_since(const struct sdrs_google *google,
                                                const char *project, const char *job,
                                                int64_t since_unix_ms,
                                                const struct sdrs_prefixes *includes, bool *found,
                                                struct sdrs_operation *out, struct rc_error *err);

#endif
