/*
 * Step S3 of README.md: the whole range is listed and searched again before a marker goes, by the
 * SQL engine. It sees the columns of the ids alone, without statistics, so that little is read and
 * nothing passed over. One that is elsewhere is asked as it was for the erasure, see lookup.h.
 *
 * For one that reads files of this process they are gathered in batches, one in each thread. Space
 * is taken before an engine is borrowed, here as in replace.c, so that no two threads wait for one
 * another.
 */
#include "ids.h"
#include "lookup.h"
#include "run.h"

#include <run-core/host.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_FILES = 32, KIND_LIMIT = 1 << 20, ATTEMPTS = 5, NAMED = 3 };

#define BATCH_BYTES ((int64_t)64 << 20)

struct large {
    size_t index; /* of the objects */
    int64_t bytes;
};

struct check {
    struct dsr_run *run;
    const struct dsr_shard_markers *markers;
    size_t table;
    const struct dsr_objects *objects;
    int64_t batch_bytes;
    atomic_size_t next;
    struct dsr_looked_up looked; /* by an engine elsewhere */

    pthread_mutex_t mutex; /* guards the following */
    int64_t rows;          /* of the users, in so many files */
    int64_t files;
    struct rc_buf names; /* of the first of them */
    struct large *large; /* objects whose ids need more space than a batch has */
    size_t large_count;
};

/* An object that is open. */
struct opened {
    struct dsr_reader *reader;
    struct pq_file file;
};

/* One file of a batch: its ids, and the object that they are of. */
struct part {
    struct dsr_object object;
    struct dsr_scratch_file ids;
};

/* What one thread has gathered. */
struct batch {
    struct check *check;
    struct rc_job *job;
    struct dsr_engine *engine; /* which knows the users; NULL: none is borrowed yet */
    struct part parts[BATCH_FILES];
    size_t count;
    int64_t bytes, limit_bytes;
    struct opened first; /* the first part's file stays open: its columns are those of all */
    char *kind;          /* of the columns; NULL: of no file yet */
};

static const struct dsr_table *table_of(const struct check *check)
{
    return RC_OBJECT_AT(struct dsr_table, check->run->config->tables, check->table);
}

/* ---- asking the engine ---------------------------------------------------------------------- */

static enum rc_code borrow(struct batch *batch, struct rc_error *err)
{
    const struct check *check = batch->check;

    if (batch->engine)
        return RC_OK;
    return dsr_engines_borrow(batch->job, check->run->engines, check->markers->users,
                              &batch->engine, err);
}

static void note_rows(struct check *check, const char *uri, int64_t rows)
{
    if (rows == 0)
        return;
    (void)pthread_mutex_lock(&check->mutex);
    check->rows += rows;
    if (check->files++ < NAMED)
        rc_buf_addf(&check->names, "%s'%s'", check->names.len ? ", " : "", uri);
    (void)pthread_mutex_unlock(&check->mutex);
}

/* Of some files of the batch, all of the same columns. */
static enum rc_code count_parts(struct batch *batch, size_t first, size_t count, int64_t *rows,
                                struct rc_error *err)
{
    const char *paths[BATCH_FILES];

    for (size_t i = 0; i < count; i++)
        paths[i] = batch->parts[first + i].ids.path;
    return dsr_ids_count(batch->engine, &batch->first.file, table_of(batch->check), paths, count,
                         rows, err);
}

static void close_object(struct opened *opened)
{
    pq_file_close(&opened->file);
    dsr_reader_close(opened->reader);
}

/* '*is_data': it is Parquet, and open. */
static enum rc_code open_object(struct rc_job *job, const struct dsr_object *object,
                                struct opened *out, bool *is_data, struct rc_error *err)
{
    enum rc_code code = dsr_reader_open(job, object->uri, &object->stat, NULL, &out->reader, err);

    *is_data = false;
    if (code)
        return code;
    code = dsr_reader_is_data(out->reader, is_data, err);
    if (!code && *is_data)
        code = pq_file_open(&out->file, dsr_reader_source(out->reader), DSR_FOOTER_LIMIT, err);
    if (code)
        *is_data = false;
    if (!*is_data)
        dsr_reader_close(out->reader);
    return code;
}

/*
 * An object that was replaced since it was listed is searched as it is now; one that is gone has
 * nothing. RC_FAILED: it changes over and over.
 */
static enum rc_code look_again(struct rc_job *job, struct dsr_object *object, int attempt,
                               bool *is_gone, struct rc_error *err)
{
    if (attempt >= ATTEMPTS)
        return rc_fail(err, RC_FAILED, "somebody else replaces '%s' over and over", object->uri);
    return dsr_lake_look(job, object->uri, &object->stat, is_gone, err);
}

static enum rc_code search_once(struct rc_job *job, struct check *check,
                                const struct dsr_object *object, struct rc_error *err)
{
    struct opened opened;
    struct dsr_found found;
    bool is_data;
    enum rc_code code = open_object(job, object, &opened, &is_data, err);

    if (code || !is_data)
        return code;
    code = dsr_find(&opened.file, table_of(check), check->markers->users,
                    /* trust_statistics = */ false, &found, err);
    if (!code) {
        note_rows(check, object->uri, (int64_t)found.count);
        dsr_found_clear(&found);
    }
    close_object(&opened);
    return code;
}

/* The plugin's own reader has to do where the engine is no judge. */
static enum rc_code search_alone(struct rc_job *job, struct check *check,
                                 const struct dsr_object *listed, struct rc_error *err)
{
    struct dsr_object object = *listed;
    bool is_gone = false;
    enum rc_code code;

    for (int attempt = 1; (code = search_once(job, check, &object, err)) == RC_CONFLICT; attempt++)
        if (look_again(job, &object, attempt, &is_gone, err) || is_gone)
            return is_gone ? RC_OK : err->code;
    return code ? rc_context(err, "search '%s'", object.uri) : RC_OK;
}

static enum rc_code search_part(struct batch *batch, size_t index, const struct rc_error *why,
                                struct rc_error *err)
{
    const struct dsr_object *object = &batch->parts[index].object;

    dsr_engine_is_no_judge(batch->job, object->uri, why);
    return search_alone(batch->job, batch->check, object, err);
}

/* One by one: which files have rows of the users, or cannot be read. */
static enum rc_code count_each(struct batch *batch, struct rc_error *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct rc_error why = RC_ERROR_INIT;
        int64_t rows = 0;

        if (!count_parts(batch, i, 1, &rows, &why)) {
            note_rows(batch->check, batch->parts[i].object.uri, rows);
        } else if (why.code != RC_UNSUPPORTED) {
            *err = why;
            return why.code;
        } else if (search_part(batch, i, &why, err)) {
            return err->code;
        }
    }
    return RC_OK;
}

static void empty(struct batch *batch)
{
    if (batch->count > 0)
        close_object(&batch->first);
    for (size_t i = 0; i < batch->count; i++)
        dsr_scratch_close(&batch->parts[i].ids);
    batch->count = 0;
    batch->bytes = 0;
    free(batch->kind);
    batch->kind = NULL;
}

static enum rc_code flush(struct batch *batch, struct rc_error *err)
{
    int64_t rows = 0;
    enum rc_code code = RC_OK;

    if (batch->count > 0)
        code = borrow(batch, err);
    if (!code && batch->count > 0) {
        code = count_parts(batch, 0, batch->count, &rows, err);
        if (code == RC_UNSUPPORTED || (!code && rows > 0))
            code = count_each(batch, err);
    }
    empty(batch);
    return code;
}

/* ---- gathering ------------------------------------------------------------------------------ */

/* What has to be alike in files that the engine reads as one. */
static enum rc_code kind_of(const struct pq_file *file, const struct dsr_table *table, char **out,
                            struct rc_error *err)
{
    RC_BUF_AUTO(kind, KIND_LIMIT);
    size_t *columns;

    if (dsr_find_columns(file, table, &columns, err))
        return err->code;
    for (size_t i = 0; i < table->id_columns.len; i++) {
        const struct pq_column *column = &file->columns[columns[i]];

        for (size_t k = 0; k < column->depth; k++)
            rc_buf_addf(&kind, "%zu:%s", strlen(column->names[k]), column->names[k]);
        rc_buf_addf(&kind, "=%d/%d/%d/%d/%zu;", (int)column->type, (int)column->width,
                    (int)column->meaning, (int)column->is_signed, columns[i]);
    }
    free(columns);
    if (rc_buf_check(&kind, err))
        return err->code;
    *out = rc_buf_take(&kind);
    return RC_OK;
}

static void set_aside(struct check *check, size_t index, int64_t bytes)
{
    (void)pthread_mutex_lock(&check->mutex);
    check->large[check->large_count++] = (struct large){ index, bytes };
    (void)pthread_mutex_unlock(&check->mutex);
}

/* Adds the file's ids; the first file of a batch is then the batch's, which '*is_kept' says. */
static enum rc_code add_part(struct batch *batch, const struct dsr_object *object,
                             const struct opened *opened, const struct dsr_ids *ids, bool *is_kept,
                             struct rc_error *err)
{
    RC_STR_AUTO kind = NULL;
    struct part *part;

    if (kind_of(&opened->file, table_of(batch->check), &kind, err))
        return err->code;
    if ((batch->count == BATCH_FILES || batch->bytes + ids->bytes > batch->limit_bytes ||
         (batch->kind && strcmp(batch->kind, kind) != 0)) &&
        flush(batch, err))
        return err->code;
    part = &batch->parts[batch->count];
    part->object = *object;
    if (dsr_ids_write(batch->job, batch->check->run->scratch, &opened->file, ids, &part->ids, err))
        return err->code;
    batch->bytes += ids->bytes;
    *is_kept = batch->count++ == 0;
    if (!*is_kept)
        return RC_OK;
    batch->first = *opened;
    batch->kind = rc_strdup(kind);
    return RC_OK;
}

/* Adds the ids of a file that is open, unless there is none, or more than there is room for. */
static enum rc_code gather_ids(struct batch *batch, size_t index, const struct dsr_object *object,
                               const struct opened *opened, bool *is_kept, struct rc_error *err)
{
    struct check *check = batch->check;
    const struct pq_file *file = &opened->file;
    struct dsr_ids ids;
    bool is_summary;
    enum rc_code code = RC_OK;

    if (dsr_find_elsewhere(file, &is_summary, err) || dsr_ids_of(file, table_of(check), &ids, err))
        return err->code;
    if (!is_summary && file->row_count > 0) {
        if (ids.bytes > batch->limit_bytes)
            set_aside(check, index, ids.bytes);
        else
            code = add_part(batch, object, opened, &ids, is_kept, err);
    }
    dsr_ids_clear(&ids);
    return code;
}

static enum rc_code gather_once(struct batch *batch, const struct dsr_object *object, size_t index,
                                struct rc_error *err)
{
    struct opened opened;
    bool is_data, is_kept = false;
    enum rc_code code = open_object(batch->job, object, &opened, &is_data, err);

    if (code || !is_data)
        return code;
    code = gather_ids(batch, index, object, &opened, &is_kept, err);
    if (!is_kept)
        close_object(&opened);
    return code;
}

static enum rc_code gather(struct batch *batch, size_t index, struct rc_error *err)
{
    struct dsr_object object = batch->check->objects->items[index];
    bool is_gone = false;
    enum rc_code code;

    for (int attempt = 1; (code = gather_once(batch, &object, index, err)) == RC_CONFLICT;
         attempt++)
        if (look_again(batch->job, &object, attempt, &is_gone, err) || is_gone)
            return is_gone ? RC_OK : err->code;
    return code ? rc_context(err, "look at '%s'", object.uri) : RC_OK;
}

/* ---- the threads ---------------------------------------------------------------------------- */

/*
 * Gathers, in 'bytes' of scratch space, the one object, or what is left of all of them, and asks
 * the engine.
 */
static enum rc_code check_batch(struct rc_job *job, struct check *check, int64_t bytes,
                                const size_t *only, struct rc_error *err)
{
    struct dsr_scratch *scratch = check->run->scratch;
    struct batch *batch;
    enum rc_code code = dsr_scratch_take(job, scratch, bytes, err);
    size_t at;

    if (code)
        return code;
    batch = rc_calloc(1, sizeof(*batch));
    batch->check = check;
    batch->job = job;
    batch->limit_bytes = only ? INT64_MAX : bytes;
    if (only)
        code = gather(batch, *only, err);
    while (!only && !code && (at = atomic_fetch_add(&check->next, 1)) < check->objects->count)
        code = gather(batch, at, err);
    if (!code)
        code = flush(batch, err);
    empty(batch);
    dsr_engines_drop(&batch->engine);
    dsr_scratch_give(scratch, bytes);
    free(batch);
    return code;
}

static enum rc_code check_some(struct rc_job *job, void *context, size_t index,
                               struct rc_error *err)
{
    struct check *check = context;

    (void)index;
    return check_batch(job, check, check->batch_bytes, NULL, err);
}

/* One whose ids need more space than a batch has. */
static enum rc_code check_large(struct rc_job *job, void *context, size_t index,
                                struct rc_error *err)
{
    struct check *check = context;

    return check_batch(job, check, check->large[index].bytes, &check->large[index].index, err);
}

static enum rc_code check_all(struct check *check, struct rc_job *job, size_t width,
                              struct rc_error *err)
{
    size_t count = check->objects->count, threads = count < width ? count : width;
    enum rc_code code = rc_parallel(job, threads, threads, check_some, check, err);

    return code ? code : rc_parallel(job, width, check->large_count, check_large, check, err);
}

/* ---- an engine elsewhere -------------------------------------------------------------------- */

static enum rc_code search_unseen(struct rc_job *job, void *context, size_t index,
                                  struct rc_error *err)
{
    struct check *check = context;

    if (dsr_looked_rows(&check->looked, index) != DSR_NOT_TOLD)
        return RC_OK;
    return search_alone(job, check, &check->objects->items[index], err);
}

static enum rc_code look_up(struct check *check, struct rc_job *job, size_t width,
                            struct rc_error *err)
{
    const struct dsr_lookup lookup = {
        .engines = check->run->engines,
        .config = check->run->config,
        .places = &check->run->places,
        .table = check->table,
        .shard = check->markers->shard,
        .users = check->markers->users,
        .objects = check->objects,
        .width = width,
    };
    size_t count = check->objects->count;
    enum rc_code code = dsr_lookup(job, &lookup, &check->looked, err);

    for (size_t i = 0; !code && i < count; i++)
        if (dsr_looked_rows(&check->looked, i) != DSR_NOT_TOLD)
            note_rows(check, check->objects->items[i].uri, dsr_looked_rows(&check->looked, i));
    if (!code && check->looked.later_rows > 0)
        note_rows(check, check->looked.later, check->looked.later_rows);
    if (!code)
        code = rc_parallel(job, width, count, search_unseen, check, err);
    dsr_looked_clear(&check->looked);
    return code;
}

/* ---- a table -------------------------------------------------------------------------------- */

static enum rc_code run_check(struct check *check, struct rc_job *job, size_t width,
                              struct rc_error *err)
{
    if (dsr_engines_read_files(check->run->engines) ? check_all(check, job, width, err)
                                                    : look_up(check, job, width, err))
        return err->code;
    if (check->rows == 0)
        return RC_OK;
    return rc_fail(err, RC_FAILED,
                   "%lld rows of the users are still in %lld file%s, such as %s: they were written "
                   "meanwhile%s; the markers stay, run again",
                   (long long)check->rows, (long long)check->files, check->files == 1 ? "" : "s",
                   check->names.data,
                   check->run->config->trust_statistics
                       ? ", or the statistics of the files do not tell of them and "
                         "trust_statistics has to be false"
                       : "");
}

static enum rc_code check_table(struct dsr_run *run, struct rc_job *job,
                                const struct dsr_shard_markers *markers, size_t table,
                                struct rc_error *err)
{
    size_t width = dsr_share(run);
    int64_t share_bytes = run->config->scratch_bytes / 4 / (int64_t)width;
    struct dsr_objects objects;
    struct check check = {
        .run = run,
        .markers = markers,
        .table = table,
        .objects = &objects,
        .batch_bytes = share_bytes < BATCH_BYTES ? share_bytes : BATCH_BYTES,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .names = RC_BUF_INIT(KIND_LIMIT),
    };
    enum rc_code code;

    if (dsr_lake_list(job, &run->places, table, markers->shard, markers->first_day,
                      markers->last_day, &objects, err))
        return err->code;
    check.large = rc_calloc(objects.count + 1, sizeof(*check.large));
    code = run_check(&check, job, width, err);
    free(check.large);
    rc_buf_clear(&check.names);
    (void)pthread_mutex_destroy(&check.mutex);
    dsr_objects_clear(&objects);
    return code;
}

enum rc_code dsr_postcheck(struct dsr_run *run, struct rc_job *job,
                           const struct dsr_shard_markers *markers, struct rc_error *err)
{
    for (size_t i = 0; i < run->places.table_count; i++)
        if (check_table(run, job, markers, i, err))
            return rc_context(err, "table '%s'",
                              RC_OBJECT_AT(struct dsr_table, run->config->tables, i)->name);
    return RC_OK;
}
