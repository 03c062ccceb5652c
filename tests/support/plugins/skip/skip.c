/*
 * Says that its precondition does not hold now.
 */
#include <run-core/plugin.h>

static enum rc_code skip(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)job;
    (void)config;
    return rc_fail(err, RC_SKIPPED, "the moon is not full");
}

static const struct rc_action actions[] = {
    { .name = "skip", .summary = "Skips the run.", .run = skip },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "skip", .version = "1.0", .summary = "Skips every run, for tests.", .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
