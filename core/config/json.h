/*
 * JSON that is no configuration: bodies of requests and replies, and values kept as JSON text. The
 * tree is that of yaml.h, in which numbers, true and false are scalars that are not quoted;
 * ${...} has no meaning.
 */
#ifndef CORE_CONFIG_JSON_H
#define CORE_CONFIG_JSON_H

#include <config/yaml.h>

#include <run-core/buf.h>

/*
 * Parses strict JSON (RFC 8259); 'name' stands for the file in places. NULL: it is none. Mistakes
 * go to 'problems'; with any, the tree is not to be used.
 */
struct core_node *core_json_read(struct core_arena *arena, const char *name, const char *text,
                                 size_t len, struct core_problems *problems);

/*
 * The same of what a server replies, whose mistakes nobody can mend: NULL if it is no JSON object.
 */
const struct core_node *core_json_read_reply(struct core_arena *arena, const char *text,
                                             size_t len);

/* Appends the JSON of a tree that was read from JSON. */
void core_json_add(struct rc_buf *out, const struct core_node *node);

/*
 * The map that core_config_parse_set() would make, from a JSON object such as {"days": 3}: a string
 * means what it would mean in --set, so that it may hold a list or a map as YAML. NULL: it is no
 * JSON object. The place of each value is "--set KEY".
 */
struct core_node *core_json_read_set(struct core_arena *arena, const char *text, size_t len,
                                     struct core_problems *problems);

#endif
