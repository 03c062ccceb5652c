/*
 * Malformed configurations, each with all its messages and their places: those under
 * tests/system/config/malformed with the core's own sections, those under malformed-plugin
 * with the options of the sample plugin.
 */
#include "sample.h"

#include <os/file.h>

#include <run-core/str.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TEXT_BYTES = 1 << 20, LEAST_CASES = 100, LEAST_PLUGIN_CASES = 30 };

static void load_core(const char *path, struct core_problems *problems)
{
    core_config_free(core_config_load(path, problems));
}

static void load_plugin(const char *path, struct core_problems *problems)
{
    struct core_arena arena = CORE_ARENA_INIT;

    sample_load(path, NULL, &arena, problems);
    core_arena_clear(&arena);
}

/* What the case 'name' is: a file of that name, whatever it ends with, or a folder. */
static char *input_of(const char *name)
{
    static const char *const ends[] = { ".yaml", ".json", "" };

    for (size_t i = 0; i < RC_ARRAY_LEN(ends); i++) {
        char *path = rc_strf("%s%s", name, ends[i]);

        if (access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static bool run_case(const char *name,
                     void (*load)(const char *path, struct core_problems *problems))
{
    RC_STR_AUTO expected_path = rc_strf("%s.expected", name);
    RC_STR_AUTO input = input_of(name);
    RC_BUF_AUTO(expected, TEXT_BYTES);
    RC_BUF_AUTO(got, TEXT_BYTES);
    struct core_problems problems;
    struct rc_error err = RC_ERROR_INIT;
    bool same;

    assert_non_null(input);
    assert_int_equal(core_file_read(expected_path, &expected, &err), RC_OK);
    core_problems_init(&problems);
    load(input, &problems);
    core_problems_sort(&problems);
    for (const struct core_problem *p = problems.first; p; p = p->next)
        rc_buf_addf(&got, "%s\n", core_problem_text(&problems, p));
    core_problems_clear(&problems);
    same = got.len > 0 && strcmp(got.data, expected.data) == 0;
    if (!same)
        print_error("%s: expected\n%sbut got\n%s", name, expected.data, got.data);
    return same;
}

static void run_folder(const char *folder, int least,
                       void (*load)(const char *path, struct core_problems *problems))
{
    const char *source = getenv("RUN_CORE_SOURCE");
    RC_STR_AUTO path = rc_strf("%s/tests/system/config/%s", source ? source : ".", folder);
    int count = 0, failed = 0;
    DIR *dir;

    assert_int_equal(chdir(path), 0);
    dir = opendir(".");
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        RC_STR_AUTO name = NULL;

        if (!rc_str_ends(entry->d_name, ".expected"))
            continue;
        name = rc_strndup(entry->d_name, strlen(entry->d_name) - strlen(".expected"));
        failed += !run_case(name, load);
        count++;
    }
    closedir(dir);
    assert_int_equal(failed, 0);
    assert_true(count >= least);
}

static void every_mistake_in_the_cores_sections_is_reported(void **state)
{
    (void)state;
    run_folder("malformed", LEAST_CASES, load_core);
}

static void every_mistake_in_a_plugins_options_is_reported(void **state)
{
    (void)state;
    run_folder("malformed-plugin", LEAST_PLUGIN_CASES, load_plugin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_in_the_cores_sections_is_reported),
        cmocka_unit_test(every_mistake_in_a_plugins_options_is_reported),
    };
    RC_STR_AUTO here = getenv("RUN_CORE_SOURCE") ? NULL : getcwd(NULL, 0);

    /* Each test changes the directory; without the variable, this is the source's. */
    if (here)
        setenv("RUN_CORE_SOURCE", here, 0);
    unsetenv("RUN_CORE_TEST_UNSET");
    unsetenv(SAMPLE_PASSWORD);
    unsetenv(SAMPLE_TABLES);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
