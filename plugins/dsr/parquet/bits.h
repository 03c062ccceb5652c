/*
 * Numbers in bits and bytes, as Parquet's encodings have them: little-endian, the lowest bit first.
 * Internal to the encodings.
 */
#ifndef DSR_PARQUET_BITS_H
#define DSR_PARQUET_BITS_H

#include <run-core/buf.h>

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { PQ_VARINT_BYTES = 10 }; /* of 64 bits */

static inline uint32_t pq_load32(const uint8_t *data)
{
    uint32_t value;

    memcpy(&value, data, sizeof(value));
    return le32toh(value);
}

static inline uint64_t pq_load64(const uint8_t *data)
{
    uint64_t value;

    memcpy(&value, data, sizeof(value));
    return le64toh(value);
}

static inline void pq_store32(uint8_t *out, uint32_t value)
{
    value = htole32(value);
    memcpy(out, &value, sizeof(value));
}

static inline void pq_store64(uint8_t *out, uint64_t value)
{
    value = htole64(value);
    memcpy(out, &value, sizeof(value));
}

/* Moves '*at' behind the number. False: it is cut off, or has more than 64 bits. */
static inline bool pq_varint_read(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0;

    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;

        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* Returns the end; writes up to PQ_VARINT_BYTES. */
static inline uint8_t *pq_varint_write(uint8_t *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *out++ = (uint8_t)(value | 0x80);
    *out++ = (uint8_t)value;
    return out;
}

static inline uint64_t pq_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static inline uint64_t pq_unzigzag(uint64_t value)
{
    return (value >> 1) ^ (0 - (value & 1));
}

static inline uint64_t pq_mask(unsigned bits)
{
    return bits < 64 ? ((uint64_t)1 << bits) - 1 : UINT64_MAX;
}

/* The value of up to 64 bits that begins at 'bit'; reads 9 bytes from there. */
static inline uint64_t pq_bits_at(const uint8_t *data, size_t bit, unsigned bits)
{
    const uint8_t *at = data + bit / 8;
    unsigned shift = bit % 8;
    uint64_t value = pq_load64(at) >> shift;

    if (shift + bits > 64)
        value |= (uint64_t)at[8] << (64 - shift);
    return value & pq_mask(bits);
}

/* The same at the data's end, behind which nothing is read. */
static inline uint64_t pq_last_bits_at(const uint8_t *data, size_t len, size_t bit, unsigned bits)
{
    uint8_t padded[9] = { 0 };
    size_t from = bit / 8, left = len - from;

    memcpy(padded, data + from, left < sizeof(padded) ? left : sizeof(padded));
    return pq_bits_at(padded, bit % 8, bits);
}

/* How many of 'count' values of 'bits' can be read with 9 bytes from where they begin. */
static inline size_t pq_bits_ahead(size_t len, unsigned bits, size_t count)
{
    size_t safe;

    if (len < 9)
        return 0;
    safe = bits == 0 ? count : (len - 9) * 8 / bits + 1;
    return safe < count ? safe : count;
}

/* Puts values one behind the other. */
struct pq_packer {
    uint8_t *out;
    uint64_t word;
    unsigned filled; /* bits of 'word', fewer than 64 */
};

static inline void pq_pack(struct pq_packer *packer, uint64_t value, unsigned bits)
{
    unsigned taken = 64 - packer->filled;

    packer->word |= value << packer->filled;
    if (bits < taken) {
        packer->filled += bits;
        return;
    }
    pq_store64(packer->out, packer->word);
    packer->out += sizeof(packer->word);
    packer->word = taken < 64 ? value >> taken : 0;
    packer->filled = bits - taken;
}

/* Writes the last bits and returns the end. */
static inline uint8_t *pq_pack_end(struct pq_packer *packer)
{
    for (; packer->filled > 0; packer->filled -= packer->filled < 8 ? packer->filled : 8) {
        *packer->out++ = (uint8_t)packer->word;
        packer->word >>= 8;
    }
    return packer->out;
}

#endif
