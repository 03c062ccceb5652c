/*
 * Rules of the older system: what of its table is taken over, that a second time changes nothing,
 * that one bad line keeps all others out, and that ours go on behind its numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state_world.h"

#include "run.h"

#include <string.h>

static const struct rc_action actions[] = {
    { .name = "import-rules",
      .summary = "-",
      .params = sdrs_import_params,
      .params_size = sizeof(struct sdrs_import_params),
      .run = sdrs_import_rules },
    { 0 },
};
static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD,          .name = "sdrs",
    .version = "1",          .summary = "-",
    .options = sdrs_options, .config_size = sizeof(struct sdrs_config),
    .actions = actions,      .check = sdrs_check_config,
};

#define FILE_URI "s3://old/rules.csv"
#define NAMES                                                                                      \
    "id,dataset_name,retention_value,data_storage_name,data_storage_root,data_storage_type,"       \
    "project_id,type,version,is_active,created_at,updated_at,user,metadata\n"

static enum rc_code import(struct state_world *world, const char *text, struct rc_error *err)
{
    static const char *const settings[] = { "file=" FILE_URI, "rules[0].type=GLOBAL",
                                            "rules[0].retentionPeriod=60", NULL };

    *err = (struct rc_error)RC_ERROR_INIT;
    rc_fake_host_put(world->host, FILE_URI, text, strlen(text));
    return rc_fake_host_run(world->host, &plugin, "import-rules", settings, err);
}

static void expect_import(struct state_world *world, const char *text, int made, int changed,
                          int kept)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t made_before = rc_fake_host_counter(world->host, "rules_made");
    int64_t changed_before = rc_fake_host_counter(world->host, "rules_changed");
    int64_t kept_before = rc_fake_host_counter(world->host, "rules_kept");

    if (import(world, text, &err))
        fail_msg("%s: %s", err.context, err.cause);
    assert_int_equal(rc_fake_host_counter(world->host, "rules_made") - made_before, made);
    assert_int_equal(rc_fake_host_counter(world->host, "rules_changed") - changed_before, changed);
    assert_int_equal(rc_fake_host_counter(world->host, "rules_kept") - kept_before, kept);
}

static int64_t time_of(const char *text)
{
    int64_t unix_ms;

    assert_true(rc_parse_time(text, &unix_ms));
    return unix_ms;
}

#define TABLE                                                                                      \
    NAMES                                                                                          \
    "4,clicks,30:day,gs://b/clicks,b,STS,p,dataset,3,1,2019-03-10 05:30:00,"                       \
    "2019-03-11 00:00:00,a@example.com,\"x, \"\"y\"\"\nz\"\n"                                      \
    "5,\\N,2:month,gs://b,b,STS,p,default,1,\x01,2019-03-10 05:30:00,\\N,a@example.com,\\N\n"      \
    "7,old,3:version,gs://b/old,b,STS,p,dataset,2,b'0',2019-03-10 05:30:00,NULL,u,\n"

static void test_taken_over(void **state)
{
    struct state_world *world = *state;
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules rules = { .items = NULL };
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules versions = { .items = NULL };
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule next = { .project = NULL };
    struct rc_error err = RC_ERROR_INIT;

    expect_import(world, TABLE, 3, 0, 0);
    /* The rule of the configuration was the first, and stays. */
    expect_ok(sdrs_rules_list(&world->state, 1, 0, &rules, &err));
    assert_int_equal(rules.count, 2);
    assert_int_equal(rules.items[0].id, 4);
    assert_int_equal(rules.items[0].version, 3);
    assert_int_equal(rules.items[0].type, SDRS_DATASET);
    assert_string_equal(rules.items[0].storage, "gs://b/clicks");
    assert_string_equal(rules.items[0].project, "p");
    assert_string_equal(rules.items[0].dataset, "clicks");
    assert_string_equal(rules.items[0].user, "a@example.com");
    assert_int_equal(rules.items[0].period, 30);
    assert_int_equal(rules.items[0].unit, SDRS_DAY);
    assert_int_equal(rules.items[0].created_unix_ms, time_of("2019-03-10T05:30:00Z"));
    assert_int_equal(rules.items[0].changed_unix_ms, time_of("2019-03-11T00:00:00Z"));
    assert_int_equal(rules.items[1].id, 5);
    assert_int_equal(rules.items[1].type, SDRS_DEFAULT);
    assert_string_equal(rules.items[1].dataset, "b");
    assert_int_equal(rules.items[1].unit, SDRS_MONTH);
    assert_int_equal(rules.items[1].changed_unix_ms, time_of("2019-03-10T05:30:00Z"));
    /* The deleted one is known, and nothing else. */
    expect_ok(sdrs_rules_history(&world->state, 7, &versions, &err));
    assert_int_equal(versions.count, 1);
    assert_false(versions.items[0].is_active);
    assert_int_equal(versions.items[0].version, 2);
    /* A new one comes behind all of them. */
    next = (struct sdrs_rule){ .type = SDRS_DATASET,
                               .project = rc_strdup("p"),
                               .storage = rc_strdup("gs://c/d"),
                               .dataset = rc_strdup("d"),
                               .period = 3 };
    expect_ok(sdrs_rules_create(&world->state, &next, &err));
    assert_int_equal(next.id, 8);
}

static void test_again(void **state)
{
    struct state_world *world = *state;
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule = { .project = NULL };
    struct rc_error err = RC_ERROR_INIT;

    expect_import(world, TABLE, 3, 0, 0);
    expect_import(world, TABLE, 0, 0, 3);
    /* What was changed here since is newer than the table. */
    expect_ok(sdrs_rules_update(&world->state, 4, 99, SDRS_DAY, "me", &rule, &err));
    expect_import(world, TABLE, 0, 0, 3);
    sdrs_rule_clear(&rule);
    expect_ok(sdrs_rules_by_id(&world->state, 4, &rule, &err));
    assert_int_equal(rule.period, 99);
    assert_int_equal(rule.version, 4);
    /* A table that is newer still has its way. */
    expect_import(world,
                  NAMES "4,clicks,31:DAY,gs://b/clicks,b,STS,p,dataset,9,1,2019-03-10 05:30:00,"
                        "2019-04-01 00:00:00,b@example.com,\n",
                  0, 1, 0);
    sdrs_rule_clear(&rule);
    expect_ok(sdrs_rules_by_id(&world->state, 4, &rule, &err));
    assert_int_equal(rule.period, 31);
    assert_int_equal(rule.version, 9);
    assert_string_equal(rule.user, "b@example.com");
}

/* Only the columns that are needed, in another order; of a rule without a version the file says how
 * it is to be. */
static void test_few_columns(void **state)
{
    struct state_world *world = *state;
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules rules = { .items = NULL };
    struct rc_error err = RC_ERROR_INIT;
    static const char names[] = "type,project_id,retention_value,data_storage_name\r\n";
    RC_STR_AUTO first = rc_strf("%sDATASET,p,30:day,gs://b/d\r\n", names);
    RC_STR_AUTO second = rc_strf("%sDATASET,p,40:day,gs://b/d\r\n", names);
    RC_STR_AUTO global = rc_strf("%sglobal,any,70:day,gs://any\r\n", names);

    expect_import(world, first, 1, 0, 0);
    expect_import(world, first, 0, 0, 1);
    expect_import(world, second, 0, 1, 0);
    /* The only GLOBAL rule is changed, not made twice. */
    expect_import(world, global, 0, 1, 0);
    expect_ok(sdrs_rules_list(&world->state, 0, 0, &rules, &err));
    assert_int_equal(rules.count, 2);
    assert_int_equal(rules.items[0].period, 70);
    assert_int_equal(rules.items[1].period, 40);
    assert_int_equal(rules.items[1].version, 2);
    expect_import(world, names, 0, 0, 0);
}

static void check_refused(struct state_world *world, const char *text, const char *why)
{
    struct rc_error err;

    assert_int_not_equal(import(world, text, &err), RC_OK);
    if (!strstr(err.cause, why) && !strstr(err.context, why))
        fail_msg("'%s: %s' does not say '%s'", err.context, err.cause, why);
    assert_int_equal(state_number(world, "SELECT COUNT(*) FROM rules WHERE type <> 'GLOBAL'"), 0);
}

#define FEW "type,project_id,retention_value,data_storage_name,is_active,id,created_at\n"
#define GOOD "dataset,p,30:day,gs://b/good,1,3,2019-03-10 05:30:00\n"

static void test_refused(void **state)
{
    struct state_world *world = *state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "", "nothing in it" },
        { "type,project_id\n", "there is no column 'data_storage_name'" },
        { "type,type\n", "the column 'type' is there twice" },
        { FEW GOOD "dataset,p,30,gs://b/d,1,4,\n",
          "1 line is wrong, and nothing was imported; line 3: retention_value has '30', which is "
          "not such as 30:day" },
        { FEW GOOD "dataset,p,30:day,b/d,1,,\ndataset,,1:x,gs://b/e,1,,\n",
          "2 lines are wrong, and nothing was imported; line 3: Invalid input: dataStorageName "
          "must start with 'gs://'" },
        { FEW "dataset,,1:x,gs://b/e,1,,\n" GOOD,
          "line 2: Invalid input: projectId must be provided if type is DATASET, "
          "retentionPeriodUnit has to be one of" },
        { FEW GOOD "user,p,30:day,gs://b/d,1,,\n", "type, one of [GLOBAL, DATASET, DEFAULT]" },
        { FEW GOOD "dataset,p,1096:day,gs://b/d,1,,\n", "exceeds maximum value" },
        { FEW GOOD "dataset,p,-1:day,gs://b/d,1,,\n", "must be at least 0" },
        { FEW GOOD "dataset,p,3:day,gs://b/d,maybe,,\n",
          "is_active has 'maybe', which is not 1 or 0" },
        { FEW GOOD "dataset,p,3:day,gs://b/d,1,x,\n", "id has 'x', which is not a number" },
        { FEW GOOD "dataset,p,3:day,gs://b/d,1,,yesterday\n", "created_at has 'yesterday'" },
        { FEW GOOD "dataset,p,3:day,gs://b/d,1,\n", "line 3: there are 6 fields for 7 columns" },
        { FEW GOOD "dataset,p,3:day,gs://b/good/,1,,\n",
          "line 3: it is of the same type, project and name as line 2" },
        { FEW GOOD "dataset,p,3:day,gs://b/good/x,1,,\n", "violating non-nesting rule" },
        { FEW GOOD "\"dataset,p\n", "line 3 begins a row with a quote" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++)
        check_refused(world, cases[i].text, cases[i].why);
    /* The lines of conflicts of the state are named, too. */
    check_refused(world, FEW GOOD "dataset,p,3:day,gs://b/good/x,1,,\n", "line 3");
}

static void test_dry_run(void **state)
{
    struct state_world *world = *state;

    world->job->dry_run = true;
    expect_import(world, TABLE, 3, 0, 0);
    world->job->dry_run = false;
    assert_int_equal(state_number(world, "SELECT COUNT(*) FROM rules"), 0);
}

static void prepare(struct rc_fake_host *host, void *context)
{
    (void)context;
    rc_fake_host_put(host, FILE_URI, TABLE, sizeof(TABLE) - 1);
}

static void test_torture(void **state)
{
    (void)state;
    static const char *const settings[] = { "file=" FILE_URI, NULL };
    struct rc_error err = RC_ERROR_INIT;
    int calls;

    expect_ok(rc_fake_host_torture(&plugin, "import-rules", settings, prepare, NULL, &calls, &err));
    assert_true(calls > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_taken_over),
        EACH(test_again),
        EACH(test_few_columns),
        EACH(test_refused),
        cmocka_unit_test_setup_teardown(test_dry_run, state_in_memory, state_tear_down),
        cmocka_unit_test(test_torture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
