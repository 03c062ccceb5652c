/*
 * Results of PostgreSQL as rows. Internal to core/db.
 */
#ifndef CORE_DB_POSTGRES_ROWS_H
#define CORE_DB_POSTGRES_ROWS_H

#include <db/postgres.h>

/*
 * Rows that begin with 'first', which they take over; with 'open' the connection brings more, one
 * by one, and they become db->open.
 */
struct rc_rows *core_postgres_rows_new(struct core_postgres *db, PGresult *first, bool open);

/*
 * Brings the rows that the connection still brings into memory, so that it is free for another
 * statement. RC_TOO_LARGE: they are more than belongs there.
 */
RC_MUST_CHECK enum rc_code core_postgres_rows_gather(struct core_postgres *db,
                                                     struct rc_error *err);

#endif
