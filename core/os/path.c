/*
 * Paths as text, and system calls that are repeated when a signal interrupts them.
 */
#include <os/path.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

char *core_path_directory(const char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len == 0)
        return rc_strdup(".");
    while (len > 1 && path[len - 1] == '/')
        len--;
    return rc_strndup(path, len);
}

int core_path_rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    return link(from, to) == 0 ? unlink(from) : -1;
}

int core_fd_open(const char *path, int flags, mode_t mode)
{
    return core_fd_openat(AT_FDCWD, path, flags, mode);
}

int core_fd_openat(int directory, const char *name, int flags, mode_t mode)
{
    int fd = -1;

    do
        fd = openat(directory, name, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int core_fd_lock(int fd, int operation)
{
    int result = -1;

    do
        result = flock(fd, operation);
    while (result != 0 && errno == EINTR);
    return result;
}

int core_fd_write(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t written = write(fd, at, len);

        if (written >= 0) {
            at += written;
            len -= (size_t)written;
        } else if (errno == EAGAIN) {
            (void)poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

void core_fd_close(int *fd)
{
    int error_number = errno;

    /* Not repeated when interrupted: on Linux the number is free again even then. */
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = error_number;
}

bool core_fd_is_at(int fd, const char *path)
{
    struct stat opened;
    struct stat named;

    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}
