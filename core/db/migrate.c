/*
 * Numbered migrations: which were applied, with what text, is kept in the database itself.
 */
#include <db/session.h>

#include <os/clock.h>
#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char table[] = "CREATE TABLE IF NOT EXISTS run_core_schema ("
                            "number INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, "
                            "applied_unix_ms BIGINT NOT NULL)";

/* FNV-1a, 64 bits: it has to tell an edit, not an attack. Freed by the caller. */
static char *fingerprint(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *at = text; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    return rc_strf("%016" PRIx64 "-%zu", hash, strlen(text));
}

static enum rc_code check_numbers(const char *owner, const struct rc_migration *migrations,
                                  size_t count, struct rc_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (migrations[i].number != (int)i + 1)
            return rc_fail(err, RC_INVALID, "migration %zu of %s has the number %d, not %zu", i + 1,
                           owner, migrations[i].number, i + 1);
        if (!migrations[i].sql)
            return rc_fail(err, RC_INVALID, "migration %zu of %s has no statements", i + 1, owner);
    }
    return RC_OK;
}

/* Whether anything is in the schema; *ours when the book-keeping is. */
static enum rc_code look(struct core_session *session, bool *empty, bool *ours,
                         struct rc_error *err)
{
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(session, session->ops->contents, NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    *empty = row[0].integer == 0;
    *ours = row[1].integer > 0;
    return RC_OK;
}

static enum rc_code compare_one(const struct core_session *session, const char *owner,
                                const struct rc_migration *migration, const char *applied,
                                struct rc_error *err)
{
    RC_STR_AUTO expected = fingerprint(migration->sql);

    if (rc_str_eq(expected, applied))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "migration %d of %s was changed after it had been applied to %s; restore its "
                   "text and put the change into a new migration",
                   migration->number, owner, session->place);
}

/* Compares what was applied with what is known; *applied is the highest number. */
static enum rc_code compare(struct core_session *session, const char *owner,
                            const struct rc_migration *migrations, size_t count, size_t *applied,
                            struct rc_error *err)
{
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    *applied = 0;
    if (core_session_query(session,
                           "SELECT number, fingerprint FROM run_core_schema ORDER BY number", NULL,
                           0, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        if (row[0].integer != (int64_t)*applied + 1)
            return rc_fail(err, RC_CORRUPT, "%s does not say that migration %zu of %s was run",
                           session->place, *applied + 1, owner);
        if (*applied < count &&
            compare_one(session, owner, &migrations[*applied], row[1].text, err))
            return err->code;
        (*applied)++;
    }
}

static enum rc_code record(struct core_session *session, const struct rc_migration *migration,
                           struct rc_error *err)
{
    RC_STR_AUTO print = fingerprint(migration->sql);
    const struct rc_value params[] = {
        rc_value_int(migration->number),
        rc_value_text(print),
        rc_value_int(core_clock_now_unix_ms()),
    };

    return core_session_exec(session, "INSERT INTO run_core_schema VALUES ($1, $2, $3)", params,
                             RC_ARRAY_LEN(params), NULL, err);
}

/* The next migration, in the transaction that is open: others may have run some meanwhile. */
static enum rc_code apply_next(struct core_session *session, const char *owner,
                               const struct rc_migration *migrations, size_t count, size_t *applied,
                               struct rc_error *err)
{
    enum rc_code code;

    if (core_session_exec(session, table, NULL, 0, NULL, err) ||
        compare(session, owner, migrations, count, applied, err))
        return err->code;
    if (*applied >= count)
        return RC_OK;
    session->own = !session->walled;
    code = session->ops->run_script(session, migrations[*applied].sql, err);
    session->own = true;
    if (code)
        return rc_context(err, "migration %zu of %s", *applied + 1, owner);
    if (record(session, &migrations[*applied], err))
        return err->code;
    (*applied)++;
    return RC_OK;
}

static enum rc_code apply_all(struct core_session *session, const char *owner,
                              const struct rc_migration *migrations, size_t count, size_t *applied,
                              struct rc_error *err)
{
    do {
        if (core_session_begin(session, err))
            return err->code;
        if (apply_next(session, owner, migrations, count, applied, err)) {
            core_session_rollback(session);
            return err->code;
        }
        if (core_session_commit(session, err))
            return err->code;
    } while (*applied < count);
    return RC_OK;
}

static enum rc_code migrate(struct core_session *session, const char *owner,
                            const struct rc_migration *migrations, size_t count,
                            struct rc_error *err)
{
    size_t applied = 0;
    bool empty = false, ours = false;

    if (check_numbers(owner, migrations, count, err) || look(session, &empty, &ours, err))
        return err->code;
    if (!empty && !ours)
        return rc_fail(err, RC_CORRUPT,
                       "%s is a database of another program; set it aside or name another place "
                       "for the state",
                       session->place);
    if (ours && compare(session, owner, migrations, count, &applied, err))
        return err->code;
    if (!ours || applied < count) {
        if ((session->ops->make_schema && session->ops->make_schema(session, err)) ||
            apply_all(session, owner, migrations, count, &applied, err))
            return err->code;
    }
    if (applied > count)
        return rc_fail(err, RC_INVALID,
                       "%s has schema %zu of %s, but this version knows only up to %zu; install "
                       "the newer version again",
                       session->place, applied, owner, count);
    return RC_OK;
}

enum rc_code core_session_migrate(struct core_session *session, const char *owner,
                                  const struct rc_migration *migrations, size_t count,
                                  struct rc_error *err)
{
    enum rc_code code;

    session->own = true;
    code = migrate(session, owner, migrations, count, err);
    session->own = !session->walled;
    return code;
}
