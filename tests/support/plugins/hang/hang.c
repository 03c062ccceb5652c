/*
 * Does not come to an end by itself: one action ignores that it should stop, another obeys.
 */
#include <run-core/plugin.h>

#include <unistd.h>

static enum rc_code hang(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    (void)err;
    rc_info(job, "hanging");
    while (pause())
        ;
    return RC_OK;
}

static enum rc_code wait_for_stop(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    rc_info(job, "waiting");
    while (!rc_job_check(job, err))
        usleep(5000);
    rc_info(job, "stopping");
    return rc_context(err, "wait");
}

static const struct rc_action actions[] = {
    { .name = "hang", .summary = "Ignores every wish to stop.", .run = hang },
    { .name = "wait", .summary = "Waits until it is asked to stop.", .run = wait_for_stop },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "hang", .version = "1.0", .summary = "Hangs, for tests.", .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
