/*
 * The plugin loader: finds a plugin's file, checks everything that can be checked
 * before its code runs, and brings its descriptor to the present structs.
 */
#ifndef CORE_RUNTIME_PLUGIN_H
#define CORE_RUNTIME_PLUGIN_H

#include <config/config.h>

#include <run-core/plugin.h>

struct core_action {
    const char *name, *summary;
    struct core_option_table params;
    size_t params_size;
    enum rc_code (*run)(struct rc_job *job, const void *config, struct rc_error *err);
};

struct core_plugin {
    char *path;
    void *handle; /* of dlopen(); NULL when the descriptor was read from the file's image */
    uint32_t abi_major, abi_minor;
    const char *name, *version, *summary;
    struct core_option_table options;
    size_t config_size;
    struct core_action *actions; /* the first is the default */
    size_t action_count;
    struct rc_route *routes;
    size_t route_count;
    enum rc_code (*check)(const void *config, struct rc_error *err);
    enum rc_code (*check_engine)(const void *config, const struct rc_sql_engine *engine,
                                 struct rc_error *err);
    uint32_t engine_features;
};

/* The option with RC_OPT_ENGINE; false: the plugin has none, and so uses no SQL engine. */
bool core_plugin_engine_option(const struct core_plugin *plugin, struct rc_option *out);

/*
 * The directories that are searched, in order: those of the configuration, $RUN_CORE_PLUGIN_PATH
 * (colon-separated), then <prefix>/lib/run-core/plugins. Appended to 'out' one a line, for
 * messages too.
 */
void core_plugin_path(const struct core_config *config, struct rc_buf *out);

/*
 * The file of the plugin 'name': as the configuration says, else NAME.so on the path.
 * RC_NOT_FOUND names the directories searched and the nearest name that is there. RC_INVALID: it is
 * a path. Freed with free().
 */
RC_MUST_CHECK enum rc_code core_plugin_find(const struct core_config *config, const char *name,
                                            char **path, struct rc_error *err);

/*
 * Loads a file: trusted owner and mode, dlopen (RTLD_NOW | RTLD_LOCAL), descriptor checks. Errors
 * are RC_INVALID or RC_DENIED and say what to do. The plugin stays loaded until the process ends;
 * freed with core_plugin_free().
 */
RC_MUST_CHECK enum rc_code core_plugin_load(const char *path, struct core_plugin **out,
                                            struct rc_error *err);

/*
 * Checks a descriptor that was found in the file 'path' and copies it to '*out'. The head is
 * checked before anything behind it is read.
 */
RC_MUST_CHECK enum rc_code core_plugin_adopt(const char *path, const struct rc_plugin *descriptor,
                                             struct core_plugin **out, struct rc_error *err);
void core_plugin_free(struct core_plugin *plugin);

/* The action of that name (NULL: the default), or NULL. */
const struct core_action *core_plugin_action(const struct core_plugin *plugin, const char *name);

#endif
