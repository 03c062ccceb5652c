/*
 * What stores say when they refuse. The statuses are those of HTTP and of the SPARQL protocol; that
 * a status 500 has three meanings, and that an answer may be cut and yet be a 200, is Virtuoso's.
 */
#include "refusal.h"

#include "text.h"

#include <run-core/str.h>

#include <string.h>

enum {
    WORDS_BYTES = 300, /* of the store's own words in a message */
    LOOK_BYTES = 2000, /* of them in which fragments are looked for */
    PLACE_BYTES = 4096,
};

void sparql_place_add(struct rc_buf *out, const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *authority = scheme_end ? scheme_end + 3 : url;
    size_t authority_len = strcspn(authority, "/?#");
    const char *path = authority + authority_len;

    rc_buf_add(out, url, (size_t)(authority - url));
    for (const char *at = authority; at < path; at++)
        if (*at == '@')
            authority = at + 1;
    rc_buf_add(out, authority, (size_t)(path - authority));
    rc_buf_add(out, path, strcspn(path, "?#"));
}

static bool holds_any(const char *text, const char *const *fragments)
{
    for (; *fragments; fragments++)
        if (strcasestr(text, *fragments))
            return true;
    return false;
}

/*
 * Virtuoso has SR186 for a user who may not update at all and SR619 for a graph that he may not
 * write to; others say it in words.
 */
static bool is_permission(const char *words)
{
    static const char *const fragments[] = {
        "SR186:", "SR619:", "no permission", "access denied", "permission denied", NULL
    };

    return holds_any(words, fragments);
}

/* Deadlocks, timeouts of a transaction, a connection that the store lost itself. */
static bool is_passing(const char *words)
{
    static const char *const fragments[] = { "Virtuoso 40001 ", "Virtuoso 08",   "SR171:",
                                             "SR172:",          "deadlock",      "server threads",
                                             "timed out",       "out of memory", NULL };

    return holds_any(words, fragments);
}

/* ---- by status ------------------------------------------------------------------------------- */

static enum rc_code denied(const struct sparql_store *store, unsigned status, const char *words,
                           struct rc_error *err)
{
    if (store->user && store->user[0])
        return rc_fail(err, RC_DENIED,
                       "the store does not let the user '%s' in, with status %u%s; check "
                       "username, password and authentication",
                       store->user, status, words);
    return rc_fail(err, RC_DENIED,
                   "the store asks who it is, with status %u%s; set username and password", status,
                   words);
}

/* To Virtuoso whoever does not log in is the user SPARQL, and its /sparql asks nobody who he is. */
static enum rc_code forbidden(const struct sparql_store *store, const char *words,
                              struct rc_error *err)
{
    if (store->user && store->user[0])
        return rc_fail(err, RC_DENIED,
                       "the store does not permit it%s; permit it to the user '%s' there (in "
                       "Virtuoso: GRANT SPARQL_UPDATE TO \"%s\" at /sparql-auth, else to "
                       "\"SPARQL\", and the graph's permissions)",
                       words, store->user, store->user);
    return rc_fail(err, RC_DENIED,
                   "the store does not permit it%s; permit it to the user there (in Virtuoso: "
                   "GRANT SPARQL_UPDATE TO \"SPARQL\", and the graph's permissions), or give one "
                   "who may by username and password",
                   words);
}

static enum rc_code misplaced(const struct rc_http_answer *answer, bool update, const char *words,
                              struct rc_error *err)
{
    const char *location = rc_http_answer_header(answer, "location");
    const char *option = update ? "update_endpoint (or sparql_endpoint)" : "sparql_endpoint";
    RC_BUF_AUTO(target, PLACE_BYTES);

    if (answer->status / 100 == 3 && location) {
        sparql_place_add(&target, location);
        return rc_fail(err, RC_INVALID, "it leads on to '%s' with status %u; set %s to where it is",
                       target.data, answer->status, option);
    }
    return rc_fail(err, RC_INVALID,
                   "it is no endpoint for SPARQL %s, it says with status %u%s; correct %s",
                   update ? "updates" : "queries", answer->status, words, option);
}

/* 408, 425, 429 and all from 500 but those that say that it will never be done. */
static bool is_busy(unsigned status)
{
    return status == 408 || status == 425 || status == 429 ||
           (status >= 500 && status != 501 && status != 505);
}

/* Of a status 500 that is no matter of permission. */
static enum rc_code failed_inside(const char *whole, const char *words, bool *passing,
                                  struct rc_error *err)
{
    bool known = is_passing(whole);

    /* Virtuoso says what else it is, and would say it again; of what others say nobody knows. */
    *passing = known || !rc_str_starts(whole, "Virtuoso ");
    return rc_fail(err, known ? RC_UNAVAILABLE : RC_FAILED, "the store fails with status 500%s",
                   words);
}

static enum rc_code refused(const struct sparql_store *store, const struct rc_http_answer *answer,
                            bool update, bool *passing, struct rc_error *err)
{
    RC_BUF_AUTO(whole, LOOK_BYTES + 16);
    RC_BUF_AUTO(words, WORDS_BYTES + 16);
    unsigned status = answer->status;
    const char *server = rc_http_answer_header(answer, "server");

    sparql_text_show(&whole, answer->body.data, answer->body.len, LOOK_BYTES);
    if (whole.len > 0) {
        rc_buf_adds(&words, ": ");
        sparql_text_show(&words, whole.data, whole.len, WORDS_BYTES);
    }
    if (status == 401 || status == 407)
        return denied(store, status, words.data, err);
    if (status == 403 || ((status == 400 || status == 500) && is_permission(whole.data)))
        return forbidden(store, words.data, err);
    if (status == 400)
        return rc_fail(err, RC_INVALID, "the store takes it for no SPARQL, with status 400%s",
                       words.data);
    if (status == 500)
        return failed_inside(whole.data, words.data, passing, err);
    if (is_busy(status)) {
        *passing = true;
        return rc_fail(err, RC_UNAVAILABLE, "the store is not able to now, with status %u%s",
                       status, words.data);
    }
    /* Virtuoso knows nothing of its endpoint while it writes a checkpoint or starts. */
    *passing = status == 404 && server && strstr(server, "Virtuoso");
    if (status / 100 == 3 || status == 404 || status == 405 || status == 406 || status == 410 ||
        status == 415)
        return misplaced(answer, update, words.data, err);
    return rc_fail(err, RC_FAILED, "the store refuses it with status %u%s", status, words.data);
}

/* ---- of an answer with a status of 2xx ------------------------------------------------------- */

enum rc_code sparql_refusal(const struct sparql_store *store, const struct rc_http_answer *answer,
                            bool update, bool *passing, struct rc_error *err)
{
    const char *state = rc_http_answer_header(answer, "x-sql-state");
    const char *rows = rc_http_answer_header(answer, "x-sparql-maxrows");

    *passing = false;
    if (answer->status / 100 != 2)
        return refused(store, answer, update, passing, err);
    /* Virtuoso gives what it has when its own limit of time is reached. */
    if (state) {
        *passing = true;
        return rc_fail(
            err, RC_UNAVAILABLE,
            "the store gave up before its answer was whole, with the state '%s'; if that "
            "lasts, raise its limits of time",
            state);
    }
    if (answer->status == 206)
        return rc_fail(err, RC_CORRUPT, "the store gives only a part of its answer (status 206)");
    if (!update && rows)
        return rc_fail(err, RC_TOO_LARGE,
                       "the store ends its answers after %s rows; raise its limit (in Virtuoso: "
                       "ResultSetMaxRows)",
                       rows);
    return RC_OK;
}
