/*
 * A client of the SPARQL 1.1 Protocol, on the host's HTTP: queries whose rows are streamed,
 * updates, authentication, repeated attempts.
 *
 * https://www.w3.org/TR/sparql11-protocol/. Made for Virtuoso, the stack of mu.semte.ch before
 * it, and any store that follows the protocol. Requests are forms, with the field 'query' or
 * 'update': all of these take them, and the clients of mu.semte.ch send nothing else, while
 * Virtuoso 7.2 never answers a body of application/sparql-query.
 *
 * A request is repeated, with growing pauses, where there was no answer, or one that may pass: the
 * statuses 408, 425, 429, 502 and above, a deadlock in Virtuoso, its 404 during a checkpoint, a 500
 * that says nothing else. An answer that the store has cut, by its own limits of time or rows, is
 * none, though its status is 200. The pauses end when the run is to stop.
 *
 * All functions may be called from several threads with the same store, which is only read.
 * Common errors: RC_UNAVAILABLE, no store or an answer that may pass, after all attempts;
 * RC_DENIED, it knows no such user (401, 403) or does not let him update, with what to do;
 * RC_INVALID, it takes the request for no SPARQL (400), or the endpoint is none (404, 405, ...);
 * RC_FAILED, it refused for another reason; RC_CORRUPT, an answer that is none of this protocol;
 * RC_TOO_LARGE, a row of more than 1 MiB, or more rows than the store gives; RC_TIMEOUT;
 * RC_CANCELLED.
 */
#ifndef SPARQL_CLIENT_H
#define SPARQL_CLIENT_H

#include "results.h"

#include <run-core/host.h>

struct sparql_store {
    const char *query_url, *update_url;
    const char *user, *password;          /* NULL: none */
    int auth;                             /* enum rc_http_auth */
    const struct rc_http_header *headers; /* of every request, beside those of the protocol */
    size_t header_count;
    int64_t request_ms; /* the longest that one attempt may take */
    unsigned attempts;  /* at least 1 */
};

struct sparql_rows;

/*
 * 'what' names the request in messages, "the jobs of the graph <...>": "ask 'http://...' for the
 * jobs of ...". It, the store and the job are borrowed until the rows are closed. A user who may
 * not read a graph sees it empty in Virtuoso, and no error.
 */
RC_MUST_CHECK enum rc_code sparql_query(struct rc_job *job, const struct sparql_store *store,
                                        const char *what, const char *text,
                                        struct sparql_rows **out, struct rc_error *err);

/* As sparql_results_next(). A connection that breaks between rows is RC_UNAVAILABLE. */
RC_MUST_CHECK enum rc_code sparql_rows_next(struct sparql_rows *rows, const char *const *columns,
                                            size_t column_count, const struct sparql_term **row,
                                            struct rc_error *err);

/* May be NULL. */
void sparql_rows_close(struct sparql_rows *rows);

RC_MUST_CHECK enum rc_code sparql_ask(struct rc_job *job, const struct sparql_store *store,
                                      const char *what, const char *text, bool *out,
                                      struct rc_error *err);

/*
 * The update must be one that may be sent twice: an answer that was lost is not known from a
 * request that was, and the client sends it again. RC_OK says that the store took it, and not
 * that its WHERE matched anything; what it answers is up to the store (a table, HTML, nothing), so
 * that only a query proves the effect. Under --dry-run it is said and counted, not sent. 'what' is
 * "the creation of <...>": "send the creation of ... to 'http://...'".
 */
RC_MUST_CHECK enum rc_code sparql_update(struct rc_job *job, const struct sparql_store *store,
                                         const char *what, const char *text, struct rc_error *err);

/*
 * Waits until the store answers a query, asking again after each interval, for 'limit_ms' (-1:
 * until the run ends). Returns what the last attempt did; what waiting cannot mend (RC_DENIED,
 * RC_INVALID) at once. Says once that it waits, and for what.
 */
RC_MUST_CHECK enum rc_code sparql_wait(struct rc_job *job, const struct sparql_store *store,
                                       int64_t interval_ms, int64_t limit_ms, struct rc_error *err);

#endif
