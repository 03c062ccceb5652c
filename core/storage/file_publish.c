/*
 * How the file backend changes a tree: holding what stands at a path, temporaries in directories
 * that may vanish meanwhile, conditional publication, and the removal of empty directories.
 */
#include <storage/file.h>

#include <os/clock.h>
#include <os/path.h>
#include <run-core/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_MODE = 0666, /* before the umask */
    DIRECTORY_MODE = 0777,
    ATTEMPTS = 1000, /* of a step that another process may undo each time */
};

enum rc_code core_file_check_key(const char *key, struct rc_error *err)
{
    size_t prefix_len = strlen(CORE_FILE_TEMP_PREFIX);
    size_t len = 0;

    for (const char *name = key; *name; name += len + (name[len] == '/')) {
        len = strcspn(name, "/");
        if (len > NAME_MAX)
            return rc_fail(err, RC_INVALID, "'%.60s...' is a name of %zu bytes, the limit is %d",
                           name, len, NAME_MAX);
        if (strncmp(name, CORE_FILE_TEMP_PREFIX, prefix_len) == 0)
            return rc_fail(err, RC_INVALID, "'%s': names that begin with '%s' are kept for %s", key,
                           CORE_FILE_TEMP_PREFIX, "unfinished writes");
    }
    if (strlen(key) >= PATH_MAX)
        return rc_fail(err, RC_INVALID, "'%.60s...' is a path of %zu bytes, the limit is %d", key,
                       strlen(key), PATH_MAX - 1);
    if (len == 0 || rc_str_ends(key, "/"))
        return rc_fail(err, RC_INVALID, "'%s' ends with a slash, so it names no object", key);
    return RC_OK;
}

void core_file_back_off(int attempt)
{
    core_clock_sleep_ms(attempt < 4 ? 1 : attempt < 16 ? 4 : 20);
}

/* ---- holding ------------------------------------------------------------------------------ */

void core_file_release(struct core_file_held *held)
{
    core_fd_close(&held->fd);
    *held = (struct core_file_held)CORE_FILE_HELD_INIT;
}

/* Takes the lock. A file system without locks is RC_OK too, but then *locked is false. */
static enum rc_code lock(int fd, const char *path, const struct core_cancel *cancel, bool *locked,
                         struct rc_error *err)
{
    *locked = false;
    for (int attempt = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; attempt++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return RC_OK;
        if (core_cancel_check(cancel, err))
            return rc_context(err, "wait for another writer of '%s'", path);
        core_file_back_off(attempt);
    }
    *locked = true;
    return RC_OK;
}

static enum core_file_kind kind_of(const struct stat *st)
{
    if (S_ISREG(st->st_mode))
        return CORE_FILE_OBJECT;
    return S_ISDIR(st->st_mode) ? CORE_FILE_DIRECTORY : CORE_FILE_OTHER;
}

/* One look; *again when the file was replaced while its lock was awaited. */
static enum rc_code try_hold(const char *path, const struct core_cancel *cancel,
                             struct core_file_held *out, bool *again, struct rc_error *err)
{
    struct stat now;
    bool locked;

    *again = false;
    if (stat(path, &out->st) != 0) {
        out->kind = CORE_FILE_ABSENT;
        return core_file_is_missing(errno) ? RC_OK : rc_fail_errno(err, errno, "'%s'", path);
    }
    out->kind = kind_of(&out->st);
    if (out->kind != CORE_FILE_OBJECT)
        return RC_OK;

    out->fd = core_fd_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (out->fd < 0) {
        *again = core_file_is_missing(errno);
        /* Who may not read a file may still replace it; only a condition needs the lock. */
        return *again || errno == EACCES ? RC_OK : rc_fail_errno(err, errno, "'%s'", path);
    }
    if (lock(out->fd, path, cancel, &locked, err))
        return err->code;
    if (fstat(out->fd, &out->st) != 0)
        return rc_fail_errno(err, errno, "'%s'", path);
    *again = stat(path, &now) != 0 || now.st_dev != out->st.st_dev || now.st_ino != out->st.st_ino;
    if (!locked)
        core_fd_close(&out->fd);
    return RC_OK;
}

enum rc_code core_file_hold(const char *path, const struct core_cancel *cancel,
                            struct core_file_held *out, struct rc_error *err)
{
    bool again;

    do {
        core_file_release(out);
        if (core_cancel_check(cancel, err) || try_hold(path, cancel, out, &again, err)) {
            core_file_release(out);
            return err->code;
        }
    } while (again);
    return RC_OK;
}

/* ---- temporaries -------------------------------------------------------------------------- */

enum rc_code core_file_make_parent(const char *path, struct rc_error *err)
{
    RC_STR_AUTO parent = core_path_directory(path);

    return core_dir_make(parent, DIRECTORY_MODE, err);
}

enum rc_code core_file_open_temp(const struct core_place_in_store *place,
                                 struct core_temp_file *out, struct rc_error *err)
{
    if (core_file_check_key(place->key, err))
        return err->code;
    /* A remover may take an empty directory away again before the temporary is in it. */
    for (int attempt = 0;; attempt++) {
        enum rc_code code = core_temp_file_open(out, place->key, FILE_MODE, err);

        if (code != RC_NOT_FOUND || attempt == ATTEMPTS)
            return code;
        if (core_cancel_check(place->cancel, err))
            return err->code;
        code = core_file_make_parent(place->key, err);
        if (code && (code != RC_NOT_FOUND || attempt == ATTEMPTS))
            return code;
    }
}

/* ---- publication -------------------------------------------------------------------------- */

/*
 * The kernel's own time stamps may stand still for milliseconds, in which a file could be replaced
 * twice and get its inode number back: the entity tag needs a finer clock.
 */
static enum rc_code stamp(const struct core_temp_file *temp, struct rc_stat *written,
                          struct rc_error *err)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
    struct stat st;

    if (clock_gettime(CLOCK_REALTIME, &times[1]) != 0 || futimens(temp->fd, times) != 0 ||
        fstat(temp->fd, &st) != 0)
        return rc_fail_errno(err, errno, "set the time of '%s'", temp->target);
    if (written)
        core_file_describe(&st, written);
    return RC_OK;
}

/*
 * Programs that are not ours wait for no lock, and no system call replaces a file on a condition:
 * whether it is still the one is looked at last of all.
 */
static enum rc_code check_still(const char *path, const char *if_match, struct rc_error *err)
{
    struct stat st;

    if (stat(path, &st) == 0)
        return core_file_check_match(path, &st, if_match, err);
    if (core_file_is_missing(errno))
        return rc_fail(err, RC_CONFLICT, "'%s' is no longer there; its tag was to be %s", path,
                       if_match);
    return rc_fail_errno(err, errno, "'%s'", path);
}

/* One that has no name yet can have its target's at once if nothing has it, else by two steps. */
static enum rc_code rename_temp(struct core_temp_file *temp, bool is_new, const char *if_match,
                                bool *taken, struct rc_error *err)
{
    *taken = false;
    if (is_new && core_temp_file_link(temp))
        return RC_OK;
    if (core_temp_file_name(temp, err))
        return err->code;
    if (if_match && check_still(temp->target, if_match, err))
        return err->code;
    if (is_new ? core_path_rename_new(temp->path, temp->target)
               : rename(temp->path, temp->target)) {
        *taken = is_new && errno == EEXIST;
        return *taken ? RC_OK : rc_fail_errno(err, errno, "put '%s' in place", temp->target);
    }
    return RC_OK;
}

/*
 * Moves the temporary, whose content is on disk already, to its target. With 'is_new' it replaces
 * nothing: *taken says that something is there. With 'if_match' it replaces that object alone.
 * core_temp_file_publish() would flush the disk once more, which is what a write costs.
 */
static enum rc_code put_in_place(const struct core_place_in_store *place,
                                 struct core_temp_file *temp, bool is_new, const char *if_match,
                                 bool *taken, struct rc_error *err)
{
    RC_STR_AUTO parent = core_path_directory(temp->target);
    enum rc_code code = RC_OK;

    if (rename_temp(temp, is_new, if_match, taken, err))
        return err->code;
    if (*taken)
        return RC_OK;
    if (!place->is_temporary)
        code = core_dir_sync(parent, err);
    /* Its lock goes last: until then nobody removes the object, or the directory under it. */
    core_fd_close(&temp->fd);
    rc_str_free(&temp->path);
    rc_str_free(&temp->target);
    return code;
}

static bool is_link(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static enum rc_code check_tag(const char *path, const struct core_file_held *held,
                              const char *if_match, struct rc_error *err)
{
    struct rc_stat found;

    if (held->kind != CORE_FILE_OBJECT)
        return rc_fail(err, RC_CONFLICT, "'%s' is no longer there; its tag was to be %s", path,
                       if_match);
    if (held->fd < 0)
        return rc_fail(err, RC_UNSUPPORTED,
                       "'%s' cannot be locked (a file system without flock, or no permission to "
                       "read it), so it cannot be replaced on a condition",
                       path);
    core_file_describe(&held->st, &found);
    if (!rc_str_eq(found.etag, if_match))
        return rc_fail(err, RC_CONFLICT, "'%s' was changed meanwhile: its tag is %s, not %s", path,
                       found.etag, if_match);
    return RC_OK;
}

/* Durable, as the content is already: only what was added goes to the disk. */
static enum rc_code take_over(const struct core_place_in_store *place,
                              const struct core_file_held *held, const struct core_temp_file *temp,
                              struct rc_error *err)
{
    if (core_file_take_over(held, temp, err))
        return err->code;
    if (!place->is_temporary && fsync(temp->fd) != 0)
        return rc_fail_errno(err, errno, "write '%s' to disk", temp->path);
    return RC_OK;
}

static enum rc_code publish_over(const struct core_place_in_store *place,
                                 struct core_temp_file *temp, const char *if_match,
                                 bool keep_attributes, bool *again, struct rc_error *err)
{
    RC_CLEANUP(core_file_release) struct core_file_held held = CORE_FILE_HELD_INIT;

    *again = false;
    if (core_file_hold(place->key, place->cancel, &held, err))
        return err->code;
    if (if_match && check_tag(place->key, &held, if_match, err))
        return err->code;
    if (keep_attributes && take_over(place, &held, temp, err))
        return err->code;
    if (held.kind == CORE_FILE_OTHER)
        return rc_fail(err, RC_INVALID, "'%s' is no regular file, and is not replaced", place->key);
    if (held.kind == CORE_FILE_DIRECTORY) {
        *again = true;
        return core_file_clear_directory(place, err);
    }
    /*
     * Where nothing is, there is nothing to hold, so that what another writes meanwhile must not
     * be replaced. A link that leads nowhere is absent to readers, yet in the way.
     */
    return put_in_place(place, temp, held.kind == CORE_FILE_ABSENT && !is_link(place->key),
                        if_match, again, err);
}

static enum rc_code publish_absent(const struct core_place_in_store *place,
                                   struct core_temp_file *temp, struct rc_error *err)
{
    struct stat st;
    bool taken;

    if (lstat(place->key, &st) == 0 && S_ISDIR(st.st_mode) && core_file_clear_directory(place, err))
        return err->code;
    if (put_in_place(place, temp, /* is_new = */ true, /* if_match = */ NULL, &taken, err))
        return err->code;
    return taken ? rc_fail(err, RC_CONFLICT, "'%s' exists already", place->key) : RC_OK;
}

enum rc_code core_file_publish(const struct core_place_in_store *place, struct core_temp_file *temp,
                               const char *if_match, bool keep_attributes, struct rc_stat *written,
                               struct rc_error *err)
{
    bool again = true;

    if (stamp(temp, written, err))
        return err->code;
    /* The slow part comes before the lock is taken. */
    if (!place->is_temporary && fsync(temp->fd) != 0)
        return rc_fail_errno(err, errno, "write '%s' to disk", temp->path);

    if (if_match && if_match[0] == '\0')
        return publish_absent(place, temp, err);
    for (int attempt = 0; again && attempt < ATTEMPTS; attempt++)
        if (publish_over(place, temp, if_match, keep_attributes, &again, err))
            return err->code;
    if (again)
        return rc_fail(err, RC_UNAVAILABLE, "'%s' is being changed by others all the time",
                       place->key);
    return RC_OK;
}

/* ---- empty directories -------------------------------------------------------------------- */

/* Removes a tree if it holds nothing but directories. */
static bool remove_empty_tree(struct rc_buf *path)
{
    size_t len = path->len;
    struct dirent *entry;
    DIR *dir;

    if (rmdir(path->data) == 0)
        return true;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return false;
    dir = opendir(path->data);
    if (!dir)
        return false;
    bool empty = true;
    while (empty && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        rc_buf_addf(path, "/%s", entry->d_name);
        empty = !path->overflow && remove_empty_tree(path);
        rc_buf_truncate(path, len);
    }
    (void)closedir(dir);
    return empty && rmdir(path->data) == 0;
}

enum rc_code core_file_clear_directory(const struct core_place_in_store *place,
                                       struct rc_error *err)
{
    RC_BUF_AUTO(path, PATH_MAX);

    rc_buf_adds(&path, place->key);
    if (place->root_len > 0 && !path.overflow && remove_empty_tree(&path))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "'%s' is a directory, so no object can have that name; choose another name",
                   place->key);
}

enum rc_code core_file_settle(const struct core_place_in_store *place, struct rc_error *err)
{
    char *parent = core_path_directory(place->key);
    enum rc_code code;

    while (place->root_len > 0 && strlen(parent) >= place->root_len && rmdir(parent) == 0) {
        char *above = core_path_directory(parent);

        free(parent);
        parent = above;
    }
    code = core_dir_sync(parent, err);
    free(parent);
    return code == RC_NOT_FOUND ? RC_OK : code;
}
