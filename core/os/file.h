/*
 * Files and directories: whole reads, atomic and durable writes, trees.
 *
 * Unfinished writes have a name of their own, CORE_FILE_TEMP_PREFIX followed by the name of the
 * target and a number, and are locked (flock) by the process that makes them. So another process
 * can tell a write under way from one whose writer died, and removes the latter.
 */
#ifndef CORE_OS_FILE_H
#define CORE_OS_FILE_H

#include <run-core/buf.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define CORE_FILE_TEMP_PREFIX ".rc-tmp."

/* Appends the whole file. RC_TOO_LARGE: it is longer than the buffer's limit allows. */
RC_MUST_CHECK enum rc_code core_file_read(const char *path, struct rc_buf *out,
                                          struct rc_error *err);

/* A file that is being written beside its target. */
struct core_temp_file {
    int fd;       /* -1 when closed */
    char *path;   /* by which this process can open the unfinished file */
    char *target; /* where it will stand */
    bool unnamed; /* in no directory yet */
};

/* clang-format off */
#define CORE_TEMP_FILE_INIT { -1, NULL, NULL, false }
/* clang-format on */

/*
 * Opens an empty temporary in the directory of 'target', which must exist: without a name where the
 * file system can do that, else named and locked, reusing one whose writer died. 'mode' is of the
 * finished file, before the umask.
 */
RC_MUST_CHECK enum rc_code core_temp_file_open(struct core_temp_file *file, const char *target,
                                               mode_t mode, struct rc_error *err);
/* The latter, on any file system. */
RC_MUST_CHECK enum rc_code core_temp_file_open_named(struct core_temp_file *file,
                                                     const char *target, mode_t mode,
                                                     struct rc_error *err);
/*
 * Gives an unnamed file its name, 'path', and its lock; for those who move it by themselves. A
 * directory that was removed meanwhile, being empty, is made again.
 */
RC_MUST_CHECK enum rc_code core_temp_file_name(struct core_temp_file *file, struct rc_error *err);
/*
 * Gives an unnamed file the name of its target at once, and its lock, if nothing has that name; for
 * the same. False: it has to go by a name of its own, as where something is there, or a dead
 * writer's file lies beside it.
 */
bool core_temp_file_link(struct core_temp_file *file);
/* Writes all of it. RC_UNAVAILABLE: the disk is full. */
RC_MUST_CHECK enum rc_code core_temp_file_write(struct core_temp_file *file, const void *data,
                                                size_t len, struct rc_error *err);
/*
 * Makes the content durable and puts it in the target's place, which is made durable too. With
 * 'exclusive' an existing target is RC_CONFLICT. The file is closed afterwards, whatever
 * happened.
 */
RC_MUST_CHECK enum rc_code core_temp_file_publish(struct core_temp_file *file, bool exclusive,
                                                  struct rc_error *err);
/* Removes an unpublished file. May be called again. */
void core_temp_file_close(struct core_temp_file *file);

/* The three above in one call. */
RC_MUST_CHECK enum rc_code core_file_write(const char *path, const void *data, size_t len,
                                           mode_t mode, struct rc_error *err);

/* Makes a directory and its missing parents, durably. One that exists is fine. */
RC_MUST_CHECK enum rc_code core_dir_make(const char *path, mode_t mode, struct rc_error *err);
/* Removes a file or a tree without following links; what is not there counts as removed. */
RC_MUST_CHECK enum rc_code core_tree_remove(const char *path, struct rc_error *err);
/* Makes every file and directory of a tree durable. */
RC_MUST_CHECK enum rc_code core_tree_sync(const char *path, struct rc_error *err);
/* Makes the entries of a directory durable. */
RC_MUST_CHECK enum rc_code core_dir_sync(const char *path, struct rc_error *err);

/* A directory that is being filled beside its target. */
struct core_temp_dir {
    int fd;     /* holds the lock; -1 when closed */
    char *path; /* of the unfinished directory */
    char *target;
};

#define CORE_TEMP_DIR_INIT                                                                         \
    {                                                                                              \
        -1, NULL, NULL                                                                             \
    }

/* As core_temp_file_open(); also removes what dead writers left beside the same target. */
RC_MUST_CHECK enum rc_code core_temp_dir_open(struct core_temp_dir *dir, const char *target,
                                              mode_t mode, struct rc_error *err);
/*
 * Makes the tree durable and exchanges it with the target in one step, then removes the old tree.
 * An error in that removal is an error here, with the new tree in place.
 */
RC_MUST_CHECK enum rc_code core_temp_dir_publish(struct core_temp_dir *dir, struct rc_error *err);
/* Removes an unpublished directory. May be called again. */
void core_temp_dir_close(struct core_temp_dir *dir);

/*
 * Whether code or secrets from 'path' may be trusted: a regular file, owned by root or the
 * effective user, not writable by group or others, and in a directory of which the same holds (a
 * sticky directory such as /tmp is accepted). RC_DENIED says what is wrong and the command that
 * mends it.
 */
RC_MUST_CHECK enum rc_code core_file_check_trusted(const char *path, struct rc_error *err);

#endif
