/*
 * Finding and refusing libduckdb.so: missing, too old, another library. Each case is a process of
 * its own, as a library that was loaded once stays.
 */
#include "sql_fixture.h"

#include <sql/duckdb_api.h>

#include <os/file.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct library_test {
    char dir[40];
};

static int setup(void **state)
{
    struct library_test *test = rc_calloc(1, sizeof(*test));

    strcpy(test->dir, "/tmp/rc-sql-lib-XXXXXX");
    assert_non_null(mkdtemp(test->dir));
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct library_test *test = *state;
    struct rc_error err;

    assert_int_equal(core_tree_remove(test->dir, &err), RC_OK);
    free(test);
    return 0;
}

/* Loads in a child and compares code and message there. */
static void check_load(const char *environment, const char *configured, enum rc_code expected,
                       const char *first, const char *second)
{
    const struct core_duckdb_api *api;
    struct rc_error err = RC_ERROR_INIT;
    pid_t child = fork();
    int status;

    if (child == 0) {
        if (environment)
            setenv("RUN_CORE_DUCKDB", environment, 1);
        else
            unsetenv("RUN_CORE_DUCKDB");
        enum rc_code code = core_duckdb_load(configured, &api, &err);
        bool right = code == expected && strstr(err.cause, first) && strstr(err.cause, second);
        if (!right)
            print_error("%s: %s\n", rc_code_name(code), err.cause);
        _exit(right ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Compiles a library; the caller frees its path. */
static char *make_library(struct library_test *test, const char *name, const char *source)
{
    char *path = rc_strf("%s/%s.so", test->dir, name);
    RC_STR_AUTO code = rc_strf("%s/%s.c", test->dir, name);
    struct rc_error err;
    int status;

    assert_int_equal(core_file_write(code, source, strlen(source), 0644, &err), RC_OK);
    pid_t child = fork();
    if (child == 0) {
        execlp("cc", "cc", "-shared", "-fPIC", "-o", path, code, (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return path;
}

static void test_missing(void **state)
{
    (void)state;
    check_load("/no/such/libduckdb.so", NULL, RC_NOT_FOUND, "'/no/such/libduckdb.so'",
               "RUN_CORE_DUCKDB names; install the npm package @duckdb/node-bindings-linux-");
    check_load(NULL, "/no/such/x.so", RC_NOT_FOUND, "'/no/such/x.so'", "setting 'library'");
    check_load(NULL, NULL, RC_NOT_FOUND, "/lib/run-core/libduckdb.so'", "packaging/quickstart");
    check_load("", NULL, RC_NOT_FOUND, "loader's path", "RUN_CORE_DUCKDB");
}

static void test_too_old(void **state)
{
    struct library_test *test = *state;
    RC_STR_AUTO old = make_library(
        test, "old", "const char *duckdb_library_version(void) { return \"v1.3.2\"; }\n");
    RC_STR_AUTO other = make_library(test, "other", "int something_else;\n");
    RC_STR_AUTO cut = make_library(
        test, "cut", "const char *duckdb_library_version(void) { return \"v9.0.0\"; }\n");

    check_load(old, NULL, RC_UNSUPPORTED, "is DuckDB v1.3.2, run-core needs 1.4.0 or newer", old);
    check_load(NULL, other, RC_UNSUPPORTED, "is no DuckDB library", "1.4.0");
    check_load(cut, NULL, RC_UNSUPPORTED, "duckdb_free", "packaging/quickstart");
}

static void test_not_a_library(void **state)
{
    struct library_test *test = *state;
    RC_STR_AUTO path = rc_strf("%s/text.so", test->dir);
    struct rc_error err;

    assert_int_equal(core_file_write(path, "text", 4, 0644, &err), RC_OK);
    check_load(path, NULL, RC_INVALID, path, "set RUN_CORE_DUCKDB to its libduckdb.so");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_missing),
        TEST(test_too_old),
        TEST(test_not_a_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
