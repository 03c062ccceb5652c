/*
 * Whose process or lease has ended is dead, and what it had goes to whoever finds that out first.
 */
#include <db/ledger_internal.h>

#include <run-core/str.h>

#include <string.h>

/* A row of 'executors'. */
struct member {
    const char *id;
    bool is_daemon;
    struct core_process_id process;
    int64_t expires_unix_ms;
};

static bool same_boot(const char *a, const char *b)
{
    size_t len = strcspn(a, " ");

    return len > 0 && len == strcspn(b, " ") && strncmp(a, b, len) == 0;
}

/*
 * Nobody sees the processes of another machine, or of before this one's last start: of them only
 * the lease is known. A state of one machine has no other machine; and its lock says that no other
 * daemon is there, whatever its row says.
 */
static bool is_dead(const struct core_ledger *ledger, const struct member *member,
                    int64_t now_unix_ms)
{
    bool shared = core_ledger_is_shared(ledger), expired = member->expires_unix_ms <= now_unix_ms;
    struct core_process_id here;

    if (member->is_daemon && !shared && ledger->lock_fd >= 0)
        return true;
    switch (core_process_look(&member->process)) {
    case CORE_PROCESS_DEAD:
        return true;
    case CORE_PROCESS_ENDING:
        return false;
    case CORE_PROCESS_ALIVE:
        return member->is_daemon && shared && expired;
    case CORE_PROCESS_ELSEWHERE:
        break;
    }
    core_process_self(&here);
    return expired || (!shared && member->process.host[0] && here.host[0] &&
                       !same_boot(member->process.host, here.host));
}

/* The executors of a kind that are dead. */
static enum rc_code find_dead(struct core_ledger *ledger, bool daemons, struct core_texts *out,
                              struct rc_error *err)
{
    const struct rc_value params[] = {
        rc_value_text(ledger->self.id),
        rc_value_text(daemons ? "daemon" : "foreground"),
    };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;
    int64_t now_unix_ms = 0;

    if (core_session_now_unix_ms(ledger->session, &now_unix_ms, err) ||
        core_session_query(ledger->session,
                           "SELECT id, host, pid, start_ticks, expires_unix_ms FROM executors "
                           "WHERE id <> $1 AND kind = $2",
                           params, RC_ARRAY_LEN(params), &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;

        struct member member = {
            .id = core_ledger_text(&row[0]),
            .is_daemon = daemons,
            .process = { .pid = (pid_t)row[2].integer, .start_ticks = (uint64_t)row[3].integer },
            .expires_unix_ms = row[4].integer,
        };
        if (row[1].len < sizeof(member.process.host))
            memcpy(member.process.host, row[1].text, row[1].len + 1);
        if (is_dead(ledger, &member, now_unix_ms))
            core_texts_add(out, member.id);
    }
}

static enum rc_code remove_executor(struct core_ledger *ledger, const char *id,
                                    struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(id) };

    return core_ledger_exec(ledger, "DELETE FROM executors WHERE id = $1", params,
                            RC_ARRAY_LEN(params), NULL, err);
}

static enum rc_code lose_all(struct core_ledger *ledger, const struct core_texts *dead,
                             int64_t now_unix_ms, struct rc_error *err)
{
    for (size_t i = 0; i < dead->count; i++)
        if (core_ledger_lose_runs(ledger, dead->items[i], now_unix_ms, err) ||
            remove_executor(ledger, dead->items[i], err))
            return err->code;
    return RC_OK;
}

static enum rc_code inherit(struct core_ledger *ledger, const char *dead, core_run_record_fn *fn,
                            void *context, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(dead), rc_value_text(ledger->self.id) };

    if (core_ledger_each_run(ledger,
                             "SELECT " CORE_LEDGER_RUN_COLUMNS " FROM runs WHERE executor = $1 "
                             "AND " CORE_LEDGER_OPEN " ORDER BY due_unix_ms, nominal_unix_ms, id",
                             params, 1, fn, context, err) ||
        core_ledger_exec(ledger,
                         "UPDATE runs SET executor = $2 WHERE executor = $1 AND " CORE_LEDGER_OPEN,
                         params, RC_ARRAY_LEN(params), NULL, err) ||
        core_ledger_exec(ledger, "UPDATE notices SET executor = $2 WHERE executor = $1", params,
                         RC_ARRAY_LEN(params), NULL, err))
        return err->code;
    return remove_executor(ledger, dead, err);
}

/* Rows whose executor is not there at all, as after somebody mended the tables by hand. */
static enum rc_code find_orphans(struct core_ledger *ledger, struct core_texts *out,
                                 struct rc_error *err)
{
    return core_ledger_query_texts(
        ledger,
        "SELECT executor FROM runs WHERE " CORE_LEDGER_OPEN
        " AND executor NOT IN (SELECT id FROM executors) "
        "UNION SELECT executor FROM notices WHERE executor NOT IN (SELECT id FROM executors)",
        NULL, 0, out, err);
}

enum rc_code core_ledger_take_over(struct core_ledger *ledger, int64_t now_unix_ms,
                                   core_run_record_fn *fn, void *context, struct rc_error *err)
{
    CORE_TEXTS_AUTO(foreground);
    CORE_TEXTS_AUTO(daemons);

    if (find_dead(ledger, /* daemons = */ false, &foreground, err) ||
        lose_all(ledger, &foreground, now_unix_ms, err) ||
        find_dead(ledger, /* daemons = */ true, &daemons, err) ||
        find_orphans(ledger, &daemons, err))
        return rc_context(err, "take over the work of daemons that are gone");
    for (size_t i = 0; i < daemons.count; i++)
        if (inherit(ledger, daemons.items[i], fn, context, err))
            return rc_context(err, "take over the work of the daemon '%s'", daemons.items[i]);
    return RC_OK;
}

enum rc_code core_ledger_settle_foreground(struct core_ledger *ledger, int64_t now_unix_ms,
                                           struct rc_error *err)
{
    CORE_TEXTS_AUTO(dead);

    /* A look before it, so that most commands do not wait for those that write. */
    if (find_dead(ledger, /* daemons = */ false, &dead, err))
        return err->code;
    if (dead.count == 0)
        return RC_OK;
    if (core_ledger_begin(ledger, err))
        return err->code;
    if (lose_all(ledger, &dead, now_unix_ms, err)) {
        core_ledger_rollback(ledger);
        return err->code;
    }
    return core_ledger_commit(ledger, err);
}
