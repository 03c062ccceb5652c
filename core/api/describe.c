/*
 * The JSON object of a plugin. Its tables are written by config/options.h; here stands what is
 * around them.
 */
#include <api/describe.h>

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
    rc_buf_adds(out, "],\"routes\":[");
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
