/*
 * What the daemon shows of itself before it can begin, as while its state database is away: it
 * lives, is not ready, and tells everybody who asks for more why.
 */
#ifndef CORE_API_STANDBY_H
#define CORE_API_STANDBY_H

#include <config/config.h>
#include <os/loop.h>

struct core_standby;

/*
 * Listens where the daemon of that configuration will, at core.listen and core.socket, in the
 * loop's thread. The errors are those of core_http_server_listen().
 */
RC_MUST_CHECK enum rc_code core_standby_open(struct core_loop *loop,
                                             const struct core_config *config,
                                             struct core_standby **out, struct rc_error *err);
/* Why it cannot begin, for people; the text is copied. */
void core_standby_say(struct core_standby *standby, const char *reason);
/* Leaves the addresses free. 'standby' may be NULL. */
void core_standby_close(struct core_standby *standby);

#endif
