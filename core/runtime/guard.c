/*
 * The guard's side of a run: fork, wait, enforce. Single-threaded, one poll loop; it looks at the
 * worker only through its status, its output and its exit. What to make of these is outcome.c's.
 */
#include <runtime/guard.h>

#include <os/clock.h>
#include <os/path.h>
#include <os/process.h>
#include <runtime/control_group.h>
#include <runtime/exit.h>
#include <runtime/limits.h>
#include <runtime/output.h>
#include <runtime/scratch.h>
#include <runtime/submit.h>
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
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DEFAULT_KILL_AFTER_MS = 10000,
    DEFAULT_LEASE_MS = 60000,
    READ_BYTES = 64 * 1024,
    READS_PER_TURN = 16,
    DRAIN_TURNS = 64,
    ORPHANS_WAIT_MS = 5000, /* for what was killed to end */
};

struct guard {
    struct core_run *run;
    const struct core_guard_options *options;
    sigset_t signals;   /* that it reads from 'signal_fd' */
    sigset_t inherited; /* the mask that the worker gets */
    int signal_fd;
    int log_fd;    /* the end of the pipe that is read; -1: there is none, or it has ended */
    int output_fd; /* the worker's end of it; -1 */
    int lease_fd;  /* a timerfd; -1: there is no lease */
    int ask_fd;    /* by which the worker asks for further runs; -1 */
    int asking_fd; /* the worker's end of it; -1 */
    bool owns_orphans;

    struct core_control_group *group; /* of the worker; or NULL */
    pid_t worker;
    bool ended; /* and 'ending' has its wait status */
    struct core_ending ending;

    int64_t started_mono_ms, kill_at_mono_ms; /* kill: 0 while nobody asked the run to stop */
    int64_t listen_at_mono_ms;                /* until then the worker's output waits */
    char stop_reason[CORE_STATUS_NAME];
};

/* ---- the worker's process -------------------------------------------------------------------- */

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

/* Results go through the host only: whatever a plugin prints by itself joins the messages. */
static void redirect_output(const struct guard *guard)
{
    if (guard->output_fd >= 0)
        dup2(guard->output_fd, STDERR_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
}

/*
 * In the foreground the process ends like any other, with what its libraries do at exit. Below a
 * daemon that would be the daemon's doing as well, whose memory and handlers are still here.
 */
static void end_worker(const struct core_run *run, int exit_status)
{
    if (!run->request->supervised)
        exit(exit_status);
    fflush(NULL); /* what the plugin has printed */
    _exit(exit_status);
}

static void warn_of_memory(const struct rc_error *err)
{
    core_output_log(RC_LOG_WARN, NULL, 0, "going on without limits.memory: %s%s%s", err->context,
                    err->context[0] ? ": " : "", err->cause);
}

static void open_group(struct guard *guard)
{
    const struct core_job_settings *job = guard->run->request->job;
    struct rc_error err = RC_ERROR_INIT;

    if (job && job->limits.memory_bytes > 0 &&
        core_control_group_open(guard->run->id, job->limits.memory_bytes, &guard->group, &err))
        warn_of_memory(&err);
}

static void join_group(const struct guard *guard)
{
    struct rc_error err = RC_ERROR_INIT;

    if (guard->group && core_control_group_join(guard->group, &err))
        warn_of_memory(&err);
}

static void worker_process(struct guard *guard, pid_t parent)
{
    int *fds[] = { &guard->signal_fd, &guard->log_fd, &guard->output_fd, &guard->lease_fd,
                   &guard->ask_fd };

    /* Nobody would enforce the limits of a worker without its guard. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(CORE_EXIT_FAILED);
    setpgid(0, 0);
    watch_stop(guard->run->status);
    signal(SIGXFSZ, SIG_DFL);
    sigprocmask(SIG_SETMASK, &guard->inherited, NULL);
    if (guard->options->forget)
        guard->options->forget(guard->options->context);
    leave_terminal();
    redirect_output(guard);
    for (size_t i = 0; i < RC_ARRAY_LEN(fds); i++)
        core_fd_close(fds[i]);
    guard->run->submits.worker_fd = guard->asking_fd > 0 ? guard->asking_fd : 0;
    join_group(guard);
    core_process_restore_descriptors();
    core_limits_apply(guard->run->request->job);
    end_worker(guard->run, core_worker_main(guard->run));
}

/* ---- what the worker leaves ------------------------------------------------------------------ */

/* The worker and what it started. Only while the worker is not reaped: its number is ours then. */
static void signal_group(const struct guard *guard, int number)
{
    kill(-guard->worker, number);
}

/*
 * Processes that left the worker's group were handed to us when their parent ended. They are
 * killed, and what that makes orphans of, until none is left.
 */
static void kill_orphans(void)
{
    int64_t until_mono_ms = core_clock_mono_ms() + ORPHANS_WAIT_MS;

    for (int64_t pause_ms = 1;; pause_ms = pause_ms < 50 ? 2 * pause_ms : 50) {
        pid_t children[64];
        pid_t ended;

        do
            ended = waitpid(-1, NULL, WNOHANG);
        while (ended > 0);
        if (ended < 0 && errno == ECHILD)
            return;
        size_t count = core_process_children(children, RC_ARRAY_LEN(children));
        for (size_t i = 0; i < count; i++)
            kill(children[i], SIGKILL);
        if (core_clock_mono_ms() >= until_mono_ms) {
            core_output_log(RC_LOG_WARN, NULL, 0,
                            "%zu processes that the run left behind do not end, though they were "
                            "killed",
                            count);
            return;
        }
        core_clock_sleep_ms(pause_ms);
    }
}

/*
 * Looks whether the worker has ended. What it started in its group must not outlive it, and is
 * killed before the worker is reaped, while the group's number cannot belong to anybody else.
 */
static void reap(struct guard *guard)
{
    idtype_t whom = guard->owns_orphans ? P_ALL : P_PID;

    for (;;) {
        siginfo_t info = { .si_pid = 0 };

        if (waitid(whom, (id_t)guard->worker, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == 0)
            return; /* it stopped or went on */
        if (info.si_pid == guard->worker)
            break;
        (void)waitpid(info.si_pid, NULL, 0);
    }
    signal_group(guard, SIGKILL);
    guard->ended =
        wait4(guard->worker, &guard->ending.wait_status, 0, &guard->ending.usage) == guard->worker;
    guard->ending.out_of_memory = guard->group && core_control_group_ran_out(guard->group);
    if (guard->owns_orphans)
        kill_orphans();
}

/* ---- stopping it ----------------------------------------------------------------------------- */

static int64_t grace_ms(const struct guard *guard)
{
    const struct core_job_settings *job = guard->run->request->job;

    return job ? job->kill_after_ms : DEFAULT_KILL_AFTER_MS;
}

static void ask_to_stop(struct guard *guard, enum rc_code code, int64_t kill_after_ms)
{
    core_cancel_request(&guard->run->status->cancel, code);
    guard->kill_at_mono_ms = core_clock_mono_ms() + kill_after_ms;
    kill(guard->worker, SIGTERM);
}

static void kill_now(struct guard *guard)
{
    guard->ending.killed = true;
    signal_group(guard, SIGKILL);
}

/* The first who asks is the one in the record. */
static void set_stop(struct guard *guard, int number, const char *reason)
{
    snprintf(guard->stop_reason, sizeof(guard->stop_reason), "%.*s", CORE_STATUS_NAME - 1, reason);
    guard->ending.stop_reason = guard->stop_reason;
    guard->ending.stop_signal = number;
}

/* Somebody asks the run to stop: the daemon, by its orders, or whoever sends a signal. */
static void on_stop_signal(struct guard *guard, int number)
{
    const struct core_guard_orders *orders = guard->options->orders;
    int stop = orders ? atomic_load(&orders->stop) : CORE_GUARD_GO_ON;
    bool again = guard->ending.stop_signal != 0;

    if (!again)
        set_stop(guard, number, stop == CORE_GUARD_GO_ON ? "signal" : orders->reason);
    if (stop == CORE_GUARD_KILL || (again && stop == CORE_GUARD_GO_ON))
        kill_now(guard);
    else if (!again)
        ask_to_stop(guard, RC_CANCELLED, grace_ms(guard));
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
        on_stop_signal(guard, number);
    }
}

static void read_signals(struct guard *guard)
{
    struct signalfd_siginfo info;

    while (!guard->ended && read(guard->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        on_signal(guard, (int)info.ssi_signo);
}

/* ---- the daemon's lease ---------------------------------------------------------------------- */

/* By the clock that goes on while the machine is suspended, as the database's does. */
static void arm_lease(const struct guard *guard, int64_t at_boot_ms)
{
    struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at_boot_ms / 1000),
                                             .tv_nsec = (long)(at_boot_ms % 1000) * 1000000 } };

    timerfd_settime(guard->lease_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void open_lease(struct guard *guard)
{
    const struct core_guard_orders *orders = guard->options->orders;
    int64_t at_boot_ms = orders ? atomic_load(&orders->lease_boot_ms) : 0;

    if (at_boot_ms <= 0)
        return;
    guard->lease_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (guard->lease_fd >= 0)
        arm_lease(guard, at_boot_ms);
}

/*
 * A daemon that was not heard of may be cut off from the others, which take its runs over once its
 * lease has run out: the worker must have ended by then. The last third of the lease is for that.
 */
static void on_lease(struct guard *guard)
{
    const struct core_config *config = guard->run->request->config;
    int64_t third_ms = (config ? config->settings.lease_ms : DEFAULT_LEASE_MS) / 3;
    int64_t at_boot_ms = atomic_load(&guard->options->orders->lease_boot_ms);
    int64_t kill_at_mono_ms = core_clock_mono_ms() + third_ms / 2;

    if (at_boot_ms > core_clock_boot_ms()) {
        arm_lease(guard, at_boot_ms);
        return;
    }
    core_fd_close(&guard->lease_fd);
    core_output_log(RC_LOG_ERROR, NULL, 0,
                    "stopping the run: its daemon has not renewed its lease in time");
    if (guard->kill_at_mono_ms > 0) { /* it is stopped already, but may have been given longer */
        if (guard->kill_at_mono_ms > kill_at_mono_ms)
            guard->kill_at_mono_ms = kill_at_mono_ms;
        return;
    }
    set_stop(guard, SIGTERM, "lease");
    guard->ending.is_deserted = true;
    ask_to_stop(guard, RC_CANCELLED,
                grace_ms(guard) < third_ms / 2 ? grace_ms(guard) : third_ms / 2);
}

/* ---- what the worker prints ------------------------------------------------------------------ */

/* Reads at most so much that time and signals are still looked after. */
static void read_log(struct guard *guard)
{
    static char data[READ_BYTES]; /* the guard has one thread and one run */

    for (int i = 0; i < READS_PER_TURN && guard->log_fd >= 0; i++) {
        ssize_t got = read(guard->log_fd, data, sizeof(data));

        if (got > 0)
            core_run_log_add(guard->options->log, data, (size_t)got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            core_fd_close(&guard->log_fd);
        if (got < (ssize_t)sizeof(data))
            break;
    }
    guard->listen_at_mono_ms = core_clock_mono_ms() + core_run_log_pause_ms(guard->options->log);
}

/* All that is in the pipe; if a process is left that writes on, no more than a pipe holds. */
static void drain_log(struct guard *guard)
{
    for (int i = 0; i < DRAIN_TURNS && guard->log_fd >= 0; i++) {
        struct pollfd rest = { .fd = guard->log_fd, .events = POLLIN };

        if (poll(&rest, 1, 0) <= 0)
            break;
        read_log(guard);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void on_time(struct guard *guard)
{
    int64_t now_ms = core_clock_mono_ms();
    int64_t deadline_ms = guard->run->deadline_mono_ms;

    if (guard->kill_at_mono_ms > 0 && now_ms >= guard->kill_at_mono_ms && !guard->ending.killed)
        kill_now(guard);
    if (deadline_ms > 0 && now_ms >= deadline_ms && guard->kill_at_mono_ms == 0) {
        guard->ending.timed_out = true;
        ask_to_stop(guard, RC_TIMEOUT, grace_ms(guard));
    }
}

static bool is_listening(const struct guard *guard)
{
    return guard->log_fd >= 0 && core_clock_mono_ms() >= guard->listen_at_mono_ms;
}

/* Milliseconds until something is to be done; -1: never. */
static int wait_ms(const struct guard *guard)
{
    int64_t next_ms = guard->ending.killed         ? 0
                      : guard->kill_at_mono_ms > 0 ? guard->kill_at_mono_ms
                                                   : guard->run->deadline_mono_ms;
    int64_t left_ms;

    if (guard->log_fd >= 0 && !is_listening(guard) &&
        (next_ms == 0 || guard->listen_at_mono_ms < next_ms))
        next_ms = guard->listen_at_mono_ms;
    if (next_ms == 0)
        return -1;
    left_ms = next_ms - core_clock_mono_ms();
    return left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
}

static void watch(struct guard *guard)
{
    const struct core_guard_service *service = guard->options->service;

    while (!guard->ended) {
        struct pollfd fds[] = {
            { .fd = guard->signal_fd, .events = POLLIN },
            { .fd = service ? service->fd : -1, .events = POLLIN },
            { .fd = is_listening(guard) ? guard->log_fd : -1, .events = POLLIN },
            { .fd = guard->lease_fd, .events = POLLIN },
            { .fd = guard->ask_fd, .events = POLLIN },
        };

        if (poll(fds, RC_ARRAY_LEN(fds), wait_ms(guard)) > 0) {
            if (fds[0].revents)
                read_signals(guard);
            if (fds[1].revents)
                service->serve(service->context);
            if (fds[2].revents)
                read_log(guard);
            if (fds[3].revents && !guard->ended)
                on_lease(guard);
            if (fds[4].revents && !guard->ended && !core_submit_serve(guard->ask_fd))
                core_fd_close(&guard->ask_fd);
        }
        if (!guard->ended)
            on_time(guard);
    }
}

/* ---- a run, from its start to its end -------------------------------------------------------- */

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
    if (guard->options->orders) /* what its daemon takes for itself is none of the worker's */
        sigemptyset(&guard->inherited);
    guard->signal_fd = signalfd(-1, &guard->signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Orphans are taken only where no child of another's making could be among them. */
static void own_orphans(struct guard *guard)
{
    siginfo_t info;

    guard->owns_orphans = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 &&
                          errno == ECHILD && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
}

static bool open_pipe(struct guard *guard)
{
    int ends[2];

    if (!guard->options->log)
        return true;
    if (pipe2(ends, O_CLOEXEC))
        return false;
    guard->log_fd = ends[0];
    guard->output_fd = ends[1];
    return fcntl(guard->log_fd, F_SETFL, O_NONBLOCK) == 0;
}

/* Forks the worker. False, with errno: there is none. */
static bool start_worker(struct guard *guard)
{
    pid_t self = getpid();

    take_signals(guard);
    own_orphans(guard);
    open_lease(guard);
    open_group(guard);
    if (guard->signal_fd < 0 || !open_pipe(guard) ||
        !core_submit_channel(&guard->ask_fd, &guard->asking_fd))
        return false;
    guard->worker = fork();
    if (guard->worker == 0)
        worker_process(guard, self);
    if (guard->worker < 0)
        return false;
    setpgid(guard->worker, guard->worker); /* also in the worker: whoever comes first */
    core_fd_close(&guard->output_fd);
    core_fd_close(&guard->asking_fd);
    return true;
}

static void finish(struct guard *guard)
{
    core_control_group_close(guard->group); /* and what would still write to the log */
    if (guard->options->log) {
        drain_log(guard);
        core_run_log_flush(guard->options->log);
    }
    core_fd_close(&guard->signal_fd);
    core_fd_close(&guard->log_fd);
    core_fd_close(&guard->output_fd);
    core_fd_close(&guard->lease_fd);
    core_fd_close(&guard->ask_fd);
    core_fd_close(&guard->asking_fd);
    core_scratch_remove(guard->run->id);
}

void core_guard_run(struct core_run *run, const struct core_guard_options *options,
                    struct core_outcome *out)
{
    const struct core_job_settings *job = run->request->job;
    struct guard guard = {
        .run = run,
        .options = options,
        .signal_fd = -1,
        .log_fd = -1,
        .output_fd = -1,
        .lease_fd = -1,
        .ask_fd = -1,
        .asking_fd = -1,
        .started_mono_ms = core_clock_mono_ms(),
    };

    *out = (struct core_outcome){ .status = "failed", .exit_status = CORE_EXIT_FAILED };
    if (job && job->timeout_ms > 0)
        run->deadline_mono_ms = guard.started_mono_ms + job->timeout_ms;
    if (start_worker(&guard)) {
        watch(&guard);
        core_outcome_judge(run, &guard.ending, out);
    } else {
        snprintf(out->message, sizeof(out->message), "cannot start the worker: %s",
                 strerror(errno));
        core_outcome_set(out, "failed", CORE_EXIT_FAILED, "unavailable");
    }
    finish(&guard);
    out->seconds = (double)(core_clock_mono_ms() - guard.started_mono_ms) / 1000.0;
    core_outcome_log(run, out);
}
