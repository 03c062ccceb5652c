/*
 * The daemon's side of an attempt: fork its guard, find one that another daemon forked, tell it to
 * stop, and read what it left.
 */
#include <runtime/attempt.h>

#include <base/utf8.h>
#include <os/clock.h>
#include <os/file.h>
#include <os/path.h>
#include <runtime/attempt_guard.h>
#include <runtime/exit.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between the lock of N.guard and the identity in it a guard does next to nothing. */
enum { IDENTITY_WAIT_MS = 2000 };

static const char *const passing_files[] = { "guard", "status", "result", "result.new" };

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void remove_files(const char *folder, int64_t number)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(passing_files); i++) {
        RC_STR_AUTO path = core_attempt_path(folder, number, passing_files[i]);
        (void)unlink(path);
    }
}

void core_attempt_close(struct core_attempt *attempt, bool settled)
{
    if (settled && attempt->folder)
        remove_files(attempt->folder, attempt->number);
    core_attempt_page_unmap(attempt->page);
    core_status_unmap(attempt->status);
    core_fd_close(&attempt->pidfd);
    free(attempt->folder);
    *attempt = (struct core_attempt){ .pidfd = -1 };
}

void core_attempt_log_path(const char *folder, int64_t number, bool older, struct rc_buf *out)
{
    rc_buf_addf(out, "%s/%lld.log%s", folder, (long long)number, older ? ".1" : "");
}

/* ---- start ---------------------------------------------------------------------------------- */

static enum rc_code make_folder(const char *folder, struct rc_error *err)
{
    if (mkdir(folder, 0700) == 0 || errno == EEXIST)
        return RC_OK;
    return core_dir_make(folder, 0700, err); /* its parents are missing, or it says why not */
}

/* Makes the files that the guard starts from; *guard_fd is the lock. */
static enum rc_code make_files(struct core_attempt *attempt, int *guard_fd, struct rc_error *err)
{
    RC_STR_AUTO guard = core_attempt_path(attempt->folder, attempt->number, "guard");
    RC_STR_AUTO status = core_attempt_path(attempt->folder, attempt->number, "status");

    if (make_folder(attempt->folder, err))
        return err->code;
    *guard_fd = core_fd_open(guard, O_RDWR | O_CREAT, 0600);
    if (*guard_fd < 0)
        return rc_fail_errno(err, errno, "make '%s'", guard);
    if (core_fd_lock(*guard_fd, LOCK_EX | LOCK_NB))
        return rc_fail(err, RC_CONFLICT, "'%s' is locked: that attempt goes on already", guard);
    attempt->page = core_attempt_page_map(guard, true);
    if (!attempt->page)
        return rc_fail_errno(err, errno, "make room for '%s'", guard);
    attempt->status = core_status_map(status, true);
    if (!attempt->status)
        return rc_fail_errno(err, errno, "make room for '%s'", status);
    return RC_OK;
}

/* Processes that are forked later have no part in the pages: a plugin that writes where it should
 * not reaches no other run than its own, and a fork has less to copy. */
static void keep_from_others(const struct core_attempt *attempt)
{
    if (attempt->page)
        (void)madvise(attempt->page, sizeof(*attempt->page), MADV_DONTFORK);
    if (attempt->status)
        (void)madvise(attempt->status, sizeof(*attempt->status), MADV_DONTFORK);
}

/*
 * Forks with all signals blocked, so that none of the daemon's handlers runs in the child, and with
 * a descriptor kept free for the one that the child's end is seen by.
 */
static enum rc_code fork_guard(const struct core_attempt_request *request,
                               struct core_attempt *attempt, int guard_fd, struct rc_error *err)
{
    int spare = core_fd_open("/dev/null", O_RDONLY, 0);
    int error_number = errno;
    sigset_t all, before;

    if (spare < 0)
        return rc_fail_errno(err, error_number, "keep a descriptor for a new process");
    fflush(NULL); /* what waits there would be written twice */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    attempt->guard = fork();
    error_number = errno;
    if (attempt->guard == 0)
        core_attempt_guard(request, guard_fd, attempt->page, attempt->status);
    sigprocmask(SIG_SETMASK, &before, NULL);
    core_fd_close(&spare);
    keep_from_others(attempt);
    if (attempt->guard < 0)
        return rc_fail_errno(err, error_number, "start a process for the run '%s'",
                             request->run_id);
    attempt->is_child = true;
    attempt->pidfd = open_pidfd(attempt->guard);
    if (attempt->pidfd >= 0)
        return RC_OK;
    error_number = errno;
    kill(attempt->guard, SIGKILL);
    (void)waitpid(attempt->guard, NULL, 0);
    return rc_fail_errno(err, error_number, "watch the process of the run '%s'", request->run_id);
}

enum rc_code core_attempt_start(const struct core_attempt_request *request,
                                struct core_attempt *out, struct rc_error *err)
{
    int guard_fd = -1;
    enum rc_code code;

    *out = (struct core_attempt){
        .folder = rc_strdup(request->folder),
        .number = request->number,
        .pidfd = -1,
    };
    code = make_files(out, &guard_fd, err);
    if (code == RC_OK) {
        atomic_store(&out->page->orders.lease_boot_ms, request->lease_boot_ms);
        code = fork_guard(request, out, guard_fd, err);
    }
    core_fd_close(&guard_fd);
    if (code != RC_OK)
        core_attempt_close(out, /* settled = */ code != RC_CONFLICT);
    return code;
}

/* ---- find ----------------------------------------------------------------------------------- */

/* Returns 0 or the error's number. A page that is too short was left by a daemon that died before
 * its fork; one that cannot be mapped for another reason says nothing. */
static int open_pages(struct core_attempt *attempt, const char *guard)
{
    RC_STR_AUTO status = core_attempt_path(attempt->folder, attempt->number, "status");
    int error_number;

    attempt->page = core_attempt_page_map(guard, false);
    error_number = attempt->page || errno == EUCLEAN ? 0 : errno;
    attempt->status = core_status_map(status, false);
    if (!attempt->status)
        attempt->status = core_status_new();
    keep_from_others(attempt);
    return error_number;
}

/* Of another machine; or nothing can be read of this one, for want of a descriptor. */
static enum rc_code refuse_foreign(const struct core_attempt *attempt, struct rc_error *err)
{
    struct core_process_id self;

    core_process_self(&self);
    if (!self.host[0])
        return rc_fail(err, RC_UNAVAILABLE, "look at the guard of '%s': /proc cannot be read now",
                       attempt->folder);
    return rc_fail(err, RC_UNSUPPORTED,
                   "the guard of '%s' is a process of another machine or pid namespace",
                   attempt->folder);
}

/* Whose file is locked. *alive false: it has just died, or just begun. */
static enum rc_code adopt(struct core_attempt *attempt, bool *alive, struct rc_error *err)
{
    const struct core_process_id *guard = &attempt->page->guard;
    enum core_process_state seen;

    /* The descriptor first: from then on the number cannot come to mean another process. */
    attempt->guard = guard->pid;
    attempt->pidfd = open_pidfd(guard->pid);
    if (attempt->pidfd < 0 && errno != ESRCH && errno != EINVAL)
        return rc_fail_errno(err, errno, "watch the guard of '%s'", attempt->folder);
    seen = core_process_look(guard);
    if (seen == CORE_PROCESS_ELSEWHERE)
        return refuse_foreign(attempt, err);
    *alive = attempt->pidfd >= 0 && seen != CORE_PROCESS_DEAD;
    if (!*alive)
        core_fd_close(&attempt->pidfd);
    return RC_OK;
}

static enum rc_code look(struct core_attempt *attempt, int guard_fd, enum core_attempt_state *state,
                         bool *sure, struct rc_error *err)
{
    bool has_guard = attempt->page && atomic_load(&attempt->page->has_guard);

    *sure = true;
    if (core_fd_lock(guard_fd, LOCK_EX | LOCK_NB) == 0) {
        *state = has_guard ? CORE_ATTEMPT_ENDED : CORE_ATTEMPT_NEVER;
        return RC_OK;
    }
    *state = CORE_ATTEMPT_ALIVE;
    *sure = false;
    return has_guard ? adopt(attempt, sure, err) : RC_OK;
}

enum rc_code core_attempt_find(const char *folder, int64_t number, struct core_attempt *out,
                               enum core_attempt_state *state, struct rc_error *err)
{
    RC_STR_AUTO path = core_attempt_path(folder, number, "guard");
    int64_t until_mono_ms = core_clock_mono_ms() + IDENTITY_WAIT_MS;
    enum rc_code code = RC_OK;
    bool sure = false;

    while (!sure && code == RC_OK) {
        int guard_fd = core_fd_open(path, O_RDWR, 0), error_number = errno;

        *out = (struct core_attempt){ .pidfd = -1 };
        *state = CORE_ATTEMPT_NEVER;
        if (guard_fd < 0)
            return error_number == ENOENT ? RC_OK
                                          : rc_fail_errno(err, error_number, "open '%s'", path);
        out->folder = rc_strdup(folder);
        out->number = number;
        error_number = open_pages(out, path);
        code = error_number ? rc_fail_errno(err, error_number, "map '%s'", path)
                            : look(out, guard_fd, state, &sure, err);
        core_fd_close(&guard_fd);
        if (code != RC_OK || !sure || *state == CORE_ATTEMPT_NEVER)
            core_attempt_close(out, /* settled = */ false);
        if (code == RC_OK && !sure && core_clock_mono_ms() >= until_mono_ms)
            code = rc_fail(err, RC_CONFLICT, "'%s' is locked, but no guard of it is alive", path);
        if (!sure)
            core_clock_sleep_ms(1);
    }
    return code;
}

/* ---- while it goes on ----------------------------------------------------------------------- */

void core_attempt_extend(struct core_attempt *attempt, int64_t lease_boot_ms)
{
    atomic_store(&attempt->page->orders.lease_boot_ms, lease_boot_ms);
}

static void give_order(struct core_attempt *attempt, enum core_guard_stop stop, const char *reason)
{
    struct core_guard_orders *orders = &attempt->page->orders;

    if (attempt->pidfd < 0)
        return;
    if (atomic_load(&orders->stop) == CORE_GUARD_GO_ON)
        snprintf(orders->reason, sizeof(orders->reason), "%s", reason);
    if (atomic_load(&orders->stop) < (int)stop)
        atomic_store(&orders->stop, stop);
    (void)syscall(SYS_pidfd_send_signal, attempt->pidfd, SIGTERM, NULL, 0);
}

void core_attempt_stop(struct core_attempt *attempt, const char *reason)
{
    give_order(attempt, CORE_GUARD_STOP, reason);
}

void core_attempt_kill(struct core_attempt *attempt)
{
    give_order(attempt, CORE_GUARD_KILL, "killed");
}

/* ---- its result ----------------------------------------------------------------------------- */

/* Waits for the guard's end. Returns its wait status, or -1 where only its parent gets that. */
static int reap(struct core_attempt *attempt)
{
    struct pollfd end = { .fd = attempt->pidfd, .events = POLLIN };
    int status = -1;

    while (attempt->pidfd >= 0 && poll(&end, 1, -1) < 0 && errno == EINTR)
        continue;
    if (attempt->is_child && waitpid(attempt->guard, &status, 0) != attempt->guard)
        status = -1;
    attempt->is_child = false;
    return status;
}

/* What the worker wrote into memory that it shares may be anything. */
static char *action_of(const struct core_attempt *attempt)
{
    char *action = rc_strndup(attempt->status->action, CORE_STATUS_NAME - 1);

    if (!core_utf8_is_valid(action))
        action[0] = '\0';
    return action;
}

/* The result could not be written, but the guard came to its end. */
static void use_page(const struct core_attempt *attempt, struct core_attempt_result *out)
{
    const struct core_attempt_page *page = attempt->page;

    *out = (struct core_attempt_result){
        .status = rc_strndup(page->status, CORE_STATUS_NAME - 1),
        .reason = rc_strndup(page->reason, CORE_STATUS_NAME - 1),
        .message = rc_strf("the result could not be written into '%s'; its message is at the end "
                           "of the log, if there was room for that",
                           attempt->folder),
        .action = action_of(attempt),
        .counters = rc_strdup("{}"),
        .exit_status = (int)core_attempt_number(page->exit_status, INT_MAX),
        .started_unix_ms = core_attempt_number(page->started_unix_ms, CORE_ATTEMPT_LATEST_UNIX_MS),
        .finished_unix_ms =
            core_attempt_number(page->finished_unix_ms, CORE_ATTEMPT_LATEST_UNIX_MS),
    };
}

static char *describe_loss(int wait_status)
{
    if (wait_status != -1 && WIFSIGNALED(wait_status)) {
        const char *name = sigabbrev_np(WTERMSIG(wait_status));
        return rc_strf("the run's guard was ended by signal %d (SIG%s), and its worker with it",
                       WTERMSIG(wait_status), name ? name : "?");
    }
    if (wait_status != -1)
        return rc_strf("the run's guard ended with exit status %d and without a result",
                       WEXITSTATUS(wait_status));
    return rc_strdup("the run's guard was killed, or the machine went down, while no daemon "
                     "watched");
}

static void make_lost(const struct core_attempt *attempt, int wait_status,
                      struct core_attempt_result *out)
{
    *out = (struct core_attempt_result){
        .status = rc_strdup("lost"),
        .reason = rc_strdup("lost"),
        .message = describe_loss(wait_status),
        .action = action_of(attempt),
        .counters = rc_strdup("{}"),
        .exit_status = CORE_EXIT_FAILED,
        .finished_unix_ms = core_clock_now_unix_ms(),
    };
}

static bool has_ended(const struct core_attempt *attempt)
{
    const struct core_attempt_page *page = attempt->page;

    return page && atomic_load(&page->has_ended) &&
           memchr(page->status, '\0', sizeof(page->status)) && core_attempt_is_end(page->status);
}

bool core_attempt_is_at_work(const struct core_attempt *attempt)
{
    return atomic_load(&attempt->status->phase) != CORE_PHASE_LOADING ||
           (attempt->page && atomic_load(&attempt->page->has_ended));
}

void core_attempt_result(struct core_attempt *attempt, struct core_attempt_result *out)
{
    int wait_status = reap(attempt);

    if (core_attempt_result_read(attempt->folder, attempt->number, out))
        return;
    if (has_ended(attempt))
        use_page(attempt, out);
    else
        make_lost(attempt, wait_status, out);
}

void core_attempt_result_clear(struct core_attempt_result *result)
{
    free(result->status);
    free(result->reason);
    free(result->message);
    free(result->action);
    free(result->counters);
    *result = (struct core_attempt_result){ 0 };
}
