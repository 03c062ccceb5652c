/*
 * Bloom filters of split blocks: asked for a value, and made again for fewer of them. Source:
 * Apache Parquet format, BloomFilter.md.
 */
#ifndef DSR_PARQUET_BLOOM_H
#define DSR_PARQUET_BLOOM_H

#include "encoding.h"
#include "file.h"

struct pq_bloom {
    struct pq_tree tree;
    struct pq_node header; /* BloomFilterHeader */
    uint8_t *bits;
    size_t len; /* bytes of 'bits', a multiple of those of a block */
};

/*
 * The filter of a chunk that has one ('bloom_offset' is not -1), to be cleared. RC_UNSUPPORTED: a
 * kind of filter invented since; RC_INVALID: it is damaged; RC_TOO_LARGE: beyond 'limit_bytes'.
 */
RC_MUST_CHECK enum rc_code pq_bloom_read(struct pq_bloom *out, const struct pq_file *file,
                                         const struct pq_chunk *chunk, size_t limit_bytes,
                                         struct rc_error *err);
void pq_bloom_clear(struct pq_bloom *bloom);

/* false: the value has not been added. */
bool pq_bloom_may_hold(const struct pq_bloom *bloom, struct pq_slice value);

/* Makes it a filter of the same size with nothing in it. */
void pq_bloom_empty(struct pq_bloom *bloom);
/* A value as its type's bytes, of BYTE_ARRAY without a length. */
void pq_bloom_add(struct pq_bloom *bloom, struct pq_slice value);
/* Appends header and bits. */
void pq_bloom_write(const struct pq_bloom *bloom, struct rc_buf *out);

#endif
