/*
 * Templates of paths: what fits, what the names stand for, which goes first.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <base/path_template.h>
#include <stdio.h>
#include <string.h>

/* "name=value name=value" of a match, or "-". */
static const char *match(const char *path_template, const char *path)
{
    static char text[256];
    struct core_path_values values;
    size_t len = 0;

    text[0] = '\0';
    if (!core_path_match(path_template, path, &values))
        return "-";
    for (size_t i = 0; i < values.count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s=%.*s", i ? " " : "",
                                (int)values.items[i].name_len, values.items[i].name,
                                (int)values.items[i].value_len, values.items[i].value);
    return text;
}

static void paths_fit_templates_part_by_part(void **state)
{
    static const struct {
        const char *path_template, *path, *expected;
    } cases[] = {
        { "/", "/", "" },
        { "/rules", "/rules", "" },
        { "/rules", "/rules/", "-" },
        { "/rules", "/rule", "-" },
        { "/rules", "/rules/1", "-" },
        { "/rules/{id}", "/rules/17", "id=17" },
        { "/rules/{id}", "/rules/", "-" },
        { "/rules/{id}", "/rules/17/", "-" },
        { "/rules/{id}", "/rules", "-" },
        { "/rules/{id}/runs/{run}", "/rules/a b/runs/x", "id=a b run=x" },
        { "/{a}/{b}", "/x/y", "a=x b=y" },
        { "/rules/", "/rules/", "" },
        { "/", "", "-" },
        { "/{rest*}", "/", "rest=" },
        { "/{rest*}", "/a/b/", "rest=a/b/" },
        { "/{rest*}", "", "-" },
        { "/rules/{id}/{rest*}", "/rules/1/x/y", "id=1 rest=x/y" },
        { "/rules/{id}/{rest*}", "/rules/1", "-" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(match(cases[i].path_template, cases[i].path), cases[i].expected);
}

static void templates_are_checked(void **state)
{
    static const char *const good[] = { "/", "/a", "/a/{b}", "/{a}/{b}/c", "/a//b", "/{a}/{b*}" };
    static const char *const bad[] = {
        "",        "a",        "/{a",   "/a}",       "/x{a}",
        "/{}",     "/{a}/{a}", "/{a}b", "/{{a}}",    "{a}",
        "/{a*}/b", "/{a*b}",   "/{*}",  "/{a}/{a*}", "/{1}/{2}/{3}/{4}/{5}/{6}/{7}/{8}/{9}"
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(core_path_template_is_good(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(core_path_template_is_good(bad[i]));
}

static void plain_parts_go_before_names(void **state)
{
    (void)state;
    assert_true(core_path_goes_before("/rules/all", "/rules/{id}"));
    assert_false(core_path_goes_before("/rules/{id}", "/rules/all"));
    assert_false(core_path_goes_before("/rules/{id}", "/rules/{name}"));
    assert_true(core_path_goes_before("/a/{b}", "/{a}/b"));
    assert_true(core_path_goes_before("/{a}", "/{a*}"));
    assert_false(core_path_goes_before("/{a*}", "/a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_fit_templates_part_by_part),
        cmocka_unit_test(templates_are_checked),
        cmocka_unit_test(plain_parts_go_before_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
