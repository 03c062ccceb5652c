/*
 * Where the system keeps its time zones, and what they are called. Private to core/schedule.
 */
#ifndef CORE_SCHEDULE_ZONE_NAMES_H
#define CORE_SCHEDULE_ZONE_NAMES_H

/* $TZDIR, else the system's. */
const char *core_time_zone_directory(void);

#endif
