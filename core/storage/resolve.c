/*
 * Resolves URIs: finds the named store of a bucket, puts the store's URL in the bucket's
 * place, and picks the backend of the scheme that results. Touches no file and no network.
 */
#include <storage/resolve.h>

#include <base/nearest.h>
#include <storage/remote.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    URI_LIMIT = 64 * 1024,
    MAPPINGS = 2, /* the bucket named, and once more where its URL leads */
};

static const struct core_storage_ops *const backends[] = { &core_storage_file, &core_storage_s3,
                                                           &core_storage_gcs };

static bool has_scheme(const struct rc_uri *uri, const char *scheme)
{
    return strlen(scheme) == uri->scheme_len && memcmp(scheme, uri->scheme, uri->scheme_len) == 0;
}

/* With an HMAC key Google's buckets are reached as Amazon's are. */
static const struct core_storage_ops *find_backend(const struct rc_uri *uri,
                                                   const struct core_store_settings *settings)
{
    bool interoperable = settings && settings->access_key_id && has_scheme(uri, "gs");

    for (size_t i = 0; i < RC_ARRAY_LEN(backends); i++)
        if (interoperable ? rc_str_eq(backends[i]->scheme, "s3")
                          : has_scheme(uri, backends[i]->scheme))
            return backends[i];
    return NULL;
}

bool core_resolve_has_scheme(const struct rc_uri *uri)
{
    return find_backend(uri, /* settings = */ NULL) != NULL;
}

static bool is_bucket(const struct rc_uri *uri, const char *bucket)
{
    return bucket && strlen(bucket) == uri->bucket_len &&
           memcmp(bucket, uri->bucket, uri->bucket_len) == 0;
}

static bool names_store(const struct rc_uri *uri)
{
    return has_scheme(uri, "store");
}

static enum rc_code unknown_store(const struct core_storage *storage, const char *name,
                                  struct rc_error *err)
{
    const char **names = rc_calloc(storage->store_count + 1, sizeof(*names));
    const char *nearest;

    for (size_t i = 0; i < storage->store_count; i++)
        names[i] = storage->stores[i].name;
    nearest = core_nearest(name, names, storage->store_count);
    (void)rc_fail(err, RC_INVALID,
                  "'store://%s' names no store: there is no '%s' under "
                  "'storage:'%s%s%s",
                  name, name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                  nearest ? "'?" : "");
    free(names);
    return err->code;
}

/* The store of store://NAME: one that is configured, or one that was defined for this run. */
static enum rc_code find_named(const struct core_storage *storage, const struct rc_uri *uri,
                               const struct core_store_settings **out, struct rc_error *err)
{
    RC_STR_AUTO name = rc_strndup(uri->bucket, uri->bucket_len);

    for (size_t i = 0; i < storage->store_count; i++)
        if (rc_str_eq(storage->stores[i].name, name)) {
            *out = &storage->stores[i];
            return RC_OK;
        }
    *out = storage->remote ? core_remote_defined(storage->remote, name) : NULL;
    return *out ? RC_OK : unknown_store(storage, name, err);
}

/* Only object stores have buckets; a store may be reached under either of their schemes. */
static const struct core_store_settings *find_by_bucket(const struct core_storage *storage,
                                                        const struct rc_uri *uri)
{
    if (!has_scheme(uri, "s3") && !has_scheme(uri, "gs"))
        return NULL;
    for (size_t i = 0; i < storage->store_count; i++)
        if (is_bucket(uri, storage->stores[i].bucket))
            return &storage->stores[i];
    return NULL;
}

/* A mapping is a wall: no key may climb over it, whatever the backend makes of dots. */
static enum rc_code check_inside(const char *uri, const char *key, struct rc_error *err)
{
    for (const char *segment = key; *segment;) {
        size_t len = strcspn(segment, "/");

        if ((len == 1 && segment[0] == '.') || (len == 2 && memcmp(segment, "..", 2) == 0))
            return rc_fail(err, RC_INVALID,
                           "'%s' has a '.' or '..' segment, which must not lead out of its bucket",
                           uri);
        segment += len;
        if (*segment == '/')
            segment++;
    }
    return RC_OK;
}

/* How a store is reached that has no URL, but settings that only one of the vendors knows. */
static const char *scheme_of(const struct core_store_settings *store)
{
    bool is_google = store->service_account_file || store->access_token || store->user_project;

    return is_google ? "gs" : "s3";
}

/* Replaces *uri, which names the store or its bucket, by the place where the store has it. */
static enum rc_code map_bucket(const struct core_store_settings *store, const char *key, char **uri,
                               struct rc_error *err)
{
    RC_BUF_AUTO(mapped, URI_LIMIT);
    RC_STR_AUTO url =
        store->url ? rc_strdup(store->url) : rc_strf("%s://%s", scheme_of(store), store->bucket);
    size_t base = strlen(url);
    const char *authority = strstr(url, "://");
    size_t least = authority ? (size_t)(authority - url) + 3 : 0;

    while (base > least && url[base - 1] == '/')
        base--;
    rc_buf_add(&mapped, url, base);
    rc_buf_addc(&mapped, '/');
    rc_buf_adds(&mapped, key);
    if (rc_buf_check(&mapped, err))
        return rc_context(err, "URI '%.80s...'", *uri);

    free(*uri);
    *uri = rc_buf_take(&mapped);
    return RC_OK;
}

/* What was meant by a scheme as other tools write it, or in capitals; or NULL. */
static const char *scheme_meant(const struct rc_uri *parts)
{
    static const struct {
        const char *written, *meant;
    } near[] = {
        { "s3", "s3" }, { "s3a", "s3" }, { "s3n", "s3" }, { "gs", "gs" }, { "gcs", "gs" }
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(near); i++)
        if (strlen(near[i].written) == parts->scheme_len &&
            strncasecmp(near[i].written, parts->scheme, parts->scheme_len) == 0)
            return near[i].meant;
    return NULL;
}

static enum rc_code unsupported(const struct rc_uri *parts, const char *uri, struct rc_error *err)
{
    const char *meant = scheme_meant(parts);

    if (meant)
        return rc_fail(err, RC_UNSUPPORTED, "'%s': did you mean '%s%s'?", uri, meant,
                       uri + parts->scheme_len);
    if (has_scheme(parts, "http") || has_scheme(parts, "https"))
        return rc_fail(err, RC_UNSUPPORTED,
                       "'%s' is an address, not a place in a store; did you mean s3://BUCKET/KEY "
                       "(or gs://)? The server's address is 'endpoint' of the store",
                       uri);
    if (parts->bucket_len > 0)
        return rc_fail(err, RC_UNSUPPORTED,
                       "'%s': this run-core has no backend for '%.*s'; map the bucket '%.*s' to "
                       "another place under 'storage:' (bucket, url)",
                       uri, (int)parts->scheme_len, parts->scheme, (int)parts->bucket_len,
                       parts->bucket);
    return rc_fail(err, RC_UNSUPPORTED,
                   "'%s': this run-core has no backend for '%.*s'; local files are file:///...",
                   uri, (int)parts->scheme_len, parts->scheme);
}

/* Follows the mappings from 'uri' on. 'parts' are those of out->uri at the end. */
static enum rc_code follow(const struct core_storage *storage, const char *uri,
                           struct core_resolved *out, struct rc_uri *parts, struct rc_error *err)
{
    for (int steps = 0;; steps++) {
        const struct core_store_settings *store = NULL;

        if (rc_uri_split(out->uri, parts, err))
            return err->code;
        bool is_named = names_store(parts);
        if (is_named && find_named(storage, parts, &store, err))
            return err->code;
        if (!is_named)
            store = find_by_bucket(storage, parts);
        if (store)
            out->place.settings = store;
        if (!store || (!store->url && !is_named))
            return RC_OK;
        if (steps == MAPPINGS)
            return rc_fail(err, RC_INVALID,
                           "'%s' leads through more than %d mapped buckets, or round in a circle: "
                           "see 'url' of the store '%s' under 'storage:'",
                           uri, MAPPINGS, store->name);

        if (store->url && check_inside(uri, parts->key, err))
            return err->code;
        RC_STR_AUTO key = rc_strdup(parts->key);
        if (map_bucket(store, key, &out->uri, err))
            return err->code;

        /* A store that gives the URL of its own bucket says where it lies, and ends the way. */
        if (rc_uri_split(out->uri, parts, err))
            return rc_context(err, "'url' of the store '%s'", store->name);
        if (!names_store(parts) && is_bucket(parts, store->bucket))
            return RC_OK;
    }
}

enum rc_code core_resolve(const struct core_storage *storage, const char *uri,
                          struct core_resolved *out, struct rc_error *err)
{
    struct rc_uri named, parts;

    core_resolved_clear(out);
    if (rc_uri_split(uri, &named, err))
        return err->code;

    out->uri = rc_strdup(uri);
    if (follow(storage, uri, out, &parts, err))
        return err->code;
    out->ops = find_backend(&parts, out->place.settings);
    if (!out->ops)
        return unsupported(&parts, out->uri, err);
    if (!storage->remote && !(out->ops->capabilities & CORE_STORAGE_LOCAL))
        return rc_fail(
            err, RC_UNSUPPORTED,
            "'%s' lies in a remote store, and only this machine is reached here; map the "
            "bucket '%.*s' to another place under 'storage:' (bucket, url)",
            out->uri, (int)parts.bucket_len, parts.bucket);

    out->bucket = rc_strndup(parts.bucket, parts.bucket_len);
    out->place.uri = out->uri;
    out->place.bucket = out->bucket;
    out->place.key = parts.key;
    out->place.remote = storage->remote;
    out->place.cancel = storage->cancel;
    out->place.is_temporary = storage->is_temporary;
    out->place.root_len = strlen(parts.key) - strlen(named.key);
    return RC_OK;
}

enum rc_code core_resolve_uri(const struct core_storage *storage, const char *uri, char **out,
                              struct rc_error *err)
{
    CORE_RESOLVED_AUTO(resolved);
    struct rc_uri parts;

    resolved.uri = rc_strdup(uri);
    if (follow(storage, uri, &resolved, &parts, err))
        return err->code;
    *out = resolved.uri;
    resolved.uri = NULL;
    return RC_OK;
}

void core_resolved_clear(struct core_resolved *resolved)
{
    free(resolved->uri);
    free(resolved->bucket);
    *resolved = (struct core_resolved)CORE_RESOLVED_INIT;
}
