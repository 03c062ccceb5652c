/*
 * Time zones from the bytes of a TZif file, and rules from text. Whatever they say, every instant
 * has an offset of little more than a day, days follow each other, and a day's start lies in it.
 */
#include <schedule/posix_tz.h>
#include <schedule/time_zone.h>

#include <run-core/str.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DAY_S = 86400 };

/* What a rule may say at most: 24:59:59, and an hour more for daylight time. */
enum { MOST_RULE_S = 26 * 3600 };

static const int64_t instants[] = {
    INT64_MIN,
    INT64_MIN + 1,
    -INT64_C(62135596800),
    -1,
    0,
    INT64_C(951782400),
    INT64_C(1604217600),
    INT64_C(4102444800),
    INT64_C(253402300799),
    INT64_MAX - 1,
    INT64_MAX,
};

static void check_rule(const char *text)
{
    struct core_tz_rule rule;

    if (!core_tz_rule_parse(text, &rule))
        return;
    for (size_t i = 0; i < RC_ARRAY_LEN(instants); i++) {
        struct core_tz_span span = core_tz_rule_at(&rule, instants[i]);

        RC_ASSERT(span.offset_s >= -MOST_RULE_S && span.offset_s <= MOST_RULE_S);
        RC_ASSERT(span.until_s > instants[i] || span.until_s == INT64_MAX);
        RC_ASSERT(span.from_s <= instants[i]);
    }
}

/* What was shown has come, and what has come was shown. */
static void check_wall(const struct core_time_zone *zone, int64_t unix_s)
{
    int64_t shown_s = core_time_zone_shown_s(zone, unix_s);
    int64_t reached_s = core_time_zone_reach_s(zone, shown_s);

    RC_ASSERT(shown_s >= unix_s + core_time_zone_offset_s(zone, unix_s));
    RC_ASSERT(reached_s <= unix_s);
    RC_ASSERT(core_time_zone_shown_s(zone, reached_s) >= shown_s);
    RC_ASSERT(core_time_zone_shown_s(zone, reached_s - 1) < shown_s);
}

static void check_zone(const struct core_time_zone *zone)
{
    for (size_t i = 2; i < RC_ARRAY_LEN(instants) - 2; i++)
        check_wall(zone, instants[i]);
    for (size_t i = 0; i < RC_ARRAY_LEN(instants); i++) {
        int32_t day = core_time_zone_day_of(zone, instants[i]);

        (void)core_time_zone_offset_s(zone, instants[i]);
        if (day <= INT32_MIN + 2 || day >= INT32_MAX - 2)
            continue;
        int64_t start_s = core_time_zone_day_start_s(zone, day);
        RC_ASSERT(core_time_zone_day_of(zone, start_s) >= day);
        RC_ASSERT(core_time_zone_day_start_s(zone, day + 1) >= start_s);
    }
}

/* The file is in memory, and has its name among the descriptors of this process. */
static void check_file(const uint8_t *data, size_t size)
{
    int fd = memfd_create("zone", MFD_CLOEXEC);
    char name[16];
    struct core_time_zone *zone = NULL;
    struct rc_error err = RC_ERROR_INIT;

    RC_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(name, sizeof(name), "%d", fd);
    RC_ASSERT(setenv("TZDIR", "/proc/self/fd", 1) == 0);
    if (core_time_zone_load(name, &zone, &err) == RC_OK)
        check_zone(zone);
    else
        RC_ASSERT(err.code == RC_INVALID && err.cause[0] != '\0');
    core_time_zone_free(zone);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_STR_AUTO text = rc_strndup((const char *)data, size);

    check_rule(text);
    check_file(data, size);
    return 0;
}
