/*
 * The side of the plugin: judges the run that it wants to begin, writes the order for it, has it
 * started and waits for a word of it. How a process is started is left to submit_process.c.
 */
#include <runtime/submit.h>

#include <config/json.h>
#include <os/clock.h>
#include <os/path.h>
#include <runtime/binding.h>
#include <runtime/host.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ORDER_BYTES = 16 * 1024 * 1024,
    TOLD_BYTES = 2 * RC_ERROR_TEXT + 64,
    BEGIN_MS = 60000, /* until the run is recorded, which takes no more than some files to read */
    LOOK_MS = 50,
};

/* ---- what is asked --------------------------------------------------------------------------- */

/* As if they were given by --set; the places say what they are. */
static struct core_node *map_of(struct core_arena *arena, const struct rc_pair *params,
                                size_t count)
{
    struct core_node *map = core_arena_alloc(arena, sizeof(*map));

    map->kind = CORE_NODE_MAP;
    map->entries = core_arena_alloc(arena, count * sizeof(*map->entries));
    for (size_t i = 0; i < count; i++) {
        const struct core_place place = { .file = core_arena_strf(arena, "parameter '%s'",
                                                                  params[i].key) };
        struct core_node *value = core_arena_alloc(arena, sizeof(*value));

        *value = (struct core_node){ .kind = CORE_NODE_SCALAR,
                                     .place = place,
                                     .text = core_arena_strdup(arena, params[i].value),
                                     .quoted = true,
                                     .loose = true };
        map->entries[map->len++] = (struct core_entry){
            .key = core_arena_strdup(arena, params[i].key), .place = place, .value = value
        };
    }
    return map;
}

static enum rc_code judge(const struct core_job *job, const char *name,
                          const struct core_node *params, struct rc_error *err)
{
    const struct core_plugin *plugin = job->run->plugin;
    const struct core_action *action = core_plugin_action(plugin, name);
    const struct core_place place = { .file = "the parameters" };
    CORE_PROBLEMS_AUTO(problems);

    if (!name || !action)
        return rc_fail(err, RC_INVALID, "the plugin '%s' has no action '%s'", plugin->name,
                       name ? name : "");
    for (size_t i = 0; i < params->len; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(params->entries[i].key, params->entries[k].key) == 0)
                return rc_fail(err, RC_INVALID, "the parameter '%s' is given twice",
                               params->entries[i].key);
    core_binding_check_params(action, params, &place, &problems);
    if (problems.count > 0)
        return rc_fail(err, RC_INVALID, "%s", core_problem_text(&problems, problems.first));
    return RC_OK;
}

/* ---- the order ------------------------------------------------------------------------------- */

static void add_text(struct rc_buf *out, const char *key, const char *text)
{
    rc_buf_addf(out, "\"%s\":", key);
    if (text)
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
    rc_buf_addc(out, ',');
}

static void add_map(struct rc_buf *out, const char *key, const struct core_node *map)
{
    rc_buf_addf(out, "\"%s\":", key);
    if (map)
        core_json_add(out, map);
    else
        rc_buf_adds(out, "null");
}

/* What the new process has to know, which is for nobody else: it may hold secrets of --set. */
static enum rc_code write_order(const struct core_job *job, const char *const words[3],
                                const struct core_node *params, int *out, struct rc_error *err)
{
    const struct core_request *request = job->run->request;
    const struct core_job_settings *like =
        request->submission ? request->submission->like : request->job;
    RC_BUF_AUTO(order, ORDER_BYTES);
    int failed;

    rc_buf_addc(&order, '{');
    add_text(&order, "plugin", words[0]);
    add_text(&order, "action", words[1]);
    add_text(&order, "run", words[2]);
    add_text(&order, "config", request->config ? request->config->path : NULL);
    add_text(&order, "job", like ? like->name : NULL);
    rc_buf_addf(&order, "\"log_level\":%d,", request->log_level);
    add_map(&order, "params", params);
    rc_buf_addc(&order, ',');
    add_map(&order, "set", request->set);
    rc_buf_addc(&order, '}');
    if (rc_buf_check(&order, err))
        return err->code;
    *out = memfd_create("run-core-order", MFD_CLOEXEC);
    if (*out < 0)
        return rc_fail_errno(err, errno, "keep the order for it");
    failed = core_fd_write(*out, order.data, order.len);
    if (failed || lseek(*out, 0, SEEK_SET) != 0)
        return rc_fail_errno(err, failed ? failed : errno, "write the order for it");
    return RC_OK;
}

/* ---- how many there are ---------------------------------------------------------------------- */

/* Forgets those that have ended: nobody holds the other end of their pipe. */
static void count_alive(struct core_submits *submits)
{
    size_t alive = 0;

    for (size_t i = 0; i < submits->count; i++) {
        struct pollfd end = { .fd = submits->alive[i], .events = 0 };

        if (poll(&end, 1, 0) > 0 && (end.revents & POLLHUP))
            core_fd_close(&submits->alive[i]);
        else
            submits->alive[alive++] = submits->alive[i];
    }
    submits->count = alive;
}

static enum rc_code take_place(struct core_run *run, struct rc_error *err)
{
    struct core_submits *submits = &run->submits;
    bool full;

    pthread_mutex_lock(&run->opening);
    count_alive(submits);
    full = submits->count + submits->pending >= CORE_SUBMITS;
    if (!full)
        submits->pending++;
    pthread_mutex_unlock(&run->opening);
    if (!full)
        return RC_OK;
    return rc_fail(err, RC_UNAVAILABLE,
                   "%d runs that were begun here go on, and there may not be more; try again when "
                   "one of them has ended",
                   CORE_SUBMITS);
}

/* 'told_fd' of one that has begun, or -1. */
static void leave_place(struct core_run *run, int told_fd)
{
    pthread_mutex_lock(&run->opening);
    run->submits.pending--;
    if (told_fd >= 0)
        run->submits.alive[run->submits.count++] = told_fd;
    pthread_mutex_unlock(&run->opening);
}

void core_submits_clear(struct core_submits *submits)
{
    for (size_t i = 0; i < submits->count; i++)
        core_fd_close(&submits->alive[i]);
    submits->count = 0;
    if (submits->worker_fd > 0)
        core_fd_close(&submits->worker_fd);
    submits->worker_fd = 0;
}

/* ---- its beginning --------------------------------------------------------------------------- */

static enum rc_code start(const struct core_run *run, const char *const words[3], int order_fd,
                          int told_fd, struct rc_error *err)
{
    if (run->submits.worker_fd <= 0)
        return core_submit_start(words, order_fd, told_fd, err);
    if (core_submit_ask(run->submits.worker_fd, words, order_fd, told_fd))
        return RC_OK;
    return rc_fail_errno(err, errno, "ask this run's guard to start it");
}

/* Who stops waiting closes the pipe, and the run does not begin. */
static enum rc_code await_word(const struct core_job *job, int told_fd, struct rc_error *err)
{
    int64_t until_mono_ms = core_clock_mono_ms() + BEGIN_MS;
    char text[TOLD_BYTES];
    size_t len = 0;

    for (;;) {
        struct pollfd word = { .fd = told_fd, .events = POLLIN };
        ssize_t got;

        if (core_cancel_check(job->cancel, err))
            return err->code;
        if (core_clock_mono_ms() >= until_mono_ms)
            return rc_fail(err, RC_UNAVAILABLE, "it has not begun within %d s", BEGIN_MS / 1000);
        if (poll(&word, 1, LOOK_MS) <= 0)
            continue;
        got = read(told_fd, text + len, sizeof(text) - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got > 0)
            len += (size_t)got;
        if (got <= 0 || len == sizeof(text) || memchr(text, '\n', len))
            return core_submitted_told(text, len, err);
    }
}

static enum rc_code begin(struct core_job *job, const char *const words[3],
                          const struct core_node *params, struct rc_error *err)
{
    RC_CLEANUP(core_fd_close) int order_fd = -1;
    int ends[2];
    enum rc_code code;

    if (take_place(job->run, err))
        return err->code;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        leave_place(job->run, -1);
        return rc_fail_errno(err, errno, "make a pipe");
    }
    code = write_order(job, words, params, &order_fd, err);
    if (code == RC_OK)
        code = start(job->run, words, order_fd, ends[1], err);
    core_fd_close(&ends[1]);
    if (code == RC_OK)
        code = await_word(job, ends[0], err);
    if (code != RC_OK)
        core_fd_close(&ends[0]);
    leave_place(job->run, ends[0]);
    return code;
}

enum rc_code core_submit(struct core_job *job, const char *action, const struct rc_pair *params,
                         size_t param_count, char run_id[RC_RUN_ID_TEXT], struct rc_error *err)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *map = map_of(&arena, params, param_count);
    char id[CORE_RUN_ID_TEXT];
    const char *const words[3] = { job->job.plugin, action, id };
    enum rc_code code = core_cancel_check(job->cancel, err);

    run_id[0] = '\0';
    if (code == RC_OK)
        code = judge(job, action, map, err);
    if (code == RC_OK && job->job.dry_run) {
        code = core_host_would(job, err, "begin a run of '%s'", action);
    } else if (code == RC_OK) {
        core_run_make_id(id, core_clock_now_unix_ms());
        code = begin(job, words, map, err);
        if (code == RC_OK)
            (void)snprintf(run_id, RC_RUN_ID_TEXT, "%s", id);
    }
    core_arena_clear(&arena);
    return code ? rc_context(err, "begin a run of '%s'", action ? action : "") : RC_OK;
}
