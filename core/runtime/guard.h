/*
 * The guard: the process a user starts. It forks the worker that runs the plugin and never runs
 * plugin code itself, so it is there to enforce the timeout, to pass on signals, to serve health
 * and metrics, and to say what happened, whatever the plugin does.
 */
#ifndef CORE_RUNTIME_GUARD_H
#define CORE_RUNTIME_GUARD_H

#include <runtime/run.h>

/* Something else that the guard serves while it waits, such as health and metrics. */
struct core_guard_service {
    int fd; /* readable: call 'serve' */
    void (*serve)(void *context);
    void (*forget)(void *context); /* called in the worker, which has no part in it */
    void *context;
};

/* How a run ended. */
struct core_outcome {
    const char *status;                  /* succeeded, failed, skipped, cancelled or timed_out */
    char reason[CORE_STATUS_NAME];       /* a word for programs; empty if it succeeded */
    char message[2 * RC_ERROR_TEXT + 8]; /* for people; empty if it succeeded */
    int exit_status;
    double seconds;
};

/*
 * Runs 'request' in a worker and waits for it. 'run' has its id, status and files set; 'service',
 * which may be NULL, is forgotten in the worker. The final word is logged here, once.
 */
void core_guard_run(struct core_run *run, const struct core_guard_service *service,
                    struct core_outcome *out);

#endif
