/*
 * DuckDB by its C API, each session a database in memory. Results are read as a whole.
 */
#include "duckdb_sql.h"

#include <dlfcn.h>
#include <stdlib.h>

/* As the library's documentation declares them. */
struct duckdb_result {
    uint64_t column_count, row_count, rows_changed;
    void *columns;
    char *error;
    void *internal;
};
enum { DUCKDB_BIGINT = 5 };

static struct {
    int (*open)(const char *path, void **database);
    int (*connect)(void *database, void **connection);
    void (*disconnect)(void **connection);
    void (*close)(void **database);
    int (*query)(void *connection, const char *text, struct duckdb_result *result);
    const char *(*error)(struct duckdb_result *result);
    void (*destroy)(struct duckdb_result *result);
    uint64_t (*column_count)(struct duckdb_result *result);
    uint64_t (*row_count)(struct duckdb_result *result);
    int (*column_type)(struct duckdb_result *result, uint64_t column);
    bool (*is_null)(struct duckdb_result *result, uint64_t column, uint64_t row);
    int64_t (*integer)(struct duckdb_result *result, uint64_t column, uint64_t row);
    char *(*text)(struct duckdb_result *result, uint64_t column, uint64_t row);
    void (*free)(void *memory);
} duckdb;

struct rc_sql {
    void *database, *connection;
};

enum { COLUMNS = 8 };

struct result_rows {
    struct rc_rows rows;
    struct duckdb_result result;
    uint64_t at;
    struct rc_value row[COLUMNS];
    char *texts[COLUMNS];
};

static enum rc_code sql_open_with(struct rc_job *job, const struct rc_sql_options *options,
                                  struct rc_sql **out, struct rc_error *err)
{
    struct rc_sql *sql = rc_calloc(1, sizeof(*sql));

    (void)job;
    (void)options;
    if (duckdb.open(NULL, &sql->database) || duckdb.connect(sql->database, &sql->connection))
        return rc_fail(err, RC_FAILED, "the library opens no database");
    *out = sql;
    return RC_OK;
}

static uint32_t sql_features(struct rc_sql *sql)
{
    (void)sql;
    return RC_SQL_FILES | RC_SQL_ORDERED | RC_SQL_CSV;
}

static void sql_close(struct rc_sql *sql)
{
    duckdb.disconnect(&sql->connection);
    duckdb.close(&sql->database);
    free(sql);
}

static enum rc_code run(struct rc_sql *sql, const char *statement, struct duckdb_result *result,
                        struct rc_error *err)
{
    if (duckdb.query(sql->connection, statement, result) == 0)
        return RC_OK;
    (void)rc_fail(err, RC_FAILED, "%s", duckdb.error(result));
    duckdb.destroy(result);
    return err->code;
}

static enum rc_code sql_exec(struct rc_sql *sql, const char *statement,
                             const struct rc_value *params, size_t param_count, int64_t *changed,
                             struct rc_error *err)
{
    struct duckdb_result result;

    (void)params;
    RC_ASSERT(param_count == 0 && !changed);
    if (run(sql, statement, &result, err))
        return err->code;
    duckdb.destroy(&result);
    return RC_OK;
}

static void forget_row(struct result_rows *self)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        if (self->texts[i])
            duckdb.free(self->texts[i]);
        self->texts[i] = NULL;
    }
}

static enum rc_code rows_next(struct rc_rows *rows, const struct rc_value **row,
                              struct rc_error *err)
{
    struct result_rows *self = (struct result_rows *)rows;
    struct duckdb_result *result = &self->result;

    (void)err;
    forget_row(self);
    *row = self->at < duckdb.row_count(result) ? self->row : NULL;
    for (uint64_t i = 0; *row && i < duckdb.column_count(result); i++) {
        if (duckdb.is_null(result, i, self->at)) {
            self->row[i] = rc_value_null();
        } else if (duckdb.column_type(result, i) == DUCKDB_BIGINT) {
            self->row[i] = rc_value_int(duckdb.integer(result, i, self->at));
        } else {
            self->texts[i] = duckdb.text(result, i, self->at);
            self->row[i] = rc_value_text(self->texts[i]);
        }
    }
    self->at++;
    return RC_OK;
}

static size_t rows_columns(const struct rc_rows *rows, const char *const **names)
{
    struct result_rows *self = (struct result_rows *)rows;

    RC_ASSERT(!names);
    return (size_t)duckdb.column_count(&self->result);
}

static void rows_close(struct rc_rows *rows)
{
    struct result_rows *self = (struct result_rows *)rows;

    forget_row(self);
    duckdb.destroy(&self->result);
    free(self);
}

static enum rc_code sql_query(struct rc_sql *sql, const char *statement,
                              const struct rc_value *params, size_t param_count,
                              struct rc_rows **out, struct rc_error *err)
{
    static const struct rc_rows_api api = { .next = rows_next,
                                            .columns = rows_columns,
                                            .close = rows_close };
    struct result_rows *rows = rc_calloc(1, sizeof(*rows));

    (void)params;
    RC_ASSERT(param_count == 0);
    rows->rows.api = &api;
    if (run(sql, statement, &rows->result, err)) {
        free(rows);
        return err->code;
    }
    RC_ASSERT(duckdb.column_count(&rows->result) <= COLUMNS);
    *out = &rows->rows;
    return RC_OK;
}

const struct rc_sql_api *duckdb_sql_api(void)
{
    static const struct rc_sql_api api = {
        .close = sql_close,
        .exec = sql_exec,
        .query = sql_query,
        .open_with = sql_open_with,
        .features = sql_features,
    };
    const struct {
        const char *name;
        void *place;
    } functions[] = {
        { "duckdb_open", &duckdb.open },
        { "duckdb_connect", &duckdb.connect },
        { "duckdb_disconnect", &duckdb.disconnect },
        { "duckdb_close", &duckdb.close },
        { "duckdb_query", &duckdb.query },
        { "duckdb_result_error", &duckdb.error },
        { "duckdb_destroy_result", &duckdb.destroy },
        { "duckdb_column_count", &duckdb.column_count },
        { "duckdb_row_count", &duckdb.row_count },
        { "duckdb_column_type", &duckdb.column_type },
        { "duckdb_value_is_null", &duckdb.is_null },
        { "duckdb_value_int64", &duckdb.integer },
        { "duckdb_value_varchar", &duckdb.text },
        { "duckdb_free", &duckdb.free },
    };
    const char *path = getenv("RUN_CORE_DUCKDB");
    void *library = path && *path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;

    if (!library)
        return NULL;
    for (size_t i = 0; i < RC_ARRAY_LEN(functions); i++) {
        void *function = dlsym(library, functions[i].name);

        RC_ASSERT(function);
        memcpy(functions[i].place, &function, sizeof(function));
    }
    return &api;
}
