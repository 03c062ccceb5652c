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

static void add_layer(struct core_layers *out, const struct core_node *node)
{
    if (!node)
        return;
    RC_ASSERT(out->count < RC_ARRAY_LEN(out->nodes));
    out->nodes[out->count++] = node;
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

/* 'source' is the key that names it. */
static void add_values(struct core_arena *arena, const struct core_node *node, const char *source,
                       const struct core_place *place, struct core_layers *out,
                       struct core_problems *problems)
{
    if (node && node->kind == CORE_NODE_NULL)
        return;
    if (node && node->kind != CORE_NODE_MAP)
        core_problem_add(problems, &node->place, "a %s holds a map of options, not %s", source,
                         core_node_kind_text(node));
    add_layer(out, node && node->kind == CORE_NODE_MAP ? node : unknown_map(arena, place));
}

static void add_file(struct core_arena *arena, const char *path, const char *shown,
                     const struct core_place *place, struct core_layers *out,
                     struct core_problems *problems)
{
    if (!path || !*path)
        return;
    add_values(arena, core_yaml_read_as(arena, path, shown, place, problems), file_key, place, out,
               problems);
}

static void add_url(struct core_arena *arena, const char *url, const struct core_place *place,
                    const struct core_config_texts *texts, struct core_layers *out,
                    struct core_problems *problems)
{
    RC_STR_AUTO shown = NULL;

    if (!url || !*url)
        return;
    shown = core_url_public(url);
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        core_problem_add(
            problems, place,
            "a config_url begins with http:// or https://, not as '%s'; a file of this "
            "machine is a config_file",
            shown);
    for (size_t i = 0; texts && i < texts->count; i++) {
        const struct core_config_text *text = &texts->items[i];

        if (strcmp(text->url, url) != 0)
            continue;
        add_values(arena, core_yaml_parse(arena, shown, text->text, text->len, problems), url_key,
                   place, out, problems);
        return;
    }
    add_layer(out, unknown_map(arena, place));
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

static void add_set(struct core_arena *arena, const struct core_node *set,
                    const struct core_config_texts *texts, struct core_layers *out,
                    struct core_problems *problems)
{
    const struct core_node *file = source_in(set, file_key);
    const struct core_node *url = source_in(set, url_key);

    if (!set || set->kind != CORE_NODE_MAP)
        return;
    add_layer(out, without_sources(arena, set));
    if (file)
        add_file(arena, core_path_beside(arena, "", file->text), file->text, &file->place, out,
                 problems);
    if (url)
        add_url(arena, url->text, &url->place, texts, out, problems);
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
                        const struct core_config_texts *texts, struct core_layers *out,
                        struct core_problems *problems)
{
    *out = (struct core_layers){ 0 };
    add_set(arena, set, texts, out, problems);
    if (job) {
        add_layer(out, job->config);
        add_file(arena, job->config_file, job->config_file_shown, &job->config_file_place, out,
                 problems);
        add_url(arena, job->config_url, &job->config_url_place, texts, out, problems);
    }
    if (plugin) {
        add_layer(out, plugin->config);
        add_file(arena, plugin->config_file, plugin->config_file_shown, &plugin->config_file_place,
                 out, problems);
        add_url(arena, plugin->config_url, &plugin->config_url_place, texts, out, problems);
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
