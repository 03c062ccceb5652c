/*
 * The duties of process number 1.
 */
#include <os/init.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* As shells show it: its exit status, or 128 and the number of its signal. */
static int exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Reaps all that have ended; does not return if the child is among them. */
static void reap(pid_t child)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == child && !WIFSTOPPED(status))
            _exit(exit_status(status));
}

void core_init_if_first(void)
{
    sigset_t all, before;
    siginfo_t info;
    pid_t child;

    if (getpid() != 1)
        return;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    child = fork();
    if (child <= 0) { /* where there is no child, one goes on alone as well as one can */
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        return;
    }
    for (;;) {
        int number = sigwaitinfo(&all, &info);

        if (number < 0 && errno != EINTR)
            _exit(1);
        if (number == SIGCHLD)
            reap(child);
        else if (number > 0)
            (void)kill(child, number);
    }
}
