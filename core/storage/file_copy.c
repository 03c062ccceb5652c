/*
 * Copies and moves within the file backend: by reference where the file system can, else
 * inside the kernel, else by reading and writing.
 */
#include <storage/file.h>

#include <os/path.h>
#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    KERNEL_CHUNK = 64 * 1024 * 1024, /* between two looks at the cancellation */
    COPY_CHUNK = 1024 * 1024,
    ATTEMPTS = 1000,
};

/* ---- copy --------------------------------------------------------------------------------- */

static enum rc_code open_source(const char *path, int *fd, struct rc_error *err)
{
    struct stat st;

    *fd = core_fd_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (*fd < 0 && core_file_is_missing(errno))
        return rc_fail(err, RC_NOT_FOUND, "there is no '%s'", path);
    if (*fd < 0 || fstat(*fd, &st) != 0)
        return rc_fail_errno(err, errno, "'%s'", path);
    if (!S_ISREG(st.st_mode))
        return rc_fail(err, RC_NOT_FOUND, "'%s' is %s, not an object", path,
                       S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
    return RC_OK;
}

/* Reads and writes from where the files' offsets stand. */
static enum rc_code copy_bytes(int source, struct core_temp_file *target,
                               const struct core_cancel *cancel, struct rc_error *err)
{
    RC_STR_AUTO chunk = rc_malloc(COPY_CHUNK);

    for (;;) {
        ssize_t got;

        if (core_cancel_check(cancel, err))
            return err->code;
        got = read(source, chunk, COPY_CHUNK);
        if (got == 0)
            return RC_OK;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rc_fail_errno(err, errno, "read for '%s'", target->target);
        if (core_temp_file_write(target, chunk, (size_t)got, err))
            return err->code;
    }
}

static enum rc_code copy_content(int source, struct core_temp_file *target,
                                 const struct core_cancel *cancel, struct rc_error *err)
{
    if (ioctl(target->fd, FICLONE, source) == 0)
        return RC_OK;
    for (;;) {
        ssize_t copied;

        if (core_cancel_check(cancel, err))
            return err->code;
        copied = copy_file_range(source, NULL, target->fd, NULL, KERNEL_CHUNK, 0);
        if (copied > 0 || (copied < 0 && errno == EINTR))
            continue;
        /*
         * At the end, or where the kernel cannot: some file systems then answer 0 for a file
         * that has content, so the rest is always asked for by reading, which tells.
         */
        return copy_bytes(source, target, cancel, err);
    }
}

static enum rc_code check_source(const char *path, int fd, const char *if_match,
                                 struct rc_error *err)
{
    struct stat st;

    if (!if_match)
        return RC_OK;
    if (fstat(fd, &st) != 0)
        return rc_fail_errno(err, errno, "'%s'", path);
    return core_file_check_match(path, &st, if_match, err);
}

enum rc_code core_file_copy(const struct core_place_in_store *source,
                            const struct core_place_in_store *target,
                            const struct core_copy_options *options, struct rc_stat *written,
                            struct rc_error *err)
{
    RC_CLEANUP(core_fd_close) int fd = -1;
    RC_CLEANUP(core_temp_file_close) struct core_temp_file temp = CORE_TEMP_FILE_INIT;

    if (open_source(source->key, &fd, err) ||
        check_source(source->key, fd, options->source_if_match, err) ||
        core_file_open_temp(target, &temp, err) || copy_content(fd, &temp, target->cancel, err) ||
        check_source(source->key, fd, options->source_if_match, err) ||
        core_file_publish(target, &temp, options->if_match, /* keep_attributes = */ false, written,
                          err))
        return err->code;
    return RC_OK;
}

/* ---- move --------------------------------------------------------------------------------- */

/* Both ends of a move, held. */
struct ends {
    struct core_file_held source, target;
};

static void release_ends(struct ends *ends)
{
    core_file_release(&ends->source);
    core_file_release(&ends->target);
}

static bool is_same_file(const struct core_file_held *a, const struct core_file_held *b)
{
    return a->kind == CORE_FILE_OBJECT && b->kind == CORE_FILE_OBJECT &&
           a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
}

/* Whether both paths lead to one entry of one directory, written differently. */
static bool is_same_entry(const char *a, const char *b)
{
    RC_STR_AUTO above_a = core_path_directory(a);
    RC_STR_AUTO above_b = core_path_directory(b);
    struct stat sa, sb;

    return strcmp(strrchr(a, '/'), strrchr(b, '/')) == 0 && stat(above_a, &sa) == 0 &&
           stat(above_b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/*
 * Holds both, always in the order of the paths, so that two moves in opposite directions do not
 * wait for each other. One file under two names is held once: a second lock would wait for the
 * first.
 */
static enum rc_code hold_ends(const struct core_place_in_store *source,
                              const struct core_place_in_store *target, struct ends *ends,
                              struct rc_error *err)
{
    bool source_first = strcmp(source->key, target->key) < 0;
    const char *first_key = source_first ? source->key : target->key;
    const char *second_key = source_first ? target->key : source->key;
    struct core_file_held *first = source_first ? &ends->source : &ends->target;
    struct core_file_held *second = source_first ? &ends->target : &ends->source;
    struct stat st;

    if (core_file_hold(first_key, source->cancel, first, err))
        return err->code;
    if (first->kind == CORE_FILE_OBJECT && stat(second_key, &st) == 0 &&
        st.st_dev == first->st.st_dev && st.st_ino == first->st.st_ino) {
        *second = (struct core_file_held){ .kind = first->kind, .st = first->st, .fd = -1 };
        return RC_OK;
    }
    return core_file_hold(second_key, source->cancel, second, err);
}

static enum rc_code sync_source(const char *path, struct rc_error *err)
{
    RC_CLEANUP(core_fd_close) int fd = -1;

    if (open_source(path, &fd, err))
        return err->code == RC_DENIED ? RC_OK : err->code;
    return fsync(fd) == 0 ? RC_OK : rc_fail_errno(err, errno, "write '%s' to disk", path);
}

static bool is_link(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

enum outcome { MOVED, AGAIN, COPY };

static enum rc_code remove_source(const char *path, struct rc_error *err)
{
    return unlink(path) == 0 ? RC_OK : rc_fail_errno(err, errno, "remove '%s'", path);
}

/* One rename, with both ends held. */
static enum rc_code rename_held(const char *source, const char *target, bool is_free,
                                enum outcome *outcome, struct rc_error *err)
{
    int result =
        is_free && !is_link(target) ? core_path_rename_new(source, target) : rename(source, target);

    /* Some network file systems have no hard links either. */
    if (result != 0 && (errno == EPERM || errno == ENOSYS || errno == EOPNOTSUPP))
        result = rename(source, target);
    if (result == 0) {
        *outcome = MOVED;
        return RC_OK;
    }
    *outcome = errno == EXDEV ? COPY : AGAIN;
    if (errno == EXDEV || errno == EEXIST)
        return RC_OK;
    if (errno == ENOENT) {
        /* The directory is missing, not the source, which is held. */
        enum rc_code code = core_file_make_parent(target, err);

        return code == RC_NOT_FOUND ? RC_OK : code;
    }
    return rc_fail_errno(err, errno, "rename '%s' to '%s'", source, target);
}

/*
 * Both names lead to one file. To rename one hard link over another does nothing, and to rename a
 * link over what it leads to makes a circle: there, the source only has to go.
 */
static enum rc_code move_onto_same(const char *source, const char *target, enum outcome *outcome,
                                   struct rc_error *err)
{
    *outcome = MOVED;
    if (is_same_entry(source, target))
        return RC_OK;
    if (!is_link(source) && is_link(target))
        return rename_held(source, target, /* is_free = */ false, outcome, err);
    return remove_source(source, err);
}

/* A link that leads nowhere is absent to readers, yet in the way. */
static enum rc_code check_free(const char *path, const struct core_file_held *held,
                               struct rc_error *err)
{
    if (held->kind == CORE_FILE_OBJECT || is_link(path))
        return rc_fail(err, RC_CONFLICT, "'%s' exists already", path);
    return RC_OK;
}

/* What is looked at is what is held, so that the rename meets what the conditions have met. */
static enum rc_code try_move(const struct core_place_in_store *source,
                             const struct core_place_in_store *target,
                             const struct core_copy_options *options, enum outcome *outcome,
                             struct rc_error *err)
{
    RC_CLEANUP(release_ends)
    struct ends ends = { .source = CORE_FILE_HELD_INIT, .target = CORE_FILE_HELD_INIT };

    if (hold_ends(source, target, &ends, err))
        return err->code;
    if (ends.source.kind != CORE_FILE_OBJECT)
        return rc_fail(err, RC_NOT_FOUND, "there is no object '%s'", source->key);
    if (core_file_check_match(source->key, &ends.source.st, options->source_if_match, err))
        return err->code;
    if (options->if_match && check_free(target->key, &ends.target, err))
        return err->code;
    if (ends.target.kind == CORE_FILE_OTHER)
        return rc_fail(err, RC_INVALID, "'%s' is no regular file, and is not replaced",
                       target->key);
    if (ends.target.kind == CORE_FILE_DIRECTORY) {
        *outcome = AGAIN;
        return core_file_clear_directory(target, err);
    }
    if (is_same_file(&ends.source, &ends.target))
        return move_onto_same(source->key, target->key, outcome, err);
    /* A link that is moved may no longer lead anywhere; its content is what is moved. */
    if (is_link(source->key)) {
        *outcome = COPY;
        return RC_OK;
    }
    return rename_held(source->key, target->key, ends.target.kind == CORE_FILE_ABSENT, outcome,
                       err);
}

/*
 * A new name that survives a crash of the machine while the old one does too is "both", never
 * "neither".
 */
static enum rc_code settle_move(const struct core_place_in_store *source,
                                const struct core_place_in_store *target, struct rc_error *err)
{
    RC_STR_AUTO parent = core_path_directory(target->key);
    enum rc_code code = core_dir_sync(parent, err);

    if (code && code != RC_NOT_FOUND)
        return code;
    return core_file_settle(source, err);
}

/* What is removed has to be what was copied. */
static enum rc_code copy_and_remove(const struct core_place_in_store *source,
                                    const struct core_place_in_store *target,
                                    const struct core_copy_options *options, struct rc_error *err)
{
    struct core_place_in_store victim = *source;
    struct core_copy_options pinned = *options;
    struct rc_stat stat;

    if (core_storage_file.stat(source, &stat, NULL, err))
        return err->code;
    if (!options->source_if_match)
        pinned.source_if_match = stat.etag;
    victim.remove_if_match = pinned.source_if_match;
    if (core_file_copy(source, target, &pinned, NULL, err))
        return err->code;
    if (core_file_remove(&victim, 1, NULL, err))
        return rc_context(err, "copied to '%s', but the source stays", target->key);
    return RC_OK;
}

enum rc_code core_file_move(const struct core_place_in_store *source,
                            const struct core_place_in_store *target,
                            const struct core_copy_options *options, struct rc_error *err)
{
    enum outcome outcome = AGAIN;

    if (core_file_check_key(target->key, err))
        return err->code;
    /* Another program may have written the source and left it to the kernel to store it. */
    if (sync_source(source->key, err))
        return err->code;
    for (int attempt = 0; outcome == AGAIN && attempt < ATTEMPTS; attempt++)
        if (core_cancel_check(source->cancel, err) ||
            try_move(source, target, options, &outcome, err))
            return err->code;

    if (outcome == AGAIN)
        return rc_fail(err, RC_UNAVAILABLE, "'%s' is being changed by others all the time",
                       target->key);
    if (outcome == MOVED)
        return settle_move(source, target, err);
    return copy_and_remove(source, target, options, err);
}
