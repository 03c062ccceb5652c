/*
 * Schedules from any text: what parses has slots that go forward and never leave the years that
 * there are, with each way of treating clock changes, and can be told in words; what does not says
 * why. The first line is the expression, the rest a job's name.
 */
#include <schedule/schedule.h>
#include <schedule/time_zones.h>

#include <run-core/str.h>

#include <stdint.h>
#include <string.h>

static const int64_t instants[] = {
    INT64_MIN,
    -INT64_C(62135596800000),
    -1,
    INT64_C(1325239199000), /* Samoa's last second before the day that it left out */
    INT64_C(1774745999000), /* Europe's last before summer time */
    INT64_C(1792889999000), /* and before winter time */
    INT64_C(4102444800000),
    INT64_C(253402300798000),
    INT64_MAX,
};

static void check_slots(const struct core_schedule *schedule)
{
    RC_BUF_AUTO(words, 65536);

    core_schedule_explain(schedule, &words);
    RC_ASSERT(words.len > 0 && !words.overflow);
    for (size_t i = 0; i < RC_ARRAY_LEN(instants); i++) {
        int64_t at = instants[i];
        int64_t slot = 0;

        for (int n = 0; n < 4 && core_schedule_next(schedule, at, &slot); n++) {
            RC_ASSERT(slot > at && slot % 1000 == 0 && slot <= INT64_C(253402300799000));
            core_schedule_explain_slot(schedule, slot, &words);
            at = slot;
        }
    }
}

static void check(const char *text, const char *name, const struct core_time_zone *zone)
{
    for (int way = 0; way < 4; way++) {
        struct core_schedule_options options = {
            .name = name,
            .zone = zone,
            .gap = way & 1 ? CORE_GAP_RUN_AFTER : CORE_GAP_SKIP,
            .overlap = way & 2 ? CORE_OVERLAP_BOTH : CORE_OVERLAP_FIRST,
        };
        struct core_schedule *schedule = NULL;
        struct rc_error err = RC_ERROR_INIT;

        if (core_schedule_parse(text, &options, &schedule, &err)) {
            RC_ASSERT(err.code == RC_INVALID && err.cause[0] != '\0' && err.context[0] != '\0');
            return;
        }
        check_slots(schedule);
        core_schedule_free(schedule);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "Europe/Prague", "Pacific/Apia", "Australia/Lord_Howe" };
    static const struct core_time_zone *zones[RC_ARRAY_LEN(names)];
    static struct core_time_zones *shared; /* reachable to the end, so no leak */
    RC_STR_AUTO text = rc_strndup((const char *)data, size);
    struct rc_error err = RC_ERROR_INIT;
    char *name = strchr(text, '\n');

    if (!shared) {
        shared = core_time_zones_new();
        for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
            RC_ASSERT(core_time_zones_get(shared, names[i], &zones[i], &err) == RC_OK);
    }
    if (name)
        *name++ = '\0';
    check(text, name, zones[size % RC_ARRAY_LEN(zones)]);
    check(text, name, NULL);
    return 0;
}
