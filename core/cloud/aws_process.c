/*
 * A credential process: a program that the profile names and that prints credentials. Started
 * without a shell, with a limit of time, in a process group of its own.
 */
#include <cloud/aws_reply.h>
#include <cloud/aws_source.h>

#include <config/problems.h>
#include <config/secrets.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    OUTPUT_BYTES = 64 * 1024, /* of stdout; what more comes is no credentials */
    ERROR_BYTES = 4 * 1024,   /* of stderr that are kept */
    RUN_MS = 60 * 1000,
    LOOK_MS = 100, /* for a wish to stop */
};

struct process {
    pid_t pid;          /* -1: none */
    int out_fd, err_fd; /* read ends; -1 when closed */
    struct rc_buf out, messages;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* Ends whatever is left of it. */
static void process_clear(struct process *process)
{
    close_fd(&process->out_fd);
    close_fd(&process->err_fd);
    if (process->pid > 0) {
        (void)kill(-process->pid, SIGKILL);
        while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (process->out.len > 0)
        explicit_bzero(process->out.data, process->out.len);
    rc_buf_clear(&process->out);
    rc_buf_clear(&process->messages);
}

/* ---- starting -------------------------------------------------------------------------------- */

/* Signals as a program expects them, whatever this process does with them. */
static void set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_setsigmask(attributes, &none);
    (void)posix_spawnattr_setsigdefault(attributes, &all);
    (void)posix_spawnattr_setpgroup(attributes, 0);
    (void)posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                   POSIX_SPAWN_SETPGROUP);
}

static int spawn(struct process *process, char **words, int out_fd, int err_fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = posix_spawn_file_actions_init(&actions);

    if (failed)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (failed) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return failed;
    }
    set_signals(&attributes);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
    failed = posix_spawnp(&process->pid, words[0], &actions, &attributes, words, environ);
    if (failed)
        process->pid = -1;
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return failed;
}

static enum rc_code start(struct process *process, char **words, struct rc_error *err)
{
    int out[2], messages[2], failed;

    if (pipe2(out, O_CLOEXEC) < 0)
        return rc_fail_errno(err, errno, "make a pipe");
    process->out_fd = out[0];
    if (pipe2(messages, O_CLOEXEC) < 0) {
        failed = errno;
        (void)close(out[1]);
        return rc_fail_errno(err, failed, "make a pipe");
    }
    process->err_fd = messages[0];
    failed = spawn(process, words, out[1], messages[1]);
    (void)close(out[1]);
    (void)close(messages[1]);
    return failed ? rc_fail_errno(err, failed, "start the program") : RC_OK;
}

/* ---- listening ------------------------------------------------------------------------------- */

/* Takes what there is. Of stderr the begin is kept, of stdout all. */
static void take(int *fd, struct rc_buf *out, bool keep_reading)
{
    char data[4096];
    ssize_t len = read(*fd, data, sizeof(data));
    size_t room = out->limit - out->len;

    if (len < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (len <= 0)
        close_fd(fd);
    else if (keep_reading && (size_t)len > room)
        rc_buf_add(out, data, room);
    else
        rc_buf_add(out, data, (size_t)len);
}

static enum rc_code listen_to(struct process *process, const struct core_cancel *cancel,
                              struct rc_error *err)
{
    int64_t end_mono_ms = core_clock_mono_ms() + RUN_MS;

    while (process->out_fd >= 0 || process->err_fd >= 0) {
        struct pollfd fds[] = { { .fd = process->out_fd, .events = POLLIN },
                                { .fd = process->err_fd, .events = POLLIN } };

        if (core_cancel_check(cancel, err))
            return err->code;
        if (core_clock_mono_ms() >= end_mono_ms)
            return rc_fail(err, RC_TIMEOUT, "it was not done within %d s", RUN_MS / 1000);
        if (poll(fds, 2, LOOK_MS) <= 0)
            continue;
        if (fds[0].revents)
            take(&process->out_fd, &process->out, /* keep_reading = */ false);
        if (fds[1].revents)
            take(&process->err_fd, &process->messages, /* keep_reading = */ true);
        if (process->out.overflow)
            return rc_fail(err, RC_CORRUPT, "it prints more than %d KiB", OUTPUT_BYTES / 1024);
    }
    return RC_OK;
}

/* Waits for its end, which may come some time after that of its output. */
static enum rc_code wait_for(struct process *process, const struct core_cancel *cancel, int *status,
                             struct rc_error *err)
{
    int64_t end_mono_ms = core_clock_mono_ms() + RUN_MS;
    pid_t ended;

    while ((ended = waitpid(process->pid, status, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
        if (core_cancel_check(cancel, err))
            return err->code;
        if (core_clock_mono_ms() >= end_mono_ms)
            return rc_fail(err, RC_TIMEOUT, "it has closed its output, but does not end");
        core_clock_sleep_ms(1);
    }
    process->pid = -1;
    return ended < 0 ? rc_fail_errno(err, errno, "wait for its end") : RC_OK;
}

static enum rc_code fail_status(const struct process *process, int status, struct rc_error *err)
{
    char shown[CORE_SHOWN_TEXT];
    RC_STR_AUTO says = process->messages.len > 0
                           ? rc_strf("; it says: %s", core_shown(process->messages.data, shown))
                           : rc_strdup("");

    if (WIFSIGNALED(status))
        return rc_fail(err, RC_DENIED, "it was ended by the signal %d%s", WTERMSIG(status), says);
    return rc_fail(err, RC_DENIED, "it ends with the status %d%s", WEXITSTATUS(status), says);
}

static enum rc_code run(struct core_aws_lookup *lookup, char **words, struct core_aws_keys *out,
                        struct rc_error *err)
{
    RC_CLEANUP(process_clear)
    struct process process = { .pid = -1,
                               .out_fd = -1,
                               .err_fd = -1,
                               .out = RC_BUF_INIT(OUTPUT_BYTES),
                               .messages = RC_BUF_INIT(ERROR_BYTES) };
    int status = 0;

    if (start(&process, words, err) || listen_to(&process, lookup->cancel, err) ||
        wait_for(&process, lookup->cancel, &status, err))
        return err->code == RC_NOT_FOUND ? (err->code = RC_INVALID) : err->code;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail_status(&process, status, err);
    return core_aws_keys_from_json(CORE_AWS_REPLY_PROCESS, process.out.data, process.out.len, out,
                                   err);
}

enum rc_code core_aws_from_process(struct core_aws_lookup *lookup,
                                   const struct core_aws_value *command, struct core_aws_keys *out,
                                   struct rc_error *err)
{
    const char *wrong = "nothing";
    char shown[CORE_SHOWN_TEXT];
    size_t count = 0;
    char **words = core_aws_split_words(&lookup->profiles.arena, command->text, &count, &wrong);

    if (!words || count == 0)
        return rc_fail(err, RC_INVALID, "%s:%d: the credential_process is no command: it has %s",
                       command->file, command->line, wrong);
    /* Its arguments may be secret, so only the program is named. */
    if (run(lookup, words, out, err))
        return rc_context(err, "run the credential_process '%s' (%s:%d)",
                          core_shown(words[0], shown), command->file, command->line);
    return RC_OK;
}
