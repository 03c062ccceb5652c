/*
 * Values and levels: what is encoded comes back whatever it is, what the format's own text and its
 * test files hold is read, and what cannot be is refused without a byte read behind the data.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parquet/encoding.h"

#include <chance.h>

#include <stdlib.h>
#include <string.h>

enum { LIMIT = 64 << 20 };

/* Into blocks of exactly that size, so that the sanitizer sees a byte too many. */
static uint8_t *exact(const void *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

static void assert_same(const struct pq_values *a, const struct pq_values *b)
{
    assert_int_equal(a->len, b->len);
    for (size_t i = 0; i < a->len; i++) {
        struct pq_slice x = pq_value_at(a, i), y = pq_value_at(b, i);

        assert_int_equal(x.len, y.len);
        assert_memory_equal(x.data, y.data, x.len);
    }
}

static enum rc_code decode(enum pq_encoding encoding, enum pq_type type, const void *data,
                           size_t len, size_t count, struct pq_values *out, struct rc_error *err)
{
    return pq_decode_values(encoding, type, data, len, count, out, err);
}

/* Encodes, decodes, compares; then every shorter beginning is refused or gives as many values. */
static void assert_comes_back(enum pq_encoding encoding, enum pq_type type,
                              const struct pq_values *values)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(pq_values_clear) struct pq_values again;
    RC_BUF_AUTO(data, LIMIT);
    uint8_t *copy;

    pq_values_init(&again, values->width);
    rc_buf_adds(&data, "before");
    assert_int_equal(pq_encode_values(encoding, type, values, &data, &err), RC_OK);
    assert_memory_equal(data.data, "before", 6);
    copy = exact(data.data + 6, data.len - 6);
    assert_int_equal(decode(encoding, type, copy, data.len - 6, values->len, &again, &err), RC_OK);
    assert_same(values, &again);
    free(copy);

    for (size_t cut = 1; cut < 40 && cut <= data.len - 6 && values->len > 0; cut++) {
        enum rc_code code;

        copy = exact(data.data + 6, data.len - 6 - cut);
        code = decode(encoding, type, copy, data.len - 6 - cut, values->len, &again, &err);
        assert_true(code == RC_INVALID || (code == RC_OK && again.len == values->len));
        free(copy);
    }
}

/* ---- values --------------------------------------------------------------------------------- */

static const size_t counts[] = { 0, 1, 2, 7, 8, 9, 31, 32, 33, 128, 129, 130, 257, 1000 };

/* Numbers of one of several habits: all equal, rising, wild, extremes. */
static void fill_fixed(struct pq_values *values, size_t count, unsigned habit,
                       struct chance *chance)
{
    static const uint64_t extremes[] = { 0,          1,         UINT64_MAX, INT64_MAX,
                                         1ull << 63, INT32_MAX, 1ull << 31, UINT32_MAX };
    struct rc_error err = RC_ERROR_INIT;
    size_t width = (size_t)values->width;
    uint64_t base = chance_any(chance);

    assert_int_equal(pq_values_reserve(values, count, &err), RC_OK);
    for (size_t i = 0; i < count; i++) {
        uint8_t *value = values->fixed + i * width;
        uint64_t number = habit == 0   ? base
                          : habit == 1 ? base += chance_below(chance, 100)
                          : habit == 2 ? chance_any(chance)
                          : habit == 3 ? extremes[chance_below(chance, RC_ARRAY_LEN(extremes))]
                                       : chance_any(chance) >> chance_below(chance, 64);

        for (size_t k = 0; k < width; k++)
            value[k] = (uint8_t)(number >> k % 8 * 8);
    }
    values->len = count;
}

static void fixed_values_come_back(void **state)
{
    static const struct {
        enum pq_encoding encoding;
        enum pq_type type;
        int32_t width;
    } cases[] = {
        { PQ_PLAIN, PQ_INT32, 4 },
        { PQ_PLAIN, PQ_INT64, 8 },
        { PQ_PLAIN, PQ_INT96, 12 },
        { PQ_PLAIN, PQ_FLOAT, 4 },
        { PQ_PLAIN, PQ_DOUBLE, 8 },
        { PQ_PLAIN, PQ_FIXED, 1 },
        { PQ_PLAIN, PQ_FIXED, 16 },
        { PQ_DELTA_BINARY_PACKED, PQ_INT32, 4 },
        { PQ_DELTA_BINARY_PACKED, PQ_INT64, 8 },
        { PQ_BYTE_STREAM_SPLIT, PQ_INT32, 4 },
        { PQ_BYTE_STREAM_SPLIT, PQ_DOUBLE, 8 },
        { PQ_BYTE_STREAM_SPLIT, PQ_FLOAT, 4 },
        { PQ_BYTE_STREAM_SPLIT, PQ_INT64, 8 },
        { PQ_BYTE_STREAM_SPLIT, PQ_FIXED, 2 },
        { PQ_BYTE_STREAM_SPLIT, PQ_FIXED, 16 },
        { PQ_DELTA_BYTE_ARRAY, PQ_FIXED, 16 },
        { PQ_DELTA_BYTE_ARRAY, PQ_FIXED, 3 },
    };
    struct chance chance = chance_new(__func__);

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++)
        for (size_t k = 0; k < RC_ARRAY_LEN(counts); k++)
            for (unsigned habit = 0; habit < 5; habit++) {
                RC_CLEANUP(pq_values_clear) struct pq_values values;

                pq_values_init(&values, cases[i].width);
                fill_fixed(&values, counts[k], habit, &chance);
                assert_comes_back(cases[i].encoding, cases[i].type, &values);
            }
}

static void booleans_come_back(void **state)
{
    struct chance chance = chance_new(__func__);

    (void)state;
    for (size_t k = 0; k < RC_ARRAY_LEN(counts); k++)
        for (unsigned habit = 0; habit < 5; habit++) {
            RC_CLEANUP(pq_values_clear) struct pq_values values;

            pq_values_init(&values, 1);
            fill_fixed(&values, counts[k], habit, &chance);
            for (size_t i = 0; i < values.len; i++)
                values.fixed[i] &= 1;
            assert_comes_back(PQ_PLAIN, PQ_BOOLEAN, &values);
            assert_comes_back(PQ_RLE, PQ_BOOLEAN, &values);
        }
}

static void byte_arrays_come_back(void **state)
{
    static const enum pq_encoding encodings[] = { PQ_PLAIN, PQ_DELTA_LENGTH_BYTE_ARRAY,
                                                  PQ_DELTA_BYTE_ARRAY };
    struct chance chance = chance_new(__func__);
    struct rc_error err = RC_ERROR_INIT;
    uint8_t text[400];

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i < 200 ? 'a' : chance_any(&chance));
    for (size_t k = 0; k < RC_ARRAY_LEN(counts); k++)
        for (unsigned longest = 0; longest <= 200; longest += 50) {
            RC_CLEANUP(pq_values_clear) struct pq_values values;

            pq_values_init(&values, 0);
            assert_int_equal(pq_values_reserve(&values, counts[k], &err), RC_OK);
            for (size_t i = 0; i < counts[k]; i++)
                values.slices[i] =
                    (struct pq_slice){ text + chance_below(&chance, 200),
                                       (uint32_t)chance_below(&chance, longest + 1) };
            values.len = counts[k];
            for (size_t i = 0; i < RC_ARRAY_LEN(encodings); i++)
                assert_comes_back(encodings[i], PQ_BYTE_ARRAY, &values);
        }
}

/* A page's values take the place of those of the page before. */
static void values_are_reused(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(pq_values_clear) struct pq_values values;
    const uint8_t data[] = { 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0 };

    (void)state;
    pq_values_init(&values, 4);
    for (size_t count = 0; count <= 3; count++) {
        assert_int_equal(decode(PQ_PLAIN, PQ_INT32, data, sizeof(data), count, &values, &err),
                         RC_OK);
        assert_int_equal(values.len, count);
        assert_memory_equal(values.fixed, data, count * 4);
    }
    assert_int_equal(decode(PQ_PLAIN, PQ_INT32, data, sizeof(data), 4, &values, &err), RC_INVALID);
    assert_int_equal(pq_values_reserve(&values, SIZE_MAX / 2, &err), RC_TOO_LARGE);
}

/* ---- what the format's text gives ----------------------------------------------------------- */

static void the_examples_of_the_format_are_read(void **state)
{
    /* Encodings.md: the numbers 0 to 7 in 3 bits, in both orders. */
    static const uint8_t low_first[] = { 3, 0x88, 0xc6, 0xfa }, high_first[] = { 0x05, 0x39, 0x77 };
    /* Delta: 1 to 5, and 7, 5, 3, 1, 2, 3, 4, 5, in blocks of 8. */
    static const uint8_t rising[] = { 8, 1, 5, 2, 2, 0 };
    static const uint8_t wavering[] = { 8, 1, 8, 14, 3, 2, 0xc0, 0x3f };
    static const int32_t wavers[] = { 7, 5, 3, 1, 2, 3, 4, 5 };
    /* Byte stream split: three values of four bytes. */
    static const uint8_t split[] = { 0xaa, 0x00, 0xa3, 0xbb, 0x11, 0xb4,
                                     0xcc, 0x22, 0xc5, 0xdd, 0x33, 0xd6 };
    static const uint8_t joined[] = { 0xaa, 0xbb, 0xcc, 0xdd, 0x00, 0x11,
                                      0x22, 0x33, 0xa3, 0xb4, 0xc5, 0xd6 };
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(pq_values_clear) struct pq_values values;
    uint32_t numbers[8];
    size_t used;

    (void)state;
    assert_int_equal(pq_decode_hybrid(low_first, 4, 3, 8, numbers, &err), RC_OK);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(numbers[i], i);
    memset(numbers, 0xff, sizeof(numbers));
    assert_int_equal(pq_decode_bit_packed(high_first, 3, 3, 8, numbers, &used, &err), RC_OK);
    assert_int_equal(used, 3);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(numbers[i], i);

    pq_values_init(&values, 4);
    assert_int_equal(decode(PQ_DELTA_BINARY_PACKED, PQ_INT32, rising, 6, 5, &values, &err), RC_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(((int32_t *)(void *)values.fixed)[i], i + 1);
    assert_int_equal(decode(PQ_DELTA_BINARY_PACKED, PQ_INT32, wavering, 8, 8, &values, &err),
                     RC_OK);
    assert_memory_equal(values.fixed, wavers, sizeof(wavers));
    assert_int_equal(decode(PQ_BYTE_STREAM_SPLIT, PQ_FLOAT, split, 12, 3, &values, &err), RC_OK);
    assert_memory_equal(values.fixed, joined, 12);
}

static void set_texts(struct pq_values *values, const char *const *texts, size_t count)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(pq_values_reserve(values, count, &err), RC_OK);
    for (size_t i = 0; i < count; i++)
        values->slices[i] =
            (struct pq_slice){ (const uint8_t *)texts[i], (uint32_t)strlen(texts[i]) };
    values->len = count;
}

/* The bytes follow from the examples of Encodings.md, with blocks of 128 in 4 parts. */
static void the_examples_of_the_format_are_written(void **state)
{
    static const char *const lengths[] = { "Hello", "World", "Foobar", "ABCDEF" };
    static const char lengths_data[] = "\x80\x01\x04\x04\x0a\x00\x01\x00\x00\x00\x02\x00\x00\x00"
                                       "HelloWorldFoobarABCDEF";
    static const char *const prefixes[] = { "axis", "axle", "babble", "babyhood" };
    /* Differences 2, -2, 3 and -2, 4, -1, above -2 of 3 bits each: 4, 0, 5 and 0, 6, 1. */
    static const char prefixes_data[] =
        "\x80\x01\x04\x04\x00\x03\x03\x00\x00\x00\x44\x01\0\0\0\0\0\0\0\0\0\0"
        "\x80\x01\x04\x04\x08\x03\x03\x00\x00\x00\x70\x00\0\0\0\0\0\0\0\0\0\0"
        "axislebabbleyhood";
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(pq_values_clear) struct pq_values values;
    RC_BUF_AUTO(data, LIMIT);

    (void)state;
    pq_values_init(&values, 0);
    set_texts(&values, lengths, 4);
    assert_int_equal(
        pq_encode_values(PQ_DELTA_LENGTH_BYTE_ARRAY, PQ_BYTE_ARRAY, &values, &data, &err), RC_OK);
    assert_int_equal(data.len, 14 + 4 - 4 + 22 + 4 - 4);
    assert_memory_equal(data.data, lengths_data, 10);
    assert_memory_equal(data.data + data.len - 22, lengths_data + 14, 22);

    rc_buf_reset(&data);
    set_texts(&values, prefixes, 4);
    assert_int_equal(pq_encode_values(PQ_DELTA_BYTE_ARRAY, PQ_BYTE_ARRAY, &values, &data, &err),
                     RC_OK);
    assert_int_equal(data.len, sizeof(prefixes_data) - 1);
    assert_memory_equal(data.data, prefixes_data, data.len);
}

/* ---- differences ---------------------------------------------------------------------------- */

/* Parts of 8 values, of 24, of 64 bits; padding left out at the end; more values than wanted. */
static void differences_of_other_writers_are_read(void **state)
{
    static const uint8_t small[] = { 16, 2, 17, 0, 2, 0, 1, 0x55 };
    static const uint8_t wide[] = { 8, 1, 3,    1,   0,   64,  1,   0,   0,   0,   0,
                                    0, 0, 0x80, 255, 255, 255, 255, 255, 255, 255, 255 };
    static const uint8_t odd[] = { 24, 1, 4, 0, 0, 5, 0x41, 0x0c };
    static const uint8_t numbers[] = { 8, 1, 9, 2, 2, 0 };
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(pq_values_clear) struct pq_values values;
    uint8_t *copy = exact(wide, sizeof(wide));
    const int64_t *out;

    (void)state;
    pq_values_init(&values, 8);
    assert_int_equal(decode(PQ_DELTA_BINARY_PACKED, PQ_INT64, small, 8, 17, &values, &err), RC_OK);
    out = (const int64_t *)(void *)values.fixed;
    assert_int_equal(out[8], 8);
    assert_int_equal(out[16], 8 + 8 + 4);
    assert_int_equal(decode(PQ_DELTA_BINARY_PACKED, PQ_INT64, copy, sizeof(wide), 3, &values, &err),
                     RC_OK);
    out = (const int64_t *)(void *)values.fixed;
    assert_int_equal(out[0], -1);
    assert_true(out[1] == INT64_MIN);
    assert_true(out[2] == INT64_MAX);
    assert_int_equal(decode(PQ_DELTA_BINARY_PACKED, PQ_INT64, odd, 8, 4, &values, &err), RC_OK);
    out = (const int64_t *)(void *)values.fixed;
    assert_int_equal(out[1], 1);
    assert_int_equal(out[2], 1 + 2);
    assert_int_equal(out[3], 1 + 2 + 3);
    assert_int_equal(decode(PQ_DELTA_BINARY_PACKED, PQ_INT64, numbers, 6, 5, &values, &err), RC_OK);
    free(copy);
}

static void differences_that_cannot_be_are_refused(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        enum pq_encoding encoding;
        const char *says;
    } cases[] = {
        { "\x08\x00\x05\x02", 4, PQ_DELTA_BINARY_PACKED, "cannot be" },
        { "\x00\x01\x05\x02", 4, PQ_DELTA_BINARY_PACKED, "cannot be" },
        { "\x08\x03\x05\x02", 4, PQ_DELTA_BINARY_PACKED, "cannot be" },
        { "\x0c\x01\x05\x02", 4, PQ_DELTA_BINARY_PACKED, "cannot be" },
        { "\x80\x80\x80\x80\x08\x01\x05\x02", 8, PQ_DELTA_BINARY_PACKED, "cannot be" },
        { "\x08\x01\x04\x02\x02\x00", 6, PQ_DELTA_BINARY_PACKED, "should be 5" },
        { "\x08\x01\x05\x02\x02\x41", 6, PQ_DELTA_BINARY_PACKED, "65 bits" },
        { "\x08\x01\x05\x02\x02\x08\x00", 7, PQ_DELTA_BINARY_PACKED, "cut off" },
        { "\x08\x01\x05\x02\x02", 5, PQ_DELTA_BINARY_PACKED, "cut off" },
        { "\x08\x01\x05", 3, PQ_DELTA_BINARY_PACKED, "cut off" },
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, PQ_DELTA_BINARY_PACKED, "cut off" },
        { "", 0, PQ_DELTA_BINARY_PACKED, "cut off" },
        { "\x08\x01\x06\x02\x02\x00", 6, PQ_DELTA_LENGTH_BYTE_ARRAY, "should be 5" },
        { "\x08\x01\x05\x01\x00\x00", 6, PQ_DELTA_LENGTH_BYTE_ARRAY, "below 0" },
        { "\x08\x01\x05\x02\x00\x00xxxx", 10, PQ_DELTA_LENGTH_BYTE_ARRAY, "5 bytes" },
        { "\x08\x01\x05\x02\x00\x00\x08\x01\x05\x02\x00\x00xxxxx", 17, PQ_DELTA_BYTE_ARRAY,
          "begins with 1" },
        { "\x08\x01\x05\x00\x00\x00\x08\x01\x05\x02\x00\x00xxxx", 16, PQ_DELTA_BYTE_ARRAY,
          "5 bytes" },
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        bool is_text = cases[i].encoding != PQ_DELTA_BINARY_PACKED;
        RC_CLEANUP(pq_values_clear) struct pq_values values;
        uint8_t *copy = exact(cases[i].data, cases[i].len);

        pq_values_init(&values, is_text ? 0 : 4);
        assert_int_equal(decode(cases[i].encoding, is_text ? PQ_BYTE_ARRAY : PQ_INT32, copy,
                                cases[i].len, 5, &values, &err),
                         RC_INVALID);
        assert_non_null(strstr(err.cause, cases[i].says));
        free(copy);
    }
}

/* Few bytes that would become many: each value begins as the one before, which is long. */
static void prefixes_do_not_take_all_memory(void **state)
{
    enum { LONG = 1 << 20, COUNT = 3000 };
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(pq_values_clear) struct pq_values values, lengths;
    RC_BUF_AUTO(data, LIMIT);

    (void)state;
    pq_values_init(&lengths, 4);
    pq_values_init(&values, 0);
    for (int part = 0; part < 2; part++) {
        assert_int_equal(pq_values_reserve(&lengths, COUNT, &err), RC_OK);
        for (size_t i = 0; i < COUNT; i++)
            ((uint32_t *)(void *)lengths.fixed)[i] = (i == 0) == (part == 1) ? LONG : 0;
        lengths.len = COUNT;
        assert_int_equal(pq_encode_values(PQ_DELTA_BINARY_PACKED, PQ_INT32, &lengths, &data, &err),
                         RC_OK);
    }
    for (size_t i = 0; i < LONG; i++)
        rc_buf_addc(&data, 'x');
    assert_int_equal(
        decode(PQ_DELTA_BYTE_ARRAY, PQ_BYTE_ARRAY, data.data, data.len, COUNT, &values, &err),
        RC_TOO_LARGE);
    assert_int_equal(values.own.capacity, 0);
}

/* ---- the hybrid ----------------------------------------------------------------------------- */

static void numbers_of_all_widths_come_back(void **state)
{
    struct chance chance = chance_new(__func__);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (unsigned bits = 0; bits <= 32; bits++)
        for (size_t k = 0; k < RC_ARRAY_LEN(counts); k++)
            for (unsigned habit = 0; habit < 4; habit++) {
                size_t count = counts[k], used;
                uint32_t mask = (uint32_t)((1ull << bits) - 1);
                uint32_t *numbers = malloc(count * 4 + 1), *again = malloc(count * 4 + 1), last = 0;
                RC_BUF_AUTO(data, LIMIT);
                uint8_t *copy;

                assert_non_null(numbers);
                assert_non_null(again);
                for (size_t i = 0; i < count; i++) {
                    /* Runs of about 1, 8 and 40; and all equal. */
                    if (habit == 0 || (habit < 3 && chance_below(&chance, habit * 30 - 22) == 0))
                        last = (uint32_t)chance_any(&chance) & mask;
                    numbers[i] = habit == 3 ? mask : last;
                }
                pq_encode_hybrid(numbers, count, bits, &data);
                copy = exact(data.data, data.len);
                assert_int_equal(pq_decode_hybrid(copy, data.len, bits, count, again, &err), RC_OK);
                assert_memory_equal(numbers, again, count * 4);
                if (count > 0 && bits > 0 && data.len > 0)
                    assert_int_equal(pq_decode_hybrid(copy, 0, bits, count, again, &err),
                                     RC_INVALID);
                if (habit == 3)
                    assert_true(data.len <= 6);
                free(copy);

                rc_buf_reset(&data);
                pq_encode_bit_packed(numbers, count, bits, &data);
                copy = exact(data.data, data.len);
                assert_int_equal(data.len, (count * bits + 7) / 8);
                assert_int_equal(
                    pq_decode_bit_packed(copy, data.len, bits, count, again, &used, &err), RC_OK);
                assert_int_equal(used, data.len);
                assert_memory_equal(numbers, again, count * 4);
                if (data.len > 0)
                    assert_int_equal(
                        pq_decode_bit_packed(copy, data.len - 1, bits, count, again, &used, &err),
                        RC_INVALID);
                free(copy);
                free(numbers);
                free(again);
            }
}

static void the_hybrid_of_other_writers_is_read(void **state)
{
    /* A run of 0, a run, a packed group whose padding is left out, of 10 bits. */
    static const uint8_t data[] = { 0, 0, 0, 6, 0xff, 0x03, 3, 0x01, 0x08, 0x30 };
    static const uint32_t expected[] = { 1023, 1023, 1023, 1, 2 };
    /* Runs that are longer than what is wanted, up to any length. */
    static const uint8_t longer[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 7 };
    static const uint8_t repeated[] = {
        0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1
    };
    struct rc_error err = RC_ERROR_INIT;
    uint32_t out[8];

    (void)state;
    assert_int_equal(pq_decode_hybrid(data, sizeof(data), 10, 5, out, &err), RC_OK);
    assert_memory_equal(out, expected, sizeof(expected));
    assert_int_equal(pq_decode_hybrid(longer, sizeof(longer), 1, 8, out, &err), RC_OK);
    assert_int_equal(out[2], 1);
    assert_int_equal(out[3], 0);
    assert_int_equal(pq_decode_hybrid(longer, sizeof(longer), 2, 8, out, &err), RC_INVALID);
    assert_int_equal(pq_decode_hybrid(repeated, sizeof(repeated), 1, 8, out, &err), RC_OK);
    assert_int_equal(out[7], 1);
    assert_int_equal(pq_decode_hybrid(NULL, 0, 0, 8, out, &err), RC_OK);
    assert_int_equal(out[7], 0);
}

static void runs_that_cannot_be_are_refused(void **state)
{
    static const uint8_t too_wide[] = { 16, 2 }, endless[] = { 0, 0, 0, 0, 0, 0, 0, 0 };
    struct rc_error err = RC_ERROR_INIT;
    uint32_t out[8];

    (void)state;
    assert_int_equal(pq_decode_hybrid(too_wide, 2, 1, 8, out, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "value 0 of 8"));
    assert_int_equal(pq_decode_hybrid(endless, 7, 7, 8, out, &err), RC_INVALID);
    assert_int_equal(pq_decode_hybrid(endless, 1, 7, 8, out, &err), RC_INVALID);
    assert_int_equal(pq_decode_hybrid((const uint8_t *)"\x03\x01\x02", 3, 7, 8, out, &err),
                     RC_INVALID);
    assert_int_equal(pq_decode_hybrid((const uint8_t *)"\xff", 1, 7, 8, out, &err), RC_INVALID);
}

static void bits_are_counted(void **state)
{
    (void)state;
    assert_int_equal(pq_bits_of(0), 0);
    assert_int_equal(pq_bits_of(1), 1);
    assert_int_equal(pq_bits_of(2), 2);
    assert_int_equal(pq_bits_of(3), 2);
    assert_int_equal(pq_bits_of(4), 3);
    assert_int_equal(pq_bits_of(UINT32_MAX), 32);
}

/* ---- what does not go together -------------------------------------------------------------- */

static void encodings_go_with_their_types_only(void **state)
{
    static const struct {
        enum pq_encoding encoding;
        enum pq_type type;
        int32_t width;
    } cases[] = {
        { PQ_RLE, PQ_INT32, 4 },
        { PQ_DELTA_BINARY_PACKED, PQ_FLOAT, 4 },
        { PQ_DELTA_LENGTH_BYTE_ARRAY, PQ_FIXED, 4 },
        { PQ_DELTA_BYTE_ARRAY, PQ_INT32, 4 },
        { PQ_BYTE_STREAM_SPLIT, PQ_BYTE_ARRAY, 0 },
        { PQ_BYTE_STREAM_SPLIT, PQ_INT96, 12 },
        { PQ_RLE_DICTIONARY, PQ_INT32, 4 },
        { (enum pq_encoding)10, PQ_DOUBLE, 8 },
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_CLEANUP(pq_values_clear) struct pq_values values;
        RC_BUF_AUTO(out, LIMIT);

        pq_values_init(&values, cases[i].width);
        assert_int_equal(decode(cases[i].encoding, cases[i].type, "", 0, 0, &values, &err),
                         RC_UNSUPPORTED);
        assert_int_equal(pq_encode_values(cases[i].encoding, cases[i].type, &values, &out, &err),
                         RC_UNSUPPORTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_values_come_back),
        cmocka_unit_test(booleans_come_back),
        cmocka_unit_test(byte_arrays_come_back),
        cmocka_unit_test(values_are_reused),
        cmocka_unit_test(the_examples_of_the_format_are_read),
        cmocka_unit_test(the_examples_of_the_format_are_written),
        cmocka_unit_test(differences_of_other_writers_are_read),
        cmocka_unit_test(differences_that_cannot_be_are_refused),
        cmocka_unit_test(prefixes_do_not_take_all_memory),
        cmocka_unit_test(numbers_of_all_widths_come_back),
        cmocka_unit_test(the_hybrid_of_other_writers_is_read),
        cmocka_unit_test(runs_that_cannot_be_are_refused),
        cmocka_unit_test(bits_are_counted),
        cmocka_unit_test(encodings_go_with_their_types_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
