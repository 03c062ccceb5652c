/*
 * The smallest plugin: logs one line. Also what the start of a run is measured with.
 */
#include <run-core/plugin.h>

static enum rc_code noop(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    (void)err;
    rc_info(job, "nothing to do");
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "noop", .summary = "Logs one line.", .run = noop },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "noop", .version = "1.0", .summary = "Does nothing, for tests.", .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
