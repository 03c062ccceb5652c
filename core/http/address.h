/*
 * Addresses to listen on: "host:port", ":port" (every address of this machine), "[::1]:port", and
 * "unix:/path".
 */
#ifndef CORE_HTTP_ADDRESS_H
#define CORE_HTTP_ADDRESS_H

#include <run-core/error.h>

#include <sys/types.h>

/* Opened for listening; port 0 takes a free one. */
struct core_listener {
    int fd;
    bool loopback; /* only processes of this machine reach it */
    bool is_unix;
    char url[128]; /* "http://127.0.0.1:8081", with the real port, or "unix:/path" */
    dev_t device;  /* of the socket's file */
    ino_t inode;
};

/*
 * A Unix socket is open to its owner only (mode 0600) and takes the place of one whose process has
 * died. RC_INVALID: not an address. RC_UNAVAILABLE, RC_DENIED: the address cannot be had.
 */
RC_MUST_CHECK enum rc_code core_listener_open(const char *address, struct core_listener *out,
                                              struct rc_error *err);
/* Removes the file of a Unix socket too, unless somebody else's stands there by now. */
void core_listener_close(struct core_listener *listener);

#endif
