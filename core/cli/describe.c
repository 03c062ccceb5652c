/*
 * 'run-core describe'. The tables themselves are written by config/options.h; here stands what
 * is around them. The plugin's file is only read, so describing runs nothing of it.
 */
#include <cli/describe.h>

#include <api/describe.h>
#include <cli/arguments.h>
#include <cli/engines.h>
#include <cli/output.h>
#include <cli/plugins.h>

#include <run-core/str.h>

static bool has_options(const struct core_option_table *table)
{
    struct rc_option option;

    return core_option_at(table, 0, &option);
}

/* Of a plugin with such an option: what it makes use of, and which engines can do that. */
static void add_engines(const struct core_plugin *plugin, const char *title,
                        void (*add)(uint32_t features, struct rc_buf *out), struct rc_buf *out)
{
    struct rc_option option;

    if (!core_plugin_engine_option(plugin, &option))
        return;
    rc_buf_addf(out, "\n%s\n", title);
    add(plugin->engine_features, out);
}

/* ---- Markdown ------------------------------------------------------------------------------- */

void core_describe_add_markdown(const struct core_plugin *plugin, struct rc_buf *out)
{
    rc_buf_adds(out, "### Actions\n\n| action | what it does |\n|---|---|\n");
    for (size_t i = 0; i < plugin->action_count; i++)
        rc_buf_addf(out, "| `%s`%s | %s |\n", plugin->actions[i].name, i == 0 ? " (default)" : "",
                    plugin->actions[i].summary);
    for (size_t i = 0; i < plugin->action_count; i++) {
        if (!has_options(&plugin->actions[i].params))
            continue;
        rc_buf_addf(out, "\n### Parameters of `%s`\n\n", plugin->actions[i].name);
        core_options_to_markdown(&plugin->actions[i].params, out);
    }
    if (has_options(&plugin->options)) {
        rc_buf_adds(out, "\n### Options\n\n");
        core_options_to_markdown(&plugin->options, out);
    }
    add_engines(plugin, "### SQL engines\n", core_engines_add_markdown, out);
    if (plugin->route_count)
        rc_buf_adds(out, "\n### Routes\n\n| request | what it answers |\n|---|---|\n");
    for (size_t i = 0; i < plugin->route_count; i++)
        rc_buf_addf(out, "| `%s %s` | %s |\n", plugin->routes[i].method, plugin->routes[i].path,
                    plugin->routes[i].summary ? plugin->routes[i].summary : "");
}

/* ---- text ------------------------------------------------------------------------------------ */

void core_describe_add_text(const struct core_plugin *plugin, struct rc_buf *out)
{
    rc_buf_addf(out, "%s %s (plugin ABI %u.%u)\n%s\n\nActions:\n", plugin->name, plugin->version,
                plugin->abi_major, plugin->abi_minor, plugin->summary);
    for (size_t i = 0; i < plugin->action_count; i++) {
        const struct core_action *action = &plugin->actions[i];

        rc_buf_addf(out, "  %-20s %s%s\n", action->name, action->summary,
                    i == 0 ? " (default)" : "");
    }
    for (size_t i = 0; i < plugin->action_count; i++) {
        if (!has_options(&plugin->actions[i].params))
            continue;
        rc_buf_addf(out, "\nParameters of '%s':\n", plugin->actions[i].name);
        core_options_to_text(&plugin->actions[i].params, out);
    }
    if (has_options(&plugin->options)) {
        rc_buf_adds(out, "\nOptions:\n");
        core_options_to_text(&plugin->options, out);
    }
    add_engines(plugin, "SQL engines:", core_engines_add_text, out);
    if (plugin->route_count)
        rc_buf_adds(out, "\nRoutes:\n");
    for (size_t i = 0; i < plugin->route_count; i++)
        rc_buf_addf(out, "  %-6s %-30s %s\n", plugin->routes[i].method, plugin->routes[i].path,
                    plugin->routes[i].summary ? plugin->routes[i].summary : "");
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run_describe(const struct core_arguments *arguments)
{
    CORE_PROBLEMS_AUTO(ignored);
    RC_CLEANUP(core_image_close) struct core_image image = CORE_IMAGE_INIT;
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    struct core_config *config;
    int status = CORE_EXIT_OK;

    /* Mistakes in the configuration are for 'check' to tell. */
    config = core_config_load(core_arguments_config_path(arguments), &ignored);
    if (core_cli_plugin_read(config, arguments->words[0], &image, &err)) {
        status = core_cli_complain(&err);
    } else if (arguments->json) {
        core_describe_add_json(image.plugin, &out);
        rc_buf_addc(&out, '\n');
    } else if (arguments->markdown) {
        core_describe_add_markdown(image.plugin, &out);
    } else {
        core_describe_add_text(image.plugin, &out);
    }
    core_config_free(config);
    return core_cli_print(&out, status);
}

static void complete_plugin(const struct core_arguments *arguments, struct rc_buf *out)
{
    CORE_PROBLEMS_AUTO(ignored);
    CORE_PLUGIN_LIST_AUTO(plugins);
    struct core_config *config;

    config = core_config_load(core_arguments_config_path(arguments), &ignored);
    core_plugin_list_make(config, &plugins);
    for (size_t i = 0; i < plugins.count && arguments->word_count == 0; i++)
        rc_buf_addf(out, "%s\n", plugins.items[i].name);
    core_config_free(config);
}

const struct core_command core_command_describe = {
    .name = "describe",
    .operands = "PLUGIN",
    .summary = "Shows the actions, options and routes of a plugin.",
    .details =
        "PLUGIN is a name, or the path of a file if it has a slash. Nothing of the plugin is "
        "run.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_JSON | CORE_FLAG_MARKDOWN,
    .min_words = 1,
    .max_words = 1,
    .run = run_describe,
    .complete = complete_plugin,
};
