/*
 * The service 'bucket' of the host.
 */
#include <runtime/host.h>

#include <storage/storage.h>

static enum rc_code bucket_look(struct rc_job *job, const char *uri, struct rc_bucket *out,
                                struct rc_error *err)
{
    return core_storage_bucket_look(core_job_of(job)->storage, uri, out, err);
}

static enum rc_code bucket_create(struct rc_job *job, const char *uri, struct rc_error *err)
{
    if (job->dry_run)
        return core_host_would(core_job_of(job), err, "create the bucket of '%s'", uri);
    return core_storage_bucket_create(core_job_of(job)->storage, uri, err);
}

static enum rc_code bucket_encrypt(struct rc_job *job, const char *uri, struct rc_error *err)
{
    if (job->dry_run)
        return core_host_would(core_job_of(job), err, "have the bucket of '%s' encrypt", uri);
    return core_storage_bucket_encrypt(core_job_of(job)->storage, uri, err);
}

static enum rc_code bucket_expire(struct rc_job *job, const char *uri, int64_t days,
                                  struct rc_error *err)
{
    if (job->dry_run)
        return core_host_would(core_job_of(job), err,
                               "have the bucket of '%s' remove objects after %lld days", uri,
                               (long long)days);
    return core_storage_bucket_expire(core_job_of(job)->storage, uri, days, err);
}

const struct rc_bucket_api core_host_bucket = {
    .look = bucket_look,
    .create = bucket_create,
    .encrypt = bucket_encrypt,
    .expire = bucket_expire,
};
