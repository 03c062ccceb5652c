/*
 * The clocks of this machine. Nothing below this layer reads one.
 */
#ifndef CORE_OS_CLOCK_H
#define CORE_OS_CLOCK_H

#include <stdint.h>

int64_t core_clock_now_unix_ms(void); /* wall clock; jumps when it is set */
int64_t core_clock_mono_ms(void);     /* never goes back; stands still while suspended */

/* Sleeps; shorter when a signal arrives. */
void core_clock_sleep_ms(int64_t ms);

#endif
