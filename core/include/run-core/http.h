/*
 * HTTP requests. The host keeps connections, verifies certificates, repeats what failed and is
 * safe to repeat, with growing pauses, and masks secrets in what it logs. Under --dry-run only
 * GET, HEAD and OPTIONS are made; others are logged and counted, and their answer has the status
 * 0.
 *
 * Safe to repeat are GET, HEAD, PUT, DELETE and OPTIONS. What is repeated: no connection or a
 * broken one, and the statuses 408, 429, 500, 502, 503 and 504, later if the server asks for it.
 */
#ifndef RUN_CORE_HTTP_H
#define RUN_CORE_HTTP_H

#include <run-core/buf.h>

#include <stdint.h>

struct rc_job;
struct rc_http_stream;

struct rc_http_header {
    const char *name, *value;
};

enum rc_http_flag {
    RC_HTTP_SAFE_TO_REPEAT = 1u << 0, /* though it is a POST or PATCH */
    RC_HTTP_NEVER_REPEAT = 1u << 1,
    RC_HTTP_SECRET_URL = 1u << 2, /* the path is in no log */
    RC_HTTP_READS_ONLY = 1u << 3, /* made under --dry-run, too, though it is a POST */
};

/* How the user of a request proves who he is (RFC 7617, RFC 7616). Since 1.5. */
enum rc_http_auth {
    RC_HTTP_AUTH_ANY,    /* as the server asks for: by digest, or else in the clear */
    RC_HTTP_AUTH_BASIC,  /* in the clear with the first request, unasked */
    RC_HTTP_AUTH_DIGEST, /* never in the clear */
    RC_HTTP_AUTH_GOOGLE, /* by a token of Google's, of the request's 'credentials'. Since 1.6 */
};

/* What is 0 or NULL gets the default that is named with it. */
struct rc_http_request {
    size_t struct_bytes; /* sizeof(struct rc_http_request): it may grow */
    const char *name;    /* for messages: "the import API" */
    const char *method;  /* GET, or POST if there is a body */
    const char *url;     /* http or https */
    const struct rc_http_header *headers;
    size_t header_count;
    const void *body;
    size_t body_len;
    unsigned flags;
    unsigned redirects;          /* followed at most so many; 0: the redirection is the answer */
    unsigned attempts;           /* as configured: core.http.attempts */
    int64_t connect_ms, idle_ms; /* as configured */
    int64_t total_ms;            /* of one attempt; no limit */
    const char *user, *password; /* none; in no log, and for the server of 'url' alone. Since 1.5 */
    int auth;                    /* enum rc_http_auth; since 1.5 */
    /*
     * Since 1.6. With RC_HTTP_AUTH_GOOGLE a gs:// URI: the token is that by which the host reaches
     * this bucket, with the scope cloud-platform. It is renewed where the server refuses it once,
     * and goes over https or to this machine alone (RC_INVALID otherwise). RC_DENIED: no
     * credentials are to be found.
     */
    const char *credentials;
};

/* To be made by RC_HTTP_ANSWER_AUTO or _INIT, with the most that its body may have. */
struct rc_http_answer {
    unsigned status;       /* 0: there is none, as the request was not made */
    unsigned attempts;     /* made */
    struct rc_buf headers; /* "name\0value\0" one after the other, names in lower case */
    struct rc_buf body;    /* beyond its limit the request is RC_TOO_LARGE */
};

enum { RC_HTTP_HEADER_BYTES = 64 * 1024 };

/* clang-format off */
#define RC_HTTP_ANSWER_INIT(body_limit_bytes)                                                      \
    { 0, 0, RC_BUF_INIT(RC_HTTP_HEADER_BYTES), RC_BUF_INIT(body_limit_bytes) }
/* clang-format on */

/* A local answer that frees itself. */
#define RC_HTTP_ANSWER_AUTO(name, body_limit_bytes)                                                \
    RC_CLEANUP(rc_http_answer_clear)                                                               \
    struct rc_http_answer name = RC_HTTP_ANSWER_INIT(body_limit_bytes)

/* Frees the memory; the answer is empty and may be used again. */
static inline void rc_http_answer_clear(struct rc_http_answer *answer)
{
    answer->status = 0;
    answer->attempts = 0;
    rc_buf_clear(&answer->headers);
    rc_buf_clear(&answer->body);
}

struct rc_http_api {
    enum rc_code (*call)(struct rc_job *job, const struct rc_http_request *request,
                         struct rc_http_answer *answer, struct rc_error *err);
    enum rc_code (*open)(struct rc_job *job, const struct rc_http_request *request,
                         struct rc_http_answer *answer, struct rc_http_stream **out,
                         struct rc_error *err);
    enum rc_code (*read)(struct rc_http_stream *stream, void *data, size_t capacity, size_t *len,
                         struct rc_error *err);
    void (*close)(struct rc_http_stream *stream);
};

#endif
