/*
 * Schedules in the words of a CronJob.
 */
#ifndef CORE_CLI_EXPORT_KUBERNETES_TIMES_H
#define CORE_CLI_EXPORT_KUBERNETES_TIMES_H

#include <cli/export_times.h>

#include <run-core/buf.h>

/* RC_UNSUPPORTED: five fields cannot say it, for the reason in 'err'. */
RC_MUST_CHECK enum rc_code core_kubernetes_schedule(const struct core_times *times,
                                                    struct rc_buf *out, struct rc_error *err);

#endif
