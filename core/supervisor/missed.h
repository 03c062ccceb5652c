/*
 * What becomes of a slot that is due: whether it runs, on time or made up for, or is recorded as
 * skipped. Pure; the only inputs are times and the job's rule.
 *
 * A slot is punctual if it lies at or after the moment from which the daemon has been continuously
 * awake; whatever the daemon is late by then, it runs. One before that moment was missed, without
 * grace: the daemon was down, the machine slept, the clock was set forward, or the database was
 * away. All of them are the same gap, and the job's misfire rule decides.
 */
#ifndef CORE_SUPERVISOR_MISSED_H
#define CORE_SUPERVISOR_MISSED_H

#include <config/config.h>

#include <stdbool.h>
#include <stdint.h>

struct core_slot_rule {
    enum core_misfire misfire;
    int64_t window_ms;           /* how far back missed slots are made up for */
    int64_t keep_ms;             /* how far back they are recorded at all */
    int64_t awake_since_unix_ms; /* the moment above */
    int64_t paused_unix_ms;      /* since when the job is paused; 0: it is not */
    bool is_full;                /* so many of its runs wait that no further one may */
};

enum core_slot_verdict {
    CORE_SLOT_PUNCTUAL,
    CORE_SLOT_MADE_UP, /* missed, but runs */
    CORE_SLOT_MISSED,  /* skipped, reason "misfire" */
    CORE_SLOT_PAUSED,  /* skipped, reason "paused" */
};

/*
 * 'next' is the slot behind it, INT64_MAX for none: 'latest' makes up only for the newest of those
 * that were missed. A paused job makes up for nothing.
 */
enum core_slot_verdict core_slot_judge(const struct core_slot_rule *rule, int64_t slot_unix_ms,
                                       int64_t next_unix_ms);

/* After which time slots are looked at, where all up to 'settled' have been: the same, but no
 * further back than history is kept. */
int64_t core_slots_after(const struct core_slot_rule *rule, int64_t settled_unix_ms);

#endif
