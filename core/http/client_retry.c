/*
 * Whether a request is made again, and when. Pauses grow and differ by chance, so that clients that
 * failed together do not come back together; and each host has a budget for repetitions, so that a
 * server that is down is not asked ever more often.
 */
#include <http/client_internal.h>

#include <os/backoff.h>
#include <os/clock.h>

#include <string.h>

enum {
    BUDGET = 500,
    COST = 5,
    COST_OF_TIMEOUT = 10,
    LONGEST_RETRY_AFTER_MS = 5 * 60 * 1000,
    PREPARES = 2,
    SLOWER_FACTOR = 5,
};

bool core_http_is_safe(const struct request *request)
{
    static const char *const safe[] = { "GET", "HEAD", "PUT", "DELETE", "OPTIONS" };

    if (request->call->repeat != CORE_HTTP_REPEAT_BY_METHOD)
        return request->call->repeat == CORE_HTTP_REPEAT_SAFE;
    for (size_t i = 0; i < RC_ARRAY_LEN(safe); i++)
        if (strcmp(safe[i], request->method) == 0)
            return true;
    return false;
}

/* ---- pauses ---------------------------------------------------------------------------------- */

static int64_t pause_after(const struct core_http_client *client, int64_t failures, int slower)
{
    const struct core_backoff backoff = { .first_ms = client->settings.backoff_ms * slower,
                                          .longest_ms = client->settings.max_backoff_ms };

    return core_backoff_ms(&backoff, failures);
}

enum rc_code core_http_back_off(struct core_http_client *client, int64_t failures,
                                int64_t at_least_ms, const struct core_cancel *cancel,
                                struct rc_error *err)
{
    int64_t pause_ms = pause_after(client, failures, 1);

    return core_http_pause(cancel, pause_ms > at_least_ms ? pause_ms : at_least_ms, err);
}

/* ---- the host -------------------------------------------------------------------------------- */

static bool spend(struct request *request, struct host *host, int cost)
{
    bool enough;

    (void)pthread_mutex_lock(&request->client->mutex);
    enough = host->budget >= cost;
    if (enough) {
        host->budget -= cost;
        request->spent += cost;
    }
    (void)pthread_mutex_unlock(&request->client->mutex);
    if (!enough)
        request->gave_up = "too much has failed at this server of late to repeat it";
    return enough;
}

/* What helped was worth it. */
static void note_success(struct request *request, struct host *host)
{
    if (!host)
        return;
    (void)pthread_mutex_lock(&request->client->mutex);
    host->budget += request->spent + 1;
    host->budget = host->budget < BUDGET ? host->budget : BUDGET;
    if (host->slow_ms > 0 && host->slowed_mono_ms < request->began_mono_ms)
        host->slow_ms /= 2;
    (void)pthread_mutex_unlock(&request->client->mutex);
    request->spent = 0;
}

/*
 * All requests to the host wait. Those that were under way together complain together, which
 * counts once.
 */
static void slow_down(struct request *request, struct host *host, int64_t asked_ms)
{
    const struct core_http_client_settings *settings = &request->client->settings;
    int64_t now_mono_ms = core_clock_mono_ms();
    int64_t until_mono_ms;

    (void)pthread_mutex_lock(&request->client->mutex);
    if (host->slowed_mono_ms <= request->began_mono_ms) {
        host->slowed_mono_ms = now_mono_ms;
        host->slow_ms = host->slow_ms > 0 ? host->slow_ms * 2 : settings->backoff_ms;
        if (host->slow_ms > settings->max_backoff_ms)
            host->slow_ms = settings->max_backoff_ms;
    }
    until_mono_ms = now_mono_ms + (asked_ms > host->slow_ms ? asked_ms : host->slow_ms);
    if (until_mono_ms > host->quiet_until_mono_ms)
        host->quiet_until_mono_ms = until_mono_ms;
    (void)pthread_mutex_unlock(&request->client->mutex);
}

/* ---- what comes next ------------------------------------------------------------------------- */

/* One more has failed. */
static bool has_attempts_left(struct request *request)
{
    unsigned attempts = request->call->attempts;

    if (!request->client)
        return false;
    return ++request->failed < (attempts ? attempts : request->client->settings.attempts);
}

static enum core_http_verdict judge(const struct request *request)
{
    unsigned status = request->answer->status;

    if (request->call->judge)
        return request->call->judge(request->call->context, request->answer);
    switch (status) {
    case 429:
        return CORE_HTTP_SLOWER;
    case 408:
    case 500:
    case 502:
    case 503:
    case 504:
        return CORE_HTTP_AGAIN;
    default:
        return CORE_HTTP_ACCEPT;
    }
}

static int64_t after_answer(struct request *request, const struct transfer *transfer,
                            struct host *host)
{
    enum core_http_verdict verdict = judge(request);
    int64_t asked_ms = core_http_answer_retry_ms(request->answer, core_clock_real_unix_ms());
    int64_t pause_ms;

    if (verdict == CORE_HTTP_ACCEPT) {
        note_success(request, host);
        return -1;
    }
    if (transfer->handed_over || request->call->repeat == CORE_HTTP_REPEAT_NEVER)
        return -1;
    if (verdict == CORE_HTTP_PREPARE)
        return request->prepared++ < PREPARES ? 0 : -1;
    if (asked_ms > LONGEST_RETRY_AFTER_MS) {
        request->gave_up = "the server asks to wait for too long";
        return -1;
    }
    if (host && (verdict == CORE_HTTP_SLOWER || asked_ms > 0))
        slow_down(request, host, asked_ms);
    if (!core_http_is_safe(request) || !has_attempts_left(request) || !spend(request, host, COST))
        return -1;
    pause_ms = pause_after(request->client, request->failed,
                           verdict == CORE_HTTP_SLOWER ? SLOWER_FACTOR : 1);
    return asked_ms > pause_ms ? asked_ms : pause_ms;
}

static int64_t after_failure(struct request *request, const struct transfer *transfer,
                             struct host *host)
{
    const struct failure *failure = &transfer->failure;

    if (!failure->passing || transfer->handed_over ||
        request->call->repeat == CORE_HTTP_REPEAT_NEVER ||
        (!failure->unsent && !core_http_is_safe(request)))
        return -1;
    if (failure->stale && !request->stale_before) {
        request->stale_before = true;
        request->answer->attempts--; /* it was none */
        return 0;
    }
    if (!has_attempts_left(request) ||
        !spend(request, host, failure->timeout ? COST_OF_TIMEOUT : COST))
        return -1;
    return pause_after(request->client, request->failed, 1);
}

int64_t core_http_next_in_ms(struct request *request, const struct transfer *transfer,
                             struct host *host, enum rc_code code)
{
    request->gave_up = NULL;
    return code ? after_failure(request, transfer, host) : after_answer(request, transfer, host);
}
