/*
 * What a storage backend implements. Mandatory members are never NULL; an optional one
 * that is NULL has the default that its comment names, in storage.c.
 *
 * All functions may be called from many threads at once; a handle belongs to one at a time, but
 * for the parts of an upload, which many threads put.
 */
#ifndef CORE_STORAGE_BACKEND_H
#define CORE_STORAGE_BACKEND_H

#include <base/arena.h>
#include <base/cancel.h>
#include <config/config.h>
#include <http/client.h>

#include <run-core/bucket.h>
#include <run-core/storage.h>
#include <run-core/uri.h>

struct core_remote;

/* A place in a store, after the mapping of buckets. All of it is borrowed for the call. */
struct core_place_in_store {
    const struct core_store_settings *settings; /* NULL: none are configured for it */
    struct core_remote *remote;                 /* NULL where the scheme needs none */
    const char *uri;                            /* as the backend knows it */
    const char *bucket;                         /* NUL-terminated, empty for file */
    const char *key;
    const char *version; /* one version of a versioned object; NULL: the current one */
    /* Of a removal: only while it has this entity tag, else RC_CONFLICT. Where the store cannot
       compare, it is looked at just before. NULL: regardless. */
    const char *remove_if_match;
    size_t root_len; /* bytes of 'key' put in front by a mapping, with the slash; 0: none */
    const struct core_cancel *cancel;
    bool is_temporary; /* what is written there may be lost with the machine */
};

/* ---- what is known of an object -------------------------------------------------------------- */

/* What a listing gives. 'object.uri' is NULL: storage.c writes it from the name. */
struct core_listed {
    struct rc_object object;
    const char *storage_class; /* NULL: not said */
    const char *version;       /* of a listing of versions, else NULL */
    bool is_latest, is_delete_marker;
};

/* All that a store says of one object; owns its texts. */
struct core_object_detail {
    struct core_arena arena;
    struct rc_attributes attributes;
    const char *version;  /* NULL: not versioned */
    const char *md5_hex;  /* of the content, where the store is sure of it; or NULL */
    const char *crc32c;   /* base64, big-endian, likewise */
    const char *checksum; /* as the store calls it, for people: "SHA256=..."; or NULL */
    const char *encryption, *encryption_key, *bucket_key; /* in the store's words; or NULL */
    struct rc_map others; /* what else a new object can take over, by the backend's own names */
    bool has_tags;        /* has tags that were not fetched */
};

#define CORE_OBJECT_DETAIL_INIT                                                                    \
    {                                                                                              \
        .arena = CORE_ARENA_INIT                                                                   \
    }
#define CORE_OBJECT_DETAIL_AUTO(name)                                                              \
    RC_CLEANUP(core_object_detail_clear)                                                           \
    struct core_object_detail name = CORE_OBJECT_DETAIL_INIT

void core_object_detail_clear(struct core_object_detail *detail);

/* Attributes whose texts are in the arena, for who needs them longer than the call. */
struct rc_attributes core_attributes_copy(struct core_arena *arena,
                                          const struct rc_attributes *from);

/* ---- handles --------------------------------------------------------------------------------- */

/* Every backend's handles begin with these. */
struct rc_listing {
    const struct core_listing_ops *ops;
};
struct rc_reader {
    const struct core_reader_ops *ops;
    struct rc_stat stat; /* of the whole object that is read */
};
struct rc_writer {
    const struct core_writer_ops *ops;
    struct rc_stat stat; /* of the object, once it is committed; an empty etag: not said */
};

/*
 * An object that is written in parts, of 'part_bytes' each but the last, in any order and by many
 * threads. Without a commit nothing of it remains, unless it is left to be gone on with.
 */
struct core_parts {
    const struct core_parts_ops *ops;
    int64_t part_bytes;
    bool takes_any_size; /* of parts: 'part_bytes' is only advice */
    const char *id;      /* by which it can be gone on with after leave(); NULL: it cannot */
    struct rc_stat stat; /* once it is committed */
};

/* One that was left, by this process or another. */
struct core_left_parts {
    const char *id; /* NULL: it may have been begun, or not */
    int64_t part_bytes;
    int64_t begun_unix_ms; /* not before then */
};

struct core_listing_ops {
    enum rc_code (*next)(struct rc_listing *, const struct core_listed **, struct rc_error *);
    void (*close)(struct rc_listing *);
};
struct core_reader_ops {
    enum rc_code (*read)(struct rc_reader *, void *, size_t, size_t *, struct rc_error *);
    void (*close)(struct rc_reader *);
    /* Optional: what the answer said of the whole object. NULL: stat() has to be asked. */
    enum rc_code (*detail)(struct rc_reader *, struct core_object_detail *, struct rc_error *);
};
struct core_writer_ops {
    enum rc_code (*write)(struct rc_writer *, const void *, size_t, struct rc_error *);
    enum rc_code (*commit)(struct rc_writer *, struct rc_error *);
    void (*close)(struct rc_writer *);
};
struct core_parts_ops {
    /* The part at 'offset_bytes', a multiple of part_bytes; again replaces it. */
    enum rc_code (*put)(struct core_parts *, int64_t offset_bytes,
                        const struct core_http_content *content, struct rc_error *);
    /* Optional: the same from a range of an object in the same store; NULL: read and put. */
    enum rc_code (*copy)(struct core_parts *, int64_t offset_bytes,
                         const struct core_place_in_store *source, const char *source_if_match,
                         int64_t len_bytes, struct rc_error *);
    enum rc_code (*commit)(struct core_parts *, struct rc_error *);
    void (*close)(struct core_parts *);

    /* Those below are there where resume_parts() is. */

    /* Of parts that are gone on with: whether this one is there, and its MD5 by the store's word.
       False: it is not, or the store does not say. NULL: put() sends what is missing by itself. */
    bool (*has)(struct core_parts *, int64_t offset_bytes, int64_t len_bytes,
                unsigned char md5[16]);
    /* Instead of close(): what was put stays, for resume_parts(). */
    void (*leave)(struct core_parts *);
};

/* ---- operations ------------------------------------------------------------------------------ */

enum core_storage_capability {
    CORE_STORAGE_CONDITIONAL_PUT = 1u << 0,
    CORE_STORAGE_LOCAL = 1u << 1,         /* a key is a path on this machine */
    CORE_STORAGE_ORDERED_PARTS = 1u << 2, /* are put one after the other, from the first on */
    CORE_STORAGE_VERSIONS = 1u << 3,      /* may keep what an object was before */
};

struct core_list_options {
    struct rc_list_options plain;
    bool versions;  /* every version, the newest of a key first; RC_UNSUPPORTED where there are none
                    */
    size_t at_most; /* more will not be asked for, though there may be some; 0: all may be */

    const struct core_left_out *left_out; /* who is told of what is no object; NULL: nobody */
};

struct core_range {
    int64_t offset_bytes;
    int64_t len_bytes;    /* -1: to the end */
    const char *if_match; /* RC_CONFLICT: it has another entity tag; NULL: regardless */
};

struct core_copy_options {
    const char *source_if_match;            /* RC_CONFLICT; NULL: regardless */
    const char *if_match;                   /* of the target, as rc_storage_put() */
    const struct rc_attributes *attributes; /* NULL: those of the source */
    int64_t size_bytes;                     /* of the source; -1: unknown */
};

/* Of a removal: tells each place that stays, by its index, and goes on. From the calling thread. */
struct core_remove_report {
    void (*failed)(void *context, size_t index, const struct rc_error *err);
    void *context;
};

/* Which unfinished uploads are given up. */
struct core_sweep {
    int64_t from_unix_ms;   /* begun then or later; 0: whenever */
    int64_t before_unix_ms; /* begun before then */
    bool is_exact;          /* those to the place itself, not to all that begins like it */
    bool only_looks;        /* nothing is given up, only told and counted */
    /* Of each, its name behind the prefix. May be NULL. */
    void (*tell)(void *context, const char *name, int64_t begun_unix_ms);
    void *context;
};

struct core_storage_ops {
    const char *scheme;
    unsigned capabilities;

    enum rc_code (*list)(const struct core_place_in_store *prefix,
                         const struct core_list_options *options, struct rc_listing **out,
                         struct rc_error *err);
    /* 'detail' may be NULL, which may be cheaper. */
    enum rc_code (*stat)(const struct core_place_in_store *place, struct rc_stat *out,
                         struct core_object_detail *detail, struct rc_error *err);
    enum rc_code (*open)(const struct core_place_in_store *place, const struct core_range *range,
                         struct rc_reader **out, struct rc_error *err);
    enum rc_code (*create)(const struct core_place_in_store *place,
                           const struct rc_put_options *options, struct rc_writer **out,
                           struct rc_error *err);
    /* 'report' may be NULL: the first failure is the error. */
    enum rc_code (*remove)(const struct core_place_in_store *places, size_t count,
                           const struct core_remove_report *report, struct rc_error *err);

    /* Optional: all at once. Default: create, write, commit. 'written' may be NULL. */
    enum rc_code (*put)(const struct core_place_in_store *place, const void *data, size_t len,
                        const struct rc_put_options *options, struct rc_stat *written,
                        struct rc_error *err);
    /* Optional: in parts. The options give the size. Default: one stream. */
    enum rc_code (*begin_parts)(const struct core_place_in_store *place,
                                const struct rc_put_options *options, struct core_parts **out,
                                struct rc_error *err);
    /*
     * Optional: goes on with parts that were left, for the same place and options. RC_NOT_FOUND:
     * they are not there any more. Default: parts cannot be left.
     */
    enum rc_code (*resume_parts)(const struct core_place_in_store *place,
                                 const struct rc_put_options *options,
                                 const struct core_left_parts *left, struct core_parts **out,
                                 struct rc_error *err);
    /*
     * Where resume_parts() is: gives up parts that were left for exactly this place; without an id
     * whatever was begun there since, and never ended. None is RC_OK.
     */
    enum rc_code (*give_up_parts)(const struct core_place_in_store *place,
                                  const struct core_left_parts *left, struct rc_error *err);
    /*
     * Optional: whether copy() can reach both, as when they lie behind one endpoint with the same
     * credentials. Default: yes.
     */
    bool (*is_same_store)(const struct core_place_in_store *source,
                          const struct core_place_in_store *target);
    /* Optional: whether a bucket's name means the same in both, whoever asks. Default: yes. */
    bool (*is_same_server)(const struct core_place_in_store *source,
                           const struct core_place_in_store *target);
    /* Optional: within this backend. Default: read and write. 'written' may be NULL. */
    enum rc_code (*copy)(const struct core_place_in_store *source,
                         const struct core_place_in_store *target,
                         const struct core_copy_options *options, struct rc_stat *written,
                         struct rc_error *err);
    /*
     * Optional: in one step. Of the options it goes by the conditions, that of the target being
     * RC_IF_ABSENT or NULL. Default: copy, then remove.
     */
    enum rc_code (*move)(const struct core_place_in_store *source,
                         const struct core_place_in_store *target,
                         const struct core_copy_options *options, struct rc_error *err);
    /* Optional: gives up uploads below the prefix that nobody has finished. Default: none are. */
    enum rc_code (*sweep)(const struct core_place_in_store *prefix, const struct core_sweep *sweep,
                          int64_t *swept, struct rc_error *err);
    /* Optional: fetches the tags of an object that 'has_tags'. Default: there are none. */
    enum rc_code (*tags)(const struct core_place_in_store *place, struct core_object_detail *detail,
                         struct rc_error *err);

    /*
     * Optional: of the bucket as a whole, as <run-core/bucket.h> has it; of the place's key a
     * backend reads what a mapping put in front, or a folder. Default: RC_UNSUPPORTED.
     */
    enum rc_code (*look_bucket)(const struct core_place_in_store *place, struct rc_bucket *out,
                                struct rc_error *err);
    enum rc_code (*create_bucket)(const struct core_place_in_store *place, struct rc_error *err);
    enum rc_code (*remove_bucket)(const struct core_place_in_store *place, struct rc_error *err);
    enum rc_code (*encrypt_bucket)(const struct core_place_in_store *place, struct rc_error *err);
    enum rc_code (*expire_bucket)(const struct core_place_in_store *place, int64_t days,
                                  struct rc_error *err);
};

/*
 * Notes that a store did not answer a question about a bucket, but said 'code', by a status of HTTP
 * and a word of its own; 0 and empty: none.
 */
void core_bucket_note(char note[RC_BUCKET_TEXT], enum rc_code code, unsigned status,
                      const char *word);

extern const struct core_storage_ops core_storage_file;
extern const struct core_storage_ops core_storage_s3;
extern const struct core_storage_ops core_storage_gcs;

#endif
