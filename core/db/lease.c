/*
 * Keeps the leases of the locks that this process holds: one thread for a database, from the
 * first lock until it is closed.
 */
#include <db/internal.h>

#include <os/clock.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static void lose(struct rc_lock *lock)
{
    lock->is_lost = true;
    if (lock->lost)
        core_cancel_request(lock->lost, RC_CANCELLED);
}

void core_lease_renew(struct rc_lock *lock)
{
    static const char renewal[] = "UPDATE locks SET expires_unix_ms = $1 "
                                  "WHERE name = $2 AND token = $3 AND holder IS NOT NULL";
    struct core_db *db = lock->db;
    int64_t start_boot_ms = core_clock_boot_ms();
    struct rc_value params[] = {
        rc_value_null(), /* the new end */
        rc_value_text(lock->name),
        rc_value_int(lock->token),
    };
    struct rc_error ignored;
    int64_t now_unix_ms, changed = 0;
    enum rc_code code = core_db_mend(db, &ignored);

    if (!code)
        code = core_session_now_unix_ms(db->core, &now_unix_ms, &ignored);
    if (!code) {
        params[0] = rc_value_int(now_unix_ms + db->lease_ms);
        code =
            core_session_exec(db->core, renewal, params, RC_ARRAY_LEN(params), &changed, &ignored);
    }
    lock->is_unanswered = code != RC_OK;
    if (code) {
        /* Without an answer the lease runs on, but not beyond its end. */
        if (core_clock_boot_ms() >= lock->expires_boot_ms)
            lose(lock);
    } else if (changed == 0) {
        lose(lock);
    } else {
        lock->expires_boot_ms = start_boot_ms + db->lease_ms;
    }
}

bool core_lease_return(struct rc_lock *lock)
{
    const struct rc_value params[] = { rc_value_text(lock->name), rc_value_int(lock->token) };
    struct rc_error ignored;

    /* A lost lock too: where only the renewal failed, the row still names this process. */
    return core_db_mend(lock->db, &ignored) == RC_OK &&
           core_session_exec(lock->db->core,
                             "UPDATE locks SET holder = NULL, host = NULL, pid = NULL, "
                             "start_ticks = NULL WHERE name = $1 AND token = $2",
                             params, RC_ARRAY_LEN(params), NULL, &ignored) == RC_OK;
}

void core_lease_forget(struct rc_lock *lock)
{
    struct rc_lock **at = &lock->db->locks;

    while (*at != lock)
        at = &(*at)->next;
    *at = lock->next;
    free(lock->name);
    free(lock->holder);
    free(lock);
}

/*
 * Whether a lock that could not be renewed has to be given up: before its lease ends, as the next
 * attempt may take until then, and another machine may hold the lock after that.
 */
static bool is_too_late(const struct rc_lock *lock)
{
    int64_t margin_ms = lock->db->lease_ms / 6;

    return lock->is_unanswered && core_clock_boot_ms() >= lock->expires_boot_ms - margin_ms;
}

/* One round over all locks: renews what is held, returns what could not be returned before. */
static void tend(struct core_db *db)
{
    struct rc_lock *next;

    for (struct rc_lock *lock = db->locks; lock; lock = next) {
        next = lock->next;
        if (lock->is_released && core_lease_return(lock))
            core_lease_forget(lock);
        else if (lock->is_released || lock->is_lost)
            continue;
        else if (is_too_late(lock))
            lose(lock);
        else
            core_lease_renew(lock);
    }
}

/* Until the next round: soon, while the database does not answer. */
static int64_t pause_ms(const struct core_db *db)
{
    for (const struct rc_lock *lock = db->locks; lock; lock = lock->next)
        if (lock->is_unanswered && !lock->is_lost)
            return db->renew_ms / 4;
    return db->renew_ms;
}

static void *renew_all(void *context)
{
    struct core_db *db = context;

    (void)pthread_mutex_lock(&db->mutex);
    while (!db->stopping) {
        struct timespec at = core_db_after_ms(pause_ms(db));

        if (pthread_cond_timedwait(&db->wake, &db->mutex, &at) == ETIMEDOUT)
            tend(db);
    }
    (void)pthread_mutex_unlock(&db->mutex);
    return NULL;
}

void core_lease_start(struct core_db *db)
{
    /* Without the thread, leases are still renewed whenever they are checked. */
    if (!db->renewing)
        db->renewing = core_db_start_thread(&db->renewer, renew_all, db);
}

void core_lease_stop(struct core_db *db)
{
    bool renewing;

    (void)pthread_mutex_lock(&db->mutex);
    renewing = db->renewing;
    db->stopping = true;
    (void)pthread_cond_signal(&db->wake);
    (void)pthread_mutex_unlock(&db->mutex);
    if (renewing)
        (void)pthread_join(db->renewer, NULL);
    while (db->locks) {
        (void)core_lease_return(db->locks);
        core_lease_forget(db->locks);
    }
}
