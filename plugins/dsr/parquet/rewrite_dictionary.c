/*
 * Which entries of a dictionary the rows that stay refer to, and a dictionary of these alone. Their
 * order stays, so that one that was sorted still is.
 */
#include "rewrite_internal.h"

#include <stdlib.h>
#include <string.h>

/* Until the places are known. */
static const uint32_t unused = UINT32_MAX, used = 0;

void pq_remap_clear(struct pq_remap *remap)
{
    free(remap->places);
    pq_values_clear(&remap->entries);
    *remap = (struct pq_remap){ .places = NULL };
}

static void mark(struct pq_remap *remap, const struct pq_page *page, const struct pq_spans *spans)
{
    for (size_t i = 0; i < spans->len; i++) {
        const struct pq_span *span = &spans->items[i];

        for (size_t k = span->value; k < span->value + span->value_count; k++) {
            uint32_t *place = &remap->places[page->indices[k]];

            remap->used += *place == unused;
            *place = used;
        }
    }
}

static enum rc_code begin(struct pq_remap *remap, const struct pq_values *dictionary,
                          struct rc_error *err)
{
    if (!dictionary || remap->places)
        return RC_OK;
    remap->len = dictionary->len;
    remap->places = malloc((remap->len + 1) * sizeof(uint32_t));
    if (!remap->places)
        return rc_fail(err, RC_TOO_LARGE, "there is no memory for a dictionary of %zu entries",
                       remap->len);
    memset(remap->places, 0xff, remap->len * sizeof(uint32_t));
    return RC_OK;
}

/* Ends early where all entries are found to be used, as of a column with few values. */
static enum rc_code find_used(struct pq_remap *remap, const struct pq_column *column,
                              struct pq_pages *pages, struct pq_spans *spans, struct rc_error *err)
{
    const struct pq_page *page;

    while (!remap->is_needed || remap->used < remap->len) {
        if (pq_pages_next(pages, &page, err) || begin(remap, pq_pages_dictionary(pages), err))
            return err->code;
        if (!page)
            break;
        pq_spans_of(spans, column, page);
        if (!page->has_indices || spans->level_count == 0)
            continue;
        remap->is_needed = true;
        if (remap->places)
            mark(remap, page, spans);
    }
    return RC_OK;
}

enum rc_code pq_remap_find(struct pq_remap *remap, const struct pq_file *file, size_t group,
                           size_t column, struct pq_rows erased, int64_t first_row,
                           struct rc_error *err)
{
    RC_CLEANUP(pq_pages_drop) struct pq_pages *pages = NULL;
    RC_CLEANUP(pq_spans_clear) struct pq_spans spans;
    uint32_t next = 0;

    pq_spans_init(&spans, erased, first_row);
    if (pq_pages_open(file, group, column, &pages, err) ||
        find_used(remap, &file->columns[column], pages, &spans, err))
        return err->code;
    for (size_t i = 0; i < remap->len; i++)
        if (remap->places[i] == used)
            remap->places[i] = next++;
    remap->is_shorter = remap->used < remap->len;
    return RC_OK;
}

/* Whether the chunk has a dictionary, as far as its metadata tells. */
static bool has_dictionary(const struct pq_chunk *chunk)
{
    const struct pq_node *encodings = pq_field(chunk->meta, PQ_META_ENCODINGS, PQ_KIND_LIST);

    if (chunk->dictionary_len > 0)
        return true;
    for (size_t i = 0; encodings && i < encodings->list.len; i++) {
        const struct pq_node *encoding = &encodings->list.items[i];

        if (encoding->kind == PQ_KIND_I32 &&
            (encoding->integer == PQ_PLAIN_DICTIONARY || encoding->integer == PQ_RLE_DICTIONARY))
            return true;
    }
    return false;
}

enum rc_code pq_has_strays(const struct pq_file *file, size_t group, size_t column, bool *out,
                           struct rc_error *err)
{
    RC_CLEANUP(pq_remap_clear) struct pq_remap remap = { .places = NULL };
    const struct pq_chunk *chunk = &file->groups[group].chunks[column];
    const struct pq_rows none = { .len = 0 };

    *out = false;
    if (!has_dictionary(chunk))
        return RC_OK;
    if (chunk->value_count == 0) { /* no page is read for these, and no dictionary either */
        *out = chunk->len > 0;
        return RC_OK;
    }
    if (pq_remap_find(&remap, file, group, column, none, 0, err))
        return err->code;
    *out = remap.is_shorter;
    return RC_OK;
}

enum rc_code pq_remap_entries(struct pq_remap *remap, const struct pq_values *dictionary,
                              struct rc_error *err)
{
    struct pq_values *entries = &remap->entries;
    size_t width = (size_t)dictionary->width;

    pq_values_init(entries, dictionary->width);
    if (pq_values_reserve(entries, remap->used, err))
        return err->code;
    for (size_t i = 0; i < remap->len; i++) {
        uint32_t place = remap->places[i];

        if (place == unused)
            continue;
        if (width > 0)
            memcpy(entries->fixed + place * width, dictionary->fixed + i * width, width);
        else
            entries->slices[place] = dictionary->slices[i];
    }
    entries->len = remap->used;
    return RC_OK;
}
