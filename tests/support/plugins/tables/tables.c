/*
 * Makes tables on an SQL engine in every way that there is, and says what it finds in them. Asks
 * more of its engine the more of 'want' is set.
 */
#include <run-core/plugin.h>

#include <inttypes.h>

struct config {
    const char *engine, *region, *results, *base, *want;
    bool publish;
};

static const char *const wants[] = { "nothing", "catalogue", "place", NULL };

static const struct rc_option options[] = {
    { RC_STR("engine", struct config, engine), .flags = RC_OPT_ENGINE, .also = "sqlEngine",
      .help = "The SQL engine." },
    { RC_STR("region", struct config, region), .help = "Where its settings say nothing." },
    { RC_STR("results", struct config, results), .help = "Likewise." },
    { RC_STR("base", struct config, base), .flags = RC_OPT_REQUIRED,
      .help = "URI of the folder with the files, with its slash." },
    { RC_STR("want", struct config, want), .def = "nothing", .choices = wants,
      .help = "What the engine has to be able to do." },
    { RC_BOOL("publish", struct config, publish), .def = "true",
      .help = "Whether a table is left for others." },
    { 0 },
};

static const struct rc_sql_column columns[] = { { "id", "varchar" }, { "n", "bigint" } };

static enum rc_code next_row(void *context, const struct rc_value **row, struct rc_error *err)
{
    static const struct rc_value rows[][2] = {
        { { .type = RC_VALUE_TEXT, .text = "a", .len = 1 },
          { .type = RC_VALUE_INT, .integer = 1 } },
        { { .type = RC_VALUE_TEXT, .text = "b", .len = 1 }, { .type = RC_VALUE_NULL } },
    };
    size_t *at = context;

    (void)err;
    *row = *at < RC_ARRAY_LEN(rows) ? rows[(*at)++] : NULL;
    return RC_OK;
}

/* How many rows a table has; a dry run may have made none, and then there is no answer. */
static enum rc_code count(struct rc_job *job, struct rc_sql *sql, const char *table,
                          struct rc_error *err)
{
    RC_BUF_AUTO(text, 1024 * 1024);
    RC_ROWS_AUTO(rows);
    const struct rc_value *row = NULL;

    rc_buf_adds(&text, "SELECT count(*) FROM ");
    rc_sql_add_table(job, sql, &text, table);
    if (rc_buf_check(&text, err) || rc_sql_query(job, sql, text.data, NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return rc_context(err, "count '%s'", table);
    RC_STR_AUTO line = row ? rc_strf("%s: %" PRId64 " rows", table, row[0].integer)
                           : rc_strf("%s: no answer", table);
    rc_job_say(job, line);
    return RC_OK;
}

static enum rc_code make_tables(struct rc_job *job, struct rc_sql *sql, const struct config *config,
                                struct rc_error *err)
{
    const char *const locations[] = { config->base };
    const struct rc_sql_table files = {
        .name = "files",
        .locations = locations,
        .location_count = 1,
        .format = "json",
        .columns = columns,
        .column_count = RC_ARRAY_LEN(columns),
    };
    size_t at = 0;
    const struct rc_sql_rows rows = { next_row, &at };
    const struct rc_value param = rc_value_int(3);

    if (rc_sql_attach(job, sql, &files, err) ||
        rc_sql_make(job, sql, "made", "SELECT 1 AS one UNION ALL SELECT $1", &param, 1, NULL,
                    err) ||
        rc_sql_load(job, sql, "loaded", columns, RC_ARRAY_LEN(columns), &rows, err) ||
        (config->publish && rc_sql_publish(job, sql, "shared", &files, err)))
        return err->code;
    return RC_OK;
}

static enum rc_code tables(struct rc_job *job, const void *context, struct rc_error *err)
{
    static const char *const names[] = { "files", "made", "loaded" };
    const struct config *config = context;
    const struct rc_sql_options options_of_session = {
        .size = sizeof(options_of_session),
        .engine = config->engine,
        .region = config->region,
        .results = config->results,
    };
    enum rc_code code;
    struct rc_sql *sql;

    if (rc_sql_open_with(job, &options_of_session, &sql, err))
        return err->code;
    rc_info(job, "the engine's features are %u", rc_sql_features(job, sql));
    code = make_tables(job, sql, config, err);
    for (size_t i = 0; !code && i < RC_ARRAY_LEN(names); i++)
        code = count(job, sql, names[i], err);
    if (!code)
        code = rc_sql_drop(job, sql, "made", err);
    rc_sql_close(job, sql);
    return code;
}

static enum rc_code check_engine(const void *context, const struct rc_sql_engine *engine,
                                 struct rc_error *err)
{
    const struct config *config = context;

    if (rc_str_eq(config->want, "catalogue") && !(engine->features & RC_SQL_CATALOGUE))
        return rc_fail(err, RC_INVALID, "the engine '%s' (%s) has no catalogue", engine->name,
                       engine->kind);
    if (rc_str_eq(config->want, "place") && !engine->reaches(engine, config->base))
        return rc_fail(err, RC_INVALID, "the engine '%s' does not reach '%s'", engine->name,
                       config->base);
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "tables", .summary = "Makes tables and counts their rows.", .run = tables },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "tables",
    .version = "1.0",
    .summary = "Makes tables, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
    .check_engine = check_engine,
    .engine_features = RC_SQL_CSV | RC_SQL_CATALOGUE,
};
RC_PLUGIN_EXPORT(plugin)
