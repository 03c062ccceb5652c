/*
 * Copies on this machine of what lies in a remote store, for an engine that reads and writes files
 * only: fetched before it reads, published after it has written, within a budget of space.
 */
#ifndef CORE_STORAGE_STAGING_H
#define CORE_STORAGE_STAGING_H

#include <storage/storage.h>

struct core_staging;

/* 'dir' exists; what is left in it at the end is removed. 'limit_bytes' 0: no limit. */
struct core_staging *core_staging_new(struct core_storage *storage, const char *dir,
                                      int64_t limit_bytes);
void core_staging_free(struct core_staging *staging);

/*
 * The local path at which the objects of a location are found, appended to 'path': fetched, unless
 * an equal copy (by entity tag) is there already; that of a local location is its own. A location
 * that ends with a slash is a folder. RC_TOO_LARGE: beyond the budget, with what it would take.
 */
RC_MUST_CHECK enum rc_code core_staging_fetch(struct core_staging *staging, const char *location,
                                              struct rc_buf *path, struct rc_error *err);
/* Copies that were fetched for this location are not needed any more. */
void core_staging_release(struct core_staging *staging, const char *location);

/* A local path to write for a location that is published later. */
RC_MUST_CHECK enum rc_code core_staging_place(struct core_staging *staging, const char *location,
                                              struct rc_buf *path, struct rc_error *err);
/*
 * Uploads what was written there, and removes what else was at the location before: data first, so
 * that a reader never finds less than the old or the new set. A failure leaves the old one.
 */
RC_MUST_CHECK enum rc_code core_staging_publish(struct core_staging *staging, const char *location,
                                                struct rc_error *err);

#endif
