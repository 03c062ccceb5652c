/*
 * The three encodings by differences: of integers, of the lengths of byte arrays, and of byte
 * arrays that begin as the one before. All arithmetic wraps around, as the format has it.
 */
#include "bits.h"
#include "encoding_internal.h"

enum {
    BLOCK = 128, /* as we write them: the least that the format allows, and what others write */
    MINIBLOCKS = 4,
    MINIBLOCK = BLOCK / MINIBLOCKS,
    BATCH = 64, /* values unpacked at once */
};

static inline uint64_t load(const uint8_t *data, size_t width)
{
    return width == 4 ? (uint64_t)(int32_t)pq_load32(data) : pq_load64(data);
}

static inline void store(uint8_t *out, size_t width, uint64_t value)
{
    if (width == 4)
        pq_store32(out, (uint32_t)value);
    else
        pq_store64(out, value);
}

/* ---- reading numbers ------------------------------------------------------------------------ */

struct reader {
    const uint8_t *at, *end;
    size_t width;         /* of the numbers, 4 or 8 bytes */
    size_t miniblock;     /* values in each */
    uint64_t miniblocks;  /* in each block */
    uint64_t total, last; /* numbers in all; the one read last */
};

static enum rc_code read_head(struct reader *reader, size_t count, struct rc_error *err)
{
    uint64_t block, first;

    if (!pq_varint_read(&reader->at, reader->end, &block) ||
        !pq_varint_read(&reader->at, reader->end, &reader->miniblocks) ||
        !pq_varint_read(&reader->at, reader->end, &reader->total) ||
        !pq_varint_read(&reader->at, reader->end, &first))
        return rc_fail(err, RC_INVALID, "the head of the differences is cut off");
    if (reader->miniblocks == 0 || block > INT32_MAX || block % reader->miniblocks != 0 ||
        block / reader->miniblocks % 8 != 0 || block == 0)
        return rc_fail(err, RC_INVALID, "blocks of %llu differences in %llu parts cannot be",
                       (unsigned long long)block, (unsigned long long)reader->miniblocks);
    if (reader->total < count)
        return rc_fail(err, RC_INVALID, "there are %llu values, and should be %zu",
                       (unsigned long long)reader->total, count);
    reader->miniblock = (size_t)(block / reader->miniblocks);
    reader->last = pq_unzigzag(first);
    return RC_OK;
}

/*
 * Adds up 'count' differences of 'bits' above 'least'; a number each goes to 'out'. Inlined with
 * 'width' a constant.
 */
static inline void add_up(struct reader *reader, size_t width, uint64_t least, unsigned bits,
                          size_t count, uint8_t *out)
{
    const uint8_t *data = reader->at;
    size_t len = (size_t)(reader->end - reader->at);
    uint64_t value = reader->last;

    for (size_t begin = 0; begin < count; begin += BATCH) {
        size_t batch = count - begin < BATCH ? count - begin : BATCH;
        size_t ahead = pq_bits_ahead(len, bits, batch);
        uint64_t above[BATCH];

        for (size_t i = 0; i < ahead; i++)
            above[i] = pq_bits_at(data, i * bits, bits);
        for (size_t i = ahead; i < batch; i++)
            above[i] = pq_last_bits_at(data, len, i * bits, bits);
        data += batch * bits / 8; /* of the last batch nothing follows */
        len -= batch * bits / 8;
        for (size_t i = 0; i < batch; i++) {
            value += least + above[i];
            store(out, width, value);
            out += width;
        }
    }
    reader->last = value;
}

/* Reads up to 'count' numbers of a block. */
static enum rc_code read_block(struct reader *reader, size_t count, uint8_t *out, size_t *done,
                               struct rc_error *err)
{
    const uint8_t *widths;
    uint64_t least;

    *done = 0;
    if (!pq_varint_read(&reader->at, reader->end, &least) ||
        reader->miniblocks > (uint64_t)(reader->end - reader->at))
        return rc_fail(err, RC_INVALID, "the head of a block of differences is cut off");
    least = pq_unzigzag(least);
    widths = reader->at;
    reader->at += reader->miniblocks;
    for (uint64_t i = 0; i < reader->miniblocks && *done < count; i++) {
        size_t part = count - *done < reader->miniblock ? count - *done : reader->miniblock;
        size_t left = (size_t)(reader->end - reader->at), whole;

        if (widths[i] > 64)
            return rc_fail(err, RC_INVALID, "differences of %u bits cannot be",
                           (unsigned)widths[i]);
        if ((part * widths[i] + 7) / 8 > left)
            return rc_fail(err, RC_INVALID, "the differences are cut off");
        if (reader->width == 4)
            add_up(reader, 4, least, widths[i], part, out + *done * 4);
        else
            add_up(reader, 8, least, widths[i], part, out + *done * 8);
        whole = reader->miniblock / 8 * widths[i];
        reader->at += whole < left ? whole : left; /* some writers leave the last padding out */
        *done += part;
    }
    return RC_OK;
}

/* Reads 'count' numbers and leaves 'reader' behind the last one. */
static enum rc_code read_numbers(struct reader *reader, size_t count, uint8_t *out,
                                 struct rc_error *err)
{
    if (read_head(reader, count, err))
        return err->code;
    store(out, reader->width, reader->last);
    for (size_t at = 1, done; at < count; at += done)
        if (read_block(reader, count - at, out + at * reader->width, &done, err))
            return rc_context(err, "value %zu of %zu", at, count);
    return RC_OK;
}

enum rc_code pq_delta(const uint8_t *data, size_t len, size_t count, struct pq_values *out,
                      struct rc_error *err)
{
    struct reader reader = { .at = data, .end = data + len, .width = (size_t)out->width };

    return read_numbers(&reader, count, out->fixed, err);
}

/* ---- writing numbers ------------------------------------------------------------------------ */

static unsigned bits_of(uint64_t greatest)
{
    return greatest == 0 ? 0 : 64 - (unsigned)__builtin_clzll(greatest);
}

/*
 * The differences of 'count' numbers from the one before each, above the least of them, which is
 * returned. What is behind the last becomes 0, and so is the padding. Inlined with 'width' a
 * constant.
 */
static inline int64_t take_differences(const uint8_t *data, size_t width, size_t count,
                                       uint64_t above[BLOCK])
{
    uint64_t last = load(data - width, width);
    uint64_t mask = pq_mask((unsigned)width * 8);
    int64_t least = INT64_MAX;

    for (size_t i = 0; i < count; i++) {
        uint64_t value = load(data + i * width, width), difference = value - last;

        /* As a number of this width, so that one that wraps around there is small as well. */
        if (width == 4)
            difference = (uint64_t)(int32_t)(uint32_t)difference;
        if ((int64_t)difference < least)
            least = (int64_t)difference;
        above[i] = difference;
        last = value;
    }
    for (size_t i = 0; i < count; i++)
        above[i] = (above[i] - (uint64_t)least) & mask;
    memset(above + count, 0, (BLOCK - count) * sizeof(*above));
    return least;
}

static void write_block(const uint8_t *data, size_t width, size_t count, struct rc_buf *out)
{
    uint8_t *begin =
        (uint8_t *)rc_buf_reserve(out, PQ_VARINT_BYTES + MINIBLOCKS + BLOCK * sizeof(uint64_t));
    uint64_t above[BLOCK];
    uint8_t *at, *widths;
    struct pq_packer packer;
    int64_t least;

    if (!begin)
        return;
    least = width == 4 ? take_differences(data, 4, count, above)
                       : take_differences(data, 8, count, above);
    widths = pq_varint_write(begin, pq_zigzag(least));
    at = widths + MINIBLOCKS;
    for (size_t i = 0; i < MINIBLOCKS; i++) {
        const uint64_t *part = above + i * MINIBLOCK;
        uint64_t all = 0;
        unsigned bits;

        for (size_t k = 0; k < MINIBLOCK; k++)
            all |= part[k];
        bits = bits_of(all);
        widths[i] = (uint8_t)bits;
        packer = (struct pq_packer){ .out = at };
        for (size_t k = 0; k < MINIBLOCK; k++)
            pq_pack(&packer, part[k], bits);
        at = pq_pack_end(&packer);
    }
    rc_buf_added(out, (size_t)(at - begin));
}

static void write_numbers(const uint8_t *data, size_t width, size_t count, struct rc_buf *out)
{
    uint8_t head[4 * PQ_VARINT_BYTES], *end = head;

    end = pq_varint_write(end, BLOCK);
    end = pq_varint_write(end, MINIBLOCKS);
    end = pq_varint_write(end, count);
    end = pq_varint_write(end, count > 0 ? pq_zigzag((int64_t)load(data, width)) : 0);
    rc_buf_add(out, head, (size_t)(end - head));
    for (size_t at = 1; at < count; at += BLOCK)
        write_block(data + at * width, width, count - at < BLOCK ? count - at : BLOCK, out);
}

void pq_delta_write(const struct pq_values *values, struct rc_buf *out)
{
    write_numbers(values->fixed, (size_t)values->width, values->len, out);
}

/* ---- lengths -------------------------------------------------------------------------------- */

/* Lengths are numbers of 4 bytes, little-endian in memory too. */
static void write_lengths(const uint32_t *lengths, size_t count, struct rc_buf *out)
{
    write_numbers((const uint8_t *)lengths, sizeof(*lengths), count, out);
}

/*
 * Reads 'count' lengths and their sum. What follows them begins behind all that there are, so there
 * must not be others.
 */
static enum rc_code read_lengths(const uint8_t **at, const uint8_t *end, size_t count,
                                 uint32_t *lengths, uint64_t *sum, struct rc_error *err)
{
    struct reader reader = { .at = *at, .end = end, .width = sizeof(*lengths) };

    *sum = 0;
    if (read_numbers(&reader, count, (uint8_t *)lengths, err))
        return err->code;
    if (reader.total != count)
        return rc_fail(err, RC_INVALID, "there are %llu lengths, and should be %zu",
                       (unsigned long long)reader.total, count);
    for (size_t i = 0; i < count; i++) {
        lengths[i] = le32toh(lengths[i]);
        if (lengths[i] > INT32_MAX)
            return rc_fail(err, RC_INVALID, "value %zu of %zu has a length below 0", i, count);
        *sum += lengths[i];
    }
    *at = reader.at;
    return RC_OK;
}

/* ---- byte arrays ---------------------------------------------------------------------------- */

enum rc_code pq_delta_lengths(const uint8_t *data, size_t len, size_t count, struct pq_values *out,
                              struct rc_error *err)
{
    RC_CLEANUP(pq_numbers_free) uint32_t *lengths = rc_malloc(count * sizeof(*lengths));
    const uint8_t *at = data, *end = data + len;
    uint64_t sum;

    if (read_lengths(&at, end, count, lengths, &sum, err))
        return err->code;
    if (sum > (uint64_t)(end - at))
        return rc_fail(err, RC_INVALID, "values of %llu bytes are said to be in %zu",
                       (unsigned long long)sum, (size_t)(end - at));
    for (size_t i = 0; i < count; i++) {
        out->slices[i] = (struct pq_slice){ at, lengths[i] };
        at += lengths[i];
    }
    return RC_OK;
}

void pq_delta_lengths_write(const struct pq_values *values, struct rc_buf *out)
{
    RC_CLEANUP(pq_numbers_free)
    uint32_t *lengths = rc_malloc(values->len * sizeof(*lengths) + 1);
    size_t sum = 0;
    char *room;

    for (size_t i = 0; i < values->len; i++) {
        lengths[i] = htole32(values->slices[i].len);
        sum += values->slices[i].len;
    }
    write_lengths(lengths, values->len, out);
    room = rc_buf_reserve(out, sum);
    if (!room)
        return;
    for (size_t i = 0; i < values->len; i++) {
        if (values->slices[i].len > 0)
            memcpy(room, values->slices[i].data, values->slices[i].len);
        room += values->slices[i].len;
    }
    rc_buf_added(out, sum);
}

/*
 * Puts the values together from what each has of the one before and its own rest. A value that
 * begins as a long one costs a byte in the data and its whole length here: room is bounded first.
 */
static enum rc_code join(const uint32_t *prefixes, const uint32_t *rests, const uint8_t *data,
                         size_t count, struct pq_values *out, struct rc_error *err)
{
    struct pq_slice last = { .data = data };
    uint8_t *room;
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (uint64_t)prefixes[i] + rests[i];
    room = out->width ? out->fixed
                      : (uint8_t *)rc_buf_reserve(&out->own, sum < SIZE_MAX ? sum : SIZE_MAX);
    if (!room)
        return rc_fail(err, RC_TOO_LARGE,
                       "values of %llu bytes in one page are more than the %zu that are read at "
                       "once",
                       (unsigned long long)sum, out->own.limit);
    for (size_t i = 0; i < count; i++) {
        struct pq_slice value = { .data = room, .len = prefixes[i] + rests[i] };

        if (prefixes[i] > last.len)
            return rc_fail(err, RC_INVALID,
                           "value %zu of %zu begins with %u bytes of the one before, which has %u",
                           i, count, prefixes[i], last.len);
        if (out->width && value.len != (uint32_t)out->width)
            return rc_fail(err, RC_INVALID, "value %zu of %zu has %u bytes, and should have %d", i,
                           count, value.len, (int)out->width);
        memcpy(room, last.data, prefixes[i]);
        memcpy(room + prefixes[i], data, rests[i]);
        data += rests[i];
        room += value.len;
        if (!out->width)
            out->slices[i] = value;
        last = value;
    }
    if (!out->width)
        rc_buf_added(&out->own, (size_t)sum);
    return RC_OK;
}

enum rc_code pq_delta_bytes(const uint8_t *data, size_t len, size_t count, struct pq_values *out,
                            struct rc_error *err)
{
    RC_CLEANUP(pq_numbers_free) uint32_t *prefixes = rc_malloc(2 * count * sizeof(*prefixes));
    uint32_t *rests = prefixes + count;
    const uint8_t *at = data, *end = data + len;
    uint64_t sum;

    if (read_lengths(&at, end, count, prefixes, &sum, err) ||
        read_lengths(&at, end, count, rests, &sum, err))
        return err->code;
    if (sum > (uint64_t)(end - at))
        return rc_fail(err, RC_INVALID, "values of %llu bytes are said to be in %zu",
                       (unsigned long long)sum, (size_t)(end - at));
    return join(prefixes, rests, at, count, out, err);
}

static uint32_t common_prefix(struct pq_slice a, struct pq_slice b)
{
    uint32_t len = a.len < b.len ? a.len : b.len, i = 0;

    while (i < len && a.data[i] == b.data[i])
        i++;
    return i;
}

void pq_delta_bytes_write(const struct pq_values *values, struct rc_buf *out)
{
    size_t count = values->len;
    RC_CLEANUP(pq_numbers_free)
    uint32_t *prefixes = rc_malloc(2 * count * sizeof(*prefixes) + 1);
    uint32_t *rests = prefixes + count;
    struct pq_slice last = { NULL, 0 };
    size_t sum = 0;
    char *room;

    for (size_t i = 0; i < count; i++) {
        struct pq_slice value = pq_value_at(values, i);
        uint32_t prefix = common_prefix(last, value);

        prefixes[i] = htole32(prefix);
        rests[i] = htole32(value.len - prefix);
        sum += value.len - prefix;
        last = value;
    }
    write_lengths(prefixes, count, out);
    write_lengths(rests, count, out);
    room = rc_buf_reserve(out, sum);
    if (!room)
        return;
    for (size_t i = 0; i < count; i++) {
        uint32_t prefix = le32toh(prefixes[i]), rest = le32toh(rests[i]);

        if (rest > 0)
            memcpy(room, pq_value_at(values, i).data + prefix, rest);
        room += rest;
    }
    rc_buf_added(out, sum);
}
