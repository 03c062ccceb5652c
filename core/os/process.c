/*
 * The identity of processes, from /proc (proc(5)). A process is its number, its start
 * time in ticks since boot, and the boot and pid namespace in which both have a meaning.
 */
#include <os/process.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* PF_SIGNALED of the kernel's include/linux/sched.h, in field 9 of /proc/PID/stat. */
enum { KILLED_BY_SIGNAL = 0x400 };

/* The fields of /proc/PID/stat that matter here. */
struct stat_fields {
    char state;           /* field 3 */
    pid_t parent;         /* field 4 */
    unsigned long flags;  /* field 9 */
    long threads;         /* field 20 */
    uint64_t start_ticks; /* field 22 */
};

/* Reads a small file of /proc as text. False: it is not there or empty. */
static bool read_text(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;

    if (fd < 0)
        return false;
    do
        got = read(fd, out, size - 1);
    while (got < 0 && errno == EINTR);
    close(fd);
    if (got <= 0)
        return false;
    out[got] = '\0';
    return true;
}

/*
 * "PID (NAME) STATE PPID ...": the name may hold blanks and parentheses, so that the
 * fields are counted from the last closing one.
 */
static bool read_stat(pid_t pid, struct stat_fields *out)
{
    char path[64];
    char text[1024];

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    if (!read_text(path, text, sizeof(text)))
        return false;

    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || at[2] == '\0')
        return false;
    at += 2;
    out->state = *at;
    for (int field = 3; field < 22; field++) {
        at = strchr(at, ' ');
        if (!at)
            return false;
        at++;
        if (field + 1 == 4)
            out->parent = (pid_t)strtol(at, NULL, 10);
        if (field + 1 == 9)
            out->flags = strtoul(at, NULL, 10);
        if (field + 1 == 20)
            out->threads = strtol(at, NULL, 10);
    }
    out->start_ticks = strtoull(at, NULL, 10);
    return true;
}

/* Where pids have the same meaning; empty where that cannot be found out. */
static void read_host(char out[CORE_PROCESS_TEXT])
{
    char boot[64];
    char space[64];
    ssize_t len = readlink("/proc/self/ns/pid", space, sizeof(space) - 1);

    out[0] = '\0';
    if (len <= 0 || !read_text("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)))
        return;
    space[len] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    snprintf(out, CORE_PROCESS_TEXT, "%s %s", boot, space);
}

void core_process_self(struct core_process_id *out)
{
    struct stat_fields fields = { 0 };

    memset(out, 0, sizeof(*out));
    read_host(out->host);
    out->pid = getpid();
    if (read_stat(out->pid, &fields))
        out->start_ticks = fields.start_ticks;
}

/* Whether SIGKILL waits for the process: in the masks of pending signals of /proc/PID/status. */
static bool is_being_killed(pid_t pid)
{
    static const char *const masks[] = { "\nSigPnd:", "\nShdPnd:" };
    const unsigned long long kill_bit = 1ULL << (SIGKILL - 1);
    char path[64];
    char text[4096];

    snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    if (!read_text(path, text, sizeof(text)))
        return false;
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        const char *at = strstr(text, masks[i]);
        if (at && (strtoull(at + strlen(masks[i]), NULL, 16) & kill_bit))
            return true;
    }
    return false;
}

enum core_process_state core_process_look(const struct core_process_id *id)
{
    char here[CORE_PROCESS_TEXT];
    struct stat_fields fields = { 0 };

    read_host(here);
    if (here[0] == '\0' || strncmp(here, id->host, sizeof(here)) != 0)
        return CORE_PROCESS_ELSEWHERE;
    if (id->pid <= 0)
        return CORE_PROCESS_DEAD;

    if (!read_stat(id->pid, &fields)) {
        /* /proc may hide the processes of other users; whoever still gets a signal lives. */
        bool gone = kill(id->pid, 0) != 0 && errno == ESRCH;
        return gone ? CORE_PROCESS_DEAD : CORE_PROCESS_ALIVE;
    }
    if (fields.start_ticks != id->start_ticks)
        return CORE_PROCESS_DEAD; /* its number has gone to another process */

    /* A process whose first thread has ended looks like a zombie while its others run on. */
    bool ended = fields.state == 'Z' || fields.state == 'X' || fields.state == 'x';
    if (ended && fields.threads <= 1)
        return CORE_PROCESS_DEAD;
    return (fields.flags & KILLED_BY_SIGNAL) || is_being_killed(id->pid) ? CORE_PROCESS_ENDING
                                                                         : CORE_PROCESS_ALIVE;
}

enum core_process_state core_process_signal(const struct core_process_id *id, int number)
{
    /* The descriptor first: from then on the number cannot come to mean another process. */
    int pidfd = id->pid > 0 ? (int)syscall(SYS_pidfd_open, id->pid, 0) : -1;
    enum core_process_state state = core_process_look(id);

    if (state == CORE_PROCESS_ALIVE && pidfd >= 0 &&
        syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) != 0 && errno == ESRCH)
        state = CORE_PROCESS_DEAD;
    if (pidfd >= 0)
        close(pidfd);
    return state;
}

size_t core_process_children(pid_t *out, size_t count)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    size_t found = 0;

    while (dir && found < count && (entry = readdir(dir)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for what is no process */
        struct stat_fields fields = { 0 };

        if (pid > 0 && read_stat(pid, &fields) && fields.parent == getpid())
            out[found++] = pid;
    }
    if (dir)
        closedir(dir);
    return found;
}

/* That of a sanitizer is vast and empty, and stays as it is. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HAS_SHADOW_MEMORY = 1 };
#else
enum { HAS_SHADOW_MEMORY = 0 };
#endif

/* MADV_COLLAPSE of Linux 6.1; older kernels refuse it, and do the same by themselves in time. */
enum { COLLAPSE = 25 };

static const uintptr_t huge_page_bytes = 2 * 1024 * 1024;

/* "START-END rw-p OFFSET DEVICE 0 NAME": private memory of no file, such as the heap. */
static void join_mapping(const char *line)
{
    unsigned long first, last, inode;
    char mode[5];

    if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &first, &last, mode, &inode) != 4 ||
        strcmp(mode, "rw-p") != 0 || inode != 0 || strstr(line, "[stack]"))
        return;

    uintptr_t start = (first + huge_page_bytes - 1) & ~(huge_page_bytes - 1);
    uintptr_t end = last & ~(huge_page_bytes - 1);
    if (end <= start)
        return;
    (void)madvise((void *)start, end - start, MADV_HUGEPAGE);
    (void)madvise((void *)start, end - start, COLLAPSE);
}

void core_process_join_pages(void)
{
    FILE *maps = HAS_SHADOW_MEMORY ? NULL : fopen("/proc/self/maps", "re");
    char line[512];

    while (maps && fgets(line, sizeof(line), maps))
        join_mapping(line);
    if (maps)
        fclose(maps);
}

static struct rlimit descriptors_before; /* rlim_max is 0 as long as nothing was raised */

void core_process_raise_descriptors(void)
{
    struct rlimit limit;

    if (descriptors_before.rlim_max > 0 || getrlimit(RLIMIT_NOFILE, &limit))
        return;
    descriptors_before = limit;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void core_process_restore_descriptors(void)
{
    if (descriptors_before.rlim_max > 0)
        setrlimit(RLIMIT_NOFILE, &descriptors_before);
}
