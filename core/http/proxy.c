/*
 * Forwarding on libcurl's multi interface, whose sockets stand in an epoll set with a timer for its
 * timeouts and ours; that set is what callers wait for.
 *
 * A forward lives as long as its exchange: it ends in 'gone' before the head of the reply, in
 * 'closed' after it, or with the error that stands in for a reply.
 */
#include <http/proxy.h>

#include <http/curl.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    CONNECT_MS = 2 * 1000,
    ANSWER_MS = 60 * 1000,
    IDLE_MS = 5 * 60 * 1000,
    FORWARDS = 128,
    HELD_BYTES = 256 * 1024, /* of a reply that its client is slow to take */
    HEAD_BYTES = 64 * 1024,
    URL_BYTES = 1024 * 1024,
    EVENTS_AT_A_TIME = 64,
    TIMEOUT_STATUS = 504,
    BAD_STATUS = 502,
    BUSY_STATUS = 503,
};

struct forward {
    struct core_http_proxy *proxy;
    struct forward *next, **link;
    struct core_http_exchange *exchange;
    CURL *easy;
    struct curl_slist *headers;
    char *name;
    int fd; /* of libcurl; -1: none */
    int64_t deadline_mono_ms;

    unsigned status; /* of the head that is being read; 0 before it */
    size_t head_bytes;
    char *content_type;
    struct rc_buf reply_headers; /* "name\0value\0" */
    struct rc_buf dropped;       /* names of headers for this connection only, "name\0" */
    bool replied;                /* the exchange has its head */

    struct rc_buf held; /* of the body; 'taken' bytes of it have been sent */
    size_t taken;
    bool paused; /* until the client has taken some */
    bool ended, broken;
};

struct core_http_proxy {
    const struct core_curl *curl;
    struct core_http_proxy_options limits;
    CURLM *multi;
    int epoll_fd, timer_fd;
    int64_t curl_due_mono_ms; /* INT64_MAX: never */
    struct forward *forwards;
    unsigned count;
};

/* ---- time ------------------------------------------------------------------------------------ */

static void set_timer(const struct core_http_proxy *proxy)
{
    struct itimerspec when = { .it_value = { 0, 0 } };
    int64_t due_mono_ms = proxy->curl_due_mono_ms;

    for (const struct forward *at = proxy->forwards; at; at = at->next)
        if (at->deadline_mono_ms < due_mono_ms)
            due_mono_ms = at->deadline_mono_ms;
    if (due_mono_ms != INT64_MAX) {
        int64_t wait_ms = due_mono_ms - core_clock_mono_ms();

        wait_ms = wait_ms > 0 ? wait_ms + 1 : 0;
        when.it_value.tv_sec = (time_t)(wait_ms / 1000);
        when.it_value.tv_nsec = (long)(wait_ms % 1000) * 1000000 + 1; /* 0 would disarm it */
    }
    (void)timerfd_settime(proxy->timer_fd, 0, &when, NULL);
}

static int on_timer(CURLM *multi, long wait_ms, void *context)
{
    struct core_http_proxy *proxy = context;

    (void)multi;
    proxy->curl_due_mono_ms = wait_ms < 0 ? INT64_MAX : core_clock_mono_ms() + wait_ms;
    return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    struct core_http_proxy *proxy = context;
    struct epoll_event event = { .data.fd = fd };
    struct forward *forward = NULL;

    (void)known;
    (void)proxy->curl->easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&forward);
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(proxy->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        if (forward)
            forward->fd = -1;
        return 0;
    }
    if (what & CURL_POLL_IN)
        event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        event.events |= EPOLLOUT;
    if (epoll_ctl(proxy->epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0)
        (void)epoll_ctl(proxy->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    if (forward)
        forward->fd = fd;
    return 0;
}

/* ---- the end of a forward -------------------------------------------------------------------- */

static void free_forward(struct forward *forward)
{
    struct core_http_proxy *proxy = forward->proxy;

    *forward->link = forward->next;
    if (forward->next)
        forward->next->link = forward->link;
    proxy->count--;
    (void)proxy->curl->multi_remove_handle(proxy->multi, forward->easy);
    proxy->curl->easy_cleanup(forward->easy);
    proxy->curl->slist_free_all(forward->headers);
    rc_buf_clear(&forward->reply_headers);
    rc_buf_clear(&forward->dropped);
    rc_buf_clear(&forward->held);
    free(forward->content_type);
    free(forward->name);
    free(forward);
}

static void gone(void *context)
{
    struct forward *forward = context;
    struct core_http_proxy *proxy = forward->proxy;

    free_forward(forward);
    set_timer(proxy);
}

/* An error in place of the reply, or a break in its middle. */
static void fail(struct forward *forward, unsigned status, const char *why)
{
    if (forward->replied) {
        forward->ended = forward->broken = true;
        forward->deadline_mono_ms = INT64_MAX;
        core_http_wake(forward->exchange);
        return;
    }
    core_http_reply_error(forward->exchange, status, "%s %s", forward->name, why);
    free_forward(forward);
}

/* ---- the reply's body ------------------------------------------------------------------------ */

static ssize_t read_held(void *context, char *data, size_t capacity)
{
    struct forward *forward = context;
    struct core_http_proxy *proxy = forward->proxy;
    size_t len = forward->held.len - forward->taken;

    if (len > capacity)
        len = capacity;
    if (len > 0)
        memcpy(data, forward->held.data + forward->taken, len);
    forward->taken += len;
    if (forward->paused && forward->held.len - forward->taken < HELD_BYTES / 2) {
        forward->paused = false;
        forward->deadline_mono_ms = core_clock_mono_ms() + proxy->limits.idle_ms;
        /* May hand over what it kept back at once. */
        (void)proxy->curl->easy_pause(forward->easy, CURLPAUSE_CONT);
        set_timer(proxy);
    }
    if (len > 0 || !forward->ended)
        return (ssize_t)len;
    return forward->broken ? CORE_HTTP_BREAK : CORE_HTTP_END;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct forward *forward = context;
    size_t len = size * count;

    if (forward->taken > 0) {
        size_t left = forward->held.len - forward->taken;

        memmove(forward->held.data, forward->held.data + forward->taken, left);
        rc_buf_truncate(&forward->held, left);
        forward->taken = 0;
    }
    if (forward->held.len >= HELD_BYTES) {
        forward->paused = true;
        forward->deadline_mono_ms = INT64_MAX; /* it is the client who is slow */
        return CURL_WRITEFUNC_PAUSE;
    }
    rc_buf_add(&forward->held, data, len);
    if (forward->held.overflow)
        return 0;
    forward->deadline_mono_ms = core_clock_mono_ms() + forward->proxy->limits.idle_ms;
    core_http_wake(forward->exchange);
    return len;
}

/* ---- the reply's head ------------------------------------------------------------------------ */

static bool is_one_of(const char *name, size_t len, const char *const *names)
{
    for (; *names; names++)
        if (strlen(*names) == len && strncasecmp(name, *names, len) == 0)
            return true;
    return false;
}

/* Of one connection only (RFC 9110, section 7.6.1), or made anew for the next. */
static bool concerns_connection(const char *name, size_t len)
{
    static const char *const names[] = { "Connection",
                                         "Keep-Alive",
                                         "Proxy-Authenticate",
                                         "Proxy-Authorization",
                                         "Proxy-Connection",
                                         "TE",
                                         "Trailer",
                                         "Transfer-Encoding",
                                         "Upgrade",
                                         "Content-Length",
                                         NULL };

    return is_one_of(name, len, names);
}

/* Takes the names in a header Connection apart: "a, b" to "a\0b\0". */
static void add_dropped(struct rc_buf *out, const char *value, size_t len)
{
    const char *end = value + len;

    while (value < end) {
        const char *comma = memchr(value, ',', (size_t)(end - value));
        const char *stop = comma ? comma : end;
        const char *next = comma ? comma + 1 : end;

        while (value < stop && (*value == ' ' || *value == '\t'))
            value++;
        while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
        if (stop > value) {
            rc_buf_add(out, value, (size_t)(stop - value));
            rc_buf_addc(out, '\0');
        }
        value = next;
    }
}

static bool is_dropped(const struct rc_buf *dropped, const char *name)
{
    const char *at = dropped->data;

    for (; at < dropped->data + dropped->len; at += strlen(at) + 1)
        if (strcasecmp(at, name) == 0)
            return true;
    return false;
}

static const struct core_http_source *source_of(struct forward *forward,
                                                struct core_http_source *out)
{
    *out = (struct core_http_source){ .context = forward, .read = read_held, .closed = gone };
    return out;
}

static void start_reply(struct forward *forward)
{
    const struct rc_buf *headers = &forward->reply_headers;
    struct core_http_source source;
    const char *at = headers->data;

    while (at < headers->data + headers->len) {
        const char *value = at + strlen(at) + 1;

        if (!is_dropped(&forward->dropped, at))
            core_http_add_header(forward->exchange, at, value);
        at = value + strlen(value) + 1;
    }
    forward->replied = true;
    forward->deadline_mono_ms = core_clock_mono_ms() + forward->proxy->limits.idle_ms;
    core_http_reply_stream(forward->exchange, forward->status, forward->content_type,
                           source_of(forward, &source));
}

static void add_reply_header(struct forward *forward, const char *name, size_t name_len,
                             const char *value, size_t value_len)
{
    static const char *const own[] = { "Date", NULL };

    if (name_len == strlen("Connection") && strncasecmp(name, "Connection", name_len) == 0)
        add_dropped(&forward->dropped, value, value_len);
    if (concerns_connection(name, name_len) || is_one_of(name, name_len, own))
        return;
    if (name_len == strlen("Content-Type") && strncasecmp(name, "Content-Type", name_len) == 0) {
        free(forward->content_type);
        forward->content_type = rc_strndup(value, value_len);
        return;
    }
    rc_buf_add(&forward->reply_headers, name, name_len);
    rc_buf_addc(&forward->reply_headers, '\0');
    rc_buf_add(&forward->reply_headers, value, value_len);
    rc_buf_addc(&forward->reply_headers, '\0');
}

/* A head ends with an empty line; one with 1xx is followed by another. */
static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct forward *forward = context;
    size_t len = size * count, name_len, value_len;
    long status = 0;
    const char *value;

    forward->head_bytes += len;
    if (forward->replied) /* behind a chunked body */
        return len;
    if (forward->head_bytes > HEAD_BYTES || memchr(line, '\0', len))
        return 0;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        (void)forward->proxy->curl->easy_getinfo(forward->easy, CURLINFO_RESPONSE_CODE, &status);
        forward->status = (unsigned)status;
        rc_buf_reset(&forward->reply_headers);
        rc_buf_reset(&forward->dropped);
    } else if (core_curl_split_header(line, len, &value, &name_len, &value_len)) {
        add_reply_header(forward, line, name_len, value, value_len);
    } else if (line[0] == '\r' || line[0] == '\n') {
        if (forward->status >= 200)
            start_reply(forward);
    }
    return len;
}

/* ---- the request ----------------------------------------------------------------------------- */

static void add_header(struct forward *forward, const char *name, const char *value)
{
    /* What is left out has come through a parser that lets no line break pass. */
    (void)core_curl_add_header(forward->proxy->curl, &forward->headers, name, value);
}

/*
 * For whom the request has come here. A proxy may say it in a line of its own behind what its
 * client claims, so each line counts; of more than there is room for nobody would know the end.
 */
static void add_clients(const struct core_http_exchange *exchange, struct rc_buf *out)
{
    const char *name, *value;

    for (size_t i = 0; core_http_header_at(exchange, i, &name, &value); i++)
        if (strcasecmp(name, "X-Forwarded-For") == 0)
            rc_buf_addf(out, "%s, ", value);
    rc_buf_adds(out, core_http_peer(exchange)->address);
    if (out->overflow) {
        rc_buf_reset(out);
        rc_buf_adds(out, "unknown");
    }
}

static void add_forwarded(struct forward *forward, const struct core_http_target *target)
{
    const struct core_http_exchange *exchange = forward->exchange;
    const char *proto = core_http_header(exchange, "X-Forwarded-Proto");
    const char *host = core_http_header(exchange, "Host");
    RC_BUF_AUTO(chain, HEAD_BYTES);

    add_clients(exchange, &chain);
    add_header(forward, "X-Forwarded-For", chain.data);
    if (!target->judges)
        add_header(forward, CORE_HTTP_ADMITTED, "yes");
    /* TLS ends before this server, if it is used. */
    add_header(forward, "X-Forwarded-Proto", proto && strcmp(proto, "https") == 0 ? proto : "http");
    if (host)
        add_header(forward, "X-Forwarded-Host", host);
    if (target->prefix)
        add_header(forward, "X-Forwarded-Prefix", target->prefix);
}

static void set_headers(struct forward *forward, const struct core_http_target *target)
{
    const char *const replaced[] = {
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Prefix",
        CORE_HTTP_ADMITTED,
        "Expect",
        target->judges ? NULL : "Authorization",
        NULL,
    };
    /* Where a request has come from is not hidden by its word in Connection. */
    static const char *const traces[] = { "Forwarded", "Via", "X-Real-IP", NULL };
    const struct core_curl *curl = forward->proxy->curl;
    RC_BUF_AUTO(dropped, HEAD_BYTES);
    const char *name, *value;

    for (size_t i = 0; core_http_header_at(forward->exchange, i, &name, &value); i++)
        if (strcasecmp(name, "Connection") == 0)
            add_dropped(&dropped, value, strlen(value));
    for (size_t i = 0; core_http_header_at(forward->exchange, i, &name, &value); i++)
        if (!concerns_connection(name, strlen(name)) && !is_one_of(name, strlen(name), replaced) &&
            (!is_dropped(&dropped, name) || is_one_of(name, strlen(name), traces)))
            add_header(forward, name, value);
    add_forwarded(forward, target);
    /* Without these, libcurl would add some of its own. */
    forward->headers = curl->slist_append(forward->headers, "Expect:");
    if (!core_http_header(forward->exchange, "Accept"))
        forward->headers = curl->slist_append(forward->headers, "Accept:");
    if (!core_http_header(forward->exchange, "Content-Type"))
        forward->headers = curl->slist_append(forward->headers, "Content-Type:");
    (void)curl->easy_setopt(forward->easy, CURLOPT_HTTPHEADER, forward->headers);
}

static void set_url(struct forward *forward, const struct core_http_target *target)
{
    const char *query = core_http_query(forward->exchange);
    RC_BUF_AUTO(url, URL_BYTES);

    rc_buf_adds(&url, "http://localhost");
    for (const char *at = target->path; *at;) {
        size_t len = strcspn(at, "/");

        rc_buf_add_url(&url, at, len);
        at += len;
        if (*at == '/') {
            rc_buf_addc(&url, '/');
            at++;
        }
    }
    if (*query)
        rc_buf_addc(&url, '?');
    rc_buf_adds(&url, query);
    (void)forward->proxy->curl->easy_setopt(forward->easy, CURLOPT_URL, url.data);
}

static void set_method(struct forward *forward)
{
    const struct core_curl *curl = forward->proxy->curl;
    const char *method = core_http_method(forward->exchange);
    size_t len;
    const char *body = core_http_body(forward->exchange, &len);

    if (strcmp(method, "HEAD") == 0) {
        (void)curl->easy_setopt(forward->easy, CURLOPT_NOBODY, 1L);
    } else if (len > 0 || core_http_header(forward->exchange, "Content-Length")) {
        (void)curl->easy_setopt(forward->easy, CURLOPT_POST, 1L);
        (void)curl->easy_setopt(forward->easy, CURLOPT_POSTFIELDS, body);
        (void)curl->easy_setopt(forward->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    }
    (void)curl->easy_setopt(forward->easy, CURLOPT_CUSTOMREQUEST, method);
}

/*
 * Each request has a connection of its own: libcurl would send one again that an old connection
 * swallowed, and nobody knows whether the first one was obeyed.
 */
static void prepare(struct forward *forward, const struct core_http_target *target)
{
    const struct core_curl *curl = forward->proxy->curl;
    CURL *easy = forward->easy;

    (void)curl->easy_setopt(easy, CURLOPT_PRIVATE, forward);
    (void)curl->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, target->socket_path);
    (void)curl->easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl->easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                            (long)forward->proxy->limits.connect_ms);
    (void)curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl->easy_setopt(easy, CURLOPT_HEADERDATA, forward);
    (void)curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl->easy_setopt(easy, CURLOPT_WRITEDATA, forward);
    set_url(forward, target);
    set_method(forward);
    set_headers(forward, target);
}

void core_http_forward(struct core_http_proxy *proxy, struct core_http_exchange *exchange,
                       const struct core_http_target *target)
{
    struct forward *forward;

    if (proxy->count >= proxy->limits.forwards) {
        core_http_add_header(exchange, "Retry-After", "1");
        core_http_reply_error(exchange, BUSY_STATUS, "too many requests to plugins are under way");
        return;
    }
    forward = rc_calloc(1, sizeof(*forward));
    *forward = (struct forward){
        .proxy = proxy,
        .next = proxy->forwards,
        .link = &proxy->forwards,
        .exchange = exchange,
        .easy = proxy->curl->easy_init(),
        .name = rc_strdup(target->name),
        .fd = -1,
        .deadline_mono_ms = core_clock_mono_ms() + proxy->limits.answer_ms,
        .reply_headers = RC_BUF_INIT(HEAD_BYTES),
        .dropped = RC_BUF_INIT(HEAD_BYTES),
        .held = RC_BUF_INIT(HELD_BYTES + CURL_MAX_WRITE_SIZE),
    };
    if (!forward->easy)
        rc_out_of_memory(sizeof(*forward));
    if (forward->next)
        forward->next->link = &forward->next;
    proxy->forwards = forward;
    proxy->count++;
    prepare(forward, target);
    core_http_defer(exchange, gone, forward);
    if (proxy->curl->multi_add_handle(proxy->multi, forward->easy) != CURLM_OK)
        fail(forward, BAD_STATUS, "cannot be asked: libcurl does not take the request");
    set_timer(proxy);
}

/* ---- serving --------------------------------------------------------------------------------- */

static void finish(struct core_http_proxy *proxy, CURL *easy, CURLcode result)
{
    struct forward *forward = NULL;

    (void)proxy->curl->easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&forward);
    if (result == CURLE_OK && forward->replied) {
        forward->ended = true;
        forward->deadline_mono_ms = INT64_MAX;
        core_http_wake(forward->exchange);
    } else if (result == CURLE_OPERATION_TIMEDOUT) {
        fail(forward, TIMEOUT_STATUS, "did not take the connection in time");
    } else if (result == CURLE_COULDNT_CONNECT) {
        fail(forward, BAD_STATUS, "is not there: nothing listens at its socket");
    } else if (result == CURLE_WRITE_ERROR) {
        fail(forward, BAD_STATUS, "replied with more headers than are passed on");
    } else if (result == CURLE_GOT_NOTHING || result == CURLE_RECV_ERROR ||
               result == CURLE_SEND_ERROR) {
        fail(forward, BAD_STATUS, "ended the connection without a reply");
    } else {
        fail(forward, BAD_STATUS, "gave a reply that breaks the rules of HTTP");
    }
}

static void end_late(struct core_http_proxy *proxy)
{
    int64_t now_mono_ms = core_clock_mono_ms();
    struct forward *next;

    for (struct forward *at = proxy->forwards; at; at = next) {
        next = at->next;
        if (at->deadline_mono_ms <= now_mono_ms) {
            /* Nothing more of it is wanted. */
            (void)proxy->curl->multi_remove_handle(proxy->multi, at->easy);
            fail(at, TIMEOUT_STATUS, "did not reply in time");
        }
    }
}

int core_http_proxy_fd(const struct core_http_proxy *proxy)
{
    return proxy->epoll_fd;
}

void core_http_proxy_serve(struct core_http_proxy *proxy)
{
    struct epoll_event events[EVENTS_AT_A_TIME];
    int count = epoll_wait(proxy->epoll_fd, events, EVENTS_AT_A_TIME, 0);
    int running, left;
    CURLMsg *message;

    for (int i = 0; i < count; i++) {
        uint32_t what = events[i].events;
        int mask = (what & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (what & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (what & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

        if (events[i].data.fd != proxy->timer_fd)
            (void)proxy->curl->multi_socket_action(proxy->multi, events[i].data.fd, mask, &running);
    }
    if (proxy->curl_due_mono_ms <= core_clock_mono_ms()) {
        proxy->curl_due_mono_ms = INT64_MAX;
        (void)proxy->curl->multi_socket_action(proxy->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    while ((message = proxy->curl->multi_info_read(proxy->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE)
            finish(proxy, message->easy_handle, message->data.result);
    end_late(proxy);
    set_timer(proxy);
}

/* ---- start and end --------------------------------------------------------------------------- */

enum rc_code core_http_proxy_new(const struct core_http_proxy_options *options,
                                 struct core_http_proxy **out, struct rc_error *err)
{
    struct core_http_proxy_options given = { .connect_ms = 0 };
    struct core_http_proxy *proxy = rc_calloc(1, sizeof(*proxy));
    struct epoll_event event = { .events = EPOLLIN };

    if (options)
        given = *options;
    *proxy = (struct core_http_proxy){
        .limits = {
            .connect_ms = given.connect_ms ? given.connect_ms : CONNECT_MS,
            .answer_ms = given.answer_ms ? given.answer_ms : ANSWER_MS,
            .idle_ms = given.idle_ms ? given.idle_ms : IDLE_MS,
            .forwards = given.forwards ? given.forwards : FORWARDS,
        },
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
        .curl_due_mono_ms = INT64_MAX,
    };
    event.data.fd = proxy->timer_fd;
    if (proxy->epoll_fd < 0 || proxy->timer_fd < 0 ||
        epoll_ctl(proxy->epoll_fd, EPOLL_CTL_ADD, proxy->timer_fd, &event) != 0) {
        (void)rc_fail_errno(err, errno, "cannot wait for plugins");
    } else if (core_curl_load(&proxy->curl, err) == RC_OK) {
        proxy->multi = proxy->curl->multi_init();
        if (!proxy->multi)
            rc_out_of_memory(sizeof(*proxy));
        (void)proxy->curl->multi_setopt(proxy->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        (void)proxy->curl->multi_setopt(proxy->multi, CURLMOPT_SOCKETDATA, proxy);
        (void)proxy->curl->multi_setopt(proxy->multi, CURLMOPT_TIMERFUNCTION, on_timer);
        (void)proxy->curl->multi_setopt(proxy->multi, CURLMOPT_TIMERDATA, proxy);
        *out = proxy;
        return RC_OK;
    }
    core_http_proxy_close(proxy);
    return err->code;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void core_http_proxy_close(struct core_http_proxy *proxy)
{
    if (!proxy)
        return;
    RC_ASSERT(!proxy->forwards);
    if (proxy->multi)
        (void)proxy->curl->multi_cleanup(proxy->multi);
    close_fd(proxy->epoll_fd);
    close_fd(proxy->timer_fd);
    free(proxy);
}

void core_http_proxy_forget(struct core_http_proxy *proxy)
{
    for (const struct forward *at = proxy->forwards; at; at = at->next)
        close_fd(at->fd);
    close_fd(proxy->epoll_fd);
    close_fd(proxy->timer_fd);
}
