/*
 * Puts together what the options of one run are bound from: the command line, the job
 * and the plugin, each with the file of values and the URL that it may name. What stands at a
 * URL is fetched elsewhere.
 */
#include <config/config.h>

#include <base/url.h>
#include <config/option_value.h>
#include <config/paths.h>

#include <run-core/str.h>

#include <string.h>
#include <strings.h>

static const char file_key[] = "config_file", url_key[] = "config_url";

/* Layers that are being put together. */
struct gathering {
    struct core_arena *arena;
    const struct core_config_texts *texts;
    const char *whole; /* the option that a list gives, or NULL */
    struct core_layers *out;
    struct core_problems *problems;
};

static void add_layer(const struct gathering *g, const struct core_node *node)
{
    if (!node)
        return;
    RC_ASSERT(g->out->count < RC_ARRAY_LEN(g->out->nodes));
    g->out->nodes[g->out->count++] = node;
}

/* Stands for values that could not be read, so that nobody complains of their absence too. */
static const struct core_node *unknown_map(struct core_arena *arena, const struct core_place *place)
{
    struct core_node *map = core_arena_alloc(arena, sizeof(*map));

    map->kind = CORE_NODE_MAP;
    map->place = *place;
    map->broken = true;
    return map;
}

/* The map that has 'list' under the key 'option'. */
static const struct core_node *map_of(struct core_arena *arena, const char *option,
                                      struct core_node *list)
{
    struct core_node *map = core_arena_alloc(arena, sizeof(*map));

    map->kind = CORE_NODE_MAP;
    map->place = list->place;
    map->entries = core_arena_alloc(arena, sizeof(*map->entries));
    map->entries[0] = (struct core_entry){ .key = option, .place = list->place, .value = list };
    map->len = 1;
    return map;
}

/* 'source' is the key that names where 'node' is from. */
static void add_values(const struct gathering *g, struct core_node *node, const char *source,
                       const struct core_place *place)
{
    if (node && node->kind == CORE_NODE_NULL)
        return;
    if (node && node->kind == CORE_NODE_MAP) {
        add_layer(g, node);
        return;
    }
    if (node && node->kind == CORE_NODE_LIST && g->whole) {
        add_layer(g, map_of(g->arena, g->whole, node));
        return;
    }
    if (node)
        core_problem_add(g->problems, &node->place, "a %s holds a map of options, not %s%s", source,
                         core_node_kind_text(node),
                         node->kind == CORE_NODE_LIST
                             ? "; put the list under the key of the option that it is for"
                             : "");
    add_layer(g, unknown_map(g->arena, place));
}

static void add_file(const struct gathering *g, const char *path, const char *shown,
                     const struct core_place *place)
{
    if (!path || !*path)
        return;
    add_values(g, core_yaml_read_as(g->arena, path, shown, place, CORE_YAML_HERE, g->problems),
               file_key, place);
}

static void add_url(const struct gathering *g, const char *url, const struct core_place *place)
{
    RC_STR_AUTO shown = NULL;

    if (!url || !*url)
        return;
    shown = core_url_public(url);
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        core_problem_add(
            g->problems, place,
            "a config_url begins with http:// or https://, not as '%s'; a file of this "
            "machine is a config_file",
            shown);
    for (size_t i = 0; g->texts && i < g->texts->count; i++) {
        const struct core_config_text *text = &g->texts->items[i];

        if (strcmp(text->url, url) != 0)
            continue;
        add_values(g, core_yaml_parse(g->arena, shown, text->text, text->len, g->problems), url_key,
                   place);
        return;
    }
    add_layer(g, unknown_map(g->arena, place));
}

static bool is_source(const char *key)
{
    return strcmp(key, file_key) == 0 || strcmp(key, url_key) == 0;
}

/* 'set' without the keys that name sources of values. */
static const struct core_node *without_sources(struct core_arena *arena,
                                               const struct core_node *set)
{
    struct core_node *copy = core_arena_alloc(arena, sizeof(*copy));

    *copy = *set;
    copy->entries = core_arena_alloc(arena, set->len * sizeof(*copy->entries));
    copy->len = 0;
    for (size_t i = 0; i < set->len; i++)
        if (!is_source(set->entries[i].key))
            copy->entries[copy->len++] = set->entries[i];
    return copy;
}

static const struct core_node *source_in(const struct core_node *set, const char *key)
{
    const struct core_node *node = core_node_get(set, key);

    return node && node->kind == CORE_NODE_SCALAR ? node : NULL;
}

static void add_set(const struct gathering *g, const struct core_node *set)
{
    const struct core_node *file = source_in(set, file_key);
    const struct core_node *url = source_in(set, url_key);

    if (!set || set->kind != CORE_NODE_MAP)
        return;
    add_layer(g, without_sources(g->arena, set));
    if (file)
        add_file(g, core_path_beside(g->arena, "", file->text), file->text, &file->place);
    if (url)
        add_url(g, url->text, &url->place);
}

size_t core_config_urls(const struct core_node *set, const struct core_job_settings *job,
                        const struct core_plugin_settings *plugin,
                        const char *out[CORE_CONFIG_URLS])
{
    const struct core_node *node = source_in(set, url_key);
    const char *const urls[CORE_CONFIG_URLS] = { node ? node->text : NULL,
                                                 job ? job->config_url : NULL,
                                                 plugin ? plugin->config_url : NULL };
    size_t count = 0;

    for (size_t i = 0; i < CORE_CONFIG_URLS; i++)
        if (urls[i] && *urls[i])
            out[count++] = urls[i];
    return count;
}

void core_config_layers(struct core_arena *arena, const struct core_node *set,
                        const struct core_job_settings *job,
                        const struct core_plugin_settings *plugin,
                        const struct core_config_texts *texts, const char *whole,
                        struct core_layers *out, struct core_problems *problems)
{
    const struct gathering g = { arena, texts, whole, out, problems };

    *out = (struct core_layers){ 0 };
    add_set(&g, set);
    if (job) {
        add_layer(&g, job->config);
        add_file(&g, job->config_file, job->config_file_shown, &job->config_file_place);
        add_url(&g, job->config_url, &job->config_url_place);
    }
    if (plugin) {
        add_layer(&g, plugin->config);
        add_file(&g, plugin->config_file, plugin->config_file_shown, &plugin->config_file_place);
        add_url(&g, plugin->config_url, &plugin->config_url_place);
    }
}

/* ---- --set -------------------------------------------------------------------------------- */

static void add_word(struct core_arena *arena, const char *word, struct core_node *map,
                     struct core_problems *problems)
{
    const char *equals = strchr(word, '=');
    struct core_entry *entry = &map->entries[map->len];
    struct core_node *value;
    char shown[CORE_SHOWN_TEXT];

    if (!equals || equals == word) {
        core_problem_add(problems, &(struct core_place){ .file = "--set" }, "'%s' is not KEY=VALUE",
                         core_shown(word, shown));
        return;
    }
    entry->key = core_arena_strndup(arena, word, (size_t)(equals - word));
    entry->place.file = core_arena_strf(arena, "--set %s", core_shown(entry->key, shown));
    if (core_node_get(map, entry->key)) {
        core_problem_add(problems, &entry->place, "the option is given twice");
        return;
    }
    value = core_arena_alloc(arena, sizeof(*value));
    value->kind = CORE_NODE_SCALAR;
    value->place = entry->place;
    value->text = core_arena_strdup(arena, equals + 1);
    value->quoted = true;
    value->loose = true;
    entry->value = value;
    map->len++;
}

struct core_node *core_config_parse_set(struct core_arena *arena, const char *const *words,
                                        size_t count, struct core_problems *problems)
{
    struct core_node *map = core_arena_alloc(arena, sizeof(*map));

    map->kind = CORE_NODE_MAP;
    map->place.file = "--set";
    map->entries = core_arena_alloc(arena, count * sizeof(*map->entries));
    for (size_t i = 0; i < count; i++)
        add_word(arena, words[i], map, problems);
    return map;
}
