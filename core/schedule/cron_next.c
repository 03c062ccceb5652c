/*
 * The next wall time that a cron expression matches: bit sets say which months, days, hours,
 * minutes and seconds come next, so that nothing is tried in vain but months.
 */
#include <schedule/cron.h>

#include <run-core/time.h>

enum { DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60, LAST_YEAR = 9999 };

/* ---- days ------------------------------------------------------------------------------------ */

/* The days of a month that fall on weekdays of the set 'weekday'. */
static uint64_t days_on(uint64_t weekday, int first_weekday)
{
    uint64_t week = (weekday << 7 | weekday) >> first_weekday & 0x7f; /* bit 0: the first day */

    return (week | week << 7 | week << 14 | week << 21 | week << 28) << 1;
}

/* The working day nearest to 'day' within its month; 'weekday' is that of 'day'. */
static int nearest_working(int day, int weekday, int len)
{
    if (weekday == 6)
        return day > 1 ? day - 1 : day + 2;
    if (weekday == 0)
        return day < len ? day + 1 : day - 2;
    return day;
}

static uint64_t days_of_month(const struct core_cron *cron, int len, int first_weekday)
{
    uint64_t days = cron->day;

    for (uint32_t rest = cron->from_last; rest; rest &= rest - 1)
        if (__builtin_ctz(rest) < len)
            days |= UINT64_C(1) << (len - __builtin_ctz(rest));
    for (uint32_t rest = cron->working; rest; rest &= rest - 1) {
        int day = __builtin_ctz(rest);

        if (day <= len)
            days |= UINT64_C(1) << nearest_working(day, (first_weekday + day - 1) % 7, len);
    }
    if (cron->last_working)
        days |= UINT64_C(1) << nearest_working(len, (first_weekday + len - 1) % 7, len);
    return days;
}

static uint64_t days_of_week(const struct core_cron *cron, int len, int first_weekday)
{
    uint64_t days = days_on(cron->weekday, first_weekday);

    for (int nth = 1; nth <= 5; nth++)
        if (cron->nth_weekday[nth])
            days |= days_on(cron->nth_weekday[nth], first_weekday) & UINT64_C(0xfe)
                                                                         << (nth - 1) * 7;
    if (cron->nth_weekday[0])
        days |= days_on(cron->nth_weekday[0], first_weekday) & UINT64_C(0xfe) << (len - 7);
    return days;
}

uint32_t core_cron_days(const struct core_cron *cron, int len, int first_weekday)
{
    uint64_t days = days_of_month(cron, len, first_weekday);
    uint64_t weekdays = days_of_week(cron, len, first_weekday);
    bool either = cron->day_restricted && cron->weekday_restricted;

    days = either ? days | weekdays : days & weekdays;
    return (uint32_t)(days & ((UINT64_C(2) << len) - 2));
}

static int length_of(int year, int month)
{
    static const int8_t lengths[13] = { 0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return lengths[month] + (month == 2 && leap ? 1 : 0);
}

/* 1970-01-01 was a Thursday. */
static int weekday_of(int64_t day)
{
    return (int)(((day + 4) % 7 + 7) % 7);
}

/* The least value of a set that is at or above 'from'; -1: there is none. */
static int next_in(uint64_t set, int from)
{
    set = from < 64 ? set >> from << from : 0;
    return set ? __builtin_ctzll(set) : -1;
}

/* The first day at or behind 'day' that matches, as a day number; false: none. */
static bool next_day(const struct core_cron *cron, int64_t day, int64_t *out)
{
    int year = 0;
    int month = 0;
    int from = 0;

    if (cron->every_day) {
        *out = day;
        return true;
    }
    rc_day_to_date((int32_t)day, &year, &month, &from);
    int64_t first = day - from + 1; /* of the month */
    while (year <= LAST_YEAR) {
        int len = length_of(year, month);

        if (cron->month >> month & 1) {
            int found = next_in(core_cron_days(cron, len, weekday_of(first)), from);

            if (found > 0) {
                *out = first + found - 1;
                return true;
            }
        }
        first += len;
        from = 1;
        month = month == 12 ? 1 : month + 1;
        year += month == 1 ? 1 : 0;
    }
    return false;
}

/* ---- times of the day ------------------------------------------------------------------------ */

static int first_in(uint64_t set)
{
    return __builtin_ctzll(set);
}

/* The first second of the day at or behind 'from' that matches; -1: none on this day. */
static int next_time(const struct core_cron *cron, int from)
{
    int hour = from / HOUR_S;
    int minute = from / MINUTE_S % 60;
    int second = next_in(cron->second, from % MINUTE_S);
    bool same_hour = cron->hour >> hour & 1;

    if (same_hour && second >= 0 && cron->minute >> minute & 1)
        return hour * HOUR_S + minute * MINUTE_S + second;
    minute = same_hour ? next_in(cron->minute, minute + 1) : -1;
    if (minute < 0) {
        hour = next_in(cron->hour, hour + 1);
        if (hour < 0)
            return -1;
        minute = first_in(cron->minute);
    }
    return hour * HOUR_S + minute * MINUTE_S + first_in(cron->second);
}

static void split(int64_t wall_s, int64_t *day, int *time)
{
    *day = wall_s / DAY_S - (wall_s % DAY_S < 0 ? 1 : 0);
    *time = (int)(wall_s - *day * DAY_S);
}

bool core_cron_next_wall(const struct core_cron *cron, int64_t from_s, int64_t *wall_s)
{
    int64_t day = 0;
    int64_t found = 0;
    int time = 0;

    if (from_s < CORE_CRON_FIRST_S)
        from_s = CORE_CRON_FIRST_S;
    if (from_s > CORE_CRON_LAST_S)
        return false;
    split(from_s, &day, &time);

    time = next_time(cron, time);
    if (time < 0)
        day++;
    if (!next_day(cron, day, &found))
        return false;
    if (time < 0 || found != day)
        time = next_time(cron, 0);
    *wall_s = found * DAY_S + time;
    return *wall_s <= CORE_CRON_LAST_S;
}

bool core_cron_matches(const struct core_cron *cron, int64_t wall_s)
{
    int64_t next_s = 0;

    return core_cron_next_wall(cron, wall_s, &next_s) && next_s == wall_s;
}
