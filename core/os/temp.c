/*
 * Files and directories that are written beside their target and put into its place in
 * one step.
 *
 * Whoever holds the lock on a temporary, and finds it still at its name, owns that name.
 * A crash releases the lock, so what can be locked is what a dead writer left, and is removed.
 */
#include <os/file.h>

#include <os/path.h>
#include <run-core/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* So many can write to one target at once. */
enum { MOST_WRITERS = 1000, NUMBER_DIGITS = 3 };

/* How often a name is tried again when another process got between two calls. */
enum { RACE_ROUNDS = 100 };

/* Of a directory that somebody removed while a file was being written in it; before the umask. */
enum { REMADE_MODE = 0777 };

/* The name of a target, of which the temporaries' names are made. */
static const char *base_name(const char *target)
{
    const char *slash = strrchr(target, '/');

    return slash ? slash + 1 : target;
}

/* FNV-1a. Only tells long names apart; a collision costs nothing but a shared number range. */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return hash;
}

/*
 * What the temporaries of a target are called, up to their number. A name that would
 * get longer than the file system allows is cut and ends with its hash.
 */
static char *temp_stem(const char *target)
{
    enum { HASH_LEN = 17, PREFIX_LEN = sizeof(CORE_FILE_TEMP_PREFIX) - 1 };
    const char *name = base_name(target);
    const int longest = NAME_MAX - PREFIX_LEN - 1 - NUMBER_DIGITS;

    if (strlen(name) <= (size_t)longest)
        return rc_strf("%s%s.", CORE_FILE_TEMP_PREFIX, name);
    return rc_strf("%s%.*s~%016" PRIx64 ".", CORE_FILE_TEMP_PREFIX, longest - HASH_LEN, name,
                   hash_name(name));
}

static char *temp_path(const char *target, int number)
{
    RC_STR_AUTO directory = core_path_directory(target);
    RC_STR_AUTO stem = temp_stem(target);
    const char *slash = rc_str_ends(directory, "/") ? "" : "/";

    return rc_strf("%s%s%s%d", directory, slash, stem, number);
}

static enum rc_code check_target(const char *target, struct rc_error *err)
{
    const char *name = base_name(target);

    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return rc_fail(err, RC_INVALID, "'%s' does not end with the name of a file or directory",
                       target);
    return RC_OK;
}

static enum rc_code sync_parent(const char *path, struct rc_error *err)
{
    RC_STR_AUTO directory = core_path_directory(path);

    return core_dir_sync(directory, err);
}

/* For writing where possible: some network file systems lock nothing else exclusively. */
static int open_leftover(const char *path)
{
    enum { COMMON = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY };
    int fd = core_fd_open(path, O_RDWR | COMMON, 0);

    if (fd < 0 && (errno == EISDIR || errno == EACCES || errno == EROFS))
        fd = core_fd_open(path, O_RDONLY | COMMON, 0);
    return fd;
}

/*
 * Removes what a dead writer left at 'path'; what is not there counts as removed. On an
 * error somebody holds it, or it is not ours to remove. With 'wait' a holder is waited for.
 */
static enum rc_code remove_leftover(const char *path, bool wait, struct rc_error *err)
{
    RC_CLEANUP(core_fd_close) int fd = open_leftover(path);

    if (fd < 0)
        return errno == ENOENT ? RC_OK : rc_fail_errno(err, errno, "open '%s'", path);
    if (core_fd_lock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0)
        return rc_fail_errno(err, errno, "lock '%s'", path);
    /* Its writer may have finished, or another have removed it, before the lock was given. */
    return core_fd_is_at(fd, path) ? core_tree_remove(path, err) : RC_OK;
}

/* Makes something new at 'path' and opens it; -1 with errno EEXIST where the name is taken. */
typedef int create_fn(const char *path, mode_t mode);

static int create_file(const char *path, mode_t mode)
{
    return core_fd_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

static int create_dir(const char *path, mode_t mode)
{
    if (mkdir(path, mode) != 0)
        return -1;

    int fd = core_fd_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    /* Gone already: somebody took the new directory, not yet locked, for a leftover. */
    if (fd < 0 && errno == ENOENT)
        errno = EEXIST;
    return fd;
}

/* Creates and locks 'path'. -1 with errno EEXIST: the name is taken, another will do. */
static int create_locked(const char *path, mode_t mode, create_fn *create)
{
    struct rc_error reason;

    for (int round = 0; round < RACE_ROUNDS; round++) {
        int fd = create(path, mode);

        if (fd < 0 && errno != EEXIST)
            return -1;
        if (fd < 0) {
            if (remove_leftover(path, /* wait = */ false, &reason))
                break;
            continue;
        }

        /* Until it is locked, others hold it to be dead: if one was faster, it is lost to us. */
        bool locked = core_fd_lock(fd, LOCK_EX | LOCK_NB) == 0;
        if (locked && core_fd_is_at(fd, path))
            return fd;
        if (!locked && errno != EWOULDBLOCK) {
            core_fd_close(&fd);
            return -1;
        }
        core_fd_close(&fd);
    }
    errno = EEXIST;
    return -1;
}

static enum rc_code too_many_writers(const char *target, struct rc_error *err)
{
    return rc_fail(err, RC_UNAVAILABLE,
                   "%d unfinished writes to '%s' are under way or cannot be removed", MOST_WRITERS,
                   target);
}

/* Takes the first free name beside 'target'. */
static enum rc_code open_temp(const char *target, mode_t mode, create_fn *create, int *fd_out,
                              char **path_out, struct rc_error *err)
{
    if (check_target(target, err))
        return err->code;

    for (int number = 0; number < MOST_WRITERS; number++) {
        RC_STR_AUTO path = temp_path(target, number);
        int fd = create_locked(path, mode, create);

        if (fd >= 0) {
            *fd_out = fd;
            *path_out = path;
            path = NULL;
            return RC_OK;
        }
        if (errno != EEXIST)
            return rc_fail_errno(err, errno, "create '%s'", path);
    }
    return too_many_writers(target, err);
}

enum rc_code core_temp_file_open_named(struct core_temp_file *file, const char *target, mode_t mode,
                                       struct rc_error *err)
{
    *file = (struct core_temp_file)CORE_TEMP_FILE_INIT;
    if (open_temp(target, mode, create_file, &file->fd, &file->path, err))
        return err->code;
    file->target = rc_strdup(target);
    return RC_OK;
}

/*
 * A file without a name goes with its process, however that ends. It gets one only when it is
 * complete, so the moment in which a crash could leave something behind is that between two calls.
 */
enum rc_code core_temp_file_open(struct core_temp_file *file, const char *target, mode_t mode,
                                 struct rc_error *err)
{
    RC_STR_AUTO directory = core_path_directory(target);
    int fd;

    if (check_target(target, err))
        return err->code;
    fd = core_fd_open(directory, O_TMPFILE | O_RDWR, mode);
    if (fd < 0) /* this file system cannot; or it says better what is wrong */
        return core_temp_file_open_named(file, target, mode, err);
    *file = (struct core_temp_file){
        .fd = fd,
        .path = rc_strf("/proc/self/fd/%d", fd),
        .target = rc_strdup(target),
        .unnamed = true,
    };
    if (access(file->path, F_OK) == 0)
        return RC_OK;
    /* Without /proc, as in a bare chroot, such a file could never get its name. */
    core_temp_file_close(file);
    return core_temp_file_open_named(file, target, mode, err);
}

/* Gives the file the name 'path', which may be that of a leftover. */
static bool take_name(int fd, const char *unnamed, const char *path)
{
    struct rc_error reason;

    for (int round = 0; round < RACE_ROUNDS; round++) {
        if (linkat(AT_FDCWD, unnamed, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
            return core_fd_is_at(fd, path);
        if (errno != EEXIST)
            return false;
        if (remove_leftover(path, /* wait = */ false, &reason))
            break;
    }
    errno = EEXIST;
    return false;
}

/* Gives the file the first free name beside its target. */
static enum rc_code name_beside(struct core_temp_file *file, struct rc_error *err)
{
    for (int number = 0; number < MOST_WRITERS; number++) {
        RC_STR_AUTO path = temp_path(file->target, number);

        if (take_name(file->fd, file->path, path)) {
            rc_str_free(&file->path);
            file->path = path;
            path = NULL;
            file->unnamed = false;
            return RC_OK;
        }
        if (errno != EEXIST)
            return rc_fail_errno(err, errno, "create '%s'", path);
    }
    return too_many_writers(file->target, err);
}

enum rc_code core_temp_file_name(struct core_temp_file *file, struct rc_error *err)
{
    if (!file->unnamed)
        return RC_OK;
    /* Locked first, so that nobody takes the name for a dead writer's. */
    if (core_fd_lock(file->fd, LOCK_EX | LOCK_NB) != 0)
        return rc_fail_errno(err, errno, "lock the unfinished '%s'", file->target);

    /* A file without a name does not keep its directory from being removed as an empty one. */
    for (int round = 0; name_beside(file, err) == RC_NOT_FOUND; round++) {
        RC_STR_AUTO directory = core_path_directory(file->target);

        if (round == RACE_ROUNDS)
            return err->code;
        if (core_dir_make(directory, REMADE_MODE, err) && err->code != RC_NOT_FOUND)
            return err->code;
    }
    return file->unnamed ? err->code : RC_OK;
}

bool core_temp_file_link(struct core_temp_file *file)
{
    RC_STR_AUTO beside = temp_path(file->target, 0);

    /* What a dead writer left there is removed by the one that takes its name. */
    return file->unnamed && access(beside, F_OK) != 0 &&
           core_fd_lock(file->fd, LOCK_EX | LOCK_NB) == 0 &&
           linkat(AT_FDCWD, file->path, AT_FDCWD, file->target, AT_SYMLINK_FOLLOW) == 0;
}

enum rc_code core_temp_file_write(struct core_temp_file *file, const void *data, size_t len,
                                  struct rc_error *err)
{
    const char *at = data;

    while (len > 0) {
        ssize_t written = write(file->fd, at, len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return rc_fail_errno(err, errno, "write '%s'", file->target);
        at += written;
        len -= (size_t)written;
    }
    return RC_OK;
}

/* Forgets names and lock without removing anything. */
static void release(int *fd, char **path, char **target)
{
    core_fd_close(fd);
    rc_str_free(path);
    rc_str_free(target);
}

static enum rc_code publish_file(struct core_temp_file *file, bool exclusive, bool *moved,
                                 struct rc_error *err)
{
    if (fsync(file->fd) != 0)
        return rc_fail_errno(err, errno, "make '%s' durable", file->target);
    if (core_temp_file_name(file, err))
        return err->code;

    /* A program that writes by the path must not put another file there: it would have no lock. */
    if (!core_fd_is_at(file->fd, file->path))
        return rc_fail(err, RC_CONFLICT, "'%s' was removed or replaced before it was finished",
                       file->path);

    int result = exclusive ? core_path_rename_new(file->path, file->target)
                           : rename(file->path, file->target);
    if (result != 0)
        return exclusive && errno == EEXIST
                   ? rc_fail(err, RC_CONFLICT, "'%s' exists already", file->target)
                   : rc_fail_errno(err, errno, "put '%s' in place", file->target);
    *moved = true;
    return sync_parent(file->target, err);
}

enum rc_code core_temp_file_publish(struct core_temp_file *file, bool exclusive,
                                    struct rc_error *err)
{
    bool moved = false;
    enum rc_code code = publish_file(file, exclusive, &moved, err);

    if (moved)
        release(&file->fd, &file->path, &file->target);
    else
        core_temp_file_close(file);
    return code;
}

void core_temp_file_close(struct core_temp_file *file)
{
    /* Removed while it is locked: afterwards the name may belong to somebody else. */
    if (file->path && !file->unnamed && core_fd_is_at(file->fd, file->path))
        unlink(file->path);
    release(&file->fd, &file->path, &file->target);
}

enum rc_code core_file_write(const char *path, const void *data, size_t len, mode_t mode,
                             struct rc_error *err)
{
    RC_CLEANUP(core_temp_file_close) struct core_temp_file file = CORE_TEMP_FILE_INIT;

    if (core_temp_file_open(&file, path, mode, err) || core_temp_file_write(&file, data, len, err))
        return err->code;
    return core_temp_file_publish(&file, /* exclusive = */ false, err);
}

/* Whether 'name' is that of a temporary: the stem and a number. */
static bool has_stem(const char *name, const char *stem)
{
    size_t len = strlen(stem);

    return rc_str_starts(name, stem) && name[len] != '\0' &&
           strspn(name + len, "0123456789") == strlen(name + len);
}

/* Removes all that dead writers left beside 'target', whatever the number. */
static enum rc_code remove_leftovers(const char *target, struct rc_error *err)
{
    RC_STR_AUTO directory = core_path_directory(target);
    RC_STR_AUTO stem = temp_stem(target);
    DIR *dir = opendir(directory);
    const struct dirent *entry = NULL;
    struct rc_error reason;

    if (!dir)
        return rc_fail_errno(err, errno, "open directory '%s'", directory);
    while ((entry = readdir(dir)) != NULL) {
        if (has_stem(entry->d_name, stem)) {
            RC_STR_AUTO path = rc_strf("%s/%s", directory, entry->d_name);

            /* What is in use stays, and what cannot be removed must not keep us from writing. */
            if (remove_leftover(path, /* wait = */ false, &reason))
                continue;
        }
    }
    closedir(dir);
    return RC_OK;
}

enum rc_code core_temp_dir_open(struct core_temp_dir *dir, const char *target, mode_t mode,
                                struct rc_error *err)
{
    *dir = (struct core_temp_dir)CORE_TEMP_DIR_INIT;
    if (check_target(target, err) || remove_leftovers(target, err) ||
        open_temp(target, mode, create_dir, &dir->fd, &dir->path, err))
        return err->code;
    dir->target = rc_strdup(target);
    return RC_OK;
}

static enum rc_code fail_exchange(const char *target, struct rc_error *err)
{
    if (errno == EINVAL || errno == ENOSYS || errno == EXDEV)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the file system of '%s' cannot exchange two directories in one step; "
                       "choose a place on a local file system such as ext4, xfs, btrfs or tmpfs",
                       target);
    return rc_fail_errno(err, errno, "put '%s' in place", target);
}

/* Moves to where nothing is. Not for all file systems can the kernel promise not to replace. */
static int rename_new_dir(const char *from, const char *to)
{
    struct stat info;

    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (lstat(to, &info) == 0) {
        errno = EEXIST;
        return -1;
    }
    /* A directory that appears now is replaced only if it is empty, which loses nothing. */
    return rename(from, to);
}

/* Puts the tree in the target's place; *old tells whether 'path' now names an old tree. */
static enum rc_code move_dir(const struct core_temp_dir *dir, bool *old, struct rc_error *err)
{
    for (int round = 0; round < RACE_ROUNDS; round++) {
        *old = false;
        if (rename_new_dir(dir->path, dir->target) == 0)
            return RC_OK;
        if (errno != EEXIST && errno != ENOTEMPTY)
            return fail_exchange(dir->target, err);

        *old = true;
        if (renameat2(AT_FDCWD, dir->path, AT_FDCWD, dir->target, RENAME_EXCHANGE) == 0)
            return RC_OK;
        /* The target is gone again: so it is the first case after all. */
        if (errno != ENOENT)
            return fail_exchange(dir->target, err);
    }
    return rc_fail(err, RC_CONFLICT, "'%s' keeps appearing and vanishing", dir->target);
}

/* Removes what stood in the target's place before. */
static enum rc_code remove_old(const char *path, struct rc_error *err)
{
    struct stat info;

    if (lstat(path, &info) != 0)
        return errno == ENOENT ? RC_OK : rc_fail_errno(err, errno, "look at '%s'", path);
    if (S_ISDIR(info.st_mode))
        return remove_leftover(path, /* wait = */ true, err);

    /* A file or link stood there. A directory that has its name by now is somebody else's. */
    if (unlink(path) != 0 && errno != ENOENT && errno != EISDIR)
        return rc_fail_errno(err, errno, "remove '%s'", path);
    return RC_OK;
}

enum rc_code core_temp_dir_publish(struct core_temp_dir *dir, struct rc_error *err)
{
    bool old = false;

    if (core_tree_sync(dir->path, err) || move_dir(dir, &old, err)) {
        core_temp_dir_close(dir);
        return err->code;
    }

    /*
     * The new tree is no temporary any more. Whoever exchanges it next waits for its lock
     * before removing it, so the lock ends here and not behind the removal of the old tree.
     */
    core_fd_close(&dir->fd);
    enum rc_code code = sync_parent(dir->target, err);
    if (!code && old)
        code = remove_old(dir->path, err);
    if (code)
        rc_context(err, "with the new '%s' in place", dir->target);
    release(&dir->fd, &dir->path, &dir->target);
    return code;
}

void core_temp_dir_close(struct core_temp_dir *dir)
{
    struct rc_error reason;

    /* What stays because of an error is unlocked, and so the next writer's to remove. */
    enum rc_code left = dir->path ? core_tree_remove(dir->path, &reason) : RC_OK;
    (void)left;
    release(&dir->fd, &dir->path, &dir->target);
}
