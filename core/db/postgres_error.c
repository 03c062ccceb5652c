/*
 * PostgreSQL's errors as ours: by SQLSTATE, not by their words, which are in the server's language.
 */
#include <db/postgres.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <ctype.h>
#include <string.h>

/* The first that a SQLSTATE begins with counts. See the manual, appendix A. */
static const struct {
    const char *state;
    enum rc_code code;
} codes[] = {
    { "08", RC_UNAVAILABLE },    /* connection */
    { "0A", RC_UNSUPPORTED },    /* feature not supported */
    { "22", RC_INVALID },        /* data */
    { "23", RC_CONFLICT },       /* integrity */
    { "25P03", RC_UNAVAILABLE }, /* idle in a transaction for too long */
    { "25006", RC_DENIED },      /* read-only transaction */
    { "28", RC_DENIED },         /* authorization */
    { "3D", RC_NOT_FOUND },      /* no such database */
    { "40", RC_CONFLICT },       /* serialization, deadlock */
    { "42501", RC_DENIED },      /* privilege */
    { "42", RC_INVALID },        /* syntax, names */
    { "53", RC_UNAVAILABLE },    /* disk, memory, connections */
    { "54", RC_TOO_LARGE },      /* limits of the program */
    { "55P03", RC_UNAVAILABLE }, /* a lock was not to be had in time */
    { "55", RC_CONFLICT },       /* object in use */
    { "57", RC_UNAVAILABLE },    /* shutdown, start, cancelled by an operator */
    { "58", RC_UNAVAILABLE },    /* system */
    { "XX001", RC_CORRUPT },     { "XX002", RC_CORRUPT },
};

static enum rc_code code_of(const char *state)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++)
        if (rc_str_starts(state, codes[i].state))
            return codes[i].code;
    return RC_FAILED;
}

/* libpq's texts have line breaks and tabs in them and one at the end. */
static void add_on_one_line(struct rc_buf *out, const char *text)
{
    bool blank = false;

    for (; *text; text++) {
        if (isspace((unsigned char)*text)) {
            blank = out->len > 0;
            continue;
        }
        if (blank)
            rc_buf_addc(out, ' ');
        blank = false;
        rc_buf_addc(out, *text);
    }
}

/* Whether nothing more is to be expected of the connection. With FATAL the server closes it. */
static bool is_lost(const struct core_postgres *db, const PGresult *result)
{
    const char *severity =
        result ? db->pq->resultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED) : NULL;

    return !db->conn || db->pq->status(db->conn) == CONNECTION_BAD ||
           rc_str_eq(severity, "FATAL") || rc_str_eq(severity, "PANIC");
}

enum rc_code core_postgres_fail(struct core_postgres *db, const PGresult *result,
                                struct rc_error *err)
{
    RC_BUF_AUTO(text, RC_ERROR_TEXT);
    const char *state = result ? db->pq->resultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = result ? db->pq->resultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    if (!primary && db->conn)
        primary = db->pq->errorMessage(db->conn);
    add_on_one_line(&text, primary ? primary : "the connection is closed");
    if (is_lost(db, result)) {
        core_postgres_break(db);
        return rc_fail(err, RC_UNAVAILABLE,
                       "state database %s: the connection was lost (%s); whether the last "
                       "statement took effect is not known",
                       db->session.place, text.data);
    }
    return rc_fail(err, state ? code_of(state) : RC_FAILED, "state database %s: %s",
                   db->session.place, text.data);
}

/* "FATAL:  28P01: password ...": with the verbosity that is asked for, the state stands there. */
static const char *find_state(const char *message)
{
    enum { STATE_LEN = 5 };

    for (const char *at = message; (at = strstr(at, ":  ")) != NULL; at++) {
        const char *state = at + 3;
        size_t len = strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

        if (len == STATE_LEN && state[len] == ':')
            return state;
    }
    return NULL;
}

enum rc_code core_postgres_fail_connect(const struct core_postgres *db, struct rc_error *err)
{
    RC_BUF_AUTO(text, RC_ERROR_TEXT);
    RC_STR_AUTO message = rc_strdup(db->pq->errorMessage(db->conn));
    char *location = strstr(message, "\nLOCATION:");
    const char *state;
    enum rc_code code;

    if (location)
        *location = '\0';
    state = find_state(message);
    /* Without an answer from the server: it cannot be reached, or not now. */
    code = state ? code_of(state) : RC_UNAVAILABLE;
    add_on_one_line(&text, message);
    if (code == RC_DENIED)
        return rc_fail(err, code,
                       "state database %s: %s; look at the user and the password of 'core.state'",
                       db->session.place, text.data);
    return rc_fail(err, code, "state database %s: %s", db->session.place, text.data);
}
