/*
 * Tests of the misfire rule: a table of slots, and what becomes of each.
 */
#include <supervisor/missed.h>

#include <run-core/attr.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Hours are enough to tell the cases apart. */
#define H(n) (INT64_C(3600000) * (n))

struct example {
    const char *what;
    enum core_misfire misfire;
    int64_t window, paused, slot, next;
    enum core_slot_verdict expected;
};

/* The daemon is awake since hour 100. */
static const struct example examples[] = {
    { "on time", CORE_MISFIRE_SKIP, H(24), 0, H(100), H(101), CORE_SLOT_PUNCTUAL },
    { "late, but awake", CORE_MISFIRE_SKIP, H(24), 0, H(120), H(121), CORE_SLOT_PUNCTUAL },
    { "without a window", CORE_MISFIRE_LATEST, 0, 0, H(100), H(101), CORE_SLOT_PUNCTUAL },
    { "skip", CORE_MISFIRE_SKIP, H(24), 0, H(99), H(100), CORE_SLOT_MISSED },
    { "skip, a millisecond before", CORE_MISFIRE_SKIP, H(24), 0, H(100) - 1, H(101),
      CORE_SLOT_MISSED },
    { "latest", CORE_MISFIRE_LATEST, H(24), 0, H(99), H(100), CORE_SLOT_MADE_UP },
    { "latest, next far off", CORE_MISFIRE_LATEST, H(24), 0, H(99), INT64_MAX, CORE_SLOT_MADE_UP },
    { "not the latest", CORE_MISFIRE_LATEST, H(24), 0, H(98), H(99), CORE_SLOT_MISSED },
    { "latest, at the window's edge", CORE_MISFIRE_LATEST, H(24), 0, H(76), H(100),
      CORE_SLOT_MADE_UP },
    { "latest, beyond the window", CORE_MISFIRE_LATEST, H(24), 0, H(76) - 1, H(100),
      CORE_SLOT_MISSED },
    { "latest, no window", CORE_MISFIRE_LATEST, 0, 0, H(99), H(100), CORE_SLOT_MISSED },
    { "all", CORE_MISFIRE_ALL, H(24), 0, H(90), H(91), CORE_SLOT_MADE_UP },
    { "all, beyond the window", CORE_MISFIRE_ALL, H(24), 0, H(75), H(76), CORE_SLOT_MISSED },
    { "paused", CORE_MISFIRE_ALL, H(24), H(110), H(110), H(111), CORE_SLOT_PAUSED },
    { "paused while down", CORE_MISFIRE_ALL, H(24), H(90), H(95), H(96), CORE_SLOT_PAUSED },
    { "missed before the pause", CORE_MISFIRE_ALL, H(24), H(90), H(89), H(90), CORE_SLOT_MISSED },
    { "due before the pause", CORE_MISFIRE_ALL, H(24), H(110), H(109), H(110), CORE_SLOT_MISSED },
};

static void test_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(examples); i++) {
        const struct example *example = &examples[i];
        const struct core_slot_rule rule = {
            .misfire = example->misfire,
            .window_ms = example->window,
            .keep_ms = H(1000),
            .awake_since_unix_ms = H(100),
            .paused_unix_ms = example->paused,
        };
        enum core_slot_verdict verdict = core_slot_judge(&rule, example->slot, example->next);

        if (verdict != example->expected)
            fail_msg("%s: %d instead of %d", example->what, (int)verdict, (int)example->expected);
    }
}

/* None that would wait is claimed beyond the limit; what is skipped does not wait. */
static void test_full(void **state)
{
    struct core_slot_rule rule = {
        .misfire = CORE_MISFIRE_ALL,
        .window_ms = H(24),
        .awake_since_unix_ms = H(100),
        .is_full = true,
    };

    (void)state;
    assert_int_equal(core_slot_judge(&rule, H(99), H(100)), CORE_SLOT_MISSED);
    assert_int_equal(core_slot_judge(&rule, H(101), H(102)), CORE_SLOT_MISSED);
    rule.paused_unix_ms = H(100);
    assert_int_equal(core_slot_judge(&rule, H(101), H(102)), CORE_SLOT_PAUSED);
}

/* Of a row of hours that were missed, 'latest' makes up for one, whatever its length. */
static void test_latest_is_one(void **state)
{
    const struct core_slot_rule rule = {
        .misfire = CORE_MISFIRE_LATEST,
        .window_ms = H(24),
        .awake_since_unix_ms = H(100),
    };

    (void)state;
    for (int64_t length = 1; length <= 60; length++) {
        int made_up = 0;
        for (int64_t slot = 100 - length; slot < 100; slot++)
            made_up += core_slot_judge(&rule, H(slot), H(slot + 1)) == CORE_SLOT_MADE_UP;
        assert_int_equal(made_up, 1);
    }
}

static void test_history_bounds_the_past(void **state)
{
    const struct core_slot_rule rule = { .keep_ms = H(10), .awake_since_unix_ms = H(100) };

    (void)state;
    assert_int_equal(core_slots_after(&rule, H(95)), H(95));
    assert_int_equal(core_slots_after(&rule, H(90)), H(90));
    assert_int_equal(core_slots_after(&rule, H(5)), H(90));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_latest_is_one),
        cmocka_unit_test(test_history_bounds_the_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
