/*
 * What a schedule is made of. Private to core/schedule.
 */
#ifndef CORE_SCHEDULE_INTERNAL_H
#define CORE_SCHEDULE_INTERNAL_H

#include <schedule/cron.h>
#include <schedule/schedule.h>

struct core_schedule {
    enum core_schedule_kind kind;
    int64_t every_ms;                  /* of EVERY */
    struct core_cron cron;             /* of CRON */
    const struct core_time_zone *zone; /* borrowed; NULL: UTC */
    bool skip_gap, both_passes;        /* what AUTO stands for is worked out */
    char text[];                       /* without blanks around it */
};

#endif
