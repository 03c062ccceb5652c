/*
 * Helping processes of the daemon, forked without exec, which end when it does: servers of plugins'
 * routes and senders of notifications. Attempts are none of them: those outlive the daemon, see
 * runtime/attempt.h.
 */
#ifndef CORE_SUPERVISOR_CHILD_H
#define CORE_SUPERVISOR_CHILD_H

#include <os/loop.h>

/* What every child of this daemon has to do first. */
struct core_nursery {
    struct core_loop *loop;
    /* Closes in the child what only the daemon may have. */
    void (*forget)(void *context);
    void *context;
};

struct core_child {
    pid_t pid;
    int pidfd;
    struct core_watch *watch;
};

/*
 * Forks a process that does 'main' and ends with what it returns; 'on_end' is called when it has
 * ended, and is to call core_child_end(). Of the daemon's descriptors it has the first three and
 * 'kept_fd', which may be -1. RC_UNAVAILABLE and others of fork(2): there is none.
 */
RC_MUST_CHECK enum rc_code core_child_start(const struct core_nursery *nursery,
                                            int (*main)(void *context), void *main_context,
                                            int kept_fd, core_watch_fn *on_end, void *end_context,
                                            struct core_child *out, struct rc_error *err);

/* Waits for the child, killing it first if 'kill'; returns its status as of waitpid(2). */
int core_child_end(struct core_child *child, bool kill);

#endif
