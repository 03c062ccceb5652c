/*
 * The time, and letting it pass.
 */
#ifndef EGRESS_CLOCK_H
#define EGRESS_CLOCK_H

#include <run-core/plugin.h>

int64_t egress_unix_ms(void);
int64_t egress_mono_ms(void);

/* Waits, unless the run is to stop. */
RC_MUST_CHECK enum rc_code egress_pause(struct rc_job *job, int64_t pause_ms, struct rc_error *err);

#endif
