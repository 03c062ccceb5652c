/*
 * What a rule moves at a time: prefixes by time and by version, what is excluded, how much it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run_world.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 16 };

static const char *const roots[] = { "/lake" };
static char bucket_uri[] = LAKE "events/", shadow_uri[] = LAKE "eventsshadow/";
static char project[] = "p", dataset[] = LAKE "events/clicks", whole[] = LAKE "events";

struct maker {
    struct run_world world;
    struct sdrs_config config;
    struct sdrs_bucket_work bucket;
    struct sdrs_rule rule;
    struct sdrs_rule_move kept;
    struct sdrs_move move;
    struct rc_error err;
};

static void maker_init(struct maker *m)
{
    *m = (struct maker){
        .config = { .file_roots = { 1, roots },
                    .path_template = "{yyyy}/{mm}/{dd}/{hh}",
                    .shadow_extension = "shadow" },
        .bucket = { .bucket = bucket_uri, .shadow = shadow_uri, .project = project },
        .rule = { .id = 7,
                  .version = 2,
                  .type = SDRS_DATASET,
                  .storage = dataset,
                  .project = project,
                  .period = 30,
                  .unit = SDRS_DAY },
    };
    run_world_init(&m->world);
    sdrs_prefixes_add(&m->bucket.holds, ".run-core/");
}

static void maker_clear(struct maker *m)
{
    sdrs_rule_move_clear(&m->kept);
    sdrs_prefixes_clear(&m->bucket.holds);
    sdrs_prefixes_clear(&m->bucket.all_datasets);
    run_world_clear(&m->world);
}

#define MAKER_AUTO(name)                                                                           \
    RC_CLEANUP(maker_clear) struct maker name;                                                     \
    maker_init(&name)

static enum rc_code try_make(struct maker *m)
{
    struct run_world *w = &m->world;

    sdrs_rule_move_clear(&m->kept);
    m->err = (struct rc_error)RC_ERROR_INIT;
    return sdrs_rule_move_make(w->job, &m->config, &m->bucket, &m->rule, w->job->now_unix_ms,
                               &m->kept, &m->move, &m->err);
}

static void expect_prefixes(struct maker *m, const char *includes, const char *excludes)
{
    if (try_make(m))
        fail_msg("%s: %s", m->err.context, m->err.cause);
    assert_string_equal(m->kept.record.prefixes, includes);
    assert_string_equal(m->kept.record.excludes, excludes);
}

#define HOURS                                                                                      \
    "clicks/2019/01/\n"                                                                            \
    "clicks/2019/02/01/\nclicks/2019/02/02/\nclicks/2019/02/03/\nclicks/2019/02/04/\n"             \
    "clicks/2019/02/05/\nclicks/2019/02/06/\nclicks/2019/02/07/\n"                                 \
    "clicks/2019/02/08/00/\nclicks/2019/02/08/01/\nclicks/2019/02/08/02/\n"                        \
    "clicks/2019/02/08/03/\nclicks/2019/02/08/04/\n"

static void test_back_to_the_oldest_year(void **unused)
{
    (void)unused;
    MAKER_AUTO(m);

    /* Without any time there is nothing to make. */
    run_put(&m.world, "events/clicks/readme");
    expect_prefixes(&m, "", "");
    assert_false(m.kept.is_held);
    run_put(&m.world, "events/clicks/2017/12/31/23/a");
    run_put(&m.world, "events/clicks/2016x/01/01/00/a");
    expect_prefixes(&m, "clicks/2017/\nclicks/2018/\n" HOURS, "");
    assert_int_equal(m.kept.record.rule, 7);
    assert_int_equal(m.kept.record.rule_version, 2);
    assert_string_equal(m.kept.record.type, "DATASET");
    assert_string_equal(m.kept.scope, "clicks/");
    assert_int_equal(m.kept.record.mover, SDRS_MOVER_DIRECT);
    assert_int_equal(m.kept.record.modified_before_unix_ms, 0);
    assert_non_null(m.move.template);
    assert_int_equal(rc_fake_host_open_handles(m.world.host), 0);
}

static void test_a_retention_of_years_moves(void **unused)
{
    (void)unused;
    MAKER_AUTO(m);

    run_put(&m.world, "events/clicks/2014/12/31/23/a");
    m.rule.period = 1095;
    if (try_make(&m))
        fail_msg("%s", m.err.cause);
    assert_has(m.kept.record.prefixes, "clicks/2014/\nclicks/2015/\nclicks/2016/01/\n");
    m.rule.unit = SDRS_MONTH;
    m.rule.period = 12;
    if (try_make(&m))
        fail_msg("%s", m.err.cause);
    assert_has(m.kept.record.prefixes, "clicks/2014/\n");
    assert_has(m.kept.record.prefixes, "clicks/2018/03/15/04/\n");
}

static void test_a_lookback_bounds_the_prefixes(void **unused)
{
    (void)unused;
    MAKER_AUTO(m);

    m.config.max_look_back_days = 365; /* the store is not asked */
    rc_fake_host_fail_on(m.world.host, "storage.list", NULL, -1, RC_UNAVAILABLE);
    expect_prefixes(&m, "clicks/2018/\n" HOURS, "");
}

static void test_other_templates(void **unused)
{
    (void)unused;
    MAKER_AUTO(m);

    m.config.path_template = "dt={yyyy}-{mm}-{dd}";
    run_put(&m.world, "events/clicks/a");
    run_put(&m.world, "events/clicks/dt=2018-12-30/a");
    if (try_make(&m))
        fail_msg("%s", m.err.cause);
    assert_has(m.kept.record.prefixes, "clicks/dt=2018-");
    assert_has(m.kept.record.prefixes, "clicks/dt=2019-02-07/\n");
    assert_null(strstr(m.kept.record.prefixes, "2019-02-08"));
}

static void test_versions(void **unused)
{
    (void)unused;
    MAKER_AUTO(m);

    m.rule.unit = SDRS_VERSION;
    m.rule.period = 2;
    run_put(&m.world, "events/clicks/v2/a");
    run_put(&m.world, "events/clicks/v10/a");
    run_put(&m.world, "events/clicks/v9/a");
    run_put(&m.world, "events/clicks/v1/a");
    run_put(&m.world, "events/clicks/readme");
    expect_prefixes(&m, "clicks/v1/\nclicks/v2/\n", "");
    assert_null(m.move.template);
    m.rule.period = 0;
    expect_prefixes(&m, "clicks/v1/\nclicks/v10/\nclicks/v2/\nclicks/v9/\n", "");
    m.rule.storage = whole;
    run_put(&m.world, "events/.run-core/x/a");
    expect_prefixes(&m, "clicks/\n", "");
}

static void test_the_rest_of_a_bucket(void **unused)
{
    (void)unused;
    MAKER_AUTO(m);

    m.rule.type = SDRS_DEFAULT;
    m.rule.storage = whole;
    m.config.default_excludes = "tmp/ ;; logs/2019; ";
    sdrs_prefixes_add(&m.bucket.all_datasets, "clicks/");
    expect_prefixes(&m, "\n", ".run-core/\nclicks/\nlogs/2019\ntmp/\n");
    assert_int_equal(m.kept.record.modified_before_unix_ms,
                     m.world.job->now_unix_ms - 30 * RC_DAY_MS);
    assert_string_equal(m.kept.scope, "");

    m.rule.unit = SDRS_VERSION;
    assert_int_equal(try_make(&m), RC_INVALID);
    assert_has(m.err.cause, "a DEFAULT rule goes by the age of objects");
    m.rule.unit = SDRS_DAY;
    sdrs_prefixes_add(&m.bucket.holds, "");
    sdrs_prefixes_merge(&m.bucket.holds);
    expect_prefixes(&m, "", "");
    assert_true(m.kept.is_held);
}

static void test_holds_are_excluded(void **unused)
{
    (void)unused;
    MAKER_AUTO(m);

    m.config.max_look_back_days = 1;
    sdrs_prefixes_add(&m.bucket.holds, "clicks/2019/02/08/");
    sdrs_prefixes_add(&m.bucket.holds, "clicks/2019/01/07/");
    sdrs_prefixes_add(&m.bucket.holds, "other/");
    sdrs_prefixes_merge(&m.bucket.holds);
    if (try_make(&m))
        fail_msg("%s", m.err.cause);
    assert_null(strstr(m.kept.record.prefixes, "2019/02/08"));
    assert_has(m.kept.record.prefixes, "clicks/2019/02/07/\n");
    assert_null(strstr(m.kept.record.excludes, "other/"));
}

static void test_weight(void **unused)
{
    (void)unused;
    MAKER_AUTO(m);
    struct sdrs_weight weight;
    int64_t oldest, newest;

    run_put(&m.world, "events/clicks/2018/05/06/07/a");
    run_put(&m.world, "events/clicks/2019/02/08/04/b");
    run_put(&m.world, "events/clicks/2019/02/08/05/c");
    run_put(&m.world, "events/clicks/2018/readme");
    run_put(&m.world, "events/clicks2/2018/05/06/07/d");
    assert_int_equal(try_make(&m), RC_OK);
    assert_int_equal(sdrs_weigh(m.world.job, &m.move, m.kept.scope, &weight, &m.err), RC_OK);
    assert_int_equal(weight.objects, 2);
    assert_int_equal(weight.bytes, 2 * strlen("events/clicks/2018/05/06/07/a"));
    assert_int_equal(weight.all_objects, 4);
    assert_true(rc_parse_time("2018-05-06T08:00:00Z", &oldest));
    assert_true(rc_parse_time("2019-02-08T05:00:00Z", &newest));
    assert_int_equal(weight.oldest_unix_ms, oldest);
    assert_int_equal(weight.newest_unix_ms, newest);

    assert_int_equal(sdrs_weight_check(&m.config, &weight, &m.err), RC_OK);
    m.config.max_delete_objects = 2;
    m.config.max_delete_share = 0.5;
    assert_int_equal(sdrs_weight_check(&m.config, &weight, &m.err), RC_OK);
    m.config.max_delete_share = 0.49;
    assert_int_equal(sdrs_weight_check(&m.config, &weight, &m.err), RC_FAILED);
    assert_has(m.err.cause, "2 of 4 objects");
    m.config.max_delete_objects = 1;
    assert_int_equal(sdrs_weight_check(&m.config, &weight, &m.err), RC_FAILED);
    assert_has(m.err.cause, "confirm=true");
}

/* The transfer service is told prefixes, and moves what has no time in its path, too. */
static void test_weight_of_what_the_service_moves(void **unused)
{
    (void)unused;
    MAKER_AUTO(m);
    struct sdrs_weight weight;

    run_put(&m.world, "events/clicks/2018/05/06/07/a");
    run_put(&m.world, "events/clicks/2018/readme");
    run_put(&m.world, "events/clicks/readme");
    m.config.mover = SDRS_MOVER_STS;
    assert_int_equal(try_make(&m), RC_OK);
    assert_int_equal(sdrs_weigh(m.world.job, &m.move, m.kept.scope, &weight, &m.err), RC_OK);
    assert_int_equal(weight.objects, 2);
    assert_int_equal(weight.all_objects, 3);
}

/* Each call that fails says what it was for, and leaves nothing open. */
static void test_failures(void **unused)
{
    (void)unused;

    for (int unit = SDRS_DAY; unit < SDRS_UNITS; unit++) {
        for (int n = 1; n <= 2; n++) {
            MAKER_AUTO(m);

            m.rule.unit = (enum sdrs_unit)unit;
            run_put(&m.world, "events/clicks/2018/05/06/07/a");
            rc_fake_host_fail_at(m.world.host, n, RC_UNAVAILABLE);
            assert_int_equal(try_make(&m), RC_UNAVAILABLE);
            assert_has(m.err.context, "below '" LAKE "events/clicks/'");
            assert_int_equal(rc_fake_host_open_handles(m.world.host), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_back_to_the_oldest_year),
        cmocka_unit_test(test_a_retention_of_years_moves),
        cmocka_unit_test(test_a_lookback_bounds_the_prefixes),
        cmocka_unit_test(test_other_templates),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_the_rest_of_a_bucket),
        cmocka_unit_test(test_holds_are_excluded),
        cmocka_unit_test(test_weight),
        cmocka_unit_test(test_weight_of_what_the_service_moves),
        cmocka_unit_test(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
