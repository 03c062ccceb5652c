/*
 * COPY … TO STDOUT as a stream of bytes.
 */
#ifndef EGRESS_COPY_H
#define EGRESS_COPY_H

#include "database.h"

struct egress_copy;

RC_MUST_CHECK enum rc_code egress_copy_open(struct egress_database *database, const char *sql,
                                            struct egress_copy **out, struct rc_error *err);
/*
 * Fills 'data'; *len is below 'capacity' only behind the last byte, which the server has then
 * confirmed: a stream that breaks off is an error, never an end.
 */
RC_MUST_CHECK enum rc_code egress_copy_read(struct egress_copy *copy, void *data, size_t capacity,
                                            size_t *len, struct rc_error *err);
/* Rows that the server says it has sent; once the end was read. */
int64_t egress_copy_rows(const struct egress_copy *copy);
/* Before the end it cancels the statement, and the connection's transaction is over. */
void egress_copy_close(struct egress_copy *copy);

#endif
