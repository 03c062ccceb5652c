/*
 * A network between a client and a server on 127.0.0.1, which can be cut.
 */
#ifndef TESTS_DB_PROXY_H
#define TESTS_DB_PROXY_H

struct proxy;

enum proxy_mode {
    PROXY_PASSES,
    PROXY_SWALLOWS,         /* nothing arrives any more, and nobody is told */
    PROXY_SWALLOWS_ANSWERS, /* what is sent arrives, the answers do not */
    PROXY_CUTS,             /* connections are closed, and new ones at once */
};

/* NULL: it cannot. */
struct proxy *proxy_start(int port);
int proxy_port(const struct proxy *proxy);
/* Returns when the mode is in effect for whatever comes, and for all that was there. */
void proxy_set(struct proxy *proxy, enum proxy_mode mode);
/* Returns when a client has sent something that is swallowed. */
void proxy_wait_for_client(struct proxy *proxy);
void proxy_stop(struct proxy *proxy);

#endif
