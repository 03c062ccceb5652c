/*
 * A Parquet file as it is written, from its first byte to its last.
 */
#ifndef DSR_PARQUET_REWRITE_OUT_H
#define DSR_PARQUET_REWRITE_OUT_H

#include "rewrite.h"

struct pq_out {
    const struct pq_sink *sink;
    int64_t bytes;  /* written so far */
    uint8_t *piece; /* of what is copied */
};

/* Writes what a file begins with. Whatever comes of it, to be cleared. */
RC_MUST_CHECK enum rc_code pq_out_begin(struct pq_out *out, const struct pq_sink *sink,
                                        struct rc_error *err);
void pq_out_clear(struct pq_out *out);

RC_MUST_CHECK enum rc_code pq_out_write(struct pq_out *out, const void *data, size_t len,
                                        struct rc_error *err);
/* Copies a part of a file byte for byte. */
RC_MUST_CHECK enum rc_code pq_out_copy(struct pq_out *out, const struct pq_file *file,
                                       int64_t offset, int64_t len, struct rc_error *err);
/* Appends a part of a file to a buffer. */
RC_MUST_CHECK enum rc_code pq_out_read(const struct pq_file *file, int64_t offset, size_t len,
                                       struct rc_buf *out, struct rc_error *err);
/* Writes the footer, and with it the end of the file. */
RC_MUST_CHECK enum rc_code pq_out_end(struct pq_out *out, const struct pq_node *metadata,
                                      struct rc_error *err);

/* What a copy of the file's metadata may take that is changed here and there. */
size_t pq_out_tree_limit(const struct pq_file *file);

/*
 * Leaves out fields of a chunk's metadata that were invented since: like most of those before them
 * they may tell of values that are gone, or of places in the file, which move.
 */
void pq_out_drop_unknown(struct pq_node *node);

/*
 * Moves what a copied chunk's metadata says of places in it to where it lies now: 'start' is its
 * first byte. Places that it does not have are no longer named.
 */
RC_MUST_CHECK enum rc_code pq_out_move_chunk(struct pq_tree *tree, struct pq_node *node,
                                             const struct pq_chunk *chunk, int64_t start,
                                             struct rc_error *err);

/*
 * The place that a ColumnChunk itself names: that of its first page, with some writers. 0: it is
 * another one, as of a second copy of the metadata, which is not taken along.
 */
int64_t pq_out_file_offset(const struct pq_node *node, const struct pq_chunk *chunk);

/* RC_UNSUPPORTED, naming the column: the chunk is encrypted, or lies in another file. */
RC_MUST_CHECK enum rc_code pq_out_check_chunk(const struct pq_file *file, size_t group,
                                              size_t column, struct rc_error *err);

#endif
