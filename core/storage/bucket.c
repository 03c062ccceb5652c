/*
 * Buckets as a whole: resolves the URI and hands it to the backend of its scheme. What a bucket is,
 * and what can be known of it, is the backend's matter.
 */
#include <storage/resolve.h>
#include <storage/storage.h>

#include <stdio.h>

enum { DAYS_MAX = 36500 }; /* a hundred years, which every store takes */

void core_bucket_note(char note[RC_BUCKET_TEXT], enum rc_code code, unsigned status,
                      const char *word)
{
    const char *why = code == RC_DENIED        ? "we are not allowed to ask"
                      : code == RC_UNSUPPORTED ? "the server does not know the question"
                                               : "the server refuses to tell";

    if (status)
        (void)snprintf(note, RC_BUCKET_TEXT, "%s (HTTP %u%s%s)", why, status, *word ? " " : "",
                       word);
    else
        (void)snprintf(note, RC_BUCKET_TEXT, "%s", why);
}

static enum rc_code resolve(const struct core_storage *storage, const char *uri,
                            struct core_resolved *out, struct rc_error *err)
{
    if (core_cancel_check(storage->cancel, err))
        return err->code;
    return core_resolve(storage, uri, out, err);
}

static enum rc_code unsupported(const char *verb, const struct core_resolved *at,
                                struct rc_error *err)
{
    return rc_fail(err, RC_UNSUPPORTED, "%s the bucket of '%s': a store of '%s://' has no way to",
                   verb, at->uri, at->ops->scheme);
}

enum rc_code core_storage_bucket_look(struct core_storage *storage, const char *uri,
                                      struct rc_bucket *out, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    *out = (struct rc_bucket){ .exists = RC_ANSWER_UNKNOWN };
    if (resolve(storage, uri, &at, err))
        return err->code;
    return at.ops->look_bucket ? at.ops->look_bucket(&at.place, out, err)
                               : unsupported("look at", &at, err);
}

enum rc_code core_storage_bucket_create(struct core_storage *storage, const char *uri,
                                        struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    if (resolve(storage, uri, &at, err))
        return err->code;
    return at.ops->create_bucket ? at.ops->create_bucket(&at.place, err)
                                 : unsupported("create", &at, err);
}

/* What is done to a bucket because of one of its folders is done to all the others in it. */
static enum rc_code check_whole(const struct core_resolved *at, const char *uri,
                                struct rc_error *err)
{
    if (at->place.root_len == 0 || (at->ops->capabilities & CORE_STORAGE_LOCAL))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "'%s' is mapped to '%s', a folder of a bucket, and this is of whole buckets: "
                   "name the bucket itself",
                   uri, at->uri);
}

enum rc_code core_storage_bucket_remove(struct core_storage *storage, const char *uri,
                                        struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    if (resolve(storage, uri, &at, err))
        return err->code;
    if (!at.ops->remove_bucket)
        return unsupported("remove", &at, err);
    return check_whole(&at, uri, err) ? err->code : at.ops->remove_bucket(&at.place, err);
}

enum rc_code core_storage_bucket_encrypt(struct core_storage *storage, const char *uri,
                                         struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    if (resolve(storage, uri, &at, err))
        return err->code;
    return at.ops->encrypt_bucket ? at.ops->encrypt_bucket(&at.place, err)
                                  : unsupported("encrypt", &at, err);
}

enum rc_code core_storage_bucket_expire(struct core_storage *storage, const char *uri, int64_t days,
                                        struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    if (resolve(storage, uri, &at, err))
        return err->code;
    if (!at.ops->expire_bucket)
        return unsupported("let expire", &at, err);
    if (days < 1 || days > DAYS_MAX)
        return rc_fail(err, RC_INVALID, "objects expire after 1 to %d days, not after %lld",
                       DAYS_MAX, (long long)days);
    if (check_whole(&at, uri, err))
        return err->code;
    return at.ops->expire_bucket(&at.place, days, err);
}
