/*
 * The ledger as a whole: opening and closing it, who takes part, and its transactions. What
 * transactions contain is in ledger_jobs.c, ledger_runs.c and ledger_notices.c; reading is in
 * ledger_read.c, forgetting in ledger_prune.c, taking over in ledger_takeover.c.
 *
 * What holds whatever dies when, between any two statements:
 *
 * 1. A slot has at most one row: (job, slot) is unique, and whoever inserts it owns it.
 * 2. A row that is due or started has one executor, and only that one changes it, in the very
 *    statement that looks whether it still is the one. The exceptions are a request to stop, which
 *    changes nothing else, and the late end of an attempt that was given up as lost.
 * 3. Attempts of a run are numbered, and each number is started once: 'started' with a number is
 *    written, and durable, before anything is forked for it. The number of a row never falls.
 * 4. An end is final: of a row that is neither due nor started only 'lost' ever changes, and only
 *    into what really happened.
 * 5. An executor that was taken over has no row in 'executors', and with that no transaction: it
 *    learns so from the first statement of its next one. All that write take turns, so nobody is
 *    taken over in the middle of a transaction.
 * 6. Repeating a transaction whose commit had no answer changes nothing that it changed already:
 *    inserts know their own ids again, updates their numbers.
 */
#include <db/ledger_internal.h>

#include <os/path.h>
#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- names ---------------------------------------------------------------------------------- */

static const char *const status_names[CORE_RUN_STATUS_COUNT] = {
    [CORE_RUN_DUE] = "due",
    [CORE_RUN_STARTED] = "started",
    [CORE_RUN_SUCCEEDED] = "succeeded",
    [CORE_RUN_FAILED] = "failed",
    [CORE_RUN_TIMED_OUT] = "timed_out",
    [CORE_RUN_CANCELLED] = "cancelled",
    [CORE_RUN_LOST] = "lost",
    [CORE_RUN_SKIPPED] = "skipped",
};

const char *core_run_status_name(enum core_run_status status)
{
    RC_ASSERT((size_t)status < RC_ARRAY_LEN(status_names));
    return status_names[status];
}

bool core_run_status_parse(const char *name, enum core_run_status *out)
{
    for (size_t i = 0; name && i < RC_ARRAY_LEN(status_names); i++)
        if (strcmp(status_names[i], name) == 0) {
            *out = (enum core_run_status)i;
            return true;
        }
    return false;
}

/* ---- texts ---------------------------------------------------------------------------------- */

void core_texts_add(struct core_texts *texts, const char *text)
{
    /* Grown when the number is a power of two. */
    if ((texts->count & (texts->count - 1)) == 0) {
        char **items = rc_malloc((texts->count ? 2 * texts->count : 1) * sizeof(*items));

        if (texts->count)
            memcpy(items, texts->items, texts->count * sizeof(*items));
        free(texts->items);
        texts->items = items;
    }
    texts->items[texts->count++] = rc_strdup(text);
}

void core_texts_clear(struct core_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->items[i]);
    free(texts->items);
    *texts = (struct core_texts){ 0 };
}

enum rc_code core_ledger_query_texts(struct core_ledger *ledger, const char *statement,
                                     const struct rc_value *params, size_t count,
                                     struct core_texts *out, struct rc_error *err)
{
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session, statement, params, count, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        core_texts_add(out, core_ledger_text(&row[0]));
    }
}

/* ---- the one daemon of a state that is of one machine --------------------------------------- */

/*
 * A record lock of fcntl(2) belongs to this process alone: children that it forks have no part in
 * it, so no guard that outlives the daemon keeps the state from the next one.
 */
static enum rc_code lock_state(struct core_ledger *ledger, const char *url, struct rc_error *err)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    RC_STR_AUTO file = NULL;
    RC_STR_AUTO folder = NULL;
    RC_STR_AUTO path = NULL;
    char text[32];

    if (core_db_file(url, &file, err))
        return err->code;
    folder = core_path_directory(file);
    path = rc_strf("%s/daemon.lock", folder);
    ledger->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (ledger->lock_fd < 0)
        return rc_fail_errno(err, errno, "open '%s'", path);
    if (fcntl(ledger->lock_fd, F_SETLK, &lock) != 0) {
        int error_number = errno;

        if (error_number != EACCES && error_number != EAGAIN)
            return rc_fail_errno(err, error_number, "lock '%s'", path);
        if (fcntl(ledger->lock_fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
            lock.l_pid = 0; /* it has gone this moment */
        return rc_fail(err, RC_CONFLICT,
                       "another daemon, process %ld, keeps the state in '%s'; stop it first, or "
                       "give this one another 'core.state'",
                       (long)lock.l_pid, folder);
    }
    /* For people who look; the lock itself says who has it. */
    snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(ledger->lock_fd, 0) != 0 || core_fd_write(ledger->lock_fd, text, strlen(text)))
        return rc_fail_errno(err, errno, "write '%s'", path);
    return RC_OK;
}

/* ---- executors ------------------------------------------------------------------------------ */

static enum rc_code add_executor(struct core_ledger *ledger, struct rc_error *err)
{
    const struct core_executor *self = &ledger->self;
    int64_t now_unix_ms = 0;

    if (core_session_now_unix_ms(ledger->session, &now_unix_ms, err))
        return err->code;

    const struct rc_value params[] = {
        rc_value_text(self->id),
        rc_value_text(self->kind),
        rc_value_text(self->process.host),
        rc_value_int(self->process.pid),
        rc_value_int((int64_t)self->process.start_ticks),
        rc_value_text(self->spool),
        rc_value_int(now_unix_ms),
        rc_value_int(now_unix_ms + self->lease_ms),
    };
    if (core_ledger_exec(
            ledger,
            "INSERT INTO executors (id, kind, host, pid, start_ticks, spool, "
            "joined_unix_ms, expires_unix_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
            "ON CONFLICT (id) DO UPDATE SET expires_unix_ms = excluded.expires_unix_ms",
            params, RC_ARRAY_LEN(params), NULL, err))
        return rc_context(err, "join the ledger");
    ledger->joined = true;
    return RC_OK;
}

static void set_id(struct core_ledger *ledger, const char *id)
{
    RC_ASSERT(strlen(id) < sizeof(ledger->self.id));
    memcpy(ledger->self.id, id, strlen(id) + 1);
}

static struct core_ledger *make(struct core_db *db)
{
    struct core_ledger *ledger = rc_malloc(sizeof(*ledger));

    *ledger = (struct core_ledger){
        .db = db,
        .session = core_db_session(db),
        .lock_fd = -1,
    };
    return ledger;
}

/* Frees all but the connection. */
static void discard(struct core_ledger *ledger)
{
    if (ledger->lock_fd >= 0)
        close(ledger->lock_fd);
    free(ledger->spool);
    free(ledger->pruned_job);
    free(ledger);
}

enum rc_code core_ledger_open(const char *url, const struct core_executor *self,
                              struct core_ledger **out, struct rc_error *err)
{
    bool is_daemon = strcmp(self->kind, "daemon") == 0;
    struct core_ledger *ledger;
    struct core_db *db;

    *out = NULL;
    if (is_daemon ? core_db_open_durable(url, &db, err) : core_db_open(url, &db, err))
        return err->code;
    ledger = make(db);
    ledger->spool = rc_strdup(self->spool);
    ledger->self = (struct core_executor){
        .kind = is_daemon ? "daemon" : "foreground",
        .process = self->process,
        .spool = ledger->spool,
        .lease_ms = self->lease_ms,
    };
    set_id(ledger, self->id);
    if ((is_daemon && !core_ledger_is_shared(ledger) && lock_state(ledger, url, err)) ||
        add_executor(ledger, err)) {
        core_ledger_close(ledger);
        return err->code;
    }
    *out = ledger;
    return RC_OK;
}

enum rc_code core_ledger_open_reader(const char *url, struct core_ledger **out,
                                     struct rc_error *err)
{
    RC_STR_AUTO file = NULL;
    struct core_db *db;

    *out = NULL;
    if (core_db_file(url, &file, err))
        return err->code;
    if (file && access(file, F_OK) != 0 && errno == ENOENT)
        return rc_fail(err, RC_NOT_FOUND, "there is no state at '%s'", file);
    if (core_db_open(url, &db, err))
        return err->code;
    *out = make(db);
    return RC_OK;
}

void core_ledger_close(struct core_ledger *ledger)
{
    struct rc_error ignored;

    if (!ledger)
        return;
    core_session_rollback(ledger->session);
    if (ledger->joined) {
        const struct rc_value params[] = { rc_value_text(ledger->self.id) };

        /* Left behind, the row of a process that has ended is taken away by the next take-over. */
        if (core_ledger_exec(ledger,
                             "DELETE FROM executors WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM "
                             "runs WHERE executor = $1 AND " CORE_LEDGER_OPEN ") AND NOT EXISTS "
                             "(SELECT 1 FROM notices WHERE executor = $1)",
                             params, RC_ARRAY_LEN(params), NULL, &ignored))
            ledger->joined = false;
    }
    core_db_close(ledger->db);
    discard(ledger);
}

void core_ledger_forget(struct core_ledger *ledger)
{
    if (!ledger)
        return;
    core_db_forget(ledger->db);
    discard(ledger);
}

bool core_ledger_is_shared(const struct core_ledger *ledger)
{
    return ledger->session->ops->shared;
}

enum rc_code core_ledger_recover(struct core_ledger *ledger, bool *ready, struct rc_error *err)
{
    return core_session_recover(ledger->session, ready, err);
}

static enum rc_code was_taken_over(struct rc_error *err)
{
    return rc_fail(err, RC_CONFLICT,
                   "this daemon did not renew its lease in time, and another one has taken over "
                   "its work");
}

enum rc_code core_ledger_renew(struct core_ledger *ledger, struct rc_error *err)
{
    int64_t now_unix_ms = 0, changed = 0;

    if (core_session_now_unix_ms(ledger->session, &now_unix_ms, err))
        return rc_context(err, "renew the daemon's lease");

    const struct rc_value params[] = {
        rc_value_text(ledger->self.id),
        rc_value_int(now_unix_ms + ledger->self.lease_ms),
    };
    if (core_ledger_exec(ledger, "UPDATE executors SET expires_unix_ms = $2 WHERE id = $1", params,
                         RC_ARRAY_LEN(params), &changed, err))
        return rc_context(err, "renew the daemon's lease");
    return changed > 0 ? RC_OK : was_taken_over(err);
}

enum rc_code core_ledger_rejoin(struct core_ledger *ledger, const char *id, struct rc_error *err)
{
    set_id(ledger, id);
    return add_executor(ledger, err);
}

/* ---- transactions --------------------------------------------------------------------------- */

/* Learns with it, in the same look, how often jobs were paused and resumed. */
static enum rc_code check_membership(struct core_ledger *ledger, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(ledger->self.id) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session,
                           "SELECT coalesce((SELECT latest FROM numbers WHERE name = 'pauses'), 0) "
                           "FROM executors WHERE id = $1",
                           params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    if (!row)
        return was_taken_over(err);
    ledger->pauses = row[0].integer;
    return RC_OK;
}

enum rc_code core_ledger_begin(struct core_ledger *ledger, struct rc_error *err)
{
    if (core_session_begin(ledger->session, err))
        return err->code;
    /* A state of one machine is protected by its lock. */
    if (!ledger->joined || !core_ledger_is_shared(ledger))
        return RC_OK;
    if (check_membership(ledger, err) == RC_OK)
        return RC_OK;
    core_session_rollback(ledger->session);
    return err->code;
}

enum rc_code core_ledger_commit(struct core_ledger *ledger, struct rc_error *err)
{
    return core_session_commit(ledger->session, err);
}

void core_ledger_rollback(struct core_ledger *ledger)
{
    core_session_rollback(ledger->session);
}
