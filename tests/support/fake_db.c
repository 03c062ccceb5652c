/*
 * The state database of the fake host: one SQLite database in memory, which all handles of a
 * host share, and with it its transaction.
 */
#include "fake_internal.h"

#include <stdlib.h>

struct rc_db {
    struct fake_job *job;
    struct rc_db *base;
    sqlite3 *sqlite; /* of the host */
    bool in_transaction;
};

struct db_rows {
    struct rc_rows rows;
    sqlite3_stmt *statement;
    struct rc_value *row;
    const char **names;
    int columns;
};

static enum rc_code fail_sqlite(sqlite3 *sqlite, struct rc_error *err)
{
    int result = sqlite3_errcode(sqlite);
    enum rc_code code = result == SQLITE_CONSTRAINT || result == SQLITE_BUSY ? RC_CONFLICT
                        : result == SQLITE_ERROR || result == SQLITE_RANGE   ? RC_INVALID
                                                                             : RC_FAILED;
    return rc_fail(err, code, "%s", sqlite3_errmsg(sqlite));
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void take_value(sqlite3_stmt *statement, int column, struct rc_value *out)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        *out = rc_value_int(sqlite3_column_int64(statement, column));
        break;
    case SQLITE_FLOAT:
        *out = rc_value_float(sqlite3_column_double(statement, column));
        break;
    case SQLITE_TEXT:
        *out = rc_value_text((const char *)sqlite3_column_text(statement, column));
        out->len = (size_t)sqlite3_column_bytes(statement, column);
        break;
    case SQLITE_BLOB:
        *out = rc_value_bytes(sqlite3_column_blob(statement, column),
                              (size_t)sqlite3_column_bytes(statement, column));
        break;
    default:
        *out = rc_value_null();
    }
}

static enum rc_code rows_next(struct rc_rows *rows, const struct rc_value **row,
                              struct rc_error *err)
{
    struct db_rows *self = (struct db_rows *)rows;
    *row = NULL;
    int result = sqlite3_step(self->statement);
    if (result == SQLITE_DONE)
        return RC_OK;
    if (result != SQLITE_ROW)
        return fail_sqlite(sqlite3_db_handle(self->statement), err);
    for (int i = 0; i < self->columns; i++)
        take_value(self->statement, i, &self->row[i]);
    *row = self->row;
    return RC_OK;
}

static size_t rows_columns(const struct rc_rows *rows, const char *const **names)
{
    const struct db_rows *self = (const struct db_rows *)rows;
    if (names)
        *names = self->names;
    return (size_t)self->columns;
}

static void rows_close(struct rc_rows *rows)
{
    struct db_rows *self = (struct db_rows *)rows;
    sqlite3_finalize(self->statement);
    free(self->row);
    free(self->names);
    free(self);
}

static const struct rc_rows_api rows_api = {
    .next = rows_next,
    .columns = rows_columns,
    .close = rows_close,
};

static struct rc_rows *new_rows(sqlite3_stmt *statement)
{
    struct db_rows *rows = rc_calloc(1, sizeof *rows);
    rows->rows.api = &rows_api;
    rows->statement = statement;
    rows->columns = sqlite3_column_count(statement);
    rows->row = rc_calloc((size_t)rows->columns + 1, sizeof *rows->row);
    rows->names = rc_calloc((size_t)rows->columns + 1, sizeof *rows->names);
    for (int i = 0; i < rows->columns; i++)
        rows->names[i] = sqlite3_column_name(statement, i);
    return &rows->rows;
}

/* ---- statements ----------------------------------------------------------------------------- */

static int bind_value(sqlite3_stmt *statement, int at, const struct rc_value *value)
{
    switch (value->type) {
    case RC_VALUE_BOOL:
        return sqlite3_bind_int64(statement, at, value->boolean);
    case RC_VALUE_INT:
        return sqlite3_bind_int64(statement, at, value->integer);
    case RC_VALUE_FLOAT:
        return sqlite3_bind_double(statement, at, value->number);
    case RC_VALUE_TEXT:
        return sqlite3_bind_text64(statement, at, value->text, value->len, SQLITE_TRANSIENT,
                                   SQLITE_UTF8);
    case RC_VALUE_BYTES:
        return sqlite3_bind_blob64(statement, at, value->text, value->len, SQLITE_TRANSIENT);
    case RC_VALUE_NULL:
        break;
    }
    return sqlite3_bind_null(statement, at);
}

/* Prepares one statement and binds $1, $2, ...; every parameter has to be given and used. */
static enum rc_code prepare(sqlite3 *sqlite, const char *text, const struct rc_value *params,
                            size_t param_count, sqlite3_stmt **out, struct rc_error *err)
{
    const char *rest;
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(sqlite, text, -1, &statement, &rest))
        return fail_sqlite(sqlite, err);
    enum rc_code code = RC_OK;
    if (!statement || rest[strspn(rest, " \t\r\n;")] != '\0')
        code = rc_fail(err, RC_INVALID, "not exactly one statement: %s", text);
    else if ((size_t)sqlite3_bind_parameter_count(statement) != param_count)
        code = rc_fail(err, RC_INVALID, "the statement has %d parameters, %zu were given",
                       sqlite3_bind_parameter_count(statement), param_count);
    for (size_t i = 0; !code && i < param_count; i++) {
        char name[24];
        sqlite3_snprintf(sizeof name, name, "$%u", (unsigned)(i + 1));
        int at = sqlite3_bind_parameter_index(statement, name);
        if (at == 0)
            code = rc_fail(err, RC_INVALID, "the statement does not use %s", name);
        else if (bind_value(statement, at, &params[i]))
            code = fail_sqlite(sqlite, err);
    }
    if (code) {
        sqlite3_finalize(statement);
        return code;
    }
    *out = statement;
    return RC_OK;
}

static const struct rc_db_api *base_api(const struct rc_db *db)
{
    return db->job->base->host->db;
}

static enum rc_code exec(struct rc_db *db, const char *statement, const struct rc_value *params,
                         size_t param_count, int64_t *changed, struct rc_error *err)
{
    enum rc_code code = fake_call(db->job, "db.exec", statement, err);
    if (code)
        return code;
    if (db->base)
        return fake_end(db->job,
                        base_api(db)->exec(db->base, statement, params, param_count, changed, err),
                        err);

    sqlite3_stmt *prepared;
    code = prepare(db->sqlite, statement, params, param_count, &prepared, err);
    if (code)
        return code;
    int64_t before = sqlite3_total_changes(db->sqlite);
    if (sqlite3_stmt_readonly(prepared) || !fake_held_back(db->job, "db", statement)) {
        int result;
        do
            result = sqlite3_step(prepared);
        while (result == SQLITE_ROW);
        if (result != SQLITE_DONE)
            code = fail_sqlite(db->sqlite, err);
    }
    sqlite3_finalize(prepared);
    if (!code && changed)
        *changed = sqlite3_total_changes(db->sqlite) - before;
    return fake_end(db->job, code, err);
}

static enum rc_code query(struct rc_db *db, const char *statement, const struct rc_value *params,
                          size_t param_count, struct rc_rows **out, struct rc_error *err)
{
    struct rc_rows *rows = NULL;
    enum rc_code code = fake_call(db->job, "db.query", statement, err);
    if (code)
        return code;
    if (db->base) {
        code = base_api(db)->query(db->base, statement, params, param_count, &rows, err);
    } else {
        sqlite3_stmt *prepared;
        code = prepare(db->sqlite, statement, params, param_count, &prepared, err);
        if (!code && !sqlite3_stmt_readonly(prepared) && fake_held_back(db->job, "db", statement)) {
            sqlite3_finalize(prepared);
            code = prepare(db->sqlite, "SELECT NULL WHERE 0", NULL, 0, &prepared, err);
        }
        if (!code)
            rows = new_rows(prepared);
    }
    if (!code)
        *out = fake_rows_wrap(db->job, rows);
    return code;
}

static enum rc_code run(struct rc_db *db, const char *sql, struct rc_error *err)
{
    if (sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL))
        return fail_sqlite(db->sqlite, err);
    return RC_OK;
}

static enum rc_code begin(struct rc_db *db, struct rc_error *err)
{
    enum rc_code code = fake_call(db->job, "db.begin", "", err);
    if (!code && db->base)
        code = base_api(db)->begin(db->base, err);
    else if (!code)
        code = run(db, "BEGIN", err);
    db->in_transaction = db->in_transaction || !code;
    return code;
}

static enum rc_code commit(struct rc_db *db, struct rc_error *err)
{
    enum rc_code code = fake_call(db->job, "db.commit", "", err);
    if (!code && db->base)
        code = base_api(db)->commit(db->base, err);
    else if (!code)
        code = run(db, "COMMIT", err);
    code = fake_end(db->job, code, err);
    db->in_transaction = db->in_transaction && code;
    return code;
}

static void rollback(struct rc_db *db)
{
    if (db->base)
        base_api(db)->rollback(db->base);
    else if (db->in_transaction && !sqlite3_get_autocommit(db->sqlite))
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    db->in_transaction = false;
}

/* ---- life ----------------------------------------------------------------------------------- */

/* The schema's number is kept in the database's own header. */
static enum rc_code migrate(struct rc_db *db, const struct rc_migration *migrations, size_t count,
                            struct rc_error *err)
{
    sqlite3_stmt *prepared;
    enum rc_code code = prepare(db->sqlite, "PRAGMA user_version", NULL, 0, &prepared, err);
    if (code)
        return code;
    sqlite3_step(prepared);
    int present = sqlite3_column_int(prepared, 0);
    sqlite3_finalize(prepared);

    if (present > (int)count)
        return rc_fail(err, RC_INVALID, "the schema is at step %d, the plugin knows %zu", present,
                       count);
    for (size_t i = 0; i < count; i++) {
        RC_ASSERT(migrations[i].number == (int)i + 1);
        if (migrations[i].number <= present)
            continue;
        RC_STR_AUTO step = rc_strf("BEGIN; %s; PRAGMA user_version = %d; COMMIT", migrations[i].sql,
                                   migrations[i].number);
        code = run(db, step, err);
        if (code) {
            sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
            return rc_context(err, "migration %d", migrations[i].number);
        }
    }
    return RC_OK;
}

static enum rc_code open_own(struct rc_db *db, const struct rc_migration *migrations, size_t count,
                             struct rc_error *err)
{
    struct rc_fake_host *fake = db->job->fake;
    pthread_mutex_lock(&fake->mutex);
    if (!fake->db && sqlite3_open(":memory:", &fake->db))
        abort();
    db->sqlite = fake->db;
    pthread_mutex_unlock(&fake->mutex);
    return migrate(db, migrations, count, err);
}

static enum rc_code open_handle(struct rc_job *job, const struct rc_migration *migrations,
                                size_t count, struct rc_db **out, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = fake_call(self, "db.open", "", err);
    if (code)
        return code;
    struct rc_db *db = rc_calloc(1, sizeof *db);
    db->job = self;
    if (FAKE_BASE(self, db))
        code = self->base->host->db->open(self->base, migrations, count, &db->base, err);
    else
        code = open_own(db, migrations, count, err);
    code = fake_end(self, code, err);
    if (code && db->base)
        base_api(db)->close(db->base);
    if (code) {
        free(db);
        return code;
    }
    fake_opened(self->fake);
    *out = db;
    return RC_OK;
}

static void close_handle(struct rc_db *db)
{
    fake_closed(db->job->fake);
    if (db->base)
        base_api(db)->close(db->base);
    else
        rollback(db);
    free(db);
}

void fake_db_rollback(struct rc_fake_host *fake)
{
    if (fake->db && !sqlite3_get_autocommit(fake->db))
        sqlite3_exec(fake->db, "ROLLBACK", NULL, NULL, NULL);
}

void fake_db_clear(struct rc_fake_host *fake)
{
    sqlite3_close(fake->db);
}

const struct rc_db_api fake_db_api = {
    .open = open_handle,
    .close = close_handle,
    .exec = exec,
    .query = query,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
};
