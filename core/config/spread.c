/*
 * Maps of options within maps: an option whose name has dots may be given as a key of its own, or
 * at the end of a map for each part of its name. What is left of a layer is flat.
 */
#include <config/options.h>

#include <config/option_value.h>

#include <run-core/str.h>

#include <string.h>

static bool begins(const char *name, const char *key)
{
    size_t len = name && key ? strlen(key) : 0;

    return len > 0 && strncmp(name, key, len) == 0 && name[len] == '.';
}

static bool is_below(const struct rc_option *option, const char *key)
{
    return begins(option->name, key) || begins(option->also, key);
}

bool core_options_entangled(const struct rc_option *a, const struct rc_option *b)
{
    return is_below(a, b->name) || is_below(a, b->also) || is_below(b, a->name) ||
           is_below(b, a->also);
}

/* ---- a layer ------------------------------------------------------------------------------ */

struct spreading {
    const struct core_option_table *tables;
    size_t table_count;
    struct core_arena *arena;
    struct core_problems *problems;
    struct core_node *out;
    size_t capacity;
};

static bool is_option(const struct spreading *spreading, const char *key)
{
    struct rc_option option;

    for (size_t t = 0; t < spreading->table_count; t++)
        if (core_option_find(&spreading->tables[t], key, &option))
            return true;
    return false;
}

/* The name of an option that has 'key' before one of its dots; or NULL. */
static const char *option_below(const struct spreading *spreading, const char *key)
{
    struct rc_option option;

    for (size_t t = 0; t < spreading->table_count; t++)
        for (size_t i = 0; core_option_at(&spreading->tables[t], i, &option); i++)
            if (is_below(&option, key))
                return begins(option.name, key) ? option.name : option.also;
    return NULL;
}

/* Whether there is something to spread; most layers are flat as they are. */
static bool has_depth(const struct spreading *spreading, const struct core_node *map)
{
    for (size_t i = 0; i < map->len; i++)
        if (!is_option(spreading, map->entries[i].key) &&
            option_below(spreading, map->entries[i].key))
            return true;
    return false;
}

static const struct core_entry *find(const struct core_node *map, const char *key)
{
    for (size_t i = 0; i < map->len; i++)
        if (strcmp(map->entries[i].key, key) == 0)
            return &map->entries[i];
    return NULL;
}

static void add(struct spreading *spreading, const char *key, const struct core_entry *entry)
{
    struct core_node *out = spreading->out;
    const struct core_entry *first = find(out, key);
    char shown[CORE_SHOWN_TEXT];

    if (first) {
        core_problem_add(spreading->problems, &entry->place,
                         "'%s' is given twice; the first is at %s", core_shown(key, shown),
                         core_place_text(&first->place, spreading->arena));
        return;
    }
    if (out->len == spreading->capacity) {
        size_t capacity = spreading->capacity * 2 + 8;
        struct core_entry *entries =
            core_arena_alloc(spreading->arena, capacity * sizeof(*entries));

        if (out->len > 0)
            memcpy(entries, out->entries, out->len * sizeof(*entries));
        out->entries = entries;
        spreading->capacity = capacity;
    }
    out->entries[out->len++] =
        (struct core_entry){ .key = key, .place = entry->place, .value = entry->value };
}

static void spread_map(struct spreading *spreading, const char *prefix,
                       const struct core_node *map);

/* 'below' is an option behind 'key'. Without a value, nothing of it is given. */
static void spread_value(struct spreading *spreading, const char *key, const char *below,
                         const struct core_node *value)
{
    const struct core_option_site site = { .key = key,
                                           .arena = spreading->arena,
                                           .scratch = spreading->arena,
                                           .problems = spreading->problems };
    char shown[CORE_SHOWN_TEXT];

    value = core_option_structure(&site, value);
    if (!value || value->broken) {
        spreading->out->broken = true;
        return;
    }
    if (value->kind == CORE_NODE_MAP)
        spread_map(spreading, core_arena_strf(spreading->arena, "%s.", key), value);
    else if (value->kind != CORE_NODE_NULL)
        core_problem_add(spreading->problems, &value->place,
                         "'%s' must be a map, as for '%s', not %s", core_shown(key, shown), below,
                         core_node_kind_text(value));
}

static void spread_map(struct spreading *spreading, const char *prefix, const struct core_node *map)
{
    for (size_t i = 0; i < map->len; i++) {
        const struct core_entry *entry = &map->entries[i];
        const char *key =
            *prefix ? core_arena_strf(spreading->arena, "%s%s", prefix, entry->key) : entry->key;
        const char *below = is_option(spreading, key) ? NULL : option_below(spreading, key);

        if (below)
            spread_value(spreading, key, below, entry->value);
        else
            add(spreading, key, entry);
    }
}

const struct core_node *core_options_spread(const struct core_node *map,
                                            const struct core_option_table *tables,
                                            size_t table_count, struct core_arena *arena,
                                            struct core_problems *problems)
{
    struct spreading spreading = {
        .tables = tables, .table_count = table_count, .arena = arena, .problems = problems
    };

    if (!map || map->kind != CORE_NODE_MAP || !has_depth(&spreading, map))
        return map;
    spreading.out = core_arena_alloc(arena, sizeof(*spreading.out));
    *spreading.out =
        (struct core_node){ .kind = CORE_NODE_MAP, .place = map->place, .broken = map->broken };
    spread_map(&spreading, "", map);
    return spreading.out;
}
