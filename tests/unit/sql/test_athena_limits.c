/*
 * How often and how many at once: by a clock of the test's, and between threads.
 */
#include <sql/athena.h>

#include <os/clock.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND_US INT64_C(1000000)

static void test_turns_keep_their_distance(void **state)
{
    struct core_athena_pace pace = { .gap_us = 200000 };

    (void)state;
    assert_int_equal(core_athena_pace_take(&pace, 5 * SECOND_US), 0);
    /* Who goes away in between has taken nothing. */
    assert_int_equal(core_athena_pace_take(&pace, 5 * SECOND_US), 200000);
    assert_int_equal(core_athena_pace_take(&pace, 5 * SECOND_US + 100000), 100000);
    assert_int_equal(core_athena_pace_take(&pace, 5 * SECOND_US + 200000), 0);
    assert_int_equal(core_athena_pace_take(&pace, 5 * SECOND_US + 200001), 199999);
    /* Nothing is saved up while nobody asks. */
    assert_int_equal(core_athena_pace_take(&pace, 60 * SECOND_US), 0);
    assert_int_equal(core_athena_pace_take(&pace, 60 * SECOND_US), 200000);
}

static void test_no_more_than_so_many_in_any_second(void **state)
{
    struct core_athena_pace pace = { .gap_us = 50000 };
    int64_t turns[400];
    int64_t now_us = 7 * SECOND_US;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(turns); i++) {
        int64_t wait_us;

        while ((wait_us = core_athena_pace_take(&pace, now_us)) > 0)
            now_us += wait_us;
        turns[i] = now_us;
        now_us += (int64_t)(i * 7919 % 100000);
        if (i >= 20)
            assert_true(turns[i] - turns[i - 20] >= SECOND_US);
    }
}

static void test_no_limit(void **state)
{
    struct core_athena_pace pace = { .gap_us = 0 };

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(core_athena_pace_take(&pace, SECOND_US), 0);
}

static void test_one_account_has_one_set_of_limits(void **state)
{
    const struct core_engine_settings one = { .queries_at_once = 5, .ddl_at_once = 2 };
    const struct core_engine_settings other = { .queries_at_once = 2, .ddl_at_once = 5 };
    struct core_athena_limits *a = core_athena_limits_get("one", &one);
    struct core_athena_limits *b = core_athena_limits_get("one", &other);
    struct core_athena_limits *c = core_athena_limits_get("two", &other);
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(core_athena_limits_enter(a, CORE_PRESTO_DML, &cancel, 0, &err), RC_OK);
        assert_int_equal(core_athena_limits_enter(b, CORE_PRESTO_DDL, &cancel, 0, &err), RC_OK);
    }
    /* The stricter of both settings hold, and who waits can be stopped. */
    core_cancel_request(&cancel, RC_CANCELLED);
    assert_int_equal(core_athena_limits_enter(a, CORE_PRESTO_DML, &cancel, 0, &err), RC_CANCELLED);
    assert_int_equal(core_athena_limits_enter(a, CORE_PRESTO_DDL, &cancel, 0, &err), RC_CANCELLED);
    core_athena_limits_leave(b, CORE_PRESTO_DML);
    assert_int_equal(core_athena_limits_enter(a, CORE_PRESTO_DML, NULL, 0, &err), RC_OK);
    for (int i = 0; i < 2; i++) {
        core_athena_limits_leave(a, CORE_PRESTO_DML);
        core_athena_limits_leave(a, CORE_PRESTO_DDL);
    }
    core_athena_limits_put(a);
    core_athena_limits_put(b);
    core_athena_limits_put(c);
    core_athena_limits_put(NULL);
}

/* A limit of time holds for a place and for a turn, too, where no wish to stop does. */
static void test_a_wait_ends_with_its_time(void **state)
{
    const struct core_engine_settings settings = { .queries_at_once = 1, .starts_per_s = 0.01 };
    struct core_athena_limits *limits = core_athena_limits_get("late", &settings);
    struct rc_error err = RC_ERROR_INIT;
    int64_t until_mono_ms = core_clock_mono_ms() + 60;

    (void)state;
    assert_int_equal(core_athena_limits_enter(limits, CORE_PRESTO_DML, NULL, 0, &err), RC_OK);
    assert_int_equal(core_athena_limits_wait(limits, CORE_ATHENA_STARTS, NULL, 0, &err), RC_OK);
    assert_int_equal(core_athena_limits_enter(limits, CORE_PRESTO_DML, NULL, until_mono_ms, &err),
                     RC_TIMEOUT);
    until_mono_ms = core_clock_mono_ms() + 60;
    assert_int_equal(core_athena_limits_wait(limits, CORE_ATHENA_STARTS, NULL, until_mono_ms, &err),
                     RC_TIMEOUT);
    core_athena_limits_leave(limits, CORE_PRESTO_DML);
    core_athena_limits_put(limits);
}

/* As slow as can be said, which no number of microseconds holds. */
static void test_the_slowest_pace(void **state)
{
    const struct core_engine_settings settings = { .starts_per_s = 1e-300 };
    struct core_athena_limits *limits = core_athena_limits_get("snail", &settings);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_athena_limits_wait(limits, CORE_ATHENA_STARTS, NULL, 0, &err), RC_OK);
    assert_int_equal(core_athena_limits_wait(limits, CORE_ATHENA_STARTS, NULL, 1, &err),
                     RC_TIMEOUT);
    core_athena_limits_put(limits);
}

static void test_a_wait_is_stopped(void **state)
{
    const struct core_engine_settings settings = { .starts_per_s = 0.01 };
    struct core_athena_limits *limits = core_athena_limits_get("slow", &settings);
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_athena_limits_wait(limits, CORE_ATHENA_STARTS, &cancel, 0, &err), RC_OK);
    assert_int_equal(core_athena_limits_wait(limits, CORE_ATHENA_READS, &cancel, 0, &err), RC_OK);
    assert_int_equal(core_athena_limits_wait(limits, CORE_ATHENA_FREE, &cancel, 0, &err), RC_OK);
    core_cancel_request(&cancel, RC_TIMEOUT);
    assert_int_equal(core_athena_limits_wait(limits, CORE_ATHENA_STARTS, &cancel, 0, &err),
                     RC_TIMEOUT);
    core_athena_limits_put(limits);
}

enum { THREADS = 8, ROUNDS = 20, PLACES = 3 };

struct crowd {
    struct core_athena_limits *limits;
    atomic_int inside, most;
};

static void *crowd(void *context)
{
    struct crowd *crowd = context;
    struct rc_error err = RC_ERROR_INIT;

    for (int i = 0; i < ROUNDS; i++) {
        int inside, most;

        if (core_athena_limits_enter(crowd->limits, CORE_PRESTO_DML, NULL, 0, &err))
            return "refused";
        inside = atomic_fetch_add(&crowd->inside, 1) + 1;
        most = atomic_load(&crowd->most);
        while (inside > most && !atomic_compare_exchange_weak(&crowd->most, &most, inside))
            continue;
        core_clock_sleep_ms(1);
        atomic_fetch_sub(&crowd->inside, 1);
        core_athena_limits_leave(crowd->limits, CORE_PRESTO_DML);
    }
    return NULL;
}

static void test_a_crowd(void **state)
{
    const struct core_engine_settings settings = { .queries_at_once = PLACES };
    struct crowd shared = { .limits = core_athena_limits_get("crowd", &settings) };
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd, &shared), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failure;

        assert_int_equal(pthread_join(threads[i], &failure), 0);
        assert_null(failure);
    }
    assert_int_equal(atomic_load(&shared.most), PLACES);
    core_athena_limits_put(shared.limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns_keep_their_distance),
        cmocka_unit_test(test_no_more_than_so_many_in_any_second),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_one_account_has_one_set_of_limits),
        cmocka_unit_test(test_a_wait_ends_with_its_time),
        cmocka_unit_test(test_the_slowest_pace),
        cmocka_unit_test(test_a_wait_is_stopped),
        cmocka_unit_test(test_a_crowd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
