/*
 * What the transfer service has already: that it is not asked for again, not brought back, and not
 * moved once it is held.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sts_world.h"

#include "run.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#define POOLED "transferJobs/18 1768478400000 0 3 pools\n"
#define CHANGED "2026-01-15T12:00:00Z"
#define BUCKET "gs://events/"

enum { TEXT_BYTES = 1 << 20, MANY = 1000 };

/* ---- what the state knows -------------------------------------------------------------------- */

/* A record of three prefixes that the service has. */
static void pend(struct google_world *world, struct moving *out, const char *type,
                 const char *includes, const char *excludes)
{
    struct rc_error err = RC_ERROR_INIT;

    make(world, out, type, includes, excludes);
    out->record.transfers = rc_strdup(POOLED);
    out->record.status = SDRS_JOB_PENDING;
    expect_ok(sdrs_jobs_keep(&world->state, &out->record, &err));
}

static void expect_under_way(struct google_world *world, int64_t rule, const char *want)
{
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes found = { .items = NULL };
    RC_BUF_AUTO(text, TEXT_BYTES);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(sdrs_under_way(&world->state, BUCKET, rule, &found, &err));
    sdrs_prefixes_write(&found, &text);
    assert_string_equal(text.data, want);
}

static void test_of_the_bucket(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    MOVING_AUTO(one);
    MOVING_AUTO(other);
    MOVING_AUTO(ended);

    expect_under_way(world, 7, "");
    pend(world, &one, "DATASET", "d/2018/\nd/2019/01/\n", "");
    pend(world, &other, "USER", "d/2018/03/\nx/\n", "");
    pend(world, &ended, "DATASET", "y/\n", "");
    ended.record.status = SDRS_JOB_ERROR;
    expect_ok(sdrs_jobs_keep(&world->state, &ended.record, &err));
    expect_under_way(world, 7, "d/2018/\nd/2019/01/\nx/\n");
    expect_under_way(world, 0, "d/2018/\nd/2019/01/\nx/\n");
}

/* What goes by the age of objects leaves some: it counts for its own rule alone. */
static void test_by_age(void **state)
{
    struct google_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    MOVING_AUTO(moving);

    make(world, &moving, "DEFAULT", "\n", "d/\n");
    moving.record.modified_before_unix_ms = 1;
    expect_ok(sdrs_jobs_add(&world->state, &moving.record, &err)); /* again, with its time */
    moving.record.status = SDRS_JOB_PENDING;
    expect_ok(sdrs_jobs_keep(&world->state, &moving.record, &err));
    expect_under_way(world, 7, "\n");
    expect_under_way(world, 8, "");
}

static enum rc_code check(struct google_world *world, const char *include, struct rc_error *err)
{
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes includes = { .items = NULL };

    sdrs_prefixes_read(include, &includes);
    return sdrs_under_way_check(&world->state, BUCKET, &includes, err);
}

static void test_what_would_be_moved_again(void **state)
{
    static const struct {
        const char *include;
        bool is_free;
    } cases[] = {
        { "d/2018/\n", false },
        { "d/2018/03/\n", false },
        { "d/\n", false },
        { "\n", false },
        { "a/\nd/2018/03/04/log\n", false },
        { "d/2018/12/\n", true }, /* excluded */
        { "d/2018\n", false },
        { "d/2019/\n", true },
        { "", true },
    };
    struct google_world *world = *state;
    MOVING_AUTO(moving);

    pend(world, &moving, "DATASET", "d/2018/\n", "d/2018/12/\n");
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code = check(world, cases[i].include, &err);

        assert_int_equal(code, cases[i].is_free ? RC_OK : RC_CONFLICT);
        if (code)
            expect_in(err.cause, "has not ended job 1, which moves what is below '" BUCKET);
    }
}

/* ---- what is held since ---------------------------------------------------------------------- */

static void hold(struct google_world *world, const char *hold)
{
    RC_STR_AUTO setting = rc_strf("legal_holds=" BUCKET "%s", hold);

    google_configure(world, (const char *const[]){ setting, NULL });
}

static enum rc_code validate(struct google_world *world, struct sdrs_record *record,
                             struct rc_error *err)
{
    *err = (struct rc_error)RC_ERROR_INIT;
    return sdrs_validate_sts(world->job, &world->config, &world->state, record, err);
}

/* The job as 'conditions' say is looked at, and again behind its change. */
static void answer_all(struct google_world *world, const char *conditions, const char *after)
{
    google_answer(world, "/v1/transferOperations?", 2, 200, "{}");
    answer_job(world, "transferJobs/18", "ENABLED", CHANGED, "", conditions);
    google_answer(world, "PATCH", 1, 200, "{}");
    answer_job(world, "transferJobs/18", "ENABLED", CHANGED, "", after);
}

static void test_a_job_that_waits_is_told_less(void **state)
{
    static const struct {
        const char *hold, *before, *includes, *excludes;
    } cases[] = {
        { "b/", "{\"includePrefixes\":[\"a/\",\"b/\",\"c/\"]}", "[\"a/\",\"c/\"]", NULL },
        { "b/1/", "{\"includePrefixes\":[\"a/\",\"b/\",\"c/\"],\"excludePrefixes\":[\"a/x/\"]}",
          "[\"a/\",\"b/\",\"c/\"]", "[\"a/x/\",\"b/1/\"]" },
        /* The whole bucket, of which one prefix has no meaning any more. */
        { "b/", "{\"excludePrefixes\":[\".run-core/\",\"b/1/\"]}", NULL,
          "[\".run-core/\",\"b/\"]" },
    };
    struct google_world *world = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        MOVING_AUTO(moving);
        struct rc_error err;
        size_t patch;

        hold(world, cases[i].hold);
        pend(world, &moving, "DATASET", "a/\nb/\nc/\n", "");
        patch = google_asked(world) + 2;
        answer_all(world, cases[i].before,
                   cases[i].includes ? "{\"includePrefixes\":[\"a/\",\"c/\",\"b/\"]}" : "{}");
        expect_ok(validate(world, &moving.record, &err));
        assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
        expect_in(google_asked_what(world, patch), "PATCH");
        for (int k = 0; k < 2; k++) {
            const char *want = k ? cases[i].excludes : cases[i].includes;
            SDRS_JSON_AUTO have =
                condition(world, patch, k ? "excludePrefixes" : "includePrefixes");

            if (want)
                expect_json(json_incref(have), want);
            else
                assert_null(have);
        }
    }
}

/* A job without includes would move the whole bucket. */
static void test_a_job_with_nothing_left_rests(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    struct rc_error err;

    hold(world, "");
    pend(world, &moving, "DATASET", "a/\nb/\nc/\n", "");
    answer_all(world, "{\"includePrefixes\":[\"a/\",\"b/\",\"c/\"]}", "{}");
    expect_ok(validate(world, &moving.record, &err));
    assert_int_equal(moving.record.status, SDRS_JOB_SUCCESS);
    expect_in(moving.record.message, "is held by now");
    expect_json(google_asked_body(world, 2),
                "{\"projectId\":\"pools\",\"updateTransferJobFieldMask\":\"status\","
                "\"transferJob\":{\"status\":\"DISABLED\"}}");
}

static void test_what_the_job_knows_is_not_told_again(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    struct rc_error err;

    hold(world, "b/");
    pend(world, &moving, "DATASET", "a/\nb/\nc/\n", "");
    answer_all(world, "{\"includePrefixes\":[\"a/\",\"c/\"]}",
               "{\"includePrefixes\":[\"a/\",\"c/\"]}");
    expect_ok(validate(world, &moving.record, &err));
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
    assert_int_equal(google_count(world, "PATCH"), 0);
}

/* It is unknown then, and not pending as if all were well. */
static void test_a_job_that_cannot_be_told(void **state)
{
    struct google_world *world = *state;
    MOVING_AUTO(moving);
    struct rc_error err;

    hold(world, "b/");
    pend(world, &moving, "DATASET", "a/\nb/\nc/\n", "");
    google_refuse(world, "PATCH", 1, 403, "PERMISSION_DENIED", "Not you.");
    answer_all(world, "{\"includePrefixes\":[\"a/\",\"b/\",\"c/\"]}", "{}");
    assert_int_equal(validate(world, &moving.record, &err), RC_DENIED);
    expect_in(err.context, "take out of the transfer job 'transferJobs/18' what is held");
    assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
}

static void test_each_call_fails_once(void **state)
{
    bool failed = true;

    (void)state;
    for (int n = 1; failed; n++) {
        struct google_world *world;
        MOVING_AUTO(moving);
        struct rc_error err;

        (void)google_set_up((void **)&world);
        hold(world, "b/");
        pend(world, &moving, "DATASET", "a/\nb/\nc/\n", "");
        answer_all(world, "{\"includePrefixes\":[\"a/\",\"b/\",\"c/\"]}",
                   "{\"includePrefixes\":[\"a/\",\"c/\"]}");
        rc_fake_host_fail_at(world->host, n, RC_UNAVAILABLE);
        failed = validate(world, &moving.record, &err) != RC_OK;
        assert_int_equal(moving.record.status, SDRS_JOB_PENDING);
        if (!failed)
            assert_int_equal(google_count(world, "PATCH"), 1);
        assert_true(n < MANY);
        (void)google_tear_down((void **)&world);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, google_set_up, google_tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_of_the_bucket),
        TEST(test_by_age),
        TEST(test_what_would_be_moved_again),
        TEST(test_a_job_that_waits_is_told_less),
        TEST(test_a_job_with_nothing_left_rests),
        TEST(test_what_the_job_knows_is_not_told_again),
        TEST(test_a_job_that_cannot_be_told),
        cmocka_unit_test(test_each_call_fails_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
