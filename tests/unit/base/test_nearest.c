/*
 * "Did you mean".
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <base/nearest.h>
#include <run-core/attr.h>

static void finds_what_was_meant(void **state)
{
    static const char *const names[] = { "timeout", NULL, "time_zone", "retry", "misfire", "x" };
    static const struct {
        const char *word, *nearest;
    } table[] = {
        { "timeout", "timeout" },
        { "TimeOut", "timeout" },
        { "tiemout", "timeout" },  /* a swap is one edit */
        { "timout", "timeout" },   /* a letter missing */
        { "timeoutt", "timeout" }, /* a letter too many */
        { "timezone", "time_zone" },
        { "time-zone", "time_zone" },
        { "retyr", "retry" },
        { "retries", NULL }, /* three edits in seven letters */
        { "re", NULL },
        { "timers", NULL },
        { "missfier", "misfire" },
        { "y", "x" }, /* one edit is always allowed */
        { "concurrency", NULL },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(table); i++) {
        const char *nearest = core_nearest(table[i].word, names, RC_ARRAY_LEN(names));

        if (!table[i].nearest)
            assert_null(nearest);
        else if (!nearest)
            fail_msg("nothing is near '%s'", table[i].word);
        else
            assert_string_equal(nearest, table[i].nearest);
    }
}

static void prefers_the_first_of_equals(void **state)
{
    static const char *const names[] = { "cat", "bat", "hat" };

    (void)state;
    assert_string_equal(core_nearest("rat", names, 3), "cat");
    assert_string_equal(core_nearest("hat", names, 3), "hat");
    assert_null(core_nearest("rat", names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_meant),
        cmocka_unit_test(prefers_the_first_of_equals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
