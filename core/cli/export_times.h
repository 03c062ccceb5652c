/*
 * A schedule as what other systems have to say of it: its sets, and where its slots part from those
 * of a clock with other rules.
 */
#ifndef CORE_CLI_EXPORT_TIMES_H
#define CORE_CLI_EXPORT_TIMES_H

#include <config/config.h>
#include <schedule/cron.h>
#include <schedule/schedule.h>

#include <run-core/error.h>

#include <stdbool.h>
#include <stdint.h>

struct core_times {
    enum core_schedule_kind kind;
    const char *zone; /* its name; borrowed */
    int64_t every_ms; /* @every */
    struct core_cron cron;

    int64_t shortest_ms; /* between two slots */
    /* Whether its slots are others than with a clock that leaves out what daylight saving skips
     * and takes both passes, or the first, of what it repeats. */
    bool unlike_both, unlike_first;
};

/* RC_INVALID: it is no schedule, or its zone none. Slots are compared from 'from_unix_ms' on. */
RC_MUST_CHECK enum rc_code core_times_read(const struct core_job_settings *job,
                                           int64_t from_unix_ms, struct core_times *out,
                                           struct rc_error *err);

/*
 * Appends a set of the numbers from 'first' to 'last' as a list of numbers and ranges, whose ends
 * stand around 'dots', each number with 'digits'.
 */
void core_times_add_set(struct rc_buf *out, uint64_t set, int first, int last, const char *dots,
                        int digits);

/*
 * Whether a set is every n-th number from its first up to 'last', of which there are three or
 * more.
 */
bool core_times_step(uint64_t set, int last, int *start, int *step);

#endif
