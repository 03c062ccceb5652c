/*
 * Manifests: which objects a job of the mover 'direct' has moved, so that 'restore' can bring back
 * exactly those.
 *
 * A manifest is written before what it lists is moved: objects ".run-core/sdrs/BATCH/JOB/NNNNNN" in
 * the shadow bucket, one JSON object {"key":…,"size":…,"etag":…} a line. So after a kill it may
 * list objects that were not moved; those that were are all in it.
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

/* Calls 'found' with each object of a job of a batch (0: of all its jobs), as it was moved. */
RC_MUST_CHECK enum rc_code sdrs_manifest_read(
    struct rc_job *job, const char *shadow, const char *batch, int64_t record,
    enum rc_code (*found)(void *context, const char *key, int64_t size_bytes, struct rc_error *err),
    void *context, struct rc_error *err);

#endif
