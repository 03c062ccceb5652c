/*
 * The sample plugin's options; see sample.h.
 */
#include "sample.h"

#include <stdio.h>
#include <string.h>

static const char *const modes[] = { "daily", "rebuild", "total", NULL };
static const char *const engines[] = { "duckdb", "athena", NULL };

static const struct rc_option window_options[] = {
    { RC_STR("targetFolder", struct sample_window, folder), .flags = RC_OPT_REQUIRED,
      .help = "Folder of the window." },
    { RC_INT("aggregationWindowDays", struct sample_window, days), .def = "7", .min = 1,
      .max = 3650, .unit = "days", .help = "Length of the window." },
    { RC_LIST("labels", struct sample_window, labels), .help = "Labels of the window." },
    { 0 },
};

static const struct rc_option options[] = {
    { RC_STR("table", struct sample, table), .flags = RC_OPT_REQUIRED, .also = "sourceTable",
      .help = "Table that is read." },
    { RC_STR("note", struct sample, note), .def = "none", .help = "A remark." },
    { RC_STR("engine", struct sample, engine), .choices = engines, .help = "Engine to use." },
    { RC_BOOL("exportToCsv", struct sample, csv), .def = "no", .help = "Whether CSV is written." },
    { RC_INT("threads", struct sample, threads), .def = "4", .min = 1, .max = INT64_MAX,
      .help = "Threads at work." },
    { RC_MS("timeout", struct sample, timeout_ms), .def = "30s", .min = 100, .max = 3600000,
      .help = "Longest wait for one request." },
    { RC_BYTES("memory", struct sample, memory_bytes), .def = "64MiB", .min = INT64_MIN,
      .max = INT64_C(1) << 30, .help = "Most memory." },
    { RC_FLOAT("ratio", struct sample, ratio), .def = "0.5", .min = 0, .max = 1,
      .help = "Part of the rows that are looked at." },
    { RC_ENUM("mode", struct sample, mode, modes), .def = "daily", .help = "What is computed." },
    { RC_URL("endpoint", struct sample, endpoint), .help = "Address of the service." },
    { RC_STR("password", struct sample, password), .flags = RC_OPT_SECRET, .env = SAMPLE_PASSWORD,
      .help = "Password of the service." },
    { RC_DAY("historyStartDay", struct sample, start), .help = "First day of the history." },
    { RC_LIST("tables", struct sample, tables), .env = SAMPLE_TABLES, .help = "Tables to dump." },
    { RC_MAP("headers", struct sample, headers), .help = "Headers | fields of each request." },
    { RC_OBJECTS("windows", struct sample, windows, struct sample_window, window_options),
      .help = "Windows to aggregate over." },
    { 0 },
};

const struct core_option_table sample_table = CORE_OPTION_TABLE(options);

void sample_load(const char *path, struct sample *out, struct core_arena *arena,
                 struct core_problems *problems)
{
    struct core_config *config = core_config_load(path, problems);

    for (size_t i = 0; i < config->job_count; i++) {
        const struct core_job_settings *job = &config->jobs[i];
        const struct core_plugin_settings *plugin =
            job->plugin ? core_config_plugin(config, job->plugin) : NULL;
        struct core_layers layers;
        struct sample sample = { 0 };

        core_config_layers(arena, NULL, job, plugin, NULL, core_options_whole(&sample_table, 1),
                           &layers, problems);
        core_options_bind(&sample_table, layers.nodes, layers.count, &job->place, &sample, arena,
                          problems);
        for (size_t j = 0; j < layers.count; j++)
            core_options_check_keys(layers.nodes[j], &sample_table, 1, "plugin 'sample'", problems);
        if (out)
            *out = sample;
    }
    core_config_free(config);
}
