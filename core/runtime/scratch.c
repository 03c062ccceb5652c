/*
 * Directories that live as long as a run: see scratch.h.
 */
#include <runtime/scratch.h>

#include <os/file.h>
#include <os/path.h>

#include <run-core/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *base_directory(void)
{
    const char *tmp = getenv("TMPDIR");

    return rc_strf("%s/run-core-%u", tmp && tmp[0] == '/' ? tmp : "/tmp", (unsigned)geteuid());
}

enum {
    ATTEMPTS = 1000
}; /* each fails only because another run made or removed something just then */

/* Makes the base, and refuses one that somebody else put there. */
static enum rc_code make_base(const char *base, struct rc_error *err)
{
    struct stat info;
    int found = -1;

    for (int attempt = 0; found && attempt < ATTEMPTS; attempt++) {
        if (mkdir(base, 0700) && errno != EEXIST)
            break;
        found = lstat(base, &info);
        if (found && errno != ENOENT)
            break;
    }
    if (found)
        return rc_fail_errno(err, errno,
                             "cannot make the directory for temporary files '%s'; set TMPDIR to a "
                             "directory that can be written",
                             base);
    if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077) != 0)
        return rc_fail(err, RC_DENIED,
                       "'%s' is not a directory of this user alone; remove it, or set TMPDIR to "
                       "another place",
                       base);
    return RC_OK;
}

/* Opens a directory and locks it; -1 if it is not there or, with LOCK_NB, in use. */
static int lock_directory(const char *path, int flags)
{
    int fd = core_fd_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

    if (fd >= 0 && core_fd_lock(fd, LOCK_EX | flags))
        core_fd_close(&fd);
    return fd;
}

/* A leftover is no reason to fail: the next sweep tries again. */
static void remove_leftover(const char *path)
{
    struct rc_error ignored = RC_ERROR_INIT;

    if (core_tree_remove(path, &ignored))
        return;
}

/* Removes what dead runs left behind. */
static void sweep(const char *base)
{
    DIR *dir = opendir(base);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        RC_STR_AUTO path = rc_strf("%s/%s", base, entry->d_name);
        int fd;

        if (entry->d_name[0] == '.')
            continue;
        fd = lock_directory(path, LOCK_NB);
        if (fd < 0)
            continue;
        remove_leftover(path);
        close(fd);
    }
    if (dir)
        closedir(dir);
}

/*
 * A directory is briefly there without its lock, and a sweep may take it then: whoever made
 * it waits for the lock, looks whether it still stands, and makes it again if not. The base too may
 * go at any moment, with the last run that had something there.
 */
enum rc_code core_scratch_make(const char *run_id, char **path, struct rc_error *err)
{
    RC_STR_AUTO base = base_directory();
    RC_STR_AUTO own = rc_strf("%s/%s", base, run_id);

    if (make_base(base, err))
        return err->code;
    sweep(base);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        int fd;

        if (make_base(base, err))
            return err->code;
        if (mkdir(own, 0700) && errno != EEXIST) {
            if (errno == ENOENT)
                continue;
            return rc_fail_errno(err, errno, "cannot make the temporary directory '%s'", own);
        }
        fd = lock_directory(own, 0);
        if (fd >= 0 && core_fd_is_at(fd, own)) {
            *path = own;
            own = NULL;
            return RC_OK; /* 'fd' stays open: it is the lock */
        }
        if (fd >= 0)
            close(fd);
    }
    return rc_fail(err, RC_UNAVAILABLE,
                   "cannot keep the temporary directory '%s': another process removes it", own);
}

void core_scratch_remove(const char *run_id)
{
    RC_STR_AUTO base = base_directory();
    RC_STR_AUTO own = rc_strf("%s/%s", base, run_id);

    remove_leftover(own);
    rmdir(base); /* succeeds only when no other run has something there */
}
