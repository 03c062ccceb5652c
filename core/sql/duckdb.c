/*
 * The embedded engine: a session is an in-memory DuckDB database of its own. This file opens and
 * closes it and runs statements; reading rows, attaching tables and writing files are the others'
 * work.
 */
#include <sql/duckdb_session.h>

#include <storage/resolve.h>

#include <run-core/str.h>
#include <run-core/uri.h>

#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum {
    WATCH_MS = 20, /* how long a wish to stop may go unnoticed */
    PROGRESS_EVERY_WATCHES = 10,
};

/* ---- the watcher ---------------------------------------------------------------------------- */

static void report_progress(struct core_duckdb_session *session)
{
    struct duckdb_progress progress;

    if (!session->context.on_progress)
        return;
    progress = session->api->query_progress(session->connection);
    if (progress.percentage >= 0)
        session->context.on_progress(session->context.progress_context,
                                     progress.percentage >= 100 ? 1 : progress.percentage / 100);
}

static void wait_ms(struct core_duckdb_session *session, int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&session->changed, &session->mutex, &until);
}

/* With the mutex held. */
static void interrupt(struct core_duckdb_session *session)
{
    session->api->interrupt(session->connection);
    for (size_t i = 0; i < session->helper_count; i++)
        session->api->interrupt(session->helpers[i]);
}

void core_duckdb_add_helper(struct core_duckdb_session *session,
                            struct duckdb_connection *connection)
{
    pthread_mutex_lock(&session->mutex);
    RC_ASSERT(session->helper_count < CORE_DUCKDB_HELPERS);
    session->helpers[session->helper_count++] = connection;
    pthread_mutex_unlock(&session->mutex);
}

void core_duckdb_forget_helpers(struct core_duckdb_session *session)
{
    pthread_mutex_lock(&session->mutex);
    session->helper_count = 0;
    pthread_mutex_unlock(&session->mutex);
}

/*
 * With the mutex held, while a statement runs: the session's own thread is in the library then, and
 * does not touch the copies.
 */
static void check_room(struct core_duckdb_session *session)
{
    if (session->written && !session->full.code &&
        core_staging_check_room(session->staging, session->written, &session->full))
        core_cancel_request(&session->stop, RC_CANCELLED);
}

/*
 * An interrupt that comes before the library has begun with the statement is lost, so it is
 * repeated for as long as the statement runs.
 */
static void *watch(void *argument)
{
    struct core_duckdb_session *session = argument;
    int watches = 0;

    pthread_mutex_lock(&session->mutex);
    while (!session->closing) {
        if (!session->running) {
            watches = 0;
            pthread_cond_wait(&session->changed, &session->mutex);
            continue;
        }
        wait_ms(session, WATCH_MS);
        if (!session->running || session->closing)
            continue;
        if (!session->uncancellable && core_cancel_code(&session->stop)) {
            interrupt(session);
        } else if (++watches % PROGRESS_EVERY_WATCHES == 0) {
            report_progress(session);
            check_room(session);
        }
    }
    pthread_mutex_unlock(&session->mutex);
    return NULL;
}

/* Signals are for the run's own threads. */
static int start_watcher(struct core_duckdb_session *session)
{
    pthread_condattr_t attributes;
    sigset_t all, before;
    int failed;

    pthread_mutex_init(&session->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&session->changed, &attributes);
    pthread_condattr_destroy(&attributes);

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&session->watcher, NULL, watch, session);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static void stop_watcher(struct core_duckdb_session *session)
{
    pthread_mutex_lock(&session->mutex);
    session->closing = true;
    pthread_cond_signal(&session->changed);
    pthread_mutex_unlock(&session->mutex);
    pthread_join(session->watcher, NULL);
    pthread_cond_destroy(&session->changed);
    pthread_mutex_destroy(&session->mutex);
}

static void set_running(struct core_duckdb_session *session, bool running)
{
    pthread_mutex_lock(&session->mutex);
    session->running = running;
    if (running) {
        atomic_store(&session->stop.code, RC_OK);
        session->full.code = RC_OK;
        pthread_cond_signal(&session->changed);
    }
    pthread_mutex_unlock(&session->mutex);
}

static void cancel(struct rc_sql *sql)
{
    struct core_duckdb_session *session = (struct core_duckdb_session *)sql;

    pthread_mutex_lock(&session->mutex);
    if (session->running && !session->uncancellable) {
        core_cancel_request(&session->stop, RC_CANCELLED);
        interrupt(session);
    }
    pthread_mutex_unlock(&session->mutex);
}

/* ---- statements ----------------------------------------------------------------------------- */

enum rc_code core_duckdb_begin(struct core_duckdb_session *session, struct rc_error *err)
{
    if (session->rows)
        return rc_fail(err, RC_INVALID,
                       "the rows of an earlier query are still open in this session; close them "
                       "first, or open a second session");
    if (!session->uncancellable && core_cancel_check(session->context.cancel, err))
        return err->code;
    set_running(session, true);
    return RC_OK;
}

enum rc_code core_duckdb_check(struct core_duckdb_session *session, struct rc_error *err)
{
    bool is_full;

    if (core_cancel_check(session->context.cancel, err))
        return err->code;
    pthread_mutex_lock(&session->mutex);
    is_full = session->full.code != RC_OK;
    if (is_full)
        *err = session->full;
    pthread_mutex_unlock(&session->mutex);
    if (is_full)
        return err->code;
    return core_cancel_code(&session->stop)
               ? rc_fail(err, RC_CANCELLED, "the statement was cancelled")
               : RC_OK;
}

void core_duckdb_end(struct core_duckdb_session *session)
{
    set_running(session, false);
}

static enum rc_code prepare_on(struct core_duckdb_session *session,
                               struct duckdb_connection *connection, const char *text,
                               struct duckdb_prepared **out, struct rc_error *err)
{
    const struct core_duckdb_api *api = session->api;
    struct duckdb_extracted *extracted = NULL;
    uint64_t count = api->extract_statements(connection, text, &extracted);
    enum rc_code code = RC_OK;

    *out = NULL;
    if (count == 0 && api->extract_statements_error(extracted))
        code = core_duckdb_fail(session, api->extract_statements_error(extracted), err);
    else if (count != 1)
        code =
            rc_fail(err, RC_INVALID, "exactly one SQL statement is expected, not %" PRIu64, count);
    else if (api->prepare_extracted_statement(connection, extracted, 0, out))
        code = core_duckdb_fail(session, api->prepare_error(*out), err);
    api->destroy_extracted(&extracted);
    return code;
}

enum rc_code core_duckdb_prepare(struct core_duckdb_session *session, const char *text,
                                 struct duckdb_prepared **out, struct rc_error *err)
{
    return prepare_on(session, session->connection, text, out, err);
}

static int bind_value(const struct core_duckdb_api *api, struct duckdb_prepared *prepared,
                      uint64_t index, const struct rc_value *value)
{
    switch (value->type) {
    case RC_VALUE_NULL:
        return api->bind_null(prepared, index);
    case RC_VALUE_BOOL:
        return api->bind_boolean(prepared, index, value->boolean);
    case RC_VALUE_INT:
        return api->bind_int64(prepared, index, value->integer);
    case RC_VALUE_FLOAT:
        return api->bind_double(prepared, index, value->number);
    case RC_VALUE_TEXT:
        return api->bind_varchar_length(prepared, index, value->text, value->len);
    case RC_VALUE_BYTES:
        return api->bind_blob(prepared, index, value->text, value->len);
    }
    return 1;
}

enum rc_code core_duckdb_bind(struct core_duckdb_session *session, struct duckdb_prepared *prepared,
                              const struct rc_value *params, size_t count, struct rc_error *err)
{
    uint64_t wanted = session->api->nparams(prepared);

    if (wanted != count)
        return rc_fail(err, RC_INVALID, "the statement has %" PRIu64 " parameters, %zu were given",
                       wanted, count);
    for (size_t i = 0; i < count; i++)
        if (bind_value(session->api, prepared, i + 1, &params[i]))
            return rc_fail(err, RC_INVALID,
                           "parameter $%zu cannot be bound; a text has to be UTF-8", i + 1);
    return RC_OK;
}

/*
 * How many rows a statement changed. CREATE TABLE AS and COPY say it in a result of one row
 * that the library does not count as a change.
 */
static int64_t count_changed(const struct core_duckdb_api *api, struct duckdb_result *result)
{
    int64_t changed = (int64_t)api->rows_changed(result);
    struct duckdb_chunk *chunk;

    if (changed || api->column_count(result) != 1 || api->column_type(result, 0) != DUCKDB_BIGINT ||
        strcmp(api->column_name(result, 0), "Count") != 0)
        return changed;
    chunk = api->fetch_chunk(*result);
    if (chunk && api->data_chunk_get_size(chunk) == 1)
        changed = *(int64_t *)api->vector_get_data(api->data_chunk_get_vector(chunk, 0));
    api->destroy_data_chunk(&chunk);
    return changed;
}

static enum rc_code execute(struct core_duckdb_session *session, struct duckdb_prepared *prepared,
                            int64_t *changed, struct rc_error *err)
{
    struct duckdb_result result = { { 0 }, { NULL }, NULL };
    enum rc_code code = RC_OK;

    if (session->api->execute_prepared(prepared, &result))
        code = core_duckdb_fail(session, session->api->result_error(&result), err);
    else if (changed)
        *changed = count_changed(session->api, &result);
    session->api->destroy_result(&result);
    return code;
}

enum rc_code core_duckdb_run(struct core_duckdb_session *session, const char *text,
                             const struct rc_value *params, size_t count, int64_t *changed,
                             struct rc_error *err)
{
    struct duckdb_prepared *prepared = NULL;
    enum rc_code code;

    if (core_duckdb_begin(session, err))
        return err->code;
    code = core_duckdb_prepare(session, text, &prepared, err);
    if (!code)
        code = core_duckdb_bind(session, prepared, params, count, err);
    if (!code)
        code = execute(session, prepared, changed, err);
    session->api->destroy_prepare(&prepared);
    core_duckdb_end(session);
    return code;
}

enum rc_code core_duckdb_run_on(struct core_duckdb_session *session,
                                struct duckdb_connection *connection, const char *text,
                                struct rc_error *err)
{
    struct duckdb_prepared *prepared = NULL;
    enum rc_code code = core_duckdb_check(session, err);

    if (!code)
        code = prepare_on(session, connection, text, &prepared, err);
    if (!code)
        code = execute(session, prepared, NULL, err);
    session->api->destroy_prepare(&prepared);
    return code;
}

void core_duckdb_run_always(struct core_duckdb_session *session, const char *text)
{
    struct rc_error ignored = RC_ERROR_INIT;

    session->uncancellable = true;
    if (core_duckdb_run(session, text, NULL, 0, NULL, &ignored))
        ignored.code = RC_OK;
    session->uncancellable = false;
}

enum rc_code core_duckdb_numbers(struct core_duckdb_session *session, const char *text,
                                 int64_t *out, size_t count, struct rc_error *err)
{
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);

    if (core_duckdb_query(&session->base, text, NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    for (size_t i = 0; i < count; i++)
        out[i] = row && row[i].type == RC_VALUE_INT ? row[i].integer : 0;
    return RC_OK;
}

static enum rc_code exec(struct rc_sql *sql, const char *statement, const struct rc_value *params,
                         size_t param_count, int64_t *changed, struct rc_error *err)
{
    return core_duckdb_run((struct core_duckdb_session *)sql, statement, params, param_count,
                           changed, err);
}

/*
 * EXPLAIN ANALYZE runs what it explains. A word too many is no harm here: it makes a read a write.
 */
static bool mentions_analyze(const char *statement)
{
    for (const char *c = statement; *c; c++)
        if (strncasecmp(c, "analy", strlen("analy")) == 0)
            return true;
    return false;
}

static enum rc_code is_read(struct rc_sql *sql, const char *statement, bool *reads,
                            struct rc_error *err)
{
    struct core_duckdb_session *session = (struct core_duckdb_session *)sql;
    struct duckdb_prepared *prepared = NULL;
    enum rc_code code;

    if (core_duckdb_begin(session, err))
        return err->code;
    code = core_duckdb_prepare(session, statement, &prepared, err);
    if (!code) {
        int type = session->api->prepared_statement_type(prepared);
        *reads = type == DUCKDB_STATEMENT_SELECT ||
                 (type == DUCKDB_STATEMENT_EXPLAIN && !mentions_analyze(statement));
    }
    session->api->destroy_prepare(&prepared);
    core_duckdb_end(session);
    return code;
}

/* ---- opening and closing -------------------------------------------------------------------- */

/*
 * What DuckDB is told, so that the process keeps within the limit that the user set. DuckDB
 * counts only its buffers: told 512 MiB it took 657 MiB, told 1 GiB 1285 MiB (10 M events a day,
 * 2 M users). So the library's own 40 MiB are taken off, and a fifth of the rest. Of a limit up
 * to 200 MiB the same share is left as of those.
 */
static int64_t buffer_limit(int64_t memory_limit_bytes)
{
    const int64_t mib = 1 << 20;

    if (memory_limit_bytes <= 200 * mib)
        return memory_limit_bytes / 100 * 64;
    return (memory_limit_bytes - 40 * mib) / 5 * 4;
}

static enum rc_code configure(struct core_duckdb_session *session, struct duckdb_config *config,
                              struct rc_error *err)
{
    const struct core_engine_settings *settings = session->context.settings;
    char memory[32], threads[16];
    const struct {
        const char *name, *value;
    } options[] = {
        { "threads", threads },
        { "temp_directory", session->spill.path },
        { "memory_limit", settings->memory_limit_bytes > 0 ? memory : NULL },
        /* A job fetches no code from anywhere. Files it may read: that is its work. */
        { "autoinstall_known_extensions", "false" },
        { "autoload_known_extensions", "false" },
        { "allow_community_extensions", "false" },
        { "allow_persistent_secrets", "false" },
        /* Files are replaced under their names while a session lives. */
        { "enable_external_file_cache", "false" },
    };

    snprintf(memory, sizeof(memory), "%" PRId64 "B", buffer_limit(settings->memory_limit_bytes));
    snprintf(threads, sizeof(threads), "%d", session->threads);
    for (size_t i = 0; i < RC_ARRAY_LEN(options); i++)
        if (options[i].value && session->api->set_config(config, options[i].name, options[i].value))
            return rc_fail(err, RC_INVALID, "DuckDB does not take %s = '%s'", options[i].name,
                           options[i].value);
    return RC_OK;
}

static enum rc_code open_database(struct core_duckdb_session *session, struct rc_error *err)
{
    const struct core_duckdb_api *api = session->api;
    struct duckdb_config *config = NULL;
    char *message = NULL;
    enum rc_code code;

    api->create_config(&config);
    code = configure(session, config, err);
    if (!code && api->open_ext(NULL, &session->database, config, &message))
        code = core_duckdb_fail(session, message, err);
    api->free(message);
    api->destroy_config(&config);
    if (!code && api->connect(session->database, &session->connection))
        code = rc_fail(err, RC_FAILED, "DuckDB gives no connection to its database");
    return code;
}

static enum rc_code prepare_connection(struct core_duckdb_session *session, struct rc_error *err)
{
    static const char *const statements[] = {
        "SET TimeZone = 'UTC'",
        "SET enable_progress_bar = true",
        "SET enable_progress_bar_print = false",
        "SET progress_bar_time = 0",
    };
    char limit[80];
    /* Only those who look at progress pay for it. */
    size_t count = session->context.on_progress ? RC_ARRAY_LEN(statements) : 1;

    for (size_t i = 0; i < count; i++)
        if (core_duckdb_run(session, statements[i], NULL, 0, NULL, err))
            return rc_context(err, "prepare the session (%s)", statements[i]);
    if (session->context.settings->temp_limit_bytes <= 0)
        return RC_OK;
    /* Among the options of a database that is being opened, this one has no effect. */
    snprintf(limit, sizeof(limit), "SET max_temp_directory_size = '%" PRId64 "B'",
             session->context.settings->temp_limit_bytes);
    return core_duckdb_run(session, limit, NULL, 0, NULL, err);
}

static enum rc_code make_spill(struct core_duckdb_session *session, struct rc_error *err)
{
    const char *settings = session->context.settings->temp_dir;
    const char *parent = settings ? settings : session->context.temp_dir;
    RC_STR_AUTO target = rc_strf("%s/duckdb", parent);

    if (core_dir_make(parent, 0700, err) || core_temp_dir_open(&session->spill, target, 0700, err))
        return rc_context(err, "make a directory for what does not fit into memory");
    return RC_OK;
}

static int count_threads(const struct core_engine_settings *settings)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (settings->threads > 0)
        return settings->threads < 1024 ? (int)settings->threads : 1024;
    return cores < 1 ? 1 : (int)cores;
}

static void close_session(struct rc_sql *sql)
{
    struct core_duckdb_session *session = (struct core_duckdb_session *)sql;

    if (!session)
        return;
    RC_ASSERT(!session->rows);
    stop_watcher(session);
    session->api->disconnect(&session->connection);
    session->api->close(&session->database);
    core_duckdb_staging_close(session);
    core_temp_dir_close(&session->spill);
    free(session);
}

static enum rc_code open_session(const struct core_sql_context *context, struct rc_sql **out,
                                 struct rc_error *err)
{
    const struct core_duckdb_api *api;
    struct core_duckdb_session *session;

    if (core_duckdb_load(context->settings->library, &api, err))
        return rc_context(err, "load the embedded SQL engine");

    session = rc_calloc(1, sizeof(*session));
    session->base.ops = &core_engine_duckdb;
    session->context = *context;
    session->api = api;
    session->stop.parent = context->cancel;
    session->spill = (struct core_temp_dir)CORE_TEMP_DIR_INIT;
    session->threads = count_threads(context->settings);
    if (start_watcher(session)) {
        free(session);
        return rc_fail(err, RC_UNAVAILABLE, "the system gives no thread to the SQL session");
    }
    if (make_spill(session, err) || open_database(session, err) ||
        prepare_connection(session, err)) {
        close_session(&session->base);
        return rc_context(err, "open the SQL engine '%s'",
                          context->settings->name ? context->settings->name : "duckdb");
    }
    *out = &session->base;
    return RC_OK;
}

/* What lies in an object store is copied here, and uploaded from here. */
static bool reaches(const struct core_engine_settings *settings, const char *uri)
{
    struct rc_error no_uri = RC_ERROR_INIT;
    struct rc_uri parts;

    (void)settings;
    return !rc_uri_split(uri, &parts, &no_uri) && core_resolve_has_scheme(&parts);
}

const struct core_engine_ops core_engine_duckdb = {
    .name = "duckdb",
    .open = open_session,
    .close = close_session,
    .exec = exec,
    .query = core_duckdb_query,
    .is_read = is_read,
    .attach = core_duckdb_attach,
    .write = core_duckdb_write,
    .drop = core_duckdb_drop,
    .cancel = cancel,
    .add_json_text = core_duckdb_add_json_text,
    .add_json_valid = core_duckdb_add_json_valid,
    .add_try_cast = core_duckdb_add_try_cast,
    .make = core_duckdb_make,
    .load = core_duckdb_load_rows,
    .refer = core_duckdb_refer,
    .publish = core_duckdb_publish_table,
    .search = core_duckdb_search,
    .add_table = core_duckdb_add_table,
    .add_hex = core_duckdb_add_hex,
    .add_sum = core_duckdb_add_sum,
    .features = RC_SQL_FILES | RC_SQL_ORDERED | RC_SQL_CSV,
    .reaches = reaches,
};
