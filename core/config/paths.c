/*
 * Makes the paths of a configuration absolute, without following links: what
 * stands beside a linked file is meant to stand beside the link.
 */
#include <config/paths.h>

#include <run-core/str.h>

#include <limits.h>
#include <string.h>
#include <unistd.h>

static const char *join(struct core_arena *arena, const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');

    while (rc_str_starts(path, "./"))
        path += 2;
    if (path[0] == '/' || !slash)
        return core_arena_strdup(arena, path);
    return core_arena_strf(arena, "%.*s/%s", (int)(slash - file), file, path);
}

const char *core_path_beside(struct core_arena *arena, const char *file, const char *path)
{
    const char *joined = join(arena, file, path);
    char directory[PATH_MAX];

    if (joined[0] == '/' || !getcwd(directory, sizeof(directory)))
        return joined;
    while (rc_str_starts(joined, "./"))
        joined += 2;
    return core_arena_strf(arena, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, joined);
}

void core_path_resolve(struct core_arena *arena, const struct core_node *map, const char *key,
                       const char **path)
{
    const struct core_node *node = core_node_get(map, key);

    if (node && *path && **path)
        *path = core_path_beside(arena, node->place.file, *path);
}

void core_path_resolve_named(struct core_arena *arena, const struct core_node *map, const char *key,
                             const char **path)
{
    if (*path && strchr(*path, '/'))
        core_path_resolve(arena, map, key, path);
}

void core_path_resolve_list(struct core_arena *arena, const struct core_node *map, const char *key,
                            struct rc_strs *paths)
{
    const struct core_node *node = core_node_get(map, key);
    const char **items = core_arena_alloc(arena, (paths->len + 1) * sizeof(*items));

    if (!node)
        return;
    for (size_t i = 0; i < paths->len; i++)
        items[i] = core_path_beside(arena, node->place.file, paths->items[i]);
    paths->items = items;
}

const char *core_path_shown(struct core_arena *arena, const struct core_node *map, const char *key,
                            const char *path)
{
    const struct core_node *node = core_node_get(map, key);

    return node && path ? join(arena, node->place.file, path) : NULL;
}

void core_path_place(const struct core_node *map, const char *key, struct core_place *out)
{
    const struct core_node *node = core_node_get(map, key);

    if (node)
        *out = node->place;
}
