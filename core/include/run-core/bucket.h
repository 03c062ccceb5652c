/*
 * Buckets as a whole: whether they are there, encrypted, public, and how long they keep what lies
 * in them. For an object store that is its bucket, for file:// the folder.
 *
 * A bucket is named by any URI that leads into it; what stands behind its name is not looked at.
 * RC_UNSUPPORTED: the store has no such thing. Under --dry-run changes are logged and counted, not
 * made. Since 1.3.
 */
#ifndef RUN_CORE_BUCKET_H
#define RUN_CORE_BUCKET_H

#include <run-core/error.h>

#include <stdint.h>

struct rc_job;

/* What a store answered. UNKNOWN: it has no such question, or we may not ask it: see the note. */
enum rc_answer { RC_ANSWER_UNKNOWN, RC_ANSWER_NO, RC_ANSWER_YES };

enum { RC_BUCKET_TEXT = 160 };

struct rc_bucket {
    char name[RC_BUCKET_TEXT]; /* for people: "s3://reports", or the folder; cut if it is long */
    enum rc_answer exists;

    enum rc_answer encrypted; /* what is written without a word about it */
    char encryption[32];      /* "AES256", "aws:kms", ...; empty: not known */

    enum rc_answer expires; /* every object is removed after some days */
    int64_t expire_days;    /* the fewest days that hold for all objects; 0: not known, or never */

    enum rc_answer is_public; /* anybody may read or list something of it */

    /* Why an answer is UNKNOWN, or what makes it public; whole words for people, may be empty. */
    char encrypted_note[RC_BUCKET_TEXT], expires_note[RC_BUCKET_TEXT], public_note[RC_BUCKET_TEXT];
};

struct rc_bucket_api {
    enum rc_code (*look)(struct rc_job *job, const char *uri, struct rc_bucket *out,
                         struct rc_error *err);
    enum rc_code (*create)(struct rc_job *job, const char *uri, struct rc_error *err);
    enum rc_code (*encrypt)(struct rc_job *job, const char *uri, struct rc_error *err);
    enum rc_code (*expire)(struct rc_job *job, const char *uri, int64_t days, struct rc_error *err);
};

#endif
