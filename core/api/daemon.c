/*
 * The server of the daemon: where it listens, and the way of a request from the socket to its
 * handler: cross-origin defence, route, scope, parameters. What the handlers do is theirs.
 */
#include <api/daemon.h>

#include <api/call.h>

#include <config/json.h>
#include <os/clock.h>
#include <os/file.h>
#include <runtime/output.h>
#include <runtime/spool.h>

#include <run-core/str.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { GOODBYE_MS = 1000, SPOOL_MODE = 0700, MOST_PARAMETERS = 64 };

/* ---- what a request says --------------------------------------------------------------------- */

/* The items of "a,b" behind those that 'list' has. */
static void add_items(struct core_arena *arena, struct core_node *list, const char *value)
{
    struct core_node **items;
    size_t count = 1;

    for (const char *c = value; *c; c++)
        count += *c == ',';
    items = core_arena_alloc(arena, (list->len + count) * sizeof(struct core_node *));
    if (list->len)
        memcpy(items, list->items, list->len * sizeof(*items));
    list->items = items;
    for (; count > 0; count--) {
        size_t len = strcspn(value, ",");
        struct core_node *item = core_arena_alloc(arena, sizeof(*item));

        *item = (struct core_node){ .kind = CORE_NODE_SCALAR,
                                    .place = list->place,
                                    .text = core_arena_strndup(arena, value, len) };
        items[list->len++] = item;
        value += len + 1;
    }
}

static enum rc_option_type type_of(const struct rc_option *options, const char *name)
{
    for (; options->name; options++)
        if (strcmp(options->name, name) == 0)
            return options->type;
    return RC_OPT_STR;
}

static void add_parameter(struct core_api_call *call, struct core_node *map, const char *name,
                          const char *value, struct core_problems *problems)
{
    enum rc_option_type type = type_of(call->route->query, name);
    struct core_node *node = core_node_get(map, name);
    char shown[CORE_SHOWN_TEXT];

    if (node && type != RC_OPT_LIST) {
        core_problem_add(problems, &node->place, "the parameter '%s' is given twice",
                         core_shown(name, shown));
        return;
    }
    if (!node) {
        node = core_arena_alloc(&call->arena, sizeof(*node));
        node->place.file = "query";
        node->kind = type == RC_OPT_LIST ? CORE_NODE_LIST : CORE_NODE_SCALAR;
        map->entries[map->len++] = (struct core_entry){
            .key = core_arena_strdup(&call->arena, name), .place = node->place, .value = node
        };
    }
    if (type == RC_OPT_LIST)
        add_items(&call->arena, node, value);
    else /* "?follow" is "?follow=true" */
        node->text =
            core_arena_strdup(&call->arena, type == RC_OPT_BOOL && !*value ? "true" : value);
}

static void read_query(struct core_api_call *call, struct core_problems *problems)
{
    static const struct rc_option none[] = { { 0 } };
    const struct core_route *route = call->route;
    const struct core_option_table table = CORE_OPTION_TABLE(route->query ? route->query : none);
    const struct core_place place = { .file = "query" };
    struct core_node map = { .kind = CORE_NODE_MAP, .place = place };
    const struct core_node *layers[] = { &map };
    const char *name, *value;
    void *query = core_arena_alloc(&call->arena, route->query_size);
    size_t count = 0;

    while (count <= MOST_PARAMETERS && core_http_parameter_at(call->exchange, count, &name, &value))
        count++;
    if (count > MOST_PARAMETERS) {
        core_problem_add(problems, &place, "there are more than %d parameters", MOST_PARAMETERS);
        count = 0;
    }
    map.entries = core_arena_alloc(&call->arena, count * sizeof(*map.entries));
    for (size_t i = 0; i < count && route->query; i++)
        if (core_http_parameter_at(call->exchange, i, &name, &value))
            add_parameter(call, &map, name, value, problems);
    if (!route->query && count)
        core_problem_add(problems, &place, "there are no parameters here");
    core_options_check_keys(&map, &table, 1, "the query", problems);
    core_options_bind(&table, layers, RC_ARRAY_LEN(layers), &place, query, &call->arena, problems);
    call->query = query;
}

/* The fields whose values may be of any type are the handler's to judge. */
static struct core_node *typed_fields(struct core_api_call *call, const struct core_node *map)
{
    struct core_node *copy = core_arena_alloc(&call->arena, sizeof(*copy));

    *copy = *map;
    copy->entries = core_arena_alloc(&call->arena, map->len * sizeof(*copy->entries));
    copy->len = 0;
    for (size_t i = 0; i < map->len; i++)
        if (type_of(call->route->body, map->entries[i].key) != RC_OPT_MAP)
            copy->entries[copy->len++] = map->entries[i];
    return copy;
}

/* An empty body is an empty object. */
static void read_body(struct core_api_call *call, struct core_problems *problems)
{
    const struct core_option_table table = CORE_OPTION_TABLE(call->route->body);
    const struct core_place place = { .file = "body" };
    const struct core_node *layers[1];
    struct core_node *map;
    size_t len;
    const char *text = core_http_body(call->exchange, &len);
    void *body = core_arena_alloc(&call->arena, call->route->body_size);

    map = core_json_read(&call->arena, "body", len ? text : "{}", len ? len : 2, problems);
    if (map && map->kind != CORE_NODE_MAP)
        core_problem_add(problems, &map->place, "the body is a JSON object");
    if (!map || map->kind != CORE_NODE_MAP)
        return;
    core_options_check_keys(map, &table, 1, "the body", problems);
    layers[0] = typed_fields(call, map);
    core_options_bind(&table, layers, RC_ARRAY_LEN(layers), &place, body, &call->arena, problems);
    call->body = body;
    call->body_node = map;
}

/* Whether the body's type lets it be read. A form of another site could send no such type. */
static bool accepts_body(struct core_api_call *call)
{
    static const char json[] = "application/json";
    const char *type = core_http_header(call->exchange, "Content-Type");
    size_t len;

    (void)core_http_body(call->exchange, &len);
    if (len == 0 ||
        (type && strncasecmp(type, json, strlen(json)) == 0 && strchr("; \t", type[strlen(json)])))
        return true;
    core_http_reply_error(call->exchange, 415,
                          "the body has to be JSON, with 'Content-Type: application/json'");
    return false;
}

static bool read_request(struct core_api_call *call)
{
    CORE_PROBLEMS_AUTO(problems);
    RC_BUF_AUTO(text, 4 * RC_ERROR_TEXT);

    read_query(call, &problems);
    if (call->route->body) {
        if (!accepts_body(call))
            return false;
        read_body(call, &problems);
    }
    if (problems.count == 0)
        return true;
    rc_buf_adds(&text, core_problem_text(&problems, problems.first));
    core_api_fail_problems(call, 400, text.data, &problems);
    return false;
}

/* ---- the way of a request -------------------------------------------------------------------- */

static void answer_route(struct core_api *api, struct core_http_exchange *exchange,
                         const struct core_route_match *match)
{
    struct core_api_call call = { .api = api, .exchange = exchange, .route = match->route };
    char by[CORE_API_WHO] = "";

    if (!core_api_allows(api, exchange, match->route->scope, by))
        return;
    call.by = by;
    for (size_t i = 0; i < CORE_ROUTE_SEGMENTS; i++)
        call.segments[i] = match->segments[i];
    if (read_request(&call))
        match->route->answer(&call);
    core_arena_clear(&call.arena);
}

static void answer_unrouted(struct core_http_exchange *exchange, const char *allow)
{
    bool is_options = strcmp(core_http_method(exchange), "OPTIONS") == 0;

    if (!*allow) {
        core_http_reply_error(exchange, 404,
                              "there is nothing here; /api/v1/openapi.json says what there is");
        return;
    }
    core_http_add_header(exchange, "Allow", allow);
    if (is_options)
        core_http_reply(exchange, 204, NULL, NULL);
    else
        core_http_reply_error(exchange, 405, "this answers %s only", allow);
}

static void handle(void *context, struct core_http_exchange *exchange)
{
    struct core_api *api = context;
    const char *foreign = core_http_foreign(exchange);
    struct core_route_match match;
    char by[CORE_API_WHO] = "";
    enum core_scope plugin_scope;
    bool plugin_judges;

    if (foreign) {
        core_http_reply_error(exchange, 403, "%s", foreign);
        return;
    }
    core_route_find(core_http_method(exchange), core_http_path(exchange), &match);
    if (match.route) {
        answer_route(api, exchange, &match);
        return;
    }
    plugin_scope = core_api_forward_scope(api, exchange, &plugin_judges);
    if (!*match.allow && plugin_scope != CORE_SCOPE_NONE) {
        if (plugin_judges || core_api_allows(api, exchange, plugin_scope, by))
            core_api_forward(api, exchange);
        return;
    }
    answer_unrouted(exchange, match.allow);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static enum rc_code read_tokens(struct core_api *api, const struct core_settings *settings,
                                struct rc_error *err)
{
    CORE_PROBLEMS_AUTO(problems);

    if (!settings->tokens_file)
        return RC_OK;
    api->tokens = core_tokens_read(settings->tokens_file, &problems);
    if (api->tokens)
        return RC_OK;
    return rc_fail(err, RC_INVALID, "%s%s", core_problem_text(&problems, problems.first),
                   problems.count > 1 ? " (and more mistakes)" : "");
}

/* Whether a numeric address is another than those of loopback; of names nobody knows yet. */
static bool is_surely_beyond(const char *listen)
{
    const char *colon = strrchr(listen, ':');
    RC_STR_AUTO host = NULL;
    struct in_addr four;
    struct in6_addr six;

    if (rc_str_starts(listen, "unix:") || !colon)
        return false;
    if (colon == listen)
        return true; /* every address */
    host = listen[0] == '[' ? rc_strndup(listen + 1, (size_t)(colon - listen) - 2)
                            : rc_strndup(listen, (size_t)(colon - listen));
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 != IN_LOOPBACKNET;
    return inet_pton(AF_INET6, host, &six) == 1 && !IN6_IS_ADDR_LOOPBACK(&six);
}

void core_api_check(const struct core_config *config, struct core_problems *problems)
{
    static const struct core_place place = { .file = "core.listen" };
    const struct core_settings *settings = &config->settings;

    if (settings->tokens_file)
        core_tokens_free(core_tokens_read(settings->tokens_file, problems));
    else if (settings->listen && is_surely_beyond(settings->listen))
        core_problem_add(problems, &place,
                         "'%s' is beyond this machine, where tokens are needed: set "
                         "auth.tokens_file under core, or listen at 127.0.0.1",
                         settings->listen);
}

enum rc_code core_api_listen(struct core_http_server *http, const struct core_config *config,
                             struct rc_error *err)
{
    const char *listen = config->settings.listen;

    if (listen && core_http_server_listen(http, listen, err))
        return rc_context(err, "serve the API at '%s' (core.listen)", listen);
    return RC_OK;
}

enum rc_code core_api_listen_unix(struct core_http_server *http, const struct core_config *config,
                                  struct rc_error *err)
{
    RC_STR_AUTO path = NULL;
    RC_STR_AUTO address = NULL;
    RC_STR_AUTO folder = NULL;

    if (core_spool_socket(config, &path, err))
        return err->code;
    if (!config->settings.socket &&
        (core_spool_folder(config, &folder, err) || core_dir_make(folder, SPOOL_MODE, err)))
        return err->code;
    address = rc_strf("unix:%s", path);
    if (core_http_server_listen(http, address, err))
        return rc_context(err, "serve the command line at '%s' (core.socket)", path);
    return RC_OK;
}

static enum rc_code check_reach(const struct core_api *api, const struct core_settings *settings,
                                struct rc_error *err)
{
    if (!settings->listen || api->tokens || core_http_server_is_loopback(api->http))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "the API would listen at '%s' (core.listen), beyond this machine, without "
                   "tokens: whoever reaches it could run jobs; set auth.tokens_file under core "
                   "('run-core token NAME SCOPE' makes a line of it), or listen at 127.0.0.1",
                   settings->listen);
}

static void serve(void *context)
{
    core_http_server_serve(((struct core_api *)context)->http);
}

enum rc_code core_api_open(const struct core_api_options *options, struct core_api **out,
                           struct rc_error *err)
{
    const struct core_config *config = core_supervisor_config(options->supervisor);
    struct core_api *api = rc_calloc(1, sizeof(*api));
    struct core_supervisor_health health;

    core_supervisor_health(options->supervisor, &health);
    *api = (struct core_api){
        .loop = options->loop,
        .supervisor = options->supervisor,
        .version = options->version,
        .tokens_reload = health.reloads,
    };
    if (read_tokens(api, &config->settings, err) ||
        core_http_server_new(handle, api, NULL, &api->http, err) ||
        core_api_listen(api->http, config, err) || check_reach(api, &config->settings, err) ||
        core_api_listen_unix(api->http, config, err) ||
        core_loop_watch(api->loop, core_http_server_fd(api->http), serve, api, &api->http_watch,
                        err)) {
        core_api_close(api);
        return err->code;
    }
    *out = api;
    return RC_OK;
}

const char *core_api_url(const struct core_api *api, size_t index)
{
    return core_http_server_url(api->http, index);
}

/* Replies that are under way are sent to their end, if their clients take them. */
static void say_goodbye(struct core_api *api)
{
    int64_t end = core_clock_mono_ms() + GOODBYE_MS;

    api->closing = true;
    core_api_end_streams(api);
    core_http_server_drain(api->http);
    while (core_http_server_connections(api->http) > 0 && core_clock_mono_ms() < end) {
        struct pollfd ready[2] = {
            { .fd = core_http_server_fd(api->http), .events = POLLIN },
            { .fd = api->proxy ? core_http_proxy_fd(api->proxy) : -1, .events = POLLIN },
        };

        if (poll(ready, RC_ARRAY_LEN(ready), 50) < 0)
            continue;
        core_http_server_serve(api->http);
        if (api->proxy)
            core_http_proxy_serve(api->proxy);
    }
}

void core_api_close(struct core_api *api)
{
    if (!api)
        return;
    if (api->http && api->http_watch)
        say_goodbye(api);
    core_watch_end(api->http_watch);
    core_watch_end(api->proxy_watch);
    core_http_server_close(api->http);
    core_http_proxy_close(api->proxy);
    core_timer_cancel(&api->stream_timer);
    core_tokens_free(api->tokens);
    free(api);
}

void core_api_forget(struct core_api *api)
{
    if (!api)
        return;
    core_http_server_forget(api->http);
    if (api->proxy)
        core_http_proxy_forget(api->proxy);
}
