/*
 * Tables of a session that are no files: made of a query, or of rows that the caller has. They are
 * DuckDB's own, in its memory, or where that is full on disk. There is no catalogue but the
 * session's: what wants one is refused, and a table for others is looked at and not left.
 */
#include <sql/duckdb_session.h>
#include <sql/load.h>

#include <run-core/str.h>

#include <string.h>

/* A table is made under this name: until it is whole, an older one is what it was. */
#define NEW_CATALOG "memory"
#define NEW_SCHEMA "main"
#define NEW_TABLE "run-core new table"
#define NEW NEW_CATALOG "." NEW_SCHEMA ".\"" NEW_TABLE "\""

enum { CHECK_EVERY_ROWS = 4096 };

/* ---- the name ------------------------------------------------------------------------------- */

/* Puts what was made in the place of an older table or view of that name. */
static enum rc_code take_name(struct core_duckdb_session *session, const char *table,
                              struct rc_error *err)
{
    RC_BUF_AUTO(sql, 64 * 1024);

    rc_buf_adds(&sql, "ALTER TABLE " NEW " RENAME TO ");
    rc_buf_add_ident(&sql, table);
    if (rc_buf_check(&sql, err) || core_duckdb_drop(&session->base, table, err))
        return err->code;
    return core_duckdb_run(session, sql.data, NULL, 0, NULL, err);
}

static void drop_new(struct core_duckdb_session *session)
{
    core_duckdb_run_always(session, "DROP TABLE IF EXISTS " NEW);
}

/* ---- of a query ----------------------------------------------------------------------------- */

enum rc_code core_duckdb_make(struct rc_sql *sql, const char *table, const char *query,
                              const struct rc_value *params, size_t param_count, int64_t *rows,
                              struct rc_error *err)
{
    struct core_duckdb_session *session = (struct core_duckdb_session *)sql;
    RC_BUF_AUTO(text, CORE_DUCKDB_STATEMENT_LIMIT);
    int64_t made = 0;

    rc_buf_adds(&text, "CREATE OR REPLACE TABLE " NEW " AS\n");
    rc_buf_adds(&text, query);
    if (rc_buf_check(&text, err) ||
        core_duckdb_run(session, text.data, params, param_count, &made, err))
        return rc_context(err, "make table '%s'", table);
    if (take_name(session, table, err)) {
        drop_new(session);
        return rc_context(err, "make table '%s'", table);
    }
    if (rows)
        *rows = made;
    return RC_OK;
}

/* ---- of rows -------------------------------------------------------------------------------- */

static enum rc_code create_new(struct core_duckdb_session *session,
                               const struct rc_sql_column *columns, size_t count,
                               struct rc_error *err)
{
    RC_BUF_AUTO(sql, CORE_DUCKDB_STATEMENT_LIMIT);

    if (core_load_check_columns(columns, count, err))
        return err->code;
    rc_buf_adds(&sql, "CREATE OR REPLACE TABLE " NEW " (");
    for (size_t i = 0; i < count; i++) {
        rc_buf_adds(&sql, i ? ", " : "");
        rc_buf_add_ident(&sql, columns[i].name);
        rc_buf_addf(&sql, " %s", columns[i].type);
    }
    rc_buf_addc(&sql, ')');
    if (rc_buf_check(&sql, err))
        return err->code;
    return core_duckdb_run(session, sql.data, NULL, 0, NULL, err);
}

struct loading {
    struct core_duckdb_session *session;
    const struct rc_sql_column *columns;
    size_t column_count;
    const struct rc_sql_rows *rows;
    struct duckdb_appender *appender;
};

static enum rc_code appender_failed(const struct loading *work, struct rc_error *err)
{
    const char *message = work->session->api->appender_error(work->appender);

    return core_duckdb_fail(work->session, message ? message : "the rows cannot be added", err);
}

static enum rc_code append_value(const struct loading *work, const struct rc_value *value,
                                 const struct rc_sql_column *column, struct rc_error *err)
{
    const struct core_duckdb_api *api = work->session->api;
    int failed = 0;

    if (core_load_check_value(column, value, err))
        return err->code;
    switch (value->type) {
    case RC_VALUE_BOOL:
        failed = api->append_bool(work->appender, value->boolean);
        break;
    case RC_VALUE_INT:
        failed = api->append_int64(work->appender, value->integer);
        break;
    case RC_VALUE_FLOAT:
        failed = api->append_double(work->appender, value->number);
        break;
    case RC_VALUE_TEXT:
        failed = api->append_varchar_length(work->appender, value->text, value->len);
        break;
    case RC_VALUE_BYTES: /* is no column's */
    case RC_VALUE_NULL:
        failed = api->append_null(work->appender);
        break;
    }
    return failed ? appender_failed(work, err) : RC_OK;
}

static enum rc_code append_rows(const struct loading *work, struct rc_error *err)
{
    const struct rc_value *row = NULL;

    for (int64_t count = 0;; count++) {
        if (count % CHECK_EVERY_ROWS == 0 && core_duckdb_check(work->session, err))
            return err->code;
        if (work->rows->next(work->rows->context, &row, err))
            return err->code;
        if (!row)
            break;
        for (size_t i = 0; i < work->column_count; i++)
            if (append_value(work, &row[i], &work->columns[i], err))
                return err->code;
        if (work->session->api->appender_end_row(work->appender))
            return appender_failed(work, err);
    }
    return work->session->api->appender_close(work->appender) ? appender_failed(work, err) : RC_OK;
}

static enum rc_code fill_new(struct loading *work, struct rc_error *err)
{
    struct core_duckdb_session *session = work->session;
    enum rc_code code;

    if (core_duckdb_begin(session, err))
        return err->code;
    if (session->api->appender_create_ext(session->connection, NEW_CATALOG, NEW_SCHEMA, NEW_TABLE,
                                          &work->appender))
        code = appender_failed(work, err);
    else
        code = append_rows(work, err);
    /* A failed one would still add what it holds, which goes with the table. */
    (void)session->api->appender_destroy(&work->appender);
    core_duckdb_end(session);
    return code;
}

enum rc_code core_duckdb_load_rows(struct rc_sql *sql, const char *table,
                                   const struct rc_sql_column *columns, size_t column_count,
                                   const struct rc_sql_rows *rows, struct rc_error *err)
{
    struct core_duckdb_session *session = (struct core_duckdb_session *)sql;
    struct loading work = {
        .session = session, .columns = columns, .column_count = column_count, .rows = rows
    };

    if (create_new(session, columns, column_count, err) || fill_new(&work, err) ||
        take_name(session, table, err)) {
        drop_new(session);
        return rc_context(err, "load table '%s'", table);
    }
    return RC_OK;
}

/* ---- what takes a catalogue ----------------------------------------------------------------- */

enum rc_code core_duckdb_refer(struct rc_sql *sql, const char *table, const char *database,
                               const char *name, struct rc_error *err)
{
    (void)sql;
    (void)table;
    return rc_fail(err, RC_UNSUPPORTED,
                   "the table '%s%s%s' cannot be asked for: the engine duckdb has no catalogue of "
                   "tables; give the folders of its files, or use an engine that has one, athena "
                   "or trino",
                   database ? database : "", database ? "." : "", name);
}

enum rc_code core_duckdb_search(struct rc_sql *sql, const struct rc_sql_lookup *search,
                                struct rc_rows **out, struct rc_error *err)
{
    (void)sql;
    (void)out;
    return rc_fail(err, RC_UNSUPPORTED,
                   "the files of table '%s' cannot be searched one by one: the engine duckdb does "
                   "not do that; athena and trino do",
                   search->table);
}
