/*
 * Attempts under a daemon, from the daemon's side: every way in which one ends, and what another
 * daemon finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "attempt_fixture.h"

#include <os/clock.h>
#include <os/path.h>
#include <runtime/status.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static pid_t child_of(pid_t parent)
{
    RC_STR_AUTO path = rc_strf("/proc/%ld/task/%ld/children", (long)parent, (long)parent);
    FILE *file = fopen(path, "r");
    long pid = 0;

    if (!file || fscanf(file, "%ld", &pid) != 1)
        pid = 0;
    if (file)
        fclose(file);
    return (pid_t)pid;
}

static void expect(const struct core_attempt_result *result, const char *status, const char *reason,
                   int exit_status)
{
    if (strcmp(result->status, status) != 0 || strcmp(result->reason, reason) != 0 ||
        result->exit_status != exit_status)
        fail_msg("%s (%s, %d), not %s (%s, %d): %s", result->status, result->reason,
                 result->exit_status, status, reason, exit_status, result->message);
}

/* ---- how attempts end ------------------------------------------------------------------------ */

static void one_that_succeeds_says_what_it_did(void **state)
{
    struct fixture *fixture = *state;
    const struct core_attempt_result *result;
    int before = open_descriptors();
    int64_t now_ms = core_clock_now_unix_ms();

    fixture->request.number = 2;
    result = fixture_run(fixture, "heavy", "tell");
    expect(result, "succeeded", "", 0);
    assert_string_equal(result->counters, "{\"told\":3}");
    assert_string_equal(result->action, "tell");
    assert_string_equal(result->message, "");
    assert_true(result->started_unix_ms >= now_ms);
    assert_true(result->finished_unix_ms >= result->started_unix_ms);
    fixture_contains(fixture_log(fixture, false),
                     "\"message\":\"attempt 2 of slot 1774742400000 at 1774742400123\","
                     "\"run\":\"20260329t000000-00000001\",\"plugin\":\"heavy\",\"action\":"
                     "\"tell\",\"job\":\"job\",\"attempt\":\"2\"}\n");
    fixture_contains(fixture_log(fixture, false), "{\"text\":\"a result\"}\n");
    fixture_contains(fixture_log(fixture, false), "raw, and without an end\n{\"time\"");
    fixture_contains(fixture_log(fixture, false), "heavy tell succeeded after");
    assert_int_equal(open_descriptors(), before);
}

static void each_end_has_its_status(void **state)
{
    static const struct {
        const char *plugin, *action, *status, *reason;
        int exit_status;
    } ends[] = {
        { "noop", NULL, "succeeded", "", 0 },
        { "crash", "segv", "failed", "crashed", 128 + SIGSEGV },
        { "crash", "abort", "failed", "crashed", 128 + SIGABRT },
        { "crash", "exit", "failed", "exited", 1 },
        { "garbage", NULL, "failed", "failed", 1 },
        { "nowhere", NULL, "failed", "invalid", 2 },
        { "noop", "nothing", "failed", "invalid", 2 },
        { "rough", "silent", "failed", "failed", 1 },
        { "skip", NULL, "skipped", "precondition", 3 },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(ends); i++) {
        const struct core_attempt_result *result =
            fixture_run(fixture, ends[i].plugin, ends[i].action);

        expect(result, ends[i].status, ends[i].reason, ends[i].exit_status);
        assert_int_equal(result->message[0] == '\0', ends[i].exit_status == 0);
    }
}

static void time_runs_out(void **state)
{
    struct fixture *fixture = *state;

    fixture->job.timeout_ms = 100;
    expect(fixture_run(fixture, "hang", "wait"), "timed_out", "timeout", 124);
    expect(fixture_run(fixture, "hang", "hang"), "timed_out", "timeout", 124);
    fixture_contains(fixture_log(fixture, false), "did not stop");
}

static void the_daemon_stops_one(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt = fixture_start(fixture, "hang", "wait");

    fixture_wait_for(fixture, "waiting");
    core_attempt_stop(&attempt, "replaced");
    core_attempt_stop(&attempt, "shutdown"); /* changes nothing, and is not impatient */
    expect(fixture_end(&attempt), "cancelled", "replaced", 128 + SIGTERM);
    fixture_contains(fixture_log(fixture, false), "stopping");

    /* At once, before there is a worker even. */
    attempt = fixture_start(fixture, "hang", "wait");
    core_attempt_stop(&attempt, "cancelled");
    expect(fixture_end(&attempt), "cancelled", "cancelled", 128 + SIGTERM);

    attempt = fixture_start(fixture, "hang", "hang");
    fixture_wait_for(fixture, "hanging");
    core_attempt_stop(&attempt, "cancelled");
    expect(fixture_end(&attempt), "cancelled", "cancelled", 128 + SIGTERM);

    fixture->job.kill_after_ms = 3600000;
    attempt = fixture_start(fixture, "hang", "hang");
    fixture_wait_for(fixture, "hanging");
    core_attempt_kill(&attempt);
    expect(fixture_end(&attempt), "cancelled", "killed", 128 + SIGTERM);

    attempt = fixture_start(fixture, "hang", "hang");
    fixture_wait_for(fixture, "hanging");
    core_attempt_stop(&attempt, "shutdown");
    core_attempt_kill(&attempt);
    expect(fixture_end(&attempt), "cancelled", "shutdown", 128 + SIGTERM);

    /* Somebody else, by hand. */
    attempt = fixture_start(fixture, "hang", "wait");
    fixture_wait_for(fixture, "waiting");
    kill(attempt.guard, SIGTERM);
    expect(fixture_end(&attempt), "cancelled", "signal", 128 + SIGTERM);
}

static void a_lease_runs_out(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt;
    int64_t began_ms = core_clock_mono_ms();

    fixture->request.lease_boot_ms = core_clock_boot_ms() + 200;
    attempt = fixture_start(fixture, "hang", "wait");
    core_attempt_extend(&attempt, core_clock_boot_ms() + 600);
    expect(fixture_end(&attempt), "cancelled", "lease", 128 + SIGTERM);
    assert_true(core_clock_mono_ms() - began_ms >= 600);
    fixture_contains(fixture_log(fixture, false), "lease");

    /* The worker has ended before the lease has, however long it may take to say goodbye. */
    fixture->job.kill_after_ms = 3600000;
    fixture->config->settings.lease_ms = 2000;
    fixture->request.lease_boot_ms = core_clock_boot_ms() + 100;
    expect(fixture_run(fixture, "hang", "hang"), "cancelled", "lease", 128 + SIGTERM);
}

/* ---- what a killed guard leaves -------------------------------------------------------------- */

static void the_worker_dies_with_its_guard(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt = fixture_start(fixture, "hang", "hang");
    const struct core_attempt_result *result;
    pid_t worker;

    fixture_wait_for(fixture, "hanging");
    worker = child_of(attempt.guard);
    assert_true(worker > 0);
    kill(attempt.guard, SIGKILL);
    result = fixture_end(&attempt);
    expect(result, "lost", "lost", 1);
    fixture_contains(result->message, "SIGKILL");
    assert_true(fixture_is_gone(worker));
}

/* Also while the daemon that started it lives, and has not looked yet. */
static void its_lock_ends_with_its_guard(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt = fixture_start(fixture, "noop", NULL);
    struct core_attempt same;
    enum core_attempt_state found;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(poll(&(struct pollfd){ .fd = attempt.pidfd, .events = POLLIN }, 1, 15000), 1);
    assert_int_equal(core_attempt_find(fixture->folder, 1, &same, &found, &err), RC_OK);
    assert_int_equal(found, CORE_ATTEMPT_ENDED);
    core_attempt_close(&same, /* settled = */ false);
    expect(fixture_end(&attempt), "succeeded", "", 0);
}

static void another_kills_the_worker(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt = fixture_start(fixture, "hang", "hang");

    fixture_wait_for(fixture, "hanging");
    kill(child_of(attempt.guard), SIGKILL);
    expect(fixture_end(&attempt), "failed", "killed", 128 + SIGKILL);
}

/* ---- adoption -------------------------------------------------------------------------------- */

/* A daemon that starts an attempt and is killed at once. */
static void start_and_die(struct fixture *fixture, const char *plugin, const char *action)
{
    pid_t daemon = fork();
    int status;

    if (daemon == 0) {
        struct core_attempt attempt;
        struct rc_error err = RC_ERROR_INIT;

        fixture_ask(fixture, plugin, action);
        if (core_attempt_start(&fixture->request, &attempt, &err))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(daemon, &status, 0), daemon);
    assert_true(WIFSIGNALED(status));
}

static enum core_attempt_state find(struct fixture *fixture, struct core_attempt *out)
{
    enum core_attempt_state found = CORE_ATTEMPT_NEVER;
    struct rc_error err = RC_ERROR_INIT;

    if (core_attempt_find(fixture->folder, fixture->request.number, out, &found, &err))
        fail_msg("%s: %s", err.context, err.cause);
    return found;
}

static void another_daemon_adopts_it(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt, same;

    assert_int_equal(find(fixture, &attempt), CORE_ATTEMPT_NEVER);
    start_and_die(fixture, "hang", "wait");
    assert_int_equal(find(fixture, &attempt), CORE_ATTEMPT_ALIVE);
    fixture_wait_for(fixture, "waiting");
    assert_int_equal(atomic_load(&attempt.status->phase), CORE_PHASE_RUNNING);
    assert_false(attempt.is_child);
    core_attempt_stop(&attempt, "cancelled");
    assert_int_equal(poll(&(struct pollfd){ .fd = attempt.pidfd, .events = POLLIN }, 1, 15000), 1);
    assert_int_equal(find(fixture, &same), CORE_ATTEMPT_ENDED);
    core_attempt_close(&same, /* settled = */ false);
    expect(fixture_end(&attempt), "cancelled", "cancelled", 128 + SIGTERM);
    assert_int_equal(find(fixture, &attempt), CORE_ATTEMPT_NEVER); /* it was settled */
}

static void a_result_waits_for_the_next_daemon(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt_result result;
    struct core_attempt attempt;

    start_and_die(fixture, "counter", NULL);
    if (find(fixture, &attempt) == CORE_ATTEMPT_ALIVE) { /* or it was too quick for that */
        assert_int_equal(poll(&(struct pollfd){ .fd = attempt.pidfd, .events = POLLIN }, 1, 15000),
                         1);
        core_attempt_close(&attempt, /* settled = */ false);
        assert_int_equal(find(fixture, &attempt), CORE_ATTEMPT_ENDED);
    }
    core_attempt_result(&attempt, &result);
    expect(&result, "succeeded", "", 0);
    fixture_contains(result.counters, "\"steps\":10");
    core_attempt_result_clear(&result);
    core_attempt_close(&attempt, /* settled = */ true);
}

static void a_guard_that_was_killed_meanwhile_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt_result result;
    struct core_attempt attempt;

    start_and_die(fixture, "hang", "hang");
    fixture_wait_for(fixture, "hanging");
    assert_int_equal(find(fixture, &attempt), CORE_ATTEMPT_ALIVE);
    kill(attempt.guard, SIGKILL);
    assert_true(fixture_is_gone(attempt.guard));
    core_attempt_close(&attempt, /* settled = */ false);
    assert_int_equal(find(fixture, &attempt), CORE_ATTEMPT_ENDED);
    core_attempt_result(&attempt, &result);
    expect(&result, "lost", "lost", 1);
    core_attempt_result_clear(&result);
    core_attempt_close(&attempt, /* settled = */ true);
}

static void a_daemon_died_before_its_fork(void **state)
{
    struct fixture *fixture = *state;
    RC_STR_AUTO path = rc_strf("%s/1.guard", fixture->folder);
    struct core_attempt attempt;
    int fd = core_fd_open(path, O_RDWR | O_CREAT, 0600);

    assert_int_equal(find(fixture, &attempt), CORE_ATTEMPT_NEVER); /* the file is empty */
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(find(fixture, &attempt), CORE_ATTEMPT_NEVER);
    close(fd);
    expect(fixture_run(fixture, "noop", NULL), "succeeded", "", 0);
}

static void nothing_starts_twice(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt = fixture_start(fixture, "hang", "wait");
    struct core_attempt second;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_attempt_start(&fixture->request, &second, &err), RC_CONFLICT);
    core_attempt_stop(&attempt, "cancelled");
    expect(fixture_end(&attempt), "cancelled", "cancelled", 128 + SIGTERM);
}

/* ---- a machine with little left -------------------------------------------------------------- */

static void without_a_process_nothing_was_started(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt;
    struct rc_error err = RC_ERROR_INIT;
    struct rlimit before, none;

    fixture_ask(fixture, "noop", NULL);
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
    setrlimit(RLIMIT_NOFILE, &none);
    assert_int_equal(core_attempt_start(&fixture->request, &attempt, &err), RC_UNAVAILABLE);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(find(fixture, &attempt), CORE_ATTEMPT_NEVER);

    fixture->request.folder = "/proc/nowhere/run";
    assert_int_not_equal(core_attempt_start(&fixture->request, &attempt, &err), RC_OK);
}

static void many_in_a_row_leave_nothing(void **state)
{
    enum { ROUNDS = 100, AT_ONCE = 5 };
    struct fixture *fixture = *state;
    int before = open_descriptors();

    for (int round = 0; round < ROUNDS; round++) {
        struct core_attempt attempts[AT_ONCE];

        for (int i = 0; i < AT_ONCE; i++) {
            fixture->request.number = 1 + i;
            attempts[i] = fixture_start(fixture, "noop", NULL);
        }
        for (int i = 0; i < AT_ONCE; i++)
            expect(fixture_end(&attempts[i]), "succeeded", "", 0);
    }
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie either */
    assert_int_equal(errno, ECHILD);
}

static void forget_one(void *context)
{
    *(int *)context = 1; /* in the child's memory only */
}

static void the_child_forgets_what_is_the_daemons(void **state)
{
    struct fixture *fixture = *state;
    int forgotten = 0;

    fixture->request.forget = forget_one;
    fixture->request.context = &forgotten;
    expect(fixture_run(fixture, "noop", NULL), "succeeded", "", 0);
    assert_int_equal(forgotten, 0);
}

int main(void)
{
#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(one_that_succeeds_says_what_it_did),
        FIXTURE_TEST(each_end_has_its_status),
        FIXTURE_TEST(time_runs_out),
        FIXTURE_TEST(the_daemon_stops_one),
        FIXTURE_TEST(a_lease_runs_out),
        FIXTURE_TEST(the_worker_dies_with_its_guard),
        FIXTURE_TEST(its_lock_ends_with_its_guard),
        FIXTURE_TEST(another_kills_the_worker),
        FIXTURE_TEST(another_daemon_adopts_it),
        FIXTURE_TEST(a_result_waits_for_the_next_daemon),
        FIXTURE_TEST(a_guard_that_was_killed_meanwhile_is_lost),
        FIXTURE_TEST(a_daemon_died_before_its_fork),
        FIXTURE_TEST(nothing_starts_twice),
        FIXTURE_TEST(without_a_process_nothing_was_started),
        FIXTURE_TEST(many_in_a_row_leave_nothing),
        FIXTURE_TEST(the_child_forgets_what_is_the_daemons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
