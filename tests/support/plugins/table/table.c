/*
 * Reads a table from some locations, if there are any, and writes what a query makes of it to
 * another: for tests of engines on object stores.
 */
#include <run-core/plugin.h>

struct config {
    struct rc_strs from;
    const char *query, *to, *partition;
};

static const struct rc_option options[] = {
    { RC_LIST("from", struct config, from), .help = "Locations of the table 't'." },
    { RC_STR("query", struct config, query), .def = "FROM t", .help = "What is written." },
    { RC_STR("to", struct config, to), .flags = RC_OPT_REQUIRED, .help = "Where it is written." },
    { RC_STR("partition", struct config, partition), .help = "Column that becomes folders." },
    { 0 },
};

static enum rc_code copy(struct rc_job *job, const struct config *cfg, struct rc_sql *sql,
                         struct rc_error *err)
{
    const struct rc_sql_table table = {
        .name = "t",
        .locations = cfg->from.items,
        .location_count = cfg->from.len,
    };
    const struct rc_sql_output output = {
        .query = cfg->query,
        .location = cfg->to,
        .format = "parquet",
        .partition_by = &cfg->partition,
        .partition_count = cfg->partition ? 1 : 0,
    };
    struct rc_sql_written written;

    if (cfg->from.len > 0 && rc_sql_attach(job, sql, &table, err))
        return err->code;
    if (rc_sql_write(job, sql, &output, &written, err))
        return err->code;
    rc_job_count(job, "rows", written.rows);
    return RC_OK;
}

static enum rc_code run(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct rc_sql *sql;
    enum rc_code code;

    if (rc_sql_open(job, NULL, &sql, err))
        return err->code;
    code = copy(job, config, sql, err);
    rc_sql_close(job, sql);
    return code;
}

static const struct rc_action actions[] = {
    { .name = "copy", .summary = "Writes what a query gives.", .run = run },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "table",
    .version = "1.0",
    .summary = "Reads and writes tables, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
