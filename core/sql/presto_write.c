/*
 * The files that a query writes: made by the server as a table of the session's, whose files are
 * counted, row by row and one by one, and then copied to the location. A table is no file yet: a
 * single object is written here, of the rows that the query gives.
 */
#include <sql/presto.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct writing {
    struct core_presto *session;
    const struct rc_sql_output *output;
    struct core_presto_output made;
    struct core_presto_table *table; /* with the files; NULL: there are no rows */
    int64_t rows;                    /* -1: not known yet */
    struct core_presto_files files;
    struct rc_sql_written written;
};

/* ---- what is asked for ---------------------------------------------------------------------- */

static enum rc_code check_format(const struct rc_sql_output *output, struct rc_error *err)
{
    static const char *const known[][2] = {
        { "parquet", "zstd" }, { "parquet", "snappy" }, { "parquet", "gzip" },
        { "parquet", "none" }, { "csv", "gzip" },       { "csv", "none" },
    };
    const char *format = output->format ? output->format : "";

    for (size_t i = 0; i < RC_ARRAY_LEN(known); i++)
        if (strcmp(known[i][0], format) == 0 &&
            (!output->compression || strcmp(known[i][1], output->compression) == 0))
            return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "cannot write format '%s' with compression '%s' on this engine; parquet takes "
                   "zstd, snappy, gzip and none, csv takes gzip and none",
                   format, output->compression ? output->compression : "");
}

/* A column's name becomes that of folders. */
static enum rc_code check_partitions(const struct rc_sql_output *output, struct rc_error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.~";

    for (size_t i = 0; i < output->partition_count; i++) {
        const char *name = output->partition_by[i];

        if (name[0] == '.' || name[0] == '\0' || strspn(name, allowed) != strlen(name))
            return rc_fail(err, RC_INVALID,
                           "the column '%s' cannot name folders; rename it to letters, digits "
                           "and '_'",
                           name);
    }
    return RC_OK;
}

/* All that lies at the location is replaced, which must not be what the sessions live in. */
static enum rc_code check_place(const struct core_presto *session, const char *location,
                                struct rc_error *err)
{
    RC_BUF_AUTO(there, 64 * 1024);
    struct rc_error ignored = RC_ERROR_INIT;
    bool reached = core_presto_there(session, location, &there, &ignored) == RC_OK;

    if (rc_str_starts(session->work, location) ||
        (reached && there.len > 0 && rc_str_starts(session->work_there, there.data)))
        return rc_fail(err, RC_INVALID,
                       "the engine's work folder lies below it ('%s'), and a write replaces all "
                       "that is there; set 'work' of the engine to another place",
                       session->work);
    return RC_OK;
}

static enum rc_code check_output(const struct writing *work, struct rc_error *err)
{
    const struct rc_sql_output *output = work->output;
    bool folder = rc_str_ends(output->location, "/");

    if (check_format(output, err) || check_partitions(output, err))
        return err->code;
    if (output->partition_count > 0 && !folder)
        return rc_fail(err, RC_INVALID, "a partitioned output needs a location that ends with '/'");
    if (!folder && output->format[0] == 'p')
        return rc_fail(err, RC_UNSUPPORTED,
                       "this engine writes Parquet into a folder only; give a location that ends "
                       "with '/'");
    if (folder && output->format[0] == 'c')
        return rc_fail(err, RC_UNSUPPORTED,
                       "this engine writes CSV as a single object only; give a location that does "
                       "not end with '/'");
    return folder ? check_place(work->session, output->location, err) : RC_OK;
}

/* ---- columns -------------------------------------------------------------------------------- */

static bool is_partition(const struct rc_sql_output *output, const char *column)
{
    for (size_t i = 0; i < output->partition_count; i++)
        if (strcasecmp(output->partition_by[i], column) == 0)
            return true;
    return false;
}

/* The columns of the query, those of the folders last and in their order. */
static enum rc_code order_columns(struct writing *work, struct rc_error *err)
{
    const struct rc_sql_output *output = work->output;
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    const char *const *names = NULL;
    RC_ROWS_AUTO(rows);
    size_t count, kept = 0;

    rc_buf_addf(&text, "SELECT * FROM (\n%s\n) AS q LIMIT 0", work->made.query);
    if (core_presto_ask(work->session, &text, &rows, err))
        return err->code;
    count = rc_rows_columns(rows, &names);
    work->made.columns = rc_calloc(count + output->partition_count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        if (!is_partition(output, names[i]))
            work->made.columns[kept++] = rc_strdup(names[i]);
    work->made.column_count = kept;
    if (kept + output->partition_count != count)
        return rc_fail(err, RC_INVALID,
                       "the query has %zu columns, and %zu of them are not those that it is to be "
                       "partitioned by ('%s'...), each of which has to be there once",
                       count, kept, output->partition_by[0]);
    for (size_t i = 0; i < output->partition_count; i++)
        work->made.columns[work->made.column_count++] = rc_strdup(output->partition_by[i]);
    return RC_OK;
}

/* ---- files ---------------------------------------------------------------------------------- */

/*
 * Some catalogues take no table without files, which a query without rows makes. Only asked for
 * when the table could not be made: the words that refuse it are no proof, as a server says the
 * same when its rows went to a place that only some of its machines see.
 */
static bool is_empty(struct writing *work)
{
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    struct rc_error ignored = RC_ERROR_INIT;
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);

    rc_buf_addf(&text, "SELECT 1 AS one FROM (\n%s\n) AS q LIMIT 1", work->made.query);
    return !core_presto_ask(work->session, &text, &rows, &ignored) &&
           !rc_rows_next(rows, &row, &ignored) && !row;
}

/* What a table's making has left that failed: files that nobody can count. */
static bool has_files(struct writing *work)
{
    struct rc_error ignored = RC_ERROR_INIT;
    bool found = core_presto_list_files(work->session, work->table->names[0].folder, &work->files,
                                        &ignored) != RC_OK ||
                 work->files.count > 0;

    core_presto_files_clear(&work->files);
    return found;
}

static void begin_table(struct writing *work)
{
    if (work->table)
        core_presto_discard(work->session, work->table);
    work->table = core_presto_new_table(work->session, "output");
}

static enum rc_code make_files(struct writing *work, struct rc_error *err)
{
    bool too_many;
    enum rc_code code;

    begin_table(work);
    code = core_presto_make_output(work->session, &work->made, &work->table->names[0], &work->rows,
                                   &too_many, err);
    if (code && too_many) {
        begin_table(work);
        return core_presto_make_chunks(work->session, &work->made, &work->table->names[0],
                                       &work->rows, err);
    }
    if (!code || code == RC_CANCELLED || code == RC_TIMEOUT || !is_empty(work) || has_files(work))
        return code;
    work->rows = 0;
    return RC_OK;
}

/* "DAY=2026-01-01/" for "day=2026-01-01/": the catalogue has turned the name into small letters. */
static enum rc_code add_folders(const struct rc_sql_output *output, const char *source,
                                struct rc_buf *out, struct rc_error *err)
{
    const char *at = source;

    for (size_t i = 0; i < output->partition_count; i++) {
        size_t len = strlen(output->partition_by[i]), whole = strcspn(at, "/");

        if (strncasecmp(at, output->partition_by[i], len) != 0 || at[len] != '=' || !at[whole])
            return rc_fail(err, RC_CORRUPT, "the server wrote '%s', which is in no folder '%s=...'",
                           source, output->partition_by[i]);
        rc_buf_addf(out, "%s%.*s/", output->partition_by[i], (int)(whole - len), at + len);
        at += whole + 1;
    }
    return RC_OK;
}

/* A name that no other write has used, as the session has a name of its own, and numbers. */
static enum rc_code name_file(struct writing *work, struct core_presto_file *file,
                              struct rc_error *err)
{
    const struct core_presto *session = work->session;
    RC_BUF_AUTO(target, 64 * 1024);

    if (add_folders(work->output, file->source, &target, err))
        return err->code;
    rc_buf_addf(&target, "data_%" PRId64 "-%s-%u.parquet", work->written.files,
                session->context.session, session->made);
    if (rc_buf_check(&target, err))
        return err->code;
    file->target = rc_buf_take(&target);
    work->written.files++;
    work->written.bytes += file->size_bytes;
    return RC_OK;
}

static enum rc_code note_file(struct writing *work, const struct rc_value *row,
                              struct rc_error *err)
{
    const char *path = row[0].type == RC_VALUE_TEXT ? row[0].text : "";
    const char *name = core_presto_behind(work->table->names[0].there, path);
    struct core_presto_file *file = name ? core_presto_find_file(&work->files, name) : NULL;

    if (!file || file->target || row[1].type != RC_VALUE_INT)
        return rc_fail(err, RC_CORRUPT,
                       "the server has written rows to '%s', which is not found in '%s'", path,
                       work->table->names[0].folder);
    work->written.rows += row[1].integer;
    return name_file(work, file, err);
}

/*
 * Reads the files back, all of which have to be there, with all rows. Where there are no rows, and
 * no files, the table itself may not be there.
 */
static enum rc_code verify(struct writing *work, struct rc_error *err)
{
    const struct core_presto_name *name = &work->table->names[0];
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);

    if (core_presto_list_files(work->session, name->folder, &work->files, err))
        return err->code;
    if (work->rows == 0 && work->files.count == 0)
        return RC_OK;
    rc_buf_addf(&text, "SELECT \"$path\", count(*) FROM %s GROUP BY \"$path\"", name->from);
    if (core_presto_ask(work->session, &text, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            break;
        if (note_file(work, row, err))
            return err->code;
    }
    if (work->rows >= 0 && work->written.rows != work->rows)
        return rc_fail(err, RC_CORRUPT,
                       "the files that were written hold %" PRId64 " rows, the result has %" PRId64
                       "; nothing was published",
                       work->written.rows, work->rows);
    return RC_OK;
}

static enum rc_code write_folder(struct writing *work, struct rc_error *err)
{
    struct core_presto *session = work->session;

    if (core_presto_begin_work(session, err) ||
        (work->output->partition_count > 0 && order_columns(work, err)) || make_files(work, err))
        return err->code;
    if (verify(work, err))
        return rc_context(err, "read back what was written");
    return core_presto_place(session, work->table->names[0].folder, &work->files,
                             work->output->location, err);
}

/* ---- a single object ------------------------------------------------------------------------ */

static enum rc_code write_object(struct writing *work, const struct rc_buf *query,
                                 struct rc_error *err)
{
    RC_ROWS_AUTO(rows);

    if (core_presto_ask(work->session, query, &rows, err))
        return err->code;
    return core_presto_write_csv(work->session, rows, work->output, &work->written, err);
}

static enum rc_code write_output(struct writing *work, struct rc_error *err)
{
    const struct rc_sql_output *output = work->output;
    RC_BUF_AUTO(query, CORE_PRESTO_STATEMENT_LIMIT);

    if (check_output(work, err) ||
        core_presto_bind(output->query, output->params, output->param_count, &query, err))
        return err->code;
    if (!rc_str_ends(output->location, "/"))
        return write_object(work, &query, err);
    work->made = (struct core_presto_output){
        .query = query.data,
        .compression = output->compression ? output->compression : "zstd",
        .partition_by = output->partition_by,
        .partition_count = output->partition_count,
    };
    return write_folder(work, err);
}

enum rc_code core_presto_write(struct rc_sql *sql, const struct rc_sql_output *output,
                               struct rc_sql_written *written, struct rc_error *err)
{
    struct writing work = { .session = (struct core_presto *)sql, .output = output, .rows = -1 };
    enum rc_code code = core_presto_begin(work.session, err);

    if (code)
        return rc_context(err, "write '%s'", output->location);
    code = write_output(&work, err);
    if (work.table)
        core_presto_discard(work.session, work.table);
    for (size_t i = 0; i < work.made.column_count; i++)
        free(work.made.columns[i]);
    free(work.made.columns);
    core_presto_files_clear(&work.files);
    core_presto_done(work.session);
    if (code)
        return rc_context(err, "write '%s'", output->location);
    *written = work.written;
    return RC_OK;
}
