/*
 * One HTTP call, made by the calling thread, which waits for its end. On libcurl, which is loaded
 * at the first call and not before. A call needs nothing from the one before it, and any number may
 * go on in different threads.
 *
 * Errors name the call by the name that the caller gives it, never by its URL, which may hold a
 * secret.
 */
#ifndef CORE_HTTP_CLIENT_H
#define CORE_HTTP_CLIENT_H

#include <base/cancel.h>

#include <run-core/buf.h>

#include <stdint.h>

struct core_http_header {
    const char *name, *value;
};

/* What is 0 or NULL gets the default that is named with it. */
struct core_http_call {
    const char *name;        /* for errors: "the webhook of the job 'nightly'" */
    const char *method;      /* GET, or POST if there is a body */
    const char *url;         /* http or https; with a socket, "http://host/path" as well */
    const char *socket_path; /* a Unix socket to connect to, whatever host the URL names */
    const struct core_http_header *headers;
    size_t header_count;
    const void *body;
    size_t body_len;

    int64_t connect_ms;  /* 10 s until there is a connection, TLS included */
    int64_t idle_ms;     /* 60 s without a byte in either direction; -1: however long */
    int64_t total_ms;    /* no limit */
    unsigned redirects;  /* followed at most so many, else RC_FAILED; 0: it is the answer */
    const char *ca_file; /* the system's certificates */
    const struct core_cancel *cancel; /* looked at ten times a second */

    /*
     * Takes the body in pieces as they come, in place of the answer's body; the answer has its
     * status and headers by then. A code other than RC_OK ends the call with it and what is in
     * 'err'.
     */
    enum rc_code (*on_body)(void *context, const char *data, size_t len, struct rc_error *err);
    void *context;
};

struct core_http_answer {
    unsigned status;
    struct rc_buf headers; /* of the last head: "name\0value\0" one after the other, names in lower
                              case */
    struct rc_buf body;    /* its limit is the caller's choice; beyond it RC_TOO_LARGE */
};

/* An answer with room for a body of 'limit_bytes'. */
void core_http_answer_init(struct core_http_answer *answer, size_t limit_bytes);
void core_http_answer_clear(struct core_http_answer *answer);

/* The first header of that name, in any case; or NULL. */
const char *core_http_answer_header(const struct core_http_answer *answer, const char *name);
/*
 * How long Retry-After asks to wait, by 'now_unix_ms' if it gives a date; -1 if there is none that
 * makes sense.
 */
int64_t core_http_answer_retry_ms(const struct core_http_answer *answer, int64_t now_unix_ms);

/*
 * Makes the call. RC_OK: an answer came, whatever its status says. Proxies are those of the usual
 * environment variables, and none for a socket.
 *
 * RC_UNAVAILABLE: no connection, or it broke. RC_TIMEOUT: it came about, then a limit of time was
 * reached. RC_DENIED: the socket may not be opened. RC_INVALID: the URL, or a certificate that does
 * not prove the server. RC_TOO_LARGE: the answer's body. RC_NOT_FOUND, RC_UNSUPPORTED: libcurl is
 * not installed. Else the code of 'cancel' or of 'on_body'.
 */
RC_MUST_CHECK enum rc_code core_http_call(const struct core_http_call *call,
                                          struct core_http_answer *answer, struct rc_error *err);

#endif
