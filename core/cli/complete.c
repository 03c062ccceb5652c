/*
 * 'run-core complete WORD...': what may stand at the place of the last word, one candidate a line.
 * The shells' completion scripts call it, so they know nothing by themselves.
 */
#include <cli/arguments.h>
#include <cli/help.h>
#include <cli/output.h>
#include <cli/plugins.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

static void add_flags(const struct core_command *command, struct rc_buf *out)
{
    for (const struct core_flag *flag = core_flags; flag->bit; flag++)
        if (core_flag_allowed(flag, command ? command->flags : CORE_FLAG_VERSION))
            rc_buf_addf(out, "--%s\n", flag->name);
}

static void add_keys(const struct core_option_table *table, struct rc_buf *out)
{
    struct rc_option option;

    for (size_t i = 0; core_option_at(table, i, &option); i++)
        rc_buf_addf(out, "%s=\n", option.name);
}

/* The keys that --set takes: of the plugin that is named by the words, or of the job's. */
static void add_set_keys(const struct core_arguments *arguments, struct rc_buf *out)
{
    CORE_PROBLEMS_AUTO(ignored);
    RC_CLEANUP(core_image_close) struct core_image image = CORE_IMAGE_INIT;
    struct rc_error err = RC_ERROR_INIT;
    const struct core_job_settings *job;
    struct core_config *config;
    const char *name = arguments->word_count ? arguments->words[0] : NULL;

    config = core_config_load(core_arguments_config_path(arguments), &ignored);
    if (name && arguments->command == &core_command_run) {
        job = core_config_job(config, name);
        name = job ? job->plugin : NULL;
    }
    if (name && core_cli_plugin_read(config, name, &image, &err) == RC_OK) {
        add_keys(&image.plugin->options, out);
        for (size_t i = 0; i < image.plugin->action_count; i++)
            add_keys(&image.plugin->actions[i].params, out);
    }
    core_config_free(config);
}

/* The values of a flag whose value stands in the next word. Files are left to the shell. */
static void add_values(const struct core_flag *flag, const struct core_arguments *arguments,
                       struct rc_buf *out)
{
    struct core_arguments none = *arguments;

    none.word_count = 0;
    if (flag->bit == CORE_FLAG_SET)
        add_set_keys(arguments, out);
    else if (flag->bit == CORE_FLAG_JOB)
        core_command_run.complete(&none, out);
    else if (flag->kind == CORE_LEVEL)
        rc_buf_adds(out, "error\nwarn\ninfo\ndebug\n");
}

/* The flag whose value is the next word, or NULL. */
static const struct core_flag *awaits_value(const char *word)
{
    for (const struct core_flag *flag = core_flags; flag->bit; flag++) {
        const char short_form[] = { '-', flag->letter, '\0' };

        if (flag->value && ((rc_str_starts(word, "--") && strcmp(word + 2, flag->name) == 0) ||
                            (flag->letter && strcmp(word, short_form) == 0)))
            return flag;
    }
    return NULL;
}

/* From the words in front to the command that they name, if they name one. */
static void take_command(const struct core_command *const *commands, struct core_arguments *before)
{
    size_t used;

    before->command = core_command_of(commands, before->words, before->word_count, &used);
    before->words += used;
    before->word_count -= used;
}

static void complete(const struct core_command *const *commands, const char *last,
                     struct core_arguments *before, struct rc_buf *out)
{
    if (before->word_count > 0)
        take_command(commands, before);
    if (before->word_count > 0 && !before->command)
        before->command = &core_command_plugin;
    if (last[0] == '-')
        add_flags(before->command, out);
    else if (!before->command)
        core_command_help.complete(before, out);
    else if (before->command->parts && before->word_count == 0)
        core_help_add_parts(before->command, out);
    else if (before->command->complete)
        before->command->complete(before, out);
}

static int run_complete(const struct core_arguments *arguments)
{
    size_t count = arguments->word_count;
    const char *last = count ? arguments->words[count - 1] : "";
    const char *previous = count > 1 ? arguments->words[count - 2] : "";
    const struct core_flag *flag = awaits_value(previous);
    /* The line before the place: the name of the program, the words, without a flag that waits. */
    size_t kept = count ? count - 1 - (flag ? 1 : 0) : 0;
    char **argv = rc_calloc(kept + 2, sizeof(*argv));
    const char **words = rc_calloc(kept + 2, sizeof(*words));
    struct core_arguments before = { .commands = arguments->commands };
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    uint64_t given;

    for (size_t i = 0; i < kept; i++)
        argv[i + 1] = rc_strdup(arguments->words[i]);
    /* A line that makes no sense so far has no completion. */
    if (core_arguments_parse((int)kept + 1, argv, words, &before, &given, &err) == RC_OK) {
        if (flag) {
            take_command(arguments->commands, &before);
            add_values(flag, &before, &out);
        } else {
            complete(arguments->commands, last, &before, &out);
        }
    }
    core_arguments_clear(&before);
    for (size_t i = 0; i < kept; i++)
        free(argv[i + 1]);
    free(argv);
    free((void *)words);
    return core_cli_print(&out, CORE_EXIT_OK);
}

const struct core_command core_command_complete = {
    .name = "complete",
    .operands = "WORD...",
    .summary = "Completes a command line, for shells.",
    .hidden = true,
    .run = run_complete,
};
