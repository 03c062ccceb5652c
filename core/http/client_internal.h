/*
 * What the parts of the client share:
 *
 *   client_call.c      a request: its attempts, and where redirections lead
 *   client_transfer.c  one attempt: what is sent, what comes, how long it may take
 *   client_failure.c   what a failed attempt means, and how it reads
 *   client_redirect.c  where an answer leads to, and what may be told there
 *   client_retry.c     whether there is a next attempt, and when
 *   client_host.c      the limits of a host, and whose turn it is
 *   client_lane.c      a libcurl handle with its connection
 *   client_stream.c    an answer that is read piece by piece
 *   client_record.c    a line of the log for each attempt
 *
 * A request is driven by the thread that makes it. Threads meet only under the client's mutex, for
 * a lane and for the limits of its host.
 */
#ifndef CORE_HTTP_CLIENT_INTERNAL_H
#define CORE_HTTP_CLIENT_INTERNAL_H

#include <http/client.h>

#include <http/curl.h>

#include <pthread.h>

enum {
    CONNECTIONS = 64,
    ATTEMPTS = 5,
    BACKOFF_MS = 100,
    MAX_BACKOFF_MS = 20 * 1000,
    CONNECT_MS = 10 * 1000,
    IDLE_MS = 60 * 1000,

    HEAD_BYTES = 64 * 1024,
    CANCEL_POLL_MS = 100,
};

/* ---- client_lane.c --------------------------------------------------------------------------- */

/* A libcurl handle that keeps one connection, in one thread's hands at a time. */
struct lane {
    const struct core_curl *curl;
    CURL *easy;
    CURLM *multi;
    struct lane *next; /* in its host's list, with those that are idle */
    pthread_t user;    /* the last */
    bool has_proofs;   /* the handle knows passwords, and what servers asked about them */
    int64_t idle_since_mono_ms;
};

RC_MUST_CHECK enum rc_code core_http_lane_new(const struct core_http_call *call, struct lane **out,
                                              struct rc_error *err);
/* Keeps the connection alone; 'call' goes the same way as those before. */
void core_http_lane_renew(struct lane *lane, const struct core_http_call *call);
void core_http_lane_free(struct lane *lane);

/* ---- client_host.c --------------------------------------------------------------------------- */

struct waiter;

/* Scheme, name and port, and what else sets connections apart. Under the client's mutex. */
struct host {
    struct host *next;
    char *key;
    unsigned users;  /* requests that are here or wait */
    unsigned active; /* requests that have a lane */
    struct waiter *waiters, **waiters_end;
    struct lane *idle; /* the last used first */
    int64_t used_mono_ms;

    double next_mono_ms;             /* when the rate allows the next request */
    int64_t quiet_until_mono_ms;     /* the server wants no request before */
    int64_t slow_ms, slowed_mono_ms; /* the last pause for that, and its begin */
    int budget;                      /* for repetitions */
};

struct core_http_client {
    struct core_http_client_settings settings; /* without zeros; its texts are ours */
    bool has_proxy;                            /* for http, by settings or environment */
    CURLSH *share;                             /* names and TLS sessions */
    pthread_mutex_t share_mutexes[CURL_LOCK_DATA_LAST];

    pthread_mutex_t mutex;
    struct host *hosts;
    unsigned idle_count; /* lanes of all hosts */
    int64_t swept_mono_ms;
};

/* A place at a host, with the lane that goes there. All is NULL while there is none. */
struct place {
    struct core_http_client *client;
    struct host *host; /* NULL without a client */
    struct lane *lane;
};

/* Waits for a turn as the limits of the host say. */
RC_MUST_CHECK enum rc_code core_http_place_enter(const struct core_http_call *call, const char *url,
                                                 struct place *out, struct rc_error *err);
/* May be called again without harm. */
void core_http_place_leave(struct place *place);
/* Length of the part of an URL that names scheme, host and port. */
size_t core_http_origin_len(const char *url);
/* A copy without user and password. */
char *core_http_without_user(const char *url);
/* Sleeps, until somebody asks to stop. */
RC_MUST_CHECK enum rc_code core_http_pause(const struct core_cancel *cancel, int64_t ms,
                                           struct rc_error *err);
void core_http_hosts_free(struct core_http_client *client);

/* ---- client_transfer.c ----------------------------------------------------------------------- */

/* Why there is no answer. */
struct failure {
    bool passing; /* the same may succeed later */
    bool unsent;  /* the server has seen nothing of the request */
    bool stale;   /* a kept connection was closed before a byte of the answer came */
    bool timeout;
};

struct request;

/* One attempt. */
struct transfer {
    const struct core_curl *curl;
    struct lane *lane;
    const struct request *request;
    struct core_http_answer *answer; /* NULL while a stream is being read */
    struct rc_error *err;            /* of the callbacks */
    enum rc_code stopped;            /* why a callback ended the transfer */
    struct failure failure;
    struct curl_slist *headers;
    const char *name;
    const struct core_cancel *cancel;
    int64_t connect_ms, idle_ms, total_ms;

    int64_t began_mono_ms;
    int64_t active_mono_ms; /* when a byte came or went, or the connection was made */
    bool added;             /* to the lane's multi handle */
    bool may_raise;         /* SIGPIPE */
    bool heard;             /* something came or went since then */
    bool connected, head_begun, head_done, ended;
    bool was_sent, is_stale; /* a kept connection broke unanswered, after it was sent */
    unsigned status;
    curl_off_t received; /* bytes of the body, taken in */

    int64_t send_at, send_bytes; /* of the body; -1: unknown */
    curl_off_t sent;
    bool has_body, sending, is_safe; /* a body may be empty */
    bool answered_early;             /* while there was body left to send */
    bool has_enough;                 /* of the body of a failure */
    bool handed_over;                /* a piece to on_body, or to the reader of a stream */

    /* Of a stream: where on_body puts what comes. */
    bool streaming, paused;
    char *target;
    size_t target_room, target_len;
    struct rc_buf spare;
    size_t spare_at;
};

/* The lane is the transfer's until core_http_transfer_end(). */
RC_MUST_CHECK enum rc_code core_http_transfer_begin(struct transfer *transfer,
                                                    const struct request *request,
                                                    struct lane *lane, struct rc_error *err);
/* On until the end; of a stream, until 'enough'. */
RC_MUST_CHECK enum rc_code core_http_transfer_drive(struct transfer *transfer,
                                                    bool (*enough)(const struct transfer *transfer),
                                                    struct rc_error *err);
/* After a pause that the reader of a stream has made. False: libcurl does not go on. */
bool core_http_transfer_resume(struct transfer *transfer);
/* Leaves nothing in the lane but its connection, if all was read from it. */
void core_http_transfer_end(struct transfer *transfer);
bool core_http_is_success(unsigned status);

/* ---- client_failure.c ------------------------------------------------------------------------ */

/* What 'result' means; fills transfer->failure. */
enum rc_code core_http_transfer_failed(struct transfer *transfer, CURLcode result,
                                       struct rc_error *err);
enum rc_code core_http_transfer_silent(struct transfer *transfer, struct rc_error *err);

/* ---- client_call.c --------------------------------------------------------------------------- */

struct request {
    const struct core_http_call *call;
    struct core_http_client *client;
    struct core_http_answer *answer;
    const char *name;
    bool streaming;

    /* Where it stands; redirections change it. */
    const char *method, *url;
    char *moved;   /* the memory of 'url', once it is another */
    bool foreign;  /* another server than that of the call, which has its own secrets */
    bool bodiless; /* became a GET on the way */
    unsigned redirects;

    /* Of the attempt at hand. */
    struct core_http_draft draft;
    const char *asked_url;
    int64_t began_mono_ms;

    /* For the next attempt. */
    unsigned failed, prepared;
    bool stale_before;
    int spent;           /* of the host's budget */
    const char *gave_up; /* why, for the log */
};

/*
 * Goes on until there is an answer to hand over, which then is the transfer's; so is, in a stream,
 * the beginning of a body that broke.
 */
RC_MUST_CHECK enum rc_code core_http_request_run(struct request *request, struct transfer *transfer,
                                                 struct place *place, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_http_request_init(struct request *out,
                                                  const struct core_http_call *call,
                                                  struct core_http_answer *answer,
                                                  struct rc_error *err);
void core_http_request_clear(struct request *request);

/* ---- client_redirect.c ----------------------------------------------------------------------- */

bool core_http_is_redirect(const struct request *request);
/* Where its answer leads, if it may go there. Freed with free(). */
RC_MUST_CHECK enum rc_code core_http_redirect_target(const struct request *request, char **out,
                                                     struct rc_error *err);
/* Turns the request to that place, and takes the URL over. */
void core_http_follow(struct request *request, char *url);
/* Whether a header of the call may go along, and its user. */
bool core_http_may_send(const struct request *request, const char *name);
bool core_http_has_user(const struct request *request);

/* ---- client_retry.c -------------------------------------------------------------------------- */

/* Whether the server may get this request twice. */
bool core_http_is_safe(const struct request *request);
/*
 * What comes after an attempt: -1 nothing, else how many milliseconds until the next. 'code' is
 * that of the attempt.
 */
int64_t core_http_next_in_ms(struct request *request, const struct transfer *transfer,
                             struct host *host, enum rc_code code);

/* ---- client_record.c ------------------------------------------------------------------------- */

void core_http_log(const struct request *request, const struct transfer *transfer,
                   const char *failure, int64_t retry_in_ms);

/* ---- client_answer.c ------------------------------------------------------------------------- */

void core_http_answer_reset(struct core_http_answer *answer);

#endif
