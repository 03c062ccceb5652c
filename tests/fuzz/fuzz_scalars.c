/*
 * The typed scalars of configurations and parameters. What a parser takes, the formatter of the
 * same type writes in a form that gives the same value again.
 */
#include <run-core/str.h>
#include <run-core/time.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check_numbers(const char *text)
{
    int64_t integer = 0;
    double number = 0;
    bool boolean = false;

    if (rc_parse_int(text, &integer)) {
        RC_STR_AUTO again = rc_strf("%lld", (long long)integer);
        int64_t second = 0;

        RC_ASSERT(rc_parse_int(again, &second) && second == integer);
        RC_ASSERT(rc_parse_float(text, &number));
    }
    if (rc_parse_float(text, &number)) {
        RC_STR_AUTO again = rc_strf("%.17g", number);
        double second = 0;

        RC_ASSERT(isfinite(number));
        RC_ASSERT(rc_parse_float(again, &second) && second >= number && second <= number);
    }
    if (rc_parse_bool(text, &boolean))
        RC_ASSERT(strlen(text) <= strlen("false"));
}

static void check_amounts(const char *text)
{
    char written[RC_AMOUNT_TEXT];
    int64_t ms = 0;
    int64_t second_ms = 0;
    int64_t bytes = 0;

    if (rc_parse_duration(text, &ms)) {
        RC_ASSERT(ms >= 0);
        RC_ASSERT(rc_parse_duration(rc_format_duration(ms, written), &second_ms));
        RC_ASSERT(second_ms == ms);
    }
    if (rc_parse_size(text, &bytes)) {
        RC_ASSERT(bytes >= 0);
        RC_ASSERT(strlen(rc_format_size(bytes, written)) < RC_AMOUNT_TEXT);
    }
}

static void check_times(const char *text)
{
    char day_text[RC_DAY_TEXT];
    char time_text[RC_TIME_TEXT];
    int32_t day = 0;
    int64_t unix_ms = 0;
    int64_t second_ms = 0;

    if (rc_parse_day(text, &day))
        RC_ASSERT(strcmp(rc_format_day(day, day_text), text) == 0);
    /* An offset may lead out of the years of four digits, which are all that is read. */
    if (rc_parse_time(text, &unix_ms) && rc_format_time(unix_ms, time_text)[0] != '-' &&
        time_text[4] == '-' && strncmp(time_text, "0000", 4) != 0)
        RC_ASSERT(rc_parse_time(time_text, &second_ms) && second_ms == unix_ms);
}

/* Any number, not only those that have a text: the bytes as they are. */
static void check_formats(const uint8_t *data, size_t size)
{
    char written[RC_AMOUNT_TEXT];
    char day_text[RC_DAY_TEXT];
    char time_text[RC_TIME_TEXT];
    int64_t value = 0;
    int year = 0;
    int month = 0;
    int day = 0;

    memcpy(&value, data, size < sizeof(value) ? size : sizeof(value));
    RC_ASSERT(strlen(rc_format_duration(value, written)) > 0);
    RC_ASSERT(strlen(rc_format_size(value, written)) > 0);
    RC_ASSERT(strlen(rc_format_time(value, time_text)) > 0);
    RC_ASSERT(strlen(rc_format_day((int32_t)(value >> 32), day_text)) > 0);
    rc_day_to_date((int32_t)(value >> 32), &year, &month, &day);
    RC_ASSERT(rc_day_from_date(year, month, day) == (int32_t)(value >> 32));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_STR_AUTO text = rc_strndup((const char *)data, size);

    check_numbers(text);
    check_amounts(text);
    check_times(text);
    check_formats(data, size);
    return 0;
}
