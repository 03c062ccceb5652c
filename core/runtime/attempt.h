/*
 * One attempt of a run under the daemon: a guard in a process of its own, which forks the worker
 * (guard.h), enforces its timeout, keeps its log and leaves its result, whether the daemon lives
 * or not.
 *
 * In the run's folder, for attempt 1:
 *   1.guard   locked (flock(2)) as long as the guard lives, and before it is forked
 *   1.status  struct core_status, shared memory between daemon, guard and worker
 *   1.result  how it ended, JSON, written by the guard as a whole before it ends
 *   1.log     what the run printed, JSON lines; 1.log.1 is its older part once it was rotated
 *
 * Belongs to the daemon's thread.
 */
#ifndef CORE_RUNTIME_ATTEMPT_H
#define CORE_RUNTIME_ATTEMPT_H

#include <os/process.h>
#include <runtime/run.h>

#include <stdbool.h>

struct core_attempt {
    char *folder; /* of the run */
    int64_t number;
    struct core_status *status; /* mapped */
    int pidfd;                  /* of the guard; readable when it has ended; -1: it has */
    pid_t guard;
    bool is_child; /* of this process, and to be waited for */
};

struct core_attempt_request {
    struct core_request request; /* borrowed; now_unix_ms is when the attempt begins */
    const char *run_id;
    const char *folder; /* of the run; made if needed */
    int64_t number, slot_unix_ms;
    int64_t lease_boot_ms; /* core_clock_boot_ms() beyond which the guard must not let it go on,
                              unless the status page says a later one; 0: no limit */
    /* Closes in the child what only the daemon may have; called first thing there. */
    void (*forget)(void *context);
    void *context;
};

/*
 * Forks the guard. RC_UNAVAILABLE: no process, descriptor or disk space is to be had now, and
 * nothing was started.
 */
RC_MUST_CHECK enum rc_code core_attempt_start(const struct core_attempt_request *request,
                                              struct core_attempt *out, struct rc_error *err);

enum core_attempt_state {
    CORE_ATTEMPT_NEVER, /* nothing was forked */
    CORE_ATTEMPT_ALIVE, /* 'out' is filled: watch its pidfd */
    CORE_ATTEMPT_ENDED, /* 'out' is filled: read its result */
};

/* Finds an attempt that another daemon of this machine has started. */
RC_MUST_CHECK enum rc_code core_attempt_find(const char *folder, int64_t number,
                                             struct core_attempt *out,
                                             enum core_attempt_state *state, struct rc_error *err);

/* Extends the time up to which the guard may go on without a further word. */
void core_attempt_extend(struct core_attempt *attempt, int64_t lease_boot_ms);
/* Asks the guard to stop the worker: SIGTERM, and SIGKILL after the job's kill_after. 'reason' is
 * a word for the record: "cancelled", "replaced", "shutdown". */
void core_attempt_stop(struct core_attempt *attempt, const char *reason);
/* Stops it at once. */
void core_attempt_kill(struct core_attempt *attempt);

/* How it ended. Text is owned, and freed with core_attempt_result_clear(). */
struct core_attempt_result {
    char *status; /* succeeded, failed, skipped, cancelled, timed_out or lost */
    char *reason, *message, *action;
    char *counters; /* JSON object */
    int exit_status;
    int64_t started_unix_ms, finished_unix_ms;
};

/*
 * Reaps the guard and reads the result it left; without one the result is 'lost', and says how the
 * guard ended as far as that is known.
 */
void core_attempt_result(struct core_attempt *attempt, struct core_attempt_result *out);
void core_attempt_result_clear(struct core_attempt_result *result);

/* Lets go of it: unmaps, closes; the files of the attempt but its log are removed if 'settled'. */
void core_attempt_close(struct core_attempt *attempt, bool settled);

/* The path of the log; 'older' is the rotated part. Appended to 'out'. */
void core_attempt_log_path(const char *folder, int64_t number, bool older, struct rc_buf *out);

#endif
