/*
 * What becomes of both forms of a configuration, and which months a schedule names by number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include "entries.h"
#include "vocabulary.h"

#include <stdlib.h>

#define SETTINGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* The host has what the entries' texts are in. */
struct fixture {
    struct rc_fake_host *host;
    struct delta_config config;
    struct delta_entries entries;
};

static struct fixture make(const char *const *settings)
{
    struct fixture fixture = { .host = rc_fake_host_new(NULL) };
    struct rc_error err = RC_ERROR_INIT;

    if (rc_fake_host_bind(fixture.host, delta_options, &fixture.config, settings, &err) ||
        delta_entries_make(&fixture.config, &fixture.entries, &err)) {
        print_error("%s: %s\n", err.context, err.cause);
        fail();
    }
    return fixture;
}

static void clear(struct fixture *fixture)
{
    delta_entries_clear(&fixture->entries);
    rc_fake_host_free(fixture->host);
}

#define AUTO_FIXTURE RC_CLEANUP(clear) struct fixture

static void test_the_only_stream_has_all_defaults(void **state)
{
    AUTO_FIXTURE it = make(SETTINGS("healingJobOperation=http://op/heal"));
    const struct delta_entry *entry = it.entries.items;

    (void)state;
    assert_int_equal(it.entries.count, 1);
    assert_string_equal(entry->name, "");
    assert_string_equal(entry->jobs_graph, "http://mu.semte.ch/graphs/system/jobs");
    assert_string_equal(entry->error_creator,
                        "http://lblod.data.gift/services/delta-producer-background-jobs-initiator");
    assert_null(entry->job_operation[DELTA_INITIAL_SYNC]);
    assert_string_equal(entry->job_operation[DELTA_HEALING], "http://op/heal");
    assert_null(entry->job_operation[DELTA_DUMP]);
    assert_string_equal(entry->task_operation[DELTA_HEALING],
                        "http://redpencil.data.gift/id/jobs/concept/TaskOperation/deltas/healing/"
                        "patchPublicationGraph");
    assert_null(entry->cron[DELTA_INITIAL_SYNC]);
    assert_string_equal(entry->cron[DELTA_HEALING], "0 0 0 * * *");
    assert_string_equal(entry->cron[DELTA_DUMP], "0 0 0 * * *");
    assert_false(entry->start_initial_sync || entry->heal_without_initial_sync);
    assert_false(entry->disabled[DELTA_HEALING] || entry->disabled[DELTA_DUMP]);
}

/* A variable of the environment that is set to nothing is not set. */
static void test_an_empty_text_is_none(void **state)
{
    AUTO_FIXTURE it =
        make(SETTINGS("name=", "jobsGraph=", "healingJobOperation=", "cronPatternDumpJob=",
                      "errorCreatorUri=", "dump_task_operation="));
    const struct delta_entry *entry = it.entries.items;

    (void)state;
    assert_string_equal(entry->jobs_graph, DELTA_JOBS_GRAPH);
    assert_null(entry->job_operation[DELTA_HEALING]);
    assert_string_equal(entry->cron[DELTA_DUMP], DELTA_CRON);
    assert_string_equal(entry->error_creator, DELTA_CREATOR);
    assert_string_equal(entry->task_operation[DELTA_DUMP], DELTA_DUMP_TASK);
}

static void test_the_older_words_say_the_same(void **state)
{
    AUTO_FIXTURE older =
        make(SETTINGS("enableDumpFileCreation=false", "enableHealingJobOperation=false",
                      "healMustWaitForInitialSync=false"));
    AUTO_FIXTURE newer =
        make(SETTINGS("disableDumpFileCreation=true", "disableHealingJobOperation=true",
                      "healShouldNotWaitForInitialSync=true"));

    (void)state;
    for (const struct fixture *it = &older;; it = &newer) {
        const struct delta_entry *entry = it->entries.items;

        assert_true(entry->disabled[DELTA_DUMP] && entry->disabled[DELTA_HEALING]);
        assert_false(entry->disabled[DELTA_INITIAL_SYNC]);
        assert_true(entry->heal_without_initial_sync);
        if (it == &newer)
            break;
    }
}

static void test_a_list_gives_a_stream_each(void **state)
{
    AUTO_FIXTURE it = make(
        SETTINGS("entries[0].name=besluiten", "entries[0].jobsGraph=http://g/1",
                 "entries[0].dumpFileCreationJobOperation=http://op/dump/1",
                 "entries[0].cronPatternDumpJob=0 0 0 * * 6", "entries[0].startInitialSync=true",
                 "entries[1].name=leiding", "entries[1].healingJobOperation=http://op/heal/2",
                 "entries[1].disableDumpFileCreation=true", "entries[1].errorCreatorUri=http://me",
                 "healing_task_operation=http://task/heal", "enableDumpFileCreation=false"));
    const struct delta_entry *first = it.entries.items, *second = first + 1;

    (void)state;
    assert_int_equal(it.entries.count, 2);
    assert_string_equal(first->name, "besluiten");
    assert_string_equal(first->jobs_graph, "http://g/1");
    assert_string_equal(first->error_creator, DELTA_CREATOR "/besluiten");
    assert_string_equal(first->cron[DELTA_DUMP], "0 0 0 * * 6");
    assert_true(first->start_initial_sync);
    assert_string_equal(second->jobs_graph, DELTA_JOBS_GRAPH);
    assert_string_equal(second->error_creator, "http://me");
    assert_string_equal(second->task_operation[DELTA_HEALING], "http://task/heal");
    assert_true(second->disabled[DELTA_DUMP]);
    /* The words at the top are of the stream at the top. */
    assert_false(first->disabled[DELTA_DUMP]);
}

static void test_a_single_entry_needs_no_name(void **state)
{
    AUTO_FIXTURE it = make(SETTINGS("entries[0].healingJobOperation=http://op/heal"));

    (void)state;
    assert_int_equal(it.entries.count, 1);
    assert_string_equal(it.entries.items[0].name, "");
    assert_string_equal(it.entries.items[0].error_creator, DELTA_CREATOR);
}

static void test_an_operation_may_be_in_two_graphs(void **state)
{
    AUTO_FIXTURE it = make(SETTINGS("entries[0].name=a", "entries[0].jobsGraph=http://g/1",
                                    "entries[0].healingJobOperation=http://op", "entries[1].name=b",
                                    "entries[1].jobsGraph=http://g/2",
                                    "entries[1].dumpFileCreationJobOperation=http://op"));

    (void)state;
    assert_int_equal(it.entries.count, 2);
}

static void test_a_stream_is_found_by_its_name(void **state)
{
    AUTO_FIXTURE many = make(SETTINGS("entries[0].name=a", "entries[1].name=b"));
    AUTO_FIXTURE one = make(SETTINGS("name="));
    const struct delta_entry *entry = NULL;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(delta_entries_find(&many.entries, "b", &entry, &err), RC_OK);
    assert_ptr_equal(entry, many.entries.items + 1);
    assert_int_equal(delta_entries_find(&many.entries, "B", &entry, &err), RC_INVALID);
    assert_string_equal(err.cause, "there is no stream 'B'; there are 'a', 'b'");
    assert_int_equal(delta_entries_find(&many.entries, "", &entry, &err), RC_INVALID);
    assert_int_equal(delta_entries_find(&one.entries, "", &entry, &err), RC_OK);
    assert_int_equal(delta_entries_find(&one.entries, "a", &entry, &err), RC_INVALID);
    assert_string_equal(err.cause, "there is no stream 'a': there is only one, which has no name");
}

/* Names of many streams are cut, and the message says so. */
static void test_a_message_does_not_name_a_thousand(void **state)
{
    enum { COUNT = 1000 };
    const char *settings[COUNT + 1] = { NULL };
    const struct delta_entry *entry = NULL;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (int i = 0; i < COUNT; i++)
        settings[i] = rc_strf("entries[%d].name=stream-%d", i, i);
    AUTO_FIXTURE it = make(settings);
    assert_int_equal(it.entries.count, COUNT);
    assert_int_equal(delta_entries_find(&it.entries, "stream-999", &entry, &err), RC_OK);
    assert_int_equal(delta_entries_find(&it.entries, "x", &entry, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "'stream-0', 'stream-1', "));
    assert_true(rc_str_ends(err.cause, " and others"));
    for (int i = 0; i < COUNT; i++)
        free((void *)(uintptr_t)settings[i]);
}

static void test_months_by_number(void **state)
{
    static const struct {
        const char *expression;
        bool numbers;
    } cases[] = {
        { "0 0 0 * * *", false },
        { "0 0 0 1 1 *", true },
        { "0 0 0 1 JAN *", false },
        { "0 0 * * *", false },
        { "0 0 1 1 *", true },
        { "0 0 1 jan-mar *", false },
        { "0 0 1 */3 *", false },
        { "0 0 1 1/3 *", true },
        { "0 0 1 */3,11 *", true },
        { "0 0 1 JAN,*/2,MAR *", false },
        { "0 0 0 ? 1-5 MON", true },
        { "  0\t0 0  1 0 * ", true },
        { "@daily", false },
        { "@every 15m", false },
        { "", false },
        { "1 1 1 1", false },
        { "1 1 1 1 1 1 1", false },
        { "0 0 0 15 * 1", false },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        if (delta_cron_numbers_months(cases[i].expression) != cases[i].numbers)
            print_error("'%s'\n", cases[i].expression);
        assert_int_equal(delta_cron_numbers_months(cases[i].expression), cases[i].numbers);
    }
}

static void test_kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(delta_kind_text(DELTA_INITIAL_SYNC), "initial sync");
    assert_string_equal(delta_kind_name(DELTA_INITIAL_SYNC), "initial-sync");
    assert_string_equal(delta_kind_text(DELTA_HEALING), delta_kind_name(DELTA_HEALING));
    assert_string_equal(delta_kind_text(DELTA_DUMP), delta_kind_name(DELTA_DUMP));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_only_stream_has_all_defaults),
        cmocka_unit_test(test_an_empty_text_is_none),
        cmocka_unit_test(test_the_older_words_say_the_same),
        cmocka_unit_test(test_a_list_gives_a_stream_each),
        cmocka_unit_test(test_a_single_entry_needs_no_name),
        cmocka_unit_test(test_an_operation_may_be_in_two_graphs),
        cmocka_unit_test(test_a_stream_is_found_by_its_name),
        cmocka_unit_test(test_a_message_does_not_name_a_thousand),
        cmocka_unit_test(test_months_by_number),
        cmocka_unit_test(test_kinds_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
