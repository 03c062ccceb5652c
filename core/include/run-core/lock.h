/*
 * Named locks between runs, on this machine and on all that share the state database.
 *
 * A lock is a lease that the host renews in the background. When the holder's process dies
 * its lock is free, at once on the same machine, after the lease's time elsewhere.
 */
#ifndef RUN_CORE_LOCK_H
#define RUN_CORE_LOCK_H

#include <run-core/error.h>

#include <stdint.h>

struct rc_job;
struct rc_lock;

struct rc_lock_api {
    enum rc_code (*acquire)(struct rc_job *job, const char *name, int64_t wait_ms,
                            struct rc_lock **out, struct rc_error *err);
    enum rc_code (*check)(struct rc_lock *lock, struct rc_error *err);
    int64_t (*token)(const struct rc_lock *lock);
    void (*release)(struct rc_lock *lock);
};

#endif
