/*
 * The daemon's HTTP surface: health, metrics, /api/v1, and the routes of plugins, at core.listen
 * and at the Unix socket of the command line. It hooks into the daemon's loop and belongs to its
 * thread.
 */
#ifndef CORE_API_DAEMON_H
#define CORE_API_DAEMON_H

#include <os/loop.h>
#include <supervisor/supervisor.h>

struct core_api;

struct core_api_options {
    struct core_loop *loop;
    struct core_supervisor *supervisor; /* open */
    const char *version;                /* of run-core */
};

/*
 * Listens where the supervisor's configuration says. RC_INVALID: it would listen beyond this
 * machine without tokens, or the tokens have mistakes; others as of core_http_server_listen().
 */
RC_MUST_CHECK enum rc_code core_api_open(const struct core_api_options *options,
                                         struct core_api **out, struct rc_error *err);

/*
 * Reports what core_api_open() would refuse, as far as it can be told without listening: tokens
 * with mistakes, and none where the address is surely beyond this machine.
 */
void core_api_check(const struct core_config *config, struct core_problems *problems);

/* "http://127.0.0.1:8081", "unix:/path": where it listens, in order; NULL behind the last. */
const char *core_api_url(const struct core_api *api, size_t index);

/* Ends streams of logs, and gives clients a second to take their replies. 'api' may be NULL. */
void core_api_close(struct core_api *api);
/* For a forked child: closes its copies of the descriptors. 'api' may be NULL. */
void core_api_forget(struct core_api *api);

#endif
