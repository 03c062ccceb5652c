/*
 * What an answer means that is not the one that was wished for. Internal to sparql/.
 */
#ifndef SPARQL_REFUSAL_H
#define SPARQL_REFUSAL_H

#include "client.h"

#include <run-core/buf.h>

/*
 * RC_OK: the store did what it was asked. Else the code of client.h, and in *passing whether the
 * same may succeed later.
 */
RC_MUST_CHECK enum rc_code sparql_refusal(const struct sparql_store *store,
                                          const struct rc_http_answer *answer, bool update,
                                          bool *passing, struct rc_error *err);

/* The URL without what may be secret in it: user, password and query. */
void sparql_place_add(struct rc_buf *out, const char *url);

#endif
