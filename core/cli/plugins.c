/*
 * Plugins as words of a command line.
 */
#include <cli/plugins.h>

#include <base/nearest.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum rc_code core_cli_plugin_read(const struct core_config *config, const char *word,
                                  struct core_image *out, struct rc_error *err)
{
    RC_STR_AUTO file = strchr(word, '/') ? rc_strdup(word) : NULL;

    if (!file && core_plugin_find(config, word, &file, err))
        return err->code;
    return core_image_open(file, out, err);
}

char *core_cli_action_of(const struct core_config *config, const struct core_job_settings *job)
{
    struct core_image image;
    struct rc_error ignored = RC_ERROR_INIT;
    char *action;

    if (job->action)
        return rc_strdup(job->action);
    if (!job->plugin || core_cli_plugin_read(config, job->plugin, &image, &ignored))
        return NULL;
    action = rc_strdup(image.plugin->actions[0].name);
    core_image_close(&image);
    return action;
}

enum rc_code core_cli_unknown(const struct core_command *const *commands,
                              const struct core_config *config, const char *word,
                              struct rc_error *err)
{
    CORE_PLUGIN_LIST_AUTO(plugins);
    const char **names;
    const char *nearest;
    size_t count = 0, commands_count = 0;

    while (commands[commands_count])
        commands_count++;
    core_plugin_list_make(config, &plugins);
    names = rc_calloc(commands_count + plugins.count, sizeof(*names));
    for (size_t i = 0; i < commands_count; i++)
        if (!commands[i]->hidden)
            names[count++] = commands[i]->name;
    for (size_t i = 0; i < plugins.count; i++)
        names[count++] = plugins.items[i].name;
    nearest = core_nearest(word, names, count);
    free(names);
    if (nearest)
        return rc_fail(err, RC_INVALID,
                       "'%s' is neither a command nor a plugin; did you mean '%s'?", word, nearest);
    return rc_fail(err, RC_INVALID,
                   "'%s' is neither a command nor a plugin; 'run-core --help' shows the commands, "
                   "'run-core list' the plugins",
                   word);
}
