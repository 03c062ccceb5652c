/*
 * 'run-core list': the plugins within reach and the jobs of the configuration. Plugins are read,
 * not loaded, so a broken or foreign file costs a line, not the listing.
 */
#include <cli/arguments.h>
#include <cli/output.h>
#include <cli/plugins.h>

#include <os/clock.h>
#include <runtime/job_schedule.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <string.h>

enum { NAME_WIDTH = 20 }; /* of names at least */

/* A plugin of the listing with what its file says. */
struct seen {
    struct core_image image; /* without a plugin when the file could not be read */
    struct rc_error err;
};

static void see(const struct core_listed_plugin *plugin, struct seen *out)
{
    *out = (struct seen){ .image = CORE_IMAGE_INIT, .err = RC_ERROR_INIT };
    if (!plugin->file)
        (void)rc_fail(&out->err, RC_NOT_FOUND, "its file is not on the plugin path");
    else if (core_image_open(plugin->file, &out->image, &out->err))
        out->image = (struct core_image)CORE_IMAGE_INIT;
}

/* When the job is due next, RFC 3339 in UTC; false: never, or its schedule is a mistake. */
static bool next_of(const struct core_job_settings *job, struct core_time_zones *zones,
                    char out[RC_TIME_TEXT])
{
    struct core_schedule *schedule = NULL;
    struct rc_error ignored = RC_ERROR_INIT; /* said with the configuration's mistakes */
    int64_t slot = 0;
    bool due;

    if (core_job_schedule_make(job, zones, &schedule, &ignored) || !schedule)
        return false;
    due = core_schedule_next(schedule, core_clock_now_unix_ms(), &slot);
    core_schedule_free(schedule);
    if (due)
        (void)rc_format_time(slot, out);
    return due;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void add_plugin_json(const struct core_listed_plugin *plugin, struct rc_buf *out)
{
    struct seen seen;

    see(plugin, &seen);
    rc_buf_adds(out, "{\"name\":");
    core_cli_add_json(out, plugin->name);
    rc_buf_adds(out, ",\"version\":");
    core_cli_add_json(out, seen.image.plugin ? seen.image.plugin->version : NULL);
    rc_buf_adds(out, ",\"file\":");
    core_cli_add_json(out, plugin->file);
    if (!seen.image.plugin) {
        rc_buf_adds(out, ",\"error\":");
        core_cli_add_json(out, seen.err.cause);
    }
    rc_buf_addc(out, '}');
    core_image_close(&seen.image);
}

static void add_job_json(const struct core_config *config, const struct core_job_settings *job,
                         struct core_time_zones *zones, struct rc_buf *out)
{
    RC_STR_AUTO action = core_cli_action_of(config, job);
    char next[RC_TIME_TEXT];

    rc_buf_adds(out, "{\"name\":");
    core_cli_add_json(out, job->name);
    rc_buf_adds(out, ",\"plugin\":");
    core_cli_add_json(out, job->plugin);
    rc_buf_adds(out, ",\"action\":");
    core_cli_add_json(out, action);
    rc_buf_adds(out, ",\"schedule\":");
    core_cli_add_json(out, job->schedule);
    rc_buf_adds(out, ",\"next\":");
    core_cli_add_json(out, next_of(job, zones, next) ? next : NULL);
    rc_buf_addc(out, '}');
}

static void add_json(const struct core_config *config, const struct core_plugin_list *plugins,
                     struct core_time_zones *zones, struct rc_buf *out)
{
    rc_buf_adds(out, "{\"plugins\":[");
    for (size_t i = 0; i < plugins->count; i++) {
        rc_buf_adds(out, i ? "," : "");
        add_plugin_json(&plugins->items[i], out);
    }
    rc_buf_adds(out, "],\"jobs\":[");
    for (size_t i = 0; i < config->job_count; i++) {
        rc_buf_adds(out, i ? "," : "");
        add_job_json(config, &config->jobs[i], zones, out);
    }
    rc_buf_adds(out, "]}\n");
}

/* ---- text ------------------------------------------------------------------------------------ */

static void add_text(const struct core_config *config, const struct core_plugin_list *plugins,
                     struct core_time_zones *zones, struct rc_buf *out)
{
    size_t width = NAME_WIDTH;

    rc_buf_adds(out, plugins->count ? "Plugins:\n" : "No plugins.\n");
    for (size_t i = 0; i < plugins->count; i++) {
        const struct core_listed_plugin *plugin = &plugins->items[i];
        struct seen seen;

        see(plugin, &seen);
        if (seen.image.plugin)
            rc_buf_addf(out, "  %-*s %-10s %s (%s)\n", NAME_WIDTH, plugin->name,
                        seen.image.plugin->version, seen.image.plugin->summary, plugin->file);
        else
            rc_buf_addf(out, "  %-*s %-10s %s\n", NAME_WIDTH, plugin->name, "unusable",
                        seen.err.cause);
        core_image_close(&seen.image);
    }
    rc_buf_adds(out, config->job_count ? "\nJobs:\n" : "\nNo jobs.\n");
    for (size_t i = 0; i < config->job_count; i++)
        if (strlen(config->jobs[i].name) > width)
            width = strlen(config->jobs[i].name);
    for (size_t i = 0; i < config->job_count; i++) {
        const struct core_job_settings *job = &config->jobs[i];
        RC_STR_AUTO action = core_cli_action_of(config, job);
        char next[RC_TIME_TEXT];

        rc_buf_addf(out, "  %-*s %s %s", (int)width, job->name, job->plugin ? job->plugin : "?",
                    action ? action : "?");
        if (!job->schedule)
            rc_buf_adds(out, ", on demand");
        else
            rc_buf_addf(out, " at '%s'", job->schedule);
        if (next_of(job, zones, next))
            rc_buf_addf(out, ", next %s", next);
        rc_buf_addc(out, '\n');
    }
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run_list(const struct core_arguments *arguments)
{
    CORE_PROBLEMS_AUTO(problems);
    CORE_PLUGIN_LIST_AUTO(plugins);
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    struct core_time_zones *zones = core_time_zones_new();
    struct core_config *config;
    int status;

    config = core_config_load(core_arguments_config_path(arguments), &problems);
    core_job_schedule_check(config, &problems);
    status = core_cli_report(&problems);
    core_plugin_list_make(config, &plugins);
    (arguments->json ? add_json : add_text)(config, &plugins, zones, &out);
    core_time_zones_free(zones);
    core_config_free(config);
    return core_cli_print(&out, status);
}

const struct core_command core_command_list = {
    .name = "list",
    .summary = "Lists the plugins within reach and the jobs of the configuration.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_JSON,
    .run = run_list,
};
