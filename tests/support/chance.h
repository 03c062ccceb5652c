/*
 * Random numbers for tests of properties: another seed each time, which is printed, and which
 * RUN_CORE_SEED sets to see a failure again.
 */
#ifndef TESTS_CHANCE_H
#define TESTS_CHANCE_H

#include <run-core/str.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct chance {
    uint64_t state;
};

static inline struct chance chance_new(const char *test)
{
    const char *given = getenv("RUN_CORE_SEED");
    struct chance chance;
    struct timespec now;
    int64_t seed;

    (void)timespec_get(&now, TIME_UTC);
    if (!given || !rc_parse_int(given, &seed))
        seed = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    printf("%s: RUN_CORE_SEED=%lld\n", test, (long long)seed);
    fflush(stdout);
    chance.state = (uint64_t)seed;
    return chance;
}

/* 64 bits, by the method called splitmix64. */
static inline uint64_t chance_any(struct chance *chance)
{
    uint64_t value = chance->state += 0x9e3779b97f4a7c15;

    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

/* From 0 up to but without 'limit', which is not 0. */
static inline uint64_t chance_below(struct chance *chance, uint64_t limit)
{
    return chance_any(chance) % limit;
}

#endif
