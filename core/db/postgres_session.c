/*
 * Sessions on PostgreSQL: the statements and transactions of session.h. Rows are in
 * postgres_rows.c.
 */
#include <db/postgres.h>
#include <db/postgres_rows.h>
#include <db/statement.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Types of parameters, from the server's catalogue pg_type; 0 leaves it to the server. */
enum { INFERRED = 0, BOOL = 16, BYTEA = 17, INT8 = 20, FLOAT8 = 701 };

enum {
    PARAMETER_LIMIT = 65535, /* of the protocol */
    /* Well below what a statement may take; then one that holds the schema gives way to others. */
    LOCK_WAIT_MS = 4000,
    PLUGIN_LOCK_WAIT_MS = 10000,
    IDLE_MS = 10000, /* that a transaction of the core's may stand still */
    WAKE_MS = 2000,  /* for a server that lives to answer a connection that waited */
};

static struct core_postgres *postgres_of(struct core_session *session)
{
    return (struct core_postgres *)session;
}

static void clear_result(struct core_postgres *db, PGresult **result)
{
    db->pq->clear(*result);
    *result = NULL;
}

/* ---- parameters --------------------------------------------------------------------------- */

/* In the form that libpq wants them. Numbers are in the order of the network. */
struct parameters {
    size_t count;
    Oid *types;
    const char **values;
    int *lengths, *formats;
    uint64_t *words;
};

static void clear_parameters(struct parameters *parameters)
{
    free(parameters->types);
    free((void *)parameters->values);
    free(parameters->lengths);
    free(parameters->formats);
    free(parameters->words);
}

static uint64_t to_network(uint64_t word)
{
    unsigned char bytes[sizeof(word)];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(word >> (8 * (sizeof(bytes) - 1 - i)));
    memcpy(&word, bytes, sizeof(word));
    return word;
}

static void set_word(struct parameters *parameters, size_t i, Oid type, uint64_t word)
{
    parameters->words[i] = to_network(word);
    parameters->types[i] = type;
    parameters->values[i] = (const char *)&parameters->words[i];
    parameters->lengths[i] = sizeof(uint64_t);
    parameters->formats[i] = 1;
}

static enum rc_code set_parameter(struct parameters *parameters, size_t i,
                                  const struct rc_value *value, struct rc_error *err)
{
    uint64_t word;

    switch (value->type) {
    case RC_VALUE_NULL:
        break;
    case RC_VALUE_BOOL:
        parameters->types[i] = BOOL;
        parameters->values[i] = value->boolean ? "t" : "f";
        break;
    case RC_VALUE_INT:
        set_word(parameters, i, INT8, (uint64_t)value->integer);
        break;
    case RC_VALUE_FLOAT:
        memcpy(&word, &value->number, sizeof(word));
        set_word(parameters, i, FLOAT8, word);
        break;
    case RC_VALUE_TEXT:
        if (memchr(value->text, '\0', value->len))
            return rc_fail(err, RC_INVALID,
                           "parameter $%zu is a text with a NUL in it, which PostgreSQL cannot "
                           "keep; give it as bytes",
                           i + 1);
        parameters->values[i] = value->text;
        break;
    case RC_VALUE_BYTES:
        if (value->len > INT32_MAX)
            return rc_fail(err, RC_TOO_LARGE, "parameter $%zu has %zu bytes", i + 1, value->len);
        parameters->types[i] = BYTEA;
        parameters->values[i] = value->len > 0 ? value->text : "";
        parameters->lengths[i] = (int)value->len;
        parameters->formats[i] = 1;
        break;
    }
    return RC_OK;
}

static enum rc_code make_parameters(const char *statement, const struct rc_value *params,
                                    size_t count, struct parameters *out, struct rc_error *err)
{
    size_t highest = core_statement_parameters(statement);

    if (highest != count || count > PARAMETER_LIMIT)
        return rc_fail(err, RC_INVALID, "the statement has parameters up to $%zu, but %zu %s given",
                       highest, count, count == 1 ? "value was" : "values were");
    *out = (struct parameters){
        .count = count,
        .types = rc_calloc(count + 1, sizeof(*out->types)),
        .values = rc_calloc(count + 1, sizeof(*out->values)),
        .lengths = rc_calloc(count + 1, sizeof(*out->lengths)),
        .formats = rc_calloc(count + 1, sizeof(*out->formats)),
        .words = rc_calloc(count + 1, sizeof(*out->words)),
    };
    for (size_t i = 0; i < count; i++)
        if (set_parameter(out, i, &params[i], err))
            return err->code;
    return RC_OK;
}

/* ---- results ------------------------------------------------------------------------------ */

/* What is behind an error: nothing but the end. */
static void drain(struct core_postgres *db)
{
    struct rc_error ignored;
    PGresult *result;

    while (db->conn && core_postgres_result(db, &result, &ignored) == RC_OK && result)
        db->pq->clear(result);
}

static enum rc_code fail_result(struct core_postgres *db, PGresult *result, struct rc_error *err)
{
    /* The error may come of the cancellation; whatever it is, the run is to stop. */
    if (core_cancel_check(db->session.cancel, err) == RC_OK)
        (void)core_postgres_fail(db, result, err);
    clear_result(db, &result);
    drain(db);
    return err->code;
}

/*
 * What is behind the first result. The server reports a statement as done before it commits it, so
 * that outside of a transaction an error may follow; and several statements have several results.
 */
static enum rc_code finish(struct core_postgres *db, struct rc_error *err)
{
    PGresult *result;
    ExecStatusType status;

    for (;;) {
        if (core_postgres_result(db, &result, err))
            return err->code;
        if (!result)
            return RC_OK;
        status = db->pq->resultStatus(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
            return fail_result(db, result, err);
        clear_result(db, &result);
    }
}

/* The first result of what was sent; with 'sent' 0 it could not be. */
static enum rc_code first_result(struct core_postgres *db, int sent, PGresult **out,
                                 struct rc_error *err)
{
    *out = NULL;
    if (!sent)
        return core_postgres_fail(db, NULL, err);
    if (core_postgres_result(db, out, err))
        return err->code;
    if (!*out)
        return core_postgres_fail(db, NULL, err);
    switch (db->pq->resultStatus(*out)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
        return RC_OK;
    case PGRES_EMPTY_QUERY:
        clear_result(db, out);
        drain(db);
        return rc_fail(err, RC_INVALID, "the statement is empty");
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        clear_result(db, out);
        core_postgres_break(db);
        return rc_fail(err, RC_UNSUPPORTED, "COPY is not possible here");
    default:
        (void)fail_result(db, *out, err);
        *out = NULL;
        return err->code;
    }
}

/* Several statements of the core's, without parameters, in one message. */
static enum rc_code run(struct core_postgres *db, const char *statements, struct rc_error *err)
{
    PGresult *result;

    if (first_result(db, db->pq->sendQuery(db->conn, statements), &result, err))
        return err->code;
    clear_result(db, &result);
    return finish(db, err);
}

/* ---- prepared statements ------------------------------------------------------------------ */

/*
 * The core runs few statements often, so the server keeps them; they are told apart by their text
 * and their parameters' types, of which a NULL leaves one open. Without *kept it is to be sent as a
 * whole, as those of plugins are.
 */
static enum rc_code keep(struct core_postgres *db, const char *statement,
                         const struct parameters *parameters, char name[32], bool *kept,
                         struct rc_error *err)
{
    RC_BUF_AUTO(key, 1024 * 1024);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    size_t slot;
    PGresult *result;

    *kept = false;
    if (db->session.walled)
        return RC_OK;
    for (size_t i = 0; i < parameters->count; i++)
        rc_buf_addf(&key, "%u,", parameters->types[i]);
    rc_buf_adds(&key, statement);
    if (key.overflow)
        return RC_OK;
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
    slot = hash % CORE_POSTGRES_CACHE;
    while (db->prepared[slot] && !rc_str_eq(db->prepared[slot], key.data))
        slot = (slot + 1) % CORE_POSTGRES_CACHE;
    *kept = true;
    snprintf(name, 32, "run_core_%zu", slot);
    if (db->prepared[slot])
        return RC_OK;
    *kept = db->prepared_count < CORE_POSTGRES_CACHE * 3 / 4;
    if (!*kept)
        return RC_OK;
    if (first_result(db,
                     db->pq->sendPrepare(db->conn, name, statement, (int)parameters->count,
                                         parameters->types),
                     &result, err))
        return err->code;
    clear_result(db, &result);
    if (finish(db, err))
        return err->code;
    db->prepared[slot] = rc_buf_take(&key);
    db->prepared_count++;
    return RC_OK;
}

/* ---- statements --------------------------------------------------------------------------- */

/*
 * Makes sure that the connection stands and is free. The core's is made anew only on its wish, as
 * it has to be done without waiting; a plugin's here, but for one with private copies, and never
 * within a transaction, of which the first part would be missing.
 */
static enum rc_code prepare_connection(struct core_postgres *db, struct rc_error *err)
{
    if (db->state == CORE_POSTGRES_READY)
        return core_postgres_rows_gather(db, err);
    if (db->session.walled && !db->in_transaction && !db->has_copies)
        return core_postgres_connect(db, err);
    return rc_fail(err, RC_UNAVAILABLE, "state database %s: the connection was lost before%s",
                   db->session.place, db->in_transaction ? ", and the transaction with it" : "");
}

/* Sends a statement and waits for its first result. With 'stream' its rows come one by one. */
static enum rc_code send(struct core_postgres *db, const char *statement,
                         const struct rc_value *params, size_t count, bool stream, PGresult **out,
                         struct rc_error *err)
{
    RC_CLEANUP(clear_parameters) struct parameters list = { 0 };
    char name[32];
    bool kept;
    int sent;

    if (!db->session.own && core_statement_check(statement, err))
        return err->code;
    if (make_parameters(statement, params, count, &list, err) || prepare_connection(db, err) ||
        keep(db, statement, &list, name, &kept, err))
        return err->code;
    sent = kept ? db->pq->sendQueryPrepared(db->conn, name, (int)count, list.values, list.lengths,
                                            list.formats, /* resultFormat = */ 0)
                : db->pq->sendQueryParams(db->conn, statement, (int)count, list.types, list.values,
                                          list.lengths, list.formats, /* resultFormat = */ 0);
    if (sent && stream)
        (void)db->pq->setSingleRowMode(db->conn);
    return first_result(db, sent, out, err);
}

static enum rc_code postgres_exec(struct core_session *session, const char *statement,
                                  const struct rc_value *params, size_t count, int64_t *changed,
                                  struct rc_error *err)
{
    struct core_postgres *db = postgres_of(session);
    PGresult *result;
    int64_t number = 0;

    if (send(db, statement, params, count, /* stream = */ false, &result, err))
        return err->code;
    /* Of a SELECT it is the number of its rows. */
    if (db->pq->resultStatus(result) == PGRES_COMMAND_OK || !core_statement_is_read(statement))
        (void)rc_parse_int(db->pq->cmdTuples(result), &number);
    clear_result(db, &result);
    if (finish(db, err))
        return err->code;
    if (changed)
        *changed = number;
    return RC_OK;
}

/*
 * A server that was started again, or a wall between that has forgotten the connection, is noticed
 * by the first that is said. Where nothing can have been done by it, a plugin's session says it
 * again over another connection, which prepare_connection() makes.
 */
static bool is_said_again(const struct core_postgres *db, bool was_ready, enum rc_code code)
{
    struct rc_error ignored;

    return code == RC_UNAVAILABLE && was_ready && db->state != CORE_POSTGRES_READY &&
           db->session.walled && !db->in_transaction &&
           !core_cancel_check(db->session.cancel, &ignored);
}

static enum rc_code query(struct core_session *session, const char *statement,
                          const struct rc_value *params, size_t count, struct rc_rows **out,
                          struct rc_error *err)
{
    struct core_postgres *db = postgres_of(session);
    /* What changes something is done, with all its errors, before its first row is seen. */
    bool stream = session->walled && !session->own && core_statement_is_read(statement);
    PGresult *result;

    *out = NULL;
    if (send(db, statement, params, count, stream, &result, err))
        return err->code;
    if (!stream && finish(db, err)) {
        clear_result(db, &result);
        return err->code;
    }
    *out = core_postgres_rows_new(db, result, stream);
    return RC_OK;
}

static enum rc_code postgres_query(struct core_session *session, const char *statement,
                                   const struct rc_value *params, size_t count,
                                   struct rc_rows **out, struct rc_error *err)
{
    const struct core_postgres *db = postgres_of(session);
    bool was_ready = db->state == CORE_POSTGRES_READY;
    enum rc_code code = query(session, statement, params, count, out, err);

    if (core_statement_is_read(statement) && is_said_again(db, was_ready, code))
        code = query(session, statement, params, count, out, err);
    return code;
}

static enum rc_code postgres_is_read(struct core_session *session, const char *statement,
                                     bool *reads, struct rc_error *err)
{
    struct core_postgres *db = postgres_of(session);
    PGresult *result;

    if (core_statement_check(statement, err) || prepare_connection(db, err) ||
        first_result(db, db->pq->sendPrepare(db->conn, "", statement, 0, NULL), &result, err))
        return err->code;
    clear_result(db, &result);
    if (finish(db, err))
        return err->code;
    *reads = core_statement_is_read(statement);
    return RC_OK;
}

/* Migrations may take longer than other statements of the core's. */
static enum rc_code postgres_run_script(struct core_session *session, const char *sql,
                                        struct rc_error *err)
{
    struct core_postgres *db = postgres_of(session);
    int64_t limit_ms = db->limit_ms;
    enum rc_code code;
    const char *start;
    size_t len;

    db->limit_ms = 0;
    code = run(db, "SET LOCAL statement_timeout = 0", err);
    while (!code && core_statement_next(&sql, &start, &len)) {
        RC_STR_AUTO statement = rc_strndup(start, len);
        PGresult *result;

        if (!session->own)
            code = core_statement_check(statement, err);
        if (!code)
            code = first_result(
                db, db->pq->sendQueryParams(db->conn, statement, 0, NULL, NULL, NULL, NULL, 0),
                &result, err);
        if (!code) {
            clear_result(db, &result);
            code = finish(db, err);
        }
    }
    db->limit_ms = limit_ms;
    return code;
}

static enum rc_code postgres_now_unix_ms(struct core_session *session, int64_t *out,
                                         struct rc_error *err)
{
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (postgres_query(session,
                       "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)",
                       NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    *out = row[0].integer;
    return RC_OK;
}

/* ---- transactions ------------------------------------------------------------------------- */

/* FNV-1a of the schema's name: the key of the lock that all who write there take. */
static int64_t lock_key(const struct core_postgres *db)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *at = db->schema; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    return (int64_t)hash;
}

/*
 * One advisory lock for the schema makes transactions that write follow each other, as SQLite's
 * do: what one reads before it decides is not changed under it, and none is rolled back for having
 * met another. It ends with the transaction, also that of a client which is no more; of one whose
 * machine or network is gone the server finds out by the limits that are set here, which are of
 * the transaction too. All of it is one message, and one answer.
 */
static void add_begin(const struct core_postgres *db, struct rc_buf *out)
{
    if (db->rehearsal) {
        rc_buf_adds(out, db->session.own ? "BEGIN READ WRITE" : "BEGIN READ ONLY");
        return;
    }
    rc_buf_adds(out, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;");
    if (db->session.walled)
        rc_buf_addf(out,
                    "SET LOCAL tcp_keepalives_idle = 15; SET LOCAL tcp_keepalives_interval = 5;"
                    "SET LOCAL tcp_keepalives_count = 3; SET LOCAL lock_timeout = %d;",
                    PLUGIN_LOCK_WAIT_MS);
    else
        rc_buf_addf(out,
                    "SET LOCAL idle_in_transaction_session_timeout = %d;"
                    "SET LOCAL lock_timeout = %d;",
                    IDLE_MS, LOCK_WAIT_MS);
    rc_buf_addf(out, "SELECT pg_advisory_xact_lock(%" PRId64 ");", lock_key(db));
    if (db->session.walled)
        rc_buf_adds(out, "SET LOCAL lock_timeout TO DEFAULT");
}

static bool postgres_in_transaction(const struct core_session *session)
{
    return ((const struct core_postgres *)session)->in_transaction;
}

static enum rc_code begin(struct core_postgres *db, struct rc_error *err)
{
    RC_BUF_AUTO(statements, 4096);
    struct rc_error ignored;

    add_begin(db, &statements);
    if (prepare_connection(db, err))
        return err->code;
    if (run(db, statements.data, err)) {
        if (db->conn && run(db, "ROLLBACK", &ignored))
            core_postgres_break(db);
        return err->code;
    }
    return RC_OK;
}

static enum rc_code postgres_begin(struct core_session *session, struct rc_error *err)
{
    struct core_postgres *db = postgres_of(session);
    bool was_ready = db->state == CORE_POSTGRES_READY;
    enum rc_code code = begin(db, err);

    if (is_said_again(db, was_ready, code))
        code = begin(db, err);
    db->in_transaction = code == RC_OK;
    return code;
}

static void postgres_rollback(struct core_session *session)
{
    struct core_postgres *db = postgres_of(session);
    struct rc_error ignored;

    if (!db->in_transaction)
        return;
    db->in_transaction = false;
    if (db->state == CORE_POSTGRES_READY &&
        (core_postgres_rows_gather(db, &ignored) || run(db, "ROLLBACK", &ignored)))
        core_postgres_break(db); /* which ends it as well */
}

static enum rc_code postgres_commit(struct core_session *session, struct rc_error *err)
{
    struct core_postgres *db = postgres_of(session);
    enum rc_code code = prepare_connection(db, err);

    if (!code && db->pq->transactionStatus(db->conn) != PQTRANS_INTRANS)
        code = rc_fail(err, RC_INVALID, "no transaction is open; an error before has ended it");
    if (!code)
        code = run(db, "COMMIT", err);
    if (code)
        postgres_rollback(session);
    db->in_transaction = false;
    return code;
}

/* ---- the connection ----------------------------------------------------------------------- */

static enum rc_code postgres_recover(struct core_session *session, bool *ready,
                                     struct rc_error *err)
{
    struct core_postgres *db = postgres_of(session);

    if (db->state != CORE_POSTGRES_READY)
        db->in_transaction = false; /* ended with its connection */
    return core_postgres_advance(db, ready, err);
}

static bool postgres_rest(struct core_session *session)
{
    const struct core_postgres *db = postgres_of(session);

    return db->references == 1 && db->state == CORE_POSTGRES_READY && !db->in_transaction &&
           !db->rehearsal && db->pq->transactionStatus(db->conn) == PQTRANS_IDLE;
}

/*
 * Settings, locks, temporary tables and the like are a connection's, and a plugin's functions may
 * have left some. The answer tells as well that the server has not gone away meanwhile.
 */
static enum rc_code postgres_wake(struct core_session *session, struct rc_error *err)
{
    struct core_postgres *db = postgres_of(session);
    int64_t limit_ms = db->limit_ms;
    enum rc_code code;

    db->limit_ms = WAKE_MS;
    code = run(db, "DISCARD ALL", err);
    db->limit_ms = limit_ms;
    return code;
}

static void postgres_forget(struct core_session *session)
{
    core_postgres_forget(postgres_of(session));
}

static void postgres_close(struct core_session *session)
{
    struct core_postgres *db = postgres_of(session);

    postgres_rollback(session);
    core_postgres_release(db);
}

const struct core_session_ops core_postgres_session_ops = {
    .name = "PostgreSQL",
    .shared = true,
    .exec = postgres_exec,
    .query = postgres_query,
    .begin = postgres_begin,
    .commit = postgres_commit,
    .rollback = postgres_rollback,
    .in_transaction = postgres_in_transaction,
    .now_unix_ms = postgres_now_unix_ms,
    .is_read = postgres_is_read,
    .contents = "SELECT count(*), count(*) FILTER (WHERE relname = 'run_core_schema') "
                "FROM pg_class WHERE relnamespace = "
                "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())",
    .make_schema = core_postgres_make_schema,
    .run_script = postgres_run_script,
    .recover = postgres_recover,
    .rest = postgres_rest,
    .wake = postgres_wake,
    .forget = postgres_forget,
    .close = postgres_close,
};
