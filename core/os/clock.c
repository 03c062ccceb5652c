/*
 * The clocks of this machine.
 */
#include <os/clock.h>

#include <time.h>

static int64_t read_ms(clockid_t clock)
{
    struct timespec now = { 0 };

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t core_clock_now_unix_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t core_clock_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

void core_clock_sleep_ms(int64_t ms)
{
    if (ms <= 0)
        return;

    struct timespec pause = {
        .tv_sec = (time_t)(ms / 1000),
        .tv_nsec = (long)(ms % 1000) * 1000000,
    };
    nanosleep(&pause, NULL);
}
