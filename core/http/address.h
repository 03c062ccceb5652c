/*
 * Addresses to listen on: "host:port", ":port" (every address of this machine), "[::1]:port".
 */
#ifndef CORE_HTTP_ADDRESS_H
#define CORE_HTTP_ADDRESS_H

#include <run-core/error.h>

/* Opened for listening; port 0 takes a free one. */
struct core_listener {
    int fd;
    bool loopback; /* only processes of this machine reach it */
    char url[96];  /* "http://127.0.0.1:8081", with the real port */
};

/*
 * RC_INVALID: not an address. RC_UNAVAILABLE, RC_DENIED: the address cannot be had. The socket is
 * closed by the caller.
 */
RC_MUST_CHECK enum rc_code core_listener_open(const char *address, struct core_listener *out,
                                              struct rc_error *err);

#endif
