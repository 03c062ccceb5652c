/*
 * S3 buckets as a whole, as core_storage_ops has them, and the rules by which they remove objects.
 */
#ifndef CORE_STORAGE_S3_BUCKET_H
#define CORE_STORAGE_S3_BUCKET_H

#include <storage/s3.h>

RC_MUST_CHECK enum rc_code core_s3_look_bucket(const struct core_place_in_store *place,
                                               struct rc_bucket *out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_create_bucket(const struct core_place_in_store *place,
                                                 struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_remove_bucket(const struct core_place_in_store *place,
                                                 struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_encrypt_bucket(const struct core_place_in_store *place,
                                                  struct rc_error *err);
RC_MUST_CHECK enum rc_code core_s3_expire_bucket(const struct core_place_in_store *place,
                                                 int64_t days, struct rc_error *err);

/*
 * The region that a bucket is to be made in, as AWS wants to be told; the caller frees it. NULL:
 * the server makes it where it is. In s3_request.c.
 */
RC_MUST_CHECK enum rc_code core_s3_location(const struct core_place_in_store *place, char **out,
                                            struct rc_error *err);

/* ---- rules of expiry (s3_lifecycle.c): pure -------------------------------------------------- */

#define CORE_S3_EXPIRE_ID "run-core-expire" /* of the rule that is ours */

struct core_s3_rule {
    char id[256];
    bool is_enabled;
    bool is_partial;                           /* not for all objects */
    bool has_more;                             /* than is said here */
    bool is_old;                               /* has its prefix in the rule, not in a filter */
    int64_t days, noncurrent_days, abort_days; /* 0: not said */
};

/* The lifecycle configuration of a bucket. */
struct core_s3_lifecycle {
    struct rc_buf others;    /* their rules as they stood, one after the other */
    bool others_are_old;     /* in the form of which no other may stand beside them */
    struct core_s3_rule own; /* without an id: there is none */
    int64_t expire_days;     /* the fewest of those that hold for all objects; 0: never */
};

#define CORE_S3_LIFECYCLE_AUTO(name)                                                               \
    RC_CLEANUP(core_s3_lifecycle_clear)                                                            \
    struct core_s3_lifecycle name = { .others = RC_BUF_INIT(CORE_S3_REPLY_LIMIT) }
void core_s3_lifecycle_clear(struct core_s3_lifecycle *lifecycle);

/* RC_UNSUPPORTED: its rules could not be sent back as they are. RC_CORRUPT. */
RC_MUST_CHECK enum rc_code core_s3_lifecycle_read(const char *xml, size_t len,
                                                  struct core_s3_lifecycle *out,
                                                  struct rc_error *err);
/* Whether ours has every object removed, and every upload given up, after so many days. */
bool core_s3_lifecycle_has(const struct core_s3_lifecycle *lifecycle, int64_t days);
/* The configuration of the others' rules and ours with so many days. */
void core_s3_lifecycle_write(const struct core_s3_lifecycle *lifecycle, int64_t days,
                             struct rc_buf *xml);

#endif
