/*
 * Paths in a configuration, which are relative to the file in which they stand. Private to
 * core/config.
 */
#ifndef CORE_CONFIG_PATHS_H
#define CORE_CONFIG_PATHS_H

#include <config/options.h>

/* 'path' as it is if absolute, else made absolute against the directory of 'file', which exists. */
const char *core_path_beside(struct core_arena *arena, const char *file, const char *path);

/* Makes '*path', the value of 'key' in 'map', absolute. NULL and empty ones stay. */
void core_path_resolve(struct core_arena *arena, const struct core_node *map, const char *key,
                       const char **path);

/* The same, except that a name without a slash stays: it is searched for elsewhere. */
void core_path_resolve_named(struct core_arena *arena, const struct core_node *map, const char *key,
                             const char **path);

void core_path_resolve_list(struct core_arena *arena, const struct core_node *map, const char *key,
                            struct rc_strs *paths);

/* How a message names the file 'path': beside the file that names it, as the user did. */
const char *core_path_shown(struct core_arena *arena, const struct core_node *map, const char *key,
                            const char *path);

/* The place of the value of 'key', if there is one. */
void core_path_place(const struct core_node *map, const char *key, struct core_place *out);

#endif
