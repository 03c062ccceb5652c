/*
 * Finds plugins for listing, for completion and for "did you mean". Which file a run takes
 * is decided in runtime/plugin.c; this asks it.
 */
#include <cli/plugins.h>

#include <base/nearest.h>

#include <run-core/str.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLUGINS = 1000, PATH_BYTES = 64 * 1024 };

static bool has(const struct core_cli_plugins *plugins, const char *name)
{
    for (size_t i = 0; i < plugins->count; i++)
        if (strcmp(plugins->items[i].name, name) == 0)
            return true;
    return false;
}

/* Takes the file name; the first of a name counts, as in the search. */
static void add(struct core_cli_plugins *plugins, const char *name, char *file)
{
    if (has(plugins, name) || plugins->count >= MAX_PLUGINS) {
        free(file);
        return;
    }
    plugins->items = rc_realloc(plugins->items, (plugins->count + 1) * sizeof(*plugins->items));
    plugins->items[plugins->count++] = (struct core_cli_plugin){ rc_strdup(name), file };
}

static void add_directory(struct core_cli_plugins *plugins, const char *directory)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && rc_str_ends(entry->d_name, ".so")) {
            RC_STR_AUTO name = rc_strndup(entry->d_name, strlen(entry->d_name) - strlen(".so"));

            add(plugins, name, rc_strf("%s/%s", directory, entry->d_name));
        }
    }
    if (dir)
        (void)closedir(dir);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct core_cli_plugin *)a)->name,
                  ((const struct core_cli_plugin *)b)->name);
}

void core_cli_plugins_find(const struct core_config *config, struct core_cli_plugins *out)
{
    RC_BUF_AUTO(directories, PATH_BYTES);

    *out = (struct core_cli_plugins){ NULL, 0 };
    for (size_t i = 0; config && i < config->plugin_count; i++) {
        struct rc_error ignored = RC_ERROR_INIT;
        char *file = NULL;

        if (core_plugin_find(config, config->plugins[i].name, &file, &ignored) != RC_OK)
            file = NULL;
        add(out, config->plugins[i].name, file);
    }
    core_plugin_path(config, &directories);
    for (char *line = directories.data; *line;) {
        size_t len = strcspn(line, "\n");
        size_t step = len + (line[len] ? 1 : 0);

        line[len] = '\0';
        add_directory(out, line);
        line += step;
    }
    if (out->count)
        qsort(out->items, out->count, sizeof(*out->items), by_name);
}

void core_cli_plugins_clear(struct core_cli_plugins *plugins)
{
    for (size_t i = 0; i < plugins->count; i++) {
        free(plugins->items[i].name);
        free(plugins->items[i].file);
    }
    free(plugins->items);
    *plugins = (struct core_cli_plugins){ NULL, 0 };
}

enum rc_code core_cli_plugin_read(const struct core_config *config, const char *word,
                                  struct core_image *out, struct rc_error *err)
{
    RC_STR_AUTO file = strchr(word, '/') ? rc_strdup(word) : NULL;

    if (!file && core_plugin_find(config, word, &file, err))
        return err->code;
    return core_image_open(file, out, err);
}

enum rc_code core_cli_unknown(const struct core_command *const *commands,
                              const struct core_config *config, const char *word,
                              struct rc_error *err)
{
    CORE_CLI_PLUGINS_AUTO(plugins);
    const char **names;
    const char *nearest;
    size_t count = 0, commands_count = 0;

    while (commands[commands_count])
        commands_count++;
    core_cli_plugins_find(config, &plugins);
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
