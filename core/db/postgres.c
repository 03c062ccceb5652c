/*
 * Connections to PostgreSQL: how they are made and lost, and the waits for what they bring. Knows
 * nothing of statements.
 */
#include <db/postgres.h>

#include <db/internal.h>
#include <os/clock.h>
#include <run-core/buf.h>
#include <run-core/str.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONNECT_MS = 5000, /* for each host */
    CANCEL_MS = 5000,  /* for the server to end what was cancelled */
    SLICE_MS = 100,    /* between two looks at the cancellation */
    TEXT_LIMIT = 64 * 1024,
};

/* Nothing here is worth a line on stderr: "relation exists, skipping" and the like. */
static void ignore_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

/* ---- the URL ------------------------------------------------------------------------------ */

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword; options++)
        if (rc_str_eq(options->keyword, keyword))
            return options->val && options->val[0] ? options->val : NULL;
    return NULL;
}

/* For messages: without user and password. */
static char *describe(const PQconninfoOption *options, const char *schema)
{
    const char *host = value_of(options, "host");
    const char *port = value_of(options, "port");
    const char *name = value_of(options, "dbname");

    return rc_strf("'postgresql://%s%s%s/%s'%s%s%s", host ? host : "", port ? ":" : "",
                   port ? port : "", name ? name : "", schema[0] ? " (schema " : "", schema,
                   schema[0] ? ")" : "");
}

static int64_t connect_limit_ms(const PQconninfoOption *options)
{
    const char *timeout = value_of(options, "connect_timeout");
    const char *hosts = value_of(options, "host");
    int64_t limit_s = 0, count = 1;

    for (; hosts && (hosts = strchr(hosts, ',')) != NULL; hosts++)
        count++;
    if (timeout && rc_parse_int(timeout, &limit_s) && limit_s > 0 && limit_s < 3600)
        return limit_s * 1000 * count;
    return CONNECT_MS * count;
}

/* What stands between two commas. Nothing is the default. 0: no port. -1: not even a number. */
static int64_t port_of(const char *port, size_t len)
{
    RC_STR_AUTO text = rc_strndup(port, len);
    int64_t number = 1;
    bool is_number = len == 0 || rc_parse_int(text, &number);

    return !is_number ? -1 : number > 0 && number <= UINT16_MAX ? number : 0;
}

/* The least that port_of() finds. */
static int64_t least_port(const PQconninfoOption *options)
{
    const char *port = value_of(options, "port");
    int64_t least = INT64_MAX;

    while (port) {
        size_t len = strcspn(port, ",");
        int64_t number = port_of(port, len);

        least = number < least ? number : least;
        port = port[len] ? port + len + 1 : NULL;
    }
    return least;
}

/*
 * A password with a '/' or '@' in it that was not encoded ends too early for libpq: the rest
 * becomes a part of the host or the database, and of messages. Without what should stand before
 * the '@' it is the port.
 */
static bool is_cut_wrongly(const PQconninfoOption *options)
{
    static const char *const keywords[] = { "host", "port", "dbname" };

    for (size_t i = 0; i < RC_ARRAY_LEN(keywords); i++) {
        const char *value = value_of(options, keywords[i]);

        if (value && strchr(value, '@'))
            return true;
    }
    return least_port(options) < 0;
}

/*
 * Reads what is needed here; libpq reads the rest by itself. Its own text about a mistake quotes
 * the URL, and the password in it.
 */
static enum rc_code read_url(struct core_postgres *db, struct rc_error *err)
{
    char *message = NULL;
    PQconninfoOption *options = db->pq->conninfoParse(db->url, &message);
    bool wrong = !options || is_cut_wrongly(options);
    bool no_port = !wrong && least_port(options) == 0;

    if (!wrong) {
        db->session.place = describe(options, db->schema);
        db->connect_limit_ms = connect_limit_ms(options);
        db->options = rc_strdup(value_of(options, "options"));
    }
    db->pq->freemem(message);
    db->pq->conninfoFree(options);
    if (wrong)
        return rc_fail(err, RC_INVALID,
                       "the URL of the state is no valid one of PostgreSQL; write "
                       "postgresql://user:password@host:port/database?option=value, with '%%' and "
                       "two digits for each special character of the password (%%40 for @)");
    if (no_port)
        return rc_fail(err, RC_INVALID, "state database %s: invalid port number; a port is 1 to %d",
                       db->session.place, UINT16_MAX);
    return RC_OK;
}

/*
 * Lets libpq look at the values of the options, which it does only as it begins to connect. It does
 * not come to that: what stands behind "dbname" counts, whatever the URL says, and the address
 * there is none. So nobody is asked, not even for the address of a name.
 */
static enum rc_code check_values(const struct core_postgres *db, struct rc_error *err)
{
    static const char *const keywords[] = {
        "dbname", "host", "hostaddr", "port", "password", NULL
    };
    const char *const values[] = { db->url, "nobody", "?", "1", "none", NULL };
    PGconn *conn = db->pq->connectStartParams(keywords, values, /* expand_dbname = */ 1);
    RC_STR_AUTO message = NULL;
    const char *advice;

    if (!conn)
        rc_out_of_memory(0);
    message = rc_strdup(db->pq->errorMessage(conn));
    db->pq->finish(conn);
    message[strcspn(message, "\n")] = '\0';
    if (strstr(message, "network address \"?\"") ||
        core_postgres_judge(message, &advice) != RC_INVALID)
        return RC_OK;
    return rc_fail(err, RC_INVALID, "state database %s: %s", db->session.place, message);
}

/* ---- connecting --------------------------------------------------------------------------- */

/*
 * What stands before "dbname" gives way to the URL, what stands behind does not. The settings go
 * with the first message, so that they are there from the start and again after every reconnection.
 */
static PGconn *start(const struct core_postgres *db)
{
    RC_BUF_AUTO(options, TEXT_LIMIT);
    const char *const keywords[] = {
        "connect_timeout",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "gssencmode",           /* looks for Kerberos, and may wait for it */
        "target_session_attrs", /* of several hosts, not a standby */
        "fallback_application_name",
        "dbname",
        "client_encoding",
        "options",
        NULL,
    };

    rc_buf_addf(&options,
                "%s -c search_path=\"%s\" -c standard_conforming_strings=on "
                "-c bytea_output=hex%s",
                db->options ? db->options : "", db->schema,
                db->rehearsal ? " -c default_transaction_read_only=on" : "");
    /* The server gives up sooner than this side, which could not tell then what became of it. */
    if (db->limit_ms > 0)
        rc_buf_addf(&options, " -c statement_timeout=%d", (int)(db->limit_ms * 9 / 10));
    const char *const values[] = {
        "5",       "10",       "5",     "3",    "5000",       "disable",
        "primary", "run-core", db->url, "UTF8", options.data, NULL,
    };
    return db->pq->connectStartParams(keywords, values, /* expand_dbname = */ 1);
}

static enum rc_code begin_connecting(struct core_postgres *db, struct rc_error *err)
{
    db->conn = start(db);
    if (!db->conn)
        rc_out_of_memory(0);
    (void)db->pq->setErrorVerbosity(db->conn, PQERRORS_VERBOSE);
    (void)db->pq->setNoticeProcessor(db->conn, ignore_notice, NULL);
    db->state = CORE_POSTGRES_CONNECTING;
    db->wanted = PGRES_POLLING_WRITING;
    db->deadline_ms = core_clock_mono_ms() + db->connect_limit_ms;
    if (db->pq->status(db->conn) != CONNECTION_BAD)
        return RC_OK;
    (void)core_postgres_fail_connect(db, err);
    core_postgres_break(db);
    return err->code;
}

/* Whether the socket is ready for what libpq waits for. */
static bool is_ready(const struct core_postgres *db, int wait_ms)
{
    struct pollfd fd = {
        .fd = db->pq->socket(db->conn),
        .events = db->wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT,
    };

    return poll(&fd, 1, wait_ms) > 0;
}

/* Goes on as far as that is possible while waiting for at most 'wait_ms'. */
static enum rc_code advance(struct core_postgres *db, int wait_ms, bool *ready,
                            struct rc_error *err)
{
    *ready = db->state == CORE_POSTGRES_READY;
    if (*ready)
        return RC_OK;
    if (db->state == CORE_POSTGRES_BROKEN && begin_connecting(db, err))
        return err->code;
    while (is_ready(db, wait_ms)) {
        db->wanted = db->pq->connectPoll(db->conn);
        if (db->wanted == PGRES_POLLING_FAILED) {
            (void)core_postgres_fail_connect(db, err);
            core_postgres_break(db);
            return err->code;
        }
        if (db->wanted == PGRES_POLLING_OK) {
            (void)db->pq->setnonblocking(db->conn, 1);
            db->state = CORE_POSTGRES_READY;
            *ready = true;
            return RC_OK;
        }
    }
    if (core_clock_mono_ms() < db->deadline_ms)
        return RC_OK;
    core_postgres_break(db);
    return rc_fail(err, RC_UNAVAILABLE, "state database %s: the server did not answer within %d s",
                   db->session.place, (int)(db->connect_limit_ms / 1000));
}

enum rc_code core_postgres_advance(struct core_postgres *db, bool *ready, struct rc_error *err)
{
    return advance(db, 0, ready, err);
}

enum rc_code core_postgres_connect(struct core_postgres *db, struct rc_error *err)
{
    bool ready = false;

    while (!ready)
        if (core_cancel_check(db->session.cancel, err) || advance(db, SLICE_MS, &ready, err))
            return err->code;
    return RC_OK;
}

/* ---- the end ------------------------------------------------------------------------------ */

static void forget_prepared(struct core_postgres *db)
{
    for (size_t i = 0; i < CORE_POSTGRES_CACHE; i++) {
        free(db->prepared[i]);
        db->prepared[i] = NULL;
    }
    db->prepared_count = 0;
}

void core_postgres_break(struct core_postgres *db)
{
    if (db->conn)
        db->pq->finish(db->conn);
    db->conn = NULL;
    db->state = CORE_POSTGRES_BROKEN;
    db->open = NULL;
    forget_prepared(db);
}

/*
 * libpq says farewell to the server when it frees a connection. So that this reaches nobody, its
 * descriptor is made another one first.
 */
void core_postgres_forget(struct core_postgres *db)
{
    int socket = db->conn ? db->pq->socket(db->conn) : -1;
    int nowhere = socket >= 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

    if (nowhere >= 0) {
        (void)dup3(nowhere, socket, O_CLOEXEC);
        (void)close(nowhere);
        core_postgres_break(db);
    } else if (socket >= 0) {
        (void)close(socket);
        db->conn = NULL; /* its memory is the price of not being able to open /dev/null */
    }
    core_postgres_release(db);
}

void core_postgres_release(struct core_postgres *db)
{
    if (--db->references > 0)
        return;
    core_postgres_break(db);
    free(db->url);
    free(db->schema);
    free(db->options);
    free(db->session.place);
    free(db);
}

static enum rc_code make(const char *url, const char *schema, struct core_postgres **out,
                         struct rc_error *err)
{
    const struct core_libpq *library;
    struct core_postgres *db;

    *out = NULL;
    if (core_libpq_load(&library, err))
        return err->code;
    db = rc_malloc(sizeof(*db));
    *db = (struct core_postgres){
        .session = { .ops = &core_postgres_session_ops, .own = true },
        .pq = library,
        .url = rc_strdup(url),
        .schema = rc_strdup(schema),
        .references = 1,
    };
    if (read_url(db, err)) {
        core_postgres_release(db);
        return err->code;
    }
    *out = db;
    return RC_OK;
}

enum rc_code core_postgres_check(const char *url, struct rc_error *err)
{
    struct core_postgres *db;

    enum rc_code code;

    if (make(url, "", &db, err))
        return err->code;
    code = check_values(db, err);
    core_postgres_release(db);
    return code;
}

enum rc_code core_postgres_open(const char *url, const char *schema, int64_t limit_ms,
                                bool rehearsal, const struct core_cancel *cancel,
                                struct core_postgres **out, struct rc_error *err)
{
    struct core_postgres *db;

    *out = NULL;
    if (make(url, schema, &db, err))
        return err->code;
    db->session.cancel = cancel;
    db->limit_ms = limit_ms;
    db->rehearsal = rehearsal;
    if (core_postgres_connect(db, err)) {
        core_postgres_release(db);
        return err->code;
    }
    *out = db;
    return RC_OK;
}

/* ---- waiting ------------------------------------------------------------------------------ */

/* A request to cancel, of whom the last one to leave frees it. */
struct asking {
    const struct core_libpq *pq;
    PGcancel *cancel;
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    bool is_answered, is_left;
};

static void free_asking(struct asking *asking)
{
    asking->pq->freeCancel(asking->cancel);
    (void)pthread_cond_destroy(&asking->answered);
    (void)pthread_mutex_destroy(&asking->mutex);
    free(asking);
}

static void *ask(void *context)
{
    struct asking *asking = context;
    char reason[256]; /* why that failed; the wait for the result ends all the same */
    bool is_left;

    (void)asking->pq->cancel(asking->cancel, reason, sizeof(reason));
    (void)pthread_mutex_lock(&asking->mutex);
    asking->is_answered = true;
    is_left = asking->is_left;
    (void)pthread_cond_signal(&asking->answered);
    (void)pthread_mutex_unlock(&asking->mutex);
    if (is_left)
        free_asking(asking);
    return NULL;
}

static bool wait_for_answer(struct asking *asking)
{
    struct timespec end = core_db_after_ms(CANCEL_MS);
    int error = 0;
    bool is_answered;

    (void)pthread_mutex_lock(&asking->mutex);
    while (!asking->is_answered && error == 0)
        error = pthread_cond_timedwait(&asking->answered, &asking->mutex, &end);
    is_answered = asking->is_answered;
    asking->is_left = !is_answered;
    (void)pthread_mutex_unlock(&asking->mutex);
    return is_answered;
}

/*
 * libpq waits for the answer without any limit, and so for ever where the network or the server
 * hangs. Hence the thread, which is left to itself then.
 */
bool core_postgres_ask_to_cancel(struct core_postgres *db)
{
    struct asking *asking = rc_calloc(1, sizeof(*asking));
    pthread_t thread;
    bool is_answered = false;

    asking->pq = db->pq;
    asking->cancel = db->pq->getCancel(db->conn);
    RC_ASSERT(pthread_mutex_init(&asking->mutex, NULL) == 0);
    core_db_init_condition(&asking->answered);
    if (!core_db_start_thread(&thread, ask, asking)) {
        free_asking(asking);
        return false;
    }
    is_answered = wait_for_answer(asking);
    if (is_answered) {
        (void)pthread_join(thread, NULL);
        free_asking(asking);
    } else {
        (void)pthread_detach(thread);
    }
    return is_answered;
}

static enum rc_code give_up(struct core_postgres *db, struct rc_error *err)
{
    core_postgres_break(db);
    return rc_fail(err, RC_UNAVAILABLE,
                   "state database %s: the server did not answer within %d s; whether the last "
                   "statement took effect is not known",
                   db->session.place, (int)((db->limit_ms > 0 ? db->limit_ms : CANCEL_MS) / 1000));
}

/* Sends what is left to be sent and reads what has come. True: there is a result. */
static bool has_result(struct core_postgres *db, int wait_ms)
{
    int flushed = db->pq->flush(db->conn);
    struct pollfd fd = {
        .fd = db->pq->socket(db->conn),
        .events = (short)(POLLIN | (flushed == 1 ? POLLOUT : 0)),
    };

    if (flushed < 0 || (flushed == 0 && !db->pq->isBusy(db->conn)))
        return true;
    if (poll(&fd, 1, wait_ms) <= 0)
        return false;
    /* A lost connection is a result too. */
    return db->pq->consumeInput(db->conn) == 0 || (flushed == 0 && !db->pq->isBusy(db->conn));
}

enum rc_code core_postgres_result(struct core_postgres *db, PGresult **out, struct rc_error *err)
{
    int64_t start_ms = core_clock_mono_ms();
    int64_t limit_ms = db->limit_ms;
    bool cancelling = false;

    *out = NULL;
    while (!has_result(db, SLICE_MS)) {
        if (!cancelling && core_cancel_code(db->session.cancel)) {
            if (!core_postgres_ask_to_cancel(db))
                return give_up(db, err);
            cancelling = true;
            start_ms = core_clock_mono_ms();
            limit_ms = CANCEL_MS;
        }
        if (limit_ms > 0 && core_clock_mono_ms() - start_ms >= limit_ms)
            return give_up(db, err);
    }
    *out = db->pq->getResult(db->conn);
    return RC_OK;
}
