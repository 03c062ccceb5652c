/*
 * Storage of the fake host: a sorted array of objects. Readers and listings keep what they
 * found when they were opened, writers publish at their commit.
 */
#include "fake_internal.h"

#include <stdio.h>
#include <stdlib.h>

struct entry {
    char *uri;
    bool is_prefix;
    struct rc_stat stat;
};

/* Handles serve the fake itself or stand before one of the base. */
struct rc_listing {
    struct fake_job *job;
    struct rc_listing *base;
    struct entry *entries;
    size_t count, next, prefix_len;
    struct rc_object object;
};

struct rc_reader {
    struct fake_job *job;
    struct rc_reader *base;
    char *uri, *data;
    size_t len, next;
    char etag[RC_ETAG_TEXT];
};

struct rc_writer {
    struct fake_job *job;
    struct rc_writer *base;
    char *uri, *if_match, *attributes;
    int64_t size_bytes; /* that were announced; -1: none */
    struct rc_buf body;
    bool committed;
};

/* ---- the objects; callers hold the mutex ---------------------------------------------------- */

/* Where 'uri' is, or would be inserted. */
static size_t find(const struct rc_fake_host *fake, const char *uri, bool *found)
{
    size_t low = 0, high = fake->object_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(fake->objects[middle].uri, uri);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

static struct fake_object *lookup(const struct rc_fake_host *fake, const char *uri)
{
    bool found;
    size_t at = find(fake, uri, &found);
    return found ? &fake->objects[at] : NULL;
}

static void store(struct rc_fake_host *fake, const char *uri, const char *data, size_t len,
                  const char *attributes)
{
    bool found;
    size_t at = find(fake, uri, &found);
    char *copy = rc_malloc(len + 1);
    if (len)
        memcpy(copy, data, len);
    copy[len] = '\0';

    if (!found) {
        fake->objects = fake_grow(fake->objects, &fake->object_count, sizeof *fake->objects);
        memmove(fake->objects + at + 1, fake->objects + at,
                (fake->object_count - 1 - at) * sizeof *fake->objects);
        fake->objects[at] = (struct fake_object){ .uri = rc_strdup(uri) };
    }
    struct fake_object *object = &fake->objects[at];
    char *kept = rc_strdup(attributes ? attributes : "");
    free(object->data);
    free(object->attributes);
    object->data = copy;
    object->attributes = kept;
    object->len = len;
    object->stat.size_bytes = (int64_t)len;
    object->stat.modified_unix_ms = fake->main.job.now_unix_ms + fake->writes;
    fake->writes++;
    snprintf(object->stat.etag, sizeof object->stat.etag, "fake-%lld", (long long)fake->writes);
}

static void drop(struct rc_fake_host *fake, const char *uri)
{
    bool found;
    size_t at = find(fake, uri, &found);
    if (!found)
        return;
    free(fake->objects[at].uri);
    free(fake->objects[at].data);
    free(fake->objects[at].attributes);
    fake->object_count--;
    memmove(fake->objects + at, fake->objects + at + 1,
            (fake->object_count - at) * sizeof *fake->objects);
}

static enum rc_code check_condition(const struct rc_fake_host *fake, const char *uri,
                                    const char *if_match, struct rc_error *err)
{
    if (!if_match)
        return RC_OK;
    const struct fake_object *object = lookup(fake, uri);
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
    struct entry *entry = &listing->entries[listing->count - 1];
    entry->uri = uri;
    entry->is_prefix = slash != NULL;
    if (!slash)
        entry->stat = object->stat;
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

    struct rc_listing *listing = rc_calloc(1, sizeof *listing);
    listing->job = self;
    listing->base = base;
    listing->prefix_len = strlen(prefix);
    if (!base) {
        pthread_mutex_lock(&fake->mutex);
        for (size_t i = 0; i < fake->object_count; i++)
            if (rc_str_starts(fake->objects[i].uri, prefix))
                add_entry(listing, &fake->objects[i], options);
        pthread_mutex_unlock(&fake->mutex);
    }
    fake_opened(fake);
    *out = listing;
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
    *object = NULL;
    if (listing->next < listing->count) {
        const struct entry *entry = &listing->entries[listing->next++];
        listing->object = (struct rc_object){
            .uri = entry->uri,
            .name = entry->uri + listing->prefix_len,
            .is_prefix = entry->is_prefix,
            .stat = entry->stat,
        };
        *object = &listing->object;
    }
    return RC_OK;
}

static void list_close(struct rc_listing *listing)
{
    fake_closed(listing->job->fake);
    if (listing->base)
        listing->job->base->host->storage->list_close(listing->base);
    for (size_t i = 0; i < listing->count; i++)
        free(listing->entries[i].uri);
    free(listing->entries);
    free(listing);
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
    const struct fake_object *object = lookup(self->fake, uri);
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
    const struct fake_object *object = lookup(self->fake, uri);
    if (object) {
        rc_buf_add(body, object->data, object->len);
        code = rc_buf_check(body, err);
    } else {
        code = no_object(err, uri);
    }
    pthread_mutex_unlock(&self->fake->mutex);
    return code;
}

static enum rc_code open_reader(struct rc_job *job, const char *uri, int64_t offset_bytes,
                                int64_t len_bytes, struct rc_reader **out, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    struct rc_fake_host *fake = self->fake;
    struct rc_reader *base = NULL;
    enum rc_code code = begin(self, "storage.open", uri, err);
    if (!code && offset_bytes < 0)
        code = rc_fail(err, RC_INVALID, "the offset is negative");
    if (!code && FAKE_BASE(self, storage))
        code =
            self->base->host->storage->open(self->base, uri, offset_bytes, len_bytes, &base, err);
    if (code)
        return code;

    struct rc_reader *reader = rc_calloc(1, sizeof *reader);
    reader->job = self;
    reader->base = base;
    reader->uri = rc_strdup(uri);
    if (!base) {
        pthread_mutex_lock(&fake->mutex);
        const struct fake_object *object = lookup(fake, uri);
        if (object) {
            size_t from = (size_t)offset_bytes < object->len ? (size_t)offset_bytes : object->len;
            size_t rest = object->len - from;
            reader->len = len_bytes < 0 || (size_t)len_bytes > rest ? rest : (size_t)len_bytes;
            reader->data = rc_malloc(reader->len + 1);
            memcpy(reader->data, object->data + from, reader->len);
            memcpy(reader->etag, object->stat.etag, sizeof reader->etag);
        } else {
            code = no_object(err, uri);
        }
        pthread_mutex_unlock(&fake->mutex);
    }
    if (code) {
        free(reader->uri);
        free(reader);
        return code;
    }
    fake_opened(fake);
    *out = reader;
    return RC_OK;
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
    const struct fake_object *object = lookup(fake, reader->uri);
    bool replaced = object && strcmp(object->stat.etag, reader->etag) != 0;
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

static void add_attribute(struct rc_buf *out, const char *kind, const char *name, const char *value)
{
    if (value && *value)
        rc_buf_addf(out, "%s%s: %s\n", kind, name, value);
}

/* As rc_fake_host_attributes() gives them; freed with free(). */
static char *describe(const struct rc_attributes *attributes)
{
    struct rc_buf out = RC_BUF_INIT(FAKE_TEXT_LIMIT);

    if (!attributes)
        return NULL;
    add_attribute(&out, "", "content-type", attributes->content_type);
    add_attribute(&out, "", "content-encoding", attributes->content_encoding);
    add_attribute(&out, "", "content-disposition", attributes->content_disposition);
    add_attribute(&out, "", "content-language", attributes->content_language);
    add_attribute(&out, "", "cache-control", attributes->cache_control);
    add_attribute(&out, "", "storage-class", attributes->storage_class);
    for (size_t i = 0; i < attributes->metadata.len; i++)
        add_attribute(&out, "metadata ", attributes->metadata.items[i].key,
                      attributes->metadata.items[i].value);
    for (size_t i = 0; i < attributes->tags.len; i++)
        add_attribute(&out, "tag ", attributes->tags.items[i].key, attributes->tags.items[i].value);
    return rc_buf_take(&out);
}

static enum rc_code publish(struct fake_job *job, const char *uri, const void *data, size_t len,
                            const char *if_match, const char *attributes, struct rc_error *err)
{
    struct rc_fake_host *fake = job->fake;
    if (fake_held_back(job, "write", uri))
        return RC_OK;
    pthread_mutex_lock(&fake->mutex);
    enum rc_code code = check_condition(fake, uri, if_match, err);
    if (!code)
        store(fake, uri, data, len, attributes);
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
        return self->base->host->storage->put(self->base, uri, data, len, if_match, err);
    return publish(self, uri, data, len, if_match, NULL, err);
}

static enum rc_code create_with(struct rc_job *job, const char *uri,
                                const struct rc_put_options *options, struct rc_writer **out,
                                struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    struct rc_writer *base = NULL;
    RC_ASSERT(options->struct_bytes > 0);
    enum rc_code code = begin(self, "storage.create", uri, err);
    if (!code && FAKE_BASE(self, storage))
        code = self->base->host->storage->create_with(self->base, uri, options, &base, err);
    if (code)
        return code;
    struct rc_writer *writer = rc_calloc(1, sizeof *writer);
    writer->job = self;
    writer->base = base;
    writer->uri = rc_strdup(uri);
    writer->if_match = rc_strdup(options->if_match);
    writer->attributes = describe(options->attributes);
    writer->size_bytes = options->size_bytes;
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

static enum rc_code commit(struct rc_writer *writer, struct rc_error *err)
{
    enum rc_code code = fake_call(writer->job, "storage.commit", writer->uri, err);
    if (code)
        return code;
    if (writer->base)
        return writer->job->base->host->storage->commit(writer->base, err);
    RC_ASSERT(!writer->committed);
    writer->committed = true;
    if (writer->size_bytes >= 0 && (size_t)writer->size_bytes != writer->body.len)
        return rc_fail(err, RC_INVALID, "'%s': %lld bytes were announced, %zu were written",
                       writer->uri, (long long)writer->size_bytes, writer->body.len);
    return publish(writer->job, writer->uri, writer->body.data, writer->body.len, writer->if_match,
                   writer->attributes, err);
}

static void write_close(struct rc_writer *writer)
{
    fake_closed(writer->job->fake);
    if (writer->base)
        writer->job->base->host->storage->write_close(writer->base);
    free(writer->uri);
    free(writer->if_match);
    free(writer->attributes);
    rc_buf_clear(&writer->body);
    free(writer);
}

static enum rc_code transfer(struct fake_job *job, const char *source, const char *target,
                             bool remove_source, struct rc_error *err)
{
    struct rc_fake_host *fake = job->fake;
    enum rc_code code = fake_storage_check(fake, target, err);
    if (code)
        return code;

    bool held_back = fake_held_back(job, remove_source ? "move to" : "copy to", target);
    pthread_mutex_lock(&fake->mutex);
    const struct fake_object *object = lookup(fake, source);
    if (!object) {
        code = no_object(err, source);
    } else if (!held_back && strcmp(source, target) != 0) {
        /* store() may move the array, but not the content that 'object' names. */
        store(fake, target, object->data, object->len, object->attributes);
        if (remove_source)
            drop(fake, source);
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
        return self->base->host->storage->copy(self->base, source, target, err);
    return transfer(self, source, target, /* remove_source = */ false, err);
}

static enum rc_code move(struct rc_job *job, const char *source, const char *target,
                         struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = begin(self, "storage.move", source, err);
    if (code)
        return code;
    if (FAKE_BASE(self, storage))
        return self->base->host->storage->move(self->base, source, target, err);
    return transfer(self, source, target, /* remove_source = */ true, err);
}

static enum rc_code remove_objects(struct rc_job *job, const char *const *uris, size_t count,
                                   struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    enum rc_code code = fake_call(self, "storage.remove", count ? uris[0] : "", err);
    if (code)
        return code;
    if (FAKE_BASE(self, storage))
        return self->base->host->storage->remove(self->base, uris, count, err);
    for (size_t i = 0; i < count; i++) {
        code = fake_storage_check(self->fake, uris[i], err);
        if (code)
            return code;
        if (fake_held_back(self, "remove", uris[i]))
            continue;
        pthread_mutex_lock(&self->fake->mutex);
        drop(self->fake, uris[i]);
        pthread_mutex_unlock(&self->fake->mutex);
    }
    return RC_OK;
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
};

/* ---- for the transfer ----------------------------------------------------------------------- */

bool fake_storage_find(struct rc_fake_host *fake, const char *uri, struct rc_stat *out)
{
    pthread_mutex_lock(&fake->mutex);
    const struct fake_object *object = lookup(fake, uri);
    if (object && out)
        *out = object->stat;
    pthread_mutex_unlock(&fake->mutex);
    return object != NULL;
}

void fake_storage_copy(struct rc_fake_host *fake, const char *source, const char *target,
                       const struct rc_attributes *attributes)
{
    RC_STR_AUTO described = describe(attributes);

    pthread_mutex_lock(&fake->mutex);
    const struct fake_object *object = lookup(fake, source);
    if (object && strcmp(source, target) != 0)
        store(fake, target, object->data, object->len, described ? described : object->attributes);
    pthread_mutex_unlock(&fake->mutex);
}

bool fake_storage_same(struct rc_fake_host *fake, const char *a, const char *b)
{
    pthread_mutex_lock(&fake->mutex);
    const struct fake_object *one = lookup(fake, a), *other = lookup(fake, b);
    bool same =
        one && other && one->len == other->len && memcmp(one->data, other->data, one->len) == 0;
    pthread_mutex_unlock(&fake->mutex);
    return same;
}

void fake_storage_drop(struct rc_fake_host *fake, const char *uri)
{
    pthread_mutex_lock(&fake->mutex);
    drop(fake, uri);
    pthread_mutex_unlock(&fake->mutex);
}

char **fake_storage_uris(struct rc_fake_host *fake, const char *prefix, size_t *count)
{
    char **uris = NULL;

    *count = 0;
    pthread_mutex_lock(&fake->mutex);
    for (size_t i = 0; i < fake->object_count; i++) {
        if (!rc_str_starts(fake->objects[i].uri, prefix))
            continue;
        uris = fake_grow(uris, count, sizeof *uris);
        uris[*count - 1] = rc_strdup(fake->objects[i].uri);
    }
    pthread_mutex_unlock(&fake->mutex);
    return uris;
}

/* ---- for the test --------------------------------------------------------------------------- */

void rc_fake_host_put(struct rc_fake_host *host, const char *uri, const void *data, size_t len)
{
    pthread_mutex_lock(&host->mutex);
    store(host, uri, data, len, NULL);
    pthread_mutex_unlock(&host->mutex);
}

const char *rc_fake_host_object(const struct rc_fake_host *host, const char *uri, size_t *len)
{
    const struct fake_object *object = lookup(host, uri);
    if (object && len)
        *len = object->len;
    return object ? object->data : NULL;
}

const char *rc_fake_host_attributes(const struct rc_fake_host *host, const char *uri)
{
    const struct fake_object *object = lookup(host, uri);
    return object ? object->attributes : NULL;
}

const char *rc_fake_host_objects(struct rc_fake_host *host, const char *prefix)
{
    rc_buf_reset(&host->listed);
    for (size_t i = 0; i < host->object_count; i++)
        if (rc_str_starts(host->objects[i].uri, prefix))
            rc_buf_addf(&host->listed, "%s\n", host->objects[i].uri);
    return host->listed.data;
}

void fake_storage_replace(struct rc_fake_host *fake, const char *prefix, const char *uri,
                          const char *data, size_t len)
{
    pthread_mutex_lock(&fake->mutex);
    for (size_t i = fake->object_count; i-- > 0;)
        if (rc_str_starts(fake->objects[i].uri, prefix))
            drop(fake, fake->objects[i].uri);
    if (uri)
        store(fake, uri, data, len, NULL);
    pthread_mutex_unlock(&fake->mutex);
}

void fake_storage_clear(struct rc_fake_host *fake)
{
    for (size_t i = 0; i < fake->object_count; i++) {
        free(fake->objects[i].uri);
        free(fake->objects[i].data);
        free(fake->objects[i].attributes);
    }
    free(fake->objects);
}
