/*
 * Words and flags: from argv to struct core_arguments, by the table of flags.
 */
#ifndef CORE_CLI_ARGUMENTS_H
#define CORE_CLI_ARGUMENTS_H

#include <cli/cli.h>

#include <run-core/error.h>

/*
 * Parses argv[1..]. 'words' has room for argc pointers and receives what is not a flag, the
 * command's own name included; lists of values take memory that core_arguments_clear() frees.
 * RC_INVALID names the nearest flag.
 */
RC_MUST_CHECK enum rc_code core_arguments_parse(int argc, char **argv, const char **words,
                                                struct core_arguments *out, uint64_t *given,
                                                struct rc_error *err);
void core_arguments_clear(struct core_arguments *arguments);

/* Whether 'flags', the bits of a command, let the flag in. */
bool core_flag_allowed(const struct core_flag *flag, uint64_t flags);

/* Appends "-v, --name VALUE", as help and messages show a flag. */
void core_flag_add_name(const struct core_flag *flag, struct rc_buf *out);

/* The command of that name, or NULL. Hidden ones are found too. */
const struct core_command *core_command_find(const struct core_command *const *commands,
                                             const char *name);

/*
 * The command that the first words name, or NULL; *used says how many: of a command that has parts
 * it is two, but one where the second names none of them.
 */
const struct core_command *core_command_of(const struct core_command *const *commands,
                                           const char *const *words, size_t count, size_t *used);
/* The name of a part within its command, as it stands on the command line. */
const char *core_command_word(const struct core_command *command);

/*
 * The configuration that is meant: --config, $RUN_CORE_CONFIG, else the system's if it is there,
 * else NULL.
 */
const char *core_arguments_config_path(const struct core_arguments *arguments);

#endif
