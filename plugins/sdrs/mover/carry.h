/*
 * Carries objects from one bucket to another, each under the key that it has: to the shadow and
 * back. An object is in the first, in the second, or for a while in both, but never in neither.
 *
 * The caller gives a list; the host's transfer copies, verifies and removes. What the transfer
 * leaves since something is there already, or since the object is gone, is looked at here.
 */
#ifndef SDRS_CARRY_H
#define SDRS_CARRY_H

#include <run-core/plugin.h>

/* Borrowed until the next is asked for. */
struct sdrs_carry_item {
    const char *key;
    int64_t size_bytes;
    const char *etag; /* another one stays, as a failure; NULL: whatever is there */
};

struct sdrs_carry {
    struct rc_job *job;
    const char *batch;     /* that lines of the log are of */
    struct rc_lock *lock;  /* of the bucket: once it is lost, nothing more is carried; or NULL */
    const char *from, *to; /* as of sdrs_bucket_uri() */
    bool replaces;         /* another object of the same key in 'to' */
    unsigned width;        /* 0: left to the host */

    enum rc_code (*next)(void *context, struct sdrs_carry_item *item, bool *more,
                         struct rc_error *err);
    /* May be NULL: how many so far. In one thread at a time, which may be any. */
    void (*progress)(void *context, int64_t objects);
    void *context;
};

struct sdrs_carried {
    int64_t objects, bytes; /* that are no longer in 'from', but in 'to' */
    int64_t there;          /* were so before, by an earlier run */
    int64_t missing;        /* in neither */
    int64_t failed;         /* that stayed in 'from' */
    struct rc_error first;  /* failure */
};

/* RC_NOT_FOUND: there is no such bucket; 'otherwise' says what to do about it. */
RC_MUST_CHECK enum rc_code sdrs_bucket_check(struct rc_job *job, const char *bucket,
                                             const char *otherwise, struct rc_error *err);

/*
 * RC_OK: the list came to its end, with what 'out' says. An error is of the list, a cancellation,
 * or that the target takes nothing any more; 'out' says what was carried until then.
 */
RC_MUST_CHECK enum rc_code sdrs_carry_run(const struct sdrs_carry *carry, struct sdrs_carried *out,
                                          struct rc_error *err);

#endif
