/*
 * One request, from its head to its reply. Which paths there are is the handler's business; what
 * no handler should have to think about is refused here.
 */
#include <http/server_internal.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum {
    DROP_FACTOR = 16, /* of a body too large, so many times the limit are read and dropped */
    ERROR_BYTES = 4096,
    SLOWEST_BYTES_PER_S = 16384, /* at which a client takes its reply */
};

/* ---- what was asked -------------------------------------------------------------------------- */

const char *core_http_method(const struct core_http_exchange *exchange)
{
    return exchange->method;
}

const char *core_http_path(const struct core_http_exchange *exchange)
{
    return exchange->uri.path;
}

const char *core_http_query(const struct core_http_exchange *exchange)
{
    return exchange->uri.query;
}

bool core_http_parameter_at(const struct core_http_exchange *exchange, size_t index,
                            const char **name, const char **value)
{
    if (index >= exchange->uri.parameter_count)
        return false;
    *name = exchange->uri.parameters[index].name;
    *value = exchange->uri.parameters[index].value;
    return true;
}

const char *core_http_parameter(const struct core_http_exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->uri.parameter_count; i++)
        if (strcmp(exchange->uri.parameters[i].name, name) == 0)
            return exchange->uri.parameters[i].value;
    return NULL;
}

const char *core_http_header(const struct core_http_exchange *exchange, const char *name)
{
    return exchange->server->mhd.lookup_connection_value(exchange->mhd, MHD_HEADER_KIND, name);
}

struct header_search {
    size_t left;
    const char **name, **value;
    bool found;
};

static enum MHD_Result search_header(void *context, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    struct header_search *search = context;

    (void)kind;
    if (search->left-- > 0)
        return MHD_YES;
    *search->name = name;
    *search->value = value ? value : "";
    search->found = true;
    return MHD_NO;
}

bool core_http_header_at(const struct core_http_exchange *exchange, size_t index, const char **name,
                         const char **value)
{
    struct header_search search = { .left = index, .name = name, .value = value };

    (void)exchange->server->mhd.get_connection_values(exchange->mhd, MHD_HEADER_KIND, search_header,
                                                      &search);
    return search.found;
}

const char *core_http_body(const struct core_http_exchange *exchange, size_t *len)
{
    *len = exchange->body.len;
    return exchange->body.data;
}

const struct core_http_peer *core_http_peer(const struct core_http_exchange *exchange)
{
    return &exchange->connection->peer;
}

bool core_http_is_local(const struct core_http_exchange *exchange)
{
    const char *name, *value;

    if (!exchange->connection->peer.is_loopback)
        return false;
    for (size_t i = 0; core_http_header_at(exchange, i, &name, &value); i++)
        if (!core_http_uri_asks_locally(name, value))
            return false;
    return true;
}

const char *core_http_foreign(const struct core_http_exchange *exchange)
{
    const char *host = exchange->uri.host ? exchange->uri.host : core_http_header(exchange, "Host");

    if (exchange->connection->peer.is_unix)
        return NULL;
    return core_http_uri_foreign(host, core_http_header(exchange, "Origin"),
                                 exchange->connection->on_loopback, exchange->server->limits.hosts);
}

/* ---- the reply ------------------------------------------------------------------------------- */

void core_http_add_header(struct core_http_exchange *exchange, const char *name, const char *value)
{
    exchange->headers =
        rc_realloc(exchange->headers, (exchange->header_count + 1) * sizeof(*exchange->headers));
    exchange->headers[exchange->header_count++] =
        (struct reply_header){ .name = rc_strdup(name), .value = rc_strdup(value) };
}

/* The reply is complete; what happens to the exchange from here on is the serving thread's. */
static void replied(struct core_http_exchange *exchange)
{
    struct core_http_server *server = exchange->server;

    (void)pthread_mutex_lock(&server->mutex);
    RC_ASSERT(exchange->phase == HANDLING || exchange->phase == DEFERRED);
    exchange->phase = REPLIED;
    if (exchange->parked && !exchange->in_handler)
        core_http_make_ready(exchange);
    (void)pthread_mutex_unlock(&server->mutex);
}

static void set_body(struct core_http_exchange *exchange, unsigned status, const char *content_type,
                     struct rc_buf *body)
{
    exchange->status = status;
    exchange->content_type = rc_strdup(content_type);
    if (body) {
        exchange->reply = *body;
        rc_buf_init(body, body->limit);
    }
}

static void set_error(struct core_http_exchange *exchange, unsigned status, const char *text)
{
    struct rc_buf body = RC_BUF_INIT(8 * ERROR_BYTES); /* a byte may become 6 in JSON */

    rc_buf_adds(&body, "{\"error\":");
    rc_buf_add_json(&body, text, strlen(text));
    rc_buf_adds(&body, "}\n");
    set_body(exchange, status, "application/json", &body);
}

void core_http_reply(struct core_http_exchange *exchange, unsigned status, const char *content_type,
                     struct rc_buf *body)
{
    if (body && body->overflow) {
        rc_buf_clear(body);
        set_error(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, "the reply is larger than its limit");
    } else {
        set_body(exchange, status, content_type, body);
    }
    replied(exchange);
}

void core_http_reply_error(struct core_http_exchange *exchange, unsigned status, const char *format,
                           ...)
{
    char text[ERROR_BYTES];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    set_error(exchange, status, text);
    replied(exchange);
}

void core_http_reply_stream(struct core_http_exchange *exchange, unsigned status,
                            const char *content_type, const struct core_http_source *source)
{
    exchange->status = status;
    exchange->content_type = rc_strdup(content_type);
    exchange->streaming = true;
    exchange->source = *source;
    replied(exchange);
}

void core_http_defer(struct core_http_exchange *exchange, void (*gone)(void *context),
                     void *context)
{
    struct core_http_server *server = exchange->server;

    (void)pthread_mutex_lock(&server->mutex);
    RC_ASSERT(exchange->phase == HANDLING);
    exchange->phase = DEFERRED;
    exchange->gone = gone;
    exchange->gone_context = context;
    (void)pthread_mutex_unlock(&server->mutex);
}

/* ---- between threads ------------------------------------------------------------------------- */

void core_http_make_ready(struct core_http_exchange *exchange)
{
    struct core_http_server *server = exchange->server;

    if (exchange->queued)
        return;
    exchange->queued = true;
    exchange->next_ready = server->ready;
    if (!server->ready)
        (void)eventfd_write(server->event_fd, 1);
    server->ready = exchange;
}

void core_http_wake(struct core_http_exchange *exchange)
{
    struct core_http_server *server = exchange->server;

    (void)pthread_mutex_lock(&server->mutex);
    exchange->woken = true;
    if (exchange->parked && exchange->phase == SENDING)
        core_http_make_ready(exchange);
    (void)pthread_mutex_unlock(&server->mutex);
}

void core_http_abandon(struct core_http_exchange *exchange)
{
    struct core_http_server *server = exchange->server;
    bool deferred;

    (void)pthread_mutex_lock(&server->mutex);
    deferred = exchange->phase == DEFERRED;
    exchange->phase = ABANDONED; /* once: whatever comes next finds it so */
    if (exchange->parked)
        core_http_make_ready(exchange);
    (void)pthread_mutex_unlock(&server->mutex);
    if (deferred && exchange->gone)
        exchange->gone(exchange->gone_context);
}

void core_http_handle(struct core_http_exchange *exchange)
{
    struct core_http_server *server = exchange->server;

    server->handler(server->context, exchange);
    (void)pthread_mutex_lock(&server->mutex);
    RC_ASSERT(exchange->phase == REPLIED || exchange->phase == DEFERRED);
    exchange->in_handler = false;
    if (exchange->parked && exchange->phase == REPLIED)
        core_http_make_ready(exchange);
    else if (exchange->parked)
        core_http_watch_client(exchange->connection, 0);
    (void)pthread_mutex_unlock(&server->mutex);
}

/* ---- sending --------------------------------------------------------------------------------- */

static bool has_reply_header(const struct core_http_exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->header_count; i++)
        if (strcasecmp(exchange->headers[i].name, name) == 0)
            return true;
    return false;
}

static void add_headers(const struct core_http_exchange *exchange, struct MHD_Response *response)
{
    static const struct core_http_parameter usual[] = {
        { MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
        { "X-Content-Type-Options", "nosniff" },
        { "X-Frame-Options", "DENY" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
    };
    const struct core_microhttpd *mhd = &exchange->server->mhd;

    if (exchange->content_type)
        (void)mhd->add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                       exchange->content_type);
    for (size_t i = 0; i < exchange->header_count; i++)
        (void)mhd->add_response_header(response, exchange->headers[i].name,
                                       exchange->headers[i].value);
    for (size_t i = 0; i < RC_ARRAY_LEN(usual); i++)
        if (!has_reply_header(exchange, usual[i].name))
            (void)mhd->add_response_header(response, usual[i].name, usual[i].value);
    if (exchange->last || exchange->server->draining)
        (void)mhd->add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static enum MHD_Result send_reply(struct core_http_exchange *exchange)
{
    struct core_http_server *server = exchange->server;
    size_t len = exchange->reply.len;
    struct MHD_Response *response =
        exchange->streaming ? core_http_stream_response(exchange)
                            : server->mhd.create_response_from_buffer(
                                  len, rc_buf_take(&exchange->reply), MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    add_headers(exchange, response);
    (void)pthread_mutex_lock(&server->mutex);
    exchange->phase = SENDING;
    (void)pthread_mutex_unlock(&server->mutex);
    core_http_set_deadline(exchange->connection, core_clock_mono_ms() + server->limits.request_ms +
                                                     (int64_t)(len / SLOWEST_BYTES_PER_S) * 1000);
    result = server->mhd.queue_response(exchange->mhd, exchange->status, response);
    server->mhd.destroy_response(response);
    return result;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* A request that the handler does not get to see; the connection ends with the reply. */
static void refuse(struct core_http_exchange *exchange, unsigned status, const char *why)
{
    if (exchange->refused)
        return;
    exchange->refused = status;
    exchange->wrong = why;
    exchange->last = true;
}

struct head {
    size_t bytes;
    unsigned hosts, lengths, codings;
    const char *length;
    bool expects; /* to be told to go on before it sends the body */
    bool strange; /* a name that is none, such as "Content-Length " */
    bool endless; /* nobody here knows where its body ends */
};

/* A name as in RFC 9110, section 5.6.2. */
static bool is_token(const char *text)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return *text && text[strspn(text, allowed)] == '\0';
}

static enum MHD_Result look_at_header(void *context, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    struct head *head = context;

    (void)kind;
    head->bytes += strlen(name) + (value ? strlen(value) : 0) + sizeof(": \r\n") - 1;
    head->hosts += strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0;
    head->strange = head->strange || !is_token(name);
    if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        head->codings++;
        head->endless = head->endless || !value || strcasecmp(value, "chunked") != 0;
    }
    head->expects = head->expects || strcasecmp(name, MHD_HTTP_HEADER_EXPECT) == 0;
    if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        head->lengths++;
        head->length = value;
    }
    return MHD_YES;
}

static void judge(struct core_http_exchange *exchange, const struct head *head, int64_t length)
{
    bool whole_server = strcmp(exchange->method, MHD_HTTP_METHOD_OPTIONS) == 0 &&
                        exchange->target_len == 1 && !exchange->uri.path;

    if (exchange->wrong && !whole_server)
        refuse(exchange, MHD_HTTP_BAD_REQUEST, exchange->wrong);
    if (head->hosts > 1 || head->lengths > 1 || head->codings > 1 ||
        (head->lengths && head->codings) || length < 0)
        refuse(exchange, MHD_HTTP_BAD_REQUEST,
               "the request says in two ways which host it is for, or how long it is");
    if (head->strange || !is_token(exchange->method))
        refuse(exchange, MHD_HTTP_BAD_REQUEST,
               "the request's method, or the name of a header, has characters that names have not");
    if (head->endless)
        refuse(exchange, MHD_HTTP_NOT_IMPLEMENTED,
               "this server knows no Transfer-Encoding but 'chunked'");
    if (strcmp(exchange->method, MHD_HTTP_METHOD_TRACE) == 0 ||
        strcmp(exchange->method, MHD_HTTP_METHOD_CONNECT) == 0)
        refuse(exchange, MHD_HTTP_NOT_IMPLEMENTED, "this server knows no such method");
    if (head->bytes + exchange->target_len > exchange->server->limits.head_bytes)
        refuse(exchange, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
               "the request's headers are longer than this server takes");
    if ((uint64_t)length > exchange->server->limits.body_bytes)
        refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE,
               "the request's body is longer than this server takes");
}

/* Prepares the reply to a request that was refused, or that concerns no path. */
static void answer_for_handler(struct core_http_exchange *exchange)
{
    if (exchange->refused) {
        set_error(exchange, exchange->refused, exchange->wrong);
        if (exchange->refused == MHD_HTTP_SERVICE_UNAVAILABLE)
            core_http_add_header(exchange, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    } else {
        core_http_add_header(exchange, MHD_HTTP_HEADER_ALLOW,
                             "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        set_body(exchange, MHD_HTTP_NO_CONTENT, NULL, NULL);
    }
}

/*
 * With the head: the body is yet to come. One that is refused is still read and dropped, so that
 * the client gets to read the answer, unless the client waits for a word before it sends it, or it
 * is out of all proportion, or where it ends is not certain.
 */
static enum MHD_Result begin(struct core_http_exchange *exchange, const char *method)
{
    struct core_http_server *server = exchange->server;
    struct head head = { .length = NULL };
    int64_t length = 0;

    exchange->begun = true;
    exchange->method = rc_strdup(method);
    (void)server->mhd.get_connection_values(exchange->mhd, MHD_HEADER_KIND, look_at_header, &head);
    if (head.length && !rc_parse_int(head.length, &length))
        length = INT64_MAX;
    judge(exchange, &head, length);
    if (!exchange->refused || (!head.expects && !head.strange && !head.endless &&
                               (uint64_t)length / DROP_FACTOR <= server->limits.body_bytes))
        return MHD_YES;
    exchange->connection->receiving = false;
    answer_for_handler(exchange);
    return send_reply(exchange);
}

static void take_body(struct core_http_exchange *exchange, const char *data, size_t len)
{
    struct core_http_server *server = exchange->server;

    if (exchange->refused)
        return;
    rc_buf_add(&exchange->body, data, len);
    if (exchange->body.overflow) {
        refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE,
               "the request's body is longer than this server takes");
    } else if (server->body_bytes + len > server->limits.all_bodies_bytes) {
        refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE,
               "this server has no room for more requests with a body; try again later");
    } else {
        server->body_bytes += len;
        exchange->counted += len;
    }
    if (exchange->refused)
        rc_buf_clear(&exchange->body);
}

/* Nothing more of the exchange until it is made ready. */
static void park(struct core_http_exchange *exchange)
{
    exchange->parked = true;
    exchange->server->mhd.suspend_connection(exchange->mhd);
}

static enum MHD_Result complete(struct core_http_exchange *exchange)
{
    struct core_http_server *server = exchange->server;
    bool is_replied;

    exchange->connection->receiving = false;
    core_http_set_deadline(exchange->connection, INT64_MAX);
    if (exchange->refused || !exchange->uri.path) {
        answer_for_handler(exchange);
        return send_reply(exchange);
    }
    exchange->phase = HANDLING;
    exchange->in_handler = true;
    if (server->thread_count > 0) {
        park(exchange);
        core_http_handlers_add(server, exchange);
        return MHD_YES;
    }
    core_http_handle(exchange);
    (void)pthread_mutex_lock(&server->mutex);
    is_replied = exchange->phase == REPLIED;
    if (!is_replied) {
        park(exchange);
        core_http_watch_client(exchange->connection, 0);
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return is_replied ? send_reply(exchange) : MHD_YES;
}

/* ---- callbacks of libmicrohttpd -------------------------------------------------------------- */

void *core_http_on_target(void *context, const char *target, struct MHD_Connection *mhd)
{
    struct core_http_server *server = context;
    const union MHD_ConnectionInfo *info =
        server->mhd.get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct core_http_exchange *exchange = rc_calloc(1, sizeof(*exchange));

    *exchange = (struct core_http_exchange){
        .server = server,
        .connection = info->socket_context,
        .mhd = mhd,
        .body = RC_BUF_INIT(server->limits.body_bytes),
        .reply = RC_BUF_INIT(0),
        .target_len = strlen(target),
    };
    exchange->wrong = core_http_uri_parse(target, &exchange->uri);
    exchange->connection->exchange = exchange;
    return exchange;
}

/*
 * Called with the head, then with each part of the body, then with nothing more: only then is the
 * request complete. And once more when an exchange was resumed.
 */
enum MHD_Result core_http_on_request(void *context, struct MHD_Connection *mhd, const char *url,
                                     const char *method, const char *version, const char *data,
                                     size_t *data_len, void **state)
{
    struct core_http_server *server = context;
    struct core_http_exchange *exchange = *state;
    enum phase phase;

    (void)mhd;
    (void)url;
    (void)version;
    if (!exchange->begun)
        return begin(exchange, method);
    if (*data_len > 0) {
        take_body(exchange, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    (void)pthread_mutex_lock(&server->mutex);
    phase = exchange->phase;
    (void)pthread_mutex_unlock(&server->mutex);
    if (phase == ARRIVING)
        return complete(exchange);
    return phase == REPLIED ? send_reply(exchange) : MHD_NO;
}

static void free_exchange(struct core_http_exchange *exchange)
{
    for (size_t i = 0; i < exchange->header_count; i++) {
        free(exchange->headers[i].name);
        free(exchange->headers[i].value);
    }
    free(exchange->headers);
    free(exchange->content_type);
    free(exchange->method);
    free(exchange->chunk);
    core_http_uri_clear(&exchange->uri);
    rc_buf_clear(&exchange->body);
    rc_buf_clear(&exchange->reply);
    free(exchange);
}

void core_http_on_completed(void *context, struct MHD_Connection *mhd, void **state,
                            enum MHD_RequestTerminationCode how)
{
    struct core_http_exchange *exchange = *state;

    (void)context;
    (void)mhd;
    (void)how;
    if (!exchange)
        return;
    *state = NULL;
    if (exchange->streaming)
        exchange->source.closed(exchange->source.context);
    exchange->connection->exchange = NULL;
    core_http_begin_receiving(exchange->connection);
    exchange->server->body_bytes -= exchange->counted;
    free_exchange(exchange);
}
