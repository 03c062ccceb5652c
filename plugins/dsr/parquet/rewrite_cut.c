/*
 * A page without some of its levels and values, and with indices into a dictionary that may have
 * become shorter.
 */
#include "rewrite_internal.h"

#include <stdlib.h>
#include <string.h>

void pq_cut_init(struct pq_cut *cut, const struct pq_column *column)
{
    *cut = (struct pq_cut){ .capacity = 0 };
    pq_values_init(&cut->values, column->width);
}

void pq_cut_clear(struct pq_cut *cut)
{
    free(cut->repetition);
    free(cut->definition);
    free(cut->indices);
    pq_values_clear(&cut->values);
    *cut = (struct pq_cut){ .capacity = 0 };
}

/* Room for what a page can have at most, which is a value for each level. */
static enum rc_code reserve(struct pq_cut *cut, const struct pq_page *page, struct rc_error *err)
{
    size_t count = page->level_count;

    if (!page->has_indices && pq_values_reserve(&cut->values, page->value_count, err))
        return err->code;
    if (count <= cut->capacity)
        return RC_OK;
    free(cut->repetition);
    free(cut->definition);
    free(cut->indices);
    cut->repetition = malloc(count * sizeof(uint32_t));
    cut->definition = malloc(count * sizeof(uint32_t));
    cut->indices = malloc(count * sizeof(uint32_t));
    cut->capacity = cut->repetition && cut->definition && cut->indices ? count : 0;
    if (cut->capacity == 0)
        return rc_fail(err, RC_TOO_LARGE, "there is no memory for a page of %zu levels", count);
    return RC_OK;
}

static void cut_levels(const struct pq_spans *spans, const uint32_t *levels, uint32_t *out)
{
    for (size_t i = 0; i < spans->len; i++) {
        memcpy(out, levels + spans->items[i].level, spans->items[i].level_count * sizeof(uint32_t));
        out += spans->items[i].level_count;
    }
}

static void cut_indices(const struct pq_spans *spans, const uint32_t *indices,
                        const uint32_t *places, uint32_t *out)
{
    for (size_t i = 0; i < spans->len; i++) {
        const struct pq_span *span = &spans->items[i];

        for (size_t k = span->value; k < span->value + span->value_count; k++)
            *out++ = places ? places[indices[k]] : indices[k];
    }
}

static void cut_values(const struct pq_spans *spans, const struct pq_values *values,
                       struct pq_values *out)
{
    size_t width = (size_t)values->width;

    out->len = 0;
    for (size_t i = 0; i < spans->len; i++) {
        const struct pq_span *span = &spans->items[i];

        if (span->value_count == 0)
            continue;
        if (width > 0)
            memcpy(out->fixed + out->len * width, values->fixed + span->value * width,
                   span->value_count * width);
        else
            memcpy(out->slices + out->len, values->slices + span->value,
                   span->value_count * sizeof(out->slices[0]));
        out->len += span->value_count;
    }
}

enum rc_code pq_cut_page(struct pq_cut *cut, const struct pq_page *page,
                         const struct pq_spans *spans, const uint32_t *places,
                         const struct pq_page **out, struct rc_error *err)
{
    if (reserve(cut, page, err))
        return err->code;
    cut->page = *page;
    cut->page.level_count = spans->level_count;
    cut->page.value_count = spans->value_count;
    cut->page.row_count = spans->row_count;
    if (page->repetition) {
        cut_levels(spans, page->repetition, cut->repetition);
        cut->page.repetition = cut->repetition;
    }
    if (page->definition) {
        cut_levels(spans, page->definition, cut->definition);
        cut->page.definition = cut->definition;
    }
    if (page->has_indices) {
        cut_indices(spans, page->indices, places, cut->indices);
        cut->page.indices = cut->indices;
    } else {
        cut_values(spans, &page->values, &cut->values);
        cut->page.values = cut->values;
    }
    *out = &cut->page;
    return RC_OK;
}
