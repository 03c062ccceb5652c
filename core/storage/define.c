/*
 * Stores that a plugin defines: checks what it says of one and hands it to what the run's stores
 * share, where it outlives every handle. How such a store is found is of resolve.c.
 */
#include <storage/remote.h>
#include <storage/resolve.h>
#include <storage/storage.h>

#include <config/secrets.h>

#include <run-core/str.h>

#include <string.h>

enum { NAME_MOST = 63 };

static enum rc_code check_name(const struct core_storage *storage, const char *name,
                               struct rc_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t len = name ? strlen(name) : 0;

    if (len == 0 || len > NAME_MOST || strspn(name, allowed) != len)
        return rc_fail(err, RC_INVALID,
                       "the name of a store has 1 to %d lower-case letters, digits and '-', not "
                       "'%.80s'",
                       NAME_MOST, name ? name : "");
    for (size_t i = 0; i < storage->store_count; i++)
        if (rc_str_eq(storage->stores[i].name, name))
            return rc_fail(err, RC_CONFLICT, "the configuration has a store '%s' under 'storage:'",
                           name);
    return RC_OK;
}

static enum rc_code check_endpoint(const char *endpoint, struct rc_error *err)
{
    if (!endpoint || rc_str_starts(endpoint, "https://") || rc_str_starts(endpoint, "http://"))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "the endpoint '%s' is no URL that begins with https:// or http://", endpoint);
}

/* Half a key would be completed by what somebody else's search comes upon. */
static enum rc_code check_keys(const struct rc_store *store, struct rc_error *err)
{
    if (store->access_key_id && !store->secret_access_key)
        return rc_fail(err, RC_INVALID, "there is an access_key_id, but no secret_access_key");
    if (!store->access_key_id && (store->secret_access_key || store->session_token))
        return rc_fail(err, RC_INVALID, "there is a %s, but no access_key_id",
                       store->secret_access_key ? "secret_access_key" : "session_token");
    return RC_OK;
}

/* Before anything else, so that not even the error that follows can show one. */
static void hide(const struct rc_store *store)
{
    core_secret_add(store->secret_access_key);
    core_secret_add(store->session_token);
    core_secret_add_url(store->endpoint);
    core_secret_add_url(store->url);
}

enum rc_code core_storage_define(struct core_storage *storage, const struct rc_store *store,
                                 struct rc_error *err)
{
    struct core_store_settings settings = {
        .name = store->name,
        .url = store->url,
        .endpoint = store->endpoint,
        .region = store->region,
        .access_key_id = store->access_key_id,
        .secret_access_key = store->secret_access_key,
        .session_token = store->session_token,
    };
    struct rc_uri parts;

    hide(store);
    if (check_name(storage, store->name, err))
        return err->code;
    if (!store->url || rc_uri_split(store->url, &parts, err) ||
        check_endpoint(store->endpoint, err) || check_keys(store, err))
        return store->url ? rc_context(err, "store '%s'", store->name)
                          : rc_fail(err, RC_INVALID, "the store '%s' has no url", store->name);
    if (!core_resolve_has_scheme(&parts))
        return rc_fail(err, RC_INVALID, "store '%s': '%s' is no s3://, gs:// or file:// URL",
                       store->name, store->url);
    if (!storage->remote)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the store '%s' cannot be defined where only this machine is reached",
                       store->name);
    /* As one that is configured with the URL of its own bucket, which no other entry changes. */
    RC_STR_AUTO bucket = rc_strndup(parts.bucket, parts.bucket_len);
    settings.bucket = bucket;
    return core_remote_define(storage->remote, &settings, err);
}
