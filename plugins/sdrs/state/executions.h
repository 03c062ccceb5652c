/*
 * Events that asked for an execution, and how it goes.
 */
#ifndef SDRS_STATE_EXECUTIONS_H
#define SDRS_STATE_EXECUTIONS_H

#include "state.h"

enum sdrs_execution_status {
    SDRS_EXECUTION_RECEIVED, /* nobody has begun it */
    SDRS_EXECUTION_RUNNING,
    SDRS_EXECUTION_SUCCESS, /* all its jobs were done or scheduled */
    SDRS_EXECUTION_ERROR,
};
const char *sdrs_execution_status_name(enum sdrs_execution_status status); /* "received", ... */

/* Text is owned; what was not said is NULL. */
struct sdrs_execution {
    char *id;    /* UUID */
    char *batch; /* the correlation UUID */
    char *type;  /* "POLICY", "USER" */
    char *target, *project;
    int64_t rule;     /* 0: all */
    char *user, *run; /* the run-core run that has it */
    enum sdrs_execution_status status;
    char *message; /* why it failed */
    int64_t created_unix_ms, changed_unix_ms;
};
void sdrs_execution_clear(struct sdrs_execution *execution);

/* Fills id, times and status. */
RC_MUST_CHECK enum rc_code sdrs_executions_add(struct sdrs_state *state,
                                               struct sdrs_execution *execution,
                                               struct rc_error *err);
/* RC_NOT_FOUND. */
RC_MUST_CHECK enum rc_code sdrs_executions_find(struct sdrs_state *state, const char *id,
                                                struct sdrs_execution *out, struct rc_error *err);
/* 'run' and 'message' may be NULL: as they were. RC_NOT_FOUND. */
RC_MUST_CHECK enum rc_code sdrs_executions_set(struct sdrs_state *state, const char *id,
                                               enum sdrs_execution_status status, const char *run,
                                               const char *message, struct rc_error *err);
/*
 * From received to running, by this run: '*ours' is false where another run was first, or it is no
 * longer waiting.
 */
RC_MUST_CHECK enum rc_code sdrs_executions_begin(struct sdrs_state *state, const char *id,
                                                 const char *run, bool *ours, struct rc_error *err);
/*
 * The ids of those of policies that were received before and never begun, as their run was lost,
 * and those that began before and have not ended: whether their run is still at work, its lock
 * tells.
 * Oldest first; the caller frees them.
 */
RC_MUST_CHECK enum rc_code sdrs_executions_lost(struct sdrs_state *state, int64_t before_unix_ms,
                                                char ***ids, size_t *count, struct rc_error *err);
/* Those that ended before: away. Says how many. */
RC_MUST_CHECK enum rc_code sdrs_executions_forget(struct sdrs_state *state,
                                                  int64_t ended_before_unix_ms, int64_t *forgotten,
                                                  struct rc_error *err);

#endif
