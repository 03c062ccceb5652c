/*
 * Random numbers for tests of properties: the same each time, so that a change is judged by what
 * it changes. Another RUN_CORE_SEED draws others.
 */
#ifndef TESTS_CHANCE_H
#define TESTS_CHANCE_H

#include <run-core/str.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct chance {
    uint64_t state;
};

static inline struct chance chance_new(const char *test)
{
    const char *given = getenv("RUN_CORE_SEED");
    struct chance chance;
    int64_t seed = 1;

    if (given && !rc_parse_int(given, &seed)) {
        fprintf(stderr, "%s: RUN_CORE_SEED is '%s', not a number\n", test, given);
        abort();
    }
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
