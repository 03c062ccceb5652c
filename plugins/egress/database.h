/*
 * A connection to PostgreSQL. All waiting is done on its socket, so that a run that is asked to
 * stop stops at once, with the statement cancelled at the server.
 *
 * Messages name role, host, port and database, never the password. Codes: RC_DENIED (wrong
 * password, no such role, insufficient privilege), RC_NOT_FOUND (no such database, table, column),
 * RC_TIMEOUT (statement_timeout, lock_timeout), RC_UNAVAILABLE (what may pass: no connection,
 * connection lost, too many clients, shutting down, a conflict with recovery), RC_CONFLICT (the
 * server no longer keeps what the snapshot saw), RC_FAILED for any other.
 *
 * A connection belongs to one thread at a time.
 */
#ifndef EGRESS_DATABASE_H
#define EGRESS_DATABASE_H

#include "config.h"

#include <libpq-fe.h>

struct egress_database {
    struct rc_job *job;
    const struct egress_config *config; /* borrowed */
    PGconn *connection;                 /* NULL: given up, since it did not end a statement */
    char *place;      /* "database 'app' at db.example:5432 as role 'reader'", for messages */
    int version;      /* of the server: 150020 */
    bool in_recovery; /* a standby */

    int64_t checked_mono_ms; /* when the job was asked last whether to go on */
    bool is_cancelled;       /* the statement, by this side */
    bool is_cancel_late;     /* it is on its way still, and might hit another statement */
    bool is_dismissed;       /* the server has said that it ends the connection */
};

/*
 * Connects, for as long as 'connect_for' says. Of the session only client_encoding is settled, as
 * UTF8: all else belongs to a transaction, since behind a pooler each of them has another session.
 */
RC_MUST_CHECK enum rc_code egress_database_open(struct rc_job *job,
                                                const struct egress_config *config,
                                                struct egress_database **out, struct rc_error *err);
void egress_database_close(struct egress_database **database); /* *database may be NULL */

/*
 * Begins a transaction, repeatable read and read only, after the end of one that may be open. It
 * sees what the snapshot of this name saw; NULL: what is there with its first statement. Settles
 * what the text of values depends on (DateStyle ISO, IntervalStyle postgres, TimeZone UTC,
 * extra_float_digits 3, bytea_output hex, no synchronized scans), the timeouts (that of statements
 * only where a snapshot is taken over, for COPY), compilation (not for the catalogue), and
 * row_security. RC_UNAVAILABLE: the snapshot is not there any more.
 */
RC_MUST_CHECK enum rc_code egress_database_begin(struct egress_database *database,
                                                 const char *snapshot, struct rc_error *err);

/* Runs one statement; 'what' says it in messages: "export the snapshot". */
RC_MUST_CHECK enum rc_code egress_database_exec(struct egress_database *database, const char *what,
                                                const char *sql, struct rc_error *err);
/*
 * The same with text parameters and rows. The caller frees *out with PQclear(). With 'params',
 * though there be none, the server refuses a text that is more than one statement.
 */
RC_MUST_CHECK enum rc_code egress_database_query(struct egress_database *database, const char *what,
                                                 const char *sql, const char *const *params,
                                                 size_t param_count, PGresult **out,
                                                 struct rc_error *err);

/* Whether the connection is still there, as far as the socket tells. */
bool egress_database_alive(struct egress_database *database);

/* ---- for what reads results by itself ---- */

/* Waits until the socket may be read, cancelling the statement when the run is asked to stop. */
RC_MUST_CHECK enum rc_code egress_database_wait(struct egress_database *database,
                                                struct rc_error *err);
/* Takes what has come, without a wait, and asks now and then whether the run is to stop. */
RC_MUST_CHECK enum rc_code egress_database_take(struct egress_database *database,
                                                struct rc_error *err);
/* The next result of the statement; *out is NULL behind the last. */
RC_MUST_CHECK enum rc_code egress_database_result(struct egress_database *database, PGresult **out,
                                                  struct rc_error *err);
/*
 * Ends a statement, cancelling it if it has more to give than is read at once. Where that takes too
 * long the connection is given up.
 */
void egress_database_abandon(struct egress_database *database);
/* The error of a result, or of the connection if 'result' is NULL. */
enum rc_code egress_database_fail(struct egress_database *database, const PGresult *result,
                                  const char *what, struct rc_error *err);

#endif
