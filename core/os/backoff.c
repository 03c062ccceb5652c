#include <os/backoff.h>

#include <os/clock.h>

#include <sys/random.h>
#include <sys/types.h>

const struct core_backoff core_backoff_near = { .first_ms = 100, .longest_ms = 10 * 1000 };

int64_t core_random_below(int64_t limit)
{
    uint64_t random = 0;

    /* Up to 256 bytes come whole, see getrandom(2); without entropy the clock has to do. */
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = (uint64_t)core_clock_mono_ms() * UINT64_C(2654435761);
    return limit > 0 ? (int64_t)(random % (uint64_t)limit) : 0;
}

int64_t core_backoff_whole_ms(const struct core_backoff *backoff, int64_t failures)
{
    int64_t pause_ms = failures > 0 ? backoff->first_ms : 0;

    for (; failures > 1 && pause_ms > 0 && pause_ms < backoff->longest_ms; failures--)
        pause_ms *= 2;
    return pause_ms < backoff->longest_ms ? pause_ms : backoff->longest_ms;
}

int64_t core_backoff_ms(const struct core_backoff *backoff, int64_t failures)
{
    int64_t whole_ms = core_backoff_whole_ms(backoff, failures);

    return whole_ms - core_random_below(whole_ms / 2 + 1);
}
