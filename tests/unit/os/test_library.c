/*
 * Shared libraries on demand, and clocks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "scratch.h"

#include <os/clock.h>
#include <os/library.h>
#include <run-core/str.h>
#include <string.h>
#include <time.h>

/* A part of the C library, so that it is everywhere. */
static const char math_library[] = "libm.so.6";

struct math {
    double (*cosine)(double x);
    double (*missing)(double x);
};

static const struct core_library_symbol symbols[] = {
    { "cos", offsetof(struct math, cosine) },
    { "rc_no_such_function", offsetof(struct math, missing) },
};

static void fills_the_table(void **state)
{
    struct math math = { NULL, NULL };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_library_load(math_library, symbols, 1, &math, &err), RC_OK);
    assert_non_null(math.cosine);
    assert_true(math.cosine(0.0) == 1.0);
    assert_null(math.missing);
}

static void names_a_missing_function(void **state)
{
    struct math math = { NULL, NULL };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_library_load(math_library, symbols, 2, &math, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "'rc_no_such_function'"));
    assert_non_null(strstr(err.cause, math_library));
}

static void tells_missing_from_broken(void **state)
{
    RC_STR_AUTO missing = scratch_path(*state, "missing.so");
    RC_STR_AUTO broken = scratch_path(*state, "broken.so");
    struct rc_error err = RC_ERROR_INIT;
    struct math math;

    scratch_put(broken, "this is no shared library, but long enough to hold an ELF header......");
    assert_int_equal(core_library_load("librc-no-such.so.9", symbols, 1, &math, &err),
                     RC_NOT_FOUND);
    assert_non_null(strstr(err.cause, "librc-no-such.so.9"));
    assert_int_equal(core_library_load(missing, symbols, 1, &math, &err), RC_NOT_FOUND);
    assert_non_null(strstr(err.cause, missing));
    assert_int_equal(core_library_load(broken, symbols, 1, &math, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, broken));
    assert_int_equal(core_library_load(*state, symbols, 1, &math, &err), RC_INVALID);
}

static void clocks_tick(void **state)
{
    int64_t mono_ms = core_clock_mono_ms();
    int64_t before_s = (int64_t)time(NULL);
    int64_t now_s = core_clock_now_unix_ms() / 1000;

    (void)state;
    /* time() is up to a tick behind. */
    assert_true(now_s >= before_s && now_s <= (int64_t)time(NULL) + 1);
    core_clock_sleep_ms(20);
    int64_t passed_ms = core_clock_mono_ms() - mono_ms;
    assert_true(passed_ms >= 19 && passed_ms < 60000);
    core_clock_sleep_ms(0);
    core_clock_sleep_ms(INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_the_table),
        cmocka_unit_test(names_a_missing_function),
        cmocka_unit_test_setup_teardown(tells_missing_from_broken, scratch_setup, scratch_teardown),
        cmocka_unit_test(clocks_tick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
