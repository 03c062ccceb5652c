/*
 * Names, page and result of an attempt: see attempt_files.h.
 */
#include <runtime/attempt_files.h>

#include <config/json.h>
#include <os/path.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PAGE_BYTES = 4096,
    RESERVED_BYTES = 32 * 1024, /* a result has three texts and 64 counters at most */
    RESULT_LIMIT = 64 * 1024,
};

_Static_assert(sizeof(struct core_attempt_page) <= PAGE_BYTES, "the page has room for its members");

char *core_attempt_path(const char *folder, int64_t number, const char *suffix)
{
    return rc_strf("%s/%lld.%s", folder, (long long)number, suffix);
}

/* Without room for all of it, to write to the page would end the process with SIGBUS. */
static bool has_page(int fd, bool make)
{
    struct stat info;

    if (make)
        errno = ftruncate(fd, 0) ? errno : posix_fallocate(fd, 0, PAGE_BYTES);
    else if (fstat(fd, &info) == 0)
        errno = info.st_size < PAGE_BYTES ? EUCLEAN : 0;
    return errno == 0;
}

struct core_attempt_page *core_attempt_page_map(const char *path, bool make)
{
    int fd = core_fd_open(path, O_RDWR, 0);
    void *page = MAP_FAILED;

    if (fd >= 0 && has_page(fd, make))
        page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    core_fd_close(&fd);
    return page == MAP_FAILED ? NULL : page;
}

void core_attempt_page_unmap(struct core_attempt_page *page)
{
    if (page)
        munmap(page, PAGE_BYTES);
}

/* ---- the result --------------------------------------------------------------------------- */

int core_attempt_result_reserve(const char *folder, int64_t number)
{
    RC_STR_AUTO path = core_attempt_path(folder, number, "result.new");
    int fd = core_fd_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd >= 0 && posix_fallocate(fd, 0, RESERVED_BYTES) != 0)
        (void)!ftruncate(fd, 0); /* then there may be room for it at the end, or not */
    return fd;
}

static void add_text(struct rc_buf *out, const char *key, const char *text)
{
    rc_buf_addf(out, "\"%s\":", key);
    rc_buf_add_json(out, text, strlen(text));
    rc_buf_addc(out, ',');
}

static void add_result(struct rc_buf *out, const struct core_attempt_end *end)
{
    const struct core_outcome *outcome = end->outcome;
    const struct core_status *status = end->status;

    rc_buf_addc(out, '{');
    add_text(out, "status", outcome->status);
    add_text(out, "reason", outcome->reason);
    add_text(out, "message", outcome->message);
    add_text(out, "action", status->action);
    rc_buf_adds(out, "\"counters\":{");
    for (size_t i = 0; i < core_status_counters(status); i++) {
        const struct core_counter *counter = &status->counters[i];
        rc_buf_adds(out, i > 0 ? "," : "");
        rc_buf_add_json(out, counter->name, strlen(counter->name));
        rc_buf_addf(out, ":%lld", (long long)atomic_load(&counter->value));
    }
    rc_buf_addf(out,
                "},\"exit_status\":%d,\"started\":%lld,\"finished\":%lld,\"log_dropped\":%lld}\n",
                outcome->exit_status, (long long)end->started_unix_ms,
                (long long)end->finished_unix_ms, (long long)end->log_dropped_bytes);
}

bool core_attempt_result_write(const char *folder, int64_t number, int reserved,
                               const struct core_attempt_end *end)
{
    RC_STR_AUTO unfinished = core_attempt_path(folder, number, "result.new");
    RC_STR_AUTO path = core_attempt_path(folder, number, "result");
    RC_BUF_AUTO(text, RESULT_LIMIT);

    add_result(&text, end);
    return reserved >= 0 && !text.overflow && core_fd_write(reserved, text.data, text.len) == 0 &&
           ftruncate(reserved, (off_t)text.len) == 0 && fdatasync(reserved) == 0 &&
           rename(unfinished, path) == 0;
}

static char *text_of(const struct core_node *map, const char *key)
{
    const struct core_node *node = core_node_get(map, key);

    return rc_strdup(node && node->text ? node->text : "");
}

int64_t core_attempt_number(int64_t number, int64_t most)
{
    return number >= 0 && number <= most ? number : 0;
}

static int64_t number_of(const struct core_node *map, const char *key, int64_t most)
{
    const struct core_node *node = core_node_get(map, key);
    int64_t number = 0;

    if (!node || !node->text || !rc_parse_int(node->text, &number))
        return 0;
    return core_attempt_number(number, most);
}

bool core_attempt_is_end(const char *status)
{
    static const char *const ends[] = { "succeeded", "failed",    "skipped",
                                        "cancelled", "timed_out", "lost" };

    for (size_t i = 0; i < RC_ARRAY_LEN(ends); i++)
        if (strcmp(status, ends[i]) == 0)
            return true;
    return false;
}

static char *counters_of(const struct core_node *map)
{
    RC_BUF_AUTO(counters, RESULT_LIMIT);
    const struct core_node *node = core_node_get(map, "counters");

    if (!node || node->kind != CORE_NODE_MAP)
        return rc_strdup("{}");
    core_json_add(&counters, node);
    return rc_strdup(counters.overflow ? "{}" : counters.data);
}

static bool fill(const struct core_node *map, struct core_attempt_result *out)
{
    const struct core_node *status = core_node_get(map, "status");

    if (!status || !status->text || !core_attempt_is_end(status->text))
        return false;
    *out = (struct core_attempt_result){
        .status = rc_strdup(status->text),
        .reason = text_of(map, "reason"),
        .message = text_of(map, "message"),
        .action = text_of(map, "action"),
        .counters = counters_of(map),
        .exit_status = (int)number_of(map, "exit_status", INT_MAX),
        .started_unix_ms = number_of(map, "started", CORE_ATTEMPT_LATEST_UNIX_MS),
        .finished_unix_ms = number_of(map, "finished", CORE_ATTEMPT_LATEST_UNIX_MS),
        .log_dropped_bytes = number_of(map, "log_dropped", INT64_MAX),
    };
    return true;
}

/* Not with core_file_read(), which would wait for a writer if the file were a FIFO. */
static bool read_text(const char *path, struct rc_buf *out)
{
    RC_CLEANUP(core_fd_close)
    int fd = core_fd_open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY, 0);
    struct stat info;
    char *at;
    ssize_t got;

    if (fd < 0 || fstat(fd, &info) || !S_ISREG(info.st_mode) || info.st_size >= RESULT_LIMIT)
        return false;
    at = rc_buf_reserve(out, RESULT_LIMIT);
    while ((got = read(fd, at + out->len, RESULT_LIMIT - out->len)) != 0)
        if (got > 0)
            rc_buf_added(out, (size_t)got);
        else if (errno != EINTR)
            return false;
    return true;
}

bool core_attempt_result_read(const char *folder, int64_t number, struct core_attempt_result *out)
{
    RC_STR_AUTO path = core_attempt_path(folder, number, "result");
    RC_BUF_AUTO(text, RESULT_LIMIT);
    struct core_arena arena = CORE_ARENA_INIT;
    CORE_PROBLEMS_AUTO(problems);
    struct core_node *node = NULL;
    bool good;

    if (read_text(path, &text))
        node = core_json_read(&arena, path, text.data, text.len, &problems);
    good = node && node->kind == CORE_NODE_MAP && problems.count == 0 && fill(node, out);
    core_arena_clear(&arena);
    return good;
}
