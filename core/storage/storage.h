/*
 * Storage of one run: resolves URIs through the named stores and hands them to the backend of
 * their scheme. The semantics are those of <run-core/host.h>; dry run is not known here. All
 * functions are thread-safe; a handle belongs to one thread.
 *
 * A range is clipped to its object, so that one behind the end reads as empty. To move an object
 * onto itself does nothing. A condition of a writer is looked at when it commits.
 */
#ifndef CORE_STORAGE_STORAGE_H
#define CORE_STORAGE_STORAGE_H

#include <config/config.h>

#include <base/cancel.h>

#include <run-core/storage.h>
#include <run-core/uri.h>

struct core_remote;
struct core_storage;

/* What the functions below with more options take and give; see storage/backend.h. */
struct core_list_options;
struct core_listed;
struct core_range;
struct core_object_detail;
struct core_copy_options;
struct core_remove_report;
struct core_sweep;
struct core_google_credentials;
struct rc_bucket;

/*
 * The settings, 'remote' (NULL: only what lies on this machine is reached) and 'cancel' (may be
 * NULL) are borrowed and outlive the storage.
 */
struct core_storage *core_storage_new(const struct core_store_settings *stores, size_t store_count,
                                      struct core_remote *remote, const struct core_cancel *cancel);
void core_storage_free(struct core_storage *storage);

/*
 * Makes store://NAME/... lead to a store of the caller's, as <run-core/storage.h> says, for all
 * storages with the same 'remote', which there has to be.
 */
RC_MUST_CHECK enum rc_code core_storage_define(struct core_storage *storage,
                                               const struct rc_store *store, struct rc_error *err);

RC_MUST_CHECK enum rc_code core_storage_list(struct core_storage *storage, const char *prefix,
                                             const struct rc_list_options *options,
                                             struct rc_listing **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_listing_next(struct rc_listing *listing,
                                             const struct rc_object **object, struct rc_error *err);
void core_listing_close(struct rc_listing *listing);
/* Every version; of a store that keeps one content only, the objects. */
RC_MUST_CHECK enum rc_code core_storage_versions(struct core_storage *storage, const char *prefix,
                                                 struct rc_listing **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_listing_next_version(struct rc_listing *listing,
                                                     const struct rc_version **version,
                                                     struct rc_error *err);

/* What lies in a local folder and is no object. */
enum core_left_out_kind {
    CORE_LEFT_OUT_FOLDER_LINK,
    CORE_LEFT_OUT_DANGLING,
    CORE_LEFT_OUT_SPECIAL, /* a pipe, a socket, a device, or a link to one */
};

struct core_left_out {
    void (*tell)(void *context, const char *name, enum core_left_out_kind kind);
    void *context;
};

/* Transfers tell of each such thing in their source, in the calling thread. NULL: no more. */
void core_storage_tell_left_out(struct core_storage *storage, const struct core_left_out *left_out);

RC_MUST_CHECK enum rc_code core_storage_stat(struct core_storage *storage, const char *uri,
                                             struct rc_stat *out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_storage_get(struct core_storage *storage, const char *uri,
                                            struct rc_buf *body, struct rc_error *err);

RC_MUST_CHECK enum rc_code core_storage_open(struct core_storage *storage, const char *uri,
                                             int64_t offset_bytes, int64_t len_bytes,
                                             struct rc_reader **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_reader_read(struct rc_reader *reader, void *data, size_t capacity,
                                            size_t *len, struct rc_error *err);
void core_reader_close(struct rc_reader *reader);

RC_MUST_CHECK enum rc_code core_storage_put(struct core_storage *storage, const char *uri,
                                            const void *data, size_t len, const char *if_match,
                                            struct rc_error *err);

RC_MUST_CHECK enum rc_code core_storage_create(struct core_storage *storage, const char *uri,
                                               const char *if_match, struct rc_writer **out,
                                               struct rc_error *err);
RC_MUST_CHECK enum rc_code core_writer_write(struct rc_writer *writer, const void *data, size_t len,
                                             struct rc_error *err);
RC_MUST_CHECK enum rc_code core_writer_commit(struct rc_writer *writer, struct rc_error *err);
void core_writer_close(struct rc_writer *writer);

RC_MUST_CHECK enum rc_code core_storage_copy(struct core_storage *storage, const char *source,
                                             const char *target, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_storage_move(struct core_storage *storage, const char *source,
                                             const char *target, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_storage_remove(struct core_storage *storage,
                                               const char *const *uris, size_t count,
                                               struct rc_error *err);

/* ---- the same with all that a store can do --------------------------------------------------- */

/* 'version' names one of a versioned object; NULL: the current one. */
RC_MUST_CHECK enum rc_code core_storage_list_with(struct core_storage *storage, const char *prefix,
                                                  const struct core_list_options *options,
                                                  struct rc_listing **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_listing_next_listed(struct rc_listing *listing,
                                                    const struct core_listed **listed,
                                                    struct rc_error *err);
/* 'detail' may be NULL. */
RC_MUST_CHECK enum rc_code core_storage_stat_with(struct core_storage *storage, const char *uri,
                                                  const char *version, struct rc_stat *out,
                                                  struct core_object_detail *detail,
                                                  struct rc_error *err);
RC_MUST_CHECK enum rc_code core_storage_open_with(struct core_storage *storage, const char *uri,
                                                  const char *version,
                                                  const struct core_range *range,
                                                  struct rc_reader **out, struct rc_error *err);
/* Of the whole object that is read. */
const struct rc_stat *core_reader_stat(const struct rc_reader *reader);

/* 'options' may be NULL. Attributes are lost where the store has none, as on files. */
RC_MUST_CHECK enum rc_code core_storage_create_with(struct core_storage *storage, const char *uri,
                                                    const struct rc_put_options *options,
                                                    struct rc_writer **out, struct rc_error *err);
/* Of the object that was committed; an entity tag that the store did not say is empty. */
const struct rc_stat *core_writer_stat(const struct rc_writer *writer);
/* 'options' and 'written' may be NULL. */
RC_MUST_CHECK enum rc_code core_storage_put_with(struct core_storage *storage, const char *uri,
                                                 const void *data, size_t len,
                                                 const struct rc_put_options *options,
                                                 struct rc_stat *written, struct rc_error *err);
/* 'version' is of the source; 'written' may be NULL. */
RC_MUST_CHECK enum rc_code core_storage_copy_with(struct core_storage *storage, const char *source,
                                                  const char *version, const char *target,
                                                  const struct core_copy_options *options,
                                                  struct rc_stat *written, struct rc_error *err);
/*
 * 'versions' (NULL, or one for each URI, each may be NULL). With a report every one that stays is
 * told and the others are removed; the result is then of what ended the call.
 */
RC_MUST_CHECK enum rc_code core_storage_remove_with(struct core_storage *storage,
                                                    const char *const *uris,
                                                    const char *const *versions, size_t count,
                                                    const struct core_remove_report *report,
                                                    struct rc_error *err);
/* As rc_storage_remove_with() has it. */
RC_MUST_CHECK enum rc_code core_storage_remove_one(struct core_storage *storage, const char *uri,
                                                   const struct rc_remove_options *options,
                                                   struct rc_error *err);
/* Gives up uploads below the prefix that were never finished. */
RC_MUST_CHECK enum rc_code core_storage_sweep(struct core_storage *storage, const char *prefix,
                                              const struct core_sweep *sweep, int64_t *swept,
                                              struct rc_error *err);
/* Adds the tags to what stat told of an object that has some. */
RC_MUST_CHECK enum rc_code core_storage_tags(struct core_storage *storage, const char *uri,
                                             const char *version, struct core_object_detail *detail,
                                             struct rc_error *err);

/* ---- buckets as a whole ---------------------------------------------------------------------- */

/*
 * As <run-core/bucket.h> has them. What a look cannot learn is UNKNOWN in its answers and no error.
 * RC_DENIED of a look: the bucket is there, or its name is taken, but we may not even ask for it.
 */
RC_MUST_CHECK enum rc_code core_storage_bucket_look(struct core_storage *storage, const char *uri,
                                                    struct rc_bucket *out, struct rc_error *err);
/* One that is there and ours is a success. RC_CONFLICT: the name is somebody else's. */
RC_MUST_CHECK enum rc_code core_storage_bucket_create(struct core_storage *storage, const char *uri,
                                                      struct rc_error *err);
RC_MUST_CHECK enum rc_code core_storage_bucket_encrypt(struct core_storage *storage,
                                                       const char *uri, struct rc_error *err);
/* RC_CONFLICT: something is in it. RC_INVALID: the URI is mapped to a folder of a bucket. */
RC_MUST_CHECK enum rc_code core_storage_bucket_remove(struct core_storage *storage, const char *uri,
                                                      struct rc_error *err);
/*
 * Has every object removed after so many days, instead of what an earlier call asked for; rules of
 * others stay. RC_INVALID: no such number of days, or the URI is mapped to a folder of a bucket,
 * whose other folders it would empty too.
 */
RC_MUST_CHECK enum rc_code core_storage_bucket_expire(struct core_storage *storage, const char *uri,
                                                      int64_t days, struct rc_error *err);

/*
 * The local path behind a URI (a trailing slash stays), appended to 'out', after the mapping of
 * buckets. RC_UNSUPPORTED: it does not lie on this machine.
 */
RC_MUST_CHECK enum rc_code core_storage_local_path(struct core_storage *storage, const char *uri,
                                                   struct rc_buf *out, struct rc_error *err);

/*
 * The Google credentials by which the bucket of a gs:// URI is reached, for requests to other
 * services; NULL: it is reached without. They live as long as the run. RC_INVALID: it is mapped to
 * another kind of store.
 */
RC_MUST_CHECK enum rc_code core_storage_google(struct core_storage *storage, const char *uri,
                                               struct core_google_credentials **out,
                                               struct rc_error *err);

#endif
