/*
 * An answer that is read piece by piece. The connection is only looked at while the reader waits,
 * so what is not read stays at the server.
 */
#include <http/client_internal.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum {
    REST_BYTES = 64 * 1024, /* read, to keep the connection, when the reader has had enough */
    REST_MS = 1000,         /* and so long at most, or twice if it comes bit by bit */
};

struct core_http_stream {
    struct core_http_call call;
    struct request request;
    struct transfer transfer;
    struct place place;
    char *method, *url; /* of the log */
    struct rc_error failed;
};

static void free_stream(struct core_http_stream *stream)
{
    core_http_transfer_end(&stream->transfer);
    core_http_place_leave(&stream->place);
    core_http_request_clear(&stream->request);
    free(stream->method);
    free(stream->url);
    free(stream);
}

/* The caller's texts may go away now. */
static void keep_texts(struct core_http_stream *stream)
{
    struct request *request = &stream->request;

    stream->method = rc_strdup(request->method);
    stream->url = rc_strdup(request->asked_url);
    request->method = stream->method;
    request->asked_url = request->url = stream->url;
    stream->transfer.answer = NULL;
}

enum rc_code core_http_open(const struct core_http_call *call, struct core_http_answer *answer,
                            struct core_http_stream **out, struct rc_error *err)
{
    struct core_http_stream *stream = rc_calloc(1, sizeof(*stream));
    enum rc_code code;

    *out = NULL;
    stream->call = *call;
    stream->call.on_body = NULL;
    code = core_http_request_init(&stream->request, &stream->call, answer, err);
    stream->request.streaming = true;
    if (!code)
        code = core_http_request_run(&stream->request, &stream->transfer, &stream->place, err);
    if (code && stream->transfer.spare.len > 0) {
        stream->failed = *err; /* for the reader, behind what came */
        code = RC_OK;
    }
    if (code == RC_OK && core_http_is_success(answer->status)) {
        keep_texts(stream);
        *out = stream;
    } else {
        free_stream(stream);
    }
    return code;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool has_piece(const struct transfer *transfer)
{
    return transfer->target_len > 0;
}

static size_t take_spare(struct transfer *transfer, void *data, size_t capacity)
{
    size_t len = transfer->spare.len - transfer->spare_at;

    len = len < capacity ? len : capacity;
    memcpy(data, transfer->spare.data + transfer->spare_at, len);
    transfer->spare_at += len;
    if (transfer->spare_at == transfer->spare.len) {
        rc_buf_reset(&transfer->spare);
        transfer->spare_at = 0;
    }
    return len;
}

static enum rc_code await_piece(struct transfer *transfer, struct rc_error *err)
{
    transfer->active_mono_ms = core_clock_mono_ms(); /* what went before was the reader's time */
    if (transfer->paused) {
        if (!core_http_transfer_resume(transfer))
            return rc_fail(err, RC_FAILED, "%s: libcurl does not go on", transfer->name);
    }
    return has_piece(transfer) ? RC_OK : core_http_transfer_drive(transfer, has_piece, err);
}

/* What came before a failure is worth having: who has it may ask for the rest alone. */
static size_t receive(struct core_http_stream *stream, void *data, size_t capacity)
{
    struct transfer *transfer = &stream->transfer;
    size_t len;

    transfer->err = &stream->failed;
    transfer->target = data;
    transfer->target_room = capacity;
    transfer->target_len = 0;
    (void)await_piece(transfer, &stream->failed);
    len = transfer->target_len;
    transfer->target_room = transfer->target_len = 0;
    return len;
}

enum rc_code core_http_read(struct core_http_stream *stream, void *data, size_t capacity,
                            size_t *len, struct rc_error *err)
{
    struct transfer *transfer = &stream->transfer;

    RC_ASSERT(capacity > 0);
    if (transfer->spare.len > 0) {
        *len = take_spare(transfer, data, capacity);
        return RC_OK;
    }
    *len = 0;
    if (!stream->failed.code && !transfer->ended)
        *len = receive(stream, data, capacity);
    if (*len > 0 || !stream->failed.code)
        return RC_OK;
    *err = stream->failed;
    return err->code;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* A connection of which little is left to read is worth more than a new one. */
static void read_rest(struct core_http_stream *stream)
{
    struct transfer *transfer = &stream->transfer;
    struct rc_error err = RC_ERROR_INIT;
    curl_off_t whole = -1;
    int64_t end_mono_ms = core_clock_mono_ms() + REST_MS;
    char piece[4096];
    size_t len = 1;

    if (transfer->ended || stream->failed.code)
        return;
    (void)transfer->curl->easy_getinfo(transfer->lane->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                                       &whole);
    if (whole < 0 || whole - transfer->received > REST_BYTES)
        return;
    transfer->idle_ms = REST_MS;
    while (len > 0 && core_clock_mono_ms() < end_mono_ms)
        if (core_http_read(stream, piece, sizeof(piece), &len, &err))
            return;
}

void core_http_close(struct core_http_stream *stream)
{
    if (!stream)
        return;
    if (stream->failed.code) {
        core_http_log(&stream->request, &stream->transfer, stream->failed.cause, -1);
    } else {
        read_rest(stream);
        core_http_log(&stream->request, &stream->transfer, NULL, -1);
    }
    free_stream(stream);
}
