/*
 * SQL of the fake host: records every statement and answers from what the test has put up. It
 * understands no SQL; a written output is an object that holds the query's text.
 */
#include "fake_internal.h"

#include <inttypes.h>
#include <stdlib.h>

struct rc_sql {
    struct fake_job *job;
    struct rc_sql *base;
};

/* Rows of an answer, or those of the base behind fault injection. */
struct fake_rows {
    struct rc_rows rows;
    struct fake_job *job;
    struct rc_rows *base;
    const struct fake_answer *answer; /* NULL: no rows */
    size_t next;
};

/* ---- rows ----------------------------------------------------------------------------------- */

static enum rc_code rows_next(struct rc_rows *rows, const struct rc_value **row,
                              struct rc_error *err)
{
    struct fake_rows *self = (struct fake_rows *)rows;
    enum rc_code code = fake_call(self->job, "rows.next", "", err);
    if (code)
        return code;
    if (self->base)
        return fake_end(self->job, rc_rows_next(self->base, row, err), err);
    *row = NULL;
    if (self->answer && self->next < self->answer->row_count)
        *row = self->answer->cells + self->answer->column_count * self->next++;
    return fake_end(self->job, RC_OK, err);
}

static size_t rows_columns(const struct rc_rows *rows, const char *const **names)
{
    const struct fake_rows *self = (const struct fake_rows *)rows;
    if (self->base)
        return rc_rows_columns(self->base, names);
    if (names)
        *names = self->answer ? self->answer->columns : NULL;
    return self->answer ? self->answer->column_count : 0;
}

static void rows_close(struct rc_rows *rows)
{
    struct fake_rows *self = (struct fake_rows *)rows;
    fake_closed(self->job->fake);
    rc_rows_close(&self->base);
    free(self);
}

static const struct rc_rows_api rows_api = {
    .next = rows_next,
    .columns = rows_columns,
    .close = rows_close,
};

static struct rc_rows *new_rows(struct fake_job *job, struct rc_rows *base,
                                const struct fake_answer *answer)
{
    struct fake_rows *rows = rc_calloc(1, sizeof *rows);
    rows->rows.api = &rows_api;
    rows->job = job;
    rows->base = base;
    rows->answer = answer;
    fake_opened(job->fake);
    return &rows->rows;
}

struct rc_rows *fake_rows_wrap(struct fake_job *job, struct rc_rows *rows)
{
    return new_rows(job, rows, NULL);
}

/* ---- statements ----------------------------------------------------------------------------- */

static void record(struct rc_fake_host *fake, const char *verb, const char *text,
                   const char *location)
{
    pthread_mutex_lock(&fake->mutex);
    fake->statements =
        fake_grow(fake->statements, &fake->statement_count, sizeof *fake->statements);
    fake->statements[fake->statement_count - 1] = (struct fake_statement){
        .verb = verb,
        .text = rc_strdup(text),
        .location = rc_strdup(location),
    };
    pthread_mutex_unlock(&fake->mutex);
}

static const struct fake_answer *find_answer(const struct rc_fake_host *fake, const char *text)
{
    for (size_t i = fake->answer_count; i-- > 0;)
        if (strstr(text, fake->answers[i].text))
            return &fake->answers[i];
    return NULL;
}

/* Counts, records and looks up a statement; an answer that is an error is returned as one. */
static enum rc_code begin(struct rc_sql *sql, const char *verb, const char *text,
                          const char *location, const struct fake_answer **answer,
                          struct rc_error *err)
{
    RC_STR_AUTO service = rc_strf("sql.%s", verb);
    enum rc_code code = fake_call(sql->job, service, text, err);
    if (code)
        return code;
    record(sql->job->fake, verb, text, location);
    *answer = sql->base ? NULL : find_answer(sql->job->fake, text);
    if (*answer && (*answer)->code)
        return rc_fail(err, (*answer)->code, "%s", (*answer)->cause);
    return RC_OK;
}

static enum rc_code open_with(struct rc_job *job, const struct rc_sql_options *options,
                              struct rc_sql **out, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    const struct rc_sql_api *api = FAKE_BASE(self, sql);
    struct rc_sql *base = NULL;
    enum rc_code code = fake_call(self, "sql.open", options->engine ? options->engine : "", err);
    if (!code && api && api->open_with)
        code = api->open_with(self->base, options, &base, err);
    else if (!code && api)
        code = api->open(self->base, options->engine, &base, err);
    if (code)
        return code;
    struct rc_sql *sql = rc_calloc(1, sizeof *sql);
    sql->job = self;
    sql->base = base;
    fake_opened(self->fake);
    *out = sql;
    return RC_OK;
}

static enum rc_code open_session(struct rc_job *job, const char *engine, struct rc_sql **out,
                                 struct rc_error *err)
{
    const struct rc_sql_options options = { .size = sizeof options, .engine = engine };
    return open_with(job, &options, out, err);
}

static const struct rc_sql_api *base_api(const struct rc_sql *sql)
{
    return sql->job->base->host->sql;
}

static void close_session(struct rc_sql *sql)
{
    fake_closed(sql->job->fake);
    if (sql->base)
        base_api(sql)->close(sql->base);
    free(sql);
}

static enum rc_code exec(struct rc_sql *sql, const char *statement, const struct rc_value *params,
                         size_t param_count, int64_t *changed, struct rc_error *err)
{
    const struct fake_answer *answer;
    enum rc_code code = begin(sql, "exec", statement, NULL, &answer, err);
    if (code)
        return code;
    if (sql->base)
        return base_api(sql)->exec(sql->base, statement, params, param_count, changed, err);
    if (changed)
        *changed = answer ? answer->count : 0;
    return RC_OK;
}

static enum rc_code query(struct rc_sql *sql, const char *statement, const struct rc_value *params,
                          size_t param_count, struct rc_rows **out, struct rc_error *err)
{
    const struct fake_answer *answer;
    struct rc_rows *base = NULL;
    enum rc_code code = begin(sql, "query", statement, NULL, &answer, err);
    if (!code && sql->base)
        code = base_api(sql)->query(sql->base, statement, params, param_count, &base, err);
    if (!code)
        *out = new_rows(sql->job, base, answer);
    return code;
}

static enum rc_code attach(struct rc_sql *sql, const struct rc_sql_table *table,
                           struct rc_error *err)
{
    const struct fake_answer *answer;
    const char *location = table->location_count ? table->locations[0] : NULL;
    enum rc_code code = begin(sql, "attach", table->name, location, &answer, err);
    if (!code && sql->base)
        code = base_api(sql)->attach(sql->base, table, err);
    return code;
}

static enum rc_code write_output(struct rc_sql *sql, const struct rc_sql_output *output,
                                 struct rc_sql_written *written, struct rc_error *err)
{
    const struct fake_answer *answer;
    enum rc_code code = begin(sql, "write", output->query, output->location, &answer, err);
    if (code)
        return code;
    if (sql->base)
        return fake_end(sql->job, base_api(sql)->write(sql->base, output, written, err), err);

    bool folder = rc_str_ends(output->location, "/");
    size_t len = strlen(output->query);
    int64_t rows = answer ? answer->count : 1;
    RC_STR_AUTO uri =
        rc_strf("%s%s%s", output->location, folder ? "part-0." : "", folder ? output->format : "");
    if (written)
        *written = (struct rc_sql_written){ .rows = rows, .files = 1, .bytes = (int64_t)len };
    if (fake_held_back(sql->job, "write to", output->location))
        return fake_end(sql->job, RC_OK, err);
    bool empty = folder && rows == 0;
    fake_storage_replace(sql->job->fake, folder ? output->location : uri, empty ? NULL : uri,
                         output->query, len);
    return fake_end(sql->job, RC_OK, err);
}

static enum rc_code drop(struct rc_sql *sql, const char *table, struct rc_error *err)
{
    const struct fake_answer *answer;
    enum rc_code code = begin(sql, "drop", table, NULL, &answer, err);
    if (!code && sql->base)
        code = base_api(sql)->drop(sql->base, table, err);
    return code;
}

static uint32_t features(struct rc_sql *sql)
{
    return sql->base && base_api(sql)->features ? base_api(sql)->features(sql->base)
                                                : sql->job->fake->engine_features;
}

/* A dry run only tells of tables where they stand in a catalogue that others see. */
static bool is_told(struct rc_sql *sql, const char *what, const char *table)
{
    return (features(sql) & RC_SQL_CATALOGUE) && fake_held_back(sql->job, what, table);
}

static enum rc_code make(struct rc_sql *sql, const char *table, const char *statement,
                         const struct rc_value *params, size_t param_count, int64_t *rows,
                         struct rc_error *err)
{
    const struct fake_answer *answer;
    enum rc_code code = begin(sql, "make", statement, table, &answer, err);
    if (code)
        return code;
    if (sql->base)
        return base_api(sql)->make(sql->base, table, statement, params, param_count, rows, err);
    if (rows)
        *rows = answer ? answer->count : 0;
    (void)is_told(sql, "make", table);
    return RC_OK;
}

/* Rows of the plugin, written down as they go by. */
struct tee {
    const struct rc_sql_rows *rows;
    size_t column_count;
    struct rc_buf text;
};

static void add_value(struct rc_buf *out, const struct rc_value *value)
{
    switch (value->type) {
    case RC_VALUE_NULL:
        rc_buf_addc(out, '-');
        break;
    case RC_VALUE_BOOL:
        rc_buf_adds(out, value->boolean ? "true" : "false");
        break;
    case RC_VALUE_INT:
        rc_buf_addf(out, "%" PRId64, value->integer);
        break;
    case RC_VALUE_FLOAT:
        rc_buf_addf(out, "%.17g", value->number);
        break;
    case RC_VALUE_TEXT:
    case RC_VALUE_BYTES:
        rc_buf_add(out, value->text, value->len);
        break;
    }
}

static enum rc_code tee_next(void *context, const struct rc_value **row, struct rc_error *err)
{
    struct tee *tee = context;
    enum rc_code code = tee->rows->next(tee->rows->context, row, err);
    if (code || !*row)
        return code;
    for (size_t i = 0; i < tee->column_count; i++) {
        rc_buf_adds(&tee->text, i ? "|" : "");
        add_value(&tee->text, &(*row)[i]);
    }
    rc_buf_addc(&tee->text, '\n');
    return RC_OK;
}

static enum rc_code load(struct rc_sql *sql, const char *table, const struct rc_sql_column *columns,
                         size_t column_count, const struct rc_sql_rows *rows, struct rc_error *err)
{
    struct tee tee = { .rows = rows, .column_count = column_count };
    const struct rc_sql_rows teed = { .next = tee_next, .context = &tee };
    const struct rc_value *row = NULL;
    enum rc_code code = fake_call(sql->job, "sql.load", table, err);
    if (code)
        return code;
    rc_buf_init(&tee.text, FAKE_TEXT_LIMIT);
    if (sql->base)
        code = base_api(sql)->load(sql->base, table, columns, column_count, &teed, err);
    else if (!is_told(sql, "load", table))
        while (!(code = tee_next(&tee, &row, err)) && row)
            continue;
    if (!code)
        record(sql->job->fake, "load", table, tee.text.data);
    rc_buf_clear(&tee.text);
    const struct fake_answer *answer =
        code || sql->base ? NULL : find_answer(sql->job->fake, table);
    if (answer && answer->code)
        return rc_fail(err, answer->code, "%s", answer->cause);
    return code;
}

static enum rc_code refer(struct rc_sql *sql, const char *table, const char *database,
                          const char *name, struct rc_error *err)
{
    RC_STR_AUTO whole = rc_strf("%s%s%s", database ? database : "", database ? "." : "", name);
    const struct fake_answer *answer;
    enum rc_code code = begin(sql, "refer", table, whole, &answer, err);
    if (code)
        return code;
    if (sql->base)
        return base_api(sql)->refer(sql->base, table, database, name, err);
    return features(sql) & RC_SQL_CATALOGUE
               ? RC_OK
               : rc_fail(err, RC_UNSUPPORTED, "the fake engine has no catalogue");
}

static enum rc_code publish(struct rc_sql *sql, const char *database,
                            const struct rc_sql_table *table, struct rc_error *err)
{
    RC_STR_AUTO whole =
        rc_strf("%s%s%s", database ? database : "", database ? "." : "", table->name);
    const char *location = table->location_count ? table->locations[0] : NULL;
    const struct fake_answer *answer;
    enum rc_code code = begin(sql, "publish", whole, location, &answer, err);
    if (code)
        return code;
    if (sql->base)
        code = base_api(sql)->publish(sql->base, database, table, err);
    else
        (void)is_told(sql, "publish", whole);
    return fake_end(sql->job, code, err);
}

static enum rc_code search(struct rc_sql *sql, const struct rc_sql_lookup *wanted,
                           struct rc_rows **out, struct rc_error *err)
{
    const struct fake_answer *answer;
    struct rc_rows *base = NULL;
    enum rc_code code = begin(sql, "search", wanted->condition, wanted->table, &answer, err);
    if (!code && sql->base)
        code = base_api(sql)->search(sql->base, wanted, &base, err);
    else if (!code && !(features(sql) & RC_SQL_SEARCH))
        code = rc_fail(err, RC_UNSUPPORTED, "the fake engine does not search");
    if (!code)
        *out = new_rows(sql->job, base, answer);
    return code;
}

static void cancel(struct rc_sql *sql)
{
    if (sql->base)
        base_api(sql)->cancel(sql->base);
}

static void add_json_text(struct rc_sql *sql, struct rc_buf *out, const char *json,
                          const char *path)
{
    if (sql->base) {
        base_api(sql)->add_json_text(sql->base, out, json, path);
        return;
    }
    rc_buf_addf(out, "json_text(%s, ", json);
    rc_buf_add_literal(out, path);
    rc_buf_addc(out, ')');
}

static void add_json_valid(struct rc_sql *sql, struct rc_buf *out, const char *json)
{
    if (sql->base)
        base_api(sql)->add_json_valid(sql->base, out, json);
    else
        rc_buf_addf(out, "json_valid(%s)", json);
}

static void add_try_cast(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                         const char *type)
{
    if (sql->base)
        base_api(sql)->add_try_cast(sql->base, out, expression, type);
    else
        rc_buf_addf(out, "try_cast(%s AS %s)", expression, type);
}

static void add_table(struct rc_sql *sql, struct rc_buf *out, const char *table)
{
    if (sql->base && base_api(sql)->add_table)
        base_api(sql)->add_table(sql->base, out, table);
    else
        rc_buf_add_ident(out, table);
}

static void add_hex(struct rc_sql *sql, struct rc_buf *out, const char *expression)
{
    if (sql->base)
        base_api(sql)->add_hex(sql->base, out, expression);
    else
        rc_buf_addf(out, "hex(%s)", expression);
}

static void add_sum(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                    const char *order)
{
    if (sql->base)
        base_api(sql)->add_sum(sql->base, out, expression, order);
    else
        rc_buf_addf(out, "sum(%s ORDER BY %s)", expression, order);
}

const struct rc_sql_api fake_sql_api = {
    .open = open_session,
    .close = close_session,
    .exec = exec,
    .query = query,
    .attach = attach,
    .write = write_output,
    .drop = drop,
    .cancel = cancel,
    .add_json_text = add_json_text,
    .add_json_valid = add_json_valid,
    .add_try_cast = add_try_cast,
    .open_with = open_with,
    .features = features,
    .make = make,
    .load = load,
    .refer = refer,
    .publish = publish,
    .search = search,
    .add_table = add_table,
    .add_hex = add_hex,
    .add_sum = add_sum,
};

/* ---- for the test --------------------------------------------------------------------------- */

static struct fake_answer *add_answer(struct rc_fake_host *fake, const char *text)
{
    /* Open rows point into this array, which may move: answers are put up before the run. */
    fake->answers = fake_grow(fake->answers, &fake->answer_count, sizeof *fake->answers);
    struct fake_answer *answer = &fake->answers[fake->answer_count - 1];
    answer->text = rc_strdup(text);
    return answer;
}

void rc_fake_host_answer_rows(struct rc_fake_host *host, const char *text,
                              const char *const *columns, size_t column_count,
                              const struct rc_value *cells, size_t row_count)
{
    struct fake_answer *answer = add_answer(host, text);
    answer->columns = columns;
    answer->column_count = column_count;
    answer->cells = cells;
    answer->row_count = row_count;
    answer->count = (int64_t)row_count;
}

void rc_fake_host_answer_count(struct rc_fake_host *host, const char *text, int64_t rows)
{
    add_answer(host, text)->count = rows;
}

void rc_fake_host_answer_error(struct rc_fake_host *host, const char *text, enum rc_code code,
                               const char *cause)
{
    struct fake_answer *answer = add_answer(host, text);
    answer->code = code;
    answer->cause = rc_strdup(cause);
}

void rc_fake_host_set_engine_features(struct rc_fake_host *host, uint32_t features)
{
    host->engine_features = features;
}

size_t rc_fake_host_statements(const struct rc_fake_host *host)
{
    return host->statement_count;
}

struct rc_fake_statement rc_fake_host_statement(const struct rc_fake_host *host, size_t index)
{
    RC_ASSERT(index < host->statement_count);
    const struct fake_statement *statement = &host->statements[index];
    return (struct rc_fake_statement){
        .verb = statement->verb,
        .text = statement->text,
        .location = statement->location,
    };
}

void fake_statements_clear(struct rc_fake_host *fake)
{
    for (size_t i = 0; i < fake->statement_count; i++) {
        free(fake->statements[i].text);
        free(fake->statements[i].location);
    }
    fake->statement_count = 0;
}

void fake_sql_clear(struct rc_fake_host *fake)
{
    for (size_t i = 0; i < fake->answer_count; i++) {
        free(fake->answers[i].text);
        free(fake->answers[i].cause);
    }
    free(fake->answers);
    fake_statements_clear(fake);
    free(fake->statements);
}
