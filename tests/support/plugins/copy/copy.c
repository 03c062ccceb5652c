/*
 * A whole plugin in one page: copies an object between stores, at most so many bytes.
 */
#include <run-core/plugin.h>

struct copy_config {
    const char *source, *target;
    int64_t limit_bytes;
};

static const struct rc_option copy_options[] = {
    { RC_STR("source", struct copy_config, source), .flags = RC_OPT_REQUIRED,
      .help = "URI of the object to copy." },
    { RC_STR("target", struct copy_config, target), .flags = RC_OPT_REQUIRED,
      .help = "URI that the copy gets." },
    { RC_BYTES("limit", struct copy_config, limit_bytes), .def = "64MiB", .min = 1,
      .max = INT64_C(1) << 40, .help = "The largest object that is copied." },
    { 0 },
};

static enum rc_code copy_check(const void *config, struct rc_error *err)
{
    const struct copy_config *cfg = config;
    if (strcmp(cfg->source, cfg->target) == 0)
        return rc_fail(err, RC_INVALID, "source and target are both '%s'", cfg->source);
    return RC_OK;
}

static enum rc_code copy_run(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct copy_config *cfg = config;
    RC_BUF_AUTO(body, (size_t)cfg->limit_bytes);

    if (rc_storage_get(job, cfg->source, &body, err))
        return rc_context(err, "read '%s'", cfg->source);
    if (rc_storage_put(job, cfg->target, body.data, body.len, /* if_match = */ NULL, err))
        return rc_context(err, "write '%s'", cfg->target);

    rc_info(job, "copied %zu bytes to '%s'", body.len, cfg->target);
    rc_job_count(job, "bytes_copied", (int64_t)body.len);
    return RC_OK;
}

static const struct rc_action copy_actions[] = {
    { .name = "copy", .summary = "Copies the object once.", .run = copy_run },
    { 0 },
};

static const struct rc_plugin copy_plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "copy",
    .version = "1.0",
    .summary = "Copies one object between stores.",
    .options = copy_options,
    .config_size = sizeof(struct copy_config),
    .actions = copy_actions,
    .check = copy_check,
};
RC_PLUGIN_EXPORT(copy_plugin)
