/*
 * The sample plugin 'copy', as a built file, on the fake host: what a test of a plugin looks like.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <stdlib.h>

static const char *const settings[] = { "source=s3://a/b", "target=s3://a/c", NULL };
static const struct rc_plugin *copy;

static int load(void **state)
{
    (void)state;
    struct rc_error err;
    RC_STR_AUTO path = rc_strf("%s/test-plugins/copy.so", getenv("RUN_CORE_BUILD"));
    if (rc_fake_host_load(path, &copy, &err)) {
        print_error("%s\n", err.cause);
        return -1;
    }
    return 0;
}

static void prepare(struct rc_fake_host *host, void *context)
{
    (void)context;
    rc_fake_host_put(host, "s3://a/b", "hello", 5);
}

static void test_copies(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err;
    prepare(host, NULL);
    assert_int_equal(rc_fake_host_run(host, copy, NULL, settings, &err), RC_OK);
    assert_string_equal(rc_fake_host_object(host, "s3://a/c", NULL), "hello");
    assert_int_equal(rc_fake_host_counter(host, "bytes_copied"), 5);
    assert_string_equal(rc_fake_host_log(host), "info: copied 5 bytes to 's3://a/c'\n");
}

static void test_reports_what_is_missing(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err;
    assert_int_equal(rc_fake_host_run(host, copy, NULL, settings, &err), RC_NOT_FOUND);
    assert_string_equal(err.context, "read 's3://a/b'");
}

static void test_keeps_the_limit(void **state)
{
    (void)state;
    const char *const small[] = { "source=s3://a/b", "target=s3://a/c", "limit=4", NULL };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err;
    prepare(host, NULL);
    assert_int_equal(rc_fake_host_run(host, copy, NULL, small, &err), RC_TOO_LARGE);
}

static void test_refuses_bad_options(void **state)
{
    (void)state;
    static const struct {
        const char *settings[4], *cause;
    } cases[] = {
        { { "source=s3://a/b" }, "option 'target' is required" },
        { { "source=x", "target=x" }, "source and target are both 'x'" },
        { { "source=x", "target=y", "limit=0" }, "option 'limit' cannot be '0'" },
        { { "source=x", "target=y", "speed=0" }, "there is no option 'speed'" },
    };
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error err;
        assert_int_equal(rc_fake_host_run(host, copy, NULL, cases[i].settings, &err), RC_INVALID);
        assert_string_equal(err.cause, cases[i].cause);
    }
}

static void test_survives_every_failure(void **state)
{
    (void)state;
    struct rc_error err;
    int calls;
    enum rc_code code = rc_fake_host_torture(copy, NULL, settings, prepare, NULL, &calls, &err);
    if (code)
        fail_msg("%s: %s", err.context, err.cause);
    assert_int_equal(calls, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_reports_what_is_missing),
        cmocka_unit_test(test_keeps_the_limit),
        cmocka_unit_test(test_refuses_bad_options),
        cmocka_unit_test(test_survives_every_failure),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
