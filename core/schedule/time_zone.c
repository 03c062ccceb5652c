/*
 * Time zones from TZif files (RFC 8536): the transitions that a file lists, and behind the
 * last of them the rule in its footer, which posix_tz.c reads.
 */
#include <schedule/time_zone.h>

#include <os/file.h>
#include <run-core/str.h>
#include <run-core/time.h>
#include <schedule/zone_names.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_S = 86400, LARGEST_FILE = 1 << 20, LONGEST_NAME = 255, HEADER_LEN = 44 };

/* What RFC 8536, section 3.2 asks of every offset. It bounds how far a search looks around. */
enum { LEAST_OFFSET_S = -89999, MOST_OFFSET_S = 93599, OFFSETS_S = MOST_OFFSET_S - LEAST_OFFSET_S };

/* Until when changes are found in the table; behind that the rule is worked out for each. */
enum { TABLE_YEAR = 2100 };

struct core_time_zone {
    char *name;
    size_t count;       /* of transitions */
    int64_t *at;        /* strictly ascending */
    int32_t *offset_s;  /* from at[i] on */
    int32_t earliest_s; /* the offset before the first transition */
    bool has_rule;      /* behind the last transition; else the last offset stays */
    struct core_tz_rule rule;
};

/* One header and the block of data behind it. */
struct block {
    const unsigned char *data;
    size_t time_size; /* 4, or 8 from version 2 on */
    uint32_t isut_count, isstd_count, leap_count, time_count, type_count, char_count;
    size_t len; /* of the data */
};

static uint32_t read_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int32_t read_i32(const unsigned char *at)
{
    uint32_t bits = read_u32(at);

    return bits <= INT32_MAX ? (int32_t)bits : -(int32_t)(UINT32_MAX - bits) - 1;
}

static int64_t read_time(const unsigned char *at, size_t size)
{
    int64_t high = read_i32(at);

    return size == 4 ? high : high * (INT64_C(1) << 32) + read_u32(at + 4);
}

/* Reads a header at 'at', of whose file 'rest' bytes are left. NULL, or what is wrong. */
static const char *read_block(const unsigned char *at, size_t rest, size_t time_size,
                              struct block *out)
{
    if (rest < HEADER_LEN || memcmp(at, "TZif", 4) != 0)
        return "it is not a TZif file";

    *out = (struct block){
        .data = at + HEADER_LEN,
        .time_size = time_size,
        .isut_count = read_u32(at + 20),
        .isstd_count = read_u32(at + 24),
        .leap_count = read_u32(at + 28),
        .time_count = read_u32(at + 32),
        .type_count = read_u32(at + 36),
        .char_count = read_u32(at + 40),
    };
    rest -= HEADER_LEN;
    /* Each of them has at least a byte in the file, so larger ones need no exact sum. */
    if (out->isut_count > rest || out->isstd_count > rest || out->leap_count > rest ||
        out->time_count > rest || out->type_count > rest || out->char_count > rest)
        return "it is shorter than its header says";

    out->len = out->time_count * (time_size + 1) + out->type_count * (size_t)6 + out->char_count +
               out->leap_count * (time_size + 4) + out->isstd_count + out->isut_count;
    if (out->len > rest)
        return "it is shorter than its header says";
    return NULL;
}

/* Takes the transitions of 'block' over into 'zone'. NULL, or what is wrong. */
static const char *take_transitions(const struct block *block, struct core_time_zone *zone)
{
    const unsigned char *times = block->data;
    const unsigned char *indices = times + block->time_count * block->time_size;
    const unsigned char *types = indices + block->time_count;

    if (block->leap_count > 0)
        return "it counts leap seconds; use the zone without 'right/'";
    if (block->type_count == 0 || block->type_count > 256)
        return "it has no local time type, or too many";
    for (size_t i = 0; i < block->type_count; i++) {
        int32_t offset_s = read_i32(types + i * 6);

        if (offset_s < LEAST_OFFSET_S || offset_s > MOST_OFFSET_S)
            return "an offset in it is more than a day";
    }

    zone->earliest_s = read_i32(types);
    zone->count = block->time_count;
    zone->at = rc_calloc(block->time_count, sizeof(*zone->at));
    zone->offset_s = rc_calloc(block->time_count, sizeof(*zone->offset_s));
    for (size_t i = 0; i < block->time_count; i++) {
        if (indices[i] >= block->type_count)
            return "a transition in it has no local time type";
        zone->at[i] = read_time(times + i * block->time_size, block->time_size);
        zone->offset_s[i] = read_i32(types + (size_t)indices[i] * 6);
        if (i > 0 && zone->at[i] <= zone->at[i - 1])
            return "its transitions are not in order";
    }
    return NULL;
}

/* Reads the footer, "\n", a rule or nothing, "\n". NULL, or what is wrong. */
static const char *take_footer(const unsigned char *at, size_t rest, struct core_time_zone *zone)
{
    const unsigned char *end = rest > 1 && at[0] == '\n' ? memchr(at + 1, '\n', rest - 1) : NULL;

    if (!end)
        return "it has no footer";
    if (end == at + 1)
        return NULL;

    RC_STR_AUTO text = rc_strndup((const char *)at + 1, (size_t)(end - at) - 1);
    if (!core_tz_rule_parse(text, &zone->rule))
        return "the rule in its footer cannot be read";
    zone->has_rule = true;
    return NULL;
}

/* Adds the changes of the rule up to TABLE_YEAR to the table, where they are found faster. */
static void extend_table(struct core_time_zone *zone)
{
    const int64_t end_s = (int64_t)rc_day_from_date(TABLE_YEAR, 1, 1) * DAY_S;
    const size_t room = zone->count + (size_t)(TABLE_YEAR - 1970) * 2;
    int64_t at = zone->count > 0 ? zone->at[zone->count - 1] : 0;

    if (!zone->has_rule || !zone->rule.has_daylight || zone->count == 0 || at < 0)
        return;
    zone->at = rc_realloc(zone->at, room * sizeof(*zone->at));
    zone->offset_s = rc_realloc(zone->offset_s, room * sizeof(*zone->offset_s));
    for (;;) {
        at = core_tz_rule_at(&zone->rule, at).until_s;
        if (at >= end_s || zone->count == room)
            return;
        zone->at[zone->count] = at;
        zone->offset_s[zone->count++] = core_tz_rule_at(&zone->rule, at).offset_s;
    }
}

/* NULL, or what is wrong with the file. */
static const char *parse(const unsigned char *file, size_t len, struct core_time_zone *zone)
{
    struct block block = { 0 };
    const char *problem = read_block(file, len, /* time_size = */ 4, &block);

    if (problem)
        return problem;
    if (file[4] < '2')
        return take_transitions(&block, zone);

    /* From version 2 on the same follows once more, with 64 bits, and that is what counts. */
    size_t second = HEADER_LEN + block.len;
    problem = read_block(file + second, len - second, /* time_size = */ 8, &block);
    if (!problem)
        problem = take_transitions(&block, zone);
    if (!problem) {
        size_t footer = second + HEADER_LEN + block.len;
        problem = take_footer(file + footer, len - footer, zone);
    }
    if (!problem)
        extend_table(zone);
    return problem;
}

/* Whether 'name' stays below the directory of zones: no empty, "." or ".." segment. */
static bool is_zone_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/.";
    size_t len = strlen(name);

    if (len == 0 || len > LONGEST_NAME || strspn(name, allowed) != len)
        return false;
    for (;;) {
        size_t segment = strcspn(name, "/");

        if (segment == 0 || name[0] == '.')
            return false;
        if (name[segment] == '\0')
            return true;
        name += segment + 1;
    }
}

static enum rc_code fail_unknown(const char *name, const char *directory, struct rc_error *err)
{
    RC_STR_AUTO nearest = core_time_zone_nearest(name);

    if (nearest)
        return rc_fail(err, RC_INVALID, "no time zone '%s' in '%s'; did you mean '%s'?", name,
                       directory, nearest);
    return rc_fail(err, RC_INVALID,
                   "no time zone '%s' in '%s'; see that the package tzdata is installed, and that "
                   "the name is an IANA one, such as Europe/Berlin",
                   name, directory);
}

static enum rc_code read_zone(const char *name, struct core_time_zone *zone, struct rc_error *err)
{
    const char *directory = core_time_zone_directory();
    RC_BUF_AUTO(file, LARGEST_FILE);

    RC_STR_AUTO path = rc_strf("%s/%s", directory, name);
    if (core_file_read(path, &file, err)) {
        /* INVALID: a directory such as "Europe". */
        if (err->code == RC_NOT_FOUND || err->code == RC_INVALID)
            return fail_unknown(name, directory, err);
        err->code = RC_INVALID;
        return rc_context(err, "load time zone '%s'", name);
    }

    const char *problem = parse((const unsigned char *)file.data, file.len, zone);
    if (problem)
        return rc_fail(err, RC_INVALID, "time zone '%s': '%s' cannot be used: %s", name, path,
                       problem);
    return RC_OK;
}

enum rc_code core_time_zone_load(const char *name, struct core_time_zone **out,
                                 struct rc_error *err)
{
    if (!is_zone_name(name))
        return rc_fail(err, RC_INVALID,
                       "'%s' is not the name of a time zone; write it as Europe/Berlin or UTC",
                       name);

    struct core_time_zone *zone = rc_calloc(1, sizeof(*zone));
    zone->name = rc_strdup(name);
    bool is_utc = strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0;
    if (!is_utc && read_zone(name, zone, err)) {
        core_time_zone_free(zone);
        return err->code;
    }
    *out = zone;
    return RC_OK;
}

void core_time_zone_free(struct core_time_zone *zone)
{
    if (!zone)
        return;
    free(zone->name);
    free(zone->at);
    free(zone->offset_s);
    free(zone);
}

const char *core_time_zone_name(const struct core_time_zone *zone)
{
    return zone->name;
}

/* The number of transitions at or before an instant. */
static size_t transitions_until(const struct core_time_zone *zone, int64_t unix_s)
{
    size_t low = 0;
    size_t high = zone->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (zone->at[middle] <= unix_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct core_tz_span core_time_zone_span(const struct core_time_zone *zone, int64_t unix_s)
{
    size_t passed = transitions_until(zone, unix_s);
    int64_t from_s = passed > 0 ? zone->at[passed - 1] : INT64_MIN;

    if (passed == zone->count && zone->has_rule) {
        struct core_tz_span span = core_tz_rule_at(&zone->rule, unix_s);

        if (span.from_s < from_s)
            span.from_s = from_s;
        return span;
    }
    return (struct core_tz_span){
        .offset_s = passed > 0 ? zone->offset_s[passed - 1] : zone->earliest_s,
        .from_s = from_s,
        .until_s = passed < zone->count ? zone->at[passed] : INT64_MAX,
    };
}

int32_t core_time_zone_offset_s(const struct core_time_zone *zone, int64_t unix_s)
{
    return core_time_zone_span(zone, unix_s).offset_s;
}

int64_t core_time_zone_shown_s(const struct core_time_zone *zone, int64_t unix_s)
{
    struct core_tz_span span = core_time_zone_span(zone, unix_s);
    int64_t latest_s = unix_s + span.offset_s;

    /* What was shown longer ago than offsets can differ is surely behind this. */
    while (span.from_s > unix_s - OFFSETS_S) {
        int64_t before_s = span.from_s - 1;

        span = core_time_zone_span(zone, before_s);
        if (before_s + span.offset_s > latest_s)
            latest_s = before_s + span.offset_s;
    }
    return latest_s;
}

int64_t core_time_zone_reach_s(const struct core_time_zone *zone, int64_t wall_s)
{
    int64_t at = wall_s - MOST_OFFSET_S - 1; /* no zone has reached it by then */

    for (;;) {
        struct core_tz_span span = core_time_zone_span(zone, at);
        int64_t reached = wall_s - span.offset_s;

        if (reached < at)
            reached = at;
        if (reached < span.until_s)
            return reached;
        at = span.until_s;
    }
}

int32_t core_time_zone_day_of(const struct core_time_zone *zone, int64_t unix_s)
{
    const int64_t least = (int64_t)INT32_MIN * DAY_S;
    const int64_t most = (int64_t)INT32_MAX * DAY_S + DAY_S - 1;
    int64_t local_s = 0;

    /* Beyond the days that have a number, the last one that has. */
    if (__builtin_add_overflow(unix_s, core_time_zone_offset_s(zone, unix_s), &local_s))
        local_s = unix_s;
    if (local_s < least)
        local_s = least;
    if (local_s > most)
        local_s = most;
    return (int32_t)(local_s / DAY_S - (local_s % DAY_S < 0 ? 1 : 0));
}

/*
 * So a midnight that the clocks skip gives the instant of the skip, one that they repeat its first
 * pass, and a day that was left out (Samoa, 2011-12-30) the start of the next: it has no length.
 */
int64_t core_time_zone_day_start_s(const struct core_time_zone *zone, int32_t day)
{
    return core_time_zone_reach_s(zone, (int64_t)day * DAY_S);
}
