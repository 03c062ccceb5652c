/*
 * Binds a plugin's options and an action's parameters for one run. The layers come from
 * config/config.h and the filling of a struct is config/options.h; what is decided here is which
 * table a key may belong to and when the plugin itself is asked.
 */
#include <runtime/binding.h>

#include <runtime/engine.h>
#include <sql/engine.h>

#include <run-core/str.h>

#include <string.h>

/*
 * Keys of --set that name further layers. core_config_layers() has taken them out; they are here to
 * be suggested where one is misspelt.
 */
struct layer_keys {
    const char *config_file, *config_url;
};

static const struct rc_option layer_options[] = {
    { RC_STR("config_file", struct layer_keys, config_file),
      .help = "File with further values, below those of the command line." },
    { RC_STR("config_url", struct layer_keys, config_url),
      .help = "URL of further values, fetched at each run." },
    { 0 },
};

/* Where a value that is missing should have stood: as near to the user's words as is known. */
static struct core_place place_of(const struct core_binding_source *source)
{
    if (source->job)
        return source->job->place;
    if (source->plugin)
        return source->plugin->place;
    return (struct core_place){ .file = "command line" };
}

/* What a plugin does not like may as well come from a variable: its options are judged together. */
static struct core_place place_of_check(const struct core_binding_source *source)
{
    if (source->job || source->plugin)
        return place_of(source);
    return (struct core_place){ .file = "command line or environment" };
}

/* The action that a key would have been a parameter of, had it been chosen; or NULL. */
static const char *other_action_with(const struct core_plugin *plugin,
                                     const struct core_action *action, const char *key)
{
    for (size_t i = 0; i < plugin->action_count; i++) {
        struct rc_option option;

        if (&plugin->actions[i] == action)
            continue;
        for (size_t at = 0; core_option_at(&plugin->actions[i].params, at, &option); at++)
            if (rc_str_eq(option.name, key) || (option.also && rc_str_eq(option.also, key)))
                return plugin->actions[i].name;
    }
    return NULL;
}

static bool has_key(const struct core_option_table *table, const char *key)
{
    struct rc_option option;

    for (size_t at = 0; core_option_at(table, at, &option); at++)
        if (rc_str_eq(option.name, key) || (option.also && rc_str_eq(option.also, key)))
            return true;
    return false;
}

/* Also what would be a parameter of another action stands at the top then. */
static const struct core_node *spread(const struct core_plugin *plugin, const struct core_node *map,
                                      struct core_arena *arena, struct core_problems *problems)
{
    size_t count = plugin->action_count + 1;
    struct core_option_table *tables = core_arena_alloc(arena, count * sizeof(*tables));

    tables[0] = plugin->options;
    for (size_t i = 0; i < plugin->action_count; i++)
        tables[i + 1] = plugin->actions[i].params;
    return core_options_spread(map, tables, count, arena, problems);
}

/*
 * Reports the keys that nobody knows. A parameter of another action gets a message of its own: the
 * nearest valid name would mislead. What is left of the map goes to the general check.
 */
static void check_keys(const struct core_plugin *plugin, const struct core_action *action,
                       const struct core_node *map, bool from_command_line, bool only_options,
                       struct core_arena *arena, struct core_problems *problems)
{
    const struct core_option_table tables[] = {
        plugin->options,
        action->params,
        CORE_OPTION_TABLE(layer_options),
    };
    size_t table_count = RC_ARRAY_LEN(tables) - (from_command_line ? 0 : 1);
    struct core_node rest;

    if (map->kind != CORE_NODE_MAP)
        return;
    map = spread(plugin, map, arena, problems);
    rest = *map;
    rest.entries = core_arena_alloc(arena, map->len * sizeof(*map->entries));
    rest.len = 0;
    for (size_t i = 0; i < map->len; i++) {
        const struct core_entry *entry = &map->entries[i];
        bool is_option = has_key(&plugin->options, entry->key);
        bool is_param = !is_option && has_key(&action->params, entry->key);
        const char *other =
            is_option || is_param ? NULL : other_action_with(plugin, action, entry->key);

        if (only_options && (is_param || other))
            continue;
        if (other)
            core_problem_add(problems, &entry->place,
                             "'%s' is a parameter of the action '%s' of plugin '%s', not of '%s'",
                             entry->key, other, plugin->name, action->name);
        else
            rest.entries[rest.len++] = *entry;
    }
    core_options_check_keys(&rest, tables, table_count,
                            core_arena_strf(arena, "plugin '%s'", plugin->name), problems);
}

static void bind_params(const struct core_action *action, const struct core_node *given,
                        const struct core_place *place, void *out, struct core_arena *arena,
                        struct core_problems *problems)
{
    core_options_check_keys(given, &action->params, 1,
                            core_arena_strf(arena, "the action '%s'", action->name), problems);
    core_options_bind(&action->params, &given, 1, place, out, arena, problems);
}

void core_binding_check_params(const struct core_action *action, const struct core_node *params,
                               const struct core_place *place, struct core_problems *problems)
{
    struct core_arena arena = CORE_ARENA_INIT;

    bind_params(action, params, place, core_arena_alloc(&arena, action->params_size), &arena,
                problems);
    core_arena_clear(&arena);
}

/* ---- the plugin's own rules ------------------------------------------------------------------ */

static void add_error(const struct core_plugin *plugin, const struct core_place *place,
                      const struct rc_error *err, struct core_problems *problems)
{
    core_problem_add(problems, place, "plugin '%s': %s%s%s", plugin->name, err->context,
                     err->context[0] ? ": " : "", err->cause);
}

/* Where the option's value stands, or where it came from if that is in no layer. */
static struct core_place place_of_option(const struct core_binding_source *source,
                                         const struct core_layers *layers,
                                         const struct rc_option *option)
{
    for (size_t i = 0; i < layers->count; i++) {
        const struct core_node *node = core_node_get(layers->nodes[i], option->name);

        if (!node && option->also)
            node = core_node_get(layers->nodes[i], option->also);
        if (node)
            return node->place;
    }
    return place_of_check(source);
}

/* One under 'sql:' is judged with the rest of the configuration, one that is only a kind here. */
static bool is_section(const struct core_config *config, const char *engine)
{
    for (size_t i = 0; config && i < config->engine_count; i++)
        if (rc_str_eq(config->engines[i].name, engine))
            return true;
    return false;
}

/*
 * Whether there is such an engine, and it can do what the plugin's configuration asks it for. Where
 * none is named and several could be meant, only a run that opens one is mistaken.
 */
static void check_engine(const struct core_plugin *plugin, const struct core_binding_source *source,
                         const struct core_layers *layers, const void *config,
                         struct core_arena *arena, struct core_problems *problems)
{
    const struct core_config *all = source->config;
    struct core_engine_settings settings;
    struct rc_error err = RC_ERROR_INIT;
    struct core_engine_view view;
    struct core_storage *storage;
    struct core_place place;
    struct rc_option option;
    const char *name;

    if (!core_plugin_engine_option(plugin, &option))
        return;
    memcpy(&name, (const char *)config + option.offset, sizeof(name));
    if ((!name || !*name) && all && all->engine_count > 1)
        return;
    place = place_of_option(source, layers, &option);
    storage = core_storage_new(all ? all->stores : NULL, all ? all->store_count : 0, NULL, NULL);
    if (core_engine_choose(all, name, arena, &settings, &err) ||
        (!is_section(all, settings.name) && core_engine_check(&settings, storage, &err)) ||
        core_engine_look(&settings, storage, &view, &err))
        core_problem_add(problems, &place, "'%s': %s", option.name, err.cause);
    else if (plugin->check_engine && plugin->check_engine(config, &view.engine, &err))
        add_error(plugin, &place, &err, problems);
    core_storage_free(storage);
}

bool core_binding_make(const struct core_plugin *plugin, const struct core_action *action,
                       const struct core_binding_source *source, struct core_arena *arena,
                       struct core_binding *out, struct core_problems *problems)
{
    const struct core_option_table tables[] = { plugin->options, action->params };
    struct core_place place = place_of(source);
    struct core_layers layers = { .count = 0 };
    size_t problems_before = problems->count;
    struct rc_error err = RC_ERROR_INIT;
    bool complete = true;
    void *config, *params;

    core_config_layers(arena, source->set, source->job, source->plugin, source->texts,
                       core_options_whole(tables, RC_ARRAY_LEN(tables)), &layers, problems);
    for (size_t i = 0; i < layers.count; i++) {
        check_keys(plugin, action, layers.nodes[i], i == 0 && source->set, source->params != NULL,
                   arena, problems);
        complete &= !layers.nodes[i]->broken;
    }

    config = core_arena_alloc(arena, plugin->config_size);
    params = core_arena_alloc(arena, action->params_size);
    core_options_bind(&plugin->options, layers.nodes, layers.count, &place, config, arena,
                      problems);
    if (source->params)
        bind_params(action, source->params, &place, params, arena, problems);
    else
        core_options_bind(&action->params, layers.nodes, layers.count, &place, params, arena,
                          problems);
    out->config = plugin->config_size ? config : NULL;
    out->params = action->params_size ? params : NULL;

    if (problems->count == problems_before && complete && plugin->check &&
        plugin->check(out->config, &err) != RC_OK) {
        place = place_of_check(source);
        add_error(plugin, &place, &err, problems);
    }
    if (problems->count == problems_before && complete)
        check_engine(plugin, source, &layers, out->config, arena, problems);
    return problems->count == problems_before;
}
