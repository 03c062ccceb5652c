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

/*
 * The settings, 'remote' (NULL: only what lies on this machine is reached) and 'cancel' (may be
 * NULL) are borrowed and outlive the storage.
 */
struct core_storage *core_storage_new(const struct core_store_settings *stores, size_t store_count,
                                      struct core_remote *remote, const struct core_cancel *cancel);
void core_storage_free(struct core_storage *storage);

RC_MUST_CHECK enum rc_code core_storage_list(struct core_storage *storage, const char *prefix,
                                             const struct rc_list_options *options,
                                             struct rc_listing **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_listing_next(struct rc_listing *listing,
                                             const struct rc_object **object, struct rc_error *err);
void core_listing_close(struct rc_listing *listing);

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

/*
 * The local path behind a URI (a trailing slash stays), appended to 'out', after the mapping of
 * buckets. RC_UNSUPPORTED: it does not lie on this machine.
 */
RC_MUST_CHECK enum rc_code core_storage_local_path(struct core_storage *storage, const char *uri,
                                                   struct rc_buf *out, struct rc_error *err);

#endif
