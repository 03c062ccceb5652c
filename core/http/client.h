/*
 * HTTP requests. A request is made by the calling thread, which waits for its end or reads the
 * answer piece by piece; any number may go on in different threads. On libcurl, which is loaded at
 * the first request and not before.
 *
 * A client keeps connections for later requests (HTTP/2 where the server offers it), holds the
 * limits of each host, and repeats what failed and is safe to repeat. Without one, a request has a
 * connection of its own and one attempt.
 *
 * Errors name the request by the name that the caller gives it, never by its URL, which may hold a
 * secret. Certificates are always verified.
 */
#ifndef CORE_HTTP_CLIENT_H
#define CORE_HTTP_CLIENT_H

#include <base/cancel.h>

#include <run-core/buf.h>

#include <stdint.h>

struct core_http_client;
struct core_http_stream;

struct core_http_header {
    const char *name, *value;
};

/* ---- the client ------------------------------------------------------------------------------ */

/* One attempt's end, for a log. The URL is without user, password and query, and the path of a
 * secret one. */
struct core_http_record {
    const char *name, *method, *url;
    unsigned status; /* 0: no answer */
    unsigned attempt;
    int64_t duration_ms, sent_bytes, received_bytes;
    const char *failure; /* of the attempt, or NULL */
    int64_t retry_in_ms; /* -1: this was the last */
};

/* What is 0 or NULL gets the default that is named with it. */
struct core_http_client_settings {
    const char *ca_file;         /* PEM; the system's certificates */
    const char *proxy;           /* URL, "" for none; what http_proxy, https_proxy, no_proxy say */
    unsigned connections;        /* at once to one host: 64; further requests wait for their turn.
                                    So many, or 64, are kept for later ones to any host */
    double requests_per_s;       /* to one host; no limit */
    unsigned attempts;           /* of one request: 5 */
    int64_t backoff_ms;          /* the pause before the second one: 100 ms, see os/backoff.h */
    int64_t max_backoff_ms;      /* longest, if the server does not ask for more: 20 s */
    int64_t connect_ms, idle_ms; /* of requests that give none: 10 s, 60 s */
    /* From any thread. */
    void (*record)(void *context, const struct core_http_record *record);
    void *record_context;
};

/* "GET https://host/path: 200 after 12ms, 4096 bytes received"; for every log the same. */
void core_http_record_text(const struct core_http_record *record, struct rc_buf *out);

/* The settings' texts are copied. A forked child does not use its parent's client. */
struct core_http_client *core_http_client_new(const struct core_http_client_settings *settings);
/* All its requests have ended. */
void core_http_client_free(struct core_http_client *client);

/*
 * The pause before something is gone on with that is more than one request, such as an upload whose
 * connection broke: after so many failures, as the settings say, but never shorter than
 * 'at_least_ms'. Ends when it is cancelled.
 */
RC_MUST_CHECK enum rc_code core_http_back_off(struct core_http_client *client, int64_t failures,
                                              int64_t at_least_ms, const struct core_cancel *cancel,
                                              struct rc_error *err);

/* ---- a request ------------------------------------------------------------------------------- */

/* How the user of a request proves who he is, see enum rc_http_auth. */
enum core_http_auth {
    CORE_HTTP_AUTH_ANY,
    CORE_HTTP_AUTH_BASIC,
    CORE_HTTP_AUTH_DIGEST,
};

enum core_http_repeat {
    CORE_HTTP_REPEAT_BY_METHOD, /* GET, HEAD, PUT, DELETE and OPTIONS are safe to repeat */
    CORE_HTTP_REPEAT_SAFE,      /* so is this one */
    CORE_HTTP_REPEAT_NEVER,     /* not even if the server has seen nothing of it */
};

/* What a judge makes of an answer. */
enum core_http_verdict {
    CORE_HTTP_ACCEPT,  /* hand it to the caller, whatever its status */
    CORE_HTTP_AGAIN,   /* a failure that may pass */
    CORE_HTTP_SLOWER,  /* the server has too much to do: the same after a longer pause */
    CORE_HTTP_PREPARE, /* once more and at once, now that 'prepare' will do better: new
                           credentials, another host; at most twice in one request */
};

struct core_http_answer;

/* A body that is not in memory. Every attempt reads it from its begin. */
struct core_http_content {
    int64_t len_bytes; /* -1: unknown, so it is sent in chunks */
    /* 'offset_bytes' goes on from 0, or from 0 again; *len is 0 only at the end. */
    enum rc_code (*read)(void *context, int64_t offset_bytes, char *data, size_t capacity,
                         size_t *len, struct rc_error *err);
    void *context;
};

/* What 'prepare' may change for one attempt; its additions last as long as the attempt. */
struct core_http_draft {
    unsigned attempt;      /* from 1 */
    const char *url;       /* where it goes; another is borrowed until the request ends */
    struct rc_buf headers; /* to add: "name\0value\0" one after the other */
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
    const struct core_http_content *content; /* in place of 'body' */

    int64_t connect_ms;  /* 10 s until there is a connection, TLS included */
    int64_t idle_ms;     /* 60 s without a byte in either direction; -1: however long */
    int64_t total_ms;    /* of one attempt; no limit */
    unsigned redirects;  /* followed at most so many, else RC_FAILED; 0: it is the answer */
    const char *ca_file; /* the client's */
    const struct core_cancel *cancel; /* looked at ten times a second */
    bool secret_url;                  /* the path is one, too: it is in no record */
    bool direct;                      /* to the server itself, whatever proxy there is */

    /*
     * For the server of the URL alone, in place of what the URL itself may say; NULL: nobody. A
     * request that is refused for want of a proof goes out once more, with it and with its body,
     * whatever 'repeat' says: it was not carried out. If the proof is refused, that is the answer.
     */
    const char *user, *password;
    enum core_http_auth auth;

    struct core_http_client *client; /* NULL: one attempt on a connection of its own */
    enum core_http_repeat repeat;
    unsigned attempts; /* the client's */
    bool ask_first;    /* whether the server wants the body at all, before it is sent: it may
                          redirect or refuse (Expect: 100-continue; its word is awaited for 1 s) */

    /* Before each attempt: signs it. Not where another server was redirected to, which gets only
       headers that are no secret. NULL: nothing to add. */
    enum rc_code (*prepare)(void *context, struct core_http_draft *draft, struct rc_error *err);
    /*
     * What an answer means, with its headers and body (of a stream: the body of a status that is
     * not 2xx). NULL: 408, 429, 500, 502, 503 and 504 may pass, the rest is accepted.
     */
    enum core_http_verdict (*judge)(void *context, const struct core_http_answer *answer);
    /*
     * Takes the body of a status of 2xx in pieces as they come, in place of the answer's body; the
     * answer has its status and headers by then. A code other than RC_OK ends the call with it and
     * what is in 'err'. No attempt is repeated that has handed over a piece.
     */
    enum rc_code (*on_body)(void *context, const char *data, size_t len, struct rc_error *err);
    void *context; /* of the three */
};

struct core_http_answer {
    unsigned status;
    struct rc_buf headers; /* of the last head: "name\0value\0" one after the other, names in lower
                              case */
    struct rc_buf body;    /* its limit is the caller's choice; beyond it RC_TOO_LARGE, but with
                              another status than 2xx it is cut */
    unsigned attempts;     /* made */
};

/* An answer with room for a body of 'limit_bytes'. */
void core_http_answer_init(struct core_http_answer *answer, size_t limit_bytes);
void core_http_answer_clear(struct core_http_answer *answer);

/* The first header of that name, in any case; or NULL. */
const char *core_http_answer_header(const struct core_http_answer *answer, const char *name);
/* The point in time that a header such as Date gives; 0: none. */
int64_t core_http_answer_time_unix_ms(const struct core_http_answer *answer, const char *name);
/*
 * How long Retry-After asks to wait, by 'now_unix_ms' if it gives a date; -1 if there is none that
 * makes sense.
 */
int64_t core_http_answer_retry_ms(const struct core_http_answer *answer, int64_t now_unix_ms);

/*
 * Makes the request. RC_OK: an answer came, whatever its status says; after the last attempt also
 * one that asked for another.
 *
 * RC_UNAVAILABLE: no connection, or it broke. RC_TIMEOUT: it came about, then a limit of time was
 * reached. RC_DENIED: the socket may not be opened. RC_INVALID: the URL, or a certificate that does
 * not prove the server. RC_TOO_LARGE: the answer's body. RC_NOT_FOUND, RC_UNSUPPORTED: libcurl is
 * not installed. Else the code of 'cancel', 'prepare', 'on_body' or the content.
 */
RC_MUST_CHECK enum rc_code core_http_call(const struct core_http_call *call,
                                          struct core_http_answer *answer, struct rc_error *err);

/* Whether both URLs lead to one server: scheme, host and port, whatever user they name. */
bool core_http_same_origin(const char *a, const char *b);

/* ---- an answer piece by piece ---------------------------------------------------------------- */

/*
 * The same up to the head of the answer. A body that comes with a status of 2xx is then read from
 * *out, at the reader's pace: what is not read is not asked of the server. With another status
 * *out is NULL and the body is in the answer, at most to its limit. 'call' may go away afterwards,
 * its client, 'cancel' and the text of 'name' may not. For one thread at a time. Until it is closed
 * it has one of the host's connections, so who opens many at once may wait for ever.
 */
RC_MUST_CHECK enum rc_code core_http_open(const struct core_http_call *call,
                                          struct core_http_answer *answer,
                                          struct core_http_stream **out, struct rc_error *err);
/*
 * *len is 0 only at the end, which is the true one: a body cut short is RC_UNAVAILABLE, once all
 * that came before was read.
 */
RC_MUST_CHECK enum rc_code core_http_read(struct core_http_stream *stream, void *data,
                                          size_t capacity, size_t *len, struct rc_error *err);
/* May be NULL. Before the end it gives up the connection, if little is not left to read. */
void core_http_close(struct core_http_stream *stream);

#endif
