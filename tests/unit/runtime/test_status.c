/*
 * The status page that guard and worker share: counting from many threads, its limits, and that a
 * page a plugin has scribbled over can still be read.
 */
#include <runtime/status.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 8, ROUNDS = 20000 };

static int64_t value_of(struct core_status *status, const char *name)
{
    for (size_t i = 0; i < core_status_counters(status); i++) {
        if (strcmp(status->counters[i].name, name) == 0)
            return atomic_load(&status->counters[i].value);
    }
    return -1;
}

static void *count(void *argument)
{
    struct core_status *status = argument;

    for (int i = 0; i < ROUNDS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "counter_%d", i % 5);
        assert_true(core_status_count(status, name, 1));
    }
    return NULL;
}

static void counts_from_many_threads(void **state)
{
    struct core_status *status = core_status_new();
    pthread_t threads[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, status), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(core_status_counters(status), 5);
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof(name), "counter_%d", i);
        assert_int_equal(value_of(status, name), THREADS * ROUNDS / 5);
    }
}

static void has_room_for_a_fixed_number(void **state)
{
    struct core_status *status = core_status_new();

    (void)state;
    for (int i = 0; i < CORE_STATUS_COUNTERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "c%d", i);
        assert_true(core_status_count(status, name, i));
    }
    assert_false(core_status_count(status, "one_more", 1));
    assert_true(core_status_count(status, "c7", 1));
    assert_int_equal(value_of(status, "c7"), 8);
}

static void reads_a_page_that_was_scribbled_over(void **state)
{
    struct core_status *status = core_status_new();

    (void)state;
    memset(status, 0xff, sizeof(*status));
    core_status_seal(status);
    assert_int_equal(core_status_counters(status), CORE_STATUS_COUNTERS);
    assert_true(strlen(status->action) < sizeof(status->action));
    assert_true(strlen(status->reason) < sizeof(status->reason));
    assert_true(strlen(status->error.cause) < sizeof(status->error.cause));
    assert_true(strlen(status->error.context) < sizeof(status->error.context));
    for (size_t i = 0; i < CORE_STATUS_COUNTERS; i++)
        assert_true(strlen(status->counters[i].name) < CORE_STATUS_NAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_from_many_threads),
        cmocka_unit_test(has_room_for_a_fixed_number),
        cmocka_unit_test(reads_a_page_that_was_scribbled_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
