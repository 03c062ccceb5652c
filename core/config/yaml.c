/*
 * Reads YAML through libyaml's events. Documents that are JSON go to json.c first;
 * what a syntax error is called is left to yaml_explain.c.
 */
#include <config/yaml.h>

#include <config/reader.h>

#include <os/file.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct anchor {
    const char *name;
    struct core_node *node;
    size_t weight; /* values in it, with those of its aliases; 0 while it is being read */
    int height;    /* levels in it */
    struct anchor *next;
};

struct builder {
    const struct core_reader *reader;
    yaml_parser_t *parser;
    yaml_event_t event;
    const char *text;
    size_t len;
    struct anchor *anchors; /* the newest first */
    size_t anchor_count;
    size_t aliased; /* values that aliases stand for, so far */
};

/* What a node adds to the node around it. */
struct extent {
    size_t weight;
    int height;
};

static bool next(struct builder *b)
{
    yaml_event_delete(&b->event);
    if (yaml_parser_parse(b->parser, &b->event))
        return true;
    memset(&b->event, 0, sizeof(b->event));
    core_yaml_explain(b->reader, b->parser, b->text, b->len);
    return false;
}

static struct core_place place_of(const struct builder *b)
{
    return core_reader_place(b->reader, b->event.start_mark.line + 1,
                             b->event.start_mark.column + 1);
}

/* Whether the standard tag 'tag' (or none) says that a scalar is text; other tags are a mistake. */
static bool is_text_tag(const struct builder *b, const struct core_place *place, const char *tag)
{
    static const char *const standard[] = { YAML_NULL_TAG,  YAML_BOOL_TAG, YAML_INT_TAG,
                                            YAML_FLOAT_TAG, YAML_SEQ_TAG,  YAML_MAP_TAG };
    char shown[CORE_SHOWN_TEXT];

    if (!tag || strcmp(tag, "!") == 0 || strcmp(tag, YAML_STR_TAG) == 0)
        return tag != NULL;
    for (size_t i = 0; i < RC_ARRAY_LEN(standard); i++)
        if (strcmp(tag, standard[i]) == 0)
            return false;
    core_reader_problem(b->reader, place,
                        "the tag '%s' is not known; the type of a value follows "
                        "from its option, so remove the tag",
                        core_shown(tag, shown));
    return false;
}

/* The standard spellings of "no value" in an unquoted scalar. */
static bool is_null(const char *text)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

    for (size_t i = 0; i < RC_ARRAY_LEN(nulls); i++)
        if (strcmp(text, nulls[i]) == 0)
            return true;
    return false;
}

/* Keeps the node under its anchor, if it has one. '*anchor' is NULL if not. */
static bool define(struct builder *b, const yaml_char_t *name, struct core_node *node,
                   struct anchor **anchor)
{
    *anchor = NULL;
    if (!name)
        return true;
    if (b->anchor_count++ == CORE_YAML_MAX_ANCHORS) {
        core_reader_problem(b->reader, &node->place, "there are too many anchors; %d are the most",
                            CORE_YAML_MAX_ANCHORS);
        return false;
    }
    *anchor = core_arena_alloc(b->reader->arena, sizeof(**anchor));
    (*anchor)->name = core_arena_strdup(b->reader->arena, (const char *)name);
    (*anchor)->node = node;
    (*anchor)->next = b->anchors;
    b->anchors = *anchor;
    return true;
}

static struct core_node *build(struct builder *b, int depth, struct extent *extent);

static struct core_node *build_scalar(struct builder *b, struct extent *extent)
{
    const struct core_place place = place_of(b);
    const char *text = (const char *)b->event.data.scalar.value;
    bool plain = b->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool quoted = is_text_tag(b, &place, (const char *)b->event.data.scalar.tag) || !plain;
    size_t len = b->event.data.scalar.length;
    struct core_node *node = !quoted && len == strlen(text) && is_null(text)
                                 ? core_reader_node(b->reader, CORE_NODE_NULL, &place)
                                 : core_reader_scalar(b->reader, &place, text, len, quoted);
    struct anchor *anchor;

    if (!define(b, b->event.data.scalar.anchor, node, &anchor))
        return NULL;
    *extent = (struct extent){ 1, 0 };
    if (anchor)
        anchor->weight = 1;
    return node;
}

static struct core_node *broken(struct builder *b, const struct core_place *place)
{
    struct core_node *node = core_reader_node(b->reader, CORE_NODE_NULL, place);

    node->broken = true;
    return node;
}

static struct core_node *build_alias(struct builder *b, int depth, struct extent *extent)
{
    const struct core_place place = place_of(b);
    const char *name = (const char *)b->event.data.alias.anchor;
    const struct anchor *anchor = b->anchors;
    char shown[CORE_SHOWN_TEXT];

    *extent = (struct extent){ 1, 0 };
    while (anchor && strcmp(anchor->name, name) != 0)
        anchor = anchor->next;
    if (!anchor) {
        core_reader_problem(b->reader, &place, "there is no anchor '&%s' above for the alias '*%s'",
                            core_shown(name, shown), shown);
        return broken(b, &place);
    }
    if (anchor->weight == 0) {
        core_reader_problem(b->reader, &place,
                            "the alias '*%s' stands within the value that it names",
                            core_shown(name, shown));
        return broken(b, &place);
    }
    b->aliased += anchor->weight;
    if (b->aliased > CORE_YAML_MAX_ALIASED || depth + anchor->height > CORE_YAML_MAX_DEPTH) {
        core_reader_problem(b->reader, &place,
                            "the alias '*%s' makes the document too large: "
                            "aliases may stand for %d values in all, and for %d levels",
                            core_shown(name, shown), CORE_YAML_MAX_ALIASED, CORE_YAML_MAX_DEPTH);
        return NULL;
    }
    *extent = (struct extent){ anchor->weight, anchor->height };
    return anchor->node;
}

static void widen(struct extent *outer, const struct extent *inner)
{
    outer->weight += inner->weight;
    if (inner->height + 1 > outer->height)
        outer->height = inner->height + 1;
}

/* Reads a key into 'entry'; '*merge' says that it is an unquoted '<<'. */
static bool build_key(struct builder *b, struct core_entry *entry, bool *merge)
{
    const char *text = (const char *)b->event.data.scalar.value;

    entry->place = place_of(b);
    if (b->event.type != YAML_SCALAR_EVENT) {
        core_reader_problem(b->reader, &entry->place,
                            "a key must be text, not a list, a map or an alias; put it in quotes "
                            "if it begins with '[', '{' or '*'");
        return false;
    }
    if (strlen(text) != b->event.data.scalar.length || !*text) {
        core_reader_problem(b->reader, &entry->place,
                            *text ? "a key cannot hold the character NUL"
                                  : "a key is missing here");
        return false;
    }
    *merge = b->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(text, "<<") == 0;
    entry->key = core_arena_strdup(b->reader->arena, text);
    return true;
}

static bool has_key(const struct core_children *children, const char *key)
{
    for (size_t i = 0; i < children->len; i++)
        if (strcmp(children->entries[i].key, key) == 0)
            return true;
    return false;
}

/* Adds the entries of 'map' whose keys are not there yet. */
static bool merge_map(struct builder *b, struct core_children *children,
                      const struct core_node *map)
{
    if (map->broken)
        return true;
    if (map->kind != CORE_NODE_MAP) {
        core_reader_problem(
            b->reader, &map->place,
            "'<<' takes a map or a list of maps, most often an alias such as *base");
        return true;
    }
    for (size_t i = 0; i < map->len; i++) {
        b->aliased += children->len; /* the work, which is what the limit is for */
        if (b->aliased > 100 * (size_t)CORE_YAML_MAX_ALIASED) {
            core_reader_problem(b->reader, &map->place, "'<<' merges too many keys");
            return false;
        }
        if (!has_key(children, map->entries[i].key))
            core_children_add(children, &map->entries[i]);
    }
    return true;
}

/* Merged keys come behind the map's own, which win, as do earlier merged maps over later ones. */
static bool merge(struct builder *b, struct core_children *children,
                  const struct core_children *merged)
{
    for (size_t i = 0; i < merged->len; i++) {
        const struct core_node *value = merged->entries[i].value;

        if (value->kind != CORE_NODE_LIST) {
            if (!merge_map(b, children, value))
                return false;
            continue;
        }
        for (size_t j = 0; j < value->len; j++)
            if (!merge_map(b, children, value->items[j]))
                return false;
    }
    return true;
}

static bool build_map(struct builder *b, struct core_node *node, int depth, struct extent *extent)
{
    RC_CLEANUP(core_children_clear) struct core_children children = { 0 }, merged = { 0 };

    for (;;) {
        struct core_entry entry = { 0 };
        struct extent inner;
        bool is_merge = false;

        if (!next(b))
            return false;
        if (b->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (!build_key(b, &entry, &is_merge) || !next(b))
            return false;
        entry.value = build(b, depth + 1, &inner);
        if (!entry.value)
            return false;
        widen(extent, &inner);
        core_children_add(is_merge ? &merged : &children, &entry);
    }
    if (!merge(b, &children, &merged))
        return false;
    core_reader_end(b->reader, node, &children);
    return true;
}

static bool build_list(struct builder *b, struct core_node *node, int depth, struct extent *extent)
{
    RC_CLEANUP(core_children_clear) struct core_children children = { 0 };

    for (;;) {
        struct core_entry entry = { 0 };
        struct extent inner;

        if (!next(b))
            return false;
        if (b->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        entry.value = build(b, depth + 1, &inner);
        if (!entry.value)
            return false;
        widen(extent, &inner);
        core_children_add(&children, &entry);
    }
    core_reader_end(b->reader, node, &children);
    return true;
}

/* Builds the node that the present event begins; NULL: the reason to stop was reported. */
static struct core_node *build(struct builder *b, int depth, struct extent *extent)
{
    const struct core_place place = place_of(b);
    bool is_map = b->event.type == YAML_MAPPING_START_EVENT;
    struct core_node *node;
    struct anchor *anchor;

    if (b->event.type == YAML_SCALAR_EVENT)
        return build_scalar(b, extent);
    if (b->event.type == YAML_ALIAS_EVENT)
        return build_alias(b, depth, extent);
    if (depth >= CORE_YAML_MAX_DEPTH) {
        core_reader_problem(b->reader, &place,
                            "the values are nested too deeply; %d levels are "
                            "the most",
                            CORE_YAML_MAX_DEPTH);
        return NULL;
    }
    node = core_reader_node(b->reader, is_map ? CORE_NODE_MAP : CORE_NODE_LIST, &place);
    is_text_tag(b, &place,
                (const char *)(is_map ? b->event.data.mapping_start.tag
                                      : b->event.data.sequence_start.tag));
    if (!define(b,
                is_map ? b->event.data.mapping_start.anchor : b->event.data.sequence_start.anchor,
                node, &anchor))
        return NULL;
    *extent = (struct extent){ 1, 0 };
    if (is_map ? !build_map(b, node, depth, extent) : !build_list(b, node, depth, extent))
        return NULL;
    if (anchor) {
        anchor->weight = extent->weight;
        anchor->height = extent->height;
    }
    return node;
}

static struct core_node *build_document(struct builder *b)
{
    struct core_node *node = NULL;
    struct extent extent;

    if (!next(b) || !next(b)) /* the stream's start, then the document's */
        return NULL;
    if (b->event.type == YAML_STREAM_END_EVENT)
        return core_reader_node(b->reader, CORE_NODE_NULL,
                                &(struct core_place){ b->reader->file, 1, 1 });
    if (!next(b) || !(node = build(b, 0, &extent)))
        return NULL;
    if (!next(b) || !next(b)) /* the document's end, then the stream's */
        return NULL;
    if (b->event.type != YAML_STREAM_END_EVENT) {
        const struct core_place place = place_of(b);

        core_reader_problem(b->reader, &place, "a second document begins here; a file holds one");
        return NULL;
    }
    return node;
}

static struct core_node *parse_yaml(const struct core_reader *reader, const char *text, size_t len)
{
    yaml_parser_t parser;
    struct builder b = { .reader = reader, .parser = &parser, .text = text, .len = len };
    struct core_node *node;

    if (!yaml_parser_initialize(&parser))
        rc_out_of_memory(sizeof(parser));
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    node = build_document(&b);
    yaml_event_delete(&b.event);
    yaml_parser_delete(&parser);
    return node;
}

/*
 * Tries JSON, where that is what it looks like. With its mistakes kept apart until it is known to
 * be JSON, as YAML would report them again.
 */
static struct core_node *parse_json(const struct core_reader *reader, const char *text, size_t len,
                                    bool must)
{
    struct core_problems found;
    struct core_reader json_reader = *reader;
    struct core_place place = { 0 };
    const char *reason = NULL;
    struct core_node *node;

    core_problems_init(&found);
    json_reader.problems = &found;
    node = core_json_parse(&json_reader, text, len, &place, &reason);
    if (node)
        for (const struct core_problem *p = found.first; p; p = p->next)
            core_problem_add(reader->problems, &p->place, "%s", p->message);
    else if (must)
        core_problem_add(reader->problems, &place, "%s", reason);
    core_problems_clear(&found);
    return node;
}

static bool looks_like_json(const char *text, size_t len)
{
    size_t at = 0;

    while (at < len && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    return at < len && (text[at] == '{' || text[at] == '[');
}

static struct core_node *parse(const struct core_reader *reader, const char *text, size_t len)
{
    static const char mark[] = "\xEF\xBB\xBF";
    struct core_node *node;

    if (len > CORE_YAML_MAX_BYTES) {
        core_problem_add(reader->problems, &(struct core_place){ .file = reader->file },
                         "the file is longer than %d MiB, the most that a configuration may have",
                         CORE_YAML_MAX_BYTES / (1024 * 1024));
        return NULL;
    }
    if (len >= 3 && memcmp(text, mark, 3) == 0) { /* a byte order mark */
        text += 3;
        len -= 3;
    }
    if (!core_reader_check_text(reader, text, len))
        return NULL;
    if (looks_like_json(text, len)) {
        node = parse_json(reader, text, len, rc_str_ends(reader->file, ".json"));
        if (node || rc_str_ends(reader->file, ".json"))
            return node;
    }
    return parse_yaml(reader, text, len);
}

struct core_node *core_yaml_parse(struct core_arena *arena, const char *file, const char *text,
                                  size_t len, struct core_problems *problems)
{
    struct core_reader reader = { .arena = arena, .problems = problems, .resolve = true };

    reader.file = core_arena_strdup(arena, file);
    return parse(&reader, text, len);
}

struct core_node *core_yaml_parse_loose(struct core_arena *arena, const struct core_place *place,
                                        const char *text, struct core_problems *problems)
{
    struct core_place fixed = *place;
    struct core_reader reader = { .arena = arena, .problems = problems };

    fixed.file = core_arena_strdup(arena, place->file);
    reader.file = fixed.file;
    reader.fixed = &fixed;
    return parse(&reader, text, strlen(text));
}

static void report_unread(const char *path, const struct core_place *named, enum rc_code code,
                          const struct rc_error *err, struct core_problems *problems)
{
    char shown[CORE_SHOWN_TEXT];

    core_shown(path, shown);
    if (code == RC_TOO_LARGE)
        core_problem_add(problems, named,
                         "the file '%s' is longer than %d MiB, the most that a configuration may "
                         "have",
                         shown, CORE_YAML_MAX_BYTES / (1024 * 1024));
    else if (code == RC_NOT_FOUND)
        core_problem_add(problems, named, "there is no file '%s'", shown);
    else if (code == RC_DENIED)
        core_problem_add(problems, named, "the file '%s' cannot be read: permission denied", shown);
    else
        core_problem_add(problems, named, "the file '%s' cannot be read: %s", shown, err->cause);
}

/* Reads the file with 'reader', which has all but the names. */
static struct core_node *read_with(struct core_reader reader, const char *path, const char *shown,
                                   const struct core_place *named)
{
    RC_BUF_AUTO(text, CORE_YAML_MAX_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = core_file_read(path, &text, &err);

    if (code != RC_OK) {
        report_unread(shown, named, code, &err, reader.problems);
        return NULL;
    }
    reader.file = core_arena_strdup(reader.arena, shown);
    reader.directory = core_reader_directory(reader.arena, path);
    return parse(&reader, text.data, text.len);
}

struct core_node *core_yaml_read_as(struct core_arena *arena, const char *path, const char *shown,
                                    const struct core_place *named, enum core_yaml_machine machine,
                                    struct core_problems *problems)
{
    const struct core_reader reader = {
        .arena = arena,
        .problems = problems,
        .resolve = true,
        .elsewhere = machine == CORE_YAML_ELSEWHERE,
    };

    return read_with(reader, path, shown, named);
}

struct core_node *core_yaml_read(struct core_arena *arena, const char *path,
                                 enum core_yaml_machine machine, struct core_problems *problems)
{
    const struct core_reader reader = {
        .arena = arena,
        .problems = problems,
        .resolve = true,
        .elsewhere = machine == CORE_YAML_ELSEWHERE,
        .each_waits = true,
    };

    return read_with(reader, path, path, &(struct core_place){ .file = path });
}
