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
 * has none, and then every value is there. Values are those that are not null, 'value_count' of
 * them, in 'values' or, in a page of indices, as 'indices' into the chunk's dictionary.
 *
 * 'row_count' rows begin in the page. The first level may also go on with the row that the page
 * before has begun: its repetition is then above 0.
 */
struct pq_page {
    enum pq_page_kind kind;
    struct pq_node header; /* PageHeader, as it was read */
    int64_t offset, len;   /* in the file, with its header */
    size_t header_len;
    size_t level_count, row_count, value_count;
    int64_t first_row; /* of the row group: that of the first level, which may go on with a row */
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
 * The file stays open for as long as the pages are read, and is read from the chunk's beginning to
 * its end in pieces of up to 1 MiB. RC_UNSUPPORTED: the chunk is encrypted, lies in another file,
 * or has a codec that is not read here.
 */
RC_MUST_CHECK enum rc_code pq_pages_open(const struct pq_file *file, size_t group, size_t column,
                                         struct pq_pages **out, struct rc_error *err);
/*
 * The next data page, valid until the following call; *page is NULL behind the last, when rows and
 * values have been found to be as many as the footer says. RC_INVALID: they are not, or the page is
 * damaged, or not what its checksum says, where it has one: the message has its offset.
 * RC_UNSUPPORTED: an encoding that is not read here; RC_TOO_LARGE: a page above 1 GiB or of more
 * than 64 Mi values.
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
 * Appends a page, header and all, of the levels and values in 'page', made after its header: kind,
 * encodings, checksum or none, compressed or not, and fields that are not known here; statistics
 * are left out. 'bits' is the width of indices, for which pq_bits_of() the greatest is enough.
 * 'uncompressed_len' is the page's, its header included, as footers add them up.
 */
RC_MUST_CHECK enum rc_code pq_page_write(struct pq_coder *coder, enum pq_codec codec,
                                         const struct pq_column *column, const struct pq_page *page,
                                         unsigned bits, struct rc_buf *out,
                                         size_t *uncompressed_len, struct rc_error *err);
/* Likewise a dictionary page, made after the header 'like'. */
RC_MUST_CHECK enum rc_code pq_dictionary_write(struct pq_coder *coder, enum pq_codec codec,
                                               enum pq_type type, const struct pq_node *like,
                                               const struct pq_values *values, struct rc_buf *out,
                                               size_t *uncompressed_len, struct rc_error *err);

#endif
