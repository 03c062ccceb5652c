/*
 * Which levels and values of a chunk's pages are of rows that stay.
 *
 * A row begins where the repetition level is 0 and may go on in the next page, so that pages have
 * to be shown from a chunk's first to its last. Pure: no I/O.
 */
#ifndef DSR_PARQUET_REWRITE_ROWS_H
#define DSR_PARQUET_REWRITE_ROWS_H

#include "page.h"
#include "rewrite.h"

/* Neighbouring levels of a page, and the values that are there in them. */
struct pq_span {
    size_t level, level_count;
    size_t value, value_count;
};

struct pq_spans {
    struct pq_rows erased; /* those of the row group; numbered as in the file */
    int64_t next_row;      /* in the file: the one that begins next */
    size_t erased_before;  /* of 'erased', up to there */
    struct pq_span *items;
    size_t len, capacity;
    size_t level_count, value_count, row_count; /* in all spans; rows are those that begin there */
};

/* The part of 'rows' that lies from row 'first' on, 'count' rows long. */
struct pq_rows pq_rows_within(const struct pq_rows *rows, int64_t first, int64_t count);

/* 'first_row' is where the row group begins in the file; 'erased' is borrowed. */
void pq_spans_init(struct pq_spans *spans, struct pq_rows erased, int64_t first_row);
void pq_spans_clear(struct pq_spans *spans);
/* The spans of the next page that stay; none if the page loses everything. */
void pq_spans_of(struct pq_spans *spans, const struct pq_column *column,
                 const struct pq_page *page);

#endif
