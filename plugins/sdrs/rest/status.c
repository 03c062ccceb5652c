/*
 * How the service stands, in the older system's words, for load balancers: whoever asks is told,
 * and asks often, so that Pub/Sub is not asked each time.
 */
#include "request.h"

#include "../google/pubsub.h"

#include <pthread.h>
#include <string.h>

enum { PUBSUB_FRESH_MS = 10000, STATUS_LIMIT = 256 };

/* What the topic was last time. While one thread asks, the others take that. */
static struct {
    pthread_mutex_t lock;
    int64_t looked_unix_ms; /* 0: never */
    bool is_asked, is_up;
} pubsub = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool database_is_up(struct sdrs_request *request)
{
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = sdrs_state_open(request->job, &request->state, &err);

    if (code)
        sdrs_request_log(request, RC_LOG_ERROR, "the state database is down: %s%s%s", err.context,
                         *err.context ? ": " : "", err.cause);
    return !code;
}

static bool topic_is_up(struct sdrs_request *request)
{
    const struct sdrs_google google = sdrs_pubsub(request->job, request->config);
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = sdrs_pubsub_look(&google, request->config->topic, &err);

    if (code)
        sdrs_request_log(request, RC_LOG_ERROR, "the topic '%s' is out of reach: %s%s%s",
                         request->config->topic, err.context, *err.context ? ": " : "", err.cause);
    return !code;
}

static bool pubsub_is_up(struct sdrs_request *request)
{
    int64_t now_unix_ms = request->job->now_unix_ms;
    bool is_up, asks;

    if (!request->config->topic)
        return false;
    pthread_mutex_lock(&pubsub.lock);
    is_up = pubsub.is_up;
    asks = pubsub.looked_unix_ms == 0 ||
           (!pubsub.is_asked && now_unix_ms - pubsub.looked_unix_ms >= PUBSUB_FRESH_MS);
    if (asks)
        pubsub.is_asked = true;
    pthread_mutex_unlock(&pubsub.lock);
    if (!asks)
        return is_up;

    is_up = topic_is_up(request);
    pthread_mutex_lock(&pubsub.lock);
    pubsub.is_up = is_up;
    pubsub.is_asked = false;
    pubsub.looked_unix_ms = now_unix_ms;
    pthread_mutex_unlock(&pubsub.lock);
    return is_up;
}

enum rc_code sdrs_status_get(struct sdrs_request *request, struct rc_error *err)
{
    bool database = database_is_up(request);
    RC_BUF_AUTO(text, STATUS_LIMIT);

    rc_buf_addf(&text, "Web server is UP\nDatabase is %s\nPubSub is %s\n", database ? "UP" : "DOWN",
                pubsub_is_up(request) ? "UP" : "DOWN");
    if (rc_buf_check(&text, err))
        return err->code;
    rc_exchange_reply(request->job, request->exchange, database ? 200 : 503,
                      "text/plain; charset=utf-8", text.data, text.len);
    return RC_OK;
}
