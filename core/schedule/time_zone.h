/*
 * IANA time zones, read from the system's tzdata (TZif, RFC 8536) without touching
 * the process's own zone.
 */
#ifndef CORE_SCHEDULE_TIME_ZONE_H
#define CORE_SCHEDULE_TIME_ZONE_H

#include <run-core/error.h>

#include <stdint.h>

struct core_time_zone;

/*
 * Loads a zone by name ("Europe/Prague", "UTC"), from $TZDIR or /usr/share/zoneinfo. UTC needs no
 * file. RC_INVALID: no such zone, or its file is damaged. Freed with core_time_zone_free().
 */
RC_MUST_CHECK enum rc_code core_time_zone_load(const char *name, struct core_time_zone **out,
                                               struct rc_error *err);
void core_time_zone_free(struct core_time_zone *zone);

/* Seconds to add to UTC for the local time at that instant. Thread-safe. */
int32_t core_time_zone_offset_s(const struct core_time_zone *zone, int64_t unix_s);

/* The local calendar day at an instant, and the first instant of a local day. */
int32_t core_time_zone_day_of(const struct core_time_zone *zone, int64_t unix_s);
int64_t core_time_zone_day_start_s(const struct core_time_zone *zone, int32_t day);

#endif
