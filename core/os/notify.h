/*
 * Talks to the service manager that started the process, as sd_notify(3) does; where there is
 * none, nothing happens.
 */
#ifndef CORE_OS_NOTIFY_H
#define CORE_OS_NOTIFY_H

#include <run-core/error.h>

#include <stdint.h>

#define CORE_NOTIFY_READY "READY=1"
#define CORE_NOTIFY_RELOADING "RELOADING=1" /* to be followed by READY */
#define CORE_NOTIFY_STOPPING "STOPPING=1"
/* The start takes longer; to be said again within a minute. */
#define CORE_NOTIFY_WAITING "EXTEND_TIMEOUT_USEC=60000000\nSTATUS=cannot begin yet, as its log says"
#define CORE_NOTIFY_WATCHDOG "WATCHDOG=1"

/*
 * Sends one or more assignments, a line each, such as CORE_NOTIFY_READY "\nSTATUS=7 jobs". Never
 * waits. RC_UNAVAILABLE: the manager does not take it now; RC_INVALID: $NOTIFY_SOCKET is no
 * address of a socket.
 */
RC_MUST_CHECK enum rc_code core_notify(const char *state, struct rc_error *err);

/*
 * How long the manager waits for CORE_NOTIFY_WATCHDOG until it takes the process for dead; 0: it
 * does not. Half of that is a good interval.
 */
int64_t core_notify_watchdog_ms(void);

#endif
