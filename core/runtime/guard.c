/*
 * The guard's side of a run: fork, wait, enforce, and say how it ended. Single-threaded,
 * one poll loop; it looks at the worker only through its status and its exit.
 */
#include <runtime/guard.h>

#include <os/clock.h>
#include <runtime/exit.h>
#include <runtime/output.h>
#include <runtime/scratch.h>
#include <runtime/worker.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEFAULT_KILL_AFTER_MS = 10000 };

struct guard {
    struct core_run *run;
    const struct core_guard_service *service;
    sigset_t signals;   /* that it reads from 'signal_fd' */
    sigset_t inherited; /* the mask that it was started with */
    int signal_fd;

    pid_t worker;
    int wait_status; /* once 'ended' */
    bool ended;

    int64_t started_mono_ms, kill_at_mono_ms; /* kill: 0 while nobody asked the run to stop */
    int stop_signal;                          /* the first one that asked; or 0 */
    bool timed_out, killed;
};

/* ---- the worker's process ----------------------------------------------------------------- */

/* Where the handler below finds the flag; a process has one run. */
static struct core_status *worker_status;

static void on_stop(int number)
{
    (void)number;
    core_cancel_request(&worker_status->cancel, RC_CANCELLED);
}

/* No SA_RESTART: a call that waits ends with EINTR, and its loop then looks at the flag. */
static void watch_stop(struct core_status *status)
{
    struct sigaction action = { .sa_handler = on_stop };

    worker_status = status;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

/*
 * The worker's group is not the terminal's foreground one, since the guard alone hears the keys:
 * reading there would stop it for ever, and writing must not.
 */
static void leave_terminal(void)
{
    int nothing = isatty(STDIN_FILENO) ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;

    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
    signal(SIGTTOU, SIG_IGN);
}

static void worker_process(struct guard *guard, pid_t parent)
{
    /* Nobody would enforce the limits of a worker without its guard. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(CORE_EXIT_FAILED);
    setpgid(0, 0);
    watch_stop(guard->run->status);
    sigprocmask(SIG_SETMASK, &guard->inherited, NULL);
    close(guard->signal_fd);
    if (guard->service)
        guard->service->forget(guard->service->context);
    leave_terminal();
    /* Results go through the host only: whatever a plugin prints by itself joins the messages. */
    dup2(STDERR_FILENO, STDOUT_FILENO);
    exit(core_worker_main(guard->run));
}

/* ---- the loop ----------------------------------------------------------------------------- */

/* The worker and what it started. Only while the worker is not reaped: its number is ours then. */
static void signal_group(const struct guard *guard, int number)
{
    kill(-guard->worker, number);
}

/*
 * Looks whether the worker has ended. What it started in its group must not outlive it, and is
 * killed before the worker is reaped, while the group's number cannot belong to anybody else.
 */
static void reap(struct guard *guard)
{
    siginfo_t info = { .si_pid = 0 };

    if (waitid(P_PID, (id_t)guard->worker, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid != guard->worker)
        return; /* it stopped or went on, or somebody else's child ended */
    signal_group(guard, SIGKILL);
    guard->ended = waitpid(guard->worker, &guard->wait_status, 0) == guard->worker;
}

static void ask_to_stop(struct guard *guard, enum rc_code code)
{
    const struct core_job_settings *job = guard->run->request->job;
    int64_t grace_ms = job ? job->kill_after_ms : DEFAULT_KILL_AFTER_MS;

    core_cancel_request(&guard->run->status->cancel, code);
    guard->kill_at_mono_ms = core_clock_mono_ms() + grace_ms;
    kill(guard->worker, SIGTERM);
}

static void kill_now(struct guard *guard)
{
    guard->killed = true;
    signal_group(guard, SIGKILL);
}

static void on_signal(struct guard *guard, int number)
{
    switch (number) {
    case SIGCHLD:
        reap(guard);
        break;
    case SIGTSTP: /* the worker has a group of its own, so the terminal stops only us */
        signal_group(guard, SIGSTOP);
        raise(SIGSTOP);
        signal_group(guard, SIGCONT);
        break;
    case SIGCONT:
        break;
    default:
        if (guard->stop_signal) {
            kill_now(guard);
        } else {
            guard->stop_signal = number;
            ask_to_stop(guard, RC_CANCELLED);
        }
    }
}

static void read_signals(struct guard *guard)
{
    struct signalfd_siginfo info;

    while (!guard->ended && read(guard->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        on_signal(guard, (int)info.ssi_signo);
}

static void on_time(struct guard *guard)
{
    int64_t now_ms = core_clock_mono_ms();
    int64_t deadline_ms = guard->run->deadline_mono_ms;

    if (guard->kill_at_mono_ms > 0 && now_ms >= guard->kill_at_mono_ms && !guard->killed)
        kill_now(guard);
    if (deadline_ms > 0 && now_ms >= deadline_ms && guard->kill_at_mono_ms == 0) {
        guard->timed_out = true;
        ask_to_stop(guard, RC_TIMEOUT);
    }
}

/* Milliseconds until on_time() has something to do; -1: never. */
static int wait_ms(const struct guard *guard)
{
    int64_t next_ms = guard->killed                ? 0
                      : guard->kill_at_mono_ms > 0 ? guard->kill_at_mono_ms
                                                   : guard->run->deadline_mono_ms;
    int64_t left_ms = next_ms - core_clock_mono_ms();

    if (next_ms == 0)
        return -1;
    return left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
}

static void watch(struct guard *guard)
{
    while (!guard->ended) {
        struct pollfd fds[] = {
            { .fd = guard->signal_fd, .events = POLLIN },
            { .fd = guard->service ? guard->service->fd : -1, .events = POLLIN },
        };

        if (poll(fds, RC_ARRAY_LEN(fds), wait_ms(guard)) > 0) {
            if (fds[0].revents)
                read_signals(guard);
            if (fds[1].revents)
                guard->service->serve(guard->service->context);
        }
        if (!guard->ended)
            on_time(guard);
    }
}

/* ---- how it ended ------------------------------------------------------------------------- */

static void set(struct core_outcome *out, const char *status, int exit_status, const char *reason)
{
    out->status = status;
    out->exit_status = exit_status;
    if (!out->reason[0])
        snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

static void add_error(const struct rc_error *err, struct core_outcome *out)
{
    snprintf(out->message, sizeof(out->message), "%s%s%s", err->context,
             err->context[0] ? ": " : "", err->cause);
}

static void set_cancelled(const struct guard *guard, struct core_outcome *out)
{
    if (guard->stop_signal)
        set(out, "cancelled", CORE_EXIT_SIGNAL + guard->stop_signal, "signal");
    else
        set(out, "cancelled", CORE_EXIT_FAILED, rc_code_name(RC_CANCELLED));
}

/*
 * The action returned. Once it was asked to stop, any fault of its may be a consequence of that:
 * who asked counts, and the error stays in the message.
 */
static void judge_result(const struct guard *guard, struct core_outcome *out)
{
    const struct core_status *status = guard->run->status;
    const char *reason = rc_code_name(status->code);

    add_error(&status->error, out);
    if (guard->timed_out && status->code != RC_OK) {
        set(out, "timed_out", CORE_EXIT_TIMEOUT, rc_code_name(RC_TIMEOUT));
        return;
    }
    if (guard->stop_signal && status->code != RC_OK) {
        set_cancelled(guard, out);
        return;
    }
    switch (status->code) {
    case RC_OK:
        out->reason[0] = '\0';
        set(out, "succeeded", CORE_EXIT_OK, "");
        break;
    case RC_INVALID:
        set(out, "failed", CORE_EXIT_USAGE, reason);
        break;
    case RC_SKIPPED:
        set(out, "skipped", CORE_EXIT_SKIPPED, "precondition");
        break;
    case RC_CANCELLED:
        set_cancelled(guard, out);
        break;
    default:
        set(out, "failed", CORE_EXIT_FAILED, reason);
    }
}

/* The action, as messages name it. */
static const char *where_it_was(const struct guard *guard)
{
    const char *action = guard->run->status->action;

    return action[0] ? action : "(loading)";
}

/* A signal ended the worker before its action returned. */
static void judge_signal(const struct guard *guard, int number, struct core_outcome *out)
{
    const struct core_request *request = guard->run->request;
    const char *where = where_it_was(guard);

    if (guard->timed_out) {
        set(out, "timed_out", CORE_EXIT_TIMEOUT, rc_code_name(RC_TIMEOUT));
        snprintf(out->message, sizeof(out->message),
                 "the plugin '%s' did not stop in its action '%s' after its timeout, and was "
                 "killed",
                 request->plugin, where);
    } else if (guard->stop_signal && (guard->killed || number == SIGTERM)) {
        set_cancelled(guard, out);
        snprintf(out->message, sizeof(out->message),
                 "the plugin '%s' was killed in its action '%s' before it had stopped",
                 request->plugin, where);
    } else if (number == SIGKILL) {
        set(out, "failed", CORE_EXIT_SIGNAL + number, "killed");
        snprintf(out->message, sizeof(out->message),
                 "the worker of the plugin '%s' was killed from outside in its action '%s' "
                 "(SIGKILL): by somebody, or by the kernel because memory ran out; 'dmesg' tells",
                 request->plugin, where);
    } else {
        set(out, "failed", CORE_EXIT_SIGNAL + number, "crashed");
        snprintf(out->message, sizeof(out->message),
                 "the plugin '%s' crashed in its action '%s': signal %d (SIG%s, %s)",
                 request->plugin, where, number, sigabbrev_np(number) ? sigabbrev_np(number) : "?",
                 sigdescr_np(number) ? sigdescr_np(number) : "unknown");
    }
}

static void judge(const struct guard *guard, struct core_outcome *out)
{
    struct core_status *status = guard->run->status;
    bool returned = atomic_load(&status->phase) == CORE_PHASE_ENDED;

    core_status_seal(status);
    snprintf(out->reason, sizeof(out->reason), "%s", status->reason);
    if (!returned)
        core_output_progress_left();
    if (WIFSIGNALED(guard->wait_status)) {
        judge_signal(guard, WTERMSIG(guard->wait_status), out);
    } else if (!returned) {
        set(out, "failed", CORE_EXIT_FAILED, "exited");
        snprintf(out->message, sizeof(out->message),
                 "the plugin '%s' ended its process by itself in its action '%s', with exit "
                 "status %d",
                 guard->run->request->plugin, where_it_was(guard), WEXITSTATUS(guard->wait_status));
    } else if (status->code == RC_OK && WEXITSTATUS(guard->wait_status) != 0) {
        set(out, "failed", CORE_EXIT_FAILED, "exited");
        snprintf(out->message, sizeof(out->message),
                 "the action '%s' of the plugin '%s' was done, but its process then ended with "
                 "exit status %d",
                 status->action, guard->run->request->plugin, WEXITSTATUS(guard->wait_status));
    } else {
        judge_result(guard, out);
    }
}

/* "0.04s", "12.3s", "1h2m3s": as exact as somebody cares at that length. */
static void add_time(double seconds, char out[RC_AMOUNT_TEXT])
{
    if (seconds < 60.0)
        snprintf(out, RC_AMOUNT_TEXT, seconds < 10.0 ? "%.2fs" : "%.1fs", seconds);
    else
        rc_format_duration((int64_t)seconds * 1000, out);
}

/* The one message about the end, with the counters as fields. */
static void log_outcome(const struct guard *guard, const struct core_outcome *out)
{
    const struct core_status *status = guard->run->status;
    const struct core_request *request = guard->run->request;
    struct rc_log_field fields[CORE_STATUS_COUNTERS];
    char numbers[CORE_STATUS_COUNTERS][24];
    size_t count = core_status_counters(status);
    char took[RC_AMOUNT_TEXT];
    bool bad = out->exit_status != CORE_EXIT_OK && out->exit_status != CORE_EXIT_SKIPPED;

    for (size_t i = 0; i < count; i++) {
        snprintf(numbers[i], sizeof(numbers[i]), "%lld",
                 (long long)atomic_load(&status->counters[i].value));
        fields[i] = (struct rc_log_field){ status->counters[i].name, numbers[i] };
    }
    if (request->log_level < (bad ? RC_LOG_ERROR : RC_LOG_INFO))
        return;
    add_time(out->seconds, took);
    core_output_log(bad ? RC_LOG_ERROR : RC_LOG_INFO, fields, count, "%s%s%s %s after %s%s%s",
                    request->plugin, status->action[0] ? " " : "", status->action, out->status,
                    took, out->message[0] ? ": " : "", out->message);
}

/*
 * The signals that the guard answers. Those that end a run and were ignored by whoever started it
 * stay ignored, as nohup(1) and the shell's '&' want it.
 */
static void take_signals(struct guard *guard)
{
    static const int always[] = { SIGTERM, SIGCHLD, SIGTSTP, SIGCONT };
    static const int unless_ignored[] = { SIGINT, SIGHUP };
    struct sigaction before;

    signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error of the write */
    signal(SIGCHLD, SIG_DFL); /* ignored, it would hide the worker's end */
    sigemptyset(&guard->signals);
    for (size_t i = 0; i < RC_ARRAY_LEN(always); i++)
        sigaddset(&guard->signals, always[i]);
    for (size_t i = 0; i < RC_ARRAY_LEN(unless_ignored); i++)
        if (sigaction(unless_ignored[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaddset(&guard->signals, unless_ignored[i]);
    sigprocmask(SIG_BLOCK, &guard->signals, &guard->inherited);
    guard->signal_fd = signalfd(-1, &guard->signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

void core_guard_run(struct core_run *run, const struct core_guard_service *service,
                    struct core_outcome *out)
{
    const struct core_job_settings *job = run->request->job;
    pid_t self = getpid();
    struct guard guard = {
        .run = run,
        .service = service,
        .started_mono_ms = core_clock_mono_ms(),
    };

    *out = (struct core_outcome){ .status = "failed", .exit_status = CORE_EXIT_FAILED };
    if (job && job->timeout_ms > 0)
        run->deadline_mono_ms = guard.started_mono_ms + job->timeout_ms;
    take_signals(&guard);
    guard.worker = guard.signal_fd < 0 ? -1 : fork();
    if (guard.worker == 0)
        worker_process(&guard, self);
    if (guard.worker < 0) {
        snprintf(out->message, sizeof(out->message), "cannot start the worker: %s",
                 strerror(errno));
        set(out, "failed", CORE_EXIT_FAILED, "unavailable");
    } else {
        setpgid(guard.worker, guard.worker); /* also in the worker: whoever comes first */
        watch(&guard);
        judge(&guard, out);
    }
    if (guard.signal_fd >= 0)
        close(guard.signal_fd);
    core_scratch_remove(run->id);
    out->seconds = (double)(core_clock_mono_ms() - guard.started_mono_ms) / 1000.0;
    log_outcome(&guard, out);
}
