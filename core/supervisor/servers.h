/*
 * The servers of plugins' routes: for each plugin that is to be served, one process (see
 * runtime/serve.h) on a Unix socket of its own, started again when it ends, with growing pauses.
 *
 * When the configuration changes, new processes take the place of the old ones as soon as they are
 * ready; the old ones answer what they have begun. All of them end with the daemon.
 */
#ifndef CORE_SUPERVISOR_SERVERS_H
#define CORE_SUPERVISOR_SERVERS_H

#include <config/config.h>
#include <supervisor/child.h>

struct core_servers;

/* Their sockets are in the folder 'serve' of the spool. */
struct core_servers *core_servers_new(const struct core_nursery *nursery, const char *spool);

/* Starts, replaces and ends servers as the configuration says, which outlives the next call. */
void core_servers_configure(struct core_servers *servers, const struct core_config *config);

/* The socket of the plugin's server, or NULL and why there is none now. Borrowed until the loop
 * runs on. */
const char *core_servers_socket(const struct core_servers *servers, const char *plugin,
                                const char **why_not);

/* Asks all of them to end; starts none any more. */
void core_servers_stop(struct core_servers *servers);
size_t core_servers_count(const struct core_servers *servers); /* processes that live */
/* Kills what is left. May be NULL. */
void core_servers_close(struct core_servers *servers);

#endif
