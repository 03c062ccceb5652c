/*
 * IANA time zones, read from the system's tzdata (TZif, RFC 8536) without touching
 * the process's own zone.
 */
#ifndef CORE_SCHEDULE_TIME_ZONE_H
#define CORE_SCHEDULE_TIME_ZONE_H

#include <schedule/posix_tz.h>

#include <run-core/error.h>

#include <stdint.h>

struct core_time_zone;

/*
 * Loads a zone by name ("Europe/Prague", "UTC"), from $TZDIR or /usr/share/zoneinfo. UTC needs no
 * file. RC_INVALID: no such zone (the message names the nearest), or its file is damaged. Freed
 * with core_time_zone_free().
 */
RC_MUST_CHECK enum rc_code core_time_zone_load(const char *name, struct core_time_zone **out,
                                               struct rc_error *err);
void core_time_zone_free(struct core_time_zone *zone);

/* The name under which it was loaded. */
const char *core_time_zone_name(const struct core_time_zone *zone);

/* Seconds to add to UTC for the local time at that instant. Thread-safe. */
int32_t core_time_zone_offset_s(const struct core_time_zone *zone, int64_t unix_s);

/* The same, with the time for which it holds. */
struct core_tz_span core_time_zone_span(const struct core_time_zone *zone, int64_t unix_s);

/*
 * More than the wall times of two instants can differ beyond the time between them: twice what
 * RFC 8536, section 3.2 lets offsets span.
 */
#define CORE_TIME_ZONE_NEAR_S (2 * INT64_C(183598))

/*
 * Wall times are local times as seconds since 1970-01-01T00:00:00 of the local calendar. Clocks go
 * forth and back, but these two never go back: the latest wall time that was shown up to an
 * instant, and the first instant at which a wall time has come. Where the clock is put forward over
 * a wall time, it has come with that; where it shows one twice, with the first.
 */
int64_t core_time_zone_shown_s(const struct core_time_zone *zone, int64_t unix_s);
int64_t core_time_zone_reach_s(const struct core_time_zone *zone, int64_t wall_s);

/* The local calendar day at an instant, and the first instant of a local day. */
int32_t core_time_zone_day_of(const struct core_time_zone *zone, int64_t unix_s);
int64_t core_time_zone_day_start_s(const struct core_time_zone *zone, int32_t day);

/*
 * Of the zones that are installed, the one whose name is nearest to a wrong one; NULL: none is
 * near. Reads a directory. Freed with free().
 */
char *core_time_zone_nearest(const char *name);

#endif
