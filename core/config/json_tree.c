/*
 * JSON from outside the configuration, as trees and back. The grammar is in json.c.
 */
#include <config/json.h>

#include <config/reader.h>

#include <string.h>

static struct core_node *read_tree(const struct core_reader *reader, const char *text, size_t len)
{
    struct core_place place = { 0 };
    const char *reason = NULL;
    struct core_node *node;

    if (!core_reader_check_text(reader, text, len))
        return NULL;
    node = core_json_parse(reader, text, len, &place, &reason);
    if (!node)
        core_problem_add(reader->problems, &place, "%s", reason);
    return node;
}

struct core_node *core_json_read(struct core_arena *arena, const char *name, const char *text,
                                 size_t len, struct core_problems *problems)
{
    const struct core_reader reader = { .arena = arena, .problems = problems, .file = name };

    return read_tree(&reader, text, len);
}

const struct core_node *core_json_read_reply(struct core_arena *arena, const char *text, size_t len)
{
    CORE_PROBLEMS_AUTO(problems);
    const struct core_node *node = core_json_read(arena, "reply", text, len, &problems);

    return node && problems.count == 0 && node->kind == CORE_NODE_MAP ? node : NULL;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void add_text(struct rc_buf *out, const char *text)
{
    rc_buf_add_json(out, text, strlen(text));
}

void core_json_add(struct rc_buf *out, const struct core_node *node)
{
    switch (node->kind) {
    case CORE_NODE_NULL:
        rc_buf_adds(out, "null");
        break;
    case CORE_NODE_SCALAR:
        if (node->quoted)
            add_text(out, node->text);
        else
            rc_buf_adds(out, node->text);
        break;
    case CORE_NODE_LIST:
        rc_buf_addc(out, '[');
        for (size_t i = 0; i < node->len; i++) {
            if (i)
                rc_buf_addc(out, ',');
            core_json_add(out, node->items[i]);
        }
        rc_buf_addc(out, ']');
        break;
    case CORE_NODE_MAP:
        rc_buf_addc(out, '{');
        for (size_t i = 0; i < node->len; i++) {
            if (i)
                rc_buf_addc(out, ',');
            add_text(out, node->entries[i].key);
            rc_buf_addc(out, ':');
            core_json_add(out, node->entries[i].value);
        }
        rc_buf_addc(out, '}');
        break;
    }
}

/* ---- the values of a run -------------------------------------------------------------------- */

static void set_place(struct core_node *node, const struct core_place *place)
{
    node->place = *place;
    for (size_t i = 0; i < node->len; i++)
        if (node->kind == CORE_NODE_MAP) {
            node->entries[i].place = *place;
            set_place(node->entries[i].value, place);
        } else {
            set_place(node->items[i], place);
        }
}

struct core_node *core_json_read_set(struct core_arena *arena, const char *text, size_t len,
                                     struct core_problems *problems)
{
    struct core_node *map = core_json_read(arena, "--set", text, len, problems);

    if (!map)
        return NULL;
    if (map->kind != CORE_NODE_MAP) {
        core_problem_add(problems, &(struct core_place){ .file = "--set" },
                         "the values are a JSON object: {\"KEY\": value, ...}");
        return NULL;
    }
    map->place = (struct core_place){ .file = "--set" };
    for (size_t i = 0; i < map->len; i++) {
        struct core_entry *entry = &map->entries[i];
        char shown[CORE_SHOWN_TEXT];

        entry->place = (struct core_place){
            .file = core_arena_strf(arena, "--set %s", core_shown(entry->key, shown)),
        };
        set_place(entry->value, &entry->place);
        entry->value->loose = entry->value->kind == CORE_NODE_SCALAR && entry->value->quoted;
    }
    return map;
}
