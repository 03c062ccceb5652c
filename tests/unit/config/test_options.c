/*
 * Option tables in use: conversion, layers, defaults, environment, nested tables. The messages
 * of mistakes are in test_malformed.c.
 */
#include "sample.h"

#include <config/secrets.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    struct core_arena arena;
    struct core_problems problems;
    struct sample sample;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    core_problems_init(&f->problems);
    unsetenv(SAMPLE_PASSWORD);
    unsetenv(SAMPLE_TABLES);
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

static const struct core_node *parse(struct fixture *f, const char *text)
{
    return core_yaml_parse(&f->arena, "t.yaml", text, strlen(text), &f->problems);
}

static void bind(struct fixture *f, const struct core_node *const *layers, size_t count)
{
    const struct core_place place = { .file = "plugin 'sample'" };

    memset(&f->sample, 0, sizeof(f->sample));
    core_options_bind(&sample_table, layers, count, &place, &f->sample, &f->arena, &f->problems);
}

static void bind_text(struct fixture *f, const char *text)
{
    const struct core_node *layer = parse(f, text);

    bind(f, &layer, 1);
}

static void check_good(struct fixture *f)
{
    for (const struct core_problem *p = f->problems.first; p; p = p->next)
        print_error("%s\n", core_problem_text(&f->problems, p));
    assert_int_equal(f->problems.count, 0);
}

static void check_only_problem(struct fixture *f, const char *text)
{
    assert_int_equal(f->problems.count, 1);
    assert_string_equal(core_problem_text(&f->problems, f->problems.first), text);
}

static void defaults_fill_what_nobody_gives(void **state)
{
    struct fixture *f = *state;

    bind_text(f, "table: events");
    check_good(f);
    assert_string_equal(f->sample.table, "events");
    assert_string_equal(f->sample.note, "none");
    assert_null(f->sample.engine);
    assert_null(f->sample.password);
    assert_false(f->sample.csv);
    assert_int_equal(f->sample.threads, 4);
    assert_int_equal(f->sample.timeout_ms, 30000);
    assert_int_equal(f->sample.memory_bytes, 64 << 20);
    assert_true(f->sample.ratio > 0.49 && f->sample.ratio < 0.51);
    assert_int_equal(f->sample.mode, 0);
    assert_int_equal(f->sample.start, RC_DAY_NONE);
    assert_int_equal(f->sample.tables.len, 0);
    assert_int_equal(f->sample.windows.len, 0);
}

static void every_type_is_converted(void **state)
{
    struct fixture *f = *state;

    bind_text(f, "table: 010\nnote: yes\nengine: athena\nexportToCsv: on\nthreads: 8\n"
                 "timeout: 1m30s\nmemory: 1GiB\nratio: 1e-1\nmode: total\n"
                 "endpoint: https://host/x\nhistoryStartDay: 2021-06-01\ntables: [a, 2, 'null']\n"
                 "headers: {Accept: text/csv, X-Count: 3}\n"
                 "windows: [{targetFolder: /7d/, labels: x}, {targetFolder: /30d/, "
                 "aggregationWindowDays: 30}]\n");
    check_good(f);
    assert_string_equal(f->sample.table, "010");
    assert_string_equal(f->sample.note, "yes");
    assert_string_equal(f->sample.engine, "athena");
    assert_true(f->sample.csv);
    assert_int_equal(f->sample.threads, 8);
    assert_int_equal(f->sample.timeout_ms, 90000);
    assert_int_equal(f->sample.memory_bytes, INT64_C(1) << 30);
    assert_true(f->sample.ratio > 0.09 && f->sample.ratio < 0.11);
    assert_int_equal(f->sample.mode, 2);
    assert_string_equal(f->sample.endpoint, "https://host/x");
    assert_int_equal(f->sample.start, rc_day_from_date(2021, 6, 1));
    assert_int_equal(f->sample.tables.len, 3);
    assert_string_equal(f->sample.tables.items[1], "2");
    assert_string_equal(f->sample.tables.items[2], "null");
    assert_int_equal(f->sample.headers.len, 2);
    assert_string_equal(f->sample.headers.items[1].key, "X-Count");
    assert_string_equal(f->sample.headers.items[1].value, "3");
    assert_int_equal(f->sample.windows.len, 2);
    assert_int_equal(RC_OBJECT_AT(struct sample_window, f->sample.windows, 0)->days, 7);
    assert_string_equal(RC_OBJECT_AT(struct sample_window, f->sample.windows, 0)->labels.items[0],
                        "x");
    assert_string_equal(RC_OBJECT_AT(struct sample_window, f->sample.windows, 1)->folder, "/30d/");
    assert_int_equal(RC_OBJECT_AT(struct sample_window, f->sample.windows, 1)->days, 30);
}

static void quoted_numbers_of_json_are_numbers(void **state)
{
    struct fixture *f = *state;

    bind_text(
        f, "{\"table\": \"t\", \"threads\": \"8\", \"exportToCsv\": \"true\", \"ratio\": \"1\"}");
    check_good(f);
    assert_int_equal(f->sample.threads, 8);
    assert_true(f->sample.csv);
}

static void the_first_layer_that_gives_a_value_wins(void **state)
{
    struct fixture *f = *state;
    const struct core_node *layers[] = { parse(f, "note: a\nmode: ~"), NULL,
                                         parse(f, "sourceTable: t\nnote: b\nmode: total"),
                                         parse(f, "table: u\nnote: c\nthreads: 2\nmode: rebuild"),
                                         parse(f, "- no\n- map") };

    bind(f, layers, RC_ARRAY_LEN(layers));
    check_good(f);
    assert_string_equal(f->sample.table, "t");
    assert_string_equal(f->sample.note, "a");
    assert_int_equal(f->sample.threads, 2);
    assert_int_equal(f->sample.mode, 2);
}

static void a_wrong_value_in_a_weaker_layer_does_not_count(void **state)
{
    struct fixture *f = *state;
    const struct core_node *layers[] = { parse(f, "table: t\nthreads: 3"),
                                         parse(f, "threads: many") };

    bind(f, layers, 2);
    check_good(f);
    assert_int_equal(f->sample.threads, 3);
}

static void the_environment_stands_between_layers_and_defaults(void **state)
{
    struct fixture *f = *state;
    char masked[] = "from-environment";

    setenv(SAMPLE_PASSWORD, "from-environment", 1);
    setenv(SAMPLE_TABLES, "[a, b]", 1);
    bind_text(f, "table: t");
    check_good(f);
    assert_string_equal(f->sample.password, "from-environment");
    assert_int_equal(f->sample.tables.len, 2);
    core_secret_mask(masked);
    assert_string_equal(masked, "********");
    setenv(SAMPLE_PASSWORD, " from a file \r\n\n", 1);
    bind_text(f, "table: t");
    assert_string_equal(f->sample.password, " from a file ");
    setenv(SAMPLE_PASSWORD, "\n", 1);
    bind_text(f, "table: t");
    assert_null(f->sample.password);
    setenv(SAMPLE_TABLES, "a, b", 1);
    bind_text(f, "table: t\npassword: given");
    check_good(f);
    assert_string_equal(f->sample.password, "given");
    assert_int_equal(f->sample.tables.len, 1);
    setenv(SAMPLE_TABLES, "", 1);
    bind_text(f, "table: t");
    assert_int_equal(f->sample.tables.len, 0);
    setenv(SAMPLE_TABLES, "[a, b", 1);
    bind_text(f, "table: t");
    assert_int_equal(f->problems.count, 1);
    assert_string_equal(f->problems.first->place.file, "environment variable " SAMPLE_TABLES);
}

static void words_of_the_command_line_are_text_or_yaml_as_the_option_wants(void **state)
{
    static const char *const words[] = { "table=[a-z]+{2}",    "tables=[a, b]",
                                         "headers={A: b=c}",   "windows=[{targetFolder: x}]",
                                         "note=${env:HOME}=x", "password=hunter33" };
    struct fixture *f = *state;
    const struct core_node *set =
        core_config_parse_set(&f->arena, words, RC_ARRAY_LEN(words), &f->problems);
    char masked[] = "hunter33";

    bind(f, &set, 1);
    core_options_check_keys(set, &sample_table, 1, "plugin 'sample'", &f->problems);
    check_good(f);
    assert_string_equal(f->sample.table, "[a-z]+{2}");
    assert_int_equal(f->sample.tables.len, 2);
    assert_string_equal(f->sample.headers.items[0].value, "b=c");
    assert_int_equal(f->sample.windows.len, 1);
    assert_string_equal(f->sample.note, "${env:HOME}=x");
    core_secret_mask(masked);
    assert_string_equal(masked, "********");
}

static void mistakes_of_the_command_line_name_the_word(void **state)
{
    static const char *const words[] = { "table=t", "threads=x", "nonsense",           "=x",
                                         "table=u", "tabels=y",  "windows=[{days: 1}]" };
    struct fixture *f = *state;
    RC_BUF_AUTO(got, 4096);
    const struct core_node *set =
        core_config_parse_set(&f->arena, words, RC_ARRAY_LEN(words), &f->problems);

    bind(f, &set, 1);
    core_options_check_keys(set, &sample_table, 1, "plugin 'sample'", &f->problems);
    core_problems_sort(&f->problems);
    for (const struct core_problem *p = f->problems.first; p; p = p->next)
        rc_buf_addf(&got, "%s\n", core_problem_text(&f->problems, p));
    assert_string_equal(
        got.data,
        "--set: 'nonsense' is not KEY=VALUE\n"
        "--set: '=x' is not KEY=VALUE\n"
        "--set table: the option is given twice\n"
        "--set windows: 'windows[0].targetFolder' is required but not given\n"
        "--set threads: 'threads' is 'x', which is not a whole number\n"
        "--set tabels: unknown key 'tabels' of plugin 'sample'; did you mean 'tables'?\n"
        "--set windows: unknown key 'days' of 'windows' of plugin 'sample'; the valid ones are: "
        "targetFolder, aggregationWindowDays, labels\n");
}

static void a_missing_value_names_its_environment_variable(void **state)
{
    static const struct rc_option options[] = {
        { RC_STR("key", struct sample, table), .flags = RC_OPT_REQUIRED,
          .env = "RUN_CORE_TEST_UNSET", .help = "A key." },
        { 0 },
    };
    static const struct core_option_table table = CORE_OPTION_TABLE(options);
    const struct core_place place = { .file = "plugin 'sample'" };
    struct fixture *f = *state;

    unsetenv("RUN_CORE_TEST_UNSET");
    core_options_bind(&table, NULL, 0, &place, &f->sample, &f->arena, &f->problems);
    check_only_problem(f,
                       "plugin 'sample': 'key' is required but not given, nor is the environment "
                       "variable RUN_CORE_TEST_UNSET");
}

static void secret_values_never_stand_in_a_message(void **state)
{
    struct fixture *f = *state;

    bind_text(f, "table: t\npassword: open-sesame-9\nthreads: open-sesame-9\n");
    assert_int_equal(f->problems.count, 1);
    assert_null(strstr(f->problems.first->message, "sesame"));
}

static void tables_of_older_plugins_have_shorter_entries(void **state)
{
    enum { OLD = offsetof(struct rc_option, also) };
    static const struct rc_option now[] = {
        { RC_STR("table", struct sample, table), .help = "x", .also = "other" },
        { RC_INT("threads", struct sample, threads), .def = "3", .help = "x", .also = "more" },
        { 0 },
    };
    _Alignas(struct rc_option) char entries[3 * OLD];
    const struct core_option_table table = { (const struct rc_option *)(void *)entries, OLD };
    struct fixture *f = *state;
    const struct core_place place = { .file = "plugin 'sample'" };
    const struct core_node *layer = parse(f, "table: t\nother: u\n");
    struct rc_option option;

    for (size_t i = 0; i < 3; i++)
        memcpy(entries + i * OLD, &now[i], OLD);
    assert_true(core_option_at(&table, 1, &option));
    assert_string_equal(option.name, "threads");
    assert_null(option.also);
    assert_false(core_option_at(&table, 2, &option));
    core_options_bind(&table, &layer, 1, &place, &f->sample, &f->arena, &f->problems);
    check_good(f);
    assert_int_equal(f->sample.threads, 3);
    assert_false(core_option_at(&(struct core_option_table){ NULL, sizeof(option) }, 0, &option));
}

static void a_source_that_could_not_be_read_is_not_missed_twice(void **state)
{
    struct fixture *f = *state;
    const struct core_node unread = { .kind = CORE_NODE_MAP, .broken = true };
    const struct core_node *layers[] = { &unread };

    bind(f, layers, 1);
    check_good(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_fill_what_nobody_gives),
        TEST(every_type_is_converted),
        TEST(quoted_numbers_of_json_are_numbers),
        TEST(the_first_layer_that_gives_a_value_wins),
        TEST(a_wrong_value_in_a_weaker_layer_does_not_count),
        TEST(the_environment_stands_between_layers_and_defaults),
        TEST(words_of_the_command_line_are_text_or_yaml_as_the_option_wants),
        TEST(mistakes_of_the_command_line_name_the_word),
        TEST(a_missing_value_names_its_environment_variable),
        TEST(secret_values_never_stand_in_a_message),
        TEST(tables_of_older_plugins_have_shorter_entries),
        TEST(a_source_that_could_not_be_read_is_not_missed_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
