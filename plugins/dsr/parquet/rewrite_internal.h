/*
 * The parts of a rewrite: the file and its row groups (rewrite.c), a chunk that loses rows
 * (rewrite_chunk.c), its dictionary (rewrite_dictionary.c) and its pages (rewrite_cut.c), and what
 * is told of them: page indexes (rewrite_index.c) and sizes (rewrite_sizes.c). Digests of what is
 * read are digest.c's.
 */
#ifndef DSR_PARQUET_REWRITE_INTERNAL_H
#define DSR_PARQUET_REWRITE_INTERNAL_H

#include "fields.h"
#include "page.h"
#include "rewrite_out.h"
#include "rewrite_rows.h"
#include "statistics.h"

struct pq_rewrite {
    const struct pq_file *file;
    bool loses_rows;
    struct pq_tree tree; /* of the new footer */
    struct pq_coder *coder;
    struct pq_out out;
    /*
     * What is written later: bloom filters behind their row group, page indexes behind the last
     * group. Until then the footer has their places in these.
     */
    struct rc_buf blooms, column_indexes, offset_indexes;
    struct rc_buf *seen;          /* a pq_seen for each chunk that is written; NULL: not wanted */
    struct pq_digester *digester; /* NULL likewise */
};

/* What is known of a chunk that was written. */
struct pq_seen {
    bool is_copied;
    uint8_t digest[PQ_DIGEST]; /* of the rows that stay; of a copy only zeros */
};

/* Takes the digest of a column's rows, page by page; for one after the other. */
struct pq_digester *pq_digester_new(void);
void pq_digester_begin(struct pq_digester *digester);
/* 'spans' are those of the page. */
void pq_digester_add(struct pq_digester *digester, const struct pq_page *page,
                     const struct pq_values *dictionary, const struct pq_spans *spans);
void pq_digester_end(struct pq_digester *digester, const struct pq_column *column,
                     uint8_t out[PQ_DIGEST]);
/* For RC_CLEANUP. */
void pq_digester_drop(struct pq_digester **digester);

/* Entries of a dictionary that stay, and where they stand in the new one. Zeroed at first. */
struct pq_remap {
    uint32_t *places; /* of each old entry */
    size_t len, used;
    bool is_needed;  /* a page that stays has indices, be it of nulls alone */
    bool is_shorter; /* else the dictionary stays as it was, and the indices too */
    struct pq_values entries;
};

/* Reads the chunk to know which entries are used. It may have no dictionary. */
RC_MUST_CHECK enum rc_code pq_remap_find(struct pq_remap *remap, const struct pq_file *file,
                                         size_t group, size_t column, struct pq_rows erased,
                                         int64_t first_row, struct rc_error *err);
/* Whether the chunk's dictionary has entries that none of its rows refers to. */
RC_MUST_CHECK enum rc_code pq_has_strays(const struct pq_file *file, size_t group, size_t column,
                                         bool *out, struct rc_error *err);
/* Makes 'entries' of a dictionary that becomes shorter; texts are borrowed from it. */
RC_MUST_CHECK enum rc_code
pq_remap_entries(struct pq_remap *remap, const struct pq_values *dictionary, struct rc_error *err);
void pq_remap_clear(struct pq_remap *remap);

/* A page of what stays of another one, used again from page to page. */
struct pq_cut {
    struct pq_page page;
    size_t capacity; /* of the three */
    uint32_t *repetition, *definition, *indices;
    struct pq_values values;
};

void pq_cut_init(struct pq_cut *cut, const struct pq_column *column);
void pq_cut_clear(struct pq_cut *cut);
/* 'places' are where entries of the dictionary have moved to, or NULL. Lent until the next call. */
RC_MUST_CHECK enum rc_code pq_cut_page(struct pq_cut *cut, const struct pq_page *page,
                                       const struct pq_spans *spans, const uint32_t *places,
                                       const struct pq_page **out, struct rc_error *err);

/* Texts and levels of a page or a chunk, counted as SizeStatistics have them. */
struct pq_sizes {
    const struct pq_column *column;
    int64_t text_bytes;               /* of BYTE_ARRAY */
    int64_t *repetition, *definition; /* how often each level is there */
};

void pq_sizes_init(struct pq_sizes *sizes, const struct pq_column *column);
void pq_sizes_reset(struct pq_sizes *sizes);
void pq_sizes_clear(struct pq_sizes *sizes);
/* 'dictionary' is that of the page's indices, or NULL. */
void pq_sizes_add(struct pq_sizes *sizes, const struct pq_page *page,
                  const struct pq_values *dictionary);
void pq_sizes_merge(struct pq_sizes *sizes, const struct pq_sizes *more);
/* Makes the SizeStatistics in 'record' anew, with the fields that it had. */
RC_MUST_CHECK enum rc_code pq_sizes_write(const struct pq_sizes *sizes, struct pq_tree *tree,
                                          struct pq_node *record, struct rc_error *err);

/* A list of I64 in place of the one that a record has. */
RC_MUST_CHECK enum rc_code pq_set_numbers(struct pq_tree *tree, struct pq_node *record, int16_t id,
                                          const int64_t *numbers, size_t count,
                                          struct rc_error *err);

/*
 * The page index of a chunk that is written anew: made page by page, of what the old one had.
 * 'bounds' and 'histograms' are those of the pages, one behind the other.
 */
struct pq_index {
    const struct pq_column *column;
    bool has_offsets, has_columns; /* an OffsetIndex, a ColumnIndex */
    bool has_text_bytes, has_nulls, has_repetition, has_definition, has_nans;
    size_t longest_bound; /* bytes, in the old ColumnIndex */
    struct pq_index_page *pages;
    size_t len, capacity;
    struct rc_buf bounds, repetition, definition;
};

/* Reads what the old chunk has. One that is damaged is not made again: readers do without it. */
RC_MUST_CHECK enum rc_code pq_index_init(struct pq_index *index, const struct pq_file *file,
                                         const struct pq_column *column,
                                         const struct pq_chunk *chunk, struct rc_error *err);
void pq_index_clear(struct pq_index *index);
/* A page at its place in the new file; 'first_row' is of the new row group. */
void pq_index_add(struct pq_index *index, const struct pq_page *page, int64_t offset, int64_t len,
                  int64_t first_row, struct pq_statistics *statistics,
                  const struct pq_sizes *sizes);
/* Appends the indexes to those of the file, and names their places in the chunk. */
RC_MUST_CHECK enum rc_code pq_index_write(struct pq_index *index, struct pq_rewrite *rewrite,
                                          struct pq_node *node, struct rc_error *err);

/* Copies the page index of a chunk that was copied, and now begins at 'start'. */
RC_MUST_CHECK enum rc_code pq_index_copy(struct pq_rewrite *rewrite, const struct pq_chunk *chunk,
                                         int64_t start, struct pq_node *node, struct rc_error *err);

/*
 * Writes a chunk without some of its rows; the row group keeps others. 'first_row' is where the
 * group begins in the old file, 'node' the ColumnChunk to change.
 */
RC_MUST_CHECK enum rc_code pq_rewrite_chunk(struct pq_rewrite *rewrite, size_t group, size_t column,
                                            const struct pq_rows *erased, int64_t first_row,
                                            struct pq_node *node, struct rc_error *err);

#endif
