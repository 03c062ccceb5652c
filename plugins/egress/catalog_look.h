/*
 * What is read about tables once it is known which they are. Private to catalog*.c.
 */
#ifndef EGRESS_CATALOG_LOOK_H
#define EGRESS_CATALOG_LOOK_H

#include "catalog.h"

/* A row of pg_class. */
struct egress_relation {
    unsigned oid; /* 0: a query, or there is no such table */
    char kind, persistence;
    bool is_populated;
    bool may_use, may_select; /* the schema; the table as a whole */
    bool has_policies;        /* row-level security holds for this role */
    bool is_of_pattern;
};

/* How long what is only good to know waits for a lock. */
enum { EGRESS_SHORT_MS = 200 };

/*
 * Runs a query that may fail without the transaction's end. 'tried' is its error, its code RC_OK
 * and *out its rows if there was none; what is returned is that nothing goes on.
 */
RC_MUST_CHECK enum rc_code egress_try(struct egress_database *database, int64_t lock_ms,
                                      const char *what, const char *sql, const char *const *params,
                                      size_t param_count, PGresult **out, struct rc_error *tried,
                                      struct rc_error *err);

/* The failure that a table gets. A second one goes nowhere. */
struct rc_error *egress_refuse(struct egress_table *table);

/* "{1,2,3}" of the tables that 'wants' fits and that have not failed. False: none. */
bool egress_add_oids(struct rc_buf *out, const struct egress_catalog *catalog,
                     const struct egress_relation *relations,
                     bool (*wants)(const struct egress_relation *relation));

/* Columns and their privileges. */
RC_MUST_CHECK enum rc_code egress_read_columns(struct egress_database *database,
                                               struct egress_catalog *catalog,
                                               const struct egress_relation *relations,
                                               struct rc_error *err);
/* Leaves, sizes and estimates. */
RC_MUST_CHECK enum rc_code egress_read_leaves(struct egress_database *database,
                                              struct egress_catalog *catalog,
                                              const struct egress_relation *relations,
                                              struct rc_error *err);
/* The columns of queries, and estimates for what has no leaves; after the leaves. */
RC_MUST_CHECK enum rc_code egress_read_queries(struct egress_database *database,
                                               struct egress_catalog *catalog,
                                               struct rc_error *err);

#endif
