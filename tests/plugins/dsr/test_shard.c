/*
 * What a run says of a file that it cannot clean, and that nothing else is kept from being cleaned.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crash_world.h"
#include "run.h"

/* The run's end, where only FILE_A could not be cleaned and lies there as 'what'. */
static void assert_left(struct rc_fake_host *host, enum rc_code code, const struct rc_error *err,
                        const struct file *what)
{
    int64_t done, total;

    assert_int_equal(code, RC_FAILED);
    assert_non_null(strstr(err->cause, "1 of 2 shards failed"));
    assert_int_equal(rc_fake_host_open_handles(host), 0);
    assert_int_equal(rc_fake_host_counter(host, "shards_failed"), 1);
    assert_true(is_file(host, what, false));
    for (size_t i = 1; i < FILES; i++)
        assert_true(is_file(host, &files[i], true));
    assert_non_null(strstr(rc_fake_host_objects(host, MARKERS), "shard=7/day=2024-10-01"));
    assert_non_null(strstr(rc_fake_host_objects(host, MARKERS), "shard=7/day=2024-10-02"));
    assert_null(strstr(rc_fake_host_objects(host, MARKERS), "shard=8/"));
    assert_no_names(host);
    rc_fake_host_progress(host, &done, &total);
    assert_int_equal(done, 2); /* shards */
    assert_int_equal(total, 2);
}

/* It says that the object is another one each time, and it never is. */
static void test_a_store_without_conditions(void **state)
{
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(KEEPS);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fake_host_on_call(host, only_follow, NULL);
    rc_fake_host_fail_on(host, "storage.commit", FILE_A, -1, RC_CONFLICT);
    assert_left(host, clean(host, KEEPS, &err), &err, &files[0]);
    assert_non_null(strstr(rc_fake_host_log(host), "the store refuses a write on the condition"));
    finish(host, KEEPS);
    assert_clean(host);
    assert_record(host);
}

static const struct file anew[] = {
    { FILE_A, { "kim", "ada", "zoe" }, 'n', true },
    { FILE_A, { "ada", "leo", "bob", "max" }, 'm', true },
};

/* Before each write, as another program would that never rests. */
static void replace_always(void *context, struct rc_fake_host *host, int n, const char *service,
                           const char *subject)
{
    int *times = context;

    (void)n;
    follow(service, subject);
    if (rc_str_eq(service, "storage.commit") && rc_str_eq(subject, FILE_A))
        put_file(host, &anew[++*times % 2]);
}

static void test_somebody_who_never_rests(void **state)
{
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(KEEPS);
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;
    int times = 0;

    (void)state;
    rc_fake_host_on_call(host, replace_always, &times);
    code = clean(host, KEEPS, &err);
    assert_int_equal(times, 5);
    assert_left(host, code, &err, &anew[1]);
    assert_non_null(strstr(rc_fake_host_log(host), "somebody else replaced it 5 times"));
    finish(host, KEEPS);
    assert_true(is_file(host, &anew[1], true));
    assert_tidy(host);
    assert_int_equal(recorded(host, "ada", 7), 2); /* one of them in the other file */
}

/* Whatever it is that the store does not let us do, the error says of which object and what. */
static void test_what_is_denied_is_named(void **state)
{
    static const struct {
        const char *service, *said;
    } denied[] = {
        { "storage.open_with", "search it" },
        { "storage.create", "replace it" },
        { "storage.commit", "replace it" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(denied); i++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(0);
        struct rc_error err = RC_ERROR_INIT;

        rc_fake_host_on_call(host, only_follow, NULL);
        rc_fake_host_fail_on(host, denied[i].service, FILE_A, -1, RC_DENIED);
        assert_left(host, clean(host, 0, &err), &err, &files[0]);
        const char *told = strstr(rc_fake_host_log(host), "error: ");
        assert_non_null(told);
        assert_non_null(strstr(told, FILE_A));
        assert_non_null(strstr(told, denied[i].said));
        finish(host, 0);
        assert_clean(host);
        assert_record(host);
    }
}

/* A file of which nothing remains goes by a condition, too. */
static void test_a_removal_that_is_denied(void **state)
{
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(KEEPS);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fake_host_on_call(host, only_follow, NULL);
    rc_fake_host_fail_on(host, "storage.remove_with", files[1].uri, -1, RC_DENIED);
    assert_int_equal(clean(host, KEEPS, &err), RC_FAILED);
    assert_non_null(strstr(rc_fake_host_log(host), "remove it"));
    assert_true(is_file(host, &files[0], true));
    assert_true(is_file(host, &files[1], false));
    assert_sound(host);
    finish(host, KEEPS);
    assert_clean(host);
    assert_record(host);
}

/* For ThreadSanitizer: files at once share scratch space, sessions, journal and result. */
static void test_several_files_at_once(void **state)
{
    enum { FLAGS = KEEPS | VERSIONS | REMOVES };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(FLAGS);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fake_host_on_call(host, only_follow, NULL);
    assert_int_equal(clean(host, FLAGS | THREADS, &err), RC_OK);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
    for (size_t i = 0; i < FILES; i++)
        assert_true(is_file(host, &files[i], i < FILES - 1));
    assert_int_equal(rc_fake_host_counter(host, "rows_deleted"), 6);
    assert_int_equal(rc_fake_host_counter(host, "versions_removed"), 2);
    finish(host, FLAGS);
    assert_clean(host);
    assert_record(host);
}

/* The last shards have the threads of those that are done, and never are there more of them. */
static void test_the_width_is_shared(void **state)
{
    static const struct dsr_config config = { .width = 5 };
    static const struct {
        size_t left, share;
    } cases[] = { { 9, 1 }, { 5, 1 }, { 4, 1 }, { 3, 1 }, { 2, 2 }, { 1, 5 }, { 0, 5 } };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct dsr_run run = { .config = &config, .shards_left = cases[i].left };

        assert_int_equal(dsr_share(&run), cases[i].share);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_store_without_conditions),
        cmocka_unit_test(test_somebody_who_never_rests),
        cmocka_unit_test(test_what_is_denied_is_named),
        cmocka_unit_test(test_a_removal_that_is_denied),
        cmocka_unit_test(test_several_files_at_once),
        cmocka_unit_test(test_the_width_is_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
