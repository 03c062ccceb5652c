/*
 * Connections to SQLite and statements on them. Knows nothing of schemas.
 */
#include <db/sqlite.h>

#include <os/clock.h>
#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUSY_LIMIT_MS = 10000,
    BUSY_SLEEP_MS = 20,      /* at most, between two looks at a lock */
    LOG_PAGES = 200,         /* after which the log is copied into the file */
    STEPS_PER_CHECK = 10000, /* of SQLite's machine, between two looks at the cancellation */
};

/* ---- errors ------------------------------------------------------------------------------- */

static enum rc_code code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_CONSTRAINT:
        return RC_CONFLICT;
    case SQLITE_BUSY:
        return result == SQLITE_BUSY_SNAPSHOT ? RC_CONFLICT : RC_UNAVAILABLE;
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_PROTOCOL:
        return RC_UNAVAILABLE;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return RC_DENIED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return RC_CORRUPT;
    case SQLITE_TOOBIG:
        return RC_TOO_LARGE;
    case SQLITE_ERROR:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
        return RC_INVALID;
    default:
        return RC_FAILED;
    }
}

static enum rc_code fail_system(const struct core_sqlite *db, int result, struct rc_error *err)
{
    int error_number = sqlite3_system_errno(db->handle);

    if (error_number == 0)
        return rc_fail(err, RC_FAILED, "state database '%s': %s", db->path, sqlite3_errstr(result));
    return rc_fail_errno(err, error_number, "state database '%s': %s", db->path,
                         sqlite3_errstr(result));
}

enum rc_code core_sqlite_fail(const struct core_sqlite *db, int result, struct rc_error *err)
{
    const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(result);
    int kind = result & 0xff;

    if (kind == SQLITE_NOMEM)
        rc_out_of_memory(0);
    /* Both come of a wait or a computation that the cancellation cut short. */
    if ((kind == SQLITE_INTERRUPT || kind == SQLITE_BUSY) &&
        core_cancel_check(db->session.cancel, err))
        return err->code;
    if (db->handle && (kind == SQLITE_CANTOPEN || kind == SQLITE_IOERR))
        return fail_system(db, result, err);
    switch (kind) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return rc_fail(err, RC_CORRUPT,
                       "state database '%s': %s; to go on without it, set it aside with its "
                       "companions: mkdir '%s.broken' && mv '%s' '%s'-* '%s.broken'",
                       db->path, text, db->path, db->path, db->path, db->path);
    case SQLITE_FULL:
        return rc_fail(err, RC_UNAVAILABLE, "state database '%s': the disk is full", db->path);
    case SQLITE_BUSY:
        if (result != SQLITE_BUSY_SNAPSHOT)
            return rc_fail(err, RC_UNAVAILABLE,
                           "state database '%s': another process kept it locked for %lld s",
                           db->path, (long long)(db->busy_limit_ms / 1000));
        break;
    case SQLITE_AUTH:
        return rc_fail(err, RC_DENIED,
                       "%s: a plugin's statements may only use the tables of its own schema; no "
                       "ATTACH, PRAGMA, VACUUM INTO, virtual tables or BEGIN (use rc_db_begin)",
                       text);
    default:
        break;
    }
    return rc_fail(err, code_of(result), "state database '%s': %s", db->path, text);
}

/* ---- connections -------------------------------------------------------------------------- */

/* SQLite asks whether it shall wait on; 0 ends in SQLITE_BUSY. */
static int wait_on(void *context, int attempt)
{
    struct core_sqlite *db = context;
    int64_t now_ms = core_clock_mono_ms();

    if (attempt == 0)
        db->busy_since_ms = now_ms;
    if (core_cancel_code(db->session.cancel) || now_ms - db->busy_since_ms >= db->busy_limit_ms)
        return 0;
    core_clock_sleep_ms(attempt < BUSY_SLEEP_MS ? attempt + 1 : BUSY_SLEEP_MS);
    return 1;
}

static int is_cancelled(void *context)
{
    const struct core_sqlite *db = context;

    return core_cancel_code(db->session.cancel) != RC_OK;
}

/*
 * SQLite would make the file readable for everybody; what belongs to it takes over its mode. The
 * file is made without being opened: to close a descriptor of it would drop the locks of all other
 * connections that this process has to it.
 */
static enum rc_code make_private(const char *path, struct rc_error *err)
{
    if (mknod(path, S_IFREG | 0600, 0) != 0 && errno != EEXIST)
        return rc_fail_errno(err, errno, "make the state database '%s'", path);
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0)
        return rc_fail_errno(err, errno, "open the state database '%s'", path);
    return RC_OK;
}

static void configure(struct core_sqlite *db)
{
    static const struct {
        int option, value;
    } options[] = {
        { SQLITE_DBCONFIG_ENABLE_FKEY, 1 },
        { SQLITE_DBCONFIG_DEFENSIVE, 1 },
        { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
        /* "name" is an identifier, as in PostgreSQL, and never a text. */
        { SQLITE_DBCONFIG_DQS_DML, 0 },
        { SQLITE_DBCONFIG_DQS_DDL, 0 },
        /*
         * To copy the log into the file and flush the disk at the end of each run costs more than
         * to read it at the next one, as long as it is kept short.
         */
        { SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(options); i++)
        (void)sqlite3_db_config(db->handle, options[i].option, options[i].value, NULL);
    (void)sqlite3_wal_autocheckpoint(db->handle, LOG_PAGES);
    (void)sqlite3_extended_result_codes(db->handle, 1);
    (void)sqlite3_busy_handler(db->handle, wait_on, db);
    /* Also without a cancellation: the next owner of the session may have one. */
    sqlite3_progress_handler(db->handle, STEPS_PER_CHECK, is_cancelled, db);
}

/*
 * What a plugin was told is committed must be there after a power failure: FULL, one flush of the
 * disk a commit. What only tells living processes from each other may lose its last moments then,
 * with these: NORMAL. To begin with WAL needs the file for oneself, and SQLite does not wait for
 * that by itself.
 */
static enum rc_code set_journal(struct core_sqlite *db, bool durable, struct rc_error *err)
{
    int64_t deadline_ms = core_clock_mono_ms() + db->busy_limit_ms;

    while (core_sqlite_run(db, "PRAGMA journal_mode = WAL", err)) {
        if (err->code != RC_UNAVAILABLE || core_clock_mono_ms() >= deadline_ms)
            return err->code;
        core_clock_sleep_ms(2);
    }
    return core_sqlite_run(
        db, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err);
}

static enum rc_code connect(struct core_sqlite *db, bool durable, struct rc_error *err)
{
    int result;

    if (make_private(db->path, err))
        return err->code;
    result = sqlite3_open_v2(db->path, &db->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                             NULL);
    if (result != SQLITE_OK)
        return core_sqlite_fail(db, result, err);
    configure(db);
    return set_journal(db, durable, err);
}

enum rc_code core_sqlite_open(const char *path, bool durable, const struct core_cancel *cancel,
                              struct core_sqlite **out, struct rc_error *err)
{
    struct core_sqlite *db = rc_malloc(sizeof(*db));

    *out = NULL;
    *db = (struct core_sqlite){
        .session = { .ops = &core_sqlite_session_ops,
                     .place = rc_strf("'%s'", path),
                     .cancel = cancel,
                     .own = true },
        .path = rc_strdup(path),
        .busy_limit_ms = BUSY_LIMIT_MS,
        .references = 1,
    };
    if (connect(db, durable, err)) {
        core_sqlite_release(db);
        return err->code;
    }
    *out = db;
    return RC_OK;
}

void core_sqlite_release(struct core_sqlite *db)
{
    if (--db->references > 0)
        return;
    if (db->handle) {
        core_sqlite_clear_idle(db);
        (void)sqlite3_busy_handler(db->handle, NULL, NULL);
        sqlite3_progress_handler(db->handle, 0, NULL, NULL);
        (void)sqlite3_set_authorizer(db->handle, NULL, NULL);
        (void)sqlite3_close_v2(db->handle);
    }
    free(db->path);
    free(db->session.place);
    free(db);
}

/* ---- statements --------------------------------------------------------------------------- */

void core_sqlite_finalize(sqlite3_stmt **stmt)
{
    (void)sqlite3_finalize(*stmt);
    *stmt = NULL;
}

enum rc_code core_sqlite_compile(struct core_sqlite *db, const char *statement, sqlite3_stmt **out,
                                 struct rc_error *err)
{
    CORE_STMT_AUTO(stmt);
    CORE_STMT_AUTO(second);
    const char *rest = statement;
    int result;

    *out = NULL;
    result = sqlite3_prepare_v2(db->handle, statement, -1, &stmt, &rest);
    if (result != SQLITE_OK)
        return core_sqlite_fail(db, result, err);
    if (!stmt)
        return rc_fail(err, RC_INVALID, "the statement is empty");
    /* What follows may be blanks and comments, of which SQLite makes no statement. */
    while (*rest) {
        result = sqlite3_prepare_v2(db->handle, rest, -1, &second, &rest);
        if (result != SQLITE_OK || second)
            return rc_fail(err, RC_INVALID,
                           "there is more than one statement in one call: '%.200s'", statement);
    }
    *out = stmt;
    stmt = NULL;
    return RC_OK;
}

/* The number in "$12", or 0. */
static size_t parameter_number(const char *name)
{
    int64_t number = 0;

    if (!name || name[0] != '$' || !rc_parse_int(name + 1, &number) || number < 1)
        return 0;
    return (size_t)number;
}

static int bind_value(sqlite3_stmt *stmt, int index, const struct rc_value *value)
{
    switch (value->type) {
    case RC_VALUE_NULL:
        return sqlite3_bind_null(stmt, index);
    case RC_VALUE_BOOL:
        return sqlite3_bind_int(stmt, index, value->boolean);
    case RC_VALUE_INT:
        return sqlite3_bind_int64(stmt, index, value->integer);
    case RC_VALUE_FLOAT:
        return sqlite3_bind_double(stmt, index, value->number);
    case RC_VALUE_TEXT:
        return sqlite3_bind_text64(stmt, index, value->text, value->len, SQLITE_TRANSIENT,
                                   SQLITE_UTF8);
    case RC_VALUE_BYTES:
        return value->len > 0
                   ? sqlite3_bind_blob64(stmt, index, value->text, value->len, SQLITE_TRANSIENT)
                   : sqlite3_bind_zeroblob(stmt, index, 0);
    }
    return SQLITE_MISMATCH;
}

static enum rc_code bind_all(struct core_sqlite *db, sqlite3_stmt *stmt,
                             const struct rc_value *params, size_t count, struct rc_error *err)
{
    size_t highest = 0;

    /* SQLite takes $1 for a name and numbers parameters as they come. */
    for (int index = 1; index <= sqlite3_bind_parameter_count(stmt); index++) {
        const char *name = sqlite3_bind_parameter_name(stmt, index);
        size_t number = parameter_number(name);

        if (number == 0)
            return rc_fail(err, RC_INVALID, "'%s' is no parameter; write $1, $2, ...",
                           name ? name : "?");
        if (number > highest)
            highest = number;
        if (number <= count) {
            int result = bind_value(stmt, index, &params[number - 1]);

            if (result != SQLITE_OK)
                return core_sqlite_fail(db, result, err);
        }
    }
    if (highest != count)
        return rc_fail(err, RC_INVALID, "the statement has parameters up to $%zu, but %zu %s given",
                       highest, count, count == 1 ? "value was" : "values were");
    return RC_OK;
}

enum rc_code core_sqlite_prepare(struct core_sqlite *db, const char *statement,
                                 const struct rc_value *params, size_t count, sqlite3_stmt **out,
                                 struct rc_error *err)
{
    *out = core_sqlite_take(db, statement);
    if (!*out && core_sqlite_compile(db, statement, out, err))
        return err->code;
    if (bind_all(db, *out, params, count, err))
        core_sqlite_give(db, out);
    else
        return RC_OK;
    return err->code;
}

enum rc_code core_sqlite_step(struct core_sqlite *db, sqlite3_stmt *stmt, bool *row,
                              struct rc_error *err)
{
    int result = sqlite3_step(stmt);

    *row = result == SQLITE_ROW;
    if (result == SQLITE_ROW || result == SQLITE_DONE)
        return RC_OK;
    return core_sqlite_fail(db, result, err);
}

enum rc_code core_sqlite_run(struct core_sqlite *db, const char *statement, struct rc_error *err)
{
    CORE_STMT_AUTO(stmt);
    bool own = db->session.own;
    enum rc_code code;
    bool row;

    db->session.own = true;
    code = core_sqlite_compile(db, statement, &stmt, err);
    if (!code)
        code = core_sqlite_step(db, stmt, &row, err);
    db->session.own = own;
    return code;
}
