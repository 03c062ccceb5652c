/*
 * Whole directory trees: removed without following links, or made durable.
 */
#include <os/file.h>

#include <os/path.h>
#include <run-core/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Each level holds a descriptor and a stack frame. */
enum { DEEPEST = 500 };

/* How often a directory is read again because something was put into it meanwhile. */
enum { REMOVE_ROUNDS = 5 };

/*
 * Up to this many entries each is synced by itself, which waits for nothing else. Every fsync()
 * costs a flush of the disk's cache even where nothing is left to write: for 2,000 small files
 * one syncfs() was 18 times as fast. It also writes what others have changed on that file
 * system, a price that is paid only where the tree is large itself.
 */
enum { SYNC_EACH = 64 };

enum { LONGEST_PATH = 1 << 20 };

/* The path of what is being looked at, for messages; grows and shrinks with the walk. */
struct walk {
    struct rc_buf path;
    int depth;
};

static void close_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

/* Opens a subdirectory for reading, without following a link. NULL: see errno. */
static DIR *open_dir_at(int parent, const char *name)
{
    int fd = core_fd_openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (!dir)
        core_fd_close(&fd);
    return dir;
}

/* The next entry but "." and ".."; NULL with errno 0 behind the last. */
static const struct dirent *next_entry(DIR *dir)
{
    const struct dirent *entry = NULL;

    do {
        errno = 0;
        entry = readdir(dir);
    } while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    return entry;
}

/* Goes down to the entry 'name'; *mark is for leave(). */
static enum rc_code enter(struct walk *walk, const char *name, size_t *mark, struct rc_error *err)
{
    *mark = walk->path.len;
    rc_buf_addf(&walk->path, "/%s", name);
    if (++walk->depth > DEEPEST)
        return rc_fail(err, RC_UNSUPPORTED, "'%s' lies more than %d directories deep",
                       walk->path.data, DEEPEST);
    return RC_OK;
}

static void leave(struct walk *walk, size_t mark)
{
    rc_buf_truncate(&walk->path, mark);
    walk->depth--;
}

static bool is_gone(int error_number)
{
    return error_number == ENOENT;
}

static enum rc_code remove_at(struct walk *walk, int parent, const char *name,
                              struct rc_error *err);

/* Removes the entries of the directory 'name' as far as one reading of it shows them. */
static enum rc_code remove_entries(struct walk *walk, int parent, const char *name,
                                   struct rc_error *err)
{
    RC_CLEANUP(close_dir) DIR *dir = open_dir_at(parent, name);
    const struct dirent *entry = NULL;

    if (!dir)
        return is_gone(errno) ? RC_OK
                              : rc_fail_errno(err, errno, "open directory '%s'", walk->path.data);
    while ((entry = next_entry(dir)) != NULL) {
        size_t mark = 0;

        if (enter(walk, entry->d_name, &mark, err) ||
            remove_at(walk, dirfd(dir), entry->d_name, err))
            return err->code;
        leave(walk, mark);
    }
    if (errno != 0)
        return rc_fail_errno(err, errno, "read directory '%s'", walk->path.data);
    return RC_OK;
}

/* Removes the file or tree 'name' in 'parent', whose path 'walk' has. */
static enum rc_code remove_at(struct walk *walk, int parent, const char *name, struct rc_error *err)
{
    /* Tried as a file first: that needs no look at what it is, and so has no race. */
    if (unlinkat(parent, name, 0) == 0 || is_gone(errno))
        return RC_OK;
    if (errno != EISDIR && errno != EPERM)
        return rc_fail_errno(err, errno, "remove '%s'", walk->path.data);

    int refusal = errno;
    for (int round = 1;; round++) {
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || is_gone(errno))
            return RC_OK;
        if (errno == ENOTDIR)
            return rc_fail_errno(err, refusal, "remove '%s'", walk->path.data);
        if ((errno != ENOTEMPTY && errno != EEXIST) || round > REMOVE_ROUNDS)
            return rc_fail_errno(err, errno, "remove directory '%s'", walk->path.data);
        if (remove_entries(walk, parent, name, err))
            return err->code;
    }
}

enum rc_code core_tree_remove(const char *path, struct rc_error *err)
{
    struct walk walk = { .path = RC_BUF_INIT(LONGEST_PATH) };
    enum rc_code code = RC_OK;

    /* A slash at the end would make the kernel follow a link. */
    rc_buf_adds(&walk.path, path);
    while (walk.path.len > 0 && walk.path.data[walk.path.len - 1] == '/')
        rc_buf_truncate(&walk.path, walk.path.len - 1);
    if (walk.path.len == 0) {
        code = rc_fail(err, RC_INVALID, "refusing to remove '%s'", path);
    } else {
        RC_STR_AUTO root = rc_strdup(walk.path.data);

        code = remove_at(&walk, AT_FDCWD, root, err);
    }
    rc_buf_clear(&walk.path);
    return code;
}

/* A walk that counts the entries of a tree or, the second time, syncs each. */
struct sync_walk {
    struct walk walk;
    bool sync_each;
    size_t entries;
    dev_t device;    /* of the root */
    bool one_device; /* no other file system is mounted inside */
};

static enum rc_code sync_fd(int fd, const char *path, struct rc_error *err)
{
    if (fsync(fd) != 0 && errno != EINVAL)
        return rc_fail_errno(err, errno, "make '%s' durable", path);
    return RC_OK;
}

static enum rc_code sync_dir(struct sync_walk *sync, DIR *dir, struct rc_error *err);

/* Counts or syncs one entry, and what is below it. What vanished meanwhile needs nothing. */
static enum rc_code sync_entry(struct sync_walk *sync, int parent, const char *name,
                               struct rc_error *err)
{
    const char *path = sync->walk.path.data;
    struct stat info;

    if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return is_gone(errno) ? RC_OK : rc_fail_errno(err, errno, "look at '%s'", path);
    sync->entries++;
    if (info.st_dev != sync->device)
        sync->one_device = false;

    if (S_ISDIR(info.st_mode)) {
        RC_CLEANUP(close_dir) DIR *dir = open_dir_at(parent, name);

        if (!dir)
            return is_gone(errno) ? RC_OK : rc_fail_errno(err, errno, "open directory '%s'", path);
        return sync_dir(sync, dir, err);
    }
    /* Links, sockets and the like live in their directory alone. */
    if (!sync->sync_each || !S_ISREG(info.st_mode))
        return RC_OK;

    RC_CLEANUP(core_fd_close)
    int fd = core_fd_openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return is_gone(errno) ? RC_OK : rc_fail_errno(err, errno, "open '%s'", path);
    return sync_fd(fd, path, err);
}

static enum rc_code sync_dir(struct sync_walk *sync, DIR *dir, struct rc_error *err)
{
    const struct dirent *entry = NULL;

    while ((entry = next_entry(dir)) != NULL) {
        size_t mark = 0;

        if (enter(&sync->walk, entry->d_name, &mark, err) ||
            sync_entry(sync, dirfd(dir), entry->d_name, err))
            return err->code;
        leave(&sync->walk, mark);
    }
    if (errno != 0)
        return rc_fail_errno(err, errno, "read directory '%s'", sync->walk.path.data);
    /* Behind its entries, so that it is not durable before what it names. */
    return sync->sync_each ? sync_fd(dirfd(dir), sync->walk.path.data, err) : RC_OK;
}

static void close_walk(struct sync_walk *sync)
{
    rc_buf_clear(&sync->walk.path);
}

static enum rc_code sync_opened(const char *path, int fd, struct rc_error *err)
{
    RC_CLEANUP(close_walk) struct sync_walk sync = { .walk.path = RC_BUF_INIT(LONGEST_PATH) };
    RC_CLEANUP(close_dir) DIR *dir = open_dir_at(fd, ".");
    struct stat info;

    if (!dir || fstat(fd, &info) != 0)
        return rc_fail_errno(err, errno, "open directory '%s'", path);
    rc_buf_adds(&sync.walk.path, path);
    sync.device = info.st_dev;
    sync.one_device = true;
    if (sync_dir(&sync, dir, err))
        return err->code;

    if (sync.entries <= SYNC_EACH || !sync.one_device) {
        sync.sync_each = true;
        rewinddir(dir);
        return sync_dir(&sync, dir, err);
    }
    if (syncfs(fd) != 0)
        return rc_fail_errno(err, errno, "make the tree '%s' durable", path);
    return RC_OK;
}

enum rc_code core_tree_sync(const char *path, struct rc_error *err)
{
    /* Opened as it is, so that a file counts as a tree of one. */
    RC_CLEANUP(core_fd_close) int fd = core_fd_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0)
        return rc_fail_errno(err, errno, "open '%s'", path);
    return S_ISDIR(info.st_mode) ? sync_opened(path, fd, err) : sync_fd(fd, path, err);
}
