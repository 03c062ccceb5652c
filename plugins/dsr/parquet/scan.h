/*
 * Finding the rows whose value in a column is one of many, reading as little as will do: statistics
 * and bloom filters of the row group first, then the dictionary, then the pages of that one column.
 */
#ifndef DSR_PARQUET_SCAN_H
#define DSR_PARQUET_SCAN_H

#include "encoding.h"
#include "file.h"

/* The wanted values, as the column's physical bytes. Asked from one thread. */
struct pq_wanted {
    void *context;
    /* Which of them this is; -1: none. */
    ptrdiff_t (*find)(void *context, struct pq_slice value);
    /* Whether any lies between these, ends included, in the column's order. NULL: may be. */
    bool (*any_between)(void *context, struct pq_slice least, struct pq_slice greatest);
    /* For bloom filters: each of them in turn; false behind the last. NULL: may be. */
    bool (*each)(void *context, size_t i, struct pq_slice *value);
};

struct pq_scan_options {
    bool trusts_statistics; /* false: every value is looked at */
};

struct pq_scanned {
    int64_t groups_skipped, groups_read, bytes_read;
};

/*
 * Calls 'hit' for each row, in rising order, with the number of the row in the file and of the
 * wanted value. A column within a list is RC_UNSUPPORTED.
 */
RC_MUST_CHECK enum rc_code
pq_scan(const struct pq_file *file, size_t column, const struct pq_wanted *wanted,
        const struct pq_scan_options *options,
        enum rc_code (*hit)(void *context, int64_t row, size_t which, struct rc_error *err),
        void *context, struct pq_scanned *scanned, struct rc_error *err);

#endif
