/*
 * The least and the greatest value of a column: made of values, written as Statistics, and read
 * again to know what cannot lie in a row group. Source: Apache Parquet format 2.11, ColumnOrder and
 * Statistics of parquet.thrift.
 */
#ifndef DSR_PARQUET_STATISTICS_H
#define DSR_PARQUET_STATISTICS_H

#include "encoding.h"
#include "file.h"

/*
 * By a column's order: below, equal to or above zero. The lengths of numbers are those of their
 * type. Not to be asked of PQ_ORDER_NONE, nor of NaN.
 */
int pq_compare(enum pq_order order, struct pq_slice a, struct pq_slice b);

struct pq_bounds {
    struct pq_slice least, greatest;
    bool least_is_exact, greatest_is_exact; /* there is such a value */
};

/* What has been seen of a page or of a chunk. */
struct pq_statistics {
    enum pq_order order;
    bool is_told;                    /* readers know the order, so that bounds may be written */
    bool may_be_cut;                 /* bytes of any length */
    size_t limit_bytes;              /* of bounds that may be cut */
    int64_t null_count, value_count; /* apart; the values are those that are not null */
    int64_t nan_count;               /* of the values */
    bool has_bounds;                 /* a value with an order was seen */
    bool is_too_long;                /* and one that cannot be cut */
    bool least_is_cut, greatest_is_cut;
    struct rc_buf least, greatest, above; /* 'above': what the cut greatest was made into */
};

void pq_statistics_init(struct pq_statistics *statistics, const struct pq_column *column);
/* Forgets what was seen; the column stays. */
void pq_statistics_reset(struct pq_statistics *statistics);
void pq_statistics_clear(struct pq_statistics *statistics);
/*
 * Bounds are to be hardly longer than those that a file had, of which 'longest_bytes' was the
 * longest: a writer that cuts them does so for its metadata to stay small.
 */
void pq_statistics_limit(struct pq_statistics *statistics, size_t longest_bytes);
/* The length of the longest bound in Statistics. */
size_t pq_longest_bound(const struct pq_node *statistics);
/* Whether Statistics say how many values are NaN. */
bool pq_counts_nans(const struct pq_node *statistics);

void pq_statistics_add_nulls(struct pq_statistics *statistics, int64_t count);
void pq_statistics_add(struct pq_statistics *statistics, const struct pq_values *values);
/* The same of a page of indices, each of which is below the dictionary's length. */
void pq_statistics_add_indexed(struct pq_statistics *statistics, const struct pq_values *dictionary,
                               const uint32_t *indices, size_t count);
/* All that 'more' has seen, such as a page of the chunk. */
void pq_statistics_merge(struct pq_statistics *statistics, const struct pq_statistics *more);

/*
 * Lent until the next call. Long texts are cut so that they stay bounds; zeros have the sign that
 * the format asks for. false: there are none, as there is no value but null and NaN, the values
 * have no order, or the greatest cannot be cut.
 */
bool pq_statistics_bounds(struct pq_statistics *statistics, struct pq_bounds *out);

/*
 * Makes the Statistics in 'record' anew, with the fields that it had: bounds of both kinds, the
 * deprecated ones of signed numbers alone, and the count of nulls. All others could tell of rows
 * that are gone, and so they are.
 */
RC_MUST_CHECK enum rc_code pq_statistics_write(struct pq_statistics *statistics,
                                               struct pq_tree *tree, struct pq_node *record,
                                               struct rc_error *err);

/*
 * Between which all values of a chunk lie, as its metadata has them and this is able to trust;
 * they borrow from the footer. false: any value may be there. Writers have got wrong the bounds of
 * bytes in the deprecated fields, and of floats: those are not trusted.
 */
bool pq_chunk_bounds(const struct pq_column *column, const struct pq_chunk *chunk,
                     struct pq_bounds *out);
/* Whether the chunk's metadata says that there is no value but null. */
bool pq_chunk_is_null(const struct pq_chunk *chunk);

#endif
