/*
 * The plugin loader. Everything that can be judged without running the plugin's code is judged
 * here, each fault with a message of its own; how a configuration is bound to the option tables
 * is binding.c's work.
 */
#include <runtime/plugin.h>

#include <base/nearest.h>
#include <base/path_template.h>
#include <os/file.h>

#include <run-core/str.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_NAME = 63,
    MAX_ENTRIES = 1000, /* of any one table: a table without its end marker must not run away */
    PATH_LIMIT = 64 * 1024,
};

/* ---- the search path ---------------------------------------------------------------------- */

/* Appends <prefix>/lib/run-core/plugins, the prefix being that of the running binary. */
static void add_installed_directory(struct rc_buf *out)
{
    char exe[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    if (len <= 0)
        return;
    exe[len] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(exe, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
    rc_buf_addf(out, "%s/lib/run-core/plugins\n", exe);
}

void core_plugin_path(const struct core_config *config, struct rc_buf *out)
{
    const char *environment = getenv("RUN_CORE_PLUGIN_PATH");

    for (size_t i = 0; config && i < config->settings.plugin_path.len; i++)
        rc_buf_addf(out, "%s\n", config->settings.plugin_path.items[i]);
    while (environment && *environment) {
        size_t len = strcspn(environment, ":");
        if (len > 0) {
            rc_buf_add(out, environment, len);
            rc_buf_addc(out, '\n');
        }
        environment += len + (environment[len] == ':');
    }
    add_installed_directory(out);
}

/* The names of the plugins on the path, for "did you mean". */
struct names {
    char **items;
    size_t len;
};

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->len; i++)
        free(names->items[i]);
    free(names->items);
}

static void collect_names(const char *directory, struct names *names)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;

    while (dir && names->len < MAX_ENTRIES && (entry = readdir(dir)) != NULL) {
        if (!rc_str_ends(entry->d_name, ".so"))
            continue;
        names->items = rc_realloc(names->items, (names->len + 1) * sizeof(char *));
        names->items[names->len++] = rc_strndup(entry->d_name, strlen(entry->d_name) - 3);
    }
    if (dir)
        closedir(dir);
}

/* Looks for 'file' in each directory of 'path' (one a line). */
static char *search(const char *path, const char *file, struct names *names)
{
    while (*path) {
        size_t len = strcspn(path, "\n");
        RC_STR_AUTO directory = rc_strndup(path, len);
        RC_STR_AUTO candidate = rc_strf("%s/%s", directory, file);

        if (access(candidate, F_OK) == 0) {
            char *found = candidate;
            candidate = NULL;
            return found;
        }
        collect_names(directory, names);
        path += len + (path[len] == '\n');
    }
    return NULL;
}

static enum rc_code not_found(const char *name, char *path, const struct names *names,
                              struct rc_error *err)
{
    const char *nearest = core_nearest(name, (const char *const *)names->items, names->len);

    for (char *c = path; *c; c++) {
        if (*c == '\n')
            *c = c[1] ? ':' : '\0';
    }
    return rc_fail(err, RC_NOT_FOUND,
                   "there is no plugin '%s'%s%s%s; looked for '%s.so' in %s. Put the file there, "
                   "or name its directory in RUN_CORE_PLUGIN_PATH or core.plugin_path",
                   name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                   nearest ? "'?" : "", name, *path ? path : "no directory at all");
}

enum rc_code core_plugin_find(const struct core_config *config, const char *name, char **path,
                              struct rc_error *err)
{
    const struct core_plugin_settings *settings = config ? core_config_plugin(config, name) : NULL;
    const char *file = settings ? settings->file : NULL;
    RC_STR_AUTO by_name = rc_strf("%s.so", name);
    RC_BUF_AUTO(directories, PATH_LIMIT);
    RC_CLEANUP(names_clear) struct names names = { NULL, 0 };

    if (strchr(name, '/'))
        return rc_fail(err, RC_INVALID,
                       "'%s' is a path; a plugin is run by its name, without '.so', and its "
                       "directory is named in RUN_CORE_PLUGIN_PATH or core.plugin_path",
                       name);
    if (file && file[0] == '/') {
        *path = rc_strdup(file);
        return RC_OK;
    }
    core_plugin_path(config, &directories);
    *path = search(directories.data, file ? file : by_name, &names);
    return *path ? RC_OK : not_found(name, directories.data, &names, err);
}

/* ---- descriptor checks -------------------------------------------------------------------- */

/* How large the descriptor was in that minor version. The other structs are as they were. */
static size_t descriptor_size(uint32_t abi_minor)
{
    return abi_minor < 7 ? offsetof(struct rc_plugin, check_engine) : sizeof(struct rc_plugin);
}

static enum rc_code check_head(const char *path, const struct rc_plugin *plugin,
                               struct rc_error *err)
{
    if (plugin->magic != RC_PLUGIN_MAGIC)
        return rc_fail(err, RC_INVALID,
                       "'%s' is not a run-core plugin: its descriptor does not begin with the "
                       "plugin magic",
                       path);
    if (plugin->abi_major != RC_ABI_MAJOR || plugin->abi_minor > RC_ABI_MINOR)
        return rc_fail(err, RC_INVALID, "'%s' needs plugin ABI %u.%u, this run-core has %u.%u; %s",
                       path, plugin->abi_major, plugin->abi_minor, RC_ABI_MAJOR, RC_ABI_MINOR,
                       plugin->abi_major < RC_ABI_MAJOR
                           ? "rebuild the plugin with the headers of this run-core"
                           : "upgrade run-core or rebuild the plugin with its headers");
    if (plugin->plugin_size != descriptor_size(plugin->abi_minor) ||
        plugin->option_size != sizeof(struct rc_option) ||
        plugin->action_size != sizeof(struct rc_action) ||
        plugin->route_size != sizeof(struct rc_route))
        return rc_fail(err, RC_INVALID,
                       "'%s' says plugin ABI %u.%u, but the sizes of its structs (%u, %u, %u, %u "
                       "bytes) are not those of that ABI; rebuild it with unchanged headers",
                       path, plugin->abi_major, plugin->abi_minor, plugin->plugin_size,
                       plugin->option_size, plugin->action_size, plugin->route_size);
    return RC_OK;
}

static bool is_name(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    return len > 0 && len <= MAX_NAME && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static enum rc_code check_names(const char *path, const struct rc_plugin *plugin,
                                struct rc_error *err)
{
    if (!is_name(plugin->name))
        return rc_fail(err, RC_INVALID,
                       "'%s' declares the plugin name '%s'; a name begins with a letter and has "
                       "lower-case letters, digits and '-' only, at most %d",
                       path, plugin->name ? plugin->name : "", MAX_NAME);
    if (!plugin->version || !plugin->summary)
        return rc_fail(err, RC_INVALID, "plugin '%s' ('%s') declares no %s", plugin->name, path,
                       plugin->version ? "summary" : "version");
    if (plugin->options && plugin->config_size == 0)
        return rc_fail(err, RC_INVALID,
                       "plugin '%s' ('%s') declares options but no config_size for them",
                       plugin->name, path);
    return RC_OK;
}

static enum rc_code check_table(const char *path, const struct core_option_table *table,
                                size_t struct_size, const char *what, struct rc_error *err)
{
    struct core_problems problems;
    struct rc_option option;
    enum rc_code code = RC_OK;
    size_t count = 0;

    for (; core_option_at(table, count, &option); count++) {
        if (count >= MAX_ENTRIES)
            return rc_fail(err, RC_INVALID,
                           "the option table of %s ('%s') has no end within %d entries; it must "
                           "end with { 0 }",
                           what, path, MAX_ENTRIES);
        if (option.offset >= struct_size)
            return rc_fail(err, RC_INVALID,
                           "option '%s' of %s ('%s') lies outside its struct of %zu bytes",
                           option.name, what, path, struct_size);
    }
    core_problems_init(&problems);
    core_options_check_table(table, what, &problems);
    if (problems.first)
        code = rc_fail(err, RC_INVALID, "%s ('%s'): %s%s", what, path, problems.first->message,
                       problems.count > 1 ? "; and more" : "");
    core_problems_clear(&problems);
    return code;
}

static enum rc_code adopt_actions(const char *path, const struct rc_plugin *plugin,
                                  struct core_plugin *out, struct rc_error *err)
{
    for (size_t i = 0; plugin->actions && plugin->actions[i].name; i++) {
        const struct rc_action *from = &plugin->actions[i];
        struct core_action *to;
        char what[160];

        if (i >= MAX_ENTRIES)
            return rc_fail(err, RC_INVALID,
                           "the actions of plugin '%s' ('%s') have no end within %d entries; "
                           "they must end with { 0 }",
                           plugin->name, path, MAX_ENTRIES);
        if (!is_name(from->name) || !from->summary || !from->run)
            return rc_fail(err, RC_INVALID, "action %zu of plugin '%s' ('%s') has %s", i + 1,
                           plugin->name, path,
                           !is_name(from->name) ? "no proper name"
                           : !from->summary     ? "no summary"
                                                : "no function");
        if (core_plugin_action(out, from->name))
            return rc_fail(err, RC_INVALID, "plugin '%s' ('%s') declares the action '%s' twice",
                           plugin->name, path, from->name);

        out->actions = rc_realloc(out->actions, (i + 1) * sizeof(*out->actions));
        to = &out->actions[i];
        *to = (struct core_action){
            .name = from->name,
            .summary = from->summary,
            .params = { from->params, plugin->option_size },
            .params_size = from->params_size,
            .run = from->run,
        };
        out->action_count = i + 1;
        snprintf(what, sizeof(what), "action '%s' of plugin '%s'", from->name, plugin->name);
        if (check_table(path, &to->params, to->params_size, what, err))
            return err->code;
    }
    if (out->action_count == 0)
        return rc_fail(err, RC_INVALID, "plugin '%s' ('%s') declares no action", plugin->name,
                       path);
    return RC_OK;
}

static enum rc_code adopt_routes(const char *path, const struct rc_plugin *plugin,
                                 struct core_plugin *out, struct rc_error *err)
{
    for (size_t i = 0; plugin->routes && plugin->routes[i].method; i++) {
        const struct rc_route *route = &plugin->routes[i];

        if (i >= MAX_ENTRIES || !route->path || !core_path_template_is_good(route->path) ||
            !route->handle)
            return rc_fail(err, RC_INVALID,
                           "route %zu of plugin '%s' ('%s') has no path that begins with '/', no "
                           "function, or the table has no end",
                           i + 1, plugin->name, path);
        out->routes = rc_realloc(out->routes, (i + 1) * sizeof(*out->routes));
        out->routes[i] = *route;
        out->route_count = i + 1;
    }
    return RC_OK;
}

/* A parameter named like an option could not be told from it in --set. */
static enum rc_code check_distinct(const char *path, const struct core_plugin *plugin,
                                   struct rc_error *err)
{
    struct rc_option param, option;

    for (size_t a = 0; a < plugin->action_count; a++) {
        const struct core_action *action = &plugin->actions[a];
        for (size_t i = 0; core_option_at(&action->params, i, &param); i++) {
            for (size_t k = 0; core_option_at(&plugin->options, k, &option); k++) {
                if (rc_str_eq(param.name, option.name))
                    return rc_fail(err, RC_INVALID,
                                   "plugin '%s' ('%s'): '%s' is both an option and a parameter "
                                   "of the action '%s'",
                                   plugin->name, path, param.name, action->name);
                if (core_options_entangled(&param, &option))
                    return rc_fail(err, RC_INVALID,
                                   "plugin '%s' ('%s'): the parameter '%s' of the action '%s' and "
                                   "the option '%s' cannot be told apart in maps",
                                   plugin->name, path, param.name, action->name, option.name);
            }
        }
    }
    return RC_OK;
}

static enum rc_code adopt_body(const char *path, const struct rc_plugin *descriptor,
                               struct core_plugin *plugin, struct rc_error *err)
{
    char what[128];

    if (check_names(path, descriptor, err))
        return err->code;
    snprintf(what, sizeof(what), "plugin '%s'", descriptor->name);
    if (check_table(path, &plugin->options, plugin->config_size, what, err) ||
        adopt_actions(path, descriptor, plugin, err) || adopt_routes(path, descriptor, plugin, err))
        return err->code;
    return check_distinct(path, plugin, err);
}

enum rc_code core_plugin_adopt(const char *path, const struct rc_plugin *descriptor,
                               struct core_plugin **out, struct rc_error *err)
{
    struct rc_plugin present = { .name = NULL };
    struct core_plugin *plugin;

    if (check_head(path, descriptor, err))
        return err->code;
    memcpy(&present, descriptor, descriptor->plugin_size);
    plugin = rc_calloc(1, sizeof(*plugin));
    *plugin = (struct core_plugin){
        .path = rc_strdup(path),
        .abi_major = present.abi_major,
        .abi_minor = present.abi_minor,
        .name = present.name,
        .version = present.version,
        .summary = present.summary,
        .options = { present.options, present.option_size },
        .config_size = present.config_size,
        .check = present.check,
        .check_engine = present.check_engine,
        .engine_features = present.engine_features,
    };
    if (adopt_body(path, &present, plugin, err)) {
        core_plugin_free(plugin);
        return err->code;
    }
    *out = plugin;
    return RC_OK;
}

bool core_plugin_engine_option(const struct core_plugin *plugin, struct rc_option *out)
{
    for (size_t i = 0; core_option_at(&plugin->options, i, out); i++)
        if (out->flags & RC_OPT_ENGINE)
            return true;
    return false;
}

/* ---- loading ------------------------------------------------------------------------------ */

enum rc_code core_plugin_load(const char *path, struct core_plugin **out, struct rc_error *err)
{
    const struct rc_plugin *const *symbol;
    void *handle;

    if (core_file_check_trusted(path, err))
        return rc_context(err, "load plugin '%s'", path);

    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return rc_fail(err, RC_INVALID, "cannot load the plugin: %s", dlerror());

    symbol = (const struct rc_plugin *const *)dlsym(handle, RC_PLUGIN_SYMBOL);
    if (!symbol || !*symbol)
        return rc_fail(err, RC_INVALID,
                       "'%s' is a shared library but no run-core plugin: it does not export "
                       "'%s'; the plugin's source needs RC_PLUGIN_EXPORT(...)",
                       path, RC_PLUGIN_SYMBOL);
    if (core_plugin_adopt(path, *symbol, out, err))
        return err->code;
    (*out)->handle = handle;
    return RC_OK;
}

void core_plugin_free(struct core_plugin *plugin)
{
    if (!plugin)
        return;
    free(plugin->path);
    free(plugin->actions);
    free(plugin->routes);
    free(plugin);
}

const struct core_action *core_plugin_action(const struct core_plugin *plugin, const char *name)
{
    for (size_t i = 0; i < plugin->action_count; i++) {
        if (!name || strcmp(plugin->actions[i].name, name) == 0)
            return &plugin->actions[i];
    }
    return NULL;
}
