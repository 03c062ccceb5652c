/*
 * A plugin's own schema: a file of its own beside the core's, behind the walls of guard.c.
 */
#include <db/internal.h>

#include <os/file.h>
#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FOLDER_MODE = 0700, BYTES_LIMIT = 1 << 30 };

/* Rows that are open keep it, too. */
struct rc_db {
    struct core_sqlite sqlite;
    size_t references;
};

static void release(struct rc_db *db)
{
    if (--db->references > 0)
        return;
    core_sqlite_close(&db->sqlite);
    free(db);
}

/* The name becomes that of a file. */
static enum rc_code check_plugin(const char *plugin, struct rc_error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = strlen(plugin);

    if (len == 0 || len > 200 || strspn(plugin, allowed) != len)
        return rc_fail(
            err, RC_INVALID,
            "'%.200s' is no name for a plugin's schema; use letters, digits, '-' and '_'", plugin);
    return RC_OK;
}

static enum rc_code open_schema(struct rc_db *db, const char *path, const char *plugin,
                                const struct rc_migration *migrations, size_t count,
                                const struct core_cancel *cancel, struct rc_error *err)
{
    RC_STR_AUTO owner = rc_strf("the plugin '%s'", plugin);

    if (core_sqlite_open(path, /* durable = */ true, cancel, &db->sqlite, err))
        return err->code;
    core_sqlite_wall(&db->sqlite);
    if (core_sqlite_migrate(&db->sqlite, owner, migrations, count, err))
        core_sqlite_close(&db->sqlite);
    else
        return RC_OK;
    return err->code;
}

enum rc_code core_db_open_plugin(struct core_db *db, const char *plugin,
                                 const struct rc_migration *migrations, size_t count,
                                 const struct core_cancel *cancel, struct rc_db **out,
                                 struct rc_error *err)
{
    RC_STR_AUTO folder = rc_strf("%s/plugins", db->folder);
    RC_STR_AUTO path = rc_strf("%s/%s.db", folder, plugin);
    struct rc_db *opened;

    *out = NULL;
    if (core_cancel_check(cancel, err) || check_plugin(plugin, err) ||
        core_dir_make(folder, FOLDER_MODE, err))
        return err->code;
    opened = rc_calloc(1, sizeof(*opened));
    opened->references = 1;
    if (open_schema(opened, path, plugin, migrations, count, cancel, err)) {
        free(opened);
        return err->code;
    }
    *out = opened;
    return RC_OK;
}

void core_db_close_plugin(struct rc_db *db)
{
    if (!db)
        return;
    core_sqlite_rollback(&db->sqlite);
    release(db);
}

/* ---- statements --------------------------------------------------------------------------- */

enum rc_code core_db_exec(struct rc_db *db, const char *statement, const struct rc_value *params,
                          size_t param_count, int64_t *changed, struct rc_error *err)
{
    if (core_cancel_check(db->sqlite.cancel, err))
        return err->code;
    return core_sqlite_exec(&db->sqlite, statement, params, param_count, changed, err);
}

enum rc_code core_db_is_read(struct rc_db *db, const char *statement, bool *reads,
                             struct rc_error *err)
{
    CORE_STMT_AUTO(stmt);

    if (core_sqlite_compile(&db->sqlite, statement, &stmt, err))
        return err->code;
    *reads = sqlite3_stmt_readonly(stmt) != 0;
    return RC_OK;
}

enum rc_code core_db_begin(struct rc_db *db, struct rc_error *err)
{
    if (!sqlite3_get_autocommit(db->sqlite.handle))
        return rc_fail(err, RC_INVALID, "a transaction is open already; they do not nest");
    if (core_cancel_check(db->sqlite.cancel, err))
        return err->code;
    /* With the write lock from the start, a transaction never loses a race halfway. */
    return core_sqlite_begin(&db->sqlite, err);
}

enum rc_code core_db_commit(struct rc_db *db, struct rc_error *err)
{
    if (sqlite3_get_autocommit(db->sqlite.handle))
        return rc_fail(err, RC_INVALID, "no transaction is open; an error before has ended it");
    return core_sqlite_commit(&db->sqlite, err);
}

void core_db_rollback(struct rc_db *db)
{
    core_sqlite_rollback(&db->sqlite);
}

/* ---- rows --------------------------------------------------------------------------------- */

struct db_rows {
    struct rc_rows base;
    struct rc_db *db;
    sqlite3_stmt *stmt;
    bool ahead; /* the statement stands on a row that was not given out yet */
    bool ended;
    bool writes; /* its last step commits, and that error must be seen before its rows are */
    size_t columns;
    const char **names;
    bool *booleans; /* the column is declared as BOOLEAN, which SQLite keeps as a number */
    struct rc_value *row;
    struct rc_buf *bytes; /* of the texts and blobs in 'row' */
};

/* A copy, with a NUL behind it: a statement that writes has moved on when its row is looked at. */
static void copy_bytes(struct rc_buf *out, sqlite3_stmt *stmt, int column, bool is_text)
{
    /* The length is of the text only after the text was asked for. */
    const void *data = is_text ? (const void *)sqlite3_column_text(stmt, column)
                               : sqlite3_column_blob(stmt, column);

    rc_buf_reset(out);
    rc_buf_add(out, data, (size_t)sqlite3_column_bytes(stmt, column));
}

static struct rc_value column_value(struct db_rows *rows, size_t index)
{
    int column = (int)index;
    struct rc_buf *bytes = &rows->bytes[index];
    int64_t integer;

    switch (sqlite3_column_type(rows->stmt, column)) {
    case SQLITE_INTEGER:
        integer = sqlite3_column_int64(rows->stmt, column);
        if (rows->booleans[index] && (integer == 0 || integer == 1))
            return rc_value_bool(integer == 1);
        return rc_value_int(integer);
    case SQLITE_FLOAT:
        return rc_value_float(sqlite3_column_double(rows->stmt, column));
    case SQLITE_TEXT:
        copy_bytes(bytes, rows->stmt, column, /* is_text = */ true);
        return (struct rc_value){ .type = RC_VALUE_TEXT, .text = bytes->data, .len = bytes->len };
    case SQLITE_BLOB:
        copy_bytes(bytes, rows->stmt, column, /* is_text = */ false);
        return rc_value_bytes(bytes->data, bytes->len);
    default:
        return rc_value_null();
    }
}

static enum rc_code step_ahead(struct db_rows *rows, struct rc_error *err)
{
    enum rc_code code = core_sqlite_step(&rows->db->sqlite, rows->stmt, &rows->ahead, err);

    rows->ended = !rows->ahead;
    return code;
}

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct db_rows *rows = (struct db_rows *)base;

    *row = NULL;
    if (core_cancel_check(rows->db->sqlite.cancel, err))
        return err->code;
    if (!rows->ahead && !rows->ended && step_ahead(rows, err))
        return err->code;
    if (!rows->ahead)
        return RC_OK;
    for (size_t i = 0; i < rows->columns; i++)
        rows->row[i] = column_value(rows, i);
    rows->ahead = false;
    if (rows->writes && step_ahead(rows, err))
        return err->code;
    *row = rows->row;
    return RC_OK;
}

static size_t rows_columns(const struct rc_rows *base, const char *const **names)
{
    const struct db_rows *rows = (const struct db_rows *)base;

    if (names)
        *names = rows->names;
    return rows->columns;
}

static void rows_close(struct rc_rows *base)
{
    struct db_rows *rows = (struct db_rows *)base;

    core_sqlite_finalize(&rows->stmt);
    for (size_t i = 0; i < rows->columns; i++)
        rc_buf_clear(&rows->bytes[i]);
    free(rows->bytes);
    free(rows->row);
    free(rows->booleans);
    free((void *)rows->names);
    release(rows->db);
    free(rows);
}

static const struct rc_rows_api rows_api = {
    .next = rows_next,
    .columns = rows_columns,
    .close = rows_close,
};

static struct rc_rows *make_rows(struct rc_db *db, sqlite3_stmt *stmt, bool ahead)
{
    struct db_rows *rows = rc_malloc(sizeof(*rows));
    size_t columns = (size_t)sqlite3_column_count(stmt);

    *rows = (struct db_rows){
        .base = { .api = &rows_api },
        .db = db,
        .stmt = stmt,
        .ahead = ahead,
        .ended = !ahead,
        .writes = !sqlite3_stmt_readonly(stmt),
        .columns = columns,
        .names = rc_calloc(columns + 1, sizeof(*rows->names)),
        .booleans = rc_calloc(columns + 1, sizeof(*rows->booleans)),
        .row = rc_calloc(columns + 1, sizeof(*rows->row)),
        .bytes = rc_calloc(columns + 1, sizeof(*rows->bytes)),
    };
    for (size_t i = 0; i < columns; i++) {
        const char *type = sqlite3_column_decltype(stmt, (int)i);

        rows->names[i] = sqlite3_column_name(stmt, (int)i);
        rows->booleans[i] = type && strncasecmp(type, "bool", 4) == 0;
        rc_buf_init(&rows->bytes[i], BYTES_LIMIT);
    }
    db->references++;
    return &rows->base;
}

enum rc_code core_db_query(struct rc_db *db, const char *statement, const struct rc_value *params,
                           size_t param_count, struct rc_rows **out, struct rc_error *err)
{
    sqlite3_stmt *stmt;
    bool ahead;

    *out = NULL;
    if (core_cancel_check(db->sqlite.cancel, err) ||
        core_sqlite_prepare(&db->sqlite, statement, params, param_count, &stmt, err))
        return err->code;
    /*
     * The first step here, so that an INSERT ... RETURNING is done, and its errors are seen, at
     * once.
     */
    if (core_sqlite_step(&db->sqlite, stmt, &ahead, err)) {
        core_sqlite_finalize(&stmt);
        return err->code;
    }
    *out = make_rows(db, stmt, ahead);
    return RC_OK;
}
