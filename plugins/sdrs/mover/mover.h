/*
 * Movers: how objects get from a bucket to its shadow.
 *
 *     direct   the host copies, verifies and removes; the job ends with the call
 *     sts      Google's Storage Transfer Service does; the job is pending until 'validate' finds
 *              that it is done
 */
#ifndef SDRS_MOVER_H
#define SDRS_MOVER_H

#include "../config.h"
#include "../prefixes.h"
#include "../state/jobs.h"

/* What a job is to move: the objects that begin with one of the includes and none of the excludes.
 */
struct sdrs_move {
    struct sdrs_state *state;
    const struct sdrs_config *config;
    struct rc_lock *lock; /* of the bucket: once it is lost, nothing more is moved; or NULL */
    const struct sdrs_template *template; /* a path without a time that has passed is left alone, in
                                             the datasets below; NULL: paths tell nothing */
    int64_t limit_unix_ms;                /* until when a path's hour has to have ended */
    const struct sdrs_prefixes *includes, *excludes; /* merged */
    const struct sdrs_prefixes *datasets;            /* their prefixes, merged, for the template */
    struct sdrs_record *record; /* bucket, shadow, modified_before_unix_ms, batch, id: is filled in
                                   status, transfers, counts and message */
};

/* Whether an object is to be moved, by the record's mover; for listings. 'key' is in the bucket. */
bool sdrs_move_wants(const struct sdrs_move *move, const char *key, int64_t modified_unix_ms);

/*
 * Lists what would be moved. 'found' is called for each object; the walk reads each prefix once.
 */
typedef enum rc_code sdrs_found_fn(void *context, const char *key, const struct rc_stat *stat,
                                   struct rc_error *err);
RC_MUST_CHECK enum rc_code sdrs_move_list(struct rc_job *job, const struct sdrs_move *move,
                                          sdrs_found_fn *found, void *context,
                                          struct rc_error *err);

/*
 * Moves, or sees to it. A failure is in the record (SDRS_JOB_ERROR with its message) and RC_OK is
 * returned; an error is what kept the record from being kept, or a cancellation.
 */
RC_MUST_CHECK enum rc_code sdrs_move_direct(struct rc_job *job, const struct sdrs_move *move,
                                            struct rc_error *err);
RC_MUST_CHECK enum rc_code sdrs_move_sts(struct rc_job *job, const struct sdrs_move *move,
                                         struct rc_error *err);

/*
 * Looks what became of a record that is pending or running, and fills in status, counts and
 * message; the caller settles it. An error that is rc_retryable(): that cannot be told now.
 */
RC_MUST_CHECK enum rc_code sdrs_validate_direct(struct rc_job *job,
                                                const struct sdrs_config *config,
                                                struct sdrs_state *state,
                                                struct sdrs_record *record, struct rc_error *err);
RC_MUST_CHECK enum rc_code sdrs_validate_sts(struct rc_job *job, const struct sdrs_config *config,
                                             struct sdrs_state *state, struct sdrs_record *record,
                                             struct rc_error *err);

/* The type of records that 'restore' makes, by the mover 'direct'. */
#define SDRS_TYPE_RESTORE "RESTORE"

/* Which one a bucket gets by the configuration: "gs://" the service, all else 'direct'. */
int sdrs_mover_of(const struct sdrs_config *config, const char *bucket);

#endif
