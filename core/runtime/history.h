/*
 * The record of a run without a daemon: a configured job that somebody runs by hand, and what a
 * plugin has begun, stand in the same history as what the daemon runs. It is a courtesy to
 * whoever looks later, and never a reason for the run to fail: what cannot be written is warned
 * about, once.
 */
#ifndef CORE_RUNTIME_HISTORY_H
#define CORE_RUNTIME_HISTORY_H

#include <runtime/guard.h>

/* Zeroed before its beginning. */
struct core_history {
    char *state;                /* where the record is; NULL: there is none */
    struct core_ledger *ledger; /* open in between; or NULL */
    char *spool;                /* where the files of what a plugin has begun are; or NULL */
};

/*
 * Records that the run has begun. Runs by hand without a job, and dry runs, leave no record, and
 * cost nothing here. Files of SQLite stay open, which costs nobody anything, and saves the worker
 * from reading their log again; a server does not keep a connection for as long as the run takes.
 */
void core_history_begin(struct core_history *history, const struct core_run *run);
/* For the forked worker. */
void core_history_forget(struct core_history *history);
/* Records how it ended. */
void core_history_end(struct core_history *history, const struct core_run *run,
                      const struct core_outcome *outcome);

#endif
