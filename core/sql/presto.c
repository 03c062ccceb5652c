/*
 * Sessions of the Presto family: opening and closing, running statements, and the wish to stop. How
 * a statement gets to the server is the dialect's work, what the verbs say to it that of the other
 * files.
 */
#include <sql/presto.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    URI_LIMIT = 64 * 1024,
    TIDY_MS = 300 * 1000,
    TIDY_STOPPED_MS = 8 * 1000, /* less than a job's kill_after, after which the run is killed */
};

/* ---- the wish to stop ----------------------------------------------------------------------- */

enum rc_code core_presto_check(struct core_presto *session, struct rc_error *err)
{
    if (session->until_mono_ms && core_clock_mono_ms() >= session->until_mono_ms)
        return rc_fail(err, RC_TIMEOUT, "tidying up takes too long");
    if (session->stop.parent && atomic_load(&session->wish.code) != RC_OK)
        return rc_fail(err, RC_CANCELLED, "the statement was cancelled");
    return core_cancel_check(&session->stop, err);
}

enum rc_code core_presto_begin(struct core_presto *session, struct rc_error *err)
{
    if (session->rows)
        return rc_fail(err, RC_INVALID,
                       "the rows of an earlier query are still open in this session; close them "
                       "first, or open a second session");
    atomic_store(&session->wish.code, RC_OK);
    if (core_presto_check(session, err))
        return err->code;
    atomic_store(&session->is_busy, true);
    return RC_OK;
}

void core_presto_done(struct core_presto *session)
{
    atomic_store(&session->is_busy, false);
}

void core_presto_cancel(struct rc_sql *sql)
{
    struct core_presto *session = (struct core_presto *)sql;

    /* The thread that waits for a statement sees the wish, and ends it on the server. */
    if (atomic_load(&session->is_busy))
        core_cancel_request(&session->wish, RC_CANCELLED);
}

void core_presto_tidy(struct core_presto *session, struct core_presto_tidying *before)
{
    bool is_stopped = core_cancel_code(&session->stop) != RC_OK;

    *before = (struct core_presto_tidying){
        .parent = session->stop.parent,
        .until_mono_ms = session->until_mono_ms,
    };
    session->stop.parent = NULL;
    if (!session->until_mono_ms)
        session->until_mono_ms = core_clock_mono_ms() + (is_stopped ? TIDY_STOPPED_MS : TIDY_MS);
}

void core_presto_tidied(struct core_presto *session, const struct core_presto_tidying *before)
{
    session->stop.parent = before->parent;
    session->until_mono_ms = before->until_mono_ms;
}

void core_presto_say(const struct core_presto *session, enum rc_log_level level, const char *format,
                     ...)
{
    RC_BUF_AUTO(text, 4096);
    va_list arguments;

    if (!session->context.say)
        return;
    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    session->context.say(session->context.say_context, level, text.data);
}

/* ---- statements ----------------------------------------------------------------------------- */

static enum rc_code check_text(struct core_presto *session, const struct rc_buf *text,
                               struct rc_error *err)
{
    char size[RC_AMOUNT_TEXT], limit[RC_AMOUNT_TEXT];

    if (rc_buf_check(text, err))
        return rc_context(err, "write a statement");
    if (text->len > session->dialect->statement_limit_bytes)
        return rc_fail(
            err, RC_TOO_LARGE,
            "the statement has %s, and the server takes no more than %s; load long lists "
            "as a table",
            rc_format_size((int64_t)text->len, size),
            rc_format_size((int64_t)session->dialect->statement_limit_bytes, limit));
    return core_presto_check(session, err);
}

enum rc_code core_presto_run(struct core_presto *session, enum core_presto_kind kind,
                             const struct rc_buf *text, int64_t *updated, struct rc_error *err)
{
    if (check_text(session, text, err))
        return err->code;
    return session->dialect->run(session, kind, text->data, updated, err);
}

enum rc_code core_presto_ask(struct core_presto *session, const struct rc_buf *text,
                             struct rc_rows **out, struct rc_error *err)
{
    *out = NULL;
    if (check_text(session, text, err))
        return err->code;
    return session->dialect->query(session, text->data, out, err);
}

enum rc_code core_presto_exec(struct rc_sql *sql, const char *statement,
                              const struct rc_value *params, size_t param_count, int64_t *changed,
                              struct rc_error *err)
{
    struct core_presto *session = (struct core_presto *)sql;
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    int64_t updated = -1;
    enum rc_code code = core_presto_begin(session, err);

    if (code)
        return code;
    code = core_presto_bind(statement, params, param_count, &text, err);
    if (!code)
        code = core_presto_run(session, core_presto_kind_of(statement), &text, &updated, err);
    core_presto_done(session);
    if (!code && changed)
        *changed = updated >= 0 ? updated : -1;
    return code;
}

enum rc_code core_presto_is_read(struct rc_sql *sql, const char *statement, bool *reads,
                                 struct rc_error *err)
{
    (void)sql;
    return core_presto_reads(statement, reads, err);
}

/* ---- rows that a plugin reads --------------------------------------------------------------- */

/* Those of the dialect; the session is busy until they are closed. */
struct presto_rows {
    struct rc_rows base;
    struct core_presto *session;
    struct rc_rows *inner;
};

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct presto_rows *rows = (struct presto_rows *)base;

    *row = NULL;
    if (core_presto_check(rows->session, err))
        return err->code;
    return rc_rows_next(rows->inner, row, err);
}

static size_t rows_columns(const struct rc_rows *base, const char *const **names)
{
    return rc_rows_columns(((const struct presto_rows *)base)->inner, names);
}

static void rows_close(struct rc_rows *base)
{
    struct presto_rows *rows = (struct presto_rows *)base;

    rc_rows_close(&rows->inner);
    rows->session->rows = NULL;
    core_presto_done(rows->session);
    free(rows);
}

static const struct rc_rows_api rows_api = {
    .next = rows_next,
    .columns = rows_columns,
    .close = rows_close,
};

struct rc_rows *core_presto_hand_out(struct core_presto *session, struct rc_rows *rows)
{
    struct presto_rows *out = rc_calloc(1, sizeof(*out));

    out->base.api = &rows_api;
    out->session = session;
    out->inner = rows;
    session->rows = &out->base;
    return &out->base;
}

enum rc_code core_presto_query(struct rc_sql *sql, const char *statement,
                               const struct rc_value *params, size_t param_count,
                               struct rc_rows **out, struct rc_error *err)
{
    struct core_presto *session = (struct core_presto *)sql;
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    struct rc_rows *rows = NULL;
    enum rc_code code = core_presto_begin(session, err);

    *out = NULL;
    if (code)
        return code;
    code = core_presto_bind(statement, params, param_count, &text, err);
    if (!code)
        code = core_presto_ask(session, &text, &rows, err);
    if (code)
        core_presto_done(session);
    else
        *out = core_presto_hand_out(session, rows);
    return code;
}

/* ---- opening and closing -------------------------------------------------------------------- */

static const char *engine_name(const struct core_presto *session)
{
    const char *name = session->context.settings->name;

    return name ? name : session->dialect->ops->name;
}

/* What the server does reach, for people. */
static void add_reached(const struct core_presto *session, struct rc_buf *out)
{
    static const char *const places[] = { "s3://bucket/", "gs://bucket/", "file:///" };
    const char *separator = "";

    for (size_t i = 0; i < RC_ARRAY_LEN(places); i++)
        if (session->dialect->ops->reaches(session->context.settings, places[i])) {
            rc_buf_addf(out, "%s%.*s", separator, (int)strcspn(places[i], ":") + 3, places[i]);
            separator = ", ";
        }
}

enum rc_code core_presto_there(const struct core_presto *session, const char *uri,
                               struct rc_buf *out, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(resolved);

    if (core_resolve(session->context.storage, uri, &resolved, err))
        return err->code;
    if (!session->dialect->ops->reaches(session->context.settings, resolved.uri)) {
        bool is_mapped = !rc_str_eq(uri, resolved.uri);
        RC_BUF_AUTO(reached, 128);

        add_reached(session, &reached);
        return rc_fail(err, RC_UNSUPPORTED,
                       "the SQL engine '%s' (%s) does not reach '%s'%s%s%s; it reaches %s",
                       engine_name(session), session->dialect->ops->name, uri,
                       is_mapped ? ", which is '" : "", is_mapped ? resolved.uri : "",
                       is_mapped ? "'" : "", reached.data);
    }
    rc_buf_adds(out, resolved.uri);
    return rc_buf_check(out, err);
}

/* The folder below which all sessions keep their work. */
static enum rc_code add_root(const struct core_presto *session, const char *results,
                             struct rc_buf *out, struct rc_error *err)
{
    const char *work = session->context.settings->work;

    if (work)
        rc_buf_adds(out, work);
    else if (results && rc_uri_has_scheme(results))
        rc_uri_join(out, results, "run-core/");
    else if (results)
        rc_buf_addf(out, "s3://%s/run-core/", results);
    else
        return rc_fail(err, RC_INVALID,
                       "the SQL engine '%s' (%s) needs a folder for what its sessions leave for a "
                       "while, which the server reaches: say one as 'work' under 'sql:'",
                       engine_name(session), session->dialect->ops->name);
    if (!rc_str_ends(out->data, "/"))
        rc_buf_addc(out, '/');
    return RC_OK;
}

static enum rc_code find_work(struct core_presto *session, const char *results,
                              struct rc_error *err)
{
    RC_BUF_AUTO(work, URI_LIMIT);
    RC_BUF_AUTO(there, URI_LIMIT);

    if (add_root(session, results, &work, err))
        return err->code;
    rc_buf_addf(&work, "%s/", session->context.session);
    if (rc_buf_check(&work, err))
        return err->code;
    if (core_presto_there(session, work.data, &there, err)) {
        err->code = RC_INVALID;
        return rc_context(err, "'work' of the SQL engine '%s'", engine_name(session));
    }
    session->work = rc_buf_take(&work);
    session->work_there = rc_buf_take(&there);
    return RC_OK;
}

static void clear(struct core_presto *session)
{
    rc_str_free(&session->database);
    rc_str_free(&session->prefix);
    rc_str_free(&session->work);
    rc_str_free(&session->work_there);
}

enum rc_code core_presto_init(struct core_presto *session, const struct core_sql_context *context,
                              const struct core_presto_dialect *dialect, const char *results,
                              struct rc_error *err)
{
    const char *database = context->settings->database;

    RC_ASSERT(context->session && *context->session);
    session->base.ops = dialect->ops;
    session->context = *context;
    session->dialect = dialect;
    session->wish = (struct core_cancel){ .parent = context->cancel };
    session->stop = (struct core_cancel){ .parent = &session->wish };
    session->storage = *context->storage;
    session->storage.cancel = &session->stop;
    session->database = dialect->makes_schema ? rc_strdup(context->session)
                                              : rc_strdup(database ? database : "default");
    session->prefix = dialect->makes_schema ? rc_strdup("") : rc_strf("%s_", context->session);
    if (find_work(session, results, err)) {
        clear(session);
        return err->code;
    }
    return RC_OK;
}

/* What is left of the session once its tables have gone. The mark goes only after all else. */
static enum rc_code end_work(struct core_presto *session, struct rc_error *err)
{
    const struct core_presto_dialect *dialect = session->dialect;
    RC_STR_AUTO mark = rc_strf("%s" CORE_PRESTO_MARK, session->work);
    const char *const marks[] = { mark };

    if (dialect->end_work && dialect->end_work(session, session->context.session, err))
        return err->code;
    if (core_presto_empty(session, session->work, err) ||
        core_storage_remove(&session->storage, marks, 1, err))
        return err->code;
    core_presto_remove_folder(session, session->work);
    return RC_OK;
}

void core_presto_end(struct core_presto *session)
{
    struct core_presto_tidying before;
    struct rc_error err = RC_ERROR_INIT;

    RC_ASSERT(!session->rows);
    core_presto_tidy(session, &before);
    while (session->tables) {
        struct core_presto_table *table = session->tables;

        session->tables = table->next;
        core_presto_discard(session, table);
    }
    if (session->has_work && end_work(session, &err))
        core_presto_say(session, RC_LOG_WARN,
                        "what the session '%s' has left on the SQL engine '%s' stays for a later "
                        "one to remove: %s%s%s",
                        session->context.session, engine_name(session), err.context,
                        *err.context ? ": " : "", err.cause);
    core_presto_tidied(session, &before);
    clear(session);
}
