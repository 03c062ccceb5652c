/*
 * Lists plugins by name and file. Which file a run takes is decided in plugin.c; this asks it.
 */
#include <runtime/plugin_list.h>

#include <run-core/str.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLUGINS = 1000, PATH_BYTES = 64 * 1024 };

static bool has(const struct core_plugin_list *plugins, const char *name)
{
    for (size_t i = 0; i < plugins->count; i++)
        if (strcmp(plugins->items[i].name, name) == 0)
            return true;
    return false;
}

/* Takes the file name; the first of a name counts, as in the search. */
static void add(struct core_plugin_list *plugins, const char *name, char *file)
{
    if (has(plugins, name) || plugins->count >= MAX_PLUGINS) {
        free(file);
        return;
    }
    plugins->items = rc_realloc(plugins->items, (plugins->count + 1) * sizeof(*plugins->items));
    plugins->items[plugins->count++] = (struct core_listed_plugin){ rc_strdup(name), file };
}

static void add_directory(struct core_plugin_list *plugins, const char *directory)
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
    return strcmp(((const struct core_listed_plugin *)a)->name,
                  ((const struct core_listed_plugin *)b)->name);
}

void core_plugin_list_make(const struct core_config *config, struct core_plugin_list *out)
{
    RC_BUF_AUTO(directories, PATH_BYTES);

    *out = (struct core_plugin_list){ NULL, 0 };
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

void core_plugin_list_clear(struct core_plugin_list *plugins)
{
    for (size_t i = 0; i < plugins->count; i++) {
        free(plugins->items[i].name);
        free(plugins->items[i].file);
    }
    free(plugins->items);
    *plugins = (struct core_plugin_list){ NULL, 0 };
}
