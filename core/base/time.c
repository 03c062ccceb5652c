/*
 * Calendar arithmetic and RFC 3339 text, in the proleptic Gregorian calendar. Time
 * zones are in core/schedule, clocks in core/os.
 */
#include <run-core/time.h>

#include <stdio.h>
#include <string.h>

/* The calendar repeats after 400 years. */
enum { DAYS_4_YEARS = 1461, DAYS_100_YEARS = 36524, DAYS_400_YEARS = 146097 };

/* Days from 0001-01-01 to 1970-01-01. */
enum { EPOCH = 719162 };

/* Days before the first of each month, of a common year. */
static const int month_start[13] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days of 'year' before the first of the month with that index (0-12). */
static int days_before(int64_t year, int month_index)
{
    return month_start[month_index] + (month_index >= 2 && is_leap(year) ? 1 : 0);
}

static int64_t day_number(int64_t year, int month, int day)
{
    int64_t past = year - 1; /* whole years since 0001 */

    return past * 365 + floor_div(past, 4) - floor_div(past, 100) + floor_div(past, 400) +
           days_before(year, month - 1) + day - 1 - EPOCH;
}

static void split_day(int64_t day_number, int64_t *year, int *month, int *day)
{
    int64_t since = day_number + EPOCH;
    int64_t cycles = floor_div(since, DAYS_400_YEARS);
    int64_t rest = since - cycles * DAYS_400_YEARS;

    /* The last century of a cycle and the last year of four are one day longer. */
    int64_t centuries = rest / DAYS_100_YEARS < 3 ? rest / DAYS_100_YEARS : 3;
    rest -= centuries * DAYS_100_YEARS;
    int64_t fours = rest / DAYS_4_YEARS;
    rest -= fours * DAYS_4_YEARS;
    int64_t years = rest / 365 < 3 ? rest / 365 : 3;
    rest -= years * 365;

    *year = cycles * 400 + centuries * 100 + fours * 4 + years + 1;
    int index = 0;
    while (rest >= days_before(*year, index + 1))
        index++;
    *month = index + 1;
    *day = (int)rest - days_before(*year, index) + 1;
}

int32_t rc_day_from_date(int year, int month, int day)
{
    RC_ASSERT(month >= 1 && month <= 12 && day >= 1 && day <= 31);
    int64_t number = day_number(year, month, day);
    RC_ASSERT(number >= INT32_MIN && number <= INT32_MAX);
    return (int32_t)number;
}

void rc_day_to_date(int32_t number, int *year, int *month, int *day)
{
    int64_t wide_year = 0;

    split_day(number, &wide_year, month, day);
    *year = (int)wide_year;
}

/* Reads exactly 'count' digits at *text and moves behind them. */
static bool read_digits(const char **text, int count, int *out)
{
    int value = 0;

    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        value = value * 10 + (**text - '0');
    }
    *out = value;
    return true;
}

static bool read_char(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

/* Reads "YYYY-MM-DD" at *text and moves behind it. */
static bool read_day(const char **text, int32_t *out)
{
    int year = 0;
    int month = 0;
    int day = 0;

    if (!read_digits(text, 4, &year) || !read_char(text, '-') || !read_digits(text, 2, &month) ||
        !read_char(text, '-') || !read_digits(text, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 ||
        day > days_before(year, month) - days_before(year, month - 1))
        return false;
    *out = rc_day_from_date(year, month, day);
    return true;
}

bool rc_parse_day(const char *text, int32_t *out)
{
    int32_t day = 0;

    if (!read_day(&text, &day) || *text != '\0')
        return false;
    *out = day;
    return true;
}

char *rc_format_day(int32_t day, char out[RC_DAY_TEXT])
{
    int64_t year = 0;
    int month = 0;
    int day_of_month = 0;

    split_day(day, &year, &month, &day_of_month);
    snprintf(out, RC_DAY_TEXT, "%04d-%02d-%02d", (int)year, month, day_of_month);
    return out;
}

/* Reads "hh:mm:ss" and a fraction; 60 seconds are let through for the caller to judge. */
static bool read_clock(const char **text, int64_t *second_of_day, int *second, int *milliseconds)
{
    int hour = 0;
    int minute = 0;
    int weight = 100;

    if (!read_digits(text, 2, &hour) || !read_char(text, ':') || !read_digits(text, 2, &minute) ||
        !read_char(text, ':') || !read_digits(text, 2, second))
        return false;
    if (hour > 23 || minute > 59 || *second > 60)
        return false;

    *milliseconds = 0;
    if (read_char(text, '.')) {
        int digit = 0;

        if (!read_digits(text, 1, &digit))
            return false;
        do {
            *milliseconds += digit * weight;
            weight /= 10;
        } while (**text != '\0' && read_digits(text, 1, &digit));
    }
    *second_of_day = hour * 3600 + minute * 60 + *second;
    return true;
}

/* Reads "Z" or "+hh:mm". */
static bool read_offset(const char **text, int64_t *offset_s)
{
    int hour = 0;
    int minute = 0;

    *offset_s = 0;
    if (read_char(text, 'Z') || read_char(text, 'z'))
        return true;

    int sign = **text == '-' ? -1 : 1;
    if (!read_char(text, '-') && !read_char(text, '+'))
        return false;
    if (!read_digits(text, 2, &hour) || !read_char(text, ':') || !read_digits(text, 2, &minute))
        return false;
    if (hour > 23 || minute > 59)
        return false;
    *offset_s = sign * (hour * 3600 + minute * 60);
    return true;
}

bool rc_parse_time(const char *text, int64_t *out_unix_ms)
{
    int32_t day = 0;
    int64_t second_of_day = 0;
    int second = 0;
    int milliseconds = 0;
    int64_t offset_s = 0;

    if (!read_day(&text, &day))
        return false;
    if (!read_char(&text, 'T') && !read_char(&text, 't') && !read_char(&text, ' '))
        return false;
    if (!read_clock(&text, &second_of_day, &second, &milliseconds) ||
        !read_offset(&text, &offset_s) || *text != '\0')
        return false;

    int64_t unix_s = (int64_t)day * 86400 + second_of_day - offset_s;
    /* A leap second is only ever the last of a day in UTC; it is counted as the second after it. */
    if (second == 60 && unix_s % 86400 != 0)
        return false;
    *out_unix_ms = unix_s * 1000 + milliseconds;
    return true;
}

char *rc_format_time(int64_t unix_ms, char out[RC_TIME_TEXT])
{
    int64_t day = floor_div(unix_ms, RC_DAY_MS);
    int ms_of_day = (int)((unix_ms % RC_DAY_MS + RC_DAY_MS) % RC_DAY_MS);
    int second_of_day = ms_of_day / 1000;
    int milliseconds = ms_of_day % 1000;
    int64_t year = 0;
    int month = 0;
    int day_of_month = 0;

    split_day(day, &year, &month, &day_of_month);
    int len =
        snprintf(out, RC_TIME_TEXT, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)year, month,
                 day_of_month, second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    size_t room = RC_TIME_TEXT - (size_t)len;
    if (milliseconds > 0)
        snprintf(out + len, room, ".%03dZ", milliseconds);
    else
        snprintf(out + len, room, "Z");
    return out;
}
