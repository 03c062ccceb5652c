/*
 * A connection to the state database, whichever server is behind it: SQLite or PostgreSQL. Locks,
 * migrations, plugins' schemas and the ledger are written once, on this.
 *
 * Statements are in the SQL that both know, with parameters $1, $2, ...; text is UTF-8, times are
 * BIGINT milliseconds, truth is BIGINT 0 or 1. Sums are NUMERIC in PostgreSQL and come as text
 * unless they are cast: CAST(sum(x) AS BIGINT). A session belongs to one thread at a time.
 *
 * RC_UNAVAILABLE from a session over a network means that the connection is gone, or that the
 * server cannot do it now: whether the last statement or commit took effect is not known. Whoever
 * gets it goes on with core_session_recover() before the next statement. An error of any other kind
 * within a transaction ends that as well in PostgreSQL, so whoever gets one rolls back.
 */
#ifndef CORE_DB_SESSION_H
#define CORE_DB_SESSION_H

#include <base/cancel.h>

#include <run-core/db.h>
#include <run-core/value.h>

#include <stdbool.h>

struct core_session;

struct core_session_ops {
    const char *name; /* "SQLite" or "PostgreSQL", for messages */
    bool shared;      /* several machines may use the same database at once */

    enum rc_code (*exec)(struct core_session *session, const char *statement,
                         const struct rc_value *params, size_t count, int64_t *changed,
                         struct rc_error *err);
    enum rc_code (*query)(struct core_session *session, const char *statement,
                          const struct rc_value *params, size_t count, struct rc_rows **out,
                          struct rc_error *err);
    /* Begins a transaction that will write: others that write wait until its end. */
    enum rc_code (*begin)(struct core_session *session, struct rc_error *err);
    enum rc_code (*commit)(struct core_session *session, struct rc_error *err);
    void (*rollback)(struct core_session *session);
    bool (*in_transaction)(const struct core_session *session);

    /* Milliseconds since 1970 as the database sees them: the one clock that all machines share. */
    enum rc_code (*now_unix_ms)(struct core_session *session, int64_t *out, struct rc_error *err);
    /* Whether the statement only reads. RC_INVALID where it does not parse. */
    enum rc_code (*is_read)(struct core_session *session, const char *statement, bool *reads,
                            struct rc_error *err);

    /* Counts what is in the schema, and the tables named run_core_schema among that. */
    const char *contents;
    /* Makes what the first migration expects to be there. NULL: nothing. */
    enum rc_code (*make_schema)(struct core_session *session, struct rc_error *err);
    /* Runs the statements of one migration, in the transaction that is open. */
    enum rc_code (*run_script)(struct core_session *session, const char *sql, struct rc_error *err);

    /* Whether a broken connection is being made anew; see core_session_recover(). NULL: never
     * broken. */
    enum rc_code (*recover)(struct core_session *session, bool *ready, struct rc_error *err);
    /* See core_session_rest() and core_session_wake(). */
    bool (*rest)(struct core_session *session);
    enum rc_code (*wake)(struct core_session *session, struct rc_error *err);
    /* See core_session_forget(). */
    void (*forget)(struct core_session *session);
    /* Ends a transaction without its commit. Rows that are open stay usable. */
    void (*close)(struct core_session *session);
};

/* Every implementation begins with this. */
struct core_session {
    const struct core_session_ops *ops;
    char *place;                      /* of the schema, for messages: "'/path/state.db'" */
    const struct core_cancel *cancel; /* cuts statements short; may be NULL */
    bool walled;                      /* statements come from a plugin, and keep to its schema */
    bool own;                         /* the present one is the core's all the same */
};

static inline RC_MUST_CHECK enum rc_code core_session_exec(struct core_session *session,
                                                           const char *statement,
                                                           const struct rc_value *params,
                                                           size_t count, int64_t *changed,
                                                           struct rc_error *err)
{
    return session->ops->exec(session, statement, params, count, changed, err);
}

static inline RC_MUST_CHECK enum rc_code core_session_query(struct core_session *session,
                                                            const char *statement,
                                                            const struct rc_value *params,
                                                            size_t count, struct rc_rows **out,
                                                            struct rc_error *err)
{
    return session->ops->query(session, statement, params, count, out, err);
}

static inline RC_MUST_CHECK enum rc_code core_session_begin(struct core_session *session,
                                                            struct rc_error *err)
{
    return session->ops->begin(session, err);
}

/* Where it fails the transaction has ended: undone, or (RC_UNAVAILABLE) nobody knows. */
static inline RC_MUST_CHECK enum rc_code core_session_commit(struct core_session *session,
                                                             struct rc_error *err)
{
    return session->ops->commit(session, err);
}

/* Without a transaction it does nothing. */
static inline void core_session_rollback(struct core_session *session)
{
    session->ops->rollback(session);
}

static inline RC_MUST_CHECK enum rc_code
core_session_now_unix_ms(struct core_session *session, int64_t *out, struct rc_error *err)
{
    return session->ops->now_unix_ms(session, out, err);
}

/*
 * Goes on with making a broken connection anew, without waiting: called again and again until
 * *ready, or an error, which says why this attempt failed; the next call begins another. A session
 * that is not broken is ready at once.
 */
static inline RC_MUST_CHECK enum rc_code core_session_recover(struct core_session *session,
                                                              bool *ready, struct rc_error *err)
{
    *ready = true;
    return session->ops->recover ? session->ops->recover(session, ready, err) : RC_OK;
}

/*
 * Puts a session by for another owner. False: nothing is to be kept of it, as its owner left
 * something open, or the connection is lost; it is closed then.
 */
static inline bool core_session_rest(struct core_session *session)
{
    session->cancel = NULL;
    return session->ops->rest(session);
}

/*
 * Gives a session that was put by to its next owner, who finds it as if it had just been opened.
 * With an error, whatever it is, it is closed, and another one opened.
 */
static inline RC_MUST_CHECK enum rc_code core_session_wake(struct core_session *session,
                                                           const struct core_cancel *cancel,
                                                           struct rc_error *err)
{
    session->cancel = cancel;
    return session->ops->wake(session, err);
}

/*
 * For a forked child: drops what it inherited without a word to the server, so that the parent's
 * session goes on, and ends with the parent's process. The child must not use or close it.
 */
static inline void core_session_forget(struct core_session *session)
{
    if (session)
        session->ops->forget(session);
}

/* May be NULL. */
static inline void core_session_close(struct core_session *session)
{
    if (session)
        session->ops->close(session);
}

/* Brings the schema of 'owner' up to the last migration (migrate.c). */
RC_MUST_CHECK enum rc_code core_session_migrate(struct core_session *session, const char *owner,
                                                const struct rc_migration *migrations, size_t count,
                                                struct rc_error *err);

#endif
