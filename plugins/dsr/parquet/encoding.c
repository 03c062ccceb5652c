/*
 * Which encoding goes with which type, and the room that values take. The encodings themselves are
 * in encoding_*.c.
 */
#include "encoding_internal.h"

#include <stdlib.h>
#include <string.h>

/* More than any writer puts into a page, and little enough to be had. */
enum { VALUES_LIMIT_BYTES = 1 << 30 };

static const char *const type_names[] = {
    [PQ_BOOLEAN] = "BOOLEAN", [PQ_INT32] = "INT32",           [PQ_INT64] = "INT64",
    [PQ_INT96] = "INT96",     [PQ_FLOAT] = "FLOAT",           [PQ_DOUBLE] = "DOUBLE",
    [PQ_FIXED] = "FIXED",     [PQ_BYTE_ARRAY] = "BYTE_ARRAY",
};

#define OF(type) (1u << (type))

enum {
    FIXED_TYPES =
        OF(PQ_INT32) | OF(PQ_INT64) | OF(PQ_INT96) | OF(PQ_FLOAT) | OF(PQ_DOUBLE) | OF(PQ_FIXED),
    SPLIT_TYPES = FIXED_TYPES & ~OF(PQ_INT96),
};

static const struct coding {
    enum pq_encoding encoding;
    unsigned types; /* OF() each */
    pq_decode *decode;
    pq_encode *encode;
} codings[] = {
    { PQ_PLAIN, OF(PQ_BOOLEAN), pq_plain_booleans, pq_plain_booleans_write },
    { PQ_PLAIN, OF(PQ_BYTE_ARRAY), pq_plain_bytes, pq_plain_bytes_write },
    { PQ_PLAIN, FIXED_TYPES, pq_plain_fixed, pq_plain_fixed_write },
    { PQ_RLE, OF(PQ_BOOLEAN), pq_hybrid_booleans, pq_hybrid_booleans_write },
    { PQ_DELTA_BINARY_PACKED, OF(PQ_INT32) | OF(PQ_INT64), pq_delta, pq_delta_write },
    { PQ_DELTA_LENGTH_BYTE_ARRAY, OF(PQ_BYTE_ARRAY), pq_delta_lengths, pq_delta_lengths_write },
    { PQ_DELTA_BYTE_ARRAY, OF(PQ_BYTE_ARRAY) | OF(PQ_FIXED), pq_delta_bytes, pq_delta_bytes_write },
    { PQ_BYTE_STREAM_SPLIT, SPLIT_TYPES, pq_stream_split, pq_stream_split_write },
};

/* ---- room ----------------------------------------------------------------------------------- */

void pq_values_init(struct pq_values *values, int32_t width)
{
    *values = (struct pq_values){ .width = width };
    rc_buf_init(&values->own, VALUES_LIMIT_BYTES);
}

void pq_values_clear(struct pq_values *values)
{
    free(values->fixed);
    free(values->slices);
    rc_buf_clear(&values->own);
    pq_values_init(values, values->width);
}

enum rc_code pq_values_reserve(struct pq_values *values, size_t len, struct rc_error *err)
{
    size_t width = values->width ? (size_t)values->width : sizeof(*values->slices);

    if (len > VALUES_LIMIT_BYTES / width)
        return rc_fail(err, RC_TOO_LARGE,
                       "%zu values of %zu bytes each in one page are more than the %d bytes that "
                       "are read at once",
                       len, width, VALUES_LIMIT_BYTES);
    values->len = 0;
    rc_buf_reset(&values->own);
    if (len > values->capacity || values->capacity == 0) {
        void *room = rc_malloc((len ? len : 1) * width);

        free(values->fixed);
        free(values->slices);
        values->fixed = values->width ? room : NULL;
        values->slices = values->width ? NULL : room;
        values->capacity = len ? len : 1;
    }
    return RC_OK;
}

/* ---- encodings ------------------------------------------------------------------------------ */

static enum rc_code find_coding(enum pq_encoding encoding, enum pq_type type,
                                const struct coding **out, struct rc_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < RC_ARRAY_LEN(codings); i++)
        if (codings[i].encoding == encoding && codings[i].types & OF(type)) {
            *out = &codings[i];
            return RC_OK;
        }
    return rc_fail(err, RC_UNSUPPORTED, "values of type %s in encoding number %d are not read here",
                   type_names[type], (int)encoding);
}

enum rc_code pq_decode_values(enum pq_encoding encoding, enum pq_type type, const uint8_t *data,
                              size_t len, size_t count, struct pq_values *out, struct rc_error *err)
{
    const struct coding *coding;

    if (find_coding(encoding, type, &coding, err) || pq_values_reserve(out, count, err))
        return err->code;
    if (count > 0 && coding->decode(data, len, count, out, err))
        return err->code;
    out->len = count;
    return RC_OK;
}

enum rc_code pq_encode_values(enum pq_encoding encoding, enum pq_type type,
                              const struct pq_values *values, struct rc_buf *out,
                              struct rc_error *err)
{
    const struct coding *coding;

    if (find_coding(encoding, type, &coding, err))
        return err->code;
    coding->encode(values, out);
    return rc_buf_check(out, err);
}
