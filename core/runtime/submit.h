/*
 * Runs that a plugin begins by rc_job_submit(): each is a process of its own, of this same program,
 * that has left the one that asked for it behind. Three processes have a part in it.
 *
 * The one that runs the plugin judges what is asked, and waits until the run has begun or cannot:
 * submit.c. A server of routes starts the process itself; a worker has its guard do so, since what
 * a worker starts ends with it, and has its limits: submit_process.c. The new one finds what it is
 * to run at its standard input, and says on a pipe that the run is recorded: submitted.c.
 */
#ifndef CORE_RUNTIME_SUBMIT_H
#define CORE_RUNTIME_SUBMIT_H

#include <base/arena.h>
#include <runtime/run.h>

/* Where the pipe is in the new process. */
enum { CORE_SUBMIT_FD = 3 };

/* ---- in the process that runs the plugin ----------------------------------------------------- */

/* As rc_job_submit(), also in what may go wrong. */
RC_MUST_CHECK enum rc_code core_submit(struct core_job *job, const char *action,
                                       const struct rc_pair *params, size_t param_count,
                                       char run_id[RC_RUN_ID_TEXT], struct rc_error *err);
/* At the end: what was begun goes on. */
void core_submits_clear(struct core_submits *submits);

/* ---- in the one that starts it -------------------------------------------------------------- */

/*
 * Starts 'run-core submitted PLUGIN ACTION RUN' with the descriptors as its standard input and as
 * CORE_SUBMIT_FD. It becomes a process in a session of its own whose parent is process 1, or
 * whoever adopts orphans here.
 */
RC_MUST_CHECK enum rc_code core_submit_start(const char *const words[3], int order_fd, int told_fd,
                                             struct rc_error *err);

/* A pair of connected descriptors, to be closed on exec: of a guard and of its worker. */
RC_MUST_CHECK bool core_submit_channel(int *guard_fd, int *worker_fd);
/* The worker's side of core_submit_start(): false, with errno, if the guard cannot be reached. */
RC_MUST_CHECK bool core_submit_ask(int worker_fd, const char *const words[3], int order_fd,
                                   int told_fd);
/*
 * The guard's: takes what its worker asks for and starts it. What goes wrong is told on the pipe.
 * False: the worker has closed its end.
 */
bool core_submit_serve(int guard_fd);

/* ---- in the new one -------------------------------------------------------------------------- */

/* What it is to run. */
struct core_submitted {
    const char *run_id, *config_path, *plugin, *action;
    const char *job; /* whose option values it has; or NULL */
    int log_level;
    const struct core_node *set, *params; /* maps; 'set' may be NULL */
};

/* Reads it from standard input, which is /dev/null from then on. Lives in 'arena'. */
RC_MUST_CHECK enum rc_code core_submitted_read(struct core_arena *arena, struct core_submitted *out,
                                               struct rc_error *err);
/*
 * Says once that the run has begun, or with an error why it cannot. False: nobody listens any more,
 * so that it should not begin.
 */
bool core_submitted_tell(const struct rc_error *err);
/* For the forked worker: the pipe tells as long as its guard lives. */
void core_submitted_forget(void);

/* What the process that waits finds on the pipe. RC_UNAVAILABLE: it has ended without a word. */
RC_MUST_CHECK enum rc_code core_submitted_told(const char *text, size_t len, struct rc_error *err);

#endif
