/*
 * CSV: rows and their lines, whatever the pieces it comes in; what is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <csv.h>

#include <run-core/str.h>

#include <string.h>

enum { TEXT_LIMIT = 1 << 16 };

/* "1|a|b\n" for a row of two fields on line 1. */
static enum rc_code write_row(void *context, size_t line, const struct rc_strs *fields,
                              struct rc_error *err)
{
    struct rc_buf *out = context;

    rc_buf_addf(out, "%zu", line);
    for (size_t i = 0; i < fields->len; i++)
        rc_buf_addf(out, "|%s", fields->items[i]);
    rc_buf_addc(out, '\n');
    return rc_str_eq(fields->items[0], "stop") ? rc_fail(err, RC_CANCELLED, "stopped") : RC_OK;
}

static enum rc_code read_all(const char *text, size_t len, size_t piece, struct rc_buf *out,
                             struct rc_error *err)
{
    struct sdrs_csv csv;
    enum rc_code code = RC_OK;

    sdrs_csv_init(&csv, write_row, out);
    for (size_t i = 0; i < len && !code; i += piece)
        code = sdrs_csv_read(&csv, text + i, len - i < piece ? len - i : piece, err);
    if (!code)
        code = sdrs_csv_end(&csv, err);
    sdrs_csv_clear(&csv);
    return code;
}

static void test_rows(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "" },
        { "a,b\n1,2\n", "1|a|b\n2|1|2\n" },
        { "a,b\r\n1,2", "1|a|b\n2|1|2\n" },
        { "\xef\xbb\xbf\"a\",b\n", "1|a|b\n" },
        { "a,\n,b\n,\n", "1|a|\n2||b\n3||\n" },
        { "\n\r\na\n\n\nb", "3|a\n6|b\n" },
        { "\"a,b\",\"c\"\"d\"\"\",\"\"\r\n", "1|a,b|c\"d\"|\n" },
        { "\"a\nb\",c\nd,e\n", "1|a\nb|c\n3|d|e\n" },
        { "\"\"\n", "1|\n" },
        { "a\"b,c\n", "1|a\"b|c\n" },
        { "a\rb,c\r\n", "1|a\rb|c\n" },
        { "\"a\"\r", "1|a\n" },
        /* What is no mark is text, whole. */
        { "\xbb"
          "2\xbf,a\n",
          "1|\xbb"
          "2\xbf|a\n" },
        { "\xef\xbb,a\n", "1|\xef\xbb|a\n" },
        { "\xef", "1|\xef\n" },
        { "\xef\xbb\xbf", "" },
        { "\xef\xbb\xbf\xef\xbb\xbf,a\n", "1|\xef\xbb\xbf|a\n" },
        { "a\\,b\n", "1|a\\|b\n" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++)
        for (size_t piece = 1; piece < 40; piece += 3) {
            RC_BUF_AUTO(have, TEXT_LIMIT);
            struct rc_error err = RC_ERROR_INIT;

            assert_int_equal(read_all(cases[i].text, strlen(cases[i].text), piece, &have, &err),
                             RC_OK);
            assert_string_equal(have.data, cases[i].want);
        }
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        enum rc_code code;
        const char *why;
    } cases[] = {
        { "a\n\"b\nc\n", 7, RC_INVALID, "line 2 begins a row with a quote that is never closed" },
        { "a\n\"b\"c\n", 7, RC_INVALID, "line 2 has something behind a closing quote" },
        { "a\nb\0\n", 5, RC_INVALID, "line 2 has a NUL byte" },
        { "a\nstop\nc\n", 9, RC_CANCELLED, "stopped" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_BUF_AUTO(have, TEXT_LIMIT);
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(read_all(cases[i].text, cases[i].len, 2, &have, &err), cases[i].code);
        assert_string_equal(err.cause, cases[i].why);
    }
}

static void test_limits(void **state)
{
    (void)state;
    RC_BUF_AUTO(have, TEXT_LIMIT);
    RC_STR_AUTO text = rc_malloc(2 << 20);
    struct rc_error err = RC_ERROR_INIT;

    memset(text, 'a', 2 << 20);
    text[(2 << 20) - 1] = '\n';
    assert_int_equal(read_all(text, 2 << 20, 65536, &have, &err), RC_TOO_LARGE);
    assert_string_equal(err.cause, "line 1 begins a row of more than 1048576 bytes");
    memset(text, ',', SDRS_CSV_FIELDS);
    assert_int_equal(read_all(text, SDRS_CSV_FIELDS - 1, 65536, &have, &err), RC_OK);
    assert_int_equal(read_all(text, SDRS_CSV_FIELDS, 65536, &have, &err), RC_TOO_LARGE);
    assert_string_equal(err.cause, "line 1 has more than 256 fields");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
