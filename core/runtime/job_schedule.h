/*
 * The schedules of the jobs of a configuration.
 */
#ifndef CORE_RUNTIME_JOB_SCHEDULE_H
#define CORE_RUNTIME_JOB_SCHEDULE_H

#include <config/config.h>
#include <schedule/schedule.h>
#include <schedule/time_zones.h>

/*
 * Makes a job's schedule; *out is NULL for a job that has none. Its time zone is taken from
 * 'zones', which outlives it. RC_INVALID: as of core_schedule_parse() and core_time_zone_load().
 */
RC_MUST_CHECK enum rc_code core_job_schedule_make(const struct core_job_settings *job,
                                                  struct core_time_zones *zones,
                                                  struct core_schedule **out, struct rc_error *err);

/* Reports every job's mistakes in 'schedule' and 'time_zone', at the place of the value. */
void core_job_schedule_check(const struct core_config *config, struct core_problems *problems);

#endif
