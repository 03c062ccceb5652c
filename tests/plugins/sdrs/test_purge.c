/*
 * The action 'purge' on the host of the tests: only what has been in a shadow for long enough goes,
 * whatever its time says, and nothing of a bucket with data of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "moved.h"

#include <mover/manifest.h>

#include <stdlib.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define RULE(n, storage)                                                                           \
    "rules[" n "].type=DATASET", "rules[" n "].projectId=p",                                       \
        "rules[" n "].dataStorageName=" storage, "rules[" n "].retentionPeriod=30"
#define RUN(host, err, ...)                                                                        \
    run(host, (const char *const[]){ "mover=direct", __VA_ARGS__, NULL }, err)

extern const struct rc_plugin *const rc_plugin_descriptor;

static enum rc_code run(struct rc_fake_host *host, const char *const *settings,
                        struct rc_error *err)
{
    enum rc_code code;

    *err = (struct rc_error)RC_ERROR_INIT;
    code = rc_fake_host_run(host, rc_plugin_descriptor, "purge", settings, err);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
    return code;
}

#define MUST(host, ...)                                                                            \
    do {                                                                                           \
        struct rc_error error_;                                                                    \
        if (RUN(host, &error_, __VA_ARGS__))                                                       \
            fail_msg("%s: %s", error_.context, error_.cause);                                      \
    } while (0)

static void put(struct rc_fake_host *host, const char *uri)
{
    rc_fake_host_put(host, uri, "12345", 5);
}

static void assert_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("'%s' does not have '%s'", text, part);
}

static void pass_days(struct rc_fake_host *host, int64_t days)
{
    rc_fake_host_job(host)->now_unix_ms += days * RC_DAY_MS;
}

/* Moved on day 0: old; on day 20: young; today is day 25. */
static struct rc_fake_host *two_moves(void)
{
    struct rc_fake_host *host = rc_fake_host_new(NULL);

    moved_bucket(host, "b");
    put(host, "s3://b/d/1/x");
    put(host, "s3://b/d/1/y");
    (void)moved_job(host, &(struct moved){ .bucket = "b", .batch = "old", .prefix = "d/" });
    pass_days(host, 20);
    put(host, "s3://b/d/2/x");
    (void)moved_job(host, &(struct moved){ .bucket = "b", .batch = "young", .prefix = "d/" });
    put(host, "s3://b/d/3/x");
    pass_days(host, 5);
    rc_fake_host_revive(host);
    return host;
}

#define YOUNG                                                                                      \
    "s3://bshadow/" SDRS_MANIFESTS "young/2/000000\n"                                              \
    "s3://bshadow/d/2/x\n"

/* ---- what goes ------------------------------------------------------------------------------- */

static void test_what_is_old_goes(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();

    MUST(host, "days=10", RULE("0", "s3://b/d"));
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"), YOUNG);
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/d/3/x\n");
    assert_has(rc_fake_host_shown(host), "What was removed for ever");
    assert_has(rc_fake_host_shown(host), "s3://bshadow/\t2\t10\t0\t0\n");
    assert_int_equal(rc_fake_host_counter(host, "objects_purged"), 2);
    assert_int_equal(rc_fake_host_counter(host, "bytes_purged"), 10);
}

static void test_by_name(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();

    MUST(host, "days=10", "storage=s3://b");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"), YOUNG);
}

/* What was meant may be a dataset; all of the bucket's shadow would go. */
static void test_a_dataset_is_no_bucket(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();
    RC_STR_AUTO before = rc_strdup(rc_fake_host_objects(host, ""));
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(RUN(host, &err, "days=0", "storage=s3://b/d"), RC_INVALID);
    assert_has(err.cause, "a shadow is purged as a whole");
    assert_has(err.cause, "'s3://b/'");
    assert_string_equal(rc_fake_host_objects(host, ""), before);
}

static void test_all_goes(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();

    MUST(host, "days=0", "storage=s3://b");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"), "");
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/d/3/x\n");
}

static void test_nobody_names_a_bucket(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();
    RC_STR_AUTO before = rc_strdup(rc_fake_host_objects(host, ""));

    MUST(host, "days=0");
    assert_string_equal(rc_fake_host_objects(host, ""), before);
}

/* A file that is renamed keeps its time: that it has been there for days only a manifest knows. */
static void test_renamed_files_are_spared(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();

    pass_days(host, -25);
    put(host, "s3://bshadow/d/2/x");
    pass_days(host, 25);
    MUST(host, "days=10", "storage=s3://b");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"), YOUNG);
    pass_days(host, 10);
    rc_fake_host_revive(host);
    MUST(host, "days=10", "storage=s3://b");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/d/"), "");
}

/* A long job's manifest is older than what it lists. */
static void test_manifests_stay_a_day_longer(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();

    MUST(host, "days=25", "storage=s3://b");
    assert_has(rc_fake_host_objects(host, "s3://bshadow/"), SDRS_MANIFESTS "old/1/000000\n");
    pass_days(host, 1);
    rc_fake_host_revive(host);
    MUST(host, "days=25", "storage=s3://b");
    assert_has(rc_fake_host_objects(host, "s3://bshadow/"), SDRS_MANIFESTS "old/1/000000\n");
    assert_null(strstr(rc_fake_host_objects(host, "s3://bshadow/"), "bshadow/d/1/"));
    pass_days(host, 1);
    rc_fake_host_revive(host);
    MUST(host, "days=25", "storage=s3://b");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"), YOUNG);
}

static void test_a_dry_run(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();
    RC_STR_AUTO before = rc_strdup(rc_fake_host_objects(host, ""));

    rc_fake_host_job(host)->dry_run = true;
    MUST(host, "days=10", "storage=s3://b");
    assert_string_equal(rc_fake_host_objects(host, ""), before);
    assert_has(rc_fake_host_shown(host), "What would be removed for ever");
    assert_has(rc_fake_host_shown(host), "s3://bshadow/\t2\t10\t0\t0\n");
}

/* ---- what stays ------------------------------------------------------------------------------ */

static void test_holds(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();

    MUST(host, "days=10", "storage=s3://b", "legal_holds=s3://b/d/1/x");
    assert_has(rc_fake_host_objects(host, "s3://bshadow/"), "s3://bshadow/d/1/x\n");
    assert_null(strstr(rc_fake_host_objects(host, "s3://bshadow/"), "s3://bshadow/d/1/y\n"));
    assert_has(rc_fake_host_shown(host), "s3://bshadow/\t1\t5\t1\t0\n");
}

/* What lists may name keeps them all, not what is the host's own. */
static void test_holds_of_lists(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();

    put(host, "s3://bshadow/.run-core/other");
    pass_days(host, 20);
    MUST(host, "days=10", "storage=s3://b", "legal_holds=s3://b/d/1/x");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"),
                        "s3://bshadow/.run-core/other\n"
                        "s3://bshadow/" SDRS_MANIFESTS "old/1/000000\n"
                        "s3://bshadow/" SDRS_MANIFESTS "young/2/000000\n"
                        "s3://bshadow/d/1/x\n");
    rc_fake_host_revive(host);
    MUST(host, "days=10", "storage=s3://b");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"),
                        "s3://bshadow/.run-core/other\n");
}

static void test_a_source_is_no_shadow(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();
    RC_STR_AUTO before = rc_strdup(rc_fake_host_objects(host, "s3://bshadow/"));
    struct rc_error err;

    assert_int_equal(RUN(host, &err, "days=0", RULE("0", "s3://b/d"), RULE("1", "s3://bshadow/e")),
                     RC_INVALID);
    assert_has(err.cause, "'s3://bshadow/' is not purged: it would be the shadow of 's3://b/'");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"), before);
}

static void test_one_shadow_stops_no_other(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();
    struct rc_error err;

    assert_int_equal(RUN(host, &err, "days=10", RULE("0", "s3://a/d"), RULE("1", "s3://b/d"),
                         RULE("2", "s3://c/d")),
                     RC_NOT_FOUND);
    assert_has(err.cause, "the bucket 's3://ashadow/' does not exist");
    assert_has(rc_fake_host_log(host), "'s3://cshadow/' was not purged: ");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"), YOUNG);
}

static void test_busy(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();
    struct rc_error err;

    rc_fake_host_hold_lock(host, "sdrs s3://b/", true);
    assert_int_equal(RUN(host, &err, "days=0", "storage=s3://b"), RC_CONFLICT);
    assert_has(rc_fake_host_objects(host, "s3://bshadow/"), "d/1/x");
}

/* As long as something is left to bring back its manifest stays. */
static void lose_lock(void *context, struct rc_fake_host *host, int n, const char *service,
                      const char *subject)
{
    (void)n;
    if (strcmp(service, "storage.list") == 0 && strcmp(subject, context) == 0)
        rc_fake_host_lose_locks(host);
}

/* Whoever has the lock now may move into the shadow. */
static void test_a_lock_that_is_lost(void **state)
{
    (void)state;
    static char *const lists[] = { "s3://bshadow/", "s3://bshadow/" SDRS_MANIFESTS };

    for (size_t i = 0; i < RC_ARRAY_LEN(lists); i++) {
        HOST_AUTO host = two_moves();
        struct rc_error err;
        RC_STR_AUTO before = rc_strdup(rc_fake_host_objects(host, "s3://bshadow/"));

        rc_fake_host_on_call(host, lose_lock, lists[i]);
        assert_int_equal(RUN(host, &err, "days=10", "storage=s3://b"), RC_CONFLICT);
        assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"), before);
    }
}

static void test_what_cannot_be_removed(void **state)
{
    (void)state;
    HOST_AUTO host = two_moves();
    struct rc_error err;

    rc_fake_host_fail_on(host, "transfer.remove", "d/1/x", 1, RC_DENIED);
    assert_int_equal(RUN(host, &err, "days=10", "storage=s3://b"), RC_DENIED);
    assert_has(err.context, "remove from 's3://bshadow/', of which 1 failed");
    assert_has(rc_fake_host_objects(host, "s3://bshadow/"), SDRS_MANIFESTS "old/1/000000\n");
    assert_has(rc_fake_host_objects(host, "s3://bshadow/"), "d/1/x\n");
    assert_null(strstr(rc_fake_host_objects(host, "s3://bshadow/"), "d/1/y\n"));
    rc_fake_host_revive(host);
    MUST(host, "days=10", "storage=s3://b");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"), YOUNG);
}

static void test_killed_anywhere(void **state)
{
    bool is_over = false;

    (void)state;
    for (int n = 1; !is_over; n++) {
        HOST_AUTO host = two_moves();
        struct rc_error err;

        rc_fake_host_die_at(host, n, n % 2 == 0);
        (void)RUN(host, &err, "days=10", "storage=s3://b");
        is_over = !rc_fake_host_is_dead(host);
        assert_has(rc_fake_host_objects(host, "s3://bshadow/"), "s3://bshadow/d/2/x\n");
        rc_fake_host_revive(host);
        MUST(host, "days=10", "storage=s3://b");
        assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/"), YOUNG);
    }
}

static void test_each_call_may_fail(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        HOST_AUTO host = two_moves();
        struct rc_error err;

        rc_fake_host_fail_at(host, n, RC_DENIED);
        if (!RUN(host, &err, "days=10", "storage=s3://b"))
            break;
        assert_string_not_equal(err.context, "");
        assert_has(rc_fake_host_objects(host, "s3://bshadow/"), "s3://bshadow/d/2/x\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_old_goes),
        cmocka_unit_test(test_by_name),
        cmocka_unit_test(test_a_dataset_is_no_bucket),
        cmocka_unit_test(test_all_goes),
        cmocka_unit_test(test_nobody_names_a_bucket),
        cmocka_unit_test(test_renamed_files_are_spared),
        cmocka_unit_test(test_manifests_stay_a_day_longer),
        cmocka_unit_test(test_a_dry_run),
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_holds_of_lists),
        cmocka_unit_test(test_a_source_is_no_shadow),
        cmocka_unit_test(test_one_shadow_stops_no_other),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_a_lock_that_is_lost),
        cmocka_unit_test(test_what_cannot_be_removed),
        cmocka_unit_test(test_killed_anywhere),
        cmocka_unit_test(test_each_call_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
