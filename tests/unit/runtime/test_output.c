/*
 * How results look: tables as text and as JSON.
 */
#include <runtime/output.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const columns[] = { "name", ">count" };

static void aligns_columns_by_characters(void **state)
{
    static const char *const cells[] = { "Žižkov", "7", "b", "1234567", NULL, "0" };
    const struct rc_table table = { "Days", columns, 2, cells, 3 };
    RC_BUF_AUTO(out, 4096);

    (void)state;
    core_output_table_text(&out, &table);
    assert_string_equal(out.data, "Days\n"
                                  "name      count\n"
                                  "Žižkov        7\n"
                                  "b       1234567\n"
                                  "              0\n");
}

static void keeps_control_characters_from_the_terminal(void **state)
{
    static const char *const cells[] = { "a\033[31mred", "1" };
    const struct rc_table table = { NULL, columns, 2, cells, 1 };
    RC_BUF_AUTO(out, 4096);

    (void)state;
    core_output_table_text(&out, &table);
    assert_non_null(strstr(out.data, "a\\x1b[31mred"));

    rc_buf_reset(&out);
    core_output_add_text(&out, "SELECT\n\t1;\r\033[31m\x7f\001ä");
    assert_string_equal(out.data, "SELECT\n\t1;\\x0d\\x1b[31m\\x7f\\x01ä");
}

static void writes_json(void **state)
{
    static const char *const cells[] = { "a \"b\"", NULL };
    const struct rc_table table = { NULL, columns, 2, cells, 1 };
    const struct rc_table empty = { "none", columns, 2, NULL, 0 };
    RC_BUF_AUTO(out, 4096);

    (void)state;
    core_output_table_json(&out, &table);
    assert_string_equal(out.data, "{\"title\":\"\",\"columns\":[\"name\",\"count\"],"
                                  "\"rows\":[[\"a \\\"b\\\"\",null]]}");
    rc_buf_reset(&out);
    core_output_table_json(&out, &empty);
    assert_string_equal(out.data,
                        "{\"title\":\"none\",\"columns\":[\"name\",\"count\"],\"rows\":[]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligns_columns_by_characters),
        cmocka_unit_test(keeps_control_characters_from_the_terminal),
        cmocka_unit_test(writes_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
