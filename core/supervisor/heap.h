/*
 * A heap of items that are embedded where they are used: what is due first stands at the top.
 * Pure; the items must not move in memory while they are in a heap.
 */
#ifndef CORE_SUPERVISOR_HEAP_H
#define CORE_SUPERVISOR_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core_heap;

struct core_heap_item {
    int64_t key;
    uint64_t turn; /* among equal keys, the order of coming */
    size_t place;  /* from 1; 0: in no heap */
    struct core_heap *heap;
};

struct core_heap {
    struct core_heap_item **items; /* [1] is the first */
    size_t count, capacity;
    uint64_t turns;
};

/* clang-format off */
#define CORE_HEAP_INIT { NULL, 0, 0, 0 }
/* clang-format on */

/* Frees the array; the items are no longer in it. */
void core_heap_clear(struct core_heap *heap);

/* Puts the item in, or moves it: out of another heap too. */
void core_heap_put(struct core_heap *heap, struct core_heap_item *item, int64_t key);
/* Takes it out of the heap that it is in, if any. */
void core_heap_take(struct core_heap_item *item);

/* How many have a key of at most that; takes time by their number. */
size_t core_heap_count_until(const struct core_heap *heap, int64_t key);

static inline struct core_heap_item *core_heap_first(const struct core_heap *heap)
{
    return heap->count ? heap->items[1] : NULL;
}

#endif
