/*
 * Tests of the table of runs: found by id, ordered by job, and whose turn it is.
 */
#include <supervisor/runs.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct core_active *add(struct core_runs *runs, struct core_job_state *job, const char *id,
                               int64_t slot_unix_ms, enum core_overlap_rule overlap)
{
    struct core_active *active = core_active_new(id, "job");

    active->has_slot = true;
    active->slot_unix_ms = slot_unix_ms;
    active->overlap = overlap;
    core_runs_add(runs, job, active);
    core_runs_place(runs, active, /* now = */ 1000);
    core_runs_wake(runs, job, 1000);
    return active;
}

static const char *first_ready(const struct core_runs *runs)
{
    const struct core_heap_item *item = core_heap_first(&runs->ready);

    return item ? ((const struct core_active *)(const void *)((const char *)item -
                                                              offsetof(struct core_active, place)))
                      ->id
                : "none";
}

static void test_many_are_found(void **state)
{
    struct core_runs runs;
    char id[CORE_RUN_ID_TEXT];

    (void)state;
    core_runs_init(&runs);
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(id, sizeof(id), "run-%d", i);
        core_runs_add(&runs, NULL, core_active_new(id, "job"));
    }
    for (int i = 0; i < 3000; i += 2) {
        (void)snprintf(id, sizeof(id), "run-%d", i);
        core_runs_remove(&runs, core_runs_find(&runs, id));
    }
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(id, sizeof(id), "run-%d", i);
        assert_int_equal(core_runs_find(&runs, id) != NULL, i % 2);
    }
    assert_int_equal(runs.waiting, 1500);
    core_runs_clear(&runs);
}

static void test_one_after_another_oldest_first(void **state)
{
    struct core_job_state job = { 0 };
    struct core_runs runs;
    struct core_active *first;

    (void)state;
    core_runs_init(&runs);
    add(&runs, &job, "b", 20, CORE_OVERLAP_QUEUE);
    add(&runs, &job, "c", 30, CORE_OVERLAP_QUEUE);
    first = add(&runs, &job, "a", 10, CORE_OVERLAP_QUEUE);
    assert_string_equal(job.first->id, "a");
    assert_string_equal(job.last->id, "c");

    assert_string_equal(first_ready(&runs), "a");
    core_runs_set_state(&runs, first, CORE_ACTIVE_CLAIMED);
    core_runs_place(&runs, core_runs_find(&runs, "b"), 1000);
    assert_string_equal(first_ready(&runs), "none"); /* a goes on */
    core_runs_set_state(&runs, first, CORE_ACTIVE_WAITS);
    first->attempt = 1;
    first->not_before_unix_ms = 5000;
    core_runs_place(&runs, first, 1000);
    core_runs_wake(&runs, &job, 1000);
    assert_string_equal(first_ready(&runs), "none"); /* a is between two attempts */
    core_runs_remove(&runs, first);
    core_runs_wake(&runs, &job, 1000);
    assert_string_equal(first_ready(&runs), "b");
    core_runs_clear(&runs);
}

static void test_others_need_no_turn(void **state)
{
    struct core_job_state job = { 0 }, other = { 0 };
    struct core_runs runs;

    (void)state;
    core_runs_init(&runs);
    core_runs_set_state(&runs, add(&runs, &job, "busy", 1, CORE_OVERLAP_FORBID),
                        CORE_ACTIVE_CLAIMED);
    add(&runs, &job, "waits", 10, CORE_OVERLAP_FORBID);
    assert_string_equal(first_ready(&runs), "none");
    add(&runs, &other, "allowed", 30, CORE_OVERLAP_ALLOW);
    assert_string_equal(first_ready(&runs), "allowed");
    add(&runs, &other, "older", 20, CORE_OVERLAP_ALLOW);
    assert_string_equal(first_ready(&runs), "older");
    core_runs_clear(&runs);
}

static void test_the_list_of_what_is_to_be_written(void **state)
{
    struct core_runs runs;
    struct core_active *a, *b, *c;

    (void)state;
    core_runs_init(&runs);
    core_runs_add(&runs, NULL, a = core_active_new("a", "job"));
    core_runs_add(&runs, NULL, b = core_active_new("b", "job"));
    core_runs_add(&runs, NULL, c = core_active_new("c", "job"));
    core_runs_list(&runs, a);
    core_runs_list(&runs, b);
    core_runs_list(&runs, a);
    core_runs_remove(&runs, b);
    core_runs_list(&runs, c);
    assert_ptr_equal(core_runs_unlist(&runs), a);
    assert_ptr_equal(core_runs_unlist(&runs), c);
    assert_null(core_runs_unlist(&runs));
    core_runs_clear(&runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_are_found),
        cmocka_unit_test(test_one_after_another_oldest_first),
        cmocka_unit_test(test_others_need_no_turn),
        cmocka_unit_test(test_the_list_of_what_is_to_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
