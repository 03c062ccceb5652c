/*
 * A control group (cgroups(7), version 2) for one run: it bounds the memory of all its processes
 * together, says whether one of them was killed for that, and kills what is left at the end.
 *
 * Groups are made beside us, where that was given to us: the group we are in hands on its memory
 * controller, or is delegated (Delegate=yes of systemd.resource-control(5)), so that we may let it.
 */
#ifndef CORE_RUNTIME_CONTROL_GROUP_H
#define CORE_RUNTIME_CONTROL_GROUP_H

#include <run-core/error.h>

#include <stdbool.h>
#include <stdint.h>

struct core_control_group;

/*
 * In a delegated group: moves this process into a group below it, as one that has processes cannot
 * hand on controllers, and lets it do that. To be called by a daemon as it starts, before it has
 * children; does nothing where it cannot, as core_control_group_open() will say why.
 */
void core_control_group_prepare(void);

/* Makes the group NAME. RC_UNSUPPORTED, RC_DENIED: there can be none here. */
RC_MUST_CHECK enum rc_code core_control_group_open(const char *name, int64_t memory_bytes,
                                                   struct core_control_group **out,
                                                   struct rc_error *err);
/* The same in the folder 'base' of a group; 0 is no limit. */
RC_MUST_CHECK enum rc_code core_control_group_open_at(const char *base, const char *name,
                                                      int64_t memory_bytes,
                                                      struct core_control_group **out,
                                                      struct rc_error *err);
/* Moves this process, which is to be bounded, into it. */
RC_MUST_CHECK enum rc_code core_control_group_join(const struct core_control_group *group,
                                                   struct rc_error *err);
bool core_control_group_ran_out(const struct core_control_group *group);
/* Kills what is in it, and removes it. May be NULL. */
void core_control_group_close(struct core_control_group *group);

#endif
