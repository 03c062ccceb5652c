/*
 * rc_error: codes, cause and context, cutting, and arguments that point into the error.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <run-core/error.h>
#include <string.h>

static void fail_sets_code_and_cause(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(rc_fail(&err, RC_CONFLICT, "object '%s' has tag %d", "a", 7), RC_CONFLICT);
    assert_int_equal(err.code, RC_CONFLICT);
    assert_string_equal(err.cause, "object 'a' has tag 7");
    assert_string_equal(err.context, "");
}

static void fail_empties_the_context(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fail(&err, RC_FAILED, "first");
    rc_context(&err, "outer");
    rc_fail(&err, RC_INVALID, "second");
    assert_string_equal(err.cause, "second");
    assert_string_equal(err.context, "");
}

static void context_goes_in_front(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fail(&err, RC_DENIED, "no");
    assert_int_equal(rc_context(&err, "read '%s'", "k"), RC_DENIED);
    assert_int_equal(rc_context(&err, "copy"), RC_DENIED);
    assert_string_equal(err.context, "copy: read 'k'");
    assert_string_equal(err.cause, "no");
}

static void context_says_nothing_twice(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fail(&err, RC_FAILED, "no");
    assert_int_equal(rc_context(&err, "list 'a'"), RC_FAILED);
    assert_int_equal(rc_context(&err, "list 'a'"), RC_FAILED);
    assert_string_equal(err.context, "list 'a'");
    rc_fail(&err, RC_FAILED, "list 'a': no");
    rc_context(&err, "list 'a'");
    assert_string_equal(err.context, "");
    rc_context(&err, "list");
    assert_string_equal(err.context, "list");
    rc_context(&err, "sync");
    rc_context(&err, "sync");
    rc_context(&err, "list 'a'");
    assert_string_equal(err.context, "list 'a': sync: list");
}

static void arguments_may_point_into_the_error(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fail(&err, RC_FAILED, "inner");
    rc_context(&err, "while reading");
    rc_fail(&err, RC_UNAVAILABLE, "%s (%s), %s", err.cause, err.context, err.cause);
    assert_string_equal(err.cause, "inner (while reading), inner");

    rc_context(&err, "%s", err.cause);
    rc_context(&err, "<%s>", err.context);
    assert_string_equal(err.context,
                        "<inner (while reading), inner>: inner (while reading), inner");

    rc_fail_errno(&err, ENOENT, "open '%s'", err.cause);
    assert_string_equal(err.cause,
                        "open 'inner (while reading), inner': No such file or directory");
}

static void text_that_just_fits_is_whole(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    char text[RC_ERROR_TEXT + 1];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[RC_ERROR_TEXT - 1] = '\0';
    rc_fail(&err, RC_FAILED, "%s", text);
    assert_string_equal(err.cause, text);

    text[RC_ERROR_TEXT - 1] = 'x';
    text[RC_ERROR_TEXT] = '\0';
    rc_fail(&err, RC_FAILED, "%s", text);
    assert_int_equal(strlen(err.cause), RC_ERROR_TEXT - 1);
    assert_string_equal(err.cause + RC_ERROR_TEXT - 4, "...");
    assert_memory_equal(err.cause, text, RC_ERROR_TEXT - 4);
}

/* However the characters fall, none is cut in two: what stands before the dots is whole. */
static void text_is_cut_between_characters(void **state)
{
    static const char *const characters[] = { "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80" };

    (void)state;
    for (size_t c = 0; c < RC_ARRAY_LEN(characters); c++) {
        size_t size = strlen(characters[c]);

        for (size_t shift = 0; shift < 4; shift++) {
            struct rc_error err = RC_ERROR_INIT;
            char text[2 * RC_ERROR_TEXT] = { 0 };

            memset(text, '-', shift);
            while (strlen(text) + size < sizeof(text))
                memcpy(text + strlen(text), characters[c], size);
            rc_fail(&err, RC_FAILED, "%s", text);

            size_t len = strlen(err.cause);
            assert_string_equal(err.cause + len - 3, "...");
            assert_int_equal((len - 3 - shift) % size, 0);
            assert_true(len > RC_ERROR_TEXT - 5 - size);
        }
    }
}

static void a_full_chain_loses_its_inner_end(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fail(&err, RC_FAILED, "the cause stays");
    for (int i = 0; i < 200; i++)
        rc_context(&err, "step %d", i);
    assert_memory_equal(err.context, "step 199: step 198: ", 20);
    assert_string_equal(err.context + strlen(err.context) - 3, "...");
    assert_string_equal(err.cause, "the cause stays");
}

static void errno_keeps_its_reason_behind_a_long_name(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    char name[2 * RC_ERROR_TEXT];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(rc_fail_errno(&err, ENOSPC, "write '%s'", name), RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, "nnn...: No space left on device"));
}

static void errno_gives_the_code(void **state)
{
    static const struct {
        int error_number;
        enum rc_code code;
    } table[] = {
        { ENOENT, RC_NOT_FOUND },
        { ENOTDIR, RC_NOT_FOUND },
        { EACCES, RC_DENIED },
        { EPERM, RC_DENIED },
        { EROFS, RC_DENIED },
        { EEXIST, RC_CONFLICT },
        { EISDIR, RC_INVALID },
        { ENAMETOOLONG, RC_INVALID },
        { EFBIG, RC_TOO_LARGE },
        { ENOSYS, RC_UNSUPPORTED },
        { ENOSPC, RC_UNAVAILABLE },
        { EDQUOT, RC_UNAVAILABLE },
        { ECONNREFUSED, RC_UNAVAILABLE },
        { EMFILE, RC_UNAVAILABLE },
        { ETIMEDOUT, RC_TIMEOUT },
        { ECANCELED, RC_CANCELLED },
        { EBADMSG, RC_CORRUPT },
        { EIO, RC_FAILED },
        { 99999, RC_FAILED },
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(table); i++)
        assert_int_equal(rc_fail_errno(&err, table[i].error_number, "x"), table[i].code);
}

static void codes_have_names_of_their_own(void **state)
{
    (void)state;
    assert_string_equal(rc_code_name(RC_OK), "ok");
    assert_string_equal(rc_code_name(RC_NOT_FOUND), "not_found");
    assert_string_equal(rc_code_name(RC_SKIPPED), "skipped");
    assert_string_equal(rc_code_name((enum rc_code)(RC_SKIPPED + 1)), "unknown");
    for (int a = RC_OK; a <= RC_SKIPPED; a++)
        for (int b = a + 1; b <= RC_SKIPPED; b++)
            assert_string_not_equal(rc_code_name((enum rc_code)a), rc_code_name((enum rc_code)b));
}

static void only_passing_faults_are_retryable(void **state)
{
    (void)state;
    for (int code = RC_OK; code <= RC_SKIPPED; code++)
        assert_int_equal(rc_retryable((enum rc_code)code),
                         code == RC_UNAVAILABLE || code == RC_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_sets_code_and_cause),
        cmocka_unit_test(fail_empties_the_context),
        cmocka_unit_test(context_goes_in_front),
        cmocka_unit_test(context_says_nothing_twice),
        cmocka_unit_test(arguments_may_point_into_the_error),
        cmocka_unit_test(text_that_just_fits_is_whole),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(a_full_chain_loses_its_inner_end),
        cmocka_unit_test(errno_keeps_its_reason_behind_a_long_name),
        cmocka_unit_test(errno_gives_the_code),
        cmocka_unit_test(codes_have_names_of_their_own),
        cmocka_unit_test(only_passing_faults_are_retryable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
