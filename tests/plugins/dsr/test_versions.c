/*
 * Older versions that hold a user: told or removed, and what is said where they may not be seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crash_world.h"

#define OLD "PAR1 of long ago PAR1"

/* A run of the world as it is, from which nothing is expected yet. */
static enum rc_code run(struct rc_fake_host *host, unsigned flags, struct rc_error *err)
{
    rc_fake_host_on_call(host, only_follow, NULL);
    enum rc_code code = clean(host, flags, err);

    assert_int_equal(rc_fake_host_open_handles(host), 0);
    return code;
}

static size_t count_lines(const char *text, const char *having)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, having)); at++)
        count++;
    return count;
}

static void test_they_are_told_of(void **state)
{
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(VERSIONS);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(run(host, VERSIONS, &err), RC_OK);
    assert_clean(host);
    assert_non_null(strstr(rc_fake_host_said(host),
                           "shard 7: 2 older versions of 2 objects still hold a user; set "
                           "delete_old_versions: true\n"));
    assert_non_null(strstr(rc_fake_host_said(host), "shard 8: 1 older version of 1 object still"));
    assert_int_equal(rc_fake_host_counter(host, "old_versions"), 3);
    assert_int_equal(rc_fake_host_counter(host, "versions_removed"), 0);
}

static void test_they_are_removed(void **state)
{
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(VERSIONS);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    put_file(host, &files[2]); /* holds nobody, so that its older version stays */
    put_file(host, &files[3]); /* of a day that nobody asked for */
    assert_int_equal(run(host, VERSIONS | REMOVES, &err), RC_OK);
    assert_clean(host);
    assert_int_equal(rc_fake_host_counter(host, "versions_removed"), 3);
    assert_null(strstr(rc_fake_host_said(host), "older version"));
    for (size_t i = 0; i < FILES; i++) {
        const char *kept = rc_fake_host_versions(host, files[i].uri);

        assert_int_equal(count_lines(kept, files[i].uri), i == 2 || i == 3 ? 2 : 1);
    }
}

/* One that is damaged may hold a user; it is never removed. */
static void test_what_cannot_be_searched_stays(void **state)
{
    (void)state;
    for (unsigned removes = 0; removes <= REMOVES; removes += REMOVES) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(VERSIONS);
        struct rc_error err = RC_ERROR_INIT;

        rc_fake_host_put(host, files[2].uri, OLD, strlen(OLD));
        put_file(host, &files[2]);
        assert_int_equal(run(host, VERSIONS | removes, &err), RC_OK);
        assert_clean(host);
        assert_non_null(strstr(rc_fake_host_log(host), "cannot be searched and may hold a user: "));
        assert_int_equal(rc_fake_host_counter(host, "old_versions"), removes ? 1 : 4);
        assert_int_equal(count_lines(rc_fake_host_versions(host, files[2].uri), files[2].uri), 3);
    }
}

static const enum rc_code refusals[] = { RC_DENIED, RC_UNSUPPORTED };

static void test_who_may_see_none_erases_all_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(refusals); i++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(VERSIONS);
        struct rc_error err = RC_ERROR_INIT;

        rc_fake_host_fail_on(host, "storage.versions", LAKE "shard=7", -1, refusals[i]);
        assert_int_equal(run(host, VERSIONS, &err), RC_OK);
        assert_clean(host);
        assert_record(host);
        assert_non_null(strstr(rc_fake_host_log(host),
                               "warn: shard 7 of the table 'events': nobody knows whether older "
                               "versions hold a user: list the versions below"));
        assert_non_null(strstr(rc_fake_host_said(host), "shard 7: older versions could not be"));
        assert_null(strstr(rc_fake_host_said(host), "shard 8: older versions could not be"));
        assert_int_equal(rc_fake_host_counter(host, "shards_hiding_versions"), 1);
        assert_int_equal(rc_fake_host_counter(host, "old_versions"), 1);
    }
}

static void test_who_may_see_none_removes_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(refusals); i++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(VERSIONS);
        struct rc_error err = RC_ERROR_INIT;

        rc_fake_host_fail_on(host, "storage.versions", LAKE "shard=7", -1, refusals[i]);
        assert_int_equal(run(host, VERSIONS | REMOVES, &err), RC_FAILED);
        assert_sound(host);
        assert_non_null(strstr(err.cause, "1 of 2 shards failed"));
        assert_non_null(strstr(err.cause, "look at older versions"));
        assert_non_null(strstr(rc_fake_host_objects(host, MARKERS), "shard=7/"));
        assert_null(strstr(rc_fake_host_objects(host, MARKERS), "shard=8/"));
        finish(host, VERSIONS | REMOVES);
        assert_clean(host);
        assert_record(host);
        assert_int_equal(count_lines(rc_fake_host_versions(host, FILE_A), FILE_A), 1);
    }
}

/* From the first listing of versions on, nothing of that shard may be read. */
static void deny_reading(void *context, struct rc_fake_host *host, int n, const char *service,
                         const char *subject)
{
    bool *denied = context;

    (void)n;
    follow(service, subject);
    if (*denied || !rc_str_eq(service, "storage.versions") || !rc_str_starts(subject, LAKE))
        return;
    *denied = true;
    rc_fake_host_fail_on(host, "storage.open_with", subject, -1, RC_DENIED);
}

static void test_who_may_read_none_is_told(void **state)
{
    (void)state;
    for (unsigned removes = 0; removes <= REMOVES; removes += REMOVES) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = new_world(VERSIONS);
        struct rc_error err = RC_ERROR_INIT;
        bool denied = false;

        rc_fake_host_on_call(host, deny_reading, &denied);
        assert_int_equal(clean(host, VERSIONS | removes, &err), removes ? RC_FAILED : RC_OK);
        assert_true(denied);
        assert_int_equal(rc_fake_host_counter(host, "old_versions"), removes ? 0 : 3);
        finish(host, VERSIONS | REMOVES);
        assert_clean(host);
        assert_record(host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_are_told_of),
        cmocka_unit_test(test_they_are_removed),
        cmocka_unit_test(test_what_cannot_be_searched_stays),
        cmocka_unit_test(test_who_may_see_none_erases_all_the_same),
        cmocka_unit_test(test_who_may_see_none_removes_none),
        cmocka_unit_test(test_who_may_read_none_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
