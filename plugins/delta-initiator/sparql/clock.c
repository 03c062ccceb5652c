/*
 * Reads the clock, and sleeps in slices so that a run that is to stop is not kept.
 */
#include "clock.h"

#include <poll.h>
#include <time.h>

enum { SLICE_MS = 100 };

int64_t sparql_mono_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum rc_code sparql_pause(struct rc_job *job, int64_t pause_ms, struct rc_error *err)
{
    int64_t until_mono_ms = sparql_mono_ms() + pause_ms, left_ms;

    do {
        if (rc_job_check(job, err))
            return err->code;
        left_ms = until_mono_ms - sparql_mono_ms();
        if (left_ms > 0)
            (void)poll(NULL, 0, (int)(left_ms < SLICE_MS ? left_ms : SLICE_MS));
    } while (left_ms > 0);
    return RC_OK;
}
