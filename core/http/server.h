/*
 * An HTTP server without threads: it has one file descriptor, and does what is due when that is
 * readable. On libmicrohttpd, which is loaded when a server is opened and not before.
 *
 * A server belongs to one thread. Limits hold for what clients send: the number of connections,
 * the size of heads and bodies, and how long a client may be silent.
 */
#ifndef CORE_HTTP_SERVER_H
#define CORE_HTTP_SERVER_H

#include <run-core/buf.h>

/* A request, complete. All text is borrowed. */
struct core_http_request {
    const char *method;
    const char *path;          /* without the query */
    const char *authorization; /* the header's value, or NULL */
    const char *body;
    size_t body_len;
};

/* Filled by the handler; begins as 200 with an empty body. */
struct core_http_reply {
    unsigned status;
    const char *content_type; /* a constant */
    const char *allow;        /* with 405: the methods there are; a constant */
    struct rc_buf body;
};

typedef void core_http_handler(void *context, const struct core_http_request *request,
                               struct core_http_reply *reply);

struct core_http_server;

/*
 * Opens a server at an address as in address.h. RC_UNSUPPORTED, RC_NOT_FOUND: libmicrohttpd is not
 * installed. Otherwise as core_listener_open().
 */
RC_MUST_CHECK enum rc_code core_http_server_open(const char *address, core_http_handler *handler,
                                                 void *context, struct core_http_server **out,
                                                 struct rc_error *err);

/* Readable when core_http_server_serve() has something to do. */
int core_http_server_fd(const struct core_http_server *server);
/* Does what is due and never waits. */
void core_http_server_serve(struct core_http_server *server);

/* "http://127.0.0.1:8081", with the real port. */
const char *core_http_server_url(const struct core_http_server *server);
/* Whether only processes of this machine reach it. */
bool core_http_server_is_loopback(const struct core_http_server *server);

/* Ends all connections. 'server' may be NULL. */
void core_http_server_close(struct core_http_server *server);

/*
 * For a forked child, which has the descriptors too: closes them and leaves the parent's server
 * alone.
 */
void core_http_server_forget(struct core_http_server *server);

#endif
