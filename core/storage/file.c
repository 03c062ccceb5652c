/*
 * The file backend: its table, and how an object is looked at, read and written. What a
 * change of the tree needs is in file_publish.c, what a new file takes over from the old one in
 * file_attributes.c, listings in file_list.c, copies in file_copy.c,
 * writes in parts in file_parts.c.
 */
#include <storage/file.h>

#include <os/path.h>
#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRITE_BUFFER = 64 * 1024 };

void core_file_describe(const struct stat *st, struct rc_stat *out)
{
    RC_STR_AUTO etag = rc_strf("%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%lx", (uint64_t)st->st_ino,
                               (uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec,
                               (unsigned long)st->st_mtim.tv_nsec);
    size_t len = strlen(etag);

    RC_ASSERT(len < sizeof(out->etag));
    *out = (struct rc_stat){
        .size_bytes = st->st_size,
        .modified_unix_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000,
    };
    memcpy(out->etag, etag, len + 1);
}

bool core_file_is_missing(int error_number)
{
    return error_number == ENOENT || error_number == ENOTDIR || error_number == ENAMETOOLONG ||
           error_number == ELOOP;
}

/* Only a regular file is an object; all else is, to a reader, not there. */
static enum rc_code check_object(const char *path, const struct stat *st, struct rc_error *err)
{
    if (S_ISREG(st->st_mode))
        return RC_OK;
    return rc_fail(err, RC_NOT_FOUND, "'%s' is %s, not an object", path,
                   S_ISDIR(st->st_mode) ? "a directory" : "no regular file");
}

static enum rc_code look_failed(const char *path, int error_number, struct rc_error *err)
{
    if (core_file_is_missing(error_number))
        return rc_fail(err, RC_NOT_FOUND, "there is no '%s'", path);
    return rc_fail_errno(err, error_number, "'%s'", path);
}

static enum rc_code check_version(const struct core_place_in_store *place, struct rc_error *err)
{
    return place->version ? rc_fail(err, RC_UNSUPPORTED, "'%s': files have no versions", place->key)
                          : RC_OK;
}

static enum rc_code file_stat(const struct core_place_in_store *place, struct rc_stat *out,
                              struct core_object_detail *detail, struct rc_error *err)
{
    struct stat st;

    (void)detail; /* a file has none */
    if (check_version(place, err))
        return err->code;
    if (stat(place->key, &st) != 0)
        return look_failed(place->key, errno, err);
    if (check_object(place->key, &st, err))
        return err->code;
    core_file_describe(&st, out);
    return RC_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

struct file_reader {
    struct rc_reader base;
    const struct core_cancel *cancel;
    char *path;
    int fd;
    int64_t offset_bytes, left_bytes;
};

static enum rc_code reader_read(struct rc_reader *base, void *data, size_t capacity, size_t *len,
                                struct rc_error *err)
{
    struct file_reader *reader = (struct file_reader *)base;
    ssize_t got;

    *len = 0;
    if (core_cancel_check(reader->cancel, err))
        return err->code;
    if ((uint64_t)reader->left_bytes < capacity)
        capacity = (size_t)reader->left_bytes;
    if (capacity == 0)
        return RC_OK;
    do
        got = pread(reader->fd, data, capacity, reader->offset_bytes);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return rc_fail_errno(err, errno, "read '%s' from byte %" PRId64 " on", reader->path,
                             reader->offset_bytes);
    reader->offset_bytes += got;
    reader->left_bytes = got > 0 ? reader->left_bytes - got : 0;
    *len = (size_t)got;
    return RC_OK;
}

static void reader_close(struct rc_reader *base)
{
    struct file_reader *reader = (struct file_reader *)base;

    (void)close(reader->fd);
    free(reader->path);
    free(reader);
}

static const struct core_reader_ops reader_ops = {
    .read = reader_read,
    .close = reader_close,
};

enum rc_code core_file_check_match(const char *path, const struct stat *st, const char *if_match,
                                   struct rc_error *err)
{
    struct rc_stat found;

    core_file_describe(st, &found);
    if (!if_match || rc_str_eq(found.etag, if_match))
        return RC_OK;
    return rc_fail(err, RC_CONFLICT, "'%s' was replaced meanwhile (entity tag %s, not %s)", path,
                   found.etag, if_match);
}

static enum rc_code file_open(const struct core_place_in_store *place,
                              const struct core_range *range, struct rc_reader **out,
                              struct rc_error *err)
{
    RC_CLEANUP(core_fd_close) int fd = -1;
    struct file_reader *reader;
    struct stat st;

    if (check_version(place, err))
        return err->code;
    /* Without O_NONBLOCK a pipe would wait for its writer before it could be refused. */
    fd = core_fd_open(place->key, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return look_failed(place->key, errno, err);
    if (fstat(fd, &st) != 0)
        return rc_fail_errno(err, errno, "'%s'", place->key);
    if (check_object(place->key, &st, err) ||
        core_file_check_match(place->key, &st, range->if_match, err))
        return err->code;

    reader = rc_malloc(sizeof(*reader));
    *reader = (struct file_reader){
        .base = { .ops = &reader_ops },
        .cancel = place->cancel,
        .path = rc_strdup(place->key),
        .fd = fd,
        .offset_bytes = range->offset_bytes,
        .left_bytes = range->len_bytes < 0 ? INT64_MAX : range->len_bytes,
    };
    core_file_describe(&st, &reader->base.stat);
    fd = -1; /* the reader's now */
    *out = &reader->base;
    return RC_OK;
}

/* ---- writing ------------------------------------------------------------------------------ */

struct file_writer {
    struct rc_writer base;
    struct core_place_in_store place; /* its key is 'path' */
    char *path;
    char *if_match;
    struct core_temp_file temp;
    struct rc_buf pending; /* small writes, gathered */
    bool keeps_attributes, failed, committed;
};

static enum rc_code writer_flush(struct file_writer *writer, struct rc_error *err)
{
    if (writer->pending.len > 0 &&
        core_temp_file_write(&writer->temp, writer->pending.data, writer->pending.len, err)) {
        writer->failed = true;
        return err->code;
    }
    rc_buf_reset(&writer->pending);
    return RC_OK;
}

static enum rc_code writer_check(const struct file_writer *writer, struct rc_error *err)
{
    if (writer->failed)
        return rc_fail(err, RC_FAILED, "'%s': an earlier write of it failed", writer->path);
    if (writer->committed)
        return rc_fail(err, RC_INVALID, "'%s' has been committed already", writer->path);
    return core_cancel_check(writer->place.cancel, err);
}

static enum rc_code writer_write(struct rc_writer *base, const void *data, size_t len,
                                 struct rc_error *err)
{
    struct file_writer *writer = (struct file_writer *)base;

    if (writer_check(writer, err))
        return err->code;
    if (writer->pending.len + len > WRITE_BUFFER && writer_flush(writer, err))
        return err->code;
    if (len <= WRITE_BUFFER) {
        rc_buf_add(&writer->pending, data, len);
        return RC_OK;
    }
    /* In pieces, so that a cancellation is seen within a large write too. */
    for (size_t done = 0; done < len;) {
        size_t piece = len - done < 64 * WRITE_BUFFER ? len - done : 64 * WRITE_BUFFER;

        if (core_cancel_check(writer->place.cancel, err))
            break;
        if (core_temp_file_write(&writer->temp, (const char *)data + done, piece, err))
            break;
        done += piece;
        if (done == len)
            return RC_OK;
    }
    writer->failed = true;
    return err->code;
}

static enum rc_code writer_commit(struct rc_writer *base, struct rc_error *err)
{
    struct file_writer *writer = (struct file_writer *)base;

    if (writer_check(writer, err) || writer_flush(writer, err))
        return err->code;
    writer->committed = core_file_publish(&writer->place, &writer->temp, writer->if_match,
                                          writer->keeps_attributes, &base->stat, err) == RC_OK;
    writer->failed = !writer->committed;
    return writer->committed ? RC_OK : err->code;
}

static void writer_close(struct rc_writer *base)
{
    struct file_writer *writer = (struct file_writer *)base;

    core_temp_file_close(&writer->temp);
    rc_buf_clear(&writer->pending);
    free(writer->path);
    free(writer->if_match);
    free(writer);
}

static const struct core_writer_ops writer_ops = {
    .write = writer_write,
    .commit = writer_commit,
    .close = writer_close,
};

static enum rc_code file_create(const struct core_place_in_store *place,
                                const struct rc_put_options *options, struct rc_writer **out,
                                struct rc_error *err)
{
    struct core_temp_file temp = CORE_TEMP_FILE_INIT;
    struct file_writer *writer;

    if (core_file_open_temp(place, &temp, err))
        return err->code;
    if (options->keep_attributes && core_file_hide(&temp, err)) {
        core_temp_file_close(&temp);
        return err->code;
    }
    writer = rc_malloc(sizeof(*writer));
    *writer = (struct file_writer){
        .base = { .ops = &writer_ops },
        .path = rc_strdup(place->key),
        .if_match = rc_strdup(options->if_match),
        .keeps_attributes = options->keep_attributes,
        .temp = temp,
        .pending = RC_BUF_INIT(WRITE_BUFFER),
    };
    writer->place = (struct core_place_in_store){
        .key = writer->path,
        .root_len = place->root_len,
        .cancel = place->cancel,
        .is_temporary = place->is_temporary,
    };
    *out = &writer->base;
    return RC_OK;
}

/* ---- removing ----------------------------------------------------------------------------- */

static enum rc_code remove_object(const struct core_place_in_store *place, bool *removed,
                                  struct rc_error *err)
{
    RC_CLEANUP(core_file_release) struct core_file_held held = CORE_FILE_HELD_INIT;

    *removed = false;
    if (core_file_hold(place->key, place->cancel, &held, err))
        return err->code;
    if (held.kind != CORE_FILE_OBJECT)
        return RC_OK; /* there is no object of that name, as was wanted */
    if (core_file_check_match(place->key, &held.st, place->remove_if_match, err))
        return err->code;
    if (unlink(place->key) != 0 && errno != ENOENT)
        return rc_fail_errno(err, errno, "remove '%s'", place->key);
    *removed = true;
    return RC_OK;
}

/* Goes on after a failure that can be told. */
static enum rc_code remove_failed(const struct core_remove_report *report, size_t index,
                                  struct rc_error *err)
{
    if (!report || err->code == RC_CANCELLED || err->code == RC_TIMEOUT)
        return err->code;
    report->failed(report->context, index, err);
    *err = (struct rc_error)RC_ERROR_INIT;
    return RC_OK;
}

enum rc_code core_file_remove(const struct core_place_in_store *places, size_t count,
                              const struct core_remove_report *report, struct rc_error *err)
{
    const struct core_place_in_store *unsettled = NULL;
    RC_STR_AUTO directory = NULL;

    /* One directory is made durable once for all the neighbours that were removed from it. */
    for (size_t i = 0; i < count; i++) {
        RC_STR_AUTO parent = core_path_directory(places[i].key);
        bool removed = false;

        if (core_cancel_check(places[i].cancel, err))
            return err->code;
        if ((check_version(&places[i], err) || remove_object(&places[i], &removed, err)) &&
            remove_failed(report, i, err))
            return err->code;
        if (!removed)
            continue;
        if (unsettled && !rc_str_eq(parent, directory) && core_file_settle(unsettled, err))
            return err->code;
        rc_str_free(&directory);
        directory = rc_strdup(parent);
        unsettled = &places[i];
    }
    return unsettled ? core_file_settle(unsettled, err) : RC_OK;
}

const struct core_storage_ops core_storage_file = {
    .scheme = "file",
    .capabilities = CORE_STORAGE_CONDITIONAL_PUT | CORE_STORAGE_LOCAL,
    .list = core_file_list,
    .stat = file_stat,
    .open = file_open,
    .create = file_create,
    .remove = core_file_remove,
    .begin_parts = core_file_begin_parts,
    .copy = core_file_copy,
    .move = core_file_move,
    .look_bucket = core_file_look_bucket,
    .create_bucket = core_file_create_bucket,
    .remove_bucket = core_file_remove_bucket,
};
