/*
 * Jobs that are created, on scripted answers of a store: which requests are made in which order,
 * and what comes of every answer. What the statements mean is test_statements.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jobs_world.h"
#include "vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As people are told. */
static void expect_why(const struct world *world, enum delta_kind kind, const char *why)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);

    delta_outcome_explain(&world->outcome, kind, NOW_UNIX_MS, &text);
    assert_string_equal(text.data, why);
}

/* ---- one job --------------------------------------------------------------------------------- */

static void test_a_job_is_created(void **state)
{
    WORLD_AUTO(world);
    char job[37], task[37];

    (void)state;
    world.steps[0] = "dump busy own 0";
    world_expect(&world, DELTA_DUMP, false, DELTA_FREE, "create jobs");
    world_find_uuid(&world, "create", "job", job);
    world_find_uuid(&world, "create", "task", task);
    assert_string_equal(world.outcome.job_uri + strlen(DELTA_JOB_PREFIX), job);
    assert_string_equal(world.outcome.task_uri + strlen(DELTA_TASK_PREFIX), task);
    assert_string_not_equal(job, task);
    assert_int_equal(world.outcome.reasons.count, 0);
}

/* The consumer was quick; what has begun since is nothing that ours is in the way of. */
static void test_a_job_may_be_worked_off_at_once(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump success own 0\nhealing busy a 0";
    world_expect(&world, DELTA_DUMP, false, DELTA_FREE, "create jobs");
}

static void test_a_blocked_job_leaves_an_error_for_each_reason(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "healing busy a 2.5\ndump scheduled b 0.01\ninitial-sync success c 9";
    world.steps[1] = "false";
    world_expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, "create jobs ask error ask error");
    assert_int_equal(world.outcome.reasons.count, 2);
    assert_string_equal(world.outcome.reasons.items[1].uri, "http://example.org/b");
    assert_null(world.outcome.job_uri);
    assert_int_equal(rc_fake_host_counter(world.host, "errors_stored"), 2);
    expect_why(&world, DELTA_DUMP,
               "blocked by the healing job <http://example.org/a>, busy for 2h30m; "
               "the dump job <http://example.org/b>, scheduled for 36s");
}

static void test_an_error_is_stored_once(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "healing busy a 2";
    world.steps[1] = "true";
    world_expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, "create jobs ask");
    assert_int_equal(rc_fake_host_counter(world.host, "errors_stored"), 0);
}

static void test_many_reasons_leave_few_errors(void **state)
{
    WORLD_AUTO(world);
    RC_BUF_AUTO(rows, TEXT_LIMIT);

    (void)state;
    for (int i = 10; i < 40; i++)
        rc_buf_addf(&rows, "%sdump busy j%d 1", i > 10 ? "\n" : "", i);
    world.steps[0] = rows.data;
    world.steps[1] = "false";
    assert_int_equal(world_create(&world, DELTA_DUMP, false), RC_OK);
    assert_int_equal(world.outcome.reasons.count, 30);
    assert_int_equal(world_count_sent(&world, "error"), 10);
    rc_buf_reset(&rows);
    delta_outcome_explain(&world.outcome, DELTA_DUMP, NOW_UNIX_MS, &rows);
    assert_true(rc_str_ends(rows.data, "; and 25 more"));
}

static void test_an_error_that_cannot_be_stored_changes_nothing(void **state)
{
    static const char *const fragments[] = { "query", "update" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(fragments); i++) {
        WORLD_AUTO(world);

        world.config.job_timeout_min = 60; /* so that there is no other update before */
        world.steps[0] = "healing busy a 0.5";
        world.steps[1] = "false";
        if (i == 0)
            world.steps[1] = "healing busy a 0"; /* rows where a boolean is due */
        else
            rc_fake_host_fail_on(world.host, "http.open", UPDATE_URL, -1, RC_DENIED);
        if (world_create(&world, DELTA_DUMP, false))
            fail_msg("%s: %s", world.err.context, world.err.cause);
        assert_int_equal(world.outcome.verdict, DELTA_BLOCKED);
        assert_non_null(strstr(rc_fake_host_log(world.host), "warn: cannot record"));
        assert_int_equal(rc_fake_host_counter(world.host, "errors_stored"), 0);
    }
}

static void test_healing_waits_for_an_initial_sync(void **state)
{
    WORLD_AUTO(world);
    struct rc_fake_http_request sent;

    (void)state;
    world.steps[0] = "initial-sync busy a 2\ninitial-sync failed b 3";
    world.steps[1] = "false";
    world_expect(&world, DELTA_HEALING, false, DELTA_TOO_EARLY, "create jobs ask error");
    expect_why(&world, DELTA_HEALING,
               "a healing waits for an initial sync, and none has succeeded yet: "
               "the initial sync job <http://example.org/a>, busy for 2h");
    sent = rc_fake_host_http_request(world.host, 3);
    assert_non_null(strstr(sent.body, "dct%3Areferences%20%3Chttp%3A%2F%2Fexample.org%2Fa%3E"));
}

static void test_an_error_may_name_no_job(void **state)
{
    WORLD_AUTO(world);
    struct rc_fake_http_request sent;

    (void)state;
    world.steps[0] = "initial-sync failed b 3";
    world.steps[1] = "false";
    world_expect(&world, DELTA_HEALING, false, DELTA_TOO_EARLY, "create jobs ask error");
    sent = rc_fake_host_http_request(world.host, 3);
    assert_non_null(strstr(sent.body, "no%20initial%20sync%20has%20succeeded"));
    assert_null(strstr(sent.body, "references"));
}

static void test_force_lets_a_job_be_made_beside_others(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "healing busy own 0\ndump busy a 1\ninitial-sync busy b 1";
    world_expect(&world, DELTA_HEALING, true, DELTA_FREE, "create jobs");
}

/* ---- once ------------------------------------------------------------------------------------ */

static void test_an_initial_sync_is_made_once(void **state)
{
    static const struct {
        const char *there, *trace;
        bool never_again, force;
        enum delta_verdict verdict;
    } cases[] = {
        { "initial-sync success a 9", "jobs", false, false, DELTA_DONE },
        { "initial-sync success a 9", "jobs", false, true, DELTA_DONE },
        { "initial-sync busy a 9", "jobs", false, true, DELTA_DONE },
        { "initial-sync canceled a 9", "jobs", false, false, DELTA_DONE },
        { "initial-sync - a 9", "jobs", false, false, DELTA_DONE },
        { "initial-sync failed a 0.5", "jobs", false, false, DELTA_FAILED_LATELY },
        { "initial-sync failed a 9\ninitial-sync failed b 0.5", "jobs", false, false,
          DELTA_FAILED_LATELY },
        { "initial-sync failed a 9", "jobs", true, false, DELTA_FAILED_FOR_GOOD },
        { "initial-sync failed a 9", "jobs create jobs", false, false, DELTA_FREE },
        { "initial-sync failed a", "jobs create jobs", false, false, DELTA_FREE },
        { "initial-sync failed a 0", "jobs create jobs", true, true, DELTA_FREE },
        { "dump busy a 0", "jobs ask", false, false, DELTA_BLOCKED },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        WORLD_AUTO(world);

        world.config.retry_failed_initial_sync = !cases[i].never_again;
        world.steps[0] = cases[i].there;
        world.steps[1] = cases[i].verdict == DELTA_BLOCKED ? "true" : "initial-sync busy own 0";
        world_expect(&world, DELTA_INITIAL_SYNC, cases[i].force, cases[i].verdict, cases[i].trace);
    }
}

static void test_why_there_is_no_initial_sync(void **state)
{
    static const struct {
        const char *there, *why;
        bool never_again;
    } cases[] = {
        { "initial-sync success a 9",
          "an initial sync is made once, and there is one: the initial sync job "
          "<http://example.org/a>, success 9h ago",
          false },
        { "initial-sync failed a 0.5",
          "the last initial sync failed, and it is too soon to try again: the initial sync job "
          "<http://example.org/a>, failed 30m ago",
          false },
        { "initial-sync failed a",
          "an initial sync failed, and is tried again only by force: the initial sync job "
          "<http://example.org/a>, failed",
          true },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        WORLD_AUTO(world);

        world.config.retry_failed_initial_sync = !cases[i].never_again;
        world.steps[0] = cases[i].there;
        assert_int_equal(world_create(&world, DELTA_INITIAL_SYNC, false), RC_OK);
        expect_why(&world, DELTA_INITIAL_SYNC, cases[i].why);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_jobs_whose_time_is_up_fail_first(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.config.job_timeout_min = 60;
    world.steps[0] = "healing busy a 2\ninitial-sync scheduled b 1\ninitial-sync success c 9";
    world.steps[1] = "dump busy own 0";
    world_expect(&world, DELTA_DUMP, false, DELTA_FREE, "jobs fail fail create jobs");
    assert_int_equal(rc_fake_host_counter(world.host, "jobs_failed_by_timeout"), 2);
    assert_non_null(strstr(rc_fake_host_log(world.host),
                           "warn: the healing job <http://example.org/a> has been busy for 2h"));
}

static void test_jobs_without_a_time_never_fail(void **state)
{
    static const char *const there[] = { "healing busy a", "healing busy _:b0 2" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(there); i++) {
        WORLD_AUTO(world);

        world.config.job_timeout_min = 60;
        world.steps[0] = there[i];
        world.steps[1] = "true";
        world_expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, i == 0 ? "jobs ask" : "jobs");
        assert_non_null(strstr(rc_fake_host_log(world.host), "its time is never up"));
    }
}

static void test_jobs_within_their_time_block(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.config.job_timeout_min = 60;
    world.steps[0] = "healing busy a 0.99";
    world.steps[1] = "true";
    world_expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, "jobs ask");
}

/* ---- others at the same time ----------------------------------------------------------------- */

static void test_a_job_beside_another_one_is_withdrawn(void **state)
{
    WORLD_AUTO(world);
    char withdrawn[37], created[37];

    (void)state;
    world.steps[0] = "dump busy own 0\nhealing busy a 0";
    world.steps[1] = "dump busy own 0";
    world_expect(&world, DELTA_DUMP, false, DELTA_FREE, "create jobs remove create jobs");
    assert_int_equal(rc_fake_host_counter(world.host, "withdrawn"), 1);
    world_find_uuid(&world, "remove", "job", withdrawn);
    world_find_uuid(&world, "create", "job", created);
    assert_string_not_equal(withdrawn, created);
    assert_string_equal(world.outcome.job_uri + strlen(DELTA_JOB_PREFIX), created);
}

static void test_the_other_one_stays(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump busy own 0\nhealing busy a 0";
    world.steps[1] = "healing busy a 0";
    world.steps[2] = "true";
    world_expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, "create jobs remove create jobs ask");
}

static void test_a_second_initial_sync_is_withdrawn(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "";
    world.steps[1] = "initial-sync busy own 0\ninitial-sync busy a 0";
    world.steps[2] = "initial-sync busy a 0";
    world_expect(&world, DELTA_INITIAL_SYNC, false, DELTA_DONE, "jobs create jobs remove jobs");
}

static void test_others_get_in_again_and_again(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump busy own 0\nhealing busy a 0";
    assert_int_equal(world_create(&world, DELTA_DUMP, false), RC_UNAVAILABLE);
    assert_int_equal(world_count_sent(&world, "create"), world_count_sent(&world, "remove"));
    assert_null(world.outcome.job_uri);
}

static void test_a_withdrawal_that_fails_is_told(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump busy own 0\nhealing busy a 0";
    /* What fails is the second update, whichever call that is. */
    for (int n = 1;; n++) {
        rc_fake_host_fail_at(world.host, n, RC_DENIED);
        assert_int_not_equal(world_create(&world, DELTA_DUMP, false), RC_OK);
        if (strstr(world.err.context, "stays there"))
            break;
        assert_true(n < 50);
        world_clear(&world);
        world_init(&world);
        world.steps[0] = "dump busy own 0\nhealing busy a 0";
    }
    assert_int_equal(world.err.code, RC_DENIED);
}

/* What blocked has just ended: it is tried again, as the same job. */
static void test_nothing_in_the_way_and_yet_no_job(void **state)
{
    WORLD_AUTO(world);
    char first[37], last[37];
    struct rc_fake_http_request request;

    (void)state;
    world.steps[0] = "";
    world.steps[1] = "dump busy own 0";
    world_expect(&world, DELTA_DUMP, false, DELTA_FREE, "create jobs create jobs");
    request = rc_fake_host_http_request(world.host, 0);
    (void)snprintf(first, sizeof(first), "%.36s",
                   strstr(request.body, "id%2Fjob%2F") + strlen("id%2Fjob%2F"));
    world_find_uuid(&world, "create", "job", last);
    assert_string_equal(first, last);
}

static void test_a_store_that_drops_what_is_written(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "";
    assert_int_equal(world_create(&world, DELTA_DUMP, false), RC_UNAVAILABLE);
    assert_non_null(strstr(world.err.cause, "<http://example.org/jobs>"));
}

/* ---- lost answers ---------------------------------------------------------------------------- */

static void test_the_read_decides_what_became_of_a_lost_update(void **state)
{
    static const enum rc_code codes[] = { RC_UNAVAILABLE, RC_TIMEOUT, RC_CORRUPT, RC_FAILED };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++) {
        WORLD_AUTO(there);
        WORLD_AUTO(blocked);
        WORLD_AUTO(nowhere);

        /* A request that fails is not recorded, so that its IRI is not known: any job will do. */
        rc_fake_host_fail_on(blocked.host, "http.open", UPDATE_URL, 1, codes[i]);
        blocked.steps[0] = "healing busy a 0";
        blocked.steps[1] = "true";
        world_expect(&blocked, DELTA_DUMP, false, DELTA_BLOCKED, "jobs ask");

        rc_fake_host_fail_on(nowhere.host, "http.open", UPDATE_URL, -1, codes[i]);
        nowhere.steps[0] = "";
        assert_int_equal(world_create(&nowhere, DELTA_DUMP, false), codes[i]);

        rc_fake_host_fail_on(there.host, "http.read", UPDATE_URL, 1, codes[i]);
        there.steps[0] = "dump busy own 0";
        world_expect(&there, DELTA_DUMP, false, DELTA_FREE, "create jobs");
    }
}

static void test_what_is_refused_is_not_looked_for(void **state)
{
    static const enum rc_code codes[] = { RC_DENIED, RC_INVALID, RC_CANCELLED };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++) {
        WORLD_AUTO(world);

        rc_fake_host_fail_on(world.host, "http.open", UPDATE_URL, 1, codes[i]);
        assert_int_equal(world_create(&world, DELTA_DUMP, false), codes[i]);
        world_expect_trace(&world, "");
        assert_non_null(strstr(world.err.context, world_operations[DELTA_DUMP]));
    }
}

static void test_a_read_that_is_cut_is_repeated(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump busy own 0";
    rc_fake_host_fail_on(world.host, "http.read", QUERY_URL, 1, RC_UNAVAILABLE);
    if (world_create(&world, DELTA_DUMP, false) == RC_OK)
        world_expect_trace(&world, "create jobs jobs");
    else /* it was cut before the first row, where the client's attempts are at their end */
        assert_int_equal(world.err.code, RC_UNAVAILABLE);
}

/* ---- not at all ------------------------------------------------------------------------------ */

static void test_a_dry_run_writes_nothing(void **state)
{
    WORLD_AUTO(world);
    WORLD_AUTO(blocked);

    (void)state;
    world.session.job->dry_run = blocked.session.job->dry_run = true;
    world.config.job_timeout_min = blocked.config.job_timeout_min = 60;
    world.steps[0] = "healing busy a 2";
    world_expect(&world, DELTA_DUMP, false, DELTA_FREE, "jobs");
    assert_null(world.outcome.job_uri);
    assert_int_equal(rc_fake_host_held_back(world.host), 2);
    assert_int_equal(rc_fake_host_counter(world.host, "jobs_failed_by_timeout"), 0);

    blocked.steps[0] = "healing busy a 0.5";
    blocked.steps[1] = "false";
    world_expect(&blocked, DELTA_DUMP, false, DELTA_BLOCKED, "jobs ask");
    assert_int_equal(rc_fake_host_held_back(blocked.host), 1);
    assert_int_equal(rc_fake_host_counter(blocked.host, "errors_stored"), 0);
}

static void test_kinds_that_there_are_not(void **state)
{
    WORLD_AUTO(world);

    (void)state;
    world.entry.disabled[DELTA_DUMP] = true;
    world.entry.job_operation[DELTA_HEALING] = NULL;
    assert_int_equal(world_create(&world, DELTA_DUMP, true), RC_SKIPPED);
    assert_int_equal(world_create(&world, DELTA_HEALING, true), RC_INVALID);
    world_expect_trace(&world, "");
}

/* A job with several statuses or times is one job, and the strictest of them counts. */
static void test_data_that_is_broken(void **state)
{
    WORLD_AUTO(world);
    WORLD_AUTO(strange);

    (void)state;
    world.steps[0] = "healing failed a 5\ndump success z 1\nhealing busy a 2\nhealing success a 9";
    world.steps[1] = "true";
    world_expect(&world, DELTA_DUMP, false, DELTA_BLOCKED, "create jobs ask");
    assert_int_equal(world.outcome.reasons.count, 1);
    expect_why(&world, DELTA_DUMP,
               "blocked by the healing job <http://example.org/a>, busy for 2h");

    strange.steps[0] = "nothing busy a 2";
    assert_int_equal(world_create(&strange, DELTA_DUMP, false), RC_CORRUPT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_is_created),
        cmocka_unit_test(test_a_job_may_be_worked_off_at_once),
        cmocka_unit_test(test_a_blocked_job_leaves_an_error_for_each_reason),
        cmocka_unit_test(test_an_error_is_stored_once),
        cmocka_unit_test(test_many_reasons_leave_few_errors),
        cmocka_unit_test(test_an_error_that_cannot_be_stored_changes_nothing),
        cmocka_unit_test(test_healing_waits_for_an_initial_sync),
        cmocka_unit_test(test_an_error_may_name_no_job),
        cmocka_unit_test(test_force_lets_a_job_be_made_beside_others),
        cmocka_unit_test(test_an_initial_sync_is_made_once),
        cmocka_unit_test(test_why_there_is_no_initial_sync),
        cmocka_unit_test(test_jobs_whose_time_is_up_fail_first),
        cmocka_unit_test(test_jobs_without_a_time_never_fail),
        cmocka_unit_test(test_jobs_within_their_time_block),
        cmocka_unit_test(test_a_job_beside_another_one_is_withdrawn),
        cmocka_unit_test(test_the_other_one_stays),
        cmocka_unit_test(test_a_second_initial_sync_is_withdrawn),
        cmocka_unit_test(test_others_get_in_again_and_again),
        cmocka_unit_test(test_a_withdrawal_that_fails_is_told),
        cmocka_unit_test(test_nothing_in_the_way_and_yet_no_job),
        cmocka_unit_test(test_a_store_that_drops_what_is_written),
        cmocka_unit_test(test_the_read_decides_what_became_of_a_lost_update),
        cmocka_unit_test(test_what_is_refused_is_not_looked_for),
        cmocka_unit_test(test_a_read_that_is_cut_is_repeated),
        cmocka_unit_test(test_a_dry_run_writes_nothing),
        cmocka_unit_test(test_kinds_that_there_are_not),
        cmocka_unit_test(test_data_that_is_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
