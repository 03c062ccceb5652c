/*
 * Pauses, and the chance in them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <os/backoff.h>

#include <run-core/str.h>

static void doubles_up_to_the_longest(void **state)
{
    const struct core_backoff backoff = { .first_ms = 30, .longest_ms = 200 };
    const int64_t expected_ms[] = { 0, 30, 60, 120, 200, 200 };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(expected_ms); i++)
        assert_int_equal(core_backoff_whole_ms(&backoff, (int64_t)i), expected_ms[i]);
    assert_int_equal(core_backoff_whole_ms(&backoff, INT64_MAX), 200);
    assert_int_equal(core_backoff_whole_ms(&backoff, -1), 0);
}

static void bears_any_bounds(void **state)
{
    const struct core_backoff none = { 0 };
    const struct core_backoff short_one = { .first_ms = 50, .longest_ms = 20 };
    const struct core_backoff no_first = { .longest_ms = 20 };
    const struct core_backoff large = { .first_ms = INT64_MAX / 3, .longest_ms = INT64_MAX / 2 };

    (void)state;
    assert_int_equal(core_backoff_ms(&none, 5), 0);
    assert_int_equal(core_backoff_whole_ms(&short_one, 1), 20);
    assert_int_equal(core_backoff_whole_ms(&no_first, INT64_MAX), 0);
    assert_int_equal(core_backoff_whole_ms(&large, 3), INT64_MAX / 2);
}

static void half_of_a_pause_is_chance(void **state)
{
    const struct core_backoff backoff = { .first_ms = 100, .longest_ms = 1000 };
    int64_t least_ms = INT64_MAX, most_ms = 0;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        int64_t pause_ms = core_backoff_ms(&backoff, 2);

        assert_in_range(pause_ms, 100, 200);
        least_ms = pause_ms < least_ms ? pause_ms : least_ms;
        most_ms = pause_ms > most_ms ? pause_ms : most_ms;
    }
    assert_in_range(least_ms, 100, 110);
    assert_in_range(most_ms, 190, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_the_longest),
        cmocka_unit_test(bears_any_bounds),
        cmocka_unit_test(half_of_a_pause_is_chance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
