/*
 * Hosts: how many requests go there at once, how many in a second, who is next, and the lanes that
 * are kept for them. What a server wants is heard by all threads: while one is asked to slow down,
 * all are.
 */
#include <http/client_internal.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    BUDGET = 500,
    LANE_IDLE_MS = 60 * 1000,
    FEW_LANES = 64, /* may be idle in any case, else as many as one host may have */
    SWEEP_MS = 10 * 1000,
    BURST_MS = 100, /* so much of a second's requests may come at once */
};

/* ---- pauses ---------------------------------------------------------------------------------- */

enum rc_code core_http_pause(const struct core_cancel *cancel, int64_t ms, struct rc_error *err)
{
    int64_t end_mono_ms = core_clock_mono_ms() + ms;

    for (;;) {
        int64_t left_ms = end_mono_ms - core_clock_mono_ms();

        if (core_cancel_check(cancel, err))
            return err->code;
        if (left_ms <= 0)
            return RC_OK;
        core_clock_sleep_ms(left_ms < CANCEL_POLL_MS ? left_ms : CANCEL_POLL_MS);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

size_t core_http_origin_len(const char *url)
{
    const char *authority = strstr(url, "://");

    if (!authority)
        return strlen(url);
    authority += strlen("://");
    return (size_t)(authority - url) + strcspn(authority, "/?#");
}

char *core_http_without_user(const char *url)
{
    size_t len = core_http_origin_len(url);
    const char *authority = strstr(url, "://");
    const char *end;

    authority = authority ? authority + strlen("://") : url;
    end = memrchr(authority, '@', len - (size_t)(authority - url));
    return rc_strf("%.*s%s", (int)(authority - url), url, end ? end + 1 : authority);
}

/* Scheme, host and port, without user and password; the port in any case. */
static char *origin_of(const char *url)
{
    size_t len = core_http_origin_len(url);
    const char *authority = strstr(url, "://");
    size_t scheme_len = authority ? (size_t)(authority - url) : 0;
    const char *host = authority ? authority + strlen("://") : url;
    size_t host_len = len - (size_t)(host - url);
    const char *user = memrchr(host, '@', host_len);
    const char *default_port = scheme_len == 5 ? "443" : "80";
    const char *colon, *bracket;

    if (user) {
        host_len -= (size_t)(user + 1 - host);
        host = user + 1;
    }
    colon = memrchr(host, ':', host_len);
    bracket = memrchr(host, ']', host_len);
    if (colon && (!bracket || colon > bracket))
        return rc_strf("%.*s://%.*s", (int)scheme_len, url, (int)host_len, host);
    return rc_strf("%.*s://%.*s:%s", (int)scheme_len, url, (int)host_len, host, default_port);
}

bool core_http_same_origin(const char *a, const char *b)
{
    RC_STR_AUTO first = origin_of(a);
    RC_STR_AUTO second = origin_of(b);

    return strcasecmp(first, second) == 0;
}

static char *key_of(const struct core_http_call *call, const char *url)
{
    char *origin = origin_of(url), *key;

    for (char *at = origin; *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
    if (!call->socket_path && !call->ca_file)
        return origin;
    key = rc_strf("%s %s %s", origin, call->socket_path ? call->socket_path : "",
                  call->ca_file ? call->ca_file : "");
    free(origin);
    return key;
}

/* ---- the list -------------------------------------------------------------------------------- */

static void free_lanes(struct lane *lanes)
{
    while (lanes) {
        struct lane *next = lanes->next;

        core_http_lane_free(lanes);
        lanes = next;
    }
}

/* Takes lanes out of a host that have been idle since before then; they are the last ones. */
static struct lane *take_old_lanes(struct core_http_client *client, struct host *host,
                                   int64_t before_mono_ms)
{
    struct lane **at = &host->idle;
    struct lane *old;

    while (*at && (*at)->idle_since_mono_ms >= before_mono_ms)
        at = &(*at)->next;
    old = *at;
    *at = NULL;
    for (const struct lane *lane = old; lane; lane = lane->next)
        client->idle_count--;
    return old;
}

/* Takes out the lane that has been idle for longest, once there are too many in all. */
static struct lane *take_surplus(struct core_http_client *client)
{
    unsigned most = client->settings.connections;
    struct lane **oldest = NULL, *lane;

    if (client->idle_count <= (most > FEW_LANES ? most : FEW_LANES))
        return NULL;
    for (struct host *host = client->hosts; host; host = host->next) {
        struct lane **last = &host->idle;

        while (*last && (*last)->next)
            last = &(*last)->next;
        if (*last && (!oldest || (*last)->idle_since_mono_ms < (*oldest)->idle_since_mono_ms))
            oldest = last;
    }
    RC_ASSERT(oldest);
    lane = *oldest;
    *oldest = NULL;
    client->idle_count--;
    return lane;
}

static void append_lanes(struct lane **list, struct lane *more)
{
    while (*list)
        list = &(*list)->next;
    *list = more;
}

/*
 * What nobody has used for a while goes, and what is too much. The lanes are closed by the caller,
 * without the mutex.
 */
static struct lane *sweep(struct core_http_client *client, int64_t now_mono_ms)
{
    struct lane *old = take_surplus(client);
    struct host **at = &client->hosts;

    if (now_mono_ms - client->swept_mono_ms < SWEEP_MS)
        return old;
    client->swept_mono_ms = now_mono_ms;
    while (*at) {
        struct host *host = *at;

        append_lanes(&old, take_old_lanes(client, host, now_mono_ms - LANE_IDLE_MS));
        if (host->users == 0 && !host->idle && host->quiet_until_mono_ms < now_mono_ms &&
            now_mono_ms - host->used_mono_ms > LANE_IDLE_MS) {
            *at = host->next;
            free(host->key);
            free(host);
        } else {
            at = &host->next;
        }
    }
    return old;
}

void core_http_hosts_free(struct core_http_client *client)
{
    while (client->hosts) {
        struct host *host = client->hosts;

        RC_ASSERT(host->users == 0);
        client->hosts = host->next;
        free_lanes(host->idle);
        free(host->key);
        free(host);
    }
}

/* Takes the key. */
static struct host *find(struct core_http_client *client, char *key)
{
    struct host *host;

    for (host = client->hosts; host; host = host->next) {
        if (strcmp(host->key, key) == 0) {
            free(key);
            return host;
        }
    }
    host = rc_calloc(1, sizeof(*host));
    host->key = key;
    host->waiters_end = &host->waiters;
    host->budget = BUDGET;
    host->next = client->hosts;
    client->hosts = host;
    return host;
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* Waits in line; 'its_turn' comes with the place of one who has left. */
struct waiter {
    struct waiter *next;
    pthread_cond_t turn;
    bool its_turn;
};

static void wait_a_little(pthread_cond_t *turn, pthread_mutex_t *mutex)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += CANCEL_POLL_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(turn, mutex, &until);
}

static void leave_line(struct host *host, struct waiter *waiter)
{
    for (struct waiter **at = &host->waiters; *at; at = &(*at)->next) {
        if (*at != waiter)
            continue;
        *at = waiter->next;
        if (!*at)
            host->waiters_end = at;
        return;
    }
}

/* The place goes to the first in line. */
static void give_place(struct host *host)
{
    struct waiter *first = host->waiters;

    if (!first) {
        host->active--;
        return;
    }
    leave_line(host, first);
    first->its_turn = true;
    (void)pthread_cond_signal(&first->turn);
}

/* Under the mutex, which is given up while it waits. */
static enum rc_code take_place(struct core_http_client *client, struct host *host,
                               const struct core_cancel *cancel, struct rc_error *err)
{
    struct waiter waiter = { .its_turn = false };
    pthread_condattr_t attributes;
    enum rc_code code = RC_OK;

    if (host->active < client->settings.connections) {
        host->active++;
        return RC_OK;
    }
    RC_ASSERT(pthread_condattr_init(&attributes) == 0);
    RC_ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    RC_ASSERT(pthread_cond_init(&waiter.turn, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
    *host->waiters_end = &waiter;
    host->waiters_end = &waiter.next;
    while (!waiter.its_turn && code == RC_OK) {
        wait_a_little(&waiter.turn, &client->mutex);
        code = core_cancel_check(cancel, err);
    }
    if (code && waiter.its_turn)
        give_place(host);
    else if (code)
        leave_line(host, &waiter);
    (void)pthread_cond_destroy(&waiter.turn);
    return code;
}

/* Books the next moment that the rate allows, and returns how long it is until then. */
static int64_t book_ms(struct core_http_client *client, struct host *host, int64_t now_mono_ms)
{
    double now = (double)now_mono_ms, at = now;

    if (client->settings.requests_per_s > 0) {
        double earliest = now - BURST_MS;

        at = host->next_mono_ms > earliest ? host->next_mono_ms : earliest;
        host->next_mono_ms = at + 1000 / client->settings.requests_per_s;
    }
    return at > now ? (int64_t)(at - now) + 1 : 0;
}

/* Under the mutex, which is given up while it waits. */
static enum rc_code await_rate(struct core_http_client *client, struct host *host,
                               const struct core_cancel *cancel, struct rc_error *err)
{
    int64_t now_mono_ms = core_clock_mono_ms();
    int64_t wait_ms = book_ms(client, host, now_mono_ms);
    enum rc_code code = RC_OK;

    while (code == RC_OK) {
        int64_t quiet_ms = host->quiet_until_mono_ms - now_mono_ms;

        wait_ms = quiet_ms > wait_ms ? quiet_ms : wait_ms;
        if (wait_ms <= 0)
            return RC_OK;
        (void)pthread_mutex_unlock(&client->mutex);
        code = core_http_pause(cancel, wait_ms, err);
        (void)pthread_mutex_lock(&client->mutex);
        now_mono_ms = core_clock_mono_ms();
        wait_ms = 0;
    }
    return code;
}

/*
 * That which this thread has used before, else the one used last: a connection that goes from
 * thread to thread takes all that belongs to it from processor to processor.
 */
static struct lane *take_lane(struct core_http_client *client, struct host *host)
{
    struct lane **at = &host->idle, *lane;

    while (*at && !pthread_equal((*at)->user, pthread_self()))
        at = &(*at)->next;
    if (!*at)
        at = &host->idle;
    lane = *at;
    if (lane) {
        *at = lane->next;
        client->idle_count--;
    }
    return lane;
}

static enum rc_code enter(struct core_http_client *client, struct host *host,
                          const struct core_cancel *cancel, struct lane **lane,
                          struct rc_error *err)
{
    if (take_place(client, host, cancel, err))
        return err->code;
    if (await_rate(client, host, cancel, err)) {
        give_place(host);
        return err->code;
    }
    *lane = take_lane(client, host);
    return RC_OK;
}

enum rc_code core_http_place_enter(const struct core_http_call *call, const char *url,
                                   struct place *out, struct rc_error *err)
{
    struct core_http_client *client = call->client;
    enum rc_code code;
    char *key;

    *out = (struct place){ .client = client };
    if (!client)
        return core_http_lane_new(call, &out->lane, err);
    key = key_of(call, url);
    (void)pthread_mutex_lock(&client->mutex);
    out->host = find(client, key);
    out->host->users++;
    code = enter(client, out->host, call->cancel, &out->lane, err);
    if (code)
        out->host->users--;
    (void)pthread_mutex_unlock(&client->mutex);
    if (code) {
        out->host = NULL;
        return code;
    }
    if (!out->lane && core_http_lane_new(call, &out->lane, err)) {
        core_http_place_leave(out);
        return err->code;
    }
    return RC_OK;
}

void core_http_place_leave(struct place *place)
{
    struct core_http_client *client = place->client;
    struct host *host = place->host;
    struct lane *lane = place->lane, *old;

    place->host = NULL;
    place->lane = NULL;
    if (!host) {
        core_http_lane_free(lane);
        return;
    }
    (void)pthread_mutex_lock(&client->mutex);
    host->used_mono_ms = core_clock_mono_ms();
    if (lane) {
        lane->user = pthread_self();
        lane->idle_since_mono_ms = host->used_mono_ms;
        lane->next = host->idle;
        host->idle = lane;
        client->idle_count++;
    }
    host->users--;
    give_place(host);
    old = sweep(client, host->used_mono_ms);
    (void)pthread_mutex_unlock(&client->mutex);
    free_lanes(old);
}
