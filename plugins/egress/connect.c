/*
 * How the connection to PostgreSQL is made: what the configuration says in libpq's words, one
 * attempt after the other, and what a refusal means. Runs no statement.
 */
#include "connect.h"
#include "clock.h"

#include <run-core/log.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SLICE_MS = 100, /* between two looks whether the run is to stop */
    FIRST_PAUSE_MS = 250,
    LONGEST_PAUSE_MS = 10000,
    KERNEL_MS = 500,  /* that it may be late in giving up an address */
    PARAM_LIMIT = 96, /* libpq 15 knows 46, and a few are set twice */
    SHORTEST_SECRET = 4,
    NUMBER_TEXT = 24,
};

/* What libpq is told. Of a keyword that is there twice the later value counts. */
struct params {
    const char *keywords[PARAM_LIMIT + 1];
    const char *values[PARAM_LIMIT + 1];
    size_t count;
    PQconninfoOption *database; /* of the option 'database'; NULL: it is not set */
    char port[NUMBER_TEXT], limit[NUMBER_TEXT];
    int64_t timeout_ms; /* for each address */
    bool is_guess;      /* nothing says which host */
};

/* ---- what libpq is told ------------------------------------------------------------------- */

static bool is_set(const char *text)
{
    return text && text[0];
}

static void add(struct params *params, const char *keyword, const char *value)
{
    if (!is_set(value))
        return;
    RC_ASSERT(params->count < PARAM_LIMIT);
    params->keywords[params->count] = keyword;
    params->values[params->count++] = value;
}

/* As 'database' has it; NULL: it does not say. */
static const char *value_of(const struct params *params, const char *keyword)
{
    for (const PQconninfoOption *option = params->database; option && option->keyword; option++)
        if (rc_str_eq(option->keyword, keyword))
            return is_set(option->val) ? option->val : NULL;
    return NULL;
}

/*
 * In a URL, a password with a '/' or '@' in it that was not encoded ends too early for libpq: the
 * rest becomes a part of the host or the database, and of messages.
 */
static bool is_cut_wrongly(const struct params *params, const char *text)
{
    static const char *const keywords[] = { "host", "port", "dbname" };

    if (!rc_str_starts(text, "postgresql://") && !rc_str_starts(text, "postgres://"))
        return false;
    for (size_t i = 0; i < RC_ARRAY_LEN(keywords); i++) {
        const char *value = value_of(params, keywords[i]);

        if (value && strchr(value, '@'))
            return true;
    }
    return false;
}

/* libpq's own text about a mistake quotes what it read, and so perhaps the password. */
static enum rc_code read_database(struct params *params, const char *text, struct rc_error *err)
{
    char *message = NULL;

    if (!is_set(text))
        return RC_OK;
    params->database = PQconninfoParse(text, &message);
    PQfreemem(message);
    if (params->database && !is_cut_wrongly(params, text))
        return RC_OK;
    return rc_fail(
        err, RC_INVALID,
        "'database' is no connection string of PostgreSQL; write "
        "postgresql://user:password@host:port/name?option=value, with '%%' and two digits "
        "for each special character of the password (%%40 for @), or "
        "'host=... dbname=...', with quotes around values that have blanks");
}

/* Other programs take a connection string for the name, too; here it would stand in messages. */
static enum rc_code check_name(const char *name, struct rc_error *err)
{
    if (!name || (!rc_str_starts(name, "postgresql://") && !rc_str_starts(name, "postgres://") &&
                  !strstr(name, "password=")))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "'dbname' is a connection string, not the name of a database; it belongs into "
                   "'database'");
}

/*
 * What 'database' leaves open. A service, which is a section of a file that libpq reads, may say
 * where the server is; the port is left to it, since that of the configuration is never empty.
 */
static void add_config(struct params *params, const struct egress_config *config)
{
    bool has_service = value_of(params, "service") || is_set(getenv("PGSERVICE"));
    bool has_host =
        value_of(params, "host") || value_of(params, "hostaddr") || value_of(params, "service");

    if (!has_host) {
        params->is_guess = !is_set(config->host) && !is_set(getenv("PGHOST")) &&
                           !is_set(getenv("PGHOSTADDR")) && !has_service;
        add(params, "host", params->is_guess ? "postgresql" : config->host);
    }
    if (config->port > 0 && !has_service) {
        (void)snprintf(params->port, sizeof(params->port), "%d", (int)config->port);
        add(params, "port", params->port);
    }
    add(params, "user", config->user);
    add(params, "password", config->password);
    add(params, "dbname", config->dbname);
}

/*
 * With tcp_user_timeout the kernel gives up an address that does not answer, whereupon libpq goes
 * on to the next one by itself, as it does where it may block; keepalives find a server that is
 * gone while nothing is sent.
 */
static enum rc_code collect(struct params *params, const struct egress_config *config,
                            struct rc_error *err)
{
    int64_t timeout_s;

    if (read_database(params, config->database, err) ||
        check_name(value_of(params, "dbname"), err) || check_name(config->dbname, err))
        return err->code;
    params->timeout_ms = config->connect_timeout_ms;
    if (value_of(params, "connect_timeout") &&
        rc_parse_int(value_of(params, "connect_timeout"), &timeout_s) && timeout_s > 0 &&
        timeout_s < 3600)
        params->timeout_ms = timeout_s * 1000;
    (void)snprintf(params->limit, sizeof(params->limit), "%d", (int)params->timeout_ms);

    add(params, "fallback_application_name", "run-core egress");
    add(params, "keepalives_idle", "30");
    add(params, "keepalives_interval", "10");
    add(params, "keepalives_count", "3");
    add(params, "tcp_user_timeout", params->limit);
    add_config(params, config);
    for (const PQconninfoOption *option = params->database; option && option->keyword; option++)
        add(params, option->keyword, option->val);
    add(params, "client_encoding", "UTF8");
    params->keywords[params->count] = params->values[params->count] = NULL;
    return RC_OK;
}

/* ---- messages ----------------------------------------------------------------------------- */

void egress_add_line(struct rc_buf *out, const char *text)
{
    bool blank = false;

    for (; *text; text++) {
        if ((unsigned char)*text <= ' ') {
            blank = out->len > 0;
            continue;
        }
        if (blank)
            rc_buf_addc(out, ' ');
        blank = false;
        rc_buf_addc(out, *text);
    }
}

/* The first that a SQLSTATE begins with counts. See the manual, appendix A. */
static const struct {
    const char *state;
    enum rc_code code;
} codes[] = {
    { "08", RC_UNAVAILABLE },    /* connection */
    { "25P03", RC_UNAVAILABLE }, /* idle in a transaction for too long */
    { "25P04", RC_TIMEOUT },     /* transaction_timeout */
    { "28", RC_DENIED },         /* authorization */
    { "3D", RC_NOT_FOUND },      /* no such database */
    { "3F", RC_NOT_FOUND },      /* no such schema */
    { "40", RC_UNAVAILABLE },    /* a conflict with recovery; to a reader nothing else gives it */
    { "42501", RC_DENIED },      /* privilege */
    { "42P01", RC_NOT_FOUND },   /* table */
    { "42703", RC_CONFLICT },    /* column: of a table that was altered since it was looked up */
    { "42704", RC_NOT_FOUND },   /* other things */
    { "42883", RC_NOT_FOUND },   /* function */
    { "53", RC_UNAVAILABLE },    /* memory, disk, connections */
    { "55P03", RC_TIMEOUT },     /* lock_timeout */
    { "57014", RC_TIMEOUT },     /* statement_timeout; egress_database_fail() looks closer */
    { "57", RC_UNAVAILABLE },    /* shutdown, start */
    { "58", RC_UNAVAILABLE },    /* system */
    { "72", RC_CONFLICT },       /* the snapshot is too old (before version 17) */
    { "XX001", RC_CORRUPT },     /* a page of a table */
    { "XX002", RC_CORRUPT },     /* an index */
};

enum rc_code egress_code_of(const char *state)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++)
        if (rc_str_starts(state, codes[i].state))
            return codes[i].code;
    return RC_FAILED;
}

/* "database 'app' at db.example:5432 as role 'reader'", of the address that is being tried. */
static void set_place(struct egress_database *database)
{
    const char *host = PQhost(database->connection), *port = PQport(database->connection);
    const char *name = PQdb(database->connection), *user = PQuser(database->connection);
    bool is_bare = !host || !strchr(host, ':');

    free(database->place);
    database->place = rc_strf("database '%s' at %s%s%s:%s as role '%s'", name ? name : "",
                              is_bare ? "" : "[", host ? host : "", is_bare ? "" : "]",
                              is_set(port) ? port : "5432", user ? user : "");
}

/*
 * "FATAL:  28P01: password ..." of each host that was tried: with the verbosity that is asked for,
 * the state stands there. The last one it is that ended the attempt.
 */
static const char *find_state(const char *message)
{
    enum { STATE_LEN = 5 };
    const char *found = NULL;

    for (const char *at = message; (at = strstr(at, ":  ")) != NULL; at++) {
        size_t len = strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

        if (len == STATE_LEN && at[3 + len] == ':')
            found = at + 3;
    }
    return found;
}

/* Without a password that there might be in it, and without the places in the server's source. */
static void add_message(const struct egress_database *database, struct rc_buf *out)
{
    RC_STR_AUTO text = rc_strdup(PQerrorMessage(database->connection));
    const char *password = PQpass(database->connection);
    size_t len = password ? strlen(password) : 0;
    char *location, *at = text;

    while ((location = strstr(text, "\nLOCATION:")) != NULL) {
        char *end = strchr(location + 1, '\n');

        memmove(location, end ? end : "", end ? strlen(end) + 1 : 1);
    }
    for (; len >= SHORTEST_SECRET && (at = strstr(at, password)) != NULL; at += len)
        memset(at, '*', len);
    egress_add_line(out, text);
}

/*
 * The code of a failed attempt about which the server said nothing. What libpq refuses by itself
 * has none but its words, which are English in a process that has set no locale.
 */
static enum rc_code code_of_words(const struct egress_database *database, const char *text,
                                  bool has_begun)
{
    static const char *const wrong[] = { "certificate", "SSL was required",
                                         "server does not support SSL" };

    if (PQconnectionNeedsPassword(database->connection))
        return RC_DENIED;
    if (!has_begun && !rc_str_starts(text, "connection to server") &&
        !rc_str_starts(text, "could not"))
        return RC_INVALID;
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++)
        if (strstr(text, wrong[i]))
            return RC_INVALID;
    return RC_UNAVAILABLE;
}

static enum rc_code fail(struct egress_database *database, const struct params *params,
                         bool has_begun, struct rc_error *err)
{
    RC_BUF_AUTO(text, RC_ERROR_TEXT);
    const char *state = find_state(PQerrorMessage(database->connection));
    const char *advice = "";
    enum rc_code code;

    add_message(database, &text);
    code = state ? egress_code_of(state) : code_of_words(database, text.data, has_begun);
    if (code == RC_DENIED)
        advice =
            "; look at the role and its password ('user' and 'password', PGUSER and PGPASSWORD)";
    else if (code == RC_NOT_FOUND)
        advice = "; look at the name of the database ('dbname', PGDATABASE)";
    else if (code == RC_UNAVAILABLE && params->is_guess)
        advice = "; nothing says which host: set 'host', PGHOST or 'database'";
    set_place(database);
    return rc_fail(err, code, "%s%s", text.data, advice);
}

/* ---- one attempt -------------------------------------------------------------------------- */

/* What comes unasked: notices, and when nothing runs, that the server ends the connection. */
static void hear_notice(void *context, const PGresult *notice)
{
    struct egress_database *database = context;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    RC_BUF_AUTO(text, RC_ERROR_TEXT);

    if (rc_str_eq(severity, "FATAL") || rc_str_eq(severity, "PANIC"))
        database->is_dismissed = true;
    egress_add_line(&text, PQresultErrorMessage(notice));
    rc_debug(database->job, "PostgreSQL: %s", text.data);
}

/* The time begins anew with each address that libpq tries. True: this one has had its time. */
static bool is_late(struct egress_database *database, int64_t limit_ms, char address[], size_t size,
                    int64_t *since_ms)
{
    char now[256];

    (void)snprintf(now, sizeof(now), "%s %s %s", PQhost(database->connection),
                   PQhostaddr(database->connection), PQport(database->connection));
    if (strcmp(now, address) != 0) {
        (void)snprintf(address, size, "%s", now);
        *since_ms = egress_mono_ms();
    }
    return egress_mono_ms() - *since_ms > limit_ms + KERNEL_MS;
}

static enum rc_code go_on(struct egress_database *database, const struct params *params,
                          struct rc_error *err)
{
    PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
    char address[256] = "";
    int64_t since_ms = egress_mono_ms();

    for (;;) {
        struct pollfd fd = {
            .fd = PQsocket(database->connection),
            .events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT,
        };

        if (rc_job_check(database->job, err))
            return err->code;
        if (poll(&fd, 1, SLICE_MS) > 0) {
            wanted = PQconnectPoll(database->connection);
            if (wanted == PGRES_POLLING_OK)
                return RC_OK;
            if (wanted == PGRES_POLLING_FAILED)
                return fail(database, params, /* has_begun = */ true, err);
        }
        if (is_late(database, params->timeout_ms, address, sizeof(address), &since_ms)) {
            char limit[RC_AMOUNT_TEXT];

            set_place(database);
            return rc_fail(err, RC_UNAVAILABLE, "the server did not answer within %s",
                           rc_format_duration(params->timeout_ms, limit));
        }
    }
}

static enum rc_code connect_once(struct egress_database *database, const struct params *params,
                                 struct rc_error *err)
{
    PQfinish(database->connection);
    database->connection =
        PQconnectStartParams(params->keywords, params->values, /* expand_dbname = */ 0);
    if (!database->connection)
        rc_out_of_memory(0);
    set_place(database);
    (void)PQsetErrorVerbosity(database->connection, PQERRORS_VERBOSE);
    (void)PQsetNoticeReceiver(database->connection, hear_notice, database);
    if (PQstatus(database->connection) == CONNECTION_BAD)
        return fail(database, params, /* has_begun = */ false, err);
    if (go_on(database, params, err))
        return err->code;
    set_place(database);
    (void)PQsetErrorVerbosity(database->connection, PQERRORS_DEFAULT);
    return RC_OK;
}

/* ---- attempts ----------------------------------------------------------------------------- */

/* Between the pause and half of it, so that runs that lost their server together come apart. */
static int64_t spread(int64_t pause_ms)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return pause_ms - (now.tv_nsec / 1000) % (pause_ms / 2 + 1);
}

static enum rc_code connect_params(struct egress_database *database, const struct params *params,
                                   struct rc_error *err)
{
    int64_t start_ms = egress_mono_ms(), pause_ms = FIRST_PAUSE_MS;

    for (int attempt = 1;; attempt++) {
        char text[RC_AMOUNT_TEXT];
        int64_t wait_ms = spread(pause_ms);
        enum rc_code code = connect_once(database, params, err);

        if (code == RC_OK)
            return RC_OK;
        bool is_over = egress_mono_ms() - start_ms + wait_ms > database->config->connect_for_ms;

        if (code != RC_UNAVAILABLE || is_over)
            return attempt > 1
                       ? rc_context(err, "connect to %s, in attempt %d", database->place, attempt)
                       : rc_context(err, "connect to %s", database->place);
        rc_warn(database->job, "connect to %s: %s; trying again in %s", database->place, err->cause,
                rc_format_duration(wait_ms, text));
        if (egress_pause(database->job, wait_ms, err))
            return rc_context(err, "connect to %s", database->place);
        pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
    }
}

enum rc_code egress_connect(struct egress_database *database, struct rc_error *err)
{
    struct params params = { .count = 0 };
    enum rc_code code = collect(&params, database->config, err);

    if (code == RC_OK)
        code = connect_params(database, &params, err);
    PQconninfoFree(params.database);
    return code;
}
