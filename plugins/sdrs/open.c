/*
 * What every action begins with: the state with the configured rules in it, and locks and
 * looks at buckets.
 */
#include "mover/carry.h"
#include "run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOCK_NAME_BYTES = 200 };

enum rc_code sdrs_open(struct rc_job *job, const struct sdrs_config *config, struct sdrs_state *out,
                       struct rc_error *err)
{
    if (sdrs_state_open(job, out, err))
        return err->code;
    if (sdrs_rules_configure(out, config, err)) {
        sdrs_state_close(out);
        return rc_context(err, "make the rules of the configuration");
    }
    return RC_OK;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}

/* A URI that is too long for a lock's name is told from others like it by a hash. */
enum rc_code sdrs_bucket_lock(struct rc_job *job, const char *bucket, int64_t wait_ms,
                              struct rc_lock **out, struct rc_error *err)
{
    RC_STR_AUTO name = rc_strf("sdrs %s", bucket);

    if (strlen(name) > LOCK_NAME_BYTES) {
        char *cut = rc_strf("sdrs %016" PRIx64 " %.160s", hash_of(bucket), bucket);

        free(name);
        name = cut;
    }
    return rc_lock_acquire(job, name, wait_ms, out, err);
}

char *sdrs_execution_lock(const char *id)
{
    return rc_strf("sdrs execution %s", id);
}

enum rc_code sdrs_source_check(struct rc_job *job, const char *bucket, struct rc_error *err)
{
    if (sdrs_bucket_check(job, bucket, "correct the rule, or delete it", err) == RC_NOT_FOUND)
        return err->code;
    return rc_job_check(job, err);
}
