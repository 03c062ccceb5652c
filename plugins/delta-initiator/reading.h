/*
 * Reading jobs out of the store, for what jobs.h does with them.
 */
#ifndef DELTA_READING_H
#define DELTA_READING_H

#include "jobs.h"

#include <run-core/buf.h>

/*
 * Reads into the empty list 'out' the jobs that a query with the columns 'delta_job_columns' finds,
 * sorted by their IRIs and each once: of several statuses an active one counts, then one other than
 * failed; of several times the latest. 'what' names them in messages. RC_CORRUPT: a row without a
 * job or its operation.
 */
RC_MUST_CHECK enum rc_code delta_read(struct delta_session *session,
                                      const struct delta_entry *entry, const char *what,
                                      const struct rc_buf *query, struct delta_list *out,
                                      struct rc_error *err);

/* The same of the jobs that rules look at, and of one's own; see delta_add_jobs(). */
RC_MUST_CHECK enum rc_code delta_read_jobs(struct delta_session *session,
                                           const struct delta_entry *entry, const char *own_uri,
                                           struct delta_list *out, struct rc_error *err);

/* Copies 'job' to the end. RC_TOO_LARGE: there are a million. */
RC_MUST_CHECK enum rc_code delta_list_add(struct delta_list *list, const struct delta_job *job,
                                          struct rc_error *err);
/* Takes the job at 'at' away; the order of the others stays. */
void delta_list_remove(struct delta_list *list, size_t at);
/* In a list as delta_read() makes it; NULL: not there. */
struct delta_job *delta_list_find(const struct delta_list *list, const char *uri);

/* False: it is no operation of the stream. */
bool delta_kind_of(const struct delta_entry *entry, const char *operation, enum delta_kind *out);

struct sparql_term;
enum delta_status delta_status_of(const struct sparql_term *term);

/*
 * A job can be named in an update; one that stands in the store as a blank node, or by what is no
 * IRI, can only be looked at.
 */
bool delta_job_is_named(const struct delta_job *job);

#endif
