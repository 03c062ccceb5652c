/*
 * Memory with a single lifetime: allocated piece by piece, freed at once. For trees
 * such as a parsed configuration. An arena belongs to one thread.
 */
#ifndef CORE_BASE_ARENA_H
#define CORE_BASE_ARENA_H

#include <run-core/attr.h>

#include <stddef.h>

struct core_arena {
    struct core_arena_block *blocks;  /* the newest first */
    struct core_arena_shared *shared; /* once a text was shared */
};

/* clang-format off */
#define CORE_ARENA_INIT { NULL, NULL }
/* clang-format on */

/* Zeroed and aligned for any type; never NULL. 'bytes' may be 0. */
void *core_arena_alloc(struct core_arena *arena, size_t bytes) __attribute__((returns_nonnull));
char *core_arena_strndup(struct core_arena *arena, const char *text, size_t len);
char *core_arena_strdup(struct core_arena *arena, const char *text); /* NULL gives NULL */
/*
 * The same, but an equal text that was shared lately is given again: for what repeats in large
 * trees. Not to be changed.
 */
const char *core_arena_share(struct core_arena *arena, const char *text);
char *core_arena_strf(struct core_arena *arena, const char *format, ...) RC_PRINTF(2, 3);

/* Frees all of it; the arena is empty and usable. */
void core_arena_clear(struct core_arena *arena);

#endif
