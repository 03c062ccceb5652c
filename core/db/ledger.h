/*
 * The ledger: what was due, what ran, how it ended. Every slot of a schedule and every run by hand
 * is one row of 'runs', each try of it one of 'attempts'; 'jobs' keeps up to where each job's
 * schedule is settled and whether it is paused; 'executors' are the daemons (and runs in the
 * foreground) that the rows belong to; 'notices' is the outbox of notifications.
 *
 * A slot is claimed by inserting its row, which is unique by job and nominal time: of several
 * daemons exactly one succeeds. Rows change only while they belong to this executor, so that one
 * which was taken for dead cannot overwrite what its successor wrote.
 *
 * Functions that say "in a transaction" are called between core_ledger_begin() and commit: the
 * daemon gathers all that one turn of its loop has to write. A ledger belongs to one thread, and
 * what is called back may not call it.
 * RC_UNAVAILABLE means that the database is gone, or cannot write now (a full disk): whether the
 * last commit took effect is not known, and everything is so written that doing it again, with the
 * same ids and numbers, is right in both cases. The codes RC_CONFLICT, RC_SKIPPED and RC_CANCELLED
 * of a function leave the transaction as it was: the others in it are not affected.
 *
 * Times are milliseconds of the (possibly moved) wall clock, but for leases, which are of the
 * database's clock.
 */
#ifndef CORE_DB_LEDGER_H
#define CORE_DB_LEDGER_H

#include <db/db.h>
#include <os/process.h>

#include <run-core/buf.h>

#include <stdbool.h>

struct core_ledger;

enum core_run_status {
    CORE_RUN_DUE, /* waits: for its turn, for another run of its job, or for its next attempt */
    CORE_RUN_STARTED,
    CORE_RUN_SUCCEEDED,
    CORE_RUN_FAILED,
    CORE_RUN_TIMED_OUT,
    CORE_RUN_CANCELLED,
    CORE_RUN_LOST, /* nobody can say how it ended */
    CORE_RUN_SKIPPED,
    CORE_RUN_STATUS_COUNT
};

/* "due", "timed_out", ...; a constant. */
const char *core_run_status_name(enum core_run_status status);
bool core_run_status_parse(const char *name, enum core_run_status *out);

/* Who runs things: a daemon, or one run in the foreground. */
struct core_executor {
    char id[64];
    const char *kind;               /* "daemon" or "foreground" */
    struct core_process_id process; /* tells on its own machine whether it lives */
    const char *spool;              /* its folder for logs and results; NULL: none */
    int64_t lease_ms;
};

/* A row of 'runs'. All text is borrowed until the callback returns; NULL where there is none. */
struct core_run_record {
    const char *id, *job, *plugin, *action;
    const char *trigger; /* "schedule", "startup", "manual", "foreground" or "plugin" */
    bool has_slot;
    int64_t slot_unix_ms;
    enum core_run_status status;
    const char *reason, *message; /* a word for programs; a text for people */
    int64_t attempt, attempts;    /* the latest, from 1 (0: none yet); the most there may be */
    int64_t due_unix_ms;          /* when it was claimed */
    int64_t not_before_unix_ms;   /* of a due row: its next attempt; 0: at once */
    int64_t started_unix_ms, finished_unix_ms; /* of the latest attempt; 0: not yet */
    int64_t exit_status;                       /* -1: none */
    const char *counters;                      /* JSON object */
    const char *set;                           /* JSON object of the trigger's parameters */
    const char *cancel;       /* why it is to be stopped, as another process asked */
    bool force;               /* obeys no overlap rule */
    const char *executor;     /* that has it, or had it at its end */
    const char *host, *spool; /* where its latest attempt began, and left its files; or NULL */
};

typedef void core_run_record_fn(void *context, const struct core_run_record *record);

/* ---- joining -------------------------------------------------------------------------------- */

/*
 * Opens the ledger at the state's URL and adds the executor's row; what a daemon commits survives a
 * failure of power. RC_CONFLICT: the state is of one machine (SQLite) and another daemon keeps it
 * already; the message names it.
 */
RC_MUST_CHECK enum rc_code core_ledger_open(const char *url, const struct core_executor *self,
                                            struct core_ledger **out, struct rc_error *err);
/* Without an executor: for reading only. RC_NOT_FOUND: there is no state yet; none is made. */
RC_MUST_CHECK enum rc_code core_ledger_open_reader(const char *url, struct core_ledger **out,
                                                   struct rc_error *err);
/* Takes the executor's row away, unless rows still belong to it. May be NULL. */
void core_ledger_close(struct core_ledger *ledger);
/*
 * For a forked child, before it opens any database: forgets the connection without a word to the
 * server. Not to be forked within a transaction.
 */
void core_ledger_forget(struct core_ledger *ledger);

/* Whether several machines may share the state. */
bool core_ledger_is_shared(const struct core_ledger *ledger);
/* As core_session_recover(). */
RC_MUST_CHECK enum rc_code core_ledger_recover(struct core_ledger *ledger, bool *ready,
                                               struct rc_error *err);

/* Renews the lease. RC_CONFLICT: it had run out and others have taken over; join anew. */
RC_MUST_CHECK enum rc_code core_ledger_renew(struct core_ledger *ledger, struct rc_error *err);
/* Joins again, as another executor: what the former one had belongs to others now. */
RC_MUST_CHECK enum rc_code core_ledger_rejoin(struct core_ledger *ledger, const char *id,
                                              struct rc_error *err);

/*
 * Waits for others that write. On a shared state RC_CONFLICT as of core_ledger_renew(): an
 * executor whose work was taken over writes nothing more. Renew before it what is due for renewal.
 */
RC_MUST_CHECK enum rc_code core_ledger_begin(struct core_ledger *ledger, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_ledger_commit(struct core_ledger *ledger, struct rc_error *err);
void core_ledger_rollback(struct core_ledger *ledger);

/* ---- jobs ----------------------------------------------------------------------------------- */

struct core_job_record {
    const char *name;
    const char *fingerprint; /* of its schedule, zone and rules, as last seen; "": never */
    int64_t settled_unix_ms; /* every slot up to here has its row, or never will */
    int64_t paused_unix_ms;  /* 0: it is not paused */
    const char *paused_by;
};

typedef void core_job_record_fn(void *context, const struct core_job_record *record);

RC_MUST_CHECK enum rc_code core_ledger_jobs(struct core_ledger *ledger, core_job_record_fn *fn,
                                            void *context, struct rc_error *err);
/* In a transaction: adds the job, or changes fingerprint and 'settled' of one that is there. */
RC_MUST_CHECK enum rc_code core_ledger_put_job(struct core_ledger *ledger, const char *name,
                                               const char *fingerprint, int64_t settled_unix_ms,
                                               struct rc_error *err);
/* In a transaction: raises 'settled'; a lower value changes nothing. */
RC_MUST_CHECK enum rc_code core_ledger_settle(struct core_ledger *ledger, const char *job,
                                              int64_t settled_unix_ms, struct rc_error *err);
/*
 * In a transaction: what was settled from 'from' on was so by a clock that has been set back since,
 * and is settled up to 'to' only. Slots that have a row keep it.
 */
RC_MUST_CHECK enum rc_code core_ledger_rewind(struct core_ledger *ledger, int64_t from_unix_ms,
                                              int64_t to_unix_ms, struct rc_error *err);
/*
 * In a transaction: 'by' names who asked. Pausing a paused job changes nothing; *changed may be
 * NULL. A job that was never put gets a row, without a fingerprint and settled up to now.
 */
RC_MUST_CHECK enum rc_code core_ledger_pause(struct core_ledger *ledger, const char *job,
                                             int64_t now_unix_ms, const char *by, bool *changed,
                                             struct rc_error *err);
RC_MUST_CHECK enum rc_code core_ledger_resume(struct core_ledger *ledger, const char *job,
                                              bool *changed, struct rc_error *err);
/*
 * On a shared state, as of the present or latest transaction: a number that grows whenever a job is
 * paused or resumed, by whomever; else 0. Begun with the number of before, a transaction finds all
 * jobs as they were then.
 */
int64_t core_ledger_pauses(const struct core_ledger *ledger);

/* ---- runs ----------------------------------------------------------------------------------- */

enum core_overlap_rule {
    CORE_OVERLAP_ALLOW,
    CORE_OVERLAP_FORBID,
    CORE_OVERLAP_QUEUE,
    CORE_OVERLAP_REPLACE
};

struct core_claim {
    const char *id, *job, *plugin, *action, *trigger;
    bool has_slot;
    int64_t slot_unix_ms, now_unix_ms;
    const char *skip; /* NULL, or why it is not to run: "misfire", "paused" */
    bool may_start;   /* there is a free worker; else it waits */
    bool force;
    enum core_overlap_rule overlap;
    int64_t attempts;
    const char *set; /* JSON object, or NULL */
};

enum core_claimed {
    CORE_CLAIM_TAKEN,   /* there is a row already, of whomever */
    CORE_CLAIM_STARTED, /* ours; fork attempt 1 once the transaction is committed */
    CORE_CLAIM_WAITS,   /* ours, due */
    CORE_CLAIM_SKIPPED, /* recorded as skipped */
};

/*
 * In a transaction: inserts the row of a slot, or of a run by hand. The overlap rule looks at all
 * rows of the job that are due or started, of any daemon: FORBID records a skip with the reason
 * "overlap", QUEUE waits, REPLACE asks those to stop (their 'cancel' becomes "replaced") and waits.
 * A run in the foreground counts as long as it has the lock "job:NAME". A claim that is made again,
 * with the same id, gives the same answer again. RC_CONFLICT: another run has that id.
 */
RC_MUST_CHECK enum rc_code core_ledger_claim(struct core_ledger *ledger,
                                             const struct core_claim *claim, enum core_claimed *out,
                                             struct rc_error *err);
/*
 * In a transaction: a due row of ours becomes started, with the attempt 'attempt', which is one
 * more than its latest; once it is so, the same call changes nothing and is RC_OK again.
 * RC_CONFLICT: the row is no longer ours, or not due: forget it.
 * RC_CANCELLED: somebody asked for it to be stopped: drop it.
 * RC_SKIPPED: another run of the job goes on or is between two attempts, and neither rule nor force
 * lets this one begin beside it: it stays due. A further attempt only waits for those that go on.
 */
RC_MUST_CHECK enum rc_code core_ledger_start(struct core_ledger *ledger, const char *id,
                                             enum core_overlap_rule overlap, int64_t attempt,
                                             int64_t now_unix_ms, struct rc_error *err);

/* How an attempt ended. Text is borrowed. */
struct core_attempt_end {
    enum core_run_status status; /* none of DUE, STARTED */
    const char *action;          /* that was run; NULL: the one of the claim */
    const char *reason, *message, *counters;
    int64_t exit_status;                       /* -1: none */
    int64_t started_unix_ms, finished_unix_ms; /* started: 0: as recorded */
    int64_t retry_unix_ms;                     /* not 0: the run becomes due again then */
};

/*
 * In a transaction: records the end of attempt 'attempt' of a run that is started and ours.
 * RC_CONFLICT: it is not, or that attempt has ended already; nothing changes. A run that was lost
 * because its daemon was silent may get its true end late, from whomever, as long as no later
 * attempt began; it is not tried again then, whatever 'retry_unix_ms' says, unless it waits for
 * that anyway.
 */
RC_MUST_CHECK enum rc_code core_ledger_finish(struct core_ledger *ledger, const char *id,
                                              int64_t attempt, const struct core_attempt_end *end,
                                              struct rc_error *err);
/* In a transaction: a due run of ours ends without a (further) attempt. */
RC_MUST_CHECK enum rc_code core_ledger_drop(struct core_ledger *ledger, const char *id,
                                            enum core_run_status status, const char *reason,
                                            int64_t now_unix_ms, struct rc_error *err);

/*
 * Asks for a run of whomever to be stopped: its executor looks. *found: it had not ended.
 * What a plugin has begun is told by a signal. RC_UNSUPPORTED: it runs in the foreground, or was
 * begun by a plugin on another machine, where nobody looks.
 */
RC_MUST_CHECK enum rc_code core_ledger_cancel(struct core_ledger *ledger, const char *id,
                                              const char *reason, bool *found,
                                              struct rc_error *err);
/* Rows of ours that somebody asked to be stopped. */
RC_MUST_CHECK enum rc_code core_ledger_cancelled(struct core_ledger *ledger, core_run_record_fn *fn,
                                                 void *context, struct rc_error *err);

/*
 * In a transaction: takes over the due and started rows, and the notices, of executors that are
 * dead: those of this machine whose process is gone at once, others when their lease has run out;
 * on a state of one machine every daemon but this one. Calls back for each run; it is ours from
 * then on, and its host and spool say where its files are. Runs in the foreground are settled as
 * lost, without being called back.
 */
RC_MUST_CHECK enum rc_code core_ledger_take_over(struct core_ledger *ledger, int64_t now_unix_ms,
                                                 core_run_record_fn *fn, void *context,
                                                 struct rc_error *err);
/* The latter only, in a transaction of its own if there are any: for commands. */
RC_MUST_CHECK enum rc_code core_ledger_settle_foreground(struct core_ledger *ledger,
                                                         int64_t now_unix_ms, struct rc_error *err);

/* A run of a job that a daemon has as started, for who holds the job's lock and would start too. */
struct core_started_run {
    const char *id;
    int64_t attempt;
    const char *spool;              /* of its files; NULL: none */
    enum core_process_state daemon; /* whether that daemon lives ... */
    bool is_leased;                 /* ... or, where nobody here can tell, has its lease */
};

typedef void core_started_run_fn(void *context, const struct core_started_run *run);

RC_MUST_CHECK enum rc_code core_ledger_started_runs(struct core_db *db, const char *job,
                                                    core_started_run_fn *fn, void *context,
                                                    struct rc_error *err);

/* ---- reading -------------------------------------------------------------------------------- */

struct core_run_filter {
    const char *job, *plugin;             /* NULL: any */
    unsigned statuses;                    /* bits 1 << enum core_run_status; 0: any */
    int64_t since_unix_ms, until_unix_ms; /* of 'due', until exclusive; 0: any */
    const char *before; /* a run's id: only those listed after it; NULL: from the newest */
    int64_t limit;      /* 0: all */
};

/*
 * Newest first: by when they were claimed, then by slot. It reads page by page, and so takes little
 * memory and holds up nobody; rows that are added meanwhile are not seen. RC_NOT_FOUND: there is no
 * run 'before'.
 */
RC_MUST_CHECK enum rc_code core_ledger_runs(struct core_ledger *ledger,
                                            const struct core_run_filter *filter,
                                            core_run_record_fn *fn, void *context,
                                            struct rc_error *err);
/* RC_NOT_FOUND: no such run. */
RC_MUST_CHECK enum rc_code core_ledger_run(struct core_ledger *ledger, const char *id,
                                           core_run_record_fn *fn, void *context,
                                           struct rc_error *err);

struct core_attempt_record {
    int64_t number;
    enum core_run_status status; /* CORE_RUN_STARTED while it goes on */
    const char *reason, *message;
    int64_t started_unix_ms, finished_unix_ms, exit_status;
};

typedef void core_attempt_record_fn(void *context, const struct core_attempt_record *record);

/* From the first; the latest is that of the run's own row. */
RC_MUST_CHECK enum rc_code core_ledger_attempts(struct core_ledger *ledger, const char *id,
                                                core_attempt_record_fn *fn, void *context,
                                                struct rc_error *err);
/*
 * For metrics after a restart: of each job that ever had one the latest success (with
 * CORE_RUN_SUCCEEDED), or run that failed, timed out or was lost (with CORE_RUN_FAILED). They
 * outlive the runs themselves.
 */
typedef void core_last_end_fn(void *context, const char *job, int64_t finished_unix_ms);
RC_MUST_CHECK enum rc_code core_ledger_last_ends(struct core_ledger *ledger,
                                                 enum core_run_status status, core_last_end_fn *fn,
                                                 void *context, struct rc_error *err);

/* ---- retention and notices ------------------------------------------------------------------ */

/*
 * Removes at most 'limit' ended runs that finished before 'before_unix_ms', or of which their job
 * has at least 'runs' newer ones (0: any number is kept), in a transaction of its own; calls back
 * for each that is gone, with id, job, host and spool only. *more: call again, it was not all; each
 * call goes on where the last one ended, and keeps others waiting for some milliseconds at most.
 */
RC_MUST_CHECK enum rc_code core_ledger_prune(struct core_ledger *ledger, int64_t before_unix_ms,
                                             int64_t runs, int64_t limit, core_run_record_fn *fn,
                                             void *context, bool *more, struct rc_error *err);

/* A notification to be delivered; the address is in the configuration, not here. */
struct core_notice {
    int64_t id;
    const char *job, *run, *event; /* "failure", "recovery", "missed", "success" */
    int64_t item;                  /* place in the job's 'notify' list */
    const char *body;              /* JSON */
    int64_t attempts;              /* made so far */
    int64_t not_before_unix_ms;
};

typedef void core_notice_fn(void *context, const struct core_notice *notice);

/* In a transaction. 'id' and 'attempts' are not read. One run has one of each event and item. */
RC_MUST_CHECK enum rc_code core_ledger_add_notice(struct core_ledger *ledger,
                                                  const struct core_notice *notice,
                                                  struct rc_error *err);
/* Those of ours that may be sent by then, the earliest first; at most 'limit'. */
RC_MUST_CHECK enum rc_code core_ledger_notices(struct core_ledger *ledger, int64_t now_unix_ms,
                                               int64_t limit, core_notice_fn *fn, void *context,
                                               struct rc_error *err);
/* It was delivered or given up (0), or is to be tried again at that time. */
RC_MUST_CHECK enum rc_code core_ledger_put_off_notice(struct core_ledger *ledger, int64_t id,
                                                      int64_t not_before_unix_ms,
                                                      struct rc_error *err);
/* Whether the last run of the job before this one that succeeded or failed did not succeed: then
 * its success is a 'recovery'. */
RC_MUST_CHECK enum rc_code core_ledger_was_failing(struct core_ledger *ledger, const char *job,
                                                   const char *run, bool *out,
                                                   struct rc_error *err);

#endif
