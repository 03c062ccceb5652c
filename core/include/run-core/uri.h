/*
 * Storage URIs: file:///path/to/key, s3://bucket/key, gs://bucket/key. Keys are
 * plain bytes, not percent-encoded, as in the tools of the object stores.
 */
#ifndef RUN_CORE_URI_H
#define RUN_CORE_URI_H

#include <run-core/buf.h>

RC_BEGIN_DECLS

/* Borrowed slices of the text that was split. */
struct rc_uri {
    const char *scheme;
    size_t scheme_len;
    const char *bucket; /* empty for file */
    size_t bucket_len;
    const char *key; /* NUL-terminated, no leading slash, except that of an absolute file path */
};

/*
 * RC_INVALID: no scheme, an empty bucket where one is needed or one with a control character in
 * its name, or a "." or ".." segment in a file path. Keys may have any byte but NUL, as objects do:
 * who shows one escapes it. Any scheme is let through; the storage layer knows which exist.
 */
RC_MUST_CHECK enum rc_code rc_uri_split(const char *text, struct rc_uri *out, struct rc_error *err);

/* Whether 'text' begins with "scheme://". */
bool rc_uri_has_scheme(const char *text);

/*
 * Adds 'base' and 'path' joined by exactly one slash, however many either has at
 * the seam; runs of slashes in 'path' become one. A trailing slash of 'path' stays.
 */
void rc_uri_join(struct rc_buf *out, const char *base, const char *path);

/*
 * The URI for a path that stands beside a bucket option in a configuration. A path that is a URI is
 * taken as it is. With a bucket ("name", meaning s3://name, or a URI) the path is a
 * key in it; with NULL or an empty one the path is local and made absolute against 'directory'.
 */
void rc_uri_place(struct rc_buf *out, const char *bucket, const char *path, const char *directory);

RC_END_DECLS
#endif
