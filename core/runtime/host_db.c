/*
 * The service 'db' of the host. In a dry run statements that would change something are said and
 * counted; the migrations then go into private copies, so that the plugin finds its tables.
 */
#include <runtime/host.h>

#include <base/rows.h>

#include <run-core/str.h>

#include <stdlib.h>

/* What the plugin holds as its struct rc_db. */
struct handle {
    struct core_job *job;
    struct core_db *copy; /* of a dry run, else NULL */
    struct rc_db *db;
};

static struct handle *handle_of(struct rc_db *db)
{
    return (struct handle *)(void *)db;
}

static void handle_free(struct handle *handle)
{
    core_db_close_plugin(handle->db);
    core_db_close(handle->copy);
    free(handle);
}

/* The database that the run works on: in a dry run one of its own, which the handle then owns. */
static enum rc_code choose(struct core_job *job, struct handle *handle, struct core_db **out,
                           struct rc_error *err)
{
    RC_STR_AUTO url = NULL;
    const char *temp_dir;

    if (!job->job.dry_run)
        return core_run_db(job->run, out, err);
    if (core_state_url(job->run->request->config, &url, err) ||
        core_host_temp_dir(job->run, &temp_dir, err) ||
        core_db_copy_plugin(url, job->job.plugin, temp_dir, &handle->copy, err))
        return err->code;
    *out = handle->copy;
    return RC_OK;
}

static enum rc_code db_open(struct rc_job *job, const struct rc_migration *migrations, size_t count,
                            struct rc_db **out, struct rc_error *err)
{
    struct core_job *core = core_job_of(job);
    struct handle *handle;
    struct core_db *db;

    handle = rc_calloc(1, sizeof(*handle));
    handle->job = core;
    if (choose(core, handle, &db, err) ||
        core_db_open_plugin(db, job->plugin, migrations, count, core->cancel, &handle->db, err)) {
        handle_free(handle);
        return rc_context(err, "open the tables of the plugin '%s' in the state database",
                          job->plugin);
    }
    core_host_opened();
    *out = (struct rc_db *)(void *)handle;
    return RC_OK;
}

static void db_close(struct rc_db *db)
{
    handle_free(handle_of(db));
    core_host_closed();
}

static enum rc_code judge(struct handle *handle, const char *statement, bool *make,
                          struct rc_error *err)
{
    *make = true;
    if (handle->copy && core_db_is_read(handle->db, statement, make, err))
        return err->code;
    if (!*make)
        return core_host_would(handle->job, err, "run in the state database: %s", statement);
    return RC_OK;
}

static enum rc_code db_exec(struct rc_db *db, const char *statement, const struct rc_value *params,
                            size_t param_count, int64_t *changed, struct rc_error *err)
{
    struct handle *handle = handle_of(db);
    bool make;

    if (judge(handle, statement, &make, err))
        return err->code;
    if (!make) {
        if (changed)
            *changed = 0;
        return RC_OK;
    }
    return core_db_exec(handle->db, statement, params, param_count, changed, err);
}

static enum rc_code db_query(struct rc_db *db, const char *statement, const struct rc_value *params,
                             size_t param_count, struct rc_rows **out, struct rc_error *err)
{
    struct handle *handle = handle_of(db);
    bool make;

    if (judge(handle, statement, &make, err))
        return err->code;
    if (!make) {
        *out = core_rows_empty();
        return RC_OK;
    }
    return core_db_query(handle->db, statement, params, param_count, out, err);
}

static enum rc_code db_begin(struct rc_db *db, struct rc_error *err)
{
    return core_db_begin(handle_of(db)->db, err);
}

static enum rc_code db_commit(struct rc_db *db, struct rc_error *err)
{
    return core_db_commit(handle_of(db)->db, err);
}

static void db_rollback(struct rc_db *db)
{
    core_db_rollback(handle_of(db)->db);
}

const struct rc_db_api core_host_db = {
    .open = db_open,
    .close = db_close,
    .exec = db_exec,
    .query = db_query,
    .begin = db_begin,
    .commit = db_commit,
    .rollback = db_rollback,
};
