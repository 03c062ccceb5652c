/*
 * From the catalogue to COPY statements: which pieces each table is read in, and which pieces make up
 * which object. Pure.
 */
#ifndef EGRESS_PLAN_H
#define EGRESS_PLAN_H

#include "catalog.h"

/* One COPY statement. The text of an object is that of its pieces, in their order. */
struct egress_piece {
    char *sql;
    bool needs_ctids; /* is of a range */
    double rows;      /* estimate */
};

struct egress_object {
    size_t table;        /* in the catalogue */
    char *key;           /* inside the run's folder */
    size_t first, count; /* pieces */
    double rows;         /* estimate; below 0: none */
};

struct egress_plan {
    struct egress_piece *pieces;
    size_t piece_count;
    struct egress_object
        *objects; /* the largest tables first, so that none is left over at the end */
    size_t object_count;
};

/*
 * A heap above 'range_pages' is read in ranges of about as many; the last has no end, since a table
 * grows behind the back of its catalogue entry (what is newer than the snapshot is not seen).
 * RC_CONFLICT: two objects would have one key.
 */
RC_MUST_CHECK enum rc_code egress_plan_make(const struct egress_catalog *catalog,
                                            const struct egress_config *config,
                                            const struct egress_layout *layout,
                                            struct egress_plan *out, struct rc_error *err);
void egress_plan_clear(struct egress_plan *plan);

#endif
