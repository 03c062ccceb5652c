/*
 * JSON from outside the configuration: strict, and written as it was read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <config/json.h>

#include <string.h>

static struct core_arena arena = CORE_ARENA_INIT;

static int clear(void **state)
{
    (void)state;
    core_arena_clear(&arena);
    return 0;
}

static void writes_what_it_read(void **state)
{
    static const char text[] = "{\"a\":[1,-2.5e3,true,false,null],\"b\":{\"c\":\"x\\\"\\n\"},"
                               "\"${env:HOME}\":\"${env:HOME}\"}";
    CORE_PROBLEMS_AUTO(problems);
    RC_BUF_AUTO(out, 4096);

    (void)state;
    core_json_add(&out, core_json_read(&arena, "body", text, strlen(text), &problems));
    assert_string_equal(out.data, text); /* the home stays where it is */
    assert_int_equal(problems.count, 0);
}

static void is_strict(void **state)
{
    static const char *const texts[] = { "",           "{a: b}", "{'a': 1}",    "[1,]",    "{} {}",
                                         "{\"a\":01}", "nul",    "{\"a\":NaN}", "\"\x01\"" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++) {
        CORE_PROBLEMS_AUTO(problems);

        (void)core_json_read(&arena, "body", texts[i], strlen(texts[i]), &problems);
        if (problems.count != 1)
            fail_msg("'%s' gives %zu problems", texts[i], problems.count);
        assert_string_equal(problems.first->place.file, "body");
    }
}

static void says_where_a_mistake_is(void **state)
{
    static const char text[] = "{\"a\": 1,\n \"b\": x}";
    CORE_PROBLEMS_AUTO(problems);

    (void)state;
    assert_null(core_json_read(&arena, "body", text, strlen(text), &problems));
    assert_int_equal(problems.first->place.line, 2);
    assert_int_equal(problems.first->place.column, 7);
}

static void makes_values_of_a_run(void **state)
{
    static const char text[] = "{\"days\": 3, \"list\": \"[a, b]\", \"more\": [\"x\"]}";
    CORE_PROBLEMS_AUTO(problems);
    const struct core_node *set = core_json_read_set(&arena, text, strlen(text), &problems);

    (void)state;
    assert_int_equal(problems.count, 0);
    assert_int_equal(set->len, 3);
    assert_string_equal(set->entries[0].place.file, "--set days");
    assert_int_equal(set->entries[0].place.line, 0);
    assert_false(set->entries[0].value->loose);
    assert_true(set->entries[1].value->loose);
    assert_string_equal(set->entries[2].value->items[0]->place.file, "--set more");
    assert_false(set->entries[2].value->items[0]->loose);
}

static void takes_only_an_object_for_values(void **state)
{
    CORE_PROBLEMS_AUTO(problems);

    (void)state;
    assert_null(core_json_read_set(&arena, "[1]", 3, &problems));
    assert_int_equal(problems.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_it_read),
        cmocka_unit_test(is_strict),
        cmocka_unit_test(says_where_a_mistake_is),
        cmocka_unit_test(makes_values_of_a_run),
        cmocka_unit_test(takes_only_an_object_for_values),
    };

    return cmocka_run_group_tests(tests, NULL, clear);
}
