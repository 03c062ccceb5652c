/*
 * Loads so many rows of one text into a table of an SQL engine, and counts them there. What it
 * takes to load the ids of many users is measured with it.
 */
#include <run-core/plugin.h>

#include <inttypes.h>
#include <stdio.h>

struct config {
    const char *engine;
    int64_t rows;
};

static const struct rc_option options[] = {
    { RC_STR("engine", struct config, engine), .flags = RC_OPT_ENGINE, .help = "The engine." },
    { RC_INT("rows", struct config, rows), .def = "1000", .min = 0, .max = INT64_MAX,
      .help = "How many are loaded." },
    { 0 },
};

struct source {
    int64_t at, end;
    char text[40];
    struct rc_value value;
};

/* As long as a UUID. */
static enum rc_code next_row(void *context, const struct rc_value **row, struct rc_error *err)
{
    struct source *source = context;

    (void)err;
    *row = NULL;
    if (source->at == source->end)
        return RC_OK;
    snprintf(source->text, sizeof(source->text), "%08" PRIx64 "-1234-4321-a123-%012" PRIx64,
             (uint64_t)source->at, (uint64_t)source->at);
    source->value = rc_value_text(source->text);
    source->at++;
    *row = &source->value;
    return RC_OK;
}

static enum rc_code check_count(struct rc_job *job, struct rc_sql *sql, int64_t expected,
                                struct rc_error *err)
{
    RC_BUF_AUTO(text, 1024 * 1024);
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);

    rc_buf_adds(&text, "SELECT count(DISTINCT id) FROM ");
    rc_sql_add_table(job, sql, &text, "ids");
    if (rc_buf_check(&text, err) || rc_sql_query(job, sql, text.data, NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return rc_context(err, "count the rows");
    if (!row || row[0].integer != expected)
        return rc_fail(err, RC_CORRUPT, "%" PRId64 " rows were loaded, not all are there",
                       expected);
    rc_job_count(job, "rows", expected);
    return RC_OK;
}

static enum rc_code load(struct rc_job *job, const void *context, struct rc_error *err)
{
    static const struct rc_sql_column columns[] = { { "id", "varchar" } };
    const struct config *config = context;
    struct source source = { .end = config->rows };
    const struct rc_sql_rows rows = { next_row, &source };
    struct rc_sql *sql = NULL;

    if (rc_sql_open(job, config->engine, &sql, err))
        return err->code;
    enum rc_code code = rc_sql_load(job, sql, "ids", columns, RC_ARRAY_LEN(columns), &rows, err);
    if (!code)
        code = check_count(job, sql, config->rows, err);
    rc_sql_close(job, sql);
    return code;
}

static const struct rc_action actions[] = {
    { .name = "load", .summary = "Loads rows into a table.", .run = load },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "load",
    .version = "1.0",
    .summary = "Loads many rows, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
