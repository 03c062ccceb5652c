/*
 * A 64-bit digest (FNV-1a) that tells whether content is still the same. It guards against
 * accidents, not against attackers. Pure.
 */
#ifndef AGGREGATOR_DIGEST_H
#define AGGREGATOR_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define AGG_DIGEST_INIT UINT64_C(0xcbf29ce484222325)

static inline uint64_t agg_digest(uint64_t digest, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++)
        digest = (digest ^ bytes[i]) * UINT64_C(0x100000001b3);
    return digest;
}

/* A text with its end, so that "ab" "c" and "a" "bc" differ. NULL is like "". */
static inline uint64_t agg_digest_text(uint64_t digest, const char *text)
{
    return agg_digest(digest, text ? text : "", (text ? strlen(text) : 0) + 1);
}

/* A number, the same on every machine. */
static inline uint64_t agg_digest_number(uint64_t digest, uint64_t number)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    return agg_digest(digest, bytes, sizeof(bytes));
}

#endif
