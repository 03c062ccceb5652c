/*
 * Finds rows by the values of one column. What decides over a whole row group comes first, the
 * cheapest before all: bounds, bloom filter, dictionary; only then is every page read.
 */
#include "scan.h"

#include "bloom.h"
#include "fields.h"
#include "page_internal.h"
#include "statistics.h"

#include <stdlib.h>

struct scan {
    struct pq_file file; /* the caller's, but for a source that counts */
    const struct pq_source *source;
    size_t column;
    const struct pq_wanted *wanted;
    bool trusts_statistics;
    enum rc_code (*hit)(void *context, int64_t row, size_t which, struct rc_error *err);
    void *context;
    struct pq_scanned *scanned;
    struct rc_error *err;
    int64_t first_row;  /* of the row group, in the file */
    ptrdiff_t *entries; /* which of the wanted each of the dictionary is; NULL: not yet known */
    bool is_any_entry;
};

static enum rc_code read_counted(void *context, int64_t offset_bytes, void *data, size_t len,
                                 struct rc_error *err)
{
    struct scan *scan = context;

    scan->scanned->bytes_read += (int64_t)len;
    return scan->source->read(scan->source->context, offset_bytes, data, len, err);
}

static const struct pq_column *column_of(const struct scan *scan)
{
    return &scan->file.columns[scan->column];
}

/* ---- what decides over a row group ----------------------------------------------------------- */

static bool lies_between(const struct pq_column *column, const struct pq_bounds *bounds,
                         struct pq_slice value)
{
    return pq_compare(column->order, bounds->least, value) <= 0 &&
           pq_compare(column->order, value, bounds->greatest) <= 0;
}

/* 'bounds' NULL: not known. */
static bool may_hold_any(const struct scan *scan, const struct pq_bloom *bloom,
                         const struct pq_bounds *bounds)
{
    struct pq_slice value;

    for (size_t i = 0; scan->wanted->each(scan->wanted->context, i, &value); i++)
        if ((!bounds || lies_between(column_of(scan), bounds, value)) &&
            pq_bloom_may_hold(bloom, value))
            return true;
    return false;
}

/* A filter that is larger than what it might save, is damaged or of a new kind is left alone. */
static enum rc_code ask_bloom(struct scan *scan, const struct pq_chunk *chunk,
                              const struct pq_bounds *bounds, bool *may_hold)
{
    struct pq_bloom bloom;
    enum rc_code code = pq_bloom_read(&bloom, &scan->file, chunk, (size_t)chunk->len, scan->err);

    if (code == RC_OK) {
        *may_hold = may_hold_any(scan, &bloom, bounds);
        pq_bloom_clear(&bloom);
    }
    return code == RC_UNSUPPORTED || code == RC_TOO_LARGE || code == RC_INVALID ? RC_OK : code;
}

static enum rc_code ask_metadata(struct scan *scan, const struct pq_chunk *chunk, bool *may_hold)
{
    const struct pq_wanted *wanted = scan->wanted;
    struct pq_bounds bounds;
    bool has_bounds = pq_chunk_bounds(column_of(scan), chunk, &bounds);

    *may_hold = !pq_chunk_is_null(chunk) &&
                !(has_bounds && wanted->any_between &&
                  !wanted->any_between(wanted->context, bounds.least, bounds.greatest));
    if (!*may_hold || chunk->bloom_offset == -1 || !wanted->each)
        return RC_OK;
    return ask_bloom(scan, chunk, has_bounds ? &bounds : NULL, may_hold);
}

static bool is_dictionary(int64_t encoding)
{
    return encoding == PQ_PLAIN_DICTIONARY || encoding == PQ_RLE_DICTIONARY;
}

/*
 * Whether the metadata says that each page has indices. Counts of encodings say so; without them,
 * the list of encodings only in the old style, as in the new one PLAIN is that of the dictionary.
 */
static bool all_pages_have_indices(const struct pq_chunk *chunk)
{
    const struct pq_node *stats = pq_field(chunk->meta, PQ_META_ENCODING_STATS, PQ_KIND_LIST);
    const struct pq_node *encodings = pq_field(chunk->meta, PQ_META_ENCODINGS, PQ_KIND_LIST);
    bool is_any = false;

    for (size_t i = 0; stats && i < stats->list.len; i++) {
        const struct pq_node *stat = &stats->list.items[i];
        int64_t type =
            stat->kind == PQ_KIND_STRUCT ? pq_field_int(stat, PQ_ENCODING_STATS_KIND, -1) : -1;

        if (type != TYPE_DATA_V1 && type != TYPE_DATA_V2)
            continue;
        if (!is_dictionary(pq_field_int(stat, PQ_ENCODING_STATS_ENCODING, -1)))
            return false;
        is_any = true;
    }
    if (stats || !encodings || encodings->value_kind != PQ_KIND_I32)
        return is_any;

    for (size_t i = 0; i < encodings->list.len; i++) {
        int64_t encoding = encodings->list.items[i].integer;

        if (encoding == PQ_PLAIN_DICTIONARY)
            is_any = true;
        else if (encoding != PQ_RLE && encoding != PQ_BIT_PACKED)
            return false;
    }
    return is_any;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static enum rc_code look_up_entries(struct scan *scan, const struct pq_values *dictionary)
{
    scan->entries = malloc((dictionary->len + 1) * sizeof(*scan->entries));
    if (!scan->entries)
        return rc_fail(scan->err, RC_TOO_LARGE, "there is no memory for a dictionary of %zu values",
                       dictionary->len);
    scan->is_any_entry = false;
    for (size_t i = 0; i < dictionary->len; i++) {
        scan->entries[i] = scan->wanted->find(scan->wanted->context, pq_value_at(dictionary, i));
        scan->is_any_entry |= scan->entries[i] >= 0;
    }
    return RC_OK;
}

static enum rc_code scan_page(struct scan *scan, const struct pq_page *page)
{
    const struct pq_wanted *wanted = scan->wanted;
    uint32_t present = (uint32_t)column_of(scan)->max_definition;
    size_t at = 0;

    if (page->value_count == 0 || (page->has_indices && !scan->is_any_entry))
        return RC_OK;
    for (size_t i = 0; i < page->level_count; i++) {
        if (page->definition && page->definition[i] != present)
            continue;
        ptrdiff_t which = page->has_indices
                              ? scan->entries[page->indices[at]]
                              : wanted->find(wanted->context, pq_value_at(&page->values, at));

        at++;
        if (which >= 0 && scan->hit(scan->context, scan->first_row + page->first_row + (int64_t)i,
                                    (size_t)which, scan->err))
            return scan->err->code;
    }
    return RC_OK;
}

static enum rc_code scan_pages(struct scan *scan, struct pq_pages *pages, bool all_have_indices)
{
    const struct pq_page *page;

    for (;;) {
        if (pq_pages_next(pages, &page, scan->err))
            return scan->err->code;
        if (!page)
            return RC_OK;
        /* A page of nulls has indices of no dictionary. */
        if (page->has_indices && page->value_count > 0 && !scan->entries &&
            look_up_entries(scan, pq_pages_dictionary(pages)))
            return scan->err->code;
        /* Each value of the chunk is an entry, and none is wanted. */
        if (scan->entries && !scan->is_any_entry && all_have_indices)
            return RC_OK;
        if (scan_page(scan, page))
            return scan->err->code;
    }
}

static enum rc_code scan_group(struct scan *scan, size_t group)
{
    const struct pq_chunk *chunk = &scan->file.groups[group].chunks[scan->column];
    RC_CLEANUP(pq_pages_drop) struct pq_pages *pages = NULL;
    bool may_hold = true;

    if (chunk->is_encrypted)
        return rc_fail(scan->err, RC_UNSUPPORTED, "it is encrypted");
    if (chunk->lies_elsewhere)
        return rc_fail(scan->err, RC_UNSUPPORTED, "it lies in another file");
    if (scan->trusts_statistics && ask_metadata(scan, chunk, &may_hold))
        return scan->err->code;
    if (!may_hold || chunk->value_count == 0) {
        scan->scanned->groups_skipped++;
        return RC_OK;
    }

    scan->scanned->groups_read++;
    if (pq_pages_open(&scan->file, group, scan->column, &pages, scan->err))
        return scan->err->code;
    enum rc_code code =
        scan_pages(scan, pages, scan->trusts_statistics && all_pages_have_indices(chunk));
    free(scan->entries);
    scan->entries = NULL;
    return code;
}

enum rc_code pq_scan(const struct pq_file *file, size_t column, const struct pq_wanted *wanted,
                     const struct pq_scan_options *options,
                     enum rc_code (*hit)(void *context, int64_t row, size_t which,
                                         struct rc_error *err),
                     void *context, struct pq_scanned *scanned, struct rc_error *err)
{
    struct scan scan = {
        .file = *file,
        .source = &file->source,
        .column = column,
        .wanted = wanted,
        .trusts_statistics = options->trusts_statistics,
        .hit = hit,
        .context = context,
        .scanned = scanned,
        .err = err,
    };

    *scanned = (struct pq_scanned){ 0 };
    scan.file.source.read = read_counted;
    scan.file.source.context = &scan;
    if (file->columns[column].max_repetition > 0)
        return rc_fail(err, RC_UNSUPPORTED,
                       "column '%s' of '%s' lies within a list, where no row is found by it",
                       file->columns[column].path, file->source.name);
    for (size_t i = 0; i < file->group_count; i++) {
        if (scan_group(&scan, i))
            return rc_context(err, "look through column '%s' in row group %zu of '%s'",
                              file->columns[column].path, i, file->source.name);
        scan.first_row += file->groups[i].row_count;
    }
    return RC_OK;
}
