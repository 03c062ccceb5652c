/*
 * One attempt of a request on one lane. The loop is ours, so that a wish to stop is seen soon and
 * silence is noticed in both directions. Redirections and repetitions are decided elsewhere.
 */
#include <http/client_internal.h>

#include <http/sigpipe.h>
#include <os/clock.h>

#include <string.h>
#include <strings.h>

enum {
    POLL_MS = 1000,
    SPARE_BYTES = 256 * 1024,  /* of a stream: what may come before it is asked for */
    PIECE_BYTES = 16 * 1024,   /* libcurl hands over no more at a time */
    AT_ONCE_BYTES = 60 * 1024, /* a body that goes out with its head */
    EXCESS_BYTES = 64 * 1024,  /* of a failure, read for nothing: the connection is worth it */
};

bool core_http_is_success(unsigned status)
{
    return status >= 200 && status < 300;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void begin_head(struct transfer *transfer)
{
    transfer->head_done = false;
    transfer->status = 0;
    rc_buf_reset(&transfer->answer->headers);
}

/* A blank line: of the head that counts, or of a 1xx before it. */
static void end_head(struct transfer *transfer)
{
    long status = 0;

    (void)transfer->curl->easy_getinfo(transfer->lane->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return;
    transfer->head_done = true;
    transfer->status = (unsigned)status;
    transfer->answer->status = (unsigned)status;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t len = size * count, name_len, value_len;
    struct rc_buf *out;
    const char *value;

    transfer->heard = transfer->head_begun = true;
    if (!transfer->answer)
        return len; /* a trailer of a stream that is being read */
    out = &transfer->answer->headers;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        begin_head(transfer);
        return len;
    }
    if (transfer->head_done)
        return len;
    if (len <= 2 && (*line == '\r' || *line == '\n')) {
        end_head(transfer);
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

/* Of a failure's body, what fits is enough. False: it is the end of the transfer. */
static bool keep(struct transfer *transfer, const char *data, size_t len)
{
    struct rc_buf *body = &transfer->answer->body;

    if (!core_http_is_success(transfer->status) && len > body->limit - body->len) {
        len = body->limit - body->len;
        transfer->has_enough = transfer->received - (curl_off_t)body->limit > EXCESS_BYTES;
        if (transfer->has_enough)
            return false;
    }
    rc_buf_add(body, data, len);
    if (body->overflow)
        transfer->stopped =
            rc_fail(transfer->err, RC_TOO_LARGE, "the answer has more than %zu bytes", body->limit);
    return !body->overflow;
}

/* What the reader has no room for waits; once that is much, the server does. */
static size_t pass_on(struct transfer *transfer, const char *data, size_t len)
{
    size_t direct = transfer->target_room - transfer->target_len;

    if (transfer->spare.len + len > SPARE_BYTES) {
        transfer->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    direct = direct < len ? direct : len;
    if (direct > 0)
        memcpy(transfer->target + transfer->target_len, data, direct);
    transfer->target_len += direct;
    rc_buf_add(&transfer->spare, data + direct, len - direct);
    transfer->received += (curl_off_t)len;
    return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    const struct core_http_call *call;
    size_t len = size * count;

    transfer->heard = true;
    if (transfer->streaming && core_http_is_success(transfer->status))
        return pass_on(transfer, data, len);
    transfer->received += (curl_off_t)len;
    call = transfer->request->call;
    if (!call->on_body || !core_http_is_success(transfer->status))
        return keep(transfer, data, len) ? len : 0;
    transfer->handed_over = true;
    transfer->stopped = call->on_body(call->context, data, len, transfer->err);
    return transfer->stopped ? 0 : len;
}

/* ---- the body of the request ----------------------------------------------------------------- */

static size_t read_content(struct transfer *transfer, char *data, size_t capacity)
{
    const struct core_http_content *content = transfer->request->call->content;
    size_t len = 0;

    transfer->stopped =
        content->read(content->context, transfer->send_at, data, capacity, &len, transfer->err);
    if (!transfer->stopped && len == 0 && transfer->send_bytes >= 0)
        transfer->stopped = rc_fail(transfer->err, RC_CORRUPT,
                                    "the content ends after %lld bytes; it should have %lld",
                                    (long long)transfer->send_at, (long long)transfer->send_bytes);
    return transfer->stopped ? CURL_READFUNC_ABORT : len;
}

static size_t on_read(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t len = size * count;

    transfer->heard = true;
    /* A redirection or a refusal does not want the rest. */
    if (transfer->head_done) {
        transfer->answered_early = true;
        return CURL_READFUNC_ABORT;
    }
    if (transfer->send_bytes >= 0 && transfer->send_bytes - transfer->send_at < (int64_t)len)
        len = (size_t)(transfer->send_bytes - transfer->send_at);
    if (len == 0)
        return 0;
    if (transfer->request->call->content) {
        len = read_content(transfer, data, len);
        if (len == CURL_READFUNC_ABORT)
            return len;
    } else {
        memcpy(data, (const char *)transfer->request->call->body + transfer->send_at, len);
    }
    transfer->send_at += (int64_t)len;
    return len;
}

/* The server has carried nothing out, and wants to know first who asks. */
static bool is_challenged(const struct transfer *transfer)
{
    return transfer->lane->has_proofs && transfer->head_done && transfer->status == 401;
}

/*
 * libcurl begins anew on a fresh connection when a kept one turns out to be closed. The server may
 * have seen the body by then, so this is for requests that may come twice, and for what was
 * refused.
 */
static int on_seek(void *context, curl_off_t offset, int origin)
{
    struct transfer *transfer = context;

    if (origin != SEEK_SET ||
        (transfer->send_at > 0 && !transfer->is_safe && !is_challenged(transfer)))
        return CURL_SEEKFUNC_FAIL;
    transfer->send_at = offset;
    return CURL_SEEKFUNC_OK;
}

/*
 * libcurl may send a request once more by itself, on a fresh connection, when a kept one breaks
 * unanswered. That is ours to decide: nobody would sign the request anew, or know that it may have
 * been carried out before. After a challenge it goes out with its proof: another request, of which
 * nothing has come yet.
 */
static int on_sending(void *context, char *to, char *from, int to_port, int from_port)
{
    struct transfer *transfer = context;

    (void)to, (void)from, (void)to_port, (void)from_port;
    transfer->is_stale = transfer->was_sent && !transfer->head_begun;
    transfer->was_sent = true;
    transfer->head_begun = transfer->head_done = false;
    transfer->status = transfer->answer->status = 0;
    return transfer->is_stale ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool has_header(const struct request *request, const char *name)
{
    const char *at = request->draft.headers.data, *end = at + request->draft.headers.len;

    for (size_t i = 0; i < request->call->header_count; i++)
        if (strcasecmp(request->call->headers[i].name, name) == 0)
            return true;
    for (; at < end; at += strlen(at) + 1) {
        if (strcasecmp(at, name) == 0)
            return true;
        at += strlen(at) + 1;
    }
    return false;
}

static enum rc_code add_header(struct transfer *transfer, const char *name, const char *value,
                               struct rc_error *err)
{
    if (core_curl_add_header(transfer->curl, &transfer->headers, name, value))
        return RC_OK;
    return rc_fail(err, RC_INVALID, "%s: the header '%s' has a line break", transfer->name, name);
}

static void add_line(struct transfer *transfer, const char *line)
{
    struct curl_slist *longer = transfer->curl->slist_append(transfer->headers, line);

    if (!longer)
        rc_out_of_memory(sizeof(*longer));
    transfer->headers = longer;
}

/* Much that would be refused at first is not sent in vain either. */
static bool asks_first(const struct transfer *transfer)
{
    const struct core_http_call *call = transfer->request->call;

    return transfer->sending &&
           (call->ask_first ||
            (core_http_has_user(transfer->request) && call->auth != CORE_HTTP_AUTH_BASIC &&
             (transfer->send_bytes < 0 || transfer->send_bytes > AT_ONCE_BYTES)));
}

static enum rc_code set_headers(struct transfer *transfer, struct rc_error *err)
{
    const struct request *request = transfer->request;
    const struct core_http_call *call = request->call;
    const char *at = request->draft.headers.data, *end = at + request->draft.headers.len;

    for (size_t i = 0; i < call->header_count; i++)
        if (core_http_may_send(request, call->headers[i].name) &&
            add_header(transfer, call->headers[i].name, call->headers[i].value, err))
            return err->code;
    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (add_header(transfer, at, value, err))
            return err->code;
        at = value + strlen(value) + 1;
    }
    /* Without these, libcurl would add some of its own to a body. */
    if (transfer->has_body) {
        add_line(transfer, asks_first(transfer) ? "Expect: 100-continue" : "Expect:");
        if (!has_header(request, "Content-Type"))
            add_line(transfer, "Content-Type:");
    }
    (void)transfer->curl->easy_setopt(transfer->lane->easy, CURLOPT_HTTPHEADER, transfer->headers);
    return RC_OK;
}

/* Small bodies go out together with the head, if they may go out twice. */
static void set_body(struct transfer *transfer)
{
    const struct core_curl *curl = transfer->curl;
    const struct core_http_call *call = transfer->request->call;
    CURL *easy = transfer->lane->easy;
    bool by_callback;

    transfer->send_bytes = call->content ? call->content->len_bytes : (int64_t)call->body_len;
    transfer->sending = transfer->send_bytes != 0;
    by_callback = call->content || transfer->send_bytes > AT_ONCE_BYTES ||
                  (transfer->sending && !transfer->is_safe);
    if (by_callback) {
        /* With one of an earlier request libcurl would not rewind this one. */
        (void)curl->easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
        (void)curl->easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        (void)curl->easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->send_bytes);
        (void)curl->easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        (void)curl->easy_setopt(easy, CURLOPT_READDATA, transfer);
        (void)curl->easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
        (void)curl->easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
    } else {
        (void)curl->easy_setopt(easy, CURLOPT_POST, 1L);
        (void)curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
        (void)curl->easy_setopt(easy, CURLOPT_POSTFIELDS, call->body_len > 0 ? call->body : "");
    }
}

/* Every one of these is set for each request: the lane remembers those of the one before. */
static void set_method(struct transfer *transfer)
{
    const struct core_curl *curl = transfer->curl;
    const struct request *request = transfer->request;
    const struct core_http_call *call = request->call;
    const char *method = request->method;
    CURL *easy = transfer->lane->easy;
    bool is_head = strcmp(method, "HEAD") == 0, is_usual;

    transfer->has_body = (!request->bodiless && (call->content || call->body_len > 0)) ||
                         strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                         strcmp(method, "PATCH") == 0;
    is_usual = is_head || (strcmp(method, "GET") == 0 && !transfer->has_body);
    (void)curl->easy_setopt(easy, CURLOPT_HTTPGET, 1L); /* which takes back the others */
    if (is_head)
        (void)curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (transfer->has_body)
        set_body(transfer);
    (void)curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, is_usual ? NULL : method);
    /* On a kept connection libcurl might repeat it, and there is no body to tell us. */
    (void)curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT,
                            (long)(!transfer->is_safe && !transfer->sending));
}

/* Without "only", libcurl would begin a digest by a request without its body. */
static void set_user(const struct transfer *transfer)
{
    static const unsigned long schemes[] = {
        [CORE_HTTP_AUTH_ANY] = CURLAUTH_BASIC | CURLAUTH_DIGEST,
        [CORE_HTTP_AUTH_BASIC] = CURLAUTH_BASIC,
        [CORE_HTTP_AUTH_DIGEST] = CURLAUTH_DIGEST | CURLAUTH_ONLY,
    };
    const struct core_curl *curl = transfer->curl;
    const struct core_http_call *call = transfer->request->call;
    CURL *easy = transfer->lane->easy;

    if (!core_http_has_user(transfer->request))
        return;
    transfer->lane->has_proofs = true;
    (void)curl->easy_setopt(easy, CURLOPT_USERNAME, call->user);
    (void)curl->easy_setopt(easy, CURLOPT_PASSWORD, call->password ? call->password : "");
    (void)curl->easy_setopt(easy, CURLOPT_HTTPAUTH, (long)schemes[call->auth]);
}

/* Whether TLS may be on the way. Without a client nobody minds what it costs to be sure. */
static bool may_raise_sigpipe(const struct request *request)
{
    return !request->client || request->client->has_proxy ||
           strncasecmp(request->asked_url, "http:", strlen("http:")) != 0;
}

static void set_limits(struct transfer *transfer)
{
    const struct core_http_call *call = transfer->request->call;
    const struct core_http_client *client = transfer->request->client;
    CURL *easy = transfer->lane->easy;

    transfer->connect_ms = client ? client->settings.connect_ms : CONNECT_MS;
    transfer->idle_ms = client ? client->settings.idle_ms : IDLE_MS;
    if (call->connect_ms > 0)
        transfer->connect_ms = call->connect_ms;
    if (call->idle_ms)
        transfer->idle_ms = call->idle_ms;
    transfer->total_ms = call->total_ms > 0 ? call->total_ms : 0;
    (void)transfer->curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)transfer->connect_ms);
    (void)transfer->curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)transfer->total_ms);
}

enum rc_code core_http_transfer_begin(struct transfer *transfer, const struct request *request,
                                      struct lane *lane, struct rc_error *err)
{
    const struct core_curl *curl = lane->curl;
    int64_t now_mono_ms = core_clock_mono_ms();
    CURL *easy;

    *transfer = (struct transfer){
        .curl = curl,
        .lane = lane,
        .request = request,
        .answer = request->answer,
        .err = err,
        .name = request->name,
        .cancel = request->call->cancel,
        .began_mono_ms = now_mono_ms,
        .active_mono_ms = now_mono_ms,
        .may_raise = may_raise_sigpipe(request),
        .is_safe = core_http_is_safe(request),
        .streaming = request->streaming,
        .spare = RC_BUF_INIT(SPARE_BYTES + PIECE_BYTES),
    };
    if (lane->has_proofs)
        core_http_lane_renew(lane, request->call);
    easy = lane->easy;
    (void)curl->easy_setopt(easy, CURLOPT_URL, request->asked_url);
    (void)curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl->easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    (void)curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl->easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    (void)curl->easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_sending);
    (void)curl->easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    set_limits(transfer);
    set_method(transfer);
    set_user(transfer);
    if (set_headers(transfer, err))
        return err->code;
    if (curl->multi_add_handle(lane->multi, easy) != CURLM_OK)
        return rc_fail(err, RC_FAILED, "%s: libcurl does not take the request", transfer->name);
    transfer->added = true;
    return RC_OK;
}

/* ---- until its end --------------------------------------------------------------------------- */

static void look_for_life(struct transfer *transfer, int64_t now_mono_ms)
{
    const struct core_curl *curl = transfer->curl;
    CURL *easy = transfer->lane->easy;
    curl_off_t value = 0;

    if (!transfer->connected) {
        (void)curl->easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &value);
        transfer->connected = value > 0;
        transfer->heard = true;
    } else if (transfer->sending) {
        (void)curl->easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &value);
        transfer->heard = transfer->heard || value != transfer->sent;
        transfer->sent = value;
    }
    if (transfer->heard)
        transfer->active_mono_ms = now_mono_ms;
    transfer->heard = false;
}

/* How long to look at nothing but what may come; *wait_ms is at most that of the limits. */
static enum rc_code check_idle(struct transfer *transfer, int *wait_ms, struct rc_error *err)
{
    int64_t now_mono_ms = core_clock_mono_ms(), left_ms;

    look_for_life(transfer, now_mono_ms);
    *wait_ms = transfer->cancel ? CANCEL_POLL_MS : POLL_MS;
    if (transfer->idle_ms < 0)
        return RC_OK;
    left_ms = transfer->active_mono_ms + transfer->idle_ms - now_mono_ms;
    if (transfer->connected && left_ms <= 0)
        return core_http_transfer_silent(transfer, err);
    if (left_ms > 0 && left_ms < *wait_ms)
        *wait_ms = (int)left_ms;
    return RC_OK;
}

static enum rc_code finish(struct transfer *transfer, struct rc_error *err)
{
    CURLMsg *message;
    CURLcode result = CURLE_OK;
    int left;

    transfer->ended = true;
    while ((message = transfer->curl->multi_info_read(transfer->lane->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE)
            result = message->data.result;
    if (transfer->stopped)
        return rc_context(err, "%s", transfer->name);
    /* The server has said what there is to say, and may have closed its ears before. */
    if (result != CURLE_OK && transfer->head_done && !core_http_is_success(transfer->status) &&
        (transfer->has_enough || transfer->answered_early || result == CURLE_SEND_ERROR))
        return RC_OK;
    /* To libcurl the end of a connection is also the end of a head. */
    if (result == CURLE_OK && !transfer->head_done)
        result = CURLE_RECV_ERROR;
    return result == CURLE_OK ? RC_OK : core_http_transfer_failed(transfer, result, err);
}

static enum rc_code drive(struct transfer *transfer,
                          bool (*enough)(const struct transfer *transfer), struct rc_error *err)
{
    const struct core_curl *curl = transfer->curl;
    int running = 1, wait_ms;

    while (running) {
        CURLMcode result = curl->multi_perform(transfer->lane->multi, &running);

        if (result == CURLM_OK && running) {
            if (enough && enough(transfer))
                return RC_OK;
            if (core_cancel_check(transfer->cancel, err))
                return rc_context(err, "%s", transfer->name);
            if (check_idle(transfer, &wait_ms, err))
                return err->code;
            result = curl->multi_poll(transfer->lane->multi, NULL, 0, wait_ms, NULL);
        }
        if (result != CURLM_OK)
            return rc_fail(err, RC_FAILED, "%s: libcurl gave up (%d)", transfer->name, (int)result);
    }
    return finish(transfer, err);
}

enum rc_code core_http_transfer_drive(struct transfer *transfer,
                                      bool (*enough)(const struct transfer *transfer),
                                      struct rc_error *err)
{
    struct core_sigpipe guard;
    enum rc_code code;

    core_sigpipe_hold(&guard, transfer->may_raise);
    code = drive(transfer, enough, err);
    core_sigpipe_release(&guard);
    return code;
}

bool core_http_transfer_resume(struct transfer *transfer)
{
    struct core_sigpipe guard;
    CURLcode result;

    transfer->paused = false;
    core_sigpipe_hold(&guard, transfer->may_raise);
    result = transfer->curl->easy_pause(transfer->lane->easy, CURLPAUSE_CONT);
    core_sigpipe_release(&guard);
    return result == CURLE_OK;
}

void core_http_transfer_end(struct transfer *transfer)
{
    const struct core_curl *curl = transfer->curl;
    struct core_sigpipe guard;

    if (!transfer->lane)
        return;
    core_sigpipe_hold(&guard, transfer->may_raise);
    if (transfer->added)
        (void)curl->multi_remove_handle(transfer->lane->multi, transfer->lane->easy);
    core_sigpipe_release(&guard);
    /* The lane outlives them. */
    (void)curl->easy_setopt(transfer->lane->easy, CURLOPT_HTTPHEADER, NULL);
    curl->slist_free_all(transfer->headers);
    rc_buf_clear(&transfer->spare);
    transfer->headers = NULL;
    transfer->added = false;
    transfer->lane = NULL;
}
