/*
 * Fills structs from option tables: which layer gives a value, what is missing, which
 * keys no table has. The conversion of a single value is left to option_value.c.
 */
#include <config/options.h>

#include <config/option_value.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 8192, DEEPEST_TABLE = 8 };

bool core_option_at(const struct core_option_table *table, size_t index, struct rc_option *out)
{
    const char *entry;

    if (!table->first)
        return false;
    entry = (const char *)table->first + index * table->stride;
    memset(out, 0, sizeof(*out));
    memcpy(out, entry, table->stride < sizeof(*out) ? table->stride : sizeof(*out));
    return out->name != NULL;
}

bool core_option_find(const struct core_option_table *table, const char *name,
                      struct rc_option *out)
{
    for (size_t i = 0; core_option_at(table, i, out); i++)
        if (strcmp(out->name, name) == 0 || rc_str_eq(out->also, name))
            return true;
    return false;
}

const char *core_options_whole(const struct core_option_table *tables, size_t table_count)
{
    struct rc_option option;

    for (size_t t = 0; t < table_count; t++)
        for (size_t i = 0; core_option_at(&tables[t], i, &option); i++)
            if (option.flags & RC_OPT_WHOLE)
                return option.name;
    return NULL;
}

/* ---- binding ------------------------------------------------------------------------------ */

struct binding {
    const struct core_option_table *table;
    const struct core_node *const *layers;
    size_t layer_count;
    const struct core_place *place;
    const char *prefix; /* of keys in messages */
    bool secret;        /* of the object around */
    bool nested;
    struct core_arena *arena;   /* of what the values point to */
    struct core_arena *scratch; /* of what only the binding needs */
    struct core_problems *problems;
};

static void bind_table(const struct binding *binding, void *out);

/* Its mistakes are those of the keys, which core_options_check_keys() reports. */
static const struct core_node *spread(const struct core_option_table *table,
                                      const struct core_node *map, struct core_arena *scratch)
{
    CORE_PROBLEMS_AUTO(reported_elsewhere);

    return core_options_spread(map, table, 1, scratch, &reported_elsewhere);
}

/* A text from outside a file. */
static struct core_node loose_node(const struct core_place *place, const char *text)
{
    return (struct core_node){
        .kind = CORE_NODE_SCALAR,
        .place = *place,
        .text = text,
        .quoted = true,
        .loose = true,
    };
}

/* An option's key, as messages name it. */
static const char *key_in(const struct binding *binding, const char *name)
{
    return *binding->prefix ? core_arena_strf(binding->scratch, "%s%s", binding->prefix, name)
                            : name;
}

/* The value in one layer, by either name, which is then '*key'. */
static const struct core_node *find_in(const struct binding *binding,
                                       const struct rc_option *option,
                                       const struct core_node *layer, const char **key)
{
    const struct core_node *node = core_node_get(layer, option->name);
    const struct core_node *also = option->also ? core_node_get(layer, option->also) : NULL;

    *key = node ? option->name : option->also;
    if (node && also)
        core_problem_add(binding->problems, &also->place,
                         "'%s%s' is another name of '%s%s', which is given too; remove one",
                         binding->prefix, option->also, binding->prefix, option->name);
    return node ? node : also;
}

/* Without the line ends behind it: such a variable was filled from a file, as secrets are. */
static char *variable(const struct binding *binding, const char *name)
{
    const char *value = getenv(name);
    char *text = value ? core_arena_strdup(binding->scratch, value) : NULL;
    size_t len = value ? strlen(value) : 0;

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        text[--len] = '\0';
    return text;
}

/*
 * What the configuration or the environment gives, or NULL. A null in a layer gives nothing: the
 * next counts.
 */
static const struct core_node *find(const struct binding *binding, const struct rc_option *option,
                                    const char **key, struct core_place *where)
{
    const char *value;
    struct core_node *node;

    *where = *binding->place;
    for (size_t i = 0; i < binding->layer_count; i++) {
        const struct core_node *given = find_in(binding, option, binding->layers[i], key);

        if (given && (given->kind != CORE_NODE_NULL || given->broken))
            return given;
        if (given)
            *where = given->place;
    }
    *key = option->name;
    value = option->env && !binding->nested ? variable(binding, option->env) : NULL;
    if (!value || !*value)
        return NULL;
    node = core_arena_alloc(binding->scratch, sizeof(*node));
    *node = loose_node(
        &(struct core_place){
            .file = core_arena_strf(binding->scratch, "environment variable %s", option->env) },
        value);
    return node;
}

static bool bind_object(const struct binding *outer, const struct core_option_site *site,
                        const struct core_node *item, size_t index, void *out)
{
    const struct core_option_table table = { site->option->items, outer->table->stride };
    const char *key = core_arena_strf(site->scratch, "%s[%zu]", site->key, index);
    const size_t before = site->problems->count;
    const struct core_node *layer = spread(&table, item, site->scratch);
    const struct binding binding = {
        .table = &table,
        .layers = &layer,
        .layer_count = 1,
        .place = &item->place,
        .prefix = core_arena_strf(site->scratch, "%s.", key),
        .secret = site->secret,
        .nested = true,
        .arena = site->arena,
        .scratch = site->scratch,
        .problems = site->problems,
    };

    if (item->broken)
        return false;
    if (item->kind == CORE_NODE_NULL) {
        core_problem_add(site->problems, &item->place, "'%s' has no value", key);
        return false;
    }
    if (item->kind != CORE_NODE_MAP) {
        core_problem_add(site->problems, &item->place, "'%s' must be a map, not %s", key,
                         core_node_kind_text(item));
        return false;
    }
    bind_table(&binding, out);
    return site->problems->count == before;
}

static bool bind_objects(const struct binding *binding, const struct core_option_site *site,
                         const struct core_node *node, struct rc_objects *field)
{
    char *items;
    bool good = true;

    node = core_option_structure(site, node);
    if (!node)
        return false;
    if (node->kind != CORE_NODE_LIST) {
        core_problem_add(site->problems, &node->place, "'%s' must be a list of maps, not %s",
                         site->key, core_node_kind_text(node));
        return false;
    }
    items = core_arena_alloc(site->arena, node->len * site->option->item_size);
    for (size_t i = 0; i < node->len; i++)
        if (!bind_object(binding, site, node->items[i], i, items + i * site->option->item_size))
            good = false;
    if (good)
        *field = (struct rc_objects){ .len = node->len, .items = items };
    return good;
}

static bool set(const struct binding *binding, const struct core_option_site *site,
                const struct core_node *node, void *field)
{
    if (site->option->type == RC_OPT_OBJECTS)
        return bind_objects(binding, site, node, field);
    return core_option_set(site, node, field);
}

static bool is_empty(const struct rc_option *option, const void *field)
{
    switch (option->type) {
    case RC_OPT_STR:
    case RC_OPT_URL: {
        const char *const *text = field;

        return !*text || !**text;
    }
    case RC_OPT_LIST:
        return ((const struct rc_strs *)field)->len == 0;
    case RC_OPT_MAP:
        return ((const struct rc_map *)field)->len == 0;
    case RC_OPT_OBJECTS:
        return ((const struct rc_objects *)field)->len == 0;
    default:
        return false;
    }
}

static void report_missing(const struct binding *binding, const struct rc_option *option,
                           const struct core_place *place)
{
    for (size_t i = 0; i < binding->layer_count; i++)
        if (binding->layers[i] && binding->layers[i]->broken)
            return; /* nobody knows what it would have given */
    if (option->env && !binding->nested)
        core_problem_add(binding->problems, place,
                         "'%s%s' is required but not given, nor is the environment variable %s",
                         binding->prefix, option->name, option->env);
    else
        core_problem_add(binding->problems, place, "'%s%s' is required but not given",
                         binding->prefix, option->name);
}

static void bind_option(const struct binding *binding, const struct rc_option *option, void *field)
{
    bool required = option->flags & RC_OPT_REQUIRED;
    struct core_option_site site = {
        .option = option,
        .secret = binding->secret || (option->flags & RC_OPT_SECRET),
        .arena = binding->arena,
        .scratch = binding->scratch,
        .problems = binding->problems,
    };
    const char *key = option->name;
    struct core_place where;
    const struct core_node *node = find(binding, option, &key, &where);

    if (option->type == RC_OPT_DAY)
        *(int32_t *)field = RC_DAY_NONE;
    if (option->def) {
        const struct core_node given = loose_node(binding->place, option->def);

        site.key = key_in(binding, option->name);
        site.from_default = true;
        set(binding, &site, &given, field);
        site.from_default = false;
    }
    if (!node) {
        if (required && !option->def)
            report_missing(binding, option, &where);
        return;
    }
    site.key = key_in(binding, key);
    if (node->broken || !set(binding, &site, node, field))
        return;
    if (required && is_empty(option, field))
        core_problem_add(binding->problems, &node->place, "'%s' is required but empty", site.key);
}

/*
 * Whether the option may hold secrets, which are to be known before anything else is shown in a
 * message.
 */
static bool comes_first(const struct rc_option *option)
{
    return (option->flags & RC_OPT_SECRET) || option->type == RC_OPT_OBJECTS;
}

static void bind_table(const struct binding *binding, void *out)
{
    struct rc_option option;

    for (size_t i = 0; core_option_at(binding->table, i, &option); i++)
        if (comes_first(&option))
            bind_option(binding, &option, (char *)out + option.offset);
    for (size_t i = 0; core_option_at(binding->table, i, &option); i++)
        if (!comes_first(&option))
            bind_option(binding, &option, (char *)out + option.offset);
}

void core_options_bind(const struct core_option_table *table, const struct core_node *const *layers,
                       size_t layer_count, const struct core_place *place, void *out,
                       struct core_arena *arena, struct core_problems *problems)
{
    struct core_arena scratch = CORE_ARENA_INIT;
    const struct core_node **flat = core_arena_alloc(&scratch, layer_count * sizeof(*flat));
    const struct binding binding = {
        .table = table,
        .layers = flat,
        .layer_count = layer_count,
        .place = place,
        .prefix = "",
        .arena = arena,
        .scratch = &scratch,
        .problems = problems,
    };

    for (size_t i = 0; i < layer_count; i++)
        flat[i] = spread(table, layers[i], &scratch);
    bind_table(&binding, out);
    core_arena_clear(&scratch);
}

/* ---- keys --------------------------------------------------------------------------------- */

struct key_check {
    const struct core_option_table *tables;
    size_t table_count, named_count;
    const char *const *more;
    size_t more_count;
    const char *what;
    int depth;
    struct core_arena *arena;
    struct core_problems *problems;
};

static void check_keys(const struct key_check *check, const struct core_node *map);

static void report_unknown(const struct key_check *check, const struct core_entry *entry)
{
    RC_BUF_AUTO(hint, MESSAGE_BYTES);
    size_t count = check->more_count;
    const char **names;
    struct rc_option option;
    char shown[CORE_SHOWN_TEXT];

    if (check->problems->count > CORE_PROBLEMS_MAX)
        return; /* it would not be kept; looking for near names takes long */
    for (size_t t = 0; t < check->named_count; t++)
        for (size_t i = 0; core_option_at(&check->tables[t], i, &option); i++)
            count++;
    names = core_arena_alloc(check->arena, (count + 1) * sizeof(*names));
    count = 0;
    for (size_t t = 0; t < check->named_count; t++)
        for (size_t i = 0; core_option_at(&check->tables[t], i, &option); i++)
            names[count++] = option.name;
    for (size_t i = 0; i < check->more_count; i++)
        names[count++] = check->more[i];
    core_option_add_hint(&hint, entry->key, names, count, "; the valid ones are: ");
    core_problem_add(check->problems, &entry->place, "unknown key '%s'%s%s%s",
                     core_shown(entry->key, shown), check->what ? " of " : "",
                     check->what ? check->what : "", hint.data);
}

/* The items of an option of type OBJECTS have keys of their own. */
static void check_items(const struct key_check *outer, size_t stride,
                        const struct rc_option *option, const struct core_node *value)
{
    const struct core_option_table table = { option->items, stride };
    const struct core_option_site site = { .option = option,
                                           .key = option->name,
                                           .arena = outer->arena,
                                           .scratch = outer->arena,
                                           .problems = outer->problems };
    struct key_check check = *outer;

    if (outer->depth >= DEEPEST_TABLE)
        return;
    value = core_option_structure(&site, value);
    if (!value || value->kind != CORE_NODE_LIST)
        return;
    check.tables = &table;
    check.table_count = check.named_count = 1;
    check.more_count = 0;
    check.depth++;
    check.what = core_arena_strf(outer->arena, outer->what ? "'%s' of %s" : "'%s'", option->name,
                                 outer->what);
    for (size_t i = 0; i < value->len; i++)
        check_keys(&check, value->items[i]);
}

static bool is_in(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void check_key(const struct key_check *check, const struct core_entry *entry)
{
    struct rc_option option;

    if (is_in(entry->key, check->more, check->more_count))
        return;
    for (size_t t = 0; t < check->table_count; t++) {
        if (!core_option_find(&check->tables[t], entry->key, &option))
            continue;
        if (option.type == RC_OPT_OBJECTS)
            check_items(check, check->tables[t].stride, &option, entry->value);
        return;
    }
    report_unknown(check, entry);
}

static void check_keys(const struct key_check *check, const struct core_node *map)
{
    if (!map || map->kind != CORE_NODE_MAP)
        return;
    map =
        core_options_spread(map, check->tables, check->table_count, check->arena, check->problems);
    for (size_t i = 0; i < map->len; i++)
        check_key(check, &map->entries[i]);
}

void core_options_check_keys_and(const struct core_node *map,
                                 const struct core_option_table *tables, size_t table_count,
                                 size_t named_count, const char *const *more, size_t more_count,
                                 const char *what, struct core_problems *problems)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct key_check check = {
        .tables = tables,
        .table_count = table_count,
        .named_count = named_count,
        .more = more,
        .more_count = more_count,
        .what = what,
        .arena = &arena,
        .problems = problems,
    };

    check_keys(&check, map);
    core_arena_clear(&arena);
}

void core_options_check_keys(const struct core_node *map, const struct core_option_table *tables,
                             size_t table_count, const char *what, struct core_problems *problems)
{
    core_options_check_keys_and(map, tables, table_count, table_count, NULL, 0, what, problems);
}
