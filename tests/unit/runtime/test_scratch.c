/*
 * The directories of runs: made and removed by many runs at once, none of which may lose its own.
 */
#include <runtime/scratch.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { RUNS = 8, TIMES = 150 };

/* What a run does, over and over; the exit status of its process. */
static int make_and_remove(int run)
{
    for (int i = 0; i < TIMES; i++) {
        RC_STR_AUTO id = rc_strf("run-%d-%d", run, i);
        RC_STR_AUTO path = NULL;
        struct rc_error err = RC_ERROR_INIT;

        if (core_scratch_make(id, &path, &err)) {
            (void)fprintf(stderr, "%s\n", err.cause);
            return 1;
        }
        if (access(path, W_OK) != 0) {
            (void)fprintf(stderr, "'%s' was removed by another run\n", path);
            return 1;
        }
        core_scratch_remove(id);
    }
    return 0;
}

static void runs_at_once_keep_their_directories(void **state)
{
    char base[] = "/tmp/run-core-test-XXXXXX";
    pid_t children[RUNS];
    int status = 0;

    (void)state;
    assert_non_null(mkdtemp(base));
    assert_int_equal(setenv("TMPDIR", base, 1), 0);
    for (int i = 0; i < RUNS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            _exit(make_and_remove(i));
    }
    for (int i = 0; i < RUNS; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(rmdir(base), 0); /* nothing is left, not even the directory of all runs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_at_once_keep_their_directories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
