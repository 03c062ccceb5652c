/*
 * Tests of the table of jobs: found by name, next slots, and what a reload carries over.
 */
#include <supervisor/jobs.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_MS INT64_C(3600000)

/* A configuration of jobs "job0" ..., all of them with that schedule. */
static struct core_config *configure(size_t count, const char *schedule)
{
    struct core_config *config = rc_calloc(1, sizeof(*config));

    config->jobs = rc_calloc(count + 1, sizeof(*config->jobs));
    config->job_count = count;
    for (size_t i = 0; i < count; i++)
        config->jobs[i] = (struct core_job_settings){
            .name = rc_strf("job%zu", i),
            .schedule = schedule,
            .time_zone = "UTC",
        };
    return config;
}

static void free_configuration(struct core_config *config)
{
    for (size_t i = 0; i < config->job_count; i++)
        free((void *)(uintptr_t)config->jobs[i].name);
    free(config->jobs);
    free(config);
}

static struct core_jobs *make(const struct core_config *config)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_jobs *jobs = NULL;

    if (core_jobs_make(config, &jobs, &err))
        fail_msg("%s: %s", err.context, err.cause);
    return jobs;
}

static void test_every_job_is_found(void **state)
{
    struct core_config *config = configure(1000, "@hourly");
    struct core_jobs *jobs = make(config);

    (void)state;
    for (size_t i = 0; i < config->job_count; i++)
        assert_ptr_equal(core_jobs_find(jobs, config->jobs[i].name), &jobs->items[i]);
    assert_null(core_jobs_find(jobs, "job"));
    assert_null(core_jobs_find(jobs, "job1000"));
    core_jobs_free(jobs);
    free_configuration(config);
}

static void test_jobs_that_are_due_alike_share_a_schedule(void **state)
{
    struct core_config *config = configure(8, "30 2 * * *");
    struct core_jobs *jobs;

    (void)state;
    config->jobs[2].schedule = "31 2 * * *";
    config->jobs[3].time_zone = "Europe/Prague";
    config->jobs[4].dst_gap = CORE_DST_GAP_SKIP;
    config->jobs[5].dst_overlap = CORE_DST_OVERLAP_BOTH;
    config->jobs[6].schedule = config->jobs[7].schedule = "H 2 * * *"; /* each its own minute */
    jobs = make(config);
    assert_ptr_equal(jobs->items[0].schedule, jobs->items[1].schedule);
    for (size_t i = 2; i < 8; i++)
        for (size_t k = 0; k < i; k++)
            assert_ptr_not_equal(jobs->items[i].schedule, jobs->items[k].schedule);
    for (size_t i = 0; i < 8; i++)
        core_job_set_cursor(&jobs->items[i], 0);
    assert_int_equal(jobs->items[1].next_unix_ms, 5 * HOUR_MS / 2);
    assert_int_equal(jobs->items[2].next_unix_ms, 5 * HOUR_MS / 2 + 60000);
    assert_int_equal(jobs->items[3].next_unix_ms, 3 * HOUR_MS / 2);
    assert_int_not_equal(jobs->items[6].next_unix_ms, jobs->items[7].next_unix_ms);
    core_jobs_free(jobs);
    free_configuration(config);
}

static void test_the_cursor_decides_what_is_next(void **state)
{
    struct core_config *config = configure(1, "@hourly");
    struct core_jobs *jobs = make(config);
    struct core_job_state *job = &jobs->items[0];

    (void)state;
    core_job_set_cursor(job, 5 * HOUR_MS);
    assert_int_equal(job->next_unix_ms, 6 * HOUR_MS);
    core_job_set_cursor(job, 5 * HOUR_MS - 1);
    assert_int_equal(job->next_unix_ms, 5 * HOUR_MS);
    core_jobs_free(jobs);
    free_configuration(config);
}

static void test_without_slots(void **state)
{
    struct core_config *by_hand = configure(1, NULL), *startup = configure(1, "@startup");
    struct core_jobs *first = make(by_hand), *second = make(startup);

    (void)state;
    core_job_set_cursor(&first->items[0], 0);
    assert_true(first->items[0].next_unix_ms == CORE_NEVER_UNIX_MS);
    core_job_set_cursor(&second->items[0], 0);
    assert_true(second->items[0].next_unix_ms == CORE_NEVER_UNIX_MS);
    core_jobs_free(first);
    core_jobs_free(second);
    free_configuration(by_hand);
    free_configuration(startup);
}

static void test_a_wrong_schedule_is_named(void **state)
{
    struct core_config *config = configure(2, "61 * * * *");
    struct rc_error err = RC_ERROR_INIT;
    struct core_jobs *jobs = NULL;

    (void)state;
    assert_int_equal(core_jobs_make(config, &jobs, &err), RC_INVALID);
    assert_non_null(strstr(err.context, "job0"));
    free_configuration(config);
}

static void test_what_a_reload_carries_over(void **state)
{
    struct core_config *before = configure(1, "@hourly"), *after = configure(1, "@hourly");
    struct core_config *edited = configure(1, "@daily");
    struct core_jobs *first = make(before), *second = make(after), *third = make(edited);

    (void)state;
    core_job_set_cursor(&first->items[0], 5 * HOUR_MS);
    core_job_set_pause(&first->items[0], 7, "somebody");
    core_job_counts_of(&first->items[0])->retries = 3;
    core_job_set_cursor(&second->items[0], 9 * HOUR_MS);
    core_job_inherit(&second->items[0], &first->items[0]);
    assert_int_equal(second->items[0].cursor_unix_ms, 5 * HOUR_MS);
    assert_string_equal(second->items[0].pause->by, "somebody");
    assert_int_equal(second->items[0].counts->retries, 3);

    /* With another schedule it begins anew, but stays paused. */
    core_job_set_cursor(&third->items[0], 9 * HOUR_MS);
    core_job_inherit(&third->items[0], &second->items[0]);
    assert_int_equal(third->items[0].cursor_unix_ms, 9 * HOUR_MS);
    assert_int_equal(third->items[0].pause->since_unix_ms, 7);
    assert_true(core_jobs_keep(second, &first->items[0]));
    assert_false(core_jobs_keep(third, &first->items[0]));
    core_jobs_free(first);
    core_jobs_free(second);
    core_jobs_free(third);
    free_configuration(before);
    free_configuration(after);
    free_configuration(edited);
}

/* What the ledger keeps changes with everything that decides the slots, and with nothing else. */
static void test_fingerprint(void **state)
{
    struct core_config *config = configure(8, "@hourly");
    char texts[8][CORE_FINGERPRINT_TEXT];
    struct core_jobs *jobs;

    (void)state;
    config->jobs[1].timeout_ms = 5;
    config->jobs[2].schedule = "@daily";
    config->jobs[3].time_zone = "Etc/GMT+1";
    config->jobs[4].dst_gap = CORE_DST_GAP_SKIP;
    config->jobs[5].dst_overlap = CORE_DST_OVERLAP_BOTH;
    config->jobs[6].misfire = CORE_MISFIRE_ALL;
    config->jobs[7].catchup_window_ms = 5;
    jobs = make(config);
    for (size_t i = 0; i < 8; i++)
        (void)core_job_fingerprint(&jobs->items[i], texts[i]);
    assert_string_equal(texts[0], texts[1]);
    for (size_t i = 2; i < 8; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(texts[i], texts[k]);
    core_jobs_free(jobs);
    free_configuration(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_job_is_found),
        cmocka_unit_test(test_jobs_that_are_due_alike_share_a_schedule),
        cmocka_unit_test(test_the_cursor_decides_what_is_next),
        cmocka_unit_test(test_without_slots),
        cmocka_unit_test(test_a_wrong_schedule_is_named),
        cmocka_unit_test(test_what_a_reload_carries_over),
        cmocka_unit_test(test_fingerprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
