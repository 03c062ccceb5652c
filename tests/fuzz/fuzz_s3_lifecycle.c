/*
 * Lifecycle configurations of buckets. What is written beside the rules of others holds these as
 * they were, and ours as it was asked for.
 */
#include <storage/s3_bucket.h>

#include <run-core/str.h>

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CORE_S3_LIFECYCLE_AUTO(before);
    CORE_S3_LIFECYCLE_AUTO(after);
    RC_BUF_AUTO(given, 1 << 20);
    RC_BUF_AUTO(written, 1 << 21);
    struct rc_error err = RC_ERROR_INIT;

    if (size > 1 << 20)
        return 0;
    rc_buf_add(&given, data, size);
    if (core_s3_lifecycle_read(given.data, given.len, &before, &err)) {
        RC_ASSERT(err.code != RC_OK && err.cause[0] != '\0');
        return 0;
    }
    RC_ASSERT(before.expire_days >= 0);
    core_s3_lifecycle_write(&before, 14, &written);
    RC_ASSERT(!written.overflow);
    /* A rule may use a name space that only its own document declares. */
    if (core_s3_lifecycle_read(written.data, written.len, &after, &err))
        return 0;
    RC_ASSERT(core_s3_lifecycle_has(&after, 14));
    RC_ASSERT(after.expire_days > 0 && after.expire_days <= 14);
    RC_ASSERT(after.others_are_old == before.others_are_old);
    RC_ASSERT(after.others.len == before.others.len &&
              memcmp(after.others.data, before.others.data, after.others.len) == 0);
    return 0;
}
