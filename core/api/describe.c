/*
 * The JSON object of a plugin. Its tables are written by config/options.h; here stands what is
 * around them.
 */
#include <api/describe.h>

#include <sql/engine.h>

#include <string.h>

static void add_text(struct rc_buf *out, const char *text)
{
    if (text)
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
}

static void add_member(struct rc_buf *out, const char *key, const char *text)
{
    add_text(out, key);
    rc_buf_addc(out, ':');
    add_text(out, text);
    rc_buf_addc(out, ',');
}

/* The features that the plugin makes use of, and that the engine has, or has not. */
static void add_features(const struct core_plugin *plugin, const struct core_engine_ops *engine,
                         bool has, struct rc_buf *out)
{
    const char *separator = "";

    rc_buf_addc(out, '[');
    for (const struct core_feature *feature = core_engine_features; feature->text; feature++) {
        if (!(plugin->engine_features & feature->feature) ||
            ((engine->features & feature->feature) != 0) != has)
            continue;
        rc_buf_adds(out, separator);
        add_text(out, feature->text);
        separator = ",";
    }
    rc_buf_addc(out, ']');
}

/* Of a plugin that uses none: none. */
static void add_engines(const struct core_plugin *plugin, struct rc_buf *out)
{
    const struct core_engine_ops *engine;
    struct rc_option option;
    bool uses = core_plugin_engine_option(plugin, &option);

    rc_buf_adds(out, "\"engines\":[");
    for (size_t i = 0; uses && (engine = core_engine_at(i)); i++) {
        rc_buf_adds(out, i ? ",{" : "{");
        add_member(out, "kind", engine->name);
        rc_buf_adds(out, "\"can\":");
        add_features(plugin, engine, /* has = */ true, out);
        rc_buf_adds(out, ",\"cannot\":");
        add_features(plugin, engine, /* has = */ false, out);
        rc_buf_addc(out, '}');
    }
    rc_buf_adds(out, "],");
}

void core_describe_add_json(const struct core_plugin *plugin, struct rc_buf *out)
{
    rc_buf_addc(out, '{');
    add_member(out, "name", plugin->name);
    add_member(out, "version", plugin->version);
    add_member(out, "summary", plugin->summary);
    rc_buf_addf(out, "\"abi\":\"%u.%u\",\"options\":", plugin->abi_major, plugin->abi_minor);
    core_options_to_json(&plugin->options, out);
    rc_buf_adds(out, ",\"actions\":[");
    for (size_t i = 0; i < plugin->action_count; i++) {
        rc_buf_adds(out, i ? ",{" : "{");
        add_member(out, "name", plugin->actions[i].name);
        add_member(out, "summary", plugin->actions[i].summary);
        rc_buf_adds(out, "\"parameters\":");
        core_options_to_json(&plugin->actions[i].params, out);
        rc_buf_addc(out, '}');
    }
    rc_buf_adds(out, "],");
    add_engines(plugin, out);
    rc_buf_adds(out, "\"routes\":[");
    for (size_t i = 0; i < plugin->route_count; i++) {
        rc_buf_adds(out, i ? ",{" : "{");
        add_member(out, "method", plugin->routes[i].method);
        add_member(out, "path", plugin->routes[i].path);
        rc_buf_adds(out, "\"summary\":");
        add_text(out, plugin->routes[i].summary);
        rc_buf_addc(out, '}');
    }
    rc_buf_adds(out, "]}");
}
