/*
 * Values and levels of a page, from their encodings and back. Pure: no I/O, no state.
 *
 * Nothing is interpreted: a value is the bytes that it is in its physical type, so that what is
 * decoded and encoded again is the same value to every reader. Source: Apache Parquet format,
 * Encodings.md. Decoders read data from anywhere: RC_INVALID says what cannot be, and at which
 * value.
 */
#ifndef DSR_PARQUET_ENCODING_H
#define DSR_PARQUET_ENCODING_H

#include "file.h"

enum pq_encoding { /* as the format numbers them */
                   PQ_PLAIN = 0,
                   PQ_PLAIN_DICTIONARY = 2,
                   PQ_RLE = 3,
                   PQ_BIT_PACKED = 4,
                   PQ_DELTA_BINARY_PACKED = 5,
                   PQ_DELTA_LENGTH_BYTE_ARRAY = 6,
                   PQ_DELTA_BYTE_ARRAY = 7,
                   PQ_RLE_DICTIONARY = 8,
                   PQ_BYTE_STREAM_SPLIT = 9,
};

struct pq_slice {
    const uint8_t *data;
    uint32_t len;
};

/*
 * Values of one column: of a fixed width one behind the other in 'fixed' (booleans a byte each), of
 * BYTE_ARRAY as 'slices', which borrow from the page or from 'own'. Reused from page to page.
 */
struct pq_values {
    int32_t width; /* as of the column; 0: slices */
    size_t len, capacity;
    uint8_t *fixed;
    struct pq_slice *slices;
    struct rc_buf own;
};

void pq_values_init(struct pq_values *values, int32_t width);
void pq_values_clear(struct pq_values *values);
/*
 * Room for so many, with 'len' 0 and nothing in 'own'; what was there before is lost. RC_TOO_LARGE:
 * above a gibibyte, which is the limit of 'own' too.
 */
RC_MUST_CHECK enum rc_code pq_values_reserve(struct pq_values *values, size_t len,
                                             struct rc_error *err);
/* A value's bytes, whatever its width. */
static inline struct pq_slice pq_value_at(const struct pq_values *values, size_t i)
{
    if (!values->width)
        return values->slices[i];
    return (struct pq_slice){ values->fixed + i * (size_t)values->width, (uint32_t)values->width };
}

/*
 * Exactly 'count' values; what is left of the data behind them is ignored, as readers do.
 * RC_UNSUPPORTED: the encoding is not known here, or not for this type (those of indices are not:
 * see pq_decode_hybrid()).
 */
RC_MUST_CHECK enum rc_code pq_decode_values(enum pq_encoding encoding, enum pq_type type,
                                            const uint8_t *data, size_t len, size_t count,
                                            struct pq_values *out, struct rc_error *err);
/* Appends all of them. */
RC_MUST_CHECK enum rc_code pq_encode_values(enum pq_encoding encoding, enum pq_type type,
                                            const struct pq_values *values, struct rc_buf *out,
                                            struct rc_error *err);

/*
 * The hybrid of runs and packed bits, without a length in front: levels and indices. Up to 32 bits;
 * of no bits are only zeros, for which the data is not looked at.
 */
RC_MUST_CHECK enum rc_code pq_decode_hybrid(const uint8_t *data, size_t len, unsigned bits,
                                            size_t count, uint32_t *out, struct rc_error *err);
void pq_encode_hybrid(const uint32_t *values, size_t count, unsigned bits, struct rc_buf *out);

/* Levels of the encoding that old writers have used, with the highest bit first. */
RC_MUST_CHECK enum rc_code pq_decode_bit_packed(const uint8_t *data, size_t len, unsigned bits,
                                                size_t count, uint32_t *out, size_t *used,
                                                struct rc_error *err);
void pq_encode_bit_packed(const uint32_t *values, size_t count, unsigned bits, struct rc_buf *out);

/* Bits that numbers up to 'greatest' need. */
unsigned pq_bits_of(uint32_t greatest);

#endif
