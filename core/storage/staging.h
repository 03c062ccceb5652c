/*
 * Copies on this machine of what lies in a remote store, for an engine that reads and writes files
 * only: fetched before it reads, published after it has written, within a budget of space.
 *
 * Each location that is fetched has a folder of its own, so that it stays as it was whatever
 * happens to the objects; equal objects (by URI and entity tag) are one file under several names.
 * Copies are not flushed to the disk: nobody needs them after a crash. For one thread at a time.
 */
#ifndef CORE_STORAGE_STAGING_H
#define CORE_STORAGE_STAGING_H

#include <storage/storage.h>

struct core_staging;
struct core_staged;

struct core_staging_settings {
    struct core_storage *storage;
    const char *parent;     /* a directory, which is made if it is missing */
    int64_t limit_bytes;    /* of all that is there; 0: none, but little is kept without need */
    const char *limit_name; /* what a user has to raise: "staging_limit of the engine 'lake'" */
    const struct core_cancel *cancel; /* of what is under way; NULL: that of 'storage' */
    /* Optional: how far a fetch or publication is, 0 to 1. */
    void (*on_progress)(void *context, double fraction);
    void *progress_context;
};

/*
 * The texts are copied. The directory is made below 'parent'; what killed processes have left of
 * theirs is removed.
 */
RC_MUST_CHECK enum rc_code core_staging_new(const struct core_staging_settings *settings,
                                            struct core_staging **out, struct rc_error *err);
/* Removes all that is still there. May be NULL. */
void core_staging_free(struct core_staging *staging);

/* ---- to read --------------------------------------------------------------------------------- */

/*
 * Fetches the objects of some locations, all at once; of a folder (which ends with a slash) those
 * whose names below it are wanted ('wants' may be NULL: all). An object that does not exist gives
 * none. out[] gets one result for each location, which belong to 'staging' until they are released.
 * RC_TOO_LARGE: beyond the budget, or the room on the disk, with what it would take; nothing was
 * fetched then. RC_CONFLICT: something changes all the time.
 */
RC_MUST_CHECK enum rc_code core_staging_fetch(struct core_staging *staging,
                                              const char *const *locations, size_t count,
                                              bool (*wants)(const char *name),
                                              struct core_staged **out, struct rc_error *err);
/* The paths of its files, in the order of their names; NULL behind the last. */
const char *core_staged_path(const struct core_staged *staged, size_t index);
/*
 * It is not needed any more. Its copies stay until their room is, for a later fetch of the same.
 * May be NULL.
 */
void core_staged_release(struct core_staging *staging, struct core_staged *staged);

/* Appends 'text', with the URIs of objects in place of the paths of their copies. */
void core_staging_add_text(const struct core_staging *staging, const char *text,
                           struct rc_buf *out);

/* ---- to write -------------------------------------------------------------------------------- */

/* A local path to write for a location: of a folder without a slash at its end. */
RC_MUST_CHECK enum rc_code core_staging_place(struct core_staging *staging, const char *location,
                                              struct rc_buf *path, struct rc_error *err);
/*
 * Looks at how much is written there by now, makes room for it, and counts it until it is
 * discarded. RC_TOO_LARGE: beyond the budget. May be called while it is being written.
 */
RC_MUST_CHECK enum rc_code core_staging_check_room(struct core_staging *staging, const char *path,
                                                   struct rc_error *err);
/*
 * Puts what was written there at the location. Of a folder each file is uploaded under a name of
 * its own, made of its content, so that no object is replaced by another; then all other objects
 * are removed that were there before, even if it is to be cancelled by then. A failure before that
 * leaves the old ones as they were, and removes what was uploaded, if that can be done.
 */
RC_MUST_CHECK enum rc_code core_staging_publish(struct core_staging *staging, const char *path,
                                                const char *location, struct rc_error *err);
/* Removes what was written; may be called whether it was published or not. */
void core_staging_discard(struct core_staging *staging, const char *path);

#endif
