/*
 * The check of a configuration: everything that a run would find wrong with it, found without
 * running anything but the plugins' own check of their options.
 */
#ifndef CORE_RUNTIME_CONFIG_CHECK_H
#define CORE_RUNTIME_CONFIG_CHECK_H

#include <config/config.h>

enum { CORE_CHECK_NAME = 64 };

/*
 * Loads every plugin that is named into this process, and adds what is wrong with jobs and plugins
 * to what core_config_load() has found already. 'current' always names the plugin whose code may
 * run now, and is empty at the end; in shared memory it tells another process which one crashed, or
 * ended the process. Returns how many plugins there are.
 */
size_t core_config_check(const struct core_config *config, struct core_problems *problems,
                         char current[CORE_CHECK_NAME]);

/*
 * The same in a child process, as for the daemon, in which no plugin's code runs. RC_INVALID: a
 * plugin crashed or hung there. RC_UNAVAILABLE: there is no process to be had.
 */
RC_MUST_CHECK enum rc_code core_config_check_apart(const struct core_config *config,
                                                   int64_t timeout_ms,
                                                   struct core_problems *problems,
                                                   struct rc_error *err);

#endif
