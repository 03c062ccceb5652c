/*
 * Points in time and days of the (proleptic Gregorian) calendar. Pure arithmetic:
 * nothing here reads a clock or a time zone; a job's zone is behind rc_job_day_of().
 *
 * A point in time is an int64_t of milliseconds since 1970-01-01T00:00:00Z, named
 * _unix_ms. A day is an int32_t that counts days since 1970-01-01.
 */
#ifndef RUN_CORE_TIME_H
#define RUN_CORE_TIME_H

#include <run-core/attr.h>

#include <stdbool.h>
#include <stdint.h>

#define RC_DAY_NONE INT32_MIN /* no day given */
#define RC_DAY_MS INT64_C(86400000)

enum { RC_DAY_TEXT = 16, RC_TIME_TEXT = 40 };

RC_BEGIN_DECLS

/* 'month' is 1-12, 'day' 1-31. */
int32_t rc_day_from_date(int year, int month, int day);
void rc_day_to_date(int32_t day_number, int *year, int *month, int *day);

/* "YYYY-MM-DD", years 0001 to 9999, days that exist. */
bool rc_parse_day(const char *text, int32_t *out);
char *rc_format_day(int32_t day, char out[RC_DAY_TEXT]);

/* RFC 3339 with 'T' or a blank, with 'Z' or an offset; a fraction is cut to milliseconds. */
bool rc_parse_time(const char *text, int64_t *out_unix_ms);
/* RFC 3339 in UTC, "2026-01-31T23:59:59.250Z"; no fraction where it is zero. */
char *rc_format_time(int64_t unix_ms, char out[RC_TIME_TEXT]);

RC_END_DECLS
#endif
