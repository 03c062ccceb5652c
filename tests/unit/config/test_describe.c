/*
 * Option tables described: JSON for programs, Markdown for READMEs, lines for the
 * terminal; and what is wrong with a table itself.
 */
#include "sample.h"

#include <run-core/str.h>

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TEXT_BYTES = 1 << 16 };

struct fields {
    const char *name, *password;
    int64_t count, wait_ms;
    int mode;
    struct rc_objects items;
};

struct item {
    const char *key;
};

struct lists {
    struct rc_strs first, second;
};

static const char *const modes[] = { "a|b", "c", NULL };

static const struct rc_option item_options[] = {
    { RC_STR("key", struct item, key), .flags = RC_OPT_REQUIRED, .help = "A key." },
    { 0 },
};

static const struct rc_option options[] = {
    { RC_STR("name", struct fields, name), .flags = RC_OPT_REQUIRED, .env = "THE_NAME",
      .help = "Says \"who\".", .also = "called" },
    { RC_STR("password", struct fields, password), .flags = RC_OPT_SECRET, .def = "changeme",
      .help = "A secret." },
    { RC_INT("count", struct fields, count), .def = "3", .min = 1, .max = INT64_MAX, .unit = "days",
      .help = "How many." },
    { RC_MS("wait", struct fields, wait_ms), .def = "30s", .min = 100, .max = 3600000,
      .help = "How long." },
    { RC_ENUM("mode", struct fields, mode, modes), .def = "c", .help = "How a|b." },
    { RC_OBJECTS("items", struct fields, items, struct item, item_options), .flags = RC_OPT_WHOLE,
      .help = "What." },
    { 0 },
};

static const struct core_option_table table = CORE_OPTION_TABLE(options);

static void json_has_every_property(void **state)
{
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_options_to_json(&table, &out);
    assert_string_equal(
        out.data,
        "[{\"key\":\"name\",\"type\":\"string\",\"default\":null,\"required\":true,"
        "\"secret\":false,\"env\":\"THE_NAME\",\"choices\":null,\"min\":null,\"max\":null,"
        "\"unit\":null,\"help\":\"Says \\\"who\\\".\",\"also\":\"called\"},"
        "{\"key\":\"password\",\"type\":\"string\",\"default\":\"********\",\"required\":false,"
        "\"secret\":true,\"env\":null,\"choices\":null,\"min\":null,\"max\":null,\"unit\":null,"
        "\"help\":\"A secret.\"},"
        "{\"key\":\"count\",\"type\":\"integer\",\"default\":\"3\",\"required\":false,"
        "\"secret\":false,\"env\":null,\"choices\":null,\"min\":1,\"max\":null,\"unit\":\"days\","
        "\"help\":\"How many.\"},"
        "{\"key\":\"wait\",\"type\":\"duration\",\"default\":\"30s\",\"required\":false,"
        "\"secret\":false,\"env\":null,\"choices\":null,\"min\":100,\"max\":3600000,"
        "\"unit\":\"ms\",\"help\":\"How long.\"},"
        "{\"key\":\"mode\",\"type\":\"choice\",\"default\":\"c\",\"required\":false,"
        "\"secret\":false,\"env\":null,\"choices\":[\"a|b\",\"c\"],\"min\":null,\"max\":null,"
        "\"unit\":null,\"help\":\"How a|b.\"},"
        "{\"key\":\"items\",\"type\":\"list of objects\",\"default\":null,\"required\":false,"
        "\"secret\":false,\"env\":null,\"choices\":null,\"min\":null,\"max\":null,\"unit\":null,"
        "\"help\":\"What.\",\"whole\":true,\"items\":[{\"key\":\"key\",\"type\":\"string\","
        "\"default\":null,"
        "\"required\":true,\"secret\":false,\"env\":null,\"choices\":null,\"min\":null,"
        "\"max\":null,\"unit\":null,\"help\":\"A key.\"}]}]");
    rc_buf_reset(&out);
    core_options_to_json(&(struct core_option_table){ 0 }, &out);
    assert_string_equal(out.data, "[]");
}

static void markdown_is_a_table(void **state)
{
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_options_to_markdown(&table, &out);
    assert_string_equal(
        out.data, "| Option | Type | Default | Meaning |\n|---|---|---|---|\n"
                  "| `name` | string | required | Says \"who\". Also called `called`. Environment: "
                  "`THE_NAME`. |\n"
                  "| `password` | string | `********` | A secret. Secret. |\n"
                  "| `count` | integer | `3` | How many. At least 1 days. |\n"
                  "| `wait` | duration | `30s` | How long. From 100ms to 1h. |\n"
                  "| `mode` | choice | `c` | How a\\|b. One of: a\\|b, c. |\n"
                  "| `items` | list of objects |  | What. May be all that a `config_file` or "
                  "`config_url` holds. |\n"
                  "| `items[].key` | string | required | A key. |\n");
}

static void text_is_aligned_and_wrapped(void **state)
{
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_options_to_text(&sample_table, &out);
    for (const char *line = out.data; *line;) {
        size_t len = strcspn(line, "\n");

        assert_true(len <= 100);
        assert_true(len > 2 && line[len - 1] != ' ');
        line += len + 1;
    }
    rc_buf_reset(&out);
    core_options_to_text(&table, &out);
    assert_string_equal(
        out.data,
        "  name (string)               Says \"who\". Required. Also called called. Environment: "
        "THE_NAME.\n"
        "  password (string)           A secret. Default: ********. Secret.\n"
        "  count (integer)             How many. At least 1 days. Default: 3.\n"
        "  wait (duration)             How long. From 100ms to 1h. Default: 30s.\n"
        "  mode (choice)               How a|b. One of: a|b, c. Default: c.\n"
        "  items (list of objects)     What. May be all that a config_file or config_url holds.\n"
        "    key (string)              A key. Required.\n");
}

static void every_type_has_a_name(void **state)
{
    (void)state;
    for (int type = RC_OPT_STR; type <= RC_OPT_OBJECTS; type++)
        assert_string_not_equal(core_option_type_name((enum rc_option_type)type), "unknown");
    assert_string_equal(core_option_type_name((enum rc_option_type)99), "unknown");
}

/* ---- check -------------------------------------------------------------------------------- */

static void check_wrong(const struct rc_option *wrong, const char *message)
{
    const struct core_option_table one = CORE_OPTION_TABLE(wrong);
    struct core_problems problems;

    core_problems_init(&problems);
    core_options_check_table(&one, "plugin 'x'", &problems);
    if (!message) {
        assert_int_equal(problems.count, 0);
    } else {
        assert_int_equal(problems.count, 1);
        assert_string_equal(core_problem_text(&problems, problems.first), message);
    }
    core_problems_clear(&problems);
}

static void sound_tables_pass(void **state)
{
    (void)state;
    check_wrong(sample_table.first, NULL);
    check_wrong(item_options, NULL);
    check_wrong(NULL, NULL);
}

#define ONE(...)                                                                                   \
    (const struct rc_option[])                                                                     \
    {                                                                                              \
        { __VA_ARGS__ },                                                                           \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define NAME(key) RC_STR(key, struct fields, name)
#define HELP .help = "Help."

static void names_are_judged(void **state)
{
    const struct rc_option twins[] = { { NAME("a"), HELP }, { NAME("a"), HELP }, { 0 } };
    const struct rc_option entangled[] = { { NAME("a.b"), HELP }, { NAME("a.b.c"), HELP }, { 0 } };
    const struct rc_option crossed[] = { { NAME("a"), HELP, .also = "b" },
                                         { NAME("b"), HELP },
                                         { 0 } };

    (void)state;
    check_wrong(
        ONE(NAME("a b"), HELP),
        "plugin 'x': option 'a b' has a name that is not letters, digits, '-', '_' and '.', "
        "a letter first and at most 63 of them");
    check_wrong(twins, "plugin 'x': option 'a' has a name that an earlier one has too");
    check_wrong(entangled, "plugin 'x': option 'a.b.c' and an earlier one cannot be told apart in "
                           "maps: the name of one is what the other's has before a dot");
    check_wrong(crossed, "plugin 'x': option 'b' has a name that an earlier one has too");
    check_wrong(ONE(NAME("a"), HELP, .also = "a"),
                "plugin 'x': option 'a' has its own name as the second one");
    check_wrong(ONE(NAME("config_file"), HELP),
                "plugin 'x': option 'config_file' has a name that run-core keeps for itself");
}

static void properties_are_judged(void **state)
{
    (void)state;
    check_wrong(ONE(NAME("a"), .help = ""), "plugin 'x': option 'a' has no help");
    check_wrong(ONE(NAME("a"), HELP, .def = "x", .flags = RC_OPT_REQUIRED),
                "plugin 'x': option 'a' is required and has a default: one of the two is in vain");
    check_wrong(ONE(NAME("a"), HELP, .def = "x", .flags = RC_OPT_SECRET),
                "plugin 'x': option 'a' is secret and has a default, which everybody can read");
    check_wrong(ONE(NAME("a"), HELP, .flags = 1u << 31),
                "plugin 'x': option 'a' has a flag that this run-core does not know");
    check_wrong(ONE(NAME("a"), HELP, .env = "1A"),
                "plugin 'x': option 'a' has an environment variable whose name is not one");
    check_wrong(ONE(NAME("a"), HELP, .min = 1, .max = 2),
                "plugin 'x': option 'a' has a range, which its type does not take");
    check_wrong(ONE(.name = "a", .type = (enum rc_option_type)77, HELP),
                "plugin 'x': option 'a' has a type that this run-core does not know");
    check_wrong(ONE(RC_INT("a", struct fields, count), HELP, .min = 2, .max = 1),
                "plugin 'x': option 'a' has a range whose 'min' is above its 'max'");
    check_wrong(ONE(RC_ENUM("a", struct fields, mode, NULL), HELP),
                "plugin 'x': option 'a' has no choices");
    check_wrong(ONE(RC_OBJECTS("a", struct fields, items, struct item, NULL), HELP),
                "plugin 'x': option 'a' has no table for its items");
    check_wrong(ONE(NAME("a"), HELP, .flags = RC_OPT_WHOLE),
                "plugin 'x': option 'a' is the whole of a file, but no list");
    check_wrong(ONE(RC_INT("a", struct fields, count), HELP, .flags = RC_OPT_ENGINE),
                "plugin 'x': option 'a' names an SQL engine, but is no text");
}

static void defaults_are_judged(void **state)
{
    (void)state;
    check_wrong(ONE(RC_INT("a", struct fields, count), HELP, .def = "9", .min = 1, .max = 2),
                "plugin 'x': option 'a' has a wrong default: 'a' is 9; it must be from 1 to 2");
    check_wrong(
        ONE(RC_MS("a", struct fields, wait_ms), HELP, .def = "soon"),
        "plugin 'x': option 'a' has a wrong default: 'a' is 'soon', which is not a duration "
        "such as 30s, 15m or 2h");
    check_wrong(
        ONE(RC_ENUM("a", struct fields, mode, modes), HELP, .def = "weekly"),
        "plugin 'x': option 'a' has a wrong default: 'a' is 'weekly'; it must be one of: a|b, c");
    check_wrong(ONE(RC_OBJECTS("a", struct fields, items, struct item, item_options), HELP,
                    .def = "[{key: x}]"),
                NULL);
    check_wrong(
        ONE(RC_OBJECTS("a", struct fields, items, struct item, item_options), HELP, .def = "[{}]"),
        "plugin 'x': option 'a' has a wrong default: 'a[0].key' is required but not given");
}

static void tables_of_items_are_judged(void **state)
{
    static const struct rc_option far[] = {
        { .name = "k", .type = RC_OPT_STR, .offset = sizeof(struct item), HELP },
        { 0 },
    };
    static const struct rc_option with_env[] = {
        { RC_STR("k", struct item, key), .env = "A", HELP },
        { 0 },
    };
    static const struct rc_option whole[] = {
        { RC_LIST("k", struct lists, first), .flags = RC_OPT_WHOLE, HELP },
        { 0 },
    };
    static const struct rc_option two_wholes[] = {
        { RC_LIST("a", struct lists, first), .flags = RC_OPT_WHOLE, HELP },
        { RC_LIST("b", struct lists, second), .flags = RC_OPT_WHOLE, HELP },
        { 0 },
    };
    static struct rc_option loop[2];

    (void)state;
    check_wrong(ONE(RC_OBJECTS("a", struct fields, items, struct item, far), HELP),
                "plugin 'x': option 'a[].k' has a field that lies behind the end of its struct");
    check_wrong(
        ONE(RC_OBJECTS("a", struct fields, items, struct item, with_env), HELP),
        "plugin 'x': option 'a[].k' has an environment variable, which cannot say what item "
        "it is for");
    check_wrong(ONE(RC_OBJECTS("a", struct fields, items, struct lists, whole), HELP),
                "plugin 'x': option 'a[].k' is the whole of a file, but within an item");
    check_wrong(two_wholes, "plugin 'x': option 'b' is the whole of a file, as an earlier one is");
    loop[0] = (struct rc_option){ .name = "a",
                                  .type = RC_OPT_OBJECTS,
                                  .items = loop,
                                  .item_size = sizeof(struct rc_objects),
                                  .help = "Help." };
    check_wrong(loop, "plugin 'x': option 'a[].a[].a[].a[].a[].a[].a[].a' is nested too deeply, or "
                      "within itself");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_every_property),     cmocka_unit_test(markdown_is_a_table),
        cmocka_unit_test(text_is_aligned_and_wrapped), cmocka_unit_test(every_type_has_a_name),
        cmocka_unit_test(sound_tables_pass),           cmocka_unit_test(names_are_judged),
        cmocka_unit_test(properties_are_judged),       cmocka_unit_test(defaults_are_judged),
        cmocka_unit_test(tables_of_items_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
