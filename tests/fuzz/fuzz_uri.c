/*
 * Storage URIs from the text to the place behind the mapping of buckets. Whatever the text, a key
 * in a mapped bucket stays below the bucket's root, and what was resolved can be taken apart
 * again.
 */
#include <storage/resolve.h>

#include <run-core/str.h>
#include <run-core/uri.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 20 };

static const struct core_store_settings stores[] = {
    { .name = "lake", .bucket = "lake", .url = "file:///data/lake" },
    { .name = "inner", .bucket = "inner", .url = "s3://lake/inner/" },
    { .name = "deep", .bucket = "deep", .url = "gs://inner" },
    { .name = "ping", .bucket = "ping", .url = "s3://pong" },
    { .name = "pong", .bucket = "pong", .url = "s3://ping" },
    { .name = "plain", .bucket = "plain" },
};

static bool climbs(const char *path)
{
    for (const char *at = path; (at = strstr(at, "/..")) != NULL; at += 3)
        if (at[3] == '/' || at[3] == '\0')
            return true;
    return false;
}

static void check_resolved(const char *text)
{
    const struct core_storage storage = { .stores = stores, .store_count = RC_ARRAY_LEN(stores) };
    CORE_RESOLVED_AUTO(at);
    struct rc_error err = RC_ERROR_INIT;

    if (core_resolve(&storage, text, &at, &err)) {
        RC_ASSERT(err.code != RC_OK && err.cause[0] != '\0');
        return;
    }
    RC_ASSERT(at.place.key[0] == '/');
    RC_ASSERT(!climbs(at.place.key));
    RC_ASSERT(at.place.root_len <= strlen(at.place.key));
    if (at.place.root_len > 0) {
        RC_ASSERT(rc_str_starts(at.place.key, "/data/lake/"));
        RC_ASSERT(at.place.key[at.place.root_len - 1] == '/');
    }
}

static void check_split(const char *text)
{
    struct rc_uri uri;
    struct rc_error err = RC_ERROR_INIT;

    if (rc_uri_split(text, &uri, &err))
        return;
    RC_ASSERT(rc_uri_has_scheme(text));
    RC_ASSERT(uri.scheme == text && uri.scheme_len > 0);
    RC_ASSERT(uri.key >= text && uri.key <= text + strlen(text));
    RC_ASSERT(uri.bucket + uri.bucket_len <= uri.key);
}

/*
 * Half of the text beside the other half, in all the ways in which a configuration combines them.
 */
static void check_combined(const char *text)
{
    size_t half = strlen(text) / 2;
    RC_STR_AUTO base = rc_strndup(text, half);
    RC_BUF_AUTO(joined, TEXT_LIMIT);
    RC_BUF_AUTO(placed, TEXT_LIMIT);
    RC_BUF_AUTO(local, TEXT_LIMIT);

    rc_uri_join(&joined, base, text + half);
    rc_uri_place(&placed, base, text + half, "/directory");
    rc_uri_place(&local, NULL, text + half, "/directory");
    RC_ASSERT(!joined.overflow && !placed.overflow && !local.overflow);
    RC_ASSERT(strlen(joined.data) == joined.len);
    RC_ASSERT(rc_uri_has_scheme(local.data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_STR_AUTO text = rc_malloc(size + 1);

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_split(text);
    check_resolved(text);
    check_combined(text);
    return 0;
}
