/*
 * Listings of the file backend: a walk through the tree that gives full keys in the order
 * of their bytes. A directory sorts as its name with a slash behind, because so its keys do.
 * Memory holds the names of the directories on the way down, one directory a level: some
 * 30 bytes for each of a million files side by side, and nothing that grows with the tree.
 */
#include <storage/file.h>

#include <os/path.h>
#include <run-core/str.h>
#include <storage/storage.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NAMES_LIMIT = 1 << 30, /* bytes of names in one directory */
    CHECK_EVERY = 1024,    /* names between two looks at the cancellation */
};

/* One directory on the way down. */
struct level {
    struct rc_buf names;   /* each with a NUL behind; of directories with a slash before it */
    struct rc_buf offsets; /* size_t each, into 'names', sorted by the names */
    size_t count, next;
    size_t path_len; /* of the directory, with its slash */
};

struct file_listing {
    struct rc_listing base;
    const struct core_cancel *cancel;
    const struct core_left_out *left_out;
    bool shallow;
    struct rc_buf path; /* the directory of the prefix, then the way to the present entry */
    size_t base_len;    /* bytes of the former */
    char *leaf;         /* what names there begin with: the rest of the prefix */
    size_t leaf_len;
    char *after; /* relative to the directory of the prefix; or NULL */
    struct level *levels;
    size_t depth, capacity;
    struct core_listed listed;
};

static void close_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
    *dir = NULL;
}

/* NULL with errno 0: it is gone, or was never there. */
static DIR *open_dir(const char *path, bool follow)
{
    int fd = core_fd_open(path, O_RDONLY | O_DIRECTORY | (follow ? 0 : O_NOFOLLOW), 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (!dir) {
        core_fd_close(&fd);
        if (core_file_is_missing(errno))
            errno = 0;
    }
    return dir;
}

/* What the entry counts as in a listing. A link counts as the file that it leads to. */
static enum core_file_kind entry_kind(int directory, const struct dirent *entry)
{
    struct stat st;
    unsigned char type = entry->d_type;

    if (type == DT_UNKNOWN) {
        if (fstatat(directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return CORE_FILE_ABSENT;
        type = (unsigned char)IFTODT(st.st_mode);
    }
    if (type == DT_REG)
        return CORE_FILE_OBJECT;
    if (type == DT_DIR)
        return CORE_FILE_DIRECTORY;
    if (type == DT_LNK && fstatat(directory, entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
        return CORE_FILE_OBJECT;
    return CORE_FILE_OTHER;
}

static bool is_hidden(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
           rc_str_starts(name, CORE_FILE_TEMP_PREFIX);
}

/* Whether the entry, or for a directory something below it, may come behind start_after. */
static bool is_after(const struct file_listing *listing, const char *name, bool is_directory)
{
    if (!listing->after || strcmp(name, listing->after) > 0)
        return true;
    return is_directory && !listing->shallow && rc_str_starts(listing->after, name);
}

static int compare_names(const void *a, const void *b, void *names)
{
    return strcmp((const char *)names + *(const size_t *)a,
                  (const char *)names + *(const size_t *)b);
}

/* Of an entry that is neither an object nor a folder. */
static void tell_left_out(struct file_listing *listing, int directory, const char *name)
{
    enum core_left_out_kind kind = CORE_LEFT_OUT_SPECIAL;
    size_t len = listing->path.len;
    struct stat st;

    if (!listing->left_out || fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (S_ISLNK(st.st_mode) && fstatat(directory, name, &st, 0) != 0)
        kind = CORE_LEFT_OUT_DANGLING;
    else if (S_ISDIR(st.st_mode))
        kind = CORE_LEFT_OUT_FOLDER_LINK;
    rc_buf_adds(&listing->path, name);
    listing->left_out->tell(listing->left_out->context,
                            listing->path.data + listing->base_len + listing->leaf_len, kind);
    rc_buf_truncate(&listing->path, len);
}

/* Takes the entry into the level if it belongs to the listing. */
static void add_entry(struct file_listing *listing, struct level *level, int directory,
                      const struct dirent *entry)
{
    size_t offset = level->names.len;
    enum core_file_kind kind;
    bool wanted;

    if (is_hidden(entry->d_name))
        return;
    if (level->path_len == listing->base_len && !rc_str_starts(entry->d_name, listing->leaf))
        return;
    kind = entry_kind(directory, entry);
    if (kind == CORE_FILE_OTHER)
        tell_left_out(listing, directory, entry->d_name);
    if (kind != CORE_FILE_OBJECT && kind != CORE_FILE_DIRECTORY)
        return;

    rc_buf_addf(&listing->path, kind == CORE_FILE_DIRECTORY ? "%s/" : "%s", entry->d_name);
    wanted = is_after(listing, listing->path.data + listing->base_len, kind == CORE_FILE_DIRECTORY);
    if (wanted) {
        const char *name = listing->path.data + level->path_len;

        rc_buf_add(&level->names, name, strlen(name) + 1);
        rc_buf_add(&level->offsets, &offset, sizeof(offset));
        level->count++;
    }
    rc_buf_truncate(&listing->path, level->path_len);
}

static void clear_level(struct level *level)
{
    rc_buf_clear(&level->names);
    rc_buf_clear(&level->offsets);
}

/* Reads the directory that listing->path now names, which ends with a slash. */
static enum rc_code read_level(struct file_listing *listing, struct level *level,
                               struct rc_error *err)
{
    const char *path = listing->path.data;
    RC_CLEANUP(close_dir) DIR *dir = open_dir(path, /* follow = */ listing->depth == 0);
    const struct dirent *entry;

    if (!dir)
        return errno == 0 ? RC_OK : rc_fail_errno(err, errno, "list '%s'", path);
    for (size_t seen = 0;; seen++) {
        if (seen % CHECK_EVERY == 0 && core_cancel_check(listing->cancel, err))
            return err->code;
        errno = 0;
        entry = readdir(dir);
        if (!entry)
            break;
        add_entry(listing, level, dirfd(dir), entry);
    }
    if (errno != 0 && errno != ENOENT)
        return rc_fail_errno(err, errno, "list '%s'", listing->path.data);
    if (rc_buf_check(&level->names, err) || rc_buf_check(&level->offsets, err) ||
        rc_buf_check(&listing->path, err))
        return rc_context(err, "list '%s'", listing->path.data);
    if (level->count > 1)
        qsort_r(level->offsets.data, level->count, sizeof(size_t), compare_names,
                level->names.data);
    return RC_OK;
}

static enum rc_code push_level(struct file_listing *listing, struct rc_error *err)
{
    struct level level = {
        .names = RC_BUF_INIT(NAMES_LIMIT),
        .offsets = RC_BUF_INIT(NAMES_LIMIT),
        .path_len = listing->path.len,
    };

    if (read_level(listing, &level, err)) {
        clear_level(&level);
        return err->code;
    }
    if (listing->depth == listing->capacity) {
        listing->capacity = listing->capacity * 2 + 8;
        listing->levels = rc_realloc(listing->levels, listing->capacity * sizeof(*listing->levels));
    }
    listing->levels[listing->depth++] = level;
    return RC_OK;
}

static void pop_level(struct file_listing *listing)
{
    clear_level(&listing->levels[--listing->depth]);
}

/* Whether there is an object anywhere below the directory 'path', which ends with a slash. */
static enum rc_code has_object(struct rc_buf *path, const struct core_cancel *cancel, bool *found,
                               struct rc_error *err)
{
    RC_CLEANUP(close_dir) DIR *dir = open_dir(path->data, /* follow = */ false);
    const struct dirent *entry;
    size_t len = path->len;

    *found = false;
    if (!dir)
        return errno == 0 ? RC_OK : rc_fail_errno(err, errno, "list '%s'", path->data);
    if (core_cancel_check(cancel, err))
        return err->code;
    while (!*found) {
        enum core_file_kind kind;

        errno = 0;
        entry = readdir(dir);
        if (!entry)
            return errno == 0 || errno == ENOENT
                       ? RC_OK
                       : rc_fail_errno(err, errno, "list '%s'", path->data);
        if (is_hidden(entry->d_name))
            continue;
        kind = entry_kind(dirfd(dir), entry);
        *found = kind == CORE_FILE_OBJECT;
        if (kind != CORE_FILE_DIRECTORY)
            continue;
        rc_buf_addf(path, "%s/", entry->d_name);
        if (rc_buf_check(path, err) || has_object(path, cancel, found, err))
            return err->code;
        rc_buf_truncate(path, len);
    }
    return RC_OK;
}

/* Makes the present path the listing's object, unless there is nothing of that name (any more). */
static enum rc_code look(struct file_listing *listing, bool is_prefix, bool *found,
                         struct rc_error *err)
{
    struct rc_object *object = &listing->listed.object;
    size_t len = listing->path.len;
    struct stat st;

    *object = (struct rc_object){ .is_prefix = is_prefix };
    if (is_prefix) {
        if (has_object(&listing->path, listing->cancel, found, err))
            return err->code;
        rc_buf_truncate(&listing->path, len);
    } else if (stat(listing->path.data, &st) == 0) {
        *found = S_ISREG(st.st_mode);
        core_file_describe(&st, &object->stat);
    } else {
        *found = false;
        if (!core_file_is_missing(errno))
            return rc_fail_errno(err, errno, "'%s'", listing->path.data);
    }
    object->name = listing->path.data + listing->base_len + listing->leaf_len;
    return RC_OK;
}

/* The next entry of the deepest directory, appended to the path; false when it has no more. */
static bool step(struct file_listing *listing)
{
    struct level *level = &listing->levels[listing->depth - 1];
    size_t offset;

    if (level->next == level->count)
        return false;
    memcpy(&offset, level->offsets.data + level->next++ * sizeof(offset), sizeof(offset));
    rc_buf_truncate(&listing->path, level->path_len);
    rc_buf_adds(&listing->path, level->names.data + offset);
    return true;
}

static enum rc_code listing_next(struct rc_listing *base, const struct core_listed **listed,
                                 struct rc_error *err)
{
    struct file_listing *listing = (struct file_listing *)base;
    bool found = false;

    *listed = NULL;
    while (!found && listing->depth > 0) {
        bool is_directory;

        if (core_cancel_check(listing->cancel, err))
            return err->code;
        if (!step(listing)) {
            pop_level(listing);
            continue;
        }
        is_directory = listing->path.data[listing->path.len - 1] == '/';
        if (is_directory && !listing->shallow) {
            if (push_level(listing, err))
                return err->code;
        } else if (look(listing, is_directory, &found, err)) {
            return err->code;
        }
    }
    if (found)
        *listed = &listing->listed;
    return RC_OK;
}

static void listing_close(struct rc_listing *base)
{
    struct file_listing *listing = (struct file_listing *)base;

    while (listing->depth > 0)
        pop_level(listing);
    free(listing->levels);
    free(listing->leaf);
    free(listing->after);
    rc_buf_clear(&listing->path);
    free(listing);
}

static const struct core_listing_ops listing_ops = {
    .next = listing_next,
    .close = listing_close,
};

enum rc_code core_file_list(const struct core_place_in_store *prefix,
                            const struct core_list_options *options, struct rc_listing **out,
                            struct rc_error *err)
{
    struct file_listing *listing;
    const char *leaf = strrchr(prefix->key, '/') + 1;

    if (options->versions)
        return rc_fail(err, RC_UNSUPPORTED, "'%s': files have no versions", prefix->key);
    listing = rc_malloc(sizeof(*listing));
    *listing = (struct file_listing){
        .base = { .ops = &listing_ops },
        .cancel = prefix->cancel,
        .left_out = options->left_out,
        .shallow = options->plain.shallow,
        .path = RC_BUF_INIT(2 * PATH_MAX),
        .base_len = (size_t)(leaf - prefix->key),
        .leaf = rc_strdup(leaf),
        .leaf_len = strlen(leaf),
    };
    if (options->plain.start_after)
        listing->after = rc_strf("%s%s", leaf, options->plain.start_after);
    rc_buf_add(&listing->path, prefix->key, listing->base_len);
    if (rc_buf_check(&listing->path, err) || push_level(listing, err)) {
        listing_close(&listing->base);
        return err->code;
    }
    *out = &listing->base;
    return RC_OK;
}
