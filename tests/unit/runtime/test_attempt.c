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

#include <base/utf8.h>
#include <config/json.h>
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
#include <sys/stat.h>
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
    int64_t kill_after_ms = fixture->job.kill_after_ms;
    struct core_attempt attempt;

    fixture->job.kill_after_ms = 3600000; /* however long it takes to say goodbye */
    attempt = fixture_start(fixture, "hang", "wait");
    fixture_wait_for(fixture, "waiting");
    core_attempt_stop(&attempt, "replaced");
    core_attempt_stop(&attempt, "shutdown"); /* changes nothing, and is not impatient */
    expect(fixture_end(&attempt), "cancelled", "replaced", 128 + SIGTERM);
    fixture_contains(fixture_log(fixture, false), "stopping");

    /* At once, before there is a worker even. */
    attempt = fixture_start(fixture, "hang", "wait");
    core_attempt_stop(&attempt, "cancelled");
    expect(fixture_end(&attempt), "cancelled", "cancelled", 128 + SIGTERM);

    fixture->job.kill_after_ms = kill_after_ms;
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
    int64_t began_ms = 0;
    bool in_time = false;

    /* A busy machine may be too slow to extend the lease, though hardly each time. */
    for (int i = 0; i < 20 && !in_time; i++) {
        began_ms = core_clock_mono_ms();
        fixture->request.lease_boot_ms = core_clock_boot_ms() + 200;
        attempt = fixture_start(fixture, "hang", "wait");
        core_attempt_extend(&attempt, core_clock_boot_ms() + 600);
        in_time = core_clock_boot_ms() < fixture->request.lease_boot_ms;
        expect(fixture_end(&attempt), "lost", "lease", 1);
    }
    assert_true(in_time);
    assert_true(core_clock_mono_ms() - began_ms >= 600);
    fixture_contains(fixture_log(fixture, false), "lease");

    /* The worker has ended before the lease has, however long it may take to say goodbye. */
    fixture->job.kill_after_ms = 3600000;
    fixture->config->settings.lease_ms = 2000;
    fixture->request.lease_boot_ms = core_clock_boot_ms() + 100;
    expect(fixture_run(fixture, "hang", "hang"), "lost", "lease", 1);
}

static void a_lease_runs_out_while_it_is_stopped(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt;
    bool in_time = false;

    fixture->job.kill_after_ms = 3600000;
    fixture->config->settings.lease_ms = 2000;
    for (int i = 0; i < 20 && !in_time; i++) {
        fixture->request.lease_boot_ms = core_clock_boot_ms() + 500;
        attempt = fixture_start(fixture, "hang", "hang");
        core_attempt_stop(&attempt, "cancelled");
        in_time = core_clock_boot_ms() < fixture->request.lease_boot_ms;
        if (in_time)
            expect(fixture_end(&attempt), "cancelled", "cancelled", 128 + SIGTERM);
        else
            (void)fixture_end(&attempt);
    }
    assert_true(in_time);
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

    assert_int_equal(poll(&(struct pollfd){ .fd = attempt.pidfd, .events = POLLIN }, 1, 60000), 1);
    assert_int_equal(core_attempt_find(fixture->folder, 1, &same, &found, &err), RC_OK);
    assert_int_equal(found, CORE_ATTEMPT_ENDED);
    core_attempt_close(&same, /* settled = */ false);
    expect(fixture_end(&attempt), "succeeded", "", 0);
}

static void another_kills_the_worker(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt = fixture_start(fixture, "hang", "hang");
    pid_t worker;

    fixture_wait_for(fixture, "hanging");
    worker = child_of(attempt.guard);
    assert_true(worker > 0); /* 0 would be this test and all that it has started */
    kill(worker, SIGKILL);
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
    assert_int_equal(poll(&(struct pollfd){ .fd = attempt.pidfd, .events = POLLIN }, 1, 60000), 1);
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
        assert_int_equal(poll(&(struct pollfd){ .fd = attempt.pidfd, .events = POLLIN }, 1, 60000),
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

/* ---- files that nobody of ours has written --------------------------------------------------- */

static void write_file(const struct fixture *fixture, const char *name, const char *data,
                       size_t len)
{
    RC_STR_AUTO path = rc_strf("%s/%s", fixture->folder, name);
    int fd = core_fd_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(core_fd_write(fd, data, len), 0);
    core_fd_close(&fd);
}

/* What the ledger takes for an end, whatever the files say. */
static void expect_sense(struct fixture *fixture)
{
    static const char *const ends[] = { "succeeded", "failed",    "skipped",
                                        "cancelled", "timed_out", "lost" };
    struct core_attempt_result result;
    struct core_attempt attempt;
    CORE_PROBLEMS_AUTO(problems);
    size_t i = 0;

    if (find(fixture, &attempt) != CORE_ATTEMPT_ENDED)
        return;
    core_attempt_result(&attempt, &result);
    while (i < RC_ARRAY_LEN(ends) && strcmp(result.status, ends[i]) != 0)
        i++;
    assert_true(i < RC_ARRAY_LEN(ends));
    assert_true(core_utf8_is_valid(result.action));
    assert_true(result.exit_status >= 0 && result.started_unix_ms >= 0);
    assert_true(result.finished_unix_ms >= 0 && result.finished_unix_ms < INT64_MAX / 2);
    assert_non_null(core_json_read(&fixture->arena, "counters", result.counters,
                                   strlen(result.counters), &problems));
    assert_int_equal(problems.count, 0);
    core_attempt_result_clear(&result);
    core_attempt_close(&attempt, /* settled = */ false);
}

/* Leaves the files of an attempt that has ended. */
static void leave_files(struct fixture *fixture)
{
    struct core_attempt attempt = fixture_start(fixture, "counter", NULL);

    assert_int_equal(poll(&(struct pollfd){ .fd = attempt.pidfd, .events = POLLIN }, 1, 60000), 1);
    assert_int_equal(waitpid(attempt.guard, NULL, 0), attempt.guard);
    core_attempt_close(&attempt, /* settled = */ false);
}

static void results_that_make_no_sense_are_no_results(void **state)
{
    static const char *const texts[] = {
        "",
        "null",
        "[1]",
        "{}",
        "{\"status\":\"due\"}",
        "{\"status\":\"started\",\"exit_status\":0}",
        "{\"status\":{\"a\":1}}",
        "{\"status\":\"failed\",\"counters\":[1],\"action\":{},\"exit_status\":-5}",
        ("{\"status\":\"failed\",\"started\":-9223372036854775808,"
         "\"finished\":9223372036854775807,\"exit_status\":4294967296}"),
    };
    struct fixture *fixture = *state;
    RC_STR_AUTO path = rc_strf("%s/1.result", fixture->folder);

    leave_files(fixture);
    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++) {
        write_file(fixture, "1.result", texts[i], strlen(texts[i]));
        expect_sense(fixture);
    }
    /* Nor does it wait for somebody to write, or read without end. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_sense(fixture);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/zero", path), 0);
    expect_sense(fixture);
}

static void whatever_stands_in_its_files(void **state)
{
    enum { ROUNDS = 500, LONGEST = 16384 };
    static const char *const names[] = { "1.result", "1.status", "1.guard" };
    static char original[RC_ARRAY_LEN(names)][LONGEST], data[LONGEST];
    size_t lens[RC_ARRAY_LEN(names)];
    struct fixture *fixture = *state;
    uint32_t random = 1;

    leave_files(fixture);
    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        RC_STR_AUTO path = rc_strf("%s/%s", fixture->folder, names[i]);
        int fd = core_fd_open(path, O_RDONLY, 0);
        ssize_t got = read(fd, original[i], LONGEST);

        assert_true(got > 0);
        lens[i] = (size_t)got;
        core_fd_close(&fd);
    }
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
            size_t len = lens[i];

            memcpy(data, original[i], len);
            for (int changes = 1 + round % 50; changes > 0; changes--) {
                random = random * 1664525u + 1013904223u;
                data[(random >> 8) % len] = (char)(random >> 24);
            }
            if (round % 7 == 0)
                len = (random >> 8) % len;
            write_file(fixture, names[i], data, len);
            expect_sense(fixture);
        }
}

static bool has_mapped(pid_t pid, const char *path)
{
    RC_STR_AUTO maps = rc_strf("/proc/%ld/maps", (long)pid);
    FILE *file = fopen(maps, "r");
    char line[1024];
    bool found = false;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        found = found || strstr(line, path);
    fclose(file);
    return found;
}

/* Of the attempt's files the worker has only what it prints into, through the guard. */
static void the_worker_has_no_file_of_its_guard(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt = fixture_start(fixture, "hang", "wait");

    fixture_wait_for(fixture, "waiting");
    for (int fd = 0; fd < 64; fd++) {
        RC_STR_AUTO link = rc_strf("/proc/%ld/fd/%d", (long)child_of(attempt.guard), fd);
        char target[256] = "";

        if (readlink(link, target, sizeof(target) - 1) > 0)
            assert_null(strstr(target, fixture->folder));
    }
    core_attempt_stop(&attempt, "cancelled");
    expect(fixture_end(&attempt), "cancelled", "cancelled", 128 + SIGTERM);
}

/* A plugin that writes where it should not reaches no other run. */
static void nobody_has_the_pages_of_others(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt first = fixture_start(fixture, "hang", "wait"), second, found;

    fixture_wait_for(fixture, "waiting");
    assert_int_equal(find(fixture, &found), CORE_ATTEMPT_ALIVE);
    fixture->request.number = 2;
    second = fixture_start(fixture, "hang", "wait");
    while (child_of(second.guard) == 0)
        core_clock_sleep_ms(1);
    assert_true(has_mapped(second.guard, "/2.guard") && has_mapped(second.guard, "/2.status"));
    assert_false(has_mapped(second.guard, "/1.guard") || has_mapped(second.guard, "/1.status"));
    core_attempt_close(&found, /* settled = */ false);
    core_attempt_stop(&first, "cancelled");
    core_attempt_stop(&second, "cancelled");
    expect(fixture_end(&first), "cancelled", "cancelled", 128 + SIGTERM);
    expect(fixture_end(&second), "cancelled", "cancelled", 128 + SIGTERM);
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

/* What cannot be looked at for want of a descriptor may live. */
static void without_a_descriptor_nothing_is_said_of_one(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt = fixture_start(fixture, "hang", "wait"), same;
    struct rlimit before, few;

    fixture_wait_for(fixture, "waiting");
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    for (rlim_t spare = 0; spare < 8; spare++) {
        enum core_attempt_state found = CORE_ATTEMPT_NEVER;
        struct rc_error err = RC_ERROR_INIT;
        int lowest = fcntl(STDIN_FILENO, F_DUPFD, 0);

        close(lowest);
        few.rlim_cur = (rlim_t)lowest + spare;
        setrlimit(RLIMIT_NOFILE, &few);
        enum rc_code code = core_attempt_find(fixture->folder, 1, &same, &found, &err);
        setrlimit(RLIMIT_NOFILE, &before);
        if (code == RC_OK) {
            assert_int_equal(found, CORE_ATTEMPT_ALIVE);
            core_attempt_close(&same, /* settled = */ false);
        } else if (code != RC_UNAVAILABLE) {
            fail_msg("with %d descriptors: %s", (int)spare, err.cause);
        }
        assert_true(code == RC_OK || spare < 6);
    }
    core_attempt_stop(&attempt, "cancelled");
    expect(fixture_end(&attempt), "cancelled", "cancelled", 128 + SIGTERM);
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
        FIXTURE_TEST(a_lease_runs_out_while_it_is_stopped),
        FIXTURE_TEST(the_worker_dies_with_its_guard),
        FIXTURE_TEST(its_lock_ends_with_its_guard),
        FIXTURE_TEST(another_kills_the_worker),
        FIXTURE_TEST(another_daemon_adopts_it),
        FIXTURE_TEST(a_result_waits_for_the_next_daemon),
        FIXTURE_TEST(a_guard_that_was_killed_meanwhile_is_lost),
        FIXTURE_TEST(a_daemon_died_before_its_fork),
        FIXTURE_TEST(nothing_starts_twice),
        FIXTURE_TEST(results_that_make_no_sense_are_no_results),
        FIXTURE_TEST(whatever_stands_in_its_files),
        FIXTURE_TEST(the_worker_has_no_file_of_its_guard),
        FIXTURE_TEST(nobody_has_the_pages_of_others),
        FIXTURE_TEST(without_a_process_nothing_was_started),
        FIXTURE_TEST(without_a_descriptor_nothing_is_said_of_one),
        FIXTURE_TEST(many_in_a_row_leave_nothing),
        FIXTURE_TEST(the_child_forgets_what_is_the_daemons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
