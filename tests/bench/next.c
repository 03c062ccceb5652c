/*
 * What finding the next slot costs: nanoseconds for a call, each from the slot before it on, so
 * that clock changes come as they do in life; parsing; and beside it a search minute by minute on
 * the C library's local time, which is what one would write by hand. Built and run by next.py.
 */
#include <run-core/time.h>
#include <schedule/schedule.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALLS = 400000, ROUNDS = 5, HAND_CALLS = 300 };

struct bench {
    const char *text, *zone;
    bool (*matches)(const struct tm *local); /* the same by hand; NULL: not done */
};

static bool every_minute(const struct tm *local)
{
    return local->tm_sec == 0;
}

static bool quarter_hours(const struct tm *local)
{
    return local->tm_min % 15 == 0;
}

static bool at_half_past_two(const struct tm *local)
{
    return local->tm_min == 30 && local->tm_hour == 2;
}

static bool office_hours(const struct tm *local)
{
    return local->tm_min % 5 == 0 && local->tm_hour >= 8 && local->tm_hour <= 18 &&
           local->tm_wday >= 1 && local->tm_wday <= 5;
}

static bool first_of_month(const struct tm *local)
{
    return local->tm_min == 0 && local->tm_hour == 0 && local->tm_mday == 1;
}

static const struct bench benches[] = {
    { "* * * * *", "UTC", every_minute },
    { "* * * * *", "Europe/Prague", every_minute },
    { "*/15 * * * *", "Europe/Prague", quarter_hours },
    { "30 2 * * *", "UTC", at_half_past_two },
    { "30 2 * * *", "Europe/Prague", at_half_past_two },
    { "*/5 8-18 * * MON-FRI", "America/New_York", office_hours },
    { "0 0 1 * *", "Europe/Prague", first_of_month },
    { "0 3 L * *", "Europe/Prague", NULL },
    { "0 9 15W * FRIL", "Europe/Prague", NULL },
    { "0 0 29 2 *", "Europe/Prague", NULL },
    { "*/10 * * * * *", "Australia/Lord_Howe", NULL },
    { "@every 7m", "UTC", NULL },
};

static double now_ns(void)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

/*
 * Nanoseconds for a call, again and again through 20 years; the best of some rounds, as everything
 * else only adds to it.
 */
static double measure(const struct core_schedule *schedule, int64_t from_ms)
{
    const int64_t until_ms = from_ms + 20 * 365 * RC_DAY_MS;
    double best = 0;

    for (int round = 0; round < ROUNDS; round++) {
        int64_t slot = from_ms;
        double began = now_ns();

        for (int i = 0; i < CALLS; i++)
            if (!core_schedule_next(schedule, slot, &slot) || slot > until_ms)
                slot = from_ms;
        double taken = (now_ns() - began) / CALLS;
        if (round == 0 || taken < best)
            best = taken;
    }
    return best;
}

static double measure_parsing(const struct bench *bench, const struct core_time_zone *zone)
{
    struct core_schedule_options options = { .name = "bench", .zone = zone };
    double began = now_ns();

    for (int i = 0; i < CALLS / 10; i++) {
        struct core_schedule *schedule = NULL;
        struct rc_error err = RC_ERROR_INIT;

        if (core_schedule_parse(bench->text, &options, &schedule, &err))
            abort();
        core_schedule_free(schedule);
    }
    return (now_ns() - began) / (CALLS / 10);
}

/* Minute by minute; no clock change is heeded. */
static double measure_by_hand(const struct bench *bench, int64_t from_ms)
{
    time_t at = (time_t)(from_ms / 1000);
    double began;

    (void)setenv("TZ", bench->zone, 1);
    tzset();
    began = now_ns();
    for (int i = 0; i < HAND_CALLS; i++) {
        struct tm local;

        do {
            at += 60;
            (void)localtime_r(&at, &local);
        } while (!bench->matches(&local));
    }
    return (now_ns() - began) / HAND_CALLS;
}

int main(void)
{
    int64_t from_ms = 0;

    if (!rc_parse_time("2026-01-01T00:00:00Z", &from_ms))
        return 1;
    printf("expression\tzone\tnext_ns\tparse_ns\tby_hand_ns\n");
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
        const struct bench *bench = &benches[i];
        struct core_time_zone *zone = NULL;
        struct core_schedule *schedule = NULL;
        struct rc_error err = RC_ERROR_INIT;

        if (core_time_zone_load(bench->zone, &zone, &err))
            return 1;
        struct core_schedule_options options = { .name = "bench", .zone = zone };
        if (core_schedule_parse(bench->text, &options, &schedule, &err))
            return 1;
        printf("%s\t%s\t%.0f\t%.0f\t", bench->text, bench->zone, measure(schedule, from_ms),
               measure_parsing(bench, zone));
        if (bench->matches)
            printf("%.0f\n", measure_by_hand(bench, from_ms));
        else
            printf("\n");
        core_schedule_free(schedule);
        core_time_zone_free(zone);
    }
    return 0;
}
