/*
 * Asks statements, one after the other in one session, and writes the rows that come of them, a
 * JSON list each: for tests of engines. Numbers that JSON has none for are texts, bytes are lists
 * of a text in hexadecimal.
 */
#include <run-core/plugin.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { ROW_BYTES = 16 * 1024 * 1024 };

struct config {
    const char *engine, *out;
    struct rc_strs statements;
    int64_t limit;
};

static const struct rc_option options[] = {
    { RC_STR("engine", struct config, engine), .help = "The engine." },
    { RC_LIST("statements", struct config, statements), .flags = RC_OPT_REQUIRED,
      .help = "What is asked." },
    { RC_STR("out", struct config, out),
      .help = "File for the rows; without it they are counted." },
    { RC_INT("limit", struct config, limit), .def = "-1", .min = -1, .max = INT64_MAX,
      .help = "Most rows that are read of each; -1: all." },
    { 0 },
};

static void add_hex(struct rc_buf *out, const struct rc_value *value)
{
    rc_buf_adds(out, "[\"");
    for (size_t i = 0; i < value->len; i++)
        rc_buf_addf(out, "%02x", (unsigned char)value->text[i]);
    rc_buf_adds(out, "\"]");
}

static void add_value(struct rc_buf *out, const struct rc_value *value)
{
    switch (value->type) {
    case RC_VALUE_NULL:
        rc_buf_adds(out, "null");
        break;
    case RC_VALUE_BOOL:
        rc_buf_adds(out, value->boolean ? "true" : "false");
        break;
    case RC_VALUE_INT:
        rc_buf_addf(out, "%" PRId64, value->integer);
        break;
    case RC_VALUE_FLOAT:
        rc_buf_addf(out, isfinite(value->number) ? "%.17e" : "\"%f\"", value->number);
        break;
    case RC_VALUE_TEXT:
        rc_buf_add_json(out, value->text, value->len);
        break;
    case RC_VALUE_BYTES:
        add_hex(out, value);
        break;
    }
}

static enum rc_code write_row(FILE *file, const struct rc_value *row, size_t columns,
                              struct rc_error *err)
{
    RC_BUF_AUTO(line, ROW_BYTES);

    for (size_t i = 0; i < columns; i++) {
        rc_buf_adds(&line, i ? ", " : "[");
        add_value(&line, &row[i]);
    }
    rc_buf_adds(&line, columns ? "]\n" : "[]\n");
    if (rc_buf_check(&line, err))
        return err->code;
    return fwrite(line.data, line.len, 1, file) == 1 ? RC_OK
                                                     : rc_fail(err, RC_FAILED, "write the rows");
}

static enum rc_code ask(struct rc_job *job, const struct config *cfg, struct rc_sql *sql,
                        const char *statement, FILE *file, struct rc_error *err)
{
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);
    size_t columns;
    int64_t count = 0;

    if (rc_sql_query(job, sql, statement, NULL, 0, &rows, err))
        return err->code;
    columns = rc_rows_columns(rows, NULL);
    for (; cfg->limit < 0 || count < cfg->limit; count++) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            break;
        if (file && write_row(file, row, columns, err))
            return err->code;
    }
    rc_job_count(job, "rows", count);
    return RC_OK;
}

static enum rc_code run(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    struct rc_sql *sql = NULL;
    enum rc_code code = rc_sql_open(job, cfg->engine, &sql, err);
    FILE *file = NULL;

    if (!code && cfg->out && !(file = fopen(cfg->out, "we")))
        code = rc_fail(err, RC_FAILED, "open '%s'", cfg->out);
    for (size_t i = 0; !code && i < cfg->statements.len; i++)
        code = ask(job, cfg, sql, cfg->statements.items[i], file, err);
    if (file && fclose(file) && !code)
        code = rc_fail(err, RC_FAILED, "write '%s'", cfg->out);
    rc_sql_close(job, sql);
    return code;
}

static const struct rc_action actions[] = {
    { .name = "ask", .summary = "Asks statements.", .run = run },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "sql",
    .version = "1.0",
    .summary = "Asks statements, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
