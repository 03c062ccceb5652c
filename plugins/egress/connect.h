/*
 * Making the connection. Private to database.c.
 */
#ifndef EGRESS_CONNECT_H
#define EGRESS_CONNECT_H

#include "database.h"

/* Sets 'connection' and 'place'. Tries again what may pass, for as long as 'connect_for' says. */
RC_MUST_CHECK enum rc_code egress_connect(struct egress_database *database, struct rc_error *err);

/* The code for a SQLSTATE. */
enum rc_code egress_code_of(const char *state);

/* A text of libpq or the server on one line. */
void egress_add_line(struct rc_buf *out, const char *text);

#endif
