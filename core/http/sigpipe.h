/*
 * TLS writes in a way that raises SIGPIPE where the server has gone. That is an error of the
 * request, not the end of the process, whatever the process has arranged; and other threads keep
 * theirs. Plain connections raise none.
 */
#ifndef CORE_HTTP_SIGPIPE_H
#define CORE_HTTP_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

struct core_sigpipe {
    sigset_t before;
    bool held, was_pending;
};

/* In the calling thread, until it is released there; if 'needed'. */
void core_sigpipe_hold(struct core_sigpipe *guard, bool needed);
void core_sigpipe_release(struct core_sigpipe *guard);

#endif
