/*
 * Pauses between attempts at something that failed, or that is not yet so, and the chance in them.
 */
#ifndef CORE_OS_BACKOFF_H
#define CORE_OS_BACKOFF_H

#include <stdint.h>

/* 'first_ms', and twice as long after each further failure, but at most 'longest_ms'. */
struct core_backoff {
    int64_t first_ms, longest_ms;
};

/* 100 ms to 10 s: for what is on this machine, or near it. */
extern const struct core_backoff core_backoff_near;

/* The pause after so many failures in a row; after none there is none. */
int64_t core_backoff_whole_ms(const struct core_backoff *backoff, int64_t failures);

/*
 * The same, half of it by chance, so that those who failed together do not come back together:
 * "equal jitter" in Brooker: Exponential Backoff And Jitter (AWS Architecture Blog, 2015).
 */
int64_t core_backoff_ms(const struct core_backoff *backoff, int64_t failures);

/* A number at random in 0 .. limit - 1; not for secrets. */
int64_t core_random_below(int64_t limit);

#endif
