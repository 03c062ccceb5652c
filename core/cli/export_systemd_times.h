/*
 * Schedules in the words of a timer of systemd.
 */
#ifndef CORE_CLI_EXPORT_SYSTEMD_TIMES_H
#define CORE_CLI_EXPORT_SYSTEMD_TIMES_H

#include <cli/export_times.h>

#include <run-core/buf.h>

/*
 * Appends the lines of [Timer] that stand for the schedule: OnCalendar=, or OnBootSec= for
 * @startup. RC_UNSUPPORTED: they cannot say it, for the reason in 'err'.
 */
RC_MUST_CHECK enum rc_code core_systemd_schedule(const struct core_times *times, struct rc_buf *out,
                                                 struct rc_error *err);

#endif
