/*
 * Control groups by their files: see control_group.h. Whoever may not make one goes without.
 */
#include <runtime/control_group.h>

#include <os/clock.h>
#include <os/path.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Where a process of ours stands in a group that hands on controllers. */
#define OWN_LEAF "run-core.main"

enum {
    TEXT_BYTES = 4096,
    REMOVE_TRIES = 200, /* a group is busy until its killed processes are gone */
    REMOVE_PAUSE_MS = 5,
};

struct core_control_group {
    char *path;
};

/* Reads FOLDER/NAME as text; empty where it cannot be read. */
static void read_text(const char *folder, const char *name, char out[TEXT_BYTES])
{
    RC_STR_AUTO path = rc_strf("%s/%s", folder, name);
    int fd = core_fd_open(path, O_RDONLY, 0);
    ssize_t got = fd >= 0 ? read(fd, out, TEXT_BYTES - 1) : 0;

    out[got > 0 ? got : 0] = '\0';
    core_fd_close(&fd);
}

/* Returns 0 or the error's number. */
static int write_text(const char *folder, const char *name, const char *text)
{
    RC_STR_AUTO path = rc_strf("%s/%s", folder, name);
    int fd = core_fd_open(path, O_WRONLY, 0);
    int failed = fd < 0 ? errno : core_fd_write(fd, text, strlen(text));

    core_fd_close(&fd);
    return failed;
}

/* Whether a list such as "cpu io memory" has the word. */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = list; (at = strstr(at, word)) != NULL; at += len)
        if ((at == list || at[-1] == ' ') && strchr(" \n", at[len]))
            return true;
    return false;
}

static bool hands_on_memory(const char *folder)
{
    char text[TEXT_BYTES];

    read_text(folder, "cgroup.subtree_control", text);
    return has_word(text, "memory");
}

static bool is_delegated(const char *folder)
{
    static const char *const names[] = { "user.delegate", "trusted.delegate" };
    char value[8];

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        if (getxattr(folder, names[i], value, sizeof(value)) == 1 && value[0] == '1')
            return true;
    return false;
}

/* The folder of the group that this process is in. NULL: there are no groups of version 2. */
static char *own_folder(void)
{
    static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
    char text[TEXT_BYTES];
    struct statfs info;

    read_text("/proc/self", "cgroup", text);
    char *path = rc_str_starts(text, "0::") ? text : strstr(text, "\n0::");
    if (!path)
        return NULL;
    path += path == text ? strlen("0::") : strlen("\n0::");
    path[strcspn(path, "\n")] = '\0';
    for (size_t i = 0; i < RC_ARRAY_LEN(mounts); i++)
        if (statfs(mounts[i], &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC)
            return rc_strf("%s%s", mounts[i], strcmp(path, "/") == 0 ? "" : path);
    return NULL;
}

/* The group below which ours are made: that of this process, or the one above its leaf. */
static char *base_folder(void)
{
    char *folder = own_folder();

    if (folder && rc_str_ends(folder, "/" OWN_LEAF))
        folder[strlen(folder) - strlen("/" OWN_LEAF)] = '\0';
    return folder;
}

void core_control_group_prepare(void)
{
    RC_STR_AUTO base = base_folder();
    RC_STR_AUTO leaf = base ? rc_strf("%s/" OWN_LEAF, base) : NULL;
    char controllers[TEXT_BYTES];

    if (!base || hands_on_memory(base) || !is_delegated(base))
        return;
    read_text(base, "cgroup.controllers", controllers);
    if (!has_word(controllers, "memory") || (mkdir(leaf, 0755) && errno != EEXIST))
        return;
    if (write_text(leaf, "cgroup.procs", "0") == 0)
        (void)write_text(base, "cgroup.subtree_control", "+memory");
}

static enum rc_code set_limit(const struct core_control_group *group, int64_t memory_bytes,
                              struct rc_error *err)
{
    char text[24];
    int failed;

    if (memory_bytes <= 0)
        return RC_OK;
    snprintf(text, sizeof(text), "%lld", (long long)memory_bytes);
    failed = write_text(group->path, "memory.max", text);
    if (failed)
        return rc_fail_errno(err, failed, "set '%s/memory.max'", group->path);
    /* Older kernels have neither; the limit holds all the same. */
    (void)write_text(group->path, "memory.swap.max", "0");
    (void)write_text(group->path, "memory.oom.group", "1");
    return RC_OK;
}

enum rc_code core_control_group_open_at(const char *base, const char *name, int64_t memory_bytes,
                                        struct core_control_group **out, struct rc_error *err)
{
    struct core_control_group *group = rc_calloc(1, sizeof(*group));
    enum rc_code code = RC_OK;

    *out = NULL;
    group->path = rc_strf("%s/run-core.%s", base, name);
    if (mkdir(group->path, 0755) && errno != EEXIST)
        code = rc_fail_errno(err, errno, "make the control group '%s'", group->path);
    /* One that a killed guard has left may have processes of the run's earlier attempt. */
    if (code == RC_OK)
        (void)write_text(group->path, "cgroup.kill", "1");
    if (code == RC_OK)
        code = set_limit(group, memory_bytes, err);
    if (code == RC_OK)
        *out = group;
    else
        core_control_group_close(group);
    return code;
}

enum rc_code core_control_group_open(const char *name, int64_t memory_bytes,
                                     struct core_control_group **out, struct rc_error *err)
{
    core_control_group_prepare();

    RC_STR_AUTO base = base_folder();
    if (!base)
        return rc_fail(err, RC_UNSUPPORTED, "this machine has no control groups of version 2");
    if (!hands_on_memory(base))
        return rc_fail(err, RC_DENIED,
                       "the control group '%s' does not hand on its memory controller; with "
                       "systemd, Delegate=yes lets it",
                       base);
    return core_control_group_open_at(base, name, memory_bytes, out, err);
}

enum rc_code core_control_group_join(const struct core_control_group *group, struct rc_error *err)
{
    int failed = write_text(group->path, "cgroup.procs", "0");

    return failed ? rc_fail_errno(err, failed, "enter the control group '%s'", group->path) : RC_OK;
}

bool core_control_group_ran_out(const struct core_control_group *group)
{
    char text[TEXT_BYTES];
    int64_t kills = 0;

    read_text(group->path, "memory.events", text);
    const char *at = strstr(text, "\noom_kill ");
    if (!at)
        return false;
    RC_STR_AUTO number =
        rc_strndup(at + strlen("\noom_kill "), strcspn(at + strlen("\noom_kill "), "\n"));
    return rc_parse_int(number, &kills) && kills > 0;
}

void core_control_group_close(struct core_control_group *group)
{
    if (!group)
        return;
    for (int i = 0; i < REMOVE_TRIES && rmdir(group->path) && errno == EBUSY; i++) {
        (void)write_text(group->path, "cgroup.kill", "1");
        core_clock_sleep_ms(REMOVE_PAUSE_MS);
    }
    free(group->path);
    free(group);
}
