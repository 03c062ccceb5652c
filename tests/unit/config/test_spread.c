/*
 * Options whose names have dots: flat, in maps of their own, or both; and what is wrong then.
 */
#include <config/config.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    const char *name;
    int64_t wait;
};

struct values {
    int64_t prefixes, on_demand, threads;
    const char *excludes, *id;
    struct rc_map labels;
    struct rc_objects items;
};

static const struct rc_option item_options[] = {
    { RC_STR("name", struct item, name), .help = "x" },
    { RC_INT("retry.wait", struct item, wait), .def = "7", .help = "x" },
    { 0 },
};

static const struct rc_option options[] = {
    { RC_INT("sts.maxPrefixCount", struct values, prefixes), .def = "1000", .max = 1000,
      .help = "x" },
    { RC_INT("sts.jobPoolOnDemand.user", struct values, on_demand), .def = "0", .help = "x" },
    { RC_STR("sts.excludes", struct values, excludes), .also = "sts.exlcudes", .help = "x" },
    { RC_INT("threads", struct values, threads), .def = "7", .help = "x" },
    { RC_STR("lock.id", struct values, id), .flags = RC_OPT_REQUIRED, .help = "x" },
    { RC_MAP("labels", struct values, labels), .help = "x" },
    { RC_OBJECTS("items", struct values, items, struct item, item_options), .help = "x" },
    { 0 },
};

static const struct core_option_table table = CORE_OPTION_TABLE(options);

struct fixture {
    struct core_arena arena;
    struct core_problems problems;
    struct values values;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    core_problems_init(&f->problems);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    core_arena_clear(&f->arena);
    core_problems_clear(&f->problems);
    free(f);
    return 0;
}

static void bind(struct fixture *f, const struct core_node *const *layers, size_t count)
{
    const struct core_place place = { .file = "plugin 'x'" };

    memset(&f->values, 0, sizeof(f->values));
    for (size_t i = 0; i < count; i++)
        core_options_check_keys(layers[i], &table, 1, "plugin 'x'", &f->problems);
    core_options_bind(&table, layers, count, &place, &f->values, &f->arena, &f->problems);
}

static const struct core_node *parse(struct fixture *f, const char *text)
{
    return core_yaml_parse(&f->arena, "t.yaml", text, strlen(text), &f->problems);
}

static void bind_text(struct fixture *f, const char *text)
{
    const struct core_node *layer = parse(f, text);

    bind(f, &layer, 1);
}

/* 'texts' ends with NULL. */
static void check_problems(struct fixture *f, const char *const *texts)
{
    const struct core_problem *problem;

    core_problems_sort(&f->problems);
    problem = f->problems.first;
    for (; *texts && problem; texts++, problem = problem->next)
        assert_string_equal(core_problem_text(&f->problems, problem), *texts);
    assert_null(*texts);
    if (problem)
        fail_msg("%s", core_problem_text(&f->problems, problem));
}

static void check_problem(struct fixture *f, const char *text)
{
    const char *const texts[] = { text, NULL };

    check_problems(f, texts);
}

#define GOOD                                                                                       \
    (const char *const[])                                                                          \
    {                                                                                              \
        NULL                                                                                       \
    }

static void maps_and_names_with_dots_are_the_same(void **state)
{
    static const char *const texts[] = {
        "sts.maxPrefixCount: 5\nsts.jobPoolOnDemand.user: 96\nsts.excludes: a/\nlock.id: l\n",
        "sts: {maxPrefixCount: 5, jobPoolOnDemand: {user: 96}, excludes: a/}\nlock: {id: l}\n",
        "sts:\n  maxPrefixCount: 5\n  jobPoolOnDemand.user: 96\n  exlcudes: a/\nlock.id: l\n",
        "sts.jobPoolOnDemand: {user: 96}\nsts: {maxPrefixCount: 5, exlcudes: a/}\nlock: {id: l}\n",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++) {
        bind_text(f, texts[i]);
        check_problems(f, GOOD);
        assert_int_equal(f->values.prefixes, 5);
        assert_int_equal(f->values.on_demand, 96);
        assert_string_equal(f->values.excludes, "a/");
        assert_string_equal(f->values.id, "l");
        assert_int_equal(f->values.threads, 7);
    }
}

static void a_stronger_layer_wins_however_it_is_written(void **state)
{
    struct fixture *f = *state;
    const char *const words[] = { "sts.maxPrefixCount=3", "lock={id: m}" };
    const struct core_node *const layers[] = {
        core_config_parse_set(&f->arena, words, 2, &f->problems),
        parse(f, "sts: {maxPrefixCount: 5, jobPoolOnDemand: {user: 8}}\nlock: {id: l}\n"),
    };

    bind(f, layers, 2);
    check_problems(f, GOOD);
    assert_int_equal(f->values.prefixes, 3);
    assert_int_equal(f->values.on_demand, 8);
    assert_string_equal(f->values.id, "m");
}

static void a_map_without_anything_gives_nothing(void **state)
{
    struct fixture *f = *state;

    bind_text(f, "sts:\nlock: {id: l}\n");
    check_problems(f, GOOD);
    assert_int_equal(f->values.prefixes, 1000);
}

static void one_that_is_given_twice_is_reported_with_both_places(void **state)
{
    struct fixture *f = *state;

    bind_text(f, "lock.id: l\nsts.maxPrefixCount: 5\nsts:\n  maxPrefixCount: 6\n");
    check_problem(f, "t.yaml:4:3: 'sts.maxPrefixCount' is given twice; the first is at "
                     "t.yaml:2:1");
}

static void a_second_name_in_a_map_counts_as_the_first_too(void **state)
{
    struct fixture *f = *state;

    bind_text(f, "lock.id: l\nsts: {excludes: a/, exlcudes: b/}\n");
    check_problem(f, "t.yaml:2:31: 'sts.exlcudes' is another name of 'sts.excludes', which is "
                     "given too; remove one");
}

static void mistakes_have_the_whole_name_and_their_place(void **state)
{
    struct fixture *f = *state;
    const char *const texts[] = {
        "t.yaml:1:12: 'lock.id' is required but empty",
        "t.yaml:3:3: unknown key 'sts.maxPrefixCoun' of plugin 'x'; did you mean "
        "'sts.maxPrefixCount'?",
        "t.yaml:4:33: 'sts.jobPoolOnDemand.user' is 'many', which is not a whole number",
        NULL,
    };

    bind_text(f,
              "lock: {id: ''}\nsts:\n  maxPrefixCoun: 5\n  jobPoolOnDemand: {   user:    many}\n");
    check_problems(f, texts);
}

static void what_is_no_map_is_said_to_be_none(void **state)
{
    struct fixture *f = *state;
    const char *const texts[] = {
        "t.yaml:2:6: 'sts' must be a map, as for 'sts.maxPrefixCount', not a single value",
        NULL,
    };

    bind_text(f, "lock.id: l\nsts: many\n");
    check_problems(f, texts);
}

static void maps_in_items_are_spread_as_well(void **state)
{
    struct fixture *f = *state;
    const struct item *items;

    bind_text(f, "lock.id: l\nitems:\n- {name: a, retry: {wait: 3}}\n- {name: b, retry.wait: 4}\n"
                 "- {name: c}\n");
    check_problems(f, GOOD);
    assert_int_equal(f->values.items.len, 3);
    items = f->values.items.items;
    assert_int_equal(items[0].wait, 3);
    assert_int_equal(items[1].wait, 4);
    assert_int_equal(items[2].wait, 7);
}

static void the_keys_of_a_map_option_are_the_users(void **state)
{
    struct fixture *f = *state;

    bind_text(f, "lock.id: l\nlabels: {a.b: c}\n");
    check_problems(f, GOOD);
    assert_int_equal(f->values.labels.len, 1);
    assert_string_equal(f->values.labels.items[0].key, "a.b");
}

static void a_map_that_could_not_be_read_is_not_missed_twice(void **state)
{
    struct fixture *f = *state;

    unsetenv("RUN_CORE_TEST_UNSET");
    bind_text(f, "lock: '${env:RUN_CORE_TEST_UNSET}'\n");
    assert_int_equal(f->problems.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(maps_and_names_with_dots_are_the_same),
        TEST(a_stronger_layer_wins_however_it_is_written),
        TEST(a_map_without_anything_gives_nothing),
        TEST(one_that_is_given_twice_is_reported_with_both_places),
        TEST(a_second_name_in_a_map_counts_as_the_first_too),
        TEST(mistakes_have_the_whole_name_and_their_place),
        TEST(what_is_no_map_is_said_to_be_none),
        TEST(maps_in_items_are_spread_as_well),
        TEST(the_keys_of_a_map_option_are_the_users),
        TEST(a_map_that_could_not_be_read_is_not_missed_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
