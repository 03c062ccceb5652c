/*
 * "Equal jitter": half of a pause is fixed, half is chance.
 */
#include <os/backoff.h>

#include <os/clock.h>

#include <sys/random.h>
#include <sys/types.h>

enum { PAUSE_FIRST_MS = 100, PAUSE_MOST_MS = 10000 };

int64_t core_random_below(int64_t limit)
{
    uint64_t random = 0;

    /* Up to 256 bytes come whole, see getrandom(2); without entropy the clock has to do. */
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = (uint64_t)core_clock_mono_ms() * UINT64_C(2654435761);
    return limit > 0 ? (int64_t)(random % (uint64_t)limit) : 0;
}

int64_t core_backoff_next_ms(struct core_backoff *backoff)
{
    int64_t pause_ms = backoff->pause_ms ? 2 * backoff->pause_ms : PAUSE_FIRST_MS;

    backoff->pause_ms = pause_ms < PAUSE_MOST_MS ? pause_ms : PAUSE_MOST_MS;
    return backoff->pause_ms / 2 + core_random_below(backoff->pause_ms / 2 + 1);
}
