/*
 * What is dumped, as the database's catalogue has it: tables by name or by pattern, and queries,
 * each with its columns, its physical parts and estimates.
 */
#ifndef EGRESS_CATALOG_H
#define EGRESS_CATALOG_H

#include "names.h"
#include "snapshot.h"

struct egress_column {
    char *name;
    char *type;   /* as format_type() writes it: "numeric(10,2)", "text[]" */
    unsigned oid; /* of the type; of a domain, that of its base */
    int modifier;
};

/* A part of a table that has storage of its own: the table itself, or a leaf partition. */
struct egress_leaf {
    unsigned oid;
    char *schema, *relation;
    int64_t pages;     /* as the file has now */
    double rows;       /* estimate */
    bool has_ctids;    /* lies in a heap, and the server can scan ranges of it (14 and later) */
    bool needs_select; /* COPY refuses it by name: a foreign table, a materialized view */
};

struct egress_table {
    char *name;                    /* by which lines, objects and the manifest call it; unique */
    char *schema, *relation;       /* NULL of a query */
    char *query;                   /* NULL of a table; without a semicolon at its end */
    struct egress_column *columns; /* those that are dumped: neither generated nor dropped */
    size_t column_count;
    struct egress_leaf *leaves; /* none: to be selected from in one piece (a query, a view, a table
                                 * whose partitions the role may read only through it) */
    size_t leaf_count;
    double rows;              /* estimate; below 0: none */
    int64_t bytes;            /* on disk, with TOAST; -1: not known */
    struct rc_error *failure; /* why it cannot be dumped: not there, not permitted; or NULL */
};

struct egress_catalog {
    struct egress_table *tables; /* in the order of the configuration; of a pattern, of names */
    size_t count;
};

/*
 * Looks up all that the configuration names. What is missing or forbidden gets a 'failure' of its
 * own. RC_INVALID: two of them have one name; a pattern that fits nothing is a table with a
 * failure. A name of a table as in the configuration ('schema.table' where it was said so); of a
 * pattern, 'table' where the search path finds it, else 'schema.table'.
 */
RC_MUST_CHECK enum rc_code egress_catalog_read(struct egress_database *database,
                                               const struct egress_config *config,
                                               struct egress_catalog *out, struct rc_error *err);
void egress_catalog_clear(struct egress_catalog *catalog);

#endif
