/*
 * Answers health probes: the status is for the prober, the JSON for whoever looks by hand.
 */
#include <api/health.h>

#include <string.h>

static void answer(const struct core_run_view *view, bool good, struct core_http_reply *reply)
{
    reply->status = good ? 200 : 503;
    reply->content_type = "application/json";
    rc_buf_addf(&reply->body, "{\"status\":\"%s\",\"run\":", good ? "ok" : "not ready");
    rc_buf_add_json(&reply->body, view->run_id, strlen(view->run_id));
    rc_buf_adds(&reply->body, ",\"state\":");
    rc_buf_add_json(&reply->body, view->state, strlen(view->state));
    rc_buf_adds(&reply->body, "}\n");
}

void core_api_is_alive(const struct core_run_view *view, struct core_http_reply *reply)
{
    answer(view, true, reply);
}

void core_api_is_ready(const struct core_run_view *view, struct core_http_reply *reply)
{
    answer(view, view->ready, reply);
}
