/*
 * The engines by name. What they do is theirs.
 */
#include <sql/engine.h>

#include <string.h>

static const struct core_engine_ops *const engines[] = { &core_engine_duckdb };

const struct core_engine_ops *core_engine_find(const char *name)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(engines); i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}

enum rc_code core_sql_open(const struct core_sql_context *context, struct rc_sql **out,
                           struct rc_error *err)
{
    const char *name = context->settings->engine ? context->settings->engine : "duckdb";
    const struct core_engine_ops *engine = core_engine_find(name);

    if (!engine)
        return rc_fail(err, RC_INVALID, "there is no SQL engine '%s'; this build has: %s", name,
                       engines[0]->name);
    return engine->open(context, out, err);
}
