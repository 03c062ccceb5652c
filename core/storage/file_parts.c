/*
 * A file written in parts by many threads: each part at its place in the temporary, whose space is
 * claimed beforehand, so that a disk that is too small is known at once.
 */
#include <storage/file.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PART_BYTES = 8 * 1024 * 1024,
    CHUNK_BYTES = 256 * 1024,
};

struct file_parts {
    struct core_parts base;
    struct core_place_in_store place; /* its key is 'path' */
    char *path;
    char *if_match;
    int64_t size_bytes;
    struct core_temp_file temp;
};

static enum rc_code write_at(const struct file_parts *parts, const char *data, size_t len,
                             int64_t offset_bytes, struct rc_error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t put = pwrite(parts->temp.fd, data + done, len - done, offset_bytes + (int64_t)done);

        if (put < 0 && errno != EINTR)
            return rc_fail_errno(err, errno, "write '%s' from byte %" PRId64 " on", parts->path,
                                 offset_bytes);
        if (put > 0)
            done += (size_t)put;
    }
    return RC_OK;
}

static enum rc_code parts_put(struct core_parts *base, int64_t offset_bytes,
                              const struct core_http_content *content, struct rc_error *err)
{
    struct file_parts *parts = (struct file_parts *)base;
    RC_STR_AUTO chunk = rc_malloc(CHUNK_BYTES);
    int64_t done = 0;
    size_t len;

    for (;;) {
        if (core_cancel_check(parts->place.cancel, err) ||
            content->read(content->context, done, chunk, CHUNK_BYTES, &len, err))
            return err->code;
        if (len == 0)
            break;
        if (offset_bytes + done + (int64_t)len > parts->size_bytes)
            return rc_fail(err, RC_CORRUPT, "'%s': more came than the %" PRId64 " bytes announced",
                           parts->path, parts->size_bytes);
        if (write_at(parts, chunk, len, offset_bytes + done, err))
            return err->code;
        done += (int64_t)len;
    }
    if (content->len_bytes >= 0 && done != content->len_bytes)
        return rc_fail(err, RC_UNAVAILABLE,
                       "'%s': of %" PRId64 " bytes from %" PRId64 " on only %" PRId64 " came",
                       parts->path, content->len_bytes, offset_bytes, done);
    return RC_OK;
}

static enum rc_code parts_commit(struct core_parts *base, struct rc_error *err)
{
    struct file_parts *parts = (struct file_parts *)base;

    if (!parts->temp.path)
        return rc_fail(err, RC_INVALID, "'%s' has been committed already", parts->path);
    return core_file_publish(&parts->place, &parts->temp, parts->if_match,
                             /* keep_attributes = */ false, &base->stat, err);
}

static void parts_close(struct core_parts *base)
{
    struct file_parts *parts = (struct file_parts *)base;

    core_temp_file_close(&parts->temp);
    free(parts->path);
    free(parts->if_match);
    free(parts);
}

static const struct core_parts_ops parts_ops = {
    .put = parts_put,
    .commit = parts_commit,
    .close = parts_close,
};

/* A file system that cannot claim space is filled as it comes; the size is set either way. */
static enum rc_code claim(const struct core_temp_file *temp, int64_t size_bytes,
                          struct rc_error *err)
{
    if (size_bytes > 0 && fallocate(temp->fd, 0, 0, size_bytes) == 0)
        return RC_OK;
    if (size_bytes > 0 && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
        return rc_fail_errno(err, errno, "claim %" PRId64 " bytes for '%s'", size_bytes,
                             temp->target);
    if (ftruncate(temp->fd, size_bytes) != 0)
        return rc_fail_errno(err, errno, "set the size of '%s'", temp->target);
    return RC_OK;
}

enum rc_code core_file_begin_parts(const struct core_place_in_store *place,
                                   const struct rc_put_options *options, struct core_parts **out,
                                   struct rc_error *err)
{
    struct core_temp_file temp = CORE_TEMP_FILE_INIT;
    struct file_parts *parts;

    if (options->size_bytes < 0)
        return rc_fail(err, RC_INVALID, "'%s': parts need a size", place->key);
    if (core_file_open_temp(place, &temp, err))
        return err->code;
    if (claim(&temp, options->size_bytes, err)) {
        core_temp_file_close(&temp);
        return err->code;
    }
    parts = rc_malloc(sizeof(*parts));
    *parts = (struct file_parts){
        .base = { .ops = &parts_ops, .part_bytes = PART_BYTES, .takes_any_size = true },
        .path = rc_strdup(place->key),
        .if_match = rc_strdup(options->if_match),
        .size_bytes = options->size_bytes,
        .temp = temp,
    };
    parts->place = (struct core_place_in_store){
        .key = parts->path,
        .root_len = place->root_len,
        .cancel = place->cancel,
        .is_temporary = place->is_temporary,
    };
    *out = &parts->base;
    return RC_OK;
}
