/*
 * The directory of the copies. Whoever works in one holds its lock, so that one without is what a
 * killed process has left, and is removed by the next.
 */
#include <storage/staging_internal.h>

#include <os/path.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "run-core-copies."

enum { ATTEMPTS = 10 };

/* -1: it is locked, or gone. */
static int lock_dir(const char *path)
{
    int fd = core_fd_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

    if (fd >= 0 && (core_fd_lock(fd, LOCK_EX | LOCK_NB) != 0 || !core_fd_is_at(fd, path)))
        core_fd_close(&fd);
    return fd;
}

static void remove_left(const char *parent)
{
    DIR *dir = opendir(parent);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        RC_STR_AUTO path = NULL;
        struct rc_error ignored = RC_ERROR_INIT;
        int fd;

        if (!rc_str_starts(entry->d_name, PREFIX))
            continue;
        path = rc_strf("%s/%s", parent, entry->d_name);
        fd = lock_dir(path);
        /* One of another user, perhaps: it is in nobody's way. */
        if (fd >= 0 && core_tree_remove(path, &ignored))
            ignored.code = RC_OK;
        core_fd_close(&fd);
    }
    if (dir)
        (void)closedir(dir);
}

enum rc_code core_staging_dir_open(const char *parent, char **path, int *fd, struct rc_error *err)
{
    if (core_dir_make(parent, STAGING_FOLDER_MODE, err))
        return err->code;
    remove_left(parent);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        RC_STR_AUTO made = rc_strf("%s/" PREFIX "XXXXXX", parent);

        if (!mkdtemp(made))
            return rc_fail_errno(err, errno, "make a directory in '%s'", parent);
        *fd = lock_dir(made);
        if (*fd >= 0) {
            *path = made;
            made = NULL;
            return RC_OK;
        }
        /* Another has taken it for one that was left, and removes it. */
    }
    return rc_fail(err, RC_UNAVAILABLE, "no directory in '%s' can be locked", parent);
}

enum rc_code core_staging_folder_make(const char *path, struct rc_error *err)
{
    RC_STR_AUTO part = rc_strdup(path);

    /* From the outermost down, but mostly only the last is missing. */
    if (mkdir(path, STAGING_FOLDER_MODE) == 0 || errno == EEXIST)
        return RC_OK;
    for (char *slash = part; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        if (mkdir(part, STAGING_FOLDER_MODE) != 0 && errno != EEXIST)
            return rc_fail_errno(err, errno, "make directory '%s'", part);
    }
    if (mkdir(path, STAGING_FOLDER_MODE) != 0 && errno != EEXIST)
        return rc_fail_errno(err, errno, "make directory '%s'", path);
    return RC_OK;
}

void core_staging_dir_close(const char *path, int *fd)
{
    struct rc_error ignored = RC_ERROR_INIT;

    if (core_tree_remove(path, &ignored))
        ignored.code = RC_OK; /* the next process tries again */
    core_fd_close(fd);
}
