/*
 * Routes on the fake host: finds the route for a request as 'serve' does, calls its handler and
 * keeps the reply.
 */
#include "fake_internal.h"

#include <base/path_template.h>

#include <stdlib.h>
#include <strings.h>

struct rc_exchange {
    struct rc_fake_host *host;
    const struct rc_fake_request *request;
    char *path; /* without the query */
    const char *query;
    struct core_path_values values;
};

static struct rc_fake_host *host_of(const struct rc_exchange *exchange)
{
    return exchange->host;
}

static const char *exchange_method(const struct rc_exchange *exchange)
{
    return exchange->request->method;
}

static const char *exchange_path(const struct rc_exchange *exchange)
{
    return exchange->path;
}

static const char *exchange_param(const struct rc_exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->values.count; i++) {
        const struct core_path_value *item = &exchange->values.items[i];

        if (strlen(name) == item->name_len && memcmp(name, item->name, item->name_len) == 0)
            return fake_own(host_of(exchange), rc_strndup(item->value, item->value_len));
    }
    return NULL;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c - 'A' + 10;
}

/* 'plus' is what '+' stands for: in a query, a blank. */
static char *decode(const char *text, size_t len, char plus)
{
    char *out = rc_malloc(len + 1);
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%' && i + 2 < len && strchr("0123456789abcdefABCDEF", text[i + 1]) &&
            strchr("0123456789abcdefABCDEF", text[i + 2])) {
            out[at++] = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
        } else {
            out[at++] = text[i] == '+' ? plus : text[i];
        }
    }
    out[at] = '\0';
    return out;
}

static const char *exchange_query(const struct rc_exchange *exchange, const char *name)
{
    const char *at = exchange->query;

    while (*at) {
        size_t len = strcspn(at, "&");
        size_t key = strcspn(at, "=&");
        RC_STR_AUTO decoded = decode(at, key, ' ');

        if (strcmp(decoded, name) == 0)
            return fake_own(host_of(exchange),
                            key < len ? decode(at + key + 1, len - key - 1, ' ') : rc_strdup(""));
        at += len + (at[len] == '&');
    }
    return NULL;
}

static const char *exchange_header(const struct rc_exchange *exchange, const char *name)
{
    const char *const *headers = exchange->request->headers;
    size_t len = strlen(name);

    for (; headers && *headers; headers++)
        if (strncasecmp(*headers, name, len) == 0 && (*headers)[len] == ':')
            return *headers + len + 1 + strspn(*headers + len + 1, " ");
    return NULL;
}

static const char *exchange_body(const struct rc_exchange *exchange, size_t *len_bytes)
{
    *len_bytes = exchange->request->body_len;
    return exchange->request->body ? exchange->request->body : "";
}

static void exchange_add_header(struct rc_exchange *exchange, const char *name, const char *value)
{
    rc_buf_addf(&exchange->host->reply_headers, "%s: %s\n", name, value);
}

static void exchange_reply(struct rc_exchange *exchange, unsigned status, const char *content_type,
                           const void *data, size_t len_bytes)
{
    struct rc_fake_host *host = exchange->host;

    RC_ASSERT(host->reply_status == 0); /* one reply */
    host->reply_status = status;
    rc_buf_addf(&host->reply_headers, "Content-Type: %s\n", content_type ? content_type : "");
    rc_buf_add(&host->reply_body, data, len_bytes);
}

static bool exchange_is_local(const struct rc_exchange *exchange)
{
    return !exchange->request->from_elsewhere;
}

const struct rc_exchange_api fake_exchange_api = {
    .method = exchange_method,
    .path = exchange_path,
    .param = exchange_param,
    .query = exchange_query,
    .header = exchange_header,
    .body = exchange_body,
    .add_header = exchange_add_header,
    .reply = exchange_reply,
    .is_local = exchange_is_local,
};

static const struct rc_route *find_route(const struct rc_plugin *plugin, const char *method,
                                         const char *path, struct core_path_values *values)
{
    const struct rc_route *found = NULL;
    struct core_path_values these;

    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (const struct rc_route *route = plugin->routes; route && route->method; route++)
        if ((strcmp(route->method, method) == 0 || strcmp(route->method, "*") == 0) &&
            core_path_match(route->path, path, &these) &&
            (!found || core_path_goes_before(route->path, found->path))) {
            found = route;
            *values = these;
        }
    return found;
}

enum rc_code rc_fake_host_request(struct rc_fake_host *host, const struct rc_plugin *plugin,
                                  const struct rc_fake_request *request, struct rc_error *err)
{
    static const struct rc_option no_options[] = { { 0 } };
    size_t path_len = strcspn(request->path, "?");
    struct rc_exchange exchange = {
        .host = host,
        .request = request,
        .path = fake_own(host, decode(request->path, path_len, '+')),
        .query = request->path[path_len] ? request->path + path_len + 1 : "",
    };
    const struct rc_route *route =
        find_route(plugin, request->method, exchange.path, &exchange.values);
    void *config = fake_own(host, rc_calloc(1, plugin->config_size + 1));
    const char *const none[] = { NULL };
    struct rc_job *job = rc_fake_host_job(host);

    RC_ASSERT(route != NULL);
    host->reply_status = 0;
    rc_buf_reset(&host->reply_body);
    rc_buf_reset(&host->reply_headers);
    if (rc_fake_host_bind(host, plugin->options ? plugin->options : no_options, config,
                          request->settings ? request->settings : none, err))
        return err->code;
    host->plugin = plugin;
    job->plugin = plugin->name;
    job->action = "serve";
    return route->handle(job, config, &exchange, err);
}

unsigned rc_fake_host_reply_status(const struct rc_fake_host *host)
{
    return host->reply_status;
}

const char *rc_fake_host_reply(const struct rc_fake_host *host, size_t *len)
{
    if (len)
        *len = host->reply_body.len;
    return host->reply_body.data;
}

const char *rc_fake_host_reply_headers(const struct rc_fake_host *host)
{
    return host->reply_headers.data;
}
