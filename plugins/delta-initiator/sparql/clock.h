/*
 * The machine's steady clock, and pauses that end when the run does.
 */
#ifndef SPARQL_CLOCK_H
#define SPARQL_CLOCK_H

#include <run-core/host.h>

/* Since some moment that stays the same while the process lives. */
int64_t sparql_mono_ms(void);

/* RC_CANCELLED, RC_TIMEOUT: the run is to stop; looked at ten times a second, and before. */
RC_MUST_CHECK enum rc_code sparql_pause(struct rc_job *job, int64_t pause_ms, struct rc_error *err);

#endif
