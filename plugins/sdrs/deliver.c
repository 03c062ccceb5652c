/*
 * Delivers notifications from the outbox: to a topic of Pub/Sub, or to a webhook.
 *
 * Each is delivered at least once. A process that is killed before it has noted that it delivered
 * one lets the next one deliver it again, with the same UUID, by which a receiver tells.
 */
#include "google/pubsub.h"
#include "run.h"
#include "state/outbox.h"

#include <run-core/str.h>

#include <inttypes.h>
#include <string.h>

enum {
    /* Both times together stay below the minute that a message is ours for. */
    ATTEMPTS = 2,
    ATTEMPT_MS = 20 * 1000,
    BATCH = 100, /* messages in a request to Pub/Sub */
    ANSWER_BYTES = 64 << 10,
};

struct courier {
    struct rc_job *job;
    const struct sdrs_config *config;
    struct sdrs_state *state;
    struct sdrs_message messages[BATCH];
    size_t count;
    int64_t delivered;
};

static void drop_messages(struct courier *courier)
{
    for (size_t i = 0; i < courier->count; i++)
        sdrs_message_clear(&courier->messages[i]);
    courier->count = 0;
}

/* Another message may do better: it is this one that is refused. */
static bool is_of_message(enum rc_code code)
{
    return code == RC_INVALID || code == RC_TOO_LARGE;
}

/* ---- ways ------------------------------------------------------------------------------------ */

static enum rc_code publish(const struct courier *courier, size_t first, size_t count,
                            struct rc_error *err)
{
    struct sdrs_google google = sdrs_pubsub(courier->job, courier->config);
    struct sdrs_pubsub_message messages[BATCH];

    google.attempts = ATTEMPTS;
    google.total_ms = ATTEMPT_MS;
    for (size_t i = 0; i < count; i++)
        messages[i] = (struct sdrs_pubsub_message){ .uuid = courier->messages[first + i].uuid,
                                                    .json = courier->messages[first + i].json };
    return sdrs_pubsub_publish(&google, courier->config->topic, messages, count, err);
}

static enum rc_code judge(const struct rc_http_answer *answer, struct rc_error *err)
{
    enum rc_code code = RC_UNAVAILABLE;

    if (answer->status == 0 || answer->status / 100 == 2)
        return RC_OK;
    if (answer->status == 401 || answer->status == 403)
        code = RC_DENIED;
    else if (answer->status == 400 || answer->status == 413 || answer->status == 422)
        code = RC_INVALID;
    return rc_fail(err, code, "the webhook answered with the status %u", answer->status);
}

static enum rc_code post(const struct courier *courier, const struct sdrs_message *message,
                         struct rc_error *err)
{
    const char *token = courier->config->webhook_token;
    RC_STR_AUTO bearer = token ? rc_strf("Bearer %s", token) : NULL;
    const struct rc_http_header headers[] = {
        { "Content-Type", "application/json" },
        { "Idempotency-Key", message->uuid },
        { "Authorization", bearer },
    };
    const struct rc_http_request request = {
        .struct_bytes = sizeof(request),
        .name = "the webhook",
        .method = "POST",
        .url = courier->config->webhook_url,
        .headers = headers,
        .header_count = bearer ? 3 : 2,
        .body = message->json,
        .body_len = strlen(message->json),
        .flags = RC_HTTP_SAFE_TO_REPEAT | RC_HTTP_SECRET_URL,
        .attempts = ATTEMPTS,
        .total_ms = ATTEMPT_MS,
    };
    RC_HTTP_ANSWER_AUTO(answer, ANSWER_BYTES);

    if (rc_http_call(courier->job, &request, &answer, err))
        return err->code;
    return judge(&answer, err);
}

static enum rc_code send(const struct courier *courier, size_t first, size_t count,
                         struct rc_error *err)
{
    if (courier->config->webhook_url)
        return post(courier, &courier->messages[first], err);
    return publish(courier, first, count, err);
}

/* ---- the outbox ------------------------------------------------------------------------------ */

/* Notes what became of messages. Returns 'code', or why it could not be noted. */
static enum rc_code note(struct courier *courier, size_t first, size_t count, enum rc_code code,
                         struct rc_error *err)
{
    for (size_t i = first; i < first + count; i++) {
        struct rc_error why = RC_ERROR_INIT;
        int64_t id = courier->messages[i].id;
        enum rc_code noted = code ? sdrs_outbox_failed(courier->state, id, err->cause, &why)
                                  : sdrs_outbox_delivered(courier->state, id, &why);

        if (noted) {
            *err = why;
            return rc_context(err, "note that a notification was delivered or not");
        }
        courier->delivered += !code;
    }
    return code;
}

static void warn(struct courier *courier, const struct rc_error *err)
{
    struct rc_error ignored = RC_ERROR_INIT;
    int64_t waiting = 0;

    if (sdrs_outbox_waiting(courier->state, &waiting, &ignored))
        waiting = 1; /* at least the one that this is about */
    rc_warn(courier->job, "%" PRId64 " notifications wait to be delivered: %s%s%s", waiting,
            err->context, *err->context ? ": " : "", err->cause);
}

/* One message by itself. Another one's turn is next, but where all would fail like it. */
static enum rc_code deliver_one(struct courier *courier, size_t i, struct rc_error *err)
{
    enum rc_code code = send(courier, i, 1, err);

    if (code == RC_CANCELLED)
        return code;
    code = note(courier, i, 1, code, err);
    if (!is_of_message(code))
        return code;
    warn(courier, err);
    return RC_OK;
}

static enum rc_code deliver_batch(struct courier *courier, struct rc_error *err)
{
    enum rc_code code;

    if (courier->count == 1)
        return deliver_one(courier, 0, err);
    code = send(courier, 0, courier->count, err);
    if (code == RC_CANCELLED)
        return code;
    if (!is_of_message(code))
        return note(courier, 0, courier->count, code, err);
    for (size_t i = 0; i < courier->count; i++)
        if (deliver_one(courier, i, err))
            return err->code;
    return RC_OK;
}

static enum rc_code take_batch(struct courier *courier, struct rc_error *err)
{
    size_t most = courier->config->webhook_url ? 1 : BATCH;

    drop_messages(courier);
    while (courier->count < most) {
        struct sdrs_message *message = &courier->messages[courier->count];

        *message = (struct sdrs_message){ .id = 0 };
        if (sdrs_outbox_take(courier->state, message, err))
            return rc_context(err, "take a notification from the outbox");
        if (message->id == 0)
            break;
        courier->count++;
    }
    return RC_OK;
}

void sdrs_deliver(struct rc_job *job, const struct sdrs_config *config, struct sdrs_state *state)
{
    RC_CLEANUP(drop_messages)
    struct courier courier = { .job = job, .config = config, .state = state };
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;

    if (!sdrs_events_wanted(config))
        return;
    do {
        code = take_batch(&courier, &err);
        if (!code && courier.count > 0)
            code = deliver_batch(&courier, &err);
    } while (!code && courier.count > 0);
    if (code)
        warn(&courier, &err);
    if (courier.delivered > 0)
        rc_job_count(job, "notifications_delivered", courier.delivered);
}
