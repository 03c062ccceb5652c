/*
 * What the transfer service was asked for and has not done yet, as the state knows it. Who asks for
 * it again would have two jobs move the same objects; who restores it would have it moved again.
 */
#include "run.h"

#include <inttypes.h>

static enum rc_code list_pending(struct sdrs_state *state, const char *bucket,
                                 struct sdrs_records *out, struct rc_error *err)
{
    const struct sdrs_jobs_query query = { .bucket = bucket, .statuses = "pending" };

    return sdrs_jobs_list(state, &query, out, err);
}

enum rc_code sdrs_under_way(struct sdrs_state *state, const char *bucket, int64_t rule,
                            struct sdrs_prefixes *out, struct rc_error *err)
{
    RC_CLEANUP(sdrs_records_clear) struct sdrs_records pending = { 0 };

    if (list_pending(state, bucket, &pending, err))
        return err->code;
    for (size_t i = 0; i < pending.count; i++) {
        const struct sdrs_record *record = &pending.items[i];

        /* One that goes by the age of objects leaves some of a prefix. */
        if (record->modified_before_unix_ms == 0 || record->rule == rule)
            sdrs_prefixes_read(record->prefixes ? record->prefixes : "", out);
    }
    sdrs_prefixes_merge(out);
    return RC_OK;
}

/* The first of the includes of which the record moves something, or NULL. */
static const char *find_moved(const struct sdrs_record *record,
                              const struct sdrs_prefixes *includes)
{
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes moved = { 0 };
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes excluded = { 0 };

    sdrs_prefixes_read(record->prefixes ? record->prefixes : "", &moved);
    sdrs_prefixes_read(record->excludes ? record->excludes : "", &excluded);
    sdrs_prefixes_merge(&excluded);
    for (size_t i = 0; i < includes->count; i++) {
        const char *include = includes->items[i];

        if (sdrs_prefixes_cover(&excluded, include))
            continue;
        for (size_t k = 0; k < moved.count; k++)
            if (rc_str_starts(include, moved.items[k]) || rc_str_starts(moved.items[k], include))
                return include;
    }
    return NULL;
}

enum rc_code sdrs_under_way_check(struct sdrs_state *state, const char *bucket,
                                  const struct sdrs_prefixes *includes, struct rc_error *err)
{
    RC_CLEANUP(sdrs_records_clear) struct sdrs_records pending = { 0 };

    if (list_pending(state, bucket, &pending, err))
        return err->code;
    for (size_t i = 0; i < pending.count; i++) {
        const struct sdrs_record *record = &pending.items[i];
        const char *moved = find_moved(record, includes);

        if (moved)
            return rc_fail(err, RC_CONFLICT,
                           "the transfer service has not ended job %" PRId64 ", which moves what "
                           "is below '%s%s': it would move again what is brought back; wait until "
                           "'validate' finds it ended, or disable its transfer jobs and validate",
                           record->id, bucket, moved);
    }
    return RC_OK;
}
