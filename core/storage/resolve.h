/*
 * From the URI that a plugin names to a backend and a place in it, through the named stores.
 */
#ifndef CORE_STORAGE_RESOLVE_H
#define CORE_STORAGE_RESOLVE_H

#include <storage/backend.h>

struct core_storage {
    const struct core_store_settings *stores;
    size_t store_count;
    struct core_remote *remote;
    const struct core_cancel *cancel;
    const struct core_left_out *left_out; /* to whom a transfer tells; or NULL */
    bool is_temporary; /* what is written may be lost with the machine: files are not flushed */
};

/* A place that owns its texts. */
struct core_resolved {
    const struct core_storage_ops *ops;
    struct core_place_in_store place;
    char *uri;
    char *bucket;
};

#define CORE_RESOLVED_INIT                                                                         \
    {                                                                                              \
        .ops = NULL                                                                                \
    }
#define CORE_RESOLVED_AUTO(name)                                                                   \
    RC_CLEANUP(core_resolved_clear) struct core_resolved name = CORE_RESOLVED_INIT

/*
 * Of store://NAME/KEY the name is that of a store, configured or defined; one without a URL is then
 * its bucket, at Google if the settings are Google's, else by S3. RC_INVALID: no such store.
 *
 * A bucket that is mapped may lie in another mapped bucket, once; a longer way is RC_INVALID, as
 * is a key with a "." or ".." segment in a mapped bucket. RC_UNSUPPORTED: no backend for the
 * scheme.
 */
RC_MUST_CHECK enum rc_code core_resolve(const struct core_storage *storage, const char *uri,
                                        struct core_resolved *out, struct rc_error *err);
void core_resolved_clear(struct core_resolved *resolved);

/*
 * Where the URI leads, by the same rules, whether or not that can be reached from here: for those
 * who hand it on. *out is to be freed.
 */
RC_MUST_CHECK enum rc_code core_resolve_uri(const struct core_storage *storage, const char *uri,
                                            char **out, struct rc_error *err);

/* Whether there is a backend for the scheme. */
bool core_resolve_has_scheme(const struct rc_uri *uri);

/* ---- the defaults for what backends leave out, of storage.c ---------------------------------- */

/* Whether the backend's own copy() reaches both. */
bool core_place_is_same_store(const struct core_resolved *source,
                              const struct core_resolved *target);
/* Whether buckets of one name are one bucket, be it with other credentials. */
bool core_place_is_same_server(const struct core_resolved *source,
                               const struct core_resolved *target);
/*
 * The attributes of an object of which 'reader' (may be NULL) is reading; asks the store if the
 * reader does not know. There are none on this machine.
 */
RC_MUST_CHECK enum rc_code core_place_read_attributes(const struct core_resolved *source,
                                                      struct rc_reader *reader,
                                                      struct core_object_detail *detail,
                                                      struct rc_error *err);
/*
 * Makes of the attributes of an object those of its copy in another store: without its storage
 * class, which means nothing there, and with its tags, if both know such. Where the target does
 * not, 'has_tags' stays.
 */
RC_MUST_CHECK enum rc_code core_place_translate(const struct core_resolved *source,
                                                const struct core_resolved *target,
                                                struct core_object_detail *detail,
                                                struct rc_error *err);
/* 'written' may be NULL. */
RC_MUST_CHECK enum rc_code core_place_put(const struct core_resolved *at, const void *data,
                                          size_t len, const struct rc_put_options *options,
                                          struct rc_stat *written, struct rc_error *err);

#endif
