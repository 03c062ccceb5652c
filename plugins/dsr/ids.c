/*
 * Files of the ids alone are copies of the columns' pages, made by the plugin's own writer; what is
 * in them only the engine reads.
 */
#include "ids.h"

#include <stdlib.h>

static int compare_columns(const void *a, const void *b)
{
    size_t one = *(const size_t *)a, other = *(const size_t *)b;

    return (one > other) - (one < other);
}

static size_t sort_columns(size_t *columns, size_t count)
{
    size_t kept = 0;

    qsort(columns, count, sizeof(*columns), compare_columns);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || columns[i] != columns[i - 1])
            columns[kept++] = columns[i];
    return kept;
}

enum rc_code dsr_ids_of(const struct pq_file *file, const struct dsr_table *table,
                        struct dsr_ids *out, struct rc_error *err)
{
    *out = (struct dsr_ids){ .columns = NULL };
    if (dsr_find_columns(file, table, &out->columns, err))
        return err->code;
    out->count = sort_columns(out->columns, table->id_columns.len);
    for (size_t i = 0; i < file->group_count; i++)
        for (size_t k = 0; k < out->count; k++)
            out->bytes += file->groups[i].chunks[out->columns[k]].len;
    return RC_OK;
}

void dsr_ids_clear(struct dsr_ids *ids)
{
    free(ids->columns);
    *ids = (struct dsr_ids){ .columns = NULL };
}

enum rc_code dsr_ids_write(struct rc_job *job, const struct dsr_scratch *scratch,
                           const struct pq_file *file, const struct dsr_ids *ids,
                           struct dsr_scratch_file *out, struct rc_error *err)
{
    struct pq_sink sink;

    if (dsr_scratch_open(job, scratch, out, err))
        return err->code;
    sink = dsr_scratch_sink(out);
    if (pq_project(file, ids->columns, ids->count, &sink, err)) {
        dsr_scratch_close(out);
        return rc_context(err, "copy the columns of the ids");
    }
    return RC_OK;
}

/* The columns as the engine is to know them; 'items' is to be freed. */
static enum rc_code columns_of(const struct pq_file *file, const struct dsr_table *table,
                               const struct pq_column ***items, struct dsr_engine_columns *out,
                               struct rc_error *err)
{
    size_t *places;

    *items = NULL;
    if (dsr_find_columns(file, table, &places, err))
        return err->code;
    *items = rc_calloc(table->id_columns.len, sizeof(**items));
    for (size_t i = 0; i < table->id_columns.len; i++)
        (*items)[i] = &file->columns[places[i]];
    *out = (struct dsr_engine_columns){ *items, table->id_columns.len, table->id_separator };
    free(places);
    return RC_OK;
}

enum rc_code dsr_ids_count(struct dsr_engine *engine, const struct pq_file *file,
                           const struct dsr_table *table, const char *const *paths,
                           size_t path_count, int64_t *rows, struct rc_error *err)
{
    const struct pq_column **items;
    struct dsr_engine_columns columns;
    enum rc_code code = columns_of(file, table, &items, &columns, err);

    if (code)
        return code;
    code = dsr_engine_count(engine, paths, path_count, &columns, rows, err);
    free(items);
    return code;
}

enum rc_code dsr_ids_match(struct dsr_engine *engine, const struct pq_file *file,
                           const struct dsr_table *table, const char *path, int64_t *rows,
                           int64_t *matching, struct rc_error *err)
{
    const struct pq_column **items;
    struct dsr_engine_columns columns;
    enum rc_code code = columns_of(file, table, &items, &columns, err);

    if (code)
        return code;
    code = dsr_engine_match(engine, path, &columns, rows, matching, err);
    free(items);
    return code;
}
