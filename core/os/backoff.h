/*
 * Pauses between attempts at something that failed, and the chance in them.
 */
#ifndef CORE_OS_BACKOFF_H
#define CORE_OS_BACKOFF_H

#include <stdint.h>

/* Zeroed: nothing has failed. */
struct core_backoff {
    int64_t pause_ms;
};

/*
 * The next pause: 100 ms, and twice as long each time, up to 10 s; half of it is at random, so that
 * those who failed together do not come back together.
 */
int64_t core_backoff_next_ms(struct core_backoff *backoff);

/* A number at random in 0 .. limit - 1; not for secrets. */
int64_t core_random_below(int64_t limit);

#endif
