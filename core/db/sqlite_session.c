/*
 * Sessions on SQLite: the statements, transactions and rows of session.h.
 */
#include <db/sqlite.h>

#include <os/clock.h>
#include <run-core/buf.h>

#include <stdlib.h>
#include <strings.h>

enum { BYTES_LIMIT = 1 << 30 };

static struct core_sqlite *sqlite_of(struct core_session *session)
{
    return (struct core_sqlite *)session;
}

/* ---- statements --------------------------------------------------------------------------- */

static enum rc_code sqlite_exec(struct core_session *session, const char *statement,
                                const struct rc_value *params, size_t count, int64_t *changed,
                                struct rc_error *err)
{
    struct core_sqlite *db = sqlite_of(session);
    int64_t before = sqlite3_total_changes64(db->handle);
    enum rc_code code = RC_OK;
    sqlite3_stmt *stmt;
    bool row = true;

    if (core_sqlite_prepare(db, statement, params, count, &stmt, err))
        return err->code;
    while (row && !code)
        code = core_sqlite_step(db, stmt, &row, err);
    core_sqlite_give(db, &stmt);
    /* Statements that change the schema leave the last count as it was. */
    if (changed && !code)
        *changed =
            sqlite3_total_changes64(db->handle) == before ? 0 : sqlite3_changes64(db->handle);
    return code;
}

static enum rc_code sqlite_is_read(struct core_session *session, const char *statement, bool *reads,
                                   struct rc_error *err)
{
    CORE_STMT_AUTO(stmt);

    if (core_sqlite_compile(sqlite_of(session), statement, &stmt, err))
        return err->code;
    *reads = sqlite3_stmt_readonly(stmt) != 0;
    return RC_OK;
}

static enum rc_code sqlite_run_script(struct core_session *session, const char *sql,
                                      struct rc_error *err)
{
    struct core_sqlite *db = sqlite_of(session);

    while (*sql) {
        CORE_STMT_AUTO(stmt);
        bool row = true;
        int result = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, &sql);

        if (result != SQLITE_OK)
            return core_sqlite_fail(db, result, err);
        while (stmt && row)
            if (core_sqlite_step(db, stmt, &row, err))
                return err->code;
    }
    return RC_OK;
}

static enum rc_code sqlite_now_unix_ms(struct core_session *session, int64_t *out,
                                       struct rc_error *err)
{
    (void)session;
    (void)err;
    *out = core_clock_real_unix_ms();
    return RC_OK;
}

/* ---- transactions ------------------------------------------------------------------------- */

static bool sqlite_in_transaction(const struct core_session *session)
{
    return !sqlite3_get_autocommit(((const struct core_sqlite *)session)->handle);
}

/* With the write lock from the start, a transaction never loses a race halfway. */
static enum rc_code sqlite_begin(struct core_session *session, struct rc_error *err)
{
    return core_sqlite_run(sqlite_of(session), "BEGIN IMMEDIATE", err);
}

static void sqlite_rollback(struct core_session *session)
{
    struct rc_error ignored;

    /* SQLite has ended the transaction itself after a full disk and the like. */
    if (sqlite_in_transaction(session) && core_sqlite_run(sqlite_of(session), "ROLLBACK", &ignored))
        return; /* closing the handle ends it then */
}

static enum rc_code sqlite_commit(struct core_session *session, struct rc_error *err)
{
    if (core_sqlite_run(sqlite_of(session), "COMMIT", err) == RC_OK)
        return RC_OK;
    sqlite_rollback(session);
    return err->code;
}

/* ---- rows --------------------------------------------------------------------------------- */

struct sqlite_rows {
    struct rc_rows base;
    struct core_sqlite *db;
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

static struct rc_value column_value(struct sqlite_rows *rows, size_t index)
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

static enum rc_code step_ahead(struct sqlite_rows *rows, struct rc_error *err)
{
    enum rc_code code = core_sqlite_step(rows->db, rows->stmt, &rows->ahead, err);

    rows->ended = !rows->ahead;
    return code;
}

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct sqlite_rows *rows = (struct sqlite_rows *)base;

    *row = NULL;
    if (core_cancel_check(rows->db->session.cancel, err))
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
    const struct sqlite_rows *rows = (const struct sqlite_rows *)base;

    if (names)
        *names = rows->names;
    return rows->columns;
}

static void rows_close(struct rc_rows *base)
{
    struct sqlite_rows *rows = (struct sqlite_rows *)base;

    core_sqlite_give(rows->db, &rows->stmt);
    for (size_t i = 0; i < rows->columns; i++)
        rc_buf_clear(&rows->bytes[i]);
    free(rows->bytes);
    free(rows->row);
    free(rows->booleans);
    free((void *)rows->names);
    core_sqlite_release(rows->db);
    free(rows);
}

static const struct rc_rows_api rows_api = {
    .next = rows_next,
    .columns = rows_columns,
    .close = rows_close,
};

static struct rc_rows *make_rows(struct core_sqlite *db, sqlite3_stmt *stmt, bool ahead)
{
    struct sqlite_rows *rows = rc_malloc(sizeof(*rows));
    size_t columns = (size_t)sqlite3_column_count(stmt);

    *rows = (struct sqlite_rows){
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

static enum rc_code sqlite_query(struct core_session *session, const char *statement,
                                 const struct rc_value *params, size_t count, struct rc_rows **out,
                                 struct rc_error *err)
{
    struct core_sqlite *db = sqlite_of(session);
    sqlite3_stmt *stmt;
    bool ahead;

    *out = NULL;
    if (core_sqlite_prepare(db, statement, params, count, &stmt, err))
        return err->code;
    /*
     * The first step here, so that an INSERT ... RETURNING is done, and its errors are seen, at
     * once.
     */
    if (core_sqlite_step(db, stmt, &ahead, err)) {
        core_sqlite_give(db, &stmt);
        return err->code;
    }
    *out = make_rows(db, stmt, ahead);
    return RC_OK;
}

/* ---- owners ------------------------------------------------------------------------------- */

static bool sqlite_rest(struct core_session *session)
{
    const struct core_sqlite *db = sqlite_of(session);

    return db->references == 1 && !sqlite_in_transaction(session) && !db->has_temporary;
}

/* The file may have been set aside, or a backup put in its place. */
static enum rc_code sqlite_wake(struct core_session *session, struct rc_error *err)
{
    const struct core_sqlite *db = sqlite_of(session);
    int moved = 0;

    if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK ||
        moved)
        return rc_fail(err, RC_UNAVAILABLE, "state database '%s': another file is there now",
                       db->path);
    return RC_OK;
}

/* ---- the end ------------------------------------------------------------------------------ */

/*
 * SQLite keeps per process what it has locked, and a child has none of its parent's locks: a
 * connection that the child opened to the same file would believe that it shares them, and either
 * wait for ever or write without any. So the inherited one is closed, without a checkpoint: that
 * neither writes nor takes away what the parent holds.
 */
static void sqlite_forget(struct core_session *session)
{
    struct core_sqlite *db = sqlite_of(session);
    sqlite3_stmt *stmt;

    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    core_sqlite_clear_idle(db);
    while ((stmt = sqlite3_next_stmt(db->handle, NULL)))
        core_sqlite_finalize(&stmt);
    db->references = 1;
    core_sqlite_release(db);
}

static void sqlite_close(struct core_session *session)
{
    sqlite_rollback(session);
    core_sqlite_release(sqlite_of(session));
}

const struct core_session_ops core_sqlite_session_ops = {
    .name = "SQLite",
    .shared = false,
    .exec = sqlite_exec,
    .query = sqlite_query,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .in_transaction = sqlite_in_transaction,
    .now_unix_ms = sqlite_now_unix_ms,
    .is_read = sqlite_is_read,
    .contents = "SELECT count(*), coalesce(sum(name = 'run_core_schema'), 0) FROM sqlite_schema",
    .run_script = sqlite_run_script,
    .rest = sqlite_rest,
    .wake = sqlite_wake,
    .forget = sqlite_forget,
    .close = sqlite_close,
};
