/*
 * Removals on a condition from a server that knows none for them: what was replaced stays, whether
 * its neighbours go too or it is looked at alone.
 */
#include "s3_fixture.h"

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 300 };

static struct s3_world world;

static int open_world(void **state)
{
    (void)state;
    s3_world_open(&world, NULL);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    s3_world_close(&world);
    return 0;
}

static enum rc_code put_numbered(void *context, size_t number, struct rc_error *err)
{
    RC_STR_AUTO key = rc_strf("folder/%03zu", number);
    struct core_place_in_store place = s3_place(&world, key);
    const struct rc_put_options options = { .struct_bytes = sizeof(options), .size_bytes = 4 };
    struct rc_stat *stats = context;

    return core_s3_put(&place, "text", 4, &options, &stats[number], err);
}

static void replace(size_t number)
{
    RC_STR_AUTO key = rc_strf("folder/%03zu", number);
    struct core_place_in_store place = s3_place(&world, key);
    const struct rc_put_options options = { .struct_bytes = sizeof(options), .size_bytes = 3 };
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_s3_put(&place, "new", 3, &options, NULL, &err));
}

/* A bit for each that stays, by its number. */
struct told {
    size_t step;
    bool stays[KEYS];
};

static void tell(void *context, size_t index, const struct rc_error *err)
{
    struct told *told = context;

    assert_int_equal(err->code, RC_CONFLICT);
    assert_non_null(strstr(err->cause, "was replaced"));
    told->stays[index * told->step] = true;
}

/* Removes each of that step, backwards in the order of keys. */
static void remove_all(const struct rc_stat *stats, struct told *told)
{
    const struct core_remove_report report = { .failed = tell, .context = told };
    struct core_place_in_store places[KEYS];
    struct rc_error err = RC_ERROR_INIT;
    char *keys[KEYS];
    size_t count = 0;

    for (size_t number = 0; number < KEYS; number += told->step, count++) {
        keys[count] = rc_strf("folder/%03zu", number);
        places[count] = s3_place(&world, keys[count]);
        places[count].remove_if_match = stats[number].etag;
    }
    expect_ok(core_s3_remove(places, count, &report, &err));
    while (count > 0)
        free(keys[--count]);
}

static void expect_there(size_t number, bool is_there)
{
    RC_STR_AUTO key = rc_strf("folder/%03zu", number);
    struct core_place_in_store place = s3_place(&world, key);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    assert_int_equal(core_s3_stat(&place, &stat, NULL, &err), is_there ? RC_OK : RC_NOT_FOUND);
}

static void leave_what_was_replaced(size_t step)
{
    struct told told = { .step = step };
    struct rc_stat stats[KEYS];
    struct rc_error err = RC_ERROR_INIT;
    struct core_place_in_store gone = s3_place(&world, "folder/120");

    expect_ok(core_s3_each(KEYS, CORE_S3_AT_ONCE, put_numbered, stats, &err));
    replace(0);
    replace(60);
    replace(61);
    replace(KEYS - step);
    expect_ok(core_s3_remove(&gone, 1, NULL, &err));
    remove_all(stats, &told);
    for (size_t number = 0; number < KEYS; number++) {
        bool replaced =
            number == 0 || number == 60 || number == KEYS - step || (number == 61 && step == 1);

        assert_int_equal(told.stays[number], replaced);
        if (number % 20 < 2 || number >= KEYS - step)
            expect_there(number, number != 120 && (replaced || number % step != 0));
    }
}

static void neighbours(void **state)
{
    (void)state;
    leave_what_was_replaced(1);
}

static void scattered(void **state)
{
    (void)state;
    leave_what_was_replaced(20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(neighbours, open_world, close_world),
        cmocka_unit_test_setup_teardown(scattered, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
