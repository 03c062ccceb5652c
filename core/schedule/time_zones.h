/*
 * Time zones shared by many schedules: each is read once. Belongs to one thread.
 */
#ifndef CORE_SCHEDULE_TIME_ZONES_H
#define CORE_SCHEDULE_TIME_ZONES_H

#include <schedule/time_zone.h>

struct core_time_zones;

struct core_time_zones *core_time_zones_new(void);
/* With all zones in it. */
void core_time_zones_free(struct core_time_zones *zones);

/*
 * The zone of that name, UTC for NULL; borrowed. Errors as of core_time_zone_load(), remembered
 * too: a wrong name is looked for once.
 */
RC_MUST_CHECK enum rc_code core_time_zones_get(struct core_time_zones *zones, const char *name,
                                               const struct core_time_zone **out,
                                               struct rc_error *err);

#endif
