/*
 * The heap: binary, by key and then by the order of coming.
 */
#include <supervisor/heap.h>

#include <run-core/attr.h>

#include <stdlib.h>

static bool before(const struct core_heap_item *a, const struct core_heap_item *b)
{
    return a->key != b->key ? a->key < b->key : a->turn < b->turn;
}

static void set(struct core_heap *heap, size_t place, struct core_heap_item *item)
{
    heap->items[place] = item;
    item->place = place;
}

static void rise(struct core_heap *heap, struct core_heap_item *item)
{
    size_t place = item->place;

    for (; place > 1 && before(item, heap->items[place / 2]); place /= 2)
        set(heap, place, heap->items[place / 2]);
    set(heap, place, item);
}

static void sink(struct core_heap *heap, struct core_heap_item *item)
{
    size_t place = item->place;

    for (size_t child = 2 * place; child <= heap->count; child = 2 * place) {
        if (child < heap->count && before(heap->items[child + 1], heap->items[child]))
            child++;
        if (!before(heap->items[child], item))
            break;
        set(heap, place, heap->items[child]);
        place = child;
    }
    set(heap, place, item);
}

void core_heap_take(struct core_heap_item *item)
{
    struct core_heap *heap = item->heap;
    struct core_heap_item *last;
    size_t place = item->place;

    if (!place)
        return;
    last = heap->items[heap->count--];
    item->place = 0;
    item->heap = NULL;
    if (last == item)
        return;
    set(heap, place, last);
    rise(heap, last);
    sink(heap, last);
}

void core_heap_put(struct core_heap *heap, struct core_heap_item *item, int64_t key)
{
    core_heap_take(item);
    if (heap->count + 1 >= heap->capacity) {
        heap->capacity = heap->capacity ? 2 * heap->capacity : 16;
        heap->items = rc_realloc(heap->items, heap->capacity * sizeof(*heap->items));
    }
    item->key = key;
    item->turn = heap->turns++;
    item->heap = heap;
    set(heap, ++heap->count, item);
    rise(heap, item);
}

void core_heap_clear(struct core_heap *heap)
{
    for (size_t i = 1; i <= heap->count; i++) {
        heap->items[i]->place = 0;
        heap->items[i]->heap = NULL;
    }
    free(heap->items);
    *heap = (struct core_heap)CORE_HEAP_INIT;
}

/* Below an item that comes later all others do. */
static size_t count_below(const struct core_heap *heap, size_t place, int64_t key)
{
    if (place > heap->count || heap->items[place]->key > key)
        return 0;
    return 1 + count_below(heap, 2 * place, key) + count_below(heap, 2 * place + 1, key);
}

size_t core_heap_count_until(const struct core_heap *heap, int64_t key)
{
    return count_below(heap, 1, key);
}
