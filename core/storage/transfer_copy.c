/*
 * One item as a whole: moved or copied by the store itself, through one buffer, or as a stream
 * where the target takes no parts. What is read is pinned by its entity tag, so that no copy is
 * made of two versions; what a store says of the content is compared on the way by its backend.
 */
#include <storage/transfer_internal.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_CHUNK = 1024 * 1024, ORDERED_FROM_BYTES = 64 * 1024 * 1024 };

enum outcome { COPIED, MOVED, SKIPPED, LARGE, WOULD_COPY };

/* One attempt. */
struct attempt {
    struct core_transfer *t;
    struct transfer_item *item;
    struct core_resolved from, to;
    enum outcome outcome;
};

static void close_reader(struct rc_reader **reader)
{
    core_reader_close(*reader);
}

static void close_writer(struct rc_writer **writer)
{
    core_writer_close(*writer);
}

const char *core_transfer_condition(const struct core_transfer *t)
{
    return t->request.when == RC_TRANSFER_IF_ABSENT ? RC_IF_ABSENT : NULL;
}

bool core_transfer_is_taken(const struct core_transfer *t, const struct core_resolved *to,
                            enum rc_code code)
{
    struct rc_error ignored = RC_ERROR_INIT;
    struct rc_stat stat;

    return code == RC_CONFLICT && core_transfer_condition(t) && to->ops &&
           to->ops->stat(&to->place, &stat, NULL, &ignored) == RC_OK;
}

/* Makes size and tag of the source known, and refuses another than the caller gave. */
static enum rc_code look(struct attempt *a, struct rc_error *err)
{
    struct transfer_item *item = a->item;
    struct rc_stat stat;

    if (a->from.ops->stat(&a->from.place, &stat, NULL, err))
        return err->code;
    if (item->is_etag_given && !rc_str_eq(item->etag, stat.etag))
        return rc_fail(err, RC_CONFLICT, "'%s' was replaced: its entity tag is %s, not %s",
                       item->source, stat.etag, item->etag);
    item->size_bytes = stat.size_bytes;
    if (!item->etag)
        item->etag = rc_strdup(stat.etag);
    return RC_OK;
}

/* Where the source is gone, but its copy is there: an earlier transfer has moved it. */
static enum rc_code check_moved_before(struct attempt *a, struct rc_error *err)
{
    struct rc_error missing = *err;
    struct rc_stat stat;

    if (!a->t->request.resume || a->to.ops->stat(&a->to.place, &stat, NULL, err) ||
        (a->item->size_bytes >= 0 && a->item->size_bytes != stat.size_bytes)) {
        *err = missing;
        return err->code;
    }
    a->outcome = SKIPPED;
    return RC_OK;
}

static enum rc_code move_inside(struct attempt *a, struct rc_error *err)
{
    struct transfer_item *item = a->item;
    const struct core_copy_options conditions = {
        .source_if_match = item->is_etag_given ? item->etag : NULL,
        .if_match = core_transfer_condition(a->t),
        .size_bytes = item->size_bytes,
    };
    enum rc_code code;

    if (core_transfer_is_taken(a->t, &a->to, RC_CONFLICT)) {
        a->outcome = SKIPPED;
        return RC_OK;
    }
    code = a->from.ops->move(&a->from.place, &a->to.place, &conditions, err);
    if (code == RC_NOT_FOUND)
        return check_moved_before(a, err);
    if (code)
        return code;
    if (a->to.ops->stat(&a->to.place, &item->written, NULL, err))
        return err->code;
    item->size_bytes = item->written.size_bytes;
    a->outcome = MOVED;
    return RC_OK;
}

static enum rc_code copy_inside(struct attempt *a, struct rc_error *err)
{
    struct transfer_item *item = a->item;
    const struct core_copy_options options = {
        .source_if_match = item->etag,
        .if_match = core_transfer_condition(a->t),
        .attributes = a->t->request.attributes,
        .size_bytes = item->size_bytes,
    };

    if (a->from.ops->copy(&a->from.place, &a->to.place, &options, &item->written, err))
        return err->code;
    if (item->written.size_bytes <= 0)
        item->written.size_bytes = item->size_bytes;
    return RC_OK;
}

/* ---- by reading and writing --------------------------------------------------------------- */

static enum rc_code open_source(struct attempt *a, struct rc_reader **reader, struct rc_error *err)
{
    const struct core_range whole = { .len_bytes = -1, .if_match = a->item->etag };

    if (a->from.ops->open(&a->from.place, &whole, reader, err))
        return err->code;
    if ((*reader)->stat.size_bytes != a->item->size_bytes)
        return rc_fail(err, RC_CONFLICT, "'%s' has %" PRId64 " bytes, not %" PRId64,
                       a->item->source, (*reader)->stat.size_bytes, a->item->size_bytes);
    return RC_OK;
}

static enum rc_code fill_options(struct attempt *a, struct rc_reader *reader,
                                 struct core_object_detail *detail, struct rc_put_options *out,
                                 struct rc_error *err)
{
    *out = (struct rc_put_options){
        .struct_bytes = sizeof(*out),
        .if_match = core_transfer_condition(a->t),
        .size_bytes = a->item->size_bytes,
        .attributes = a->t->request.attributes,
    };
    if (out->attributes || a->to.ops->capabilities & CORE_STORAGE_LOCAL)
        return RC_OK;
    if (core_place_read_attributes(&a->from, reader, detail, err))
        return rc_context(err, "the attributes of '%s'", a->item->source);
    if (core_place_translate(&a->from, &a->to, detail, err))
        return err->code;
    a->item->has_lost_tags = detail->has_tags;
    out->attributes = &detail->attributes;
    return RC_OK;
}

static enum rc_code cut_short(const struct attempt *a, int64_t got, struct rc_error *err)
{
    return rc_fail(err, RC_UNAVAILABLE, "of the %" PRId64 " bytes of '%s' %" PRId64 " came",
                   a->item->size_bytes, a->item->source, got);
}

static enum rc_code read_whole(struct attempt *a, struct rc_reader *reader, char *buffer,
                               size_t size, struct rc_error *err)
{
    size_t done = 0, len;

    /* One byte more than it has, so that the end is seen, and with it what the backend verifies. */
    do {
        if (core_reader_read(reader, buffer + done, size + 1 - done, &len, err) ||
            core_transfer_limit(a->t, len, err))
            return err->code;
        done += len;
    } while (len > 0 && done <= size);
    return done == size ? RC_OK : cut_short(a, (int64_t)done, err);
}

static enum rc_code check_written(const struct attempt *a, struct rc_error *err)
{
    const struct transfer_item *item = a->item;

    if (item->written.size_bytes == item->size_bytes)
        return RC_OK;
    return rc_fail(err, RC_CORRUPT, "'%s' has %" PRId64 " bytes after it was written, not %" PRId64,
                   item->target, item->written.size_bytes, item->size_bytes);
}

static enum rc_code copy_small(struct attempt *a, char *buffer, struct rc_error *err)
{
    RC_CLEANUP(close_reader) struct rc_reader *reader = NULL;
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct rc_put_options options;
    size_t size = (size_t)a->item->size_bytes;

    if (open_source(a, &reader, err) || read_whole(a, reader, buffer, size, err) ||
        fill_options(a, reader, &detail, &options, err) ||
        core_place_put(&a->to, buffer, size, &options, &a->item->written, err))
        return err->code;
    return check_written(a, err);
}

static enum rc_code copy_buffered(struct attempt *a, struct rc_error *err)
{
    size_t capacity = (size_t)a->item->size_bytes + 1;
    char *buffer = core_transfer_buffer(a->t, capacity);
    enum rc_code code;

    if (!buffer)
        return rc_fail(err, RC_CANCELLED, "the transfer has ended");
    code = copy_small(a, buffer, err);
    core_transfer_buffer_free(a->t, buffer, capacity);
    return code;
}

static enum rc_code stream(struct attempt *a, char *chunk, int64_t *moved, struct rc_error *err)
{
    RC_CLEANUP(close_reader) struct rc_reader *reader = NULL;
    RC_CLEANUP(close_writer) struct rc_writer *writer = NULL;
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct rc_put_options options;
    size_t len;

    if (open_source(a, &reader, err) || fill_options(a, reader, &detail, &options, err) ||
        a->to.ops->create(&a->to.place, &options, &writer, err))
        return err->code;
    do {
        if (core_reader_read(reader, chunk, STREAM_CHUNK, &len, err) ||
            core_transfer_limit(a->t, len, err) || core_writer_write(writer, chunk, len, err))
            return err->code;
        *moved += (int64_t)len;
        core_transfer_moving(a->t, (int64_t)len);
    } while (len > 0);
    if (*moved != a->item->size_bytes)
        return cut_short(a, *moved, err);
    if (core_writer_commit(writer, err))
        return err->code;
    a->item->written = writer->stat;
    return check_written(a, err);
}

static enum rc_code copy_streamed(struct attempt *a, struct rc_error *err)
{
    char *chunk = core_transfer_buffer(a->t, STREAM_CHUNK);
    enum rc_code code;
    int64_t moved = 0;

    if (!chunk)
        return rc_fail(err, RC_CANCELLED, "the transfer has ended");
    code = stream(a, chunk, &moved, err);
    core_transfer_moving(a->t, -moved);
    core_transfer_buffer_free(a->t, chunk, STREAM_CHUNK);
    return code;
}

/* Leaves what is at the target and the same, and of a dry run all else. */
static enum rc_code compare(struct attempt *a, struct rc_error *err)
{
    bool same;

    if (core_transfer_compare(a->t, a->item, &a->from, &a->to, &same, err))
        return err->code;
    if (same)
        a->outcome = SKIPPED;
    else if (a->t->request.flags & RC_TRANSFER_CHECK)
        a->outcome = WOULD_COPY;
    /* No further attempt needs to look. */
    rc_str_free(&a->item->target_etag);
    return RC_OK;
}

/* Parts that have to be in order are no faster than a stream, but may outlive the process. */
static bool goes_in_parts(const struct attempt *a)
{
    const struct core_storage_ops *ops = a->to.ops;

    if (ops->capabilities & CORE_STORAGE_ORDERED_PARTS)
        return a->t->request.checkpoint && a->item->size_bytes >= ORDERED_FROM_BYTES;
    return ops->begin_parts != NULL;
}

/* ---- an attempt --------------------------------------------------------------------------- */

/*
 * No file lies between two slashes: 'x//y' would become 'x/y', which is another object's name, and
 * be copied again each time.
 */
static enum rc_code check_names(const struct attempt *a, struct rc_error *err)
{
    const char *base = a->t->request.target;

    if (a->t->request.next || !(a->to.ops->capabilities & CORE_STORAGE_LOCAL) ||
        !strstr(a->item->target + strlen(base) - 1, "//"))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "'%s' has an empty name between two slashes, which no file can have; leave it "
                   "out, or copy it to an object store",
                   a->item->source);
}

static enum rc_code try(struct attempt *a, struct rc_error *err)
{
    struct transfer_item *item = a->item;
    const struct rc_transfer *request = &a->t->request;
    bool moves = request->flags & RC_TRANSFER_MOVE;
    bool is_inside, needs_tag;
    enum rc_code code = RC_OK;

    if (core_resolve(&a->t->storage, item->source, &a->from, err) ||
        core_resolve(&a->t->storage, item->target, &a->to, err) || check_names(a, err))
        return err->code;
    if (rc_str_eq(a->from.uri, a->to.uri)) {
        a->outcome = SKIPPED;
        return RC_OK;
    }
    is_inside = core_place_is_same_store(&a->from, &a->to);
    if (moves && is_inside && a->from.ops->move && !request->attributes)
        return move_inside(a, err);

    is_inside = is_inside && a->from.ops->copy;
    needs_tag = !item->etag && (moves || !is_inside);
    if (item->size_bytes < 0 || needs_tag)
        code = look(a, err);
    if (code == RC_NOT_FOUND && moves)
        return check_moved_before(a, err);
    if (code)
        return code;
    if (item->target_etag && compare(a, err))
        return err->code;
    if (a->outcome != COPIED)
        return RC_OK;
    if (is_inside)
        return copy_inside(a, err);
    if (item->size_bytes <= TRANSFER_SMALL_BYTES)
        return copy_buffered(a, err);
    if (!goes_in_parts(a))
        return copy_streamed(a, err);
    a->outcome = LARGE;
    return RC_OK;
}

/* Of a tree: the source went away since it was listed, as sources do. */
static bool has_vanished(struct attempt *a, const struct rc_error *err)
{
    struct rc_error ignored = RC_ERROR_INIT;
    struct rc_stat stat;

    return err->code == RC_NOT_FOUND && !a->t->request.next && a->from.ops &&
           a->from.ops->stat(&a->from.place, &stat, NULL, &ignored) == RC_NOT_FOUND;
}

void core_transfer_copy(struct core_transfer *t, struct transfer_item *item)
{
    struct attempt a = { .t = t, .item = item };
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;

    do {
        a.outcome = COPIED;
        code = try(&a, &err);
        if (core_transfer_is_taken(t, &a.to, code)) {
            a.outcome = SKIPPED;
            code = RC_OK;
        }
    } while (code && core_transfer_again(t, item, &err));
    if (code && has_vanished(&a, &err)) {
        a.outcome = SKIPPED;
        code = RC_OK;
    }
    core_resolved_clear(&a.from);
    core_resolved_clear(&a.to);

    if (code)
        core_transfer_finish(t, item, &err);
    else if (a.outcome == LARGE)
        core_transfer_queue(t, &t->parked, item);
    else if (a.outcome == COPIED)
        core_transfer_copied(t, item);
    else {
        item->act = a.outcome == SKIPPED ? RC_TRANSFER_SKIP : RC_TRANSFER_COPY;
        core_transfer_finish(t, item, NULL);
    }
}
