/*
 * The service 'sql' of the host: chooses the engine and stands before its session, so that a dry
 * run changes nothing and a forgotten session is noticed.
 */
#include <runtime/host.h>

#include <base/rows.h>
#include <runtime/output.h>
#include <sql/engine.h>

#include <stdlib.h>
#include <string.h>

/* What the plugin holds as its struct rc_sql. */
struct session {
    struct core_job *job;
    struct rc_sql *sql;
};

static struct session *session_of(struct rc_sql *handle)
{
    return (struct session *)(void *)handle;
}

static void show_progress(void *context, double fraction)
{
    struct core_status *status = context;

    core_output_progress(atomic_load(&status->progress_done), atomic_load(&status->progress_total),
                         status->progress_unit, fraction);
}

static enum rc_code no_engine(const struct core_config *config, const char *name,
                              struct rc_error *err)
{
    size_t count = config ? config->engine_count : 0;
    RC_BUF_AUTO(names, 1024);

    for (size_t i = 0; i < count; i++)
        rc_buf_addf(&names, "%s'%s'", i ? ", " : "", config->engines[i].name);
    if (count == 0)
        return rc_fail(err, RC_INVALID,
                       "there is no SQL engine '%s': the configuration has no section 'sql:'; "
                       "leave the option out for the embedded engine",
                       name);
    return rc_fail(err, RC_INVALID,
                   "there is no SQL engine '%s' under 'sql:' in the configuration; there %s %s",
                   name, count == 1 ? "is" : "are", names.overflow ? "others" : names.data);
}

static enum rc_code choose(const struct core_config *config, const char *name,
                           const struct core_engine_settings **out, struct rc_error *err)
{
    static const struct core_engine_settings embedded = { .name = "embedded", .engine = "duckdb" };
    size_t count = config ? config->engine_count : 0;

    for (size_t i = 0; name && i < count; i++) {
        if (strcmp(config->engines[i].name, name) == 0) {
            *out = &config->engines[i];
            return RC_OK;
        }
    }
    if (name)
        return no_engine(config, name, err);
    if (count > 1)
        return rc_fail(err, RC_INVALID,
                       "the configuration has %zu SQL engines under 'sql:'; say "
                       "in the plugin's options which one to use",
                       count);
    *out = count == 1 ? &config->engines[0] : &embedded;
    return RC_OK;
}

static enum rc_code sql_open(struct rc_job *job, const char *engine, struct rc_sql **out,
                             struct rc_error *err)
{
    struct core_job *core = core_job_of(job);
    struct core_sql_context context = {
        .storage = core->storage,
        .cancel = core->cancel,
        .on_progress = show_progress,
        .progress_context = core->run->status,
    };
    struct session *session;
    struct rc_sql *sql;

    if (choose(core->run->request->config, engine, &context.settings, err) ||
        core_host_temp_dir(core->run, &context.temp_dir, err))
        return err->code;
    if (core_sql_open(&context, &sql, err))
        return rc_context(err, "open the SQL engine '%s'", context.settings->name);
    session = rc_calloc(1, sizeof(*session));
    *session = (struct session){ .job = core, .sql = sql };
    core_host_opened();
    *out = (struct rc_sql *)(void *)session;
    return RC_OK;
}

static void sql_close(struct rc_sql *handle)
{
    struct session *session = session_of(handle);

    session->sql->ops->close(session->sql);
    free(session);
    core_host_closed();
}

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
    if (!make) {
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
    if (!make) {
        *out = core_rows_empty();
        return RC_OK;
    }
    return session->sql->ops->query(session->sql, statement, params, param_count, out, err);
}

static enum rc_code sql_attach(struct rc_sql *handle, const struct rc_sql_table *table,
                               struct rc_error *err)
{
    struct session *session = session_of(handle);

    return session->sql->ops->attach(session->sql, table, err);
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

static enum rc_code sql_drop(struct rc_sql *handle, const char *table, struct rc_error *err)
{
    struct session *session = session_of(handle);

    return session->sql->ops->drop(session->sql, table, err);
}

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
};
