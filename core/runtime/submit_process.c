/*
 * Starts the process of a run that a plugin begins, from a process that may have threads, and so
 * that it is nobody's child: what starts it need not outlive it, nor reap it. What is to be run is
 * none of this file's concern.
 */
#include <runtime/submit.h>

#include <os/path.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { WORDS = 3, ASK_BYTES = 1024, ASK_FDS = 2 };

/* ---- the process ----------------------------------------------------------------------------- */

/*
 * The program at our place: where a newer one has been installed there meanwhile, it is that, as
 * the plugin is the newer one as well; where there is none, the file that we were started from.
 */
static void find_program(char out[PATH_MAX])
{
    static const char self[] = "/proc/self/exe", gone[] = " (deleted)";
    ssize_t len = readlink(self, out, PATH_MAX - 1);

    out[len > 0 ? len : 0] = '\0';
    if (rc_str_ends(out, gone))
        out[strlen(out) - strlen(gone)] = '\0';
    if (access(out, X_OK) != 0)
        (void)snprintf(out, PATH_MAX, "%s", self);
}

static int describe(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes, int order_fd,
                    int told_fd)
{
    sigset_t all, none;
    int failed;

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    failed = posix_spawn_file_actions_adddup2(files, order_fd, STDIN_FILENO);
    if (!failed)
        failed = posix_spawn_file_actions_adddup2(files, told_fd, CORE_SUBMIT_FD);
    if (!failed)
        failed = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!failed)
        failed = posix_spawn_file_actions_addclosefrom_np(files, CORE_SUBMIT_FD + 1);
    if (!failed)
        failed = posix_spawnattr_setsigmask(attributes, &none);
    if (!failed)
        failed = posix_spawnattr_setsigdefault(attributes, &all);
    if (!failed)
        failed = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                          POSIX_SPAWN_SETSIGDEF);
    return failed;
}

static int spawn(const char *const words[WORDS], int order_fd, int told_fd, pid_t *out)
{
    char program[PATH_MAX];
    const char *const argv[] = { "run-core", "submitted", words[0], words[1], words[2], NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int failed = posix_spawn_file_actions_init(&files);

    if (failed)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (!failed) {
        find_program(program);
        failed = describe(&files, &attributes, order_fd, told_fd);
        if (!failed)
            failed = posix_spawn(out, program, &files, &attributes, (char *const *)(void *)argv,
                                 environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    return failed;
}

enum rc_code core_submit_start(const char *const words[WORDS], int order_fd, int told_fd,
                               struct rc_error *err)
{
    int failed, status;
    pid_t pid;

    failed = spawn(words, order_fd, told_fd, &pid);
    if (failed)
        return rc_fail_errno(err, failed, "start a process of run-core");
    /*
     * It only forks, so that the run's process is left without us: see cli/submitted.c. Where
     * SIGCHLD is ignored, as whoever started us may have it, there is nothing of it to wait for.
     */
    while (waitpid(pid, &status, 0) < 0 && errno != ECHILD)
        if (errno != EINTR)
            return rc_fail_errno(err, errno, "wait for the process %d", (int)pid);
    return RC_OK;
}

/* ---- between a worker and its guard ---------------------------------------------------------- */

bool core_submit_channel(int *guard_fd, int *worker_fd)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    *guard_fd = ends[0];
    *worker_fd = ends[1];
    return true;
}

union descriptors {
    char bytes[CMSG_SPACE(ASK_FDS * sizeof(int))];
    struct cmsghdr aligned;
};

bool core_submit_ask(int worker_fd, const char *const words[WORDS], int order_fd, int told_fd)
{
    const int fds[ASK_FDS] = { order_fd, told_fd };
    RC_BUF_AUTO(text, ASK_BYTES);
    union descriptors passed = { .bytes = { 0 } };
    struct iovec body;
    struct msghdr message = { .msg_iov = &body,
                              .msg_iovlen = 1,
                              .msg_control = passed.bytes,
                              .msg_controllen = sizeof(passed.bytes) };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    ssize_t sent;

    for (size_t i = 0; i < WORDS; i++)
        rc_buf_add(&text, words[i], strlen(words[i]) + 1);
    if (text.overflow) {
        errno = ENAMETOOLONG;
        return false;
    }
    body = (struct iovec){ .iov_base = text.data, .iov_len = text.len };
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(head), fds, sizeof(fds));
    do
        sent = sendmsg(worker_fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)text.len;
}

static bool split(const char *text, size_t len, const char *words[WORDS])
{
    const char *at = text, *end = text + len;

    for (size_t i = 0; i < WORDS; i++) {
        const char *nul = memchr(at, '\0', (size_t)(end - at));

        if (!nul)
            return false;
        words[i] = at;
        at = nul + 1;
    }
    return at == end;
}

/*
 * For a moment orphans are not ours, so that the one made here goes to process 1, and not to a
 * guard that would kill it with all that the worker leaves.
 */
static void start_for_worker(const char *text, size_t len, const int fds[ASK_FDS])
{
    const char *words[WORDS];
    struct rc_error err = RC_ERROR_INIT;
    int takes_orphans = 0;

    if (!split(text, len, words))
        return;
    (void)prctl(PR_GET_CHILD_SUBREAPER, &takes_orphans);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 0);
    if (core_submit_start(words, fds[0], fds[1], &err)) {
        RC_BUF_AUTO(word, RC_ERROR_TEXT + 64);

        rc_buf_addf(&word, "%d %s\n", (int)err.code, err.cause);
        (void)core_fd_write(fds[1], word.data, word.len);
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, takes_orphans);
}

bool core_submit_serve(int guard_fd)
{
    char text[ASK_BYTES];
    union descriptors passed;
    struct iovec body = { .iov_base = text, .iov_len = sizeof(text) };
    struct msghdr message = { .msg_iov = &body,
                              .msg_iovlen = 1,
                              .msg_control = passed.bytes,
                              .msg_controllen = sizeof(passed.bytes) };
    ssize_t got = recvmsg(guard_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    int fds[ASK_FDS] = { -1, -1 };

    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    if (!head || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof(fds)))
        return true; /* not of ours, and so without an answer */
    memcpy(fds, CMSG_DATA(head), sizeof(fds));
    start_for_worker(text, (size_t)got, fds);
    for (size_t i = 0; i < ASK_FDS; i++)
        core_fd_close(&fds[i]);
    return true;
}
