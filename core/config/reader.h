/*
 * What the readers of YAML and of JSON share. Private to core/config.
 */
#ifndef CORE_CONFIG_READER_H
#define CORE_CONFIG_READER_H

#include <config/yaml.h>

#include <run-core/attr.h>

struct core_reader {
    struct core_arena *arena;
    struct core_problems *problems;
    const char *file;               /* the name in places */
    const char *directory;          /* of a relative ${file:...}; NULL: the working directory */
    const struct core_place *fixed; /* the place of everything; or NULL */
    bool resolve;                   /* ${...} in values */
    bool elsewhere;                 /* of them nothing but the defaults: see config.h */
    bool each_waits;                /* ${each:...} is left as it stands, for each.h */
    const struct core_node *item;   /* the map that ${each:...} takes its values from; or NULL */
};

/* The directory of a file, for 'directory'; NULL: the working directory. */
const char *core_reader_directory(struct core_arena *arena, const char *path);

struct core_place core_reader_place(const struct core_reader *reader, size_t line, size_t column);

void core_reader_problem(const struct core_reader *reader, const struct core_place *place,
                         const char *format, ...) RC_PRINTF(3, 4);

/*
 * Whether 'text' is UTF-8 without control characters; the first place where it is not is
 * reported.
 */
bool core_reader_check_text(const struct core_reader *reader, const char *text, size_t len);

struct core_node *core_reader_node(const struct core_reader *reader, enum core_node_kind kind,
                                   const struct core_place *place);

/* A scalar with 'text', whose ${...} are resolved. */
struct core_node *core_reader_scalar(const struct core_reader *reader,
                                     const struct core_place *place, const char *text, size_t len,
                                     bool quoted);

/* Children that are being gathered; freed by core_children_clear(). */
struct core_children {
    struct core_entry *entries; /* of a list: 'value' alone */
    size_t len, capacity;
};

void core_children_add(struct core_children *children, const struct core_entry *entry);
void core_children_clear(struct core_children *children);

/*
 * Calls 'found' for every child whose key an earlier one has, and takes it out by making its
 * value NULL.
 */
void core_children_drop_twins(struct core_children *children,
                              void (*found)(void *context, const struct core_entry *first,
                                            const struct core_entry *twin),
                              void *context);

/*
 * Makes the children those of 'node', a MAP (keys that stand twice are reported, the first stays)
 * or a LIST.
 */
void core_reader_end(const struct core_reader *reader, struct core_node *node,
                     struct core_children *children);

/* A copy that needs nothing of the original's arena. 'node' may be NULL. */
struct core_node *core_node_copy(struct core_arena *arena, const struct core_node *node);

/*
 * Resolves ${...} in the text of 'node'; a mistake there makes it broken. A value that is nothing
 * but one of the item's gets its place.
 */
void core_interpolate(const struct core_reader *reader, struct core_node *node);

/*
 * Reads strict JSON (RFC 8259). NULL: it is none, for the reason at '*place' in '*reason' (a
 * constant). Mistakes beyond the syntax go to the reader's problems, which may have to be judged
 * with the tree alone.
 */
struct core_node *core_json_parse(const struct core_reader *reader, const char *text, size_t len,
                                  struct core_place *place, const char **reason);

/* Says where and why libyaml stopped, in words of people who write configurations. */
struct yaml_parser_s;
void core_yaml_explain(const struct core_reader *reader, const struct yaml_parser_s *parser,
                       const char *text, size_t len);

#endif
