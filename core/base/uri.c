/*
 * Taking storage URIs apart and putting them together, as text. Which schemes exist and
 * where a bucket really lies is the storage layer's business.
 */
#include <run-core/uri.h>

#include <run-core/str.h>

#include <limits.h>
#include <string.h>

static const char separator[] = "://";
enum { SEPARATOR_LEN = sizeof(separator) - 1 };

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_scheme_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

/* The length of the scheme in front of "://", or 0. */
static size_t scheme_len(const char *text)
{
    size_t len = 0;

    if (!is_letter(text[0]))
        return 0;
    while (is_scheme_char(text[len]))
        len++;
    return rc_str_starts(text + len, separator) ? len : 0;
}

bool rc_uri_has_scheme(const char *text)
{
    return scheme_len(text) > 0;
}

/* The number of bytes in front of the first control character, or 'len' where there is none. */
static size_t plain_len(const char *text, size_t len)
{
    size_t plain = 0;

    while (plain < len && (unsigned char)text[plain] >= 0x20 && text[plain] != 0x7F)
        plain++;
    return plain;
}

/* Whether the 'len' bytes at 'segment' are "." or "..". */
static bool is_dots(const char *segment, size_t len)
{
    return (len == 1 || len == 2) && strspn(segment, ".") >= len;
}

static bool has_dot_segment(const char *path)
{
    while (*path != '\0') {
        size_t len = strcspn(path, "/");

        if (is_dots(path, len))
            return true;
        path += len;
        path += strspn(path, "/");
    }
    return false;
}

enum rc_code rc_uri_split(const char *text, struct rc_uri *out, struct rc_error *err)
{
    size_t len = scheme_len(text);

    if (len == 0)
        return rc_fail(err, RC_INVALID,
                       "'%s' is not a URI; write it as file:///path or s3://bucket/key", text);

    const char *rest = text + len + SEPARATOR_LEN;
    bool is_file = len == 4 && memcmp(text, "file", 4) == 0;
    size_t bucket_len = is_file ? 0 : strcspn(rest, "/");

    if (is_file && rest[0] != '/')
        return rc_fail(err, RC_INVALID,
                       "'%s' names no absolute path; write it with three slashes, file:///path",
                       text);
    if (is_file && has_dot_segment(rest))
        return rc_fail(err, RC_INVALID, "'%s' has a '.' or '..' in its path; write the path out",
                       text);
    size_t plain = plain_len(rest, bucket_len);
    if (plain < bucket_len)
        return rc_fail(err, RC_INVALID,
                       "the bucket that begins with '%.*s' has a control character behind that "
                       "(0x%02X), which no bucket's name may have",
                       plain < INT_MAX ? (int)plain : INT_MAX, rest, (unsigned)rest[plain]);
    if (!is_file && bucket_len == 0)
        return rc_fail(err, RC_INVALID, "'%s' names no bucket; write it as %.*s://bucket/key", text,
                       (int)len, text);

    const char *key = rest + bucket_len;
    *out = (struct rc_uri){
        .scheme = text,
        .scheme_len = len,
        .bucket = rest,
        .bucket_len = bucket_len,
        .key = !is_file && key[0] == '/' ? key + 1 : key,
    };
    return RC_OK;
}

/* Adds 'path' with runs of slashes made one. */
static void add_path(struct rc_buf *out, const char *path)
{
    while (*path != '\0') {
        size_t segment = strcspn(path, "/");
        size_t slashes = strspn(path + segment, "/");

        rc_buf_add(out, path, segment + (slashes > 0 ? 1 : 0));
        path += segment + slashes;
    }
}

void rc_uri_join(struct rc_buf *out, const char *base, const char *path)
{
    size_t scheme = scheme_len(base);
    size_t least = scheme > 0 ? scheme + SEPARATOR_LEN : 0; /* the slashes of "://" stay */
    size_t len = strlen(base);

    /* With nothing in front, a slash would turn a relative path into an absolute one. */
    if (len == 0) {
        add_path(out, path);
        return;
    }
    while (len > least && base[len - 1] == '/')
        len--;
    rc_buf_add(out, base, len);
    rc_buf_addc(out, '/');
    add_path(out, path + strspn(path, "/"));
}

/*
 * Adds the segments of 'path', each with a slash in front, and resolves "." and ".." by
 * text alone; nothing is taken back beyond 'floor', the root.
 */
static void add_resolved(struct rc_buf *out, const char *path, size_t floor)
{
    for (;;) {
        path += strspn(path, "/");
        if (*path == '\0')
            return;

        size_t len = strcspn(path, "/");
        if (!is_dots(path, len)) {
            rc_buf_addc(out, '/');
            rc_buf_add(out, path, len);
        } else if (len == 2) {
            size_t end = out->len;

            while (end > floor && out->data[end - 1] != '/')
                end--;
            if (end > floor)
                rc_buf_truncate(out, end - 1);
        }
        path += len;
    }
}

void rc_uri_place(struct rc_buf *out, const char *bucket, const char *path, const char *directory)
{
    if (rc_uri_has_scheme(path)) {
        rc_buf_adds(out, path);
    } else if (bucket && bucket[0] != '\0') {
        if (!rc_uri_has_scheme(bucket))
            rc_buf_adds(out, "s3://");
        rc_uri_join(out, bucket, path);
    } else {
        rc_buf_adds(out, "file://");
        size_t root = out->len;
        if (path[0] != '/')
            add_resolved(out, directory, root);
        add_resolved(out, path, root);
        if (out->len == root || rc_str_ends(path, "/"))
            rc_buf_addc(out, '/');
    }
}
