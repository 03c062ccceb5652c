/*
 * A plugin of an earlier minor version of the ABI, whose descriptor ends where that version's did.
 */
#include <run-core/plugin.h>

static enum rc_code greet(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    (void)err;
    rc_job_say(job, "still here");
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "greet", .summary = "Says that it runs.", .run = greet },
    { 0 },
};

/* What stands behind the end is not the host's to read. */
static enum rc_code never(const void *config, const struct rc_sql_engine *engine,
                          struct rc_error *err)
{
    (void)config;
    (void)engine;
    return rc_fail(err, RC_INVALID, "what is no member of this descriptor was called");
}

static const struct rc_plugin plugin = {
    .magic = RC_PLUGIN_MAGIC,
    .abi_major = RC_ABI_MAJOR,
    .abi_minor = 6,
    .plugin_size = offsetof(struct rc_plugin, check_engine),
    .option_size = sizeof(struct rc_option),
    .action_size = sizeof(struct rc_action),
    .route_size = sizeof(struct rc_route),
    .name = "older",
    .version = "1.0",
    .summary = "Was built earlier, for tests.",
    .actions = actions,
    .check_engine = never,
    .engine_features = UINT32_MAX,
};
RC_PLUGIN_EXPORT(plugin)
