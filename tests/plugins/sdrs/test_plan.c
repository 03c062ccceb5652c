/*
 * Plans: what each rule would move, that nothing is changed, and what is wrong or would be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run_world.h"

#include <stdlib.h>
#include <string.h>

#define CLICKS(index) RULE(index, "DATASET", "events/clicks")
#define REST(index) RULE(index, "DEFAULT", "events")
#define BARE(index) RULE(index, "DATASET", "evnts/web")

enum { TEXT_LIMIT = 1 << 16 };

static void put_all(struct run_world *w)
{
    run_put(w, "events/clicks/2018/05/06/07/a");
    run_put(w, "events/clicks/2019/02/08/04/a");
    run_put(w, "events/clicks/2019/02/08/05/a");
    run_put(w, "events/clicks/readme");
    run_put_at(w, "events/other", "2018-01-01T00:00:00Z");
}

static void test_rows_and_totals(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);

    put_all(&w);
    run_must(&w, "plan", CLICKS(0), REST(1));
    assert_has(rc_fake_host_shown(w.host),
               LAKE "events/clicks\t1\tDATASET\t30 days\t14\t2\t58\t4\t0.5\t2018-05-06T07\t"
                    "2019-02-08T04\t");
    assert_has(rc_fake_host_shown(w.host),
               LAKE "events\t2\tDEFAULT\t30 days\t1\t1\t12\t5\t0.2\t2018-01-01T00:00:00.");
    assert_has(rc_fake_host_said(w.host),
               "Would move 3 objects (70 B) below 15 prefixes: 2 rules in 1 bucket");
    assert_int_equal(rc_fake_host_counter(w.host, "objects_to_move"), 3);
    assert_int_equal(rc_fake_host_counter(w.host, "bytes_to_move"), 70);
}

static void test_nothing_is_changed(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);
    RC_BUF_AUTO(text, TEXT_LIMIT);
    struct sdrs_records jobs;

    put_all(&w);
    rc_fake_host_hold_lock(w.host, "sdrs " LAKE "events/", true); /* nor does it wait */
    run_must(&w, "plan", CLICKS(0), REST(1), WEBHOOK);
    assert_string_equal(run_objects(&w, "eventsshadow", &text), "");
    jobs = run_jobs(&w);
    assert_int_equal(jobs.count, 0);
    assert_int_equal(run_waiting(&w), 0);
    assert_int_equal(rc_fake_host_open_handles(w.host), 0);
}

static void test_nothing_to_move(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);

    run_must(&w, "plan", CLICKS(0));
    assert_has(rc_fake_host_shown(w.host), "nothing is older than the rule keeps");
    assert_has(rc_fake_host_said(w.host), "Would move 0 objects");
}

static void test_without_rules(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);

    run_must(&w, "plan", "width=1");
    assert_has(rc_fake_host_said(w.host), "no rule names a bucket: nothing to move");
}

static void test_what_would_be_refused(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);

    put_all(&w);
    run_must(&w, "plan", CLICKS(0), "max_delete_objects=1");
    assert_has(rc_fake_host_shown(w.host), "refused: it would move 2 objects");
}

static void test_times_as_far_as_the_path_says(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);

    run_put(&w, "events/clicks/year=2017/month=04/a");
    run_put(&w, "events/clicks/year=2019/month=01/a");
    run_put(&w, "events/clicks/year=2019/month=02/a");
    run_must(&w, "plan", CLICKS(0), "path_template=year={yyyy}/month={mm}");
    assert_has(rc_fake_host_shown(w.host), "\t2017-04\t2019-01\t");
}

static void test_a_mistake_is_of_one_rule(void **unused)
{
    (void)unused;
    RUN_WORLD_AUTO(w);

    put_all(&w);
    assert_int_equal(run_with(&w, "plan", BARE(0), CLICKS(1)), RC_FAILED);
    assert_has(w.err.cause, "1 of 2 rules cannot be planned; the first, of '" LAKE "evnts/'");
    assert_has(rc_fake_host_shown(w.host), "\t2018-05-06T07\t");
    assert_has(rc_fake_host_shown(w.host), "does not exist");

    rc_fake_host_fail_on(w.host, "storage.list", LAKE "events", -1, RC_DENIED);
    assert_int_equal(run_with(&w, "plan", CLICKS(0)), RC_FAILED);
    assert_int_equal(rc_fake_host_open_handles(w.host), 0);
}

static void test_a_cancelled_plan_says_so(void **unused)
{
    (void)unused;

    for (int n = 1;; n += 3) {
        RUN_WORLD_AUTO(w);
        enum rc_code code;

        put_all(&w);
        rc_fake_host_cancel_at(w.host, n);
        code = run_with(&w, "plan", CLICKS(0), REST(1));
        if (rc_fake_host_calls(w.host) < n)
            break;
        assert_int_equal(code, RC_CANCELLED);
        assert_int_equal(rc_fake_host_open_handles(w.host), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_and_totals),
        cmocka_unit_test(test_nothing_is_changed),
        cmocka_unit_test(test_nothing_to_move),
        cmocka_unit_test(test_without_rules),
        cmocka_unit_test(test_what_would_be_refused),
        cmocka_unit_test(test_times_as_far_as_the_path_says),
        cmocka_unit_test(test_a_mistake_is_of_one_rule),
        cmocka_unit_test(test_a_cancelled_plan_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
