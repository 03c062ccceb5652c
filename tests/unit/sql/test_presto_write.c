/*
 * What a query's rows become at a location, on a server that is a script: it writes the files that
 * it is told to write when a table is made, and answers what is asked about them. The object store
 * is one in memory, which fails to order.
 */
#include "../storage/memory_store.h"

#include <os/file.h>
#include <sql/presto.h>
#include <storage/remote.h>

#include <dirent.h>
#include <unistd.h>

enum { FILES = 64, COLUMNS = 8 };

struct scripted_file {
    const char *name; /* below the table's folder */
    int64_t rows;
    const char *content;
};

struct scripted_rows {
    struct rc_rows base;
    struct rc_value values[FILES][COLUMNS];
    char *texts[FILES];
    size_t count, at, columns;
    const char *const *names;
};

struct fake {
    struct core_presto session; /* first */
    struct core_presto_dialect dialect;
    struct core_engine_settings settings;
    struct core_cancel cancel;
    struct core_sql_context context;
    struct core_store_settings store;
    struct core_remote *remote;
    struct core_storage *storage;
    char dir[64];
    struct rc_error err;
    struct rc_buf log, said;

    /* The script. */
    const struct scripted_file *files; /* written by the first table that is made in place */
    size_t file_count;
    int64_t updated;        /* -2: the rows of the files */
    size_t most_partitions; /* that a statement takes; 0: any number */
    const char *const *columns;
    size_t column_count;
    int statements, fail_at, cancel_at;
    enum rc_code fail_code;
    bool makes_no_empty_table, is_empty;
    const struct scripted_file *left_by_failure; /* of a table that could not be made; or NULL */
    const char *path_scheme; /* in place of that of the location, as servers have it; or NULL */

    /* The state: what has been written where. */
    char *there;
    size_t written; /* files so far, of those above */
};

/* ---- the server ----------------------------------------------------------------------------- */

static enum rc_code take(struct fake *f, const char *text, struct rc_error *err)
{
    rc_buf_addf(&f->log, "%s\n", text);
    f->statements++;
    if (f->statements == f->cancel_at)
        core_cancel_request(&f->cancel, RC_CANCELLED);
    if (f->statements == f->fail_at)
        return rc_fail(err, f->fail_code, "the server says no");
    return core_presto_check(&f->session, err);
}

static void write_file(struct fake *f, const struct scripted_file *file)
{
    RC_STR_AUTO uri = rc_strf("%s%s", f->there, file->name);
    struct rc_error err = RC_ERROR_INIT;

    if (core_storage_put(f->storage, uri, file->content, strlen(file->content), NULL, &err))
        fail_msg("%s: %s", uri, err.cause);
}

/* The files up to the next of another statement: so many as it has partitions for. */
static int64_t write_files(struct fake *f)
{
    size_t end = f->file_count;
    int64_t rows = 0;

    if (f->most_partitions && f->written + f->most_partitions < end)
        end = f->written + f->most_partitions;
    for (; f->written < end; f->written++) {
        write_file(f, &f->files[f->written]);
        rows += f->files[f->written].rows;
    }
    return f->updated == -2 ? rows : f->updated;
}

/* The place that a table is made at. */
static void note_place(struct fake *f, const char *text)
{
    const char *at = strstr(text, " IN ") + strlen(" IN ");

    free(f->there);
    f->there = rc_strndup(at, strcspn(at, " "));
}

static enum rc_code run(struct core_presto *session, enum core_presto_kind kind, const char *text,
                        int64_t *updated, struct rc_error *err)
{
    struct fake *f = (struct fake *)session;
    bool is_insert = rc_str_starts(text, "INSERT");

    (void)kind;
    if (take(f, text, err))
        return err->code;
    if (!is_insert && !rc_str_starts(text, "MAKE"))
        return RC_OK;
    if (f->makes_no_empty_table) {
        note_place(f, text);
        if (f->left_by_failure)
            write_file(f, f->left_by_failure);
        return rc_fail(err, RC_FAILED, "the location does not exist");
    }
    if (rc_str_starts(text, "MAKE HERE") || is_insert) {
        if (strstr(text, " BY ") && f->most_partitions && f->file_count > f->most_partitions &&
            !strstr(text, "CAST("))
            return rc_fail(err, RC_TOO_LARGE, "too many open partitions");
        if (!is_insert)
            note_place(f, text);
        *updated = write_files(f);
    } else {
        *updated = f->updated;
        for (size_t i = 0; i < f->file_count && f->updated == -2; i++)
            *updated += f->files[i].rows;
        *updated += f->updated == -2 ? 2 : 0;
    }
    return RC_OK;
}

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct scripted_rows *rows = (struct scripted_rows *)base;

    (void)err;
    *row = NULL;
    if (rows->at < rows->count)
        *row = rows->values[rows->at++];
    return RC_OK;
}

static size_t rows_columns(const struct rc_rows *base, const char *const **names)
{
    const struct scripted_rows *rows = (const struct scripted_rows *)base;

    if (names)
        *names = rows->names;
    return rows->columns;
}

static void rows_close(struct rc_rows *base)
{
    struct scripted_rows *rows = (struct scripted_rows *)base;

    for (size_t i = 0; i < FILES; i++)
        free(rows->texts[i]);
    free(rows);
}

static const struct rc_rows_api rows_api = { rows_next, rows_columns, rows_close };

/* "$path" and the rows of each file that has some. */
static void answer_paths(struct fake *f, struct scripted_rows *rows)
{
    const char *place = f->there;

    if (f->path_scheme)
        place += strcspn(place, ":") + strspn(place + strcspn(place, ":"), ":/");
    for (size_t i = 0; i < f->written; i++) {
        if (f->files[i].rows == 0)
            continue;
        rows->texts[rows->count] =
            rc_strf("%s%s%s", f->path_scheme ? f->path_scheme : "", place, f->files[i].name);
        rows->values[rows->count][0] = rc_value_text(rows->texts[rows->count]);
        rows->values[rows->count][1] = rc_value_int(f->files[i].rows);
        rows->count++;
    }
}

/* The values of the one key that the files' folders name. */
static void answer_partitions(struct fake *f, struct scripted_rows *rows)
{
    for (size_t i = 0; i < f->file_count; i++) {
        const char *value = strchr(f->files[i].name, '=') + 1;

        rows->texts[i] = rc_strndup(value, strcspn(value, "/"));
        rows->values[i][0] =
            rc_str_eq(rows->texts[i], "NULL") ? rc_value_null() : rc_value_text(rows->texts[i]);
    }
    rows->count = f->file_count;
}

static enum rc_code query(struct core_presto *session, const char *text, struct rc_rows **out,
                          struct rc_error *err)
{
    struct fake *f = (struct fake *)session;
    struct scripted_rows *rows;

    if (take(f, text, err))
        return err->code;
    rows = rc_calloc(1, sizeof(*rows));
    rows->base.api = &rows_api;
    rows->names = f->columns;
    rows->columns = f->column_count;
    if (strstr(text, "\"$path\"")) {
        answer_paths(f, rows);
    } else if (rc_str_starts(text, "SELECT DISTINCT")) {
        answer_partitions(f, rows);
    } else if (strstr(text, "LIMIT 1")) {
        rows->count = !f->is_empty;
    }
    *out = &rows->base;
    return RC_OK;
}

static void add_ddl_name(const struct core_presto *session, struct rc_buf *out,
                         const char *database, const char *table)
{
    (void)session;
    rc_buf_addf(out, "%s.%s", database, table);
}

static void add_make(const struct core_presto_made *made, struct rc_buf *out)
{
    rc_buf_addf(out, "MAKE %s %s %s", made->in_place ? "HERE" : "THERE", made->table,
                made->compression);
    for (size_t i = 0; i < made->partition_count; i++)
        rc_buf_addf(out, " BY %s", made->partition_by[i]);
    rc_buf_addf(out, " IN %s AS %s", made->location, made->query);
}

static bool reaches(const struct core_engine_settings *settings, const char *uri)
{
    (void)settings;
    return rc_str_starts(uri, "s3://");
}

static const struct core_engine_ops ops = { .name = "fake", .reaches = reaches };

/* ---- the fixture ---------------------------------------------------------------------------- */

static void say(void *context, enum rc_log_level level, const char *text)
{
    (void)level;
    rc_buf_addf(&((struct fake *)context)->said, "%s\n", text);
}

static int set_up(void **state)
{
    struct fake *f = rc_calloc(1, sizeof(*f));

    if (core_digest_load(&f->err))
        return -1;
    memcpy(f->dir, "/tmp/rc-presto-XXXXXX", sizeof("/tmp/rc-presto-XXXXXX"));
    assert_non_null(mkdtemp(f->dir));
    f->remote = core_remote_new(NULL, NULL, NULL);
    f->storage = core_storage_new(&f->store, 0, f->remote, NULL);
    f->settings = (struct core_engine_settings){ .name = "test", .work = "s3://work/runs/" };
    f->dialect = (struct core_presto_dialect){
        .ops = &ops,
        .statement_limit_bytes = 10000,
        .partitions_at_once = 2,
        .timestamp = "timestamp",
        .run = run,
        .query = query,
        .add_ddl_name = add_ddl_name,
        .add_make = add_make,
    };
    f->context = (struct core_sql_context){
        .settings = &f->settings,
        .storage = f->storage,
        .cancel = &f->cancel,
        .temp_dir = f->dir,
        .session = "rc_t_1",
        .say = say,
        .say_context = f,
    };
    rc_buf_init(&f->log, 1 << 20);
    rc_buf_init(&f->said, 1 << 20);
    f->updated = -2;
    memory.takes_plain_puts = true;
    if (core_presto_init(&f->session, &f->context, &f->dialect, NULL, &f->err))
        fail_msg("%s: %s", f->err.context, f->err.cause);
    *state = f;
    return 0;
}

static void add_objects(struct rc_buf *out, const char *prefix)
{
    rc_buf_reset(out);
    for (size_t i = 0; i < memory.count; i++)
        if (rc_str_starts(memory.objects[i].name, prefix))
            rc_buf_addf(out, "%s=%.*s ", memory.objects[i].name + strlen(prefix),
                        (int)memory.objects[i].len, memory.objects[i].data);
}

static int tear_down(void **state)
{
    struct fake *f = *state;
    RC_BUF_AUTO(left, 4096);
    struct rc_error err = RC_ERROR_INIT;

    f->fail_at = f->cancel_at = 0;
    memory.refused_puts = memory.refused_removals = 0;
    core_presto_end(&f->session);
    add_objects(&left, "work/");
    assert_string_equal(left.data, "");
    core_storage_free(f->storage);
    core_remote_free(f->remote);
    while (memory.count > 0)
        free_object(&memory.objects[--memory.count]);
    assert_int_equal(core_tree_remove(f->dir, &err), RC_OK);
    rc_buf_clear(&f->log);
    rc_buf_clear(&f->said);
    free(f->there);
    free(f);
    return memory.open_uploads == 0 ? 0 : -1;
}

static enum rc_code write_to(struct fake *f, const char *location, const char *partition,
                             struct rc_sql_written *written)
{
    const struct rc_sql_output output = {
        .query = "SELECT * FROM t;",
        .location = location,
        .format = rc_str_ends(location, "/") ? "parquet" : "csv",
        .partition_by = &partition,
        .partition_count = partition != NULL,
        .header = true,
    };

    struct rc_sql_written ignored;

    f->err = (struct rc_error)RC_ERROR_INIT;
    return core_presto_write(&f->session.base, &output, written ? written : &ignored, &f->err);
}

static void expect_written(struct fake *f, const char *location, const char *partition,
                           int64_t rows, int64_t files, int64_t bytes)
{
    struct rc_sql_written written = { 0 };

    if (write_to(f, location, partition, &written))
        fail_msg("%s: %s", f->err.context, f->err.cause);
    assert_int_equal(written.rows, rows);
    assert_int_equal(written.files, files);
    assert_int_equal(written.bytes, bytes);
}

static void expect_error(struct fake *f, enum rc_code code, const char *words)
{
    RC_STR_AUTO text = rc_strf("%s: %s", f->err.context, f->err.cause);

    if (f->err.code != code || !strstr(text, words))
        fail_msg("%s: %s", rc_code_name(f->err.code), text);
}

static void expect_objects(const char *prefix, const char *expected)
{
    RC_BUF_AUTO(found, 1 << 16);

    add_objects(&found, prefix);
    assert_string_equal(found.data, expected);
}

/* The files below a folder of this machine, "NAME=CONTENT " each. */
static void add_tree(const char *path, const char *name, struct rc_buf *out)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    struct rc_error err = RC_ERROR_INIT;

    for (int i = 0; i < count; i++) {
        RC_STR_AUTO below = rc_strf("%s/%s", path, entries[i]->d_name);
        RC_STR_AUTO relative = rc_strf("%s%s", name, entries[i]->d_name);

        if (entries[i]->d_type == DT_DIR && entries[i]->d_name[0] != '.') {
            RC_STR_AUTO folder = rc_strf("%s/", relative);
            add_tree(below, folder, out);
        } else if (entries[i]->d_type == DT_REG) {
            rc_buf_addf(out, "%s=", relative);
            assert_int_equal(core_file_read(below, out, &err), RC_OK);
            rc_buf_addc(out, ' ');
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static void expect_tree(struct fake *f, const char *folder, const char *expected)
{
    RC_STR_AUTO path = rc_strf("%s/%s", f->dir, folder);
    RC_BUF_AUTO(found, 1 << 16);

    add_tree(path, "", &found);
    assert_string_equal(found.data, expected);
}

static const struct scripted_file two_days[] = {
    { "day=2026-01-01/0_a", 3, "one" },
    { "day=2026-01-02/0_b", 4, "three" },
};
static const char *const columns[] = { "a", "Day", "b c" };

static void script(struct fake *f, const struct scripted_file *files, size_t count)
{
    f->files = files;
    f->file_count = count;
    f->written = 0;
    f->columns = columns;
    f->column_count = RC_ARRAY_LEN(columns);
    f->statements = 0;
    rc_buf_reset(&f->log);
}

/* ---- folders -------------------------------------------------------------------------------- */

static void files_are_put_in_place(void **state)
{
    static const struct scripted_file files[] = { { "x_1", 2, "one" },
                                                  { "y_2", 3, "two" },
                                                  { ".trinoSchema", 0, "hidden" },
                                                  { "_tmp/z", 0, "hidden" },
                                                  { "empty", 0, "no rows" } };
    struct fake *f = *state;

    keep("out/t/old.parquet", "old");
    keep("out/t/day=1/older.parquet", "old");
    keep("out/tt", "not below it");
    script(f, files, RC_ARRAY_LEN(files));
    expect_written(f, "s3://out/t/", NULL, 5, 2, 6);
    expect_objects("out/", "t/data_0-rc_t_1-1.parquet=one t/data_1-rc_t_1-1.parquet=two "
                           "tt=not below it ");
    assert_string_equal(f->log.data,
                        "MAKE HERE default.rc_t_1_output_1 zstd IN "
                        "s3://work/runs/rc_t_1/rc_t_1_output_1/ AS SELECT * FROM t\n"
                        "SELECT \"$path\", count(*) FROM \"default\".\"rc_t_1_output_1\" "
                        "GROUP BY \"$path\"\n"
                        "DROP TABLE IF EXISTS default.rc_t_1_output_1\n");
    /* The work of it has gone, but for the mark. */
    expect_objects("work/", "runs/rc_t_1/_session=run-core\nengine: fake\n ");

    script(f, files, 1);
    expect_written(f, "s3://out/t/", NULL, 2, 1, 3);
    expect_objects("out/t/", "data_0-rc_t_1-2.parquet=one ");
}

static void partitions_stand_last_and_keep_their_names(void **state)
{
    struct fake *f = *state;

    script(f, two_days, RC_ARRAY_LEN(two_days));
    expect_written(f, "s3://out/t/", "DAY", 7, 2, 8);
    expect_objects("out/", "t/DAY=2026-01-01/data_0-rc_t_1-1.parquet=one "
                           "t/DAY=2026-01-02/data_1-rc_t_1-1.parquet=three ");
    assert_non_null(strstr(f->log.data, "SELECT * FROM (\nSELECT * FROM t\n) AS q LIMIT 0\n"));
    assert_non_null(strstr(f->log.data, " BY DAY IN s3://work/runs/rc_t_1/rc_t_1_output_1/ AS "
                                        "SELECT \"a\", \"b c\", \"DAY\" FROM (\nSELECT * FROM t\n) "
                                        "AS q\n"));
    script(f, two_days, RC_ARRAY_LEN(two_days));
    assert_int_equal(write_to(f, "s3://out/t/", "nothing", NULL), RC_INVALID);
    expect_error(f, RC_INVALID, "partitioned by ('nothing'...)");
}

static void servers_write_places_in_their_own_way(void **state)
{
    struct fake *f = *state;

    script(f, two_days, RC_ARRAY_LEN(two_days));
    f->path_scheme = "s3a://";
    expect_written(f, "s3://out/t/", "day", 7, 2, 8);
}

static void an_empty_result_leaves_an_empty_folder(void **state)
{
    struct fake *f = *state;

    for (int refused = 0; refused < 2; refused++) {
        keep("out/t/old.parquet", "old");
        script(f, NULL, 0);
        f->is_empty = true;
        f->makes_no_empty_table = refused > 0;
        expect_written(f, "s3://out/t/", refused ? "day" : NULL, 0, 0, 0);
        expect_objects("out/", "");
    }
    assert_non_null(strstr(f->log.data, "LIMIT 1\n"));
    /* The same words of a query that has rows are an error. */
    f->is_empty = false;
    script(f, two_days, RC_ARRAY_LEN(two_days));
    f->fail_at = 1;
    f->fail_code = RC_FAILED;
    assert_int_equal(write_to(f, "s3://out/t/", NULL, NULL), RC_FAILED);
    expect_error(f, RC_FAILED, "write 's3://out/t/': the server says no");
}

/* Such words of a server are not taken for an answer about the query. */
static void a_table_that_is_not_found_is_no_empty_result(void **state)
{
    static const struct scripted_file part = { "part", 0, "some" };
    struct fake *f = *state;

    keep("out/t/old.parquet", "old");
    script(f, NULL, 0);
    f->makes_no_empty_table = true;
    assert_int_equal(write_to(f, "s3://out/t/", NULL, NULL), RC_FAILED);
    expect_error(f, RC_FAILED, "the location does not exist");
    expect_objects("out/", "t/old.parquet=old ");
    /* Nor is it one where files were written all the same. */
    script(f, NULL, 0);
    f->is_empty = true;
    f->left_by_failure = &part;
    assert_int_equal(write_to(f, "s3://out/t/", NULL, NULL), RC_FAILED);
    expect_error(f, RC_FAILED, "the location does not exist");
    expect_objects("out/", "t/old.parquet=old ");
}

static void files_of_a_result_without_rows_are_counted(void **state)
{
    static const struct scripted_file files[] = { { "x_1", 2, "two rows" }, { "y", 0, "none" } };
    struct fake *f = *state;

    keep("out/t/old.parquet", "old");
    script(f, files, 2);
    f->updated = 0;
    assert_int_equal(write_to(f, "s3://out/t/", NULL, NULL), RC_CORRUPT);
    expect_error(f, RC_CORRUPT, "hold 2 rows, the result has 0; nothing was published");
    expect_objects("out/", "t/old.parquet=old ");
    script(f, files + 1, 1);
    expect_written(f, "s3://out/t/", NULL, 0, 0, 0);
    expect_objects("out/", "");
}

static void a_folder_of_this_machine_is_replaced_in_one_step(void **state)
{
    struct fake *f = *state;
    RC_STR_AUTO location = rc_strf("file://%s/new/out/", f->dir);

    script(f, two_days, RC_ARRAY_LEN(two_days));
    expect_written(f, location, "day", 7, 2, 8);
    expect_tree(f, "new/out",
                "day=2026-01-01/data_0-rc_t_1-1.parquet=one "
                "day=2026-01-02/data_1-rc_t_1-1.parquet=three ");
    script(f, two_days, 1);
    expect_written(f, location, "day", 3, 1, 3);
    expect_tree(f, "new/out", "day=2026-01-01/data_0-rc_t_1-2.parquet=one ");
    /* A failure leaves it as it is, and nothing beside it. */
    script(f, two_days, 2);
    memory.cut_reads = 100;
    assert_int_not_equal(write_to(f, location, "day", NULL), RC_OK);
    memory.cut_reads = 0;
    expect_tree(f, "new", "out/day=2026-01-01/data_0-rc_t_1-2.parquet=one ");
    script(f, NULL, 0);
    f->is_empty = true;
    expect_written(f, location, NULL, 0, 0, 0);
    expect_tree(f, "new", "");
}

/* ---- chunks --------------------------------------------------------------------------------- */

static void many_partitions_are_written_in_chunks(void **state)
{
    static const struct scripted_file files[] = {
        { "day=a/1", 1, "1" }, { "day=b'/2", 2, "2" }, { "day=NULL/3", 3, "3" },
        { "day=d/4", 4, "4" }, { "day=e/5", 5, "5" },
    };
    struct fake *f = *state;

    script(f, files, RC_ARRAY_LEN(files));
    f->most_partitions = 2;
    expect_written(f, "s3://out/t/", "day", 15, 5, 5);
    expect_objects("out/t/day=NULL/", "data_2-rc_t_1-3.parquet=3 ");
    assert_non_null(strstr(f->log.data, "DROP TABLE IF EXISTS default.rc_t_1_output_1\n"
                                        "MAKE THERE default.rc_t_1_rows_3 zstd IN "));
    assert_non_null(
        strstr(f->log.data,
               "SELECT DISTINCT CAST(\"day\" AS varchar) AS p0 FROM \"default\".\"rc_t_1_rows_3\" "
               "ORDER BY p0\n"));
    assert_non_null(strstr(f->log.data,
                           "SELECT \"a\", \"b c\", \"day\" FROM \"default\".\"rc_t_1_rows_3\" "
                           "WHERE (CAST(\"day\" AS varchar) = 'a') OR (CAST(\"day\" AS varchar) "
                           "= 'b''')\n"
                           "INSERT INTO \"default\".\"rc_t_1_output_2\" SELECT "));
    assert_non_null(strstr(f->log.data, "WHERE (CAST(\"day\" AS varchar) IS NULL) OR "));
    assert_non_null(strstr(f->log.data, "DROP TABLE IF EXISTS default.rc_t_1_rows_3\n"));
    expect_objects("work/", "runs/rc_t_1/_session=run-core\nengine: fake\n ");
}

static void a_chunk_that_is_missing_is_noticed(void **state)
{
    static const struct scripted_file files[] = { { "day=a/1", 1, "1" },
                                                  { "day=b/2", 2, "2" },
                                                  { "day=c/3", 3, "3" } };
    struct fake *f = *state;

    keep("out/t/old.parquet", "old");
    script(f, files, RC_ARRAY_LEN(files));
    f->most_partitions = 2;
    f->updated = 6; /* of each statement */
    assert_int_equal(write_to(f, "s3://out/t/", "day", NULL), RC_CORRUPT);
    expect_error(f, RC_CORRUPT, "wrote 12 rows in chunks of the 6 that it had kept");
    expect_objects("out/", "t/old.parquet=old ");
}

static void a_statement_that_is_too_long_is_not_cut_into_chunks(void **state)
{
    struct fake *f = *state;

    script(f, two_days, RC_ARRAY_LEN(two_days));
    f->dialect.statement_limit_bytes = 140;
    assert_int_equal(write_to(f, "s3://out/t/", "day", NULL), RC_TOO_LARGE);
    expect_error(f, RC_TOO_LARGE, "the statement has");
    assert_null(strstr(f->log.data, "THERE"));
    f->dialect.statement_limit_bytes = 10000;
}

/* The only object at the location. */
static void keep_old(void)
{
    for (size_t i = memory.count; i-- > 0;)
        if (rc_str_starts(memory.objects[i].name, "out/"))
            drop(memory.objects[i].name);
    keep("out/t/old.parquet", "old");
}

/* ---- failures ------------------------------------------------------------------------------- */

static void rows_that_are_missing_are_noticed(void **state)
{
    struct fake *f = *state;

    keep("out/t/old.parquet", "old");
    script(f, two_days, RC_ARRAY_LEN(two_days));
    f->updated = 8;
    assert_int_equal(write_to(f, "s3://out/t/", "day", NULL), RC_CORRUPT);
    expect_error(f, RC_CORRUPT, "hold 7 rows, the result has 8; nothing was published");
    expect_objects("out/", "t/old.parquet=old ");
    /* A server that does not say how many it has written is asked how many there are. */
    script(f, two_days, RC_ARRAY_LEN(two_days));
    f->updated = -1;
    expect_written(f, "s3://out/t/", "day", 7, 2, 8);
}

static void files_elsewhere_are_noticed(void **state)
{
    struct fake *f = *state;

    script(f, two_days, RC_ARRAY_LEN(two_days));
    f->path_scheme = "gs://";
    assert_int_equal(write_to(f, "s3://out/t/", "day", NULL), RC_CORRUPT);
    expect_error(f, RC_CORRUPT, "has written rows to 'gs://work/");
    script(f, two_days, RC_ARRAY_LEN(two_days));
    f->path_scheme = NULL;
    assert_int_equal(write_to(f, "s3://out/t/", "b c", NULL), RC_INVALID);
    script(f, two_days, RC_ARRAY_LEN(two_days));
    assert_int_equal(write_to(f, "s3://out/t/", "a", NULL), RC_CORRUPT);
    expect_error(f, RC_CORRUPT, "which is in no folder 'a=...'");
}

static void a_failure_at_any_statement_leaves_the_old_files(void **state)
{
    static const struct scripted_file files[] = { { "day=a/1", 1, "1" },
                                                  { "day=b/2", 2, "2" },
                                                  { "day=c/3", 3, "3" } };
    struct fake *f = *state;
    int at = 1;

    for (int many = 0; many < 2; many++) {
        for (at = 1;; at++) {
            struct rc_sql_written written;
            enum rc_code code;

            keep_old();
            script(f, files, RC_ARRAY_LEN(files));
            f->most_partitions = many ? 2 : 0;
            f->fail_at = at;
            f->fail_code = RC_UNAVAILABLE;
            code = write_to(f, "s3://out/t/", "day", &written);
            f->fail_at = 0;
            if (code == RC_OK && !strstr(f->said.data, "the server says no"))
                break;
            if (code) {
                expect_error(f, RC_UNAVAILABLE, "write 's3://out/t/'");
                expect_objects("out/", "t/old.parquet=old ");
            }
            /* A table that could not be dropped after the work was done is only told. */
            rc_buf_reset(&f->said);
        }
        assert_true(at > (many ? 8 : 4));
    }
}

static void a_wish_to_stop_at_any_statement_is_heeded(void **state)
{
    struct fake *f = *state;

    for (int at = 1; at <= 3; at++) {
        keep("out/t/old.parquet", "old");
        script(f, two_days, RC_ARRAY_LEN(two_days));
        f->cancel_at = at;
        assert_int_equal(write_to(f, "s3://out/t/", "day", NULL), RC_CANCELLED);
        expect_objects("out/", "t/old.parquet=old ");
        /* What was made is dropped all the same. */
        assert_true(at == 1 || strstr(f->log.data, "DROP TABLE IF EXISTS"));
        expect_objects("work/", "runs/rc_t_1/_session=run-core\nengine: fake\n ");
        atomic_store(&f->cancel.code, RC_OK);
        f->cancel_at = 0;
    }
}

static void a_failure_of_the_store_leaves_the_old_files(void **state)
{
    struct fake *f = *state;

    keep("out/t/old.parquet", "old");
    script(f, two_days, RC_ARRAY_LEN(two_days));
    memory.cut_reads = memory.garbled_reads = 0;
    f->dialect.partitions_at_once = 2;
    RC_BUF_AUTO(left, 4096);
    memory.refused_commits = 1000;
    memory.refused_puts = 0;
    enum rc_code code = write_to(f, "s3://out/t/", "day", NULL);
    memory.refused_commits = 0;
    if (code)
        expect_objects("out/", "t/old.parquet=old ");
    /* What was there cannot be removed: the new files are there, and it is said what to do. */
    script(f, two_days, RC_ARRAY_LEN(two_days));
    memory.refused_removals = 1;
    if (write_to(f, "s3://out/t/", "day", NULL))
        expect_error(f, f->err.code, "the next write does it");
    memory.refused_removals = 0;
    script(f, two_days, 1);
    expect_written(f, "s3://out/t/", "day", 3, 1, 3);
    add_objects(&left, "out/");
    assert_null(strstr(left.data, "old"));
    assert_null(strstr(left.data, "three"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_put_in_place),
        TEST(partitions_stand_last_and_keep_their_names),
        TEST(servers_write_places_in_their_own_way),
        TEST(an_empty_result_leaves_an_empty_folder),
        TEST(a_table_that_is_not_found_is_no_empty_result),
        TEST(files_of_a_result_without_rows_are_counted),
        TEST(a_folder_of_this_machine_is_replaced_in_one_step),
        TEST(many_partitions_are_written_in_chunks),
        TEST(a_chunk_that_is_missing_is_noticed),
        TEST(a_statement_that_is_too_long_is_not_cut_into_chunks),
        TEST(rows_that_are_missing_are_noticed),
        TEST(files_elsewhere_are_noticed),
        TEST(a_failure_at_any_statement_leaves_the_old_files),
        TEST(a_wish_to_stop_at_any_statement_is_heeded),
        TEST(a_failure_of_the_store_leaves_the_old_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
