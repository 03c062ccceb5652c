/*
 * The files of the AWS tools: what botocore reads out of them, and where a mistake is.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <cloud/aws_profiles.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void parse(struct core_aws_profiles *profiles, enum core_aws_file file, const char *text)
{
    struct rc_error err = RC_ERROR_INIT;

    if (core_aws_profiles_parse(profiles, file, file == CORE_AWS_CONFIG ? "config" : "credentials",
                                text, strlen(text), &err))
        fail_msg("%s", err.cause);
}

static const char *get(const struct core_aws_profiles *profiles, const char *name, const char *key)
{
    const struct core_aws_value *value =
        core_aws_profiles_get(profiles, CORE_AWS_PROFILE, name, key);

    return value ? value->text : NULL;
}

static void check(const char *want, const char *found)
{
    if (!rc_str_eq(want, found))
        fail_msg("'%s' instead of '%s'", found ? found : "(none)", want ? want : "(none)");
}

/* A file, and what the key 'k' of the profile 'p' is in it. */
static const struct {
    enum core_aws_file file;
    const char *text, *want;
} examples[] = {
    { CORE_AWS_CONFIG, "[profile p]\nk = v\n", "v" },
    { CORE_AWS_CONFIG, "[profile p]\nk=v", "v" },
    { CORE_AWS_CONFIG, "[profile p]\nk:v\n", "v" },
    { CORE_AWS_CONFIG, "[profile p]\nk = a=b:c\n", "a=b:c" },
    { CORE_AWS_CONFIG, "[profile p]\nK = V\n", "V" },
    { CORE_AWS_CONFIG, "  [profile p]\n  k = v\n", "v" },
    { CORE_AWS_CONFIG, "[ profile\tp ]\nk = v\n", "v" },
    { CORE_AWS_CONFIG, "[profile \"p\"] # mine\nk = v\n", "v" },
    { CORE_AWS_CONFIG, "[profile 'p']\r\nk = v\r\n", "v" },
    { CORE_AWS_CONFIG, "\xef\xbb\xbf[profile p]\nk = v\n", "v" },
    { CORE_AWS_CONFIG, "# a\n; b\n\n[profile p]\n# c\nk = v\n", "v" },
    { CORE_AWS_CONFIG, "[profile p]\nk = v # no comment\n", "v # no comment" },
    { CORE_AWS_CONFIG, "[profile p]\nk = one\nk = two\n", "two" },
    { CORE_AWS_CONFIG, "[profile p]\nk = one\n[other]\n[profile p]\nl = two\n", "one" },
    { CORE_AWS_CONFIG, "[profile p]\nk = a\n  b\n\n\tc\nl = d\n", "a\nb\nc" },
    { CORE_AWS_CONFIG, "[profile p]\nk = a\n  # b\n  c\n", "a\nc" },
    { CORE_AWS_CONFIG, "[profile p]\nk =\n", NULL },
    { CORE_AWS_CONFIG, "[profile p]\nx =\n  k = v\n", NULL },
    { CORE_AWS_CONFIG, "[profile p]\nx =\n  y = z\nk = v\n", "v" },
    { CORE_AWS_CONFIG, "[p]\nk = v\n", NULL },
    { CORE_AWS_CONFIG, "[profile p q]\nk = v\n", NULL },
    { CORE_AWS_CONFIG, "[profile \"p]\nk = v\n", NULL },
    { CORE_AWS_CONFIG, "[preview]\nk = v\n", NULL },
    { CORE_AWS_CREDENTIALS, "[p]\nk = v\n", "v" },
    { CORE_AWS_CREDENTIALS, "[profile p]\nk = v\n", NULL },
    { CORE_AWS_CONFIG, "", NULL },
};

static void reads_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(examples); i++) {
        CORE_AWS_PROFILES_AUTO(profiles);

        parse(&profiles, examples[i].file, examples[i].text);
        check(examples[i].want, get(&profiles, "p", "k"));
    }
}

static void reads_other_sections(void **state)
{
    CORE_AWS_PROFILES_AUTO(profiles);
    const struct core_aws_value *value;

    (void)state;
    parse(&profiles, CORE_AWS_CONFIG,
          "[default]\nk = d\n[profile default]\nl = e\n[sso-session s]\nk = f\n"
          "[services s]\nS3 =\n  Endpoint_URL = g\n  x = y\ndynamodb =\n  endpoint_url = h\n");
    check("d", get(&profiles, "default", "k"));
    check("e", get(&profiles, "default", "l"));
    check(NULL, get(&profiles, "s", "k"));
    value = core_aws_profiles_get(&profiles, CORE_AWS_SSO_SESSION, "s", "k");
    assert_non_null(value);
    check("f", value->text);
    assert_string_equal(value->file, "config");
    assert_int_equal(value->line, 6);
    value = core_aws_profiles_nested(&profiles, CORE_AWS_SERVICES, "s", "s3", "endpoint_url");
    assert_non_null(value);
    check("g", value->text);
    assert_int_equal(value->line, 9);
    value = core_aws_profiles_nested(&profiles, CORE_AWS_SERVICES, "s", "dynamodb", "endpoint_url");
    assert_non_null(value);
    check("h", value->text);
    assert_null(core_aws_profiles_nested(&profiles, CORE_AWS_SERVICES, "s", "sqs", "endpoint_url"));
    assert_true(core_aws_profiles_has(&profiles, CORE_AWS_SERVICES, "s"));
    assert_false(core_aws_profiles_has(&profiles, CORE_AWS_PROFILE, "s"));
}

static void lets_the_credentials_file_win(void **state)
{
    CORE_AWS_PROFILES_AUTO(profiles);

    (void)state;
    parse(&profiles, CORE_AWS_CREDENTIALS, "[p]\nk = of credentials\nempty =\n");
    parse(&profiles, CORE_AWS_CONFIG, "[profile p]\nk = of config\nl = only\nempty = not\n");
    check("of credentials", get(&profiles, "p", "k"));
    check("only", get(&profiles, "p", "l"));
    check("not", get(&profiles, "p", "empty"));
    check("of config", core_aws_profiles_get_in(&profiles, CORE_AWS_CONFIG, "p", "k")->text);
    assert_null(core_aws_profiles_get_in(&profiles, CORE_AWS_CREDENTIALS, "p", "l"));
}

static void names_the_line_of_a_mistake(void **state)
{
    static const char *const mistakes[][2] = {
        { "k = v\n", "config:1: a section has to come first" },
        { "\n[default]\nhello\n", "config:3: a line is" },
        { "[default\nk = v\n", "config:1: the name of a section ends with ']'" },
        { "[ ]\n", "config:1: a section has a name" },
        { "[default]\n= v\n", "config:2: a line is" },
        { "[default]\nk =\n  v\n", "config:3: an indented line below 'key =' is" },
        { "[default]\nk =\n  = v\n", "config:3: an indented line below 'key =' is" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(mistakes); i++) {
        CORE_AWS_PROFILES_AUTO(profiles);
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(core_aws_profiles_parse(&profiles, CORE_AWS_CONFIG, "config",
                                                 mistakes[i][0], strlen(mistakes[i][0]), &err),
                         RC_INVALID);
        if (!rc_str_starts(err.cause, mistakes[i][1]))
            fail_msg("%s", err.cause);
    }
}

static void refuses_what_is_no_text(void **state)
{
    CORE_AWS_PROFILES_AUTO(profiles);
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(text, 10000);

    (void)state;
    assert_int_equal(core_aws_profiles_parse(&profiles, CORE_AWS_CONFIG, "config",
                                             "[default]\nk = a\0b\n", 18, &err),
                     RC_INVALID);
    assert_string_equal(err.cause, "config:2: this is no text: it has a byte 0");
    rc_buf_adds(&text, "[default]\nk = v\n");
    for (int i = 0; i < 101; i++)
        rc_buf_adds(&text, " more\n");
    assert_int_equal(
        core_aws_profiles_parse(&profiles, CORE_AWS_CONFIG, "config", text.data, text.len, &err),
        RC_INVALID);
    assert_string_equal(err.cause, "config:103: the value goes on over more than 100 lines");
}

static void splits_words_as_a_shell(void **state)
{
    static const struct {
        const char *text, *words; /* a '|' behind each; NULL: there is a mistake */
    } commands[] = {
        { "", "" },
        { "  ", "" },
        { "a", "a|" },
        { " a  b\tc\n", "a|b|c|" },
        { "'a b' \"c d\"", "a b|c d|" },
        { "a'b'\"c\"d", "abcd|" },
        { "a\\ b \\'", "a b|'|" },
        { "'a\\b'", "a\\b|" },
        { "\"a\\b\\\"\\\\\"", "a\\b\"\\|" },
        { "'' \"\"", "||" },
        { "$HOME `x` #y ~ *", "$HOME|`x`|#y|~|*|" },
        { "'a", NULL },
        { "a\"", NULL },
        { "a\\", NULL },
        { "\"a\\\"", NULL },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(commands); i++) {
        struct core_arena arena = CORE_ARENA_INIT;
        const char *wrong = NULL;
        size_t count = 0;
        char **words = core_aws_split_words(&arena, commands[i].text, &count, &wrong);
        RC_BUF_AUTO(joined, 1000);

        for (size_t word = 0; words && word < count; word++)
            rc_buf_addf(&joined, "%s|", words[word]);
        if (words)
            assert_null(words[count]);
        else
            assert_non_null(wrong);
        check(commands[i].words, words ? joined.data : NULL);
        core_arena_clear(&arena);
    }
}

static void lists_names_where_one_is_missing(void **state)
{
    CORE_AWS_PROFILES_AUTO(profiles);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    parse(&profiles, CORE_AWS_CONFIG, "[profile production]\n[sso-session test]\n");
    parse(&profiles, CORE_AWS_CREDENTIALS, "[backup]\n");
    assert_int_equal(
        core_aws_profiles_fail_missing(&profiles, CORE_AWS_PROFILE, "prodution", "X", &err),
        RC_INVALID);
    assert_string_equal(err.cause, "there is no profile 'prodution', which X names, in 'config' or "
                                   "'credentials'; did you mean 'production'?");
    (void)core_aws_profiles_fail_missing(&profiles, CORE_AWS_PROFILE, "else", "X", &err);
    assert_non_null(strstr(err.cause, "; there are 'backup', 'production'"));
    (void)core_aws_profiles_fail_missing(&profiles, CORE_AWS_SSO_SESSION, "else", "X", &err);
    assert_string_equal(err.cause,
                        "there is no sso-session 'else', which X names, in 'config'; there are "
                        "'test'");
}

static void finds_the_files(void **state)
{
    char folder[] = "/tmp/rc-aws-XXXXXX";
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_non_null(mkdtemp(folder));
    RC_STR_AUTO config = rc_strf("%s/config", folder);
    RC_STR_AUTO missing = rc_strf("%s/missing", folder);
    FILE *file = fopen(config, "w");
    assert_non_null(file);
    fputs("[default]\nk = v\n", file);
    assert_int_equal(fclose(file), 0);
    setenv("HOME", folder, 1);
    setenv("AWS_CONFIG_FILE", "~/config", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", missing, 1);
    {
        CORE_AWS_PROFILES_AUTO(profiles);

        assert_int_equal(core_aws_profiles_load(&profiles, &err), RC_OK);
        check("v", get(&profiles, "default", "k"));
        assert_string_equal(profiles.paths[CORE_AWS_CONFIG], config);
        assert_string_equal(profiles.paths[CORE_AWS_CREDENTIALS], missing);
    }
    setenv("AWS_SHARED_CREDENTIALS_FILE", folder, 1); /* a directory */
    {
        CORE_AWS_PROFILES_AUTO(profiles);

        assert_int_not_equal(core_aws_profiles_load(&profiles, &err), RC_OK);
        assert_string_equal(err.context, "read the AWS profiles");
    }
    unlink(config);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_values),
        cmocka_unit_test(reads_other_sections),
        cmocka_unit_test(lets_the_credentials_file_win),
        cmocka_unit_test(names_the_line_of_a_mistake),
        cmocka_unit_test(refuses_what_is_no_text),
        cmocka_unit_test(splits_words_as_a_shell),
        cmocka_unit_test(lists_names_where_one_is_missing),
        cmocka_unit_test(finds_the_files),
    };

    return cmocka_run_group_tests_name("aws_profiles", tests, NULL, NULL);
}
