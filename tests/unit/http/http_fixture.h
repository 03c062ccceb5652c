/*
 * A server that a thread of its own serves, and a client that says exactly the bytes it is given.
 */
#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

#include <http/proxy.h>
#include <http/server.h>

#include <pthread.h>
#include <stdatomic.h>

enum { ANSWER_BYTES = 8 * 1024 * 1024 };

struct pump {
    struct core_http_server *server;
    struct core_http_proxy *proxy; /* or NULL; served by the same thread */
    pthread_t thread;
    atomic_bool stop;
    char folder[32]; /* for sockets; "" while there is none */
};

/* Opens a server at each address, up to NULL; "unix" stands for a socket in a folder of its own. */
void pump_start(struct pump *pump, core_http_handler *handler, void *context,
                const struct core_http_options *options, const char *const *addresses);
/* Ends the thread and leaves the server. */
void pump_halt(struct pump *pump);
/* Ends the thread and closes what it served. */
void pump_stop(struct pump *pump);

/* Connects to what core_http_server_url() says. */
int dial(const char *url);
void say(int fd, const char *text);
/* Until the other side ends, or 'enough' has come; the answer so far is kept. */
void hear(int fd, struct rc_buf *out, const char *enough);
/* All three, and hangs up. */
void talk(const char *url, const char *request, struct rc_buf *out);

/* Waits for a number to become 'wanted' and to stay so, for at most a minute. */
bool becomes(const atomic_int *number, int wanted);

#endif
