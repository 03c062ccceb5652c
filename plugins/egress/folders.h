/*
 * Folders with a manifest, for a sync that copies only what is complete: which there are, what of
 * them is wanted, and when a manifest may follow.
 *
 * What arrived may be told by one thread while another looks something up.
 */
#ifndef EGRESS_FOLDERS_H
#define EGRESS_FOLDERS_H

#include "sides.h"

#include <run-core/plugin.h>

struct egress_folders;

/*
 * Waits until the folder of the run's date is complete at the source, as long as the options say.
 * RC_SKIPPED: it was not.
 */
RC_MUST_CHECK enum rc_code egress_folders_wait(struct rc_job *job,
                                               const struct egress_config *config,
                                               const struct egress_place *source,
                                               struct rc_error *err);

/*
 * Finds the folders of the source and reads their manifests, and those at the target. What is left
 * out for not being complete is logged.
 */
RC_MUST_CHECK enum rc_code egress_folders_find(struct rc_job *job,
                                               const struct egress_config *config,
                                               const struct egress_place *source,
                                               const struct egress_place *target,
                                               struct egress_folders **out, struct rc_error *err);
void egress_folders_free(struct egress_folders *folders);

/*
 * Removes from the target the manifests that will be replaced: from now on they are not true.
 */
RC_MUST_CHECK enum rc_code egress_folders_begin(struct egress_folders *folders,
                                                struct rc_error *err);

/* Forgets what was seen and what arrived, for another look at all. */
void egress_folders_reset(struct egress_folders *folders);

/*
 * Whether an object of the source is to be copied: one of a complete folder that its manifest
 * lists, and with the size that it says. 'fits': the filters would take it.
 */
bool egress_folders_wants(struct egress_folders *folders, const struct rc_object *object,
                          bool fits);
/*
 * Whether an object of the target may go: one of such a folder that the manifest does not list, nor
 * any that only the target has.
 */
bool egress_folders_may_remove(const struct egress_folders *folders, const char *name);
/* The object is at the target, as it is at the source. */
void egress_folders_arrived(struct egress_folders *folders, const char *name);

/*
 * Once all of the source was listed: tells of each object, by its name below the source, that the
 * manifest of its folder lists and the source does not have. Of a folder that is at the target
 * already nothing is missing, nor of one that is being dumped again.
 */
RC_MUST_CHECK enum rc_code egress_folders_missing(struct egress_folders *folders,
                                                  void (*tell)(void *context, const char *name),
                                                  void *context, struct rc_error *err);

/* A manifest that may follow, since all that it lists is there; 'at' begins with 0. */
struct egress_following {
    const char *name, *etag; /* below the source */
    int64_t size_bytes;
};
bool egress_folders_next(struct egress_folders *folders, size_t *at, struct egress_following *out);

#endif
