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
    struct rc_version version;
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

void core_storage_tell_left_out(struct core_storage *storage, const struct core_left_out *left_out)
{
    storage->left_out = left_out;
}

enum rc_code core_storage_list_with(struct core_storage *storage, const char *prefix,
                                    const struct core_list_options *options,
                                    struct rc_listing **out, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);
    struct rc_listing *inner;
    struct named_listing *listing;
    struct rc_uri parts;

    *out = NULL;
    if (resolve(storage, prefix, &at, err) || rc_uri_split(prefix, &parts, err))
        return err->code;
    if (at.ops->list(&at.place, options, &inner, err))
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

enum rc_code core_storage_list(struct core_storage *storage, const char *prefix,
                               const struct rc_list_options *options, struct rc_listing **out,
                               struct rc_error *err)
{
    struct core_list_options all = { 0 };

    if (options)
        all.plain = *options;
    return core_storage_list_with(storage, prefix, &all, out, err);
}

enum rc_code core_listing_next_listed(struct rc_listing *listing, const struct core_listed **listed,
                                      struct rc_error *err)
{
    *listed = NULL;
    return listing->ops->next(listing, listed, err);
}

enum rc_code core_listing_next(struct rc_listing *listing, const struct rc_object **object,
                               struct rc_error *err)
{
    const struct core_listed *listed;

    *object = NULL;
    if (core_listing_next_listed(listing, &listed, err))
        return err->code;
    if (listed)
        *object = &listed->object;
    return RC_OK;
}

enum rc_code core_storage_versions(struct core_storage *storage, const char *prefix,
                                   struct rc_listing **out, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);
    struct core_list_options options = { 0 };

    *out = NULL;
    if (resolve(storage, prefix, &at, err))
        return err->code;
    options.versions = (at.ops->capabilities & CORE_STORAGE_VERSIONS) != 0;
    return core_storage_list_with(storage, prefix, &options, out, err);
}

enum rc_code core_listing_next_version(struct rc_listing *listing,
                                       const struct rc_version **version, struct rc_error *err)
{
    struct named_listing *named = (struct named_listing *)listing;
    const struct core_listed *listed;

    RC_ASSERT(listing->ops == &named_listing_ops);
    *version = NULL;
    if (core_listing_next_listed(listing, &listed, err))
        return err->code;
    if (!listed)
        return RC_OK;
    named->version = (struct rc_version){
        .uri = listed->object.uri,
        .name = listed->object.name,
        .version = listed->version,
        .is_current = listed->is_latest || !listed->version,
        .is_removal = listed->is_delete_marker,
        .stat = listed->object.stat,
    };
    *version = &named->version;
    return RC_OK;
}

void core_listing_close(struct rc_listing *listing)
{
    if (listing)
        listing->ops->close(listing);
}

/* ---- reading ------------------------------------------------------------------------------ */

static struct rc_map copy_map(struct core_arena *arena, const struct rc_map *map)
{
    struct rc_pair *pairs = core_arena_alloc(arena, map->len * sizeof(*pairs));

    for (size_t i = 0; i < map->len; i++)
        pairs[i] = (struct rc_pair){
            .key = core_arena_strdup(arena, map->items[i].key),
            .value = core_arena_strdup(arena, map->items[i].value),
        };
    return (struct rc_map){ .len = map->len, .items = pairs };
}

struct rc_attributes core_attributes_copy(struct core_arena *arena,
                                          const struct rc_attributes *from)
{
    return (struct rc_attributes){
        .content_type = core_arena_strdup(arena, from->content_type),
        .content_encoding = core_arena_strdup(arena, from->content_encoding),
        .content_disposition = core_arena_strdup(arena, from->content_disposition),
        .content_language = core_arena_strdup(arena, from->content_language),
        .cache_control = core_arena_strdup(arena, from->cache_control),
        .storage_class = core_arena_strdup(arena, from->storage_class),
        .metadata = copy_map(arena, &from->metadata),
        .tags = copy_map(arena, &from->tags),
    };
}

void core_object_detail_clear(struct core_object_detail *detail)
{
    core_arena_clear(&detail->arena);
    *detail = (struct core_object_detail)CORE_OBJECT_DETAIL_INIT;
}

enum rc_code core_storage_stat_with(struct core_storage *storage, const char *uri,
                                    const char *version, struct rc_stat *out,
                                    struct core_object_detail *detail, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    if (resolve(storage, uri, &at, err))
        return err->code;
    at.place.version = version;
    return at.ops->stat(&at.place, out, detail, err);
}

enum rc_code core_storage_stat(struct core_storage *storage, const char *uri, struct rc_stat *out,
                               struct rc_error *err)
{
    return core_storage_stat_with(storage, uri, NULL, out, NULL, err);
}

enum rc_code core_storage_open_with(struct core_storage *storage, const char *uri,
                                    const char *version, const struct core_range *range,
                                    struct rc_reader **out, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    *out = NULL;
    if (resolve(storage, uri, &at, err))
        return err->code;
    if (range->offset_bytes < 0 || range->len_bytes < -1)
        return rc_fail(err, RC_INVALID, "'%s' has no range of %lld bytes from %lld on", at.uri,
                       (long long)range->len_bytes, (long long)range->offset_bytes);
    at.place.version = version;
    return at.ops->open(&at.place, range, out, err);
}

enum rc_code core_storage_open(struct core_storage *storage, const char *uri, int64_t offset_bytes,
                               int64_t len_bytes, struct rc_reader **out, struct rc_error *err)
{
    const struct core_range range = { .offset_bytes = offset_bytes, .len_bytes = len_bytes };

    return core_storage_open_with(storage, uri, NULL, &range, out, err);
}

const struct rc_stat *core_reader_stat(const struct rc_reader *reader)
{
    return &reader->stat;
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

/* What the caller knows of the options, which may have been compiled when there were fewer. */
static struct rc_put_options known_options(const struct rc_put_options *given)
{
    struct rc_put_options all = { .size_bytes = -1 };

    if (given)
        memcpy(&all, given, given->struct_bytes < sizeof(all) ? given->struct_bytes : sizeof(all));
    all.struct_bytes = sizeof(all);
    return all;
}

/* The way to a write: the place, and whether its store can hold the condition. */
static enum rc_code resolve_target(struct core_storage *storage, const char *uri,
                                   const char *if_match, struct core_resolved *at,
                                   struct rc_error *err)
{
    if (resolve(storage, uri, at, err))
        return err->code;
    if (if_match && !(at->ops->capabilities & CORE_STORAGE_CONDITIONAL_PUT))
        return rc_fail(err, RC_UNSUPPORTED, "'%s' lies in a store without conditional writes", uri);
    return RC_OK;
}

static enum rc_code resolve_write(struct core_storage *storage, const char *uri,
                                  const struct rc_put_options *options, struct core_resolved *at,
                                  struct rc_error *err)
{
    const char *tag = options->if_match;

    if (options->keep_attributes && (options->attributes || !tag || *tag == '\0'))
        return rc_fail(err, RC_INVALID,
                       "'%s': to keep the attributes of an object takes its entity tag, and none "
                       "of one's own",
                       uri);
    return resolve_target(storage, uri, tag, at, err);
}

enum rc_code core_storage_create_with(struct core_storage *storage, const char *uri,
                                      const struct rc_put_options *options, struct rc_writer **out,
                                      struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);
    const struct rc_put_options all = known_options(options);

    *out = NULL;
    if (resolve_write(storage, uri, &all, &at, err))
        return err->code;
    return at.ops->create(&at.place, &all, out, err);
}

enum rc_code core_storage_create(struct core_storage *storage, const char *uri,
                                 const char *if_match, struct rc_writer **out, struct rc_error *err)
{
    const struct rc_put_options options = {
        .struct_bytes = sizeof(options),
        .if_match = if_match,
        .size_bytes = -1,
    };

    return core_storage_create_with(storage, uri, &options, out, err);
}

const struct rc_stat *core_writer_stat(const struct rc_writer *writer)
{
    return &writer->stat;
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

enum rc_code core_place_put(const struct core_resolved *at, const void *data, size_t len,
                            const struct rc_put_options *options, struct rc_stat *written,
                            struct rc_error *err)
{
    RC_CLEANUP(close_writer) struct rc_writer *writer = NULL;

    if (at->ops->put)
        return at->ops->put(&at->place, data, len, options, written, err);
    if (at->ops->create(&at->place, options, &writer, err) ||
        core_writer_write(writer, data, len, err) || core_writer_commit(writer, err))
        return err->code;
    if (written)
        *written = writer->stat;
    return RC_OK;
}

enum rc_code core_storage_put_with(struct core_storage *storage, const char *uri, const void *data,
                                   size_t len, const struct rc_put_options *options,
                                   struct rc_stat *written, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);
    struct rc_put_options all = known_options(options);

    if (resolve_write(storage, uri, &all, &at, err))
        return err->code;
    all.size_bytes = (int64_t)len;
    return core_place_put(&at, data, len, &all, written, err);
}

enum rc_code core_storage_put(struct core_storage *storage, const char *uri, const void *data,
                              size_t len, const char *if_match, struct rc_error *err)
{
    const struct rc_put_options options = { .struct_bytes = sizeof(options), .if_match = if_match };

    return core_storage_put_with(storage, uri, data, len, &options, NULL, err);
}

/* ---- copy, move, remove ------------------------------------------------------------------- */

bool core_place_is_same_store(const struct core_resolved *source,
                              const struct core_resolved *target)
{
    return source->ops == target->ops &&
           (!source->ops->is_same_store ||
            source->ops->is_same_store(&source->place, &target->place));
}

bool core_place_is_same_server(const struct core_resolved *source,
                               const struct core_resolved *target)
{
    return source->ops == target->ops &&
           (!source->ops->is_same_server ||
            source->ops->is_same_server(&source->place, &target->place));
}

enum rc_code core_place_read_attributes(const struct core_resolved *source,
                                        struct rc_reader *reader, struct core_object_detail *detail,
                                        struct rc_error *err)
{
    struct rc_stat ignored;

    if (source->ops->capabilities & CORE_STORAGE_LOCAL)
        return RC_OK;
    if (reader && reader->ops->detail)
        return reader->ops->detail(reader, detail, err);
    return source->ops->stat(&source->place, &ignored, detail, err);
}

enum rc_code core_place_translate(const struct core_resolved *source,
                                  const struct core_resolved *target,
                                  struct core_object_detail *detail, struct rc_error *err)
{
    detail->attributes.storage_class = NULL;
    if (!detail->has_tags || !source->ops->tags || !target->ops->tags)
        return RC_OK;
    return source->ops->tags(&source->place, detail, err);
}

/*
 * Reads and writes. The attributes of the source go along; those of a place on this machine are
 * none, and there they are not kept.
 */
static enum rc_code copy_stream(const struct core_resolved *source,
                                const struct core_resolved *target,
                                const struct core_copy_options *options, struct rc_stat *written,
                                struct rc_error *err)
{
    RC_CLEANUP(close_reader) struct rc_reader *reader = NULL;
    RC_CLEANUP(close_writer) struct rc_writer *writer = NULL;
    CORE_OBJECT_DETAIL_AUTO(detail);
    RC_STR_AUTO chunk = rc_malloc(COPY_CHUNK);
    const struct core_range whole = { .len_bytes = -1, .if_match = options->source_if_match };
    struct rc_put_options put = {
        .struct_bytes = sizeof(put),
        .if_match = options->if_match,
        .attributes = options->attributes,
    };
    size_t len;

    if (source->ops->open(&source->place, &whole, &reader, err))
        return err->code;
    if (!put.attributes && !(target->ops->capabilities & CORE_STORAGE_LOCAL)) {
        if (core_place_read_attributes(source, reader, &detail, err) ||
            core_place_translate(source, target, &detail, err))
            return err->code;
        put.attributes = &detail.attributes;
    }
    put.size_bytes = reader->stat.size_bytes;
    if (target->ops->create(&target->place, &put, &writer, err))
        return err->code;
    do {
        if (core_reader_read(reader, chunk, COPY_CHUNK, &len, err) ||
            core_writer_write(writer, chunk, len, err))
            return err->code;
    } while (len > 0);
    if (core_writer_commit(writer, err))
        return err->code;
    if (written)
        *written = writer->stat;
    return RC_OK;
}

static enum rc_code copy_place(const struct core_resolved *source,
                               const struct core_resolved *target,
                               const struct core_copy_options *options, struct rc_stat *written,
                               struct rc_error *err)
{
    if (source->ops->copy && core_place_is_same_store(source, target))
        return source->ops->copy(&source->place, &target->place, options, written, err);
    return copy_stream(source, target, options, written, err);
}

enum rc_code core_storage_copy_with(struct core_storage *storage, const char *source,
                                    const char *version, const char *target,
                                    const struct core_copy_options *options,
                                    struct rc_stat *written, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(from);
    CORE_RESOLVED_AUTO(to);

    if (resolve(storage, source, &from, err) ||
        resolve_target(storage, target, options->if_match, &to, err))
        return err->code;
    from.place.version = version;
    return copy_place(&from, &to, options, written, err);
}

enum rc_code core_storage_copy(struct core_storage *storage, const char *source, const char *target,
                               struct rc_error *err)
{
    const struct core_copy_options plain = { .size_bytes = -1 };

    return core_storage_copy_with(storage, source, NULL, target, &plain, NULL, err);
}

enum rc_code core_storage_move(struct core_storage *storage, const char *source, const char *target,
                               struct rc_error *err)
{
    CORE_RESOLVED_AUTO(from);
    CORE_RESOLVED_AUTO(to);
    struct core_copy_options options = { .size_bytes = -1 };
    struct rc_stat stat;

    if (resolve(storage, source, &from, err) || resolve(storage, target, &to, err))
        return err->code;
    /* To copy an object onto itself and then remove it would lose it. */
    if (rc_str_eq(from.uri, to.uri))
        return from.ops->stat(&from.place, &stat, NULL, err);
    if (from.ops->move && core_place_is_same_store(&from, &to))
        return from.ops->move(&from.place, &to.place, &options, err);

    /* What is removed has to be what was copied. */
    if (from.ops->stat(&from.place, &stat, NULL, err))
        return err->code;
    options.source_if_match = stat.etag;
    options.size_bytes = stat.size_bytes;
    if (copy_place(&from, &to, &options, NULL, err))
        return err->code;
    from.place.remove_if_match = stat.etag;
    if (from.ops->remove(&from.place, 1, NULL, err))
        return rc_context(err, "copied, but the source stays");
    return RC_OK;
}

/* A removal of many, in batches of what one backend takes at once. */
struct removal {
    struct core_storage *storage;
    const char *const *uris;
    const char *const *versions;
    size_t first; /* of the batch */
    const struct core_remove_report *report;
    struct core_resolved *at;
    struct core_place_in_store *places;
};

/* A batch counts from its own begin, the caller from that of the whole. */
static void tell_failed(void *context, size_t index, const struct rc_error *err)
{
    const struct removal *removal = context;

    removal->report->failed(removal->report->context, removal->first + index, err);
}

/* The longest run of at most 'count' places that one backend removes at once; clears them all. */
static enum rc_code remove_batch(struct removal *removal, size_t count, size_t *removed,
                                 struct rc_error *err)
{
    const struct core_remove_report report = { .failed = tell_failed, .context = removal };
    struct core_resolved *at = removal->at;
    size_t found = 0;
    enum rc_code code = RC_OK;

    while (found < count && !code) {
        code = resolve(removal->storage, removal->uris[removal->first + found], &at[found], err);
        if (code || at[found].ops != at[0].ops)
            break;
        if (removal->versions)
            at[found].place.version = removal->versions[removal->first + found];
        removal->places[found] = at[found].place;
        found++;
    }
    if (!code)
        code = at[0].ops->remove(removal->places, found, removal->report ? &report : NULL, err);
    *removed = found;
    for (size_t i = 0; i < count; i++)
        core_resolved_clear(&at[i]);
    return code;
}

enum rc_code core_storage_remove_with(struct core_storage *storage, const char *const *uris,
                                      const char *const *versions, size_t count,
                                      const struct core_remove_report *report, struct rc_error *err)
{
    size_t batch = count < REMOVE_BATCH ? count : REMOVE_BATCH;
    struct removal removal = {
        .storage = storage,
        .uris = uris,
        .versions = versions,
        .report = report,
        .at = rc_calloc(batch + 1, sizeof(*removal.at)),
        .places = rc_calloc(batch + 1, sizeof(*removal.places)),
    };
    enum rc_code code = RC_OK;

    while (removal.first < count && !code) {
        size_t left = count - removal.first, removed;

        code = remove_batch(&removal, left < batch ? left : batch, &removed, err);
        removal.first += removed;
    }
    free(removal.places);
    free(removal.at);
    return code;
}

enum rc_code core_storage_remove(struct core_storage *storage, const char *const *uris,
                                 size_t count, struct rc_error *err)
{
    return core_storage_remove_with(storage, uris, NULL, count, NULL, err);
}

enum rc_code core_storage_remove_one(struct core_storage *storage, const char *uri,
                                     const struct rc_remove_options *options, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);
    struct rc_stat stat;

    if (options->if_match && (options->version || options->if_match[0] == '\0'))
        return rc_fail(err, RC_INVALID,
                       "'%s' is removed either if it has an entity tag, or by its version", uri);
    if (resolve(storage, uri, &at, err))
        return err->code;
    /*
     * To a backend what is not there is as good as removed, since that may be the work of its own
     * first attempt, whose answer was lost. So whether there was something is seen beforehand.
     */
    if (options->if_match) {
        enum rc_code code = at.ops->stat(&at.place, &stat, NULL, err);

        if (code == RC_NOT_FOUND || (!code && !rc_str_eq(stat.etag, options->if_match)))
            return rc_fail(err, RC_CONFLICT, "remove '%s': its entity tag is '%s', not '%s'", uri,
                           code ? "" : stat.etag, options->if_match);
        if (code)
            return code;
    }
    at.place.version = options->version;
    at.place.remove_if_match = options->if_match;
    return at.ops->remove(&at.place, 1, NULL, err);
}

enum rc_code core_storage_sweep(struct core_storage *storage, const char *prefix,
                                const struct core_sweep *sweep, int64_t *swept,
                                struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    *swept = 0;
    if (resolve(storage, prefix, &at, err))
        return err->code;
    return at.ops->sweep ? at.ops->sweep(&at.place, sweep, swept, err) : RC_OK;
}

enum rc_code core_storage_tags(struct core_storage *storage, const char *uri, const char *version,
                               struct core_object_detail *detail, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    if (resolve(storage, uri, &at, err))
        return err->code;
    at.place.version = version;
    return at.ops->tags ? at.ops->tags(&at.place, detail, err) : RC_OK;
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
