/*
 * What the parts of the ledger share.
 */
#ifndef CORE_DB_LEDGER_INTERNAL_H
#define CORE_DB_LEDGER_INTERNAL_H

#include <db/ledger.h>
#include <db/session.h>

/*
 * Of a run that has not ended, and of one that ended without success; word for word as the partial
 * indexes have it, or they are no use. SQLite makes a table of a list of three and more, each time
 * that it writes a row.
 */
#define CORE_LEDGER_OPEN "status IN ('due', 'started')"
#define CORE_LEDGER_UNSUCCESSFUL "status <> 'succeeded' AND status <> 'due' AND status <> 'started'"

struct core_ledger {
    struct core_db *db;
    struct core_session *session; /* of 'db' */
    struct core_executor self;    /* kind and spool are constants or our own */
    char *spool;
    bool joined;      /* 'self' has a row */
    int64_t pauses;   /* core_ledger_pauses() */
    int lock_fd;      /* holds the state for this daemon; -1: nothing is held */
    char *pruned_job; /* up to which jobs were looked at for too many runs; NULL: none yet */
};

static inline RC_MUST_CHECK enum rc_code
core_ledger_exec(struct core_ledger *ledger, const char *statement, const struct rc_value *params,
                 size_t count, int64_t *changed, struct rc_error *err)
{
    return core_session_exec(ledger->session, statement, params, count, changed, err);
}

static inline const char *core_ledger_text(const struct rc_value *value)
{
    return value->type == RC_VALUE_TEXT ? value->text : NULL;
}

/*
 * The columns of a run, for core_ledger_each_run(). 'runs' must not have another name in the
 * statement.
 */
#define CORE_LEDGER_RUN_COLUMNS                                                                    \
    "id, job, plugin, action, trigger, slot_unix_ms, status, reason, message, attempt, attempts, " \
    "due_unix_ms, not_before_unix_ms, started_unix_ms, finished_unix_ms, exit_status, counters, "  \
    "parameters, cancel, force, executor, host, spool, nominal_unix_ms"

/* Calls back for each row of a statement with those columns (ledger_read.c). */
RC_MUST_CHECK enum rc_code core_ledger_each_run(struct core_ledger *ledger, const char *statement,
                                                const struct rc_value *params, size_t count,
                                                core_run_record_fn *fn, void *context,
                                                struct rc_error *err);

/* Where a run stands in the order of lists. */
struct core_run_place {
    int64_t due_unix_ms, nominal_unix_ms;
    char *id;
};

void core_run_place_clear(struct core_run_place *place);
#define CORE_RUN_PLACE_AUTO(name)                                                                  \
    RC_CLEANUP(core_run_place_clear) struct core_run_place name = { 0 }

/* RC_NOT_FOUND: there is no such run. */
RC_MUST_CHECK enum rc_code core_ledger_place(struct core_ledger *ledger, const char *id,
                                             struct core_run_place *out, struct rc_error *err);

/* Texts of our own that grow in number. */
struct core_texts {
    char **items;
    size_t count;
};

void core_texts_add(struct core_texts *texts, const char *text);
void core_texts_clear(struct core_texts *texts);
#define CORE_TEXTS_AUTO(name) RC_CLEANUP(core_texts_clear) struct core_texts name = { 0 }

/* The first column of each row. */
RC_MUST_CHECK enum rc_code core_ledger_query_texts(struct core_ledger *ledger,
                                                   const char *statement,
                                                   const struct rc_value *params, size_t count,
                                                   struct core_texts *out, struct rc_error *err);

/* In a transaction: the runs of a dead executor of the foreground are lost (ledger_runs.c). */
RC_MUST_CHECK enum rc_code core_ledger_lose_runs(struct core_ledger *ledger, const char *executor,
                                                 int64_t now_unix_ms, struct rc_error *err);

/* In a transaction: keeps when the job last succeeded or failed (ledger_jobs.c). */
RC_MUST_CHECK enum rc_code core_ledger_note_end(struct core_ledger *ledger, const char *job,
                                                enum core_run_status status,
                                                int64_t finished_unix_ms, struct rc_error *err);

#endif
