/*
 * The guard: the process that a user or the daemon starts. It forks the worker that runs the plugin
 * and never runs plugin code itself, so it is there to enforce the timeout, to pass on signals, to
 * serve health and metrics, to keep the log, and to say what happened, whatever the plugin does.
 *
 * When the worker has ended, the guard kills whatever it left: its process group, and those that
 * have made themselves a session of their own, which the kernel hands to the guard as orphans.
 */
#ifndef CORE_RUNTIME_GUARD_H
#define CORE_RUNTIME_GUARD_H

#include <runtime/outcome.h>
#include <runtime/run_log.h>

#include <signal.h>

/* Something else that the guard serves while it waits, such as health and metrics. */
struct core_guard_service {
    int fd; /* readable: call 'serve' */
    void (*serve)(void *context);
    void *context;
};

enum core_guard_stop {
    CORE_GUARD_GO_ON,
    CORE_GUARD_STOP, /* SIGTERM, and SIGKILL after the job's kill_after */
    CORE_GUARD_KILL,
};

/*
 * What a daemon tells the guard, in memory that both share and the worker has no part in. A stop is
 * followed by SIGTERM to the guard; the rest it sees by itself.
 */
struct core_guard_orders {
    atomic_llong lease_boot_ms;    /* core_clock_boot_ms() at which the run has to stop; 0: never */
    atomic_int stop;               /* enum core_guard_stop */
    char reason[CORE_STATUS_NAME]; /* a word for the record; set before 'stop' */
};

/* All of it is optional. */
struct core_guard_options {
    const struct core_guard_service *service;
    struct core_run_log *log;               /* for what the worker prints; NULL: our own stderr */
    const struct core_guard_orders *orders; /* NULL: there is no daemon */
    /* Called in the worker, to close what only the guard may have. */
    void (*forget)(void *context);
    void *context;
};

/*
 * Runs 'request' in a worker and waits for it. 'run' has its id, status and files set. The final
 * word is logged here, once.
 */
void core_guard_run(struct core_run *run, const struct core_guard_options *options,
                    struct core_outcome *out);

#endif
