/*
 * Rules: each mistake in its words and its place, and what is made of a request without any.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <rule.h>

#include <run-core/str.h>

#include <string.h>

enum { TEXT_LIMIT = 4096 };

static const char *const root_items[] = { "/srv/lake" };
static const struct sdrs_config config = {
    .file_roots = { 1, root_items },
    .default_project = "global-default",
    .default_storage = "gs://global",
};

#define TYPE "type, one of [GLOBAL, DATASET, DEFAULT],  must be provided."
#define STORAGE "dataStorageName must be provided"
#define PROJECT(type) "projectId must be provided if type is " type
#define PERIOD "retentionPeriod must be provided"
#define UNIT "retentionPeriodUnit has to be one of [DAY, MONTH, VERSION]"
#define VERSIONS "retentionPeriodUnit VERSION is for type DATASET only"
#define MORE(unit, most)                                                                           \
    "retentionPeriod exceeds maximum value of retentionPeriodUnit " unit " of " most

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        struct sdrs_rule_request request;
        const char *want;
    } cases[] = {
        { { "DATASET", "gs://b/d", "p", NULL, NULL, true, 30 }, "" },
        { { "dataset", "s3://b/d", "p", "day", NULL, true, 0 }, "" },
        { { "DEFAULT", "file:///srv/lake/b", "p", "Month", NULL, true, 84 }, "" },
        { { "GLOBAL", NULL, NULL, NULL, NULL, true, 1095 }, "" },
        { { "GLOBAL", "nonsense", "", NULL, NULL, true, 1 }, "" },
        { { "DATASET", "gs://b/d", "p", "VERSION", NULL, true, 30 }, "" },
        /* All that is wrong, always in this order. */
        { { NULL, NULL, NULL, NULL, NULL, false, 0 }, TYPE ", " PERIOD },
        { { "DATASET", NULL, NULL, "WEEK", NULL, false, 0 },
          STORAGE ", " PROJECT("DATASET") ", " PERIOD ", " UNIT },
        { { "DEFAULT", "b/d", "", "WEEK", NULL, true, -1 },
          "dataStorageName must start with 'gs://' or 's3://' or 'file:///', " PROJECT(
              "DEFAULT") ", retentionPeriod must be at least 0, " UNIT },
        { { "USER", "gs://b/d", "p", NULL, NULL, true, 1096 }, TYPE ", " MORE("DAY", "1095") },
        { { "DATASET", "gs://", "p", NULL, NULL, true, 1 },
          "dataStorageName must include a bucket name" },
        { { "DATASET", "gs://b/d", "p", "MONTH", NULL, true, 85 }, MORE("MONTH", "84") },
        { { "DATASET", "gs://b/d", "p", "version", NULL, true, 31 }, MORE("VERSION", "30") },
        { { "DEFAULT", "gs://b", "p", "VERSION", NULL, true, 3 }, VERSIONS },
        { { "GLOBAL", NULL, NULL, "VERSION", NULL, true, 3 }, VERSIONS },
        { { "DATASET", "gs://b/d", "p", "", NULL, true, INT64_MAX }, UNIT },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_BUF_AUTO(have, TEXT_LIMIT);
        struct sdrs_rule rule;
        struct rc_error err = RC_ERROR_INIT;

        sdrs_rule_mistakes(&cases[i].request, &config, &have);
        assert_string_equal(have.data, cases[i].want);
        assert_int_equal(sdrs_rule_make(&cases[i].request, &config, &rule, &err),
                         cases[i].want[0] ? RC_INVALID : RC_OK);
        if (cases[i].want[0]) {
            assert_true(rc_str_starts(err.cause, "Invalid input: "));
            assert_string_equal(err.cause + strlen("Invalid input: "), cases[i].want);
        }
        sdrs_rule_clear(&rule);
    }
}

static void test_key(void **state)
{
    (void)state;
    struct sdrs_rule_request request = { .type = "DATASET" };
    RC_BUF_AUTO(have, TEXT_LIMIT);

    sdrs_key_mistakes(&request, &config, &have);
    assert_string_equal(have.data, STORAGE ", " PROJECT("DATASET"));
    rc_buf_reset(&have);
    request.type = "GLOBAL";
    sdrs_key_mistakes(&request, &config, &have);
    assert_string_equal(have.data, "");
}

/* An update: without a unit that of the rule holds. */
static void test_period(void **state)
{
    (void)state;
    static const struct {
        struct sdrs_rule_request request;
        enum sdrs_unit unit;
        const char *want;
    } cases[] = {
        { { .has_period = true, .period = 84 }, SDRS_MONTH, "" },
        { { .has_period = true, .period = 85 }, SDRS_MONTH, MORE("MONTH", "84") },
        { { .has_period = true, .period = 85, .unit = "DAY" }, SDRS_MONTH, "" },
        { { .has_period = true, .period = 31 }, SDRS_VERSION, MORE("VERSION", "30") },
        { { .has_period = false }, SDRS_DAY, PERIOD },
        { { .has_period = true, .period = 3, .unit = "x" }, SDRS_DAY, UNIT },
        { { .has_period = true, .period = 3, .unit = "VERSION", .type = "DATASET" }, SDRS_DAY, "" },
        { { .has_period = true, .period = 3, .unit = "VERSION", .type = "DEFAULT" },
          SDRS_DAY,
          VERSIONS },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_BUF_AUTO(have, TEXT_LIMIT);

        sdrs_period_mistakes(&cases[i].request, cases[i].unit, &have);
        assert_string_equal(have.data, cases[i].want);
    }
}

static void test_made(void **state)
{
    (void)state;
    static const struct {
        struct sdrs_rule_request request;
        enum sdrs_rule_type type;
        enum sdrs_unit unit;
        const char *project, *storage, *dataset;
        int64_t retention_ms;
    } cases[] = {
        { { "dataset", "gs://b//d/e/", "p", NULL, NULL, true, 30 },
          SDRS_DATASET,
          SDRS_DAY,
          "p",
          "gs://b/d/e",
          "d/e",
          30 * INT64_C(86400000) },
        { { "DATASET", "gs://b/d", "p", "month", "mine", true, 84 },
          SDRS_DATASET,
          SDRS_MONTH,
          "p",
          "gs://b/d",
          "mine",
          84 * INT64_C(2592000000) },
        { { "DEFAULT", "file:///srv/lake/b/d", "p", "DAY", NULL, true, 0 },
          SDRS_DEFAULT,
          SDRS_DAY,
          "p",
          "file:///srv/lake/b",
          "b",
          0 },
        { { "GLOBAL", "s3://x/y", "p", NULL, NULL, true, 1095 },
          SDRS_GLOBAL,
          SDRS_DAY,
          "global-default",
          "gs://global",
          "global",
          1095 * INT64_C(86400000) },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule;
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(sdrs_rule_make(&cases[i].request, &config, &rule, &err), RC_OK);
        assert_int_equal(rule.type, cases[i].type);
        assert_int_equal(rule.unit, cases[i].unit);
        assert_int_equal(rule.period, cases[i].request.period);
        assert_string_equal(rule.project, cases[i].project);
        assert_string_equal(rule.storage, cases[i].storage);
        assert_string_equal(rule.dataset, cases[i].dataset);
        assert_true(rule.is_active && !rule.is_configured && !rule.user);
        assert_int_equal(sdrs_retention_ms(&rule), cases[i].retention_ms);
    }
}

static void test_words(void **state)
{
    (void)state;
    for (int i = 0; i < SDRS_RULE_TYPES; i++) {
        enum sdrs_rule_type type;

        assert_true(sdrs_rule_type_parse(sdrs_rule_type_name((enum sdrs_rule_type)i), &type));
        assert_int_equal(type, i);
    }
    for (int i = 0; i < SDRS_UNITS; i++) {
        enum sdrs_unit unit;

        assert_true(sdrs_unit_parse(sdrs_unit_name((enum sdrs_unit)i), &unit));
        assert_int_equal(unit, i);
    }
    assert_false(sdrs_unit_parse("DAYS", &(enum sdrs_unit){ SDRS_DAY }));
    assert_false(sdrs_rule_type_parse("", &(enum sdrs_rule_type){ SDRS_DATASET }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_key),
        cmocka_unit_test(test_period),   cmocka_unit_test(test_made),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
