/*
 * Does one thing after the other with the tables of a session, as a list of steps says, and logs
 * the rows that it is asked for: for tests of engines that are elsewhere. A step is
 * "VERB | ARGUMENT | ...", the columns of a table are "name type, ...", and {name} in a statement
 * is what FROM takes for the table of that name.
 */
#include <run-core/plugin.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 64, TEXT_LIMIT = 1 << 20 };

struct config {
    struct rc_strs steps;
};

static const struct rc_option options[] = {
    { RC_LIST("steps", struct config, steps), .help = "What is done." },
    { 0 },
};

struct run {
    struct rc_job *job;
    struct rc_sql *sql;
    char *argument[MOST];
};

static size_t split(char *text, const char *separator, char **out)
{
    size_t count = 0;

    while (text && count < MOST) {
        char *end = strstr(text, separator);

        if (end)
            *end = '\0';
        out[count++] = text;
        text = end ? end + strlen(separator) : NULL;
    }
    return count;
}

static size_t read_columns(char *text, struct rc_sql_column *out)
{
    char *items[MOST];
    size_t count = text && *text ? split(text, ", ", items) : 0;

    for (size_t i = 0; i < count; i++) {
        char *space = strrchr(items[i], ' ');

        *space = '\0';
        out[i] = (struct rc_sql_column){ items[i], space + 1 };
    }
    return count;
}

static void write_statement(struct run *run, const char *text, struct rc_buf *out)
{
    for (const char *end; *text; text = end) {
        if (*text == '{' && (end = strchr(text, '}')) != NULL) {
            RC_STR_AUTO name = rc_strndup(text + 1, (size_t)(end++ - text) - 1);

            rc_sql_add_table(run->job, run->sql, out, name);
            continue;
        }
        end = text + 1;
        rc_buf_addc(out, *text);
    }
}

/* ---- the verbs ------------------------------------------------------------------------------ */

/* name | locations | columns | partitions */
static struct rc_sql_table read_table(char **argument, char **locations,
                                      struct rc_sql_column *columns,
                                      struct rc_sql_column *partitions)
{
    return (struct rc_sql_table){
        .name = argument[0],
        .locations = (const char *const *)locations,
        .location_count = split(argument[1], ", ", locations),
        .columns = columns,
        .column_count = read_columns(argument[2], columns),
        .partitions = partitions,
        .partition_count = read_columns(argument[3], partitions),
    };
}

static enum rc_code attach(struct run *run, struct rc_error *err)
{
    char *locations[MOST];
    struct rc_sql_column columns[MOST], partitions[MOST];
    const struct rc_sql_table table = read_table(run->argument, locations, columns, partitions);

    return rc_sql_attach(run->job, run->sql, &table, err);
}

static enum rc_code publish(struct run *run, struct rc_error *err)
{
    char *locations[MOST];
    struct rc_sql_column columns[MOST], partitions[MOST];
    const struct rc_sql_table table = read_table(run->argument + 1, locations, columns, partitions);

    return rc_sql_publish(run->job, run->sql, run->argument[0], &table, err);
}

static enum rc_code make(struct run *run, struct rc_error *err)
{
    RC_BUF_AUTO(query, TEXT_LIMIT);
    int64_t rows = -1;

    write_statement(run, run->argument[1], &query);
    if (rc_sql_make(run->job, run->sql, run->argument[0], query.data, NULL, 0, &rows, err))
        return err->code;
    rc_info(run->job, "made: %" PRId64, rows);
    return RC_OK;
}

/* 'count' rows: a number, its text, a half of it, and whether it is odd; every seventh is NULL. */
struct series {
    int64_t next, count;
    char text[32];
    struct rc_value row[4];
};

static enum rc_code next_of_series(void *context, const struct rc_value **row, struct rc_error *err)
{
    struct series *series = context;
    int64_t number = series->next++;

    (void)err;
    *row = NULL;
    if (number >= series->count)
        return RC_OK;
    (void)snprintf(series->text, sizeof(series->text), "row \"%" PRId64 "\"", number);
    series->row[0] = rc_value_int(number);
    series->row[1] = number % 7 == 0 ? rc_value_null() : rc_value_text(series->text);
    series->row[2] = rc_value_float((double)number / 2);
    series->row[3] = rc_value_bool(number % 2 == 1);
    *row = series->row;
    return RC_OK;
}

static enum rc_code load(struct run *run, struct rc_error *err)
{
    static const struct rc_sql_column columns[] = {
        { "n", "bigint" }, { "Text", "varchar" }, { "half", "double" }, { "odd", "boolean" }
    };
    struct series series = { .count = strtoll(run->argument[1], NULL, 10) };
    const struct rc_sql_rows rows = { .next = next_of_series, .context = &series };

    return rc_sql_load(run->job, run->sql, run->argument[0], columns, RC_ARRAY_LEN(columns), &rows,
                       err);
}

static enum rc_code refer(struct run *run, struct rc_error *err)
{
    return rc_sql_refer(run->job, run->sql, run->argument[0],
                        *run->argument[1] ? run->argument[1] : NULL, run->argument[2], err);
}

static enum rc_code drop(struct run *run, struct rc_error *err)
{
    return rc_sql_drop(run->job, run->sql, run->argument[0], err);
}

static enum rc_code exec(struct run *run, struct rc_error *err)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);

    write_statement(run, run->argument[0], &text);
    return rc_sql_exec(run->job, run->sql, text.data, NULL, 0, NULL, err);
}

static void add_value(struct rc_buf *out, const struct rc_value *value)
{
    switch (value->type) {
    case RC_VALUE_NULL:
        rc_buf_adds(out, "NULL");
        break;
    case RC_VALUE_BOOL:
        rc_buf_adds(out, value->boolean ? "true" : "false");
        break;
    case RC_VALUE_INT:
        rc_buf_addf(out, "%" PRId64, value->integer);
        break;
    case RC_VALUE_FLOAT:
        rc_buf_addf(out, "%g", value->number);
        break;
    case RC_VALUE_TEXT:
    case RC_VALUE_BYTES:
        rc_buf_add(out, value->text, value->len);
        break;
    }
}

static enum rc_code log_rows(struct run *run, struct rc_rows *rows, struct rc_error *err)
{
    size_t columns = rc_rows_columns(rows, NULL);
    const struct rc_value *row = NULL;
    enum rc_code code;

    while (!(code = rc_rows_next(rows, &row, err)) && row) {
        RC_BUF_AUTO(text, TEXT_LIMIT);

        for (size_t i = 0; i < columns; i++) {
            rc_buf_adds(&text, i ? "|" : "");
            add_value(&text, &row[i]);
        }
        rc_info(run->job, "row: %s", text.data);
    }
    return code;
}

static enum rc_code query(struct run *run, struct rc_error *err)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);
    RC_ROWS_AUTO(rows);

    write_statement(run, run->argument[0], &text);
    if (rc_sql_query(run->job, run->sql, text.data, NULL, 0, &rows, err))
        return err->code;
    return log_rows(run, rows, err);
}

/* table | condition | exceptions */
static enum rc_code search(struct run *run, struct rc_error *err)
{
    char *except[MOST];
    RC_ROWS_AUTO(rows);
    const struct rc_sql_lookup search = {
        .size = sizeof(search),
        .table = run->argument[0],
        .condition = run->argument[1],
        .except = (const char *const *)except,
        .except_count =
            run->argument[2] && *run->argument[2] ? split(run->argument[2], ", ", except) : 0,
    };

    if (rc_sql_search(run->job, run->sql, &search, &rows, err))
        return err->code;
    return log_rows(run, rows, err);
}

/* Says that it is there, and waits, so that a test can do something meanwhile. */
static enum rc_code wait_ms(struct run *run, struct rc_error *err)
{
    int64_t left_ms = strtoll(run->argument[0], NULL, 10);

    rc_info(run->job, "waiting");
    for (; left_ms > 0; left_ms -= 20) {
        const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

        if (rc_job_check(run->job, err))
            return err->code;
        nanosleep(&pause, NULL);
    }
    return RC_OK;
}

/* ---- the steps ------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    enum rc_code (*run)(struct run *run, struct rc_error *err);
} verbs[] = {
    { "attach", attach }, { "publish", publish }, { "make", make }, { "load", load },
    { "refer", refer },   { "drop", drop },       { "exec", exec }, { "query", query },
    { "search", search }, { "wait", wait_ms },
};

static enum rc_code do_step(struct run *run, const char *step, struct rc_error *err)
{
    RC_STR_AUTO text = rc_strdup(step);
    char *parts[MOST + 1] = { NULL };
    size_t count = split(text, " | ", parts);

    /* What a step leaves out is empty. */
    for (size_t i = 0; i < MOST; i++)
        run->argument[i] = i + 1 < count ? parts[i + 1] : text + strlen(step);
    for (size_t i = 0; i < RC_ARRAY_LEN(verbs); i++)
        if (rc_str_eq(verbs[i].name, parts[0]))
            return verbs[i].run(run, err);
    return rc_fail(err, RC_INVALID, "there is no verb '%s'", parts[0]);
}

static enum rc_code do_steps(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    struct run run = { .job = job };
    enum rc_code code = rc_sql_open(job, NULL, &run.sql, err);

    for (size_t i = 0; !code && i < cfg->steps.len; i++) {
        const char *step = cfg->steps.items[i];
        bool may_fail = rc_str_starts(step, "try ");

        code = do_step(&run, may_fail ? step + strlen("try ") : step, err);
        if (code && may_fail) {
            rc_info(job, "failed: %s: %s: %s", rc_code_name(code), err->context, err->cause);
            *err = (struct rc_error)RC_ERROR_INIT;
            code = RC_OK;
        }
    }
    rc_sql_close(job, run.sql);
    return code;
}

static const struct rc_action actions[] = {
    { .name = "do", .summary = "Does the steps.", .run = do_steps },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "catalogue",
    .version = "1.0",
    .summary = "Works with the tables of a session, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
