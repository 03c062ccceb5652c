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

enum { FIRST_BLOCK = 1024, LARGEST_BLOCK = 256 * 1024 };

struct core_arena_block {
    struct core_arena_block *next;
    size_t used, size; /* bytes of 'memory' */
    alignas(max_align_t) unsigned char memory[];
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

void *core_arena_alloc(struct core_arena *arena, size_t bytes)
{
    enum { ALIGN = alignof(max_align_t) };

    if (bytes > SIZE_MAX / 2)
        rc_out_of_memory(bytes);

    /* Pieces of no bytes get some too, so that no two pieces have the same address. */
    size_t step = bytes > 0 ? (bytes + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    struct core_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < step)
        block = add_block(arena, step);

    void *memory = block->memory + block->used;
    block->used += step;
    return memory;
}

char *core_arena_strndup(struct core_arena *arena, const char *text, size_t len)
{
    char *copy = core_arena_alloc(arena, len + 1);

    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *core_arena_strdup(struct core_arena *arena, const char *text)
{
    return text ? core_arena_strndup(arena, text, strlen(text)) : NULL;
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

    char *text = core_arena_alloc(arena, (size_t)len + 1);
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
}
