/*
 * The daemon as a whole: for probes, which look at the status alone, and for people.
 */
#include <api/call.h>

#include <string.h>
#include <unistd.h>

void core_api_probe(struct core_http_exchange *exchange, bool good, const char *why_not)
{
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);

    rc_buf_addc(&out, '{');
    core_json_text(&out, "status", good ? "ok" : "not ready");
    core_json_text(&out, "reason", why_not);
    rc_buf_adds(&out, "}\n");
    core_http_reply(exchange, good ? 200 : 503, "application/json", &out);
}

void core_api_alive(struct core_api_call *call)
{
    core_api_probe(call->exchange, true, NULL);
}

void core_api_ready(struct core_api_call *call)
{
    struct core_supervisor_health health;

    core_supervisor_health(call->api->supervisor, &health);
    if (health.stopping)
        core_api_probe(call->exchange, false,
                       "the daemon was asked to end, and waits for what runs");
    else
        core_api_probe(call->exchange, health.ready, health.why_not);
}

void core_api_status(struct core_api_call *call)
{
    struct core_supervisor_health health;
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);

    core_supervisor_health(call->api->supervisor, &health);
    rc_buf_addc(&out, '{');
    core_json_text(&out, "version", call->api->version);
    core_json_int(&out, "pid", getpid());
    core_json_bool(&out, "ready", health.ready && !health.stopping);
    core_json_text(&out, "why_not", health.ready ? NULL : health.why_not);
    core_json_bool(&out, "stopping", health.stopping);
    core_json_time(&out, "started", health.started_unix_ms);
    core_json_int(&out, "jobs", health.jobs);
    core_json_int(&out, "running", health.workers);
    core_json_int(&out, "waiting", health.waiting);
    core_json_int(&out, "reloads", health.reloads);
    core_json_time(&out, "last_reload", health.last_reload_unix_ms);
    core_json_text(&out, "last_reload_error", health.last_reload_error);
    rc_buf_addc(&out, '}');
    core_api_reply(call, &out);
}
