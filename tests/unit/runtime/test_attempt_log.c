/*
 * The log of an attempt: its size, whole lines, a disk that is full, a worker that floods.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "attempt_fixture.h"

#include <os/clock.h>
#include <runtime/run_log.h>

#include <run-core/str.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_BYTES = 64 * 1024, LINE_BYTES = 48 };

static off_t size_of(const struct fixture *fixture, bool older)
{
    RC_BUF_AUTO(path, 4096);
    struct stat info;

    core_attempt_log_path(fixture->folder, 1, older, &path);
    return stat(path.data, &info) == 0 ? info.st_size : -1;
}

/* Each line is whole, and the lines of both parts follow each other. Returns the first number. */
static long check_lines(const struct fixture *fixture, long last)
{
    char *older = rc_strdup(fixture_log(fixture, true));
    RC_STR_AUTO both = rc_strf("%s%s", older, fixture_log(fixture, false));
    long first = -1, next = -1;

    free(older);
    for (char *line = both, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        long number;

        *end = '\0';
        if (line[0] == '{')
            continue;
        if (sscanf(line, "line %8ld of what a plugin prints by itself", &number) != 1)
            fail_msg("'%s' is no line", line);
        assert_int_equal(end - line, strlen("line 00000000 of what a plugin prints by itself"));
        if (first < 0)
            first = next = number;
        assert_int_equal(number, next++);
    }
    assert_int_equal(next, last);
    return first;
}

static void a_short_log_has_all(void **state)
{
    struct fixture *fixture = *state;

    fixture_set(fixture, "lines=500");
    assert_string_equal(fixture_run(fixture, "heavy", "print")->status, "succeeded");
    assert_int_equal(check_lines(fixture, 500), 0);
    assert_int_equal(size_of(fixture, true), -1);
}

static void a_long_log_has_the_newest_lines(void **state)
{
    struct fixture *fixture = *state;
    off_t both;

    fixture->config->settings.history.log_bytes = LOG_BYTES;
    fixture_set(fixture, "lines=20000");
    assert_string_equal(fixture_run(fixture, "heavy", "print")->status, "succeeded");
    assert_true(check_lines(fixture, 20000) > 17000);
    both = size_of(fixture, false) + size_of(fixture, true);
    assert_in_range(both, LOG_BYTES / 2, LOG_BYTES + 2048);
    fixture_contains(fixture_log(fixture, true), "KiB, of which only the newest part is kept");
    fixture_contains(fixture_log(fixture, false), "heavy print succeeded after");
}

static void a_flood_takes_little(void **state)
{
    struct fixture *fixture = *state;
    struct core_attempt attempt;
    struct rusage usage;
    int64_t began_ms = core_clock_mono_ms();

    fixture->config->settings.history.log_bytes = LOG_BYTES;
    fixture->job.timeout_ms = 2500;
    attempt = fixture_start(fixture, "heavy", "flood");
    while (core_clock_mono_ms() - began_ms < 2000) {
        assert_true(size_of(fixture, false) + size_of(fixture, true) <= LOG_BYTES + 4096);
        core_clock_sleep_ms(20);
    }
    assert_string_equal(fixture_end(&attempt)->status, "timed_out");
    getrusage(RUSAGE_CHILDREN, &usage);
    /* Not written as fast as it comes: at most a first burst, and then at a bounded rate. */
    assert_true(usage.ru_oublock / 2 < 256 * 1024);
    assert_true(core_clock_mono_ms() - began_ms < 60000);
}

static void the_run_goes_on_without_a_log(void **state)
{
    struct fixture *fixture = *state;
    const struct core_attempt_result *result;
    struct rlimit before, none;

    /* As on a disk that is full after 256 KiB. */
    getrlimit(RLIMIT_FSIZE, &before);
    none = (struct rlimit){ .rlim_cur = 256 * 1024, .rlim_max = before.rlim_max };
    setrlimit(RLIMIT_FSIZE, &none);
    fixture_set(fixture, "lines=20000");
    result = fixture_run(fixture, "heavy", "print");
    setrlimit(RLIMIT_FSIZE, &before);
    assert_string_equal(result->status, "succeeded");
    assert_true(result->log_dropped_bytes > 500 * 1000);
    assert_int_equal(size_of(fixture, false), 256 * 1024);
}

/* A file system of 256 KiB, where one may be mounted. */
static bool mount_small(const char *path)
{
    return mkdir(path, 0700) == 0 && mount("tmpfs", path, "tmpfs", 0, "size=256k") == 0;
}

static void a_full_disk_hides_no_result(void **state)
{
    struct fixture *fixture = *state;
    RC_STR_AUTO small = rc_strf("%s/small", fixture->folder);
    RC_STR_AUTO filler = rc_strf("%s/filler", small);
    const struct core_attempt_result *result;
    struct core_attempt attempt;
    struct rc_error err = RC_ERROR_INIT;
    static char block[4096];

    if (!mount_small(small))
        skip();
    fixture->request.folder = small;
    fixture_set(fixture, "lines=20000");
    result = fixture_run(fixture, "heavy", "print");
    assert_string_equal(result->status, "succeeded");
    assert_string_equal(result->message, ""); /* it was read from its file */
    assert_true(result->log_dropped_bytes > 500 * 1000);

    /* Nothing starts on a disk that is full from the first. */
    int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, block, sizeof(block)) > 0)
        continue;
    close(fd);
    fixture->request.number = 2;
    assert_int_equal(core_attempt_start(&fixture->request, &attempt, &err), RC_UNAVAILABLE);
    assert_int_equal(umount2(small, MNT_DETACH), 0);
}

/* ---- without a process ----------------------------------------------------------------------- */

struct log_test {
    struct core_run_log *log;
    int fd;
};

static struct log_test open_log(const struct fixture *fixture, int64_t limit_bytes)
{
    RC_STR_AUTO path = rc_strf("%s/1.log", fixture->folder);
    struct log_test test = { .fd = open("/dev/null", O_WRONLY | O_CLOEXEC) };

    test.log = core_run_log_open(path, limit_bytes, test.fd);
    return test;
}

static void close_log(struct log_test *test)
{
    core_run_log_free(test->log);
    close(test->fd);
}

static void a_line_that_comes_in_pieces_stays_whole(void **state)
{
    struct fixture *fixture = *state;
    struct log_test test = open_log(fixture, 4096);
    char line[101];

    memset(line, '-', 99);
    line[99] = '\n';
    for (int i = 0; i < 100; i++)
        for (size_t at = 0; at < 100; at += 7)
            core_run_log_add(test.log, line + at, 100 - at < 7 ? 100 - at : 7);
    core_run_log_flush(test.log);
    assert_int_equal(size_of(fixture, true) % 100, 0);
    assert_int_equal(size_of(fixture, false) % 100, 0);
    assert_in_range(size_of(fixture, true), 2000, 2200);
    close_log(&test);
}

static void a_line_without_an_end_is_cut(void **state)
{
    struct fixture *fixture = *state;
    struct log_test test = open_log(fixture, 4096);
    static char block[50000];

    memset(block, '-', sizeof(block));
    for (int i = 0; i < 20; i++)
        core_run_log_add(test.log, block, sizeof(block));
    core_run_log_flush(test.log);
    assert_true(size_of(fixture, true) <= 70000);
    assert_true(size_of(fixture, false) <= 70000);
    close_log(&test);
}

static void a_gap_ends_with_a_whole_line(void **state)
{
    struct fixture *fixture = *state;
    struct log_test test = open_log(fixture, 4096);
    int file = fcntl(test.fd, F_DUPFD_CLOEXEC, 0);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    core_run_log_add(test.log, "one\ntw", 6);
    dup2(full, test.fd);
    core_run_log_add(test.log, "o\nthree\n", 8);
    core_run_log_add(test.log, "fo", 2);
    dup2(file, test.fd);
    core_run_log_add(test.log, "ur\nfive\nsi", 10);
    core_run_log_flush(test.log);
    assert_string_equal(fixture_log(fixture, false), "one\ntw\nfive\nsi\n");
    assert_int_equal(core_run_log_dropped_bytes(test.log), 8 + 2 + 3);
    close(full);
    close(file);
    close_log(&test);
}

static void a_place_that_cannot_be_written_drops_all(void **state)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct core_run_log *log = core_run_log_open("/proc/nowhere/log", 4096, fd);

    (void)state;
    core_run_log_add(log, "gone\n", 5);
    core_run_log_add(log, "too", 3);
    assert_int_equal(core_run_log_dropped_bytes(log), 8);
    core_run_log_free(log);
    close(fd);
}

int main(void)
{
#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_short_log_has_all),
        FIXTURE_TEST(a_long_log_has_the_newest_lines),
        FIXTURE_TEST(a_flood_takes_little),
        FIXTURE_TEST(the_run_goes_on_without_a_log),
        FIXTURE_TEST(a_full_disk_hides_no_result),
        FIXTURE_TEST(a_line_that_comes_in_pieces_stays_whole),
        FIXTURE_TEST(a_line_without_an_end_is_cut),
        FIXTURE_TEST(a_gap_ends_with_a_whole_line),
        FIXTURE_TEST(a_place_that_cannot_be_written_drops_all),
    };

    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
