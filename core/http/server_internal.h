/*
 * What the parts of the server share: server.c (polling, start and end), connection.c (who may
 * connect, and for how long), exchange.c (from a request to its reply), stream.c (bodies that are
 * made while they are sent) and handlers.c (threads for handlers).
 *
 * libmicrohttpd is called by the serving thread only. What other threads may touch of an exchange
 * is under the server's mutex and says so.
 */
#ifndef CORE_HTTP_SERVER_INTERNAL_H
#define CORE_HTTP_SERVER_INTERNAL_H

#include <http/server.h>

#include <http/address.h>
#include <http/microhttpd.h>
#include <http/uri.h>

#include <pthread.h>

enum { MAX_LISTENERS = 8 };

/* Stands in the server's epoll set; the first member of what it belongs to. */
struct poll_item {
    void (*ready)(struct poll_item *item, uint32_t events);
};

struct listener {
    struct poll_item item;
    struct core_http_server *server;
    struct core_listener socket;
};

struct connection {
    struct poll_item item; /* polled for the client's end while a reply is awaited */
    struct core_http_server *server;
    struct connection *next, *previous;
    int fd;
    bool watched;
    bool on_loopback; /* accepted at an address that only this machine reaches */
    struct core_http_peer peer;
    struct core_http_exchange *exchange; /* NULL between requests */
    bool receiving;                      /* its request is not complete */
    bool ending;                         /* shut down; libmicrohttpd is about to see it */
    int64_t since_mono_ms;               /* of receiving */
    int64_t deadline_mono_ms;            /* INT64_MAX: none */
};

enum phase {
    ARRIVING,  /* the request is being received */
    HANDLING,  /* the handler runs, or will in another thread */
    DEFERRED,  /* whoever deferred it will reply */
    REPLIED,   /* the reply is there, libmicrohttpd does not have it yet */
    SENDING,   /* libmicrohttpd has it */
    ABANDONED, /* nobody to reply to */
};

struct reply_header {
    char *name, *value;
};

struct core_http_exchange {
    struct core_http_server *server;
    struct connection *connection;
    struct MHD_Connection *mhd;

    /* The request. */
    bool begun;        /* its head has been looked at */
    const char *wrong; /* with the target */
    char *method;
    struct core_http_uri uri;
    struct rc_buf body;
    size_t counted;   /* of the body, among all bodies */
    unsigned refused; /* a status: the body is read and dropped */
    size_t target_len;
    bool last; /* the connection ends with the reply */

    /* The reply. */
    unsigned status;
    char *content_type;
    struct reply_header *headers;
    size_t header_count;
    struct rc_buf reply;
    bool streaming;
    struct core_http_source source;
    char *chunk; /* of the stream: what was read and not sent */
    size_t chunk_at, chunk_len;

    /* Under the mutex. */
    enum phase phase;
    bool parked;     /* suspended in libmicrohttpd */
    bool woken;      /* core_http_wake() since the source was asked */
    bool queued;     /* in the server's list 'ready' */
    bool in_handler; /* so it has to stay, whoever replies */
    struct core_http_exchange *next_ready;
    void (*gone)(void *context);
    void *gone_context;
    struct core_http_exchange *next_job;
};

struct core_http_server {
    struct core_microhttpd mhd;
    struct MHD_Daemon *daemon;
    struct core_http_options limits; /* without zeros */
    core_http_handler *handler;
    void *context;

    struct listener listeners[MAX_LISTENERS];
    size_t listener_count;
    int epoll_fd, timer_fd, event_fd, mhd_fd;
    int spare_fd; /* given up to take in a client for which there is no descriptor */
    struct poll_item mhd_item, timer_item, event_item;
    bool draining, paused;

    struct connection *connections; /* the newest first */
    size_t connection_count;
    size_t body_bytes;     /* of all requests */
    int64_t sweep_mono_ms; /* no deadline is earlier */

    pthread_mutex_t mutex;
    struct core_http_exchange *ready; /* to be resumed; under the mutex */

    /* Of handlers.c. */
    pthread_t *threads;
    unsigned thread_count;
    pthread_cond_t work;
    struct core_http_exchange *jobs, **jobs_end;
    bool stopping;
};

/* ---- connection.c ---------------------------------------------------------------------------- */

void core_http_accept(struct poll_item *listener, uint32_t events);
/* libmicrohttpd's notice of the beginning and the end of a connection. */
void core_http_on_connection(void *server, struct MHD_Connection *mhd, void **context,
                             enum MHD_ConnectionNotificationCode code);
/* The client has until then; INT64_MAX for no limit. */
void core_http_set_deadline(struct connection *connection, int64_t at_mono_ms);
/* The wait for the next request begins. */
void core_http_begin_receiving(struct connection *connection);
/* Ends connections whose time is up. */
void core_http_sweep(struct core_http_server *server);
/* libmicrohttpd will find the connection broken and close it. */
void core_http_shut(struct connection *connection);
void core_http_watch_client(struct connection *connection, uint32_t events);
void core_http_unwatch_client(struct connection *connection);
bool core_http_watch(struct core_http_server *server, int fd, struct poll_item *item);

/* ---- exchange.c ------------------------------------------------------------------------------ */

/* Callbacks of libmicrohttpd. */
void *core_http_on_target(void *server, const char *target, struct MHD_Connection *mhd);
enum MHD_Result core_http_on_request(void *server, struct MHD_Connection *mhd, const char *url,
                                     const char *method, const char *version, const char *data,
                                     size_t *data_len, void **state);
void core_http_on_completed(void *server, struct MHD_Connection *mhd, void **state,
                            enum MHD_RequestTerminationCode how);
/* Nobody is left to reply to: tells who deferred, and lets libmicrohttpd end the connection. */
void core_http_abandon(struct core_http_exchange *exchange);
/* Under the mutex: has the serving thread resume a parked exchange. */
void core_http_make_ready(struct core_http_exchange *exchange);
/* Calls the handler, in whichever thread. */
void core_http_handle(struct core_http_exchange *exchange);

/* ---- stream.c -------------------------------------------------------------------------------- */

struct MHD_Response *core_http_stream_response(struct core_http_exchange *exchange);

/* ---- handlers.c ------------------------------------------------------------------------------ */

RC_MUST_CHECK enum rc_code core_http_handlers_start(struct core_http_server *server,
                                                    struct rc_error *err);
void core_http_handlers_add(struct core_http_server *server, struct core_http_exchange *exchange);
/* Waits for those that run; the others stay undone. */
void core_http_handlers_stop(struct core_http_server *server);

#endif
