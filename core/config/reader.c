/*
 * Builds the tree of a document: nodes, children, and the rule that a key stands only
 * once. The syntax is left to yaml.c and json.c.
 */
#include <config/reader.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 8192 };

struct core_place core_reader_place(const struct core_reader *reader, size_t line, size_t column)
{
    if (reader->fixed)
        return *reader->fixed;
    return (struct core_place){ .file = reader->file,
                                .line = line < INT_MAX ? (int)line : INT_MAX,
                                .column = column < INT_MAX ? (int)column : INT_MAX };
}

void core_reader_problem(const struct core_reader *reader, const struct core_place *place,
                         const char *format, ...)
{
    RC_BUF_AUTO(message, MESSAGE_BYTES);
    va_list arguments;

    va_start(arguments, format);
    rc_buf_addv(&message, format, arguments);
    va_end(arguments);
    core_problem_add(reader->problems, place, "%s", message.data);
}

const char *core_reader_directory(struct core_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return NULL;
    return core_arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

struct core_node *core_reader_node(const struct core_reader *reader, enum core_node_kind kind,
                                   const struct core_place *place)
{
    struct core_node *node = core_arena_alloc(reader->arena, sizeof(*node));

    node->kind = kind;
    node->place = *place;
    return node;
}

struct core_node *core_reader_scalar(const struct core_reader *reader,
                                     const struct core_place *place, const char *text, size_t len,
                                     bool quoted)
{
    struct core_node *node = core_reader_node(reader, CORE_NODE_SCALAR, place);

    node->text = core_arena_strndup(reader->arena, text, len);
    node->quoted = quoted;
    if (strlen(node->text) != len) {
        core_reader_problem(reader, place, "a text cannot hold the character NUL");
        node->broken = true;
    } else if (reader->resolve) {
        core_interpolate(reader, node);
    }
    return node;
}

void core_children_add(struct core_children *children, const struct core_entry *entry)
{
    if (children->len == children->capacity) {
        children->capacity = children->capacity ? children->capacity * 2 : 8;
        children->entries =
            rc_realloc(children->entries, children->capacity * sizeof(*children->entries));
    }
    children->entries[children->len++] = *entry;
}

void core_children_clear(struct core_children *children)
{
    free(children->entries);
    *children = (struct core_children){ 0 };
}

static int by_key_then_place(const void *a, const void *b)
{
    const struct core_entry *const *x = a, *const *y = b;
    int order = strcmp((*x)->key, (*y)->key);

    return order ? order : (*x > *y) - (*x < *y);
}

void core_children_drop_twins(struct core_children *children,
                              void (*found)(void *context, const struct core_entry *first,
                                            const struct core_entry *twin),
                              void *context)
{
    struct core_entry **sorted = rc_calloc(children->len + 1, sizeof(struct core_entry *));
    const struct core_entry *first = NULL;

    for (size_t i = 0; i < children->len; i++)
        sorted[i] = &children->entries[i];
    qsort(sorted, children->len, sizeof(struct core_entry *), by_key_then_place);
    for (size_t i = 0; i < children->len; i++) {
        if (!first || strcmp(first->key, sorted[i]->key) != 0) {
            first = sorted[i];
            continue;
        }
        found(context, first, sorted[i]);
        sorted[i]->value = NULL;
    }
    free(sorted);
}

static void report_twin(void *context, const struct core_entry *first,
                        const struct core_entry *twin)
{
    const struct core_reader *reader = context;
    char shown[CORE_SHOWN_TEXT];

    core_shown(first->key, shown);
    if (first->place.line > 0)
        core_reader_problem(reader, &twin->place,
                            "the key '%s' stands twice; the first is in line %d, column %d", shown,
                            first->place.line, first->place.column);
    else
        core_reader_problem(reader, &twin->place, "the key '%s' stands twice", shown);
}

void core_reader_end(const struct core_reader *reader, struct core_node *node,
                     struct core_children *children)
{
    struct core_reader copy = *reader;

    if (node->kind == CORE_NODE_LIST) {
        node->items = core_arena_alloc(reader->arena, children->len * sizeof(struct core_node *));
        for (size_t i = 0; i < children->len; i++) {
            node->items[node->len++] = children->entries[i].value;
            node->each |= children->entries[i].value->each;
        }
        return;
    }
    core_children_drop_twins(children, report_twin, &copy);
    node->entries = core_arena_alloc(reader->arena, children->len * sizeof(*node->entries));
    for (size_t i = 0; i < children->len; i++) {
        if (!children->entries[i].value)
            continue;
        node->entries[node->len++] = children->entries[i];
        node->each |= children->entries[i].value->each;
    }
}

/* The name of a file in an arena; mostly it is that of the node before. */
struct kept_file {
    const char *original, *kept;
};

static struct core_place keep_place(struct core_arena *arena, const struct core_place *place,
                                    struct kept_file *file)
{
    struct core_place kept = *place;

    if (place->file != file->original) {
        file->original = place->file;
        file->kept = core_arena_share(arena, place->file);
    }
    kept.file = file->kept;
    return kept;
}

static struct core_node *copy_node(struct core_arena *arena, const struct core_node *node,
                                   struct kept_file *file)
{
    struct core_node *copy = core_arena_alloc(arena, sizeof(*copy));

    *copy = *node;
    copy->place = keep_place(arena, &node->place, file);
    copy->text = core_arena_strdup(arena, node->text);
    if (node->kind == CORE_NODE_MAP)
        copy->entries = core_arena_alloc(arena, node->len * sizeof(*copy->entries));
    else if (node->kind == CORE_NODE_LIST)
        copy->items = core_arena_alloc(arena, node->len * sizeof(*copy->items));
    for (size_t i = 0; i < node->len; i++) {
        if (node->kind == CORE_NODE_MAP)
            copy->entries[i] = (struct core_entry){
                .key = core_arena_share(arena, node->entries[i].key),
                .place = keep_place(arena, &node->entries[i].place, file),
                .value = copy_node(arena, node->entries[i].value, file),
            };
        else
            copy->items[i] = copy_node(arena, node->items[i], file);
    }
    return copy;
}

struct core_node *core_node_copy(struct core_arena *arena, const struct core_node *node)
{
    struct kept_file file = { NULL, NULL };

    return node ? copy_node(arena, node, &file) : NULL;
}

struct core_node *core_node_get(const struct core_node *map, const char *key)
{
    if (!map || map->kind != CORE_NODE_MAP)
        return NULL;
    for (size_t i = 0; i < map->len; i++)
        if (strcmp(map->entries[i].key, key) == 0)
            return map->entries[i].value;
    return NULL;
}

const char *core_node_text(const struct core_node *map, const char *key)
{
    const struct core_node *node = core_node_get(map, key);

    return node && node->kind == CORE_NODE_SCALAR ? node->text : NULL;
}
