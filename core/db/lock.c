/*
 * Named locks: rows of the core's database. Who finds the row free, or its holder dead,
 * writes itself into it, in one transaction with that look. Leases are kept alive in lease.c.
 */
#include <db/internal.h>

#include <os/backoff.h>
#include <os/clock.h>
#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

enum {
    NAME_LIMIT = 200,
    ENDING_MS = 10000, /* how long a holder that was killed may take to be gone */
};

/* Between two looks at a lock that is held. */
static const struct core_backoff backoff = { .first_ms = 5, .longest_ms = 200 };

/* The row of a lock, as it was found. */
struct found {
    bool is_known; /* there is a row */
    bool is_free;
    bool is_ending; /* held by a process that was killed and is not quite gone */
    char *holder;
    int64_t acquired_unix_ms;
};

static void clear_found(struct found *found)
{
    free(found->holder);
    *found = (struct found){ 0 };
}

/* Of a row: holder, host, pid, start_ticks, acquired_unix_ms, expires_unix_ms. */
enum { HOLDER, HOST, PID, START_TICKS, ACQUIRED, EXPIRES };

/*
 * Judges the row's holder. A process that lives here holds its lock however late its lease is, as
 * after the machine was suspended; of one elsewhere, or that could not find out who it is, only the
 * lease is known.
 */
static enum rc_code judge_holder(struct core_session *session, const struct rc_value *row,
                                 struct found *out, struct rc_error *err)
{
    struct core_process_id id = {
        .pid = (pid_t)row[PID].integer,
        .start_ticks = (uint64_t)row[START_TICKS].integer,
    };
    int64_t now_unix_ms;

    if (row[HOST].len > 0 && row[HOST].len < sizeof(id.host))
        memcpy(id.host, row[HOST].text, row[HOST].len + 1);
    switch (core_process_look(&id)) {
    case CORE_PROCESS_ALIVE:
        break;
    case CORE_PROCESS_ENDING:
        out->is_ending = true;
        break;
    case CORE_PROCESS_DEAD:
        out->is_free = true;
        break;
    case CORE_PROCESS_ELSEWHERE:
        if (core_session_now_unix_ms(session, &now_unix_ms, err))
            return err->code;
        out->is_free = row[EXPIRES].integer <= now_unix_ms;
        break;
    }
    return RC_OK;
}

static enum rc_code look(struct core_session *session, const char *name, struct found *out,
                         struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(name) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    clear_found(out);
    if (core_session_query(session,
                           "SELECT holder, host, pid, start_ticks, acquired_unix_ms, "
                           "expires_unix_ms FROM locks WHERE name = $1",
                           params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    out->is_known = row != NULL;
    out->is_free = !row || row[HOLDER].type == RC_VALUE_NULL;
    if (!out->is_free && judge_holder(session, row, out, err))
        return err->code;
    if (!out->is_free) {
        out->holder = rc_strdup(row[HOLDER].text);
        out->acquired_unix_ms = row[ACQUIRED].integer;
    }
    return RC_OK;
}

enum rc_code core_lock_is_held(struct core_session *session, const char *name, bool *held,
                               struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(name) };
    struct found found = { .is_free = false };
    enum rc_code code = look(session, name, &found, err);

    *held = code == RC_OK && !found.is_free;
    clear_found(&found);
    /* Of the dead: who looks at the row alone takes it for free from now on. */
    if (code == RC_OK && !*held)
        code = core_session_exec(session,
                                 "UPDATE locks SET holder = NULL, host = NULL, pid = NULL, "
                                 "start_ticks = NULL WHERE name = $1 AND holder IS NOT NULL",
                                 params, RC_ARRAY_LEN(params), NULL, err);
    return code;
}

/*
 * Writes this process into the row. The token rises over releases; that it is also at least the
 * time lets it rise even when the database lost its last moments in a power failure, or was set
 * aside and began anew.
 */
static enum rc_code take(struct core_db *db, struct rc_lock *lock, struct rc_error *err)
{
    int64_t start_boot_ms = core_clock_boot_ms();
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;
    int64_t now_unix_ms;

    if (core_session_now_unix_ms(db->core, &now_unix_ms, err))
        return err->code;
    const struct rc_value params[] = {
        rc_value_text(lock->name),
        rc_value_text(lock->holder),
        rc_value_text(db->self.host),
        rc_value_int(db->self.pid),
        rc_value_int((int64_t)db->self.start_ticks),
        rc_value_int(now_unix_ms),
        rc_value_int(now_unix_ms + db->lease_ms),
    };

    if (core_session_query(
            db->core,
            "INSERT INTO locks (name, token, holder, host, pid, start_ticks, acquired_unix_ms, "
            "expires_unix_ms) VALUES ($1, $6, $2, $3, $4, $5, $6, $7) "
            "ON CONFLICT (name) DO UPDATE SET token = CASE WHEN locks.token < excluded.token "
            "THEN excluded.token ELSE locks.token + 1 END, holder = excluded.holder, "
            "host = excluded.host, pid = excluded.pid, start_ticks = excluded.start_ticks, "
            "acquired_unix_ms = excluded.acquired_unix_ms, "
            "expires_unix_ms = excluded.expires_unix_ms RETURNING token",
            params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    lock->token = row[0].integer;
    lock->expires_boot_ms = start_boot_ms + db->lease_ms;
    return RC_OK;
}

/* Looks again and takes, with the database locked. */
static enum rc_code look_and_take(struct core_db *db, struct rc_lock *lock, struct found *found,
                                  struct rc_error *err)
{
    enum rc_code code;

    if (core_session_begin(db->core, err))
        return err->code;
    code = look(db->core, lock->name, found, err);
    if (!code && found->is_free)
        code = take(db, lock, err);
    if (code || !found->is_free) {
        core_session_rollback(db->core);
        return code;
    }
    return core_session_commit(db->core, err);
}

/* One attempt. RC_OK with found->is_free: the lock is ours. */
static enum rc_code attempt(struct core_db *db, struct rc_lock *lock, struct found *found,
                            struct rc_error *err)
{
    enum rc_code code;

    (void)pthread_mutex_lock(&db->mutex);
    code = core_db_mend(db, err);
    /* A plain look first, so that those who wait do not keep others from writing. */
    if (!code)
        code = look(db->core, lock->name, found, err);
    if (!code && found->is_free)
        code = look_and_take(db, lock, found, err);
    if (!code && found->is_free) {
        lock->next = db->locks;
        db->locks = lock;
        core_lease_start(db);
    }
    (void)pthread_mutex_unlock(&db->mutex);
    return code;
}

static enum rc_code conflict(const char *name, const struct found *found, int64_t wait_ms,
                             struct rc_error *err)
{
    char since[RC_TIME_TEXT], waited[RC_AMOUNT_TEXT];

    rc_format_time(found->acquired_unix_ms, since);
    if (wait_ms <= 0)
        return rc_fail(err, RC_CONFLICT, "the lock '%s' is held by %s since %s", name,
                       found->holder, since);
    return rc_fail(err, RC_CONFLICT, "the lock '%s' is held by %s since %s; waited %s", name,
                   found->holder, since, rc_format_duration(wait_ms, waited));
}

static enum rc_code wait_for(struct core_db *db, struct rc_lock *lock, int64_t wait_ms,
                             const struct core_cancel *cancel, struct found *found,
                             struct rc_error *err)
{
    int64_t start_ms = core_clock_mono_ms();

    for (int64_t looks = 1;; looks++) {
        int64_t pause_ms = core_backoff_whole_ms(&backoff, looks);
        int64_t left_ms;

        if (core_cancel_check(cancel, err))
            return rc_context(err, "wait for the lock '%s'", lock->name);
        if (attempt(db, lock, found, err))
            return rc_context(err, "take the lock '%s'", lock->name);
        if (found->is_free)
            return RC_OK;
        left_ms = (found->is_ending && wait_ms < ENDING_MS ? ENDING_MS : wait_ms) -
                  (core_clock_mono_ms() - start_ms);
        if (left_ms <= 0)
            return conflict(lock->name, found, wait_ms, err);
        core_clock_sleep_ms(pause_ms < left_ms ? pause_ms : left_ms);
    }
}

enum rc_code core_lock_acquire(struct core_db *db, const char *name, const char *holder,
                               int64_t wait_ms, const struct core_cancel *cancel,
                               struct core_cancel *lost, struct rc_lock **out, struct rc_error *err)
{
    RC_CLEANUP(clear_found) struct found found = { 0 };
    struct rc_lock *lock;

    *out = NULL;
    if (name[0] == '\0' || strlen(name) > NAME_LIMIT)
        return rc_fail(err, RC_INVALID, "a lock's name has 1 to %d bytes, this one %zu", NAME_LIMIT,
                       strlen(name));
    lock = rc_malloc(sizeof(*lock));
    *lock = (struct rc_lock){
        .db = db,
        .name = rc_strdup(name),
        .holder = rc_strdup(holder),
        .lost = lost,
    };
    if (wait_for(db, lock, wait_ms, cancel, &found, err)) {
        free(lock->name);
        free(lock->holder);
        free(lock);
        return err->code;
    }
    *out = lock;
    return RC_OK;
}

enum rc_code core_lock_check(struct rc_lock *lock, struct rc_error *err)
{
    struct core_db *db = lock->db;
    enum rc_code code = RC_OK;

    (void)pthread_mutex_lock(&db->mutex);
    /* Late, as after the machine was suspended: still ours only if nobody took it meanwhile. */
    if (!lock->is_lost && core_clock_boot_ms() >= lock->expires_boot_ms)
        core_lease_renew(lock);
    if (lock->is_lost)
        code = rc_fail(err, RC_CONFLICT,
                       "the lease of the lock '%s' was lost: it could not be renewed in time, or "
                       "another run has taken it",
                       lock->name);
    (void)pthread_mutex_unlock(&db->mutex);
    return code;
}

int64_t core_lock_token(const struct rc_lock *lock)
{
    return lock->token;
}

void core_lock_release(struct rc_lock *lock)
{
    struct core_db *db;

    if (!lock)
        return;
    db = lock->db;
    (void)pthread_mutex_lock(&db->mutex);
    lock->lost = NULL; /* may not outlive the lock */
    if (core_lease_return(lock))
        core_lease_forget(lock);
    else
        lock->is_released = true;
    (void)pthread_mutex_unlock(&db->mutex);
}

enum rc_code core_lock_look(struct core_db *db, const char *name, bool *known, bool *held,
                            struct rc_error *err)
{
    RC_CLEANUP(clear_found) struct found found = { .is_free = false };
    enum rc_code code;

    (void)pthread_mutex_lock(&db->mutex);
    code = core_db_mend(db, err);
    if (!code)
        code = look(db->core, name, &found, err);
    (void)pthread_mutex_unlock(&db->mutex);
    if (code)
        return rc_context(err, "look at the lock '%s'", name);
    *known = found.is_known;
    *held = !found.is_free;
    return RC_OK;
}

enum rc_code core_lock_forget(struct core_db *db, const char *prefix, int64_t age_ms,
                              struct rc_error *err)
{
    int64_t now_unix_ms = 0;
    enum rc_code code;

    (void)pthread_mutex_lock(&db->mutex);
    code = core_db_mend(db, err);
    if (!code)
        code = core_session_now_unix_ms(db->core, &now_unix_ms, err);
    if (!code) {
        const struct rc_value params[] = { rc_value_text(prefix),
                                           rc_value_int(now_unix_ms - age_ms) };

        code = core_session_exec(db->core,
                                 "DELETE FROM locks WHERE substr(name, 1, length($1)) = $1 "
                                 "AND expires_unix_ms < $2",
                                 params, RC_ARRAY_LEN(params), NULL, err);
    }
    (void)pthread_mutex_unlock(&db->mutex);
    return code ? rc_context(err, "forget locks '%s...'", prefix) : RC_OK;
}
