/*
 * One request to the daemon's API, and the pieces of which its handlers are made. Private to
 * core/api.
 */
#ifndef CORE_API_CALL_H
#define CORE_API_CALL_H

#include <api/daemon.h>
#include <api/route.h>
#include <api/tokens.h>
#include <http/proxy.h>
#include <http/server.h>

#include <base/arena.h>

#include <run-core/buf.h>

enum {
    CORE_API_REPLY_BYTES = 16 * 1024 * 1024,
    CORE_API_WHO = 96,
};

struct core_api {
    struct core_loop *loop;
    struct core_supervisor *supervisor;
    const char *version;
    struct core_http_server *http;
    struct core_http_proxy *proxy; /* NULL until a plugin's route was asked for */
    struct core_watch *http_watch, *proxy_watch;

    struct core_tokens *tokens; /* NULL: there is no tokens_file */
    int64_t tokens_reload;      /* the count of reloads that they are of */
    struct {
        int64_t logged_mono_ms; /* 0: never */
        int64_t unsaid;         /* refusals since then */
    } refused;

    struct core_log_stream *streams; /* that wait for more, see logs.c */
    struct core_timer stream_timer;
    bool closing;
};

struct core_api_call {
    struct core_api *api;
    struct core_http_exchange *exchange;
    const struct core_route *route;
    const char *segments[CORE_ROUTE_SEGMENTS]; /* the values in the path */
    const char *by;                            /* who asks, for people */
    const void *query, *body;                  /* filled by the route's tables */
    const struct core_node *body_node;         /* the JSON itself: a map */
    struct core_arena arena;
};

/* ---- replies --------------------------------------------------------------------------------- */

/* The status that stands for a code. */
unsigned core_api_status_of(enum rc_code code);

/* A JSON reply with the route's status; takes the buffer. */
void core_api_reply(struct core_api_call *call, struct rc_buf *body);
/* {"error", "code"}; and Retry-After with RC_UNAVAILABLE. */
void core_api_fail(struct core_api_call *call, const struct rc_error *err);
void core_api_refuse(struct core_api_call *call, enum rc_code code, const char *format, ...)
    RC_PRINTF(3, 4);
/* {"error", "code", "problems"} */
void core_api_fail_problems(struct core_api_call *call, unsigned status, const char *error,
                            struct core_problems *problems);

/* To a prober, for whom the status is what it says: 200, or 503 with the reason. */
void core_api_probe(struct core_http_exchange *exchange, bool good, const char *why_not);

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Each appends "key":value with a comma before it, unless it is the first behind a bracket. */
void core_json_text(struct rc_buf *out, const char *key, const char *text); /* NULL: null */
void core_json_int(struct rc_buf *out, const char *key, int64_t value);
void core_json_bool(struct rc_buf *out, const char *key, bool value);
void core_json_time(struct rc_buf *out, const char *key, int64_t unix_ms); /* 0: null */
/* "key": and what the caller writes behind it. */
void core_json_key(struct rc_buf *out, const char *key);
/* The same for items of a list. */
void core_json_comma(struct rc_buf *out);

/* ---- handlers -------------------------------------------------------------------------------- */

void core_api_alive(struct core_api_call *call);
void core_api_ready(struct core_api_call *call);
void core_api_metrics(struct core_api_call *call);
void core_api_openapi(struct core_api_call *call);
void core_api_status(struct core_api_call *call);
void core_api_jobs(struct core_api_call *call);
void core_api_job(struct core_api_call *call);
void core_api_trigger(struct core_api_call *call);
void core_api_pause(struct core_api_call *call);
void core_api_resume(struct core_api_call *call);
void core_api_runs(struct core_api_call *call);
void core_api_run(struct core_api_call *call);
void core_api_cancel(struct core_api_call *call);
void core_api_log(struct core_api_call *call);
void core_api_reload(struct core_api_call *call);
void core_api_plugins(struct core_api_call *call);
void core_api_plugin(struct core_api_call *call);

/* Forwards to a plugin's own server. */
void core_api_forward(struct core_api *api, struct core_http_exchange *exchange);
/*
 * The scope that a request there needs; NONE: no plugin has the path. '*judges': the plugin asks
 * for a proof itself, and any scope will do.
 */
enum core_scope core_api_forward_scope(const struct core_api *api,
                                       const struct core_http_exchange *exchange, bool *judges);

/* The tables of the queries and bodies, which routes.c names. */
struct core_jobs_query {
    const char *plugin, *match;
    int paused; /* enum core_ternary */
    int64_t limit, offset;
};
struct core_job_query {
    int64_t slots, runs;
};
struct core_runs_query {
    const char *job, *plugin, *since, *until, *before;
    struct rc_strs status;
    int64_t limit;
};
struct core_log_query {
    int64_t attempt, offset, limit, tail;
    bool follow;
};
struct core_trigger_body {
    struct rc_map set; /* only described: its values may be of any type */
    bool force;
};

extern const struct rc_option core_jobs_options[], core_job_options[], core_runs_options[],
    core_log_options[], core_trigger_options[];

extern const struct core_schema core_schema_health, core_schema_status, core_schema_jobs,
    core_schema_job_detail, core_schema_runs, core_schema_run_detail, core_schema_triggered,
    core_schema_cancelled, core_schema_paused, core_schema_reloaded, core_schema_plugins,
    core_schema_plugin, core_schema_run;

/* Appends a run as core_schema_run says; without the closing brace. Live values where it runs. */
void core_api_add_run(struct core_api *api, const struct core_run_record *record,
                      struct rc_buf *out);

/* Lets every stream that waits for more look for the end, as the server is closing. */
void core_api_end_streams(struct core_api *api);

/* ---- where ----------------------------------------------------------------------------------- */

/* Listens at core.listen, if there is one; and at core.socket, or where that is by default. */
RC_MUST_CHECK enum rc_code core_api_listen(struct core_http_server *http,
                                           const struct core_config *config, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_api_listen_unix(struct core_http_server *http,
                                                const struct core_config *config,
                                                struct rc_error *err);

/* ---- who asks -------------------------------------------------------------------------------- */

/* What the client may do; and who it is, in 'by'. */
enum core_scope core_api_scope(struct core_api *api, struct core_http_exchange *exchange,
                               char by[CORE_API_WHO]);
/* Answers 401 or 403 and notes the attempt, where the scope is not enough. */
bool core_api_allows(struct core_api *api, struct core_http_exchange *exchange,
                     enum core_scope needed, char by[CORE_API_WHO]);
/* Reads the tokens again after a reload; mistakes leave the old ones and are logged. */
void core_api_refresh_tokens(struct core_api *api);

#endif
