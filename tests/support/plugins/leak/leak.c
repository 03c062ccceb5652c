/*
 * Takes 100 MB, touches all of it, gives none back and reports success.
 */
#include <run-core/plugin.h>

#include <stdlib.h>

static enum rc_code leak(struct rc_job *job, const void *config, struct rc_error *err)
{
    enum { BLOCKS = 100, BLOCK_BYTES = 1000000 };
    (void)config;
    for (int i = 0; i < BLOCKS; i++) {
        char *block = malloc(BLOCK_BYTES);
        if (!block)
            return rc_fail(err, RC_UNAVAILABLE, "no memory left at block %d", i);
        memset(block, i, BLOCK_BYTES);
    }
    rc_info(job, "leaked 100 MB");
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "leak", .summary = "Leaks 100 MB.", .run = leak },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "leak", .version = "1.0", .summary = "Leaks, for tests.", .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
