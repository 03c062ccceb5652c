/*
 * A YAML (and so JSON) document as a tree in which every node knows its place.
 *
 * Scalars stay text: what they mean is the option's matter, not YAML's guess. Understood are
 * anchors, aliases and the merge key '<<', standard tags (ignored but for !!str) and ${...} in
 * values; refused are a second document, a key that stands twice, other tags, and values beyond
 * the limits below.
 */
#ifndef CORE_CONFIG_YAML_H
#define CORE_CONFIG_YAML_H

#include <config/problems.h>

#include <base/arena.h>

#include <stdbool.h>
#include <stddef.h>

enum {
    CORE_YAML_MAX_BYTES = 16 * 1024 * 1024,
    CORE_YAML_MAX_DEPTH = 100,
    CORE_YAML_MAX_ANCHORS = 1000,
    CORE_YAML_MAX_ALIASED = 1000 * 1000,   /* values that aliases stand for, over the document */
    CORE_YAML_MAX_SECRET_BYTES = 64 * 1024 /* of a ${file:...} */
};

enum core_node_kind { CORE_NODE_NULL, CORE_NODE_SCALAR, CORE_NODE_LIST, CORE_NODE_MAP };

struct core_node {
    enum core_node_kind kind;
    struct core_place place;
    const char *text; /* SCALAR: after ${...} is resolved */
    bool quoted;      /* SCALAR: 'x' or "x", so always text */
    bool secret;      /* SCALAR: came from ${file:...}, so never shown */
    bool broken;      /* a mistake in it was reported already, so it has no value to judge */
    bool each;        /* it, or something in it, is a ${each:...} that waits: see each.h */
    bool loose;       /* SCALAR from outside a file: where a list or map is wanted, it is YAML */
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
 * Parses 'text' as one document; 'file' is the name in its places. Returns NULL when its syntax
 * is wrong. Other mistakes (a key that stands twice, an unset variable) go to 'problems' too but
 * leave a tree, so that the rest can be judged in the same go. ${env:...} and ${file:...} are
 * resolved. An empty document is a NULL node.
 */
struct core_node *core_yaml_parse(struct core_arena *arena, const char *file, const char *text,
                                  size_t len, struct core_problems *problems);

/* Whose values a file has. */
enum core_yaml_machine {
    CORE_YAML_HERE,
    /*
     * Another machine's: of ${...} only the defaults are taken. A value with any other is broken,
     * which is no mistake; neither environment nor secrets are read.
     */
    CORE_YAML_ELSEWHERE
};

/*
 * The same for a file that is called 'shown' in places, and was named at 'named', where one looks
 * if it is missing. A relative ${file:...} is relative to the file's directory.
 */
struct core_node *core_yaml_read_as(struct core_arena *arena, const char *path, const char *shown,
                                    const struct core_place *named, enum core_yaml_machine machine,
                                    struct core_problems *problems);

/* The same for a file of the configuration, where values with ${each:...} wait: see each.h. */
struct core_node *core_yaml_read(struct core_arena *arena, const char *path,
                                 enum core_yaml_machine machine, struct core_problems *problems);

/*
 * Parses a text from outside a file, such as that of --set: ${...} stays as it is, and all places
 * are 'place'.
 */
struct core_node *core_yaml_parse_loose(struct core_arena *arena, const struct core_place *place,
                                        const char *text, struct core_problems *problems);

/* The value under 'key', or NULL. 'map' may be NULL or of another kind. */
struct core_node *core_node_get(const struct core_node *map, const char *key);
/* Its text, where it is a scalar; or NULL. */
const char *core_node_text(const struct core_node *map, const char *key);

#endif
