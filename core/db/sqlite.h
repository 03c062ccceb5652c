/*
 * What the state database needs of SQLite: connections with our settings, its errors as ours,
 * statements with $1, $2, ... and the walls around a plugin's schema. The sessions on top of it
 * are in sqlite_session.c. Internal to core/db.
 */
#ifndef CORE_DB_SQLITE_H
#define CORE_DB_SQLITE_H

#include <db/session.h>

#include <sqlite3.h>

enum { CORE_SQLITE_CACHE = 128 };

/* A connection. It stays where it is: SQLite keeps its address. */
struct core_sqlite {
    struct core_session session;
    sqlite3 *handle;
    char *path;
    int64_t busy_since_ms;
    int64_t busy_limit_ms; /* how long a lock of another process is waited for */
    size_t references;     /* its owner, and rows that are open */
    bool has_temporary;    /* perhaps: a table or the like of this connection only */
    sqlite3_stmt *idle[CORE_SQLITE_CACHE]; /* compiled, and not in use now (sqlite_cache.c) */
};

/*
 * Opens, and makes if needed, the file at 'path'; its folder must exist. Only with 'durable' a
 * commit is safe from a failure of power when it returns; the file stays sound in any case.
 */
RC_MUST_CHECK enum rc_code core_sqlite_open(const char *path, bool durable,
                                            const struct core_cancel *cancel,
                                            struct core_sqlite **out, struct rc_error *err);
/* For its owner and for rows; the last one closes. */
void core_sqlite_release(struct core_sqlite *db);

/* The error of the last call, which gave 'result'. */
enum rc_code core_sqlite_fail(const struct core_sqlite *db, int result, struct rc_error *err);

/* Runs one statement of ours without a result. */
RC_MUST_CHECK enum rc_code core_sqlite_run(struct core_sqlite *db, const char *statement,
                                           struct rc_error *err);

/*
 * Compiles exactly one statement, or takes one that is kept, and binds $1 to $count, copying the
 * values. Given back with core_sqlite_give().
 */
RC_MUST_CHECK enum rc_code core_sqlite_prepare(struct core_sqlite *db, const char *statement,
                                               const struct rc_value *params, size_t count,
                                               sqlite3_stmt **out, struct rc_error *err);
/* Compiles it without parameters. */
RC_MUST_CHECK enum rc_code core_sqlite_compile(struct core_sqlite *db, const char *statement,
                                               sqlite3_stmt **out, struct rc_error *err);
/* *row is false behind the last row. */
RC_MUST_CHECK enum rc_code core_sqlite_step(struct core_sqlite *db, sqlite3_stmt *stmt, bool *row,
                                            struct rc_error *err);
void core_sqlite_finalize(sqlite3_stmt **stmt);
#define CORE_STMT_AUTO(name) RC_CLEANUP(core_sqlite_finalize) sqlite3_stmt *name = NULL

/* A statement of exactly that text, which is the caller's from then on; or NULL. */
sqlite3_stmt *core_sqlite_take(struct core_sqlite *db, const char *statement);
/* Keeps the statement for another time, if it is of a kind to be kept; *stmt is NULL afterwards. */
void core_sqlite_give(struct core_sqlite *db, sqlite3_stmt **stmt);
void core_sqlite_clear_idle(struct core_sqlite *db);

/* Keeps what a plugin's statements may do to its own schema (guard.c). */
void core_sqlite_wall(struct core_sqlite *db);

/* The session's operations (sqlite_session.c). */
extern const struct core_session_ops core_sqlite_session_ops;

#endif
