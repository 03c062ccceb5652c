/*
 * Open addressing over numbers of items, whose bytes lie one behind the other.
 */
#include "set.h"

#include <run-core/attr.h>

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct dsr_set_item {
    uint32_t offset, len, hash;
};

/* What four bytes can point to, and number. */
#define BYTES_LIMIT ((size_t)UINT32_MAX)

void dsr_set_init(struct dsr_set *set, size_t limit_bytes)
{
    *set = (struct dsr_set){ .bytes = RC_BUF_INIT(limit_bytes < BYTES_LIMIT ? limit_bytes
                                                                            : BYTES_LIMIT) };
}

void dsr_set_clear(struct dsr_set *set)
{
    rc_buf_clear(&set->bytes);
    free(set->items);
    free(set->slots);
    *set = (struct dsr_set){ .bytes = RC_BUF_INIT(set->bytes.limit) };
}

struct pq_slice dsr_set_at(const struct dsr_set *set, size_t i)
{
    const struct dsr_set_item *item = &set->items[i];

    return (struct pq_slice){ (const uint8_t *)set->bytes.data + item->offset, item->len };
}

static uint32_t hash_of(struct pq_slice value)
{
    return (uint32_t)XXH3_64bits(value.data, value.len);
}

/* The slot of the value, or the free one where it would be. There is a free one. */
static size_t find_slot(const struct dsr_set *set, struct pq_slice value, uint32_t hash)
{
    size_t mask = set->slot_count - 1, at = hash & mask;

    for (; set->slots[at] != 0; at = (at + 1) & mask) {
        const struct dsr_set_item *item = &set->items[set->slots[at] - 1];

        if (item->hash == hash && item->len == value.len &&
            (value.len == 0 || memcmp(set->bytes.data + item->offset, value.data, value.len) == 0))
            break;
    }
    return at;
}

/* Puts the numbers of all items where their hashes say. */
static void fill_slots(struct dsr_set *set)
{
    size_t mask = set->slot_count - 1;

    memset(set->slots, 0, set->slot_count * sizeof(*set->slots));
    for (size_t i = 0; i < set->count; i++) {
        size_t at = set->items[i].hash & mask;

        while (set->slots[at] != 0)
            at = (at + 1) & mask;
        set->slots[at] = (uint32_t)i + 1;
    }
}

/* Room for one more, so that half of the slots stay free. */
static void grow(struct dsr_set *set)
{
    if (set->count == set->capacity) {
        set->capacity = set->capacity ? 2 * set->capacity : 16;
        set->items = rc_realloc(set->items, set->capacity * sizeof(*set->items));
    }
    if (2 * (set->count + 1) <= set->slot_count)
        return;
    set->slot_count = set->slot_count ? 2 * set->slot_count : 64;
    set->slots = rc_realloc(set->slots, set->slot_count * sizeof(*set->slots));
    fill_slots(set);
}

enum rc_code dsr_set_add(struct dsr_set *set, struct pq_slice value, uint32_t *number,
                         struct rc_error *err)
{
    uint32_t hash = hash_of(value);
    size_t slot;

    grow(set);
    slot = find_slot(set, value, hash);
    if (set->slots[slot] != 0) {
        *number = set->slots[slot] - 1;
        return RC_OK;
    }
    if (set->count >= UINT32_MAX / 4 || value.len > set->bytes.limit - set->bytes.len)
        return rc_fail(err, RC_TOO_LARGE, "%zu ids of %zu bytes are the most that fit at once",
                       set->count, set->bytes.len);
    *number = (uint32_t)set->count;
    set->items[set->count++] = (struct dsr_set_item){ (uint32_t)set->bytes.len, value.len, hash };
    set->slots[slot] = *number + 1;
    rc_buf_add(&set->bytes, value.data, value.len);
    return rc_buf_check(&set->bytes, err);
}

struct sorting {
    const struct dsr_set *set;
    dsr_set_order *order;
    const void *context;
};

static int compare_items(const void *a, const void *b, void *context)
{
    const struct sorting *sorting = context;

    return sorting->order(sorting->context, dsr_set_at(sorting->set, *(const uint32_t *)a),
                          dsr_set_at(sorting->set, *(const uint32_t *)b));
}

void dsr_set_sort(struct dsr_set *set, dsr_set_order *order, const void *context,
                  uint32_t **numbers)
{
    struct sorting sorting = { set, order, context };
    uint32_t *sorted = rc_malloc((set->count + 1) * sizeof(*sorted));
    struct dsr_set_item *items = rc_malloc((set->count + 1) * sizeof(*items));

    for (size_t i = 0; i < set->count; i++)
        sorted[i] = (uint32_t)i;
    qsort_r(sorted, set->count, sizeof(*sorted), compare_items, &sorting);
    for (size_t i = 0; i < set->count; i++)
        items[i] = set->items[sorted[i]];
    free(set->items);
    set->items = items;
    set->capacity = set->count;
    if (set->slots)
        fill_slots(set);
    if (numbers) {
        *numbers = rc_malloc((set->count + 1) * sizeof(**numbers));
        for (size_t i = 0; i < set->count; i++)
            (*numbers)[sorted[i]] = (uint32_t)i;
    }
    free(sorted);
}

ptrdiff_t dsr_set_find(const struct dsr_set *set, struct pq_slice value)
{
    size_t slot;

    if (set->count == 0)
        return -1;
    slot = find_slot(set, value, hash_of(value));
    return (ptrdiff_t)set->slots[slot] - 1;
}

bool dsr_set_any_between(const struct dsr_set *set, dsr_set_order *order, const void *context,
                         struct pq_slice least, struct pq_slice greatest)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (order(context, dsr_set_at(set, middle), least) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && order(context, dsr_set_at(set, low), greatest) <= 0;
}

int dsr_order_bytes(const void *context, struct pq_slice a, struct pq_slice b)
{
    uint32_t least = a.len < b.len ? a.len : b.len;
    int order = least > 0 ? memcmp(a.data, b.data, least) : 0;

    (void)context;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}
