/*
 * Sessions of plugins that wait for their next owner: a route or a thread of a run opens one for a
 * few statements, which take less time than to connect and to compare migrations. What a session
 * must be like to be used again is known to the servers' own files (core_session_rest() and
 * core_session_wake()).
 *
 * The latest to come is the next to go, so that those which are too many grow old, and are closed.
 */
#include <db/internal.h>

#include <os/clock.h>
#include <run-core/str.h>

#include <stdlib.h>
#include <unistd.h>

enum { LIMIT = 8, IDLE_MS = 30000 };

static void init_waits(struct core_pool *pool)
{
    RC_ASSERT(pthread_mutex_init(&pool->mutex, NULL) == 0);
    core_db_init_condition(&pool->wake);
}

void core_pool_init(struct core_pool *pool)
{
    *pool = (struct core_pool){ .pid = getpid(), .idle_ms = IDLE_MS };
    init_waits(pool);
}

static void close_all(struct rc_db *db)
{
    while (db) {
        struct rc_db *next = db->next;

        core_session_close(db->session);
        core_db_free_plugin(db);
        db = next;
    }
}

/* With the mutex held. */
static struct rc_db *cut_all(struct core_pool *pool)
{
    struct rc_db *all = pool->first;

    pool->first = NULL;
    pool->count = 0;
    return all;
}

/*
 * Leaves to the parent what a forked child has of it. The sweeper is not in the child, and may have
 * held the mutex, which is why that is made anew.
 */
static void disown(struct core_pool *pool)
{
    struct rc_db *db = cut_all(pool);

    while (db) {
        struct rc_db *next = db->next;

        core_session_forget(db->session);
        core_db_free_plugin(db);
        db = next;
    }
    pool->pid = getpid();
    pool->sweeping = pool->asleep = false;
    init_waits(pool);
}

/* Takes the mutex. */
static void enter(struct core_pool *pool)
{
    if (pool->pid != getpid())
        disown(pool);
    (void)pthread_mutex_lock(&pool->mutex);
}

static void leave(struct core_pool *pool)
{
    (void)pthread_mutex_unlock(&pool->mutex);
}

/* ---- the sweeper -------------------------------------------------------------------------- */

/* With the mutex held: those that have waited for too long, which are the last. */
static struct rc_db *cut_old(struct core_pool *pool)
{
    int64_t limit_mono_ms = core_clock_mono_ms() - pool->idle_ms;
    struct rc_db **at = &pool->first;
    struct rc_db *old;

    while (*at && (*at)->since_mono_ms > limit_mono_ms)
        at = &(*at)->next;
    old = *at;
    *at = NULL;
    for (const struct rc_db *db = old; db; db = db->next)
        pool->count--;
    return old;
}

/* Looks now and then; without any that wait it sleeps until there is one. */
static void *sweep(void *context)
{
    struct core_pool *pool = context;

    (void)pthread_mutex_lock(&pool->mutex);
    while (!pool->stopping) {
        struct timespec at = core_db_after_ms(pool->idle_ms / 4 + 1);
        struct rc_db *old;

        pool->asleep = !pool->first;
        if (pool->asleep)
            (void)pthread_cond_wait(&pool->wake, &pool->mutex);
        else
            (void)pthread_cond_timedwait(&pool->wake, &pool->mutex, &at);
        old = cut_old(pool);
        (void)pthread_mutex_unlock(&pool->mutex);
        close_all(old);
        (void)pthread_mutex_lock(&pool->mutex);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* With the mutex held. */
static void start_sweeper(struct core_pool *pool)
{
    if (!pool->sweeping)
        pool->sweeping = core_db_start_thread(&pool->sweeper, sweep, pool);
    else if (pool->asleep)
        (void)pthread_cond_signal(&pool->wake);
}

/* ---- in and out --------------------------------------------------------------------------- */

static bool fits(const struct rc_db *db, const char *plugin, const struct rc_migration *migrations,
                 size_t count)
{
    if (db->count != count || !rc_str_eq(db->plugin, plugin))
        return false;
    for (size_t i = 0; i < count; i++)
        if (migrations[i].number != db->migrations[i].number ||
            !rc_str_eq(migrations[i].sql, db->migrations[i].sql))
            return false;
    return true;
}

static struct rc_db *cut_one(struct core_pool *pool, const char *plugin,
                             const struct rc_migration *migrations, size_t count)
{
    struct rc_db **at, *found;

    enter(pool);
    at = &pool->first;
    while (*at && !fits(*at, plugin, migrations, count))
        at = &(*at)->next;
    found = *at;
    if (found) {
        *at = found->next;
        found->next = NULL;
        pool->count--;
    }
    leave(pool);
    return found;
}

/* What one has met, such as a server that was started again, the others would meet as well. */
static void drop_all(struct core_pool *pool)
{
    struct rc_db *all;

    enter(pool);
    all = cut_all(pool);
    leave(pool);
    close_all(all);
}

struct rc_db *core_pool_take(struct core_pool *pool, const char *plugin,
                             const struct rc_migration *migrations, size_t count,
                             const struct core_cancel *cancel)
{
    struct rc_db *db = cut_one(pool, plugin, migrations, count);
    struct rc_error ignored;

    if (!db || core_session_wake(db->session, cancel, &ignored) == RC_OK)
        return db;
    close_all(db);
    drop_all(pool);
    return NULL;
}

void core_pool_give(struct core_pool *pool, struct rc_db *db)
{
    bool kept = false;

    if (!db->is_doubtful && core_session_rest(db->session)) {
        enter(pool);
        start_sweeper(pool);
        kept = pool->sweeping && pool->count < LIMIT;
        if (kept) {
            db->since_mono_ms = core_clock_mono_ms();
            db->next = pool->first;
            pool->first = db;
            pool->count++;
        }
        leave(pool);
    }
    if (!kept)
        close_all(db);
}

void core_pool_clear(struct core_pool *pool)
{
    bool sweeping;

    enter(pool);
    sweeping = pool->sweeping;
    pool->stopping = true;
    (void)pthread_cond_signal(&pool->wake);
    leave(pool);
    if (sweeping)
        (void)pthread_join(pool->sweeper, NULL);
    close_all(cut_all(pool));
    (void)pthread_cond_destroy(&pool->wake);
    (void)pthread_mutex_destroy(&pool->mutex);
}
