/*
 * Secrets: what is masked, where, and that threads may do it at once.
 */
#include <config/secrets.h>

#include <run-core/str.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check_mask(const char *text, const char *in_place, const char *appended)
{
    RC_STR_AUTO copy = rc_strdup(text);
    RC_BUF_AUTO(out, 4096);

    core_secret_mask(copy);
    assert_string_equal(copy, in_place);
    core_secret_add_masked(&out, text, strlen(text));
    assert_string_equal(out.data, appended);
}

/* The first test: later ones cannot take values back. */
static void text_is_untouched_without_secrets(void **state)
{
    (void)state;
    check_mask("password=hunter22", "password=hunter22", "password=hunter22");
}

static void values_are_masked_wherever_they_stand(void **state)
{
    (void)state;
    core_secret_add("hunter22");
    check_mask("hunter22", "********", "********");
    check_mask("a hunter22 b", "a ******** b", "a ******** b");
    check_mask("hunter22hunter22", "****************", "****************");
    check_mask("hunter2", "hunter2", "hunter2");
    check_mask("hunter2hunter22", "hunter2********", "hunter2********");
    check_mask("", "", "");
}

static void parts_of_values_are_masked_beside_a_cut(void **state)
{
    (void)state;
    core_secret_add("hunter22");
    check_mask("with hunter2...", "with *******...", "with ********...");
    check_mask("with hunt...: refused", "with ****...: refused", "with ********...: refused");
    check_mask("with hun...", "with hun...", "with hun...");
    check_mask("...nter22' in line 1", "...******' in line 1", "...********' in line 1");
    check_mask("...r22'", "...r22'", "...r22'");
    check_mask("a ... b hunter2 ...", "a ... b hunter2 ...", "a ... b hunter2 ...");
    check_mask("hunter22 ...hunter22...hunt...", "******** ...********...****...",
               "******** ...********...********...");
}

static void the_longest_value_wins(void **state)
{
    (void)state;
    core_secret_add("correct");
    core_secret_add("correct horse battery");
    core_secret_add("correct horse");
    check_mask("correct horse battery staple", "******** staple", "******** staple");
    check_mask("correct horses", "********s", "********s");
}

static void short_values_do_not_make_text_longer(void **state)
{
    (void)state;
    core_secret_add("pin4");
    check_mask("a pin4 b", "a **** b", "a ******** b");
}

static void values_that_would_garble_text_are_left(void **state)
{
    (void)state;
    core_secret_add("a");
    core_secret_add("abc");
    core_secret_add("");
    core_secret_add(NULL);
    check_mask("a abc cab", "a abc cab", "a abc cab");
}

static void the_password_of_a_url_counts_by_itself(void **state)
{
    (void)state;
    core_secret_add("postgresql://runs:s3cr@t/pw@db:5432/runs");
    core_secret_add_url("postgresql://other:0penSesame@db/runs?x=@y");
    core_secret_add_url("https://host/path@without:password");
    core_secret_add_url("no url:at@all");
    check_mask("user other, 0penSesame", "user other, ********", "user other, ********");
    check_mask("https://host/path@without:password", "https://host/path@without:password",
               "https://host/path@without:password");
}

static void passwords_among_parameters_and_settings_count_too(void **state)
{
    (void)state;
    core_secret_add_url("postgresql://db/runs?user=u&password=0pen%20sesame&sslpassword=keyword=1");
    core_secret_add_url("https://hooks.example/in?x=plain&Access_Token=t0ken#here");
    core_secret_add_url("https://host/?password");
    core_secret_add_url(
        "host=db user=runs password = 'it\\'s mine' sslpassword=br\\ icks dbname=x");
    core_secret_add_url("host=db password='unended");
    core_secret_add_url("SELECT token=words FROM x");
    check_mask("?user=u&password=0pen%20sesame&sslpassword=keyword=1",
               "?user=u&password=********&sslpassword=********",
               "?user=u&password=********&sslpassword=********");
    check_mask("x=plain&Access_Token=t0ken#here", "x=plain&Access_Token=********",
               "x=plain&Access_Token=********");
    check_mask("password = 'it\\'s mine' sslpassword=br\\ icks dbname=x",
               "password = '********' sslpassword=******** dbname=x",
               "password = '********' sslpassword=******** dbname=x");
    check_mask("password='unended words", "password='******* words", "password='******** words");
}

/* Where one forgot to write %2F, the password ends only with the '@'. */
static void a_slash_in_a_password_does_not_end_it(void **state)
{
    (void)state;
    core_secret_add_url("postgresql://runs:open/sesame@db/runs");
    core_secret_add_url("https://host:8080/path@here");
    core_secret_add_url("https://[::1]:8080/path@there");
    check_mask("runs:open/sesame@db", "runs:********@db", "runs:********@db");
    check_mask("host:8080/path@here", "host:8080/path@here", "host:8080/path@here");
    check_mask("[::1]:8080/path@there", "[::1]:8080/path@there", "[::1]:8080/path@there");
}

static void values_in_json_strings_are_masked(void **state)
{
    (void)state;
    core_secret_add("two\nlines \"quoted\"");
    check_mask("{\"m\":\"two\\nlines \\\"quoted\\\"\"}", "{\"m\":\"********\"}",
               "{\"m\":\"********\"}");
}

static void *add_and_mask(void *argument)
{
    const int *thread = argument;

    for (int i = 0; i < 200; i++) {
        RC_STR_AUTO secret = rc_strf("secret-%d-%d", *thread, i);
        RC_STR_AUTO text = rc_strf("see %s!", secret);

        core_secret_add(secret);
        core_secret_mask(text);
        if (strcmp(text, "see ********!") != 0)
            return argument;
    }
    return NULL;
}

static void threads_may_add_and_mask_at_once(void **state)
{
    pthread_t threads[4];
    int numbers[4] = { 0, 1, 2, 3 };

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_mask, &numbers[i]), 0);
    for (int i = 0; i < 4; i++) {
        void *result = NULL;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_untouched_without_secrets),
        cmocka_unit_test(values_are_masked_wherever_they_stand),
        cmocka_unit_test(parts_of_values_are_masked_beside_a_cut),
        cmocka_unit_test(the_longest_value_wins),
        cmocka_unit_test(short_values_do_not_make_text_longer),
        cmocka_unit_test(values_that_would_garble_text_are_left),
        cmocka_unit_test(the_password_of_a_url_counts_by_itself),
        cmocka_unit_test(passwords_among_parameters_and_settings_count_too),
        cmocka_unit_test(a_slash_in_a_password_does_not_end_it),
        cmocka_unit_test(values_in_json_strings_are_masked),
        cmocka_unit_test(threads_may_add_and_mask_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
