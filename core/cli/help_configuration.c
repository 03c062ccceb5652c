/*
 * 'run-core help configuration': every key of the configuration's sections, from the tables by
 * which it is read.
 */
#include <cli/help.h>

#include <config/config.h>

struct section {
    const char *key; /* of core_settings_table() */
    const char *title, *text;
};

static const struct section sections[] = {
    { "core", "core", "The process itself; each key once over all files." },
    { "core.auth", "core: auth", "Who may ask over HTTP." },
    { "core.history", "core: history", "What is kept of runs that have ended." },
    { "core.http", "core: http",
      "HTTP requests that go out: to stores, of plugins, notifications." },
    { "storage", "storage: NAME", "A store, and the bucket that it stands for." },
    { "sql", "sql: NAME", "An SQL engine." },
    { "sql.duckdb", "sql: NAME", "If the engine is duckdb." },
    { "sql.elsewhere", "sql: NAME", "If it is athena or trino." },
    { "sql.athena", "sql: NAME", "If it is athena." },
    { "sql.trino", "sql: NAME", "If it is trino." },
    { "plugins", "plugins: NAME",
      "A plugin, with defaults for all its runs under 'config', in the file 'config_file', or "
      "both." },
    { "jobs", "jobs: NAME",
      "A job, with options of the plugin and parameters of the action under 'config', in the file "
      "'config_file', or both." },
    { "jobs.for_each", "jobs: NAME", "What makes it several jobs, one for each item of a list." },
    { "jobs.retry", "jobs: NAME: retry", "When a failed attempt is made again." },
    { "jobs.limits", "jobs: NAME: limits",
      "What a run may take, in the daemon and in the foreground." },
};

void core_help_add_configuration(bool markdown, struct rc_buf *out)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(sections); i++) {
        const struct core_option_table *table = core_settings_table(sections[i].key);

        RC_ASSERT(table);
        rc_buf_addf(out, markdown ? "%s**`%s`** %s\n\n" : "%s%s: %s\n", i > 0 ? "\n" : "",
                    sections[i].title, sections[i].text);
        (markdown ? core_options_to_markdown : core_options_to_text)(table, out);
    }
}
