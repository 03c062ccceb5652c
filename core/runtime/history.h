/*
 * The record of a run in the foreground: a configured job that somebody runs by hand stands in the
 * same history as what the daemon runs. It is a courtesy to whoever looks later, and never a reason
 * for the run to fail: what cannot be written is warned about, once.
 */
#ifndef CORE_RUNTIME_HISTORY_H
#define CORE_RUNTIME_HISTORY_H

#include <runtime/guard.h>

struct core_history {
    char *state; /* where the record is; NULL: there is none */
};

#define CORE_HISTORY_INIT                                                                          \
    {                                                                                              \
        NULL                                                                                       \
    }

/*
 * Records that the run has begun. Runs without a job, and dry runs, leave no record, and cost
 * nothing here. No connection is open when it returns, so that the process may fork.
 */
void core_history_begin(struct core_history *history, const struct core_run *run);
/* Records how it ended. */
void core_history_end(struct core_history *history, const struct core_run *run,
                      const struct core_outcome *outcome);

#endif
