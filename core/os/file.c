/*
 * Whole reads, directories that are made, and the question whether a file may be trusted.
 * Atomic writes are in temp.c, trees in tree.c.
 */
#include <os/file.h>

#include <os/path.h>
#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_PIECE = 64 * 1024,
    RACE_ROUNDS = 100, /* of a step that another process may undo each time */
};

static ssize_t read_some(int fd, void *out, size_t len)
{
    ssize_t got = -1;

    do
        got = read(fd, out, len);
    while (got < 0 && errno == EINTR);
    return got;
}

/* 0 at the file's end. The size is not asked: in /proc it is always 0. */
static ssize_t read_past_end(int fd)
{
    char byte = 0;

    return read_some(fd, &byte, 1);
}

static enum rc_code read_all(int fd, const char *path, struct rc_buf *out, struct rc_error *err)
{
    for (;;) {
        size_t room = out->limit > out->len ? out->limit - out->len : 0;
        size_t spare = out->capacity > 0 ? out->capacity - out->len - 1 : 0;
        size_t piece = spare > 0 ? spare : READ_PIECE;
        if (piece > room)
            piece = room;
        char *at = piece > 0 ? rc_buf_reserve(out, piece) : NULL;
        ssize_t got = at ? read_some(fd, at, piece) : read_past_end(fd);

        if (got < 0)
            return rc_fail_errno(err, errno, "read '%s'", path);
        if (got == 0)
            return RC_OK;
        if (!at)
            return rc_fail(err, RC_TOO_LARGE, "'%s' is longer than the limit of %zu bytes", path,
                           out->limit);
        rc_buf_added(out, (size_t)got);
    }
}

enum rc_code core_file_read(const char *path, struct rc_buf *out, struct rc_error *err)
{
    RC_CLEANUP(core_fd_close) int fd = core_fd_open(path, O_RDONLY | O_NOCTTY, 0);
    size_t start = out->len;
    struct stat info;

    if (fd < 0)
        return rc_fail_errno(err, errno, "open '%s'", path);
    /* A hint only, which saves the buffer from growing in steps; the last byte is for the end. */
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 &&
        out->limit > out->len && (uintmax_t)info.st_size < out->limit - out->len)
        (void)rc_buf_reserve(out, (size_t)info.st_size + 1);

    enum rc_code code = read_all(fd, path, out, err);
    if (code)
        rc_buf_truncate(out, start);
    return code;
}

enum rc_code core_dir_sync(const char *path, struct rc_error *err)
{
    RC_CLEANUP(core_fd_close) int fd = core_fd_open(path, O_RDONLY | O_DIRECTORY, 0);

    if (fd < 0)
        return rc_fail_errno(err, errno, "open directory '%s'", path);
    /* EINVAL: this file system has nothing to sync in a directory. */
    if (fsync(fd) != 0 && errno != EINVAL)
        return rc_fail_errno(err, errno, "make directory '%s' durable", path);
    return RC_OK;
}

/*
 * Makes one directory; *made tells whether it was missing. One that was there and is removed before
 * it can be looked at is missing after all.
 */
static enum rc_code make_one(const char *path, mode_t mode, bool *made, struct rc_error *err)
{
    struct stat info;
    int error_number = EEXIST;

    for (int round = 0; error_number == EEXIST && round < RACE_ROUNDS; round++) {
        *made = mkdir(path, mode) == 0;
        if (*made)
            return RC_OK;

        /* A read-only or automounted parent may refuse before it says that it is there. */
        error_number = errno;
        if (stat(path, &info) == 0) {
            if (S_ISDIR(info.st_mode))
                return RC_OK;
            return rc_fail(err, RC_INVALID, "make directory '%s': a file of that name exists",
                           path);
        }
        if (lstat(path, &info) == 0)
            break;
    }
    return rc_fail_errno(err, error_number, "make directory '%s'", path);
}

enum rc_code core_dir_make(const char *path, mode_t mode, struct rc_error *err)
{
    RC_STR_AUTO part = rc_strdup(path);
    struct stat info;

    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return RC_OK;

    /* From the outermost down: each prefix that ends before a slash, then all of it. */
    for (size_t at = 1; path[0] != '\0'; at++) {
        bool made = false;

        if (path[at] != '\0' && (path[at] != '/' || path[at - 1] == '/'))
            continue;
        part[at] = '\0';
        if (make_one(part, mode, &made, err))
            return err->code;
        if (made) {
            RC_STR_AUTO parent = core_path_directory(part);

            if (core_dir_sync(parent, err))
                return err->code;
        }
        part[at] = path[at];
        if (path[at] == '\0')
            return RC_OK;
    }
    return rc_fail(err, RC_INVALID, "make a directory whose path is empty");
}

/* What 'info' says against trusting 'path'. The sticky bit keeps others from renaming files. */
static enum rc_code check_owner_and_mode(const char *path, const struct stat *info,
                                         bool accept_sticky, struct rc_error *err)
{
    const char *what = S_ISDIR(info->st_mode) ? "directory" : "file";
    bool group = (info->st_mode & S_IWGRP) != 0;
    bool others = (info->st_mode & S_IWOTH) != 0;

    if (info->st_uid != 0 && info->st_uid != geteuid())
        return rc_fail(err, RC_DENIED,
                       "%s '%s' belongs to user %lu, who is neither root nor the user that "
                       "run-core runs as (%lu); if it is right, run: chown %lu '%s'",
                       what, path, (unsigned long)info->st_uid, (unsigned long)geteuid(),
                       (unsigned long)geteuid(), path);
    if ((group || others) && !(accept_sticky && (info->st_mode & S_ISVTX)))
        return rc_fail(err, RC_DENIED, "%s '%s' is writable by %s; run: chmod %s '%s'", what, path,
                       group && others ? "its group and others"
                       : group         ? "its group"
                                       : "others",
                       group && others ? "go-w"
                       : group         ? "g-w"
                                       : "o-w",
                       path);
    return RC_OK;
}

static enum rc_code check_directory_of(const char *path, struct rc_error *err)
{
    RC_STR_AUTO directory = core_path_directory(path);
    struct stat info;

    if (stat(directory, &info) != 0)
        return rc_fail_errno(err, errno, "look at directory '%s'", directory);
    return check_owner_and_mode(directory, &info, /* accept_sticky = */ true, err);
}

enum rc_code core_file_check_trusted(const char *path, struct rc_error *err)
{
    RC_STR_AUTO real = realpath(path, NULL);
    struct stat info;

    if (!real || stat(real, &info) != 0)
        return rc_fail_errno(err, errno, "look at '%s'", path);
    if (!S_ISREG(info.st_mode))
        return rc_fail(err, RC_DENIED, "'%s' is not a regular file", real);
    if (check_owner_and_mode(real, &info, /* accept_sticky = */ false, err))
        return err->code;

    /* Where 'path' is a link, who can write beside the link can choose another file. */
    if (check_directory_of(real, err))
        return err->code;
    return check_directory_of(path, err);
}
