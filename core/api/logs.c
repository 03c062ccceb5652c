/*
 * The log of a run: a range, its end, or as it grows. The guard of an attempt writes N.log, and
 * when that is full renames it to N.log.1 and begins anew; here the two are one text, whose offset
 * 0 is the first byte that is still kept. Where one that follows it is slower than the run, so that
 * a part goes unread, it is told so.
 *
 * A stream that follows a run looks for more five times a second while it waits, and it alone: a
 * daemon whose logs nobody follows has no timer for them.
 */
#include <api/call.h>

#include <os/clock.h>
#include <os/path.h>
#include <runtime/run_log.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOOK_EVERY_MS = 200,
    ASK_EVERY_MS = 1000, /* the database whether the run has ended */
    PATH_BYTES = 4096,
    BLOCK_BYTES = 16 * 1024,
    NOTICE_BYTES = 4096,
    OPENINGS = 10, /* of a log that is rotated meanwhile */
};

#define LOG_TYPE "text/plain; charset=utf-8"

const struct rc_option core_log_options[] = {
    { RC_INT("attempt", struct core_log_query, attempt), .def = "0", .min = 0, .max = 1000000,
      .help = "Which attempt's; 0 is the latest, and when following those after it too." },
    { RC_INT("offset", struct core_log_query, offset), .def = "0", .min = 0, .max = INT64_MAX,
      .help = "First byte, counted from the first that is still kept." },
    { RC_INT("limit", struct core_log_query, limit), .def = "0", .min = 0, .max = INT64_MAX,
      .help = "Most bytes; 0 is no limit." },
    { RC_INT("tail", struct core_log_query, tail), .def = "0", .min = 0, .max = 1000000,
      .help = "Only so many lines from the end; 0 is all." },
    { RC_BOOL("follow", struct core_log_query, follow), .def = "false",
      .help = "Goes on as the log grows, until the run has ended." },
    { 0 },
};

struct core_log_stream {
    struct core_log_stream *next; /* of those that wait */
    bool waits;
    struct core_api *api;
    struct core_http_exchange *exchange;
    char run[CORE_RUN_ID_TEXT];
    char *folder;
    int64_t attempt;
    int older, fd;       /* -1: none, or not there yet */
    int64_t at;          /* in the one that is read: 'older' as long as it is open */
    int64_t left;        /* bytes to send; INT64_MAX: all */
    bool follow, pinned; /* to that attempt */
    bool drained;        /* of a log that was renamed: read to its end once more */
    bool ended;          /* nothing more will be written */
    int64_t asked_mono_ms;
    struct rc_buf notice; /* a line of our own, which is sent before anything else */
    size_t notice_at;
};

/* ---- the files ------------------------------------------------------------------------------- */

static int open_part(const char *folder, int64_t attempt, bool older)
{
    RC_BUF_AUTO(path, PATH_BYTES);

    core_attempt_log_path(folder, attempt, older, &path);
    return path.overflow ? -1 : core_fd_open(path.data, O_RDONLY | O_NOFOLLOW, 0);
}

static int64_t size_of(int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 ? (int64_t)st.st_size : 0;
}

static bool is_same(int one, int other)
{
    struct stat a, b;

    return one >= 0 && other >= 0 && fstat(one, &a) == 0 && fstat(other, &b) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* Whether the log stands under another name by now, as a new one was begun. */
static bool was_renamed(const struct core_log_stream *stream)
{
    RC_BUF_AUTO(path, PATH_BYTES);

    core_attempt_log_path(stream->folder, stream->attempt, false, &path);
    return access(path.data, F_OK) == 0 && !core_fd_is_at(stream->fd, path.data);
}

/* Whether they are the two parts of one moment: the log was not rotated between. */
static bool open_both(struct core_log_stream *stream)
{
    stream->fd = open_part(stream->folder, stream->attempt, false);
    stream->older = open_part(stream->folder, stream->attempt, true);
    return stream->older < 0 ||
           (stream->fd >= 0 && !is_same(stream->older, stream->fd) && !was_renamed(stream));
}

/*
 * Where the log is rotated again and again between the two, the one found by its older name is as
 * new or newer, and is taken alone: who follows finds at its end what comes after it.
 */
static void open_log(struct core_log_stream *stream)
{
    bool is_whole = open_both(stream);

    for (int i = 1; i < OPENINGS && !is_whole; i++) {
        core_fd_close(&stream->fd);
        core_fd_close(&stream->older);
        is_whole = open_both(stream);
    }
    if (!is_whole) {
        core_fd_close(&stream->fd);
        stream->fd = stream->older;
        stream->older = -1;
    }
    stream->at = 0;
    stream->drained = false;
}

static ssize_t read_at(int fd, void *data, size_t len, int64_t at)
{
    ssize_t got;

    if (at > INT64_MAX - (int64_t)len) /* pread(2) takes it for a mistake; no file is that long */
        return 0;
    do
        got = pread(fd, data, len, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Goes to 'offset' of the two parts as one text. */
static void seek(struct core_log_stream *stream, int64_t offset)
{
    int64_t older = size_of(stream->older);

    stream->at = offset;
    if (stream->older >= 0 && offset >= older) {
        stream->at = offset - older;
        core_fd_close(&stream->older);
    }
}

static ssize_t read_both(const struct core_log_stream *stream, char *data, size_t len, int64_t at)
{
    int64_t older = size_of(stream->older);

    if (at >= older)
        return stream->fd < 0 ? 0 : read_at(stream->fd, data, len, at - older);
    if ((int64_t)len > older - at)
        len = (size_t)(older - at);
    return read_at(stream->older, data, len, at);
}

/* The offset at which the last 'lines' lines begin. */
static int64_t tail_of(const struct core_log_stream *stream, int64_t lines)
{
    int64_t end = size_of(stream->older) + size_of(stream->fd), found = 0;
    char block[BLOCK_BYTES];

    for (int64_t at = end; at > 0;) {
        int64_t from = at > BLOCK_BYTES ? at - BLOCK_BYTES : 0;
        ssize_t got = read_both(stream, block, (size_t)(at - from), from);

        /* A block that spans both parts comes short: the rest of it is read first. */
        if (got > 0 && got < at - from) {
            from += got;
            got = read_both(stream, block, (size_t)(at - from), from);
        }
        if (got <= 0)
            break;
        for (ssize_t i = got; i > 0; i--)
            if (block[i - 1] == '\n' && from + i < end && ++found == lines)
                return from + i;
        at = from;
    }
    return 0;
}

/* ---- following ------------------------------------------------------------------------------- */

static bool has_attempt(const struct core_log_stream *stream, int64_t attempt)
{
    RC_BUF_AUTO(path, PATH_BYTES);

    core_attempt_log_path(stream->folder, attempt, false, &path);
    return access(path.data, F_OK) == 0;
}

static void judge(void *context, const struct core_run_record *record)
{
    struct core_log_stream *stream = context;

    if (record->status != CORE_RUN_DUE && record->status != CORE_RUN_STARTED)
        stream->ended = true;
    else if (stream->pinned)
        stream->ended = record->attempt > stream->attempt ||
                        (record->attempt == stream->attempt && record->status == CORE_RUN_DUE);
}

/* Finds out whether anything more will be written; *ended is looked at after one more read. */
static void look_for_end(struct core_log_stream *stream)
{
    int64_t now = core_clock_mono_ms();
    struct rc_error err = RC_ERROR_INIT;

    if (stream->api->closing) {
        stream->ended = true;
        return;
    }
    if (core_supervisor_status(stream->api->supervisor, stream->run) &&
        !(stream->pinned && has_attempt(stream, stream->attempt + 1)))
        return;
    if (stream->asked_mono_ms && now - stream->asked_mono_ms < ASK_EVERY_MS)
        return;
    stream->asked_mono_ms = now;
    if (core_ledger_run(core_supervisor_ledger(stream->api->supervisor), stream->run, judge, stream,
                        &err) == RC_NOT_FOUND)
        stream->ended = true;
}

static void wake_all(void *context)
{
    struct core_api *api = context;

    while (api->streams) {
        struct core_log_stream *stream = api->streams;

        api->streams = stream->next;
        stream->waits = false;
        core_http_wake(stream->exchange);
    }
}

void core_api_end_streams(struct core_api *api)
{
    core_timer_cancel(&api->stream_timer);
    wake_all(api);
}

static ssize_t wait_for_more(struct core_log_stream *stream)
{
    struct core_api *api = stream->api;

    if (!stream->waits) {
        stream->waits = true;
        stream->next = api->streams;
        if (!api->streams) {
            api->stream_timer.clock = CORE_TIMER_MONO;
            api->stream_timer.fn = wake_all;
            api->stream_timer.context = api;
            core_timer_set(api->loop, &api->stream_timer, core_clock_mono_ms() + LOOK_EVERY_MS);
        }
        api->streams = stream;
    }
    return 0;
}

/* A line longer than any reader would want is cut where a part ends. */
static bool ends_line(int fd, int64_t end)
{
    char last;

    return end == 0 || (read_at(fd, &last, 1, end - 1) == 1 && last == '\n');
}

/* For a reader of the stream, as a line of the log, what was dropped before it could be read. */
static void note_gap(struct core_log_stream *stream, int64_t bytes)
{
    char amount[RC_AMOUNT_TEXT], attempt[24];
    RC_STR_AUTO message = rc_strf("%s of the run's output are missing here: they were dropped "
                                  "(core.history.log_size) before they could be read",
                                  rc_format_size(bytes, amount));

    (void)snprintf(attempt, sizeof(attempt), "%" PRId64, stream->attempt);
    rc_buf_addc(&stream->notice, '{');
    core_json_time(&stream->notice, "time", core_clock_now_unix_ms());
    core_json_text(&stream->notice, "level", "warn");
    core_json_text(&stream->notice, "message", message);
    core_json_text(&stream->notice, "run", stream->run);
    core_json_text(&stream->notice, "attempt", attempt);
    rc_buf_adds(&stream->notice, "}\n");
}

/*
 * From the end of a part that was renamed to the part after it, which may have been renamed by now,
 * too, or be gone.
 */
static void open_next(struct core_log_stream *stream)
{
    RC_CLEANUP(core_fd_close) int done = stream->fd;
    int64_t end = stream->at, gap;

    open_log(stream);
    if (is_same(stream->older, done))
        core_fd_close(&stream->older);
    if (is_same(stream->fd, done)) { /* there is none yet */
        stream->at = end;
        return;
    }
    gap = core_run_log_preceding_bytes(stream->older >= 0 ? stream->older : stream->fd) -
          core_run_log_preceding_bytes(done) - end;
    if (gap <= 0)
        return;
    if (!ends_line(done, end))
        rc_buf_addc(&stream->notice, '\n');
    note_gap(stream, gap);
}

/*
 * At the end of what there is: goes on to the next file, or decides whether to wait. False: there
 * is nothing more to read now, for the reason in *result.
 */
static bool go_on(struct core_log_stream *stream, ssize_t *result)
{
    if (stream->older >= 0) {
        core_fd_close(&stream->older);
        stream->at = 0;
        return true;
    }
    *result = CORE_HTTP_END;
    if (!stream->follow)
        return false;
    if (stream->fd >= 0 && was_renamed(stream)) {
        if (stream->drained) {
            open_next(stream);
        } else {
            stream->drained = true; /* what was written until it was renamed */
        }
        return true;
    }
    if (!stream->pinned && has_attempt(stream, stream->attempt + 1)) {
        core_fd_close(&stream->fd);
        stream->attempt++;
        open_log(stream);
        return true;
    }
    if (stream->ended)
        return false;
    look_for_end(stream);
    if (stream->fd < 0)
        open_log(stream); /* it may have been made by now, and all of it be there */
    if (stream->ended)
        return true; /* once more */
    *result = wait_for_more(stream);
    return false;
}

static ssize_t read_notice(struct core_log_stream *stream, char *data, size_t len)
{
    size_t left = stream->notice.len - stream->notice_at;

    len = len < left ? len : left;
    memcpy(data, stream->notice.data + stream->notice_at, len);
    stream->notice_at += len;
    if (len == left) {
        rc_buf_reset(&stream->notice);
        stream->notice_at = 0;
    }
    return (ssize_t)len;
}

static ssize_t read_part(struct core_log_stream *stream, char *data, size_t len)
{
    int fd = stream->older >= 0 ? stream->older : stream->fd;
    ssize_t got = fd < 0 ? 0 : read_at(fd, data, len, stream->at);

    stream->at += got > 0 ? got : 0;
    return got;
}

static ssize_t read_log(void *context, char *data, size_t capacity)
{
    struct core_log_stream *stream = context;
    ssize_t result = CORE_HTTP_END;

    while (stream->left > 0) {
        size_t len = (int64_t)capacity < stream->left ? capacity : (size_t)stream->left;
        ssize_t got =
            stream->notice.len > 0 ? read_notice(stream, data, len) : read_part(stream, data, len);

        if (got < 0)
            return CORE_HTTP_BREAK;
        if (got > 0) {
            stream->left -= stream->left == INT64_MAX ? 0 : got;
            return got;
        }
        if (!go_on(stream, &result))
            return result;
    }
    return CORE_HTTP_END;
}

static void end_log(void *context)
{
    struct core_log_stream *stream = context;
    struct core_log_stream **link = &stream->api->streams;

    while (stream->waits && *link) {
        if (*link == stream) {
            *link = stream->next;
            break;
        }
        link = &(*link)->next;
    }
    core_fd_close(&stream->older);
    core_fd_close(&stream->fd);
    rc_buf_clear(&stream->notice);
    free(stream->folder);
    free(stream);
}

/* ---- the request ----------------------------------------------------------------------------- */

/* "bytes=FROM-TO", "bytes=FROM-", "bytes=-LAST". Others, such as several ranges, mean all. */
static bool parse_range(const char *header, int64_t size, int64_t *from, int64_t *len)
{
    static const char unit[] = "bytes=";
    RC_STR_AUTO text = NULL;
    char *dash;
    int64_t first = 0, last = INT64_MAX;

    if (!header || strncasecmp(header, unit, strlen(unit)) != 0)
        return false;
    text = rc_strdup(header + strlen(unit));
    dash = strchr(text, '-');
    if (!dash || text[strspn(text, "0123456789-")])
        return false;
    *dash = '\0';
    if ((text[0] && !rc_parse_int(text, &first)) || (dash[1] && !rc_parse_int(dash + 1, &last)) ||
        (!text[0] && !dash[1]) || first < 0 || last < 0)
        return false;
    if (!text[0]) { /* the last so many */
        *from = last < size ? size - last : 0;
        *len = size - *from;
        return true;
    }
    if (last < first)
        return false;
    *from = first;
    *len = last - first < size - first ? last - first + 1 : size - first;
    return true;
}

struct wanted {
    char executor[128], spool[PATH_BYTES];
    bool is_foreground, goes_on;
    int64_t attempt;
};

static void take_record(void *context, const struct core_run_record *record)
{
    struct wanted *wanted = context;

    wanted->attempt = record->attempt;
    wanted->goes_on = record->status == CORE_RUN_DUE || record->status == CORE_RUN_STARTED;
    wanted->is_foreground = rc_str_eq(record->trigger, "foreground");
    (void)snprintf(wanted->executor, sizeof(wanted->executor), "%s",
                   record->executor ? record->executor : "");
    (void)snprintf(wanted->spool, sizeof(wanted->spool), "%s", record->spool ? record->spool : "");
}

static void refuse_missing(struct core_api_call *call, const struct wanted *wanted, int64_t attempt)
{
    if (wanted->is_foreground)
        core_api_refuse(call, RC_NOT_FOUND,
                        "run '%s' went on in the foreground, where its log was shown, not kept",
                        call->segments[0]);
    else if (attempt == 0)
        core_api_refuse(call, RC_NOT_FOUND, "run '%s' has had no attempt, so it has no log",
                        call->segments[0]);
    else
        core_api_refuse(call, RC_NOT_FOUND,
                        "there is no log of attempt %" PRId64
                        " of run '%s' here: there was no such attempt, its log was removed by "
                        "core.history, or it is with another daemon (%s)",
                        attempt, call->segments[0], wanted->executor);
}

static void answer_range(struct core_api_call *call, struct core_log_stream *stream,
                         unsigned *status)
{
    const struct core_log_query *query = call->query;
    int64_t size = size_of(stream->older) + size_of(stream->fd), from, len;
    const char *header = core_http_header(call->exchange, "Range");
    char text[96];

    core_http_add_header(call->exchange, "Accept-Ranges", "bytes");
    if (query->follow || query->offset || query->limit || query->tail ||
        !parse_range(header, size, &from, &len))
        return;
    if (from >= size) {
        (void)snprintf(text, sizeof(text), "bytes */%" PRId64, size);
        *status = 416;
    } else {
        (void)snprintf(text, sizeof(text), "bytes %" PRId64 "-%" PRId64 "/%" PRId64, from,
                       from + len - 1, size);
        *status = 206;
        seek(stream, from);
        stream->left = len;
    }
    core_http_add_header(call->exchange, "Content-Range", text);
}

static void answer(struct core_api_call *call, struct core_log_stream *stream)
{
    const struct core_log_query *query = call->query;
    unsigned status = 200;

    if (query->tail)
        seek(stream, tail_of(stream, query->tail));
    else
        seek(stream, query->offset);
    if (query->limit)
        stream->left = query->limit;
    answer_range(call, stream, &status);
    if (status == 416) {
        core_http_reply_error(call->exchange, 416, "the log is shorter than that");
        end_log(stream);
        return;
    }
    core_http_reply_stream(
        call->exchange, status, LOG_TYPE,
        &(struct core_http_source){ .context = stream, .read = read_log, .closed = end_log });
}

/*
 * The folder of the run: our own, or that of another daemon on this machine, which knows it by the
 * spool that its latest attempt was recorded with.
 */
static char *folder_of(const struct core_supervisor *supervisor, const char *run,
                       const struct wanted *wanted)
{
    RC_STR_AUTO own = rc_strf("%s/%s", core_supervisor_runs_folder(supervisor), run);

    if (wanted->spool[0] && access(own, F_OK) != 0)
        return rc_strf("%s/runs/%s", wanted->spool, run);
    return rc_strdup(own);
}

void core_api_log(struct core_api_call *call)
{
    const struct core_log_query *query = call->query;
    struct core_supervisor *supervisor = call->api->supervisor;
    struct core_log_stream *stream;
    struct rc_error err = RC_ERROR_INIT;
    struct wanted wanted = { .attempt = 0 };

    if (core_ledger_run(core_supervisor_ledger(supervisor), call->segments[0], take_record, &wanted,
                        &err)) {
        core_api_fail(call, &err);
        return;
    }
    stream = rc_calloc(1, sizeof(*stream));
    *stream = (struct core_log_stream){
        .api = call->api,
        .exchange = call->exchange,
        .folder = folder_of(supervisor, call->segments[0], &wanted),
        .attempt = query->attempt ? query->attempt : wanted.attempt,
        .older = -1,
        .fd = -1,
        .left = INT64_MAX,
        .follow = query->follow && wanted.goes_on,
        .pinned = query->attempt != 0,
        .notice = RC_BUF_INIT(NOTICE_BYTES),
    };
    (void)snprintf(stream->run, sizeof(stream->run), "%s", call->segments[0]);
    if (stream->attempt)
        open_log(stream);
    if (stream->fd < 0 && stream->older < 0 && !stream->follow) {
        refuse_missing(call, &wanted, stream->attempt);
        end_log(stream);
        return;
    }
    answer(call, stream);
}
