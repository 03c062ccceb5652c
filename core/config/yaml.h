/*
 * A YAML (and so JSON) document as a tree in which every node knows its place.
 */
#ifndef CORE_CONFIG_YAML_H
#define CORE_CONFIG_YAML_H

#include <config/problems.h>

#include <base/arena.h>

#include <stdbool.h>
#include <stddef.h>

enum core_node_kind { CORE_NODE_NULL, CORE_NODE_SCALAR, CORE_NODE_LIST, CORE_NODE_MAP };

struct core_node {
    enum core_node_kind kind;
    struct core_place place;
    const char *text; /* SCALAR: after ${...} is resolved */
    bool quoted;      /* SCALAR: 'x' or "x", so always text */
    bool secret;      /* SCALAR: came from ${file:...}, so never shown */
    struct core_entry *entries; /* MAP, in the order of the file */
    struct core_node **items;   /* LIST */
    size_t len;                 /* of entries or items */
};

struct core_entry {
    const char *key;
    struct core_place place; /* of the key */
    struct core_node *value;
};

/*
 * Parses 'text' as one document; 'file' is the name in its places. Returns NULL when there
 * is at least one mistake of syntax (a duplicate key, an unknown anchor, ... count too), which is
 * then among 'problems'. ${env:...} and ${file:...} are resolved. An empty document is a NULL node.
 */
struct core_node *core_yaml_parse(struct core_arena *arena, const char *file, const char *text,
                                  size_t len, struct core_problems *problems);

/* The same for a file. A relative ${file:...} is relative to the file's directory. */
struct core_node *core_yaml_read(struct core_arena *arena, const char *path,
                                 struct core_problems *problems);

/* The value under 'key', or NULL. 'map' may be NULL or of another kind. */
struct core_node *core_node_get(const struct core_node *map, const char *key);

#endif
