/*
 * The engines by name, and what is told of one before a session is opened. What they do is theirs.
 */
#include <sql/engine.h>

#include <storage/resolve.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

/* In the order in which documents name them. */
static const struct core_engine_ops *const engines[] = {
    &core_engine_duckdb,
    &core_engine_athena,
    &core_engine_trino,
};

const struct core_feature core_engine_features[] = {
    { RC_SQL_IN_PLACE, "reads objects where they lie" },
    { RC_SQL_FILES, "reads files of the run by their paths" },
    { RC_SQL_CSV, "reads CSV" },
    { RC_SQL_ORDERED, "keeps the order of rows in the files that it writes" },
    { RC_SQL_SEARCH, "tells which files a row is in" },
    { RC_SQL_CATALOGUE, "has a catalogue of tables" },
    { 0, NULL },
};

const struct core_engine_ops *core_engine_at(size_t index)
{
    return index < RC_ARRAY_LEN(engines) ? engines[index] : NULL;
}

const struct core_engine_ops *core_engine_find(const char *name)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(engines); i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}

static enum rc_code find(const struct core_engine_settings *settings,
                         const struct core_engine_ops **out, struct rc_error *err)
{
    const char *kind = settings->engine ? settings->engine : "duckdb";
    RC_BUF_AUTO(kinds, 256);

    *out = core_engine_find(kind);
    if (*out)
        return RC_OK;
    for (size_t i = 0; i < RC_ARRAY_LEN(engines); i++)
        rc_buf_addf(&kinds, "%s%s", i ? ", " : "", engines[i]->name);
    return rc_fail(err, RC_INVALID, "there is no SQL engine '%s'; this build has: %s", kind,
                   kinds.data);
}

static bool reaches(const struct rc_sql_engine *engine, const char *uri)
{
    const struct core_engine_view *view = (const struct core_engine_view *)(const void *)engine;
    struct rc_error no_uri = RC_ERROR_INIT;
    RC_STR_AUTO there = NULL;

    return !core_resolve_uri(view->storage, uri, &there, &no_uri) &&
           core_engine_find(engine->kind)->reaches(view->settings, there);
}

enum rc_code core_engine_look(const struct core_engine_settings *settings,
                              struct core_storage *storage, struct core_engine_view *out,
                              struct rc_error *err)
{
    const struct core_engine_ops *engine;

    if (find(settings, &engine, err))
        return err->code;
    *out = (struct core_engine_view){
        .engine = { .name = settings->name ? settings->name : engine->name,
                    .kind = engine->name,
                    .features = engine->features,
                    .reaches = reaches },
        .settings = settings,
        .storage = storage,
    };
    return RC_OK;
}

static enum rc_code check_folder(const struct core_engine_settings *settings, const char *setting,
                                 const char *uri, struct core_storage *storage,
                                 struct rc_error *err)
{
    const struct core_engine_ops *engine = core_engine_find(settings->engine);
    RC_STR_AUTO there = NULL;
    bool is_mapped;

    if (!uri)
        return RC_OK;
    if (core_resolve_uri(storage, uri, &there, err)) {
        err->code = RC_INVALID;
        return rc_context(err, "'%s'", setting);
    }
    if (engine->reaches(settings, there))
        return RC_OK;
    is_mapped = !rc_str_eq(there, uri);
    return rc_fail(err, RC_INVALID, "'%s' is '%s'%s%s%s, which %s does not reach%s", setting, uri,
                   is_mapped ? ", that is '" : "", is_mapped ? there : "", is_mapped ? "'" : "",
                   engine->name,
                   rc_str_starts(there, "file://") && rc_str_eq(engine->name, "trino")
                       ? " unless 'shares_files' says so"
                       : "");
}

enum rc_code core_engine_check(const struct core_engine_settings *settings,
                               struct core_storage *storage, struct rc_error *err)
{
    const struct core_engine_ops *engine;

    if (find(settings, &engine, err) || (engine->check && engine->check(settings, err)) ||
        check_folder(settings, "work", settings->work, storage, err))
        return err->code;
    return check_folder(settings, "results", settings->results, storage, err);
}

enum rc_code core_sql_open(const struct core_sql_context *context, struct rc_sql **out,
                           struct rc_error *err)
{
    const struct core_engine_ops *engine;

    if (find(context->settings, &engine, err))
        return err->code;
    return engine->open(context, out, err);
}
