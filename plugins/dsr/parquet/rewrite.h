/*
 * A Parquet file without some of its rows, and otherwise the same.
 *
 * Row groups that lose nothing are copied byte for byte, unless a dictionary in them has values
 * that none of their rows has. In the others each page is taken apart, the rows are left out, and
 * it is put together with the encoding, codec and kind that it had; no value is interpreted. What
 * could still tell of the rows that are gone is made anew or left out: dictionaries keep only
 * entries that are used, statistics, page indexes and bloom filters are those of the rows that
 * remain. A row group that loses all its rows is gone. Schema, key-value metadata and whatever else
 * the footer has are written as they were read, but for fields of chunks that are not known here:
 * these could tell of such rows too, or of places that have moved.
 *
 * Memory is that of two pages and their dictionaries, twice the footer, all page indexes, and the
 * bloom filters of a row group, whatever the file's size.
 */
#ifndef DSR_PARQUET_REWRITE_H
#define DSR_PARQUET_REWRITE_H

#include "file.h"

struct pq_sink {
    enum rc_code (*write)(void *context, const void *data, size_t len, struct rc_error *err);
    void *context;
};

/* Rows of a file, rising and each once. */
struct pq_rows {
    const int64_t *rows;
    size_t len;
};

struct pq_rewritten {
    int64_t rows, bytes;
    int64_t groups_copied, groups_rewritten, groups_dropped;
};

/*
 * Appends to 'seen', unless it is NULL, what pq_reread() holds the new file against.
 * RC_UNSUPPORTED: a column is encrypted, the footer is signed, or the file is a summary of others;
 * RC_INVALID: a row is not there, or the file is damaged. What was written by then is of no use.
 */
RC_MUST_CHECK enum rc_code pq_rewrite(const struct pq_file *file, const struct pq_rows *without,
                                      const struct pq_sink *sink, struct rc_buf *seen,
                                      struct pq_rewritten *out, struct rc_error *err);

/*
 * Writes a file of some columns alone, for an engine that is to see just these: their pages are
 * copied, their annotations (text, decimal, ...) left out, as are statistics, indexes and filters,
 * so that nothing can be skipped.
 */
RC_MUST_CHECK enum rc_code pq_project(const struct pq_file *file, const size_t *columns,
                                      size_t column_count, const struct pq_sink *sink,
                                      struct rc_error *err);

enum { PQ_DIGEST = 16 };

/*
 * XXH3 of 128 bits over every value and level of each column but for the rows left out, one digest
 * a column, appended to 'out' (PQ_DIGEST bytes each): two files with the same rows have the same,
 * however they are paged, grouped, encoded and compressed.
 */
RC_MUST_CHECK enum rc_code pq_digest(const struct pq_file *file, const struct pq_rows *without,
                                     struct rc_buf *out, struct rc_error *err);

/*
 * Reads the new file again, all of it, and holds it against the old one: a chunk that was copied
 * has to be there byte for byte; of any other a digest was taken of the rows that stay when it was
 * read, and has to be that of the chunk that is there now. So the old file's values are decoded but
 * once. '*differing' is the first column that is not so, or the number of columns. RC_INVALID: the
 * new file has other columns or row groups, or is damaged.
 */
RC_MUST_CHECK enum rc_code pq_reread(const struct pq_file *before, const struct pq_rows *without,
                                     const struct rc_buf *seen, const struct pq_file *after,
                                     size_t *differing, struct rc_error *err);

#endif
