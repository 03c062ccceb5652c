/*
 * The service 'sql' of the host: stands before a session of the engine, so that a dry run changes
 * nothing and a forgotten session is noticed.
 *
 * A dry run makes the tables of a session where that touches nothing but the session's own memory.
 * On an engine elsewhere it would change the catalogue that others see: there they are told, and
 * what reads them afterwards finds no rows.
 */
#include <runtime/host.h>

#include <base/rows.h>
#include <runtime/engine.h>
#include <runtime/output.h>
#include <runtime/sql_session.h>
#include <sql/engine.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What the plugin holds as its struct rc_sql. */
struct session {
    struct core_job *job;
    struct rc_sql *sql;
    struct core_arena arena;
    struct core_engine_settings settings;
    struct core_sql_session elsewhere; /* of an engine that is; else empty */
    bool only_tells;                   /* of tables that it would make */
    char **not_made;                   /* their names */
    size_t not_made_count;
};

/* Stands in statements in the place of a table that was not made. */
#define NOT_MADE "run-core: not made: "

static struct session *session_of(struct rc_sql *handle)
{
    return (struct session *)(void *)handle;
}

/* ---- opening and closing -------------------------------------------------------------------- */

static void show_progress(void *context, double fraction)
{
    struct core_status *status = context;

    core_output_progress(atomic_load(&status->progress_done), atomic_load(&status->progress_total),
                         status->progress_unit, fraction);
}

static void fill(const char **setting, const char *value, struct core_arena *arena)
{
    if ((!*setting || !**setting) && value && *value)
        *setting = core_arena_strdup(arena, value);
}

/* What the settings leave out. A bucket's name stands for the bucket as a whole. */
static void fill_in(struct core_engine_settings *settings, const struct rc_sql_options *options,
                    struct core_arena *arena)
{
    const char *results = options->results;
    RC_STR_AUTO folder = NULL;

    if (results && *results)
        folder = rc_strf("%s%s%s", strstr(results, "://") ? "" : "s3://", results,
                         rc_str_ends(results, "/") ? "" : "/");
    fill(&settings->region, options->region, arena);
    fill(&settings->catalog, options->catalog, arena);
    fill(&settings->results, folder, arena);
}

/* An engine's own requests go out as all others, where its settings do not say otherwise. */
static void take_http(struct core_engine_settings *settings, const struct core_config *config)
{
    if (config && !settings->ca_file)
        settings->ca_file = config->settings.http.ca_file;
    if (config && !settings->proxy)
        settings->proxy = config->settings.http.proxy;
}

static void free_session(struct session *session)
{
    if (session->sql)
        session->sql->ops->close(session->sql);
    core_sql_session_end(&session->elsewhere);
    for (size_t i = 0; i < session->not_made_count; i++)
        free(session->not_made[i]);
    free(session->not_made);
    core_arena_clear(&session->arena);
    free(session);
}

static enum rc_code open_session(struct session *session, const struct rc_sql_options *options,
                                 struct rc_error *err)
{
    struct core_job *core = session->job;
    struct core_engine_settings *settings = &session->settings;
    struct core_sql_context context = {
        .settings = settings,
        .storage = core->storage,
        .cancel = core->cancel,
        .on_progress = show_progress,
        .progress_context = core->run->status,
    };
    const struct core_engine_ops *engine;

    if (core_engine_choose(core->run->request->config, options->engine, &session->arena, settings,
                           err))
        return err->code;
    fill_in(settings, options, &session->arena);
    take_http(settings, core->run->request->config);
    engine = core_engine_find(settings->engine);
    session->only_tells = core->job.dry_run && engine && engine->attach_is_change;
    if (core_host_temp_dir(core->run, &context.temp_dir, err) ||
        (engine && engine->attach_is_change &&
         core_sql_session_begin(&session->elsewhere, core, &context, err)) ||
        core_sql_open(&context, &session->sql, err))
        return rc_context(err, "open the SQL engine '%s'", settings->name);
    return RC_OK;
}

static enum rc_code sql_open_with(struct rc_job *job, const struct rc_sql_options *given,
                                  struct rc_sql **out, struct rc_error *err)
{
    struct rc_sql_options options;
    struct session *session;

    if (core_host_take(&options, sizeof(options), given, err))
        return err->code;
    session = rc_calloc(1, sizeof(*session));
    session->job = core_job_of(job);
    if (open_session(session, &options, err)) {
        free_session(session);
        return err->code;
    }
    core_host_opened();
    *out = (struct rc_sql *)(void *)session;
    return RC_OK;
}

static enum rc_code sql_open(struct rc_job *job, const char *engine, struct rc_sql **out,
                             struct rc_error *err)
{
    const struct rc_sql_options options = { .size = sizeof(options), .engine = engine };

    return sql_open_with(job, &options, out, err);
}

static void sql_close(struct rc_sql *handle)
{
    free_session(session_of(handle));
    core_host_closed();
}

static uint32_t sql_features(struct rc_sql *handle)
{
    return session_of(handle)->sql->ops->features;
}

/* ---- tables that a dry run did not make ------------------------------------------------------ */

static char **find_not_made(const struct session *session, const char *table)
{
    for (size_t i = 0; i < session->not_made_count; i++)
        if (strcasecmp(session->not_made[i], table) == 0)
            return &session->not_made[i];
    return NULL;
}

static void note_not_made(struct session *session, const char *table)
{
    if (find_not_made(session, table))
        return;
    session->not_made =
        rc_realloc(session->not_made, (session->not_made_count + 1) * sizeof(*session->not_made));
    session->not_made[session->not_made_count++] = rc_strdup(table);
}

/* Whether there was one of that name. */
static bool forget_not_made(struct session *session, const char *table)
{
    char **found = find_not_made(session, table);

    if (!found)
        return false;
    free(*found);
    *found = session->not_made[--session->not_made_count];
    return true;
}

static bool reads_not_made(const struct session *session, const char *statement)
{
    return session->not_made_count > 0 && strstr(statement, "\"" NOT_MADE);
}

/* ---- statements ----------------------------------------------------------------------------- */

/*
 * In a dry run, says and counts a statement that would change something; *made says whether to go
 * on.
 */
static enum rc_code judge(struct session *session, const char *statement, bool *make,
                          struct rc_error *err)
{
    *make = true;
    if (session->job->job.dry_run && session->sql->ops->is_read(session->sql, statement, make, err))
        return err->code;
    if (!*make)
        return core_host_would(session->job, err, "run: %s", statement);
    return RC_OK;
}

static enum rc_code sql_exec(struct rc_sql *handle, const char *statement,
                             const struct rc_value *params, size_t param_count, int64_t *changed,
                             struct rc_error *err)
{
    struct session *session = session_of(handle);
    bool make;

    if (judge(session, statement, &make, err))
        return err->code;
    if (!make || reads_not_made(session, statement)) {
        if (changed)
            *changed = 0;
        return RC_OK;
    }
    return session->sql->ops->exec(session->sql, statement, params, param_count, changed, err);
}

static enum rc_code sql_query(struct rc_sql *handle, const char *statement,
                              const struct rc_value *params, size_t param_count,
                              struct rc_rows **out, struct rc_error *err)
{
    struct session *session = session_of(handle);
    bool make;

    if (judge(session, statement, &make, err))
        return err->code;
    if (!make || reads_not_made(session, statement)) {
        *out = core_rows_empty();
        return RC_OK;
    }
    return session->sql->ops->query(session->sql, statement, params, param_count, out, err);
}

static enum rc_code sql_write(struct rc_sql *handle, const struct rc_sql_output *output,
                              struct rc_sql_written *written, struct rc_error *err)
{
    struct session *session = session_of(handle);

    if (session->job->job.dry_run) {
        *written = (struct rc_sql_written){ 0 };
        return core_host_would(session->job, err, "write to '%s': %s", output->location,
                               output->query);
    }
    return session->sql->ops->write(session->sql, output, written, err);
}

/* ---- tables --------------------------------------------------------------------------------- */

/* In place of making a table over files. */
static enum rc_code tell_table(struct session *session, const char *what, const char *database,
                               const struct rc_sql_table *table, struct rc_error *err)
{
    size_t count = table->location_count;
    RC_STR_AUTO more = count > 1 ? rc_strf(" and %zu more", count - 1) : NULL;

    return core_host_would(session->job, err, "%s the table '%s%s%s' over '%s'%s", what,
                           database ? database : "", database ? "." : "", table->name,
                           count ? table->locations[0] : "no files", more ? more : "");
}

static enum rc_code sql_attach(struct rc_sql *handle, const struct rc_sql_table *table,
                               struct rc_error *err)
{
    struct session *session = session_of(handle);

    if (!session->only_tells)
        return session->sql->ops->attach(session->sql, table, err);
    note_not_made(session, table->name);
    return tell_table(session, "attach", NULL, table, err);
}

static enum rc_code sql_publish(struct rc_sql *handle, const char *database,
                                const struct rc_sql_table *table, struct rc_error *err)
{
    struct session *session = session_of(handle);

    if (!session->only_tells)
        return session->sql->ops->publish(session->sql, database, table, err);
    return tell_table(session, "publish", database, table, err);
}

static enum rc_code sql_make(struct rc_sql *handle, const char *table, const char *query,
                             const struct rc_value *params, size_t param_count, int64_t *rows,
                             struct rc_error *err)
{
    struct session *session = session_of(handle);

    if (!session->only_tells)
        return session->sql->ops->make(session->sql, table, query, params, param_count, rows, err);
    note_not_made(session, table);
    if (rows)
        *rows = 0;
    return core_host_would(session->job, err, "make the table '%s': %s", table, query);
}

static enum rc_code sql_load(struct rc_sql *handle, const char *table,
                             const struct rc_sql_column *columns, size_t column_count,
                             const struct rc_sql_rows *rows, struct rc_error *err)
{
    struct session *session = session_of(handle);

    if (!session->only_tells)
        return session->sql->ops->load(session->sql, table, columns, column_count, rows, err);
    note_not_made(session, table);
    return core_host_would(session->job, err, "load the table '%s'", table);
}

static enum rc_code sql_refer(struct rc_sql *handle, const char *table, const char *database,
                              const char *name, struct rc_error *err)
{
    struct session *session = session_of(handle);

    (void)forget_not_made(session, table);
    return session->sql->ops->refer(session->sql, table, database, name, err);
}

static enum rc_code sql_drop(struct rc_sql *handle, const char *table, struct rc_error *err)
{
    struct session *session = session_of(handle);

    if (forget_not_made(session, table))
        return core_cancel_check(session->job->cancel, err);
    return session->sql->ops->drop(session->sql, table, err);
}

static enum rc_code sql_search(struct rc_sql *handle, const struct rc_sql_lookup *given,
                               struct rc_rows **out, struct rc_error *err)
{
    struct session *session = session_of(handle);
    struct rc_sql_lookup search;

    if (core_host_take(&search, sizeof(search), given, err))
        return err->code;
    if (find_not_made(session, search.table)) {
        *out = core_rows_empty();
        return core_cancel_check(session->job->cancel, err);
    }
    return session->sql->ops->search(session->sql, &search, out, err);
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void sql_cancel(struct rc_sql *handle)
{
    struct session *session = session_of(handle);

    session->sql->ops->cancel(session->sql);
}

static void sql_add_json_text(struct rc_sql *handle, struct rc_buf *out, const char *json,
                              const char *path)
{
    struct session *session = session_of(handle);

    session->sql->ops->add_json_text(session->sql, out, json, path);
}

static void sql_add_json_valid(struct rc_sql *handle, struct rc_buf *out, const char *json)
{
    struct session *session = session_of(handle);

    session->sql->ops->add_json_valid(session->sql, out, json);
}

static void sql_add_try_cast(struct rc_sql *handle, struct rc_buf *out, const char *expression,
                             const char *type)
{
    struct session *session = session_of(handle);

    session->sql->ops->add_try_cast(session->sql, out, expression, type);
}

static void sql_add_table(struct rc_sql *handle, struct rc_buf *out, const char *table)
{
    struct session *session = session_of(handle);
    RC_STR_AUTO name = find_not_made(session, table) ? rc_strf(NOT_MADE "%s", table) : NULL;

    if (name)
        rc_buf_add_ident(out, name);
    else
        session->sql->ops->add_table(session->sql, out, table);
}

static void sql_add_hex(struct rc_sql *handle, struct rc_buf *out, const char *expression)
{
    struct session *session = session_of(handle);

    session->sql->ops->add_hex(session->sql, out, expression);
}

static void sql_add_sum(struct rc_sql *handle, struct rc_buf *out, const char *expression,
                        const char *order)
{
    struct session *session = session_of(handle);

    session->sql->ops->add_sum(session->sql, out, expression, order);
}

const struct rc_sql_api core_host_sql = {
    .open = sql_open,
    .close = sql_close,
    .exec = sql_exec,
    .query = sql_query,
    .attach = sql_attach,
    .write = sql_write,
    .drop = sql_drop,
    .cancel = sql_cancel,
    .add_json_text = sql_add_json_text,
    .add_json_valid = sql_add_json_valid,
    .add_try_cast = sql_add_try_cast,
    .open_with = sql_open_with,
    .features = sql_features,
    .make = sql_make,
    .load = sql_load,
    .refer = sql_refer,
    .publish = sql_publish,
    .search = sql_search,
    .add_table = sql_add_table,
    .add_hex = sql_add_hex,
    .add_sum = sql_add_sum,
};
