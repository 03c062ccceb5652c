/*
 * One field of a cron expression: a list of values, names, ranges, steps and the forms of
 * days (L, W, #), and H for a value that follows from a name.
 */
#include <schedule/cron.h>

#include <base/nearest.h>
#include <run-core/str.h>

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Larger numbers mean nothing in any field. */
enum { MOST = 999999, SHOWN = 40 };

struct rule {
    int low, high;
    int hash_high;            /* 'H' alone takes no value above */
    const char *const *names; /* of the values 0, 1, ...; or NULL */
    size_t name_count;
    const char *values; /* for messages */
};

const char *const core_cron_field_names[CORE_CRON_FIELDS] = {
    "second", "minute", "hour", "day of month", "month", "weekday",
};

const char *const core_cron_month_names[13] = {
    NULL, "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
};

const char *const core_cron_weekday_names[8] = {
    "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL,
};

/* The days 29 to 31 are left to those who ask for them: H shall come every month. */
static const struct rule rules[CORE_CRON_FIELDS] = {
    [CORE_CRON_SECOND] = { 0, 59, 59, NULL, 0, "0 to 59" },
    [CORE_CRON_MINUTE] = { 0, 59, 59, NULL, 0, "0 to 59" },
    [CORE_CRON_HOUR] = { 0, 23, 23, NULL, 0, "0 to 23" },
    [CORE_CRON_DAY] = { 1, 31, 28, NULL, 0, "1 to 31, or L for the last" },
    [CORE_CRON_MONTH] = { 1, 12, 12, core_cron_month_names, 13, "1 to 12 or JAN to DEC" },
    [CORE_CRON_WEEKDAY] = { 0, 7, 6, core_cron_weekday_names, 8,
                            "0 to 7 (0 and 7 are Sunday) or SUN to SAT" },
};

/* Where the reading of a field stands. */
struct reader {
    const struct core_cron_field *field;
    const struct rule *rule;
    const char *name;            /* for H; may be NULL */
    const char *item, *at, *end; /* an item of the list is from 'item' to 'end' */
    struct core_cron *cron;
    uint64_t set;
    struct rc_error *err;
};

/* ---- messages -------------------------------------------------------------------------------- */

/* What a message shows of a text: on one line, and not all of a long one. */
static const char *show(const char *text, size_t len, char out[SHOWN + 4])
{
    size_t shown = len <= SHOWN ? len : SHOWN;

    while (shown < len && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80)
        shown--; /* not in the middle of a character */
    for (size_t i = 0; i < shown; i++)
        out[i] = iscntrl((unsigned char)text[i]) ? '?' : text[i];
    (void)snprintf(out + shown, 4, "%s", shown < len ? "..." : "");
    return out;
}

static enum rc_code wrong(struct reader *reader, const char *format, ...) RC_PRINTF(2, 3);

static enum rc_code wrong(struct reader *reader, const char *format, ...)
{
    const struct core_cron_field *field = reader->field;
    char message[256];
    char shown[SHOWN + 4];
    int place = field->place;
    va_list arguments;

    for (const char *at = field->text; at < reader->item; at++)
        place += ((unsigned char)*at & 0xc0) != 0x80 ? 1 : 0;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    return rc_fail(reader->err, RC_INVALID, "%s '%s' at character %d: %s",
                   core_cron_field_names[field->id],
                   show(reader->item, (size_t)(reader->end - reader->item), shown), place, message);
}

/* The word at the reader is no value of the field; what it may mean. */
static enum rc_code wrong_word(struct reader *reader, size_t len)
{
    const struct rule *rule = reader->rule;
    RC_STR_AUTO word = rc_strndup(reader->at, len);
    const char *nearest = NULL;
    char shown[SHOWN + 4];

    for (size_t i = 0; i < rule->name_count; i++) /* "Monday" */
        if (rule->names[i] && strncasecmp(word, rule->names[i], 3) == 0)
            nearest = rule->names[i];
    if (!nearest && rule->names)
        nearest = core_nearest(word, rule->names, rule->name_count);
    if (nearest)
        return wrong(reader, "there is no %s '%s'; did you mean %s?",
                     core_cron_field_names[reader->field->id], show(word, len, shown), nearest);
    return wrong(reader, "the %s is %s, not '%s'", core_cron_field_names[reader->field->id],
                 rule->values, show(word, len, shown));
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static bool is_at(const struct reader *reader, char c)
{
    return reader->at < reader->end && toupper((unsigned char)*reader->at) == c;
}

static bool take(struct reader *reader, char c)
{
    if (!is_at(reader, c))
        return false;
    reader->at++;
    return true;
}

static bool at_end(const struct reader *reader)
{
    return reader->at == reader->end;
}

static bool is_digit(const struct reader *reader)
{
    return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

static enum rc_code read_number(struct reader *reader, int *out)
{
    *out = 0;
    while (is_digit(reader)) {
        *out = *out * 10 + (*reader->at++ - '0');
        if (*out > MOST)
            return wrong(reader, "the number is too large");
    }
    return RC_OK;
}

static size_t word_length(const struct reader *reader)
{
    size_t len = 0;

    while (reader->at + len < reader->end && isalpha((unsigned char)reader->at[len]))
        len++;
    return len;
}

/* A name of three letters; a weekday's may have the 'L' of the last one behind it. */
static enum rc_code read_name(struct reader *reader, int *out)
{
    const struct rule *rule = reader->rule;
    size_t len = word_length(reader);
    bool last = reader->field->id == CORE_CRON_WEEKDAY && len == 4 &&
                toupper((unsigned char)reader->at[3]) == 'L';

    for (size_t i = 0; i < rule->name_count; i++)
        if (rule->names[i] && (len == 3 || last) &&
            strncasecmp(reader->at, rule->names[i], 3) == 0) {
            reader->at += 3;
            *out = (int)i;
            return RC_OK;
        }
    return wrong_word(reader, len);
}

/* A value of the field, as a number or a name. */
static enum rc_code read_value(struct reader *reader, int *out)
{
    const struct rule *rule = reader->rule;

    if (is_digit(reader)) {
        if (read_number(reader, out))
            return reader->err->code;
        if (*out < rule->low || *out > rule->high)
            return wrong(reader, "the %s is %s, not %d", core_cron_field_names[reader->field->id],
                         rule->values, *out);
        return RC_OK;
    }
    if (word_length(reader) > 0)
        return read_name(reader, out);
    if (at_end(reader))
        return wrong(reader, "a value is missing at its end; the %s is %s",
                     core_cron_field_names[reader->field->id], rule->values);
    return wrong_word(reader, (size_t)(reader->end - reader->at));
}

/* "/15", or nothing, which is a step of 1. */
static enum rc_code read_step(struct reader *reader, int *out)
{
    *out = 1;
    if (!take(reader, '/'))
        return RC_OK;
    if (!is_digit(reader))
        return wrong(reader, "a number is missing behind '/'");
    if (read_number(reader, out))
        return reader->err->code;
    if (*out == 0)
        return wrong(reader, "a step of 0 never moves on; it is at least 1");
    return RC_OK;
}

static void add_values(struct reader *reader, int low, int high, int step)
{
    for (int value = low; value <= high; value += step)
        reader->set |= UINT64_C(1) << value;
}

static void note_interval(struct reader *reader)
{
    if (reader->field->id <= CORE_CRON_HOUR)
        reader->cron->interval = true;
}

/* ---- H --------------------------------------------------------------------------------------- */

/*
 * FNV-1a of the field's number and the name, its bits then mixed as the finaliser of MurmurHash3
 * does, since names such as job-1 and job-2 differ only at their end. Never to be changed: it would
 * move the schedules of everybody.
 */
static uint64_t hash(enum core_cron_field_id id, const char *name)
{
    uint64_t value = (UINT64_C(0xcbf29ce484222325) ^ (uint64_t)id) * UINT64_C(0x100000001b3);

    for (; name && *name != '\0'; name++)
        value = (value ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    value = (value ^ value >> 33) * UINT64_C(0xff51afd7ed558ccd);
    value = (value ^ value >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return value ^ value >> 33;
}

/* "H", "H(1-5)", "H/15", "H(0-29)/10", behind the H. */
static enum rc_code read_hash(struct reader *reader)
{
    uint64_t hashed = hash(reader->field->id, reader->name);
    int low = reader->rule->low;
    int high = reader->rule->hash_high;
    int step = 0;

    reader->cron->hashed = true;
    if (take(reader, '(')) {
        if (read_value(reader, &low))
            return reader->err->code;
        if (!take(reader, '-'))
            return wrong(reader, "H takes a range, such as H(%d-%d)", reader->rule->low,
                         reader->rule->hash_high);
        if (read_value(reader, &high))
            return reader->err->code;
        if (!take(reader, ')'))
            return wrong(reader, "the ')' of H is missing");
        if (low > high)
            return wrong(reader, "the range of H runs backwards");
    }
    int count = high - low + 1;
    if (!is_at(reader, '/')) {
        int value = low + (int)(hashed % (uint64_t)count);

        add_values(reader, value, value, 1);
        return RC_OK;
    }
    if (read_step(reader, &step))
        return reader->err->code;
    note_interval(reader);
    low += (int)(hashed % (uint64_t)(step < count ? step : count));
    add_values(reader, low, high, step);
    return RC_OK;
}

/* ---- days ------------------------------------------------------------------------------------ */

/* "L", "L-3", "LW", behind the L. */
static enum rc_code read_last_day(struct reader *reader)
{
    int before = 0;

    if (take(reader, 'W')) {
        reader->cron->last_working = true;
        return RC_OK;
    }
    if (take(reader, '-')) {
        if (!is_digit(reader))
            return wrong(reader, "a number of days is missing behind 'L-'");
        if (read_number(reader, &before))
            return reader->err->code;
        if (before > 30)
            return wrong(reader, "no month has %d days before its last; at most L-30", before);
    }
    reader->cron->from_last |= UINT32_C(1) << before;
    return RC_OK;
}

/* "FRIL", "5L", "MON#2", "1#2", behind the weekday. */
static enum rc_code read_nth_weekday(struct reader *reader, int weekday)
{
    int nth = 0;

    if (!take(reader, 'L')) {
        reader->at++; /* the '#' */
        if (!is_digit(reader))
            return wrong(reader, "a number from 1 to 5 is missing behind '#'");
        if (read_number(reader, &nth))
            return reader->err->code;
        if (nth < 1 || nth > 5)
            return wrong(reader,
                         "a month has a first to fifth weekday, so behind '#' stands 1 "
                         "to 5; for the last write %dL",
                         weekday);
    }
    reader->cron->nth_weekday[nth] |= (uint8_t)(1u << weekday % 7);
    return RC_OK;
}

/* ---- items ----------------------------------------------------------------------------------- */

static enum rc_code wrong_direction(struct reader *reader, int low, int high)
{
    bool weekday = reader->field->id == CORE_CRON_WEEKDAY;

    if (weekday && low == 7)
        return wrong(reader, "the range runs backwards; write it as 0-%d", high);
    return wrong(reader, "the range runs backwards; write it as two, %d-%d,%d-%d", low,
                 weekday ? 6 : reader->rule->high, reader->rule->low, high);
}

/* A value with what stands behind it: "5", "1-5", "1-5/2", "5/2", "15W", "5L", "5#2". */
static enum rc_code read_range(struct reader *reader)
{
    enum core_cron_field_id id = reader->field->id;
    int low = 0;
    int step = 0;

    if (read_value(reader, &low))
        return reader->err->code;
    if (id == CORE_CRON_DAY && take(reader, 'W')) {
        reader->cron->working |= UINT32_C(1) << low;
        return RC_OK;
    }
    if (id == CORE_CRON_WEEKDAY && (is_at(reader, 'L') || is_at(reader, '#')))
        return read_nth_weekday(reader, low);

    int high = low;
    if (is_at(reader, '/')) { /* up to the end; which of the weekdays is Saturday, if not Sunday */
        high = id == CORE_CRON_WEEKDAY && low < 7 ? 6 : reader->rule->high;
        note_interval(reader);
    } else if (take(reader, '-')) {
        note_interval(reader);
        if (read_value(reader, &high))
            return reader->err->code;
        if (id == CORE_CRON_WEEKDAY && high == 0 && low > 0)
            high = 7; /* "FRI-SUN" */
        if (high < low)
            return wrong_direction(reader, low, high);
    }
    if (read_step(reader, &step))
        return reader->err->code;
    add_values(reader, low, high, step);
    return RC_OK;
}

static enum rc_code read_all(struct reader *reader)
{
    enum core_cron_field_id id = reader->field->id;
    int step = 0;

    note_interval(reader);
    if (read_step(reader, &step))
        return reader->err->code;
    add_values(reader, reader->rule->low, id == CORE_CRON_WEEKDAY ? 6 : reader->rule->high, step);
    return RC_OK;
}

static bool is_day(enum core_cron_field_id id)
{
    return id == CORE_CRON_DAY || id == CORE_CRON_WEEKDAY;
}

/* What has a meaning elsewhere, and none here. */
static enum rc_code wrong_letter(struct reader *reader)
{
    if (is_at(reader, '?'))
        return wrong(reader, "'?' stands alone, for the day of month or the weekday; here write *");
    if (reader->field->id == CORE_CRON_WEEKDAY)
        return wrong(reader, "L stands behind a weekday, as in 5L, the last Friday of a month");
    return wrong(reader, "L stands for the last day of a month, so only in the day of month, and "
                         "behind a weekday");
}

static enum rc_code read_item(struct reader *reader)
{
    enum core_cron_field_id id = reader->field->id;
    enum rc_code code;

    if (at_end(reader))
        return wrong(reader, "a value is missing before or behind a comma");
    if (take(reader, '*'))
        code = read_all(reader);
    else if (is_at(reader, 'H') && word_length(reader) == 1 && take(reader, 'H'))
        code = read_hash(reader);
    else if (id == CORE_CRON_DAY && take(reader, 'L'))
        code = read_last_day(reader);
    else if (is_at(reader, '?') || (is_at(reader, 'L') && word_length(reader) == 1))
        code = wrong_letter(reader);
    else
        code = read_range(reader);
    if (code || at_end(reader))
        return code;

    char shown[SHOWN + 4];
    return wrong(reader,
                 "'%s' does not belong there; the %s is %s, a range such as 1-5, a step such "
                 "as */2 or 1-5/2, or a list of those",
                 show(reader->at, (size_t)(reader->end - reader->at), shown),
                 core_cron_field_names[id], reader->rule->values);
}

/* ---- the field ------------------------------------------------------------------------------- */

static void store(const struct reader *reader, bool restricted)
{
    struct core_cron *cron = reader->cron;
    uint64_t set = reader->set;

    switch (reader->field->id) {
    case CORE_CRON_SECOND:
        cron->second = set;
        break;
    case CORE_CRON_MINUTE:
        cron->minute = set;
        break;
    case CORE_CRON_HOUR:
        cron->hour = (uint32_t)set;
        break;
    case CORE_CRON_DAY:
        cron->day = (uint32_t)set;
        cron->day_restricted = restricted;
        break;
    case CORE_CRON_MONTH:
        cron->month = (uint16_t)set;
        break;
    case CORE_CRON_WEEKDAY: /* 7 is 0 */
        cron->weekday = (uint8_t)((set | set >> 7) & 0x7f);
        cron->weekday_restricted = restricted;
        break;
    case CORE_CRON_FIELDS:
        break;
    }
}

enum rc_code core_cron_field_parse(const struct core_cron_field *field, const char *name,
                                   struct core_cron *out, struct rc_error *err)
{
    const char *end = field->text + field->len;
    struct reader reader = {
        .field = field, .rule = &rules[field->id], .name = name, .cron = out, .err = err
    };
    bool bare =
        field->len == 1 && (field->text[0] == '*' || (field->text[0] == '?' && is_day(field->id)));

    if (bare && field->text[0] == '?') {
        add_values(&reader, reader.rule->low, reader.rule->high, 1);
        store(&reader, false);
        return RC_OK;
    }
    for (const char *at = field->text;; at = reader.end + 1) {
        const char *comma = memchr(at, ',', (size_t)(end - at));

        reader.item = reader.at = at;
        reader.end = comma ? comma : end;
        if (read_item(&reader))
            return err->code;
        if (!comma)
            break;
    }
    store(&reader, !bare);
    return RC_OK;
}
