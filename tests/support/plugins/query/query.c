/*
 * Opens the SQL engine, asks it one question and logs one line. What the way to the first query is
 * measured with.
 */
#include <run-core/plugin.h>

#include <inttypes.h>

static enum rc_code query(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct rc_sql *sql = NULL;
    struct rc_rows *rows = NULL;
    const struct rc_value *row = NULL;
    enum rc_code code;

    (void)config;
    if (rc_sql_open(job, NULL, &sql, err))
        return err->code;
    code = rc_sql_query(job, sql, "SELECT 42", NULL, 0, &rows, err);
    if (!code)
        code = rc_rows_next(rows, &row, err);
    if (!code && row)
        rc_info(job, "the answer is %" PRId64, row[0].integer);
    rc_rows_close(&rows);
    rc_sql_close(job, sql);
    return code;
}

static const struct rc_action actions[] = {
    { .name = "query", .summary = "Asks the SQL engine one question.", .run = query },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "query",    .version = "1.0", .summary = "Asks one question, for tests.",
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
