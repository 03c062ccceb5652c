/*
 * The action 'restore' on the host of the tests: what comes back and what does not, that nothing is
 * overwritten that nobody said, and that nothing is lost, whenever it is killed. Real stores are
 * for system/test_sdrs_restore.
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
#define RUN(host, err, ...)                                                                        \
    run(host, (const char *const[]){ "mover=direct", __VA_ARGS__, NULL }, err)

extern const struct rc_plugin *const rc_plugin_descriptor;

static enum rc_code run(struct rc_fake_host *host, const char *const *settings,
                        struct rc_error *err)
{
    enum rc_code code;

    *err = (struct rc_error)RC_ERROR_INIT;
    code = rc_fake_host_run(host, rc_plugin_descriptor, "restore", settings, err);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
    return code;
}

#define MUST(host, ...)                                                                            \
    do {                                                                                           \
        struct rc_error error_;                                                                    \
        if (RUN(host, &error_, __VA_ARGS__))                                                       \
            fail_msg("%s: %s", error_.context, error_.cause);                                      \
    } while (0)

static void put(struct rc_fake_host *host, const char *uri, const char *text)
{
    rc_fake_host_put(host, uri, text, strlen(text));
}

static bool is_there(struct rc_fake_host *host, const char *uri)
{
    return rc_fake_host_object(host, uri, NULL) != NULL;
}

static void assert_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("'%s' does not have '%s'", text, part);
}

/* Two batches, of one rule each, in the bucket "b"; the first moved d/1/, the second d/2/. */
static struct rc_fake_host *two_batches(void)
{
    struct rc_fake_host *host = rc_fake_host_new(NULL);

    moved_bucket(host, "b");
    put(host, "s3://b/d/1/x", "1x");
    put(host, "s3://b/d/1/y", "1y");
    put(host, "s3://b/d/2/x", "2x");
    put(host, "s3://b/d/3/x", "3x");
    (void)moved_job(host,
                    &(struct moved){ .bucket = "b", .batch = "one", .prefix = "d/1/", .rule = 7 });
    (void)moved_job(host,
                    &(struct moved){ .bucket = "b", .batch = "two", .prefix = "d/2/", .rule = 8 });
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/d/3/x\n");
    return host;
}

/* ---- what comes back ------------------------------------------------------------------------- */

static void test_by_batch(void **state)
{
    (void)state;
    HOST_AUTO host = two_batches();
    RC_STR_AUTO jobs = NULL;

    MUST(host, "batch=one");
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"),
                        "s3://b/d/1/x\ns3://b/d/1/y\ns3://b/d/3/x\n");
    assert_string_equal(rc_fake_host_object(host, "s3://b/d/1/y", NULL), "1y");
    assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/d/"), "s3://bshadow/d/2/x\n");
    assert_has(rc_fake_host_shown(host), "s3://b/\t2\t4\t0\t0\t0\tsuccess\n");
    assert_int_equal(rc_fake_host_counter(host, "objects_restored"), 2);
    jobs = moved_jobs(host);
    assert_string_equal(jobs,
                        "1 DATASET success 2/0\n2 DATASET success 1/0\n3 RESTORE success 2/0\n");
}

static void test_by_rule(void **state)
{
    (void)state;
    HOST_AUTO host = two_batches();

    MUST(host, "rule=8");
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/d/2/x\ns3://b/d/3/x\n");
    /* What was moved again after it had come back, and what the rule has moved since. */
    put(host, "s3://b/d/2/y", "2y");
    rc_fake_host_revive(host);
    (void)moved_job(
        host, &(struct moved){ .bucket = "b", .batch = "three", .prefix = "d/2/", .rule = 8 });
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/d/3/x\n");
    MUST(host, "rule=8");
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"),
                        "s3://b/d/2/x\ns3://b/d/2/y\ns3://b/d/3/x\n");
}

static void test_by_prefix(void **state)
{
    static const struct {
        const char *setting, *back;
    } cases[] = {
        { "prefix=s3://b/d/1/", "s3://b/d/1/x\ns3://b/d/1/y\n" },
        { "prefix=s3://b/d/1", "s3://b/d/1/x\ns3://b/d/1/y\n" },
        { "prefix=s3://b/d/1/x", "s3://b/d/1/x\n" },
        { "prefix=s3://b/d/1/x/", "" },
        { "prefix=s3://b/d", "s3://b/d/1/x\ns3://b/d/1/y\ns3://b/d/10/x\n" },
        { "prefix=s3://b", "s3://b/d/1/x\ns3://b/d/1/y\ns3://b/d/10/x\n" },
        { "prefix=s3://b/x", "" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);

        moved_bucket(host, "b");
        put(host, "s3://b/d/1/x", "1x");
        put(host, "s3://b/d/1/y", "1y");
        put(host, "s3://b/d/10/x", "10x");
        (void)moved_job(host, &(struct moved){ .bucket = "b", .batch = "one", .prefix = "d/" });
        MUST(host, cases[i].setting);
        assert_string_equal(rc_fake_host_objects(host, "s3://b/"), cases[i].back);
        assert_true(is_there(host, "s3://bshadow/" SDRS_MANIFESTS "one/1/000000"));
    }
}

/* What the transfer service has moved has no manifest: it is known by prefixes and times. */
static void test_what_the_service_moved(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);

    moved_bucket(host, "b");
    put(host, "s3://bshadow/d/1/before", "x");
    job->now_unix_ms += RC_DAY_MS;
    put(host, "s3://b/d/1/x", "x");
    put(host, "s3://b/d/1/not/x", "x");
    (void)moved_job(host, &(struct moved){ .bucket = "b",
                                           .batch = "one",
                                           .prefix = "d/1/",
                                           .excludes = "d/1/not/",
                                           .by_service = true });
    put(host, "s3://bshadow/d/1/not/by-another", "x");
    put(host, "s3://bshadow/d/2/by-another", "x");
    job->now_unix_ms += RC_DAY_MS;
    put(host, "s3://bshadow/d/1/later", "x");
    MUST(host, "batch=one");
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/d/1/not/x\ns3://b/d/1/x\n");
}

static void test_several_buckets(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    RC_STR_AUTO jobs = NULL;

    for (int i = 0; i < 3; i++) {
        RC_STR_AUTO name = rc_strf("b%d", i);
        RC_STR_AUTO uri = rc_strf("s3://%s/d/x", name);

        moved_bucket(host, name);
        put(host, uri, "x");
        put(host, "s3://b0/d/y", "y");
        (void)moved_job(host, &(struct moved){ .bucket = name, .batch = "one", .prefix = "d/" });
    }
    (void)moved_job(host, &(struct moved){ .bucket = "b0", .batch = "one", .prefix = "d/" });
    MUST(host, "batch=one");
    assert_string_equal(rc_fake_host_objects(host, "s3://b0/"), "s3://b0/d/x\ns3://b0/d/y\n");
    assert_true(is_there(host, "s3://b1/d/x") && is_there(host, "s3://b2/d/x"));
    jobs = moved_jobs(host);
    assert_has(jobs, "5 RESTORE success 2/0\n6 RESTORE success 1/0\n7 RESTORE success 1/0\n");
}

/* The state has forgotten the batch, or is a new one. */
static void test_a_forgotten_batch(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sdrs_manifest *manifest = NULL;
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_stat stat = { .size_bytes = 1 };

    moved_bucket(host, "b");
    moved_bucket(host, "c");
    put(host, "s3://bshadow/d/x", "x");
    assert_int_equal(
        sdrs_manifest_new(rc_fake_host_job(host), "s3://bshadow/", "old", 9, &manifest, &err),
        RC_OK);
    sdrs_manifest_add(manifest, "d/x", &stat);
    assert_int_equal(sdrs_manifest_write(manifest, &err), RC_OK);
    sdrs_manifest_free(manifest);
    MUST(host, "batch=old", "rules[0].type=DATASET", "rules[0].projectId=p",
         "rules[0].dataStorageName=s3://c/d", "rules[0].retentionPeriod=30",
         "rules[1].type=DATASET", "rules[1].projectId=p", "rules[1].dataStorageName=s3://b/d",
         "rules[1].retentionPeriod=30");
    assert_true(is_there(host, "s3://b/d/x"));
}

/* ---- what does not --------------------------------------------------------------------------- */

static void test_what_is_there_stays(void **state)
{
    (void)state;
    HOST_AUTO host = two_batches();
    struct rc_error err;
    RC_STR_AUTO jobs = NULL;

    put(host, "s3://b/d/1/x", "new");
    assert_int_equal(RUN(host, &err, "batch=one"), RC_CONFLICT);
    assert_has(err.context, "restore 's3://b/': 1 objects were not brought back, the first: ");
    assert_has(err.cause, "another object is at 's3://b/d/1/x': both stay");
    assert_string_equal(rc_fake_host_object(host, "s3://b/d/1/x", NULL), "new");
    assert_string_equal(rc_fake_host_object(host, "s3://bshadow/d/1/x", NULL), "1x");
    assert_string_equal(rc_fake_host_object(host, "s3://b/d/1/y", NULL), "1y");
    jobs = moved_jobs(host);
    assert_has(jobs, "3 RESTORE error 1/1\n");
    rc_fake_host_revive(host);
    MUST(host, "batch=one", "overwrite=true");
    assert_string_equal(rc_fake_host_object(host, "s3://b/d/1/x", NULL), "1x");
    assert_false(is_there(host, "s3://bshadow/d/1/x"));
    assert_has(rc_fake_host_shown(host), "s3://b/\t1\t2\t1\t0\t0\tsuccess\n");
}

/* As a run leaves it that is killed between the copy and the removal. */
static void test_what_is_in_both_only_goes(void **state)
{
    (void)state;
    HOST_AUTO host = two_batches();

    put(host, "s3://b/d/1/x", "1x");
    MUST(host, "batch=one");
    assert_false(is_there(host, "s3://bshadow/d/1/x"));
    assert_string_equal(rc_fake_host_object(host, "s3://b/d/1/x", NULL), "1x");
}

static void test_what_is_missing(void **state)
{
    (void)state;
    HOST_AUTO host = two_batches();
    struct rc_error err;

    rc_fake_host_remove(host, "s3://bshadow/d/1/x");
    assert_int_equal(RUN(host, &err, "batch=one"), RC_NOT_FOUND);
    assert_has(err.cause, "1 objects are neither in the shadow bucket nor at their old place");
    assert_true(is_there(host, "s3://b/d/1/y"));
    assert_has(rc_fake_host_shown(host), "s3://b/\t1\t2\t0\t1\t0\terror\n");
}

static void test_refused(void **state)
{
    static const struct {
        const char *settings[4];
        enum rc_code code;
        const char *why;
    } cases[] = {
        { { "rule=0" }, RC_INVALID, "nothing is named: set one of 'rule', 'prefix' and 'batch'" },
        { { "rule=1", "batch=x" }, RC_INVALID, "more than one thing is named" },
        { { "batch=none" }, RC_NOT_FOUND, "nothing is known of a batch 'none'" },
        { { "rule=99" }, RC_NOT_FOUND, "no job of the rule 99 is known; restore by prefix" },
        { { "prefix=b/d" }, RC_INVALID, "prefix must start with 'gs://'" },
        { { "prefix=file:///nowhere/b/d" }, RC_INVALID, "file_roots" },
        { { "prefix=s3://other/d" }, RC_NOT_FOUND, "the bucket 's3://other/' does not exist" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        HOST_AUTO host = two_batches();
        struct rc_error err;

        assert_int_equal(run(host, cases[i].settings, &err), cases[i].code);
        assert_has(err.cause, cases[i].why);
    }
}

static void test_a_bucket_that_is_busy(void **state)
{
    (void)state;
    HOST_AUTO host = two_batches();
    struct rc_error err;
    RC_STR_AUTO jobs = NULL;

    moved_bucket(host, "c");
    put(host, "s3://c/d/x", "x");
    (void)moved_job(host, &(struct moved){ .bucket = "c", .batch = "one", .prefix = "d/" });
    rc_fake_host_hold_lock(host, "sdrs s3://b/", true);
    assert_int_equal(RUN(host, &err, "batch=one"), RC_CONFLICT);
    assert_has(err.context, "restore 's3://b/'");
    assert_true(is_there(host, "s3://c/d/x"));
    jobs = moved_jobs(host);
    assert_has(jobs, "RESTORE error 0/0\n");
}

static void lose_lock(void *context, struct rc_fake_host *host, int n, const char *service,
                      const char *subject)
{
    (void)context;
    (void)n;
    if (strcmp(service, "storage.open") == 0 && strstr(subject, SDRS_MANIFESTS))
        rc_fake_host_lose_locks(host);
}

static void test_a_lock_that_is_lost(void **state)
{
    (void)state;
    HOST_AUTO host = two_batches();
    struct rc_error err;

    rc_fake_host_on_call(host, lose_lock, NULL);
    assert_int_equal(RUN(host, &err, "batch=one"), RC_CONFLICT);
    assert_has(rc_fake_host_objects(host, "s3://bshadow/"), "s3://bshadow/d/1/");
}

static void test_a_dry_run(void **state)
{
    (void)state;
    HOST_AUTO host = two_batches();
    RC_STR_AUTO jobs = NULL;

    rc_fake_host_job(host)->dry_run = true;
    MUST(host, "batch=one");
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/d/3/x\n");
    assert_has(rc_fake_host_shown(host), "What would be brought back");
    assert_has(rc_fake_host_shown(host), "s3://b/\t2\t4\t0\t0\t0\tsuccess\n");
    rc_fake_host_job(host)->dry_run = false;
    jobs = moved_jobs(host);
    assert_string_equal(jobs, "1 DATASET success 2/0\n2 DATASET success 1/0\n");
}

static void test_a_damaged_manifest(void **state)
{
    (void)state;
    HOST_AUTO host = two_batches();
    struct rc_error err;

    put(host, "s3://bshadow/" SDRS_MANIFESTS "one/1/000000",
        "{\"key\":\"d/1/x\",\"size\":2,\"etag\":\"\"}\n{\"key\":");
    assert_int_equal(RUN(host, &err, "batch=one"), RC_CORRUPT);
    assert_has(err.cause, "restore by prefix instead");
    assert_true(is_there(host, "s3://bshadow/d/1/y"));
}

/* ---- nothing is lost ------------------------------------------------------------------------- */

static void judge(struct rc_fake_host *host)
{
    static const char *const keys[] = { "d/1/x", "d/1/y" };

    for (size_t i = 0; i < RC_ARRAY_LEN(keys); i++) {
        RC_STR_AUTO here = rc_strf("s3://b/%s", keys[i]);
        RC_STR_AUTO there = rc_strf("s3://bshadow/%s", keys[i]);

        assert_true(is_there(host, here) || is_there(host, there));
    }
}

static void test_killed_anywhere(void **state)
{
    bool is_over = false;

    (void)state;
    for (int n = 1; !is_over; n++)
        for (int after = 0; after < 2; after++) {
            HOST_AUTO host = two_batches();
            struct rc_error err;

            rc_fake_host_die_at(host, n, after == 1);
            (void)RUN(host, &err, "batch=one");
            is_over = !rc_fake_host_is_dead(host);
            rc_fake_host_revive(host);
            judge(host);
            MUST(host, "batch=one");
            assert_string_equal(rc_fake_host_objects(host, "s3://b/"),
                                "s3://b/d/1/x\ns3://b/d/1/y\ns3://b/d/3/x\n");
            assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/d/"),
                                "s3://bshadow/d/2/x\n");
        }
}

static void test_each_call_may_fail(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        HOST_AUTO host = two_batches();
        struct rc_error err;
        enum rc_code code;

        rc_fake_host_fail_at(host, n, RC_DENIED);
        code = RUN(host, &err, "batch=one");
        rc_fake_host_fail_at(host, 0, RC_OK);
        judge(host);
        if (!code) {
            assert_string_equal(rc_fake_host_objects(host, "s3://bshadow/d/"),
                                "s3://bshadow/d/2/x\n");
            assert_true(n > 10);
            break;
        }
        assert_string_not_equal(err.context, "");
    }
}

static void test_cancelled_anywhere(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        HOST_AUTO host = two_batches();
        struct rc_error err;
        enum rc_code code;

        rc_fake_host_cancel_at(host, n);
        code = RUN(host, &err, "batch=one");
        judge(host);
        if (!code)
            break;
        assert_int_equal(code, RC_CANCELLED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_batch),
        cmocka_unit_test(test_by_rule),
        cmocka_unit_test(test_by_prefix),
        cmocka_unit_test(test_what_the_service_moved),
        cmocka_unit_test(test_several_buckets),
        cmocka_unit_test(test_a_forgotten_batch),
        cmocka_unit_test(test_what_is_there_stays),
        cmocka_unit_test(test_what_is_in_both_only_goes),
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_a_bucket_that_is_busy),
        cmocka_unit_test(test_a_lock_that_is_lost),
        cmocka_unit_test(test_a_dry_run),
        cmocka_unit_test(test_a_damaged_manifest),
        cmocka_unit_test(test_killed_anywhere),
        cmocka_unit_test(test_each_call_may_fail),
        cmocka_unit_test(test_cancelled_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
