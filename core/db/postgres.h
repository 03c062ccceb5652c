/*
 * What the state database needs of PostgreSQL: libpq, loaded when it is used, connections that
 * never wait longer than they may, and its errors as ours. The sessions on top of it are in
 * postgres_session.c. Internal to core/db.
 */
#ifndef CORE_DB_POSTGRES_H
#define CORE_DB_POSTGRES_H

#include <db/session.h>

#include <libpq-fe.h>
#include <sys/types.h>

/* The functions in use, as their own header declares them. */
struct core_libpq {
    __typeof__(&PQconninfoParse) conninfoParse;
    __typeof__(&PQconninfoFree) conninfoFree;
    __typeof__(&PQconnectStartParams) connectStartParams;
    __typeof__(&PQconnectPoll) connectPoll;
    __typeof__(&PQfinish) finish;
    __typeof__(&PQstatus) status;
    __typeof__(&PQsocket) socket;
    __typeof__(&PQtransactionStatus) transactionStatus;
    __typeof__(&PQerrorMessage) errorMessage;
    __typeof__(&PQsetErrorVerbosity) setErrorVerbosity;
    __typeof__(&PQsetNoticeProcessor) setNoticeProcessor;
    __typeof__(&PQsetnonblocking) setnonblocking;
    __typeof__(&PQsetSingleRowMode) setSingleRowMode;
    __typeof__(&PQsendQuery) sendQuery;
    __typeof__(&PQsendQueryParams) sendQueryParams;
    __typeof__(&PQsendPrepare) sendPrepare;
    __typeof__(&PQsendQueryPrepared) sendQueryPrepared;
    __typeof__(&PQflush) flush;
    __typeof__(&PQconsumeInput) consumeInput;
    __typeof__(&PQisBusy) isBusy;
    __typeof__(&PQgetResult) getResult;
    __typeof__(&PQgetCancel) getCancel;
    __typeof__(&PQcancel) cancel;
    __typeof__(&PQfreeCancel) freeCancel;
    __typeof__(&PQresultStatus) resultStatus;
    __typeof__(&PQresultErrorField) resultErrorField;
    __typeof__(&PQresultMemorySize) resultMemorySize;
    __typeof__(&PQntuples) ntuples;
    __typeof__(&PQnfields) nfields;
    __typeof__(&PQfname) fname;
    __typeof__(&PQftype) ftype;
    __typeof__(&PQgetisnull) getisnull;
    __typeof__(&PQgetvalue) getvalue;
    __typeof__(&PQgetlength) getlength;
    __typeof__(&PQcmdTuples) cmdTuples;
    __typeof__(&PQclear) clear;
    __typeof__(&PQfreemem) freemem;
};

/* Loads it. RC_UNSUPPORTED: it is not installed. */
RC_MUST_CHECK enum rc_code core_libpq_load(const struct core_libpq **out, struct rc_error *err);

enum core_postgres_state { CORE_POSTGRES_BROKEN, CORE_POSTGRES_CONNECTING, CORE_POSTGRES_READY };

enum { CORE_POSTGRES_CACHE = 256 };

/* A connection. */
struct core_postgres {
    struct core_session session;
    const struct core_libpq *pq;
    char *url;                /* with the password */
    char *schema;             /* of this session */
    char *options;            /* of the server's settings, from the URL or NULL */
    bool rehearsal;           /* nothing that others see may be changed */
    bool has_copies;          /* of a rehearsal: it works on copies, in this connection only */
    int64_t connect_limit_ms; /* for an attempt to connect */
    int64_t limit_ms;         /* for a statement; 0: as long as it takes */
    size_t references;        /* its owner, and rows that are open */

    enum core_postgres_state state;
    PGconn *conn; /* NULL when broken */
    PostgresPollingStatusType wanted;
    int64_t deadline_ms; /* of the attempt to connect */
    bool in_transaction; /* also when the connection was lost in one, until it is given up */
    struct core_postgres_rows *open;     /* whose result the connection still brings */
    char *prepared[CORE_POSTGRES_CACHE]; /* statements with their parameters' types, by hash */
    size_t prepared_count;
};

/*
 * A session on 'schema' at 'url', connected. 'limit_ms' is the longest wait for a statement, or 0.
 */
RC_MUST_CHECK enum rc_code core_postgres_open(const char *url, const char *schema, int64_t limit_ms,
                                              bool rehearsal, const struct core_cancel *cancel,
                                              struct core_postgres **out, struct rc_error *err);
/* Whether libpq understands the URL and takes its values. Asks nobody. */
RC_MUST_CHECK enum rc_code core_postgres_check(const char *url, struct rc_error *err);
/* For its owner and for rows; the last one closes. */
void core_postgres_release(struct core_postgres *db);

/* Goes on with connecting, see core_session_recover(). */
RC_MUST_CHECK enum rc_code core_postgres_advance(struct core_postgres *db, bool *ready,
                                                 struct rc_error *err);
/* The same, waiting for its end. */
RC_MUST_CHECK enum rc_code core_postgres_connect(struct core_postgres *db, struct rc_error *err);
/* Drops the connection, of which nothing more is to be expected. */
void core_postgres_break(struct core_postgres *db);
/* The same in a forked child: the server hears nothing, and the parent keeps the connection. */
void core_postgres_forget(struct core_postgres *db);

/*
 * Waits for the next result of what was sent; NULL behind the last. Where that takes longer than it
 * may, or the run is to stop, the statement is cut short: the connection is broken or idle then.
 */
RC_MUST_CHECK enum rc_code core_postgres_result(struct core_postgres *db, PGresult **out,
                                                struct rc_error *err);

/*
 * Asks the server to end the present statement, over a connection of its own. False: nobody has
 * answered, so that it may still come to pass and the connection is of no use any more.
 */
bool core_postgres_ask_to_cancel(struct core_postgres *db);

/* The error in a result, or without one, of the connection; breaks it if it is lost. */
enum rc_code core_postgres_fail(struct core_postgres *db, const PGresult *result,
                                struct rc_error *err);
/*
 * What failed when connecting. RC_UNAVAILABLE: it may pass by itself, as where a server cannot be
 * reached. Any other code: it stays until somebody mends it, whatever host is asked.
 */
enum rc_code core_postgres_fail_connect(const struct core_postgres *db, struct rc_error *err);
/* The code for libpq's message about that, of one host or several; *advice may be NULL. */
enum rc_code core_postgres_judge(const char *message, const char **advice);

/* The session's operations (postgres_session.c). */
extern const struct core_session_ops core_postgres_session_ops;

/* Gives the session its own copies of the schema's tables (postgres_place.c). */
RC_MUST_CHECK enum rc_code core_postgres_make_schema(struct core_session *session,
                                                     struct rc_error *err);

#endif
