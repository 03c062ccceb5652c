/*
 * Plugins: what there is, what each declares, and the way of requests to those that serve routes of
 * their own. Descriptors are read from the files; nothing of a plugin runs here.
 */
#include <api/call.h>

#include <api/describe.h>
#include <os/clock.h>
#include <runtime/image.h>
#include <runtime/plugin_list.h>

#include <run-core/str.h>

#include <string.h>

/* ---- what there is --------------------------------------------------------------------------- */

static void add_plugin(const struct core_config *config, const struct core_listed_plugin *listed,
                       struct rc_buf *out)
{
    const struct core_plugin_settings *settings = core_config_plugin(config, listed->name);
    RC_CLEANUP(core_image_close) struct core_image image = CORE_IMAGE_INIT;
    struct rc_error err = RC_ERROR_INIT;

    if (!listed->file)
        (void)rc_fail(&err, RC_NOT_FOUND, "the plugin's file is not found");
    else if (core_image_open(listed->file, &image, &err))
        image.plugin = NULL;
    core_json_comma(out);
    rc_buf_addc(out, '{');
    core_json_text(out, "name", listed->name);
    core_json_text(out, "file", listed->file);
    core_json_text(out, "version", image.plugin ? image.plugin->version : NULL);
    core_json_text(out, "summary", image.plugin ? image.plugin->summary : NULL);
    core_json_text(out, "error", image.plugin ? NULL : err.cause);
    core_json_bool(out, "serve", settings && settings->serve);
    rc_buf_addc(out, '}');
}

void core_api_plugins(struct core_api_call *call)
{
    const struct core_config *config = core_supervisor_config(call->api->supervisor);
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);
    CORE_PLUGIN_LIST_AUTO(list);

    core_plugin_list_make(config, &list);
    rc_buf_adds(&out, "{\"plugins\":[");
    for (size_t i = 0; i < list.count; i++)
        add_plugin(config, &list.items[i], &out);
    rc_buf_adds(&out, "]}");
    core_api_reply(call, &out);
}

void core_api_plugin(struct core_api_call *call)
{
    const struct core_config *config = core_supervisor_config(call->api->supervisor);
    RC_CLEANUP(core_image_close) struct core_image image = CORE_IMAGE_INIT;
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO file = NULL;

    if (core_plugin_find(config, call->segments[0], &file, &err)) {
        /* A name that could be none is not there either. */
        core_api_refuse(call, RC_NOT_FOUND, "%s", err.cause);
    } else if (core_image_open(file, &image, &err)) {
        core_api_refuse(call, RC_CONFLICT, "%s", err.cause);
    } else {
        core_describe_add_json(image.plugin, &out);
        core_api_reply(call, &out);
    }
}

/* ---- their own routes ------------------------------------------------------------------------ */

/* What is left of 'path' behind 'mount', or NULL if it is not below it. */
static const char *below(const char *path, const char *mount)
{
    size_t len = strlen(mount);

    while (len > 0 && mount[len - 1] == '/')
        len--;
    if (strncmp(path, mount, len) != 0 || (path[len] && path[len] != '/'))
        return NULL;
    return path[len] ? path + len : "/";
}

/* The plugin with the longest mount above the path, or NULL. */
static const struct core_plugin_settings *mounted_at(const struct core_config *config,
                                                     const char *path, struct rc_buf *mount,
                                                     const char **rest)
{
    const struct core_plugin_settings *found = NULL;
    RC_BUF_AUTO(candidate, 4096);

    for (size_t i = 0; i < config->plugin_count; i++) {
        const struct core_plugin_settings *plugin = &config->plugins[i];
        const char *left;

        rc_buf_reset(&candidate);
        if (plugin->mount)
            rc_buf_adds(&candidate, plugin->mount);
        else
            rc_buf_addf(&candidate, "/plugins/%s", plugin->name);
        left = plugin->serve ? below(path, candidate.data) : NULL;
        if (!left || (found && candidate.len <= mount->len))
            continue;
        found = plugin;
        *rest = left;
        rc_buf_reset(mount);
        rc_buf_adds(mount, candidate.data);
    }
    return found;
}

enum core_scope core_api_forward_scope(const struct core_api *api,
                                       const struct core_http_exchange *exchange, bool *judges)
{
    const char *method = core_http_method(exchange), *rest;
    RC_BUF_AUTO(mount, 4096);
    const struct core_plugin_settings *plugin = mounted_at(core_supervisor_config(api->supervisor),
                                                           core_http_path(exchange), &mount, &rest);

    *judges = plugin && plugin->auth == CORE_AUTH_PLUGIN;
    if (!plugin)
        return CORE_SCOPE_NONE;
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
                   strcmp(method, "OPTIONS") == 0
               ? CORE_SCOPE_READ
               : CORE_SCOPE_RUN;
}

static void serve_proxy(void *context)
{
    core_http_proxy_serve(((struct core_api *)context)->proxy);
}

static enum rc_code open_proxy(struct core_api *api, struct rc_error *err)
{
    if (api->proxy)
        return RC_OK;
    if (core_http_proxy_new(NULL, &api->proxy, err))
        return rc_context(err, "forward requests to plugins");
    if (core_loop_watch(api->loop, core_http_proxy_fd(api->proxy), serve_proxy, api,
                        &api->proxy_watch, err)) {
        core_http_proxy_close(api->proxy);
        api->proxy = NULL;
        return err->code;
    }
    return RC_OK;
}

void core_api_forward(struct core_api *api, struct core_http_exchange *exchange)
{
    struct core_http_target target = { .path = "/" };
    const struct core_plugin_settings *plugin;
    const char *why_not = NULL;
    RC_BUF_AUTO(mount, 4096);
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO name = NULL;

    plugin = mounted_at(core_supervisor_config(api->supervisor), core_http_path(exchange), &mount,
                        &target.path);
    RC_ASSERT(plugin);
    target.socket_path = core_supervisor_serve_socket(api->supervisor, plugin->name, &why_not);
    if (!target.socket_path) {
        core_http_add_header(exchange, "Retry-After", "5");
        core_http_reply_error(exchange, 503, "plugin '%s' does not serve now: %s", plugin->name,
                              why_not ? why_not : "its worker is not up");
        return;
    }
    if (open_proxy(api, &err)) {
        core_http_reply_error(exchange, 503, "%s: %s", err.context, err.cause);
        return;
    }
    name = rc_strf("plugin '%s'", plugin->name);
    target.prefix = mount.data;
    target.name = name;
    target.judges = plugin->auth == CORE_AUTH_PLUGIN;
    core_http_forward(api->proxy, exchange, &target);
}
