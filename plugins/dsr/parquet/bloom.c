/*
 * Bloom filters of split blocks. The hash's upper half chooses a block of eight words, its lower
 * half a bit in each of them.
 */
#include "bloom.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { WORDS = 8, WORD = 4, BLOCK = WORDS * WORD };

enum {
    HEADER_LEN = 1,
    HEADER_ALGORITHM = 2,
    HEADER_HASH = 3,
    HEADER_COMPRESSION = 4,
    FIRST_KIND = 1,    /* the only one of each: split blocks, xxHash, uncompressed */
    HEADER_READ = 256, /* bytes that surely hold a header; those written have about 17 */
    HEADER_TREE = 64 << 10,
};

static const uint32_t salts[WORDS] = {
    0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
};

/* ---- bits ------------------------------------------------------------------------------------ */

/* Where the value's bit of a word is: the byte of the filter and the bit in it. */
struct place {
    size_t byte;
    uint8_t bit;
};

static uint64_t hash_of(struct pq_slice value)
{
    return XXH64(value.data, value.len, 0);
}

static struct place place_of(const struct pq_bloom *bloom, uint64_t hash, size_t word)
{
    uint64_t block = (hash >> 32) * (bloom->len / BLOCK) >> 32;
    uint32_t bit = (uint32_t)hash * salts[word] >> 27;

    return (struct place){
        .byte = (size_t)block * BLOCK + word * WORD + bit / 8,
        .bit = (uint8_t)(1U << bit % 8),
    };
}

bool pq_bloom_may_hold(const struct pq_bloom *bloom, struct pq_slice value)
{
    uint64_t hash = hash_of(value);

    for (size_t i = 0; i < WORDS; i++) {
        struct place place = place_of(bloom, hash, i);

        if (!(bloom->bits[place.byte] & place.bit))
            return false;
    }
    return true;
}

void pq_bloom_empty(struct pq_bloom *bloom)
{
    memset(bloom->bits, 0, bloom->len);
}

void pq_bloom_add(struct pq_bloom *bloom, struct pq_slice value)
{
    uint64_t hash = hash_of(value);

    for (size_t i = 0; i < WORDS; i++) {
        struct place place = place_of(bloom, hash, i);

        bloom->bits[place.byte] |= place.bit;
    }
}

/* ---- in the file ----------------------------------------------------------------------------- */

static bool is_known(const struct pq_node *header, int16_t field)
{
    const struct pq_node *choice = pq_field(header, field, PQ_KIND_STRUCT);

    return choice && pq_field(choice, FIRST_KIND, PQ_KIND_STRUCT);
}

static enum rc_code check_header(struct pq_bloom *bloom, int64_t room, size_t limit_bytes,
                                 struct rc_error *err)
{
    int64_t len = pq_field_int(&bloom->header, HEADER_LEN, 0);

    if (!is_known(&bloom->header, HEADER_ALGORITHM) || !is_known(&bloom->header, HEADER_HASH) ||
        !is_known(&bloom->header, HEADER_COMPRESSION))
        return rc_fail(err, RC_UNSUPPORTED, "it is of an unknown kind");
    if (len <= 0 || len % BLOCK != 0 || len > room)
        return rc_fail(err, RC_INVALID, "its size of %" PRId64 " bytes cannot be", len);
    if ((uint64_t)len > limit_bytes)
        return rc_fail(err, RC_TOO_LARGE, "it has %" PRId64 " bytes, of at most %zu", len,
                       limit_bytes);
    bloom->len = (size_t)len;
    return RC_OK;
}

/* 'head' is what was read from the filter's place, 'room' all up to the footer. */
static enum rc_code read_bits(struct pq_bloom *bloom, const struct pq_file *file,
                              const struct pq_chunk *chunk, const struct rc_buf *head, int64_t room,
                              size_t limit_bytes, struct rc_error *err)
{
    const struct pq_source *source = &file->source;
    struct pq_node header;
    size_t header_len;

    /* What was read borrows from the head, which does not live as long as the filter. */
    if (pq_thrift_read(&bloom->tree, head->data, head->len, &header, &header_len, err) ||
        pq_copy(&bloom->tree, &header, &bloom->header, err) ||
        check_header(bloom, room - (int64_t)header_len, limit_bytes, err))
        return err->code;
    bloom->bits = malloc(bloom->len);
    if (!bloom->bits)
        return rc_fail(err, RC_TOO_LARGE, "there is no memory for its %zu bytes", bloom->len);

    size_t known = head->len - header_len < bloom->len ? head->len - header_len : bloom->len;
    memcpy(bloom->bits, head->data + header_len, known);
    if (known == bloom->len)
        return RC_OK;
    return source->read(source->context, chunk->bloom_offset + (int64_t)head->len,
                        bloom->bits + known, bloom->len - known, err);
}

static enum rc_code read_filter(struct pq_bloom *bloom, const struct pq_file *file,
                                const struct pq_chunk *chunk, size_t limit_bytes,
                                struct rc_error *err)
{
    const struct pq_source *source = &file->source;
    int64_t room = file->data_end - chunk->bloom_offset;
    /* The length is in newer files only; then one read is enough. */
    int64_t wanted = chunk->bloom_len > HEADER_READ ? chunk->bloom_len : HEADER_READ;
    size_t len = (size_t)(wanted < room ? wanted : room);
    RC_BUF_AUTO(head, limit_bytes + HEADER_READ);
    char *data = rc_buf_reserve(&head, len);

    if (!data)
        return rc_buf_check(&head, err);
    if (source->read(source->context, chunk->bloom_offset, data, len, err))
        return err->code;
    rc_buf_added(&head, len);
    return read_bits(bloom, file, chunk, &head, room, limit_bytes, err);
}

enum rc_code pq_bloom_read(struct pq_bloom *out, const struct pq_file *file,
                           const struct pq_chunk *chunk, size_t limit_bytes, struct rc_error *err)
{
    *out = (struct pq_bloom){ 0 };
    pq_tree_init(&out->tree, HEADER_TREE);
    if (read_filter(out, file, chunk, limit_bytes, err) == RC_OK)
        return RC_OK;
    pq_bloom_clear(out);
    return rc_context(err, "read the bloom filter at byte %" PRId64 " of '%s'", chunk->bloom_offset,
                      file->source.name);
}

void pq_bloom_clear(struct pq_bloom *bloom)
{
    pq_tree_clear(&bloom->tree);
    free(bloom->bits);
    *bloom = (struct pq_bloom){ 0 };
}

void pq_bloom_write(const struct pq_bloom *bloom, struct rc_buf *out)
{
    pq_thrift_write(out, &bloom->header);
    rc_buf_add(out, bloom->bits, bloom->len);
}
