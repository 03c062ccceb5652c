/*
 * Manifests: which objects a job of the mover 'direct' has moved, so that 'restore' can bring back
 * exactly those, and 'purge' knows since when they lie in the shadow.
 *
 * A manifest is written before what it lists is moved: objects ".run-core/sdrs/BATCH/JOB/NNNNNN" in
 * the shadow bucket, one JSON object {"key":…,"size":…,"etag":…} a line, in the order of the keys.
 * So after a kill it may list objects that were not moved; those that were are all in it. A key
 * that is not UTF-8 stands as "key_url", percent-encoded; BATCH is percent-encoded, too.
 */
#ifndef SDRS_MANIFEST_H
#define SDRS_MANIFEST_H

#include <run-core/plugin.h>

#define SDRS_MANIFESTS ".run-core/sdrs/"

struct sdrs_manifest; /* being written */

RC_MUST_CHECK enum rc_code sdrs_manifest_new(struct rc_job *job, const char *shadow,
                                             const char *batch, int64_t record,
                                             struct sdrs_manifest **out, struct rc_error *err);
void sdrs_manifest_add(struct sdrs_manifest *manifest, const char *key, const struct rc_stat *stat);
/* All that was added is in the store when this returns. */
RC_MUST_CHECK enum rc_code sdrs_manifest_write(struct sdrs_manifest *manifest,
                                               struct rc_error *err);
void sdrs_manifest_free(struct sdrs_manifest *manifest);

/* Which manifests are read. What is NULL or 0 narrows nothing. */
struct sdrs_manifest_query {
    const char *batch;
    int64_t record;               /* with 'batch' */
    int64_t written_from_unix_ms; /* only parts that were written then or later */
};

struct sdrs_manifest_reader;

/* 'shadow' is borrowed. */
RC_MUST_CHECK enum rc_code sdrs_manifest_open(struct rc_job *job, const char *shadow,
                                              const struct sdrs_manifest_query *query,
                                              struct sdrs_manifest_reader **out,
                                              struct rc_error *err);
/*
 * The next object as it was moved, valid until the following call; '*key' is NULL behind the last.
 * RC_CORRUPT names the manifest and its line.
 */
RC_MUST_CHECK enum rc_code sdrs_manifest_next(struct sdrs_manifest_reader *reader, const char **key,
                                              int64_t *size_bytes, struct rc_error *err);
void sdrs_manifest_close(struct sdrs_manifest_reader *reader);

#endif
