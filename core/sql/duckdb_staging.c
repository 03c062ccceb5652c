/*
 * Remote locations: DuckDB reads and writes files, so that what lies elsewhere is copied. The
 * copies that a table was made of stay as long as the table.
 */
#include <sql/duckdb_session.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct core_duckdb_staged {
    struct core_duckdb_staged *next;
    char *table; /* NULL while it is being made */
    struct core_staged *copies;
};

enum rc_code core_duckdb_staging(struct core_duckdb_session *session, struct core_staging **out,
                                 struct rc_error *err)
{
    const struct core_engine_settings *settings = session->context.settings;
    RC_STR_AUTO limit_name =
        rc_strf("staging_limit of the SQL engine '%s'", settings->name ? settings->name : "duckdb");
    const struct core_staging_settings staging = {
        .storage = session->context.storage,
        .parent = settings->staging_dir ? settings->staging_dir : session->context.temp_dir,
        .limit_bytes = settings->staging_limit_bytes,
        .limit_name = limit_name,
        .cancel = &session->stop,
        .on_progress = session->context.on_progress,
        .progress_context = session->context.progress_context,
    };

    if (!session->staging && core_staging_new(&staging, &session->staging, err))
        return err->code;
    *out = session->staging;
    return RC_OK;
}

/* One that was stopped says so in the words of the session, as a statement does. */
static void name_stop(struct core_duckdb_session *session, struct rc_error *err)
{
    struct rc_error said = RC_ERROR_INIT;

    if (err->code != RC_CANCELLED || !core_duckdb_check(session, &said))
        return;
    err->code = said.code;
    (void)snprintf(err->cause, sizeof(err->cause), "%s", said.cause);
}

enum rc_code core_duckdb_fetch(struct core_duckdb_session *session, const char *const *locations,
                               size_t count, bool (*wants)(const char *name),
                               struct core_staged **out, struct rc_error *err)
{
    struct core_staging *staging = NULL;
    enum rc_code code;

    if (core_duckdb_staging(session, &staging, err) || core_duckdb_begin(session, err))
        return err->code;
    code = core_staging_fetch(staging, locations, count, wants, out, err);
    if (code)
        name_stop(session, err);
    core_duckdb_end(session);
    if (code)
        return err->code;
    for (size_t i = 0; i < count; i++) {
        struct core_duckdb_staged *staged = rc_malloc(sizeof(*staged));

        *staged = (struct core_duckdb_staged){ .next = session->staged, .copies = out[i] };
        session->staged = staged;
    }
    return RC_OK;
}

void core_duckdb_watch_room(struct core_duckdb_session *session, const char *path)
{
    pthread_mutex_lock(&session->mutex);
    session->written = path;
    pthread_mutex_unlock(&session->mutex);
}

enum rc_code core_duckdb_publish(struct core_duckdb_session *session, const char *path,
                                 const char *location, struct rc_error *err)
{
    enum rc_code code;

    if (core_staging_check_room(session->staging, path, err) || core_duckdb_begin(session, err))
        return err->code;
    code = core_staging_publish(session->staging, path, location, err);
    if (code)
        name_stop(session, err);
    core_duckdb_end(session);
    return code ? err->code : RC_OK;
}

void core_duckdb_keep(struct core_duckdb_session *session, const char *table)
{
    for (struct core_duckdb_staged *staged = session->staged; staged; staged = staged->next)
        if (!staged->table)
            staged->table = rc_strdup(table);
}

void core_duckdb_release(struct core_duckdb_session *session, const char *table)
{
    struct core_duckdb_staged **at = &session->staged;

    while (*at) {
        struct core_duckdb_staged *staged = *at;

        /* DuckDB does not tell names apart by the case of their letters. */
        if (table ? !staged->table || strcasecmp(staged->table, table) != 0
                  : staged->table != NULL) {
            at = &staged->next;
            continue;
        }
        *at = staged->next;
        core_staged_release(session->staging, staged->copies);
        free(staged->table);
        free(staged);
    }
}

void core_duckdb_staging_close(struct core_duckdb_session *session)
{
    for (struct core_duckdb_staged *staged = session->staged, *next; staged; staged = next) {
        next = staged->next;
        free(staged->table);
        free(staged);
    }
    core_staging_free(session->staging); /* with all copies */
}

void core_duckdb_name_objects(const struct core_duckdb_session *session, struct rc_error *err)
{
    RC_BUF_AUTO(text, 64 * 1024);

    if (!session->staging)
        return;
    core_staging_add_text(session->staging, err->cause, &text);
    (void)snprintf(err->cause, sizeof(err->cause), "%s", text.data);
}
