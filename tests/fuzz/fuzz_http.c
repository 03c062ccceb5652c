/*
 * Bytes as they come from a client, in two ways: as the target of a request, which means one thing
 * or is refused; and as all that is said on a connection to a server, which then still answers
 * another.
 */
#include <http/server.h>
#include <http/uri.h>

#include <run-core/str.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ROUNDS = 1000, ANSWER_BYTES = 1 << 20 };

/* ---- targets --------------------------------------------------------------------------------- */

static void check_path(const char *path)
{
    RC_ASSERT(path[0] == '/');
    for (const char *at = path; *at; at++)
        RC_ASSERT((unsigned char)*at >= ' ' && *at != 0x7f);
    for (const char *at = path; at; at = strchr(at + 1, '/'))
        RC_ASSERT(strcmp(at, "/..") != 0 && strcmp(at, "/.") != 0 && !rc_str_starts(at, "/../") &&
                  !rc_str_starts(at, "/./"));
}

static void check_target(const char *text)
{
    static const char *const hosts[] = { "jobs.example", NULL };
    size_t half = strlen(text) / 2;
    RC_STR_AUTO host = rc_strndup(text, half);
    struct core_http_uri uri;
    const char *wrong = core_http_uri_parse(text, &uri);

    if (wrong) {
        RC_ASSERT(*wrong != '\0');
    } else {
        check_path(uri.path);
        RC_ASSERT(strlen(uri.query) <= strlen(text));
        for (size_t i = 0; i < uri.parameter_count; i++)
            RC_ASSERT(strlen(uri.parameters[i].name) + strlen(uri.parameters[i].value) <=
                      strlen(uri.query));
    }
    core_http_uri_clear(&uri);
    (void)core_http_uri_foreign(host, text + half, true, hosts);
    (void)core_http_uri_foreign(text, NULL, false, NULL);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void handle(void *context, struct core_http_exchange *exchange)
{
    struct rc_buf out = RC_BUF_INIT(ANSWER_BYTES);
    const char *name, *value;
    size_t len;

    (void)context;
    check_path(core_http_path(exchange));
    for (size_t i = 0; core_http_header_at(exchange, i, &name, &value); i++)
        rc_buf_addf(&out, "%s=%s\n", name, value);
    rc_buf_adds(&out, core_http_body(exchange, &len));
    (void)core_http_foreign(exchange);
    core_http_reply(exchange, 200, "text/plain", &out);
}

static int dial(const char *url)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(address.sun_path, url + strlen("unix:"), strlen(url) - strlen("unix:"));
    RC_ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

/* Serves until the client has heard the end, or nothing more happens. */
static void serve(struct core_http_server *server, int fd, struct rc_buf *answer)
{
    for (int i = 0; i < ROUNDS; i++) {
        char *room = rc_buf_reserve(answer, 4096);
        ssize_t got = 0;

        core_http_server_serve(server);
        if (room)
            got = recv(fd, room, 4096, 0);
        if (got == 0)
            return;
        if (got > 0)
            rc_buf_added(answer, (size_t)got);
        else if (i > 4)
            return;
    }
}

static void check_connection(const uint8_t *data, size_t size)
{
    static const char good[] = "GET /good HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    static const struct core_http_options options = { .head_bytes = 4096, .body_bytes = 4096 };
    RC_STR_AUTO address = rc_strf("unix:/tmp/rc-fuzz-http-%d", (int)getpid());
    RC_BUF_AUTO(answer, ANSWER_BYTES);
    struct core_http_server *server = NULL;
    struct rc_error err = RC_ERROR_INIT;
    int bad, other;

    RC_ASSERT(core_http_server_new(handle, NULL, &options, &server, &err) == RC_OK);
    RC_ASSERT(core_http_server_listen(server, address, &err) == RC_OK);
    bad = dial(address);
    (void)send(bad, data, size, MSG_NOSIGNAL);
    serve(server, bad, &answer);
    (void)shutdown(bad, SHUT_WR);
    serve(server, bad, &answer);
    other = dial(address);
    rc_buf_reset(&answer);
    (void)send(other, good, sizeof(good) - 1, MSG_NOSIGNAL);
    serve(server, other, &answer);
    RC_ASSERT(rc_str_starts(answer.data, "HTTP/1.1 200 "));
    (void)close(bad);
    (void)close(other);
    core_http_server_close(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_STR_AUTO text = rc_malloc(size + 1);

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_target(text);
    check_connection(data, size);
    return 0;
}
