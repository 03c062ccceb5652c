/*
 * rc_buf: growth, the limit, sticky overflow, and quoting.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <run-core/buf.h>
#include <stdlib.h>
#include <string.h>

static void starts_empty_and_terminated(void **state)
{
    RC_BUF_AUTO(buf, 10);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_string_equal(buf.data, "");
    rc_buf_truncate(&buf, 0);
    rc_buf_reset(&buf);
    rc_buf_clear(&buf);
    rc_buf_adds(&buf, "");
    rc_buf_add(&buf, NULL, 0);
    rc_buf_added(&buf, 0);
    assert_int_equal(buf.len, 0);
    assert_int_equal(rc_buf_check(&buf, &err), RC_OK);
    assert_string_equal(rc_buf_empty, "");
}

static void grows_up_to_the_limit_and_no_further(void **state)
{
    (void)state;
    for (size_t limit = 0; limit < 300; limit++) {
        RC_BUF_AUTO(buf, limit);
        struct rc_error err = RC_ERROR_INIT;

        for (size_t i = 0; i < limit; i++)
            rc_buf_addc(&buf, (char)('a' + i % 26));
        assert_int_equal(rc_buf_check(&buf, &err), RC_OK);
        assert_int_equal(buf.len, limit);
        assert_int_equal(buf.data[limit], '\0');

        rc_buf_addc(&buf, '!');
        assert_int_equal(rc_buf_check(&buf, &err), RC_TOO_LARGE);
        assert_int_equal(buf.len, limit);
        assert_null(strchr(buf.data, '!'));
    }
}

static void overflow_sticks_until_reset(void **state)
{
    RC_BUF_AUTO(buf, 4);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_buf_adds(&buf, "ab");
    rc_buf_adds(&buf, "cde");
    assert_true(buf.overflow);
    /* What would fit now is not added: the content stays a beginning without a hole. */
    rc_buf_adds(&buf, "f");
    rc_buf_addf(&buf, "%d", 1);
    assert_null(rc_buf_reserve(&buf, 1));
    assert_string_equal(buf.data, "ab");
    rc_buf_truncate(&buf, 1);
    assert_int_equal(rc_buf_check(&buf, &err), RC_TOO_LARGE);
    assert_non_null(strstr(err.cause, "4 bytes"));

    rc_buf_reset(&buf);
    assert_int_equal(rc_buf_check(&buf, &err), RC_OK);
    rc_buf_adds(&buf, "wxyz");
    assert_string_equal(buf.data, "wxyz");
    assert_int_equal(rc_buf_check(&buf, &err), RC_OK);
}

static void huge_lengths_do_not_wrap(void **state)
{
    RC_BUF_AUTO(buf, SIZE_MAX);

    (void)state;
    rc_buf_adds(&buf, "ab");
    assert_null(rc_buf_reserve(&buf, SIZE_MAX));
    rc_buf_reset(&buf);
    rc_buf_adds(&buf, "ab");
    assert_null(rc_buf_reserve(&buf, SIZE_MAX - 2));
    assert_string_equal(buf.data, "ab");
}

/* Every length around the growth of the memory, into an empty and into a filled buffer. */
static void formats_at_every_length(void **state)
{
    char text[200] = { 0 };

    (void)state;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        RC_BUF_AUTO(buf, 400);
        RC_BUF_AUTO(tight, len + 1);

        memset(text, 'z', len);
        text[len] = '\0';
        rc_buf_addf(&buf, "%s", text);
        assert_string_equal(buf.data, text);
        rc_buf_addf(&buf, "<%s>", text);
        assert_int_equal(buf.len, 2 * len + 2);

        rc_buf_addf(&tight, "<%s", text);
        assert_int_equal(tight.len, len + 1);
        rc_buf_reset(&tight);
        rc_buf_addf(&tight, "<%s>", text);
        assert_true(tight.overflow);
        assert_string_equal(tight.data, "");
    }
}

static void reserve_and_added_write_in_place(void **state)
{
    RC_BUF_AUTO(buf, 100);

    (void)state;
    rc_buf_adds(&buf, "ab");
    char *at = rc_buf_reserve(&buf, 98);
    assert_non_null(at);
    memcpy(at, "cd", 2);
    rc_buf_added(&buf, 2);
    assert_string_equal(buf.data, "abcd");
    assert_null(rc_buf_reserve(&buf, 97));
}

static void take_hands_over(void **state)
{
    RC_BUF_AUTO(buf, 100);

    (void)state;
    char *empty = rc_buf_take(&buf);
    assert_string_equal(empty, "");
    free(empty);

    rc_buf_add(&buf, "a\0b", 3);
    char *taken = rc_buf_take(&buf);
    assert_memory_equal(taken, "a\0b", 4);
    free(taken);
    assert_int_equal(buf.len, 0);
    rc_buf_adds(&buf, "again");
    assert_string_equal(buf.data, "again");
}

typedef void add_fn(struct rc_buf *buf, const char *text, size_t len);

static void add_ident(struct rc_buf *buf, const char *text, size_t len)
{
    (void)len;
    rc_buf_add_ident(buf, text);
}

static void add_literal(struct rc_buf *buf, const char *text, size_t len)
{
    (void)len;
    rc_buf_add_literal(buf, text);
}

static const struct {
    add_fn *add;
    const char *text;
    size_t len;
    const char *quoted;
} quotings[] = {
    { add_ident, "", 0, "\"\"" },
    { add_ident, "name", 4, "\"name\"" },
    { add_ident, "a\"b", 3, "\"a\"\"b\"" },
    { add_ident, "\"\"", 2, "\"\"\"\"\"\"" },
    { add_ident, "x'; DROP--", 10, "\"x'; DROP--\"" },
    { add_literal, NULL, 0, "NULL" },
    { add_literal, "", 0, "''" },
    { add_literal, "NULL", 4, "'NULL'" },
    { add_literal, "it's", 4, "'it''s'" },
    { add_literal, "'", 1, "''''" },
    { add_literal, "back\\slash\"", 11, "'back\\slash\"'" },
    { rc_buf_add_url, "", 0, "" },
    { rc_buf_add_url, "AZaz09-._~", 10, "AZaz09-._~" },
    { rc_buf_add_url, "a b/c?d=e&f+%", 13, "a%20b%2Fc%3Fd%3De%26f%2B%25" },
    { rc_buf_add_url, "\xC3\xA9\0\xFF", 4, "%C3%A9%00%FF" },
    { rc_buf_add_json, "", 0, "\"\"" },
    { rc_buf_add_json, "plain", 5, "\"plain\"" },
    { rc_buf_add_json, "\"\\/", 3, "\"\\\"\\\\/\"" },
    { rc_buf_add_json, "\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"" },
    { rc_buf_add_json, "\0\x01\x1F\x7F", 4, "\"\\u0000\\u0001\\u001F\x7F\"" },
    { rc_buf_add_json, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9,
      "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"" },
};

#define FFFD "\xEF\xBF\xBD"

/* One U+FFFD for each longest beginning of a character (Unicode 15, tables 3-8 to 3-11). */
static const struct {
    const char *text;
    const char *quoted;
} broken_utf8[] = {
    { "\x80", FFFD },
    { "\xFF", FFFD },
    { "a\xC3", "a" FFFD },
    { "\xC3(", FFFD "(" },
    { "\xE2\x82", FFFD },
    { "\xE2\x82"
      "A",
      FFFD "A" },
    { "\xE2\x82\n", FFFD "\\n" },
    { "\xF0\x9F\x98", FFFD },
    { "\xF0\x9F\x98\"", FFFD "\\\"" },
    { "\xC0\xAF", FFFD FFFD },                   /* overlong */
    { "\xE0\x80\xAF", FFFD FFFD FFFD },          /* overlong */
    { "\xED\xA0\x80", FFFD FFFD FFFD },          /* surrogate */
    { "\xED\x9F\xBF", "\xED\x9F\xBF" },          /* the last before them */
    { "\xF4\x90\x80\x80", FFFD FFFD FFFD FFFD }, /* above U+10FFFF */
    { "\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF" },  /* U+10FFFF */
    { "\xF0\x8F\xBF\xBF", FFFD FFFD FFFD FFFD }, /* overlong */
    { "\xF5\x80\x80\x80", FFFD FFFD FFFD FFFD },
    { "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", FFFD FFFD FFFD FFFD "A" },
};

static void quotes(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(quotings); i++) {
        RC_BUF_AUTO(buf, 200);

        rc_buf_adds(&buf, "> ");
        quotings[i].add(&buf, quotings[i].text, quotings[i].len);
        assert_string_equal(buf.data + 2, quotings[i].quoted);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(broken_utf8); i++) {
        RC_BUF_AUTO(buf, 200);
        RC_BUF_AUTO(expected, 200);

        rc_buf_addf(&expected, "\"%s\"", broken_utf8[i].quoted);
        rc_buf_add_json(&buf, broken_utf8[i].text, strlen(broken_utf8[i].text));
        assert_string_equal(buf.data, expected.data);
    }
}

/* A quoted text that is cut would be worse than none: under every limit it is all or nothing. */
static void quotes_all_or_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(quotings); i++) {
        size_t full = strlen(quotings[i].quoted);

        for (size_t limit = 0; limit <= full; limit++) {
            RC_BUF_AUTO(buf, limit);

            quotings[i].add(&buf, quotings[i].text, quotings[i].len);
            assert_int_equal(buf.overflow, limit < full);
            assert_string_equal(buf.data, limit < full ? "" : quotings[i].quoted);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty_and_terminated),
        cmocka_unit_test(grows_up_to_the_limit_and_no_further),
        cmocka_unit_test(overflow_sticks_until_reset),
        cmocka_unit_test(huge_lengths_do_not_wrap),
        cmocka_unit_test(formats_at_every_length),
        cmocka_unit_test(reserve_and_added_write_in_place),
        cmocka_unit_test(take_hands_over),
        cmocka_unit_test(quotes),
        cmocka_unit_test(quotes_all_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
