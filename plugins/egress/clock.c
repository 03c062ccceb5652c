/*
 * The machine's clocks, and pauses that end when the run does.
 */
#include "clock.h"

#include <run-core/job.h>

#include <poll.h>
#include <time.h>

enum { SLICE_MS = 100 }; /* between two looks whether the run is to stop */

static int64_t now_ms(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t egress_unix_ms(void)
{
    return now_ms(CLOCK_REALTIME);
}

int64_t egress_mono_ms(void)
{
    return now_ms(CLOCK_MONOTONIC);
}

enum rc_code egress_pause(struct rc_job *job, int64_t pause_ms, struct rc_error *err)
{
    int64_t until_ms = egress_mono_ms() + pause_ms, left_ms;

    while ((left_ms = until_ms - egress_mono_ms()) > 0) {
        if (rc_job_check(job, err))
            return err->code;
        (void)poll(NULL, 0, (int)(left_ms < SLICE_MS ? left_ms : SLICE_MS));
    }
    return RC_OK;
}
