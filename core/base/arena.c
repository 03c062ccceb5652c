/*
 * Memory in blocks that are freed together.
 */
#include <base/arena.h>

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 1024, LARGEST_BLOCK = 256 * 1024, SHARED_TEXTS = 256 };

struct core_arena_block {
    struct core_arena_block *next;
    size_t used, size; /* bytes of 'memory' */
    alignas(max_align_t) unsigned char memory[];
};

/* The last text shared of each hash. */
struct core_arena_shared {
    const char *texts[SHARED_TEXTS];
};

/* A new block in front: twice the last one, or as large as the piece that is asked for. */
static struct core_arena_block *add_block(struct core_arena *arena, size_t bytes)
{
    size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK;

    if (size > LARGEST_BLOCK)
        size = LARGEST_BLOCK;
    if (size < bytes)
        size = bytes;

    struct core_arena_block *block = rc_calloc(1, sizeof(*block) + size);
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

/* 'alignment' is a power of two. Pieces of no bytes get one, so that no two have one address. */
static void *take(struct core_arena *arena, size_t bytes, size_t alignment)
{
    struct core_arena_block *block = arena->blocks;
    size_t start = block ? (block->used + alignment - 1) & ~(alignment - 1) : 0;

    if (bytes > SIZE_MAX / 2)
        rc_out_of_memory(bytes);
    if (bytes == 0)
        bytes = 1;
    if (!block || start > block->size || block->size - start < bytes) {
        block = add_block(arena, bytes);
        start = 0;
    }
    block->used = start + bytes;
    return block->memory + start;
}

void *core_arena_alloc(struct core_arena *arena, size_t bytes)
{
    return take(arena, bytes, alignof(max_align_t));
}

char *core_arena_strndup(struct core_arena *arena, const char *text, size_t len)
{
    char *copy = take(arena, len + 1, 1);

    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *core_arena_strdup(struct core_arena *arena, const char *text)
{
    return text ? core_arena_strndup(arena, text, strlen(text)) : NULL;
}

/* FNV-1a. */
static size_t hash_of(const char *text)
{
    uint32_t hash = 0x811c9dc5u;

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x01000193u;
    return hash % SHARED_TEXTS;
}

const char *core_arena_share(struct core_arena *arena, const char *text)
{
    const char **slot;

    if (!text)
        return NULL;
    if (!arena->shared)
        arena->shared = core_arena_alloc(arena, sizeof(*arena->shared));
    slot = &arena->shared->texts[hash_of(text)];
    if (!*slot || strcmp(*slot, text) != 0)
        *slot = core_arena_strdup(arena, text);
    return *slot;
}

char *core_arena_strf(struct core_arena *arena, const char *format, ...)
{
    va_list arguments;
    va_list again;

    va_start(arguments, format);
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    RC_ASSERT(len >= 0);

    char *text = take(arena, (size_t)len + 1, 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

void core_arena_clear(struct core_arena *arena)
{
    while (arena->blocks) {
        struct core_arena_block *block = arena->blocks;

        arena->blocks = block->next;
        free(block);
    }
    arena->shared = NULL;
}
