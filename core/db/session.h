/*
 * A connection to the state database, whichever server is behind it: SQLite or PostgreSQL. Locks,
 * migrations, plugins' schemas and the ledger are written once, on this.
 *
 * Statements are in the SQL that both know, with parameters $1, $2, ...; text is UTF-8, times are
 * BIGINT milliseconds, truth is BIGINT 0 or 1. A session belongs to one thread at a time.
 *
 * RC_UNAVAILABLE from a session over a network means that the connection is gone: whether the last
 * statement or commit took effect is not known, and the session stays broken until it is
 * recovered.
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

    /* Milliseconds since 1970 as the database sees them: the one clock that all machines share. */
    enum rc_code (*now_unix_ms)(struct core_session *session, int64_t *out, struct rc_error *err);

    /* Whether a broken connection is being made anew; see core_session_recover(). NULL: never
     * broken. */
    enum rc_code (*recover)(struct core_session *session, bool *ready, struct rc_error *err);
    void (*close)(struct core_session *session);
};

/* Every implementation begins with this. */
struct core_session {
    const struct core_session_ops *ops;
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

static inline RC_MUST_CHECK enum rc_code core_session_commit(struct core_session *session,
                                                             struct rc_error *err)
{
    return session->ops->commit(session, err);
}

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
 * *ready, or an error, which says why this attempt failed; the next call begins another.
 */
static inline RC_MUST_CHECK enum rc_code core_session_recover(struct core_session *session,
                                                              bool *ready, struct rc_error *err)
{
    *ready = true;
    return session->ops->recover ? session->ops->recover(session, ready, err) : RC_OK;
}

#endif
