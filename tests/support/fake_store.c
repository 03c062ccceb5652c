/*
 * Stores that a plugin defines on the fake host, and uploads that nobody has finished.
 */
#include "fake_internal.h"

#include <stdlib.h>

/* The caller holds the mutex. */
static const struct fake_store *find(const struct rc_fake_host *fake, const char *name)
{
    for (size_t i = 0; i < fake->store_count; i++)
        if (strcmp(fake->stores[i].name, name) == 0)
            return &fake->stores[i];
    return NULL;
}

enum rc_code fake_storage_check(struct rc_fake_host *fake, const char *uri, struct rc_error *err)
{
    struct rc_uri parts;

    if (rc_uri_split(uri, &parts, err))
        return err->code;
    if (!rc_str_starts(uri, "store://"))
        return RC_OK;
    RC_STR_AUTO name = rc_strndup(parts.bucket, parts.bucket_len);
    pthread_mutex_lock(&fake->mutex);
    const struct fake_store *store = find(fake, name);
    pthread_mutex_unlock(&fake->mutex);
    return store ? RC_OK : rc_fail(err, RC_INVALID, "'%s' names no store", uri);
}

static struct fake_store copy_of(const struct rc_store *store)
{
    struct fake_store copy = {
        .name = rc_strdup(store->name),
        .url = rc_strdup(store->url),
        .endpoint = rc_strdup(store->endpoint),
        .region = rc_strdup(store->region),
        .id = rc_strdup(store->access_key_id),
        .secret = rc_strdup(store->secret_access_key),
        .token = rc_strdup(store->session_token),
    };

    copy.is = (struct rc_store){
        .struct_bytes = sizeof copy.is,
        .name = copy.name,
        .url = copy.url,
        .endpoint = copy.endpoint,
        .region = copy.region,
        .access_key_id = copy.id,
        .secret_access_key = copy.secret,
        .session_token = copy.token,
    };
    return copy;
}

static bool is_same(const struct rc_store *a, const struct rc_store *b)
{
    return rc_str_eq(a->url, b->url) && rc_str_eq(a->endpoint, b->endpoint) &&
           rc_str_eq(a->region, b->region) && rc_str_eq(a->access_key_id, b->access_key_id) &&
           rc_str_eq(a->secret_access_key, b->secret_access_key) &&
           rc_str_eq(a->session_token, b->session_token);
}

enum rc_code fake_storage_define(struct rc_job *job, const struct rc_store *store,
                                 struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    struct rc_fake_host *fake = self->fake;
    struct rc_uri parts;

    RC_ASSERT(store->struct_bytes > 0);
    if (fake_call(self, "storage.define", store->name, err))
        return err->code;
    if (FAKE_BASE(self, storage))
        return self->base->host->storage->define(self->base, store, err);
    if (!store->url)
        return rc_fail(err, RC_INVALID, "the store '%s' has no url", store->name);
    if (rc_uri_split(store->url, &parts, err))
        return err->code;

    pthread_mutex_lock(&fake->mutex);
    const struct fake_store *other = find(fake, store->name);
    bool is_other = other && !is_same(&other->is, store);
    if (!other) {
        fake->stores = fake_grow(fake->stores, &fake->store_count, sizeof *fake->stores);
        fake->stores[fake->store_count - 1] = copy_of(store);
    }
    pthread_mutex_unlock(&fake->mutex);
    return is_other ? rc_fail(err, RC_CONFLICT, "there is another store '%s'", store->name) : RC_OK;
}

const struct rc_store *rc_fake_host_store(const struct rc_fake_host *host, const char *name)
{
    const struct fake_store *store = find(host, name);

    return store ? &store->is : NULL;
}

/* ---- unfinished uploads --------------------------------------------------------------------- */

/* Which uploads are given up. */
struct sweep {
    const char *prefix;
    bool is_exact;
    int64_t from_unix_ms, before_unix_ms;
};

static bool fits(const struct sweep *sweep, const struct fake_upload *upload)
{
    return (sweep->is_exact ? rc_str_eq(upload->uri, sweep->prefix)
                            : rc_str_starts(upload->uri, sweep->prefix)) &&
           upload->begun_unix_ms >= sweep->from_unix_ms &&
           upload->begun_unix_ms < sweep->before_unix_ms;
}

static void give_up(struct fake_job *self, const struct sweep *sweep, int64_t *swept)
{
    struct rc_fake_host *fake = self->fake;
    int64_t count = 0;
    size_t kept = 0;

    for (size_t i = 0; i < fake->upload_count; i++) {
        struct fake_upload upload = fake->uploads[i];
        bool goes = fits(sweep, &upload);

        count += goes;
        if (goes && !fake_held_back(self, "give up the upload of", upload.uri))
            free(upload.uri);
        else
            fake->uploads[kept++] = upload;
    }
    fake->upload_count = kept;
    if (swept)
        *swept = count;
}

enum rc_code fake_storage_sweep(struct rc_job *job, const char *prefix,
                                int64_t begun_before_unix_ms, int64_t *swept, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    const struct sweep sweep = {
        .prefix = prefix,
        .from_unix_ms = INT64_MIN,
        .before_unix_ms = begun_before_unix_ms,
    };

    if (fake_call(self, "storage.sweep", prefix, err) ||
        fake_storage_check(self->fake, prefix, err))
        return err->code;
    if (FAKE_BASE(self, storage))
        return fake_end(
            self,
            self->base->host->storage->sweep(self->base, prefix, begun_before_unix_ms, swept, err),
            err);
    give_up(self, &sweep, swept);
    return fake_end(self, RC_OK, err);
}

enum rc_code fake_storage_sweep_object(struct rc_job *job, const char *uri,
                                       int64_t begun_from_unix_ms, int64_t begun_before_unix_ms,
                                       int64_t *swept, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);
    const struct sweep sweep = {
        .prefix = uri,
        .is_exact = true,
        .from_unix_ms = begun_from_unix_ms,
        .before_unix_ms = begun_before_unix_ms,
    };

    if (fake_call(self, "storage.sweep_object", uri, err) ||
        fake_storage_check(self->fake, uri, err))
        return err->code;
    if (FAKE_BASE(self, storage))
        return fake_end(self,
                        self->base->host->storage->sweep_object(self->base, uri, begun_from_unix_ms,
                                                                begun_before_unix_ms, swept, err),
                        err);
    give_up(self, &sweep, swept);
    return fake_end(self, RC_OK, err);
}

void rc_fake_host_pend(struct rc_fake_host *host, const char *uri, int64_t begun_unix_ms)
{
    host->uploads = fake_grow(host->uploads, &host->upload_count, sizeof *host->uploads);
    host->uploads[host->upload_count - 1] =
        (struct fake_upload){ .uri = rc_strdup(uri), .begun_unix_ms = begun_unix_ms };
}

const char *rc_fake_host_pending(struct rc_fake_host *host)
{
    rc_buf_reset(&host->listed);
    for (size_t i = 0; i < host->upload_count; i++)
        rc_buf_addf(&host->listed, "%s\n", host->uploads[i].uri);
    return host->listed.data;
}

void fake_stores_forget(struct rc_fake_host *fake)
{
    for (size_t i = 0; i < fake->store_count; i++) {
        struct fake_store *store = &fake->stores[i];

        free(store->name);
        free(store->url);
        free(store->endpoint);
        free(store->region);
        free(store->id);
        free(store->secret);
        free(store->token);
    }
    free(fake->stores);
    fake->stores = NULL;
    fake->store_count = 0;
}

void fake_store_clear(struct rc_fake_host *fake)
{
    fake_stores_forget(fake);
    for (size_t i = 0; i < fake->upload_count; i++)
        free(fake->uploads[i].uri);
    free(fake->uploads);
}
