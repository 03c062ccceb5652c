/*
 * YAML and JSON trees: values, places, aliases, merges, ${...} and limits.
 */
#include <config/secrets.h>
#include <config/yaml.h>

#include <os/file.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    struct core_arena arena;
    struct core_problems problems;
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

static struct core_node *parse_as(struct fixture *f, const char *file, const char *text)
{
    return core_yaml_parse(&f->arena, file, text, strlen(text), &f->problems);
}

static struct core_node *parse(struct fixture *f, const char *text)
{
    struct core_node *node = parse_as(f, "t.yaml", text);

    for (const struct core_problem *p = f->problems.first; p; p = p->next)
        print_error("%s\n", core_problem_text(&f->problems, p));
    assert_int_equal(f->problems.count, 0);
    assert_non_null(node);
    return node;
}

static void check_text(const struct core_node *map, const char *key, const char *text)
{
    const struct core_node *node = core_node_get(map, key);

    assert_non_null(node);
    assert_int_equal(node->kind, CORE_NODE_SCALAR);
    assert_string_equal(node->text, text);
}

static void check_place(const struct core_place *place, int line, int column)
{
    assert_string_equal(place->file, "t.yaml");
    assert_int_equal(place->line, line);
    assert_int_equal(place->column, column);
}

static void check_problem(struct fixture *f, const char *text)
{
    assert_int_equal(f->problems.count, 1);
    assert_string_equal(core_problem_text(&f->problems, f->problems.first), text);
}

static void values_keep_their_text_and_place(void **state)
{
    const struct core_node *map =
        parse(*state, "port: 010\nflag: yes\nq: '1'\nlong: >\n  two\n  lines\né: {ü: x}\n");

    check_text(map, "port", "010");
    check_text(map, "flag", "yes");
    check_text(map, "long", "two lines\n");
    assert_false(core_node_get(map, "flag")->quoted);
    assert_true(core_node_get(map, "q")->quoted);
    check_place(&core_node_get(map, "port")->place, 1, 7);
    check_place(&map->entries[4].place, 7, 1);
    check_place(&core_node_get(core_node_get(map, "é"), "ü")->place, 7, 8);
}

static void nothing_is_a_null_node(void **state)
{
    const struct core_node *map =
        parse(*state, "a:\nb: ~\nc: null\nd: 'null'\ne: \"\"\nf: !!str\ng: !!str null\n");

    assert_int_equal(core_node_get(map, "a")->kind, CORE_NODE_NULL);
    assert_int_equal(core_node_get(map, "b")->kind, CORE_NODE_NULL);
    assert_int_equal(core_node_get(map, "c")->kind, CORE_NODE_NULL);
    check_text(map, "d", "null");
    check_text(map, "e", "");
    check_text(map, "f", "");
    check_text(map, "g", "null");
    assert_null(core_node_get(map, "h"));
    assert_null(core_node_get(NULL, "a"));
    assert_null(core_node_get(core_node_get(map, "d"), "a"));
}

static void empty_documents_are_null(void **state)
{
    static const char *const texts[] = { "",      "\n\n",         "# only a comment\n",
                                         "---\n", "\xEF\xBB\xBF", "--- ~\n...\n" };

    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++)
        assert_int_equal(parse(*state, texts[i])->kind, CORE_NODE_NULL);
}

static void a_byte_order_mark_moves_no_place(void **state)
{
    check_place(&parse(*state, "\xEF\xBB\xBF"
                               "a: 1\n")
                     ->entries[0]
                     .place,
                1, 1);
    check_place(&parse(*state, "\xEF\xBB\xBF{\"a\": 1}\n")->entries[0].place, 1, 2);
}

static void json_of_real_tools_loads(void **state)
{
    RC_BUF_AUTO(long_key, 8192);
    const struct core_node *map = parse(
        *state,
        "{\r\n\t\"smile\": \"\\ud83d\\ude00\\u00e9\\u20ac\",\r\n\t\"path\"\n\t: \"a\\/b\\tc\\\\\","
        "\"n\": [0, -1.5e+3, true, null, []],\"del\": \"\x7f\", \"o\": {}}");

    check_text(map, "smile", "😀é€");
    check_text(map, "path", "a/b\tc\\");
    check_text(map, "del", "\x7f");
    check_place(&core_node_get(map, "smile")->place, 2, 11);
    check_place(&core_node_get(map, "path")->place, 4, 4);
    assert_int_equal(core_node_get(map, "n")->len, 5);
    assert_string_equal(core_node_get(map, "n")->items[1]->text, "-1.5e+3");
    assert_int_equal(core_node_get(map, "n")->items[3]->kind, CORE_NODE_NULL);
    check_place(&core_node_get(map, "n")->items[4]->place, 4, 46);
    rc_buf_adds(&long_key, "{\"");
    for (int i = 0; i < 2000; i++)
        rc_buf_addc(&long_key, 'k');
    rc_buf_adds(&long_key, "\": 1}");
    assert_int_equal(strlen(parse(*state, long_key.data)->entries[0].key), 2000);
}

static void flow_yaml_that_is_no_json_loads_too(void **state)
{
    const struct core_node *map = parse(*state, "{a: 1, # comment\n 'b': [x, y,],}\n");

    check_text(map, "a", "1");
    assert_int_equal(core_node_get(map, "b")->len, 2);
}

static void mistakes_in_flow_yaml_are_reported_once(void **state)
{
    assert_non_null(parse_as(*state, "t.yaml", "{\"a\": \"${what:x}\", b: 1,}"));
    check_problem(*state, "t.yaml:1:7: unknown '${what:x}'; write ${env:NAME}, "
                          "${env:NAME:-default} or ${file:PATH}, and $${ for a '${' that stands "
                          "for itself");
}

static void aliases_and_merges_are_resolved(void **state)
{
    const struct core_node *map =
        parse(*state, "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nuse: *base\n"
                      "one: {<<: *base, b: 9}\ntwo:\n  <<: [*more, *base]\n  d: 5\n'<<': quoted\n");

    assert_ptr_equal(core_node_get(map, "use"), core_node_get(map, "base"));
    check_text(core_node_get(map, "one"), "a", "1");
    check_text(core_node_get(map, "one"), "b", "9");
    assert_int_equal(core_node_get(map, "one")->len, 2);
    check_text(core_node_get(map, "two"), "b", "3");
    check_text(core_node_get(map, "two"), "a", "1");
    check_text(core_node_get(map, "two"), "d", "5");
    check_text(map, "<<", "quoted");
    check_place(&core_node_get(core_node_get(map, "one"), "a")->place, 1, 17);
}

static void environment_variables_are_resolved_in_values(void **state)
{
    const struct core_node *map;

    setenv("RUN_CORE_TEST_A", "[x]: ${env:HOME}", 1);
    setenv("RUN_CORE_TEST_EMPTY", "", 1);
    unsetenv("RUN_CORE_TEST_UNSET");
    map = parse(*state, "a: <${env:RUN_CORE_TEST_A}>\n"
                        "b: '${env:RUN_CORE_TEST_UNSET:-d:-e}${env:RUN_CORE_TEST_EMPTY}'\n"
                        "c: ${env:RUN_CORE_TEST_EMPTY:-d}\nd: \"${env:RUN_CORE_TEST_EMPTY}\"\n"
                        "e: $${env:HOME} $$ $ {} $x\n${env:X}: key\n"
                        "f: [\"${env:RUN_CORE_TEST_A}\"]\ng: ${env:RUN_CORE_TEST_UNSET:-}\n");
    check_text(map, "a", "<[x]: ${env:HOME}>");
    check_text(map, "b", "d:-e");
    check_text(map, "c", "d");
    check_text(map, "d", "");
    check_text(map, "e", "${env:HOME} $$ $ {} $x");
    check_text(map, "${env:X}", "key");
    assert_string_equal(core_node_get(map, "f")->items[0]->text, "[x]: ${env:HOME}");
    check_text(map, "g", "");
    assert_false(core_node_get(map, "a")->secret);
}

static void files_are_resolved_beside_their_document_and_masked(void **state)
{
    struct fixture *f = *state;
    char folder[] = "/tmp/run-core-test-XXXXXX";
    RC_STR_AUTO secret = NULL;
    RC_STR_AUTO document = NULL;
    struct rc_error err = RC_ERROR_INIT;
    const struct core_node *map;
    char masked[] = "it is swordfish-77";

    assert_non_null(mkdtemp(folder));
    secret = rc_strf("%s/secret", folder);
    document = rc_strf("%s/conf.yaml", folder);
    assert_int_equal(core_file_write(secret, "swordfish-77\n", 13, 0600, &err), RC_OK);
    assert_int_equal(
        core_file_write(document, "a: ${file:secret}\nb: <${file:./secret}>\n", 40, 0600, &err),
        RC_OK);
    map = core_yaml_read(&f->arena, document, CORE_YAML_HERE, &f->problems);
    assert_int_equal(f->problems.count, 0);
    check_text(map, "a", "swordfish-77");
    check_text(map, "b", "<swordfish-77>");
    assert_true(core_node_get(map, "a")->secret);
    core_secret_mask(masked);
    assert_string_equal(masked, "it is ********");
    assert_int_equal(core_tree_remove(folder, &err), RC_OK);
}

static void loose_text_is_not_resolved(void **state)
{
    struct fixture *f = *state;
    const struct core_place place = { .file = "--set x" };
    const struct core_node *list =
        core_yaml_parse_loose(&f->arena, &place, "[\"${file:/etc/passwd}\", b]", &f->problems);

    assert_int_equal(list->len, 2);
    assert_string_equal(list->items[0]->text, "${file:/etc/passwd}");
    assert_int_equal(list->items[1]->place.line, 0);
    assert_null(core_yaml_parse_loose(&f->arena, &place, "[a, b", &f->problems));
    assert_int_equal(f->problems.count, 1);
    assert_string_equal(f->problems.first->place.file, "--set x");
}

static void mistakes_that_leave_a_tree_do_leave_it(void **state)
{
    struct fixture *f = *state;
    const struct core_node *map = parse_as(f, "t.yaml",
                                           "a: 1\na: 2\nb: ${env:RUN_CORE_TEST_UNSET}\n"
                                           "c: *nowhere\nd: 4\n");

    assert_int_equal(f->problems.count, 3);
    check_text(map, "a", "1");
    assert_true(core_node_get(map, "b")->broken);
    assert_true(core_node_get(map, "c")->broken);
    check_text(map, "d", "4");
}

static void many_keys_are_no_problem(void **state)
{
    RC_BUF_AUTO(text, CORE_YAML_MAX_BYTES);

    for (int i = 0; i < 200000; i++)
        rc_buf_addf(&text, "%s\"key%d\": %d", i ? ",\n" : "{", i, i);
    rc_buf_adds(&text, "}");
    assert_int_equal(parse(*state, text.data)->len, 200000);
}

static void a_file_that_is_too_long_is_refused(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(text, 2 * CORE_YAML_MAX_BYTES);
    char *at = rc_buf_reserve(&text, CORE_YAML_MAX_BYTES + 1);

    memset(at, '#', CORE_YAML_MAX_BYTES + 1);
    rc_buf_added(&text, CORE_YAML_MAX_BYTES + 1);
    assert_null(core_yaml_parse(&f->arena, "t.yaml", text.data, text.len, &f->problems));
    check_problem(f, "t.yaml: the file is longer than 16 MiB, the most that a configuration may "
                     "have");
}

static void merges_that_multiply_are_refused(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(text, CORE_YAML_MAX_BYTES);

    rc_buf_adds(&text, "a: &a {");
    for (int i = 0; i < 900; i++)
        rc_buf_addf(&text, "%sk%d: 1", i ? ", " : "", i);
    rc_buf_adds(&text, "}\nb:\n");
    for (int i = 0; i < 2000; i++)
        rc_buf_addf(&text, "  - {<<: *a}\n");
    assert_null(parse_as(f, "t.yaml", text.data));
    assert_int_equal(f->problems.count, 1);
}

static void anchors_are_limited(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(text, CORE_YAML_MAX_BYTES);

    for (int i = 0; i <= CORE_YAML_MAX_ANCHORS; i++)
        rc_buf_addf(&text, "- &a%d x\n", i);
    assert_null(parse_as(f, "t.yaml", text.data));
    check_problem(f, "t.yaml:1001:3: there are too many anchors; 1000 are the most");
}

static void unreadable_files_are_reported(void **state)
{
    struct fixture *f = *state;

    assert_null(core_yaml_read(&f->arena, "/no/such/file.yaml", CORE_YAML_HERE, &f->problems));
    check_problem(f, "/no/such/file.yaml: there is no file '/no/such/file.yaml'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_keep_their_text_and_place),
        TEST(nothing_is_a_null_node),
        TEST(empty_documents_are_null),
        TEST(a_byte_order_mark_moves_no_place),
        TEST(json_of_real_tools_loads),
        TEST(flow_yaml_that_is_no_json_loads_too),
        TEST(mistakes_in_flow_yaml_are_reported_once),
        TEST(aliases_and_merges_are_resolved),
        TEST(environment_variables_are_resolved_in_values),
        TEST(files_are_resolved_beside_their_document_and_masked),
        TEST(loose_text_is_not_resolved),
        TEST(mistakes_that_leave_a_tree_do_leave_it),
        TEST(many_keys_are_no_problem),
        TEST(a_file_that_is_too_long_is_refused),
        TEST(merges_that_multiply_are_refused),
        TEST(anchors_are_limited),
        TEST(unreadable_files_are_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
