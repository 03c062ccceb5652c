/*
 * Reports: progress step by step, counters, log fields, a line and a table.
 */
#include <run-core/plugin.h>

#include <unistd.h>

struct config {
    int64_t steps, step_ms;
};

static const struct rc_option options[] = {
    { RC_INT("steps", struct config, steps), .def = "10", .min = 0, .max = 1000000,
      .help = "How many steps to take." },
    { RC_MS("step", struct config, step_ms), .def = "0", .max = 60000,
      .help = "How long each of them takes." },
    { 0 },
};

static enum rc_code report(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    for (int64_t i = 0; i < cfg->steps; i++) {
        if (rc_job_check(job, err))
            return rc_context(err, "step %lld", (long long)i + 1);
        if (cfg->step_ms)
            usleep((useconds_t)(cfg->step_ms * 1000));
        rc_job_count(job, "steps", 1);
        rc_job_count(job, i % 2 ? "odd_steps" : "even_steps", 1);
        rc_job_progress(job, i + 1, cfg->steps, "steps");
    }
    const struct rc_log_field fields[] = { { "colour", "blue" }, { "shape", "round \"thing\"" } };
    rc_log_with(job, RC_LOG_INFO, fields, RC_ARRAY_LEN(fields), "took %lld steps",
                (long long)cfg->steps);
    static const char *const columns[] = { "kind", ">steps" };
    static const char *const cells[] = { "even", "5", "odd", NULL };
    const struct rc_table table = {
        .title = "steps",
        .columns = columns,
        .column_count = 2,
        .cells = cells,
        .row_count = 2,
    };
    rc_job_say(job, "all steps taken");
    rc_job_show(job, &table);
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "report", .summary = "Takes its steps and reports them.", .run = report },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "counter",
    .version = "1.0",
    .summary = "Reports progress, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
