/*
 * Buckets of the fake host: what a test says of them, and what a plugin then asks for.
 */
#include "fake_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* "s3://bucket", or for what has no bucket all of the URI without a slash at its end. */
static char *name_of(const char *uri)
{
    struct rc_error ignored = RC_ERROR_INIT;
    struct rc_uri parts;
    size_t len = strlen(uri);

    if (rc_uri_split(uri, &parts, &ignored) == RC_OK && parts.bucket_len > 0)
        len = (size_t)(parts.bucket - uri) + parts.bucket_len;
    while (len > 0 && uri[len - 1] == '/')
        len--;
    return rc_strndup(uri, len);
}

/* The caller holds the mutex. NULL: there is none. */
static struct fake_bucket *find(struct rc_fake_host *fake, const char *uri)
{
    RC_STR_AUTO name = name_of(uri);

    for (size_t i = 0; i < fake->bucket_count; i++)
        if (strcmp(fake->buckets[i].name, name) == 0)
            return &fake->buckets[i];
    return NULL;
}

static struct fake_bucket *find_or_add(struct rc_fake_host *fake, const char *uri)
{
    struct fake_bucket *bucket = find(fake, uri);

    if (bucket)
        return bucket;
    fake->buckets = fake_grow(fake->buckets, &fake->bucket_count, sizeof *fake->buckets);
    bucket = &fake->buckets[fake->bucket_count - 1];
    *bucket = (struct fake_bucket){
        .name = name_of(uri),
        .is = { .exists = RC_ANSWER_NO,
                .encrypted = RC_ANSWER_NO,
                .expires = RC_ANSWER_NO,
                .is_public = RC_ANSWER_NO },
    };
    (void)snprintf(bucket->is.name, sizeof bucket->is.name, "%s", bucket->name);
    return bucket;
}

static enum rc_code look(struct rc_job *job, const char *uri, struct rc_bucket *out,
                         struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);

    if (fake_call(self, "bucket.look", uri, err))
        return err->code;
    if (FAKE_BASE(self, bucket))
        return self->base->host->bucket->look(self->base, uri, out, err);
    pthread_mutex_lock(&self->fake->mutex);
    *out = find_or_add(self->fake, uri)->is;
    pthread_mutex_unlock(&self->fake->mutex);
    return RC_OK;
}

static enum rc_code create(struct rc_job *job, const char *uri, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);

    if (fake_call(self, "bucket.create", uri, err))
        return err->code;
    if (FAKE_BASE(self, bucket))
        return self->base->host->bucket->create(self->base, uri, err);
    if (fake_held_back(self, "create the bucket of", uri))
        return RC_OK;
    pthread_mutex_lock(&self->fake->mutex);
    find_or_add(self->fake, uri)->is.exists = RC_ANSWER_YES;
    pthread_mutex_unlock(&self->fake->mutex);
    return RC_OK;
}

/* Of one that is there; the mutex is held until leave(). NULL: 'err' says that it is not. */
static struct rc_bucket *enter(struct fake_job *self, const char *uri, struct rc_error *err)
{
    pthread_mutex_lock(&self->fake->mutex);
    struct fake_bucket *bucket = find(self->fake, uri);
    if (bucket && bucket->is.exists == RC_ANSWER_YES)
        return &bucket->is;
    pthread_mutex_unlock(&self->fake->mutex);
    (void)!rc_fail(err, RC_NOT_FOUND, "the bucket of '%s' does not exist", uri);
    return NULL;
}

static void leave(struct fake_job *self)
{
    pthread_mutex_unlock(&self->fake->mutex);
}

static enum rc_code encrypt(struct rc_job *job, const char *uri, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);

    if (fake_call(self, "bucket.encrypt", uri, err))
        return err->code;
    if (FAKE_BASE(self, bucket))
        return self->base->host->bucket->encrypt(self->base, uri, err);
    if (fake_held_back(self, "encrypt the bucket of", uri))
        return RC_OK;
    struct rc_bucket *bucket = enter(self, uri, err);
    if (!bucket)
        return err->code;
    bucket->encrypted = RC_ANSWER_YES;
    (void)snprintf(bucket->encryption, sizeof bucket->encryption, "AES256");
    leave(self);
    return RC_OK;
}

static enum rc_code expire(struct rc_job *job, const char *uri, int64_t days, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);

    if (fake_call(self, "bucket.expire", uri, err))
        return err->code;
    if (FAKE_BASE(self, bucket))
        return self->base->host->bucket->expire(self->base, uri, days, err);
    if (days < 1)
        return rc_fail(err, RC_INVALID, "objects do not expire after %lld days", (long long)days);
    if (fake_held_back(self, "let expire the objects of", uri))
        return RC_OK;
    struct rc_bucket *bucket = enter(self, uri, err);
    if (!bucket)
        return err->code;
    bucket->expires = RC_ANSWER_YES;
    bucket->expire_days = days;
    leave(self);
    return RC_OK;
}

const struct rc_bucket_api fake_bucket_api = {
    .look = look,
    .create = create,
    .encrypt = encrypt,
    .expire = expire,
};

struct rc_bucket *rc_fake_host_bucket(struct rc_fake_host *host, const char *uri)
{
    return &find_or_add(host, uri)->is;
}

void fake_bucket_clear(struct rc_fake_host *fake)
{
    for (size_t i = 0; i < fake->bucket_count; i++)
        free(fake->buckets[i].name);
    free(fake->buckets);
}
