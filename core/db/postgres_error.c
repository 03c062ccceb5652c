/*
 * PostgreSQL's errors as ours: by SQLSTATE, not by their words, which are in the server's language.
 * Only what libpq finds itself while connecting is told by its words, for it has nothing else.
 */
#include <db/postgres.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <ctype.h>
#include <fnmatch.h>
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

/* ---- connecting --------------------------------------------------------------------------- */

#define LOOK_AT_THE_PASSWORD "look at the user and the password of 'core.state'"

/*
 * What libpq itself finds has no SQLSTATE. These stay until somebody changes the configuration, a
 * file or the server; of all else (refused, unreachable, cut, no such name or socket, no answer)
 * the end can be waited for, and so it is RC_UNAVAILABLE. There is nothing to tell them by but
 * their texts, which are English: libpq translates them by the process's locale, and no program of
 * ours calls setlocale(). A text that is not known any more is waited for, as any other is. They
 * are of libpq 13 to 18; a '*' stands for anything. The first that is found counts.
 */
static const struct {
    const char *text;
    enum rc_code code;
    const char *advice;
} mistakes[] = {
    /* values that are none */
    { "invalid port number: ", RC_INVALID, NULL },
    { "invalid integer value ", RC_INVALID, NULL },
    { "invalid * value: \"", RC_INVALID, NULL }, /* sslmode, channel_binding, gssencmode, ... */
    { "invalid value \"*SSL protocol version", RC_INVALID, NULL },
    { "invalid SSL protocol version range", RC_INVALID, NULL },
    { " value \"*\" invalid when ", RC_INVALID, NULL }, /* libpq was built without TLS or GSSAPI */
    { "weak sslmode ", RC_INVALID, NULL },
    { "require_auth method \"", RC_INVALID, NULL },
    { "could not match * port numbers to ", RC_INVALID, NULL },
    { "could not match * host names to ", RC_INVALID, NULL },
    { "could not parse network address ", RC_INVALID, NULL },
    { "Unix-domain socket path \"*\" is too long", RC_INVALID, NULL },
    { "syntax error in service file ", RC_INVALID, NULL },
    { "definition of service \"*\" not found", RC_NOT_FOUND, NULL },
    { "service file \"*\" not found", RC_NOT_FOUND, NULL },
    /* who one is */
    { "fe_sendauth: no password supplied", RC_DENIED, LOOK_AT_THE_PASSWORD },
    { "authentication method requirement \"", RC_DENIED, NULL },
    { "none of the server's SASL authentication mechanisms are supported", RC_DENIED, NULL },
    { "requirepeer specifies ", RC_DENIED, NULL },
    /* TLS and GSSAPI: what is asked for and not to be had, and who the server is */
    { "server does not support SSL, but SSL was required", RC_DENIED, NULL },
    { "certificate file", RC_DENIED, NULL }, /* also of the root: missing, not to be read, ... */
    { "private key file", RC_DENIED, NULL },
    { "certificate verify failed", RC_DENIED, NULL },
    { "server certificate for \"", RC_DENIED, NULL }, /* another host's */
    { "could not get server's host name from server certificate", RC_DENIED, NULL },
    { "host name must be specified for a verified SSL connection", RC_DENIED, NULL },
    { "server did not request an SSL certificate", RC_DENIED, NULL },
    { "server accepted connection without a valid SSL certificate", RC_DENIED, NULL },
    { "alert unknown ca", RC_DENIED, NULL }, /* with these the server refuses ours */
    { "alert * certificate", RC_DENIED, NULL },
    { "alert certificate ", RC_DENIED, NULL },
    { "alert protocol version", RC_DENIED, NULL },
    { "alert handshake failure", RC_DENIED, NULL },
    { "SSL error: unsupported protocol", RC_DENIED, NULL },
    { "channel binding required", RC_DENIED, NULL },
    { "channel binding is required", RC_DENIED, NULL },
    { "GSSAPI encryption required but ", RC_DENIED, NULL },
    { "GSSAPI encryption, but it was required", RC_DENIED, NULL },
};

/* With these libpq begins to tell of a host, or of another of its addresses. */
static const char *const beginnings[] = {
    "connection to server ", "could not translate ",     "could not parse network ",
    "invalid port number: ", "Unix-domain socket path ",
};

/* Behind what the first of them names. */
static const char failed[] = " failed: ";

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

/* What became of an attempt to connect, or of several. RC_OK: of none. */
struct verdict {
    enum rc_code code;
    const char *advice;
};

static struct verdict judge_attempt(const char *text)
{
    const char *state = find_state(text);
    const char *reason = rc_str_starts(text, beginnings[0]) ? strstr(text, failed) : NULL;
    struct verdict verdict = { RC_UNAVAILABLE, NULL };

    if (state)
        verdict.code = code_of(state);
    if (state && verdict.code == RC_DENIED)
        verdict.advice = LOOK_AT_THE_PASSWORD;
    for (size_t i = 0; !state && i < RC_ARRAY_LEN(mistakes); i++) {
        RC_STR_AUTO pattern = rc_strf("*%s*", mistakes[i].text);

        if (fnmatch(pattern, reason ? reason : text, 0) == 0)
            return (struct verdict){ mistakes[i].code, mistakes[i].advice };
    }
    return verdict;
}

/* Of two that both have to be mistakes; of such the later one counts, at which libpq has ended. */
static struct verdict both(struct verdict a, struct verdict b)
{
    return b.code == RC_OK || a.code == RC_UNAVAILABLE ? a : b;
}

/* Of two of which one mistake is enough. */
static struct verdict either(struct verdict a, struct verdict b)
{
    return b.code == RC_OK || (a.code != RC_OK && b.code == RC_UNAVAILABLE) ? a : b;
}

/* Where the next attempt is told of, or the end. */
static const char *next_attempt(const char *text)
{
    while ((text = strchr(text, '\n')) != NULL) {
        text++;
        for (size_t i = 0; i < RC_ARRAY_LEN(beginnings); i++)
            if (rc_str_starts(text, beginnings[i]))
                return text;
    }
    return NULL;
}

/* Up to the name's end in 'connection to server at "name" (address), port 1 failed: '; or 0. */
static size_t name_len(const char *attempt)
{
    const char *quote = rc_str_starts(attempt, beginnings[0]) ? strchr(attempt, '"') : NULL;
    const char *end = quote ? strchr(quote + 1, '"') : NULL;

    return end ? (size_t)(end + 1 - attempt) : 0;
}

static bool is_same_address(const char *a, const char *b)
{
    const char *end = strstr(a, failed);

    return name_len(a) > 0 && end && strncmp(a, b, (size_t)(end - a) + strlen(failed)) == 0;
}

/* The address may be another one. */
static bool is_same_host(const char *a, const char *b)
{
    size_t len = name_len(a);
    const char *port_a = strstr(a, ", port "), *port_b = strstr(b, ", port ");
    const char *end = port_a ? strstr(port_a, failed) : NULL;

    return len > 0 && strncmp(a, b, len) == 0 && end && port_b &&
           strncmp(port_a, port_b, (size_t)(end - port_a) + strlen(failed)) == 0;
}

/*
 * libpq tells of all attempts, one behind the other. With several hosts all must have failed by a
 * mistake: one that could not be reached may be the right one, to be asked first once it is back.
 * Of the addresses of one host it is enough that one did, as they are the same server's:
 * 'localhost' is ::1 too, where often nobody listens. One address is tried twice, with and without
 * TLS; if the first was cut, nothing follows from the server's not wanting the second. Hosts that
 * are not told of do not count: libpq goes no further once a server has answered, and would not
 * the next time.
 * Before libpq 14 the attempts cannot be told apart, and any mistake among them counts.
 */
enum rc_code core_postgres_judge(const char *message, const char **advice)
{
    struct verdict address = { RC_OK, NULL }, host = address, all = address;
    const char *previous = NULL, *next;

    for (const char *at = message; at; previous = at, at = next) {
        next = next_attempt(at);
        RC_STR_AUTO attempt = next ? rc_strndup(at, (size_t)(next - at)) : rc_strdup(at);
        struct verdict verdict = judge_attempt(attempt);

        if (previous && is_same_address(previous, at)) {
            address = both(address, verdict);
            continue;
        }
        host = either(host, address);
        if (previous && !is_same_host(previous, at)) {
            all = both(all, host);
            host = (struct verdict){ RC_OK, NULL };
        }
        address = verdict;
    }
    all = both(all, either(host, address));
    *advice = all.advice;
    return all.code;
}

/* Where in the server's source an error was raised tells nothing here. */
static void drop_locations(char *message)
{
    char *line;

    while ((line = strstr(message, "\nLOCATION:")) != NULL) {
        const char *end = line + 1 + strcspn(line + 1, "\n");

        memmove(line, end, strlen(end) + 1);
    }
}

enum rc_code core_postgres_fail_connect(const struct core_postgres *db, struct rc_error *err)
{
    RC_BUF_AUTO(text, RC_ERROR_TEXT);
    RC_STR_AUTO message = rc_strdup(db->pq->errorMessage(db->conn));
    const char *advice;
    enum rc_code code;

    drop_locations(message);
    code = core_postgres_judge(message, &advice);
    add_on_one_line(&text, message);
    return rc_fail(err, code, "state database %s: %s%s%s", db->session.place, text.data,
                   advice ? "; " : "", advice ? advice : "");
}
