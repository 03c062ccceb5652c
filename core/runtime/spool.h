/*
 * Where the daemon of a configuration has its files on this machine, for the daemon itself and for
 * commands that look for it.
 */
#ifndef CORE_RUNTIME_SPOOL_H
#define CORE_RUNTIME_SPOOL_H

#include <config/config.h>

/*
 * The folder of runs and sockets: core.spool, else that of the SQLite state, else, as the state is
 * on a server, core_state_folder(). Freed with free().
 */
RC_MUST_CHECK enum rc_code core_spool_folder(const struct core_config *config, char **out,
                                             struct rc_error *err);

/* The Unix socket of the API: core.socket, else run-core.sock in that folder. Freed with free(). */
RC_MUST_CHECK enum rc_code core_spool_socket(const struct core_config *config, char **out,
                                             struct rc_error *err);

#endif
