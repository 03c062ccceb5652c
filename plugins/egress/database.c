/*
 * Statements on a connection: sending them, waiting for what they bring, ending them early, and
 * what an error means. How the connection is made is in connect.c, what the statements say
 * elsewhere.
 */
#include "clock.h"
#include "connect.h"

#include <run-core/log.h>

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SLICE_MS = 100,    /* between two looks whether the run is to stop */
    CANCEL_MS = 1000,  /* for the server to hear that a statement is cancelled */
    ABANDON_MS = 3000, /* for it to end the statement */
    OLDEST = 90600,    /* of the servers; EXPORT of snapshots is older, row_security is not */
    SETTINGS_LIMIT = 4096,
    IDLE_READS = 16, /* of what comes unasked: notices, a farewell */
};

/* ---- errors ------------------------------------------------------------------------------- */

static const char *field(const PGresult *result, int code)
{
    return result ? PQresultErrorField(result, code) : NULL;
}

static void add_field(struct rc_buf *out, const PGresult *result, int code)
{
    const char *text = field(result, code);

    if (!text)
        return;
    rc_buf_adds(out, "; ");
    egress_add_line(out, text);
}

/* What the user can do about it, where the server does not say so itself. */
static const char *advice_of(const struct egress_database *database, const char *state,
                             enum rc_code code)
{
    if (code == RC_UNAVAILABLE && rc_str_starts(state, "40") && database->in_recovery)
        return "; on a standby, max_standby_streaming_delay and hot_standby_feedback decide how "
               "long a query may be in the way of recovery";
    if (rc_str_eq(state, "55P03"))
        return "; 'lock_timeout' says how long to wait for who holds the lock";
    if (rc_str_eq(state, "57014") && code == RC_TIMEOUT)
        return "; 'statement_timeout' says how long one may take";
    return "";
}

enum rc_code egress_database_fail(struct egress_database *database, const PGresult *result,
                                  const char *what, struct rc_error *err)
{
    RC_BUF_AUTO(text, RC_ERROR_TEXT);
    const char *state = field(result, PG_DIAG_SQLSTATE);
    const char *primary = field(result, PG_DIAG_MESSAGE_PRIMARY);
    enum rc_code code = state ? egress_code_of(state) : RC_UNAVAILABLE;

    if (!primary)
        primary = database->connection ? PQerrorMessage(database->connection)
                                       : "the server did not end a statement";
    egress_add_line(&text, primary);
    add_field(&text, result, PG_DIAG_MESSAGE_DETAIL);
    add_field(&text, result, PG_DIAG_MESSAGE_HINT);
    /* One state for two things; without such a timeout it was somebody else who cancelled it. */
    if (rc_str_eq(state, "57014") && database->config->statement_timeout_ms == 0)
        code = RC_FAILED;
    if (state)
        rc_buf_addf(&text, " (SQLSTATE %s)%s", state, advice_of(database, state, code));
    (void)rc_fail(err, code, "%s%s", state ? "" : "the connection was lost: ", text.data);
    return rc_context(err, "%s in %s", what, database->place);
}

/* ---- ending a statement early ------------------------------------------------------------- */

/* What the server answers is of no interest: the statement's own result tells. */
static void *send_cancel(void *context)
{
    PGcancel *cancel = context;
    char reason[256];

    (void)PQcancel(cancel, reason, sizeof(reason));
    PQfreeCancel(cancel);
    return NULL;
}

/*
 * libpq sends it over a connection of its own and waits for its end without a limit, which on a
 * silent network is for ever: so a thread does that, which is left to itself after a while.
 */
static void cancel(struct egress_database *database)
{
    PGcancel *handle = PQgetCancel(database->connection);
    struct timespec until;
    pthread_t thread;

    database->is_cancelled = true;
    if (!handle)
        return;
    if (pthread_create(&thread, NULL, send_cancel, handle) != 0) {
        PQfreeCancel(handle);
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CANCEL_MS / 1000;
    if (pthread_timedjoin_np(thread, NULL, &until) == 0)
        return;
    (void)pthread_detach(thread);
    database->is_cancel_late = true;
}

static void give_up(struct egress_database *database)
{
    PQfinish(database->connection);
    database->connection = NULL;
}

/* Rows of a COPY that were on their way. Whether there is nothing more of them. */
static bool skip_rows(PGconn *connection)
{
    char *row;
    int len;

    while ((len = PQgetCopyData(connection, &row, /* async = */ 1)) > 0)
        PQfreemem(row);
    return len == -1;
}

/* Whether the statement has come to its end. Reads without a wait. */
static bool is_over(PGconn *connection)
{
    PGresult *result;

    while (!PQisBusy(connection)) {
        ExecStatusType status;

        result = PQgetResult(connection);
        if (!result)
            return true;
        status = PQresultStatus(result);
        PQclear(result);
        if (status == PGRES_COPY_IN || (status == PGRES_COPY_OUT && !skip_rows(connection)))
            return false;
    }
    return false;
}

void egress_database_abandon(struct egress_database *database)
{
    int64_t until_ms = egress_mono_ms() + ABANDON_MS;

    if (PQtransactionStatus(database->connection) != PQTRANS_ACTIVE)
        return;
    if (!database->is_cancelled)
        cancel(database);
    while (!is_over(database->connection)) {
        struct pollfd fd = { .fd = PQsocket(database->connection), .events = POLLIN };
        int64_t left_ms = until_ms - egress_mono_ms();

        if (left_ms <= 0 || poll(&fd, 1, (int)left_ms) <= 0 ||
            PQconsumeInput(database->connection) == 0) {
            give_up(database);
            return;
        }
    }
    database->is_cancelled = false;
    if (database->is_cancel_late)
        give_up(database);
}

/* ---- waiting ------------------------------------------------------------------------------ */

/* Asks the job, unless it was asked just now. */
static enum rc_code check(struct egress_database *database, struct rc_error *err)
{
    int64_t now_ms = egress_mono_ms();

    if (now_ms - database->checked_mono_ms < SLICE_MS)
        return RC_OK;
    database->checked_mono_ms = now_ms;
    if (rc_job_check(database->job, err) == RC_OK)
        return RC_OK;
    if (PQtransactionStatus(database->connection) == PQTRANS_ACTIVE && !database->is_cancelled)
        cancel(database);
    return err->code;
}

enum rc_code egress_database_wait(struct egress_database *database, struct rc_error *err)
{
    struct pollfd fd = { .fd = PQsocket(database->connection), .events = POLLIN };

    /* Without a socket the connection is lost, which whoever reads it is told. */
    do {
        if (check(database, err))
            return err->code;
    } while (fd.fd >= 0 && poll(&fd, 1, SLICE_MS) <= 0);
    return RC_OK;
}

/* That the connection is lost is for the next result to say, behind what came before. */
enum rc_code egress_database_take(struct egress_database *database, struct rc_error *err)
{
    (void)PQconsumeInput(database->connection);
    return check(database, err);
}

enum rc_code egress_database_result(struct egress_database *database, PGresult **out,
                                    struct rc_error *err)
{
    PGconn *connection = database->connection;

    *out = NULL;
    /* The socket does not tell of what TLS has taken from it already, which is looked at first. */
    while (PQisBusy(connection) && PQconsumeInput(connection) && PQisBusy(connection))
        if (egress_database_wait(database, err))
            return err->code;
    *out = PQgetResult(connection);
    return RC_OK;
}

bool egress_database_alive(struct egress_database *database)
{
    PGconn *connection = database->connection;

    for (int i = 0; i < IDLE_READS && PQstatus(connection) == CONNECTION_OK; i++) {
        struct pollfd fd = { .fd = PQsocket(connection), .events = POLLIN };

        if (poll(&fd, 1, 0) <= 0 || PQconsumeInput(connection) == 0)
            break;
        (void)PQisBusy(connection); /* hands on the notices */
    }
    return PQstatus(connection) == CONNECTION_OK && !database->is_dismissed;
}

/* ---- statements --------------------------------------------------------------------------- */

static bool is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* All results, of which the first error or else the last is kept. */
static enum rc_code collect(struct egress_database *database, const char *what, PGresult **out,
                            struct rc_error *err)
{
    PGresult *kept = NULL, *result;

    for (;;) {
        if (egress_database_result(database, &result, err)) {
            PQclear(kept);
            return rc_context(err, "%s in %s", what, database->place);
        }
        if (!result)
            break;
        if (kept && !is_good(kept)) {
            PQclear(result);
        } else {
            PQclear(kept);
            kept = result;
        }
        /* None of those statements: it would wait for ever. */
        RC_ASSERT(PQresultStatus(kept) != PGRES_COPY_IN && PQresultStatus(kept) != PGRES_COPY_OUT);
    }
    if (!kept || !is_good(kept)) {
        (void)egress_database_fail(database, kept, what, err);
        PQclear(kept);
        return err->code;
    }
    *out = kept;
    return RC_OK;
}

enum rc_code egress_database_query(struct egress_database *database, const char *what,
                                   const char *sql, const char *const *params, size_t param_count,
                                   PGresult **out, struct rc_error *err)
{
    int sent;

    *out = NULL;
    database->is_cancelled = false;
    if (rc_job_check(database->job, err))
        return rc_context(err, "%s in %s", what, database->place);
    sent = params ? PQsendQueryParams(database->connection, sql, (int)param_count, NULL, params,
                                      NULL, NULL, /* resultFormat = */ 0)
                  : PQsendQuery(database->connection, sql);
    if (!sent)
        return egress_database_fail(database, NULL, what, err);
    return collect(database, what, out, err);
}

enum rc_code egress_database_exec(struct egress_database *database, const char *what,
                                  const char *sql, struct rc_error *err)
{
    PGresult *result;

    if (egress_database_query(database, what, sql, NULL, 0, &result, err))
        return err->code;
    PQclear(result);
    return RC_OK;
}

/* ---- transactions ------------------------------------------------------------------------- */

/*
 * With SET LOCAL they end with the transaction, so that behind a pooler nobody else gets them.
 * Limits that an administrator gave to the role are replaced by those of the configuration; none
 * may end a transaction that waits because the object store is slow. What is asked of the catalogue
 * is done in milliseconds, but the planner expects enough of it to compile it for a second first.
 */
static void add_settings(const struct egress_database *database, bool is_for_copy,
                         struct rc_buf *sql)
{
    const struct egress_config *config = database->config;

    rc_buf_addf(sql,
                "SET LOCAL DateStyle = ISO; SET LOCAL IntervalStyle = %s; "
                "SET LOCAL TimeZone = 'UTC'; SET LOCAL extra_float_digits = 3; "
                "SET LOCAL bytea_output = hex; SET LOCAL synchronize_seqscans = off; "
                "SET LOCAL standard_conforming_strings = on; "
                "SET LOCAL idle_in_transaction_session_timeout = 0; "
                "SET LOCAL statement_timeout = %lld; SET LOCAL lock_timeout = %lld; "
                "SET LOCAL row_security = %s",
                config->format == EGRESS_PARQUET ? "iso_8601" : "postgres",
                is_for_copy ? (long long)config->statement_timeout_ms : 0LL,
                (long long)config->lock_timeout_ms, config->row_security ? "on" : "off");
    if (database->version >= 170000)
        rc_buf_adds(sql, "; SET LOCAL transaction_timeout = 0");
    if (database->version >= 110000 && !is_for_copy)
        rc_buf_adds(sql, "; SET LOCAL jit = off");
}

/* What else but the snapshot could fail here, while the connection stays? */
static enum rc_code fail_begin(struct egress_database *database, const char *snapshot,
                               struct rc_error *err)
{
    struct rc_error cause = *err;

    if (!snapshot || !egress_database_alive(database) || cause.code == RC_CANCELLED ||
        cause.code == RC_TIMEOUT)
        return cause.code;
    (void)rc_fail(err, RC_UNAVAILABLE,
                  "%s; the connection that keeps the snapshot was lost, or a pooler has led this "
                  "one to another server",
                  cause.cause);
    return rc_context(err, "%s", cause.context);
}

/* In one message, since it is sent for each piece that is read. */
enum rc_code egress_database_begin(struct egress_database *database, const char *snapshot,
                                   struct rc_error *err)
{
    RC_BUF_AUTO(sql, SETTINGS_LIMIT);
    PGTransactionStatusType status;

    egress_database_abandon(database);
    status = PQtransactionStatus(database->connection);
    if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR)
        rc_buf_adds(&sql, "ROLLBACK; ");
    rc_buf_adds(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ");
    if (snapshot) {
        rc_buf_adds(&sql, "SET TRANSACTION SNAPSHOT ");
        rc_buf_add_literal(&sql, snapshot);
        rc_buf_adds(&sql, "; ");
    }
    add_settings(database, /* is_for_copy = */ snapshot != NULL, &sql);
    if (rc_buf_check(&sql, err))
        return err->code;
    if (egress_database_exec(database, snapshot ? "take over the snapshot" : "begin a transaction",
                             sql.data, err))
        return fail_begin(database, snapshot, err);
    return RC_OK;
}

/* ---- opening ------------------------------------------------------------------------------ */

static enum rc_code look(struct egress_database *database, struct rc_error *err)
{
    PGresult *result;

    database->version = PQserverVersion(database->connection);
    if (database->version < OLDEST)
        return rc_fail(err, RC_UNSUPPORTED, "%s is PostgreSQL %s; 9.6 or later is needed",
                       database->place, PQparameterStatus(database->connection, "server_version"));
    if (egress_database_query(database, "look at the server",
                              "SELECT pg_catalog.pg_is_in_recovery()", NULL, 0, &result, err))
        return err->code;
    database->in_recovery = rc_str_eq(PQgetvalue(result, 0, 0), "t");
    PQclear(result);
    return RC_OK;
}

enum rc_code egress_database_open(struct rc_job *job, const struct egress_config *config,
                                  struct egress_database **out, struct rc_error *err)
{
    struct egress_database *database = rc_calloc(1, sizeof(*database));

    *out = NULL;
    database->job = job;
    database->config = config;
    if (egress_connect(database, err) || look(database, err)) {
        egress_database_close(&database);
        return err->code;
    }
    *out = database;
    return RC_OK;
}

void egress_database_close(struct egress_database **database)
{
    if (!*database)
        return;
    PQfinish((*database)->connection);
    free((*database)->place);
    free(*database);
    *database = NULL;
}
