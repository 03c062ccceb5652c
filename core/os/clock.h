/*
 * The clocks of this machine. Nothing below this layer reads one.
 *
 * The wall clock of a process can be moved for tests and rehearsals, with RUN_CORE_CLOCK:
 *   2026-03-29T00:00:00Z        it shows that time when the process starts, and goes on from there
 *   2026-03-29T00:00:00Z*600    and goes 600 times as fast
 *   @FILE                       the file's first 8 bytes, a signed integer in the machine's order,
 *                               are milliseconds to add to the real time; they may change at any
 *                               moment, in place: the file is never shorter
 * Durations (timeouts, leases, pauses between attempts) are of the monotonic clock and stay real.
 */
#ifndef CORE_OS_CLOCK_H
#define CORE_OS_CLOCK_H

#include <run-core/error.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Reads RUN_CORE_CLOCK, once, before there are threads; children that are forked share the clock.
 * RC_INVALID: it is none of the above.
 */
RC_MUST_CHECK enum rc_code core_clock_init(struct rc_error *err);
bool core_clock_is_moved(void);
/* Of the moved clock: wall milliseconds for one real one; 1 for the real clock. */
int64_t core_clock_speed(void);

/* Whether it follows a file, so that nothing but looking tells when it jumps. */
bool core_clock_follows_file(void);
/* What the file adds; else 0. */
int64_t core_clock_offset_ms(void);
/* The earliest real time at which the wall clock shows 'unix_ms', as far as it is not set. */
int64_t core_clock_real_at_ms(int64_t unix_ms);

int64_t core_clock_now_unix_ms(void);  /* wall clock; jumps when it is set */
int64_t core_clock_real_unix_ms(void); /* the same, never moved: for leases between machines */
int64_t core_clock_mono_ms(void);      /* never goes back; stands still while suspended */
int64_t core_clock_boot_ms(void);      /* the same, but goes on while suspended */

/* Sleeps; shorter when a signal arrives. */
void core_clock_sleep_ms(int64_t ms);

#endif
