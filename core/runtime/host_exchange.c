/*
 * The service 'exchange' of the host: a thin front of the HTTP server's exchange.
 */
#include <runtime/exchange.h>
#include <runtime/host.h>

#include <string.h>

static const char *exchange_method(const struct rc_exchange *exchange)
{
    return core_http_method(exchange->http);
}

static const char *exchange_path(const struct rc_exchange *exchange)
{
    return core_http_path(exchange->http);
}

static const char *exchange_param(const struct rc_exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->values.count; i++)
        if (strcmp(exchange->values.items[i].name, name) == 0)
            return exchange->values.items[i].value;
    return NULL;
}

static const char *exchange_query(const struct rc_exchange *exchange, const char *name)
{
    return core_http_parameter(exchange->http, name);
}

static const char *exchange_header(const struct rc_exchange *exchange, const char *name)
{
    return core_http_header(exchange->http, name);
}

static const char *exchange_body(const struct rc_exchange *exchange, size_t *len_bytes)
{
    return core_http_body(exchange->http, len_bytes);
}

/* A token of RFC 9110, section 5.6.2. */
static bool is_header_name(const char *name)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

    for (const char *at = name; *at; at++)
        if (!strchr(letters, *at) && !strchr(others, *at))
            return false;
    return *name != '\0';
}

static void exchange_add_header(struct rc_exchange *exchange, const char *name, const char *value)
{
    if (exchange->replied || !is_header_name(name) || strpbrk(value, "\r\n")) {
        rc_warn(&exchange->job->job, "ignoring the header '%.64s' of a reply: %s", name,
                exchange->replied ? "the reply has been given" : "it is none in HTTP");
        return;
    }
    core_http_add_header(exchange->http, name, value);
}

static void exchange_reply(struct rc_exchange *exchange, unsigned status, const char *content_type,
                           const void *data, size_t len_bytes)
{
    struct rc_buf body = RC_BUF_INIT(SIZE_MAX / 4);

    if (exchange->replied) {
        rc_warn(&exchange->job->job, "ignoring a second reply, with status %u", status);
        return;
    }
    exchange->replied = true;
    if (status < 200 || status > 599) {
        rc_error(&exchange->job->job, "the route replied with %u, which is no status of HTTP",
                 status);
        core_http_reply_error(exchange->http, 500, "the plugin's reply is not valid");
        return;
    }
    rc_buf_add(&body, data, len_bytes);
    core_http_reply(exchange->http, status, content_type, &body);
    rc_buf_clear(&body);
}

static bool exchange_is_local(const struct rc_exchange *exchange)
{
    return (exchange->admitted && core_http_peer(exchange->http)->is_unix) ||
           core_http_is_local(exchange->http);
}

const struct rc_exchange_api core_host_exchange = {
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
