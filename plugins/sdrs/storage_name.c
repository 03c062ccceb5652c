/*
 * Takes names apart and puts them together. Whether there is such a bucket is the store's
 * business.
 */
#include "storage_name.h"

#include <run-core/str.h>

#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_BYTES = 4096,
    DATASET_BYTES = 1023, /* with the slash behind it as much as a key may have */
};

static const char file_scheme[] = "file://";
enum { FILE_SCHEME_LEN = sizeof(file_scheme) - 1 };

/* ---- paths ---- */

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* Adds the segments of a path with one slash between each two; false: one is "." or "..". */
static bool add_segments(struct rc_buf *out, const char *path)
{
    while (*(path += strspn(path, "/"))) {
        size_t len = strcspn(path, "/");

        if (len <= 2 && strspn(path, ".") >= len)
            return false;
        if (out->len > 0)
            rc_buf_addc(out, '/');
        rc_buf_add(out, path, len);
        path += len;
    }
    return true;
}

/* What of 'path' is behind 'root'; NULL: nothing, or it is not below it. Both without slashes at
 * their ends. */
static const char *below(const char *path, const char *root)
{
    size_t len = strlen(root);

    if (len == 0)
        return path[0] ? path : NULL;
    return strncmp(path, root, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;
}

/* A root as "srv/lake". */
static enum rc_code read_root(const char *root, struct rc_buf *out, struct rc_error *err)
{
    rc_buf_reset(out);
    if (root[0] != '/' || has_control(root) || !add_segments(out, root) || out->overflow)
        return rc_fail(err, RC_INVALID,
                       "'file_roots' has '%s', which is no absolute path such as /srv/lake", root);
    return RC_OK;
}

enum rc_code sdrs_file_roots_check(const struct rc_strs *roots, struct rc_error *err)
{
    RC_BUF_AUTO(path, PATH_BYTES);
    RC_BUF_AUTO(other, PATH_BYTES);

    for (size_t i = 0; i < roots->len; i++) {
        if (read_root(roots->items[i], &path, err))
            return err->code;
        for (size_t k = 0; k < i; k++) {
            if (read_root(roots->items[k], &other, err))
                return err->code;
            if (rc_str_eq(path.data, other.data) || below(path.data, other.data) ||
                below(other.data, path.data))
                return rc_fail(err, RC_INVALID,
                               "'file_roots' has '%s' and '%s', one of which is in the other: "
                               "which folders are buckets could not be told",
                               roots->items[k], roots->items[i]);
        }
    }
    return RC_OK;
}

/*
 * Finds the root that a path such as "srv/lake/events/clicks" is below: *rest is what is behind
 * it, "" for the root itself, and 'root' gets it as a URI.
 */
static enum rc_code split_root(const char *field, const char *path, const struct rc_strs *roots,
                               const char **rest, struct rc_buf *root, struct rc_error *err)
{
    RC_BUF_AUTO(candidate, PATH_BYTES);

    for (size_t i = 0; roots && i < roots->len; i++) {
        if (read_root(roots->items[i], &candidate, err))
            return err->code;
        *rest = below(path, candidate.data);
        if (!*rest && rc_str_eq(path, candidate.data))
            *rest = "";
        if (*rest) {
            rc_buf_addf(root, "%s/%s%s", file_scheme, candidate.data, candidate.len > 0 ? "/" : "");
            return RC_OK;
        }
    }
    return rc_fail(err, RC_INVALID,
                   "%s has a path, /%s, that is below none of the directories in 'file_roots': "
                   "add the one whose folders are buckets",
                   field, path);
}

/* ---- names ---- */

static enum rc_code fail_bucket(const char *field, struct rc_error *err)
{
    return rc_fail(err, RC_INVALID, "%s must include a bucket name", field);
}

/* Adds the root as a URI and makes 'path' of the rest, "events/clicks". */
static enum rc_code read_name(const char *field, const char *text, const struct rc_strs *roots,
                              struct rc_buf *root, struct rc_buf *path, struct rc_error *err)
{
    bool is_file = rc_str_starts(text, file_scheme) && text[FILE_SCHEME_LEN] == '/';
    const char *rest = text + (is_file ? FILE_SCHEME_LEN : strlen("gs://"));

    if (!is_file && !rc_str_starts(text, "gs://") && !rc_str_starts(text, "s3://"))
        return rc_fail(err, RC_INVALID, "%s must start with 'gs://' or 's3://' or 'file:///'",
                       field);
    if (!is_file && (*rest == '\0' || *rest == '/'))
        return fail_bucket(field, err);
    if (has_control(rest))
        return rc_fail(err, RC_INVALID, "%s must not have control characters", field);
    if (!add_segments(path, rest))
        return rc_fail(err, RC_INVALID, "%s must not have '.' or '..' in its path", field);
    if (path->overflow)
        return rc_fail(err, RC_INVALID, "%s is longer than %d bytes", field, PATH_BYTES);
    if (!is_file) {
        rc_buf_add(root, text, strlen("gs://"));
        return RC_OK;
    }
    if (split_root(field, path->data, roots, &rest, root, err))
        return err->code;
    if (*rest == '\0')
        return fail_bucket(field, err);
    RC_STR_AUTO behind = rc_strdup(rest);
    rc_buf_reset(path);
    rc_buf_adds(path, behind);
    return RC_OK;
}

enum rc_code sdrs_place_parse(const char *field, const char *text, const struct rc_strs *file_roots,
                              struct sdrs_place *out, struct rc_error *err)
{
    RC_BUF_AUTO(root, PATH_BYTES + FILE_SCHEME_LEN);
    RC_BUF_AUTO(path, PATH_BYTES);
    size_t bucket_len;
    const char *dataset;

    *out = (struct sdrs_place){ .root = NULL };
    if (!text)
        return rc_fail(err, RC_INVALID, "%s must be provided", field);
    if (read_name(field, text, file_roots, &root, &path, err))
        return err->code;
    bucket_len = strcspn(path.data, "/");
    dataset = path.data + bucket_len + (path.data[bucket_len] == '/');
    if (strlen(dataset) > DATASET_BYTES)
        return rc_fail(err, RC_INVALID, "%s has more than %d bytes behind the bucket", field,
                       DATASET_BYTES);
    *out = (struct sdrs_place){
        .root = rc_strdup(root.data),
        .bucket = rc_strndup(path.data, bucket_len),
        .dataset = rc_strdup(dataset),
    };
    return RC_OK;
}

void sdrs_place_clear(struct sdrs_place *place)
{
    free(place->root);
    free(place->bucket);
    free(place->dataset);
    *place = (struct sdrs_place){ .root = NULL };
}

char *sdrs_place_name(const struct sdrs_place *place)
{
    return rc_strf("%s%s%s%s", place->root, place->bucket, place->dataset[0] ? "/" : "",
                   place->dataset);
}

char *sdrs_bucket_uri(const struct sdrs_place *place)
{
    return rc_strf("%s%s/", place->root, place->bucket);
}

char *sdrs_shadow_uri(const struct sdrs_place *place, const char *extension, bool before)
{
    return rc_strf("%s%s%s%s/", place->root, before ? extension : "", place->bucket,
                   before ? "" : extension);
}

char *sdrs_dataset_prefix(const struct sdrs_place *place)
{
    return rc_strf("%s%s", place->dataset, place->dataset[0] ? "/" : "");
}

bool sdrs_datasets_nest(const char *a, const char *b)
{
    return rc_str_eq(a, b) || a[0] == '\0' || b[0] == '\0' || below(a, b) || below(b, a);
}

/* ---- delete markers ---- */

/* The older system's default had a dot that fitted anything, and meant the dot. */
static const char *meant(const char *pattern)
{
    return rc_str_eq(pattern, ".delete_this_folder") ? "\\.delete_this_folder" : pattern;
}

static enum rc_code compile(const char *pattern, regex_t *out, struct rc_error *err)
{
    int failure = regcomp(out, meant(pattern), REG_EXTENDED);
    char why[256];

    if (!failure)
        return RC_OK;
    regerror(failure, out, why, sizeof(why));
    return rc_fail(err, RC_INVALID,
                   "'%s' is no POSIX extended regular expression of delete markers: %s", pattern,
                   why);
}

/* The match that begins first and is longest is all of 'text', if any is. */
static bool fits(const regex_t *regex, const char *text)
{
    regmatch_t match;

    return regexec(regex, text, 1, &match, 0) == 0 && match.rm_so == 0 &&
           (size_t)match.rm_eo == strlen(text);
}

enum rc_code sdrs_marker_pattern_check(const char *pattern, struct rc_error *err)
{
    regex_t regex;
    bool fits_nothing;

    if (compile(pattern, &regex, err))
        return err->code;
    fits_nothing = fits(&regex, "");
    regfree(&regex);
    if (fits_nothing)
        return rc_fail(err, RC_INVALID,
                       "'%s' would make a delete marker of an empty name: require something",
                       pattern);
    return RC_OK;
}

enum rc_code sdrs_marker_split(const char *target, const char *pattern,
                               const struct rc_strs *file_roots, struct sdrs_place *folder,
                               struct rc_error *err)
{
    const char *marker;
    char *slash;
    regex_t regex;
    bool is_marker;

    if (sdrs_place_parse("target", target, file_roots, folder, err))
        return err->code;
    marker = strrchr(target, '/') + 1;
    if (compile(pattern, &regex, err)) {
        sdrs_place_clear(folder);
        return err->code;
    }
    is_marker = *marker != '\0' && fits(&regex, marker);
    regfree(&regex);
    slash = strrchr(folder->dataset, '/');
    if (is_marker && slash) {
        *slash = '\0';
        return RC_OK;
    }
    sdrs_place_clear(folder);
    if (!is_marker)
        return rc_fail(err, RC_INVALID,
                       "The target %s does not have a valid delete marker. The delete marker "
                       "needs to match the pattern %s",
                       target, pattern);
    return rc_fail(err, RC_INVALID,
                   "The target %s is intended to delete a bucket. Can not delete a bucket", target);
}
