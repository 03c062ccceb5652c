/*
 * What the guard keeps a worker from: the limits of its job, and processes that would outlive it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "attempt_fixture.h"

#include <db/db.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_limit(const struct core_attempt_result *result, const char *reason,
                         const char *words)
{
    assert_string_equal(result->status, "failed");
    assert_string_equal(result->reason, reason);
    fixture_contains(result->message, words);
}

static void processor_time(void **state)
{
    struct fixture *fixture = *state;
    const struct core_attempt_result *result;

    fixture->job.limits.cpu_ms = 1000;
    result = fixture_run(fixture, "heavy", "spin");
    expect_limit(result, "cpu_time",
                 "used more than 1s of processor time (limits.cpu_time) in its action 'spin'");
    assert_int_equal(result->exit_status, 128 + SIGXCPU);
}

static void size_of_files(void **state)
{
    struct fixture *fixture = *state;
    RC_STR_AUTO word = rc_strf("path=%s/large", fixture->folder);

    fixture->job.limits.file_bytes = 8 * 1024 * 1024;
    fixture_set(fixture, word);
    expect_limit(fixture_run(fixture, "heavy", "fill"), "file_size",
                 "wrote a file of more than 8 MiB (limits.file_size)");
}

static void address_space(void **state)
{
    struct fixture *fixture = *state;
    const struct core_attempt_result *result;

    fixture->job.limits.address_space_bytes = 512 * 1024 * 1024;
    fixture->job.timeout_ms = 10000;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    result = fixture_run(fixture, "noop", NULL);
    assert_string_equal(result->status, "succeeded");
    fixture_contains(fixture_log(fixture, false), "going on without limits.address_space");
#else
    result = fixture_run(fixture, "heavy", "allocate");
    expect_limit(result, "crashed",
                 "its address space was limited to 512 MiB (limits.address_space)");
    fixture_contains(fixture_log(fixture, false), "out of memory");
#endif
}

static void niceness(void **state)
{
    struct fixture *fixture = *state;
    RC_STR_AUTO words = rc_strf("nice %d", nice(0) + 3);

    fixture->job.limits.nice = 3;
    assert_string_equal(fixture_run(fixture, "heavy", "nice")->status, "succeeded");
    fixture_contains(fixture_log(fixture, false), words);
}

/* Where no control group can be made, the run goes on and says so; there is no limit to test. */
static void memory(void **state)
{
    struct fixture *fixture = *state;
    const struct core_attempt_result *result;

    fixture->job.limits.memory_bytes = 512 * 1024 * 1024;
    assert_string_equal(fixture_run(fixture, "noop", NULL)->status, "succeeded");
    if (strstr(fixture_log(fixture, false), "going on without limits.memory: "))
        skip();
    result = fixture_run(fixture, "heavy", "allocate");
    expect_limit(result, "memory", "used more than 512 MiB of memory (limits.memory)");
}

static pid_t pid_in(const char *path)
{
    FILE *file = fopen(path, "r");
    long pid = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld", &pid), 1);
    fclose(file);
    return (pid_t)pid;
}

static void a_daemon_of_the_plugin_does_not_outlive_it(void **state)
{
    struct fixture *fixture = *state;
    RC_STR_AUTO path = rc_strf("%s/pid", fixture->folder);
    RC_STR_AUTO word = rc_strf("path=%s", path);
    const struct core_attempt_result *result;

    fixture_set(fixture, word);
    result = fixture_run(fixture, "heavy", "escape");
    if (strcmp(result->status, "succeeded") != 0)
        fail_msg("%s", result->message);
    assert_int_equal(kill(pid_in(path), 0), -1); /* not a moment longer than its guard */
    fixture->request.request.set = NULL;
    assert_string_equal(fixture_run(fixture, "rough", "linger")->status, "succeeded");
}

/* ---- the job's lock -------------------------------------------------------------------------- */

int main(void)
{
#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(processor_time), FIXTURE_TEST(size_of_files),
        FIXTURE_TEST(address_space),  FIXTURE_TEST(niceness),
        FIXTURE_TEST(memory),         FIXTURE_TEST(a_daemon_of_the_plugin_does_not_outlive_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
