/*
 * Atomic files and directories: what readers see, what a crash leaves, and who cleans up.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <os/clock.h>
#include <os/file.h>
#include <run-core/str.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void writes_and_replaces(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "f");
    struct rc_error err = RC_ERROR_INIT;
    struct stat info;

    mode_t mask = umask(027);
    assert_int_equal(core_file_write(path, "one", 3, 0666, &err), RC_OK);
    umask(mask);
    assert_string_equal(scratch_get(path), "one");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    assert_int_equal(core_file_write(path, "", 0, 0600, &err), RC_OK);
    assert_string_equal(scratch_get(path), "");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(scratch_count(*state), 1);
}

static void exclusive_never_replaces(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "f");
    struct core_temp_file file = CORE_TEMP_FILE_INIT;
    struct rc_error err = RC_ERROR_INIT;

    for (int round = 0; round < 2; round++) {
        assert_int_equal(core_temp_file_open(&file, path, 0600, &err), RC_OK);
        assert_int_equal(core_temp_file_write(&file, round ? "b" : "a", 1, &err), RC_OK);
        assert_int_equal(core_temp_file_publish(&file, true, &err), round ? RC_CONFLICT : RC_OK);
        assert_int_equal(file.fd, -1);
        core_temp_file_close(&file);
    }
    assert_string_equal(scratch_get(path), "a");
    assert_int_equal(scratch_count(*state), 1);
}

/* Without O_TMPFILE there is nothing to link, and the way by a name of its own is all there is. */
static void a_file_gets_a_free_name_at_once(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "f");
    RC_STR_AUTO leftover = scratch_path(*state, CORE_FILE_TEMP_PREFIX "f.0");
    struct core_temp_file file = CORE_TEMP_FILE_INIT, again = CORE_TEMP_FILE_INIT;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_temp_file_open(&file, path, 0600, &err), RC_OK);
    if (!file.unnamed) {
        core_temp_file_close(&file);
        skip();
    }
    assert_int_equal(core_temp_file_write(&file, "a", 1, &err), RC_OK);
    /* What a dead writer left would stay for ever. */
    scratch_put(leftover, "dead");
    assert_false(core_temp_file_link(&file));
    assert_false(scratch_exists(path));
    assert_int_equal(unlink(leftover), 0);
    assert_true(core_temp_file_link(&file));
    assert_string_equal(scratch_get(path), "a");
    assert_int_equal(scratch_count(*state), 1);

    /* It replaces nothing, and leaves the file as it was. */
    assert_int_equal(core_temp_file_open(&again, path, 0600, &err), RC_OK);
    assert_int_equal(core_temp_file_write(&again, "b", 1, &err), RC_OK);
    assert_false(core_temp_file_link(&again));
    assert_string_equal(scratch_get(path), "a");
    assert_int_equal(core_temp_file_publish(&again, false, &err), RC_OK);
    assert_string_equal(scratch_get(path), "b");
    core_temp_file_close(&file);
    assert_int_equal(scratch_count(*state), 1);
}

static void close_leaves_nothing(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "f");
    struct core_temp_file file = CORE_TEMP_FILE_INIT;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_temp_file_open_named(&file, path, 0600, &err), RC_OK);
    assert_int_equal(scratch_count(*state), 1);
    core_temp_file_close(&file);
    core_temp_file_close(&file);
    assert_int_equal(scratch_count(*state), 0);
}

static void a_replaced_temporary_is_not_published(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "f");
    struct core_temp_file file = CORE_TEMP_FILE_INIT;
    struct rc_error err = RC_ERROR_INIT;

    for (int replace = 0; replace < 2; replace++) {
        assert_int_equal(core_temp_file_open_named(&file, path, 0600, &err), RC_OK);
        unlink(file.path);
        if (replace)
            scratch_put(file.path, "other");
        assert_int_equal(core_temp_file_publish(&file, false, &err), RC_CONFLICT);
    }
    assert_false(scratch_exists(path));
}

static void bad_targets_are_refused(void **state)
{
    static const char *const names[] = { "", ".", "..", "d/" };
    RC_STR_AUTO missing = scratch_path(*state, "no/where");
    RC_STR_AUTO directory = scratch_path(*state, "dir");
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        RC_STR_AUTO path = scratch_path(*state, names[i]);
        struct core_temp_dir dir;

        assert_int_equal(core_file_write(path, "x", 1, 0600, &err), RC_INVALID);
        assert_int_equal(core_temp_dir_open(&dir, path, 0700, &err), RC_INVALID);
    }
    assert_int_equal(core_file_write(missing, "x", 1, 0600, &err), RC_NOT_FOUND);
    mkdir(directory, 0700);
    assert_int_equal(core_file_write(directory, "x", 1, 0600, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, directory));
    assert_int_equal(scratch_count(*state), 1);
}

static void a_full_disk_is_unavailable(void **state)
{
    struct core_temp_file file = { .fd = open("/dev/full", O_WRONLY),
                                   .target = rc_strdup("/some/target") };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_temp_file_write(&file, "x", 1, &err), RC_UNAVAILABLE);
    assert_string_equal(err.cause, "write '/some/target': No space left on device");
    core_temp_file_close(&file);
}

static void long_names_are_shortened(void **state)
{
    char name[256];
    struct rc_error err = RC_ERROR_INIT;

    memset(name, 'n', sizeof(name));
    for (size_t len = 235; len < sizeof(name); len++) {
        name[len] = '\0';
        RC_STR_AUTO path = scratch_path(*state, name);
        struct core_temp_dir dir = CORE_TEMP_DIR_INIT;

        assert_int_equal(core_file_write(path, "x", 1, 0600, &err), RC_OK);
        assert_int_equal(core_tree_remove(path, &err), RC_OK);
        assert_int_equal(core_temp_dir_open(&dir, path, 0700, &err), RC_OK);
        assert_int_equal(core_temp_dir_publish(&dir, &err), RC_OK);
        name[len] = 'n';
    }
    assert_int_equal(scratch_count(*state), sizeof(name) - 235);
}

/* Starts a child that opens a temporary, writes half of it, and waits to be killed. */
static pid_t start_writer(const char *target, bool is_dir)
{
    int ready[2];
    char byte = 0;

    RC_ASSERT(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        struct core_temp_file file = CORE_TEMP_FILE_INIT;
        struct core_temp_dir dir = CORE_TEMP_DIR_INIT;
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code = RC_OK;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (is_dir) {
            code = core_temp_dir_open(&dir, target, 0700, &err);
            RC_STR_AUTO inside = code ? NULL : scratch_path(dir.path, "half");
            if (inside)
                scratch_put(inside, "half");
        } else {
            code = core_temp_file_open_named(&file, target, 0600, &err);
            if (!code)
                code = core_temp_file_write(&file, "half", 4, &err);
        }
        if (!code && write(ready[1], "", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(ready[1]);
    RC_ASSERT(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    return child;
}

static void end_writer(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void a_killed_writer_leaves_the_old_file(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "f");
    RC_STR_AUTO first = scratch_path(*state, CORE_FILE_TEMP_PREFIX "f.0");
    RC_STR_AUTO second = scratch_path(*state, CORE_FILE_TEMP_PREFIX "f.1");
    struct core_temp_file file = CORE_TEMP_FILE_INIT;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_file_write(path, "old", 3, 0600, &err), RC_OK);
    pid_t child = start_writer(path, false);

    /* While it lives, its temporary is its own. */
    assert_int_equal(core_temp_file_open_named(&file, path, 0600, &err), RC_OK);
    assert_string_equal(file.path, second);
    core_temp_file_close(&file);
    assert_string_equal(scratch_get(first), "half");

    end_writer(child);
    assert_string_equal(scratch_get(path), "old");
    assert_int_equal(scratch_count(*state), 2);

    /* Then its name is used again, and nothing of its content. */
    assert_int_equal(core_temp_file_open_named(&file, path, 0644, &err), RC_OK);
    assert_string_equal(file.path, first);
    assert_string_equal(scratch_get(first), "");
    assert_int_equal(core_temp_file_write(&file, "new", 3, &err), RC_OK);
    assert_int_equal(core_temp_file_publish(&file, false, &err), RC_OK);
    assert_string_equal(scratch_get(path), "new");
    assert_int_equal(scratch_count(*state), 1);
}

static void a_file_without_a_name_leaves_nothing(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "f");
    struct core_temp_file file = CORE_TEMP_FILE_INIT;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_temp_file_open(&file, path, 0640, &err), RC_OK);
    if (!file.unnamed) { /* this file system has no such files */
        core_temp_file_close(&file);
        return;
    }
    assert_int_equal(core_temp_file_write(&file, "text", 4, &err), RC_OK);
    assert_string_equal(scratch_get(file.path), "text");
    assert_int_equal(scratch_count(*state), 0);
    core_temp_file_close(&file);
    assert_int_equal(scratch_count(*state), 0);

    assert_int_equal(core_temp_file_open(&file, path, 0640, &err), RC_OK);
    assert_int_equal(core_temp_file_write(&file, "text", 4, &err), RC_OK);
    assert_int_equal(core_temp_file_publish(&file, false, &err), RC_OK);
    assert_string_equal(scratch_get(path), "text");
    assert_int_equal(scratch_count(*state), 1);
}

/* What has no name yet does not keep its directory, which others may remove for being empty. */
static void a_directory_that_vanished_is_made_again(void **state)
{
    RC_STR_AUTO folder = scratch_path(*state, "a");
    RC_STR_AUTO path = scratch_path(*state, "a/b/f");
    RC_STR_AUTO inner = scratch_path(*state, "a/b");
    struct core_temp_file file = CORE_TEMP_FILE_INIT;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_dir_make(inner, 0755, &err), RC_OK);
    assert_int_equal(core_temp_file_open(&file, path, 0600, &err), RC_OK);
    assert_int_equal(core_temp_file_write(&file, "text", 4, &err), RC_OK);
    if (file.unnamed) {
        assert_int_equal(rmdir(inner), 0);
        assert_int_equal(rmdir(folder), 0);
    }
    assert_int_equal(core_temp_file_publish(&file, false, &err), RC_OK);
    assert_string_equal(scratch_get(path), "text");
    assert_int_equal(scratch_count(inner), 1);
}

/* Somebody who may write to the directory cannot direct our writes elsewhere. */
static void planted_names_are_passed_over(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "f");
    RC_STR_AUTO victim = scratch_path(*state, "victim");
    RC_STR_AUTO planted = scratch_path(*state, CORE_FILE_TEMP_PREFIX "f.0");
    struct rc_error err = RC_ERROR_INIT;

    scratch_put(victim, "precious");
    assert_int_equal(symlink(victim, planted), 0);
    assert_int_equal(core_file_write(path, "x", 1, 0600, &err), RC_OK);
    assert_string_equal(scratch_get(path), "x");
    assert_string_equal(scratch_get(victim), "precious");

    /* A second name of a published file, as a crash in an exclusive write may leave it. */
    unlink(planted);
    assert_int_equal(link(victim, planted), 0);
    assert_int_equal(core_file_write(path, "y", 1, 0600, &err), RC_OK);
    assert_string_equal(scratch_get(victim), "precious");
    assert_int_equal(scratch_count(*state), 2);
}

static void publish_tree(const char *target, const char *text)
{
    struct core_temp_dir dir = CORE_TEMP_DIR_INIT;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_temp_dir_open(&dir, target, 0755, &err), RC_OK);
    RC_STR_AUTO sub = scratch_path(dir.path, "sub");
    RC_STR_AUTO file = scratch_path(dir.path, "sub/file");
    assert_int_equal(mkdir(sub, 0755), 0);
    scratch_put(file, text);
    assert_int_equal(core_temp_dir_publish(&dir, &err), RC_OK);
    core_temp_dir_close(&dir);
}

static void directories_are_exchanged(void **state)
{
    RC_STR_AUTO target = scratch_path(*state, "table");
    RC_STR_AUTO file = scratch_path(*state, "table/sub/file");
    struct core_temp_dir dir = CORE_TEMP_DIR_INIT;
    struct rc_error err = RC_ERROR_INIT;

    publish_tree(target, "one");
    assert_string_equal(scratch_get(file), "one");
    publish_tree(target, "two");
    assert_string_equal(scratch_get(file), "two");
    assert_int_equal(scratch_count(*state), 1);

    assert_int_equal(core_temp_dir_open(&dir, target, 0755, &err), RC_OK);
    assert_int_equal(scratch_count(*state), 2);
    core_temp_dir_close(&dir);
    core_temp_dir_close(&dir);
    assert_string_equal(scratch_get(file), "two");
    assert_int_equal(scratch_count(*state), 1);

    /* A file or link in the target's place is replaced too; what the link names stays. */
    RC_STR_AUTO link_path = scratch_path(*state, "link");
    RC_STR_AUTO plain = scratch_path(*state, "plain");
    assert_int_equal(symlink("table", link_path), 0);
    scratch_put(plain, "");
    publish_tree(link_path, "three");
    publish_tree(plain, "four");
    assert_string_equal(scratch_get(file), "two");
    assert_int_equal(scratch_count(*state), 3);
}

static void open_removes_what_dead_writers_left(void **state)
{
    RC_STR_AUTO target = scratch_path(*state, "table");
    RC_STR_AUTO stale = scratch_path(*state, CORE_FILE_TEMP_PREFIX "table.41");
    RC_STR_AUTO stale_file = scratch_path(*state, CORE_FILE_TEMP_PREFIX "table.7");
    RC_STR_AUTO others = scratch_path(*state, CORE_FILE_TEMP_PREFIX "table.0.3");
    RC_STR_AUTO alive = scratch_path(*state, CORE_FILE_TEMP_PREFIX "table.0");
    RC_STR_AUTO alive_file = scratch_path(alive, "half");
    struct core_temp_dir dir = CORE_TEMP_DIR_INIT;
    struct rc_error err = RC_ERROR_INIT;

    pid_t child = start_writer(target, true);
    assert_int_equal(mkdir(stale, 0700), 0);
    scratch_put(stale_file, "");
    assert_int_equal(mkdir(others, 0700), 0);

    assert_int_equal(core_temp_dir_open(&dir, target, 0755, &err), RC_OK);
    assert_false(scratch_exists(stale));
    assert_false(scratch_exists(stale_file));
    assert_true(scratch_exists(others)); /* belongs to the target "table.0" */
    assert_string_equal(scratch_get(alive_file), "half");
    core_temp_dir_close(&dir);

    end_writer(child);
    publish_tree(target, "x");
    assert_false(scratch_exists(alive));
    assert_int_equal(scratch_count(*state), 2);
}

/* Publishes trees whose two files agree, for ever. */
static void publish_for_ever(const char *target, int writer)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0;; i++) {
        struct core_temp_dir dir = CORE_TEMP_DIR_INIT;
        RC_STR_AUTO text = rc_strf("%d-%d", writer, i);

        if (core_temp_dir_open(&dir, target, 0755, &err))
            break;
        RC_STR_AUTO a = scratch_path(dir.path, "a");
        RC_STR_AUTO b = scratch_path(dir.path, "b");
        scratch_put(a, text);
        scratch_put(b, text);
        if (core_temp_dir_publish(&dir, &err))
            break;
    }
    fprintf(stderr, "writer %d: %s: %s\n", writer, err.context, err.cause);
    _exit(1);
}

/* The content of a file below an open directory, or "" if it was removed meanwhile. */
static void read_below(int fd, const char *name, char *out, size_t size)
{
    int file = openat(fd, name, O_RDONLY);
    ssize_t got = file >= 0 ? read(file, out, size - 1) : 0;

    out[got > 0 ? got : 0] = '\0';
    if (file >= 0)
        close(file);
}

/* Several writers, killed at any moment: the target is always there and never a mixture. */
static void readers_never_see_a_mixture(void **state)
{
    enum { WRITERS = 3, ROUNDS = 40 };
    RC_STR_AUTO target = scratch_path(*state, "table");
    pid_t writers[WRITERS];
    unsigned seen = 0;

    publish_tree(target, "first");
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        if (writers[i] == 0)
            publish_for_ever(target, i);
    }
    for (int round = 0; round < ROUNDS || seen <= ROUNDS; round++) {
        int64_t until = core_clock_mono_ms() + 5 + round % 17;

        while (core_clock_mono_ms() < until) {
            char a[64];
            char b[64];
            int fd = open(target, O_RDONLY | O_DIRECTORY);

            assert_true(fd >= 0);
            read_below(fd, "a", a, sizeof(a));
            read_below(fd, "b", b, sizeof(b));
            close(fd);
            if (a[0] != '\0' && b[0] != '\0') {
                assert_string_equal(a, b);
                seen++;
            }
        }
        int victim = round % WRITERS;
        int status = 0;
        kill(writers[victim], SIGKILL);
        waitpid(writers[victim], &status, 0);
        assert_true(WIFSIGNALED(status)); /* and did not stop for an error */
        writers[victim] = fork();
        if (writers[victim] == 0)
            publish_for_ever(target, victim);
    }
    for (int i = 0; i < WRITERS; i++)
        end_writer(writers[i]);

    publish_tree(target, "last");
    assert_int_equal(scratch_count(*state), 1);
}

/* Many write one file at once: one of the contents wins, whole, and nothing else stays. */
static void writers_of_one_file_do_not_meet(void **state)
{
    enum { WRITERS = 6, TIMES = 60 };
    RC_STR_AUTO path = scratch_path(*state, "f");
    char text[2000];

    for (int i = 0; i < WRITERS; i++) {
        if (fork() == 0) {
            struct rc_error err = RC_ERROR_INIT;

            memset(text, 'a' + i, sizeof(text));
            for (int n = 0; n < TIMES; n++) {
                if (core_file_write(path, text, sizeof(text), 0600, &err)) {
                    fprintf(stderr, "%s\n", err.cause);
                    _exit(1);
                }
            }
            _exit(0);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status = 0;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    const char *got = scratch_get(path);
    assert_int_equal(strlen(got), sizeof(text));
    for (size_t i = 1; i < sizeof(text); i++)
        assert_int_equal(got[i], got[0]);
    assert_int_equal(scratch_count(*state), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_and_replaces),
        TEST(exclusive_never_replaces),
        TEST(a_file_gets_a_free_name_at_once),
        TEST(close_leaves_nothing),
        TEST(a_replaced_temporary_is_not_published),
        TEST(bad_targets_are_refused),
        TEST(a_full_disk_is_unavailable),
        TEST(long_names_are_shortened),
        TEST(a_file_without_a_name_leaves_nothing),
        TEST(a_directory_that_vanished_is_made_again),
        TEST(a_killed_writer_leaves_the_old_file),
        TEST(planted_names_are_passed_over),
        TEST(directories_are_exchanged),
        TEST(open_removes_what_dead_writers_left),
        TEST(readers_never_see_a_mixture),
        TEST(writers_of_one_file_do_not_meet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
