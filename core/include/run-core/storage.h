/*
 * Storage: objects named by URIs, the same on a local directory and in a bucket.
 *
 * Readers see the old object or the new one, never a mixture, and what a call has reported as
 * written survives a crash of the machine. Under --dry-run every change is logged and counted,
 * not made. Keys are listed in the order of their bytes.
 *
 * RC_NOT_FOUND: no such object or bucket. RC_UNAVAILABLE, RC_TIMEOUT: the host has retried
 * already; of a write it is then not known whether it happened.
 */
#ifndef RUN_CORE_STORAGE_H
#define RUN_CORE_STORAGE_H

#include <run-core/buf.h>
#include <run-core/option.h>

#include <stddef.h>
#include <stdint.h>

struct rc_job;

enum { RC_ETAG_TEXT = 72 };

/* Instead of an entity tag: only if there is no such object. */
#define RC_IF_ABSENT ""

struct rc_stat {
    int64_t size_bytes;
    int64_t modified_unix_ms;
    char etag[RC_ETAG_TEXT]; /* changes whenever the content does; opaque */
};

struct rc_object {
    const char *uri;  /* as the plugin named the place, before any mapping of buckets */
    const char *name; /* the part of 'uri' behind the prefix that was listed */
    bool is_prefix;   /* several objects rolled up at the delimiter; 'stat' is then empty */
    struct rc_stat stat;
};

struct rc_list_options {
    bool shallow;            /* roll up at the next '/' behind the prefix */
    const char *start_after; /* names after this one only, relative to the prefix; or NULL */
};

/* What goes with an object beside its content. What is NULL or empty is not said. */
struct rc_attributes {
    const char *content_type, *content_encoding, *content_disposition, *content_language,
        *cache_control;
    const char *storage_class;
    struct rc_map metadata; /* keys in lower case */
    struct rc_map tags;
};

struct rc_put_options {
    size_t struct_bytes;                    /* sizeof(struct rc_put_options): it may grow */
    const char *if_match;                   /* as of rc_storage_put() */
    int64_t size_bytes;                     /* that will be written; -1: unknown */
    const struct rc_attributes *attributes; /* or NULL */

    /*
     * Since 1.4. The new object takes over what the one that 'if_match' names has beside its
     * content: in an object store all of struct rc_attributes and how it is encrypted; of a file
     * the mode, owner, group and extended attributes, as far as this process may set them, and
     * never so that somebody may read it who could not before. 'attributes' is NULL then.
     */
    bool keep_attributes;
};

/* Since 1.4. Which part of which object is read. */
struct rc_get_options {
    size_t struct_bytes; /* sizeof(struct rc_get_options): it may grow */
    int64_t offset_bytes;
    int64_t len_bytes;    /* -1: to the end */
    const char *if_match; /* only while it has that entity tag; NULL: whatever is there */
    const char *version;  /* of struct rc_version; NULL: the current one */
};

/* Since 1.4. Which object is removed. At most one of both is given. */
struct rc_remove_options {
    size_t struct_bytes;  /* sizeof(struct rc_remove_options): it may grow */
    const char *if_match; /* only while it has that entity tag; NULL: whatever is there */
    const char *version;  /* of struct rc_version, for ever; NULL: the current one */
};

/* Since 1.4. One of the contents that an object has, or had and a bucket has kept. */
struct rc_version {
    const char *uri, *name; /* as those of struct rc_object */
    const char *version;    /* by which the store names it; NULL: it names none, as of files */
    bool is_current;        /* what a read without a version finds, if it is not a removal */
    bool is_removal;        /* a mark that the object was removed; of 'stat' only the time is set */
    struct rc_stat stat;
};

/*
 * A store that the configuration does not name, such as one whose endpoint and keys stand in a
 * plugin's own options. Its objects are store://NAME/KEY. What is NULL is left to the vendor's own
 * search. The keys leave the process only as signatures.
 */
struct rc_store {
    size_t struct_bytes; /* sizeof(struct rc_store): it may grow */
    const char *name;    /* lower-case letters, digits and '-'; no other store of the run has it */
    const char *url;     /* where it lies: s3://BUCKET/FOLDER, gs://..., file:///... */
    const char *endpoint, *region;                                 /* of S3 */
    const char *access_key_id, *secret_access_key, *session_token; /* the first two together */
};

struct rc_listing;
struct rc_reader;
struct rc_writer;

struct rc_storage_api {
    enum rc_code (*list)(struct rc_job *job, const char *prefix,
                         const struct rc_list_options *options, struct rc_listing **out,
                         struct rc_error *err);
    enum rc_code (*list_next)(struct rc_listing *listing, const struct rc_object **object,
                              struct rc_error *err);
    void (*list_close)(struct rc_listing *listing);

    enum rc_code (*stat)(struct rc_job *job, const char *uri, struct rc_stat *out,
                         struct rc_error *err);
    enum rc_code (*get)(struct rc_job *job, const char *uri, struct rc_buf *body,
                        struct rc_error *err);

    enum rc_code (*open)(struct rc_job *job, const char *uri, int64_t offset_bytes,
                         int64_t len_bytes, struct rc_reader **out, struct rc_error *err);
    enum rc_code (*read)(struct rc_reader *reader, void *data, size_t capacity, size_t *len,
                         struct rc_error *err);
    void (*read_close)(struct rc_reader *reader);

    enum rc_code (*put)(struct rc_job *job, const char *uri, const void *data, size_t len,
                        const char *if_match, struct rc_error *err);

    enum rc_code (*create)(struct rc_job *job, const char *uri, const char *if_match,
                           struct rc_writer **out, struct rc_error *err);
    enum rc_code (*write)(struct rc_writer *writer, const void *data, size_t len,
                          struct rc_error *err);
    enum rc_code (*commit)(struct rc_writer *writer, struct rc_error *err);
    void (*write_close)(struct rc_writer *writer);

    enum rc_code (*copy)(struct rc_job *job, const char *source, const char *target,
                         struct rc_error *err);
    enum rc_code (*move)(struct rc_job *job, const char *source, const char *target,
                         struct rc_error *err);
    enum rc_code (*remove)(struct rc_job *job, const char *const *uris, size_t count,
                           struct rc_error *err);

    /* Since 1.2. */
    enum rc_code (*create_with)(struct rc_job *job, const char *uri,
                                const struct rc_put_options *options, struct rc_writer **out,
                                struct rc_error *err);

    /* Since 1.3. */
    enum rc_code (*define)(struct rc_job *job, const struct rc_store *store, struct rc_error *err);
    enum rc_code (*sweep)(struct rc_job *job, const char *prefix, int64_t begun_before_unix_ms,
                          int64_t *swept, struct rc_error *err);

    /* Since 1.4. */
    enum rc_code (*open_with)(struct rc_job *job, const char *uri,
                              const struct rc_get_options *options, struct rc_reader **out,
                              struct rc_error *err);
    enum rc_code (*remove_with)(struct rc_job *job, const char *uri,
                                const struct rc_remove_options *options, struct rc_error *err);
    enum rc_code (*copy_with)(struct rc_job *job, const char *source, const char *source_if_match,
                              const char *target, struct rc_error *err);
    enum rc_code (*versions)(struct rc_job *job, const char *prefix, struct rc_listing **out,
                             struct rc_error *err);
    enum rc_code (*version_next)(struct rc_listing *listing, const struct rc_version **version,
                                 struct rc_error *err);
    enum rc_code (*sweep_object)(struct rc_job *job, const char *uri, int64_t begun_from_unix_ms,
                                 int64_t begun_before_unix_ms, int64_t *swept,
                                 struct rc_error *err);
};

#endif
