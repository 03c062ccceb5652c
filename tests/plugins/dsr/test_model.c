/*
 * The journal's rules hold in every state of the model; broken one at a time, the model notices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal_model.h"

#include <run-core/attr.h>

#include <string.h>

static const struct world worlds[] = {
    { .keeps = true, .others = true, .requests = 1 },
    { .requests = 2, .losses = 2 },
    { .others = true, .requests = 1, .losses = 1 },
};

static void test_everything_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(worlds); i++) {
        size_t states;
        const char *violation = explore(worlds[i], &states);

        print_message("world %zu: %zu states\n", i, states);
        if (violation)
            fail_msg("world %zu: %s", i, violation);
        assert_true(states > 1000);
    }
}

/* Broken one at a time, and what the model has to say of it. */
static void test_each_rule_is_needed(void **state)
{
    static const struct {
        enum rule rule;
        size_t world;
        const char *violation;
    } rows[] = {
        { ARCHIVE_BEFORE_CHECK, 0, "I4: a marker left its folder before" },
        { ARCHIVE_BEFORE_NOTE, 0, "I4: a marker left its folder, and" },
        { SEND_BEFORE_INTENT, 1, "I1: an object was replaced that the journal" },
        { WRITE_WITHOUT_CONDITION, 2, "I1: an object was replaced that was not" },
        { FORGET_BEFORE_REMOVAL, 0, "I5: an original is kept" },
        { COPY_BEFORE_NOTE, 0, "I5: an original is kept" },
        { DROP_BEFORE_CHECK, 0, "I5: an original was removed" },
        { TAKE_OVER_NOTES, 0, "I5: an original is kept" },
        { NO_TOMBSTONES, 0, "I5: an original is kept" },
        { LOOK_ONCE, 1, "I6: an erasure is not in the record" },
        { COUNT_TWINS, 1, "I6: an erasure is in the record that never was" },
        { LEAVE_INTENDED, 1, "I6: an erasure is not in the record" },
        { CLOSE_AT_ONCE, 2, "I6: an erasure is not in the record" },
        { TRUST_NO_ANSWER, 1, "I6: the record tells of somebody else" },
    };

    (void)state;
    assert_int_equal(RC_ARRAY_LEN(rows), RULES - 1);
    for (size_t i = 0; i < RC_ARRAY_LEN(rows); i++) {
        struct world world = worlds[rows[i].world];
        size_t states;
        const char *violation;

        world.broken = rows[i].rule;
        violation = explore(world, &states);
        if (!violation || strncmp(violation, rows[i].violation, strlen(rows[i].violation)) != 0)
            fail_msg("rule %d: %s", (int)rows[i].rule, violation ? violation : "nothing noticed");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_holds),
        cmocka_unit_test(test_each_rule_is_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
