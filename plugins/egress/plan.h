/*
 * From the catalogue to COPY statements: which pieces each table is read in, and which pieces make
 * up which object. Pure.
 */
#ifndef EGRESS_PLAN_H
#define EGRESS_PLAN_H

#include "catalog.h"

/* One COPY statement. The text of an object is that of its pieces, in their order. */
struct egress_piece {
    const struct egress_table *table; /* in the catalogue, which outlives the plan */
    const struct egress_leaf *leaf;   /* NULL: all of the table, or a query */
    int64_t first_page, end_page;     /* of the leaf's heap; both EGRESS_NO_PAGE: all of it */
    bool header;                      /* begins with a line of column names */
    double rows;                      /* estimate; below 0: none */
};

#define EGRESS_NO_PAGE INT64_C(-1) /* as 'end_page': to the end, wherever that is by then */

struct egress_object {
    size_t table;        /* in the catalogue */
    char *key;           /* inside the run's folder */
    size_t first, count; /* pieces */
    double rows;         /* estimate; below 0: none */
    int64_t bytes;       /* on disk, estimate; -1: not known */
};

struct egress_plan {
    struct egress_piece *pieces;
    size_t piece_count;
    /* The largest tables first, so that none is left over at the end; those of a table in order. */
    struct egress_object *objects;
    size_t object_count;
};

/*
 * A heap of which the server can scan ranges is read in ranges of about as many bytes each, TOAST
 * included; the last has no end, since a table grows behind the back of its catalogue entry (what
 * is newer than the snapshot is not seen). Tables with a failure are left out.
 * RC_CONFLICT: two objects would have one key.
 */
RC_MUST_CHECK enum rc_code egress_plan_make(const struct egress_catalog *catalog,
                                            const struct egress_config *config,
                                            const struct egress_layout *layout,
                                            struct egress_plan *out, struct rc_error *err);
void egress_plan_clear(struct egress_plan *plan);

/* ".csv.gz": the ending of all objects of a run. RC_INVALID: no such compression. */
RC_MUST_CHECK enum rc_code egress_plan_extension(const struct egress_config *config,
                                                 struct rc_buf *out, struct rc_error *err);

/* Adds the piece's statement: COPY (...) TO STDOUT WITH (FORMAT csv, ...). */
void egress_plan_sql(const struct egress_piece *piece, const struct egress_config *config,
                     struct rc_buf *out);

#endif
