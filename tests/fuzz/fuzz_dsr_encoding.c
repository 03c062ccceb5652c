/*
 * Values and levels in every encoding: what is decoded and encoded again is the same. The first
 * bytes say as what the others are read.
 */
#include <parquet/encoding.h>

#include <stdlib.h>
#include <string.h>

enum { HEAD = 4, LIMIT = 16 << 20, COUNT_LIMIT = 1 << 14 };

static const struct {
    enum pq_type type;
    int32_t width;
} types[] = {
    { PQ_BOOLEAN, 1 }, { PQ_INT32, 4 },  { PQ_INT64, 8 }, { PQ_INT96, 12 },
    { PQ_FLOAT, 4 },   { PQ_DOUBLE, 8 }, { PQ_FIXED, 3 }, { PQ_BYTE_ARRAY, 0 },
};

static void check_values(enum pq_encoding encoding, enum pq_type type, int32_t width,
                         const uint8_t *data, size_t len, size_t count)
{
    RC_CLEANUP(pq_values_clear) struct pq_values values, again;
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(out, LIMIT);

    pq_values_init(&values, width);
    pq_values_init(&again, width);
    if (pq_decode_values(encoding, type, data, len, count, &values, &err)) {
        RC_ASSERT(err.cause[0] != '\0');
        return;
    }
    RC_ASSERT(values.len == count);
    if (pq_encode_values(encoding, type, &values, &out, &err))
        return; /* more than the buffer's limit */
    RC_ASSERT(pq_decode_values(encoding, type, (const uint8_t *)out.data, out.len, count, &again,
                               &err) == RC_OK);
    for (size_t i = 0; i < count; i++) {
        struct pq_slice a = pq_value_at(&values, i), b = pq_value_at(&again, i);

        RC_ASSERT(a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0));
    }
}

static void check_numbers(bool is_hybrid, unsigned bits, const uint8_t *data, size_t len,
                          size_t count)
{
    uint32_t *numbers = rc_calloc(count + 1, sizeof(*numbers));
    uint32_t *again = rc_calloc(count + 1, sizeof(*again));
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(out, LIMIT);
    size_t used;

    if (is_hybrid && pq_decode_hybrid(data, len, bits, count, numbers, &err) == RC_OK) {
        pq_encode_hybrid(numbers, count, bits, &out);
        RC_ASSERT(pq_decode_hybrid((const uint8_t *)out.data, out.len, bits, count, again, &err) ==
                  RC_OK);
    } else if (!is_hybrid &&
               pq_decode_bit_packed(data, len, bits, count, numbers, &used, &err) == RC_OK) {
        pq_encode_bit_packed(numbers, count, bits, &out);
        RC_ASSERT(pq_decode_bit_packed((const uint8_t *)out.data, out.len, bits, count, again,
                                       &used, &err) == RC_OK &&
                  used == out.len);
    } else {
        memcpy(again, numbers, count * sizeof(*numbers));
    }
    RC_ASSERT(memcmp(numbers, again, count * sizeof(*numbers)) == 0);
    free(numbers);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t count;

    if (size < HEAD)
        return 0;
    count = (size_t)(data[2] << 8 | data[3]) % COUNT_LIMIT;
    if (data[0] < 0x40)
        check_values((enum pq_encoding)(data[0] & 0x0f), types[data[1] % 8].type,
                     types[data[1] % 8].width, data + HEAD, size - HEAD, count);
    else
        check_numbers(data[0] < 0x80, data[1] % 33, data + HEAD, size - HEAD, count);
    return 0;
}
