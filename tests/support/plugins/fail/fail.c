/*
 * Fails with the code that it is told.
 */
#include <run-core/plugin.h>

struct config {
    int code;
    int64_t succeed_at;
};

static const char *const codes[] = { "ok",       "failed",      "invalid",   "not_found",
                                     "conflict", "denied",      "too_large", "unsupported",
                                     "corrupt",  "unavailable", "timeout",   "cancelled",
                                     "skipped",  NULL };

static const struct rc_option options[] = {
    { RC_ENUM("code", struct config, code, codes), .def = "failed", .help = "What to return." },
    { RC_INT("succeed_at", struct config, succeed_at), .def = "0", .max = 100,
      .help = "The attempt that succeeds; 0: none." },
    { 0 },
};

static enum rc_code fail(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    if (cfg->code == RC_OK || job->attempt == cfg->succeed_at)
        return RC_OK;
    rc_fail(err, (enum rc_code)cfg->code, "attempt %d was told to fail", (int)job->attempt);
    return rc_context(err, "try");
}

static const struct rc_action actions[] = {
    { .name = "fail", .summary = "Fails.", .run = fail },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "fail",
    .version = "1.0",
    .summary = "Fails, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
