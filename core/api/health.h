/*
 * The probes of an orchestrator, at the paths that the seed deployments ask.
 */
#ifndef CORE_API_HEALTH_H
#define CORE_API_HEALTH_H

#include <api/server.h>
#include <http/server.h>

#define CORE_API_ALIVE "/healthcheck/is-alive"
#define CORE_API_READY "/healthcheck/is-ready"

/* Begins as 200 with an empty body. */
struct core_http_reply {
    unsigned status;
    const char *content_type; /* a constant */
    struct rc_buf body;
};

/* The process answers, so it lives. */
void core_api_is_alive(const struct core_run_view *view, struct core_http_reply *reply);
/* 503 unless the action is under way. */
void core_api_is_ready(const struct core_run_view *view, struct core_http_reply *reply);

#endif
