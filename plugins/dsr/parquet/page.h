/*
 * Pages of a chunk: one after the other from the file, decompressed and taken apart; and put
 * together again. Memory is that of one page and of the dictionary.
 */
#ifndef DSR_PARQUET_PAGE_H
#define DSR_PARQUET_PAGE_H

#include "codec.h"
#include "encoding.h"

enum pq_page_kind { PQ_PAGE_DATA_V1, PQ_PAGE_DICTIONARY, PQ_PAGE_DATA_V2, PQ_PAGE_OTHER };

/*
 * A data page. 'definition' and 'repetition' have 'level_count' levels each; NULL where the column
 * has none, and then every value is there. Values are those that are not null, in 'values' or, in
 * a page of indices, as 'indices' into the chunk's dictionary.
 */
struct pq_page {
    enum pq_page_kind kind;
    struct pq_node header; /* PageHeader, as it was read */
    int64_t offset, len;   /* in the file, with its header */
    size_t header_len;
    size_t level_count, row_count, value_count;
    int64_t first_row; /* of the row group */
    uint32_t *definition, *repetition;
    bool has_indices;
    enum pq_encoding encoding;
    struct pq_values values;
    uint32_t *indices;
    bool has_crc, is_compressed; /* of DATA_V2, which may be without */
};

/* Reads the pages of one chunk. */
struct pq_pages;

/*
 * 'checks' has the pages' checksums compared where they have some. The file stays open for as long
 * as the pages are read.
 */
RC_MUST_CHECK enum rc_code pq_pages_open(const struct pq_file *file, size_t group, size_t column,
                                         struct pq_pages **out, struct rc_error *err);
/*
 * The next data page, valid until the following call; *page is NULL behind the last, when rows and
 * values have been found to be as many as the footer says (RC_INVALID: they are not, or the page is
 * damaged: the message has its offset).
 */
RC_MUST_CHECK enum rc_code pq_pages_next(struct pq_pages *pages, const struct pq_page **page,
                                         struct rc_error *err);
/* The dictionary; NULL before the first data page and where there is none. */
const struct pq_values *pq_pages_dictionary(const struct pq_pages *pages);
/* The dictionary's page header and its encoding; NULL likewise. */
const struct pq_node *pq_pages_dictionary_header(const struct pq_pages *pages);
void pq_pages_close(struct pq_pages *pages);

/* For RC_CLEANUP. */
void pq_pages_drop(struct pq_pages **pages);

/*
 * Appends a page, header and all, made after 'like' (kind, encoding, checksum or none, compressed
 * or not) of the levels and values in 'page'. 'bits' is the width of indices.
 */
RC_MUST_CHECK enum rc_code pq_page_write(struct pq_coder *coder, enum pq_codec codec,
                                         const struct pq_column *column, const struct pq_page *page,
                                         unsigned bits, struct rc_buf *out,
                                         size_t *uncompressed_len, struct rc_error *err);
RC_MUST_CHECK enum rc_code pq_dictionary_write(struct pq_coder *coder, enum pq_codec codec,
                                               enum pq_type type, const struct pq_node *like,
                                               const struct pq_values *values, struct rc_buf *out,
                                               size_t *uncompressed_len, struct rc_error *err);

#endif
