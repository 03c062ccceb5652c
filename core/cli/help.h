/*
 * Help, written from the tables of commands and flags and from those of a plugin.
 */
#ifndef CORE_CLI_HELP_H
#define CORE_CLI_HELP_H

#include <cli/cli.h>
#include <runtime/plugin.h>

#define CORE_CLI_SUMMARY "A plugin-based job runner."

/* "run-core check [--config FILE|DIR]": the synopsis of a command. */
void core_help_add_usage(const struct core_command *command, struct rc_buf *out);

void core_help_add_general(const struct core_command *const *commands, struct rc_buf *out);
void core_help_add_command(const struct core_command *command, struct rc_buf *out);
void core_help_add_plugin(const struct core_plugin *plugin, struct rc_buf *out);

/* The words that name the parts of a command, one a line; nothing where it has none. */
void core_help_add_parts(const struct core_command *command, struct rc_buf *out);

/*
 * The parts of the man page that the tables know, in roff: "synopsis", "commands" or "flags";
 * false: no such part.
 */
RC_MUST_CHECK bool core_help_add_roff(const struct core_command *const *commands, const char *part,
                                      struct rc_buf *out);

/* Appends every key of the configuration, for people or as Markdown. */
void core_help_add_configuration(bool markdown, struct rc_buf *out);

#endif
