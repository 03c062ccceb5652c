/*
 * The hybrid of runs and packed bits, and the older packing that begins with the highest bit.
 */
#include "bits.h"
#include "encoding_internal.h"

enum {
    GROUP = 8, /* values are packed in groups of so many, which end at a byte's end */
    LEN_BYTES = 4,
};

static enum rc_code cut_off(size_t at, size_t count, struct rc_error *err)
{
    return rc_fail(err, RC_INVALID, "the data ends at value %zu of %zu", at, count);
}

unsigned pq_bits_of(uint32_t greatest)
{
    return greatest == 0 ? 0 : 32 - (unsigned)__builtin_clz(greatest);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void unpack(const uint8_t *data, size_t len, unsigned bits, size_t count, uint32_t *out)
{
    size_t ahead = pq_bits_ahead(len, bits, count);

    for (size_t i = 0; i < ahead; i++)
        out[i] = (uint32_t)pq_bits_at(data, i * bits, bits);
    for (size_t i = ahead; i < count; i++)
        out[i] = (uint32_t)pq_last_bits_at(data, len, i * bits, bits);
}

/* Reads up to 'count' values of a packed run; some writers leave the last group's padding out. */
static bool read_packed(const uint8_t **at, const uint8_t *end, uint64_t groups, unsigned bits,
                        size_t count, uint32_t *out, size_t *done)
{
    size_t left = (size_t)(end - *at);

    *done = groups < count / GROUP + 1 ? (size_t)groups * GROUP : count;
    if (*done > count)
        *done = count;
    if ((*done * bits + 7) / 8 > left)
        return false;
    unpack(*at, left, bits, *done, out);
    *at += groups <= left / bits ? (size_t)groups * bits : left;
    return true;
}

/* Reads a repeated value; false: it is cut off, or has more bits than it may. */
static bool read_repeated(const uint8_t **at, const uint8_t *end, unsigned bits, uint32_t *value)
{
    size_t bytes = (bits + 7) / 8;

    *value = 0;
    if ((size_t)(end - *at) < bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        *value |= (uint32_t) * (*at)++ << 8 * i;
    return *value <= pq_mask(bits);
}

enum rc_code pq_decode_hybrid(const uint8_t *data, size_t len, unsigned bits, size_t count,
                              uint32_t *out, struct rc_error *err)
{
    const uint8_t *at = data, *end;

    RC_ASSERT(bits <= 32);
    if (count == 0)
        return RC_OK;
    if (bits == 0) { /* all of them are 0, and not every writer says so */
        memset(out, 0, count * sizeof(*out));
        return RC_OK;
    }
    end = data + len;
    for (size_t done = 0, run; done < count; done += run) {
        uint32_t *values = out + done;
        uint64_t head;

        if (!pq_varint_read(&at, end, &head))
            return cut_off(done, count, err);
        if (head & 1) {
            if (!read_packed(&at, end, head >> 1, bits, count - done, values, &run))
                return cut_off(done, count, err);
        } else {
            uint32_t value;

            if (!read_repeated(&at, end, bits, &value))
                return rc_fail(err, RC_INVALID, "value %zu of %zu is not one of %u bits", done,
                               count, bits);
            run = head >> 1 < count - done ? (size_t)(head >> 1) : count - done;
            for (size_t i = 0; i < run; i++)
                values[i] = value;
        }
    }
    return RC_OK;
}

enum rc_code pq_decode_bit_packed(const uint8_t *data, size_t len, unsigned bits, size_t count,
                                  uint32_t *out, size_t *used, struct rc_error *err)
{
    uint64_t word = 0;
    unsigned filled = 0;

    RC_ASSERT(bits <= 32);
    *used = (count * bits + 7) / 8;
    if (*used > len)
        return cut_off(len * 8 / bits, count, err);
    for (size_t i = 0; i < count; i++) {
        for (; filled < bits; filled += 8)
            word = word << 8 | *data++;
        filled -= bits;
        out[i] = (uint32_t)(word >> filled & pq_mask(bits));
    }
    return RC_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* The last group is filled up with zeros. */
static void write_packed(const uint32_t *values, size_t count, unsigned bits, struct rc_buf *out)
{
    size_t groups = (count + GROUP - 1) / GROUP;
    uint8_t *begin = (uint8_t *)rc_buf_reserve(out, PQ_VARINT_BYTES + groups * bits + 8);
    uint8_t *end;
    struct pq_packer packer;

    if (!begin)
        return;
    packer = (struct pq_packer){ .out = pq_varint_write(begin, (uint64_t)groups << 1 | 1) };
    for (size_t i = 0; i < count; i++)
        pq_pack(&packer, values[i], bits);
    for (size_t i = count; i < groups * GROUP; i++)
        pq_pack(&packer, 0, bits);
    end = pq_pack_end(&packer);
    rc_buf_added(out, (size_t)(end - begin));
}

static void write_repeated(uint32_t value, size_t count, unsigned bits, struct rc_buf *out)
{
    uint8_t head[PQ_VARINT_BYTES + sizeof(value)];
    uint8_t *end = pq_varint_write(head, (uint64_t)count << 1);

    for (unsigned shift = 0; shift < bits; shift += 8)
        *end++ = (uint8_t)(value >> shift);
    rc_buf_add(out, head, (size_t)(end - head));
}

/* A run is worth its own header from a group on, and can only begin where a group does. */
void pq_encode_hybrid(const uint32_t *values, size_t count, unsigned bits, struct rc_buf *out)
{
    size_t packed = 0; /* from here on nothing is written yet */

    RC_ASSERT(bits <= 32 && count <= INT32_MAX);
    for (size_t at = 0; at < count;) {
        size_t run = 1;

        while (at + run < count && values[at + run] == values[at])
            run++;
        if (run >= GROUP || (at == packed && at + run == count)) {
            if (at > packed)
                write_packed(values + packed, at - packed, bits, out);
            write_repeated(values[at], run, bits, out);
            at += run;
            packed = at;
        } else {
            at += count - at < GROUP ? count - at : GROUP;
        }
    }
    if (packed < count)
        write_packed(values + packed, count - packed, bits, out);
}

void pq_encode_bit_packed(const uint32_t *values, size_t count, unsigned bits, struct rc_buf *out)
{
    size_t len = (count * bits + 7) / 8;
    uint8_t *room = (uint8_t *)rc_buf_reserve(out, len);
    uint64_t word = 0;
    unsigned filled = 0;

    RC_ASSERT(bits <= 32);
    if (!room)
        return;
    for (size_t i = 0; i < count; i++) {
        word = word << bits | values[i];
        for (filled += bits; filled >= 8; filled -= 8)
            *room++ = (uint8_t)(word >> (filled - 8));
    }
    if (filled > 0)
        *room = (uint8_t)(word << (8 - filled));
    rc_buf_added(out, len);
}

/* ---- booleans ------------------------------------------------------------------------------- */

enum rc_code pq_hybrid_booleans(const uint8_t *data, size_t len, size_t count,
                                struct pq_values *out, struct rc_error *err)
{
    RC_CLEANUP(pq_numbers_free) uint32_t *numbers = NULL;
    uint32_t data_len = len >= LEN_BYTES ? pq_load32(data) : 0;

    if (len < LEN_BYTES || data_len > len - LEN_BYTES)
        return cut_off(0, count, err);
    numbers = rc_malloc(count * sizeof(*numbers));
    if (pq_decode_hybrid(data + LEN_BYTES, data_len, 1, count, numbers, err))
        return err->code;
    for (size_t i = 0; i < count; i++)
        out->fixed[i] = (uint8_t)numbers[i];
    return RC_OK;
}

void pq_hybrid_booleans_write(const struct pq_values *values, struct rc_buf *out)
{
    RC_CLEANUP(pq_numbers_free)
    uint32_t *numbers = rc_malloc(values->len * sizeof(*numbers) + 1);
    size_t begin = out->len;
    uint8_t data_len[LEN_BYTES] = { 0 };

    for (size_t i = 0; i < values->len; i++)
        numbers[i] = values->fixed[i] & 1;
    rc_buf_add(out, data_len, sizeof(data_len));
    pq_encode_hybrid(numbers, values->len, 1, out);
    if (!out->overflow)
        pq_store32((uint8_t *)out->data + begin, (uint32_t)(out->len - begin - LEN_BYTES));
}
