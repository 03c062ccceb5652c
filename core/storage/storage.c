/*
 * The operations of storage.h: resolves each URI, hands it to the backend, and supplies what
 * a backend leaves out (whole reads and writes, copies between backends, the URIs of a listing).
 * Knows no scheme; retries and dry run are of other layers.
 */
#include <storage/resolve.h>
#include <storage/storage.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum {
    READ_CHUNK = 64 * 1024,
    COPY_CHUNK = 1024 * 1024,
    REMOVE_BATCH = 1000, /* what one request of an object store takes */
    URI_LIMIT = 64 * 1024,
};

struct core_storage *core_storage_new(const struct core_store_settings *stores, size_t store_count,
                                      struct core_remote *remote, const struct core_cancel *cancel)
{
    struct core_storage *storage = rc_malloc(sizeof(*storage));

    *storage = (struct core_storage){
        .stores = stores,
        .store_count = store_count,
        .remote = remote,
        .cancel = cancel,
    };
    return storage;
}

void core_storage_free(struct core_storage *storage)
{
    free(storage);
}

static enum rc_code resolve(const struct core_storage *storage, const char *uri,
                            struct core_resolved *out, struct rc_error *err)
{
    if (core_cancel_check(storage->cancel, err))
        return err->code;
    return core_resolve(storage, uri, out, err);
}

/* ---- listing ------------------------------------------------------------------------------ */

/* The backend's listing, with the URIs as the caller named them. */
struct named_listing {
    struct rc_listing base;
    struct rc_listing *inner;
    struct rc_buf uri; /* begins with the prefix */
    size_t prefix_len;
    struct core_listed listed;
};

static enum rc_code named_next(struct rc_listing *base, const struct core_listed **out,
                               struct rc_error *err)
{
    struct named_listing *listing = (struct named_listing *)base;
    const struct core_listed *found;

    *out = NULL;
    if (listing->inner->ops->next(listing->inner, &found, err))
        return err->code;
    if (!found)
        return RC_OK;

    rc_buf_truncate(&listing->uri, listing->prefix_len);
    rc_buf_adds(&listing->uri, found->object.name);
    if (rc_buf_check(&listing->uri, err))
        return rc_context(err, "name '%.80s...'", found->object.name);
    listing->listed = *found;
    listing->listed.object.uri = listing->uri.data;
    listing->listed.object.name = listing->uri.data + listing->prefix_len;
    *out = &listing->listed;
    return RC_OK;
}

static void named_close(struct rc_listing *base)
{
    struct named_listing *listing = (struct named_listing *)base;

    listing->inner->ops->close(listing->inner);
    rc_buf_clear(&listing->uri);
    free(listing);
}

static const struct core_listing_ops named_listing_ops = {
    .next = named_next,
    .close = named_close,
};

enum rc_code core_storage_list(struct core_storage *storage, const char *prefix,
                               const struct rc_list_options *options, struct rc_listing **out,
                               struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);
    struct rc_listing *inner;
    struct named_listing *listing;
    struct rc_uri parts;

    *out = NULL;
    if (resolve(storage, prefix, &at, err) || rc_uri_split(prefix, &parts, err))
        return err->code;
    const struct core_list_options all = { .plain =
                                               options ? *options : (struct rc_list_options){ 0 } };
    if (at.ops->list(&at.place, &all, &inner, err))
        return err->code;

    listing = rc_malloc(sizeof(*listing));
    *listing = (struct named_listing){
        .base = { .ops = &named_listing_ops },
        .inner = inner,
        .uri = RC_BUF_INIT(URI_LIMIT),
    };
    rc_buf_adds(&listing->uri, prefix);
    /* "s3://bucket" means all of the bucket; the slash belongs to the URIs below it. */
    if (parts.key[0] == '\0' && !rc_str_ends(prefix, "/"))
        rc_buf_addc(&listing->uri, '/');
    listing->prefix_len = listing->uri.len;
    *out = &listing->base;
    return RC_OK;
}

enum rc_code core_listing_next(struct rc_listing *listing, const struct rc_object **object,
                               struct rc_error *err)
{
    const struct core_listed *listed;

    *object = NULL;
    if (listing->ops->next(listing, &listed, err))
        return err->code;
    if (listed)
        *object = &listed->object;
    return RC_OK;
}

void core_listing_close(struct rc_listing *listing)
{
    if (listing)
        listing->ops->close(listing);
}

/* ---- reading ------------------------------------------------------------------------------ */

enum rc_code core_storage_stat(struct core_storage *storage, const char *uri, struct rc_stat *out,
                               struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    if (resolve(storage, uri, &at, err))
        return err->code;
    return at.ops->stat(&at.place, out, NULL, err);
}

static enum rc_code open_place(const struct core_resolved *at, int64_t offset_bytes,
                               int64_t len_bytes, struct rc_reader **out, struct rc_error *err)
{
    if (offset_bytes < 0 || len_bytes < -1)
        return rc_fail(err, RC_INVALID, "'%s' has no range of %lld bytes from %lld on", at->uri,
                       (long long)len_bytes, (long long)offset_bytes);
    return at->ops->open(
        &at->place, &(struct core_range){ .offset_bytes = offset_bytes, .len_bytes = len_bytes },
        out, err);
}

enum rc_code core_storage_open(struct core_storage *storage, const char *uri, int64_t offset_bytes,
                               int64_t len_bytes, struct rc_reader **out, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    *out = NULL;
    if (resolve(storage, uri, &at, err))
        return err->code;
    return open_place(&at, offset_bytes, len_bytes, out, err);
}

enum rc_code core_reader_read(struct rc_reader *reader, void *data, size_t capacity, size_t *len,
                              struct rc_error *err)
{
    return reader->ops->read(reader, data, capacity, len, err);
}

void core_reader_close(struct rc_reader *reader)
{
    if (reader)
        reader->ops->close(reader);
}

static void close_reader(struct rc_reader **reader)
{
    core_reader_close(*reader);
}

static void close_writer(struct rc_writer **writer)
{
    core_writer_close(*writer);
}

/* Reads to the end. A full buffer is an error only if something is still to come. */
static enum rc_code read_all(struct rc_reader *reader, const char *uri, struct rc_buf *body,
                             struct rc_error *err)
{
    for (;;) {
        size_t room = body->limit - body->len, got;
        char probe;

        if (room == 0) {
            if (core_reader_read(reader, &probe, 1, &got, err))
                return err->code;
            if (got > 0)
                return rc_fail(err, RC_TOO_LARGE, "'%s' is longer than the limit of %zu bytes", uri,
                               body->limit);
            return RC_OK;
        }
        if (room > READ_CHUNK)
            room = READ_CHUNK;
        char *space = rc_buf_reserve(body, room);
        if (!space)
            return rc_buf_check(body, err);
        if (core_reader_read(reader, space, room, &got, err))
            return err->code;
        rc_buf_added(body, got);
        if (got == 0)
            return RC_OK;
    }
}

enum rc_code core_storage_get(struct core_storage *storage, const char *uri, struct rc_buf *body,
                              struct rc_error *err)
{
    RC_CLEANUP(close_reader) struct rc_reader *reader = NULL;
    size_t before = body->len;

    if (core_storage_open(storage, uri, 0, /* len_bytes = */ -1, &reader, err))
        return err->code;
    if (read_all(reader, uri, body, err))
        rc_buf_truncate(body, before);
    else
        return RC_OK;
    return err->code;
}

/* ---- writing ------------------------------------------------------------------------------ */

enum rc_code core_storage_create(struct core_storage *storage, const char *uri,
                                 const char *if_match, struct rc_writer **out, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    *out = NULL;
    if (resolve(storage, uri, &at, err))
        return err->code;
    if (if_match && !(at.ops->capabilities & CORE_STORAGE_CONDITIONAL_PUT))
        return rc_fail(err, RC_UNSUPPORTED, "'%s' lies in a store without conditional writes", uri);
    return at.ops->create(&at.place,
                          &(struct rc_put_options){ .struct_bytes = sizeof(struct rc_put_options),
                                                    .if_match = if_match,
                                                    .size_bytes = -1 },
                          out, err);
}

enum rc_code core_writer_write(struct rc_writer *writer, const void *data, size_t len,
                               struct rc_error *err)
{
    return writer->ops->write(writer, data, len, err);
}

enum rc_code core_writer_commit(struct rc_writer *writer, struct rc_error *err)
{
    return writer->ops->commit(writer, err);
}

void core_writer_close(struct rc_writer *writer)
{
    if (writer)
        writer->ops->close(writer);
}

enum rc_code core_storage_put(struct core_storage *storage, const char *uri, const void *data,
                              size_t len, const char *if_match, struct rc_error *err)
{
    RC_CLEANUP(close_writer) struct rc_writer *writer = NULL;

    if (core_storage_create(storage, uri, if_match, &writer, err) ||
        core_writer_write(writer, data, len, err))
        return err->code;
    return core_writer_commit(writer, err);
}

/* ---- copy, move, remove ------------------------------------------------------------------- */

static enum rc_code copy_stream(const struct core_resolved *source,
                                const struct core_resolved *target, struct rc_error *err)
{
    RC_CLEANUP(close_reader) struct rc_reader *reader = NULL;
    RC_CLEANUP(close_writer) struct rc_writer *writer = NULL;
    RC_STR_AUTO chunk = rc_malloc(COPY_CHUNK);
    const struct rc_put_options plain = { .struct_bytes = sizeof(plain), .size_bytes = -1 };
    size_t len;

    if (open_place(source, 0, /* len_bytes = */ -1, &reader, err) ||
        target->ops->create(&target->place, &plain, &writer, err))
        return err->code;
    do {
        if (core_reader_read(reader, chunk, COPY_CHUNK, &len, err) ||
            core_writer_write(writer, chunk, len, err))
            return err->code;
    } while (len > 0);
    return core_writer_commit(writer, err);
}

static enum rc_code copy_place(const struct core_resolved *source,
                               const struct core_resolved *target, struct rc_error *err)
{
    if (source->ops == target->ops && source->ops->copy)
        return source->ops->copy(&source->place, &target->place,
                                 &(struct core_copy_options){ .size_bytes = -1 }, NULL, err);
    return copy_stream(source, target, err);
}

enum rc_code core_storage_copy(struct core_storage *storage, const char *source, const char *target,
                               struct rc_error *err)
{
    CORE_RESOLVED_AUTO(from);
    CORE_RESOLVED_AUTO(to);

    if (resolve(storage, source, &from, err) || resolve(storage, target, &to, err))
        return err->code;
    return copy_place(&from, &to, err);
}

enum rc_code core_storage_move(struct core_storage *storage, const char *source, const char *target,
                               struct rc_error *err)
{
    CORE_RESOLVED_AUTO(from);
    CORE_RESOLVED_AUTO(to);
    struct rc_stat stat;

    if (resolve(storage, source, &from, err) || resolve(storage, target, &to, err))
        return err->code;
    /* To copy an object onto itself and then remove it would lose it. */
    if (rc_str_eq(from.uri, to.uri))
        return from.ops->stat(&from.place, &stat, NULL, err);
    if (from.ops == to.ops && from.ops->move)
        return from.ops->move(&from.place, &to.place, err);
    if (copy_place(&from, &to, err))
        return err->code;
    if (from.ops->remove(&from.place, 1, NULL, err))
        return rc_context(err, "copied, but the source stays");
    return RC_OK;
}

/* The longest run of URIs from 'uris' on that one backend can remove at once; clears them all. */
static enum rc_code remove_batch(struct core_storage *storage, const char *const *uris,
                                 size_t count, size_t *removed, struct core_resolved *at,
                                 struct core_place_in_store *places, struct rc_error *err)
{
    size_t found = 0;
    enum rc_code code = RC_OK;

    while (found < count && !code) {
        code = resolve(storage, uris[found], &at[found], err);
        if (code || at[found].ops != at[0].ops)
            break;
        places[found] = at[found].place;
        found++;
    }
    if (!code)
        code = at[0].ops->remove(places, found, NULL, err);
    *removed = found;
    for (size_t i = 0; i < count; i++)
        core_resolved_clear(&at[i]);
    return code;
}

enum rc_code core_storage_remove(struct core_storage *storage, const char *const *uris,
                                 size_t count, struct rc_error *err)
{
    size_t batch = count < REMOVE_BATCH ? count : REMOVE_BATCH;
    struct core_resolved *at = rc_calloc(batch + 1, sizeof(*at));
    struct core_place_in_store *places = rc_calloc(batch + 1, sizeof(*places));
    enum rc_code code = RC_OK;
    size_t removed;

    for (size_t done = 0; done < count && !code; done += removed) {
        size_t left = count - done;

        code = remove_batch(storage, uris + done, left < batch ? left : batch, &removed, at, places,
                            err);
    }
    free(places);
    free(at);
    return code;
}

enum rc_code core_storage_local_path(struct core_storage *storage, const char *uri,
                                     struct rc_buf *out, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    if (core_resolve(storage, uri, &at, err))
        return err->code;
    if (!(at.ops->capabilities & CORE_STORAGE_LOCAL))
        return rc_fail(err, RC_UNSUPPORTED, "'%s' does not lie on this machine", uri);
    rc_buf_adds(out, at.place.key);
    return rc_buf_check(out, err);
}
