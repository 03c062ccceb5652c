/*
 * From argv to a command: parses, finds the command that the first word names, checks that it takes
 * the flags and words that it is given, and runs it.
 */
#include <cli/cli.h>

#include <cli/arguments.h>
#include <cli/help.h>
#include <cli/output.h>

#include <base/nearest.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A flag in front of the command may have been taken for its namesake of another one. */
static bool is_taken(const struct core_flag *flag, const struct core_command *command)
{
    for (const struct core_flag *other = core_flags; other->bit; other++)
        if (strcmp(other->name, flag->name) == 0 && core_flag_allowed(other, command->flags))
            return true;
    return false;
}

/* The first flag that was given and that the command does not take, or NULL. */
static const struct core_flag *surplus_flag(const struct core_command *command, uint64_t given)
{
    for (const struct core_flag *flag = core_flags; flag->bit; flag++)
        if ((flag->bit & given) && !is_taken(flag, command))
            return flag;
    return NULL;
}

static enum rc_code check_use(const struct core_arguments *arguments, uint64_t given,
                              struct rc_error *err)
{
    const struct core_command *command = arguments->command;
    const struct core_flag *surplus = surplus_flag(command, given);
    const char *name = command == &core_command_plugin ? arguments->words[0] : command->name;

    if (surplus)
        return rc_fail(err, RC_INVALID, "'%s' takes no '--%s'", name, surplus->name);
    if (arguments->word_count < command->min_words)
        return rc_fail(err, RC_INVALID, "'%s' needs %s", name, command->operands);
    if (arguments->word_count > command->max_words)
        return rc_fail(err, RC_INVALID, "'%s' does not take the word '%s'", name,
                       arguments->words[command->max_words]);
    return RC_OK;
}

static int misused(const struct core_command *command, const struct rc_error *err)
{
    RC_BUF_AUTO(usage, CORE_CLI_OUTPUT_BYTES);
    int status = core_cli_complain(err);

    if (command) {
        core_help_add_usage(command, &usage);
        (void)fprintf(stderr, "usage: %s\n", usage.data);
    }
    return status;
}

static int show_general_help(const struct core_command *const *commands, bool asked)
{
    RC_BUF_AUTO(help, CORE_CLI_OUTPUT_BYTES);

    core_help_add_general(commands, &help);
    if (asked)
        return core_cli_print(&help, CORE_EXIT_OK);
    (void)fputs(help.data, stderr);
    return CORE_EXIT_USAGE;
}

/* '--help' behind a command or plugin is 'help' before it. */
static int show_help_on(struct core_arguments *arguments, size_t count)
{
    arguments->word_count = count > 0 ? count : 1;
    return core_command_help.run(arguments);
}

static int dispatch(struct core_arguments *arguments, uint64_t given)
{
    const struct core_command *named;
    struct rc_error err = RC_ERROR_INIT;
    size_t used;

    if (arguments->version)
        return core_command_version.run(arguments);
    if (arguments->word_count == 0)
        return show_general_help(arguments->commands, arguments->help);

    named = core_command_of(arguments->commands, arguments->words, arguments->word_count, &used);
    if (arguments->help)
        return show_help_on(arguments, used);
    arguments->command = named ? named : &core_command_plugin;
    /* A plugin's name is the first word of its own run. */
    arguments->words += used;
    arguments->word_count -= used;
    if (check_use(arguments, given, &err))
        return misused(arguments->command, &err);
    return arguments->command->run(arguments);
}

int core_cli_main(const struct core_command *const *commands, int argc, char **argv)
{
    const char **words = rc_calloc((size_t)argc + 1, sizeof(*words));
    struct core_arguments arguments = { .commands = commands };
    struct rc_error err = RC_ERROR_INIT;
    const struct core_command *raw = argc > 1 ? core_command_find(commands, argv[1]) : NULL;
    uint64_t given;
    int status;

    if (raw && raw->hidden) { /* its words are another command line, flags and all */
        arguments.words = (const char *const *)argv + 2;
        arguments.word_count = (size_t)argc - 2;
        status = raw->run(&arguments);
    } else if (core_arguments_parse(argc, argv, words, &arguments, &given, &err)) {
        status = misused(NULL, &err);
    } else {
        status = dispatch(&arguments, given);
    }
    core_arguments_clear(&arguments);
    free((void *)words);
    return status;
}
