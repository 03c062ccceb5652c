/*
 * SPARQL 1.1 Query Results JSON, read row by row from a stream, in constant memory however many
 * rows there are.
 *
 * https://www.w3.org/TR/sparql11-results-json/. Taken too, as Virtuoso writes them: the type
 * "typed-literal", and members that the format does not know. Members come in any order. What the
 * format demands has to be there, and nothing may follow it, so that no part of an answer is ever
 * taken for the whole: a failure is final, and every later call repeats it.
 */
#ifndef SPARQL_RESULTS_H
#define SPARQL_RESULTS_H

#include <run-core/error.h>

#include <stddef.h>

enum sparql_kind { SPARQL_UNBOUND, SPARQL_IRI, SPARQL_BLANK, SPARQL_LITERAL };

struct sparql_term {
    enum sparql_kind kind;
    const char *value;           /* without a label's "_:"; NULL when unbound */
    size_t value_len;            /* it may hold NUL */
    const char *datatype, *lang; /* of a literal; or NULL */
};

struct sparql_results;

/* Where the answer comes from; *len is 0 only at its end. */
typedef enum rc_code sparql_read_fn(void *context, void *data, size_t capacity, size_t *len,
                                    struct rc_error *err);

/*
 * Begins to read; 'context' is the reader's and outlives *out. RC_CORRUPT: what comes is no such
 * answer, with its begin in the cause, since a proxy's page of HTML says what is wrong.
 * RC_TOO_LARGE: one of its members. What 'read' fails with.
 */
RC_MUST_CHECK enum rc_code sparql_results_open(sparql_read_fn *read, void *context,
                                               struct sparql_results **out, struct rc_error *err);

/*
 * The next row, valid until the following call; *row is NULL behind the last. Its terms are those
 * of 'columns', in that order; one that the row does not have is unbound. IRIs, labels, datatypes
 * and languages hold no NUL. RC_CORRUPT: it is broken or ends too early. RC_TOO_LARGE: a row of
 * more than 1 MiB.
 */
RC_MUST_CHECK enum rc_code sparql_results_next(struct sparql_results *results,
                                               const char *const *columns, size_t column_count,
                                               const struct sparql_term **row,
                                               struct rc_error *err);

/* The answer of an ASK, read to its end. RC_CORRUPT: it has none. */
RC_MUST_CHECK enum rc_code sparql_results_boolean(struct sparql_results *results, bool *out,
                                                  struct rc_error *err);

/* May be NULL. */
void sparql_results_close(struct sparql_results *results);

#endif
