/*
 * What sdrs keeps in the state database: rules and their versions, executions, jobs, delete
 * markers, the pool of transfer jobs, and notifications that are not delivered yet.
 *
 * A handle belongs to one thread; several processes may work at once, on this machine or on all
 * that share a PostgreSQL. What is read is copied and owned by the caller; a timestamp is of the
 * job's own clock (job->now_unix_ms, or what 'sdrs_now' says in a server that runs for days).
 */
#ifndef SDRS_STATE_H
#define SDRS_STATE_H

#include <run-core/plugin.h>

struct sdrs_rules;

/* Zeroed before it is opened; the members are for the files of state/ alone. */
struct sdrs_state {
    struct rc_job *job;
    struct rc_db *db;
    bool in_transaction;
    bool refused;                 /* see sdrs_state_refuse() */
    struct sdrs_rules *rehearsed; /* see sdrs_rules_configure(); or NULL */
};

RC_MUST_CHECK enum rc_code sdrs_state_open(struct rc_job *job, struct sdrs_state *out,
                                           struct rc_error *err);
void sdrs_state_close(struct sdrs_state *state); /* one that is zeroed, too */

/*
 * Runs 'body' in a transaction, again where another one won a race: so it has no effect but on the
 * state, and what it fills it fills anew. Functions of state/ that are called in it join it; those
 * that say "atomic" run one of their own otherwise.
 */
typedef enum rc_code sdrs_state_fn(struct sdrs_state *state, void *context, struct rc_error *err);
RC_MUST_CHECK enum rc_code sdrs_state_transact(struct sdrs_state *state, sdrs_state_fn *body,
                                               void *context, struct rc_error *err);
/*
 * For bodies: fails with what is to be told as it stands, such as RC_CONFLICT for a name that is
 * taken: the transaction is undone, and not tried again. Returns 'code'.
 */
enum rc_code sdrs_state_refuse(struct sdrs_state *state, struct rc_error *err, enum rc_code code,
                               const char *format, ...) RC_PRINTF(4, 5);

/* The next number of a series such as "rules", from 1. In a transaction. */
RC_MUST_CHECK enum rc_code sdrs_state_number(struct sdrs_state *state, const char *series,
                                             int64_t *out, struct rc_error *err);

/* A random UUID (version 4). */
enum { SDRS_UUID_TEXT = 37 };
RC_MUST_CHECK enum rc_code sdrs_uuid_make(char out[SDRS_UUID_TEXT], struct rc_error *err);

/*
 * The present time: of the clock, or as far from --now as the run is old, counted from the first
 * call in it. Thread-safe.
 */
int64_t sdrs_now_unix_ms(struct rc_job *job);

#endif
