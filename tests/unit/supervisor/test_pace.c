/*
 * Tests of the pace of starts: how many attempts may be on their way to work at a time.
 */
#include <os/clock.h>
#include <runtime/status.h>
#include <supervisor/pace.h>
#include <supervisor/runs.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { ATTEMPTS = CORE_PACE_MOST + 1 };

struct world {
    struct core_pace pace;
    struct core_active actives[ATTEMPTS];
    struct core_status statuses[ATTEMPTS];
};

/* Attempts that were forked, none of them at work. */
static struct world *world_of_attempts(void)
{
    static struct world world;

    world = (struct world){ .pace = { .count = 0 } };
    core_pace_init(&world.pace);
    for (size_t i = 0; i < ATTEMPTS; i++) {
        world.actives[i].state = CORE_ACTIVE_RUNS;
        world.actives[i].tried.status = &world.statuses[i];
    }
    return &world;
}

static int64_t most(struct world *world)
{
    return (int64_t)world->pace.most;
}

static void fill(struct world *world)
{
    for (int64_t i = 0; i < most(world); i++)
        core_pace_add(&world->pace, &world->actives[i]);
}

static void what_is_not_at_work_holds_up_others(void **state)
{
    struct world *world = world_of_attempts();

    (void)state;
    assert_in_range(most(world), 2, CORE_PACE_MOST);
    assert_int_equal(core_pace_left(&world->pace), most(world));
    assert_true(core_pace_has_room(&world->pace));
    core_pace_add(&world->pace, &world->actives[0]);
    assert_int_equal(core_pace_left(&world->pace), most(world) - 1);
    fill(world = world_of_attempts());
    assert_false(core_pace_has_room(&world->pace));
}

/* 'room' makes some of it, for one that was forked. */
static void expect_room(void (*room)(struct world *world))
{
    int64_t left = 0;

    /* Again, should this process have been kept from going on for so long that all counted as being
     * at work. */
    for (int i = 0; i < 100 && left != 1; i++) {
        struct world *world = world_of_attempts();
        fill(world);
        room(world);
        left = core_pace_left(&world->pace);
    }
    assert_int_equal(left, 1);
}

static void begin(struct world *world)
{
    atomic_store(&world->statuses[1].phase, CORE_PHASE_RUNNING);
}

static void end(struct world *world)
{
    world->actives[1].state = CORE_ACTIVE_ENDED;
}

static void drop(struct world *world)
{
    core_pace_drop(&world->pace, &world->actives[1]);
}

static void work_an_end_and_removal_make_room(void **state)
{
    (void)state;
    expect_room(begin);
    expect_room(end);
    expect_room(drop);
}

static void what_is_never_seen_at_work_counts_for_a_while(void **state)
{
    struct world *world = world_of_attempts();
    int64_t began_mono_ms = core_clock_mono_ms();

    (void)state;
    fill(world);
    while (core_pace_left(&world->pace) == 0)
        core_clock_sleep_ms(1);
    assert_true(core_clock_mono_ms() - began_mono_ms >= CORE_PACE_AWAIT_MS);
}

/* Those begun by hand, which nothing holds up. */
static void more_than_the_most_are_not_kept(void **state)
{
    struct world *world = world_of_attempts();

    (void)state;
    fill(world);
    core_pace_add(&world->pace, &world->actives[CORE_PACE_MOST]);
    assert_true(world->pace.count <= world->pace.most);
    core_pace_drop(&world->pace, &world->actives[CORE_PACE_MOST]);
    assert_true(core_pace_left(&world->pace) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_at_work_holds_up_others),
        cmocka_unit_test(work_an_end_and_removal_make_room),
        cmocka_unit_test(what_is_never_seen_at_work_counts_for_a_while),
        cmocka_unit_test(more_than_the_most_are_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
