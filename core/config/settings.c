/*
 * The keys of the configuration's own sections, as option tables. Rules that need more
 * than one value, and paths, are left to config.c.
 */
#include <config/settings.h>

#include <config/option_value.h>

#include <run-core/log.h>
#include <run-core/str.h>

#include <stdint.h>
#include <string.h>

enum { MOST_PARTS = 4 };

#define SECONDS_MS(n) (INT64_C(1000) * (n))
#define DAYS_MS(n) (SECONDS_MS(86400) * (n))

/* ---- core --------------------------------------------------------------------------------- */

/* In the order of enum rc_log_level. */
static const char *const log_levels[] = { "error", "warn", "info", "debug", NULL };

static const struct rc_option core_options[] = {
    { RC_STR("state", struct core_settings, state),
      .help = "Where runs, slots and locks are kept: sqlite:///PATH, postgresql://… or a folder, "
              "which then holds state.db." },
    { RC_STR("listen", struct core_settings, listen),
      .help = "HOST:PORT of the API, the page and the health probes. On another address than "
              "loopback, tokens are required." },
    { RC_STR("socket", struct core_settings, socket),
      .help = "Unix socket over which the command line reaches the daemon; by default beside the "
              "state." },
    { RC_LIST("plugin_path", struct core_settings, plugin_path),
      .help = "Directories in which plugins are looked for, in this order." },
    { RC_ENUM("log_level", struct core_settings, log_level, log_levels), .def = "info",
      .help = "The least important messages that are logged." },
    { RC_STR("spool", struct core_settings, spool),
      .help = "Folder on this machine for the logs and results of the daemon's runs; by default "
              "beside the state." },
    { RC_INT("max_workers", struct core_settings, max_workers), .def = "256", .min = 1,
      .max = 100000,
      .help = "Most runs of the daemon at the same time; more wait for their turn." },
    { RC_MS("shutdown_grace", struct core_settings, shutdown_grace_ms), .def = "30s", .min = 0,
      .max = DAYS_MS(1),
      .help = "How long the daemon, asked to end, waits for running work before it stops it." },
    { RC_MS("lease", struct core_settings, lease_ms), .def = "60s", .min = SECONDS_MS(2),
      .max = SECONDS_MS(3600),
      .help = "Where several daemons share the state: how long one may be silent until the others "
              "take over its slots." },
    { 0 },
};

static const struct rc_option history_options[] = {
    { RC_MS("keep", struct core_settings, history.keep_ms), .def = "90d", .min = SECONDS_MS(60),
      .max = DAYS_MS(36500), .help = "How long ended runs and their logs are kept." },
    { RC_INT("runs", struct core_settings, history.runs), .def = "100000", .min = 1,
      .max = 1000000000, .help = "Most ended runs to keep of each job." },
    { RC_BYTES("log_size", struct core_settings, history.log_bytes), .def = "16MiB", .min = 4096,
      .max = INT64_C(1) << 40,
      .help = "Most of one attempt's log to keep; beyond it the oldest half goes." },
    { 0 },
};

static const struct rc_option auth_options[] = {
    { RC_STR("tokens_file", struct core_settings, tokens_file),
      .help = "File with a line 'NAME SCOPE SHA256HEX' for each token of the API." },
    { 0 },
};

static const struct core_subsection core_parts[] = {
    { "auth", CORE_OPTION_TABLE(auth_options) },
    { "history", CORE_OPTION_TABLE(history_options) },
    { 0 },
};

/* ---- storage and sql ---------------------------------------------------------------------- */

static const char *const addressings[] = { "auto", "path", "virtual", NULL };

static const struct rc_option storage_options[] = {
    { RC_STR("bucket", struct core_store_settings, bucket),
      .help = "The bucket that these settings are for; by default the name of the entry." },
    { RC_URL("url", struct core_store_settings, url),
      .help = "Where that bucket really lies, such as file:///srv/lake or s3://other-bucket." },
    { RC_STR("region", struct core_store_settings, region), .help = "Region of the bucket." },
    { RC_URL("endpoint", struct core_store_settings, endpoint),
      .help = "The object store's HTTP address, where it is not the vendor's own." },
    { RC_ENUM("addressing", struct core_store_settings, addressing, addressings), .def = "auto",
      .help = "Whether the bucket stands in the path or in the host name of requests." },
    { 0 },
};

static const char *const engines[] = { "duckdb", "athena", "trino", NULL };

static const struct rc_option sql_options[] = {
    { RC_STR("engine", struct core_engine_settings, engine), .def = "duckdb", .choices = engines,
      .help = "The engine behind the name." },
    { RC_STR("library", struct core_engine_settings, library),
      .help = "The file libduckdb.so; by default it is searched for." },
    { RC_BYTES("memory_limit", struct core_engine_settings, memory_limit_bytes), .def = "0",
      .min = 0, .max = INT64_MAX,
      .help = "Most memory that the engine may take; 0 leaves it to "
              "the engine." },
    { RC_INT("threads", struct core_engine_settings, threads), .def = "0", .min = 0, .max = 1024,
      .help = "Threads of the engine; 0 is one for each processor." },
    { RC_STR("temp_dir", struct core_engine_settings, temp_dir),
      .help = "Directory for what does not fit into memory; by default that of the run." },
    { RC_BYTES("temp_limit", struct core_engine_settings, temp_limit_bytes), .def = "0", .min = 0,
      .max = INT64_MAX, .help = "Most space to take there; 0 is no limit." },
    { 0 },
};

/* ---- plugins and jobs --------------------------------------------------------------------- */

static const struct rc_option plugin_options[] = {
    { RC_STR("file", struct core_plugin_settings, file),
      .help = "The plugin's file; by default NAME.so on the plugin path." },
    { RC_STR("config_file", struct core_plugin_settings, config_file),
      .help =
          "YAML or JSON file of option values, for all jobs of the plugin; weaker than 'config'." },
    { RC_URL("config_url", struct core_plugin_settings, config_url),
      .help = "The same, fetched over HTTP at each run." },
    { RC_BOOL("serve", struct core_plugin_settings, serve), .def = "false",
      .help = "Whether the daemon serves the plugin's HTTP routes." },
    { RC_STR("mount", struct core_plugin_settings, mount),
      .help = "The path below which they are served; by default /plugins/NAME." },
    { 0 },
};

static const char *const config_keys[] = { "config", NULL };
static const char *const concurrencies[] = { "forbid", "allow", "replace", "queue", NULL };
static const char *const misfires[] = { "skip", "latest", "all", NULL };
static const char *const dst_gaps[] = { "auto", "run_after", "skip", NULL };
static const char *const dst_overlaps[] = { "auto", "first", "both", NULL };
static const char *const events[] = { "failure", "recovery", "missed", "success", NULL };

static const struct rc_option notify_options[] = {
    { RC_LIST("on", struct core_notify_settings, on), .flags = RC_OPT_REQUIRED, .choices = events,
      .help = "What to tell of." },
    { RC_URL("url", struct core_notify_settings, url), .flags = RC_OPT_REQUIRED | RC_OPT_SECRET,
      .help = "Where a JSON object that says what happened is posted to." },
    { 0 },
};

static const struct rc_option job_options[] = {
    { RC_STR("plugin", struct core_job_settings, plugin), .flags = RC_OPT_REQUIRED,
      .help = "The plugin whose action the job runs." },
    { RC_STR("action", struct core_job_settings, action),
      .help = "The action; by default the plugin's first." },
    { RC_STR("schedule", struct core_job_settings, schedule),
      .help = "Cron expression with 5 or 6 fields, @daily and the like, @every DURATION or "
              "@startup; without it the job runs on demand only." },
    { RC_STR("time_zone", struct core_job_settings, time_zone), .def = "UTC",
      .help = "IANA time zone of the schedule." },
    { RC_MS("timeout", struct core_job_settings, timeout_ms), .def = "0", .min = 0,
      .max = DAYS_MS(365), .help = "Longest time for one attempt; 0 is no limit." },
    { RC_MS("kill_after", struct core_job_settings, kill_after_ms), .def = "10s", .min = 0,
      .max = SECONDS_MS(3600), .help = "Time between asking a run to stop and killing it." },
    { RC_ENUM("concurrency", struct core_job_settings, concurrency, concurrencies), .def = "forbid",
      .help = "What happens when a run is due while another is under way." },
    { RC_ENUM("misfire", struct core_job_settings, misfire, misfires), .def = "latest",
      .help = "Which of the slots that were missed are made up for." },
    { RC_MS("catchup_window", struct core_job_settings, catchup_window_ms), .def = "1d", .min = 0,
      .max = DAYS_MS(3650), .help = "How far back missed slots are made up for." },
    { RC_ENUM("dst_gap", struct core_job_settings, dst_gap, dst_gaps), .def = "auto",
      .help = "What becomes of a local time that daylight saving skips." },
    { RC_ENUM("dst_overlap", struct core_job_settings, dst_overlap, dst_overlaps), .def = "auto",
      .help = "What becomes of a local time that daylight saving repeats." },
    { RC_OBJECTS("notify", struct core_job_settings, notify, struct core_notify_settings,
                 notify_options),
      .help = "Whom to tell of what becomes of the job." },
    { RC_STR("config_file", struct core_job_settings, config_file),
      .help = "YAML or JSON file of option values; weaker than 'config'." },
    { RC_URL("config_url", struct core_job_settings, config_url),
      .help = "The same, fetched over HTTP at each run." },
    { 0 },
};

static const struct rc_option retry_options[] = {
    { RC_INT("attempts", struct core_job_settings, retry.attempts), .def = "1", .min = 1,
      .max = 1000, .help = "Attempts in all, with the first." },
    { RC_MS("backoff", struct core_job_settings, retry.backoff_ms), .def = "30s", .min = 0,
      .max = DAYS_MS(7),
      .help = "Pause before the second attempt; it doubles with each further one." },
    { RC_MS("max_backoff", struct core_job_settings, retry.max_backoff_ms), .def = "10m", .min = 0,
      .max = DAYS_MS(7), .help = "The longest pause." },
    { 0 },
};

static const struct rc_option limits_options[] = {
    { RC_BYTES("memory", struct core_job_settings, limits.memory_bytes), .def = "0", .min = 0,
      .max = INT64_MAX,
      .help = "Most memory of all processes of a run, by a control group, where run-core may make "
              "one; 0 is no limit." },
    { RC_BYTES("address_space", struct core_job_settings, limits.address_space_bytes), .def = "0",
      .min = 0, .max = INT64_MAX,
      .help = "Largest address space of the worker (RLIMIT_AS); 0 is no limit." },
    { RC_MS("cpu_time", struct core_job_settings, limits.cpu_ms), .def = "0", .min = 0,
      .max = DAYS_MS(365),
      .help = "Most processor time of the worker, in whole seconds; 0 is no "
              "limit." },
    { RC_BYTES("file_size", struct core_job_settings, limits.file_bytes), .def = "0", .min = 0,
      .max = INT64_MAX, .help = "Largest file that the worker may write; 0 is no limit." },
    { RC_INT("nice", struct core_job_settings, limits.nice), .def = "0", .min = 0, .max = 19,
      .help = "How far the worker steps back behind other processes; see nice(1)." },
    { 0 },
};

static const struct core_subsection job_parts[] = {
    { "retry", CORE_OPTION_TABLE(retry_options) },
    { "limits", CORE_OPTION_TABLE(limits_options) },
    { 0 },
};

const struct core_section core_sections[CORE_SECTION_COUNT] = {
    [CORE_SECTION_CORE] = { .key = "core",
                            .what = "core",
                            .table = CORE_OPTION_TABLE(core_options),
                            .parts = core_parts },
    [CORE_SECTION_STORAGE] = { .key = "storage",
                               .what = "store",
                               .table = CORE_OPTION_TABLE(storage_options) },
    [CORE_SECTION_SQL] = { .key = "sql",
                           .what = "engine",
                           .table = CORE_OPTION_TABLE(sql_options) },
    [CORE_SECTION_PLUGINS] = { .key = "plugins",
                               .what = "plugin",
                               .table = CORE_OPTION_TABLE(plugin_options),
                               .free = config_keys },
    [CORE_SECTION_JOBS] = { .key = "jobs",
                            .what = "job",
                            .table = CORE_OPTION_TABLE(job_options),
                            .parts = job_parts,
                            .free = config_keys },
};

/* ---- use ---------------------------------------------------------------------------------- */

const struct core_option_table *core_settings_table(const char *section)
{
    static const struct core_option_table notify = CORE_OPTION_TABLE(notify_options);

    if (strcmp(section, "jobs.notify") == 0)
        return &notify;
    for (size_t i = 0; i < CORE_SECTION_COUNT; i++) {
        const struct core_section *s = &core_sections[i];
        size_t len = strlen(s->key);

        if (strcmp(section, s->key) == 0)
            return &s->table;
        if (strncmp(section, s->key, len) != 0 || section[len] != '.')
            continue;
        for (const struct core_subsection *part = s->parts; part && part->key; part++)
            if (strcmp(section + len + 1, part->key) == 0)
                return &part->table;
    }
    return NULL;
}

static void bind_part(const struct core_subsection *part, const struct core_node *map,
                      const char *what, const struct core_place *place, void *out,
                      struct core_arena *arena, struct core_problems *problems)
{
    const struct core_node *layer = core_node_get(map, part->key);
    RC_STR_AUTO whose = NULL;

    if (layer && layer->kind != CORE_NODE_MAP) {
        if (layer->kind != CORE_NODE_NULL)
            core_problem_add(problems, &layer->place, "'%s' must be a map, not %s", part->key,
                             core_node_kind_text(layer));
        layer = NULL;
    }
    core_options_bind(&part->table, &layer, layer ? 1 : 0, layer ? &layer->place : place, out,
                      arena, problems);
    if (!layer)
        return;
    whose = rc_strf("'%s' of %s", part->key, what);
    core_options_check_keys(layer, &part->table, 1, whose, problems);
}

void core_section_bind(const struct core_section *section, const struct core_node *map,
                       const char *what, const struct core_place *place, void *out,
                       struct core_arena *arena, struct core_problems *problems)
{
    const char *more[MOST_PARTS];
    size_t count = 0;

    for (const struct core_subsection *part = section->parts; part && part->key; part++)
        more[count++] = part->key;
    for (const char *const *key = section->free; key && *key; key++)
        more[count++] = *key;
    RC_ASSERT(count <= MOST_PARTS);
    core_options_check_keys_and(map, &section->table, 1, more, count, what, problems);
    core_options_bind(&section->table, &map, map ? 1 : 0, place, out, arena, problems);
    for (const struct core_subsection *part = section->parts; part && part->key; part++)
        bind_part(part, map, what, place, out, arena, problems);
}
