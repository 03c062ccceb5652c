/*
 * A set of byte strings: they are numbered as they are added, found by a hash table, and sorted
 * once. Belongs to one thread until it is sorted; from then on it is only read.
 */
#ifndef DSR_SET_H
#define DSR_SET_H

#include "parquet/encoding.h"

struct dsr_set {
    struct rc_buf bytes;
    struct dsr_set_item *items;
    size_t count, capacity;
    uint32_t *slots; /* of an item's number and one; 0: free. A power of two, more than the items */
    size_t slot_count;
};

/* Less than, equal to or greater than 0. */
typedef int dsr_set_order(const void *context, struct pq_slice a, struct pq_slice b);

void dsr_set_init(struct dsr_set *set, size_t limit_bytes);
void dsr_set_clear(struct dsr_set *set);
/* Copies the bytes, unless they are there already. RC_TOO_LARGE: above the set's limit. */
RC_MUST_CHECK enum rc_code dsr_set_add(struct dsr_set *set, struct pq_slice value, uint32_t *number,
                                       struct rc_error *err);
/*
 * Numbers the strings anew, by their order. '*numbers' (may be NULL; freed with free()) has the new
 * number of each old one.
 */
void dsr_set_sort(struct dsr_set *set, dsr_set_order *order, const void *context,
                  uint32_t **numbers);
struct pq_slice dsr_set_at(const struct dsr_set *set, size_t i);
ptrdiff_t dsr_set_find(const struct dsr_set *set, struct pq_slice value);
/* Of a sorted set: whether any of its strings lies between these, ends included. */
bool dsr_set_any_between(const struct dsr_set *set, dsr_set_order *order, const void *context,
                         struct pq_slice least, struct pq_slice greatest);

/* Byte by byte, unsigned; the shorter one first. */
int dsr_order_bytes(const void *context, struct pq_slice a, struct pq_slice b);

#endif
