/*
 * The mover 'sts': a record's prefixes in parts, each in one transfer job.
 *
 * A record keeps its parts in 'transfers', a line "NAME SINCE FIRST COUNT PROJECT" each, and does
 * so before the service is asked for them: so whatever a killed process has asked for is found
 * again.
 */
#ifndef SDRS_MOVER_STS_H
#define SDRS_MOVER_STS_H

#include "../google/transfer.h"
#include "mover.h"

/* Text is owned. */
struct sts_part {
    char *name, *project; /* of the transfer job */
    /* From when on an operation of a job of the pool is one for this part, by the clock of the
       service. 0: the job was made for this part alone. */
    int64_t since_unix_ms;
    size_t first, count; /* of the record's prefixes */
};

struct sts_parts {
    struct sts_part *items;
    size_t count;
};
/* The last one, to be filled. */
struct sts_part *sts_parts_add(struct sts_parts *parts);
void sts_parts_clear(struct sts_parts *parts);
void sts_parts_write(const struct sts_parts *parts, struct rc_buf *out);
/* RC_CORRUPT: not what was written. */
RC_MUST_CHECK enum rc_code sts_parts_read(const char *text, struct sts_parts *out,
                                          struct rc_error *err);

/* A record on its way to the service. */
struct sts_work {
    struct rc_job *job;
    const struct sdrs_move *move;
    struct sdrs_google google;
    char *source, *sink; /* names of buckets */
    bool is_whole;       /* the one include is the whole bucket */
    struct sts_parts parts;
    size_t placed;     /* so many of the includes are in a part */
    bool state_failed; /* what went wrong is not the service's */
};

/* What is said of a part at the service. The caller frees it. */
char *sts_description(const struct sdrs_record *record);
/* The excludes that are within some includes; of the whole bucket all are. */
void sts_excludes_within(const struct sts_work *work, const struct sdrs_prefixes *includes,
                         struct sdrs_prefixes *out);
/* Keeps the parts in the record. */
RC_MUST_CHECK enum rc_code sts_keep(struct sts_work *work, struct rc_error *err);

/* ---- sts_pool.c ------------------------------------------------------------------------------ */

/*
 * Places as many of the includes as the bucket's pool has room for: in its next jobs. A bucket
 * without a pool has no room.
 */
RC_MUST_CHECK enum rc_code sts_use_pool(struct sts_work *work, struct rc_error *err);
/*
 * Takes out of a job of the pool what is held, merged, by now, if it has not run with it yet. The
 * part's own prefixes are left as they are in the record.
 */
RC_MUST_CHECK enum rc_code sts_hold_pool_job(struct rc_job *job, const struct sdrs_config *config,
                                             const struct sdrs_google *google,
                                             const struct sdrs_record *record,
                                             const struct sts_part *part,
                                             const struct sdrs_prefixes *held,
                                             struct rc_error *err);
/*
 * A job of the pool that has run since it was last changed runs no more, until it is used again: it
 * would move once more what somebody has restored. A failure is a warning.
 */
void sts_rest_pool_job(struct rc_job *job, const struct sdrs_google *google,
                       const struct sdrs_record *record, const struct sts_part *part);

#endif
