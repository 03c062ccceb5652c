/*
 * Counts what SizeStatistics tell: bytes of texts and how often each level is there.
 */
#include "rewrite_internal.h"

#include <stdlib.h>
#include <string.h>

void pq_sizes_init(struct pq_sizes *sizes, const struct pq_column *column)
{
    *sizes = (struct pq_sizes){
        .column = column,
        .repetition = rc_calloc((size_t)column->max_repetition + 1, sizeof(int64_t)),
        .definition = rc_calloc((size_t)column->max_definition + 1, sizeof(int64_t)),
    };
}

void pq_sizes_reset(struct pq_sizes *sizes)
{
    sizes->text_bytes = 0;
    memset(sizes->repetition, 0, ((size_t)sizes->column->max_repetition + 1) * sizeof(int64_t));
    memset(sizes->definition, 0, ((size_t)sizes->column->max_definition + 1) * sizeof(int64_t));
}

void pq_sizes_clear(struct pq_sizes *sizes)
{
    free(sizes->repetition);
    free(sizes->definition);
    *sizes = (struct pq_sizes){ .column = NULL };
}

/* A column without levels has them all the same, and all of them 0. */
static void count_levels(int64_t *counts, const uint32_t *levels, size_t count)
{
    if (!levels) {
        counts[0] += (int64_t)count;
        return;
    }
    for (size_t i = 0; i < count; i++)
        counts[levels[i]]++;
}

void pq_sizes_add(struct pq_sizes *sizes, const struct pq_page *page,
                  const struct pq_values *dictionary)
{
    count_levels(sizes->repetition, page->repetition, page->level_count);
    count_levels(sizes->definition, page->definition, page->level_count);
    if (sizes->column->type != PQ_BYTE_ARRAY)
        return;
    for (size_t i = 0; i < page->value_count; i++)
        sizes->text_bytes += page->has_indices ? dictionary->slices[page->indices[i]].len
                                               : page->values.slices[i].len;
}

void pq_sizes_merge(struct pq_sizes *sizes, const struct pq_sizes *more)
{
    sizes->text_bytes += more->text_bytes;
    for (int i = 0; i <= sizes->column->max_repetition; i++)
        sizes->repetition[i] += more->repetition[i];
    for (int i = 0; i <= sizes->column->max_definition; i++)
        sizes->definition[i] += more->definition[i];
}

enum rc_code pq_set_numbers(struct pq_tree *tree, struct pq_node *record, int16_t id,
                            const int64_t *numbers, size_t count, struct rc_error *err)
{
    struct pq_node *list = pq_set(tree, record, id, PQ_KIND_LIST);
    struct pq_node *items = pq_tree_alloc(tree, count * sizeof(*items));

    if (!list || !items)
        return pq_tree_full(tree, err);
    for (size_t i = 0; i < count; i++)
        items[i] = (struct pq_node){ .kind = PQ_KIND_I64, .integer = numbers[i] };
    list->value_kind = PQ_KIND_I64;
    list->list.items = items;
    list->list.len = count;
    return RC_OK;
}

/* It has a count for each level; where there is just one, some writers leave it empty. */
static enum rc_code set_histogram(struct pq_tree *tree, struct pq_node *record, int16_t id,
                                  const struct pq_node *old, const int64_t *counts,
                                  int16_t greatest, struct rc_error *err)
{
    if (!pq_field(old, id, PQ_KIND_LIST))
        return RC_OK;
    return pq_set_numbers(tree, record, id, counts, (size_t)greatest + 1, err);
}

enum rc_code pq_sizes_write(const struct pq_sizes *sizes, struct pq_tree *tree,
                            struct pq_node *record, struct rc_error *err)
{
    const struct pq_column *column = sizes->column;
    const struct pq_node old = *record;

    record->list.items = NULL;
    record->list.len = 0;
    if (pq_field(&old, PQ_SIZES_BYTES, PQ_KIND_I64) &&
        pq_set_int(tree, record, PQ_SIZES_BYTES, PQ_KIND_I64, sizes->text_bytes, err))
        return err->code;
    if (set_histogram(tree, record, PQ_SIZES_REPETITION, &old, sizes->repetition,
                      column->max_repetition, err))
        return err->code;
    return set_histogram(tree, record, PQ_SIZES_DEFINITION, &old, sizes->definition,
                         column->max_definition, err);
}
