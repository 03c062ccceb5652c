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
    struct core_status *status; /* mapped; empty if another version of run-core has started it */
    struct core_attempt_page *page;
    int pidfd; /* of the guard; readable when it has ended; -1: it has */
    pid_t guard;
    bool is_child; /* of this process, and to be waited for */
};

struct core_attempt_request {
    /* Borrowed; now_unix_ms is when the attempt begins. Of the rest that is said below, and of
     * 'json' and 'supervised', nothing needs to be set. */
    struct core_request request;
    const char *run_id;
    const char *folder; /* of the run; made if needed */
    int64_t number, slot_unix_ms;
    int64_t lease_boot_ms; /* core_clock_boot_ms() at which the guard begins to stop the worker,
                              unless core_attempt_extend() came; a third of core.lease later the
                              worker has ended. 0: no limit */
    /* Closes in the child what only the daemon may have; called first thing there. */
    void (*forget)(void *context);
    void *context;
};

/*
 * Forks the guard. With any error nothing was started; RC_UNAVAILABLE: no process, descriptor or
 * disk space is to be had now.
 */
RC_MUST_CHECK enum rc_code core_attempt_start(const struct core_attempt_request *request,
                                              struct core_attempt *out, struct rc_error *err);

/* Whether the plugin has begun its action, or the attempt has ended before that. Of a relative. */
bool core_attempt_is_at_work(const struct core_attempt *attempt);

enum core_attempt_state {
    CORE_ATTEMPT_NEVER, /* no worker was forked, and none will be */
    CORE_ATTEMPT_ALIVE, /* 'out' is filled: watch its pidfd */
    CORE_ATTEMPT_ENDED, /* 'out' is filled: read its result */
};

/*
 * Finds an attempt that another daemon has started, or says that it has not. RC_UNSUPPORTED: its
 * guard is of another machine or pid namespace, so that nothing can be said here.
 */
RC_MUST_CHECK enum rc_code core_attempt_find(const char *folder, int64_t number,
                                             struct core_attempt *out,
                                             enum core_attempt_state *state, struct rc_error *err);

/* Extends the time up to which the guard may go on without a further word. */
void core_attempt_extend(struct core_attempt *attempt, int64_t lease_boot_ms);
/*
 * Asks the guard to stop the worker: SIGTERM, and SIGKILL after the job's kill_after. The status
 * becomes cancelled, but of an action that was done before it heard of it. 'reason' is a word for
 * the record: "cancelled", "replaced", "shutdown"; the first one stays.
 */
void core_attempt_stop(struct core_attempt *attempt, const char *reason);
/* Stops it at once; the guard lives on to say so. Without a stop before, the reason is "killed". */
void core_attempt_kill(struct core_attempt *attempt);

/*
 * How it ended. Of what is "lost" nobody knows how far it came; with the reason "lease" the guard
 * stopped it, as its daemon was not heard of. Text is owned, and freed with
 * core_attempt_result_clear().
 */
struct core_attempt_result {
    char *status; /* succeeded, failed, skipped, cancelled, timed_out or lost */
    char *reason, *message, *action;
    char *counters; /* JSON object */
    int exit_status;
    int64_t started_unix_ms, finished_unix_ms;
    int64_t log_dropped_bytes; /* that could not be kept, as the disk was full */
};

/*
 * Reaps the guard, waiting for its end if need be, and reads the result it left; without one the
 * result is 'lost', and says how the guard ended as far as that is known.
 */
void core_attempt_result(struct core_attempt *attempt, struct core_attempt_result *out);
void core_attempt_result_clear(struct core_attempt_result *result);

/*
 * Lets go of it: unmaps, closes, also the pidfd. If 'settled', the files of the attempt but its log
 * are removed.
 */
void core_attempt_close(struct core_attempt *attempt, bool settled);

/* The path of the log; 'older' is the rotated part. Appended to 'out'. */
void core_attempt_log_path(const char *folder, int64_t number, bool older, struct rc_buf *out);

#endif
