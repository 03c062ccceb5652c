/*
 * The pace of starts.
 */
#include <supervisor/pace.h>

#include <os/clock.h>
#include <supervisor/runs.h>

#include <sched.h>

enum { LEAST = 2 };

void core_pace_init(struct core_pace *pace)
{
    cpu_set_t usable;
    int processors = sched_getaffinity(0, sizeof(usable), &usable) ? LEAST : CPU_COUNT(&usable);

    pace->count = 0;
    pace->most = processors < LEAST            ? LEAST
                 : processors > CORE_PACE_MOST ? CORE_PACE_MOST
                                               : (size_t)processors;
}

static void drop_at(struct core_pace *pace, size_t i)
{
    pace->begun[i] = pace->begun[--pace->count];
}

int64_t core_pace_left(struct core_pace *pace)
{
    int64_t now_mono_ms = core_clock_mono_ms();

    for (size_t i = pace->count; i-- > 0;) {
        const struct core_active *active = pace->begun[i].active;
        if (active->state != CORE_ACTIVE_RUNS || core_attempt_is_at_work(&active->tried) ||
            now_mono_ms >= pace->begun[i].until_mono_ms)
            drop_at(pace, i);
    }
    return (int64_t)(pace->most - pace->count);
}

bool core_pace_has_room(struct core_pace *pace)
{
    return 2 * core_pace_left(pace) >= (int64_t)pace->most;
}

void core_pace_add(struct core_pace *pace, struct core_active *active)
{
    if (pace->count == pace->most) /* begun by hand, which nothing holds up */
        return;
    pace->begun[pace->count].active = active;
    pace->begun[pace->count++].until_mono_ms = core_clock_mono_ms() + CORE_PACE_AWAIT_MS;
}

void core_pace_drop(struct core_pace *pace, const struct core_active *active)
{
    for (size_t i = pace->count; i-- > 0;)
        if (pace->begun[i].active == active)
            drop_at(pace, i);
}
