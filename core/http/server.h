/*
 * An HTTP server for an event loop: it has one file descriptor, and does what is due when that is
 * readable. On libmicrohttpd, which is loaded when a server is opened and not before.
 *
 * A server belongs to the thread that serves it, and its handler is called there, unless it was
 * opened with handler threads. Of one exchange, only one thread at a time may use what is below.
 * core_http_wake(), and core_http_reply() of a deferred exchange, may come from any thread.
 */
#ifndef CORE_HTTP_SERVER_H
#define CORE_HTTP_SERVER_H

#include <run-core/buf.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct core_http_server;
struct core_http_exchange;

/* ---- the request ----------------------------------------------------------------------------- */

/*
 * What was asked, complete: the handler is called when the whole body is there. All text is the
 * exchange's and lives as long as it. A path has been decoded, begins with '/', is UTF-8 and free
 * of control characters, dot segments and encoded slashes: requests for others were refused.
 */
const char *core_http_method(const struct core_http_exchange *exchange); /* HEAD too */
const char *core_http_path(const struct core_http_exchange *exchange);
/* Behind the '?', as it came; "" if there is none. */
const char *core_http_query(const struct core_http_exchange *exchange);
/* The decoded value of the first parameter of that name; "" for one without '='; or NULL. */
const char *core_http_parameter(const struct core_http_exchange *exchange, const char *name);
/* In the order of the query; false behind the last one. */
bool core_http_parameter_at(const struct core_http_exchange *exchange, size_t index,
                            const char **name, const char **value);
/* The first header of that name in any case, or NULL. */
const char *core_http_header(const struct core_http_exchange *exchange, const char *name);
bool core_http_header_at(const struct core_http_exchange *exchange, size_t index, const char **name,
                         const char **value);
/* Ends with a NUL that 'len' does not count. */
const char *core_http_body(const struct core_http_exchange *exchange, size_t *len);

enum { CORE_HTTP_ADDRESS_TEXT = 64 };

struct core_http_peer {
    bool is_unix;     /* then 'uid' and 'pid' are of the process that connected */
    bool is_loopback; /* a process of this machine, over either */
    uid_t uid;
    pid_t pid;
    char address[CORE_HTTP_ADDRESS_TEXT]; /* "192.0.2.7", "::1", or "unix" */
};

const struct core_http_peer *core_http_peer(const struct core_http_exchange *exchange);

/*
 * Whether the client is a process of this machine. A proxy here is one, but not those for whom it
 * asks, as the usual headers say; one that says nothing speaks for itself.
 */
bool core_http_is_local(const struct core_http_exchange *exchange);

/*
 * Defence against pages of other sites in a browser on this machine: NULL, or why the request
 * should be refused with 403. A request over a Unix socket passes. Else an Origin has to be that of
 * the Host; and on a loopback address the Host has to be a name of this machine (localhost, a
 * loopback address, or one of the option 'hosts'), or a name that somebody else's DNS points here
 * would count as ours.
 */
const char *core_http_foreign(const struct core_http_exchange *exchange);

/* ---- the reply ------------------------------------------------------------------------------- */

/*
 * Before the reply. Replaces the server's own header of that name, if it is one of those that every
 * reply has: Cache-Control: no-store, X-Content-Type-Options: nosniff, X-Frame-Options: DENY,
 * Cross-Origin-Resource-Policy: same-origin. A value with a line break is left out.
 */
void core_http_add_header(struct core_http_exchange *exchange, const char *name, const char *value);

/*
 * The whole reply. Takes the buffer's memory and leaves it empty; NULL for no body. An overflow in
 * it becomes a reply of 500. 'content_type' may be NULL.
 */
void core_http_reply(struct core_http_exchange *exchange, unsigned status, const char *content_type,
                     struct rc_buf *body);
/* {"error":"..."} */
void core_http_reply_error(struct core_http_exchange *exchange, unsigned status, const char *format,
                           ...) RC_PRINTF(3, 4);

enum { CORE_HTTP_CHUNK_BYTES = 16 * 1024 };

enum {
    CORE_HTTP_END = -1,   /* all is said */
    CORE_HTTP_BREAK = -2, /* it cannot be completed: the client sees a broken connection */
};

struct core_http_source {
    void *context;
    /*
     * Writes at most 'capacity' bytes, which is CORE_HTTP_CHUNK_BYTES, and returns how many; 0 for
     * none at present: it is asked again after core_http_wake(). Called by the serving thread, so
     * it does not block.
     */
    ssize_t (*read)(void *context, char *data, size_t capacity);
    /* All is sent, or the client or the server has gone; the exchange ends with it. */
    void (*closed)(void *context);
};

/*
 * A body that is made while it is sent. 'closed' is called exactly once in any case: for HEAD,
 * too. A client that ends its side of a TCP connection while the source has nothing to say counts
 * as gone.
 */
void core_http_reply_stream(struct core_http_exchange *exchange, unsigned status,
                            const char *content_type, const struct core_http_source *source);
/* The source has something to say again. Before 'closed' was called, at any time. */
void core_http_wake(struct core_http_exchange *exchange);

/*
 * A handler either replies or defers before it returns. A deferred exchange lasts until its reply;
 * or until 'gone' is called, because the connection broke or the server closes: then there is
 * nobody to reply to. 'gone' comes from the serving thread.
 */
void core_http_defer(struct core_http_exchange *exchange, void (*gone)(void *context),
                     void *context);

/* ---- the server ------------------------------------------------------------------------------ */

typedef void core_http_handler(void *context, struct core_http_exchange *exchange);

/*
 * What is 0 or NULL gets the default that is named with it. A connection holds memory of
 * 'head_bytes' and 8 KiB, as long as it lasts.
 */
struct core_http_options {
    unsigned connections;             /* 512; fewer where the process may not open as many files */
    unsigned connections_per_address; /* 0: as many */
    size_t head_bytes;                /* 16 KiB: request line and headers */
    size_t body_bytes;                /* 1 MiB; more is answered with 413 */
    size_t all_bodies_bytes;          /* 64 MiB: of all requests at a time; else 503 */
    int64_t silence_ms;               /* 15 s without a byte end a connection */
    int64_t request_ms;               /* 30 s for a whole request, since the connection or the last
                                         reply; not less than silence_ms */
    unsigned handler_threads;         /* 0: the handler is called by the serving thread */
    const char *const *hosts;         /* more names of this server; ends with NULL */
};

/*
 * A connection too many takes the place of the one that has kept the server waiting longest for a
 * request, or is refused with 503 if all are being answered.
 *
 * RC_UNSUPPORTED, RC_NOT_FOUND: libmicrohttpd is not installed. 'options' may be NULL.
 */
RC_MUST_CHECK enum rc_code core_http_server_new(core_http_handler *handler, void *context,
                                                const struct core_http_options *options,
                                                struct core_http_server **out,
                                                struct rc_error *err);
/* Listens at one more address, as in address.h, and with its errors. */
RC_MUST_CHECK enum rc_code core_http_server_listen(struct core_http_server *server,
                                                   const char *address, struct rc_error *err);

/* Readable when core_http_server_serve() has something to do. */
int core_http_server_fd(const struct core_http_server *server);
/* Does what is due and never waits. */
void core_http_server_serve(struct core_http_server *server);

/* "http://127.0.0.1:8081" with the real port, or "unix:/path"; NULL behind the last one. */
const char *core_http_server_url(const struct core_http_server *server, size_t index);
/* Whether only processes of this machine reach it, at all its addresses. */
bool core_http_server_is_loopback(const struct core_http_server *server);
/* Clients that are connected. */
size_t core_http_server_connections(const struct core_http_server *server);

/*
 * Listens no more; connections end after the reply that they are waiting for. For an end without
 * haste: serve on, until there are no connections or no patience.
 */
void core_http_server_drain(struct core_http_server *server);
/* Waits for handlers that are running, then ends all connections. 'server' may be NULL. */
void core_http_server_close(struct core_http_server *server);

/*
 * For a forked child, which has the descriptors too: closes them, those of the clients included,
 * and leaves the parent's server alone.
 */
void core_http_server_forget(struct core_http_server *server);

#endif
