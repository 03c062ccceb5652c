/*
 * One call on libcurl. Its loop is ours, so that a wish to stop is seen soon and silence is
 * noticed in both directions.
 */
#include <http/client.h>

#include <http/curl.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

enum {
    CONNECT_MS = 10 * 1000,
    IDLE_MS = 60 * 1000,
    CANCEL_POLL_MS = 100,
    POLL_MS = 1000,
    HEAD_BYTES = 64 * 1024,
};

struct transfer {
    const struct core_curl *curl;
    const struct core_http_call *call;
    struct core_http_answer *answer;
    struct rc_error *err; /* of on_body */
    enum rc_code stopped; /* why a callback ended the transfer */
    const char *name;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    int64_t active_mono_ms; /* when a byte came or went, or the connection was made */
    bool connected;
    curl_off_t bytes;
};

/* ---- the answer ------------------------------------------------------------------------------ */

void core_http_answer_init(struct core_http_answer *answer, size_t limit_bytes)
{
    answer->status = 0;
    rc_buf_init(&answer->headers, HEAD_BYTES);
    rc_buf_init(&answer->body, limit_bytes);
}

void core_http_answer_clear(struct core_http_answer *answer)
{
    rc_buf_clear(&answer->headers);
    rc_buf_clear(&answer->body);
}

const char *core_http_answer_header(const struct core_http_answer *answer, const char *name)
{
    const char *at = answer->headers.data;
    const char *end = at + answer->headers.len;

    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (strcasecmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

int64_t core_http_answer_retry_ms(const struct core_http_answer *answer, int64_t now_unix_ms)
{
    const char *text = core_http_answer_header(answer, "retry-after");
    const struct core_curl *curl;
    struct rc_error err = RC_ERROR_INIT;
    int64_t seconds;

    if (!text)
        return -1;
    if (rc_parse_int(text, &seconds))
        return seconds >= 0 && seconds <= INT64_MAX / 1000 ? seconds * 1000 : -1;
    if (core_curl_load(&curl, &err))
        return -1;
    seconds = (int64_t)curl->getdate(text, NULL);
    if (seconds < 0)
        return -1;
    return seconds * 1000 > now_unix_ms ? seconds * 1000 - now_unix_ms : 0;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct rc_buf *out = &transfer->answer->headers;
    size_t len = size * count, name_len, value_len;
    const char *value;

    transfer->active_mono_ms = core_clock_mono_ms();
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* a redirection or a 1xx went before */
        rc_buf_reset(out);
        return len;
    }
    if (memchr(line, '\0', len) ||
        !core_curl_split_header(line, len, &value, &name_len, &value_len))
        return len;
    for (size_t i = 0; i < name_len; i++)
        rc_buf_addc(out, (char)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] - 'A' + 'a' : line[i]));
    rc_buf_addc(out, '\0');
    rc_buf_add(out, value, value_len);
    rc_buf_addc(out, '\0');
    if (!out->overflow)
        return len;
    transfer->stopped = rc_fail(transfer->err, RC_TOO_LARGE,
                                "the headers of the answer have more than %d bytes", HEAD_BYTES);
    return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    const struct core_http_call *call = transfer->call;
    size_t len = size * count;
    long status = 0;

    transfer->active_mono_ms = core_clock_mono_ms();
    if (call->on_body) {
        (void)transfer->curl->easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        transfer->answer->status = (unsigned)status;
        transfer->stopped = call->on_body(call->context, data, len, transfer->err);
    } else {
        rc_buf_add(&transfer->answer->body, data, len);
        if (transfer->answer->body.overflow)
            transfer->stopped =
                rc_fail(transfer->err, RC_TOO_LARGE, "the answer has more than %zu bytes",
                        transfer->answer->body.limit);
    }
    return transfer->stopped ? 0 : len;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct transfer *transfer = context;

    (void)down_total;
    (void)up_total;
    if (down + up != transfer->bytes)
        transfer->active_mono_ms = core_clock_mono_ms();
    transfer->bytes = down + up;
    return 0;
}

/* ---- the request ----------------------------------------------------------------------------- */

static const char *method_of(const struct core_http_call *call)
{
    if (call->method)
        return call->method;
    return call->body_len > 0 ? "POST" : "GET";
}

static enum rc_code check_call(const struct transfer *transfer, struct rc_error *err)
{
    const struct core_http_call *call = transfer->call;
    size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);

    if (strncasecmp(call->url, "http://", 7) != 0 && strncasecmp(call->url, "https://", 8) != 0)
        return rc_fail(err, RC_INVALID, "%s: the URL does not begin with http:// or https://",
                       transfer->name);
    if (call->socket_path && strlen(call->socket_path) >= room)
        return rc_fail(
            err, RC_INVALID,
            "%s: the path of a socket has at most %zu bytes, '%s' has %zu; choose a shorter one",
            transfer->name, room - 1, call->socket_path, strlen(call->socket_path));
    if (strpbrk(method_of(call), " \t\r\n"))
        return rc_fail(err, RC_INVALID, "%s: the method is not one word", transfer->name);
    return RC_OK;
}

static enum rc_code set_headers(struct transfer *transfer, struct rc_error *err)
{
    const struct core_http_call *call = transfer->call;

    for (size_t i = 0; i < call->header_count; i++)
        if (!core_curl_add_header(transfer->curl, &transfer->headers, call->headers[i].name,
                                  call->headers[i].value))
            return rc_fail(err, RC_INVALID, "%s: the header '%s' has a line break", transfer->name,
                           call->headers[i].name);
    /* Without these, libcurl would add some of its own. */
    transfer->headers = transfer->curl->slist_append(transfer->headers, "Expect:");
    (void)transfer->curl->easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
    return RC_OK;
}

static void set_method(struct transfer *transfer)
{
    const struct core_curl *curl = transfer->curl;
    const struct core_http_call *call = transfer->call;
    const char *method = method_of(call);
    CURL *easy = transfer->easy;

    if (strcmp(method, "HEAD") == 0) {
        (void)curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (call->body_len > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        (void)curl->easy_setopt(easy, CURLOPT_POST, 1L);
        (void)curl->easy_setopt(easy, CURLOPT_POSTFIELDS, call->body_len > 0 ? call->body : "");
        (void)curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
    }
    (void)curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_limits(struct transfer *transfer)
{
    const struct core_curl *curl = transfer->curl;
    const struct core_http_call *call = transfer->call;
    const char *protocols =
        strncasecmp(call->url, "https:", 6) == 0 ? "https" : "http,https"; /* never back */
    CURL *easy = transfer->easy;

    (void)curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl->easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    (void)curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, (long)(call->redirects > 0));
    (void)curl->easy_setopt(easy, CURLOPT_MAXREDIRS, (long)call->redirects);
    (void)curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                            (long)(call->connect_ms > 0 ? call->connect_ms : CONNECT_MS));
    (void)curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)call->total_ms);
    (void)curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (call->ca_file)
        (void)curl->easy_setopt(easy, CURLOPT_CAINFO, call->ca_file);
    if (call->socket_path) {
        (void)curl->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, call->socket_path);
        (void)curl->easy_setopt(easy, CURLOPT_PROXY, "");
    }
}

static enum rc_code prepare(struct transfer *transfer, struct rc_error *err)
{
    const struct core_curl *curl = transfer->curl;
    CURL *easy = transfer->easy = curl->easy_init();

    transfer->multi = curl->multi_init();
    if (!easy || !transfer->multi)
        rc_out_of_memory(sizeof(*transfer));
    (void)curl->easy_setopt(easy, CURLOPT_URL, transfer->call->url);
    (void)curl->easy_setopt(easy, CURLOPT_USERAGENT, "run-core");
    (void)curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl->easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    (void)curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl->easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    (void)curl->easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl->easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
    (void)curl->easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    set_limits(transfer);
    set_method(transfer);
    if (set_headers(transfer, err))
        return err->code;
    return curl->multi_add_handle(transfer->multi, easy) == CURLM_OK
               ? RC_OK
               : rc_fail(err, RC_FAILED, "%s: libcurl does not take the request", transfer->name);
}

/* ---- broken pipes -------------------------------------------------------------------------- */

struct pipe_guard {
    sigset_t before;
    bool was_pending;
};

static sigset_t only_sigpipe(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGPIPE);
    return set;
}

static bool is_sigpipe_pending(void)
{
    sigset_t pending;

    (void)sigemptyset(&pending);
    (void)sigpending(&pending);
    return sigismember(&pending, SIGPIPE) == 1;
}

/*
 * TLS writes in a way that raises SIGPIPE where the server has gone. That is an error of the call,
 * not the end of the process, whatever the process has arranged; and other threads keep theirs.
 */
static void hold_sigpipe(struct pipe_guard *guard)
{
    sigset_t set = only_sigpipe();

    guard->was_pending = is_sigpipe_pending();
    (void)pthread_sigmask(SIG_BLOCK, &set, &guard->before);
}

static void release_sigpipe(struct pipe_guard *guard)
{
    const struct timespec now = { 0, 0 };
    sigset_t set = only_sigpipe();

    if (!guard->was_pending && is_sigpipe_pending())
        (void)sigtimedwait(&set, NULL, &now);
    (void)pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

/* ---- the transfer ---------------------------------------------------------------------------- */

static bool is_connected(const struct transfer *transfer)
{
    curl_off_t after_us = 0;

    (void)transfer->curl->easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &after_us);
    return after_us > 0;
}

static enum rc_code check_idle(struct transfer *transfer, struct rc_error *err)
{
    int64_t idle_ms = transfer->call->idle_ms ? transfer->call->idle_ms : IDLE_MS;
    int64_t now_mono_ms = core_clock_mono_ms();
    char text[RC_AMOUNT_TEXT];

    if (!transfer->connected) {
        transfer->connected = is_connected(transfer);
        transfer->active_mono_ms = now_mono_ms;
    }
    if (idle_ms < 0 || !transfer->connected || now_mono_ms - transfer->active_mono_ms < idle_ms)
        return RC_OK;
    return rc_fail(err, RC_TIMEOUT, "%s: nothing was heard for %s", transfer->name,
                   rc_format_duration(idle_ms, text));
}

static enum rc_code timed_out(const struct transfer *transfer, struct rc_error *err)
{
    const struct core_http_call *call = transfer->call;
    char text[RC_AMOUNT_TEXT];

    if (is_connected(transfer))
        return rc_fail(err, RC_TIMEOUT, "%s: not done within %s", transfer->name,
                       rc_format_duration(call->total_ms, text));
    return rc_fail(err, RC_UNAVAILABLE, "%s: no connection in time", transfer->name);
}

/* Only constant texts of libcurl: its own messages may hold parts of the URL. */
static enum rc_code failed(const struct transfer *transfer, CURLcode result, struct rc_error *err)
{
    const char *text = transfer->curl->easy_strerror(result);
    enum rc_code code = RC_UNAVAILABLE;
    long number = 0;

    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return timed_out(transfer, err);
    case CURLE_TOO_MANY_REDIRECTS:
        return rc_fail(err, RC_FAILED, "%s: more than %u redirections", transfer->name,
                       transfer->call->redirects);
    case CURLE_COULDNT_CONNECT:
        (void)transfer->curl->easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
        if (number == EACCES || number == EPERM)
            code = RC_DENIED;
        if (number != 0)
            text = strerror((int)number);
        return rc_fail(err, code, "%s: cannot connect: %s", transfer->name, text);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        code = RC_INVALID;
        break;
    default:
        break;
    }
    return rc_fail(err, code, "%s: %s", transfer->name, text);
}

static enum rc_code finish(const struct transfer *transfer, struct rc_error *err)
{
    const struct core_curl *curl = transfer->curl;
    CURLMsg *message;
    CURLcode result = CURLE_OK;
    long status = 0;
    int left;

    while ((message = curl->multi_info_read(transfer->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE)
            result = message->data.result;
    if (transfer->stopped)
        return rc_context(err, "%s", transfer->name);
    if (result != CURLE_OK)
        return failed(transfer, result, err);
    (void)curl->easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->answer->status = (unsigned)status;
    return RC_OK;
}

static enum rc_code drive(struct transfer *transfer, struct rc_error *err)
{
    const struct core_curl *curl = transfer->curl;
    int wait_ms = transfer->call->cancel ? CANCEL_POLL_MS : POLL_MS;
    int running = 1;

    while (running) {
        CURLMcode result = curl->multi_perform(transfer->multi, &running);

        if (result == CURLM_OK && running) {
            if (core_cancel_check(transfer->call->cancel, err))
                return rc_context(err, "%s", transfer->name);
            if (check_idle(transfer, err))
                return err->code;
            result = curl->multi_poll(transfer->multi, NULL, 0, wait_ms, NULL);
        }
        if (result != CURLM_OK)
            return rc_fail(err, RC_FAILED, "%s: libcurl gave up (%d)", transfer->name, (int)result);
    }
    return finish(transfer, err);
}

static void clear_transfer(struct transfer *transfer)
{
    const struct core_curl *curl = transfer->curl;

    if (!curl)
        return;
    if (transfer->multi && transfer->easy)
        (void)curl->multi_remove_handle(transfer->multi, transfer->easy);
    if (transfer->easy)
        curl->easy_cleanup(transfer->easy);
    if (transfer->multi)
        (void)curl->multi_cleanup(transfer->multi);
    curl->slist_free_all(transfer->headers);
}

enum rc_code core_http_call(const struct core_http_call *call, struct core_http_answer *answer,
                            struct rc_error *err)
{
    RC_CLEANUP(release_sigpipe) struct pipe_guard guard;
    RC_CLEANUP(clear_transfer)
    struct transfer transfer = {
        .call = call,
        .answer = answer,
        .err = err,
        .name = call->name ? call->name : "an HTTP request",
        .active_mono_ms = core_clock_mono_ms(),
    };

    hold_sigpipe(&guard);
    answer->status = 0;
    rc_buf_reset(&answer->headers);
    rc_buf_reset(&answer->body);
    if (check_call(&transfer, err) || core_cancel_check(call->cancel, err) ||
        core_curl_load(&transfer.curl, err) || prepare(&transfer, err))
        return err->code;
    return drive(&transfer, err);
}
