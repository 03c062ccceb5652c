/*
 * What the daemon shows of itself before it can begin, as while its state database is away: it
 * lives, is not ready, and tells everybody who asks for more why. A process of its own answers, as
 * attempts to begin may take their time, and ends with the daemon.
 */
#ifndef CORE_API_STANDBY_H
#define CORE_API_STANDBY_H

#include <config/config.h>
#include <supervisor/child.h>

struct core_standby;

/*
 * Listens where the daemon of that configuration will, at core.listen and core.socket. What is not
 * to be had of them is logged, once. RC_UNAVAILABLE and others of fork(2): nobody answers.
 */
RC_MUST_CHECK enum rc_code core_standby_open(const struct core_nursery *nursery,
                                             const struct core_config *config,
                                             struct core_standby **out, struct rc_error *err);
/* Why it cannot begin, for everybody who asks; the text is copied. */
void core_standby_say(struct core_standby *standby, const char *reason);
/* Leaves the addresses free. 'standby' may be NULL. */
void core_standby_close(struct core_standby *standby);

#endif
