/*
 * What the forms of 'run-core next' share. Private to core/cli/next*.c.
 */
#ifndef CORE_CLI_NEXT_H
#define CORE_CLI_NEXT_H

#include <cli/cli.h>
#include <schedule/time_zone.h>

#include <run-core/error.h>

/* RFC 3339, or whole seconds since 1970. */
RC_MUST_CHECK enum rc_code core_next_read_from(const char *text, int64_t *unix_ms,
                                               struct rc_error *err);
RC_MUST_CHECK enum rc_code core_next_read_count(const char *text, int64_t *count,
                                                struct rc_error *err);

/* Appends RFC 3339 in the zone; in UTC where the offset is not of whole minutes. */
void core_next_add_local(struct rc_buf *out, int64_t unix_ms, const char *zone_name,
                         const struct core_time_zone *zone);

/* When all jobs of the configuration are due, in the order of time. Returns the exit status. */
int core_next_of_jobs(const struct core_arguments *arguments);

#endif
