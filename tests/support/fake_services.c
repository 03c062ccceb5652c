/*
 * Locks and the pool of the fake host. A lock is a name in a list; the pool runs its items one
 * after the other, or in threads where a test asks for them.
 */
#include "fake_internal.h"

#include <stdlib.h>

enum { LOCK_NAME_LIMIT = 200, WIDTH_LIMIT = 256 };

struct rc_lock {
    struct fake_job *job;
    struct rc_lock *base;
    char *name;
    int64_t token;
    int losses; /* of the host, when the lock was taken */
};

/* ---- lock ----------------------------------------------------------------------------------- */

/* Callers hold the mutex. */
static struct fake_lock_name *lock_name(struct rc_fake_host *fake, const char *name)
{
    for (size_t i = 0; i < fake->lock_count; i++)
        if (strcmp(fake->locks[i].name, name) == 0)
            return &fake->locks[i];
    fake->locks = fake_grow(fake->locks, &fake->lock_count, sizeof *fake->locks);
    fake->locks[fake->lock_count - 1].name = rc_strdup(name);
    return &fake->locks[fake->lock_count - 1];
}

static enum rc_code acquire_own(struct rc_lock *lock, struct rc_error *err)
{
    struct rc_fake_host *fake = lock->job->fake;
    if (strlen(lock->name) > LOCK_NAME_LIMIT)
        return rc_fail(err, RC_INVALID, "a lock's name has at most %d bytes", LOCK_NAME_LIMIT);
    enum rc_code code = RC_OK;
    pthread_mutex_lock(&fake->mutex);
    struct fake_lock_name *name = lock_name(fake, lock->name);
    if (name->held) {
        code = rc_fail(err, RC_CONFLICT, "run 'fake-0' holds the lock '%s'", lock->name);
    } else {
        name->held = true;
        lock->token = ++name->token;
        lock->losses = fake->lock_losses;
    }
    pthread_mutex_unlock(&fake->mutex);
    return code;
}

static enum rc_code acquire(struct rc_job *job, const char *name, int64_t wait_ms,
                            struct rc_lock **out, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = fake_call(self, "lock.acquire", name, err);
    if (code)
        return code;
    struct rc_lock *lock = rc_calloc(1, sizeof *lock);
    lock->job = self;
    lock->name = rc_strdup(name);
    if (FAKE_BASE(self, lock))
        code = self->base->host->lock->acquire(self->base, name, wait_ms, &lock->base, err);
    else
        code = acquire_own(lock, err);
    if (code) {
        free(lock->name);
        free(lock);
        return code;
    }
    fake_opened(self->fake);
    *out = lock;
    return RC_OK;
}

static enum rc_code check(struct rc_lock *lock, struct rc_error *err)
{
    struct rc_fake_host *fake = lock->job->fake;
    enum rc_code code = fake_call(lock->job, "lock.check", lock->name, err);
    if (code)
        return code;
    if (lock->base)
        return lock->job->base->host->lock->check(lock->base, err);
    pthread_mutex_lock(&fake->mutex);
    bool lost = lock->losses != fake->lock_losses;
    pthread_mutex_unlock(&fake->mutex);
    return lost ? rc_fail(err, RC_CONFLICT, "the lock '%s' was lost", lock->name) : RC_OK;
}

static int64_t token(const struct rc_lock *lock)
{
    return lock->base ? lock->job->base->host->lock->token(lock->base) : lock->token;
}

static void release(struct rc_lock *lock)
{
    struct rc_fake_host *fake = lock->job->fake;
    fake_closed(fake);
    if (lock->base) {
        lock->job->base->host->lock->release(lock->base);
    } else {
        pthread_mutex_lock(&fake->mutex);
        if (lock->losses == fake->lock_losses)
            lock_name(fake, lock->name)->held = false;
        pthread_mutex_unlock(&fake->mutex);
    }
    free(lock->name);
    free(lock);
}

const struct rc_lock_api fake_lock_api = {
    .acquire = acquire,
    .check = check,
    .token = token,
    .release = release,
};

void rc_fake_host_hold_lock(struct rc_fake_host *host, const char *name, bool held)
{
    pthread_mutex_lock(&host->mutex);
    lock_name(host, name)->held = lock_name(host, name)->by_other = held;
    pthread_mutex_unlock(&host->mutex);
}

void rc_fake_host_lose_locks(struct rc_fake_host *host)
{
    pthread_mutex_lock(&host->mutex);
    host->lock_losses++;
    for (size_t i = 0; i < host->lock_count; i++)
        host->locks[i].held = host->locks[i].by_other = false;
    pthread_mutex_unlock(&host->mutex);
}

void fake_locks_free(struct rc_fake_host *fake)
{
    fake->lock_losses++;
    for (size_t i = 0; i < fake->lock_count; i++)
        fake->locks[i].held = fake->locks[i].by_other;
}

void fake_lock_clear(struct rc_fake_host *fake)
{
    for (size_t i = 0; i < fake->lock_count; i++)
        free(fake->locks[i].name);
    free(fake->locks);
}

/* ---- pool ----------------------------------------------------------------------------------- */

struct pool {
    struct fake_job *job; /* of the caller */
    rc_parallel_fn *work;
    void *context;
    size_t count;
    atomic_size_t next;
    atomic_bool stop;
    pthread_mutex_t mutex;
    enum rc_code code; /* the first error's */
    struct rc_error err;
};

/* A worker's own view of the job. Handles may outlive the pool, so it lives with the host. */
static struct fake_job *worker_job(struct pool *pool, struct rc_job *base)
{
    struct rc_fake_host *fake = pool->job->fake;
    struct fake_job *job = fake_own(fake, rc_malloc(sizeof *job));
    /* A worker that checks a lock of the pool's job makes a call of that job. */
    pthread_mutex_lock(&fake->mutex);
    *job = *pool->job;
    pthread_mutex_unlock(&fake->mutex);
    job->base = base;
    job->end = FAKE_GOES_ON;
    job->stop = &pool->stop;
    return job;
}

static void *worker(void *argument)
{
    struct pool *pool = argument;
    struct fake_job *job = worker_job(pool, pool->job->base);
    while (!atomic_load(&pool->stop)) {
        size_t index = atomic_fetch_add(&pool->next, 1);
        if (index >= pool->count)
            break;
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code = pool->work(&job->job, pool->context, index, &err);
        if (!code)
            continue;
        pthread_mutex_lock(&pool->mutex);
        if (!pool->code) {
            pool->code = code;
            pool->err = err;
        }
        pthread_mutex_unlock(&pool->mutex);
        atomic_store(&pool->stop, true);
    }
    job->stop = NULL;
    return NULL;
}

/* An item that the base's pool runs: the same, with the job of the fake. */
static enum rc_code forwarded(struct rc_job *base, void *context, size_t index,
                              struct rc_error *err)
{
    struct pool *pool = context;
    struct fake_job *job = worker_job(pool, base);
    job->stop = NULL;
    return pool->work(&job->job, pool->context, index, err);
}

static enum rc_code run_threads(struct pool *pool, size_t width, struct rc_error *err)
{
    pthread_t threads[WIDTH_LIMIT];
    size_t started = 0;
    while (started < width && pthread_create(&threads[started], NULL, worker, pool) == 0)
        started++;
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return started ? RC_OK : rc_fail(err, RC_UNAVAILABLE, "cannot start a thread");
}

static enum rc_code run_pool(struct rc_job *job, size_t width, size_t count, rc_parallel_fn *work,
                             void *context, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = fake_call(self, "parallel.run", "", err);
    if (code)
        return code;
    struct pool pool = {
        .job = self,
        .work = work,
        .context = context,
        .count = count,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .err = RC_ERROR_INIT,
    };
    if (FAKE_BASE(self, parallel))
        return self->base->host->parallel->run(self->base, width, count, forwarded, &pool, err);

    width = width > WIDTH_LIMIT ? WIDTH_LIMIT : width;
    if (self->fake->threads && width > 1)
        code = run_threads(&pool, width, err);
    else
        worker(&pool);
    if (code)
        return code;
    if (pool.code)
        *err = pool.err;
    return pool.code;
}

const struct rc_parallel_api fake_parallel_api = { .run = run_pool };
