/*
 * Changes something through every service that can change something: what a dry run has to
 * hold back. Wants an object 'seed' below 'base'.
 */
#include <run-core/plugin.h>

struct config {
    const char *base;
    bool sql;
};

static const struct rc_option options[] = {
    { RC_STR("base", struct config, base), .flags = RC_OPT_REQUIRED,
      .help = "URI of the folder to work in, with its slash." },
    { RC_BOOL("sql", struct config, sql), .def = "true", .help = "Whether to use the engine." },
    { 0 },
};

static enum rc_code write_objects(struct rc_job *job, const char *base, struct rc_error *err)
{
    RC_STR_AUTO seed = rc_strf("%sseed", base);
    RC_STR_AUTO put = rc_strf("%sput", base);
    RC_STR_AUTO copied = rc_strf("%scopied", base);
    RC_STR_AUTO moved = rc_strf("%smoved", base);
    RC_STR_AUTO streamed = rc_strf("%sstreamed", base);

    if (rc_storage_put(job, put, "put", 3, NULL, err))
        return rc_context(err, "put '%s'", put);
    if (rc_storage_copy(job, seed, copied, err))
        return rc_context(err, "copy '%s'", seed);
    if (rc_storage_move(job, seed, moved, err))
        return rc_context(err, "move '%s'", seed);

    struct rc_writer *writer;
    if (rc_storage_create(job, streamed, NULL, &writer, err))
        return rc_context(err, "create '%s'", streamed);
    enum rc_code code = rc_storage_write(job, writer, "streamed", 8, err);
    if (!code)
        code = rc_storage_commit(job, writer, err);
    rc_storage_write_close(job, writer);
    if (code)
        return rc_context(err, "write '%s'", streamed);

    const char *const gone[] = { copied };
    if (rc_storage_remove(job, gone, RC_ARRAY_LEN(gone), err))
        return rc_context(err, "remove '%s'", copied);
    return RC_OK;
}

static enum rc_code write_sql(struct rc_job *job, const char *base, struct rc_error *err)
{
    struct rc_sql *sql;
    if (rc_sql_open(job, NULL, &sql, err))
        return rc_context(err, "open the engine");
    RC_STR_AUTO location = rc_strf("%ssql/", base);
    const struct rc_sql_output output = {
        .query = "SELECT 1 AS one",
        .location = location,
        .format = "parquet",
    };
    struct rc_sql_written written;
    enum rc_code code =
        rc_sql_exec(job, sql, "CREATE TABLE made (one integer)", NULL, 0, NULL, err);
    if (!code)
        code = rc_sql_write(job, sql, &output, &written, err);
    rc_sql_close(job, sql);
    return code ? rc_context(err, "write by SQL") : RC_OK;
}

static enum rc_code write_db(struct rc_job *job, struct rc_error *err)
{
    static const struct rc_migration steps[] = {
        { 1, "CREATE TABLE seen (run TEXT PRIMARY KEY, at BIGINT NOT NULL)" },
    };
    struct rc_db *db;
    if (rc_db_open(job, steps, RC_ARRAY_LEN(steps), &db, err))
        return rc_context(err, "open the state");
    const struct rc_value row[] = { rc_value_text(job->run_id), rc_value_int(job->now_unix_ms) };
    enum rc_code code = rc_db_begin(job, db, err);
    if (!code)
        code = rc_db_exec(job, db, "INSERT INTO seen VALUES ($1, $2)", row, 2, NULL, err);
    if (!code)
        code = rc_db_commit(job, db, err);

    RC_ROWS_AUTO(rows);
    const struct rc_value *first = NULL;
    if (!code)
        code = rc_db_query(job, db, "SELECT count(*) FROM seen", NULL, 0, &rows, err);
    if (!code)
        code = rc_rows_next(rows, &first, err);
    if (!code)
        rc_job_count(job, "runs_seen", first->integer);
    rc_rows_close(&rows);
    rc_db_close(job, db);
    return code ? rc_context(err, "record the run") : RC_OK;
}

static enum rc_code write_all(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    if (write_objects(job, cfg->base, err) || (cfg->sql && write_sql(job, cfg->base, err)) ||
        write_db(job, err))
        return err->code;
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "write", .summary = "Changes something in every service.", .run = write_all },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "writer",
    .version = "1.0",
    .summary = "Writes everywhere, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
