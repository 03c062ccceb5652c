/*
 * Plugins as words of a command line.
 */
#ifndef CORE_CLI_PLUGINS_H
#define CORE_CLI_PLUGINS_H

#include <cli/cli.h>
#include <runtime/image.h>
#include <runtime/plugin_list.h>

/*
 * Reads the descriptor of a plugin without running anything of it. 'word' is its name, or the path
 * of its file if it has a slash. On RC_OK to be closed with core_image_close().
 */
RC_MUST_CHECK enum rc_code core_cli_plugin_read(const struct core_config *config, const char *word,
                                                struct core_image *out, struct rc_error *err);

/* The action that a job runs: its own, else the first of its plugin; NULL: not known. Freed. */
char *core_cli_action_of(const struct core_config *config, const struct core_job_settings *job);

/* Fails with RC_INVALID: 'word' is no command and no plugin. Names the nearest of both. */
enum rc_code core_cli_unknown(const struct core_command *const *commands,
                              const struct core_config *config, const char *word,
                              struct rc_error *err);

#endif
