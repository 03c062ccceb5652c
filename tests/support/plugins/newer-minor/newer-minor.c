/*
 * Says that it needs a minor version of the plugin ABI that does not exist yet.
 */
#include <run-core/plugin.h>

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
    .magic = RC_PLUGIN_MAGIC,
    .abi_major = RC_ABI_MAJOR,
    .abi_minor = RC_ABI_MINOR + 1,
    .plugin_size = sizeof(struct rc_plugin),
    .option_size = sizeof(struct rc_option),
    .action_size = sizeof(struct rc_action),
    .route_size = sizeof(struct rc_route),
    .name = "newer-minor",
    .version = "1.0",
    .summary = "Needs a newer host, for tests.",
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
