/*
 * Reads the template once, and what paths say by it. Which prefixes a rule moves is prefixes.c's.
 */
#include "path_template.h"

#include <run-core/str.h>
#include <run-core/time.h>

#include <string.h>

enum { HOUR_MS = 3600000, FIRST_YEAR = 1, LAST_YEAR = 9999 };

static const struct {
    const char *name;
    size_t digits;
} levels[SDRS_LEVELS] = {
    [SDRS_YEAR] = { "{yyyy}", 4 },
    [SDRS_MON] = { "{mm}", 2 },
    [SDRS_MDAY] = { "{dd}", 2 },
    [SDRS_HOUR] = { "{hh}", 2 },
};

static const char forms[] = "write such as {yyyy}/{mm}/{dd}/{hh}, dt={yyyy}-{mm}-{dd} or "
                            "year={yyyy}/month={mm}";

/* ---- the template ---- */

/* The end of the placeholder of 'level' if it stands at 'at', else 0. */
static size_t placeholder(const char *text, size_t at, enum sdrs_level level)
{
    return rc_str_starts(text + at, levels[level].name) ? at + strlen(levels[level].name) : 0;
}

static enum rc_code check_literals(const char *text, struct rc_error *err)
{
    if (text[0] == '/')
        return rc_fail(err, RC_INVALID,
                       "the template '%s' begins with a slash, but stands behind that of the "
                       "dataset",
                       text);
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return rc_fail(err, RC_INVALID, "the template has a control character");
    return RC_OK;
}

/* What stands at 'at', where the placeholder of 'next' would be the right one. */
static enum rc_code fail_placeholder(const char *text, size_t at, int next, struct rc_error *err)
{
    int level = 0;

    while (level < SDRS_LEVELS && !placeholder(text, at, (enum sdrs_level)level))
        level++;
    if (level == SDRS_LEVELS)
        return rc_fail(err, RC_INVALID,
                       "the template '%s' has '%.*s' where only {yyyy}, {mm}, {dd} or {hh} can be; "
                       "%s",
                       text, (int)strcspn(text + at, "/"), text + at, forms);
    if (level < next)
        return rc_fail(err, RC_INVALID,
                       "the template '%s' has %s twice or behind what is finer; %s", text,
                       levels[level].name, forms);
    return rc_fail(err, RC_INVALID, "the template '%s' has %s without %s before it; %s", text,
                   levels[level].name, levels[next].name, forms);
}

/* Where the prefix of a level ends whose placeholder ends at 'from', and the next begins at 'to':
 * behind the last slash between them, else behind all that is between them. */
static size_t prefix_end(const char *text, size_t from, size_t to)
{
    for (size_t end = to; end > from; end--)
        if (text[end - 1] == '/')
            return end;
    return to;
}

enum rc_code sdrs_template_parse(const char *text, struct sdrs_template *out, struct rc_error *err)
{
    size_t behind[SDRS_LEVELS] = { 0 };
    size_t at = 0;
    int next = 0;

    *out = (struct sdrs_template){ .text = text };
    if (check_literals(text, err))
        return err->code;
    while (text[at += strcspn(text + at, "{}")]) {
        if (next == SDRS_LEVELS || !placeholder(text, at, (enum sdrs_level)next))
            return fail_placeholder(text, at, next, err);
        out->begin[next] = at;
        at = behind[next] = placeholder(text, at, (enum sdrs_level)next);
        next++;
    }
    if (next == 0)
        return rc_fail(err, RC_INVALID, "the template '%s' has no {yyyy}; %s", text, forms);
    if (memchr(text, '/', out->begin[SDRS_YEAR]))
        return rc_fail(err, RC_INVALID,
                       "the template '%s' has a folder before the year: it belongs to the dataset "
                       "of each rule",
                       text);
    out->finest = (enum sdrs_level)(next - 1);
    for (int level = 0; level < next - 1; level++)
        out->end[level] = prefix_end(text, behind[level], out->begin[level + 1]);
    out->end[out->finest] = at;
    return RC_OK;
}

/* ---- hours ---- */

struct sdrs_hour sdrs_hour_of(int64_t unix_ms)
{
    int64_t first_ms = rc_day_from_date(FIRST_YEAR, 1, 1) * RC_DAY_MS;
    int64_t last_ms = rc_day_from_date(LAST_YEAR + 1, 1, 1) * RC_DAY_MS - 1;
    struct sdrs_hour hour;
    int64_t day;

    if (unix_ms < first_ms)
        unix_ms = first_ms;
    if (unix_ms > last_ms)
        unix_ms = last_ms;
    day = unix_ms / RC_DAY_MS - (unix_ms % RC_DAY_MS < 0);
    rc_day_to_date((int32_t)day, &hour.year, &hour.month, &hour.day);
    hour.hour = (int)((unix_ms - day * RC_DAY_MS) / HOUR_MS);
    return hour;
}

int64_t sdrs_hour_unix_ms(const struct sdrs_hour *hour)
{
    return rc_day_from_date(hour->year, hour->month, hour->day) * RC_DAY_MS +
           (int64_t)hour->hour * HOUR_MS;
}

int *sdrs_hour_part(struct sdrs_hour *hour, enum sdrs_level level)
{
    switch (level) {
    case SDRS_YEAR:
        return &hour->year;
    case SDRS_MON:
        return &hour->month;
    case SDRS_MDAY:
        return &hour->day;
    default:
        return &hour->hour;
    }
}

static bool exists(const struct sdrs_hour *hour)
{
    int year, month, day;

    if (hour->year < FIRST_YEAR || hour->month < 1 || hour->month > 12 || hour->day < 1 ||
        hour->day > 31 || hour->hour > 23)
        return false;
    rc_day_to_date(rc_day_from_date(hour->year, hour->month, hour->day), &year, &month, &day);
    return month == hour->month;
}

/* When the year, month, day or hour ends that begins then. */
static int64_t end_of(struct sdrs_hour hour, enum sdrs_level level)
{
    if (level == SDRS_YEAR) {
        hour.year++;
    } else if (level == SDRS_MON) {
        hour.year += hour.month == 12;
        hour.month = hour.month % 12 + 1;
    } else {
        return sdrs_hour_unix_ms(&hour) + (level == SDRS_MDAY ? RC_DAY_MS : HOUR_MS);
    }
    return sdrs_hour_unix_ms(&hour);
}

/* ---- paths ---- */

/* Whether the prefix of that level has a slash to be added that the text does not have. */
static bool lacks_slash(const struct sdrs_template *template, enum sdrs_level level)
{
    return level == template->finest && template->text[template->end[level] - 1] != '/';
}

void sdrs_template_add(const struct sdrs_template *template, enum sdrs_level level,
                       const struct sdrs_hour *at, struct rc_buf *out)
{
    struct sdrs_hour hour = *at;
    size_t from = 0;

    RC_ASSERT(level <= template->finest);
    for (int i = 0; i <= (int)level; i++) {
        enum sdrs_level each = (enum sdrs_level)i;

        rc_buf_add(out, template->text + from, template->begin[each] - from);
        rc_buf_addf(out, "%0*d", (int)levels[each].digits, *sdrs_hour_part(&hour, each));
        from = template->begin[each] + strlen(levels[each].name);
    }
    rc_buf_add(out, template->text + from, template->end[level] - from);
    if (lacks_slash(template, level))
        rc_buf_addc(out, '/');
}

static bool read_digits(const char *text, size_t digits, int *out)
{
    int number = 0;

    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = 10 * number + (text[i] - '0');
    }
    *out = number;
    return true;
}

/* Reads what sdrs_template_add() makes of a level, at the beginning of a path. */
static bool read_prefix(const struct sdrs_template *template, enum sdrs_level level,
                        const char *path, struct sdrs_hour *hour)
{
    size_t from = 0, len;

    for (int i = 0; i <= (int)level; i++) {
        enum sdrs_level each = (enum sdrs_level)i;

        len = template->begin[each] - from;
        if (strncmp(path, template->text + from, len) != 0 ||
            !read_digits(path + len, levels[each].digits, sdrs_hour_part(hour, each)))
            return false;
        path += len + levels[each].digits;
        from = template->begin[each] + strlen(levels[each].name);
    }
    len = template->end[level] - from;
    return strncmp(path, template->text + from, len) == 0 &&
           (!lacks_slash(template, level) || path[len] == '/');
}

bool sdrs_template_end_of(const struct sdrs_template *template, const char *path,
                          int64_t *end_unix_ms)
{
    struct sdrs_hour hour = { .month = 1, .day = 1 };

    if (!read_prefix(template, template->finest, path, &hour) || !exists(&hour))
        return false;
    *end_unix_ms = end_of(hour, template->finest);
    return true;
}

bool sdrs_template_year_of(const struct sdrs_template *template, const char *path, int *year)
{
    struct sdrs_hour hour = { .month = 1, .day = 1 };

    if (!read_prefix(template, SDRS_YEAR, path, &hour) || !exists(&hour))
        return false;
    *year = hour.year;
    return true;
}
