/*
 * Notifications: what became of a run is put into the ledger's outbox in the transaction that
 * records it, and posted afterwards by short-lived processes, at least once: with retries for about
 * 14 hours, also over restarts of the daemon.
 *
 * "failure": a run failed, timed out or was lost, after its last attempt. "success": it succeeded.
 * "recovery": it succeeded, and the one before it had failed. "missed": a slot was due and nothing
 * ran, because no daemon was there in time, or another run of the job held it up, or because the
 * action skipped it at the last of several attempts.
 */
#ifndef CORE_SUPERVISOR_NOTICES_H
#define CORE_SUPERVISOR_NOTICES_H

#include <config/config.h>
#include <db/ledger.h>
#include <supervisor/child.h>

/* A run that has its final status. Texts are borrowed; NULL where there is none. */
struct core_ended_run {
    const struct core_job_settings *job;
    const char *run, *trigger, *action;
    enum core_run_status status;
    const char *reason, *message;
    int64_t attempt;
    bool gave_up; /* it was skipped at the last of several attempts */
    bool has_slot;
    int64_t slot_unix_ms, started_unix_ms, finished_unix_ms;
    int64_t slots; /* how many were missed, of which this is the latest; 0 as 1 */
};

/* In a transaction of the ledger. */
RC_MUST_CHECK enum rc_code core_notices_add(struct core_ledger *ledger,
                                            const struct core_ended_run *ended,
                                            struct rc_error *err);

struct core_notices;

struct core_notices_options {
    struct core_nursery nursery;
    struct core_ledger *ledger;
    /* The job of that name in the configuration of now, or NULL. */
    const struct core_job_settings *(*find_job)(void *context, const char *name);
    /* The ledger did not answer: the caller waits for it to recover. */
    void (*lost_database)(void *context, const struct rc_error *err);
    void *context;
    int64_t *sent, *failed; /* counts to add to */
};

struct core_notices *core_notices_new(const struct core_notices_options *options);
/*
 * There may be something new in the outbox: after a commit, at the start, after a take-over, when
 * the ledger is back.
 */
void core_notices_wake(struct core_notices *notices);
/* Kills what is being sent: the next daemon sends it again. May be NULL. */
void core_notices_close(struct core_notices *notices);

#endif
