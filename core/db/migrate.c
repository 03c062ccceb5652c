/*
 * Numbered migrations: which were applied, with what text, is kept in the database itself.
 */
#include <db/sqlite.h>

#include <os/clock.h>
#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char table[] = "CREATE TABLE IF NOT EXISTS run_core_schema ("
                            "number INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, "
                            "applied_unix_ms INTEGER NOT NULL)";

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

/* Whether anything is in the file; *ours when the book-keeping is. */
static enum rc_code look(struct core_sqlite *db, bool *empty, bool *ours, struct rc_error *err)
{
    CORE_STMT_AUTO(stmt);
    bool row;

    if (core_sqlite_compile(db,
                            "SELECT count(*), coalesce(sum(name = 'run_core_schema'), 0) "
                            "FROM sqlite_schema",
                            &stmt, err) ||
        core_sqlite_step(db, stmt, &row, err))
        return err->code;
    *empty = sqlite3_column_int(stmt, 0) == 0;
    *ours = sqlite3_column_int(stmt, 1) > 0;
    return RC_OK;
}

/* Compares what was applied with what is known; *applied is the highest number. */
static enum rc_code compare(struct core_sqlite *db, const char *owner,
                            const struct rc_migration *migrations, size_t count, size_t *applied,
                            struct rc_error *err)
{
    CORE_STMT_AUTO(stmt);
    bool row = true;

    *applied = 0;
    if (core_sqlite_compile(db, "SELECT number, fingerprint FROM run_core_schema ORDER BY number",
                            &stmt, err))
        return err->code;
    for (;;) {
        if (core_sqlite_step(db, stmt, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        if (sqlite3_column_int64(stmt, 0) != (sqlite3_int64)*applied + 1)
            return rc_fail(err, RC_CORRUPT, "'%s' does not say that migration %zu of %s was run",
                           db->path, *applied + 1, owner);
        (*applied)++;
        if (*applied > count)
            continue;
        RC_STR_AUTO expected = fingerprint(migrations[*applied - 1].sql);
        if (!rc_str_eq(expected, (const char *)sqlite3_column_text(stmt, 1)))
            return rc_fail(err, RC_INVALID,
                           "migration %zu of %s was changed after it had been applied to '%s'; "
                           "restore its text and put the change into a new migration",
                           *applied, owner, db->path);
    }
}

/* Runs the statements of one migration, under the plugin's walls. */
static enum rc_code run_statements(struct core_sqlite *db, const char *sql, struct rc_error *err)
{
    while (*sql) {
        CORE_STMT_AUTO(stmt);
        bool row = true;
        int result = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, &sql);

        if (result != SQLITE_OK)
            return core_sqlite_fail(db, result, err);
        while (stmt && row)
            if (core_sqlite_step(db, stmt, &row, err))
                return err->code;
    }
    return RC_OK;
}

static enum rc_code record(struct core_sqlite *db, const struct rc_migration *migration,
                           struct rc_error *err)
{
    RC_STR_AUTO print = fingerprint(migration->sql);
    const struct rc_value params[] = {
        rc_value_int(migration->number),
        rc_value_text(print),
        rc_value_int(core_clock_now_unix_ms()),
    };

    return core_sqlite_exec(db, "INSERT INTO run_core_schema VALUES ($1, $2, $3)", params,
                            RC_ARRAY_LEN(params), NULL, err);
}

/* The next migration, in the transaction that is open: others may have run some meanwhile. */
static enum rc_code apply_next(struct core_sqlite *db, const char *owner,
                               const struct rc_migration *migrations, size_t count, size_t *applied,
                               struct rc_error *err)
{
    enum rc_code code;

    if (core_sqlite_exec(db, table, NULL, 0, NULL, err) ||
        compare(db, owner, migrations, count, applied, err))
        return err->code;
    if (*applied >= count)
        return RC_OK;
    db->own = !db->walled;
    code = run_statements(db, migrations[*applied].sql, err);
    db->own = true;
    if (code)
        return rc_context(err, "migration %zu of %s", *applied + 1, owner);
    if (record(db, &migrations[*applied], err))
        return err->code;
    (*applied)++;
    return RC_OK;
}

static enum rc_code apply_all(struct core_sqlite *db, const char *owner,
                              const struct rc_migration *migrations, size_t count, size_t *applied,
                              struct rc_error *err)
{
    do {
        if (core_sqlite_begin(db, err))
            return err->code;
        if (apply_next(db, owner, migrations, count, applied, err)) {
            core_sqlite_rollback(db);
            return err->code;
        }
        if (core_sqlite_commit(db, err))
            return err->code;
    } while (*applied < count);
    return RC_OK;
}

static enum rc_code migrate(struct core_sqlite *db, const char *owner,
                            const struct rc_migration *migrations, size_t count,
                            struct rc_error *err)
{
    size_t applied = 0;
    bool empty = false, ours = false;

    if (check_numbers(owner, migrations, count, err) || look(db, &empty, &ours, err))
        return err->code;
    if (!empty && !ours)
        return rc_fail(err, RC_CORRUPT,
                       "'%s' is a database of another program; set it aside or name another place "
                       "for the state",
                       db->path);
    if (ours && compare(db, owner, migrations, count, &applied, err))
        return err->code;
    if ((!ours || applied < count) && apply_all(db, owner, migrations, count, &applied, err))
        return err->code;
    if (applied > count)
        return rc_fail(err, RC_INVALID,
                       "'%s' has schema %zu of %s, but this version knows only up to %zu; install "
                       "the newer version again",
                       db->path, applied, owner, count);
    return RC_OK;
}

enum rc_code core_sqlite_migrate(struct core_sqlite *db, const char *owner,
                                 const struct rc_migration *migrations, size_t count,
                                 struct rc_error *err)
{
    enum rc_code code;

    db->own = true;
    code = migrate(db, owner, migrations, count, err);
    db->own = !db->walled;
    return code;
}
