/*
 * Which steps the aggregator finds due: days without a mark, windows whose inputs have changed,
 * ranges that are rebuilt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plan.h>

#include <stdio.h>

enum { FIRST = 1000, WEEK = 0, ALL = 1 };

static const struct agg_window_span spans[] = { { 7, 11 }, { INT32_MAX, 12 } };

static void clear_history(struct agg_history *history)
{
    agg_history_clear(history);
}

#define HISTORY(name, days)                                                                        \
    RC_CLEANUP(clear_history) struct agg_history name;                                             \
    agg_history_make(&name, FIRST, FIRST + (days)-1, spans, RC_ARRAY_LEN(spans))

static void do_daily(const struct agg_history *history, int32_t day)
{
    *agg_history_daily(history, day) =
        (struct agg_mark){ .done = true, .output = (uint64_t)day * 31 };
}

static void do_window(const struct agg_history *history, size_t window, int32_t day)
{
    *agg_history_window(history, window, day) =
        (struct agg_mark){ .done = true, .inputs = agg_window_inputs(history, window, day) };
}

/* A history in which every step up to 'last' is done. */
static void do_all(const struct agg_history *history, int32_t last)
{
    for (int32_t day = FIRST; day <= last; day++) {
        do_daily(history, day);
        do_window(history, WEEK, day);
        do_window(history, ALL, day);
    }
}

/* The plan as a text: "d0 w0 t0 d1 ...", days counted from the first. */
static const char *plan_text(const struct agg_history *history,
                             const struct agg_plan_request *request)
{
    static char text[8192];
    struct agg_plan plan;
    size_t len = 0;

    agg_plan_make(history, request, &plan);
    text[0] = '\0';
    for (size_t i = 0; i < plan.count; i++) {
        const struct agg_step *step = &plan.steps[i];
        char kind = step->kind == AGG_STEP_DAILY ? 'd' : step->window == WEEK ? 'w' : 't';

        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%c%d", i ? " " : "", kind,
                                step->day - FIRST);
    }
    agg_plan_clear(&plan);
    return text;
}

static const char *plain(const struct agg_history *history, int32_t last)
{
    const struct agg_plan_request request = { .last = last,
                                              .windows_from = RC_DAY_NONE,
                                              .rebuild_from = RC_DAY_NONE };

    return plan_text(history, &request);
}

static const char *rebuild(const struct agg_history *history, int32_t from, int32_t to)
{
    const struct agg_plan_request request = { .last = FIRST + (int32_t)history->day_count - 1,
                                              .windows_from = RC_DAY_NONE,
                                              .rebuild_from = FIRST + from,
                                              .rebuild_to = FIRST + to };

    return plan_text(history, &request);
}

static void test_a_first_run_does_each_day_with_its_windows(void **state)
{
    (void)state;
    HISTORY(history, 3);
    assert_string_equal(plain(&history, FIRST + 2), "d0 w0 t0 d1 w1 t1 d2 w2 t2");
    assert_string_equal(plain(&history, FIRST + 1), "d0 w0 t0 d1 w1 t1");
    assert_string_equal(plain(&history, FIRST - 1), "");
}

static void test_nothing_is_due_twice(void **state)
{
    (void)state;
    HISTORY(history, 12);
    do_all(&history, FIRST + 11);
    assert_string_equal(plain(&history, FIRST + 11), "");
}

static void test_a_run_continues_at_the_first_step_missing(void **state)
{
    (void)state;
    HISTORY(history, 3);
    do_all(&history, FIRST + 1);
    do_daily(&history, FIRST + 2);
    do_window(&history, WEEK, FIRST + 2);
    assert_string_equal(plain(&history, FIRST + 2), "t2");
}

static void test_a_gap_takes_every_window_over_it(void **state)
{
    (void)state;
    HISTORY(history, 10);
    do_all(&history, FIRST + 9);
    agg_history_daily(&history, FIRST + 1)->done = false;
    assert_string_equal(plain(&history, FIRST + 9),
                        "d1 w1 t1 w2 t2 w3 t3 w4 t4 w5 t5 w6 t6 w7 t7 t8 t9");
}

static void test_a_changed_day_makes_windows_stale(void **state)
{
    (void)state;
    HISTORY(history, 10);
    do_all(&history, FIRST + 9);
    agg_history_daily(&history, FIRST + 1)
        ->output++; /* a rebuild that died behind the daily step */
    assert_string_equal(plain(&history, FIRST + 9),
                        "w1 t1 w2 t2 w3 t3 w4 t4 w5 t5 w6 t6 w7 t7 t8 t9");
}

static void test_a_rebuild_takes_what_it_touches(void **state)
{
    (void)state;
    HISTORY(history, 10);
    do_all(&history, FIRST + 8); /* the last day is not aggregated yet, and stays so */
    assert_string_equal(rebuild(&history, 1, 2),
                        "d1 w1 t1 d2 w2 t2 w3 t3 w4 t4 w5 t5 w6 t6 w7 t7 w8 t8");
    assert_string_equal(rebuild(&history, 8, 9), "d8 w8 t8 d9 w9 t9");
}

static void test_a_rebuild_leaves_windows_over_a_gap(void **state)
{
    (void)state;
    HISTORY(history, 10);
    do_all(&history, FIRST + 9);
    agg_history_daily(&history, FIRST)->done = false;
    assert_string_equal(rebuild(&history, 6, 6), "d6 w7 w8 w9");
}

static void test_windows_begin_where_they_are_wanted(void **state)
{
    (void)state;
    HISTORY(history, 3);
    const struct agg_plan_request request = { .last = FIRST + 2,
                                              .windows_from = FIRST + 2,
                                              .rebuild_from = RC_DAY_NONE };
    assert_string_equal(plan_text(&history, &request), "d0 d1 d2 w2 t2");
}

static void test_a_window_grows_only_while_nothing_leaves_it(void **state)
{
    (void)state;
    HISTORY(history, 10);
    assert_false(agg_window_only_grows(&history, WEEK, FIRST));
    assert_true(agg_window_only_grows(&history, WEEK, FIRST + 6));
    assert_false(agg_window_only_grows(&history, WEEK, FIRST + 7));
    assert_true(agg_window_only_grows(&history, ALL, FIRST + 9));
    assert_int_equal(agg_window_first(&history, WEEK, FIRST + 7), FIRST + 1);
    assert_int_equal(agg_window_first(&history, ALL, FIRST + 7), FIRST);
}

static void test_the_newest_day_is_whole(void **state)
{
    (void)state;
    HISTORY(history, 5);
    assert_int_equal(agg_history_newest(&history, FIRST + 4), RC_DAY_NONE);
    do_all(&history, FIRST + 3);
    assert_int_equal(agg_history_newest(&history, FIRST + 4), FIRST + 3);
    agg_history_window(&history, ALL, FIRST + 3)->done = false;
    assert_int_equal(agg_history_newest(&history, FIRST + 4), FIRST + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_first_run_does_each_day_with_its_windows),
        cmocka_unit_test(test_nothing_is_due_twice),
        cmocka_unit_test(test_a_run_continues_at_the_first_step_missing),
        cmocka_unit_test(test_a_gap_takes_every_window_over_it),
        cmocka_unit_test(test_a_changed_day_makes_windows_stale),
        cmocka_unit_test(test_a_rebuild_takes_what_it_touches),
        cmocka_unit_test(test_a_rebuild_leaves_windows_over_a_gap),
        cmocka_unit_test(test_windows_begin_where_they_are_wanted),
        cmocka_unit_test(test_a_window_grows_only_while_nothing_leaves_it),
        cmocka_unit_test(test_the_newest_day_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
