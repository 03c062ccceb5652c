/*
 * The whole plugin, killed at every host call, before that call and after it; then at calls of the
 * run that follows. One more run finishes whatever is left, and all of I1 to I7 holds that can be
 * seen from outside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crash_world.h"

#include <stdlib.h>

static void test_undisturbed(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags <= (KEEPS | VERSIONS); flags++) {
        assert_true(undisturbed_calls(flags) > 60);
        assert_true(undisturbed_calls(flags | ELSEWHERE) > 60);
    }
}

static void killed_anywhere(unsigned flags, int stride)
{
    int calls = undisturbed_calls(flags);

    for (int n = 1; n <= 2 * calls; n += stride) {
        struct rc_fake_host *host = new_world(flags);

        die(host, flags, (n + 1) / 2, n % 2 == 0);
        finish(host, flags);
        assert_clean(host);
        assert_record(host);
        rc_fake_host_free(host);
    }
}

static void test_killed_anywhere(void **state)
{
    (void)state;
    killed_anywhere(KEEPS | VERSIONS, 1);
    killed_anywhere(0, 3);
    killed_anywhere(ELSEWHERE | KEEPS, 3);
}

/* Steps that share no divisor with each other pass over all kinds of pairs; a few, or many. */
static void test_killed_and_killed_again(void **state)
{
    int calls = undisturbed_calls(KEEPS), pairs = 0;
    bool full = getenv("RUN_CORE_FULL") != NULL;
    int step = full ? 7 : 13, second_step = full ? 11 : 17;

    (void)state;
    for (int n = 1; n <= calls; n += step) {
        for (int m = 1 + n % second_step; m <= calls; m += second_step) {
            struct rc_fake_host *host = new_world(KEEPS);
            struct rc_error err = RC_ERROR_INIT;

            die(host, KEEPS, n, m % 2);
            rc_fake_host_revive(host);
            rc_fake_host_on_call(host, only_follow, NULL);
            rc_fake_host_die_at(host, m, n % 2);
            (void)!clean(host, KEEPS, &err); /* the second may have had less to do */
            assert_ends_well(host, KEEPS);
            rc_fake_host_free(host);
            pairs++;
        }
    }
    assert_true(pairs > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undisturbed),
        cmocka_unit_test(test_killed_anywhere),
        cmocka_unit_test(test_killed_and_killed_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
