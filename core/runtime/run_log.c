/*
 * Keeping a run's log within its size: see run_log.h. Looks at nothing in it but the ends of lines.
 */
#include <runtime/run_log.h>

#include <os/clock.h>
#include <os/path.h>
#include <runtime/output.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LEAST_LIMIT_BYTES = 4096,
    LONGEST_LINE = 64 * 1024, /* that is kept whole at the end of a part */
    RATE_BYTES_PER_MS = 16 * 1024,
    LEAST_BURST_BYTES = 16 * 1024 * 1024,
    FIRST_LINE_BYTES = 4096, /* enough for the line that a part begins with */
};

#define PRECEDING_KEY "preceding_bytes"
#define PRECEDING_START "\"" PRECEDING_KEY "\":\"" /* as it stands in that line */

struct core_run_log {
    char *path, *older;
    int fd;
    int64_t part_limit, part_bytes;
    int64_t preceding_bytes; /* in the parts before this one, also in those no longer kept */
    bool in_line;            /* what was written last did not end a line */

    int64_t dropped_bytes, told_bytes; /* told: as far as the log says so */
    int error_number;                  /* of the last failed write */
    bool in_gap;                       /* the line that goes on was not written from its start */
    bool nowhere;                      /* there is no file */

    int64_t allowed_bytes, burst_bytes, filled_mono_ms; /* a bucket that fills with time */
};

/* Opens a new file as the log's descriptor. Returns 0 or the error's number. */
static int open_part(struct core_run_log *log)
{
    int fd = core_fd_open(log->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    int error_number = fd < 0 ? errno : 0;

    if (fd < 0)
        return error_number;
    if (fd != log->fd) {
        dup2(fd, log->fd);
        close(fd);
    }
    log->part_bytes = 0;
    return 0;
}

struct core_run_log *core_run_log_open(const char *path, int64_t limit_bytes, int fd)
{
    struct core_run_log *log = rc_calloc(1, sizeof(*log));

    *log = (struct core_run_log){
        .path = rc_strdup(path),
        .older = rc_strf("%s.1", path),
        .fd = fd,
        .part_limit = (limit_bytes > LEAST_LIMIT_BYTES ? limit_bytes : LEAST_LIMIT_BYTES) / 2,
        .burst_bytes = limit_bytes > LEAST_BURST_BYTES ? limit_bytes : LEAST_BURST_BYTES,
        .filled_mono_ms = core_clock_mono_ms(),
    };
    log->allowed_bytes = log->burst_bytes;
    log->error_number = open_part(log);
    log->nowhere = log->error_number != 0;
    if (log->nowhere) {
        int nothing = core_fd_open("/dev/null", O_WRONLY, 0);

        dup2(nothing, fd);
        core_fd_close(&nothing);
    }
    return log;
}

/* ---- parts -------------------------------------------------------------------------------- */

/*
 * The first line of a part says how much stands before it, so that whoever finds it as the oldest
 * part, or has read an earlier one, knows how much is gone.
 */
static void say_preceding(const struct core_run_log *log)
{
    char amount[RC_AMOUNT_TEXT];
    RC_STR_AUTO bytes = rc_strf("%" PRId64, log->preceding_bytes);
    const struct rc_log_field field = { PRECEDING_KEY, bytes };

    core_output_log(RC_LOG_INFO, &field, 1,
                    "the run's output goes on here after %s, of which only the newest part is kept "
                    "(core.history.log_size)",
                    rc_format_size(log->preceding_bytes, amount));
}

int64_t core_run_log_preceding_bytes(int fd)
{
    char line[FIRST_LINE_BYTES];
    ssize_t got = pread(fd, line, sizeof(line) - 1, 0);
    char *at;
    int64_t bytes;

    line[got > 0 ? got : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    at = strstr(line, PRECEDING_START);
    if (!at)
        return 0;
    at += strlen(PRECEDING_START);
    at[strcspn(at, "\"")] = '\0';
    /* What a worker prints may look like that line, and say anything. */
    return rc_parse_int(at, &bytes) && bytes > 0 && bytes < INT64_MAX / 2 ? bytes : 0;
}

/* All that is in the part, also lines that others wrote into it. */
static int64_t size_of_part(const struct core_run_log *log)
{
    struct stat info;

    return fstat(log->fd, &info) == 0 ? (int64_t)info.st_size : 0;
}

static void rotate(struct core_run_log *log)
{
    int64_t size = size_of_part(log);

    if (rename(log->path, log->older))
        (void)unlink(log->path); /* then the older part is lost, and not the newest */
    log->part_bytes = 0;
    if (open_part(log))
        return; /* the file that is open goes on, though nobody finds it */
    log->preceding_bytes += size;
    say_preceding(log);
}

static void drop(struct core_run_log *log, const char *data, size_t len)
{
    log->dropped_bytes += (int64_t)len;
    log->in_gap = data[len - 1] != '\n';
}

/* After a gap the log goes on with a whole line. Returns what of 'data' belongs to the gap. */
static size_t end_gap(struct core_run_log *log, const char *data, size_t len)
{
    const char *end = memchr(data, '\n', len);
    size_t gone = end ? (size_t)(end - data) + 1 : len;

    drop(log, data, gone);
    if (log->in_line && write(log->fd, "\n", 1) == 1)
        log->in_line = false;
    return gone;
}

/* Writes as much as there is room for on the disk. */
static void write_out(struct core_run_log *log, const char *data, size_t len)
{
    size_t done = log->in_gap && len > 0 ? end_gap(log, data, len) : 0;

    while (done < len) {
        ssize_t written = write(log->fd, data + done, len - done);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            log->error_number = written < 0 ? errno : EIO;
            drop(log, data + done, len - done);
            return;
        }
        done += (size_t)written;
        log->in_line = data[done - 1] != '\n';
        log->part_bytes += written;
    }
}

/* How much of 'data' goes into the present part: up to the end of a line, if one is near. */
static size_t share_of_part(const struct core_run_log *log, const char *data, size_t len)
{
    int64_t room = log->part_limit - log->part_bytes;
    const char *end;

    if (room >= (int64_t)len)
        return len;
    end = room > 0 ? memrchr(data, '\n', (size_t)room) : NULL;
    if (end)
        return (size_t)(end - data) + 1;
    if (!log->in_line && log->part_bytes > 0)
        return 0;
    /* The line goes on beyond the part's limit; it ends there soon, or is cut. */
    size_t most = room + LONGEST_LINE < 0 ? 0 : (size_t)(room + LONGEST_LINE);
    most = most < len ? most : len;
    end = memchr(data, '\n', most);
    return end ? (size_t)(end - data) + 1 : most;
}

void core_run_log_add(struct core_run_log *log, const char *data, size_t len)
{
    log->allowed_bytes -= (int64_t)len;
    if (log->nowhere) {
        log->dropped_bytes += (int64_t)len;
        return;
    }
    while (len > 0) {
        size_t share = share_of_part(log, data, len);

        if (share == 0)
            rotate(log);
        write_out(log, data, share);
        data += share;
        len -= share;
    }
}

int64_t core_run_log_pause_ms(struct core_run_log *log)
{
    int64_t now_ms = core_clock_mono_ms();

    if (log->allowed_bytes > 0)
        return 0;
    log->allowed_bytes += (now_ms - log->filled_mono_ms) * RATE_BYTES_PER_MS;
    log->filled_mono_ms = now_ms;
    if (log->allowed_bytes > log->burst_bytes)
        log->allowed_bytes = log->burst_bytes;
    return log->allowed_bytes > 0 ? 0 : -log->allowed_bytes / RATE_BYTES_PER_MS + 1;
}

void core_run_log_flush(struct core_run_log *log)
{
    char amount[RC_AMOUNT_TEXT];

    log->in_gap = false;
    if (log->in_line)
        write_out(log, "\n", 1);
    if (log->dropped_bytes == log->told_bytes)
        return;
    core_output_log(
        RC_LOG_WARN, NULL, 0, "%s of the run's output could not be kept: write '%s': %s",
        rc_format_size(log->dropped_bytes, amount), log->path, strerror(log->error_number));
    log->told_bytes = log->dropped_bytes;
}

int64_t core_run_log_dropped_bytes(const struct core_run_log *log)
{
    return log->dropped_bytes;
}

void core_run_log_free(struct core_run_log *log)
{
    if (!log)
        return;
    free(log->path);
    free(log->older);
    free(log);
}
