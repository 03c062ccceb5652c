/*
 * Whole Parquet files: footers, bounds, bloom filters, and a search of each column. What a footer
 * says lies within the file, and rows are found in their order and are rows of the file.
 */
#include <parquet/bloom.h>
#include <parquet/scan.h>
#include <parquet/statistics.h>

#include <string.h>

enum {
    LIMIT = 1 << 20,
    VALUES_LIMIT = 1 << 14, /* a few bytes may stand for very many values, which takes its time */
};

struct input {
    const uint8_t *data;
    size_t size;
};

struct search {
    int64_t row_count, last;
};

static enum rc_code read_input(void *context, int64_t offset_bytes, void *data, size_t len,
                               struct rc_error *err)
{
    const struct input *input = context;

    (void)err;
    RC_ASSERT(offset_bytes >= 0 && (uint64_t)offset_bytes <= input->size);
    RC_ASSERT(len <= input->size - (size_t)offset_bytes);
    memcpy(data, input->data + offset_bytes, len);
    return RC_OK;
}

static ptrdiff_t find(void *context, struct pq_slice value)
{
    (void)context;
    return value.len > 0 && value.data[0] % 2 ? value.data[value.len - 1] : -1;
}

static bool any_between(void *context, struct pq_slice least, struct pq_slice greatest)
{
    (void)context;
    return least.len == 0 || greatest.data[0] % 4 > 0;
}

static bool each(void *context, size_t i, struct pq_slice *value)
{
    (void)context;
    *value = (struct pq_slice){ (const uint8_t *)"12345678", 8 };
    return i < 2;
}

static enum rc_code note_hit(void *context, int64_t row, size_t which, struct rc_error *err)
{
    struct search *search = context;

    (void)err;
    RC_ASSERT(row > search->last && row < search->row_count && which <= UINT8_MAX);
    search->last = row;
    return RC_OK;
}

static void search_column(const struct pq_file *file, size_t column, bool trusts)
{
    /* Bounds are compared with values of the column's own width alone. */
    const struct pq_wanted wanted = {
        .find = find,
        .any_between = any_between,
        .each = file->columns[column].width == 8 || file->columns[column].width == 0 ? each : NULL,
    };
    const struct pq_scan_options options = { .trusts_statistics = trusts };
    struct search search = { .row_count = file->row_count, .last = -1 };
    struct rc_error err = RC_ERROR_INIT;
    struct pq_scanned scanned;

    for (size_t i = 0; i < file->group_count; i++)
        if (file->groups[i].chunks[column].value_count > VALUES_LIMIT)
            return;
    if (pq_scan(file, column, &wanted, &options, note_hit, &search, &scanned, &err))
        RC_ASSERT(err.code == RC_INVALID || err.code == RC_UNSUPPORTED || err.code == RC_TOO_LARGE);
}

static void look_at_chunk(const struct pq_file *file, const struct pq_column *column,
                          const struct pq_chunk *chunk)
{
    struct rc_error err = RC_ERROR_INIT;
    struct pq_bounds bounds;
    struct pq_bloom bloom;

    if (chunk->meta && !chunk->lies_elsewhere)
        RC_ASSERT(chunk->start >= 4 && chunk->len >= 0 &&
                  chunk->start <= file->data_end - chunk->len);
    (void)pq_chunk_is_null(chunk);
    if (pq_chunk_bounds(column, chunk, &bounds))
        RC_ASSERT(pq_compare(column->order, bounds.least, bounds.greatest) <= 0);
    if (chunk->bloom_offset == -1 || pq_bloom_read(&bloom, file, chunk, LIMIT, &err))
        return;
    pq_bloom_add(&bloom, (struct pq_slice){ (const uint8_t *)"x", 1 });
    RC_ASSERT(pq_bloom_may_hold(&bloom, (struct pq_slice){ (const uint8_t *)"x", 1 }));
    pq_bloom_clear(&bloom);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_CLEANUP(pq_file_close) struct pq_file file;
    struct input input = { data, size };
    const struct pq_source source = {
        .read = read_input,
        .context = &input,
        .size_bytes = (int64_t)size,
        .name = "input",
    };
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows = 0;

    if (pq_file_open(&file, &source, LIMIT, &err)) {
        RC_ASSERT(err.code == RC_INVALID || err.code == RC_UNSUPPORTED || err.code == RC_TOO_LARGE);
        return 0;
    }
    for (size_t i = 0; i < file.group_count; i++) {
        rows += file.groups[i].row_count;
        for (size_t j = 0; j < file.column_count; j++)
            look_at_chunk(&file, &file.columns[j], &file.groups[i].chunks[j]);
    }
    RC_ASSERT(rows == file.row_count);
    for (size_t i = 0; i < file.column_count; i++) {
        ptrdiff_t found = pq_file_column(&file, file.columns[i].path);

        RC_ASSERT(found == (ptrdiff_t)i || found == PQ_MANY_COLUMNS);
        search_column(&file, i, true);
        search_column(&file, i, false);
    }
    return 0;
}
