/*
 * The HTTP server alone, for tests that need more clients than a test in C can play.
 *
 *   http_server [OPTION=NUMBER]... [proxy=SOCKET] ADDRESS...
 *
 * Prints the address that each became, one a line, then serves until its standard input ends. Its
 * paths are in the table below.
 */
#include <http/proxy.h>
#include <http/server.h>

#include <run-core/str.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPLY_BYTES = 64 * 1024 * 1024 };

struct site {
    struct core_http_server *server;
    struct core_http_proxy *proxy;
    const char *proxy_socket;
    int followers, gone;
    struct core_http_exchange *waiting;
};

/* ---- what it answers ------------------------------------------------------------------------- */

static void echo(struct site *site, struct core_http_exchange *exchange)
{
    struct rc_buf out = RC_BUF_INIT(REPLY_BYTES);
    const struct core_http_peer *peer = core_http_peer(exchange);
    size_t len;

    (void)site;
    (void)core_http_body(exchange, &len);
    rc_buf_addf(&out, "{\"method\":\"%s\",\"path\":", core_http_method(exchange));
    rc_buf_add_json(&out, core_http_path(exchange), strlen(core_http_path(exchange)));
    rc_buf_addf(&out, ",\"body\":%zu,\"unix\":%s,\"uid\":%d,\"pid\":%d}\n", len,
                peer->is_unix ? "true" : "false", (int)peer->uid, (int)peer->pid);
    core_http_reply(exchange, 200, "application/json", &out);
}

static size_t number_of(const struct core_http_exchange *exchange, const char *name)
{
    const char *text = core_http_parameter(exchange, name);

    return text ? strtoul(text, NULL, 10) : 0;
}

static void big(struct site *site, struct core_http_exchange *exchange)
{
    struct rc_buf out = RC_BUF_INIT(REPLY_BYTES);
    size_t len = number_of(exchange, "bytes");
    char *data = rc_buf_reserve(&out, len);

    (void)site;
    if (data) {
        memset(data, 'x', len);
        rc_buf_added(&out, len);
    }
    core_http_reply(exchange, 200, "text/plain", &out);
}

struct stream {
    struct site *site;
    size_t left;
    bool stays;
};

static ssize_t read_stream(void *context, char *data, size_t capacity)
{
    struct stream *stream = context;
    size_t len = stream->left < capacity ? stream->left : capacity;

    if (len == 0)
        return stream->stays ? 0 : CORE_HTTP_END;
    memset(data, 's', len);
    stream->left -= len;
    return (ssize_t)len;
}

static void close_stream(void *context)
{
    struct stream *stream = context;

    stream->site->followers--;
    free(stream);
}

/* Of 'bytes' bytes; with 'stays', of no end. */
static void stream(struct site *site, struct core_http_exchange *exchange)
{
    struct stream *made = rc_calloc(1, sizeof(*made));

    *made = (struct stream){ .site = site,
                             .left = number_of(exchange, "bytes"),
                             .stays = core_http_parameter(exchange, "stays") != NULL };
    site->followers++;
    core_http_reply_stream(
        exchange, 200, "text/plain",
        &(struct core_http_source){ .context = made, .read = read_stream, .closed = close_stream });
}

static void count_gone(void *context)
{
    ((struct site *)context)->gone++;
}

static void never(struct site *site, struct core_http_exchange *exchange)
{
    core_http_defer(exchange, count_gone, site);
}

/* Ends the process before it replies. */
static void die(struct site *site, struct core_http_exchange *exchange)
{
    (void)site;
    (void)exchange;
    (void)raise(SIGKILL);
}

static void show_state(struct site *site, struct core_http_exchange *exchange)
{
    struct rc_buf out = RC_BUF_INIT(REPLY_BYTES);

    rc_buf_addf(&out, "{\"connections\":%zu,\"streams\":%d,\"gone\":%d}\n",
                core_http_server_connections(site->server), site->followers, site->gone);
    core_http_reply(exchange, 200, "application/json", &out);
}

static const struct path {
    const char *path;
    void (*answer)(struct site *site, struct core_http_exchange *exchange);
} paths[] = {
    { "/big", big }, { "/stream", stream },    { "/never", never },
    { "/die", die }, { "/state", show_state },
};

static void handle(void *context, struct core_http_exchange *exchange)
{
    struct site *site = context;
    const char *path = core_http_path(exchange);
    const char *foreign = core_http_foreign(exchange);

    if (foreign) {
        core_http_reply_error(exchange, 403, "%s", foreign);
        return;
    }
    if (site->proxy && rc_str_starts(path, "/proxy/")) {
        core_http_forward(site->proxy, exchange,
                          &(struct core_http_target){ .socket_path = site->proxy_socket,
                                                      .path = path + strlen("/proxy"),
                                                      .prefix = "/proxy",
                                                      .name = "the other server" });
        return;
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(paths); i++) {
        if (strcmp(path, paths[i].path) == 0) {
            paths[i].answer(site, exchange);
            return;
        }
    }
    echo(site, exchange);
}

/* ---- the process ----------------------------------------------------------------------------- */

static bool set_option(struct core_http_options *options, const char *text)
{
    char name[32];
    long number;

    if (sscanf(text, "%31[a-z_]=%ld", name, &number) != 2)
        return false;
    if (strcmp(name, "connections") == 0)
        options->connections = (unsigned)number;
    else if (strcmp(name, "per_address") == 0)
        options->connections_per_address = (unsigned)number;
    else if (strcmp(name, "head_bytes") == 0)
        options->head_bytes = (size_t)number;
    else if (strcmp(name, "body_bytes") == 0)
        options->body_bytes = (size_t)number;
    else if (strcmp(name, "all_bodies_bytes") == 0)
        options->all_bodies_bytes = (size_t)number;
    else if (strcmp(name, "silence_ms") == 0)
        options->silence_ms = number;
    else if (strcmp(name, "request_ms") == 0)
        options->request_ms = number;
    else if (strcmp(name, "threads") == 0)
        options->handler_threads = (unsigned)number;
    else
        return false;
    return true;
}

static void serve(struct site *site)
{
    struct pollfd fds[] = {
        { .fd = STDIN_FILENO, .events = POLLIN },
        { .fd = core_http_server_fd(site->server), .events = POLLIN },
        { .fd = site->proxy ? core_http_proxy_fd(site->proxy) : -1, .events = POLLIN },
    };

    while (!fds[0].revents) {
        (void)poll(fds, RC_ARRAY_LEN(fds), -1);
        if (fds[1].revents)
            core_http_server_serve(site->server);
        if (fds[2].revents)
            core_http_proxy_serve(site->proxy);
    }
}

static int end(struct site *site, const struct rc_error *err)
{
    core_http_server_close(site->server);
    core_http_proxy_close(site->proxy);
    if (!err->code)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "%s%s%s\n", err->context, *err->context ? ": " : "", err->cause);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct core_http_options options = { .connections = 0 };
    struct site site = { .server = NULL };
    struct rc_error err = RC_ERROR_INIT;
    int at = 1;

    for (; at < argc; at++) {
        if (rc_str_starts(argv[at], "proxy="))
            site.proxy_socket = argv[at] + strlen("proxy=");
        else if (!set_option(&options, argv[at]))
            break;
    }
    if (core_http_server_new(handle, &site, &options, &site.server, &err) ||
        (site.proxy_socket && core_http_proxy_new(NULL, &site.proxy, &err)))
        return end(&site, &err);
    for (; at < argc; at++)
        if (core_http_server_listen(site.server, argv[at], &err))
            return end(&site, &err);
    for (size_t i = 0; core_http_server_url(site.server, i); i++)
        (void)printf("%s\n", core_http_server_url(site.server, i));
    (void)fflush(stdout);
    serve(&site);
    return end(&site, &err);
}
