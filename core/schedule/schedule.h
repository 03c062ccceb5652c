/*
 * Schedules: when a job is due. Pure: times come in as arguments.
 *
 * A schedule is a cron expression of 5 fields, or 6 with seconds first, with names, ranges, steps,
 * lists, '?', 'L', 'W', '#' and 'H'; @yearly, @annually, @monthly, @weekly, @daily, @midnight,
 * @hourly; @every DURATION, whose slots are the multiples of the duration since 1970; or @startup.
 */
#ifndef CORE_SCHEDULE_SCHEDULE_H
#define CORE_SCHEDULE_SCHEDULE_H

#include <schedule/cron.h>
#include <schedule/time_zone.h>

#include <run-core/buf.h>

#include <stdbool.h>
#include <stdint.h>

enum core_schedule_kind { CORE_SCHEDULE_CRON, CORE_SCHEDULE_EVERY, CORE_SCHEDULE_STARTUP };

/*
 * What becomes of a local time that the clock skips, or shows twice. An expression with '*', '-' or
 * '/' in its second, minute or hour is an interval, any other is fixed ("H(1-5)" is one value).
 * AUTO is SKIP and BOTH for an interval, RUN_AFTER and FIRST for a fixed one. All may be combined:
 *   RUN_AFTER  all that fall into one gap are due once, at the first instant behind it
 *   SKIP       they are not due
 *   FIRST      each local time is due once, when the clock shows it first
 *   BOTH       it is due whenever the clock shows it
 * @every and @startup know no local time.
 */
enum core_schedule_gap { CORE_GAP_AUTO, CORE_GAP_RUN_AFTER, CORE_GAP_SKIP };
enum core_schedule_overlap { CORE_OVERLAP_AUTO, CORE_OVERLAP_FIRST, CORE_OVERLAP_BOTH };

struct core_schedule_options {
    const char *name;                  /* of the job, from which 'H' follows; may be NULL */
    const struct core_time_zone *zone; /* NULL: UTC; outlives the schedule */
    enum core_schedule_gap gap;
    enum core_schedule_overlap overlap;
};

struct core_schedule;

/*
 * RC_INVALID: not a schedule, or one that never comes; the message names the field and the nearest
 * remedy. Freed with core_schedule_free(). Small, so that there may be 100,000 of them.
 */
RC_MUST_CHECK enum rc_code core_schedule_parse(const char *text,
                                               const struct core_schedule_options *options,
                                               struct core_schedule **out, struct rc_error *err);
void core_schedule_free(struct core_schedule *schedule);

enum core_schedule_kind core_schedule_kind(const struct core_schedule *schedule);
/* What it is made of, for saying it in another system's words. NULL and 0 with another kind. */
const struct core_cron *core_schedule_cron(const struct core_schedule *schedule);
int64_t core_schedule_every_ms(const struct core_schedule *schedule);
/* Whether it would be another one under another name, as "H" is a hash of that. */
bool core_schedule_is_of_name(const struct core_schedule *schedule);

/*
 * The first slot strictly after 'after_unix_ms'. False: there is none, as always with @startup.
 * Thread-safe; allocates nothing.
 */
bool core_schedule_next(const struct core_schedule *schedule, int64_t after_unix_ms,
                        int64_t *slot_unix_ms);

/* Says in words what the schedule means, field by field, and how it treats daylight saving. */
void core_schedule_explain(const struct core_schedule *schedule, struct rc_buf *out);
/* Why a slot is where it is: "in the gap of ..., moved to ..."; nothing where it is plain. */
void core_schedule_explain_slot(const struct core_schedule *schedule, int64_t slot_unix_ms,
                                struct rc_buf *out);

#endif
