/*
 * Has an option table in which one name stands twice.
 */
#include <run-core/plugin.h>

struct config {
    int64_t first, second;
};

static const struct rc_option options[] = {
    { RC_INT("size", struct config, first), .def = "1", .help = "One size." },
    { RC_INT("size", struct config, second), .def = "2", .help = "Another size." },
    { 0 },
};

static enum rc_code never(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)job;
    (void)config;
    return rc_fail(err, RC_FAILED, "this plugin must not be loaded");
}

static const struct rc_action actions[] = {
    { .name = "never", .summary = "Must not run.", .run = never },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "bad-table",
    .version = "1.0",
    .summary = "Has a wrong option table, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
