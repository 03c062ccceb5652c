/*
 * The whole plugin while things go wrong or others are at work: calls that fail or whose answer is
 * lost, a run that is asked to stop, other writers, lost leases, a write of a dead run that lands
 * late, an engine that disagrees. After one more run all is as it should be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crash_world.h"
#include "run.h"

#include <stdlib.h>

/* From one call to the next that is looked at: with RUN_CORE_FULL each of them is. */
static int stride(void)
{
    return getenv("RUN_CORE_FULL") ? 1 : 3;
}

/* ---- faults that are not deadly ------------------------------------------------------------- */

/* The call is made and its answer lost, as by a connection that breaks; or it is not made. */
static void lose_answers(unsigned flags, int step)
{
    /* Of a conflict the plugin waits for the end, which takes a while; so not at each call. */
    static const struct {
        enum rc_code code;
        int stride;
    } faults[] = { { RC_UNAVAILABLE, 1 }, { RC_TIMEOUT, 7 }, { RC_CONFLICT, 11 } };
    int calls = undisturbed_calls(flags);

    for (int n = step; n <= calls; n += step) {
        for (size_t i = 0; i < 2 * RC_ARRAY_LEN(faults); i++) {
            if (n % (faults[i / 2].stride * (i % 2 ? 1 : stride())) != 0)
                continue;
            struct rc_fake_host *host = new_world(flags);
            struct rc_error err = RC_ERROR_INIT;

            rc_fake_host_on_call(host, only_follow, NULL);
            if (i % 2)
                rc_fake_host_lose_at(host, n, faults[i / 2].code);
            else
                rc_fake_host_fail_at(host, n, faults[i / 2].code);
            (void)!clean(host, flags, &err);
            assert_int_equal(rc_fake_host_open_handles(host), 0);
            assert_ends_well(host, flags);
            rc_fake_host_free(host);
        }
    }
}

static void test_any_answer_may_be_lost(void **state)
{
    (void)state;
    lose_answers(KEEPS, 1);
    lose_answers(ELSEWHERE, stride()); /* what follows the search is the same */
}

static void cancel_anywhere(unsigned flags)
{
    int calls = undisturbed_calls(flags);

    for (int n = 1; n <= calls; n += stride()) {
        struct rc_fake_host *host = new_world(flags);
        struct rc_error err = RC_ERROR_INIT;

        rc_fake_host_on_call(host, only_follow, NULL);
        rc_fake_host_cancel_at(host, n);
        assert_int_equal(clean(host, flags, &err), RC_CANCELLED);
        assert_ends_well(host, flags);
        rc_fake_host_free(host);
    }
}

static void test_cancelled_anywhere(void **state)
{
    (void)state;
    cancel_anywhere(KEEPS);
    cancel_anywhere(ELSEWHERE);
}

/* ---- others at the same time ---------------------------------------------------------------- */

struct other {
    int at; /* the call before which it acts */
    bool acted;
    void (*act)(struct other *other, struct rc_fake_host *host);
    struct file file;
    const char *data;
    size_t len;
};

static void on_call(void *context, struct rc_fake_host *host, int n, const char *service,
                    const char *subject)
{
    struct other *other = context;

    follow(service, subject);
    if (n < other->at || other->acted)
        return;
    other->acted = true;
    other->act(other, host);
}

static void replace_file(struct other *other, struct rc_fake_host *host)
{
    put_file(host, &other->file);
}

/*
 * Another program writes the file anew at some call. What it wrote stays, without the users; only
 * if it came after the search that goes before the archive, it is there as it was written.
 */
static void somebody_replaces_a_file(unsigned flags)
{
    static const struct file anew = { FILE_A, { "kim", "ada", "zoe", "ada", "bob" }, 'n', true };
    int calls = undisturbed_calls(flags), untouched = 0;
    bool was_touched = true;

    for (int n = 1; n <= calls; n += stride()) {
        struct rc_fake_host *host = new_world(flags);
        struct rc_error err = RC_ERROR_INIT;
        struct other other = { .at = n, .act = replace_file, .file = anew };
        int64_t rows;

        rc_fake_host_on_call(host, on_call, &other);
        (void)!clean(host, flags, &err);
        assert_no_names(host);
        finish(host, flags);
        assert_tidy(host);
        rows = recorded(host, "ada", 7) - 1; /* the row of the other file */
        if (is_file(host, &anew, true)) {
            assert_true(was_touched); /* early enough once is early enough before */
            assert_true(rows == 2 || rows == 4);
        } else {
            assert_true(is_file(host, &anew, false));
            assert_int_equal(rows, 2);
            was_touched = false;
            untouched++;
        }
        rc_fake_host_free(host);
    }
    assert_true(untouched > 0 && untouched < calls / 3);
}

static void test_somebody_replaces_a_file(void **state)
{
    (void)state;
    somebody_replaces_a_file(KEEPS);
    somebody_replaces_a_file(ELSEWHERE);
}

static void remove_file(struct other *other, struct rc_fake_host *host)
{
    rc_fake_host_remove(host, other->file.uri);
}

static void somebody_removes_a_file(unsigned flags)
{
    int calls = undisturbed_calls(flags);

    for (int n = 1; n <= calls; n += stride()) {
        struct rc_fake_host *host = new_world(flags);
        struct rc_error err = RC_ERROR_INIT;
        struct other other = { .at = n, .act = remove_file, .file = files[0] };

        rc_fake_host_on_call(host, on_call, &other);
        (void)!clean(host, flags, &err);
        finish(host, flags);
        assert_tidy(host);
        assert_null(rc_fake_host_object(host, FILE_A, NULL));
        rc_fake_host_free(host);
    }
}

static void test_somebody_removes_a_file(void **state)
{
    (void)state;
    somebody_removes_a_file(0);
    somebody_removes_a_file(ELSEWHERE);
}

#define LATER "shard=7/day=2024-10-05/_user_ada_day_2024-10-10"

static void add_marker(struct other *other, struct rc_fake_host *host)
{
    (void)other;
    rc_fake_host_put(host, MARKERS LATER, "", 0);
}

/*
 * A marker is added at some call, and with it the shard's range grows by the day of another file.
 * Either the run has seen it, and that file is clean as well, or it is left for the next one.
 */
static void test_somebody_adds_a_marker(void **state)
{
    int calls = undisturbed_calls(0), seen = 0, left = 0;
    struct file further = files[3];

    (void)state;
    further.is_cleaned = true;
    for (int n = 1; n <= calls; n += stride()) {
        struct rc_fake_host *host = new_world(0);
        struct rc_error err = RC_ERROR_INIT;
        struct other other = { .at = n, .act = add_marker };

        rc_fake_host_on_call(host, on_call, &other);
        assert_int_equal(clean(host, 0, &err), RC_OK);
        if (rc_fake_host_object(host, ARCHIVE LATER, NULL)) {
            assert_true(is_file(host, &further, true));
            seen++;
        } else {
            assert_non_null(rc_fake_host_object(host, MARKERS LATER, NULL));
            assert_true(is_file(host, &further, false));
            left++;
        }
        finish(host, 0);
        assert_non_null(rc_fake_host_object(host, ARCHIVE LATER, NULL));
        assert_true(is_file(host, &further, true));
        rc_fake_host_free(host);
    }
    assert_true(seen > 0 && left > 0);
}

static void lose_locks(struct other *other, struct rc_fake_host *host)
{
    (void)other;
    rc_fake_host_lose_locks(host);
}

static void test_the_lease_is_lost(void **state)
{
    int calls = undisturbed_calls(KEEPS);

    (void)state;
    for (int n = 1; n <= calls; n += stride()) {
        struct rc_fake_host *host = new_world(KEEPS);
        struct rc_error err = RC_ERROR_INIT;
        struct other other = { .at = n, .act = lose_locks };

        rc_fake_host_on_call(host, on_call, &other);
        (void)!clean(host, KEEPS, &err);
        assert_ends_well(host, KEEPS);
        rc_fake_host_free(host);
    }
}

/* The store carries out a write of the run that was killed while the next one is at work. */
static void land(struct other *other, struct rc_fake_host *host)
{
    if (is_file(host, &files[0], false))
        rc_fake_host_put(host, FILE_A, other->data, other->len);
}

/* The call that publishes the new file; dies there. */
static void die_at_commit(void *context, struct rc_fake_host *host, int n, const char *service,
                          const char *subject)
{
    int *at = context;

    (void)host;
    follow(service, subject);
    if (*at == 0 && rc_str_eq(service, "storage.commit"))
        *at = n;
}

static void test_a_write_lands_late(void **state)
{
    struct rc_fake_host *host = new_world(0);
    struct rc_error err = RC_ERROR_INIT;
    struct other other = { .act = land };
    int commit_at = 0, calls;

    (void)state;
    rc_fake_host_on_call(host, die_at_commit, &commit_at);
    assert_int_equal(clean(host, 0, &err), RC_OK);
    calls = rc_fake_host_calls(host);
    const char *data = rc_fake_host_object(host, FILE_A, &other.len);
    char *copy = rc_malloc(other.len);
    memcpy(copy, data, other.len);
    rc_fake_host_free(host);
    other.data = copy;

    for (int n = 1; n <= calls; n++) {
        host = new_world(0);
        die(host, 0, commit_at, false);
        rc_fake_host_revive(host);
        other.at = n;
        other.acted = false;
        rc_fake_host_on_call(host, on_call, &other);
        (void)!clean(host, 0, &err);
        finish(host, 0);
        assert_clean(host);
        assert_record(host);
        rc_fake_host_free(host);
    }
    free(copy);
}

static void test_another_run_has_the_shard(void **state)
{
    struct rc_fake_host *host = new_world(0);
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_config config = { 0 };
    struct dsr_places places;
    const char *const settings[] = {
        "markersBaseFolder=s3://b/markers",
        "markersArchiveFolder=s3://b/archive",
        "cleanupTables[0].piTable=events",
        "cleanupTables[0].userIdColumn=id",
        "cleanupTables[0].sourceS3Folder=s3://b/events",
        NULL,
    };

    (void)state;
    assert_int_equal(rc_fake_host_bind(host, dsr_options, &config, settings, &err), RC_OK);
    assert_int_equal(dsr_places_make(&config, "/crash", &places, &err), RC_OK);
    RC_STR_AUTO name = rc_strf("dsr %s shard 7", places.scope);
    dsr_places_clear(&places);
    rc_fake_host_hold_lock(host, name, true);
    rc_fake_host_on_call(host, only_follow, NULL);
    assert_int_equal(clean(host, 0, &err), RC_SKIPPED);
    for (size_t i = 0; i < FILES; i++)
        assert_true(is_file(host, &files[i], files[i].letter == 'e'));
    rc_fake_host_hold_lock(host, name, false);
    finish(host, 0);
    assert_clean(host);
    assert_record(host);
    rc_fake_host_free(host);
}

/* ---- the second opinion --------------------------------------------------------------------- */

/* The engine finds a row where the plugin found none: nothing is archived, nothing kept is lost. */
static void test_a_post_check_that_finds_rows(void **state)
{
    struct rc_fake_host *host = new_world(KEEPS);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fake_host_on_call(host, only_follow, NULL);
    engine_lies = 1;
    assert_int_equal(clean(host, KEEPS, &err), RC_FAILED);
    engine_lies = 0;
    assert_non_null(strstr(rc_fake_host_log(host), "still in"));
    assert_string_equal(rc_fake_host_objects(host, ARCHIVE), "");
    for (size_t i = 0; i < MARKED; i++) {
        RC_STR_AUTO uri = rc_strf(MARKERS "%s", markers[i]);

        assert_non_null(rc_fake_host_object(host, uri, NULL));
    }
    assert_string_not_equal(rc_fake_host_objects(host, BACKUPS), "");
    finish(host, KEEPS);
    assert_clean(host);
    assert_record(host);
    rc_fake_host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_answer_may_be_lost),
        cmocka_unit_test(test_cancelled_anywhere),
        cmocka_unit_test(test_somebody_replaces_a_file),
        cmocka_unit_test(test_somebody_removes_a_file),
        cmocka_unit_test(test_somebody_adds_a_marker),
        cmocka_unit_test(test_the_lease_is_lost),
        cmocka_unit_test(test_a_write_lands_late),
        cmocka_unit_test(test_another_run_has_the_shard),
        cmocka_unit_test(test_a_post_check_that_finds_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
