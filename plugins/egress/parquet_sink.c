/*
 * One object on its way through the engine. The worker that brings the text is also the one that
 * takes away what the engine makes of it, so that neither waits for the other for ever: it writes
 * into one pipe while there is room in it, and reads from the other while there is something.
 *
 * The pipes have no names: the engine opens them below /proc/self/fd. The text ends when our end of
 * the first is closed; the statement, when the engine's end of the second is.
 */
#include "parquet.h"

#include <run-core/host.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SQL_LIMIT = 16 << 20, PIPE_BYTES = 1 << 20, ROOM_BYTES = 256 << 10, NAP_MS = 100 };

struct egress_parquet_sink {
    struct rc_job *job;
    struct egress_engine *engine;
    const struct egress_sink *inner;
    void *object; /* the inner sink's */
    EVP_MD_CTX *sha256;
    int64_t stored_bytes;

    int text[2],
        made[2]; /* pipes: the ends to read from and to write to; -1: closed, or not ours */
    bool is_begun, is_over;

    /* The rows of the text, which are counted as it goes by. */
    int64_t row_limit_bytes, row_bytes, rows;
    bool is_quoted;

    char room[ROOM_BYTES];
};

/* ---- pipes ---------------------------------------------------------------------------------- */

static void close_end(int *end)
{
    if (*end >= 0)
        (void)close(*end);
    *end = -1;
}

/* Our own end does not block, the engine's does: it opens a description of its own. */
static enum rc_code open_pipe(int *ends, int ours, struct rc_error *err)
{
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ends[0] = ends[1] = -1;
        return rc_fail_errno(err, errno, "make a pipe to the SQL engine");
    }
    /* Wider if the system grants it; it is slower otherwise, no more. */
    (void)fcntl(ends[ours], F_SETPIPE_SZ, PIPE_BYTES);
    if (fcntl(ends[ours], F_SETFL, O_NONBLOCK) != 0)
        return rc_fail_errno(err, errno, "prepare a pipe to the SQL engine");
    return RC_OK;
}

/* Takes what the engine has made; *is_over at its end. Nothing is kept of it without 'keeps'. */
static enum rc_code take(struct egress_parquet_sink *sink, bool keeps, struct rc_error *err)
{
    ssize_t len = read(sink->made[0], sink->room, sizeof(sink->room));

    if (len < 0)
        return errno == EAGAIN || errno == EINTR
                   ? RC_OK
                   : rc_fail_errno(err, errno, "read what the SQL engine has made");
    sink->is_over = len == 0;
    if (len == 0 || !keeps)
        return RC_OK;
    sink->stored_bytes += len;
    if (!EVP_DigestUpdate(sink->sha256, sink->room, (size_t)len))
        return rc_fail(err, RC_FAILED, "OpenSSL cannot go on with its SHA-256");
    return sink->inner->write(sink->object, sink->room, (size_t)len, err);
}

static enum rc_code give(struct egress_parquet_sink *sink, const char **data, size_t *len,
                         struct rc_error *err)
{
    ssize_t given = write(sink->text[1], *data, *len);

    if (given < 0)
        return errno == EAGAIN || errno == EINTR
                   ? RC_OK
                   : rc_fail_errno(err, errno, "give the text to the SQL engine");
    *data += given;
    *len -= (size_t)given;
    return RC_OK;
}

/* Until all of the text is given; without any, until the engine is done. */
static enum rc_code pump(struct egress_parquet_sink *sink, const char *data, size_t len,
                         struct rc_error *err)
{
    const bool is_end = len == 0;

    while (!sink->is_over && (is_end || len > 0)) {
        struct pollfd ends[2] = { { .fd = sink->made[0], .events = POLLIN },
                                  { .fd = is_end ? -1 : sink->text[1], .events = POLLOUT } };
        int ready = poll(ends, 2, NAP_MS);

        if (ready < 0 && errno != EINTR)
            return rc_fail_errno(err, errno, "wait for the SQL engine");
        if (rc_job_check(sink->job, err) ||
            (ready > 0 && ends[0].revents && take(sink, /* keeps = */ true, err)) ||
            (ready > 0 && ends[1].revents && give(sink, &data, &len, err)))
            return err->code;
    }
    return RC_OK;
}

/* ---- the text ------------------------------------------------------------------------------- */

/* As CSV has rows: the end of a line within quotes belongs to a value. */
static enum rc_code count_rows(struct egress_parquet_sink *sink, const char *data, size_t len,
                               struct rc_error *err)
{
    char size[RC_AMOUNT_TEXT];

    for (size_t i = 0; i < len; i++) {
        sink->row_bytes++;
        if (data[i] == EGRESS_PARQUET_QUOTE) {
            sink->is_quoted = !sink->is_quoted;
        } else if (data[i] == '\n' && !sink->is_quoted) {
            sink->rows++;
            sink->row_bytes = 0;
        }
        if (sink->row_bytes >= sink->row_limit_bytes)
            return rc_fail(err, RC_TOO_LARGE,
                           "row %" PRId64 " takes more than %s as text, too much for the SQL "
                           "engine: raise 'memory' to 20 times of what it takes, or dump it as csv",
                           sink->rows + 1, rc_format_size(sink->row_limit_bytes, size));
    }
    return RC_OK;
}

/* Nobody but the engine knows why it has ended before the text did. */
static enum rc_code fail_early(struct egress_parquet_sink *sink, struct rc_error *err)
{
    int64_t rows;

    if (egress_engine_wait(sink->engine, &rows, err))
        return rc_context(err, "make Parquet of it");
    return rc_fail(err, RC_CORRUPT, "the SQL engine ended before the text did");
}

enum rc_code egress_parquet_write(struct egress_parquet_sink *sink, const char *data, size_t len,
                                  struct rc_error *err)
{
    if (len == 0)
        return RC_OK;
    if (count_rows(sink, data, len, err) || pump(sink, data, len, err))
        return err->code;
    return sink->is_over ? fail_early(sink, err) : RC_OK;
}

/* ---- the beginning and the end -------------------------------------------------------------- */

static enum rc_code begin(struct egress_parquet_sink *sink,
                          const struct egress_parquet_opening *opening, struct rc_error *err)
{
    RC_BUF_AUTO(sql, SQL_LIMIT);
    struct egress_parquet_copy copy = { .table = opening->table, .row_bytes = opening->row_bytes };

    if (open_pipe(sink->text, 1, err) || open_pipe(sink->made, 0, err))
        return err->code;
    copy.input = sink->text[0];
    copy.output = sink->made[1];
    if (egress_parquet_sql(&copy, &sql, err) ||
        opening->inner->open(opening->inner->context, opening->object, &sink->object, err) ||
        egress_engine_take(opening->job, opening->engines, &sink->engine, err))
        return err->code;
    egress_engine_begin(sink->engine, rc_buf_take(&sql), sink->made[1]);
    sink->made[1] = -1;
    sink->is_begun = true;
    return RC_OK;
}

enum rc_code egress_parquet_open(const struct egress_parquet_opening *opening,
                                 struct egress_parquet_sink **out, struct rc_error *err)
{
    struct egress_parquet_sink *sink = rc_malloc(sizeof(*sink));

    *sink = (struct egress_parquet_sink){ .job = opening->job,
                                          .inner = opening->inner,
                                          .row_limit_bytes = opening->row_bytes,
                                          .text = { -1, -1 },
                                          .made = { -1, -1 },
                                          .sha256 = EVP_MD_CTX_new() };
    *out = sink;
    if (!sink->sha256)
        rc_out_of_memory(sizeof(void *));
    if (!EVP_DigestInit_ex(sink->sha256, EVP_sha256(), NULL))
        (void)!rc_fail(err, RC_FAILED, "OpenSSL has no SHA-256 to offer");
    else if (begin(sink, opening, err) == RC_OK)
        return RC_OK;
    egress_parquet_close(sink);
    *out = NULL;
    return err->code;
}

static enum rc_code end_digest(struct egress_parquet_sink *sink, char *out, struct rc_error *err)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (!EVP_DigestFinal_ex(sink->sha256, digest, &len))
        return rc_fail(err, RC_FAILED, "OpenSSL cannot end its SHA-256");
    for (unsigned i = 0; i < len; i++) {
        *out++ = digits[digest[i] >> 4];
        *out++ = digits[digest[i] & 15];
    }
    *out = '\0';
    return RC_OK;
}

enum rc_code egress_parquet_commit(struct egress_parquet_sink *sink, int64_t rows,
                                   struct egress_stored *out, struct rc_error *err)
{
    int64_t made = 0;

    close_end(&sink->text[1]);
    if (pump(sink, NULL, 0, err))
        return err->code;
    if (egress_engine_wait(sink->engine, &made, err))
        return rc_context(err, "make Parquet of it");
    if (made != rows || sink->rows != rows)
        return rc_fail(err, RC_CORRUPT,
                       "PostgreSQL sent %" PRId64 " rows in %" PRId64
                       " rows of text, of which the SQL engine made %" PRId64
                       "; nothing was published",
                       rows, sink->rows, made);
    *out = (struct egress_stored){ .rows = made, .bytes = sink->stored_bytes };
    if (end_digest(sink, out->sha256, err))
        return err->code;
    return sink->inner->commit(sink->object, err);
}

/*
 * A statement that is under way may be reading, writing or computing: the end of the text wakes it
 * from the first, being read from the second, and an interrupt ends the third. What it then makes
 * of half a text, nobody sees.
 */
static void stop(struct egress_parquet_sink *sink)
{
    struct rc_error ignored = RC_ERROR_INIT;
    int64_t rows;

    close_end(&sink->text[1]);
    while (!sink->is_over) {
        struct pollfd end = { .fd = sink->made[0], .events = POLLIN };

        egress_engine_cancel(sink->engine);
        if (poll(&end, 1, NAP_MS) > 0 && take(sink, /* keeps = */ false, &ignored))
            break;
    }
    (void)!egress_engine_wait(sink->engine, &rows, &ignored);
}

void egress_parquet_close(struct egress_parquet_sink *sink)
{
    if (sink->is_begun)
        stop(sink);
    if (sink->engine)
        egress_engine_give_back(sink->engine);
    for (size_t i = 0; i < 2; i++) {
        close_end(&sink->text[i]);
        close_end(&sink->made[i]);
    }
    if (sink->object)
        sink->inner->close(sink->object);
    EVP_MD_CTX_free(sink->sha256);
    free(sink);
}
