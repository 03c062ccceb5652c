/*
 * Jobs that come from a list, and the references ${...} in their values. What is a mistake there is
 * in tests/system/config/malformed/each-*.
 */
#include "folder.h"

#include <config/config.h>
#include <config/interpolate.h>

#include <os/file.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    char folder[FOLDER_PATH];
    struct core_problems problems;
    struct core_config *config;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!folder_make(f->folder))
        return -1;
    core_problems_init(&f->problems);
    unsetenv("RUN_CORE_TEST_A");
    unsetenv("RUN_CORE_TEST_B");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    core_config_free(f->config);
    core_problems_clear(&f->problems);
    folder_remove(f->folder);
    free(f);
    return 0;
}

typedef struct core_config *load_function(const char *path, struct core_problems *problems);

/* Loads the folder 'conf', where there shall be so many mistakes. */
static void load_with(struct fixture *f, load_function *load, size_t mistakes)
{
    RC_STR_AUTO path = rc_strf("%s/conf", f->folder);

    core_config_free(f->config);
    core_problems_clear(&f->problems);
    f->config = load(path, &f->problems);
    for (const struct core_problem *p = f->problems.first; p && mistakes == 0; p = p->next)
        print_error("%s\n", core_problem_text(&f->problems, p));
    assert_int_equal(f->problems.count, mistakes);
}

static void load(struct fixture *f)
{
    load_with(f, core_config_load, 0);
}

static const struct core_job_settings *job(const struct fixture *f, const char *name)
{
    const struct core_job_settings *found = core_config_job(f->config, name);

    assert_non_null(found);
    return found;
}

static const struct core_node *value(const struct fixture *f, const char *name, const char *key)
{
    const struct core_node *node = core_node_get(job(f, name)->config, key);

    assert_non_null(node);
    return node;
}

static void check_value(const struct fixture *f, const char *name, const char *key,
                        const char *expected)
{
    assert_string_equal(value(f, name, key)->text, expected);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void every_item_makes_a_job(void **state)
{
    struct fixture *f = *state;

    folder_write(f->folder, "conf/a.yaml",
                 "x-base: &base {plugin: noop, config: {a: '${each:a}', b: [x, '${each:b:-y}']}}\n"
                 "jobs:\n  first: {plugin: noop}\n"
                 "  many:\n    <<: *base\n    for_each:\n"
                 "      - {name: one, a: 1.50, b: yes}\n      - {a: true}\n"
                 "  last: {<<: *base, for_each: [{a: 'x: [y'}]}\n  none: {for_each: []}\n");
    load(f);
    assert_int_equal(f->config->job_count, 4);
    assert_string_equal(f->config->jobs[0].name, "first");
    assert_string_equal(f->config->jobs[1].name, "many-one");
    assert_string_equal(f->config->jobs[2].name, "many-2");
    assert_string_equal(f->config->jobs[3].name, "last");
    check_value(f, "many-one", "a", "1.50");
    assert_string_equal(value(f, "many-one", "b")->items[1]->text, "yes");
    check_value(f, "many-2", "a", "true");
    assert_string_equal(value(f, "many-2", "b")->items[1]->text, "y");
    check_value(f, "last", "a", "x: [y");
    assert_int_equal(job(f, "many-2")->place.line, 4);
    assert_int_equal(f->config->empty_list_count, 1);
    assert_string_equal(f->config->empty_lists[0], "none");
}

static void values_have_the_place_of_the_item(void **state)
{
    struct fixture *f = *state;
    const struct core_job_settings *j;

    folder_write(f->folder, "conf/a.yaml",
                 "jobs:\n  j:\n    plugin: noop\n    for_each_file: ../lists/l.json\n"
                 "    schedule: '${each:cron:-${each:often:-@daily}}'\n"
                 "    config_file: '${each:values:-v.yaml}'\n"
                 "    config: {a: '${each:a}', b: '<${each:a}>', c: '${each:none:-${each:a}}'}\n");
    folder_write(
        f->folder, "lists/l.json",
        "[{\"name\": \"x\", \"a\": \"A\", \"cron\": \"@hourly\", \"values\": \"w.yaml\"},\n"
        " {\"name\": \"y\", \"a\": \"B\", \"often\": \"@weekly\"}]\n");
    load(f);
    j = job(f, "j-x");
    assert_true(rc_str_ends(j->schedule_place.file, "/conf/../lists/l.json"));
    assert_int_equal(j->schedule_place.line, 1);
    assert_int_equal(j->schedule_place.column, 34);
    assert_true(rc_str_ends(j->config_file, "/lists/w.yaml"));
    assert_true(rc_str_ends(value(f, "j-x", "a")->place.file, "/lists/l.json"));
    assert_true(rc_str_ends(value(f, "j-x", "b")->place.file, "/conf/a.yaml"));
    assert_true(rc_str_ends(value(f, "j-x", "c")->place.file, "/lists/l.json"));
    j = job(f, "j-y");
    assert_string_equal(j->schedule, "@weekly");
    assert_int_equal(j->schedule_place.line, 2);
    assert_true(rc_str_ends(j->config_file, "/conf/v.yaml"));
    assert_true(rc_str_ends(j->place.file, "/conf/a.yaml"));
}

static void without_a_list_there_is_one_job(void **state)
{
    static const char *const nothing[] = { "for_each:", "for_each_file: ''", "for_each_file: ~",
                                           "for_each_file: '${env:RUN_CORE_TEST_A:-}'" };
    struct fixture *f = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(nothing); i++) {
        RC_STR_AUTO text = rc_strf("jobs:\n  j:\n    plugin: noop\n    %s\n"
                                   "    config: {a: '${each:a:-}', b: '${each:b:-x}'}\n",
                                   nothing[i]);

        folder_write(f->folder, "conf/a.yaml", text);
        load(f);
        assert_int_equal(f->config->job_count, 1);
        check_value(f, "j", "a", "");
        check_value(f, "j", "b", "x");
    }
}

static void secrets_of_items_are_secret(void **state)
{
    struct fixture *f = *state;

    folder_write(f->folder, "conf/a.yaml",
                 "jobs:\n  j:\n    for_each_file: ../lists/l.yaml\n    plugin: noop\n"
                 "    config: {a: '<${each:a}>', b: '${each:b}', c: '${each:c:-${file:key}}'}\n");
    folder_write(f->folder, "conf/key", "of the pattern\n");
    folder_write(f->folder, "lists/key", "of the item\n");
    folder_write(f->folder, "lists/l.yaml", "- {a: '${file:key}', b: plain}\n");
    load(f);
    check_value(f, "j", "a", "<of the item>");
    assert_true(value(f, "j", "a")->secret);
    assert_false(value(f, "j", "b")->secret);
    check_value(f, "j", "c", "of the pattern");
    assert_true(value(f, "j", "c")->secret);
}

/* Also where the mistakes are no longer counted, being too many or known already. */
static void a_bad_list_gives_no_job(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(text, 1 << 20);

    rc_buf_adds(&text, "jobs:\n");
    for (int i = 0; i < CORE_PROBLEMS_MAX + 10; i++)
        rc_buf_addf(&text, "  j%d: {plugin: noop, for_each_file: ../l, a%d: b}\n", i, i);
    rc_buf_addf(&text, "  x: {plugin: noop, for_each: {a: b}}\n  y: {plugin: noop, for_each: [a]}");
    folder_write(f->folder, "conf/a.yaml", text.data);
    folder_write(f->folder, "l", "{a: b}\n");
    load_with(f, core_config_load, 3); /* one of the file, however many name it */
    assert_int_equal(f->config->job_count, 0);
    folder_write(f->folder, "l", "[{name: a}, b]\n");
    load_with(f, core_config_load, 3);
    assert_int_equal(f->config->job_count, 0);
    folder_write(f->folder, "l", "[{name: a}]\n");
    load_with(f, core_config_load, CORE_PROBLEMS_MAX + 1);
    assert_int_equal(f->config->job_count, CORE_PROBLEMS_MAX + 10);
}

static void elsewhere_only_defaults_count(void **state)
{
    struct fixture *f = *state;

    setenv("RUN_CORE_TEST_A", "here", 1);
    folder_write(f->folder, "conf/a.yaml",
                 "jobs:\n  j:\n    plugin: noop\n    for_each_file: ../l\n"
                 "    schedule: '${each:cron}'\n"
                 "    time_zone: '${each:zone:-${env:RUN_CORE_TEST_A:-Asia/Tokyo}}'\n"
                 "    action: '${each:none:-${env:RUN_CORE_TEST_A}}'\n");
    folder_write(f->folder, "l",
                 "- {name: a, cron: '${env:RUN_CORE_TEST_A}'}\n"
                 "- {name: b, cron: '${env:RUN_CORE_TEST_A:-@daily}', zone: UTC}\n"
                 "- {name: c, cron: '${file:/no/such/file}'}\n");
    load_with(f, core_config_load_elsewhere, 0);
    assert_int_equal(f->config->job_count, 3);
    assert_null(job(f, "j-a")->schedule);
    assert_true(job(f, "j-a")->schedule_unknown);
    assert_string_equal(job(f, "j-a")->time_zone, "Asia/Tokyo");
    assert_null(job(f, "j-a")->action);
    assert_string_equal(job(f, "j-b")->schedule, "@daily");
    assert_false(job(f, "j-b")->schedule_unknown);
    assert_string_equal(job(f, "j-b")->time_zone, "UTC");
    assert_true(job(f, "j-c")->schedule_unknown);

    folder_write(f->folder, "l",
                 "- {name: '${env:RUN_CORE_TEST_A}'}\n- {name: b, cron: '@daily'}\n");
    load_with(f, core_config_load_elsewhere, 1);
    assert_int_equal(f->config->job_count, 1);
    folder_write(f->folder, "conf/a.yaml",
                 "jobs:\n  j: {plugin: noop, for_each_file: '${env:RUN_CORE_TEST_A}'}\n");
    load_with(f, core_config_load_elsewhere, 1);
    assert_int_equal(f->config->job_count, 0);
    unsetenv("RUN_CORE_TEST_A");
}

/* ---- references ------------------------------------------------------------------------------ */

static void defaults_hold_further_references(void **state)
{
    static const struct {
        const char *text, *a, *b, *expected;
    } rows[] = {
        { "${env:RUN_CORE_TEST_A:-${env:RUN_CORE_TEST_B:-c}}", NULL, NULL, "c" },
        { "${env:RUN_CORE_TEST_A:-${env:RUN_CORE_TEST_B:-c}}", NULL, "b", "b" },
        { "${env:RUN_CORE_TEST_A:-${env:RUN_CORE_TEST_B}}", "a", NULL, "a" },
        { "${env:RUN_CORE_TEST_A:-${env:RUN_CORE_TEST_B:-c}}", "", "", "c" },
        { "<${env:RUN_CORE_TEST_A:-x${env:RUN_CORE_TEST_B:-y}z}>}", NULL, NULL, "<xyz>}" },
        { "${env:RUN_CORE_TEST_A:-$${x}}", NULL, NULL, "${x}" },
        { "${env:RUN_CORE_TEST_A:-{a}}", NULL, NULL, "{a}" },
        { "${env:RUN_CORE_TEST_A:-:-}", NULL, NULL, ":-" },
        { "${env:RUN_CORE_TEST_A}", "${env:RUN_CORE_TEST_B}", "b", "${env:RUN_CORE_TEST_B}" },
        { "$${env:A} $$ $x", NULL, NULL, "${env:A} $$ $x" },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(rows); i++) {
        RC_STR_AUTO text = rc_strf("jobs:\n  j: {plugin: noop, config: {a: '%s'}}\n", rows[i].text);

        unsetenv("RUN_CORE_TEST_A");
        unsetenv("RUN_CORE_TEST_B");
        if (rows[i].a)
            setenv("RUN_CORE_TEST_A", rows[i].a, 1);
        if (rows[i].b)
            setenv("RUN_CORE_TEST_B", rows[i].b, 1);
        folder_write(f->folder, "conf/a.yaml", text);
        load(f);
        check_value(f, "j", "a", rows[i].expected);
    }
}

static void defaults_are_nested_only_so_deeply(void **state)
{
    struct fixture *f = *state;

    for (int depth = 8; depth <= 9; depth++) {
        RC_BUF_AUTO(text, 4096);

        rc_buf_adds(&text, "jobs:\n  j: {plugin: noop, config: {a: '");
        for (int i = 0; i < depth; i++)
            rc_buf_adds(&text, "${env:RUN_CORE_TEST_A:-");
        rc_buf_adds(&text, "x");
        for (int i = 0; i < depth; i++)
            rc_buf_adds(&text, "}");
        rc_buf_adds(&text, "'}}\n");
        folder_write(f->folder, "conf/a.yaml", text.data);
        load_with(f, core_config_load, depth == 8 ? 0 : 1);
    }
    assert_non_null(strstr(f->problems.first->message, "nested too deeply"));
}

static void references_are_found_as_they_stand(void **state)
{
    static const struct {
        const char *text, *found;
    } rows[] = {
        { "none $ { } $x", "" },
        { "$${env:A} ${env:B}", "env B" },
        { "${env:A:-x}${file:/b}", "env A default, file /b" },
        { "${each:a:-${env:B:-${file:c}}} ${each:d}",
          "each a default, env B default nested, file c nested, each d" },
        { "${env:A:-}${x:y}${env:B", "env A default, unknown x:y, env B" },
        { "${${env:A}}", "unknown , env A nested" },
        { "${env:A:-$${}${env:B}", "env A default, env B" },
    };
    static const char *const kinds[] = { "env", "file", "each", "unknown" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(rows); i++) {
        struct core_references walk = { rows[i].text, 0 };
        struct core_reference one;
        RC_BUF_AUTO(found, 4096);

        while (core_references_next(&walk, &one))
            rc_buf_addf(&found, "%s%s %.*s%s%s", found.len ? ", " : "", kinds[one.kind],
                        (int)one.name_len, one.name, one.has_default ? " default" : "",
                        one.is_nested ? " nested" : "");
        assert_string_equal(found.data, rows[i].found);
    }
}

/* Whether the text of each of the jobs comes from the pattern or from the list. */
static void little_does_not_become_very_much(void **state)
{
    enum { LONG = 1 << 20, ITEMS = 200 };

    struct fixture *f = *state;
    RC_BUF_AUTO(pattern, 2 * LONG);
    RC_BUF_AUTO(list, 2 * LONG);
    RC_STR_AUTO text = rc_calloc(1, LONG + 1);

    memset(text, 'x', LONG);
    rc_buf_addf(&pattern,
                "jobs:\n  j: {plugin: noop, for_each_file: ../l, config: {a: "
                "'${each:t:-%s}'}}\n",
                text);
    rc_buf_addf(&list, "- {name: n, t: &t %s}\n", text);
    for (int i = 0; i < ITEMS; i++)
        rc_buf_addf(&list, "- {t: *t}\n");
    folder_write(f->folder, "conf/a.yaml", pattern.data);
    folder_write(f->folder, "l", list.data);
    load_with(f, core_config_load, 1);
    assert_non_null(strstr(f->problems.first->message, "may have 64 MiB in all"));

    rc_buf_reset(&list);
    for (int i = 0; i < ITEMS; i++)
        rc_buf_addf(&list, "- {n: %d}\n", i);
    folder_write(f->folder, "l", list.data);
    load_with(f, core_config_load, 1);
    assert_non_null(strstr(f->problems.first->message, "may have 64 MiB in all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_item_makes_a_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_have_the_place_of_the_item, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_list_there_is_one_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_of_items_are_secret, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_list_gives_no_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(little_does_not_become_very_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(elsewhere_only_defaults_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(defaults_hold_further_references, set_up, tear_down),
        cmocka_unit_test_setup_teardown(defaults_are_nested_only_so_deeply, set_up, tear_down),
        cmocka_unit_test(references_are_found_as_they_stand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
