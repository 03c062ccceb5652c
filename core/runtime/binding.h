/*
 * Binding: from configuration layers to the filled structs that an action is given.
 * 'run-core check' and every run go through here, so what the one accepts the other does.
 */
#ifndef CORE_RUNTIME_BINDING_H
#define CORE_RUNTIME_BINDING_H

#include <runtime/plugin.h>

/* What the values come from. Any member may be NULL. */
struct core_binding_source {
    const struct core_config *config; /* of the SQL engines and stores that values name */
    const struct core_node *set;      /* from core_config_parse_set() */
    const struct core_job_settings *job;
    const struct core_plugin_settings *plugin;
    const struct core_config_texts *texts; /* of the config_urls among these */
    /*
     * A map: the action's parameters stand here alone, and those of any action that stand among
     * the options are passed over. They are another run's.
     */
    const struct core_node *params;
};

struct core_binding {
    const void *config; /* of the plugin's options; NULL if they fill nothing */
    const void *params; /* of the action's parameters; NULL if it has none */
};

/*
 * Fills both structs, which live in 'arena' with all that they point to. A key may name an option
 * of the plugin or a parameter of the action, on the command line as in files. Mistakes go to
 * 'problems'; the plugin's own check(), and then its check_engine(), is asked only when there is
 * none so far in this binding. Where a config_url is not among the texts, what it would have given
 * is missed by nobody, and neither is asked. Returns whether the binding may be used.
 */
RC_MUST_CHECK bool core_binding_make(const struct core_plugin *plugin,
                                     const struct core_action *action,
                                     const struct core_binding_source *source,
                                     struct core_arena *arena, struct core_binding *out,
                                     struct core_problems *problems);

/*
 * Judges a map of parameters as a binding would; 'place' is that of what is missing.
 */
void core_binding_check_params(const struct core_action *action, const struct core_node *params,
                               const struct core_place *place, struct core_problems *problems);

#endif
