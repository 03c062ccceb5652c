/*
 * Content between a store and the pipes of the process, a piece at a time.
 */
#include <cli/storage_stream.h>

#include <runtime/output.h>
#include <storage/backend.h>

#include <run-core/str.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 * 1024, LOOK_EVERY_MS = 200 };

static void close_reader(struct rc_reader **reader)
{
    core_reader_close(*reader);
}

static void close_writer(struct rc_writer **writer)
{
    core_writer_close(*writer);
}

/* Waits for stdin, but not beyond the wish to stop. *len is 0 at its end. */
static enum rc_code read_stdin(struct core_storage_command *command, char *data, size_t *len,
                               struct rc_error *err)
{
    for (;;) {
        struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
        ssize_t got;

        if (core_cancel_check(command->cancel, err))
            return err->code;
        if (poll(&in, 1, LOOK_EVERY_MS) <= 0)
            continue;
        got = read(STDIN_FILENO, data, PIECE_BYTES);
        if (got >= 0) {
            *len = (size_t)got;
            return RC_OK;
        }
        if (errno != EINTR && errno != EAGAIN)
            return rc_fail_errno(err, errno, "read stdin");
    }
}

static enum rc_code write_stdout(struct core_storage_command *command, const char *data, size_t len,
                                 struct rc_error *err)
{
    int failed = core_output_result(STDOUT_FILENO, data, len);

    command->is_out_gone = failed == EPIPE;
    return failed ? rc_fail_errno(err, failed, "write to stdout") : RC_OK;
}

/* Where the part begins, and the tag that holds its object together, for what counts from the end.
 */
static enum rc_code find_part(struct core_storage_command *command, const char *uri,
                              const struct core_storage_part *part, struct rc_stat *stat,
                              struct core_range *range, struct rc_error *err)
{
    *range =
        (struct core_range){ .offset_bytes = part->offset_bytes, .len_bytes = part->len_bytes };
    if (part->last_bytes == 0)
        return RC_OK;
    if (core_storage_stat_with(command->storage, uri, command->arguments->version_id, stat, NULL,
                               err))
        return err->code;
    if (stat->size_bytes > part->last_bytes)
        range->offset_bytes = stat->size_bytes - part->last_bytes;
    range->if_match = stat->etag[0] ? stat->etag : NULL;
    return RC_OK;
}

enum rc_code core_storage_to_stdout(struct core_storage_command *command, const char *uri,
                                    const struct core_storage_part *part, struct rc_error *err)
{
    RC_CLEANUP(close_reader) struct rc_reader *reader = NULL;
    RC_STR_AUTO data = rc_malloc(PIECE_BYTES);
    bool is_stdin = strcmp(uri, "-") == 0;
    struct core_range range;
    struct rc_stat stat;
    size_t len;

    if (!is_stdin && (find_part(command, uri, part, &stat, &range, err) ||
                      core_storage_open_with(command->storage, uri, command->arguments->version_id,
                                             &range, &reader, err)))
        return err->code;
    do {
        if (is_stdin ? read_stdin(command, data, &len, err)
                     : core_reader_read(reader, data, PIECE_BYTES, &len, err))
            return err->code;
        if (len > 0 && write_stdout(command, data, len, err))
            return err->code;
    } while (len > 0);
    return RC_OK;
}

enum rc_code core_storage_from_stdin(struct core_storage_command *command, const char *uri,
                                     const struct rc_put_options *options, int64_t *bytes,
                                     struct rc_error *err)
{
    RC_CLEANUP(close_writer) struct rc_writer *writer = NULL;
    RC_STR_AUTO data = rc_malloc(PIECE_BYTES);
    size_t len;

    *bytes = 0;
    if (core_storage_create_with(command->storage, uri, options, &writer, err))
        return err->code;
    do {
        if (read_stdin(command, data, &len, err) || core_writer_write(writer, data, len, err))
            return err->code;
        *bytes += (int64_t)len;
        core_output_progress(*bytes, 0, "bytes", 0);
    } while (len > 0);
    return core_writer_commit(writer, err);
}
