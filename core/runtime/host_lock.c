/*
 * The service 'lock' of the host. A dry run takes no lock: it changes nothing, and must not
 * hold up a run that does.
 */
#include <runtime/host.h>

#include <stdlib.h>

/* What the plugin holds as its struct rc_lock. */
struct handle {
    struct rc_lock *lock; /* NULL in a dry run */
};

static const struct handle *handle_of(const struct rc_lock *lock)
{
    return (const struct handle *)(const void *)lock;
}

static enum rc_code lock_acquire(struct rc_job *job, const char *name, int64_t wait_ms,
                                 struct rc_lock **out, struct rc_error *err)
{
    struct core_job *core = core_job_of(job);
    struct handle *handle;
    struct rc_lock *lock = NULL;
    struct core_db *db;

    if (!job->dry_run) {
        if (core_run_db(core->run, &db, err) ||
            core_lock_acquire(db, name, job->run_id, wait_ms, core->cancel,
                              &core->run->status->cancel, &lock, err))
            return rc_context(err, "take the lock '%s'", name);
    }
    handle = rc_malloc(sizeof(*handle));
    handle->lock = lock;
    core_host_opened();
    *out = (struct rc_lock *)(void *)handle;
    return RC_OK;
}

static enum rc_code lock_check(struct rc_lock *lock, struct rc_error *err)
{
    const struct handle *handle = handle_of(lock);

    return handle->lock ? core_lock_check(handle->lock, err) : RC_OK;
}

static int64_t lock_token(const struct rc_lock *lock)
{
    const struct handle *handle = handle_of(lock);

    return handle->lock ? core_lock_token(handle->lock) : 0;
}

static void lock_release(struct rc_lock *lock)
{
    struct handle *handle = (struct handle *)(void *)lock;

    core_lock_release(handle->lock);
    free(handle);
    core_host_closed();
}

const struct rc_lock_api core_host_lock = {
    .acquire = lock_acquire,
    .check = lock_check,
    .token = lock_token,
    .release = lock_release,
};
