/*
 * From the text of a cron expression to its sets: splits it into fields, which cron_field.c
 * reads, and sees that its dates come at all.
 */
#include <schedule/cron.h>

#include <run-core/str.h>

#include <string.h>

static const char blanks[] = " \t\r\n\v\f";

/* How many characters lie before a place of the text. */
static int characters(const char *text, const char *end)
{
    int count = 0;

    for (; text < end; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    return count;
}

/* Splits at blanks; returns how many fields there are, of which the first seven are kept. */
static int split(const char *text, struct core_cron_field fields[7])
{
    int count = 0;

    for (const char *at = text + strspn(text, blanks); *at != '\0'; at += strspn(at, blanks)) {
        size_t len = strcspn(at, blanks);

        if (count < 7)
            fields[count] = (struct core_cron_field){ .text = at,
                                                      .len = len,
                                                      .place = characters(text, at) + 1 };
        count++;
        at += len;
    }
    return count;
}

static enum rc_code wrong_count(int count, struct rc_error *err)
{
    if (count == 0)
        return rc_fail(err, RC_INVALID,
                       "it is empty; write 5 fields (minute, hour, day of month, month, weekday), "
                       "6 with the second first, or @daily and the like");
    if (count == 7)
        return rc_fail(err, RC_INVALID,
                       "it has 7 fields, at most 6 are known: second, minute, hour, day of month, "
                       "month and weekday; there is none for the year");
    return rc_fail(err, RC_INVALID,
                   "it has %d field%s, not 5 (minute, hour, day of month, month, weekday) or 6 "
                   "with the second first",
                   count, count == 1 ? "" : "s");
}

/*
 * Whether any day matches, ever. In 400 years each month begins on every weekday, February
 * of leap years too, so these are all the months there are.
 */
static bool comes(const struct core_cron *cron)
{
    static const int8_t longest[13] = { 0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    for (int month = 1; month <= 12; month++)
        for (int first_weekday = 0; first_weekday < 7; first_weekday++)
            if (cron->month >> month & 1 &&
                (core_cron_days(cron, longest[month], first_weekday) ||
                 (month == 2 && core_cron_days(cron, 28, first_weekday))))
                return true;
    return false;
}

enum rc_code core_cron_parse(const char *text, const char *name, struct core_cron *out,
                             struct rc_error *err)
{
    struct core_cron_field fields[7];
    int count = split(text, fields);

    if (count > 0 &&
        (rc_str_starts(fields[0].text, "TZ=") || rc_str_starts(fields[0].text, "CRON_TZ=")))
        return rc_fail(err, RC_INVALID,
                       "the time zone does not stand in the expression but beside it, as "
                       "'time_zone'");
    if (count != 5 && count != 6)
        return wrong_count(count, err);
    *out = (struct core_cron){ .second = 1 }; /* at second 0 where there is no field for it */
    for (int i = 0; i < count; i++) {
        fields[i].id = (enum core_cron_field_id)(i + CORE_CRON_FIELDS - count);
        if (core_cron_field_parse(&fields[i], name, out, err))
            return err->code;
    }
    if (!comes(out)) {
        RC_STR_AUTO day = rc_strndup(fields[count - 3].text, fields[count - 3].len);
        RC_STR_AUTO month = rc_strndup(fields[count - 2].text, fields[count - 2].len);

        return rc_fail(err, RC_INVALID,
                       "it never comes: the day of month '%s' does not exist in month '%s'; for "
                       "the last day of a month write L",
                       day, month);
    }
    out->every_day = !out->day_restricted && !out->weekday_restricted && out->month == 0x1ffe;
    return RC_OK;
}
