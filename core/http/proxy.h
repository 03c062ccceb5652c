/*
 * Forwards exchanges of a server to others that listen on Unix sockets, without blocking: it has
 * one file descriptor for an event loop. On libcurl, which is loaded when a proxy is opened.
 *
 * The request has been received whole by then (see the server's limits); the reply is streamed
 * while it comes, at the pace of the client, and never held as a whole. Headers that concern one
 * connection only are not passed on, nor is Authorization, by which this server judged the request;
 * X-Forwarded-For, -Host, -Proto and -Prefix are set, and CORE_HTTP_ADMITTED, which says that it
 * did.
 *
 * A proxy belongs to the thread that serves its server, and is closed after it.
 */
#ifndef CORE_HTTP_PROXY_H
#define CORE_HTTP_PROXY_H

#include <http/server.h>

struct core_http_proxy;

/* What is 0 gets the default that is named with it. */
struct core_http_proxy_options {
    int64_t connect_ms; /* 2 s */
    int64_t answer_ms;  /* 60 s until the head of the reply: else 504 */
    int64_t idle_ms;    /* 5 min without a byte of its body: it is broken off */
    unsigned forwards;  /* 128 under way; else 503 */
};

/* RC_NOT_FOUND, RC_UNSUPPORTED: libcurl is not installed. 'options' may be NULL. */
RC_MUST_CHECK enum rc_code core_http_proxy_new(const struct core_http_proxy_options *options,
                                               struct core_http_proxy **out, struct rc_error *err);

/* Readable when core_http_proxy_serve() has something to do. */
int core_http_proxy_fd(const struct core_http_proxy *proxy);
/* Does what is due and never waits. */
void core_http_proxy_serve(struct core_http_proxy *proxy);

/* A header of forwarded requests, "yes"; one that a client sends does not get through. */
#define CORE_HTTP_ADMITTED "X-Run-Core-Admitted"

/* Copied. */
struct core_http_target {
    const char *socket_path;
    const char *path;   /* decoded, from '/': what the other server sees; the query is passed on */
    const char *prefix; /* what stood before it here, for X-Forwarded-Prefix; or NULL */
    const char *name;   /* for errors: "plugin 'dsr'" */
    bool judges;        /* the other server judges who may ask: it gets Authorization for that, and
                           no word that this one did */
};

/*
 * In place of a reply of the handler. The client gets 502 if the other server is away, breaks the
 * rules or dies before the head of its reply, 503 with too many requests under way, 504 if it is
 * too slow, each as {"error":...}; a reply that breaks off in its middle breaks off for the client
 * too.
 */
void core_http_forward(struct core_http_proxy *proxy, struct core_http_exchange *exchange,
                       const struct core_http_target *target);

/* After the server was closed. 'proxy' may be NULL. */
void core_http_proxy_close(struct core_http_proxy *proxy);
/* For a forked child: closes the descriptors. */
void core_http_proxy_forget(struct core_http_proxy *proxy);

#endif
