/*
 * The objects of the fake host's storage: a sorted array, and what is done to it past all faults
 * for other services and for the test. What an object was before is in fake_versions.c.
 */
#include "fake_internal.h"

#include <stdio.h>
#include <stdlib.h>

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

struct fake_object *fake_lookup(const struct rc_fake_host *fake, const char *uri)
{
    bool found;
    size_t at = find(fake, uri, &found);
    return found ? &fake->objects[at] : NULL;
}

const struct fake_object *fake_storage_lookup(const struct rc_fake_host *fake, const char *uri,
                                              const char *version)
{
    const struct fake_object *object = fake_lookup(fake, uri);
    const struct fake_version *former;

    if (!version || (object && strcmp(object->version, version) == 0))
        return object;
    former = fake_history_find(fake, uri, version);
    return former && !former->is_removal ? &former->object : NULL;
}

/* Numbers the next content or mark, and gives it a version where there are some. */
static void number_it(struct rc_fake_host *fake, struct fake_object *object)
{
    object->stat.modified_unix_ms = fake->main.job.now_unix_ms + fake->writes;
    object->number = ++fake->writes;
    if (fake_is_versioned(fake, object->uri))
        snprintf(object->version, sizeof object->version, "version-%lld",
                 (long long)object->number);
}

/* Takes the object, for a URI that nothing has. */
static void insert(struct rc_fake_host *fake, struct fake_object object)
{
    bool found;
    size_t at = find(fake, object.uri, &found);

    RC_ASSERT(!found);
    fake->objects = fake_grow(fake->objects, &fake->object_count, sizeof *fake->objects);
    memmove(fake->objects + at + 1, fake->objects + at,
            (fake->object_count - 1 - at) * sizeof *fake->objects);
    fake->objects[at] = object;
}

/* The caller's now. False: there is none. */
static bool take_out(struct rc_fake_host *fake, const char *uri, struct fake_object *out)
{
    bool found;
    size_t at = find(fake, uri, &found);

    if (!found)
        return false;
    *out = fake->objects[at];
    fake->object_count--;
    memmove(fake->objects + at, fake->objects + at + 1,
            (fake->object_count - at) * sizeof *fake->objects);
    return true;
}

/* What is there becomes history where it is kept, else nothing. False: there is nothing. */
static bool retire(struct rc_fake_host *fake, const char *uri)
{
    struct fake_object former;

    if (!take_out(fake, uri, &former))
        return false;
    if (fake_is_versioned(fake, uri)) {
        if (former.version[0] == '\0')
            memcpy(former.version, "null", sizeof "null");
        fake_history_add(fake, former, /* is_removal = */ false);
    } else {
        fake_object_clear(&former);
    }
    return true;
}

void fake_object_store(struct rc_fake_host *fake, const char *uri, const char *data, size_t len,
                       const char *attributes)
{
    struct fake_object object = {
        .uri = rc_strdup(uri),
        .data = rc_malloc(len + 1),
        .len = len,
        .attributes = rc_strdup(attributes ? attributes : ""),
        .stat = { .size_bytes = (int64_t)len },
    };

    if (len)
        memcpy(object.data, data, len);
    object.data[len] = '\0';
    number_it(fake, &object);
    snprintf(object.stat.etag, sizeof object.stat.etag, "fake-%lld", (long long)object.number);
    retire(fake, object.uri);
    insert(fake, object);
}

void fake_object_drop(struct rc_fake_host *fake, const char *uri)
{
    struct fake_object mark = { .uri = rc_strdup(uri) };

    if (retire(fake, mark.uri) && fake_is_versioned(fake, mark.uri)) {
        number_it(fake, &mark);
        fake_history_add(fake, mark, /* is_removal = */ true);
        return;
    }
    free(mark.uri);
}

void fake_object_drop_version(struct rc_fake_host *fake, const char *uri, const char *version)
{
    const struct fake_object *object = fake_lookup(fake, uri);
    const struct fake_version *former;
    struct fake_version gone = { .is_removal = false };

    if (object && strcmp(object->version, version) == 0)
        (void)take_out(fake, uri, &gone.object);
    else
        (void)fake_history_take(fake, uri, version, &gone);
    fake_object_clear(&gone.object);
    former = fake_history_find(fake, uri, NULL);
    if (!fake_lookup(fake, uri) && former && !former->is_removal &&
        fake_history_take(fake, uri, NULL, &gone))
        insert(fake, gone.object);
}

/* ---- attributes ------------------------------------------------------------------------------ */

static void add_attribute(struct rc_buf *out, const char *kind, const char *name, const char *value)
{
    if (value && *value)
        rc_buf_addf(out, "%s%s: %s\n", kind, name, value);
}

char *fake_describe(const struct rc_attributes *attributes)
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

/* ---- for the transfer ----------------------------------------------------------------------- */

bool fake_storage_find(struct rc_fake_host *fake, const char *uri, struct rc_stat *out)
{
    pthread_mutex_lock(&fake->mutex);
    const struct fake_object *object = fake_lookup(fake, uri);
    if (object && out)
        *out = object->stat;
    pthread_mutex_unlock(&fake->mutex);
    return object != NULL;
}

void fake_storage_copy(struct rc_fake_host *fake, const char *source, const char *target,
                       const struct rc_attributes *attributes)
{
    RC_STR_AUTO described = fake_describe(attributes);

    pthread_mutex_lock(&fake->mutex);
    const struct fake_object *object = fake_lookup(fake, source);
    if (object && strcmp(source, target) != 0)
        fake_object_store(fake, target, object->data, object->len,
                          described ? described : object->attributes);
    pthread_mutex_unlock(&fake->mutex);
}

bool fake_storage_same(struct rc_fake_host *fake, const char *a, const char *b)
{
    pthread_mutex_lock(&fake->mutex);
    const struct fake_object *one = fake_lookup(fake, a), *other = fake_lookup(fake, b);
    bool same =
        one && other && one->len == other->len && memcmp(one->data, other->data, one->len) == 0;
    pthread_mutex_unlock(&fake->mutex);
    return same;
}

void fake_storage_drop(struct rc_fake_host *fake, const char *uri)
{
    pthread_mutex_lock(&fake->mutex);
    fake_object_drop(fake, uri);
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
    fake_object_store(host, uri, data, len, NULL);
    pthread_mutex_unlock(&host->mutex);
}

void rc_fake_host_put_with(struct rc_fake_host *host, const char *uri, const void *data, size_t len,
                           const struct rc_attributes *attributes)
{
    RC_STR_AUTO described = fake_describe(attributes);

    pthread_mutex_lock(&host->mutex);
    fake_object_store(host, uri, data, len, described);
    pthread_mutex_unlock(&host->mutex);
}

void rc_fake_host_remove(struct rc_fake_host *host, const char *uri)
{
    fake_storage_drop(host, uri);
}

const char *rc_fake_host_object(const struct rc_fake_host *host, const char *uri, size_t *len)
{
    const struct fake_object *object = fake_lookup(host, uri);
    if (object && len)
        *len = object->len;
    return object ? object->data : NULL;
}

const char *rc_fake_host_attributes(const struct rc_fake_host *host, const char *uri)
{
    const struct fake_object *object = fake_lookup(host, uri);
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
            fake_object_drop(fake, fake->objects[i].uri);
    if (uri)
        fake_object_store(fake, uri, data, len, NULL);
    pthread_mutex_unlock(&fake->mutex);
}

void fake_storage_clear(struct rc_fake_host *fake)
{
    for (size_t i = 0; i < fake->object_count; i++)
        fake_object_clear(&fake->objects[i]);
    free(fake->objects);
}
