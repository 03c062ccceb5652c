/*
 * 'setup' on the fake host: which rules it finds broken, what it does about them, and what
 * 'dump' is told of a bucket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <egress.h>

#include <stdio.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define ALL_RIGHT                                                                                  \
    "ok: 's3://b' exists\n"                                                                        \
    "ok: objects are encrypted by default: AES256\n"                                               \
    "ok: objects are removed after 14 days\n"                                                      \
    "ok: it is not public\n"                                                                       \
    "ok: nothing else lies in it\n"

static const struct rc_action actions[] = {
    { .name = "setup", .summary = "Sets up.", .run = egress_setup },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD,
    .name = "egress",
    .version = "1",
    .summary = "Sets up.",
    .options = egress_options,
    .config_size = sizeof(struct egress_config),
    .actions = actions,
    .check = egress_check_config,
};

static const char *const settings[] = { "output=s3://b/dumps/app", NULL };

/* A bucket that keeps all rules. */
static void make_good(struct rc_fake_host *host, void *context)
{
    (void)context;
    *rc_fake_host_bucket(host, "s3://b") = (struct rc_bucket){
        .name = "s3://b",
        .exists = RC_ANSWER_YES,
        .encrypted = RC_ANSWER_YES,
        .encryption = "AES256",
        .expires = RC_ANSWER_YES,
        .expire_days = 14,
        .is_public = RC_ANSWER_NO,
    };
    rc_fake_host_put(host, "s3://b/dumps/app/2026-01-15/a.csv.gz", "x", 1);
}

static enum rc_code run(struct rc_fake_host *host, struct rc_error *err)
{
    return rc_fake_host_run(host, &plugin, NULL, settings, err);
}

static void assert_says(const char *where, const char *words)
{
    if (!strstr(where, words))
        fail_msg("'%s' is not in '%s'", words, where);
}

/* ---- setting up ---- */

static void test_a_good_bucket_stays_as_it_is(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    make_good(host, NULL);
    rc_fake_host_fail_on(host, "bucket.create", NULL, -1, RC_FAILED);
    rc_fake_host_fail_on(host, "bucket.encrypt", NULL, -1, RC_FAILED);
    rc_fake_host_fail_on(host, "bucket.expire", NULL, -1, RC_FAILED);
    assert_int_equal(run(host, &err), RC_OK);
    assert_string_equal(rc_fake_host_said(host), ALL_RIGHT);
}

static void test_a_bucket_is_made_and_set_up(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    HOST_AUTO dry = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_job(dry)->dry_run = true;
    assert_int_equal(run(dry, &err), RC_FAILED);
    assert_string_equal(rc_fake_host_said(dry), "problem: 's3://b' does not exist\n");
    assert_int_equal(rc_fake_host_held_back(dry), 1);

    assert_int_equal(run(host, &err), RC_OK);
    assert_says(rc_fake_host_said(host), "changed: 's3://b' exists\n"
                                         "changed: objects are encrypted by default: AES256\n"
                                         "changed: objects are removed after 14 days\n"
                                         "ok: it is not public\n"
                                         "ok: nothing else lies in it\n");
    assert_int_equal(rc_fake_host_counter(host, "changed"), 3);

    assert_int_equal(run(host, &err), RC_OK);
    assert_says(rc_fake_host_said(host), ALL_RIGHT);
}

static void test_what_setup_cannot_mend_is_a_problem(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_bucket *bucket;

    make_good(host, NULL);
    bucket = rc_fake_host_bucket(host, "s3://b");
    bucket->is_public = RC_ANSWER_YES;
    bucket->encrypted = RC_ANSWER_NO;
    snprintf(bucket->public_note, sizeof(bucket->public_note), "its policy lets anybody read");
    rc_fake_host_put(host, "s3://b/dumps/app2/x", "x", 1);
    rc_fake_host_put(host, "s3://b/dumps/app", "x", 1);
    rc_fake_host_put(host, "s3://b/web/x", "x", 1);
    rc_fake_host_put(host, "s3://b/web/y", "x", 1);
    rc_fake_host_fail_on(host, "bucket.encrypt", NULL, -1, RC_DENIED);
    assert_int_equal(run(host, &err), RC_FAILED);
    assert_says(rc_fake_host_said(host),
                "problem: objects are not encrypted by default; it cannot be changed: ");
    assert_says(rc_fake_host_said(host), "problem: it is public: its policy lets anybody read\n");
    assert_says(rc_fake_host_said(host),
                "problem: something else lies in it: 's3://b/web/', 's3://b/dumps/app', "
                "'s3://b/dumps/app2/'\n");
    assert_int_equal(rc_fake_host_counter(host, "problems"), 3);
    assert_says(err.cause, "'s3://b' breaks 3 of the rules");
}

static void test_what_a_store_refuses_is_a_problem(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    make_good(host, NULL);
    rc_fake_host_bucket(host, "s3://b")->expire_days = 30;
    rc_fake_host_fail_on(host, "bucket.expire", NULL, 1, RC_UNSUPPORTED);
    assert_int_equal(run(host, &err), RC_FAILED);
    assert_says(rc_fake_host_said(host), "problem: objects are removed after 30 days; it should be "
                                         "after 14; it cannot be changed: ");
}

static void test_days_follow_the_configuration(void **state)
{
    (void)state;
    static const int64_t before[] = { 7, 30 };

    for (size_t i = 0; i < RC_ARRAY_LEN(before); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;

        make_good(host, NULL);
        rc_fake_host_bucket(host, "s3://b")->expire_days = before[i];
        assert_int_equal(run(host, &err), RC_OK);
        assert_says(rc_fake_host_said(host), "changed: objects are removed after 14 days\n");
        assert_int_equal(rc_fake_host_bucket(host, "s3://b")->expire_days, 14);
    }
}

static void test_one_day_is_one(void **state)
{
    (void)state;
    static const char *const one_day[] = { "output=s3://b/dumps/app", "expire_days=1", NULL };
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    make_good(host, NULL);
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, one_day, &err), RC_OK);
    assert_says(rc_fake_host_said(host), "changed: objects are removed after 1 day\n");
}

static void test_a_stricter_rule_that_cannot_go_is_no_problem(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    make_good(host, NULL);
    rc_fake_host_bucket(host, "s3://b")->expire_days = 7;
    rc_fake_host_fail_on(host, "bucket.expire", NULL, -1, RC_DENIED);
    assert_int_equal(run(host, &err), RC_OK);
    assert_says(rc_fake_host_said(host), "ok: objects are removed after 7 days, by a rule that is "
                                         "stricter than the 14 days");
}

static void test_what_is_not_known_is_said_and_left_alone(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_bucket *bucket;

    make_good(host, NULL);
    bucket = rc_fake_host_bucket(host, "s3://b");
    bucket->encrypted = bucket->expires = bucket->is_public = RC_ANSWER_UNKNOWN;
    bucket->encryption[0] = '\0';
    snprintf(bucket->expires_note, sizeof(bucket->expires_note), "we may not ask");
    rc_fake_host_fail_on(host, "bucket.encrypt", NULL, -1, RC_FAILED);
    rc_fake_host_fail_on(host, "bucket.expire", NULL, -1, RC_FAILED);
    rc_fake_host_fail_on(host, "storage.list", "s3://b/", 1, RC_DENIED);
    assert_int_equal(run(host, &err), RC_OK);
    assert_says(rc_fake_host_said(host),
                "unknown: whether objects are encrypted: the store does not say\n"
                "unknown: whether objects are removed after some days: we may not ask\n"
                "unknown: whether it is public: the store does not say\n"
                "unknown: whether something else lies in it: ");
    assert_int_equal(rc_fake_host_counter(host, "unknown"), 4);
}

/* Days of expiry hold for all of a bucket. */
static void test_what_others_keep_is_never_let_expire(void **state)
{
    (void)state;
    static const char *const whole[] = { "output=s3://b", NULL };
    struct rc_error err = RC_ERROR_INIT;

    for (int i = 0; i < 3; i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);

        make_good(host, NULL);
        rc_fake_host_bucket(host, "s3://b")->expires = RC_ANSWER_NO;
        rc_fake_host_fail_on(host, "bucket.expire", NULL, -1, RC_FAILED);
        if (i == 0) /* beside the output */
            rc_fake_host_put(host, "s3://b/precious", "x", 1);
        if (i == 1) /* in the output, and not of our making */
            rc_fake_host_put(host, "s3://b/dumps/app/precious", "x", 1);
        if (i == 2) /* we may not look */
            rc_fake_host_fail_on(host, "storage.list", NULL, 1, RC_DENIED);
        assert_int_equal(run(host, &err), RC_FAILED);
        assert_says(rc_fake_host_said(host),
                    "problem: objects are never removed; they should be after 14 days; it cannot "
                    "be changed: what else ");
        assert_says(rc_fake_host_said(host), " in it would be removed, too\n");
    }
    /* The output is the bucket, which holds more than dumps. */
    HOST_AUTO host = rc_fake_host_new(NULL);
    make_good(host, NULL);
    rc_fake_host_bucket(host, "s3://b")->expires = RC_ANSWER_NO;
    rc_fake_host_fail_on(host, "bucket.expire", NULL, -1, RC_FAILED);
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, whole, &err), RC_FAILED);
    assert_says(rc_fake_host_said(host), "something else lies in it: 's3://b/dumps/'\n");
}

static void test_a_bucket_of_somebody_else_is_refused(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_fail_on(host, "bucket.create", NULL, 1, RC_CONFLICT);
    assert_int_equal(run(host, &err), RC_CONFLICT);
    assert_says(err.context, "set up 's3://b'");
}

static void test_many_neighbours_are_cut_short(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    make_good(host, NULL);
    for (int i = 0; i < 9; i++) {
        RC_STR_AUTO uri = rc_strf("s3://b/%d", i);

        rc_fake_host_put(host, uri, "x", 1);
    }
    assert_int_equal(run(host, &err), RC_FAILED);
    assert_says(rc_fake_host_said(host), "'s3://b/0', 's3://b/1', 's3://b/2', ...\n");
}

static void test_files_have_no_neighbours(void **state)
{
    (void)state;
    static const char *const local[] = { "output=/srv/dumps", NULL };
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_put(host, "file:///srv/other", "x", 1);
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, local, &err), RC_OK);
    assert_null(strstr(rc_fake_host_said(host), "lies in it"));
}

static void test_without_an_output_there_is_nothing_to_set_up(void **state)
{
    (void)state;
    static const char *const nothing[] = { NULL };
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, nothing, &err), RC_INVALID);
    assert_says(err.cause, "S3_OUTPUT");
}

static void test_an_output_that_names_no_place_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *settings[2], *why;
    } wrong[] = {
        { { "output=bucket/dumps" }, "is no URI; write s3://BUCKET/FOLDER" },
        { { "output=s3:/bucket/dumps" }, "is no URI; write s3://BUCKET/FOLDER" },
        { { "output=s3://" }, "names no bucket" },
        { { "output=http://x/y" }, "it begins with 'http://', the address of a server" },
        { { "output=HTTPS://x/y" }, "it begins with 'HTTPS://', the address of a server" },
        { { "output=S3://x" }, "did you mean 's3://x'?" },
        { { "output=s3a://x/y" }, "did you mean 's3://x/y'?" },
        { { "output=gcs://x" }, "did you mean 'gs://x'?" },
        { { "output=ftp://x/y" }, "'ftp://' is none of s3://, gs://, file:// and store://" },
    };
    static const char *const local[] = { "output=./dumps", NULL };
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++) {
        assert_int_equal(rc_fake_host_run(host, &plugin, NULL, wrong[i].settings, &err),
                         RC_INVALID);
        assert_says(err.cause, wrong[i].why);
    }
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, local, &err), RC_OK);
}

/* A bucket that needs every change. */
static void make_none(struct rc_fake_host *host, void *context)
{
    (void)context;
    rc_fake_host_put(host, "s3://b/dumps/app/2026-01-15/a.csv.gz", "x", 1);
}

static void test_every_host_call_may_fail(void **state)
{
    (void)state;
    struct rc_error err = RC_ERROR_INIT;
    int calls = 0;

    if (rc_fake_host_torture(&plugin, NULL, settings, make_none, NULL, &calls, &err))
        fail_msg("%s: %s", err.context, err.cause);
    assert_true(calls > 8);
}

/* ---- what 'dump' is told ---- */

static void take_line(void *context, bool is_broken, const char *line)
{
    rc_buf_addf(context, "%s: %s\n", is_broken ? "broken" : "unknown", line);
}

static enum rc_code inspect(struct rc_fake_host *host, struct rc_buf *lines,
                            struct egress_findings *out, struct rc_error *err)
{
    const struct egress_config config = { .output = "s3://b/dumps/app",
                                          .path = "{date}/{table}",
                                          .expire_days = 14 };

    return egress_inspect_bucket(rc_fake_host_job(host), &config, take_line, lines, out, err);
}

static void test_a_dump_is_told_what_does_not_comply(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    RC_BUF_AUTO(lines, 4096);
    struct egress_findings findings;
    struct rc_error err = RC_ERROR_INIT;
    struct rc_bucket *bucket;

    make_good(host, NULL);
    assert_int_equal(inspect(host, &lines, &findings, &err), RC_OK);
    assert_string_equal(lines.data, "");
    assert_int_equal(findings.broken + findings.unknown, 0);

    bucket = rc_fake_host_bucket(host, "s3://b");
    bucket->expires = RC_ANSWER_NO;
    bucket->is_public = RC_ANSWER_UNKNOWN;
    assert_int_equal(inspect(host, &lines, &findings, &err), RC_OK);
    assert_string_equal(lines.data,
                        "broken: objects are never removed; they should be after 14 days\n"
                        "unknown: whether it is public: the store does not say\n");
    assert_int_equal(findings.broken, 1);
    assert_int_equal(findings.unknown, 1);

    bucket->exists = RC_ANSWER_NO;
    rc_buf_reset(&lines);
    assert_int_equal(inspect(host, &lines, &findings, &err), RC_OK);
    assert_string_equal(lines.data, "broken: 's3://b' does not exist\n");
}

static void test_a_bucket_that_may_not_be_asked_is_unknown(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    RC_BUF_AUTO(lines, 4096);
    struct egress_findings findings;
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_fail_on(host, "bucket.look", NULL, 1, RC_DENIED);
    assert_int_equal(inspect(host, &lines, &findings, &err), RC_OK);
    assert_says(lines.data, "unknown: what the bucket of 's3://b/dumps/app/' is like: ");
    assert_int_equal(findings.unknown, 1);
    rc_fake_host_fail_on(host, "bucket.look", NULL, 1, RC_UNAVAILABLE);
    assert_int_equal(inspect(host, &lines, &findings, &err), RC_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_bucket_stays_as_it_is),
        cmocka_unit_test(test_a_bucket_is_made_and_set_up),
        cmocka_unit_test(test_what_setup_cannot_mend_is_a_problem),
        cmocka_unit_test(test_what_a_store_refuses_is_a_problem),
        cmocka_unit_test(test_days_follow_the_configuration),
        cmocka_unit_test(test_one_day_is_one),
        cmocka_unit_test(test_a_stricter_rule_that_cannot_go_is_no_problem),
        cmocka_unit_test(test_what_is_not_known_is_said_and_left_alone),
        cmocka_unit_test(test_what_others_keep_is_never_let_expire),
        cmocka_unit_test(test_a_bucket_of_somebody_else_is_refused),
        cmocka_unit_test(test_many_neighbours_are_cut_short),
        cmocka_unit_test(test_files_have_no_neighbours),
        cmocka_unit_test(test_without_an_output_there_is_nothing_to_set_up),
        cmocka_unit_test(test_an_output_that_names_no_place_is_refused),
        cmocka_unit_test(test_every_host_call_may_fail),
        cmocka_unit_test(test_a_dump_is_told_what_does_not_comply),
        cmocka_unit_test(test_a_bucket_that_may_not_be_asked_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
