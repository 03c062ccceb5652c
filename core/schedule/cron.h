/*
 * A cron expression as sets of what matches, and the wall times that it matches. Knows the
 * calendar, but no time zone.
 */
#ifndef CORE_SCHEDULE_CRON_H
#define CORE_SCHEDULE_CRON_H

#include <run-core/error.h>

#include <stddef.h>
#include <stdint.h>

enum core_cron_field_id {
    CORE_CRON_SECOND,
    CORE_CRON_MINUTE,
    CORE_CRON_HOUR,
    CORE_CRON_DAY,
    CORE_CRON_MONTH,
    CORE_CRON_WEEKDAY,
    CORE_CRON_FIELDS
};

/* Bit n of a set stands for the value n. */
struct core_cron {
    uint64_t second, minute;
    uint32_t hour;
    uint32_t day;           /* of the month, 1-31 */
    uint32_t from_last;     /* bit n: n days before the last of the month */
    uint32_t working;       /* bit n: the working day nearest to day n, "nW" */
    uint16_t month;         /* 1-12 */
    uint8_t weekday;        /* 0 is Sunday */
    uint8_t nth_weekday[6]; /* [1] to [5]: the first to the fifth of the month; [0]: the last */
    bool last_working;      /* "LW" */
    /* A restricted field is any but a bare '*' or '?'. */
    bool day_restricted, weekday_restricted;
    bool interval; /* '*', '-' or '/' in the second, minute or hour */
    bool every_day;
    bool hashed; /* "H": the name decides */
};

/* Wall times of the years 1 to 9999. */
#define CORE_CRON_FIRST_S (-INT64_C(62135596800))
#define CORE_CRON_LAST_S INT64_C(253402300799)

/*
 * Reads an expression of 5 or 6 fields. 'name' is what 'H' is a hash of; may be NULL. RC_INVALID
 * names the field, its place and the remedy; also where the dates never come.
 */
RC_MUST_CHECK enum rc_code core_cron_parse(const char *text, const char *name,
                                           struct core_cron *out, struct rc_error *err);

/* A field of an expression; 'text' with 'len' bytes lies within it, 'place' counts characters. */
struct core_cron_field {
    enum core_cron_field_id id;
    const char *text;
    size_t len;
    int place;
};

/* Reads a field into the sets of 'out' that are its own. */
RC_MUST_CHECK enum rc_code core_cron_field_parse(const struct core_cron_field *field,
                                                 const char *name, struct core_cron *out,
                                                 struct rc_error *err);

/* "day of month" and its like; three letters each, for months (from 1) and weekdays (from 0). */
extern const char *const core_cron_field_names[CORE_CRON_FIELDS];
extern const char *const core_cron_month_names[13], *const core_cron_weekday_names[8];

/* The days, as bits 1 to 31, that match in a month of 'len' days whose first is that weekday. */
uint32_t core_cron_days(const struct core_cron *cron, int len, int first_weekday);

/* The first wall time at or behind 'from_s' that matches. False: none up to the year 9999. */
bool core_cron_next_wall(const struct core_cron *cron, int64_t from_s, int64_t *wall_s);

/* Whether a wall time matches. */
bool core_cron_matches(const struct core_cron *cron, int64_t wall_s);

#endif
