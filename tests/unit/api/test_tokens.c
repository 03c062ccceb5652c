/*
 * Tokens: their file, its mistakes, and who is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <api/tokens.h>
#include <os/file.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* SHA-256 of "abc" and of the message of two blocks, as FIPS 180-2 gives them in its examples. */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define LONG_TEXT "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
#define LONG "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"

static char folder[] = "/tmp/run-core-tokens-XXXXXX";
static char path[sizeof(folder) + 16];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/tokens", folder);
    return 0;
}

static int remove_folder(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    return core_tree_remove(folder, &err) ? -1 : 0;
}

static struct core_tokens *read_text(const char *text, struct core_problems *problems)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_file_write(path, text, strlen(text), 0600, &err), RC_OK);
    return core_tokens_read(path, problems);
}

static void finds_by_hash(void **state)
{
    CORE_PROBLEMS_AUTO(problems);
    struct core_tokens *tokens = read_text("# comment\n\n  one read " ABC "  \r\n"
                                           "two\tadmin " LONG,
                                           &problems);
    const char *name;

    (void)state;
    assert_non_null(tokens);
    assert_int_equal(core_tokens_count(tokens), 2);
    assert_int_equal(core_tokens_find(tokens, "abc", &name), CORE_SCOPE_READ);
    assert_string_equal(name, "one");
    assert_int_equal(core_tokens_find(tokens, LONG_TEXT, &name), CORE_SCOPE_ADMIN);
    assert_string_equal(name, "two");
    assert_int_equal(core_tokens_find(tokens, "", &name), CORE_SCOPE_NONE);
    assert_null(name);
    assert_int_equal(core_tokens_find(tokens, "ab", &name), CORE_SCOPE_NONE);
    assert_int_equal(core_tokens_find(tokens, ABC, &name), CORE_SCOPE_NONE);
    core_tokens_free(tokens);
}

static void takes_a_hash_in_capitals(void **state)
{
    CORE_PROBLEMS_AUTO(problems);
    char text[] = "one run " ABC;
    const char *name;

    (void)state;
    for (char *c = text + strlen("one run "); *c; c++)
        if (*c >= 'a')
            *c = (char)(*c - 'a' + 'A');
    struct core_tokens *tokens = read_text(text, &problems);
    assert_int_equal(core_tokens_find(tokens, "abc", &name), CORE_SCOPE_RUN);
    core_tokens_free(tokens);
}

static void says_where_mistakes_are(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        { "one read\n", ":1:1: a line is NAME SCOPE SHA256HEX" },
        { "\n#\none write " ABC "\n", ":3:1: the scope" },
        { "one read " ABC "0\n", ":1:1: the third word" },
        { "one read zz" ABC "\n", ":1:1: the third word" },
        { "one read " ABC " more\n", ":1:1: a line is" },
        { "one read " ABC "\ntwo read " ABC, ":2:1: another line has the same token" },
        { "one read " ABC "\none read " LONG, ":2:1: another token has that name" },
        { "\xc3\xa9 read " ABC, ":1:1: the name" },
        { "my-secret-token\n", ":1:1: a line is" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        CORE_PROBLEMS_AUTO(problems);
        const char *said;

        assert_null(read_text(cases[i].text, &problems));
        assert_int_equal(problems.count, 1);
        said = core_problem_text(&problems, problems.first);
        if (!rc_str_starts(said, path) || !rc_str_starts(said + strlen(path), cases[i].said))
            fail_msg("'%s' gives '%s'", cases[i].text, said);
        assert_null(strstr(said, "my-secret-token")); /* somebody's token in the wrong place */
    }
}

static void tells_all_mistakes(void **state)
{
    CORE_PROBLEMS_AUTO(problems);

    (void)state;
    assert_null(read_text("one\ntwo\nok read " ABC "\nthree\n", &problems));
    assert_int_equal(problems.count, 3);
}

static void reads_only_what_it_may_trust(void **state)
{
    CORE_PROBLEMS_AUTO(problems);

    (void)state;
    core_tokens_free(read_text("one read " ABC, &problems));
    assert_int_equal(problems.count, 0);
    assert_int_equal(chmod(path, 0666), 0);
    assert_null(core_tokens_read(path, &problems));
    assert_int_equal(problems.count, 1);
    assert_int_equal(unlink(path), 0);
    assert_null(core_tokens_read(path, &problems));
    assert_int_equal(problems.count, 2);
}

static void makes_tokens_that_are_found(void **state)
{
    CORE_PROBLEMS_AUTO(problems);
    char token[CORE_TOKEN_TEXT], other[CORE_TOKEN_TEXT], hash[CORE_TOKEN_HASH_HEX + 1];
    struct rc_error err = RC_ERROR_INIT;
    struct core_tokens *tokens;
    const char *name;

    (void)state;
    assert_int_equal(core_token_make(other, hash, &err), RC_OK);
    assert_int_equal(core_token_make(token, hash, &err), RC_OK);
    assert_string_not_equal(token, other);
    RC_STR_AUTO line = rc_strf("x run %s\n", hash);
    tokens = read_text(line, &problems);
    assert_int_equal(core_tokens_find(tokens, token, &name), CORE_SCOPE_RUN);
    assert_int_equal(core_tokens_find(tokens, other, &name), CORE_SCOPE_NONE);
    core_tokens_free(tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_hash),
        cmocka_unit_test(takes_a_hash_in_capitals),
        cmocka_unit_test(says_where_mistakes_are),
        cmocka_unit_test(tells_all_mistakes),
        cmocka_unit_test(reads_only_what_it_may_trust),
        cmocka_unit_test(makes_tokens_that_are_found),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
