/*
 * What one run shows of itself over HTTP while it goes on: health for probes, metrics for
 * Prometheus. The values are asked for at each request.
 */
#ifndef CORE_API_SERVER_H
#define CORE_API_SERVER_H

#include <run-core/error.h>

#include <stddef.h>
#include <stdint.h>

struct core_run_counter {
    const char *name;
    int64_t value;
};

/* A run as it stands. All text is borrowed until the next request. */
struct core_run_view {
    const char *run_id, *plugin;
    const char *action;  /* empty or NULL until it is known */
    const char *job;     /* or NULL */
    const char *version; /* of run-core */
    const char *state;   /* "loading", "running", "stopping" or "ended" */
    bool ready;          /* the action has begun, and nobody asked it to stop */
    bool dry_run;
    int64_t started_unix_ms;
    int64_t progress_done, progress_total; /* total 0: unknown */
    const char *progress_unit;             /* or NULL */
    const struct core_run_counter *counters;
    size_t counter_count;
};

/* Fills 'out', which is zeroed. */
typedef void core_run_view_fn(void *context, struct core_run_view *out);

struct core_api_server;

/*
 * Serves at 'listen', an address as in http/address.h. Beyond this machine only the health probes
 * are answered: whoever may read metrics there would have to show a token, and a single run knows
 * none.
 */
RC_MUST_CHECK enum rc_code core_api_server_open(const char *listen, core_run_view_fn *view,
                                                void *context, struct core_api_server **out,
                                                struct rc_error *err);

/* As those of http/server.h; 'serve' takes the server as void * to stand in a poll loop. */
int core_api_server_fd(const struct core_api_server *server);
void core_api_server_serve(void *server);
const char *core_api_server_url(const struct core_api_server *server);
void core_api_server_close(struct core_api_server *server);
void core_api_server_forget(struct core_api_server *server);

#endif
