/*
 * What a dump says of itself: lines, progress, counters, the plan of a dry run, the manifest.
 */
#include "clock.h"
#include "dump.h"
#include "manifest.h"
#include "parquet.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- failures ---- */

const struct rc_error *egress_dump_failure(const struct egress_dump *dump, size_t table)
{
    if (dump->catalog.tables[table].failure)
        return dump->catalog.tables[table].failure;
    for (size_t i = 0; dump->states && i < dump->states[table].count; i++)
        if (dump->dumped[dump->states[table].first + i].code)
            return &dump->dumped[dump->states[table].first + i].err;
    return NULL;
}

/* "context: cause" of an error; to be freed. */
static char *error_text(const struct rc_error *failure)
{
    return rc_strf("%s%s%s", failure->context, failure->context[0] ? ": " : "", failure->cause);
}

static void tell_failure(struct egress_dump *dump, size_t table, const struct rc_error *failure)
{
    RC_STR_AUTO text = error_text(failure);

    if (dump->states && dump->states[table].is_told)
        return;
    if (dump->states)
        dump->states[table].is_told = true;
    rc_error(dump->job, "Table '%s': %s", dump->catalog.tables[table].name, text);
}

/* What the next attempt may put right is no error yet. Of a table's objects the first is told. */
static void warn_of_failure(struct egress_dump *dump, size_t table, const struct rc_error *failure)
{
    struct egress_table_state *state = &dump->states[table];
    RC_STR_AUTO text = error_text(failure);

    if (state->warned_of == dump->attempt)
        return;
    state->warned_of = dump->attempt;
    rc_warn(dump->job, "Table '%s': %s; it is tried again", dump->catalog.tables[table].name, text);
}

void egress_dump_tell_failures(struct egress_dump *dump)
{
    for (size_t i = 0; i < dump->catalog.count; i++) {
        const struct rc_error *failure = egress_dump_failure(dump, i);

        if (failure)
            tell_failure(dump, i, failure);
    }
}

/* ---- while it runs ---- */

void egress_dump_begin_report(struct egress_dump *dump)
{
    dump->dumped = rc_calloc(dump->plan.object_count + 1, sizeof(*dump->dumped));
    dump->states = rc_calloc(dump->catalog.count + 1, sizeof(*dump->states));
    dump->estimated_rows = 0;
    dump->rows_before = 0;
    for (size_t i = 0; i < dump->plan.object_count; i++) {
        struct egress_table_state *state = &dump->states[dump->plan.objects[i].table];
        double rows = dump->plan.objects[i].rows;

        if (state->count++ == 0)
            state->first = i;
        state->objects_left++;
        dump->estimated_rows =
            rows < 0 || dump->estimated_rows < 0 ? -1 : dump->estimated_rows + rows;
    }
    egress_dump_tell_failures(dump);
}

void egress_dump_free_report(struct egress_dump *dump)
{
    free(dump->dumped);
    free(dump->states);
    dump->dumped = NULL;
    dump->states = NULL;
}

void egress_dump_started(void *context, size_t object)
{
    struct egress_round *round = context;
    struct egress_dump *dump = round->dump;
    size_t table = dump->plan.objects[round->objects[object]].table;

    if (dump->states[table].is_started)
        return;
    dump->states[table].is_started = true;
    RC_STR_AUTO line =
        rc_strf("Table '%s': Data collection started.", dump->catalog.tables[table].name);
    rc_job_say(dump->job, line);
}

static bool is_tried_again(const struct egress_dump *dump, enum rc_code code)
{
    return (code == RC_UNAVAILABLE || code == RC_CONFLICT) &&
           dump->attempt < dump->config->attempts;
}

void egress_dump_finished(void *context, size_t object, const struct egress_dumped *dumped)
{
    struct egress_round *round = context;
    struct egress_dump *dump = round->dump;
    size_t index = round->objects[object], table = dump->plan.objects[index].table;
    char bytes[RC_AMOUNT_TEXT], stored[RC_AMOUNT_TEXT], took[RC_AMOUNT_TEXT];

    dump->dumped[index] = *dumped;
    if (is_tried_again(dump, dumped->code))
        warn_of_failure(dump, table, &dumped->err);
    else if (dumped->code)
        tell_failure(dump, table, &dumped->err);
    if (dumped->code)
        return;
    rc_info(dump->job, "wrote '%s%s': %" PRId64 " row%s, %s as %s, in %s", dump->folder,
            dump->plan.objects[index].key, dumped->rows, dumped->rows == 1 ? "" : "s",
            rc_format_size(dumped->bytes, bytes), rc_format_size(dumped->stored_bytes, stored),
            rc_format_duration(dumped->finished_unix_ms - dumped->started_unix_ms, took));
    if (--dump->states[table].objects_left > 0)
        return;
    RC_STR_AUTO line = rc_strf("Table '%s': Dump uploaded to intermediate storage.",
                               dump->catalog.tables[table].name);
    rc_job_say(dump->job, line);
}

void egress_dump_progress(void *context, int64_t rows, int64_t bytes, int64_t stored_bytes)
{
    struct egress_round *round = context;
    struct egress_dump *dump = round->dump;
    int64_t done = dump->rows_before + rows;
    int64_t total = dump->estimated_rows < 0 ? 0 : (int64_t)dump->estimated_rows;

    (void)bytes;
    (void)stored_bytes;
    /* An estimate that is passed is none. */
    rc_job_progress(dump->job, done, total < done ? 0 : total, "rows");
}

/* ---- a dry run ---- */

enum { PLAN_COLUMNS = 5 };

static char *rows_text(double rows)
{
    return rows < 0 ? rc_strdup("unknown") : rc_strf("%.0f", rows);
}

static char *size_text(int64_t bytes)
{
    char text[RC_AMOUNT_TEXT];

    return rc_strdup(bytes < 0 ? "unknown" : rc_format_size(bytes, text));
}

static void add_failures(const struct egress_dump *dump, char **cells)
{
    for (size_t i = 0; i < dump->catalog.count; i++) {
        const struct egress_table *table = &dump->catalog.tables[i];

        if (!table->failure)
            continue;
        *cells++ = rc_strdup(table->name);
        *cells++ = NULL;
        *cells++ = NULL;
        *cells++ = NULL;
        *cells++ = rc_strdup("cannot be dumped");
    }
}

void egress_dump_show_plan(struct egress_dump *dump)
{
    static const char *const columns[PLAN_COLUMNS] = { "table", ">rows (estimate)", ">size on disk",
                                                       ">pieces", "object" };
    size_t rows = dump->plan.object_count;
    char **cells = rc_calloc((rows + dump->catalog.count + 1) * PLAN_COLUMNS, sizeof(*cells));
    RC_STR_AUTO title = rc_strf("Would dump to '%s'", dump->folder);

    for (size_t i = 0; i < dump->plan.object_count; i++) {
        const struct egress_object *object = &dump->plan.objects[i];
        char **row = cells + i * PLAN_COLUMNS;

        row[0] = rc_strdup(dump->catalog.tables[object->table].name);
        row[1] = rows_text(object->rows);
        row[2] = size_text(object->bytes);
        row[3] = rc_strf("%zu", object->count);
        row[4] = rc_strdup(object->key);
    }
    for (size_t i = 0; i < dump->catalog.count; i++)
        rows += dump->catalog.tables[i].failure != NULL;
    add_failures(dump, cells + dump->plan.object_count * PLAN_COLUMNS);
    const struct rc_table table = { .title = title,
                                    .columns = columns,
                                    .column_count = PLAN_COLUMNS,
                                    .cells = (const char *const *)cells,
                                    .row_count = rows };
    rc_job_show(dump->job, &table);
    for (size_t i = 0; i < rows * PLAN_COLUMNS; i++)
        free(cells[i]);
    free(cells);
}

/* ---- the manifest ---- */

static void describe_table(const struct egress_dump *dump, size_t index,
                           struct egress_manifest_table *out)
{
    const struct egress_table *table = &dump->catalog.tables[index];
    const struct rc_error *failure = egress_dump_failure(dump, index);

    *out = (struct egress_manifest_table){ .name = rc_strdup(table->name),
                                           .schema = rc_strdup(table->schema),
                                           .relation = rc_strdup(table->relation),
                                           .query = rc_strdup(table->query),
                                           .error = failure ? error_text(failure) : NULL };
    out->columns = rc_calloc(table->column_count + 1, sizeof(*out->columns));
    for (; out->column_count < table->column_count; out->column_count++) {
        const struct egress_column *column = &table->columns[out->column_count];

        out->columns[out->column_count] =
            (struct egress_manifest_column){ .name = rc_strdup(column->name),
                                             .type = rc_strdup(column->type) };
    }
}

static void describe_object(const struct egress_dump *dump, size_t index,
                            struct egress_manifest_table *out)
{
    const struct egress_dumped *dumped = &dump->dumped[index];

    out->objects = rc_realloc(out->objects, (out->object_count + 1) * sizeof(*out->objects));
    out->objects[out->object_count++] = (struct egress_manifest_object){
        .key = rc_strdup(dump->plan.objects[index].key),
        .rows = dumped->rows,
        .bytes = dumped->bytes,
        .stored_bytes = dumped->stored_bytes,
        .sha256 = rc_strdup(dumped->sha256),
    };
}

static void describe(const struct egress_dump *dump, struct egress_manifest *out)
{
    const struct egress_snapshot *snapshot = &dump->snapshot;
    const struct egress_config *config = dump->config;
    bool is_csv = config->format == EGRESS_CSV;

    *out = (struct egress_manifest){
        .version = 1,
        .complete = true,
        .run_id = rc_strdup(dump->job->run_id),
        .job = rc_strdup(dump->job->name),
        .nominal_unix_ms = dump->job->slot_unix_ms,
        .started_unix_ms = dump->started_unix_ms,
        .finished_unix_ms = egress_unix_ms(),
        .server_version = rc_strdup(snapshot->server_version),
        .database = rc_strdup(snapshot->database),
        .system_identifier = rc_strdup(snapshot->system_identifier),
        .snapshot = rc_strdup(snapshot->id),
        .lsn = rc_strdup(snapshot->lsn),
        .xmin = rc_strdup(snapshot->xmin),
        .xmax = rc_strdup(snapshot->xmax),
        .snapshot_unix_ms = snapshot->taken_unix_ms,
        .format = rc_strdup(is_csv ? "csv" : "parquet"),
        .compression = rc_strdup(is_csv ? egress_compression_name(&dump->compression)
                                        : EGRESS_PARQUET_COMPRESSION),
        .delimiter = rc_strdup(is_csv ? config->delimiter : NULL),
        .null_string = rc_strdup(is_csv ? config->null_string : NULL),
        .encoding = rc_strdup(is_csv ? config->encoding : NULL),
        .header = is_csv && config->header,
        .tables = rc_calloc(dump->catalog.count + 1, sizeof(*out->tables)),
        .table_count = dump->catalog.count,
    };
    for (size_t i = 0; i < dump->catalog.count; i++) {
        describe_table(dump, i, &out->tables[i]);
        out->complete &= out->tables[i].error == NULL;
    }
    for (size_t i = 0; i < dump->plan.object_count; i++) {
        struct egress_manifest_table *table = &out->tables[dump->plan.objects[i].table];

        if (!table->error)
            describe_object(dump, i, table);
    }
}

enum rc_code egress_dump_write_manifest(struct egress_dump *dump, struct rc_error *err)
{
    struct egress_manifest manifest;
    enum rc_code code;

    describe(dump, &manifest);
    code = egress_manifest_save(dump->job, dump->folder, &manifest, err);
    egress_manifest_clear(&manifest);
    return code ? rc_context(err, "write the manifest") : RC_OK;
}

/* ---- the end ---- */

void egress_dump_count(const struct egress_dump *dump)
{
    int64_t failed = 0, rows = 0, bytes = 0, stored_bytes = 0, objects = 0;

    for (size_t i = 0; i < dump->catalog.count; i++)
        failed += egress_dump_failure(dump, i) != NULL;
    for (size_t i = 0; i < dump->plan.object_count; i++) {
        if (egress_dump_failure(dump, dump->plan.objects[i].table))
            continue;
        rows += dump->dumped[i].rows;
        bytes += dump->dumped[i].bytes;
        stored_bytes += dump->dumped[i].stored_bytes;
        objects++;
    }
    rc_job_count(dump->job, "tables", (int64_t)dump->catalog.count - failed);
    rc_job_count(dump->job, "tables_failed", failed);
    rc_job_count(dump->job, "objects", objects);
    rc_job_count(dump->job, "rows", rows);
    rc_job_count(dump->job, "bytes", bytes);
    rc_job_count(dump->job, "stored_bytes", stored_bytes);
}

enum rc_code egress_dump_judge(const struct egress_dump *dump, struct rc_error *err)
{
    size_t failed = 0, first = 0;

    for (size_t i = 0; i < dump->catalog.count; i++)
        if (egress_dump_failure(dump, i) && failed++ == 0)
            first = i;
    if (failed > 0)
        return rc_fail(err, RC_FAILED, "%zu of %zu table%s failed, the first of them '%s'", failed,
                       dump->catalog.count, dump->catalog.count == 1 ? "" : "s",
                       dump->catalog.tables[first].name);
    if (!dump->job->dry_run)
        rc_job_say(dump->job, "Success.");
    return RC_OK;
}
