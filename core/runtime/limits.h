/*
 * The limits that a job's configuration sets for its worker. What a worker that met one dies of is
 * told apart in outcome.h.
 */
#ifndef CORE_RUNTIME_LIMITS_H
#define CORE_RUNTIME_LIMITS_H

#include <config/config.h>

/*
 * Sets them for this process and those that it starts; 'job' may be NULL. What cannot be set here
 * is a warning in the log.
 */
void core_limits_apply(const struct core_job_settings *job);

#endif
