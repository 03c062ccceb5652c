/*
 * Sessions on SQL engines elsewhere: their names, who is over, and what they count.
 */
#include <runtime/sql_session.h>

#include <os/file.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    char folder[64];
    struct core_request request;
    struct core_run run;
    struct core_job job;
    struct rc_error err;
};

static int set_up(void **state)
{
    struct fixture *f = rc_calloc(1, sizeof(*f));

    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/run-core-sql-session-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    setenv("RUN_CORE_STATE", f->folder, 1);
    f->run = (struct core_run){ .request = &f->request, .status = core_status_new() };
    pthread_mutex_init(&f->run.opening, NULL);
    (void)snprintf(f->run.id, sizeof(f->run.id), "20260229t103000-0123abcd");
    f->job = (struct core_job){
        .job = { .host = &core_host, .run_id = f->run.id },
        .run = &f->run,
        .cancel = &f->run.status->cancel,
    };
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    core_db_close(f->run.db);
    core_status_unmap(f->run.status);
    pthread_mutex_destroy(&f->run.opening);
    assert_int_equal(core_tree_remove(f->folder, &f->err), RC_OK);
    free(f);
    return 0;
}

static void begin(struct fixture *f, struct core_sql_session *session,
                  struct core_sql_context *context)
{
    *context = (struct core_sql_context){ .temp_dir = "" };
    if (core_sql_session_begin(session, &f->job, context, &f->err))
        fail_msg("%s: %s", f->err.context, f->err.cause);
}

static void a_session_is_named_after_its_run_and_no_other_is(void **state)
{
    struct core_sql_session first, second;
    struct core_sql_context context;
    struct fixture *f = *state;

    begin(f, &first, &context);
    assert_ptr_equal(context.session, first.name);
    assert_true(rc_str_starts(first.name, "rc_20260229t103000_0123abcd_"));
    assert_int_equal(strlen(first.name), 36);
    assert_int_equal(strspn(first.name, "abcdefghijklmnopqrstuvwxyz0123456789_"), 36);
    begin(f, &second, &context);
    assert_string_not_equal(first.name, second.name);
    core_sql_session_end(&second);
    core_sql_session_end(&first);
    core_sql_session_end(&first); /* as after one that could not begin */
}

static void a_name_that_was_given_by_hand_is_made_fit(void **state)
{
    struct core_sql_session session;
    struct core_sql_context context;
    struct fixture *f = *state;

    (void)snprintf(f->run.id, sizeof(f->run.id), "My-Run-0123456789-0123456789-0123456");
    begin(f, &session, &context);
    assert_true(rc_str_starts(session.name, "rc_my_run_0123456789_0123456789_012"));
    assert_true(strlen(session.name) <= 48);
    core_sql_session_end(&session);
}

static void a_session_is_over_when_its_lock_is_free(void **state)
{
    struct core_sql_session session, other;
    struct core_sql_context context, others;
    struct fixture *f = *state;

    begin(f, &session, &context);
    begin(f, &other, &others);
    RC_STR_AUTO name = rc_strdup(other.name);
    assert_false(context.is_over(context.is_over_context, session.name));
    assert_false(context.is_over(context.is_over_context, name));
    core_sql_session_end(&other);
    assert_true(context.is_over(context.is_over_context, name));
    assert_true(context.is_over(context.is_over_context, name)); /* a look changes nothing */
    core_sql_session_end(&session);
}

static void a_session_of_another_state_is_over_when_it_is_old(void **state)
{
    struct core_sql_session session;
    struct core_sql_context context;
    struct fixture *f = *state;

    begin(f, &session, &context);
    assert_true(context.is_over(context.is_over_context, "rc_20200101t000000_00000000_00000000"));
    assert_false(context.is_over(context.is_over_context, "rc_29990101t000000_00000000_00000000"));
    assert_false(context.is_over(context.is_over_context, "somebody_elses"));
    core_sql_session_end(&session);
}

static void old_is_more_than_a_week(void **state)
{
    const int64_t noon = rc_day_from_date(2026, 3, 8) * RC_DAY_MS + RC_DAY_MS / 2;

    (void)state;
    assert_false(core_sql_session_is_old("rc_20260301t000000_0_0", noon));
    assert_true(core_sql_session_is_old("rc_20260228t235959_0_0", noon));
    assert_false(core_sql_session_is_old("rc_20260308t000000_0_0", noon));
    assert_false(core_sql_session_is_old("rc_20260309t000000_0_0", noon));
    assert_false(core_sql_session_is_old("rc_20201341t000000_0_0", noon));
    assert_false(core_sql_session_is_old("rc_20200101x000000_0_0", noon));
    assert_false(core_sql_session_is_old("rc_2020010t000000_0_0", noon));
    assert_false(core_sql_session_is_old("rc_", noon));
    assert_false(core_sql_session_is_old("", noon));
}

static void a_dry_run_takes_no_lock_and_sweeps_nothing(void **state)
{
    struct core_sql_session session;
    struct core_sql_context context;
    struct fixture *f = *state;

    f->job.job.dry_run = true;
    begin(f, &session, &context);
    assert_null(session.lock);
    assert_null(context.is_over);
    assert_null(f->run.db);
    core_sql_session_end(&session);
}

static int64_t counter(const struct core_status *status, const char *name)
{
    for (size_t i = 0; i < core_status_counters(status); i++)
        if (strcmp(status->counters[i].name, name) == 0)
            return atomic_load(&status->counters[i].value);
    return -1;
}

static void what_statements_read_and_cost_is_counted(void **state)
{
    struct core_sql_session session;
    struct core_sql_context context;
    struct fixture *f = *state;

    begin(f, &session, &context);
    assert_int_equal(counter(f->run.status, "bytes_scanned"), -1);
    context.on_scanned(context.scanned_context, 1000, 48);
    context.on_scanned(context.scanned_context, 500, 0);
    assert_int_equal(counter(f->run.status, "bytes_scanned"), 1500);
    assert_int_equal(counter(f->run.status, "cost_micros"), 48);
    assert_int_equal(atomic_load(&session.statements), 2);
    core_sql_session_end(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_session_is_named_after_its_run_and_no_other_is),
        TEST(a_name_that_was_given_by_hand_is_made_fit),
        TEST(a_session_is_over_when_its_lock_is_free),
        TEST(a_session_of_another_state_is_over_when_it_is_old),
        TEST(old_is_more_than_a_week),
        TEST(a_dry_run_takes_no_lock_and_sweeps_nothing),
        TEST(what_statements_read_and_cost_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
