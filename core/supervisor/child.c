/*
 * Forks and reaps helping processes.
 */
#include <supervisor/child.h>

#include <os/process.h>

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); /* fails for some, which have no other action anyway */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* There may be more of them than the child may have, and its own would find no room. */
static void close_all_but(int kept_fd)
{
    unsigned first = STDERR_FILENO + 1;

    if (kept_fd >= (int)first) {
        if (kept_fd > (int)first)
            (void)close_range(first, (unsigned)kept_fd - 1, 0);
        first = (unsigned)kept_fd + 1;
    }
    (void)close_range(first, ~0U, 0);
}

static void become_child(const struct core_nursery *nursery, pid_t parent, int kept_fd)
{
    /* Keys at the daemon's terminal are the daemon's matter. */
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0); /* it has gone already */
    nursery->forget(nursery->context);
    close_all_but(kept_fd);
    reset_signals();
    core_process_restore_descriptors();
}

enum rc_code core_child_start(const struct core_nursery *nursery, int (*main)(void *context),
                              void *main_context, int kept_fd, core_watch_fn *on_end,
                              void *end_context, struct core_child *out, struct rc_error *err)
{
    pid_t self = getpid();

    *out = (struct core_child){ .pid = fork(), .pidfd = -1 };
    if (out->pid == 0) {
        become_child(nursery, self, kept_fd);
        /* Without what exit(3) does: all that is the daemon's. */
        _exit(main(main_context));
    }
    if (out->pid < 0)
        return rc_fail_errno(err, errno, "start a process");
    out->pidfd = (int)syscall(SYS_pidfd_open, out->pid, 0);
    if (out->pidfd < 0)
        (void)rc_fail_errno(err, errno, "watch the process %d", (int)out->pid);
    else if (core_loop_watch_process(nursery->loop, out->pidfd, on_end, end_context, &out->watch,
                                     err) == RC_OK)
        return RC_OK;
    (void)core_child_end(out, /* kill = */ true);
    return err->code;
}

int core_child_end(struct core_child *child, bool kill_it)
{
    int status = 0;

    core_watch_end(child->watch);
    if (kill_it)
        (void)kill(child->pid, SIGKILL);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (child->pidfd >= 0)
        (void)close(child->pidfd);
    *child = (struct core_child){ .pidfd = -1 };
    return status;
}
