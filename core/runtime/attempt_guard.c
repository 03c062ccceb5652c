/*
 * The process between the daemon and an attempt's worker. It shares the daemon's memory as of the
 * fork, of which it uses the configuration and nothing else, and ends with _exit(2), as what is to
 * be done at exit is the daemon's.
 */
#include <runtime/attempt_guard.h>

#include <os/clock.h>
#include <os/path.h>
#include <runtime/output.h>

#include <run-core/str.h>

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    GUARD_FD = 3,                    /* where the lock goes; what is above is closed */
    DEFAULT_LOG_BYTES = 1024 * 1024, /* without a configuration */
    WORKER_OOM_SCORE = 100,          /* above its guard and the daemon */
};

/* For the worker, which shall not have what is the guard's. */
struct guard_only {
    struct core_attempt_page *page;
    int result_fd; /* -1: none */
};

/* Every signal means again what it means to a new process. Those that are blocked stay so. */
static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
}

static void take_descriptors(int guard_fd)
{
    int lock = fcntl(guard_fd, F_DUPFD, GUARD_FD); /* out of the way of the first three */
    int nothing = core_fd_open("/dev/null", O_RDWR, 0);

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(nothing, fd);
    dup2(lock, GUARD_FD);
    syscall(SYS_close_range, GUARD_FD + 1, ~0U, 0);
}

/* When memory runs out, the kernel shall take the worker before those who watch over it. */
static void prefer_as_victim(void)
{
    char text[16] = "";
    int64_t score = 0;
    int fd = core_fd_open("/proc/self/oom_score_adj", O_RDWR, 0);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    if (got > 0) {
        text[strcspn(text, "\n")] = '\0';
        score = rc_parse_int(text, &score) && score > 0 ? score : 0;
        snprintf(text, sizeof(text), "%d", (int)score + WORKER_OOM_SCORE);
        (void)core_fd_write(fd, text, strlen(text));
    }
    core_fd_close(&fd);
}

static void forget_in_worker(void *context)
{
    struct guard_only *guard_only = context;

    close(GUARD_FD);
    core_fd_close(&guard_only->result_fd);
    core_attempt_page_unmap(guard_only->page);
    prctl(PR_SET_NAME, "run-core-worker");
    prefer_as_victim();
}

static void leave_end(const struct core_attempt_request *request, struct core_attempt_page *page,
                      int reserved, const struct core_attempt_end *end)
{
    snprintf(page->status, sizeof(page->status), "%s", end->outcome->status);
    snprintf(page->reason, sizeof(page->reason), "%s", end->outcome->reason);
    page->exit_status = end->outcome->exit_status;
    page->started_unix_ms = end->started_unix_ms;
    page->finished_unix_ms = end->finished_unix_ms;
    atomic_store(&page->has_ended, 1);
    if (!core_attempt_result_write(request->folder, request->number, reserved, end))
        core_output_log(RC_LOG_WARN, NULL, 0,
                        "cannot write the run's result into '%s'; how it ended is known without "
                        "its message and counters",
                        request->folder);
}

static struct core_run_log *open_log(const struct core_attempt_request *request)
{
    const struct core_config *config = request->request.config;
    int64_t limit_bytes = config ? config->settings.history.log_bytes : DEFAULT_LOG_BYTES;
    RC_STR_AUTO path = core_attempt_path(request->folder, request->number, "log");

    return core_run_log_open(path, limit_bytes, STDERR_FILENO);
}

static int guard_attempt(const struct core_attempt_request *request, struct core_attempt_page *page,
                         struct core_status *status)
{
    struct core_request asked = request->request;
    struct guard_only guard_only = { .page = page };
    char attempt[24];
    struct core_run run = {
        .request = &asked,
        .status = status,
        .result_fd = STDERR_FILENO, /* results are lines of the log */
        .opening = PTHREAD_MUTEX_INITIALIZER,
    };
    const struct core_output_labels labels = {
        .run = run.id,
        .plugin = asked.plugin,
        .action = status->action,
        .job = asked.job ? asked.job->name : NULL,
        .attempt = attempt,
    };
    struct core_outcome outcome;
    struct core_attempt_end end = { .outcome = &outcome, .status = status };
    struct core_guard_options options = {
        .orders = &page->orders,
        .forget = forget_in_worker,
        .context = &guard_only,
    };
    int reserved;

    snprintf(run.id, sizeof(run.id), "%s", request->run_id);
    snprintf(attempt, sizeof(attempt), "%lld", (long long)request->number);
    asked.slot_unix_ms = request->slot_unix_ms;
    asked.attempt = request->number;
    asked.json = asked.supervised = true;
    options.log = open_log(request);
    core_output_init(&labels);
    reserved = core_attempt_result_reserve(request->folder, request->number);
    guard_only.result_fd = reserved;
    end.started_unix_ms = core_clock_now_unix_ms();
    core_guard_run(&run, &options, &outcome);
    end.finished_unix_ms = core_clock_now_unix_ms();
    end.log_dropped_bytes = core_run_log_dropped_bytes(options.log);
    leave_end(request, page, reserved, &end);
    core_run_log_free(options.log);
    return outcome.exit_status;
}

void core_attempt_guard(const struct core_attempt_request *request, int guard_fd,
                        struct core_attempt_page *page, struct core_status *status)
{
    if (request->forget)
        request->forget(request->context);
    setsid();
    reset_signals();
    prctl(PR_SET_NAME, "run-core-guard");
    take_descriptors(guard_fd);
    core_process_self(&page->guard);
    atomic_store(&page->has_guard, 1);
    _exit(guard_attempt(request, page, status));
}
