/*
 * The storage service of the fake host. Readers and listings keep what they found when they were
 * opened, writers publish at their commit. The objects themselves are in fake_objects.c.
 */
#include "fake_internal.h"

#include <stdlib.h>

struct rc_reader {
    struct fake_job *job;
    struct rc_reader *base;
    char *uri, *data;
    size_t len, next;
    char etag[RC_ETAG_TEXT];
    bool is_version; /* one that nobody replaces */
};

struct rc_writer {
    struct fake_job *job;
    struct rc_writer *base;
    char *uri, *if_match, *attributes;
    int64_t size_bytes; /* that were announced; -1: none */
    struct rc_buf body;
    bool keeps_attributes, committed;
};

static enum rc_code check_condition(const struct rc_fake_host *fake, const char *uri,
                                    const char *if_match, struct rc_error *err)
{
    if (!if_match)
        return RC_OK;
    const struct fake_object *object = fake_lookup(fake, uri);
    if (if_match[0] == '\0' && object)
        return rc_fail(err, RC_CONFLICT, "'%s' exists already", uri);
    if (if_match[0] != '\0' && (!object || strcmp(object->stat.etag, if_match) != 0))
        return rc_fail(err, RC_CONFLICT, "'%s' has changed", uri);
    return RC_OK;
}

static enum rc_code no_object(struct rc_error *err, const char *uri)
{
    return rc_fail(err, RC_NOT_FOUND, "'%s' does not exist", uri);
}

/* A fault or a URI that leads nowhere; what every operation begins with. */
static enum rc_code begin(struct fake_job *job, const char *service, const char *uri,
                          struct rc_error *err)
{
    enum rc_code code = fake_call(job, service, uri, err);
    return code ? code : fake_storage_check(job->fake, uri, err);
}

/* ---- listing -------------------------------------------------------------------------------- */

static void add_entry(struct rc_listing *listing, const struct fake_object *object,
                      const struct rc_list_options *options)
{
    const char *name = object->uri + listing->prefix_len;
    const char *slash = options && options->shallow ? strchr(name, '/') : NULL;
    size_t name_len = slash ? (size_t)(slash - name) + 1 : strlen(name);
    char *uri = rc_strndup(object->uri, listing->prefix_len + name_len);
    const char *last = listing->count ? listing->entries[listing->count - 1].uri : NULL;

    bool before = options && options->start_after &&
                  strcmp(uri + listing->prefix_len, options->start_after) <= 0;
    if (before || rc_str_eq(uri, last)) {
        free(uri);
        return;
    }
    listing->entries = fake_grow(listing->entries, &listing->count, sizeof *listing->entries);
    struct fake_entry *entry = &listing->entries[listing->count - 1];
    entry->uri = uri;
    entry->is_prefix = slash != NULL;
    if (!slash)
        entry->stat = object->stat;
}

/* Of the real store, where there is one; else to be filled, under the mutex. */
static struct rc_listing *new_listing(struct fake_job *job, struct rc_listing *base,
                                      const char *prefix)
{
    struct rc_listing *listing = rc_calloc(1, sizeof *listing);

    listing->job = job;
    listing->base = base;
    listing->prefix_len = strlen(prefix);
    fake_opened(job->fake);
    return listing;
}

/* NULL: there are no more. */
static const struct fake_entry *next_entry(struct rc_listing *listing)
{
    return listing->next < listing->count ? &listing->entries[listing->next++] : NULL;
}

static enum rc_code list(struct rc_job *job, const char *prefix,
                         const struct rc_list_options *options, struct rc_listing **out,
                         struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    struct rc_fake_host *fake = self->fake;
    struct rc_listing *base = NULL;
    enum rc_code code = begin(self, "storage.list", prefix, err);
    if (!code && FAKE_BASE(self, storage))
        code = self->base->host->storage->list(self->base, prefix, options, &base, err);
    if (code)
        return code;

    *out = new_listing(self, base, prefix);
    if (!base) {
        pthread_mutex_lock(&fake->mutex);
        for (size_t i = 0; i < fake->object_count; i++)
            if (rc_str_starts(fake->objects[i].uri, prefix))
                add_entry(*out, &fake->objects[i], options);
        pthread_mutex_unlock(&fake->mutex);
    }
    return RC_OK;
}

static enum rc_code list_next(struct rc_listing *listing, const struct rc_object **object,
                              struct rc_error *err)
{
    enum rc_code code = fake_call(listing->job, "storage.list_next", "", err);
    if (code)
        return code;
    if (listing->base)
        return listing->job->base->host->storage->list_next(listing->base, object, err);
    const struct fake_entry *entry = next_entry(listing);
    *object = entry ? &listing->object : NULL;
    if (entry)
        listing->object = (struct rc_object){
            .uri = entry->uri,
            .name = entry->uri + listing->prefix_len,
            .is_prefix = entry->is_prefix,
            .stat = entry->stat,
        };
    return RC_OK;
}

static void list_close(struct rc_listing *listing)
{
    fake_closed(listing->job->fake);
    if (listing->base)
        listing->job->base->host->storage->list_close(listing->base);
    fake_entries_clear(listing);
    free(listing);
}

static enum rc_code versions(struct rc_job *job, const char *prefix, struct rc_listing **out,
                             struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    struct rc_fake_host *fake = self->fake;
    struct rc_listing *base = NULL;
    enum rc_code code = begin(self, "storage.versions", prefix, err);
    if (!code && FAKE_BASE(self, storage))
        code = self->base->host->storage->versions(self->base, prefix, &base, err);
    if (code)
        return code;

    *out = new_listing(self, base, prefix);
    if (!base) {
        pthread_mutex_lock(&fake->mutex);
        fake_list_versions(fake, prefix, *out);
        pthread_mutex_unlock(&fake->mutex);
    }
    return RC_OK;
}

static enum rc_code version_next(struct rc_listing *listing, const struct rc_version **version,
                                 struct rc_error *err)
{
    enum rc_code code = fake_call(listing->job, "storage.version_next", "", err);
    if (code)
        return code;
    if (listing->base)
        return listing->job->base->host->storage->version_next(listing->base, version, err);
    const struct fake_entry *entry = next_entry(listing);
    *version = entry ? &listing->version : NULL;
    if (entry)
        listing->version = (struct rc_version){
            .uri = entry->uri,
            .name = entry->uri + listing->prefix_len,
            .version = entry->version,
            .is_current = entry->is_current,
            .is_removal = entry->is_removal,
            .stat = entry->stat,
        };
    return RC_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

static enum rc_code stat_object(struct rc_job *job, const char *uri, struct rc_stat *out,
                                struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = begin(self, "storage.stat", uri, err);
    if (code)
        return code;
    if (FAKE_BASE(self, storage))
        return self->base->host->storage->stat(self->base, uri, out, err);

    pthread_mutex_lock(&self->fake->mutex);
    const struct fake_object *object = fake_lookup(self->fake, uri);
    if (object)
        *out = object->stat;
    else
        code = no_object(err, uri);
    pthread_mutex_unlock(&self->fake->mutex);
    return code;
}

static enum rc_code get(struct rc_job *job, const char *uri, struct rc_buf *body,
                        struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = begin(self, "storage.get", uri, err);
    if (code)
        return code;
    if (FAKE_BASE(self, storage))
        return self->base->host->storage->get(self->base, uri, body, err);

    pthread_mutex_lock(&self->fake->mutex);
    const struct fake_object *object = fake_lookup(self->fake, uri);
    if (object) {
        rc_buf_add(body, object->data, object->len);
        code = rc_buf_check(body, err);
    } else {
        code = no_object(err, uri);
    }
    pthread_mutex_unlock(&self->fake->mutex);
    return code;
}

/* Fills the reader with the range. */
static enum rc_code fill_reader(struct rc_reader *reader, const struct rc_get_options *options,
                                struct rc_error *err)
{
    struct rc_fake_host *fake = reader->job->fake;
    enum rc_code code = RC_OK;

    pthread_mutex_lock(&fake->mutex);
    const struct fake_object *object = fake_storage_lookup(fake, reader->uri, options->version);
    if (!object) {
        code = no_object(err, reader->uri);
    } else if (options->if_match && strcmp(object->stat.etag, options->if_match) != 0) {
        code = rc_fail(err, RC_CONFLICT, "'%s' has changed", reader->uri);
    } else {
        size_t from = (size_t)options->offset_bytes < object->len ? (size_t)options->offset_bytes
                                                                  : object->len;
        size_t rest = object->len - from;
        bool is_all = options->len_bytes < 0 || (size_t)options->len_bytes > rest;
        reader->len = is_all ? rest : (size_t)options->len_bytes;
        reader->data = rc_malloc(reader->len + 1);
        memcpy(reader->data, object->data + from, reader->len);
        memcpy(reader->etag, object->stat.etag, sizeof reader->etag);
        reader->is_version = options->version != NULL;
    }
    pthread_mutex_unlock(&fake->mutex);
    return code;
}

/* Takes 'base', which may be NULL. */
static enum rc_code new_reader(struct fake_job *self, const char *uri,
                               const struct rc_get_options *options, struct rc_reader *base,
                               struct rc_reader **out, struct rc_error *err)
{
    struct rc_reader *reader = rc_calloc(1, sizeof *reader);

    reader->job = self;
    reader->base = base;
    reader->uri = rc_strdup(uri);
    if (!base && fill_reader(reader, options, err)) {
        free(reader->uri);
        free(reader);
        return err->code;
    }
    fake_opened(self->fake);
    *out = reader;
    return RC_OK;
}

static enum rc_code open_reader(struct rc_job *job, const char *uri, int64_t offset_bytes,
                                int64_t len_bytes, struct rc_reader **out, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    const struct rc_get_options options = { .offset_bytes = offset_bytes, .len_bytes = len_bytes };
    struct rc_reader *base = NULL;
    enum rc_code code = begin(self, "storage.open", uri, err);
    if (!code && offset_bytes < 0)
        code = rc_fail(err, RC_INVALID, "the offset is negative");
    if (!code && FAKE_BASE(self, storage))
        code =
            self->base->host->storage->open(self->base, uri, offset_bytes, len_bytes, &base, err);
    return code ? code : new_reader(self, uri, &options, base, out, err);
}

static enum rc_code open_with(struct rc_job *job, const char *uri,
                              const struct rc_get_options *options, struct rc_reader **out,
                              struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    struct rc_reader *base = NULL;
    RC_ASSERT(options->struct_bytes > 0);
    enum rc_code code = begin(self, "storage.open_with", uri, err);
    if (!code && (options->offset_bytes < 0 || options->len_bytes < -1))
        code = rc_fail(err, RC_INVALID, "'%s' has no such range", uri);
    if (!code && FAKE_BASE(self, storage))
        code = self->base->host->storage->open_with(self->base, uri, options, &base, err);
    return code ? code : new_reader(self, uri, options, base, out, err);
}

static enum rc_code read_some(struct rc_reader *reader, void *data, size_t capacity, size_t *len,
                              struct rc_error *err)
{
    struct rc_fake_host *fake = reader->job->fake;
    enum rc_code code = fake_call(reader->job, "storage.read", reader->uri, err);
    if (code)
        return code;
    if (reader->base)
        return reader->job->base->host->storage->read(reader->base, data, capacity, len, err);

    pthread_mutex_lock(&fake->mutex);
    const struct fake_object *object = fake_lookup(fake, reader->uri);
    bool replaced = !reader->is_version && object && strcmp(object->stat.etag, reader->etag) != 0;
    pthread_mutex_unlock(&fake->mutex);
    if (replaced)
        return rc_fail(err, RC_CONFLICT, "'%s' was replaced while it was read", reader->uri);

    size_t rest = reader->len - reader->next;
    *len = rest < capacity ? rest : capacity;
    if (*len)
        memcpy(data, reader->data + reader->next, *len);
    reader->next += *len;
    return RC_OK;
}

static void read_close(struct rc_reader *reader)
{
    fake_closed(reader->job->fake);
    if (reader->base)
        reader->job->base->host->storage->read_close(reader->base);
    free(reader->uri);
    free(reader->data);
    free(reader);
}

/* ---- writing -------------------------------------------------------------------------------- */

/* 'attributes' of the new object; with 'keeps' it has those of the one before. */
static enum rc_code publish(struct fake_job *job, const char *uri, const void *data, size_t len,
                            const char *if_match, const char *attributes, bool keeps,
                            struct rc_error *err)
{
    struct rc_fake_host *fake = job->fake;
    if (fake_held_back(job, "write", uri))
        return RC_OK;
    pthread_mutex_lock(&fake->mutex);
    enum rc_code code = check_condition(fake, uri, if_match, err);
    if (!code)
        fake_object_store(fake, uri, data, len,
                          keeps ? fake_lookup(fake, uri)->attributes : attributes);
    pthread_mutex_unlock(&fake->mutex);
    return code;
}

static enum rc_code put(struct rc_job *job, const char *uri, const void *data, size_t len,
                        const char *if_match, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = begin(self, "storage.put", uri, err);
    if (code)
        return code;
    if (FAKE_BASE(self, storage))
        code = self->base->host->storage->put(self->base, uri, data, len, if_match, err);
    else
        code = publish(self, uri, data, len, if_match, NULL, /* keeps = */ false, err);
    return fake_end(self, code, err);
}

static enum rc_code create_with(struct rc_job *job, const char *uri,
                                const struct rc_put_options *options, struct rc_writer **out,
                                struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    struct rc_writer *base = NULL;
    struct rc_put_options known = { .struct_bytes = 0 };
    RC_ASSERT(options->struct_bytes > 0 && options->struct_bytes <= sizeof known);
    memcpy(&known, options, options->struct_bytes);
    enum rc_code code = begin(self, "storage.create", uri, err);
    if (!code && known.keep_attributes &&
        (known.attributes || !known.if_match || known.if_match[0] == '\0'))
        code = rc_fail(err, RC_INVALID, "'%s': whose attributes are kept?", uri);
    if (!code && FAKE_BASE(self, storage))
        code = self->base->host->storage->create_with(self->base, uri, options, &base, err);
    if (code)
        return code;
    struct rc_writer *writer = rc_calloc(1, sizeof *writer);
    writer->job = self;
    writer->base = base;
    writer->uri = rc_strdup(uri);
    writer->if_match = rc_strdup(known.if_match);
    writer->attributes = fake_describe(known.attributes);
    writer->size_bytes = known.size_bytes;
    writer->keeps_attributes = known.keep_attributes;
    rc_buf_init(&writer->body, FAKE_TEXT_LIMIT);
    fake_opened(self->fake);
    *out = writer;
    return RC_OK;
}

static enum rc_code create(struct rc_job *job, const char *uri, const char *if_match,
                           struct rc_writer **out, struct rc_error *err)
{
    const struct rc_put_options options = { .struct_bytes = sizeof(options),
                                            .if_match = if_match,
                                            .size_bytes = -1 };

    return create_with(job, uri, &options, out, err);
}

static enum rc_code write_some(struct rc_writer *writer, const void *data, size_t len,
                               struct rc_error *err)
{
    enum rc_code code = fake_call(writer->job, "storage.write", writer->uri, err);
    if (code)
        return code;
    if (writer->base)
        return writer->job->base->host->storage->write(writer->base, data, len, err);
    RC_ASSERT(!writer->committed);
    rc_buf_add(&writer->body, data, len);
    return rc_buf_check(&writer->body, err);
}

static enum rc_code commit_own(struct rc_writer *writer, struct rc_error *err)
{
    RC_ASSERT(!writer->committed);
    writer->committed = true;
    if (writer->size_bytes >= 0 && (size_t)writer->size_bytes != writer->body.len)
        return rc_fail(err, RC_INVALID, "'%s': %lld bytes were announced, %zu were written",
                       writer->uri, (long long)writer->size_bytes, writer->body.len);
    return publish(writer->job, writer->uri, writer->body.data, writer->body.len, writer->if_match,
                   writer->attributes, writer->keeps_attributes, err);
}

static enum rc_code commit(struct rc_writer *writer, struct rc_error *err)
{
    enum rc_code code = fake_call(writer->job, "storage.commit", writer->uri, err);
    if (code)
        return code;
    if (writer->base)
        code = writer->job->base->host->storage->commit(writer->base, err);
    else
        code = commit_own(writer, err);
    return fake_end(writer->job, code, err);
}

/* What a process that dies while it writes leaves in an object store. */
static void leave_upload(const struct rc_writer *writer)
{
    if (writer->job->fake->is_dead && !writer->base && !writer->committed &&
        (rc_str_starts(writer->uri, "s3://") || rc_str_starts(writer->uri, "store://")))
        rc_fake_host_pend(writer->job->fake, writer->uri, writer->job->job.now_unix_ms);
}

static void write_close(struct rc_writer *writer)
{
    fake_closed(writer->job->fake);
    leave_upload(writer);
    if (writer->base)
        writer->job->base->host->storage->write_close(writer->base);
    free(writer->uri);
    free(writer->if_match);
    free(writer->attributes);
    rc_buf_clear(&writer->body);
    free(writer);
}

static enum rc_code transfer(struct fake_job *job, const char *source, const char *if_match,
                             const char *target, bool remove_source, struct rc_error *err)
{
    struct rc_fake_host *fake = job->fake;
    enum rc_code code = fake_storage_check(fake, target, err);
    if (code)
        return code;

    bool held_back = fake_held_back(job, remove_source ? "move to" : "copy to", target);
    pthread_mutex_lock(&fake->mutex);
    const struct fake_object *object = fake_lookup(fake, source);
    if (!object) {
        code = no_object(err, source);
    } else if (if_match && strcmp(object->stat.etag, if_match) != 0) {
        code = rc_fail(err, RC_CONFLICT, "'%s' has changed", source);
    } else if (!held_back && strcmp(source, target) != 0) {
        /* fake_object_store() may move the array, but not the content that 'object' names. */
        fake_object_store(fake, target, object->data, object->len, object->attributes);
        if (remove_source)
            fake_object_drop(fake, source);
    }
    pthread_mutex_unlock(&fake->mutex);
    return code;
}

static enum rc_code copy(struct rc_job *job, const char *source, const char *target,
                         struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = begin(self, "storage.copy", source, err);
    if (code)
        return code;
    if (FAKE_BASE(self, storage))
        code = self->base->host->storage->copy(self->base, source, target, err);
    else
        code = transfer(self, source, NULL, target, /* remove_source = */ false, err);
    return fake_end(self, code, err);
}

static enum rc_code copy_with(struct rc_job *job, const char *source, const char *source_if_match,
                              const char *target, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = begin(self, "storage.copy_with", source, err);
    if (code)
        return code;
    if (FAKE_BASE(self, storage))
        code =
            self->base->host->storage->copy_with(self->base, source, source_if_match, target, err);
    else
        code = transfer(self, source, source_if_match, target, /* remove_source = */ false, err);
    return fake_end(self, code, err);
}

static enum rc_code move(struct rc_job *job, const char *source, const char *target,
                         struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = begin(self, "storage.move", source, err);
    if (code)
        return code;
    if (FAKE_BASE(self, storage))
        code = self->base->host->storage->move(self->base, source, target, err);
    else
        code = transfer(self, source, NULL, target, /* remove_source = */ true, err);
    return fake_end(self, code, err);
}

static enum rc_code remove_own(struct fake_job *self, const char *const *uris, size_t count,
                               struct rc_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (fake_storage_check(self->fake, uris[i], err))
            return err->code;
        if (!fake_held_back(self, "remove", uris[i]))
            fake_storage_drop(self->fake, uris[i]);
    }
    return RC_OK;
}

static enum rc_code remove_objects(struct rc_job *job, const char *const *uris, size_t count,
                                   struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = fake_call(self, "storage.remove", count ? uris[0] : "", err);
    if (code)
        return code;
    if (FAKE_BASE(self, storage))
        code = self->base->host->storage->remove(self->base, uris, count, err);
    else
        code = remove_own(self, uris, count, err);
    return fake_end(self, code, err);
}

static enum rc_code remove_one(struct fake_job *self, const char *uri,
                               const struct rc_remove_options *options, struct rc_error *err)
{
    struct rc_fake_host *fake = self->fake;

    if (options->if_match && (options->version || options->if_match[0] == '\0'))
        return rc_fail(err, RC_INVALID, "'%s' is removed either if it has a tag, or by its version",
                       uri);
    if (fake_held_back(self, options->version ? "remove a version of" : "remove", uri))
        return RC_OK;
    pthread_mutex_lock(&fake->mutex);
    enum rc_code code = check_condition(fake, uri, options->if_match, err);
    if (!code && options->version)
        fake_object_drop_version(fake, uri, options->version);
    else if (!code)
        fake_object_drop(fake, uri);
    pthread_mutex_unlock(&fake->mutex);
    return code;
}

static enum rc_code remove_with(struct rc_job *job, const char *uri,
                                const struct rc_remove_options *options, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    RC_ASSERT(options->struct_bytes > 0);
    enum rc_code code = begin(self, "storage.remove_with", uri, err);
    if (code)
        return code;
    if (FAKE_BASE(self, storage))
        code = self->base->host->storage->remove_with(self->base, uri, options, err);
    else
        code = remove_one(self, uri, options, err);
    return fake_end(self, code, err);
}

const struct rc_storage_api fake_storage_api = {
    .list = list,
    .list_next = list_next,
    .list_close = list_close,
    .stat = stat_object,
    .get = get,
    .open = open_reader,
    .read = read_some,
    .read_close = read_close,
    .put = put,
    .create = create,
    .write = write_some,
    .commit = commit,
    .write_close = write_close,
    .copy = copy,
    .move = move,
    .remove = remove_objects,
    .create_with = create_with,
    .define = fake_storage_define,
    .sweep = fake_storage_sweep,
    .open_with = open_with,
    .remove_with = remove_with,
    .copy_with = copy_with,
    .versions = versions,
    .version_next = version_next,
    .sweep_object = fake_storage_sweep_object,
};
