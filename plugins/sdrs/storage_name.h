/*
 * Names of data as rules have them: SCHEME://BUCKET/DATASET. Of file:// the bucket is the first
 * segment below one of the configured roots.
 *
 * Pure.
 */
#ifndef SDRS_STORAGE_NAME_H
#define SDRS_STORAGE_NAME_H

#include <run-core/buf.h>
#include <run-core/option.h>

/* Owned text. */
struct sdrs_place {
    char *root;    /* "gs://", "s3://" or "file:///srv/lake/" */
    char *bucket;  /* "events" */
    char *dataset; /* "clicks/daily", without slashes at its ends; "" is the whole bucket */
};

/*
 * RC_INVALID has the seed's words: "dataStorageName must start with 'gs://'", or one of the other
 * schemes, "dataStorageName must include a bucket name"; 'field' stands for dataStorageName. A
 * file:// name that is below none of the roots says what to configure. Runs of slashes count as
 * one; "." and ".." segments and control characters are refused.
 */
RC_MUST_CHECK enum rc_code sdrs_place_parse(const char *field, const char *text,
                                            const struct rc_strs *file_roots,
                                            struct sdrs_place *out, struct rc_error *err);
void sdrs_place_clear(struct sdrs_place *place);

/* RC_INVALID: one of 'file_roots' is no absolute path, or lies within another one. */
RC_MUST_CHECK enum rc_code sdrs_file_roots_check(const struct rc_strs *roots, struct rc_error *err);

/* "gs://events/clicks/daily"; the caller frees it. */
char *sdrs_place_name(const struct sdrs_place *place);
/* "gs://events/": what the keys of the bucket stand behind; the caller frees it. */
char *sdrs_bucket_uri(const struct sdrs_place *place);
/*
 * The same of the bucket's shadow, whose name has the extension before or behind it.
 */
char *sdrs_shadow_uri(const struct sdrs_place *place, const char *extension, bool before);
/* The key that everything of the dataset begins with: "clicks/daily/"; "" for the bucket. */
char *sdrs_dataset_prefix(const struct sdrs_place *place);

/* Whether one of two datasets of a bucket lies within the other, by whole segments, or is it. */
bool sdrs_datasets_nest(const char *a, const char *b);

/*
 * The delete marker that ends a target: '*folder' is the target without it, in which all is to go.
 * RC_INVALID in the seed's words: no valid marker, or the folder would be the bucket. The pattern
 * is a POSIX extended regular expression that the whole last segment has to match; the older
 * system's own, ".delete_this_folder", means its dot and not any character.
 */
RC_MUST_CHECK enum rc_code sdrs_marker_split(const char *target, const char *pattern,
                                             const struct rc_strs *file_roots,
                                             struct sdrs_place *folder, struct rc_error *err);
/* RC_INVALID: it is no such expression, or nothing at all would match it. */
RC_MUST_CHECK enum rc_code sdrs_marker_pattern_check(const char *pattern, struct rc_error *err);

#endif
