/*
 * Bodies that are made while they are sent. While a source has nothing to say its connection is
 * suspended in libmicrohttpd, which then looks at nothing of it; so the client's end is watched
 * for here.
 */
#include <http/server_internal.h>

#include <os/clock.h>

#include <string.h>
#include <sys/epoll.h>

enum { CHUNK_BYTES = CORE_HTTP_CHUNK_BYTES };

/* Asks the source; where that has nothing, parks the exchange and returns 0. */
static ssize_t fill(struct core_http_exchange *exchange)
{
    struct core_http_server *server = exchange->server;

    for (;;) {
        bool parked = false, abandoned;
        ssize_t len;

        (void)pthread_mutex_lock(&server->mutex);
        abandoned = exchange->phase == ABANDONED;
        exchange->woken = false;
        (void)pthread_mutex_unlock(&server->mutex);
        if (abandoned)
            return CORE_HTTP_BREAK;
        len = exchange->source.read(exchange->source.context, exchange->chunk, CHUNK_BYTES);
        RC_ASSERT(len <= CHUNK_BYTES);
        if (len != 0)
            return len;
        (void)pthread_mutex_lock(&server->mutex);
        if (!exchange->woken) {
            parked = exchange->parked = true;
            server->mhd.suspend_connection(exchange->mhd);
            core_http_set_deadline(exchange->connection, INT64_MAX);
            core_http_watch_client(exchange->connection, EPOLLRDHUP);
        }
        (void)pthread_mutex_unlock(&server->mutex);
        if (parked)
            return 0;
    }
}

static ssize_t pull(void *context, uint64_t position, char *out, size_t capacity)
{
    struct core_http_exchange *exchange = context;
    size_t len;

    (void)position;
    if (exchange->chunk_at == exchange->chunk_len) {
        ssize_t filled = fill(exchange);

        if (filled == 0)
            return 0;
        if (filled < 0)
            return filled == CORE_HTTP_END ? MHD_CONTENT_READER_END_OF_STREAM
                                           : MHD_CONTENT_READER_END_WITH_ERROR;
        exchange->chunk_at = 0;
        exchange->chunk_len = (size_t)filled;
        core_http_set_deadline(exchange->connection,
                               core_clock_mono_ms() + exchange->server->limits.request_ms);
    }
    len = exchange->chunk_len - exchange->chunk_at;
    if (len > capacity)
        len = capacity;
    memcpy(out, exchange->chunk + exchange->chunk_at, len);
    exchange->chunk_at += len;
    return (ssize_t)len;
}

struct MHD_Response *core_http_stream_response(struct core_http_exchange *exchange)
{
    exchange->chunk = rc_malloc(CHUNK_BYTES);
    return exchange->server->mhd.create_response_from_callback(MHD_SIZE_UNKNOWN, CHUNK_BYTES, pull,
                                                               exchange, NULL);
}
