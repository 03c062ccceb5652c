/*
 * The texts of --help and 'run-core help'. Nothing is told here that a table could tell; the prose
 * of the man page lies in packaging/man.
 */
#include <cli/help.h>

#include <api/openapi.h>
#include <cli/arguments.h>
#include <cli/engines.h>
#include <cli/output.h>
#include <cli/plugins.h>

#include <run-core/str.h>

#include <stdio.h>
#include <string.h>

enum { NAME_COLUMNS = 26, MAX_COLUMNS = 100 };

/* ---- plain text ------------------------------------------------------------------------------ */

/* Text from column 'indent' on, where the cursor stands already; broken at blanks. */
static void add_wrapped(struct rc_buf *out, const char *text, size_t indent)
{
    size_t column = indent;

    while (*text) {
        size_t word = strcspn(text, " ");

        if (column > indent && column + 1 + word > MAX_COLUMNS) {
            rc_buf_addf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            rc_buf_addc(out, ' ');
            column++;
        }
        rc_buf_add(out, text, word);
        column += word;
        text += word + strspn(text + word, " ");
    }
    rc_buf_addc(out, '\n');
}

static void add_row(struct rc_buf *out, const char *name, const char *text)
{
    if (strlen(name) < NAME_COLUMNS)
        rc_buf_addf(out, "  %-*s", NAME_COLUMNS, name);
    else
        rc_buf_addf(out, "  %s\n  %*s", name, NAME_COLUMNS, "");
    add_wrapped(out, text, NAME_COLUMNS + 2);
}

static void add_flags(uint64_t flags, struct rc_buf *out)
{
    for (const struct core_flag *flag = core_flags; flag->bit; flag++) {
        RC_BUF_AUTO(name, 256);

        if (!core_flag_allowed(flag, flags))
            continue;
        core_flag_add_name(flag, &name);
        add_row(out, name.data, flag->help);
    }
}

void core_help_add_usage(const struct core_command *command, struct rc_buf *out)
{
    rc_buf_addf(out, "run-core %s", command->name);
    if (command->operands)
        rc_buf_addf(out, " %s", command->operands);
    for (const struct core_flag *flag = core_flags; flag->bit; flag++)
        if (flag->bit & command->flags)
            rc_buf_addf(out, " [--%s%s%s]%s", flag->name, flag->value ? " " : "",
                        flag->value ? flag->value : "", flag->kind == CORE_TEXTS ? "..." : "");
}

static void add_commands(const struct core_command *const *commands, struct rc_buf *out)
{
    for (size_t i = 0; commands[i]; i++) {
        RC_BUF_AUTO(name, 256);

        if (commands[i]->hidden)
            continue;
        rc_buf_addf(&name, "%s%s%s", core_command_word(commands[i]),
                    commands[i]->operands ? " " : "",
                    commands[i]->operands ? commands[i]->operands : "");
        add_row(out, name.data, commands[i]->summary);
    }
}

void core_help_add_general(const struct core_command *const *commands, struct rc_buf *out)
{
    rc_buf_adds(out, CORE_CLI_SUMMARY "\n\n"
                                      "Usage:\n"
                                      "  run-core PLUGIN [ACTION] [flags]\n"
                                      "  run-core COMMAND [flags]\n\n"
                                      "Commands:\n");
    add_row(out, "PLUGIN [ACTION]", core_command_plugin.summary);
    add_commands(commands, out);
    rc_buf_adds(out, "\nFlags of a run:\n");
    add_flags(core_command_plugin.flags, out);
    rc_buf_adds(out, "\n'run-core help COMMAND' and 'run-core PLUGIN --help' say more; "
                     "'run-core list' shows the plugins.\n");
}

void core_help_add_command(const struct core_command *command, struct rc_buf *out)
{
    rc_buf_addf(out, "%s\n\nUsage:\n  run-core %s%s%s [flags]\n", command->summary, command->name,
                command->operands ? " " : "", command->operands ? command->operands : "");
    if (command->details) {
        rc_buf_addc(out, '\n');
        add_wrapped(out, command->details, 0);
    }
    if (command->parts) {
        rc_buf_adds(out, "\nCommands:\n");
        add_commands(command->parts, out);
        rc_buf_addf(out, "\n'run-core help %s COMMAND' says more.\n", command->name);
        return;
    }
    rc_buf_adds(out, "\nFlags:\n");
    add_flags(command->flags, out);
}

void core_help_add_plugin(const struct core_plugin *plugin, struct rc_buf *out)
{
    struct rc_option option;

    rc_buf_addf(out, "%s\n\nUsage:\n  run-core %s [ACTION] [flags]\n\nActions:\n", plugin->summary,
                plugin->name);
    for (size_t i = 0; i < plugin->action_count; i++) {
        RC_STR_AUTO name = rc_strf("%s%s", plugin->actions[i].name, i == 0 ? " (default)" : "");

        add_row(out, name, plugin->actions[i].summary);
    }
    for (size_t i = 0; i < plugin->action_count; i++) {
        const struct core_action *action = &plugin->actions[i];

        if (!core_option_at(&action->params, 0, &option))
            continue;
        rc_buf_addf(out, "\nParameters of '%s' (--set KEY=VALUE):\n", action->name);
        core_options_to_text(&action->params, out);
    }
    if (core_option_at(&plugin->options, 0, &option)) {
        rc_buf_adds(out, "\nOptions (--set KEY=VALUE, or 'config' in the configuration):\n");
        core_options_to_text(&plugin->options, out);
    }
    rc_buf_adds(out, "\nFlags:\n");
    add_flags(core_command_plugin.flags, out);
}

/* ---- roff ------------------------------------------------------------------------------------ */

/* Text in which no character is a request or an escape. */
static void add_roff_text(struct rc_buf *out, const char *text)
{
    for (bool line_start = true; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            rc_buf_adds(out, "\\&");
        if (*text == '\\')
            rc_buf_adds(out, "\\e");
        else if (*text == '-')
            rc_buf_adds(out, "\\-");
        else if (*text == '\'')
            rc_buf_adds(out, "\\(aq");
        else
            rc_buf_addc(out, *text);
        line_start = *text == '\n';
    }
}

static void add_roff_synopsis(const struct core_command *command, struct rc_buf *out)
{
    rc_buf_adds(out, ".HP\n.B run\\-core ");
    add_roff_text(out, command->name);
    rc_buf_addc(out, '\n');
    if (command->operands) {
        rc_buf_adds(out, ".I ");
        add_roff_text(out, command->operands);
        rc_buf_addc(out, '\n');
    }
    for (const struct core_flag *flag = core_flags; flag->bit; flag++) {
        if (!(flag->bit & command->flags))
            continue;
        rc_buf_adds(out, "[\\fB\\-\\-");
        add_roff_text(out, flag->name);
        rc_buf_adds(out, "\\fR");
        if (flag->value) {
            rc_buf_adds(out, " \\fI");
            add_roff_text(out, flag->value);
            rc_buf_adds(out, "\\fR");
        }
        rc_buf_adds(out, flag->kind == CORE_TEXTS ? "]...\n" : "]\n");
    }
}

static void add_roff_command(const struct core_command *command, struct rc_buf *out)
{
    rc_buf_adds(out, ".TP\n.B ");
    add_roff_text(out, command->name);
    if (command->operands) {
        rc_buf_adds(out, " \\fI");
        add_roff_text(out, command->operands);
        rc_buf_adds(out, "\\fR");
    }
    rc_buf_addc(out, '\n');
    add_roff_text(out, command->summary);
    rc_buf_addc(out, '\n');
    if (command->details) {
        add_roff_text(out, command->details);
        rc_buf_addc(out, '\n');
    }
}

static void add_roff_flag(const struct core_flag *flag, struct rc_buf *out)
{
    RC_BUF_AUTO(name, 256);

    core_flag_add_name(flag, &name);
    rc_buf_adds(out, ".TP\n.B ");
    add_roff_text(out, name.data);
    rc_buf_addc(out, '\n');
    add_roff_text(out, flag->help);
    rc_buf_addc(out, '\n');
}

typedef void add_roff_fn(const struct core_command *command, struct rc_buf *out);

/* Commands with parts are told as these, but for what the details say of all of them. */
static void add_roff_commands(const struct core_command *const *commands, add_roff_fn *add,
                              struct rc_buf *out)
{
    for (size_t i = 0; commands[i]; i++) {
        if (commands[i]->hidden)
            continue;
        if (!commands[i]->parts || add == add_roff_command)
            add(commands[i], out);
        if (commands[i]->parts)
            add_roff_commands(commands[i]->parts, add, out);
    }
}

bool core_help_add_roff(const struct core_command *const *commands, const char *part,
                        struct rc_buf *out)
{
    bool synopsis = strcmp(part, "synopsis") == 0;

    if (strcmp(part, "flags") == 0) {
        for (const struct core_flag *flag = core_flags; flag->bit; flag++)
            add_roff_flag(flag, out);
        return true;
    }
    if (!synopsis && strcmp(part, "commands") != 0)
        return false;
    (synopsis ? add_roff_synopsis : add_roff_command)(&core_command_plugin, out);
    add_roff_commands(commands, synopsis ? add_roff_synopsis : add_roff_command, out);
    return true;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int help_on(const struct core_arguments *arguments, struct rc_buf *out)
{
    size_t used;
    const struct core_command *command =
        core_command_of(arguments->commands, arguments->words, arguments->word_count, &used);
    const char *word = arguments->words[0];
    RC_CLEANUP(core_image_close) struct core_image image = CORE_IMAGE_INIT;
    CORE_PROBLEMS_AUTO(ignored);
    struct core_config *config;
    struct rc_error err = RC_ERROR_INIT;
    int status = CORE_EXIT_OK;

    if (arguments->word_count > (command ? used : 1)) {
        (void)rc_fail(&err, RC_INVALID, "there is no command '%s %s'", word,
                      arguments->words[command ? used : 1]);
        return core_cli_complain(&err);
    }
    if (command) {
        core_help_add_command(command, out);
        return CORE_EXIT_OK;
    }
    /* Mistakes in the configuration are for 'check': help has to work beside them. */
    config = core_config_load(core_arguments_config_path(arguments), &ignored);
    switch (core_cli_plugin_read(config, word, &image, &err)) {
    case RC_OK:
        core_help_add_plugin(image.plugin, out);
        break;
    case RC_NOT_FOUND:
        (void)core_cli_unknown(arguments->commands, config, word, &err);
        status = core_cli_complain(&err);
        break;
    default:
        status = core_cli_complain(&err);
        break;
    }
    core_config_free(config);
    return status;
}

static int run_help(const struct core_arguments *arguments)
{
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    int status = CORE_EXIT_OK;

    if (arguments->word_count == 0)
        core_help_add_general(arguments->commands, &out);
    else if (strcmp(arguments->words[0], "configuration") == 0)
        core_help_add_configuration(arguments->markdown, &out);
    else if (strcmp(arguments->words[0], "engines") == 0)
        core_help_add_engines(arguments->markdown, &out);
    else if (strcmp(arguments->words[0], "api") == 0)
        (arguments->markdown ? core_openapi_add_markdown : core_openapi_add_text)(&out);
    else
        status = help_on(arguments, &out);
    return core_cli_print(&out, status);
}

void core_help_add_parts(const struct core_command *command, struct rc_buf *out)
{
    for (size_t i = 0; command->parts && command->parts[i]; i++)
        rc_buf_addf(out, "%s\n", core_command_word(command->parts[i]));
}

static void complete_help(const struct core_arguments *arguments, struct rc_buf *out)
{
    CORE_PLUGIN_LIST_AUTO(plugins);
    const struct core_command *command =
        arguments->word_count == 1 ? core_command_find(arguments->commands, arguments->words[0])
                                   : NULL;

    if (command)
        core_help_add_parts(command, out);
    if (arguments->word_count > 0)
        return;
    for (size_t i = 0; arguments->commands[i]; i++)
        if (!arguments->commands[i]->hidden)
            rc_buf_addf(out, "%s\n", arguments->commands[i]->name);
    rc_buf_adds(out, "configuration\nengines\napi\n");
    core_plugin_list_make(NULL, &plugins);
    for (size_t i = 0; i < plugins.count; i++)
        rc_buf_addf(out, "%s\n", plugins.items[i].name);
}

const struct core_command core_command_help = {
    .name = "help",
    .operands = "[COMMAND...|PLUGIN|configuration|engines|api]",
    .summary = "Shows how to use run-core, a command or a plugin; or the configuration's keys, "
               "what the SQL engines can do, or the daemon's HTTP requests.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_MARKDOWN,
    .max_words = 2,
    .run = run_help,
    .complete = complete_help,
};

/* 'run-core manual PART': for the test that keeps the man page like the tables. */
static int run_manual(const struct core_arguments *arguments)
{
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    struct rc_error err = RC_ERROR_INIT;

    if (arguments->word_count == 1 &&
        core_help_add_roff(arguments->commands, arguments->words[0], &out))
        return core_cli_print(&out, CORE_EXIT_OK);
    (void)rc_fail(&err, RC_INVALID, "the parts are synopsis, commands and flags");
    return core_cli_complain(&err);
}

const struct core_command core_command_manual = {
    .name = "manual",
    .operands = "PART",
    .summary = "Writes a part of the man page.",
    .hidden = true,
    .run = run_manual,
};
