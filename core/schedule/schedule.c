/*
 * Schedules: what kind a text is, and from the wall times that cron_next.c finds to the instants
 * at which they are due, through the clock changes of a time zone.
 *
 * Two rules serve all. An instant is due when its wall time matches: never in a gap, in both passes
 * of an overlap. Or a wall time is due when it has come: at the first instant that shows it or a
 * later one. The second gives the instant behind a gap once, and the first pass only.
 */
#include <schedule/internal.h>

#include <base/nearest.h>
#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 2000 };

/* Longer ones are a mistake, and slots stay far from overflow. */
#define MOST_EVERY_MS (INT64_C(3660) * RC_DAY_MS)

static const char blanks[] = " \t\r\n\v\f";

/* ---- the text -------------------------------------------------------------------------------- */

struct macro {
    const char *name, *cron;
};

static const struct macro macros[] = {
    { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" },
    { "@weekly", "0 0 * * 0" }, { "@daily", "0 0 * * *" },    { "@midnight", "0 0 * * *" },
    { "@hourly", "0 * * * *" },
};

static enum rc_code unknown_macro(const char *word, struct rc_error *err)
{
    const char *names[RC_ARRAY_LEN(macros) + 2] = { "@every", "@startup" };
    const char *nearest;

    for (size_t i = 0; i < RC_ARRAY_LEN(macros); i++)
        names[i + 2] = macros[i].name;
    nearest = strcasecmp(word, "@reboot") == 0 ? "@startup"
                                               : core_nearest(word, names, RC_ARRAY_LEN(names));
    if (nearest)
        return rc_fail(err, RC_INVALID, "there is no such word; did you mean %s?", nearest);
    return rc_fail(err, RC_INVALID,
                   "there is no such word; there are @yearly, @annually, @monthly, @weekly, "
                   "@daily, @midnight, @hourly, @every DURATION and @startup");
}

static enum rc_code parse_every(const char *duration, struct core_schedule *out,
                                struct rc_error *err)
{
    out->kind = CORE_SCHEDULE_EVERY;
    if (!rc_parse_duration(duration, &out->every_ms))
        return rc_fail(err, RC_INVALID,
                       "behind @every stands a duration such as 30s, 15m, 2h or 1h30m");
    if (out->every_ms < 1000 || out->every_ms % 1000 != 0 || out->every_ms > MOST_EVERY_MS)
        return rc_fail(err, RC_INVALID,
                       "behind @every stands a duration of whole seconds, from 1s to 3660d");
    return RC_OK;
}

/* A text that begins with '@'; without blanks around it. */
static enum rc_code parse_macro(const char *text, const char *name, struct core_schedule *out,
                                struct rc_error *err)
{
    size_t len = strcspn(text, blanks);
    const char *rest = text + len + strspn(text + len, blanks);
    RC_STR_AUTO word = rc_strndup(text, len);

    if (strcasecmp(word, "@every") == 0)
        return parse_every(rest, out, err);
    if (*rest != '\0')
        return rc_fail(err, RC_INVALID, "nothing stands behind %s", word);
    if (strcasecmp(word, "@startup") == 0) {
        out->kind = CORE_SCHEDULE_STARTUP;
        return RC_OK;
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(macros); i++)
        if (strcasecmp(word, macros[i].name) == 0)
            return core_cron_parse(macros[i].cron, name, &out->cron, err);
    return unknown_macro(word, err);
}

/* What a message shows of the whole text: on one line, and not all of a long one. */
static void shorten(const char *text, struct rc_buf *out)
{
    for (; *text != '\0' && out->len < 80; text++)
        rc_buf_addc(out, (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text);
    if (*text != '\0')
        rc_buf_adds(out, "...");
}

static enum rc_code parse(const char *name, struct core_schedule *out, struct rc_error *err)
{
    RC_BUF_AUTO(shown, 256);
    enum rc_code code;

    if (strlen(out->text) > LONGEST)
        code = rc_fail(err, RC_INVALID, "it is longer than %d bytes", (int)LONGEST);
    else if (out->text[0] == '@')
        code = parse_macro(out->text, name, out, err);
    else
        code = core_cron_parse(out->text, name, &out->cron, err);
    if (!code)
        return RC_OK;
    shorten(out->text, &shown);
    return rc_context(err, "schedule '%s'", shown.data);
}

/* ---- a schedule ------------------------------------------------------------------------------ */

enum rc_code core_schedule_parse(const char *text, const struct core_schedule_options *options,
                                 struct core_schedule **out, struct rc_error *err)
{
    struct core_schedule *schedule;
    size_t len;

    text += strspn(text, blanks);
    len = strlen(text);
    while (len > 0 && strchr(blanks, text[len - 1]))
        len--;
    schedule = rc_calloc(1, sizeof(*schedule) + len + 1);
    memcpy(schedule->text, text, len);
    if (parse(options->name, schedule, err)) {
        core_schedule_free(schedule);
        return err->code;
    }
    schedule->zone = options->zone;
    schedule->skip_gap =
        options->gap == CORE_GAP_AUTO ? schedule->cron.interval : options->gap == CORE_GAP_SKIP;
    schedule->both_passes = options->overlap == CORE_OVERLAP_AUTO
                                ? schedule->cron.interval
                                : options->overlap == CORE_OVERLAP_BOTH;
    *out = schedule;
    return RC_OK;
}

void core_schedule_free(struct core_schedule *schedule)
{
    free(schedule);
}

enum core_schedule_kind core_schedule_kind(const struct core_schedule *schedule)
{
    return schedule->kind;
}

const struct core_cron *core_schedule_cron(const struct core_schedule *schedule)
{
    return schedule->kind == CORE_SCHEDULE_CRON ? &schedule->cron : NULL;
}

bool core_schedule_is_of_name(const struct core_schedule *schedule)
{
    return schedule->kind == CORE_SCHEDULE_CRON && schedule->cron.hashed;
}

int64_t core_schedule_every_ms(const struct core_schedule *schedule)
{
    return schedule->kind == CORE_SCHEDULE_EVERY ? schedule->every_ms : 0;
}

/* ---- the next slot --------------------------------------------------------------------------- */

/* The first instant behind 'after_s' whose wall time matches. */
static bool next_matching(const struct core_schedule *schedule, int64_t after_s, int64_t *slot_s)
{
    int64_t at = after_s + 1;
    int64_t wall_s = 0;

    for (;;) {
        struct core_tz_span span = core_time_zone_span(schedule->zone, at);

        if (!core_cron_next_wall(&schedule->cron, at + span.offset_s, &wall_s))
            return false;
        if (wall_s - span.offset_s < span.until_s) {
            *slot_s = wall_s - span.offset_s;
            return true;
        }
        /*
         * Not before the clocks change. Where neither end is near the change, no zone shows a
         * matching wall time until shortly before that one, however often its clocks change.
         */
        if (at < span.until_s - CORE_TIME_ZONE_NEAR_S &&
            wall_s - CORE_TIME_ZONE_NEAR_S > span.until_s)
            at = wall_s - CORE_TIME_ZONE_NEAR_S;
        else
            at = span.until_s;
    }
}

/* The first instant behind 'after_s' at which a matching wall time has come. */
static bool next_reached(const struct core_schedule *schedule, int64_t after_s, int64_t *slot_s)
{
    int64_t wall_s = core_time_zone_shown_s(schedule->zone, after_s) + 1;

    for (;;) {
        if (!core_cron_next_wall(&schedule->cron, wall_s, &wall_s))
            return false;
        *slot_s = core_time_zone_reach_s(schedule->zone, wall_s);
        if (!schedule->skip_gap)
            return true;

        int64_t shown_s = *slot_s + core_time_zone_offset_s(schedule->zone, *slot_s);
        if (shown_s == wall_s)
            return true;
        wall_s = shown_s; /* it lay in a gap, as does all up to here */
    }
}

static bool next_cron(const struct core_schedule *schedule, int64_t after_s, int64_t *slot_s)
{
    int64_t other_s = 0;

    if (!schedule->zone)
        return core_cron_next_wall(&schedule->cron, after_s + 1, slot_s);
    if (!schedule->both_passes)
        return next_reached(schedule, after_s, slot_s);
    if (schedule->skip_gap)
        return next_matching(schedule, after_s, slot_s);

    /* Both passes, and the instants behind gaps. */
    if (!next_reached(schedule, after_s, slot_s))
        return next_matching(schedule, after_s, slot_s);
    if (next_matching(schedule, after_s, &other_s) && other_s < *slot_s)
        *slot_s = other_s;
    return true;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

bool core_schedule_next(const struct core_schedule *schedule, int64_t after_unix_ms,
                        int64_t *slot_unix_ms)
{
    const int64_t first_s = CORE_CRON_FIRST_S - 1;
    const int64_t last_s = CORE_CRON_LAST_S;
    int64_t after_s = floor_div(after_unix_ms, 1000);
    int64_t slot_s = 0;

    if (schedule->kind == CORE_SCHEDULE_STARTUP || after_s > last_s)
        return false;
    if (after_s < first_s)
        after_s = first_s;
    if (schedule->kind == CORE_SCHEDULE_EVERY) {
        int64_t every_s = schedule->every_ms / 1000;

        slot_s = (floor_div(after_s, every_s) + 1) * every_s;
    } else if (!next_cron(schedule, after_s, &slot_s)) {
        return false;
    }
    if (slot_s > last_s)
        return false;
    *slot_unix_ms = slot_s * 1000;
    return true;
}
