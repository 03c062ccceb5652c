/*
 * The pool: recurring transfer jobs that were made beforehand, for each bucket.
 */
#ifndef SDRS_STATE_POOL_H
#define SDRS_STATE_POOL_H

#include "state.h"

/* Text is owned. As /stsjobpool has them. */
struct sdrs_pool_job {
    int64_t id;
    char *name, *project;
    char *schedule; /* "HH:MM:SS", in UTC, every day */
    char *type;     /* "dataset", "default", "user", in the case it was given */
    char *source_bucket, *source_project, *target_bucket, *target_project;
    char *status;
    int64_t created_unix_ms, changed_unix_ms;
};
void sdrs_pool_job_clear(struct sdrs_pool_job *job);

struct sdrs_pool {
    struct sdrs_pool_job *items;
    size_t count;
};
void sdrs_pool_clear(struct sdrs_pool *pool);

/*
 * Atomic. Fills ids and times; a job without source_bucket or source_project has those of the pool.
 * RC_CONFLICT in the seed's words: the bucket has a pool for one of their types, or one of the
 * names is in another or twice in this one; then none is added.
 */
RC_MUST_CHECK enum rc_code sdrs_pool_add(struct sdrs_state *state, const char *bucket,
                                         const char *project, struct sdrs_pool *pool,
                                         struct rc_error *err);
/* In the order of the schedule. 'type' may be NULL, and its case does not matter. */
RC_MUST_CHECK enum rc_code sdrs_pool_find(struct sdrs_state *state, const char *bucket,
                                          const char *project, const char *type,
                                          struct sdrs_pool *out, struct rc_error *err);
RC_MUST_CHECK enum rc_code sdrs_pool_delete(struct sdrs_state *state, const char *bucket,
                                            const char *project, int64_t *deleted,
                                            struct rc_error *err);

/*
 * Pure: of a pool in its order the place of the job that runs next after a time, wrapping at
 * midnight; SIZE_MAX: it is empty.
 */
size_t sdrs_pool_next(const struct sdrs_pool *pool, int64_t now_unix_ms);

#endif
