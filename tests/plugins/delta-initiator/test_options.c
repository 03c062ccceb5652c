/*
 * What the configuration check refuses, and with which words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include "config.h"

#define SETTINGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static enum rc_code check(const char *const *settings, struct rc_error *err)
{
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct delta_config config = { 0 };
    enum rc_code code = rc_fake_host_bind(host, delta_options, &config, settings, err);

    return code ? code : delta_check_config(&config, err);
}

/* Each of the words, which end with NULL, is in the message. */
static void refused(const char *const *settings, const char *const *words)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(check(settings, &err), RC_INVALID);
    RC_STR_AUTO message = rc_strf("%s: %s", err.context, err.cause);
    for (; *words; words++) {
        if (!strstr(message, *words))
            print_error("'%s' is not in '%s'\n", *words, message);
        assert_non_null(strstr(message, *words));
    }
}

static void accepted(const char *const *settings)
{
    struct rc_error err = RC_ERROR_INIT;

    if (check(settings, &err)) {
        print_error("%s: %s\n", err.context, err.cause);
        fail();
    }
}

#define WORDS SETTINGS

static void test_nothing_and_all_are_accepted(void **state)
{
    (void)state;
    accepted(SETTINGS("name="));
    accepted(SETTINGS(
        "sparql_endpoint=https://db/sparql", "update_endpoint=http://db/update", "username=dba",
        "password=x", "authentication=digest", "headers.x-test=1", "job_timeout_minutes=120",
        "name=stream_1.0~x-Y", "initialPublicationGraphSyncJobOperation=http://op/1",
        "healingJobOperation=urn:op:2", "dumpFileCreationJobOperation=http://op/\xC3\xA9"));
}

static void test_iris_are_iris(void **state)
{
    (void)state;
    refused(SETTINGS("jobsGraph=http://a b"), WORDS("option 'jobsGraph'", "http://a", "blank"));
    refused(SETTINGS("healingJobOperation=heal"), WORDS("option 'healingJobOperation'", "heal"));
    refused(SETTINGS("initialPublicationGraphSyncJobOperation=http://a>b"),
            WORDS("option 'initialPublicationGraphSyncJobOperation'"));
    refused(SETTINGS("dumpFileCreationJobOperation=http://a\\b"),
            WORDS("option 'dumpFileCreationJobOperation'"));
    refused(SETTINGS("errorCreatorUri=http://\"me\""), WORDS("option 'errorCreatorUri'"));
    refused(SETTINGS("healing_task_operation=http://a{b}"),
            WORDS("option 'healing_task_operation'"));
    refused(SETTINGS("entries[0].name=a", "entries[1].name=b", "entries[1].jobsGraph=x y"),
            WORDS("entry 2, 'b'", "option 'jobsGraph'"));
}

static void test_names_fit_a_path(void **state)
{
    (void)state;
    refused(SETTINGS("name=a/b"), WORDS("'name' is 'a/b'"));
    refused(SETTINGS("name=a b"), WORDS("'name' is 'a b'"));
    refused(SETTINGS("name=a%20b"), WORDS("'name'"));
    refused(SETTINGS("name=.."), WORDS("'name' is '..'"));
    refused(SETTINGS("name=\xC3\xA9"), WORDS("'name'"));
    refused(SETTINGS("entries[0].name=a", "entries[1].name=?"), WORDS("entry 2", "'name' is '?'"));
}

static void test_streams_are_told_apart(void **state)
{
    (void)state;
    refused(SETTINGS("entries[0].name=a", "entries[1].healingJobOperation=http://op"),
            WORDS("entry 2", "has no 'name'"));
    refused(SETTINGS("entries[0].name=a", "entries[1].name=b", "entries[2].name=a"),
            WORDS("the entries 1 and 3", "the name 'a'"));
    refused(SETTINGS("entries[0].name=a", "entries[0].healingJobOperation=http://op",
                     "entries[1].name=b", "entries[1].dumpFileCreationJobOperation=http://op"),
            WORDS("entry 2, 'b'", "'dumpFileCreationJobOperation'", "<http://op>",
                  "'healingJobOperation' of 'a'", "<http://mu.semte.ch/graphs/system/jobs>"));
    refused(SETTINGS("healingJobOperation=http://op", "dumpFileCreationJobOperation=http://op"),
            WORDS("<http://op>", "the same stream"));
}

static void test_both_forms_at_once_are_a_mistake(void **state)
{
    (void)state;
    refused(SETTINGS("entries[0].name=a", "healingJobOperation=http://op"),
            WORDS("'entries'", "'healingJobOperation'", "environment"));
    refused(SETTINGS("entries[0].name=a", "name=b"), WORDS("'entries'", "'name'"));
}

static void test_a_store_is_reached_by_http(void **state)
{
    (void)state;
    refused(SETTINGS("sparql_endpoint=ftp://db"), WORDS("'sparql_endpoint'", "ftp://db"));
    refused(SETTINGS("update_endpoint=file:///db"), WORDS("'update_endpoint'"));
    refused(SETTINGS("password=x"), WORDS("no username"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_and_all_are_accepted),
        cmocka_unit_test(test_iris_are_iris),
        cmocka_unit_test(test_names_fit_a_path),
        cmocka_unit_test(test_streams_are_told_apart),
        cmocka_unit_test(test_both_forms_at_once_are_a_mistake),
        cmocka_unit_test(test_a_store_is_reached_by_http),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
