/*
 * Holds SIGPIPE back in one thread, and takes in what was raised meanwhile.
 */
#include <http/sigpipe.h>

#include <time.h>

static sigset_t only_sigpipe(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGPIPE);
    return set;
}

static bool is_pending(void)
{
    sigset_t pending;

    (void)sigemptyset(&pending);
    (void)sigpending(&pending);
    return sigismember(&pending, SIGPIPE) == 1;
}

void core_sigpipe_hold(struct core_sigpipe *guard, bool needed)
{
    sigset_t set = only_sigpipe();

    *guard = (struct core_sigpipe){ .held = needed };
    if (!needed)
        return;
    (void)pthread_sigmask(SIG_BLOCK, &set, &guard->before);
    /* Where it was not held back before, none can have been waiting. */
    guard->was_pending = sigismember(&guard->before, SIGPIPE) == 1 && is_pending();
}

void core_sigpipe_release(struct core_sigpipe *guard)
{
    const struct timespec now = { 0, 0 };
    sigset_t set = only_sigpipe();

    if (!guard->held)
        return;
    if (!guard->was_pending)
        (void)sigtimedwait(&set, NULL, &now);
    (void)pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}
