/*
 * 'run-core PLUGIN [ACTION]' and 'run-core run JOB': both ask for one run in the foreground,
 * which run.c makes.
 */
#include <cli/arguments.h>
#include <cli/output.h>
#include <cli/plugins.h>

#include <base/nearest.h>

#include <run-core/str.h>

#include <stdlib.h>

static struct core_run_request request_of(const struct core_arguments *arguments)
{
    return (struct core_run_request){
        .config_path = core_arguments_config_path(arguments),
        .job = arguments->job,
        .set = arguments->set.items,
        .set_count = arguments->set.len,
        .now_unix_ms = arguments->now.unix_ms,
        .has_now = arguments->now.given,
        .dry_run = arguments->dry_run,
        .json = arguments->json,
        .force = arguments->force,
        .listen = arguments->listen,
        .log_level = arguments->log_level.level,
        .has_log_level = arguments->log_level.given,
    };
}

static int run_job(const struct core_arguments *arguments)
{
    struct core_run_request request = request_of(arguments);

    request.job = arguments->words[0];
    return core_cli_run(&request);
}

/* Whether a first word that names no plugin is more likely a command that was misspelt. */
static bool is_misspelt(const struct core_arguments *arguments, struct rc_error *err)
{
    const char *word = arguments->words[0], *names[32];
    size_t count = 0;

    for (size_t i = 0; arguments->commands[i] && count < RC_ARRAY_LEN(names); i++)
        if (!arguments->commands[i]->hidden)
            names[count++] = arguments->commands[i]->name;
    /* The configuration is read only for a word near a command's, so that a run reads it once. */
    if (!core_nearest(word, names, count))
        return false;

    CORE_PROBLEMS_AUTO(ignored);
    RC_STR_AUTO file = NULL;
    struct core_config *config = core_config_load(core_arguments_config_path(arguments), &ignored);
    bool misspelt = core_plugin_find(config, word, &file, err) != RC_OK;
    if (misspelt)
        (void)core_cli_unknown(arguments->commands, config, word, err);
    core_config_free(config);
    return misspelt;
}

static int run_plugin(const struct core_arguments *arguments)
{
    struct core_run_request request = request_of(arguments);
    struct rc_error err = RC_ERROR_INIT;

    if (is_misspelt(arguments, &err))
        return core_cli_complain(&err);
    request.plugin = arguments->words[0];
    request.action = arguments->word_count > 1 ? arguments->words[1] : NULL;
    return core_cli_run(&request);
}

/* ---- completion ------------------------------------------------------------------------------ */

static void complete_job(const struct core_arguments *arguments, struct rc_buf *out)
{
    if (arguments->word_count > 0)
        return;

    CORE_PROBLEMS_AUTO(ignored);
    struct core_config *config = core_config_load(core_arguments_config_path(arguments), &ignored);
    for (size_t i = 0; i < config->job_count; i++)
        rc_buf_addf(out, "%s\n", config->jobs[i].name);
    core_config_free(config);
}

static void complete_action(const struct core_arguments *arguments, struct rc_buf *out)
{
    if (arguments->word_count != 1)
        return;

    RC_CLEANUP(core_image_close) struct core_image image = CORE_IMAGE_INIT;
    CORE_PROBLEMS_AUTO(ignored);
    struct rc_error err = RC_ERROR_INIT;
    struct core_config *config = core_config_load(core_arguments_config_path(arguments), &ignored);
    if (core_cli_plugin_read(config, arguments->words[0], &image, &err) == RC_OK)
        for (size_t i = 0; i < image.plugin->action_count; i++)
            rc_buf_addf(out, "%s\n", image.plugin->actions[i].name);
    core_config_free(config);
}

const struct core_command core_command_run = {
    .name = "run",
    .operands = "JOB",
    .summary = "Runs a job of the configuration once, in the foreground.",
    .flags = CORE_FLAGS_RUN,
    .min_words = 1,
    .max_words = 1,
    .run = run_job,
    .complete = complete_job,
};

const struct core_command core_command_plugin = {
    .name = "PLUGIN",
    .operands = "[ACTION]",
    .summary = "Runs an action of a plugin, its first by default.",
    .flags = CORE_FLAGS_PLUGIN,
    .min_words = 1,
    .max_words = 2,
    .run = run_plugin,
    .complete = complete_action,
};
