/*
 * The rule of a time zone for all years, as the TZ variable of POSIX and the footer of
 * TZif files write it: "CET-1CEST,M3.5.0,M10.5.0/3". Pure.
 */
#ifndef CORE_SCHEDULE_POSIX_TZ_H
#define CORE_SCHEDULE_POSIX_TZ_H

#include <stdbool.h>
#include <stdint.h>

enum core_tz_date {
    CORE_TZ_JULIAN,      /* Jn: 1-365, 29 February is never counted */
    CORE_TZ_DAY_OF_YEAR, /* n: 0-365, 29 February is counted */
    CORE_TZ_WEEKDAY,     /* Mm.w.d: weekday d of week w (5: the last) of month m */
};

/* When, each year, the clocks change. */
struct core_tz_change {
    enum core_tz_date kind;
    int day; /* of JULIAN and DAY_OF_YEAR */
    int month, week, weekday;
    int32_t time_s; /* local time before the change; may lie outside of the day */
};

struct core_tz_rule {
    int32_t standard_s, daylight_s; /* to add to UTC */
    bool has_daylight;
    struct core_tz_change start, end; /* of daylight saving time */
};

/* An offset and the time for which it surely holds. */
struct core_tz_span {
    int32_t offset_s;
    int64_t from_s;  /* a change may have come then; INT64_MIN: never */
    int64_t until_s; /* a change may come then; INT64_MAX: never */
};

/* False: 'text' is no such rule, and *out is undefined. */
bool core_tz_rule_parse(const char *text, struct core_tz_rule *out);

struct core_tz_span core_tz_rule_at(const struct core_tz_rule *rule, int64_t unix_s);

#endif
