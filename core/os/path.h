/*
 * Small pieces that the files of this layer share: paths as text, calls that are
 * repeated when a signal interrupts them, and removal of what dead writers left.
 */
#ifndef CORE_OS_PATH_H
#define CORE_OS_PATH_H

#include <run-core/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The directory in which 'path' lies, as dirname(1) gives it. Freed with free(). */
char *core_path_directory(const char *path);

/*
 * As rename(), of a file, that fails with EEXIST where 'to' exists. For file systems that cannot
 * do that in one step, a crash between two leaves the file under both names.
 */
int core_path_rename_new(const char *from, const char *to);

/* open() with O_CLOEXEC, repeated when interrupted. */
int core_fd_open(const char *path, int flags, mode_t mode);
int core_fd_openat(int directory, const char *name, int flags, mode_t mode);
/* flock(), repeated when interrupted. */
int core_fd_lock(int fd, int operation);
/*
 * Writes all of it, repeated when interrupted and waiting where the descriptor does not block.
 * Returns 0 or the error's number.
 */
int core_fd_write(int fd, const void *data, size_t len);
/* Closes *fd, keeps errno, and sets *fd to -1; for RC_CLEANUP. */
void core_fd_close(int *fd);

/* Whether 'path' still names, without following a link, the file that is open as 'fd'. */
bool core_fd_is_at(int fd, const char *path);

#endif
