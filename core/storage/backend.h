/*
 * What a storage backend implements. Mandatory members are never NULL; an optional one
 * that is NULL has the default that its comment names, in storage.c.
 */
#ifndef CORE_STORAGE_BACKEND_H
#define CORE_STORAGE_BACKEND_H

#include <base/cancel.h>
#include <config/config.h>

#include <run-core/storage.h>
#include <run-core/uri.h>

/* A place in a store, after the mapping of buckets. All of it is borrowed for the call. */
struct core_place_in_store {
    const struct core_store_settings *settings; /* NULL: none are configured for it */
    const char *uri;                            /* as the backend knows it */
    const char *bucket;                         /* NUL-terminated, empty for file */
    const char *key;
    size_t root_len; /* bytes of 'key' put in front by a mapping, with the slash; 0: none */
    const struct core_cancel *cancel;
};

/* Every backend's handles begin with these. */
struct rc_listing {
    const struct core_listing_ops *ops;
};
struct rc_reader {
    const struct core_reader_ops *ops;
};
struct rc_writer {
    const struct core_writer_ops *ops;
};

struct core_listing_ops {
    /* object->uri is NULL here: storage.c writes it from the name, as the caller sees it. */
    enum rc_code (*next)(struct rc_listing *, const struct rc_object **, struct rc_error *);
    void (*close)(struct rc_listing *);
};
struct core_reader_ops {
    enum rc_code (*read)(struct rc_reader *, void *, size_t, size_t *, struct rc_error *);
    void (*close)(struct rc_reader *);
};
struct core_writer_ops {
    enum rc_code (*write)(struct rc_writer *, const void *, size_t, struct rc_error *);
    enum rc_code (*commit)(struct rc_writer *, struct rc_error *);
    void (*close)(struct rc_writer *);
};

enum core_storage_capability {
    CORE_STORAGE_CONDITIONAL_PUT = 1u << 0,
    CORE_STORAGE_LOCAL = 1u << 1, /* a key is a path on this machine */
};

struct core_storage_ops {
    const char *scheme;
    unsigned capabilities;

    enum rc_code (*list)(const struct core_place_in_store *prefix,
                         const struct rc_list_options *options, struct rc_listing **out,
                         struct rc_error *err);
    enum rc_code (*stat)(const struct core_place_in_store *place, struct rc_stat *out,
                         struct rc_error *err);
    enum rc_code (*open)(const struct core_place_in_store *place, int64_t offset_bytes,
                         int64_t len_bytes, struct rc_reader **out, struct rc_error *err);
    enum rc_code (*create)(const struct core_place_in_store *place, const char *if_match,
                           struct rc_writer **out, struct rc_error *err);
    enum rc_code (*remove)(const struct core_place_in_store *places, size_t count,
                           struct rc_error *err);

    /* Optional: within this backend. Default: read and write. */
    enum rc_code (*copy)(const struct core_place_in_store *source,
                         const struct core_place_in_store *target, struct rc_error *err);
    /* Optional: in one step. Default: copy, then remove. */
    enum rc_code (*move)(const struct core_place_in_store *source,
                         const struct core_place_in_store *target, struct rc_error *err);
};

extern const struct core_storage_ops core_storage_file;

#endif
