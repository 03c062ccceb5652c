/*
 * The files that a query writes: computed into a table of the session, copied from it into a place
 * beside the target, read back, and published in one step; for a remote target the place is that
 * of a copy, which is then uploaded.
 *
 * The step over a table makes the files the same run after run: the query runs on all threads and
 * its ORDER BY decides the order of the table; how it is then split over folders is in
 * duckdb_copy.c. It is also how the number of rows is known before anything is written.
 */
#include <sql/duckdb_session.h>

#include <run-core/str.h>

#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* No temporary table, as it is copied on several connections. */
#define STAGED "memory.main.\"run-core staged output\""

enum {
    OPEN_FILES = 100,       /* DuckDB's limit of folders that it fills at a time */
    ONE_VECTOR_ROWS = 2048, /* no more than one thread reads so few rows */
};

struct writing {
    struct core_duckdb_session *session;
    const struct rc_sql_output *output;
    const char *copy_compression; /* in the words of COPY */
    const char *extension;
    bool csv;
    bool folder;
    bool remote;
    struct rc_buf target; /* the local path, without a slash at its end */
    struct rc_sql_written written;
};

static enum rc_code check_format(struct writing *work, struct rc_error *err)
{
    static const struct {
        const char *format, *compression, *copy, *extension;
    } known[] = {
        { "parquet", "zstd", "zstd", "parquet" }, { "parquet", "snappy", "snappy", "parquet" },
        { "parquet", "gzip", "gzip", "parquet" }, { "parquet", "none", "uncompressed", "parquet" },
        { "csv", "gzip", "gzip", "csv.gz" },      { "csv", "zstd", "zstd", "csv.zst" },
        { "csv", "none", "none", "csv" },
    };
    const char *format = work->output->format ? work->output->format : "";
    const char *compression = work->output->compression;

    for (size_t i = 0; i < RC_ARRAY_LEN(known); i++) {
        if (strcmp(known[i].format, format) != 0 ||
            (compression && strcmp(known[i].compression, compression) != 0))
            continue;
        work->csv = format[0] == 'c';
        work->copy_compression = known[i].copy;
        work->extension = known[i].extension;
        return RC_OK;
    }
    return rc_fail(err, RC_INVALID,
                   "cannot write format '%s' with compression '%s'; parquet takes zstd, snappy, "
                   "gzip and none, csv takes gzip, zstd and none",
                   format, compression ? compression : "");
}

/*
 * A column's name becomes that of folders. DuckDB percent-encodes what is not in it, but readers,
 * also of other engines, expect the name as it is; and what begins with a dot is hidden from them.
 */
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

static enum rc_code place_copy(struct writing *work, struct rc_error *err)
{
    struct core_staging *staging;

    if (core_duckdb_staging(work->session, &staging, err))
        return err->code;
    return core_staging_place(staging, work->output->location, &work->target, err);
}

static enum rc_code check_output(struct writing *work, struct rc_error *err)
{
    const struct rc_sql_output *output = work->output;
    enum rc_code code;

    if (check_format(work, err) || check_partitions(output, err))
        return err->code;
    work->folder = rc_str_ends(output->location, "/");
    if (output->partition_count > 0 && !work->folder)
        return rc_fail(err, RC_INVALID, "a partitioned output needs a location that ends with '/'");
    code = core_storage_local_path(work->session->context.storage, output->location, &work->target,
                                   err);
    work->remote = code == RC_UNSUPPORTED;
    if (work->remote)
        return place_copy(work, err);
    if (code)
        return code;
    while (work->target.len > 1 && work->target.data[work->target.len - 1] == '/')
        rc_buf_truncate(&work->target, work->target.len - 1);
    return RC_OK;
}

/* ---- the table between ---------------------------------------------------------------------- */

static enum rc_code stage(struct writing *work, struct rc_error *err)
{
    const struct rc_sql_output *output = work->output;
    RC_BUF_AUTO(sql, CORE_DUCKDB_STATEMENT_LIMIT);

    rc_buf_adds(&sql, "CREATE OR REPLACE TABLE " STAGED " AS\n");
    rc_buf_adds(&sql, output->query);
    if (rc_buf_check(&sql, err))
        return err->code;
    if (core_duckdb_run(work->session, sql.data, output->params, output->param_count, NULL, err))
        return err->code;
    /* Asked for: DuckDB reports no changed rows for CREATE TABLE AS. */
    return core_duckdb_numbers(work->session, "SELECT count(*) FROM " STAGED, &work->written.rows,
                               1, err);
}

static void add_partitions(struct rc_buf *out, const struct rc_sql_output *output)
{
    for (size_t i = 0; i < output->partition_count; i++) {
        rc_buf_adds(out, i ? ", " : "");
        rc_buf_add_ident(out, output->partition_by[i]);
    }
}

/*
 * Whether the rows fall into more folders than DuckDB keeps open: it would begin a second file in
 * some.
 */
static enum rc_code has_many_folders(struct writing *work, bool *out, struct rc_error *err)
{
    RC_BUF_AUTO(sql, 64 * 1024);
    int64_t count = 0;

    rc_buf_adds(&sql, "SELECT count(*) FROM (SELECT DISTINCT ");
    add_partitions(&sql, work->output);
    rc_buf_adds(&sql, " FROM " STAGED ")");
    if (rc_buf_check(&sql, err) || core_duckdb_numbers(work->session, sql.data, &count, 1, err))
        return err->code;
    *out = count > OPEN_FILES;
    return RC_OK;
}

/* ---- the copy ------------------------------------------------------------------------------- */

static void add_copy_options(struct rc_buf *out, const struct writing *work)
{
    rc_buf_addf(out, " (FORMAT %s, COMPRESSION %s", work->csv ? "csv" : "parquet",
                work->copy_compression);
    if (work->csv)
        rc_buf_addf(out, ", HEADER %s, DELIMITER ',', QUOTE '\"', ESCAPE '\"', NULLSTR ''",
                    work->output->header ? "true" : "false");
}

static enum rc_code copy_file(struct writing *work, const char *path, struct rc_error *err)
{
    RC_BUF_AUTO(sql, 64 * 1024);

    rc_buf_adds(&sql, "COPY " STAGED " TO ");
    rc_buf_add_literal(&sql, path);
    add_copy_options(&sql, work);
    rc_buf_adds(&sql, ", USE_TMP_FILE false)");
    if (rc_buf_check(&sql, err))
        return err->code;
    return core_duckdb_run(work->session, sql.data, NULL, 0, NULL, err);
}

static void set_threads(struct core_duckdb_session *session, int threads)
{
    RC_BUF_AUTO(sql, 64);

    rc_buf_addf(&sql, "SET threads = %d", threads);
    core_duckdb_run_always(session, sql.data);
}

static void add_folder_options(struct rc_buf *out, const struct writing *work)
{
    add_copy_options(out, work);
    rc_buf_adds(out, ", PARTITION_BY (");
    add_partitions(out, work->output);
    rc_buf_adds(out, "), FILE_EXTENSION ");
    rc_buf_add_literal(out, work->extension);
}

/* Where the rows of a folder are not together, one thread copies all, as several would mix them. */
static enum rc_code copy_scattered(struct writing *work, const char *path, const char *options,
                                   struct rc_error *err)
{
    bool one_thread = work->session->threads > 1 && work->written.rows > ONE_VECTOR_ROWS;
    RC_BUF_AUTO(sql, 64 * 1024);
    bool many = false;
    enum rc_code code;

    if (has_many_folders(work, &many, err))
        return err->code;
    rc_buf_adds(&sql, "COPY (FROM " STAGED);
    if (many) {
        rc_buf_adds(&sql, " ORDER BY ");
        add_partitions(&sql, work->output);
        rc_buf_adds(&sql, ", rowid");
    }
    rc_buf_adds(&sql, ") TO ");
    rc_buf_add_literal(&sql, path);
    rc_buf_addf(&sql, "%s)", options);
    if (rc_buf_check(&sql, err))
        return err->code;

    if (one_thread)
        set_threads(work->session, 1);
    code = core_duckdb_run(work->session, sql.data, NULL, 0, NULL, err);
    if (one_thread)
        set_threads(work->session, work->session->threads);
    return code;
}

static enum rc_code copy_folders(struct writing *work, const char *path, struct rc_error *err)
{
    RC_BUF_AUTO(partitions, 64 * 1024);
    RC_BUF_AUTO(options, 64 * 1024);
    bool done = false;

    add_partitions(&partitions, work->output);
    add_folder_options(&options, work);
    const struct core_duckdb_copy copy = {
        .table = STAGED, .partitions = partitions.data, .path = path, .options = options.data
    };
    if (rc_buf_check(&partitions, err) || rc_buf_check(&options, err) ||
        core_duckdb_copy_folders(work->session, &copy, &done, err))
        return err->code;
    return done ? RC_OK : copy_scattered(work, path, options.data, err);
}

/* ---- reading back --------------------------------------------------------------------------- */

/* Adds a file that was written to the list that is read back. */
static void note_file(struct writing *work, struct rc_buf *files, const char *path, int64_t bytes)
{
    rc_buf_adds(files, files->len ? ", " : "");
    core_duckdb_add_file(files, path);
    work->written.files++;
    work->written.bytes += bytes;
}

static enum rc_code list_files(struct writing *work, char *root, struct rc_buf *files,
                               struct rc_error *err)
{
    char *const roots[] = { root, NULL };
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    enum rc_code code = RC_OK;
    FTSENT *entry;

    if (!tree)
        return rc_fail_errno(err, errno, "list '%s'", root);
    while (!code && (entry = fts_read(tree))) {
        if (entry->fts_info == FTS_F)
            note_file(work, files, entry->fts_path, entry->fts_statp->st_size);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
            code = rc_fail_errno(err, entry->fts_errno, "list '%s'", entry->fts_path);
    }
    fts_close(tree);
    return code;
}

/* The names of the staged table's columns that are in the files, for reading CSV back. */
static enum rc_code add_csv_columns(struct writing *work, struct rc_buf *out, struct rc_error *err)
{
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);

    if (core_duckdb_query(
            &work->session->base,
            "SELECT count(*) FROM duckdb_columns() "
            "WHERE database_name = 'memory' AND table_name = 'run-core staged output'",
            NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    int64_t count = row[0].integer - (int64_t)work->output->partition_count;
    for (int64_t i = 0; i < count; i++)
        rc_buf_addf(out, "%s'c%" PRId64 "': 'varchar'", i ? ", " : "", i);
    return RC_OK;
}

/* Counts the rows in the files: of parquet in their footers, of CSV by reading them. */
static enum rc_code count_rows(struct writing *work, const struct rc_buf *files, int64_t *out,
                               struct rc_error *err)
{
    RC_BUF_AUTO(sql, CORE_DUCKDB_STATEMENT_LIMIT);

    if (work->csv) {
        rc_buf_adds(&sql, "SELECT count(*) FROM read_csv([");
        rc_buf_add(&sql, files->data, files->len);
        rc_buf_addf(&sql,
                    "], auto_detect = false, hive_partitioning = false" CORE_DUCKDB_CSV
                    ", new_line = '\\n', compression = '%s', header = %s, columns = {",
                    work->copy_compression, work->output->header ? "true" : "false");
        if (add_csv_columns(work, &sql, err))
            return err->code;
        rc_buf_adds(&sql, "})");
    } else {
        rc_buf_adds(&sql, "SELECT CAST(sum(num_rows) AS BIGINT) FROM parquet_file_metadata([");
        rc_buf_add(&sql, files->data, files->len);
        rc_buf_adds(&sql, "])");
    }
    if (rc_buf_check(&sql, err))
        return err->code;
    return core_duckdb_numbers(work->session, sql.data, out, 1, err);
}

static enum rc_code verify(struct writing *work, const struct rc_buf *files, struct rc_error *err)
{
    int64_t found = 0;

    if (rc_buf_check(files, err) || count_rows(work, files, &found, err))
        return rc_context(err, "read back what was written");
    if (found != work->written.rows)
        return rc_fail(err, RC_CORRUPT,
                       "the files that were written hold %" PRId64 " rows, the result has %" PRId64
                       "; nothing was published",
                       found, work->written.rows);
    return RC_OK;
}

/* ---- publishing ----------------------------------------------------------------------------- */

static enum rc_code fill_folder(struct writing *work, char *path, struct rc_error *err)
{
    RC_BUF_AUTO(files, CORE_DUCKDB_STATEMENT_LIMIT);
    RC_STR_AUTO only = rc_strf("%s/data_0.%s", path, work->extension);

    if (work->written.rows == 0)
        return RC_OK;
    if (work->output->partition_count > 0 ? copy_folders(work, path, err)
                                          : copy_file(work, only, err))
        return err->code;
    if (list_files(work, path, &files, err))
        return err->code;
    return verify(work, &files, err);
}

static enum rc_code write_folder(struct writing *work, struct rc_error *err)
{
    struct core_temp_dir dir = CORE_TEMP_DIR_INIT;
    enum rc_code code = core_temp_dir_open(&dir, work->target.data, 0777, err);

    if (!code)
        code = fill_folder(work, dir.path, err);
    if (!code)
        code = core_temp_dir_publish(&dir, err);
    core_temp_dir_close(&dir);
    return code;
}

static enum rc_code fill_file(struct writing *work, const char *path, struct rc_error *err)
{
    RC_BUF_AUTO(files, 64 * 1024);
    struct stat info;

    if (copy_file(work, path, err))
        return err->code;
    if (stat(path, &info) != 0)
        return rc_fail_errno(err, errno, "look at '%s'", path);
    note_file(work, &files, path, info.st_size);
    return verify(work, &files, err);
}

static enum rc_code write_file(struct writing *work, struct rc_error *err)
{
    struct core_temp_file file = CORE_TEMP_FILE_INIT;
    enum rc_code code = core_temp_file_open(&file, work->target.data, 0666, err);

    if (!code)
        code = fill_file(work, file.path, err);
    if (!code)
        code = core_temp_file_publish(&file, /* exclusive = */ false, err);
    core_temp_file_close(&file);
    return code;
}

static enum rc_code make_parent(struct writing *work, struct rc_error *err)
{
    const char *slash = strrchr(work->target.data, '/');
    RC_STR_AUTO parent = NULL;

    if (!slash || slash == work->target.data)
        return RC_OK;
    parent = rc_strndup(work->target.data, (size_t)(slash - work->target.data));
    return core_dir_make(parent, 0777, err);
}

static enum rc_code write_here(struct writing *work, struct rc_error *err)
{
    if (make_parent(work, err))
        return err->code;
    return work->folder ? write_folder(work, err) : write_file(work, err);
}

/* What is uploaded needs no step in which it is seen as a whole, and no flush. */
static enum rc_code write_copy(struct writing *work, struct rc_error *err)
{
    enum rc_code code = RC_OK;

    if (work->folder && mkdir(work->target.data, 0700) != 0)
        return rc_fail_errno(err, errno, "make directory '%s'", work->target.data);
    core_duckdb_watch_room(work->session, work->target.data);
    code = work->folder ? fill_folder(work, work->target.data, err)
                        : fill_file(work, work->target.data, err);
    core_duckdb_watch_room(work->session, NULL);
    return code;
}

enum rc_code core_duckdb_write(struct rc_sql *sql, const struct rc_sql_output *output,
                               struct rc_sql_written *written, struct rc_error *err)
{
    struct writing work = { .session = (struct core_duckdb_session *)sql, .output = output };
    enum rc_code code;

    rc_buf_init(&work.target, 64 * 1024);
    code = check_output(&work, err);
    if (!code)
        code = stage(&work, err);
    if (!code) {
        code = work.remote ? write_copy(&work, err) : write_here(&work, err);
        core_duckdb_run_always(work.session, "DROP TABLE IF EXISTS " STAGED);
    }
    if (!code && work.remote)
        code = core_duckdb_publish(work.session, work.target.data, output->location, err);
    if (work.remote && work.target.len > 0)
        core_staging_discard(work.session->staging, work.target.data);
    rc_buf_clear(&work.target);
    if (code)
        return rc_context(err, "write '%s'", output->location);
    *written = work.written;
    return RC_OK;
}
