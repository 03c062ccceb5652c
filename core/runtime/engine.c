/*
 * Chooses the SQL engine that a plugin names, or none.
 */
#include <runtime/engine.h>

#include <sql/engine.h>

#include <run-core/str.h>

#include <string.h>

enum { NAMES_BYTES = 1024 };

static enum rc_code no_engine(const struct core_config *config, const char *name,
                              struct rc_error *err)
{
    size_t count = config ? config->engine_count : 0;
    RC_BUF_AUTO(names, NAMES_BYTES);
    RC_BUF_AUTO(kinds, NAMES_BYTES);

    for (size_t i = 0; i < count; i++)
        rc_buf_addf(&names, "%s'%s'", i ? ", " : "", config->engines[i].name);
    for (size_t i = 0; core_engine_at(i); i++)
        rc_buf_addf(&kinds, "%s%s", i ? ", " : "", core_engine_at(i)->name);
    if (count == 0)
        return rc_fail(err, RC_INVALID,
                       "there is no SQL engine '%s': the configuration has no section 'sql:'; "
                       "leave the option out for the embedded engine, or name a kind: %s",
                       name, kinds.data);
    return rc_fail(err, RC_INVALID,
                   "there is no SQL engine '%s' under 'sql:' in the configuration; there %s %s",
                   name, count == 1 ? "is" : "are", names.overflow ? "others" : names.data);
}

enum rc_code core_engine_choose(const struct core_config *config, const char *name,
                                struct core_arena *arena, struct core_engine_settings *out,
                                struct rc_error *err)
{
    size_t count = config ? config->engine_count : 0;

    if (name && !*name)
        name = NULL;
    for (size_t i = 0; name && i < count; i++) {
        if (strcmp(config->engines[i].name, name) == 0) {
            *out = config->engines[i];
            return RC_OK;
        }
    }
    if (name && !core_engine_find(name))
        return no_engine(config, name, err);
    if (!name && count > 1)
        return rc_fail(err, RC_INVALID,
                       "the configuration has %zu SQL engines under 'sql:'; say "
                       "in the plugin's options which one to use",
                       count);
    if (!name && count == 1) {
        *out = config->engines[0];
        return RC_OK;
    }
    core_settings_engine(name ? name : "duckdb", arena, out);
    if (!name)
        out->name = "embedded";
    return RC_OK;
}
