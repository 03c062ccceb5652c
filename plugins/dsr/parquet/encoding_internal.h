/*
 * The encodings of values, each in a file of its own; encoding.c knows which goes with what.
 */
#ifndef DSR_PARQUET_ENCODING_INTERNAL_H
#define DSR_PARQUET_ENCODING_INTERNAL_H

#include "encoding.h"

#include <stdlib.h>

/*
 * Decoders are given room for 'count' values, of which there is one at least, and set all of them.
 * Encoders append to 'out', whose overflow the caller finds.
 */
typedef enum rc_code pq_decode(const uint8_t *data, size_t len, size_t count, struct pq_values *out,
                               struct rc_error *err);
typedef void pq_encode(const struct pq_values *values, struct rc_buf *out);

/* For RC_CLEANUP. */
static inline void pq_numbers_free(uint32_t **numbers)
{
    free(*numbers);
}

pq_decode pq_plain_booleans, pq_plain_fixed, pq_plain_bytes;
pq_encode pq_plain_booleans_write, pq_plain_fixed_write, pq_plain_bytes_write;

/* Booleans by the hybrid, with its length in front. */
pq_decode pq_hybrid_booleans;
pq_encode pq_hybrid_booleans_write;

/* Values of 4 or of 8 bytes. */
pq_decode pq_delta;
pq_encode pq_delta_write;

pq_decode pq_delta_lengths, pq_delta_bytes;
pq_encode pq_delta_lengths_write, pq_delta_bytes_write;

pq_decode pq_stream_split;
pq_encode pq_stream_split_write;

#endif
