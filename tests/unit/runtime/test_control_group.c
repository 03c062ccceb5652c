/*
 * Control groups, where this machine lets us make one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <runtime/control_group.h>

#include <run-core/attr.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

static struct core_control_group *open_anywhere(void)
{
    struct core_control_group *group = NULL;
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < RC_ARRAY_LEN(roots) && !group; i++) {
        char procs[64] = "";

        strncat(procs, roots[i], 40);
        strncat(procs, "/cgroup.procs", 20);
        if (access(procs, F_OK) == 0 &&
            core_control_group_open_at(roots[i], "unit-test", 0, &group, &err))
            assert_null(group);
    }
    return group;
}

static void what_is_left_in_it_is_killed(void **state)
{
    struct core_control_group *group = open_anywhere();
    struct rc_error err = RC_ERROR_INIT;
    int ready[2], status = 0;
    char byte;

    (void)state;
    if (!group)
        skip();
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        byte = core_control_group_join(group, &err) == RC_OK ? 'y' : 'n';
        if (fork() > 0 && write(ready[1], &byte, 1) == 1)
            pause();
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_false(core_control_group_ran_out(group));
    core_control_group_close(group);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    for (size_t i = 0; i < RC_ARRAY_LEN(roots); i++) {
        char path[64] = "";

        strncat(path, roots[i], 40);
        strncat(path, "/run-core.unit-test", 20);
        assert_int_not_equal(access(path, F_OK), 0);
    }
}

static void where_there_can_be_none_it_says_why(void **state)
{
    struct core_control_group *group = NULL;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_not_equal(
        core_control_group_open_at("/proc/nowhere", "unit-test", 1 << 20, &group, &err), RC_OK);
    assert_null(group);
    assert_non_null(strstr(err.cause, "control group"));
    core_control_group_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_in_it_is_killed),
        cmocka_unit_test(where_there_can_be_none_it_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
